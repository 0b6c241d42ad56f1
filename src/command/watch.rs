//! What people are told of besides the end of a run: no good backup for too long, and room that comes to its end.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::runs::Books;
use super::space::{Level, Outlook};
use crate::config::notify::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::format;
use crate::instance::state::StateDirectory;
use crate::progress::Progress;
use crate::repository::Repository;

/// What was seen and told so far.
const FILE: &str = "watch.json";
/// Between two messages about the last good backup's age.
const TELL_AGAIN: TimeDelta = TimeDelta::days(1);
/// `no_good_backup` is told after so many days, where nothing is said.
const GOOD_BACKUP_WITHIN_DAYS: u16 = 3;

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Watch {
    /// Since when somebody looks.
    since: Option<DateTime<Utc>>,
    /// When it was last told that there was no good backup.
    told_at: Option<DateTime<Utc>>,
    /// By the repository's place, how its room was at the last look; those that had enough are left out.
    room: BTreeMap<String, Level>,
}

impl Watch {
    /// One that is damaged counts as none: something may be told once more.
    fn read(state: &StateDirectory) -> Result<Self> {
        let bytes = state.read(FILE)?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn write(&self, state: &StateDirectory) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Failure, "cannot write what is watched as JSON").source(error)
        })?;
        state.write(FILE, &bytes)
    }
}

/// Tells once a day that there was no good backup for too long, where there are schedules.
pub fn good_backup(books: &Books<'_>, now: DateTime<Utc>, progress: &dyn Progress) -> Result<()> {
    let configuration = books.configuration();
    if configuration.schedule.is_empty() {
        return Ok(());
    }
    let days = configuration.watch.good_backup_within_days;
    let days = days.map_or(GOOD_BACKUP_WITHIN_DAYS, std::num::NonZero::get);
    let mut watch = Watch::read(books.state())?;
    let is_new = watch.since.is_none();
    let since = *watch.since.get_or_insert(now);
    let good = books
        .state()
        .history(1, |report| report.command == "backup" && report.is_good())?;
    let last = good.first().map(|report| report.finished_at);
    let age = now - last.unwrap_or(since);
    let was_told = watch
        .told_at
        .is_some_and(|at| (at..at + TELL_AGAIN).contains(&now));
    let is_due = age > TimeDelta::days(days.into()) && !was_told;
    if is_due {
        let mut notice = books.notice(vec![Event::NoGoodBackup]);
        notice.notes.push(match last {
            Some(last) => format!("The last good backup was taken {}.", format::age(now, last)),
            None => format!(
                "There was none since the schedules began to run, {}.",
                format::age(now, since)
            ),
        });
        notice.advice = Some(format!(
            "Take one by hand and see what keeps it from succeeding: obbackup backup --instance {}",
            notice.instance.source_path
        ));
        books.tell(&notice, progress);
        watch.told_at = Some(now);
    }
    if is_due || is_new {
        watch.write(books.state())?;
    }
    Ok(())
}

/// Tells when the room of a repository's device falls below one of the configured marks, and when there is enough
/// again: each once.
pub fn room(books: &Books<'_>, repository: &Repository, progress: &dyn Progress) -> Result<()> {
    let Some(outlook) = Outlook::of(repository, &books.configuration().space)? else {
        return Ok(());
    };
    let place = repository.storage().location();
    let mut watch = Watch::read(books.state())?;
    let before = watch.room.get(&place).copied().unwrap_or(Level::Ok);
    if outlook.level == before {
        return Ok(());
    }
    let events = match outlook.level {
        Level::Ok => vec![Event::Recovered, Event::SpaceLow],
        level if level > before => vec![Event::SpaceLow],
        // Better than it was, and still not good.
        _ => Vec::new(),
    };
    // Whoever dies in between tells it once more.
    if !events.is_empty() {
        let mut notice = books.notice(events);
        notice.notes.push(format!("`{place}`: {outlook}."));
        let source_path = &notice.instance.source_path;
        notice.advice = match outlook.level {
            Level::Ok => None,
            Level::Warning => Some(format!(
                "Make room there, or forget more; what would go: obbackup forget --dry-run --instance {source_path}"
            )),
            Level::Critical => Some(format!(
                "Make room there now, else backups will fail; what would go: obbackup forget --dry-run \
                 --instance {source_path}"
            )),
        };
        books.tell(&notice, progress);
    }
    match outlook.level {
        Level::Ok => watch.room.remove(&place),
        level => watch.room.insert(place, level),
    };
    watch.write(books.state())
}
