//! From arguments to objects: which instance, which configuration, which repository.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono_tz::Tz;

use obbackup::command::drill::DrillOptions;
use obbackup::command::nights::Place;
use obbackup::command::surroundings::Surroundings;
use obbackup::command::throttle::Throttle;
use obbackup::config::{
    self, Configuration, ConfigurationFile, Owner, RepositoryChoice, RestoreSection,
};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::instance::{self, Environment, Instance};
use obbackup::job::{self, StatusFiles};
use obbackup::progress::Progress;
use obbackup::repository::Repository;
use obbackup::repository::backups::{Backup, Latest};
use obbackup::schedule::calendar;
use obbackup::storage::{self, Storage};
use obbackup::tomcat::systemd::Systemd;
use obbackup::tomcat::{self, Tomcat};

use crate::arguments::Global;
use crate::interrupt;
use crate::output::Output;
use crate::terminal::{Show, Terminal};

/// One run of the program.
pub struct Session {
    pub global: Global,
    pub output: Output,
    environment: Environment,
    /// Whether a configuration file that is named may still be absent.
    may_create: bool,
}

impl Session {
    /// `may_create`: a configuration file that is named may still be absent.
    pub fn new(global: Global, may_create: bool) -> Self {
        let hostname = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            output: Output::new(global.json, global.verbose),
            environment: Environment::from_variables(hostname, |name| std::env::var_os(name)),
            global,
            may_create,
        }
    }

    /// The instance's directory: as named, else the one that the current directory or the
    /// configuration file lies in.
    pub fn source_path(&self) -> Option<PathBuf> {
        let named = self.global.instance.clone();
        named
            .or_else(|| {
                let file = std::path::absolute(self.global.config.as_ref()?).ok()?;
                instance::find(file.parent()?)
            })
            .or_else(|| instance::find(&std::env::current_dir().ok()?))
    }

    /// The configuration file as it is to become; it need not exist.
    pub fn configuration_file_to_write(&self) -> Result<Option<ConfigurationFile>> {
        let path = match (&self.global.config, self.source_path()) {
            (Some(path), _) => path.clone(),
            (None, Some(source_path)) => config::default_path(&source_path),
            (None, None) => return Ok(None),
        };
        ConfigurationFile::open(&path).map(Some)
    }

    /// What the configuration file says; one that was named must exist.
    pub fn configuration(&self) -> Result<Configuration> {
        let Some(file) = self.configuration_file_to_write()? else {
            return Ok(Configuration::default());
        };
        if self.global.config.is_some() && !file.exists() && !self.may_create {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no configuration file `{}`", file.path().display()),
            )
            .hint("`obbackup init` writes config/obbackup.toml of the instance."));
        }
        Ok(file.configuration().clone())
    }

    /// The instance, if one is named or the current directory is in one.
    pub fn instance_if_any(&self) -> Result<Option<Instance>> {
        let Some(source_path) = self.source_path() else {
            return Ok(None);
        };
        tomcat::open(
            &source_path,
            &self.environment,
            &self.configuration()?,
            Systemd::running().as_ref(),
        )
        .map(Some)
    }

    /// The instance, wherever its web application is: to find that, every Tomcat here is looked at.
    fn instance_alone(&self) -> Result<Option<Instance>> {
        let Some(source_path) = self.source_path() else {
            return Ok(None);
        };
        Instance::open(&source_path, &self.environment, &self.configuration()?).map(Some)
    }

    /// The instance, which the command cannot do without.
    pub fn instance(&self) -> Result<Instance> {
        self.instance_if_any()?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "no Openbravo instance is named, and none is here",
            )
            .hint("Give its source.path with --instance, or run this from inside of it.")
        })
    }

    /// What lies outside of the instance's files.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The Tomcat that the instance is deployed in, as far as anything tells of one.
    pub fn tomcat(&self, instance: &Instance) -> Result<Option<Tomcat>> {
        let section = self.configuration()?.tomcat;
        tomcat::find(instance, &self.environment, &section, Systemd::running())
    }

    /// The files of a restore's page that a proxy shows.
    pub fn status_files(&self, instance: &Instance) -> Result<StatusFiles> {
        let configured = self.configuration()?.restore.status_file;
        Ok(job::Place::of(instance).status_files(configured.as_deref()))
    }

    /// What the configuration says of restores.
    pub fn restore_section(&self) -> Result<RestoreSection> {
        Ok(self.configuration()?.restore)
    }

    /// Where the repository is; a path is absolute.
    pub fn repository_choice(&self) -> Result<RepositoryChoice> {
        self.choose(self.global.repository.as_deref())
    }

    fn choose(&self, selector: Option<&str>) -> Result<RepositoryChoice> {
        let mut choice = self.configuration()?.repository(selector)?;
        let url = &mut choice.section.url;
        if !url.contains("://") && !url.is_empty() {
            let path = absolute(Path::new(url))?;
            *url = path.into_os_string().into_string().map_err(|path| {
                Error::new(
                    ErrorKind::Usage,
                    format!(
                        "the repository's path is not UTF-8: `{}`",
                        path.to_string_lossy()
                    ),
                )
            })?;
        }
        Ok(choice)
    }

    /// The repository, opened.
    pub fn repository(&self) -> Result<Repository> {
        Repository::at(
            &self.repository_choice()?.section,
            self.owner(),
            self.cache_directory(),
        )
    }

    /// The same, where what is there matters and no copy of it will do.
    pub fn repository_itself(&self) -> Result<Repository> {
        Repository::at(&self.repository_choice()?.section, self.owner(), None)
    }

    /// Another repository than the one that the command is about.
    pub fn named_repository(&self, selector: &str) -> Result<Repository> {
        let choice = self.choose(Some(selector))?;
        Repository::at(&choice.section, self.owner(), self.cache_directory())
    }

    /// Where copies of what never changes in a distant repository are kept.
    pub fn cache_directory(&self) -> Option<&Path> {
        self.environment.cache_directory.as_deref()
    }

    /// The place of the repository, which need not be one.
    pub fn storage_itself(&self) -> Result<Arc<dyn Storage>> {
        storage::open(&self.repository_choice()?.section, self.owner())
    }

    /// The owner of the instance: what is made in a repository belongs to them, whoever runs this.
    pub fn owner(&self) -> Option<Owner> {
        let instance = self.instance_alone().ok().flatten();
        instance.map(|instance| instance.owner)
    }

    /// The backup that `text` names. `latest` is the instance's own where there is one.
    pub fn resolve(&self, repository: &Repository, text: &str) -> Result<Backup> {
        if text != "latest" {
            return repository.resolve(text, None);
        }
        let instance = self.instance_alone()?;
        let id = instance.as_ref().map(|instance| instance.id.as_str());
        Ok(self.told(repository.latest(id)?))
    }

    /// The latest backup, and a word about newer ones that cannot be read.
    pub fn told(&self, latest: Latest) -> Backup {
        for (object, reason) in &latest.passed_over {
            self.warn(&format!(
                "a newer backup cannot be read, so {} is the latest: `{object}`: {reason} (see obbackup verify)",
                latest.backup.id.short()
            ));
        }
        latest.backup
    }

    /// Threads to work with.
    pub fn jobs(&self) -> Result<usize> {
        let machine = || std::thread::available_parallelism().map_or(1, usize::from);
        let configured = self.configuration()?.backup.jobs;
        Ok(configured.map_or_else(machine, |jobs| usize::from(jobs.get())))
    }

    /// What the machine offers, and how much of it may be taken.
    pub fn surroundings(&self) -> Result<Surroundings> {
        let backup = self.configuration()?.backup;
        let path = std::env::var_os("PATH").unwrap_or_default();
        Ok(Surroundings {
            jobs: self.jobs()?,
            program_directories: std::env::split_paths(&path).collect(),
            work_directory: std::env::temp_dir(),
            throttle: Throttle::configured(&backup),
            cache_directory: self.environment.cache_directory.clone(),
        })
    }

    /// Where a drill may restore files: as named, else as configured, else where short-lived files go.
    pub fn drill_options(&self, named: Option<&Path>) -> Result<DrillOptions> {
        let section = self.configuration()?.drill;
        let named = named.map(absolute).transpose()?;
        Ok(DrillOptions::below(named, &section, std::env::temp_dir()))
    }

    /// Shows long work's progress as was asked for; `cancel` is set by whoever asks to stop.
    pub fn terminal(&self, cancel: Arc<AtomicBool>) -> Terminal {
        let show = match &self.global {
            Global { json: true, .. } => Show::Json,
            Global { quiet: true, .. } => Show::Warnings,
            _ => Show::All,
        };
        Terminal::new(show, cancel)
    }

    /// The instance and what its schedules need.
    pub fn place(&self) -> Result<Place> {
        let instance = self.instance()?;
        let configuration_path = match &self.global.config {
            Some(path) => absolute(path)?,
            None => instance.configuration_path(),
        };
        Ok(Place {
            source_path: instance.source_path,
            configuration_path,
            environment: self.environment.clone(),
            surroundings: self.surroundings()?,
            zone: zone(),
        })
    }

    /// Runs long work: shows its progress, and lets Ctrl-C stop it.
    pub fn work<T>(&self, work: impl FnOnce(&dyn Progress) -> Result<T>) -> Result<T> {
        self.work_until(interrupt::cancel_flag()?, work)
    }

    /// The same, until `cancel` is set.
    pub fn work_until<T>(
        &self,
        cancel: std::sync::Arc<std::sync::atomic::AtomicBool>,
        work: impl FnOnce(&dyn Progress) -> Result<T>,
    ) -> Result<T> {
        let terminal = self.terminal(cancel);
        let result = work(&terminal);
        if result.is_ok() {
            terminal.finish();
        }
        result
    }

    /// Runs long work that Ctrl-C can stop, without showing its progress.
    pub fn work_unseen<T>(&self, work: impl FnOnce(&dyn Progress) -> Result<T>) -> Result<T> {
        let show = if self.global.json {
            Show::Json
        } else {
            Show::Warnings
        };
        work(&Terminal::new(show, interrupt::cancel_flag()?))
    }

    /// Shows a warning outside of long work.
    pub fn warn(&self, message: &str) {
        let show = if self.global.json {
            Show::Json
        } else {
            Show::Warnings
        };
        Terminal::new(show, Arc::default()).warn(message);
    }

    /// Asks; whether the answer is `expected`. An error where nobody can answer.
    pub fn confirm(&self, question: &str, expected: &str) -> Result<()> {
        if self.global.no_input || self.global.json || !io::stdin().is_terminal() {
            return Err(Error::new(
                ErrorKind::Usage,
                "this has to be confirmed, and there is nobody to ask",
            )
            .hint("Add --yes if you are sure."));
        }
        let failed = |error| Error::io("cannot ask", error);
        let mut stderr = io::stderr();
        stderr
            .write_all(question.as_bytes())
            .and_then(|()| stderr.flush())
            .map_err(failed)?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map_err(failed)?;
        if answer.trim() == expected {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Cancelled,
            "not confirmed; nothing was done",
        ))
    }
}

/// The zone that the user lives in.
pub fn zone() -> Tz {
    let named = std::env::var("TZ").ok();
    let named = named.and_then(|name| calendar::zone(name.trim_start_matches(':')).ok());
    named.unwrap_or_else(calendar::zone_of_machine)
}

/// From the current directory on, without `..`, which means something else once a link on the way
/// changes.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let full = std::path::absolute(path)
        .map_err(|error| Error::io(format!("cannot resolve `{}`", path.display()), error))?;
    let winding = full.components().any(|part| part == Component::ParentDir);
    Ok(if winding {
        instance::resolve_existing(&full)
    } else {
        full
    })
}
