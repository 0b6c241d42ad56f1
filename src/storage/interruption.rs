//! The moment up to which whatever was begun is given up.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// None yet, or the latest of those that were named.
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
    use std::time::Duration;

    use super::super::Storage;
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
