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
