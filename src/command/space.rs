//! The room of a repository's device: how long it lasts, and whether the next backup fits.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::config::space::SpaceSection;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::Manifest;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::storage::Space;
use crate::storage::reserve::reserve_bytes;
use crate::wording::counted;

/// As many of the last backups tell what the next ones take.
const LAST_BACKUPS: usize = 10;
/// No forecast goes further.
const FAR_DAYS: u64 = 20 * 365;
/// What the database of a first backup shrinks to at most, and the least that a backup takes.
const FIRST_SHRINKS_TO: u64 = 12;
const LEAST_BYTES: u64 = 1 << 20;
/// Objects of a backup besides its packs, with their directories.
const LEAST_INODES: u64 = 24;
/// Packs are at least so large.
const PACK_BYTES: u64 = 16 << 20;

/// How the room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Enough.
    Ok,
    /// Somebody should see to it.
    Warning,
    /// Backups are about to fail.
    Critical,
}

/// What the last backups say of the time ahead, if nothing is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Bytes that a backup takes on average.
    pub backup_bytes: u64,
    /// How many more there is room for.
    pub room_for_backups: u64,
    /// When it will be full, at the pace of the last ones; absent where that is beyond years.
    pub full_at: Option<DateTime<Utc>>,
}

/// The room of a repository now and in the time ahead; shown as half a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// How it is by the configured marks.
    pub level: Level,
    space: Space,
    forecast: Option<Forecast>,
}

impl Outlook {
    /// Looks; `None` where the storage has no end.
    pub fn of(repository: &Repository, marks: &SpaceSection) -> Result<Option<Self>> {
        let Some(space) = repository.storage().space()? else {
            return Ok(None);
        };
        let forecast = forecast(&repository.backups()?.backups, usable_bytes(&space));
        Ok(Some(Self {
            level: level(&space, forecast.as_ref(), marks),
            space,
            forecast,
        }))
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} % of the device are free", percent_free(&self.space))?;
        if let Some(forecast) = &self.forecast {
            let room = counted(forecast.room_for_backups, "more backup");
            write!(f, ", room for about {room}")?;
            if let Some(at) = forecast.full_at {
                write!(f, ", full about {}", at.format("%Y-%m-%d"))?;
            }
        }
        match self.space.free_inodes {
            Some(inodes) => write!(f, "; {}", counted(inodes, "more file")),
            None => Ok(()),
        }
    }
}

/// The room that backups can take: what is free, less the reserve, which may not be held yet.
pub fn usable_bytes(space: &Space) -> u64 {
    space
        .free_bytes
        .saturating_sub(reserve_bytes(space.total_bytes))
}

/// What the last of `backups`, the newest first, say. `None` before the second one: the first takes everything, and
/// says nothing of the others.
pub fn forecast(backups: &[Backup], usable_bytes: u64) -> Option<Forecast> {
    let last: Vec<&Manifest> = backups
        .iter()
        .map(|backup| &backup.manifest)
        .filter(|manifest| manifest.parent.is_some())
        .take(LAST_BACKUPS)
        .collect();
    let (newest, oldest) = (last.first()?, last.last()?);
    let total: u64 = last.iter().map(|manifest| taken_bytes(manifest)).sum();
    let backup_bytes = (total / last.len() as u64).max(1);
    let room_for_backups = usable_bytes / backup_bytes;
    // From the first to the last of them one backup fewer passed than there are.
    let seconds = (newest.finished_at - oldest.finished_at).num_seconds();
    let steps = last.len() as u64 - 1;
    let pace = u64::try_from(seconds).ok().filter(|_| steps > 0);
    let ahead = pace
        .map(|seconds| seconds.saturating_mul(room_for_backups) / steps)
        .filter(|seconds| *seconds < FAR_DAYS * 86_400);
    let full_at = ahead.and_then(|seconds| {
        let ahead = TimeDelta::try_seconds(i64::try_from(seconds).ok()?)?;
        newest.finished_at.checked_add_signed(ahead)
    });
    Some(Forecast {
        backup_bytes,
        room_for_backups,
        full_at,
    })
}

/// Manifests and records come on top of what the manifest counts.
fn taken_bytes(manifest: &Manifest) -> u64 {
    manifest.statistics.stored_bytes + 16 * 1024
}

/// How the room is by the configured marks.
pub fn level(space: &Space, forecast: Option<&Forecast>, marks: &SpaceSection) -> Level {
    let percent = percent_free(space);
    let backups = forecast.map_or(u64::MAX, |forecast| forecast.room_for_backups);
    let below = |share: u8, count: u32| percent < u64::from(share) || backups < u64::from(count);
    if below(marks.critical_percent, marks.critical_backups) {
        Level::Critical
    } else if below(marks.warning_percent, marks.warning_backups) || inodes_are_low(space) {
        Level::Warning
    } else {
        Level::Ok
    }
}

/// What share of the device is free.
pub fn percent_free(space: &Space) -> u64 {
    let percent = u128::from(space.free_bytes) * 100 / u128::from(space.total_bytes.max(1));
    u64::try_from(percent).unwrap_or(100)
}

fn inodes_are_low(space: &Space) -> bool {
    space
        .free_inodes
        .is_some_and(|free| free < 10 * LEAST_INODES)
}

/// Refuses a backup that cannot fit, before anything is written. What it will take is guessed low, so that none is
/// refused that would have fitted: as much as the last ones took on average, and a first one some of its database.
pub fn check_room(
    location: &str,
    space: &Space,
    previous: &[Backup],
    database_bytes: Option<u64>,
) -> Result<()> {
    let usable = usable_bytes(space);
    let expected = expected_bytes(previous, database_bytes, usable);
    let inodes = LEAST_INODES + expected / PACK_BYTES;
    if let Some(free) = space.free_inodes.filter(|free| *free < inodes) {
        return Err(full(format!(
            "`{location}` has room for {free} more files, and a backup makes about {inodes}"
        )));
    }
    if usable < expected {
        return Err(full(format!(
            "`{location}` has {} KiB left for backups, and this one takes about {} KiB",
            usable >> 10,
            expected >> 10
        )));
    }
    Ok(())
}

/// What the next backup will take at least.
pub fn expected_bytes(previous: &[Backup], database_bytes: Option<u64>, usable_bytes: u64) -> u64 {
    let guess = match forecast(previous, usable_bytes) {
        Some(forecast) => forecast.backup_bytes,
        None if previous.is_empty() => database_bytes.unwrap_or(0) / FIRST_SHRINKS_TO,
        None => 0,
    };
    guess.max(LEAST_BYTES)
}

fn full(what: String) -> Error {
    Error::new(ErrorKind::NoSpace, what).hint(
        "Make room: `obbackup forget` and `obbackup prune`, or `obbackup delete ID`; or name a repository on \
         another device.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::Digest256;
    use crate::repository::backups::tests::manifest;

    fn backup(day: i64, stored_bytes: u64, first: bool) -> Backup {
        let id = Digest256::of(&day.to_le_bytes());
        let mut manifest = manifest("one", 1_795_000_000 + day * 86_400);
        manifest.parent = (!first).then_some(id);
        manifest.statistics.stored_bytes = stored_bytes;
        Backup {
            id,
            manifest,
            manifest_bytes: 0,
        }
    }

    fn space(free_bytes: u64) -> Space {
        Space {
            total_bytes: 100 << 30,
            used_bytes: (100 << 30) - free_bytes,
            free_bytes,
            free_inodes: None,
        }
    }

    #[test]
    fn the_first_backup_says_nothing_and_the_nights_after_it_do() {
        let first = backup(0, 50 << 30, true);
        assert_eq!(forecast(std::slice::from_ref(&first), 1 << 30), None);
        let mut backups: Vec<_> = (1..=20)
            .rev()
            .map(|day| backup(day, (100 << 20) - 16 * 1024, false))
            .collect();
        backups.push(first);
        let seen = forecast(&backups, 1 << 30).unwrap();
        assert_eq!((seen.backup_bytes, seen.room_for_backups), (100 << 20, 10));
        let full = seen.full_at.unwrap();
        assert_eq!((full - backups[0].manifest.finished_at).num_days(), 10);
        // A single one has no pace; an endless room no date.
        let one = forecast(&backups[..1], 1 << 30).unwrap();
        assert_eq!((one.room_for_backups, one.full_at), (10, None));
        assert_eq!(forecast(&backups, 1 << 60).unwrap().full_at, None);
    }

    #[test]
    fn marks_are_passed_by_share_or_by_count() {
        let marks = SpaceSection::default();
        let of = |free, room_for_backups| {
            let seen = Forecast {
                backup_bytes: 1,
                room_for_backups,
                full_at: None,
            };
            level(&space(free), Some(&seen), &marks)
        };
        assert_eq!(of(50 << 30, 100), Level::Ok);
        assert_eq!(of(9 << 30, 100), Level::Warning);
        assert_eq!(of(50 << 30, 13), Level::Warning);
        assert_eq!(of(2 << 30, 100), Level::Critical);
        assert_eq!(of(50 << 30, 1), Level::Critical);
        assert_eq!(level(&space(50 << 30), None, &marks), Level::Ok);
        let few = Space {
            free_inodes: Some(100),
            ..space(50 << 30)
        };
        assert_eq!(level(&few, None, &marks), Level::Warning);
    }

    #[test]
    fn a_backup_that_cannot_fit_is_refused_for_want_of_bytes_or_of_files() {
        let check = |space: &Space, database| check_room("/r", space, &[], Some(database));
        let files = |free| Space {
            free_inodes: Some(free),
            ..space(50 << 30)
        };
        assert!(check(&space(50 << 30), 40 << 30).is_ok());
        assert!(check(&files(LEAST_INODES), 1 << 20).is_ok());
        for (space, database, words) in [
            (space(2 << 30), 40 << 30, "KiB left for backups"),
            (files(LEAST_INODES - 1), 1 << 20, "room for 23 more files"),
            (files(100), 40 << 30, "makes about 237"),
        ] {
            let error = check(&space, database).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn what_a_backup_takes_is_guessed_low() {
        assert_eq!(expected_bytes(&[], Some(120 << 20), 0), 10 << 20);
        assert_eq!(expected_bytes(&[], None, 0), LEAST_BYTES);
        let first = backup(0, 50 << 30, true);
        assert_eq!(
            expected_bytes(std::slice::from_ref(&first), Some(120 << 20), 0),
            LEAST_BYTES
        );
        let two = [backup(1, 300 << 20, false), first];
        assert_eq!(expected_bytes(&two, None, 0), (300 << 20) + 16 * 1024);
    }
}
