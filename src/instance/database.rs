//! How an instance reaches its database: what `bbdd.*` and the configuration say, taken apart.
//!
//! Openbravo joins `bbdd.url` + `/` + `bbdd.sid` + `?` + `bbdd.props` to one JDBC URL
//! (`ConnectionProviderImpl`, `JdbcExternalConnectionPool`, `SessionFactoryController`, `build.xml`),
//! so `bbdd.props` holds parameters of the PostgreSQL JDBC driver as `name=value&name=value`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use super::pgpass::PasswordFile;
use super::properties::Properties;
use crate::config::{DatabaseSection, Secret};
use crate::error::{Error, ErrorKind, Result};

/// The port of a PostgreSQL server that nobody moved.
const DEFAULT_PORT: u16 = 5432;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name or an address, IPv6 without brackets.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Socket {
        /// The directory that holds `.s.PGSQL.<port>`.
        directory: PathBuf,
        /// The port in its name.
        port: u16,
    },
}

impl Address {
    /// The host as `libpq` takes it: a name, an address, or a socket's directory.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp { host, .. } => host.clone(),
            Self::Socket { directory, .. } => directory.to_string_lossy().into_owned(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Socket { port, .. } => *port,
        }
    }

    fn of(host: &str, port: u16) -> Self {
        if host.starts_with('/') {
            return Self::Socket {
                directory: PathBuf::from(host),
                port,
            };
        }
        Self::Tcp {
            host: host.to_owned(),
            port,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket { directory, port } => {
                write!(f, "{}/.s.PGSQL.{port}", directory.display())
            }
        }
    }
}

/// How much of TLS a connection must have; the words of the JDBC driver and of `libpq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only where the server insists.
    Allow,
    /// Where the server can.
    #[default]
    Prefer,
    /// Always.
    Require,
    /// Always, and the certificate is checked.
    VerifyCa,
    /// Always, and certificate and host name are checked.
    VerifyFull,
}

impl SslMode {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [
            Self::Disable,
            Self::Allow,
            Self::Prefer,
            Self::Require,
            Self::VerifyCa,
            Self::VerifyFull,
        ]
        .into_iter()
        .find(|mode| mode.word().eq_ignore_ascii_case(word))
    }
}

/// A role to connect as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its password; absent where the server asks for none, or where nobody wrote it down.
    pub password: Option<Secret>,
}

/// Everything needed to connect to the instance's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Where the application finds its server, in the order to try; or the direct way of the
    /// configuration alone. Never empty.
    pub addresses: Vec<Address>,
    /// Whether the configuration's direct way replaced the application's.
    pub is_direct: bool,
    /// The database's name (`bbdd.sid`).
    pub name: String,
    /// The application's role (`bbdd.user`), which owns the database.
    pub application: Role,
    /// The system's role (`bbdd.systemUser`).
    pub system: Option<Role>,
    /// How much of TLS the application asks for.
    pub ssl: SslMode,
    /// The certificates to trust.
    pub ssl_root_certificate: Option<PathBuf>,
    /// The password of the client's key.
    pub ssl_key_password: Option<Secret>,
    /// The other parameters of the JDBC driver in `bbdd.props`, decoded; no secret is among them.
    pub parameters: BTreeMap<String, String>,
    /// What the application runs on each new connection; may be DDL.
    pub session_config: Option<String>,
    /// Where `pg_dump` and `pg_restore` lie; else they are looked for.
    pub client_directory: Option<PathBuf>,
    /// Connections that read or write at the same time, where the configuration says so.
    pub jobs: Option<u16>,
}

impl DatabaseSettings {
    /// From the properties and the configuration; passwords that both leave blank come from
    /// `password_file`. Oracle is refused as `Incompatible`.
    pub fn read(
        properties: &Properties,
        section: &DatabaseSection,
        password_file: &PasswordFile,
    ) -> Result<Self> {
        refuse_other_systems(properties)?;
        let url = properties.required("bbdd.url")?;
        let mut parameters = read_parameters(properties)?;
        let mut addresses = parse_url(url).map_err(|reason| {
            properties.malformed("bbdd.url", reason).hint(
                "It has the form jdbc:postgresql://host:port; the database's name is bbdd.sid.",
            )
        })?;
        if let Some(socket) = parameters
            .get("socketFactoryArg")
            .and_then(|arg| parse_socket(arg))
        {
            addresses = vec![socket];
        }
        let is_direct = section.host.is_some() || section.port.is_some();
        if is_direct {
            addresses.truncate(1);
            addresses = addresses
                .into_iter()
                .map(|address| {
                    let port = section.port.map_or(address.port(), u16::from);
                    Address::of(section.host.as_deref().unwrap_or(&address.host()), port)
                })
                .collect();
        }
        let name = decode(properties.required("bbdd.sid")?);
        let password_of = |written: Option<&str>, user: &str| {
            written.map(Secret::new).or_else(|| {
                addresses
                    .iter()
                    .find_map(|address| password_file.find(address, &name, user))
            })
        };
        // In the driver a parameter goes before the user and password that it is given besides.
        let written = (parameters.remove("user"), parameters.remove("password"));
        let ssl_key_password = parameters.remove("sslpassword").map(Secret::new);
        let user = match &written.0 {
            Some(user) => user,
            None => properties.required("bbdd.user")?,
        };
        let password = written
            .1
            .as_deref()
            .or_else(|| filled(properties, "bbdd.password"));
        let application = Role {
            name: user.to_owned(),
            password: password_of(password, user),
        };
        let system = section
            .system_user
            .as_deref()
            .or_else(|| properties.filled("bbdd.systemUser"))
            .map(|user| Role {
                name: user.to_owned(),
                password: section.system_password.clone().or_else(|| {
                    // Another role's password is no help.
                    let same = section.system_user.is_none()
                        || section.system_user.as_deref() == properties.get("bbdd.systemUser");
                    password_of(
                        filled(properties, "bbdd.systemPassword").filter(|_| same),
                        user,
                    )
                }),
            });
        Ok(Self {
            ssl: read_ssl(properties, &parameters)?,
            ssl_root_certificate: parameters.get("sslrootcert").map(PathBuf::from),
            ssl_key_password,
            addresses,
            is_direct,
            name,
            application,
            system,
            parameters,
            session_config: properties.filled("bbdd.sessionConfig").map(str::to_owned),
            client_directory: section.client_directory.clone(),
            jobs: section.jobs.map(u16::from),
        })
    }

    /// The first address to try.
    pub fn address(&self) -> &Address {
        const NOWHERE: &Address = &Address::Tcp {
            host: String::new(),
            port: DEFAULT_PORT,
        };
        self.addresses.first().unwrap_or(NOWHERE)
    }
}

/// A password may be white space; only the empty one means that there is none.
fn filled<'a>(properties: &'a Properties, key: &str) -> Option<&'a str> {
    properties.get(key).filter(|value| !value.is_empty())
}

fn refuse_other_systems(properties: &Properties) -> Result<()> {
    let system = properties.filled("bbdd.rdbms").unwrap_or("POSTGRE").trim();
    if system.eq_ignore_ascii_case("POSTGRE") {
        return Ok(());
    }
    if system.eq_ignore_ascii_case("ORACLE") {
        return Err(Error::new(
            ErrorKind::Incompatible,
            "the instance runs on Oracle (bbdd.rdbms), and only PostgreSQL can be backed up",
        )
        .hint("Openbravo itself dropped Oracle in 23Q4; back this instance up with Oracle's own tools."));
    }
    Err(properties
        .malformed("bbdd.rdbms", "names a database system that is not known")
        .with_kind(ErrorKind::Incompatible)
        .hint("It is POSTGRE where the database is PostgreSQL."))
}

fn read_parameters(properties: &Properties) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let text = properties.filled("bbdd.props").unwrap_or_default().trim();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.trim().is_empty() {
            return Err(properties
                .malformed("bbdd.props", "has a parameter without a name")
                .hint("It has the form name=value&name=value."));
        }
        parameters.insert(name.trim().to_owned(), decode(value));
    }
    Ok(parameters)
}

/// As the JDBC driver has it: `ssl` alone means `verify-full`, `sslmode` goes before it.
fn read_ssl(properties: &Properties, parameters: &BTreeMap<String, String>) -> Result<SslMode> {
    if let Some(word) = parameters.get("sslmode") {
        return SslMode::parse(word).ok_or_else(|| {
            properties
                .malformed("bbdd.props", "has an sslmode that is not known")
                .hint("One of: disable, allow, prefer, require, verify-ca, verify-full.")
        });
    }
    Ok(match parameters.get("ssl").map(String::as_str) {
        Some("" | "true") => SslMode::VerifyFull,
        _ => SslMode::default(),
    })
}

/// `jdbc:postgresql://host[:port][,host[:port]…]`, the database's name being elsewhere.
fn parse_url(url: &str) -> std::result::Result<Vec<Address>, &'static str> {
    let rest = url
        .trim()
        .strip_prefix("jdbc:postgresql:")
        .ok_or("does not begin with jdbc:postgresql:")?;
    let servers = match rest.strip_prefix("//") {
        Some(servers) => servers.strip_suffix('/').unwrap_or(servers),
        None if rest.is_empty() => "",
        None => return Err("has no // before the host"),
    };
    if servers.contains(['/', '?', '#']) {
        return Err("does not end after the port");
    }
    servers
        .split(',')
        .map(|server| {
            let (host, port) = if let Some(rest) = server.strip_prefix('[') {
                let (host, rest) = rest.split_once(']').ok_or("has a [ without a ]")?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| "has something else than an IPv6 address in [ ]")?;
                let port = rest.strip_prefix(':');
                if port.is_none() && !rest.is_empty() {
                    return Err("does not end after the port");
                }
                (host, port)
            } else {
                match server.rsplit_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (server, None),
                }
            };
            if host.contains(':') && !server.starts_with('[') {
                return Err("has an IPv6 address without [ ]");
            }
            let port = match port {
                None | Some("") => DEFAULT_PORT,
                Some(port) => port
                    .parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or("has a port that is not a number from 1 to 65535")?,
            };
            let host = if host.is_empty() { "localhost" } else { host };
            Ok(Address::Tcp {
                host: decode(host),
                port,
            })
        })
        .collect()
}

/// The socket that a socket factory of the JDBC driver is pointed to: `<directory>/.s.PGSQL.<port>`.
fn parse_socket(argument: &str) -> Option<Address> {
    let path = Path::new(argument);
    let port = path
        .file_name()?
        .to_str()?
        .strip_prefix(".s.PGSQL.")?
        .parse()
        .ok()?;
    path.is_absolute().then_some(())?;
    Some(Address::Socket {
        directory: path.parent()?.to_owned(),
        port,
    })
}

/// A database's name as `bbdd.sid` takes it: as it stands in a URL.
pub fn encode(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Percent signs and pluses as in a URL; what is not well-formed stays as it is.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match (
            byte,
            digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        ) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_the_way_through_a_url() {
        for name in ["openbravo", "open bravo+%41", "größe/x?y&z", "a%2"] {
            assert_eq!(decode(&encode(name)), name);
        }
    }

    fn read(text: &str) -> Result<DatabaseSettings> {
        read_with(text, &DatabaseSection::default(), "")
    }

    fn read_with(text: &str, section: &DatabaseSection, pgpass: &str) -> Result<DatabaseSettings> {
        let mut properties = Properties::default();
        properties
            .load(text.as_bytes(), Path::new("/x/Openbravo.properties"))
            .unwrap();
        DatabaseSettings::read(&properties, section, &PasswordFile::parse(pgpass))
    }

    fn with_url(url: &str) -> String {
        format!(
            "bbdd.rdbms=POSTGRE\nbbdd.url={url}\nbbdd.sid=openbravo\nbbdd.user=tad\nbbdd.password=hush\n"
        )
    }

    #[test]
    fn urls_of_every_form() {
        for (url, expected) in [
            ("jdbc:postgresql://localhost:5432", "localhost:5432"),
            ("jdbc:postgresql://db.example.org", "db.example.org:5432"),
            ("jdbc:postgresql://db:", "db:5432"),
            ("jdbc:postgresql://[::1]:6000", "[::1]:6000"),
            ("jdbc:postgresql://[fe80::2]", "[fe80::2]:5432"),
            ("jdbc:postgresql://a:1,b:2,c", "a:1 b:2 c:5432"),
            ("jdbc:postgresql://", "localhost:5432"),
            ("jdbc:postgresql:", "localhost:5432"),
            ("jdbc:postgresql://db:5432/", "db:5432"),
        ] {
            let settings = read(&with_url(url)).unwrap();
            let addresses: Vec<_> = settings.addresses.iter().map(ToString::to_string).collect();
            assert_eq!(addresses.join(" "), expected, "{url}");
        }
    }

    #[test]
    fn a_malformed_url_names_the_line() {
        for url in [
            "jdbc:oracle:thin:@localhost:1521:xe",
            "postgresql://localhost",
            "jdbc:postgresql:localhost",
            "jdbc:postgresql://db:x",
            "jdbc:postgresql://db:0",
            "jdbc:postgresql://db:70000",
            "jdbc:postgresql://::1:5432",
            "jdbc:postgresql://[::1:5432",
            "jdbc:postgresql://[db]:5432",
            "jdbc:postgresql://db:5432/openbravo",
            "jdbc:postgresql://db:5432?ssl=true",
        ] {
            let error = read(&with_url(url)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            let text = error.to_string();
            assert!(
                text.starts_with("`/x/Openbravo.properties`, line 2: `bbdd.url` "),
                "{text}"
            );
        }
    }

    #[test]
    fn oracle_is_refused() {
        for word in ["ORACLE", "oracle"] {
            let error = read(&format!(
                "bbdd.rdbms={word}\nbbdd.url=jdbc:oracle:thin:@h:1521:xe"
            ))
            .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible);
            assert!(error.to_string().contains("Oracle"), "{error}");
        }
        assert_eq!(
            read("bbdd.rdbms=MYSQL").unwrap_err().kind(),
            ErrorKind::Incompatible
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for key in ["bbdd.url", "bbdd.sid", "bbdd.user"] {
            let text: String = with_url("jdbc:postgresql://h:1")
                .lines()
                .filter(|line| !line.starts_with(key))
                .fold(String::new(), |all, line| all + line + "\n");
            let error = read(&text).unwrap_err();
            assert!(
                error.to_string().contains(&format!("`{key}` is missing")),
                "{error}"
            );
        }
    }

    #[test]
    fn parameters_of_the_driver() {
        let text = with_url("jdbc:postgresql://h:1");
        let read = |props: &str| read(&format!("{text}bbdd.props={props}\n"));
        let settings =
            read("ApplicationName=a%20b&sslmode=verify-ca&sslrootcert=/etc/ca.pem&x").unwrap();
        assert_eq!(settings.ssl, SslMode::VerifyCa);
        assert_eq!(
            settings.ssl_root_certificate.as_deref(),
            Some(Path::new("/etc/ca.pem"))
        );
        assert_eq!(settings.parameters["ApplicationName"], "a b");
        assert_eq!(settings.parameters["x"], "");
        assert_eq!(read("ssl=true").unwrap().ssl, SslMode::VerifyFull);
        assert_eq!(read("").unwrap().ssl, SslMode::Prefer);
        assert!(read("=1").is_err());
        assert!(read("sslmode=sometimes").is_err());
        let other = read("user=x&password=hu%26sh&sslpassword=key").unwrap();
        assert_eq!(other.application.name, "x");
        assert_eq!(
            other.application.password.as_ref().unwrap().expose(),
            "hu&sh"
        );
        assert!(!format!("{other:?}").contains("hu&sh"));
        let socket = read("socketFactory=org.newsclub.net.unix.AFUNIXSocketFactory$FactoryArg&socketFactoryArg=/run/pg/.s.PGSQL.5433").unwrap();
        assert_eq!(socket.address().host(), "/run/pg");
        assert_eq!(socket.address().port(), 5433);
    }

    #[test]
    fn passwords_come_from_the_properties_then_from_the_password_file() {
        let text = "bbdd.url=jdbc:postgresql://h:1\nbbdd.sid=d\nbbdd.user=tad\nbbdd.password=\nbbdd.systemUser=postgres\nbbdd.systemPassword=hush\n";
        let settings = read_with(text, &DatabaseSection::default(), "h:1:d:tad:filed\n").unwrap();
        assert_eq!(settings.application.password.unwrap().expose(), "filed");
        assert_eq!(settings.system.unwrap().password.unwrap().expose(), "hush");
        let section = DatabaseSection {
            system_user: Some("other".into()),
            ..Default::default()
        };
        let settings = read_with(text, &section, "").unwrap();
        assert_eq!(settings.application.password, None);
        assert_eq!(
            settings.system,
            Some(Role {
                name: "other".into(),
                password: None
            })
        );
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn a_direct_way_replaces_the_poolers() {
        let section = DatabaseSection {
            port: std::num::NonZero::new(5433),
            ..Default::default()
        };
        let settings =
            read_with(&with_url("jdbc:postgresql://pool:6432,b:1"), &section, "").unwrap();
        assert_eq!(settings.addresses.len(), 1);
        assert_eq!(settings.address().to_string(), "pool:5433");
        assert!(settings.is_direct);
        let section = DatabaseSection {
            host: Some("/run/postgresql".into()),
            ..section
        };
        let settings = read_with(&with_url("jdbc:postgresql://pool:6432"), &section, "").unwrap();
        assert_eq!(
            settings.address().to_string(),
            "/run/postgresql/.s.PGSQL.5433"
        );
    }
}
