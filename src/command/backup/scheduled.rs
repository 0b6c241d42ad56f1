//! The backup of a schedule's moment: of all nodes that come for it, one takes it.

use chrono::TimeDelta;

use super::{BackupOptions, BackupTaken, begin, outcome_word};
use crate::command::surroundings::Surroundings;
use crate::error::{ErrorKind, Result};
use crate::format::record::{OK, Occasion, PARTIAL, Run};
use crate::instance::Instance;
use crate::progress::Progress;
use crate::repository::Repository;

/// The clocks of two nodes differ by less.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::days(1);

/// What came of a run that a schedule started.
#[derive(Debug)]
pub enum Scheduled {
    /// It took a backup.
    Taken(Box<BackupTaken>),
    /// Another node of the cluster, or another program, had done it already: its record.
    Elsewhere(Box<Run>),
    /// It has failed more often than the caller knew: another node tried it meanwhile.
    FailedElsewhere {
        /// The record of the last try.
        run: Box<Run>,
        /// How many there were.
        tries: u16,
    },
}

/// Takes the backup of `occasion`, unless that was done already.
///
/// Whoever runs it records it before giving back the lock. So whoever holds the lock and finds no record of the
/// occasion is the only one to run it: of several nodes that come at once one takes the backup, and the
/// others, which wait for the lock, find its record. `tries`: those that failed as far as the caller knows.
pub fn run_scheduled(
    instance: &Instance,
    repository: &Repository,
    options: &BackupOptions,
    surroundings: &Surroundings,
    progress: &dyn Progress,
    occasion: &Occasion,
    tries: u16,
) -> Result<Scheduled> {
    repository.until_stopped(progress, || {
        let begun = begin(instance, repository)?;
        // Clocks differ, so runs that seem to have begun before their time are looked at too.
        let since = occasion.due_at - CLOCKS_DIFFER;
        // One that was stopped is to be done again.
        let stopped = outcome_word(ErrorKind::Cancelled);
        let (done, failed): (Vec<Run>, Vec<Run>) = repository
            .runs(since)?
            .into_iter()
            .filter(|run| {
                run.instance == instance.id
                    && run.occasion.as_ref() == Some(occasion)
                    && run.outcome != stopped
            })
            .partition(|run| run.outcome == OK || run.outcome == PARTIAL);
        if let Some(run) = done.into_iter().next() {
            return Ok(Scheduled::Elsewhere(Box::new(run)));
        }
        let seen = u16::try_from(failed.len()).unwrap_or(u16::MAX);
        let last = failed.into_iter().max_by_key(|run| run.finished_at);
        if let Some(run) = last.filter(|_| seen > tries) {
            return Ok(Scheduled::FailedElsewhere {
                run: Box::new(run),
                tries: seen,
            });
        }
        let occasion = Some(occasion.clone());
        let taken = begun.locked(instance, options, surroundings, progress, occasion)?;
        Ok(Scheduled::Taken(Box::new(taken)))
    })
}
