//! The database of an instance, read under one snapshot.
//!
//! [`DatabaseSource::open`] fixes what is read: from then on nobody's commits are seen, and nobody can
//! change a table's definition. [`DatabaseSource::capture`] reads it.

mod capture;
mod ddl;
mod large_objects;
mod openbravo;
mod ranges;
mod sequences;
mod state;
mod tables;

use std::path::PathBuf;

pub use openbravo::OpenbravoFacts;
pub use state::read_state;

use crate::error::{Error, ErrorKind, Result};
use crate::format::database::DatabaseState;
use crate::postgresql::{DatabaseAddress, Programs, Session};
use ddl::DdlDump;
use tables::{Locking, SourceSequence, SourceTable};

/// Tables come and go while a busy application runs; more often in a row than this is no accident.
const ATTEMPTS: u32 = 5;

/// How a database is to be read.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// Connections that read tables.
    pub jobs: usize,
    /// Pages of the server (8 KiB) in one range.
    pub pages_per_range: u64,
    /// How long to wait for somebody else's exclusive lock on a table.
    pub lock_timeout_seconds: u32,
    /// Where `pg_dump` is.
    pub programs: Programs,
    /// Where short-lived private files may lie.
    pub work_directory: PathBuf,
    /// A superuser, for what the application's role cannot read.
    pub system: Option<DatabaseAddress>,
}

impl CaptureOptions {
    /// Two connections, ranges of 128 pages, a minute for locks.
    pub fn new(programs: Programs, work_directory: impl Into<PathBuf>) -> Self {
        Self {
            jobs: 2,
            pages_per_range: 128,
            lock_timeout_seconds: 60,
            programs,
            work_directory: work_directory.into(),
            system: None,
        }
    }
}

/// A database under a snapshot that lasts as long as this value.
pub struct DatabaseSource {
    address: DatabaseAddress,
    options: CaptureOptions,
    leader: Session,
    system: Option<Session>,
    snapshot: String,
    tables: Vec<SourceTable>,
    sequences: Vec<SourceSequence>,
    state: DatabaseState,
    ddl: Option<DdlDump>,
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const WHAT: &str = "cannot begin to read the database";

impl DatabaseSource {
    /// Connects, locks every table against changes of its definition, and fixes the snapshot.
    ///
    /// `Unreachable` or `Denied` where there is no way in; `Incompatible` without a fitting `pg_dump`;
    /// `Denied` when there are rows that no given role can read; `Transient` when a lock is not to be
    /// had in time.
    pub fn open(address: &DatabaseAddress, options: &CaptureOptions) -> Result<Self> {
        let mut leader = Session::open(address)?;
        // Before anything is locked: without it there is no backup.
        let program = options.programs.pg_dump(leader.version)?;
        let mut system = None;
        let mut attempt = 0;
        let (snapshot, tables) = loop {
            attempt += 1;
            if let Some(fixed) = fix_snapshot(&mut leader, &mut system, address, options)? {
                break fixed;
            }
            if attempt == ATTEMPTS {
                return Err(Error::new(
                    ErrorKind::Transient,
                    "tables are created and dropped all the time: the list of tables never stood still",
                )
                .hint("Try again when the running update of the database has ended."));
            }
            leader.run(WHAT, "ROLLBACK")?;
            system = None;
        };
        let state = state::read_state(&mut leader.client, leader.version, &address.database)?;
        // `pg_dump` locks the tables too.
        let dump_address = match &options.system {
            Some(system) if tables.iter().any(|table| !table.may_lock) => {
                system.with_database(&address.database)
            }
            _ => address.clone(),
        };
        let ddl = DdlDump::start(
            &program,
            &dump_address,
            &snapshot,
            &state.encoding,
            options.lock_timeout_seconds,
            &options.work_directory,
        )?;
        let sequences = tables::list_sequences(&mut leader)?;
        Ok(Self {
            address: address.clone(),
            options: options.clone(),
            leader,
            system,
            snapshot,
            tables,
            sequences,
            state,
            ddl: Some(ddl),
        })
    }

    /// The server's `server_version_num`.
    pub fn server_version(&self) -> u32 {
        self.leader.version
    }

    /// Tables that will be captured.
    pub fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Bytes of heap and TOAST to read: what progress is counted in.
    pub fn estimated_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.size_bytes).sum()
    }

    /// The database-level state.
    pub fn state(&self) -> &DatabaseState {
        &self.state
    }

    /// What Openbravo's own tables tell.
    pub fn openbravo_facts(&mut self) -> Result<OpenbravoFacts> {
        openbravo::read_facts(&mut self.leader)
    }

    /// Whether the application would find a table of that name.
    pub fn has_table(&mut self, name: &str) -> Result<bool> {
        openbravo::as_application(&mut self.leader, |session| {
            openbravo::has_relation(session, name)
        })
    }

    /// Hands each row of a query to `row`: COPY text in UTF-8 without the line end, for
    /// [`crate::postgresql::copy_text::fields`]. Names are found as the application finds them.
    pub fn stream_query(
        &mut self,
        query: &str,
        row: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        openbravo::as_application(&mut self.leader, |session| {
            session.stream("cannot query the application's tables", query, row)
        })
    }
}

/// A read-only transaction with its locks, its snapshot's name and the tables in it; `None` when the
/// tables changed meanwhile.
///
/// First the locks, then the snapshot: so no TRUNCATE or rewriting ALTER TABLE can fall between the
/// two, whose committed effect even an older snapshot would see.
fn fix_snapshot(
    leader: &mut Session,
    system: &mut Option<Session>,
    address: &DatabaseAddress,
    options: &CaptureOptions,
) -> Result<Option<(String, Vec<SourceTable>)>> {
    let listed = tables::list_tables(leader, false)?;
    let closed: Vec<_> = listed
        .iter()
        .filter(|table| !table.may_read)
        .map(SourceTable::quoted)
        .collect();
    if !closed.is_empty() {
        let Some(system_address) = &options.system else {
            return Err(tables::unreadable(&closed, &address.user));
        };
        let mut session = Session::open(&system_address.with_database(&address.database))?;
        begin(&mut session, options)?;
        let theirs = listed.iter().filter(|table| !table.may_read);
        if let Locking::Changed = tables::lock_tables(&mut session, theirs)? {
            return Ok(None);
        }
        *system = Some(session);
    }
    begin(leader, options)?;
    let mine = listed.iter().filter(|table| table.may_lock);
    if let Locking::Changed = tables::lock_tables(leader, mine)? {
        return Ok(None);
    }
    let snapshot = leader
        .value(WHAT, "SELECT pg_catalog.pg_export_snapshot()")?
        .ok_or_else(|| Error::new(ErrorKind::Failure, WHAT))?;
    if let Some(session) = system {
        import(session, &snapshot)?;
        let theirs = tables::list_tables(session, false)?;
        if let Some(table) = theirs.iter().find(|table| {
            !table.may_read
                && listed
                    .iter()
                    .any(|one| one.oid == table.oid && !one.may_read)
        }) {
            let role = options.system.as_ref().map_or("", |system| &system.user);
            return Err(tables::unreadable(&[table.quoted()], role));
        }
    }
    let seen = tables::list_tables(leader, true)?;
    Ok(tables::same_tables(&listed, &seen).then_some((snapshot, seen)))
}

fn begin(session: &mut Session, options: &CaptureOptions) -> Result<()> {
    session.run(
        WHAT,
        &format!(
            "{BEGIN}; SET LOCAL lock_timeout = '{}s'",
            options.lock_timeout_seconds
        ),
    )
}

/// Makes a transaction that has not read yet see what the leader sees.
fn import(session: &mut Session, snapshot: &str) -> Result<()> {
    session.run(
        "cannot share the snapshot",
        &format!(
            "SET TRANSACTION SNAPSHOT {}",
            crate::postgresql::quote::literal(snapshot)
        ),
    )
}
