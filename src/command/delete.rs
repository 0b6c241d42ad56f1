//! Taking a backup out of existence, and giving back the room that only it needed.

use chrono::{TimeDelta, Utc};
use serde::Serialize;

use crate::config::retention::RetentionSection;
use crate::error::Result;
use crate::format::id::random_id;
use crate::format::manifest::BackupId;
use crate::format::record::{LeaseMode, Run};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::identity::Worker;
use crate::repository::prune::PruneOptions;

/// What `delete` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The backup.
    pub id: BackupId,
    /// Bytes given back.
    pub freed_bytes: u64,
    /// Packs removed.
    pub packs: u64,
    /// Bytes that `prune` gives back when the grace is over.
    pub condemned_bytes: u64,
    /// What could not be done, each with the reason.
    pub notes: Vec<String>,
}

/// Deletes `backup`, and the packs that no other backup refers to: at once where every lease is surely seen, so that
/// the exclusive one is all the safety that is needed; elsewhere they are condemned, and `prune` deletes them later.
pub fn delete(
    repository: &Repository,
    backup: &Backup,
    progress: &dyn Progress,
) -> Result<Deleted> {
    repository.until_stopped(progress, || {
        let started_at = Utc::now();
        let instance = &backup.manifest.instance.id;
        repository.storage().release_reserve()?;
        let lock = repository.lock(LeaseMode::Exclusive, instance, "delete")?;
        progress.stage("delete", None);
        repository.delete_backup(backup, &lock)?;
        let options = PruneOptions {
            grace: if repository.storage().shows_every_lease() {
                TimeDelta::zero()
            } else {
                RetentionSection::default().grace()
            },
            repack_above_percent: 100,
            now: Utc::now(),
        };
        let left = repository.storage().clear_remains()?;
        let pruned = repository.prune(&lock, &options, progress)?;
        let host = &Worker::this().host;
        repository.record(&Run {
            backup: Some(backup.id),
            backup_finished_at: Some(backup.manifest.finished_at),
            ..Run::ended(random_id(8)?, "delete", instance, host, started_at)
        })?;
        repository.storage().hold_reserve()?;
        Ok(Deleted {
            id: backup.id,
            freed_bytes: pruned.freed_bytes + backup.manifest_bytes + left,
            packs: pruned.freed_packs,
            condemned_bytes: pruned.condemned_bytes,
            notes: pruned.notes,
        })
    })
}
