//! What the command line, and later the window, ask for: each makes a plan first and runs it second.

pub mod arrival;
pub mod backup;
pub mod contents;
pub mod delete;
pub mod doctor;
pub mod drill;
pub mod init;
pub mod list;
pub mod restore;
pub mod storage;
pub mod surroundings;

mod attachments;
mod database;
mod room;

use crate::instance::Instance;
use crate::repository::tenure::Tenant;

/// The instance as repositories know it.
pub fn tenant(instance: &Instance) -> Tenant<'_> {
    Tenant {
        instance: &instance.id,
        holder: instance.holder.as_deref(),
    }
}

/// At the root of each directory of an instance: what a restore stages, and the state before it.
/// Never backed up.
pub const OWN_DIRECTORY: &str = ".obbackup";
