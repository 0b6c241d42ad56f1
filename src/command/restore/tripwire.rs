//! Faults at the effects of a swap, for the tests that stop it everywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{ErrorKind, Result};
use crate::storage::faulty::{Fault, injected, kill};

/// Lets one effect go wrong, or all from one on; every one is counted.
#[derive(Debug)]
pub struct Tripwire {
    fault: Fault,
    at: u64,
    forever: bool,
    count: AtomicU64,
}

impl Tripwire {
    /// The `at`-th effect goes wrong, counting from 0.
    pub fn at(at: u64, fault: Fault) -> Self {
        Self {
            fault,
            at,
            forever: false,
            count: AtomicU64::new(0),
        }
    }

    /// From the `at`-th on, all effects go wrong.
    pub fn from(at: u64, fault: Fault) -> Self {
        Self {
            forever: true,
            ..Self::at(at, fault)
        }
    }

    /// Effects so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Runs an effect, unless it is the one.
    pub(super) fn around<T>(&self, what: &str, effect: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        if number != self.at && !(self.forever && number > self.at) {
            return effect();
        }
        match self.fault {
            Fault::Before(kind) => Err(injected(kind, what)),
            Fault::After(kind) => effect().and(Err(injected(kind, what))),
            Fault::KillBefore => kill(what),
            Fault::KillAfter => effect().and_then(|_| kill(what)),
            // Nothing that could be flipped or cut goes through here.
            Fault::Flip | Fault::Short => Err(injected(ErrorKind::Failure, what)),
        }
    }
}
