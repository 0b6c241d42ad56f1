//! `copy`: a backup into another repository.

use clap::Args;

use obbackup::command::copy::{self, Copied, CopyPlan};
use obbackup::error::Result;

use crate::Outcome;
use crate::output::{Output, count, counted, safe, size};
use crate::session::Session;

/// Copy a backup into another repository
///
/// Only what is not there yet moves, as it is stored: the copy is the same backup, with the same id. The
/// other repository must exist; `init` makes it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup copy latest --to offsite
  obbackup copy 3f9a01c2 --to /mnt/usb/openbravo --dry-run")]
pub struct Copy {
    #[arg(help = crate::arguments::ID_HELP)]
    pub id: String,

    /// Where to: a name from the configuration, a path, or a URL
    #[arg(long, value_name = "NAME|URL")]
    pub to: String,

    /// Print what would be moved, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub fn run(session: &Session, arguments: &Copy) -> Result<Outcome> {
    let from = session.repository()?;
    let to = session.named_repository(&arguments.to)?;
    let backup = session.resolve(&from, &arguments.id)?;
    if arguments.dry_run {
        let plan = copy::plan(&from, &to, &backup)?;
        session.output.show(&plan, |_| plan_text(&plan))?;
        return Ok(Outcome::Good);
    }
    let copied = session.work(|progress| copy::copy(&from, &to, &backup, progress))?;
    session.output.show(&copied, |_| text(&copied))?;
    Ok(Outcome::Good)
}

fn plan_text(plan: &CopyPlan) -> String {
    if plan.is_there {
        return there_already(plan);
    }
    Output::fields(&[
        ("Backup", plan.id.short()),
        ("From", safe(&plan.from)),
        ("To", safe(&plan.to)),
        ("Chunks", count(plan.chunks)),
        (
            "Missing there",
            format!(
                "{}, {}",
                counted(plan.missing_chunks, "chunk"),
                size(plan.missing_bytes)
            ),
        ),
    ])
}

fn there_already(plan: &CopyPlan) -> String {
    format!(
        "Backup {} is in {} already.\n",
        plan.id.short(),
        safe(&plan.to)
    )
}

/// How a copy that was made is told.
pub fn text(copied: &Copied) -> String {
    let plan = &copied.plan;
    if plan.is_there {
        return there_already(plan);
    }
    format!(
        "Copied backup {} to {}: {} written, {} of {} were missing there.\n",
        plan.id.short(),
        safe(&plan.to),
        size(copied.stored_bytes),
        count(plan.missing_chunks),
        counted(plan.chunks, "chunk")
    )
}
