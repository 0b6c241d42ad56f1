//! `forget`: the backups that no rule keeps.

use std::fmt::Write as _;

use clap::Args;
use comfy_table::{Cell, Color};

use obbackup::command::forget::{self, ForgetOptions, ForgetPlan, ForgottenAndPruned, Judged};
use obbackup::config::retention::KeepRules;
use obbackup::error::{ErrorKind, Result};
use obbackup::format::manifest::BackupType;

use crate::Outcome;
use crate::arguments::words;
use crate::list::status_text;
use crate::output::{Output, counted, local_minute, safe, size};
use crate::session::Session;

/// Forget the backups that no rule keeps
///
/// The rules stand under [retention.scheduled], [retention.manual], [retention.automated] and
/// [retention.schedule.NAME] in obbackup.toml; --keep-… stand in their place. Backups of another kind do
/// not count together, and a kind without rules is kept. Never forgotten are the last good backup, the
/// last one that was restored for trial, what is pinned, and what is another instance's. Only good
/// backups count; a partial one goes when a good one came after it.
///
/// The room comes back with `obbackup prune`, or at once with --prune.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup forget --dry-run
  obbackup forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --type scheduled
  obbackup forget --prune --json")]
pub struct Forget {
    /// Keep the last so many
    #[arg(long, value_name = "N", help_heading = "Rules")]
    pub keep_last: Option<u32>,

    /// Keep the last one of each of the last so many hours that have one
    #[arg(long, value_name = "N", help_heading = "Rules")]
    pub keep_hourly: Option<u32>,

    /// The same of days
    #[arg(long, value_name = "N", help_heading = "Rules")]
    pub keep_daily: Option<u32>,

    /// The same of weeks
    #[arg(long, value_name = "N", help_heading = "Rules")]
    pub keep_weekly: Option<u32>,

    /// The same of months
    #[arg(long, value_name = "N", help_heading = "Rules")]
    pub keep_monthly: Option<u32>,

    /// The same of years
    #[arg(long, value_name = "N", help_heading = "Rules")]
    pub keep_yearly: Option<u32>,

    /// Keep all that are at most so many days older than the last one
    #[arg(long, value_name = "DAYS", help_heading = "Rules")]
    pub keep_within_days: Option<u32>,

    /// Let the oldest go until the instance's backups take no more than so many GiB
    #[arg(long, value_name = "GIB", help_heading = "Rules")]
    pub max_space_gib: Option<u32>,

    /// Judge only backups of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = words::<BackupType>(BackupType::ALL.iter().map(|it| it.word())))]
    pub types: Vec<BackupType>,

    /// Judge only backups of this schedule
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,

    /// Give back the room afterwards, as `obbackup prune` does
    #[arg(long)]
    pub prune: bool,

    /// Print what would be forgotten and why, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub fn run(session: &Session, arguments: &Forget) -> Result<Outcome> {
    let instance = session.instance()?;
    let options = options(session, arguments)?;
    let repository = session.repository()?;
    if arguments.dry_run {
        let plan = session
            .work_unseen(|progress| forget::plan(&instance, &repository, &options, progress))?;
        session
            .output
            .show(&plan, |output| plan_text(output, &plan))?;
        return Ok(Outcome::Good);
    }
    let document = session.work(|progress| {
        forget::run_and_prune(&instance, &repository, &options, arguments.prune, progress)
    })?;
    let refused = !document.forgotten.notes.is_empty();
    session.output.show(&document, |_| text(&document))?;
    Ok(if refused {
        Outcome::But(ErrorKind::Partial)
    } else {
        Outcome::Good
    })
}

fn options(session: &Session, arguments: &Forget) -> Result<ForgetOptions> {
    let rules = KeepRules {
        keep_last: arguments.keep_last,
        keep_hourly: arguments.keep_hourly,
        keep_daily: arguments.keep_daily,
        keep_weekly: arguments.keep_weekly,
        keep_monthly: arguments.keep_monthly,
        keep_yearly: arguments.keep_yearly,
        keep_within_days: arguments.keep_within_days,
    };
    let mut retention = session.configuration()?.retention;
    if arguments.max_space_gib.is_some() {
        retention.max_space_gib = arguments.max_space_gib;
    }
    Ok(ForgetOptions {
        retention,
        rules: (rules != KeepRules::default()).then_some(rules),
        types: arguments.types.clone(),
        schedule: arguments.schedule.clone(),
    })
}

fn plan_text(output: &Output, plan: &ForgetPlan) -> String {
    let rows = plan
        .backups
        .iter()
        .map(|judged| row(output, judged))
        .collect();
    let header = ["", "ID", "DATE", "TYPE", "LABEL", "STORED", "STATUS", "WHY"];
    let mut text = output.table(&header, &[5], rows);
    let _ = writeln!(
        text,
        "\nOf {} of this instance {} would go.",
        counted(plan.backups.len() as u64, "backup"),
        plan.goes
    );
    if plan.other_instances > 0 {
        let others = counted(plan.other_instances, "backup");
        let _ = writeln!(text, "{others} of other instances: not judged");
    }
    if plan.damaged > 0 {
        let damaged = counted(plan.damaged, "manifest");
        let _ = writeln!(text, "{damaged} cannot be read: see obbackup verify");
    }
    text
}

fn row(output: &Output, judged: &Judged) -> Vec<Cell> {
    let backup = &judged.summary;
    let (word, color) = if judged.kept {
        ("keep", Color::Green)
    } else {
        ("forget", Color::Red)
    };
    let kind = match &judged.schedule {
        Some(schedule) => safe(&format!("{}: {schedule}", backup.backup_type)),
        None => backup.backup_type.to_string(),
    };
    vec![
        output.colored(word, color),
        Cell::new(backup.id.short()),
        Cell::new(local_minute(backup.finished_at)),
        Cell::new(kind),
        Cell::new(safe(backup.label.as_deref().unwrap_or_default())),
        Cell::new(size(backup.stored_bytes)),
        Cell::new(status_text(backup.status, backup.pinned)),
        Cell::new(judged.reasons.join(", ")),
    ]
}

fn text(document: &ForgottenAndPruned) -> String {
    let forgotten = &document.forgotten;
    let mut text = format!(
        "{} forgotten, {} kept.\n",
        counted(forgotten.forgotten.len() as u64, "backup"),
        forgotten.kept
    );
    for note in &forgotten.notes {
        let _ = writeln!(text, "Note: {}", safe(note));
    }
    if let Some(pruned) = &document.prune {
        let _ = writeln!(
            text,
            "{} given back; {} when the grace is over.",
            size(pruned.freed_bytes),
            size(pruned.condemned_bytes)
        );
    }
    text
}
