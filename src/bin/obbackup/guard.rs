//! `guard`: a command that can be taken back.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};

use obbackup::command::backup::{BackupOptions, BackupTaken};
use obbackup::command::guard::{End, Observed, Verdict, Web, judge, judge_web, observe, put_back};
use obbackup::command::runs::{Wanted, back_up};
use obbackup::error::{Error, ErrorKind, IoContext, Result};
use obbackup::format::manifest::{BackupType, Status};
use obbackup::instance::Instance;
use obbackup::job::About;
use obbackup::repository::Repository;
use obbackup::repository::backups::Backup;
use obbackup::tomcat::{Application as _, Tomcat};

use crate::Outcome;
use crate::interrupt::{Listening, Signals};
use crate::job::{self, Request};
use crate::output::safe;
use crate::restore::check_tomcat;
use crate::session::{Session, zone};

/// How often is looked whether the command ended or a signal came.
const INTERVAL: Duration = Duration::from_millis(50);

/// Take a backup, run a command, and put everything back if the command breaks the instance
///
/// The command is judged by its exit code, by the status that a build leaves in the database, by modules that it
/// leaves half-installed, and by whether the web application answers, if Tomcat ran before or runs afterwards; one
/// that ran before is started again. Database, sources and web application are put back; attachments and
/// configuration stay. Its output and signals pass through; Ctrl-C ends the command, and then it is judged.
/// Ends with the command's exit code if all is well, with 16 if everything was put back, with 17 if that failed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  obbackup guard -- ant smartbuild -Dlocal=no
  obbackup guard --restore always -- ant smartbuild -Dlocal=no")]
pub struct Guard {
    /// Whether to put everything back: ask, where somebody can answer; always; or never
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Restore::Ask)]
    pub restore: Restore,

    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Restore {
    Ask,
    Always,
    Never,
}

pub fn run(session: &Session, arguments: &Guard) -> Result<Outcome> {
    let instance = session.instance()?;
    let guarded = Guarded::before(session, &instance, arguments.restore)?;
    let taken = take(session, &instance, &arguments.command)?;
    let repository = session.repository()?;
    let backup = repository.resolve(&taken.summary.id.to_hex(), None)?;

    let status = supervise(&arguments.command)?;
    let end = match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    };
    let by_hand = format!(
        "obbackup restore {} --only database,sources,deploy",
        backup.id.short()
    );
    let verdict = guarded.judge(end).map_err(|error| {
        error.hint(format!(
            "Nothing was put back, and whether it should be is not known; to do it: {by_hand}"
        ))
    })?;
    for warning in &verdict.warnings {
        session.warn(&safe(warning));
    }
    if verdict.problems.is_empty() {
        return Ok(Outcome::Good);
    }
    for problem in &verdict.problems {
        session.warn(&safe(problem));
    }
    if !wants_restore(session, arguments.restore, &instance)? {
        session.warn(&format!("nothing was put back; to do it: {by_hand}"));
        return Ok(Outcome::Code(match end {
            End::Exited(0) => ErrorKind::Failure.exit_code(),
            End::Exited(code) => u8::try_from(code).unwrap_or(ErrorKind::Failure.exit_code()),
            End::Killed(signal) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        }));
    }
    guarded.put_back(&repository, &backup, &verdict)
}

/// The instance under guard, and how it was before.
struct Guarded<'a> {
    session: &'a Session,
    instance: &'a Instance,
    before: Observed,
    web: Web,
    /// As it was found before: what a build leaves of the deployed application may not lead to it any more.
    tomcat: Option<Tomcat>,
}

impl<'a> Guarded<'a> {
    fn before(session: &'a Session, instance: &'a Instance, restore: Restore) -> Result<Self> {
        let before = observe(instance, &session.surroundings()?)?;
        let tomcat = session.tomcat(instance)?;
        let web = Web::of(tomcat.as_ref())?;
        // What could not be put back is better not begun.
        if web != Web::Down && restore != Restore::Never {
            check_tomcat(tomcat.as_ref())?;
        }
        if let Web::Silent(why) = &web {
            session.warn(&safe(&format!(
                "the web application does not answer now, so that the command will not be judged by it: {why}"
            )));
        }
        Ok(Self {
            session,
            instance,
            before,
            web,
            tomcat,
        })
    }

    fn judge(&self, end: End) -> Result<Verdict> {
        let after = observe(self.instance, &self.session.surroundings()?);
        let mut verdict = judge(end, &self.before, after);
        if let Some(tomcat) = &self.tomcat {
            let listening = Listening::begin()?;
            self.session.work_until(listening.flag(), |progress| {
                judge_web(&self.web, tomcat, &mut verdict, progress)
            })?;
        }
        Ok(verdict)
    }

    /// As a restore in place, so that others see how it goes. One that did not run and does not run now stays down.
    fn put_back(
        &self,
        repository: &Repository,
        backup: &Backup,
        verdict: &Verdict,
    ) -> Result<Outcome> {
        let runs = |tomcat: &&Tomcat| self.web != Web::Down || tomcat.is_running().unwrap_or(true);
        let tomcat = self.tomcat.as_ref().filter(runs);
        let request = Request {
            instance: self.instance,
            about: About::restore(self.instance, backup),
            tomcat,
            id: None,
        };
        let surroundings = self.session.surroundings()?;
        let restored = job::run(self.session, &request, |control, progress| {
            put_back(
                self.instance,
                repository,
                backup,
                &self.web,
                &surroundings,
                control,
                progress,
            )
        })?;
        for warning in restored.warnings {
            self.session.warn(&safe(&warning));
        }
        let what = format!(
            "{}; database, sources and web application are as they were at backup {}",
            verdict.problems.join("; "),
            backup.id.short()
        );
        let kept = "The broken state is kept beside, for whoever looks for the cause.";
        Err(match (tomcat, &self.web) {
            (None, _) => Error::new(ErrorKind::RolledBack, what)
                .hint(format!("Start Tomcat where it is to run. {kept}")),
            (Some(_), Web::Silent(_)) => Error::new(ErrorKind::RolledBack, what).hint(kept),
            (Some(_), _) => Error::new(
                ErrorKind::RolledBack,
                format!("{what}, and the application answers"),
            )
            .hint(kept),
        })
    }
}

/// The backup before. One that is not good is no ground to break anything on.
fn take(session: &Session, instance: &Instance, command: &[OsString]) -> Result<BackupTaken> {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let mut label = format!("before: {}", words.join(" "));
    // Arguments can hold what is nobody else's; the command's name and its first one say enough.
    if words.len() > 2 {
        label = format!("before: {} {} …", words[0], words[1]);
    }
    let options = BackupOptions {
        backup_type: BackupType::Automated,
        label: Some(label),
        pin: false,
        only: std::collections::BTreeSet::new(),
        read_all: false,
    };
    let surroundings = session.surroundings()?;
    let configuration = session.configuration()?;
    let wanted = Wanted {
        place: &session.repository_choice()?.section.url,
        options: &options,
        surroundings: &surroundings,
    };
    let open = || session.repository();
    let listening = Listening::begin()?;
    let taken = session.work_until(listening.flag(), |progress| {
        back_up(instance, &configuration, zone(), &wanted, open, progress)
    })?;
    if taken.summary.status == Status::Partial {
        return Err(Error::new(
            ErrorKind::Partial,
            format!(
                "backup {} is partial, so the command was not run",
                taken.summary.id.short()
            ),
        )
        .hint("See to what its warnings name, and run this again."));
    }
    Ok(taken)
}

/// Runs the command. A key of the terminal reaches it by itself, since it is in the terminal's foreground with us; what is
/// sent to this process alone is passed on. Neither ends this process before the command.
fn supervise(command: &[OsString]) -> Result<ExitStatus> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::new(ErrorKind::Usage, "no command is given"));
    };
    let signals = Signals::begin()?;
    let failed = || format!("cannot run `{}`", program.to_string_lossy());
    let mut child = Command::new(program)
        .args(arguments)
        .spawn()
        .io_context(failed)
        .map_err(|error| {
            error
                .misnamed()
                .hint("Nothing was run. Name a program that PATH leads to, or its path.")
        })?;
    let has_keyboard = io::stdin().is_terminal();
    loop {
        if let Some(status) = child.try_wait().io_context(failed)? {
            return Ok(status);
        }
        for signal in signals.take() {
            if signal != Signal::INT || !has_keyboard {
                pass_on(&child, signal);
            }
        }
        thread::sleep(INTERVAL);
    }
}

fn pass_on(child: &Child, signal: Signal) {
    // It may have ended in this moment; that is seen at the next look.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn wants_restore(session: &Session, restore: Restore, instance: &Instance) -> Result<bool> {
    match restore {
        Restore::Always => Ok(true),
        Restore::Never => Ok(false),
        Restore::Ask => {
            let question = format!(
                "Put database, sources and web application of {} back to what they were before? \
                 Type yes: ",
                safe(&instance.name)
            );
            let _listening = Listening::at_question()?;
            match session.confirm(&question, "yes") {
                Ok(()) => Ok(true),
                // Nobody is there to ask, or the answer was another.
                Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::Cancelled) => {
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        }
    }
}
