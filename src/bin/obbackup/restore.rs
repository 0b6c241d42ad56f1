//! `restore`: beside what is live, or in its place.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use comfy_table::Cell;

use obbackup::command::arrival;
use obbackup::command::contents::Place;
use obbackup::command::doctor::examine;
use obbackup::command::restore::{
    self, Control, Destination, Replaced, RestoreOptions, RestorePlan, Restored,
};
use obbackup::error::Result;
use obbackup::format::manifest::Part;
use obbackup::job::{About, Verb};
use obbackup::target::database::Neutralized;
use obbackup::tomcat::Tomcat;

use crate::Outcome;
use crate::arguments::Restore;
use crate::arriving::instance_for;
use crate::doctor::check_row;
use crate::job::{self, Request};
use crate::output::{Output, count, counted, local_time, safe, size};
use crate::session::{Session, absolute};

pub fn run(session: &Session, arguments: &Restore) -> Result<Outcome> {
    let options = options(arguments)?;
    let in_place = matches!(options.destination, Destination::InPlace { .. });
    let repository = session.repository()?;
    let backup = if arguments.id == "latest" {
        let instance = session.instance_if_any().ok().flatten();
        session.told(arrival::latest(&repository, instance.as_ref())?)
    } else {
        repository.resolve(&arguments.id, None)?
    };
    let instance = if in_place || arguments.to_database.is_some() {
        let connection = &arguments.connection;
        Some(instance_for(session, connection, &repository, &backup)?)
    } else {
        session.instance_if_any().ok().flatten()
    };
    let surroundings = session.surroundings()?;
    let tomcat = match &instance {
        Some(instance) if in_place => session.tomcat(instance)?,
        _ => None,
    };
    if arguments.dry_run || (in_place && !arguments.yes) {
        let mut plan = restore::plan_replacing(
            instance.as_ref(),
            &repository,
            &backup,
            &options,
            &surroundings,
            Control::of(tomcat.as_ref()),
        )?;
        if in_place {
            plan.notes.push(job::page_note(session, tomcat.as_ref())?);
            let control = tomcat.iter().flat_map(examine);
            // What it is, the plan tells already.
            plan.checks
                .extend(control.filter(|check| check.name != "tomcat"));
        }
        if arguments.dry_run {
            session
                .output
                .show(&plan, |output| plan_text(output, &plan))?;
            return Ok(Outcome::Good);
        }
        let name = instance
            .as_ref()
            .map(|instance| instance.name.as_str())
            .unwrap_or_default();
        let question = format!(
            "{}\nThis {}. Type the instance's name, {}, to go on: ",
            plan_text(&session.output, &plan),
            if plan.keeps_old {
                "replaces what is live; the old state is kept"
            } else {
                "DELETES what is live; only the safety backup will hold it"
            },
            safe(name)
        );
        session.confirm(&question, name)?;
    }
    let restored = match &instance {
        Some(instance) if in_place => {
            check_tomcat(tomcat.as_ref())?;
            if arguments.detach {
                return job::detach(session, Verb::Restore, instance, tomcat.as_ref());
            }
            let request = Request {
                instance,
                about: About::restore(instance, &backup),
                tomcat: tomcat.as_ref(),
                id: arguments.job.as_deref(),
            };
            job::run(session, &request, |control, progress| {
                restore::replace(
                    Some(instance),
                    &repository,
                    &backup,
                    &options,
                    &surroundings,
                    control,
                    progress,
                )
            })?
        }
        _ => session.work(|progress| {
            restore::run(
                instance.as_ref(),
                &repository,
                &backup,
                &options,
                &surroundings,
                progress,
            )
        })?,
    };
    session
        .output
        .show(&restored, |output| restored_text(output, &restored))?;
    Ok(Outcome::Good)
}

/// Stopping and starting must be possible before anything is done that needs it.
pub fn check_tomcat(tomcat: Option<&Tomcat>) -> Result<()> {
    tomcat
        .map(Tomcat::examine)
        .unwrap_or_default()
        .into_iter()
        .filter(|finding| finding.is_needed)
        .try_for_each(|finding| {
            finding
                .result
                .map(drop)
                .map_err(|error| error.context(finding.name))
        })
}

fn options(arguments: &Restore) -> Result<RestoreOptions> {
    let beside = arguments.to_database.is_some() || arguments.to_directory.is_some();
    let destination = if beside {
        let directory = arguments.to_directory.as_ref();
        Destination::Beside {
            database: arguments.to_database.clone(),
            directory: directory.map(|path| absolute(path)).transpose()?,
        }
    } else {
        Destination::InPlace {
            safety_backup: !arguments.no_safety_backup,
            keeps_old: !arguments.in_place,
        }
    };
    Ok(RestoreOptions {
        destination,
        only: arguments.only.iter().copied().collect(),
        paths: arguments
            .path
            .iter()
            .map(|text| Place::of_files(text.as_bytes()))
            .collect::<Result<_>>()?,
        neutralize: arguments.neutralize,
    })
}

fn plan_text(output: &Output, plan: &RestorePlan) -> String {
    let backup = &plan.backup;
    let mut text = Output::fields(&[
        (
            "Backup",
            format!(
                "{} of {}, {}{}",
                backup.id.short(),
                local_time(backup.finished_at),
                backup.backup_type.word(),
                backup
                    .label
                    .as_ref()
                    .map_or_else(String::new, |label| format!(": {}", safe(label)))
            ),
        ),
        (
            "Of",
            safe(&format!("{} on {}", backup.instance, backup.host)),
        ),
        (
            "Goes",
            if plan.in_place {
                "in place of what is live"
            } else {
                "beside what is live"
            }
            .to_owned(),
        ),
    ]);
    let mut rows = Vec::new();
    if let Some(database) = &plan.database {
        rows.push(vec![
            Cell::new(Part::Database.word()),
            Cell::new(size(database.bytes)),
            Cell::new(format!(
                "{}, {}",
                counted(database.tables, "table"),
                counted(database.rows, "row")
            )),
            Cell::new(safe(&format!("{} on {}", database.name, database.server))),
        ]);
    }
    rows.extend(plan.files.iter().map(|files| {
        let mut to = files.to.display().to_string();
        if !files.paths.is_empty() {
            let paths: Vec<_> = files.paths.iter().map(ToString::to_string).collect();
            to = format!("{to}: only {}", paths.join(", "));
        }
        vec![
            Cell::new(files.part.word()),
            Cell::new(size(files.bytes)),
            Cell::new(counted(files.files, "file")),
            Cell::new(safe(&to)),
        ]
    }));
    text.push('\n');
    text.push_str(&output.table(&["PART", "SIZE", "CONTENT", "TO"], &[1, 2], rows));
    if !plan.checks.is_empty() {
        let rows = plan.checks.iter().map(|check| check_row(output, check));
        text.push('\n');
        text.push_str(&output.table(&["", "CHECK", "FOUND"], &[], rows.collect()));
    }
    for note in &plan.notes {
        let _ = writeln!(text, "Note: {}", safe(note));
    }
    for newer in &plan.newer {
        let rows = newer
            .rows
            .map_or("many rows".to_owned(), |rows| counted(rows, "row"));
        let _ = writeln!(
            text,
            "Newer than the backup: {rows} of {}",
            safe(&newer.table)
        );
    }
    text
}

/// What was changed, table by table.
fn neutralized_text(output: &Output, neutralized: &Neutralized) -> String {
    let rows = neutralized
        .changes
        .iter()
        .map(|change| {
            vec![
                Cell::new(safe(&change.table)),
                Cell::new(count(change.rows)),
                Cell::new(safe(&change.what)),
            ]
        })
        .collect();
    let table = output.table(&["NEUTRALIZED", "ROWS", "WHAT"], &[1], rows);
    let mut text = format!("\n{table}");
    if !neutralized.absent.is_empty() {
        let _ = writeln!(
            text,
            "Not in this instance: {}",
            neutralized.absent.join(", ")
        );
    }
    text
}

fn restored_text(output: &Output, restored: &Restored) -> String {
    let mut fields = vec![("Restored", format!("backup {}", restored.backup.id.short()))];
    if let Some(database) = &restored.database {
        fields.push((
            "Database",
            safe(&format!("{database}, {}", counted(restored.rows, "row"))),
        ));
    }
    if restored.files > 0 {
        let files = counted(restored.files, "file");
        fields.push((
            "Files",
            format!("{} in {files}", size(restored.files_bytes)),
        ));
    }
    for directory in &restored.directories {
        fields.push(("Directory", safe(&directory.display().to_string())));
    }
    if let Some(replaced) = &restored.replaced {
        kept_fields(replaced, restored.database.is_some(), &mut fields);
    }
    let mut text = Output::fields(&fields);
    if let Some(neutralized) = &restored.neutralized {
        text.push_str(&neutralized_text(output, neutralized));
    }
    for warning in &restored.warnings {
        let _ = writeln!(text, "Warning: {}", safe(warning));
    }
    text
}

/// Where the state before is, and how it comes back; `has_database`: what replaced it has one.
pub fn kept_fields(replaced: &Replaced, has_database: bool, fields: &mut Vec<(&str, String)>) {
    if let Some(database) = &replaced.database {
        fields.push(("Old database", safe(database)));
    }
    for directory in &replaced.directories {
        fields.push(("Old files", safe(&directory.display().to_string())));
    }
    if let Some(id) = &replaced.safety_backup {
        fields.push(("Safety backup", id.short()));
    }
    let keeps = if has_database {
        replaced.database.is_some()
    } else {
        !replaced.directories.is_empty()
    };
    let back = match &replaced.safety_backup {
        _ if keeps => Some("obbackup undo".to_owned()),
        Some(id) => Some(format!("obbackup restore {} --in-place", id.short())),
        // Where there was no database, there is nothing to go back to.
        None => None,
    };
    fields.extend(back.map(|back| ("To go back", back)));
}
