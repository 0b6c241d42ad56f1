//! Making a repository, sharing one, or taking one over; and writing down which instance it is for.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use serde::Serialize;

use super::tenant;
use crate::codec::Compression;
use crate::config::ConfigurationFile;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::random_id;
use crate::format::record::{LeaseMode, Run};
use crate::instance::{Instance, check_nesting};
use crate::repository::Repository;
use crate::repository::backups::{Backup, Backups};
use crate::storage::Storage;

/// What the repository becomes for the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A new one.
    New,
    /// One that holds backups of other instances, which stay theirs.
    Share,
    /// One whose instance goes on here: this machine gets its id, and the one that had it before can write no more.
    TakeOver {
        /// The instance's id, or its first digits, or its name; needed where there are several.
        of: Option<String>,
    },
}

/// What `init` made.
#[derive(Debug, Clone, Serialize)]
pub struct Initialized {
    /// Where the repository is.
    pub repository: String,
    /// Its id.
    pub repository_id: String,
    /// How it compresses.
    pub compression: Compression,
    /// The configuration that names it, unless there is no instance.
    pub configuration: Option<PathBuf>,
    /// The instance's id.
    pub instance_id: Option<String>,
    /// What was taken over.
    pub taken_over: Option<TakenOver>,
}

/// An instance that goes on here.
#[derive(Debug, Clone, Serialize)]
pub struct TakenOver {
    /// Its name.
    pub name: String,
    /// The host that it was on.
    pub host: String,
    /// Its backups, which are this machine's now.
    pub backups: u64,
}

/// The name under which `init` writes the first repository down.
const FIRST_NAME: &str = "main";
/// Bytes of chance in a holder's word.
const HOLDER_BYTES: usize = 16;

/// Makes a repository of `storage`, or claims the one that is there, and names it in the configuration of the instance,
/// where none is named yet that has its `url`.
///
/// The repository comes first: a configuration never names one that is not there, and never has an id that another
/// machine may still write under.
pub fn init(
    storage: Arc<dyn Storage>,
    url: &str,
    compression: Compression,
    claim: &Claim,
    instance: Option<&Instance>,
    configuration: Option<&mut ConfigurationFile>,
) -> Result<Initialized> {
    if let Some(instance) = instance {
        check_nesting(&storage.location(), instance)?;
    }
    let mut id = instance.map(|instance| instance.id.clone());
    let mut holder = None;
    let mut taken_over = None;
    let repository = match (claim, instance) {
        (Claim::New, _) => Repository::init(storage, compression)?,
        (_, None) => {
            return Err(Error::new(
                ErrorKind::Usage,
                "no instance is named that could have the repository",
            )
            .hint("Name it: --instance /opt/openbravo, or run the command inside of it."));
        }
        (Claim::Share, Some(_)) => {
            let repository = Repository::open(storage)?;
            repository.prove_create_once()?;
            repository
        }
        (Claim::TakeOver { of }, Some(instance)) => {
            let repository = Repository::open(storage)?;
            let found = repository.backups()?;
            let newest = whose(&found, of.as_deref(), instance, &repository)?;
            let of = &newest.manifest.instance;
            repository.prove_create_once()?;
            let word = random_id(HOLDER_BYTES)?;
            // While the old machine is at work there it keeps the instance; afterwards it sees the mark.
            let lock = repository.lock(LeaseMode::Write, &of.id, "take-over")?;
            repository.take_over(&of.id, newest.id, &word)?;
            drop(lock);
            let all = found.backups.iter();
            taken_over = Some(TakenOver {
                name: of.name.clone(),
                host: of.host.clone(),
                backups: all.filter(|one| one.manifest.instance.id == of.id).count() as u64,
            });
            id = Some(of.id.clone());
            holder = Some(word);
            repository
        }
    };
    let location = repository.storage().location();
    let mut written = None;
    if let (Some(id), Some(instance)) = (&id, instance) {
        if let Some(file) = configuration {
            file.set_instance_id(id)?;
            if let Some(holder) = &holder {
                file.set_holder(holder)?;
            }
            let known = &file.configuration().repository;
            // One that was named in the file has its section, and may have more in it than its url.
            if known
                .values()
                .all(|other| other.url != url && other.url != location)
            {
                let mut name = FIRST_NAME.to_owned();
                let mut number = 2;
                while known.contains_key(&name) {
                    name = format!("{FIRST_NAME}-{number}");
                    number += 1;
                }
                file.add_repository(&name, &location, false)?;
            }
            file.save(instance.owner)?;
            written = Some(file.path().to_owned());
        }
        // What tells later that the instance belongs here although it has no backup yet.
        let run = random_id(8)?;
        repository.record(&Run::ended(run, "init", id, &instance.host, Utc::now()))?;
    }
    Ok(Initialized {
        repository: location,
        repository_id: repository.header().id.clone(),
        compression: repository.header().compression,
        configuration: written,
        instance_id: id,
        taken_over,
    })
}

/// The newest backup of the instance that is meant.
fn whose<'a>(
    found: &'a Backups,
    of: Option<&str>,
    instance: &Instance,
    repository: &Repository,
) -> Result<&'a Backup> {
    let own = tenant(instance).instance;
    // The newest of each instance, in that order.
    let mut newest: Vec<&Backup> = Vec::new();
    for backup in &found.backups {
        let id = &backup.manifest.instance.id;
        if !newest.iter().any(|known| known.manifest.instance.id == *id) {
            newest.push(backup);
        }
    }
    let names = |backup: &&&Backup| {
        let known = &backup.manifest.instance;
        of.is_none_or(|of| known.id.starts_with(of) || known.name == of)
    };
    let matches: Vec<&&Backup> = newest.iter().filter(names).collect();
    match matches.as_slice() {
        [] => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no backup of {} in `{}`",
                of.map_or_else(
                    || "any instance".to_owned(),
                    |of| format!("an instance `{of}`")
                ),
                repository.storage().location()
            ),
        )
        .hint("`obbackup list --all-instances` shows what is there.")),
        [one] => Ok(one),
        several => {
            let listed: Vec<_> = several
                .iter()
                .map(|backup| {
                    let known = &backup.manifest.instance;
                    let mine = if known.id == own { ", this one" } else { "" };
                    format!("{} ({} on {}{mine})", known.id, known.name, known.host)
                })
                .collect();
            Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "there are backups of several instances: {}",
                    listed.join("; ")
                ),
            )
            .hint("Say which: --of ID"))
        }
    }
}
