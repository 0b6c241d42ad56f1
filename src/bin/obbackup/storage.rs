//! `storage df`: the room that a repository has and takes.

use obbackup::command::space::{Forecast, Level};
use obbackup::command::storage::{StorageUse, storage_use};
use obbackup::error::Result;

use crate::Outcome;
use crate::output::{Output, count, counted, safe, size};
use crate::session::Session;

pub fn df(session: &Session) -> Result<Outcome> {
    let marks = session.configuration()?.space;
    let used = storage_use(&session.repository()?, &marks)?;
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
    if used.condemned_bytes > 0 {
        fields.push(("Soon free", size(used.condemned_bytes)));
    }
    if let Some(forecast) = &used.forecast {
        fields.push(("Outlook", outlook(forecast)));
    }
    match used.level {
        Some(Level::Critical) => fields.push(("Room", "critical: make room now".to_owned())),
        Some(Level::Warning) => fields.push(("Room", "low: make room soon".to_owned())),
        Some(Level::Ok) | None => {}
    }
    Output::fields(&fields)
}

fn outlook(forecast: &Forecast) -> String {
    let room = counted(forecast.room_for_backups, "more backup");
    let each = size(forecast.backup_bytes);
    match forecast.full_at {
        Some(at) => format!(
            "room for about {room} of {each}, full about {} if nothing is forgotten",
            at.with_timezone(&chrono::Local).format("%Y-%m-%d")
        ),
        None => format!("room for about {room} of {each}"),
    }
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
            condemned_bytes: 0,
            level: None,
            forecast: None,
        };
        assert_eq!(text(&used).lines().count(), 3);
        (used.total_bytes, used.used_bytes, used.free_bytes) = (Some(200), Some(50), Some(140));
        assert!(text(&used).contains("50 B (25 %)"), "{}", text(&used));
    }
}
