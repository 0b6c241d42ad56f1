//! The states that restores replaced and that can be brought back.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::journal::{self, Journal, Outcome, Purpose, Record};
use super::staging;
use crate::command::OWN_DIRECTORY;
use crate::error::{IoContext, Result};
use crate::format::manifest::BackupId;

/// A state that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptState {
    /// The run that keeps it.
    pub run: String,
    /// What that run did.
    pub purpose: Purpose,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Whether it was live before; else it is a new state that was put back, because the application did
    /// not come up on it.
    pub is_replaced: bool,
    /// Its database.
    pub database: Option<String>,
    /// Where its files are.
    pub directories: Vec<PathBuf>,
    /// The backup that was taken of it just before.
    pub safety_backup: Option<BackupId>,
}

/// Every state that is kept, the newest first.
pub fn kept_states(source_path: &Path) -> Result<Vec<KeptState>> {
    let mut states = Vec::new();
    for directory in Journal::runs(&source_path.join(OWN_DIRECTORY))? {
        states.extend(kept_by(&Journal::open(&directory)?)?);
    }
    states.sort_by_key(|state| std::cmp::Reverse(state.at));
    Ok(states)
}

fn kept_by(journal: &Journal) -> Result<Option<KeptState>> {
    let header = journal.header()?;
    let (is_replaced, at) = match journal.outcome() {
        Some((Outcome::Done, at)) => (true, at),
        Some((Outcome::PutBack { kept: true, .. }, at))
            if matches!(header.purpose, Purpose::Restore { .. }) =>
        {
            (false, at)
        }
        _ => return Ok(None),
    };
    let had_database = journal.records().iter().any(|record| {
        matches!(
            record,
            Record::Swapping {
                live_database: Some(_),
                ..
            }
        )
    });
    Ok(Some(KeptState {
        run: header.run.clone(),
        purpose: header.purpose.clone(),
        at,
        is_replaced,
        database: header.database.as_ref().and_then(|names| {
            if is_replaced {
                had_database.then(|| names.old.clone())
            } else {
                Some(names.new.clone())
            }
        }),
        directories: header
            .files
            .iter()
            .map(|stage| {
                if is_replaced {
                    stage.areas.old.clone()
                } else {
                    stage.areas.staged.clone()
                }
            })
            .collect(),
        safety_backup: header.safety_backup,
    }))
}

/// Takes the journal of a run away that has left nothing to go back to.
pub(super) fn forget_cleared(directory: &Path) {
    let keeps_nothing = Journal::open(directory).is_ok_and(|journal| {
        journal.outcome().is_some() && kept_by(&journal).is_ok_and(|state| state.is_none())
    });
    if keeps_nothing {
        // Looked at again by whoever comes next, should it not work.
        forget(directory).ok();
    }
}

/// Takes a run's journal away: what it kept is live again, or gone.
pub(super) fn forget(directory: &Path) -> Result<()> {
    let file = directory.join(journal::FILE);
    match fs::remove_file(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        other => other.io_context(|| format!("cannot remove `{}`", file.display()))?,
    }
    staging::remove_empty(directory);
    Ok(())
}
