//! Whole backups restored without our code: by the independent reader, and by the commands in docs/format.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use chrono::Utc;
use obbackup::chunk::ChunkReader;
use obbackup::codec::Compression;
use obbackup::config::Secret;
use obbackup::format::catalog::entries;
use obbackup::format::database::DatabaseState;
use obbackup::format::id::random_id;
use obbackup::format::manifest::{
    BackupId, BackupType, DatabasePart, FilesPart, InstanceIdentity, Manifest, Part, Statistics,
    Status,
};
use obbackup::format::record::{LeaseMode, Run};
use obbackup::postgresql::client::Session;
use obbackup::postgresql::{DatabaseAddress, Programs};
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::verify::VerifyOptions;
use obbackup::repository::writer::Writer;
use obbackup::source::database::{self, DatabaseSource, read_state};
use obbackup::source::files::{self, Exclusions};
use obbackup::storage::local::Local;
use obbackup::target::files::{self as target, RestoreOptions};
use tempfile::TempDir;

use crate::support::cluster::{Cluster, SUPERUSER, on_version};
use crate::support::equality;
use crate::support::instance::{Instance, Size};
use crate::support::nasty::Nasty;
use crate::support::tree::{assert_same, is_root, odd_tree};

/// A directory that the server's programs can enter, because its user runs them.
fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Takes a backup of trees, and of a database, as the command does.
fn back_up(
    repository: &Path,
    compression: Compression,
    trees: &[(Part, &Path)],
    database: impl FnOnce(&Writer) -> Option<DatabasePart>,
) -> BackupId {
    let repository =
        Repository::init(Arc::new(Local::new(repository)), compression).expect("a new repository");
    let lock = repository
        .lock(LeaseMode::Write, "instance", "backup")
        .unwrap();
    let started_at = Utc::now();
    let writer = repository.writer().unwrap();
    let database = database(&writer);
    let files: Vec<FilesPart> = trees
        .iter()
        .map(|(part, root)| {
            let options = files::CaptureOptions::default();
            files::capture(root, &Exclusions::none(), None, options, &writer, &Silent)
                .unwrap()
                .to_part(*part, root)
        })
        .collect();
    let written = writer.finish().unwrap();
    let run = random_id(8).unwrap();
    let manifest = Manifest {
        format: 1,
        tool: "test".to_owned(),
        backup_type: BackupType::Manual,
        status: Status::Good,
        label: Some("größer".to_owned()),
        pinned: false,
        started_at,
        finished_at: Utc::now(),
        parent: None,
        run: run.clone(),
        instance: InstanceIdentity {
            id: "instance".to_owned(),
            name: "openbravo".to_owned(),
            host: "host".to_owned(),
            source_path: "/opt/openbravo".to_owned(),
            holder: None,
            openbravo_version: None,
            modules: Vec::new(),
        },
        statistics: Statistics {
            database_bytes: database.as_ref().map_or(0, |part| part.bytes),
            files: files.iter().map(|part| part.files).sum(),
            files_bytes: files.iter().map(|part| part.bytes).sum(),
            new_bytes: written.new_bytes,
            stored_bytes: written.stored_bytes,
            ..Statistics::default()
        },
        database,
        files,
        warnings: Vec::new(),
        indexes: written.indexes,
    };
    let id = repository.commit(&manifest, &lock).unwrap();
    repository
        .record(&Run {
            id: run,
            command: "backup".to_owned(),
            instance: "instance".to_owned(),
            backup_type: Some(BackupType::Manual),
            started_at,
            finished_at: manifest.finished_at,
            backup: Some(id),
            backup_finished_at: Some(manifest.finished_at),
            outcome: "ok".to_owned(),
            message: None,
            occasion: None,
            host: None,
        })
        .unwrap();
    id
}

fn address(cluster: &Cluster, database: &str) -> DatabaseAddress {
    let mut address = DatabaseAddress::new(cluster.host(), cluster.port(), database, SUPERUSER);
    address.password = Some(Secret::new(cluster.password().to_owned()));
    address
}

fn capture(cluster: &Cluster, database: &str, writer: &Writer) -> DatabasePart {
    let programs = Programs::only(vec![cluster.bin("pg_dump").parent().unwrap().to_owned()]);
    let options = database::CaptureOptions {
        pages_per_range: 4,
        ..database::CaptureOptions::new(programs, std::env::temp_dir())
    };
    let mut source = DatabaseSource::open(&address(cluster, database), &options).unwrap();
    source.capture(writer, &Silent).unwrap()
}

fn reader(arguments: &[&Path]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/obbackup_reader.py");
    Command::new("python3")
        .arg("-B")
        .arg(script)
        .args(arguments)
        .output()
        .expect("python3 runs")
}

fn succeeded(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Runs a shell script with the cluster's own `psql` and `pg_restore`.
fn shell(cluster: &Cluster, directory: &Path, script: &[&str]) -> Output {
    let programs = cluster.bin("psql").parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = vec![programs];
    all.extend(std::env::split_paths(&path).collect::<Vec<PathBuf>>());
    let mut command = Command::new("sh");
    cluster.environment(&mut command);
    command
        .args(script)
        .env("PATH", std::env::join_paths(all).unwrap())
        .current_dir(directory)
        .output()
        .expect("sh runs")
}

fn restore(repository: &Path, target: &Path) {
    let output = reader(&[
        Path::new("restore"),
        repository,
        Path::new("latest"),
        target,
    ]);
    succeeded(&output);
}

#[test]
fn every_file_comes_back_with_and_without_an_index() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("sources")).unwrap();
    odd_tree(&at("sources"));
    fs::create_dir_all(at("deploy/WEB-INF")).unwrap();
    fs::write(at("deploy/WEB-INF/web.xml"), "<web-app/>").unwrap();
    let trees = [
        (Part::Sources, &*at("sources")),
        (Part::Deploy, &*at("deploy")),
    ];
    let id = back_up(&at("repository"), Compression::Zstd, &trees, |_| None);
    let verified = succeeded(&reader(&[Path::new("verify"), &at("repository")]));
    assert!(verified.ends_with("1 backups: sound\n"), "{verified}");
    let listed = succeeded(&reader(&[Path::new("list"), &at("repository")]));
    assert!(listed.starts_with(&id.short()) && listed.ends_with("größer\n"));

    if !is_root() {
        // Without its owners a tree is not the same; the reader's own tests look at the rest.
        return;
    }
    restore(&at("repository"), &at("restored"));
    assert_same(&at("sources"), &at("restored/sources"));
    assert_same(&at("deploy"), &at("restored/deploy"));
    fs::remove_dir_all(at("repository/index")).unwrap();
    restore(&at("repository"), &at("again"));
    assert_same(&at("sources"), &at("again/sources"));
}

crate::each_version!(a_nasty_database_comes_back, |cluster| {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let (original, copied) = ("nasty 'read'", "nasty \"read\" back");
    Nasty::default().create(cluster, original);
    back_up(&at("repository"), Compression::Gzip, &[], |writer| {
        Some(capture(cluster, original, writer))
    });
    restore(&at("repository"), &at("restored"));
    let output = shell(cluster, &at("restored/database"), &["restore.sh", copied]);
    succeeded(&output);

    let ours = equality::rows(cluster, copied);
    let mut originals = equality::rows(cluster, original);
    // A materialized view is computed anew, and an extension's own tables are made anew.
    for table in ["nasty.stale", "ledger.scratch"] {
        originals.insert(table.to_owned(), ours[table].clone());
    }
    assert_eq!(originals, ours);
    equality::copy(cluster, original, "nasty read by pg_restore");
    let differences = equality::difference(
        &equality::definitions(cluster, "nasty read by pg_restore"),
        &equality::definitions(cluster, copied),
    );
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(state(cluster, original), state(cluster, copied));
});

/// What belongs to a database itself, but for its name.
fn state(cluster: &Cluster, database: &str) -> DatabaseState {
    let mut session = Session::open(&address(cluster, SUPERUSER)).unwrap();
    let mut state = read_state(&mut session.client, session.version, database).unwrap();
    state.name.clear();
    state
}

#[test]
fn databases_of_other_locales_and_encodings_come_back() {
    on_version(17, |cluster| {
        let kinds = [
            (
                "builtin",
                "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' ENCODING 'UTF8'",
            ),
            (
                "icu",
                "LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE' ICU_RULES '&a < z' ENCODING 'UTF8'",
            ),
            ("latin", "LOCALE_PROVIDER libc ENCODING 'LATIN1'"),
            (
                "bytes",
                "LOCALE_PROVIDER libc ENCODING 'SQL_ASCII' IS_TEMPLATE true",
            ),
        ];
        for (kind, how) in kinds {
            let (original, copied) = (format!("read {kind}"), format!("read {kind} back"));
            let create = format!(
                "CREATE DATABASE \"{original}\" TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' {how}"
            );
            cluster.psql(SUPERUSER, &create);
            let fill = "CREATE TABLE t (\"names\" text); SET client_encoding = 'UTF8';
                INSERT INTO t VALUES ('größer'), ('z'), ('a'), ('å');
                SELECT lo_from_bytea(4711, '\\x00ff')";
            cluster.psql(&original, fill);
            let scratch = scratch();
            let at = |name: &str| scratch.path().join(name);
            back_up(&at("repository"), Compression::Zstd, &[], |writer| {
                Some(capture(cluster, &original, writer))
            });
            restore(&at("repository"), &at("restored"));
            let output = shell(cluster, &at("restored/database"), &["restore.sh", &copied]);
            succeeded(&output);
            assert_eq!(
                equality::rows(cluster, &original),
                equality::rows(cluster, &copied)
            );
            assert_eq!(state(cluster, &original), state(cluster, &copied), "{kind}");
            if kind == "icu" {
                let order = "SELECT string_agg(names, ' ' ORDER BY names) FROM t";
                assert_eq!(cluster.psql(&copied, order), "a z größer å");
            }
        }
    });
}

/// The reader's restore of a backup that the command took, beside the command's own.
#[test]
fn a_whole_instance_comes_back_as_the_command_restores_it() {
    on_version(15, |cluster| {
        let scratch = scratch();
        let at = |name: &str| scratch.path().join(name);
        let server = cluster.config("postgres");
        let instance = Instance::create(&server, scratch.path(), "read_whole", Size::of(15, 300));
        let obbackup = |arguments: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_obbackup"))
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap())
                .env("HOME", at("home"))
                .env("CATALINA_BASE", at("tomcat"))
                .arg("--instance")
                .arg(&instance.sources)
                .args(arguments)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {errors}");
        };
        let beside = at("beside");
        obbackup(&["init", "--repository", at("repository").to_str().unwrap()]);
        obbackup(&["backup"]);
        instance.day(&server);
        obbackup(&["backup"]);
        obbackup(&[
            "restore",
            "latest",
            "--to-directory",
            beside.to_str().unwrap(),
            "--only",
            "sources,deploy,attachments,configuration",
            "--yes",
        ]);
        let verified = succeeded(&reader(&[Path::new("verify"), &at("repository")]));
        assert!(verified.ends_with("2 backups: sound\n"), "{verified}");
        restore(&at("repository"), &at("restored"));
        for part in ["sources", "deploy", "attachments", "configuration"] {
            assert_same(&beside.join(part), &at("restored").join(part));
        }
        let output = shell(
            cluster,
            &at("restored/database"),
            &["restore.sh", "read_back"],
        );
        succeeded(&output);
        let mut rows = equality::rows(cluster, "read_whole");
        for (table, sum) in equality::rows(cluster, "read_back") {
            // Materialized views are computed anew.
            if table.ends_with("_mv") {
                rows.remove(&table);
                continue;
            }
            assert_eq!(rows.remove(&table).as_ref(), Some(&sum), "{table}");
        }
        assert!(rows.is_empty(), "{rows:?}");
    });
}

/// The other way round: what the reader's tests write by the text, the program finds sound and restores.
#[test]
fn a_repository_that_was_written_by_the_text_is_sound() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader");
    let program = "import pathlib, sys, test_obbackup_reader as tests; tests.sample(pathlib.Path(sys.argv[1]))";
    let written = Command::new("python3")
        .args(["-B", "-c", program])
        .arg(at("repository"))
        .env("PYTHONPATH", tests)
        .output()
        .unwrap();
    succeeded(&written);

    let repository = crate::support::backups::repository(&at("repository")).unwrap();
    let options = VerifyOptions {
        read_data: true,
        backup: None,
        jobs: 2,
    };
    let verification = repository.verify(&options, &Silent).unwrap();
    assert_eq!(verification.findings, []);
    let backup = repository.resolve("latest", None).unwrap();
    let part = backup.manifest.files_part(Part::Sources).unwrap();
    let chunks = repository.reader().unwrap();
    let catalog = || Ok(entries(ChunkReader::new(&chunks, &part.catalog.chunks)));
    let options = RestoreOptions::default();
    target::restore(&chunks, catalog, &at("ours"), None, options, &Silent).unwrap();
    restore(&at("repository"), &at("theirs"));
    assert_same(&at("ours"), &at("theirs/sources"));
}

/// The commands of the section *Recovery by hand*.
fn commands_of_the_text() -> &'static str {
    let text = include_str!("../../docs/format.md");
    let (_, section) = text.split_once("\n## 13. Recovery by hand\n").unwrap();
    let (_, code) = section.split_once("```sh\n").unwrap();
    code.split_once("```").unwrap().0
}

#[test]
fn the_commands_in_the_text_restore_a_backup() {
    on_version(15, |cluster| {
        let scratch = scratch();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("sources/src/org")).unwrap();
        for number in 0..300 {
            let text = format!("class C{number} {{}}\n").repeat(number);
            fs::write(at(&format!("sources/src/org/C{number}.java")), text).unwrap();
        }
        let large = crate::support::tree::noise(1, 3 << 20);
        fs::write(at("sources/large file"), large).unwrap();
        std::os::unix::fs::symlink("src/org", at("sources/link")).unwrap();
        fs::create_dir(at("attachments")).unwrap();
        fs::write(at("attachments/größe.pdf"), "%PDF").unwrap();
        cluster.create_database("by hand");
        cluster.psql(
            "by hand",
            "CREATE TABLE c_order (c_order_id text PRIMARY KEY, \"Total\" numeric, lines int[]);
             INSERT INTO c_order SELECT md5(n::text), n / 3.0, ARRAY[n, n + 1]
             FROM generate_series(1, 20000) n;
             INSERT INTO c_order VALUES (E'tab\\t\"\\\\', NULL, '{}');
             CREATE TABLE empty (); INSERT INTO empty DEFAULT VALUES;
             CREATE SEQUENCE \"Numbers\"; SELECT setval('\"Numbers\"', 42, false);",
        );
        let trees = [
            (Part::Sources, &*at("sources")),
            (Part::Attachments, &*at("attachments")),
        ];
        back_up(&at("repository"), Compression::Zstd, &trees, |writer| {
            Some(capture(cluster, "by hand", writer))
        });
        fs::create_dir(at("recovery")).unwrap();
        let script = format!("REPO=../repository\n{}", commands_of_the_text());
        succeeded(&shell(cluster, &at("recovery"), &["-c", &script]));

        for part in ["sources", "attachments"] {
            let same = Command::new("diff")
                .args(["--recursive", "--no-dereference"])
                .args([at(part), at("recovery").join(part)])
                .output()
                .unwrap();
            assert_eq!(succeeded(&same), "");
        }
        assert_eq!(
            equality::rows(cluster, "by hand"),
            equality::rows(cluster, "recovered")
        );
        assert_eq!(
            equality::definitions(cluster, "by hand"),
            equality::definitions(cluster, "recovered")
        );
    });
}
