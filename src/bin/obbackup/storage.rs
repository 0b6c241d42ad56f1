//! `storage df`, `list` and `test`: where repositories lie, what room they have, what can be done there.

use clap::Args;
use comfy_table::{Cell, Color};

use obbackup::command::doctor::Health;
use obbackup::command::space::{Forecast, Level};
use obbackup::command::storage::{self, StorageTest, StorageUse, storage_use};
use obbackup::error::{ErrorKind, Result};

use crate::Outcome;
use crate::output::{Output, count, counted, safe, size};
use crate::session::Session;

/// Show used, free and total space of the repository's device
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup storage df
  obbackup storage df --json")]
pub struct Df {}

/// List the repositories of the configuration
///
/// Nothing is asked of them: `storage test` does that.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup storage list
  obbackup storage list --json")]
pub struct ListStorages {}

/// Try whether a repository can live in a place
///
/// Writes, reads, lists, replaces and deletes one small object, and says for whatever is refused which
/// permission is missing. The place need not be a repository yet.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup storage test
  obbackup storage test --repository s3://bucket/openbravo")]
pub struct TestStorage {}

pub fn df(session: &Session) -> Result<Outcome> {
    let marks = session.configuration()?.space;
    let used = storage_use(&session.repository()?, &marks)?;
    session.output.show(&used, |_| text(&used))?;
    Ok(Outcome::Good)
}

pub fn list(session: &Session) -> Result<Outcome> {
    let listed = storage::repositories(&session.configuration()?);
    session.output.show(&listed, |output| {
        if listed.repositories.is_empty() {
            return "No repository is set up. Create one: obbackup init --repository DIR\n"
                .to_owned();
        }
        let rows = listed.repositories.iter().map(|repository| {
            vec![
                Cell::new(safe(&repository.name)),
                Cell::new(safe(&repository.url)),
                Cell::new(if repository.default { "yes" } else { "" }),
                Cell::new(safe(&repository.copy_to.join(", "))),
            ]
        });
        output.table(
            &["NAME", "URL", "DEFAULT", "COPIED TO"],
            &[],
            rows.collect(),
        )
    })?;
    Ok(Outcome::Good)
}

pub fn test(session: &Session) -> Result<Outcome> {
    let place = session.storage_itself()?;
    let tried = storage::test(&*place)?;
    session
        .output
        .show(&tried, |output| test_text(output, &tried))?;
    Ok(if tried.works {
        Outcome::Good
    } else {
        Outcome::But(ErrorKind::Failure)
    })
}

fn test_text(output: &Output, tried: &StorageTest) -> String {
    let rows = tried.steps.iter().map(|step| {
        let (word, color) = match step.result {
            Health::Ok => ("ok", Color::Green),
            Health::Warning => ("warning", Color::Yellow),
            Health::Failure => ("failure", Color::Red),
        };
        let mut found = safe(&step.found);
        if let Some(remedy) = &step.remedy {
            found.push('\n');
            found.push_str(&safe(remedy));
        }
        vec![
            output.colored(word, color),
            Cell::new(step.name),
            Cell::new(format!("{} ms", step.milliseconds)),
            Cell::new(found),
        ]
    });
    let table = output.table(&["RESULT", "STEP", "TIME", "FOUND"], &[2], rows.collect());
    format!("{}\n{table}", safe(&tried.location))
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
