//! Restoring where there is no room for the old state and the new one: the old one is deleted first.
//!
//! Until then everything is as in any other restore. From the deletion on the safety backup is the only way
//! back, so it must be complete, and every byte of it is read and proven before anything is deleted. Only who
//! has nothing to go back to, after an earlier attempt for one, does without.

use super::failure::{hint_before, left_over};
use super::in_place::{self, Replaced};
use super::journal::{Outcome, Record};
use super::recovery::AtWork;
use super::steps::Steps;
use super::{Control, Job, Restored, checks, states};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{BackupId, Status};
use crate::format::record::LeaseMode;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::verify::VerifyOptions;

pub(super) fn run(
    job: &Job<'_>,
    repository: &Repository,
    safety_backup: bool,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Restored> {
    let instance = job.instance()?;
    let _at_work = AtWork::after_recovery(instance, job.surroundings, control, progress)?;
    let plan = repository.until_stopped(progress, || {
        let mut plan = job.plan()?;
        checks::look(job, control, &mut plan)?;
        checks::refuse(&plan)?;
        Ok(plan)
    })?;
    let safety_backup = if safety_backup {
        Some(prove_way_back(job, repository, progress)?)
    } else {
        None
    };
    let lock = repository.hold(LeaseMode::Write, &instance.id, "restore", progress)?;
    let mut steps = in_place::begin(job, &plan, safety_backup, control, progress)?;
    let ready = progress
        .check()
        .and_then(|()| lock.check())
        .and_then(|()| in_place::refuse_sessions(instance, steps.connection.as_ref(), control))
        .and_then(|()| steps.stop_first())
        .and_then(|()| steps.record(Record::Deleting));
    if let Err(error) = ready {
        return Err(steps.give_up(error));
    }
    let mut restored = Restored::new(&plan);
    let done = steps
        .delete_old(instance)
        .and_then(|()| in_place::stage(job, &plan, &mut restored, progress))
        .and_then(|()| steps.begin())
        .and_then(|()| steps.forward());
    if let Err(error) = done {
        return Err(lost(steps, &error));
    }
    let run = plan.run.clone();
    states::forget_cleared(steps.journal.directory());
    restored.database = plan.database.map(|database| database.name);
    restored.replaced = Some(Replaced {
        run,
        database: None,
        directories: Vec::new(),
        safety_backup,
    });
    Ok(restored)
}

/// A backup of the present state that is complete and can be read.
fn prove_way_back(
    job: &Job<'_>,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<BackupId> {
    let label = format!("before the restore of {}", job.backup.id.short());
    let (id, status) = in_place::take_safety_backup(
        job.instance()?,
        repository,
        job.surroundings,
        label,
        progress,
    )?;
    let options = VerifyOptions {
        read_data: true,
        backup: Some(id),
        jobs: job.surroundings.jobs,
    };
    progress.stage("reading the safety backup", None);
    let is_sound = || Ok(repository.verify(&options, progress)?.is_sound());
    if status == Status::Good && repository.until_stopped(progress, is_sound)? {
        return Ok(id);
    }
    Err(Error::new(
        ErrorKind::Damaged,
        format!(
            "the backup of the present state, {}, is not whole; it would be the only way back, so nothing was deleted",
            id.short()
        ),
    )
    .hint("Its warnings name what is missing: obbackup show latest. Run `obbackup verify --read-data`."))
}

/// The old state is deleted, and the new one is not there.
pub(super) fn lost(mut steps: Steps<'_>, error: &Error) -> Error {
    let way_back = steps
        .journal
        .header()
        .ok()
        .and_then(|header| header.safety_backup)
        .map(|id| id.short());
    let came_up = steps.journal.has(&Record::Starting);
    let text = if came_up {
        "the new state is in place, but the application does not run on it"
    } else {
        "the restore failed after the old state had been deleted"
    };
    // Nothing can be put back from here, so nothing is left for the next run to do. Said before anything of the new
    // state goes: the places of entries tell no more then how far the exchange was.
    let because = error.message();
    let ended = steps.end(Outcome::Lost { because });
    let lost = error
        .duplicate()
        .context(match &way_back {
            Some(id) => format!("{text}; the state before is in backup {id}"),
            None => text.to_owned(),
        })
        .with_kind(ErrorKind::ActionNeeded)
        .hint(format!(
            "{}Correct the cause, then: obbackup restore {} --in-place --no-safety-backup",
            hint_before(error),
            way_back.as_deref().unwrap_or("ID")
        ));
    if ended.is_err() {
        return lost;
    }
    match steps.clear() {
        Ok(()) => {
            states::forget(steps.journal.directory()).ok();
            lost
        }
        Err(why) => left_over(&lost, &why, &steps.journal, "The next backup removes it"),
    }
}
