//! Judging what a command did to an instance, and putting back what was there before.

use std::collections::BTreeSet;

use serde::Serialize;

use super::database;
use super::restore::{self, Control, Destination, RestoreOptions, Restored};
use super::surroundings::Surroundings;
use crate::error::{ErrorKind, Result};
use crate::format::manifest::Part;
use crate::instance::{Instance, SystemStatus, status};
use crate::postgresql::client::Session;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;
use crate::tomcat::{Application, Tomcat};

/// What a build changes, and so what a restore puts back. Attachments and configuration are people's.
const PARTS: [Part; 3] = [Part::Database, Part::Sources, Part::Deploy];

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// What tells of a build that broke off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// `ad_system_info.system_status`
    pub system_status: Option<String>,
    /// Modules that are neither applied nor gone.
    pub pending: BTreeSet<String>,
}

/// How the web application was before the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Web {
    /// There was none, or it did not run.
    Down,
    /// It ran and answered.
    Answers,
    /// It ran and did not answer as it should, for this reason: then its silence afterwards proves nothing.
    Silent(String),
}

impl Web {
    /// Asks it once.
    pub fn of(tomcat: Option<&Tomcat>) -> Result<Self> {
        let Some(tomcat) = tomcat else {
            return Ok(Self::Down);
        };
        if !tomcat.is_running()? {
            return Ok(Self::Down);
        }
        Ok(match tomcat.does_answer() {
            Ok(_) => Self::Answers,
            Err(why) => Self::Silent(why.to_string()),
        })
    }
}

/// What came of the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Why the instance is not as it should be; empty when it is.
    pub problems: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Asks the database.
pub fn observe(instance: &Instance, surroundings: &Surroundings) -> Result<Observed> {
    const WHAT: &str = "cannot ask Openbravo's tables";
    let connection = database::connect(instance, surroundings)?;
    let mut session = Session::open(&connection.application)?;
    session.run(WHAT, "SET search_path TO DEFAULT")?;
    let mut ask = |table: &str, query: &str| -> Result<Option<String>> {
        let there = format!("SELECT to_regclass('{table}')::text");
        if session.value(WHAT, &there)?.is_none() {
            return Ok(None);
        }
        session.value(WHAT, query)
    };
    let system_status = ask(
        "ad_system_info",
        "SELECT system_status::text FROM ad_system_info LIMIT 1",
    )?;
    // Openbravo: I installed, P prepared, U to be uninstalled; a build turns them into A, applied.
    let modules = ask(
        "ad_module",
        "SELECT string_agg(javapackage::text || ' (' || status || ')', E'\\n') FROM ad_module \
         WHERE status IN ('I', 'P', 'U')",
    )?;
    let waiting = ask(
        "ad_module_install",
        "SELECT nullif(count(*), 0)::text || ' to be installed' FROM ad_module_install",
    )?;
    let lines = |text: Option<String>| -> Vec<String> {
        text.iter()
            .flat_map(|text| text.lines())
            .map(str::to_owned)
            .collect()
    };
    Ok(Observed {
        system_status,
        pending: lines(modules).into_iter().chain(lines(waiting)).collect(),
    })
}

/// Whether the instance is as it should be after the command. `after` may be an error: a database that does not answer
/// is a problem.
pub fn judge(end: End, before: &Observed, after: Result<Observed>) -> Verdict {
    let mut verdict = Verdict {
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    match end {
        End::Exited(0) => {}
        End::Exited(code) => verdict
            .problems
            .push(format!("the command ended with exit code {code}")),
        End::Killed(signal) => verdict
            .problems
            .push(format!("the command was ended by signal {signal}")),
    }
    let after = match after {
        Ok(after) => after,
        Err(error) => {
            verdict
                .problems
                .push(format!("the database cannot be asked: {error}"));
            return verdict;
        }
    };
    let code = after.system_status.as_deref();
    if matches!(
        SystemStatus::of(code),
        SystemStatus::Rebuilding | SystemStatus::BuildFailed
    ) {
        let shown = code.unwrap_or_default().trim();
        let name = status::name(shown);
        verdict
            .problems
            .push(format!("the rebuild broke off (status {shown}: {name})"));
    }
    // What was pending before and was not touched is the reason for a build to come, not its failure.
    let was_built = after.system_status != before.system_status;
    for module in &after.pending {
        if was_built || !before.pending.contains(module) {
            verdict
                .problems
                .push(format!("left half-installed: {module}"));
        } else {
            verdict
                .warnings
                .push(format!("still pending, as before: {module}"));
        }
    }
    verdict
}

/// Has the web application bear witness, where nothing else has spoken against the command: one that ran before is to
/// run, and one that runs is to answer, be it started by the command. It gets the time that it gets after a restore,
/// unless it is past that and answers with errors alone. An error only where somebody asked not to wait any longer.
pub fn judge_web(
    before: &Web,
    application: &dyn Application,
    verdict: &mut Verdict,
    progress: &dyn Progress,
) -> Result<()> {
    if !verdict.problems.is_empty() || matches!(before, Web::Silent(_)) {
        return Ok(());
    }
    let answered = match before {
        Web::Down => answers_if_it_runs(application, progress),
        _ => runs_and_answers(application, progress),
    };
    match answered {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        Err(error) => {
            let problem = format!("the web application does not work any more: {error}");
            verdict.problems.push(problem);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn answers_if_it_runs(application: &dyn Application, progress: &dyn Progress) -> Result<()> {
    if !application.is_running()? {
        return Ok(());
    }
    let answered = application.probe(progress);
    progress.check()?;
    // One that ended while it was asked does not run, as before.
    if answered.is_err() && !application.is_running()? {
        return Ok(());
    }
    answered
}

fn runs_and_answers(application: &dyn Application, progress: &dyn Progress) -> Result<()> {
    // A build may have wanted it stopped. Whoever guards it wants it back.
    application.start(progress)?;
    let answered = application.probe(progress);
    progress.check()?;
    // One that ended while it was asked was stopped by a command that did not wait for its end.
    if answered.is_err() && !application.is_running()? {
        application.start(progress)?;
        return application.probe(progress);
    }
    answered
}

/// An application that did not answer before: it cannot tell whether what is live now is any good.
struct Mute<'a>(&'a dyn Application);

impl Application for Mute<'_> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn is_running(&self) -> Result<bool> {
        self.0.is_running()
    }

    fn stop(&self, progress: &dyn Progress) -> Result<()> {
        self.0.stop(progress)
    }

    fn start(&self, progress: &dyn Progress) -> Result<()> {
        self.0.start(progress)
    }

    fn probe(&self, _progress: &dyn Progress) -> Result<()> {
        Ok(())
    }

    fn how_to_start(&self) -> String {
        self.0.how_to_start()
    }
}

/// Puts database, sources and web application back to what they were at `backup`. The broken state is kept, as by any
/// restore in place, so that no further backup of it is taken. Where that fails somebody has to act, for the broken
/// state is what is live.
pub fn put_back(
    instance: &Instance,
    repository: &Repository,
    backup: &Backup,
    before: &Web,
    surroundings: &Surroundings,
    control: Control<'_>,
    progress: &dyn Progress,
) -> Result<Restored> {
    let mute = control.application.map(Mute);
    let control = match (before, &mute) {
        (Web::Silent(_), Some(mute)) => Control {
            application: Some(mute),
            ..control
        },
        _ => control,
    };
    let manifest = &backup.manifest;
    let there = |part: &Part| match part {
        Part::Database => manifest.database.is_some(),
        part => manifest.files_part(*part).is_some(),
    };
    let options = RestoreOptions {
        destination: Destination::InPlace {
            safety_backup: false,
            keeps_old: true,
        },
        only: PARTS.into_iter().filter(there).collect(),
        paths: Vec::new(),
        neutralize: false,
    };
    restore::replace(
        Some(instance),
        repository,
        backup,
        &options,
        surroundings,
        control,
        progress,
    )
    .map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::ActionNeeded,
        };
        error
            .with_kind(kind)
            .context("the instance is as the command left it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::progress::Silent;
    use std::sync::Mutex;

    fn observed(status: &str, pending: &[&str]) -> Observed {
        Observed {
            system_status: Some(status.to_owned()),
            pending: pending.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn a_build_is_judged_by_all_that_it_leaves() {
        let before = observed("RB70", &["org.x (I)"]);
        let problems = |end, after| judge(end, &before, after).problems.len();
        assert_eq!(problems(End::Exited(0), Ok(observed("RB51", &[]))), 0);
        assert_eq!(
            problems(End::Exited(0), Ok(observed("RB70", &["org.x (I)"]))),
            0
        );
        assert_eq!(
            problems(End::Exited(0), Ok(observed("RB51", &["org.x (I)"]))),
            1
        );
        assert_eq!(
            problems(End::Exited(0), Ok(observed("RB70", &["org.y (P)"]))),
            1
        );
        assert_eq!(problems(End::Exited(0), Ok(observed("RB12", &[]))), 1);
        assert_eq!(problems(End::Exited(1), Ok(observed("RB12", &[]))), 2);
        assert_eq!(problems(End::Killed(9), Ok(observed("RB70", &[]))), 1);
        let gone = Error::new(ErrorKind::Unreachable, "no answer");
        assert_eq!(problems(End::Exited(0), Err(gone)), 1);
    }

    /// Runs or not, answers or not; remembers what was asked of it.
    struct Fake {
        runs: Mutex<bool>,
        /// Whether it ends the first time that it is asked.
        is_ending: Mutex<bool>,
        answers: Result<()>,
        calls: Mutex<Vec<&'static str>>,
    }

    impl Fake {
        fn called(&self, what: &'static str) {
            self.calls.lock().unwrap().push(what);
        }
    }

    impl Application for Fake {
        fn name(&self) -> String {
            "fake".to_owned()
        }

        fn is_running(&self) -> Result<bool> {
            Ok(*self.runs.lock().unwrap())
        }

        fn stop(&self, _progress: &dyn Progress) -> Result<()> {
            self.called("stop");
            Ok(())
        }

        fn start(&self, _progress: &dyn Progress) -> Result<()> {
            if !std::mem::replace(&mut *self.runs.lock().unwrap(), true) {
                self.called("start");
            }
            Ok(())
        }

        fn probe(&self, _progress: &dyn Progress) -> Result<()> {
            self.called("probe");
            if std::mem::take(&mut *self.is_ending.lock().unwrap()) {
                *self.runs.lock().unwrap() = false;
                return Err(Error::new(ErrorKind::Failure, "ended"));
            }
            self.answers.as_ref().copied().map_err(Error::duplicate)
        }

        fn how_to_start(&self) -> String {
            "fake".to_owned()
        }
    }

    #[test]
    fn an_application_that_ran_has_to_run_and_to_answer() {
        let silent = || Web::Silent("404".to_owned());
        let (up, ending, down) = ((true, false), (true, true), (false, false));
        for (before, now, answers, calls, problems) in [
            (Web::Answers, up, true, &["probe"][..], 0),
            (Web::Answers, up, false, &["probe"], 1),
            (Web::Answers, down, true, &["start", "probe"], 0),
            (Web::Answers, ending, true, &["probe", "start", "probe"], 0),
            (Web::Answers, ending, false, &["probe", "start", "probe"], 1),
            (Web::Down, down, true, &[], 0),
            (Web::Down, up, false, &["probe"], 1),
            (Web::Down, ending, false, &["probe"], 0),
            (silent(), up, false, &[], 0),
            (silent(), down, false, &[], 0),
        ] {
            let (runs, is_ending) = now;
            let fake = Fake {
                runs: Mutex::new(runs),
                is_ending: Mutex::new(is_ending),
                answers: if answers {
                    Ok(())
                } else {
                    Err(Error::new(ErrorKind::Failure, "500"))
                },
                calls: Mutex::default(),
            };
            let mut verdict = judge(
                End::Exited(0),
                &observed("RB70", &[]),
                Ok(observed("RB70", &[])),
            );
            judge_web(&before, &fake, &mut verdict, &Silent).unwrap();
            let seen = fake.calls.into_inner().unwrap();
            assert_eq!(seen, calls, "{before:?} {now:?}");
            assert_eq!(verdict.problems.len(), problems, "{before:?} {now:?}");
        }
    }

    #[test]
    fn what_failed_already_needs_no_second_witness_and_waiting_can_be_broken_off() {
        let fake = Fake {
            runs: Mutex::new(true),
            is_ending: Mutex::new(false),
            answers: Err(Error::cancelled()),
            calls: Mutex::default(),
        };
        let before = observed("RB70", &[]);
        let mut failed = judge(End::Exited(1), &before, Ok(before.clone()));
        judge_web(&Web::Answers, &fake, &mut failed, &Silent).unwrap();
        assert!(fake.calls.lock().unwrap().is_empty());
        let mut good = judge(End::Exited(0), &before, Ok(before.clone()));
        let error = judge_web(&Web::Answers, &fake, &mut good, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
