//! `[schedule.<name>]`: when backups are taken by themselves.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// As written; what the text of it means is `schedule::Schedule`'s to say, so that a slip in a schedule
/// does not keep other commands from working.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSection {
    /// Five fields (minute, hour, day of the month, month, day of the week), or `@daily` and the like.
    pub cron: String,
    /// A name of the time zone database; else the machine's zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// A repository's name or place; else the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Only these parts of the instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// What the backups are labelled with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it runs; yes, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Each run starts up to so many minutes later, so that not all instances start at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_delay_minutes: Option<u16>,
    /// How many minutes a run waits for other work on the repository before it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_minutes: Option<u16>,
    /// How often a run that failed is tried again; not at all with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u16>,
    /// After how many minutes it is tried again for the first time; each next time after twice as many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_minutes: Option<NonZeroU16>,
}
