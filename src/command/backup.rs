//! Taking a backup.
//!
//! The order decides what a backup is worth. Attachments are walked, then the database's snapshot is taken,
//! then attachments are walked again and both passes kept: so each file that a row of the snapshot names
//! is in the backup, whether it was deleted just after the first walk or added just before the snapshot.
//! The database follows at once, so that its snapshot is held as briefly as possible; then everything else.

mod scheduled;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::attachments::{missing_files, named_files};
use super::contents::file_entries;
use super::database::{self, Connection, check_status};
use super::list::BackupSummary;
use super::restore::recovery;
use super::space;
use super::surroundings::Surroundings;
use super::tenant;
use super::throttle::Throttled;
use crate::chunk::{ChunkSink as _, ChunkSource as _, ChunkWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::format::catalog::write_entry;
use crate::format::file::FileEntry;
use crate::format::id::random_id;
use crate::format::manifest::{
    BackupId, BackupType, Catalog, DatabasePart, FilesPart, InstanceIdentity, Manifest, Part,
    Statistics, Status,
};
use crate::format::record::{LeaseMode, OK, Occasion, PARTIAL, Run};
use crate::instance::{FileRoot, Instance, check_nesting};
use crate::postgresql::client::Session;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::lock::Lock;
use crate::repository::reader::Reader;
use crate::repository::writer::Writer;
use crate::source::database::DatabaseSource;
use crate::source::files::{self, CaptureOptions, Exclusions, FilesCapture, Parent, paths_present};

pub use scheduled::{Scheduled, run_scheduled};

/// How often a snapshot is taken until one names no attachment that came and went between the passes around it.
const SNAPSHOT_ATTEMPTS: u32 = 3;

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
    let lock = lock(instance, repository)?;
    locked(
        instance,
        repository,
        options,
        surroundings,
        progress,
        &lock,
        None,
    )
}

/// The right to write the instance's backups, which another machine may have by now.
fn lock(instance: &Instance, repository: &Repository) -> Result<Lock> {
    recovery::refuse_unfinished(instance)?;
    // Before the lease: in a repository that is only read, not even that is written.
    repository.check_tenure(tenant(instance))?;
    let lock = repository.lock(LeaseMode::Write, &instance.id, "backup")?;
    repository.check_takeovers(tenant(instance))?;
    Ok(lock)
}

/// The word for a failure in records.
pub fn outcome_word(kind: ErrorKind) -> String {
    kind.name().to_lowercase()
}

/// Everything between taking and giving back the lock.
fn locked(
    instance: &Instance,
    repository: &Repository,
    options: &BackupOptions,
    surroundings: &Surroundings,
    progress: &dyn Progress,
    lock: &Lock,
    occasion: Option<Occasion>,
) -> Result<BackupTaken> {
    recovery::refuse_unfinished(instance)?;
    let started_at = Utc::now();
    let run = random_id(8)?;
    progress.begin(&run);
    let job = Job {
        instance,
        repository,
        options,
        surroundings,
        progress,
    };
    let taken = surroundings
        .throttle
        .stand_back(progress, || job.take(started_at, &run, lock));
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
    let recorded = repository.record(&record);
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

/// One backup's request.
struct Job<'a> {
    instance: &'a Instance,
    repository: &'a Repository,
    options: &'a BackupOptions,
    surroundings: &'a Surroundings,
    progress: &'a dyn Progress,
}

impl Job<'_> {
    fn take(&self, started_at: DateTime<Utc>, run: &str, lock: &Lock) -> Result<Backup> {
        let Self {
            instance,
            repository,
            options,
            progress,
            ..
        } = *self;
        progress.stage("preparing", None);
        let roots = roots(instance, repository, options)?;
        let connection = if wants(options, Part::Database) {
            Some(database::connect(instance, self.surroundings)?)
        } else {
            None
        };
        let parent = parent(repository, instance)?;
        self.check_room(connection.as_ref())?;
        repository.storage().hold_reserve()?;
        let reader = repository.reader()?;
        let writer = repository.writer()?;
        let sink = Throttled::new(&writer, self.surroundings.throttle, progress);
        let mut identity = instance.identity();
        let mut capture = Capture {
            job: self,
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
        let written = writer.finish()?;
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
        let id = repository.commit(&manifest, lock)?;
        Ok(Backup {
            id,
            manifest,
            manifest_bytes: 0,
        })
    }
}

impl Job<'_> {
    /// Before anything is written: a device that fills up half-way helps nobody.
    fn check_room(&self, connection: Option<&Connection>) -> Result<()> {
        let found = self.repository.backups()?;
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
        space::check_room(self.repository, &previous, database_bytes)
    }
}

/// A backup being gathered.
struct Capture<'a> {
    job: &'a Job<'a>,
    parent: Option<&'a Backup>,
    reader: &'a Reader,
    sink: &'a Throttled<'a, Writer>,
    files: Vec<FilesPart>,
    files_read: u64,
    warnings: Vec<String>,
    partial: bool,
}

impl Capture<'_> {
    fn database_and_attachments(
        &mut self,
        connection: &Connection,
        attachments: Option<&FileRoot>,
        identity: &mut InstanceIdentity,
    ) -> Result<DatabasePart> {
        let progress = self.job.progress;
        let Some(root) = attachments else {
            progress.stage("snapshot", None);
            let mut source = connection.open()?;
            let warning = self.facts(&mut source, identity)?;
            self.warnings.extend(warning);
            return source.capture(self.sink, progress);
        };
        let before = named_files(&connection.application)?;
        progress.stage("attachments", self.expected_bytes(root.part));
        let parent = self.parent_entries(root.part);
        let options = self.capture_options(false);
        let rules = exclusions(root);
        let (first, mut entries) =
            files::capture_aside(&root.root, &rules, parent, options, self.sink, progress)?;
        // What the first pass could not read, the second did not find readable either, or it says so.
        self.files_read += first.files_read;
        let mut attempt = 1;
        let (mut source, captured) = loop {
            progress.stage("snapshot", None);
            let mut source = connection.open()?;
            let warning = self.facts(&mut source, identity)?;
            progress.stage("attachments, second pass", Some(first.bytes));
            let parent: Parent<'_> = Box::new(entries.entries()?);
            let options = self.capture_options(true);
            let (captured, mut both) = files::capture_aside(
                &root.root,
                &rules,
                Some(parent),
                options,
                self.sink,
                progress,
            )?;
            let present = paths_present(both.entries()?)?;
            let missing = missing_files(&mut source, &present, &before)?;
            entries = both;
            // What came and went between the passes is named by this snapshot, and not by a later one.
            if missing.is_partial() && attempt < SNAPSHOT_ATTEMPTS {
                attempt += 1;
                self.files_read += captured.files_read;
                continue;
            }
            self.partial |= missing.is_partial();
            self.warnings.extend(warning);
            self.warnings.extend(missing.warnings());
            break (source, captured);
        };
        let catalog = self.write_catalog(entries.entries()?)?;
        self.add(root, FilesCapture { captured, catalog });
        source.capture(self.sink, progress)
    }

    /// What the snapshot tells of the instance; a warning about its status.
    fn facts(
        &self,
        source: &mut DatabaseSource,
        identity: &mut InstanceIdentity,
    ) -> Result<Option<String>> {
        let facts = source.openbravo_facts()?;
        let warning = check_status(self.job.instance, facts.system_status.as_deref())?;
        identity.modules = facts.modules;
        if facts.openbravo_version.is_some() {
            identity.openbravo_version = facts.openbravo_version;
        }
        Ok(warning)
    }

    /// One directory, in one pass.
    fn part(&mut self, root: &FileRoot) -> Result<()> {
        let progress = self.job.progress;
        progress.stage(root.part.word(), self.expected_bytes(root.part));
        let captured = files::capture(
            &root.root,
            &exclusions(root),
            self.parent_entries(root.part),
            self.capture_options(false),
            self.sink,
            progress,
        )?;
        self.add(root, captured);
        Ok(())
    }

    fn add(&mut self, root: &FileRoot, capture: FilesCapture) {
        self.files.push(capture.to_part(root.part, &root.written));
        self.files_read += capture.captured.files_read;
        self.warnings.extend(capture.captured.warnings);
        self.partial |= capture.captured.partial;
    }

    fn write_catalog(&self, entries: impl Iterator<Item = Result<FileEntry>>) -> Result<Catalog> {
        let mut out = ChunkWriter::new(self.sink, self.sink.chunkers().metadata);
        let mut count = 0;
        for entry in entries {
            write_entry(&mut out, &entry?)?;
            count += 1;
        }
        let (chunks, bytes) = out.finish()?;
        Ok(Catalog {
            entries: count,
            bytes,
            chunks,
        })
    }

    /// As many bytes as the parent backup's part had: the best guess at the work ahead.
    fn expected_bytes(&self, part: Part) -> Option<u64> {
        Some(self.parent?.manifest.files_part(part)?.bytes)
    }

    /// What the parent backup knows of a part. Where its catalog is damaged, files are read again.
    fn parent_entries(&self, part: Part) -> Option<Parent<'_>> {
        let files = self.parent?.manifest.files_part(part)?;
        let readable = files
            .catalog
            .chunks
            .iter()
            .all(|id| self.reader.get(id).is_ok());
        readable.then(|| Box::new(file_entries(self.reader, files)) as Parent<'_>)
    }

    fn capture_options(&self, keep_vanished: bool) -> CaptureOptions {
        CaptureOptions {
            keep_vanished,
            // In a second pass the first has read everything just before.
            reread_all: self.job.options.read_all && !keep_vanished,
            jobs: self.job.surroundings.jobs,
        }
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

/// What is left out of a directory: what a build makes, other parts, and what restores keep there.
fn exclusions(root: &FileRoot) -> Exclusions {
    let rules = match root.part {
        Part::Sources => Exclusions::sources(),
        _ => Exclusions::none(),
    };
    let own = root.root.join(super::OWN_DIRECTORY);
    root.excluded
        .iter()
        .chain([&own])
        .filter_map(|path| path.symlink_metadata().ok())
        .fold(rules, |rules, metadata| {
            rules.and_directory((metadata.dev(), metadata.ino()))
        })
}

/// The newest backup of the same instance, whatever its status: only what it holds is taken over.
fn parent(repository: &Repository, instance: &Instance) -> Result<Option<Backup>> {
    let found = repository.backups()?;
    Ok(found.backups.into_iter().find(|backup| {
        backup.manifest.instance.id == instance.id && !backup.manifest.files.is_empty()
    }))
}
