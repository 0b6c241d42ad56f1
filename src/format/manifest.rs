//! The manifest: names the parts of one backup, is written last, and thereby makes it exist.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::{ChunkId, Digest256};
use crate::error::{Error, ErrorKind, Result};

/// No manifest unfolds to more.
const LIMIT_BYTES: u64 = 256 << 20;

/// The id of a backup: the SHA-256 of its manifest's bytes.
pub type BackupId = Digest256;

/// One backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format version it was written in.
    pub format: u32,
    /// The version of the program that wrote it.
    pub tool: String,
    /// Why it was taken.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// Whether all of it is there.
    pub status: Status,
    /// Free text of whoever took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it was pinned when it was taken; marks say what happened to that since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When it was complete.
    pub finished_at: DateTime<Utc>,
    /// The backup that unchanged files were taken over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<BackupId>,
    /// The run that made it: names its record in `runs/`.
    pub run: String,
    /// Which instance it is of.
    pub instance: InstanceIdentity,
    /// The database, unless it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabasePart>,
    /// The file parts that are there, in the order of [`Part`].
    pub files: Vec<FilesPart>,
    /// What it cost.
    pub statistics: Statistics,
    /// What a person should know about it; each names the thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The index objects that this backup wrote, so that a lost one can be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Digest256>,
}

/// Why a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupType {
    /// Somebody asked for it.
    Manual,
    /// A schedule did.
    Scheduled,
    /// Before a module install or a restore.
    Automated,
}

/// Whether a backup holds all that it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All of it.
    Good,
    /// Something that was there could not be captured; the warnings name it.
    Partial,
}

/// One of the five things that a backup is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The PostgreSQL database.
    Database,
    /// `source.path` less what a build regenerates, less attachments and configuration.
    Sources,
    /// The web application's directory.
    Deploy,
    /// `attach.path`.
    Attachments,
    /// `reprintable.path`, where it is set and lies outside the attachments.
    Reprintables,
    /// `config/`.
    Configuration,
}

/// Identity of an instance, and what tells people which one it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceIdentity {
    /// Stays the same as long as the instance is the same.
    pub id: String,
    /// What a person types to confirm a restore: the context name.
    pub name: String,
    /// The host name at backup.
    pub host: String,
    /// `source.path` at backup.
    pub source_path: String,
    /// The word of the machine that has taken the instance over, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The version of the module *Core*, where the database tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openbravo_version: Option<String>,
    /// Modules and their versions, where the database tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleVersion>,
}

/// A module that was installed at backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleVersion {
    /// Its Java package.
    pub package: String,
    /// Its version.
    pub version: String,
}

/// A catalog: JSON lines, cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// Entries in it.
    pub entries: u64,
    /// Bytes of all lines.
    pub bytes: u64,
    /// The chunks, in order.
    pub chunks: Vec<ChunkId>,
}

/// The database of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabasePart {
    /// The database's name.
    pub name: String,
    /// The server's `server_version_num`.
    pub server_version: u32,
    /// The version of the `pg_dump` that wrote the DDL, like `server_version`.
    pub client_version: u32,
    /// The application's role (`bbdd.user`).
    pub application_role: String,
    /// Tables captured.
    pub tables: u64,
    /// Rows captured.
    pub rows: u64,
    /// Bytes of DDL, COPY text and large objects.
    pub bytes: u64,
    /// What `ad_db_modified('N')` answered, where the function is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_modified: Option<String>,
    /// What is in it: entries of [`super::database::DatabaseEntry`].
    pub catalog: Catalog,
}

/// One directory tree of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesPart {
    /// Which one.
    pub part: Part,
    /// The absolute directory that it was read from.
    pub root: super::bytes::ByteString,
    /// Regular files.
    pub files: u64,
    /// Bytes of the regular files, holes left out.
    pub bytes: u64,
    /// Paths below the root that were left out as a rule, so that a restore leaves them alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<super::bytes::ByteString>,
    /// What is in it: entries of [`super::file::FileEntry`].
    pub catalog: Catalog,
}

/// What a backup holds and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Regular files.
    pub files: u64,
    /// Bytes of the regular files.
    pub files_bytes: u64,
    /// Regular files that were read, the others being unchanged.
    pub files_read: u64,
    /// Plain bytes that were new to the repository.
    pub new_bytes: u64,
    /// Bytes that the new ones take in the repository.
    pub stored_bytes: u64,
}

impl Manifest {
    /// The manifest's bytes, and the id that they give the backup.
    pub fn encode(&self) -> Result<(BackupId, Vec<u8>)> {
        let bytes = super::gzip(&super::catalog::to_json(self)?)?;
        Ok((Digest256::of(&bytes), bytes))
    }

    /// `Damaged` unless the bytes are those that `id` names; `Incompatible` for a newer format.
    pub fn decode(id: &BackupId, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = super::decode_named(id, bytes, LIMIT_BYTES)?;
        if version.format > super::VERSION {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!(
                    "backup {} has the format version {}, this program reads up to {}",
                    id.short(),
                    version.format,
                    super::VERSION
                ),
            )
            .hint("Use a newer obbackup."));
        }
        super::decode_named(id, bytes, LIMIT_BYTES)
    }

    /// The file part `part`, if the backup has it.
    pub fn files_part(&self, part: Part) -> Option<&FilesPart> {
        self.files.iter().find(|files| files.part == part)
    }
}

macro_rules! words {
    ($type:ty, $what:literal, $($variant:ident => $word:literal),+) => {
        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, as files, arguments and output have it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(word: &str) -> Result<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|value| value.word()).collect();
                    Error::new(ErrorKind::Usage, format!(concat!("`{}` is not a ", $what), word))
                        .hint(format!("One of: {}.", words.join(", ")))
                })
            }
        }
    };
}

words!(BackupType, "backup type",
    Manual => "manual", Scheduled => "scheduled", Automated => "automated");
words!(Status, "status", Good => "good", Partial => "partial");
words!(Part, "part",
    Database => "database", Sources => "sources", Deploy => "deploy", Attachments => "attachments",
    Reprintables => "reprintables", Configuration => "configuration");
