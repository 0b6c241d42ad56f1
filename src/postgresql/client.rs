//! Connections, their settings, and the server's errors in words that help.

use std::io::BufRead as _;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::address::DatabaseAddress;
use crate::error::{Error, ErrorKind, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

/// What `pg_dump` sets so that text comes out the same whatever the database, the role or the server
/// prefer, and what keeps the administrator's limits for the application from ending our work.
const SETTINGS: &str = "
    SET client_encoding = 'UTF8';
    SET standard_conforming_strings = on;
    SET search_path = '';
    SET DateStyle = 'ISO, YMD';
    SET IntervalStyle = 'postgres';
    SET TimeZone = 'UTC';
    SET extra_float_digits = 3;
    SET bytea_output = 'hex';
    SET lc_monetary = 'C';
    SET xmloption = content;
    SET row_security = off;
    SET synchronize_seqscans = off;
    SET statement_timeout = 0;
    SET lock_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET default_transaction_read_only = off;
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = warning;
    SET jit = off;
    SET max_parallel_workers_per_gather = 0;
";

/// A connection, with the settings that make it read and write text the same way everywhere.
pub struct Session {
    /// The connection.
    pub client: Client,
    /// The server's `server_version_num`.
    pub version: u32,
}

impl Session {
    /// Connects and fixes the settings.
    pub fn open(address: &DatabaseAddress) -> Result<Self> {
        let mut client = connect(address)?;
        let version = server_version(&mut client)?;
        if version < OLDEST_SERVER {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!(
                    "the server of {address} is PostgreSQL {}",
                    version_text(version)
                ),
            )
            .hint("PostgreSQL 12 or newer is needed."));
        }
        let mut settings = SETTINGS.to_owned();
        if version >= 140_000 {
            settings.push_str("SET idle_session_timeout = 0;");
        }
        if version >= 170_000 {
            settings.push_str("SET transaction_timeout = 0;");
        }
        client
            .batch_execute(&settings)
            .map_err(|error| database_error("cannot prepare the connection", error))?;
        Ok(Self { client, version })
    }

    /// Runs statements that return nothing; `what` is what cannot be done when it fails.
    pub fn run(&mut self, what: &str, sql: &str) -> Result<()> {
        self.client
            .batch_execute(sql)
            .map_err(|error| database_error(what, error))
    }

    /// The single text value of a query, `None` for NULL or no row.
    pub fn value(&mut self, what: &str, sql: &str) -> Result<Option<String>> {
        let row = self
            .client
            .query_opt(sql, &[])
            .map_err(|error| database_error(what, error))?;
        row.map_or(Ok(None), |row| get(&row, 0))
    }

    /// Hands each row of a query to `row`: COPY text in UTF-8 without the line end, for
    /// [`super::copy_text::fields`].
    pub fn stream(
        &mut self,
        what: &str,
        query: &str,
        mut row: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut copy = self
            .client
            .copy_out(&format!("COPY ({query}) TO STDOUT (ENCODING 'UTF8')"))
            .map_err(|error| database_error(what, error))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = copy
                .read_until(b'\n', &mut line)
                .map_err(|error| stream_error(what, error))?;
            if read == 0 {
                return Ok(());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            row(&line)?;
        }
    }
}

/// Nothing older is tested.
const OLDEST_SERVER: u32 = 120_000;

/// Connects, or says why not.
///
/// The session has the settings of the role and the database: what the application sees.
pub fn connect(address: &DatabaseAddress) -> Result<Client> {
    configuration(address)?
        .connect(NoTls)
        .map_err(|error| connect_error(address, error))
}

/// Whether the role would be let into a database of this name, which need not exist: the server asks its
/// `pg_hba.conf` and the role's password before it looks for the database.
pub fn admits(address: &DatabaseAddress) -> Result<()> {
    match configuration(address)?.connect(NoTls) {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => Ok(()),
        Err(error) => Err(connect_error(address, error)),
    }
}

fn configuration(address: &DatabaseAddress) -> Result<postgres::Config> {
    let mut config = postgres::Config::new();
    config
        .host(&address.host)
        .port(address.port)
        .dbname(&address.database)
        .user(&address.user)
        .application_name("obbackup")
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(KEEPALIVE_IDLE)
        // Notices are for people at a prompt; whatever matters comes as an error.
        .notice_callback(|_| {});
    if let Some(options) = &address.options {
        config.options(options);
    }
    if let Some(password) = address.find_password()? {
        config.password(password.expose());
    }
    Ok(config)
}

fn connect_error(address: &DatabaseAddress, error: postgres::Error) -> Error {
    let what = format!("cannot connect to {address}");
    let hint = match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD => {
            "Correct the role's password; the server refuses the one given."
        }
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "The role is missing, or pg_hba.conf of the server does not let it in from here."
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            "There is no database of that name on this server."
        }
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            "Raise max_connections of the server, or end idle connections."
        }
        Some(_) => "",
        None if has_cause(&error, |cause| {
            cause.to_string().contains("password missing")
        }) =>
        {
            return Error::new(ErrorKind::Denied, what).source(error).hint(
                "The server asks for a password: set one, or add a line to the password file.",
            );
        }
        None => {
            return Error::new(ErrorKind::Unreachable, what).source(error).hint(
                "Start PostgreSQL, or correct the host and the port in Openbravo.properties.",
            );
        }
    };
    let error = database_error(&what, error);
    if hint.is_empty() {
        error
    } else {
        error.hint(hint)
    }
}

/// The server's `server_version_num`.
pub fn server_version(client: &mut Client) -> Result<u32> {
    let what = "cannot ask the server for its version";
    let row = client
        .query_one(
            "SELECT pg_catalog.current_setting('server_version_num')::int4",
            &[],
        )
        .map_err(|error| database_error(what, error))?;
    let number: i32 = get(&row, 0)?;
    u32::try_from(number).map_err(|error| Error::new(ErrorKind::Failure, what).source(error))
}

/// `160004` as `16.4`.
pub fn version_text(version: u32) -> String {
    format!("{}.{}", version / 10_000, version % 10_000)
}

/// A column of a row that one of our own queries returned.
pub fn get<'a, T: postgres::types::FromSql<'a>>(
    row: &'a postgres::Row,
    column: usize,
) -> Result<T> {
    row.try_get(column).map_err(|error| {
        Error::new(
            ErrorKind::Failure,
            "the server answers what cannot be understood",
        )
        .source(error)
    })
}

/// An error of the server or of the connection, with the kind that fits it. `what` is what cannot be done.
///
/// The server's CONTEXT is left out: for COPY it quotes the row.
pub fn database_error(what: &str, error: postgres::Error) -> Error {
    let Some(answer) = error.as_db_error() else {
        let is_io = |cause: &(dyn std::error::Error + 'static)| cause.is::<std::io::Error>();
        let kind = if error.is_closed() || has_cause(&error, is_io) {
            ErrorKind::Unreachable
        } else {
            ErrorKind::Failure
        };
        let result = Error::new(kind, what).source(error);
        return if kind == ErrorKind::Unreachable {
            result.hint("The connection to PostgreSQL was lost: see the server's log.")
        } else {
            result
        };
    };
    let code = answer.code();
    let kind = kind_of(code);
    let mut message = format!("{what}: {}", answer.message());
    // The detail of a violated check quotes the row too.
    if let Some(detail) = answer
        .detail()
        .filter(|_| *code != SqlState::CHECK_VIOLATION)
    {
        message = format!("{message} ({detail})");
    }
    let result = Error::new(kind, message);
    let hint = match (answer.hint(), kind) {
        (Some(hint), _) => hint,
        (None, ErrorKind::NoSpace) => "Free space on the database server's disk.",
        (None, ErrorKind::Unreachable) => {
            "The server ended the connection: see its log, then try again."
        }
        _ => return result,
    };
    result.hint(hint)
}

fn has_cause(
    error: &postgres::Error,
    fits: impl Fn(&(dyn std::error::Error + 'static)) -> bool,
) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if fits(inner) {
            return true;
        }
        cause = inner.source();
    }
    false
}

fn kind_of(code: &SqlState) -> ErrorKind {
    let code = code.code();
    match code {
        "28P01" | "28000" | "42501" | "3D000" => ErrorKind::Denied,
        "53100" => ErrorKind::NoSpace,
        "42P04" => ErrorKind::AlreadyExists,
        "55P03" | "55006" | "40P01" | "40001" | "53300" => ErrorKind::Transient,
        "57P01" | "57P02" | "57P03" | "57P05" => ErrorKind::Unreachable,
        _ if code.starts_with("08") => ErrorKind::Unreachable,
        _ => ErrorKind::Failure,
    }
}

/// An error that came through a stream of the connection, with the kind that fits it.
pub fn stream_error(what: &str, error: std::io::Error) -> Error {
    match error.downcast::<postgres::Error>() {
        Ok(error) => database_error(what, error),
        Err(error) => Error::io(what, error),
    }
}
