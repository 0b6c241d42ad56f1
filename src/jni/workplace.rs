//! A workplace: one instance with its configuration and repository, as a handle stands for it.
//!
//! The configuration is read anew by each call: the command line may have changed it meanwhile.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::operation::{Slot, lock};
use super::requests::Open;
use super::schedules::Schedules;
use chrono_tz::Tz;

use crate::command::surroundings::Surroundings;
use crate::command::throttle::Throttle;
use crate::config::{self, Configuration, ConfigurationFile, RepositorySection};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::{Environment, Instance};
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::schedule::calendar;
use crate::storage::Storage;
use crate::storage::interruption::give_up_old;
use crate::tomcat;
use crate::tomcat::systemd::Systemd;

/// See the module's text.
pub struct Workplace {
    options: Open,
    environment: Environment,
    operation: Slot,
    schedules: Schedules,
    /// What short calls ask.
    looking: Opened,
    /// What the long operation works on.
    working: Opened,
    /// Every storage that a call may be waiting for.
    asked: Mutex<Vec<Weak<dyn Storage>>>,
}

/// Where the repository is that was opened last, with its connections.
#[derive(Default)]
struct Opened(Mutex<Option<(RepositorySection, Arc<dyn Storage>)>>);

impl Workplace {
    /// For an instance that must be there. Its repository need not.
    pub fn open(options: Open) -> Result<Self> {
        if options.nice.is_some_and(|nice| nice > 19) {
            return Err(Error::new(ErrorKind::Usage, "nice is above 19"));
        }
        let surroundings = &options.environment;
        let hostname = rustix::system::uname();
        let hostname = hostname.nodename().to_string_lossy();
        let mut environment = Environment::from_variables(hostname, |name| {
            surroundings.variables.get(name).map(OsString::from)
        });
        // What the JVM was started with is known better than what the variables say of it.
        if surroundings.properties_path.is_some() {
            environment
                .properties_path
                .clone_from(&surroundings.properties_path);
        }
        if surroundings.machine_name.is_some() {
            environment
                .machine_name
                .clone_from(&surroundings.machine_name);
        }
        let workplace = Self {
            options,
            environment,
            operation: Slot::default(),
            schedules: Schedules::default(),
            looking: Opened::default(),
            working: Opened::default(),
            asked: Mutex::default(),
        };
        workplace.instance()?;
        Ok(workplace)
    }

    /// What it was opened with.
    pub fn options(&self) -> &Open {
        &self.options
    }

    /// What it depends on outside of the instance.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The long operation that is running.
    pub fn operation(&self) -> &Slot {
        &self.operation
    }

    /// The configuration file; it need not exist.
    pub fn configuration_file(&self) -> Result<ConfigurationFile> {
        match &self.options.configuration {
            Some(path) => ConfigurationFile::open(path),
            None => ConfigurationFile::open(&config::default_path(&self.options.instance)),
        }
    }

    /// What the configuration says now.
    pub fn configuration(&self) -> Result<Configuration> {
        Ok(self.configuration_file()?.configuration().clone())
    }

    /// The instance, as its configuration has it now.
    pub fn instance(&self) -> Result<Instance> {
        tomcat::open(
            &self.options.instance,
            &self.environment,
            &self.configuration()?,
            Systemd::running().as_ref(),
        )
    }

    /// Where the repository is that is named: by its name in the configuration, an absolute path, or a URL. Else
    /// that of this workplace.
    pub fn section(&self, named: Option<&str>) -> Result<RepositorySection> {
        let own = self.options.repository.as_deref();
        let section = self.configuration()?.repository(named.or(own))?.section;
        check_url(&section.url)?;
        Ok(section)
    }

    /// The zone that people are told times in.
    pub fn zone(&self) -> Tz {
        let named = self.options.environment.variables.get("TZ");
        named
            .and_then(|name| calendar::zone(name.trim_start_matches(':')).ok())
            .unwrap_or_else(calendar::zone_of_machine)
    }

    /// Lets what runs end, the operation and the schedules, and no other one begin.
    pub fn stop(&self) {
        self.operation.stop();
        self.schedules.stop();
    }

    /// Gives up whatever has waited for an answer of a repository for longer than a second: after [`Self::stop`], again
    /// and again until nobody is inside.
    pub fn give_up_waiting(&self) {
        let asked: Vec<_> = lock(&self.asked).iter().filter_map(Weak::upgrade).collect();
        for storage in asked {
            give_up_old(&*storage);
        }
    }

    /// The schedules, as far as this workplace runs them.
    pub fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    /// The repository. What never changes there is kept on this machine, where the command keeps it too.
    pub fn repository(&self) -> Result<Repository> {
        self.opened(&self.looking)
    }

    /// The same for the long operation. It has connections of its own, because all of them are broken off when it is
    /// stopped.
    pub fn repository_to_work_on(&self) -> Result<Repository> {
        self.opened(&self.working)
    }

    fn opened(&self, opened: &Opened) -> Result<Repository> {
        let section = self.section(None)?;
        let known = lock(&opened.0).clone();
        let mut exchanged = None;
        if let Some((at, storage)) = known
            && at == section
        {
            match Repository::open(storage) {
                // Its directory was made anew, or mounted again: whoever comes afresh decides what is there now.
                Err(error) if error.kind() == ErrorKind::Io => exchanged = Some(error),
                opened => return opened,
            }
        }
        let storage = self.reach(&section, self.cache())?;
        match (Repository::open(storage.clone()), exchanged) {
            // There is none now, and who knew the one before can tell why.
            (Err(afresh), Some(error)) if afresh.kind() == ErrorKind::NotFound => Err(error),
            (repository, _) => {
                *lock(&opened.0) = Some((section, storage));
                repository
            }
        }
    }

    /// The place of a repository, which need not be one yet. Nobody waits for it longer than [`Self::give_up_waiting`]
    /// lets them.
    pub fn reach(
        &self,
        section: &RepositorySection,
        cache: Option<&Path>,
    ) -> Result<Arc<dyn Storage>> {
        let storage = Repository::storage_at(section, Some(self.instance()?.owner), cache)?;
        let mut asked = lock(&self.asked);
        asked.retain(|one| one.strong_count() > 0);
        asked.push(Arc::downgrade(&storage));
        Ok(storage)
    }

    fn cache(&self) -> Option<&Path> {
        self.environment.cache_directory.as_deref()
    }

    /// The same, where what is there matters and no copy of it will do.
    pub fn repository_itself(&self) -> Result<Repository> {
        Repository::open(self.reach(&self.section(None)?, None)?)
    }

    /// Another repository, opened.
    pub fn other_repository(&self, named: &str) -> Result<Repository> {
        Repository::open(self.reach(&self.section(Some(named))?, self.cache())?)
    }

    /// The backup that `text` names; `latest` is the instance's own.
    pub fn resolve(&self, repository: &Repository, text: &str) -> Result<Backup> {
        repository.resolve(text, Some(&self.instance()?.id))
    }

    /// Threads, programs and limits.
    pub fn surroundings(&self) -> Result<Surroundings> {
        let section = self.configuration()?.backup;
        let configured = Throttle::configured(&section);
        let machine = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.options.jobs.or(section.jobs);
        let path = self.options.environment.variables.get("PATH");
        let directories: Vec<PathBuf> = path
            .map(|path| std::env::split_paths(path).collect())
            .unwrap_or_default();
        Ok(Surroundings {
            jobs: jobs.map_or_else(machine, |jobs| usize::from(jobs.get())),
            program_directories: directories,
            work_directory: self.options.environment.temporary_directory.clone(),
            cache_directory: self.environment.cache_directory.clone(),
            throttle: Throttle {
                nice: self.options.nice.unwrap_or(configured.nice),
                bytes_per_second: self
                    .options
                    .bytes_per_second
                    .or(configured.bytes_per_second),
            },
        })
    }
}

/// A path from the root on, or a URL.
fn check_url(url: &str) -> Result<()> {
    if url.contains("://") {
        return Ok(());
    }
    check_absolute("the repository", Path::new(url))
}

/// The current directory of a server is nobody's choice.
pub fn check_absolute(what: &str, path: &Path) -> Result<()> {
    if path.is_absolute() {
        return Ok(());
    }
    let path = path.to_string_lossy();
    Err(Error::new(
        ErrorKind::Usage,
        format!("{what} `{}` is not an absolute path", path.escape_debug()),
    )
    .hint("Name a directory from the root on."))
}
