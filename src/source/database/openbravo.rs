//! What Openbravo's own tables and functions tell of the instance, under the snapshot.

use crate::error::{ErrorKind, Result};
use crate::format::manifest::ModuleVersion;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};

/// What the database knows of the Openbravo in it; everything is absent in a database without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenbravoFacts {
    /// `ad_system_info.system_status`: `RB11` to `RB43` while a rebuild is under way.
    pub system_status: Option<String>,
    /// The version of the module *Core*.
    pub openbravo_version: Option<String>,
    /// Modules and their versions, in the order of their packages.
    pub modules: Vec<ModuleVersion>,
}

/// The names that the application uses are found by its own `search_path`, which ours is not; a failed
/// statement must not end the transaction that holds the snapshot.
pub(super) fn as_application<T>(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    let what = "cannot query the application's tables";
    session.run(
        what,
        "SAVEPOINT application; SET LOCAL search_path TO DEFAULT",
    )?;
    let result = work(session);
    let back = session.run(
        what,
        "ROLLBACK TO SAVEPOINT application; RELEASE SAVEPOINT application",
    );
    let value = result?;
    back?;
    Ok(value)
}

/// Whether the application would find a table, view or the like under that name.
pub(super) fn has_relation(session: &mut Session, name: &str) -> Result<bool> {
    let row = session
        .client
        .query_one("SELECT pg_catalog.to_regclass($1) IS NOT NULL", &[&name])
        .map_err(|error| database_error("cannot look for a table", error))?;
    get(&row, 0)
}

/// The facts; a table that is not Openbravo's although it has the name counts as absent.
pub(super) fn read_facts(session: &mut Session) -> Result<OpenbravoFacts> {
    let mut facts = OpenbravoFacts {
        system_status: optional(session, "ad_system_info", |session| {
            session.value(
                WHAT,
                "SELECT system_status::text FROM ad_system_info LIMIT 1",
            )
        })?
        .flatten(),
        ..OpenbravoFacts::default()
    };
    facts.openbravo_version = optional(session, "ad_module", |session| {
        session.value(
            WHAT,
            "SELECT version::text FROM ad_module WHERE ad_module_id = '0'",
        )
    })?
    .flatten();
    facts.modules = optional(session, "ad_module", read_modules)?.unwrap_or_default();
    Ok(facts)
}

const WHAT: &str = "cannot ask Openbravo's tables";

fn optional<T>(
    session: &mut Session,
    table: &str,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<Option<T>> {
    let result = as_application(session, |session| {
        if has_relation(session, table)? {
            work(session).map(Some)
        } else {
            Ok(None)
        }
    });
    match result {
        // The server understood and refuses: another table of that name, no privilege on it.
        Err(error) if matches!(error.kind(), ErrorKind::Failure | ErrorKind::Denied) => Ok(None),
        other => other,
    }
}

fn read_modules(session: &mut Session) -> Result<Vec<ModuleVersion>> {
    let rows = session
        .client
        .query(
            "SELECT javapackage::text, version::text FROM ad_module
            WHERE javapackage IS NOT NULL AND version IS NOT NULL ORDER BY javapackage COLLATE \"C\", ad_module_id",
            &[],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter()
        .map(|row| {
            Ok(ModuleVersion {
                package: get(row, 0)?,
                version: get(row, 1)?,
            })
        })
        .collect()
}

/// What `ad_db_modified('N')` answers: `N`, or `Y` when functions, triggers or tables were changed other
/// than by Openbravo's own update; `None` without such a function.
///
/// With `'N'` it writes nothing, and in a READ ONLY transaction a changed one could not.
pub(super) fn read_db_modified(session: &mut Session) -> Result<Option<String>> {
    let answer = as_application(session, |session| {
        let known = session.value(
            WHAT,
            "SELECT 'yes'::text WHERE pg_catalog.to_regproc('ad_db_modified') IS NOT NULL",
        )?;
        if known.is_none() {
            return Ok(None);
        }
        session.value(WHAT, "SELECT ad_db_modified('N')::text")
    });
    match answer {
        Err(error) if matches!(error.kind(), ErrorKind::Failure | ErrorKind::Denied) => Ok(None),
        other => other,
    }
}
