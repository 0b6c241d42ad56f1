//! What every command does first: a restore that was broken off is finished or reversed, and which is said.

use obbackup::command::restore::{Control, journal, recovery};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::job::{Outcome, Place, Verdict};

use crate::arguments::Command;
use crate::output::safe;
use crate::session::Session;

/// Recovers what was broken off. A command that only looks goes on where that is not possible, and says so.
pub fn before(session: &Session, command: &Command) -> Result<()> {
    let touches_nothing = matches!(
        command,
        Command::Completions(_) | Command::Man(_) | Command::Init(_)
    );
    let Some(source_path) = session.source_path().filter(|_| !touches_nothing) else {
        return Ok(());
    };
    match recovery::is_unfinished(&source_path).and_then(|unfinished| {
        if unfinished { recover(session) } else { Ok(()) }
    }) {
        Err(error) if only_looks(command) => {
            session.warn(&text(&error));
            Ok(())
        }
        other => other,
    }
}

fn recover(session: &Session) -> Result<()> {
    let instance = session.instance()?;
    let tomcat = session.tomcat(&instance)?;
    let control = Control::of(tomcat.as_ref());
    let surroundings = session.surroundings()?;
    let recovered =
        session.work(|progress| recovery::recover(&instance, &surroundings, control, progress));
    if let Err(error) = &recovered
        && error.kind() == ErrorKind::ActionNeeded
    {
        // Who asks later has to hear of it too. That this cannot be written down is no reason not to say it.
        Place::of(&instance).settle(Outcome::failed(error)).ok();
    }
    if let Some(recovered) = recovered? {
        let verdict = match recovered.outcome {
            journal::Outcome::Done => Verdict::Restored,
            journal::Outcome::PutBack { .. } => Verdict::PutBack,
            journal::Outcome::Cleared => Verdict::NothingChanged,
            journal::Outcome::Lost { .. } => Verdict::ActionNeeded,
        };
        Place::of(&instance).settle(Outcome::recovered(verdict, &recovered.message))?;
        session.warn(&recovered.message);
    }
    Ok(())
}

fn only_looks(command: &Command) -> bool {
    !matches!(
        command,
        Command::Backup(_) | Command::Restore(_) | Command::Undo(_)
    )
}

fn text(error: &Error) -> String {
    let hint = error
        .hint_text()
        .map_or_else(String::new, |hint| format!(" {hint}"));
    safe(&format!("{error}.{hint}"))
}
