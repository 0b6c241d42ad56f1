//! A runner that is asked to stop in the middle of a backup: over within seconds, nothing left running, nothing broken.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::nights::{rewind, wait_for};
use crate::place::{PARTS, Place};
use crate::support::programs;
use crate::world::{World, errors};

/// So long people and service managers wait.
const LIMIT: Duration = Duration::from_secs(5);

/// Every process that descends from this one.
fn descendants(of: u32) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // Other things are there besides processes.
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = rest.split(' ');
        let is_zombie = fields.next() == Some("Z");
        if !is_zombie {
            parents.push((pid, fields.next().unwrap().parse::<u32>().unwrap()));
        }
    }
    let mut found = BTreeSet::from([of]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            found.remove(&of);
            return found;
        }
        found.extend(more);
    }
}

fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Stops the program: how it ended, and what it had begun.
pub fn stop(child: Child) -> (Output, BTreeSet<u32>) {
    let children = descendants(child.id());
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    let begun = Instant::now();
    kill_process(pid, Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    assert!(
        took < LIMIT,
        "it took {took:?} to stop: {}",
        errors(&output)
    );
    for child in &children {
        assert!(!runs(*child), "process {child} runs on");
    }
    (output, children)
}

/// An instance whose nightly backup is overdue, and takes a minute at the least.
fn overdue(database: &str, more: &str) -> Option<World> {
    let world = World::new(database)?;
    world.init();
    let path = world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!("{text}\n{more}\n[schedule.nightly]\ncron = \"0 3 * * *\"\ntime_zone = \"UTC\"\n"),
    )
    .unwrap();
    assert!(
        world
            .output(&["schedule", "run", "--once"])
            .status
            .success()
    );
    rewind(&world.instance.sources, 1);
    Some(world)
}

pub fn begin(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Nobody holds anything, what is stored is right, and the next runner takes the backup.
fn assert_goes_on(world: &World) {
    assert_eq!(
        world.json(&["list"])["backups"].as_array().unwrap().len(),
        0
    );
    let leases = fs::read_dir(world.path("repository/locks")).unwrap();
    assert_eq!(leases.count(), 0);
    let verified = world.output(&["verify", "--read-data"]);
    assert!(verified.status.success(), "{}", errors(&verified));
    let runs = world.json(&["log", "--runs"]);
    assert_eq!(runs["runs"][0]["outcome"], "cancelled", "{runs}");
    let path = world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("bytes_per_second", "# bytes_per_second"),
    )
    .unwrap();
    let next = world.output(&["schedule", "run", "--once"]);
    assert!(next.status.success(), "{}", errors(&next));
    let backups = &world.json(&["list"])["backups"];
    assert_eq!(backups.as_array().unwrap().len(), 1, "{}", errors(&next));
    assert_eq!(backups[0]["status"], "good");
}

#[test]
fn while_tables_are_read() {
    let slow = "[backup]\nbytes_per_second = 20000";
    let Some(world) = overdue("stop_reading", slow) else {
        return;
    };
    let child = begin(world.command(&["schedule", "run"]));
    wait_for("rows are read", || {
        let lines = &world.json(&["log"])["lines"];
        let stages: Vec<&Value> = lines.as_array().unwrap().iter().collect();
        stages
            .iter()
            .any(|line| line["message"].as_str().unwrap().starts_with("database"))
    });
    std::thread::sleep(Duration::from_secs(1));
    let (output, _) = stop(child);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_goes_on(&world);
}

/// A directory whose `pg_dump` tells its version and then hangs, with a child of its own.
fn hanging_programs(directory: &Path, started: &Path) -> Option<PathBuf> {
    let real = programs::client(15)?.join("pg_dump");
    let bin = directory.join("hanging");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*) exec '{}' \"$@\";; esac\ntouch '{}'\nsleep 1000 &\nsleep 1000\n",
        real.display(),
        started.display()
    );
    fs::write(bin.join("pg_dump"), script).unwrap();
    fs::set_permissions(bin.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    Some(bin)
}

#[test]
fn while_a_child_hangs() {
    let Some(world) = overdue("stop_hanging", "") else {
        return;
    };
    let started = world.path("started");
    let bin = hanging_programs(world.directory.path(), &started).expect("clients of the server");
    let mut command = world.command(&["schedule", "run"]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", bin.display()));
    let child = begin(command);
    wait_for("pg_dump is started", || started.exists());
    let (output, children) = stop(child);
    assert!(children.len() >= 3, "{children:?}");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_goes_on(&world);
}

/// Overdue, without a server.
fn overdue_place() -> Place {
    let place = Place::new();
    place.set_nightly(&["--only", PARTS]);
    place.good(&["schedule", "run", "--once"]);
    rewind(&place.path("erp"), 1);
    place
}

#[test]
fn while_a_notifier_does_not_answer() {
    let place = overdue_place();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    place.configure(&format!(
        "[notify.watch]\ntype = \"ping\"\nurl = \"http://127.0.0.1:{port}/\"\n"
    ));
    let child = begin(place.command(&["schedule", "run"]));
    let _asked = silent.accept().unwrap();
    stop(child);
    place.good(&["verify", "--read-data"]);
}

#[test]
fn while_the_storage_does_not_answer() {
    let place = overdue_place();
    let header = place.path("repository/repo.json");
    fs::rename(&header, place.path("header")).unwrap();
    let made = Command::new("mkfifo").arg(&header).status().unwrap();
    assert!(made.success());
    let child = begin(place.command(&["schedule", "run"]));
    wait_for("it is at work", || {
        place.json(&["schedule", "list", "--json"])["running"] == true
    });
    std::thread::sleep(Duration::from_secs(1));
    let (output, _) = stop(child);
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    fs::remove_file(&header).unwrap();
    fs::rename(place.path("header"), &header).unwrap();
    place.good(&["schedule", "run", "--once"]);
    assert_eq!(place.backups().len(), 1);
}
