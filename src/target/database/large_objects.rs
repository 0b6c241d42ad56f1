//! Large objects: content, owner, privileges, comment.

use std::fmt::Write;

use super::plan::DatabasePlan;
use super::{DatabaseTarget, catalog_entries, state};
use crate::chunk::ChunkSource;
use crate::error::{Error, ErrorKind, Result};
use crate::format::database::DatabaseEntry;
use crate::format::manifest::DatabasePart;
use crate::postgresql::client::database_error;
use crate::postgresql::quote;
use crate::postgresql::watch::Watch;

/// One transaction's worth: each object takes entries of the server's shared lock table.
const BATCH: u64 = 50;
const PIECE_BYTES: usize = 1 << 20;
const WHAT: &str = "cannot restore the large objects";

/// Creates them all, streaming the catalog once more: there may be millions.
pub(super) fn load<S: ChunkSource + ?Sized>(
    target: &DatabaseTarget,
    plan: &DatabasePlan,
    part: &DatabasePart,
    source: &S,
    watch: &Watch<'_>,
) -> Result<()> {
    let mut session = None;
    let mut count = 0;
    for entry in catalog_entries(source, &part.catalog) {
        let DatabaseEntry::LargeObject {
            oid,
            owner,
            grants,
            comment,
            bytes,
            chunks,
        } = entry?
        else {
            continue;
        };
        watch.check()?;
        if session.is_none() {
            let opened = session.insert(target.session(plan.as_system)?);
            watch.connection(&opened.client);
            opened.run(WHAT, "BEGIN")?;
        }
        let Some(session) = &mut session else {
            continue;
        };
        if count > 0 && count % BATCH == 0 {
            session.run(WHAT, "COMMIT; BEGIN")?;
        }
        count += 1;
        let what = format!("cannot restore large object {oid}");
        let failed = |error| database_error(&what, error);
        session
            .client
            .execute("SELECT pg_catalog.lo_create($1)", &[&oid])
            .map_err(failed)?;
        let mut offset_bytes = 0;
        for id in &chunks {
            for piece in source.get(id)?.chunks(PIECE_BYTES) {
                watch.check()?;
                let offset = i64::try_from(offset_bytes).unwrap_or(i64::MAX);
                session
                    .client
                    .execute(
                        "SELECT pg_catalog.lo_put($1, $2, $3)",
                        &[&oid, &offset, &piece],
                    )
                    .map_err(failed)?;
                offset_bytes += piece.len() as u64;
            }
        }
        if offset_bytes != bytes {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("{what}: it has {offset_bytes} bytes, the backup names {bytes}"),
            ));
        }
        let object = format!("LARGE OBJECT {oid}");
        let owner = plan.roles.owner(&owner);
        let mut sql = format!("ALTER {object} OWNER TO {};", quote::name(&owner));
        if let Some(comment) = comment {
            let _ = write!(sql, "COMMENT ON {object} IS {};", quote::literal(&comment));
        }
        if let Some(grants) = grants {
            sql.push_str(&state::grants_sql(&object, &owner, &grants, plan));
        }
        session.run(&what, &sql)?;
        watch.progress().advance(bytes);
    }
    match session {
        Some(mut session) => session.run(WHAT, "COMMIT"),
        None => Ok(()),
    }
}
