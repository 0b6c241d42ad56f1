//! A drill: a backup restored for trial, beside everything that is live, looked at, and removed again.
//!
//! It goes the way of every restore, into a scratch database on the instance's server and a scratch directory, both
//! of which are gone afterwards, whatever happened. What was found is written down with the backup.

mod checks;
mod scratch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::contents::{file_entries, files_part};
use super::database::{self, Connection};
use super::list::BackupSummary;
use super::room::{self, Rooms};
use super::surroundings::Surroundings;
use super::tenant;
use crate::config::DrillSection;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Manifest, Part, Status};
use crate::format::record::DrillCertificate;
use crate::instance::Instance;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::reader::Reader;
use crate::target::database::{DatabasePlan, DatabaseTarget};
use crate::target::files;

pub use checks::{Check, Verdict};
use checks::{Trial, TrialDatabase};
use scratch::{Names, Scratch};

/// What a drill works with besides the instance.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// Directories below which the files may be restored: the first with room is taken.
    pub directories: Vec<PathBuf>,
}

impl DrillOptions {
    /// Below `directory`, else where the configuration says, else where short-lived files go.
    pub fn below(directory: Option<PathBuf>, section: &DrillSection, temporary: PathBuf) -> Self {
        Self {
            directories: directory.or_else(|| section.directory.clone()).map_or_else(
                || vec![temporary, PathBuf::from("/var/tmp")],
                |one| vec![one],
            ),
        }
    }
}

/// What a drill would do.
#[derive(Serialize)]
pub struct DrillPlan {
    /// The backup.
    pub backup: BackupSummary,
    /// The scratch database, unless the backup has none.
    pub database: Option<String>,
    /// The server that it would be made on.
    pub server: Option<String>,
    /// The scratch directory.
    pub directory: PathBuf,
    /// What both take.
    pub needed_bytes: u64,
    /// What the restore would not bring back, each with the reason.
    pub notes: Vec<String>,
    #[serde(skip)]
    names: Names,
    #[serde(skip)]
    place: PathBuf,
    #[serde(skip)]
    target: Option<Target>,
}

/// Where the database goes.
struct Target {
    connection: Connection,
    database: DatabaseTarget,
    plan: DatabasePlan,
}

/// What came of a drill.
#[derive(Debug, Clone, Serialize)]
pub struct Drilled {
    /// The backup.
    pub backup: BackupSummary,
    /// Whether it was restored and every check held.
    pub passed: bool,
    /// When the drill ended.
    pub at: DateTime<Utc>,
    /// From the first byte restored to the last check.
    pub duration_seconds: f64,
    /// Where the scratch database was made.
    pub server: Option<String>,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// What was counted, as it is written down with the backup.
    pub certificate: DrillCertificate,
    /// What killed drills had left and this one removed.
    pub removed: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One drill's request.
struct Job<'a> {
    backup: &'a Backup,
    reader: &'a Reader,
    connection: Option<&'a Connection>,
    options: &'a DrillOptions,
    surroundings: &'a Surroundings,
}

/// Looks at everything that the drill needs, and changes nothing. `NoSpace` where it would not fit.
pub fn plan(
    instance: &Instance,
    repository: &Repository,
    backup: &Backup,
    options: &DrillOptions,
    surroundings: &Surroundings,
) -> Result<DrillPlan> {
    let reader = repository.reader()?;
    let connection = connection(instance, backup, surroundings)?;
    Job {
        backup,
        reader: &reader,
        connection: connection.as_ref(),
        options,
        surroundings,
    }
    .plan()
}

/// Restores `backup` for trial and writes down with it what was found.
///
/// That the backup cannot be restored, or is not what it was, is a result; an error means that the trial could not
/// be made here, and says nothing of the backup.
pub fn run(
    instance: &Instance,
    repository: &Repository,
    backup: &Backup,
    options: &DrillOptions,
    surroundings: &Surroundings,
    progress: &dyn Progress,
) -> Result<Drilled> {
    progress.stage("drill: planning", None);
    let reader = repository.until_stopped(progress, || repository.reader())?;
    let connection = connection(instance, backup, surroundings)?;
    let job = Job {
        backup,
        reader: &reader,
        connection: connection.as_ref(),
        options,
        surroundings,
    };
    // First: what a killed drill left takes the room that this one needs.
    let removed = scratch::sweep(job.connection, &options.directories)?;
    let mut drilled = repository.until_stopped(progress, || job.run(progress))?;
    drilled.removed = removed;
    let mark = repository
        .check_tenure(tenant(instance))
        .and_then(|()| repository.mark_drill(backup.id, drilled.certificate.clone()));
    match mark {
        Ok(mark) => drilled.at = mark.at,
        Err(error) => drilled
            .warnings
            .push(format!("the drill could not be written down: {error}")),
    }
    Ok(drilled)
}

/// A backup without a database needs no server.
fn connection(
    instance: &Instance,
    backup: &Backup,
    surroundings: &Surroundings,
) -> Result<Option<Connection>> {
    let database = backup.manifest.database.as_ref();
    database
        .map(|_| database::connect_to_server(instance, surroundings))
        .transpose()
}

impl Job<'_> {
    fn manifest(&self) -> &Manifest {
        &self.backup.manifest
    }

    fn plan(&self) -> Result<DrillPlan> {
        let names = Names::new()?;
        let place = self.place()?;
        let mut notes = Vec::new();
        if self.manifest().status == Status::Partial {
            notes.push("the backup is partial: its warnings name what is missing".to_owned());
        }
        let mut target = None;
        if let (Some(connection), Some(part)) = (self.connection, &self.manifest().database) {
            let database = connection.target(&names.database(), None);
            let plan = database.plan(part, self.reader)?;
            plan.check()?;
            notes.extend(plan.skipped.iter().cloned());
            target = Some(Target {
                connection: connection.to_database(&names.database()),
                database,
                plan,
            });
        }
        Ok(DrillPlan {
            backup: BackupSummary::from(self.backup),
            database: target.as_ref().map(|_| names.database()),
            server: self.connection.map(Connection::server),
            directory: names.directory(&place),
            needed_bytes: self.room(&place)?.needed_bytes(),
            notes,
            names,
            place,
            target,
        })
    }

    /// The first directory with room; where none has, why not.
    fn place(&self) -> Result<PathBuf> {
        let mut failure = None;
        for place in &self.options.directories {
            if !place.is_dir() {
                failure.get_or_insert_with(|| {
                    Error::new(
                        ErrorKind::Usage,
                        format!(
                            "there is no directory `{}` to restore into",
                            place.display()
                        ),
                    )
                });
                continue;
            }
            match self.room(place)?.check() {
                Ok(()) => return Ok(place.clone()),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure
            .unwrap_or_else(|| {
                Error::new(ErrorKind::Usage, "no directory to restore into is named")
            })
            .hint(
                "Name a directory with more room: --scratch DIR, or `directory` under [drill] in \
                 obbackup.toml. Nothing was written.",
            ))
    }

    /// What the files take below `place`, and the database where its server keeps it.
    fn room(&self, place: &Path) -> Result<Rooms> {
        let mut rooms = Rooms::default();
        for files in &self.manifest().files {
            rooms.add(
                place,
                files.part.word(),
                room::of_files(files.catalog.entries, files.bytes),
            )?;
        }
        if let (Some(connection), Some(part)) = (self.connection, &self.manifest().database)
            && let Some(directory) = connection.data_directory()?
        {
            rooms.add(&directory, "database", room::of_database(part.bytes))?;
        }
        Ok(rooms)
    }

    fn run(&self, progress: &dyn Progress) -> Result<Drilled> {
        let begun = Instant::now();
        let mut drilled = Drilled {
            backup: BackupSummary::from(self.backup),
            passed: false,
            at: Utc::now(),
            duration_seconds: 0.0,
            server: self.connection.map(Connection::server),
            checks: Vec::new(),
            certificate: DrillCertificate::default(),
            removed: Vec::new(),
            warnings: Vec::new(),
        };
        let tried =
            self.plan()
                .map_err(|error| (error, Stage::Planning))
                .and_then(|plan| {
                    let scratch = Scratch::make(&plan.names, &plan.place, self.connection)
                        .map_err(|error| (error, Stage::Planning))?;
                    let tried = self.restore_and_check(&plan, &scratch, &mut drilled, progress);
                    // Always, and before anything else can fail.
                    let left = scratch.remove();
                    drilled.warnings.extend(left.into_iter().map(|reason| {
                        format!("{reason}; the next drill tries to remove it again")
                    }));
                    tried.map_err(|error| (error, Stage::Restoring))
                });
        if let Err((error, stage)) = tried {
            if !speaks_of_the_backup(&error, stage) {
                return Err(error);
            }
            drilled.checks.push(Check::of(
                "restore",
                "the backup cannot be restored".to_owned(),
                vec![error.to_string()],
            ));
        }
        let elapsed = begun.elapsed();
        drilled.at = Utc::now();
        drilled.duration_seconds = elapsed.as_secs_f64();
        let problems = drilled.checks.iter().flat_map(|check| &check.problems);
        drilled.certificate.failures = problems.cloned().collect();
        drilled.certificate.duration_milliseconds =
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        drilled.passed = drilled.certificate.failures.is_empty();
        drilled.certificate.passed = drilled.passed;
        Ok(drilled)
    }

    fn restore_and_check(
        &self,
        plan: &DrillPlan,
        scratch: &Scratch,
        drilled: &mut Drilled,
        progress: &dyn Progress,
    ) -> Result<()> {
        drilled.warnings.extend(plan.notes.iter().cloned());
        let mut restored = None;
        if let (Some(target), Some(part)) = (&plan.target, &self.manifest().database) {
            drilled.certificate.server_version = Some(target.plan.server_version);
            restored = Some((
                target,
                part,
                target
                    .database
                    .run(&target.plan, part, self.reader, progress)?,
            ));
        }
        let files = self.restore_files(scratch.directory(), drilled, progress)?;
        drilled.checks.push(files);
        progress.stage("drill: checks", None);
        let trial = Trial {
            manifest: self.manifest(),
            reader: self.reader,
            directory: scratch.directory(),
            database: restored
                .as_ref()
                .map(|(target, part, restored)| TrialDatabase {
                    connection: &target.connection,
                    plan: &target.plan,
                    restored,
                    part,
                }),
            progress,
        };
        let checks = trial.checks(&mut drilled.certificate)?;
        drilled.checks.extend(checks);
        Ok(())
    }

    /// Every part into a directory of its own; every chunk is proven on the way.
    fn restore_files(
        &self,
        directory: &Path,
        drilled: &mut Drilled,
        progress: &dyn Progress,
    ) -> Result<Check> {
        let mut problems = Vec::new();
        for files in &self.manifest().files {
            let part: Part = files.part;
            progress.stage(part.word(), Some(files.bytes));
            let options = files::RestoreOptions {
                // Whose they are is for the machine that they are restored on.
                owner: false,
                heir: None,
                jobs: self.surroundings.jobs,
            };
            let files = files_part(self.manifest(), part)?;
            let catalog = || Ok(file_entries(self.reader, files));
            let to = directory.join(part.word());
            let done = files::restore(self.reader, catalog, &to, None, options, progress)?;
            if (done.files, done.bytes) != (files.files, files.bytes) {
                problems.push(format!(
                    "{part}: {} files of {} bytes were restored, and the backup names {} of {}",
                    done.files, done.bytes, files.files, files.bytes
                ));
            }
            drilled.certificate.files += done.files;
            drilled.certificate.files_bytes += done.bytes;
        }
        let found = format!(
            "{} files, {} bytes, every chunk proven",
            drilled.certificate.files, drilled.certificate.files_bytes
        );
        Ok(Check::of("files", found, problems))
    }
}

/// How far a drill came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Planning,
    Restoring,
}

/// Whether an error is about the backup, and not about this machine, its server, or whoever asked to stop.
fn speaks_of_the_backup(error: &Error, stage: Stage) -> bool {
    match error.kind() {
        ErrorKind::Damaged => true,
        // What the server does not take although everything it needs is there.
        ErrorKind::Failure => stage == Stage::Restoring,
        _ => false,
    }
}
