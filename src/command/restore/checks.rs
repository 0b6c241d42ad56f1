//! What could stand in the way of a restore in place, looked at before anything is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Control, Job, RestorePlan};
use crate::command::database::Connection;
use crate::command::doctor::{Check, Health};
use crate::command::room::{self, Rooms};
use crate::error::{Error, ErrorKind, Result};
use crate::postgresql::Session;
use crate::postgresql::client::{admits, connect, database_error, get};
use crate::postgresql::quote;
use crate::target::database::{is_superuser, standing};
use crate::wording::{counted, size};

/// Rows that were written after the backup and would be lost from what is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newer {
    /// The table.
    pub table: String,
    /// Rows created or changed since; absent where counting them would take too long.
    pub rows: Option<u64>,
}

/// The tables by which people know what they have done.
const DOCUMENTS: &[&str] = &[
    "c_order",
    "c_invoice",
    "m_inout",
    "fin_payment",
    "gl_journal",
    "m_movement",
    "ad_session",
];
/// Nobody waits longer for a plan.
const COUNT_TIMEOUT: &str = "SET statement_timeout = '15s'";
/// Names of the checks that decide the kind of a refusal.
const ROOM: &str = "room";
const SESSIONS: &str = "sessions";
const WHAT: &str = "cannot look at what the restore needs";

/// An error that names everything that stands in the way.
pub(super) fn refuse(plan: &RestorePlan) -> Result<()> {
    let failures: Vec<&Check> = plan
        .checks
        .iter()
        .filter(|check| check.result == Health::Failure)
        .collect();
    let Some(first) = failures.first() else {
        return Ok(());
    };
    let kind = match first.name.as_str() {
        ROOM => ErrorKind::NoSpace,
        SESSIONS => ErrorKind::Locked,
        _ => ErrorKind::Denied,
    };
    let found: Vec<_> = failures.iter().map(|check| check.found.as_str()).collect();
    let remedies: Vec<_> = failures
        .iter()
        .filter_map(|check| check.remedy.as_deref())
        .collect();
    Err(Error::new(
        kind,
        format!("the restore cannot be done: {}", found.join("; ")),
    )
    .hint(remedies.join(" ")))
}

/// Looks at everything and changes nothing.
pub(super) fn look(job: &Job<'_>, control: Control<'_>, plan: &mut RestorePlan) -> Result<()> {
    let mut checks = Checks(Vec::new());
    checks.application(control);
    let mut rooms = Rooms::default();
    if let Some((_, planned)) = &plan.target {
        let connection = job.connection()?;
        let mut session = connection.administrator()?;
        let new = planned.database.as_str();
        checks.admission(&connection, new);
        let live = plan.database.as_ref().and_then(|one| one.replaces.clone());
        if let Some(live) = &live {
            checks.rights(&mut session, live)?;
            checks.sessions(&mut session, live, control)?;
            checks.prepared(&mut session, live)?;
            checks.replication(&mut session, live)?;
            let looked = publications(&connection)
                .and_then(|found| Ok((found, newer(&connection, job.manifest().started_at)?)));
            match looked {
                Ok((found, newer)) => {
                    checks.publications(found);
                    plan.newer = newer;
                }
                // It may be what the restore is to mend.
                Err(error) => checks
                    .0
                    .push(Check::failed("live database", &error).tolerated()),
            }
        }
        let bytes = plan.database.as_ref().map_or(0, |database| database.bytes);
        checks.archiving(&mut session, bytes)?;
        checks.database_room(
            &mut session,
            &connection,
            live.as_deref(),
            bytes,
            &mut rooms,
        )?;
    }
    for files in &plan.files {
        let Some(stage) = &files.stage else { continue };
        let bytes = room::of_files(files.files, files.bytes);
        rooms.add(stage.area(), files.part.word(), bytes)?;
        if stage.is_elsewhere()? {
            rooms.add(&stage.areas.root, files.part.word(), bytes)?;
            checks.add(
                "copies",
                Health::Warning,
                format!(
                    "`{}` is on another file system than every place for its old and new state: its {} are copied \
                     while the application is down",
                    stage.areas.root.display(),
                    files.part
                ),
                None,
            );
        }
    }
    plan.room = rooms.into_list();
    for room in &plan.room {
        let found = format!(
            "`{}`: about {} needed beside what is there, {} free",
            room.place.display(),
            size(room.needed_bytes),
            size(room.free_bytes)
        );
        if room.needed_bytes > room.free_bytes && plan.keeps_old {
            let remedy = "Free room there, or give up the old state with --in-place.";
            checks.add(ROOM, Health::Failure, found, Some(remedy));
        } else if room.needed_bytes > room.free_bytes {
            let remedy = "What is deleted first has to make up for that.";
            checks.add(ROOM, Health::Warning, found, Some(remedy));
        } else {
            checks.add(ROOM, Health::Ok, found, None);
        }
    }
    plan.checks = checks.0;
    Ok(())
}

struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: &str, result: Health, found: impl Into<String>, remedy: Option<&str>) {
        self.0.push(Check {
            name: name.to_owned(),
            result,
            found: found.into(),
            remedy: remedy.map(str::to_owned),
        });
    }

    fn application(&mut self, control: Control<'_>) {
        match control.application {
            Some(application) => self.add("application", Health::Ok, application.name(), None),
            None => self.add(
                "application",
                Health::Warning,
                "no Tomcat was found: it is neither stopped nor started nor asked",
                Some("Stop it before, or set `base`, or `stop` and `start`, under [tomcat] in obbackup.toml."),
            ),
        }
    }

    /// `pg_hba.conf` is asked before the database is looked for: so one that is not there yet will do.
    fn admission(&mut self, connection: &Connection, new: &str) {
        for role in [Some(&connection.application), connection.system.as_ref()] {
            let Some(role) = role else { continue };
            match admits(&role.with_database(new)) {
                Ok(()) => self.add(
                    "admission",
                    Health::Ok,
                    format!("role `{}` may connect to databases of new names", role.user),
                    None,
                ),
                Err(error) => self.add(
                    "admission",
                    Health::Failure,
                    format!("role `{}` may not connect to the new database: {error}", role.user),
                    Some("Let it connect to all databases, in pg_hba.conf of the server, at least while the restore runs."),
                ),
            }
        }
    }

    fn rights(&mut self, session: &mut Session, live: &str) -> Result<()> {
        let row = session
            .client
            .query_one(
                "SELECT current_user::text, r.rolsuper, r.rolcreatedb, pg_catalog.pg_has_role(d.datdba, 'MEMBER'), \
                 pg_catalog.pg_get_userbyid(d.datdba)::text \
                 FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
                 WHERE r.rolname = current_user AND d.datname = $1",
                &[&live],
            )
            .map_err(|error| database_error(WHAT, error))?;
        let (role, owner): (String, String) = (get(&row, 0)?, get(&row, 4)?);
        let (superuser, creates, owns): (bool, bool, bool) =
            (get(&row, 1)?, get(&row, 2)?, get(&row, 3)?);
        let system = "Or give a superuser as system role (bbdd.systemUser).";
        if superuser || (creates && owns) {
            self.add(
                "rights",
                Health::Ok,
                format!("role `{role}` may rename database `{live}`"),
                None,
            );
        }
        if !superuser && !owns {
            self.add(
                "rights",
                Health::Failure,
                format!("database `{live}` belongs to `{owner}`: role `{role}` may not rename it"),
                Some(&format!(
                    "ALTER DATABASE {} OWNER TO {}. {system}",
                    quote::name(live),
                    quote::name(&role)
                )),
            );
        }
        if !superuser && !creates {
            self.add(
                "rights",
                Health::Failure,
                format!("role `{role}` may not create and rename databases"),
                Some(&format!(
                    "ALTER ROLE {} CREATEDB. {system}",
                    quote::name(&role)
                )),
            );
        }
        Ok(())
    }

    fn sessions(&mut self, session: &mut Session, live: &str, control: Control<'_>) -> Result<()> {
        let connected = match control.application {
            Some(_) => standing::connected(session, live)?,
            // Who is just leaving is in nobody's way.
            None => standing::staying(session, live)?,
        };
        let superuser = is_superuser(session)?;
        let mut who = BTreeMap::<String, u64>::new();
        let mut stay = BTreeMap::<String, u64>::new();
        for one in &connected {
            if !superuser && (one.is_superuser || !one.may_be_ended) {
                *stay.entry(one.name()).or_default() += 1;
            }
            *who.entry(one.name()).or_default() += 1;
        }
        let list = |who: &BTreeMap<String, u64>| {
            let all: Vec<_> = who
                .iter()
                .map(|(name, n)| format!("{n} of {name}"))
                .collect();
            all.join(", ")
        };
        if !stay.is_empty() {
            self.add(
                SESSIONS,
                Health::Failure,
                format!("sessions that this role may not end: {}", list(&stay)),
                Some("End them, or give a superuser as system role (bbdd.systemUser)."),
            );
        } else if connected.is_empty() {
            self.add(SESSIONS, Health::Ok, "nobody is connected", None);
        } else if control.application.is_none() {
            self.add(
                SESSIONS,
                Health::Failure,
                format!(
                    "database `{live}` has {} ({})",
                    counted(connected.len() as u64, "connection"),
                    list(&who)
                ),
                Some("Stop Tomcat and whatever else uses the database, then try again."),
            );
        } else {
            self.add(
                SESSIONS,
                Health::Ok,
                format!("will be ended: {}", list(&who)),
                None,
            );
        }
        Ok(())
    }

    fn prepared(&mut self, session: &mut Session, live: &str) -> Result<()> {
        let rows = session
            .client
            .query(
                "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1",
                &[&live],
            )
            .map_err(|error| database_error(WHAT, error))?;
        let names = texts(&rows)?;
        if !names.is_empty() {
            self.add(
                "prepared transactions",
                Health::Failure,
                format!(
                    "database `{live}` has prepared transactions, which keep it from being renamed: {}",
                    names.join(", ")
                ),
                Some("COMMIT PREPARED or ROLLBACK PREPARED each of them."),
            );
        }
        Ok(())
    }

    fn replication(&mut self, session: &mut Session, live: &str) -> Result<()> {
        let query = |session: &mut Session, sql: &str| -> Result<Vec<String>> {
            let rows = session
                .client
                .query(sql, &[&live])
                .map_err(|error| database_error(WHAT, error))?;
            texts(&rows)
        };
        let slots = query(
            session,
            "SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE database = $1",
        )?;
        if !slots.is_empty() {
            self.add(
                "replication",
                Health::Warning,
                format!(
                    "replication slots stay with the old database, which cannot be removed while they are there: {}",
                    slots.join(", ")
                ),
                Some("Whoever reads them needs new ones after the restore."),
            );
        }
        let subscriptions = query(
            session,
            "SELECT s.subname::text FROM pg_catalog.pg_subscription s \
             JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1",
        );
        // Not everybody may see them.
        let subscriptions = subscriptions.unwrap_or_default();
        if !subscriptions.is_empty() {
            self.add(
                "replication",
                Health::Warning,
                format!(
                    "subscriptions stay with the old database: {}",
                    subscriptions.join(", ")
                ),
                Some("Disable them before, and create them in the restored database."),
            );
        }
        Ok(())
    }

    fn publications(&mut self, publications: Option<String>) {
        if let Some(publications) = publications {
            self.add(
                "replication",
                Health::Warning,
                format!("who subscribes to publications here loses them: {publications}"),
                Some("Refresh the subscriptions after the restore."),
            );
        }
    }

    fn archiving(&mut self, session: &mut Session, bytes: u64) -> Result<()> {
        let mode = session.value(WHAT, "SHOW archive_mode")?;
        if mode.is_some_and(|mode| mode != "off") {
            self.add(
                "archiving",
                Health::Warning,
                format!(
                    "the server archives its log: the restore writes about {} of it",
                    size(2 * bytes)
                ),
                Some("See that the archive has room, and keeps up."),
            );
        }
        Ok(())
    }

    /// The server's directories can be seen only where the server is this machine.
    fn database_room(
        &mut self,
        session: &mut Session,
        connection: &Connection,
        live: Option<&str>,
        bytes: u64,
        rooms: &mut Rooms,
    ) -> Result<()> {
        let live_size: Option<i64> = match live {
            Some(live) => {
                let row = session
                    .client
                    .query_one("SELECT pg_catalog.pg_database_size($1::name)", &[&live])
                    .map_err(|error| database_error(WHAT, error))?;
                get(&row, 0)?
            }
            None => None,
        };
        let live_bytes = live_size
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(0);
        let tablespace = session.client.query_opt(
            "SELECT nullif(pg_catalog.pg_tablespace_location(dattablespace), '') \
             FROM pg_catalog.pg_database WHERE datname = $1",
            &[&live.unwrap_or_default()],
        );
        let tablespace = match tablespace.map_err(|error| database_error(WHAT, error))? {
            Some(row) => get::<Option<String>>(&row, 0)?,
            None => None,
        };
        // Closed to roles without the right to read all settings.
        let directory = tablespace.or_else(|| {
            session
                .value(WHAT, "SHOW data_directory")
                .unwrap_or_default()
        });
        let host = connection.application.host.as_str();
        let is_here = host.starts_with('/')
            || host == "localhost"
            || host
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        let here = directory
            .map(PathBuf::from)
            .filter(|directory| is_here && directory.is_dir());
        if let Some(directory) = here {
            return rooms.add(&directory, "database", room::of_database(bytes));
        }
        self.add(
            ROOM,
            Health::Warning,
            format!(
                "the room on the database's server cannot be seen from here; it needs about {}",
                size(live_bytes.max(bytes))
            ),
            Some("See that its disk has room for the old and the new database together."),
        );
        Ok(())
    }
}

fn publications(connection: &Connection) -> Result<Option<String>> {
    Session::open(&connection.application)?.value(
        WHAT,
        "SELECT string_agg(pubname::text, ', ') FROM pg_catalog.pg_publication",
    )
}

/// What people did since the backup, by the application's own clock: its columns have no time zone.
fn newer(connection: &Connection, since: DateTime<Utc>) -> Result<Vec<Newer>> {
    let mut client = connect(&connection.application)?;
    client
        .batch_execute(COUNT_TIMEOUT)
        .map_err(|error| database_error(WHAT, error))?;
    let mut found = Vec::new();
    for table in DOCUMENTS {
        let row = client
            .query_one(
                "SELECT count(*) FROM pg_catalog.pg_attribute \
                 WHERE attrelid = pg_catalog.to_regclass($1) AND attname IN ('created', 'updated')",
                &[table],
            )
            .map_err(|error| database_error(WHAT, error))?;
        if get::<i64>(&row, 0)? < 2 {
            continue;
        }
        let seconds = since.timestamp();
        let counted = client.query_one(
            &format!(
                "SELECT count(*) FROM {table} WHERE greatest(created, updated) \
                 > pg_catalog.to_timestamp({seconds})::timestamp"
            ),
            &[],
        );
        let rows = match counted {
            Ok(row) => u64::try_from(get::<i64>(&row, 0)?).ok(),
            // Too long, or not for this role to see: no reason to refuse a plan.
            Err(_) => None,
        };
        if rows != Some(0) {
            found.push(Newer {
                table: (*table).to_owned(),
                rows,
            });
        }
    }
    Ok(found)
}

fn texts(rows: &[postgres::Row]) -> Result<Vec<String>> {
    rows.iter().map(|row| get(row, 0)).collect()
}
