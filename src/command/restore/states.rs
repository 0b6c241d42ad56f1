//! The states that restores replaced and that can be brought back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::journal::{self, Journal, Outcome, Purpose, Record};
use super::recovery::AtWork;
use super::staging;
use crate::command::OWN_DIRECTORY;
use crate::command::backup::{self, BackupOptions};
use crate::command::database;
use crate::command::surroundings::Surroundings;
use crate::error::{ErrorKind, IoContext, Result};
use crate::format::manifest::{BackupId, BackupType, Part};
use crate::instance::Instance;
use crate::postgresql::quote;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::target::database::standing;

/// A state that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptState {
    /// The run that keeps it.
    pub run: String,
    /// What that run did.
    pub purpose: Purpose,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Whether it was live before; else it is what could not be removed of a new state, after the one before was
    /// put back, and is of no use.
    pub is_replaced: bool,
    /// Whether there was no database before: then nothing can go back to it.
    pub lacks_database: bool,
    /// Its database; of what is of no use, one that may be there.
    pub database: Option<String>,
    /// Where its files are.
    pub directories: Vec<PathBuf>,
    /// The backup that was taken of it just before.
    pub safety_backup: Option<BackupId>,
}

impl KeptState {
    /// Whether an undo could bring it back.
    pub fn can_come_back(&self) -> bool {
        self.is_replaced && !self.lacks_database
    }
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

/// With what states are removed.
pub struct Expiry<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// Takes what a state had beyond its safety backup.
    pub repository: &'a Repository,
    /// Threads and programs.
    pub surroundings: &'a Surroundings,
    /// Told of what is done.
    pub progress: &'a dyn Progress,
}

/// Removes every state that was replaced before `limit`, and returns them. Each is backed up once more first:
/// what was committed between its safety backup and the application's stop is nowhere else. What is of no use goes
/// at once.
///
/// Not while a restore is at work.
pub fn expire(expiry: &Expiry<'_>, limit: DateTime<Utc>) -> Result<Vec<KeptState>> {
    let own = expiry.instance.source_path.join(OWN_DIRECTORY);
    if Journal::runs(&own)?.is_empty() {
        return Ok(Vec::new());
    }
    let _at_work = AtWork::begin(expiry.instance)?;
    expiry.finish_removals(&own)?;
    let mut states = kept_states(&expiry.instance.source_path)?;
    states.retain(|state| state.at < limit || !state.is_replaced);
    for state in states.iter().rev() {
        expiry.remove(&own.join(&state.run))?;
    }
    Ok(states)
}

impl Expiry<'_> {
    /// After a backup: removes every state that has been kept for longer than `keeps_old`. That one cannot be
    /// removed is worth saying, and makes the backup no worse.
    pub fn expire_due(&self, keeps_old: TimeDelta) {
        match expire(self, Utc::now() - keeps_old) {
            Ok(expired) => {
                for state in expired {
                    self.progress.warn(&format!(
                        "the state that {} kept has expired and was removed",
                        state.run
                    ));
                }
            }
            // Somebody restores just now.
            Err(error) if error.kind() == ErrorKind::Locked => {}
            Err(error) => self
                .progress
                .warn(&format!("old states could not be removed: {error}")),
        }
    }

    /// Removes what is of no use, else the state that has been kept longest, if there is one.
    pub(super) fn remove_oldest(&self) -> Result<Option<KeptState>> {
        let own = self.instance.source_path.join(OWN_DIRECTORY);
        let states = kept_states(&self.instance.source_path)?;
        let oldest = states
            .into_iter()
            .min_by_key(|state| (state.is_replaced, state.at));
        if let Some(state) = &oldest {
            self.remove(&own.join(&state.run))?;
        }
        Ok(oldest)
    }

    /// A removal that was broken off.
    fn finish_removals(&self, own: &Path) -> Result<()> {
        for directory in Journal::runs(own)? {
            if Journal::open(&directory)?.has(&Record::Expiring) {
                self.remove(&directory)?;
            }
        }
        Ok(())
    }

    fn remove(&self, directory: &Path) -> Result<()> {
        let mut journal = Journal::open(directory)?;
        if !journal.has(&Record::Expiring) {
            self.save(&mut journal)?;
            // From here on it is no state any more that could come back.
            journal.append(Record::Expiring)?;
        }
        let header = journal.header()?.clone();
        if let Some(names) = &header.database {
            let connection = database::connect_to_server(self.instance, self.surroundings)?;
            let mut session = connection.administrator()?;
            // One of the two is gone already, or is live under its own name.
            for name in [&names.old, &names.new] {
                standing::drop(&mut session, name)?;
            }
        }
        for stage in &header.files {
            stage.remove()?;
        }
        forget(directory)
    }

    fn save(&self, journal: &mut Journal) -> Result<()> {
        let is_saved = journal
            .records()
            .iter()
            .any(|record| matches!(record, Record::Saved { .. }));
        let Some(state) = kept_by(journal)?.filter(|state| state.is_replaced && !is_saved) else {
            return Ok(());
        };
        let header = journal.header()?;
        let roots: Vec<_> = header
            .files
            .iter()
            .map(|stage| stage.part)
            .zip(state.directories.iter().cloned())
            .filter(|(_, directory)| directory.is_dir())
            .collect();
        let database = self.database_of(&state)?;
        let mut only: BTreeSet<_> = roots.iter().map(|(part, _)| *part).collect();
        only.extend(database.as_ref().map(|_| Part::Database));
        if only.is_empty() {
            return Ok(());
        }
        self.progress.stage("backing up a state that expires", None);
        let options = BackupOptions {
            backup_type: BackupType::Automated,
            label: Some(format!("before the state of {} was removed", header.run)),
            pin: false,
            only,
            read_all: false,
        };
        let taken = backup::run(
            &self.instance.aside(database.as_deref(), &roots),
            self.repository,
            &options,
            self.surroundings,
            self.progress,
        )
        .map_err(|error| {
            error.context(format!(
                "the state that {} keeps could not be backed up, so it stays",
                header.run
            ))
        })?;
        let backup = taken.summary.id;
        journal.append(Record::Saved { backup })
    }

    /// A state's database; `None` too where somebody has dropped it meanwhile, which must not keep the rest for ever.
    fn database_of(&self, state: &KeptState) -> Result<Option<String>> {
        let Some(name) = &state.database else {
            return Ok(None);
        };
        let connection = database::connect_to_server(self.instance, self.surroundings)?;
        if standing::find(&mut connection.administrator()?, name)?.is_none() {
            self.progress.warn(&format!(
                "database `{name}`, which {} kept, was dropped by somebody: it could not be backed up",
                state.run
            ));
            return Ok(None);
        }
        Ok(Some(name.clone()))
    }
}

fn kept_by(journal: &Journal) -> Result<Option<KeptState>> {
    if journal.has(&Record::Expiring) {
        return Ok(None);
    }
    let header = journal.header()?;
    let (is_replaced, at) = match journal.outcome() {
        Some((Outcome::Done, at)) if !journal.has(&Record::Deleting) => (true, at),
        Some((Outcome::PutBack { kept: true, .. } | Outcome::Lost { .. }, at)) => (false, at),
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
        lacks_database: header.database.is_some() && !had_database,
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
                    stage.area().to_owned()
                }
            })
            .collect(),
        safety_backup: header.safety_backup,
    }))
}

/// What to type to remove a new state that is of no use. The database may be gone already.
pub fn removal<'a>(
    database: Option<&str>,
    directories: impl IntoIterator<Item = &'a Path>,
) -> String {
    let database = database.map(|name| format!("DROP DATABASE IF EXISTS {};", quote::name(name)));
    let directories = directories
        .into_iter()
        .filter(|directory| directory.exists())
        .map(|directory| format!("rm -r '{}'", directory.display()));
    let commands: Vec<_> = database.into_iter().chain(directories).collect();
    commands.join(" ")
}

/// Takes the journal of a run away that has left nothing to go back to.
pub(super) fn forget_cleared(directory: &Path) {
    let keeps_nothing = Journal::open(directory).is_ok_and(|journal| {
        journal.outcome().is_some()
            && !journal.has(&Record::Expiring)
            && kept_by(&journal).is_ok_and(|state| state.is_none())
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
