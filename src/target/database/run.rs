//! Creating and filling the new database.

use std::time::Duration;

use super::ddl::Definitions;
use super::plan::DatabasePlan;
use super::{DatabaseTarget, autovacuum, large_objects, named_operators, rows, state, statistics};
use crate::chunk::ChunkSource;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::DatabasePart;
use crate::postgresql::Session;
use crate::postgresql::client::connect;
use crate::postgresql::quote::{literal, name};
use crate::postgresql::watch::Watch;
use crate::progress::Progress;

/// Sessions that were just ended take a moment to be gone.
const DROP_ATTEMPTS: u32 = 50;
const DROP_PAUSE: Duration = Duration::from_millis(100);

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredDatabase {
    /// The new database.
    pub database: String,
    /// Rows loaded: as many as the backup names, table by table.
    pub rows: u64,
    /// What `ad_db_modified('N')` answers there; as at backup, unless another version of PostgreSQL
    /// writes definitions differently.
    pub db_modified: Option<String>,
}

impl DatabaseTarget {
    /// Creates the database that `plan` names and fills it with `part`.
    ///
    /// On any error, and when asked to stop, the new database is dropped again.
    pub fn run<S: ChunkSource + ?Sized>(
        &self,
        plan: &DatabasePlan,
        part: &DatabasePart,
        source: &S,
        progress: &dyn Progress,
    ) -> Result<RestoredDatabase> {
        plan.check()?;
        progress.check()?;
        progress.stage("database", Some(plan.bytes));
        let mut maintenance = self.maintenance(plan.as_system)?;
        let [create, comment] = state::create_sql(plan);
        let what = format!("cannot create database `{}`", plan.database);
        maintenance.run(&what, &create)?;
        let result = maintenance
            .run(&what, &comment)
            .and_then(|()| Watch::over(progress, |watch| self.fill(plan, part, source, watch)))
            .and_then(|rows| {
                state::apply(&mut maintenance, plan)?;
                Ok(RestoredDatabase {
                    database: plan.database.clone(),
                    rows,
                    db_modified: self.db_modified(),
                })
            });
        result.map_err(|error| self.leave_nothing(plan, maintenance, error))
    }

    fn fill<S: ChunkSource + ?Sized>(
        &self,
        plan: &DatabasePlan,
        part: &DatabasePart,
        source: &S,
        watch: &Watch<'_>,
    ) -> Result<u64> {
        let definitions = Definitions::write(self, plan)?;
        definitions.restore(self, plan, "pre-data", 1, watch)?;
        if plan.as_system {
            named_operators::give_to_owners(self, plan)?;
        }
        let loaded = rows::Contents::read(part, source)?.load(self, plan, source, watch)?;
        large_objects::load(self, plan, part, source, watch)?;
        watch.progress().stage("indexes and constraints", None);
        let jobs = self.options.jobs.max(1);
        definitions.restore(self, plan, "post-data", jobs, watch)?;
        autovacuum::let_in(self, plan, &loaded.kept_away)?;
        watch.progress().stage("statistics", None);
        statistics::gather(self, plan, &loaded.analyzed, watch)?;
        Ok(loaded.rows)
    }

    /// As the application would ask, in a transaction that writes nothing.
    fn db_modified(&self) -> Option<String> {
        let mut client = connect(&self.address).ok()?;
        let mut transaction = client.build_transaction().read_only(true).start().ok()?;
        let row = transaction
            .query_one(
                "SELECT CASE WHEN pg_catalog.to_regproc('ad_db_modified') IS NOT NULL THEN 1 END",
                &[],
            )
            .ok()?;
        row.try_get::<_, Option<i32>>(0).ok()??;
        let row = transaction
            .query_one("SELECT ad_db_modified('N')::text", &[])
            .ok()?;
        row.try_get(0).ok()?
    }

    /// Drops the database that a run has made, because of `error`, which is what comes back.
    pub fn discard(&self, plan: &DatabasePlan, error: Error) -> Error {
        match self.maintenance(plan.as_system) {
            Ok(maintenance) => self.leave_nothing(plan, maintenance, error),
            Err(_) => error,
        }
    }

    fn leave_nothing(&self, plan: &DatabasePlan, maintenance: Session, error: Error) -> Error {
        // The connection may be what failed.
        drop(maintenance);
        let dropped = self
            .maintenance(plan.as_system)
            .and_then(|mut session| drop_database(&mut session, &plan.database));
        match dropped {
            Ok(()) => error,
            Err(reason) => {
                let kind = match error.kind() {
                    ErrorKind::Cancelled => ErrorKind::Cancelled,
                    _ => ErrorKind::ActionNeeded,
                };
                Error::new(
                    kind,
                    format!(
                        "{error}; and the unfinished database `{}` could not be dropped: {reason}",
                        plan.database
                    ),
                )
                .hint(format!("Run: DROP DATABASE {}", name(&plan.database)))
            }
        }
    }
}

/// Drops a database that nobody but ourselves can be connected to.
fn drop_database(session: &mut Session, database: &str) -> Result<()> {
    let what = format!("cannot drop database `{database}`");
    // A template cannot be dropped.
    let sql = format!("DROP DATABASE IF EXISTS {}", name(database));
    session.run(
        &what,
        &format!("ALTER DATABASE {} IS_TEMPLATE false", name(database)),
    )?;
    let end_sessions = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE datname = {} AND pid <> pg_catalog.pg_backend_pid()",
        literal(database)
    );
    let mut attempt = 0;
    loop {
        attempt += 1;
        session.run(&what, &end_sessions)?;
        match session.run(&what, &sql) {
            Err(error) if error.kind() == ErrorKind::Transient && attempt < DROP_ATTEMPTS => {
                std::thread::sleep(DROP_PAUSE);
            }
            other => return other,
        }
    }
}
