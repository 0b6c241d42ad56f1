//! Deleting a backup gives back what only it needed, and nothing else; also when it is killed in between.

use std::sync::Arc;

use obbackup::codec::Compression;
use obbackup::command::delete::delete;
use obbackup::error::ErrorKind;
use obbackup::format::path;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::verify::VerifyOptions;
use obbackup::storage::Storage;
use obbackup::storage::faulty::{Fault, Faulty, Operations};
use obbackup::storage::memory::Memory;

use crate::support::backups::{contents, read_back, take};

pub fn stored_bytes(storage: &dyn Storage) -> u64 {
    storage
        .list(path::PACKS)
        .unwrap()
        .iter()
        .map(|object| object.bytes)
        .sum()
}

pub fn sound(repository: &Repository, case: &str) {
    let options = VerifyOptions {
        read_data: true,
        backup: None,
        jobs: 2,
    };
    let verification = repository.verify(&options, &Silent).unwrap();
    assert!(
        verification.is_sound(),
        "{case}: {:#?}",
        verification.findings
    );
}

#[test]
fn deleting_gives_back_what_only_that_backup_needed() {
    let memory = Arc::new(Memory::default());
    let repository = Repository::init(memory.clone(), Compression::Zstd).unwrap();
    let kept = take(&repository, 1).unwrap();
    let before = stored_bytes(&*memory);
    let gone = take(&repository, 40).unwrap();
    let backup = repository.resolve(&gone.to_hex(), None).unwrap();
    let deleted = delete(&repository, &backup, &Silent).unwrap();
    assert!(deleted.freed_bytes > before / 2, "{deleted:?}");
    assert_eq!(stored_bytes(&*memory), before);
    assert_eq!(
        repository.resolve(&gone.to_hex(), None).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(read_back(&repository, &kept).unwrap() == contents(1));
    sound(&repository, "after the delete");
    let again = take(&repository, 40).unwrap();
    assert!(read_back(&repository, &again).unwrap() == contents(40));
    sound(&repository, "after the next backup");
}

#[test]
fn a_delete_that_fails_anywhere_loses_nothing_else() {
    for fault in [Fault::Before(ErrorKind::Io), Fault::After(ErrorKind::Io)] {
        let mut failures = 0;
        for at in 0.. {
            let memory = Arc::new(Memory::default());
            let repository = Repository::init(memory.clone(), Compression::Zstd).unwrap();
            let kept = take(&repository, 1).unwrap();
            let gone = take(&repository, 2).unwrap();
            let faulty = Arc::new(Faulty::at(memory.clone(), Operations::All, at, fault));
            let deleted = Repository::open(faulty.clone()).and_then(|repository| {
                let backup = repository.resolve(&gone.to_hex(), None)?;
                delete(&repository, &backup, &Silent)
            });
            failures += u64::from(deleted.is_err());
            let case = format!("{fault:?} at {at}");
            sound(&repository, &case);
            assert!(
                read_back(&repository, &kept).unwrap() == contents(1),
                "{case}"
            );
            let next = take(&repository, 2).unwrap();
            assert!(
                read_back(&repository, &next).unwrap() == contents(2),
                "{case}"
            );
            sound(&repository, &case);
            if faulty.count() <= at {
                break;
            }
        }
        assert!(failures >= 10, "{fault:?}: {failures}");
    }
}
