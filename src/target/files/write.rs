//! Writing of regular files.

use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dress::Dresser;
use super::lock;
use crate::chunk::{ChunkReader, ChunkSource};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::file::{Content, FileEntry, Node};
use crate::format::id::ChunkId;
use crate::format::order::refused;
use crate::progress::Progress;
use crate::tree::{Place, Tree};

/// Work for one thread.
pub(super) enum Job {
    /// Members of one bundle.
    Bundle(ChunkId, Vec<FileEntry>),
    /// A file with chunks of its own.
    Large(Box<FileEntry>),
}

/// The first error of any thread.
#[derive(Debug, Default)]
pub(super) struct Failure {
    is_set: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Failure {
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    pub(super) fn keep(&self, result: Result<()>) {
        if let Err(error) = result {
            lock(&self.error).get_or_insert(error);
            self.is_set.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn take(&self) -> Result<()> {
        match lock(&self.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Writes files for one thread.
pub(super) struct Writer<'a, S: ?Sized> {
    source: &'a S,
    tree: &'a Tree,
    place: Place<'a>,
    dresser: &'a Dresser,
    progress: &'a dyn Progress,
}

impl<'a, S: ChunkSource + ?Sized> Writer<'a, S> {
    pub(super) fn new(
        source: &'a S,
        tree: &'a Tree,
        dresser: &'a Dresser,
        progress: &'a dyn Progress,
    ) -> Self {
        let place = tree.place();
        Self {
            source,
            tree,
            place,
            dresser,
            progress,
        }
    }

    pub(super) fn run(&mut self, job: Job) -> Result<()> {
        match job {
            Job::Bundle(chunk, members) => {
                let bundle = self.source.get(&chunk).map_err(|error| {
                    let first = members.first().map_or(String::new(), |entry| {
                        format!("`{}`", self.tree.display(entry.path.as_bytes()))
                    });
                    error.context(format!(
                        "cannot restore {first} and {} more files of its bundle",
                        members.len().saturating_sub(1)
                    ))
                })?;
                for entry in members {
                    self.progress.check()?;
                    self.write(&entry, |out| {
                        let Node::File(content) = &entry.node else {
                            return Ok(());
                        };
                        let data = in_bundle(&bundle, content)
                            .ok_or_else(|| refused(&entry, "lies outside of its bundle"))?;
                        out(0, data)
                    })?;
                }
                Ok(())
            }
            Job::Large(entry) => {
                let source = self.source;
                self.write(&entry, |out| each_stretch(source, &entry, out))
            }
        }
    }

    /// Makes the file of `entry`; `data` gives its bytes, with their offsets, to what it is called
    /// with.
    fn write(
        &mut self,
        entry: &FileEntry,
        data: impl FnOnce(&mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let Node::File(content) = &entry.node else {
            return Ok(());
        };
        let path = entry.path.as_bytes();
        let tree = self.tree;
        let cannot = |what: &str| format!("cannot {what} `{}`", tree.display(path));
        let file = self
            .place
            .create_file(path)
            .io_context(|| cannot("make the file"))?;
        let progress = self.progress;
        data(&mut |offset, bytes| {
            progress.check()?;
            write_at(&file, offset, bytes).io_context(|| cannot("write"))?;
            progress.advance(bytes.len() as u64);
            Ok(())
        })
        .map_err(|error| match error.kind() {
            ErrorKind::Damaged | ErrorKind::NotFound => error.context(cannot("restore")),
            _ => error,
        })?;
        if content.extents.is_some() {
            rustix::fs::ftruncate(&file, content.size).io_context(|| cannot("write"))?;
        }
        self.dresser.dress(&file, entry);
        Ok(())
    }
}

fn write_at(file: &OwnedFd, mut offset: u64, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// A file's content in its bundle.
pub(super) fn in_bundle<'b>(bundle: &'b [u8], content: &Content) -> Option<&'b [u8]> {
    let start = usize::try_from(content.bundle?.offset).ok()?;
    let length = usize::try_from(content.size).ok()?;
    bundle.get(start..start.checked_add(length)?)
}

/// Gives the data of a file with chunks of its own to `take`, each piece with its offset in the file.
/// `Damaged` if it is more or less than the entry says.
pub(super) fn each_stretch<S: ChunkSource + ?Sized>(
    source: &S,
    entry: &FileEntry,
    take: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let Node::File(content) = &entry.node else {
        return Ok(());
    };
    let read = || "cannot read the file's data".to_owned();
    let whole = [(0, content.size)];
    let stretches = content.extents.as_deref().unwrap_or(&whole);
    let mut reader = ChunkReader::new(source, &content.chunks);
    for (offset, length) in stretches {
        let mut done = 0;
        while done < *length {
            let bytes = reader.fill_buf().io_context(read)?;
            if bytes.is_empty() {
                return Err(refused(entry, "has less data than it should"));
            }
            let rest = usize::try_from(length - done).unwrap_or(usize::MAX);
            let bytes = &bytes[..bytes.len().min(rest)];
            take(offset + done, bytes)?;
            done += bytes.len() as u64;
            let used = bytes.len();
            reader.consume(used);
        }
    }
    if !reader.fill_buf().io_context(read)?.is_empty() {
        return Err(refused(entry, "has more data than it should"));
    }
    Ok(())
}

/// Writes `count` zeros: a hole, to where holes cannot be.
pub(super) fn write_zeros(out: &mut dyn std::io::Write, mut count: u64) -> std::io::Result<()> {
    const ZEROS: [u8; 8192] = [0; 8192];
    while count > 0 {
        let part = usize::try_from(count).map_or(ZEROS.len(), |count| count.min(ZEROS.len()));
        out.write_all(&ZEROS[..part])?;
        count -= part as u64;
    }
    Ok(())
}
