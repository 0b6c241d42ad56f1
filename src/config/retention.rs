//! `[retention]`: which backups are kept, and how long it takes until what nobody needs is gone.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Hours that packs stay which nothing needs, unless the configuration says otherwise.
pub const GRACE_HOURS: u32 = 24;
/// A pack is written anew when more than this share of it is not needed, unless the configuration says otherwise.
pub const REPACK_ABOVE_PERCENT: u8 = 50;

/// `[retention]`. A series of backups without rules of its own is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// Backups that schedules took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<KeepRules>,
    /// Backups of one schedule, by its name; instead of `scheduled`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub schedule: BTreeMap<String, KeepRules>,
    /// Backups that somebody asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<KeepRules>,
    /// Backups before a module install, a restore and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automated: Option<KeepRules>,
    /// The instance's backups take no more than so many GiB; the oldest go first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_space_gib: Option<u32>,
    /// A name of the time zone database, by whose calendar days, weeks, months and years count; else UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Hours that packs stay which nothing needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_hours: Option<u32>,
    /// A pack is written anew when more than this share of it is not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repack_above_percent: Option<u8>,
}

/// How many backups of one series are kept; a backup that any of these keeps is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepRules {
    /// The last so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// The last one of each of the last so many hours that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_hourly: Option<u32>,
    /// The same of days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_daily: Option<u32>,
    /// The same of weeks, which begin on Monday.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_weekly: Option<u32>,
    /// The same of months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_monthly: Option<u32>,
    /// The same of years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_yearly: Option<u32>,
    /// All that are at most so many days older than the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_within_days: Option<u32>,
}

impl KeepRules {
    /// Whether they keep anything at all.
    pub fn keeps_something(&self) -> bool {
        [
            self.keep_last,
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
            self.keep_within_days,
        ]
        .into_iter()
        .flatten()
        .any(|count| count > 0)
    }
}

impl RetentionSection {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<()> {
        let types = [
            ("scheduled", self.scheduled),
            ("manual", self.manual),
            ("automated", self.automated),
        ];
        let named = self
            .schedule
            .iter()
            .map(|(name, rules)| (format!("schedule.{name}"), *rules));
        let all = types
            .into_iter()
            .filter_map(|(name, rules)| Some((name.to_owned(), rules?)))
            .chain(named);
        for (name, rules) in all {
            if !rules.keeps_something() {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("[retention.{name}] keeps nothing"),
                )
                .hint("Say how many to keep, such as `keep_daily = 7`, or remove the section."));
            }
        }
        if self.repack_above_percent.is_some_and(|share| share > 100) {
            return Err(Error::new(
                ErrorKind::Usage,
                "repack_above_percent of [retention] is more than 100",
            )
            .hint("Write a share between 0 and 100; 100 writes nothing anew."));
        }
        self.zone().map(|_| ())
    }

    /// Whether anything is ever forgotten by them.
    pub fn has_rules(&self) -> bool {
        self.scheduled.is_some()
            || self.manual.is_some()
            || self.automated.is_some()
            || !self.schedule.is_empty()
            || self.max_space_gib.is_some()
    }

    /// Whose calendar counts.
    pub fn zone(&self) -> Result<Tz> {
        let Some(name) = &self.time_zone else {
            return Ok(Tz::UTC);
        };
        name.parse().map_err(|_| {
            Error::new(
                ErrorKind::Usage,
                format!(
                    "time_zone of [retention]: there is no time zone `{}`",
                    name.escape_debug()
                ),
            )
            .hint("Write a name such as Europe/Madrid or UTC.")
        })
    }

    /// How long packs stay which nothing needs.
    pub fn grace(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::hours(self.grace_hours.unwrap_or(GRACE_HOURS).into())
    }

    /// What share of a pack may be unneeded.
    pub fn repack_above_percent(&self) -> u8 {
        self.repack_above_percent.unwrap_or(REPACK_ABOVE_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Configuration;
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Result<RetentionSection> {
        Configuration::parse(text, Path::new("/x/obbackup.toml")).map(|all| all.retention)
    }

    #[test]
    fn every_key_is_read() {
        let section = parse(
            "[retention]\nmax_space_gib = 200\ntime_zone = 'Europe/Madrid'\ngrace_hours = 48\n\
             repack_above_percent = 30\n\
             [retention.scheduled]\nkeep_last = 1\nkeep_hourly = 2\nkeep_daily = 7\nkeep_weekly = 5\n\
             keep_monthly = 12\nkeep_yearly = 3\nkeep_within_days = 14\n\
             [retention.automated]\nkeep_last = 5\n[retention.manual]\nkeep_within_days = 365\n\
             [retention.schedule.nightly]\nkeep_daily = 30\n",
        )
        .unwrap();
        assert_eq!(section.scheduled.unwrap().keep_monthly, Some(12));
        assert_eq!(section.schedule["nightly"].keep_daily, Some(30));
        assert_eq!(section.zone().unwrap(), Tz::Europe__Madrid);
        assert_eq!(section.grace().num_hours(), 48);
        assert_eq!(section.repack_above_percent(), 30);
    }

    #[test]
    fn what_keeps_nothing_or_is_nowhere_is_refused() {
        for text in [
            "[retention.scheduled]\n",
            "[retention.automated]\nkeep_last = 0\n",
            "[retention.schedule.nightly]\n",
            "[retention]\ntime_zone = 'Europe/Nowhere'\n",
            "[retention]\nrepack_above_percent = 101\n",
            "[retention]\nkeep_daily = 7\n",
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), ErrorKind::Usage, "{text}");
        }
    }
}
