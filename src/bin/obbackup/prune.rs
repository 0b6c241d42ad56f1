//! `prune`: the room of what no backup needs.

use std::fmt::Write as _;

use chrono::TimeDelta;
use clap::Args;

use obbackup::command::prune;
use obbackup::error::Result;
use obbackup::repository::prune::Pruned;

use crate::Outcome;
use crate::output::{Output, counted, safe, size};
use crate::session::Session;

/// Give back the room of what no backup needs
///
/// What is not needed is condemned first and deleted when its grace is over, so that a backup that nobody
/// could see while it was being taken loses nothing. Packs that are mostly waste are written anew.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup prune
  obbackup prune --dry-run --json
  obbackup prune --grace-hours 0")]
pub struct Prune {
    /// Delete what was condemned so many hours ago [default: as configured, else 24]
    #[arg(long, value_name = "HOURS")]
    pub grace_hours: Option<u32>,

    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub fn run(session: &Session, arguments: &Prune) -> Result<Outcome> {
    let retention = session.configuration()?.retention;
    let repository = session.repository()?;
    let grace = arguments
        .grace_hours
        .map(|hours| TimeDelta::hours(hours.into()));
    let options = prune::options(&retention, grace);
    if arguments.dry_run {
        let plan = session.work_unseen(|progress| prune::plan(&repository, &options, progress))?;
        session.output.show(&plan, |_| text(&plan, true))?;
        return Ok(Outcome::Good);
    }
    let instance = session.instance_if_any()?;
    let pruned =
        session.work(|progress| prune::run(instance.as_ref(), &repository, &options, progress))?;
    session.output.show(&pruned, |_| text(&pruned, false))?;
    Ok(Outcome::Good)
}

fn text(pruned: &Pruned, is_plan: bool) -> String {
    let amount = |packs: u64, bytes: u64| format!("{} in {}", size(bytes), counted(packs, "pack"));
    let mut fields = vec![
        ("Packs", amount(pruned.packs, pruned.packs_bytes)),
        (
            if is_plan {
                "Would be deleted"
            } else {
                "Deleted"
            },
            amount(pruned.freed_packs, pruned.freed_bytes),
        ),
        (
            "Waiting for the grace",
            amount(pruned.condemned_packs, pruned.condemned_bytes),
        ),
    ];
    if pruned.repacked_packs > 0 {
        fields.push((
            if is_plan {
                "Would be written anew"
            } else {
                "Written anew"
            },
            format!(
                "{}, of which {} is waste",
                counted(pruned.repacked_packs, "pack"),
                size(pruned.repacked_waste_bytes)
            ),
        ));
    }
    if pruned.pardoned_packs > 0 {
        fields.push(("Needed after all", counted(pruned.pardoned_packs, "pack")));
    }
    let mut text = Output::fields(&fields);
    for note in &pruned.notes {
        let _ = writeln!(text, "Note: {}", safe(note));
    }
    text
}
