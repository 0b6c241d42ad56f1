//! `pin` and `unpin`: whether a backup may be forgotten.

use clap::Args;

use obbackup::command::check_own;
use obbackup::command::pin::set_pin;
use obbackup::error::Result;

use crate::Outcome;
use crate::arguments::ID_HELP;
use crate::output::local_time;
use crate::session::Session;

/// Keep a backup until it is unpinned, whatever the retention says
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup pin 3f9a01c2
  obbackup pin latest --json")]
pub struct Pin {
    #[arg(help = ID_HELP)]
    pub id: String,
}

/// Take the pin of a backup away; the retention decides about it again
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup unpin 3f9a01c2
  obbackup unpin 3f9a01c2 --json")]
pub struct Unpin {
    #[arg(help = ID_HELP)]
    pub id: String,
}

pub fn run(session: &Session, id: &str, pinned: bool) -> Result<Outcome> {
    let repository = session.repository()?;
    let backup = session.resolve(&repository, id)?;
    if let Some(instance) = session.instance_if_any()? {
        check_own(&repository, &backup, &instance)?;
    }
    let summary = set_pin(&repository, &backup, pinned)?;
    session.output.show(&summary, |_| {
        format!(
            "Backup {} of {} is {}.\n",
            summary.id.short(),
            local_time(summary.finished_at),
            if pinned { "pinned" } else { "not pinned" }
        )
    })?;
    Ok(Outcome::Good)
}
