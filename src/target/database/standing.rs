//! Databases among each other: which there are under which names, who may connect, and changing their names.
//!
//! Everything here is asked of a session in another database, and waits until it is done: a statement that
//! is refused because somebody is still connected is tried again.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote::name;

/// How long others are given to be gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server sees a little later than its client that this is gone.
const LEAVING: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// A database as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its number, which stays when its name changes.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Whether it takes connections.
    pub is_open: bool,
}

/// The database of this name.
pub fn find(session: &mut Session, database: &str) -> Result<Option<Standing>> {
    standing(session, "datname = $1", &database)
}

/// The database with this number, whatever it is called.
pub fn find_number(session: &mut Session, oid: u32) -> Result<Option<Standing>> {
    standing(session, "oid = $1", &oid)
}

fn standing(
    session: &mut Session,
    condition: &str,
    value: &(dyn postgres::types::ToSql + Sync),
) -> Result<Option<Standing>> {
    let row = session
        .client
        .query_opt(
            &format!(
                "SELECT oid, datname::text, datallowconn FROM pg_catalog.pg_database WHERE {condition}"
            ),
            &[value],
        )
        .map_err(|error| database_error("cannot look for the database", error))?;
    row.map(|row| {
        Ok(Standing {
            oid: get(&row, 0)?,
            name: get(&row, 1)?,
            is_open: get(&row, 2)?,
        })
    })
    .transpose()
}

/// Lets people connect, or nobody, superusers included.
pub fn set_open(session: &mut Session, database: &str, open: bool) -> Result<()> {
    let what = if open { "open" } else { "close" };
    durable(
        session,
        &format!("cannot {what} database `{database}`"),
        &format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open}", name(database)),
    )
}

/// Somebody who is connected to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    pid: i32,
    role: String,
    /// What the program calls itself; often nothing.
    pub program: String,
    /// Whether the role is a superuser.
    pub is_superuser: bool,
    /// Whether the role that asks may end sessions of this one, unless it is a superuser's.
    pub may_be_ended: bool,
}

impl Connected {
    /// The role and the program, for people.
    pub fn name(&self) -> String {
        if self.program.is_empty() {
            self.role.clone()
        } else {
            format!("{} `{}`", self.role, self.program)
        }
    }
}

/// Who is connected to a database, but for autovacuum, which gives way by itself.
pub fn connected(session: &mut Session, database: &str) -> Result<Vec<Connected>> {
    let rows = session
        .client
        .query(
            "SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), \
             coalesce(r.rolsuper, true), coalesce(pg_catalog.pg_has_role(a.usesysid, 'MEMBER'), false) \
                OR pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER') \
             FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid \
             WHERE a.datname = $1 AND a.pid <> pg_catalog.pg_backend_pid() \
             AND coalesce(a.backend_type, '') NOT LIKE 'autovacuum%'",
            &[&database],
        )
        .map_err(|error| database_error("cannot look for connections", error))?;
    rows.iter()
        .map(|row| {
            Ok(Connected {
                pid: get(row, 0)?,
                role: get(row, 1)?,
                program: get(row, 2)?,
                is_superuser: get(row, 3)?,
                may_be_ended: get(row, 4)?,
            })
        })
        .collect()
}

/// Who is connected to a database and stays, after a moment for those who are just leaving.
pub fn staying(session: &mut Session, database: &str) -> Result<Vec<Connected>> {
    let deadline = Instant::now() + LEAVING;
    loop {
        let connected = connected(session, database)?;
        if connected.is_empty() || Instant::now() > deadline {
            return Ok(connected);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Ends every session in a database that takes no new ones, and waits until the last is gone.
pub fn end_sessions(session: &mut Session, database: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connected = connected(session, database)?;
        if connected.is_empty() {
            return Ok(());
        }
        // One by one: a single session that may not be ended must not keep the others.
        let mut refusal = None;
        for one in &connected {
            let ended = session
                .client
                .query("SELECT pg_catalog.pg_terminate_backend($1)", &[&one.pid]);
            refusal = refusal.or(ended.err());
        }
        if Instant::now() > deadline {
            let mut who: Vec<String> = connected
                .iter()
                .map(|one| format!("{} (process {})", one.name(), one.pid))
                .collect();
            who.dedup();
            let error = Error::new(
                ErrorKind::Locked,
                format!(
                    "somebody stays connected to database `{database}`: {}",
                    who.join(", ")
                ),
            )
            .hint("End these sessions, then try again.");
            return Err(match refusal {
                Some(refusal) => error.source(refusal),
                None => error,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Gives a database another name. Nobody may be connected; who is just leaving is waited for.
pub fn rename(session: &mut Session, from: &str, to: &str) -> Result<()> {
    patiently(session, |session| {
        durable(
            session,
            &format!("cannot rename database `{from}` to `{to}`"),
            &format!("ALTER DATABASE {} RENAME TO {}", name(from), name(to)),
        )
    })
}

/// Removes a database that nobody needs, where it is there.
pub fn drop(session: &mut Session, database: &str) -> Result<()> {
    if find(session, database)?.is_none() {
        return Ok(());
    }
    let what = format!("cannot drop database `{database}`");
    // A template cannot be dropped.
    let sql = format!("ALTER DATABASE {} IS_TEMPLATE false", name(database));
    session.run(&what, &sql)?;
    set_open(session, database, false)?;
    end_sessions(session, database)?;
    patiently(session, |session| {
        durable(
            session,
            &what,
            &format!("DROP DATABASE IF EXISTS {}", name(database)),
        )
    })
}

/// Waits for the disk, whatever the role's settings say.
fn durable(session: &mut Session, what: &str, sql: &str) -> Result<()> {
    session.run(what, "SET synchronous_commit = on")?;
    session.run(what, sql)
}

fn patiently(
    session: &mut Session,
    mut work: impl FnMut(&mut Session) -> Result<()>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match work(session) {
            Err(error) if error.kind() == ErrorKind::Transient && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}
