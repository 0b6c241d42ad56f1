//! Whether what is to be written fits: needs summed up by file system.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, IoContext, Result};

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

/// What will be written, and where.
#[derive(Debug, Default)]
pub(super) struct Room {
    needs: Vec<Need>,
}

#[derive(Debug)]
struct Need {
    device: u64,
    place: PathBuf,
    bytes: u64,
    free_bytes: u64,
}

impl Room {
    /// `bytes` more are needed at `place`, which need not exist yet.
    pub(super) fn add(&mut self, place: &Path, bytes: u64) -> Result<()> {
        let there = place
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let context = || format!("cannot ask for the space of `{}`", there.display());
        let device = there.metadata().io_context(context)?.dev();
        if let Some(need) = self.needs.iter_mut().find(|need| need.device == device) {
            need.bytes = need.bytes.saturating_add(bytes);
            return Ok(());
        }
        let stat = rustix::fs::statvfs(there).io_context(context)?;
        self.needs.push(Need {
            device,
            place: there.to_owned(),
            bytes,
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        });
        Ok(())
    }

    /// Bytes over all file systems.
    pub(super) fn needed_bytes(&self) -> u64 {
        self.needs.iter().map(|need| need.bytes).sum()
    }

    /// `NoSpace`, naming each file system that is too small.
    pub(super) fn check(&self) -> Result<()> {
        let short: Vec<_> = self
            .needs
            .iter()
            .filter(|need| need.bytes > need.free_bytes)
            .map(|need| {
                format!(
                    "`{}` has {} MiB free and {} MiB are needed",
                    need.place.display(),
                    need.free_bytes >> 20,
                    (need.bytes >> 20) + 1
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
        let mut room = Room::default();
        room.add(directory.path(), 1 << 20).unwrap();
        room.add(&directory.path().join("not/yet"), 1 << 20)
            .unwrap();
        assert_eq!(room.needed_bytes(), 2 << 20);
        room.check().unwrap();
        room.add(directory.path(), 1 << 60).unwrap();
        let error = room.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("MiB are needed"), "{error}");
    }
}
