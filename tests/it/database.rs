//! A database captured and restored: that nothing of it is lost, on every version.

use std::collections::BTreeMap;

use obbackup::config::Secret;
use obbackup::error::ErrorKind;
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
use crate::support::programs;

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
         ORDER BY 1, 2, 3, 4, 5",
    )
}
