//! The instance's own history: how each run ended, also where no repository could be reached to say so in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::StateDirectory;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{BackupId, BackupType, Statistics};
use crate::format::record::{OK, Occasion};

const PREFIX: &str = "history-";
/// One file a month; older ones are removed.
const MONTHS: usize = 36;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Random; the same as in the repository's record of the run.
    pub id: String,
    /// What was done: "backup", "verify".
    pub command: String,
    /// For backups, which type.
    #[serde(rename = "type", default)]
    pub backup_type: Option<BackupType>,
    /// The schedule that it belongs to, and when it was due.
    #[serde(default)]
    pub occasion: Option<Occasion>,
    /// Where the repository is.
    pub repository: String,
    /// The host that it ran on.
    pub host: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// `ok`, `partial`, `skipped`, or the name of the error's kind.
    pub outcome: String,
    /// The error's text.
    #[serde(default)]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// The backup that came of it.
    #[serde(default)]
    pub backup: Option<BackupId>,
    /// What that cost.
    #[serde(default)]
    pub statistics: Option<Statistics>,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Of a scheduled run that failed, when it is tried again.
    #[serde(default)]
    pub retry_at: Option<DateTime<Utc>>,
}

impl RunReport {
    /// A run that began at `started_at` and ended well just now.
    pub fn ended(
        id: String,
        command: &str,
        repository: &str,
        host: &str,
        started_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            command: command.to_owned(),
            backup_type: None,
            occasion: None,
            repository: repository.to_owned(),
            host: host.to_owned(),
            started_at,
            finished_at: Utc::now(),
            outcome: OK.to_owned(),
            message: None,
            hint: None,
            backup: None,
            statistics: None,
            warnings: Vec::new(),
            retry_at: None,
        }
    }

    /// Whether it ended as it should.
    pub fn is_good(&self) -> bool {
        self.outcome == OK
    }

    /// Whether nothing more comes of it. One that was stopped is begun anew, and one that is tried again is told when it
    /// went well, or with the last try.
    pub fn is_final(&self) -> bool {
        let is_stopped = self.outcome == ErrorKind::Cancelled.name().to_lowercase();
        !is_stopped && self.retry_at.is_none()
    }

    /// Whether the work was done at all, or not even begun.
    pub fn is_skipped(&self) -> bool {
        self.outcome == SKIPPED
    }
}

/// The outcome of a run that could not begin.
pub const SKIPPED: &str = "skipped";

impl StateDirectory {
    /// Writes down how a run ended.
    pub fn record(&self, report: &RunReport) -> Result<()> {
        let line = serde_json::to_string(report).map_err(|error| {
            Error::new(ErrorKind::Failure, "cannot write the run as JSON").source(error)
        })?;
        let name = format!("{PREFIX}{}.jsonl", report.finished_at.format("%Y-%m"));
        self.append_line(&name, &line)?;
        let names = self.names(PREFIX)?;
        let surplus = names.len().saturating_sub(MONTHS);
        names
            .iter()
            .take(surplus)
            .try_for_each(|name| self.remove(name))
    }

    /// The runs for which `wanted` holds, the newest first, at most `count`. Lines that a crash cut short are left out.
    pub fn history(
        &self,
        count: usize,
        wanted: impl Fn(&RunReport) -> bool,
    ) -> Result<Vec<RunReport>> {
        let mut found = Vec::new();
        for name in self.names(PREFIX)?.iter().rev() {
            let bytes = self.read(name)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let reports = text
                .lines()
                .rev()
                .filter_map(|line| serde_json::from_str(line).ok());
            found.extend(reports.filter(&wanted).take(count - found.len()));
            if found.len() >= count {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Owner;

    fn report(id: &str, day: i64) -> RunReport {
        let finished_at = DateTime::from_timestamp(1_795_489_200 + day * 86_400, 0).unwrap();
        RunReport {
            finished_at,
            ..RunReport::ended(id.to_owned(), "backup", "/r", "erp", finished_at)
        }
    }

    #[test]
    fn the_newest_come_first_over_months_and_torn_lines_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::of(directory.path()).unwrap();
        let state = StateDirectory::open(directory.path(), owner).unwrap();
        assert!(state.history(5, |_| true).unwrap().is_empty());
        for day in 0..40 {
            state.record(&report(&format!("{day}"), day)).unwrap();
        }
        let last = state.names(PREFIX).unwrap().pop().unwrap();
        state.append_line(&last, "{\"id\":\"40\",\"comm").unwrap();
        let ids = |reports: Vec<RunReport>| -> Vec<String> {
            reports.into_iter().map(|report| report.id).collect()
        };
        assert_eq!(ids(state.history(3, |_| true).unwrap()), ["39", "38", "37"]);
        assert_eq!(ids(state.history(1, |it| it.id == "2").unwrap()), ["2"]);
        assert_eq!(state.history(100, |_| true).unwrap().len(), 40);
        for month in 0..50 {
            state.record(&report("x", month * 31)).unwrap();
        }
        assert_eq!(state.names(PREFIX).unwrap().len(), MONTHS);
    }
}
