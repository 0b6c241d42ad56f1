//! Owner, attributes, mode and times of what was restored.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Mutex;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::{Errno, Result as OsResult};

use super::{RestoreOptions, lock};
use crate::config::Owner;
use crate::format::file::{FileEntry, Time};
use crate::tree::{Names, write_attribute};

const SET_IDS: u32 = 0o6000;
/// The number that no user and no group has.
const NOBODY: u32 = u32::MAX;

/// Who stands on this machine for the owner of the tree.
#[derive(Debug)]
struct Heir {
    owner: Owner,
    of: (u32, Option<String>),
    of_group: (u32, Option<String>),
}

/// Whether `name` and `number` are those of the root's owner; names tell whom a number meant on the machine of the
/// backup.
fn is_of_root(root: &(u32, Option<String>), name: Option<&str>, number: u32) -> bool {
    root.0 == number && root.1.as_deref() == name
}

/// Gives what was made its looks. What the system does not let the running user do is counted.
#[derive(Debug)]
pub(super) struct Dresser {
    owner: bool,
    heir: Option<Heir>,
    names: Mutex<Names>,
    trouble: Mutex<BTreeMap<String, (u64, String)>>,
}

impl Dresser {
    /// `root` is the first entry of the catalog.
    pub(super) fn new(options: RestoreOptions, root: Option<FileEntry>) -> Self {
        let heir = options.heir.zip(root).map(|(heir, root)| Heir {
            owner: heir,
            of: (root.uid, root.user),
            of_group: (root.gid, root.group),
        });
        Self {
            owner: options.owner,
            heir,
            names: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// Sets everything on an open file or directory, which is complete otherwise.
    ///
    /// In this order: a change of owner takes away capabilities and set-id bits; attributes of users can
    /// be set only while the mode lets one write; setting them would change the times.
    pub(super) fn dress(&self, file: impl AsFd, entry: &FileEntry) {
        let mut mode = entry.mode;
        if self.owner {
            let (uid, gid) = self.owner_here(entry);
            let owned = rustix::fs::fchown(&file, Some(uid), Some(gid));
            if let Err(errno) = owned {
                // A user may give to groups of its own.
                rustix::fs::fchown(&file, None, Some(gid)).ok();
                self.count("owner", errno, entry);
                mode = self.without_set_ids(mode, entry);
            }
        } else {
            mode = self.without_set_ids(mode, entry);
        }
        for (name, value) in &entry.xattrs {
            if let Err(errno) = write_attribute(&file, name, &value.0) {
                self.count(&format!("attribute `{name}`"), errno, entry);
            }
        }
        if let Err(errno) = rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)) {
            self.count("mode", errno, entry);
        }
        if let Err(errno) = rustix::fs::futimens(&file, &times(entry.mtime)) {
            self.count("time", errno, entry);
        }
    }

    /// The same for a symbolic link, which has neither mode nor attributes.
    pub(super) fn symlink(&self, directory: impl AsFd, name: &[u8], entry: &FileEntry) {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if self.owner {
            let (uid, gid) = self.owner_here(entry);
            let owned = rustix::fs::chownat(&directory, name, Some(uid), Some(gid), flags);
            if let Err(errno) = owned {
                self.count("owner", errno, entry);
            }
        }
        let timed: OsResult<()> =
            rustix::fs::utimensat(&directory, name, &times(entry.mtime), flags);
        if let Err(errno) = timed {
            self.count("time", errno, entry);
        }
    }

    fn owner_here(&self, entry: &FileEntry) -> (Uid, Gid) {
        let mut names = lock(&self.names);
        let (user, group) = (entry.user.as_deref(), entry.group.as_deref());
        let mut uid = names.uid(user, entry.uid);
        let mut gid = names.gid(group, entry.gid);
        if let Some(heir) = &self.heir {
            let unknown = names.uid(user, NOBODY) == NOBODY;
            if entry.uid != 0 && (unknown || is_of_root(&heir.of, user, entry.uid)) {
                uid = heir.owner.uid;
            }
            let unknown = names.gid(group, NOBODY) == NOBODY;
            if entry.gid != 0 && (unknown || is_of_root(&heir.of_group, group, entry.gid)) {
                gid = heir.owner.gid;
            }
        }
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }

    /// A program that runs as its owner must not become one that runs as somebody else.
    fn without_set_ids(&self, mode: u32, entry: &FileEntry) -> u32 {
        if mode & SET_IDS != 0 {
            self.count("set-id bits", Errno::PERM, entry);
        }
        mode & !SET_IDS
    }

    fn count(&self, what: &str, errno: Errno, entry: &FileEntry) {
        let mut trouble = lock(&self.trouble);
        let (count, _) = trouble.entry(what.to_owned()).or_insert_with(|| {
            let error = std::io::Error::from(errno);
            (0, format!("`{}`: {error}", entry.path))
        });
        *count += 1;
    }

    /// One sentence for each kind of trouble.
    pub(super) fn into_warnings(self) -> Vec<String> {
        let trouble = self
            .trouble
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        trouble
            .into_iter()
            .map(|(what, (count, first))| {
                format!("{count} restored without their {what}; the first is {first}")
            })
            .collect()
    }
}

fn times(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.0,
            tv_nsec: mtime.1.into(),
        },
    }
}
