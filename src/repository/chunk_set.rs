//! A set of chunks in little memory.

use std::collections::HashSet;

use crate::format::id::ChunkId;

/// Chunks, known by the first eight bytes of their ids. Two that begin alike count as one, which happens once in a very
/// long while: so what is in the set is surely found in it, and hardly anything else.
#[derive(Default)]
pub struct ChunkSet(HashSet<u64>);

impl ChunkSet {
    fn key(id: &ChunkId) -> u64 {
        let bytes = id.as_bytes();
        bytes
            .first_chunk()
            .map_or(0, |first: &[u8; 8]| u64::from_le_bytes(*first))
    }

    /// Adds one; whether it is new.
    pub fn insert(&mut self, id: &ChunkId) -> bool {
        self.0.insert(Self::key(id))
    }

    /// Whether it is there.
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.0.contains(&Self::key(id))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
