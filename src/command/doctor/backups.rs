//! What the backups themselves tell: whether they can be listed, and how old the last good one is.

use chrono::{DateTime, Utc};

use super::{Check, Examined};
use crate::command::forget::drills;
use crate::format::manifest::Status;
use crate::repository::Repository;
use crate::repository::backups::Backup;

/// A last good backup that is older than this many days deserves a warning.
const OLD_BACKUP_DAYS: i64 = 2;
/// And so does a last drill.
const OLD_DRILL_DAYS: i64 = 90;

/// Manifests that cannot be read, and the last good backup.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "last good backup";
    let Ok(repository) = &examined.repository else {
        return Vec::new();
    };
    let found = match repository.backups() {
        Ok(found) => found,
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    let mut checks: Vec<_> = found
        .damaged
        .iter()
        .map(|(object, problem)| {
            Check::failure("manifest", format!("`{object}`: {problem}"))
                .remedy("Run `obbackup verify --read-data`.")
        })
        .collect();
    let last = found.backups.iter().find(|backup| {
        backup.manifest.instance.id == examined.instance.id
            && backup.manifest.status == Status::Good
    });
    let remedy = "Run `obbackup backup`.";
    checks.push(match last {
        None => Check::warning(NAME, "there is none yet").remedy(remedy),
        Some(last) => {
            let (now, at) = (Utc::now(), last.manifest.finished_at);
            let found = format!("{}, {}", last.id.short(), crate::format::age(now, at));
            if (now - at).num_days() >= OLD_BACKUP_DAYS {
                Check::warning(NAME, found).remedy(remedy)
            } else {
                Check::ok(NAME, found)
            }
        }
    });
    checks.extend(drill(examined, repository, &found.backups));
    checks
}

/// Whether a restore was ever tried, and when. One that never was is a warning from some time on: nobody knows then
/// whether these backups bring the instance back.
fn drill(examined: &Examined<'_>, repository: &Repository, backups: &[Backup]) -> Option<Check> {
    const NAME: &str = "last drill";
    const TRY_IT: &str = "Try a restore: `obbackup verify latest --drill`.";
    let drills = match drills(repository) {
        Ok(drills) => drills,
        Err(error) => return Some(Check::failed(NAME, &error)),
    };
    let own = || {
        backups
            .iter()
            .filter(|backup| backup.manifest.instance.id == examined.instance.id)
    };
    let now = Utc::now();
    let is_old = |at: DateTime<Utc>| (now - at).num_days() >= OLD_DRILL_DAYS;
    let last = own()
        .filter_map(|backup| drills.get(&backup.id))
        .max_by_key(|(at, _)| *at);
    let Some((at, passed)) = last else {
        let oldest = own().map(|backup| backup.manifest.finished_at).min()?;
        let never = "no restore has been tried yet";
        let check = if is_old(oldest) {
            Check::warning(NAME, never)
        } else {
            Check::ok(NAME, never)
        };
        return Some(check.remedy(TRY_IT));
    };
    let found = crate::format::age(now, *at);
    Some(if !*passed {
        Check::failure(NAME, format!("failed {found}"))
            .remedy("Look at what it found: `obbackup verify --read-data`.")
    } else if is_old(*at) {
        Check::warning(NAME, format!("passed {found}")).remedy(TRY_IT)
    } else {
        Check::ok(NAME, format!("passed {found}"))
    })
}
