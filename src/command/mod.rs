//! What the command line, and later the window, ask for: each makes a plan first and runs it second.

pub mod backup;
pub mod contents;
pub mod copy;
pub mod delete;
pub mod doctor;
pub mod init;
pub mod list;
pub mod restore;
pub mod storage;
pub mod surroundings;

mod attachments;
mod database;

/// At the root of each directory of an instance: what a restore stages, and the state before it.
/// Never backed up.
pub const OWN_DIRECTORY: &str = ".obbackup";
