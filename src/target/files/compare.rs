//! Whether a tree is what a catalog says.

use std::cmp::Ordering;
use std::io::Read;
use std::path::Path;

use super::write::{each_stretch, in_bundle};
use crate::chunk::ChunkSource;
use crate::error::{Error, IoContext, Result};
use crate::format::bytes::ByteString;
use crate::format::file::{Content, FileEntry, Node, compare_paths};
use crate::format::id::ChunkId;
use crate::format::order::ordered;
use crate::progress::Progress;
use crate::tree::{Kind, Place, Stat, Tree, Walk, read_attributes};

/// What is compared besides names, kinds, sizes, modes, times and links.
#[derive(Debug, Clone, Copy)]
pub struct CompareOptions {
    /// The content of every file.
    pub content: bool,
    /// Owners' numbers.
    pub owner: bool,
    /// Extended attributes.
    pub attributes: bool,
}

/// More differences are not told.
const DIFFERENCES_LIMIT: usize = 1000;

struct Comparison<'a, S: ?Sized> {
    source: &'a S,
    place: Place<'a>,
    options: CompareOptions,
    progress: &'a dyn Progress,
    bundle: Option<(ChunkId, Vec<u8>)>,
    differences: Vec<String>,
}

/// Compares the tree at `root` with a catalog: the differences, each a sentence that names the entry; none
/// if they are the same.
pub fn compare<S: ChunkSource + ?Sized>(
    source: &S,
    catalog: impl Iterator<Item = Result<FileEntry>>,
    root: &Path,
    options: CompareOptions,
    progress: &dyn Progress,
) -> Result<Vec<String>> {
    let tree = Tree::open(root)?;
    let mut walk = Walk::new(&tree);
    let mut comparison = Comparison {
        source,
        place: tree.place(),
        options,
        progress,
        bundle: None,
        differences: Vec::new(),
    };
    let mut catalog = ordered(catalog);
    let mut entry = catalog.next().transpose()?;
    let mut found = next(&mut walk)?;
    while comparison.differences.len() < DIFFERENCES_LIMIT {
        progress.check()?;
        let order = match (&entry, &found) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(entry), Some((path, _))) => compare_paths(entry.path.as_bytes(), path),
        };
        if let (Some(entry), Some((_, stat)), Ordering::Equal) = (&entry, &found, order) {
            comparison.entry(entry, stat)?;
        }
        if order.is_le() {
            if let (Some(entry), Ordering::Less) = (&entry, order) {
                comparison.differ(&entry.path, "is missing");
            }
            entry = catalog.next().transpose()?;
        }
        if order.is_ge() {
            if let (Some((path, _)), Ordering::Greater) = (&found, order) {
                comparison.differ(&ByteString::from(path), "should not be there");
            }
            found = next(&mut walk)?;
        }
    }
    Ok(comparison.differences)
}

fn next(walk: &mut Walk<'_>) -> Result<Option<(Vec<u8>, Stat)>> {
    let Some((path, stat)) = walk.next_entry() else {
        return Ok(None);
    };
    let shown = ByteString::from(&path);
    let stat = stat.io_context(|| format!("cannot read `{shown}`"))?;
    if stat.kind == Kind::Directory {
        walk.enter(&path)
            .io_context(|| format!("cannot read the directory `{shown}`"))?;
    }
    Ok(Some((path, stat)))
}

impl<S: ChunkSource + ?Sized> Comparison<'_, S> {
    fn differ(&mut self, path: &ByteString, how: &str) {
        self.differences.push(format!("`{path}` {how}"));
    }

    fn entry(&mut self, entry: &FileEntry, stat: &Stat) -> Result<()> {
        let path = &entry.path;
        let cannot = || format!("cannot read `{path}`");
        let kind = match &entry.node {
            Node::File(_) | Node::Hardlink { .. } => Kind::File,
            Node::Directory => Kind::Directory,
            Node::Symlink { .. } => Kind::Symlink,
        };
        if kind != stat.kind {
            self.differ(path, "is of another kind");
            return Ok(());
        }
        if kind != Kind::Symlink && entry.mode != stat.mode {
            let how = format!("has the mode {:04o}, not {:04o}", stat.mode, entry.mode);
            self.differ(path, &how);
        }
        if entry.mtime != stat.mtime {
            self.differ(path, "has another time");
        }
        if self.options.owner && (entry.uid, entry.gid) != (stat.uid, stat.gid) {
            self.differ(path, "has another owner");
        }
        match &entry.node {
            Node::Directory => {
                if self.options.attributes {
                    let directory = self.place.open_directory(path.as_bytes());
                    let xattrs = directory.and_then(read_attributes).io_context(cannot)?;
                    if xattrs != entry.xattrs {
                        self.differ(path, "has other attributes");
                    }
                }
            }
            Node::Symlink { target } => {
                let now = self.place.read_link(path.as_bytes()).io_context(cannot)?;
                if now != target.0 {
                    self.differ(path, "points elsewhere");
                }
            }
            Node::Hardlink { target } => {
                let first = self.place.stat(target.as_bytes()).io_context(cannot)?;
                if first.identity() != stat.identity() {
                    self.differ(path, "is not another name of the file that it should be");
                }
            }
            Node::File(content) => {
                if content.size != stat.size_bytes {
                    let how = format!("has {} bytes, not {}", stat.size_bytes, content.size);
                    self.differ(path, &how);
                    return Ok(());
                }
                if !self.options.content && !self.options.attributes {
                    return Ok(());
                }
                let file = self.place.open_file(path.as_bytes()).io_context(cannot)?;
                if self.options.attributes
                    && read_attributes(&file).io_context(cannot)? != entry.xattrs
                {
                    self.differ(path, "has other attributes");
                }
                if self.options.content {
                    let file = std::fs::File::from(file);
                    if !self.is_content(entry, content, &file)? {
                        self.differ(path, "has another content");
                    }
                }
            }
        }
        Ok(())
    }

    fn is_content(
        &mut self,
        entry: &FileEntry,
        content: &Content,
        file: &std::fs::File,
    ) -> Result<bool> {
        use std::os::unix::fs::FileExt;
        let cannot = || format!("cannot read `{}`", entry.path);
        if let Some(place) = content.bundle {
            let bundle = match self.bundle.take() {
                Some((id, bundle)) if id == place.chunk => bundle,
                _ => self.source.get(&place.chunk)?,
            };
            let mut now = Vec::new();
            let mut file = file;
            file.read_to_end(&mut now).io_context(cannot)?;
            let same = in_bundle(&bundle, content) == Some(&now);
            self.bundle = Some((place.chunk, bundle));
            self.progress.advance(content.size);
            return Ok(same);
        }
        let mut same = true;
        let mut buffer = Vec::new();
        let mut position = 0;
        each_stretch(self.source, entry, &mut |offset, bytes| {
            self.progress.check()?;
            same &= is_hole(file, position, offset).io_context(cannot)?;
            buffer.resize(bytes.len(), 0);
            file.read_exact_at(&mut buffer, offset)
                .map_err(|error| Error::io(cannot(), error))?;
            same &= buffer == bytes;
            position = offset + bytes.len() as u64;
            self.progress.advance(bytes.len() as u64);
            Ok(())
        })?;
        Ok(same && is_hole(file, position, content.size).io_context(cannot)?)
    }
}

/// Whether there is nothing but a hole, or zeros, between two offsets.
fn is_hole(file: &std::fs::File, mut position: u64, end: u64) -> std::io::Result<bool> {
    use rustix::fs::SeekFrom;
    use std::os::unix::fs::FileExt;
    let mut buffer = [0; 8192];
    while position < end {
        position = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => return Ok(true),
            Err(rustix::io::Errno::INVAL) => position,
            Err(errno) => return Err(errno.into()),
        };
        if position >= end {
            break;
        }
        let wanted = usize::try_from(end - position).map_or(buffer.len(), |n| n.min(buffer.len()));
        let read = file.read_at(&mut buffer[..wanted], position)?;
        if read == 0 || buffer[..read].iter().any(|byte| *byte != 0) {
            return Ok(read == 0);
        }
        position += read as u64;
    }
    Ok(true)
}
