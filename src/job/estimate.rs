//! How far a restore is and how long it will still take, out of what it reports and how long an earlier one took.

use std::time::{Duration, Instant};

use super::stage::{Stage, Timing, expected, expected_after, percent};

/// A rate means nothing before.
const SETTLING: Duration = Duration::from_secs(2);

/// Follows one restore.
#[derive(Debug)]
pub(super) struct Estimate {
    earlier: Vec<Timing>,
    stage: Stage,
    since: Instant,
    /// What there is to stage, once the plan has said so.
    expected_bytes: Option<u64>,
    stage_bytes: u64,
    activity_bytes: u64,
    activity_total: Option<u64>,
    /// The part of the stage that its earlier activities were, where only theirs are known.
    done_part: f64,
    highest: f64,
    has_staged: bool,
}

/// Numbers for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) percent: u8,
    pub(super) done_bytes: u64,
    pub(super) total_bytes: Option<u64>,
    pub(super) bytes_per_second: Option<u64>,
    pub(super) seconds_left: Option<u64>,
}

impl Estimate {
    pub(super) fn new(earlier: Vec<Timing>, now: Instant) -> Self {
        Self {
            earlier,
            stage: Stage::Planning,
            since: now,
            expected_bytes: None,
            stage_bytes: 0,
            activity_bytes: 0,
            activity_total: None,
            done_part: 0.0,
            highest: 0.0,
            has_staged: false,
        }
    }

    pub(super) fn expect_bytes(&mut self, bytes: u64) {
        self.expected_bytes = Some(bytes);
    }

    /// A stage begins; `done_bytes` are those of the whole restore so far. Returns how long the last one took.
    pub(super) fn stage(&mut self, stage: Stage, done_bytes: u64, now: Instant) -> Timing {
        let timing = Timing {
            stage: self.stage,
            seconds: now.saturating_duration_since(self.since).as_secs_f64(),
        };
        self.stage = stage;
        self.has_staged |= stage == Stage::Staging;
        self.since = now;
        self.stage_bytes = done_bytes;
        self.activity_bytes = done_bytes;
        self.activity_total = None;
        self.done_part = 0.0;
        timing
    }

    /// Something within the stage begins.
    pub(super) fn activity(&mut self, total_bytes: Option<u64>, done_bytes: u64) {
        if self.activity_total.is_some() {
            // How many activities are to come is not known: each gets half of what is left.
            self.done_part += (1.0 - self.done_part) / 2.0;
        }
        self.activity_total = total_bytes.filter(|total| *total > 0);
        self.activity_bytes = done_bytes;
    }

    pub(super) fn measure(&mut self, done_bytes: u64, now: Instant) -> Measured {
        let elapsed = now.saturating_duration_since(self.since);
        let done = done_bytes.saturating_sub(self.stage_bytes);
        let total = match self.stage {
            Stage::Staging => self.expected_bytes.filter(|total| *total > 0),
            _ => None,
        };
        let fraction = match (total, self.activity_total) {
            (Some(total), _) => share(done, total),
            (None, Some(total)) => {
                let activity = share(done_bytes.saturating_sub(self.activity_bytes), total);
                self.done_part + (1.0 - self.done_part) / 2.0 * activity
            }
            (None, None) => expected(self.stage, &self.earlier)
                .filter(|expected| !expected.is_zero())
                .map_or(self.done_part, |expected| {
                    // Never quite done before it is.
                    (elapsed.as_secs_f64() / expected.as_secs_f64()).min(0.95)
                }),
        };
        let (reached, fraction) = if self.stage == Stage::Stopping && !self.has_staged {
            // For want of room the application is stopped first: the most is still to come.
            (Stage::SafetyBackup, 1.0)
        } else {
            (self.stage, fraction)
        };
        // A bar that goes back makes people doubt all of it.
        self.highest = self.highest.max(percent(reached, fraction));
        let rate = (elapsed > SETTLING && done > 0).then(|| rate(done, elapsed));
        let of_stage = match (total, rate) {
            (Some(total), Some(rate)) => Some(Duration::from_secs(
                total.saturating_sub(done) / rate.max(1),
            )),
            _ => expected(self.stage, &self.earlier)
                .and_then(|expected| expected.checked_sub(elapsed)),
        };
        let left = of_stage
            .zip(expected_after(self.stage, &self.earlier))
            .map(|(own, after)| own + after)
            .filter(|_| self.stage != Stage::Done);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let percent = self.highest.floor() as u8;
        Measured {
            percent,
            done_bytes: done,
            total_bytes: total.or(self.activity_total),
            bytes_per_second: rate,
            seconds_left: left.map(|left| left.as_secs()),
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(done: u64, total: u64) -> f64 {
    done.min(total) as f64 / total as f64
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn rate(done: u64, elapsed: Duration) -> u64 {
    (done as f64 / elapsed.as_secs_f64()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn staging_is_measured_by_bytes() {
        let begun = Instant::now();
        let mut estimate = Estimate::new(Vec::new(), begun);
        estimate.expect_bytes(1000);
        estimate.stage(Stage::Staging, 500, begun);
        estimate.activity(Some(600), 500);
        let measured = estimate.measure(750, begun + 10 * SECOND);
        assert_eq!(measured.percent, 30 + 12);
        assert_eq!(measured.done_bytes, 250);
        assert_eq!(measured.total_bytes, Some(1000));
        assert_eq!(measured.bytes_per_second, Some(25));
        // 750 bytes at 25 a second, and what usually comes after.
        assert_eq!(measured.seconds_left, Some(30 + 2 + 5 + 1 + 1 + 45));
    }

    #[test]
    fn without_totals_the_bar_moves_and_never_goes_back() {
        let begun = Instant::now();
        let mut estimate = Estimate::new(Vec::new(), begun);
        estimate.stage(Stage::SafetyBackup, 0, begun);
        let mut last = 0;
        for (done, total) in [(0, 100), (100, 50), (150, 400)] {
            estimate.activity(Some(total), done);
            for part in 0..=4 {
                let measured = estimate.measure(done + total * part / 4, begun);
                assert!(measured.percent >= last);
                last = measured.percent;
            }
        }
        assert!(last > 15 && last < 30, "{last}");
        // A restore that is put back goes through earlier stages again.
        estimate.stage(Stage::Probing, 550, begun);
        let probing = estimate.measure(550, begun).percent;
        estimate.stage(Stage::Stopping, 550, begun);
        assert_eq!(estimate.measure(550, begun).percent, probing);
    }

    #[test]
    fn an_application_that_is_stopped_before_anything_is_staged_leaves_room_in_the_bar() {
        let begun = Instant::now();
        let mut estimate = Estimate::new(Vec::new(), begun);
        estimate.stage(Stage::SafetyBackup, 0, begun);
        estimate.stage(Stage::Stopping, 0, begun);
        assert_eq!(estimate.measure(0, begun + SECOND).percent, 30);
        estimate.expect_bytes(1000);
        estimate.stage(Stage::Staging, 0, begun);
        assert_eq!(estimate.measure(500, begun + SECOND).percent, 55);
        estimate.stage(Stage::Stopping, 0, begun);
        assert_eq!(estimate.measure(1000, begun).percent, 85);
    }

    #[test]
    fn what_takes_longer_than_expected_promises_nothing() {
        let begun = Instant::now();
        let earlier = vec![Timing {
            stage: Stage::Probing,
            seconds: 20.0,
        }];
        let mut estimate = Estimate::new(earlier, begun);
        estimate.stage(Stage::Probing, 0, begun);
        let left = |estimate: &mut Estimate, seconds: u32| {
            estimate.measure(0, begun + seconds * SECOND).seconds_left
        };
        assert_eq!(left(&mut estimate, 5), Some(15));
        assert_eq!(left(&mut estimate, 25), None);
        let timing = estimate.stage(Stage::Done, 0, begun + 30 * SECOND);
        assert_eq!(timing.stage, Stage::Probing);
        assert!((timing.seconds - 30.0).abs() < 1e-6);
        let done = estimate.measure(0, begun + 31 * SECOND);
        assert_eq!((done.percent, done.seconds_left), (100, None));
    }
}
