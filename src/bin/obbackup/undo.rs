//! `undo`: the state before the last restore.

use std::fmt::Write as _;

use clap::Args;
use comfy_table::Cell;

use obbackup::command::restore::journal::Purpose;
use obbackup::command::restore::undo::{self, UndoPlan, Undone};
use obbackup::error::Result;
use obbackup::format::manifest::Part;
use obbackup::job::{About, Verb};

use crate::Outcome;
use crate::job::{self, Request};
use crate::output::{Output, local_time, safe};
use crate::restore::{check_tomcat, kept_fields};
use crate::session::Session;

/// Bring back the state before the last restore
///
/// The database and the files that the last restore replaced are kept for some days. They change places with
/// the live ones as in a restore: a backup of the present state is taken, the application is stopped,
/// renames put the old state back, and the application is started and asked whether it answers. What
/// was live until then is kept in turn, so that another undo goes forward again.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup undo --dry-run
  obbackup undo
  obbackup undo --yes --no-safety-backup
  obbackup undo --yes --detach")]
#[allow(clippy::struct_excessive_bools)] // Flags are what they are.
pub struct Undo {
    /// Do not take a backup of the present state before it is replaced
    #[arg(long)]
    pub no_safety_backup: bool,

    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask for the instance's name
    #[arg(long)]
    pub yes: bool,

    /// Run on when this program, its terminal or Tomcat ends; follow it with `obbackup status --follow`
    #[arg(long, requires = "yes", conflicts_with = "dry_run")]
    pub detach: bool,

    /// The job that another process has announced
    #[arg(long, hide = true)]
    pub job: Option<String>,
}

pub fn run(session: &Session, arguments: &Undo) -> Result<Outcome> {
    let instance = session.instance()?;
    let surroundings = session.surroundings()?;
    let mut plan = undo::plan(&instance, &surroundings)?;
    let tomcat = session.tomcat(&instance)?;
    if arguments.dry_run || !arguments.yes {
        plan.notes.push(job::page_note(session, tomcat.as_ref())?);
        if arguments.dry_run {
            session
                .output
                .show(&plan, |output| plan_text(output, &plan))?;
            return Ok(Outcome::Good);
        }
        let question = format!(
            "{}\nThis replaces what is live, which is kept. Type the instance's name, {}, to go on: ",
            plan_text(&session.output, &plan),
            safe(&instance.name)
        );
        session.confirm(&question, &instance.name)?;
    }
    let repository = if arguments.no_safety_backup {
        None
    } else {
        Some(session.repository()?)
    };
    check_tomcat(tomcat.as_ref())?;
    if arguments.detach {
        return job::detach(session, Verb::Undo, &instance, tomcat.as_ref());
    }
    let request = Request {
        instance: &instance,
        about: About::undo(&instance, plan.state.at),
        tomcat: tomcat.as_ref(),
        id: arguments.job.as_deref(),
    };
    let undone = job::run(session, &request, |control, progress| {
        undo::run(
            &instance,
            repository.as_ref(),
            &surroundings,
            control,
            progress,
        )
    })?;
    session
        .output
        .show(&undone, |_| undone_text(&plan, &undone))?;
    Ok(Outcome::Good)
}

fn plan_text(output: &Output, plan: &UndoPlan) -> String {
    let what = match &plan.state.purpose {
        Purpose::Restore { backup } => {
            format!("the state before the restore of backup {}", backup.short())
        }
        Purpose::Undo { .. } => "the state before the last undo".to_owned(),
    };
    let mut text = Output::fields(&[
        ("Brings back", what),
        ("Replaced", local_time(plan.state.at)),
    ]);
    let mut rows = Vec::new();
    if let Some(database) = &plan.database {
        rows.push(vec![
            Cell::new(Part::Database.word()),
            Cell::new(safe(&database.from)),
            Cell::new(safe(&database.name)),
        ]);
    }
    rows.extend(plan.files.iter().map(|files| {
        vec![
            Cell::new(files.part.word()),
            Cell::new(safe(&files.from.display().to_string())),
            Cell::new(safe(&files.to.display().to_string())),
        ]
    }));
    text.push('\n');
    text.push_str(&output.table(&["PART", "FROM", "TO"], &[], rows));
    for note in &plan.notes {
        let _ = writeln!(text, "Note: {}", safe(note));
    }
    text
}

fn undone_text(plan: &UndoPlan, undone: &Undone) -> String {
    let what = plan.state.purpose.word();
    let mut fields = vec![(
        "Undone",
        format!("the {what} of {}", local_time(undone.undone_at)),
    )];
    if let Some(database) = &undone.database {
        fields.push(("Database", safe(database)));
    }
    for directory in &undone.directories {
        fields.push(("Directory", safe(&directory.display().to_string())));
    }
    kept_fields(&undone.replaced, undone.database.is_some(), &mut fields);
    Output::fields(&fields)
}
