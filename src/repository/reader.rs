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

impl Reader {
    fn find(&self, id: &ChunkId) -> Result<(Digest256, Place)> {
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = state.chunks.get(id) {
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
        state.chunks.get(id).ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!(
                    "chunk {id} is in no pack of `{}`",
                    self.repository.storage().location()
                ),
            )
            .hint(VERIFY_HINT)
        })
    }

    /// Bytes that the chunk takes in its pack, where it is known.
    pub fn stored_bytes(&self, id: &ChunkId) -> Option<u64> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let range = state.chunks.get(id)?.1.range();
        Some(range.end - range.start)
    }
}

const VERIFY_HINT: &str =
    "Run `obbackup verify --read-data`: it names what is damaged and which backups are not.";

impl ChunkSource for Reader {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        let (pack, place) = self.find(id)?;
        let path = path::pack(&pack);
        let stored = self
            .repository
            .storage()
            .read_range(&path, place.range())
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::new(
                    ErrorKind::Damaged,
                    format!("pack `{path}` is missing, and chunk {id} with it"),
                )
                .hint(VERIFY_HINT),
                ErrorKind::Damaged => error.hint(VERIFY_HINT),
                _ => error,
            })?;
        codec::decode(id, place.codec(), &stored, place.plain_bytes())
            .map_err(|error| error.context(format!("pack `{path}`")).hint(VERIFY_HINT))
    }
}
