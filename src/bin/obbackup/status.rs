//! `status`: the restore that runs, or the last one, and the last runs; `--follow` the restore until it ends.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::thread;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use obbackup::command::status::{StatusReport, restore, status};
use obbackup::error::{ErrorKind, Result};
use obbackup::job::{Outcome as Ended, Stage, Status as Restore, Verb, Verdict};

use crate::Outcome;
use crate::log::runs_text;
use crate::output::{Output, duration, local_time, safe, size};
use crate::session::Session;

const INTERVAL: Duration = Duration::from_millis(500);

/// Show the restore that is running, or the last one, and the last runs
///
/// Also the states before restores that are kept, and until when. Of each run when it began, how long it took, how it
/// ended, and what the backup holds, added and stored; `obbackup log RUN` shows its log. With --follow only the restore,
/// until it ends; the exit code is then the restore's own: 0 when it is restored, 16 when everything was put back, 17
/// when somebody has to act.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup status
  obbackup status --follow
  obbackup status --json")]
pub struct Status {
    /// Go on until it ends, and end with its exit code
    #[arg(long)]
    pub follow: bool,
}

pub fn run(session: &Session, arguments: &Status) -> Result<Outcome> {
    let instance = session.instance()?;
    if !arguments.follow {
        let report = status(&instance, session.restore_section()?.keeps_old())?;
        session.output.show(&report, |output| {
            text(&report) + &old_states(&report) + &runs(output, &report)
        })?;
        return Ok(Outcome::Good);
    }
    let mut report = restore(&instance)?;
    let line =
        (!session.global.json && std::io::stderr().is_terminal()).then(ProgressBar::new_spinner);
    let mut last = None;
    while report.is_running() {
        if let Some(restore) = &report.restore {
            let now = progress(restore);
            match &line {
                Some(line) => {
                    line.set_message(now);
                    line.tick();
                }
                // Into a pipe only what is new.
                None if last.as_ref() != Some(&now) && session.global.json => {
                    session.output.show(&report, |_| String::new())?;
                    last = Some(now);
                }
                None if last.as_ref() != Some(&now) => {
                    crate::output::print(&format!("{now}\n"))?;
                    last = Some(now);
                }
                None => {}
            }
        }
        thread::sleep(INTERVAL);
        report = restore(&instance)?;
    }
    if let Some(line) = line {
        line.finish_and_clear();
    }
    session.output.show(&report, |_| text(&report))?;
    let code = report
        .restore
        .and_then(|restore| restore.outcome)
        .map_or(0, |outcome| outcome.exit_code);
    Ok(match ErrorKind::of_exit_code(code) {
        None => Outcome::Good,
        Some(kind) => Outcome::But(kind),
    })
}

fn old_states(report: &StatusReport) -> String {
    let states = report.old_states.iter().flatten().enumerate();
    let fields: Vec<_> = states
        .map(|(at, old)| {
            let back = if at == 0 && old.state.can_come_back() {
                "; `obbackup undo` brings it back"
            } else {
                ""
            };
            let text = format!(
                "replaced {}, kept until {}{back}",
                local_time(old.state.at),
                local_time(old.expires_at)
            );
            ("Old state", text)
        })
        .collect();
    if fields.is_empty() {
        return String::new();
    }
    format!("\n{}", Output::fields(&fields))
}

fn runs(output: &Output, report: &StatusReport) -> String {
    let Some(runs) = &report.runs else {
        return String::new();
    };
    let Some(first) = runs.first() else {
        return "\nNothing has been run here yet.\n".to_owned();
    };
    format!(
        "\n{}\nThe log of a run: obbackup log {}\n",
        runs_text(output, runs),
        first.id.get(..8).unwrap_or(&first.id)
    )
}

/// One line: `42 %  Preparing the restored state: database, 1.2 GiB of 3.0 GiB, about 2 min left`.
fn progress(restore: &Restore) -> String {
    let mut line = format!("{:>3} %  {}", restore.percent, restore.stage.title());
    if let Some(activity) = &restore.activity {
        let _ = write!(line, ": {}", safe(activity));
    }
    if let Some(total) = restore.total_bytes {
        let _ = write!(line, ", {} of {}", size(restore.done_bytes), size(total));
    }
    if let Some(rate) = restore.bytes_per_second {
        let _ = write!(line, ", {}/s", size(rate));
    }
    if let Some(seconds) = restore.seconds_left {
        // So long a time fits in any number.
        #[allow(clippy::cast_precision_loss)]
        let left = duration(seconds as f64);
        let _ = write!(line, ", about {left} left");
    }
    if restore.put_back.is_some() {
        line.push_str(" (putting back)");
    }
    line
}

fn text(report: &StatusReport) -> String {
    let Some(restore) = &report.restore else {
        return "No restore in place has been run here.\n".to_owned();
    };
    let about = &restore.about;
    let label = about
        .label
        .as_ref()
        .map_or_else(String::new, |label| format!(" ({})", safe(label)));
    let mut fields = vec![
        (
            match about.verb {
                Verb::Restore => "Restore",
                Verb::Undo => "Undo",
            },
            match &restore.outcome {
                None => progress(restore).trim_start().to_owned(),
                Some(outcome) => verdict(restore, outcome).to_owned(),
            },
        ),
        (
            "Of",
            format!(
                "{}{label}, of {}",
                about.state(),
                local_time(about.taken_at)
            ),
        ),
        ("Begun", local_time(restore.started_at)),
    ];
    if let Some(port) = restore.page_port.filter(|_| restore.outcome.is_none()) {
        fields.push(("Page", format!("on port {port}")));
    }
    if let Some(at) = restore.finished_at {
        fields.push(("Ended", local_time(at)));
    }
    if let Some(put_back) = &restore.put_back {
        fields.push(("Because", safe(&put_back.because)));
    }
    if let Some(outcome) = restore
        .outcome
        .as_ref()
        .filter(|outcome| outcome.exit_code != 0)
    {
        fields.push(("Message", safe(&outcome.message)));
        fields.extend(outcome.hint.as_ref().map(|hint| ("What to do", safe(hint))));
    }
    let mut text = Output::fields(&fields);
    for warning in &restore.warnings {
        let _ = writeln!(text, "Warning: {}", safe(warning));
    }
    text
}

fn verdict(restore: &Restore, outcome: &Ended) -> &'static str {
    // Where nothing is known of the application, it is not asked.
    let was_asked = restore
        .timings
        .iter()
        .any(|timing| timing.stage == Stage::Probing);
    match outcome.verdict {
        Verdict::Restored if was_asked => "done; the application answers",
        Verdict::Restored => "done",
        Verdict::PutBack => "failed; everything is as it was before",
        Verdict::ActionNeeded => "failed; somebody has to act",
        Verdict::NothingChanged => "ended before anything was replaced",
    }
}
