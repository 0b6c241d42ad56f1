//! `verify --drill`: a test restore, and what it found.

use std::fmt::Write as _;

use comfy_table::{Cell, Color};

use obbackup::command::drill::{self, DrillPlan, Drilled, Verdict};
use obbackup::error::{ErrorKind, Result};

use crate::Outcome;
use crate::arguments::Verify;
use crate::output::{Output, duration, local_time, safe, size};
use crate::session::Session;

pub fn run(session: &Session, arguments: &Verify) -> Result<Outcome> {
    let instance = session.instance()?;
    let repository = session.repository()?;
    let backup = session.resolve(&repository, arguments.id.as_deref().unwrap_or("latest"))?;
    let surroundings = session.surroundings()?;
    let options = session.drill_options(arguments.scratch.as_deref())?;
    if arguments.dry_run {
        let plan = drill::plan(&instance, &repository, &backup, &options, &surroundings)?;
        session.output.show(&plan, |_| plan_text(&plan))?;
        return Ok(Outcome::Good);
    }
    let drilled = session.work(|progress| {
        drill::run(
            &instance,
            &repository,
            &backup,
            &options,
            &surroundings,
            progress,
        )
    })?;
    session
        .output
        .show(&drilled, |output| text(output, &drilled))?;
    Ok(if drilled.passed {
        Outcome::Good
    } else {
        Outcome::But(ErrorKind::Damaged)
    })
}

fn plan_text(plan: &DrillPlan) -> String {
    let mut fields = vec![(
        "Backup",
        format!(
            "{} of {}",
            plan.backup.id.short(),
            local_time(plan.backup.finished_at)
        ),
    )];
    if let (Some(database), Some(server)) = (&plan.database, &plan.server) {
        fields.push(("Database", safe(&format!("{database} on {server}"))));
    }
    fields.push(("Directory", safe(&plan.directory.display().to_string())));
    fields.push(("Needs", size(plan.needed_bytes)));
    let mut text = Output::fields(&fields);
    for note in &plan.notes {
        let _ = writeln!(text, "Note: {}", safe(note));
    }
    text
}

fn text(output: &Output, drilled: &Drilled) -> String {
    let rows = drilled
        .checks
        .iter()
        .map(|check| {
            let (word, color) = match check.result {
                Verdict::Passed => ("passed", Color::Green),
                Verdict::Failed => ("FAILED", Color::Red),
                Verdict::Skipped => ("skipped", Color::Yellow),
            };
            vec![
                Cell::new(check.name),
                output.colored(word, color),
                Cell::new(safe(&check.found)),
            ]
        })
        .collect();
    let mut text = output.table(&["CHECK", "RESULT", "FOUND"], &[], rows);
    text.push('\n');
    for problem in drilled.checks.iter().flat_map(|check| &check.problems) {
        let _ = writeln!(text, "Failed: {}", safe(problem));
    }
    for removed in &drilled.removed {
        let _ = writeln!(text, "Removed, left by an earlier drill: {}", safe(removed));
    }
    for warning in &drilled.warnings {
        let _ = writeln!(text, "Warning: {}", safe(warning));
    }
    let verdict = if drilled.passed {
        "was restored for trial, and is what it was"
    } else {
        "did not pass the test restore"
    };
    let _ = writeln!(
        text,
        "Backup {} {verdict}: {}.",
        drilled.backup.id.short(),
        duration(drilled.duration_seconds)
    );
    text
}
