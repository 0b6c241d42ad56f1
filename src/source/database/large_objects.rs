//! Large objects: what `pg_dump` would carry in its data section.

use std::io::Write;

use super::state::{grants_as_json, parse_grants};
use crate::chunk::{ChunkSink, ChunkWriter};
use crate::error::{IoContext, Result};
use crate::format::database::DatabaseEntry;
use crate::format::id::ChunkId;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::watch::Watch;

const WHAT: &str = "cannot read the large objects";
/// Described by one query, and their beginnings read by another.
const BATCH: i64 = 64;
/// Most are shorter than this, and come with the batch.
const BEGINNING_BYTES: i32 = 32 << 10;
/// The rest of the longer ones comes in such pieces.
const PIECE_BYTES: i32 = 1 << 20;
/// The role's own, or one whose privileges it has.
const MAY_READ: &str = "pg_catalog.pg_has_role(l.lomowner, 'USAGE')";

/// A large object as it was found.
struct SourceLargeObject {
    oid: u32,
    owner: String,
    grants: Option<String>,
    comment: Option<String>,
    may_read: bool,
}

/// Whether there are large objects that the session's role cannot be sure to read.
pub(super) fn need_another_role(session: &mut Session) -> Result<bool> {
    let row = session
        .client
        .query_one(
            &format!(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata l
                WHERE NOT {MAY_READ})"
            ),
            &[],
        )
        .map_err(|error| database_error(WHAT, error))?;
    get(&row, 0)
}

/// Hands every large object to `entry`, in the order of their numbers; those of others are read by
/// `system`, where there is one. Returns their bytes.
pub(super) fn capture<S: ChunkSink + ?Sized>(
    application: &mut Session,
    mut system: Option<&mut Session>,
    sink: &S,
    watch: &Watch<'_>,
    mut entry: impl FnMut(&DatabaseEntry) -> Result<()>,
) -> Result<u64> {
    let mut total_bytes = 0;
    let mut after = 0;
    loop {
        watch.check()?;
        let batch = list(application, after)?;
        let Some(last) = batch.last() else {
            return Ok(total_bytes);
        };
        after = last.oid;
        // The order is kept: a batch is split where the reader changes.
        for run in batch.chunk_by(|one, next| one.may_read == next.may_read) {
            let mine = run.first().is_none_or(|object| object.may_read);
            let reader = match &mut system {
                Some(system) if !mine => &mut **system,
                _ => &mut *application,
            };
            let oids: Vec<u32> = run.iter().map(|object| object.oid).collect();
            for (object, beginning) in run.iter().zip(read_beginnings(reader, &oids)?) {
                let (chunks, bytes) = read_rest(reader, object.oid, &beginning, sink, watch)?;
                total_bytes += bytes;
                entry(&DatabaseEntry::LargeObject {
                    oid: object.oid,
                    owner: object.owner.clone(),
                    grants: parse_grants(object.grants.clone())?,
                    comment: object.comment.clone(),
                    bytes,
                    chunks,
                })?;
                watch.progress().advance(bytes);
            }
        }
    }
}

fn list(session: &mut Session, after: u32) -> Result<Vec<SourceLargeObject>> {
    let rows = session
        .client
        .query(
            &format!(
                "SELECT l.oid, pg_catalog.pg_get_userbyid(l.lomowner)::text, {grants},
                    pg_catalog.obj_description(l.oid, 'pg_largeobject'), {MAY_READ}
                FROM pg_catalog.pg_largeobject_metadata l
                WHERE l.oid > $1 ORDER BY l.oid LIMIT $2",
                grants = grants_as_json("l.lomacl")
            ),
            &[&after, &BATCH],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter()
        .map(|row| {
            Ok(SourceLargeObject {
                oid: get(row, 0)?,
                owner: get(row, 1)?,
                grants: get(row, 2)?,
                comment: get(row, 3)?,
                may_read: get(row, 4)?,
            })
        })
        .collect()
}

fn read_beginnings(session: &mut Session, oids: &[u32]) -> Result<Vec<Vec<u8>>> {
    let rows = session
        .client
        .query(
            "SELECT pg_catalog.lo_get(o.oid, 0, $2)
            FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY o(oid, n) ORDER BY o.n",
            &[&oids, &BEGINNING_BYTES],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter().map(|row| get(row, 0)).collect()
}

fn read_rest<S: ChunkSink + ?Sized>(
    session: &mut Session,
    oid: u32,
    beginning: &[u8],
    sink: &S,
    watch: &Watch<'_>,
) -> Result<(Vec<ChunkId>, u64)> {
    let mut writer = ChunkWriter::new(sink, sink.chunkers().data);
    let what = || format!("cannot read large object {oid}");
    writer.write_all(beginning).io_context(what)?;
    let mut offset = 0_i64;
    let mut read = beginning.len();
    let mut asked = BEGINNING_BYTES;
    // A piece that is as long as was asked for may have a successor.
    while read == usize::try_from(asked).unwrap_or(usize::MAX) {
        watch.check()?;
        offset += i64::from(asked);
        asked = PIECE_BYTES;
        let row = session
            .client
            .query_one(
                "SELECT pg_catalog.lo_get($1::oid, $2, $3)",
                &[&oid, &offset, &asked],
            )
            .map_err(|error| database_error(&what(), error))?;
        let piece: &[u8] = get(&row, 0)?;
        writer.write_all(piece).io_context(what)?;
        read = piece.len();
    }
    writer.finish()
}
