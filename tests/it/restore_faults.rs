//! What goes wrong around a restore in place: applications, servers, disks and people.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use obbackup::command::restore::journal::Outcome;
use obbackup::command::restore::states::kept_states;
use obbackup::command::restore::{Control, Destination};
use obbackup::error::{ErrorKind, Result};
use obbackup::progress::Progress;
use obbackup::tomcat::Application;

use crate::support::application::FileApplication;
use crate::support::cluster::{Cluster, skipped};
use crate::support::small::{Small, State};
use crate::support::tree::is_root;

/// An instance that was changed after its backup; the backup; and how the instance is.
fn changed(cluster: &Cluster, directory: &Path, name: &str) -> (Small, String, State) {
    let small = Small::create(&cluster.config("postgres"), directory, name);
    let id = small.back_up();
    small.change("live");
    let live = small.state();
    (small, id, live)
}

fn on_shared(test: impl FnOnce(&'static Cluster, &Path)) {
    match Cluster::shared(15) {
        Ok(cluster) => test(cluster, tempfile::tempdir().unwrap().path()),
        Err(why) => skipped(&why),
    }
}

/// An application that lets something happen when it is stopped.
struct WhenStopped<'a> {
    application: &'a FileApplication,
    happens: &'a (dyn Fn() + Sync),
}

impl Application for WhenStopped<'_> {
    fn name(&self) -> String {
        self.application.name()
    }

    fn is_running(&self) -> Result<bool> {
        self.application.is_running()
    }

    fn stop(&self, progress: &dyn Progress) -> Result<()> {
        self.application.stop(progress)?;
        (self.happens)();
        Ok(())
    }

    fn start(&self, progress: &dyn Progress) -> Result<()> {
        self.application.start(progress)
    }

    fn probe(&self, progress: &dyn Progress) -> Result<()> {
        self.application.probe(progress)
    }

    fn how_to_start(&self) -> String {
        self.application.how_to_start()
    }
}

/// Lets something happen when a stage begins.
struct AtStage<'a> {
    stage: &'a str,
    happens: &'a (dyn Fn() + Sync),
}

impl Progress for AtStage<'_> {
    fn stage(&self, name: &str, _total_bytes: Option<u64>) {
        if name == self.stage {
            (self.happens)();
        }
    }
    fn advance(&self, _bytes: u64) {}
    fn warn(&self, _message: &str) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

#[test]
fn an_application_that_does_not_stop_leaves_all_as_it_is() {
    on_shared(|cluster, directory| {
        let (small, id, live) = changed(cluster, directory, "no_stop");
        small.application.refuse("stop", 1);
        let error = small.restore(&id, small.control()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RolledBack, "{error:?}");
        assert_eq!(small.state(), live);
        assert!(small.application.is_up());
        // Half stopped, it would not answer.
        assert_eq!(small.application.calls(), ["stop", "probe"]);
        assert_eq!(small.other_databases(), [""; 0]);
        assert!(kept_states(&small.sources()).unwrap().is_empty());
    });
}

#[test]
fn an_application_that_does_not_come_up_gets_its_old_state_back() {
    on_shared(|cluster, directory| {
        let (small, id, live) = changed(cluster, directory, "no_start");
        for refused in ["start", "probe"] {
            small.application.refuse(refused, 1);
            let error = small.restore(&id, small.control()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RolledBack, "{refused}: {error:?}");
            assert!(error.to_string().contains(refused), "{error:?}");
            assert_eq!(small.state(), live, "{refused}");
            assert!(small.application.is_up(), "{refused}");
            // Nobody needs what did not come up: it is the backup's.
            assert_eq!(small.other_databases(), [""; 0], "{refused}");
            assert!(kept_states(&small.sources()).unwrap().is_empty());
            let nothing = small.undo(small.control()).unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::NotFound);
        }
    });
}

#[test]
fn an_application_that_answers_no_more_at_all_needs_somebody() {
    on_shared(|cluster, directory| {
        let (small, id, live) = changed(cluster, directory, "no_answer");
        small.application.refuse("probe", 2);
        let error = small.restore(&id, small.control()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ActionNeeded, "{error:?}");
        assert!(
            error.to_string().contains("as they were before"),
            "{error:?}"
        );
        // What to type.
        let hint = error.hint_text().unwrap();
        assert!(hint.ends_with("start it by hand: touch up"), "{hint}");
        assert_eq!(small.state(), live);
        assert_eq!(small.recover().unwrap(), None);
    });
}

/// Sessions come back as fast as they are ended; the database must be renamed all the same.
#[test]
fn a_client_that_keeps_reconnecting_does_not_keep_the_restore_from_its_end() {
    on_shared(|cluster, directory| {
        let (small, id, live) = changed(cluster, directory, "reconnecting");
        let stop = AtomicBool::new(false);
        let connected = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for role in ["postgres", "small"] {
                let (small, stop, connected) = (&small, &stop, &connected);
                let mut config = cluster.config(&small.database);
                if role == "small" {
                    config.user(role).password(role);
                }
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(mut client) = config.connect(postgres::NoTls) else {
                            continue;
                        };
                        connected.fetch_add(1, Ordering::Relaxed);
                        while client.simple_query("SELECT 1").is_ok() {
                            std::thread::sleep(Duration::from_millis(1));
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                        }
                    }
                });
            }
            for _ in 0..3 {
                small.restore(&id, small.control()).unwrap();
                small.undo(small.control()).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(connected.load(Ordering::Relaxed) >= 6);
        assert_eq!(small.state(), live);
    });
}

#[test]
fn the_server_may_restart_during_the_swap() {
    on_shared(|_, directory| {
        let Ok(cluster) = Cluster::start(15) else {
            return skipped(&"PostgreSQL 15 is not at hand");
        };
        let (small, id, live) = changed(&cluster, directory, "restarting");
        // One process that is killed makes the server end all others and recover.
        let kill = || {
            let pid: i32 = small
                .connect("postgres")
                .query_one(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'",
                    &[],
                )
                .unwrap()
                .get(0);
            let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
            assert!(status.unwrap().success());
        };
        let application = WhenStopped {
            application: &small.application,
            happens: &kill,
        };
        let control = Control::of(Some(&application));
        small.restore(&id, control).unwrap();
        assert_ne!(small.state(), live);
        small.undo(control).unwrap();
        assert_eq!(small.state(), live);
    });
}

#[test]
fn a_server_that_is_gone_is_waited_for_by_the_next_run() {
    on_shared(|_, directory| {
        let Ok(cluster) = Cluster::start(15) else {
            return skipped(&"PostgreSQL 15 is not at hand");
        };
        let cluster = std::sync::Mutex::new(cluster);
        let crash = || cluster.lock().unwrap().crash();
        for at_swap in [false, true] {
            let name = if at_swap { "gone_swap" } else { "gone_staging" };
            let place = directory.join(name);
            let (mut small, id, live) = changed(&cluster.lock().unwrap(), &place, name);
            let application = WhenStopped {
                application: &small.application,
                happens: &crash,
            };
            let impatient = Control {
                patience: Duration::from_secs(1),
                ..small.control()
            };
            let error = if at_swap {
                let control = Control {
                    application: Some(&application),
                    ..impatient
                };
                small.restore(&id, control).unwrap_err()
            } else {
                let progress = AtStage {
                    stage: "indexes and constraints",
                    happens: &crash,
                };
                small.restore_with(&id, impatient, &progress).unwrap_err()
            };
            if at_swap {
                assert_eq!(error.kind(), ErrorKind::ActionNeeded, "{error:?}");
                assert!(error.to_string().contains("gone_swap"), "{error:?}");
                assert!(error.to_string().contains("files is stopped"), "{error:?}");
            }
            // Without its server nothing can be done, and nothing is made worse.
            small.recover().unwrap_err();
            let mut server = cluster.lock().unwrap();
            server.start_again();
            small.moved_to(&server.config("postgres"));
            let outcome = small.recover().unwrap().unwrap().outcome;
            let fits = match outcome {
                Outcome::PutBack { .. } => at_swap,
                Outcome::Cleared => !at_swap,
                Outcome::Done | Outcome::Lost { .. } => false,
            };
            assert!(fits, "{outcome:?}");
            assert_eq!(small.state(), live);
            assert!(small.application.is_up());
            assert_eq!(small.other_databases(), [""; 0]);
        }
    });
}

fn mount(place: &Path, options: &str) -> bool {
    fs::create_dir_all(place).unwrap();
    is_root()
        && Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(place)
            .output()
            .is_ok_and(|output| output.status.success())
}

fn unmount(place: &Path) {
    let status = Command::new("umount").arg(place).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_device_that_is_full_costs_nothing() {
    on_shared(|cluster, directory| {
        let device = directory.join("attachments");
        if !mount(&device, "size=1m") {
            return skipped(&"a device of a fixed size needs the right to mount");
        }
        let small = Small::create(&cluster.config("postgres"), directory, "full_device");
        small.write("attachments/259/large", &"x".repeat(600_000));
        let id = small.back_up();
        fs::remove_file(device.join("259/large")).unwrap();
        small.change("live");
        // It becomes full while the attachments are staged.
        let fill = || fs::write(device.join(".obbackup/filler"), "x".repeat(800_000)).unwrap();
        let progress = AtStage {
            stage: "attachments",
            happens: &fill,
        };
        let live = small.state();
        let error = small
            .restore_with(&id, small.control(), &progress)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
        assert_eq!(small.state(), live);
        assert_eq!(small.recover().unwrap(), None);
        assert!(small.application.calls().is_empty());
        // Full from the beginning, it is not even tried.
        let error = small.restore(&id, small.control()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
        assert!(error.to_string().contains("free"), "{error:?}");
        assert!(small.application.is_up());
        fs::remove_file(device.join(".obbackup/filler")).unwrap();
        small.restore(&id, small.control()).unwrap();
        assert_ne!(small.state(), live);
        small.undo(small.control()).unwrap();
        assert_eq!(small.state(), live);
        unmount(&device);
    });
}

/// Nothing hangs on what a restore beside the instance has begun, so it stays, and the error names it.
#[test]
fn what_a_restore_beside_the_instance_leaves_is_named() {
    on_shared(|cluster, directory| {
        let device = directory.join("elsewhere");
        if !mount(&device, "size=8m") {
            return skipped(&"a device of a fixed size needs the right to mount");
        }
        let small = Small::create(&cluster.config("postgres"), directory, "beside_full");
        small.write("attachments/259/large", &"x".repeat(3_000_000));
        let id = small.back_up();
        let fill = || fs::write(device.join("filler"), "x".repeat(7_000_000)).unwrap();
        let progress = AtStage {
            stage: "attachments",
            happens: &fill,
        };
        let destination = Destination::Beside {
            database: None,
            directory: Some(device.join("new")),
        };
        let error = small
            .restore_to(&id, destination, small.control(), &progress)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
        let hint = error.hint_text().unwrap_or_default();
        let left = format!("remove what was begun: `{}", device.join("new").display());
        assert!(hint.contains(&left), "{error:?}");
        unmount(&device);
    });
}

/// Mount points as root of a part and inside of one: nothing of them is renamed, their contents are.
#[test]
fn file_systems_inside_of_file_systems_are_swapped() {
    on_shared(|cluster, directory| {
        let places = [
            "attachments",
            "openbravo/modules",
            "tomcat/webapps/openbravo",
        ];
        let places = places.map(|place| directory.join(place));
        if !places.iter().all(|place| mount(place, "size=4m")) {
            return skipped(&"file systems need the right to mount");
        }
        let (small, id, live) = changed_keeping(cluster, directory, "mounts");
        small.restore(&id, small.control()).unwrap();
        let restored = small.state();
        assert!(restored.files.contains_key("openbravo/modules/m/Gone.java"));
        assert_ne!(restored, live);
        small.undo(small.control()).unwrap();
        assert_eq!(small.state(), live);
        small.undo(small.control()).unwrap();
        assert_eq!(small.state(), restored);
        for place in &places {
            unmount(place);
        }
    });
}

/// As [`changed`], but a mount point cannot be removed.
fn changed_keeping(cluster: &Cluster, directory: &Path, name: &str) -> (Small, String, State) {
    let small = Small::create(&cluster.config("postgres"), directory, name);
    let id = small.back_up();
    fs::remove_dir_all(directory.join("openbravo/modules/m")).unwrap();
    small.write("openbravo/modules/n/Other.java", "class Other {}");
    small.change("live");
    let live = small.state();
    (small, id, live)
}

#[test]
fn one_at_a_time() {
    on_shared(|cluster, directory| {
        let (small, id, _) = changed(cluster, directory, "one_at_a_time");
        let second = std::sync::Mutex::new(Vec::new());
        let meanwhile = || {
            let refused = small.restore(&id, small.control()).unwrap_err();
            let untouched = small.recover().unwrap();
            second.lock().unwrap().push((refused, untouched));
        };
        let application = WhenStopped {
            application: &small.application,
            happens: &meanwhile,
        };
        let control = Control::of(Some(&application));
        small.restore(&id, control).unwrap();
        let (refused, untouched) = second.lock().unwrap().pop().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Locked, "{refused:?}");
        let pid = std::process::id().to_string();
        assert!(refused.to_string().contains(&pid), "{refused:?}");
        assert_eq!(untouched, None);
    });
}

#[test]
fn a_restore_that_is_cancelled_while_staging_costs_nothing() {
    on_shared(|cluster, directory| {
        let (small, id, live) = changed(cluster, directory, "cancelled");
        let progress = obbackup::progress::Recorded::default();
        progress.cancel();
        let error = small
            .restore_with(&id, small.control(), &progress)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(small.state(), live);
        assert!(small.application.calls().is_empty());
        assert_eq!(small.other_databases(), [""; 0]);
        assert_eq!(small.recover().unwrap(), None);
    });
}

/// Where nothing is known of what uses the database, whoever works there would lose what he does.
#[test]
fn without_an_application_nobody_may_stay_connected() {
    on_shared(|cluster, directory| {
        let (small, id, live) = changed(cluster, directory, "nobody_stays");
        let client = small.connect("nobody_stays");
        let error = small.restore(&id, Control::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
        assert!(
            error.message().contains("has 1 connection (1 of postgres)"),
            "{error:?}"
        );
        assert_eq!(small.state(), live);
        // Who is just leaving is waited for.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_secs(1));
                drop(client);
            });
            small.restore(&id, Control::default()).unwrap();
        });
        assert_ne!(small.state(), live);
    });
}
