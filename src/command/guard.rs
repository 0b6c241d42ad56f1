//! Judging what a command did to an instance, and putting back what was there before.

use std::collections::BTreeSet;

use serde::Serialize;

use super::database;
use super::restore::{self, Destination, RestoreOptions, Restored};
use super::surroundings::Surroundings;
use crate::error::Result;
use crate::format::manifest::Part;
use crate::instance::{Instance, SystemStatus, status};
use crate::postgresql::client::Session;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::backups::Backup;

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

/// Puts database, sources and web application back to what they were at `backup`. The broken state is kept, as by any
/// restore in place, so that no further backup of it is taken.
pub fn put_back(
    instance: &Instance,
    repository: &Repository,
    backup: &Backup,
    surroundings: &Surroundings,
    progress: &dyn Progress,
) -> Result<Restored> {
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
    restore::run(
        Some(instance),
        repository,
        backup,
        &options,
        surroundings,
        progress,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

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
}
