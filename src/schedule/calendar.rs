//! From the clock at the wall to moments: where a time zone skips an hour or has one twice.
//!
//! What runs at certain hours runs once for each time that its expression names. A time that the wall
//! skips comes at the first moment after; of a time that the wall has twice, the first counts. What runs
//! in every hour goes by time that passes instead: nothing for an hour that is skipped, and both of two.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use super::cron::Cron;
use crate::error::{Error, ErrorKind, Result};

/// No zone of today turns its clock back further.
const LONGEST_FOLD: TimeDelta = TimeDelta::hours(3);
/// No zone skips more at once, not even where the date line moved.
const LONGEST_GAP: TimeDelta = TimeDelta::hours(25);
/// What runs in every hour is counted no further back.
const COUNTED: TimeDelta = TimeDelta::hours(48);

/// The zone of this name.
pub fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        Error::new(
            ErrorKind::Usage,
            format!("`{}` is no time zone", name.escape_debug()),
        )
        .hint("A name of the time zone database, such as Europe/Madrid or UTC.")
    })
}

/// The zone of this machine; UTC where that cannot be told.
pub fn zone_of_machine() -> Tz {
    iana_time_zone::get_timezone()
        .ok()
        .and_then(|name| name.parse().ok())
        .unwrap_or(Tz::UTC)
}

/// The first moment after `after` that `cron` names in `zone`.
pub fn next(cron: &Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let wall = after.with_timezone(&zone).naive_local();
    // First moments are in the order of the wall, so only second ones can belong to an earlier time.
    let fold = if cron.is_by_the_hour() {
        LONGEST_FOLD
    } else {
        TimeDelta::zero()
    };
    let start = wall.checked_sub_signed(fold).unwrap_or(wall);
    let mut best: Option<DateTime<Utc>> = None;
    for time in cron.after(start) {
        let (first, second) = moments(time, zone, cron.is_by_the_hour());
        // Later times on the wall have no earlier first moment; the second ones come into it here.
        if let (Some(best), Some(first)) = (best, first)
            && first >= best
        {
            break;
        }
        let found = [first, second];
        let later = found.into_iter().flatten().filter(|moment| *moment > after);
        best = best.into_iter().chain(later).min();
    }
    best
}

/// The last moment after `from` and up to `until` that `cron` names, and how many there are; of what runs in
/// every hour only those of the last two days are counted.
pub fn last_up_to(
    cron: &Cron,
    zone: Tz,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Option<(DateTime<Utc>, u64)> {
    let mut last = None;
    let mut count = 0;
    let mut from = match until.checked_sub_signed(COUNTED) {
        Some(start) if cron.is_by_the_hour() => from.max(start),
        _ => from,
    };
    while let Some(moment) = next(cron, zone, from).filter(|moment| *moment <= until) {
        last = Some(moment);
        count += 1;
        from = moment;
    }
    last.map(|last| (last, count))
}

/// The moment or moments at which the wall shows `time`.
fn moments(
    time: NaiveDateTime,
    zone: Tz,
    by_the_hour: bool,
) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let utc = |moment: DateTime<Tz>| moment.with_timezone(&Utc);
    match zone.from_local_datetime(&time) {
        MappedLocalTime::Single(moment) => (Some(utc(moment)), None),
        MappedLocalTime::Ambiguous(first, second) => {
            (Some(utc(first)), by_the_hour.then(|| utc(second)))
        }
        MappedLocalTime::None if by_the_hour => (None, None),
        MappedLocalTime::None => (after_gap(time, zone), None),
    }
}

/// The first moment after the gap that `time` falls into.
fn after_gap(time: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    // Between these two the clock jumps over `time`; halved until one second is left.
    let mut before = time.checked_sub_signed(LONGEST_GAP)?.and_utc().timestamp();
    let mut after = time.checked_add_signed(LONGEST_GAP)?.and_utc().timestamp();
    let shows_more = |second: i64| {
        DateTime::from_timestamp(second, 0)
            .is_some_and(|moment| moment.with_timezone(&zone).naive_local() > time)
    };
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if shows_more(middle) {
            after = middle;
        } else {
            before = middle;
        }
    }
    DateTime::from_timestamp(after, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// The next few moments, on the wall with their distance from UTC.
    fn upcoming(cron: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
        let cron: Cron = cron.parse().unwrap();
        let mut after = moment(after);
        let mut shown = Vec::new();
        for _ in 0..count {
            after = next(&cron, zone, after).unwrap();
            let wall = after.with_timezone(&zone);
            shown.push(wall.format("%m-%d %H:%M %z").to_string());
        }
        shown
    }

    #[test]
    fn a_skipped_time_comes_right_after_the_gap() {
        // Madrid, 29 March 2026: from 02:00 to 03:00.
        assert_eq!(
            upcoming("30 2 * * *", Tz::Europe__Madrid, "2026-03-27T12:00:00Z", 3),
            [
                "03-28 02:30 +0100",
                "03-29 03:00 +0200",
                "03-30 02:30 +0200"
            ]
        );
        // São Paulo, 15 October 2017: from 00:00 to 01:00, so that midnight is missing.
        assert_eq!(
            upcoming("@daily", Tz::America__Sao_Paulo, "2017-10-13T12:00:00Z", 3),
            [
                "10-14 00:00 -0300",
                "10-15 01:00 -0200",
                "10-16 00:00 -0200"
            ]
        );
        // Lord Howe, 4 October 2026: from 02:00 to 02:30.
        assert_eq!(
            upcoming(
                "15 2 * * *",
                Tz::Australia__Lord_Howe,
                "2026-10-02T20:00:00Z",
                2
            ),
            ["10-04 02:30 +1100", "10-05 02:15 +1100"]
        );
    }

    #[test]
    fn of_a_time_that_comes_twice_the_first_counts() {
        // Madrid, 25 October 2026: from 03:00 back to 02:00.
        for after in ["2026-10-24T12:00:00Z", "2026-10-25T00:29:59Z"] {
            assert_eq!(
                upcoming("30 2 * * *", Tz::Europe__Madrid, after, 2),
                ["10-25 02:30 +0200", "10-26 02:30 +0100"]
            );
        }
        assert_eq!(
            upcoming("30 2 * * *", Tz::Europe__Madrid, "2026-10-25T00:30:00Z", 1),
            ["10-26 02:30 +0100"]
        );
        // Between the two.
        assert_eq!(
            upcoming("30 2 * * *", Tz::Europe__Madrid, "2026-10-25T01:10:00Z", 1),
            ["10-26 02:30 +0100"]
        );
    }

    #[test]
    fn every_hour_goes_by_time_that_passes() {
        for (after, zone) in [
            ("2026-03-28T22:10:00Z", Tz::Europe__Madrid),
            ("2026-10-24T22:10:00Z", Tz::Europe__Madrid),
            ("2018-02-17T22:10:00Z", Tz::America__Sao_Paulo),
        ] {
            let cron: Cron = "@hourly".parse().unwrap();
            let mut last = next(&cron, zone, moment(after)).unwrap();
            for _ in 0..8 {
                let following = next(&cron, zone, last).unwrap();
                assert_eq!(following - last, TimeDelta::hours(1), "{zone} {last}");
                last = following;
            }
        }
        // Lord Howe, 5 April 2026: from 02:00 back to 01:30.
        assert_eq!(
            upcoming(
                "*/30 * * * *",
                Tz::Australia__Lord_Howe,
                "2026-04-04T14:00:00Z",
                4
            ),
            [
                "04-05 01:30 +1100",
                "04-05 01:30 +1030",
                "04-05 02:00 +1030",
                "04-05 02:30 +1030"
            ]
        );
    }

    #[test]
    fn moments_up_to_now_are_counted() {
        let cron: Cron = "0 3 * * *".parse().unwrap();
        let from = moment("2026-11-20T03:00:00Z");
        assert_eq!(
            last_up_to(&cron, Tz::UTC, from, moment("2026-11-24T02:59:59Z")),
            Some((moment("2026-11-23T03:00:00Z"), 3))
        );
        assert_eq!(
            last_up_to(&cron, Tz::UTC, from, moment("2026-11-21T02:00:00Z")),
            None
        );
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert_eq!(zone("Europe/Madrid").unwrap(), Tz::Europe__Madrid);
        assert_eq!(zone("Mars/Olympus").unwrap_err().kind(), ErrorKind::Usage);
    }
}
