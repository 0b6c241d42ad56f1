//! What is told: one line, a plain text, and the same for programs.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Notice;
use crate::config::notify::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{BackupType, InstanceIdentity};
use crate::instance::history::RunReport;
use crate::wording::{counted, duration, size};

/// The version of the JSON document.
const SCHEMA: u32 = 1;

/// A notice in words.
#[derive(Debug, Clone)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// Some lines.
    pub text: String,
    document: serde_json::Value,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    event: Event,
    events: &'a [Event],
    at: DateTime<Utc>,
    subject: &'a str,
    text: &'a str,
    instance: Instance<'a>,
    run: Option<&'a RunReport>,
    next_run_at: Option<DateTime<Utc>>,
    tool: &'a str,
}

#[derive(Serialize)]
struct Instance<'a> {
    id: &'a str,
    name: &'a str,
    host: &'a str,
    source_path: &'a str,
}

impl Message {
    /// For whoever is told by `event`.
    pub fn new(event: Event, notice: &Notice) -> Self {
        let InstanceIdentity {
            id,
            name,
            host,
            source_path,
            ..
        } = &notice.instance;
        let subject = format!("[obbackup] {name} on {host}: {}", headline(event, notice));
        let subject = subject.replace(char::is_control, " ");
        let text = text(event, notice);
        let document = Document {
            schema: SCHEMA,
            event,
            events: &notice.events,
            at: notice.at,
            subject: &subject,
            text: &text,
            instance: Instance {
                id,
                name,
                host,
                source_path,
            },
            run: notice.report.as_ref(),
            next_run_at: notice.next_run,
            tool: env!("CARGO_PKG_VERSION"),
        };
        Self {
            document: serde_json::to_value(&document).unwrap_or_default(),
            subject,
            text,
        }
    }

    /// The document for programs.
    pub fn json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.document).map_err(|error| {
            Error::new(ErrorKind::Failure, "cannot write the message as JSON").source(error)
        })
    }
}

/// A few words.
fn headline(event: Event, notice: &Notice) -> String {
    let what = match notice.report.as_ref() {
        Some(report) if report.command == "backup" => {
            let kind = report.backup_type.map_or("", BackupType::word);
            format!("{kind} backup").trim().to_owned()
        }
        Some(report) if report.command == "copy" => "copying the backup".to_owned(),
        Some(report) => report.command.clone(),
        None => "backup".to_owned(),
    };
    if notice.events.contains(&Event::Recovered) && notice.events.contains(&Event::SpaceLow) {
        return "there is room for backups again".to_owned();
    }
    match event {
        Event::Started => format!("{what} begun"),
        Event::Succeeded => format!("{what} taken"),
        Event::Partial => format!("{what} is incomplete"),
        Event::Failed => format!("{what} failed"),
        Event::Recovered => format!("{what} works again"),
        Event::Missed if notice.events.contains(&Event::Succeeded) => {
            format!("{what} was late")
        }
        Event::Missed => format!("{what} was missed"),
        Event::SpaceLow => "the room for backups comes to its end".to_owned(),
        Event::NoGoodBackup => "no good backup for too long".to_owned(),
        Event::VerifyFailed => "stored backups are damaged".to_owned(),
        Event::Test => "test message".to_owned(),
    }
}

fn text(event: Event, notice: &Notice) -> String {
    let time = |moment: DateTime<Utc>| {
        moment
            .with_timezone(&notice.zone)
            .format("%Y-%m-%d %H:%M:%S %Z")
            .to_string()
    };
    let mut fields: Vec<(&str, String)> = Vec::new();
    let mut add = |name, value: String| fields.push((name, value));
    let report = notice.report.as_ref();
    if let Some(message) = report.and_then(|report| report.message.as_ref()) {
        add("What happened", message.clone());
    }
    let hint = report.and_then(|report| report.hint.as_ref());
    if let Some(advice) = notice.advice.as_ref().or(hint) {
        add("What to do", advice.clone());
    }
    if let Some(report) = report {
        if let Some(occasion) = &report.occasion {
            let due = format!("{}, due {}", occasion.schedule, time(occasion.due_at));
            add("Schedule", due);
        }
        add("Began", time(report.started_at));
        if event != Event::Started {
            let took = report.finished_at - report.started_at;
            #[allow(clippy::cast_precision_loss)] // Seconds of a run.
            add("Took", duration(took.num_milliseconds() as f64 / 1000.0));
        }
        add("Repository", report.repository.clone());
        if let Some(backup) = &report.backup {
            add("Backup", backup.short());
        }
        if let Some(cost) = &report.statistics {
            add("Database", size(cost.database_bytes));
            let files = counted(cost.files, "file");
            add("Files", format!("{} in {files}", size(cost.files_bytes)));
            let stored = size(cost.stored_bytes);
            add(
                "New",
                format!("{}, stored as {stored}", size(cost.new_bytes)),
            );
        }
        for warning in &report.warnings {
            add("Warning", warning.clone());
        }
    }
    if let Some(next) = notice.next_run {
        let utc = next.format("%H:%M UTC");
        add("Next run", format!("{} ({utc})", time(next)));
    }
    if let Some(report) = report.filter(|report| !report.id.is_empty()) {
        let place = &notice.instance.source_path;
        add(
            "Log",
            format!("obbackup log {} --instance {place}", report.id),
        );
    }
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let InstanceIdentity { name, host, .. } = &notice.instance;
    let mut text = format!("{name} on {host}: {}.\n", headline(event, notice));
    for note in &notice.notes {
        let _ = writeln!(text, "{note}");
    }
    text.push('\n');
    for (name, value) in fields {
        // Servers answer in several lines.
        let value = value.trim().replace('\n', &format!("\n{:width$}  ", ""));
        let _ = writeln!(text, "{name:<width$}  {value}");
    }
    let _ = write!(text, "\n-- \nobbackup {}\n", env!("CARGO_PKG_VERSION"));
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::manifest::Statistics;
    use crate::format::record::Occasion;
    use chrono::TimeDelta;

    /// About a scheduled backup.
    pub(in super::super) fn notice(events: &[Event]) -> Notice {
        let at = DateTime::from_timestamp(1_795_489_200, 0).unwrap();
        Notice {
            events: events.to_vec(),
            at,
            instance: InstanceIdentity {
                id: "abc".to_owned(),
                name: "openbravo".to_owned(),
                host: "erp1".to_owned(),
                source_path: "/opt/openbravo".to_owned(),
                holder: None,
                openbravo_version: None,
                modules: Vec::new(),
            },
            report: Some(RunReport {
                backup_type: Some(BackupType::Scheduled),
                occasion: Some(Occasion {
                    schedule: "nightly".to_owned(),
                    due_at: at,
                }),
                finished_at: at + TimeDelta::seconds(75),
                ..RunReport::ended(
                    "5f0c".to_owned(),
                    "backup",
                    "/mnt/backups",
                    "erp1",
                    at + TimeDelta::seconds(3),
                )
            }),
            notes: Vec::new(),
            advice: None,
            next_run: Some(at + TimeDelta::days(1)),
            zone: chrono_tz::Tz::Europe__Madrid,
        }
    }

    #[test]
    fn a_failure_says_what_happened_and_what_to_do() {
        let mut notice = notice(&[Event::Failed]);
        let report = notice.report.as_mut().unwrap();
        report.message = Some("cannot connect\nFATAL: no".to_owned());
        report.hint = Some("Start the server.".to_owned());
        let message = Message::new(Event::Failed, &notice);
        assert_eq!(
            message.subject,
            "[obbackup] openbravo on erp1: scheduled backup failed"
        );
        assert_eq!(
            message.text,
            "openbravo on erp1: scheduled backup failed.\n\n\
             What happened  cannot connect\n               FATAL: no\n\
             What to do     Start the server.\n\
             Schedule       nightly, due 2026-11-24 04:00:00 CET\n\
             Began          2026-11-24 04:00:03 CET\n\
             Took           1 min 12 s\n\
             Repository     /mnt/backups\n\
             Next run       2026-11-25 04:00:00 CET (03:00 UTC)\n\
             Log            obbackup log 5f0c --instance /opt/openbravo\n\n\
             -- \nobbackup 0.1.0\n"
        );
        let json: serde_json::Value = serde_json::from_slice(&message.json().unwrap()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["event"], "failed");
        assert_eq!(json["run"]["occasion"]["schedule"], "nightly");
        assert_eq!(json["text"], message.text);
    }

    #[test]
    fn sizes_are_told_and_a_subject_is_one_line() {
        let mut notice = notice(&[Event::Succeeded]);
        notice.instance.name = "open\r\nBcc: x".to_owned();
        notice.report.as_mut().unwrap().statistics = Some(Statistics {
            database_bytes: 1 << 30,
            files: 1234,
            files_bytes: 5 << 20,
            files_read: 1,
            new_bytes: 2048,
            stored_bytes: 1024,
        });
        let message = Message::new(Event::Succeeded, &notice);
        assert!(!message.subject.contains(['\r', '\n']));
        for line in [
            "Database    1.0 GiB",
            "Files       5.0 MiB in 1,234 files",
            "New         2.0 KiB, stored as 1.0 KiB",
        ] {
            assert!(message.text.contains(line), "{}", message.text);
        }
    }
}
