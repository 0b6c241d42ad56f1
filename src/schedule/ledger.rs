//! How far each schedule is seen to; what survives a restart of the runner.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::runner::{Again, Lateness};
use super::{Schedule, due};
use crate::error::{Error, ErrorKind, Result};

/// One line for each schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    schedules: BTreeMap<String, Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// The expression and the zone: what was seen to under another one says nothing of this one.
    rule: String,
    /// All moments up to here are seen to.
    handled: DateTime<Utc>,
    /// The moment after that whose run failed, and is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
}

/// A run that failed and is not given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Its moment.
    pub due_at: DateTime<Utc>,
    /// The next try.
    pub again: Again,
    /// Why the first one began when it did.
    pub lateness: Lateness,
}

impl Ledger {
    /// The file's name in the state directory.
    pub const FILE: &str = "schedule.json";

    /// What the file says. One that is damaged counts as none: runs then go on from now.
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// What is to be in the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(
                ErrorKind::Failure,
                "cannot write the schedules' state as JSON",
            )
            .source(error)
        })
    }

    /// Up to where `schedule` is seen to; from `now` on, where it is new, where its expression changed, or
    /// where the clock was wrong. Says whether that is to be written down.
    pub fn handled(&mut self, schedule: &Schedule, now: DateTime<Utc>) -> (DateTime<Utc>, bool) {
        let rule = format!("{} {}", schedule.cron, schedule.zone);
        let known = self.schedules.get(&schedule.name);
        let known_rule = known.filter(|line| line.rule == rule);
        let handled = known_rule.map_or(now, |line| due::anchored(schedule, line.handled, now));
        let failed = known_rule
            .and_then(|line| line.failed.clone())
            .filter(|failed| failed.due_at > handled);
        let line = Line {
            rule,
            handled,
            failed,
        };
        let is_new = known != Some(&line);
        self.schedules.insert(schedule.name.clone(), line);
        (handled, is_new)
    }

    /// All moments of `schedule` up to `due_at` are seen to.
    pub fn advance(&mut self, schedule: &Schedule, due_at: DateTime<Utc>) {
        if let Some(line) = self.schedules.get_mut(&schedule.name) {
            line.handled = due_at;
            line.failed = None;
        }
    }

    /// The run of a moment failed, and is tried again.
    pub fn try_again(&mut self, schedule: &Schedule, failed: Failed) {
        if let Some(line) = self.schedules.get_mut(&schedule.name) {
            line.failed = Some(failed);
        }
    }

    /// What is known of the tries of `due_at` that failed.
    pub fn failed(&self, schedule: &Schedule, due_at: DateTime<Utc>) -> Option<&Failed> {
        let failed = self.schedules.get(&schedule.name)?.failed.as_ref()?;
        (failed.due_at == due_at).then_some(failed)
    }

    /// Forgets all schedules but these: one that is switched on again begins anew, and makes up for nothing.
    /// Says whether there was anything to forget.
    pub fn keep<'a>(&mut self, schedules: impl Iterator<Item = &'a Schedule>) -> bool {
        let names: Vec<&str> = schedules.map(|schedule| schedule.name.as_str()).collect();
        let before = self.schedules.len();
        self.schedules
            .retain(|name, _| names.contains(&name.as_str()));
        self.schedules.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schedule::ScheduleSection;
    use chrono::TimeDelta;
    use chrono_tz::Tz;

    fn schedule(cron: &str) -> Schedule {
        let section = ScheduleSection {
            cron: cron.to_owned(),
            ..ScheduleSection::default()
        };
        Schedule::new("nightly", &section, Tz::UTC).unwrap()
    }

    #[test]
    fn it_comes_back_and_a_new_rule_begins_anew() {
        let now = DateTime::from_timestamp(1_795_489_200, 0).unwrap();
        let later = now + TimeDelta::days(3);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.handled(&schedule("@daily"), now), (now, true));
        let mut ledger = Ledger::parse(&ledger.to_bytes().unwrap());
        assert_eq!(ledger.handled(&schedule("@daily"), later), (now, false));
        assert_eq!(ledger.handled(&schedule("@weekly"), later), (later, true));
        assert!(ledger.keep([].into_iter()));
        assert_eq!(ledger, Ledger::default());
        assert_eq!(Ledger::parse(b"\0\0"), Ledger::default());
    }
}
