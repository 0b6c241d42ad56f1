//! What makes a file catalog sound: order, nesting and names.

use std::cmp::Ordering;

use super::file::{Content, FileEntry, Node, compare_paths};
use crate::error::{Error, ErrorKind, Result};

/// No file system has longer names.
const NAME_LIMIT_BYTES: usize = 255;

/// Passes on the entries of a file catalog as long as they make a tree: the root first, then strictly
/// ascending, each in a directory that stands before it. After an error nothing follows.
///
/// So no name can lead out of the tree, none can come twice, and nothing lies below a link.
#[derive(Debug)]
pub struct Ordered<I> {
    entries: I,
    last: Option<Vec<u8>>,
    /// The directories that the last entry lies in, as lengths of its path.
    directories: Directories,
    failed: bool,
}

/// The directories around the present entry of a catalog that is gone through in path order.
#[derive(Debug, Default)]
pub struct Directories {
    path: Vec<u8>,
    lengths: Vec<usize>,
}

impl Directories {
    /// Leaves what is not above `path`; true if the directory that `path` is in was entered.
    pub fn surround(&mut self, path: &[u8]) -> bool {
        let parent = parent_of(path);
        while let Some(length) = self.lengths.last() {
            let above = &self.path[..*length];
            let is_above = path.len() > above.len()
                && path.starts_with(above)
                && (above.is_empty() || path[above.len()] == b'/');
            if is_above {
                return Some(above) == parent;
            }
            self.lengths.pop();
        }
        parent.is_none()
    }

    /// `path` is a directory whose entries follow.
    pub fn enter(&mut self, path: &[u8]) {
        self.path.clear();
        self.path.extend_from_slice(path);
        self.lengths.push(path.len());
    }
}

/// The directory that `path` is in; none for the root.
fn parent_of(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(
        path.iter()
            .rposition(|byte| *byte == b'/')
            .map_or(&[], |slash| &path[..slash]),
    )
}

/// Checks `entries` while they pass.
pub fn ordered<I: Iterator<Item = Result<FileEntry>>>(entries: I) -> Ordered<I> {
    Ordered {
        entries,
        last: None,
        directories: Directories::default(),
        failed: false,
    }
}

impl<I> Ordered<I> {
    fn check(&mut self, entry: &FileEntry) -> Result<(), &'static str> {
        let path = entry.path.as_bytes();
        check_path(path)?;
        match &self.last {
            None if !path.is_empty() => return Err("does not follow a root"),
            Some(last) if compare_paths(last, path) != Ordering::Less => {
                return Err("is not in its place");
            }
            _ => {}
        }
        if !self.directories.surround(path) {
            return Err("lies in what is not a directory");
        }
        match &entry.node {
            Node::Directory => self.directories.enter(path),
            _ if path.is_empty() => return Err("is the root and not a directory"),
            Node::File(content) => check_content(content)?,
            Node::Symlink { target } => {
                if target.0.is_empty() || target.0.contains(&0) {
                    return Err("points to what cannot be a path");
                }
            }
            Node::Hardlink { target } => {
                check_path(&target.0)?;
                if target.0.is_empty() || compare_paths(&target.0, path) != Ordering::Less {
                    return Err("is another name of what does not stand before it");
                }
            }
        }
        if entry.mode > 0o7777 {
            return Err("has an impossible mode");
        }
        if entry.mtime.1 > 999_999_999 {
            return Err("has an impossible time");
        }
        if entry
            .xattrs
            .keys()
            .any(|name| name.is_empty() || name.contains('\0'))
        {
            return Err("has an impossible attribute");
        }
        self.last = Some(path.to_vec());
        Ok(())
    }
}

impl<I: Iterator<Item = Result<FileEntry>>> Iterator for Ordered<I> {
    type Item = Result<FileEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.entries.next()?.and_then(|entry| {
            self.check(&entry)
                .map_err(|reason| refused(&entry, reason))?;
            Ok(entry)
        });
        self.failed = item.is_err();
        Some(item)
    }
}

/// A `Damaged` that names the entry.
pub fn refused(entry: &FileEntry, reason: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "the catalog is not sound: its entry `{}` {reason}",
            entry.path
        ),
    )
    .hint("Run verify; another backup may be sound.")
}

fn check_path(path: &[u8]) -> Result<(), &'static str> {
    if path.is_empty() {
        return Ok(());
    }
    for name in path.split(|byte| *byte == b'/') {
        if name.is_empty() || name == b"." || name == b".." {
            return Err("has a name that leads elsewhere");
        }
        if name.len() > NAME_LIMIT_BYTES || name.contains(&0) {
            return Err("has a name that no file can have");
        }
    }
    Ok(())
}

fn check_content(content: &Content) -> Result<(), &'static str> {
    if content.bundle.is_some() && (!content.chunks.is_empty() || content.extents.is_some()) {
        return Err("lies in two places at once");
    }
    let mut end = 0;
    for (offset, length) in content.extents.iter().flatten() {
        let stops = offset.checked_add(*length);
        if *offset < end || *length == 0 || stops.is_none_or(|stop| stop > content.size) {
            return Err("has data outside of itself");
        }
        end = offset + length;
    }
    if content.bundle.is_none() && content.chunks.is_empty() && content.stored_bytes() > 0 {
        return Err("has no data");
    }
    // Offsets of files are signed in the kernel.
    if content.size > i64::MAX.unsigned_abs() {
        return Err("has an impossible size");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::file::{Time, tests::entry};

    fn check(entries: Vec<FileEntry>) -> Result<Vec<FileEntry>> {
        ordered(entries.into_iter().map(Ok)).collect()
    }

    fn directory(path: &[u8]) -> FileEntry {
        entry(path, Node::Directory)
    }

    fn file(path: &[u8]) -> FileEntry {
        entry(path, Node::File(Content::default()))
    }

    fn link(path: &[u8], target: &[u8]) -> FileEntry {
        let target = target.into();
        entry(path, Node::Symlink { target })
    }

    fn other_name(path: &[u8], target: &[u8]) -> FileEntry {
        let target = target.into();
        entry(path, Node::Hardlink { target })
    }

    #[test]
    fn a_sound_catalog_passes() {
        let sound = vec![
            directory(b""),
            directory(b"a"),
            file(b"a/b"),
            directory(b"a/c"),
            other_name(b"a/c/d", b"a/b"),
            link(b"a b", b"/anywhere"),
            file(b"b"),
        ];
        assert_eq!(check(sound.clone()).unwrap(), sound);
    }

    #[test]
    fn hostile_catalogs_are_refused_by_name() {
        let hostile: Vec<(&str, Vec<FileEntry>)> = vec![
            ("..", vec![directory(b""), file(b"..")]),
            ("../x", vec![directory(b""), file(b"../x")]),
            (
                "a/../../x",
                vec![directory(b""), directory(b"a"), file(b"a/../../x")],
            ),
            ("/etc/x", vec![directory(b""), file(b"/etc/x")]),
            ("a//x", vec![directory(b""), directory(b"a"), file(b"a//x")]),
            ("./x", vec![directory(b""), file(b"./x")]),
            ("a/", vec![directory(b""), directory(b"a/")]),
            ("a\\u{0}b", vec![directory(b""), file(b"a\0b")]),
            ("a", vec![directory(b""), file(b"a"), file(b"a")]),
            ("a", vec![directory(b""), file(b"b"), file(b"a")]),
            ("a/x", vec![directory(b""), file(b"a/x")]),
            ("a/x", vec![directory(b""), file(b"a"), file(b"a/x")]),
            (
                "a/x",
                vec![directory(b""), link(b"a", b"/etc"), file(b"a/x")],
            ),
            ("b/x", vec![directory(b""), directory(b"a"), file(b"b/x")]),
            ("x", vec![file(b"x")]),
            ("", vec![file(b"")]),
            ("", vec![link(b"", b"/")]),
            ("b", vec![directory(b""), other_name(b"b", b"c")]),
            ("b", vec![directory(b""), other_name(b"b", b"b")]),
            (
                "b",
                vec![directory(b""), other_name(b"b", b"../etc/passwd")],
            ),
            ("b", vec![directory(b""), other_name(b"b", b"/etc/passwd")]),
            ("b", vec![directory(b""), other_name(b"b", b"")]),
            ("b", vec![directory(b""), link(b"b", b"")]),
        ];
        for (name, entries) in hostile {
            let error = check(entries).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{name}");
            let text = error.to_string();
            assert!(text.contains(&format!("`{name}`")), "{name}: {text}");
        }
    }

    #[test]
    fn impossible_contents_are_refused() {
        for content in [
            Content {
                size: 5,
                ..Content::default()
            },
            Content {
                size: 5,
                extents: Some(vec![(4, 2)]),
                ..Content::default()
            },
            Content {
                size: 9,
                extents: Some(vec![(4, 2), (5, 1)]),
                ..Content::default()
            },
            Content {
                size: u64::MAX,
                extents: Some(vec![]),
                ..Content::default()
            },
            Content {
                size: 9,
                extents: Some(vec![(u64::MAX, 2)]),
                ..Content::default()
            },
        ] {
            let entries = vec![directory(b""), entry(b"f", Node::File(content))];
            assert_eq!(check(entries).unwrap_err().kind(), ErrorKind::Damaged);
        }
        let mut odd = directory(b"");
        odd.mode = 0o10_000;
        assert!(check(vec![odd]).is_err());
        let mut odd = directory(b"");
        odd.mtime = Time(0, 1_000_000_000);
        assert!(check(vec![odd]).is_err());
    }
}
