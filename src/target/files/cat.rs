//! One file of a backup as a stream.

use std::io::Write;

use super::write::{each_stretch, in_bundle, write_zeros};
use crate::chunk::ChunkSource;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::bytes::ByteString;
use crate::format::file::{FileEntry, Node};
use crate::format::order::{ordered, refused};
use crate::progress::Progress;

/// Writes the content of the file at `path` to `out`, holes as zeros; its size in bytes.
///
/// `catalog` gives the entries from the first on, each time it is called. `NotFound` if there is nothing
/// at `path`, `Usage` if it is no file.
pub fn cat<S, I>(
    source: &S,
    catalog: impl Fn() -> Result<I>,
    path: &ByteString,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<u64>
where
    S: ChunkSource + ?Sized,
    I: Iterator<Item = Result<FileEntry>>,
{
    let mut entry = find(ordered(catalog()?), path, progress)?;
    if let Node::Hardlink { target } = &entry.node {
        entry = find(ordered(catalog()?), target, progress)?;
    }
    let written = || format!("cannot write the content of `{path}`");
    let content = match &entry.node {
        Node::File(content) => content,
        Node::Directory => return Err(not_a_file(path, "a directory")),
        Node::Symlink { target } => {
            return Err(not_a_file(path, &format!("a symbolic link to `{target}`")));
        }
        Node::Hardlink { .. } => return Err(refused(&entry, "is another name of what is no file")),
    };
    if let Some(bundle) = content.bundle {
        let bundle = source.get(&bundle.chunk)?;
        let data = in_bundle(&bundle, content)
            .ok_or_else(|| refused(&entry, "lies outside of its bundle"))?;
        out.write_all(data).io_context(written)?;
        progress.advance(content.size);
        return Ok(content.size);
    }
    let mut position = 0;
    each_stretch(source, &entry, &mut |offset, bytes| {
        progress.check()?;
        write_zeros(out, offset - position).io_context(written)?;
        out.write_all(bytes).io_context(written)?;
        position = offset + bytes.len() as u64;
        progress.advance(bytes.len() as u64);
        Ok(())
    })?;
    write_zeros(out, content.size - position).io_context(written)?;
    Ok(content.size)
}

fn find(
    catalog: impl Iterator<Item = Result<FileEntry>>,
    path: &ByteString,
    progress: &dyn Progress,
) -> Result<FileEntry> {
    for entry in catalog {
        progress.check()?;
        let entry = entry?;
        if entry.path == *path {
            return Ok(entry);
        }
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!("the backup has no `{path}` in this part"),
    )
    .hint("List what it has with `obbackup ls`."))
}

fn not_a_file(path: &ByteString, what: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("`{path}` is {what}"))
        .hint("Only files can be written out; restore takes everything.")
}
