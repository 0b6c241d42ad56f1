//! The web application's server: found, stopped, started and asked whether it answers.

pub mod server_xml;
pub mod systemd;

mod examine;
mod find;
mod probe;
mod process;
mod program;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;

pub use examine::Finding;
pub use find::{bases, find, open};
pub use probe::{Answer, Probe};
pub use process::own_unit;

use process::Jvm;
use server_xml::Connector;
use systemd::Systemd;

/// What runs the web application, as a restore needs it; a value, so that tests can put another in its place.
pub trait Application: Send + Sync {
    /// For people: what is controlled, and how.
    fn name(&self) -> String;

    /// Whether it runs now: its process is there, or its port is taken by it.
    fn is_running(&self) -> Result<bool>;

    /// Stops it, and returns when its process is gone and its port free; at once where it does not run.
    fn stop(&self, progress: &dyn Progress) -> Result<()>;

    /// Starts it, without waiting until it answers; does nothing where it runs.
    fn start(&self, progress: &dyn Progress) -> Result<()>;

    /// Asks it over HTTP until it answers as it should, or the time for that is over.
    fn probe(&self, progress: &dyn Progress) -> Result<()>;

    /// What a person types to start it.
    fn how_to_start(&self) -> String;
}

/// What a stage of stopping is called in a `Progress`.
pub const STOPPING: &str = "stopping Tomcat";
/// What a stage of starting is called.
pub const STARTING: &str = "starting Tomcat";
/// What a stage of probing is called.
pub const PROBING: &str = "waiting for the application";

/// How often is looked whether something has happened.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long one question may go without an answer: Tomcat takes connections before the application is ready.
const QUESTION: Duration = Duration::from_secs(30);
/// How long a Tomcat that was started may be without a process, before that counts as its end.
const ABSENCE: Duration = Duration::from_secs(10);
/// The least that an application has to answer with errors alone before it counts as broken: three times as long as
/// Tomcat takes to notice that a build has changed it, and to load it anew.
const LEAST_FAILURE: Duration = Duration::from_secs(30);
/// How long the kernel may take to end a process.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How Tomcat is stopped and started.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Control {
    /// By the service manager.
    Unit(Systemd, String),
    /// By a signal to its process, and by its own script.
    Script,
    /// By commands of the configuration.
    Commands {
        stop: Vec<String>,
        start: Vec<String>,
    },
}

/// One Tomcat, and the application in it.
pub struct Tomcat {
    control: Control,
    /// `CATALINA_BASE`; unknown where the configuration alone speaks of this Tomcat.
    base: Option<PathBuf>,
    home: Option<PathBuf>,
    /// Whom its process belongs to, or would.
    uid: u32,
    /// The variables that its process had when it was found; may hold secrets, so they are never printed.
    environment: Option<Vec<(OsString, OsString)>>,
    connectors: Vec<Connector>,
    context_path: String,
    probe: Option<Probe>,
    probe_timeout: Duration,
    /// How long it may answer with errors alone, once the time for its start is over.
    failure_timeout: Duration,
    stop_timeout: Duration,
    kill: bool,
}

impl fmt::Debug for Tomcat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tomcat")
            .field("control", &self.control)
            .field("base", &self.base)
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

impl Tomcat {
    /// `CATALINA_BASE`, where it is known.
    pub fn base(&self) -> Option<&Path> {
        self.base.as_deref()
    }

    /// The application's path: `/openbravo`, or nothing where it is at the root.
    pub fn context_path(&self) -> &str {
        &self.context_path
    }

    /// The ports that it listens on.
    pub fn connectors(&self) -> &[Connector] {
        &self.connectors
    }

    /// The port that speaks plain HTTP.
    pub fn http_port(&self) -> Option<u16> {
        self.connectors
            .iter()
            .find(|connector| connector.protocol == server_xml::Protocol::Http)
            .map(|connector| connector.port)
            .or_else(|| self.probe.as_ref().map(Probe::port))
    }

    /// Its systemd unit, where it has one.
    pub fn unit(&self) -> Option<&str> {
        match &self.control {
            Control::Unit(_, unit) => Some(unit),
            Control::Script | Control::Commands { .. } => None,
        }
    }

    fn processes(&self) -> Vec<Jvm> {
        let Some(base) = &self.base else {
            return Vec::new();
        };
        Jvm::all()
            .into_iter()
            .filter(|jvm| process::same_directory(&jvm.base, base))
            .collect()
    }

    /// Where its own script has what it prints.
    fn log_path(&self) -> PathBuf {
        let base = self.base.as_deref().unwrap_or(Path::new(""));
        base.join("logs/catalina.out")
    }

    /// The ports that are taken while it runs.
    fn ports(&self) -> Vec<u16> {
        if self.connectors.is_empty() {
            return self.probe.iter().map(Probe::port).collect();
        }
        self.connectors
            .iter()
            .map(|connector| connector.port)
            .collect()
    }

    /// Whether it runs for longer than an application may take to answer after its start. Unknown, and so not, where its
    /// process cannot be seen.
    fn has_had_its_time(&self) -> bool {
        let processes = self.processes();
        let is_old = |jvm: &Jvm| jvm.age().is_some_and(|age| age > self.probe_timeout);
        !processes.is_empty() && processes.iter().all(is_old)
    }

    fn taken_port(&self) -> Result<Option<u16>> {
        for port in self.ports() {
            if process::is_listening(port)? {
                return Ok(Some(port));
            }
        }
        Ok(None)
    }

    /// Asks for the stop; `processes` are those that are to end.
    fn ask_to_stop(&self, processes: &[Jvm]) -> Result<()> {
        match &self.control {
            Control::Unit(systemd, unit) => {
                let limit = self.stop_timeout + KILL_TIMEOUT;
                program::run(
                    systemd.command(&["stop", unit]),
                    &format!("`systemctl stop {unit}`"),
                    limit,
                )
            }
            // Tomcat stops on SIGTERM as it does on its own command, which would take a second JVM.
            Control::Script => processes
                .iter()
                .try_for_each(|jvm| jvm.signal(Signal::TERM)),
            Control::Commands { stop, .. } => program::run(
                words(stop),
                "the command `stop` of [tomcat]",
                self.stop_timeout,
            ),
        }
        .map_err(|error| hinted(error.context("cannot stop Tomcat"), &self.stop_hint()))
    }

    fn stop_hint(&self) -> String {
        match &self.control {
            Control::Unit(_, unit) => {
                format!("Stop it by hand with `systemctl stop {unit}`, and run this again.")
            }
            Control::Script => {
                "Run this as root or as the user that Tomcat runs as, or stop it by hand."
                    .to_owned()
            }
            Control::Commands { .. } => {
                "Correct `stop` under [tomcat] in obbackup.toml, or stop it by hand.".to_owned()
            }
        }
    }

    /// Waits until nothing of it is left; an error that names what is.
    fn wait_for_end(&self, processes: &[Jvm], limit: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            let left = processes.iter().find(|jvm| jvm.is_running());
            let taken = match left {
                Some(_) => None,
                None => self.taken_port()?,
            };
            let what = match (left, taken) {
                (None, None) => return Ok(()),
                (Some(jvm), _) => format!("process {} still runs", jvm.pid),
                (None, Some(port)) => format!("port {port} is still taken"),
            };
            if begun.elapsed() >= limit {
                return Err(Error::new(
                    ErrorKind::Failure,
                    format!(
                        "Tomcat did not stop within {} seconds: {what}",
                        limit.as_secs()
                    ),
                ));
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Removes the file that the script keeps Tomcat's number in: a signal has ended that process, and the script
    /// starts nothing while the number is somebody's, be it a zombie that nobody waits for.
    fn forget_number(&self) -> Result<()> {
        let variables = self.environment.as_deref().unwrap_or_default();
        let Some((_, path)) = variables.iter().find(|(name, _)| name == "CATALINA_PID") else {
            return Ok(());
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("cannot remove `{}`", Path::new(path).display());
                Err(Error::io(what, error))
            }
            _ => Ok(()),
        }
    }

    /// `catalina.sh` with the word, as the user and with the environment that Tomcat runs with.
    fn script(&self, word: &str) -> Result<Command> {
        let (Some(base), Some(home)) = (&self.base, &self.home) else {
            return Err(Error::new(
                ErrorKind::Failure,
                "nothing says where Tomcat's bin/catalina.sh is",
            )
            .hint("Set `home` under [tomcat] in obbackup.toml to its CATALINA_HOME."));
        };
        // A session of its own: neither Ctrl-C nor the end of a terminal may reach what is started here.
        let mut command = Command::new("setsid");
        let effective = rustix::process::geteuid();
        if effective.as_raw() != self.uid {
            if !effective.is_root() {
                return Err(Error::new(
                    ErrorKind::Denied,
                    format!("Tomcat runs as user {}, not as this one", self.uid),
                )
                .hint("Run this as root, or as that user."));
            }
            command.args(find::become_user(self.uid)?);
        }
        command.arg(home.join("bin/catalina.sh")).arg(word);
        if let Some(environment) = &self.environment {
            command
                .env_clear()
                .envs(environment.iter().map(|(name, value)| (name, value)));
        }
        command
            .env("CATALINA_BASE", base)
            .env("CATALINA_HOME", home)
            .current_dir(base);
        Ok(command)
    }
}

impl Application for Tomcat {
    fn name(&self) -> String {
        let place = self
            .base
            .as_ref()
            .map_or_else(String::new, |base| format!(" in {}", base.display()));
        match &self.control {
            Control::Unit(_, unit) => format!("Tomcat{place}, by systemd as {unit}"),
            Control::Script => format!("Tomcat{place}, by its own script"),
            Control::Commands { .. } => format!("Tomcat{place}, by the commands of [tomcat]"),
        }
    }

    fn is_running(&self) -> Result<bool> {
        if !self.processes().is_empty() {
            return Ok(true);
        }
        // In a container its process looks different from here, but its port is taken.
        match &self.control {
            Control::Commands { .. } => Ok(self.taken_port()?.is_some()),
            Control::Unit(..) | Control::Script => Ok(false),
        }
    }

    fn stop(&self, progress: &dyn Progress) -> Result<()> {
        if !self.is_running()? {
            return Ok(());
        }
        progress.stage(STOPPING, None);
        let processes = self.processes();
        self.ask_to_stop(&processes)?;
        let stopped = self.wait_for_end(&processes, self.stop_timeout);
        let Err(error) = stopped else { return Ok(()) };
        if self.kill && processes.iter().any(Jvm::is_running) {
            progress.warn(&format!("{error}; it is ended by SIGKILL"));
            for jvm in &processes {
                jvm.signal(Signal::KILL)?;
            }
            return self.wait_for_end(&processes, KILL_TIMEOUT);
        }
        Err(error.hint(
            "See its log for what it waits for. `stop_timeout_seconds` under [tomcat] gives it longer, and \
             `kill = true` ends it then.",
        ))
    }

    fn start(&self, progress: &dyn Progress) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        progress.stage(STARTING, None);
        let limit = self.probe_timeout;
        match &self.control {
            Control::Unit(systemd, unit) => program::run(
                systemd.command(&["start", unit]),
                &format!("`systemctl start {unit}`"),
                limit,
            )
            .map_err(|error| {
                hinted(
                    error,
                    &format!("See `journalctl -u {unit}` for the reason."),
                )
            }),
            Control::Script => self.forget_number().and_then(|()| {
                program::run(
                    self.script("start")?,
                    "Tomcat's own `catalina.sh start`",
                    limit,
                )
            }),
            Control::Commands { start, .. } => {
                program::run(words(start), "the command `start` of [tomcat]", limit)
            }
        }
        .map_err(|error| {
            let error = error.context("cannot start Tomcat");
            hinted(error, "Start it by hand, and see its log for the reason.")
        })
    }

    fn probe(&self, progress: &dyn Progress) -> Result<()> {
        let Some(probe) = &self.probe else {
            return Err(Error::new(
                ErrorKind::Usage,
                "nothing says how to ask the application whether it answers: Tomcat has no port for plain HTTP",
            )
            .hint("Set probe_url under [tomcat] in obbackup.toml: http://127.0.0.1:8080/openbravo/"));
        };
        progress.stage(PROBING, None);
        let begun = Instant::now();
        let mut last_seen = Instant::now();
        let mut failing_since: Option<Instant> = None;
        loop {
            progress.check()?;
            let left = self.probe_timeout.saturating_sub(begun.elapsed());
            let why = match probe.ask(QUESTION.min(left.max(INTERVAL))) {
                Answer::Good(_) => return Ok(()),
                Answer::Fails(why) => {
                    failing_since.get_or_insert_with(Instant::now);
                    why
                }
                Answer::NotYet(why) => {
                    failing_since = None;
                    why
                }
            };
            if self.is_running()? {
                last_seen = Instant::now();
            }
            let ended = last_seen.elapsed() > ABSENCE;
            let failing = failing_since.map_or(Duration::ZERO, |since| since.elapsed());
            let failed = failing >= self.failure_timeout && self.has_had_its_time();
            if ended || failed || begun.elapsed() >= self.probe_timeout {
                let what = if ended {
                    "Tomcat ended by itself".to_owned()
                } else if failed {
                    let seconds = failing.as_secs();
                    format!(
                        "the application answered with nothing but errors for {seconds} seconds"
                    )
                } else {
                    let seconds = self.probe_timeout.as_secs();
                    format!("the application did not answer within {seconds} seconds")
                };
                return Err(
                    Error::new(ErrorKind::Failure, format!("{what}: {why}")).hint(format!(
                        "See {} and the application's log for the reason. `probe_timeout_seconds` under [tomcat] \
                         gives it longer.",
                        self.log_path().display()
                    )),
                );
            }
            thread::sleep(INTERVAL);
        }
    }

    fn how_to_start(&self) -> String {
        match (&self.control, &self.base, &self.home) {
            (Control::Unit(_, unit), ..) => format!("systemctl start {unit}"),
            (Control::Commands { start, .. }, ..) => start.join(" "),
            (Control::Script, Some(base), Some(home)) => {
                let become_user = if rustix::process::geteuid().as_raw() == self.uid {
                    String::new()
                } else {
                    format!("as user {}: ", self.uid)
                };
                format!(
                    "{become_user}CATALINA_BASE='{}' '{}' start",
                    base.display(),
                    home.join("bin/catalina.sh").display()
                )
            }
            (Control::Script, ..) => "catalina.sh start".to_owned(),
        }
    }
}

/// A fifth of the time that it has for its start.
fn failure_timeout(probe_timeout: Duration) -> Duration {
    (probe_timeout / 5).max(LEAST_FAILURE)
}

/// A command that is written word by word.
fn words(words: &[String]) -> Command {
    let mut all = words.iter();
    let mut command = Command::new(all.next().map_or("", String::as_str));
    command.args(all);
    command
}

/// The error with this hint, unless it has one.
fn hinted(error: Error, hint: &str) -> Error {
    if error.hint_text().is_some() {
        return error;
    }
    error.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::process::{Child, Stdio};

    /// A process that looks as Tomcat's does, and ends when this is dropped.
    fn process(base: &Path) -> Child {
        Command::new("sh")
            .args(["-c", "read line", "java"])
            .arg(format!("-Dcatalina.base={}", base.display()))
            .args(["org.apache.catalina.startup.Bootstrap", "start"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Gives the first answer for so long, and then the second one.
    fn serve(first: &'static str, lasts: Duration, second: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let begun = Instant::now();
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 2000]);
                let status = if begun.elapsed() < lasts {
                    first
                } else {
                    second
                };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        port
    }

    fn tomcat(base: &Path, port: u16, seconds: u64) -> Tomcat {
        Tomcat {
            control: Control::Script,
            base: Some(base.to_owned()),
            home: None,
            uid: 0,
            environment: None,
            connectors: Vec::new(),
            context_path: String::new(),
            probe: Some(Probe::new(&format!("http://127.0.0.1:{port}/"), None, None).unwrap()),
            probe_timeout: Duration::from_secs(seconds),
            failure_timeout: Duration::from_millis(200),
            stop_timeout: Duration::from_secs(1),
            kill: false,
        }
    }

    #[test]
    fn errors_alone_are_waited_for_only_while_it_may_be_starting() {
        const FOREVER: Duration = Duration::from_hours(1);
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        let mut child = process(base);
        // One that may still be starting gets its time, whatever it answers.
        let port = serve("500 Oops", Duration::from_secs(1), "200 OK");
        tomcat(base, port, 3600).probe(&Silent).unwrap();
        // One that is past that does not. What Tomcat answers for an application that is not there is no such error.
        for (status, words) in [
            ("500 Oops", "nothing but errors"),
            ("404 Not Found", "did not answer within 1 seconds"),
        ] {
            let old = tomcat(base, serve(status, FOREVER, status), 1);
            while !old.has_had_its_time() {
                thread::sleep(INTERVAL);
            }
            let error = old.probe(&Silent).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        // Nor is one condemned whose process nobody can see.
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!tomcat(base, port, 1).has_had_its_time());
    }

    #[test]
    fn errors_are_borne_for_a_fifth_of_the_time_to_start() {
        for (probe_timeout, expected) in [(600, 120), (60, 30), (20, 30)] {
            let failure_timeout = failure_timeout(Duration::from_secs(probe_timeout));
            assert_eq!(failure_timeout, Duration::from_secs(expected));
        }
    }
}
