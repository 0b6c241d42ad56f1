//! Pruning in two steps: nothing that a backup needs is lost, also beside writers whose leases nobody sees.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use obbackup::codec::Compression;
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::manifest::BackupId;
use obbackup::format::path;
use obbackup::format::record::LeaseMode;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::lock::Lock;
use obbackup::repository::prune::{PruneOptions, Pruned};
use obbackup::storage::faulty::{Fault, Faulty, Operations};
use obbackup::storage::memory::Memory;
use obbackup::storage::{Object, Storage};

use crate::support::backups::{Stored, Taking, contents, read_back, take};
use crate::sweep::{sound, stored_bytes};

const GRACE_HOURS: i64 = 24;

/// A storage that does not show all that there is, or does not delete all that it should.
struct Odd {
    inner: Arc<dyn Storage>,
    /// Whether a listing leaves this path out.
    hides: fn(&str) -> bool,
    /// Whether this path cannot be deleted.
    keeps: fn(&str) -> bool,
}

impl Odd {
    /// As an old listing shows it: others' leases are not there.
    fn blind(inner: Arc<dyn Storage>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            hides: |path| path.starts_with(path::LOCKS),
            keeps: |_| false,
        })
    }

    fn shown(&self, mut objects: Vec<Object>) -> Vec<Object> {
        objects.retain(|object| !(self.hides)(&object.path));
        objects
    }

    /// Refuses to delete anything but leases, as an object lock does.
    fn locked(inner: Arc<dyn Storage>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            hides: |_| false,
            keeps: |path| !path.starts_with(path::LOCKS),
        })
    }
}

impl Storage for Odd {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.inner.create(path, bytes)
    }
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.inner.replace(path, bytes)
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.inner.read_range(path, range)
    }
    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        Ok(self.shown(self.inner.list(prefix)?))
    }
    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        Ok(self.shown(self.inner.list_between(after, before)?))
    }
    fn delete(&self, path: &str) -> Result<()> {
        if (self.keeps)(path) {
            return Err(Error::new(ErrorKind::Denied, format!("`{path}` is locked")));
        }
        self.inner.delete(path)
    }
    fn wrapped(&self) -> Option<&dyn Storage> {
        Some(&*self.inner)
    }
    fn shows_every_lease(&self) -> bool {
        false
    }
}

/// Prunes as if `hours` had passed.
fn prune(storage: Arc<dyn Storage>, hours: i64, repack_above_percent: u8) -> Result<Pruned> {
    let repository = Repository::open(Odd::blind(storage))?;
    let lock = repository.lock(LeaseMode::Exclusive, "instance", "prune")?;
    let options = PruneOptions {
        grace: TimeDelta::hours(GRACE_HOURS),
        repack_above_percent,
        now: Utc::now() + TimeDelta::hours(hours),
    };
    repository.prune(&lock, &options, &Silent)
}

/// Takes a backup out of existence without giving back its room.
fn forget(repository: &Repository, id: &BackupId) {
    let blind = Repository::open(Odd::blind(repository.storage().clone())).unwrap();
    let lock = blind
        .lock(LeaseMode::Exclusive, "instance", "forget")
        .unwrap();
    let backup = blind.resolve(&id.to_hex(), None).unwrap();
    blind.delete_backup(&backup, &lock).unwrap();
}

fn made() -> (Arc<Memory>, Repository) {
    let memory = Arc::new(Memory::default());
    let repository = Repository::init(memory.clone(), Compression::Zstd).unwrap();
    (memory, repository)
}

/// With the backup number 1, and what is left of number 40, which is forgotten.
fn made_with_waste() -> (Arc<Memory>, Repository, BackupId) {
    let (memory, repository) = made();
    let kept = take(&repository, 1).unwrap();
    let gone = take(&repository, 40).unwrap();
    forget(&repository, &gone);
    (memory, repository, kept)
}

/// A writer whose lease the remover does not see.
fn writer(repository: &Repository, instance: &str) -> Lock {
    repository
        .lock(LeaseMode::Write, instance, "backup")
        .unwrap()
}

#[test]
fn what_nobody_needs_is_condemned_and_deleted_after_the_grace() {
    let (memory, repository) = made();
    let kept = take(&repository, 1).unwrap();
    let before = stored_bytes(&*memory);
    let gone = take(&repository, 40).unwrap();
    let both = stored_bytes(&*memory);
    assert_eq!(prune(memory.clone(), 0, 100).unwrap().condemned_packs, 0);
    forget(&repository, &gone);
    let first = prune(memory.clone(), 0, 100).unwrap();
    assert_eq!(
        (first.freed_packs, first.condemned_bytes),
        (0, both - before)
    );
    let early = prune(memory.clone(), GRACE_HOURS - 1, 100).unwrap();
    assert_eq!(
        (early.freed_packs, early.condemned_bytes),
        (0, both - before)
    );
    assert_eq!(stored_bytes(&*memory), both);
    assert_eq!(memory.list(path::CONDEMNED).unwrap().len(), 1);
    sound(&repository, "condemned");
    let late = prune(memory.clone(), GRACE_HOURS + 1, 100).unwrap();
    assert_eq!(late.freed_bytes, both - before, "{late:?}");
    assert_eq!(stored_bytes(&*memory), before);
    assert_eq!(memory.list(path::CONDEMNED).unwrap(), []);
    assert!(read_back(&repository, &kept).unwrap() == contents(1));
    sound(&repository, "pruned");
}

#[test]
fn a_backup_that_begins_later_stores_again_what_is_condemned() {
    let (memory, repository, _) = made_with_waste();
    prune(memory.clone(), 0, 100).unwrap();
    let lock = writer(&repository, "instance");
    // The same content gives the same packs, but for the salt: a pack of the old name would be deleted.
    let stored = Taking::begin(&repository, "instance", &contents(40))
        .unwrap()
        .finish()
        .unwrap();
    let freed = prune(memory.clone(), GRACE_HOURS + 1, 100).unwrap();
    assert!(freed.freed_packs > 0, "{freed:?}");
    let id = stored.commit(&repository, &lock).unwrap();
    assert!(read_back(&repository, &id).unwrap() == contents(40));
    sound(&repository, "after");
}

#[test]
fn a_backup_that_no_lease_showed_is_seen_at_the_second_look() {
    let (memory, repository) = made();
    let gone = take(&repository, 40).unwrap();
    let lock = writer(&repository, "other");
    let taking = Taking::begin(&repository, "other", &contents(40)).unwrap();
    let stored = taking.finish().unwrap();
    forget(&repository, &gone);
    assert!(prune(memory.clone(), 0, 100).unwrap().condemned_packs > 0);
    let id = stored.commit(&repository, &lock).unwrap();
    let second = prune(memory.clone(), GRACE_HOURS + 1, 100).unwrap();
    assert!(
        second.pardoned_packs > 0 && second.freed_packs == 0,
        "{second:?}"
    );
    assert_eq!(memory.list(path::CONDEMNED).unwrap(), []);
    assert!(read_back(&repository, &id).unwrap() == contents(40));
}

#[test]
fn what_is_condemned_while_a_backup_relies_on_it_is_stored_again() {
    let (memory, repository) = made();
    let gone = take(&repository, 40).unwrap();
    let lock = writer(&repository, "other");
    // It has two thirds in common with what is forgotten, and packs of its own that no manifest names yet.
    let taking = Taking::begin(&repository, "other", &contents(41)).unwrap();
    forget(&repository, &gone);
    assert!(prune(memory.clone(), 0, 100).unwrap().condemned_packs > 0);
    let stored = taking.finish().unwrap();
    assert!(
        prune(memory.clone(), GRACE_HOURS + 1, 100)
            .unwrap()
            .freed_packs
            > 0
    );
    let id = stored.commit(&repository, &lock).unwrap();
    assert!(read_back(&repository, &id).unwrap() == contents(41));
    sound(&repository, "after");
}

#[test]
fn a_backup_whose_ground_was_deleted_fails() {
    let (memory, repository) = made();
    let gone = take(&repository, 40).unwrap();
    let _lock = writer(&repository, "other");
    let taking = Taking::begin(&repository, "other", &contents(40)).unwrap();
    forget(&repository, &gone);
    prune(memory.clone(), 0, 100).unwrap();
    prune(memory.clone(), GRACE_HOURS + 1, 100).unwrap();
    let failed = taking.finish().err().unwrap();
    assert_eq!(failed.kind(), ErrorKind::Transient, "{failed}");
}

#[test]
fn packs_that_are_mostly_waste_are_written_anew() {
    let (memory, repository) = made();
    let kept = take(&repository, 1).unwrap();
    // Of the next pack only a third is needed once its backup is gone.
    let gone = take(&repository, 4).unwrap();
    let third = take(&repository, 6).unwrap();
    let before = stored_bytes(&*memory);
    forget(&repository, &gone);
    assert_eq!(prune(memory.clone(), 0, 90).unwrap().repacked_packs, 0);
    let repacked = prune(memory.clone(), 0, 50).unwrap();
    assert_eq!(repacked.repacked_packs, 1, "{repacked:?}");
    sound(&repository, "written anew");
    let freed = prune(memory.clone(), GRACE_HOURS + 1, 50).unwrap();
    assert_eq!(freed.freed_packs, 1, "{freed:?}");
    assert!(stored_bytes(&*memory) < before * 4 / 5);
    for (id, seed) in [(kept, 1), (third, 6)] {
        assert!(
            read_back(&repository, &id).unwrap() == contents(seed),
            "{seed}"
        );
    }
    sound(&repository, "pruned");
    assert_eq!(
        prune(memory.clone(), GRACE_HOURS * 3, 50)
            .unwrap()
            .repacked_packs,
        0
    );
}

#[test]
fn a_lost_index_makes_no_pack_unneeded() {
    let (memory, repository) = made();
    let id = take(&repository, 1).unwrap();
    for index in memory.list(path::INDEXES).unwrap() {
        memory.delete(&index.path).unwrap();
    }
    for hours in [0, GRACE_HOURS + 1] {
        let pruned = prune(memory.clone(), hours, 50).unwrap();
        assert_eq!(
            (pruned.freed_packs, pruned.condemned_packs),
            (0, 0),
            "{pruned:?}"
        );
    }
    assert!(read_back(&repository, &id).unwrap() == contents(1));
}

#[test]
fn a_clock_that_was_wrong_costs_time_and_no_data() {
    let (memory, ..) = made_with_waste();
    // A year ahead, and then right again.
    prune(memory.clone(), 24 * 365, 100).unwrap();
    let right = prune(memory.clone(), 0, 100).unwrap();
    assert!(
        right.condemned_packs > 0 && right.freed_packs == 0,
        "{right:?}"
    );
    assert!(
        prune(memory.clone(), GRACE_HOURS + 1, 100)
            .unwrap()
            .freed_packs
            > 0
    );
}

#[test]
fn what_the_storage_refuses_to_delete_is_named_and_passed_over() {
    let (memory, repository, kept) = made_with_waste();
    prune(memory.clone(), 0, 100).unwrap();
    for _ in 0..2 {
        let refused = prune(Odd::locked(memory.clone()), GRACE_HOURS + 1, 100).unwrap();
        assert_eq!(refused.freed_packs, 0);
        assert!(
            refused.notes.iter().any(|note| note.contains("is locked")),
            "{refused:?}"
        );
        assert!(read_back(&repository, &kept).unwrap() == contents(1));
    }
    let freed = prune(memory.clone(), GRACE_HOURS + 1, 100).unwrap();
    assert!(freed.freed_packs > 0 && freed.notes.is_empty(), "{freed:?}");
    sound(&repository, "unlocked");
}

/// A prune that fails anywhere loses nothing, and the next one does its work.
#[test]
fn a_prune_that_fails_anywhere_loses_nothing() {
    for fault in [Fault::Before(ErrorKind::Io), Fault::After(ErrorKind::Io)] {
        let mut failures = 0;
        for at in 0.. {
            let (memory, repository) = made();
            let kept = take(&repository, 1).unwrap();
            let waste = take(&repository, 4).unwrap();
            let third = take(&repository, 6).unwrap();
            let gone = take(&repository, 40).unwrap();
            forget(&repository, &gone);
            prune(memory.clone(), 0, 100).unwrap();
            forget(&repository, &waste);
            let faulty = Arc::new(Faulty::from(memory.clone(), Operations::All, at, fault));
            failures += u64::from(prune(faulty.clone(), GRACE_HOURS + 1, 50).is_err());
            let case = format!("{fault:?} from {at} on");
            sound(&repository, &case);
            for hours in [GRACE_HOURS * 2 + 3, GRACE_HOURS * 4] {
                prune(memory.clone(), hours, 50).unwrap();
            }
            for (id, seed) in [(kept, 1), (third, 6)] {
                assert!(
                    read_back(&repository, &id).unwrap() == contents(seed),
                    "{case}"
                );
            }
            sound(&repository, &case);
            assert_eq!(memory.list(path::CONDEMNED).unwrap(), [], "{case}");
            if faulty.count() <= at {
                break;
            }
        }
        assert!(failures >= 15, "{fault:?}: {failures}");
    }
}

/// What one writer of the thrashing test is at.
enum Stage {
    Taking(Box<Taking>),
    /// Since when, on the test's clock.
    Stored(Box<Stored>, i64),
}

struct Thrash {
    memory: Arc<Memory>,
    repository: Repository,
    writers: Vec<(Stage, Lock, u64)>,
    backups: BTreeMap<BackupId, u64>,
    hours: i64,
    state: u64,
    freed: u64,
    pardoned: u64,
    killed: u64,
}

impl Thrash {
    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 8) % below
    }

    fn step(&mut self, number: u64) {
        match self.random(20) {
            0..5 if self.writers.len() < 3 => {
                let seed = self.random(9);
                let instance = format!("instance{number}");
                let lock = writer(&self.repository, &instance);
                let taking = Taking::begin(&self.repository, &instance, &contents(seed)).unwrap();
                self.writers
                    .push((Stage::Taking(Box::new(taking)), lock, seed));
            }
            5..12 if !self.writers.is_empty() => {
                let chosen = usize::try_from(self.random(self.writers.len() as u64)).unwrap();
                let (stage, lock, seed) = self.writers.swap_remove(chosen);
                self.advance(stage, lock, seed);
            }
            12 if !self.writers.is_empty() => {
                // Its process dies.
                let chosen = usize::try_from(self.random(self.writers.len() as u64)).unwrap();
                self.writers.swap_remove(chosen);
            }
            13..15 if !self.backups.is_empty() => {
                let chosen = usize::try_from(self.random(self.backups.len() as u64)).unwrap();
                let id = *self.backups.keys().nth(chosen).unwrap();
                self.backups.remove(&id);
                forget(&self.repository, &id);
            }
            15..18 => self.prune(),
            _ => self.hours += i64::try_from(self.random(20)).unwrap(),
        }
    }

    fn advance(&mut self, stage: Stage, lock: Lock, seed: u64) {
        match stage {
            Stage::Taking(taking) => match taking.finish() {
                Ok(stored) => {
                    self.writers
                        .push((Stage::Stored(Box::new(stored), self.hours), lock, seed));
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Transient, "{error}"),
            },
            // A writer that waits longer has lost its lease.
            Stage::Stored(stored, since) if self.hours - since < GRACE_HOURS => {
                let id = stored.commit(&self.repository, &lock).unwrap();
                self.backups.insert(id, seed);
            }
            Stage::Stored(..) => {}
        }
    }

    fn prune(&mut self) {
        let storage: Arc<dyn Storage> = if self.random(3) == 0 {
            let at = self.random(40);
            Arc::new(Faulty::from(
                self.memory.clone(),
                Operations::All,
                at,
                Fault::Before(ErrorKind::Io),
            ))
        } else {
            self.memory.clone()
        };
        let leases = self.memory.list(path::LOCKS).unwrap();
        let pruned = prune(storage, self.hours, 50);
        // What a killed remover held lapses with it.
        for lease in self.memory.list(path::LOCKS).unwrap() {
            if !leases.contains(&lease) {
                self.memory.delete(&lease.path).unwrap();
            }
        }
        match pruned {
            Ok(pruned) => {
                self.freed += pruned.freed_packs;
                self.pardoned += pruned.pardoned_packs;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                self.killed += 1;
            }
        }
        for (id, seed) in &self.backups {
            assert!(read_back(&self.repository, id).unwrap() == contents(*seed));
        }
    }
}

/// Writers that no lease shows, removers that are killed, and a clock that runs: every listed backup comes back.
/// `OBBACKUP_TEST_ROUNDS` makes it longer.
#[test]
fn writers_and_removers_at_random_lose_nothing() {
    let rounds = std::env::var("OBBACKUP_TEST_ROUNDS").map_or(6, |text| text.parse().unwrap());
    let (mut freed, mut pardoned, mut killed) = (0, 0, 0);
    for round in 0..rounds {
        let (memory, repository) = made();
        let mut thrash = Thrash {
            memory,
            repository,
            writers: Vec::new(),
            backups: BTreeMap::new(),
            hours: 0,
            state: 0x9e37_79b9_7f4a_7c15 ^ (round + 1),
            freed: 0,
            pardoned: 0,
            killed: 0,
        };
        for number in 0..120 {
            thrash.step(number);
        }
        freed += thrash.freed;
        pardoned += thrash.pardoned;
        killed += thrash.killed;
    }
    assert!(
        freed > 10 && pardoned > 0 && killed > 5,
        "{freed} {pardoned} {killed}"
    );
}

#[test]
fn the_grace_is_counted_from_the_first_look() {
    let (memory, repository) = made();
    let gone = take(&repository, 40).unwrap();
    forget(&repository, &gone);
    let before: DateTime<Utc> = Utc::now();
    prune(memory.clone(), 0, 100).unwrap();
    // Looking again within the grace does not begin it anew.
    prune(memory.clone(), GRACE_HOURS / 2, 100).unwrap();
    let condemned = repository.condemned().unwrap();
    let pack = path::parse_pack(&memory.list(path::PACKS).unwrap()[0].path).unwrap();
    let due = |now| condemned.is_due(&pack, TimeDelta::hours(GRACE_HOURS), now);
    assert!(!due(
        before + TimeDelta::hours(GRACE_HOURS) - TimeDelta::seconds(1)
    ));
    assert!(due(Utc::now() + TimeDelta::hours(GRACE_HOURS)));
}
