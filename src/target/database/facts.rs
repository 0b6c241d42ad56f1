//! What the server has that a restore needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::format::database::DatabaseState;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};

const WHAT: &str = "cannot plan the restore of the database";

/// What the server has.
pub(super) struct Facts {
    pub version: u32,
    pub roles: BTreeSet<String>,
    /// Roles whose objects the connecting role may create.
    pub mine: BTreeSet<String>,
    pub tablespaces: BTreeSet<String>,
    /// Extensions, and whether a role that owns the database may create them.
    pub extensions: BTreeMap<String, bool>,
    pub may_create_databases: bool,
}

impl Facts {
    pub fn read(session: &mut Session, as_system: bool) -> Result<Self> {
        let trusted = if session.version >= 130_000 {
            "bool_or(trusted)"
        } else {
            "false"
        };
        let extensions = names(
            session,
            &format!(
                "SELECT name::text, {trusted} FROM pg_catalog.pg_available_extension_versions
                GROUP BY name"
            ),
        )?;
        let roles = names(
            session,
            "SELECT rolname::text, pg_catalog.pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles",
        )?;
        let tablespaces = names(
            session,
            "SELECT spcname::text, pg_catalog.has_tablespace_privilege(oid, 'CREATE')
            FROM pg_catalog.pg_tablespace",
        )?;
        let may_create = session.value(
            WHAT,
            "SELECT 'yes'::text FROM pg_catalog.pg_roles
            WHERE rolname = current_user AND (rolcreatedb OR rolsuper)",
        )?;
        Ok(Self {
            version: session.version,
            mine: granted(&roles),
            roles: roles.into_keys().collect(),
            tablespaces: if as_system {
                tablespaces.into_keys().collect()
            } else {
                granted(&tablespaces)
            },
            extensions,
            may_create_databases: may_create.is_some(),
        })
    }

    /// Takes what nobody but a superuser can set out of `state`, and says what it is. `is_own` knows the
    /// names that the connecting role has in the backup.
    pub fn take_closed(
        session: &mut Session,
        state: &mut DatabaseState,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>> {
        let open = names(
            session,
            "SELECT lower(name), context IN ('user', 'backend') FROM pg_catalog.pg_settings",
        )?;
        let mut taken = Vec::new();
        state.settings.retain(|setting| {
            let of_another = setting.role.as_deref().is_some_and(|role| !is_own(role));
            let is_open = !of_another && open.get(&setting.name.to_lowercase()) == Some(&true);
            if !is_open {
                let whose = match &setting.role {
                    Some(role) => format!(" of role `{role}`"),
                    None => String::new(),
                };
                taken.push(format!(
                    "setting `{}`{whose}: only a superuser may make it",
                    setting.name
                ));
            }
            is_open
        });
        let owner = state.owner.clone();
        if let Some(grants) = &mut state.grants {
            grants.retain(|grant| {
                let is_open = grant.grantor == owner || is_own(&grant.grantor);
                if !is_open {
                    taken.push(format!(
                        "privilege {} on the database: role `{}` granted it",
                        grant.privilege, grant.grantor
                    ));
                }
                is_open
            });
        }
        Ok(taken)
    }
}

fn names(session: &mut Session, sql: &str) -> Result<BTreeMap<String, bool>> {
    let rows = session
        .client
        .query(sql, &[])
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter()
        .map(|row| Ok((get(row, 0)?, get(row, 1)?)))
        .collect()
}

fn granted(names: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let granted = names.iter().filter(|(_, granted)| **granted);
    granted.map(|(name, _)| name.clone()).collect()
}

/// Whether the session is a superuser's.
pub fn is_superuser(session: &mut Session) -> Result<bool> {
    Ok(session.value(WHAT, "SHOW is_superuser")?.as_deref() == Some("on"))
}
