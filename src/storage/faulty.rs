//! A storage that goes wrong when it is told to: what the reliability tests drive everything through.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Object, Storage};
use crate::error::{Error, ErrorKind, Result};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and had no effect.
    Before(ErrorKind),
    /// The operation had its effect, yet fails: an answer that was lost.
    After(ErrorKind),
    /// What is read has one bit flipped in its middle; what is written arrives so.
    Flip,
    /// What is read ends early, without an error.
    Short,
    /// The process is killed, at once and without any clean-up, before the operation.
    KillBefore,
    /// The process is killed after the operation.
    KillAfter,
}

/// The operations that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operations {
    /// Those that change something.
    Writes,
    /// Those that do not.
    Reads,
    /// All.
    All,
}

/// Passes everything on, but for one operation, or for all from one on.
pub struct Faulty {
    storage: Arc<dyn Storage>,
    fault: Fault,
    operations: Operations,
    at: u64,
    forever: bool,
    count: AtomicU64,
}

impl Faulty {
    /// The `at`-th of the counted operations goes wrong, counting from 0.
    pub fn at(storage: Arc<dyn Storage>, operations: Operations, at: u64, fault: Fault) -> Self {
        Self {
            storage,
            fault,
            operations,
            at,
            forever: false,
            count: AtomicU64::new(0),
        }
    }

    /// From the `at`-th on, all counted operations go wrong: a device that is gone.
    pub fn from(storage: Arc<dyn Storage>, operations: Operations, at: u64, fault: Fault) -> Self {
        Self {
            forever: true,
            ..Self::at(storage, operations, at, fault)
        }
    }

    /// Counted operations so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn due(&self, writes: bool) -> bool {
        let counted = match self.operations {
            Operations::Writes => writes,
            Operations::Reads => !writes,
            Operations::All => true,
        };
        if !counted {
            return false;
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        number == self.at || (self.forever && number > self.at)
    }

    fn write(&self, path: &str, bytes: &[u8], pass: impl Fn(&[u8]) -> Result<()>) -> Result<()> {
        if !self.due(true) {
            return pass(bytes);
        }
        match self.fault {
            Fault::Before(kind) => Err(injected(kind, path)),
            Fault::After(kind) => pass(bytes).and(Err(injected(kind, path))),
            Fault::Flip => pass(&flipped(bytes.to_vec())),
            Fault::Short => pass(&bytes[..bytes.len() / 2]),
            Fault::KillBefore => kill(path),
            Fault::KillAfter => pass(bytes).and_then(|()| kill(path)),
        }
    }

    fn fetch(&self, path: &str, pass: impl Fn() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        if !self.due(false) {
            return pass();
        }
        match self.fault {
            Fault::Before(kind) | Fault::After(kind) => Err(injected(kind, path)),
            Fault::Flip => pass().map(flipped),
            Fault::Short => pass().map(|mut bytes| {
                bytes.truncate(bytes.len() / 2);
                bytes
            }),
            Fault::KillBefore | Fault::KillAfter => kill(path),
        }
    }

    fn enumerate(
        &self,
        place: &str,
        pass: impl Fn() -> Result<Vec<Object>>,
    ) -> Result<Vec<Object>> {
        if !self.due(false) {
            return pass();
        }
        match self.fault {
            Fault::Before(kind) | Fault::After(kind) => Err(injected(kind, place)),
            Fault::Flip | Fault::Short => pass(),
            Fault::KillBefore | Fault::KillAfter => kill(place),
        }
    }
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x04;
    }
    bytes
}

/// The error of a fault at `path`.
pub fn injected(kind: ErrorKind, path: &str) -> Error {
    Error::new(kind, format!("injected fault at `{path}`"))
}

/// Ends the process as `kill -9` does.
pub fn kill<T>(path: &str) -> Result<T> {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .map_err(|error| Error::io("cannot kill the process", error.into()))?;
    Err(injected(ErrorKind::Failure, path))
}

impl Storage for Faulty {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.write(path, bytes, |bytes| self.storage.create(path, bytes))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.write(path, bytes, |bytes| self.storage.replace(path, bytes))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.fetch(path, || self.storage.read(path))
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.fetch(path, || self.storage.read_range(path, range.clone()))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.enumerate(prefix, || self.storage.list(prefix))
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        self.enumerate(after, || self.storage.list_between(after, before))
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.write(path, &[], |_| self.storage.delete(path))
    }

    fn retain(&self, path: &str) -> Result<()> {
        self.write(path, &[], |_| self.storage.retain(path))
    }

    fn wrapped(&self) -> Option<&dyn Storage> {
        Some(&*self.storage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn a_wrapper_that_never_fires_keeps_the_contract() {
        let memory = Arc::new(Memory::default());
        let never = Faulty::at(memory, Operations::All, u64::MAX, Fault::Flip);
        super::super::contract::holds(&never);
        assert!(never.count() > 100);
    }

    #[test]
    fn the_effect_is_there_after_and_not_before() {
        let memory = Arc::new(Memory::default());
        let kind = ErrorKind::Transient;
        let before = Faulty::at(memory.clone(), Operations::Writes, 1, Fault::Before(kind));
        before.create("a", b"a").unwrap();
        assert_eq!(before.create("b", b"b").unwrap_err().kind(), kind);
        assert_eq!(memory.list("").unwrap().len(), 1);
        let after = Faulty::at(memory.clone(), Operations::Writes, 0, Fault::After(kind));
        assert_eq!(after.create("c", b"c").unwrap_err().kind(), kind);
        assert_eq!(memory.read("c").unwrap(), b"c");
        let flip = Faulty::from(memory.clone(), Operations::Reads, 0, Fault::Flip);
        assert_ne!(flip.read("c").unwrap(), b"c");
        assert_ne!(flip.read("a").unwrap(), b"a");
    }
}
