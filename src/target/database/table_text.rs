//! One table's rows, without a server.

use std::io::Write;

use super::{catalog_entries, disordered};
use crate::chunk::ChunkSource;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::database::{DatabaseEntry, Table};
use crate::format::manifest::Catalog;

/// Writes the COPY text of a table to `out`, in the encoding that the returned entry names.
///
/// `NotFound` when the backup has no such table.
pub fn table_rows<S: ChunkSource + ?Sized>(
    source: &S,
    catalog: &Catalog,
    schema: &str,
    table: &str,
    out: &mut dyn Write,
) -> Result<Table> {
    let mut found: Option<Table> = None;
    let mut rows = 0;
    for entry in catalog_entries(source, catalog) {
        match (entry?, &found) {
            (DatabaseEntry::Table(entry), None)
                if entry.schema == schema && entry.name == table =>
            {
                found = Some(entry);
            }
            (DatabaseEntry::Range(range), Some(_)) => {
                rows += range.rows;
                for id in &range.chunks {
                    out.write_all(&source.get(id)?)
                        .io_context(|| format!("cannot write the rows of {schema}.{table}"))?;
                }
            }
            (_, None) => {}
            // The ranges of a table follow it directly.
            (_, Some(_)) => break,
        }
    }
    let found = found.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("the backup has no table {schema}.{table}"),
        )
    })?;
    if rows == found.rows {
        Ok(found)
    } else {
        Err(disordered())
    }
}
