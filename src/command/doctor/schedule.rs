//! Whether the schedules are really run: by which process, by a service that comes back with the machine, or by cron.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, Examined};
use crate::command::nights::{self, RunnerProcess};
use crate::command::service;
use crate::error::Result;
use crate::schedule::Schedule;
use crate::schedule::due::{Decision, decide};
use crate::schedule::ledger::Ledger;
use crate::tomcat::systemd::State;

const NAME: &str = "schedule";
/// A run that begins so much later is late: crontabs look every five minutes, and other work is waited for.
const LATE: TimeDelta = TimeDelta::minutes(20);
/// Where lines of crontabs stand besides each user's own.
const CRONTABS: &[&str] = &["/etc/crontab", "/etc/cron.d"];

/// What is known of who runs the schedules.
#[derive(Debug, Default)]
struct Found {
    /// Schedules that are enabled.
    enabled: usize,
    /// The next run.
    next: Option<(String, DateTime<Utc>)>,
    /// One that should have begun.
    overdue: Option<(String, DateTime<Utc>)>,
    runner: Option<RunnerProcess>,
    /// The unit, and how systemd has it; absent where there is no such unit.
    service: Option<(String, State)>,
    crontab: Option<Crontab>,
}

/// A line of a crontab.
#[derive(Debug)]
struct Crontab {
    place: String,
    /// Whether anything reads crontabs here.
    has_daemon: bool,
}

/// One line for all of them.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let looked = nights::schedules(examined.configuration, examined.zone)
        .and_then(|schedules| look(examined, &schedules));
    vec![match looked {
        Ok(Some(found)) => judge(&found),
        Ok(None) => Check::ok(NAME, "there is none: backups are taken when somebody asks")
            .remedy("For a backup every night: obbackup schedule set nightly --cron '0 3 * * *'"),
        Err(error) => Check::failed(NAME, &error),
    }]
}

fn look(examined: &Examined<'_>, schedules: &[Schedule]) -> Result<Option<Found>> {
    if schedules.is_empty() {
        return Ok(None);
    }
    let instance = examined.instance;
    let now = Utc::now();
    let enabled = || schedules.iter().filter(|schedule| schedule.is_enabled);
    let coming = enabled().filter_map(|schedule| {
        let next = schedule.coming(&instance.id, now, 1).into_iter().next()?;
        Some((schedule.name.clone(), next.starts_at))
    });
    let unit = service::unit_name(&instance.name);
    let runner = nights::runner(instance)?;
    Ok(Some(Found {
        enabled: enabled().count(),
        next: coming.min_by_key(|(_, at)| *at),
        overdue: overdue(examined, enabled(), now)?,
        service: examined
            .systemd
            .as_ref()
            .and_then(|systemd| Some((unit.clone(), systemd.state(&unit)?))),
        // Whoever runs them is known then.
        crontab: if runner.is_none() {
            crontab(examined)
        } else {
            None
        },
        runner,
    }))
}

/// A run that should have begun some time ago, though nobody works on the repository and none is to be tried again.
fn overdue<'a>(
    examined: &Examined<'_>,
    mut enabled: impl Iterator<Item = &'a Schedule>,
    now: DateTime<Utc>,
) -> Result<Option<(String, DateTime<Utc>)>> {
    let Some(state) = examined.instance.state_if_any() else {
        return Ok(None);
    };
    let bytes = state.read(Ledger::FILE)?.unwrap_or_default();
    let mut ledger = Ledger::parse(&bytes);
    let late = enabled.find_map(|schedule| {
        let (handled, _) = ledger.handled(schedule, now);
        match decide(schedule, &examined.instance.id, handled, now) {
            Decision::Run(due)
                if now - due.starts_at > LATE && ledger.failed(schedule, due.due_at).is_none() =>
            {
                Some((schedule.name.clone(), due.starts_at))
            }
            _ => None,
        }
    });
    let is_busy = || {
        let repository = examined.repository.as_ref();
        repository.is_ok_and(|one| one.leases().is_ok_and(|leases| !leases.is_empty()))
    };
    Ok(late.filter(|_| !is_busy()))
}

fn judge(found: &Found) -> Check {
    if found.enabled == 0 {
        return Check::warning(
            NAME,
            "all schedules are disabled: no backup is taken by itself",
        )
        .remedy("obbackup schedule set NAME --enable");
    }
    let minute = |at: &DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let next = found
        .next
        .as_ref()
        .map(|(name, at)| format!("; next: {name}, {}", minute(at)));
    let next = next.unwrap_or_default();
    let late = found
        .overdue
        .as_ref()
        .map(|(name, at)| format!("{name} should have begun at {} and did not", minute(at)));
    match (&found.runner, &found.service, &found.crontab) {
        (Some(runner), service, _) => {
            let who = format!("run by {runner}");
            if let Some(late) = late {
                return Check::warning(NAME, format!("{who}, but {late}"))
                    .remedy("Look at what it does: obbackup log");
            }
            match service {
                Some((unit, state)) if !state.is_enabled => {
                    let what = format!(
                        "{who}, but {unit} is not enabled: it would not come back with the machine"
                    );
                    Check::warning(NAME, what).remedy(format!("systemctl enable {unit}"))
                }
                _ => Check::ok(NAME, format!("{who}{next}")),
            }
        }
        (None, Some((unit, state)), _) if state.is_active => {
            let what = format!("{unit} is active, but runs no schedules of this instance");
            Check::failure(NAME, what).remedy(format!(
                "See journalctl --unit {unit}; obbackup schedule install writes it anew."
            ))
        }
        (None, _, Some(crontab)) if !crontab.has_daemon => Check::warning(
            NAME,
            format!(
                "{} has a line for them, but no cron runs here",
                crontab.place
            ),
        )
        .remedy("Start cron."),
        (None, _, Some(crontab)) => match late {
            Some(late) => Check::failure(NAME, format!("by {}, but {late}", crontab.place))
                .remedy("Run that line by hand as its user, and see what cron says of it."),
            None => Check::ok(NAME, format!("by {}{next}", crontab.place)),
        },
        (None, Some((unit, _)), None) => Check::failure(
            NAME,
            format!("{unit} does not run: no backup is taken by itself"),
        )
        .remedy(format!("systemctl enable --now {unit}")),
        (None, None, None) => Check::failure(
            NAME,
            "nothing runs the schedules here: no backup is taken by itself",
        )
        .remedy("`obbackup schedule install`, or start the web application that runs them."),
    }
}

/// A line that runs the schedules of this instance, in the crontab of its owner or in the system's.
fn crontab(examined: &Examined<'_>) -> Option<Crontab> {
    let instance = examined.instance;
    let is_ours = |text: &str| {
        let place = instance.source_path.to_string_lossy();
        text.lines().any(|line| {
            let line = line.trim_start().replace("\\%", "%");
            !line.starts_with('#') && line.contains("schedule run") && names(&line, &place)
        })
    };
    let user = service::user_of(instance.owner).ok()?;
    let directories = &examined.surroundings.program_directories;
    let own = directories
        .iter()
        .map(|directory| directory.join("crontab"))
        .find(|program| program.is_file())
        .and_then(|program| listed(&program, &user));
    let place = if own.is_some_and(|text| is_ours(&text)) {
        format!("the crontab of {user}")
    } else {
        let files = CRONTABS.iter().flat_map(|place| files(Path::new(place)));
        let file = files
            .into_iter()
            .find(|file| fs::read_to_string(file).is_ok_and(|text| is_ours(&text)))?;
        file.display().to_string()
    };
    Some(Crontab {
        place,
        has_daemon: has_daemon(),
    })
}

/// Whether a line names a directory or something in it, and not one whose name only begins like that.
fn names(line: &str, place: &str) -> bool {
    let ends = |rest: &str| {
        let next = rest.chars().next();
        next.is_none_or(|next| next.is_whitespace() || "/'\"".contains(next))
    };
    line.split(place).skip(1).any(ends)
}

fn listed(program: &Path, user: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("-l");
    // Only root may look at another's, and what one's own is called needs no name.
    if rustix::process::geteuid().is_root() {
        command.args(["-u", user]);
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// The file, or those of the directory.
fn files(place: &Path) -> Vec<PathBuf> {
    match fs::read_dir(place) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => vec![place.to_owned()],
    }
}

fn has_daemon() -> bool {
    const DAEMONS: &[&str] = &["cron", "crond", "fcron", "cronie"];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("comm")).ok())
        .any(|name| DAEMONS.contains(&name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::Health;

    fn runner() -> RunnerProcess {
        RunnerProcess {
            pid: 712,
            program: "java".to_owned(),
        }
    }

    fn service(is_active: bool, is_enabled: bool) -> (String, State) {
        let state = State {
            is_active,
            is_enabled,
        };
        ("obbackup-x.service".to_owned(), state)
    }

    fn crontab(has_daemon: bool) -> Crontab {
        Crontab {
            place: "the crontab of erp".to_owned(),
            has_daemon,
        }
    }

    #[test]
    fn a_directory_is_not_another_that_begins_like_it() {
        for (line, named) in [
            ("obbackup schedule run --instance /opt/ob --once", true),
            ("obbackup schedule run --instance '/opt/ob'", true),
            (
                "obbackup schedule run --config /opt/ob/config/obbackup.toml",
                true,
            ),
            (
                "obbackup schedule run --instance /opt/ob-test --once",
                false,
            ),
        ] {
            assert_eq!(names(line, "/opt/ob"), named, "{line}");
        }
    }

    #[test]
    fn who_runs_the_schedules_decides() {
        type Change<'a> = &'a dyn Fn(&mut Found);
        let late = || Some(("nightly".to_owned(), DateTime::UNIX_EPOCH));
        let found = |change: &dyn Fn(&mut Found)| {
            let mut found = Found {
                enabled: 1,
                ..Found::default()
            };
            change(&mut found);
            judge(&found)
        };
        let cases: [(Change<'_>, Health, &str); 11] = [
            (&|found| found.enabled = 0, Health::Warning, "disabled"),
            (&|_| {}, Health::Failure, "nothing runs the schedules"),
            (
                &|found| found.runner = Some(runner()),
                Health::Ok,
                "the web application (process 712)",
            ),
            (
                &|found| (found.runner, found.overdue) = (Some(runner()), late()),
                Health::Warning,
                "should have begun at 1970-01-01 00:00 UTC",
            ),
            (
                &|found| {
                    (found.runner, found.service) = (Some(runner()), Some(service(true, false)));
                },
                Health::Warning,
                "not enabled",
            ),
            (
                &|found| {
                    (found.runner, found.service) = (Some(runner()), Some(service(true, true)));
                },
                Health::Ok,
                "run by",
            ),
            (
                &|found| found.service = Some(service(true, true)),
                Health::Failure,
                "is active, but runs no schedules",
            ),
            (
                &|found| found.service = Some(service(false, true)),
                Health::Failure,
                "does not run",
            ),
            (
                &|found| found.crontab = Some(crontab(true)),
                Health::Ok,
                "the crontab of erp",
            ),
            (
                &|found| found.crontab = Some(crontab(false)),
                Health::Warning,
                "no cron runs here",
            ),
            (
                &|found| (found.crontab, found.overdue) = (Some(crontab(true)), late()),
                Health::Failure,
                "and did not",
            ),
        ];
        for (change, result, words) in cases {
            let check = found(change);
            assert_eq!(check.result, result, "{words}: {check:?}");
            assert!(check.found.contains(words), "{check:?}");
            assert_eq!(check.remedy.is_none(), result == Health::Ok, "{check:?}");
        }
    }
}
