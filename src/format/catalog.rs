//! Catalogs: what is inside a backup, one JSON object a line, so that they stream in both directions.

use std::io::{BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, IoContext, Result};

/// No line of a catalog is longer, so that a hostile one cannot exhaust the memory.
const LINE_LIMIT_BYTES: u64 = 64 << 20;

/// `object` as compact JSON.
pub fn to_json<T: Serialize>(object: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(|error| {
        Error::new(ErrorKind::Failure, "cannot write an object as JSON").source(error)
    })
}

/// Appends one entry.
pub fn write_entry<W: Write, T: Serialize>(out: &mut W, entry: &T) -> Result<()> {
    let mut line = to_json(entry)?;
    line.push(b'\n');
    out.write_all(&line)
        .io_context(|| "cannot write the catalog".to_owned())
}

/// Reads the entries one by one; after an error nothing follows.
pub struct Entries<R, T> {
    input: R,
    line: Vec<u8>,
    failed: bool,
    entry: std::marker::PhantomData<T>,
}

/// The entries of a catalog in their order.
pub fn entries<R: BufRead, T: DeserializeOwned>(input: R) -> Entries<R, T> {
    Entries {
        input,
        line: Vec::new(),
        failed: false,
        entry: std::marker::PhantomData,
    }
}

impl<R: BufRead, T: DeserializeOwned> Entries<R, T> {
    fn read(&mut self) -> Result<Option<T>> {
        self.line.clear();
        let mut limited = std::io::Read::take(&mut self.input, LINE_LIMIT_BYTES);
        let read = limited
            .read_until(b'\n', &mut self.line)
            .io_context(|| "cannot read the catalog".to_owned())?;
        if read == 0 {
            return Ok(None);
        }
        if self.line.pop() != Some(b'\n') {
            return Err(Error::new(ErrorKind::Damaged, "the catalog is cut short"));
        }
        serde_json::from_slice(&self.line)
            .map(Some)
            .map_err(|error| {
                Error::new(
                    ErrorKind::Damaged,
                    "the catalog has an entry that cannot be read",
                )
                .source(error)
            })
    }
}

impl<R: BufRead, T: DeserializeOwned> Iterator for Entries<R, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.read().transpose();
        self.failed = !matches!(entry, Some(Ok(_)));
        entry
    }
}
