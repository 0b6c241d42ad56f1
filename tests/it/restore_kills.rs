//! A restore and an undo that are killed, or fail, at each of their effects and at each step of the staging: the next run
//! finishes or reverses them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use obbackup::command::restore::journal::Outcome;
use obbackup::command::restore::tripwire::Tripwire;
use obbackup::command::restore::{Control, Destination};
use obbackup::error::ErrorKind;
use obbackup::progress::Progress;
use obbackup::storage::faulty::{Fault, kill};

use crate::support::cluster::{Cluster, skipped};
use crate::support::programs;
use crate::support::small::{Small, State, WITHOUT_ROOM};
use crate::world::World;

/// Tells the victim what to do, when to die, and where.
const ORDERS: &str = "OBBACKUP_TEST_RESTORE";

/// Where the victim dies. Each kind of place is counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before an effect of the swap.
    Effect,
    /// Before a stage or some bytes of one are reported: tables, directories and files as they are staged.
    Report,
    /// Before the repository is read: the catalog of a part, the rows of a table, the bytes of files.
    Read,
    /// Before a run of `pg_restore`: the database is created, or its rows are loaded.
    BeforeProgram,
    /// While it runs, and goes on running.
    DuringProgram,
    /// After it: tables are made, or indexes and constraints.
    AfterProgram,
}

impl Place {
    const ALL: [Self; 6] = [
        Self::Effect,
        Self::Report,
        Self::Read,
        Self::BeforeProgram,
        Self::DuringProgram,
        Self::AfterProgram,
    ];

    fn word(self) -> String {
        format!("{self:?}")
    }
}

/// Dies before the report of this number.
struct Dies {
    at: u64,
    count: AtomicU64,
}

impl Dies {
    fn count(&self) {
        if self.count.fetch_add(1, Ordering::SeqCst) == self.at {
            kill::<()>("report").unwrap();
        }
    }
}

impl Progress for Dies {
    fn stage(&self, _name: &str, _total_bytes: Option<u64>) {
        self.count();
    }
    fn advance(&self, _bytes: u64) {
        self.count();
    }
    fn warn(&self, _message: &str) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Stands for `pg_restore`, and kills who started it.
const KILLER: &str = r#"#!/bin/sh
case "$*" in --version) exec "REAL" "$@" ;; esac
echo run >>"HERE/runs"
[ "$(wc -l <"HERE/runs")" -eq AT ] || exec "REAL" "$@"
case WHEN in
BeforeProgram) kill -9 $PPID ;;
DuringProgram) "REAL" "$@" & kill -9 $PPID ;;
AfterProgram) "REAL" "$@"; kill -9 $PPID ;;
esac
"#;

/// Client programs of which the `at`-th run kills who started it.
fn killers(directory: &Path, at: u64, when: Place) {
    let real = programs::client_for(15).unwrap();
    fs::create_dir(directory).unwrap();
    let text = KILLER
        .replace("REAL", real.join("pg_restore").to_str().unwrap())
        .replace("HERE", directory.to_str().unwrap())
        .replace("AT", &(at + 1).to_string())
        .replace("WHEN", &when.word());
    fs::write(directory.join("pg_restore"), text).unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.join("pg_restore"), mode).unwrap();
    std::os::unix::fs::symlink(real.join("pg_dump"), directory.join("pg_dump")).unwrap();
}

/// Not a test of its own: what the others run as another process.
#[test]
#[ignore = "run by the others of this file, in a process of its own"]
fn victim() {
    let orders = std::env::var(ORDERS).unwrap();
    let orders: Vec<&str> = orders.split('\n').collect();
    let [what, place, at, url, directory, database, id] = orders[..] else {
        panic!("{orders:?}");
    };
    let place = Place::ALL
        .into_iter()
        .find(|it| it.word() == place)
        .unwrap();
    let at: u64 = at.parse().unwrap();
    let never = |wanted: Place| if place == wanted { at } else { u64::MAX };
    let mut small = Small::at(&url.parse().unwrap(), Path::new(directory), database);
    match place {
        Place::Effect | Place::Report => {}
        Place::Read => small.dies_at_read = Some(at),
        when => {
            let directory = small.directory.join("killers");
            fs::remove_dir_all(&directory).ok();
            killers(&directory, at, when);
            small.programs = Some(directory);
        }
    }
    let tripwire = Tripwire::at(never(Place::Effect), Fault::KillBefore);
    let control = Control {
        tripwire: Some(&tripwire),
        ..small.control()
    };
    let progress = Dies {
        at: never(Place::Report),
        count: AtomicU64::new(0),
    };
    match what {
        "restore" => drop(small.restore_with(id, control, &progress).unwrap()),
        "put_back" => drop(small.restore_with(id, control, &progress).unwrap_err()),
        "undo" => drop(small.undo(control).unwrap()),
        "recover" => drop(small.recover_with(control).unwrap()),
        _ => drop(
            small
                .restore_to(id, WITHOUT_ROOM, control, &progress)
                .unwrap(),
        ),
    }
}

fn run_victim(
    cluster: &Cluster,
    small: &Small,
    id: &str,
    what: &str,
    place: Place,
    at: u64,
) -> ExitStatus {
    let orders = [
        what,
        &place.word(),
        &at.to_string(),
        &cluster.url("postgres"),
        small.directory.to_str().unwrap(),
        &small.database,
        id,
    ]
    .join("\n");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "restore_kills::victim", "--ignored", "--quiet"])
        .env(ORDERS, orders)
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

/// How things can be after one that was killed.
struct Cases<'a> {
    small: &'a Small,
    before: State,
    after: State,
    finished: u32,
    reversed: u32,
    cleared: u32,
    whole: u32,
    /// The old state was deleted for want of room, and the way back that was named led back.
    lost: u32,
}

impl<'a> Cases<'a> {
    fn new(small: &'a Small, before: &State, after: &State) -> Self {
        Self {
            small,
            before: before.clone(),
            after: after.clone(),
            finished: 0,
            reversed: 0,
            cleared: 0,
            whole: 0,
            lost: 0,
        }
    }

    /// The next run comes; then one of the two states is there, whole, and nothing is left to do.
    fn check(&mut self, case: &str) {
        let small = self.small;
        let (recovered, is_lost) = match small.recover() {
            Ok(recovered) => (recovered, false),
            Err(error) if error.kind() == ErrorKind::ActionNeeded => {
                self.go_back(case, error.hint_text().unwrap_or_default());
                (None, true)
            }
            Err(error) => panic!("{case}: {error:?}"),
        };
        let state = small.state();
        let outcome = recovered.as_ref().map(|recovered| &recovered.outcome);
        match outcome {
            Some(Outcome::Done) => {
                self.finished += 1;
                assert_eq!(state, self.after, "{case}");
            }
            Some(Outcome::PutBack { .. }) => {
                self.reversed += 1;
                assert_eq!(state, self.before, "{case}");
            }
            Some(Outcome::Cleared) => {
                self.cleared += 1;
                assert_eq!(state, self.before, "{case}");
            }
            Some(Outcome::Lost { .. }) => panic!("{case}: {recovered:?}"),
            None if is_lost => self.lost += 1,
            // Killed before it began, or after it had ended.
            None => {
                self.whole += 1;
                assert!(state == self.before || state == self.after, "{case}");
            }
        }
        if let Some(recovered) = recovered {
            assert!(recovered.message.contains("had been broken off"), "{case}");
        }
        assert!(small.application.is_up(), "{case}");
        assert_eq!(small.recover().unwrap(), None, "{case}");
        let others = small.other_databases();
        assert!(
            others.iter().all(|name| name.contains("_old_")),
            "{case}: {others:?}"
        );
        self.nothing_lies_about(case);
    }

    /// The way that the message names.
    fn go_back(&mut self, case: &str, hint: &str) {
        let words: Vec<&str> = hint.split_whitespace().collect();
        let command = words.iter().position(|word| *word == "restore");
        let [id, "--in-place", "--no-safety-backup"] = words[command.unwrap() + 1..] else {
            panic!("{case}: {hint}");
        };
        let way_back = Destination::InPlace {
            safety_backup: false,
            keeps_old: false,
        };
        let (small, progress) = (self.small, obbackup::progress::Silent);
        let back = small.restore_to(id, way_back, small.control(), &progress);
        back.unwrap_or_else(|error| panic!("{case}: {error:?}"));
        assert_eq!(small.state(), self.before, "{case}");
    }

    /// Of a run that keeps no state not a file is left.
    fn nothing_lies_about(&self, case: &str) {
        if !self.small.other_databases().is_empty() {
            return;
        }
        for part in ["openbravo", "attachments"] {
            let own = self.small.directory.join(part).join(".obbackup");
            let left: Vec<_> = fs::read_dir(own)
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.starts_with("restore-") || name.starts_with("undo-"))
                .collect();
            assert!(left.is_empty(), "{case}: {part}: {left:?}");
        }
    }
}

/// One with a backup; the backup's id, and the state that it brings back.
pub fn small(cluster: &Cluster, directory: &Path, name: &str) -> (Small, String, State) {
    let small = Small::create(&cluster.config("postgres"), directory, name);
    let id = small.back_up();
    // Database-level state is this machine's, not the backup's.
    small.change("live");
    let before = small.state();
    small.restore(&id, small.control()).unwrap();
    let after = small.state();
    assert_ne!(before.files, after.files);
    assert_ne!(before.database, after.database);
    small.undo(small.control()).unwrap();
    assert_eq!(small.state(), before);
    (small, id, after)
}

/// At each place of these kinds, which is also after the one before it: nothing is changed in between. `enough` says
/// whether what came of it is what such a run has to show.
fn killed(what: &str, places: &[Place], enough: impl Fn(&Cases<'_>, u64) -> bool) {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let name = format!("kill_{what}_{}", places[0].word().to_lowercase());
    let (small, id, restored) = small(cluster, directory.path(), &name);
    let live = small.state();
    for place in places {
        let mut cases = Cases::new(&small, &live, &restored);
        let mut deaths = 0;
        loop {
            small.forget_kept();
            small.change("live");
            assert_eq!(small.state(), live);
            if what == "undo" {
                small.restore(&id, small.control()).unwrap();
                // The application has run on it meanwhile.
                small.change("later");
                cases.before = small.state();
                cases.after = live.clone();
            }
            if what == "put_back" {
                small.application.refuse("probe", 1);
            }
            let status = run_victim(cluster, &small, &id, what, *place, deaths);
            if status.success() {
                let is_back = what == "put_back";
                let end = if is_back { &cases.before } else { &cases.after };
                assert_eq!(&small.state(), end);
                break;
            }
            // One that died before it asked gets its answer.
            small.application.refuse("probe", 0);
            let case = format!("{what} killed at {place:?} {deaths}");
            assert_eq!(status.signal(), Some(9), "{case}: {status}");
            cases.check(&case);
            deaths += 1;
        }
        let Cases {
            finished,
            reversed,
            cleared,
            whole,
            lost,
            ..
        } = cases;
        println!(
            "{what}, killed at each {place:?} ({deaths}): {finished} finished, {reversed} reversed, {cleared} cleared \
             away, {lost} led back by the way named, {whole} whole"
        );
        assert!(enough(&cases, deaths), "{what} {place:?}");
    }
}

#[test]
fn a_restore_is_killed_before_each_effect() {
    killed("restore", &[Place::Effect], |cases, deaths| {
        deaths > 20 && cases.finished > 10 && cases.reversed > 3
    });
}

#[test]
fn an_undo_is_killed_before_each_effect() {
    killed("undo", &[Place::Effect], |cases, deaths| {
        deaths > 20 && cases.finished > 10 && cases.reversed > 3
    });
}

/// The application does not answer: also on the way back, and while the new state is removed, either may be stopped.
#[test]
fn a_restore_that_is_put_back_is_killed_before_each_effect() {
    killed("put_back", &[Place::Effect], |cases, deaths| {
        deaths > 50 && cases.finished > 10 && cases.reversed > 25
    });
}

/// While the new state is made beside the old one, which stays as it is.
#[test]
fn a_restore_is_killed_at_each_step_of_the_staging() {
    killed("restore", &[Place::Report, Place::Read], |cases, deaths| {
        deaths > 5 && cases.cleared > 3
    });
}

#[test]
fn a_restore_is_killed_around_each_program() {
    let places = [
        Place::BeforeProgram,
        Place::DuringProgram,
        Place::AfterProgram,
    ];
    killed("restore", &places, |cases, deaths| {
        deaths == 2 && cases.cleared == 2
    });
}

/// Where the old state is deleted first: until then it is complete; afterwards the next run names the way back, or
/// finishes.
#[test]
fn a_restore_without_room_is_killed_before_each_effect() {
    killed("in_place", &[Place::Effect], |cases, deaths| {
        deaths > 20 && cases.cleared > 0 && cases.lost >= 5 && cases.finished > 10
    });
}

#[test]
fn a_restore_without_room_is_killed_at_each_step_of_the_staging() {
    killed("in_place", &[Place::Report], |cases, deaths| {
        deaths > 10 && cases.lost > 3
    });
}

#[test]
fn a_restore_without_room_is_killed_around_each_program() {
    let places = [
        Place::BeforeProgram,
        Place::DuringProgram,
        Place::AfterProgram,
    ];
    killed("in_place", &places, |cases, deaths| {
        deaths == 2 && cases.lost == 2
    });
}

/// The run that finishes or reverses is killed too, before each of its own effects, and the one after it goes on.
#[test]
fn a_recovery_is_killed_before_each_effect() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (small, id, restored) = small(cluster, directory.path(), "kill_recovery");
    let live = small.state();
    let interrupted = |what: &str, at: u64| {
        small.forget_kept();
        small.change("live");
        if what == "put_back" {
            small.application.refuse("probe", 1);
        }
        let status = run_victim(cluster, &small, &id, what, Place::Effect, at);
        small.application.refuse("probe", 0);
        assert_eq!(status.signal(), Some(9), "{what} {at}: {status}");
    };
    let first = |what: &str, is_wanted: &mut dyn FnMut(&Outcome) -> bool| {
        let mut places = 0..;
        places.find(|at| {
            interrupted(what, *at);
            let recovered = small.recover().unwrap();
            recovered.is_some_and(|recovered| is_wanted(&recovered.outcome))
        })
    };
    // From where most is left to do: of the way forward, and of the way back once that was begun.
    let forward = first("restore", &mut |outcome| *outcome == Outcome::Done).unwrap();
    let mut was_forward = false;
    let back = first("put_back", &mut |outcome| {
        was_forward |= *outcome == Outcome::Done;
        was_forward && *outcome != Outcome::Done
    });
    for (what, at, end) in [
        ("restore", forward, &restored),
        ("put_back", back.unwrap(), &live),
    ] {
        let mut deaths = 0;
        loop {
            let case = format!("{what} killed at {at}, its recovery at {deaths}");
            interrupted(what, at);
            let status = run_victim(cluster, &small, &id, "recover", Place::Effect, deaths);
            if !status.success() {
                assert_eq!(status.signal(), Some(9), "{case}: {status}");
                small.recover().unwrap();
            }
            assert_eq!(&small.state(), end, "{case}");
            assert!(small.application.is_up(), "{case}");
            assert_eq!(small.recover().unwrap(), None, "{case}");
            if status.success() {
                break;
            }
            deaths += 1;
        }
        println!("{what} killed at {at}, then its recovery before each of {deaths} effects");
        assert!(deaths > 10, "{what}: {deaths}");
    }
}

/// Where the old state was deleted first and the process was killed, whoever asks for the status hears of the way back,
/// not only the one who asks first.
#[test]
fn the_status_of_a_restore_without_room_that_was_killed_names_the_way_back() {
    let Some(world) = World::new("killed_without_room") else {
        return;
    };
    world.init();
    let id = world.json(&["backup"])["id"].as_str().unwrap().to_owned();
    let killers_at = world.path("killers");
    killers(&killers_at, 0, Place::BeforeProgram);
    let mut path = vec![killers_at];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let status = world
        .command(&["restore", &id, "--in-place", "--yes"])
        .env("PATH", std::env::join_paths(path).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "{status}");
    for round in 0..2 {
        let output = world.output(&["status"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("failed; somebody has to act")
                && text.contains("--in-place --no-safety-backup"),
            "{round}: {text}"
        );
    }
    let status = &world.json(&["status"])["restore"];
    let hint = status["outcome"]["hint"].as_str().unwrap();
    let words: Vec<&str> = hint.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "restore").unwrap();
    let output = world.output(&[&words[at..], &["--yes"]].concat());
    assert!(
        output.status.success(),
        "{hint}: {}",
        crate::world::errors(&output)
    );
}
