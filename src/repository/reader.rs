//! Reading chunks back.

use std::sync::{PoisonError, RwLock};

use super::Repository;
use super::chunks::{ChunkMap, Place};
use crate::chunk::ChunkSource;
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::path;

/// Finds and proves chunks; shared by all threads of a restore.
pub struct Reader {
    repository: Repository,
    state: RwLock<State>,
}

struct State {
    chunks: ChunkMap,
    /// Whether packs that no index describes were looked through already.
    recovered: bool,
}

impl Repository {
    /// Reads the indexes; a damaged or missing one costs time later, not data.
    pub fn reader(&self) -> Result<Reader> {
        let chunks = self.read_indexes()?.chunks;
        Ok(Reader {
            repository: self.clone(),
            state: RwLock::new(State {
                chunks,
                recovered: false,
            }),
        })
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
        let path = path::pack(pack);
        let stored = self.storage().read_range(&path, place.range());
        let stored = stored.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(
                ErrorKind::Damaged,
                format!("pack `{path}` is missing, and chunk {id} with it"),
            ),
            _ => error,
        })?;
        codec::decode(id, place.codec(), &stored, place.plain_bytes())
            .map_err(|error| error.context(format!("pack `{path}`")))
    }
}

impl Reader {
    /// Every place of the chunk, at least one.
    fn find(&self, id: &ChunkId) -> Result<Vec<(Digest256, Place)>> {
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let found: Vec<_> = state.chunks.all(id).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.recovered {
            let listed = self.repository.storage().list(path::PACKS)?;
            for content in self.repository.recover_packs(&state.chunks, &listed)? {
                state.chunks.add(&content);
            }
            state.recovered = true;
        }
        let found: Vec<_> = state.chunks.all(id).collect();
        if found.is_empty() {
            let location = self.repository.storage().location();
            let message = format!("chunk {id} is in no pack of `{location}`");
            return Err(Error::new(ErrorKind::Damaged, message).hint(VERIFY_HINT));
        }
        Ok(found)
    }
}

const VERIFY_HINT: &str =
    "Run `obbackup verify --read-data`: it names what is damaged and which backups are not.";

impl ChunkSource for Reader {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        let mut first = None;
        for (pack, place) in self.find(id)? {
            match self.repository.read_chunk(id, &pack, &place) {
                // Another pack may hold it whole.
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    first.get_or_insert(error);
                }
                result => return result,
            }
        }
        let error =
            first.unwrap_or_else(|| Error::new(ErrorKind::Damaged, format!("no chunk {id}")));
        Err(error.hint(VERIFY_HINT))
    }
}
