//! Restoring in place of the instance: everything new is complete beside the old before anything live changes.
//!
//! Order: safety backup; new database and new files staged and verified; then the swap ([`super::steps`]),
//! under a journal ([`super::journal`]). The old database and files are kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::arrival;
use super::failure::hint_before;
use super::journal::{DatabaseNames, Header, Journal, Purpose, Record};
use super::recovery::AtWork;
use super::states::Expiry;
use super::steps::Steps;
use super::{Control, Job, RestorePlan, Restored, checks, staging};
use crate::command::backup::{self, BackupOptions};
use crate::command::database::Connection;
use crate::command::surroundings::Surroundings;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::database::DatabaseState;
use crate::format::manifest::{BackupId, BackupType, Part, Status};
use crate::format::record::LeaseMode;
use crate::instance::properties::{self, Properties};
use crate::instance::{Instance, status};
use crate::postgresql::client::Session;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::interruption::Held;
use crate::source::database::read_state;
use crate::target::database::Change;
use crate::target::database::standing;
use crate::wording::counted;

/// Where the state before a restore is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// The run that replaced it.
    pub run: String,
    /// The database's name now.
    pub database: Option<String>,
    /// The directories that hold the files.
    pub directories: Vec<PathBuf>,
    /// The backup that was taken before.
    pub safety_backup: Option<BackupId>,
}

/// The live database.
pub(super) struct LiveDatabase {
    pub(super) name: String,
    /// Kept by the new one: it belongs to this machine.
    pub(super) state: DatabaseState,
}

/// Settings of `Openbravo.properties` that describe the machine and not the application.
const MACHINE_KEYS: &[&str] = &[
    "bbdd.url",
    "bbdd.sid",
    "bbdd.user",
    "bbdd.password",
    "bbdd.systemUser",
    "bbdd.systemPassword",
    "bbdd.props",
    "bbdd.readonly.url",
    "bbdd.readonly.sid",
    "bbdd.readonly.user",
    "bbdd.readonly.password",
    "attach.path",
    "reprintable.path",
    "source.path",
    "context.name",
    "context.url",
];
const PROPERTIES: &str = "Openbravo.properties";

pub(super) fn plan(job: &Job<'_>, part: Part, plan: &mut RestorePlan) -> Result<()> {
    let instance = job.instance()?;
    if !job.options.paths.is_empty() {
        return Err(
            Error::new(ErrorKind::Usage, "single paths are not restored in place")
                .hint("Restore them with --to-directory and copy what you need."),
        );
    }
    let run = plan.run.clone();
    if part == Part::Database {
        let connection = job.connection()?;
        let live = live_database(instance, &connection)?;
        let name = new_name(&instance.database.name, "new", &run);
        return job.plan_database(&name, live.as_ref(), plan);
    }
    let Some(root) = root_of(instance, part) else {
        plan.notes.push(format!(
            "this instance has no place for the {part}: they are left out"
        ));
        return Ok(());
    };
    let stage = staging::Stage::new(instance, part, &root, &run)?;
    job.plan_files(part, &root, Some(stage), plan)
}

/// Where a part belongs, whether it is there or not.
fn root_of(instance: &Instance, part: Part) -> Option<PathBuf> {
    if let Some(root) = instance.root(part) {
        return Some(root.root);
    }
    match part {
        Part::Attachments => instance.attach_path.clone(),
        Part::Reprintables => instance.reprintable_path.clone(),
        Part::Deploy => instance.deploy_path.clone(),
        Part::Configuration => Some(instance.config_path.clone()),
        Part::Sources => Some(instance.source_path.clone()),
        Part::Database => None,
    }
}

/// A database name that says where it comes from, within the 63 bytes that PostgreSQL keeps.
pub(super) fn new_name(name: &str, what: &str, run: &str) -> String {
    let end = format!(
        "_{what}_{}",
        run.trim_start_matches("restore-")
            .replace("undo-", "u")
            .to_lowercase()
    );
    let mut start = name.to_owned();
    while start.len() + end.len() > 63 {
        start.pop();
    }
    start + &end
}

fn live_database(instance: &Instance, connection: &Connection) -> Result<Option<LiveDatabase>> {
    let name = instance.database.name.clone();
    let mut session = connection.maintenance()?;
    if standing::find(&mut session, &name)?.is_none() {
        return Ok(None);
    }
    let state = read_state(&mut session.client, session.version, &name)?;
    Ok(Some(LiveDatabase { name, state }))
}

pub(super) fn run(
    job: &Job<'_>,
    repository: &Repository,
    safety_backup: bool,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Restored> {
    let instance = job.instance()?;
    let _at_work = AtWork::after_recovery(instance, job.surroundings, control, progress)?;
    // First what can be refused, before anybody waits for a backup.
    let plan = repository.until_stopped(progress, || {
        plan_with_room(job, repository, control, progress)
    })?;
    let (may_write, notes) = repository.until_stopped(progress, || {
        let may_write = arrival::may_write(repository, instance)?;
        Ok((may_write, arrival::notes(repository, instance, job.backup)?))
    })?;
    for note in notes {
        progress.warn(&note);
    }
    let has_state = arrival::has_state(instance, &plan);
    if safety_backup && may_write && !has_state {
        progress.warn("there is no whole instance here, so no backup of it is taken; what is replaced is kept");
    }
    let safety_backup = if safety_backup && may_write && has_state {
        let label = format!("before the restore of {}", job.backup.id.short());
        let (id, _) = take_safety_backup(instance, repository, job.surroundings, label, progress)?;
        Some(id)
    } else {
        None
    };
    // A repository that is only read gets no lease either.
    let lock = may_write
        .then(|| repository.hold(LeaseMode::Write, &instance.id, "restore", progress))
        .transpose()?;
    let mut steps = begin(job, &plan, safety_backup, control, progress)?;
    let mut restored = Restored::new(&plan);
    let ready = repository
        .until_stopped(progress, || stage(job, &plan, &mut restored, progress))
        .and_then(|()| progress.check())
        .and_then(|()| lock.as_ref().map_or(Ok(()), Held::check))
        .and_then(|()| refuse_sessions(instance, steps.connection.as_ref(), control))
        .and_then(|()| steps.begin());
    if let Err(error) = ready {
        return Err(steps.give_up(error));
    }
    if let Err(error) = steps.forward() {
        return Err(steps.take_back(&error));
    }
    restored.database = plan.database.map(|database| database.name);
    restored.replaced = Some(replaced(&steps.journal)?);
    Ok(restored)
}

/// A plan that nothing stands in the way of. Where only room does, states that are kept make it: the oldest
/// first, each backed up once more.
fn plan_with_room(
    job: &Job<'_>,
    repository: &Repository,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<RestorePlan> {
    let expiry = Expiry {
        instance: job.instance()?,
        repository,
        surroundings: job.surroundings,
        progress,
    };
    loop {
        let mut plan = job.plan()?;
        checks::look(job, control, &mut plan)?;
        let Err(error) = checks::refuse(&plan) else {
            return Ok(plan);
        };
        if error.kind() != ErrorKind::NoSpace {
            return Err(error);
        }
        match expiry.remove_oldest()? {
            Some(state) => progress.warn(&format!(
                "the state that {} kept was removed to make room",
                state.run
            )),
            None => return Err(error),
        }
    }
}

/// Begins the run of a plan.
pub(super) fn begin<'a>(
    job: &Job<'_>,
    plan: &RestorePlan,
    safety_backup: Option<BackupId>,
    control: Control<'a>,
    progress: &'a dyn Progress,
) -> Result<Steps<'a>> {
    let purpose = Purpose::Restore {
        backup: job.backup.id,
    };
    let database = plan.database.as_ref().and_then(|database| {
        let (_, planned) = plan.target.as_ref()?;
        Some(DatabaseNames {
            live: database.name.clone(),
            new: planned.database.clone(),
            old: planned.database.replacen("_new_", "_old_", 1),
        })
    });
    let connection = database.as_ref().map(|_| job.connection()).transpose()?;
    let files = plan.files.iter().filter_map(|files| files.stage.clone());
    let header = Header::new(&plan.run, purpose, safety_backup, database, files.collect());
    Steps::of_run(job.instance()?, header, connection, control, progress)
}

/// Where the state before is now.
pub(super) fn replaced(journal: &Journal) -> Result<Replaced> {
    let header = journal.header()?;
    let had_database = journal.records().iter().any(|record| {
        matches!(
            record,
            Record::Swapping {
                live_database: Some(_),
                ..
            }
        )
    });
    Ok(Replaced {
        run: header.run.clone(),
        database: header
            .database
            .as_ref()
            .filter(|_| had_database)
            .map(|names| names.old.clone()),
        directories: header
            .files
            .iter()
            .map(|stage| stage.areas.old.clone())
            .collect(),
        safety_backup: header.safety_backup,
    })
}

pub(super) fn take_safety_backup(
    instance: &Instance,
    repository: &Repository,
    surroundings: &Surroundings,
    label: String,
    progress: &dyn Progress,
) -> Result<(BackupId, Status)> {
    progress.stage("safety backup", None);
    let options = BackupOptions {
        backup_type: BackupType::Automated,
        label: Some(label),
        pin: false,
        only: std::collections::BTreeSet::new(),
        read_all: false,
    };
    let taken =
        backup::run(instance, repository, &options, surroundings, progress).map_err(|error| {
            let hint = format!(
                "{}Where the present state cannot be backed up any more, use --no-safety-backup.",
                hint_before(&error)
            );
            error
                .context("the backup of the present state failed, so nothing was restored")
                .hint(hint)
        })?;
    if taken.summary.status == Status::Partial {
        progress.warn("the backup of the present state is partial");
    }
    Ok((taken.summary.id, taken.summary.status))
}

/// Where nothing is known of the application, nobody may be connected: who works on while the database is replaced
/// would lose what he does.
pub(super) fn refuse_sessions(
    instance: &Instance,
    connection: Option<&Connection>,
    control: Control<'_>,
) -> Result<()> {
    let (Some(connection), None) = (connection, control.application) else {
        return Ok(());
    };
    let database = &instance.database.name;
    let staying = standing::staying(&mut connection.maintenance()?, database)?;
    if staying.is_empty() {
        return Ok(());
    }
    let programs = staying.iter().map(|one| one.program.as_str());
    let names: BTreeSet<&str> = programs.filter(|program| !program.is_empty()).collect();
    let who = if names.is_empty() {
        String::new()
    } else {
        let names: Vec<_> = names.into_iter().collect();
        format!(" ({})", names.join(", "))
    };
    let connections = counted(staying.len() as u64, "connection");
    Err(Error::new(
        ErrorKind::Locked,
        format!("database `{database}` has {connections}{who}"),
    )
    .hint("Stop Tomcat and whatever else uses the database, then try again."))
}

/// Everything new, complete and on the device, beside the old.
pub(super) fn stage(
    job: &Job<'_>,
    plan: &RestorePlan,
    restored: &mut Restored,
    progress: &dyn Progress,
) -> Result<()> {
    let database_bytes = plan.database.as_ref().map_or(0, |database| database.bytes);
    let files_bytes: u64 = plan.files.iter().map(|files| files.bytes).sum();
    progress.stage("staging", Some(database_bytes + files_bytes));
    job.fill_database(plan, restored, progress)?;
    if let Some(name) = &restored.database {
        settle_status(&job.connection()?, name)?;
    }
    for files in &plan.files {
        let Some(stage) = &files.stage else { continue };
        let instance = job.instance()?;
        stage.make(instance.owner)?;
        job.fill_directory(files, &stage.areas.staged, restored, progress)?;
        keep_machine_settings(instance, files.part, &stage.areas.staged)?;
        if job.options.neutralize {
            let changes = hold_back(files.part, &stage.areas.staged)?;
            let neutralized = restored.neutralized.get_or_insert_default();
            neutralized.changes.extend(changes);
        }
    }
    Ok(())
}

/// A database that was backed up in the middle of a build would keep everybody but the System Administrator
/// out; the restored files and it fit together.
fn settle_status(connection: &Connection, database: &str) -> Result<()> {
    let mut session = Session::open(&connection.application.with_database(database))?;
    // As the application finds it.
    session.run(
        "cannot look for ad_system_info",
        "SET search_path TO DEFAULT",
    )?;
    let query = "SELECT pg_catalog.to_regclass('ad_system_info')::text";
    if session
        .value("cannot look for ad_system_info", query)?
        .is_none()
    {
        return Ok(());
    }
    let what = "cannot read the system status";
    let code = session.value(
        what,
        "SELECT system_status::text FROM ad_system_info LIMIT 1",
    )?;
    if status::is_rebuilding(code.as_deref()) {
        let sql = format!(
            "UPDATE ad_system_info SET system_status = '{}'",
            status::BUILT
        );
        session.run("cannot set the system status", &sql)?;
    }
    Ok(())
}

/// The restored properties describe the machine of the backup; this one keeps its own database and
/// directories.
fn keep_machine_settings(instance: &Instance, part: Part, staged: &Path) -> Result<()> {
    let directory = match part {
        Part::Configuration => staged.to_owned(),
        Part::Deploy => staged.join("WEB-INF"),
        _ => return Ok(()),
    };
    // The machine's own names the repository and this instance, the backup's would name another.
    let own = staged.join(crate::config::FILE_NAME);
    if part == Part::Configuration && own.exists() {
        let context = || format!("cannot remove `{}`", own.display());
        // Which changes the directory's time, and that is the backup's.
        let time = std::fs::metadata(staged).and_then(|directory| directory.modified());
        let time = time.io_context(context)?;
        std::fs::remove_file(&own).io_context(context)?;
        std::fs::File::open(staged)
            .and_then(|directory| directory.set_modified(time))
            .io_context(context)?;
    }
    keep_in(instance, &directory.join(PROPERTIES), |_| true)?;
    // This one goes before the other where a host has the name of the old one.
    let stronger = directory.join(format!("{}.{PROPERTIES}", instance.host));
    keep_in(instance, &stronger, |here| here.is_some())
}

/// Tells the application not to start background processes, whatever the database says.
fn hold_back(part: Part, staged: &Path) -> Result<Option<Change>> {
    let name = match part {
        Part::Configuration => PROPERTIES.to_owned(),
        Part::Deploy => format!("WEB-INF/{PROPERTIES}"),
        _ => return Ok(None),
    };
    let file = staged.join(&name);
    if !file.is_file() {
        return Ok(None);
    }
    add_lines(
        &file,
        "Neutralized: a copy runs nothing by itself.",
        &[("background.policy", "no-execute")],
    )?;
    Ok(Some(Change {
        table: format!("{part}: {name}"),
        what: "background.policy is no-execute".to_owned(),
        rows: 1,
    }))
}

/// Puts the machine's settings at the end of `file` where they differ; only those that `counts` wants, given what
/// the file says.
fn keep_in(instance: &Instance, file: &Path, counts: impl Fn(Option<&str>) -> bool) -> Result<()> {
    if !file.is_file() {
        return Ok(());
    }
    let restored = Properties::read(file)?;
    let different: Vec<_> = MACHINE_KEYS
        .iter()
        .filter_map(|key| Some((*key, instance.properties.get(key)?)))
        .filter(|(key, value)| counts(restored.get(key)) && restored.get(key) != Some(value))
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    add_lines(
        file,
        "Kept by the restore: this machine's own settings.",
        &different,
    )
}

/// Puts properties at the end of a file, where they count.
fn add_lines(file: &Path, why: &str, lines: &[(&str, &str)]) -> Result<()> {
    let context = || format!("cannot write `{}`", file.display());
    let mut text = std::fs::read(file).io_context(context)?;
    text.extend_from_slice(format!("\n# {why}\n").as_bytes());
    text.extend_from_slice(properties::lines(lines.iter().copied()).as_bytes());
    std::fs::write(file, text).io_context(context)?;
    std::fs::File::open(file)
        .and_then(|open| open.sync_all())
        .io_context(context)
}
