//! Restoring in place of the instance: everything new is complete beside the old before the first rename.
//!
//! Order: safety backup; new database and new files staged and verified; then the swap, which is renames
//! alone, the database first, since that is the step which others can refuse. What fails is taken back in
//! the opposite order. The old database and files are kept.

use std::path::{Path, PathBuf};

use chrono::Utc;
use serde::Serialize;

use super::super::arrival;
use super::{Job, RestorePlan, Restored, staging};
use crate::command::backup::{self, BackupOptions};
use crate::command::database::Connection;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::database::DatabaseState;
use crate::format::manifest::{BackupId, BackupType, Part, Status};
use crate::format::record::LeaseMode;
use crate::instance::properties::{self, Properties};
use crate::instance::{Instance, status};
use crate::postgresql::client::{Session, database_error};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::lock::Lock;
use crate::target::database::Change;
use crate::target::swap::Swapped;

/// Where the state before a restore is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
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
    let run = format!(
        "restore-{}-{}",
        Utc::now().format("%Y%m%dT%H%M%SZ"),
        job.backup.id.short()
    );
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
fn new_name(name: &str, what: &str, run: &str) -> String {
    let end = format!(
        "_{what}_{}",
        run.trim_start_matches("restore-").to_lowercase()
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
    let there = session
        .client
        .query_opt(
            "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1",
            &[&name],
        )
        .map_err(|error| database_error("cannot look for the database", error))?;
    if there.is_none() {
        return Ok(None);
    }
    let state = connection.open()?.state().clone();
    Ok(Some(LiveDatabase { name, state }))
}

/// What was swapped so far, and how to take it back.
#[derive(Default)]
struct Undo<'a> {
    databases: Option<(&'a Connection, Vec<(String, String)>)>,
    files: Vec<Swapped>,
}

pub(super) fn run(
    job: &Job<'_>,
    repository: &Repository,
    safety_backup: bool,
    progress: &dyn Progress,
) -> Result<Restored> {
    let instance = job.instance()?;
    // First what can be refused, before anybody waits for a backup.
    let plan = job.plan()?;
    let connection = match plan.database {
        Some(_) => Some(job.connection()?),
        None => None,
    };
    if let Some(connection) = &connection {
        refuse_sessions(instance, connection)?;
    }
    let mut replaced = Replaced {
        database: None,
        directories: Vec::new(),
        safety_backup: None,
    };
    let may_write = arrival::may_write(repository, instance)?;
    if safety_backup && may_write && arrival::has_state(instance, &plan) {
        replaced.safety_backup = take_safety_backup(job, repository, progress)?;
    }
    // A repository that is only read gets no lease either.
    let lock = may_write
        .then(|| repository.lock(LeaseMode::Write, &instance.id, "restore"))
        .transpose()?;
    let mut restored = Restored::new(&plan);
    let staged = stage(job, &plan, &mut restored, progress);
    if let Err(error) = staged {
        clear(&plan, connection.as_ref(), restored.database.as_deref());
        return Err(error);
    }
    progress.check()?;
    lock.as_ref().map_or(Ok(()), Lock::check)?;
    progress.stage("swap", None);
    let mut undo = Undo::default();
    match swap(
        instance,
        &plan,
        connection.as_ref(),
        &restored,
        &mut undo,
        &mut replaced,
    ) {
        Ok(()) => {
            restored.database = plan.database.map(|database| database.name);
            restored.replaced = Some(replaced);
            Ok(restored)
        }
        Err(error) => Err(take_back(
            undo,
            error,
            &plan,
            connection.as_ref(),
            restored.database.as_deref(),
        )),
    }
}

fn take_safety_backup(
    job: &Job<'_>,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<Option<BackupId>> {
    let options = BackupOptions {
        backup_type: BackupType::Automated,
        label: Some(format!("before the restore of {}", job.backup.id.short())),
        pin: false,
        only: std::collections::BTreeSet::new(),
        read_all: false,
    };
    let taken = backup::run(job.instance()?, repository, &options, job.surroundings, progress)
        .map_err(|error| {
            let text = error.hint_text().map(|hint| format!("{hint} ")).unwrap_or_default();
            error.context("the backup of the present state failed, so nothing was restored").hint(format!(
                "{text}Where the present state cannot be backed up any more, use --no-safety-backup."
            ))
        })?;
    if taken.summary.status == Status::Partial {
        progress.warn("the backup of the present state is partial");
    }
    Ok(Some(taken.summary.id))
}

/// Somebody who works on while the database is replaced would lose what he does.
fn refuse_sessions(instance: &Instance, connection: &Connection) -> Result<()> {
    let mut session = connection.maintenance()?;
    let rows = session
        .client
        .query(
            "SELECT coalesce(application_name, '') FROM pg_catalog.pg_stat_activity \
             WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()",
            &[&instance.database.name],
        )
        .map_err(|error| database_error("cannot look for connections", error))?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = rows
        .iter()
        .filter_map(|row| row.try_get::<_, String>(0).ok())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names.dedup();
    let who = if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", names.join(", "))
    };
    Err(Error::new(
        ErrorKind::Locked,
        format!(
            "database `{}` has {} connections{who}",
            instance.database.name,
            rows.len()
        ),
    )
    .hint("Stop Tomcat and whatever else uses the database, then run the command again."))
}

/// Everything new, complete and on the device, beside the old.
fn stage(
    job: &Job<'_>,
    plan: &RestorePlan,
    restored: &mut Restored,
    progress: &dyn Progress,
) -> Result<()> {
    job.fill_database(plan, restored, progress)?;
    if let Some(name) = &restored.database {
        settle_status(&job.connection()?, name)?;
    }
    for files in &plan.files {
        let Some(stage) = &files.stage else { continue };
        job.fill_directory(files, &stage.swap.staged, restored, progress)?;
        keep_machine_settings(job.instance()?, files.part, &stage.swap.staged)?;
        if job.options.neutralize {
            let changes = hold_back(files.part, &stage.swap.staged)?;
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
        std::fs::remove_file(&own).io_context(|| format!("cannot remove `{}`", own.display()))?;
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

fn swap<'a>(
    instance: &Instance,
    plan: &RestorePlan,
    connection: Option<&'a Connection>,
    restored: &Restored,
    undo: &mut Undo<'a>,
    replaced: &mut Replaced,
) -> Result<()> {
    if let (Some(connection), Some(new)) = (connection, &restored.database) {
        refuse_sessions(instance, connection)?;
        let live = instance.database.name.clone();
        let (_, renames) = undo.databases.get_or_insert((connection, Vec::new()));
        if plan
            .database
            .as_ref()
            .is_some_and(|database| database.replaces.is_some())
        {
            let old = new.replacen("_new_", "_old_", 1);
            connection.rename_database(&live, &old)?;
            renames.push((live.clone(), old.clone()));
            replaced.database = Some(old);
        }
        connection.rename_database(new, &live)?;
        renames.push((new.clone(), live));
    }
    for files in &plan.files {
        let Some(stage) = &files.stage else { continue };
        std::fs::create_dir_all(&stage.swap.root)
            .io_context(|| format!("cannot make `{}`", stage.swap.root.display()))?;
        undo.files.push(stage.swap.run(&|path| stage.fate(path))?);
        // Only emptied directories are left of what was staged.
        std::fs::remove_dir_all(&stage.swap.staged).ok();
        replaced.directories.push(stage.swap.old.clone());
    }
    Ok(())
}

/// Puts everything back in the opposite order; the error then says that nothing has changed.
fn take_back(
    undo: Undo<'_>,
    error: Error,
    plan: &RestorePlan,
    connection: Option<&Connection>,
    database: Option<&str>,
) -> Error {
    let mut failures = Vec::new();
    for swapped in undo.files.into_iter().rev() {
        failures.extend(swapped.reverse().err().map(|error| error.to_string()));
    }
    if let Some((connection, renames)) = undo.databases {
        for (from, to) in renames.iter().rev() {
            failures.extend(
                connection
                    .rename_database(to, from)
                    .err()
                    .map(|error| error.to_string()),
            );
        }
    }
    if failures.is_empty() && error.kind() != ErrorKind::ActionNeeded {
        clear(plan, connection, database);
        let hint = error
            .hint_text()
            .map_or_else(String::new, |hint| format!("{hint} "));
        return error
            .context("the restore failed; everything is as it was before")
            .with_kind(ErrorKind::RolledBack)
            .hint(format!(
                "{hint}Nothing was lost; the restore can be run again."
            ));
    }
    let hint =
        "Nothing was deleted: the old state is in the places named, and in the safety backup.";
    error
        .context(format!(
            "the restore failed, and putting everything back failed too ({})",
            failures.join("; ")
        ))
        .with_kind(ErrorKind::ActionNeeded)
        .hint(hint)
}

/// Removes what was staged. What cannot be removed is in nobody's way.
fn clear(plan: &RestorePlan, connection: Option<&Connection>, database: Option<&str>) {
    if let (Some(connection), Some(database)) = (connection, database) {
        connection.drop_database(database).ok();
    }
    for files in &plan.files {
        if let Some(area) = files
            .stage
            .as_ref()
            .and_then(|stage| stage.swap.staged.parent())
        {
            std::fs::remove_dir_all(area).ok();
        }
    }
}
