//! The books of an instance: how each run ended goes into its history and its log, and to whom it concerns.
//!
//! Whoever takes a backup for somebody, the command line, the window or a schedule, does it through
//! [`Books::back_up`], so that nothing happens that the books do not know of. What goes wrong with the books
//! is a warning: a backup does not fail for it.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::backup::{self, BackupOptions, BackupTaken, Scheduled};
use super::surroundings::Surroundings;
use crate::config::Configuration;
use crate::config::notify::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::random_id;
use crate::format::manifest::{BackupType, Statistics, Status};
use crate::format::record::{Occasion, Run};
use crate::instance::Instance;
use crate::instance::history::{OK, PARTIAL, RunReport, SKIPPED};
use crate::instance::state::StateDirectory;
use crate::log::{Level, Line, Log};
use crate::notify::{self, Notice};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::identity::Worker;
use crate::schedule::runner::{Lateness, Task};

/// What the command of a backup is called in records.
const BACKUP: &str = "backup";

/// History, log and notifiers of one instance.
pub struct Books<'a> {
    instance: &'a Instance,
    configuration: &'a Configuration,
    state: StateDirectory,
    log: Log,
    zone: Tz,
}

/// What is known of a run besides how it ended.
#[derive(Default)]
struct Circumstances {
    notes: Vec<String>,
    was_missed: bool,
    next_run: Option<DateTime<Utc>>,
    zone: Option<Tz>,
}

/// What a run that a schedule started needs.
pub struct ScheduledRun<'a> {
    /// The schedule and its moment.
    pub task: &'a Task<'a>,
    /// Where the repository is, for people.
    pub place: &'a str,
    /// What to take.
    pub options: &'a BackupOptions,
    /// The machine.
    pub surroundings: &'a Surroundings,
}

impl<'a> Books<'a> {
    /// Opens them; they are made where there are none. `zone` is the one that people are told times in.
    pub fn open(
        instance: &'a Instance,
        configuration: &'a Configuration,
        zone: Tz,
    ) -> Result<Self> {
        let state = instance.state()?;
        Ok(Self {
            log: Log::open(&state, &configuration.log)?,
            instance,
            configuration,
            state,
            zone,
        })
    }

    /// The history is in here.
    pub fn state(&self) -> &StateDirectory {
        &self.state
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Takes a backup that somebody asked for. `place` is where the repository is, for people.
    pub fn back_up(
        &self,
        place: &str,
        open: impl FnOnce() -> Result<Repository>,
        options: &BackupOptions,
        surroundings: &Surroundings,
        progress: &dyn Progress,
    ) -> Result<BackupTaken> {
        let watched = Watched::new(self, progress, place, options.backup_type, None);
        let taken = open().and_then(|repository| {
            backup::run(self.instance, &repository, options, surroundings, &watched)
        });
        let report = watched.report(taken.as_ref());
        self.close(report, &Circumstances::default(), progress);
        taken
    }

    /// Takes the backup of a schedule's moment. An error of kind `Locked` means that somebody else is at work:
    /// nothing was begun, and nothing is in the books.
    pub fn back_up_scheduled(
        &self,
        run: &ScheduledRun<'_>,
        open: impl FnOnce() -> Result<Repository>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let occasion = occasion(run.task);
        let kind = run.options.backup_type;
        let watched = Watched::new(self, progress, run.place, kind, Some(occasion.clone()));
        let (options, surroundings) = (run.options, run.surroundings);
        let taken = open().and_then(|repository| {
            backup::run_scheduled(
                self.instance,
                &repository,
                options,
                surroundings,
                &watched,
                &occasion,
            )
        });
        let report = match &taken {
            Err(error) if error.kind() == ErrorKind::Locked => {
                return Err(error.duplicate());
            }
            Ok(Scheduled::Elsewhere(run)) => {
                let host = "another node or program took the backup of this moment";
                watched.log(Level::Info, host);
                // Known here too, so that this node can tell how long there was no good backup. Whoever ran it
                // has told of it.
                let known = self.state.history(1, |report| report.id == run.id)?;
                if known.is_empty() {
                    self.write_down(&from_record(run, &watched.place), progress);
                }
                return Ok(());
            }
            Ok(Scheduled::Taken(taken)) => watched.report(Ok(taken)),
            Err(error) => watched.report(Err(error)),
        };
        self.close(report, &self.circumstances(run.task), progress);
        taken.map(|_| ())
    }

    /// A schedule's moment goes by without a run, because `reason` lasted too long.
    pub fn skip(&self, task: &Task<'_>, place: &str, reason: &Error, progress: &dyn Progress) {
        let now = Utc::now();
        let report = RunReport {
            id: random_id(8).unwrap_or_default(),
            command: BACKUP.to_owned(),
            backup_type: Some(BackupType::Scheduled),
            occasion: Some(occasion(task)),
            repository: place.to_owned(),
            host: self.instance.host.clone(),
            started_at: now,
            finished_at: now,
            outcome: SKIPPED.to_owned(),
            message: Some(format!("other work lasted too long: {}", reason.message())),
            hint: reason.hint_text().map(str::to_owned),
            backup: None,
            statistics: None,
            warnings: Vec::new(),
        };
        self.close(report, &self.circumstances(task), progress);
    }

    /// Tells that what is stored is not what was written.
    pub fn verify_failed(&self, place: &str, error: &Error, progress: &dyn Progress) {
        let now = Utc::now();
        let report = RunReport {
            id: String::new(),
            command: "verify".to_owned(),
            backup_type: None,
            occasion: None,
            repository: place.to_owned(),
            host: self.instance.host.clone(),
            started_at: now,
            finished_at: now,
            outcome: backup::outcome_word(error.kind()),
            message: Some(error.message()),
            hint: error.hint_text().map(str::to_owned),
            backup: None,
            statistics: None,
            warnings: Vec::new(),
        };
        self.write_down(&report, progress);
        let mut notice = self.notice(vec![Event::VerifyFailed]);
        notice.report = Some(report);
        self.tell(&notice, progress);
    }

    /// Something that is not about a run.
    pub fn notice(&self, events: Vec<Event>) -> Notice {
        Notice {
            events,
            at: Utc::now(),
            instance: self.instance.identity(),
            report: None,
            notes: Vec::new(),
            advice: None,
            next_run: None,
            zone: self.zone,
        }
    }

    /// Tells everybody whom it concerns; a notifier that fails is a warning, and stands in the log.
    pub fn tell(&self, notice: &Notice, progress: &dyn Progress) {
        for error in notify::tell(self.configuration, notice) {
            let message = match error.hint_text() {
                Some(hint) => format!("{error}. {hint}"),
                None => error.to_string(),
            };
            let report = notice.report.as_ref();
            self.log.write(&Line {
                at: Utc::now(),
                level: Level::Warning,
                run: report.map(|report| report.id.clone()),
                command: report.map_or_else(|| "watch".to_owned(), |report| report.command.clone()),
                schedule: report
                    .and_then(|report| report.occasion.as_ref())
                    .map(|occasion| occasion.schedule.clone()),
                message: message.clone(),
            });
            progress.warn(&message);
        }
    }

    fn circumstances(&self, task: &Task<'_>) -> Circumstances {
        let due_at = task.due.due_at.with_timezone(&task.schedule.zone);
        let due_at = due_at.format("%Y-%m-%d %H:%M %Z");
        let mut notes = Vec::new();
        match task.lateness {
            Lateness::OnTime => {}
            Lateness::Waited => {
                notes.push(format!(
                    "The run due at {due_at} waited for another one to end."
                ));
            }
            Lateness::Missed => notes.push(format!(
                "The run due at {due_at} did not begin at its time: nothing was there to run it."
            )),
        }
        if task.due.passed_over > 0 {
            notes.push(format!(
                "Earlier runs that did not take place either: {}.",
                task.due.passed_over
            ));
        }
        let now = Utc::now();
        let coming = task.schedule.coming(&self.instance.id, now, 1);
        Circumstances {
            was_missed: task.lateness == Lateness::Missed || task.due.passed_over > 0,
            notes,
            next_run: coming.first().map(|coming| coming.starts_at),
            zone: Some(task.schedule.zone),
        }
    }

    /// The run has ended.
    fn close(&self, report: RunReport, circumstances: &Circumstances, progress: &dyn Progress) {
        let before = self.state.history(1, |known| {
            known.command == report.command
                && schedule_of(known) == schedule_of(&report)
                && !known.is_skipped()
        });
        let failed_before = before.is_ok_and(|known| known.iter().any(|known| !known.is_good()));
        self.write_down(&report, progress);
        let events = events(&report, failed_before, circumstances.was_missed);
        if !events.is_empty() {
            let mut notice = self.notice(events);
            notice.notes.clone_from(&circumstances.notes);
            notice.next_run = circumstances.next_run;
            notice.zone = circumstances.zone.unwrap_or(self.zone);
            notice.report = Some(report);
            self.tell(&notice, progress);
        }
        if let Some(error) = self.log.problem() {
            progress.warn(&format!("the log could not be written: {error}"));
        }
    }

    /// Into the log and the history.
    fn write_down(&self, report: &RunReport, progress: &dyn Progress) {
        let (level, message) = if report.is_good() {
            (Level::Info, "done".to_owned())
        } else {
            let message = report
                .message
                .as_deref()
                .unwrap_or("something could not be read");
            let hint = report
                .hint
                .as_deref()
                .map_or_else(String::new, |hint| format!(". {hint}"));
            (Level::Error, format!("{}: {message}{hint}", report.outcome))
        };
        self.log.write(&Line {
            at: report.finished_at,
            level,
            run: Some(report.id.clone()),
            command: report.command.clone(),
            schedule: schedule_of(report).map(str::to_owned),
            message,
        });
        if let Err(error) = self.state.record(report) {
            progress.warn(&format!(
                "the history of runs could not be written: {error}"
            ));
        }
    }
}

fn occasion(task: &Task<'_>) -> Occasion {
    Occasion {
        schedule: task.schedule.name.clone(),
        due_at: task.due.due_at,
    }
}

fn schedule_of(report: &RunReport) -> Option<&str> {
    Some(report.occasion.as_ref()?.schedule.as_str())
}

/// What there is to tell of a run, the most important first.
fn events(report: &RunReport, failed_before: bool, was_missed: bool) -> Vec<Event> {
    // Whoever stopped it knows.
    if report.outcome == backup::outcome_word(ErrorKind::Cancelled) {
        return Vec::new();
    }
    let mut events = match report.outcome.as_str() {
        OK if failed_before => vec![Event::Recovered],
        OK => Vec::new(),
        PARTIAL => vec![Event::Partial],
        SKIPPED => vec![Event::Missed],
        _ => vec![Event::Failed],
    };
    if was_missed && !report.is_skipped() {
        events.push(Event::Missed);
    }
    if report.is_good() {
        events.push(Event::Succeeded);
    }
    events
}

/// The repository's record of a run, as the history has it.
pub fn from_record(run: &Run, place: &str) -> RunReport {
    RunReport {
        id: run.id.clone(),
        command: run.command.clone(),
        backup_type: run.backup_type,
        occasion: run.occasion.clone(),
        repository: place.to_owned(),
        host: run.host.clone().unwrap_or_default(),
        started_at: run.started_at,
        finished_at: run.finished_at,
        outcome: run.outcome.clone(),
        message: run.message.clone(),
        hint: None,
        backup: run.backup,
        statistics: None,
        warnings: Vec::new(),
    }
}

/// The last `count` runs of an instance, the newest first: those of its own history, and with a repository
/// those of other nodes and places that it has a record of.
pub fn recent(
    state: &StateDirectory,
    repository: Option<(&Repository, &Instance)>,
    since: DateTime<Utc>,
    count: usize,
) -> Result<Vec<RunReport>> {
    let mut reports = state.history(count, |report| report.started_at >= since)?;
    if let Some((repository, instance)) = repository {
        let place = repository.storage().location();
        for run in repository.runs(since)? {
            let is_known = reports.iter().any(|report| report.id == run.id);
            if run.instance == instance.id && !is_known {
                reports.push(from_record(&run, &place));
            }
        }
        reports.sort_by_key(|report| std::cmp::Reverse(report.finished_at));
        reports.truncate(count);
    }
    Ok(reports)
}

/// Writes what is reported into the log, and passes it on.
struct Watched<'a> {
    books: &'a Books<'a>,
    inner: &'a dyn Progress,
    place: String,
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
    fn new(
        books: &'a Books<'a>,
        inner: &'a dyn Progress,
        place: &str,
        kind: BackupType,
        occasion: Option<Occasion>,
    ) -> Self {
        Self {
            books,
            inner,
            place: place.to_owned(),
            kind,
            occasion,
            started_at: Utc::now(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, level: Level, message: &str) {
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
    fn report(&self, taken: Result<&BackupTaken, &Error>) -> RunReport {
        let seen = self.seen();
        let summary = taken.ok().map(|taken| &taken.summary);
        RunReport {
            // One that failed before it got an id of its own still has a place in history and log.
            id: seen
                .run
                .clone()
                .or_else(|| random_id(8).ok())
                .unwrap_or_default(),
            command: BACKUP.to_owned(),
            backup_type: Some(self.kind),
            occasion: self.occasion.clone(),
            repository: self.place.clone(),
            host: Worker::this().host.clone(),
            started_at: self.started_at,
            finished_at: Utc::now(),
            outcome: match taken {
                Ok(taken) if taken.summary.status == Status::Partial => PARTIAL.to_owned(),
                Ok(_) => OK.to_owned(),
                Err(error) => backup::outcome_word(error.kind()),
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
        }
    }
}

impl Progress for Watched<'_> {
    fn begin(&self, run: &str) {
        self.seen().run = Some(run.to_owned());
        self.log(Level::Info, "begun");
        let mut notice = self.books.notice(vec![Event::Started]);
        notice.report = Some(RunReport {
            id: run.to_owned(),
            command: BACKUP.to_owned(),
            backup_type: Some(self.kind),
            occasion: self.occasion.clone(),
            repository: self.place.clone(),
            host: Worker::this().host.clone(),
            started_at: self.started_at,
            finished_at: self.started_at,
            outcome: String::new(),
            message: None,
            hint: None,
            backup: None,
            statistics: None,
            warnings: Vec::new(),
        });
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
