//! Moving one entry of a directory to another place: by rename, else by a copy that is complete and on the
//! device before the original goes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::error::{IoContext, Result};
use crate::tree::{read_attributes, write_attribute};

/// A copy on its way; a name that nobody else gives.
const UNFINISHED: &str = ".obbackup-unfinished-";

/// Whether anything is there, also a link that leads nowhere.
pub(super) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a directory is there itself, not a link to one.
pub(super) fn is_directory(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

/// Renames, never over something that is there. `false` where the kernel cannot rename between the two.
pub(super) fn rename(from: &Path, to: &Path) -> Result<bool> {
    let renamed =
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).or_else(|error| {
            match error {
                // A file system that does not know the flag; nobody else works in these directories.
                Errno::INVAL | Errno::NOSYS if !exists(to) => rustix::fs::rename(from, to),
                error => Err(error),
            }
        });
    match renamed {
        Ok(()) => Ok(true),
        Err(Errno::XDEV) => Ok(false),
        Err(error) => Err(error).io_context(|| cannot("move", from, to)),
    }
}

/// Puts `from` in the place of `to`, in one step, and takes `from` away. Neither is a directory, and what
/// was at `to` is kept elsewhere.
pub(super) fn replace(from: &Path, to: &Path) -> Result<()> {
    let context = || cannot("move", from, to);
    match rustix::fs::rename(from, to) {
        // Two names of one file: the kernel does nothing then.
        Ok(()) if exists(from) => {}
        Ok(()) => return Ok(()),
        Err(Errno::XDEV) => {
            let copied = copy_aside(from, to)?;
            rustix::fs::rename(&copied, to).io_context(context)?;
            sync_directory(parent(to))?;
        }
        Err(error) => return Err(error).io_context(context),
    }
    fs::remove_file(from).io_context(context)
}

/// Gives what is no directory a second name, or a copy, so that it stays whatever happens to the first.
pub(super) fn keep(from: &Path, to: &Path) -> Result<()> {
    match rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()) {
        Ok(()) => sync_directory(parent(to)),
        Err(Errno::XDEV | Errno::PERM | Errno::NOTSUP | Errno::MLINK) => copy(from, to),
        Err(error) => Err(error).io_context(|| cannot("link", from, to)),
    }
}

/// Copies whatever `from` is. `to` is not there until it is complete and on the device.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = copy_aside(from, to)?;
    rename(&copied, to)?;
    sync_directory(parent(to))
}

/// Takes away what was copied.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = if is_directory(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.io_context(|| format!("cannot remove `{}`", path.display()))
}

/// Makes what was done in a directory durable; one that is gone needs nothing.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    match File::open(directory).and_then(|open| open.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.io_context(|| format!("cannot write `{}`", directory.display())),
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn cannot(what: &str, from: &Path, to: &Path) -> String {
    format!("cannot {what} `{}` to `{}`", from.display(), to.display())
}

/// A complete copy on the device beside `to`, under a name of its own.
fn copy_aside(from: &Path, to: &Path) -> Result<PathBuf> {
    let context = || cannot("copy", from, to);
    let mut name = OsString::from(UNFINISHED);
    name.push(to.file_name().unwrap_or_default());
    let aside = parent(to).join(name);
    // What an earlier attempt left.
    if exists(&aside) {
        remove(&aside)?;
    }
    copy_node(from, &aside, &mut HashMap::new()).io_context(context)?;
    // One call for the whole file system: it also tells of what could not be written.
    File::open(parent(to))
        .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
        .io_context(context)?;
    Ok(aside)
}

/// Other names of a file that was copied already are links to its copy.
type Links = HashMap<(u64, u64), PathBuf>;

fn copy_node(from: &Path, to: &Path, links: &mut Links) -> io::Result<()> {
    let metadata = from.symlink_metadata()?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy_node(&from.join(&name), &to.join(&name), links)?;
        }
        return dress(&File::open(from)?, &File::open(to)?, &metadata);
    }
    if metadata.nlink() > 1 {
        let identity = (metadata.dev(), metadata.ino());
        if let Some(first) = links.get(&identity) {
            return fs::hard_link(first, to);
        }
        links.insert(identity, to.to_owned());
    }
    if kind.is_file() {
        let mut source = File::open(from)?;
        let mut target = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        io::copy(&mut source, &mut target)?;
        return dress(&source, &target, &metadata);
    }
    if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else {
        let kind = if kind.is_fifo() {
            FileType::Fifo
        } else if kind.is_socket() {
            FileType::Socket
        } else if kind.is_block_device() {
            FileType::BlockDevice
        } else {
            FileType::CharacterDevice
        };
        let mode = Mode::from_raw_mode(metadata.permissions().mode());
        rustix::fs::mknodat(CWD, to, kind, mode, metadata.rdev())?;
    }
    let (uid, gid) = owner(&metadata);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(CWD, to, Some(uid), Some(gid), flags)?;
    rustix::fs::utimensat(CWD, to, &times(&metadata), flags)?;
    Ok(())
}

/// In this order: a change of owner takes away capabilities and set-id bits, and all of it changes times.
fn dress(source: &File, target: &File, metadata: &Metadata) -> io::Result<()> {
    let (uid, gid) = owner(metadata);
    rustix::fs::fchown(target, Some(uid), Some(gid))?;
    for (name, value) in read_attributes(source)? {
        write_attribute(target, &name, &value.0)?;
    }
    target.set_permissions(metadata.permissions())?;
    rustix::fs::futimens(target, &times(metadata))?;
    Ok(())
}

fn owner(metadata: &Metadata) -> (Uid, Gid) {
    (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()))
}

fn times(metadata: &Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: metadata.atime(),
            tv_nsec: metadata.atime_nsec(),
        },
        last_modification: Timespec {
            tv_sec: metadata.mtime(),
            tv_nsec: metadata.mtime_nsec(),
        },
    }
}
