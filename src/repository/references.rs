//! Everything that a backup refers to: what verification checks, what removal must keep.

use std::fmt;
use std::io::BufReader;

use crate::chunk::{ChunkReader, ChunkSource};
use crate::error::Result;
use crate::format::catalog;
use crate::format::database::DatabaseEntry;
use crate::format::file::{FileEntry, Node};
use crate::format::id::ChunkId;
use crate::format::manifest::{Catalog, Manifest, Part};

/// A stream of chunks that something in a backup is made of.
pub struct Piece<'a> {
    /// What is made of it.
    pub thing: Thing<'a>,
    /// The chunks in order.
    pub chunks: &'a [ChunkId],
    /// What the chunks must amount to.
    pub extent: Extent,
}

/// How much a piece's chunks must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Together exactly so many bytes.
    Exactly(u64),
    /// The one chunk at least so many.
    AtLeast(u64),
}

/// Something in a backup, for people.
pub enum Thing<'a> {
    /// The catalog of a part.
    Catalog(Part),
    /// A file.
    File(Part, &'a FileEntry),
    /// Something of the database.
    Database(String),
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog(part) => write!(f, "the catalog of the {part}"),
            Self::File(part, entry) => write!(f, "`{}` of the {part}", entry.path),
            Self::Database(name) => write!(f, "{name} of the database"),
        }
    }
}

/// Calls `visit` for every piece, catalogs first. A part whose catalog cannot be read ends with an error
/// given to `unreadable`; the other parts are still visited.
pub fn for_each_piece<S: ChunkSource + ?Sized>(
    manifest: &Manifest,
    source: &S,
    visit: &mut dyn FnMut(Piece<'_>),
    unreadable: &mut dyn FnMut(Part, crate::error::Error),
) {
    let mut catalog = |part: Part, catalog: &Catalog| {
        visit(Piece {
            thing: Thing::Catalog(part),
            chunks: &catalog.chunks,
            extent: Extent::Exactly(catalog.bytes),
        });
    };
    if let Some(database) = &manifest.database {
        catalog(Part::Database, &database.catalog);
    }
    for files in &manifest.files {
        catalog(files.part, &files.catalog);
    }
    if let Some(database) = &manifest.database
        && let Err(error) = visit_database(&database.catalog, source, visit)
    {
        unreadable(Part::Database, error);
    }
    for files in &manifest.files {
        if let Err(error) = visit_files(files.part, &files.catalog, source, visit) {
            unreadable(files.part, error);
        }
    }
}

fn visit_database<S: ChunkSource + ?Sized>(
    catalog: &Catalog,
    source: &S,
    visit: &mut dyn FnMut(Piece<'_>),
) -> Result<()> {
    let mut table = String::new();
    let input = BufReader::new(ChunkReader::new(source, &catalog.chunks));
    for entry in catalog::entries::<_, DatabaseEntry>(input) {
        let (name, chunks, bytes) = match entry? {
            DatabaseEntry::Table(entry) => {
                table = format!("table {}.{}", entry.schema, entry.name);
                continue;
            }
            DatabaseEntry::Ddl { chunks, bytes, .. } => ("the DDL".to_owned(), chunks, bytes),
            DatabaseEntry::Range(range) => (table.clone(), range.chunks, range.bytes),
            DatabaseEntry::LargeObject {
                oid, chunks, bytes, ..
            } => (format!("large object {oid}"), chunks, bytes),
            DatabaseEntry::Database(_) | DatabaseEntry::Sequence { .. } => continue,
        };
        visit(Piece {
            thing: Thing::Database(name),
            chunks: &chunks,
            extent: Extent::Exactly(bytes),
        });
    }
    Ok(())
}

fn visit_files<S: ChunkSource + ?Sized>(
    part: Part,
    catalog: &Catalog,
    source: &S,
    visit: &mut dyn FnMut(Piece<'_>),
) -> Result<()> {
    let input = BufReader::new(ChunkReader::new(source, &catalog.chunks));
    for entry in catalog::entries::<_, FileEntry>(input) {
        let entry = entry?;
        let Node::File(content) = &entry.node else {
            continue;
        };
        let data_bytes = match &content.extents {
            Some(extents) => extents.iter().map(|(_, length)| length).sum(),
            None => content.size,
        };
        let bundle = content.bundle.map(|bundle| [bundle.chunk]);
        let (chunks, extent) = match (&bundle, content.bundle) {
            (Some(chunk), Some(bundle)) => (
                &chunk[..],
                Extent::AtLeast(bundle.offset.saturating_add(data_bytes)),
            ),
            _ => (&content.chunks[..], Extent::Exactly(data_bytes)),
        };
        visit(Piece {
            thing: Thing::File(part, &entry),
            chunks,
            extent,
        });
    }
    Ok(())
}
