//! What is said of a restore that failed: how everything is, and what to type where somebody has to.

use std::path::{Path, PathBuf};

use super::Restored;
use super::journal::Journal;
use super::staging::Stage;
use super::states;
use crate::error::{Error, ErrorKind, Result};

/// The state before is live again.
pub(super) struct PutBack {
    /// Why the application does not run as it did.
    pub(super) application: Result<()>,
    /// What a person types to start it.
    pub(super) how_to_start: String,
    /// Why something of the new state is still there.
    pub(super) cleared: Result<()>,
}

impl PutBack {
    /// An error of kind `RolledBack` where all is as it was, of `ActionNeeded` where the application is not.
    pub(super) fn report(self, error: &Error, journal: &Journal) -> Error {
        let run = journal.word();
        let (what, kind, hint) = match &self.application {
            Ok(()) => (
                "everything is as it was before".to_owned(),
                ErrorKind::RolledBack,
                format!(
                    "{}Nothing was lost; the {run} can be run again.",
                    hint_before(error)
                ),
            ),
            Err(application) => (
                format!(
                    "database and files are as they were before, but the application does not run as it did{}",
                    // Once is enough.
                    if application.message() == error.message() {
                        String::new()
                    } else {
                        format!(" ({application})")
                    }
                ),
                ErrorKind::ActionNeeded,
                format!(
                    "{}Nothing was lost. Correct the cause, then start it by hand: {}",
                    hint_before(application),
                    self.how_to_start
                ),
            ),
        };
        let failed = error
            .duplicate()
            .context(format!("the {run} failed; {what}"))
            .with_kind(kind)
            .hint(hint);
        match self.cleared {
            Ok(()) => failed,
            Err(why) => left_over(&failed, &why, journal, "The next backup removes it"),
        }
    }
}

/// The same error where, besides, something of the new state is still there.
pub(super) fn left_over(error: &Error, why: &Error, journal: &Journal, later: &str) -> Error {
    let by_hand = journal.header().map(|header| {
        let database = header.database.as_ref().map(|names| names.new.as_str());
        let areas = header.files.iter().map(Stage::area);
        states::removal(database, areas)
    });
    Error::new(
        error.kind(),
        format!("{error}; and what had been made, which nobody needs, could not be removed: {why}"),
    )
    .hint(format!(
        "{}{later}; by hand: {}",
        hint_before(error),
        by_hand.unwrap_or_default()
    ))
}

/// The same error where, besides, the application could not be started again.
pub(super) fn not_started(error: &Error, second: &Error, how_to_start: &str) -> Error {
    Error::new(
        error.kind(),
        format!("{error}; and the application could not be started again: {second}"),
    )
    .hint(format!(
        "{}Nothing was changed. Correct the cause, then start it by hand: {how_to_start}",
        hint_before(second)
    ))
}

/// Beside the instance, while `directory` was being filled: what somebody else may have put there by now is not for us to
/// delete.
pub(super) fn beside(error: Error, restored: &Restored, directory: &Path) -> Error {
    let mut left = Vec::new();
    if let Some(database) = &restored.database {
        left.push(format!("database `{database}`"));
    }
    let directories = restored.directories.iter().map(PathBuf::as_path);
    // One that was refused because something is in it is somebody else's.
    let begun = (error.kind() != ErrorKind::AlreadyExists).then_some(directory);
    left.extend(
        directories
            .chain(begun)
            .filter(|directory| directory.exists())
            .map(|directory| format!("`{}`", directory.display())),
    );
    if left.is_empty() {
        return error;
    }
    let hint = format!(
        "{}Before you try again remove what was begun: {}.",
        hint_before(&error),
        left.join(", ")
    );
    error.hint(hint)
}

/// An error's hint, to stand before another one.
pub(super) fn hint_before(error: &Error) -> String {
    error
        .hint_text()
        .map(|hint| format!("{hint} "))
        .unwrap_or_default()
}

/// Neither forward nor back.
pub(super) fn stuck(
    error: &Error,
    second: &Error,
    where_things_are: &str,
    journal: &Journal,
) -> Error {
    let mut text = format!("{error}; and putting everything back failed too: {second}");
    if !where_things_are.is_empty() {
        text = format!("{text}. Now: {where_things_are}");
    }
    let run = journal.word();
    Error::new(ErrorKind::ActionNeeded, format!("the {run} failed: {text}")).hint(format!(
        "{}Nothing was deleted. Correct the cause, then run `obbackup doctor`: any command of obbackup goes on \
         putting back from here.",
        hint_before(second)
    ))
}
