//! The planner's statistics, without which the application's first hour would be its slowest.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use super::DatabaseTarget;
use super::plan::DatabasePlan;
use crate::error::{ErrorKind, Result};
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;
use crate::postgresql::watch::{Watch, locked};

/// Analyzes every table over several connections, the largest first.
///
/// Those of `done` need it again only where indexes on expressions or extended statistics, which came
/// later, want statistics of their own.
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
                EXISTS (SELECT FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)
                OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid)
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
        let wants_more: bool = get(row, 2)?;
        if wants_more || !done.contains(&table) {
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
    session.run(
        "cannot prepare the connection",
        "SET synchronous_commit = off",
    )?;
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
