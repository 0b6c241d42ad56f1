//! Reading everything under the snapshot, over several connections at once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};

use super::ranges::{Pages, RangeReader};
use super::tables::SourceTable;
use super::{BEGIN, CaptureOptions, DatabaseSource, import, large_objects, openbravo, sequences};
use crate::chunk::{ChunkSink, ChunkWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::format::catalog::write_entry;
use crate::format::database::{DatabaseEntry, Range};
use crate::format::manifest::{Catalog, DatabasePart};
use crate::postgresql::Session;
use crate::postgresql::watch::{Watch, locked};
use crate::progress::Progress;

/// Pages of one table that a connection reads in a row (32 MiB); the next ones may go to another.
const SEGMENT_PAGES: u64 = 4096;
/// Since this version a range of pages is found without reading those before it.
const RANGES_SINCE: u32 = 140_000;

/// A stretch of a table for one connection.
#[derive(Debug)]
struct Segment {
    table: usize,
    /// The ranges, and what each counts for in progress.
    ranges: Vec<(Pages, u64)>,
}

/// What is still to be read, and what was.
struct Work<'s> {
    tables: &'s [SourceTable],
    queues: Mutex<Queues>,
    changed: Condvar,
    ranges: Mutex<Vec<Vec<Range>>>,
}

struct Queues {
    /// The heaviest first.
    open: VecDeque<Segment>,
    /// Those that only the leader can read: it has the lock, and nobody else gets one.
    leader: VecDeque<Segment>,
    /// Those that only the system role can read.
    system: VecDeque<Segment>,
    /// Connections that may still hand segments to the leader.
    workers: usize,
}

impl DatabaseSource {
    /// Reads everything into `sink`. Counts progress in the bytes of [`Self::estimated_bytes`].
    ///
    /// Can be done once; the snapshot stays until this value is dropped.
    pub fn capture<S: ChunkSink + ?Sized>(
        &mut self,
        sink: &S,
        progress: &dyn Progress,
    ) -> Result<DatabasePart> {
        progress.stage("database", Some(self.estimated_bytes()));
        Watch::over(progress, |watch| self.capture_watched(sink, watch))
    }

    fn capture_watched<S: ChunkSink + ?Sized>(
        &mut self,
        sink: &S,
        watch: &Watch<'_>,
    ) -> Result<DatabasePart> {
        let ddl = self
            .ddl
            .take()
            .ok_or_else(|| Error::new(ErrorKind::Failure, "the database was captured already"))?;
        let client_version = ddl.client_version;
        watch.connection(&self.leader.client);
        if let Some(system) = &self.system {
            watch.connection(&system.client);
        }
        let work = Work::new(&self.tables, &self.options, self.leader.version);
        let (leader, system) = (&mut self.leader, &mut self.system);
        let (address, options, snapshot) = (&self.address, &self.options, &self.snapshot);
        let (ddl, db_modified) = std::thread::scope(|scope| {
            let ddl = scope.spawn(|| remember(watch, || ddl.capture(sink, watch)));
            for _ in 1..options.jobs.max(1) {
                scope.spawn(|| {
                    let result = remember(watch, || {
                        let mut session = Session::open(address)?;
                        watch.connection(&session.client);
                        session.run("cannot join the snapshot", BEGIN)?;
                        import(&mut session, snapshot)?;
                        work.read_open(&mut session, sink, watch)
                    });
                    work.worker_ended();
                    result
                });
            }
            if let Some(system) = system.as_mut() {
                scope.spawn(|| remember(watch, || work.read_system(system, sink, watch)));
            }
            let db_modified = remember(watch, || {
                let answer = openbravo::read_db_modified(leader)?;
                work.read_as_leader(leader, sink, watch)?;
                Ok(answer)
            });
            let ddl = ddl.join().unwrap_or(None);
            (ddl, db_modified.flatten())
        });
        watch.check()?;
        let ddl = ddl.ok_or_else(|| Error::new(ErrorKind::Failure, "pg_dump was not captured"))?;
        let ranges = work.into_ranges();
        let mut out = CatalogWriter::new(sink);
        out.write(&DatabaseEntry::Database(self.state.clone()))?;
        let mut part = DatabasePart {
            name: self.address.database.clone(),
            server_version: self.leader.version,
            client_version,
            application_role: self.address.user.clone(),
            tables: self.tables.len() as u64,
            rows: 0,
            bytes: match &ddl {
                DatabaseEntry::Ddl { bytes, .. } => *bytes,
                _ => 0,
            },
            db_modified,
            catalog: Catalog::default(),
        };
        out.write(&ddl)?;
        out.cut()?;
        for (source, ranges) in self.tables.iter().zip(ranges) {
            let mut table = source.table.clone();
            table.rows = ranges.iter().map(|range| range.rows).sum();
            table.bytes = ranges.iter().map(|range| range.bytes).sum();
            part.rows += table.rows;
            part.bytes += table.bytes;
            out.write(&DatabaseEntry::Table(table))?;
            for range in ranges {
                out.write(&DatabaseEntry::Range(range))?;
            }
        }
        self.open_system_if_needed(watch)?;
        let role = &self.address.user;
        for entry in sequences::capture(
            &mut self.leader,
            self.system.as_mut(),
            &self.sequences,
            role,
        )? {
            out.write(&entry)?;
        }
        part.bytes += large_objects::capture(
            &mut self.leader,
            self.system.as_mut(),
            sink,
            watch,
            |entry| out.write(entry),
        )?;
        part.catalog = out.finish()?;
        Ok(part)
    }

    /// The system role reads sequences and large objects of others, and is asked for nothing else.
    fn open_system_if_needed(&mut self, watch: &Watch<'_>) -> Result<()> {
        let Some(address) = &self.options.system else {
            return Ok(());
        };
        if self.system.is_some() {
            return Ok(());
        }
        if self.sequences.iter().all(|sequence| sequence.may_read)
            && !large_objects::need_another_role(&mut self.leader)?
        {
            return Ok(());
        }
        let mut session = Session::open(&address.with_database(&self.address.database))?;
        watch.connection(&session.client);
        session.run("cannot join the snapshot", BEGIN)?;
        import(&mut session, &self.snapshot)?;
        self.system = Some(session);
        Ok(())
    }
}

/// Tells the watch of an error, so that the other threads end.
fn remember<T>(watch: &Watch<'_>, work: impl FnOnce() -> Result<T>) -> Option<T> {
    work().map_err(|error| watch.fail(error)).ok()
}

impl<'s> Work<'s> {
    fn new(tables: &'s [SourceTable], options: &CaptureOptions, version: u32) -> Self {
        let mut segments: Vec<_> = tables
            .iter()
            .enumerate()
            .flat_map(|(index, table)| segments(index, table, options.pages_per_range, version))
            .collect();
        // Stable, so the segments of one table stay in their order.
        segments.sort_by_key(|segment| {
            std::cmp::Reverse(
                tables
                    .get(segment.table)
                    .map_or(0, |table| table.size_bytes),
            )
        });
        let (open, system) = segments.into_iter().partition(|segment| {
            tables
                .get(segment.table)
                .is_some_and(|table| table.may_read)
        });
        Self {
            tables,
            queues: Mutex::new(Queues {
                open,
                leader: VecDeque::new(),
                system,
                workers: options.jobs.max(1) - 1,
            }),
            changed: Condvar::new(),
            ranges: Mutex::new(vec![Vec::new(); tables.len()]),
        }
    }

    /// Segments for anybody; one whose table cannot be locked now goes to the leader.
    fn read_open<S: ChunkSink + ?Sized>(
        &self,
        session: &mut Session,
        sink: &S,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let mut reader = SegmentReader::new(self, session, sink, watch);
        let mut mine = HashSet::new();
        loop {
            let segment = locked(&self.queues).open.pop_front();
            let Some(segment) = segment else {
                return Ok(());
            };
            if mine.contains(&segment.table) || reader.lock(segment.table)? {
                mine.insert(segment.table);
                reader.read(segment)?;
            } else {
                locked(&self.queues).leader.push_back(segment);
            }
        }
    }

    fn read_system<S: ChunkSink + ?Sized>(
        &self,
        session: &mut Session,
        sink: &S,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let mut reader = SegmentReader::new(self, session, sink, watch);
        loop {
            let segment = locked(&self.queues).system.pop_front();
            let Some(segment) = segment else {
                return Ok(());
            };
            reader.read(segment)?;
        }
    }

    /// What only the leader can read, then whatever is open, until nobody can hand it more.
    fn read_as_leader<S: ChunkSink + ?Sized>(
        &self,
        session: &mut Session,
        sink: &S,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let mut reader = SegmentReader::new(self, session, sink, watch);
        loop {
            let mut queues = locked(&self.queues);
            let segment = loop {
                let next = queues
                    .leader
                    .pop_front()
                    .or_else(|| queues.open.pop_front());
                if next.is_some() || queues.workers == 0 {
                    break next;
                }
                queues = self
                    .changed
                    .wait(queues)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            drop(queues);
            let Some(segment) = segment else {
                return Ok(());
            };
            reader.read(segment)?;
        }
    }

    fn worker_ended(&self) {
        locked(&self.queues).workers -= 1;
        self.changed.notify_all();
    }

    /// The ranges of each table, in page order.
    fn into_ranges(self) -> Vec<Vec<Range>> {
        let mut all = self
            .ranges
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        for ranges in &mut all {
            ranges.sort_by_key(|range| range.first_page);
        }
        all
    }
}

/// Reads segments over one connection.
struct SegmentReader<'a, 's, S: ChunkSink + ?Sized> {
    work: &'a Work<'s>,
    session: &'a mut Session,
    watch: &'a Watch<'a>,
    ranges: RangeReader<'a, S>,
}

impl<'a, 's, S: ChunkSink + ?Sized> SegmentReader<'a, 's, S> {
    fn new(
        work: &'a Work<'s>,
        session: &'a mut Session,
        sink: &'a S,
        watch: &'a Watch<'a>,
    ) -> Self {
        let cut_always = session.version < RANGES_SINCE;
        Self {
            work,
            session,
            watch,
            ranges: RangeReader::new(sink, cut_always),
        }
    }

    fn lock(&mut self, table: usize) -> Result<bool> {
        let Some(table) = self.work.tables.get(table) else {
            return Ok(false);
        };
        let sql = format!(
            "SAVEPOINT lock; LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT; RELEASE SAVEPOINT lock",
            table.quoted()
        );
        match self.session.client.batch_execute(&sql) {
            Ok(()) => Ok(true),
            Err(error) if error.code().is_some_and(|code| code.code() == "55P03") => {
                self.session.run(
                    "cannot go on after a refused lock",
                    "ROLLBACK TO SAVEPOINT lock; RELEASE SAVEPOINT lock",
                )?;
                Ok(false)
            }
            Err(error) => Err(crate::postgresql::client::database_error(
                &format!("cannot lock table {}", table.quoted()),
                error,
            )),
        }
    }

    fn read(&mut self, segment: Segment) -> Result<()> {
        self.watch.check()?;
        let Some(table) = self.work.tables.get(segment.table) else {
            return Ok(());
        };
        let mut found = Vec::new();
        for (pages, share_bytes) in segment.ranges {
            let client = &mut self.session.client;
            found.extend(
                self.ranges
                    .read(client, table, pages, share_bytes, self.watch)?,
            );
        }
        if let Some(ranges) = locked(&self.work.ranges).get_mut(segment.table) {
            ranges.append(&mut found);
        }
        Ok(())
    }
}

/// A table cut into what one connection reads in a row.
fn segments(index: usize, table: &SourceTable, pages_per_range: u64, version: u32) -> Vec<Segment> {
    let pages_per_range = pages_per_range.max(1);
    let is_cut = version >= RANGES_SINCE
        && table.is_heap
        && table.table.extension.is_none()
        && table.pages > pages_per_range;
    let ranges: Vec<_> = if is_cut {
        (0..table.pages.div_ceil(pages_per_range))
            .map(|number| {
                let first = number * pages_per_range;
                let is_last = first + pages_per_range >= table.pages;
                Pages::Some {
                    first,
                    count: (!is_last).then_some(pages_per_range),
                }
            })
            .collect()
    } else {
        vec![Pages::All]
    };
    let ranges_per_segment = (SEGMENT_PAGES / pages_per_range).max(1);
    let count = ranges.len() as u64;
    // The shares add up to the size exactly.
    let share_of =
        |number: u64| table.size_bytes * (number + 1) / count - table.size_bytes * number / count;
    let ranges: Vec<_> = ranges.into_iter().zip((0..).map(share_of)).collect();
    ranges
        .chunks(usize::try_from(ranges_per_segment).unwrap_or(usize::MAX))
        .map(|ranges| Segment {
            table: index,
            ranges: ranges.to_vec(),
        })
        .collect()
}

/// Writes catalog entries into chunks.
struct CatalogWriter<'a, S: ChunkSink + ?Sized> {
    sink: &'a S,
    writer: ChunkWriter<'a, S>,
    catalog: Catalog,
}

impl<'a, S: ChunkSink + ?Sized> CatalogWriter<'a, S> {
    fn new(sink: &'a S) -> Self {
        Self {
            sink,
            writer: ChunkWriter::new(sink, sink.chunkers().metadata),
            catalog: Catalog::default(),
        }
    }

    fn write(&mut self, entry: &DatabaseEntry) -> Result<()> {
        self.catalog.entries += 1;
        write_entry(&mut self.writer, entry)
    }

    /// Ends a chunk: what comes before changes every time, what follows may not.
    fn cut(&mut self) -> Result<()> {
        let next = ChunkWriter::new(self.sink, self.sink.chunkers().metadata);
        let (chunks, bytes) = std::mem::replace(&mut self.writer, next).finish()?;
        self.catalog.chunks.extend(chunks);
        self.catalog.bytes += bytes;
        Ok(())
    }

    fn finish(mut self) -> Result<Catalog> {
        self.cut()?;
        Ok(self.catalog)
    }
}
