//! The rules against a model that is as simple as can be, over two years of backups.

use std::collections::BTreeSet;

use chrono::{Duration, TimeZone as _};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn good(time: &str, rules: KeepRules) -> Candidate {
    Candidate {
        at: at(time),
        series: "scheduled".to_owned(),
        rules: Some(rules),
        is_good: true,
        has_database: true,
        is_pinned: false,
        is_drilled: false,
    }
}

fn last(count: u32) -> KeepRules {
    KeepRules {
        keep_last: Some(count),
        ..KeepRules::default()
    }
}

const NOW: &str = "2027-01-01T00:00:00Z";

fn kept(candidates: &[Candidate]) -> Vec<bool> {
    judge(candidates, Tz::UTC, at(NOW))
        .iter()
        .map(Fate::is_kept)
        .collect()
}

#[test]
fn the_guards_hold_against_any_rule() {
    let mut candidates: Vec<_> = (0..6)
        .map(|day| good(&format!("2026-11-{:02}T03:00:00Z", 20 - day), last(1)))
        .collect();
    candidates[0].is_good = false;
    candidates[1].has_database = false;
    candidates[3].is_drilled = true;
    candidates[4].is_pinned = true;
    // The partial one, the last good one, the last with a database, the drilled and the pinned one.
    assert_eq!(kept(&candidates), [true, true, true, true, true, false]);
    let fates = judge(&candidates, Tz::UTC, at(NOW));
    assert_eq!(fates[0], Fate::Kept(vec![Kept::NothingBetter]));
    assert_eq!(fates[2], Fate::Kept(vec![Kept::LastGoodDatabase]));
    assert_eq!(fates[5], Fate::Goes(Goes::NoRuleKeepsIt));
}

#[test]
fn partial_backups_neither_count_nor_outlive_a_good_one() {
    let mut candidates: Vec<_> = (0..4)
        .map(|day| good(&format!("2026-11-{:02}T03:00:00Z", 20 - day), last(2)))
        .collect();
    candidates[1].is_good = false;
    assert_eq!(kept(&candidates), [true, false, true, false]);
    assert_eq!(
        judge(&candidates, Tz::UTC, at(NOW))[1],
        Fate::Goes(Goes::Superseded)
    );
}

#[test]
fn a_backup_from_the_future_is_kept_and_takes_nobodys_place() {
    let candidates = [
        good("2031-01-01T03:00:00Z", last(1)),
        good("2026-11-20T03:00:00Z", last(1)),
        good("2026-11-19T03:00:00Z", last(1)),
    ];
    assert_eq!(kept(&candidates), [true, true, false]);
}

#[test]
fn a_series_without_rules_is_kept_and_series_do_not_count_together() {
    let mut candidates: Vec<_> = (0..6)
        .map(|day| good(&format!("2026-11-{:02}T03:00:00Z", 20 - day), last(1)))
        .collect();
    candidates[1].series = "automated".to_owned();
    candidates[2].series = "automated".to_owned();
    candidates[4].series = "manual".to_owned();
    candidates[4].rules = None;
    assert_eq!(kept(&candidates), [true, true, false, false, true, false]);
}

#[test]
fn days_are_those_of_the_zone() {
    let daily = KeepRules {
        keep_daily: Some(2),
        ..KeepRules::default()
    };
    // In Madrid the first two are of the 20th, in UTC the last two of the 19th.
    let candidates = [
        good("2026-11-20T22:30:00Z", daily),
        good("2026-11-19T23:30:00Z", daily),
        good("2026-11-19T22:30:00Z", daily),
    ];
    let kept = |zone| -> Vec<bool> {
        judge(&candidates, zone, at(NOW))
            .iter()
            .map(Fate::is_kept)
            .collect()
    };
    assert_eq!(kept(Tz::Europe__Madrid), [true, false, true]);
    assert_eq!(kept(Tz::UTC), [true, true, false]);
}

#[test]
fn the_hour_that_is_repeated_in_autumn_is_two_hours() {
    let hourly = KeepRules {
        keep_hourly: Some(10),
        ..KeepRules::default()
    };
    let candidates = [
        good("2026-10-25T01:30:00Z", hourly),
        good("2026-10-25T00:30:00Z", hourly),
    ];
    let fates = judge(&candidates, Tz::Europe__Madrid, at(NOW));
    assert!(fates.iter().all(Fate::is_kept), "{fates:?}");
}

#[test]
fn room_goes_to_what_is_guarded_and_then_to_the_newest() {
    let mut candidates: Vec<_> = (0..5)
        .map(|day| good(&format!("2026-11-{:02}T03:00:00Z", 20 - day), last(4)))
        .collect();
    candidates[4].is_pinned = true;
    let mut fates = judge(&candidates, Tz::UTC, at(NOW));
    let order = order_of_room(&fates);
    assert_eq!(order, [0, 4, 1, 2, 3]);
    // The third does not fit; the one after it would, but goes too.
    limit_room(&mut fates, &order, &[50, 10, 20, 30, 5], 100);
    let kept: Vec<_> = fates.iter().map(Fate::is_kept).collect();
    assert_eq!(kept, [true, true, false, false, true]);
    assert_eq!(fates[3], Fate::Goes(Goes::OverSpace));
    limit_room(&mut fates, &[0, 4, 1], &[50, 10, 20], 0);
    let kept: Vec<_> = fates.iter().map(Fate::is_kept).collect();
    assert_eq!(kept, [true, false, false, false, true]);
}

/// What the rules say, in the words of the documentation: one backup at a time, counting from the beginning.
fn model(candidates: &[Candidate], zone: Tz) -> Vec<bool> {
    let key = |index: usize, period: usize| -> (i64, i64) {
        let local = candidates[index].at.with_timezone(&zone);
        let naive = local.naive_local();
        let days = naive
            .date()
            .signed_duration_since(chrono::NaiveDate::from_ymd_opt(1970, 1, 5).unwrap());
        let months = i64::from(naive.year()) * 12 + i64::from(naive.month0());
        match period {
            0 => (candidates[index].at.timestamp() / 3600, 0),
            1 => (days.num_days(), 0),
            2 => (days.num_days().div_euclid(7), 0),
            3 => (months, 0),
            _ => (i64::from(naive.year()), 0),
        }
    };
    let good: Vec<usize> = (0..candidates.len())
        .filter(|index| candidates[*index].is_good)
        .collect();
    (0..candidates.len())
        .map(|index| {
            let candidate = &candidates[index];
            let newer_good = good.iter().any(|other| *other < index);
            let newer_whole = good
                .iter()
                .any(|other| *other < index && candidates[*other].has_database);
            let newer_drilled = good
                .iter()
                .any(|other| *other < index && candidates[*other].is_drilled);
            if candidate.is_pinned || !newer_good {
                return true;
            }
            if !candidate.is_good {
                return false;
            }
            if candidate.has_database && !newer_whole || candidate.is_drilled && !newer_drilled {
                return true;
            }
            let Some(rules) = candidate.rules else {
                return true;
            };
            let series: Vec<usize> = good
                .iter()
                .copied()
                .filter(|other| candidates[*other].series == candidate.series)
                .collect();
            let newer: Vec<usize> = series
                .iter()
                .copied()
                .filter(|other| *other < index)
                .collect();
            let limits = [
                rules.keep_hourly,
                rules.keep_daily,
                rules.keep_weekly,
                rules.keep_monthly,
                rules.keep_yearly,
            ];
            let by_period = (0..limits.len()).any(|period| {
                let periods: BTreeSet<_> = newer.iter().map(|other| key(*other, period)).collect();
                !periods.contains(&key(index, period))
                    && periods.len() < limits[period].unwrap_or(0) as usize
            });
            let age = candidates[series[0]].at - candidate.at;
            by_period
                || newer.len() < rules.keep_last.unwrap_or(0) as usize
                || rules
                    .keep_within_days
                    .is_some_and(|days| days > 0 && age <= Duration::days(days.into()))
        })
        .collect()
}

fn rules() -> impl Strategy<Value = Option<KeepRules>> {
    let count = |most: u32| prop::option::weighted(0.6, 0..=most);
    let rules = (
        count(5),
        count(30),
        count(14),
        count(10),
        count(18),
        count(3),
        count(20),
    )
        .prop_map(
            |(last, hourly, daily, weekly, monthly, yearly, within)| KeepRules {
                keep_last: last,
                keep_hourly: hourly,
                keep_daily: daily,
                keep_weekly: weekly,
                keep_monthly: monthly,
                keep_yearly: yearly,
                keep_within_days: within,
            },
        );
    prop::option::weighted(0.9, rules)
}

/// The two years that schedules are tried over: nights that begin around three, some of them missed or partial, and automated backups by day.
fn history() -> impl Strategy<Value = Vec<Candidate>> {
    let night = (
        0..10_000_i64,
        0..100_u32,
        prop::option::weighted(0.15, 0..43_200_i64),
    );
    (prop::collection::vec(night, 730), rules(), rules()).prop_map(
        |(nights, scheduled, automated)| {
            let begin = Utc.with_ymd_and_hms(2017, 9, 1, 1, 0, 0).unwrap();
            let mut all = Vec::new();
            for (day, (late, luck, by_day)) in (0..).zip(nights) {
                let midnight = begin + Duration::days(day);
                let candidate = |at, series: &str, rules| Candidate {
                    at,
                    series: series.to_owned(),
                    rules,
                    is_good: luck % 20 != 1,
                    has_database: luck % 9 != 2,
                    is_pinned: luck == 50,
                    is_drilled: luck % 30 == 7,
                };
                if luck % 20 != 3 {
                    all.push(candidate(
                        midnight + Duration::seconds(late),
                        "scheduled",
                        scheduled,
                    ));
                }
                if let Some(second) = by_day {
                    let at = midnight + Duration::seconds(20_000 + second);
                    all.push(candidate(at, "automated", automated));
                }
            }
            all.reverse();
            all
        },
    )
}

fn zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![
        Tz::UTC,
        Tz::Europe__Madrid,
        Tz::America__Sao_Paulo,
        Tz::Australia__Lord_Howe,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn two_years_are_judged_as_the_model_does(candidates in history(), zone in zone()) {
        let judged: Vec<_> = judge(&candidates, zone, at(NOW)).iter().map(Fate::is_kept).collect();
        prop_assert_eq!(judged, model(&candidates, zone));
    }

    /// Whoever forgets every night is left with what one that forgets once at the end keeps: what would be kept
    /// for years is not lost on the way.
    #[test]
    fn forgetting_every_night_comes_to_the_same(candidates in history(), zone in zone()) {
        let once: Vec<_> = candidates
            .iter()
            .zip(judge(&candidates, zone, at(NOW)))
            .filter(|(_, fate)| fate.is_kept())
            .map(|(candidate, _)| candidate.at)
            .collect();
        let mut left: Vec<Candidate> = Vec::new();
        for candidate in candidates.iter().rev() {
            left.insert(0, candidate.clone());
            if candidate.is_good {
                let fates = judge(&left, zone, candidate.at);
                let mut fates = fates.iter();
                left.retain(|_| fates.next().is_some_and(Fate::is_kept));
            }
        }
        let nightly: Vec<_> = left.iter().map(|candidate| candidate.at).collect();
        prop_assert_eq!(nightly, once);
    }
}
