//! What belongs to the database itself: how it is created, and what is set on it at the end.

use std::fmt::Write;

use super::facts::{Facts, is_superuser};
use super::plan::{DatabasePlan, RoleMap};
use crate::error::Result;
use crate::format::database::{DatabaseState, Grant, Setting};
use crate::postgresql::Session;
use crate::postgresql::quote::{literal, name};
use crate::source::database::read_state;

/// Stands on a database that a restore has not completed, so that an administrator knows what it is.
const UNFINISHED: &str = "obbackup: a restore into this database is not complete";

/// The values of these parameters are lists whose members are quoted one by one, as `pg_dump` knows.
const LISTS: [&str; 6] = [
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
];

/// `CREATE DATABASE`, marked as not complete.
pub(super) fn create_sql(plan: &DatabasePlan) -> [String; 2] {
    let state = &plan.state;
    let database = name(&plan.database);
    let mut sql = format!(
        "CREATE DATABASE {database} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} \
         LC_CTYPE {}",
        name(&plan.owner),
        literal(&state.encoding),
        literal(&state.collate),
        literal(&state.ctype)
    );
    if plan.server_version >= 150_000 {
        let locale = literal(state.locale.as_deref().unwrap_or(""));
        let _ = match state.locale_provider.as_str() {
            "icu" => write!(sql, " LOCALE_PROVIDER icu ICU_LOCALE {locale}"),
            "builtin" => write!(sql, " LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}"),
            _ => write!(sql, " LOCALE_PROVIDER libc"),
        };
        if let Some(rules) = &state.icu_rules {
            let _ = write!(sql, " ICU_RULES {}", literal(rules));
        }
    }
    if let (Some(tablespace), true) = (&state.tablespace, plan.keep_tablespaces) {
        let _ = write!(sql, " TABLESPACE {}", name(tablespace));
    }
    let comment = format!("COMMENT ON DATABASE {database} IS {}", literal(UNFINISHED));
    [sql, comment]
}

/// Sets everything but encoding, locale, owner and tablespace. The last statement: its commit, which
/// waits for the disk, makes durable what was committed before without waiting.
pub(super) fn apply(session: &mut Session, plan: &DatabasePlan) -> Result<()> {
    apply_mapped(
        session,
        &plan.database,
        &plan.owner,
        &plan.state,
        plan.as_system,
        &plan.roles,
    )
}

/// Gives `database` the settings, privileges, limit and comment of `state`. Its owner is `owner`; only a
/// superuser (`as_system`) can set what was granted by or for other roles.
pub fn apply_state(
    session: &mut Session,
    database: &str,
    owner: &str,
    state: &DatabaseState,
    as_system: bool,
) -> Result<()> {
    apply_mapped(
        session,
        database,
        owner,
        state,
        as_system,
        &RoleMap::default(),
    )
}

/// Gives the database `to` what `from` has of the same, and takes away what only `to` has. What nobody but a
/// superuser can set is left as it is where the session is not one.
pub fn carry_over(session: &mut Session, from: &str, to: &str) -> Result<()> {
    let what = "cannot carry the state of the database over";
    let mut state = read_state(&mut session.client, session.version, from)?;
    let present = read_state(&mut session.client, session.version, to)?;
    let as_system = is_superuser(session)?;
    let me = session
        .value(what, "SELECT current_user::text")?
        .unwrap_or_default();
    if !as_system {
        Facts::take_closed(session, &mut state, |role| role == me)?;
    }
    session.run(what, &format!("ALTER DATABASE {} RESET ALL", name(to)))?;
    let roles = present.settings.iter().filter_map(|set| set.role.as_ref());
    for role in roles.filter(|role| as_system || **role == me) {
        let sql = format!(
            "ALTER ROLE {} IN DATABASE {} RESET ALL",
            name(role),
            name(to)
        );
        session.run(what, &sql)?;
    }
    let object = format!("DATABASE {}", name(to));
    let granted = present.grants.iter().flatten();
    let mut grantees: Vec<_> = granted.filter_map(|it| it.grantee.as_ref()).collect();
    grantees.dedup();
    for role in grantees {
        // What such a role has passed on goes with it.
        let sql = format!("REVOKE ALL ON {object} FROM {} CASCADE", name(role));
        session.run(what, &sql)?;
    }
    if state.grants.is_none() && present.grants.is_some() {
        // What the server grants by itself.
        let sql = format!(
            "REVOKE ALL ON {object} FROM PUBLIC; GRANT ALL ON {object} TO {}; \
             GRANT CONNECT, TEMPORARY ON {object} TO PUBLIC",
            name(&present.owner)
        );
        session.run(what, &sql)?;
    }
    if present.is_template && !state.is_template {
        session.run(what, &format!("ALTER {object} IS_TEMPLATE false"))?;
    }
    apply_state(session, to, &present.owner, &state, as_system)
}

fn apply_mapped(
    session: &mut Session,
    database: &str,
    owner: &str,
    state: &DatabaseState,
    as_system: bool,
    roles: &RoleMap,
) -> Result<()> {
    let what = "cannot set the state of the database";
    let quoted = name(database);
    for setting in &state.settings {
        if let Some(sql) = setting_sql(&quoted, setting, roles) {
            session.run(what, &sql)?;
        }
    }
    let object = format!("DATABASE {quoted}");
    if let Some(grants) = &state.grants {
        session.run(what, &grants_for(&object, owner, grants, as_system, roles))?;
    }
    if state.connection_limit >= -1 {
        session.run(
            what,
            &format!("ALTER {object} CONNECTION LIMIT {}", state.connection_limit),
        )?;
    }
    if state.is_template {
        session.run(what, &format!("ALTER {object} IS_TEMPLATE true"))?;
    }
    let comment = state.comment.as_deref().map_or("NULL".to_owned(), literal);
    session.run(
        what,
        &format!("SET synchronous_commit = on; COMMENT ON {object} IS {comment}"),
    )
}

fn setting_sql(database: &str, setting: &Setting, roles: &RoleMap) -> Option<String> {
    let subject = match &setting.role {
        None => format!("DATABASE {database}"),
        Some(role) => format!(
            "ROLE {} IN DATABASE {database}",
            name(&roles.grantee(role)?)
        ),
    };
    let is_list = LISTS
        .iter()
        .any(|list| setting.name.eq_ignore_ascii_case(list));
    let value = if is_list {
        let members: Vec<_> = list_members(&setting.value)
            .iter()
            .map(|member| literal(member))
            .collect();
        if members.is_empty() {
            "''".to_owned()
        } else {
            members.join(", ")
        }
    } else {
        literal(&setting.value)
    };
    // A parameter of an extension has a dot, which is none of its name's.
    let parameter: Vec<_> = setting.name.split('.').map(name).collect();
    Some(format!(
        "ALTER {subject} SET {} TO {value}",
        parameter.join(".")
    ))
}

/// The members of a list as it is stored: names that are in double quotes where they need to be.
fn list_members(list: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut member = String::new();
    let mut is_quoted = false;
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                member.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => members.push(std::mem::take(&mut member)),
            _ if !is_quoted && character.is_whitespace() => {}
            _ => member.push(character),
        }
    }
    if !member.is_empty() || !members.is_empty() {
        members.push(member);
    }
    members
}

/// Puts `grants` in the place of what the server grants by itself.
pub(super) fn grants_sql(
    object: &str,
    owner: &str,
    grants: &[Grant],
    plan: &DatabasePlan,
) -> String {
    grants_for(object, owner, grants, plan.as_system, &plan.roles)
}

fn grants_for(
    object: &str,
    owner: &str,
    grants: &[Grant],
    as_system: bool,
    roles: &RoleMap,
) -> String {
    let mut sql = format!(
        "REVOKE ALL ON {object} FROM PUBLIC; REVOKE ALL ON {object} FROM {};",
        name(owner)
    );
    for grant in grants {
        let grantee = match &grant.grantee {
            None => "PUBLIC".to_owned(),
            Some(role) => match roles.grantee(role) {
                Some(role) => name(&role),
                None => continue,
            },
        };
        let option = if grant.grantable && grantee != "PUBLIC" && grantee != name(owner) {
            " WITH GRANT OPTION"
        } else {
            ""
        };
        let statement = format!(
            "GRANT {} ON {object} TO {grantee}{option};",
            grant.privilege
        );
        let grantor = roles.owner(&grant.grantor);
        if grantor == owner {
            sql.push_str(&statement);
        } else if as_system {
            let _ = write!(sql, "SET ROLE {}; {statement} RESET ROLE;", name(&grantor));
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: &str, role: Option<&str>) -> String {
        let setting = Setting {
            role: role.map(str::to_owned),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        setting_sql("\"db\"", &setting, &RoleMap::default()).unwrap()
    }

    #[test]
    fn lists_are_quoted_by_member_and_other_values_as_a_whole() {
        assert_eq!(
            setting("search_path", "\"$user\", public, \"a, \"\"b\"", None),
            "ALTER DATABASE \"db\" SET \"search_path\" TO '$user', 'public', 'a, \"b'"
        );
        assert_eq!(
            setting("search_path", "\"\"", None),
            "ALTER DATABASE \"db\" SET \"search_path\" TO ''"
        );
        assert_eq!(
            setting("my.key", "it's, so", Some("r\"x")),
            "ALTER ROLE \"r\"\"x\" IN DATABASE \"db\" SET \"my\".\"key\" TO 'it''s, so'"
        );
    }

    #[test]
    fn grants_replace_the_defaults() {
        let grant = |grantor: &str, grantee: Option<&str>, grantable| Grant {
            grantor: grantor.to_owned(),
            grantee: grantee.map(str::to_owned),
            privilege: "CONNECT".to_owned(),
            grantable,
        };
        let grants = [
            grant("me", None, false),
            grant("me", Some("a"), true),
            grant("a", Some("b"), false),
        ];
        let sql = |as_system| {
            grants_for(
                "DATABASE \"x\"",
                "me",
                &grants,
                as_system,
                &RoleMap::default(),
            )
        };
        assert_eq!(
            sql(true),
            "REVOKE ALL ON DATABASE \"x\" FROM PUBLIC; REVOKE ALL ON DATABASE \"x\" FROM \"me\";\
             GRANT CONNECT ON DATABASE \"x\" TO PUBLIC;\
             GRANT CONNECT ON DATABASE \"x\" TO \"a\" WITH GRANT OPTION;\
             SET ROLE \"a\"; GRANT CONNECT ON DATABASE \"x\" TO \"b\"; RESET ROLE;"
        );
        assert!(!sql(false).contains("SET ROLE"));
    }
}
