//! Chunks in memory, for tests of what makes or takes them.

use std::collections::HashMap;
use std::sync::Mutex;

use obbackup::chunk::{ChunkSink, ChunkSource};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::id::ChunkId;
use obbackup::format::record::Chunkers;

/// A repository's chunks and nothing else.
#[derive(Default)]
pub struct Memory {
    chunks: Mutex<HashMap<ChunkId, Vec<u8>>>,
}

impl Memory {
    /// Bytes of all chunks, each counted once.
    pub fn bytes(&self) -> usize {
        self.chunks.lock().unwrap().values().map(Vec::len).sum()
    }
}

impl ChunkSink for Memory {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        let id = ChunkId::of(plain);
        let mut chunks = self.chunks.lock().unwrap();
        chunks.entry(id).or_insert_with(|| plain.to_vec());
        Ok(id)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.chunks.lock().unwrap().contains_key(id)
    }

    fn chunkers(&self) -> Chunkers {
        Chunkers::default()
    }
}

impl ChunkSource for Memory {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        let chunks = self.chunks.lock().unwrap();
        let chunk = chunks.get(id).cloned();
        chunk.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no chunk {id}")))
    }
}
