//! Whether stopping, starting and asking would work with the rights of whoever runs this.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::process::Jvm;
use super::systemd::Systemd;
use super::{Answer, Application, Control, Tomcat, program};
use crate::error::{Error, ErrorKind, Result};

/// How long the application may take to answer somebody who only wants to know.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the script may take to tell its version.
const SCRIPT: Duration = Duration::from_mins(1);

/// One thing that was looked at.
#[derive(Debug)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it is, or what is wrong with it.
    pub result: Result<String>,
    /// Whether a restore in place fails when it is wrong.
    pub is_needed: bool,
}

impl Tomcat {
    /// Everything that a restore in place needs of it, without stopping or starting anything.
    pub fn examine(&self) -> Vec<Finding> {
        let needed = |name, result| Finding {
            name,
            result,
            is_needed: true,
        };
        let useful = |name, result| Finding {
            name,
            result,
            is_needed: false,
        };
        let processes = self.processes();
        vec![
            needed("tomcat", Ok(self.name())),
            needed("tomcat stop", self.can_stop(&processes)),
            needed("tomcat start", self.can_start()),
            useful("tomcat answers", self.does_answer()),
        ]
    }

    fn can_stop(&self, processes: &[Jvm]) -> Result<String> {
        match &self.control {
            Control::Unit(_, unit) => {
                Systemd::may_manage(unit)?;
                Ok(format!("systemctl stop {unit}"))
            }
            Control::Commands { stop, .. } => is_program(stop).map(|()| stop.join(" ")),
            Control::Script => match processes.iter().find(|jvm| !jvm.may_signal()) {
                Some(jvm) => Err(Error::new(
                    ErrorKind::Denied,
                    format!("this user may not end Tomcat's process {}", jvm.pid),
                )
                .hint("Run this as root or as the user that Tomcat runs as.")),
                None => Ok("by SIGTERM to its process".to_owned()),
            },
        }
    }

    fn can_start(&self) -> Result<String> {
        match &self.control {
            Control::Unit(_, unit) => {
                Systemd::may_manage(unit)?;
                Ok(format!("systemctl start {unit}"))
            }
            Control::Commands { start, .. } => is_program(start).map(|()| start.join(" ")),
            Control::Script => {
                // Finds its JVM the same way as its start does.
                let command = self.script("version")?;
                program::run(command, "`catalina.sh version`", SCRIPT)?;
                Ok(format!("catalina.sh start, as user {}", self.uid))
            }
        }
    }

    /// Asks the application once; how it answers, or why that is not enough.
    pub fn does_answer(&self) -> Result<String> {
        let Some(probe) = &self.probe else {
            return Err(Error::new(
                ErrorKind::Usage,
                "Tomcat has no port for plain HTTP, so a restore cannot see whether the application answers",
            )
            .hint("Set probe_url under [tomcat] in obbackup.toml."));
        };
        if !self.is_running()? {
            return Err(Error::new(ErrorKind::NotFound, "Tomcat does not run").hint(
                "Start it, and ask again, to see whether a restore would find it answering.",
            ));
        }
        match probe.ask(PATIENCE) {
            Answer::Good(how) => Ok(how),
            Answer::Fails(why) | Answer::NotYet(why) => Err(Error::new(ErrorKind::Failure, why).hint(
                "Where the application answers another way, set probe_url, probe_status or probe_text under \
                 [tomcat].",
            )),
        }
    }
}

fn is_program(command: &[String]) -> Result<()> {
    let program = Path::new(command.first().map_or("", String::as_str));
    match program.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::Denied,
            format!("`{}` is not a program", program.display()),
        )
        .hint("Correct it under [tomcat] in obbackup.toml.")),
        Err(error) => Err(
            Error::io(format!("cannot find `{}`", program.display()), error)
                .hint("Correct it under [tomcat] in obbackup.toml."),
        ),
    }
}
