//! Schedules in the real world: the verbs, the runner as a process, several nodes, the history and the service.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{PARTS, Place, command_in, far_from_now};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(2);

pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A schedule each night, seen to up to `days` ago.
pub fn rewind(instance: &Path, days: i64) {
    let state = instance.join(".obbackup/state/schedule.json");
    let mut ledger: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    let handled = chrono::Utc::now() - chrono::TimeDelta::days(days);
    ledger["schedules"]["nightly"]["handled"] = json!(handled);
    fs::write(&state, ledger.to_string()).unwrap();
}

/// A place whose schedule begins now.
fn scheduled() -> Place {
    let place = Place::new();
    place.set_nightly(&["--only", PARTS, "--label", "nightly"]);
    place.good(&["schedule", "run", "--once"]);
    assert!(place.backups().is_empty(), "nothing is due yet");
    place
}

/// Begins to run the schedules, and writes what it says to `heard`.
fn runner(place: &Place, heard: &Path) -> Child {
    place
        .command(&["schedule", "run"])
        .stdout(Stdio::null())
        .stderr(File::create(heard).unwrap())
        .spawn()
        .unwrap()
}

/// Waits until a runner has done what was due and read what there was to read.
fn wait_for_its_rest(heard: &Path) {
    wait_for("it waits for the next run", || {
        fs::read_to_string(heard)
            .unwrap()
            .contains("waiting for the next run")
    });
}

/// Asks it to stop; it has to end well and soon.
fn stop(child: Child) {
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{output:?} {:?}",
        output.status.signal()
    );
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
}

#[test]
fn schedules_are_set_listed_and_removed() {
    let place = Place::new();
    assert!(
        place
            .good(&["schedule", "list"])
            .contains("There is no schedule")
    );
    let set = [
        "schedule",
        "set",
        "nightly",
        "--cron",
        "30 2 * * *",
        "--time-zone",
        "Europe/Madrid",
    ];
    let said = place.good(&set);
    assert!(
        said.contains("02:30:00 CE") && said.contains("schedule install"),
        "{said}"
    );
    place.good(&[
        "schedule",
        "set",
        "weekly",
        "--cron",
        "@weekly",
        "--disable",
        "--to",
        "main",
    ]);
    place.good(&[
        "schedule",
        "set",
        "nightly",
        "--only",
        "database",
        "--random-delay",
        "5",
    ]);
    let list = place.json(&["schedule", "list", "--json"]);
    assert_eq!(list["running"], false);
    let nightly = &list["schedules"][0];
    assert_eq!(nightly["cron"], "30 2 * * *");
    assert_eq!(nightly["time_zone"], "Europe/Madrid");
    assert_eq!(nightly["only"], json!(["database"]));
    assert_eq!(
        (&nightly["last"], &nightly["repository"]),
        (&Value::Null, &json!("main"))
    );
    assert_eq!(list["schedules"][1]["next"], Value::Null);
    let ahead = list["upcoming"].as_array().unwrap();
    assert_eq!(ahead.len(), 1, "{ahead:?}");
    assert_eq!(ahead[0]["runs"].as_array().unwrap().len(), 5);
    let shown = place.good(&["schedule", "list"]);
    assert_eq!(shown.matches("nightly").count(), 1 + 5, "{shown}");

    let next = place.json(&["schedule", "next", "nightly", "--json"]);
    let runs = next["schedules"][0]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 5);
    for run in runs {
        let local = run["due_at_local"].as_str().unwrap();
        assert!(local.contains("T02:30:00+0"), "{local}");
        let time =
            |key: &str| chrono::DateTime::parse_from_rfc3339(run[key].as_str().unwrap()).unwrap();
        assert_eq!(time("due_at"), time("due_at_local"));
        assert!((0..300).contains(&(time("starts_at") - time("due_at")).num_seconds()));
    }
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused() {
    let place = Place::new();
    place.good(&["schedule", "set", "nightly", "--cron", "@daily"]);
    place.good(&["schedule", "set", "weekly", "--cron", "@weekly"]);
    for (words, code, message) in [
        (
            &["set", "x", "--cron", "0 25 * * *"][..],
            2,
            "the hour cannot be `25`",
        ),
        (
            &[
                "set",
                "x",
                "--cron",
                "@daily",
                "--time-zone",
                "Mars/Olympus",
            ],
            2,
            "no time zone",
        ),
        (
            &["set", "x", "--cron", "@daily", "--to", "elsewhere"],
            10,
            "no repository `elsewhere`",
        ),
        (&["set", "a/b", "--cron", "@daily"], 2, "not a name"),
        (&["set", "x", "--label", "x"], 10, "no schedule `x`"),
        (&["next", "x"], 10, "no schedule `x`"),
        (&["remove", "x"], 10, "no [schedule.x]"),
    ] {
        let said = place.bad(&[&["schedule"], words].concat(), code);
        assert!(said.contains(message), "{said}");
    }
    place.good(&["schedule", "remove", "nightly"]);
    assert_eq!(
        place.json(&["schedule", "list", "--json"])["schedules"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // A slip in a schedule is told where schedules are asked for, and keeps no backup from being taken.
    place.configure("[schedule.slip]\ncron = \"often\"\n");
    assert!(
        place
            .bad(&["schedule", "list"], 2)
            .contains("[schedule.slip]")
    );
    place.good(&["backup", "--only", PARTS]);
}

#[test]
fn a_missed_run_is_caught_up_once_and_told_of() {
    let place = scheduled();
    let told = place.path("told");
    place.configure(&format!(
        "[notify.tell]\ntype = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >> {0}; echo >> {0}\"]\n",
        told.display()
    ));
    rewind(&place.path("erp"), 4);
    let heard = place.path("heard");
    let child = runner(&place, &heard);
    wait_for("the backup is taken", || !place.backups().is_empty());
    wait_for("it is told", || told.exists());
    // Whoever stops it while the message is on its way has it break off there.
    wait_for_its_rest(&heard);
    assert_eq!(place.json(&["schedule", "list", "--json"])["running"], true);
    stop(child);
    let backups = place.backups();
    assert_eq!(backups.len(), 1);
    assert_eq!(backups[0]["type"], "scheduled");
    assert_eq!(backups[0]["label"], "nightly");

    let document = fs::read_to_string(&told).unwrap();
    let document: Value = serde_json::from_str(document.trim()).unwrap();
    assert_eq!(document["events"], json!(["missed", "succeeded"]));
    let text = document["text"].as_str().unwrap();
    for line in [
        "did not begin at its time",
        "did not take place either: 3.",
        "Next run",
    ] {
        assert!(text.contains(line), "{text}");
    }

    // Neither the next runner takes it again, nor one that lost its state: the repository knows of it.
    place.good(&["schedule", "run", "--once"]);
    rewind(&place.path("erp"), 4);
    place.good(&["schedule", "run", "--once"]);
    assert_eq!(place.backups().len(), 1);

    let runs = place.json(&["log", "--runs", "--json"]);
    let run = &runs["runs"][0];
    let commands: Vec<_> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["command"])
        .collect();
    assert_eq!(commands, ["backup"], "{runs}");
    assert_eq!(run["outcome"], "ok");
    assert_eq!(run["occasion"]["schedule"], "nightly");
    let id = run["id"].as_str().unwrap();
    let log = place.good(&["log", &id[..8]]);
    for word in ["Outcome", "begun", "sources", "done", "Schedule"] {
        assert!(log.contains(word), "{log}");
    }
    let log = place.json(&["log", id, "--json"]);
    assert!(log["lines"].as_array().unwrap().len() >= 4);
    assert!(place.bad(&["log", "ffff"], 10).contains("no run `ffff`"));
}

#[test]
fn one_process_runs_the_schedules_and_another_takes_over() {
    let place = scheduled();
    let heard = place.path("heard");
    let first = runner(&place, &heard);
    // From now on it goes by what it has read.
    wait_for_its_rest(&heard);
    assert_eq!(place.json(&["schedule", "list", "--json"])["running"], true);
    rewind(&place.path("erp"), 4);
    // It does nothing, although something seems to be due: the other one is the runner.
    place.good(&["schedule", "run", "--once"]);
    assert!(place.backups().is_empty());
    let second = runner(&place, &place.path("heard of the second"));
    stop(first);
    wait_for("the second one takes the backup", || {
        place.backups().len() == 1
    });
    stop(second);
    assert_eq!(place.backups().len(), 1);
}

#[test]
fn of_two_nodes_that_come_at_once_one_takes_the_backup() {
    let place = scheduled();
    // The other node of the cluster: sources and state of its own, the same instance and repository.
    let other = place.path("other");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(place.path("erp"))
        .arg(&other)
        .status();
    assert!(copied.unwrap().success());
    for (days, minutes) in [(4, 10), (3, 20)] {
        let due = place.backups().len();
        let cron = far_from_now(minutes);
        for directory in [&place.path("erp"), &other] {
            let set =
                command_in(directory, &["schedule", "set", "nightly", "--cron", &cron]).output();
            assert!(set.unwrap().status.success());
            let once = command_in(directory, &["schedule", "run", "--once"]).output();
            assert!(once.unwrap().status.success());
            rewind(directory, days);
        }
        let nodes: Vec<Child> = [&place.path("erp"), &other]
            .into_iter()
            .map(|directory| {
                let mut command = command_in(directory, &["schedule", "run", "--quiet"]);
                command
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let seen_to = |directory: &Path| {
            let ledger = fs::read(directory.join(".obbackup/state/schedule.json")).unwrap();
            let ledger: Value = serde_json::from_slice(&ledger).unwrap();
            let handled = ledger["schedules"]["nightly"]["handled"].as_str().unwrap();
            let handled = chrono::DateTime::parse_from_rfc3339(handled).unwrap();
            chrono::Utc::now()
                .signed_duration_since(handled)
                .num_hours()
                < 25
        };
        // One that waits for the other's lease tries again after some seconds.
        wait_for("both have seen to it", || {
            seen_to(&place.path("erp")) && seen_to(&other)
        });
        for node in nodes {
            stop(node);
        }
        assert_eq!(place.backups().len(), due + 1);
    }
}

#[test]
fn after_a_good_backup_what_no_rule_keeps_is_forgotten() {
    let place = scheduled();
    place.configure("[retention.scheduled]\nkeep_last = 1\n");
    for minutes in [10, 20] {
        let cron = far_from_now(minutes);
        place.good(&["schedule", "set", "nightly", "--cron", &cron]);
        place.good(&["schedule", "run", "--once"]);
        rewind(&place.path("erp"), 2);
        place.good(&["schedule", "run", "--once"]);
        assert_eq!(place.backups().len(), 1);
    }
}

#[test]
fn a_run_whose_repository_is_gone_stands_in_the_history() {
    let place = scheduled();
    rewind(&place.path("erp"), 1);
    fs::rename(place.path("repository"), place.path("away")).unwrap();
    let output = place.run(&["schedule", "run", "--once"]);
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("there is no directory")
    );
    let runs = place.json(&["log", "--runs", "--json"]);
    assert_eq!(runs["runs"][0]["outcome"], "not_found");
    assert!(
        runs["runs"][0]["hint"]
            .as_str()
            .unwrap()
            .contains("mounted")
    );
    let list = place.json(&["schedule", "list", "--json"]);
    assert_eq!(list["schedules"][0]["last"]["outcome"], "not_found");
    // It is tried again some minutes later, and not at once.
    fs::rename(place.path("away"), place.path("repository")).unwrap();
    place.good(&["schedule", "run", "--once"]);
    assert!(place.backups().is_empty());
}

#[test]
fn what_is_remembered_is_never_backed_up() {
    let place = scheduled();
    place.good(&["backup", "--only", PARTS]);
    let listed = place.good(&["ls", "latest", "sources"]);
    assert!(
        listed.contains("src") && !listed.contains(".obbackup"),
        "{listed}"
    );
}

#[test]
fn the_service_is_one_that_systemd_takes() {
    let place = Place::new();
    place.configure("[repository.odd]\nurl = \"/mnt/with space 100% $x\"\n[backup]\nnice = 15\n");
    let shown = place.json(&["schedule", "install", "--dry-run", "--systemd", "--json"]);
    assert_eq!(shown["name"], "obbackup-openbravo.service");
    let text = shown["text"].as_str().unwrap();
    for line in [
        format!("schedule run --instance {}", place.path("erp").display()),
        format!("-{}", place.path("repository").display()),
        "\"-/mnt/with space 100%% $x\"".to_owned(),
        "NoNewPrivileges=yes".to_owned(),
        "Nice=15".to_owned(),
    ] {
        assert!(text.contains(&line), "{text}");
    }
    assert!(
        !place.path("erp/.obbackup").exists(),
        "a dry run makes nothing"
    );
    if !Path::new("/run/systemd/system").is_dir() {
        let mut command = place.command(&["schedule", "install", "--dry-run"]);
        command.env("CATALINA_BASE", "/var/lib/tomcat 9");
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        for words in [
            "\n*/5 * * * * CATALINA_BASE='/var/lib/tomcat 9' ",
            " --once --quiet\n",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let noted = String::from_utf8(output.stderr).unwrap();
        assert!(noted.contains("there is no schedule yet"), "{noted}");
    }
    let unit = place.path("obbackup-openbravo.service");
    fs::write(&unit, text).unwrap();
    let analyze = |words: &[&str]| {
        Command::new("systemd-analyze")
            .args(words)
            .arg(&unit)
            .output()
    };
    let Ok(verified) = analyze(&["verify"]) else {
        eprintln!("SKIPPED nights::the_service_is_one_that_systemd_takes: no systemd-analyze");
        return;
    };
    assert!(
        verified.status.success() && verified.stderr.is_empty(),
        "{verified:?}"
    );
    let review = analyze(&["security", "--offline=yes", "--threshold=30"]).unwrap();
    let review_text = String::from_utf8_lossy(&review.stdout);
    let score = review_text.lines().last().unwrap_or_default();
    println!("{score}");
    assert!(review.status.success(), "{score}");
}
