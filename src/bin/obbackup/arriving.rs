//! The connection for a database that is to be made on a machine without a configured instance.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;

use obbackup::command::arrival::{self, NewDatabase};
use obbackup::config::Secret;
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::manifest::DatabasePart;
use obbackup::instance::Instance;
use obbackup::repository::Repository;
use obbackup::repository::backups::Backup;

use crate::output::safe;
use crate::session::Session;

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 5432;

/// Where a database goes when nothing on this machine says it yet.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "On a machine without a configured instance")]
pub struct ConnectionArguments {
    /// The new database and the role that will own it: `postgresql://ROLE@HOST:PORT/DATABASE`. Passwords never
    /// stand here: they come from `PGPASSWORD`, the password file, or are asked for [default: PGHOST, PGPORT, PGUSER,
    /// PGDATABASE]
    #[arg(long, value_name = "URL")]
    pub connection: Option<String>,

    /// A superuser of that server, for extensions and what belongs to other roles; its password comes from
    /// `OBBACKUP_SYSTEM_PASSWORD` or the password file
    #[arg(long, value_name = "ROLE")]
    pub system_role: Option<String>,
}

/// The instance that `backup` is restored to: the one that is configured here, or what the backup's becomes on this
/// machine.
pub fn instance_for(
    session: &Session,
    arguments: &ConnectionArguments,
    repository: &Repository,
    backup: &Backup,
) -> Result<Instance> {
    let here = session.instance_if_any();
    match here {
        Ok(Some(instance))
            if arguments.connection.is_none() && !arrival::is_foreign(&instance, backup) =>
        {
            return Ok(instance);
        }
        // Properties that are malformed, or an instance of another kind: nothing to go on from.
        Err(error) if !matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound) => {
            return Err(error);
        }
        _ => {}
    }
    let source_path = session
        .source_path()
        .unwrap_or_else(|| PathBuf::from(&backup.manifest.instance.source_path));
    let source_path = crate::session::absolute(&source_path)?;
    let part = backup.manifest.database.as_ref();
    let named = match &arguments.connection {
        Some(url) => Some(parse(url)?),
        None => None,
    };
    let arrive = |database: Option<&NewDatabase>| {
        arrival::arrive(
            &source_path,
            database,
            backup,
            repository,
            session.environment(),
            &session.configuration()?,
        )
    };
    let mut database = match named {
        Some(named) => named,
        // What stands in properties here goes before the environment.
        None => match arrive(None) {
            Err(error) if error.kind() == ErrorKind::Usage && part.is_some() => {
                from_environment(part)
                    .or_else(|| ask(session, part).transpose())
                    .transpose()?
                    .ok_or(error)?
            }
            other => return other,
        },
    };
    if database.password.is_none() {
        database.password = variable("PGPASSWORD").map(Secret::new);
    }
    database.system = arguments.system_role.clone().map(|role| {
        let password = variable("OBBACKUP_SYSTEM_PASSWORD").map(Secret::new);
        (role, password)
    });
    arrive(Some(&database))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// As the client library would connect, if anything says where to.
fn from_environment(part: Option<&DatabasePart>) -> Option<Result<NewDatabase>> {
    let (host, name) = (variable("PGHOST"), variable("PGDATABASE"));
    if host.is_none() && name.is_none() {
        return None;
    }
    let port = match variable("PGPORT").map(|port| port.parse()) {
        None => DEFAULT_PORT,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            return Some(Err(Error::new(
                ErrorKind::Usage,
                "PGPORT is not the number of a port",
            )
            .hint("It is 5432 unless somebody moved the server.")));
        }
    };
    let of_backup = |of: fn(&DatabasePart) -> &String| part.map(of).cloned().unwrap_or_default();
    Some(Ok(NewDatabase {
        host: host.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
        port,
        name: name.unwrap_or_else(|| of_backup(|part| &part.name)),
        role: variable("PGUSER").unwrap_or_else(|| of_backup(|part| &part.application_role)),
        password: None,
        system: None,
    }))
}

/// Asks on the terminal, with what the backup says as the answer that Enter gives.
fn ask(session: &Session, part: Option<&DatabasePart>) -> Result<Option<NewDatabase>> {
    let Some(part) = part else { return Ok(None) };
    if session.global.no_input || session.global.json || !io::stdin().is_terminal() {
        return Ok(None);
    }
    tell("Nothing here says where the new database goes.\n")?;
    let host = question("Server", DEFAULT_HOST)?;
    let port = question("Port", &DEFAULT_PORT.to_string())?
        .parse()
        .map_err(|_| Error::new(ErrorKind::Usage, "that is not the number of a port"))?;
    let name = question("New database", &part.name)?;
    let role = question("Role that will own it", &part.application_role)?;
    let password = match variable("PGPASSWORD") {
        Some(password) => password,
        None => unseen("Its password (empty: from the password file)")?,
    };
    Ok(Some(NewDatabase {
        host,
        port,
        name,
        role,
        password: (!password.is_empty()).then(|| Secret::new(password)),
        system: None,
    }))
}

fn tell(text: &str) -> Result<()> {
    let mut stderr = io::stderr();
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .map_err(|error| Error::io("cannot ask", error))
}

fn question(what: &str, default: &str) -> Result<String> {
    tell(&format!("{what} [{}]: ", safe(default)))?;
    let answer = line()?;
    Ok(if answer.is_empty() {
        default.to_owned()
    } else {
        answer
    })
}

/// Without showing what is typed.
fn unseen(what: &str) -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    tell(&format!("{what}: "))?;
    let stdin = io::stdin();
    let refused = |errno: rustix::io::Errno| Error::io("cannot hide what is typed", errno.into());
    let shown = tcgetattr(&stdin).map_err(refused)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(refused)?;
    let answer = line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown).map_err(refused)?;
    tell("\n")?;
    answer
}

fn line() -> Result<String> {
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Error::io("cannot ask", error))?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// `postgresql://role@host:port/database`
fn parse(url: &str) -> Result<NewDatabase> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Usage, format!("--connection {what}"))
            .hint("It has the form postgresql://ROLE@HOST:PORT/DATABASE.")
    };
    let rest = url
        .strip_prefix("postgresql://")
        .or_else(|| url.strip_prefix("postgres://"))
        .ok_or_else(|| wrong("is not the URL of a database"))?;
    let (place, name) = rest
        .split_once('/')
        .ok_or_else(|| wrong("names no database"))?;
    let (role, place) = place
        .rsplit_once('@')
        .ok_or_else(|| wrong("names no role"))?;
    if role.contains(':') {
        return Err(Error::new(
            ErrorKind::Usage,
            "--connection has a password, which everybody on this machine can see",
        )
        .hint("Change that password, and give it as PGPASSWORD or in ~/.pgpass."));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| wrong("has no such port"))?)
        }
        _ => (place, DEFAULT_PORT),
    };
    if role.is_empty() || name.is_empty() || name.contains(['?', '#']) {
        return Err(wrong(
            "needs a role and a database, and takes no parameters",
        ));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { DEFAULT_HOST } else { host };
    Ok(NewDatabase {
        host: host.to_owned(),
        port,
        name: obbackup::instance::decode(name),
        role: obbackup::instance::decode(role),
        password: None,
        system: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_taken_apart_and_passwords_refused() {
        let parsed = parse("postgresql://erp%20x@db.example:5433/open%20bravo").unwrap();
        assert_eq!(
            (&*parsed.role, &*parsed.host, parsed.port, &*parsed.name),
            ("erp x", "db.example", 5433, "open bravo")
        );
        let parsed = parse("postgres://erp@[::1]/openbravo").unwrap();
        assert_eq!((&*parsed.host, parsed.port), ("::1", 5432));
        let refused = parse("postgresql://erp:secret@host/openbravo").unwrap_err();
        assert!(!refused.to_string().contains("secret"));
        for url in [
            "openbravo",
            "postgresql://host/openbravo",
            "postgresql://erp@host",
            "postgresql://erp@host:x/openbravo",
            "postgresql://erp@host/openbravo?password=x",
        ] {
            assert_eq!(parse(url).unwrap_err().kind(), ErrorKind::Usage, "{url}");
        }
    }
}
