//! `notify`: tries whether messages arrive.

use clap::{Args, Subcommand};
use serde::Serialize;

use obbackup::command::runs::Books;
use obbackup::config::notify::Event;
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::notify;

use crate::Outcome;
use crate::session::{Session, zone};

/// Messages about what happens
#[derive(Debug, Subcommand)]
pub enum Notify {
    Test(Test),
}

/// Send a test message through one notifier, or through all
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup notify test
  obbackup notify test admins")]
pub struct Test {
    /// A name from the configuration: [notify.NAME]
    pub name: Option<String>,
}

#[derive(Serialize)]
struct Tried {
    sent: Vec<String>,
}

pub fn run(session: &Session, arguments: &Notify) -> Result<Outcome> {
    let Notify::Test(arguments) = arguments;
    let instance = session.instance()?;
    let configuration = session.configuration()?;
    let books = Books::open(&instance, &configuration, zone())?;
    let mut notice = books.notice(vec![Event::Test]);
    notice
        .notes
        .push("Somebody tried whether this message arrives. It did.".to_owned());
    let names: Vec<&String> = match &arguments.name {
        Some(name) => vec![name],
        None => configuration.notify.keys().collect(),
    };
    if names.is_empty() {
        return Err(
            Error::new(ErrorKind::NotFound, "the configuration has no notifier")
                .hint("Add a section [notify.NAME]; docs/operations.md shows each kind."),
        );
    }
    let mut tried = Tried { sent: Vec::new() };
    let mut failed = None;
    for name in names {
        match notify::try_one(&configuration, name, &notice) {
            Ok(()) => tried.sent.push(name.clone()),
            Err(error) => {
                // All but the last are warnings, so that each is told.
                if let Some(before) = failed.replace(error) {
                    let hint = before
                        .hint_text()
                        .map_or_else(String::new, |hint| format!(". {hint}"));
                    session.warn(&format!("{before}{hint}"));
                }
            }
        }
    }
    if !tried.sent.is_empty() {
        session
            .output
            .show(&tried, |_| format!("Sent: {}\n", tried.sent.join(", ")))?;
    }
    failed.map_or(Ok(Outcome::Good), Err)
}
