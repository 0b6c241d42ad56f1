//! A directory tree, reached through descriptors and by paths relative to its root.
//!
//! Every component is opened by itself and never through a symbolic link: so the length of a path, its
//! encoding, and links that somebody plants while the work goes on do not matter.

mod attributes;
mod names;
mod walk;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, Result as OsResult};

pub use attributes::{Attributes, read_attributes, write_attribute};
pub use names::Names;
pub use walk::Walk;

use crate::error::{IoContext, Result};
use crate::format::bytes::ByteString;
use crate::format::file::Time;

/// A tree's root, held open: renaming what leads to it changes nothing.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// What the file system says of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Bytes, holes included.
    pub size_bytes: u64,
    /// Bytes that it takes on the device.
    pub allocated_bytes: u64,
    /// When the content was last changed.
    pub mtime: Time,
    /// When content or metadata were last changed.
    pub ctime: Time,
    /// The device.
    pub device: u64,
    /// The number on that device.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
}

/// What a thing in a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, pipe or device, with the word for it.
    Special(&'static str),
}

impl Stat {
    // The kernel's types differ between architectures; the values fit.
    #[allow(
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        clippy::cast_lossless
    )]
    fn new(stat: &rustix::fs::Stat) -> Self {
        Self {
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Symlink,
                FileType::Socket => Kind::Special("socket"),
                FileType::Fifo => Kind::Special("pipe"),
                FileType::CharacterDevice | FileType::BlockDevice => Kind::Special("device"),
                FileType::Unknown => Kind::Special("special file"),
            },
            mode: stat.st_mode as u32 & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size_bytes: stat.st_size as u64,
            allocated_bytes: stat.st_blocks as u64 * 512,
            mtime: Time(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: Time(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            links: stat.st_nlink as u64,
        }
    }

    /// What an open file or directory is.
    pub fn of(file: impl AsFd) -> OsResult<Self> {
        rustix::fs::fstat(file).map(|stat| Self::new(&stat))
    }

    /// The device and the number on it: the same for all names of one thing.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// For reading what is in a directory; never through a link.
const LISTING: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// For passing through a directory, which needs no right to list it.
const PASSING: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Tree {
    /// The tree below `path`; links that lead to its root are the administrator's and followed.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .io_context(|| format!("cannot open the directory `{}`", path.display()))?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// The root.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The whole path of what is at `relative`, for people.
    pub fn display(&self, relative: &[u8]) -> String {
        use std::os::unix::ffi::OsStrExt;
        let mut whole = self.path.as_os_str().as_bytes().to_vec();
        if !relative.is_empty() {
            whole.push(b'/');
            whole.extend_from_slice(relative);
        }
        ByteString(whole).to_string()
    }

    /// A way through the tree for one thread.
    pub fn place(&self) -> Place<'_> {
        Place {
            tree: self,
            path: Vec::new(),
            chain: Vec::new(),
        }
    }
}

/// Splits a path into the directory and the name in it.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Whether `path` lies below `directory`.
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) if directory.is_empty() => !rest.is_empty(),
        Some(rest) => rest.first() == Some(&b'/'),
        None => false,
    }
}

/// One thread's way through a tree: keeps the directories that it passed last open.
#[derive(Debug)]
pub struct Place<'t> {
    tree: &'t Tree,
    /// The directory that the last link of the chain is.
    path: Vec<u8>,
    /// Directories above one another, each with the length of its path.
    chain: Vec<(usize, OwnedFd)>,
}

/// No more directories are held open. A deeper tree costs a new descent from the root each time that
/// many levels were climbed.
const CHAIN_LIMIT: usize = 24;

impl<'t> Place<'t> {
    /// The tree.
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// The directory at `path`, for operations relative to it.
    pub fn directory(&mut self, path: &[u8]) -> OsResult<BorrowedFd<'_>> {
        while let Some((length, _)) = self.chain.last() {
            let above = &self.path[..*length];
            if above == path || is_below(path, above) {
                break;
            }
            self.chain.pop();
        }
        let mut length = self.chain.last().map_or(0, |(length, _)| *length);
        self.path.truncate(length);
        while length < path.len() {
            let start = if length == 0 { 0 } else { length + 1 };
            let end = path[start..]
                .iter()
                .position(|byte| *byte == b'/')
                .map_or(path.len(), |slash| start + slash);
            let above = self
                .chain
                .last()
                .map_or(self.tree.root.as_fd(), |(_, directory)| directory.as_fd());
            let next = rustix::fs::openat(above, &path[start..end], PASSING, Mode::empty())?;
            if self.chain.len() == CHAIN_LIMIT {
                self.chain.remove(0);
            }
            self.chain.push((end, next));
            self.path.clear();
            self.path.extend_from_slice(&path[..end]);
            length = end;
        }
        Ok(self
            .chain
            .last()
            .map_or(self.tree.root.as_fd(), |(_, directory)| directory.as_fd()))
    }

    /// The directory above `path` and the name in it.
    pub fn parent<'p>(&mut self, path: &'p [u8]) -> OsResult<(BorrowedFd<'_>, &'p [u8])> {
        let (directory, name) = split(path);
        if name.is_empty() {
            return Err(Errno::INVAL);
        }
        Ok((self.directory(directory)?, name))
    }

    /// What is at `path`, itself if it is a link.
    pub fn stat(&mut self, path: &[u8]) -> OsResult<Stat> {
        if path.is_empty() {
            return Stat::of(&self.tree.root);
        }
        let (directory, name) = self.parent(path)?;
        rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Stat::new(&stat))
    }

    /// Opens a regular file for reading. Whether it is one must be asked of the result: it may have
    /// been replaced; opening itself then does no harm and does not block.
    pub fn open_file(&mut self, path: &[u8]) -> OsResult<OwnedFd> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let (directory, name) = self.parent(path)?;
        // Leaving the access times alone is the owner's and root's right only.
        match rustix::fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => rustix::fs::openat(directory, name, flags, Mode::empty()),
            opened => opened,
        }
    }

    /// Opens a directory so that it can be listed.
    pub fn open_directory(&mut self, path: &[u8]) -> OsResult<OwnedFd> {
        if path.is_empty() {
            return rustix::fs::openat(&self.tree.root, ".", LISTING, Mode::empty());
        }
        let (directory, name) = self.parent(path)?;
        rustix::fs::openat(directory, name, LISTING, Mode::empty())
    }

    /// Makes a file that was not there, which nobody else may open yet.
    pub fn create_file(&mut self, path: &[u8]) -> OsResult<OwnedFd> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (directory, name) = self.parent(path)?;
        rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Makes a directory that was not there, which nobody else may enter yet.
    pub fn create_directory(&mut self, path: &[u8]) -> OsResult<()> {
        let (directory, name) = self.parent(path)?;
        rustix::fs::mkdirat(directory, name, Mode::RWXU)
    }

    /// What a symbolic link points to.
    pub fn read_link(&mut self, path: &[u8]) -> OsResult<Vec<u8>> {
        let (directory, name) = self.parent(path)?;
        rustix::fs::readlinkat(directory, name, Vec::new()).map(std::ffi::CString::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b"") && is_below(b"a/b", b""));
        assert!(!is_below(b"ab", b"a") && !is_below(b"a", b"a") && !is_below(b"", b""));
    }

    #[test]
    fn a_tree_deeper_than_any_path_may_be_long_is_walked_with_few_descriptors() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = Tree::open(scratch.path()).unwrap();
        let mut place = tree.place();
        let name = [b'n'; 200];
        let mut path = Vec::new();
        for _ in 0..60 {
            let directory = place.directory(&path).unwrap();
            rustix::fs::mkdirat(directory, &name[..], Mode::from(0o700)).unwrap();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            assert!(place.chain.len() <= CHAIN_LIMIT);
        }
        assert!(path.len() > 12_000);
        let mut walk = Walk::new(&tree);
        let mut seen = Vec::new();
        while let Some((path, stat)) = walk.next_entry() {
            assert_eq!(stat.unwrap().kind, Kind::Directory);
            walk.enter(&path).unwrap();
            seen.push(path);
        }
        assert_eq!(seen.len(), 61);
        assert_eq!(seen.last(), Some(&path));
        // `tempfile` removes by whole paths, as far as those go: shorten the way first.
        for path in seen.iter().skip(1).rev() {
            let (directory, name) = place.parent(path).unwrap();
            rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR).unwrap();
        }
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("inside")).unwrap();
        std::fs::write(scratch.path().join("inside/file"), b"x").unwrap();
        std::os::unix::fs::symlink("inside", scratch.path().join("link")).unwrap();
        let tree = Tree::open(scratch.path()).unwrap();
        let mut place = tree.place();
        assert!(place.open_file(b"inside/file").is_ok());
        assert_eq!(place.open_file(b"link/file").unwrap_err(), Errno::NOTDIR);
        assert_eq!(place.open_file(b"link").unwrap_err(), Errno::LOOP);
        assert_eq!(place.open_directory(b"link").unwrap_err(), Errno::NOTDIR);
        assert_eq!(place.stat(b"link").unwrap().kind, Kind::Symlink);
    }
}
