//! Two years of nights under a clock that obeys, jumps, and stands beside other nodes, in four zones, counted exactly.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc};
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
    /// While it lasts whatever is run fails.
    broken: RefCell<Vec<(DateTime<Utc>, DateTime<Utc>)>>,
    /// The moment and the true time of each try.
    tries: RefCell<Vec<(DateTime<Utc>, DateTime<Utc>)>>,
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
        let within = |(from, to): &(DateTime<Utc>, DateTime<Utc>)| (*from..*to).contains(&at);
        if self.common.held.borrow().iter().any(within) {
            return End::Busy(Error::new(ErrorKind::Locked, "in use"));
        }
        let known = |ran: &Ran| ran.schedule == task.schedule.name && ran.due_at == task.due.due_at;
        if self.common.ran.borrow().iter().any(known) {
            return End::Done;
        }
        self.common.tries.borrow_mut().push((task.due.due_at, at));
        if self.common.broken.borrow().iter().any(within) {
            let again = task.again(task.tries + 1, self.now());
            return again.map_or(End::Done, End::Failed);
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

/// A naive model of what happens once a day: of every day the first minute at which the wall shows `time` or a later one.
fn daily(zone: Tz, time: &str) -> Vec<DateTime<Utc>> {
    let time: NaiveTime = time.parse().unwrap();
    let mut last: Option<NaiveDate> = None;
    let mut moments = Vec::new();
    let mut minute = begin() - TimeDelta::days(1);
    while minute < end() {
        let wall = minute.with_timezone(&zone).naive_local();
        if wall.time() >= time && last != Some(wall.date()) {
            last = Some(wall.date());
            moments.push(minute);
        }
        minute += TimeDelta::minutes(1);
    }
    // A schedule that is new makes up for nothing.
    moments.retain(|moment| *moment > begin());
    moments
}

fn moments(ran: &[Ran]) -> Vec<DateTime<Utc>> {
    ran.iter().map(|ran| ran.due_at).collect()
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
        for (name, time) in [("nightly", "02:15:00"), ("midnight", "00:00:00")] {
            let ran = node.ran(name);
            let expected = daily(zone, time);
            assert!((729..=730).contains(&expected.len()), "{zone}");
            assert_eq!(moments(&ran), expected, "{zone} {name}");
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
        let due = moments(&ran);
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
        assert_eq!(
            moments(&node.ran("nightly")),
            daily(zone, "03:00:00"),
            "{zone}"
        );
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
    for zone in ZONES {
        let schedules = [
            schedule("long", "0 */4 * * *", zone),
            schedule("nightly", "0 3 * * *", zone),
        ];
        let mut node = Node::new(schedules.to_vec());
        // Each takes more than three hours, and the nightly one comes within the other's time.
        node.takes = TimeDelta::minutes(210);
        let mut held = begin() + TimeDelta::hours(30);
        let mut long_ones = 0;
        while held < end() - TimeDelta::days(3) {
            // For two hours: waited for. For eight: longer than the six that a run waits.
            let hours = if long_ones % 2 == 0 { 2 } else { 8 };
            let until = held + TimeDelta::hours(hours);
            node.common.held.borrow_mut().push((held, until));
            long_ones += 1;
            held += TimeDelta::hours(24 * 9 + 5);
        }
        node.live_until(end());
        let mut ran = node.common.ran.borrow().clone();
        ran.sort_by_key(|ran| ran.at);
        for pair in ran.windows(2) {
            assert!(pair[1].at - pair[0].at >= node.takes, "{zone}: {pair:?}");
        }
        // Each moment was run, left out, or passed over by one that was: none twice, and none forgotten.
        let skipped = node.common.skipped.borrow();
        for schedule in &schedules {
            let mut seen = node.ran(&schedule.name);
            let of_schedule = |ran: &&Ran| ran.schedule == schedule.name;
            seen.extend(skipped.iter().filter(of_schedule).cloned());
            seen.sort_by_key(|ran| ran.due_at);
            let last = seen.last().unwrap().due_at;
            let all = calendar::last_up_to(&schedule.cron, zone, begin(), last);
            let counted = seen.len() as u64 + seen.iter().map(|ran| ran.passed_over).sum::<u64>();
            assert_eq!(counted, all.unwrap().1, "{zone} {}", schedule.name);
            let is_once = seen.windows(2).all(|pair| pair[0].due_at < pair[1].due_at);
            assert!(is_once, "{zone} {}", schedule.name);
            assert!(end() - last < TimeDelta::days(2), "{zone} {last}");
        }
        assert!(node.ran("nightly").len() >= 690, "{zone}");
        let count = |wanted| ran.iter().filter(|ran| ran.lateness == wanted).count();
        assert!(count(Lateness::Waited) > 500, "{}", count(Lateness::Waited));
        assert!(!skipped.is_empty(), "{zone}");
    }
}

#[test]
fn of_several_nodes_one_runs_each_night() {
    for zone in ZONES {
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
        let ran = common.ran.borrow();
        assert_eq!(moments(&ran), daily(zone, "03:00:00"), "{zone}");
    }
}

#[test]
fn a_night_that_fails_is_tried_again_with_growing_distance_and_given_up() {
    for zone in ZONES {
        let mut node = Node::new(vec![schedule("nightly", "0 3 * * *", zone)]);
        node.takes = TimeDelta::zero();
        let nights = daily(zone, "03:00:00");
        // From some minutes before each night on everything fails for as long as this.
        let lasts = [0, 5, 9, 11, 29, 31, 69, 71, 600].map(TimeDelta::minutes);
        let broken: Vec<_> = nights.iter().zip(lasts.iter().cycle()).collect();
        for (night, lasts) in &broken {
            let begin = **night - TimeDelta::minutes(3);
            let until = if lasts.is_zero() {
                begin
            } else {
                **night + **lasts
            };
            node.common.broken.borrow_mut().push((begin, until));
        }
        // The process ends and begins anew all the time: what it knows of tries is on disk.
        while node.truth.get() < end() {
            node.live_until((node.truth.get() + TimeDelta::minutes(37)).min(end()));
        }
        let tries = node.common.tries.borrow();
        for (night, lasts) in &broken[..broken.len() - 1] {
            // At three, ten minutes later, twenty after that, forty after that.
            let expected: Vec<i64> = match lasts.num_minutes() {
                0 => vec![0],
                1..10 => vec![0, 10],
                10..30 => vec![0, 10, 30],
                _ => vec![0, 10, 30, 70],
            };
            let seen: Vec<i64> = tries
                .iter()
                .filter(|(due_at, _)| due_at == *night)
                .map(|(_, at)| (*at - **night).num_minutes())
                .collect();
            assert_eq!(seen, expected, "{zone} {night} {lasts}");
        }
        let given_up = broken
            .iter()
            .filter(|(_, lasts)| lasts.num_minutes() > 70)
            .count();
        assert_eq!(node.ran("nightly").len(), nights.len() - given_up, "{zone}");
    }
}

#[test]
fn what_fails_for_longer_than_its_distance_is_not_tried_beyond_the_next_run() {
    let hourly = schedule("hourly", "0 * * * *", Tz::UTC);
    let mut node = Node::new(vec![hourly]);
    node.takes = TimeDelta::zero();
    node.common.broken.borrow_mut().push((begin(), end()));
    node.live_until(begin() + TimeDelta::hours(5) + TimeDelta::minutes(5));
    // The fourth try would come ten minutes after the next run.
    let minutes: Vec<i64> = node
        .common
        .tries
        .borrow()
        .iter()
        .map(|(_, at)| (*at - begin()).num_minutes())
        .collect();
    assert_eq!(
        minutes,
        [60, 70, 90, 120, 130, 150, 180, 190, 210, 240, 250, 270, 300]
    );
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
