//! What each call does: a request in, the same JSON as `--json` prints out.

use serde::Serialize;

use super::hand_over;
use super::requests::{self, parse};
use super::workplace::{Workplace, check_url};
use crate::command::backup::{self, BackupOptions};
use crate::command::delete::delete as delete_backup;
use crate::command::doctor::{Diagnosis, Examined, doctor as examine};
use crate::command::document::to_json;
use crate::command::init::{Claim, init as make_repository};
use crate::command::list::{BackupSummary, ListOptions, list as listed};
use crate::command::pin::set_pin;
use crate::command::runs::Books;
use crate::command::show::show as detail;
use crate::command::storage::storage_use;
use crate::command::verify::verify as check;
use crate::config::{Configuration, ConfigurationFile, RepositorySection};
use crate::error::Result;
use crate::format::manifest::{InstanceIdentity, Status};
use crate::format::record::Lease;
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
    check_url(&request.repository)?;
    let mut file = place.configuration_file()?;
    let made = make_repository(
        &RepositorySection::at(request.repository),
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
        let url = place.repository_section(&configuration)?.url;
        // A backup does not fail because nothing can be written down of it.
        let taken = match Books::open(&instance, &configuration, place.zone()) {
            Ok(books) => {
                let open = || place.repository();
                books.back_up(&url, open, &options, &surroundings, progress)?
            }
            Err(error) => {
                progress.warn(&format!("nothing is written down of this run: {error}"));
                let repository = place.repository()?;
                backup::run(&instance, &repository, &options, &surroundings, progress)?
            }
        };
        to_json(&taken)
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
    let repository = place.repository()?;
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
        to_json(&check(&repository, &options, progress)?)
    })
}

pub fn delete(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::One = parse(request)?;
    let repository = place.repository()?;
    let backup = place.resolve(&repository, &request.id)?;
    place.operation().run("delete", |progress| {
        to_json(&delete_backup(&repository, &backup, progress)?)
    })
}

pub fn pin(place: &Workplace, request: &str) -> Result<String> {
    let request: requests::Pin = parse(request)?;
    let repository = place.repository()?;
    let backup = place.resolve(&repository, &request.id)?;
    to_json(&set_pin(&repository, &backup, request.pinned)?)
}

/// A restore outlives the JVM that asks for it, so the command does it; its plan comes from there too.
pub fn restore(place: &Workplace, request: &str) -> Result<String> {
    hand_over::restore(place, &parse(request)?)
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
        repository: place.repository(),
        systemd: Systemd::running(),
        zone: place.zone(),
    })))
}

pub fn storage(place: &Workplace) -> Result<String> {
    let marks = place.configuration()?.space;
    to_json(&storage_use(&place.repository()?, &marks)?)
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
        for setting in &request.set {
            file.set(&setting.key, setting.value.as_ref())?;
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
