//! Taking a backup out of existence, and giving back the room that only it needed.

use chrono::Utc;
use serde::Serialize;

use super::tenant;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::random_id;
use crate::format::manifest::BackupId;
use crate::format::record::{LeaseMode, Run};
use crate::instance::Instance;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;

/// What `delete` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The backup.
    pub id: BackupId,
    /// Bytes given back.
    pub freed_bytes: u64,
    /// Packs removed.
    pub packs: u64,
}

/// `Denied` where `instance` may not delete `backup`: it is another instance's, or was taken over.
pub fn check(repository: &Repository, backup: &Backup, instance: &Instance) -> Result<()> {
    let of = &backup.manifest.instance;
    if of.id != instance.id {
        return Err(Error::new(
            ErrorKind::Denied,
            format!(
                "backup {} is of another instance, {} on {}",
                backup.id.short(),
                of.name,
                of.host
            ),
        )
        .hint("Delete it from there; or obbackup init --take-over, if this machine goes on in its place."));
    }
    repository.check_tenure(tenant(instance))
}

/// Deletes `backup`, and the packs that no other backup refers to.
pub fn delete(
    repository: &Repository,
    backup: &Backup,
    progress: &dyn Progress,
) -> Result<Deleted> {
    let started_at = Utc::now();
    let instance = &backup.manifest.instance.id;
    let lock = repository.lock(LeaseMode::Exclusive, instance, "delete")?;
    progress.stage("delete", None);
    repository.delete_backup(backup, &lock)?;
    let swept = repository.sweep(&lock, progress)?;
    repository.record(&Run {
        id: random_id(8)?,
        command: "delete".to_owned(),
        instance: instance.clone(),
        backup_type: None,
        started_at,
        finished_at: Utc::now(),
        backup: Some(backup.id),
        backup_finished_at: Some(backup.manifest.finished_at),
        outcome: "ok".to_owned(),
        message: None,
    })?;
    Ok(Deleted {
        id: backup.id,
        freed_bytes: swept.freed_bytes + backup.manifest_bytes,
        packs: swept.packs,
    })
}
