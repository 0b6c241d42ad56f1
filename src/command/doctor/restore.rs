//! What a restore in place needs besides, and the states that earlier ones keep.

use std::fmt::Write as _;

use super::{Check, Examined};
use crate::command::restore::states::kept_states;

pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let mut checks = tomcat(examined);
    checks.extend(states(examined));
    checks
}

fn tomcat(examined: &Examined<'_>) -> Vec<Check> {
    let tomcat = match &examined.tomcat {
        Ok(Some(tomcat)) => tomcat,
        Ok(None) => {
            let found = "none was found; a restore in place cannot stop and start it";
            let remedy = "Set `base`, or `stop` and `start`, under [tomcat] in obbackup.toml.";
            return vec![Check::warning("tomcat", found).remedy(remedy)];
        }
        Err(error) => return vec![Check::failed("tomcat", error)],
    };
    tomcat
        .examine()
        .into_iter()
        .map(|finding| match finding.result {
            Ok(found) => Check::ok(finding.name, found),
            Err(error) if finding.is_needed => Check::failed(finding.name, &error),
            Err(error) => Check::failed(finding.name, &error).tolerated(),
        })
        .collect()
}

/// States that can be brought back, and until when.
fn states(examined: &Examined<'_>) -> Vec<Check> {
    const NAME: &str = "old state";
    let keeps_old = examined.configuration.restore.keeps_old();
    let states = match kept_states(&examined.instance.source_path) {
        Ok(states) => states,
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    states
        .iter()
        .enumerate()
        .map(|(number, state)| {
            let mut found = format!(
                "{} keeps {} since {}, until {}",
                state.run,
                if state.is_replaced {
                    "the state before it"
                } else {
                    "the state that did not come up"
                },
                state.at.format("%Y-%m-%d %H:%M UTC"),
                (state.at + keeps_old).format("%Y-%m-%d"),
            );
            if let Some(database) = &state.database {
                let _ = write!(found, "; database {database}");
            }
            let check = Check::ok(NAME, found);
            if number == 0 && state.is_replaced {
                check.remedy("`obbackup undo` brings it back.")
            } else {
                check
            }
        })
        .collect()
}
