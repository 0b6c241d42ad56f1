//! A backup under way: what it reports goes into the log as well, and tells its run's id and warnings.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::{BACKUP, Books, Wanted};
use crate::command::backup::{BackupTaken, outcome_word};
use crate::config::notify::Event;
use crate::error::{Error, Result};
use crate::format::id::random_id;
use crate::format::manifest::{BackupType, Statistics, Status};
use crate::format::record::{OK, Occasion, PARTIAL};
use crate::instance::history::RunReport;
use crate::log::{Level, Line};
use crate::progress::Progress;
use crate::repository::identity::Worker;

/// Writes what is reported into the log, and passes it on.
pub(super) struct Watched<'a> {
    books: &'a Books<'a>,
    inner: &'a dyn Progress,
    pub(super) place: String,
    kind: BackupType,
    occasion: Option<Occasion>,
    started_at: DateTime<Utc>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    run: Option<String>,
    warnings: Vec<String>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(
        books: &'a Books<'a>,
        inner: &'a dyn Progress,
        wanted: &Wanted<'_>,
        occasion: Option<Occasion>,
    ) -> Self {
        Self {
            books,
            inner,
            place: wanted.place.to_owned(),
            kind: wanted.options.backup_type,
            occasion,
            started_at: Utc::now(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self, level: Level, message: &str) {
        self.books.log.write(&Line {
            at: Utc::now(),
            level,
            run: self.seen().run.clone(),
            command: BACKUP.to_owned(),
            schedule: self
                .occasion
                .as_ref()
                .map(|occasion| occasion.schedule.clone()),
            message: message.to_owned(),
        });
    }

    /// How it stands when `taken` came of it.
    pub(super) fn report(&self, taken: Result<&BackupTaken, &Error>) -> RunReport {
        let seen = self.seen();
        let summary = taken.ok().map(|taken| &taken.summary);
        RunReport {
            outcome: match taken {
                Ok(taken) if taken.summary.status == Status::Partial => PARTIAL.to_owned(),
                Ok(_) => OK.to_owned(),
                Err(error) => outcome_word(error.kind()),
            },
            message: taken.err().map(Error::message),
            hint: taken.err().and_then(Error::hint_text).map(str::to_owned),
            backup: summary.map(|summary| summary.id),
            statistics: summary.map(|summary| Statistics {
                database_bytes: summary.database_bytes,
                files: summary.files,
                files_bytes: summary.files_bytes,
                files_read: summary.files_read,
                new_bytes: summary.new_bytes,
                stored_bytes: summary.stored_bytes,
            }),
            warnings: seen.warnings.clone(),
            // One that failed before it got an id of its own still has a place in history and log.
            ..self.ended(seen.run.clone().or_else(|| random_id(8).ok()))
        }
    }

    fn ended(&self, id: Option<String>) -> RunReport {
        let (place, host) = (&self.place, &Worker::this().host);
        RunReport {
            backup_type: Some(self.kind),
            occasion: self.occasion.clone(),
            ..RunReport::ended(id.unwrap_or_default(), BACKUP, place, host, self.started_at)
        }
    }
}

impl Progress for Watched<'_> {
    fn begin(&self, run: &str) {
        self.seen().run = Some(run.to_owned());
        self.log(Level::Info, "begun");
        let mut notice = self.books.notice(vec![Event::Started]);
        notice.report = Some(self.ended(Some(run.to_owned())));
        self.books.tell(&notice, self.inner);
        self.inner.begin(run);
    }

    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        let size = total_bytes
            .filter(|total| *total > 0)
            .map(crate::wording::size);
        let size = size.map_or_else(String::new, |size| format!(": {size}"));
        self.log(Level::Info, &format!("{name}{size}"));
        self.inner.stage(name, total_bytes);
    }

    fn advance(&self, bytes: u64) {
        self.inner.advance(bytes);
    }

    fn warn(&self, message: &str) {
        self.log(Level::Warning, message);
        self.seen().warnings.push(message.to_owned());
        self.inner.warn(message);
    }

    fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }
}
