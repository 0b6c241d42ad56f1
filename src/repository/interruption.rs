//! Work that waits for a storage, and somebody who does not want to wait any longer.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::Repository;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// How often is looked whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(100);
/// So long the storage has to answer then.
const GRACE: Duration = Duration::from_secs(1);

impl Repository {
    /// Does `work`. Once somebody asks to stop, what was asked of the storage has [`GRACE`] to be answered and is given up
    /// then; and so is each request by which the work clears up after that, however slow the storage is. What cannot be
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
            while !ends_in(GRACE) {
                self.storage.interrupt();
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
