//! What a backup reads.

pub mod database;
