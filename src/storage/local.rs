//! A directory of this machine or a mounted device as a storage.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Object, Space, Storage, check_path, range_error};
use crate::config::Owner;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// What a file is called while it is being written; `list` does not see such files.
const TEMPORARY: &str = ".tmp-";

/// Objects are files below one directory, which is made by the first `create`.
pub struct Local {
    root: PathBuf,
    owner: Option<Owner>,
}

impl Local {
    /// The storage below `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            owner: None,
        }
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
        match self.owner {
            Some(owner) => Ok(owner.take(made, path)?),
            None => Ok(()),
        }
    }

    fn hint(error: Error, root: &Path) -> Error {
        match error.kind() {
            ErrorKind::NoSpace => error.hint(format!(
                "Free space on the device of `{}`, or name a repository on another one.",
                root.display()
            )),
            ErrorKind::Denied => error.hint(format!(
                "Run as the user that owns `{}`, or give this user the right to write there.",
                root.display()
            )),
            _ => error,
        }
    }
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
        self.write_temporary(&file, bytes)
            .and_then(|temporary| {
                // Refuses to take the place of another file, by `renameat2` or by a hard link.
                temporary
                    .persist_noclobber(&file)
                    .map_err(|error| error.error)?;
                sync_directory(file.parent().unwrap_or(Path::new(".")))
            })
            .io_context(context)
            .map_err(|error| Self::hint(error, &self.root))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.file(path)?;
        self.write_temporary(&file, bytes)
            .and_then(|temporary| {
                temporary.persist(&file).map_err(|error| error.error)?;
                sync_directory(file.parent().unwrap_or(Path::new(".")))
            })
            .io_context(|| format!("cannot write `{}`", file.display()))
            .map_err(|error| Self::hint(error, &self.root))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.file(path)?;
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
        let mut objects = Vec::new();
        let mut directories = vec![(self.root.clone(), String::new())];
        // Only the directory that the prefix names need be read, not its neighbours.
        if let Some((directory, _)) = prefix.rsplit_once('/') {
            directories = vec![(self.root.join(directory), format!("{directory}/"))];
        }
        while let Some((directory, below)) = directories.pop() {
            let context = || format!("cannot list `{}`", directory.display());
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                // No object was made below it yet, or the last one has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(context(), error)),
            };
            for entry in entries {
                let entry = entry.io_context(context)?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                if name.starts_with('.') {
                    continue;
                }
                let path = format!("{below}{name}");
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(Error::io(context(), error)),
                };
                if metadata.is_dir() {
                    directories.push((entry.path(), format!("{path}/")));
                } else if metadata.is_file() && path.starts_with(prefix) {
                    objects.push(Object {
                        path,
                        bytes: metadata.len(),
                    });
                }
            }
        }
        objects.sort();
        Ok(objects)
    }

    fn delete(&self, path: &str) -> Result<()> {
        let file = self.file(path)?;
        let context = || format!("cannot delete `{}`", file.display());
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Self::hint(Error::io(context(), error), &self.root)),
        }
        sync_directory(file.parent().unwrap_or(Path::new("."))).io_context(context)
    }

    fn retain(&self, path: &str) -> Result<()> {
        check_path(path)
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
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // File systems that make inodes as needed say 0 of 0.
            free_inodes: (stat.f_files > 0).then_some(stat.f_favail),
        }))
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn is_remote(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
