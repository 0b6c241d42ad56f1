//! The server, its client programs, the roles, and whether every table can be read.

use super::{Check, Examined};
use crate::command::database::{self, Connection, check_status};
use crate::error::Result;
use crate::instance::Instance;
use crate::postgresql::client::{Session, database_error, get, version_text};
use crate::postgresql::programs::Program;
use crate::postgresql::quote;

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
        creator(&connection),
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

/// Whether a restore, which makes a database beside the present one, may do so.
fn creator(connection: &Connection) -> Check {
    const NAME: &str = "restore role";
    match may_create(connection) {
        Ok((role, true)) => Check::ok(NAME, format!("{role} may create databases")),
        Ok((role, false)) => Check::failure(NAME, format!("{role} may not create databases"))
            .remedy(format!(
                "ALTER ROLE {} CREATEDB, or set bbdd.systemUser and bbdd.systemPassword in Openbravo.properties.",
                quote::name(&role)
            )),
        Err(error) => Check::failed(NAME, &error),
    }
}

fn may_create(connection: &Connection) -> Result<(String, bool)> {
    const WHAT: &str = "cannot see what the role may do";
    let row = connection
        .maintenance()?
        .client
        .query_one(
            "SELECT current_user::text, EXISTS (SELECT FROM pg_catalog.pg_roles \
             WHERE rolname = current_user AND (rolcreatedb OR rolsuper))",
            &[],
        )
        .map_err(|error| database_error(WHAT, error))?;
    Ok((get(&row, 0)?, get(&row, 1)?))
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
