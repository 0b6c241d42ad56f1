//! `verify`: whether the repository is sound.

use std::fmt::Write as _;

use comfy_table::{Cell, Color};
use obbackup::command::runs::Books;
use obbackup::command::verify::{Verified, verify};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::manifest::BackupId;
use obbackup::repository::verify::{Severity, VerifyOptions};

use crate::Outcome;
use crate::arguments::Verify;
use crate::drill;
use crate::output::{Output, counted, safe, size};
use crate::session::{Session, zone};

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
    let verified = session.work(|progress| verify(&repository, &options, progress))?;
    session
        .output
        .show(&verified, |output| text(output, &verified))?;
    let Some(damage) = verified.damage() else {
        return Ok(Outcome::Good);
    };
    tell(session, &damage, &repository.storage().location())?;
    Ok(Outcome::But(ErrorKind::Damaged))
}

/// Tells whom it concerns, where there is an instance that says who that is.
fn tell(session: &Session, damage: &Error, place: &str) -> Result<()> {
    let Some(instance) = session.instance_if_any()? else {
        return Ok(());
    };
    let configuration = session.configuration()?;
    match Books::open(&instance, &configuration, zone()) {
        Ok(books) => session.work_unseen(|progress| {
            books.verify_failed(place, damage, progress);
            Ok(())
        }),
        Err(error) => {
            session.warn(&format!("nobody is told of the damage: {error}"));
            Ok(())
        }
    }
}

fn text(output: &Output, verified: &Verified) -> String {
    let seen = &verified.verification;
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
    let how = if verified.read_data {
        format!("{} read and proven", size(seen.read_bytes))
    } else {
        "names and lengths checked; --read-data reads every byte".to_owned()
    };
    let verdict = if verified.sound {
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
