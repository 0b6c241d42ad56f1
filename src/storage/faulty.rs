//! A storage that goes wrong when it is told to: what the reliability tests drive everything through.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Object, Space, Storage};
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
pub struct Faulty<S> {
    storage: S,
    fault: Fault,
    operations: Operations,
    at: u64,
    forever: bool,
    count: AtomicU64,
}

impl<S: Storage> Faulty<S> {
    /// The `at`-th of the counted operations goes wrong, counting from 0.
    pub fn at(storage: S, operations: Operations, at: u64, fault: Fault) -> Self {
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
    pub fn from(storage: S, operations: Operations, at: u64, fault: Fault) -> Self {
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

impl<S: Storage> Storage for Faulty<S> {
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
        if !self.due(false) {
            return self.storage.list(prefix);
        }
        match self.fault {
            Fault::Before(kind) | Fault::After(kind) => Err(injected(kind, prefix)),
            Fault::Flip | Fault::Short => self.storage.list(prefix),
            Fault::KillBefore | Fault::KillAfter => kill(prefix),
        }
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.write(path, &[], |_| self.storage.delete(path))
    }

    fn retain(&self, path: &str) -> Result<()> {
        self.write(path, &[], |_| self.storage.retain(path))
    }

    fn space(&self) -> Result<Option<Space>> {
        self.storage.space()
    }

    fn location(&self) -> String {
        self.storage.location()
    }

    fn is_remote(&self) -> bool {
        self.storage.is_remote()
    }

    fn shows_every_lease(&self) -> bool {
        self.storage.shows_every_lease()
    }

    fn hold_reserve(&self) -> Result<()> {
        self.storage.hold_reserve()
    }

    fn release_reserve(&self) -> Result<()> {
        self.storage.release_reserve()
    }

    fn clear_remains(&self) -> Result<u64> {
        self.storage.clear_remains()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn a_wrapper_that_never_fires_keeps_the_contract() {
        let never = Faulty::at(Memory::default(), Operations::All, u64::MAX, Fault::Flip);
        super::super::contract::holds(&never);
        assert!(never.count() > 100);
    }

    #[test]
    fn the_effect_is_there_after_and_not_before() {
        let memory = std::sync::Arc::new(Memory::default());
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
