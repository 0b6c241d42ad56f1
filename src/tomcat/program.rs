//! Running a program that stops or starts Tomcat: with a time limit, and with what it said in the error.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, IoContext, Result};

/// How often a program is looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// As much of what it said as helps.
const SAID_BYTES: u64 = 2000;

/// Runs `command` to its end; `what` names it in errors.
///
/// What it prints goes to a file and not to a pipe: a start script leaves Tomcat behind, which holds its
/// output open for as long as it runs.
pub(super) fn run(mut command: Command, what: &str, limit: Duration) -> Result<()> {
    let failed = || format!("cannot run {what}");
    let mut said = tempfile::tempfile().io_context(failed)?;
    let output = said.try_clone().io_context(failed)?;
    let errors = said.try_clone().io_context(failed)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .io_context(failed)?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().io_context(failed)? {
            if status.success() {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::Failure,
                format!("{what} failed ({status}){}", tail(&mut said)),
            ));
        }
        if begun.elapsed() > limit {
            child.kill().io_context(failed)?;
            child.wait().io_context(failed)?;
            return Err(Error::new(
                ErrorKind::Failure,
                format!(
                    "{what} did not end within {} seconds{}",
                    limit.as_secs(),
                    tail(&mut said)
                ),
            ));
        }
        thread::sleep(INTERVAL);
    }
}

/// The end of what a program printed, for a message; nothing where that was nothing.
fn tail(said: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = said
        .metadata()
        .and_then(|metadata| said.seek(SeekFrom::Start(metadata.len().saturating_sub(SAID_BYTES))))
        .and_then(|_| said.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    match read {
        Ok(_) if !text.is_empty() => format!(": {text}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn an_error_says_what_the_program_said() {
        let error = run(
            shell("echo no such unit >&2; exit 5"),
            "the stop",
            Duration::from_mins(1),
        );
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("the stop failed") && text.ends_with(": no such unit"),
            "{text}"
        );
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let error = run(
            shell("echo waiting; exec sleep 600"),
            "the stop",
            Duration::from_millis(300),
        );
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("did not end") && text.ends_with("waiting"),
            "{text}"
        );
    }

    #[test]
    fn what_a_program_leaves_behind_is_not_waited_for() {
        let begun = Instant::now();
        run(
            shell("sleep 20 & exit 0"),
            "the start",
            Duration::from_mins(1),
        )
        .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
