//! `delete`: one backup less.

use std::fmt::Write as _;

use obbackup::command::check_own;
use obbackup::command::delete::delete;
use obbackup::error::Result;

use crate::Outcome;
use crate::arguments::Delete;
use crate::output::{counted, local_time, safe, size};
use crate::session::Session;

pub fn run(session: &Session, arguments: &Delete) -> Result<Outcome> {
    let repository = session.repository()?;
    let backup = session.resolve(&repository, &arguments.id)?;
    if let Some(instance) = session.instance_if_any()? {
        check_own(&repository, &backup, &instance)?;
    }
    if !arguments.yes {
        let manifest = &backup.manifest;
        let label = manifest
            .label
            .as_ref()
            .map_or_else(String::new, |label| format!(" \"{label}\""));
        let question = format!(
            "Delete backup {}{} of {}, taken {}? Type yes: ",
            backup.id.short(),
            safe(&label),
            safe(&manifest.instance.name),
            local_time(manifest.finished_at)
        );
        session.confirm(&question, "yes")?;
    }
    let deleted = session.work(|progress| delete(&repository, &backup, progress))?;
    session.output.show(&deleted, |_| {
        let mut text = format!(
            "Deleted backup {}: {} given back in {}.\n",
            deleted.id.short(),
            size(deleted.freed_bytes),
            counted(deleted.packs, "pack")
        );
        if deleted.condemned_bytes > 0 {
            let waiting = size(deleted.condemned_bytes);
            let _ = writeln!(
                text,
                "{waiting} more come back with `obbackup prune`, when the grace is over."
            );
        }
        for note in &deleted.notes {
            let _ = writeln!(text, "Note: {}", safe(note));
        }
        text
    })?;
    Ok(Outcome::Good)
}
