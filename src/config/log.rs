//! `[log]`: where the log lies and how long it is kept.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::Deserialize;

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// An absolute path; else `.obbackup/state/log` of the instance.
    pub directory: Option<PathBuf>,
    /// Older days are removed; 30 where nothing is said.
    pub keep_days: Option<NonZeroU16>,
}
