//! Ten days of nightly backups of an instance that changes, with retention and pruning, and kills at random moments.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::world::{Rows, World, number};

const DATABASE: &str = "ten_days";

/// What the attachment of a night holds: half of it is new each night.
fn content(night: u32) -> Vec<u8> {
    (0..300_000_u32)
        .flat_map(|index| {
            let seed = if index < 150_000 { 7 } else { night };
            index.wrapping_mul(0x9e37_79b1 ^ seed).to_le_bytes()
        })
        .collect()
}

/// Runs a command, and kills it after a while if it is to die; whether that met it at work.
fn run(world: &World, arguments: &[&str], dies_after: Option<Duration>) -> bool {
    let mut child = world
        .command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    if let Some(after) = dies_after {
        sleep(after);
        let _ = child.kill();
        child.wait().unwrap().signal().is_some()
    } else {
        assert!(child.wait().unwrap().success(), "{arguments:?}");
        false
    }
}

/// `OBBACKUP_TEST_NIGHTS` makes it longer.
#[test]
fn every_listed_backup_of_ten_killed_nights_restores() {
    let Some(world) = World::new(DATABASE) else {
        return;
    };
    world.init();
    let nights = std::env::var("OBBACKUP_TEST_NIGHTS").map_or(10, |text| text.parse().unwrap());
    let file = world.instance.attachments.join("large.bin");
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 8) % below
    };
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut rows: Vec<Rows> = Vec::new();
    let mut curve = Vec::new();
    let mut killed = 0;
    for night in 0..nights {
        fs::write(&file, content(night)).unwrap();
        world.instance.day(&world.cluster.config("postgres"));
        // As a restore does.
        let refresh = "REFRESH MATERIALIZED VIEW sales_of_month_mv";
        world.cluster.psql(DATABASE, refresh);
        rows.push(world.rows(DATABASE));
        let label = night.to_string();
        let backup = ["backup", "--type", "scheduled", "--label", &label];
        let death = (random(3) == 0).then(|| Duration::from_millis(random(1000)));
        killed += u32::from(run(&world, &backup, death));
        if death.is_some() {
            run(&world, &backup, None);
        }
        let removal = ["forget", "--keep-last", "3"];
        let death = (random(3) == 0).then(|| Duration::from_millis(random(150)));
        killed += u32::from(run(&world, &removal, death));
        let removal = ["prune", "--grace-hours", "0"];
        let death = (random(3) == 0).then(|| Duration::from_millis(random(200)));
        killed += u32::from(run(&world, &removal, death));
        // Everything that any listed backup needs is there.
        world.json(&["verify", "--read-data"]);
        for backup in world.json(&["list"])["backups"].as_array().unwrap() {
            let night = backup["label"].as_str().unwrap().parse().unwrap();
            taken.insert(backup["id"].as_str().unwrap().to_owned(), night);
        }
        curve.push(number(&world.json(&["storage", "df"]), "repository_bytes") >> 10);
    }
    println!("KiB in the repository, night by night: {curve:?}; killed at work: {killed}");
    assert!(killed > 0, "every command was faster than its death");
    run(&world, &["forget", "--keep-last", "3"], None);
    run(&world, &["prune", "--grace-hours", "0"], None);
    world.json(&["verify", "--read-data"]);
    let listed = world.json(&["list"]);
    let listed = listed["backups"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    for backup in listed {
        let id = backup["id"].as_str().unwrap();
        let to = world.path(&format!("restored-{id}"));
        let night = taken[id];
        let database = format!("{DATABASE}_{}", &id[..8]);
        let to_directory = ["--to-directory", to.to_str().unwrap()];
        let to_database = ["--to-database", &database];
        world.json(&[&["restore", id], &to_directory[..], &to_database].concat());
        assert!(
            fs::read(to.join("attachments/large.bin")).unwrap() == content(night),
            "{id}"
        );
        assert!(world.rows(&database) == rows[night as usize], "{id}");
    }
    // What is left is what three backups take, whatever was killed on the way.
    let last = number(&world.json(&["storage", "df"]), "repository_bytes") >> 10;
    assert!(last < curve[0] * 2, "{last} {curve:?}");

    let metrics = world.output(&["metrics"]);
    let metrics = String::from_utf8(metrics.stdout).unwrap();
    for name in [
        "obbackup_last_success_timestamp_seconds{instance_name=",
        "obbackup_runs_total{instance_name=",
        "# TYPE obbackup_runs_total counter",
        "obbackup_room_for_backups",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    let nowhere = world.path("nowhere/obbackup.prom");
    let nowhere = ["metrics", "--write", nowhere.to_str().unwrap()];
    world.refused(&nowhere, 2, &["cannot write", "hint:"]);
    let to = world.path("obbackup.prom");
    let written = world.output(&["metrics", "--write", to.to_str().unwrap()]);
    assert!(written.status.success());
    assert!(
        fs::read_to_string(&to)
            .unwrap()
            .contains("obbackup_backups")
    );
}
