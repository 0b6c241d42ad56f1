//! Putting a staged directory tree in the place of a live one, by renames alone, so that it can be taken back.
//!
//! The root itself is never renamed: it may be a mount point, or its parent not writable. Its children are,
//! one by one: the live one to the old area, the staged one to where it was. Each step is one rename, and
//! no step overwrites anything, so whatever happens in between, every file is in exactly one of the three.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, IoContext, Result};

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

/// Three areas on one file system.
#[derive(Debug, Clone)]
pub struct Swap {
    /// The live tree.
    pub root: PathBuf,
    /// What is to take its place: a directory.
    pub staged: PathBuf,
    /// Where the live one goes; made if need be.
    pub old: PathBuf,
}

/// The renames that were done, in order, so that they can be undone.
#[derive(Debug, Default)]
pub struct Swapped {
    moves: Vec<(PathBuf, PathBuf)>,
    /// Directories that stayed and got the looks of the staged ones; how they looked before.
    dressed: Vec<(PathBuf, Metadata)>,
    touched: BTreeSet<PathBuf>,
}

impl Swap {
    /// Swaps; on any failure everything is where it was. `fate` gets paths relative to the root.
    ///
    /// An error of kind `ActionNeeded` means that taking it back failed too; its text says what lies where.
    pub fn run(&self, fate: &dyn Fn(&Path) -> Fate) -> Result<Swapped> {
        let mut swapped = Swapped::default();
        let done = self
            .level(Path::new(""), fate, &mut swapped)
            .and_then(|()| swapped.sync());
        match done {
            Ok(()) => Ok(swapped),
            Err(error) => match swapped.reverse() {
                Ok(()) => Err(error),
                Err(second) => Err(second.context(error)),
            },
        }
    }

    fn level(
        &self,
        below: &Path,
        fate: &dyn Fn(&Path) -> Fate,
        swapped: &mut Swapped,
    ) -> Result<()> {
        // Taking the children out of it changes the staged directory's own time.
        let looks = self.staged.join(below).symlink_metadata().ok();
        let mut names = children(&self.root.join(below))?;
        names.extend(children(&self.staged.join(below))?);
        for name in names {
            let path = below.join(name);
            // The areas may lie inside the tree that is swapped.
            let live = self.root.join(&path);
            if self.staged.starts_with(&live) || self.old.starts_with(&live) {
                continue;
            }
            match fate(&path) {
                Fate::Keep => {}
                Fate::Descend if is_directory(&live) => {
                    self.level(&path, fate, swapped)?;
                }
                Fate::Descend | Fate::Replace => {
                    if exists(&live) {
                        swapped.rename(&live, &self.old.join(&path))?;
                    }
                    let staged = self.staged.join(&path);
                    if exists(&staged) {
                        swapped.rename(&staged, &live)?;
                    }
                }
            }
        }
        looks.map_or(Ok(()), |looks| {
            swapped.dress(&self.root.join(below), &looks)
        })
    }
}

impl Swapped {
    /// Gives a directory that stays the owner, mode and time of the staged one: last, because every
    /// rename in it changes its time.
    fn dress(&mut self, directory: &Path, looks: &Metadata) -> Result<()> {
        let context = || format!("cannot change `{}`", directory.display());
        let before = directory.symlink_metadata().io_context(context)?;
        dress(directory, &before, looks).io_context(context)?;
        self.dressed.push((directory.to_owned(), before));
        self.touched.insert(directory.to_owned());
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let context = || format!("cannot move `{}` to `{}`", from.display(), to.display());
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).io_context(context)?;
            self.touched.insert(parent.to_owned());
        }
        // Never over something that is there: that would be the loss that the swap exists to prevent.
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            from,
            rustix::fs::CWD,
            to,
            rustix::fs::RenameFlags::NOREPLACE,
        )
        .or_else(|error| match error {
            rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS if !exists(to) => {
                rustix::fs::rename(from, to)
            }
            error => Err(error),
        })
        .io_context(context)?;
        if let Some(parent) = from.parent() {
            self.touched.insert(parent.to_owned());
        }
        self.moves.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Makes the renames durable.
    fn sync(&self) -> Result<()> {
        for directory in &self.touched {
            match File::open(directory).and_then(|open| open.sync_all()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Error::io(
                        format!("cannot write `{}`", directory.display()),
                        error,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Number of renames.
    pub fn moves(&self) -> usize {
        self.moves.len()
    }

    /// Puts everything back where it was.
    pub fn reverse(self) -> Result<()> {
        let mut undone = Self::default();
        for (from, to) in self.moves.iter().rev() {
            undone.rename(to, from).map_err(|error| {
                error.with_kind(ErrorKind::ActionNeeded).hint(format!(
                    "Move it by hand: `{}` belongs to `{}`. Nothing was deleted.",
                    to.display(),
                    from.display()
                ))
            })?;
        }
        for (directory, looks) in self.dressed.iter().rev() {
            undone.dress(directory, looks)?;
        }
        undone.sync()
    }
}

fn dress(directory: &Path, is: &Metadata, to_be: &Metadata) -> io::Result<()> {
    if (is.uid(), is.gid()) != (to_be.uid(), to_be.gid()) {
        std::os::unix::fs::chown(directory, Some(to_be.uid()), Some(to_be.gid()))?;
    }
    fs::set_permissions(directory, to_be.permissions())?;
    File::open(directory)?.set_modified(to_be.modified()?)
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn is_directory(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    /// Every file below a directory, with its content.
    fn files(directory: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![directory.to_owned()];
        while let Some(next) = open.pop() {
            for name in children(&next).unwrap() {
                let path = next.join(name);
                if is_directory(&path) {
                    open.push(path);
                } else {
                    let relative = path.strip_prefix(directory).unwrap().display().to_string();
                    found.insert(relative, fs::read_to_string(&path).unwrap());
                }
            }
        }
        found
    }

    fn tree(root: &Path, files: &[(&str, &str)]) {
        for (path, content) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), content).unwrap();
        }
    }

    fn fate(path: &Path) -> Fate {
        match path.to_str().unwrap() {
            "build" | "data/attachments" => Fate::Keep,
            "data" => Fate::Descend,
            _ => Fate::Replace,
        }
    }

    fn sample(directory: &Path) -> Swap {
        let root = directory.join("root");
        tree(
            &root,
            &[
                ("build/x.class", "built"),
                ("data/attachments/a", "attached"),
                ("data/notes", "live"),
                ("src/A.java", "live"),
                ("src/Gone.java", "live"),
                ("added", "live"),
            ],
        );
        let staged = root.join(".obbackup/new");
        tree(
            &staged,
            &[
                ("data/notes", "new"),
                ("src/A.java", "new"),
                ("lost", "new"),
            ],
        );
        Swap {
            root: root.clone(),
            staged,
            old: root.join(".obbackup/old"),
        }
    }

    #[test]
    fn what_is_staged_takes_the_place_and_the_live_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let swap = sample(directory.path());
        let before = files(&swap.root);
        let swapped = swap.run(&fate).unwrap();
        let after = files(&swap.root);
        for (path, content) in [
            ("build/x.class", "built"),
            ("data/attachments/a", "attached"),
            ("data/notes", "new"),
            ("src/A.java", "new"),
            ("lost", "new"),
            (".obbackup/old/data/notes", "live"),
            (".obbackup/old/src/A.java", "live"),
            (".obbackup/old/src/Gone.java", "live"),
            (".obbackup/old/added", "live"),
        ] {
            assert_eq!(after.get(path).map(String::as_str), Some(content), "{path}");
        }
        assert_eq!(after.len(), 9);
        assert!(swapped.moves() > 0);
        swapped.reverse().unwrap();
        assert_eq!(files(&swap.root), before);
    }

    #[test]
    fn a_failure_on_the_way_puts_everything_back() {
        let directory = tempfile::tempdir().unwrap();
        let swap = sample(directory.path());
        // A thing in the way of the last move, which nothing may overwrite.
        tree(&swap.old, &[("src", "in the way")]);
        let before = files(&swap.root);
        let error = swap.run(&fate).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
        assert_eq!(files(&swap.root), before);
        assert_eq!(
            fs::metadata(&swap.root).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }
}
