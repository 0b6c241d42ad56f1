//! Whether the repository can be used: where it lies, who works on it.

use std::path::Path;

use rustix::fs::Access;

use super::{Check, Examined, Health};
use crate::command::{storage, tenant};
use crate::config::RepositorySection;
use crate::config::schedule::ScheduleSection;
use crate::error::{ErrorKind, IoContext, Result};
use crate::instance::check_nesting;
use crate::repository::Repository;

/// The repository itself, then what concerns it as a whole.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "repository";
    let repository = match &examined.repository {
        Ok(repository) => repository,
        Err(error) => return vec![Check::failed(NAME, error)],
    };
    let location = repository.storage().location();
    if let Err(error) = check_nesting(&location, examined.instance) {
        return vec![Check::failed(NAME, &error)];
    }
    vec![
        Check::ok(NAME, format!("{location} (id {})", repository.header().id)),
        permissions(examined, repository),
        lock(repository),
    ]
}

const PERMISSIONS: &str = "permissions";

/// Whether this instance may write here, and whether this user can. That matters less where nothing that is configured
/// writes.
fn permissions(examined: &Examined<'_>, repository: &Repository) -> Check {
    let location = repository.storage().location();
    // One that is only read is not written to for a trial either.
    if let Err(error) = repository.check_tenure(tenant(examined.instance)) {
        let check = Check::failed(PERMISSIONS, &error);
        let is_read = error.kind() == ErrorKind::Denied && !is_written(examined, &location);
        return if is_read { check.tolerated() } else { check };
    }
    let usual = examined.configuration.repository(None);
    let is_usual = usual.is_ok_and(|usual| is_at(&usual.section, &location));
    let is_read = !is_usual && !is_written(examined, &location);
    let storage = repository.storage();
    if let Err(error) = check_writable(Path::new(&location)) {
        let check = Check::failed(PERMISSIONS, &error);
        return if is_read { check.tolerated() } else { check };
    }
    if !storage.is_remote() {
        return Check::ok(PERMISSIONS, "this user can write there");
    }
    // Whether a bucket can be written to shows only when something is.
    let tried = match storage::test(&**storage) {
        Ok(tried) => tried,
        Err(error) => return Check::failed(PERMISSIONS, &error),
    };
    let cannot_read = tried.steps.iter().any(|step| {
        step.result == Health::Failure && matches!(step.name, "read" | "read a range" | "list")
    });
    let worst = tried.steps.into_iter().max_by_key(|step| step.result);
    match worst.filter(|step| step.result != Health::Ok) {
        None => Check::ok(
            PERMISSIONS,
            "an object was written, read, listed, replaced and deleted",
        ),
        Some(step) => Check {
            name: PERMISSIONS.to_owned(),
            result: match step.result {
                Health::Failure if is_read && !cannot_read => Health::Warning,
                result => result,
            },
            found: format!("{}: {}", step.name, step.found),
            remedy: step.remedy,
        },
    }
}

/// Whether the configuration has backups written here by themselves: by a schedule, or as copies.
fn is_written(examined: &Examined<'_>, location: &str) -> bool {
    let configuration = examined.configuration;
    let enabled = |section: &&ScheduleSection| section.enabled.unwrap_or(true);
    let schedules = configuration.schedule.values().filter(enabled);
    let scheduled = schedules
        .filter_map(|section| configuration.repository(section.repository.as_deref()).ok())
        .map(|choice| choice.section);
    let copied = configuration.repository.values();
    let copied = copied
        .flat_map(|section| &section.copy_to)
        .filter_map(|name| configuration.repository.get(name).cloned());
    scheduled
        .chain(copied)
        .any(|section| is_at(&section, location))
}

fn is_at(section: &RepositorySection, location: &str) -> bool {
    section.url.trim_end_matches('/') == location.trim_end_matches('/')
}

fn lock(repository: &Repository) -> Check {
    const NAME: &str = "lock";
    let leases = match repository.leases() {
        Ok(leases) => leases,
        Err(error) => return Check::failed(NAME, &error),
    };
    if leases.is_empty() {
        return Check::ok(NAME, "nobody is working on the repository");
    }
    let who: Vec<_> = leases
        .iter()
        .map(|lease| {
            format!(
                "{} by {}@{} ({})",
                lease.purpose, lease.user, lease.host, lease.pid
            )
        })
        .collect();
    Check::ok(NAME, who.join(", "))
}

/// Whether this user may make objects in a repository of this machine, which an earlier `init` by somebody else
/// does not promise.
fn check_writable(location: &Path) -> Result<()> {
    if !location.is_dir() {
        return Ok(());
    }
    rustix::fs::access(location, Access::WRITE_OK | Access::EXEC_OK)
        .io_context(|| format!("this user cannot write to `{}`", location.display()))
        .map_err(|error| error.hint("Give the directory to the owner of source.path."))
}
