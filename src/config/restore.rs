//! `[restore]`: where people see how a restore is going while the application is down.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// `[restore]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreSection {
    /// The page for a proxy to show, `….html`; its state goes beside it as `….json`.
    pub status_file: Option<PathBuf>,
    /// A port of its own for the page, all through the restore, besides Tomcat's.
    pub page_port: Option<NonZeroU16>,
    /// How many days the state before a restore is kept; 7 unless set.
    pub keep_old_days: Option<u16>,
    /// Answer on Tomcat's HTTP port while Tomcat is down; `true` unless set.
    pub page: Option<bool>,
}

/// Long enough that a mistake is seen in the first working week.
const KEEP_OLD_DAYS: u16 = 7;

impl RestoreSection {
    /// How long the state before a restore is kept.
    pub fn keeps_old(&self) -> TimeDelta {
        TimeDelta::days(self.keep_old_days.unwrap_or(KEEP_OLD_DAYS).into())
    }

    pub(super) fn check(&self, path: &Path) -> Result<()> {
        match &self.status_file {
            Some(file)
                if !file.is_absolute() || file.extension().is_none_or(|end| end != "html") =>
            {
                Err(Error::new(
                    ErrorKind::Usage,
                    format!(
                        "`{}`: status_file of [restore] is not an absolute path that ends in .html",
                        path.display()
                    ),
                )
                .hint("The web server shows it: /var/www/openbravo/restore.html"))
            }
            _ => Ok(()),
        }
    }
}
