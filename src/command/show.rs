//! One backup in full.

use serde::Serialize;

use super::list::{BackupSummary, server_version};
use crate::error::Result;
use crate::format::bytes::ByteString;
use crate::format::manifest::{ModuleVersion, Part};
use crate::repository::Repository;
use crate::repository::backups::Backup;

/// A backup as `show --json` has it.
#[derive(Debug, Clone, Serialize)]
pub struct Detail<'a> {
    /// What `list` has too.
    #[serde(flatten)]
    pub summary: BackupSummary,
    /// Its database.
    pub database: Option<Database<'a>>,
    /// Its directories.
    pub parts: Vec<Directory<'a>>,
    /// The instance's modules.
    pub modules: &'a [ModuleVersion],
    /// Where the instance lay.
    pub source_path: &'a str,
    /// The version of the program that took it.
    pub tool: &'a str,
    /// The version of the repository format.
    pub format: u32,
}

/// The database of a backup.
#[derive(Debug, Clone, Serialize)]
pub struct Database<'a> {
    /// Its name.
    pub name: &'a str,
    /// The role that the application connects as.
    pub application_role: &'a str,
    /// The server's version, like 15.18.
    pub server_version: String,
    /// The version of `pg_dump`.
    pub client_version: String,
    /// Tables.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all rows, as COPY text.
    pub bytes: u64,
    /// What `ad_db_modified('N')` answered.
    pub db_modified: Option<&'a str>,
}

/// A directory of a backup.
#[derive(Debug, Clone, Serialize)]
pub struct Directory<'a> {
    /// Which part it is.
    pub part: Part,
    /// Where it lay.
    pub root: &'a ByteString,
    /// Files, directories and links.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was left out.
    pub excluded: &'a [ByteString],
}

/// All that the manifest and its marks tell.
pub fn show<'a>(repository: &Repository, backup: &'a Backup) -> Result<Detail<'a>> {
    let manifest = &backup.manifest;
    Ok(Detail {
        summary: BackupSummary {
            pinned: repository.is_pinned(backup)?,
            ..BackupSummary::from(backup).with_marks(&repository.marks_of(&backup.id)?)
        },
        database: manifest.database.as_ref().map(|database| Database {
            name: &database.name,
            application_role: &database.application_role,
            server_version: server_version(database.server_version),
            client_version: server_version(database.client_version),
            tables: database.tables,
            rows: database.rows,
            bytes: database.bytes,
            db_modified: database.db_modified.as_deref(),
        }),
        parts: manifest
            .files
            .iter()
            .map(|files| Directory {
                part: files.part,
                root: &files.root,
                entries: files.catalog.entries,
                files: files.files,
                bytes: files.bytes,
                excluded: &files.excluded,
            })
            .collect(),
        modules: &manifest.instance.modules,
        source_path: &manifest.instance.source_path,
        tool: &manifest.tool,
        format: manifest.format,
    })
}
