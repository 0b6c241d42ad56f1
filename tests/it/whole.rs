//! The main job, through the command: a whole instance backed up, changed, backed up again, lost and restored.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::tree::assert_same;
use crate::world::{Rows, World, errors, number};

fn assert_same_rows(expected: &Rows, actual: &Rows) {
    let names: BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    let different: Vec<_> = names
        .into_iter()
        .filter(|name| expected.get(*name) != actual.get(*name))
        .map(|name| (name, expected.get(name), actual.get(name)))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn a_whole_instance_comes_back() {
    let Some(world) = World::new("whole") else {
        return;
    };
    world.init();
    let first = world.json(&["backup", "--label", "first"]);
    assert_eq!(first["status"], "good", "{first}");
    assert_eq!(first["warnings"], serde_json::json!([]));
    let stored_first = number(&first, "stored_bytes");

    // Nothing changed: nothing is read, hardly anything stored.
    let unchanged = world.json(&["backup"]);
    assert_eq!(number(&unchanged, "files_read"), 0, "{unchanged}");
    let stored = number(&unchanged, "stored_bytes");
    assert!(stored * 200 < stored_first, "{stored} of {stored_first}");

    // A day of business.
    world
        .cluster
        .psql("whole", "REFRESH MATERIALIZED VIEW sales_of_month_mv");
    let before_day = world.rows("whole");
    world.instance.day(&world.cluster.config("postgres"));
    fs::write(world.instance.sources.join("config/note"), "of the day").unwrap();
    // A restore computes it anew, as `pg_restore` does.
    world
        .cluster
        .psql("whole", "REFRESH MATERIALIZED VIEW sales_of_month_mv");
    let rows = world.rows("whole");
    assert_ne!(rows, before_day);
    let day = world.json(&["backup", "--label", "after a day", "--type", "scheduled"]);
    let files_read = number(&day, "files_read");
    assert!(
        files_read > 0 && files_read < number(&day, "files") / 4,
        "{day}"
    );
    assert!(number(&day, "stored_bytes") * 4 < stored_first, "{day}");

    let listed = world.json(&["list"]);
    let labels: Vec<_> = listed["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["label"])
        .collect();
    assert_eq!(
        labels,
        [
            &Value::from("after a day"),
            &Value::Null,
            &Value::from("first")
        ]
    );
    let sound = world.json(&["verify", "--read-data"]);
    assert_eq!(sound["findings"], serde_json::json!([]), "{sound}");

    // Beside what is live: the newest, and the first.
    let beside = world.path("beside");
    let arguments = [
        "restore",
        "latest",
        "--to-database",
        "whole_beside",
        "--to-directory",
    ];
    world.json(&[&arguments[..], &[beside.to_str().unwrap(), "--yes"]].concat());
    assert_same_rows(&rows, &world.rows("whole_beside"));
    world.assert_same_database("whole", "whole_beside");
    assert_same(&world.instance.attachments, &beside.join("attachments"));
    assert_same(&world.instance.deploy, &beside.join("deploy"));
    assert_same(
        &world.instance.sources.join("config"),
        &beside.join("configuration"),
    );
    let id = first["id"].as_str().unwrap();
    world.json(&[
        "restore",
        &id[..8],
        "--to-database",
        "whole_first",
        "--only",
        "database",
        "--yes",
    ]);
    assert_same_rows(&before_day, &world.rows("whole_first"));
    world.cluster.psql("postgres", "DROP DATABASE whole_beside");
    world.cluster.psql("postgres", "DROP DATABASE whole_first");

    lose_and_restore(&world, &rows);
}

/// Destroys much of the instance, restores it in place, and compares with how it was.
fn lose_and_restore(world: &World, rows: &Rows) {
    let kept = world.path("kept");
    for (from, to) in [
        (&world.instance.sources, "sources"),
        (&world.instance.deploy, "deploy"),
        (&world.instance.attachments, "attachments"),
    ] {
        fs::create_dir_all(&kept).unwrap();
        let status = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(kept.join(to))
            .status();
        assert!(status.unwrap().success());
    }
    world.cluster.psql(
        "whole",
        "DROP TABLE c_orderline CASCADE; DELETE FROM c_file",
    );
    fs::remove_dir_all(&world.instance.attachments).unwrap();
    fs::create_dir(&world.instance.attachments).unwrap();
    fs::remove_dir_all(world.instance.sources.join("src")).unwrap();
    fs::write(world.instance.sources.join("stray"), "not in the backup").unwrap();
    let restored = world.json(&["restore", "latest", "--yes"]);
    assert_same_rows(rows, &world.rows("whole"));
    for (live, copy) in [
        (&world.instance.attachments, "attachments"),
        (&world.instance.deploy, "deploy"),
        (&world.instance.sources, "sources"),
    ] {
        let before = fs::metadata(kept.join(copy)).unwrap().modified().unwrap();
        assert_eq!(
            fs::metadata(live).unwrap().modified().unwrap(),
            before,
            "{copy}"
        );
        // What the restore keeps aside is not part of the comparison, nor what is remembered of the instance.
        if fs::remove_dir_all(kept.join(copy).join(".obbackup")).is_ok() {
            fs::File::open(kept.join(copy))
                .unwrap()
                .set_modified(before)
                .unwrap();
        }
        if fs::rename(live.join(".obbackup"), world.path(&format!("{copy}-old"))).is_ok() {
            fs::File::open(live).unwrap().set_modified(before).unwrap();
        }
        assert_same(&kept.join(copy), live);
    }
    // The state before is still there.
    let old = restored["replaced"]["database"].as_str().unwrap();
    assert_eq!(
        world
            .cluster
            .psql(old, "SELECT count(*) FROM c_file")
            .trim(),
        "0"
    );
    assert_eq!(
        fs::read(
            world
                .path("sources-old")
                .join(stray(&world.path("sources-old")))
        )
        .unwrap(),
        b"not in the backup"
    );
    // The safety backup holds what the restore replaced.
    let listed = world.json(&["list", "--type", "automated"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed}");
}

/// Where the stray file went, relative to the directory of the old states.
fn stray(area: &Path) -> PathBuf {
    let mut open = vec![area.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("stray") {
                return path.strip_prefix(area).unwrap().to_owned();
            }
        }
    }
    panic!("the stray file is in none of the old states");
}

#[test]
fn bad_input_is_refused_with_a_hint_and_nothing_is_lost() {
    let Some(world) = World::new("refusals") else {
        return;
    };
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let repository = text(world.path("repository"));
    world.refused(
        &["backup", "--repository", &repository],
        10,
        &["there is no directory", "hint:"],
    );
    let inside = text(world.instance.sources.join("backups"));
    world.refused(&["init", "--repository", &inside], 2, &["hint:"]);
    let around = text(world.directory.path().to_owned());
    world.refused(&["init", "--repository", &around], 2, &["hint:"]);
    assert!(!world.instance.sources.join("backups").exists());
    world.init();
    world.refused(&["init", "--repository", &repository], 1, &["already"]);
    let taken = world.json(&["backup"]);
    let id = taken["id"].as_str().unwrap().to_owned();
    world.refused(&["show", "ffffffff"], 10, &["no backup", "hint:"]);
    world.refused(&["show", "xyz"], 2, &["hint:"]);
    world.refused(
        &["restore", &id, "--to-database", "refusals", "--yes"],
        1,
        &["refusals", "hint:"],
    );
    let full = text(world.instance.attachments.clone());
    fs::create_dir_all(world.instance.attachments.join("sources/x")).unwrap();
    world.refused(
        &["restore", &id, "--to-directory", &full, "--yes"],
        1,
        &["not empty", "hint:"],
    );
    world.refused(&["--instance", "/nowhere/at/all", "backup"], 2, &[]);
    world.refused(
        &["cat", &id, "table:public.nothing"],
        10,
        &["nothing", "hint:"],
    );
    world.refused(&["cat", &id, "sources/nothing"], 10, &["nothing", "hint:"]);

    let properties = world.instance.sources.join("config/Openbravo.properties");
    let original = fs::read_to_string(&properties).unwrap();
    let with = |from: &str, to: &str| fs::write(&properties, original.replace(from, to)).unwrap();
    with("bbdd.rdbms=POSTGRE", "bbdd.rdbms=ORACLE");
    world.refused(&["backup"], 14, &["Oracle"]);
    with("bbdd.sid=refusals", "bbdd.sid=missing_database");
    world.refused(&["backup"], 1, &["missing_database"]);
    with(&format!(":{}", world.cluster.port()), ":1");
    world.refused(&["backup"], 1, &["hint:"]);
    with("bbdd.password=", "bbdd.password=wrong");
    world.refused(&["backup"], 1, &["password", "hint:"]);
    fs::write(&properties, "bbdd.sid=\\u00").unwrap();
    world.refused(&["backup"], 2, &["Openbravo.properties", "1"]);
    fs::write(&properties, &original).unwrap();
    let listed = world.json(&["list"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);
    assert_eq!(
        world.json(&["verify", "--read-data"])["findings"],
        serde_json::json!([])
    );
}

#[test]
fn parts_and_single_things_are_restored() {
    let Some(world) = World::new("parts") else {
        return;
    };
    world.init();
    world.json(&["backup"]);
    let output = world.output(&["cat", "latest", "table:public.ad_module"]);
    assert!(output.status.success(), "{}", errors(&output));
    let expected = world.cluster.psql("parts", "COPY ad_module TO STDOUT");
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(
        sorted(&String::from_utf8_lossy(&output.stdout)),
        sorted(&expected)
    );
    let file = "config/Openbravo.properties";
    let output = world.output(&["cat", "latest", "configuration/Openbravo.properties"]);
    assert_eq!(
        output.stdout,
        fs::read(world.instance.sources.join(file)).unwrap()
    );
    let listed = world.json(&["ls", "latest", "configuration"]);
    assert!(
        listed
            .to_string()
            .contains("configuration/Openbravo.properties"),
        "{listed}"
    );
    let part = world.path("part");
    let directory = part.to_str().unwrap();
    world.json(&[
        "restore",
        "latest",
        "--only",
        "attachments",
        "--to-directory",
        directory,
        "--yes",
    ]);
    let names: Vec<_> = fs::read_dir(&part)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["attachments"]);
    assert_same(&world.instance.attachments, &part.join("attachments"));
}

#[test]
fn a_backup_that_is_interrupted_leaves_the_repository_sound() {
    let Some(world) = World::new("interrupted") else {
        return;
    };
    world.init();
    let mut stopped = 0;
    for milliseconds in [0, 100, 250, 450] {
        let mut child = world
            .command(&["backup"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Before its first words the signal ends it as it ends any program.
        let mut said = BufReader::new(child.stderr.take().unwrap());
        said.read_line(&mut String::new()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let status = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        let ended = child.wait().unwrap();
        if status.success() && ended.code() == Some(130) {
            stopped += 1;
        } else {
            assert!(ended.success(), "{ended}");
        }
        let sound = world.json(&["verify", "--read-data"]);
        let damage = sound["findings"].as_array().unwrap();
        assert!(
            damage.iter().all(|finding| finding["severity"] == "note"),
            "{sound}"
        );
    }
    assert!(stopped >= 1, "no backup was stopped");
    let taken = world.json(&["backup"]);
    assert_eq!(taken["status"], "good");
}
