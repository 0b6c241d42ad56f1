//! Test restores: what they find, that they leave nothing, and what they leave alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::cluster::skipped;
use crate::world::{World, errors, number};

const LEFT: &str = "SELECT count(*) FROM pg_database WHERE datname LIKE 'obbackup\\_drill\\_%'";

impl World {
    fn drill(&self, arguments: &[&str]) -> (i32, Value) {
        let scratch = self.path("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let drill = ["--json", "verify", "--drill", "--scratch"];
        let output = self.output(&[&drill[..], &[scratch.to_str().unwrap()], arguments].concat());
        let code = output.status.code().unwrap();
        let document = serde_json::from_slice(&output.stdout);
        (
            code,
            document.unwrap_or_else(|_| panic!("{}", errors(&output))),
        )
    }

    fn assert_nothing_left(&self) {
        let left = fs::read_dir(self.path("scratch")).unwrap();
        assert_eq!(left.count(), 0);
        let mine = format!(
            "{LEFT} AND shobj_description(oid, 'pg_database') = '{}'",
            self.instance.database
        );
        assert_eq!(self.cluster.psql("postgres", &mine), "0");
    }

    /// Its comment tells this instance's scratch databases from those of other tests on the shared server.
    fn name_in_comment(&self) {
        let name = &self.instance.database;
        self.cluster
            .psql(name, &format!("COMMENT ON DATABASE {name} IS '{name}'"));
    }
}

fn check<'a>(drilled: &'a Value, name: &str) -> &'a Value {
    let checks = drilled["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name} in {drilled}"))
}

#[test]
fn a_sound_backup_passes_and_its_certificate_is_shown() {
    let Some(world) = World::new("drill_passes") else {
        return;
    };
    world.name_in_comment();
    let line = "ALTER TABLE c_orderline ADD CONSTRAINT not_checked FOREIGN KEY (m_product_id) \
        REFERENCES m_product NOT VALID";
    world.cluster.psql("drill_passes", line);
    world.init();
    let taken = world.json(&["backup"]);
    let rows = world.rows("drill_passes");
    let before = world.json(&["list"]);
    assert_eq!(before["backups"][0]["drill"], Value::Null);
    let planned = world.json(&["verify", "--drill", "--dry-run"]);
    assert!(
        number(&planned, "needed_bytes") > number(&taken, "files_bytes"),
        "{planned}"
    );

    let (code, drilled) = world.drill(&[]);
    assert_eq!(code, 0, "{drilled}");
    assert_eq!(drilled["passed"], true);
    for name in [
        "files",
        "rows",
        "foreign keys",
        "ad_db_modified",
        "attachments",
        "modules",
    ] {
        assert_eq!(check(&drilled, name)["result"], "passed", "{drilled}");
    }
    let keys = check(&drilled, "foreign keys")["found"].to_string();
    assert!(keys.contains("1 NOT VALID as at backup"), "{keys}");
    world.assert_nothing_left();
    assert_eq!(world.rows("drill_passes"), rows);

    let certificate = &drilled["certificate"];
    let shown = world.json(&["show", "latest"]);
    assert_eq!(
        number(certificate, "rows"),
        number(&shown["database"], "rows")
    );
    assert_eq!(
        number(certificate, "tables"),
        number(&shown["database"], "tables")
    );
    assert_eq!(number(certificate, "files"), number(&taken, "files"));
    assert_eq!(number(certificate, "modules"), 31);
    let attachments = world
        .cluster
        .psql("drill_passes", "SELECT count(*) FROM c_file");
    assert_eq!(number(certificate, "attachments").to_string(), attachments);
    assert_eq!(shown["drill"]["rows"], certificate["rows"], "{shown}");
    assert_eq!(world.json(&["list"])["backups"][0]["drill"]["passed"], true);
    let text = |arguments: &[&str]| String::from_utf8(world.output(arguments).stdout).unwrap();
    assert!(text(&["list"]).contains("DRILLED"));
    assert!(text(&["show", "latest"]).contains("passed in"));
    assert_eq!(
        world.json(&["verify", "--read-data"])["findings"],
        serde_json::json!([])
    );
}

#[test]
fn what_does_not_hold_is_named_and_written_down() {
    let Some(world) = World::new("drill_fails") else {
        return;
    };
    world.name_in_comment();
    world.cluster.psql(
        "drill_fails",
        "CREATE TABLE loses (id int PRIMARY KEY);
         INSERT INTO loses SELECT generate_series(1, 9);
         CREATE FUNCTION lose() RETURNS int LANGUAGE plpgsql SET search_path FROM CURRENT AS
            $$ BEGIN DELETE FROM public.loses WHERE id = (SELECT max(id) FROM public.loses); RETURN 1; END $$;
         CREATE MATERIALIZED VIEW loser AS SELECT lose() AS one;
         CREATE OR REPLACE FUNCTION ad_db_modified(p_update char) RETURNS char LANGUAGE sql AS
            $$ SELECT CASE WHEN current_database() LIKE 'obbackup%' THEN 'Y' ELSE 'N' END $$;
         UPDATE ad_module SET version = '9.9.9' WHERE javapackage = 'com.example.module7';
         DELETE FROM ad_module WHERE javapackage = 'com.example.module8';
         INSERT INTO ad_module SELECT 'NEW', ad_client_id, ad_org_id, isactive, created, createdby, updated, updatedby,
            'New', '1.0.0', NULL, NULL, type, NULL, 'N', 'com.example.stray', NULL, 'A', NULL, 'N'
            FROM ad_module WHERE ad_module_id = '0';
         INSERT INTO ad_module SELECT 'DEV', ad_client_id, ad_org_id, isactive, created, createdby, updated, updatedby,
            'Dev', '1.0.0', NULL, NULL, type, NULL, 'Y', 'com.example.being.made', NULL, 'A', NULL, 'N'
            FROM ad_module WHERE ad_module_id = '0'",
    );
    let attachment = world.cluster.psql(
        "drill_fails",
        "SELECT path || '/' || name FROM c_file LIMIT 1",
    );
    fs::remove_file(world.instance.attachments.join(attachment)).unwrap();
    world.init();
    world.json(&["backup"]);
    let (code, drilled) = world.drill(&["latest"]);
    assert_eq!(code, 15, "{drilled}");
    assert_eq!(drilled["passed"], false);
    let failures = drilled["certificate"]["failures"].as_array().unwrap();
    let failures: Vec<_> = failures.iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(
        failures,
        [
            "table public.loses has 7 rows, and had 8 at backup",
            "ad_db_modified('N') answers `Y`, and answered `N` at backup",
            "module com.example.module7 is 1.7.0 in the sources and 9.9.9 in the database",
            "module com.example.module8 1.8.0 is in the sources and not in the database",
            "module com.example.stray 1.0.0 is in the database and not in the sources",
        ]
    );
    let attachments = check(&drilled, "attachments");
    assert_eq!(attachments["result"], "passed");
    assert!(
        attachments["found"]
            .to_string()
            .contains("1 of them absent already"),
        "{attachments}"
    );
    world.assert_nothing_left();
    let listed = String::from_utf8(world.output(&["list"]).stdout).unwrap();
    assert!(listed.contains("failed just now"), "{listed}");
    let shown = String::from_utf8(world.output(&["show", "latest"]).stdout).unwrap();
    assert!(shown.contains("Drill: table public.loses"), "{shown}");
}

/// Changes a byte in the middle of every pack.
fn damage(repository: &Path) {
    for directory in fs::read_dir(repository.join("packs")).unwrap() {
        for pack in fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = pack.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn a_damaged_backup_fails_and_one_that_cannot_be_tried_says_nothing() {
    let Some(world) = World::new("drill_damage") else {
        return;
    };
    world.name_in_comment();
    world.init();
    let taken = world.json(&["backup"]);
    let missing = world.path("nowhere");
    let missing = missing.to_str().unwrap();
    world.refused(
        &["verify", "--drill", "--scratch", missing],
        2,
        &["nowhere", "--scratch"],
    );
    assert_eq!(world.json(&["show", "latest"])["drill"], Value::Null);
    damage(&world.path("repository"));
    let (code, drilled) = world.drill(&[taken["id"].as_str().unwrap()]);
    assert_eq!(code, 15, "{drilled}");
    let restore = check(&drilled, "restore");
    assert!(
        restore["problems"][0].to_string().contains("pack"),
        "{restore}"
    );
    world.assert_nothing_left();
    assert_eq!(world.json(&["show", "latest"])["drill"]["passed"], false);
}

#[test]
fn a_place_without_room_is_refused_before_anything_is_written() {
    let Some(world) = World::new("drill_room") else {
        return;
    };
    world.name_in_comment();
    world.init();
    world.json(&["backup"]);
    let device = world.path("scratch");
    fs::create_dir(&device).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(&device)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        return skipped(&"a device of a fixed size needs the right to mount");
    }
    let scratch = device.to_str().unwrap();
    world.refused(
        &["verify", "--drill", "--scratch", scratch],
        13,
        &["MiB free", "MiB are needed", "--scratch DIR"],
    );
    world.assert_nothing_left();
    assert_eq!(world.json(&["show", "latest"])["drill"], Value::Null);
    assert!(
        Command::new("umount")
            .arg(&device)
            .status()
            .unwrap()
            .success()
    );
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{what} did not come"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_drill_left_goes_with_the_next_and_a_living_one_stays() {
    let Some(world) = World::new("drill_killed") else {
        return;
    };
    world.name_in_comment();
    world.init();
    world.json(&["backup"]);
    let scratch = world.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let arguments = ["verify", "--drill", "--scratch", scratch.to_str().unwrap()];
    let (server, here) = (world.cluster, &scratch);
    let begin = || {
        let before: Vec<_> = server
            .psql("postgres", NAMES)
            .lines()
            .map(str::to_owned)
            .collect();
        let child = world
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let new = || {
            let now = server.psql("postgres", NAMES);
            now.lines()
                .map(str::to_owned)
                .find(|name| !before.contains(name) && is_of(here, name))
        };
        wait_for("the scratch database", || new().is_some());
        (child, new().unwrap())
    };
    // Stopped on request: nothing stays, and nothing is said of the backup.
    let (mut stopped, database) = begin();
    Command::new("kill")
        .args(["-INT", &stopped.id().to_string()])
        .status()
        .unwrap();
    assert_eq!(stopped.wait().unwrap().code(), Some(130));
    assert!(!server.psql("postgres", NAMES).contains(&database));
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    assert_eq!(world.json(&["show", "latest"])["drill"], Value::Null);
    // Killed: everything stays.
    let (mut killed, database) = begin();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 1);
    // One that lives holds the server's lock on its name.
    let living = "obbackup_drill_00000000000000aa";
    server.psql("postgres", &format!("CREATE DATABASE {living}"));
    let mut holder = server.connect("postgres");
    holder
        .execute(
            "SELECT pg_advisory_lock(hashtextextended($1, 0))",
            &[&living],
        )
        .unwrap();
    let (code, drilled) = world.drill(&[]);
    assert_eq!(code, 0, "{drilled}");
    let removed = drilled["removed"].to_string();
    assert!(
        removed.contains(&database) && removed.contains("obbackup-drill-"),
        "{removed}"
    );
    let names = server.psql("postgres", NAMES);
    assert!(
        !names.contains(&database) && names.contains(living),
        "{names}"
    );
    world.assert_nothing_left();
    drop(holder);
    server.psql("postgres", &format!("DROP DATABASE {living}"));
}

const NAMES: &str = "SELECT datname FROM pg_database WHERE datname LIKE 'obbackup\\_drill\\_%'";

/// Whether the scratch database has its directory below `scratch`.
fn is_of(scratch: &Path, database: &str) -> bool {
    let token = database.trim_start_matches("obbackup_drill_");
    scratch.join(format!("obbackup-drill-{token}")).is_dir()
}
