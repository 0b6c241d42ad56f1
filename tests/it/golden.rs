//! The golden repositories: what an earlier program wrote is read by today's, and comes back as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::cluster::{Cluster, on_version};
use crate::world::errors;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A copy, so that nothing can change the original.
fn copy(directory: &Path) -> PathBuf {
    let to = directory.join("repository");
    let status = Command::new("cp")
        .arg("-R")
        .arg(golden("v1"))
        .arg(&to)
        .status();
    assert!(status.unwrap().success());
    to
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn assert_same_text(recorded: &str, actual: &[u8]) {
    let recorded = fs::read(golden(recorded)).unwrap();
    let (recorded, actual) = (
        String::from_utf8_lossy(&recorded),
        String::from_utf8_lossy(actual),
    );
    let mut lines = recorded.lines().zip(actual.lines());
    let first = lines.find(|(recorded, actual)| recorded != actual);
    assert_eq!(first, None, "the first difference, recorded and now");
    assert_eq!(recorded.lines().count(), actual.lines().count());
}

/// What was restored of the files, as the listing of the original has it.
fn assert_same_files(restored: &Path) {
    let mut listed = Vec::new();
    for part in ["sources", "deploy", "attachments", "configuration"] {
        listed.extend_from_slice(format!("== {part}\n").as_bytes());
        let output = Command::new("sh")
            .arg(golden("listing.sh"))
            .arg(restored.join(part))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        listed.extend_from_slice(&output.stdout);
    }
    assert_same_text("v1.files", &listed);
}

fn assert_same_rows(cluster: &Cluster, database: &str) {
    let rows = cluster.psql_file(database, &golden("rows.sql"), &[]);
    assert_same_text("v1.rows", rows.as_bytes());
}

/// Every member that was recorded is there and the same; there may be new ones.
fn assert_includes(recorded: &Value, actual: &Value, place: &str) {
    match (recorded, actual) {
        (Value::Object(recorded), Value::Object(actual)) => {
            for (key, value) in recorded {
                let place = format!("{place}.{key}");
                let there = actual.get(key).unwrap_or_else(|| panic!("{place} is gone"));
                assert_includes(value, there, &place);
            }
        }
        (Value::Array(recorded), Value::Array(actual)) => {
            assert_eq!(recorded.len(), actual.len(), "{place}");
            for (index, (recorded, actual)) in recorded.iter().zip(actual).enumerate() {
                assert_includes(recorded, actual, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(recorded, actual, "{place}"),
    }
}

#[test]
fn todays_program_brings_back_what_version_1_wrote() {
    on_version(15, |cluster| {
        let directory = tempfile::tempdir().unwrap();
        let repository = copy(directory.path());
        let run = |arguments: &[&str]| {
            Command::new(env!("CARGO_BIN_EXE_obbackup"))
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap())
                .env("HOME", directory.path())
                .env("PGPASSWORD", cluster.password())
                .current_dir(directory.path())
                .args(["--json", "--repository"])
                .arg(&repository)
                .args(arguments)
                .stdin(Stdio::null())
                .output()
                .unwrap()
        };
        let json =
            |arguments: &[&str]| -> Value { serde_json::from_str(&text(&run(arguments))).unwrap() };
        let recorded: Value =
            serde_json::from_slice(&fs::read(golden("v1.json")).unwrap()).unwrap();
        assert_includes(&recorded, &json(&["list"]), "list");
        assert_eq!(recorded["backups"][0]["drill"]["passed"], true);
        let verified = json(&["verify", "--read-data"]);
        assert_eq!(verified["findings"], serde_json::json!([]), "{verified}");
        let restored = directory.path().join("restored");
        let connection = format!(
            "postgresql://{}@{}:{}/unused",
            cluster.user(),
            cluster.host(),
            cluster.port()
        );
        let done = json(&[
            "restore",
            "latest",
            "--to-database",
            "golden_back",
            "--to-directory",
            restored.to_str().unwrap(),
            "--connection",
            &connection,
        ]);
        assert_eq!(done["warnings"], serde_json::json!([]), "{done}");
        assert_same_files(&restored);
        assert_same_rows(cluster, "golden_back");
        // The one before it, which has a file that was deleted since.
        let first = recorded["backups"][1]["id"].as_str().unwrap();
        let restored = directory.path().join("first");
        json(&[
            "restore",
            first,
            "--to-directory",
            restored.to_str().unwrap(),
        ]);
        let class = fs::read_to_string(restored.join("sources/src/org/openbravo/Class2.java"));
        assert_eq!(class.unwrap(), "class Class2 { int n = 2; } // größer\n");
    });
}

#[test]
fn the_independent_reader_brings_back_what_version_1_wrote() {
    on_version(15, |cluster| {
        let directory = tempfile::tempdir().unwrap();
        let repository = copy(directory.path());
        let reader = |command: &str, rest: &[&str]| {
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/obbackup_reader.py");
            let output = Command::new("python3")
                .arg("-B")
                .arg(script)
                .arg(command)
                .arg(&repository)
                .args(rest)
                .output()
                .unwrap();
            text(&output)
        };
        assert_eq!(reader("list", &[]).lines().count(), 2);
        assert!(reader("verify", &[]).ends_with("2 backups: sound\n"));
        let restored = directory.path().join("restored");
        reader("restore", &["latest", restored.to_str().unwrap()]);
        assert_same_files(&restored);
        cluster.psql(
            "postgres",
            "DO $$ BEGIN CREATE ROLE golden; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
        );
        let programs = cluster.bin("psql").parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let all = [programs].into_iter().chain(std::env::split_paths(&path));
        let mut command = Command::new("sh");
        cluster.environment(&mut command);
        let output = command
            .args(["restore.sh", "golden_read"])
            .env("PATH", std::env::join_paths(all).unwrap())
            .current_dir(restored.join("database"))
            .output()
            .unwrap();
        text(&output);
        assert_same_rows(cluster, "golden_read");
    });
}
