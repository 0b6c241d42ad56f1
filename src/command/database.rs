//! The way from an instance's settings to its database.

use std::path::PathBuf;

use super::surroundings::Surroundings;
use crate::error::{Error, ErrorKind, Result};
use crate::format::database::DatabaseState;
use crate::format::manifest::DatabasePart;
use crate::instance::{Instance, Role, SslMode, SystemStatus, status};
use crate::postgresql::address::DatabaseAddress;
use crate::postgresql::client::Session;
use crate::postgresql::programs::Programs;
use crate::repository::backups::Backup;
use crate::source::database::{CaptureOptions, DatabaseSource};
use crate::target::database::{DatabaseTarget, RestoreOptions, is_superuser};

/// A server that answered, and the roles to use there.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The instance's database as the application's role.
    pub application: DatabaseAddress,
    /// The same as the system's role, where the properties name one.
    pub system: Option<DatabaseAddress>,
    /// Client programs.
    pub programs: Programs,
    /// Connections at a time.
    pub jobs: usize,
    surroundings: Surroundings,
}

/// Databases that every server has, and that one can connect to in order to rename another.
const MAINTENANCE_DATABASES: [&str; 2] = ["postgres", "template1"];

/// Finds the first of the instance's servers that answers for its database. The last one's error where
/// none does.
pub fn connect(instance: &Instance, surroundings: &Surroundings) -> Result<Connection> {
    find(instance, surroundings, &[&instance.database.name])
}

/// Finds the first of the instance's servers that answers, whether its database is there or not.
pub fn connect_to_server(instance: &Instance, surroundings: &Surroundings) -> Result<Connection> {
    find(instance, surroundings, &MAINTENANCE_DATABASES)
}

fn find(
    instance: &Instance,
    surroundings: &Surroundings,
    databases: &[&str],
) -> Result<Connection> {
    refuse_tls(instance)?;
    let mut connection = describe(instance, surroundings);
    let mut failure = None;
    for address in &instance.database.addresses {
        let place = |role: &DatabaseAddress| DatabaseAddress {
            host: address.host(),
            port: address.port(),
            ..role.clone()
        };
        let application = place(&connection.application);
        match open_any(&application, databases) {
            Ok(_) => {
                connection.system = connection.system.as_ref().map(place);
                connection.application = application;
                return Ok(connection);
            }
            Err(error) if error.kind() == ErrorKind::Unreachable => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        Error::new(
            ErrorKind::Unreachable,
            "the instance names no database server",
        )
    }))
}

/// Where the application insists on TLS, going without would be what somebody forbade.
fn refuse_tls(instance: &Instance) -> Result<()> {
    let ssl = instance.database.ssl;
    let may_go_without = matches!(ssl, SslMode::Disable | SslMode::Allow | SslMode::Prefer);
    if may_go_without || instance.database.is_direct {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Incompatible,
        format!("the instance asks for TLS to its database (sslmode={}), which is not supported", ssl.word()),
    )
    .hint("Set `host` and `port` under `[database]` in obbackup.toml to a way that needs none: a socket, a tunnel."))
}

/// A session in the first of the databases that lets this role in.
fn open_any(address: &DatabaseAddress, databases: &[&str]) -> Result<Session> {
    let mut failure = None;
    for database in databases {
        match Session::open(&address.with_database(*database)) {
            Ok(session) => return Ok(session),
            Err(error) if error.kind() == ErrorKind::Unreachable => return Err(error),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Failure, "no database was named")))
}

/// The roles and programs, at the first of the servers, whether it answers or not.
fn describe(instance: &Instance, surroundings: &Surroundings) -> Connection {
    let settings = &instance.database;
    let address = |role: &Role| {
        let mut address = DatabaseAddress::new(
            settings.address().host(),
            settings.address().port(),
            settings.name.clone(),
            role.name.clone(),
        );
        address.password.clone_from(&role.password);
        address
    };
    let mut directories: Vec<_> = settings.client_directory.iter().cloned().collect();
    directories.extend(surroundings.program_directories.iter().cloned());
    Connection {
        application: address(&settings.application),
        system: settings.system.as_ref().map(address),
        programs: Programs::new(directories),
        jobs: settings.jobs.map_or(surroundings.jobs, usize::from).max(1),
        surroundings: surroundings.clone(),
    }
}

impl Connection {
    /// Fixes the snapshot; from here on it is held until the source is dropped.
    pub fn open(&self) -> Result<DatabaseSource> {
        let mut options = CaptureOptions::new(
            self.programs.clone(),
            self.surroundings.work_directory.clone(),
        );
        options.jobs = self.jobs;
        options.system.clone_from(&self.system);
        DatabaseSource::open(&self.application, &options)
    }

    /// A session outside of the instance's database: as the system's role where that works.
    pub fn maintenance(&self) -> Result<Session> {
        let system = self
            .system
            .as_ref()
            .and_then(|system| open_any(system, &MAINTENANCE_DATABASES).ok());
        system.map_or_else(|| open_any(&self.application, &MAINTENANCE_DATABASES), Ok)
    }

    /// A session outside of the instance's database that may change its name: a superuser's where the
    /// system's role is one, else the application's, who owns the database.
    pub fn administrator(&self) -> Result<Session> {
        if let Some(system) = &self.system
            && let Ok(mut session) = open_any(system, &MAINTENANCE_DATABASES)
            && is_superuser(&mut session)?
        {
            return Ok(session);
        }
        open_any(&self.application, &MAINTENANCE_DATABASES)
    }

    /// The same server and roles, another database.
    pub fn to_database(&self, name: &str) -> Self {
        Self {
            application: self.application.with_database(name),
            system: self
                .system
                .as_ref()
                .map(|system| system.with_database(name)),
            ..self.clone()
        }
    }

    /// The server's data directory, where the server runs on this machine and tells it.
    pub fn data_directory(&self) -> Result<Option<PathBuf>> {
        let directory = self.maintenance()?.value(
            "cannot ask the server where it keeps its data",
            "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory' AND (
                pg_catalog.inet_server_addr() IS NULL
                OR pg_catalog.host(pg_catalog.inet_server_addr()) IN ('127.0.0.1', '::1'))",
        )?;
        Ok(directory.map(PathBuf::from).filter(|path| path.is_dir()))
    }

    /// A new database `name` on this server, with `state` instead of the backup's where it is given.
    pub fn target(&self, name: &str, state: Option<DatabaseState>) -> DatabaseTarget {
        let mut options = RestoreOptions::new(
            self.programs.clone(),
            self.surroundings.work_directory.clone(),
        );
        options.jobs = self.jobs;
        options.system.clone_from(&self.system);
        options.state = state;
        // A machine that has lost everything has no roles for reports either; the plan says which are left out.
        options.ignore_missing_roles = true;
        DatabaseTarget::new(self.application.with_database(name), options)
    }

    /// `host:port`
    pub fn server(&self) -> String {
        format!("{}:{}", self.application.host, self.application.port)
    }
}

/// Refuses a database in the middle of a rebuild: it and the files would not fit together. A rebuild that
/// broke off is only warned of, because that state may be just what is to be kept.
pub fn check_status(instance: &Instance, code: Option<&str>) -> Result<Option<String>> {
    let shown = code.unwrap_or_default().trim();
    match SystemStatus::of(code) {
        SystemStatus::Rebuilding if status::build_is_running(&instance.source_path) => {
            Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "the instance `{}` is being rebuilt (status {shown}: {})",
                    instance.name,
                    status::name(shown)
                ),
            )
            .hint("Wait for `ant` to end, then try again."))
        }
        SystemStatus::Rebuilding | SystemStatus::BuildFailed => Ok(Some(format!(
            "the last rebuild of the instance did not end well (status {shown}: {})",
            status::name(shown)
        ))),
        _ => Ok(None),
    }
}

/// A database that lost tables or most of its rows since the last backup deserves a second look.
pub(super) fn shrunken(database: &DatabasePart, parent: &Backup) -> Option<String> {
    let before = parent.manifest.database.as_ref()?;
    if database.tables < before.tables {
        return Some(format!(
            "the database has {} tables; the backup before had {}",
            database.tables, before.tables
        ));
    }
    (database.rows < before.rows / 2).then(|| {
        format!(
            "the database has {} rows; the backup before had {}",
            database.rows, before.rows
        )
    })
}
