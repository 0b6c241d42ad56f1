//! `backup`: takes one, or says what it would take.

use std::fmt::Write as _;

use comfy_table::Cell;

use obbackup::command::backup::{self, BackupOptions, BackupPlan};
use obbackup::command::copy::{self, CopyOutcome, TakenAndCopied, copy_to_each};
use obbackup::command::runs::{Wanted, back_up};
use obbackup::error::{ErrorKind, Result};
use obbackup::format::manifest::{Part, Status};

use crate::Outcome;
use crate::arguments::Backup;
use crate::output::{Output, counted, safe, size};
use crate::session::{Session, zone};
use crate::show::summary_text;

pub fn run(session: &Session, arguments: &Backup) -> Result<Outcome> {
    let instance = session.instance()?;
    let surroundings = session.surroundings()?;
    let options = BackupOptions {
        backup_type: arguments.kind,
        label: arguments.label.clone(),
        pin: arguments.pin,
        only: arguments.only.iter().copied().collect(),
        read_all: arguments.full_read,
    };
    if arguments.dry_run {
        let plan = backup::plan(&instance, &session.repository()?, &options, &surroundings)?;
        session
            .output
            .show(&plan, |output| plan_text(output, &plan))?;
        return Ok(Outcome::Good);
    }
    // Before the work: a name that is not known should not show after it.
    let configuration = session.configuration()?;
    let section = session.repository_choice()?.section;
    let targets = copy::targets(&configuration, &section, &arguments.copy_to)?;
    let wanted = Wanted {
        place: &section.url,
        options: &options,
        surroundings: &surroundings,
    };
    let open = || session.repository();
    let taken = session
        .work(|progress| back_up(&instance, &configuration, zone(), &wanted, open, progress))?;
    let copies = if targets.is_empty() {
        Vec::new()
    } else {
        let repository = session.repository()?;
        let backup = repository.resolve(&taken.summary.id.to_hex(), None)?;
        session.work(|progress| {
            let (owner, cache) = (Some(instance.owner), session.cache_directory());
            Ok(copy_to_each(
                &repository,
                &backup,
                &targets,
                owner,
                cache,
                progress,
            ))
        })?
    };
    let all_copied = copies.iter().all(|copy| copy.copied.is_some());
    let document = TakenAndCopied {
        taken: &taken,
        copies: &copies,
    };
    session.output.show(&document, |_| {
        // The warnings stand on standard error already.
        let mut summary = taken.summary.clone();
        summary.warnings.clear();
        let mut text = summary_text(&summary);
        for copy in &copies {
            text.push_str(&copy_text(copy));
        }
        text
    })?;
    Ok(match taken.summary.status {
        Status::Good if all_copied => Outcome::Good,
        _ => Outcome::But(ErrorKind::Partial),
    })
}

fn copy_text(copy: &CopyOutcome) -> String {
    match (&copy.copied, &copy.message) {
        (Some(copied), _) => crate::copy::text(copied),
        (None, message) => {
            let message = message.as_deref().unwrap_or_default();
            let hint = copy.hint.as_deref().unwrap_or_default();
            format!(
                "NOT copied to {}: {}\n  {}\n",
                safe(&copy.repository),
                safe(message),
                safe(hint)
            )
        }
    }
}

fn plan_text(output: &Output, plan: &BackupPlan) -> String {
    let unchanged = plan.parent.map_or_else(
        || "nothing: it is the first backup".to_owned(),
        |parent| format!("what did not change since backup {}", parent.short()),
    );
    let mut fields = vec![
        (
            "Instance",
            safe(&format!("{} on {}", plan.instance.name, plan.instance.host)),
        ),
        ("Repository", safe(&plan.repository)),
        ("Type", plan.backup_type.to_string()),
        ("Taken over", unchanged),
    ];
    if let Some(free) = plan.free_bytes {
        fields.push(("Free there", size(free)));
    }
    let mut rows = Vec::new();
    if let Some(database) = &plan.database {
        rows.push(vec![
            Cell::new(Part::Database.word()),
            Cell::new(safe(&format!(
                "{} on {}, PostgreSQL {}, {}, {}",
                database.name,
                database.server,
                database.server_version,
                counted(database.tables, "table"),
                size(database.bytes)
            ))),
        ]);
    }
    rows.extend(plan.files.iter().map(|files| {
        vec![
            Cell::new(files.part.word()),
            Cell::new(safe(&files.root.display().to_string())),
        ]
    }));
    let mut text = Output::fields(&fields);
    text.push('\n');
    text.push_str(&output.table(&["PART", "ORIGIN"], &[], rows));
    for warning in &plan.warnings {
        let _ = writeln!(text, "Warning: {}", safe(warning));
    }
    text
}
