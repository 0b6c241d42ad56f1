//! Whether a backup, and a restore, would find everything that they need.

use chrono::Utc;
use serde::Serialize;

use super::database::{self, check_status};
use super::surroundings::Surroundings;
use crate::error::Error;
use crate::format::manifest::Status;
use crate::instance::{Instance, check_nesting};
use crate::postgresql::client::{Session, version_text};
use crate::repository::Repository;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it is.
    pub result: Health,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// A backup works, but somebody should look.
    Warning,
    /// A backup or a restore would fail.
    Failure,
}

/// Below this share of a device a repository is nearly full.
const LOW_SPACE_PERCENT: u64 = 10;
/// A last good backup that is older than this many days deserves a warning.
const OLD_BACKUP_DAYS: i64 = 2;

/// Everything that was looked at, in the order in which a backup needs it.
pub fn doctor(
    instance: &Instance,
    repository: Result<Repository, Error>,
    surroundings: &Surroundings,
) -> Vec<Check> {
    let mut report = Report(Vec::new());
    report.instance(instance);
    report.database(instance, surroundings);
    match repository {
        Ok(repository) => report.repository(instance, &repository),
        Err(error) => report.failed("repository", &error),
    }
    report.0
}

struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, name: &str, result: Health, found: impl Into<String>, remedy: Option<&str>) {
        self.0.push(Check {
            name: name.to_owned(),
            result,
            found: found.into(),
            remedy: remedy.map(str::to_owned),
        });
    }

    fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, Health::Ok, found, None);
    }

    fn failed(&mut self, name: &str, error: &Error) {
        self.add(name, Health::Failure, error.to_string(), error.hint_text());
    }

    fn instance(&mut self, instance: &Instance) {
        let version = instance
            .openbravo_version
            .as_deref()
            .unwrap_or("unknown version");
        self.ok(
            "instance",
            format!(
                "{} ({version}) in {}",
                instance.name,
                instance.source_path.display()
            ),
        );
        if instance.is_id_derived {
            self.add(
                "identity",
                Health::Warning,
                "derived from host, directory and database; it changes when one of these does",
                Some("`obbackup init` writes it down."),
            );
        } else {
            self.ok("identity", &instance.id);
        }
        for root in instance.roots() {
            match std::fs::read_dir(&root.root) {
                Ok(_) => self.ok(root.part.word(), root.written.display().to_string()),
                Err(error) => self.add(
                    root.part.word(),
                    Health::Failure,
                    format!("cannot read `{}`: {error}", root.written.display()),
                    Some("Run as root or as the owner of the instance."),
                ),
            }
        }
        if instance.deploy_path.is_none() {
            self.add(
                "deploy",
                Health::Warning,
                "no deployed web application was found; backups will not hold one",
                Some("Set `deploy_path` under `[instance]` in obbackup.toml."),
            );
        }
        for warning in &instance.warnings {
            self.add("configuration", Health::Warning, warning, None);
        }
    }

    fn database(&mut self, instance: &Instance, surroundings: &Surroundings) {
        let connection = match database::connect(instance, surroundings) {
            Ok(connection) => connection,
            Err(error) => return self.failed("database", &error),
        };
        let version = match Session::open(&connection.application) {
            Ok(session) => session.version,
            Err(error) => return self.failed("database", &error),
        };
        self.ok(
            "database",
            format!(
                "{} on {} as {}, PostgreSQL {}",
                connection.application.database,
                connection.server(),
                connection.application.user,
                version_text(version)
            ),
        );
        match connection.programs.pg_dump(version) {
            Ok(program) => self.ok(
                "pg_dump",
                format!(
                    "{} ({})",
                    program.path.display(),
                    version_text(program.version)
                ),
            ),
            Err(error) => self.failed("pg_dump", &error),
        }
        match connection.programs.pg_restore(version, version) {
            Ok(program) => self.ok(
                "pg_restore",
                format!(
                    "{} ({})",
                    program.path.display(),
                    version_text(program.version)
                ),
            ),
            Err(error) => self.failed("pg_restore", &error),
        }
        match &connection.system {
            None => self.add(
                "system role",
                Health::Warning,
                "none is set; extensions and objects of other owners cannot be restored",
                Some("Set bbdd.systemUser and bbdd.systemPassword in Openbravo.properties."),
            ),
            Some(system) => match Session::open(system) {
                Ok(_) => self.ok("system role", &system.user),
                Err(error) => self.add(
                    "system role",
                    Health::Warning,
                    error.to_string(),
                    error.hint_text(),
                ),
            },
        }
        match connection.open().and_then(|mut source| {
            let tables = source.tables();
            Ok((tables, source.openbravo_facts()?))
        }) {
            Ok((tables, facts)) => {
                self.ok("tables", format!("all {tables} can be read"));
                match check_status(instance, facts.system_status.as_deref()) {
                    Ok(None) => self.ok(
                        "system status",
                        facts
                            .system_status
                            .unwrap_or_else(|| "not kept by this database".to_owned()),
                    ),
                    Ok(Some(warning)) => self.add("system status", Health::Warning, warning, None),
                    Err(error) => self.failed("system status", &error),
                }
            }
            Err(error) => self.failed("tables", &error),
        }
    }

    fn repository(&mut self, instance: &Instance, repository: &Repository) {
        let location = repository.storage().location();
        if let Err(error) = check_nesting(&location, instance) {
            return self.failed("repository", &error);
        }
        self.ok(
            "repository",
            format!("{location} (id {})", repository.header().id),
        );
        match repository.storage().space() {
            Ok(Some(space)) => {
                let percent = space.free_bytes * 100 / space.total_bytes.max(1);
                let found = format!("{percent} % of the device are free");
                if percent < LOW_SPACE_PERCENT {
                    let remedy = "Free space there, or delete backups that nobody needs.";
                    self.add("space", Health::Warning, found, Some(remedy));
                } else {
                    self.ok("space", found);
                }
            }
            Ok(None) => {}
            Err(error) => self.failed("space", &error),
        }
        match repository.leases() {
            Ok(leases) if leases.is_empty() => {
                self.ok("lock", "nobody is working on the repository");
            }
            Ok(leases) => {
                let who: Vec<_> = leases
                    .iter()
                    .map(|lease| {
                        format!(
                            "{} by {}@{} ({})",
                            lease.purpose, lease.user, lease.host, lease.pid
                        )
                    })
                    .collect();
                self.ok("lock", who.join(", "));
            }
            Err(error) => self.failed("lock", &error),
        }
        self.last_backup(instance, repository);
    }

    fn last_backup(&mut self, instance: &Instance, repository: &Repository) {
        const NAME: &str = "last good backup";
        let found = match repository.backups() {
            Ok(found) => found,
            Err(error) => return self.failed(NAME, &error),
        };
        for (object, problem) in &found.damaged {
            self.add(
                "manifest",
                Health::Failure,
                format!("`{object}`: {problem}"),
                Some("Run `obbackup verify --read-data`."),
            );
        }
        let last = found.backups.iter().find(|backup| {
            backup.manifest.instance.id == instance.id && backup.manifest.status == Status::Good
        });
        let Some(last) = last else {
            return self.add(
                NAME,
                Health::Warning,
                "there is none yet",
                Some("Run `obbackup backup`."),
            );
        };
        let now = Utc::now();
        let at = last.manifest.finished_at;
        let found = format!("{}, {}", last.id.short(), crate::format::age(now, at));
        if (now - at).num_days() >= OLD_BACKUP_DAYS {
            self.add(NAME, Health::Warning, found, Some("Run `obbackup backup`."));
        } else {
            self.ok(NAME, found);
        }
    }
}
