//! A backup that is killed at each of its writes: what was there stays whole, and the next backup works.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use obbackup::codec::Compression;
use obbackup::error::ErrorKind;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::verify::VerifyOptions;
use obbackup::storage::faulty::{Fault, Faulty, Operations};
use obbackup::storage::local::Local;

use crate::support::backups::{contents, read_back, repository, take};

/// Tells the victim where to work, when to die and how.
const ORDERS: &str = "OBBACKUP_TEST_VICTIM";

/// Not a test of its own: what [`dies_at_every_write`] runs as another process.
#[test]
#[ignore = "run by dies_at_every_write, in a process of its own"]
fn victim() {
    let orders = std::env::var(ORDERS).unwrap();
    let (when, rest) = orders.split_once(' ').unwrap();
    let (at, directory) = rest.split_once(' ').unwrap();
    let fault = if when == "before" {
        Fault::KillBefore
    } else {
        Fault::KillAfter
    };
    let faulty = Faulty::at(
        Arc::new(Local::new(directory)),
        Operations::Writes,
        at.parse().unwrap(),
        fault,
    );
    let repository = Repository::open(Arc::new(faulty)).unwrap();
    take(&repository, 2).unwrap();
}

fn run_victim(when: &str, at: u64, directory: &Path) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::victim", "--ignored", "--quiet"])
        .env(ORDERS, format!("{when} {at} {}", directory.display()))
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
}

fn sound(repository: &Repository, case: &str) {
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
fn dies_at_every_write() {
    use std::os::unix::process::ExitStatusExt;
    for when in ["before", "after"] {
        let mut deaths = 0;
        loop {
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("repository");
            let created =
                Repository::init(Arc::new(Local::new(&place)), Compression::Zstd).unwrap();
            let first = take(&created, 1).unwrap();
            let status = run_victim(when, deaths, &place);
            if status.success() {
                break;
            }
            assert_eq!(status.signal(), Some(9), "{when} {deaths}: {status}");
            let case = format!("killed {when} write {deaths}");
            let repository = repository(&place).unwrap();
            sound(&repository, &case);
            assert!(
                read_back(&repository, &first).unwrap() == contents(1),
                "{case}"
            );
            // Each listed backup, also one of the victim's last moment, can be read whole.
            for backup in repository.backups().unwrap().backups {
                let seed = if backup.id == first { 1 } else { 2 };
                assert!(
                    read_back(&repository, &backup.id).unwrap() == contents(seed),
                    "{case}"
                );
            }
            let next = take(&repository, 3).unwrap();
            assert!(
                read_back(&repository, &next).unwrap() == contents(3),
                "{case}"
            );
            sound(&repository, &case);
            assert_eq!(repository.leases().unwrap(), [], "{case}");
            deaths += 1;
        }
        // Lease, packs, index, manifest, record, and the lease's end.
        assert!(deaths >= 6, "{deaths} writes");
    }
}

#[test]
fn a_fault_at_every_operation_is_an_error_or_a_good_backup() {
    let faults = [
        (Fault::Before(ErrorKind::Io), ErrorKind::Io),
        (Fault::After(ErrorKind::Io), ErrorKind::Io),
        (Fault::Before(ErrorKind::NoSpace), ErrorKind::NoSpace),
    ];
    for (fault, kind) in faults {
        let mut failures = 0;
        for at in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("repository");
            let first = {
                let made =
                    Repository::init(Arc::new(Local::new(&place)), Compression::Gzip).unwrap();
                take(&made, 1).unwrap()
            };
            let local = Arc::new(Local::new(&place));
            let faulty = Arc::new(Faulty::at(local, Operations::All, at, fault));
            let taking =
                Repository::open(faulty.clone()).and_then(|repository| take(&repository, 2));
            let repository = repository(&place).unwrap();
            let case = format!("{fault:?} at {at}");
            sound(&repository, &case);
            assert!(
                read_back(&repository, &first).unwrap() == contents(1),
                "{case}"
            );
            match taking {
                Ok(id) => assert!(
                    read_back(&repository, &id).unwrap() == contents(2),
                    "{case}"
                ),
                Err(error) => {
                    assert_eq!(error.kind(), kind, "{case}: {error:?}");
                    failures += 1;
                }
            }
            if faulty.count() <= at {
                break;
            }
        }
        assert!(failures >= 8, "{fault:?}: {failures} failures");
    }
}
