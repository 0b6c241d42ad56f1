//! A restore and an undo that are killed, or fail, at each of their effects: the next run finishes or reverses them.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use obbackup::command::restore::Control;
use obbackup::command::restore::journal::Outcome;
use obbackup::command::restore::tripwire::Tripwire;
use obbackup::error::ErrorKind;
use obbackup::storage::faulty::Fault;

use crate::support::cluster::{Cluster, skipped};
use crate::support::small::{Small, State};

/// Tells the victim what to do, when to die, and where.
const ORDERS: &str = "OBBACKUP_TEST_RESTORE";

/// Not a test of its own: what the others run as another process.
#[test]
#[ignore = "run by the others of this file, in a process of its own"]
fn victim() {
    let orders = std::env::var(ORDERS).unwrap();
    let orders: Vec<&str> = orders.split('\n').collect();
    let [what, at, url, directory, database, id] = orders[..] else {
        panic!("{orders:?}");
    };
    let small = Small::at(&url.parse().unwrap(), Path::new(directory), database);
    let tripwire = Tripwire::at(at.parse().unwrap(), Fault::KillBefore);
    let control = Control {
        tripwire: Some(&tripwire),
        ..small.control()
    };
    if what == "restore" {
        small.restore(id, control).unwrap();
    } else {
        small.undo(control).unwrap();
    }
}

fn run_victim(cluster: &Cluster, small: &Small, id: &str, what: &str, at: u64) -> ExitStatus {
    let orders = [
        what,
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
}

impl Cases<'_> {
    /// The next run comes; then one of the two states is there, whole, and nothing is left to do.
    fn check(&mut self, case: &str) {
        let small = self.small;
        let recovered = small
            .recover()
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
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
    }
}

fn small(cluster: &Cluster, directory: &Path, name: &str) -> (Small, String, State) {
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

/// Before each effect, which is also after the one before it: nothing is changed in between.
fn killed(what: &str) {
    use std::os::unix::process::ExitStatusExt;
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let name = format!("kill_{what}");
    let (small, id, restored) = small(cluster, directory.path(), &name);
    let live = small.state();
    let mut cases = Cases {
        small: &small,
        before: live.clone(),
        after: restored,
        finished: 0,
        reversed: 0,
        cleared: 0,
        whole: 0,
    };
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
        let status = run_victim(cluster, &small, &id, what, deaths);
        if status.success() {
            assert_eq!(small.state(), cases.after);
            break;
        }
        assert_eq!(status.signal(), Some(9), "{what} {deaths}: {status}");
        cases.check(&format!("{what} killed before effect {deaths}"));
        deaths += 1;
    }
    println!(
        "{what}, killed before each of {deaths} effects: {} finished, {} reversed, {} cleared away, {} whole",
        cases.finished, cases.reversed, cases.cleared, cases.whole
    );
    assert!(deaths > 20 && cases.finished > 10 && cases.reversed > 3);
}

#[test]
fn a_restore_is_killed_before_each_effect() {
    killed("restore");
}

#[test]
fn an_undo_is_killed_before_each_effect() {
    killed("undo");
}

/// An error at each effect puts everything back, and an error at each effect from one on leaves it to the next run.
#[test]
fn an_error_at_each_effect_is_put_back() {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (small, id, restored) = small(cluster, directory.path(), "error_at");
    let live = small.state();
    let faults = [
        ("before", Fault::Before(ErrorKind::Io), false),
        ("after", Fault::After(ErrorKind::Io), false),
        ("from", Fault::Before(ErrorKind::NoSpace), true),
    ];
    for (when, fault, forever) in faults {
        let mut at = 0;
        let mut stuck = 0;
        loop {
            let case = format!("{when} {at}");
            small.forget_kept();
            small.change("live");
            small.application.bring_up();
            let tripwire = if forever {
                Tripwire::from(at, fault)
            } else {
                Tripwire::at(at, fault)
            };
            let control = Control {
                tripwire: Some(&tripwire),
                ..small.control()
            };
            let done = small.restore(&id, control);
            if tripwire.count() <= at {
                done.unwrap();
                assert_eq!(small.state(), restored);
                break;
            }
            match done {
                // The new state was live already; only tidying failed.
                Ok(_) => {
                    let recovered = small.recover().unwrap();
                    assert!(
                        recovered.is_none_or(|recovered| recovered.outcome == Outcome::Done),
                        "{case}"
                    );
                    assert_eq!(small.state(), restored, "{case}");
                }
                Err(error) if error.kind() == ErrorKind::ActionNeeded => {
                    stuck += 1;
                    assert!(error.hint_text().is_some(), "{case}: {error:?}");
                    // Once the cause is gone, any command puts things in order.
                    small.recover().unwrap();
                    let state = small.state();
                    assert!(state == live || state == restored, "{case}");
                    small.application.bring_up();
                }
                Err(error) => {
                    small.recover().unwrap();
                    assert_eq!(small.state(), live, "{case}: {error:?}");
                    assert!(
                        small.application.is_up(),
                        "{case}: {error:?}, {:?}",
                        small.application.calls()
                    );
                }
            }
            assert_eq!(small.recover().unwrap(), None, "{case}");
            at += 1;
        }
        println!("an error {when} each of {at} effects; {stuck} needed the next run");
        assert!(
            at > 20 && (forever == (stuck > 0)),
            "{when}: {stuck} of {at}"
        );
    }
}
