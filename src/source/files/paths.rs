//! Which paths a catalog has, for checking database rows against.

use super::path_hash;
use crate::error::Result;
use crate::format::file::{FileEntry, Node};

/// The files of a catalog: eight bytes each, whatever their names.
///
/// A path that is not there is taken for one that is with the probability of 2⁻⁶⁴ times the number of
/// files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathSet(Vec<u64>);

impl PathSet {
    /// The set of these paths.
    pub fn of<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut hashes: Vec<_> = paths.map(path_hash).collect();
        hashes.sort_unstable();
        Self(hashes)
    }

    /// Whether there is a file at `path`, relative to the catalog's root.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.0.binary_search(&path_hash(path)).is_ok()
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The paths of all files and links in a catalog.
pub fn paths_present(catalog: impl Iterator<Item = Result<FileEntry>>) -> Result<PathSet> {
    let mut hashes = Vec::new();
    for entry in catalog {
        let entry = entry?;
        if !matches!(entry.node, Node::Directory) {
            hashes.push(path_hash(entry.path.as_bytes()));
        }
    }
    hashes.sort_unstable();
    Ok(PathSet(hashes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::file::{Content, tests::entry};

    #[test]
    fn files_are_found_and_nothing_else() {
        let file = |path: &[u8]| Ok(entry(path, Node::File(Content::default())));
        let catalog = vec![
            Ok(entry(b"", Node::Directory)),
            Ok(entry(b"a", Node::Directory)),
            file(b"a/\xff"),
            file(b"b"),
        ];
        let set = paths_present(catalog.into_iter()).unwrap();
        assert_eq!(set.len(), 2);
        assert!(set.contains(b"a/\xff") && set.contains(b"b"));
        assert!(!set.contains(b"a") && !set.contains(b"") && !set.contains(b"c"));
    }
}
