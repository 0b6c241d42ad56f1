//! The password file of PostgreSQL's own clients, for instances whose properties hold no password.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::database::Address;
use crate::config::Secret;

/// Where a socket's directory is one of these, `libpq` looks for the host `localhost`.
const DEFAULT_SOCKET_DIRECTORIES: &[&str] = &["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// `host:port:database:user:password` lines, the first that fits being meant.
#[derive(Debug, Clone, Default)]
pub struct PasswordFile {
    lines: Vec<Line>,
    /// Why the file was not used, if it is there.
    pub ignored: Option<String>,
}

#[derive(Debug, Clone)]
struct Line {
    host: Pattern,
    port: Pattern,
    database: Pattern,
    user: Pattern,
    password: Secret,
}

/// `None` is `*`.
type Pattern = Option<String>;

impl PasswordFile {
    /// Reads `path`. As with `libpq`, an absent file is an empty one, and one that others can read is
    /// not used.
    pub fn read(path: &Path) -> Self {
        let ignored = |reason: &str| Self {
            lines: Vec::new(),
            ignored: Some(format!("`{}` is not used: {reason}", path.display())),
        };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Err(error) => return ignored(&error.to_string()),
        };
        if !metadata.is_file() {
            return ignored("it is not a regular file");
        }
        if metadata.mode() & 0o077 != 0 {
            return ignored("others can read it; run: chmod 600");
        }
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes)),
            Err(error) => ignored(&error.to_string()),
        }
    }

    /// The lines of `text`; what does not look like one is passed over.
    pub fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut fields = fields(line).into_iter();
                let mut pattern = || {
                    fields.next().map(|field| {
                        if field == "*" {
                            None
                        } else {
                            Some(unescape(field))
                        }
                    })
                };
                let (host, port, database, user) = (pattern()?, pattern()?, pattern()?, pattern()?);
                Some(Line {
                    host,
                    port,
                    database,
                    user,
                    password: Secret::new(unescape(fields.next()?)),
                })
            })
            .collect();
        Self {
            lines,
            ignored: None,
        }
    }

    /// The password for `user` of `database` at `address`.
    pub fn find(&self, address: &Address, database: &str, user: &str) -> Option<Secret> {
        let host = match address {
            Address::Tcp { host, .. } => host.clone(),
            Address::Socket { directory, .. }
                if DEFAULT_SOCKET_DIRECTORIES
                    .iter()
                    .any(|known| directory == Path::new(known)) =>
            {
                "localhost".to_owned()
            }
            Address::Socket { directory, .. } => directory.to_string_lossy().into_owned(),
        };
        let port = address.port().to_string();
        let fits = |pattern: &Pattern, text: &str| pattern.as_deref().is_none_or(|it| it == text);
        self.lines
            .iter()
            .find(|line| {
                fits(&line.host, &host)
                    && fits(&line.port, &port)
                    && fits(&line.database, database)
                    && fits(&line.user, user)
            })
            .map(|line| line.password.clone())
            .filter(|password| !password.expose().is_empty())
    }
}

/// Colons separate, unless a backslash stands before them; the password ends at the next one too.
fn fields(line: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (position, character) in line.char_indices() {
        if character == ':' && !escaped {
            fields.push(line.get(start..position).unwrap_or_default());
            start = position + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    fields.push(line.get(start..).unwrap_or_default());
    fields
}

fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn the_first_line_that_fits_is_meant() {
        let file = PasswordFile::parse(
            "# comment\nnonsense\nh:5432:d:u:one\n*:*:*:u:a\\:b\\\\c\n\\:\\:1:*:*:six:v6\nlocalhost:*:*:s:sock\n",
        );
        let find = |address: &Address, user: &str| {
            file.find(address, "d", user)
                .map(|secret| secret.expose().to_owned())
        };
        assert_eq!(find(&tcp("h", 5432), "u").as_deref(), Some("one"));
        assert_eq!(find(&tcp("h", 5433), "u").as_deref(), Some("a:b\\c"));
        assert_eq!(find(&tcp("::1", 1), "six").as_deref(), Some("v6"));
        assert_eq!(find(&tcp("h", 5432), "nobody"), None);
        let socket = |directory: &str| Address::Socket {
            directory: directory.into(),
            port: 5432,
        };
        assert_eq!(
            find(&socket("/var/run/postgresql"), "s").as_deref(),
            Some("sock")
        );
        assert_eq!(find(&socket("/srv/pg"), "s"), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        assert!(PasswordFile::read(&path).ignored.is_none());
        std::fs::write(&path, "*:*:*:*:x\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let file = PasswordFile::read(&path);
        assert!(file.ignored.is_some() && file.find(&tcp("h", 1), "d", "u").is_none());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(
            PasswordFile::read(&path)
                .find(&tcp("h", 1), "d", "u")
                .is_some()
        );
    }
}
