//! What each call does: a request in, the same JSON as `--json` prints out.

use chrono::TimeDelta;
use serde::Serialize;

use super::hand_over;
use super::requests::{self, parse};
use super::workplace::{Workplace, check_absolute};
use crate::command::backup::{self, BackupOptions};
use crate::command::check_own;
use crate::command::contents::Place;
use crate::command::copy::{self, TakenAndCopied, copy_to_each};
use crate::command::delete::delete as delete_backup;
use crate::command::doctor::{Diagnosis, Examined, doctor as examine};
use crate::command::document::to_json;
use crate::command::drill::{self, DrillOptions};
use crate::command::forget::{self, ForgetOptions};
use crate::command::init::{Claim, init as make_repository};
use crate::command::list::{BackupSummary, ListOptions, list as listed};
use crate::command::nights::schedules;
use crate::command::pin::set_pin;
use crate::command::prune;
use crate::command::restore::states::{KeptState, kept_states};
use crate::command::restore::{self, Destination, RestoreOptions};
use crate::command::runs::{Books, Wanted, back_up, recent};
use crate::command::show::show as detail;
use crate::command::status::{StatusReport, restore as last_restore};
use crate::command::storage::{repositories as repositories_of, storage_use, test as try_storage};
use crate::command::verify::verify as check;
use crate::config::{Configuration, ConfigurationFile};
use crate::error::{Error, Result};
use crate::format::manifest::{InstanceIdentity, Status};
use crate::format::record::Lease;
use crate::instance::history::RunReport;
use crate::job;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::verify::VerifyOptions;
use crate::tomcat;
use crate::tomcat::systemd::Systemd;

pub fn version() -> Result<String> {
    #[derive(Serialize)]
    struct Version {
        version: &'static str,
        revision: &'static str,
    }
    to_json(&Version {
        version: env!("CARGO_PKG_VERSION"),
        revision: env!("OBBACKUP_REVISION"),
    })
}

pub fn init(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Init = parse(request)?;
    let mut file = place.configuration_file()?;
    let section = place.section(Some(&request.repository))?;
    let made = make_repository(
        place.reach(&section, None)?,
        &section.url,
        request.compression,
        &Claim::New,
        Some(&place.instance()?),
        Some(&mut file),
    )?;
    to_json(&made)
}

pub fn backup(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Backup = parse(request)?;
    let options = BackupOptions {
        backup_type: request.kind,
        label: request.label,
        pin: request.pin,
        only: request.only.into_iter().collect(),
        read_all: request.full_read,
    };
    if request.dry_run {
        let plan = backup::plan(
            &place.instance()?,
            &place.repository()?,
            &options,
            &place.surroundings()?,
        )?;
        return to_json(&plan);
    }
    place.operation().run("backup", |progress| {
        let instance = place.instance()?;
        let configuration = place.configuration()?;
        let surroundings = place.surroundings()?;
        let section = place.section(None)?;
        let targets = copy::targets(&configuration, &section, &request.copy_to)?;
        let wanted = Wanted {
            place: &section.url,
            options: &options,
            surroundings: &surroundings,
        };
        let (zone, open) = (place.zone(), || place.repository_to_work_on());
        let taken = back_up(&instance, &configuration, zone, &wanted, open, progress)?;
        if targets.is_empty() {
            return to_json(&taken);
        }
        let repository = place.repository_to_work_on()?;
        let backup = place.resolve(&repository, &taken.summary.id.to_hex())?;
        let owner = Some(instance.owner);
        let cache = place.environment().cache_directory.as_deref();
        let copies = copy_to_each(&repository, &backup, &targets, owner, cache, progress);
        to_json(&TakenAndCopied {
            taken: &taken,
            copies: &copies,
        })
    })
}

pub fn list(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::List = parse(request)?;
    let instance = if request.all_instances {
        None
    } else {
        Some(place.instance()?.id)
    };
    let options = ListOptions {
        instance,
        from: request.from,
        until: request.until,
        backup_type: request.backup_type,
    };
    to_json(&listed(&place.repository()?, &options)?)
}

pub fn show(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::One = parse(request)?;
    let repository = place.repository()?;
    let backup = place.resolve(&repository, &request.id)?;
    to_json(&detail(&repository, &backup)?)
}

pub fn verify(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Verify = parse(request)?;
    let repository = place.repository_itself()?;
    let backup = request
        .id
        .map(|id| place.resolve(&repository, &id))
        .transpose()?;
    let options = VerifyOptions {
        read_data: request.read_data,
        backup: backup.map(|backup| backup.id),
        jobs: place.surroundings()?.jobs,
    };
    place.operation().run("verify", |progress| {
        let verified = check(&repository, &options, progress)?;
        if let Some(damage) = verified.damage()
            && let Err(error) = tell(place, &repository, &damage, progress)
        {
            progress.warn(&format!("nobody is told of the damage: {error}"));
        }
        to_json(&verified)
    })
}

/// Tells whom the damage concerns.
fn tell(
    place: &Workplace,
    repository: &Repository,
    damage: &Error,
    progress: &dyn Progress,
) -> Result<()> {
    let (instance, configuration) = (place.instance()?, place.configuration()?);
    let books = Books::open(&instance, &configuration, place.zone())?;
    books.verify_failed(&repository.storage().location(), damage, progress);
    Ok(())
}

/// Restores one backup for trial.
pub fn drill(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Drill = parse(request)?;
    if let Some(directory) = &request.directory {
        check_absolute("the directory", directory)?;
    }
    let (instance, repository) = (place.instance()?, place.repository_to_work_on()?);
    let backup = place.resolve(&repository, &request.id)?;
    let surroundings = place.surroundings()?;
    let options = DrillOptions::below(
        request.directory,
        &place.configuration()?.drill,
        surroundings.work_directory.clone(),
    );
    if request.dry_run {
        let plan = drill::plan(&instance, &repository, &backup, &options, &surroundings)?;
        return to_json(&plan);
    }
    place.operation().run("drill", |progress| {
        to_json(&drill::run(
            &instance,
            &repository,
            &backup,
            &options,
            &surroundings,
            progress,
        )?)
    })
}

pub fn delete(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::One = parse(request)?;
    let repository = place.repository_to_work_on()?;
    let backup = place.resolve(&repository, &request.id)?;
    check_own(&repository, &backup, &place.instance()?)?;
    place.operation().run("delete", |progress| {
        to_json(&delete_backup(&repository, &backup, progress)?)
    })
}

/// Takes away what no rule keeps.
pub fn forget(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Forget = parse(request)?;
    let (instance, repository) = (place.instance()?, place.repository_to_work_on()?);
    let mut retention = place.configuration()?.retention;
    retention.max_space_gib = request.max_space_gib.or(retention.max_space_gib);
    let options = ForgetOptions {
        retention,
        rules: request.rules,
        types: request.types,
        schedule: request.schedule,
    };
    if request.dry_run {
        return place.operation().run("forget plan", |progress| {
            to_json(&forget::plan(&instance, &repository, &options, progress)?)
        });
    }
    place.operation().run("forget", |progress| {
        to_json(&forget::run_and_prune(
            &instance,
            &repository,
            &options,
            request.prune,
            progress,
        )?)
    })
}

/// Gives back the room of what no backup needs.
pub fn prune(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Prune = parse(request)?;
    let (instance, repository) = (place.instance()?, place.repository_to_work_on()?);
    let grace = request
        .grace_hours
        .map(|hours| TimeDelta::hours(hours.into()));
    let options = prune::options(&place.configuration()?.retention, grace);
    if request.dry_run {
        return place.operation().run("prune plan", |progress| {
            to_json(&prune::plan(&repository, &options, progress)?)
        });
    }
    place.operation().run("prune", |progress| {
        to_json(&prune::run(
            Some(&instance),
            &repository,
            &options,
            progress,
        )?)
    })
}

/// Copies one backup into another repository.
pub fn copy(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Copy = parse(request)?;
    let from = place.repository_to_work_on()?;
    let to = place.other_repository(&request.to)?;
    let backup = place.resolve(&from, &request.id)?;
    if request.dry_run {
        return to_json(&copy::plan(&from, &to, &backup)?);
    }
    place.operation().run("copy", |progress| {
        to_json(&copy::copy(&from, &to, &backup, progress)?)
    })
}

pub fn pin(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Pin = parse(request)?;
    let repository = place.repository()?;
    let backup = place.resolve(&repository, &request.id)?;
    check_own(&repository, &backup, &place.instance()?)?;
    to_json(&set_pin(&repository, &backup, request.pinned)?)
}

/// What replaces the instance outlives the JVM that asks for it, so the command does it, and makes the plans too.
/// What goes beside it is done here.
pub fn restore(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Restore = parse(request)?;
    if let Some(directory) = &request.to_directory {
        check_absolute("the directory", directory)?;
    }
    if request.is_beside() && !request.dry_run {
        restore_beside(place, request)
    } else {
        hand_over::restore(place, &request)
    }
}

fn restore_beside(place: &Workplace, request: requests::Restore) -> Result<String> {
    let paths = request.paths.iter();
    let options = RestoreOptions {
        destination: Destination::Beside {
            database: request.to_database,
            directory: request.to_directory,
        },
        only: request.only.into_iter().collect(),
        paths: paths
            .map(|path| Place::of_files(path.as_bytes()))
            .collect::<Result<_>>()?,
        neutralize: request.neutralize,
    };
    let (instance, repository) = (place.instance()?, place.repository_to_work_on()?);
    let backup = place.resolve(&repository, &request.id)?;
    let surroundings = place.surroundings()?;
    place.operation().run("restore", |progress| {
        to_json(&restore::run(
            Some(&instance),
            &repository,
            &backup,
            &options,
            &surroundings,
            progress,
        )?)
    })
}

/// Handed over like a restore.
pub fn undo(place: &Workplace, request: &str) -> Result<String> {
    hand_over::undo(place, &parse(request)?)
}

/// The restore or undo that runs, or how one ended.
pub fn job(place: &Workplace, request: &str) -> Result<String> {
    #[derive(Serialize)]
    struct Answer {
        #[serde(flatten)]
        report: StatusReport,
        /// Whether the state before the last restore is kept.
        can_undo: bool,
    }
    let request: requests::Job = parse(request)?;
    let instance = place.instance()?;
    let report = match &request.job {
        None => last_restore(&instance)?,
        Some(job) => StatusReport {
            restore: Some(job::Place::of(&instance).find(job)?),
            runs: None,
            old_states: None,
        },
    };
    let can_undo = kept_states(&instance.source_path).is_ok_and(|states| {
        let last = states.iter().find(|state| state.is_replaced);
        last.is_some_and(KeptState::can_come_back)
    });
    to_json(&Answer { report, can_undo })
}

/// How the last runs ended, also those that failed.
pub fn runs(place: &Workplace, request: &str) -> Result<String> {
    #[derive(Serialize)]
    struct Answer {
        runs: Vec<RunReport>,
        warnings: Vec<String>,
    }
    let request: requests::Runs = parse(request)?;
    let instance = place.instance()?;
    let mut warnings = Vec::new();
    let repository = place.repository();
    if let Err(error) = &repository {
        warnings.push(format!("runs of other nodes are not shown: {error}"));
    }
    let both = repository.as_ref().ok().map(|it| (it, &instance));
    let count = usize::from(request.count);
    to_json(&Answer {
        runs: recent(&instance.state()?, both, count)?,
        warnings,
    })
}

pub fn status(place: &Workplace) -> Result<String> {
    #[derive(Serialize)]
    struct Answer {
        instance: InstanceIdentity,
        repository: String,
        leases: Vec<Lease>,
        last_backup: Option<BackupSummary>,
        last_good_backup: Option<BackupSummary>,
    }
    let instance = place.instance()?;
    let repository = place.repository()?;
    let backups = repository.backups()?.backups;
    let own = || {
        backups
            .iter()
            .filter(|backup| backup.manifest.instance.id == instance.id)
    };
    to_json(&Answer {
        instance: instance.identity(),
        repository: repository.storage().location(),
        leases: repository.leases()?,
        last_backup: own().next().map(BackupSummary::from),
        last_good_backup: own()
            .find(|backup| backup.manifest.status == Status::Good)
            .map(BackupSummary::from),
    })
}

pub fn doctor(place: &Workplace) -> Result<String> {
    let instance = place.instance()?;
    let configuration = place.configuration()?;
    let section = &configuration.tomcat;
    let server = tomcat::find(&instance, place.environment(), section, Systemd::running());
    to_json(&Diagnosis::of(examine(&Examined {
        tomcat: server,
        instance: &instance,
        configuration: &configuration,
        surroundings: &place.surroundings()?,
        repository: place.repository_itself(),
        systemd: Systemd::running(),
        zone: place.zone(),
    })))
}

pub fn storage(place: &Workplace) -> Result<String> {
    let marks = place.configuration()?.space;
    to_json(&storage_use(&place.repository()?, &marks)?)
}

/// The repositories of the configuration.
pub fn repositories(place: &Workplace) -> Result<String> {
    to_json(&repositories_of(&place.configuration()?))
}

/// Tries whether a repository can live in a place, which need not be one yet.
pub fn test(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Test = parse(request)?;
    let section = place.section(request.repository.as_deref())?;
    let storage = place.reach(&section, None)?;
    place
        .operation()
        .run("storage test", |_| to_json(&try_storage(&*storage)?))
}

/// Changes what is asked for, and answers with the whole configuration. Secrets show as `***`.
pub fn settings(place: &Workplace, request: &str) -> Result<String> {
    #[derive(Serialize)]
    struct Answer<'a> {
        path: &'a std::path::Path,
        exists: bool,
        warnings: &'a [String],
        configuration: &'a Configuration,
    }
    let request: requests::Settings = parse(request)?;
    let mut file: ConfigurationFile = place.configuration_file()?;
    if !request.set.is_empty() {
        let settings = request.set.iter();
        file.set(settings.map(|setting| (setting.key.as_str(), setting.value.as_ref())))?;
        let mut keys = request.set.iter().map(|setting| &setting.key);
        if keys.any(|key| key.starts_with("schedule.")) {
            schedules(file.configuration(), place.zone())?;
        }
        file.save(place.instance()?.owner)?;
    }
    to_json(&Answer {
        path: file.path(),
        exists: file.exists(),
        warnings: file.warnings(),
        configuration: file.configuration(),
    })
}

pub fn progress(place: &Workplace) -> Result<String> {
    to_json(&place.operation().poll())
}
