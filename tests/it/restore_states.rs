//! States that are kept after a restore: what is in them, until when, and that nothing of them is lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::{TimeDelta, Utc};

use obbackup::command::doctor::{Check, Examined, Health, doctor};
use obbackup::command::restore::Control;
use obbackup::command::restore::states::{self, Expiry, kept_states};
use obbackup::command::restore::tripwire::Tripwire;
use obbackup::config::Configuration;
use obbackup::error::ErrorKind;
use obbackup::progress::Silent;
use obbackup::storage::faulty::Fault;

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

/// An undo of what is not all there would put nothing in the place of what is live.
#[test]
fn what_somebody_removed_of_a_state_is_missed_before_anything_is_done() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "removed");
    let id = small.back_up();
    for removed in ["sources", "attachments", "database"] {
        small.change("live");
        small.restore(&id, small.control()).unwrap();
        let restored = small.state();
        assert_eq!(
            old_state(&small),
            (true, "`obbackup undo` brings it back.".to_owned())
        );
        let kept = kept_states(&small.sources()).unwrap().remove(0);
        let old = kept
            .directories
            .iter()
            .find(|old| old.ends_with(format!("{removed}/old")));
        match (removed, old) {
            ("database", _) => small.sql(
                "postgres",
                &format!("DROP DATABASE \"{}\"", kept.database.unwrap()),
            ),
            ("sources", Some(old)) => fs::remove_dir_all(old).unwrap(),
            (_, old) => {
                let entry = fs::read_dir(old.unwrap()).unwrap().next().unwrap();
                fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        }
        let error = small.undo(small.control()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{removed}: {error:?}");
        assert!(error.to_string().contains(removed), "{error:?}");
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("removed"), "{error:?}");
        assert_eq!(old_state(&small), (false, hint.to_owned()));
        assert_eq!(small.state(), restored, "{removed}");
        assert!(small.application.is_up());
        // What is left of it does not stay for ever.
        assert_eq!(expire(&small, Utc::now() + TimeDelta::seconds(1)), 1);
        assert!(kept_states(&small.sources()).unwrap().is_empty());
        assert_eq!(small.other_databases(), [""; 0], "{removed}");
    }
}

/// Whether doctor is content with the state that is kept, and what it says of it.
fn old_state(small: &Small) -> (bool, String) {
    let check = doctor_check(small, "old state").expect("doctor says nothing");
    (check.result == Health::Ok, check.remedy.unwrap_or_default())
}

/// A fault at each effect of a restore whose application does not answer: among them are those of the tidying after.
#[test]
fn what_is_left_of_a_restore_that_was_put_back_is_named_and_goes_later() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "left_over");
    let id = small.back_up();
    small.change("live");
    let live = small.state();
    let (mut at, mut databases, mut directories) = (0, 0, 0);
    loop {
        small.application.refuse("probe", 1);
        let tripwire = Tripwire::at(at, Fault::Before(ErrorKind::Denied));
        let control = Control {
            tripwire: Some(&tripwire),
            ..small.control()
        };
        let error = small.restore(&id, control).unwrap_err();
        if tripwire.count() <= at {
            break;
        }
        let text = format!("{error:?}");
        small.recover().unwrap();
        assert_eq!(small.state(), live, "{at}: {text}");
        if text.contains("could not be removed") && error.kind() == ErrorKind::RolledBack {
            let names = small.other_databases();
            let staged: Vec<_> = kept_states(&small.sources()).unwrap()[0]
                .directories
                .iter()
                .filter(|directory| directory.exists())
                .map(|directory| directory.display().to_string())
                .collect();
            databases += names.len();
            directories += staged.len();
            assert!(!names.is_empty() || !staged.is_empty(), "{text}");
            let remedy = left_over(&small).expect("doctor says nothing");
            for left in names.iter().chain(&staged) {
                assert!(
                    text.contains(left) && remedy.contains(left),
                    "{text} {remedy}"
                );
            }
            let nothing = small.undo(small.control()).unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::NotFound);
            // It goes without a backup of it.
            assert_eq!(expire(&small, Utc::now() - TimeDelta::days(7)), 1);
            assert_eq!(small.repository().backups().unwrap().backups.len(), 1);
            assert_eq!(left_over(&small), None);
        }
        assert_eq!(small.other_databases(), [""; 0], "{at}: {text}");
        assert!(
            kept_states(&small.sources()).unwrap().is_empty(),
            "{at}: {text}"
        );
        small.application.bring_up();
        at += 1;
    }
    assert!(
        databases == 1 && directories >= 3,
        "{databases} {directories}"
    );
}

/// What doctor says of it.
fn left_over(small: &Small) -> Option<String> {
    doctor_check(small, "left over")?.remedy
}

fn doctor_check(small: &Small, name: &str) -> Option<Check> {
    let instance = small.instance();
    let checks = doctor(&Examined {
        instance: &instance,
        configuration: &Configuration::default(),
        surroundings: &small.surroundings(),
        repository: Ok(small.repository()),
        tomcat: Ok(None),
        systemd: None,
        zone: chrono_tz::Tz::UTC,
    });
    checks.into_iter().find(|check| check.name == name)
}

/// Settings, privileges, limit and comment of the live database: they are the machine's, whichever state is live.
#[test]
fn an_undo_keeps_what_was_set_on_the_database_since_the_restore() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "settled");
    let set = |statements: &str| {
        let statements: Vec<_> = statements
            .split("; ")
            .map(|statement| statement.replace('@', "DATABASE settled"))
            .collect();
        small.sql("postgres", &statements.join("; "));
    };
    let settled = || {
        let query = "SELECT coalesce(shobj_description(d.oid, 'pg_database'), '-') || datconnlimit || datistemplate \
            || coalesce((SELECT string_agg(x::text, ',' ORDER BY x::text) FROM unnest(datacl) x), '-') \
            || coalesce((SELECT string_agg(setrole::regrole || setconfig::text, ';' ORDER BY setrole) \
                FROM pg_db_role_setting WHERE setdatabase = d.oid), '-') \
            FROM pg_database d WHERE datname = 'settled'";
        small
            .connect("postgres")
            .query_one(query, &[])
            .unwrap()
            .get::<_, String>(0)
    };
    let rows = || {
        let query = "SELECT string_agg(note, ';' ORDER BY note) FROM c_order";
        let mut client = small.connect("settled");
        client.query_one(query, &[]).unwrap().get::<_, String>(0)
    };
    // Restored with nothing set at all, the old state has the server's own privileges.
    let id = small.back_up();
    let first = rows();
    small.sql("settled", "UPDATE c_order SET note = 'changed'");
    set("ALTER @ SET work_mem = '7MB'; ALTER @ CONNECTION LIMIT 50");
    small.restore(&id, small.control()).unwrap();
    let restored = settled();
    assert!(
        restored.contains("work_mem=7MB") && restored.contains("50"),
        "{restored}"
    );

    let since = [
        "ALTER @ SET work_mem = '9MB'; ALTER @ CONNECTION LIMIT 60; COMMENT ON @ IS 'settled since'; \
         ALTER ROLE small IN @ SET statement_timeout = '1h'; GRANT CONNECT ON @ TO pg_monitor WITH GRANT OPTION; \
         ALTER @ IS_TEMPLATE true",
        // Less than before: what only the state that comes back has must not come back with it.
        "ALTER @ RESET work_mem; ALTER @ SET temp_buffers = '9MB'; ALTER ROLE small IN @ RESET ALL; \
         REVOKE ALL ON @ FROM pg_monitor; REVOKE CONNECT ON @ FROM PUBLIC; COMMENT ON @ IS NULL; ALTER @ IS_TEMPLATE false",
        "GRANT CREATE ON @ TO pg_read_all_data; ALTER @ CONNECTION LIMIT -1",
    ];
    for (round, statements) in since.into_iter().enumerate() {
        set(statements);
        let live = settled();
        small.undo(small.control()).unwrap();
        assert_eq!(settled(), live, "{statements}");
        assert_eq!(rows() == first, round % 2 == 1, "{}", rows());
    }
    assert!(!settled().contains("pg_monitor"), "{}", settled());
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

/// Where there is no room for both, the safety backup is the only way back, and it is one.
#[test]
fn without_room_the_old_state_is_deleted_first() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(&cluster.config("postgres"), directory.path(), "no_room");
    let id = small.back_up();
    small.change("live");
    let live = small.state();
    let restored = small.restore_without_room(&id, small.control()).unwrap();
    let state = small.state();
    assert!(state.files["openbravo/src/A.java"].contains("backed up"));
    assert!(!state.files.contains_key("openbravo/stray"));
    assert!(state.files.contains_key("openbravo/build/A.class"));
    assert!(small.application.is_up());
    assert_eq!(small.other_databases(), [""; 0]);
    assert!(kept_states(&small.sources()).unwrap().is_empty());
    let way_back = restored.replaced.unwrap().safety_backup.unwrap().to_hex();
    small
        .restore_without_room(&way_back, small.control())
        .unwrap();
    assert_eq!(small.state(), live);

    // Each effect fails once: either nothing was deleted, or the way back is said, and works.
    let mut lost = 0;
    for at in 0.. {
        let tripwire = Tripwire::at(at, Fault::Before(ErrorKind::Io));
        let control = Control {
            tripwire: Some(&tripwire),
            ..small.control()
        };
        let done = small.restore_without_room(&id, control);
        if tripwire.count() <= at {
            done.unwrap();
            assert_eq!(small.state(), state);
            break;
        }
        let Err(error) = done else {
            // Only tidying failed, which the next run does.
            small.recover().unwrap();
            assert_eq!(small.state(), state, "{at}");
            small.restore(&way_back, small.control()).unwrap();
            continue;
        };
        assert_eq!(small.recover().unwrap(), None, "{at}");
        if error.kind() == ErrorKind::ActionNeeded {
            lost += 1;
            let hint = error.hint_text().unwrap();
            assert!(
                hint.contains("--in-place --no-safety-backup"),
                "{at}: {hint}"
            );
            small.restore(&way_back, small.control()).unwrap();
        }
        assert_eq!(small.state(), live, "{at}: {error:?}");
        assert!(small.application.is_up(), "{at}: {error:?}");
        small.forget_kept();
    }
    assert!(lost > 5, "{lost}");
}

/// The next command of the program itself, whichever it is, finishes what was broken off, and says so.
#[test]
fn any_command_finishes_what_was_broken_off() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let small = Small::create(
        &cluster.config("postgres"),
        directory.path(),
        "next_command",
    );
    let id = small.back_up();
    small.change("live");
    let live = small.state();
    small.restore(&id, small.control()).unwrap();
    let restored = small.state();
    small.undo(small.control()).unwrap();
    let broken_off = |at: u64| {
        // An error that nothing can be done about any more leaves what a kill leaves.
        let tripwire = Tripwire::from(at, Fault::Before(ErrorKind::Io));
        let control = Control {
            tripwire: Some(&tripwire),
            ..small.control()
        };
        small.restore(&id, control).unwrap_err();
    };
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_obbackup"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CATALINA_BASE", directory.path().join("tomcat"))
            .arg("--instance")
            .arg(small.sources())
            .arg("--repository")
            .arg(directory.path().join("repository"))
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| code < 10), "{said}");
        said
    };
    for command in [&["list"][..], &["verify"], &["doctor"], &["storage", "df"]] {
        small.forget_kept();
        small.change("live");
        broken_off(12);
        let said = run(command);
        assert!(said.contains("is finished now"), "{command:?}: {said}");
        assert_eq!(small.state(), restored, "{command:?}");
        assert!(!run(command).contains("broken off"), "{command:?}");
    }
    small.change("live");
    broken_off(3);
    let said = run(&["backup"]);
    assert!(said.contains("is reversed now"), "{said}");
    assert_eq!(small.state(), live);
}
