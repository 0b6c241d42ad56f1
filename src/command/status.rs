//! How things are: the restore that runs, or the last one.

use serde::Serialize;

use crate::error::Result;
use crate::instance::Instance;
use crate::job::{Place, Status};

/// What `status` gives; each section is there where there is something to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusReport {
    /// The restore that runs, or the last one.
    pub restore: Option<Status>,
}

impl StatusReport {
    /// Whether something runs that is worth following.
    pub fn is_running(&self) -> bool {
        self.restore
            .as_ref()
            .is_some_and(|status| status.outcome.is_none())
    }
}

/// Looks.
pub fn status(instance: &Instance) -> Result<StatusReport> {
    Ok(StatusReport {
        restore: Place::of(instance).last()?,
    })
}
