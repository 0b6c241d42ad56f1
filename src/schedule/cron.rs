//! Cron expressions as `crontab(5)` has them, on top of the crate `cron`, which counts otherwise.
//!
//! That crate wants seconds first, counts the days of the week from Sunday as 1, and lets a restricted day
//! of the month and a restricted day of the week both have to hold. In a crontab Sunday is 0 or 7, Monday
//! 1, and of two restricted days either will do. So the fields are rewritten, and two restricted days become two
//! expressions.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, Utc};
use cron::TimeUnitSpec as _;

use crate::error::{Error, ErrorKind, Result};

/// What the nicknames of `crontab(5)` stand for.
const NICKNAMES: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const FIELDS: [&str; 5] = [
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

/// The names that the crate has for the days of the week, from Sunday on.
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// When something happens, on the clock at the wall.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    /// One, or two of which either will do.
    either: Vec<cron::Schedule>,
    is_by_the_hour: bool,
}

impl Cron {
    /// The moments that it names after `after`, in order.
    ///
    /// They are times on the wall: of time zones nothing is known here.
    pub fn after(&self, after: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        let mut streams: Vec<_> = self
            .either
            .iter()
            // In UTC every time on the wall exists, and once.
            .map(|schedule| schedule.after_owned(after.and_utc()).peekable())
            .collect();
        std::iter::from_fn(move || {
            let next = streams
                .iter_mut()
                .filter_map(|stream| stream.peek().copied())
                .min()?;
            for stream in &mut streams {
                stream.next_if_eq(&next);
            }
            Some(next.naive_utc())
        })
    }

    /// Whether it runs in every hour of its days: then it goes by time that passes, and not by the wall.
    pub fn is_by_the_hour(&self) -> bool {
        self.is_by_the_hour
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let written = text.trim();
        let wrong = |what: String| {
            Error::new(
                ErrorKind::Usage,
                format!("`{}` is no cron expression: {what}", written.escape_debug()),
            )
            .hint("Five fields, as in a crontab: minute, hour, day of the month, month, day of the week. Every night at three is `0 3 * * *`, or write `@daily`.")
        };
        let fields = if written.starts_with('@') {
            let nickname = NICKNAMES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(written));
            nickname
                .map(|(_, fields)| *fields)
                .ok_or_else(|| wrong("there is no such nickname".to_owned()))?
        } else {
            written
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(wrong(format!("it has {} fields, not five", fields.len())));
        };
        for (name, field) in FIELDS.iter().zip(&fields) {
            let known =
                |character: char| character.is_ascii_alphanumeric() || "*,-/".contains(character);
            if !field.chars().all(known) {
                return Err(wrong(format!(
                    "the {name} `{}` is made of something else than numbers, names, `*`, `,`, `-` and `/`",
                    field.escape_debug()
                )));
            }
        }
        // As in Vixie's cron: a field that begins with a star restricts nothing by itself.
        let both = !day.starts_with('*') && !weekday.starts_with('*');
        let weekday = weekdays(weekday).map_err(&wrong)?;
        let combinations = if both {
            vec![(day, "*"), ("*", weekday.as_str())]
        } else {
            vec![(day, weekday.as_str())]
        };
        let mut either = Vec::new();
        for (day, weekday) in combinations {
            let full = format!("0 {minute} {hour} {day} {month} {weekday}");
            let parsed = cron::Schedule::from_str(&full).map_err(|_| {
                wrong(match first_wrong_field(&fields) {
                    Some((name, field)) => format!("the {name} cannot be `{field}`"),
                    None => "its fields do not go together".to_owned(),
                })
            })?;
            either.push(parsed);
        }
        let is_by_the_hour = either.iter().all(|schedule| schedule.hours().is_all());
        let cron = Self {
            text: written.to_owned(),
            either,
            is_by_the_hour,
        };
        // Asked from a fixed day on, so that the answer is the same each day.
        let some_day = chrono::DateTime::<Utc>::UNIX_EPOCH.naive_utc();
        if cron.after(some_day).next().is_none() {
            return Err(wrong("there is no such day".to_owned()));
        }
        Ok(cron)
    }
}

/// The field for the day of the week in the crate's names, each day by itself.
fn weekdays(field: &str) -> std::result::Result<String, String> {
    if field == "*" {
        return Ok(field.to_owned());
    }
    let wrong = || format!("the day of the week cannot be `{field}`");
    let number = |word: &str| -> Option<u32> {
        let name = |day: &&str| day.eq_ignore_ascii_case(word);
        match DAYS.iter().position(name) {
            Some(index) => u32::try_from(index).ok(),
            None => word.parse().ok().filter(|number| *number <= 7),
        }
    };
    let mut days: Vec<&str> = Vec::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (
                range,
                step.parse().ok().filter(|step| (1..=7).contains(step)),
            ),
            None => (item, Some(1)),
        };
        let step: usize = step.ok_or_else(wrong)?;
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first), number(last)),
            None if range == "*" => (Some(0), Some(6)),
            // `2/3` is from 2 on.
            None if item.contains('/') => (number(range), Some(6)),
            None => (number(range), number(range)),
        };
        let (first, last) = first.zip(last).ok_or_else(wrong)?;
        // `SAT-SUN` and `5-0` mean what they say: Sunday is also the seventh day.
        let last = if last == 0 && first > 0 { 7 } else { last };
        if first > last {
            return Err(wrong());
        }
        for day in (first..=last).step_by(step) {
            days.extend(DAYS.get(day as usize % 7));
        }
    }
    Ok(days.join(","))
}

/// The first field that the crate does not take beside stars; the day of the week was looked at before.
fn first_wrong_field<'a>(fields: &[&'a str]) -> Option<(&'static str, &'a str)> {
    FIELDS
        .iter()
        .zip(fields)
        .take(4)
        .enumerate()
        .find_map(|(index, (name, field))| {
            let mut alone = ["*"; 5];
            if let Some(place) = alone.get_mut(index) {
                *place = field;
            }
            let is_wrong = cron::Schedule::from_str(&format!("0 {}", alone.join(" "))).is_err();
            is_wrong.then_some((*name, *field))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, Timelike};

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    fn next(cron: &str, after: &str, count: usize) -> Vec<String> {
        let cron: Cron = cron.parse().unwrap();
        cron.after(at(after))
            .take(count)
            .map(|time| time.format("%a %Y-%m-%d %H:%M").to_string())
            .collect()
    }

    #[test]
    fn it_counts_as_a_crontab_does() {
        // 2026-11-24 is a Tuesday.
        let now = "2026-11-24 12:00";
        assert_eq!(next("0 3 * * *", now, 1), ["Wed 2026-11-25 03:00"]);
        assert_eq!(next("@daily", now, 1), ["Wed 2026-11-25 00:00"]);
        assert_eq!(next("@weekly", now, 1), ["Sun 2026-11-29 00:00"]);
        for sunday in ["0 3 * * 0", "0 3 * * 7", "0 3 * * sun", "0 3 * * 7,0"] {
            assert_eq!(
                next(sunday, now, 2),
                ["Sun 2026-11-29 03:00", "Sun 2026-12-06 03:00"],
                "{sunday}"
            );
        }
        assert_eq!(next("0 3 * * 1", now, 1), ["Mon 2026-11-30 03:00"]);
        assert_eq!(
            next("0 3 * * MON-FRI", "2026-11-27 12:00", 1),
            ["Mon 2026-11-30 03:00"]
        );
        assert_eq!(
            next("0 3 * * sat-sun", now, 3),
            [
                "Sat 2026-11-28 03:00",
                "Sun 2026-11-29 03:00",
                "Sat 2026-12-05 03:00"
            ]
        );
        assert_eq!(
            next("*/20 8-9 * * *", now, 4),
            [
                "Wed 2026-11-25 08:00",
                "Wed 2026-11-25 08:20",
                "Wed 2026-11-25 08:40",
                "Wed 2026-11-25 09:00"
            ]
        );
        assert_eq!(next("0 0 29 2 *", now, 1), ["Tue 2028-02-29 00:00"]);
    }

    #[test]
    fn of_two_restricted_days_either_will_do() {
        assert_eq!(
            next("0 3 13 * 5", "2026-11-01 00:00", 4),
            [
                "Fri 2026-11-06 03:00",
                "Fri 2026-11-13 03:00",
                "Fri 2026-11-20 03:00",
                "Fri 2026-11-27 03:00"
            ]
        );
        assert_eq!(
            next("0 3 12 * 5", "2026-11-07 00:00", 2),
            ["Thu 2026-11-12 03:00", "Fri 2026-11-13 03:00"]
        );
        // A star restricts nothing, also with a step: then both must hold.
        let cron: Cron = "0 3 */2 * 1".parse().unwrap();
        assert!(
            cron.after(at("2026-11-01 00:00"))
                .take(20)
                .all(|time| time.weekday() == chrono::Weekday::Mon && time.day() % 2 == 1)
        );
    }

    #[test]
    fn only_what_runs_in_every_hour_goes_by_the_hour() {
        for (text, expected) in [
            ("@hourly", true),
            ("*/15 * * * *", true),
            ("0 */2 * * *", false),
            ("0 3 * * *", false),
            ("* 0-23 * * *", true),
        ] {
            let cron: Cron = text.parse().unwrap();
            assert_eq!(cron.is_by_the_hour(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_the_name_of_the_field() {
        for (text, word) in [
            ("", "0 fields"),
            ("0 3 * *", "4 fields"),
            ("0 0 3 * * *", "6 fields"),
            ("60 3 * * *", "the minute cannot be `60`"),
            ("0 24 * * *", "the hour cannot be `24`"),
            ("0 3 0 * *", "the day of the month cannot be `0`"),
            ("0 3 * 13 *", "the month cannot be `13`"),
            ("0 3 * * 8", "the day of the week cannot be `8`"),
            ("0 3 * * 5-2", "the day of the week cannot be `5-2`"),
            ("0 3 * * mo", "the day of the week"),
            ("0 3 30 2 *", "no such day"),
            ("0 3 L * *", "the day of the month"),
            ("0 3 ? * *", "something else"),
            ("@nightly", "nickname"),
            ("*/0 * * * *", "the minute"),
        ] {
            let error = text.parse::<Cron>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(error.hint_text().is_some());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = text.parse::<Cron>();
        }

        #[test]
        fn what_looks_like_fields_never_makes_it_panic(text in "[0-9*/,@a-z -]{0,30}") {
            let _ = text.parse::<Cron>();
        }

        #[test]
        fn every_moment_fits_its_fields(minute in 0u32..60, hour in 0u32..24, day in 1u32..29, after in 0i64..4_000_000_000) {
            let cron: Cron = format!("{minute} {hour} {day} * *").parse().unwrap();
            let after = chrono::DateTime::from_timestamp(after, 0).unwrap().naive_utc();
            let times: Vec<_> = cron.after(after).take(3).collect();
            proptest::prop_assert_eq!(times.len(), 3);
            proptest::prop_assert!(times.is_sorted() && after < times[0]);
            for time in times {
                proptest::prop_assert_eq!((time.minute(), time.hour(), time.day()), (minute, hour, day));
            }
        }
    }
}
