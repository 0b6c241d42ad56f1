//! Whether a backup, and a restore, would find everything that they need.
//!
//! Each subject has a file of its own with one function, `checks`, which looks and changes nothing, but that a small object
//! comes into a bucket and goes again. A new subject is a file and a line in `SUBJECTS`.

mod backups;
mod clock;
mod configuration;
mod database;
mod instance;
mod repository;
mod schedule;
mod space;
mod states;
mod tomcat;

use chrono_tz::Tz;
use serde::Serialize;

use super::surroundings::Surroundings;
use crate::config::Configuration;
use crate::error::{Error, Result};
use crate::instance::Instance;
use crate::repository::Repository;
use crate::tomcat::Tomcat;
use crate::tomcat::systemd::Systemd;

pub use tomcat::examine;

/// What is looked at.
pub struct Examined<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// What its `obbackup.toml` says.
    pub configuration: &'a Configuration,
    /// The machine.
    pub surroundings: &'a Surroundings,
    /// The repository, or why it cannot be opened.
    pub repository: Result<Repository>,
    /// The application's server, as far as anything tells of one.
    pub tomcat: Result<Option<Tomcat>>,
    /// systemd, where it runs this machine.
    pub systemd: Option<Systemd>,
    /// The zone of schedules that name none.
    pub zone: Tz,
}

/// Every subject, in the order in which a backup needs it. One whose ground is missing (no repository, no
/// database) says nothing: the subject that the ground belongs to has said so.
const SUBJECTS: &[fn(&Examined<'_>) -> Vec<Check>] = &[
    instance::checks,
    configuration::checks,
    database::checks,
    tomcat::checks,
    states::checks,
    repository::checks,
    space::checks,
    clock::checks,
    schedule::checks,
    backups::checks,
];

/// Everything that was looked at.
pub fn doctor(examined: &Examined<'_>) -> Vec<Check> {
    SUBJECTS
        .iter()
        .flat_map(|checks| checks(examined))
        .collect()
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it is.
    pub result: Health,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
}

/// The checks, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Whether what is configured would work.
    pub healthy: bool,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// What `checks` come to.
    pub fn of(checks: Vec<Check>) -> Self {
        Self {
            healthy: checks.iter().all(|check| check.result != Health::Failure),
            checks,
        }
    }
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// What is configured works, but somebody should look.
    Warning,
    /// A backup or a restore would fail.
    Failure,
}

impl Check {
    /// All is well.
    pub fn ok(name: &str, found: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            result: Health::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    /// Somebody should look.
    pub fn warning(name: &str, found: impl Into<String>) -> Self {
        Self {
            result: Health::Warning,
            ..Self::ok(name, found)
        }
    }

    /// A backup or a restore would fail.
    pub fn failure(name: &str, found: impl Into<String>) -> Self {
        Self {
            result: Health::Failure,
            ..Self::ok(name, found)
        }
    }

    /// A failure, with the error's own remedy.
    pub fn failed(name: &str, error: &Error) -> Self {
        Self {
            remedy: error.hint_text().map(str::to_owned),
            ..Self::failure(name, error.to_string())
        }
    }

    /// The same as a warning: what failed is not needed for a backup.
    #[must_use]
    pub fn tolerated(mut self) -> Self {
        self.result = Health::Warning;
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
