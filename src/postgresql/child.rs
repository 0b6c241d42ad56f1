//! A running `pg_dump` or `pg_restore`.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::address::DatabaseAddress;
use super::private_file::PrivateFile;
use super::programs::{self, Program};
use super::quote;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// What of a child's complaints is kept.
const MESSAGES_LIMIT_BYTES: u64 = 1 << 20;
/// How long a child may take to end its own children and its statements on the server.
const GRACE: Duration = Duration::from_secs(3);

/// What the client library reads; none of it may lead a child elsewhere than where it is sent.
const LIBRARY_VARIABLES: &[&str] = &[
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGREALM",
    "PGCLIENTENCODING",
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PG_COLOR",
];

/// A child program that is connected to a database; ended when dropped.
pub struct Child {
    name: String,
    process: std::process::Child,
    group: Option<Pid>,
    messages: Option<JoinHandle<Vec<u8>>>,
    passfile: Option<PrivateFile>,
}

impl Child {
    /// Starts `program` with `arguments` and the connection to `address`.
    ///
    /// `server_options` are added to the address's own. The password goes by a file in
    /// `work_directory` that is gone when the child is.
    pub fn start<A: AsRef<OsStr>>(
        program: &Program,
        arguments: &[A],
        address: &DatabaseAddress,
        server_options: &str,
        work_directory: &Path,
    ) -> Result<Self> {
        let name = program.name.clone();
        let passfile = match address.find_password()? {
            Some(password) => Some(write_passfile(password.expose(), work_directory)?),
            None => None,
        };
        let mut command = programs::command(&program.path);
        for variable in LIBRARY_VARIABLES {
            command.env_remove(variable);
        }
        let options = [address.options.as_deref().unwrap_or(""), server_options].join(" ");
        command
            .args(arguments)
            .arg("--no-password")
            .arg(format!("--dbname={}", connection_string(address)))
            // Messages are looked at by this crate.
            .env("LC_ALL", "C")
            .env("PGOPTIONS", options.trim())
            .env("PGAPPNAME", "obbackup")
            .env("PGCONNECT_TIMEOUT", "15")
            .env(
                "PGPASSFILE",
                passfile
                    .as_ref()
                    .map_or(Path::new("/dev/null"), PrivateFile::path),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for us to act on, in order; and all of a child's
            // children can be ended with it.
            .process_group(0);
        let mut child = command
            .spawn()
            .io_context(|| format!("cannot start `{}`", program.path.display()))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let messages = child.stderr.take().map(|stderr| {
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                let mut stderr = stderr;
                // What cannot be read is not worth failing for; the exit status decides.
                let _ = stderr
                    .by_ref()
                    .take(MESSAGES_LIMIT_BYTES)
                    .read_to_end(&mut kept);
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
                kept
            })
        });
        Ok(Self {
            name,
            process: child,
            group,
            messages,
            passfile,
        })
    }

    /// What it prints; can be taken once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Its process group.
    pub fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Waits for its end: whether it succeeded, and what it said.
    pub fn wait(mut self) -> Result<Ended> {
        drop(self.process.stdout.take());
        let status = self
            .process
            .wait()
            .io_context(|| format!("cannot wait for {}", self.name))?;
        self.group = None;
        let messages = self
            .messages
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        Ok(Ended {
            name: std::mem::take(&mut self.name),
            success: status.success(),
            messages: String::from_utf8_lossy(&messages).trim().to_owned(),
        })
    }

    fn end(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdout.take());
        self.end();
        drop(self.passfile.take());
    }
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// The program's name.
    pub name: String,
    /// Whether its exit status was 0.
    pub success: bool,
    /// What it wrote to its standard error.
    pub messages: String,
}

impl Ended {
    /// The error that its messages tell of.
    pub fn error(&self, what: &str) -> Error {
        let messages = &self.messages;
        let lines: Vec<_> = messages.lines().take(12).collect();
        let said = if lines.is_empty() {
            "it ended without a word".to_owned()
        } else {
            lines.join("; ")
        };
        // Older versions of pg_dump limit the wait for a lock by the time of the statement.
        let is_lock = messages.contains("lock timeout")
            || messages.contains("could not obtain lock")
            || (messages.contains("statement timeout") && messages.contains("LOCK TABLE"));
        let kind = if is_lock {
            ErrorKind::Transient
        } else if messages.contains("permission denied") || messages.contains("must be owner") {
            ErrorKind::Denied
        } else if messages.contains("server version mismatch") {
            ErrorKind::Incompatible
        } else if messages.contains("No space left on device") {
            ErrorKind::NoSpace
        } else if messages.contains("terminating connection")
            || messages.contains("server closed the connection")
        {
            ErrorKind::Unreachable
        } else {
            ErrorKind::Failure
        };
        let error = Error::new(kind, format!("{what}: {}: {said}", self.name));
        if kind == ErrorKind::Transient {
            error.hint("Another session holds a lock on a table: try again when it has ended.")
        } else {
            error
        }
    }

    /// Its warnings, a line each.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.messages
            .lines()
            .filter(|line| line.contains("warning:"))
    }
}

fn connection_string(address: &DatabaseAddress) -> String {
    format!(
        "host={} port={} user={} dbname={}",
        quote::connection_value(&address.host),
        address.port,
        quote::connection_value(&address.user),
        quote::connection_value(&address.database)
    )
}

fn write_passfile(password: &str, directory: &Path) -> Result<PrivateFile> {
    if password.contains('\n') {
        return Err(Error::new(
            ErrorKind::Usage,
            "the database password has a line break, which PostgreSQL's programs do not take",
        ));
    }
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    PrivateFile::write(format!("*:*:*:*:{escaped}\n").as_bytes(), directory)
}
