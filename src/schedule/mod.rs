//! Schedules: when a backup is due, and the runner that takes it then.
//!
//! What is due is decided by pure functions of the schedule, of what was done so far and of the clock, so that years of
//! nights can be tried in a moment. The runner is the loop around them.

pub mod calendar;
pub mod cron;
pub mod due;
pub mod ledger;
pub mod runner;
#[cfg(test)]
mod years;

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use crate::config::schedule::ScheduleSection;
use crate::error::{Error, Result};
use crate::format::id::Digest256;
use crate::format::manifest::Part;
use cron::Cron;

/// How long a run waits for other work on its repository where nothing is said.
const WAIT_MINUTES: u16 = 360;
/// How often a run that failed is tried again, and after how long for the first time: at three in the night, the last
/// time at ten past four.
const RETRIES: u16 = 3;
const RETRY_MINUTES: u16 = 10;
/// Beyond that a wait lasts for years.
const MOST_DOUBLINGS: u32 = 20;

/// A schedule whose text is understood.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name in the configuration.
    pub name: String,
    /// When it runs, on the wall.
    pub cron: Cron,
    /// On which wall.
    pub zone: Tz,
    /// The repository's name or place; else the default one.
    pub repository: Option<String>,
    /// Only these parts; all, when empty.
    pub only: BTreeSet<Part>,
    /// The label of its backups.
    pub label: Option<String>,
    /// Whether it runs.
    pub is_enabled: bool,
    /// Each run starts up to so much later.
    pub random_delay: TimeDelta,
    /// How long a run waits for other work.
    pub wait: TimeDelta,
    /// How often a run that failed is tried again.
    pub retries: u16,
    /// After how long for the first time.
    pub retry_after: TimeDelta,
}

/// One coming run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coming {
    /// The moment that its expression names.
    pub due_at: DateTime<Utc>,
    /// When it starts: later by the random delay.
    pub starts_at: DateTime<Utc>,
}

impl Schedule {
    /// What `section` says; `machine_zone` is for one that names no zone.
    pub fn new(name: &str, section: &ScheduleSection, machine_zone: Tz) -> Result<Self> {
        let explain = |error: Error| error.context(format!("[schedule.{name}]"));
        let only = section
            .only
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_>>()
            .map_err(explain)?;
        Ok(Self {
            name: name.to_owned(),
            cron: section.cron.parse().map_err(explain)?,
            zone: match &section.time_zone {
                Some(name) => calendar::zone(name).map_err(explain)?,
                None => machine_zone,
            },
            repository: section.repository.clone(),
            only,
            label: section.label.clone(),
            is_enabled: section.enabled.unwrap_or(true),
            random_delay: TimeDelta::minutes(section.random_delay_minutes.unwrap_or(0).into()),
            wait: TimeDelta::minutes(section.wait_minutes.unwrap_or(WAIT_MINUTES).into()),
            retries: section.retries.unwrap_or(RETRIES),
            retry_after: TimeDelta::minutes(
                section
                    .retry_minutes
                    .map_or(RETRY_MINUTES, NonZeroU16::get)
                    .into(),
            ),
        })
    }

    /// The moment after `after` that its expression names.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        calendar::next(&self.cron, self.zone, after)
    }

    /// How much later the run of `due_at` starts. The same each time it is asked, also after a restart and
    /// on the other nodes of a cluster; another one for each instance and night. Never more than half way to
    /// the next moment: else a run would still wait when that comes.
    pub fn delay(&self, instance: &str, due_at: DateTime<Utc>) -> TimeDelta {
        let seconds = u64::try_from(self.random_delay.num_seconds()).unwrap_or(0);
        if seconds == 0 {
            return TimeDelta::zero();
        }
        let text = format!("{instance}|{}|{}", self.name, due_at.timestamp());
        let digest = Digest256::of(text.as_bytes());
        let number = digest
            .as_bytes()
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let delay = TimeDelta::seconds(i64::try_from(number % seconds).unwrap_or(0));
        match self.next(due_at) {
            Some(next) => delay.min((next - due_at) / 2),
            None => delay,
        }
    }

    /// How long after the failure of so many tries it is tried again: each time twice as long as before.
    pub fn back_off(&self, tries: u16) -> TimeDelta {
        let doublings = u32::from(tries.saturating_sub(1)).min(MOST_DOUBLINGS);
        self.retry_after * 2_i32.pow(doublings)
    }

    /// The next `count` runs after `after`.
    pub fn coming(&self, instance: &str, after: DateTime<Utc>, count: usize) -> Vec<Coming> {
        std::iter::successors(self.next(after), |last| self.next(*last))
            .take(count)
            .map(|due_at| Coming {
                due_at,
                starts_at: due_at + self.delay(instance, due_at),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_section_is_understood_or_named() {
        let section = ScheduleSection {
            cron: "0 3 * * *".to_owned(),
            only: vec!["database".to_owned()],
            ..ScheduleSection::default()
        };
        let schedule = Schedule::new("nightly", &section, Tz::Europe__Madrid).unwrap();
        assert_eq!(schedule.zone, Tz::Europe__Madrid);
        assert!(schedule.is_enabled && schedule.only.contains(&Part::Database));
        for wrong in [
            ScheduleSection {
                cron: "0 25 * * *".to_owned(),
                ..ScheduleSection::default()
            },
            ScheduleSection {
                time_zone: Some("Nowhere".to_owned()),
                ..section.clone()
            },
            ScheduleSection {
                only: vec!["databse".to_owned()],
                ..section.clone()
            },
        ] {
            let error = Schedule::new("nightly", &wrong, Tz::UTC).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(
                error.to_string().starts_with("[schedule.nightly]: "),
                "{error}"
            );
        }
    }

    #[test]
    fn delays_are_spread_and_stay_what_they_are() {
        let section = ScheduleSection {
            cron: "@daily".to_owned(),
            random_delay_minutes: Some(30),
            ..ScheduleSection::default()
        };
        let schedule = Schedule::new("nightly", &section, Tz::UTC).unwrap();
        let start = DateTime::from_timestamp(1_795_489_200, 0).unwrap();
        let coming = schedule.coming("one", start, 50);
        assert_eq!(coming, schedule.coming("one", start, 50));
        let delays: BTreeSet<_> = coming
            .iter()
            .map(|coming| (coming.starts_at - coming.due_at).num_seconds())
            .collect();
        assert!(delays.iter().all(|delay| (0..1800).contains(delay)));
        assert!(delays.len() > 40, "{delays:?}");
        assert_ne!(
            schedule.delay("one", coming[0].due_at),
            schedule.delay("two", coming[0].due_at)
        );
    }
}
