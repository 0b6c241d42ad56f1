//! The stages of a restore, and how far through them it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tomcat::{PROBING, STARTING, STOPPING};

/// What a restore is at. In order, but for a restore that is put back, which goes through the last ones twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looks at everything that is needed.
    Planning,
    /// Takes a backup of the present state.
    SafetyBackup,
    /// Makes the new state beside the old one.
    Staging,
    /// Proves what was made.
    Verifying,
    /// Ends the application's server.
    Stopping,
    /// Exchanges old and new.
    Swapping,
    /// Starts the application's server.
    Starting,
    /// Asks the application until it answers.
    Probing,
    /// Over, whatever came of it.
    Done,
}

/// What the exchange is called when it goes the other way.
pub(super) const PUTTING_BACK: &str = "putting back";

/// What the layers below call the beginning of each stage, in a `Progress`.
const NAMES: &[(&str, Stage)] = &[
    ("planning", Stage::Planning),
    ("safety backup", Stage::SafetyBackup),
    ("staging", Stage::Staging),
    ("verifying", Stage::Verifying),
    ("stopping the application", Stage::Stopping),
    (STOPPING, Stage::Stopping),
    ("swap", Stage::Swapping),
    (PUTTING_BACK, Stage::Swapping),
    ("starting the application", Stage::Starting),
    (STARTING, Stage::Starting),
    ("waiting for the application to answer", Stage::Probing),
    (PROBING, Stage::Probing),
];

/// One row a stage: its share of the whole in percent, and how long it takes where nothing better is known.
/// The shares of a made-up instance; they only have to be near enough for a bar to move steadily.
const TABLE: &[(Stage, f64, Option<Duration>)] = &[
    (Stage::Planning, 1.0, Some(Duration::from_secs(2))),
    (Stage::SafetyBackup, 29.0, None),
    (Stage::Staging, 50.0, None),
    (Stage::Verifying, 5.0, Some(Duration::from_secs(2))),
    (Stage::Stopping, 4.0, Some(Duration::from_secs(5))),
    (Stage::Swapping, 2.0, Some(Duration::from_secs(1))),
    (Stage::Starting, 2.0, Some(Duration::from_secs(1))),
    (Stage::Probing, 7.0, Some(Duration::from_secs(45))),
];

impl Stage {
    /// The stage that begins under this name; `None` for what is done within one.
    pub fn of(name: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// How people read it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Planning => "Looking at what is needed",
            Self::SafetyBackup => "Saving the present state",
            Self::Staging => "Preparing the restored state",
            Self::Verifying => "Checking the restored state",
            Self::Stopping => "Stopping the application",
            Self::Swapping => "Exchanging old and new",
            Self::Starting => "Starting the application",
            Self::Probing => "Waiting for the application",
            Self::Done => "Done",
        }
    }

    /// All that a restore goes through, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }
}

/// How long each stage took, of an earlier restore.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The stage.
    pub stage: Stage,
    /// From its beginning to the next one's.
    pub seconds: f64,
}

/// How far within the whole, in percent, a restore is that is in `stage`, with `fraction` of that done.
pub(super) fn percent(stage: Stage, fraction: f64) -> f64 {
    let before: f64 = TABLE
        .iter()
        .filter(|row| row.0 < stage)
        .map(|row| row.1)
        .sum();
    let own = TABLE
        .iter()
        .find(|row| row.0 == stage)
        .map_or(0.0, |row| row.1);
    (before + own * fraction.clamp(0.0, 1.0)).min(100.0)
}

/// How long a stage is expected to take: as in an earlier restore, else as usual, if that can be said.
pub(super) fn expected(stage: Stage, earlier: &[Timing]) -> Option<Duration> {
    earlier
        .iter()
        .find(|timing| timing.stage == stage)
        .and_then(|timing| Duration::try_from_secs_f64(timing.seconds).ok())
        .or_else(|| TABLE.iter().find(|row| row.0 == stage)?.2)
}

/// How long everything after `stage` is expected to take, if that can be said.
pub(super) fn expected_after(stage: Stage, earlier: &[Timing]) -> Option<Duration> {
    Stage::all()
        .filter(|later| *later > stage)
        .map(|later| expected(later, earlier))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_in_order_and_make_a_whole() {
        let total: f64 = TABLE.iter().map(|row| row.1).sum();
        assert!((total - 100.0).abs() < 1e-9);
        assert!(TABLE.is_sorted_by_key(|row| row.0));
        for (stage, ..) in TABLE {
            assert!(NAMES.iter().any(|row| row.1 == *stage), "{stage:?}");
        }
    }

    #[test]
    fn a_whole_goes_from_nothing_to_hundred() {
        assert!(percent(Stage::Planning, 0.0).abs() < 1e-9);
        assert!((percent(Stage::Staging, 0.5) - 55.0).abs() < 1e-9);
        assert!((percent(Stage::Done, 0.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn an_earlier_restore_tells_better_than_the_usual() {
        let earlier = [Timing {
            stage: Stage::Probing,
            seconds: 90.0,
        }];
        assert_eq!(
            expected(Stage::Probing, &earlier),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            expected_after(Stage::Swapping, &earlier),
            Some(Duration::from_secs(91))
        );
        assert_eq!(expected_after(Stage::Planning, &earlier), None);
    }
}
