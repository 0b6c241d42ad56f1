//! The room that a repository has and takes.

use serde::Serialize;

use super::space::{Forecast, Level, forecast, level, usable_bytes};
use crate::config::space::SpaceSection;
use crate::error::Result;
use crate::format::path;
use crate::repository::Repository;
use crate::storage::Storage as _;

/// What `storage df` gives, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorageUse {
    /// Where the repository is.
    pub location: String,
    /// Bytes of all objects of the repository.
    pub repository_bytes: u64,
    /// Bytes of packs that nothing needs and that wait for the end of their grace.
    pub condemned_bytes: u64,
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
    /// How the room is by the configured marks, where there is a device.
    pub level: Option<Level>,
    /// What the last backups say of the time ahead.
    pub forecast: Option<Forecast>,
}

/// Asks the storage.
pub fn storage_use(repository: &Repository, marks: &SpaceSection) -> Result<StorageUse> {
    let storage = repository.storage();
    let objects = storage.list("")?;
    let condemned = repository.condemned()?;
    let space = storage.space()?;
    let backups = repository.backups()?.backups;
    let usable = space.as_ref().map(usable_bytes);
    let forecast = forecast(&backups, usable.unwrap_or(u64::MAX));
    Ok(StorageUse {
        location: storage.location(),
        repository_bytes: objects.iter().map(|object| object.bytes).sum(),
        condemned_bytes: objects
            .iter()
            .filter(|object| {
                path::parse_pack(&object.path).is_some_and(|pack| condemned.contains(&pack))
            })
            .map(|object| object.bytes)
            .sum(),
        backups: objects
            .iter()
            .filter(|object| path::parse_manifest(&object.path).is_some())
            .count() as u64,
        total_bytes: space.map(|space| space.total_bytes),
        used_bytes: space.map(|space| space.used_bytes),
        free_bytes: space.map(|space| space.free_bytes),
        free_inodes: space.and_then(|space| space.free_inodes),
        level: space.map(|space| level(&space, forecast.as_ref(), marks)),
        forecast: forecast.filter(|_| space.is_some()),
    })
}
