//! Autovacuum, kept away from the large tables until their indexes and constraints are there.
//!
//! It finds each of them due as soon as its rows are committed. Then it reads beside the restore what that is about to
//! read, and a `CREATE INDEX` on its table waits a second before the server breaks it off. Measured: up to a tenth
//! of a restore, whenever it came by.

use std::collections::HashSet;

use super::DatabaseTarget;
use super::plan::DatabasePlan;
use crate::error::Result;
use crate::postgresql::Session;
use crate::postgresql::client::database_error;

const OPTION: &str = "autovacuum_enabled";

/// Whether the server looks after changed tables, their statistics among the rest.
pub(super) fn is_on(session: &mut Session) -> Result<bool> {
    let on = session.value(
        "cannot read a setting",
        "SELECT 1::text WHERE current_setting('autovacuum')::bool AND current_setting('track_counts')::bool",
    )?;
    Ok(on.is_some())
}

/// Within the transaction that loads the table. False where the table has a setting of its own, which stays.
pub(super) fn keep_away(session: &mut Session, table: &str, what: &str) -> Result<bool> {
    let own = session
        .client
        .query_opt(
            "SELECT FROM pg_catalog.pg_class c, pg_catalog.pg_options_to_table(c.reloptions)
            WHERE c.oid = $1::text::pg_catalog.regclass AND option_name = $2",
            &[&table, &OPTION],
        )
        .map_err(|error| database_error(what, error))?;
    if own.is_some() {
        return Ok(false);
    }
    session.run(what, &format!("ALTER TABLE {table} SET ({OPTION} = false)"))?;
    Ok(true)
}

/// Lets it come to these tables, quoted, again.
pub(super) fn let_in(
    target: &DatabaseTarget,
    plan: &DatabasePlan,
    tables: &HashSet<String>,
) -> Result<()> {
    let mut session = target.session(plan.as_system)?;
    for table in tables {
        let sql = format!("ALTER TABLE {table} RESET ({OPTION})");
        session.run("cannot let autovacuum in again", &sql)?;
    }
    Ok(())
}
