//! Whether the repository can be used: where it lies, who works on it.

use std::path::Path;

use rustix::fs::Access;

use super::{Check, Examined, Health};
use crate::command::{storage, tenant};
use crate::error::{IoContext, Result};
use crate::instance::{Instance, check_nesting};
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
        permissions(repository, examined.instance),
        lock(repository),
    ]
}

/// Whether this instance may write here, and whether this user can.
fn permissions(repository: &Repository, instance: &Instance) -> Check {
    const NAME: &str = "permissions";
    let storage = repository.storage();
    let allowed = repository
        .check_tenure(tenant(instance))
        .and_then(|()| check_writable(Path::new(&storage.location())));
    if let Err(error) = allowed {
        return Check::failed(NAME, &error);
    }
    if !storage.is_remote() {
        return Check::ok(NAME, "this user can write there");
    }
    // Whether a bucket can be written to shows only when something is.
    let tried = match storage::test(&**storage) {
        Ok(tried) => tried,
        Err(error) => return Check::failed(NAME, &error),
    };
    let worst = tried.steps.into_iter().max_by_key(|step| step.result);
    match worst.filter(|step| step.result != Health::Ok) {
        None => Check::ok(
            NAME,
            "an object was written, read, listed, replaced and deleted",
        ),
        Some(step) => Check {
            name: NAME.to_owned(),
            result: step.result,
            found: format!("{}: {}", step.name, step.found),
            remedy: step.remedy,
        },
    }
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
