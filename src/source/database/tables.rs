//! The tables that have rows of their own: listed, locked, and listed again under the snapshot.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::format::database::Table;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;

/// Tables of one LOCK statement: a round trip saved, and a refused statement still names few.
const LOCKED_AT_ONCE: usize = 200;

/// One table as it was found.
#[derive(Debug, Clone)]
pub(super) struct SourceTable {
    pub oid: u32,
    /// What the catalog will say; rows and bytes are still 0.
    pub table: Table,
    /// Which rows of an extension's table are the user's: a `WHERE` clause or nothing.
    pub condition: String,
    /// Pages of the heap.
    pub pages: u64,
    /// Bytes of heap and TOAST.
    pub size_bytes: u64,
    /// Whether parts of it can be read by page.
    pub is_heap: bool,
    /// Whether the application's role may lock it.
    pub may_lock: bool,
    /// Whether the application's role sees all rows.
    pub may_read: bool,
}

impl SourceTable {
    pub fn quoted(&self) -> String {
        quote::qualified(&self.table.schema, &self.table.name)
    }
}

/// A sequence as it was found.
#[derive(Debug, Clone)]
pub(super) struct SourceSequence {
    pub schema: String,
    pub name: String,
    pub may_read: bool,
}

/// The objects that a backup takes: not the server's own, not temporary, not an extension's but those
/// that it names as the user's.
fn objects(relation_kind: char) -> String {
    format!(
        "pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_class'::regclass
            AND x.objid = c.oid AND x.objsubid = 0 AND x.deptype = 'e'
        LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
        WHERE c.relkind = '{relation_kind}' AND c.relpersistence <> 't'
            AND CASE WHEN x.objid IS NULL THEN {own}
                ELSE coalesce(c.oid = ANY (e.extconfig), false) END",
        own = super::state::own_schemas("n")
    )
}

/// Every table, in the order of schema and name. `with_sizes` takes a lock on each for a moment.
pub(super) fn list_tables(session: &mut Session, with_sizes: bool) -> Result<Vec<SourceTable>> {
    let sizes = if with_sizes {
        "coalesce(pg_catalog.pg_relation_size(c.oid), 0)
            / pg_catalog.current_setting('block_size')::int8,
        coalesce(pg_catalog.pg_table_size(c.oid), 0)"
    } else {
        "0::int8, 0::int8"
    };
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, {sizes},
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND a.attgenerated = '' ORDER BY a.attnum),
            coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), false),
            pg_catalog.row_security_active(c.oid),
            e.extname::text,
            e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)],
            coalesce((SELECT amname = 'heap' FROM pg_catalog.pg_am WHERE oid = c.relam), false),
            pg_catalog.getdatabaseencoding()::text
        FROM {objects}
        ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        objects = objects('r')
    );
    let rows = session
        .client
        .query(&sql, &[])
        .map_err(|error| database_error("cannot list the tables", error))?;
    rows.iter()
        .map(|row| {
            let may_lock: bool = get(row, 6)?;
            let is_filtered: bool = get(row, 7)?;
            let condition: Option<String> = get(row, 9)?;
            Ok(SourceTable {
                oid: get(row, 0)?,
                table: Table {
                    schema: get(row, 1)?,
                    name: get(row, 2)?,
                    columns: get(row, 5)?,
                    encoding: get(row, 11)?,
                    extension: get(row, 8)?,
                    rows: 0,
                    bytes: 0,
                },
                condition: condition.unwrap_or_default(),
                pages: unsigned(get(row, 3)?),
                size_bytes: unsigned(get(row, 4)?),
                is_heap: get(row, 10)?,
                may_lock,
                may_read: may_lock && !is_filtered,
            })
        })
        .collect()
}

/// Every sequence, in the order of schema and name.
pub(super) fn list_sequences(session: &mut Session) -> Result<Vec<SourceSequence>> {
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text,
            pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
        FROM {objects}
        ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        objects = objects('S')
    );
    let rows = session
        .client
        .query(&sql, &[])
        .map_err(|error| database_error("cannot list the sequences", error))?;
    rows.iter()
        .map(|row| {
            Ok(SourceSequence {
                schema: get(row, 0)?,
                name: get(row, 1)?,
                may_read: get(row, 2)?,
            })
        })
        .collect()
}

/// How locking went.
pub(super) enum Locking {
    Done,
    /// A table that was listed is gone: list again.
    Changed,
}

/// Locks against anything that would change or rewrite a table; needs a transaction.
pub(super) fn lock_tables<'t>(
    session: &mut Session,
    tables: impl Iterator<Item = &'t SourceTable>,
) -> Result<Locking> {
    let names: Vec<_> = tables
        .map(|table| format!("ONLY {}", table.quoted()))
        .collect();
    for batch in names.chunks(LOCKED_AT_ONCE) {
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", batch.join(", "));
        let Err(error) = session.client.batch_execute(&sql) else {
            continue;
        };
        let code = error.code().map(|code| code.code().to_owned());
        return match code.as_deref() {
            // No such table, schema; not a table any more.
            Some("42P01" | "3F000" | "42809") => Ok(Locking::Changed),
            Some("55P03") => Err(database_error("cannot lock the tables", error).hint(
                "Another session holds or waits for an exclusive lock on a table: see pg_locks, \
                 or try again when a running update of the database has ended.",
            )),
            _ => Err(database_error("cannot lock the tables", error)),
        };
    }
    Ok(Locking::Done)
}

/// Whether the locks, taken by name, are on the very tables that the snapshot sees.
pub(super) fn same_tables(locked: &[SourceTable], seen: &[SourceTable]) -> bool {
    let oids: HashSet<_> = locked.iter().map(|table| table.oid).collect();
    seen.iter().all(|table| oids.contains(&table.oid))
}

/// An error that names the tables and sequences that nobody of the given roles can read.
pub(super) fn unreadable(names: &[String], role: &str) -> Error {
    let shown: Vec<_> = names.iter().take(5).map(String::as_str).collect();
    let more = names.len().saturating_sub(shown.len());
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Error::new(
        ErrorKind::Denied,
        format!(
            "role `{role}` cannot read all rows of {}{tail}",
            shown.join(", ")
        ),
    )
    .hint(
        "Give the system role (bbdd.systemUser) to obbackup, grant SELECT, or end FORCE ROW LEVEL \
         SECURITY on it.",
    )
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
