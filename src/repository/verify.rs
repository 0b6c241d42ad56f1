//! Whether a repository is sound: every object there, whole, and what everything else says of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use crossbeam_channel::bounded;
use serde::Serialize;

use super::Repository;
use super::backups::Backup;
use super::chunk_set::ChunkSet;
use super::chunks::ChunkMap;
use super::reader::Reader;
use super::references::{Extent, for_each_piece};
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, Digest256};
use crate::format::manifest::BackupId;
use crate::format::record::{Condemnation, Lease, Mark, MarkKind, Run};
use crate::format::{path, sealed};
use crate::progress::Progress;
use crate::storage::Object;

/// The rooms of small sealed objects.
const RECORDS: &[&str] = &[path::MARKS, path::RUNS, path::LOCKS, path::CONDEMNED];

/// What to check.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read every byte, instead of believing names and lengths.
    pub read_data: bool,
    /// Only what this backup needs.
    pub backup: Option<BackupId>,
    /// Threads that read and decode.
    pub jobs: usize,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object's path.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether data is lost by it, or only worth knowing.
    pub severity: Severity,
    /// The backups that can no longer be restored whole because of it.
    pub backups: Vec<BackupId>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is lost by it.
    Note,
    /// Bytes are missing or wrong.
    Damage,
}

/// What a verification saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Backups looked at.
    pub backups: u64,
    /// Packs looked at.
    pub packs: u64,
    /// Different chunks that the backups refer to.
    pub chunks: u64,
    /// Bytes of packs that were read and proven.
    pub read_bytes: u64,
    /// Everything that is not as it should be, damage first.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether no data is lost.
    pub fn is_sound(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
    }
}

/// Findings being gathered, and what they are attributed by.
#[derive(Default)]
struct Findings {
    list: Vec<Finding>,
    bad_packs: BTreeMap<Digest256, String>,
    bad_chunks: HashMap<ChunkId, String>,
}

impl Findings {
    fn add(&mut self, severity: Severity, object: &str, problem: impl Into<String>) {
        let (object, problem) = (object.to_owned(), problem.into());
        self.list.push(Finding {
            object,
            problem,
            severity,
            backups: Vec::new(),
        });
    }
}

/// A small object beside the backups.
enum Record {
    Mark(Mark),
    Run(Run),
    Other,
}

/// What the backups need.
#[derive(Default)]
struct Needs {
    chunks: ChunkSet,
    packs: BTreeMap<Digest256, BTreeSet<BackupId>>,
}

impl Repository {
    /// Checks the repository. Damage is in the result; an error means that checking was not possible.
    pub fn verify(&self, options: &VerifyOptions, progress: &dyn Progress) -> Result<Verification> {
        progress.stage("verify: catalogs", None);
        let mut findings = Findings::default();
        let objects = self.storage().list("")?;
        let by_path: HashMap<&str, &Object> = objects
            .iter()
            .map(|object| (object.path.as_str(), object))
            .collect();

        let mut indexes = self.read_indexes()?;
        for (object, problem) in &indexes.damaged {
            findings.add(Severity::Damage, object, problem.clone());
        }
        let unindexed = self.check_packs(&objects, &by_path, &mut indexes.chunks, &mut findings)?;

        indexes.chunks.prefer_present(&objects);

        let found = self.backups()?;
        for (object, problem) in &found.damaged {
            findings.add(Severity::Damage, object, problem.clone());
        }
        let backups: Vec<Backup> = found
            .backups
            .into_iter()
            .filter(|backup| options.backup.is_none_or(|id| id == backup.id))
            .collect();
        for backup in &backups {
            for id in &backup.manifest.indexes {
                let object = path::index(id);
                let known = indexes.sound.contains(id) || indexes.superseded.contains(id);
                if !known && !by_path.contains_key(object.as_str()) {
                    findings.add(Severity::Damage, &object, "it is missing");
                }
            }
        }
        self.check_records(&objects, &backups, options, &mut findings)?;

        let mut needs = Needs::default();
        let chunks = Arc::new(indexes.chunks);
        let reader = self.reader_of(chunks.clone());
        for backup in &backups {
            progress.check()?;
            walk(backup, &reader, &chunks, &mut needs, &mut findings)?;
        }

        let mut read_bytes = 0;
        let packs: Vec<Digest256> = match options.backup {
            Some(_) => needs.packs.keys().copied().collect(),
            None => chunks
                .packs()
                .iter()
                .map(|(id, _)| *id)
                .chain(unindexed)
                .collect(),
        };
        if options.read_data {
            let total = packs
                .iter()
                .filter_map(|id| by_path.get(path::pack(id).as_str()));
            progress.stage("verify: data", Some(total.map(|object| object.bytes).sum()));
            read_bytes =
                self.read_packs(&packs, &by_path, &chunks, options, progress, &mut findings)?;
        }
        Ok(conclude(
            findings,
            &needs,
            &chunks,
            backups.len(),
            packs.len(),
            read_bytes,
        ))
    }

    /// Packs against indexes by name and length. Packs that no index describes are returned, and known from then on.
    fn check_packs(
        &self,
        objects: &[Object],
        by_path: &HashMap<&str, &Object>,
        chunks: &mut ChunkMap,
        findings: &mut Findings,
    ) -> Result<Vec<Digest256>> {
        for (id, bytes) in chunks.packs() {
            match by_path.get(path::pack(id).as_str()) {
                None => {
                    findings.bad_packs.insert(*id, "it is missing".to_owned());
                }
                Some(object) if object.bytes != *bytes => {
                    let problem = format!("it has {} bytes instead of {bytes}", object.bytes);
                    findings.bad_packs.insert(*id, problem);
                }
                Some(_) => {}
            }
        }
        let known: HashSet<_> = chunks.packs().iter().map(|(id, _)| *id).collect();
        let recovered = self.recover_packs(chunks, objects)?;
        let readable: HashSet<_> = recovered.iter().map(|content| content.id).collect();
        for content in &recovered {
            chunks.add(content);
        }
        let mut unreadable = Vec::new();
        for object in objects {
            let Some(id) = path::parse_pack(&object.path) else {
                let strange = !object.path.starts_with(path::BACKUPS)
                    && path::parse_index(&object.path).is_none()
                    && !RECORDS.iter().any(|room| object.path.starts_with(room))
                    && object.path != path::HEADER;
                if strange {
                    findings.add(
                        Severity::Note,
                        &object.path,
                        "it is not an object of a repository",
                    );
                }
                continue;
            };
            if readable.contains(&id) {
                findings.add(
                    Severity::Note,
                    &object.path,
                    "no index describes it: an interrupted backup left it, or its index was lost",
                );
            } else if !known.contains(&id) {
                findings
                    .bad_packs
                    .insert(id, "its table of contents cannot be read".to_owned());
                unreadable.push(id);
            }
        }
        Ok(unreadable)
    }

    /// Marks, leases and records of runs; and manifests against the runs that made them.
    fn check_records(
        &self,
        objects: &[Object],
        backups: &[Backup],
        options: &VerifyOptions,
        findings: &mut Findings,
    ) -> Result<()> {
        let present: HashSet<BackupId> = objects
            .iter()
            .filter_map(|object| Some(path::parse_manifest(&object.path)?.1))
            .collect();
        let mut deleted = HashSet::new();
        let mut runs = Vec::new();
        let records: Vec<(&Object, &str)> = objects
            .iter()
            .filter_map(|object| {
                let room = RECORDS
                    .iter()
                    .find(|room| object.path.starts_with(**room))?;
                Some((object, *room))
            })
            .collect();
        let read = self.each(&records, |(object, room)| {
            self.read_proven(&object.path, |bytes| {
                Ok(match *room {
                    path::MARKS => Record::Mark(sealed::unseal(bytes)?),
                    path::RUNS => Record::Run(sealed::unseal(bytes)?),
                    path::CONDEMNED => {
                        sealed::unseal::<Condemnation>(bytes).map(|_| Record::Other)?
                    }
                    path::LOCKS => sealed::unseal::<Lease>(bytes).map(|_| Record::Other)?,
                    _ => Record::Other,
                })
            })
        });
        for ((object, _), read) in records.into_iter().zip(read) {
            match read {
                Ok(Record::Mark(mark)) if mark.kind == MarkKind::Deleted => {
                    deleted.insert(mark.backup);
                }
                Ok(Record::Run(run)) => runs.push(run),
                Ok(Record::Mark(_) | Record::Other) => {}
                // A lease that was given back since.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    findings.add(Severity::Damage, &object.path, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let recorded: HashSet<&str> = runs.iter().map(|run| run.id.as_str()).collect();
        for run in runs.iter().filter(|run| run.command == "backup") {
            let (Some(id), Some(finished_at)) = (run.backup, run.backup_finished_at) else {
                continue;
            };
            let asked = options.backup.is_none_or(|asked| asked == id);
            if asked && !present.contains(&id) && !deleted.contains(&id) {
                let object = path::manifest(finished_at, &id);
                findings.add(
                    Severity::Damage,
                    &object,
                    "it is missing, and nobody deleted that backup",
                );
            }
        }
        for backup in backups {
            if !recorded.contains(backup.manifest.run.as_str()) {
                let object = path::run(backup.manifest.started_at, &backup.manifest.run);
                findings.add(
                    Severity::Note,
                    &object,
                    format!(
                        "it is missing: the record of the run that made backup {}",
                        backup.id.short()
                    ),
                );
            }
        }
        Ok(())
    }

    /// Reads packs whole: their digest, their table of contents, and every chunk.
    fn read_packs(
        &self,
        packs: &[Digest256],
        by_path: &HashMap<&str, &Object>,
        chunks: &ChunkMap,
        options: &VerifyOptions,
        progress: &dyn Progress,
        findings: &mut Findings,
    ) -> Result<u64> {
        let shared = Mutex::new((findings, 0_u64));
        let (sender, receiver) = bounded::<Digest256>(1);
        let outcome: Result<()> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..options.jobs.max(1))
                .map(|_| {
                    let (receiver, shared) = (receiver.clone(), &shared);
                    scope.spawn(move || -> Result<()> {
                        for id in receiver {
                            progress.check()?;
                            let read = self.read_pack(id, chunks);
                            let mut guard = shared
                                .lock()
                                .unwrap_or_else(std::sync::PoisonError::into_inner);
                            match read {
                                Ok((bytes, bad_chunks)) => {
                                    guard.1 += bytes;
                                    guard.0.bad_chunks.extend(bad_chunks);
                                    progress.advance(bytes);
                                }
                                Err(error) if error.kind() == ErrorKind::Damaged => {
                                    guard.0.bad_packs.insert(id, error.to_string());
                                }
                                Err(error) => return Err(error),
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            drop(receiver);
            for id in packs
                .iter()
                .filter(|id| by_path.contains_key(path::pack(id).as_str()))
            {
                if sender.send(*id).is_err() {
                    break;
                }
            }
            drop(sender);
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::Failure,
                        "a verifying thread ended unexpectedly",
                    ))
                })
            })
        });
        outcome?;
        Ok(shared
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .1)
    }

    fn read_pack(&self, id: Digest256, chunks: &ChunkMap) -> Result<(u64, Vec<(ChunkId, String)>)> {
        let (content, bytes) = self.read_pack_whole(&id)?;
        let length = bytes.len() as u64;
        let mut bad = Vec::new();
        for place in &content.chunks {
            let range = usize::try_from(place.offset)
                .ok()
                .zip(usize::try_from(place.offset + place.stored_bytes).ok())
                .and_then(|(start, end)| bytes.get(start..end));
            let decoded = range
                .ok_or_else(|| Error::new(ErrorKind::Damaged, "it lies outside of its pack"))
                .and_then(|stored| {
                    codec::decode(&place.id, place.codec, stored, place.plain_bytes)
                });
            if let Err(error) = decoded {
                bad.push((place.id, error.to_string()));
            } else if let Some((pack, known)) = chunks.get(&place.id)
                && pack == id
                && known.range() != (place.offset..place.offset + place.stored_bytes)
            {
                bad.push((
                    place.id,
                    "the index says that it lies elsewhere in its pack".to_owned(),
                ));
            }
        }
        Ok((length, bad))
    }
}

/// Everything that a backup refers to, against the chunks that are known.
fn walk(
    backup: &Backup,
    reader: &Reader,
    chunks: &ChunkMap,
    needs: &mut Needs,
    findings: &mut Findings,
) -> Result<()> {
    let object = path::manifest(backup.manifest.finished_at, &backup.id);
    let mut problems: Vec<String> = Vec::new();
    let mut unreadable: Vec<String> = Vec::new();
    let mut unchecked = None;
    for_each_piece(
        &backup.manifest,
        reader,
        &mut |piece| {
            let mut held_bytes = 0;
            for id in piece.chunks {
                needs.chunks.insert(id);
                match chunks.get(id) {
                    Some((pack, place)) => {
                        held_bytes += place.plain_bytes();
                        needs.packs.entry(pack).or_default().insert(backup.id);
                    }
                    None => problems.push(format!("{}: chunk {id} is in no pack", piece.thing)),
                }
            }
            let complete = piece.chunks.iter().all(|id| chunks.contains(id));
            let fits = match piece.extent {
                Extent::Exactly(bytes) => held_bytes == bytes,
                Extent::AtLeast(bytes) => held_bytes >= bytes,
            };
            if complete && !fits {
                problems.push(format!(
                    "{}: its chunks have not the length they should",
                    piece.thing
                ));
            }
        },
        &mut |part, error| {
            let problem = format!("the catalog of the {part} cannot be read: {error}");
            match error.kind() {
                ErrorKind::Damaged | ErrorKind::NotFound => unreadable.push(problem),
                // That a storage does not answer says nothing of what lies there.
                _ => {
                    unchecked.get_or_insert(error.context(format!("the catalog of the {part}")));
                }
            }
        },
    );
    if let Some(error) = unchecked {
        return Err(error);
    }
    for problem in problems.into_iter().chain(unreadable) {
        findings.list.push(Finding {
            object: object.clone(),
            problem,
            severity: Severity::Damage,
            backups: vec![backup.id],
        });
    }
    Ok(())
}

/// Says for each bad pack and chunk which backups need it.
fn conclude(
    findings: Findings,
    needs: &Needs,
    chunks: &ChunkMap,
    backups: usize,
    packs: usize,
    read_bytes: u64,
) -> Verification {
    let Findings {
        mut list,
        bad_packs,
        bad_chunks,
    } = findings;
    let affected = |pack: &Digest256| {
        needs
            .packs
            .get(pack)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    };
    for (id, problem) in bad_packs {
        list.push(Finding {
            object: path::pack(&id),
            problem,
            severity: Severity::Damage,
            backups: affected(&id),
        });
    }
    for (id, problem) in bad_chunks {
        if let Some((pack, _)) = chunks.get(&id) {
            list.push(Finding {
                object: path::pack(&pack),
                problem: format!("chunk {id}: {problem}"),
                severity: Severity::Damage,
                backups: affected(&pack),
            });
        }
    }
    list.sort_by(|left, right| {
        right
            .severity
            .cmp(&left.severity)
            .then_with(|| left.object.cmp(&right.object))
    });
    Verification {
        backups: backups as u64,
        packs: packs as u64,
        chunks: needs.chunks.len() as u64,
        read_bytes,
        findings: list,
    }
}
