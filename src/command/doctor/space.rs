//! The room for more backups: now, and as the last ones forecast it.

use super::{Check, Examined};
use crate::command::space::{Level, Outlook};

const NAME: &str = "space";

/// Nothing where the storage has no end.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let Ok(repository) = &examined.repository else {
        return Vec::new();
    };
    let outlook = match Outlook::of(repository, &examined.configuration.space) {
        Ok(Some(outlook)) => outlook,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    let found = outlook.to_string();
    let remedy =
        "Make room there, or forget more: `obbackup forget --dry-run` shows what would go.";
    vec![match outlook.level {
        Level::Ok => Check::ok(NAME, found),
        Level::Warning => Check::warning(NAME, found).remedy(remedy),
        Level::Critical => Check::failure(NAME, found).remedy(remedy),
    }]
}
