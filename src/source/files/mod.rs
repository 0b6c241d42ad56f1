//! Capture of one directory tree: small files in bundles, large ones in chunks, unchanged ones not read.
//!
//! One thread walks the tree in path order, beside the parent backup's catalog (`merge`); others read,
//! hash and compress (`read`); a last one writes the catalog in path order (`collect`).

mod collect;
mod exclusions;
mod merge;
mod paths;
mod read;
mod spool;

use std::io::Write;
use std::path::Path;

use crate::chunk::{ChunkSink, ChunkWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::format::bytes::ByteString;
use crate::format::catalog::write_entry;
use crate::format::file::{FileEntry, Node, Seen};
use crate::format::id::ChunkId;
use crate::format::manifest::{Catalog, FilesPart, Part};
use crate::progress::Progress;
use crate::tree::{Attributes, Names, Stat, Tree};

pub use exclusions::Exclusions;
pub use paths::{PathSet, paths_present};
pub use spool::Spool;

/// How a capture is done.
#[derive(Debug, Clone, Copy)]
pub struct CaptureOptions {
    /// Entries of the parent that are gone by now are kept: the parent is an earlier pass of the same
    /// backup.
    pub keep_vanished: bool,
    /// Every file is read, changed or not.
    pub reread_all: bool,
    /// Threads that read, hash and compress.
    pub jobs: usize,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            keep_vanished: false,
            reread_all: false,
            jobs: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        }
    }
}

/// What a capture found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Regular files, each counted under one name.
    pub files: u64,
    /// Bytes of the regular files, holes left out.
    pub bytes: u64,
    /// Entries of every kind.
    pub entries: u64,
    /// Regular files whose content was read.
    pub files_read: u64,
    /// Bytes of these.
    pub bytes_read: u64,
    /// Paths that were left out as a rule, in path order.
    pub excluded: Vec<ByteString>,
    /// What a person should know; each names the thing.
    pub warnings: Vec<String>,
    /// Something that was there could not be captured; the warnings name it.
    pub partial: bool,
}

/// A captured tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilesCapture {
    /// What was found and done.
    pub captured: Captured,
    /// The entries, in the sink.
    pub catalog: Catalog,
}

impl FilesCapture {
    /// What the manifest says of it.
    pub fn to_part(&self, part: Part, root: &Path) -> FilesPart {
        use std::os::unix::ffi::OsStrExt;
        FilesPart {
            part,
            root: root.as_os_str().as_bytes().into(),
            files: self.captured.files,
            bytes: self.captured.bytes,
            excluded: self.captured.excluded.clone(),
            catalog: self.catalog.clone(),
        }
    }
}

/// The entries of an earlier capture in path order: of the parent backup, or of an earlier pass.
pub type Parent<'a> = Box<dyn Iterator<Item = Result<FileEntry>> + 'a>;

/// Captures the tree at `root` into `sink`.
///
/// Files that cannot be read make the result `partial`; only the root itself, the sink, and a request to
/// stop make it fail. `NotFound` if there is no `root`.
pub fn capture<S: ChunkSink + ?Sized>(
    root: &Path,
    rules: &Exclusions,
    parent: Option<Parent<'_>>,
    options: CaptureOptions,
    sink: &S,
    progress: &dyn Progress,
) -> Result<FilesCapture> {
    let mut writer = ChunkWriter::new(sink, sink.chunkers().metadata);
    let captured = run(root, rules, parent, options, sink, progress, &mut writer)?;
    let (chunks, bytes) = writer.finish()?;
    let catalog = Catalog {
        entries: captured.entries,
        bytes,
        chunks,
    };
    Ok(FilesCapture { captured, catalog })
}

/// Captures the contents into `sink` and keeps the entries aside, as the parent of a second pass with
/// [`CaptureOptions::keep_vanished`].
pub fn capture_aside<S: ChunkSink + ?Sized>(
    root: &Path,
    rules: &Exclusions,
    parent: Option<Parent<'_>>,
    options: CaptureOptions,
    sink: &S,
    progress: &dyn Progress,
) -> Result<(Captured, Spool)> {
    let mut writer = spool::SpoolWriter::new()?;
    let captured = run(root, rules, parent, options, sink, progress, &mut writer)?;
    Ok((captured, writer.finish()?))
}

fn run<S: ChunkSink + ?Sized, W: Write + Send>(
    root: &Path,
    rules: &Exclusions,
    parent: Option<Parent<'_>>,
    options: CaptureOptions,
    sink: &S,
    progress: &dyn Progress,
    catalog: &mut W,
) -> Result<Captured> {
    let tree = Tree::open(root)?;
    let jobs = options.jobs.max(1);
    let (slot_sender, slots) = crossbeam_channel::bounded(merge::SLOT_LIMIT);
    let (job_sender, job_receiver) = crossbeam_channel::bounded::<read::Job>(2 * jobs);
    let died = || Error::new(ErrorKind::Failure, "a thread that reads files died");
    std::thread::scope(|scope| {
        let tree = &tree;
        let readers: Vec<_> = (0..jobs)
            .map(|_| {
                let jobs = job_receiver.clone();
                scope.spawn(move || {
                    let mut reader = read::Reader::new(tree, sink, progress);
                    for job in jobs {
                        reader.run(job);
                    }
                })
            })
            .collect();
        let collector = scope.spawn(move || {
            let reader = read::Reader::new(tree, sink, progress);
            collect::collect(slots, reader, progress, |entry| write_entry(catalog, entry))
        });
        let ends = (slot_sender, job_sender);
        let merged = merge::Merge::new(tree, rules, parent, options, sink, progress, ends).run();
        let collected = collector.join().unwrap_or_else(|_| Err(died()));
        for reader in readers {
            reader.join().map_err(|_| died())?;
        }
        // What stops the collector stops the merge too: its error is the first cause.
        let mut captured = collected?;
        captured.excluded = merged?;
        Ok(captured)
    })
}

/// An entry for `node` at `path`.
fn describe(
    path: &[u8],
    node: Node,
    stat: &Stat,
    xattrs: Attributes,
    names: &mut Names,
    seen: Option<Seen>,
) -> FileEntry {
    FileEntry {
        path: path.into(),
        node,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        user: names.user(stat.uid),
        group: names.group(stat.gid),
        mtime: stat.mtime,
        xattrs,
        seen,
    }
}

/// Something that a person should know.
#[derive(Debug)]
struct Note {
    text: String,
    /// Something that was there is not in the backup.
    partial: bool,
}

impl Note {
    fn new(text: String) -> Self {
        Self {
            text,
            partial: false,
        }
    }

    fn partial(text: String) -> Self {
        Self {
            text,
            partial: true,
        }
    }
}

/// What came of one regular file.
// All but a few are entries: a box for each would only cost.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
enum Outcome {
    /// It is captured.
    Entry {
        entry: FileEntry,
        /// Its content was read.
        read: bool,
        note: Option<Note>,
    },
    /// It is not.
    Missing { path: Vec<u8>, note: Note },
}

/// The first 64 bits of the SHA-256 of a path.
fn path_hash(path: &[u8]) -> u64 {
    let digest = ChunkId::of(path);
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(first)
}
