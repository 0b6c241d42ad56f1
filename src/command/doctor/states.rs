//! Which states before restores are kept, and until when.

use std::fmt::Write as _;

use super::{Check, Examined};
use crate::command::restore::states::kept_states;

/// One line a state, the newest first.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "old state";
    let states = match kept_states(&examined.instance.source_path) {
        Ok(states) => states,
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    let keeps_old = examined.configuration.restore.keeps_old();
    let mut checks = Vec::new();
    for (number, state) in states.iter().enumerate() {
        let what = if state.is_replaced {
            "the state before it"
        } else {
            "the state that did not come up"
        };
        let mut found = format!(
            "{} keeps {what} since {}, until {}",
            state.run,
            state.at.format("%Y-%m-%d %H:%M UTC"),
            (state.at + keeps_old).format("%Y-%m-%d"),
        );
        if let Some(database) = &state.database {
            let _ = write!(found, "; database {database}");
        }
        let check = Check::ok(NAME, found);
        checks.push(if number == 0 && state.is_replaced {
            check.remedy("`obbackup undo` brings it back.")
        } else {
            check
        });
    }
    checks
}
