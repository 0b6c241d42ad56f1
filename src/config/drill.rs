//! `[drill]`: where test restores may lie.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// `[drill]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrillSection {
    /// The directory below which files are restored for trial; it needs the room of all files of a backup.
    pub directory: Option<PathBuf>,
}

impl DrillSection {
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        match &self.directory {
            Some(directory) if !directory.is_absolute() => Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "`{}`: directory of [drill] is not an absolute path",
                    path.display()
                ),
            )
            .hint("Name a directory with room: /srv/scratch")),
            _ => Ok(()),
        }
    }
}
