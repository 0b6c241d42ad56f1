//! What is refused, and that nothing is left behind then.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use obbackup::chunk::{ChunkSink, ChunkSource};
use obbackup::config::Secret;
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::id::ChunkId;
use obbackup::postgresql::{DatabaseAddress, Programs};
use obbackup::progress::{Progress, Recorded, Silent};
use obbackup::source::database::DatabaseSource;
use obbackup::target::database::DatabaseTarget;

use super::{address, capture, capture_options, databases, restore_options};
use crate::support::chunks::Memory;
use crate::support::cluster::{Cluster, on_version};

fn open(cluster: &Cluster, address: &DatabaseAddress) -> Error {
    DatabaseSource::open(address, &capture_options(cluster))
        .err()
        .unwrap()
}

#[test]
fn no_way_into_the_database() {
    on_version(15, |cluster| {
        let mut wrong = address(cluster, "postgres");
        wrong.password = Some(Secret::new("s3cret-but-wrong".to_owned()));
        let error = open(cluster, &wrong);
        assert_eq!(error.kind(), ErrorKind::Denied);
        let shown = format!("{error:?} {wrong:?} {wrong}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("password"), "{shown}");

        let mut none = address(cluster, "postgres");
        none.password = None;
        let error = open(cluster, &none);
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint_text().unwrap().contains("password"), "{error:?}");

        let error = open(cluster, &address(cluster, "no such database"));
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("no such database"), "{error}");

        let mut down = address(cluster, "postgres");
        down.port = 1;
        let error = open(cluster, &down);
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.kind().is_retryable() && error.hint_text().is_some());
    });
}

#[test]
fn over_a_socket_or_with_a_password_file() {
    on_version(15, |cluster| {
        let socket = cluster.socket();
        let mut local = address(cluster, "postgres");
        local.host = socket.to_str().unwrap().to_owned();
        local.password = None;
        let work = tempfile::tempdir().unwrap();
        let mut options = capture_options(cluster);
        options.work_directory = work.path().to_owned();
        let memory = Memory::default();
        let mut source = DatabaseSource::open(&local, &options).unwrap();
        source.capture(&memory, &Silent).unwrap();

        let directory = tempfile::tempdir().unwrap();
        let passfile = directory.path().join("pgpass");
        let line = format!("127.0.0.1:*:postgres:postgres:{}\n", cluster.password());
        std::fs::write(&passfile, line).unwrap();
        std::fs::set_permissions(&passfile, PermissionsExt::from_mode(0o600)).unwrap();
        let mut remote = address(cluster, "postgres");
        remote.password = None;
        remote.passfile = Some(passfile);
        let mut source = DatabaseSource::open(&remote, &options).unwrap();
        source.capture(&memory, &Silent).unwrap();
        // The copy of the password for `pg_dump`, among others.
        assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
    });
}

#[test]
fn a_client_older_than_the_server() {
    on_version(15, |cluster| {
        let directory = tempfile::tempdir().unwrap();
        for name in ["pg_dump", "pg_restore"] {
            let path = directory.path().join(name);
            let script = format!("#!/bin/sh\necho '{name} (PostgreSQL) 12.3'\n");
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let mut options = capture_options(cluster);
        let memory = Memory::default();
        let part = capture(cluster, "postgres", &memory);
        options.programs = Programs::only(vec![directory.path().to_owned()]);
        let error = DatabaseSource::open(&address(cluster, "postgres"), &options)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.message().contains("12.3"), "{error}");
        assert!(error.hint_text().unwrap().contains("postgresql-client-15"));

        let mut options = restore_options(cluster);
        options.programs = Programs::only(vec![directory.path().to_owned()]);
        let target = DatabaseTarget::new(address(cluster, "never"), options);
        let error = target.plan(&part, &memory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    });
}

#[test]
fn a_newer_backup_on_an_older_server() {
    on_version(15, |cluster| {
        let memory = Memory::default();
        let mut part = capture(cluster, "postgres", &memory);
        part.server_version = 160_000;
        let target = DatabaseTarget::new(address(cluster, "never"), restore_options(cluster));
        let error = target.plan(&part, &memory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
    });
}

#[test]
fn a_target_that_is_there() {
    on_version(15, |cluster| {
        cluster.create_database("there");
        cluster.psql("there", "CREATE TABLE precious AS SELECT 1 AS n");
        let memory = Memory::default();
        let part = capture(cluster, "there", &memory);
        let target = DatabaseTarget::new(address(cluster, "there"), restore_options(cluster));
        let error = target.plan(&part, &memory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        // Also when it comes between plan and run.
        let target = DatabaseTarget::new(address(cluster, "meanwhile"), restore_options(cluster));
        let plan = target.plan(&part, &memory).unwrap();
        cluster.create_database("meanwhile");
        cluster.psql("meanwhile", "CREATE TABLE precious AS SELECT 1 AS n");
        let error = target.run(&plan, &part, &memory, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        for database in ["there", "meanwhile"] {
            assert_eq!(cluster.psql(database, "SELECT n FROM precious"), "1");
        }
    });
}

/// Gives some chunks and then fails, or asks the run to stop.
struct Failing<'a> {
    memory: &'a Memory,
    left: AtomicU64,
    end: &'a (dyn Fn() -> Result<()> + Sync),
}

impl ChunkSource for Failing<'_> {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            (self.end)()?;
        }
        self.memory.get(id)
    }
}

crate::each_version!(whatever_ends_a_restore_leaves_no_database, |shared| {
    // All databases of the server are compared, and other tests make some on the shared one.
    let own = Cluster::start(shared.version()).unwrap();
    let cluster = &own;
    let database = "to be lost";
    cluster.create_database(database);
    cluster.psql(
        database,
        "CREATE TABLE one AS SELECT n, repeat('x', 1000) FROM generate_series(1, 10000) n;
         CREATE TABLE two AS SELECT * FROM one; CREATE INDEX ON one (n)",
    );
    let memory = Memory::default();
    let part = capture(cluster, database, &memory);
    let before = databases(cluster);
    let progress = Recorded::default();
    let endings: [(&(dyn Fn() -> Result<()> + Sync), ErrorKind); 2] = [
        (
            &|| Err(Error::new(ErrorKind::Damaged, "the chunk is damaged")),
            ErrorKind::Damaged,
        ),
        (
            &|| {
                progress.cancel();
                Ok(())
            },
            ErrorKind::Cancelled,
        ),
    ];
    for (end, kind) in endings {
        let name = format!("lost {kind:?}");
        let target = DatabaseTarget::new(address(cluster, &name), restore_options(cluster));
        let plan = target.plan(&part, &memory).unwrap();
        let source = Failing {
            memory: &memory,
            left: AtomicU64::new(3),
            end,
        };
        let error = target.run(&plan, &part, &source, &progress).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(databases(cluster), before);
    }
    // And a definition that the server refuses once the rows are there.
    let target = DatabaseTarget::new(address(cluster, "lost index"), restore_options(cluster));
    let mut part = part;
    part.rows += 1;
    let mut plan = target.plan(&part, &memory).unwrap();
    plan.refused.push("a reason".to_owned());
    let error = target.run(&plan, &part, &memory, &Silent).unwrap_err();
    assert!(error.message().contains("a reason"), "{error}");
    assert_eq!(databases(cluster), before);
});

/// Asks the run to stop at the first chunk.
struct Stopping<'a> {
    memory: &'a Memory,
    progress: &'a Recorded,
}

impl ChunkSink for Stopping<'_> {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        self.progress.cancel();
        self.memory.put(plain)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.memory.has(id)
    }

    fn chunkers(&self) -> obbackup::format::record::Chunkers {
        self.memory.chunkers()
    }
}

#[test]
fn a_capture_that_is_stopped_leaves_no_session() {
    on_version(16, |cluster| {
        cluster.create_database("stopped");
        cluster.psql(
            "stopped",
            "CREATE TABLE one AS SELECT n, repeat('x', 1000) FROM generate_series(1, 10000) n;
             CREATE TABLE two AS SELECT * FROM one",
        );
        let progress = Recorded::default();
        let memory = Memory::default();
        let sink = Stopping {
            memory: &memory,
            progress: &progress,
        };
        let mut source =
            DatabaseSource::open(&address(cluster, "stopped"), &capture_options(cluster)).unwrap();
        let error = source.capture(&sink, &progress).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(progress.is_cancelled());
        drop(source);
        let sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = 'stopped' AND pid <> pg_backend_pid()";
        for _ in 0..200 {
            if cluster.psql("stopped", sessions) == "0" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{}", cluster.psql("stopped", "TABLE pg_stat_activity"));
    });
}
