//! A storage that may hang, as a network share does whose server is gone: each operation has to answer in time.
//!
//! A system call on such a share does not return, and cannot be called off. So it runs on a thread of its own that is
//! left to itself when the time is over; it ends when the server is back, or with the process.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::interruption::Interruption;
use super::mount::SHARE_HINT;
use super::{Object, Space, Storage};
use crate::error::{Error, ErrorKind, Result};

/// So many threads may hang; then nothing more is begun.
const MOST_HANGING: usize = 16;
/// How often is looked whether to go on waiting.
const LOOK: Duration = Duration::from_millis(100);

/// Passes everything on, and gives up waiting after a time.
pub struct Deadline {
    storage: Arc<dyn Storage>,
    limit: Duration,
    location: String,
    hanging: Arc<AtomicUsize>,
    interruption: Interruption,
}

impl Deadline {
    /// Each operation of `storage` has `limit`.
    pub fn new(storage: Arc<dyn Storage>, limit: Duration) -> Self {
        Self {
            location: storage.location(),
            storage,
            limit,
            hanging: Arc::default(),
            interruption: Interruption::default(),
        }
    }

    fn silent(&self) -> Error {
        Error::new(
            ErrorKind::Transient,
            format!(
                "`{}` does not answer for {} seconds",
                self.location,
                self.limit.as_secs()
            ),
        )
        .hint(SHARE_HINT)
    }

    fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Storage) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.hanging.load(Ordering::SeqCst) >= MOST_HANGING {
            return Err(self.silent());
        }
        let began = Instant::now();
        let deadline = began + self.limit;
        let (sender, receiver) = bounded(1);
        let (storage, hanging) = (self.storage.clone(), self.hanging.clone());
        // Counted from the beginning: whoever ends in time is counted out again.
        hanging.fetch_add(1, Ordering::SeqCst);
        let thread = std::thread::Builder::new()
            .name("obbackup-mount".to_owned())
            .spawn(move || {
                let result = work(&*storage);
                hanging.fetch_sub(1, Ordering::SeqCst);
                // Nobody waits any more when it came too late.
                let _ = sender.send(result);
            });
        if let Err(error) = thread {
            self.hanging.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::io("cannot start a thread", error));
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left.min(LOOK)) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(
                        ErrorKind::Failure,
                        "a thread that works on the storage ended unexpectedly",
                    ));
                }
            }
            if self.interruption.concerns(began) {
                return Err(Error::cancelled());
            }
            if left.is_zero() {
                return Err(self.silent());
            }
        }
    }
}

impl Storage for Deadline {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.within(move |storage| storage.create(&path, &bytes))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.within(move |storage| storage.replace(&path, &bytes))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = path.to_owned();
        self.within(move |storage| storage.read(&path))
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let path = path.to_owned();
        self.within(move |storage| storage.read_range(&path, range))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let prefix = prefix.to_owned();
        self.within(move |storage| storage.list(&prefix))
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        let (after, before) = (after.to_owned(), before.to_owned());
        self.within(move |storage| storage.list_between(&after, &before))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let path = path.to_owned();
        self.within(move |storage| storage.delete(&path))
    }

    fn retain(&self, path: &str) -> Result<()> {
        let path = path.to_owned();
        self.within(move |storage| storage.retain(&path))
    }

    fn space(&self) -> Result<Option<Space>> {
        self.within(|storage| storage.space())
    }

    fn is_there(&self) -> Result<bool> {
        self.within(|storage| storage.is_there())
    }

    /// What hangs is left to itself.
    fn interrupt(&self, begun_before: Instant) {
        self.interruption.of_what_began_before(begun_before);
        self.storage.interrupt(begun_before);
    }

    fn wrapped(&self) -> Option<&dyn Storage> {
        Some(&*self.storage)
    }

    fn confirm(&self) -> Result<()> {
        self.within(|storage| storage.confirm())
    }

    fn hold_reserve(&self) -> Result<()> {
        self.within(|storage| storage.hold_reserve())
    }

    fn release_reserve(&self) -> Result<()> {
        self.within(|storage| storage.release_reserve())
    }

    fn clear_remains(&self) -> Result<u64> {
        self.within(|storage| storage.clear_remains())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::super::interruption::tests::assert_gives_up;
    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn keeps_the_contract() {
        let deadline = Deadline::new(Arc::new(Memory::default()), Duration::from_mins(1));
        super::super::contract::holds(&deadline);
        assert_eq!(deadline.hanging.load(Ordering::SeqCst), 0);
    }

    /// Does not answer until it is let.
    #[derive(Default)]
    struct Hanging {
        memory: Memory,
        may_go: Mutex<bool>,
        changed: Condvar,
    }

    impl Hanging {
        fn wait(&self) -> &Memory {
            let mut may_go = self.may_go.lock().unwrap();
            while !*may_go {
                may_go = self.changed.wait(may_go).unwrap();
            }
            &self.memory
        }
    }

    impl Storage for Hanging {
        fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
            self.wait().create(path, bytes)
        }
        fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
            self.wait().replace(path, bytes)
        }
        fn read(&self, path: &str) -> Result<Vec<u8>> {
            self.wait().read(path)
        }
        fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
            self.wait().read_range(path, range)
        }
        fn list(&self, prefix: &str) -> Result<Vec<Object>> {
            self.wait().list(prefix)
        }
        fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
            self.wait().list_between(after, before)
        }
        fn delete(&self, path: &str) -> Result<()> {
            self.wait().delete(path)
        }
        fn location(&self) -> String {
            "/mnt/share".to_owned()
        }
    }

    #[test]
    fn what_hangs_is_given_up_and_works_again_when_it_answers() {
        let hanging = Arc::new(Hanging::default());
        let deadline = Deadline::new(hanging.clone(), Duration::from_millis(20));
        let began = Instant::now();
        for _ in 0..2 * MOST_HANGING {
            let error = deadline.read("x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transient);
            assert!(error.to_string().contains("/mnt/share"), "{error}");
        }
        assert_eq!(deadline.hanging.load(Ordering::SeqCst), MOST_HANGING);
        assert!(began.elapsed() >= Duration::from_millis(20 * 10));
        *hanging.may_go.lock().unwrap() = true;
        hanging.changed.notify_all();
        // On a busy machine even what does not hang may come too late once.
        let began = Instant::now();
        let in_the_end = |answers: &dyn Fn() -> bool| {
            while !answers() {
                assert!(began.elapsed() < Duration::from_mins(1));
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        in_the_end(&|| deadline.replace("x", b"x").is_ok());
        in_the_end(&|| deadline.read("x").is_ok_and(|bytes| bytes == b"x"));
        in_the_end(&|| deadline.hanging.load(Ordering::SeqCst) == 0);
    }

    #[test]
    fn nobody_waits_who_does_not_want_to() {
        let hanging = Arc::new(Hanging::default());
        let deadline = Deadline::new(hanging.clone(), Duration::from_mins(10));
        assert_gives_up(&deadline);
        *hanging.may_go.lock().unwrap() = true;
        hanging.changed.notify_all();
        deadline.create("x", b"x").unwrap();
    }
}
