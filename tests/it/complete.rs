//! A complete Openbravo that the environment names: its database and its files come back the same.
//!
//! `OBBACKUP_TEST_DATABASE` is the connection string of a database with everything that an installed ERP has,
//! `OPENBRAVO_HOME` the `source.path` of an installed instance. Nobody may change either meanwhile. Nothing of
//! theirs is changed: databases are made beside the one that is named, and dropped.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use obbackup::config::{Configuration, Secret};
use obbackup::instance::{Environment, Instance};
use obbackup::postgresql::{DatabaseAddress, Programs, Session};
use obbackup::progress::Silent;
use obbackup::source::database::{CaptureOptions, DatabaseSource, read_state};
use obbackup::target::database::{DatabaseTarget, RestoreOptions};

use crate::support::chunks::Memory;
use crate::support::cluster::skipped;
use crate::support::equality;
use crate::support::server::{Given, Server};
use crate::world::{errors, number};

/// What the ERP's own check of its database says: `N` where it is as the last build left it.
const MODIFIED: &str = "SELECT ad_db_modified('N')::text";

/// What a build makes anew, or another part of the backup holds.
const NOT_IN_SOURCES: &[&str] = &[
    ".obbackup",
    "attachments",
    "build",
    "build.apply",
    "config",
    "docs/api",
    "lib/runtime/openbravo-core.jar",
    "lib/runtime/openbravo-trl.jar",
    "lib/runtime/openbravo-wad.jar",
    "node_modules",
    "src-core/build",
    "src-core/docs",
    "src-core/lib/openbravo-core.jar",
    "src-gen",
    "src-trl/build",
    "src-trl/lib/openbravo-trl.jar",
    "src-wad/build",
    "src-wad/lib/openbravo-wad.jar",
    "srcAD",
    "tmp",
    "WebContent",
];

/// Databases made beside the one of the environment, gone when the test is over, however it ends.
struct Beside<'a> {
    server: &'a Given,
    names: [String; 2],
}

impl<'a> Beside<'a> {
    fn new(server: &'a Given, what: &str) -> Self {
        let name = |kind| format!("obbackup_test_{what}_{}_{kind}", std::process::id());
        let names = [name("restored"), name("copied")];
        Self { server, names }
    }

    fn restored(&self) -> &str {
        &self.names[0]
    }

    /// The restored database has what the original has, and is what PostgreSQL's own programs make of it.
    fn assert_same(&self) {
        let (server, original) = (self.server, self.server.database());
        let [restored, copied] = &self.names;
        let rows = equality::rows(server, original);
        let ours = equality::rows(server, restored);
        let different: Vec<_> = rows
            .keys()
            .chain(ours.keys())
            .filter(|table| rows.get(*table) != ours.get(*table))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|table| (table, rows.get(table), ours.get(table)))
            .collect();
        assert!(different.is_empty(), "{different:#?}");
        equality::copy(server, original, copied);
        let definitions = equality::definitions(server, restored);
        let differences =
            equality::difference(&equality::definitions(server, copied), &definitions);
        assert!(differences.is_empty(), "{differences:#?}");
        let one = |database: &str, sql: &str| -> Option<String> {
            let row = server.connect(database).query_opt(sql, &[]).ok()??;
            row.get(0)
        };
        let modified = one(original, MODIFIED);
        assert_eq!(modified, one(restored, MODIFIED));
        let owner =
            "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()";
        assert_eq!(one(original, owner), one(restored, owner));
        let state = |database: &str| {
            let mut session = Session::open(&address(server, database)).unwrap();
            let mut state = read_state(&mut session.client, session.version, database).unwrap();
            state.name.clear();
            state
        };
        assert_eq!(state(original), state(restored));
        report(&format!(
            "{} tables, {} rows, {} lines of definitions are the same; ad_db_modified('N') is {modified:?}",
            rows.len(),
            rows.values().map(|(rows, _)| rows).sum::<i64>(),
            definitions.len(),
        ));
        self.check_pages();
    }

    /// Lets `pg_amcheck` look at the restored database, where the role may.
    fn check_pages(&self) {
        let superuser = self
            .server
            .connect("postgres")
            .query_one("SHOW is_superuser", &[]);
        if superuser.unwrap().get::<_, String>(0) != "on" {
            return report("pg_amcheck needs a superuser: not run");
        }
        let output = self
            .server
            .command("pg_amcheck")
            .args(["--install-missing", "--heapallindexed", "--database"])
            .arg(self.restored())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        report("pg_amcheck finds nothing");
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let mut client = self.server.connect("postgres");
            let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}"));
        }
    }
}

fn address(server: &Given, database: &str) -> DatabaseAddress {
    let mut address = DatabaseAddress::new(server.host(), server.port(), database, server.user());
    address.password = server.password().map(Secret::new);
    address
}

/// Says a figure past the capture of a passing test's output: whoever names an instance wants to see them.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "    {line}");
}

#[test]
fn a_complete_database_comes_back() {
    let Some(url) = std::env::var("OBBACKUP_TEST_DATABASE").ok() else {
        return skipped(&"OBBACKUP_TEST_DATABASE names no database");
    };
    let Some(server) = Given::new(url.parse().expect("a connection string")) else {
        return skipped(&"no client programs are new enough for that server");
    };
    let programs = || Programs::only(vec![server.clients()]);
    let options = CaptureOptions::new(programs(), std::env::temp_dir());
    let memory = Memory::default();
    let beside = Beside::new(&server, "database");
    let start = Instant::now();
    let mut source = DatabaseSource::open(&address(&server, server.database()), &options).unwrap();
    let part = source.capture(&memory, &Silent).unwrap();
    drop(source);
    let captured = start.elapsed();
    let start = Instant::now();
    let options = RestoreOptions::new(programs(), std::env::temp_dir());
    let target = DatabaseTarget::new(address(&server, beside.restored()), options);
    let plan = target.plan(&part, &memory).unwrap();
    assert_eq!(plan.refused, Vec::<String>::new());
    let restored = target.run(&plan, &part, &memory, &Silent).unwrap();
    assert_eq!(restored.rows, part.rows);
    report(&format!(
        "captured in {captured:.1?}, restored in {:.1?}",
        start.elapsed()
    ));
    beside.assert_same();
}

/// The program on the instance of the environment, with a configuration and a repository of its own.
struct Real {
    directory: tempfile::TempDir,
    home: PathBuf,
}

impl Real {
    fn run(&self, arguments: &[&str]) -> Output {
        // The environment stays: it says where Tomcat is.
        let output = Command::new(env!("CARGO_BIN_EXE_obbackup"))
            .args(["--json", "--config"])
            .arg(self.directory.path().join("obbackup.toml"))
            .arg("--instance")
            .arg(&self.home)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            errors(&output)
        );
        output
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.run(arguments).stdout).unwrap()
    }
}

#[test]
fn a_complete_instance_comes_back() {
    let Some(home) = std::env::var_os("OPENBRAVO_HOME").map(PathBuf::from) else {
        return skipped(&"OPENBRAVO_HOME names no instance");
    };
    let variables = Environment::from_variables("", |name| std::env::var_os(name));
    let instance = Instance::open(&home, &variables, &Configuration::default()).unwrap();
    let settings = &instance.database;
    let mut config = postgres::Config::new();
    config
        .host(&settings.address().host())
        .port(settings.address().port())
        .user(&settings.application.name)
        .dbname(&settings.name);
    if let Some(password) = &settings.application.password {
        config.password(password.expose());
    }
    let Some(server) = Given::new(config) else {
        return skipped(&"no client programs are new enough for that server");
    };
    let real = Real {
        directory: tempfile::tempdir().unwrap(),
        home: instance.source_path.clone(),
    };
    let path = |name: &str| {
        real.directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    };
    real.run(&["init", "--repository", &path("repository")]);
    let timed = |arguments: &[&str]| {
        let start = Instant::now();
        let answer = real.json(arguments);
        (answer, start.elapsed())
    };
    let (first, first_time) = timed(&["backup"]);
    assert_eq!(first["status"], "good", "{first}");
    let (second, second_time) = timed(&["backup"]);
    let stored = [&first, &second].map(|taken| number(taken, "stored_bytes"));
    assert!(stored[1] * 200 < stored[0], "{second}");
    assert_eq!(number(&second, "files_read"), 0, "{second}");
    report(&format!(
        "{} files and a database of {} bytes: {} bytes stored in {first_time:.1?}, then {} in {second_time:.1?}",
        number(&first, "files"),
        number(&first, "database_bytes"),
        stored[0],
        stored[1],
    ));
    let sound = real.json(&["verify", "--read-data"]);
    assert_eq!(sound["findings"], serde_json::json!([]), "{sound}");

    let beside = Beside::new(&server, "instance");
    let (_, time) = timed(&[
        "restore",
        "latest",
        "--to-database",
        beside.restored(),
        "--to-directory",
        &path("files"),
        "--yes",
    ]);
    report(&format!("restored in {time:.1?}"));
    beside.assert_same();
    let shown = real.json(&["show", "latest"]);
    for part in shown["parts"].as_array().unwrap() {
        let name = part["part"].as_str().unwrap();
        let original = Path::new(part["root"].as_str().unwrap());
        let restored = real.directory.path().join("files").join(name);
        let absent = assert_same_as_far_as_restored(original, &restored);
        let allowed = |path: &String| {
            let path = Path::new(path);
            let packed = path.extension().is_some_and(|extension| extension == "war");
            name == "sources" && (packed || NOT_IN_SOURCES.iter().any(|out| path.starts_with(out)))
        };
        let lost: Vec<_> = absent.iter().filter(|path| !allowed(path)).collect();
        assert!(lost.is_empty(), "{name} lacks {lost:#?}");
        report(&format!("{name}: {} entries are the same", part["entries"]));
    }
}

/// Fails unless all that is restored is as it was, to GNU tar; returns what the original has besides.
fn assert_same_as_far_as_restored(original: &Path, restored: &Path) -> Vec<String> {
    let (there, here) = (names(original), names(restored));
    let added: Vec<_> = here.difference(&there).collect();
    assert!(
        added.is_empty(),
        "{} has too much: {added:#?}",
        restored.display()
    );
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(&list, here.iter().cloned().collect::<Vec<_>>().join("\0")).unwrap();
    let archive = |root: &Path| {
        let mut tar = Command::new("tar")
            .args([
                "--create",
                "--file=-",
                "--format=posix",
                "--sparse",
                "--numeric-owner",
            ])
            .args(["--xattrs", "--xattrs-include=*", "--no-recursion", "--null"])
            .arg("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
            .arg("--directory")
            .arg(root)
            .arg("--files-from")
            .arg(list.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let digest = Command::new("sha256sum")
            .stdin(tar.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(tar.wait().unwrap().success());
        digest.stdout
    };
    assert!(
        archive(original) == archive(restored),
        "{} and {} differ",
        original.display(),
        restored.display()
    );
    there.difference(&here).cloned().collect()
}

/// Every path below a directory, the directory itself as `.`.
fn names(root: &Path) -> BTreeSet<String> {
    let output = Command::new("find")
        .arg(root)
        .args(["-printf", r"%P\0"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0')
        .map(|path| {
            if path.is_empty() {
                ".".to_owned()
            } else {
                path.to_owned()
            }
        })
        .collect()
}
