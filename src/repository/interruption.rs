//! Work that waits for a storage, and somebody who does not want to wait any longer.

use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::Repository;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// How often is looked whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(100);
/// So long each request has to be answered then.
const GRACE: Duration = Duration::from_secs(1);

impl Repository {
    /// Does `work`. Once somebody asks to stop, each request to the storage has [`GRACE`] from its beginning, but at least
    /// from the question, and is given up then: those under way, and those by which the work clears up. What cannot be
    /// cleared up is what a crash leaves.
    pub fn until_stopped<T>(
        &self,
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
                let now = Instant::now();
                self.storage
                    .interrupt(now.checked_sub(GRACE).unwrap_or(now));
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
}
