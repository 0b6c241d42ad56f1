//! Making a copy of an instance harmless before it ever starts: nothing runs by itself, nothing is sent, and people
//! see that it is a copy.
//!
//! What is changed stands in one table, by the names of Openbravo 24Q4; a table or column that an instance does not
//! have is passed over. No `updated` is touched: a dictionary row that looks changed would stop the next build.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::error::Result;
use crate::postgresql::Session;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Neutralized {
    /// Each table that was looked at, with how many rows were changed.
    pub changes: Vec<Change>,
    /// Tables that this instance does not have.
    pub absent: Vec<String>,
}

/// One line of what was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The table, or the file.
    pub table: String,
    /// What happened to it, for people.
    pub what: String,
    /// Rows changed.
    pub rows: u64,
}

/// One line of the table of what is changed.
struct Rule {
    table: &'static str,
    what: &'static str,
    effect: Effect,
}

enum Effect {
    /// Columns and the SQL of their new values, in the rows where the condition holds; `columns` are those that the
    /// condition needs besides.
    Set {
        values: &'static [(&'static str, &'static str)],
        columns: &'static [&'static str],
        condition: &'static str,
    },
    /// Every row goes.
    Delete,
}

const fn set(
    table: &'static str,
    what: &'static str,
    values: &'static [(&'static str, &'static str)],
    columns: &'static [&'static str],
    condition: &'static str,
) -> Rule {
    Rule {
        table,
        what,
        effect: Effect::Set {
            values,
            columns,
            condition,
        },
    }
}

const fn delete(table: &'static str, what: &'static str) -> Rule {
    Rule {
        table,
        what,
        effect: Effect::Delete,
    }
}

/// A host that no resolver finds (RFC 2606), so that code which does not look at `isactive` reaches nobody either.
const NOBODY: &str = "'neutralized.invalid'";
const NOWHERE: &str = "'http://neutralized.invalid/'";
const NOTHING: &str = "'neutralized'";
const QUARTZ: &str = "jobs of the scheduler removed";

/// In this order: what refers to something goes before it.
const RULES: &[Rule] = &[
    // The scheduler starts what has this status, active or not; it writes the same when somebody unschedules.
    set(
        "ad_process_request",
        "scheduled background processes unscheduled",
        &[("status", "'UNS'"), ("next_fire_time", "NULL")],
        &["status"],
        "status IN ('SCH', 'MIS')",
    ),
    // Where Quartz keeps its jobs in the database, it starts them without asking the requests.
    delete("obsched_fired_triggers", QUARTZ),
    delete("obsched_simple_triggers", QUARTZ),
    delete("obsched_cron_triggers", QUARTZ),
    delete("obsched_simprop_triggers", QUARTZ),
    delete("obsched_blob_triggers", QUARTZ),
    delete("obsched_triggers", QUARTZ),
    delete("obsched_job_details", QUARTZ),
    set(
        "c_poc_configuration",
        "mail servers switched off",
        &[
            ("isactive", "'N'"),
            ("smtpserver", NOBODY),
            ("smtpserveraccount", "NULL"),
            ("smtpserverpassword", "NULL"),
            ("issmtpauthorization", "'N'"),
        ],
        &[],
        "true",
    ),
    set(
        "ad_client",
        "mail servers of clients switched off",
        &[
            ("smtphost", NOBODY),
            ("requestuser", "NULL"),
            ("requestuserpw", "NULL"),
        ],
        &["smtphost"],
        "smtphost IS NOT NULL",
    ),
    set(
        "c_external_system_http",
        "calls to other systems switched off",
        &[("isactive", "'N'"), ("url", NOWHERE)],
        &[],
        "true",
    ),
    set(
        "c_external_system_http",
        "passwords for other systems removed",
        &[("password", NOTHING)],
        &["password"],
        "password IS NOT NULL",
    ),
    set(
        "c_external_system_http",
        "secrets for other systems removed",
        &[
            ("oauth2_client_secret", NOTHING),
            ("oauth2_auth_server_url", NOWHERE),
        ],
        &["oauth2_client_secret"],
        "oauth2_client_secret IS NOT NULL",
    ),
    set(
        "c_external_system",
        "other systems switched off",
        &[("isactive", "'N'")],
        &[],
        "true",
    ),
    set(
        "c_extbp_config",
        "outside sources of business partners switched off",
        &[("isactive", "'N'"), ("url", NOWHERE), ("password", "NULL")],
        &[],
        "true",
    ),
    // People still log in as they did.
    set(
        "c_auth_provider",
        "tokens for other systems switched off",
        &[("isactive", "'N'")],
        &["flow"],
        "flow <> 'LOGIN'",
    ),
    set(
        "ad_system_info",
        "heartbeat off, purpose of the instance: Testing",
        &[("isheartbeatactive", "'N'"), ("instance_purpose", "'T'")],
        &[],
        "true",
    ),
    // Everybody sees the client's name beside their own in the navigation bar, and in what is printed.
    set(
        "ad_client",
        "clients are called TEST …",
        &[("name", "pg_catalog.left('TEST ' || name, 60)")],
        &["name"],
        "ad_client_id <> '0' AND name NOT LIKE 'TEST %'",
    ),
];

const WHAT: &str = "cannot make the copy harmless";

/// Changes everything in one transaction: all of it or nothing. `session` is the application's role, who owns the
/// tables.
pub fn neutralize(session: &mut Session) -> Result<Neutralized> {
    let mut neutralized = Neutralized::default();
    session.run(WHAT, "BEGIN; SET LOCAL search_path TO DEFAULT")?;
    let done = change(session, &mut neutralized);
    session.run(WHAT, if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done.map(|()| neutralized)
}

fn change(session: &mut Session, neutralized: &mut Neutralized) -> Result<()> {
    for rule in RULES {
        let columns = columns_of(session, rule.table)?;
        if columns.is_empty() {
            if !neutralized.absent.iter().any(|table| table == rule.table) {
                neutralized.absent.push(rule.table.to_owned());
            }
            continue;
        }
        let Some(sql) = statement(rule, &columns) else {
            continue;
        };
        apply(session, neutralized, rule.table, rule.what, &sql)?;
    }
    // Modules bring tables of their own for them.
    for table in webhooks(session)? {
        let name = quote::name(&table);
        let sql = format!("UPDATE {name} SET isactive = 'N' WHERE isactive = 'Y'");
        apply(session, neutralized, &table, "web hooks switched off", &sql)?;
    }
    Ok(())
}

/// The columns of a table that the application finds; none where there is no such table.
fn columns_of(session: &mut Session, table: &str) -> Result<BTreeSet<String>> {
    let rows = session
        .client
        .query(
            "SELECT attname::text FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
            WHERE a.attrelid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'p')
                AND a.attnum > 0 AND NOT a.attisdropped",
            &[&table],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// Tables of web hooks that can be switched off.
fn webhooks(session: &mut Session) -> Result<Vec<String>> {
    let rows = session
        .client
        .query(
            "SELECT c.relname::text FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'isactive'
            WHERE c.relkind = 'r' AND pg_catalog.pg_table_is_visible(c.oid)
                AND c.relname ~ 'webhook' AND NOT a.attisdropped
            ORDER BY 1",
            &[],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// The SQL of a rule for a table with these columns; `None` where nothing of it applies.
fn statement(rule: &Rule, there: &BTreeSet<String>) -> Option<String> {
    let table = quote::name(rule.table);
    match &rule.effect {
        Effect::Delete => Some(format!("DELETE FROM {table}")),
        Effect::Set {
            values,
            columns,
            condition,
        } => {
            if !columns.iter().all(|column| there.contains(*column)) {
                return None;
            }
            let values: Vec<_> = values
                .iter()
                .filter(|(column, _)| there.contains(*column))
                .map(|(column, value)| format!("{} = {value}", quote::name(column)))
                .collect();
            (!values.is_empty())
                .then(|| format!("UPDATE {table} SET {} WHERE {condition}", values.join(", ")))
        }
    }
}

/// Runs `sql` on `table` without its triggers, which may refuse or write into other tables, and puts each back as
/// it was.
fn apply(
    session: &mut Session,
    neutralized: &mut Neutralized,
    table: &str,
    what: &str,
    sql: &str,
) -> Result<()> {
    let rows = session
        .client
        .query(
            "SELECT tgname::text, tgenabled::text FROM pg_catalog.pg_trigger
            WHERE tgrelid = pg_catalog.to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'",
            &[&table],
        )
        .map_err(|error| database_error(WHAT, error))?;
    let quoted = quote::name(table);
    let mut back = String::new();
    for row in &rows {
        let (trigger, state): (String, String) = (get(row, 0)?, get(row, 1)?);
        let trigger = quote::name(&trigger);
        session.run(
            WHAT,
            &format!("ALTER TABLE {quoted} DISABLE TRIGGER {trigger}"),
        )?;
        let how = match state.as_str() {
            "A" => "ENABLE ALWAYS",
            "R" => "ENABLE REPLICA",
            _ => "ENABLE",
        };
        let _ = write!(back, "ALTER TABLE {quoted} {how} TRIGGER {trigger};");
    }
    let changed = session
        .client
        .execute(sql, &[])
        .map_err(|error| database_error(&format!("{WHAT} (table {table})"), error))?;
    session.run(WHAT, &back)?;
    neutralized.changes.push(Change {
        table: table.to_owned(),
        what: what.to_owned(),
        rows: changed,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_columns_that_are_there_are_set() {
        let rule = RULES
            .iter()
            .find(|rule| rule.table == "c_poc_configuration")
            .unwrap();
        assert_eq!(
            statement(rule, &columns(&["isactive", "smtpserver", "other"])).unwrap(),
            "UPDATE \"c_poc_configuration\" SET \"isactive\" = 'N', \"smtpserver\" = 'neutralized.invalid' WHERE true"
        );
        assert_eq!(statement(rule, &columns(&["other"])), None);
        let rule = RULES
            .iter()
            .find(|rule| rule.table == "c_auth_provider")
            .unwrap();
        assert_eq!(statement(rule, &columns(&["isactive"])), None);
    }

    #[test]
    fn no_rule_makes_a_row_look_changed() {
        for rule in RULES {
            if let Effect::Set { values, .. } = &rule.effect {
                assert!(
                    values
                        .iter()
                        .all(|(column, _)| !column.starts_with("updated"))
                );
            }
        }
    }
}
