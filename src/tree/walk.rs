//! A walk through a tree in path order.

use std::os::fd::OwnedFd;

use rustix::fs::Dir;
use rustix::io::Result as OsResult;

use super::{Place, Stat, Tree};

/// Names every entry in path order (see [`crate::format::file::compare_paths`]), the root first. What
/// is in a directory comes only if [`Walk::enter`] is called for it.
///
/// Holds the names of the directories that it is in, not their descriptors.
#[derive(Debug)]
pub struct Walk<'t> {
    place: Place<'t>,
    started: bool,
    frames: Vec<Frame>,
}

/// What is left of one directory.
#[derive(Debug)]
struct Frame {
    path: Vec<u8>,
    /// All names, end to end: one allocation for a directory of any size.
    names: Vec<u8>,
    /// Where each name lies, the next one last.
    rest: Vec<(usize, usize)>,
}

impl<'t> Walk<'t> {
    /// A walk that begins with the root.
    pub fn new(tree: &'t Tree) -> Self {
        Self {
            place: tree.place(),
            started: false,
            frames: Vec::new(),
        }
    }

    /// The next path and what is there; an entry may have vanished since its directory was read.
    pub fn next_entry(&mut self) -> Option<(Vec<u8>, OsResult<Stat>)> {
        if !self.started {
            self.started = true;
            return Some((Vec::new(), self.place.stat(b"")));
        }
        loop {
            let frame = self.frames.last_mut()?;
            let Some((start, end)) = frame.rest.pop() else {
                self.frames.pop();
                continue;
            };
            let mut path = Vec::with_capacity(frame.path.len() + 1 + end - start);
            path.extend_from_slice(&frame.path);
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&frame.names[start..end]);
            let found = self.place.stat(&path);
            return Some((path, found));
        }
    }

    /// Reads the names in the directory that the last entry was, and gives it, open.
    pub fn enter(&mut self, path: &[u8]) -> OsResult<OwnedFd> {
        let directory = self.place.open_directory(path)?;
        let mut names = Vec::new();
        let mut rest = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let start = names.len();
            names.extend_from_slice(name);
            rest.push((start, names.len()));
        }
        rest.sort_unstable_by(|left, right| names[right.0..right.1].cmp(&names[left.0..left.1]));
        // A directory that changes while it is read may give a name twice.
        rest.dedup_by(|left, right| names[left.0..left.1] == names[right.0..right.1]);
        self.frames.push(Frame {
            path: path.to_vec(),
            names,
            rest,
        });
        Ok(directory)
    }

    /// The walk's own way through the tree.
    pub fn place(&mut self) -> &mut Place<'t> {
        &mut self.place
    }
}
