//! `verify`: whether the repository is sound.

use std::fmt::Write as _;

use comfy_table::{Cell, Color};
use serde::Serialize;

use obbackup::error::{ErrorKind, Result};
use obbackup::format::manifest::BackupId;
use obbackup::repository::verify::{Severity, Verification, VerifyOptions};

use crate::Outcome;
use crate::arguments::Verify;
use crate::drill;
use crate::output::{Output, counted, safe, size};
use crate::session::Session;

#[derive(Serialize)]
struct Document<'a> {
    sound: bool,
    read_data: bool,
    #[serde(flatten)]
    verification: &'a Verification,
}

pub fn run(session: &Session, arguments: &Verify) -> Result<Outcome> {
    if arguments.drill {
        return drill::run(session, arguments);
    }
    let repository = session.repository_itself()?;
    let backup = arguments
        .id
        .as_ref()
        .map(|id| session.resolve(&repository, id))
        .transpose()?;
    let options = VerifyOptions {
        read_data: arguments.read_data,
        backup: backup.map(|backup| backup.id),
        jobs: session.jobs()?,
    };
    let verification = session.work(|progress| repository.verify(&options, progress))?;
    let sound = verification.is_sound();
    let document = Document {
        sound,
        read_data: options.read_data,
        verification: &verification,
    };
    session
        .output
        .show(&document, |output| text(output, &document))?;
    Ok(if sound {
        Outcome::Good
    } else {
        Outcome::But(ErrorKind::Damaged)
    })
}

fn text(output: &Output, document: &Document) -> String {
    let seen = document.verification;
    let mut text = String::new();
    if !seen.findings.is_empty() {
        let rows = seen
            .findings
            .iter()
            .map(|finding| {
                let (word, color) = match finding.severity {
                    Severity::Note => ("note", Color::Yellow),
                    Severity::Damage => ("damage", Color::Red),
                };
                let backups: Vec<_> = finding.backups.iter().map(BackupId::short).collect();
                vec![
                    output.colored(word, color),
                    Cell::new(safe(&finding.object)),
                    Cell::new(safe(&finding.problem)),
                    Cell::new(backups.join(" ")),
                ]
            })
            .collect();
        text = output.table(&["SEVERITY", "OBJECT", "PROBLEM", "BACKUPS"], &[], rows);
        text.push('\n');
    }
    let how = if document.read_data {
        format!("{} read and proven", size(seen.read_bytes))
    } else {
        "names and lengths checked; --read-data reads every byte".to_owned()
    };
    let verdict = if document.sound {
        "The repository is sound"
    } else {
        "The repository is damaged"
    };
    let _ = writeln!(
        text,
        "{verdict}: {}, {}, {}; {how}.",
        counted(seen.backups, "backup"),
        counted(seen.packs, "pack"),
        counted(seen.chunks, "chunk")
    );
    text
}
