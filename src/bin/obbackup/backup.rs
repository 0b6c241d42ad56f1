//! `backup`: takes one, or says what it would take.

use std::fmt::Write as _;

use chrono::Utc;
use comfy_table::Cell;

use obbackup::command::backup::{self, BackupOptions, BackupPlan};
use obbackup::command::restore::states::{self, Expiry};
use obbackup::error::{ErrorKind, Result};
use obbackup::format::manifest::{Part, Status};
use obbackup::instance::Instance;
use obbackup::repository::Repository;

use crate::Outcome;
use crate::arguments::Backup;
use crate::output::{Output, counted, safe, size};
use crate::session::Session;
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
    let configuration = session.configuration()?;
    let place = session.repository_choice()?.url;
    let books = session.books(&instance, &configuration);
    let open = || session.repository();
    let taken = session.work(|progress| match &books {
        Some(books) => books.back_up(&place, open, &options, &surroundings, progress),
        None => backup::run(&instance, &open()?, &options, &surroundings, progress),
    })?;
    expire(session, &instance, &session.repository()?)?;
    session.output.show(&taken, |_| {
        // The warnings stand on standard error already.
        let mut summary = taken.summary.clone();
        summary.warnings.clear();
        summary_text(&summary)
    })?;
    Ok(match taken.summary.status {
        Status::Good => Outcome::Good,
        Status::Partial => Outcome::But(ErrorKind::Partial),
    })
}

/// Old states whose time is over go after a backup that was good; that they cannot makes it no worse.
fn expire(session: &Session, instance: &Instance, repository: &Repository) -> Result<()> {
    let limit = Utc::now() - session.restore_section()?.keeps_old();
    let surroundings = session.surroundings()?;
    let expired = session.work_unseen(|progress| {
        let expiry = Expiry {
            instance,
            repository,
            surroundings: &surroundings,
            progress,
        };
        states::expire(&expiry, limit)
    });
    match expired {
        Ok(expired) => {
            for state in expired {
                session.warn(&format!(
                    "the state that {} kept has expired and was removed",
                    state.run
                ));
            }
        }
        Err(error) => session.warn(&format!("old states could not be removed: {error}")),
    }
    Ok(())
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
