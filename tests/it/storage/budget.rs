//! What each command asks of a bucket: requests by kind, and what a slow line costs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::story::configure_at;
use crate::support::cluster::skipped;
use crate::support::proxy::Proxy;
use crate::support::s3::S3Server;
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

fn world(name: &str) -> Option<(World, Proxy)> {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => {
            skipped(&why);
            return None;
        }
    };
    let world = World::new(name)?;
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
    let Some((world, proxy)) = world("budget") else {
        return;
    };
    let mut table = Table { rows: Vec::new() };
    measure_all(&world, &proxy, &mut table);
    table.print();
    // Of backups, of marks, and of pins; nothing is read.
    assert_eq!(table.count("list", "LIST"), 3);
    assert_eq!(table.count("list", "GET"), 0);
    assert!(table.total("list, cold cache") <= 8);
    // A pack holds thousands of files: what grows with the data is the number of packs.
    assert!(table.total("first backup") <= 60);
    assert!(table.total("nightly backup") <= 40);
    assert!(table.total("restore of one file") <= 16);
    assert!(table.total("restore of all") <= 60);
    assert!(
        table.count("nightly backup", "GET") <= table.count("nightly backup, cold cache", "GET")
    );
}

/// Depends on the machine's speed: `make bench-storage` runs it.
#[test]
#[ignore = "a benchmark, which `make bench-storage` runs"]
fn bench() {
    let Some((world, proxy)) = world("bench") else {
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
