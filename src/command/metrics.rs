//! What a monitoring system wants to know, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::forget::drills;
use super::space::{forecast, usable_bytes};
use crate::error::{Error, IoContext, Result};
use crate::format::manifest::{BackupType, Status};
use crate::format::record::MarkKind;
use crate::instance::Instance;
use crate::repository::Repository;
use crate::repository::backups::Backup;

/// One family of samples after another, each with its help and type.
struct Page {
    text: String,
    instance: String,
}

impl Page {
    /// `samples`: further labels, and the value. A family without samples is left out.
    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let _ = writeln!(self.text, "# HELP obbackup_{name} {help}");
        let _ = writeln!(self.text, "# TYPE obbackup_{name} {kind}");
        for (labels, value) in samples {
            let instance = &self.instance;
            let _ = writeln!(
                self.text,
                "obbackup_{name}{{instance_name=\"{instance}\"{labels}}} {value}"
            );
        }
    }

    fn gauge<V: Display>(&mut self, name: &str, help: &str, value: Option<V>) {
        self.family(
            name,
            "gauge",
            help,
            value.map(|value| (String::new(), value)),
        );
    }
}

/// A label's value, as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn label(name: &str, value: &str) -> String {
    format!(",{name}=\"{}\"", escaped(value))
}

/// Everything about the backups of `instance`, and the room for more.
pub fn metrics(instance: &Instance, repository: &Repository) -> Result<String> {
    let mut page = Page {
        text: String::new(),
        instance: escaped(&instance.name),
    };
    let found = repository.backups()?;
    let own: Vec<&Backup> = found
        .backups
        .iter()
        .filter(|backup| backup.manifest.instance.id == instance.id)
        .collect();
    let is_good = |backup: &&&Backup| backup.manifest.status == Status::Good;
    let last_of = |kind: BackupType| {
        let mut good = own.iter().filter(is_good);
        good.find(|backup| backup.manifest.backup_type == kind)
    };
    page.family(
        "last_success_timestamp_seconds",
        "gauge",
        "When the last good backup was finished.",
        BackupType::ALL.iter().filter_map(|kind| {
            let at = last_of(*kind)?.manifest.finished_at;
            Some((label("type", kind.word()), at.timestamp()))
        }),
    );
    page.family(
        "backups",
        "gauge",
        "Backups that are listed.",
        Status::ALL.iter().map(|status| {
            let count = own
                .iter()
                .filter(|backup| backup.manifest.status == *status)
                .count();
            (label("status", status.word()), count)
        }),
    );
    last_backup(
        &mut page,
        own.iter().find(|backup| is_good(backup)).copied(),
    );
    runs(&mut page, instance, repository)?;
    proofs(&mut page, &own, repository)?;
    room(&mut page, &found.backups, repository)?;
    Ok(page.text)
}

fn last_backup(page: &mut Page, last: Option<&Backup>) {
    let manifest = last.map(|backup| &backup.manifest);
    let seconds = manifest.map(|it| (it.finished_at - it.started_at).as_seconds_f64());
    page.gauge(
        "last_backup_duration_seconds",
        "How long the last good backup took.",
        seconds,
    );
    let statistics = manifest.map(|manifest| manifest.statistics);
    for (name, help, bytes) in [
        (
            "last_backup_database_bytes",
            "Bytes of the database in the last good backup.",
            statistics.map(|statistics| statistics.database_bytes),
        ),
        (
            "last_backup_files_bytes",
            "Bytes of the files in the last good backup.",
            statistics.map(|statistics| statistics.files_bytes),
        ),
        (
            "last_backup_new_bytes",
            "Bytes that were new in the last good backup.",
            statistics.map(|statistics| statistics.new_bytes),
        ),
        (
            "last_backup_stored_bytes",
            "Bytes that the last good backup added to the repository.",
            statistics.map(|statistics| statistics.stored_bytes),
        ),
    ] {
        page.gauge(name, help, bytes);
    }
}

fn runs(page: &mut Page, instance: &Instance, repository: &Repository) -> Result<()> {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for run in repository.runs(DateTime::<Utc>::UNIX_EPOCH)? {
        if run.instance == instance.id {
            *counts.entry((run.command, run.outcome)).or_default() += 1;
        }
    }
    page.family(
        "runs_total",
        "counter",
        "Runs that the repository has a record of, by how they ended.",
        counts.into_iter().map(|((command, outcome), count)| {
            (
                label("command", &command) + &label("outcome", &outcome),
                count,
            )
        }),
    );
    Ok(())
}

fn proofs(page: &mut Page, own: &[&Backup], repository: &Repository) -> Result<()> {
    let marks = repository.marks()?;
    let verified = own
        .iter()
        .filter_map(|backup| marks.get(&backup.id))
        .flatten()
        .filter(|mark| mark.kind == MarkKind::Verified)
        .map(|mark| mark.at.timestamp())
        .max();
    page.gauge(
        "last_verified_timestamp_seconds",
        "When all data of a backup was last read and proven.",
        verified,
    );
    let drills = drills(repository)?;
    let passed = own
        .iter()
        .filter_map(|backup| drills.get(&backup.id))
        .filter(|(_, passed)| *passed)
        .map(|(at, _)| at.timestamp())
        .max();
    page.gauge(
        "last_drill_timestamp_seconds",
        "When a test restore last passed.",
        passed,
    );
    Ok(())
}

fn room(page: &mut Page, backups: &[Backup], repository: &Repository) -> Result<()> {
    let storage = repository.storage();
    let objects = storage.list("")?;
    let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
    page.gauge(
        "repository_bytes",
        "Bytes of all objects of the repository.",
        Some(bytes),
    );
    let Some(space) = storage.space()? else {
        return Ok(());
    };
    page.gauge(
        "device_total_bytes",
        "Size of the repository's device.",
        Some(space.total_bytes),
    );
    page.gauge(
        "device_free_bytes",
        "Bytes that can still be written on it.",
        Some(space.free_bytes),
    );
    page.gauge(
        "device_free_inodes",
        "Files that can still be made on it.",
        space.free_inodes,
    );
    let ahead = forecast(backups, usable_bytes(&space));
    page.gauge(
        "room_for_backups",
        "How many more backups like the last ones fit.",
        ahead.map(|ahead| ahead.room_for_backups),
    );
    page.gauge(
        "device_full_timestamp_seconds",
        "When the device will be full if nothing is forgotten.",
        ahead
            .and_then(|ahead| ahead.full_at)
            .map(|at| at.timestamp()),
    );
    Ok(())
}

/// Puts `text` at `path` in one step, readable by everybody: the collector must never see half of it.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".obbackup-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .io_context(failed)
        .map_err(|error| {
            error
                .misnamed()
                .hint("Name a file in a directory that is there, and that this user may write to.")
        })?;
    temporary.write_all(text.as_bytes()).io_context(failed)?;
    temporary
        .persist(path)
        .map(|_| ())
        .map_err(|error| Error::io(failed(), error.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_empty_families_left_out() {
        let mut page = Page {
            text: String::new(),
            instance: escaped("a\"b\\c\nd"),
        };
        page.gauge::<u64>("nothing", "x", None);
        page.gauge("free_bytes", "Free.", Some(3));
        assert_eq!(
            page.text,
            "# HELP obbackup_free_bytes Free.\n# TYPE obbackup_free_bytes gauge\n\
             obbackup_free_bytes{instance_name=\"a\\\"b\\\\c\\nd\"} 3\n"
        );
    }
}
