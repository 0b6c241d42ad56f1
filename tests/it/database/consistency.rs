//! What is captured is one moment, whatever others do meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use obbackup::chunk::ChunkSink;
use obbackup::error::{ErrorKind, Result};
use obbackup::format::id::ChunkId;
use obbackup::format::record::Chunkers;
use obbackup::progress::Silent;
use obbackup::source::database::DatabaseSource;

use super::{address, capture_options, client_programs, restore};
use crate::support::chunks::Memory;
use crate::support::cluster::{Cluster, SUPERUSER, on_version};

/// A bank where money is only ever moved, with tables large enough for several ranges and connections.
fn bank(cluster: &Cluster, database: &str) {
    cluster.create_database(database);
    cluster.psql(
        database,
        "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, filler text);
         INSERT INTO account SELECT n, 1000, repeat('x', 300) FROM generate_series(1, 5000) n;
         CREATE TABLE vault (id int PRIMARY KEY, balance int NOT NULL, filler text);
         INSERT INTO vault SELECT * FROM account;
         CREATE TABLE transfer (id serial PRIMARY KEY, amount int)",
    );
}

crate::each_version!(a_restored_bank_has_lost_no_money, |cluster| {
    let (database, copied) = ("bank", "restored bank");
    bank(cluster, database);
    let stop = AtomicBool::new(false);
    let moved = AtomicU64::new(0);
    let memory = Memory::default();
    let (moved_before, moved_after, part) = std::thread::scope(|scope| {
        for seed in 0..3 {
            let (stop, moved) = (&stop, &moved);
            scope.spawn(move || {
                let mut client = cluster.connect(database);
                let mut number = seed;
                while !stop.load(Ordering::Relaxed) {
                    number = (number * 7919 + 17) % 5000;
                    let (from, to) = (number + 1, (number * 31) % 5000 + 1);
                    let mut transaction = client.transaction().unwrap();
                    let amount = number % 50;
                    let mut replaced = 0;
                    for (table, id, amount) in [("account", from, -amount), ("vault", to, amount)] {
                        // Rows come and go, not only change in place.
                        let sql = format!(
                            "WITH gone AS (DELETE FROM {table} WHERE id = $1 RETURNING *)
                             INSERT INTO {table} SELECT id, balance + $2, filler FROM gone"
                        );
                        replaced += transaction.execute(&sql, &[&id, &amount]).unwrap();
                    }
                    transaction
                        .execute("INSERT INTO transfer (amount) VALUES ($1)", &[&amount])
                        .unwrap();
                    // Of two writers at the same row one waits, and then finds it gone.
                    if replaced == 2 {
                        transaction.commit().unwrap();
                        moved.fetch_add(1, Ordering::Relaxed);
                    } else {
                        transaction.rollback().unwrap();
                    }
                }
            });
        }
        while moved.load(Ordering::Relaxed) < 50 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut source =
            DatabaseSource::open(&address(cluster, database), &capture_options(cluster)).unwrap();
        let before = moved.load(Ordering::Relaxed);
        // The files' second pass is here, and the others go on.
        while moved.load(Ordering::Relaxed) < before + 50 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let part = source.capture(&memory, &Silent).unwrap();
        let after = moved.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        (before, after, part)
    });
    assert!(moved_after > moved_before);
    restore(cluster, &part, &memory, copied, &Silent);
    assert_eq!(
        cluster.psql(
            copied,
            "SELECT (SELECT sum(balance) FROM account) + (SELECT sum(balance) FROM vault),
                (SELECT sum(balance) FROM vault) - (SELECT coalesce(sum(amount), 0) FROM transfer),
                (SELECT last_value FROM transfer_id_seq) >= (SELECT max(id) FROM transfer)"
        ),
        "10000000|5000000|t"
    );
});

/// Does something when the first chunk comes.
struct Meddling<F: Fn() + Sync> {
    memory: Memory,
    began: AtomicBool,
    meddle: F,
}

impl<F: Fn() + Sync> ChunkSink for Meddling<F> {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        if !self.began.swap(true, Ordering::Relaxed) {
            (self.meddle)();
        }
        self.memory.put(plain)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.memory.has(id)
    }

    fn chunkers(&self) -> Chunkers {
        self.memory.chunkers()
    }
}

#[test]
fn a_backend_that_dies_in_the_middle_is_an_error_and_nothing_hangs() {
    on_version(16, |cluster| {
        let database = "killed";
        bank(cluster, database);
        let sink = Meddling {
            memory: Memory::default(),
            began: AtomicBool::new(false),
            meddle: || {
                cluster.psql(
                    SUPERUSER,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = 'killed' AND application_name = 'obbackup'",
                );
            },
        };
        let mut source =
            DatabaseSource::open(&address(cluster, database), &capture_options(cluster)).unwrap();
        let error = source.capture(&sink, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert!(error.hint_text().is_some());
    });
}

#[test]
fn an_alter_that_waits_stops_nobody() {
    on_version(16, |cluster| {
        let (database, copied) = ("altered", "restored before the alter");
        bank(cluster, database);
        let mut source =
            DatabaseSource::open(&address(cluster, database), &capture_options(cluster)).unwrap();
        // pg_dump takes its own locks at its start, and would wait behind the others.
        let holders = "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE relation = 'account'::regclass AND granted AND application_name = 'obbackup'";
        while cluster.psql(database, holders) != "2" {
            std::thread::sleep(Duration::from_millis(5));
        }
        let alter = std::thread::scope(|scope| {
            let alter = scope.spawn(|| {
                let mut client = cluster.connect(database);
                client.batch_execute("ALTER TABLE account ADD COLUMN more int; DROP TABLE vault")
            });
            let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            while cluster.psql(database, waiting) == "0" {
                std::thread::sleep(Duration::from_millis(5));
            }
            let memory = Memory::default();
            let part = source.capture(&memory, &Silent).unwrap();
            drop(source);
            restore(cluster, &part, &memory, copied, &Silent);
            alter.join().unwrap()
        });
        alter.unwrap();
        let shape = "SELECT (SELECT count(*) FROM vault),
            (SELECT count(*) FROM pg_attribute WHERE attrelid = 'account'::regclass AND attnum > 0)";
        assert_eq!(cluster.psql(copied, shape), "5000|3");
    });
}

#[test]
fn a_lock_that_is_not_to_be_had_is_waited_for_no_longer_than_told() {
    on_version(15, |cluster| {
        let database = "locked";
        bank(cluster, database);
        let mut holder = cluster.connect(database);
        let mut holding = holder.transaction().unwrap();
        holding
            .batch_execute("LOCK TABLE vault IN ACCESS EXCLUSIVE MODE")
            .unwrap();
        let mut options = capture_options(cluster);
        options.lock_timeout_seconds = 1;
        let begun = std::time::Instant::now();
        let error = DatabaseSource::open(&address(cluster, database), &options)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        assert!(begun.elapsed() < Duration::from_mins(1));
    });
}

#[test]
fn a_table_that_goes_before_it_is_locked_is_no_part_of_the_backup() {
    on_version(17, |cluster| {
        let database = "dropping";
        bank(cluster, database);
        let mut dropper = cluster.connect(database);
        let mut dropping = dropper.transaction().unwrap();
        dropping.batch_execute("DROP TABLE vault").unwrap();
        let source = std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                let mut options = capture_options(cluster);
                options.lock_timeout_seconds = 20;
                options.programs = client_programs(cluster);
                DatabaseSource::open(&address(cluster, database), &options)
            });
            let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            while cluster.psql(database, waiting) == "0" {
                std::thread::sleep(Duration::from_millis(5));
            }
            dropping.commit().unwrap();
            opened.join().unwrap()
        });
        assert_eq!(source.unwrap().tables(), 2);
    });
}
