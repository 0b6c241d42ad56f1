//! The scratch database and directory of a drill, and what killed ones left.
//!
//! Both have names that nothing else has. A drill holds a lock on each as long as it lives: the operating
//! system's on the directory, an advisory one of the server on the database's name. A lock goes with its
//! process, however that ends; so what is not locked was left, and the next drill removes it.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::command::database::Connection;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::id::random_id;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::target::database::standing;

const DATABASE_PREFIX: &str = "obbackup_drill_";
const DIRECTORY_PREFIX: &str = "obbackup-drill-";
/// Bytes of chance in a name.
const TOKEN_BYTES: usize = 8;

/// What one drill calls its scratch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names(String);

impl Names {
    pub(super) fn new() -> Result<Self> {
        random_id(TOKEN_BYTES).map(Self)
    }

    pub(super) fn database(&self) -> String {
        format!("{DATABASE_PREFIX}{}", self.0)
    }

    pub(super) fn directory(&self, place: &Path) -> PathBuf {
        place.join(format!("{DIRECTORY_PREFIX}{}", self.0))
    }
}

fn is_scratch(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|token| {
        token.len() == 2 * TOKEN_BYTES
            && token
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The scratch of a drill that is under way.
pub(super) struct Scratch {
    directory: PathBuf,
    /// Locked as long as it is open.
    _held: File,
    database: Option<Claim>,
}

/// A database's name that no other drill takes for a leftover.
struct Claim {
    name: String,
    session: Session,
}

impl Scratch {
    /// Makes the directory and claims the database's name; the database itself is made by the restore.
    pub(super) fn make(
        names: &Names,
        place: &Path,
        connection: Option<&Connection>,
    ) -> Result<Self> {
        let database = connection
            .map(|connection| {
                let name = names.database();
                let mut session = connection.administrator()?;
                if claim(&mut session, &name)? {
                    Ok(Claim { name, session })
                } else {
                    Err(taken(&name))
                }
            })
            .transpose()?;
        let directory = names.directory(place);
        let context = || format!("cannot make the directory `{}`", directory.display());
        // Closed to others: passwords will lie in it.
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .io_context(context)?;
        let held = File::open(&directory).io_context(context)?;
        // Between the two another drill may have taken it for a leftover; it is then gone, or locked.
        if held.try_lock().is_err() || !directory.is_dir() {
            return Err(taken(&directory.display().to_string()));
        }
        Ok(Self {
            directory,
            _held: held,
            database,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Removes everything; what could not be removed, each with the reason.
    pub(super) fn remove(self) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(Claim { name, mut session }) = self.database {
            let dropped = standing::drop(&mut session, &name);
            left.extend(dropped.err().map(|error| error.to_string()));
        }
        // Before the lock is given back by dropping `held`.
        let removed = std::fs::remove_dir_all(&self.directory)
            .io_context(|| format!("cannot remove `{}`", self.directory.display()));
        left.extend(removed.err().map(|error| error.to_string()));
        left
    }
}

fn taken(what: &str) -> Error {
    Error::new(
        ErrorKind::Transient,
        format!("another drill has just cleared `{what}` away"),
    )
    .hint("Run the command again.")
}

const WHAT: &str = "cannot look for what earlier drills left";

/// Takes the server's lock on a name for as long as the session lasts.
fn claim(session: &mut Session, name: &str) -> Result<bool> {
    let row = session
        .client
        .query_one(
            "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))",
            &[&name],
        )
        .map_err(|error| database_error(WHAT, error))?;
    get(&row, 0)
}

/// Removes what killed drills left on the server and in `places`; the names of what was removed.
pub(super) fn sweep(connection: Option<&Connection>, places: &[PathBuf]) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    if let Some(connection) = connection {
        let mut session = connection.administrator()?;
        let rows = session
            .client
            .query(
                "SELECT datname::text FROM pg_catalog.pg_database WHERE pg_catalog.starts_with(datname, $1)",
                &[&DATABASE_PREFIX],
            )
            .map_err(|error| database_error(WHAT, error))?;
        for row in rows {
            let name: String = get(&row, 0)?;
            // One of another role stays: it cannot be ours.
            if is_scratch(&name, DATABASE_PREFIX)
                && claim(&mut session, &name)?
                && standing::drop(&mut session, &name).is_ok()
            {
                removed.push(format!("database `{name}`"));
            }
        }
    }
    for place in places {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let is_ours = is_scratch(&entry.file_name().to_string_lossy(), DIRECTORY_PREFIX);
            if is_ours && remove_left(&entry.path()) {
                removed.push(format!("`{}`", entry.path().display()));
            }
        }
    }
    Ok(removed)
}

/// Removes a directory that this user made and no process holds.
fn remove_left(path: &Path) -> bool {
    let own = path.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw()
    });
    if !own {
        return false;
    }
    // Never through a link that somebody put there since.
    let opened = File::options()
        .read(true)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(path);
    match opened.map(|held| (held.try_lock(), held)) {
        Ok((Ok(()), _held)) => std::fs::remove_dir_all(path).is_ok(),
        Ok((Err(TryLockError::WouldBlock | TryLockError::Error(_)), _)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_drills_are_taken_for_leftovers() {
        let names = Names::new().unwrap();
        assert!(is_scratch(&names.database(), DATABASE_PREFIX));
        for name in [
            "obbackup_drill_",
            "obbackup_drill_0123456789abcde",
            "obbackup_drill_0123456789abcdeX",
            "obbackup_drill_0123456789abcdef0",
            "openbravo",
        ] {
            assert!(!is_scratch(name, DATABASE_PREFIX), "{name}");
        }
    }

    #[test]
    fn a_directory_is_removed_by_the_next_drill_only_when_nobody_holds_it() {
        let place = tempfile::tempdir().unwrap();
        let places = [place.path().to_owned()];
        let living = Scratch::make(&Names::new().unwrap(), place.path(), None).unwrap();
        let left = Names::new().unwrap().directory(place.path());
        std::fs::create_dir_all(left.join("sources/x")).unwrap();
        std::fs::create_dir(place.path().join("obbackup-drill-of-mine")).unwrap();
        let removed = sweep(None, &places).unwrap();
        assert_eq!(removed, [format!("`{}`", left.display())]);
        assert!(living.directory().is_dir());
        assert_eq!(living.remove(), Vec::<String>::new());
        let rest: Vec<_> = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(rest, ["obbackup-drill-of-mine"]);
    }
}
