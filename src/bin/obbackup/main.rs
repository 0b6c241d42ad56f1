//! The command `obbackup`: arguments in, the library's answer out.

mod arguments;
mod arriving;
mod backup;
mod contents;
mod copy;
mod delete;
mod doctor;
mod drill;
mod failure;
mod forget;
mod guard;
mod init;
mod interrupt;
mod job;
mod list;
mod log;
mod manual;
mod metrics;
mod notify;
mod output;
mod pin;
mod prune;
mod recover;
mod restore;
mod schedule;
mod session;
mod show;
mod status;
mod storage;
mod terminal;
mod undo;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use obbackup::error::{Error, ErrorKind, Result};
use session::Session;

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is as it should be.
    Good,
    /// What was done has the exit code of this kind.
    But(ErrorKind),
    /// A command that was run for somebody ended with this code.
    Code(u8),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let json = arguments.global.json;
    match run(arguments) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Code(code)) => ExitCode::from(code),
        Ok(Outcome::But(kind)) => ExitCode::from(kind.exit_code()),
        Err(error) => {
            failure::report(&error, json);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<Outcome> {
    let creates = matches!(arguments.command, Command::Init(_));
    let session = Session::new(arguments.global, creates);
    recover::before(&session, &arguments.command)?;
    match arguments.command {
        Command::Init(arguments) => init::run(&session, &arguments),
        Command::Backup(arguments) => backup::run(&session, &arguments),
        Command::List(arguments) => list::run(&session, &arguments),
        Command::Show(arguments) => show::run(&session, &arguments),
        Command::Ls(arguments) => contents::ls(&session, &arguments),
        Command::Cat(arguments) => contents::cat(&session, &arguments),
        Command::Verify(arguments) => verify::run(&session, &arguments),
        Command::Restore(arguments) => restore::run(&session, &arguments),
        Command::Undo(arguments) => undo::run(&session, &arguments),
        Command::Status(arguments) => status::run(&session, &arguments),
        Command::Doctor(arguments) => doctor::run(&session, &arguments),
        Command::Delete(arguments) => delete::run(&session, &arguments),
        Command::Copy(arguments) => copy::run(&session, &arguments),
        Command::Storage(arguments::Storage::List(_)) => storage::list(&session),
        Command::Storage(arguments::Storage::Test(_)) => storage::test(&session),
        Command::Forget(arguments) => forget::run(&session, &arguments),
        Command::Prune(arguments) => prune::run(&session, &arguments),
        Command::Pin(arguments) => pin::run(&session, &arguments.id, true),
        Command::Unpin(arguments) => pin::run(&session, &arguments.id, false),
        Command::Storage(arguments::Storage::Df(_)) => storage::df(&session),
        Command::Schedule(arguments) => schedule::run(&session, arguments),
        Command::Notify(arguments) => notify::run(&session, &arguments),
        Command::Log(arguments) => log::run(&session, &arguments),
        Command::Metrics(arguments) => metrics::run(&session, &arguments),
        Command::Guard(arguments) => guard::run(&session, &arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
    }
}

/// Help and version are what was asked for; anything else is a usage error, in the form asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind as Parse;
    let asked = matches!(error.kind(), Parse::DisplayHelp | Parse::DisplayVersion);
    let words: Vec<_> = std::env::args_os()
        .skip(1)
        .take_while(|word| word != "--")
        .collect();
    if !asked && words.iter().any(|word| word == "--json") {
        let text = error.to_string();
        let message = text.trim().trim_start_matches("error: ");
        let (message, rest) = message.split_once("\n\n").unwrap_or((message, ""));
        let mut refused = Error::new(ErrorKind::Usage, message);
        if let Some(usage) = rest.lines().find(|line| line.starts_with("Usage:")) {
            refused = refused.hint(usage);
        }
        failure::report(&refused, true);
    } else {
        // A closed pipe is no reason to complain about.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(ErrorKind::Usage.exit_code()))
}
