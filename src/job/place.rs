//! Where the jobs of an instance are, and who may work there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::stage::{Stage, Timing};
use super::status::{Outcome, Status, Verdict};
use crate::config::{Owner, Secret, write_private};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::id::random_id;
use crate::instance::state::{PASSABLE, PRIVATE, lock_soon, make_directory};
use crate::instance::{Instance, OWN_DIRECTORY};

const JOBS: &str = "jobs";
const LOCK: &str = "lock";
const STATUS: &str = "status.json";
const LOG: &str = "log";
const TOKEN: &str = "token";
/// So many are kept; each is some kilobytes.
const KEPT_JOBS: usize = 20;

/// The directory of an instance's jobs.
#[derive(Debug, Clone)]
pub struct Place {
    directory: PathBuf,
    owner: Owner,
    /// Where the page for a proxy goes, unless the configuration has another place for it.
    shown: PathBuf,
}

/// The files that a proxy shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusFiles {
    /// The page.
    pub page: PathBuf,
    /// Its state as JSON.
    pub state: PathBuf,
    /// Whose they are.
    pub(super) owner: Owner,
}

/// One job's own directory.
#[derive(Debug, Clone)]
pub(super) struct JobDirectory {
    path: PathBuf,
    owner: Owner,
}

impl Place {
    /// That of `instance`.
    pub fn of(instance: &Instance) -> Self {
        Self::at(&instance.source_path, instance.owner)
    }

    /// That of the instance in `source_path`, for its owner.
    pub(crate) fn at(source_path: &Path, owner: Owner) -> Self {
        let own = source_path.join(OWN_DIRECTORY);
        Self {
            directory: own.join(JOBS),
            shown: own.join("page/restore.html"),
            owner,
        }
    }

    /// An id for a new job: later ones sort behind earlier ones.
    pub fn new_id() -> Result<String> {
        let time = Utc::now().format("%Y%m%dT%H%M%SZ");
        Ok(format!("{time}-{}", random_id(4)?))
    }

    /// The files that a proxy shows, at `configured` or in their usual place.
    pub fn status_files(&self, configured: Option<&Path>) -> StatusFiles {
        let page = configured.unwrap_or(&self.shown).to_owned();
        StatusFiles {
            state: page.with_extension("json"),
            page,
            owner: self.owner,
        }
    }

    /// Makes the directory, where it is not there.
    pub(super) fn make(&self) -> Result<()> {
        make_directory(&self.directory, self.owner, PASSABLE)
    }

    /// The lock of whoever restores. `Locked` while somebody has it.
    pub(super) fn lock(&self) -> Result<File> {
        let failed = || format!("cannot lock `{}`", self.directory.display());
        self.make()?;
        let path = self.directory.join(LOCK);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(&path)
            .io_context(failed)?;
        self.owner.take(&file, &path)?;
        if lock_soon(&file).io_context(failed)? {
            return Ok(file);
        }
        Err(Error::new(
            ErrorKind::Locked,
            "another restore of this instance is running",
        )
        .hint("Follow it with `obbackup status --follow`."))
    }

    /// Whether a restore runs, in whichever process.
    pub fn is_busy(&self) -> Result<bool> {
        let path = self.directory.join(LOCK);
        match File::open(&path) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(error)) => Err(Error::io(
                    format!("cannot lock `{}`", path.display()),
                    error,
                )),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(
                Error::io(format!("cannot open `{}`", path.display()), error)
                    .hint("Run this as root, or as the owner of source.path."),
            ),
        }
    }

    /// Makes the directory of a new job, and removes those that are long over.
    pub(super) fn create(&self, id: &str) -> Result<JobDirectory> {
        let path = self.directory.join(id);
        make_directory(&path, self.owner, PRIVATE)?;
        // Whoever launched it removes them too, if it lived on to do so.
        let variables = self.environment_path(id);
        if let Err(error) = fs::remove_file(&variables)
            && error.kind() != io::ErrorKind::NotFound
        {
            let failed = format!("cannot remove `{}`", variables.display());
            return Err(Error::io(failed, error));
        }
        let ids = self.ids()?;
        for old in ids.iter().rev().skip(KEPT_JOBS) {
            let path = self.directory.join(old);
            fs::remove_dir_all(&path)
                .io_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        Ok(JobDirectory {
            path,
            owner: self.owner,
        })
    }

    /// The ids of all jobs, the oldest first.
    fn ids(&self) -> Result<Vec<String>> {
        let failed = || format!("cannot list `{}`", self.directory.display());
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(failed(), error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.io_context(failed)?;
            if entry.file_type().io_context(failed)?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// The status of one job; `None` where it has shown none yet.
    pub fn status(&self, id: &str) -> Result<Option<Status>> {
        let path = self.directory.join(id).join(STATUS);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(
                    Error::io(format!("cannot read `{}`", path.display()), error)
                        .hint("Run this as root, or as the owner of source.path."),
                );
            }
        };
        let mut status: Status = serde_json::from_slice(&text).map_err(|error| {
            Error::new(
                ErrorKind::Damaged,
                format!("`{}` is not a restore's status", path.display()),
            )
            .source(error)
        })?;
        if status.outcome.is_none() && !self.is_busy()? {
            // It may have ended between the two looks.
            let text =
                fs::read(&path).io_context(|| format!("cannot read `{}`", path.display()))?;
            if let Ok(last) = serde_json::from_slice::<Status>(&text) {
                status = last;
            }
            if status.outcome.is_none() {
                status.outcome = Some(Outcome::vanished());
            }
        }
        Ok(Some(status))
    }

    /// The status of the job that somebody names. `NotFound` where there is none, or none any more.
    pub fn find(&self, id: &str) -> Result<Status> {
        // What is named comes from a browser: it must not become a path.
        let is_there = self.ids()?.iter().any(|known| known == id);
        let status = if is_there { self.status(id)? } else { None };
        status.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no restore `{}`", id.escape_debug()),
            )
            .hint("Without an id the last one is shown.")
        })
    }

    /// The status of the restore that runs, or of the last one.
    pub fn last(&self) -> Result<Option<Status>> {
        for id in self.ids()?.iter().rev() {
            if let Some(status) = self.status(id)? {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// Says what came of the last job, whose process ended without a word, or with one that somebody has to act.
    pub fn settle(&self, outcome: Outcome) -> Result<()> {
        let _lock = self.lock()?;
        let Some(id) = self.ids()?.pop() else {
            return Ok(());
        };
        let Some(mut status) = self.status(&id)?.filter(|status| {
            let outcome = status.outcome.as_ref();
            outcome.is_none_or(|outcome| outcome.verdict == Verdict::ActionNeeded)
        }) else {
            return Ok(());
        };
        status.finished_at = Some(Utc::now());
        status.stage = Stage::Done;
        status.outcome = Some(outcome);
        JobDirectory {
            path: self.directory.join(id),
            owner: self.owner,
        }
        .write_status(&status)
    }

    /// Where one job's status is.
    pub fn status_path(&self, id: &str) -> PathBuf {
        self.directory.join(id).join(STATUS)
    }

    /// Where one job's log is.
    pub fn log_path(&self, id: &str) -> PathBuf {
        self.directory.join(id).join(LOG)
    }

    /// Where the variables of one job are, from its launch to its beginning.
    pub(super) fn environment_path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.environment"))
    }

    /// Whom everything there belongs to.
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// The token of one job, for whoever may read its directory.
    pub fn token(&self, id: &str) -> Result<Secret> {
        let path = self.directory.join(id).join(TOKEN);
        let text =
            fs::read_to_string(&path).io_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Secret::new(text.trim()))
    }

    /// How long the stages of the last restore before `id` took that went through all of them.
    pub(super) fn earlier_timings(&self, id: &str) -> Vec<Timing> {
        let ids = self.ids().unwrap_or_default();
        ids.iter()
            .rev()
            .filter(|other| other.as_str() < id)
            .filter_map(|other| self.status(other).ok().flatten())
            .find(|status| {
                status
                    .outcome
                    .as_ref()
                    .is_some_and(|outcome| outcome.exit_code == 0)
            })
            .map(|status| status.timings)
            .unwrap_or_default()
    }
}

impl JobDirectory {
    pub(super) fn write_status(&self, status: &Status) -> Result<()> {
        let text = serde_json::to_vec(status).map_err(|error| {
            Error::new(ErrorKind::Failure, "cannot write the status as JSON").source(error)
        })?;
        write_private(&self.path.join(STATUS), &text, self.owner)
    }

    pub(super) fn write_token(&self, token: &Secret) -> Result<()> {
        write_private(
            &self.path.join(TOKEN),
            token.expose().as_bytes(),
            self.owner,
        )
    }

    /// The log, to write at its end.
    pub(super) fn open_log(&self) -> Result<File> {
        let path = self.path.join(LOG);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(&path)
            .io_context(|| format!("cannot write `{}`", path.display()))?;
        self.owner.take(&file, &path)?;
        Ok(file)
    }
}

impl StatusFiles {
    /// Makes the directory that they are in, where that is the usual one; one of the configuration has to be there.
    pub(super) fn prepare(&self, owner: Owner) -> Result<()> {
        let Some(directory) = self.page.parent() else {
            return Ok(());
        };
        let is_own = directory
            .parent()
            .is_some_and(|parent| parent.ends_with(OWN_DIRECTORY));
        if is_own {
            return make_directory(directory, owner, PASSABLE);
        }
        Ok(())
    }
}

fn nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}
