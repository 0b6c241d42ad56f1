//! Small sealed objects: the repository's header, leases, marks and the records of runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::Digest256;
use super::manifest::{BackupId, BackupType};
use crate::codec::Compression;

/// `repo.json`: what makes a place a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format version.
    pub format: u32,
    /// Random; tells one repository from another.
    pub id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Features without which nothing in it can be understood. A reader that does not know one of
    /// them stops.
    pub features: Vec<String>,
    /// How streams are cut; the same for the life of the repository, else nothing would be found again.
    pub chunker: Chunkers,
    /// How new chunks are compressed.
    pub compression: Compression,
}

/// The parameters of the content-defined cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunkers {
    /// For large files and table data that is not cut by pages.
    pub data: CutSizes,
    /// For catalogs and DDL.
    pub metadata: CutSizes,
}

/// FastCDC 2020, normalization level 1, seed 0; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutSizes {
    /// No chunk but the last is shorter.
    pub min: usize,
    /// What most are near to.
    pub average: usize,
    /// No chunk is longer.
    pub max: usize,
}

impl Default for Chunkers {
    fn default() -> Self {
        Self {
            data: CutSizes {
                min: 256 << 10,
                average: 1 << 20,
                max: 4 << 20,
            },
            metadata: CutSizes {
                min: 16 << 10,
                average: 64 << 10,
                max: 256 << 10,
            },
        }
    }
}

/// What a lease keeps others from doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseMode {
    /// Adds to the repository; excludes another writer for the same instance, and every remover.
    Write,
    /// Removes from the repository; excludes everybody else.
    Exclusive,
}

/// `locks/<id>.json`: who works on the repository. The only kind of object that is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Random.
    pub id: String,
    /// What it excludes.
    pub mode: LeaseMode,
    /// The instance that is worked on.
    pub instance: String,
    /// What is being done: "backup", "delete".
    pub purpose: String,
    /// The host.
    pub host: String,
    /// The user's name, or number.
    pub user: String,
    /// The process.
    pub pid: u32,
    /// When that process started, in clock ticks since boot: tells it from a later one of the same number.
    pub process_started: u64,
    /// The boot of the host that `pid` belongs to.
    pub boot: String,
    /// Since when.
    pub acquired_at: DateTime<Utc>,
    /// Not valid beyond, unless renewed.
    pub expires_at: DateTime<Utc>,
}

/// `runs/<time>-<run>.json`: how a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Random.
    pub id: String,
    /// What was done: "backup", "delete".
    pub command: String,
    /// The instance.
    pub instance: String,
    /// For backups, which type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub backup_type: Option<BackupType>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// The backup that it made or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// When that backup was finished: with the id, the manifest's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_finished_at: Option<DateTime<Utc>>,
    /// `ok`, `partial`, or the name of the error's kind.
    pub outcome: String,
    /// The error's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of a run that a schedule started, which one and for when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occasion: Option<Occasion>,
    /// The host that it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Run {
    /// A run that began at `started_at` and ended well just now.
    pub fn ended(
        id: String,
        command: &str,
        instance: &str,
        host: &str,
        started_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            command: command.to_owned(),
            instance: instance.to_owned(),
            backup_type: None,
            started_at,
            finished_at: Utc::now(),
            backup: None,
            backup_finished_at: None,
            outcome: OK.to_owned(),
            message: None,
            occasion: None,
            host: Some(host.to_owned()),
        }
    }
}

/// The outcome of a run that did what it should.
pub const OK: &str = "ok";
/// The outcome of a backup that lacks something.
pub const PARTIAL: &str = "partial";

/// One of the moments that a schedule names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    /// The schedule's name.
    pub schedule: String,
    /// The moment.
    pub due_at: DateTime<Utc>,
}

/// `marks/<backup>/<kind>-<time>.json`: what was learnt of a backup after it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The backup.
    pub backup: BackupId,
    /// What about it.
    pub kind: MarkKind,
    /// When.
    pub at: DateTime<Utc>,
    /// The host and user that say so.
    pub by: String,
    /// Of a drill: what it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillCertificate>,
    /// Of a take-over: of what, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
}

/// That a machine has an instance from now on: in marks of the kind `takeover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The instance.
    pub instance: String,
    /// The word that the machine's configuration holds.
    pub holder: String,
}

/// What a test restore found: in marks of the kind `drill`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DrillCertificate {
    /// Whether the backup was restored and every check held.
    pub passed: bool,
    /// From the first byte restored to the last check.
    pub duration_milliseconds: u64,
    /// The server that it was restored into, as `server_version_num`; absent without a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<u32>,
    /// Tables whose rows were counted.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Foreign keys that the server checked.
    pub foreign_keys: u64,
    /// Regular files restored.
    pub files: u64,
    /// Bytes of the files.
    pub files_bytes: u64,
    /// Attachments that the database names and that were looked for.
    pub attachments: u64,
    /// Modules compared between sources and database.
    pub modules: u64,
    /// What did not hold, each naming the thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// What can be learnt of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// Somebody deleted it; its manifest may be gone.
    Deleted,
    /// All of its data was read and is what was written.
    Verified,
    /// It is not to be forgotten.
    Pin,
    /// It may be forgotten again.
    Unpin,
    /// It was restored for trial.
    Drill,
    /// Another machine goes on in the place of its instance.
    Takeover,
    /// A kind that a newer program wrote and this one does not know.
    #[serde(other)]
    Other,
}

impl MarkKind {
    /// The word in the mark's path.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Verified => "verified",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Drill => "drill",
            Self::Takeover => "takeover",
            Self::Other => "other",
        }
    }
}

/// `condemned/<time>-<id>.json`: packs that nothing needed when somebody looked, and that will be deleted if
/// nothing needs them when the time of grace is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemnation {
    /// Random.
    pub id: String,
    /// When that was seen. The grace is counted from here.
    pub at: DateTime<Utc>,
    /// The host and user that say so.
    pub by: String,
    /// The packs.
    pub packs: Vec<Digest256>,
}
