//! `log`: what happened, in all runs or in one.

use std::fmt::Write as _;

use clap::Args;
use comfy_table::{Cell, Color};
use serde::Serialize;

use obbackup::command::runs::{self, Books};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::manifest::Statistics;
use obbackup::instance::history::RunReport;
use obbackup::log::{Level, Line};

use crate::Outcome;
use crate::output::{Output, counted, duration, local_minute, local_time, safe, size};
use crate::session::{Session, zone};

/// No run has more lines.
const ALL: usize = 100_000;

/// Show the last runs, the log, or the log of one run
///
/// Without RUN the last lines of the log; with one how that run ended, and its lines. `--runs` lists the last
/// runs with their ids, also those that failed and, where the repository can be reached, those of other nodes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup log
  obbackup log --runs
  obbackup log 5f0c92d1
  obbackup log --lines 500 --json")]
pub struct Log {
    /// The first digits of a run's id, at least four
    #[arg(conflicts_with = "runs")]
    pub run: Option<String>,

    /// List runs instead of lines
    #[arg(long)]
    pub runs: bool,

    /// At most so many lines, or runs
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub lines: usize,
}

#[derive(Serialize)]
struct Document {
    run: Option<RunReport>,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Runs {
    runs: Vec<RunReport>,
}

pub fn run(session: &Session, arguments: &Log) -> Result<Outcome> {
    let instance = session.instance()?;
    let configuration = session.configuration()?;
    let books = Books::open(&instance, &configuration, zone())?;
    if arguments.runs {
        let repository = session.repository();
        if let Err(error) = &repository {
            session.warn(&format!("runs of other nodes are not shown: {error}"));
        }
        let both = repository
            .as_ref()
            .ok()
            .map(|repository| (repository, &instance));
        let runs = Runs {
            runs: runs::recent(books.state(), both, arguments.lines)?,
        };
        session
            .output
            .show(&runs, |output| runs_text(output, &runs.runs))?;
        return Ok(Outcome::Good);
    }
    let document = match &arguments.run {
        None => Document {
            run: None,
            lines: books.log().lines(arguments.lines, |_| true)?,
        },
        Some(id) => of_run(&books, id)?,
    };
    session
        .output
        .show(&document, |output| text(output, &document))?;
    Ok(Outcome::Good)
}

fn of_run(books: &Books<'_>, id: &str) -> Result<Document> {
    if id.len() < 4 {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{}` is too short for the id of a run", id.escape_debug()),
        )
        .hint("Give at least four digits of an id that `obbackup log --runs` shows."));
    }
    let mut found = books
        .state()
        .history(2, |report| report.id.starts_with(id))?;
    found.dedup_by(|one, other| one.id == other.id);
    if found.len() > 1 {
        return Err(
            Error::new(ErrorKind::Usage, format!("`{id}` names several runs"))
                .hint("Give more digits of the id."),
        );
    }
    let run = found.pop();
    // One that is still at work has lines, and no report yet.
    let is_of_run = |line: &Line| line.run.as_ref().is_some_and(|run| run.starts_with(id));
    let lines = books.log().lines(ALL, is_of_run)?;
    if run.is_none() && lines.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no run `{}`", id.escape_debug()),
        )
        .hint(
            "`obbackup log --runs` shows the last ones; those of other nodes have their log there.",
        ));
    }
    Ok(Document { run, lines })
}

fn text(output: &Output, document: &Document) -> String {
    let mut text = document.run.as_ref().map(report_text).unwrap_or_default();
    for line in &document.lines {
        let level = match line.level {
            Level::Info => "",
            Level::Warning => "warning: ",
            Level::Error => "error: ",
        };
        let place = match (&line.schedule, output.verbose) {
            (Some(schedule), true) => format!("{} {schedule}", line.command),
            _ => line.command.clone(),
        };
        let _ = writeln!(
            text,
            "{}  {}  {place}  {level}{}",
            local_time(line.at),
            line.run
                .as_deref()
                .map_or("-", |run| run.get(..8).unwrap_or(run)),
            safe(&line.message)
        );
    }
    text
}

fn report_text(report: &RunReport) -> String {
    let mut fields = vec![
        ("Run", report.id.clone()),
        ("Outcome", outcome(report)),
        ("Began", local_time(report.started_at)),
        ("Took", duration(seconds(report))),
        ("Repository", safe(&report.repository)),
        ("Host", safe(&report.host)),
    ];
    if let Some(occasion) = &report.occasion {
        let due = local_time(occasion.due_at);
        fields.push((
            "Schedule",
            format!("{}, due {due}", safe(&occasion.schedule)),
        ));
    }
    if let Some(backup) = &report.backup {
        fields.push(("Backup", backup.to_hex()));
    }
    if let Some(cost) = &report.statistics {
        let files = counted(cost.files, "file");
        fields.push(("Database", size(cost.database_bytes)));
        fields.push(("Files", format!("{} in {files}", size(cost.files_bytes))));
        let stored = size(cost.stored_bytes);
        fields.push((
            "New",
            format!("{}, stored as {stored}", size(cost.new_bytes)),
        ));
    }
    for (name, value) in [("Message", &report.message), ("Hint", &report.hint)] {
        fields.extend(value.as_ref().map(|value| (name, safe(value))));
    }
    Output::fields(&fields) + "\n"
}

fn seconds(report: &RunReport) -> f64 {
    #[allow(clippy::cast_precision_loss)] // Seconds of a run.
    let seconds = (report.finished_at - report.started_at).num_milliseconds() as f64 / 1000.0;
    seconds
}

/// A table of runs, with the ids by which their logs are shown.
pub fn runs_text(output: &Output, runs: &[RunReport]) -> String {
    let rows = runs.iter().map(|report| {
        let color = if report.is_good() {
            Color::Green
        } else {
            Color::Red
        };
        let cost = report.statistics.as_ref();
        let why = report.occasion.as_ref().map_or_else(
            || report.backup_type.map_or("", |kind| kind.word()).to_owned(),
            |occasion| safe(&occasion.schedule),
        );
        vec![
            Cell::new(report.id.get(..8).unwrap_or(&report.id)),
            Cell::new(&report.command),
            Cell::new(why),
            Cell::new(local_minute(report.started_at)),
            Cell::new(duration(seconds(report))),
            output.colored(&outcome(report), color),
            Cell::new(cost.map_or_else(String::new, sizes)),
            Cell::new(report.message.as_deref().map(safe).unwrap_or_default()),
        ]
    });
    let header = [
        "RUN", "COMMAND", "WHY", "BEGAN", "TOOK", "OUTCOME", "SIZES", "PROBLEM",
    ];
    output.table(&header, &[4], rows.collect())
}

/// What the backup holds, what of that was new, and what it took.
fn sizes(cost: &Statistics) -> String {
    let holds = size(cost.database_bytes + cost.files_bytes);
    let (new, stored) = (size(cost.new_bytes), size(cost.stored_bytes));
    format!("{holds}, new {new}, stored as {stored}")
}

fn outcome(report: &RunReport) -> String {
    match report.retry_at {
        Some(at) => format!("{}, again at {}", report.outcome, local_minute(at)),
        None => report.outcome.clone(),
    }
}
