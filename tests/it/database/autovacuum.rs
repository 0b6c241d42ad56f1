//! Autovacuum, which a restore keeps away from large tables until they are complete.

use std::sync::Mutex;

use obbackup::chunk::ChunkSource;
use obbackup::error::Result;
use obbackup::format::id::ChunkId;
use obbackup::progress::Silent;
use obbackup::target::database::DatabaseTarget;

use super::{address, capture, restore_options};
use crate::support::chunks::Memory;
use crate::support::cluster::Cluster;

const OPTIONS: &str =
    "SELECT relname, reloptions FROM pg_class WHERE relname IN ('large', 'own') ORDER BY 1";

/// Looks at the tables that are being loaded whenever a chunk is read.
struct Watched<'a> {
    memory: &'a Memory,
    look: &'a (dyn Fn() -> String + Sync),
    seen: Mutex<String>,
}

impl ChunkSource for Watched<'_> {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        *self.seen.lock().unwrap() = (self.look)();
        self.memory.get(id)
    }
}

/// What the options of the tables were when the last chunk was read, and what they are afterwards.
fn options_during_and_after(cluster: &Cluster, database: &str, more: &str) -> (String, String) {
    cluster.create_database(database);
    // The smallest is loaded last.
    cluster.psql(
        database,
        &format!(
            "CREATE TABLE large AS SELECT n, repeat('x', 1000) FROM generate_series(1, 6000) n;
             CREATE TABLE own WITH (autovacuum_enabled = true, fillfactor = 90)
                AS SELECT * FROM large WHERE n < 3000;
             CREATE TABLE small AS SELECT 1;
             CREATE INDEX ON large (n); {more}"
        ),
    );
    let memory = Memory::default();
    let part = capture(cluster, database, &memory);
    let copy = format!("{database} restored");
    let mut options = restore_options(cluster);
    options.jobs = 1;
    let target = DatabaseTarget::new(address(cluster, &copy), options);
    let plan = target.plan(&part, &memory).unwrap();
    let source = Watched {
        memory: &memory,
        look: &|| cluster.psql(&copy, OPTIONS),
        seen: Mutex::default(),
    };
    target.run(&plan, &part, &source, &Silent).unwrap();
    let seen = source.seen.into_inner().unwrap();
    (seen, cluster.psql(&copy, OPTIONS))
}

crate::each_version!(it_comes_to_large_tables_once_they_are_complete, |cluster| {
    let own = "own|{autovacuum_enabled=true,fillfactor=90}";
    let after = format!("large|\n{own}");
    let (seen, left) = options_during_and_after(cluster, "autovacuum", "");
    assert_eq!(seen, format!("large|{{autovacuum_enabled=false}}\n{own}"));
    assert_eq!(left, after);

    // Nobody may alter a table there once everything is.
    let guarded = "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
            EXECUTE FUNCTION refuse();";
    let (seen, left) = options_during_and_after(cluster, "autovacuum and a trigger", guarded);
    assert_eq!((&seen, &left), (&after, &after));
});
