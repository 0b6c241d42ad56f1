//! Taking backups out of existence that no rule keeps; `prune` gives back their room.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::list::BackupSummary;
use super::{prune, tenant};
use crate::config::retention::{KeepRules, RetentionSection};
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::random_id;
use crate::format::manifest::{BackupId, BackupType, Part, Status};
use crate::format::record::{LeaseMode, Mark, MarkKind, Run};
use crate::format::{path, sealed};
use crate::instance::Instance;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::chunk_set::ChunkSet;
use crate::repository::glance::Rooms;
use crate::repository::prune::Pruned;
use crate::repository::references::for_each_piece;
use crate::repository::retention::{Candidate, Fate, judge, limit_room, order_of_room};

/// Which backups to judge, and by what.
#[derive(Debug, Clone, Default)]
pub struct ForgetOptions {
    /// What the configuration says.
    pub retention: RetentionSection,
    /// Rules that stand in place of the configured ones.
    pub rules: Option<KeepRules>,
    /// Only backups of these types are judged; all, when empty.
    pub types: Vec<BackupType>,
    /// Only backups of this schedule are judged.
    pub schedule: Option<String>,
}

/// What would be forgotten.
#[derive(Debug, Clone, Serialize)]
pub struct ForgetPlan {
    /// The instance's backups, the newest first, each with what becomes of it.
    pub backups: Vec<Judged>,
    /// How many of them go.
    pub goes: u64,
    /// Backups of other instances in the repository; nothing is done about them.
    pub other_instances: u64,
    /// Manifests that cannot be read; nothing is done about them.
    pub damaged: u64,
    #[serde(skip)]
    doomed: Vec<Backup>,
}

/// One backup of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The backup.
    #[serde(flatten)]
    pub summary: BackupSummary,
    /// The schedule that took it.
    pub schedule: Option<String>,
    /// Whether it stays.
    pub kept: bool,
    /// Why it stays or goes.
    pub reasons: Vec<String>,
}

/// What was forgotten.
#[derive(Debug, Clone, Serialize)]
pub struct Forgotten {
    /// The backups that are gone.
    pub forgotten: Vec<BackupId>,
    /// How many of the instance's are left.
    pub kept: u64,
    /// What could not be done, each with the reason.
    pub notes: Vec<String>,
}

/// What is forgotten, and the room that came back at once.
#[derive(Debug, Clone, Serialize)]
pub struct ForgottenAndPruned {
    /// What was forgotten.
    #[serde(flatten)]
    pub forgotten: Forgotten,
    /// The room that was given back afterwards, where that was asked for.
    pub prune: Option<Pruned>,
}

/// Judges the backups of `instance`, and changes nothing.
pub fn plan(
    instance: &Instance,
    repository: &Repository,
    options: &ForgetOptions,
    progress: &dyn Progress,
) -> Result<ForgetPlan> {
    repository.until_stopped(progress, || {
        let seen = repository.glance(Rooms::Small)?;
        judge_all(instance, &seen, options, progress)
    })
}

/// The same in a repository as a glance shows it.
fn judge_all(
    instance: &Instance,
    repository: &Repository,
    options: &ForgetOptions,
    progress: &dyn Progress,
) -> Result<ForgetPlan> {
    let retention = &options.retention;
    if options.rules.is_none() && !retention.has_rules() {
        return Err(Error::new(
            ErrorKind::Usage,
            "there are no rules that say which backups to keep",
        )
        .hint(
            "Write them under [retention.scheduled] in obbackup.toml, or give them: --keep-daily 7.",
        ));
    }
    if options.rules.is_some_and(|rules| !rules.keeps_something()) {
        return Err(
            Error::new(ErrorKind::Usage, "these rules would keep nothing").hint(
                "Say how many to keep: --keep-daily 7. One backup goes by `obbackup delete ID`.",
            ),
        );
    }
    let found = repository.backups()?;
    let all = found.backups.len();
    let backups: Vec<Backup> = found
        .backups
        .into_iter()
        .filter(|backup| backup.manifest.instance.id == instance.id)
        .collect();
    let other_instances = (all - backups.len()) as u64;
    let pins = repository.pins()?;
    let drills = drills(repository)?;
    let mut schedules = Vec::new();
    let mut candidates = Vec::new();
    for backup in &backups {
        let schedule = schedule_of(repository, backup)?;
        candidates.push(Candidate {
            at: backup.manifest.finished_at,
            series: series(backup, schedule.as_deref()),
            rules: rules(backup, schedule.as_deref(), options),
            is_good: backup.manifest.status == Status::Good,
            has_database: backup.manifest.database.is_some(),
            is_pinned: pins.is_pinned(backup),
            is_drilled: drills.get(&backup.id).is_some_and(|(_, passed)| *passed),
        });
        schedules.push(schedule);
    }
    let mut fates = judge(&candidates, retention.zone()?, Utc::now());
    if let Some(gib) = retention.max_space_gib {
        let order = order_of_room(&fates);
        let adds = added_bytes(repository, &backups, &order, progress)?;
        limit_room(&mut fates, &order, &adds, u64::from(gib) << 30);
    }
    let mut plan = ForgetPlan {
        backups: Vec::new(),
        goes: 0,
        other_instances,
        damaged: found.damaged.len() as u64,
        doomed: Vec::new(),
    };
    for (((backup, fate), candidate), schedule) in
        backups.iter().zip(fates).zip(&candidates).zip(schedules)
    {
        let reasons = match &fate {
            Fate::Kept(reasons) => reasons.iter().map(ToString::to_string).collect(),
            Fate::Goes(reason) => vec![reason.to_string()],
        };
        if !fate.is_kept() {
            plan.goes += 1;
            plan.doomed.push(backup.clone());
        }
        plan.backups.push(Judged {
            summary: BackupSummary {
                pinned: candidate.is_pinned,
                ..BackupSummary::from(backup)
            },
            schedule,
            kept: fate.is_kept(),
            reasons,
        });
    }
    Ok(plan)
}

/// Forgets what the rules do not keep. The oldest go first: whenever it stops, what is left is what matters more.
///
/// The lease is a writer's: it keeps backups of this instance and whoever prunes away, and lets other instances work on.
pub fn run(
    instance: &Instance,
    repository: &Repository,
    options: &ForgetOptions,
    progress: &dyn Progress,
) -> Result<Forgotten> {
    repository.until_stopped(progress, || forget(instance, repository, options, progress))
}

fn forget(
    instance: &Instance,
    repository: &Repository,
    options: &ForgetOptions,
    progress: &dyn Progress,
) -> Result<Forgotten> {
    let started_at = Utc::now();
    let before = repository.glance_to_write(Rooms::Small)?;
    before.check_tenure(tenant(instance))?;
    repository.storage().release_reserve()?;
    let (lock, seen) =
        before.lock_and_glance(LeaseMode::Write, &instance.id, "forget", Rooms::Small)?;
    progress.stage("forget", None);
    // Judged under the lease: what is the last good backup must not change meanwhile.
    let plan = judge_all(instance, &seen, options, progress)?;
    let mut forgotten = Vec::new();
    let mut notes = Vec::new();
    for backup in plan.doomed.iter().rev() {
        progress.check()?;
        if repository.is_pinned(backup)? {
            notes.push(format!("{} was pinned just now", backup.id.short()));
            continue;
        }
        match repository.delete_backup(backup, &lock) {
            Ok(()) => forgotten.push(backup.id),
            Err(error) if error.kind() == ErrorKind::Denied => {
                notes.push(format!("{} stays: {error}", backup.id.short()));
            }
            Err(error) => return Err(error),
        }
    }
    let (id, host) = (&instance.id, &instance.host);
    repository.record(&Run::ended(random_id(8)?, "forget", id, host, started_at))?;
    drop(lock);
    repository.storage().hold_reserve()?;
    Ok(Forgotten {
        kept: plan.backups.len() as u64 - forgotten.len() as u64,
        forgotten,
        notes,
    })
}

/// Forgets, and gives back the room where `prunes`.
pub fn run_and_prune(
    instance: &Instance,
    repository: &Repository,
    options: &ForgetOptions,
    prunes: bool,
    progress: &dyn Progress,
) -> Result<ForgottenAndPruned> {
    let forgotten = run(instance, repository, options, progress)?;
    let mut pruned = None;
    if prunes {
        let how = prune::options(&options.retention, None);
        pruned = Some(prune::run(Some(instance), repository, &how, progress)?);
    }
    Ok(ForgottenAndPruned {
        forgotten,
        prune: pruned,
    })
}

/// Of every backup that was restored for trial, when that was last done and whether it passed.
pub(super) fn drills(repository: &Repository) -> Result<HashMap<BackupId, (DateTime<Utc>, bool)>> {
    let last = |(backup, marks): (BackupId, Vec<Mark>)| {
        let drills = marks
            .into_iter()
            .filter(|mark| mark.kind == MarkKind::Drill);
        let last = drills.max_by_key(|mark| mark.at)?;
        Some((
            backup,
            (last.at, last.drill.is_some_and(|drill| drill.passed)),
        ))
    };
    Ok(repository.marks()?.into_iter().filter_map(last).collect())
}

/// The schedule that took the backup, as the record of its run says.
fn schedule_of(repository: &Repository, backup: &Backup) -> Result<Option<String>> {
    if backup.manifest.backup_type != BackupType::Scheduled {
        return Ok(None);
    }
    let path = path::run(backup.manifest.started_at, &backup.manifest.run);
    match repository.storage().read(&path) {
        Ok(bytes) => Ok(sealed::unseal::<Run>(&bytes)
            .ok()
            .and_then(|run| run.occasion)
            .map(|occasion| occasion.schedule)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Backups count together that one schedule took or that are of one type, and that hold the same: one that was
/// limited to some parts must not push out one that holds all. A whole instance is the database and the sources.
fn series(backup: &Backup, schedule: Option<&str>) -> String {
    let manifest = &backup.manifest;
    let mut series = match schedule {
        Some(name) => format!("schedule {name}"),
        None => manifest.backup_type.word().to_owned(),
    };
    let is_whole = manifest.database.is_some() && manifest.files_part(Part::Sources).is_some();
    if !is_whole {
        if manifest.database.is_some() {
            series.push_str(" database");
        }
        for files in &manifest.files {
            series.push(' ');
            series.push_str(files.part.word());
        }
    }
    series
}

/// `None`: nothing is asked of this backup, so it stays.
fn rules(backup: &Backup, schedule: Option<&str>, options: &ForgetOptions) -> Option<KeepRules> {
    let kind = backup.manifest.backup_type;
    let is_asked = (options.types.is_empty() || options.types.contains(&kind))
        && (options.schedule.is_none() || options.schedule.as_deref() == schedule);
    if !is_asked {
        return None;
    }
    let retention = &options.retention;
    options.rules.or_else(|| match kind {
        BackupType::Scheduled => schedule
            .and_then(|name| retention.schedule.get(name).copied())
            .or(retention.scheduled),
        BackupType::Manual => retention.manual,
        BackupType::Automated => retention.automated,
    })
}

/// For each of `order` the stored bytes of what it needs and none before it does.
fn added_bytes(
    repository: &Repository,
    backups: &[Backup],
    order: &[usize],
    progress: &dyn Progress,
) -> Result<Vec<u64>> {
    let reader = repository.reader()?;
    let mut seen = ChunkSet::default();
    let mut added = Vec::new();
    for index in order {
        progress.check()?;
        let Some(backup) = backups.get(*index) else {
            continue;
        };
        let mut bytes = backup.manifest_bytes;
        let mut failure = None;
        for_each_piece(
            &backup.manifest,
            &reader,
            &mut |piece| {
                for id in piece.chunks {
                    if let Some(stored_bytes) = reader.stored_bytes(id)
                        && seen.insert(id)
                    {
                        bytes += stored_bytes;
                    }
                }
            },
            &mut |_, error| {
                failure.get_or_insert(error);
            },
        );
        if let Some(error) = failure {
            return Err(error.context(format!("backup {}", backup.id.short())));
        }
        added.push(bytes);
    }
    Ok(added)
}
