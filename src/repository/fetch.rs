//! Many small requests: several at a time where each costs a round trip.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// Requests at the same time.
const AT_ONCE: usize = 8;
/// How often something is read before it counts as damaged where it lies.
const PROOFS: u32 = 4;

impl Repository {
    /// What `work` makes of each item, in the order of the items.
    pub(super) fn each<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T> + Sync,
    ) -> Vec<Result<T>> {
        if !self.storage.is_remote() || items.len() < 2 {
            return items.iter().map(work).collect();
        }
        let next = AtomicUsize::new(0);
        let mut results: Vec<Option<Result<T>>> = Vec::new();
        results.resize_with(items.len(), || None);
        let results = Mutex::new(results);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(items.len()) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(number) else {
                            break;
                        };
                        let result = work(item);
                        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                        results[number] = Some(result);
                    }
                });
            }
        });
        let unread = || Err(Error::new(ErrorKind::Failure, "a working thread has ended"));
        results
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .into_iter()
            .map(|result| result.unwrap_or_else(unread))
            .collect()
    }

    /// Reads an object that proves itself, and again what a long way may have damaged.
    pub(super) fn read_proven<T>(
        &self,
        path: &str,
        prove: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<T> {
        proven(&*self.storage, || prove(&self.storage.read(path)?))
    }
}

/// Does two things that wait for the storage: at the same time where each request costs a round trip.
pub(super) fn both<A: Send, B>(
    storage: &dyn Storage,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    if !storage.is_remote() {
        return (first(), second());
    }
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (
            first.join().unwrap_or_else(|panic| resume_unwind(panic)),
            second,
        )
    })
}

/// What comes from afar and is damaged is read some more times: bits flip on the way too, and nothing is lost
/// then. Over TLS that cannot go unnoticed, but not every server speaks it.
pub(super) fn proven<T>(storage: &dyn Storage, read: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 1..PROOFS {
        match read() {
            Err(error) if error.kind() == ErrorKind::Damaged && storage.is_remote() => {}
            result => return result,
        }
    }
    read()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::Compression;
    use crate::storage::faulty::{Fault, Faulty, Operations};
    use crate::storage::memory::Memory;

    #[test]
    fn results_stand_in_the_order_of_the_paths() {
        let memory = Arc::new(Memory::far());
        let repository = Repository::init(memory.clone(), Compression::Zstd).unwrap();
        let paths: Vec<String> = (0..50).map(|number| format!("x/{number}")).collect();
        for path in paths.iter().filter(|path| !path.ends_with('7')) {
            memory.create(path, path.as_bytes()).unwrap();
        }
        let read = repository.each(&paths, |path| memory.read(path));
        for (path, result) in paths.iter().zip(read) {
            match result {
                Ok(bytes) => assert_eq!(bytes, path.as_bytes()),
                Err(error) => {
                    assert!(path.ends_with('7') && error.kind() == ErrorKind::NotFound);
                }
            }
        }
    }

    #[test]
    fn a_bit_that_flipped_on_the_way_is_read_again() {
        let memory = Arc::new(Memory::far());
        Repository::init(memory.clone(), Compression::Zstd).unwrap();
        let faulty = Faulty::at(memory, Operations::Reads, 0, Fault::Flip);
        Repository::open(Arc::new(faulty)).unwrap();
    }
}
