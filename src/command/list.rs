//! Which backups there are.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::error::Result;
use crate::format::manifest::{BackupId, BackupType, Part, Status};
use crate::format::record::{DrillCertificate, Mark, MarkKind};
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::glance::Rooms;

/// Which backups to list; everything by default.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only those of this instance.
    pub instance: Option<String>,
    /// Only those finished at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only those finished before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those of this type.
    pub backup_type: Option<BackupType>,
}

/// What `list` gives: the newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// The backups asked for.
    pub backups: Vec<BackupSummary>,
    /// Manifests that cannot be read, each with the reason.
    pub damaged: Vec<DamagedManifest>,
    /// Backups of other instances that were left out.
    pub other_instances: u64,
}

/// A manifest that cannot be read.
#[derive(Debug, Clone, Serialize)]
pub struct DamagedManifest {
    /// Its path in the repository.
    pub object: String,
    /// Why.
    pub problem: String,
}

/// One backup as programs see it: the same in `backup --json`, `list --json` and `show --json`.
#[derive(Debug, Clone, Serialize)]
pub struct BackupSummary {
    /// All 64 digits.
    pub id: BackupId,
    /// Why it was taken.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// Whether all of it is there.
    pub status: Status,
    /// Free text of whoever took it.
    pub label: Option<String>,
    /// Whether retention must keep it.
    pub pinned: bool,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When it was complete.
    pub finished_at: DateTime<Utc>,
    /// From start to finish.
    pub duration_seconds: f64,
    /// What it holds.
    pub contents: Vec<Part>,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Regular files.
    pub files: u64,
    /// Bytes of the files.
    pub files_bytes: u64,
    /// Files that were read; the others had not changed.
    pub files_read: u64,
    /// Plain bytes that were new to the repository.
    pub new_bytes: u64,
    /// Bytes that those take there.
    pub stored_bytes: u64,
    /// The instance's id.
    pub instance_id: String,
    /// The instance's name.
    pub instance: String,
    /// The host that it ran on.
    pub host: String,
    /// The version of Openbravo.
    pub openbravo_version: Option<String>,
    /// The version of the PostgreSQL server, like 15.18.
    pub postgresql_version: Option<String>,
    /// The backup that unchanged files were taken over from.
    pub parent: Option<BackupId>,
    /// What a person should know about it.
    pub warnings: Vec<String>,
    /// The last time that it was restored for trial.
    pub drill: Option<LastDrill>,
}

/// A test restore of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastDrill {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom, as `user@host`.
    pub by: String,
    /// What it found.
    #[serde(flatten)]
    pub certificate: DrillCertificate,
}

impl BackupSummary {
    /// With what was learnt of the backup since it was taken.
    #[must_use]
    pub fn with_marks(mut self, marks: &[Mark]) -> Self {
        let drills = marks.iter().filter(|mark| mark.kind == MarkKind::Drill);
        let last = drills.max_by_key(|mark| mark.at);
        self.drill = last.and_then(|mark| {
            Some(LastDrill {
                at: mark.at,
                by: mark.by.clone(),
                certificate: mark.drill.clone()?,
            })
        });
        self
    }
}

impl From<&Backup> for BackupSummary {
    fn from(backup: &Backup) -> Self {
        let manifest = &backup.manifest;
        let statistics = manifest.statistics;
        let duration = manifest.finished_at - manifest.started_at;
        let database = manifest.database.as_ref();
        Self {
            id: backup.id,
            backup_type: manifest.backup_type,
            status: manifest.status,
            label: manifest.label.clone(),
            pinned: manifest.pinned,
            started_at: manifest.started_at,
            finished_at: manifest.finished_at,
            duration_seconds: duration.as_seconds_f64(),
            contents: database
                .map(|_| Part::Database)
                .into_iter()
                .chain(manifest.files.iter().map(|files| files.part))
                .collect(),
            database_bytes: statistics.database_bytes,
            files: statistics.files,
            files_bytes: statistics.files_bytes,
            files_read: statistics.files_read,
            new_bytes: statistics.new_bytes,
            stored_bytes: statistics.stored_bytes,
            instance_id: manifest.instance.id.clone(),
            instance: manifest.instance.name.clone(),
            host: manifest.instance.host.clone(),
            openbravo_version: manifest.instance.openbravo_version.clone(),
            postgresql_version: database.map(|database| server_version(database.server_version)),
            parent: manifest.parent,
            warnings: manifest.warnings.clone(),
            drill: None,
        }
    }
}

/// `server_version_num` as people write it: 150018 is 15.18.
pub fn server_version(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

/// The backups that `options` asks for.
pub fn list(repository: &Repository, options: &ListOptions) -> Result<Listing> {
    let repository = repository.glance(Rooms::Small)?;
    let found = repository.backups()?;
    let marks = repository.marks()?;
    let pins = repository.pins()?;
    let mut other_instances = 0;
    let mut backups = Vec::new();
    for backup in &found.backups {
        let manifest = &backup.manifest;
        if options
            .instance
            .as_ref()
            .is_some_and(|id| *id != manifest.instance.id)
        {
            other_instances += 1;
            continue;
        }
        let at = manifest.finished_at;
        if options.from.is_none_or(|from| at >= from)
            && options.until.is_none_or(|until| at < until)
            && options
                .backup_type
                .is_none_or(|asked| asked == manifest.backup_type)
        {
            let marks = marks.get(&backup.id).map_or(&[][..], Vec::as_slice);
            backups.push(BackupSummary {
                pinned: pins.is_pinned(backup),
                ..BackupSummary::from(backup).with_marks(marks)
            });
        }
    }
    let damaged = found
        .damaged
        .into_iter()
        .map(|(object, problem)| DamagedManifest { object, problem })
        .collect();
    Ok(Listing {
        backups,
        damaged,
        other_instances,
    })
}
