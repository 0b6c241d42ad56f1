//! Attachments that come and go while a backup is taken.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use obbackup::codec::Compression;
use obbackup::command::backup::{self, BackupOptions, BackupTaken};
use obbackup::command::surroundings::Surroundings;
use obbackup::config::Configuration;
use obbackup::format::manifest::{BackupType, Status};
use obbackup::instance::{Environment, Instance};
use obbackup::progress::Progress;
use obbackup::repository::Repository;

use crate::world::World;

/// Attaches a file when the first pass is over, and deletes it when the snapshot is taken; so often.
struct Racer<'a> {
    world: &'a World,
    times: Mutex<u32>,
    snapshots: Mutex<u32>,
}

const DIRECTORY: &str = "259/RACE";

impl Progress for Racer<'_> {
    fn stage(&self, name: &str, _total_bytes: Option<u64>) {
        let mut times = self.times.lock().unwrap();
        let (cluster, database) = (self.world.cluster, &self.world.instance.database);
        let directory = self.world.instance.attachments.join(DIRECTORY);
        match name {
            "snapshot" => {
                *self.snapshots.lock().unwrap() += 1;
                if *times > 0 {
                    fs::create_dir_all(&directory).unwrap();
                    fs::write(directory.join("brief.txt"), "there for a moment").unwrap();
                    let row = format!(
                        "INSERT INTO c_file SELECT 'RACE', ad_client_id, ad_org_id, isactive, created, createdby, updated,
                            updatedby, 'brief.txt', NULL, 10, NULL, '259', 'RACE', '{DIRECTORY}', c_attachment_conf_id
                         FROM c_file LIMIT 1"
                    );
                    cluster.psql(database, &row);
                }
            }
            "attachments, second pass" if *times > 0 => {
                *times -= 1;
                fs::remove_dir_all(&directory).unwrap();
                cluster.psql(database, "DELETE FROM c_file WHERE c_file_id = 'RACE'");
            }
            _ => {}
        }
    }
    fn advance(&self, _bytes: u64) {}
    fn warn(&self, _message: &str) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

fn take(world: &World, times: u32) -> (BackupTaken, u32) {
    let path = std::env::var_os("PATH").unwrap();
    let surroundings = Surroundings {
        jobs: 2,
        program_directories: std::env::split_paths(&path).collect(),
        work_directory: std::env::temp_dir(),
        throttle: obbackup::command::throttle::Throttle::default(),
        cache_directory: None,
    };
    let instance = Instance::open(
        &world.instance.sources,
        &Environment::default(),
        &Configuration::default(),
    )
    .unwrap();
    let storage = std::sync::Arc::new(obbackup::storage::memory::Memory::default());
    let repository = Repository::init(storage, Compression::Zstd).unwrap();
    let options = BackupOptions {
        backup_type: BackupType::Manual,
        label: None,
        pin: false,
        only: BTreeSet::new(),
        read_all: false,
    };
    let racer = Racer {
        world,
        times: Mutex::new(times),
        snapshots: Mutex::new(0),
    };
    let taken = backup::run(&instance, &repository, &options, &surroundings, &racer).unwrap();
    (taken, racer.snapshots.into_inner().unwrap())
}

#[test]
fn what_comes_and_goes_between_the_passes_costs_a_snapshot_or_is_told() {
    let Some(world) = World::new("race") else {
        return;
    };
    // A file that was absent all along is a warning by name, and the backup is good.
    let absent = world.cluster.psql(
        "race",
        "SELECT path || '/' || name FROM c_file ORDER BY c_file_id LIMIT 1",
    );
    fs::remove_file(world.instance.attachments.join(&absent)).unwrap();
    let (taken, snapshots) = take(&world, 0);
    assert_eq!((taken.summary.status, snapshots), (Status::Good, 1));
    let warnings = taken.summary.warnings;
    assert_eq!(
        warnings,
        [format!(
            "1 attachment of the database has no file: `{absent}`"
        )]
    );

    // Once: a later snapshot does not name it.
    let (taken, snapshots) = take(&world, 1);
    assert_eq!((taken.summary.status, snapshots), (Status::Good, 2));
    assert_eq!(
        taken.summary.warnings.len(),
        1,
        "{:?}",
        taken.summary.warnings
    );

    // Each time: the backup says what it lacks.
    let (taken, snapshots) = take(&world, 9);
    assert_eq!((taken.summary.status, snapshots), (Status::Partial, 3));
    let warnings = &taken.summary.warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[1].contains("not captured") && warnings[1].contains("259/RACE/brief.txt"),
        "{warnings:?}"
    );
}
