//! A real Openbravo's tables, where they are at hand, and what its tables tell.

use std::path::Path;

use obbackup::progress::Silent;
use obbackup::source::database::{DatabaseSource, OpenbravoFacts};

use super::{address, capture, capture_options, restore};
use crate::support::chunks::Memory;
use crate::support::cluster::{SUPERUSER, on_version, skipped};
use crate::support::equality;

/// Beside the project, not in it.
const DUMP: &str = "../shared/openbravo-24q4/openbravo-24q4-tables.dump";

#[test]
fn the_tables_of_a_real_instance_come_back() {
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join(DUMP);
    if !dump.exists() {
        return skipped(&format!("there is no {DUMP}"));
    }
    on_version(15, |cluster| {
        let (database, copied) = ("real openbravo", "real openbravo again");
        cluster.psql(
            SUPERUSER,
            // Others of this server's tests may need the role at the same time.
            "DO $$ BEGIN CREATE ROLE tad LOGIN CREATEDB PASSWORD 'tad';
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             CREATE DATABASE \"real openbravo\" OWNER tad TEMPLATE template0",
        );
        let output = cluster
            .command("pg_restore")
            .args(["--exit-on-error", "--jobs=2", "--dbname", database])
            .arg(&dump)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let memory = Memory::default();
        let part = capture(cluster, database, &memory);
        assert!(part.tables > 600 && part.rows > 60_000, "{part:?}");
        let first_bytes = memory.bytes();
        capture(cluster, database, &memory);
        let new_bytes = memory.bytes() - first_bytes;
        assert!(
            new_bytes * 200 < first_bytes,
            "{new_bytes} new bytes after {first_bytes}"
        );
        restore(cluster, &part, &memory, copied, &Silent);
        equality::copy(cluster, database, "real openbravo by pg_restore");
        assert_eq!(
            equality::rows(cluster, database),
            equality::rows(cluster, copied)
        );
        let differences = equality::difference(
            &equality::definitions(cluster, "real openbravo by pg_restore"),
            &equality::definitions(cluster, copied),
        );
        assert!(differences.is_empty(), "{differences:#?}");
        assert_eq!(equality::corruption(cluster, copied), Vec::<String>::new());
    });
}

#[test]
fn facts_are_found_as_the_application_finds_them() {
    on_version(16, |cluster| {
        let database = "facts";
        cluster.create_database(database);
        let open = || {
            DatabaseSource::open(&address(cluster, database), &capture_options(cluster)).unwrap()
        };
        let mut source = open();
        assert_eq!(source.openbravo_facts().unwrap(), OpenbravoFacts::default());
        assert!(!source.has_table("c_file").unwrap());
        drop(source);
        cluster.psql(
            database,
            "CREATE SCHEMA erp;
             ALTER DATABASE facts SET search_path = erp;
             CREATE TABLE erp.ad_system_info (system_status text);
             INSERT INTO erp.ad_system_info VALUES ('RB51');
             CREATE TABLE erp.ad_module (ad_module_id text, javapackage text, version text);
             INSERT INTO erp.ad_module VALUES ('0', 'org.openbravo', '3.0.244000'),
                ('1', 'org.example', '1.0.0');
             CREATE TABLE erp.c_file (name text, path text);
             INSERT INTO erp.c_file VALUES (E'tab\\tand\\nbreak', NULL), ('größe', 'a/b');
             CREATE FUNCTION erp.ad_db_modified(char) RETURNS char LANGUAGE sql AS
                $$ SELECT CASE WHEN current_schema() = 'erp' AND $1 = 'N' THEN 'N' ELSE 'Y' END $$",
        );
        let mut source = open();
        let facts = source.openbravo_facts().unwrap();
        assert_eq!(facts.system_status.as_deref(), Some("RB51"));
        assert_eq!(facts.openbravo_version.as_deref(), Some("3.0.244000"));
        assert_eq!(facts.modules.len(), 2);
        assert!(source.has_table("c_file").unwrap());
        let mut rows = Vec::new();
        source
            .stream_query(
                "SELECT name, path FROM c_file ORDER BY path NULLS FIRST",
                |row| {
                    let fields: Vec<_> = obbackup::postgresql::copy_text::fields(row).collect();
                    rows.push(fields);
                    Ok(())
                },
            )
            .unwrap();
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            rows,
            [
                vec![text("tab\tand\nbreak"), None],
                vec![text("größe"), text("a/b")]
            ]
        );
        assert!(
            source
                .stream_query("SELECT * FROM nothing", |_| Ok(()))
                .is_err()
        );
        // The snapshot has survived the refused query.
        let part = source.capture(&Memory::default(), &Silent).unwrap();
        assert_eq!(part.db_modified.as_deref(), Some("N"));
    });
}
