//! The books of an instance: how each run ended goes into its history and its log, and to whom it concerns.
//!
//! Whoever takes a backup for somebody, the command line, the window or a schedule, does it through
//! [`back_up`] or [`Books::back_up_scheduled`], so that nothing happens that the books do not know of. What goes wrong with
//! the books is a warning: a backup does not fail for it.

mod watched;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::backup::{self, BackupOptions, BackupTaken, Scheduled, outcome_word};
use super::copy::CopyOutcome;
use super::restore::states::Expiry;
use super::surroundings::Surroundings;
use crate::config::Configuration;
use crate::config::notify::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::random_id;
use crate::format::manifest::BackupType;
use crate::format::record::{OK, Occasion, PARTIAL, Run};
use crate::instance::Instance;
use crate::instance::history::{RunReport, SKIPPED};
use crate::instance::state::StateDirectory;
use crate::log::{Level, Line, Log};
use crate::notify::{self, Notice};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::schedule::runner::{Again, Lateness, Task, is_worth_another_try};
use watched::Watched;

/// What the command of a backup is called in records.
const BACKUP: &str = "backup";
/// And that of copies.
const COPY: &str = "copy";

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

/// What became of the copies of a night's backup.
pub struct CopiesOfANight<'a> {
    /// The schedule and its moment.
    pub task: &'a Task<'a>,
    /// The repositories that it was to be copied to.
    pub names: &'a [String],
    /// When that began.
    pub started_at: DateTime<Utc>,
    /// Each copy, or why there is none at all.
    pub outcomes: Result<Vec<CopyOutcome>>,
}

/// What came of a run that a schedule started.
#[derive(Debug, Clone, Copy)]
pub enum Night {
    /// A good backup was taken here.
    Good,
    /// One that lacks something.
    Partial,
    /// It was seen to by another node or program.
    Elsewhere,
    /// It failed, here or elsewhere, and is to be tried again.
    Again(Again),
}

/// A backup that is to be taken.
pub struct Wanted<'a> {
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

    /// What they are kept for.
    pub fn configuration(&self) -> &Configuration {
        self.configuration
    }

    /// The history is in here.
    pub fn state(&self) -> &StateDirectory {
        &self.state
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Takes the backup of a schedule's moment. An error of kind `Locked` means that somebody else is at work:
    /// nothing was begun, and nothing is in the books.
    pub fn back_up_scheduled(
        &self,
        task: &Task<'_>,
        wanted: &Wanted<'_>,
        open: impl FnOnce() -> Result<Repository>,
        progress: &dyn Progress,
    ) -> Result<Night> {
        let occasion = occasion(task);
        let watched = Watched::new(self, progress, wanted, Some(occasion.clone()));
        let (options, surroundings) = (wanted.options, wanted.surroundings);
        let taken = open().and_then(|repository| {
            let taken = backup::run_scheduled(
                self.instance,
                &repository,
                options,
                surroundings,
                &watched,
                &occasion,
                task.tries,
            )?;
            expire(
                self.instance,
                self.configuration,
                &repository,
                surroundings,
                &watched,
            );
            Ok(taken)
        });
        let elsewhere = |run: &Run, again: Option<Again>| -> Result<()> {
            // Known here too, so that this node can tell how long there was no good backup. Whoever ran it
            // has told of it.
            let known = self.state.history(1, |report| report.id == run.id)?;
            if known.is_empty() {
                let mut report = from_record(run, &watched.place);
                report.retry_at = again.map(|again| again.at);
                self.write_down(&report, progress);
            }
            Ok(())
        };
        match taken {
            Err(error) if error.kind() == ErrorKind::Locked => Err(error),
            Ok(Scheduled::Elsewhere(run)) => {
                let who = "another node or program took the backup of this moment";
                watched.log(Level::Info, who);
                elsewhere(&run, None)?;
                Ok(Night::Elsewhere)
            }
            Ok(Scheduled::FailedElsewhere { run, tries }) => {
                watched.log(Level::Info, "it failed on another node a moment ago");
                let again = task.again(tries, Utc::now());
                elsewhere(&run, again)?;
                Ok(again.map_or(Night::Elsewhere, Night::Again))
            }
            Ok(Scheduled::Taken(taken)) => {
                let report = watched.report(Ok(&taken));
                let is_good = report.is_good();
                self.close(report, &self.circumstances(task), progress);
                Ok(if is_good { Night::Good } else { Night::Partial })
            }
            Err(error) => {
                let again = is_worth_another_try(error.kind())
                    .then(|| task.again(task.tries + 1, Utc::now()))
                    .flatten();
                let mut report = watched.report(Err(&error));
                report.retry_at = again.map(|again| again.at);
                if let Some(again) = again {
                    let at = again.at.with_timezone(&self.zone).format("%H:%M %Z");
                    let name = &task.schedule.name;
                    progress.warn(&format!(
                        "schedule {name}: {error}; it is tried again at {at}"
                    ));
                }
                self.close(report, &self.circumstances(task), progress);
                again.map(Night::Again).ok_or(error)
            }
        }
    }

    /// The copies of a night's backup are made, or not. One that is not is told as something partial, and once all are
    /// made again that is told too.
    pub fn copied(&self, copied: &CopiesOfANight<'_>, progress: &dyn Progress) {
        let task = copied.task;
        let mut problems = Vec::new();
        let mut hint: Option<String> = None;
        let mut outcome = OK.to_owned();
        let mut failed = |problem: String, kind: &str, advice: Option<&str>| {
            progress.warn(&problem);
            problems.push(problem);
            hint = hint.take().or_else(|| advice.map(str::to_owned));
            let is_stopped = kind == ErrorKind::Cancelled.name();
            outcome = if is_stopped {
                outcome_word(ErrorKind::Cancelled)
            } else {
                PARTIAL.to_owned()
            };
        };
        match &copied.outcomes {
            Err(error) => failed(
                format!("nothing was copied: {error}"),
                error.kind().name(),
                error.hint_text(),
            ),
            Ok(outcomes) => {
                for outcome in outcomes {
                    let (name, message) = (&outcome.repository, &outcome.message);
                    if let Some(kind) = outcome.error {
                        let message = message.as_deref().unwrap_or_default();
                        let problem = format!("not copied to `{name}`: {message}");
                        failed(problem, kind, outcome.hint.as_deref());
                    }
                }
            }
        }
        let report = RunReport {
            backup_type: Some(BackupType::Scheduled),
            occasion: Some(occasion(task)),
            outcome,
            hint: (!problems.is_empty()).then(|| {
                let hint = hint.map_or_else(String::new, |hint| format!("{hint} "));
                format!("{hint}The backup itself is there. To copy it later: obbackup copy latest --to NAME")
            }),
            message: (!problems.is_empty()).then(|| problems.join("; ")),
            ..self.report(COPY, &copied.names.join(", "), copied.started_at)
        };
        self.close(report, &Circumstances::default(), progress);
    }

    /// A schedule's moment goes by without a run, because `reason` lasted too long.
    pub fn skip(&self, task: &Task<'_>, place: &str, reason: &Error, progress: &dyn Progress) {
        let report = RunReport {
            backup_type: Some(BackupType::Scheduled),
            occasion: Some(occasion(task)),
            outcome: SKIPPED.to_owned(),
            message: Some(format!("other work lasted too long: {}", reason.message())),
            hint: reason.hint_text().map(str::to_owned),
            ..self.report(BACKUP, place, Utc::now())
        };
        self.close(report, &self.circumstances(task), progress);
    }

    /// Tells that what is stored is not what was written.
    pub fn verify_failed(&self, place: &str, error: &Error, progress: &dyn Progress) {
        let report = RunReport {
            id: String::new(),
            outcome: outcome_word(error.kind()),
            message: Some(error.message()),
            hint: error.hint_text().map(str::to_owned),
            ..self.report("verify", place, Utc::now())
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
        if task.tries > 0 {
            notes.push(format!(
                "Tries of this run that failed before: {}.",
                task.tries
            ));
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

    /// Of a run of this machine that ended well just now, with an id that no record in the repository has.
    fn report(&self, command: &str, place: &str, started_at: DateTime<Utc>) -> RunReport {
        let id = random_id(8).unwrap_or_default();
        RunReport::ended(id, command, place, &self.instance.host, started_at)
    }

    /// The run has ended.
    fn close(&self, report: RunReport, circumstances: &Circumstances, progress: &dyn Progress) {
        let before = self.state.history(1, |known| {
            known.command == report.command
                && schedule_of(known) == schedule_of(&report)
                && known.is_final()
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
            let again = report.retry_at.map_or_else(String::new, |at| {
                let at = at.with_timezone(&self.zone).format("%H:%M %Z");
                format!("; it is tried again at {at}")
            });
            (
                Level::Error,
                format!("{}: {message}{hint}{again}", report.outcome),
            )
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
    if !report.is_final() {
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
    // Of copies only their failures and the end of these: the backup has been told of.
    if report.is_good() && report.command == BACKUP {
        events.push(Event::Succeeded);
    }
    events
}

/// Takes a backup that somebody asked for. `zone` is the one that people are told times in.
pub fn back_up(
    instance: &Instance,
    configuration: &Configuration,
    zone: Tz,
    wanted: &Wanted<'_>,
    open: impl FnOnce() -> Result<Repository>,
    progress: &dyn Progress,
) -> Result<BackupTaken> {
    let (options, surroundings) = (wanted.options, wanted.surroundings);
    let take = |progress: &dyn Progress| {
        let repository = open()?;
        let taken = backup::run(instance, &repository, options, surroundings, progress)?;
        expire(instance, configuration, &repository, surroundings, progress);
        Ok(taken)
    };
    let books = match Books::open(instance, configuration, zone) {
        Ok(books) => books,
        Err(error) => {
            progress.warn(&format!("nothing is written down of this run: {error}"));
            return take(progress);
        }
    };
    let watched = Watched::new(&books, progress, wanted, None);
    let taken = take(&watched);
    let report = watched.report(taken.as_ref());
    books.close(report, &Circumstances::default(), progress);
    taken
}

/// What restores have replaced is kept for some days only.
fn expire(
    instance: &Instance,
    configuration: &Configuration,
    repository: &Repository,
    surroundings: &Surroundings,
    progress: &dyn Progress,
) {
    let expiry = Expiry {
        instance,
        repository,
        surroundings,
        progress,
    };
    expiry.expire_due(configuration.restore.keeps_old());
}

/// The repository's record of a run, as the history has it.
pub fn from_record(run: &Run, place: &str) -> RunReport {
    let host = run.host.as_deref().unwrap_or_default();
    RunReport {
        backup_type: run.backup_type,
        occasion: run.occasion.clone(),
        finished_at: run.finished_at,
        outcome: run.outcome.clone(),
        message: run.message.clone(),
        backup: run.backup,
        ..RunReport::ended(run.id.clone(), &run.command, place, host, run.started_at)
    }
}

/// The last `count` runs of an instance, the newest first: those of its own history, and with a repository
/// those of other nodes and places that it has a record of.
pub fn recent(
    state: &StateDirectory,
    repository: Option<(&Repository, &Instance)>,
    count: usize,
) -> Result<Vec<RunReport>> {
    let mut reports = state.history(count, |_| true)?;
    if let Some((repository, instance)) = repository {
        let place = repository.storage().location();
        // That a repository was made for the instance is a record, and no run that anybody looks for.
        let is_asked = |run: &Run| run.instance == instance.id && run.command != "init";
        for run in repository.last_runs(count, is_asked)? {
            if !reports.iter().any(|report| report.id == run.id) {
                reports.push(from_record(&run, &place));
            }
        }
        reports.sort_by_key(|report| std::cmp::Reverse(report.finished_at));
        reports.truncate(count);
    }
    Ok(reports)
}
