//! Which part of a catalog is restored.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::format::bytes::ByteString;
use crate::format::file::{FileEntry, Node};
use crate::tree::is_below;

/// The selected paths.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// None: everything.
    paths: Option<Vec<ByteString>>,
    /// For a file that is not selected, the first selected one of its other names: it is written
    /// under that.
    stand_ins: HashMap<ByteString, ByteString>,
}

/// What is wanted of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// It, and what is in it.
    Whole,
    /// The directory alone: it leads to something selected.
    WayTo,
    /// Nothing.
    Nothing,
}

impl Selection {
    /// `NotFound` if the catalog lacks one of the paths.
    pub(super) fn new<I: Iterator<Item = Result<FileEntry>>>(
        paths: Option<&[ByteString]>,
        catalog: impl Fn() -> Result<I>,
    ) -> Result<Self> {
        let Some(paths) = paths else {
            return Ok(Self::default());
        };
        let mut selection = Self {
            paths: Some(paths.to_vec()),
            stand_ins: HashMap::new(),
        };
        let mut missing: Vec<_> = paths.iter().collect();
        for entry in catalog()? {
            let entry = entry?;
            missing.retain(|path| **path != entry.path);
            if let Node::Hardlink { target } = entry.node
                && selection.wants(entry.path.as_bytes()) == Want::Whole
                && selection.wants(target.as_bytes()) != Want::Whole
            {
                selection.stand_ins.entry(target).or_insert(entry.path);
            }
        }
        match missing.first() {
            None => Ok(selection),
            Some(path) => Err(Error::new(
                ErrorKind::NotFound,
                format!("the backup has no `{path}` in this part"),
            )
            .hint("List what it has with `obbackup ls`.")),
        }
    }

    pub(super) fn wants(&self, path: &[u8]) -> Want {
        let Some(paths) = &self.paths else {
            return Want::Whole;
        };
        let mut want = Want::Nothing;
        for selected in paths.iter().map(ByteString::as_bytes) {
            if path == selected || is_below(path, selected) {
                return Want::Whole;
            }
            if is_below(selected, path) {
                want = Want::WayTo;
            }
        }
        want
    }

    /// The selected name under which the file at `path`, which is not selected, is written.
    pub(super) fn stand_in(&self, path: &[u8]) -> Option<&ByteString> {
        if self.stand_ins.is_empty() {
            return None;
        }
        self.stand_ins.get(&ByteString::from(path))
    }
}
