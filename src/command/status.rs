//! How things are: the restore that runs, or the last one, and the last runs.

use serde::Serialize;

use super::runs;
use crate::error::Result;
use crate::instance::Instance;
use crate::instance::history::RunReport;
use crate::job::{Place, Status};

/// So many of the last runs are shown.
const RUNS: usize = 10;

/// What `status` gives; each section is there where there is something to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusReport {
    /// The restore that runs, or the last one.
    pub restore: Option<Status>,
    /// The last runs, the newest first, also those that failed; `None` where only the restore was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<RunReport>>,
}

impl StatusReport {
    /// Whether something runs that is worth following.
    pub fn is_running(&self) -> bool {
        self.restore
            .as_ref()
            .is_some_and(|status| status.outcome.is_none())
    }
}

/// Looks, at what this machine knows alone: so there is an answer while no repository can be reached. Runs of schedules
/// that another node saw to are among it.
pub fn status(instance: &Instance) -> Result<StatusReport> {
    // Looking makes nothing: who may not write here, or on a full disk, gets an answer too.
    let state = instance.state_if_any();
    let runs = state.map(|state| runs::recent(&state, None, RUNS));
    Ok(StatusReport {
        runs: Some(runs.transpose()?.unwrap_or_default()),
        ..restore(instance)?
    })
}

/// Looks at the restore alone.
pub fn restore(instance: &Instance) -> Result<StatusReport> {
    Ok(StatusReport {
        restore: Place::of(instance).last()?,
        runs: None,
    })
}
