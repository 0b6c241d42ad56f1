//! `[space]`: when the room of a repository's device is called low.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// `[space]`. A mark is passed when either of its two limits is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpaceSection {
    /// A warning when less than this share of the device is free.
    pub warning_percent: u8,
    /// Critical when less than this share is free.
    pub critical_percent: u8,
    /// A warning when there is room for fewer backups like the last ones.
    pub warning_backups: u32,
    /// Critical when there is room for fewer.
    pub critical_backups: u32,
}

impl Default for SpaceSection {
    fn default() -> Self {
        Self {
            warning_percent: 10,
            critical_percent: 3,
            warning_backups: 14,
            critical_backups: 2,
        }
    }
}

impl SpaceSection {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<()> {
        if self.warning_percent > 100
            || self.critical_percent > self.warning_percent
            || self.critical_backups > self.warning_backups
        {
            return Err(Error::new(
                ErrorKind::Usage,
                "[space] calls something critical before it warns of it, or a share is above 100",
            )
            .hint("The critical limits are to be lower than those of the warning."));
        }
        Ok(())
    }
}
