//! Storages: where a repository's objects lie. One small trait, and what every implementation promises.
//!
//! # The contract
//!
//! Objects have relative paths, `/` between components, each component of `[A-Za-z0-9._-]` and neither
//! empty nor starting with a dot. There are no directories to make or to remove.
//!
//! - **Create once**: [`Storage::create`] of a path that exists fails with `AlreadyExists` and leaves the
//!   object as it was. Of several at once, one succeeds. Where answers can be lost on the way, a creator also
//!   succeeds that finds the very bytes that it came with.
//! - **Atomic**: an object is there with all of its bytes, or not at all, whenever and however the process or
//!   the machine dies.
//! - **Durable**: when `create` or `replace` returns, the object survives a power cut.
//! - **Immediate**: what `create` returned from is seen by every later `read` and `list`.
//! - **Ranges** are exact: a range that reaches beyond the end is an error, never a short answer.
//! - **Listing** gives every object under the prefix exactly once, in bytewise order of the paths, and looks at rooms
//!   in that order too: whoever lists several at once relies on which was looked at first.
//! - **Deleting** what is absent succeeds: two removers must not fail each other.
//! - **Kinds** of errors: absent is `NotFound`, a refusal `Denied`, a full device `NoSpace`, what may
//!   work when tried again `Transient`.
//!
//! A new property is added by wrapping a storage, not by changing one: a wrapper says what it wraps
//! ([`Storage::wrapped`]) and implements what it changes.

#[cfg(test)]
pub(crate) mod contract;
pub mod deadline;
pub mod faulty;
pub mod interruption;
pub mod local;
pub mod memory;
pub mod mount;
pub mod reserve;
pub mod retry;
pub mod s3;

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Owner, RepositorySection};
use crate::error::{Error, ErrorKind, IoContext, Result};
use retry::{Patience, Retrying};

/// Silence for longer than this many seconds is a stall, where the configuration says nothing.
const STALL_SECONDS: u32 = 60;

/// See the contract in the module's text.
pub trait Storage: Send + Sync {
    /// Makes an object.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Makes an object or takes the place of the one that is there; for leases only.
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// The whole object.
    fn read(&self, path: &str) -> Result<Vec<u8>>;

    /// The bytes `range` of the object.
    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// All objects whose path begins with `prefix`.
    fn list(&self, prefix: &str) -> Result<Vec<Object>>;

    /// All objects whose path comes after `after` and before `before`, in bytewise order: several rooms that lie side
    /// by side cost one request for each thousand objects.
    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>>;

    /// Removes the object.
    fn delete(&self, path: &str) -> Result<()>;

    /// What a wrapper wraps. Whatever stands below and the wrapper does not change is answered by that one.
    fn wrapped(&self) -> Option<&dyn Storage> {
        None
    }

    /// Keeps the object from being deleted for as long as a new one would be, where the storage does such a thing.
    fn retain(&self, path: &str) -> Result<()> {
        self.wrapped()
            .map_or_else(|| check_path(path), |storage| storage.retain(path))
    }

    /// Gives up what was begun before a moment and is still being waited for: that fails with `Cancelled`, and what it was to
    /// make is there whole or not at all, or will be in a while. What is begun afterwards is not concerned. A storage that
    /// never waits long has nothing to give up.
    fn interrupt(&self, begun_before: Instant) {
        if let Some(storage) = self.wrapped() {
            storage.interrupt(begun_before);
        }
    }

    /// Makes sure, before anything is changed, that what is believed without having been asked still holds.
    fn confirm(&self) -> Result<()> {
        self.wrapped().map_or(Ok(()), Storage::confirm)
    }

    /// The room on the device, where there is such a thing.
    fn space(&self) -> Result<Option<Space>> {
        self.wrapped().map_or(Ok(None), Storage::space)
    }

    /// Whether the place itself is there: the directory. A bucket that is not says so whatever it is asked.
    fn is_there(&self) -> Result<bool> {
        self.wrapped().map_or(Ok(true), Storage::is_there)
    }

    /// Where it is, for people.
    fn location(&self) -> String {
        self.wrapped().map(Storage::location).unwrap_or_default()
    }

    /// Whether each request costs a round trip, so that few large ones are better than many small ones.
    fn is_remote(&self) -> bool {
        self.wrapped().is_some_and(Storage::is_remote)
    }

    /// Whether a lease that is there is surely seen by everybody, as on one machine's device. Elsewhere a listing may
    /// be old, and what is not needed is deleted only after a time of grace.
    fn shows_every_lease(&self) -> bool {
        self.wrapped().is_some_and(Storage::shows_every_lease)
    }

    /// Takes some room on the device that only whoever removes gives up again; where there is a device, and room.
    fn hold_reserve(&self) -> Result<()> {
        self.wrapped().map_or(Ok(()), Storage::hold_reserve)
    }

    /// Gives that room up, so that on a full device something can be removed, which writes a little first.
    fn release_reserve(&self) -> Result<()> {
        self.wrapped().map_or(Ok(()), Storage::release_reserve)
    }

    /// Removes what writers left half-written that died, if it is old enough to be nobody's; how many bytes.
    fn clear_remains(&self) -> Result<u64> {
        self.wrapped().map_or(Ok(0), Storage::clear_remains)
    }
}

/// One object, as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The room on a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// What is taken; with what is free it is less than all, where a part is kept for root.
    pub used_bytes: u64,
    /// What this user can still write.
    pub free_bytes: u64,
    /// Files that can still be made, where the file system counts them.
    pub free_inodes: Option<u64>,
}

/// The storage of a repository. What is made there belongs to `owner`.
pub fn open(section: &RepositorySection, owner: Option<Owner>) -> Result<Arc<dyn Storage>> {
    let url = &section.url;
    let patience = section
        .give_up_after_seconds
        .map_or_else(Patience::default, |seconds| Patience {
            total: Duration::from_secs(u64::from(seconds.get())),
            ..Patience::default()
        });
    if section.is_bucket() {
        let bucket = Arc::new(s3::S3::open(section)?);
        return Ok(Arc::new(Retrying::new(bucket, patience)));
    }
    if let Some((scheme, _)) = url.split_once("://") {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{url}`: a repository on `{scheme}` is not supported"),
        )
        .hint("Name a directory, or a bucket: s3://bucket/prefix."));
    }
    if url.is_empty() {
        return Err(
            Error::new(ErrorKind::Usage, "the repository's location is empty")
                .hint("Name a directory: --repository /mnt/backups/openbravo."),
        );
    }
    let mut local = local::Local::new(url);
    if let Some(owner) = owner {
        local = local.owned_by(owner);
    }
    if section.require_mount {
        local = local.on_mount();
    }
    // A disk of this machine answers; what is reached over a network, or may be taken out, need not.
    let place = std::path::absolute(url).io_context(|| format!("cannot resolve `{url}`"))?;
    if !section.require_mount && !mount::Mount::of(&place)?.is_network() {
        return Ok(Arc::new(local));
    }
    let stall = section.stall_seconds.map_or(STALL_SECONDS, NonZeroU32::get);
    let limit = Duration::from_secs(u64::from(stall));
    let deadline = Arc::new(deadline::Deadline::new(Arc::new(local), limit));
    Ok(Arc::new(Retrying::new(deadline, patience)))
}

/// Refuses what the contract does not allow as a path, before it reaches a file system.
fn check_path(path: &str) -> Result<()> {
    let good = |component: &str| {
        !component.is_empty()
            && !component.starts_with('.')
            && component
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if path.split('/').all(good) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Failure,
        format!("`{path}` is not the path of an object"),
    ))
}

/// The error for a range that the object does not have.
fn range_error(path: &str, range: &Range<u64>, bytes: u64) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "`{path}` has {bytes} bytes, of which {} to {} were asked for: it was cut short",
            range.start, range.end
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::faulty::{Fault, Faulty, Operations};
    use super::memory::Memory;
    use super::*;

    /// Answers otherwise than a storage that has nothing of the kind.
    #[derive(Default)]
    struct Peculiar(Memory, AtomicBool);

    const SPACE: Space = Space {
        total_bytes: 4,
        used_bytes: 1,
        free_bytes: 3,
        free_inodes: Some(2),
    };

    fn peculiar<T>(what: &str) -> Result<T> {
        Err(Error::new(ErrorKind::Denied, what.to_owned()))
    }

    impl Storage for Peculiar {
        fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
            self.0.create(path, bytes)
        }
        fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
            self.0.replace(path, bytes)
        }
        fn read(&self, path: &str) -> Result<Vec<u8>> {
            self.0.read(path)
        }
        fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
            self.0.read_range(path, range)
        }
        fn list(&self, prefix: &str) -> Result<Vec<Object>> {
            self.0.list(prefix)
        }
        fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
            self.0.list_between(after, before)
        }
        fn delete(&self, path: &str) -> Result<()> {
            self.0.delete(path)
        }
        fn retain(&self, _path: &str) -> Result<()> {
            peculiar("retain")
        }
        fn interrupt(&self, _: Instant) {
            self.1.store(true, Ordering::SeqCst);
        }
        fn confirm(&self) -> Result<()> {
            peculiar("confirm")
        }
        fn space(&self) -> Result<Option<Space>> {
            Ok(Some(SPACE))
        }
        fn is_there(&self) -> Result<bool> {
            Ok(false)
        }
        fn location(&self) -> String {
            "nowhere".to_owned()
        }
        fn is_remote(&self) -> bool {
            true
        }
        fn shows_every_lease(&self) -> bool {
            true
        }
        fn hold_reserve(&self) -> Result<()> {
            peculiar("hold")
        }
        fn release_reserve(&self) -> Result<()> {
            peculiar("release")
        }
        fn clear_remains(&self) -> Result<u64> {
            Ok(7)
        }
    }

    #[test]
    fn wrappers_pass_on_what_they_do_not_change() {
        type Wrap = fn(Arc<Peculiar>) -> Box<dyn Storage>;
        let wrap: [Wrap; 3] = [
            |inner| Box::new(Retrying::new(inner, Patience::default())),
            |inner| Box::new(Faulty::at(inner, Operations::All, u64::MAX, Fault::Flip)),
            |inner| Box::new(deadline::Deadline::new(inner, Duration::from_mins(1))),
        ];
        for wrap in wrap {
            let inner = Arc::new(Peculiar::default());
            let wrapper = wrap(inner.clone());
            let said = |result: Result<()>| result.unwrap_err().message();
            assert_eq!(said(wrapper.retain("x")), "retain");
            assert_eq!(said(wrapper.confirm()), "confirm");
            assert_eq!(said(wrapper.hold_reserve()), "hold");
            assert_eq!(said(wrapper.release_reserve()), "release");
            assert_eq!(wrapper.space().unwrap(), Some(SPACE));
            assert!(!wrapper.is_there().unwrap());
            assert_eq!(wrapper.location(), "nowhere");
            assert!(wrapper.is_remote() && wrapper.shows_every_lease());
            assert_eq!(wrapper.clear_remains().unwrap(), 7);
            wrapper.interrupt(Instant::now());
            assert!(inner.1.load(Ordering::SeqCst));
        }
    }
}
