//! The rows of a table, as COPY text, range by range.

use std::io::{BufRead, Write};

use postgres::Client;

use super::tables::SourceTable;
use crate::chunk::{ChunkSink, ChunkWriter};
use crate::error::{IoContext, Result};
use crate::format::database::Range;
use crate::postgresql::client::{database_error, stream_error};
use crate::postgresql::quote;
use crate::postgresql::watch::Watch;

/// A range up to this is one chunk, a longer one is cut by its content, so that memory stays bounded
/// whatever a row holds.
const WHOLE_CHUNK_LIMIT_BYTES: usize = 8 << 20;

/// Which rows of a table to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// All of them, in one stream.
    All,
    /// Those of some pages of the heap; without an end, to the end of the table.
    Some { first: u64, count: Option<u64> },
}

/// Reads ranges over one connection, with buffers that are used again.
pub(super) struct RangeReader<'a, S: ChunkSink + ?Sized> {
    sink: &'a S,
    buffer: Vec<u8>,
    /// Rows of servers before 14 come in one stream, which only its content can cut.
    cut_always: bool,
}

impl<'a, S: ChunkSink + ?Sized> RangeReader<'a, S> {
    pub fn new(sink: &'a S, cut_always: bool) -> Self {
        Self {
            sink,
            buffer: Vec::new(),
            cut_always,
        }
    }

    /// One range, which counts for `share_bytes` in progress; `None` when it has no rows.
    pub fn read(
        &mut self,
        client: &mut Client,
        table: &SourceTable,
        pages: Pages,
        share_bytes: u64,
        watch: &Watch<'_>,
    ) -> Result<Option<Range>> {
        let what = || format!("cannot read table {}", table.quoted());
        let mut copy = client
            .copy_out(&copy_statement(table, pages))
            .map_err(|error| database_error(&what(), error))?;
        self.buffer.clear();
        let mut rows = 0;
        let mut share = Share::new(share_bytes, watch);
        let mut writer = self
            .cut_always
            .then(|| ChunkWriter::new(self.sink, self.sink.chunkers().data));
        loop {
            let text = copy
                .fill_buf()
                .map_err(|error| stream_error(&what(), error))?;
            if text.is_empty() {
                break;
            }
            // A line break in a value is escaped: the others end rows.
            rows += memchr::memchr_iter(b'\n', text).count() as u64;
            match &mut writer {
                Some(writer) => writer.write_all(text).io_context(what)?,
                None if self.buffer.len() + text.len() <= WHOLE_CHUNK_LIMIT_BYTES => {
                    self.buffer.extend_from_slice(text);
                }
                None => {
                    let mut cutter = ChunkWriter::new(self.sink, self.sink.chunkers().data);
                    cutter.write_all(&self.buffer).io_context(what)?;
                    cutter.write_all(text).io_context(what)?;
                    self.buffer.clear();
                    writer = Some(cutter);
                }
            }
            let length = text.len();
            copy.consume(length);
            share.read(length as u64)?;
        }
        drop(copy);
        share.finish();
        let (chunks, bytes) = match writer {
            Some(writer) => writer.finish()?,
            None if self.buffer.is_empty() => (Vec::new(), 0),
            None => (vec![self.sink.put(&self.buffer)?], self.buffer.len() as u64),
        };
        if rows == 0 {
            return Ok(None);
        }
        let (first_page, pages) = match pages {
            Pages::All => (0, None),
            Pages::Some { first, count } => (first, count),
        };
        Ok(Some(Range {
            first_page,
            pages,
            rows,
            bytes,
            chunks,
            fingerprint: None,
            transactions: None,
        }))
    }
}

/// Spends a range's share of the progress on the bytes that come in: text is not as long as pages.
struct Share<'a> {
    left_bytes: u64,
    /// Rows are too small to tell of each.
    gathered_bytes: u64,
    watch: &'a Watch<'a>,
}

impl<'a> Share<'a> {
    const STEP_BYTES: u64 = 256 << 10;

    fn new(share_bytes: u64, watch: &'a Watch<'a>) -> Self {
        Self {
            left_bytes: share_bytes,
            gathered_bytes: 0,
            watch,
        }
    }

    fn read(&mut self, bytes: u64) -> Result<()> {
        self.gathered_bytes += bytes;
        if self.gathered_bytes >= Self::STEP_BYTES {
            self.watch.check()?;
            let step = self.gathered_bytes.min(self.left_bytes);
            self.watch.progress().advance(step);
            self.left_bytes -= step;
            self.gathered_bytes = 0;
        }
        Ok(())
    }

    fn finish(self) {
        self.watch.progress().advance(self.left_bytes);
    }
}

/// Explicit columns, so that a change of their order in a restored table cannot mix them up; the
/// database's own encoding, so that nothing has to be converted.
fn copy_statement(table: &SourceTable, pages: Pages) -> String {
    let name = table.quoted();
    let columns = quote::names(&table.table.columns);
    let encoding = quote::literal(&table.table.encoding);
    let filter = match pages {
        Pages::All => table.condition.clone(),
        Pages::Some { first, count } => {
            let end = count.map_or(String::new(), |count| {
                format!(" AND ctid < '({},0)'", first + count)
            });
            format!("WHERE ctid >= '({first},0)'{end}")
        }
    };
    // COPY of a table itself leaves its children's rows out and is cheaper than a query.
    let what = match (filter.is_empty(), columns.is_empty()) {
        (true, true) => name,
        (true, false) => format!("{name} ({columns})"),
        (false, _) => format!("(SELECT {columns} FROM ONLY {name} {filter})"),
    };
    format!("COPY {what} TO STDOUT (ENCODING {encoding})")
}
