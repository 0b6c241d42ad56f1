//! Two years of nights under a clock that obeys, jumps, and stands beside other nodes, counted exactly.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;

use super::Schedule;
use super::calendar;
use super::ledger::Ledger;
use super::runner::{End, Lateness, Runner, Task, World};
use crate::config::schedule::ScheduleSection;
use crate::error::{Error, ErrorKind, Result};

const ZONES: [Tz; 4] = [
    Tz::Europe__Madrid,
    // Summer time until 2019, and midnight was the hour that it skipped.
    Tz::America__Sao_Paulo,
    // Half an hour of summer time.
    Tz::Australia__Lord_Howe,
    Tz::UTC,
];

fn moment(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn begin() -> DateTime<Utc> {
    moment("2017-09-01T12:00:00Z")
}

fn end() -> DateTime<Utc> {
    moment("2019-09-01T12:00:00Z")
}

fn schedule(name: &str, cron: &str, zone: Tz) -> Schedule {
    let section = ScheduleSection {
        cron: cron.to_owned(),
        ..ScheduleSection::default()
    };
    Schedule::new(name, &section, zone).unwrap()
}

/// One run, as the world saw it.
#[derive(Debug, Clone)]
struct Ran {
    schedule: String,
    due_at: DateTime<Utc>,
    /// True time, whatever the clock said.
    at: DateTime<Utc>,
    lateness: Lateness,
    passed_over: u64,
}

/// What several nodes have in common: true time, and the repository.
#[derive(Default)]
struct Common {
    ran: RefCell<Vec<Ran>>,
    skipped: RefCell<Vec<Ran>>,
    /// While it lasts somebody else works on the repository.
    held: RefCell<Vec<(DateTime<Utc>, DateTime<Utc>)>>,
}

/// One node.
struct Node {
    common: Rc<Common>,
    truth: Rc<Cell<DateTime<Utc>>>,
    /// From these moments of true time on the node's clock is wrong by so much.
    jumps: Vec<(DateTime<Utc>, TimeDelta)>,
    schedules: Vec<Schedule>,
    takes: TimeDelta,
    stored: RefCell<Ledger>,
    /// Pauses end here at the latest.
    until: Cell<DateTime<Utc>>,
}

impl Node {
    fn new(schedules: Vec<Schedule>) -> Self {
        Self {
            common: Rc::default(),
            truth: Rc::new(Cell::new(begin())),
            jumps: Vec::new(),
            schedules,
            takes: TimeDelta::minutes(20),
            stored: RefCell::default(),
            until: Cell::new(end()),
        }
    }

    fn let_pass(&self, at_most: TimeDelta) {
        let now = self.truth.get();
        let mut next = (now + at_most).min(self.until.get());
        // A jump of the clock is seen within half a minute.
        if let Some((at, _)) = self.jumps.iter().find(|(at, _)| *at > now) {
            next = next.min(*at + TimeDelta::seconds(30));
        }
        self.truth.set(next.max(now));
    }

    /// The runner's life until true time is `until`; what it knows is on disk only.
    fn live_until(&self, until: DateTime<Utc>) {
        self.until.set(until);
        let mut runner = Runner::new(self, "instance");
        runner.wake().unwrap();
        while self.truth.get() < until {
            if let Some(pause) = runner.step() {
                self.let_pass(pause);
            }
        }
    }

    fn ran(&self, schedule: &str) -> Vec<Ran> {
        let ran = self.common.ran.borrow();
        ran.iter()
            .filter(|ran| ran.schedule == schedule)
            .cloned()
            .collect()
    }
}

impl World for Node {
    fn now(&self) -> DateTime<Utc> {
        let truth = self.truth.get();
        let past = self.jumps.iter().rev().find(|(at, _)| *at <= truth);
        truth + past.map_or(TimeDelta::zero(), |(_, offset)| *offset)
    }

    fn pause(&self, at_most: TimeDelta) {
        self.let_pass(at_most);
    }

    fn claim(&self) -> Result<bool> {
        Ok(true)
    }

    fn schedules(&self) -> Result<Vec<Schedule>> {
        Ok(self.schedules.clone())
    }

    fn load(&self) -> Result<Ledger> {
        Ok(Ledger::parse(&self.stored.borrow().to_bytes()?))
    }

    fn save(&self, ledger: &Ledger) -> Result<()> {
        *self.stored.borrow_mut() = ledger.clone();
        Ok(())
    }

    fn run(&self, task: &Task<'_>) -> End {
        let at = self.truth.get();
        let held = self.common.held.borrow();
        if held.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            return End::Busy(Error::new(ErrorKind::Locked, "in use"));
        }
        let known = |ran: &Ran| ran.schedule == task.schedule.name && ran.due_at == task.due.due_at;
        if self.common.ran.borrow().iter().any(known) {
            return End::Done;
        }
        self.common.ran.borrow_mut().push(ran(task, at));
        self.truth.set(at + self.takes);
        End::Done
    }

    fn skip(&self, task: &Task<'_>, _reason: &Error) {
        let mut skipped = self.common.skipped.borrow_mut();
        skipped.push(ran(task, self.truth.get()));
    }

    fn idle(&self) {}

    fn warn(&self, message: &str) {
        panic!("{message}");
    }
}

fn ran(task: &Task<'_>, at: DateTime<Utc>) -> Ran {
    Ran {
        schedule: task.schedule.name.clone(),
        due_at: task.due.due_at,
        at,
        lateness: task.lateness,
        passed_over: task.due.passed_over,
    }
}

/// How often each day of a zone was run for.
fn by_day(ran: &[Ran], zone: Tz) -> BTreeMap<NaiveDate, usize> {
    let mut days = BTreeMap::new();
    for ran in ran {
        *days
            .entry(ran.due_at.with_timezone(&zone).date_naive())
            .or_default() += 1;
    }
    days
}

/// Every day of a zone that begins in the two years.
fn days(zone: Tz) -> BTreeSet<NaiveDate> {
    let first = begin().with_timezone(&zone).date_naive();
    let last = end().with_timezone(&zone).date_naive();
    first
        .iter_days()
        .skip(1)
        .take_while(|day| *day <= last)
        .collect()
}

#[test]
fn two_years_have_one_run_each_day_in_every_zone() {
    for zone in ZONES {
        let mut node = Node::new(vec![
            schedule("nightly", "15 2 * * *", zone),
            schedule("midnight", "@daily", zone),
            schedule("hourly", "@hourly", zone),
        ]);
        node.takes = TimeDelta::minutes(3);
        node.live_until(end());
        for name in ["nightly", "midnight"] {
            let ran = node.ran(name);
            let counted = by_day(&ran, zone);
            assert!(counted.values().all(|count| *count == 1), "{zone} {name}");
            let missing: Vec<_> = days(zone)
                .into_iter()
                .filter(|day| !counted.contains_key(day))
                .collect();
            // Of the last day its hour may not have come yet.
            assert!(missing.len() <= 1, "{zone} {name}: {missing:?}");
            assert!(
                (730..=731).contains(&ran.len()),
                "{zone} {name}: {}",
                ran.len()
            );
            for ran in ran {
                assert_ne!(ran.lateness, Lateness::Missed);
                assert!(ran.at - ran.due_at < TimeDelta::minutes(10), "{ran:?}");
            }
        }
        // A naive model: whenever the wall shows a full hour.
        let half_hours = (1..).map(|number| begin() + TimeDelta::minutes(30 * number));
        let full_hours = half_hours
            .take_while(|moment| *moment < end())
            .filter(|moment| moment.with_timezone(&zone).minute() == 0);
        assert_eq!(node.ran("hourly").len(), full_hours.count(), "{zone}");
    }
}

#[test]
fn after_an_outage_one_run_makes_up_for_all_that_were_missed() {
    for zone in ZONES {
        let nightly = schedule("nightly", "0 3 * * *", zone);
        let mut node = Node::new(vec![nightly.clone()]);
        node.takes = TimeDelta::zero();
        // Up for 10 days and some hours, down for between an hour and nine days, again and again.
        let mut down = TimeDelta::hours(1);
        let mut expected = Vec::new();
        let mut handled = begin();
        while node.truth.get() < end() {
            let up_until = (node.truth.get() + TimeDelta::hours(247)).min(end());
            // A naive model: each moment while it is up, and the last of those that passed while it was down.
            let up_since = node.truth.get();
            let mut missed = None;
            while let Some(due) = nightly.next(handled).filter(|due| *due < up_until) {
                handled = due;
                if due <= up_since {
                    missed = Some(due);
                    continue;
                }
                expected.extend(missed.take());
                expected.push(due);
            }
            expected.extend(missed);
            node.live_until(up_until);
            node.truth.set(up_until + down);
            down = (down + TimeDelta::hours(11)).min(TimeDelta::days(9));
        }
        let ran = node.ran("nightly");
        let due: Vec<_> = ran.iter().map(|ran| ran.due_at).collect();
        assert!(due == expected, "{zone}: {} {}", due.len(), expected.len());
        let left_out: u64 = ran.iter().map(|ran| ran.passed_over).sum();
        let all = calendar::last_up_to(&nightly.cron, zone, begin(), *due.last().unwrap());
        assert_eq!(ran.len() as u64 + left_out, all.unwrap().1, "{zone}");
        let late = |ran: &&Ran| ran.lateness == Lateness::Missed;
        assert!(ran.iter().filter(late).count() > 20);
        for ran in ran.iter().filter(|ran| ran.lateness == Lateness::OnTime) {
            assert!(ran.at - ran.due_at < TimeDelta::minutes(16), "{ran:?}");
        }
    }
}

#[test]
fn clocks_that_jump_by_hours_change_no_count() {
    for zone in ZONES {
        let mut node = Node::new(vec![schedule("nightly", "0 3 * * *", zone)]);
        // Wrong by up to 8 hours in either direction, and right again some hours later; at all hours of the day.
        let mut at = begin() + TimeDelta::hours(5);
        for number in 0_i64.. {
            let wrong = TimeDelta::minutes((number * 97) % 961 - 480);
            node.jumps.push((at, wrong));
            node.jumps
                .push((at + TimeDelta::hours(1 + number % 9), TimeDelta::zero()));
            at += TimeDelta::hours(29 + number % 7);
            if at > end() - TimeDelta::days(2) {
                break;
            }
        }
        assert!(node.jumps.len() > 1000);
        node.live_until(end());
        let ran = node.ran("nightly");
        let counted = by_day(&ran, zone);
        assert!(counted.values().all(|count| *count == 1), "{zone}");
        assert!((730..=731).contains(&ran.len()), "{zone}: {}", ran.len());
    }
}

#[test]
fn a_clock_that_was_a_year_ahead_stops_nothing() {
    let mut node = Node::new(vec![schedule("nightly", "0 3 * * *", Tz::UTC)]);
    node.jumps = vec![
        (begin() + TimeDelta::days(10), TimeDelta::days(365)),
        (begin() + TimeDelta::days(11), TimeDelta::zero()),
    ];
    node.live_until(begin() + TimeDelta::days(30));
    let ran = node.ran("nightly");
    // Nine nights and the one before the jump; one that made up for the year, and one in it; all after it.
    let after = ran
        .iter()
        .filter(|ran| ran.at > begin() + TimeDelta::days(11));
    assert_eq!(after.count(), 19);
    assert_eq!(ran.iter().map(|ran| ran.passed_over).max(), Some(364));
}

#[test]
fn what_would_overlap_waits_or_is_left_out() {
    let zone = Tz::Europe__Madrid;
    let mut node = Node::new(vec![
        schedule("long", "0 */4 * * *", zone),
        schedule("nightly", "0 3 * * *", zone),
    ]);
    // Each takes more than an hour, and the nightly one comes within the other's time on some nights.
    node.takes = TimeDelta::minutes(210);
    let mut held = begin() + TimeDelta::hours(30);
    let mut long_ones = 0;
    while held < end() - TimeDelta::days(3) {
        // For two hours: waited for. For eight: longer than the six that a run waits.
        let hours = if long_ones % 2 == 0 { 2 } else { 8 };
        node.common
            .held
            .borrow_mut()
            .push((held, held + TimeDelta::hours(hours)));
        long_ones += 1;
        held += TimeDelta::hours(24 * 9 + 5);
    }
    node.live_until(end());
    let mut ran = node.common.ran.borrow().clone();
    ran.sort_by_key(|ran| ran.at);
    for pair in ran.windows(2) {
        assert!(pair[1].at - pair[0].at >= node.takes, "{pair:?}");
    }
    let nightly = by_day(&node.ran("nightly"), zone);
    let skipped = by_day(&node.common.skipped.borrow(), zone);
    for day in days(zone).iter().rev().skip(1) {
        let seen = nightly.get(day).copied().unwrap_or(0);
        assert!(seen == 1 || skipped.contains_key(day), "{day}: {seen}");
    }
    assert!(node.ran("nightly").len() >= 700);
    let count = |wanted| ran.iter().filter(|ran| ran.lateness == wanted).count();
    assert!(count(Lateness::Waited) > 500, "{}", count(Lateness::Waited));
    assert!(!node.common.skipped.borrow().is_empty());
}

#[test]
fn of_several_nodes_one_runs_each_night() {
    let zone = Tz::Europe__Madrid;
    let common = Rc::new(Common::default());
    let truth = Rc::new(Cell::new(begin()));
    let nodes: Vec<Node> = [0, 40, -90]
        .into_iter()
        .map(|seconds| Node {
            common: Rc::clone(&common),
            truth: Rc::clone(&truth),
            // Their clocks are not quite the same.
            jumps: vec![(begin() - TimeDelta::days(1), TimeDelta::seconds(seconds))],
            ..Node::new(vec![schedule("nightly", "0 3 * * *", zone)])
        })
        .collect();
    let mut runners: Vec<Runner<'_>> = nodes
        .iter()
        .map(|node| Runner::new(node, "instance"))
        .collect();
    while truth.get() < end() {
        let pauses: Vec<_> = runners.iter_mut().map(Runner::step).collect();
        if let Some(pause) = pauses.into_iter().collect::<Option<Vec<_>>>() {
            truth.set(truth.get() + pause.into_iter().min().unwrap());
        }
    }
    let counted = by_day(&common.ran.borrow(), zone);
    assert!(counted.values().all(|count| *count == 1));
    assert_eq!(counted.len(), 730);
}

#[test]
fn a_schedule_that_is_switched_on_makes_up_for_nothing() {
    let mut node = Node::new(vec![schedule("nightly", "0 3 * * *", Tz::UTC)]);
    node.live_until(begin() + TimeDelta::days(5));
    assert_eq!(node.ran("nightly").len(), 5);
    node.schedules[0].is_enabled = false;
    node.live_until(begin() + TimeDelta::days(20));
    node.schedules[0].is_enabled = true;
    node.live_until(begin() + TimeDelta::days(20) + TimeDelta::hours(1));
    assert_eq!(node.ran("nightly").len(), 5);
    // Another hour of the day, and that has just passed today.
    node.schedules[0] = schedule("nightly", "0 12 * * *", Tz::UTC);
    node.live_until(begin() + TimeDelta::days(20) + TimeDelta::hours(2));
    assert_eq!(node.ran("nightly").len(), 5);
    node.live_until(begin() + TimeDelta::days(22));
    assert_eq!(node.ran("nightly").len(), 6);
}
