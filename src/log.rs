//! The log: lines of JSON, one file a day, so that what happened in a run can be read afterwards.
//!
//! Each line is written by itself to the file of its day, so that several processes may write at the same time, and
//! whoever writes first on a day makes the file for the owner of the instance.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::config::log::LogSection;
use crate::error::{Error, ErrorKind, IoContext as _, Result};
use crate::instance::state::StateDirectory;

const DIRECTORY: &str = "log";
const PREFIX: &str = "obbackup-";
const DAY: &str = "%Y-%m-%d";
const KEEP_DAYS: u16 = 30;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: Level,
    /// The run that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What was being done.
    pub command: String,
    /// The schedule that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// What there is to say.
    pub message: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What happens.
    Info,
    /// What a person should know.
    Warning,
    /// What failed.
    Error,
}

/// The log of one instance.
#[derive(Debug)]
pub struct Log {
    directory: StateDirectory,
    keep_days: u16,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The day whose beginning was looked after.
    day: String,
    problem: Option<Error>,
}

impl Log {
    /// Below `state`, or where `section` says.
    pub fn open(state: &StateDirectory, section: &LogSection) -> Result<Self> {
        let directory = section
            .directory
            .clone()
            .unwrap_or_else(|| DIRECTORY.into());
        Ok(Self {
            directory: state.room(&directory)?,
            keep_days: section.keep_days.map_or(KEEP_DAYS, std::num::NonZero::get),
            state: Mutex::default(),
        })
    }

    /// Writes a line. What goes wrong is kept for [`Log::problem`]: a log must not fail what it is about.
    pub fn write(&self, line: &Line) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let day = line.at.format(DAY).to_string();
        let result = self.append(line, &day).and_then(|()| {
            if state.day == day {
                return Ok(());
            }
            state.day = day;
            self.remove_old(line.at)
        });
        if let Err(error) = result {
            state.problem.get_or_insert(error);
        }
    }

    /// The first thing that went wrong with the log since this was asked last.
    pub fn problem(&self) -> Option<Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.problem.take()
    }

    fn append(&self, line: &Line, day: &str) -> Result<()> {
        let name = format!("{PREFIX}{day}.jsonl");
        let mut text = serde_json::to_string(line).map_err(|error| {
            Error::new(ErrorKind::Failure, "cannot write a line of the log as JSON").source(error)
        })?;
        text.push('\n');
        self.directory
            .open_to_append(&name)?
            .write_all(text.as_bytes())
            .io_context(|| {
                format!(
                    "cannot write `{}`",
                    self.directory.path().join(name).display()
                )
            })
    }

    fn remove_old(&self, now: DateTime<Utc>) -> Result<()> {
        let oldest = now - TimeDelta::days(self.keep_days.into());
        let oldest = format!("{PREFIX}{}", oldest.format(DAY));
        for name in self.directory.names(PREFIX)? {
            if name < oldest {
                self.directory.remove(&name)?;
            }
        }
        Ok(())
    }

    /// The last `count` lines for which `wanted` holds, in order. What is no line is left out.
    pub fn lines(&self, count: usize, wanted: impl Fn(&Line) -> bool) -> Result<Vec<Line>> {
        let mut found: Vec<Line> = Vec::new();
        for name in self.directory.names(PREFIX)?.iter().rev() {
            let bytes = self.directory.read(name)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines = text.lines().rev();
            let lines = lines.filter_map(|line| serde_json::from_str(line).ok());
            found.extend(lines.filter(&wanted).take(count - found.len()));
            if found.len() >= count {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Owner;

    fn log(directory: &std::path::Path, keep_days: u16) -> Log {
        let owner = Owner::of(directory).unwrap();
        let state = StateDirectory::open(directory, owner).unwrap();
        let section = LogSection {
            directory: None,
            keep_days: std::num::NonZeroU16::new(keep_days),
        };
        Log::open(&state, &section).unwrap()
    }

    fn line(day: i64, message: &str) -> Line {
        Line {
            at: DateTime::from_timestamp(1_795_489_200 + day * 86_400, 0).unwrap(),
            level: Level::Info,
            run: Some(format!("run{day}")),
            command: "backup".to_owned(),
            schedule: None,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_run_is_found_again_and_old_days_go() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 5);
        for day in 0..10 {
            log.write(&line(day, "one"));
            log.write(&line(day, "two"));
        }
        assert!(log.problem().is_none());
        assert_eq!(log.directory.names(PREFIX).unwrap().len(), 6);
        let of_run = |run: &str| {
            log.lines(100, |line| line.run.as_deref() == Some(run))
                .unwrap()
        };
        assert_eq!(of_run("run8"), [line(8, "one"), line(8, "two")]);
        assert_eq!(of_run("run2"), []);
        assert_eq!(
            log.lines(3, |_| true).unwrap(),
            [line(8, "two"), line(9, "one"), line(9, "two")]
        );
    }

    #[test]
    fn what_goes_wrong_is_told_once_and_fails_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 5);
        std::fs::remove_dir_all(log.directory.path()).unwrap();
        log.write(&line(0, "one"));
        log.write(&line(0, "two"));
        assert_eq!(log.problem().unwrap().kind(), ErrorKind::NotFound);
        assert!(log.problem().is_none());
    }

    #[test]
    fn lines_of_several_threads_do_not_mix() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 5);
        let long = "x".repeat(5000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| log.write(&line(0, &long))));
            }
        });
        assert_eq!(
            log.lines(1000, |line| line.message == long).unwrap().len(),
            200
        );
    }
}
