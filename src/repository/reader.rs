//! Reading chunks back.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use super::Repository;
use super::ahead::{Ahead, stretches};
use super::chunks::{ChunkMap, Place};
use super::fetch;
use crate::chunk::ChunkSource;
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::path;

/// Finds and proves chunks; shared by all threads of a restore.
pub struct Reader {
    repository: Repository,
    state: RwLock<State>,
    /// Where each request costs a round trip.
    ahead: Option<Ahead>,
}

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its pack.
    pub pack: Digest256,
    /// That pack's length in bytes.
    pub pack_bytes: u64,
    /// Bytes of the chunk in it.
    pub stored_bytes: u64,
}

/// One place of a chunk, with what its pack is.
struct Found {
    pack: Digest256,
    pack_bytes: u64,
    place: Place,
}

struct State {
    chunks: Arc<ChunkMap>,
    /// Whether packs that no index describes were looked through already.
    recovered: bool,
}

impl Repository {
    /// Reads the indexes; a damaged or missing one costs time later, not data.
    pub fn reader(&self) -> Result<Reader> {
        Ok(self.reader_of(Arc::new(self.read_indexes()?.chunks)))
    }

    /// A reader that finds chunks where `chunks` says.
    pub(super) fn reader_of(&self, chunks: Arc<ChunkMap>) -> Reader {
        Reader {
            repository: self.clone(),
            state: RwLock::new(State {
                chunks,
                recovered: false,
            }),
            ahead: self.storage.is_remote().then(Ahead::default),
        }
    }
}

impl Repository {
    /// The chunk as it lies in that place, proven; `Damaged` where it is not right there.
    pub(super) fn read_chunk(
        &self,
        id: &ChunkId,
        pack: &Digest256,
        place: &Place,
    ) -> Result<Vec<u8>> {
        fetch::proven(&**self.storage(), || {
            prove(id, pack, place, &self.read_stored(id, pack, place.range())?)
        })
    }

    fn read_stored(&self, id: &ChunkId, pack: &Digest256, range: Range<u64>) -> Result<Vec<u8>> {
        let path = path::pack(pack);
        let stored = self.storage().read_range(&path, range);
        stored.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(
                ErrorKind::Damaged,
                format!("pack `{path}` is missing, and chunk {id} with it"),
            ),
            _ => error,
        })
    }
}

fn prove(id: &ChunkId, pack: &Digest256, place: &Place, stored: &[u8]) -> Result<Vec<u8>> {
    codec::decode(id, place.codec(), stored, place.plain_bytes())
        .map_err(|error| error.context(format!("pack `{}`", path::pack(pack))))
}

impl Reader {
    /// Fetches chunks that are about to be read, those that lie close together at once, and several such stretches at
    /// the same time; where each request costs a round trip, and as far as there is room to hold them. What cannot be
    /// had is read, and told of, when it is needed.
    pub fn fetch_ahead(&self, ids: &[ChunkId]) {
        let Some(ahead) = &self.ahead else {
            return;
        };
        let places: Vec<_> = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let place = |id| {
                state
                    .chunks
                    .get(id)
                    .map(|(pack, place)| (pack, place.range()))
            };
            ids.iter().filter_map(place).collect()
        };
        let Some(any) = ids.first() else {
            return;
        };
        self.repository.each(&stretches(places), |(pack, range)| {
            let bytes = self.repository.read_stored(any, pack, range.clone())?;
            ahead.hold(*pack, range.clone(), bytes);
            Ok(())
        });
    }

    /// Stored bytes of the chunk, where it is known.
    pub fn stored_bytes(&self, id: &ChunkId) -> Option<u64> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (_, place) = state.chunks.get(id)?;
        Some(place.range().end - place.range().start)
    }

    /// Where the chunk lies first.
    pub fn place(&self, id: &ChunkId) -> Result<Placed> {
        let found = self.find(id)?;
        let first = found.first().ok_or_else(|| lost(id))?;
        let range = first.place.range();
        Ok(Placed {
            pack: first.pack,
            pack_bytes: first.pack_bytes,
            stored_bytes: range.end - range.start,
        })
    }

    /// Every place of the chunk, at least one.
    fn find(&self, id: &ChunkId) -> Result<Vec<Found>> {
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let found = state.find(id);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.recovered {
            let listed = self.repository.storage().list(path::PACKS)?;
            for content in self.repository.recover_packs(&state.chunks, &listed)? {
                Arc::make_mut(&mut state.chunks).add(&content);
            }
            state.recovered = true;
        }
        let found = state.find(id);
        if found.is_empty() {
            let location = self.repository.storage().location();
            let message = format!("chunk {id} is in no pack of `{location}`");
            return Err(Error::new(ErrorKind::Damaged, message).hint(VERIFY_HINT));
        }
        Ok(found)
    }

    fn read(&self, id: &ChunkId, found: &Found) -> Result<Vec<u8>> {
        let Found {
            pack,
            pack_bytes,
            place,
        } = found;
        let Some(ahead) = &self.ahead else {
            return self.repository.read_chunk(id, pack, place);
        };
        let stored = ahead.read(*pack, *pack_bytes, &place.range(), |range| {
            self.repository.read_stored(id, pack, range)
        });
        match stored.and_then(|stored| prove(id, pack, place, &stored)) {
            // A bit may have flipped on the way: again, and this chunk alone.
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.repository.read_chunk(id, pack, place)
            }
            result => result,
        }
    }
}

impl State {
    fn find(&self, id: &ChunkId) -> Vec<Found> {
        let found = self.chunks.all(id).map(|(pack, place)| Found {
            pack,
            pack_bytes: self.chunks.pack_bytes(&place),
            place,
        });
        found.collect()
    }
}

fn lost(id: &ChunkId) -> Error {
    Error::new(ErrorKind::Damaged, format!("no chunk {id}"))
}

const VERIFY_HINT: &str =
    "Run `obbackup verify --read-data`: it names what is damaged and which backups are not.";

impl ChunkSource for Reader {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        let mut first = None;
        for found in self.find(id)? {
            match self.read(id, &found) {
                // Another pack may hold it whole.
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    first.get_or_insert(error);
                }
                result => return result,
            }
        }
        Err(first.unwrap_or_else(|| lost(id)).hint(VERIFY_HINT))
    }
}
