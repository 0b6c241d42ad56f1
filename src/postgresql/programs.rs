//! Finding the `pg_dump` and `pg_restore` that fit a server.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use once_cell::sync::OnceCell;

use super::client::version_text;
use crate::error::{Error, ErrorKind, Result};

/// Where packages put the programs of each major version: Debian, Red Hat.
const VERSIONED: &[(&str, &str)] = &[("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];
/// Debian's program that stands under the name of every client and chooses another by itself.
const WRAPPER: &str = "pg_wrapper";

/// What is done to every command before it is started; nothing, unless set.
static PREPARE: OnceCell<fn(&mut Command)> = OnceCell::new();

/// Lets `prepare` see every command before it is started, in a process that has more than this crate in
/// it. The first one that is set stays.
pub fn prepare_with(prepare: fn(&mut Command)) {
    let _ = PREPARE.set(prepare);
}

/// A command for a client program, prepared.
pub(super) fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    if let Some(prepare) = PREPARE.get() {
        prepare(&mut command);
    }
    command
}

/// Directories that may hold PostgreSQL's client programs.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    directories: Vec<PathBuf>,
    only_these: bool,
}

/// A client program and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// `pg_dump` or `pg_restore`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its version like `server_version_num`.
    pub version: u32,
}

impl Program {
    /// The major version.
    pub fn major(&self) -> u32 {
        self.version / 10_000
    }
}

impl Programs {
    /// Looks into `directories` first (those that the user set, then those of `PATH`), then where
    /// packages put the programs.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            only_these: false,
        }
    }

    /// Looks into `directories` and nowhere else.
    pub fn only(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            only_these: true,
        }
    }

    /// The `pg_dump` for a server: of the same major version, else the next newer one.
    pub fn pg_dump(&self, server_version: u32) -> Result<Program> {
        let major = server_version / 10_000;
        self.choose("pg_dump", major, major)
            .map_err(|error| error.context(format!("the server is PostgreSQL {major}")))
    }

    /// The `pg_restore` for an archive that the client `archive_version` wrote: of the server's major
    /// version if it can read the archive, else the next newer one.
    pub fn pg_restore(&self, archive_version: u32, server_version: u32) -> Result<Program> {
        let oldest = archive_version / 10_000;
        self.choose("pg_restore", oldest, oldest.max(server_version / 10_000))
            .map_err(|error| {
                error.context(format!(
                    "the backup was made with pg_dump {}",
                    version_text(archive_version)
                ))
            })
    }

    fn choose(&self, name: &str, oldest: u32, wanted: u32) -> Result<Program> {
        let found = self.find(name);
        let newest_seen = found.iter().map(|program| program.version).max();
        let nearest = |from: u32| {
            found
                .iter()
                .filter(|program| program.major() >= from)
                .min_by_key(|program| program.major())
        };
        if let Some(program) = nearest(wanted).or_else(|| nearest(oldest)) {
            return Ok(program.clone());
        }
        Err(match newest_seen {
            Some(version) => Error::new(
                ErrorKind::Incompatible,
                format!("{name} {} is too old for it", version_text(version)),
            ),
            None => Error::new(ErrorKind::Incompatible, format!("there is no {name}")),
        }
        .hint(format!(
            "Install PostgreSQL's client programs of version {wanted} or newer \
             (postgresql-client-{wanted}), or set the directory that holds them."
        )))
    }

    /// Every program of that name, each once, in the order of the directories.
    fn find(&self, name: &str) -> Vec<Program> {
        let mut seen = HashSet::new();
        let mut directories = self.directories.clone();
        if !self.only_these {
            directories.extend(versioned_directories());
        }
        let mut found = Vec::new();
        for directory in directories {
            let Ok(path) = directory.join(name).canonicalize() else {
                continue;
            };
            let is_wrapper = path.file_name().is_some_and(|file| file == WRAPPER);
            if is_wrapper || !seen.insert(path.clone()) {
                continue;
            }
            // By the name we looked for: a program may choose what it does by it.
            let path = directory.join(name);
            if let Some(version) = version_of(&path) {
                found.push(Program {
                    name: name.to_owned(),
                    path,
                    version,
                });
            }
        }
        found
    }
}

fn versioned_directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for (parent, prefix) in VERSIONED {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            let version = entry.file_name();
            let digits = version
                .to_str()
                .and_then(|version| version.strip_prefix(prefix));
            if digits.is_some_and(|digits| digits.parse::<u32>().is_ok()) {
                directories.push(entry.path().join("bin"));
            }
        }
    }
    directories.sort();
    directories
}

fn version_of(path: &Path) -> Option<u32> {
    let output = command(path)
        .arg("--version")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 150018.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let mut parts = number
        .split(|character: char| !character.is_ascii_digit())
        .map(|digits| digits.parse::<u32>().unwrap_or(0));
    let major = parts.next().filter(|major| (10..1000).contains(major))?;
    // In `19beta1` the second number is no minor version.
    let minor = if number
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .starts_with('.')
    {
        parts.next().filter(|minor| *minor < 10_000).unwrap_or(0)
    } else {
        0
    };
    Some(major * 10_000 + minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn fake(directory: &Path, version: &str) -> PathBuf {
        let bin = directory.join(version);
        std::fs::create_dir(&bin).unwrap();
        for name in ["pg_dump", "pg_restore"] {
            let path = bin.join(name);
            let script = format!("#!/bin/sh\necho '{name} (PostgreSQL) {version} (Debian)'\n");
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(
            parse_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0)\n"),
            Some(150_018)
        );
        assert_eq!(
            parse_version("pg_dump (PostgreSQL) 19beta2\n"),
            Some(190_000)
        );
        assert_eq!(parse_version("pg_dump (PostgreSQL) 9.6.3\n"), None);
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn the_same_major_version_is_preferred_then_the_next_newer() {
        let directory = tempfile::tempdir().unwrap();
        let bins = ["14.2", "18.4", "16.1"].map(|version| fake(directory.path(), version));
        let programs = Programs::only(bins.to_vec());
        let dump = |server| programs.pg_dump(server).map(|program| program.version);
        assert_eq!(dump(140_010).unwrap(), 140_002);
        assert_eq!(dump(120_000).unwrap(), 140_002);
        assert_eq!(dump(150_003).unwrap(), 160_001);
        let error = dump(190_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(
            error.message().contains("pg_dump 18.4 is too old"),
            "{error}"
        );
        let restore = |archive, server| programs.pg_restore(archive, server).unwrap().version;
        assert_eq!(restore(140_002, 160_000), 160_001);
        assert_eq!(restore(160_001, 120_000), 160_001);
        assert_eq!(restore(160_001, 190_000), 160_001);
        let none = Programs::only(Vec::new()).pg_dump(150_000).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Incompatible);
    }
}
