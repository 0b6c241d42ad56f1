//! Which states before restores are kept, and until when; and what is left of restores that failed.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{Check, Examined};
use crate::command::restore::states::{kept_states, removal};
use crate::command::restore::undo;
use crate::error::ErrorKind;

/// One line a state, the newest first.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "old state";
    let states = match kept_states(&examined.instance.source_path) {
        Ok(states) => states,
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    let keeps_old = examined.configuration.restore.keeps_old();
    let mut checks = Vec::new();
    for state in &states {
        if !state.is_replaced {
            let found = format!(
                "{} failed, and what it had made could not be removed",
                state.run
            );
            let by_hand = removal(
                state.database.as_deref(),
                state.directories.iter().map(PathBuf::as_path),
            );
            let remedy = format!("The next backup removes it; by hand: {by_hand}");
            checks.push(Check::warning("left over", found).remedy(remedy));
            continue;
        }
        let mut found = format!(
            "{} keeps the state before it since {}, until {}",
            state.run,
            state.at.format("%Y-%m-%d %H:%M UTC"),
            (state.at + keeps_old).format("%Y-%m-%d"),
        );
        if let Some(database) = &state.database {
            let _ = write!(found, "; database {database}");
        }
        let is_last = checks.iter().all(|check: &Check| check.name != NAME);
        let may_undo = is_last && state.can_come_back();
        let check = Check::ok(NAME, found);
        checks.push(
            match may_undo.then(|| undo::plan(examined.instance, examined.surroundings)) {
                None => check,
                // Somebody has removed something of it.
                Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    Check::failed(NAME, &error).tolerated()
                }
                Some(_) => check.remedy("`obbackup undo` brings it back."),
            },
        );
    }
    checks
}
