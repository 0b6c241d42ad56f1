//! Copying between repositories: only what is missing moves, and the copy is the same backup.

use std::fs;
use std::sync::Arc;

use obbackup::codec::Compression;
use obbackup::command::copy::{copy, plan};
use obbackup::command::delete::delete;
use obbackup::error::ErrorKind;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::verify::VerifyOptions;
use obbackup::storage::Storage;
use obbackup::storage::faulty::{Fault, Faulty, Operations};
use obbackup::storage::memory::Memory;

use super::story::configure;
use crate::support::backups::{contents, read_back, take};
use crate::support::cluster::skipped;
use crate::support::s3::S3Server;
use crate::world::{World, errors};

fn repository() -> (Arc<Memory>, Repository) {
    let memory = Arc::new(Memory::default());
    let repository = Repository::init(memory.clone(), Compression::Zstd).unwrap();
    (memory, repository)
}

fn assert_sound(repository: &Repository, case: &str) {
    let options = VerifyOptions {
        read_data: true,
        backup: None,
        jobs: 2,
    };
    let found = repository.verify(&options, &Silent).unwrap();
    assert!(found.findings.is_empty(), "{case}: {:#?}", found.findings);
}

#[test]
fn a_copy_is_the_same_backup_and_only_what_is_missing_moves() {
    let (_, from) = repository();
    let (there, to) = repository();
    let first = take(&from, 1).unwrap();
    let second = take(&from, 2).unwrap();
    let backup =
        |id: &obbackup::format::manifest::BackupId| from.resolve(&id.to_hex(), None).unwrap();
    let before = plan(&from, &to, &backup(&first)).unwrap();
    assert!(!before.is_there && before.missing_chunks == before.chunks);
    let copied = copy(&from, &to, &backup(&first), &Silent).unwrap();
    assert!(copied.packs >= 1 && copied.stored_bytes >= copied.plan.missing_bytes);
    assert!(read_back(&to, &first).unwrap() == contents(1));
    assert_sound(&to, "first");

    // Two thirds of the second are there already.
    let next = copy(&from, &to, &backup(&second), &Silent).unwrap();
    assert!(
        next.plan.missing_bytes * 2 < copied.plan.missing_bytes,
        "{next:?}"
    );
    assert!(read_back(&to, &second).unwrap() == contents(2));
    assert_sound(&to, "second");
    let bytes = |memory: &Memory| -> u64 {
        let listed = memory.list("packs/").unwrap();
        listed.iter().map(|object| object.bytes).sum()
    };
    let held = bytes(&there);
    let again = copy(&from, &to, &backup(&second), &Silent).unwrap();
    assert!(again.plan.is_there && again.stored_bytes == 0);
    assert_eq!(bytes(&there), held);

    // Deleted and brought back from the copy.
    delete(&from, &backup(&first), &Silent).unwrap();
    let kept = to.resolve(&first.to_hex(), None).unwrap();
    copy(&to, &from, &kept, &Silent).unwrap();
    assert!(read_back(&from, &first).unwrap() == contents(1));
    assert_sound(&from, "brought back");
    let same = copy(&from, &from, &kept, &Silent).unwrap_err();
    assert_eq!(same.kind(), ErrorKind::Usage);
}

#[test]
fn a_copy_that_fails_anywhere_is_none_and_the_next_one_works() {
    let (_, from) = repository();
    let id = take(&from, 1).unwrap();
    let backup = from.resolve(&id.to_hex(), None).unwrap();
    let mut failures = 0;
    for at in 0.. {
        let (there, to) = repository();
        let other = take(&to, 40).unwrap();
        let fault = Fault::Before(ErrorKind::Io);
        let faulty = Arc::new(Faulty::at(there, Operations::All, at, fault));
        let copied = Repository::open(faulty.clone())
            .and_then(|faulty| copy(&from, &faulty, &backup, &Silent));
        failures += u32::from(copied.is_err());
        assert!(read_back(&to, &other).unwrap() == contents(40));
        copy(&from, &to, &backup, &Silent).unwrap();
        assert!(read_back(&to, &id).unwrap() == contents(1));
        if faulty.count() <= at {
            break;
        }
    }
    assert!(failures >= 8, "{failures}");
}

#[test]
fn a_backup_goes_to_one_repository_and_to_others_each_with_its_outcome() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let Some(world) = World::new("copies") else {
        return;
    };
    let bucket = server.bucket();
    configure(&world, server, &bucket);
    let file = world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&file).unwrap();
    let local = world.path("repository");
    let absent = world.path("absent");
    fs::write(
        &file,
        format!(
            "default_repository = \"disk\"\n{text}[repository.disk]\nurl = \"{}\"\ncopy_to = [\"cloud\"]\n\
             [repository.absent]\nurl = \"{}\"\n",
            local.display(),
            absent.display()
        ),
    )
    .unwrap();
    for name in ["disk", "cloud"] {
        let made = world.output(&["init", "--repository", name]);
        assert!(made.status.success(), "{}", errors(&made));
    }
    let taken = world.json(&["backup"]);
    assert_eq!(taken["copies"][0]["repository"], "cloud", "{taken}");
    assert_eq!(
        taken["copies"][0]["error"],
        serde_json::Value::Null,
        "{taken}"
    );
    let there = world.json(&["list", "--repository", "cloud"]);
    assert_eq!(there["backups"][0]["id"], taken["id"], "{there}");
    let sound = world.json(&["verify", "--read-data", "--repository", "cloud"]);
    assert_eq!(sound["findings"], serde_json::json!([]), "{sound}");

    // That one copy fails is told by the exit code; the backup and the other copy are there.
    let output = world.output(&["--json", "backup", "--copy-to", "absent"]);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let taken: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(taken["status"], "good");
    assert_eq!(taken["copies"][0]["error"], serde_json::Value::Null);
    assert_eq!(taken["copies"][1]["error"], "NOT_FOUND", "{taken}");
    assert!(!absent.exists());
    world.refused(
        &["backup", "--copy-to", "nowhere"],
        10,
        &["nowhere", "hint:"],
    );
    let listed = world.json(&["list"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 2);

    let again = world.json(&["copy", "latest", "--to", "cloud", "--dry-run"]);
    assert_eq!(again["is_there"], true, "{again}");
    world.refused(&["copy", "latest", "--to", "disk"], 2, &["same repository"]);
}
