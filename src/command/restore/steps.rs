//! The swap itself: forward to the new state, or back to the one before, from wherever it stands.
//!
//! Forward: stop the application; close both databases and end their sessions; carry the database-level
//! state over; rename the live database, then the new one; exchange the files entry by entry; open the
//! database; start the application; ask it whether it answers. Then the new state is the instance's.
//! Backward is the same in the opposite order. Each step looks at how things are and does what is missing,
//! so both can begin anywhere, also where a crash or the other direction broke off.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::failure::{PutBack, left_over, not_started, stuck};
use super::journal::{Header, Journal, Outcome, Purpose, Record};
use super::staging::{self, Stage};
use super::{Control, Steady, states};
use crate::command::OWN_DIRECTORY;
use crate::command::database::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::Part;
use crate::instance::Instance;
use crate::instance::state::{PRIVATE, make_directory};
use crate::postgresql::Session;
use crate::progress::Progress;
use crate::target::database::{carry_over, standing};
use crate::target::swap::{Entry, Leg, Way};
use crate::tomcat::Application;

/// A swap at work.
pub(super) struct Steps<'a> {
    pub(super) journal: Journal,
    /// Where the databases are, unless they are left out.
    pub(super) connection: Option<Connection>,
    pub(super) control: Control<'a>,
    pub(super) progress: &'a dyn Progress,
}

/// What was found out when live things were about to change.
#[derive(Clone, Copy)]
struct Before {
    live_database: Option<u32>,
    live_is_open: bool,
    new_database: Option<u32>,
    application_ran: bool,
}

const PAUSE: Duration = Duration::from_millis(100);

/// A database by its number, for the errors of what happens to it.
type Number = Option<u32>;

impl<'a> Steps<'a> {
    /// Of a run that begins: from here on its journal tells of it.
    pub(super) fn of_run(
        instance: &Instance,
        header: Header,
        connection: Option<Connection>,
        control: Control<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let directory = instance.source_path.join(OWN_DIRECTORY).join(&header.run);
        make_directory(&directory, instance.owner, PRIVATE)?;
        Ok(Self {
            journal: Journal::begin(&directory, header, instance.owner)?,
            connection,
            control,
            progress,
        })
    }

    /// Ends a run that has changed nothing live, because of `error`, which comes back.
    pub(super) fn give_up(mut self, error: Error) -> Error {
        let error = match self.start_again() {
            Ok(()) => error,
            Err(second) => not_started(&error, &second, &self.how_to_start()),
        };
        if let Err(why) = self.clear() {
            let later = "The next command of obbackup removes it";
            return left_over(&error, &why, &self.journal, later);
        }
        // Where this cannot be written, the next run finds nothing left to clear.
        self.end(Outcome::Cleared).ok();
        states::forget_cleared(self.journal.directory());
        error
    }

    /// Puts everything back because of `error`, and forgets the run where it keeps nothing.
    pub(super) fn take_back(self, error: &Error) -> Error {
        let directory = self.journal.directory().to_owned();
        let failed = self.backward(error);
        states::forget_cleared(&directory);
        failed
    }

    /// Stops the application before anything else changes; [`Self::start_again`] takes that back.
    pub(super) fn stop_first(&mut self) -> Result<()> {
        let application_ran = self.application_runs()?;
        self.record(Record::Stopping { application_ran })?;
        self.stop()
    }

    /// Starts what was stopped first.
    pub(super) fn start_again(&self) -> Result<()> {
        let application_ran = true;
        if self.journal.has(&Record::Stopping { application_ran }) {
            self.start()?;
        }
        Ok(())
    }

    /// Writes down how things are just before they change.
    pub(super) fn begin(&mut self) -> Result<()> {
        let mut record = Record::Swapping {
            live_database: None,
            live_is_open: true,
            new_database: None,
            application_ran: self.application_runs()?,
        };
        if let (
            Some(names),
            Record::Swapping {
                live_database,
                live_is_open,
                new_database,
                ..
            },
        ) = (&self.journal.header()?.database, &mut record)
        {
            let mut session = self.session()?;
            if let Some(live) = standing::find(&mut session, &names.live)? {
                (*live_database, *live_is_open) = (Some(live.oid), live.is_open);
            }
            let new = standing::find(&mut session, &names.new)?;
            *new_database = Some(new.map(|new| new.oid).ok_or_else(|| absent(&names.new))?);
        }
        self.record(record)
    }

    /// To the end, or as far as it goes.
    pub(super) fn forward(&mut self) -> Result<()> {
        if !self.journal.has(&Record::Committed) {
            if !self.journal.has(&Record::Starting) {
                self.exchange()?;
                self.record(Record::Starting)?;
            }
            self.start()?;
            self.probe()?;
            self.record(Record::Committed)?;
        }
        // From here on there is no way back, only things to tidy, which the next run can do as well.
        if let Err(error) = self.finish() {
            self.progress.warn(&format!(
                "the new state is live, but the restore could not tidy up: {error}"
            ));
        }
        Ok(())
    }

    fn exchange(&mut self) -> Result<()> {
        let before = self.before()?;
        self.stop()?;
        self.progress.stage("swap", None);
        self.close(before.live_database)?;
        self.close(before.new_database)?;
        if let Some(names) = self.journal.header()?.database.clone() {
            if self.is_called(before.live_database, &names.live)? {
                self.effect("carry over", |steps| {
                    steps.ask(|session| carry_over(session, &names.live, &names.new))
                })?;
                self.rename(before.live_database, &names.old)?;
            }
            self.rename(before.new_database, &names.live)?;
        }
        self.survey()?;
        let stages = self.journal.header()?.files.clone();
        let exchanges = self.journal.exchanges().to_vec();
        for (stage, exchange) in stages.iter().zip(&exchanges) {
            self.effect("prepare", |_| stage.areas.prepare(exchange))?;
            for entry in &exchange.entries {
                self.move_entry(stage, entry, Way::Forward)?;
            }
            self.effect("dress", |_| stage.areas.dress(exchange))?;
        }
        self.open(before.new_database)
    }

    /// After the new state is the instance's: what nobody needs any more goes.
    fn finish(&mut self) -> Result<()> {
        let before = self.before()?;
        if before.live_is_open {
            self.open(before.live_database)?;
        }
        let header = self.journal.header()?.clone();
        for stage in &header.files {
            self.effect("tidy", |steps| match header.purpose {
                // What is left there is in the backup, and has no place here.
                Purpose::Restore { .. } => steps.remove_staged(stage),
                // The only copy of it, should there be anything.
                Purpose::Undo { .. } => {
                    staging::remove_empty(&stage.areas.staged);
                    Ok(())
                }
            })?;
        }
        if let Some(undone) = self.undone()? {
            self.effect("forget", |_| states::forget(&undone))?;
        }
        self.end(Outcome::Done)
    }

    /// Deletes what is live: the database, and of the files what a restore replaces.
    pub(super) fn delete_old(&mut self, instance: &Instance) -> Result<()> {
        let header = self.journal.header()?.clone();
        self.progress.stage("deleting the old state", None);
        if let Some(names) = &header.database {
            self.effect("drop old", |steps| {
                steps.ask(|session| standing::drop(session, &names.live))
            })?;
        }
        // The configuration is small, and without it no command would find the instance again.
        let large = |stage: &&Stage| stage.part != Part::Configuration;
        for stage in header.files.iter().filter(large) {
            self.effect("delete old", |_| {
                stage.make(instance.owner)?;
                stage.delete_live()
            })?;
        }
        Ok(())
    }

    /// Puts everything back and says how that went: an error of kind `RolledBack` where all is as it was,
    /// of `ActionNeeded` where it is not.
    pub(super) fn backward(self, error: &Error) -> Error {
        // Whoever asked to stop wants things put back, not left half-way.
        let steady = Steady(self.progress);
        let mut back = Steps {
            journal: self.journal,
            connection: self.connection,
            control: self.control,
            progress: &steady,
        };
        match back.put_back(&error.message()) {
            Ok(put_back) => put_back.report(error, &back.journal),
            Err(second) => stuck(error, &second, &back.describe(), &back.journal),
        }
    }

    /// The state before is live again.
    fn put_back(&mut self, because: &str) -> Result<PutBack> {
        if self.journal.reversing().is_none() {
            // Where this cannot be written, what follows is right all the same: after a crash the next run
            // would go forward again from there.
            let because = because.to_owned();
            self.record(Record::Reversing { because }).ok();
        }
        let before = self.before()?;
        let noted = if self.journal.has(&Record::Reversed) {
            Ok(())
        } else {
            self.reverse(before)?;
            self.record(Record::Reversed)
        };
        let application = if before.application_ran {
            self.start().and_then(|()| self.probe())
        } else {
            Ok(())
        };
        noted?;
        // Of an undo that is an old state, which stays; else it is the backup's, which nobody needs.
        let cleared = if matches!(self.journal.header()?.purpose, Purpose::Undo { .. }) {
            self.open(before.new_database)?;
            Ok(())
        } else {
            self.clear()
        };
        self.end(Outcome::PutBack {
            because: self.journal.reversing().unwrap_or(because).to_owned(),
            kept: cleared.is_err(),
        })?;
        Ok(PutBack {
            application,
            how_to_start: self.how_to_start(),
            cleared,
        })
    }

    /// The exchange in the opposite order.
    fn reverse(&mut self, before: Before) -> Result<()> {
        let names = self.journal.header()?.database.clone();
        if self.journal.has(&Record::Starting) || self.has_begun()? {
            self.stop()?;
        }
        self.progress.stage("putting back", None);
        if let Some(names) = &names
            && self.is_called(before.new_database, &names.live)?
        {
            self.close(before.new_database)?;
        }
        let stages = self.journal.header()?.files.clone();
        let exchanges = self.journal.exchanges().to_vec();
        for (stage, exchange) in stages.iter().zip(&exchanges).rev() {
            for entry in exchange.entries.iter().rev() {
                self.move_entry(stage, entry, Way::Back)?;
            }
            self.effect("undress", |_| stage.areas.undress(exchange))?;
        }
        if let Some(names) = &names {
            self.rename(before.new_database, &names.new)?;
            self.rename(before.live_database, &names.live)?;
        }
        if before.live_is_open {
            self.open(before.live_database)?;
        }
        Ok(())
    }

    /// Takes away what was staged, as much as can be; nothing live has been touched, or all of it is back.
    pub(super) fn clear(&mut self) -> Result<()> {
        let header = self.journal.header()?.clone();
        if matches!(header.purpose, Purpose::Undo { .. }) {
            return Ok(());
        }
        let dropped = match &header.database {
            Some(names) => self.effect("drop", |steps| {
                steps.ask(|session| standing::drop(session, &names.new))
            }),
            None => Ok(()),
        };
        let stages = header.files.iter();
        stages.fold(dropped, |trouble, stage| {
            let removed = self.effect("remove staged", |steps| steps.remove_staged(stage));
            trouble.and(removed)
        })
    }

    /// Of a state that is not kept, what was not deleted before goes too.
    fn remove_staged(&self, stage: &Stage) -> Result<()> {
        if self.journal.has(&Record::Deleting) {
            stage.remove()
        } else {
            stage.remove_staged()
        }
    }

    /// The last record.
    pub(super) fn end(&mut self, outcome: Outcome) -> Result<()> {
        let at = Utc::now();
        self.record(Record::Finished { outcome, at })
    }

    /// Whether anything live was replaced: from then on the way forward is as short as the way back.
    pub(super) fn has_begun(&self) -> Result<bool> {
        let Ok(before) = self.before() else {
            return Ok(false);
        };
        let header = self.journal.header()?;
        if let Some(names) = &header.database {
            let renamed = match before.live_database {
                Some(_) => !self.is_called(before.live_database, &names.live)?,
                None => self.is_called(before.new_database, &names.live)?,
            };
            if renamed {
                return Ok(true);
            }
        }
        Ok(header
            .files
            .iter()
            .zip(self.journal.exchanges())
            .any(|(stage, exchange)| {
                let mut entries = exchange.entries.iter();
                entries.any(|entry| stage.areas.has_begun(entry))
            }))
    }

    fn before(&self) -> Result<Before> {
        self.journal
            .records()
            .iter()
            .find_map(|record| match record {
                Record::Swapping {
                    live_database,
                    live_is_open,
                    new_database,
                    application_ran,
                } => Some(Before {
                    live_database: *live_database,
                    live_is_open: *live_is_open,
                    new_database: *new_database,
                    application_ran: *application_ran,
                }),
                _ => None,
            })
            .ok_or_else(|| Error::new(ErrorKind::Failure, "the swap has not begun"))
    }

    /// The directory of the run that this one undoes.
    fn undone(&self) -> Result<Option<PathBuf>> {
        Ok(match &self.journal.header()?.purpose {
            Purpose::Undo { of } => Some(self.journal.directory().with_file_name(of)),
            Purpose::Restore { .. } => None,
        })
    }

    fn survey(&mut self) -> Result<()> {
        if !self.journal.exchanges().is_empty() {
            return Ok(());
        }
        let stages = self.journal.header()?.files.clone();
        let found = stages.iter().map(Stage::survey);
        let mut exchanges = found.collect::<Result<Vec<_>>>()?;
        if exchanges.is_empty() {
            return Ok(());
        }
        if let Some(undone) = self.undone()? {
            // The directories in which old entries are kept do not look as those did that they come from.
            let before = Journal::open(&undone)?;
            for (exchange, of) in exchanges.iter_mut().zip(before.exchanges()) {
                exchange.take_looks_before(of);
            }
        }
        self.record(Record::Surveyed { exchanges })
    }

    fn move_entry(&mut self, stage: &Stage, entry: &Entry, way: Way) -> Result<()> {
        let copied = self.journal.copied(stage.part, &entry.path);
        let (what, tripwire) = (entry.path.to_string(), self.control.tripwire);
        let journal = &mut self.journal;
        let mut before_copy = |leg: Leg| {
            journal.append(Record::Copying {
                part: stage.part,
                path: entry.path.clone(),
                leg,
            })
        };
        let mut go = || stage.areas.exchange(entry, way, copied, &mut before_copy);
        match tripwire {
            Some(tripwire) => tripwire.around(&what, go),
            None => go(),
        }
    }

    fn stop(&self) -> Result<()> {
        match self.control.application {
            Some(application) if application.is_running()? => {
                self.effect("stop", |steps| application.stop(steps.progress))
            }
            _ => Ok(()),
        }
    }

    fn start(&self) -> Result<()> {
        match self.control.application {
            Some(application) if !application.is_running()? => {
                self.effect("start", |steps| application.start(steps.progress))
            }
            _ => Ok(()),
        }
    }

    fn probe(&self) -> Result<()> {
        let Some(application) = self.control.application else {
            return Ok(());
        };
        self.effect("probe", |steps| application.probe(steps.progress))
    }

    fn how_to_start(&self) -> String {
        let application = self.control.application;
        application.map_or_else(String::new, Application::how_to_start)
    }

    fn application_runs(&self) -> Result<bool> {
        let application = self.control.application;
        application.map_or(Ok(false), Application::is_running)
    }

    /// Asks the server, also one that restarts meanwhile: whatever is asked can be asked twice.
    fn ask<T>(&self, work: impl Fn(&mut Session) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.control.patience;
        loop {
            match self.session().and_then(|mut session| work(&mut session)) {
                Err(error)
                    if error.kind() == ErrorKind::Unreachable && Instant::now() < deadline =>
                {
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    fn session(&self) -> Result<Session> {
        self.connection
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::Failure, "no database is part of this"))?
            .administrator()
    }

    fn is_called(&self, number: Number, name: &str) -> Result<bool> {
        let Some(oid) = number else { return Ok(false) };
        let found = self.ask(|session| standing::find_number(session, oid))?;
        Ok(found.is_some_and(|found| found.name == name))
    }

    /// Under whatever name it has now, nobody is and gets connected to it.
    fn close(&self, number: Number) -> Result<()> {
        self.with(number, "close", |session, found| {
            standing::set_open(session, &found.name, false)?;
            standing::end_sessions(session, &found.name)
        })
    }

    fn open(&self, number: Number) -> Result<()> {
        self.with(number, "open", |session, found| {
            standing::set_open(session, &found.name, true)
        })
    }

    fn rename(&self, number: Number, to: &str) -> Result<()> {
        self.with(number, "rename", |session, found| {
            if found.name == to {
                return Ok(());
            }
            standing::end_sessions(session, &found.name)?;
            standing::rename(session, &found.name, to)
        })
    }

    fn with(
        &self,
        number: Number,
        what: &str,
        work: impl Fn(&mut Session, &standing::Standing) -> Result<()>,
    ) -> Result<()> {
        let Some(oid) = number else { return Ok(()) };
        self.effect(what, |steps| {
            steps.ask(|session| {
                let found = standing::find_number(session, oid)?
                    .ok_or_else(|| absent(&format!("number {oid}")))?;
                work(session, &found)
            })
        })
    }

    pub(super) fn record(&mut self, record: Record) -> Result<()> {
        match self.control.tripwire {
            Some(tripwire) => tripwire.around("record", || self.journal.append(record)),
            None => self.journal.append(record),
        }
    }

    fn effect(&self, what: &str, run: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        match self.control.tripwire {
            Some(tripwire) => tripwire.around(what, || run(self)),
            None => run(self),
        }
    }

    /// Where everything is, for somebody who has to put it in order by hand.
    fn describe(&self) -> String {
        let mut lines = Vec::new();
        let (Ok(header), Ok(before)) = (self.journal.header(), self.before()) else {
            return String::new();
        };
        if let Some(names) = &header.database {
            for (number, should) in [
                (before.live_database, &names.live),
                (before.new_database, &names.new),
            ] {
                let Some(oid) = number else { continue };
                let found = self
                    .session()
                    .and_then(|mut session| standing::find_number(&mut session, oid));
                lines.push(match found {
                    Ok(Some(found)) if found.name == *should => {
                        format!("database `{should}` has its own name")
                    }
                    Ok(Some(found)) => format!(
                        "database `{}` should be `{should}`: ALTER DATABASE \"{}\" RENAME TO \"{should}\"",
                        found.name, found.name
                    ),
                    Ok(None) => format!("database `{should}` is not there"),
                    Err(error) => format!("how database `{should}` is called is unknown: {error}"),
                });
            }
        }
        for (stage, exchange) in header.files.iter().zip(self.journal.exchanges()) {
            let away = |entry: &&Entry| stage.areas.has_begun(entry);
            let count = exchange.entries.iter().filter(away).count();
            if count == 0 {
                lines.push(format!("{}: as before", stage.part));
            } else {
                lines.push(format!(
                    "{}: {count} of {} entries of `{}` are still in `{}`",
                    stage.part,
                    exchange.entries.len(),
                    show(&stage.areas.root),
                    show(&stage.areas.old)
                ));
            }
        }
        if let Some(application) = self.control.application {
            let state = match application.is_running() {
                Ok(true) => "runs".to_owned(),
                Ok(false) => "is stopped".to_owned(),
                Err(error) => format!("may run or not: {error}"),
            };
            lines.push(format!("{} {state}", application.name()));
        }
        lines.join("; ")
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn absent(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("database {what} is gone"))
        .hint("Somebody dropped it meanwhile: see the server's log.")
}
