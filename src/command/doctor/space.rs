//! The room for more backups: now, and as the last ones forecast it.

use super::{Check, Examined};
use crate::command::space::{Level, forecast, level, percent_free, usable_bytes};
use crate::error::Result;
use crate::repository::Repository;

const NAME: &str = "space";

/// Nothing where the storage has no end.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let Ok(repository) = &examined.repository else {
        return Vec::new();
    };
    match look(examined, repository) {
        Ok(check) => check.into_iter().collect(),
        Err(error) => vec![Check::failed(NAME, &error)],
    }
}

fn look(examined: &Examined<'_>, repository: &Repository) -> Result<Option<Check>> {
    let Some(space) = repository.storage().space()? else {
        return Ok(None);
    };
    let backups = repository.backups()?.backups;
    let forecast = forecast(&backups, usable_bytes(&space));
    let mut found = format!("{} % of the device are free", percent_free(&space));
    if let Some(forecast) = &forecast {
        found = format!(
            "{found}, room for about {} more backups",
            forecast.room_for_backups
        );
        if let Some(at) = forecast.full_at {
            found = format!("{found}, full about {}", at.format("%Y-%m-%d"));
        }
    }
    if let Some(inodes) = space.free_inodes {
        found = format!("{found}; {inodes} more files");
    }
    let remedy =
        "Make room there, or forget more: `obbackup forget --dry-run` shows what would go.";
    Ok(Some(
        match level(&space, forecast.as_ref(), &examined.configuration.space) {
            Level::Ok => Check::ok(NAME, found),
            Level::Warning => Check::warning(NAME, found).remedy(remedy),
            Level::Critical => Check::failure(NAME, found).remedy(remedy),
        },
    ))
}
