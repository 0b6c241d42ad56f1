//! A restore as others see it: who runs it, how far it is, and what came of it, in files outside of what is swapped.
//!
//! `source.path/.obbackup/jobs/` holds a directory for each restore, readable by the instance's owner alone: its
//! status, its log, and the token that lets a browser see details. One lock beside them is held for as long as a
//! restore runs; the kernel gives it back however the process ends, so nobody ever has to unlock.

mod estimate;
mod launch;
mod place;
mod scribe;
mod stage;
mod status;

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use chrono::Utc;
use crossbeam_channel::Sender;

use crate::config::Secret;
use crate::error::{Error, IoContext, Result};
use crate::format::id::random_id;
use crate::progress::Progress;

pub use launch::{Launch, Launched};
pub use place::{Place, StatusFiles};
pub use stage::{Stage, Timing};
pub use status::{About, Outcome, PutBack, Status, Verb, Verdict};

use scribe::{Event, Scribe};

/// Enough that nobody guesses it.
const TOKEN_BYTES: usize = 16;

/// The files that a proxy shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The page.
    pub page: String,
    /// Its state as JSON.
    pub state: String,
}

/// What makes a page of a status; given by whoever can draw one.
pub type Draw = dyn Fn(&Status) -> Drawn + Send + Sync;

/// Where a job shows how it goes, besides its own directory.
#[derive(Default)]
pub struct Shown {
    /// Files for a proxy, and what draws them.
    pub files: Option<(StatusFiles, Arc<Draw>)>,
    /// The port that is bound already for the page alone.
    pub page_port: Option<u16>,
}

/// One restore that runs in this process.
///
/// A thread writes its status, so that whatever reports progress never waits for a disk.
pub struct Job {
    shared: Arc<Shared>,
    events: Sender<Event>,
    scribe: Option<JoinHandle<Result<()>>>,
    /// Held to the end.
    _lock: File,
}

/// What the restore's threads, the thread that writes and the page have in common.
#[derive(Debug)]
struct Shared {
    status: Mutex<Status>,
    log: Mutex<Vec<String>>,
    done_bytes: AtomicU64,
    token: Secret,
}

impl Shared {
    fn status(&self) -> MutexGuard<'_, Status> {
        // A status that a panicking thread left is still a status.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A window on a running job.
#[derive(Debug, Clone)]
pub struct Board(Arc<Shared>);

impl Board {
    /// How it is now.
    pub fn status(&self) -> Status {
        self.0.status().clone()
    }

    /// The last lines of its log.
    pub fn log(&self) -> Vec<String> {
        self.0.log().clone()
    }

    /// What lets a browser see details.
    pub fn token(&self) -> &Secret {
        &self.0.token
    }
}

impl Job {
    /// Begins a restore: takes the lock, and shows its first status. `id` as [`Place::new_id`] gave it.
    ///
    /// `Locked` while another one runs.
    pub fn begin(place: &Place, id: &str, about: About, shown: Shown) -> Result<Self> {
        let lock = place.lock()?;
        let directory = place.create(id)?;
        let token = Secret::new(random_id(TOKEN_BYTES)?);
        directory.write_token(&token)?;
        let now = Utc::now();
        let status = Status {
            job: id.to_owned(),
            about,
            stage: Stage::Planning,
            activity: None,
            percent: 0,
            done_bytes: 0,
            total_bytes: None,
            bytes_per_second: None,
            seconds_left: None,
            started_at: now,
            heartbeat_at: now,
            finished_at: None,
            pid: std::process::id(),
            page_port: shown.page_port,
            put_back: None,
            outcome: None,
            warnings: Vec::new(),
            timings: Vec::new(),
        };
        let shared = Arc::new(Shared {
            status: Mutex::new(status),
            log: Mutex::new(Vec::new()),
            done_bytes: AtomicU64::new(0),
            token,
        });
        let earlier = place.earlier_timings(id);
        let (events, received) = crossbeam_channel::unbounded();
        let scribe = Scribe::new(directory, Arc::clone(&shared), earlier, shown.files)?;
        let scribe = std::thread::Builder::new()
            .name("status".to_owned())
            .spawn(move || scribe.run(&received))
            .io_context(|| "cannot start the thread that writes the status".to_owned())?;
        Ok(Self {
            shared,
            events,
            scribe: Some(scribe),
            _lock: lock,
        })
    }

    /// A window on it.
    pub fn board(&self) -> Board {
        Board(Arc::clone(&self.shared))
    }

    /// The new state is no good, and the old one will be put back.
    pub fn trouble(&self, error: &Error) {
        self.tell(Event::Trouble(error.message()));
    }

    /// The page is on this port to the end.
    pub fn shown_on(&self, port: u16) {
        self.tell(Event::PagePort(port));
    }

    /// Passes on to `inner` what is reported, and keeps it.
    pub fn watch<'a>(&'a self, inner: &'a dyn Progress) -> Watched<'a> {
        Watched { job: self, inner }
    }

    /// Ends it: shows its outcome, durably.
    pub fn finish(mut self, outcome: Outcome) -> Result<()> {
        self.end(outcome)
    }

    fn end(&mut self, outcome: Outcome) -> Result<()> {
        self.tell(Event::End(outcome));
        match self.scribe.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::new(
                crate::error::ErrorKind::Failure,
                "the thread that writes the status broke off",
            )),
        }
    }

    /// The thread that listens lives as long as the job; what it cannot hear any more concerns nobody.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.scribe.is_some() {
            let error = Error::new(crate::error::ErrorKind::Failure, "the restore broke off");
            // Nobody is left to hear of it; the status then tells of a process that ended.
            let _ = self.end(Outcome::failed(&error));
        }
    }
}

/// A `Progress` that keeps a job's status.
pub struct Watched<'a> {
    job: &'a Job,
    inner: &'a dyn Progress,
}

impl Progress for Watched<'_> {
    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        self.inner.stage(name, total_bytes);
        self.job.tell(Event::Stage {
            name: name.to_owned(),
            total_bytes,
            done_bytes: self.job.shared.done_bytes.load(Ordering::Relaxed),
        });
    }

    fn advance(&self, bytes: u64) {
        self.inner.advance(bytes);
        self.job
            .shared
            .done_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    fn warn(&self, message: &str) {
        self.inner.warn(message);
        self.job.tell(Event::Warning(message.to_owned()));
    }

    fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }
}

#[cfg(test)]
mod tests;
