//! Pinning a backup, and taking the pin away.

use super::list::BackupSummary;
use crate::error::Result;
use crate::repository::Repository;
use crate::repository::backups::Backup;

/// Pins `backup`, or takes its pin away, and says how it stands then.
pub fn set_pin(repository: &Repository, backup: &Backup, pinned: bool) -> Result<BackupSummary> {
    repository.set_pin(backup, pinned)?;
    Ok(BackupSummary {
        pinned,
        ..BackupSummary::from(backup)
    })
}
