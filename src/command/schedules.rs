//! The schedules of an instance as people and programs see them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::nights::{self, RunnerProcess};
use crate::config::Configuration;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::Part;
use crate::instance::Instance;
use crate::instance::history::RunReport;
use crate::schedule::{Coming, Schedule};

/// All schedules.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// Whether a process of this machine runs them now.
    pub running: bool,
    /// Which one.
    pub runner: Option<RunnerProcess>,
    /// They, by name.
    pub schedules: Vec<Listed>,
}

/// One schedule.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// When it is due, as a cron expression.
    pub cron: String,
    /// The zone that the expression is meant in.
    pub time_zone: &'static str,
    /// The repository's name, or its place.
    pub repository: String,
    /// Only these parts of the instance.
    pub only: Vec<Part>,
    /// What its backups are labelled with.
    pub label: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// Each run starts up to so many minutes later.
    pub random_delay_minutes: i64,
    /// How many minutes a run waits for other work on the repository before it is left out.
    pub wait_minutes: i64,
    /// How often a run that failed is tried again.
    pub retries: u16,
    /// After how many minutes for the first time.
    pub retry_minutes: i64,
    /// Its next run.
    pub next: Option<Coming>,
    /// How its last run ended.
    pub last: Option<RunReport>,
}

/// The runs ahead.
#[derive(Debug, Serialize)]
pub struct Upcoming {
    /// By schedule.
    pub schedules: Vec<UpcomingOf>,
}

/// The runs of one schedule.
#[derive(Debug, Serialize)]
pub struct UpcomingOf {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub time_zone: &'static str,
    /// Whether it runs.
    pub enabled: bool,
    /// Its next runs.
    pub runs: Vec<Moment>,
}

/// One run ahead.
#[derive(Debug, Serialize)]
pub struct Moment {
    /// When.
    #[serde(flatten)]
    pub coming: Coming,
    /// `due_at` on the wall of the schedule's zone.
    pub due_at_local: String,
}

/// `schedules`, which `configuration` holds, each with its last and its next run.
pub fn list(
    instance: &Instance,
    configuration: &Configuration,
    schedules: &[Schedule],
    now: DateTime<Utc>,
) -> Result<Listing> {
    let state = instance.state()?;
    let mut listed = Vec::new();
    for schedule in schedules {
        let last = state.history(1, |report| {
            let occasion = report.occasion.as_ref();
            occasion.is_some_and(|occasion| occasion.schedule == schedule.name)
        })?;
        let repository = configuration.repository(schedule.repository.as_deref())?;
        let coming = schedule.coming(&instance.id, now, 1);
        listed.push(Listed {
            cron: schedule.cron.to_string(),
            time_zone: schedule.zone.name(),
            repository: repository.name.unwrap_or(repository.section.url),
            only: schedule.only.iter().copied().collect(),
            enabled: schedule.is_enabled,
            random_delay_minutes: schedule.random_delay.num_minutes(),
            wait_minutes: schedule.wait.num_minutes(),
            retries: schedule.retries,
            retry_minutes: schedule.retry_after.num_minutes(),
            next: coming.into_iter().next().filter(|_| schedule.is_enabled),
            last: last.into_iter().next(),
            label: schedule.label.clone(),
            name: schedule.name.clone(),
        });
    }
    let runner = nights::runner(instance)?;
    Ok(Listing {
        running: runner.is_some(),
        runner,
        schedules: listed,
    })
}

/// The next `count` runs of each, or of the one that is named.
pub fn next(
    instance: &Instance,
    configuration: &Configuration,
    zone: Tz,
    now: DateTime<Utc>,
    name: Option<&str>,
    count: usize,
) -> Result<Upcoming> {
    let mut schedules = nights::schedules(configuration, zone)?;
    if let Some(name) = name {
        schedules.retain(|schedule| schedule.name == name);
        if schedules.is_empty() {
            return Err(absent(name));
        }
    }
    let of = |schedule| upcoming(schedule, instance, now, count);
    Ok(Upcoming {
        schedules: schedules.into_iter().map(of).collect(),
    })
}

/// The next `count` runs of one.
pub fn upcoming(
    schedule: Schedule,
    instance: &Instance,
    now: DateTime<Utc>,
    count: usize,
) -> UpcomingOf {
    let coming = schedule.coming(&instance.id, now, count);
    let moment = |coming: Coming| Moment {
        due_at_local: coming.due_at.with_timezone(&schedule.zone).to_rfc3339(),
        coming,
    };
    UpcomingOf {
        runs: coming.into_iter().map(moment).collect(),
        time_zone: schedule.zone.name(),
        enabled: schedule.is_enabled,
        name: schedule.name,
    }
}

/// The error for a schedule that is not there.
pub fn absent(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no schedule `{}`", name.escape_debug()),
    )
    .hint("`obbackup schedule list` shows those that there are.")
}
