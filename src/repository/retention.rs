//! Which backups are kept: pure rules over what is known of each backup.
//!
//! Nothing here asks for the time of day. The reach of a rule is counted from the newest backup, so that a clock that
//! was set forward makes no backup old; only backups that are dated after `now` are set aside.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use crate::config::retention::KeepRules;

/// What the rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // What is known is a set of facts.
pub struct Candidate {
    /// When it was finished.
    pub at: DateTime<Utc>,
    /// Which backups it is counted with: of one type or schedule, with the same parts.
    pub series: String,
    /// What keeps that series; `None` keeps all of it.
    pub rules: Option<KeepRules>,
    /// Whether all of it is there. Only such a backup counts.
    pub is_good: bool,
    /// Whether it holds the database, which makes it one that an instance can be restored from.
    pub has_database: bool,
    /// Whether somebody said to keep it.
    pub is_pinned: bool,
    /// Whether a test restore of it passed.
    pub is_drilled: bool,
}

/// What becomes of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for at least one reason.
    Kept(Vec<Kept>),
    /// It goes.
    Goes(Goes),
}

/// Why a backup is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Somebody pinned it.
    Pinned,
    /// Nothing newer of the instance is good.
    LastGood,
    /// Nothing newer of the instance that holds the database is good.
    LastGoodDatabase,
    /// Of those that a test restore proved it is the last.
    LastDrilled,
    /// It is dated in the future: some clock was wrong.
    Future,
    /// It is partial, and nothing newer is good.
    NothingBetter,
    /// Its series has no rules.
    NoRules,
    /// Among the last so many; this is the so-manieth.
    Last(u32),
    /// The last one of a period: which kind, and which one.
    Period(Period, String),
    /// At most so many days older than the last one.
    Within(u32),
}

/// Why a backup goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// No rule keeps it.
    NoRuleKeepsIt,
    /// It is partial, and a good one came after it.
    Superseded,
    /// Rules keep it, but the room is limited.
    OverSpace,
}

/// A stretch of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour on the wall.
    Hour,
    /// A day.
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Kept {
    /// Whether neither rules nor a limit of room can overrule it.
    fn is_guard(&self) -> bool {
        matches!(
            self,
            Self::Pinned
                | Self::LastGood
                | Self::LastGoodDatabase
                | Self::LastDrilled
                | Self::Future
                | Self::NothingBetter
        )
    }
}

impl Fate {
    /// Whether the backup stays.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    fn is_guarded(&self) -> bool {
        matches!(self, Self::Kept(reasons) if reasons.iter().any(Kept::is_guard))
    }
}

/// The fate of each candidate. They are one instance's, the newest first.
pub fn judge(candidates: &[Candidate], zone: Tz, now: DateTime<Utc>) -> Vec<Fate> {
    let is_future = |candidate: &Candidate| candidate.at > now;
    let counts = |candidate: &Candidate| candidate.is_good && !is_future(candidate);
    let first = |holds: &dyn Fn(&Candidate) -> bool| {
        candidates
            .iter()
            .position(|candidate| counts(candidate) && holds(candidate))
    };
    let last_good = first(&|_| true);
    let last_database = first(&|candidate| candidate.has_database);
    let last_drilled = first(&|candidate| candidate.is_drilled);

    let mut reasons: Vec<Vec<Kept>> = vec![Vec::new(); candidates.len()];
    for (index, candidate) in candidates.iter().enumerate() {
        let reasons = &mut reasons[index];
        if candidate.is_pinned {
            reasons.push(Kept::Pinned);
        }
        if is_future(candidate) {
            reasons.push(Kept::Future);
        }
        if last_good == Some(index) {
            reasons.push(Kept::LastGood);
        } else if last_database == Some(index) {
            reasons.push(Kept::LastGoodDatabase);
        }
        if last_drilled == Some(index) {
            reasons.push(Kept::LastDrilled);
        }
        if !candidate.is_good && last_good.is_none_or(|good| index < good) {
            reasons.push(Kept::NothingBetter);
        }
    }
    let mut series: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        if counts(candidate) {
            series.entry(&candidate.series).or_default().push(index);
        }
    }
    for members in series.values() {
        apply(candidates, members, zone, &mut reasons);
    }
    reasons
        .into_iter()
        .zip(candidates)
        .map(
            |(reasons, candidate)| match (reasons.is_empty(), candidate) {
                (false, _) => Fate::Kept(reasons),
                (true, Candidate { is_good: true, .. }) => Fate::Goes(Goes::NoRuleKeepsIt),
                (true, _) => Fate::Goes(Goes::Superseded),
            },
        )
        .collect()
}

/// One series by its rules; `members` are its backups, the newest first.
fn apply(candidates: &[Candidate], members: &[usize], zone: Tz, reasons: &mut [Vec<Kept>]) {
    let Some(newest) = members.first().map(|index| candidates[*index].at) else {
        return;
    };
    // Of each kind of period how many were met so far, and the last one met.
    let mut met: [(u32, Option<String>); Period::ALL.len()] = Default::default();
    for (number, index) in (1..).zip(members) {
        let candidate = &candidates[*index];
        let Some(rules) = &candidate.rules else {
            reasons[*index].push(Kept::NoRules);
            continue;
        };
        if rules.keep_last.is_some_and(|last| number <= last) {
            reasons[*index].push(Kept::Last(number));
        }
        for (period, (count, last)) in Period::ALL.into_iter().zip(&mut met) {
            let name = period.name(candidate.at, zone);
            if last.as_ref() == Some(&name) {
                continue;
            }
            *count += 1;
            if period.limit(rules).is_some_and(|limit| *count <= limit) {
                reasons[*index].push(Kept::Period(period, name.clone()));
            }
            *last = Some(name);
        }
        if let Some(days) = rules.keep_within_days
            && days > 0
            && newest - candidate.at <= TimeDelta::days(days.into())
        {
            reasons[*index].push(Kept::Within(days));
        }
    }
}

impl Period {
    const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    fn limit(self, rules: &KeepRules) -> Option<u32> {
        match self {
            Self::Hour => rules.keep_hourly,
            Self::Day => rules.keep_daily,
            Self::Week => rules.keep_weekly,
            Self::Month => rules.keep_monthly,
            Self::Year => rules.keep_yearly,
        }
    }

    /// Which one a moment lies in. Moments of different periods have different names.
    fn name(self, at: DateTime<Utc>, zone: Tz) -> String {
        let local = at.with_timezone(&zone);
        match self {
            // The hour that daylight saving repeats is two hours, told apart by their offsets.
            Self::Hour => {
                format!("{} {:02}:00", local.format("%Y-%m-%d"), local.hour())
                    + &local.format(" %z").to_string()
            }
            Self::Day => local.format("%Y-%m-%d").to_string(),
            Self::Week => {
                let week = local.iso_week();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Self::Month => local.format("%Y-%m").to_string(),
            Self::Year => local.year().to_string(),
        }
    }
}

/// In which order room is given to those that are kept: first whatever nothing can overrule, then from the
/// newest to the oldest.
pub fn order_of_room(fates: &[Fate]) -> Vec<usize> {
    let kept = |guarded: bool| {
        fates
            .iter()
            .enumerate()
            .filter(move |(_, fate)| fate.is_kept() && fate.is_guarded() == guarded)
            .map(|(index, _)| index)
    };
    kept(true).chain(kept(false)).collect()
}

/// Lets the oldest go that do not fit into `limit_bytes`. `adds_bytes` says for each of `order`, which is
/// [`order_of_room`]'s, what it takes beside those before it.
pub fn limit_room(fates: &mut [Fate], order: &[usize], adds_bytes: &[u64], limit_bytes: u64) {
    let mut total = 0_u64;
    for (index, adds) in order.iter().zip(adds_bytes) {
        total = total.saturating_add(*adds);
        // From the first that does not fit on all go: a gap among the newer ones would help nobody.
        if total > limit_bytes && !fates[*index].is_guarded() {
            fates[*index] = Fate::Goes(Goes::OverSpace);
            total = u64::MAX;
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => f.write_str("pinned"),
            Self::LastGood => f.write_str("the last good one"),
            Self::LastGoodDatabase => f.write_str("the last good one with the database"),
            Self::LastDrilled => f.write_str("the last one that was restored for trial"),
            Self::Future => f.write_str("dated in the future"),
            Self::NothingBetter => f.write_str("partial, but nothing newer is good"),
            Self::NoRules => f.write_str("no rules for its kind"),
            Self::Last(number) => write!(f, "last {number}"),
            Self::Period(period, name) => {
                let word = match period {
                    Period::Hour => "hourly",
                    Period::Day => "daily",
                    Period::Week => "weekly",
                    Period::Month => "monthly",
                    Period::Year => "yearly",
                };
                write!(f, "{word} {name}")
            }
            Self::Within(days) => write!(f, "within {days} days"),
        }
    }
}

impl fmt::Display for Goes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRuleKeepsIt => "no rule keeps it",
            Self::Superseded => "partial, and a good one came after",
            Self::OverSpace => "older than what fits into the limit of space",
        })
    }
}

#[cfg(test)]
mod tests;
