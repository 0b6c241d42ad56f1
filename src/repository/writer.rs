//! Adding to a repository: new chunks into packs, packs to the storage, then the index.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::chunks::ChunkMap;
use super::condemned::Condemned;
use super::glance::Rooms;
use super::{Repository, fetch};
use crate::chunk::ChunkSink;
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::index::{Index, PackContent};
use crate::format::pack::PackBuilder;
use crate::format::path;
use crate::format::record::Chunkers;
use crate::storage::Storage;

/// A pack is closed when it has this many bytes; with one chunk more it stays below 32 MiB.
const PACK_BYTES: u64 = 16 << 20;
/// Packs on their way at once: while one waits for its fsync another is written.
const UPLOADS: usize = 2;
/// The same where each request costs a round trip: enough to fill a line, few enough for the memory.
const REMOTE_UPLOADS: usize = 4;
/// How often the second look is taken until all that it shows can be relied on.
const LOOKS: u32 = 5;
/// After so many packs their index is written, so that an interrupted backup's work is found by the next.
const PACKS_PER_INDEX: usize = 32;

/// Takes chunks from many threads and keeps those that are new.
pub struct Writer {
    repository: Repository,
    known: ChunkMap,
    /// What was condemned at the beginning.
    condemned: Condemned,
    /// By number in `known`: the packs that hold something which this run takes over.
    relied: Vec<AtomicBool>,
    state: Mutex<State>,
    shared: Arc<Shared>,
    packs: Option<Sender<PackBuilder>>,
    uploads: Vec<JoinHandle<()>>,
    new_bytes: AtomicU64,
    notes: Vec<String>,
}

#[derive(Default)]
struct State {
    /// New in this run, stored or about to be.
    new: HashSet<ChunkId>,
    open: PackBuilder,
}

/// What the uploading threads work on.
struct Shared {
    storage: Arc<dyn Storage>,
    /// Whether packs get names that no condemned one can have.
    salted: bool,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    /// The packs of this run.
    own: Vec<Digest256>,
    unindexed: Vec<PackContent>,
    indexes: Vec<Digest256>,
    /// Indexes whose content the next one takes over.
    supersedes: Vec<Digest256>,
    stored_bytes: u64,
    failure: Option<Error>,
}

/// What a writer added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Plain bytes that were new.
    pub new_bytes: u64,
    /// Bytes of the objects that hold them: packs and indexes.
    pub stored_bytes: u64,
    /// The index objects written.
    pub indexes: Vec<Digest256>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked has left whole values behind: every change below is one push or one store.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repository {
    /// Begins to add. The caller holds a lease.
    ///
    /// Chunks in packs that are gone, cut short or condemned count as absent, so that this backup heals what it
    /// needs; packs that no index describes are described anew.
    pub fn writer(&self) -> Result<Writer> {
        // Before the packs are listed: one that is deleted in between is known to be condemned. Where a glance shows
        // both at one moment, the list can be gone when it is read, and the pack with it; then the second look finds
        // that it is absent.
        let condemned = self.condemned()?;
        let mut indexes = self.read_indexes()?;
        let listed = self.room(path::PACKS)?;
        let mut outcome = Outcome::default();
        let mut notes = Vec::new();
        for content in self.recover_packs(&indexes.chunks, &listed)? {
            indexes.chunks.add(&content);
            outcome.unindexed.push(content);
        }
        indexes.chunks.keep_usable(&listed, &condemned);
        for (damaged, reason) in indexes.damaged {
            notes.push(format!(
                "`{damaged}` is damaged ({reason}); its packs are described anew"
            ));
            outcome.supersedes.extend(path::parse_index(&damaged));
        }
        let shared = Arc::new(Shared {
            storage: self.storage.clone(),
            salted: !condemned.is_empty(),
            outcome: Mutex::new(outcome),
        });
        let (packs, incoming) = bounded::<PackBuilder>(0);
        let mut uploads = Vec::new();
        let at_once = if self.storage.is_remote() {
            REMOTE_UPLOADS
        } else {
            UPLOADS
        };
        for number in 0..at_once {
            let (shared, incoming) = (shared.clone(), incoming.clone());
            uploads.push(
                std::thread::Builder::new()
                    .name(format!("obbackup-upload-{number}"))
                    .spawn(move || {
                        for pack in incoming {
                            if let Err(error) = shared.upload(pack) {
                                lock(&shared.outcome).failure.get_or_insert(error);
                            }
                        }
                    })
                    .map_err(|error| Error::io("cannot start a thread", error))?,
            );
        }
        Ok(Writer {
            repository: self.afresh(),
            condemned,
            relied: indexes
                .chunks
                .packs()
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect(),
            known: indexes.chunks,
            state: Mutex::default(),
            shared,
            packs: Some(packs),
            uploads,
            new_bytes: AtomicU64::new(0),
            notes,
        })
    }
}

impl Shared {
    /// After a failure nothing more is stored.
    fn upload(&self, pack: PackBuilder) -> Result<()> {
        if lock(&self.outcome).failure.is_some() {
            return Ok(());
        }
        if self.salted {
            self.upload_salted(pack)
        } else {
            self.store(pack)
        }
    }

    fn upload_salted(&self, mut pack: PackBuilder) -> Result<()> {
        pack.salt()?;
        self.store(pack)
    }

    fn store(&self, pack: PackBuilder) -> Result<()> {
        let (content, bytes) = pack.finish()?;
        self.store_pack(content, &bytes)
    }

    fn store_pack(&self, content: PackContent, bytes: &[u8]) -> Result<()> {
        self.create(&path::pack(&content.id), bytes)?;
        let due = {
            let mut outcome = lock(&self.outcome);
            outcome.stored_bytes += content.bytes;
            outcome.own.push(content.id);
            outcome.unindexed.push(content);
            outcome.unindexed.len() >= PACKS_PER_INDEX
        };
        if due {
            self.write_index()?;
        }
        Ok(())
    }

    /// Describes the packs that no index describes yet; they are on the storage already.
    fn write_index(&self) -> Result<()> {
        let index = {
            let mut outcome = lock(&self.outcome);
            let mut packs = std::mem::take(&mut outcome.unindexed);
            packs.sort_by_key(|pack| pack.id);
            Index {
                supersedes: std::mem::take(&mut outcome.supersedes),
                packs,
            }
        };
        if index.packs.is_empty() && index.supersedes.is_empty() {
            return Ok(());
        }
        let (id, bytes) = index.encode()?;
        self.create(&path::index(&id), &bytes)?;
        let mut outcome = lock(&self.outcome);
        outcome.stored_bytes += bytes.len() as u64;
        outcome.indexes.push(id);
        Ok(())
    }

    /// An object that is named by its content and is there already needs no second writing.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        match self.storage.create(path, bytes) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // It could have been cut short since it was written.
                if self.storage.read(path)? == bytes {
                    return Ok(());
                }
                self.storage.replace(path, bytes)
            }
            result => result,
        }
    }

    fn failure(&self) -> Result<()> {
        match &lock(&self.outcome).failure {
            None => Ok(()),
            Some(error) => Err(error.duplicate()),
        }
    }
}

impl Writer {
    /// Whether the chunk is there already; then this run relies on the pack that holds it.
    fn rely_on(&self, id: &ChunkId) -> bool {
        let Some(pack) = self.known.pack_number(id) else {
            return false;
        };
        if let Some(relied) = self.relied.get(pack) {
            relied.store(true, Ordering::Relaxed);
        }
        true
    }

    /// What was found to be wrong with the repository at the beginning and is being mended.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Stores a pack of another repository as it is; `content` says what it holds. For many threads too.
    pub fn put_pack(&self, content: PackContent, bytes: &[u8]) -> Result<()> {
        self.shared.failure()?;
        let ids: Vec<ChunkId> = content.chunks.iter().map(|chunk| chunk.id).collect();
        let plain_bytes = content.chunks.iter().map(|chunk| chunk.plain_bytes).sum();
        self.shared.store_pack(content, bytes)?;
        self.new_bytes.fetch_add(plain_bytes, Ordering::Relaxed);
        lock(&self.state).new.extend(ids);
        Ok(())
    }

    /// The index of this run stands for these too: they are those of another repository.
    pub fn supersede(&self, indexes: &[Digest256]) {
        lock(&self.shared.outcome).supersedes.extend(indexes);
    }

    /// Closes the last pack and writes the index. After this everything put is found again.
    pub fn finish(mut self) -> Result<Written> {
        let last = std::mem::take(&mut lock(&self.state).open);
        if !last.is_empty() {
            self.send(last)?;
        }
        self.join();
        self.shared.failure()?;
        // The index says what is there, whatever the look finds; what that stores again has one of its own.
        let index = || self.shared.write_index();
        let (written, seen) = fetch::both(&*self.shared.storage, index, || self.look_again());
        written?;
        seen?;
        self.retain_relied()?;
        self.shared.write_index()?;
        let outcome = lock(&self.shared.outcome);
        Ok(Written {
            new_bytes: self.new_bytes.load(Ordering::Relaxed),
            stored_bytes: outcome.stored_bytes,
            indexes: outcome.indexes.clone(),
        })
    }

    /// The repository that is written.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What this run relies on is held for as long as what it added, where the storage holds objects for a time.
    fn retain_relied(&self) -> Result<()> {
        let packs = self.known.packs().iter().zip(&self.relied);
        let relied: Vec<Digest256> = packs
            .filter(|(_, relied)| relied.load(Ordering::Relaxed))
            .map(|((id, _), _)| *id)
            .collect();
        let storage = self.repository.storage();
        let retained = self
            .repository
            .each(&relied, |id| storage.retain(&path::pack(id)));
        retained.into_iter().collect()
    }

    /// Stores again what was condemned while this run relied on it; `super::condemned` says why.
    fn look_again(&self) -> Result<()> {
        let relied = self.known.packs().iter().zip(&self.relied);
        let mut needed: Vec<Digest256> = relied
            .filter(|(_, relied)| relied.load(Ordering::Relaxed))
            .map(|((id, _), _)| *id)
            .collect();
        needed.extend(&lock(&self.shared.outcome).own);
        let mut absent = None;
        for _ in 0..LOOKS {
            // The lists and the packs: one that was deleted is on a list still, or is absent.
            let seen = self.repository.glance(Rooms::WithPacks)?;
            let lists = seen.room(path::CONDEMNED)?;
            let (condemned, all_there) = seen.condemned_among(&lists, &self.condemned)?;
            // A list that went between the listing and its reading may have taken packs along that the listing shows.
            if !all_there {
                continue;
            }
            let listed = seen.room(path::PACKS)?;
            let present: HashMap<Digest256, u64> = listed
                .iter()
                .filter_map(|object| Some((path::parse_pack(&object.path)?, object.bytes)))
                .collect();
            // What is gone stays away; what a bit that flipped on the way has hidden does not.
            absent = needed.iter().find(|id| !present.contains_key(*id));
            if absent.is_some() {
                continue;
            }
            let doomed = needed.iter().filter(|id| condemned.contains(id));
            let doomed: Vec<_> = doomed
                .filter_map(|id| Some((*id, *present.get(id)?)))
                .collect();
            return self.store_again(&doomed);
        }
        let what = absent.map_or_else(
            || "packs are being deleted while this backup is finished".to_owned(),
            |id| format!("pack {id} was deleted while this backup relied on it"),
        );
        Err(Error::new(ErrorKind::Transient, what).hint("Run the backup again."))
    }

    fn store_again(&self, doomed: &[(Digest256, u64)]) -> Result<()> {
        let mut stored: HashSet<ChunkId> = HashSet::new();
        let mut open = PackBuilder::default();
        for (id, bytes) in doomed {
            for place in self.repository.read_toc(*id, *bytes)?.chunks {
                let range = place.offset..place.offset + place.stored_bytes;
                let raw = self.shared.storage.read_range(&path::pack(id), range)?;
                // A copy that is not right would only seem to save what is about to be deleted.
                codec::decode(&place.id, place.codec, &raw, place.plain_bytes)?;
                if stored.insert(place.id) {
                    open.add(place.id, place.codec, &raw, place.plain_bytes)?;
                }
                if open.stored_bytes() >= PACK_BYTES {
                    self.shared.upload_salted(std::mem::take(&mut open))?;
                }
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        self.shared.upload_salted(open)
    }

    fn send(&self, pack: PackBuilder) -> Result<()> {
        let sent = self
            .packs
            .as_ref()
            .is_some_and(|packs| packs.send(pack).is_ok());
        if sent {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Failure,
                "the writing threads have ended",
            ))
        }
    }

    fn join(&mut self) {
        self.packs.take();
        for upload in self.uploads.drain(..) {
            if upload.join().is_err() {
                let error = Error::new(ErrorKind::Failure, "a writing thread ended unexpectedly");
                lock(&self.shared.outcome).failure.get_or_insert(error);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Given up without `finish`: what is uploaded stays as packs that nothing refers to.
        self.join();
    }
}

impl ChunkSink for Writer {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        self.shared.failure()?;
        let id = ChunkId::of(plain);
        if self.rely_on(&id) || !lock(&self.state).new.insert(id) {
            return Ok(id);
        }
        // Outside of the lock: this is the work that all cores share.
        let (codec, stored) = codec::encode(plain, self.repository.header().compression)?;
        self.new_bytes
            .fetch_add(plain.len() as u64, Ordering::Relaxed);
        let full = {
            let mut state = lock(&self.state);
            state.open.add(id, codec, &stored, plain.len() as u64)?;
            (state.open.stored_bytes() >= PACK_BYTES).then(|| std::mem::take(&mut state.open))
        };
        if let Some(pack) = full {
            self.send(pack)?;
        }
        Ok(id)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.rely_on(id) || lock(&self.state).new.contains(id)
    }

    fn chunkers(&self) -> Chunkers {
        self.repository.header().chunker
    }
}
