//! Entries of a file catalog: one per file, directory and link, in path order.
//!
//! Path order compares component by component, bytewise, a directory before what is in it. Backup
//! merges a walk with the parent backup's catalog in this order, in one pass over both.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bytes::ByteString;
use super::id::ChunkId;

/// One thing in a directory tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the part's root, `/` between components, never leading; empty for the root itself.
    pub path: ByteString,
    /// What it is, with what only that has.
    #[serde(flatten)]
    pub node: Node,
    /// The permission bits: `0o7777` at the most.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group's name where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When the content was last changed.
    pub mtime: Time,
    /// Extended attributes, values in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, HexBytes>,
    /// What tells whether the file changed since; absent where it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Node {
    /// A regular file.
    File(Content),
    /// A directory; what is in it follows.
    Directory,
    /// A symbolic link; where one has several names, each is a link of its own.
    Symlink {
        /// What it points to, as stored.
        target: ByteString,
    },
    /// Another name of a file that stands earlier in the same catalog.
    Hardlink {
        /// That file's path.
        target: ByteString,
    },
}

/// The bytes of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Content {
    /// Bytes, holes included.
    pub size: u64,
    /// The bundle that holds the file, for small ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<InBundle>,
    /// The chunks of the data, in order, for large ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkId>,
    /// `[offset, length]` of each stretch of data of a sparse file, ascending; the rest are holes and
    /// the chunks hold the stretches only. Absent where the file has no holes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extents: Option<Vec<(u64, u64)>>,
}

impl Content {
    /// Bytes of data, holes left out.
    pub fn stored_bytes(&self) -> u64 {
        match &self.extents {
            // Saturating: an entry can lie before it is checked.
            Some(extents) => extents
                .iter()
                .fold(0, |sum, (_, length)| sum.saturating_add(*length)),
            None => self.size,
        }
    }
}

/// Where a small file lies inside its bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InBundle {
    /// The bundle: a chunk that is a tar.
    pub chunk: ChunkId,
    /// Offset in bytes of the file's content inside the plain bundle.
    pub offset: u64,
}

/// Seconds and nanoseconds since 1970-01-01 UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Time(pub i64, pub u32);

/// What the file system said of a file when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The inode's number.
    pub inode: u64,
    /// When the inode was last changed.
    pub ctime: Time,
}

/// Bytes that are written in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HexBytes(#[serde(with = "hex")] pub Vec<u8>);

/// Path order, as catalogs have it.
pub fn compare_paths(left: &[u8], right: &[u8]) -> Ordering {
    // `/` must sort below every other byte for a directory's content to follow it at once.
    let key = |byte: &u8| {
        if *byte == b'/' {
            0u16
        } else {
            u16::from(*byte) + 1
        }
    };
    left.iter().map(key).cmp(right.iter().map(key))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An entry with nothing but what is given.
    pub(crate) fn entry(path: &[u8], node: Node) -> FileEntry {
        FileEntry {
            path: path.into(),
            node,
            mode: 0o700,
            uid: 0,
            gid: 0,
            user: None,
            group: None,
            mtime: Time::default(),
            xattrs: BTreeMap::new(),
            seen: None,
        }
    }

    #[test]
    fn the_content_of_a_directory_follows_it_at_once() {
        let mut paths = [&b"a.b"[..], b"a/z", b"a", b"a b", b"", b"a/b/c"];
        paths.sort_by(|left, right| compare_paths(left, right));
        assert_eq!(paths, [&b""[..], b"a", b"a/b/c", b"a/z", b"a b", b"a.b"]);
    }
}
