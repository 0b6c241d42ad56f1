//! The definitions, by `pg_restore`.

use super::DatabaseTarget;
use super::plan::DatabasePlan;
use crate::error::{IoContext, Result};
use crate::postgresql::child::{Child, Ended};
use crate::postgresql::private_file::PrivateFile;
use crate::postgresql::watch::Watch;

/// Since this version `pg_restore` sets a parameter that older servers do not know.
const NEW_PARAMETER_SINCE: u32 = 170_000;
const NEW_PARAMETER: &str = "unrecognized configuration parameter \"transaction_timeout\"";

/// The archive and the list of its entries, in private files: several processes read them at once.
pub(super) struct Definitions {
    archive: PrivateFile,
    list: Option<PrivateFile>,
}

impl Definitions {
    pub fn write(target: &DatabaseTarget, plan: &DatabasePlan) -> Result<Self> {
        let list = plan.only.as_ref().map(|only| {
            let lines: Vec<_> = only.iter().map(|id| format!("{id};\n")).collect();
            lines.concat()
        });
        let directory = &target.options.work_directory;
        Ok(Self {
            archive: PrivateFile::write(&plan.archive, directory)?,
            list: list
                .map(|list| PrivateFile::write(list.as_bytes(), directory))
                .transpose()?,
        })
    }

    /// Creates what is in `section`, over `jobs` connections.
    pub fn restore(
        &self,
        target: &DatabaseTarget,
        plan: &DatabasePlan,
        section: &str,
        jobs: usize,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let what = format!("cannot create the definitions ({section})");
        // A server older than the client refuses one of the client's first statements. Then errors
        // do not end it, and we look at each.
        let is_tolerant = plan.program.version >= NEW_PARAMETER_SINCE
            && plan.server_version < NEW_PARAMETER_SINCE;
        let mut arguments = vec![format!("--section={section}"), format!("--jobs={jobs}")];
        if !is_tolerant {
            arguments.push("--exit-on-error".to_owned());
        }
        if !plan.keep_tablespaces {
            arguments.push("--no-tablespaces".to_owned());
        }
        if let Some(list) = &self.list {
            arguments.push(format!("--use-list={}", list.path().display()));
        }
        let mut child = Child::start(
            &plan.program,
            &[arguments, vec![self.archive.path().display().to_string()]].concat(),
            &target.address(plan.as_system),
            &server_options(target),
            &target.options.work_directory,
        )?;
        let group = child.group();
        if let Some(group) = group {
            watch.group(group);
        }
        if let Some(mut output) = child.output() {
            std::io::copy(&mut output, &mut std::io::sink()).io_context(|| what.clone())?;
        }
        let ended = child.wait();
        if let Some(group) = group {
            watch.forget_group(group);
        }
        watch.check()?;
        let ended = ended?;
        if ended.success || (is_tolerant && only_the_parameter(&ended)) {
            return Ok(());
        }
        Err(ended.error(&what))
    }
}

/// Whether nothing but the parameter was refused.
fn only_the_parameter(ended: &Ended) -> bool {
    let errors = || {
        ended
            .messages
            .lines()
            .filter(|line| line.contains("error:") || line.contains("fatal:"))
    };
    errors().count() > 0 && errors().all(|line| line.contains(NEW_PARAMETER))
}

/// A half-built database is dropped after a crash, so nothing needs to reach the disk before the end;
/// the restore's last statement makes it all durable.
///
/// Where each processor has a connection that builds an index, workers that share one build only add the writing and
/// merging of what each has sorted.
fn server_options(target: &DatabaseTarget) -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if target.options.jobs >= processors {
        "-c max_parallel_maintenance_workers=0"
    } else {
        ""
    };
    format!(
        "{workers} -c synchronous_commit=off -c maintenance_work_mem={}kB -c statement_timeout=0 \
         -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 \
         -c default_transaction_read_only=off",
        target.options.index_memory_bytes / 1024
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unknown_parameter_is_forgiven() {
        let ended = |messages: &str| Ended {
            name: "pg_restore".to_owned(),
            success: false,
            messages: messages.to_owned(),
        };
        let parameter = "pg_restore: error: could not execute query: ERROR:  unrecognized \
                         configuration parameter \"transaction_timeout\"\n\
                         Command was: SET transaction_timeout = 0;\n\
                         pg_restore: warning: errors ignored on restore: 1";
        assert!(only_the_parameter(&ended(parameter)));
        let other = format!("{parameter}\npg_restore: error: could not execute query: ERROR:  no");
        assert!(!only_the_parameter(&ended(&other)));
        assert!(!only_the_parameter(&ended("")));
    }
}
