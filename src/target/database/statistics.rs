//! The planner's statistics, without which the application's first hour would be its slowest.
//!
//! Full ones take as long as a fifth of the load. So where autovacuum runs, each table gets those of a
//! small sample in the transaction that loads it: good enough to plan with, and because the rows count as
//! changed only when that transaction commits, autovacuum finds the table due and gathers the full ones
//! within minutes, by itself and throttled.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use super::DatabaseTarget;
use super::plan::DatabasePlan;
use crate::error::{ErrorKind, Result};
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;
use crate::postgresql::watch::{Watch, locked};

/// The planner's `default_statistics_target` of a first sample: a tenth of PostgreSQL's own.
const SAMPLE_TARGET: u64 = 10;
/// PostgreSQL reads so many rows for each unit of the target. Of a table with less all are read anyway.
const ROWS_PER_TARGET: u64 = 300;

/// Within the transaction that loads the table: a small sample of it. False where it has none now.
pub(super) fn analyze_in_passing(
    session: &mut Session,
    table: &str,
    rows: u64,
    watch: &Watch<'_>,
) -> Result<bool> {
    let what = format!("cannot gather the statistics of {table}");
    let sample = if rows > SAMPLE_TARGET * ROWS_PER_TARGET {
        format!("SET LOCAL default_statistics_target = {SAMPLE_TARGET};")
    } else {
        String::new()
    };
    // It must not cost the rows that are loaded.
    match session.run(
        &what,
        &format!("SAVEPOINT loaded; {sample} ANALYZE {table}"),
    ) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Failure => {
            watch.check()?;
            session.run(&what, "ROLLBACK TO SAVEPOINT loaded")?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Analyzes every table over several connections, the largest first.
///
/// Those of `done` have what they need until autovacuum comes, which also sees to indexes on expressions
/// (a function called for each row of the sample: measured, 8 % of a restore for one index); they are
/// looked at again only where it will not come.
pub(super) fn gather(
    target: &DatabaseTarget,
    plan: &DatabasePlan,
    done: &HashSet<String>,
    watch: &Watch<'_>,
) -> Result<()> {
    let mut session = target.session(plan.as_system)?;
    let rows = session
        .client
        .query(
            // ANALYZE reads the children too, and those on foreign servers are none of our business.
            "WITH RECURSIVE over_foreign(oid) AS (
                SELECT i.inhparent FROM pg_catalog.pg_inherits i
                JOIN pg_catalog.pg_class f ON f.oid = i.inhrelid AND f.relkind = 'f'
                UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i
                JOIN over_foreign o ON o.oid = i.inhrelid)
            SELECT n.nspname::text, c.relname::text,
                EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions)
                    WHERE option_name = 'autovacuum_enabled' AND NOT option_value::bool)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE (c.relkind IN ('m', 'p')
                    OR c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) > 0)
                AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
                AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
                AND c.oid NOT IN (SELECT oid FROM over_foreign)
            ORDER BY pg_catalog.pg_relation_size(c.oid) DESC, c.oid",
            &[],
        )
        .map_err(|error| database_error("cannot list the tables", error))?;
    drop(session);
    let mut queue = VecDeque::new();
    for row in &rows {
        let (schema, table): (String, String) = (get(row, 0)?, get(row, 1)?);
        let table = quote::qualified(&schema, &table);
        let is_left_alone: bool = get(row, 2)?;
        if is_left_alone || !done.contains(&table) {
            queue.push_back(table);
        }
    }
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..target.options.jobs.max(1) {
            scope.spawn(|| {
                if let Err(error) = work(target, plan, watch, &queue) {
                    watch.fail(error);
                }
            });
        }
    });
    watch.check()
}

fn work(
    target: &DatabaseTarget,
    plan: &DatabasePlan,
    watch: &Watch<'_>,
    queue: &Mutex<VecDeque<String>>,
) -> Result<()> {
    let mut session = target.session(plan.as_system)?;
    watch.connection(&session.client);
    loop {
        watch.check()?;
        let table = locked(queue).pop_front();
        let Some(table) = table else {
            return Ok(());
        };
        analyze(&mut session, &table, watch)?;
    }
}

/// Analyzes one table. That it cannot be done is a warning: autovacuum will meet the same, and the data is
/// there.
pub(super) fn analyze(session: &mut Session, table: &str, watch: &Watch<'_>) -> Result<()> {
    let what = format!("cannot gather the statistics of {table}");
    match session.run(&what, &format!("ANALYZE {table}")) {
        Err(error) if error.kind() == ErrorKind::Failure => {
            watch.check()?;
            watch.progress().warn(&error.message());
            Ok(())
        }
        other => other,
    }
}
