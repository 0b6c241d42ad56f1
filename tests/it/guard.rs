//! `guard` around builds that end in every way: the instance ends as it should.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::tomcat::{LOGIN, get};
use crate::tomcat;
use crate::world::{World, errors};

const STATUS: &str = "SELECT system_status FROM ad_system_info";

struct Guarded {
    world: World,
}

impl Guarded {
    fn new() -> Option<Self> {
        Some(Self::of(World::new("guarded")?))
    }

    fn of(world: World) -> Self {
        world.init();
        let guarded = Self { world };
        guarded.write("before");
        guarded
    }

    fn write(&self, text: &str) {
        fs::write(self.world.instance.sources.join("built.txt"), text).unwrap();
    }

    /// What the sources and the database say.
    fn state(&self) -> (String, String) {
        let file = fs::read_to_string(self.world.instance.sources.join("built.txt")).unwrap();
        let mut client = self.world.cluster.connect(&self.world.instance.database);
        let row = client
            .query_one(
                "SELECT coalesce(support_contact, '') FROM ad_system_info",
                &[],
            )
            .unwrap();
        (file, row.get(0))
    }

    /// Begins a guarded script, and waits until it has begun.
    fn begin(&self, restore: &str, script: &str) -> Child {
        let script = self.script(script);
        let mut command = self.guard(restore, &script);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(&mut command)
    }

    fn script(&self, script: &str) -> String {
        format!(
            "echo after > {}; touch {}; {script}",
            self.world.instance.sources.join("built.txt").display(),
            self.world.path("started").display()
        )
    }

    fn guard(&self, restore: &str, script: &str) -> Command {
        let words = ["guard", "--restore", restore, "--", "bash", "-c", script];
        self.world.command(&words)
    }

    fn spawn(&self, command: &mut Command) -> Child {
        for name in ["started", "go"] {
            let _ = fs::remove_file(self.world.path(name));
        }
        let mut child = command.spawn().unwrap();
        while !self.world.path("started").exists() {
            if child.try_wait().unwrap().is_some() {
                let output = child.wait_with_output().unwrap();
                panic!("the command did not begin: {}", errors(&output));
            }
            sleep(Duration::from_millis(50));
        }
        self.sql("UPDATE ad_system_info SET support_contact = 'after'");
        child
    }

    fn sql(&self, statement: &str) {
        let database = &self.world.instance.database;
        self.world.cluster.psql(database, statement);
    }

    fn waiting(&self) -> String {
        let go = self.world.path("go");
        format!("while [ ! -e {} ]; do sleep 0.1; done", go.display())
    }

    /// Lets the script go on, and says how the guard ended.
    fn end(&self, child: Child) -> (i32, String) {
        fs::write(self.world.path("go"), "").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), errors(&output))
    }

    fn reset(&self) {
        self.write("before");
        self.sql("UPDATE ad_system_info SET support_contact = 'before', system_status = 'RB70'");
    }
}

#[test]
fn whatever_a_build_does_the_instance_ends_as_it_should() {
    let Some(guarded) = Guarded::new() else {
        return;
    };
    let before = ("before".to_owned(), "before".to_owned());
    let after = ("after\n".to_owned(), "after".to_owned());

    // One that succeeds.
    guarded.reset();
    let child = guarded.begin("always", &guarded.waiting());
    let (code, text) = guarded.end(child);
    assert_eq!((code, guarded.state()), (0, after.clone()), "{text}");

    // One that fails, and nobody wants it back; or nobody can be asked.
    for restore in ["never", "ask"] {
        guarded.reset();
        let child = guarded.begin(restore, &format!("{}; exit 7", guarded.waiting()));
        let (code, text) = guarded.end(child);
        assert_eq!((code, guarded.state()), (7, after.clone()), "{text}");
        assert!(
            text.contains("exit code 7") && text.contains("to do it: obbackup restore"),
            "{text}"
        );
    }

    // One that is not there at all.
    let words = ["guard", "--", "/nonexistent"];
    guarded
        .world
        .refused(&words, 2, &["cannot run `/nonexistent`", "hint:"]);

    // One that fails, one that kills itself.
    for (end, words) in [("exit 7", "exit code 7"), ("kill -9 $$", "signal 9")] {
        guarded.reset();
        let child = guarded.begin("always", &format!("{}; {end}", guarded.waiting()));
        let (code, text) = guarded.end(child);
        assert_eq!(
            (code, guarded.state()),
            (16, before.clone()),
            "{end}: {text}"
        );
        assert!(text.contains(words), "{text}");
    }

    // One that says that all is well, and left a rebuild half-way.
    guarded.reset();
    let child = guarded.begin("always", &guarded.waiting());
    guarded.sql("UPDATE ad_system_info SET system_status = 'RB12'");
    let (code, text) = guarded.end(child);
    assert_eq!((code, guarded.state()), (16, before.clone()), "{text}");
    assert!(text.contains("RB12"), "{text}");
    let mut client = guarded.world.cluster.connect("guarded");
    let status: String = client.query_one(STATUS, &[]).unwrap().get(0);
    assert_ne!(status, "RB12");
    // A restore in place wants nobody connected.
    drop(client);

    // One that is interrupted: the signal goes to it, and the guard judges.
    guarded.reset();
    let child = guarded.begin("always", "exec sleep 600");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let (code, text) = guarded.end(child);
    assert_eq!((code, guarded.state()), (16, before), "{text}");
    assert!(text.contains("signal 2"), "{text}");
}

/// The key, and not a signal to the guard alone; then somebody is there to be asked.
#[test]
fn ctrl_c_ends_the_build_and_the_guard_asks() {
    let Some(world) = World::new("guarded_by_keys") else {
        return;
    };
    let guarded = Guarded::of(world);
    let run = guarded.world.path("run.sh");
    for (answer, code, expected) in [("yes", 16, "before"), ("no", 130, "after")] {
        guarded.reset();
        let script = guarded.script("sleep 600");
        let command = guarded.guard("ask", &script);
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let words: Vec<_> = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        fs::write(&run, format!("#!/bin/sh\nexec {}\n", words.join(" "))).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        // A terminal of its own, whose keys are what is written to this.
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--return", "--command"]);
        // A shell in between would be ended by the key as well, and hide the code.
        let begun = format!("exec '{}'", run.display());
        terminal.arg(begun).arg("/dev/null").env_clear();
        for (name, value) in command.get_envs() {
            terminal.env(name, value.unwrap());
        }
        terminal.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = guarded.spawn(&mut terminal);
        let mut keys = child.stdin.take().unwrap();
        keys.write_all(b"\x03").unwrap();
        keys.write_all(format!("{answer}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(
            text.contains("ended by signal 2") && text.contains("Type yes:"),
            "{text}"
        );
        assert_eq!(guarded.state().1, expected, "{text}");
    }
}

#[test]
fn a_build_after_which_the_application_does_not_answer_is_taken_back() {
    let Some((world, server)) = tomcat::world("guarded_web") else {
        return;
    };
    let guarded = Guarded::of(world);
    let configuration = guarded.world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    let patience = "[tomcat]\nprobe_timeout_seconds = 20\n";
    fs::write(&configuration, format!("{text}\n{patience}")).unwrap();
    server.start();
    let file = guarded.world.instance.deploy.join("state.txt");
    let first = "files: first;";
    let before = ("before".to_owned(), "before".to_owned());
    let after = ("after\n".to_owned(), "after".to_owned());
    let run = |restore: &str, script: &str| {
        guarded.reset();
        let child = guarded.begin(restore, &format!("{}; {script}", guarded.waiting()));
        guarded.end(child)
    };

    // One that succeeds: nothing is stopped.
    let processes = server.processes();
    let (code, text) = run("always", "true");
    assert_eq!((code, guarded.state()), (0, after.clone()), "{text}");
    assert_eq!(server.processes(), processes);

    // One that says that all is well, and the application answers 500.
    let break_it = format!("rm '{}'", file.display());
    let (code, text) = run("always", &break_it);
    assert_eq!((code, guarded.state()), (16, before.clone()), "{text}");
    assert!(
        text.contains("500") && text.contains("the application answers"),
        "{text}"
    );
    server.wait_for(first);
    let status = guarded.world.json(&["status"]);
    assert_eq!(
        status["restore"]["outcome"]["verdict"], "restored",
        "{status}"
    );

    // One that fails, and one that is killed, while Tomcat runs.
    for end in ["exit 7", "kill -9 $$"] {
        let (code, text) = run("always", &format!("{break_it}; {end}"));
        assert_eq!(
            (code, guarded.state()),
            (16, before.clone()),
            "{end}: {text}"
        );
        server.wait_for(first);
    }

    // One that stops Tomcat, and one that ends it for good.
    // As `systemctl stop` does, it waits until Tomcat is gone; one that ended and is not reaped yet is gone too.
    let process = server.processes()[0];
    let stop = format!(
        "kill {process}; while grep -qs '^State:[[:space:]]*[RSD]' /proc/{process}/status; do sleep 0.1; done"
    );
    let (code, text) = run("always", &stop);
    assert_eq!((code, guarded.state()), (0, after.clone()), "{text}");
    server.wait_for(LOGIN);
    let stop = format!("kill {}; {break_it}", server.processes()[0]);
    let (code, text) = run("always", &stop);
    assert_eq!((code, guarded.state()), (16, before), "{text}");
    server.wait_for(first);

    // Nobody wants it back: the command's success is none. And what was silent before says nothing of the command.
    let (code, text) = run("never", &break_it);
    assert_eq!((code, guarded.state()), (1, after.clone()), "{text}");
    assert!(
        get(server.port, "/openbravo/login.jsp")
            .unwrap()
            .contains(" 500 ")
    );
    let (code, text) = run("always", "true");
    assert_eq!((code, guarded.state()), (0, after), "{text}");
    assert!(text.contains("does not answer now"), "{text}");
    // Nor of what is put back: it does not answer then either.
    let (code, text) = run("always", "exit 7");
    let before = ("before".to_owned(), "before".to_owned());
    assert_eq!((code, guarded.state()), (16, before), "{text}");
    assert!(!text.contains("the application answers"), "{text}");
}
