//! Taking a backup: what it builds upon, what it holds, its manifest and the record of its run.

mod scheduled;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::capture::Capture;
use super::database::{self, Connection, check_status};
use super::list::BackupSummary;
use super::restore::recovery;
use super::space;
use super::surroundings::Surroundings;
use super::tenant;
use super::throttle::Throttled;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::{ChunkId, random_id};
use crate::format::manifest::{
    BackupId, BackupType, InstanceIdentity, Manifest, Part, Statistics, Status,
};
use crate::format::record::{LeaseMode, OK, Occasion, PARTIAL, Run};
use crate::instance::{FileRoot, Instance, check_nesting};
use crate::postgresql::client::Session;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::glance::Rooms;
use crate::repository::lock::Lock;
use crate::repository::reader::Reader;
use crate::repository::writer::Writer;

pub use scheduled::{Scheduled, run_scheduled};

/// What kind of backup to take.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// Why it is taken.
    pub backup_type: BackupType,
    /// Free text that the list shows.
    pub label: Option<String>,
    /// Retention must keep it.
    pub pin: bool,
    /// Only these parts; all that there are, when empty.
    pub only: BTreeSet<Part>,
    /// Read every file, even those that look unchanged.
    pub read_all: bool,
}

/// What a backup would do.
#[derive(Debug, Clone, Serialize)]
pub struct BackupPlan {
    /// The instance.
    pub instance: InstanceIdentity,
    /// Where the backup goes.
    pub repository: String,
    /// Why it is taken.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// The database, unless it is left out.
    pub database: Option<PlannedDatabase>,
    /// The directories.
    pub files: Vec<PlannedFiles>,
    /// The backup that unchanged files are taken over from.
    pub parent: Option<BackupId>,
    /// What this user can still write on the repository's device.
    pub free_bytes: Option<u64>,
    /// What a person should know before.
    pub warnings: Vec<String>,
}

/// The database of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedDatabase {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub server: String,
    /// The server's version.
    pub server_version: String,
    /// Tables to read.
    pub tables: u64,
    /// Bytes of heap and TOAST to read.
    pub bytes: u64,
}

/// A directory of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedFiles {
    /// The part.
    pub part: Part,
    /// The directory.
    pub root: PathBuf,
}

/// What came of a backup.
#[derive(Debug, Clone, Serialize)]
pub struct BackupTaken {
    /// The backup.
    #[serde(flatten)]
    pub summary: BackupSummary,
}

/// Looks at everything that a backup needs, and changes nothing.
pub fn plan(
    instance: &Instance,
    repository: &Repository,
    options: &BackupOptions,
    surroundings: &Surroundings,
) -> Result<BackupPlan> {
    let roots = roots(instance, repository, options)?;
    let repository = &repository.glance(Rooms::Small)?;
    repository.check_tenure(tenant(instance))?;
    let mut warnings = instance.warnings.clone();
    let mut planned = None;
    if wants(options, Part::Database) {
        let connection = database::connect(instance, surroundings)?;
        let mut source = connection.open()?;
        let facts = source.openbravo_facts()?;
        warnings.extend(check_status(instance, facts.system_status.as_deref())?);
        planned = Some(PlannedDatabase {
            name: instance.database.name.clone(),
            server: connection.server(),
            server_version: super::list::server_version(source.server_version()),
            tables: source.tables() as u64,
            bytes: source.estimated_bytes(),
        });
    }
    Ok(BackupPlan {
        instance: instance.identity(),
        repository: repository.storage().location(),
        backup_type: options.backup_type,
        database: planned,
        files: roots
            .into_iter()
            .map(|root| PlannedFiles {
                part: root.part,
                root: root.written,
            })
            .collect(),
        parent: parent(repository, instance)?.map(|backup| backup.id),
        free_bytes: repository.storage().space()?.map(|space| space.free_bytes),
        warnings,
    })
}

/// Takes the backup. Its run is recorded in the repository, also when it fails.
pub fn run(
    instance: &Instance,
    repository: &Repository,
    options: &BackupOptions,
    surroundings: &Surroundings,
    progress: &dyn Progress,
) -> Result<BackupTaken> {
    repository.until_stopped(progress, || {
        let begun = begin(instance, repository)?;
        begun.locked(instance, options, surroundings, progress, None)
    })
}

/// The right to write the instance's backups, which another machine may have by now.
struct Begun {
    lock: Lock,
    /// The repository as it was when the lease was proven: what this backup takes over from it. Nobody else writes
    /// backups of this instance meanwhile, and nobody deletes.
    seen: Repository,
}

fn begin(instance: &Instance, repository: &Repository) -> Result<Begun> {
    recovery::refuse_unfinished(instance)?;
    let tenant = tenant(instance);
    let (lock, seen) = repository.lock_as(tenant, LeaseMode::Write, "backup", Rooms::WithPacks)?;
    Ok(Begun { lock, seen })
}

/// The word for a failure in records.
pub fn outcome_word(kind: ErrorKind) -> String {
    kind.name().to_lowercase()
}

impl Begun {
    /// Everything between taking and giving back the lock.
    fn locked(
        self,
        instance: &Instance,
        options: &BackupOptions,
        surroundings: &Surroundings,
        progress: &dyn Progress,
        occasion: Option<Occasion>,
    ) -> Result<BackupTaken> {
        recovery::refuse_unfinished(instance)?;
        let started_at = Utc::now();
        let run = random_id(8)?;
        progress.begin(&run);
        let job = Job {
            instance,
            begun: &self,
            options,
            surroundings,
            progress,
        };
        let taken = surroundings
            .throttle
            .stand_back(progress, || job.take(started_at, &run));
        let backup = taken.as_ref().ok();
        let record = Run {
            backup_type: Some(options.backup_type),
            backup: backup.map(|backup| backup.id),
            backup_finished_at: backup.map(|backup| backup.manifest.finished_at),
            outcome: match &taken {
                Ok(backup) if backup.manifest.status == Status::Partial => PARTIAL.to_owned(),
                Ok(_) => OK.to_owned(),
                Err(error) => outcome_word(error.kind()),
            },
            message: taken.as_ref().err().map(Error::message),
            occasion,
            ..Run::ended(run, "backup", &instance.id, &instance.host, started_at)
        };
        let recorded = self.seen.record(&record);
        let backup = taken?;
        // The backup exists from its manifest on. That its run has no record is worth saying, not failing.
        if let Err(error) = recorded {
            progress.warn(&format!(
                "the record of this run could not be written: {error}"
            ));
        }
        Ok(BackupTaken {
            summary: BackupSummary::from(&backup),
        })
    }
}

/// One backup's request.
struct Job<'a> {
    instance: &'a Instance,
    begun: &'a Begun,
    options: &'a BackupOptions,
    surroundings: &'a Surroundings,
    progress: &'a dyn Progress,
}

impl Job<'_> {
    fn take(&self, started_at: DateTime<Utc>, run: &str) -> Result<Backup> {
        let Self {
            instance,
            options,
            progress,
            ..
        } = *self;
        let Begun { lock, seen } = self.begun;
        progress.stage("preparing", None);
        let roots = roots(instance, seen, options)?;
        let (connection, known) = self.prepare()?;
        let Known {
            parent,
            reader,
            writer,
        } = known;
        let sink = Throttled::new(&writer, self.surroundings.throttle, progress);
        let mut identity = instance.identity();
        let mut capture = Capture {
            instance,
            options,
            jobs: self.surroundings.jobs,
            progress,
            parent: parent.as_ref(),
            reader: &reader,
            sink: &sink,
            files: Vec::new(),
            files_read: 0,
            warnings: instance.warnings.clone(),
            partial: false,
        };
        capture.warnings.extend(writer.notes().iter().cloned());
        let attachments = roots.iter().find(|root| root.part == Part::Attachments);
        let database = connection
            .as_ref()
            .map(|connection| {
                capture.database_and_attachments(connection, attachments, &mut identity)
            })
            .transpose()?;
        if database.is_none() {
            attachments.map(|root| capture.part(root)).transpose()?;
        }
        for root in roots.iter().filter(|root| root.part != Part::Attachments) {
            capture.part(root)?;
        }
        let Capture {
            mut files,
            files_read,
            mut warnings,
            partial,
            ..
        } = capture;
        progress.stage("finishing", None);
        progress.check()?;
        let written = std::thread::scope(|scope| {
            // Asked meanwhile, so that the commit need not.
            scope.spawn(|| lock.check());
            writer.finish()
        })?;
        files.sort_by_key(|files| files.part);
        if let (Some(database), Some(parent)) = (&database, &parent) {
            warnings.extend(database::shrunken(database, parent));
        }
        for warning in &warnings {
            progress.warn(warning);
        }
        let statistics = Statistics {
            database_bytes: database.as_ref().map_or(0, |database| database.bytes),
            files: files.iter().map(|files| files.files).sum(),
            files_bytes: files.iter().map(|files| files.bytes).sum(),
            files_read,
            new_bytes: written.new_bytes,
            stored_bytes: written.stored_bytes,
        };
        let manifest = Manifest {
            format: crate::format::VERSION,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            backup_type: options.backup_type,
            status: if partial {
                Status::Partial
            } else {
                Status::Good
            },
            label: options.label.clone(),
            pinned: options.pin,
            started_at,
            finished_at: Utc::now(),
            parent: parent.map(|backup| backup.id),
            run: run.to_owned(),
            instance: identity,
            database,
            files,
            statistics,
            warnings,
            indexes: written.indexes,
        };
        let id = seen.commit(&manifest, lock)?;
        Ok(Backup {
            id,
            manifest,
            manifest_bytes: 0,
        })
    }
}

impl Job<'_> {
    /// What is needed before the first byte is read. Neither the server of the database nor the repository need wait
    /// for the other.
    fn prepare(&self) -> Result<(Option<Connection>, Known)> {
        let instance = self.instance;
        let (connection, known) = std::thread::scope(|scope| {
            let known = scope.spawn(|| Known::gather(&self.begun.seen, instance));
            let connection = wants(self.options, Part::Database)
                .then(|| database::connect(instance, self.surroundings))
                .transpose();
            let known = known.join().unwrap_or_else(|panic| resume_unwind(panic));
            (connection, known)
        });
        let (connection, known) = (connection?, known?);
        self.check_room(connection.as_ref())?;
        self.begun.seen.storage().hold_reserve()?;
        Ok((connection, known))
    }

    /// Before anything is written: a device that fills up half-way helps nobody.
    fn check_room(&self, connection: Option<&Connection>) -> Result<()> {
        let seen = &self.begun.seen;
        let storage = seen.storage();
        let Some(room) = storage.space()? else {
            return Ok(());
        };
        let found = seen.backups()?;
        let previous: Vec<Backup> = found
            .backups
            .into_iter()
            .filter(|backup| backup.manifest.instance.id == self.instance.id)
            .collect();
        let database_bytes = match connection {
            Some(connection) if previous.is_empty() => Session::open(&connection.application)?
                .value(
                    "database size",
                    "SELECT pg_database_size(current_database())::text",
                )?
                .and_then(|text| text.parse().ok()),
            _ => None,
        };
        space::check_room(&storage.location(), &room, &previous, database_bytes)
    }
}

/// What a backup builds upon.
struct Known {
    parent: Option<Backup>,
    reader: Reader,
    writer: Writer,
}

impl Known {
    fn gather(seen: &Repository, instance: &Instance) -> Result<Self> {
        let parent = parent(seen, instance)?;
        let reader = seen.reader()?;
        let writer = seen.writer()?;
        // What tells which files did not change is all about to be read, part after part.
        let files = parent.iter().flat_map(|parent| &parent.manifest.files);
        let catalogs: Vec<ChunkId> = files
            .flat_map(|files| files.catalog.chunks.iter().copied())
            .collect();
        reader.fetch_ahead(&catalogs);
        Ok(Self {
            parent,
            reader,
            writer,
        })
    }
}

fn wants(options: &BackupOptions, part: Part) -> bool {
    options.only.is_empty() || options.only.contains(&part)
}

/// The directories to back up. `Usage` where none or not all of those asked for are there, or where the
/// repository lies inside of the instance.
fn roots(
    instance: &Instance,
    repository: &Repository,
    options: &BackupOptions,
) -> Result<Vec<FileRoot>> {
    check_nesting(&repository.storage().location(), instance)?;
    let roots: Vec<_> = instance
        .roots()
        .into_iter()
        .filter(|root| wants(options, root.part))
        .collect();
    let absent = options
        .only
        .iter()
        .find(|part| **part != Part::Database && !roots.iter().any(|root| root.part == **part));
    match absent {
        Some(part) => Err(Error::new(
            ErrorKind::Usage,
            format!("the instance `{}` has no {part}", instance.name),
        )
        .hint("`obbackup doctor` shows what was found and where.")),
        None => Ok(roots),
    }
}

/// The newest backup of the same instance, whatever its status: only what it holds is taken over.
fn parent(repository: &Repository, instance: &Instance) -> Result<Option<Backup>> {
    let found = repository.backups()?;
    Ok(found.backups.into_iter().find(|backup| {
        backup.manifest.instance.id == instance.id && !backup.manifest.files.is_empty()
    }))
}
