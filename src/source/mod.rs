//! What a backup reads: the database and directory trees.

pub mod database;
pub mod files;
