//! Giving back the room of what no backup needs: condemned first, deleted when its grace is over.
//!
//! The caller holds the exclusive lease; [`super::condemned`] says why nothing is lost even where that fails. The
//! order of deleting is the opposite of writing: a new index that leaves the packs out, then the old indexes, then the
//! packs, and last the list that condemned them. Whenever it stops, everything that an index describes is there, and
//! what is left over is condemned still and taken up by the next run.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Repository;
use super::condemned::Condemned;
use super::glance::Rooms;
use super::lock::Lock;
use super::survey::Survey;
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::index::{Index, PackContent};
use crate::format::pack::PackBuilder;
use crate::format::path;
use crate::progress::Progress;

/// An index of this size is closed, and another one begun: whoever reads or writes one has it in memory as a whole.
const INDEX_CHUNKS: usize = 1 << 16;

/// So many packs are deleted before it is looked whether that goes well.
const DELETED_AT_ONCE: usize = 32;

/// Packs written anew are closed at this size.
const PACK_BYTES: u64 = 16 << 20;

/// How to prune.
#[derive(Debug, Clone, Copy)]
pub struct PruneOptions {
    /// How long packs stay condemned before they are deleted.
    pub grace: TimeDelta,
    /// Packs are written anew when more than this share of them is not needed; 100 writes nothing anew.
    pub repack_above_percent: u8,
    /// The time that the grace is measured by.
    pub now: DateTime<Utc>,
}

/// What pruning does, or did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pruned {
    /// Packs that are there.
    pub packs: u64,
    /// Their bytes.
    pub packs_bytes: u64,
    /// Packs deleted.
    pub freed_packs: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// Packs that were found unneeded now, or were so before, and whose grace is not over.
    pub condemned_packs: u64,
    /// Their bytes.
    pub condemned_bytes: u64,
    /// Packs that had been condemned and turned out to be needed.
    pub pardoned_packs: u64,
    /// Packs whose needed chunks were written anew, because most of them was waste.
    pub repacked_packs: u64,
    /// Bytes of those that were not needed.
    pub repacked_waste_bytes: u64,
    /// What could not be done, each with the reason.
    pub notes: Vec<String>,
}

impl Repository {
    /// Says what [`Repository::prune`] would do, and changes nothing.
    pub fn prune_plan(&self, options: &PruneOptions, progress: &dyn Progress) -> Result<Pruned> {
        progress.stage("prune: looking", None);
        let seen = self.glance(Rooms::WithPacks)?;
        let condemned = seen.condemned()?;
        let plan = Plan::new(seen.survey(&condemned, progress)?, &condemned, options);
        let mut report = plan.report();
        let unneeded = plan.fresh.iter().chain(&plan.waiting);
        if options.grace.is_zero() {
            let repacked = plan.wasteful.iter();
            report.freed(&plan, plan.due.iter().chain(unneeded).chain(repacked));
        } else {
            report.freed(&plan, plan.due.iter());
            report.condemned(&plan, unneeded);
        }
        report.pardoned_packs = plan.pardoned.len() as u64;
        for pack in &plan.wasteful {
            report.repacked(&plan, pack);
        }
        Ok(report)
    }

    /// Condemns what no backup needs, deletes what was condemned long enough ago, and writes packs anew that are
    /// mostly waste.
    pub fn prune(
        &self,
        lock: &Lock,
        options: &PruneOptions,
        progress: &dyn Progress,
    ) -> Result<Pruned> {
        progress.stage("prune: looking", None);
        let seen = self.glance(Rooms::WithPacks)?;
        let mut condemned = seen.condemned()?;
        let plan = Plan::new(seen.survey(&condemned, progress)?, &condemned, options);
        let mut report = plan.report();

        // What nobody needs any more is named before anything is deleted: from here on no writer relies on it.
        progress.stage("prune: deleting", None);
        lock.check()?;
        self.settle(&mut condemned, |pack| plan.fresh.contains(pack))?;
        let mut fresh: Vec<_> = plan.fresh.iter().copied().collect();
        fresh.sort_unstable();
        self.condemn(&mut condemned, fresh, options.now)?;
        let mut due = plan.due.clone();
        if options.grace.is_zero() {
            due.extend(plan.fresh.iter().chain(&plan.waiting));
        }
        let gone = self.free(&plan, &due, lock, progress, &mut report)?;
        let waiting = plan.fresh.iter().chain(&plan.waiting);
        report.condemned(&plan, waiting.filter(|pack| !due.contains(*pack)));
        report.pardoned_packs = plan.pardoned.len() as u64;
        self.settle(&mut condemned, |pack| {
            gone.contains(pack)
                || plan.pardoned.contains(pack)
                || !plan.survey.packs.contains_key(pack)
        })?;

        let repacked = self.repack(&plan, lock, progress, &mut report)?;
        if repacked.is_empty() {
            return Ok(report);
        }
        self.condemn(&mut condemned, repacked.clone(), options.now)?;
        if options.grace.is_zero() {
            // Anew: there are other packs and indexes now.
            let plan = Plan::new(self.survey(&condemned, progress)?, &condemned, options);
            let gone = self.free(&plan, &plan.due, lock, progress, &mut report)?;
            self.settle(&mut condemned, |pack| gone.contains(pack))?;
        } else {
            report.condemned(&plan, &repacked);
        }
        Ok(report)
    }

    /// Deletes `due`, and gives back what is gone. A refusal of the storage is reported and passed over.
    fn free(
        &self,
        plan: &Plan,
        due: &HashSet<Digest256>,
        lock: &Lock,
        progress: &dyn Progress,
        report: &mut Pruned,
    ) -> Result<HashSet<Digest256>> {
        let mut gone = HashSet::new();
        let removable = plan.survey.replaceable(self, due, progress)?;
        if removable.is_empty() {
            return Ok(gone);
        }
        self.write_index(plan, &removable, lock, report)?;
        let mut sorted: Vec<_> = removable.iter().collect();
        sorted.sort_unstable();
        for packs in sorted.chunks(DELETED_AT_ONCE) {
            let deleted = self.each(packs, |pack| {
                progress.check()?;
                lock.check()?;
                self.storage().delete(&path::pack(pack))
            });
            for (pack, deleted) in packs.iter().copied().zip(deleted) {
                match deleted {
                    Ok(()) => {
                        gone.insert(*pack);
                        report.freed(plan, [pack]);
                    }
                    Err(error) if error.kind() == ErrorKind::Denied => {
                        report.refused(&error);
                        report.condemned(plan, [pack]);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(gone)
    }

    /// Writes new indexes in place of all, without the packs that are `leaving`, and with those that none described.
    /// The last one supersedes the old ones: until it is there, these count as well.
    fn write_index(
        &self,
        plan: &Plan,
        leaving: &HashSet<Digest256>,
        lock: &Lock,
        report: &mut Pruned,
    ) -> Result<()> {
        let indexes = &plan.survey.indexes;
        let described = |pack: &Digest256| {
            let unindexed = |content: &PackContent| content.id == *pack;
            !plan.survey.unindexed.iter().any(unindexed)
        };
        if !leaving.iter().any(described) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let mut stays = |pack: &PackContent| {
            plan.survey.packs.contains_key(&pack.id)
                && !leaving.contains(&pack.id)
                && seen.insert(pack.id)
        };
        let mut indexing = Indexing::new(self, lock);
        for pack in plan.survey.unindexed.iter().filter(|pack| stays(pack)) {
            indexing.add(pack.clone())?;
        }
        for id in &indexes.sound {
            let index = self.read_proven(&path::index(id), |bytes| Index::decode(id, bytes))?;
            for pack in index.packs.into_iter().filter(&mut stays) {
                indexing.add(pack)?;
            }
        }
        let written = indexing.finish(indexes.sound.iter().chain(&indexes.superseded))?;
        for id in indexes.sound.iter().filter(|id| !written.contains(id)) {
            match self.storage().delete(&path::index(id)) {
                Err(error) if error.kind() == ErrorKind::Denied => report.refused(&error),
                result => result?,
            }
        }
        Ok(())
    }

    /// Copies the needed chunks of wasteful packs into new ones, as far as there is room, and gives back the old
    /// packs, which nothing needs then.
    fn repack(
        &self,
        plan: &Plan,
        lock: &Lock,
        progress: &dyn Progress,
        report: &mut Pruned,
    ) -> Result<Vec<Digest256>> {
        let mut room = self
            .storage()
            .space()?
            .map_or(u64::MAX, |space| space.free_bytes / 2);
        let mut chosen = Vec::new();
        for pack in &plan.wasteful {
            let Some(needed) = plan.survey.packs.get(pack).map(|pack| pack.needed_bytes) else {
                continue;
            };
            // Beside the chunks themselves their headers and an index.
            let Some(left) = room.checked_sub(needed.saturating_mul(2) + (1 << 20)) else {
                report
                    .notes
                    .push("there is no room to write more packs anew".to_owned());
                break;
            };
            room = left;
            chosen.push(*pack);
        }
        if chosen.is_empty() {
            return Ok(chosen);
        }
        progress.stage("prune: repacking", None);
        let mut copied: HashSet<ChunkId> = HashSet::new();
        let mut indexing = Indexing::new(self, lock);
        let mut open = PackBuilder::default();
        let mut done = Vec::new();
        for pack in chosen {
            progress.check()?;
            let Some(chunks) = self.needed_chunks(plan, pack)? else {
                report
                    .notes
                    .push(format!("pack {pack} was not written anew: it is damaged"));
                continue;
            };
            for (place, stored) in chunks {
                if copied.insert(place.id) {
                    open.add(place.id, place.codec, &stored, place.plain_bytes)?;
                }
                if open.stored_bytes() >= PACK_BYTES {
                    indexing.add(self.put_pack(std::mem::take(&mut open), lock)?)?;
                }
            }
            done.push(pack);
            report.repacked(plan, &pack);
        }
        if !open.is_empty() {
            indexing.add(self.put_pack(open, lock)?)?;
        }
        indexing.finish([])?;
        Ok(done)
    }

    /// The chunks of a pack that are needed, as they are stored, each proven; `None` where one is damaged.
    #[allow(clippy::type_complexity)] // A list of pairs.
    fn needed_chunks(
        &self,
        plan: &Plan,
        pack: Digest256,
    ) -> Result<Option<Vec<(crate::format::index::ChunkPlace, Vec<u8>)>>> {
        let bytes = self.storage().read(&path::pack(&pack))?;
        let content = match crate::format::pack::parse_toc(pack, bytes.len() as u64, &bytes) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Damaged => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut chunks = Vec::new();
        for place in content.chunks {
            if !plan.survey.needs(&place.id) {
                continue;
            }
            let stretch = usize::try_from(place.offset)
                .ok()
                .zip(usize::try_from(place.offset + place.stored_bytes).ok())
                .and_then(|(start, end)| bytes.get(start..end));
            let Some(stored) = stretch else {
                return Ok(None);
            };
            if codec::decode(&place.id, place.codec, stored, place.plain_bytes).is_err() {
                return Ok(None);
            }
            chunks.push((place, stored.to_vec()));
        }
        Ok(Some(chunks))
    }

    fn put_pack(&self, mut pack: PackBuilder, lock: &Lock) -> Result<PackContent> {
        pack.salt()?;
        let (content, bytes) = pack.finish()?;
        lock.check()?;
        self.storage().create(&path::pack(&content.id), &bytes)?;
        Ok(content)
    }

    /// What is named by its content and is there already needs no second writing.
    fn create_or_keep(&self, path: &str, bytes: &[u8]) -> Result<()> {
        match self.storage().create(path, bytes) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if self.storage().read(path)? == bytes {
                    return Ok(());
                }
                self.storage().replace(path, bytes)
            }
            result => result,
        }
    }
}

/// Indexes being written.
struct Indexing<'a> {
    repository: &'a Repository,
    lock: &'a Lock,
    open: Index,
    /// Chunks that the open one describes.
    chunks: usize,
    written: Vec<Digest256>,
}

impl<'a> Indexing<'a> {
    fn new(repository: &'a Repository, lock: &'a Lock) -> Self {
        Self {
            repository,
            lock,
            open: Index::default(),
            chunks: 0,
            written: Vec::new(),
        }
    }

    fn add(&mut self, pack: PackContent) -> Result<()> {
        if self.chunks >= INDEX_CHUNKS {
            self.close()?;
        }
        self.chunks += pack.chunks.len();
        self.open.packs.push(pack);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let mut index = std::mem::take(&mut self.open);
        if index.packs.is_empty() && index.supersedes.is_empty() {
            return Ok(());
        }
        index.packs.sort_by_key(|pack| pack.id);
        self.chunks = 0;
        let (id, bytes) = index.encode()?;
        self.lock.check()?;
        self.repository.create_or_keep(&path::index(&id), &bytes)?;
        self.written.push(id);
        Ok(())
    }

    /// Closes the last one, which supersedes these: until it is there they count as well. All that were written.
    fn finish<'i>(
        mut self,
        supersedes: impl IntoIterator<Item = &'i Digest256>,
    ) -> Result<Vec<Digest256>> {
        let old = supersedes.into_iter();
        self.open.supersedes = old
            .filter(|id| !self.written.contains(id))
            .copied()
            .collect();
        self.open.supersedes.sort_unstable();
        self.open.supersedes.dedup();
        self.close()?;
        Ok(self.written)
    }
}

/// What is to be done about each pack.
struct Plan {
    survey: Survey,
    /// Unneeded, and not condemned yet, or by a clock that was wrong.
    fresh: HashSet<Digest256>,
    /// Condemned, within the grace.
    waiting: HashSet<Digest256>,
    /// Condemned, the grace is over.
    due: HashSet<Digest256>,
    /// Condemned, but needed.
    pardoned: HashSet<Digest256>,
    /// Needed, but mostly waste; the worst first.
    wasteful: Vec<Digest256>,
}

impl Plan {
    fn new(survey: Survey, condemned: &Condemned, options: &PruneOptions) -> Self {
        let future = condemned.dated_after(options.now);
        let mut plan = Self {
            fresh: HashSet::new(),
            waiting: HashSet::new(),
            due: HashSet::new(),
            pardoned: HashSet::new(),
            wasteful: Vec::new(),
            survey,
        };
        for (id, pack) in &plan.survey.packs {
            let is_condemned = condemned.contains(id);
            if !pack.is_needed() {
                let group = if !is_condemned || future.contains(id) {
                    &mut plan.fresh
                } else if condemned.is_due(id, options.grace, options.now) {
                    &mut plan.due
                } else {
                    &mut plan.waiting
                };
                group.insert(*id);
            } else if is_condemned {
                plan.pardoned.insert(*id);
            } else if !pack.is_unclear
                && pack.waste_percent() > u64::from(options.repack_above_percent)
            {
                plan.wasteful.push(*id);
            }
        }
        let packs = &plan.survey.packs;
        plan.wasteful.sort_by_key(|id| {
            let waste = packs
                .get(id)
                .map_or(0, |pack| pack.bytes - pack.needed_bytes.min(pack.bytes));
            (std::cmp::Reverse(waste), *id)
        });
        plan
    }

    fn bytes(&self, pack: &Digest256) -> u64 {
        self.survey.packs.get(pack).map_or(0, |pack| pack.bytes)
    }

    fn report(&self) -> Pruned {
        Pruned {
            packs: self.survey.packs.len() as u64,
            packs_bytes: self.survey.packs.values().map(|pack| pack.bytes).sum(),
            ..Pruned::default()
        }
    }
}

impl Pruned {
    fn freed<'a>(&mut self, plan: &Plan, packs: impl IntoIterator<Item = &'a Digest256>) {
        for pack in packs {
            self.freed_packs += 1;
            self.freed_bytes += plan.bytes(pack);
        }
    }

    fn condemned<'a>(&mut self, plan: &Plan, packs: impl IntoIterator<Item = &'a Digest256>) {
        for pack in packs {
            self.condemned_packs += 1;
            self.condemned_bytes += plan.bytes(pack);
        }
    }

    fn repacked(&mut self, plan: &Plan, pack: &Digest256) {
        let Some(found) = plan.survey.packs.get(pack) else {
            return;
        };
        self.repacked_packs += 1;
        self.repacked_waste_bytes += found.bytes.saturating_sub(found.needed_bytes);
    }

    fn refused(&mut self, error: &Error) {
        self.notes.push(format!("left where it is: {error}"));
    }
}
