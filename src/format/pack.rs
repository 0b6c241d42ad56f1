//! Packs: tar files of stored chunks, the last entry being the table of contents.
//!
//! `tar xf` takes a pack apart, `zstd -d` or `gunzip` unfolds what comes out; nothing else is needed.

use serde::{Deserialize, Serialize};

use super::id::Digest256;
use super::index::{ChunkPlace, PackContent};
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::id::ChunkId;

/// The name of the last entry.
pub const TOC: &str = "toc.json.gz";

/// tar's unit: headers and padding come in it.
const BLOCK: usize = 512;
/// Random bytes that no two packs share.
const SALT_BYTES: usize = 16;
/// No table of contents unfolds to more.
const TOC_LIMIT_BYTES: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Toc {
    chunks: Vec<ChunkPlace>,
}

/// A pack being filled, in memory.
pub struct PackBuilder {
    tar: tar::Builder<Vec<u8>>,
    chunks: Vec<ChunkPlace>,
}

impl Default for PackBuilder {
    fn default() -> Self {
        Self {
            tar: tar::Builder::new(Vec::new()),
            chunks: Vec::new(),
        }
    }
}

impl PackBuilder {
    /// Adds a stored chunk.
    pub fn add(
        &mut self,
        id: ChunkId,
        codec: Codec,
        stored: &[u8],
        plain_bytes: u64,
    ) -> Result<()> {
        let name = format!("{id}{}", codec.suffix());
        let offset = self.stored_bytes() + BLOCK as u64;
        self.append(&name, stored)?;
        self.chunks.push(ChunkPlace {
            id,
            codec,
            offset,
            stored_bytes: stored.len() as u64,
            plain_bytes,
        });
        Ok(())
    }

    /// Adds a chunk of random bytes that nothing refers to, so that the pack gets a name that no other has, whatever
    /// else is in it.
    pub fn salt(&mut self) -> Result<()> {
        let salt = super::id::random_id(SALT_BYTES)?.into_bytes();
        self.add(ChunkId::of(&salt), Codec::Plain, &salt, salt.len() as u64)
    }

    /// Bytes so far.
    pub fn stored_bytes(&self) -> u64 {
        self.tar.get_ref().len() as u64
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        // Everything that is not the name and the length is constant, so that equal chunks give equal packs.
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        self.tar
            .append_data(&mut header, name, bytes)
            .io_context(|| "cannot build a pack".to_owned())
    }

    /// The pack's bytes, and what an index says of it.
    pub fn finish(mut self) -> Result<(PackContent, Vec<u8>)> {
        let toc = Toc {
            chunks: std::mem::take(&mut self.chunks),
        };
        let packed = super::gzip(&super::catalog::to_json(&toc)?)?;
        self.append(TOC, &packed)?;
        let bytes = self
            .tar
            .into_inner()
            .io_context(|| "cannot build a pack".to_owned())?;
        let content = PackContent {
            id: Digest256::of(&bytes),
            bytes: bytes.len() as u64,
            chunks: toc.chunks,
        };
        Ok((content, bytes))
    }
}

/// Reads the table of contents from the end of a pack: `tail` is its last bytes, or all of them.
///
/// `None` when the table reaches back beyond `tail`; `Damaged` when there is none.
pub fn parse_toc(id: Digest256, pack_bytes: u64, tail: &[u8]) -> Result<Option<PackContent>> {
    let damaged = |reason: &str| Error::new(ErrorKind::Damaged, format!("pack {id}: {reason}"));
    if !pack_bytes.is_multiple_of(BLOCK as u64) || tail.len() as u64 > pack_bytes {
        return Err(damaged("it is cut short"));
    }
    // The table is the last entry: walk backwards by blocks until a header says so. Its compressed content
    // could look like one only if it were a valid header with a matching checksum at the right distance from the end.
    let end_mark = 2 * BLOCK;
    let blocks = tail.len() / BLOCK;
    for block in (0..blocks).rev() {
        let start = tail.len() - (blocks - block) * BLOCK;
        let Some(header) = header_at(tail, start) else {
            continue;
        };
        if header.path_bytes().as_ref() != TOC.as_bytes() {
            return Err(damaged("its last entry is not the table of contents"));
        }
        let size = header
            .size()
            .ok()
            .and_then(|size| usize::try_from(size).ok());
        let Some(size) = size.filter(|size| {
            size.checked_next_multiple_of(BLOCK).and_then(|padded| {
                start
                    .checked_add(BLOCK)?
                    .checked_add(padded)?
                    .checked_add(end_mark)
            }) == Some(tail.len())
        }) else {
            continue;
        };
        let body = &tail[start + BLOCK..start + BLOCK + size];
        let toc: Toc = serde_json::from_slice(
            &super::gunzip(body, TOC_LIMIT_BYTES)
                .map_err(|error| error.context(format!("pack {id}")))?,
        )
        .map_err(|error| damaged("its table of contents cannot be read").source(error))?;
        for chunk in &toc.chunks {
            if chunk
                .offset
                .checked_add(chunk.stored_bytes)
                .is_none_or(|end| end > pack_bytes)
            {
                return Err(damaged("its table of contents points outside of it"));
            }
        }
        return Ok(Some(PackContent {
            id,
            bytes: pack_bytes,
            chunks: toc.chunks,
        }));
    }
    if tail.len() as u64 == pack_bytes {
        return Err(damaged("it has no table of contents"));
    }
    Ok(None)
}

/// The tar header at `start`, if a valid one stands there.
fn header_at(bytes: &[u8], start: usize) -> Option<tar::Header> {
    let block = bytes.get(start..start + BLOCK)?;
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(block);
    let recorded = header.cksum().ok()?;
    let mut sum = header.clone();
    sum.set_cksum();
    (header.as_ustar().is_some() && sum.cksum().ok()? == recorded && header.size().is_ok())
        .then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (PackContent, Vec<u8>) {
        let mut builder = PackBuilder::default();
        for text in ["one", "two", "three"] {
            let plain = text.repeat(200);
            builder
                .add(
                    ChunkId::of(plain.as_bytes()),
                    Codec::Plain,
                    plain.as_bytes(),
                    plain.len() as u64,
                )
                .unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn the_table_is_found_from_the_end_and_says_where_chunks_lie() {
        let (content, bytes) = sample();
        assert_eq!(
            parse_toc(content.id, content.bytes, &bytes)
                .unwrap()
                .unwrap(),
            content
        );
        let tail = &bytes[bytes.len() - 4096..];
        assert_eq!(
            parse_toc(content.id, content.bytes, tail).unwrap().unwrap(),
            content
        );
        assert_eq!(
            parse_toc(content.id, content.bytes, &bytes[bytes.len() - 1024..]).unwrap(),
            None
        );
        for place in &content.chunks {
            let start = usize::try_from(place.offset).unwrap();
            let stored = &bytes[start..start + usize::try_from(place.stored_bytes).unwrap()];
            assert_eq!(ChunkId::of(stored), place.id);
        }
    }

    #[test]
    fn any_tar_reads_it() {
        let (content, bytes) = sample();
        let mut archive = tar::Archive::new(&bytes[..]);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names.len(), 4);
        assert_eq!(names[0], content.chunks[0].id.to_hex());
        assert_eq!(names[3], TOC);
    }

    #[test]
    fn a_cut_pack_is_damaged() {
        let (content, bytes) = sample();
        for length in [0, 511, 512, bytes.len() - 512, bytes.len() - 1] {
            let cut = &bytes[..length];
            assert!(
                parse_toc(content.id, cut.len() as u64, cut).is_err(),
                "{length}"
            );
        }
    }
}
