//! Copying a backup into another repository: only what is not there yet, byte for byte.
//!
//! The copy is the same backup, with the same id: manifests, packs and chunks are named by their content. A pack of
//! which much is missing moves as it is; of other packs the missing chunks alone. The order is that of a backup:
//! packs, index, manifest last, so that a copy that is broken off is none.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use chrono::Utc;
use crossbeam_channel::bounded;
use serde::Serialize;

use super::backup::BackupTaken;
use crate::chunk::{ChunkSink as _, ChunkSource as _};
use crate::config::{Configuration, Owner, RepositorySection};
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256, random_id};
use crate::format::manifest::BackupId;
use crate::format::record::{LeaseMode, Run};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::glance::Rooms;
use crate::repository::identity::Worker;
use crate::repository::reader::Reader;
use crate::repository::references::for_each_piece;
use crate::repository::writer::Writer;

/// A pack moves whole when at least this share of its bytes is missing at the other place.
const WHOLE_PERCENT: u64 = 50;

/// What a copy would move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyPlan {
    /// The backup.
    pub id: BackupId,
    /// Where it is.
    pub from: String,
    /// Where it goes.
    pub to: String,
    /// Whether it is there already.
    pub is_there: bool,
    /// Chunks that it is made of.
    pub chunks: u64,
    /// Those that are missing there.
    pub missing_chunks: u64,
    /// Their bytes as they are stored.
    pub missing_bytes: u64,
}

/// What a copy moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// The plan that it followed.
    #[serde(flatten)]
    pub plan: CopyPlan,
    /// Packs that moved as they are.
    pub packs: u64,
    /// Bytes written there: packs and index.
    pub stored_bytes: u64,
}

/// What became of one of several copies.
#[derive(Debug, Clone, Serialize)]
pub struct CopyOutcome {
    /// The repository's name.
    pub repository: String,
    /// What was copied, if it was.
    pub copied: Option<Copied>,
    /// The name of the error's kind, if it was not.
    pub error: Option<&'static str>,
    /// The error in words.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What `backup` gives: the new backup, and what became of its copies.
#[derive(Debug, Serialize)]
pub struct TakenAndCopied<'a> {
    /// The backup.
    #[serde(flatten)]
    pub taken: &'a BackupTaken,
    /// Its copies.
    pub copies: &'a [CopyOutcome],
}

/// Where the missing chunks lie.
struct Missing {
    plan: CopyPlan,
    packs: BTreeMap<Digest256, Vec<ChunkId>>,
    whole: HashSet<Digest256>,
}

/// Looks at what a copy would move, and changes nothing.
pub fn plan(from: &Repository, to: &Repository, backup: &Backup) -> Result<CopyPlan> {
    let to = &to.glance(Rooms::Small)?;
    let known = to.read_indexes()?.chunks;
    let missing = missing(from, to, backup, &from.reader()?, &|id| known.contains(id))?;
    Ok(missing.plan)
}

/// Copies `backup` from one repository to the other. Its run is recorded there.
pub fn copy(
    from: &Repository,
    to: &Repository,
    backup: &Backup,
    progress: &dyn Progress,
) -> Result<Copied> {
    if from.header().id == to.header().id {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "`{}` and `{}` are the same repository",
                from.storage().location(),
                to.storage().location()
            ),
        )
        .hint("Name another one with --to."));
    }
    to.until_stopped(progress, || {
        from.until_stopped(progress, || {
            copy_what_is_missing(from, to, backup, progress)
        })
    })
}

fn copy_what_is_missing(
    from: &Repository,
    to: &Repository,
    backup: &Backup,
    progress: &dyn Progress,
) -> Result<Copied> {
    let started_at = Utc::now();
    let instance = &backup.manifest.instance.id;
    let before = to.glance_to_write(Rooms::Small)?;
    let (lock, seen) =
        before.lock_and_glance(LeaseMode::Write, instance, "copy", Rooms::WithPacks)?;
    progress.stage("comparing", None);
    let reader = from.reader()?;
    let writer = seen.writer()?;
    let missing = missing(from, &seen, backup, &reader, &|id| writer.has(id))?;
    if missing.plan.is_there {
        return Ok(Copied {
            plan: missing.plan,
            packs: 0,
            stored_bytes: 0,
        });
    }
    progress.stage("copying", Some(missing.plan.missing_bytes));
    let packs = missing.whole.len() as u64;
    move_all(from, &missing, &reader, &writer, progress)?;
    progress.stage("finishing", None);
    progress.check()?;
    // The manifest names the indexes of its first repository; here the new one stands for them.
    writer.supersede(&backup.manifest.indexes);
    let written = writer.finish()?;
    to.adopt(from, backup, &lock)?;
    let host = &Worker::this().host;
    let recorded = to.record(&Run {
        backup_type: Some(backup.manifest.backup_type),
        backup: Some(backup.id),
        backup_finished_at: Some(backup.manifest.finished_at),
        ..Run::ended(random_id(8)?, "copy", instance, host, started_at)
    });
    // The copy is there.
    if let Err(error) = recorded {
        progress.warn(&format!("the run could not be recorded: {error}"));
    }
    Ok(Copied {
        plan: missing.plan,
        packs,
        stored_bytes: written.stored_bytes,
    })
}

/// The repositories that a new backup in `from` is copied to, each once: those of its `copy_to`, and `more`.
pub fn targets(
    configuration: &Configuration,
    from: &RepositorySection,
    more: &[String],
) -> Result<Vec<(String, RepositorySection)>> {
    let mut targets: Vec<(String, RepositorySection)> = Vec::new();
    for name in from.copy_to.iter().chain(more) {
        if targets.iter().all(|(known, _)| known != name) {
            let section = configuration.repository(Some(name))?.section;
            targets.push((name.clone(), section));
        }
    }
    Ok(targets)
}

/// Copies `backup` to each of `targets`; that one fails keeps none of the others from being made.
pub fn copy_to_each(
    from: &Repository,
    backup: &Backup,
    targets: &[(String, RepositorySection)],
    owner: Option<Owner>,
    cache: Option<&Path>,
    progress: &dyn Progress,
) -> Vec<CopyOutcome> {
    let one = |(name, section): &(String, RepositorySection)| {
        let copied = Repository::at_until_stopped(section, owner, cache, progress)
            .and_then(|to| copy(from, &to, backup, progress));
        let error = copied.as_ref().err();
        CopyOutcome {
            repository: name.clone(),
            error: error.map(|error| error.kind().name()),
            message: error.map(Error::message),
            hint: error.and_then(|error| error.hint_text().map(str::to_owned)),
            copied: copied.ok(),
        }
    };
    targets.iter().map(one).collect()
}

fn missing(
    from: &Repository,
    to: &Repository,
    backup: &Backup,
    reader: &Reader,
    has: &dyn Fn(&ChunkId) -> bool,
) -> Result<Missing> {
    let is_there = to
        .backups()?
        .backups
        .iter()
        .any(|other| other.id == backup.id);
    let mut all: HashSet<ChunkId> = HashSet::new();
    let mut lacking: Vec<ChunkId> = Vec::new();
    let mut unreadable = None;
    for_each_piece(
        &backup.manifest,
        reader,
        &mut |piece| {
            for id in piece.chunks {
                if all.insert(*id) && !has(id) {
                    lacking.push(*id);
                }
            }
        },
        &mut |part, error| {
            unreadable.get_or_insert(error.context(format!("the catalog of the {part}")));
        },
    );
    if let Some(error) = unreadable {
        return Err(error);
    }
    let mut packs: BTreeMap<Digest256, Vec<ChunkId>> = BTreeMap::new();
    let mut whole = HashSet::new();
    let (missing_chunks, mut missing_bytes) = (lacking.len() as u64, 0);
    let mut held: BTreeMap<Digest256, (u64, u64)> = BTreeMap::new();
    for id in lacking {
        let place = reader.place(&id)?;
        missing_bytes += place.stored_bytes;
        let (lacking_bytes, _) = *held
            .entry(place.pack)
            .and_modify(|(bytes, _)| *bytes += place.stored_bytes)
            .or_insert((place.stored_bytes, place.pack_bytes));
        if lacking_bytes * 100 >= place.pack_bytes * WHOLE_PERCENT {
            whole.insert(place.pack);
        }
        packs.entry(place.pack).or_default().push(id);
    }
    Ok(Missing {
        plan: CopyPlan {
            id: backup.id,
            from: from.storage().location(),
            to: to.storage().location(),
            is_there,
            chunks: all.len() as u64,
            missing_chunks,
            missing_bytes,
        },
        packs,
        whole,
    })
}

/// Moves packs and chunks, several at a time: while one is read another is written.
fn move_all(
    from: &Repository,
    missing: &Missing,
    reader: &Reader,
    writer: &Writer,
    progress: &dyn Progress,
) -> Result<()> {
    const AT_ONCE: usize = 3;
    let (sender, receiver) = bounded::<(&Digest256, &Vec<ChunkId>)>(0);
    let worker = || -> Result<()> {
        for (pack, chunks) in receiver.clone() {
            progress.check()?;
            let mut moved = 0;
            if missing.whole.contains(pack) && move_pack(from, pack, writer, &mut moved)? {
                progress.advance(moved);
                continue;
            }
            for id in chunks {
                moved = reader.place(id)?.stored_bytes;
                writer.put(&reader.get(id)?)?;
                progress.advance(moved);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        for entry in &missing.packs {
            // All workers have failed: their errors say why.
            if sender.send(entry).is_err() {
                break;
            }
        }
        drop(sender);
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Failure,
                    "a copying thread ended unexpectedly",
                ))
            })
        })
    })
}

/// Moves a pack as it is. `false` where it is not whole any more: its chunks are moved one by one then, each proven.
fn move_pack(
    from: &Repository,
    pack: &Digest256,
    writer: &Writer,
    moved: &mut u64,
) -> Result<bool> {
    match from.read_pack_whole(pack) {
        Ok((content, bytes)) => {
            *moved = bytes.len() as u64;
            writer.put_pack(content, &bytes)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(false),
        Err(error) => Err(error),
    }
}
