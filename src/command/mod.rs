//! What the command line, and later the window, ask for: each makes a plan first and runs it second.

pub mod backup;
pub mod contents;
pub mod copy;
pub mod delete;
pub mod doctor;
pub mod forget;
pub mod init;
pub mod list;
pub mod nights;
pub mod pin;
pub mod prune;
pub mod restore;
pub mod runs;
pub mod service;
pub mod storage;
pub mod surroundings;

mod attachments;
mod database;

pub use crate::instance::state::OWN_DIRECTORY;
