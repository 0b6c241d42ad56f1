//! Schedules in the real world: the machine's clock, the configuration file, the instance and its repositories.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::backup::BackupOptions;
use super::copy::{self, CopyOutcome, copy_to_each};
use super::forget::{self, ForgetOptions};
use super::runs::{Books, CopiesOfANight, Night, Wanted};
use super::surroundings::Surroundings;
use super::watch;
use crate::config::schedule::ScheduleSection;
use crate::config::{Configuration, ConfigurationFile, Owner, RepositoryChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::BackupType;
use crate::instance::state::StateDirectory;
use crate::instance::{Environment, Instance};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::schedule::Schedule;
use crate::schedule::ledger::Ledger;
use crate::schedule::runner::{End, Runner, Task, World};
use crate::tomcat;
use crate::tomcat::systemd::Systemd;

/// Held by the one process that runs the schedules of an instance on a machine.
const LOCK: &str = "schedule.lock";
/// A change of the clock or of the configuration is seen within so much.
const LOOK: Duration = Duration::from_secs(30);
/// A request to stop is seen within so much.
const SLICE: Duration = Duration::from_millis(200);
/// Between two looks at how old the last good backup is.
const WATCH_INTERVAL: Duration = Duration::from_hours(1);

/// Where an instance is, and what it needs.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its sources.
    pub source_path: PathBuf,
    /// Its configuration file.
    pub configuration_path: PathBuf,
    /// What it depends on outside of its own files.
    pub environment: Environment,
    /// What commands work with.
    pub surroundings: Surroundings,
    /// The zone of schedules that name none.
    pub zone: Tz,
}

impl Place {
    /// The configuration and the instance as they are now.
    pub fn open(&self) -> Result<(Configuration, Instance)> {
        let file = ConfigurationFile::open(&self.configuration_path)?;
        let configuration = file.configuration().clone();
        let systemd = Systemd::running();
        let instance = tomcat::open(
            &self.source_path,
            &self.environment,
            &configuration,
            systemd.as_ref(),
        )?;
        Ok((configuration, instance))
    }
}

/// The schedules of `configuration`, in the order of their names.
pub fn schedules(configuration: &Configuration, zone: Tz) -> Result<Vec<Schedule>> {
    let sections = configuration.schedule.iter();
    sections
        .map(|(name, section)| understood(configuration, name, section, zone))
        .collect()
}

/// Adds a schedule to the configuration, or changes it; only one that can be understood. To be saved afterwards.
pub fn set_schedule(
    file: &mut ConfigurationFile,
    name: &str,
    section: &ScheduleSection,
    zone: Tz,
) -> Result<Schedule> {
    let schedule = understood(file.configuration(), name, section, zone)?;
    file.set_schedule(name, section)?;
    Ok(schedule)
}

fn understood(
    configuration: &Configuration,
    name: &str,
    section: &ScheduleSection,
    zone: Tz,
) -> Result<Schedule> {
    let schedule = Schedule::new(name, section, zone)?;
    configuration
        .repository(schedule.repository.as_deref())
        .map_err(|error| error.context(format!("[schedule.{name}]")))?;
    Ok(schedule)
}

/// Runs the schedules of the instance at `place` until `stop` is set. `progress` is told of each run; what it says
/// about stopping does not count.
pub fn run(place: &Place, stop: &AtomicBool, progress: &dyn Progress) -> Result<()> {
    let (nights, instance) = Nights::open(place, stop, progress)?;
    Runner::new(&nights, &instance).run(stop)
}

/// Runs what is due now, and ends; false where another process runs the schedules already.
pub fn run_once(place: &Place, stop: &AtomicBool, progress: &dyn Progress) -> Result<bool> {
    let (nights, instance) = Nights::open(place, stop, progress)?;
    Runner::new(&nights, &instance).run_once(stop)
}

/// The process of this machine that runs the schedules of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerProcess {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub program: String,
}

impl fmt::Display for RunnerProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = match self.program.as_str() {
            "java" => "the web application",
            "" => "a process",
            program => program,
        };
        match self.pid {
            0 => f.write_str(program),
            pid => write!(f, "{program} (process {pid})"),
        }
    }
}

/// Who runs the schedules of the instance on this machine now, if anybody does. Changes nothing.
pub fn runner(instance: &Instance) -> Result<Option<RunnerProcess>> {
    let Some(state) = instance.state_if_any() else {
        return Ok(None);
    };
    let Some(written) = state.read(LOCK)? else {
        return Ok(None);
    };
    if state.try_lock(LOCK)?.is_some() {
        return Ok(None);
    }
    // Who holds it wrote its number; where it could not, somebody holds it all the same.
    let pid = std::str::from_utf8(&written).ok();
    let pid = pid.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Ok(Some(RunnerProcess {
        pid,
        program: name.trim().to_owned(),
    }))
}

struct Nights<'a> {
    place: &'a Place,
    stop: &'a AtomicBool,
    progress: Stoppable<'a>,
    state: StateDirectory,
    known: RefCell<(Configuration, Instance)>,
    held: RefCell<Option<File>>,
    watched: RefCell<Option<Instant>>,
}

impl<'a> Nights<'a> {
    fn open(
        place: &'a Place,
        stop: &'a AtomicBool,
        progress: &'a dyn Progress,
    ) -> Result<(Self, String)> {
        let (configuration, instance) = place.open()?;
        // What is wrong now is an error; what gets wrong later is a warning, and what was known holds.
        schedules(&configuration, place.zone)?;
        let id = instance.id.clone();
        let nights = Self {
            place,
            stop,
            progress: Stoppable { progress, stop },
            state: instance.state()?,
            known: RefCell::new((configuration, instance)),
            held: RefCell::default(),
            watched: RefCell::default(),
        };
        Ok((nights, id))
    }

    fn try_run(&self, task: &Task<'_>) -> Result<End> {
        let opened = self.place.open();
        let mut refused = opened.as_ref().err().map(Error::duplicate);
        if let Ok(known) = opened {
            self.known.replace(known);
        }
        // Where it cannot be read any more, what was known serves to record and to tell that.
        let known = self.known.borrow();
        let (configuration, instance) = &*known;
        let books = Books::open(instance, configuration, task.schedule.zone)?;
        let choice = configuration.repository(task.schedule.repository.as_deref());
        let place = choice
            .as_ref()
            .map_or("", |choice| choice.section.url.as_str());
        let options = BackupOptions {
            backup_type: BackupType::Scheduled,
            label: task.schedule.label.clone(),
            pin: false,
            only: task.schedule.only.clone(),
            read_all: false,
        };
        let wanted = Wanted {
            place,
            options: &options,
            surroundings: &self.place.surroundings,
        };
        let open = || match (refused.take(), &choice) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(error.duplicate()),
            (None, Ok(choice)) => self.repository(choice, Some(instance.owner)),
        };
        let night = books.back_up_scheduled(task, &wanted, open, &self.progress);
        if let Ok(choice) = &choice {
            if matches!(night, Ok(Night::Good | Night::Partial)) {
                self.copy_on(&books, configuration, choice, instance, task);
            }
            // The backup is good and told of. What nobody needs may wait for the next night.
            if matches!(night, Ok(Night::Good))
                && configuration.retention.has_rules()
                && let Err(error) = self.tidy(configuration, instance, choice)
            {
                self.warn(&format!("older backups could not be forgotten: {error}"));
            }
            // One that waits for other work has left nothing, and comes again every few seconds.
            let waits = matches!(&night, Err(error) if error.kind() == ErrorKind::Locked);
            if !waits && !self.stop.load(Ordering::Relaxed) {
                self.watch_room(&books, choice);
            }
        }
        match night? {
            Night::Again(again) => Ok(End::Failed(again)),
            Night::Good | Night::Partial | Night::Elsewhere => Ok(End::Done),
        }
    }

    /// Looks at the room that a run has left, also one that failed for want of it. Where the repository cannot be
    /// opened the run has told so.
    fn watch_room(&self, books: &Books<'_>, choice: &RepositoryChoice) {
        if let Ok(repository) = self.repository(choice, None)
            && let Err(error) = repository.until_stopped(&self.progress, || {
                watch::room(books, &repository, &self.progress)
            })
            && error.kind() != ErrorKind::Cancelled
        {
            self.warn(&format!("the room for backups cannot be told: {error}"));
        }
    }

    /// Forgets what no rule keeps, and gives back its room.
    fn tidy(
        &self,
        configuration: &Configuration,
        instance: &Instance,
        choice: &RepositoryChoice,
    ) -> Result<()> {
        let repository = self.repository(choice, Some(instance.owner))?;
        let options = ForgetOptions {
            retention: configuration.retention.clone(),
            ..ForgetOptions::default()
        };
        forget::run_and_prune(instance, &repository, &options, true, &self.progress).map(drop)
    }

    fn repository(&self, choice: &RepositoryChoice, owner: Option<Owner>) -> Result<Repository> {
        Repository::at_until_stopped(&choice.section, owner, self.cache(), &self.progress)
    }

    fn cache(&self) -> Option<&Path> {
        self.place.surroundings.cache_directory.as_deref()
    }

    /// Copies the backup that was just taken to the repositories of `copy_to`. The backup is there, whatever becomes of
    /// a copy; what became of it goes into the books.
    fn copy_on(
        &self,
        books: &Books<'_>,
        configuration: &Configuration,
        choice: &RepositoryChoice,
        instance: &Instance,
        task: &Task<'_>,
    ) {
        if choice.section.copy_to.is_empty() {
            return;
        }
        let started_at = self.now();
        let owner = Some(instance.owner);
        let copies = || -> Result<Vec<CopyOutcome>> {
            let targets = copy::targets(configuration, &choice.section, &[])?;
            let from = self.repository(choice, owner)?;
            let backup = from.until_stopped(&self.progress, || {
                from.resolve("latest", Some(&instance.id))
            })?;
            let cache = self.cache();
            Ok(copy_to_each(
                &from,
                &backup,
                &targets,
                owner,
                cache,
                &self.progress,
            ))
        };
        let copied = CopiesOfANight {
            task,
            names: &choice.section.copy_to,
            started_at,
            outcomes: copies(),
        };
        books.copied(&copied, &self.progress);
    }

    /// Looks how old the last good backup is.
    fn watch(&self) -> Result<()> {
        let (configuration, instance) = self.place.open()?;
        let books = Books::open(&instance, &configuration, self.place.zone)?;
        watch::good_backup(&books, self.now(), &self.progress)
    }
}

impl World for Nights<'_> {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn pause(&self, at_most: TimeDelta) {
        if self.held.borrow().is_some() {
            self.progress.stage("waiting for the next run", None);
        }
        let until = Instant::now() + at_most.to_std().unwrap_or_default().min(LOOK);
        while !self.stop.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }

    fn claim(&self) -> Result<bool> {
        let mut held = self.held.borrow_mut();
        if held.is_none() {
            *held = self.state.try_lock(LOCK)?;
            if let Some(file) = held.as_mut() {
                // For people only: the lock is what counts.
                let _ = file
                    .set_len(0)
                    .and_then(|()| write!(file, "{}", std::process::id()));
            }
        }
        Ok(held.is_some())
    }

    fn schedules(&self) -> Result<Vec<Schedule>> {
        let file = ConfigurationFile::open(&self.place.configuration_path)?;
        schedules(file.configuration(), self.place.zone)
    }

    fn load(&self) -> Result<Ledger> {
        let bytes = self.state.read(Ledger::FILE)?;
        Ok(bytes.map_or_else(Ledger::default, |bytes| Ledger::parse(&bytes)))
    }

    fn save(&self, ledger: &Ledger) -> Result<()> {
        self.state.write(Ledger::FILE, &ledger.to_bytes()?)
    }

    fn run(&self, task: &Task<'_>) -> End {
        match self.try_run(task) {
            Err(error) if error.kind() == ErrorKind::Locked => End::Busy(error),
            Err(error) => {
                if self.stop.load(Ordering::Relaxed) && error.kind() == ErrorKind::Cancelled {
                    return End::Stopped;
                }
                let hint = error
                    .hint_text()
                    .map_or_else(String::new, |hint| format!(". {hint}"));
                self.warn(&format!("schedule {}: {error}{hint}", task.schedule.name));
                End::Done
            }
            Ok(end) => end,
        }
    }

    fn skip(&self, task: &Task<'_>, reason: &Error) {
        let skipped = self.place.open().and_then(|(configuration, instance)| {
            let choice = configuration.repository(task.schedule.repository.as_deref())?;
            let books = Books::open(&instance, &configuration, task.schedule.zone)?;
            books.skip(task, &choice.section.url, reason, &self.progress);
            Ok(())
        });
        let name = &task.schedule.name;
        self.warn(&format!(
            "schedule {name}: left out, because other work lasted too long: {reason}"
        ));
        if let Err(error) = skipped {
            self.warn(&format!(
                "schedule {name}: that could not be recorded: {error}"
            ));
        }
    }

    fn idle(&self) {
        let is_time = self
            .watched
            .borrow()
            .is_none_or(|last| last.elapsed() >= WATCH_INTERVAL);
        if is_time {
            *self.watched.borrow_mut() = Some(Instant::now());
            if let Err(error) = self.watch() {
                self.warn(&format!(
                    "the age of the last good backup cannot be told: {error}"
                ));
            }
        }
    }

    fn warn(&self, message: &str) {
        self.progress.warn(message);
    }
}

/// Passes everything on; asked to stop by the runner's flag.
struct Stoppable<'a> {
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
}

impl Progress for Stoppable<'_> {
    fn begin(&self, run: &str) {
        self.progress.begin(run);
    }

    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        self.progress.stage(name, total_bytes);
    }

    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn warn(&self, message: &str) {
        self.progress.warn(message);
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
