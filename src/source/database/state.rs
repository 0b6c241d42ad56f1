//! What belongs to the database itself, read from the server's shared catalogs.

use postgres::Client;

use crate::error::{Error, ErrorKind, Result};
use crate::format::database::{DatabaseState, Grant, Setting};
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;

const WHAT: &str = "cannot read the state of the database";

/// The state of `database`, which need not be the one connected to.
pub fn read_state(client: &mut Client, version: u32, database: &str) -> Result<DatabaseState> {
    // Providers and their locales came one by one.
    let provider = match version {
        170_000.. => "d.datlocprovider::text, d.datlocale, d.daticurules",
        160_000.. => "d.datlocprovider::text, d.daticulocale, d.daticurules",
        150_000.. => "d.datlocprovider::text, d.daticulocale, NULL::text",
        _ => "'c', NULL::text, NULL::text",
    };
    let grants = grants_as_json("d.datacl");
    let row = client
        .query_opt(
            &format!(
                "SELECT d.oid, pg_catalog.pg_get_userbyid(d.datdba)::text,
                    pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text,
                    d.datctype::text, nullif(t.spcname, 'pg_default')::text, d.datconnlimit,
                    d.datistemplate, pg_catalog.shobj_description(d.oid, 'pg_database'),
                    {grants}, {provider}
                FROM pg_catalog.pg_database d
                LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
                WHERE d.datname = $1"
            ),
            &[&database],
        )
        .map_err(|error| database_error(WHAT, error))?
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                format!("there is no database `{database}`"),
            )
        })?;
    let provider: String = get(&row, 10)?;
    let oid: u32 = get(&row, 0)?;
    Ok(DatabaseState {
        name: database.to_owned(),
        owner: get(&row, 1)?,
        encoding: get(&row, 2)?,
        collate: get(&row, 3)?,
        ctype: get(&row, 4)?,
        tablespace: get(&row, 5)?,
        connection_limit: get(&row, 6)?,
        is_template: get(&row, 7)?,
        comment: get(&row, 8)?,
        grants: parse_grants(get(&row, 9)?)?,
        locale_provider: match provider.as_str() {
            "i" => "icu",
            "b" => "builtin",
            _ => "libc",
        }
        .to_owned(),
        locale: get(&row, 11)?,
        icu_rules: get(&row, 12)?,
        settings: read_settings(client, oid)?,
    })
}

fn read_settings(client: &mut Client, oid: u32) -> Result<Vec<Setting>> {
    let rows = client
        .query(
            "SELECT r.rolname::text, s.entry
            FROM pg_catalog.pg_db_role_setting d
            LEFT JOIN pg_catalog.pg_roles r ON r.oid = d.setrole
            CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) WITH ORDINALITY s(entry, n)
            WHERE d.setdatabase = $1 AND (d.setrole = 0 OR r.oid IS NOT NULL)
            ORDER BY r.rolname NULLS FIRST, s.n",
            &[&oid],
        )
        .map_err(|error| database_error(WHAT, error))?;
    rows.iter()
        .map(|row| {
            let entry: String = get(row, 1)?;
            let (name, value) = entry.split_once('=').unwrap_or((&entry, ""));
            Ok(Setting {
                role: get(row, 0)?,
                name: name.to_owned(),
                value: value.to_owned(),
            })
        })
        .collect()
}

/// SQL for an access control list as JSON of [`Grant`]s; NULL where it is the server's default.
pub(super) fn grants_as_json(list: &str) -> String {
    format!(
        "CASE WHEN {list} IS NOT NULL THEN (
            SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                'grantor', pg_catalog.pg_get_userbyid(x.grantor),
                'grantee', CASE WHEN x.grantee <> 0 THEN pg_catalog.pg_get_userbyid(x.grantee) END,
                'privilege', x.privilege_type,
                'grantable', x.is_grantable) ORDER BY x.n), '[]')::text
            FROM pg_catalog.aclexplode({list})
                WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, n)) END"
    )
}

/// What [`grants_as_json`] gives.
pub(super) fn parse_grants(json: Option<String>) -> Result<Option<Vec<Grant>>> {
    json.map(|json| {
        serde_json::from_str(&json)
            .map_err(|error| Error::new(ErrorKind::Failure, WHAT).source(error))
    })
    .transpose()
}

/// `WHERE` condition for schemas that are the server's own.
pub(super) fn own_schemas(namespace: &str) -> String {
    format!(
        "{namespace}.nspname !~ {} AND {namespace}.nspname <> 'information_schema'",
        quote::literal("^pg_")
    )
}
