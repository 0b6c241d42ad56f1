//! Servers that overwrite what is there though they are asked not to: noticed before there is a backup, or asked first.

use obbackup::codec::Compression;
use obbackup::config::RepositorySection;
use obbackup::error::ErrorKind;
use obbackup::repository::Repository;
use obbackup::storage;

use crate::support::backups::{contents, read_back, take};
use crate::support::lenient::{Lenient, Ways};

fn server(overwrites: bool) -> Lenient {
    Lenient::start(Ways {
        overwrites,
        ..Ways::default()
    })
}

#[test]
fn a_server_that_overwrites_is_named_before_there_is_a_backup() {
    let server = server(true);
    let storage = storage::open(&server.section(), None).unwrap();
    let refused = Repository::init(storage.clone(), Compression::Zstd)
        .err()
        .unwrap();
    assert_eq!(refused.kind(), ErrorKind::Incompatible);
    assert!(refused.to_string().contains("overwrites"), "{refused}");
    let hint = refused.hint_text().unwrap();
    assert!(hint.contains("conditional_writes = false"), "{hint}");
    // Nothing was begun.
    assert_eq!(storage.list("").unwrap(), []);
}

fn nothing_is_overwritten(section: &RepositorySection) {
    let storage = storage::open(section, None).unwrap();
    let repository = Repository::init(storage.clone(), Compression::Zstd).unwrap();
    let id = take(&repository, 1).unwrap();
    assert!(read_back(&repository, &id).unwrap() == contents(1));
    for name in ["once", "and-again"] {
        storage.create(name, b"first").unwrap();
        let again = storage.create(name, b"second").unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert_eq!(storage.read(name).unwrap(), b"first");
    }
}

#[test]
fn with_the_setting_it_is_asked_first_and_nothing_is_overwritten() {
    let mut section = server(true).section();
    section.conditional_writes = Some(false);
    nothing_is_overwritten(&section);
}

#[test]
fn a_server_that_refuses_the_condition_is_asked_first_too() {
    let server = Lenient::start(Ways {
        overwrites: true,
        refuses_conditions: true,
        ..Ways::default()
    });
    nothing_is_overwritten(&server.section());
}

#[test]
fn a_server_that_heeds_the_condition_needs_no_setting() {
    let storage = storage::open(&server(false).section(), None).unwrap();
    Repository::init(storage.clone(), Compression::Zstd).unwrap();
    let left: Vec<_> = storage.list("").unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
}
