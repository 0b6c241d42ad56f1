//! Every kind of object, deleted, cut short or with one bit flipped: found, named, and never restored as if it were right.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use obbackup::codec::Compression;
use obbackup::error::ErrorKind;
use obbackup::format::manifest::BackupId;
use obbackup::format::path;
use obbackup::format::record::{LeaseMode, MarkKind};
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::prune::PruneOptions;
use obbackup::repository::verify::{Severity, Verification, VerifyOptions};
use obbackup::storage::local::Local;

use crate::place::{PARTS, Place};
use crate::support::backups::{contents, read_back, repository, take};

#[derive(Debug, Clone, Copy)]
enum Damage {
    Delete,
    Empty,
    Halve,
    CutOneByte,
    /// Flips one bit so many thousandths of the way in.
    Flip(usize),
}

const DAMAGES: [Damage; 8] = [
    Damage::Delete,
    Damage::Empty,
    Damage::Halve,
    Damage::CutOneByte,
    Damage::Flip(0),
    Damage::Flip(300),
    Damage::Flip(700),
    Damage::Flip(999),
];

fn harm(file: &Path, damage: Damage) {
    let mut bytes = fs::read(file).unwrap();
    match damage {
        Damage::Delete => return fs::remove_file(file).unwrap(),
        Damage::Empty => bytes.clear(),
        Damage::Halve => bytes.truncate(bytes.len() / 2),
        Damage::CutOneByte => bytes.truncate(bytes.len() - 1),
        Damage::Flip(thousandths) => {
            let position = bytes.len() * thousandths / 1000;
            bytes[position] ^= 0x20;
        }
    }
    fs::write(file, bytes).unwrap();
}

fn verify(repository: &Repository) -> Verification {
    let options = VerifyOptions {
        read_data: true,
        backup: None,
        jobs: 2,
    };
    repository.verify(&options, &Silent).unwrap()
}

/// Two backups, a deleted one with its packs condemned, and the lease of somebody who died.
fn sample(directory: &Path) -> [BackupId; 2] {
    let repository = Repository::init(Arc::new(Local::new(directory)), Compression::Zstd).unwrap();
    let first = take(&repository, 1).unwrap();
    let second = take(&repository, 2).unwrap();
    let third = take(&repository, 7).unwrap();
    let lock = repository
        .lock(LeaseMode::Exclusive, "instance", "delete")
        .unwrap();
    let backup = repository.resolve(&third.to_hex(), None).unwrap();
    repository.delete_backup(&backup, &lock).unwrap();
    repository.mark(first, MarkKind::Verified).unwrap();
    let options = PruneOptions {
        grace: TimeDelta::days(1),
        repack_above_percent: 100,
        now: Utc::now(),
    };
    let pruned = repository.prune(&lock, &options, &Silent).unwrap();
    assert!(pruned.condemned_packs > 0, "{pruned:?}");
    drop(lock);
    let lock = repository
        .lock(LeaseMode::Write, "another instance", "backup")
        .unwrap();
    let leases = repository.storage().list(path::LOCKS).unwrap();
    let lease = directory.join(&leases[0].path);
    let held = fs::read(&lease).unwrap();
    drop(lock);
    fs::write(&lease, held).unwrap();
    let verification = verify(&repository);
    assert!(verification.is_sound(), "{:#?}", verification.findings);
    assert_eq!(verification.findings, []);
    assert_eq!(verification.backups, 2);
    [first, second]
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_damage_to_every_object_is_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    let ids = sample(&original);
    let objects = repository(&original).unwrap().storage().list("").unwrap();
    let mut kinds_seen = std::collections::BTreeSet::new();
    let mut cases = 0;
    for object in &objects {
        kinds_seen.insert(object.path.split('/').next().unwrap().to_owned());
        for damage in DAMAGES {
            let damaged = directory.path().join("damaged");
            let _ = fs::remove_dir_all(&damaged);
            copy(&original, &damaged);
            harm(&damaged.join(&object.path), damage);
            check(&damaged, &object.path, damage, &ids);
            cases += 1;
        }
    }
    assert_eq!(
        kinds_seen.into_iter().collect::<Vec<_>>(),
        [
            "backups",
            "condemned",
            "index",
            "locks",
            "marks",
            "packs",
            "repo.json",
            "runs"
        ]
    );
    assert!(cases >= 80, "{cases} cases");
}

fn check(damaged: &Path, object: &str, damage: Damage, ids: &[BackupId; 2]) {
    let case = format!("{damage:?} of {object}");
    let repository = match repository(damaged) {
        Ok(repository) => repository,
        Err(error) => {
            assert_eq!(object, path::HEADER, "{case}: {error}");
            assert!(error.to_string().contains(path::HEADER), "{case}: {error}");
            let expected = match damage {
                Damage::Delete => ErrorKind::NotFound,
                _ => ErrorKind::Damaged,
            };
            assert_eq!(error.kind(), expected, "{case}");
            assert!(error.hint_text().is_some(), "{case}");
            return;
        }
    };
    assert_ne!(object, path::HEADER, "{case} was not noticed");
    let findings = verify(&repository).findings;
    let deleted_mark = object.contains("/deleted-") && matches!(damage, Damage::Delete);
    let verified_mark = object.contains("/verified-") && matches!(damage, Damage::Delete);
    let needed = ids.iter().any(|id| {
        let manifest = repository
            .resolve(&id.to_hex(), None)
            .map(|backup| backup.manifest);
        manifest.map_or(true, |manifest| {
            object.contains(&manifest.run)
                || manifest
                    .indexes
                    .iter()
                    .any(|index| path::index(index) == object)
                || [path::PACKS, path::BACKUPS]
                    .iter()
                    .any(|room| object.starts_with(room))
        })
    });
    let named = findings.iter().any(|finding| finding.object == object);
    if deleted_mark {
        // What the mark explained is unexplained now.
        assert!(
            findings
                .iter()
                .any(|finding| finding.object.starts_with(path::BACKUPS)),
            "{case}"
        );
    } else if verified_mark {
        // The backup only has to be verified again.
        assert_eq!(findings, [], "{case}");
    } else if !needed && matches!(damage, Damage::Delete) {
        // The index and the record of the deleted backup, the list that condemns its packs and the lease have nobody left
        // who misses them.
        assert!(
            findings
                .iter()
                .all(|finding| finding.severity == Severity::Note),
            "{case}"
        );
    } else {
        assert!(named, "{case}: {findings:#?}");
        // A lost record loses no data; everything else is damage.
        let record_lost = object.starts_with(path::RUNS) && matches!(damage, Damage::Delete);
        let worst = findings.iter().map(|finding| finding.severity).max();
        let expected = if record_lost {
            Severity::Note
        } else {
            Severity::Damage
        };
        assert_eq!(worst, Some(expected), "{case}: {findings:#?}");
    }
    for (id, seed) in ids.iter().zip([1, 2]) {
        match read_back(&repository, id) {
            Ok(files) => assert!(files == contents(seed), "{case}: wrong bytes came back"),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound),
                    "{case}: {error:?}"
                );
                let blamed = findings.iter().any(|finding| {
                    finding.backups.contains(id) || finding.object.contains(&id.to_hex())
                });
                assert!(
                    blamed,
                    "{case}: backup {id} is lost, and no finding says so: {findings:#?}"
                );
            }
        }
    }
}

#[test]
fn the_next_backup_mends_what_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    sample(&original);
    let objects = repository(&original).unwrap().storage().list("").unwrap();
    for object in objects.iter().filter(|object| {
        object.path.starts_with(path::PACKS) || object.path.starts_with(path::INDEXES)
    }) {
        for damage in [Damage::Delete, Damage::Halve] {
            let damaged = directory.path().join("damaged");
            let _ = fs::remove_dir_all(&damaged);
            copy(&original, &damaged);
            harm(&damaged.join(&object.path), damage);
            let repository = repository(&damaged).unwrap();
            let id = take(&repository, 2).unwrap();
            assert!(
                read_back(&repository, &id).unwrap() == contents(2),
                "{damage:?} of {}",
                object.path
            );
        }
    }
}

#[test]
fn whoever_asks_for_the_latest_hears_of_a_newer_one_that_is_damaged() {
    let place = Place::new();
    place.good(&["backup", "--only", PARTS]);
    place.good(&["backup", "--only", PARTS]);
    let listed = place.backups();
    let id = |number: usize| listed[number]["id"].as_str().unwrap().to_owned();
    let manifests = fs::read_dir(place.path("repository/backups")).unwrap();
    let newest = manifests
        .map(|entry| entry.unwrap().path())
        .find(|path| path.display().to_string().contains(&id(0)))
        .unwrap();
    harm(&newest, Damage::Halve);
    let to = place.path("restored").display().to_string();
    for words in [
        &["show", "latest"][..],
        &["restore", "latest", "--to-directory", &to],
    ] {
        let output = place.run(words);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("so {} is the latest", &id(1)[..8]);
        assert!(said.contains(&expected), "{words:?}: {said}");
    }
    // Whoever names one does not wonder.
    assert!(place.run(&["show", &id(1)]).stderr.is_empty());
}
