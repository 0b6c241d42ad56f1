//! Entries of a first pass, kept in a file without a name until the second pass has read them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};

use crate::error::{IoContext, Result};
use crate::format::catalog::entries;
use crate::format::file::FileEntry;

/// The entries of a captured tree, in path order. Gone with its last use, also after a crash.
#[derive(Debug)]
pub struct Spool(File);

pub(super) struct SpoolWriter(zstd::stream::write::Encoder<'static, BufWriter<File>>);

impl SpoolWriter {
    pub(super) fn new() -> Result<Self> {
        let failed = || "cannot make a temporary file for the catalog".to_owned();
        let file = tempfile::tempfile().io_context(failed)?;
        zstd::stream::write::Encoder::new(BufWriter::new(file), 1)
            .map(Self)
            .io_context(failed)
    }

    pub(super) fn finish(self) -> Result<Spool> {
        let failed = || "cannot write the catalog to a temporary file".to_owned();
        let buffer = self.0.finish().io_context(failed)?;
        buffer
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .map(Spool)
            .io_context(failed)
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Spool {
    /// The entries from the first on. One reader at a time: they share the file's position.
    pub fn entries(&mut self) -> Result<impl Iterator<Item = Result<FileEntry>> + '_> {
        let failed = || "cannot read the catalog from a temporary file".to_owned();
        self.0.rewind().io_context(failed)?;
        let unfolded = zstd::stream::read::Decoder::new(&self.0).io_context(failed)?;
        Ok(entries(BufReader::new(unfolded)))
    }
}
