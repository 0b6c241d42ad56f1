//! Where a restore writes: directory trees, and the swap that puts a staged tree in place of a live one.

pub mod database;
pub mod files;
pub mod swap;

mod relocate;
