//! Removing packs that no backup refers to any more.
//!
//! The caller holds the exclusive lease, so nobody is adding. The order is the opposite of writing: the
//! new index first, which leaves the packs out; then the old indexes; then the packs. Whenever it stops,
//! everything that an index describes is there.

use std::collections::HashSet;

use super::Repository;
use super::lock::Lock;
use super::references::for_each_piece;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::Digest256;
use crate::format::index::Index;
use crate::format::path;
use crate::progress::Progress;
use crate::storage::Storage as _;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Packs.
    pub packs: u64,
    /// Their bytes.
    pub freed_bytes: u64,
}

impl Repository {
    /// Removes whole packs that nothing needs. Stops without removing anything when a manifest, a catalog or an
    /// index cannot be read: what those need is unknown.
    pub fn sweep(&self, lock: &Lock, progress: &dyn Progress) -> Result<Swept> {
        let found = self.backups()?;
        let indexes = self.read_indexes()?;
        if let Some((object, reason)) = found.damaged.iter().chain(&indexes.damaged).next() {
            return Err(unsafe_now(&format!("`{object}` cannot be read: {reason}")));
        }
        let reader = self.reader()?;
        let mut needed: HashSet<Digest256> = HashSet::new();
        for backup in &found.backups {
            progress.check()?;
            let mut problem = None;
            for_each_piece(
                &backup.manifest,
                &reader,
                &mut |piece| {
                    for id in piece.chunks {
                        needed.extend(indexes.chunks.all(id).map(|(pack, _)| pack));
                    }
                },
                &mut |part, error| {
                    problem.get_or_insert(format!(
                        "the catalog of the {part} of backup {} cannot be read: {error}",
                        backup.id.short()
                    ));
                },
            );
            if let Some(problem) = problem {
                return Err(unsafe_now(&problem));
            }
        }
        // Packs without an index are what an interrupted backup left: nothing can refer to them, since the
        // manifest comes after the index.
        let listed = self.storage().list(path::PACKS)?;
        let unneeded: Vec<_> = listed
            .iter()
            .filter(|object| path::parse_pack(&object.path).is_some_and(|id| !needed.contains(&id)))
            .collect();
        if unneeded.is_empty() {
            return Ok(Swept::default());
        }
        let mut kept: Vec<_> = Vec::new();
        for id in &indexes.sound {
            let index = self.read_proven(&path::index(id), |bytes| Index::decode(id, bytes))?;
            kept.extend(
                index
                    .packs
                    .into_iter()
                    .filter(|pack| needed.contains(&pack.id)),
            );
        }
        kept.sort_by_key(|pack| pack.id);
        kept.dedup_by_key(|pack| pack.id);
        let supersedes = indexes
            .sound
            .iter()
            .copied()
            .chain(indexes.superseded.iter().copied());
        let mut supersedes: Vec<_> = supersedes.collect();
        supersedes.sort_unstable();
        let (index_id, bytes) = Index {
            supersedes,
            packs: kept,
        }
        .encode()?;
        lock.check()?;
        self.storage().create(&path::index(&index_id), &bytes)?;
        for id in indexes.sound.iter().filter(|id| **id != index_id) {
            self.storage().delete(&path::index(id))?;
        }
        let mut swept = Swept::default();
        for object in unneeded {
            lock.check()?;
            self.storage().delete(&object.path)?;
            swept.packs += 1;
            swept.freed_bytes += object.bytes;
        }
        Ok(swept)
    }
}

fn unsafe_now(reason: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("no room was given back: {reason}"),
    )
    .hint("Run `obbackup verify --read-data` and delete the backups that it names as lost.")
}
