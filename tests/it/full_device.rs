//! A device that is full: the repository opens, removing works and gives the room back, and the next backup works.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use obbackup::codec::Compression;
use obbackup::command::delete::delete;
use obbackup::command::forget::{self, ForgetOptions};
use obbackup::command::prune;
use obbackup::config::Configuration;
use obbackup::config::retention::{KeepRules, RetentionSection};
use obbackup::error::ErrorKind;
use obbackup::format::path;
use obbackup::format::record::LeaseMode;
use obbackup::instance::{Environment, Instance};
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::prune::PruneOptions;
use obbackup::storage::Storage;
use obbackup::storage::faulty::{Fault, Faulty, Operations};
use obbackup::storage::local::Local;
use obbackup::storage::memory::Memory;

use crate::place::Place;
use crate::support::backups::{contents, read_back, take};
use crate::support::cluster::skipped;
use crate::support::tree::is_root;
use crate::sweep::{sound, stored_bytes};

/// A small device that is unmounted in the end.
struct Device(tempfile::TempDir);

impl Device {
    fn new(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "tmpfs"])
                .arg(directory.path())
                .output()
                .is_ok_and(|output| output.status.success());
        if !mounted {
            skipped(&"a device of a fixed size needs the right to mount");
            return None;
        }
        Some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves not a byte, or not a file.
    fn fill(&self) {
        if let Ok(mut file) = fs::File::create(self.path().join("filler")) {
            let block = vec![1; 4096];
            while file.write_all(&block).is_ok() {}
        }
        let files = (0..100_000).map(|number| self.path().join(format!("filler-{number}")));
        for file in files {
            if fs::write(file, "").is_err() {
                break;
            }
        }
    }
}

impl Device {
    /// Takes away what [`Self::fill`] left.
    fn empty(&self) {
        for entry in fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn on_a_full_device_backups_can_be_deleted_and_pruned() {
    for options in ["size=24m", "size=64m,nr_inodes=150"] {
        let Some(device) = Device::new(options) else {
            return;
        };
        let storage = Arc::new(Local::new(device.path().join("repository")));
        let repository = Repository::init(storage.clone(), Compression::Zstd).unwrap();
        storage.hold_reserve().unwrap();
        let kept = take(&repository, 1).unwrap();
        let first = take(&repository, 40).unwrap();
        let second = take(&repository, 80).unwrap();
        device.fill();
        let refused = take(&repository, 120).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NoSpace, "{options}: {refused}");

        let before = stored_bytes(&*storage);
        let backup = repository.resolve(&first.to_hex(), None).unwrap();
        let deleted = delete(&repository, &backup, &Silent).unwrap();
        assert!(deleted.freed_bytes > 1_000_000, "{options}: {deleted:?}");
        assert!(stored_bytes(&*storage) < before);
        sound(&repository, options);

        // Full once more, with what came back. Forgetting frees next to nothing, and somebody else takes it: there is
        // still enough for pruning.
        device.fill();
        let forgotten = forget::run(&instance(), &repository, &keep_last(1), &Silent).unwrap();
        assert_eq!(forgotten.forgotten, [kept], "{options}");
        device.fill();
        let how = prune::options(&RetentionSection::default(), Some(TimeDelta::zero()));
        let pruned = prune::run(None, &repository, &how, &Silent).unwrap();
        assert!(pruned.freed_bytes > 1_000_000, "{options}: {pruned:?}");
        assert!(read_back(&repository, &second).unwrap() == contents(80));
        sound(&repository, options);

        device.empty();
        let next = take(&repository, 120).unwrap();
        assert!(read_back(&repository, &next).unwrap() == contents(120));
        sound(&repository, options);
    }
}

/// The instance that [`take`] takes backups of.
fn instance() -> Instance {
    let place = Place::new();
    let text = "[instance]\nid = \"instance\"\n";
    let configuration = Configuration::parse(text, Path::new("obbackup.toml")).unwrap();
    Instance::open(&place.path("erp"), &Environment::default(), &configuration).unwrap()
}

fn keep_last(count: u32) -> ForgetOptions {
    ForgetOptions {
        rules: Some(KeepRules {
            keep_last: Some(count),
            ..KeepRules::default()
        }),
        ..ForgetOptions::default()
    }
}

/// What runs out of room.
#[derive(Debug, Clone, Copy)]
enum Work {
    Take,
    Delete,
    Forget,
    Prune,
}

fn options() -> PruneOptions {
    PruneOptions {
        grace: TimeDelta::zero(),
        repack_above_percent: 50,
        now: Utc::now(),
    }
}

#[test]
fn a_device_that_fills_up_at_any_write_costs_nothing() {
    let instance = instance();
    for work in [Work::Take, Work::Delete, Work::Forget, Work::Prune] {
        let mut failures = 0;
        for at in 0.. {
            let memory = Arc::new(Memory::default());
            let repository = Repository::init(memory.clone(), Compression::Zstd).unwrap();
            let gone = take(&repository, 40).unwrap();
            let other = stored_bytes(&*memory);
            let kept = take(&repository, 1).unwrap();
            let alone = stored_bytes(&*memory) - other;
            let fault = Fault::Before(ErrorKind::NoSpace);
            let faulty = Arc::new(Faulty::from(memory.clone(), Operations::Writes, at, fault));
            let full = Repository::open(faulty.clone()).unwrap();
            let outcome = match work {
                Work::Take => take(&full, 80).map(|_| ()),
                Work::Delete => full
                    .resolve(&gone.to_hex(), None)
                    .and_then(|backup| delete(&full, &backup, &Silent))
                    .map(|_| ()),
                Work::Forget => forget::run(&instance, &full, &keep_last(1), &Silent).map(|_| ()),
                Work::Prune => full
                    .lock(LeaseMode::Exclusive, "instance", "prune")
                    .and_then(|lock| {
                        let backup = full.resolve(&gone.to_hex(), None)?;
                        full.delete_backup(&backup, &lock)?;
                        full.prune(&lock, &options(), &Silent).map(|_| ())
                    }),
            };
            let case = format!("{work:?} full from write {at} on");
            if let Err(error) = outcome {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{case}: {error}");
                failures += 1;
            }
            // The lease of this living process could not be given back.
            for lease in memory.list(path::LOCKS).unwrap() {
                memory.delete(&lease.path).unwrap();
            }
            let repository = Repository::open(memory.clone()).unwrap();
            sound(&repository, &case);
            {
                let lock = repository
                    .lock(LeaseMode::Exclusive, "instance", "prune")
                    .unwrap();
                for backup in repository.backups().unwrap().backups {
                    if backup.id != kept {
                        repository.delete_backup(&backup, &lock).unwrap();
                    }
                }
                repository.prune(&lock, &options(), &Silent).unwrap();
            }
            assert_eq!(stored_bytes(&*memory), alone, "{case}");
            assert!(
                read_back(&repository, &kept).unwrap() == contents(1),
                "{case}"
            );
            let next = take(&repository, 80).unwrap();
            assert!(
                read_back(&repository, &next).unwrap() == contents(80),
                "{case}"
            );
            sound(&repository, &case);
            if faulty.count() <= at {
                break;
            }
        }
        assert!(failures >= 4, "{work:?}: {failures}");
    }
}
