//! The runner: waits for what is due, and runs one thing at a time.
//!
//! It knows time, configuration, work and state through [`World`] alone, so that a test can let years pass. What it
//! promises holds over crashes, since the order is: run, which leaves a record in the repository; then write down
//! that the moment is seen to. Whoever dies in between finds the record next time and runs nothing again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Schedule;
use super::due::{Decision, Due, decide};
use super::ledger::{Failed, Ledger};
use crate::error::{Error, ErrorKind, Result};

/// What the runner needs from outside.
pub trait World {
    /// What the clock says. It may jump.
    fn now(&self) -> DateTime<Utc>;

    /// Lets time pass, at most so much; returns early when asked to stop, or to look at the clock again.
    fn pause(&self, at_most: TimeDelta);

    /// Makes this the only runner of the instance on this machine; false where another process is it.
    fn claim(&self) -> Result<bool>;

    /// The schedules as they are configured now.
    fn schedules(&self) -> Result<Vec<Schedule>>;

    /// How far they are seen to.
    fn load(&self) -> Result<Ledger>;

    /// Makes that durable.
    fn save(&self, ledger: &Ledger) -> Result<()>;

    /// Does the work, records how it ended and tells whom it concerns.
    fn run(&self, task: &Task<'_>) -> End;

    /// A task waited too long for `reason` to end, and is left out: records and tells that.
    fn skip(&self, task: &Task<'_>, reason: &Error);

    /// Looks after what is not bound to a run; called now and then while nothing is due.
    fn idle(&self);

    /// Something about the runner itself that a person should know.
    fn warn(&self, message: &str);
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Of which schedule.
    pub schedule: &'a Schedule,
    /// For which moment.
    pub due: Due,
    /// Why it did not begin at its time, if it did not.
    pub lateness: Lateness,
    /// How often it was tried before and failed, as far as this node knows.
    pub tries: u16,
}

impl Task<'_> {
    /// When it is tried again after so many tries have failed, the last one at `now`: as often as the schedule wants, and
    /// not beyond its next moment, which is a run of its own.
    pub fn again(&self, tries: u16, now: DateTime<Utc>) -> Option<Again> {
        if tries > self.schedule.retries {
            return None;
        }
        let at = now + self.schedule.back_off(tries);
        let next = self.schedule.next(self.due.due_at);
        next.is_none_or(|next| at < next)
            .then_some(Again { at, tries })
    }
}

/// Another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// When.
    pub at: DateTime<Utc>,
    /// How many have failed.
    pub tries: u16,
}

/// Whether what failed in this way may go well some minutes later, without or with somebody's doing.
pub fn is_worth_another_try(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Usage
            | ErrorKind::WrongKey
            | ErrorKind::Incompatible
            | ErrorKind::Damaged
            | ErrorKind::ActionNeeded
            | ErrorKind::Cancelled
    )
}

/// Why a run begins when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lateness {
    /// It is its time.
    OnTime,
    /// It waited for another run.
    Waited,
    /// Nothing was there to run it at its time.
    Missed,
}

/// How a task ended.
#[derive(Debug)]
pub enum End {
    /// It was run, well or badly, here or on another node: the moment is seen to.
    Done,
    /// It failed, here or on another node, and is to be tried again.
    Failed(Again),
    /// Somebody else works on the repository; to be tried again.
    Busy(Error),
    /// It was stopped because the runner is asked to stop; to be run next time.
    Stopped,
}

/// How often a task that waits is tried.
const RETRY: TimeDelta = TimeDelta::seconds(10);
/// A run that begins so much later was missed.
const GRACE: TimeDelta = TimeDelta::minutes(15);
/// No longer without looking at configuration and clock.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// Between two tries to become the one runner.
const STANDBY: TimeDelta = TimeDelta::seconds(5);

/// Runs the schedules of one instance.
pub struct Runner<'w> {
    world: &'w dyn World,
    instance: String,
    ledger: Ledger,
    known: Vec<Schedule>,
    waiting: BTreeMap<String, Waiting>,
    /// Since when and until when this runner was last at work.
    busy: Option<(DateTime<Utc>, DateTime<Utc>)>,
    said: Option<String>,
}

struct Waiting {
    due_at: DateTime<Utc>,
    lateness: Lateness,
    since: DateTime<Utc>,
    retry_at: DateTime<Utc>,
}

impl<'w> Runner<'w> {
    /// For the instance with this id.
    pub fn new(world: &'w dyn World, instance: &str) -> Self {
        Self {
            world,
            instance: instance.to_owned(),
            ledger: Ledger::default(),
            known: Vec::new(),
            waiting: BTreeMap::new(),
            busy: None,
            said: None,
        }
    }

    /// Runs until `stop` is set. Where another process runs the schedules already, waits for it to end and takes
    /// over.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        while !self.world.claim()? {
            self.say_once("another process runs the schedules; waiting for it to end".to_owned());
            self.world.pause(STANDBY);
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        self.wake()?;
        while !stop.load(Ordering::Relaxed) {
            let pause = self.step();
            if let Some(pause) = pause {
                self.world.idle();
                self.world.pause(pause);
            }
        }
        Ok(())
    }

    /// Runs what is due now, waits for nothing, and ends; false where another process runs the schedules.
    pub fn run_once(mut self, stop: &AtomicBool) -> Result<bool> {
        if !self.world.claim()? {
            return Ok(false);
        }
        self.wake()?;
        while !stop.load(Ordering::Relaxed) && self.step().is_none() {}
        self.world.idle();
        Ok(true)
    }

    /// Takes up what an earlier runner left.
    pub(super) fn wake(&mut self) -> Result<()> {
        self.said = None;
        self.ledger = self.world.load()?;
        Ok(())
    }

    /// Runs the first task that is due, or says how long none will be.
    pub(super) fn step(&mut self) -> Option<TimeDelta> {
        match self.world.schedules() {
            Ok(schedules) => {
                self.known = schedules;
                self.said = None;
            }
            // The schedules of before hold until somebody mends the file.
            Err(error) => self.say_once(format!("the schedules cannot be read: {error}")),
        }
        let schedules = self.known.clone();
        let enabled = || schedules.iter().filter(|schedule| schedule.is_enabled);
        let mut changed = self.ledger.keep(enabled());
        let now = self.world.now();
        let mut pause = LONGEST_PAUSE;
        let mut first: Option<(&Schedule, Due)> = None;
        for schedule in enabled() {
            let (handled, is_new) = self.ledger.handled(schedule, now);
            changed |= is_new;
            match decide(schedule, &self.instance, handled, now) {
                Decision::Never => {}
                Decision::Wait(until) => pause = pause.min(until - now),
                Decision::Run(due) => match self.retry_at(schedule, due, now) {
                    Some(retry_at) if retry_at > now => pause = pause.min(retry_at - now),
                    _ => {
                        let is_first =
                            first.is_none_or(|(_, other)| due.starts_at < other.starts_at);
                        first = if is_first {
                            Some((schedule, due))
                        } else {
                            first
                        };
                    }
                },
            }
        }
        if changed {
            self.save();
        }
        match first {
            Some((schedule, due)) => {
                self.task(schedule, due);
                None
            }
            // Never no time at all, so that a clock that does not move is no busy loop.
            None => Some(pause.max(TimeDelta::milliseconds(100))),
        }
    }

    /// When a task that waits, or one that failed, is tried again. A clock that was set back must not make it wait longer.
    fn retry_at(&self, schedule: &Schedule, due: Due, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Some(waiting) = self.waiting.get(&schedule.name) {
            return Some(waiting.retry_at.min(now + RETRY));
        }
        let again = self.ledger.failed(schedule, due.due_at)?.again;
        Some(again.at.min(now + schedule.back_off(again.tries)))
    }

    fn task(&mut self, schedule: &Schedule, due: Due) {
        let started = self.world.now();
        let waiting = self.waiting.remove(&schedule.name);
        let waiting = waiting.filter(|waiting| waiting.due_at == due.due_at);
        let failed = self.ledger.failed(schedule, due.due_at);
        let lateness = match (&waiting, failed) {
            (Some(waiting), _) => waiting.lateness,
            (None, Some(failed)) => failed.lateness,
            (None, None) => self.lateness(due, started),
        };
        let task = Task {
            schedule,
            due,
            lateness,
            tries: failed.map_or(0, |failed| failed.again.tries),
        };
        match self.world.run(&task) {
            End::Done => {}
            End::Failed(again) => {
                let due_at = due.due_at;
                let failed = Failed {
                    due_at,
                    again,
                    lateness,
                };
                self.busy = Some((started, self.world.now()));
                self.ledger.try_again(schedule, failed);
                self.save();
                return;
            }
            End::Stopped => return,
            End::Busy(reason) => {
                let now = self.world.now();
                // A clock that was set back must not make it wait longer here either.
                let since = waiting.map_or(now, |waiting| waiting.since.min(now));
                if now - since < schedule.wait {
                    let waiting = Waiting {
                        due_at: due.due_at,
                        lateness,
                        since,
                        retry_at: now + RETRY,
                    };
                    self.waiting.insert(schedule.name.clone(), waiting);
                    return;
                }
                self.world.skip(&task, &reason);
            }
        }
        self.busy = Some((started, self.world.now()));
        self.ledger.advance(schedule, due.due_at);
        self.save();
    }

    fn lateness(&self, due: Due, now: DateTime<Utc>) -> Lateness {
        let was_busy = |(since, until): (DateTime<Utc>, DateTime<Utc>)| {
            since <= due.starts_at && due.starts_at <= until
        };
        match self.busy {
            Some(busy) if was_busy(busy) => Lateness::Waited,
            _ if now - due.starts_at > GRACE => Lateness::Missed,
            _ => Lateness::OnTime,
        }
    }

    fn save(&mut self) {
        // The record in the repository tells of the run as well, so that nothing runs twice for this.
        if let Err(error) = self.world.save(&self.ledger) {
            self.world.warn(&format!(
                "the schedules' state could not be written: {error}"
            ));
        }
    }

    fn say_once(&mut self, message: String) {
        if self.said.as_ref() != Some(&message) {
            self.world.warn(&message);
            self.said = Some(message);
        }
    }
}
