//! What a restore writes.

pub mod database;
