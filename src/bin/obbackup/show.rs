//! `show`: one backup in full; also how `backup` tells what it took.

use std::fmt::Write as _;

use chrono::Utc;
use comfy_table::Cell;
use serde::Serialize;

use obbackup::command::list::{BackupSummary, LastDrill, server_version};
use obbackup::error::Result;
use obbackup::format::age;
use obbackup::format::bytes::ByteString;
use obbackup::format::manifest::{Manifest, ModuleVersion, Part};

use crate::Outcome;
use crate::arguments::Show;
use crate::list::status_text;
use crate::output::{Output, count, counted, duration, local_time, safe, size};
use crate::session::Session;

/// A backup as `show --json` has it.
#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    summary: BackupSummary,
    database: Option<Database<'a>>,
    parts: Vec<Directory<'a>>,
    modules: &'a [ModuleVersion],
    source_path: &'a str,
    tool: &'a str,
    format: u32,
}

#[derive(Serialize)]
struct Database<'a> {
    name: &'a str,
    application_role: &'a str,
    server_version: String,
    client_version: String,
    tables: u64,
    rows: u64,
    bytes: u64,
    db_modified: Option<&'a str>,
}

#[derive(Serialize)]
struct Directory<'a> {
    part: Part,
    root: &'a ByteString,
    entries: u64,
    files: u64,
    bytes: u64,
    excluded: &'a [ByteString],
}

pub fn run(session: &Session, arguments: &Show) -> Result<Outcome> {
    let repository = session.repository()?;
    let backup = session.resolve(&repository, &arguments.id)?;
    let marks = repository.marks_of(&backup.id)?;
    let summary = BackupSummary {
        pinned: repository.is_pinned(&backup)?,
        ..BackupSummary::from(&backup).with_marks(&marks)
    };
    let detail = detail(&backup.manifest, summary);
    session
        .output
        .show(&detail, |output| text(output, &detail))?;
    Ok(Outcome::Good)
}

fn detail(manifest: &Manifest, summary: BackupSummary) -> Detail<'_> {
    Detail {
        summary,
        database: manifest.database.as_ref().map(|database| Database {
            name: &database.name,
            application_role: &database.application_role,
            server_version: server_version(database.server_version),
            client_version: server_version(database.client_version),
            tables: database.tables,
            rows: database.rows,
            bytes: database.bytes,
            db_modified: database.db_modified.as_deref(),
        }),
        parts: manifest
            .files
            .iter()
            .map(|files| Directory {
                part: files.part,
                root: &files.root,
                entries: files.catalog.entries,
                files: files.files,
                bytes: files.bytes,
                excluded: &files.excluded,
            })
            .collect(),
        modules: &manifest.instance.modules,
        source_path: &manifest.instance.source_path,
        tool: &manifest.tool,
        format: manifest.format,
    }
}

/// The lines that `show` and `backup` have in common.
pub fn summary_text(summary: &BackupSummary) -> String {
    let mut fields = vec![
        ("Backup", summary.id.to_hex()),
        ("Status", status_text(summary.status, summary.pinned)),
        ("Type", summary.backup_type.to_string()),
    ];
    if let Some(label) = &summary.label {
        fields.push(("Label", safe(label)));
    }
    let openbravo = summary
        .openbravo_version
        .as_ref()
        .map_or_else(String::new, |version| {
            format!(", Openbravo {}", safe(version))
        });
    fields.extend([
        (
            "Instance",
            safe(&format!(
                "{} on {}{openbravo}",
                summary.instance, summary.host
            )),
        ),
        (
            "Taken",
            format!(
                "{} ({}), in {}",
                local_time(summary.finished_at),
                age(Utc::now(), summary.finished_at),
                duration(summary.duration_seconds)
            ),
        ),
        (
            "Database",
            if summary.contents.contains(&Part::Database) {
                size(summary.database_bytes)
            } else {
                "none".to_owned()
            },
        ),
        (
            "Files",
            format!(
                "{} in {}, {} of them read",
                size(summary.files_bytes),
                counted(summary.files, "file"),
                count(summary.files_read)
            ),
        ),
        (
            "New",
            format!(
                "{}, stored as {}",
                size(summary.new_bytes),
                size(summary.stored_bytes)
            ),
        ),
    ]);
    if let Some(drill) = &summary.drill {
        fields.push(("Drilled", drill_text(drill)));
    }
    let mut text = Output::fields(&fields);
    if let Some(drill) = &summary.drill {
        for failure in &drill.certificate.failures {
            let _ = writeln!(text, "Drill: {}", safe(failure));
        }
    }
    for warning in &summary.warnings {
        let _ = writeln!(text, "Warning: {}", safe(warning));
    }
    text
}

/// When and how it went: `2026-11-24 03:00:00 (2 days ago), passed in 41 s: …`
fn drill_text(drill: &LastDrill) -> String {
    let found = &drill.certificate;
    #[allow(clippy::cast_precision_loss)] // A drill does not last for 300,000 years.
    let seconds = found.duration_milliseconds as f64 / 1000.0;
    format!(
        "{} ({}), {} in {}: {} in {}, {}, {}, {}",
        local_time(drill.at),
        age(Utc::now(), drill.at),
        if found.passed { "passed" } else { "FAILED" },
        duration(seconds),
        counted(found.rows, "row"),
        counted(found.tables, "table"),
        counted(found.foreign_keys, "foreign key"),
        counted(found.files, "file"),
        counted(found.attachments, "attachment"),
    )
}

fn text(output: &Output, detail: &Detail) -> String {
    let mut text = summary_text(&detail.summary);
    let mut rows = Vec::new();
    if let Some(database) = &detail.database {
        rows.push(vec![
            Cell::new(Part::Database.word()),
            Cell::new(size(database.bytes)),
            Cell::new(counted(database.rows, "row")),
            Cell::new(safe(&format!(
                "{}, {}, PostgreSQL {}, role {}",
                database.name,
                counted(database.tables, "table"),
                database.server_version,
                database.application_role
            ))),
        ]);
    }
    rows.extend(detail.parts.iter().map(|files| {
        vec![
            Cell::new(files.part.word()),
            Cell::new(size(files.bytes)),
            Cell::new(counted(files.files, "file")),
            Cell::new(safe(&files.root.to_string())),
        ]
    }));
    text.push('\n');
    text.push_str(&output.table(&["PART", "SIZE", "CONTENT", "ORIGIN"], &[1, 2], rows));
    if output.verbose && !detail.modules.is_empty() {
        let rows = detail
            .modules
            .iter()
            .map(|module| {
                vec![
                    Cell::new(safe(&module.package)),
                    Cell::new(safe(&module.version)),
                ]
            })
            .collect();
        text.push('\n');
        text.push_str(&output.table(&["MODULE", "VERSION"], &[], rows));
    }
    text
}
