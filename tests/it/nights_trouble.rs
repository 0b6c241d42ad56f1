//! Nights on which something goes wrong: tried again, told, and seen by whoever looks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{TimeDelta, Utc};
use obbackup::command::doctor::{Check, Examined, Health, doctor};
use obbackup::command::service::{self, Program, Service};
use obbackup::command::surroundings::Surroundings;
use obbackup::command::throttle::Throttle;
use obbackup::config::Configuration;
use obbackup::instance::{Environment, Instance};
use obbackup::tomcat::systemd::Systemd;
use serde_json::{Value, json};

use crate::nights::{rewind, wait_for};
use crate::place::{PARTS, Place, command_in, far_from_now};

/// A place with a schedule, and a notifier that is told everything.
struct Nights {
    place: Place,
    nights: i64,
}

impl Nights {
    /// `only`: what the schedule takes; everything needs a server, and there is none.
    fn new(only: &[&str]) -> Self {
        let place = Place::new();
        place.set_nightly(only);
        place.configure(&format!(
            "[notify.tell]\ntype = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >> {0}; echo >> {0}\"]\n\
             events = [\"succeeded\", \"partial\", \"failed\", \"recovered\", \"missed\", \"space_low\", \
             \"no_good_backup\", \"verify_failed\"]\n",
            place.path("told").display()
        ));
        Self { place, nights: 0 }
    }

    fn of_files() -> Self {
        Self::new(&["--only", PARTS])
    }

    /// Lets a night pass; what was told of it.
    fn night(&mut self) -> Vec<Value> {
        self.nights += 1;
        let cron = far_from_now(self.nights);
        self.place
            .good(&["schedule", "set", "nightly", "--cron", &cron]);
        self.place.good(&["schedule", "run", "--once"]);
        let _ = fs::remove_file(self.place.path("told"));
        rewind(&self.place.path("erp"), 2);
        self.again()
    }

    /// Runs what is due; what was told.
    fn again(&self) -> Vec<Value> {
        let output = self.place.run(&["schedule", "run", "--once"]);
        assert!(output.status.success(), "{output:?}");
        let told = fs::read_to_string(self.place.path("told")).unwrap_or_default();
        told.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Lets so much time pass that the next try is due.
    fn wait_for_try(&self) {
        let path = self.place.path("erp/.obbackup/state/schedule.json");
        let mut ledger: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let failed = &mut ledger["schedules"]["nightly"]["failed"];
        assert!(failed.is_object(), "nothing is to be tried again");
        failed["again"]["at"] = json!(Utc::now() - TimeDelta::minutes(1));
        fs::write(&path, ledger.to_string()).unwrap();
    }

    fn runs(&self) -> Vec<Value> {
        self.place.json(&["status", "--json"])["runs"]
            .as_array()
            .unwrap()
            .clone()
    }
}

fn events(told: &[Value]) -> Vec<&Value> {
    told.iter().map(|document| &document["event"]).collect()
}

#[test]
fn a_night_that_fails_is_tried_again_and_told_when_it_is_over() {
    let mut nights = Nights::of_files();
    let (repository, away) = (nights.place.path("repository"), nights.place.path("away"));
    fs::rename(&repository, &away).unwrap();
    assert_eq!(nights.night(), Vec::<Value>::new());
    let runs = nights.runs();
    assert_eq!(runs[0]["outcome"], "not_found");
    let again =
        chrono::DateTime::parse_from_rfc3339(runs[0]["retry_at"].as_str().unwrap()).unwrap();
    let ahead = again.signed_duration_since(Utc::now()).num_seconds();
    assert!((500..=600).contains(&ahead), "{ahead}");
    let text = nights.place.good(&["status"]);
    assert!(
        text.contains("not_found, again at") && text.contains("obbackup log"),
        "{text}"
    );
    // Not at once, and then once.
    assert_eq!(nights.again(), Vec::<Value>::new());
    assert_eq!(nights.runs().len(), 1);
    nights.wait_for_try();
    fs::rename(&away, &repository).unwrap();
    let told = nights.again();
    // Nobody was told of a failure, so nothing has recovered.
    assert_eq!(told[0]["events"], json!(["missed", "succeeded"]));
    let text = told[0]["text"].as_str().unwrap();
    assert!(
        text.contains("Tries of this run that failed before: 1."),
        "{text}"
    );
    assert_eq!(nights.place.backups().len(), 1);
    let outcomes: Vec<_> = nights
        .runs()
        .iter()
        .map(|run| run["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["ok", "not_found"]);

    // Given up after as many tries as are configured, and told once.
    nights.place.good(&[
        "schedule",
        "set",
        "nightly",
        "--retries",
        "1",
        "--retry-after",
        "3",
    ]);
    fs::rename(&repository, &away).unwrap();
    assert_eq!(nights.night(), Vec::<Value>::new());
    nights.wait_for_try();
    let told = nights.again();
    assert_eq!(events(&told), ["failed"], "{told:?}");
    assert_eq!(nights.runs()[0]["retry_at"], Value::Null);
    fs::rename(&away, &repository).unwrap();
    assert_eq!(nights.again(), told);
    let told = nights.night();
    assert_eq!(events(&told), ["recovered"], "{told:?}");
}

#[test]
fn that_there_was_no_good_backup_for_days_is_told_once_a_day() {
    let mut nights = Nights::of_files();
    let path = nights.place.path("erp/.obbackup/state/watch.json");
    let set = |key: &str, days: i64| {
        let mut watch: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        watch[key] = json!(Utc::now() - TimeDelta::days(days));
        fs::write(&path, watch.to_string()).unwrap();
    };
    assert_eq!(nights.again(), Vec::<Value>::new());
    set("since", 4);
    let told = nights.again();
    assert_eq!(events(&told), ["no_good_backup"], "{told:?}");
    let text = told[0]["text"].as_str().unwrap();
    for word in [
        "There was none since the schedules began to run, 4 days ago.",
        "obbackup backup --instance",
    ] {
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(nights.again().len(), 1);
    set("told_at", 2);
    assert_eq!(
        events(&nights.again()),
        ["no_good_backup", "no_good_backup"]
    );
    set("told_at", 2);
    assert_eq!(events(&nights.night()), ["missed"]);
}

#[test]
fn damage_that_a_verification_finds_is_told() {
    let mut nights = Nights::of_files();
    nights.night();
    let _ = fs::remove_file(nights.place.path("told"));
    let packs = nights.place.path("repository/packs");
    let room = fs::read_dir(packs).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(room).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[600] ^= 1;
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&pack, bytes).unwrap();
    nights.place.bad(&["verify", "--read-data"], 15);
    let told = nights.again();
    assert_eq!(events(&told), ["verify_failed"], "{told:?}");
    let name = pack.file_name().unwrap().to_str().unwrap();
    let text = told[0]["text"].as_str().unwrap();
    assert!(
        text.contains(name) && text.contains("a new backup stores again"),
        "{text}"
    );
}

#[test]
fn another_node_counts_the_tries_that_it_finds() {
    let mut nights = Nights::new(&["--retries", "2"]);
    let other = nights.place.path("other");
    assert_eq!(nights.night(), Vec::<Value>::new());
    let copied = Command::new("cp")
        .arg("-a")
        .arg(nights.place.path("erp"))
        .arg(&other)
        .status();
    assert!(copied.unwrap().success());
    // It has seen nothing of that night yet.
    fs::remove_dir_all(other.join(".obbackup")).unwrap();
    let once = || {
        command_in(&other, &["schedule", "run", "--once"])
            .output()
            .unwrap()
    };
    assert!(once().status.success());
    rewind(&other, 2);
    assert!(once().status.success());
    let log = command_in(&other, &["status", "--json"]).output().unwrap();
    let log: Value = serde_json::from_slice(&log.stdout).unwrap();
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{log}");
    assert_eq!(runs[0]["id"], nights.runs()[0]["id"]);
    assert!(runs[0]["retry_at"].is_string(), "{log}");
    let ledger = fs::read(other.join(".obbackup/state/schedule.json")).unwrap();
    let ledger: Value = serde_json::from_slice(&ledger).unwrap();
    assert_eq!(
        ledger["schedules"]["nightly"]["failed"]["again"]["tries"], 1,
        "{ledger}"
    );
}

#[test]
fn a_copy_that_fails_is_told_and_so_is_its_end() {
    let mut nights = Nights::of_files();
    let second = nights.place.path("second");
    let path = nights.place.path("erp/config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen(
        "[repository.main]",
        "[repository.main]\ncopy_to = [\"second\"]",
        1,
    );
    fs::write(
        &path,
        format!(
            "{text}\n[repository.second]\nurl = \"{}\"\n",
            second.display()
        ),
    )
    .unwrap();
    let told = nights.night();
    assert_eq!(events(&told), ["missed", "partial"], "{told:?}");
    let text = told[1]["text"].as_str().unwrap();
    for word in [
        "copying the backup is incomplete",
        "not copied to `second`",
        "obbackup copy latest",
    ] {
        assert!(text.contains(word), "{text}");
    }
    let runs = nights.runs();
    assert_eq!(
        (&runs[0]["command"], &runs[0]["outcome"]),
        (&json!("copy"), &json!("partial"))
    );
    assert_eq!(
        (&runs[1]["command"], &runs[1]["outcome"]),
        (&json!("backup"), &json!("ok"))
    );

    nights
        .place
        .good(&["init", "--repository", second.to_str().unwrap()]);
    let told = nights.night();
    assert_eq!(events(&told), ["missed", "recovered"], "{told:?}");
    assert_eq!(events(&nights.night()), ["missed"]);
}

#[test]
fn room_that_comes_to_its_end_is_told_once_at_each_mark() {
    let mut nights = Nights::of_files();
    let path = nights.place.path("erp/config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    let mut with = |warning: u8, critical: u8| {
        let marks = format!(
            "[space]\nwarning_percent = {warning}\ncritical_percent = {critical}\n\
             warning_backups = 0\ncritical_backups = 0\n"
        );
        fs::write(&path, format!("{text}\n{marks}")).unwrap();
        let mut told = nights.night();
        told.retain(|document| document["event"] != "missed");
        told
    };
    // No device is wholly free.
    assert_eq!(with(0, 0), Vec::<Value>::new());
    let told = with(100, 0);
    assert_eq!(events(&told), ["space_low"], "{told:?}");
    let text = told[0]["text"].as_str().unwrap();
    for word in [
        "the room for backups comes to its end",
        "% of the device are free, room for about",
        "forget --dry-run",
    ] {
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(with(100, 0), Vec::<Value>::new());
    assert_eq!(events(&with(100, 100)), ["space_low"]);
    assert_eq!(with(100, 100), Vec::<Value>::new());
    assert_eq!(with(100, 0), Vec::<Value>::new());
    let told = with(0, 0);
    assert_eq!(events(&told), ["recovered"], "{told:?}");
    assert!(
        told[0]["subject"]
            .as_str()
            .unwrap()
            .contains("there is room for backups again")
    );
    assert_eq!(with(0, 0), Vec::<Value>::new());
}

/// What `doctor` says of the schedules.
fn check(place: &Place, path: &str) -> Value {
    let mut command = place.command(&["doctor", "--json"]);
    command.env("PATH", path);
    checked(&mut command, "schedule")
}

fn checked(doctor: &mut Command, name: &str) -> Value {
    let output = doctor.output().unwrap();
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("{diagnosis}")).clone()
}

#[test]
fn doctor_takes_no_offence_at_a_repository_that_is_only_read() {
    let (of, place) = (Place::new(), Place::new());
    of.good(&["backup", "--only", PARTS]);
    let repository = of.path("repository");
    let permissions = || {
        let words = ["doctor", "--json", "--repository"];
        let mut command = place.command(&words);
        checked(command.arg(&repository), "permissions")
    };
    let read = permissions();
    assert_eq!(read["result"], "warning", "{read}");
    assert!(
        read["found"].as_str().unwrap().contains("it is only read"),
        "{read}"
    );
    assert!(
        read["remedy"].as_str().unwrap().contains("--take-over"),
        "{read}"
    );
    // Where something is to write there, that will fail.
    place.configure(&format!(
        "[repository.theirs]\nurl = \"{}/\"\n",
        repository.display()
    ));
    assert_eq!(permissions()["result"], "warning");
    place.set_nightly(&["--to", "theirs"]);
    assert_eq!(permissions()["result"], "failure");
    place.good(&["schedule", "set", "nightly", "--disable"]);
    assert_eq!(permissions()["result"], "warning");
    let path = place.path("erp/config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    let copied = "[repository.main]\ncopy_to = [\"theirs\"]";
    fs::write(&path, text.replacen("[repository.main]", copied, 1)).unwrap();
    assert_eq!(permissions()["result"], "failure");
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn doctor_says_whether_anything_runs_the_schedules() {
    let usual = "/usr/sbin:/usr/bin:/sbin:/bin";
    let place = Place::new();
    let none = check(&place, usual);
    assert_eq!(none["result"], "ok");
    assert!(
        none["found"].as_str().unwrap().contains("there is none"),
        "{none}"
    );
    assert!(
        !place.path("erp/.obbackup").exists(),
        "looking makes nothing"
    );
    place.set_nightly(&["--only", PARTS]);
    let idle = check(&place, usual);
    assert_eq!(idle["result"], "failure", "{idle}");
    assert!(
        idle["remedy"]
            .as_str()
            .unwrap()
            .contains("schedule install"),
        "{idle}"
    );

    let mut child = place
        .command(&["schedule", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let who = format!("obbackup (process {})", child.id());
    wait_for("it runs", || {
        let found = check(&place, usual);
        found["result"] == "ok" && found["found"].as_str().unwrap().contains(&who)
    });
    assert!(place.good(&["schedule", "list"]).contains(&who));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(check(&place, usual)["result"], "failure");

    // A line of the owner's crontab, as it is printed.
    let line = place.good(&["schedule", "install", "--dry-run"]);
    let line = line.lines().last().unwrap().to_owned();
    let bin = place.path("bin");
    fs::create_dir(&bin).unwrap();
    script(&bin.join("crontab"), &format!("cat <<'END'\n# {line}\nEND"));
    let path = format!("{}:{usual}", bin.display());
    assert_eq!(check(&place, &path)["result"], "failure", "a comment");
    script(&bin.join("crontab"), &format!("cat <<'END'\n{line}\nEND"));
    // What reads crontabs is known by its name alone.
    std::os::unix::fs::symlink("/bin/sleep", bin.join("cron")).unwrap();
    let mut cron = Command::new(bin.join("cron")).arg("600").spawn().unwrap();
    let found = check(&place, &path);
    assert_eq!(found["result"], "ok", "{found}");
    assert!(
        found["found"].as_str().unwrap().contains("the crontab of"),
        "{found}"
    );

    // Nothing has run it for days, though the line is there.
    place.good(&["schedule", "run", "--once"]);
    rewind(&place.path("erp"), 3);
    let late = check(&place, &path);
    assert_eq!(late["result"], "failure", "{late}");
    assert!(
        late["found"].as_str().unwrap().contains("and did not"),
        "{late}"
    );
    cron.kill().unwrap();
    cron.wait().unwrap();
}

fn opened(place: &Place) -> (Configuration, Instance) {
    let environment = Environment {
        hostname: "host".to_owned(),
        ..Environment::default()
    };
    let file = place.path("erp/config/obbackup.toml");
    let text = fs::read_to_string(&file).unwrap();
    let configuration = Configuration::parse(&text, &file).unwrap();
    let instance = Instance::open(&place.path("erp"), &environment, &configuration).unwrap();
    (configuration, instance)
}

/// With a program that answers as systemd's does.
fn by_systemd(place: &Place, systemctl: PathBuf) -> Check {
    let (configuration, instance) = opened(place);
    let checks = doctor(&Examined {
        instance: &instance,
        configuration: &configuration,
        surroundings: &Surroundings {
            jobs: 1,
            program_directories: Vec::new(),
            work_directory: std::env::temp_dir(),
            throttle: Throttle::default(),
            cache_directory: None,
        },
        repository: crate::support::backups::repository(&place.path("repository")),
        tomcat: Ok(None),
        systemd: Some(Systemd::with_program(systemctl)),
        zone: chrono_tz::Tz::UTC,
    });
    let mut checks = checks.into_iter();
    checks.find(|check| check.name == "schedule").unwrap()
}

#[test]
fn doctor_asks_systemd_for_the_service() {
    let place = Place::new();
    place.set_nightly(&["--only", PARTS]);
    let systemctl = place.path("systemctl");
    let says = |load: &str, active: &str, file: &str| {
        script(
            &systemctl,
            &format!(
                "case \"$*\" in *obbackup-openbravo.service) ;; *) exit 1;; esac\necho LoadState={load}\necho ActiveState={active}\necho UnitFileState={file}"
            ),
        );
        by_systemd(&place, systemctl.clone())
    };
    let absent = says("not-found", "inactive", "");
    assert_eq!(absent.result, Health::Failure);
    assert!(absent.found.contains("nothing runs"), "{absent:?}");
    let stopped = says("loaded", "inactive", "enabled");
    assert_eq!(stopped.result, Health::Failure);
    assert!(
        stopped
            .remedy
            .unwrap()
            .contains("systemctl enable --now obbackup-openbravo.service")
    );
    let elsewhere = says("loaded", "active", "enabled");
    assert_eq!(elsewhere.result, Health::Failure);
    assert!(
        elsewhere.found.contains("runs no schedules"),
        "{elsewhere:?}"
    );
    let mut child = place
        .command(&["schedule", "run", "--quiet"])
        .spawn()
        .unwrap();
    wait_for("it runs", || {
        says("loaded", "active", "enabled").result == Health::Ok
    });
    let lost = says("loaded", "active", "disabled");
    assert_eq!(lost.result, Health::Warning);
    assert!(lost.found.contains("not enabled"), "{lost:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn install_writes_the_unit_and_has_systemd_start_it() {
    let place = Place::new();
    let (configuration, instance) = opened(&place);
    let program = Program {
        path: "/usr/bin/obbackup".into(),
        configuration: None,
        variables: Vec::new(),
    };
    let Service::Systemd(mut unit) =
        service::plan(&instance, &configuration, &program, true).unwrap()
    else {
        panic!("not a unit");
    };
    let units = place.path("units");
    fs::create_dir(&units).unwrap();
    unit.path = units.join(&unit.name);
    let calls = place.path("calls");
    let systemctl = place.path("systemctl");
    script(&systemctl, &format!("echo \"$*\" >> '{}'", calls.display()));
    let systemd = Systemd::with_program(&systemctl);
    service::install(&instance, &unit, &systemd).unwrap();
    assert_eq!(fs::read_to_string(&unit.path).unwrap(), unit.text);
    assert_eq!(
        unit.path.metadata().unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert!(place.path("erp/.obbackup").is_dir());
    let asked = fs::read_to_string(&calls).unwrap();
    let asked: Vec<_> = asked
        .lines()
        .map(|line| line.trim_start_matches("--no-ask-password "))
        .collect();
    let name = "obbackup-openbravo.service";
    assert_eq!(
        asked,
        [
            "daemon-reload",
            &format!("enable {name}"),
            &format!("restart {name}")
        ]
    );

    script(&systemctl, "echo no such bus >&2; exit 1");
    let error = service::install(&instance, &unit, &systemd).unwrap_err();
    assert!(error.to_string().contains("no such bus"), "{error}");
}
