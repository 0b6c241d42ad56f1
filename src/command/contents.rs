//! Looking into a backup: its tables and directories, one file, one table's rows.

use std::io::{BufReader, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::chunk::{ChunkReader, ChunkSource};
use crate::error::{Error, ErrorKind, Result};
use crate::format::bytes::ByteString;
use crate::format::catalog;
use crate::format::database::{DatabaseEntry, Table};
use crate::format::file::{FileEntry, Node};
use crate::format::manifest::{FilesPart, Manifest, Part};
use crate::progress::Progress;
use crate::target::database::table_rows;
use crate::target::files;

/// One line of `ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What to give `ls` or `cat` to see it.
    pub path: ByteString,
    /// `part`, `directory`, `file`, `symlink`, `hardlink`, `table` or `large object`.
    pub kind: &'static str,
    /// Bytes of content, where it has any.
    pub bytes: Option<u64>,
    /// Rows of a table.
    pub rows: Option<u64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner and group by name, else number.
    pub owner: Option<String>,
    /// When its content was last changed.
    pub mtime: Option<DateTime<Utc>>,
    /// Where a link points to.
    pub target: Option<ByteString>,
}

/// A place in a backup, as `ls` and `cat` take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// All of it.
    Root,
    /// The database's tables.
    Database,
    /// A table's rows: `table:schema.name`.
    Table(String),
    /// A path below a file part; empty for its root.
    File(Part, Vec<u8>),
}

impl Place {
    /// Reads what the user typed: `sources/modules`, `database`, `table:public.c_order`.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let name = String::from_utf8_lossy(text);
        if let Some(table) = name.strip_prefix("table:") {
            return Ok(Self::Table(table.to_owned()));
        }
        let trimmed: &[u8] = text.trim_ascii_start();
        let mut parts = trimmed
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty());
        let Some(first) = parts.next() else {
            return Ok(Self::Root);
        };
        let part: Part = String::from_utf8_lossy(first).parse().map_err(|error: Error| {
            error.hint(
                "A place in a backup begins with its part: `sources/modules`, `attachments`, `configuration`, \
                 `database`; a table's rows are `table:public.c_order`.",
            )
        })?;
        let path = parts.collect::<Vec<_>>().join(&b'/');
        match part {
            Part::Database if path.is_empty() => Ok(Self::Database),
            Part::Database => Ok(Self::Table(String::from_utf8_lossy(&path).into_owned())),
            part => Ok(Self::File(part, path)),
        }
    }

    /// A file or directory to restore: the part, and the path below it. `Usage` for anything else.
    pub fn of_files(text: &[u8]) -> Result<(Part, ByteString)> {
        match Self::parse(text)? {
            Self::File(part, path) => Ok((part, path.into())),
            Self::Root | Self::Database | Self::Table(_) => Err(Error::new(
                ErrorKind::Usage,
                "only files and directories can be restored by their path",
            )
            .hint("A table's rows come with: obbackup cat ID table:SCHEMA.NAME")),
        }
    }
}

/// What lies directly at `place`, in order.
pub fn ls<S: ChunkSource>(source: &S, manifest: &Manifest, place: &Place) -> Result<Vec<Listed>> {
    match place {
        Place::Root => Ok(parts(manifest)),
        Place::Database => tables(source, manifest),
        Place::Table(name) => {
            let wanted = find_table(source, manifest, name)?;
            let listed = tables(source, manifest)?;
            let path = format!("table:{}.{}", wanted.schema, wanted.name);
            Ok(listed
                .into_iter()
                .filter(|entry| entry.path.as_bytes() == path.as_bytes())
                .collect())
        }
        Place::File(part, path) => directory(source, files_part(manifest, *part)?, path),
    }
}

fn parts(manifest: &Manifest) -> Vec<Listed> {
    let part = |part: Part, bytes: u64, rows: Option<u64>| Listed {
        path: part.word().into(),
        kind: "part",
        bytes: Some(bytes),
        rows,
        mode: None,
        owner: None,
        mtime: None,
        target: None,
    };
    let database = manifest.database.as_ref();
    database
        .map(|database| part(Part::Database, database.bytes, Some(database.rows)))
        .into_iter()
        .chain(
            manifest
                .files
                .iter()
                .map(|files| part(files.part, files.bytes, None)),
        )
        .collect()
}

/// The file part `part`, or an error that says what there is instead.
pub fn files_part(manifest: &Manifest, part: Part) -> Result<&FilesPart> {
    manifest.files_part(part).ok_or_else(|| {
        let there: Vec<_> = manifest
            .files
            .iter()
            .map(|files| files.part.word())
            .collect();
        Error::new(ErrorKind::NotFound, format!("the backup has no {part}"))
            .hint(format!("It has: {}.", there.join(", ")))
    })
}

/// The entries of a file part.
pub fn file_entries<'a, S: ChunkSource>(
    source: &'a S,
    files: &FilesPart,
) -> impl Iterator<Item = Result<FileEntry>> + 'a {
    catalog::entries(BufReader::new(ChunkReader::new(
        source,
        &files.catalog.chunks,
    )))
}

fn directory<S: ChunkSource>(source: &S, files: &FilesPart, path: &[u8]) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut found = None;
    for entry in file_entries(source, files) {
        let entry = entry?;
        let own = entry.path.as_bytes();
        if own == path {
            found = Some(entry);
            continue;
        }
        let below = match path {
            b"" => Some(own),
            _ => own
                .strip_prefix(path)
                .and_then(|rest| rest.strip_prefix(b"/")),
        };
        match below {
            Some(below) if !below.contains(&b'/') => listed.push(shown(files.part, &entry)),
            // In path order nothing of the directory follows once something else did.
            None if found.is_some() => break,
            Some(_) | None => {}
        }
    }
    match found {
        Some(entry) if entry.node == Node::Directory => Ok(listed),
        Some(entry) => Ok(vec![shown(files.part, &entry)]),
        None => Err(no_such_file(files.part, path)),
    }
}

fn no_such_file(part: Part, path: &[u8]) -> Error {
    let path = crate::format::bytes::ByteString::from(path);
    Error::new(
        ErrorKind::NotFound,
        format!("the {part} have no `{path}` in this backup"),
    )
    .hint(format!("`obbackup ls ID {part}` shows what is there."))
}

fn shown(part: Part, entry: &FileEntry) -> Listed {
    let mut path = format!("{part}/").into_bytes();
    path.extend_from_slice(entry.path.as_bytes());
    let (kind, bytes, target) = match &entry.node {
        Node::File(content) => ("file", Some(content.size), None),
        Node::Directory => ("directory", None, None),
        Node::Symlink { target } => ("symlink", None, Some(target.clone())),
        Node::Hardlink { target } => ("hardlink", None, Some(target.clone())),
    };
    let name =
        |name: &Option<String>, number: u32| name.clone().unwrap_or_else(|| number.to_string());
    Listed {
        path: path.into(),
        kind,
        bytes,
        rows: None,
        mode: Some(entry.mode),
        owner: Some(format!(
            "{}:{}",
            name(&entry.user, entry.uid),
            name(&entry.group, entry.gid)
        )),
        mtime: DateTime::from_timestamp(entry.mtime.0, entry.mtime.1),
        target,
    }
}

/// The entries of the database's catalog.
pub fn database_entries<'a, S: ChunkSource>(
    source: &'a S,
    manifest: &Manifest,
) -> Result<impl Iterator<Item = Result<DatabaseEntry>> + use<'a, S>> {
    let database = manifest.database.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the backup has no database")
            .hint("It was taken with `--only` and without `database`.")
    })?;
    Ok(catalog::entries(BufReader::new(ChunkReader::new(
        source,
        &database.catalog.chunks,
    ))))
}

fn tables<S: ChunkSource>(source: &S, manifest: &Manifest) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut add = |path: String, kind: &'static str, bytes: u64, rows: Option<u64>| {
        listed.push(Listed {
            path: path.as_str().into(),
            kind,
            bytes: Some(bytes),
            rows,
            mode: None,
            owner: None,
            mtime: None,
            target: None,
        });
    };
    for entry in database_entries(source, manifest)? {
        match entry? {
            DatabaseEntry::Table(table) => {
                add(
                    format!("table:{}.{}", table.schema, table.name),
                    "table",
                    table.bytes,
                    Some(table.rows),
                );
            }
            DatabaseEntry::LargeObject { oid, bytes, .. } => {
                add(format!("large object {oid}"), "large object", bytes, None);
            }
            _ => {}
        }
    }
    listed.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(listed)
}

/// Every table of the backup, with its figures.
pub(super) fn table_entries<S: ChunkSource>(source: &S, manifest: &Manifest) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for entry in database_entries(source, manifest)? {
        if let DatabaseEntry::Table(table) = entry? {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// The table that the user named: `schema.name`, or `name` alone where it stands in one schema only.
pub fn find_table<S: ChunkSource>(source: &S, manifest: &Manifest, name: &str) -> Result<Table> {
    let mut matches = Vec::new();
    for entry in database_entries(source, manifest)? {
        if let DatabaseEntry::Table(table) = entry? {
            if format!("{}.{}", table.schema, table.name) == name {
                return Ok(table);
            }
            if table.name == name {
                matches.push(table);
            }
        }
    }
    match (matches.pop(), matches.as_slice()) {
        (Some(table), []) => Ok(table),
        (Some(table), others) => Err(Error::new(
            ErrorKind::Usage,
            format!(
                "`{name}` stands in {} schemas, among them `{}`",
                others.len() + 1,
                table.schema
            ),
        )
        .hint(format!("Name the schema: table:{}.{name}", table.schema))),
        (None, _) => Err(Error::new(
            ErrorKind::NotFound,
            format!("the backup has no table `{name}`"),
        )
        .hint("`obbackup ls ID database` shows the tables.")),
    }
}

/// Writes what lies at `place` to `out`: a file's bytes, or a table's rows as COPY text.
pub fn cat<S: ChunkSource>(
    source: &S,
    manifest: &Manifest,
    place: &Place,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<()> {
    match place {
        Place::Root | Place::Database => Err(Error::new(
            ErrorKind::Usage,
            "a file or a table must be named",
        )
        .hint("For example `sources/modules/x` or `table:public.c_order`; `obbackup ls ID` shows what there is.")),
        Place::Table(name) => {
            let table = find_table(source, manifest, name)?;
            if let Some(database) = &manifest.database {
                table_rows(source, &database.catalog, &table.schema, &table.name, out)?;
            }
            Ok(())
        }
        Place::File(part, path) => {
            let files = files_part(manifest, *part)?;
            let catalog = || Ok(file_entries(source, files));
            files::cat(source, catalog, &path.as_slice().into(), out, progress)?;
            Ok(())
        }
    }
}
