//! How long work reports what it does, and how it is asked to stop.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Counters, the stage and a request to stop; shared by all threads of one run.
///
/// Nothing here may block or fail: it is called from inner loops.
pub trait Progress: Send + Sync {
    /// The run begins, and has this id in the records and in the log.
    fn begin(&self, _run: &str) {}

    /// A stage begins; `total_bytes` is the work ahead of it where it is known. `name` is for people:
    /// "database", "sources", "verify".
    fn stage(&self, name: &str, total_bytes: Option<u64>);

    /// `bytes` more of the stage's work are done.
    fn advance(&self, bytes: u64);

    /// Something a person should know, although the work goes on.
    fn warn(&self, message: &str);

    /// Whether somebody asked to stop.
    fn is_cancelled(&self) -> bool;

    /// An error of kind `Cancelled` once somebody asked to stop.
    fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::cancelled());
        }
        Ok(())
    }
}

/// Reports nothing and is never asked to stop.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn warn(&self, _message: &str) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Keeps what was reported, for whoever polls it.
#[derive(Debug, Default)]
pub struct Recorded {
    stages: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
    done_bytes: AtomicU64,
    cancelled: AtomicBool,
}

impl Recorded {
    /// Asks the run to stop at the next safe point.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Every stage so far, in order.
    pub fn stages(&self) -> Vec<String> {
        lock(&self.stages).clone()
    }

    /// Every warning so far, in order.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Bytes done over all stages.
    pub fn done_bytes(&self) -> u64 {
        self.done_bytes.load(Ordering::Relaxed)
    }
}

/// A poisoned list of words is still a list of words.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Progress for Recorded {
    fn stage(&self, name: &str, _total_bytes: Option<u64>) {
        lock(&self.stages).push(name.to_owned());
    }

    fn advance(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn warn(&self, message: &str) {
        lock(&self.warnings).push(message.to_owned());
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
