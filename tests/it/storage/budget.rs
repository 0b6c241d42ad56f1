//! What each command asks of a bucket: requests by kind, and what a slow line costs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use obbackup::codec::Compression;
use obbackup::format::record::LeaseMode;
use obbackup::repository::Repository;
use obbackup::storage;

use super::story::configure_at;
use crate::support::backups::take;
use crate::support::cluster::skipped;
use crate::support::instance::Size;
use crate::support::proxy::Proxy;
use crate::support::s3::{ACCESS_KEY, REGION, S3Server, SECRET_KEY};
use crate::world::{World, errors};

const OPERATIONS: [&str; 5] = ["PUT", "GET", "HEAD", "LIST", "DELETE"];

struct Table {
    rows: Vec<(String, BTreeMap<&'static str, u64>, u64, Duration)>,
}

impl Table {
    fn measure(&mut self, proxy: &Proxy, name: &str, work: impl FnOnce()) {
        proxy.set(|_| None);
        let began = Instant::now();
        work();
        let seen = proxy.seen();
        let bytes = seen
            .iter()
            .map(|seen| seen.bytes + seen.answered_bytes)
            .sum();
        self.rows
            .push((name.to_owned(), proxy.operations(), bytes, began.elapsed()));
    }

    fn count(&self, name: &str, operation: &str) -> u64 {
        let row = self.rows.iter().find(|row| row.0 == name).unwrap();
        row.1.get(operation).copied().unwrap_or_default()
    }

    fn total(&self, name: &str) -> u64 {
        OPERATIONS.iter().map(|it| self.count(name, it)).sum()
    }

    fn time(&self, name: &str) -> Duration {
        self.rows.iter().find(|row| row.0 == name).unwrap().3
    }

    /// Not captured: it is what this is for.
    fn print(&self) {
        let mut text = format!("{:<32}", "requests");
        for operation in OPERATIONS {
            let _ = write!(text, "{operation:>8}");
        }
        text.push_str("     MiB   seconds\n");
        for (name, operations, bytes, time) in &self.rows {
            let _ = write!(text, "{name:<32}");
            for operation in OPERATIONS {
                let count = operations.get(operation).copied().unwrap_or_default();
                let _ = write!(text, "{count:>8}");
            }
            #[allow(clippy::cast_precision_loss)] // For people.
            let megabytes = *bytes as f64 / f64::from(1 << 20);
            let _ = writeln!(text, "{megabytes:>8.1}{:>10.2}", time.as_secs_f64());
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

fn run(world: &World, arguments: &[&str]) {
    let output = world.output(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        errors(&output)
    );
}

fn world(name: &str, size: Size) -> Option<(World, Proxy)> {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => {
            skipped(&why);
            return None;
        }
    };
    let world = World::sized(name, size)?;
    let proxy = Proxy::start(server.port());
    configure_at(&world, &proxy.endpoint(), &server.bucket());
    run(&world, &["init", "--repository", "cloud"]);
    Some((world, proxy))
}

fn a_day(world: &World) {
    world.instance.day(&world.cluster.config("postgres"));
}

/// The jobs of the table, in their order.
fn measure_all(world: &World, proxy: &Proxy, table: &mut Table) {
    let restored = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let cold = || fs::remove_dir_all(world.path("home/.cache")).unwrap_or(());
    table.measure(proxy, "first backup", || run(world, &["backup"]));
    a_day(world);
    table.measure(proxy, "nightly backup", || run(world, &["backup"]));
    a_day(world);
    cold();
    table.measure(proxy, "nightly backup, cold cache", || {
        run(world, &["backup"]);
    });
    table.measure(proxy, "list", || run(world, &["list"]));
    cold();
    table.measure(proxy, "list, cold cache", || run(world, &["list"]));
    table.measure(proxy, "restore of one file", || {
        run(
            world,
            &["cat", "latest", "configuration/Openbravo.properties"],
        );
    });
    table.measure(proxy, "restore of all", || {
        let (files, database) = (restored("all"), format!("{}_all", world_name(world)));
        run(
            world,
            &[
                "restore",
                "latest",
                "--to-directory",
                &files,
                "--to-database",
                &database,
                "--yes",
            ],
        );
    });
    table.measure(proxy, "verify --read-data", || {
        run(world, &["verify", "--read-data"]);
    });
    table.measure(proxy, "prune", || run(world, &["prune"]));
}

fn world_name(world: &World) -> String {
    let properties = world.instance.sources.join("config/Openbravo.properties");
    let text = fs::read_to_string(properties).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("bbdd.sid="));
    line.unwrap().trim().to_owned()
}

#[test]
fn each_command_keeps_to_its_budget() {
    let Some((world, proxy)) = world("budget", Size::of(30, 900)) else {
        return;
    };
    let mut table = Table { rows: Vec::new() };
    measure_all(&world, &proxy, &mut table);
    table.print();
    // All small objects; nothing is read.
    assert_eq!(table.count("list", "LIST"), 1);
    assert_eq!(table.total("list"), 1);
    assert!(table.total("list, cold cache") <= 8);
    // A pack holds thousands of files: what grows with the data is the number of packs.
    assert!(table.total("first backup") <= 20);
    assert!(table.total("nightly backup") <= 15);
    assert!(table.total("restore of one file") <= 8);
    assert!(table.total("restore of all") <= 60);
    // All objects, and once more the indexes and the manifests.
    assert!(table.count("verify --read-data", "LIST") <= 3);
    assert!(
        table.count("nightly backup", "GET") <= table.count("nightly backup, cold cache", "GET")
    );
}

/// What a warm `list` costs where there are many: a page of the listing for each thousand objects, and what is new.
#[test]
fn a_thousand_backups_are_listed_in_no_time() {
    const BACKUPS: i64 = 1000;
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let proxy = Proxy::start(server.port());
    let mut section = server.section(&server.bucket(), "many");
    let straight = storage::open(&section, None).unwrap();
    let repository = Repository::init(straight, Compression::Zstd).unwrap();
    let first = take(&repository, 1).unwrap();
    let backup = repository.resolve(&first.to_hex(), None).unwrap();
    let lock = repository
        .lock(LeaseMode::Write, "instance", "backup")
        .unwrap();
    let commit = |number: i64| {
        let mut manifest = backup.manifest.clone();
        manifest.started_at -= TimeDelta::days(number);
        manifest.finished_at -= TimeDelta::days(number);
        repository.commit(&manifest, &lock).unwrap()
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                (1..BACKUPS).skip(thread).step_by(8).for_each(|number| {
                    commit(number);
                });
            });
        }
    });
    section.endpoint = Some(proxy.endpoint());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("obbackup.toml");
    let text = format!(
        "[repository.cloud]\nurl = \"{}\"\nendpoint = \"{}\"\nregion = \"{REGION}\"\n\
         access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\"\n",
        section.url,
        proxy.endpoint()
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut table = Table { rows: Vec::new() };
    let mut list = |name: &str, expected: i64| {
        table.measure(&proxy, name, || {
            let output = Command::new(env!("CARGO_BIN_EXE_obbackup"))
                .env_clear()
                .env("HOME", home.path())
                .arg("--config")
                .arg(&file)
                .args(["--json", "list", "--all-instances"])
                .output()
                .unwrap();
            let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let listed = listed["backups"].as_array().unwrap().len();
            assert_eq!(listed, usize::try_from(expected).unwrap());
        });
    };
    list("list of 1,000, cold cache", BACKUPS);
    list("list of 1,000", BACKUPS);
    for number in 0..3 {
        commit(BACKUPS + number);
    }
    list("list of 1,003, of which 3 new", BACKUPS + 3);
    table.print();
    // The manifests fill one page of a listing; the index and the lease of this test begin a second one.
    assert_eq!(table.total("list of 1,000"), 2);
    assert_eq!(table.count("list of 1,003, of which 3 new", "LIST"), 2);
    assert_eq!(table.count("list of 1,003, of which 3 new", "GET"), 3);
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    assert!(table.time("list of 1,000") < limit);
}

/// Depends on the machine's speed: `make bench-storage` runs it.
#[test]
#[ignore = "a benchmark, which `make bench-storage` runs"]
fn bench() {
    // An instance of middling size: some 30,000 files, and a database of 600 MB.
    let Some((world, proxy)) = world("bench", Size::of(600, 30_000)) else {
        return;
    };
    let mut table = Table { rows: Vec::new() };
    measure_all(&world, &proxy, &mut table);
    // The least of three, as others may be at work on the machine too.
    let nightly = |table: &mut Table, name: &str, latency: u64| {
        proxy.set_latency(Duration::from_millis(latency));
        let mut least = Duration::MAX;
        for round in 0..3 {
            a_day(&world);
            let name = format!("{name}, round {round}");
            table.measure(&proxy, &name, || run(&world, &["backup"]));
            least = least.min(table.time(&name));
        }
        least
    };
    let plain = nightly(&mut table, "nightly, no latency", 0);
    let late = nightly(&mut table, "nightly, 15 ms latency", 15);
    table.print();
    let ratio = late.as_secs_f64() / plain.as_secs_f64();
    let _ = writeln!(
        std::io::stderr(),
        "a nightly backup with 15 ms of latency takes {ratio:.2} of its time without"
    );
    assert!(ratio < 1.3, "{ratio}");
}
