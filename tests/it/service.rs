//! Jobs that the service manager runs, with a stand-in for `systemd-run`: it checks what it is told and does it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use obbackup::config::Configuration;
use obbackup::error::{ErrorKind, Result};
use obbackup::instance::{Environment, Instance};
use obbackup::job::{Launch, Launched, Place, Verb, Verdict};

use crate::world::World;

/// Refuses words that it does not know. What it starts is in a session of its own and has the variables of the file
/// alone; it returns once that file was read, as with services of type `exec`.
const SYSTEMD_RUN: &str = r#"#!/bin/bash
here=$(dirname "$0")
printf '%s\n' "$@" >"$here/words"
if [ -e "$here/refuse" ]; then echo 'Access denied' >&2; exit 1; fi
while [ "$1" != -- ]; do
    case "$1" in
        --property=EnvironmentFile=*) variables=${1#--property=EnvironmentFile=} ;;
        --working-directory=*) cd "${1#*=}" || exit 1 ;;
        --unit=obbackup-*) ;;
        --collect | --quiet | --no-ask-password | --property=Type=exec) ;;
        "--uid=$(id -u)" | "--gid=$(id -g)") ;;
        *) echo "what is $1" >&2; exit 1 ;;
    esac
    shift
done
shift
stat -c %a "$variables" >"$here/mode" || exit 1
rm -f "$here/read"
# `setsid` last: what it runs is the service's main process.
env -i /bin/bash -c 'here=$0; variables=$1; shift
    set -a; . "$variables"; set +a
    printf "%s" "$SECRET" >"$here/secret"; : >"$here/read"
    exec setsid "$@"' "$here" "$variables" "$@" </dev/null >"$here/output" 2>&1 &
until [ -e "$here/read" ]; do sleep 0.01; done
"#;

/// What a shell would take apart.
const SECRET: &str = "a\"b\\c$d`e f'g";

struct Manager<'a> {
    world: &'a World,
    place: Place,
}

impl<'a> Manager<'a> {
    fn new(world: &'a World) -> Self {
        let directory = world.path("manager");
        fs::create_dir(&directory).unwrap();
        let program = directory.join("systemd-run");
        fs::write(&program, SYSTEMD_RUN).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let environment = Environment::default();
        let configuration = Configuration::default();
        let instance =
            Instance::open(&world.instance.sources, &environment, &configuration).unwrap();
        Self {
            world,
            place: Place::of(&instance),
        }
    }

    fn file(&self, name: &str) -> String {
        let path = self.world.path("manager").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn launch(&self, verb: Verb, words: &[&str]) -> (String, Result<Launched>) {
        let id = Place::new_id().unwrap();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.world.path("manager").display());
        let mut arguments = vec![
            "--instance".into(),
            self.world.instance.sources.clone().into(),
        ];
        arguments.extend(words.iter().map(Into::into));
        arguments.push(format!("--job={id}").into());
        let launch = Launch {
            verb,
            program: env!("CARGO_BIN_EXE_obbackup").into(),
            arguments,
            environment: vec![
                ("PATH".into(), path.into()),
                ("HOME".into(), self.world.path("home").into()),
                ("CATALINA_BASE".into(), self.world.path("tomcat").into()),
                ("SECRET".into(), SECRET.into()),
            ],
            directory: "/".into(),
        };
        let launched = launch.run(&self.place, &id, true);
        let left: Vec<_> = fs::read_dir(self.world.instance.sources.join(".obbackup/jobs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        (id, launched)
    }

    /// Waits for its end, which must be a good one.
    fn wait_for(&self, id: &str) {
        let begun = Instant::now();
        loop {
            let status = self.place.status(id).unwrap().unwrap();
            match status.outcome {
                Some(outcome) => {
                    assert_eq!(outcome.verdict, Verdict::Restored, "{outcome:?}");
                    return;
                }
                None => assert!(begun.elapsed() < Duration::from_mins(2), "{status:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn the_service_manager_runs_a_restore_and_an_undo_and_nothing_secret_is_left() {
    let Some(world) = World::new("by_service") else {
        return;
    };
    world.init();
    let backup = world.json(&["backup"])["id"].as_str().unwrap().to_owned();
    let manager = Manager::new(&world);
    let note = world.instance.sources.join("note");
    fs::write(&note, "after the backup").unwrap();
    for (verb, words) in [
        (
            Verb::Restore,
            &["restore", "--yes", "--no-safety-backup", &backup][..],
        ),
        (Verb::Undo, &["undo", "--yes", "--no-safety-backup"]),
    ] {
        let (id, launched) = manager.launch(verb, words);
        let launched = launched.unwrap_or_else(|error| panic!("{error:?}"));
        let unit = format!("obbackup-{}-{id}", verb.word());
        assert_eq!(launched.unit.as_ref(), Some(&unit));
        let told = manager.file("words");
        assert!(told.contains(&format!("--unit={unit}\n")), "{told}");
        assert!(!told.contains(SECRET) && !told.contains("a\"b"), "{told}");
        assert_eq!(manager.file("mode"), "600\n");
        assert_eq!(manager.file("secret"), SECRET);
        manager.wait_for(&id);
        assert_eq!(
            note.exists(),
            verb == Verb::Undo,
            "{}",
            manager.file("output")
        );
    }

    fs::write(world.path("manager/refuse"), "").unwrap();
    let (_, refused) = manager.launch(Verb::Undo, &["undo", "--yes"]);
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("Access denied"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("polkit"), "{error:?}");
    assert!(Path::new(&note).exists());
}
