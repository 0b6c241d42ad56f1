//! What the backups themselves tell: whether they can be listed, and how old the last good one is.

use chrono::Utc;

use super::{Check, Examined};
use crate::format::manifest::Status;

/// A last good backup that is older than this many days deserves a warning.
const OLD_BACKUP_DAYS: i64 = 2;

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
    checks
}
