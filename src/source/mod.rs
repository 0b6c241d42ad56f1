//! What a backup reads.

pub mod files;
