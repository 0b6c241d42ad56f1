//! Work that waits for a storage, and somebody who does not want to wait any longer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::Storage;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// How often is looked whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(100);
/// So long each request has to be answered then.
const GRACE: Duration = Duration::from_secs(1);

/// Does `work`. Once somebody asks to stop, each request to the storage has a second from its beginning, but at least
/// from the question, and is given up then: those under way, and those by which the work clears up. What cannot be
/// cleared up is what a crash leaves.
pub fn until_stopped<T>(
    storage: &dyn Storage,
    progress: &dyn Progress,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let (at_work, over) = bounded::<()>(0);
    let watch = move || {
        let ends_in = |time| over.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
        while !progress.is_cancelled() {
            if ends_in(LOOK) {
                return;
            }
        }
        if ends_in(GRACE) {
            return;
        }
        while !ends_in(LOOK) {
            give_up_old(storage);
        }
    };
    std::thread::scope(|scope| {
        // Given up in here, also when the work panics.
        let _at_work = at_work;
        std::thread::Builder::new()
            .name("obbackup-stop".to_owned())
            .spawn_scoped(scope, watch)
            .map_err(|error| Error::io("cannot start a thread", error))?;
        work()
    })
}

/// Gives up each request that has been waited for longer than a second.
pub fn give_up_old(storage: &dyn Storage) {
    let now = Instant::now();
    storage.interrupt(now.checked_sub(GRACE).unwrap_or(now));
}

/// The moment up to which whatever was begun is given up: none yet, or the latest of those that were named.
#[derive(Default)]
pub(super) struct Interruption(Mutex<Option<Instant>>);

impl Interruption {
    /// Gives up what was begun before `moment`.
    pub fn of_what_began_before(&self, moment: Instant) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = (*latest).max(Some(moment));
    }

    /// Whether what was begun at `began` is given up.
    pub fn concerns(&self, began: Instant) -> bool {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.is_some_and(|moment| began < moment)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// A read which `storage` would go on waiting for is given up when it is told so.
    pub fn assert_gives_up(storage: &dyn Storage) {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let read = scope.spawn(|| storage.read("x"));
            while !read.is_finished() {
                std::thread::sleep(Duration::from_millis(5));
                storage.interrupt(Instant::now());
            }
            let error = read.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
        });
        assert!(began.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn what_is_begun_afterwards_is_not_concerned() {
        let interruption = Interruption::default();
        let (before, moment) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        assert!(!interruption.concerns(before));
        interruption.of_what_began_before(moment);
        // One that is told later of an earlier moment changes nothing.
        interruption.of_what_began_before(before);
        assert!(interruption.concerns(before));
        assert!(!interruption.concerns(moment));
    }
}
