//! Whether this machine's clock can be right.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, Examined};

/// Clocks of two machines may differ by so much before it matters: leases last for twice as long.
const TOLERATED: TimeDelta = TimeDelta::minutes(5);

/// Against what the repository was told before: nothing in it can be from the future.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "clock";
    let Ok(repository) = &examined.repository else {
        return Vec::new();
    };
    let now = Utc::now();
    let mut latest: (DateTime<Utc>, String) = (
        repository.header().created_at,
        "the repository was made".to_owned(),
    );
    if let Ok(found) = repository.backups()
        && let Some(backup) = found.backups.first()
        && backup.manifest.finished_at > latest.0
    {
        let what = format!("backup {} was taken", backup.id.short());
        latest = (backup.manifest.finished_at, what);
    }
    let place = repository.storage().location();
    vec![if latest.0 > now + TOLERATED {
        Check::failure(
            NAME,
            format!(
                "it is {} here, and {} in `{place}` at {}",
                now.format("%Y-%m-%d %H:%M UTC"),
                latest.1,
                latest.0.format("%Y-%m-%d %H:%M UTC")
            ),
        )
        .remedy("Set the clock, and keep it right with chrony or systemd-timesyncd.")
    } else {
        Check::ok(NAME, now.format("%Y-%m-%d %H:%M UTC").to_string())
    }]
}
