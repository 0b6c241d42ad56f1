//! `metrics`: for Prometheus.

use std::path::PathBuf;

use clap::Args;

use obbackup::command::metrics::{metrics, write};
use obbackup::error::{Error, ErrorKind, Result};

use crate::Outcome;
use crate::output::print;
use crate::session::Session;

/// Print figures about the backups and their room in the text format of Prometheus
///
/// With --write for the node exporter's textfile collector: the file is replaced in one step.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup metrics
  obbackup metrics --write /var/lib/prometheus/node-exporter/obbackup.prom")]
pub struct Metrics {
    /// Write them to this file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

pub fn run(session: &Session, arguments: &Metrics) -> Result<Outcome> {
    if session.global.json {
        return Err(
            Error::new(ErrorKind::Usage, "metrics have a format of their own")
                .hint("Leave --json out."),
        );
    }
    let text = metrics(&session.instance()?, &session.repository()?)?;
    match &arguments.write {
        Some(path) => write(path, &text)?,
        None => print(&text)?,
    }
    Ok(Outcome::Good)
}
