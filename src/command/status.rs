//! How things are: the restore that runs, or the last one, and the last runs.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::restore::states::{KeptState, kept_states};
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
    /// The states before restores that are kept, the newest first; `None` as with the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_states: Option<Vec<OldState>>,
}

/// A state before a restore.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OldState {
    /// What is kept.
    #[serde(flatten)]
    pub state: KeptState,
    /// From then on the next backup removes it; another restore that needs its room does so before.
    pub expires_at: DateTime<Utc>,
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
/// that another node saw to are among it. Old states are kept for `keeps_old`.
pub fn status(instance: &Instance, keeps_old: TimeDelta) -> Result<StatusReport> {
    // Looking makes nothing: who may not write here, or on a full disk, gets an answer too.
    let state = instance.state_if_any();
    let runs = state.map(|state| runs::recent(&state, None, RUNS));
    // Whoever may not see them gets the rest; `doctor` says what is wrong with them.
    let old_states = kept_states(&instance.source_path).unwrap_or_default();
    let old_states = old_states
        .into_iter()
        .filter(|state| state.is_replaced)
        .map(|state| OldState {
            expires_at: state.at + keeps_old,
            state,
        });
    Ok(StatusReport {
        runs: Some(runs.transpose()?.unwrap_or_default()),
        old_states: Some(old_states.collect()),
        ..restore(instance)?
    })
}

/// Looks at the restore alone.
pub fn restore(instance: &Instance) -> Result<StatusReport> {
    Ok(StatusReport {
        restore: Place::of(instance).last()?,
        runs: None,
        old_states: None,
    })
}
