//! A new database that a backup is restored into.
//!
//! [`DatabaseTarget::plan`] looks at everything that can stand in the way and changes nothing;
//! [`DatabaseTarget::run`] creates the database and fills it, or leaves nothing behind. No other
//! database is touched.

mod archive;
mod autovacuum;
mod ddl;
mod facts;
mod judge;
mod large_objects;
mod named_operators;
mod neutralize;
mod order;
mod plan;
mod roles;
mod rows;
mod run;
pub mod standing;
mod state;
mod statistics;
mod table_text;

use std::path::PathBuf;

pub use facts::is_superuser;
pub use neutralize::{Change, Neutralized, neutralize};
pub use plan::DatabasePlan;
pub use run::RestoredDatabase;
pub use state::{apply_state, carry_over};
pub use table_text::table_rows;

use crate::chunk::{ChunkReader, ChunkSource};
use crate::error::{Error, ErrorKind, Result};
use crate::format::catalog::{Entries, entries};
use crate::format::database::{DatabaseEntry, DatabaseState};
use crate::format::manifest::Catalog;
use crate::postgresql::{DatabaseAddress, Programs, Session};

/// How a database is to be restored.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Connections that load tables and build indexes.
    pub jobs: usize,
    /// Where `pg_restore` is.
    pub programs: Programs,
    /// Where short-lived private files may lie.
    pub work_directory: PathBuf,
    /// A superuser, for what the application's role cannot create.
    pub system: Option<DatabaseAddress>,
    /// The server's `maintenance_work_mem` for each index that is built.
    pub index_memory_bytes: u64,
    /// Whether roles that are missing here are left out, with what they own going to the application's
    /// role, instead of the restore being refused.
    pub ignore_missing_roles: bool,
    /// The database-level state to give the new database, where it is not to be the backup's: that of
    /// the live database that it will replace. Encoding and locale are the backup's always.
    pub state: Option<DatabaseState>,
}

impl RestoreOptions {
    /// Two connections, 256 MiB for each index, no system role, missing roles refused.
    pub fn new(programs: Programs, work_directory: impl Into<PathBuf>) -> Self {
        Self {
            jobs: 2,
            programs,
            work_directory: work_directory.into(),
            system: None,
            index_memory_bytes: 256 << 20,
            ignore_missing_roles: false,
            state: None,
        }
    }
}

/// A database that does not exist yet.
pub struct DatabaseTarget {
    /// The application's role; the database is the one to create.
    address: DatabaseAddress,
    options: RestoreOptions,
}

/// Databases that every server has and that one can connect to in order to create another.
const MAINTENANCE_DATABASES: [&str; 2] = ["postgres", "template1"];

impl DatabaseTarget {
    /// `address` names the application's role and the database to create.
    pub fn new(address: DatabaseAddress, options: RestoreOptions) -> Self {
        Self { address, options }
    }

    /// Who connects: the system role where it is to be used.
    fn address(&self, as_system: bool) -> DatabaseAddress {
        match &self.options.system {
            Some(system) if as_system => system.with_database(&self.address.database),
            _ => self.address.clone(),
        }
    }

    /// A connection to the new database. What it commits need not reach the disk before the restore's last statement.
    fn session(&self, as_system: bool) -> Result<Session> {
        let mut session = Session::open(&self.address(as_system))?;
        session.run(
            "cannot prepare the connection",
            "SET synchronous_commit = off",
        )?;
        Ok(session)
    }

    /// A connection to another database, from which the new one can be created and dropped.
    fn maintenance(&self, as_system: bool) -> Result<Session> {
        let address = self.address(as_system);
        let mut first = None;
        for database in MAINTENANCE_DATABASES {
            match Session::open(&address.with_database(database)) {
                Ok(session) => return Ok(session),
                // No such database, or no right to connect to this one.
                Err(error) if error.kind() == ErrorKind::Denied => {
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(Error::cancelled))
    }
}

/// The entries of a database catalog.
fn catalog_entries<'s, S: ChunkSource + ?Sized>(
    source: &'s S,
    catalog: &Catalog,
) -> Entries<ChunkReader<'s, S>, DatabaseEntry> {
    entries(ChunkReader::new(source, &catalog.chunks))
}

/// An error for a catalog whose entries are not in the order that they are written in.
fn disordered() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the catalog of the database is not in its order",
    )
}
