//! What the command line, and later the window, ask for: each makes a plan first and runs it second.

pub mod arrival;
pub mod backup;
pub mod contents;
pub mod copy;
pub mod delete;
pub mod doctor;
pub mod document;
pub mod drill;
pub mod forget;
pub mod guard;
pub mod init;
pub mod list;
pub mod metrics;
pub mod nights;
pub mod pin;
pub mod prune;
pub mod restore;
pub mod runs;
pub mod schedules;
pub mod service;
pub mod show;
pub mod space;
pub mod status;
pub mod storage;
pub mod surroundings;
pub mod throttle;
pub mod verify;
pub mod watch;

mod attachments;
mod capture;
mod database;
mod room;

use crate::error::{Error, ErrorKind, Result};
use crate::instance::Instance;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::repository::tenure::Tenant;

/// The instance as repositories know it.
pub fn tenant(instance: &Instance) -> Tenant<'_> {
    Tenant {
        instance: &instance.id,
        holder: instance.holder.as_deref(),
    }
}

/// `Denied` where it is not for `instance` to delete or to pin `backup`: it is another instance's, or was taken over.
pub fn check_own(repository: &Repository, backup: &Backup, instance: &Instance) -> Result<()> {
    let of = &backup.manifest.instance;
    if of.id != instance.id {
        return Err(Error::new(
            ErrorKind::Denied,
            format!(
                "backup {} is of another instance, {} on {}",
                backup.id.short(),
                of.name,
                of.host
            ),
        )
        .hint(
            "Do it there; or run obbackup init --take-over, if this machine goes on in its place.",
        ));
    }
    repository.check_tenure(tenant(instance))
}

pub use crate::instance::state::OWN_DIRECTORY;
