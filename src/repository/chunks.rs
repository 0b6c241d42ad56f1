//! Which chunk lies where: all indexes of a repository, joined in memory.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::condemned::Condemned;
use super::{Repository, fetch};
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::index::{ChunkPlace, Index, PackContent};
use crate::format::{pack, path};
use crate::storage::Object;

/// Read first when looking for a pack's table of contents: enough for nearly every one.
const TOC_TAIL_BYTES: u64 = 64 << 10;

/// So many indexes are in memory at the same time, twice as many as are read at once.
const INDEXES_AT_ONCE: usize = 16;

/// Where one chunk lies. Small, because there is one for every chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pack: u32,
    stored_bytes: u32,
    plain_bytes: u32,
    codec: Codec,
    offset: u64,
}

impl Place {
    /// The stretch of the pack that holds the stored chunk.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + u64::from(self.stored_bytes)
    }

    /// How it is stored.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bytes of the plain chunk.
    pub fn plain_bytes(&self) -> u64 {
        u64::from(self.plain_bytes)
    }
}

/// All known chunks.
#[derive(Clone, Default)]
pub struct ChunkMap {
    packs: Vec<(Digest256, u64)>,
    /// No hash table: that is there twice whenever it grows, and stays half empty then.
    places: BTreeMap<ChunkId, Place>,
    /// Further places of a chunk: it was stored again because a pack was damaged, or by two writers.
    spares: HashMap<ChunkId, Vec<Place>>,
}

impl ChunkMap {
    /// Adds what a pack holds. A chunk that is known already keeps its first place.
    pub fn add(&mut self, content: &PackContent) {
        let Ok(pack) = u32::try_from(self.packs.len()) else {
            return;
        };
        self.packs.push((content.id, content.bytes));
        for ChunkPlace {
            id,
            codec,
            offset,
            stored_bytes,
            plain_bytes,
        } in &content.chunks
        {
            // Chunks are a few MiB at the most; an index that says otherwise is wrong about this one.
            let (Ok(stored_bytes), Ok(plain_bytes)) =
                (u32::try_from(*stored_bytes), u32::try_from(*plain_bytes))
            else {
                continue;
            };
            let place = Place {
                pack,
                stored_bytes,
                plain_bytes,
                codec: *codec,
                offset: *offset,
            };
            match self.places.entry(*id) {
                Entry::Vacant(vacant) => {
                    vacant.insert(place);
                }
                Entry::Occupied(_) => self.spares.entry(*id).or_default().push(place),
            }
        }
    }

    /// Where the chunk lies: the pack, and the place in it.
    pub fn get(&self, id: &ChunkId) -> Option<(Digest256, Place)> {
        self.all(id).next()
    }

    /// Every place where the chunk lies.
    pub fn all(&self, id: &ChunkId) -> impl Iterator<Item = (Digest256, Place)> {
        let spares = self.spares.get(id).into_iter().flatten();
        self.places
            .get(id)
            .into_iter()
            .chain(spares)
            .filter_map(|place| {
                let (pack, _) = self.packs.get(place.pack as usize)?;
                Some((*pack, *place))
            })
    }

    /// Whether the chunk is known.
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.places.contains_key(id)
    }

    /// The length in bytes of the pack that a place of this map lies in.
    pub fn pack_bytes(&self, place: &Place) -> u64 {
        self.packs
            .get(place.pack as usize)
            .map_or(0, |(_, bytes)| *bytes)
    }

    /// The known packs and their lengths in bytes.
    pub fn packs(&self) -> &[(Digest256, u64)] {
        &self.packs
    }

    /// Which packs are among `present` with the length that they should have, by their number here.
    fn sound(&self, present: &[Object]) -> Vec<bool> {
        let present: HashMap<Digest256, u64> = present
            .iter()
            .filter_map(|object| Some((path::parse_pack(&object.path)?, object.bytes)))
            .collect();
        self.packs
            .iter()
            .map(|(id, bytes)| present.get(id) == Some(bytes))
            .collect()
    }

    /// Where a chunk has several places, puts one whose pack is present first.
    pub fn prefer_present(&mut self, present: &[Object]) {
        let sound = self.sound(present);
        self.prefer(&sound);
    }

    fn prefer(&mut self, sound: &[bool]) {
        let is_sound = |place: &Place| sound.get(place.pack as usize) == Some(&true);
        for (id, spares) in &mut self.spares {
            if let Some(place) = self.places.get_mut(id)
                && !is_sound(place)
                && let Some(spare) = spares.iter_mut().find(|spare| is_sound(spare))
            {
                std::mem::swap(place, spare);
            }
        }
    }

    /// Forgets every chunk that has no place in a pack among `present` that is not condemned.
    pub fn keep_usable(&mut self, present: &[Object], condemned: &Condemned) {
        let mut usable = self.sound(present);
        for (usable, (id, _)) in usable.iter_mut().zip(&self.packs) {
            *usable &= !condemned.contains(id);
        }
        self.prefer(&usable);
        self.places
            .retain(|_, place| usable.get(place.pack as usize) == Some(&true));
    }

    /// The number of the pack that holds the chunk, in the order of [`ChunkMap::packs`].
    pub fn pack_number(&self, id: &ChunkId) -> Option<usize> {
        self.places.get(id).map(|place| place.pack as usize)
    }

    /// Every chunk with all of its places.
    pub fn each(&self, mut visit: impl FnMut(&ChunkId, &[(Digest256, Place)])) {
        let mut places = Vec::new();
        for id in self.places.keys() {
            places.clear();
            places.extend(self.all(id));
            visit(id, &places);
        }
    }
}

/// All indexes of a repository, and what is wrong with them.
pub struct Indexes {
    /// What they say together.
    pub chunks: ChunkMap,
    /// The index objects that could be read.
    pub sound: Vec<Digest256>,
    /// Those that could not, and why.
    pub damaged: Vec<(String, String)>,
    /// Those that others took over.
    pub superseded: HashSet<Digest256>,
}

impl Indexes {
    fn take(&mut self, id: Digest256, read: Result<Index>) -> Result<()> {
        match read {
            Ok(index) => {
                index.packs.iter().for_each(|pack| self.chunks.add(pack));
                self.superseded.extend(index.supersedes);
                self.sound.push(id);
            }
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => {
                self.damaged.push((path::index(&id), error.to_string()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Repository {
    /// Reads all indexes. A damaged one is reported in the result and is no error: what it said stands in
    /// the packs too.
    pub fn read_indexes(&self) -> Result<Indexes> {
        let mut indexes = Indexes {
            chunks: ChunkMap::default(),
            sound: Vec::new(),
            damaged: Vec::new(),
            superseded: HashSet::new(),
        };
        let listed = self.room(path::INDEXES)?;
        let ids: Vec<Digest256> = listed
            .iter()
            .filter_map(|object| path::parse_index(&object.path))
            .collect();
        // A few at a time: they take several times the room of what is kept of them.
        for ids in ids.chunks(INDEXES_AT_ONCE) {
            let read = self.each(ids, |id| {
                self.read_proven(&path::index(id), |bytes| Index::decode(id, bytes))
            });
            for (id, read) in ids.iter().zip(read) {
                indexes.take(*id, read)?;
            }
        }
        Ok(indexes)
    }

    /// Reads the table of contents of every listed pack that `known` does not have: how chunks are found
    /// whose index was lost. Packs without a readable one are left out.
    pub fn recover_packs(&self, known: &ChunkMap, listed: &[Object]) -> Result<Vec<PackContent>> {
        let known: HashSet<_> = known.packs().iter().map(|(id, _)| *id).collect();
        let unknown: Vec<(Digest256, u64)> = listed
            .iter()
            .filter_map(|object| Some((path::parse_pack(&object.path)?, object.bytes)))
            .filter(|(id, _)| !known.contains(id))
            .collect();
        let mut found = Vec::new();
        for read in self.each(&unknown, |(id, bytes)| self.read_toc(*id, *bytes)) {
            match read {
                Ok(content) => found.push(content),
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// A whole pack, proven to be what its name says, and what it holds. `Damaged` where it is gone or is not.
    pub fn read_pack_whole(&self, id: &Digest256) -> Result<(PackContent, Vec<u8>)> {
        let damaged = |reason: String| Error::new(ErrorKind::Damaged, reason);
        let bytes = fetch::proven(&*self.storage, || {
            let bytes = self.storage.read(&path::pack(id))?;
            let actual = Digest256::of(&bytes);
            if actual == *id {
                return Ok(bytes);
            }
            Err(damaged(format!(
                "its bytes have the SHA-256 {actual}, not that of its name"
            )))
        })
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => error.with_kind(ErrorKind::Damaged),
            _ => error,
        })?;
        let content = pack::parse_toc(*id, bytes.len() as u64, &bytes)?
            .ok_or_else(|| damaged("it has no table of contents".to_owned()))?;
        Ok((content, bytes))
    }

    /// What a pack says of itself.
    pub(super) fn read_toc(&self, id: Digest256, bytes: u64) -> Result<PackContent> {
        let path = path::pack(&id);
        let start = bytes.saturating_sub(TOC_TAIL_BYTES);
        let tail = self.storage.read_range(&path, start..bytes)?;
        if let Some(content) = pack::parse_toc(id, bytes, &tail)? {
            return Ok(content);
        }
        let whole = self.storage.read(&path)?;
        pack::parse_toc(id, bytes, &whole)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("pack {id} has no table of contents"),
            )
        })
    }
}
