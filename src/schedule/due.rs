//! What is due: a pure function of the schedule, of how far it was seen to, and of the clock.

use chrono::{DateTime, Utc};

use super::{Schedule, calendar};

/// A run that is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The moment that the schedule names.
    pub due_at: DateTime<Utc>,
    /// When it was to begin.
    pub starts_at: DateTime<Utc>,
    /// Earlier moments that passed without a run; this one stands for them.
    pub passed_over: u64,
}

/// What to do about a schedule now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing before this moment.
    Wait(DateTime<Utc>),
    /// Run it.
    Run(Due),
    /// It names no moment any more.
    Never,
}

/// Decides. All moments up to `handled` are seen to.
///
/// However many passed since, one run makes up for them: the one of the last moment.
pub fn decide(
    schedule: &Schedule,
    instance: &str,
    handled: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Decision {
    let starts = |due_at| due_at + schedule.delay(instance, due_at);
    match calendar::last_up_to(&schedule.cron, schedule.zone, handled, now) {
        Some((due_at, count)) => {
            let starts_at = starts(due_at);
            if starts_at > now {
                return Decision::Wait(starts_at);
            }
            Decision::Run(Due {
                due_at,
                starts_at,
                passed_over: count - 1,
            })
        }
        None => schedule
            .next(handled)
            .map_or(Decision::Never, |due_at| Decision::Wait(starts(due_at))),
    }
}

/// Up to where a schedule is seen to, after a look at the clock.
///
/// A clock that was set back leaves `handled` ahead of it. By less than one run's distance that is as it
/// should be: the run of that moment was done and is not done again. By more, the clock was wrong before, or
/// is now; whichever it was, runs go on from the time that it shows.
pub fn anchored(schedule: &Schedule, handled: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let is_far_ahead = handled > now && schedule.next(now).is_some_and(|next| next < handled);
    if is_far_ahead { now } else { handled }
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

    fn moment(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(&format!("2026-11-{text}:00Z"))
            .unwrap()
            .to_utc()
    }

    #[test]
    fn one_run_makes_up_for_all_that_passed() {
        let nightly = schedule("0 3 * * *");
        let handled = moment("20T03:00");
        assert_eq!(
            decide(&nightly, "i", handled, moment("20T12:00")),
            Decision::Wait(moment("21T03:00"))
        );
        assert_eq!(
            decide(&nightly, "i", handled, moment("21T03:00")),
            Decision::Run(Due {
                due_at: moment("21T03:00"),
                starts_at: moment("21T03:00"),
                passed_over: 0
            })
        );
        assert_eq!(
            decide(&nightly, "i", handled, moment("24T02:00")),
            Decision::Run(Due {
                due_at: moment("23T03:00"),
                starts_at: moment("23T03:00"),
                passed_over: 2
            })
        );
    }

    #[test]
    fn a_delay_never_reaches_the_next_moment() {
        let mut hourly = schedule("@hourly");
        hourly.random_delay = TimeDelta::hours(5);
        let mut runs = 0;
        let mut handled = moment("20T00:00");
        let mut now = handled;
        while now < moment("21T00:00") {
            now += TimeDelta::minutes(1);
            if let Decision::Run(due) = decide(&hourly, "i", handled, now) {
                assert_eq!(due.passed_over, 0);
                handled = due.due_at;
                runs += 1;
            }
        }
        assert_eq!(runs, 23);
    }

    #[test]
    fn a_clock_set_back_runs_nothing_twice_unless_it_was_wrong_by_more_than_a_run() {
        let nightly = schedule("0 3 * * *");
        let handled = moment("21T03:00");
        for (now, expected) in [
            ("21T03:05", "21T03:00"),
            ("21T00:30", "21T03:00"),
            ("20T03:00", "21T03:00"),
            ("20T02:59", "20T02:59"),
            ("01T12:00", "01T12:00"),
        ] {
            assert_eq!(
                anchored(&nightly, handled, moment(now)),
                moment(expected),
                "{now}"
            );
        }
    }
}
