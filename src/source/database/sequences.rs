//! Where the sequences stand.

use super::tables::{SourceSequence, unreadable};
use crate::error::Result;
use crate::format::database::DatabaseEntry;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;

/// Read by one statement.
const BATCH: usize = 100;

/// The entries of all sequences, in their order.
///
/// Sequences stand outside transactions: a value may be later than the snapshot, never earlier, and a
/// number that was handed out is never handed out again.
pub(super) fn capture(
    application: &mut Session,
    mut system: Option<&mut Session>,
    sequences: &[SourceSequence],
    role: &str,
) -> Result<Vec<DatabaseEntry>> {
    let mut entries = Vec::with_capacity(sequences.len());
    let runs = sequences
        .chunk_by(|one, next| one.may_read == next.may_read)
        .flat_map(|run| run.chunks(BATCH));
    for batch in runs {
        let mine = batch.first().is_none_or(|sequence| sequence.may_read);
        let reader = match &mut system {
            _ if mine => &mut *application,
            Some(system) => &mut **system,
            None => {
                let names: Vec<_> = batch.iter().map(quoted).collect();
                return Err(unreadable(&names, role));
            }
        };
        entries.extend(read(reader, batch)?);
    }
    Ok(entries)
}

fn quoted(sequence: &SourceSequence) -> String {
    quote::qualified(&sequence.schema, &sequence.name)
}

fn read(session: &mut Session, batch: &[SourceSequence]) -> Result<Vec<DatabaseEntry>> {
    let parts: Vec<_> = batch
        .iter()
        .enumerate()
        .map(|(number, sequence)| {
            format!(
                "SELECT {number}, last_value, is_called FROM {}",
                quoted(sequence)
            )
        })
        .collect();
    let sql = format!("{} ORDER BY 1", parts.join(" UNION ALL "));
    let rows = session
        .client
        .query(&sql, &[])
        .map_err(|error| database_error("cannot read the sequences", error))?;
    rows.iter()
        .zip(batch)
        .map(|(row, sequence)| {
            Ok(DatabaseEntry::Sequence {
                schema: sequence.schema.clone(),
                name: sequence.name.clone(),
                last_value: get(row, 1)?,
                is_called: get(row, 2)?,
            })
        })
        .collect()
}
