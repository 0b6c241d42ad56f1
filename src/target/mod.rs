//! What a restore writes.

pub mod files;
