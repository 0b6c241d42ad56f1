//! Room that is kept on a full device for whoever removes: removing writes a lease, a mark and an index first.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::error::ErrorKind;

/// Below the repository's root; the dot keeps it out of every list.
const DIRECTORY: &str = ".reserve";
/// Empty files beside the one that holds the room: on some file systems the number of files is what runs out.
const FILES: usize = 16;
/// A hundredth of the device, but at least this.
const LEAST_BYTES: u64 = 64 << 10;
/// And no more than this: the index of a terabyte fits in.
const MOST_BYTES: u64 = 32 << 20;
/// Where there is no room for that, less; but below this it is of no use: a lease, a mark and a small index.
const USEFUL_BYTES: u64 = 16 << 10;

/// How much is kept on a device of this size.
pub fn reserve_bytes(total_bytes: u64) -> u64 {
    (total_bytes / 100).clamp(LEAST_BYTES, MOST_BYTES)
}

fn room(root: &Path) -> PathBuf {
    root.join(DIRECTORY).join("room")
}

fn empty_file(root: &Path, number: usize) -> PathBuf {
    root.join(DIRECTORY).join(format!("file-{number}"))
}

/// Whether all of the reserve is there.
pub(super) fn is_held(root: &Path, bytes: u64) -> bool {
    fs::metadata(room(root)).is_ok_and(|file| file.len() >= bytes)
        && empty_file(root, FILES - 1).exists()
}

/// Takes the reserve, or as much of it as there is room for: whoever forgets on a full device frees little, and is to leave
/// something for whoever prunes. What was made so far goes away where that is next to nothing.
pub(super) fn hold(
    root: &Path,
    bytes: u64,
    give_away: impl Fn(&File, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let held = take(root, bytes, &give_away);
    if held.is_err() {
        release(root)?;
    }
    held
}

fn take(
    root: &Path,
    bytes: u64,
    give_away: impl Fn(&File, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let directory = root.join(DIRECTORY);
    match fs::create_dir(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => give_away(&File::open(&directory)?, &directory)?,
    }
    let path = room(root);
    let mut bytes = bytes;
    loop {
        let file = File::create(&path)?;
        give_away(&file, &path)?;
        match fill(file, bytes) {
            Err(error) if is_full(&error) && bytes / 2 >= USEFUL_BYTES => bytes /= 2,
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    for number in 0..FILES {
        let path = empty_file(root, number);
        match File::create(&path) {
            Err(error) if is_full(&error) => break,
            made => give_away(&made?, &path)?,
        }
    }
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    ErrorKind::of_io(error) == ErrorKind::NoSpace
}

fn fill(mut file: File, bytes: u64) -> io::Result<()> {
    // Where blocks cannot be reserved they are written, with what does not compress.
    if fallocate(&file, FallocateFlags::empty(), 0, bytes).is_err() {
        let mut block = vec![0; 64 << 10];
        let mut left = bytes;
        while left > 0 {
            getrandom::fill(&mut block).map_err(|error| io::Error::other(error.to_string()))?;
            let part = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
            file.write_all(&block[..part])?;
            left -= part as u64;
        }
    }
    file.sync_all()
}

/// Gives the reserve up.
pub(super) fn release(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root.join(DIRECTORY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn it_is_taken_and_given_up_and_no_object() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        hold(root, 200_000, |_, _| Ok(())).unwrap();
        assert!(is_held(root, 200_000) && !is_held(root, 200_001));
        assert!(fs::metadata(room(root)).unwrap().blocks() * 512 >= 200_000);
        hold(root, 200_000, |_, _| Ok(())).unwrap();
        release(root).unwrap();
        release(root).unwrap();
        assert!(!is_held(root, 1) && fs::read_dir(root).unwrap().next().is_none());
    }

    #[test]
    fn it_grows_with_the_device() {
        assert_eq!(reserve_bytes(1 << 20), LEAST_BYTES);
        assert_eq!(reserve_bytes(1 << 30), (1 << 30) / 100);
        assert_eq!(reserve_bytes(1 << 45), MOST_BYTES);
    }
}
