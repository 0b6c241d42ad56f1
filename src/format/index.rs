//! Indexes: which pack holds which chunk, and where.

use serde::{Deserialize, Serialize};

use super::id::{ChunkId, Digest256};
use crate::codec::Codec;
use crate::error::Result;

/// No index unfolds to more.
const LIMIT_BYTES: u64 = 1 << 30;

/// One index object. Several may exist side by side; together they must cover every pack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Index {
    /// Indexes whose content this one took over: they may be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<Digest256>,
    /// The packs described here.
    pub packs: Vec<PackContent>,
}

/// What one pack holds; also the pack's own table of contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackContent {
    /// The pack, named by the SHA-256 of its bytes.
    pub id: Digest256,
    /// Bytes of the pack.
    pub bytes: u64,
    /// Its chunks, in the order in which they lie there.
    pub chunks: Vec<ChunkPlace>,
}

/// Where one chunk lies inside its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPlace {
    /// The chunk.
    pub id: ChunkId,
    /// How it is stored.
    pub codec: Codec,
    /// Offset in bytes of the stored chunk in the pack.
    pub offset: u64,
    /// Stored bytes.
    pub stored_bytes: u64,
    /// Bytes of the plain chunk.
    pub plain_bytes: u64,
}

impl Index {
    /// The object's bytes, and its name.
    pub fn encode(&self) -> Result<(Digest256, Vec<u8>)> {
        let bytes = super::gzip(&super::catalog::to_json(self)?)?;
        Ok((Digest256::of(&bytes), bytes))
    }

    /// `Damaged` unless the bytes are those that `id` names.
    pub fn decode(id: &Digest256, bytes: &[u8]) -> Result<Self> {
        super::decode_named(id, bytes, LIMIT_BYTES)
    }
}
