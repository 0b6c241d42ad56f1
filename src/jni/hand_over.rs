//! Handing a restore or an undo over to the command: it stops the server that the JVM is, and has to outlive it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::children;
use super::requests::{Restore, Undo};
use super::workplace::Workplace;
use crate::command::restore::recovery;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::progress::Progress;

const PAUSE: Duration = Duration::from_millis(20);
/// No answer of the command is longer.
const ANSWER_LIMIT_BYTES: u64 = 16 << 20;

/// Asks the command for the plan, or lets it begin and go on by itself. The answer is the command's own
/// JSON.
pub fn restore(place: &Workplace, request: &Restore) -> Result<String> {
    let mut words = Words::of("restore");
    for part in &request.only {
        words.add("only", part.word());
    }
    for path in &request.paths {
        words.add("path", path);
    }
    if let Some(database) = &request.to_database {
        words.add("to-database", database);
    }
    if let Some(directory) = &request.to_directory {
        words.add("to-directory", directory);
    }
    words.flag("neutralize", request.neutralize);
    words.flag("in-place", request.in_place);
    words.flag("no-safety-backup", request.no_safety_backup);
    words.run_or_plan(request.dry_run);
    words.0.extend(["--".into(), OsString::from(&request.id)]);
    run(place, "restore plan", words, request.dry_run)
}

/// The same for the return to the state before the last restore.
pub fn undo(place: &Workplace, request: &Undo) -> Result<String> {
    let mut words = Words::of("undo");
    words.flag("no-safety-backup", request.no_safety_backup);
    words.run_or_plan(request.dry_run);
    run(place, "undo plan", words, request.dry_run)
}

fn run(place: &Workplace, plan: &'static str, words: Words, dry_run: bool) -> Result<String> {
    // The command would first finish or reverse one that was broken off, and stop this JVM for it, whose end takes its
    // children along.
    recovery::refuse_unfinished(&place.instance()?)?;
    if dry_run {
        place
            .operation()
            .run(plan, |progress| Run::start(place, words)?.wait(progress))
    } else {
        // Once it has begun it is not ours to stop.
        Run::start(place, words)?.wait(&crate::progress::Silent)
    }
}

/// The words of one command.
struct Words(Vec<OsString>);

impl Words {
    fn of(command: &str) -> Self {
        Self(vec![command.into()])
    }

    fn add(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        self.0.push(word);
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.0.push(format!("--{name}").into());
        }
    }

    fn run_or_plan(&mut self, dry_run: bool) {
        self.flag("dry-run", dry_run);
        // Whoever calls has had it confirmed.
        self.flag("yes", !dry_run);
        self.flag("detach", !dry_run);
    }
}

/// The command while it runs. Its output goes to files without names: what it leaves running in the
/// background could keep a pipe open for as long as the restore takes.
struct Run {
    child: Child,
    output: File,
    errors: File,
}

impl Run {
    fn start(place: &Workplace, words: Words) -> Result<Self> {
        let options = place.options();
        let program = options.program.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                "a restore needs the command obbackup, and its path is not set",
            )
            .hint("Set the program when this Backup is opened.")
        })?;
        let file = || {
            tempfile::tempfile_in(&options.environment.temporary_directory)
                .io_context(|| "cannot make a temporary file".to_owned())
        };
        let (output, errors) = (file()?, file()?);
        let shared = |file: &File| {
            file.try_clone()
                .map(Stdio::from)
                .io_context(|| "cannot share a file".to_owned())
        };
        let mut command = Command::new(program);
        children::keep_nothing(&mut command);
        command
            .args(global_words(place).0)
            .args(words.0)
            .stdin(Stdio::null())
            .stdout(shared(&output)?)
            .stderr(shared(&errors)?);
        let environment = place.environment();
        for (name, value) in [
            ("HOME", &environment.home),
            ("CATALINA_BASE", &environment.catalina_base),
            ("CATALINA_HOME", &environment.catalina_home),
        ] {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let properties = jvm_properties(place);
        if !properties.is_empty() {
            let known = options.environment.variables.get("CATALINA_OPTS");
            let known = known.map_or("", String::as_str);
            command.env("CATALINA_OPTS", format!("{known} {properties}"));
        }
        let child = command
            .spawn()
            .io_context(|| format!("cannot start `{}`", program.display()))?;
        Ok(Self {
            child,
            output,
            errors,
        })
    }

    fn wait(mut self, progress: &dyn Progress) -> Result<String> {
        let status = loop {
            let ended = self
                .child
                .try_wait()
                .io_context(|| "cannot wait for obbackup".to_owned())?;
            if let Some(status) = ended {
                break status;
            }
            if let Err(cancelled) = progress.check() {
                // A plan changes nothing, so that it can be cut off anywhere.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err(cancelled);
            }
            std::thread::sleep(PAUSE);
        };
        if status.success() {
            return text(&mut self.output);
        }
        let said = text(&mut self.errors)?;
        Err(Error::reported(&said).unwrap_or_else(|| {
            let last = said.lines().last().unwrap_or("it said nothing");
            Error::new(
                ErrorKind::Failure,
                format!("obbackup failed ({status}): {last}"),
            )
        }))
    }
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.take(ANSWER_LIMIT_BYTES).read_to_end(&mut bytes))
        .io_context(|| "cannot read what obbackup said".to_owned())?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// What the workplace was opened with.
fn global_words(place: &Workplace) -> Words {
    let options = place.options();
    let mut words = Words(vec!["--json".into(), "--no-input".into()]);
    words.add("instance", &options.instance);
    if let Some(path) = &options.configuration {
        words.add("config", path);
    }
    if let Some(repository) = &options.repository {
        words.add("repository", repository);
    }
    words
}

/// What this JVM was started with and the command has to know too, as the options of a Tomcat say it. One that these
/// cannot say stands in the configuration.
fn jvm_properties(place: &Workplace) -> String {
    let surroundings = &place.options().environment;
    let path = surroundings.properties_path.as_ref();
    let path = path.and_then(|path| path.to_str());
    let properties = [
        ("properties.path", path),
        ("machine.name", surroundings.machine_name.as_deref()),
    ];
    let words = properties.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.contains(char::is_whitespace))?;
        Some(format!("-D{name}={value}"))
    });
    words.collect::<Vec<_>>().join(" ")
}
