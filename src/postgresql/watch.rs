//! Ending long statements and child programs when somebody asks to stop, or when another thread failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postgres::{CancelToken, Client, NoTls};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;

/// How often the request to stop is looked at: nobody notices less.
const INTERVAL: Duration = Duration::from_millis(50);
/// A statement that began just after a cancel request went out needs another one.
const ROUNDS_BETWEEN_CANCELS: u32 = 10;

/// Watches over the threads of one piece of work.
pub struct Watch<'a> {
    progress: &'a dyn Progress,
    tokens: Mutex<Vec<CancelToken>>,
    groups: Mutex<Vec<Pid>>,
    first_error: Mutex<Option<Error>>,
    failed: AtomicBool,
    done: Mutex<bool>,
    wake: Condvar,
}

/// What is guarded here is a list, and still one when its holder panicked.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Watch<'a> {
    /// Runs `work` and, beside it, a thread that ends what was registered once it is time to stop.
    ///
    /// The first error wins: those that follow from ending the others are dropped.
    pub fn over<T>(progress: &'a dyn Progress, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let watch = Self {
            progress,
            tokens: Mutex::default(),
            groups: Mutex::default(),
            first_error: Mutex::default(),
            failed: AtomicBool::new(false),
            done: Mutex::new(false),
            wake: Condvar::new(),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| watch.guard());
            let finish = Finish(&watch);
            let result = work(&watch).map_err(|error| watch.fail(error));
            drop(finish);
            result
        })
        .map_err(|()| watch.outcome())
    }

    /// The connection's statements are to be cancelled.
    pub fn connection(&self, client: &Client) {
        locked(&self.tokens).push(client.cancel_token());
    }

    /// The process group is to be ended.
    pub fn group(&self, group: Pid) {
        locked(&self.groups).push(group);
    }

    /// The process group is gone; its number may soon be another's.
    pub fn forget_group(&self, group: Pid) {
        locked(&self.groups).retain(|known| *known != group);
    }

    /// Who is told and asked.
    pub fn progress(&self) -> &'a dyn Progress {
        self.progress
    }

    /// An error once it is time to stop.
    pub fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "another thread failed"));
        }
        self.progress.check()
    }

    /// Remembers the first error, and ends the others.
    pub fn fail(&self, error: Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            *locked(&self.first_error) = Some(error);
        }
        self.wake.notify_all();
    }

    fn outcome(&self) -> Error {
        // Whatever the server or a child said when it was ended, the reason was the request.
        if self.progress.is_cancelled() {
            return Error::cancelled();
        }
        locked(&self.first_error)
            .take()
            .unwrap_or_else(|| Error::new(ErrorKind::Failure, "a thread ended without a reason"))
    }

    fn guard(&self) {
        let mut rounds = 0;
        let mut done = locked(&self.done);
        while !*done {
            if self.failed.load(Ordering::Relaxed) || self.progress.is_cancelled() {
                if rounds % ROUNDS_BETWEEN_CANCELS == 0 {
                    drop(done);
                    self.end_all();
                    done = locked(&self.done);
                }
                rounds += 1;
            }
            done = self
                .wake
                .wait_timeout(done, INTERVAL)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn end_all(&self) {
        // A connection that cannot be cancelled is one that has ended.
        for token in locked(&self.tokens).iter() {
            let _ = token.cancel_query(NoTls);
        }
        for group in locked(&self.groups).iter() {
            let _ = kill_process_group(*group, Signal::TERM);
        }
    }
}

/// Ends the guarding thread, also when the work panics.
struct Finish<'w, 'a>(&'w Watch<'a>);

impl Drop for Finish<'_, '_> {
    fn drop(&mut self) {
        *locked(&self.0.done) = true;
        self.0.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Recorded, Silent};

    #[test]
    fn the_first_error_wins_and_a_request_to_stop_wins_over_all() {
        let outcome = |progress: &dyn Progress| {
            Watch::over(progress, |watch| -> Result<()> {
                watch.fail(Error::new(ErrorKind::NoSpace, "first"));
                assert!(watch.check().is_err());
                Err(Error::new(ErrorKind::Failure, "second"))
            })
            .unwrap_err()
        };
        assert_eq!(outcome(&Silent).message(), "first");
        let progress = Recorded::default();
        progress.cancel();
        assert_eq!(outcome(&progress).kind(), ErrorKind::Cancelled);
    }
}
