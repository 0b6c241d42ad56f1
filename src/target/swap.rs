//! Putting a staged directory tree in the place of a live one, entry by entry, so that it can be gone on with
//! or taken back from wherever it was broken off.
//!
//! The root itself is never renamed: it may be a mount point, or its parent not writable. Its children are,
//! one by one: the live one to the old area, the staged one to where it was. Where each of them is tells
//! what was done and what is left to do; no record of single renames is needed:
//!
//! | live | staged | old | |
//! |---|---|---|---|
//! | old state | new state | nothing | not begun |
//! | nothing | new state | old state | between the two renames |
//! | new state | nothing | old state | done |
//!
//! Two files, as opposed to directories, change places without a moment in which none is there: the old one
//! gets a second name in the old area first, then the new one is renamed over it. So the application's
//! settings, which everything else is found by, are there at any time.
//!
//! Where the kernel cannot rename, an entry is copied: then both ends are there for a while, and only
//! what was said before the copy began ([`Leg`]) tells which of them is the complete one.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::relocate::{self, exists, is_directory, parent};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::bytes::ByteString;

/// What happens to a path of the live tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is replaced by what is staged, or goes to the old area where nothing is.
    Replace,
    /// It stays as it is: it belongs to another part, or is what a build makes.
    Keep,
    /// Something below it stays, so what is in it is looked at one by one.
    Descend,
}

/// The three places of one tree; best on one file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Areas {
    /// The live tree.
    pub root: PathBuf,
    /// What is to take its place: a directory.
    pub staged: PathBuf,
    /// Where the live one goes; made if need be.
    pub old: PathBuf,
}

/// Everything that changes places in one tree, as it was found before the first step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exchange {
    /// What changes places, in order.
    pub entries: Vec<Entry>,
    /// Directories that stay, and their looks; the root is one of them.
    pub directories: Vec<Dressing>,
}

/// A path below the root that is exchanged as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the root.
    pub path: ByteString,
    /// What was live.
    pub live: Option<Kind>,
    /// What was staged.
    pub staged: Option<Kind>,
}

/// How an entry can be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else: it can have two names.
    File,
}

/// A directory that stays, with its looks before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dressing {
    /// Relative to the root; empty for the root.
    pub path: ByteString,
    /// As the live one was; absent where the root had to be made.
    pub before: Option<Looks>,
    /// As the staged one is.
    pub after: Option<Looks>,
}

/// Owner, mode and time of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: (i64, u32),
}

/// Which state takes the place of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The staged one that of the live one, which goes to the old area.
    Forward,
    /// The old one its own, and the new one goes back to where it was staged.
    Back,
}

/// The four legs on which an entry goes from place to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// Live to old.
    Out,
    /// Staged to live.
    In,
    /// Live back to staged.
    BackOut,
    /// Old back to live.
    BackIn,
}

/// Said before an entry is copied, and to be durable before this returns.
pub type BeforeCopy<'a> = &'a mut dyn FnMut(Leg) -> Result<()>;

/// The places of one entry.
struct Places {
    live: PathBuf,
    staged: PathBuf,
    old: PathBuf,
}

impl Places {
    fn ends(&self, leg: Leg) -> (&Path, &Path) {
        match leg {
            Leg::Out => (&self.live, &self.old),
            Leg::In => (&self.staged, &self.live),
            Leg::BackOut => (&self.live, &self.staged),
            Leg::BackIn => (&self.old, &self.live),
        }
    }

    /// `to` of a copy that is there is complete, so what is left of `from` can go.
    fn finish_copy(&self, leg: Option<Leg>) -> Result<()> {
        let Some((from, to)) = leg.map(|leg| self.ends(leg)) else {
            return Ok(());
        };
        if exists(from) && exists(to) {
            relocate::remove(from)?;
        }
        Ok(())
    }

    fn go(&self, leg: Leg, before_copy: BeforeCopy<'_>) -> Result<()> {
        let (from, to) = self.ends(leg);
        if relocate::rename(from, to)? {
            return Ok(());
        }
        before_copy(leg)?;
        relocate::copy(from, to)?;
        relocate::remove(from)
    }

    fn in_the_way(&self, place: &Path) -> Error {
        Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "`{}` cannot go to `{}`: something else has appeared there",
                place.display(),
                self.live.display()
            ),
        )
        .hint(format!(
            "Move `{}` out of the way; nothing was deleted.",
            self.live.display()
        ))
    }
}

impl Areas {
    /// What would change places. `fate` gets paths relative to the root. Changes nothing.
    pub fn survey(&self, fate: &dyn Fn(&Path) -> Fate) -> Result<Exchange> {
        let mounts = mounts_below(&self.root);
        let mut exchange = Exchange::default();
        self.survey_level(Path::new(""), fate, &mounts, &mut exchange)?;
        Ok(exchange)
    }

    fn survey_level(
        &self,
        below: &Path,
        fate: &dyn Fn(&Path) -> Fate,
        mounts: &[PathBuf],
        exchange: &mut Exchange,
    ) -> Result<()> {
        let mut names = children(&self.root.join(below))?;
        names.extend(children(&self.staged.join(below))?);
        for name in names {
            let path = below.join(name);
            let places = self.places(&path);
            // The areas may lie inside the tree that is swapped.
            if self.staged.starts_with(&places.live) || self.old.starts_with(&places.live) {
                continue;
            }
            // A mount point cannot be renamed, and renaming what holds one would take the mount along.
            let holds_mount = mounts.iter().any(|mount| mount.starts_with(&places.live));
            let descends = match fate(&path) {
                Fate::Keep => continue,
                Fate::Descend => true,
                Fate::Replace => holds_mount,
            };
            if descends && is_directory(&places.live) {
                self.survey_level(&path, fate, mounts, exchange)?;
                continue;
            }
            exchange.entries.push(Entry {
                live: kind(&places.live),
                staged: kind(&places.staged),
                path: path.as_os_str().as_bytes().into(),
            });
        }
        exchange.directories.push(Dressing {
            path: below.as_os_str().as_bytes().into(),
            before: Looks::of(&self.root.join(below)),
            after: Looks::of(&self.staged.join(below)),
        });
        Ok(())
    }

    /// Makes the root, and in the old area the directories that entries go to.
    pub fn prepare(&self, exchange: &Exchange) -> Result<()> {
        let make = |path: &Path| {
            fs::create_dir_all(path).io_context(|| format!("cannot make `{}`", path.display()))
        };
        make(&self.root)?;
        // The deepest come first in the list.
        for directory in exchange.directories.iter().rev() {
            let path = self.places(directory.path.as_path()).old;
            make(&path)?;
            if let Some(looks) = &directory.before {
                // Whoever owns the live one must be able to undo this; only root can give away.
                std::os::unix::fs::chown(&path, Some(looks.uid), Some(looks.gid)).ok();
            }
        }
        Ok(())
    }

    /// Puts one state of an entry in the place of the other, from wherever that was broken off. `copied` is the
    /// last leg on which it was copied.
    pub fn exchange(
        &self,
        entry: &Entry,
        way: Way,
        copied: Option<Leg>,
        before_copy: BeforeCopy<'_>,
    ) -> Result<()> {
        let (leaving, arriving, out, into) = match way {
            Way::Forward => (entry.live, entry.staged, Leg::Out, Leg::In),
            Way::Back => (entry.staged, entry.live, Leg::BackOut, Leg::BackIn),
        };
        let places = self.places(entry.path.as_path());
        let (live, kept) = places.ends(out);
        let (new, _) = places.ends(into);
        if entry.is_two_files() {
            if exists(new) {
                if exists(live) && !exists(kept) {
                    relocate::keep(live, kept)?;
                }
                relocate::replace(new, live)?;
            }
            return Ok(());
        }
        places.finish_copy(copied)?;
        if leaving.is_some() && exists(live) && !exists(kept) {
            places.go(out, before_copy)?;
        }
        if arriving.is_some() && exists(new) {
            if exists(live) {
                return Err(places.in_the_way(new));
            }
            places.go(into, before_copy)?;
        }
        Ok(())
    }

    /// Whether the staged entry is on its way or in its place.
    pub fn has_begun(&self, entry: &Entry) -> bool {
        let places = self.places(entry.path.as_path());
        exists(&places.old) || (entry.staged.is_some() && !exists(&places.staged))
    }

    /// Whether what was live is in the old area, once the new one is in its place.
    pub fn keeps(&self, entry: &Entry) -> bool {
        entry.live.is_none() || exists(&self.places(entry.path.as_path()).old)
    }

    /// Gives the directories that stay the looks of the staged ones: last, because every rename in one
    /// changes its time. Then makes all of it durable.
    pub fn dress(&self, exchange: &Exchange) -> Result<()> {
        self.dress_all(exchange, |directory| directory.after)?;
        self.sync(exchange)
    }

    /// Gives them the looks that they had, and takes away a root that had to be made.
    pub fn undress(&self, exchange: &Exchange) -> Result<()> {
        self.dress_all(exchange, |directory| directory.before)?;
        self.sync(exchange)?;
        let made = |directory: &&Dressing| {
            directory.path.as_bytes().is_empty() && directory.before.is_none()
        };
        if exchange.directories.iter().any(|one| made(&one)) {
            // Not where somebody has put something into it.
            fs::remove_dir(&self.root).ok();
        }
        Ok(())
    }

    fn dress_all(
        &self,
        exchange: &Exchange,
        looks: impl Fn(&Dressing) -> Option<Looks>,
    ) -> Result<()> {
        for directory in &exchange.directories {
            let path = self.places(directory.path.as_path()).live;
            if let Some(looks) = looks(directory) {
                looks
                    .give(&path)
                    .io_context(|| format!("cannot change `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    fn sync(&self, exchange: &Exchange) -> Result<()> {
        let mut touched = BTreeSet::new();
        for entry in &exchange.entries {
            let places = self.places(entry.path.as_path());
            for place in [&places.live, &places.staged, &places.old] {
                touched.insert(parent(place).to_owned());
            }
        }
        touched.insert(self.root.clone());
        touched.insert(parent(&self.root).to_owned());
        touched
            .iter()
            .try_for_each(|directory| relocate::sync_directory(directory))
    }

    fn places(&self, path: &Path) -> Places {
        // Joining nothing would add a slash.
        let below = |base: &Path| {
            if path.as_os_str().is_empty() {
                base.to_owned()
            } else {
                base.join(path)
            }
        };
        Places {
            live: below(&self.root),
            staged: below(&self.staged),
            old: below(&self.old),
        }
    }
}

impl Exchange {
    /// Directories get the looks that they had before `undone`, and keep theirs where it did not know them.
    pub fn take_looks_before(&mut self, undone: &Self) {
        for directory in &mut self.directories {
            let before = undone
                .directories
                .iter()
                .find(|known| known.path == directory.path);
            directory.after = before.and_then(|known| known.before);
        }
    }
}

impl Entry {
    fn is_two_files(&self) -> bool {
        (self.live, self.staged) == (Some(Kind::File), Some(Kind::File))
    }
}

impl Looks {
    fn of(directory: &Path) -> Option<Self> {
        let metadata: Metadata = directory.symlink_metadata().ok()?;
        Some(Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.permissions().mode() & 0o7777,
            mtime: (
                metadata.mtime(),
                u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
            ),
        })
    }

    fn give(self, directory: &Path) -> io::Result<()> {
        let is = directory.symlink_metadata()?;
        if (is.uid(), is.gid()) != (self.uid, self.gid) {
            std::os::unix::fs::chown(directory, Some(self.uid), Some(self.gid))?;
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(self.mode))?;
        let (seconds, nanoseconds) = self.mtime;
        let since = Duration::new(seconds.unsigned_abs(), nanoseconds);
        let time = if seconds < 0 {
            SystemTime::UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs())
                + Duration::from_nanos(nanoseconds.into())
        } else {
            SystemTime::UNIX_EPOCH + since
        };
        File::open(directory)?.set_modified(time)
    }
}

fn kind(path: &Path) -> Option<Kind> {
    let metadata = path.symlink_metadata().ok()?;
    Some(if metadata.is_dir() {
        Kind::Directory
    } else {
        Kind::File
    })
}

/// Where other file systems are mounted below a directory. None where the kernel does not tell.
fn mounts_below(root: &Path) -> Vec<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|escaped| PathBuf::from(OsString::from_vec(unescape(escaped))))
        .filter(|mount| mount != root && mount.starts_with(root))
        .collect()
}

/// Blanks and the like are written as a backslash and three octal digits.
fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = code.map_or(after, |_| after.get(3..).unwrap_or_default());
    }
    bytes
}

/// The names in a directory, none where there is no such directory.
fn children(directory: &Path) -> Result<BTreeSet<OsString>> {
    let context = || format!("cannot list `{}`", directory.display());
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()
            .io_context(context),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(Error::io(context(), error)),
    }
}

/// A path made of the bytes of a name.
trait AsPath {
    fn as_path(&self) -> &Path;
}

impl AsPath for ByteString {
    fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests;
