//! What obbackup remembers of an instance beside its configuration, in a directory of the instance's own.
//!
//! The directory belongs to the owner of the instance, and root works in it too: so nothing in it is
//! followed where it is a link, and nothing is given away that was not made just now.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::config::{Owner, write_private};
use crate::error::{Error, ErrorKind, IoContext, Result};

/// At the root of each directory of an instance: what a restore stages, the state before it, and below
/// the sources what is remembered. Never backed up.
pub const OWN_DIRECTORY: &str = ".obbackup";

/// For the instance's owner alone.
pub const PRIVATE: u32 = 0o700;
/// For everybody to pass through and look at.
pub const PASSABLE: u32 = 0o755;

const STATE: &str = "state";

/// How long a lock is waited for that is held for a moment only.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// `.obbackup/state` below the sources.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    path: PathBuf,
    owner: Owner,
}

impl StateDirectory {
    /// Of the instance whose sources lie at `source_path`; made, where it is not there.
    pub fn open(source_path: &Path, owner: Owner) -> Result<Self> {
        let path = source_path.join(OWN_DIRECTORY).join(STATE);
        make_directory(&path, owner, PRIVATE)?;
        Ok(Self { path, owner })
    }

    /// The same, if it is there already: for whoever only looks.
    pub fn existing(source_path: &Path, owner: Owner) -> Option<Self> {
        let path = source_path.join(OWN_DIRECTORY).join(STATE);
        path.is_dir().then_some(Self { path, owner })
    }

    /// A directory of its own below this one, or anywhere where an absolute path is named.
    pub fn room(&self, path: &Path) -> Result<Self> {
        let path = self.path.join(path);
        make_directory(&path, self.owner, PRIVATE)?;
        Ok(Self {
            path,
            owner: self.owner,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file `name`; `None` where there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(
                format!("cannot read `{}`", path.display()),
                error,
            )),
        }
    }

    /// Puts `bytes` in the place of the file `name` in one step, durably.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_private(&self.path.join(name), bytes, self.owner)
    }

    /// Opens the file `name` to write at its end, and makes it where it is not there.
    pub fn open_to_append(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        let failed = || format!("cannot write `{}`", path.display());
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        match options.clone().create_new(true).open(&path) {
            Ok(file) => {
                self.owner.take(&file, &path)?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = options.open(&path).io_context(failed)?;
                let metadata = file.metadata().io_context(failed)?;
                if !metadata.is_file() || metadata.nlink() > 1 {
                    return Err(Error::new(
                        ErrorKind::Denied,
                        format!("{}: it is no file of its own", failed()),
                    )
                    .hint("Remove it; it is made anew."));
                }
                Ok(file)
            }
            Err(error) => Err(Error::io(failed(), error)),
        }
    }

    /// Writes one line at the end of the file `name`, durably. Lines of several processes do not mix:
    /// each is one write.
    pub fn append_line(&self, name: &str, line: &str) -> Result<()> {
        let mut file = self.open_to_append(name)?;
        file.write_all(format!("{line}\n").as_bytes())
            .and_then(|()| file.sync_data())
            .io_context(|| format!("cannot write `{}`", self.path.join(name).display()))
    }

    /// The names of the files that begin with `prefix`, in order.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let failed = || format!("cannot list `{}`", self.path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).io_context(failed)? {
            let name = entry.io_context(failed)?.file_name();
            names.extend(
                name.into_string()
                    .ok()
                    .filter(|name| name.starts_with(prefix)),
            );
        }
        names.sort();
        Ok(names)
    }

    /// Removes the file `name`.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        fs::remove_file(&path).io_context(|| format!("cannot remove `{}`", path.display()))
    }

    /// Locks the file `name` against other processes until what is returned is dropped, or its process
    /// ends however; `None` where another one holds it.
    pub fn try_lock(&self, name: &str) -> Result<Option<File>> {
        let file = self.open_to_append(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io(
                format!("cannot lock `{}`", self.path.join(name).display()),
                error,
            )),
        }
    }
}

/// Locks a file that is otherwise held for a moment only: by whoever looks whether somebody has it, and by a child that
/// another thread of this process begins, which has all files of it until it is another program. Whether it was to be had.
pub fn lock_soon(file: &File) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                thread::sleep(LOCK_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Makes a directory and what is missing above it, for `owner`, with `mode`; but the one of our own is made
/// passable, also where it was not: a web server shows a page from in there. What lies around that one keeps its
/// time.
///
/// `Denied` where a link or a file is in the place of a directory: root must not be led elsewhere.
pub fn make_directory(directory: &Path, owner: Owner, mode: u32) -> Result<()> {
    let failed = || format!("cannot make `{}`", directory.display());
    let is_there = |path: &Path| path.is_dir() && !path.is_symlink();
    let missing = directory.ancestors().take_while(|path| !is_there(path));
    let mut missing: Vec<_> = missing.collect();
    missing.reverse();
    for path in missing {
        let made = keeping_time(path, || fs::DirBuilder::new().mode(mode).create(path));
        match made {
            Ok(()) => {}
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_there(path) => {
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::new(
                    ErrorKind::Denied,
                    format!("`{}` is no directory", path.display()),
                )
                .hint("Move it away; a directory is made in its place."));
            }
            Err(error) => {
                return Err(Error::io(failed(), error)
                    .hint("Run this as root, or as the owner of source.path."));
            }
        }
        let open = File::open(path).io_context(failed)?;
        owner.take(&open, path)?;
        // The mode that it was made with is less what the process's mask takes away.
        open.set_permissions(Permissions::from_mode(mode))
            .io_context(failed)?;
        if let Some(parent) = path.parent() {
            let parent = File::open(parent).and_then(|parent| parent.sync_all());
            parent.io_context(failed)?;
        }
    }
    let own = directory
        .ancestors()
        .find(|path| path.ends_with(OWN_DIRECTORY));
    own.map_or(Ok(()), |own| make_passable(own, owner).io_context(failed))
}

fn make_passable(own: &Path, owner: Owner) -> io::Result<()> {
    let open = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed())
        .open(own)?;
    let metadata = open.metadata()?;
    let me = rustix::process::geteuid();
    let may = me.is_root() || metadata.uid() == me.as_raw();
    if metadata.mode() & 0o777 == PASSABLE || metadata.uid() != owner.uid || !may {
        return Ok(());
    }
    open.set_permissions(Permissions::from_mode(PASSABLE))
}

/// Makes or removes an entry without a trace in the time of the directory that it is in: that one belongs to
/// the instance.
pub fn keeping_time<T>(entry: &Path, work: impl FnOnce() -> T) -> T {
    let around = entry.parent();
    let time = around.and_then(|around| around.metadata().ok()?.modified().ok());
    let done = work();
    if let (Some(around), Some(time)) = (around, time) {
        // Whoever may not set it may work all the same.
        File::open(around)
            .and_then(|open| open.set_modified(time))
            .ok();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, StateDirectory) {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::of(directory.path()).unwrap();
        let state = StateDirectory::open(directory.path(), owner).unwrap();
        (directory, state)
    }

    #[test]
    fn lines_come_after_each_other_and_files_are_private() {
        let (_directory, state) = state();
        state.append_line("history", "one").unwrap();
        state.append_line("history", "two").unwrap();
        assert_eq!(state.read("history").unwrap().unwrap(), b"one\ntwo\n");
        assert_eq!(state.read("absent").unwrap(), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(state.path()), 0o700);
        // A web server passes through to the page that it shows.
        let own = state.path().parent().unwrap();
        assert_eq!(mode(own), 0o755);
        fs::set_permissions(own, Permissions::from_mode(0o700)).unwrap();
        let room = state.room(Path::new("room")).unwrap();
        assert_eq!((mode(own), mode(room.path())), (0o755, 0o700));
        assert_eq!(mode(&state.path().join("history")), 0o600);
        assert_eq!(state.names("his").unwrap(), ["history"]);
    }

    #[test]
    fn a_lock_is_one_s_own_until_it_is_dropped() {
        let (_directory, state) = state();
        let held = state.try_lock("lock").unwrap();
        assert!(held.is_some());
        assert!(state.try_lock("lock").unwrap().is_none());
        drop(held);
        // A child that another thread begins holds all files of this process until it is what it shall be.
        let begun = std::time::Instant::now();
        while state.try_lock("lock").unwrap().is_none() {
            assert!(begun.elapsed() < std::time::Duration::from_mins(1));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn no_link_is_followed() {
        let (directory, state) = state();
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, state.path().join("soft")).unwrap();
        fs::hard_link(&elsewhere, state.path().join("hard")).unwrap();
        assert!(state.append_line("soft", "x").is_err());
        assert_eq!(
            state.append_line("hard", "x").unwrap_err().kind(),
            ErrorKind::Denied
        );
        assert_eq!(fs::read(&elsewhere).unwrap(), b"kept");
        let linked = directory.path().join("linked");
        fs::create_dir(&linked).unwrap();
        std::os::unix::fs::symlink(directory.path(), linked.join(OWN_DIRECTORY)).unwrap();
        let owner = Owner::of(directory.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(
                StateDirectory::open(&linked, owner).unwrap_err().kind(),
                ErrorKind::Denied
            );
            fs::remove_file(linked.join(OWN_DIRECTORY)).unwrap();
            fs::write(linked.join(OWN_DIRECTORY), "a file").unwrap();
        }
    }
}
