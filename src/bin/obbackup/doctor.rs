//! `doctor`: whether backups and restores can work here.

use std::path::PathBuf;

use comfy_table::{Cell, Color};
use obbackup::command::doctor::{Check, Diagnosis, Examined, Health, doctor};
use obbackup::error::{ErrorKind, Result};
use obbackup::instance::Instance;
use obbackup::page::{self, Snippet};
use obbackup::tomcat::Tomcat;
use obbackup::tomcat::systemd::Systemd;
use serde::Serialize;

use crate::Outcome;
use crate::arguments::Doctor;
use crate::output::{Output, safe};
use crate::session::{Session, zone};

#[derive(Serialize)]
struct Snippets {
    status_file: PathBuf,
    snippets: Vec<Snippet>,
}

pub fn run(session: &Session, arguments: &Doctor) -> Result<Outcome> {
    let instance = session.instance()?;
    if arguments.proxy_snippets {
        return proxy_snippets(session, &instance);
    }
    let diagnosis = Diagnosis::of(doctor(&Examined {
        instance: &instance,
        configuration: &session.configuration()?,
        surroundings: &session.surroundings()?,
        repository: session.repository_itself(),
        tomcat: session.tomcat(&instance),
        systemd: Systemd::running(),
        zone: zone(),
    }));
    session
        .output
        .show(&diagnosis, |output| text(output, &diagnosis.checks))?;
    let worst = diagnosis.checks.iter().map(|check| check.result).max();
    Ok(match worst {
        Some(Health::Failure) => Outcome::But(ErrorKind::Failure),
        Some(Health::Warning) => Outcome::But(ErrorKind::Partial),
        Some(Health::Ok) | None => Outcome::Good,
    })
}

fn proxy_snippets(session: &Session, instance: &Instance) -> Result<Outcome> {
    let tomcat = session.tomcat(instance)?;
    let file = session.status_files(instance)?.page;
    let context_path = tomcat.as_ref().map_or_else(
        || format!("/{}", instance.context_name),
        |tomcat| tomcat.context_path().to_owned(),
    );
    let document = Snippets {
        snippets: page::snippets(
            &file,
            &context_path,
            tomcat.as_ref().map(Tomcat::connectors).unwrap_or_default(),
        ),
        status_file: file,
    };
    session.output.show(&document, |_| {
        document
            .snippets
            .iter()
            .map(|snippet| {
                format!(
                    "## {}: {}\n\n{}",
                    snippet.server, snippet.place, snippet.text
                )
            })
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    Ok(Outcome::Good)
}

fn text(output: &Output, checks: &[Check]) -> String {
    let rows = checks
        .iter()
        .map(|check| check_row(output, check))
        .collect();
    let count = |health| checks.iter().filter(|check| check.result == health).count();
    let verdict = match (count(Health::Failure), count(Health::Warning)) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("Nothing would fail; warnings: {warnings}."),
        (failures, _) => format!("Backups or restores would fail; failures: {failures}."),
    };
    format!(
        "{}\n{verdict}\n",
        output.table(&["", "CHECK", "FOUND"], &[], rows)
    )
}

/// A line of a table: how it is, what was looked at, what was found.
pub fn check_row(output: &Output, check: &Check) -> Vec<Cell> {
    let (word, color) = match check.result {
        Health::Ok => ("ok", Color::Green),
        Health::Warning => ("warning", Color::Yellow),
        Health::Failure => ("failure", Color::Red),
    };
    let mut found = safe(&check.found);
    if let Some(remedy) = &check.remedy {
        found.push('\n');
        found.push_str(&safe(remedy));
    }
    vec![
        output.colored(word, color),
        Cell::new(safe(&check.name)),
        Cell::new(found),
    ]
}
