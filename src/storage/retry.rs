//! Trying again what may succeed when tried again, with pauses that do not let many clients come back at once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::interruption::Interruption;
use super::{Object, Storage};
use crate::error::{Error, ErrorKind, Result};

/// How often is looked, in a pause, whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

/// How long to go on trying.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest that the first pause can be; each further one can be twice as long.
    pub first_pause: Duration,
    /// What no pause is longer than.
    pub longest_pause: Duration,
    /// After this time an operation is given up.
    pub total: Duration,
    /// The same while no operation has had an answer yet: a wrong address should not take minutes to show.
    pub unanswered: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(20),
            total: Duration::from_mins(5),
            unanswered: Duration::from_secs(15),
        }
    }
}

impl Patience {
    /// The pause before try number `number` (from 1): any time up to a bound that doubles, so that clients which
    /// were refused together do not return together.
    fn pause(&self, number: u32) -> Duration {
        let bound = self
            .first_pause
            .saturating_mul(2_u32.saturating_pow(number.saturating_sub(1)))
            .min(self.longest_pause);
        let mut random = [0; 4];
        // Without randomness the bound itself will do.
        if getrandom::fill(&mut random).is_err() {
            return bound;
        }
        bound.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
    }
}

/// Passes everything on, and again where it failed in passing.
pub struct Retrying {
    storage: Arc<dyn Storage>,
    patience: Patience,
    answered: AtomicBool,
    interruption: Interruption,
}

impl Retrying {
    /// Tries again as `patience` says.
    pub fn new(storage: Arc<dyn Storage>, patience: Patience) -> Self {
        Self {
            storage,
            patience,
            answered: AtomicBool::new(false),
            interruption: Interruption::default(),
        }
    }

    fn run<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let mut number = 0;
        loop {
            let result = attempt();
            let passing = match &result {
                Err(error) => is_passing(error),
                Ok(_) => false,
            };
            if !passing {
                let given_up = |error: &Error| error.kind() == ErrorKind::Cancelled;
                if !result.as_ref().is_err_and(given_up) {
                    self.answered.store(true, Ordering::Relaxed);
                }
                return result;
            }
            number += 1;
            let pause = self.patience.pause(number);
            let total = if self.answered.load(Ordering::Relaxed) {
                self.patience.total
            } else {
                self.patience.unanswered.min(self.patience.total)
            };
            if began.elapsed() + pause > total {
                return result.map_err(|error| {
                    error.context(format!(
                        "given up after {number} tries in {} seconds",
                        began.elapsed().as_secs()
                    ))
                });
            }
            let until = Instant::now() + pause;
            loop {
                if self.interruption.concerns(began) {
                    return Err(Error::cancelled());
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::sleep(left.min(LOOK));
            }
        }
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transient | ErrorKind::Unreachable)
}

impl Storage for Retrying {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.run(|| match self.storage.create(path, bytes) {
            // A try before may have had its effect, and only its answer was lost; or the network delivered the
            // request twice. What is there now decides; another client's object with the very same bytes is as good.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if self.storage.read(path)? == bytes {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            result => result,
        })
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.run(|| self.storage.replace(path, bytes))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.run(|| self.storage.read(path))
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.run(|| self.storage.read_range(path, range.clone()))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.run(|| self.storage.list(prefix))
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        self.run(|| self.storage.list_between(after, before))
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.run(|| self.storage.delete(path))
    }

    fn retain(&self, path: &str) -> Result<()> {
        self.run(|| self.storage.retain(path))
    }

    fn interrupt(&self, begun_before: Instant) {
        self.interruption.of_what_began_before(begun_before);
        self.storage.interrupt(begun_before);
    }

    fn wrapped(&self) -> Option<&dyn Storage> {
        Some(&*self.storage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::faulty::{Fault, Faulty, Operations};
    use super::super::interruption::tests::assert_gives_up;
    use super::super::memory::Memory;
    use super::*;

    fn hasty() -> Patience {
        Patience {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(2),
            total: Duration::from_mins(1),
            unanswered: Duration::from_millis(50),
        }
    }

    #[test]
    fn keeps_the_contract() {
        super::super::contract::holds(&Retrying::new(Arc::new(Memory::default()), hasty()));
    }

    #[test]
    fn what_fails_in_passing_is_tried_again_and_a_lost_answer_does_not_matter() {
        for fault in [
            Fault::Before(ErrorKind::Transient),
            Fault::After(ErrorKind::Unreachable),
        ] {
            for at in 0..5 {
                let memory = Arc::new(Memory::default());
                memory.create("there", b"x").unwrap();
                let faulty = Faulty::at(memory.clone(), Operations::All, at, fault);
                let retrying = Retrying::new(Arc::new(faulty), hasty());
                retrying.create("a", b"a").unwrap();
                assert_eq!(retrying.read("a").unwrap(), b"a");
                assert_eq!(retrying.list("").unwrap().len(), 2);
                retrying.replace("a", b"b").unwrap();
                let taken = retrying.create("there", b"other").unwrap_err();
                assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
                retrying.delete("a").unwrap();
            }
        }
    }

    #[test]
    fn what_will_not_change_is_tried_once_and_an_address_without_answer_soon_given_up() {
        for kind in [ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::NoSpace] {
            let memory = Arc::new(Memory::default());
            let faulty = Faulty::from(memory, Operations::All, 0, Fault::Before(kind));
            let faulty = Arc::new(faulty);
            let retrying = Retrying::new(faulty.clone(), hasty());
            assert_eq!(retrying.read("x").unwrap_err().kind(), kind);
            assert_eq!(faulty.count(), 1);
        }
        let fault = Fault::Before(ErrorKind::Unreachable);
        let memory = Arc::new(Memory::default());
        let gone = Arc::new(Faulty::from(memory, Operations::All, 0, fault));
        let retrying = Retrying::new(gone.clone(), hasty());
        let error = retrying.list("").unwrap_err();
        assert!(error.to_string().starts_with("given up after"), "{error}");
        assert!(gone.count() > 3);
    }

    #[test]
    fn nobody_tries_again_who_does_not_want_to() {
        let fault = Fault::Before(ErrorKind::Transient);
        let faulty = Faulty::from(Arc::new(Memory::default()), Operations::All, 0, fault);
        let patience = Patience {
            first_pause: Duration::from_mins(5),
            unanswered: Duration::from_mins(10),
            ..Patience::default()
        };
        let retrying = Retrying::new(Arc::new(faulty), patience);
        assert_gives_up(&retrying);
    }

    #[test]
    fn pauses_differ_and_have_a_bound() {
        let patience = Patience::default();
        let pauses: Vec<_> = (1..=20).map(|number| patience.pause(number)).collect();
        assert!(pauses[0] <= patience.first_pause);
        assert!(pauses.iter().all(|pause| *pause <= patience.longest_pause));
        let early: std::collections::HashSet<_> = (0..20).map(|_| patience.pause(3)).collect();
        assert!(early.len() > 10);
    }
}
