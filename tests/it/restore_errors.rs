//! A restore and an undo that fail at each of their effects: they put everything back, or leave it to the next run.

use obbackup::command::restore::Control;
use obbackup::command::restore::journal::Outcome;
use obbackup::command::restore::tripwire::Tripwire;
use obbackup::error::ErrorKind;
use obbackup::storage::faulty::Fault;

use crate::restore_kills::small;
use crate::support::cluster::{Cluster, skipped};

/// An error at each effect puts everything back, and an error at each effect from one on leaves it to the next run.
fn failing(what: &str) {
    let Some(cluster) = Cluster::shared(15).map_err(|why| skipped(&why)).ok() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (small, id, restored) = small(cluster, directory.path(), &format!("error_{what}"));
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
            let case = format!("{what} {when} {at}");
            small.forget_kept();
            small.change("live");
            small.application.bring_up();
            let (before, after) = if what == "undo" {
                small.restore(&id, small.control()).unwrap();
                small.change("later");
                (small.state(), live.clone())
            } else {
                (live.clone(), restored.clone())
            };
            let tripwire = if forever {
                Tripwire::from(at, fault)
            } else {
                Tripwire::at(at, fault)
            };
            let control = Control {
                tripwire: Some(&tripwire),
                ..small.control()
            };
            let done = if what == "undo" {
                small.undo(control).map(drop)
            } else {
                small.restore(&id, control).map(drop)
            };
            if tripwire.count() <= at {
                done.unwrap();
                assert_eq!(small.state(), after);
                break;
            }
            match done {
                // The new state was live already; only tidying failed.
                Ok(()) => {
                    let recovered = small.recover().unwrap();
                    assert!(
                        recovered.is_none_or(|recovered| recovered.outcome == Outcome::Done),
                        "{case}"
                    );
                    assert_eq!(small.state(), after, "{case}");
                }
                Err(error) if error.kind() == ErrorKind::ActionNeeded => {
                    stuck += 1;
                    let text = format!("{error:?}");
                    assert!(
                        text.contains(&format!("the {what} failed")),
                        "{case}: {text}"
                    );
                    // What to type: to go on, or to start what does not run.
                    let hint = error.hint_text().unwrap_or_default();
                    assert!(
                        hint.contains("obbackup doctor") || hint.contains("touch up"),
                        "{case}: {text}"
                    );
                    // Once the cause is gone, any command puts things in order.
                    small.recover().unwrap();
                    let state = small.state();
                    assert!(state == before || state == after, "{case}");
                    small.application.bring_up();
                }
                Err(error) => {
                    small.recover().unwrap();
                    assert_eq!(small.state(), before, "{case}: {error:?}");
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
        println!("an error {when} each of {at} effects of {what}; {stuck} needed the next run");
        assert!(
            at > 20 && (forever == (stuck > 0)),
            "{what} {when}: {stuck} of {at}"
        );
    }
}

#[test]
fn an_error_at_each_effect_of_a_restore_is_put_back() {
    failing("restore");
}

#[test]
fn an_error_at_each_effect_of_an_undo_is_put_back() {
    failing("undo");
}
