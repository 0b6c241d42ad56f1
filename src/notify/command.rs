//! A program of the administrator's own, with the JSON document on its standard input.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Message, timed_out};
use crate::config::notify::CommandSection;
use crate::error::{Error, ErrorKind, IoContext as _, Result};

/// Between two looks at whether it ended.
const INTERVAL: Duration = Duration::from_millis(20);

/// Runs it, and ends it where it takes too long.
pub fn run(section: &CommandSection, message: &Message, timeout: Duration) -> Result<()> {
    let Some((program, arguments)) = section.command.split_first() else {
        return Err(Error::new(ErrorKind::Usage, "its command is empty")
            .hint("Name a program: command = [\"/usr/local/bin/tell\"]."));
    };
    let document = message.json()?;
    // What it prints is its own: standard output belongs to results, and is no terminal of this program.
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .io_context(|| format!("cannot run `{program}`"))
        .map_err(|error| {
            error
                .misnamed()
                .hint("Correct its command: the path of a program that this user may run.")
        })?;
    let input = child.stdin.take();
    // From a thread, which ends with the pipe: a program that does not read must not keep this one from
    // seeing that time is up. One that does not want to know all of it may close its input.
    std::thread::spawn(move || input.map(|mut input| input.write_all(&document)));
    wait(&mut child, timeout, program)
}

fn wait(child: &mut Child, timeout: Duration, program: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let status = child
            .try_wait()
            .io_context(|| format!("cannot wait for `{program}`"))?;
        if let Some(status) = status {
            if status.success() {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::Failure,
                format!("`{program}` ended with {status}"),
            )
            .hint("Run it by hand with a JSON document on its standard input."));
        }
        if begun.elapsed() >= timeout {
            // With all that it started.
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            let _ = child.wait();
            return Err(timed_out(timeout));
        }
        std::thread::sleep(INTERVAL);
    }
}
