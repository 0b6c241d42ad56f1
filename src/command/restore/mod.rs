//! Restoring a backup: beside what is live, or in its place.

mod checks;
mod failure;
mod in_place;
pub mod journal;
pub mod recovery;
mod staging;
pub mod states;
mod steps;
pub mod tripwire;
pub mod undo;
mod without_room;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;

use super::arrival;
use super::contents::{file_entries, files_part};
use super::database::{self, Connection};
use super::doctor::Check;
use super::list::BackupSummary;
use super::surroundings::Surroundings;
use crate::config::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::format::bytes::ByteString;
use crate::format::manifest::{DatabasePart, Manifest, Part};
use crate::instance::Instance;
use crate::postgresql::Session;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::reader::Reader;
use crate::target::database::{DatabasePlan, DatabaseTarget, Neutralized, neutralize};
use crate::target::files;
use crate::tomcat::Application;

pub use super::room::Room;
pub use checks::Newer;
pub use in_place::Replaced;
pub use staging::Stage;
use tripwire::Tripwire;

/// What a restore in place controls besides database and files.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// What runs the web application, where that was found.
    pub application: Option<&'a dyn Application>,
    /// How long a database server that has gone away is waited for.
    pub patience: Duration,
    /// Where something is to go wrong, in tests.
    pub tripwire: Option<&'a Tripwire>,
}

/// A server takes some seconds to come back after one of its processes was killed.
const PATIENCE: Duration = Duration::from_secs(20);

impl Default for Control<'_> {
    fn default() -> Self {
        Self {
            application: None,
            patience: PATIENCE,
            tripwire: None,
        }
    }
}

impl<'a> Control<'a> {
    /// With this application, if there is one.
    pub fn of<A: Application>(application: Option<&'a A>) -> Self {
        Self {
            application: application.map(|application| application as &dyn Application),
            ..Self::default()
        }
    }
}

/// Reports as another does, and is not asked to stop.
struct Steady<'a>(&'a dyn Progress);

impl Progress for Steady<'_> {
    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        self.0.stage(name, total_bytes);
    }

    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn warn(&self, message: &str) {
        self.0.warn(message);
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Where a restore goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a new database, to a new directory, or both; nothing live is touched.
    Beside {
        /// The database to create.
        database: Option<String>,
        /// The directory under which each part gets one of its own.
        directory: Option<PathBuf>,
    },
    /// In place of the instance.
    InPlace {
        /// Take a backup of the present state before.
        safety_backup: bool,
        /// Whether the old state is kept; else, for want of room, it is deleted before the new one is
        /// complete, and the safety backup is the only way back.
        keeps_old: bool,
    },
}

/// What to restore, and how.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Where to.
    pub destination: Destination,
    /// Only these parts; all that there are, when empty.
    pub only: BTreeSet<Part>,
    /// Of the files only what lies at or below these paths; everything, when empty.
    pub paths: Vec<(Part, ByteString)>,
    /// Make the copy harmless: nothing runs by itself and nothing is sent.
    pub neutralize: bool,
}

/// What a restore would do.
#[derive(Serialize)]
pub struct RestorePlan {
    /// The backup.
    pub backup: BackupSummary,
    /// Whether the instance is replaced.
    pub in_place: bool,
    /// Whether the old state is kept.
    pub keeps_old: bool,
    /// The database, unless it is left out.
    pub database: Option<PlannedDatabase>,
    /// The directories.
    pub files: Vec<PlannedFiles>,
    /// What the restore would not bring back, or changes on the way, each with the reason.
    pub notes: Vec<String>,
    /// What was looked at for a restore in place; a failure stands in its way.
    pub checks: Vec<Check>,
    /// The room that it needs, by file system, as far as it can be seen.
    pub room: Vec<Room>,
    /// What people have done since the backup, and would lose from what is live.
    pub newer: Vec<Newer>,
    #[serde(skip)]
    target: Option<(DatabaseTarget, DatabasePlan)>,
    /// What everything is named after that a restore in place makes: to the millisecond, since one backup may be restored
    /// twice within a second.
    #[serde(skip)]
    run: String,
}

/// The database of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedDatabase {
    /// The database that will be there afterwards.
    pub name: String,
    /// Its server.
    pub server: String,
    /// Tables to load.
    pub tables: u64,
    /// Rows to load.
    pub rows: u64,
    /// Bytes to load.
    pub bytes: u64,
    /// The database that is there now and will be kept under another name.
    pub replaces: Option<String>,
}

/// A directory of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedFiles {
    /// The part.
    pub part: Part,
    /// Where it goes.
    pub to: PathBuf,
    /// Regular files of the part; fewer are restored where only some paths are.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Only these paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<ByteString>,
    #[serde(skip)]
    stage: Option<staging::Stage>,
}

/// What came of a restore.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// The backup.
    pub backup: BackupSummary,
    /// The database that was made.
    pub database: Option<String>,
    /// Rows loaded.
    pub rows: u64,
    /// Directories that were filled.
    pub directories: Vec<PathBuf>,
    /// Regular files written.
    pub files: u64,
    /// Bytes of the files.
    pub files_bytes: u64,
    /// What could not be made as it was.
    pub warnings: Vec<String>,
    /// What was changed to make the copy harmless, if that was asked for.
    pub neutralized: Option<Neutralized>,
    /// For a restore in place, where the state before it is.
    pub replaced: Option<Replaced>,
}

/// One restore's request.
struct Job<'a> {
    instance: Option<&'a Instance>,
    backup: &'a Backup,
    options: &'a RestoreOptions,
    surroundings: &'a Surroundings,
    reader: &'a Reader,
}

/// Looks at everything that the restore needs, and changes nothing.
pub fn plan(
    instance: Option<&Instance>,
    repository: &Repository,
    backup: &Backup,
    options: &RestoreOptions,
    surroundings: &Surroundings,
) -> Result<RestorePlan> {
    let control = Control::default();
    plan_replacing(instance, repository, backup, options, surroundings, control)
}

/// The same for what [`replace`] would do. What stands in the way is among the plan's checks.
pub fn plan_replacing(
    instance: Option<&Instance>,
    repository: &Repository,
    backup: &Backup,
    options: &RestoreOptions,
    surroundings: &Surroundings,
    control: Control<'_>,
) -> Result<RestorePlan> {
    let reader = repository.reader()?;
    let job = Job {
        instance,
        backup,
        options,
        surroundings,
        reader: &reader,
    };
    let mut plan = job.plan()?;
    if plan.in_place {
        checks::look(&job, control, &mut plan)?;
    }
    if let (true, Some(instance)) = (plan.in_place, instance) {
        plan.notes
            .extend(arrival::notes(repository, instance, backup)?);
    }
    Ok(plan)
}

/// Restores. Nothing that was there before is deleted. What fails is taken back; beside the instance, where nothing
/// hangs on it, the error names what stays. In place only where nobody uses the database, because nothing is known of
/// the application; [`replace`] is told.
pub fn run(
    instance: Option<&Instance>,
    repository: &Repository,
    backup: &Backup,
    options: &RestoreOptions,
    surroundings: &Surroundings,
    progress: &dyn Progress,
) -> Result<Restored> {
    let control = Control::default();
    replace(
        instance,
        repository,
        backup,
        options,
        surroundings,
        control,
        progress,
    )
}

/// Restores as [`run`] does; in place the application is stopped, started and asked whether it answers.
pub fn replace(
    instance: Option<&Instance>,
    repository: &Repository,
    backup: &Backup,
    options: &RestoreOptions,
    surroundings: &Surroundings,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Restored> {
    let reader = repository.until_stopped(progress, || repository.reader())?;
    let job = Job {
        instance,
        backup,
        options,
        surroundings,
        reader: &reader,
    };
    progress.stage("planning", None);
    match &options.destination {
        Destination::Beside { .. } => {
            let beside = || job.beside(&job.plan()?, progress);
            repository.until_stopped(progress, beside)
        }
        Destination::InPlace {
            safety_backup,
            keeps_old: false,
        } => without_room::run(&job, repository, *safety_backup, control, progress),
        Destination::InPlace { safety_backup, .. } => {
            in_place::run(&job, repository, *safety_backup, control, progress)
        }
    }
}

impl Job<'_> {
    fn manifest(&self) -> &Manifest {
        &self.backup.manifest
    }

    fn plan(&self) -> Result<RestorePlan> {
        let parts = self.parts()?;
        let in_place = matches!(self.options.destination, Destination::InPlace { .. });
        let mut plan = RestorePlan {
            backup: BackupSummary::from(self.backup),
            in_place,
            keeps_old: !matches!(
                self.options.destination,
                Destination::InPlace {
                    keeps_old: false,
                    ..
                }
            ),
            database: None,
            files: Vec::new(),
            notes: Vec::new(),
            checks: Vec::new(),
            room: Vec::new(),
            newer: Vec::new(),
            target: None,
            run: format!(
                "restore-{}-{}",
                Utc::now().format("%Y%m%dT%H%M%S%3fZ"),
                self.backup.id.short()
            ),
        };
        if !plan.keeps_old {
            plan.notes.push(
                "the old state is deleted before the new one is complete: from then on the safety backup is the \
                 only way back, and the application is down until the restore is done"
                    .to_owned(),
            );
        }
        if self.manifest().status == crate::format::manifest::Status::Partial {
            plan.notes
                .push("the backup is partial: its warnings name what is missing".to_owned());
        }
        for part in parts {
            match (&self.options.destination, part) {
                (Destination::Beside { database, .. }, Part::Database) => {
                    if let Some(name) = database {
                        self.plan_database(name, None, &mut plan)?;
                    }
                }
                (Destination::Beside { directory, .. }, part) => {
                    if let Some(directory) = directory {
                        self.plan_files(part, &directory.join(part.word()), None, &mut plan)?;
                    }
                }
                (Destination::InPlace { .. }, part) => in_place::plan(self, part, &mut plan)?,
            }
        }
        if self.options.neutralize && plan.database.is_none() {
            return Err(Error::new(
                ErrorKind::Usage,
                "no database is restored that could be neutralized",
            )
            .hint("Leave --neutralize out, or restore the database too."));
        }
        if plan.database.is_none() && plan.files.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "nothing of the backup would be restored").hint(
                "Check --only against `obbackup ls ID`; the database goes to --to-database, files to --to-directory.",
            ));
        }
        Ok(plan)
    }

    /// The parts to restore. `NotFound` where the backup lacks one that was asked for.
    fn parts(&self) -> Result<Vec<Part>> {
        let manifest = self.manifest();
        let there = |part: Part| match part {
            Part::Database => manifest.database.is_some(),
            part => manifest.files_part(part).is_some(),
        };
        let mut asked = self.options.only.clone();
        asked.extend(self.options.paths.iter().map(|(part, _)| *part));
        if let Some(part) = asked.iter().find(|part| !there(**part)) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("backup {} has no {part}", self.backup.id.short()),
            )
            .hint("`obbackup show ID` tells what it holds."));
        }
        Ok(Part::ALL
            .iter()
            .copied()
            .filter(|part| there(*part) && (asked.is_empty() || asked.contains(part)))
            .collect())
    }

    fn instance(&self) -> Result<&Instance> {
        self.instance.ok_or_else(|| {
            Error::new(ErrorKind::Usage, "no instance is named")
                .hint("Name it: --instance /opt/openbravo, or run the command inside of it.")
        })
    }

    fn connection(&self) -> Result<Connection> {
        database::connect_to_server(self.instance()?, self.surroundings)
    }

    fn database_part(&self) -> Result<&DatabasePart> {
        self.manifest()
            .database
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the backup has no database"))
    }

    /// `replaces` is the live database that the new one will take the place of.
    fn plan_database(
        &self,
        name: &str,
        replaces: Option<&in_place::LiveDatabase>,
        plan: &mut RestorePlan,
    ) -> Result<()> {
        let part = self.database_part()?;
        let connection = self.connection()?;
        let state = replaces.map(|live| live.state.clone());
        let target = connection.target(name, state);
        let database = target.plan(part, self.reader)?;
        database.check()?;
        plan.notes.extend(database.skipped.iter().cloned());
        plan.database = Some(PlannedDatabase {
            name: match &self.options.destination {
                Destination::InPlace { .. } => self.instance()?.database.name.clone(),
                Destination::Beside { .. } => name.to_owned(),
            },
            server: connection.server(),
            tables: database.tables,
            rows: database.rows,
            bytes: database.bytes,
            replaces: replaces.map(|live| live.name.clone()),
        });
        plan.target = Some((target, database));
        Ok(())
    }

    fn plan_files(
        &self,
        part: Part,
        to: &Path,
        stage: Option<staging::Stage>,
        plan: &mut RestorePlan,
    ) -> Result<()> {
        let files = files_part(self.manifest(), part)?;
        if stage.is_none() {
            check_empty(to)?;
        }
        plan.files.push(PlannedFiles {
            part,
            to: to.to_owned(),
            files: files.files,
            bytes: files.bytes,
            paths: self.paths_of(part),
            stage,
        });
        Ok(())
    }

    fn paths_of(&self, part: Part) -> Vec<ByteString> {
        let paths = self.options.paths.iter().filter(|(of, _)| *of == part);
        paths
            .map(|(_, path)| path.clone())
            .filter(|path| !path.as_bytes().is_empty())
            .collect()
    }

    /// Fills a new database and new directories.
    fn beside(&self, plan: &RestorePlan, progress: &dyn Progress) -> Result<Restored> {
        let mut restored = Restored::new(plan);
        self.fill_database(plan, &mut restored, progress)?;
        for files in &plan.files {
            self.fill_directory(files, &files.to, &mut restored, progress)
                .map_err(|error| failure::beside(error, &restored, &files.to))?;
        }
        Ok(restored)
    }

    fn fill_database(
        &self,
        plan: &RestorePlan,
        restored: &mut Restored,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Some((target, database)) = &plan.target else {
            return Ok(());
        };
        restored.warnings.extend(database.skipped.iter().cloned());
        let made = target.run(database, self.database_part()?, self.reader, progress)?;
        let before = &self.database_part()?.db_modified;
        if *before != made.db_modified {
            restored.warnings.push(format!(
                "ad_db_modified answers {} in the restored database, and answered {} at backup",
                made.db_modified.as_deref().unwrap_or("nothing"),
                before.as_deref().unwrap_or("nothing"),
            ));
        }
        restored.rows = made.rows;
        if self.options.neutralize {
            progress.stage("neutralize", None);
            let done = self.neutralize(&made.database);
            // A copy that is not harmless must not be there to be started.
            restored.neutralized = Some(match done {
                Ok(done) => done,
                Err(error) => return Err(target.discard(database, error)),
            });
        }
        restored.database = Some(made.database);
        Ok(())
    }

    fn neutralize(&self, database: &str) -> Result<Neutralized> {
        let address = self.connection()?.application.with_database(database);
        neutralize(&mut Session::open(&address)?)
    }

    /// Who stands here for the owner of a part, where the backup is of another machine.
    fn heir(&self, planned: &PlannedFiles) -> Option<Owner> {
        let instance = self.instance?;
        let replaces = matches!(self.options.destination, Destination::InPlace { .. });
        (replaces && arrival::is_foreign(instance, self.backup))
            .then(|| arrival::owner_at(instance, &planned.to))?
    }

    fn fill_directory(
        &self,
        planned: &PlannedFiles,
        to: &Path,
        restored: &mut Restored,
        progress: &dyn Progress,
    ) -> Result<()> {
        progress.stage(planned.part.word(), Some(planned.bytes));
        let part = files_part(self.manifest(), planned.part)?;
        let selection = (!planned.paths.is_empty()).then_some(planned.paths.as_slice());
        let options = files::RestoreOptions {
            owner: true,
            heir: self.heir(planned),
            jobs: self.surroundings.jobs,
        };
        let catalog = || Ok(file_entries(self.reader, part));
        let done = files::restore(self.reader, catalog, to, selection, options, progress)?;
        restored.directories.push(planned.to.clone());
        restored.files += done.files;
        restored.files_bytes += done.bytes;
        restored.warnings.extend(done.warnings);
        Ok(())
    }
}

impl Restored {
    fn new(plan: &RestorePlan) -> Self {
        Self {
            backup: plan.backup.clone(),
            database: None,
            rows: 0,
            directories: Vec::new(),
            files: 0,
            files_bytes: 0,
            warnings: Vec::new(),
            neutralized: None,
            replaced: None,
        }
    }
}

/// A directory that is not there, or is empty.
fn check_empty(directory: &Path) -> Result<()> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("`{}` is not empty", directory.display()),
            )
            .hint("Name a new directory: a restore never writes over what is there.")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(
            format!("cannot look into `{}`", directory.display()),
            error,
        )),
    }
}
