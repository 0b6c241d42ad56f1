//! What a command works with besides the instance and the repository.

use std::path::PathBuf;

use super::throttle::Throttle;

/// Threads, programs and room for short-lived files; from the machine and the user's environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Threads, and connections to the database.
    pub jobs: usize,
    /// Directories that may hold `pg_dump` and `pg_restore`: those of `PATH`.
    pub program_directories: Vec<PathBuf>,
    /// Where short-lived private files may lie.
    pub work_directory: PathBuf,
    /// How much of the machine a backup may take.
    pub throttle: Throttle,
    /// Where copies of what never changes in a distant repository are kept.
    pub cache_directory: Option<PathBuf>,
}
