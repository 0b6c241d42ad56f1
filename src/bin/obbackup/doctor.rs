//! `doctor`: whether backups and restores can work here.

use comfy_table::{Cell, Color};
use serde::Serialize;

use obbackup::command::doctor::{Check, Examined, Health, doctor};
use obbackup::error::{ErrorKind, Result};

use crate::Outcome;
use crate::output::{Output, safe};
use crate::session::Session;

#[derive(Serialize)]
struct Document<'a> {
    healthy: bool,
    checks: &'a [Check],
}

pub fn run(session: &Session) -> Result<Outcome> {
    let instance = session.instance()?;
    let checks = doctor(&Examined {
        instance: &instance,
        configuration: &session.configuration()?,
        surroundings: &session.surroundings()?,
        repository: session.repository_itself(),
    });
    let worst = checks.iter().map(|check| check.result).max();
    let healthy = worst != Some(Health::Failure);
    let document = Document {
        healthy,
        checks: &checks,
    };
    session
        .output
        .show(&document, |output| text(output, &checks))?;
    Ok(match worst {
        Some(Health::Failure) => Outcome::But(ErrorKind::Failure),
        Some(Health::Warning) => Outcome::But(ErrorKind::Partial),
        Some(Health::Ok) | None => Outcome::Good,
    })
}

fn text(output: &Output, checks: &[Check]) -> String {
    let rows = checks
        .iter()
        .map(|check| {
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
        })
        .collect();
    let count = |health| checks.iter().filter(|check| check.result == health).count();
    let verdict = match (count(Health::Failure), count(Health::Warning)) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("Backups work; warnings: {warnings}."),
        (failures, _) => format!("Backups or restores would fail; failures: {failures}."),
    };
    format!(
        "{}\n{verdict}\n",
        output.table(&["", "CHECK", "FOUND"], &[], rows)
    )
}
