//! What a repository holds, and what of it any backup needs.
//!
//! Memory grows with the number of chunks alone: their places, and eight bytes for each that is needed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Repository;
use super::backups::Backups;
use super::chunk_set::ChunkSet;
use super::chunks::{Indexes, Place};
use super::condemned::Condemned;
use super::reader::Reader;
use super::references::for_each_piece;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::index::PackContent;
use crate::format::path;
use crate::progress::Progress;

/// One look at everything.
pub struct Survey {
    /// All packs, by what they are called.
    pub packs: HashMap<Digest256, PackUse>,
    /// What the indexes say, and the packs that none of them describes.
    pub indexes: Indexes,
    /// Packs that no index describes, by their own tables of contents.
    pub unindexed: Vec<PackContent>,
    needed: ChunkSet,
}

/// How much of a pack is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackUse {
    /// The length of the object.
    pub bytes: u64,
    /// Stored bytes of those chunks that are needed and have no better place.
    pub needed_bytes: u64,
    /// Whether nobody knows what it holds, and something is missing that it could hold.
    pub is_unclear: bool,
}

impl PackUse {
    /// Whether it can go.
    pub fn is_needed(&self) -> bool {
        self.needed_bytes > 0 || self.is_unclear
    }

    /// How much of it is not needed.
    pub fn waste_percent(&self) -> u64 {
        let waste = self.bytes.saturating_sub(self.needed_bytes);
        waste.saturating_mul(100) / self.bytes.max(1)
    }
}

impl Repository {
    /// Looks at all manifests, catalogs, indexes and packs. `Damaged` when one of the first three cannot be read:
    /// what those need is unknown.
    pub fn survey(&self, condemned: &Condemned, progress: &dyn Progress) -> Result<Survey> {
        // The packs after the manifests, in the order of a glance too: what these need was there before, and what a writer
        // adds meanwhile is only found to be unneeded, which condemns it and no more.
        let found = self.backups()?;
        let mut indexes = self.read_indexes()?;
        if let Some((object, reason)) = found.damaged.iter().chain(&indexes.damaged).next() {
            return Err(unsafe_now(&format!("`{object}` cannot be read: {reason}")));
        }
        let listed = self.room(path::PACKS)?;
        // Packs without an index are what an interrupted backup left, or their index was lost.
        let unindexed = self.recover_packs(&indexes.chunks, &listed)?;
        for content in &unindexed {
            indexes.chunks.add(content);
        }
        let chunks = Arc::new(std::mem::take(&mut indexes.chunks));
        let needed = needed(&found, &self.reader_of(chunks.clone()), progress)?;
        indexes.chunks = Arc::unwrap_or_clone(chunks);
        let mut packs: HashMap<Digest256, PackUse> = listed
            .iter()
            .filter_map(|object| {
                let bytes = object.bytes;
                let pack = PackUse {
                    bytes,
                    ..PackUse::default()
                };
                Some((path::parse_pack(&object.path)?, pack))
            })
            .collect();
        let known: HashMap<_, _> = indexes.chunks.packs().iter().copied().collect();
        let whole: HashSet<Digest256> = packs
            .iter()
            .filter(|(id, pack)| known.get(id) == Some(&pack.bytes))
            .map(|(id, _)| *id)
            .collect();
        let mut placed = 0_usize;
        indexes.chunks.each(|id, places| {
            if needed.contains(id)
                && let Some((pack, place)) = keeper(places, &whole, condemned)
                && let Some(pack) = packs.get_mut(&pack)
            {
                placed += 1;
                pack.needed_bytes += place.range().end - place.range().start;
            }
        });
        // A chunk that is needed and nowhere may lie in a pack that cannot be read.
        if placed < needed.len() {
            for (id, pack) in &mut packs {
                pack.is_unclear = !whole.contains(id);
            }
        }
        Ok(Survey {
            packs,
            indexes,
            unindexed,
            needed,
        })
    }
}

fn needed(found: &Backups, reader: &Reader, progress: &dyn Progress) -> Result<ChunkSet> {
    let mut needed = ChunkSet::default();
    for backup in &found.backups {
        progress.check()?;
        let mut problem = None;
        for_each_piece(
            &backup.manifest,
            reader,
            &mut |piece| {
                for id in piece.chunks {
                    needed.insert(id);
                }
            },
            &mut |part, error| {
                let what = format!("the catalog of the {part} of backup {}", backup.id.short());
                problem.get_or_insert(match error.kind() {
                    ErrorKind::Damaged => unsafe_now(&format!("{what} cannot be read: {error}")),
                    _ => error.context(what),
                });
            },
        );
        if let Some(problem) = problem {
            return Err(problem);
        }
    }
    Ok(needed)
}

impl Survey {
    /// Whether any backup needs the chunk.
    pub fn needs(&self, id: &ChunkId) -> bool {
        self.needed.contains(id)
    }

    /// Those among `packs` that can go without a loss: of each chunk that is needed, some other pack has it, and
    /// has it right. The other copy is read, for an index can promise what a device has lost.
    pub fn replaceable(
        &self,
        repository: &Repository,
        packs: &HashSet<Digest256>,
        progress: &dyn Progress,
    ) -> Result<HashSet<Digest256>> {
        let mut doubtful: Vec<(ChunkId, Vec<(Digest256, Place)>)> = Vec::new();
        self.indexes.chunks.each(|id, places| {
            let concerned = places.iter().any(|(pack, _)| packs.contains(pack));
            if concerned && self.needs(id) {
                doubtful.push((*id, places.to_vec()));
            }
        });
        let mut replaceable = packs.clone();
        for (id, places) in doubtful {
            progress.check()?;
            let mut is_proven = false;
            for (pack, place) in places.iter().filter(|(pack, _)| !packs.contains(pack)) {
                match repository.read_chunk(&id, pack, place) {
                    Ok(_) => is_proven = true,
                    Err(error) if error.kind() == ErrorKind::Damaged => continue,
                    Err(error) => return Err(error),
                }
                break;
            }
            if !is_proven {
                for (pack, _) in &places {
                    replaceable.remove(pack);
                }
            }
        }
        Ok(replaceable)
    }
}

/// The one place of a chunk that counts: in a pack that is whole, and rather in one that is not condemned.
fn keeper(
    places: &[(Digest256, Place)],
    whole: &HashSet<Digest256>,
    condemned: &Condemned,
) -> Option<(Digest256, Place)> {
    let mut fitting = places.iter().filter(|(pack, _)| whole.contains(pack));
    let first = fitting.clone().next();
    fitting
        .find(|(pack, _)| !condemned.contains(pack))
        .or(first)
        .copied()
}

fn unsafe_now(reason: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("no room was given back: {reason}"),
    )
    .hint("Run `obbackup verify --read-data` and delete the backups that it names as lost.")
}
