//! Where a restore writes: a database, directory trees.

pub mod swap;
