//! What others see of a restore: one document, written again and again while it runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::stage::{Stage, Timing};
use crate::error::{Error, ErrorKind};
use crate::format::manifest::BackupId;
use crate::instance::Instance;
use crate::repository::backups::Backup;

/// A restore as it is now, or as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The restore's own id; later ones sort behind earlier ones.
    pub job: String,
    /// What is restored.
    pub about: About,
    /// What it is at.
    pub stage: Stage,
    /// What it does within that: a table space, a directory.
    pub activity: Option<String>,
    /// Of the whole.
    pub percent: u8,
    /// Done of the present stage.
    pub done_bytes: u64,
    /// What the present stage has to do, where that is known.
    pub total_bytes: Option<u64>,
    /// Over the present stage.
    pub bytes_per_second: Option<u64>,
    /// Until the application answers again, where that can be said.
    pub seconds_left: Option<u64>,
    /// When the restore began.
    pub started_at: DateTime<Utc>,
    /// When it last gave a sign of life.
    pub heartbeat_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The process.
    pub pid: u32,
    /// The page's own port, where it has one besides or instead of the application's.
    pub page_port: Option<u16>,
    /// Why the old state is put back, once it is.
    pub put_back: Option<PutBack>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// What a person should know although the work goes on.
    pub warnings: Vec<String>,
    /// How long each stage took.
    pub timings: Vec<Timing>,
}

/// What a restore restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The instance's name.
    pub instance: String,
    /// Whether a backup is restored, or the last restore undone.
    pub verb: Verb,
    /// The backup, where it is one.
    pub backup: Option<BackupId>,
    /// Its label.
    pub label: Option<String>,
    /// Of when the state is that comes back.
    pub taken_at: DateTime<Utc>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// A backup is restored.
    Restore,
    /// The state before the last restore is brought back.
    Undo,
}

impl Verb {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Undo => "undo",
        }
    }
}

impl About {
    /// The restore of a backup.
    pub fn restore(instance: &Instance, backup: &Backup) -> Self {
        Self {
            instance: instance.name.clone(),
            verb: Verb::Restore,
            backup: Some(backup.id),
            label: backup.manifest.label.clone(),
            taken_at: backup.manifest.finished_at,
        }
    }

    /// The return to the state that was replaced at `replaced_at`.
    pub fn undo(instance: &Instance, replaced_at: DateTime<Utc>) -> Self {
        Self {
            instance: instance.name.clone(),
            verb: Verb::Undo,
            backup: None,
            label: None,
            taken_at: replaced_at,
        }
    }

    /// For people: what comes back.
    pub fn state(&self) -> String {
        match self.backup {
            Some(backup) => format!("backup {}", backup.short()),
            None => "the state before the last restore".to_owned(),
        }
    }
}

/// Why the old state is put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// What failed.
    pub at: Stage,
    /// For the administrator.
    pub because: String,
}

/// How a restore ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new state is in place, and the application answers.
    Restored,
    /// The old state is in place again, because the new one failed.
    PutBack,
    /// Somebody has to act.
    ActionNeeded,
    /// It ended before anything was replaced.
    NothingChanged,
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// In one word.
    pub verdict: Verdict,
    /// In a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What the process ends with.
    pub exit_code: u8,
}

impl Outcome {
    /// The new state is in place.
    pub fn restored(about: &About) -> Self {
        Self {
            verdict: Verdict::Restored,
            message: format!("{} is in place", about.state()),
            hint: None,
            exit_code: 0,
        }
    }

    /// It failed with this error.
    pub fn failed(error: &Error) -> Self {
        Self {
            verdict: match error.kind() {
                ErrorKind::RolledBack => Verdict::PutBack,
                ErrorKind::ActionNeeded => Verdict::ActionNeeded,
                _ => Verdict::NothingChanged,
            },
            message: error.message(),
            hint: error.hint_text().map(str::to_owned),
            exit_code: error.kind().exit_code(),
        }
    }

    /// Another process ended it, after its own was gone.
    pub fn recovered(verdict: Verdict, message: &str) -> Self {
        let kind = match verdict {
            Verdict::Restored => None,
            Verdict::PutBack => Some(ErrorKind::RolledBack),
            Verdict::ActionNeeded => Some(ErrorKind::ActionNeeded),
            Verdict::NothingChanged => Some(ErrorKind::Failure),
        };
        Self {
            verdict,
            message: message.to_owned(),
            hint: None,
            exit_code: kind.map_or(0, ErrorKind::exit_code),
        }
    }

    /// Its process ended without a word.
    pub(super) fn vanished() -> Self {
        Self {
            verdict: Verdict::ActionNeeded,
            message: "its process ended without a word: it was killed, or the machine went down"
                .to_owned(),
            hint: Some(
                "The next `obbackup` command finishes it or puts everything back, and says which."
                    .to_owned(),
            ),
            exit_code: ErrorKind::ActionNeeded.exit_code(),
        }
    }
}
