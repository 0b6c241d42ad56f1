//! The room that a repository has and takes.

use serde::Serialize;

use crate::error::Result;
use crate::repository::Repository;

/// What `storage df` gives, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorageUse {
    /// Where the repository is.
    pub location: String,
    /// Bytes of all objects of the repository.
    pub repository_bytes: u64,
    /// Number of backups.
    pub backups: u64,
    /// The device's size, where there is a device.
    pub total_bytes: Option<u64>,
    /// What is used on it.
    pub used_bytes: Option<u64>,
    /// What this user can still write.
    pub free_bytes: Option<u64>,
    /// Files that can still be made.
    pub free_inodes: Option<u64>,
}

/// Asks the storage.
pub fn storage_use(repository: &Repository) -> Result<StorageUse> {
    let storage = repository.storage();
    let objects = storage.list("")?;
    let space = storage.space()?;
    Ok(StorageUse {
        location: storage.location(),
        repository_bytes: objects.iter().map(|object| object.bytes).sum(),
        backups: objects
            .iter()
            .filter(|object| crate::format::path::parse_manifest(&object.path).is_some())
            .count() as u64,
        total_bytes: space.map(|space| space.total_bytes),
        used_bytes: space.map(|space| space.used_bytes),
        free_bytes: space.map(|space| space.free_bytes),
        free_inodes: space.and_then(|space| space.free_inodes),
    })
}
