//! Packs in few requests: what is read in order is read ahead, and what lies between is taken along.
//!
//! A writer puts chunks into packs in the order in which they come, so whoever reads a backup goes through its
//! packs from front to end, with gaps where several streams were written at once. The first chunk is fetched
//! alone; when the next one lies shortly behind, more and more is fetched at once, up to whole packs.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{ErrorKind, Result};
use crate::format::id::Digest256;

/// A chunk that begins within so many bytes behind the last one continues it: fetching what lies between costs
/// less than another request.
const GAP_BYTES: u64 = 4 << 20;
/// What is fetched when a second chunk continues a first one; each further time four times as much.
const FIRST_BYTES: u64 = 2 << 20;
/// What is fetched at the most: nearly every pack.
const MOST_BYTES: u64 = 24 << 20;
/// What is held of several packs, for the streams that are read at the same time.
const HELD_BYTES: usize = 96 << 20;
/// A stretch begins so far before the end of the last one: of several streams each has a chunk across that border.
const OVERLAP_BYTES: u64 = 512 << 10;
/// Packs whose last position is remembered.
const POSITIONS: usize = 4096;

/// A stretch of a pack that was fetched.
struct Window {
    pack: Digest256,
    range: Range<u64>,
    bytes: Arc<Vec<u8>>,
}

/// How far a pack was read.
#[derive(Default)]
struct Position {
    end: u64,
    /// What to fetch when it goes on there; 0 after a first chunk.
    next_bytes: u64,
    /// Held while a stretch of this pack is on its way, so that nobody fetches it twice.
    fetching: Arc<Mutex<()>>,
}

#[derive(Default)]
struct State {
    /// The latest used at the end.
    held: VecDeque<Window>,
    positions: HashMap<Digest256, Position>,
    /// Whether the last pack was read in large stretches, so that the next one will be too.
    streaming: bool,
}

/// What was fetched, and what will be.
#[derive(Default)]
pub(super) struct Ahead(Mutex<State>);

/// What fetching ahead holds at the most.
const AHEAD_BYTES: u64 = 32 << 20;
/// Chunks of a pack with less between them are fetched at once, where nobody waits for one before the other.
const CLOSE_BYTES: u64 = 256 << 10;

/// The stretches of packs that hold these chunks, the first ones as far as they can be held.
pub(super) fn stretches(mut places: Vec<(Digest256, Range<u64>)>) -> Vec<(Digest256, Range<u64>)> {
    places.sort_by_key(|(pack, range)| (*pack, range.start));
    let mut stretches: Vec<(Digest256, Range<u64>)> = Vec::new();
    for (pack, range) in places {
        match stretches.last_mut() {
            Some((last, stretch)) if *last == pack && range.start <= stretch.end + CLOSE_BYTES => {
                stretch.end = stretch.end.max(range.end);
            }
            _ => stretches.push((pack, range)),
        }
    }
    let mut bytes = 0;
    stretches.retain(|(_, range)| {
        bytes += range.end - range.start;
        bytes <= AHEAD_BYTES
    });
    stretches
}

impl Ahead {
    /// Keeps a stretch that was fetched ahead.
    pub(super) fn hold(&self, pack: Digest256, range: Range<u64>, bytes: Vec<u8>) {
        let bytes = Arc::new(bytes);
        self.state().hold(Window { pack, range, bytes });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below leaves the state whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes `range` of a pack of `pack_bytes`; `fetch` gets what is not here.
    pub(super) fn read(
        &self,
        pack: Digest256,
        pack_bytes: u64,
        range: &Range<u64>,
        fetch: impl Fn(Range<u64>) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let fetching = {
            let mut state = self.state();
            if let Some(bytes) = state.held(pack, range) {
                return Ok(bytes);
            }
            if state.positions.len() > POSITIONS {
                state.positions.clear();
            }
            state.positions.entry(pack).or_default().fetching.clone()
        };
        let _turn = fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = {
            let mut state = self.state();
            // It may have come while this thread waited for its turn.
            if let Some(bytes) = state.held(pack, range) {
                return Ok(bytes);
            }
            state.stretch(pack, pack_bytes, range)
        };
        let bytes = match fetch(wanted.clone()) {
            // The pack may be cut short behind the chunk, which is whole then.
            Err(error) if error.kind() == ErrorKind::Damaged && wanted != *range => {
                return fetch(range.clone());
            }
            result => result?,
        };
        if wanted == *range {
            return Ok(bytes);
        }
        let bytes = Arc::new(bytes);
        let part = part(&bytes, &wanted, range).unwrap_or_default();
        self.state().hold(Window {
            pack,
            range: wanted,
            bytes,
        });
        Ok(part)
    }
}

fn part(bytes: &[u8], window: &Range<u64>, range: &Range<u64>) -> Option<Vec<u8>> {
    if range.start < window.start || range.end > window.end {
        return None;
    }
    let start = usize::try_from(range.start - window.start).ok()?;
    let end = usize::try_from(range.end - window.start).ok()?;
    bytes.get(start..end).map(<[u8]>::to_vec)
}

impl State {
    fn held(&mut self, pack: Digest256, range: &Range<u64>) -> Option<Vec<u8>> {
        let number = self.held.iter().position(|window| {
            window.pack == pack
                && window.range.start <= range.start
                && window.range.end >= range.end
        })?;
        let window = self.held.remove(number)?;
        let bytes = part(&window.bytes, &window.range, range);
        self.held.push_back(window);
        bytes
    }

    fn hold(&mut self, window: Window) {
        self.held.push_back(window);
        let mut bytes: usize = self.held.iter().map(|window| window.bytes.len()).sum();
        while bytes > HELD_BYTES && self.held.len() > 1 {
            bytes -= self.held.pop_front().map_or(0, |window| window.bytes.len());
        }
    }

    /// What to fetch so that `range` comes with it.
    fn stretch(&mut self, pack: Digest256, pack_bytes: u64, range: &Range<u64>) -> Range<u64> {
        let streaming = self.streaming;
        let position = self.positions.entry(pack).or_default();
        // The last stretch may have ended within this chunk.
        let continues =
            position.end > 0 && range.end > position.end && range.start <= position.end + GAP_BYTES;
        let begins = streaming && position.end == 0 && range.start <= GAP_BYTES;
        let length = range.end - range.start;
        let bytes = if continues {
            position.next_bytes.max(FIRST_BYTES)
        } else if begins {
            MOST_BYTES
        } else {
            length
        };
        let start = if continues {
            range.start.min(position.end.saturating_sub(OVERLAP_BYTES))
        } else if begins {
            0
        } else {
            range.start
        };
        let end = start.saturating_add(bytes).min(pack_bytes).max(range.end);
        position.end = end;
        position.next_bytes = if continues {
            bytes.saturating_mul(4).min(MOST_BYTES)
        } else {
            0
        };
        if continues || bytes == MOST_BYTES {
            self.streaming = bytes * 4 >= MOST_BYTES;
        }
        start..end
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::error::Error;

    const PACK: u64 = 16 << 20;
    const CHUNK: u64 = 200 << 10;
    const FRONT_BYTES: u64 = 512;

    fn pack(number: u64) -> Digest256 {
        Digest256::of(&number.to_le_bytes())
    }

    /// Bytes that tell where they come from.
    fn content(pack: u64, range: Range<u64>) -> Vec<u8> {
        range.map(|at| (at / 7 + pack).to_le_bytes()[0]).collect()
    }

    struct Counted {
        ahead: Ahead,
        requests: AtomicU64,
        bytes: AtomicU64,
    }

    impl Counted {
        fn new() -> Self {
            Self {
                ahead: Ahead::default(),
                requests: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
            }
        }

        fn read(&self, number: u64, range: Range<u64>) {
            let read = self
                .ahead
                .read(pack(number), PACK, &range, |wanted| {
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    self.bytes
                        .fetch_add(wanted.end - wanted.start, Ordering::Relaxed);
                    Ok(content(number, wanted))
                })
                .unwrap();
            assert!(read == content(number, range));
        }
    }

    #[test]
    fn a_stream_costs_hardly_more_requests_than_there_are_packs() {
        let counted = Counted::new();
        let packs = 10;
        for number in 0..packs {
            let mut at = FRONT_BYTES;
            while at + CHUNK < PACK {
                counted.read(number, at..at + CHUNK);
                at += CHUNK + 512;
            }
        }
        let requests = counted.requests.load(Ordering::Relaxed);
        assert!(requests <= packs + 4, "{requests}");
        assert!(counted.bytes.load(Ordering::Relaxed) <= packs * (PACK + OVERLAP_BYTES));
    }

    #[test]
    fn a_single_chunk_costs_its_own_bytes_only() {
        let counted = Counted::new();
        for number in 0..20 {
            counted.read(number, 5 << 20..(5 << 20) + CHUNK);
        }
        assert_eq!(counted.bytes.load(Ordering::Relaxed), 20 * CHUNK);
    }

    #[test]
    fn two_streams_through_the_same_packs_fetch_them_once() {
        let counted = Counted::new();
        let packs = 6;
        std::thread::scope(|scope| {
            for stream in 0..2 {
                let counted = &counted;
                scope.spawn(move || {
                    for number in 0..packs {
                        let mut at = FRONT_BYTES + stream * (CHUNK + 512);
                        while at + CHUNK < PACK {
                            counted.read(number, at..at + CHUNK);
                            at += 2 * (CHUNK + 512);
                        }
                    }
                });
            }
        });
        let requests = counted.requests.load(Ordering::Relaxed);
        assert!(requests <= 4 * packs, "{requests}");
    }

    #[test]
    fn chunks_that_lie_close_are_one_stretch_and_too_many_are_left_for_later() {
        let (one, two) = (pack(1), pack(2));
        let far = 10 + CLOSE_BYTES + 1;
        let mut places = vec![(one, far..far + 5), (one, 0..4), (two, 4..8), (one, 6..10)];
        let mut expected = vec![(one, 0..10), (one, far..far + 5), (two, 4..8)];
        expected.sort_by_key(|(pack, range)| (*pack, range.start));
        assert_eq!(stretches(places.clone()), expected);
        places.push((one, far..far + AHEAD_BYTES));
        let left: u64 = stretches(places)
            .iter()
            .map(|it| it.1.end - it.1.start)
            .sum();
        assert!(left < 100, "{left}");
    }

    #[test]
    fn what_was_fetched_ahead_costs_no_further_request() {
        let counted = Counted::new();
        let range = CHUNK..3 * CHUNK;
        counted
            .ahead
            .hold(pack(0), range.clone(), content(0, range));
        for at in 1..3 {
            counted.read(0, at * CHUNK..(at + 1) * CHUNK);
        }
        assert_eq!(counted.requests.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_missing_behind_a_chunk_does_not_matter_to_it() {
        let ahead = Ahead::default();
        let cut = 1 << 20;
        let fetch = |wanted: Range<u64>| {
            if wanted.end > cut {
                return Err(Error::new(ErrorKind::Damaged, "cut short"));
            }
            Ok(content(0, wanted))
        };
        for at in 0..4 {
            let range = at * CHUNK..(at + 1) * CHUNK;
            let read = ahead.read(pack(0), PACK, &range, fetch).unwrap();
            assert!(read == content(0, range));
        }
    }
}
