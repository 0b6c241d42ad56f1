//! Pins: backups that are never forgotten.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Repository;
use super::backups::Backup;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::BackupId;
use crate::format::record::{Mark, MarkKind};
use crate::format::{path, sealed};
use crate::storage::Object;

/// What the marks say of pins.
#[derive(Debug, Clone, Default)]
pub struct Pins(HashMap<BackupId, (DateTime<Utc>, bool)>);

impl Pins {
    /// Whether the backup is pinned now: as its last mark says, else as it was taken.
    pub fn is_pinned(&self, backup: &Backup) -> bool {
        self.0
            .get(&backup.id)
            .map_or(backup.manifest.pinned, |(_, pinned)| *pinned)
    }
}

impl Repository {
    /// The pins of all backups.
    pub fn pins(&self) -> Result<Pins> {
        self.pins_among(&self.room(path::MARKS)?)
    }

    /// Whether one backup is pinned at this moment.
    pub fn is_pinned(&self, backup: &Backup) -> Result<bool> {
        let below = format!("{}{}/", path::MARKS, backup.id);
        // Asked for at this moment, whatever a glance has shown.
        let marks = self.storage().list(&below)?;
        Ok(self.pins_among(&marks)?.is_pinned(backup))
    }

    fn pins_among(&self, marks: &[Object]) -> Result<Pins> {
        let mut pins = Pins::default();
        for object in marks {
            let Some((backup, kind)) = path::parse_mark(&object.path) else {
                continue;
            };
            if ![MarkKind::Pin.word(), MarkKind::Unpin.word()].contains(&kind) {
                continue;
            }
            let bytes = match self.storage().read(&object.path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // A mark that cannot be read may be the one that pins.
            let (at, pinned) = match sealed::unseal::<Mark>(&bytes) {
                Ok(mark) => (mark.at, mark.kind == MarkKind::Pin),
                Err(_) => (DateTime::<Utc>::MAX_UTC, true),
            };
            let last = pins.0.entry(backup).or_insert((at, pinned));
            if at >= last.0 {
                *last = (at, pinned);
            }
        }
        Ok(pins)
    }

    /// Pins a backup, or takes the pin away. `NotFound` where the backup was deleted meanwhile.
    pub fn set_pin(&self, backup: &Backup, pinned: bool) -> Result<()> {
        if self.is_pinned(backup)? == pinned {
            return Ok(());
        }
        self.mark(
            backup.id,
            if pinned {
                MarkKind::Pin
            } else {
                MarkKind::Unpin
            },
        )?;
        // Whoever forgets looks for a pin right before it deletes; a mark that came later has found nothing to keep.
        let manifest = path::manifest(backup.manifest.finished_at, &backup.id);
        if self.storage().list(&manifest)?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("backup {} was deleted meanwhile", backup.id.short()),
            ));
        }
        Ok(())
    }
}
