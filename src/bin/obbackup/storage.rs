//! `storage df`: the room that a repository has and takes.

use obbackup::command::storage::{StorageUse, storage_use};
use obbackup::error::Result;

use crate::Outcome;
use crate::output::{Output, count, safe, size};
use crate::session::Session;

pub fn df(session: &Session) -> Result<Outcome> {
    let used = storage_use(&session.repository()?)?;
    session.output.show(&used, |_| text(&used))?;
    Ok(Outcome::Good)
}

fn text(used: &StorageUse) -> String {
    let mut fields = vec![
        ("Repository", safe(&used.location)),
        ("Backups", count(used.backups)),
        ("Taken by them", size(used.repository_bytes)),
    ];
    if let (Some(total), Some(taken), Some(free)) =
        (used.total_bytes, used.used_bytes, used.free_bytes)
    {
        let percent = if total == 0 {
            0
        } else {
            u128::from(taken) * 100 / u128::from(total)
        };
        fields.extend([
            ("Device", size(total)),
            ("Used", format!("{} ({percent} %)", size(taken))),
            ("Free", size(free)),
        ]);
    }
    if let Some(inodes) = used.free_inodes {
        fields.push(("Free inodes", count(inodes)));
    }
    Output::fields(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_without_a_device_shows_what_it_knows() {
        let mut used = StorageUse {
            location: "memory".to_owned(),
            repository_bytes: 2048,
            backups: 2,
            total_bytes: None,
            used_bytes: None,
            free_bytes: None,
            free_inodes: None,
        };
        assert_eq!(text(&used).lines().count(), 3);
        (used.total_bytes, used.used_bytes, used.free_bytes) = (Some(200), Some(50), Some(140));
        assert!(text(&used).contains("50 B (25 %)"), "{}", text(&used));
    }
}
