//! A directory of this machine or a mounted device as a storage.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mount::{MountGuard, advised};
use super::{Object, Space, Storage, check_path, range_error, reserve};
use crate::config::Owner;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::path::{self, HEADER};

/// What a file is called while it is being written; `list` does not see such files.
const TEMPORARY: &str = ".tmp-";
/// What a file is called that says who may give an object its name, where the file system cannot decide that.
const CLAIM: &str = ".claim-";
/// A claim that is older was left by a process that died.
const CLAIM_LIFE: Duration = Duration::from_mins(1);
/// What a file system makes at its top.
const LOST_AND_FOUND: &str = "lost+found";

/// A file that is being written is older than this only if its writer died.
const REMAINS: Duration = Duration::from_hours(1);

/// Objects are files below one directory, which is made by the first `create`.
pub struct Local {
    root: PathBuf,
    owner: Option<Owner>,
    guard: MountGuard,
}

impl Local {
    /// The storage below `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            guard: MountGuard::new(root.clone(), false),
            root,
            owner: None,
        }
    }

    /// It must lie on a mounted device, the one that it was made on.
    #[must_use]
    pub fn on_mount(mut self) -> Self {
        self.guard = MountGuard::new(self.root.clone(), true);
        self
    }

    /// What is made belongs to `owner`, so that root's command line and Tomcat's user share a repository.
    /// Heeded where the running user may give files away; others own what they make.
    #[must_use]
    pub fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = rustix::process::geteuid().is_root().then_some(owner);
        self
    }

    fn file(&self, path: &str) -> Result<PathBuf> {
        check_path(path)?;
        Ok(self.root.join(path))
    }

    /// Makes `directory` and what is above it, each made durable in its parent before anything is put in it.
    fn ensure_directory(&self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            if parent.as_os_str().is_empty() {
                return Ok(());
            }
            self.ensure_directory(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => {
                self.give_away(&File::open(directory)?, directory)?;
                match directory.parent() {
                    Some(parent) => sync_directory(parent),
                    None => Ok(()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes under a temporary name and makes the content durable; the caller gives it its name.
    ///
    /// The order is the promise: content to the device, then the name, then the directory that holds the
    /// name. A crash before the name leaves a temporary file that nobody reads; after it the content is there.
    fn write_temporary(&self, file: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        let directory = file.parent().unwrap_or(Path::new("."));
        self.ensure_directory(directory)?;
        let mut temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(directory)?;
        self.give_away(temporary.as_file(), temporary.path())?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        Ok(temporary)
    }

    fn give_away(&self, made: &File, path: &Path) -> io::Result<()> {
        let Some(owner) = self.owner else {
            return Ok(());
        };
        match owner.take(made, path) {
            // FAT, and most network shares, know no owners: whoever can reach it can read it.
            Err(error) if error.kind() == ErrorKind::Denied => Ok(()),
            result => Ok(result?),
        }
    }

    /// Gives the object its name, unless something has it.
    fn publish(temporary: tempfile::NamedTempFile, file: &Path) -> io::Result<()> {
        // By `renameat2`, or by a hard link where that is not known.
        let Err(error) = temporary.persist_noclobber(file) else {
            return Ok(());
        };
        let knows_neither = matches!(
            error.error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::InvalidInput
        );
        if knows_neither {
            return publish_by_claim(error.file, file);
        }
        Err(error.error)
    }

    /// The objects below `top` (empty, or with a slash at its end) that are `wanted`, through the directories that
    /// are of `concern`: one after the other in the order of their paths, as the contract has it.
    fn walk(
        &self,
        top: String,
        concerns: impl Fn(&str) -> bool,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        let mut directories = vec![(self.root.join(&top), top)];
        while let Some((directory, below)) = directories.pop() {
            let context = || format!("cannot list `{}`", directory.display());
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                // No object was made below it yet, or the last one has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(context(), error)),
            };
            let mut deeper = Vec::new();
            for entry in entries {
                let entry = entry.io_context(context)?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                // Of the second every file system of a device has one, which only root may read.
                if name.starts_with('.') || name == LOST_AND_FOUND {
                    continue;
                }
                let path = format!("{below}{name}");
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(Error::io(context(), error)),
                };
                if metadata.is_dir() {
                    let below = format!("{path}/");
                    if concerns(&below) {
                        deeper.push((entry.path(), below));
                    }
                } else if metadata.is_file() && wanted(&path) {
                    objects.push(Object {
                        path,
                        bytes: metadata.len(),
                    });
                }
            }
            // The next is taken from the end.
            deeper.sort_unstable_by(|one: &(PathBuf, String), other| other.1.cmp(&one.1));
            directories.append(&mut deeper);
        }
        objects.sort();
        Ok(objects)
    }
}

/// Gives an object its name on a file system that knows neither hard links nor a rename that spares what is there:
/// only who made the claim may do it.
fn publish_by_claim(temporary: tempfile::NamedTempFile, file: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let claim = file.with_file_name(format!("{CLAIM}{name}"));
    let make = || File::options().write(true).create_new(true).open(&claim);
    let made = make().or_else(|error| {
        let age = fs::metadata(&claim)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if error.kind() == io::ErrorKind::AlreadyExists && age.is_some_and(|age| age > CLAIM_LIFE) {
            fs::remove_file(&claim)?;
            return make();
        }
        Err(error)
    });
    made?;
    let published = match file.try_exists() {
        Ok(false) => temporary
            .persist(file)
            .map(drop)
            .map_err(|error| error.error),
        Ok(true) => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(error) => Err(error),
    };
    fs::remove_file(&claim)?;
    published
}

/// Makes the names in a directory durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    match File::open(directory)?.sync_all() {
        // Some network file systems have no such call; their server decides.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

impl Storage for Local {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.file(path)?;
        let context = || format!("cannot write `{}`", file.display());
        let makes_repository = path == HEADER;
        self.guard.check(makes_repository)?;
        self.write_temporary(&file, bytes)
            .and_then(|temporary| {
                if makes_repository {
                    self.guard.mark()?;
                }
                Self::publish(temporary, &file)?;
                sync_directory(file.parent().unwrap_or(Path::new(".")))?;
                // The one object at the top is the repository's first. Root may have made the directory, or
                // mounted a device there; Tomcat's user has to make others in it.
                if path.contains('/') {
                    return Ok(());
                }
                self.give_away(&File::open(&self.root)?, &self.root)
            })
            .io_context(context)
            .map_err(|error| advised(error, &self.root))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.file(path)?;
        self.guard.check(false)?;
        self.write_temporary(&file, bytes)
            .and_then(|temporary| {
                temporary.persist(&file).map_err(|error| error.error)?;
                sync_directory(file.parent().unwrap_or(Path::new(".")))
            })
            .io_context(|| format!("cannot write `{}`", file.display()))
            .map_err(|error| advised(error, &self.root))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.file(path)?;
        self.guard.check(false)?;
        fs::read(&file).io_context(|| format!("cannot read `{}`", file.display()))
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let file = self.file(path)?;
        let context = || format!("cannot read `{}`", file.display());
        let open = File::open(&file).io_context(context)?;
        let bytes = open.metadata().io_context(context)?.len();
        if range.start > range.end || range.end > bytes {
            return Err(range_error(path, &range, bytes));
        }
        let length = usize::try_from(range.end - range.start)
            .map_err(|_| range_error(path, &range, bytes))?;
        let mut buffer = vec![0; length];
        open.read_exact_at(&mut buffer, range.start)
            .io_context(context)?;
        Ok(buffer)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        // What is not mounted is not empty. Before a repository is made its place is looked at whole.
        self.guard.check(prefix.is_empty())?;
        // Only the directory that the prefix names need be read, not its neighbours.
        let top = prefix
            .rsplit_once('/')
            .map_or_else(String::new, |(directory, _)| format!("{directory}/"));
        self.walk(top, |_| true, |path| path.starts_with(prefix))
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        self.guard.check(false)?;
        let concerns = |below: &str| below < before && *after < *path::end(below);
        self.walk(String::new(), concerns, |path| {
            after < path && path < before
        })
    }

    fn delete(&self, path: &str) -> Result<()> {
        let file = self.file(path)?;
        self.guard.check(false)?;
        let context = || format!("cannot delete `{}`", file.display());
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(advised(Error::io(context(), error), &self.root)),
        }
        sync_directory(file.parent().unwrap_or(Path::new("."))).io_context(context)
    }

    fn space(&self) -> Result<Option<Space>> {
        // Before `init` the device is that of the nearest directory above.
        let existing = self.root.ancestors().find(|path| path.exists());
        let directory = match existing {
            Some(path) if !path.as_os_str().is_empty() => path,
            _ => Path::new("."),
        };
        let stat = rustix::fs::statvfs(directory)
            .io_context(|| format!("cannot ask for the space of `{}`", directory.display()))?;
        Ok(Some(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            used_bytes: stat
                .f_blocks
                .saturating_sub(stat.f_bfree)
                .saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // File systems that make inodes as needed say 0 of 0.
            free_inodes: (stat.f_files > 0).then_some(stat.f_favail),
        }))
    }

    fn is_there(&self) -> Result<bool> {
        Ok(self.root.is_dir())
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn shows_every_lease(&self) -> bool {
        true
    }

    fn hold_reserve(&self) -> Result<()> {
        let Some(space) = self.space()? else {
            return Ok(());
        };
        let bytes = reserve::reserve_bytes(space.total_bytes);
        if !self.root.is_dir() || reserve::is_held(&self.root, bytes) {
            return Ok(());
        }
        let held = reserve::hold(&self.root, bytes, |made, path| self.give_away(made, path));
        match held {
            // Then there is nothing to keep.
            Err(error) if ErrorKind::of_io(&error) == ErrorKind::NoSpace => Ok(()),
            result => {
                result.io_context(|| format!("cannot keep a reserve in `{}`", self.root.display()))
            }
        }
    }

    fn release_reserve(&self) -> Result<()> {
        reserve::release(&self.root)
            .io_context(|| format!("cannot give up the reserve in `{}`", self.root.display()))
    }

    fn clear_remains(&self) -> Result<u64> {
        let mut cleared = 0;
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if metadata.is_dir() && !name.starts_with('.') {
                    directories.push(entry.path());
                } else if metadata.is_file()
                    && name.starts_with(TEMPORARY)
                    && metadata
                        .modified()
                        .ok()
                        .and_then(|modified| modified.elapsed().ok())
                        .is_some_and(|age| age > REMAINS)
                    && fs::remove_file(entry.path()).is_ok()
                {
                    cleared += metadata.len();
                }
            }
        }
        Ok(cleared)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mount::SHARE_HINT;
    use super::*;

    #[test]
    fn a_stale_handle_may_be_tried_again_and_says_what_to_do() {
        let stale = io::Error::from_raw_os_error(rustix::io::Errno::STALE.raw_os_error());
        let error = advised(Error::io("cannot read `x`", stale), Path::new("/mnt/share"));
        assert!(error.kind().is_retryable());
        assert!(error.to_string().contains("Stale file handle"), "{error}");
        assert_eq!(error.hint_text(), Some(SHARE_HINT));
    }

    #[test]
    fn the_top_of_a_device_can_be_a_repository_of_somebody_else() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let found = directory.path().join("lost+found");
        fs::create_dir(&found).unwrap();
        fs::write(found.join("#12"), "a piece").unwrap();
        let (uid, gid) = (54_321, 54_321);
        let storage = Local::new(directory.path()).owned_by(Owner { uid, gid });
        storage.create("packs/a", b"a").unwrap();
        let owner = || fs::metadata(directory.path()).unwrap().uid();
        assert_ne!(owner(), uid);
        storage.create("header", b"first").unwrap();
        assert_eq!(storage.list("").unwrap().len(), 2);
        if rustix::process::geteuid().is_root() {
            assert_eq!(owner(), uid);
        }
    }

    /// A name makes no order of its own: a file system lists its entries as it likes.
    #[test]
    fn rooms_are_looked_at_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Local::new(directory.path());
        let mut paths = Vec::new();
        for room in ["packs", "condemned", "marks", "locks", "index", "runs"] {
            for shard in ["b1", "0f", "7c"] {
                let path = format!("{room}/{shard}/one");
                storage.create(&path, b"x").unwrap();
                paths.push(path);
            }
        }
        paths.sort();
        let seen = std::cell::RefCell::new(Vec::new());
        let look = |path: &str| {
            seen.borrow_mut().push(path.to_owned());
            true
        };
        storage.walk(String::new(), |_| true, look).unwrap();
        assert_eq!(seen.into_inner(), paths);
    }

    #[test]
    fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        super::super::contract::holds(&Local::new(directory.path().join("not/there/yet")));
    }

    #[test]
    fn files_and_directories_are_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Local::new(directory.path().join("repository"));
        storage.create("packs/ab/x.tar", b"x").unwrap();
        let mode = |path: &str| {
            fs::metadata(directory.path().join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!(mode("repository"), 0o700);
        assert_eq!(mode("repository/packs/ab"), 0o700);
        assert_eq!(mode("repository/packs/ab/x.tar"), 0o600);
        assert_eq!(
            fs::read(directory.path().join("repository/packs/ab/x.tar")).unwrap(),
            b"x"
        );
    }

    #[test]
    fn what_a_crash_left_half_written_is_no_object() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Local::new(directory.path());
        storage.create("packs/x", b"x").unwrap();
        fs::write(directory.path().join("packs/.tmp-123456"), b"half").unwrap();
        assert_eq!(storage.list("packs/").unwrap().len(), 1);
    }

    #[test]
    fn what_a_crash_left_is_cleared_when_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Local::new(directory.path());
        storage.create("packs/x", b"x").unwrap();
        for name in ["old", "new"] {
            fs::write(directory.path().join(format!("packs/.tmp-{name}")), b"half").unwrap();
        }
        let old = File::open(directory.path().join("packs/.tmp-old")).unwrap();
        old.set_modified(std::time::SystemTime::now() - 2 * REMAINS)
            .unwrap();
        assert_eq!(storage.clear_remains().unwrap(), 4);
        assert_eq!(storage.clear_remains().unwrap(), 0);
        assert!(directory.path().join("packs/.tmp-new").exists());
        assert_eq!(storage.read("packs/x").unwrap(), b"x");
    }

    #[test]
    fn a_name_is_given_once_also_where_the_file_system_cannot_decide() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x");
        let temporary = |text: &str| {
            let mut made = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
            made.write_all(text.as_bytes()).unwrap();
            made
        };
        let winners: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let made = temporary(&number.to_string());
                    let file = &file;
                    scope.spawn(move || usize::from(publish_by_claim(made, file).is_ok()))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(winners, 1);
        // A claim is in the way while it is young, and not when its maker died long ago.
        let other = directory.path().join("y");
        let claim = directory.path().join(".claim-y");
        let left = File::create(&claim).unwrap();
        let refused = publish_by_claim(temporary("y"), &other).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let old = std::time::SystemTime::now() - 2 * CLAIM_LIFE;
        left.set_modified(old).unwrap();
        publish_by_claim(temporary("y"), &other).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"y");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn paths_that_lead_outside_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Local::new(directory.path().join("repository"));
        for path in [
            "../x", "/etc/x", "a//b", "a/../b", "", ".hidden", "a/.", "a\0b",
        ] {
            assert!(storage.create(path, b"x").is_err(), "{path:?}");
            assert!(storage.read(path).is_err(), "{path:?}");
            assert!(storage.delete(path).is_err(), "{path:?}");
        }
        assert!(!directory.path().join("x").exists());
    }
}
