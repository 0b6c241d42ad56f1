//! Copies that are made harmless before they start.

use std::path::Path;

use obbackup::postgresql::{DatabaseAddress, Session};
use obbackup::target::database::neutralize;
use serde_json::Value;

use crate::support::cluster::{Cluster, SUPERUSER, on_version, skipped};
use crate::world::World;

/// As Openbravo has them, shortened; the trigger refuses every change, as triggers on old rows may.
const TABLES: &str = "
    SET ROLE tad;
    CREATE TABLE ad_process_request (ad_process_request_id varchar(32) PRIMARY KEY, isactive char(1) NOT NULL,
        updated timestamp NOT NULL DEFAULT now(), status varchar(60), next_fire_time timestamp);
    INSERT INTO ad_process_request VALUES ('1', 'Y', '2020-01-01', 'SCH', now()), ('2', 'Y', '2020-01-01', 'COM', NULL),
        ('3', 'N', '2020-01-01', 'SCH', now());
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'a trigger was asked'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON ad_process_request FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TRIGGER refuse_always BEFORE UPDATE ON ad_process_request FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE ad_process_request ENABLE ALWAYS TRIGGER refuse_always;
    CREATE TRIGGER disabled BEFORE UPDATE ON ad_process_request FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE ad_process_request DISABLE TRIGGER disabled;
    CREATE TABLE c_poc_configuration (c_poc_configuration_id varchar(32) PRIMARY KEY, isactive char(1) NOT NULL,
        smtpserver varchar(200), smtpserveraccount varchar(50), smtpserverpassword varchar(200),
        issmtpauthorization char(1) NOT NULL);
    INSERT INTO c_poc_configuration VALUES ('1', 'Y', 'mail.example.com', 'erp', 'secret', 'Y');
    CREATE TABLE c_external_system_http (c_external_system_http_id varchar(32) PRIMARY KEY, isactive char(1) NOT NULL,
        url varchar(1000) NOT NULL, password varchar(255));
    INSERT INTO c_external_system_http VALUES ('1', 'Y', 'https://bank.example.com/pay', 'secret');
    CREATE TABLE obx_webhook_event (obx_webhook_event_id varchar(32) PRIMARY KEY, isactive char(1) NOT NULL);
    INSERT INTO obx_webhook_event VALUES ('1', 'Y');
    RESET ROLE;
    SELECT ad_db_modified('Y')";

fn rows(neutralized: &Value, table: &str) -> Vec<u64> {
    let changes = neutralized["changes"].as_array().unwrap();
    let of = changes.iter().filter(|change| change["table"] == table);
    of.map(|change| change["rows"].as_u64().unwrap()).collect()
}

#[test]
fn a_copy_runs_nothing_sends_nothing_and_looks_like_one() {
    let Some(world) = World::new("neutral") else {
        return;
    };
    world.cluster.psql("neutral", TABLES);
    world
        .cluster
        .psql("neutral", "REFRESH MATERIALIZED VIEW sales_of_month_mv");
    let live = world.rows("neutral");
    world.init();
    world.json(&["backup"]);
    let arguments = [
        "restore",
        "latest",
        "--to-database",
        "neutral_copy",
        "--neutralize",
        "--yes",
    ];
    let restored = world.json(&arguments);
    let neutralized = &restored["neutralized"];
    assert_eq!(
        rows(neutralized, "ad_process_request"),
        [2],
        "{neutralized}"
    );
    assert_eq!(rows(neutralized, "c_poc_configuration"), [1]);
    assert_eq!(rows(neutralized, "c_external_system_http"), [1, 1]);
    assert_eq!(rows(neutralized, "ad_client"), [1]);
    assert_eq!(rows(neutralized, "ad_system_info"), [1]);
    assert_eq!(rows(neutralized, "obx_webhook_event"), [1]);
    let absent = neutralized["absent"].as_array().unwrap();
    assert!(
        absent.contains(&Value::from("obsched_triggers")),
        "{absent:?}"
    );
    for (query, answer) in [
        (
            "SELECT string_agg(concat(status, isactive, next_fire_time, ' ', updated::date), ',' ORDER BY \
             ad_process_request_id) FROM ad_process_request",
            "UNSY 2020-01-01,COMY 2020-01-01,UNSN 2020-01-01",
        ),
        (
            "SELECT string_agg(concat(tgname, tgenabled), ',' ORDER BY tgname) FROM pg_trigger \
             WHERE tgrelid = 'ad_process_request'::regclass AND NOT tgisinternal",
            "disabledD,refuseO,refuse_alwaysA",
        ),
        (
            "SELECT concat(isactive, ' ', smtpserver, smtpserveraccount, smtpserverpassword) FROM c_poc_configuration",
            "N neutralized.invalid",
        ),
        (
            "SELECT concat(isactive, ' ', url, ' ', password) FROM c_external_system_http",
            "N http://neutralized.invalid/ neutralized",
        ),
        ("SELECT isactive FROM obx_webhook_event", "N"),
        (
            "SELECT string_agg(name, ',' ORDER BY name) FROM ad_client",
            "System,TEST Maple & Oil Group",
        ),
        ("SELECT instance_purpose FROM ad_system_info", "T"),
        ("SELECT ad_db_modified('N')", "N"),
    ] {
        assert_eq!(world.cluster.psql("neutral_copy", query), answer, "{query}");
    }
    assert_eq!(world.rows("neutral"), live);
    world.cluster.psql("postgres", "DROP DATABASE neutral_copy");
    // People see what was changed; without a database there is nothing to change.
    let output = world.output(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("scheduled background processes unscheduled"),
        "{text}"
    );
    world.cluster.psql("postgres", "DROP DATABASE neutral_copy");
    let files = world.path("files");
    world.refused(
        &[
            "restore",
            "latest",
            "--to-directory",
            files.to_str().unwrap(),
            "--neutralize",
        ],
        2,
        &["neutralized"],
    );

    in_place(&world);
}

/// Nor does the application start any process, whatever the database says.
fn in_place(world: &World) {
    let restored = world.json(&["restore", "latest", "--neutralize", "--yes"]);
    assert_eq!(
        rows(&restored["neutralized"], "ad_process_request"),
        [2],
        "{restored}"
    );
    let scheduled = "SELECT count(*) FROM ad_process_request WHERE status = 'SCH'";
    assert_eq!(world.cluster.psql("neutral", scheduled), "0");
    for directory in [
        world.instance.sources.join("config"),
        world.instance.deploy.join("WEB-INF"),
    ] {
        let text = std::fs::read_to_string(directory.join("Openbravo.properties")).unwrap();
        let policy = text
            .lines()
            .rfind(|line| line.starts_with("background.policy"));
        assert_eq!(policy, Some("background.policy=no-execute"));
    }
}

#[test]
fn a_copy_that_cannot_be_made_harmless_is_not_left() {
    let Some(world) = World::new("unneutral") else {
        return;
    };
    world.cluster.psql(
        "unneutral",
        "CREATE TABLE c_poc_configuration (isactive char(1) CHECK (isactive = 'Y'), smtpserver text);
         ALTER TABLE c_poc_configuration OWNER TO tad;
         INSERT INTO c_poc_configuration VALUES ('Y', 'mail.example.com')",
    );
    world.init();
    world.json(&["backup", "--only", "database"]);
    world.refused(
        &[
            "restore",
            "latest",
            "--to-database",
            "unneutral_copy",
            "--neutralize",
            "--yes",
        ],
        1,
        &["cannot make the copy harmless", "c_poc_configuration"],
    );
    let left = "SELECT count(*) FROM pg_database WHERE datname = 'unneutral_copy'";
    assert_eq!(world.cluster.psql("postgres", left), "0");
}

/// Beside the project, not in it.
const DUMP: &str = "../shared/openbravo-24q4/openbravo-24q4-tables.dump";

fn session(cluster: &Cluster, database: &str) -> Session {
    let mut address = DatabaseAddress::new(cluster.host(), cluster.port(), database, "tad");
    address.password = Some(obbackup::config::Secret::new("tad"));
    Session::open(&address).unwrap()
}

#[test]
fn every_table_of_a_real_instance_is_known() {
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join(DUMP);
    if !dump.exists() {
        return skipped(&format!("there is no {DUMP}"));
    }
    on_version(15, |cluster| {
        let database = "neutral real";
        cluster.psql(
            SUPERUSER,
            "DO $$ BEGIN CREATE ROLE tad LOGIN CREATEDB CREATEROLE PASSWORD 'tad';
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             CREATE DATABASE \"neutral real\" OWNER tad TEMPLATE template0",
        );
        let output = cluster
            .command("pg_restore")
            .args(["--exit-on-error", "--jobs=2", "--dbname", database])
            .arg(&dump)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        cluster.psql(
            database,
            "INSERT INTO c_poc_configuration SELECT '1', ad_client_id, '0', 'Y', now(), '0', now(), '0', 'mail.example.com',
                'erp', 'secret', 'Y' FROM ad_client WHERE ad_client_id <> '0' LIMIT 1",
        );
        let done = neutralize(&mut session(cluster, database)).unwrap();
        assert_eq!(done.absent, Vec::<String>::new());
        let tables: std::collections::BTreeSet<_> = done
            .changes
            .iter()
            .map(|change| change.table.as_str())
            .collect();
        assert!(tables.contains("obsched_job_details") && tables.contains("c_external_system"));
        let clients =
            "SELECT count(*) FROM ad_client WHERE ad_client_id <> '0' AND name NOT LIKE 'TEST %'";
        assert_eq!(cluster.psql(database, clients), "0");
        assert_eq!(
            cluster.psql(database, "SELECT isactive FROM c_poc_configuration"),
            "N"
        );
        // Once more there is nothing left to do.
        let again = neutralize(&mut session(cluster, database)).unwrap();
        let scheduled = again
            .changes
            .iter()
            .find(|change| change.table == "ad_process_request");
        assert_eq!(scheduled.unwrap().rows, 0);
        cluster.psql(SUPERUSER, "DROP DATABASE \"neutral real\"");
    });
}
