//! Where a database is, and who connects to it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Secret;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// A database, and the role that connects to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAddress {
    /// The host's name or address, or the absolute directory of the server's socket.
    pub host: String,
    /// The port, also where a socket is used.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// The role's password.
    pub password: Option<Secret>,
    /// A file in the format of `.pgpass` that is asked when there is no password.
    pub passfile: Option<PathBuf>,
    /// Options for the server's process, as in `PGOPTIONS`.
    pub options: Option<String>,
}

impl DatabaseAddress {
    /// An address without password, password file or options.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        database: impl Into<String>,
        user: impl Into<String>,
    ) -> Self {
        Self {
            host: host.into(),
            port,
            database: database.into(),
            user: user.into(),
            password: None,
            passfile: None,
            options: None,
        }
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            ..self.clone()
        }
    }

    /// The password, from the password file where it is not given.
    pub fn find_password(&self) -> Result<Option<Secret>> {
        if self.password.is_some() {
            return Ok(self.password.clone());
        }
        match &self.passfile {
            Some(path) => self.password_from(path),
            None => Ok(None),
        }
    }

    fn password_from(&self, path: &Path) -> Result<Option<Secret>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error)
                    .io_context(|| format!("cannot read the password file `{}`", path.display()));
            }
        };
        // The client library ignores a file that others can read, and so must we: the child
        // programs would ask it too and fail where we succeeded.
        let metadata = std::fs::metadata(path)
            .io_context(|| format!("cannot examine the password file `{}`", path.display()))?;
        if std::os::unix::fs::MetadataExt::mode(&metadata) & 0o077 != 0 {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("the password file `{}` is open to others", path.display()),
            )
            .hint(format!("Run: chmod 0600 {}", path.display())));
        }
        let port = self.port.to_string();
        // Over a socket the file's `localhost` is meant.
        let host = if self.host.starts_with('/') {
            "localhost"
        } else {
            &self.host
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields = pgpass_fields(line);
            let [line_host, line_port, line_database, line_user, password] = fields.as_slice()
            else {
                continue;
            };
            let fits =
                |field: &String, value: &str| field == "*" || unescape(field).as_str() == value;
            if (fits(line_host, host) || fits(line_host, &self.host))
                && fits(line_port, &port)
                && fits(line_database, &self.database)
                && fits(line_user, &self.user)
            {
                return Ok(Some(Secret::new(unescape(password))));
            }
        }
        Ok(None)
    }
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "database `{}` at {}:{} as role `{}`",
            self.database, self.host, self.port, self.user
        )
    }
}

/// Splits at colons that no backslash stands before; the backslashes stay.
fn pgpass_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut escaped = false;
    for character in line.chars() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        if escaped || character != ':' {
            field.push(character);
            escaped = !escaped && character == '\\';
        } else {
            fields.push(String::new());
        }
    }
    fields
}

fn unescape(field: &str) -> String {
    let mut text = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            text.extend(characters.next());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_password_file_is_read_as_the_client_library_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        std::fs::write(
            &path,
            "# comment\nother:5432:*:tad:no\ndb\\:x:5432:openbravo:tad:a\\:b\\\\c\n\
             localhost:*:*:*:socket\n",
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut address = DatabaseAddress::new("db:x", 5432, "openbravo", "tad");
        address.passfile = Some(path.clone());
        let password = address.find_password().unwrap().unwrap();
        assert_eq!(password.expose(), "a:b\\c");
        assert_eq!(format!("{password:?} {password}"), "*** ***");
        address.host = "/run/postgresql".to_owned();
        assert_eq!(address.find_password().unwrap().unwrap().expose(), "socket");
        address.host = "elsewhere".to_owned();
        assert_eq!(address.find_password().unwrap(), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(
            address.find_password().unwrap_err().kind(),
            ErrorKind::Denied
        );
        address.passfile = Some(directory.path().join("absent"));
        assert_eq!(address.find_password().unwrap(), None);
    }
}
