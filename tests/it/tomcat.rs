//! A real Tomcat: found, stopped, started and asked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use obbackup::config::{Configuration, TomcatSection};
use obbackup::error::ErrorKind;
use obbackup::instance::{Environment, Instance};
use obbackup::progress::{Progress, Recorded, Silent};
use obbackup::tomcat::{self, Application, PROBING, STARTING, STOPPING, Tomcat, find};

use crate::support::cluster::skipped;
use crate::support::tomcat::{LOGIN, Tomcat as Server, free_port, get};
use crate::world::World;

/// A made-up instance, its application in a Tomcat of its own, and a place for its state in both halves.
pub fn world(database: &str) -> Option<(World, Server)> {
    let world = World::new(database)?;
    let server = Server::around(&world.instance)
        .map_err(|why| skipped(&why))
        .ok()?;
    set_state(&world, "first");
    Some((world, server))
}

/// What the login page shows from now on.
pub fn set_state(world: &World, state: &str) {
    world.cluster.psql(
        &world.instance.database,
        &format!(
            "CREATE TABLE IF NOT EXISTS application_state (note text); \
             GRANT SELECT ON application_state TO tad; \
             TRUNCATE application_state; INSERT INTO application_state VALUES ('{state}')"
        ),
    );
    fs::write(world.instance.deploy.join("state.txt"), state).unwrap();
}

fn configuration(text: &str) -> Configuration {
    Configuration::parse(text, Path::new("/x/obbackup.toml")).unwrap()
}

fn instance(world: &World) -> Instance {
    let environment = Environment {
        hostname: "host".to_owned(),
        catalina_base: Some(world.path("tomcat")),
        ..Environment::default()
    };
    Instance::open(&world.instance.sources, &environment, &configuration("")).unwrap()
}

/// As the command finds it; `home` only from the environment, for it does not run yet.
fn found(world: &World, server: &Server, section: &TomcatSection) -> Tomcat {
    let environment = Environment {
        catalina_home: Some(server.home.clone()),
        ..Environment::default()
    };
    find(&instance(world), &environment, section, None)
        .unwrap()
        .expect("the deployed application is in a Tomcat")
}

#[test]
fn it_is_started_asked_and_stopped_as_its_own_user() {
    let Some((world, server)) = world("tomcat_control") else {
        return;
    };
    server.give_to_server_user();
    let tomcat = found(&world, &server, &TomcatSection::default());
    assert_eq!(tomcat.base(), Some(server.base.as_path()));
    assert_eq!(tomcat.context_path(), "/openbravo");
    assert_eq!(tomcat.connectors()[0].port, server.port);
    assert!(!tomcat.is_running().unwrap());
    tomcat.stop(&Silent).unwrap();

    let progress = Recorded::default();
    tomcat.start(&progress).unwrap();
    tomcat.probe(&progress).unwrap();
    assert!(tomcat.is_running().unwrap());
    assert!(
        get(server.port, "/openbravo/login.jsp")
            .unwrap()
            .contains(LOGIN)
    );
    // Once more does nothing.
    tomcat.start(&Silent).unwrap();
    let processes = server.processes();
    assert_eq!(processes.len(), 1);
    if rustix::process::geteuid().is_root() {
        let owner = obbackup::config::Owner::of(Path::new(&format!("/proc/{}", processes[0])));
        assert_ne!(owner.unwrap().uid, 0, "it runs as root");
    }

    // So is the application in it, although nothing but its process tells of it.
    let nothing = Environment {
        hostname: "host".to_owned(),
        ..Environment::default()
    };
    let open = |configuration: &Configuration| {
        tomcat::open(&world.instance.sources, &nothing, configuration, None)
    };
    let blind = Instance::open(&world.instance.sources, &nothing, &configuration("")).unwrap();
    assert_eq!(blind.deploy_path, None);
    let found_application = open(&configuration("")).unwrap().deploy_path;
    assert_eq!(found_application, Some(world.instance.deploy.clone()));
    let elsewhere = configuration("[instance]\ndeploy_path = \"/nonexistent\"\n");
    assert_eq!(open(&elsewhere).unwrap().deploy_path, None);
    let mut command = world.command(&["doctor", "--json"]);
    let output = command.env_remove("CATALINA_BASE").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(world.instance.deploy.to_str().unwrap()),
        "{text}"
    );

    // A running one is found by its process, whatever the environment says.
    let environment = Environment::default();
    let again = find(
        &instance(&world),
        &environment,
        &TomcatSection::default(),
        None,
    );
    let again = again.unwrap().unwrap();
    for finding in again.examine() {
        let text = finding
            .result
            .unwrap_or_else(|error| panic!("{}: {error:?}", finding.name));
        assert!(!text.is_empty(), "{}", finding.name);
    }
    again.stop(&progress).unwrap();
    assert!(server.processes().is_empty());
    assert!(get(server.port, "/openbravo/").is_err());
    assert_eq!(progress.stages(), [STARTING, PROBING, STOPPING]);

    // It comes back with the variables of the process that was there when it was found.
    again.start(&Silent).unwrap();
    again.probe(&Silent).unwrap();
    again.stop(&Silent).unwrap();
}

#[test]
fn an_application_that_fails_to_start_is_told_from_one_that_answers() {
    let Some((world, server)) = world("tomcat_broken") else {
        return;
    };
    let section = TomcatSection {
        probe_timeout_seconds: std::num::NonZeroU32::new(20),
        ..TomcatSection::default()
    };
    let tomcat = found(&world, &server, &section);
    fs::write(world.instance.deploy.join("WEB-INF/web.xml"), "<web-app").unwrap();
    tomcat.start(&Silent).unwrap();
    let error = tomcat.probe(&Silent).unwrap_err();
    assert!(
        error.to_string().contains("404"),
        "{error:?}\n{}",
        server.log()
    );
    tomcat.stop(&Silent).unwrap();

    // One whose JVM does not live is not waited for to the end.
    let section = TomcatSection {
        probe_timeout_seconds: std::num::NonZeroU32::new(600),
        ..TomcatSection::default()
    };
    let tomcat = found(&world, &server, &section);
    fs::write(
        server.base.join("bin/setenv.sh"),
        "CATALINA_OPTS=-Xnonsense\n",
    )
    .unwrap();
    tomcat.start(&Silent).unwrap();
    let error = tomcat.probe(&Silent).unwrap_err();
    assert!(error.to_string().contains("ended by itself"), "{error:?}");

    // One who does not want to wait any longer does not.
    let cancelled = Recorded::default();
    cancelled.cancel();
    let error = tomcat.probe(&cancelled as &dyn Progress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn one_that_does_not_stop_is_an_error_or_is_killed() {
    let Some((world, server)) = world("tomcat_stubborn") else {
        return;
    };
    let section = TomcatSection {
        stop_timeout_seconds: std::num::NonZeroU32::new(2),
        ..TomcatSection::default()
    };
    server.start();
    let tomcat = found(&world, &server, &section);
    let pid = server.processes()[0];
    // A process that is stopped in its tracks is what a JVM that hangs looks like.
    signal(pid, rustix::process::Signal::STOP);
    let error = tomcat.stop(&Silent).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("did not stop within 2 seconds"), "{text}");
    assert!(
        text.contains(&pid.to_string()) && text.contains("kill"),
        "{text}"
    );
    assert_eq!(server.processes(), [pid]);

    let section = TomcatSection {
        kill: true,
        ..section
    };
    let tomcat = found(&world, &server, &section);
    let progress = Recorded::default();
    tomcat.stop(&progress).unwrap();
    assert!(server.processes().is_empty());
    assert_eq!(progress.warnings().len(), 1);
}

/// A signal ends the JVM and leaves the file in which the script keeps its number, which may be another's by now.
#[test]
fn a_number_that_is_somebody_else_s_does_not_keep_it_from_starting() {
    let Some((world, server)) = world("tomcat_number") else {
        return;
    };
    let file = world.path("tomcat.pid");
    let number = || fs::read_to_string(&file).unwrap().trim().to_owned();
    server.start_with(&[("CATALINA_PID", &file)]);
    assert_eq!(number(), server.processes()[0].to_string());
    let tomcat = found(&world, &server, &TomcatSection::default());
    tomcat.stop(&Silent).unwrap();
    fs::write(&file, std::process::id().to_string()).unwrap();
    tomcat.start(&Silent).unwrap();
    tomcat.probe(&Silent).unwrap();
    assert_eq!(number(), server.processes()[0].to_string());
    tomcat.stop(&Silent).unwrap();
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn configured_commands_stop_and_start_what_cannot_be_seen() {
    let Some(world) = World::new("tomcat_commands") else {
        return;
    };
    // A server that is no Tomcat at all, as one in a container looks from outside.
    let port = free_port();
    let pid_file = world.path("server.pid");
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = world.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let start = script(
        "start",
        &format!(
            "cd '{}' && mkdir -p openbravo && (setsid python3 -m http.server {port} --bind 127.0.0.1 >/dev/null 2>&1 & echo $! >'{}')",
            world.directory.path().display(),
            pid_file.display()
        ),
    );
    let stop = script("stop", &format!("kill $(cat '{}')", pid_file.display()));
    let text = format!(
        "[tomcat]\nstart = [\"{start}\"]\nstop = [\"{stop}\"]\nprobe_url = \"http://127.0.0.1:{port}/openbravo/\"\n"
    );
    let section = configuration(&text).tomcat;
    let environment = Environment::default();
    let tomcat = find(&instance(&world), &environment, &section, None)
        .unwrap()
        .unwrap();
    assert!(!tomcat.is_running().unwrap());
    tomcat.start(&Silent).unwrap();
    tomcat.probe(&Silent).unwrap();
    assert!(tomcat.is_running().unwrap());
    tomcat.stop(&Silent).unwrap();
    assert!(get(port, "/").is_err());

    let broken = TomcatSection {
        stop: vec![script("broken", "echo no such container >&2; exit 3")],
        ..section
    };
    let tomcat = find(&instance(&world), &environment, &broken, None)
        .unwrap()
        .unwrap();
    tomcat.start(&Silent).unwrap();
    tomcat.probe(&Silent).unwrap();
    let error = tomcat.stop(&Silent).unwrap_err();
    assert!(error.to_string().contains("no such container"), "{error:?}");
    let status = std::process::Command::new(&stop).status().unwrap();
    assert!(status.success());
    std::thread::sleep(Duration::from_millis(10));
}
