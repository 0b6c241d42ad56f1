//! Finishing or reversing what a killed restore left, before anything else is done.
//!
//! Every command looks for an unfinished journal first. A lock file says whether its process lives: the
//! system gives a lock back whichever way its holder ends, so there are no stale ones, and no number of a
//! process that means another one by now.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::journal::{Header, Journal, Outcome, Purpose, Record};
use super::steps::Steps;
use super::{Control, Steady, states, without_room};
use crate::command::OWN_DIRECTORY;
use crate::command::database;
use crate::command::surroundings::Surroundings;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::instance::Instance;
use crate::instance::state::{PRIVATE, lock_soon, make_directory};
use crate::progress::Progress;

const LOCK: &str = "lock";
const LOCK_MODE: u32 = 0o600;

/// The right to swap or recover this instance; given back when dropped, or when the process ends.
pub struct AtWork {
    _lock: File,
    own: PathBuf,
}

impl AtWork {
    /// `Locked` where another process is at it.
    pub fn begin(instance: &Instance) -> Result<Self> {
        Self::try_begin(instance)?.ok_or_else(|| {
            let own = instance.source_path.join(OWN_DIRECTORY);
            let by = match unfinished(&own) {
                Ok(Some(journal)) => journal.header().ok().map(Header::describe),
                _ => None,
            };
            Error::new(
                ErrorKind::Locked,
                match by {
                    Some(by) => format!("{by} is at work on this instance"),
                    None => "a restore is at work on this instance".to_owned(),
                },
            )
            .hint("Wait for it to end; `obbackup doctor` tells how it stands.")
        })
    }

    /// The same once what was broken off is finished or reversed.
    pub(super) fn after_recovery(
        instance: &Instance,
        surroundings: &Surroundings,
        control: Control<'_>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let at_work = Self::begin(instance)?;
        if let Some(recovered) = recover_held(&at_work, instance, surroundings, control, progress)?
        {
            progress.warn(&recovered.message);
        }
        Ok(at_work)
    }

    fn try_begin(instance: &Instance) -> Result<Option<Self>> {
        use std::os::unix::fs::OpenOptionsExt;
        let own = instance.source_path.join(OWN_DIRECTORY);
        make_directory(&own, instance.owner, PRIVATE)?;
        let path = own.join(LOCK);
        let context = || format!("cannot take the lock `{}`", path.display());
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(LOCK_MODE)
            .open(&path)
            .io_context(context)?;
        instance.owner.take(&lock, &path)?;
        let is_ours = lock_soon(&lock).io_context(context)?;
        Ok(is_ours.then_some(Self { _lock: lock, own }))
    }
}

/// What a recovery came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The run that had been broken off.
    pub run: String,
    /// How it ended now.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The same for people.
    pub message: String,
}

/// Whether a run was begun that has not ended: it is at work, or was broken off.
pub fn is_unfinished(source_path: &Path) -> Result<bool> {
    Ok(unfinished(&source_path.join(OWN_DIRECTORY))?.is_some())
}

/// `Locked` while a run has not ended: half of one state and half of another are no state to keep.
pub fn refuse_unfinished(instance: &Instance) -> Result<()> {
    match unfinished(&instance.source_path.join(OWN_DIRECTORY))? {
        None => Ok(()),
        Some(journal) => Err(Error::new(
            ErrorKind::Locked,
            format!("{} has not ended", journal.header()?.describe()),
        )
        .hint("Where its process has died, `obbackup doctor` finishes or reverses it.")),
    }
}

/// Finishes or reverses a run that was broken off. `None` where there is none, or its process lives.
///
/// What is live decides: nothing was replaced yet, or the way back was already begun, then back; else
/// forward, and back if the application does not come up.
pub fn recover(
    instance: &Instance,
    surroundings: &Surroundings,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Option<Recovered>> {
    if !is_unfinished(&instance.source_path)? {
        return Ok(None);
    }
    match AtWork::try_begin(instance)? {
        Some(at_work) => recover_held(&at_work, instance, surroundings, control, progress),
        None => Ok(None),
    }
}

fn recover_held(
    at_work: &AtWork,
    instance: &Instance,
    surroundings: &Surroundings,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Option<Recovered>> {
    let Some(journal) = unfinished(&at_work.own)? else {
        return Ok(None);
    };
    let header = journal.header()?.clone();
    let directory = journal.directory().to_owned();
    let connection = match header.database {
        Some(_) => Some(database::connect_to_server(instance, surroundings)?),
        None => None,
    };
    progress.stage("recovering a restore that was broken off", None);
    let steady = Steady(progress);
    let mut steps = Steps {
        journal,
        connection,
        control,
        progress: &steady,
    };
    let ended = go_on(&mut steps);
    let failed = match ended {
        Ok(()) => None,
        Err(Way::Back(error)) => Some(steps.backward(&error)),
        Err(Way::Lost(error)) => return Err(without_room::lost(steps, &error)),
        Err(Way::Stays(error)) => return Err(error.context(header.describe())),
    };
    let outcome = Journal::open(&directory)?
        .outcome()
        .map(|(outcome, _)| outcome.clone());
    states::forget_cleared(&directory);
    match (outcome, failed) {
        (_, Some(error)) if error.kind() == ErrorKind::ActionNeeded => Err(error),
        (Some(outcome), _) => Ok(Some(Recovered {
            message: message(&header, &outcome),
            run: header.run,
            outcome,
        })),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::new(
            ErrorKind::ActionNeeded,
            format!("{} has not ended", header.describe()),
        )
        .hint("Run the command again; the journal is kept.")),
    }
}

/// Why a recovery goes no further forward.
enum Way {
    /// The state before is to be put back.
    Back(Error),
    /// Nothing was changed, and nothing can be now.
    Stays(Error),
    /// There is nothing to put back.
    Lost(Error),
}

fn go_on(steps: &mut Steps<'_>) -> std::result::Result<(), Way> {
    let began = steps
        .journal
        .records()
        .iter()
        .any(|record| matches!(record, Record::Swapping { .. }));
    if steps.journal.has(&Record::Deleting) {
        if !began {
            return Err(Way::Lost(Error::new(
                ErrorKind::ActionNeeded,
                "it was broken off before the new state was complete",
            )));
        }
        return steps.forward().map_err(Way::Lost);
    }
    if !began {
        return steps
            .start_again()
            .and_then(|()| steps.clear())
            .and_then(|()| steps.end(Outcome::Cleared))
            .map_err(Way::Stays);
    }
    let reversing = steps.journal.reversing();
    if reversing.is_some() || steps.journal.has(&Record::Reversed) {
        let because = reversing.unwrap_or("a step of the exchange failed");
        return Err(Way::Back(Error::new(ErrorKind::RolledBack, because)));
    }
    let committed = steps.journal.has(&Record::Committed);
    let started = steps.journal.has(&Record::Starting);
    if !committed && !started && !steps.has_begun().map_err(Way::Stays)? {
        return Err(Way::Back(Error::new(
            ErrorKind::RolledBack,
            "it was broken off before anything had been replaced",
        )));
    }
    steps.forward().map_err(Way::Back)
}

/// The run under `own` that has not ended; there is never more than one.
fn unfinished(own: &Path) -> Result<Option<Journal>> {
    for run in Journal::runs(own)? {
        let journal = Journal::open(&run)?;
        if journal.outcome().is_none() {
            return Ok(Some(journal));
        }
    }
    Ok(None)
}

impl Header {
    /// For people: what it is.
    pub fn describe(&self) -> String {
        let what = match &self.purpose {
            Purpose::Restore { backup } => format!("the restore of backup {}", backup.short()),
            Purpose::Undo { of } => format!("the undo of {of}"),
        };
        format!(
            "{what} that {} began at {}",
            self.by,
            self.begun_at.format("%Y-%m-%d %H:%M:%S UTC")
        )
    }
}

fn message(header: &Header, outcome: &Outcome) -> String {
    let what = header.describe();
    match outcome {
        Outcome::Done => {
            format!("{what} had been broken off and is finished now: its state is live")
        }
        Outcome::PutBack { because, kept } => format!(
            "{what} had been broken off and is reversed now: the state before it is live ({because}){}",
            if *kept {
                "; its new state could not be removed: see `obbackup doctor`"
            } else {
                ""
            }
        ),
        Outcome::Lost { because } => format!("{what} had been broken off and failed: {because}"),
        Outcome::Cleared => format!(
            "{what} had been broken off before anything live was touched; what it had staged is cleared away"
        ),
    }
}
