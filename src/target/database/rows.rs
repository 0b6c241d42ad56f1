//! The tables' rows and the sequences' values.

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::sync::Mutex;

use super::plan::DatabasePlan;
use super::{DatabaseTarget, autovacuum, catalog_entries, disordered, statistics};
use crate::chunk::ChunkSource;
use crate::error::{Error, ErrorKind, Result};
use crate::format::database::{DatabaseEntry, Table};
use crate::format::id::ChunkId;
use crate::format::manifest::DatabasePart;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get, stream_error};
use crate::postgresql::quote;
use crate::postgresql::watch::{Watch, locked};

/// What is given to the connection at once.
const PIECE_BYTES: usize = 128 << 10;
/// Emptying a table first costs more than it saves where there are only a few pages.
const FREEZE_FROM_BYTES: u64 = 1 << 20;
/// Sequences set by one statement.
const SEQUENCES_AT_ONCE: usize = 100;

/// The rows of one table.
pub(super) struct TableRows {
    table: Table,
    chunks: Vec<ChunkId>,
    /// The partitioned table, quoted, that has to find a place for each row anew.
    root: Option<String>,
}

/// What of a catalog is loaded between the two sections of the definitions.
pub(super) struct Contents {
    tables: Vec<TableRows>,
    extension_tables: Vec<TableRows>,
    sequences: Vec<DatabaseEntry>,
}

impl Contents {
    pub fn read<S: ChunkSource + ?Sized>(part: &DatabasePart, source: &S) -> Result<Self> {
        let mut tables: Vec<TableRows> = Vec::new();
        let mut sequences = Vec::new();
        for entry in catalog_entries(source, &part.catalog) {
            match entry? {
                DatabaseEntry::Table(table) => tables.push(TableRows {
                    table,
                    chunks: Vec::new(),
                    root: None,
                }),
                DatabaseEntry::Range(range) => {
                    let last = tables.last_mut().ok_or_else(disordered)?;
                    last.chunks.extend(range.chunks);
                }
                entry @ DatabaseEntry::Sequence { .. } => sequences.push(entry),
                _ => {}
            }
        }
        tables.retain(|rows| rows.table.rows > 0);
        let (extension_tables, mut tables): (Vec<_>, Vec<_>) = tables
            .into_iter()
            .partition(|rows| rows.table.extension.is_some());
        tables.sort_by_key(|rows| std::cmp::Reverse(rows.table.bytes));
        Ok(Self {
            tables,
            extension_tables,
            sequences,
        })
    }

    /// Loads it all, the largest tables first.
    pub fn load<S: ChunkSource + ?Sized>(
        mut self,
        target: &DatabaseTarget,
        plan: &DatabasePlan,
        source: &S,
        watch: &Watch<'_>,
    ) -> Result<Loaded> {
        let mut loader = Loader {
            target,
            plan,
            source,
            watch,
            autovacuum: false,
        };
        let mut session = loader.session()?;
        loader.autovacuum = autovacuum::is_on(&mut session)?;
        find_roots(&mut session, &mut self.tables)?;
        let work = Mutex::new(Work {
            open: self.tables.into(),
            ..Work::default()
        });
        std::thread::scope(|scope| {
            for _ in 0..target.options.jobs.max(1) {
                scope.spawn(|| {
                    if let Err(error) = loader.work(&work) {
                        watch.fail(error);
                    }
                });
            }
        });
        watch.check()?;
        let mut loaded = std::mem::take(&mut locked(&work).loaded);
        if !self.extension_tables.is_empty() {
            loaded.rows += loader.load_extension_tables(&mut session, self.extension_tables)?;
        }
        set_sequences(&mut session, &self.sequences)?;
        Ok(loaded)
    }
}

/// What was loaded.
#[derive(Default)]
pub(super) struct Loaded {
    /// Rows of all tables.
    pub rows: u64,
    /// The tables, quoted, whose statistics are gathered already.
    pub analyzed: HashSet<String>,
    /// The tables, quoted, that autovacuum does not come to.
    pub kept_away: HashSet<String>,
}

/// What was done with one table.
#[derive(Default)]
struct Done {
    /// It has statistics now.
    analyzed: bool,
    /// Autovacuum does not come to it.
    kept_away: bool,
}

/// What the connections share.
#[derive(Default)]
struct Work {
    open: VecDeque<TableRows>,
    loaded: Loaded,
}

struct Loader<'a, S: ChunkSource + ?Sized> {
    target: &'a DatabaseTarget,
    plan: &'a DatabasePlan,
    source: &'a S,
    watch: &'a Watch<'a>,
    /// Whether the server will complete the statistics by itself.
    autovacuum: bool,
}

impl<S: ChunkSource + ?Sized> Loader<'_, S> {
    fn session(&self) -> Result<Session> {
        let session = self.target.session(self.plan.as_system)?;
        self.watch.connection(&session.client);
        Ok(session)
    }

    fn work(&self, work: &Mutex<Work>) -> Result<()> {
        let mut session = self.session()?;
        loop {
            self.watch.check()?;
            let next = locked(work).open.pop_front();
            let Some(next) = next else { return Ok(()) };
            let name = quote::qualified(&next.table.schema, &next.table.name);
            let done = self.load(&mut session, &next, &name)?;
            let mut shared = locked(work);
            shared.loaded.rows += next.table.rows;
            if done.kept_away {
                shared.loaded.kept_away.insert(name.clone());
            }
            if done.analyzed {
                shared.loaded.analyzed.insert(name);
            }
        }
    }

    fn load(&self, session: &mut Session, next: &TableRows, name: &str) -> Result<Done> {
        let what = format!("cannot load table {name}");
        let mut done = Done::default();
        if let Some(root) = &next.root {
            self.copy(session, next, root, "", &what)?;
            return Ok(done);
        }
        session.run(&what, "BEGIN")?;
        if next.table.bytes < FREEZE_FROM_BYTES {
            self.copy(session, next, name, "", &what)?;
        } else {
            // Rows of a table that was emptied in the same transaction can be written as if they had
            // always been there: no second write of each page by the first reader or vacuum.
            session.run(&what, &format!("TRUNCATE ONLY {name}"))?;
            self.copy(session, next, name, "FREEZE, ", &what)?;
            done.kept_away = self.autovacuum
                && !self.plan.has_event_triggers
                && autovacuum::keep_away(session, name, &what)?;
        }
        done.analyzed = self.autovacuum
            && statistics::analyze_in_passing(session, name, next.table.rows, self.watch)?;
        session.run(&what, "COMMIT")?;
        Ok(done)
    }

    fn copy(
        &self,
        session: &mut Session,
        rows: &TableRows,
        into: &str,
        options: &str,
        what: &str,
    ) -> Result<()> {
        let table = &rows.table;
        let columns = if table.columns.is_empty() {
            String::new()
        } else {
            format!(" ({})", quote::names(&table.columns))
        };
        let sql = format!(
            "COPY {into}{columns} FROM STDIN WITH ({options}ENCODING {})",
            quote::literal(&table.encoding)
        );
        let mut copy = session
            .client
            .copy_in(&sql)
            .map_err(|error| database_error(what, error))?;
        for id in &rows.chunks {
            let text = self.source.get(id)?;
            for piece in text.chunks(PIECE_BYTES) {
                self.watch.check()?;
                copy.write_all(piece)
                    .map_err(|error| stream_error(what, error))?;
            }
            self.watch.progress().advance(text.len() as u64);
        }
        let loaded = copy.finish().map_err(|error| database_error(what, error))?;
        if loaded == table.rows {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "{what}: it has {loaded} rows now, the backup names {}",
                table.rows
            ),
        ))
    }

    /// Extensions bring their tables with rows, constraints and triggers of their own.
    fn load_extension_tables(
        &self,
        session: &mut Session,
        mut tables: Vec<TableRows>,
    ) -> Result<u64> {
        let what = "cannot load the extensions' tables";
        order_by_references(session, &mut tables)?;
        if self.plan.as_system {
            session.run(what, "SET session_replication_role = replica")?;
        }
        let mut rows = 0;
        for one in &tables {
            let name = quote::qualified(&one.table.schema, &one.table.name);
            self.copy(
                session,
                one,
                &name,
                "",
                &format!("cannot load table {name}"),
            )?;
            rows += one.table.rows;
        }
        if self.plan.as_system {
            session.run(what, "RESET session_replication_role")?;
        }
        Ok(rows)
    }
}

/// The hash of an enum's value is that of a number which the server gives anew: rows of a partition by
/// such a hash belong into another one here. `pg_dump` treats them the same way.
fn find_roots(session: &mut Session, tables: &mut [TableRows]) -> Result<()> {
    let found = session
        .client
        .query(
            "SELECT n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
            JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
            WHERE c.relispartition AND c.relkind = 'r' AND EXISTS (
                SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a
                JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid
                JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass)
                JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
                WHERE o.opcname = 'enum_ops' AND m.amname = 'hash'
                    AND o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace)",
            &[],
        )
        .map_err(|error| database_error("cannot look at the partitions", error))?;
    for row in &found {
        let names: [String; 4] = [get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?];
        let [schema, name, root_schema, root] = names;
        let root = quote::qualified(&root_schema, &root);
        tables
            .iter_mut()
            .filter(|rows| rows.table.schema == schema && rows.table.name == name)
            .for_each(|rows| rows.root = Some(root.clone()));
    }
    Ok(())
}

/// Those that others refer to come first; in a circle the order is as it was.
fn order_by_references(session: &mut Session, tables: &mut Vec<TableRows>) -> Result<()> {
    let what = "cannot order the extensions' tables";
    let references = session
        .client
        .query(
            "SELECT DISTINCT n.nspname::text, c.relname::text, fn.nspname::text, f.relname::text
            FROM pg_catalog.pg_constraint k
            JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
            JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
            WHERE k.contype = 'f' AND k.conrelid <> k.confrelid",
            &[],
        )
        .map_err(|error| database_error(what, error))?;
    let mut pairs = Vec::new();
    for row in &references {
        let names: [String; 4] = [get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?];
        pairs.push(names);
    }
    let mut waiting = std::mem::take(tables);
    while !waiting.is_empty() {
        let is_named = |schema: &str, name: &str| {
            waiting
                .iter()
                .any(|rows| rows.table.schema == schema && rows.table.name == name)
        };
        let free = waiting.iter().position(|rows| {
            !pairs.iter().any(|[schema, name, to_schema, to_name]| {
                rows.table.schema == *schema
                    && rows.table.name == *name
                    && is_named(to_schema, to_name)
            })
        });
        tables.push(waiting.remove(free.unwrap_or(0)));
    }
    Ok(())
}

fn set_sequences(session: &mut Session, sequences: &[DatabaseEntry]) -> Result<()> {
    for batch in sequences.chunks(SEQUENCES_AT_ONCE) {
        let calls: Vec<_> = batch
            .iter()
            .filter_map(|entry| match entry {
                DatabaseEntry::Sequence {
                    schema,
                    name,
                    last_value,
                    is_called,
                } => Some(format!(
                    "pg_catalog.setval({}::pg_catalog.regclass, {last_value}, {is_called})",
                    quote::literal(&quote::qualified(schema, name))
                )),
                _ => None,
            })
            .collect();
        session.run(
            "cannot set the sequences",
            &format!("SELECT {}", calls.join(", ")),
        )?;
    }
    Ok(())
}
