//! `guard` around builds that end in every way: the instance ends as it should.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::world::{World, errors};

const STATUS: &str = "SELECT system_status FROM ad_system_info";

struct Guarded {
    world: World,
}

impl Guarded {
    fn new() -> Option<Self> {
        let world = World::new("guarded")?;
        world.init();
        let guarded = Self { world };
        guarded.write("before");
        Some(guarded)
    }

    fn write(&self, text: &str) {
        fs::write(self.world.instance.sources.join("built.txt"), text).unwrap();
    }

    /// What the sources and the database say.
    fn state(&self) -> (String, String) {
        let file = fs::read_to_string(self.world.instance.sources.join("built.txt")).unwrap();
        let mut client = self.world.cluster.connect("guarded");
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
        for name in ["started", "go"] {
            let _ = fs::remove_file(self.world.path(name));
        }
        let script = format!(
            "echo after > {}; touch {}; {script}",
            self.world.instance.sources.join("built.txt").display(),
            self.world.path("started").display()
        );
        let arguments = ["guard", "--restore", restore, "--", "bash", "-c", &script];
        let child = self
            .world
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !self.world.path("started").exists() {
            sleep(Duration::from_millis(50));
        }
        self.sql("UPDATE ad_system_info SET support_contact = 'after'");
        child
    }

    fn sql(&self, statement: &str) {
        self.world.cluster.psql("guarded", statement);
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
            text.contains("exit code 7") && text.contains("--in-place"),
            "{text}"
        );
    }

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
