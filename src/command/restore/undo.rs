//! Bringing back the state before the last restore: itself a restore, whose new state is the one that was kept.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Control;
use super::in_place::{self, Replaced};
use super::journal::{DatabaseNames, Header, Journal, Purpose};
use super::recovery::AtWork;
use super::states::{self, KeptState};
use super::steps::Steps;
use crate::command::OWN_DIRECTORY;
use crate::command::database::{self, Connection};
use crate::command::surroundings::Surroundings;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::Part;
use crate::format::record::LeaseMode;
use crate::instance::Instance;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::interruption::Held;
use crate::target::database::standing;

/// What an undo would do.
#[derive(Debug, Clone, Serialize)]
pub struct UndoPlan {
    /// The state that comes back.
    pub state: KeptState,
    /// The database that will be live under its name, and the one that it is now.
    pub database: Option<UndoneDatabase>,
    /// The directories that are exchanged.
    pub files: Vec<UndoneFiles>,
    /// What a person should know before.
    pub notes: Vec<String>,
}

/// The database of an undo.
#[derive(Debug, Clone, Serialize)]
pub struct UndoneDatabase {
    /// The instance's database.
    pub name: String,
    /// The kept database that takes its place.
    pub from: String,
}

/// A directory of an undo.
#[derive(Debug, Clone, Serialize)]
pub struct UndoneFiles {
    /// The part.
    pub part: Part,
    /// The live directory.
    pub to: PathBuf,
    /// Where its old content is kept.
    pub from: PathBuf,
}

/// What came of an undo.
#[derive(Debug, Clone, Serialize)]
pub struct Undone {
    /// The run that was undone.
    pub undone: String,
    /// Since when its state had been live.
    pub undone_at: DateTime<Utc>,
    /// The database that is live again, under its own name.
    pub database: Option<String>,
    /// The directories whose old content is back.
    pub directories: Vec<PathBuf>,
    /// Where the state before the undo is: another undo brings it back.
    pub replaced: Replaced,
}

/// Looks at what an undo would bring back, and changes nothing. `NotFound` where nothing is kept.
pub fn plan(instance: &Instance, surroundings: &Surroundings) -> Result<UndoPlan> {
    let (state, journal) = last(instance)?;
    check_files(&journal)?;
    let header = journal.header()?;
    let mut notes = vec![format!(
        "what was done since {} is in the safety backup and in the state that is kept then",
        state.at.format("%Y-%m-%d %H:%M:%S UTC")
    )];
    let mut planned = None;
    if let Some(names) = &header.database {
        let connection = database::connect_to_server(instance, surroundings)?;
        check_database(&connection, names, header)?;
        planned = Some(UndoneDatabase {
            name: names.live.clone(),
            from: names.old.clone(),
        });
    }
    if header.safety_backup.is_none() {
        notes.push("no backup of this state was taken before it was replaced".to_owned());
    }
    Ok(UndoPlan {
        database: planned,
        files: header
            .files
            .iter()
            .map(|stage| UndoneFiles {
                part: stage.part,
                to: stage.areas.root.clone(),
                from: stage.areas.old.clone(),
            })
            .collect(),
        state,
        notes,
    })
}

/// Brings back the state before the last restore. `repository` takes a backup of the present state first,
/// where there is one.
pub fn run(
    instance: &Instance,
    repository: Option<&Repository>,
    surroundings: &Surroundings,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Undone> {
    let _at_work = AtWork::after_recovery(instance, surroundings, control, progress)?;
    progress.stage("planning", None);
    let (state, journal) = last(instance)?;
    check_files(&journal)?;
    let of = journal.header()?.clone();
    let connection = match &of.database {
        Some(names) => {
            let connection = database::connect_to_server(instance, surroundings)?;
            check_database(&connection, names, &of)?;
            Some(connection)
        }
        None => None,
    };
    in_place::refuse_sessions(instance, connection.as_ref(), control)?;
    let mut safety_backup = None;
    if let Some(repository) = repository {
        let label = format!("before the undo of {}", of.run);
        let (id, _) =
            in_place::take_safety_backup(instance, repository, surroundings, label, progress)?;
        safety_backup = Some(id);
    }
    let lock = repository
        .map(|repository| repository.hold(LeaseMode::Write, &instance.id, "undo", progress))
        .transpose()?;
    let run = format!("undo-{}", Utc::now().format("%Y%m%dT%H%M%S%3fZ"));
    let files = of.files.iter().map(|stage| stage.undone_by(&run));
    let header = Header::new(
        &run,
        Purpose::Undo { of: of.run.clone() },
        safety_backup,
        of.database.as_ref().map(|names| DatabaseNames {
            live: names.live.clone(),
            new: names.old.clone(),
            old: in_place::new_name(&names.live, "old", &run),
        }),
        files.collect(),
    );
    let mut steps = Steps::of_run(instance, header, connection, control, progress)?;
    let ready = progress
        .check()
        .and_then(|()| lock.as_ref().map_or(Ok(()), Held::check))
        .and_then(|()| in_place::refuse_sessions(instance, steps.connection.as_ref(), control))
        .and_then(|()| {
            let mut stages = steps.journal.header()?.files.iter();
            stages.try_for_each(|stage| stage.make(instance.owner))
        })
        .and_then(|()| steps.begin());
    if let Err(error) = ready {
        return Err(steps.give_up(error));
    }
    if let Err(error) = steps.forward() {
        return Err(steps.take_back(&error));
    }
    Ok(Undone {
        undone: of.run,
        undone_at: state.at,
        database: of.database.map(|names| names.live),
        directories: of.files.into_iter().map(|stage| stage.areas.root).collect(),
        replaced: in_place::replaced(&steps.journal)?,
    })
}

/// The state before the last restore, and that restore's journal.
fn last(instance: &Instance) -> Result<(KeptState, Journal)> {
    let state = states::kept_states(&instance.source_path)?
        .into_iter()
        .find(|state| state.is_replaced)
        .ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no restore to undo").hint(
                "The state before a restore is kept for some days only. A backup of it is in the list: \
                 obbackup list --type automated",
            )
        })?;
    if !state.can_come_back() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "there was no database before the last restore, so there is nothing to go back to",
        )
        .hint("`obbackup doctor` tells how long the files that were there are kept."));
    }
    let own = instance.source_path.join(OWN_DIRECTORY);
    let journal = Journal::open(&own.join(&state.run))?;
    Ok((state, journal))
}

fn check_database(connection: &Connection, names: &DatabaseNames, header: &Header) -> Result<()> {
    if standing::find(&mut connection.administrator()?, &names.old)?.is_some() {
        return Ok(());
    }
    let what = format!(
        "the database before the {}, `{}`, is not there",
        header.purpose.word(),
        names.old
    );
    Err(gone(what, header))
}

/// Where somebody has removed old files, nothing would take the place of what is live.
fn check_files(journal: &Journal) -> Result<()> {
    let header = journal.header()?;
    for (stage, exchange) in header.files.iter().zip(journal.exchanges()) {
        let entries = || exchange.entries.iter();
        let gone_entries = entries().filter(|entry| !stage.areas.keeps(entry)).count();
        if gone_entries > 0 {
            let what = format!(
                "of the {} before the {}, {gone_entries} of {} entries are not in `{}` any more",
                stage.part,
                header.purpose.word(),
                entries().count(),
                stage.areas.old.display()
            );
            return Err(gone(what, header));
        }
    }
    Ok(())
}

/// `NotFound`, with the way that is left.
fn gone(what: String, header: &Header) -> Error {
    Error::new(ErrorKind::NotFound, what).hint(match header.safety_backup {
        Some(id) => format!(
            "Somebody has removed it. Restore the backup that was taken before: obbackup restore {}",
            id.short()
        ),
        None => "Somebody has removed it, and no backup was taken before: see obbackup list".to_owned(),
    })
}
