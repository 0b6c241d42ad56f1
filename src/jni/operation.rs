//! The long operation of a workplace: one at a time, watched and stopped from other threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::memory;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;

/// More warnings than this are counted only: somebody polls all of them every second.
const WARNINGS: usize = 100;

/// Room for one operation.
#[derive(Default)]
pub struct Slot(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    operation: Option<Arc<Operation>>,
    /// Whether no other one is let in.
    is_closed: bool,
}

/// What is being done, as it is polled.
pub struct Operation {
    name: &'static str,
    started_at: DateTime<Utc>,
    stage: Mutex<Stage>,
    /// Bytes of the stage that are done.
    done_bytes: AtomicU64,
    warnings: Mutex<Warnings>,
    cancelled: AtomicBool,
}

struct Stage {
    name: String,
    total_bytes: Option<u64>,
    since: Instant,
}

#[derive(Default)]
struct Warnings {
    kept: Vec<String>,
    count: u64,
}

/// The answer of `progress`.
#[derive(Debug, Serialize)]
pub struct Polled {
    /// What is being done; nothing, when this is absent and with it everything below.
    operation: Option<&'static str>,
    /// When it was begun.
    started_at: Option<DateTime<Utc>>,
    /// Its present stage, for people.
    stage: Option<String>,
    /// Bytes of the stage that are done.
    done_bytes: u64,
    /// All bytes of the stage, where that is known or can be guessed.
    total_bytes: Option<u64>,
    /// Bytes a second, over the stage so far.
    bytes_per_second: u64,
    /// Seconds until the stage is done, at that rate.
    seconds_left: Option<u64>,
    /// Whether it was asked to stop.
    cancelling: bool,
    /// The first of its warnings.
    warnings: Vec<String>,
    /// The number of all of them.
    warning_count: u64,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole values are put in and taken out; one that was left by a panic is whole too.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// Does `work` as the operation of this slot. `Locked` while there is another one, `Cancelled` once it was stopped.
    pub fn run<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&dyn Progress) -> Result<T>,
    ) -> Result<T> {
        let operation = Arc::new(Operation::new(name));
        {
            let mut inside = lock(&self.0);
            if inside.is_closed {
                return Err(Error::cancelled());
            }
            if let Some(other) = &inside.operation {
                return Err(Error::new(
                    ErrorKind::Locked,
                    format!("{} is running, since {}", other.name, other.started_at),
                )
                .hint("Wait for it to end, or cancel it."));
            }
            inside.operation = Some(operation.clone());
        }
        let _cleared = Cleared(self);
        work(&*operation)
    }

    /// Asks the operation to stop; whether there is one.
    pub fn cancel(&self) -> bool {
        let inside = lock(&self.0);
        if let Some(operation) = &inside.operation {
            operation.cancelled.store(true, Ordering::Relaxed);
        }
        inside.operation.is_some()
    }

    /// The same, and no other one begins.
    pub fn stop(&self) {
        lock(&self.0).is_closed = true;
        self.cancel();
    }

    /// What is being done.
    pub fn name(&self) -> Option<&'static str> {
        let inside = lock(&self.0);
        inside.operation.as_ref().map(|operation| operation.name)
    }

    /// How far it is.
    pub fn poll(&self) -> Polled {
        // The slot is not held while the operation is looked at.
        let operation = lock(&self.0).operation.clone();
        operation.map_or_else(Polled::nothing, |operation| operation.poll())
    }
}

/// Clears up after the work, also when it panics.
struct Cleared<'a>(&'a Slot);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        memory::give_back();
        lock(&self.0.0).operation = None;
    }
}

impl Operation {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            started_at: Utc::now(),
            stage: Mutex::new(Stage {
                name: "preparing".to_owned(),
                total_bytes: None,
                since: Instant::now(),
            }),
            done_bytes: AtomicU64::new(0),
            warnings: Mutex::default(),
            cancelled: AtomicBool::new(false),
        }
    }

    fn poll(&self) -> Polled {
        let stage = lock(&self.stage);
        let done_bytes = self.done_bytes.load(Ordering::Relaxed);
        let milliseconds = stage.since.elapsed().as_millis().max(1);
        let rate = u128::from(done_bytes) * 1000 / milliseconds;
        let left = stage
            .total_bytes
            .filter(|_| rate > 0)
            .map(|total| u128::from(total.saturating_sub(done_bytes)) / rate);
        let warnings = lock(&self.warnings);
        Polled {
            operation: Some(self.name),
            started_at: Some(self.started_at),
            stage: Some(stage.name.clone()),
            done_bytes,
            total_bytes: stage.total_bytes,
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
            seconds_left: left.map(|left| u64::try_from(left).unwrap_or(u64::MAX)),
            cancelling: self.is_cancelled(),
            warnings: warnings.kept.clone(),
            warning_count: warnings.count,
        }
    }
}

impl Progress for Operation {
    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        let mut stage = lock(&self.stage);
        *stage = Stage {
            name: name.to_owned(),
            total_bytes,
            since: Instant::now(),
        };
        self.done_bytes.store(0, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn warn(&self, message: &str) {
        let mut warnings = lock(&self.warnings);
        warnings.count += 1;
        if warnings.kept.len() < WARNINGS {
            warnings.kept.push(message.to_owned());
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Polled {
    fn nothing() -> Self {
        Self {
            operation: None,
            started_at: None,
            stage: None,
            done_bytes: 0,
            total_bytes: None,
            bytes_per_second: 0,
            seconds_left: None,
            cancelling: false,
            warnings: Vec::new(),
            warning_count: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_a_time_and_it_can_be_watched_and_stopped() {
        let slot = Slot::default();
        assert!(!slot.cancel());
        assert_eq!(slot.poll().operation, None);
        let stopped = slot.run("backup", |progress| {
            progress.stage("database", Some(100));
            progress.advance(40);
            progress.warn("odd");
            let polled = slot.poll();
            assert_eq!(polled.stage.as_deref(), Some("database"));
            assert_eq!((polled.done_bytes, polled.total_bytes), (40, Some(100)));
            assert_eq!(polled.warnings, ["odd"]);
            let second = slot.run("verify", |_| Ok(())).unwrap_err();
            assert_eq!(second.kind(), ErrorKind::Locked);
            assert!(slot.cancel());
            progress.check()
        });
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(slot.name(), None);
    }

    #[test]
    fn once_stopped_none_begins() {
        let slot = Slot::default();
        slot.stop();
        let begun = slot.run("backup", |_| Ok(()));
        assert_eq!(begun.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(slot.name(), None);
    }

    #[test]
    fn a_panic_leaves_the_slot_free() {
        let slot = Slot::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            slot.run("backup", |_| -> Result<()> {
                std::panic::panic_any("boom")
            })
        }));
        assert!(panicked.is_err());
        slot.run("backup", |_| Ok(())).unwrap();
    }
}
