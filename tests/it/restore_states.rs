//! States that are kept after a restore: what is in them, until when, and that nothing of them is lost.

use std::fs;
use std::path::Path;

use chrono::{TimeDelta, Utc};

use obbackup::command::restore::states::{self, Expiry, kept_states};
use obbackup::error::ErrorKind;
use obbackup::progress::Silent;

use crate::support::cluster::{Cluster, Options, skipped};
use crate::support::small::Small;

fn expire(small: &Small, limit: chrono::DateTime<Utc>) -> usize {
    let instance = small.instance();
    let repository = small.repository();
    let surroundings = small.surroundings();
    let expiry = Expiry {
        instance: &instance,
        repository: &repository,
        surroundings: &surroundings,
        progress: &Silent,
    };
    states::expire(&expiry, limit).unwrap().len()
}

/// What people did between the safety backup and the stop of the application is only in the old state.
#[test]
fn an_old_state_is_backed_up_before_it_expires() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "expiring");
    let id = small.back_up();
    small.change("late");
    let late = small.state();
    small.restore(&id, small.control()).unwrap();
    let restored = small.state();
    let backups = || small.repository().backups().unwrap().backups.len();
    assert_eq!(backups(), 1);
    assert_eq!(expire(&small, Utc::now() - TimeDelta::days(7)), 0);
    assert_eq!(kept_states(&small.sources()).unwrap().len(), 1);
    assert_eq!(backups(), 1);

    assert_eq!(expire(&small, Utc::now() + TimeDelta::seconds(1)), 1);
    assert!(kept_states(&small.sources()).unwrap().is_empty());
    assert_eq!(small.other_databases(), [""; 0]);
    assert_eq!(small.state(), restored);
    assert_eq!(backups(), 2);
    let error = small.undo(small.control()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint_text().unwrap().contains("automated"));
    // Nothing of it lies about.
    assert!(!small.directory.join("attachments/.obbackup").exists());
    let left: Vec<_> = fs::read_dir(small.sources().join(".obbackup"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);

    let saved = small.repository().backups().unwrap().backups[0].id.to_hex();
    small.restore(&saved, small.control()).unwrap();
    assert_eq!(small.state(), late);
}

#[test]
fn an_undo_can_be_undone() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "undoing");
    let id = small.back_up();
    small.change("first");
    let first = small.state();
    let restored = small.restore(&id, small.control()).unwrap();
    assert!(restored.replaced.unwrap().database.is_some());
    small.change("second");
    let second = small.state();
    for _ in 0..2 {
        small.undo(small.control()).unwrap();
        assert_eq!(small.state(), first);
        assert_eq!(kept_states(&small.sources()).unwrap().len(), 1);
        small.undo(small.control()).unwrap();
        assert_eq!(small.state(), second);
    }
    assert_eq!(small.other_databases().len(), 1);
}

#[test]
fn what_stands_in_the_way_is_said_before_anything_is_done() {
    let options = Options::new(15).setting("max_prepared_transactions", "5");
    let Some(cluster) = options.start().map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "hindered");
    let id = small.back_up();
    small.change("live");
    let live = small.state();
    let refused = |kind: ErrorKind, words: &[&str]| {
        let error = small.restore(&id, small.control()).unwrap_err();
        let text = format!("{error:?}");
        assert_eq!(error.kind(), kind, "{text}");
        for word in words {
            assert!(text.contains(word), "no {word:?}: {text}");
        }
        assert!(small.application.calls().is_empty(), "{text}");
        assert_eq!(small.state(), live);
    };

    let mut client = small.connect("hindered");
    client
        .batch_execute(
            "BEGIN; INSERT INTO c_order VALUES (99, 'prepared'); PREPARE TRANSACTION 'transfer'",
        )
        .unwrap();
    refused(ErrorKind::Denied, &["transfer", "ROLLBACK PREPARED"]);
    client
        .batch_execute("ROLLBACK PREPARED 'transfer'")
        .unwrap();

    // Without a superuser the rights of the application's role count, and superusers' sessions stay.
    let properties = Path::new("openbravo/config/Openbravo.properties");
    let path = directory.path().join(properties);
    let whole = fs::read_to_string(&path).unwrap();
    let without: Vec<_> = whole
        .lines()
        .filter(|line| !line.starts_with("bbdd.system"))
        .collect();
    fs::write(&path, without.join("\n")).unwrap();
    let live = small.state();
    let error = small.restore(&id, small.control()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    assert!(error.to_string().contains("may not end"), "{error:?}");
    drop(client);
    small.sql("postgres", "ALTER ROLE small NOCREATEDB");
    let error = small.restore(&id, small.control()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(format!("{error:?}").contains("CREATEDB"), "{error:?}");
    small.sql("postgres", "ALTER ROLE small CREATEDB");
    assert_eq!(small.state(), live);
    small.wait_for_no_sessions();
    // The application's role alone can do it all.
    small.restore(&id, small.control()).unwrap();
    assert!(small.state().database.contains("backed up 1"));
    small.undo(small.control()).unwrap();
    fs::write(&path, whole).unwrap();

    // A server that lets roles into the instance's database only.
    let file = cluster.data().join("pg_hba.conf");
    let open = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        "host hindered,postgres,template1 all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    small.sql("postgres", "SELECT pg_reload_conf()");
    let calls = small.application.calls().len();
    let error = loop {
        // The server takes a moment to read it.
        match small.restore(&id, small.control()) {
            Err(error) => break error,
            Ok(_) => drop(small.undo(small.control()).unwrap()),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(format!("{error:?}").contains("pg_hba.conf"), "{error:?}");
    assert!(small.application.calls().len() >= calls);
    fs::write(&file, open).unwrap();
}
