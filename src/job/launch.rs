//! Running a restore in a process that outlives whoever asked for it.
//!
//! A restore that the application itself asks for stops that application's process. A session of its own keeps it
//! from signals to the process's group and terminal; but a service manager ends everything in the service's control
//! group, whatever its session, so then the manager itself has to run it, as another service.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Place, Verb};
use crate::config::write_private;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// How long a restore may take to show its first sign of life: it opens the repository before.
const PATIENCE: Duration = Duration::from_mins(2);
const INTERVAL: Duration = Duration::from_millis(50);

/// A program to run, and what it gets.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What it will do.
    pub verb: Verb,
    /// The program.
    pub program: PathBuf,
    /// Its arguments; with `--json` among them its error is understood.
    pub arguments: Vec<OsString>,
    /// The variables that it needs; may hold secrets.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub directory: PathBuf,
}

/// A restore that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Launched {
    /// Its id.
    pub job: String,
    /// Where its status is.
    pub status_file: PathBuf,
    /// Where its log is.
    pub log_file: PathBuf,
    /// Lets one browser see details on the page: `?token=…`.
    pub token: String,
    /// The service that runs it, where the service manager does.
    pub unit: Option<String>,
}

impl Launch {
    /// Begins it as job `id`, and returns when it has taken the lock and shows its status. `in_service`: it would
    /// end together with the service that this process belongs to.
    pub fn run(self, place: &Place, id: &str, in_service: bool) -> Result<Launched> {
        let verb = self.verb.word();
        let unit = in_service.then(|| format!("obbackup-{verb}-{id}"));
        let mut watched = match &unit {
            Some(unit) => {
                self.by_service_manager(place, id, unit)?;
                None
            }
            None => Some(self.by_itself()?),
        };
        let begun = Instant::now();
        while place.status(id)?.is_none() {
            if let Some(watched) = &mut watched {
                watched.check()?;
            }
            if begun.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                let see = unit.as_ref().map_or_else(
                    || "Try it without --detach, to see why.".to_owned(),
                    |unit| format!("See `journalctl -u {unit}` for the reason."),
                );
                return Err(Error::new(
                    ErrorKind::Failure,
                    format!("the {verb} showed no sign of life within {seconds} seconds"),
                )
                .hint(see));
            }
            thread::sleep(INTERVAL);
        }
        Ok(Launched {
            job: id.to_owned(),
            status_file: place.status_path(id),
            log_file: place.log_path(id),
            token: place.token(id)?.expose().to_owned(),
            unit,
        })
    }

    /// The program makes itself the leader of a session of its own, first of all.
    fn by_itself(self) -> Result<Watched> {
        let failed = || format!("cannot run `{}`", self.program.display());
        let said = tempfile::tempfile().io_context(failed)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().io_context(failed)?)
            .spawn()
            .io_context(failed)?;
        Ok(Watched {
            verb: self.verb,
            child,
            said,
        })
    }

    fn by_service_manager(self, place: &Place, id: &str, unit: &str) -> Result<()> {
        // On a command line or in a unit's properties everybody could read them. Of type `exec`, a service that
        // was started has read them; one that was not needs them no more.
        place.make()?;
        let variables = Variables(place.environment_path(id));
        write_private(
            &variables.0,
            environment_file(&self.environment).as_bytes(),
            place.owner(),
        )?;
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let output = Command::new("systemd-run")
            .args(service_words(&self, unit, &variables.0, uid, gid))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .io_context(|| "cannot run systemd-run".to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(
            ErrorKind::Denied,
            format!(
                "systemd does not run the {} as a service: {}",
                self.verb.word(),
                said.trim()
            ),
        )
        .hint(
            "This process ends together with Tomcat's service. Run the command as root from a shell, or let this \
             user manage units by a polkit rule.",
        ))
    }
}

/// The file with a service's variables, for as long as that may need it.
struct Variables(PathBuf);

impl Drop for Variables {
    fn drop(&mut self) {
        // Should it stay, the job removes it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn service_words(
    launch: &Launch,
    unit: &str,
    variables: &Path,
    uid: u32,
    gid: u32,
) -> Vec<OsString> {
    let text = |words: String| OsString::from(words);
    let mut words = vec![
        text(format!("--unit={unit}")),
        "--collect".into(),
        "--quiet".into(),
        "--no-ask-password".into(),
        "--property=Type=exec".into(),
        text(format!("--uid={uid}")),
        text(format!("--gid={gid}")),
    ];
    for (name, value) in [
        ("--working-directory=", launch.directory.as_os_str()),
        ("--property=EnvironmentFile=", variables.as_os_str()),
    ] {
        let mut word = OsString::from(name);
        word.push(value);
        words.push(word);
    }
    words.push("--".into());
    words.push(launch.program.clone().into_os_string());
    words.extend(launch.arguments.iter().cloned());
    words
}

/// As `EnvironmentFile=` reads it. What is no text, or has more than one line, cannot be written there.
fn environment_file(environment: &[(OsString, OsString)]) -> String {
    let mut text = String::new();
    for (name, value) in environment {
        let plain = |word: &OsStr| {
            std::str::from_utf8(word.as_bytes())
                .ok()
                .filter(|word| !word.contains('\n'))
                .map(str::to_owned)
        };
        if let (Some(name), Some(value)) = (plain(name), plain(value)) {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('$', "\\$")
                .replace('`', "\\`");
            // Into a string nothing fails.
            let _ = writeln!(text, "{name}=\"{value}\"");
        }
    }
    text
}

/// A process of one's own, until its job has begun.
struct Watched {
    verb: Verb,
    child: Child,
    said: std::fs::File,
}

impl Watched {
    /// An error, with what the process said, where it has ended already.
    fn check(&mut self) -> Result<()> {
        let verb = self.verb.word();
        let failed = || format!("cannot look after the {verb}");
        let Some(status) = self.child.try_wait().io_context(failed)? else {
            return Ok(());
        };
        let mut said = String::new();
        self.said.seek(SeekFrom::Start(0)).io_context(failed)?;
        self.said.read_to_string(&mut said).io_context(failed)?;
        if let Some(error) = Error::reported(&said) {
            return Err(error.context(format!("the {verb} did not begin")));
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let kind = code.and_then(ErrorKind::of_exit_code);
        Err(Error::new(
            kind.unwrap_or(ErrorKind::Failure),
            format!("the {verb} did not begin ({status}): {}", said.trim()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_written_as_systemd_reads_them() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let text = environment_file(&[
            pair("PATH", "/usr/bin:/bin"),
            pair("PGPASSWORD", "a\"b\\c$d`e f"),
            pair("BASH_FUNC_x%%", "() {\n}"),
        ]);
        assert_eq!(
            text,
            "PATH=\"/usr/bin:/bin\"\nPGPASSWORD=\"a\\\"b\\\\c\\$d\\`e f\"\n"
        );
    }

    #[test]
    fn a_service_gets_no_secret_on_its_command_line() {
        let launch = Launch {
            verb: Verb::Restore,
            program: "/usr/local/bin/obbackup".into(),
            arguments: vec!["restore".into(), "latest".into()],
            environment: vec![("PGPASSWORD".into(), "hush".into())],
            directory: "/opt/openbravo".into(),
        };
        let words = service_words(&launch, "obbackup-restore-1", Path::new("/x/env"), 7, 8);
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        assert!(words.iter().all(|word| !word.contains("hush")), "{words:?}");
        assert!(words.contains(&"--unit=obbackup-restore-1"));
        assert!(words.contains(&"--property=EnvironmentFile=/x/env"));
        assert!(words.contains(&"--working-directory=/opt/openbravo"));
        assert_eq!(
            words[words.len() - 4..],
            ["--", "/usr/local/bin/obbackup", "restore", "latest"]
        );
    }

    #[test]
    fn one_that_ends_before_it_begins_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let owner = crate::config::Owner::of(directory.path()).unwrap();
        let place = Place::at(directory.path(), owner);
        let launch = Launch {
            verb: Verb::Restore,
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "echo locked by x >&2; exit 11".into()],
            environment: Vec::new(),
            directory: "/".into(),
        };
        let told = Launch {
            arguments: vec![
                "-c".into(),
                r#"echo '{"error":{"kind":"NO_SPACE","message":"full","hint":"Make room."}}' >&2; exit 1"#.into(),
            ],
            ..launch.clone()
        };
        let error = launch.run(&place, "1", false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("locked by x"), "{error:?}");
        let error = told.run(&place, "2", false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert_eq!(error.to_string(), "the restore did not begin: full");
        assert_eq!(error.hint_text(), Some("Make room."));
    }
}
