//! Streams to chunks and back.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use fastcdc::v2020::FastCDC;

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::format::record::{Chunkers, CutSizes};

/// Takes chunks; a repository being written.
pub trait ChunkSink: Sync {
    /// Keeps `plain` and says its id; a chunk that is there already costs its hash only.
    ///
    /// Blocks while the storage is slower than the caller. Called from several threads at once.
    fn put(&self, plain: &[u8]) -> Result<ChunkId>;

    /// Whether the chunk is there, so that what it was made of need not be read.
    fn has(&self, id: &ChunkId) -> bool;

    /// How streams are to be cut.
    fn chunkers(&self) -> Chunkers;
}

/// Gives chunks back; a repository being read.
pub trait ChunkSource: Sync {
    /// The plain bytes, proven to be those that `id` names; `Damaged` or `NotFound` otherwise.
    ///
    /// Called from several threads at once.
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>>;
}

/// Cuts what is written to it by its content, and puts the pieces into a sink.
pub struct ChunkWriter<'a, S: ChunkSink + ?Sized> {
    sink: &'a S,
    sizes: CutSizes,
    buffer: Vec<u8>,
    chunks: Vec<ChunkId>,
    bytes: u64,
}

impl<'a, S: ChunkSink + ?Sized> ChunkWriter<'a, S> {
    /// Cuts with `sizes`: one of the sink's [`ChunkSink::chunkers`].
    pub fn new(sink: &'a S, sizes: CutSizes) -> Self {
        Self {
            sink,
            sizes,
            buffer: Vec::new(),
            chunks: Vec::new(),
            bytes: 0,
        }
    }

    /// Puts away all whole chunks that the buffer holds; with `last` also the rest.
    fn cut(&mut self, last: bool) -> Result<()> {
        let mut start = 0;
        while self.buffer.len() - start >= self.sizes.max || (last && start < self.buffer.len()) {
            let rest = &self.buffer[start..];
            let CutSizes { min, average, max } = self.sizes;
            let (_, end) = FastCDC::new(rest, min, average, max).cut(0, rest.len());
            // A cutter that does not move would never end.
            let end = end.clamp(1, rest.len());
            self.chunks.push(self.sink.put(&rest[..end])?);
            start += end;
        }
        self.buffer.drain(..start);
        Ok(())
    }

    /// The chunks in order, and the bytes in all of them.
    pub fn finish(mut self) -> Result<(Vec<ChunkId>, u64)> {
        self.cut(true)?;
        Ok((self.chunks, self.bytes))
    }
}

impl<S: ChunkSink + ?Sized> Write for ChunkWriter<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Cutting is a scan from the buffer's start: let some chunks' worth gather before.
        let taken = bytes
            .len()
            .min(2 * self.sizes.max - self.buffer.len().min(self.sizes.max));
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        if self.buffer.len() >= 2 * self.sizes.max {
            self.cut(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the chunks of a stream one after another.
pub struct ChunkReader<'a, S: ChunkSource + ?Sized> {
    source: &'a S,
    rest: VecDeque<ChunkId>,
    current: io::Cursor<Vec<u8>>,
}

impl<'a, S: ChunkSource + ?Sized> ChunkReader<'a, S> {
    /// Reads `chunks` in their order.
    pub fn new(source: &'a S, chunks: &[ChunkId]) -> Self {
        Self {
            source,
            rest: chunks.iter().copied().collect(),
            current: io::Cursor::default(),
        }
    }
}

impl<S: ChunkSource + ?Sized> io::BufRead for ChunkReader<'_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.position() >= self.current.get_ref().len() as u64 {
            let Some(id) = self.rest.pop_front() else {
                break;
            };
            self.current = io::Cursor::new(self.source.get(&id)?);
        }
        self.current.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.current.consume(amount);
    }
}

impl<S: ChunkSource + ?Sized> Read for ChunkReader<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::BufRead::fill_buf(self)?;
        self.current.read(buffer)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use std::collections::HashMap;
    use std::sync::Mutex;

    /// Chunks in memory, for tests of what makes or takes them.
    #[derive(Default)]
    pub(crate) struct Memory(pub(crate) Mutex<HashMap<ChunkId, Vec<u8>>>);

    impl ChunkSink for Memory {
        fn put(&self, plain: &[u8]) -> Result<ChunkId> {
            let id = ChunkId::of(plain);
            self.0.lock().unwrap().insert(id, plain.to_vec());
            Ok(id)
        }

        fn has(&self, id: &ChunkId) -> bool {
            self.0.lock().unwrap().contains_key(id)
        }

        fn chunkers(&self) -> Chunkers {
            Chunkers::default()
        }
    }

    impl ChunkSource for Memory {
        fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
            let chunks = self.0.lock().unwrap();
            chunks
                .get(id)
                .cloned()
                .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no chunk {id}")))
        }
    }

    fn noise(bytes: usize) -> Vec<u8> {
        (0u64..)
            .flat_map(|seed| *ChunkId::of(&seed.to_le_bytes()).as_bytes())
            .take(bytes)
            .collect()
    }

    #[test]
    fn a_stream_comes_back_whatever_the_writes_were() {
        let memory = Memory::default();
        let data = noise(20 << 20);
        let sizes = Chunkers::default().data;
        let mut cuts = Vec::new();
        for piece in [data.len(), 7 << 20, 100_001] {
            let mut writer = ChunkWriter::new(&memory, sizes);
            for part in data.chunks(piece) {
                writer.write_all(part).unwrap();
            }
            let (chunks, bytes) = writer.finish().unwrap();
            assert_eq!(bytes, data.len() as u64);
            let mut back = Vec::new();
            ChunkReader::new(&memory, &chunks)
                .read_to_end(&mut back)
                .unwrap();
            assert!(back == data);
            cuts.push(chunks);
        }
        assert!(cuts.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn an_insertion_costs_the_chunks_around_it_only() {
        let memory = Memory::default();
        let mut data = noise(8 << 20);
        let sizes = Chunkers::default().metadata;
        let cut = |data: &[u8]| {
            let mut writer = ChunkWriter::new(&memory, sizes);
            writer.write_all(data).unwrap();
            writer.finish().unwrap().0
        };
        let before = cut(&data);
        data.splice(3_000_000..3_000_000, *b"inserted");
        let after = cut(&data);
        let new = after.iter().filter(|id| !before.contains(id)).count();
        assert!(
            (1..=3).contains(&new),
            "{new} new chunks of {}",
            after.len()
        );
    }

    #[test]
    fn an_empty_stream_has_no_chunks() {
        let memory = Memory::default();
        let writer = ChunkWriter::new(&memory, Chunkers::default().data);
        assert_eq!(writer.finish().unwrap(), (Vec::new(), 0));
    }
}
