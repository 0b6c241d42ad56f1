//! Whether what is to be written fits: needs summed up by file system.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::instance::nearest_existing;

/// What a file takes besides its bytes: the rest of its last block, its inode, its name.
const FILE_BYTES: u64 = 4096;
/// A database on disk beside the text of its rows: heads of rows and pages, free room, indexes, and the log of
/// writing it all. Measured on the made-up instance without the log: 1.3 to 2.0 times.
const DATABASE_FACTOR: u64 = 3;
/// What every database has.
const DATABASE_BYTES: u64 = 32 << 20;

/// What a tree of so many entries and bytes takes.
pub(super) fn of_files(entries: u64, bytes: u64) -> u64 {
    bytes.saturating_add(entries.saturating_mul(FILE_BYTES))
}

/// What a database takes whose definitions and rows have so many bytes.
pub(super) fn of_database(bytes: u64) -> u64 {
    bytes
        .saturating_mul(DATABASE_FACTOR)
        .saturating_add(DATABASE_BYTES)
}

/// One file system: what it has to take beside what is there, and what it can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// A directory on it.
    pub place: PathBuf,
    /// What comes there.
    pub needs: Vec<String>,
    /// About so many bytes.
    pub needed_bytes: u64,
    /// What this user can still write.
    pub free_bytes: u64,
}

/// The file systems that something is written to, by their devices.
#[derive(Debug, Default)]
pub struct Rooms(BTreeMap<u64, Room>);

impl Rooms {
    /// `bytes` more are needed at `place`, which need not exist yet, for `what`.
    pub fn add(&mut self, place: &Path, what: &str, bytes: u64) -> Result<()> {
        let there = nearest_existing(place);
        let context = || format!("cannot ask for the space of `{}`", there.display());
        let device = there.metadata().io_context(context)?.dev();
        let stat = rustix::fs::statvfs(there).io_context(context)?;
        let room = self.0.entry(device).or_insert_with(|| Room {
            place: there.to_owned(),
            needs: Vec::new(),
            needed_bytes: 0,
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        });
        room.needs.push(what.to_owned());
        room.needed_bytes = room.needed_bytes.saturating_add(bytes);
        Ok(())
    }

    /// Each of them.
    pub fn into_list(self) -> Vec<Room> {
        self.0.into_values().collect()
    }

    /// Bytes over all of them.
    pub fn needed_bytes(&self) -> u64 {
        self.0.values().map(|room| room.needed_bytes).sum()
    }

    /// `NoSpace`, naming each that is too small.
    pub fn check(&self) -> Result<()> {
        let short: Vec<_> = self
            .0
            .values()
            .filter(|room| room.needed_bytes > room.free_bytes)
            .map(|room| {
                format!(
                    "`{}` has {} MiB free and {} MiB are needed",
                    room.place.display(),
                    room.free_bytes >> 20,
                    (room.needed_bytes >> 20) + 1
                )
            })
            .collect();
        if short.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NoSpace, short.join("; "))
            .hint("Free space there; nothing was written."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_on_one_device_are_summed_up() {
        let directory = tempfile::tempdir().unwrap();
        let mut rooms = Rooms::default();
        rooms.add(directory.path(), "files", 1 << 20).unwrap();
        rooms
            .add(&directory.path().join("not/yet"), "more", 1 << 20)
            .unwrap();
        assert_eq!(rooms.needed_bytes(), 2 << 20);
        rooms.check().unwrap();
        rooms.add(directory.path(), "database", 1 << 60).unwrap();
        let error = rooms.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("MiB are needed"), "{error}");
    }
}
