//! Directories on devices that come and go: mounted disks and network shares.
//!
//! Where a device is not mounted, its mount point is an empty directory of the disk below, and a backup that is
//! written there fills that disk and is hidden by the next mount. So a directory that was seen once must stay the
//! same one; and with `require_mount` it must lie on a mounted device that bears the marker of this repository.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, ErrorKind, IoContext, Result};

/// What tells the right device from an empty mount point and from another device; no object, because of its dot.
pub const MARKER: &str = ".obbackup-mount";

/// What to do about a share that does not answer, or whose server is another one than before.
pub const SHARE_HINT: &str =
    "Check the server of the share and the network; a share that stays stale must be mounted anew.";

/// The error with what to do about it, where it is about reading or writing below `root`.
pub fn advised(error: Error, root: &Path) -> Error {
    match error.kind() {
        ErrorKind::NoSpace => error.hint(format!(
            "Free space on the device of `{}`, or name a repository on another one.",
            root.display()
        )),
        ErrorKind::Denied => error.hint(format!(
            "Run as the user that owns `{}`, or give this user the right to write there.",
            root.display()
        )),
        ErrorKind::Transient => error.hint(SHARE_HINT),
        _ => error,
    }
}

const MARKER_TEXT: &[u8] =
    b"This file tells obbackup that the device of this repository is mounted. Keep it.\n";

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its type: `ext4`, `nfs4`, `cifs`, …
    pub kind: String,
}

impl Mount {
    /// The file system that `path` lies on, or will: the one mounted nearest above it. Asks the kernel's list and not
    /// the file system, which may hang.
    pub fn of(path: &Path) -> Result<Self> {
        let list = "/proc/self/mountinfo";
        let text = fs::read_to_string(list).io_context(|| format!("cannot read `{list}`"))?;
        let nearest = parse(&text)
            .filter(|mount| path.starts_with(&mount.point))
            // The later of two at one point covers the earlier.
            .max_by_key(|mount| mount.point.components().count());
        nearest.ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                format!("`{list}` names no file system for `{}`", path.display()),
            )
        })
    }

    /// Whether it is reached over a network, where it can hang.
    pub fn is_network(&self) -> bool {
        const KINDS: &[&str] = &[
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ceph",
            "glusterfs",
            "lustre",
            "afs",
            "9p",
            "davfs",
            "ncpfs",
        ];
        KINDS.contains(&self.kind.as_str()) || self.kind.starts_with("fuse")
    }
}

/// `36 35 98:0 /root /point options optional - type source options`; spaces are written as octal numbers.
fn parse(text: &str) -> impl Iterator<Item = Mount> + '_ {
    text.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        Some(Mount {
            point: unescape(left.split(' ').nth(4)?),
            kind: right.split(' ').next()?.to_owned(),
        })
    })
}

fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Holds a directory to being the one that it was, and to its device.
#[derive(Debug)]
pub struct MountGuard {
    root: PathBuf,
    required: bool,
    /// Device and inode of the directory when it was seen first.
    seen: OnceLock<(u64, u64)>,
}

impl MountGuard {
    /// Guards `root`; with `required` it must lie on a mounted device.
    pub fn new(root: PathBuf, required: bool) -> Self {
        Self {
            root,
            required,
            seen: OnceLock::new(),
        }
    }

    /// An error unless the directory may be used. `makes_repository`: it may be absent and without its marker.
    pub fn check(&self, makes_repository: bool) -> Result<()> {
        let found = match fs::metadata(&self.root) {
            Ok(metadata) if !metadata.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            found => found,
        };
        let metadata = match found {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let what = format!("`{}` is not a directory", self.root.display());
                return Err(
                    Error::new(ErrorKind::Usage, what).hint("Name a directory for the repository.")
                );
            }
            Err(error) => {
                let error = Error::io(format!("cannot look at `{}`", self.root.display()), error);
                return Err(advised(error, &self.root));
            }
        };
        if self.required {
            self.check_device(metadata.is_some(), makes_repository)?;
        }
        let now = metadata.map(|metadata| (metadata.dev(), metadata.ino()));
        match (self.seen.get(), now) {
            (None, Some(now)) => {
                self.seen.get_or_init(|| now);
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(seen), now) if now == Some(*seen) => Ok(()),
            (Some(_), now) => Err(Error::new(
                ErrorKind::Io,
                format!(
                    "`{}` {}: its device was unmounted or taken out",
                    self.root.display(),
                    if now.is_some() {
                        "is another directory than before"
                    } else {
                        "is gone"
                    }
                ),
            )
            .hint("Mount the device again, then try again.")),
        }
    }

    fn check_device(&self, exists: bool, makes_repository: bool) -> Result<()> {
        let absent = |what: String| {
            Error::new(ErrorKind::Io, what)
                .hint("Mount the device, or take require_mount out of the repository's section.")
        };
        let root = resolve(&self.root);
        let mount = Mount::of(&root)?;
        if mount.point == Path::new("/") {
            return Err(absent(format!(
                "the device of `{}` is not mounted: it would lie on the root disk",
                self.root.display()
            )));
        }
        let marker = self.root.join(MARKER);
        if makes_repository || marker.exists() {
            return Ok(());
        }
        let what = if exists {
            format!(
                "`{}` on the {} file system at `{}` has no marker `{MARKER}`: it is another device, or not mounted",
                self.root.display(),
                mount.kind,
                mount.point.display()
            )
        } else {
            format!(
                "`{}` is not there: its device is not mounted",
                self.root.display()
            )
        };
        Err(absent(what).hint(format!(
            "Mount the right device. If it is the right one, mark it: touch '{}'",
            marker.display()
        )))
    }

    /// Marks the device, once the directory is there.
    pub fn mark(&self) -> io::Result<()> {
        if !self.required {
            return Ok(());
        }
        let marker = self.root.join(MARKER);
        if !marker.exists() {
            fs::write(&marker, MARKER_TEXT)?;
            fs::File::open(&marker)?.sync_all()?;
        }
        Ok(())
    }
}

/// The path with links resolved as far as it exists: a link may lead to another device.
fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(resolved) = fs::canonicalize(ancestor) {
            return match path.strip_prefix(ancestor) {
                Ok(rest) => resolved.join(rest),
                Err(_) => resolved,
            };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_understood() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    40 22 0:50 / /mnt/my\\040disk rw shared:1 master:2 - nfs4 host:/x rw\n\
                    41 22 8:17 / /mnt rw - vfat /dev/sdb1 rw\n";
        let mounts: Vec<_> = parse(text).collect();
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[1].point, Path::new("/mnt/my disk"));
        assert!(mounts[1].is_network() && !mounts[0].is_network());
        assert_eq!(mounts[2].kind, "vfat");
        assert!(Mount::of(Path::new("/proc/self")).unwrap().kind == "proc");
    }

    #[test]
    fn a_directory_on_the_root_disk_is_no_mounted_device() {
        let Ok(mount) = Mount::of(&fs::canonicalize("/usr").unwrap()) else {
            panic!("there is always a root");
        };
        if mount.point != Path::new("/") {
            return;
        }
        let guard = MountGuard::new("/usr/obbackup-not-there".into(), true);
        let refused = guard.check(true).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Io);
        assert!(refused.to_string().contains("not mounted"), "{refused}");
    }

    #[test]
    fn a_file_is_no_directory_and_nothing_lies_below_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for root in [file.path().to_owned(), file.path().join("below")] {
            let refused = MountGuard::new(root, false).check(true).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Usage);
            assert!(
                refused.to_string().contains("is not a directory"),
                "{refused}"
            );
            assert!(refused.hint_text().is_some());
        }
    }

    #[test]
    fn a_directory_that_was_exchanged_or_removed_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let guard = MountGuard::new(root.clone(), false);
        guard.check(false).unwrap();
        fs::create_dir(&root).unwrap();
        guard.check(false).unwrap();
        fs::rename(&root, directory.path().join("aside")).unwrap();
        assert!(guard.check(false).unwrap_err().to_string().contains("gone"));
        fs::create_dir(&root).unwrap();
        let refused = guard.check(false).unwrap_err();
        assert!(
            refused.to_string().contains("another directory"),
            "{refused}"
        );
        assert!(refused.hint_text().is_some());
    }
}
