//! A database captured and restored: that nothing of it is lost, on every version.

mod autovacuum;
mod consistency;
mod openbravo;
mod refusals;
mod roles;

use std::collections::BTreeMap;

use obbackup::config::Secret;
use obbackup::format::manifest::DatabasePart;
use obbackup::postgresql::client::Session;
use obbackup::postgresql::{DatabaseAddress, Programs};
use obbackup::progress::{Progress, Recorded, Silent};
use obbackup::source::database::{CaptureOptions, DatabaseSource, read_state};
use obbackup::target::database::{DatabaseTarget, RestoreOptions, table_rows};

use crate::support::chunks::Memory;
use crate::support::cluster::{Cluster, SUPERUSER, on_version};
use crate::support::equality;
use crate::support::nasty::Nasty;

/// The address of a database for the superuser.
fn address(cluster: &Cluster, database: &str) -> DatabaseAddress {
    let mut address = DatabaseAddress::new(cluster.host(), cluster.port(), database, SUPERUSER);
    address.password = Some(Secret::new(cluster.password().to_owned()));
    address
}

/// The same for a role with a password like its name.
fn role(cluster: &Cluster, database: &str, name: &str) -> DatabaseAddress {
    DatabaseAddress {
        user: name.to_owned(),
        password: Some(Secret::new(name.to_owned())),
        ..address(cluster, database)
    }
}

fn client_programs(cluster: &Cluster) -> Programs {
    let directory = cluster.bin("pg_dump");
    Programs::only(vec![directory.parent().unwrap().to_owned()])
}

fn capture_options(cluster: &Cluster) -> CaptureOptions {
    CaptureOptions {
        pages_per_range: 4,
        lock_timeout_seconds: 3,
        ..CaptureOptions::new(client_programs(cluster), std::env::temp_dir())
    }
}

fn restore_options(cluster: &Cluster) -> RestoreOptions {
    RestoreOptions::new(client_programs(cluster), std::env::temp_dir())
}

fn capture(cluster: &Cluster, database: &str, memory: &Memory) -> DatabasePart {
    let progress = Recorded::default();
    let mut source =
        DatabaseSource::open(&address(cluster, database), &capture_options(cluster)).unwrap();
    let estimated = source.estimated_bytes();
    let part = source.capture(memory, &progress).unwrap();
    assert!(progress.done_bytes() >= estimated);
    assert_eq!(progress.warnings(), Vec::<String>::new());
    part
}

fn restore(
    cluster: &Cluster,
    part: &DatabasePart,
    memory: &Memory,
    database: &str,
    progress: &dyn Progress,
) {
    let target = DatabaseTarget::new(address(cluster, database), restore_options(cluster));
    let plan = target.plan(part, memory).unwrap();
    let restored = target.run(&plan, part, memory, progress).unwrap();
    assert_eq!(restored.rows, part.rows);
}

/// Databases that the cluster has.
fn databases(cluster: &Cluster) -> String {
    cluster.psql(SUPERUSER, "SELECT datname FROM pg_database ORDER BY 1")
}

crate::each_version!(a_nasty_database_comes_back, |cluster| {
    let (original, copied) = ("nasty \"original\"", "nasty 'restored'");
    let nasty = Nasty {
        big_megabytes: 10,
        ..Nasty::default()
    };
    nasty.create(cluster, original);
    let memory = Memory::default();
    let part = capture(cluster, original, &memory);
    assert!(part.tables > 50, "{part:?}");
    let progress = Recorded::default();
    restore(cluster, &part, &memory, copied, &progress);
    assert_eq!(progress.warnings(), Vec::<String>::new());

    // As PostgreSQL's own programs bring it back, but for what they lose.
    equality::copy(cluster, original, "nasty by pg_restore");
    let ours = equality::rows(cluster, copied);
    let mut theirs = equality::rows(cluster, "nasty by pg_restore");
    let mut originals = equality::rows(cluster, original);
    for table in ["nasty.stale", "ledger.scratch"] {
        for other in [&mut theirs, &mut originals] {
            other.insert(table.to_owned(), ours[table].clone());
        }
    }
    assert_same(&originals, &ours);
    assert_same(&theirs, &ours);
    let differences = equality::difference(
        &equality::definitions(cluster, "nasty by pg_restore"),
        &equality::definitions(cluster, copied),
    );
    assert!(differences.is_empty(), "{differences:#?}");

    let state = |database: &str| {
        let mut session = Session::open(&address(cluster, SUPERUSER)).unwrap();
        let mut state = read_state(&mut session.client, session.version, database).unwrap();
        state.name.clear();
        state
    };
    assert_eq!(state(original), state(copied));
    assert!(state(copied).settings.len() > 8);
    assert_eq!(owners(cluster, original), owners(cluster, copied));
    assert_eq!(equality::corruption(cluster, copied), Vec::<String>::new());
});

fn assert_same(left: &BTreeMap<String, (i64, String)>, right: &BTreeMap<String, (i64, String)>) {
    let lines = |tables: &BTreeMap<String, (i64, String)>| -> Vec<String> {
        let lines = tables.iter().map(|(name, sum)| format!("{name}: {sum:?}"));
        lines.collect()
    };
    let differences = equality::difference(&lines(left), &lines(right));
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Who owns what, also what a dump's text does not tell.
fn owners(cluster: &Cluster, database: &str) -> String {
    cluster.psql(
        database,
        "SELECT 'relation', n.nspname, c.relname, c.relowner::regrole, c.relacl::text
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^pg_' AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
         UNION ALL SELECT 'large object', oid::text, '', lomowner::regrole, lomacl::text
         FROM pg_largeobject_metadata
         UNION ALL SELECT 'comment', loid::text, obj_description(loid, 'pg_largeobject'), NULL, NULL
         FROM (SELECT DISTINCT oid AS loid FROM pg_largeobject_metadata) l
         UNION ALL SELECT 'operator', n.nspname, o.oid::regoperator::text, o.oprowner::regrole, NULL
         FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname !~ '^pg_'
         ORDER BY 1, 2, 3, 4, 5",
    )
}

crate::each_version!(an_unchanged_database_costs_next_to_nothing, |cluster| {
    let database = "unchanged";
    cluster.create_database(database);
    cluster.psql(
        database,
        "CREATE TABLE ledger (id int, text text);
         INSERT INTO ledger SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, 100000) n;
         CREATE TABLE other AS SELECT n, md5(n::text) FROM generate_series(1, 1000) n;
         CREATE SEQUENCE number; SELECT nextval('number');
         SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'))",
    );
    let memory = Memory::default();
    let take = || {
        let mut options = capture_options(cluster);
        options.pages_per_range = 64;
        let mut source = DatabaseSource::open(&address(cluster, database), &options).unwrap();
        source.capture(&memory, &Silent).unwrap()
    };
    let first = take();
    let first_bytes = memory.bytes();
    let second = take();
    assert_eq!(first.rows, 101_000);
    assert_eq!(second.rows, first.rows);
    let new_bytes = memory.bytes() - first_bytes;
    assert!(
        new_bytes * 200 < first_bytes,
        "{new_bytes} new bytes after {first_bytes}"
    );
    // A night's work at the end of the ledger costs the ranges at its end.
    cluster.psql(
        database,
        "INSERT INTO ledger SELECT n, 'new' FROM generate_series(1, 100) n",
    );
    let before = memory.bytes();
    assert_eq!(take().rows, 101_100);
    let new_bytes = memory.bytes() - before;
    // Before 14 there are no ranges, and the last piece is as long as content makes it.
    let share = if cluster.version() >= 14 { 15 } else { 2 };
    assert!(
        new_bytes * share < first_bytes,
        "{new_bytes} new bytes after {first_bytes}"
    );
});

#[test]
fn one_table_can_be_had_without_a_server() {
    on_version(16, |cluster| {
        let database = "one table";
        cluster.create_database(database);
        cluster.psql(
            database,
            "CREATE SCHEMA \"S\"; CREATE TABLE \"S\".\"T\" (a int, b text);
             INSERT INTO \"S\".\"T\" SELECT n, repeat(E'x\\ty', 100) FROM generate_series(1, 5000) n;
             CREATE TABLE empty (a int)",
        );
        let memory = Memory::default();
        let part = capture(cluster, database, &memory);
        let mut text = Vec::new();
        let table = table_rows(&memory, &part.catalog, "S", "T", &mut text).unwrap();
        assert_eq!((table.rows, table.bytes), (5000, text.len() as u64));
        let server = cluster.psql(database, "COPY \"S\".\"T\" TO STDOUT") + "\n";
        assert!(server.as_bytes() == text);
        let mut nothing = Vec::new();
        let table = table_rows(&memory, &part.catalog, "public", "empty", &mut nothing).unwrap();
        assert_eq!((table.rows, nothing.len()), (0, 0));
        let error = table_rows(&memory, &part.catalog, "public", "T", &mut nothing).unwrap_err();
        assert_eq!(error.kind(), obbackup::error::ErrorKind::NotFound);
    });
}

#[test]
fn values_of_a_hundred_megabytes_come_back() {
    on_version(16, |cluster| {
        let (database, copied) = ("large values", "large values again");
        cluster.create_database(database);
        cluster.psql(
            database,
            "CREATE TABLE large (id int, b bytea, t text);
             ALTER TABLE large ALTER b SET STORAGE EXTERNAL;
             INSERT INTO large SELECT 1, string_agg(sha512(int8send(n)), ''), NULL
             FROM generate_series(1, 100 * 1048576 / 64) n;
             INSERT INTO large VALUES (2, NULL, repeat(E'backslash \\\\ and\nlines ', 100 * 1048576 / 22))",
        );
        let memory = Memory::default();
        let part = capture(cluster, database, &memory);
        restore(cluster, &part, &memory, copied, &Silent);
        let sums = "SELECT id, length(b), md5(b), length(t), md5(t) FROM large ORDER BY id";
        let original = cluster.psql(database, sums);
        assert!(original.contains(&(100 << 20).to_string()), "{original}");
        assert_eq!(original, cluster.psql(copied, sums));
    });
}
