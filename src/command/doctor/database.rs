//! The server, its client programs, the roles, and whether every table can be read.

use super::{Check, Examined};
use crate::command::database::{self, Connection, check_status};
use crate::error::Result;
use crate::instance::Instance;
use crate::postgresql::client::{Session, version_text};
use crate::postgresql::programs::Program;

/// In the order in which a backup needs them; without a connection the rest is unknown.
pub(super) fn checks(examined: &Examined<'_>) -> Vec<Check> {
    let instance = examined.instance;
    let connected = database::connect(instance, examined.surroundings).and_then(|connection| {
        let version = Session::open(&connection.application)?.version;
        Ok((connection, version))
    });
    let (connection, version) = match connected {
        Ok(connected) => connected,
        Err(error) => return vec![Check::failed("database", &error)],
    };
    let mut checks = vec![
        Check::ok(
            "database",
            format!(
                "{} on {} as {}, PostgreSQL {}",
                connection.application.database,
                connection.server(),
                connection.application.user,
                version_text(version)
            ),
        ),
        program("pg_dump", connection.programs.pg_dump(version)),
        program(
            "pg_restore",
            connection.programs.pg_restore(version, version),
        ),
        system_role(&connection),
    ];
    checks.extend(tables(instance, &connection));
    checks
}

fn program(name: &str, found: Result<Program>) -> Check {
    match found {
        Ok(program) => Check::ok(
            name,
            format!(
                "{} ({})",
                program.path.display(),
                version_text(program.version)
            ),
        ),
        Err(error) => Check::failed(name, &error),
    }
}

fn system_role(connection: &Connection) -> Check {
    const NAME: &str = "system role";
    let Some(system) = &connection.system else {
        return Check::warning(
            NAME,
            "none is set; extensions and objects of other owners cannot be restored",
        )
        .remedy("Set bbdd.systemUser and bbdd.systemPassword in Openbravo.properties.");
    };
    match Session::open(system) {
        Ok(_) => Check::ok(NAME, &system.user),
        Err(error) => Check::failed(NAME, &error).tolerated(),
    }
}

fn tables(instance: &Instance, connection: &Connection) -> Vec<Check> {
    const STATUS: &str = "system status";
    let read = connection.open().and_then(|mut source| {
        let tables = source.tables();
        Ok((tables, source.openbravo_facts()?))
    });
    let (tables, facts) = match read {
        Ok(read) => read,
        Err(error) => return vec![Check::failed("tables", &error)],
    };
    let status = match check_status(instance, facts.system_status.as_deref()) {
        Ok(None) => Check::ok(
            STATUS,
            facts
                .system_status
                .unwrap_or_else(|| "not kept by this database".to_owned()),
        ),
        Ok(Some(warning)) => Check::warning(STATUS, warning),
        Err(error) => Check::failed(STATUS, &error),
    };
    vec![
        Check::ok("tables", format!("all {tables} can be read")),
        status,
    ]
}
