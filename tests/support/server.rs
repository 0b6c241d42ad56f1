//! A PostgreSQL server that tests work on: a private one, or one that somebody named.

use std::path::PathBuf;
use std::process::Command;

use super::programs;

/// Where client programs and connections go.
pub trait Server {
    /// The settings of a connection to a database.
    fn config(&self, database: &str) -> postgres::Config;

    /// A client program set up, by environment variables, to connect as the same role.
    fn command(&self, program: &str) -> Command;

    /// A connection.
    fn connect(&self, database: &str) -> postgres::Client {
        self.config(database)
            .connect(postgres::NoTls)
            .unwrap_or_else(|e| panic!("{database}: {e}"))
    }

    /// Creates an empty database.
    fn create_database(&self, name: &str) {
        let name = name.replace('"', "\"\"");
        self.connect("postgres")
            .batch_execute(&format!("CREATE DATABASE \"{name}\" TEMPLATE template0"))
            .unwrap();
    }
}

/// The server and the role of a connection string, whose databases are somebody's own.
pub struct Given {
    config: postgres::Config,
    clients: PathBuf,
}

impl Given {
    /// From a connection's settings with host, user, password and database. `None` where no client programs
    /// can dump that server.
    ///
    /// # Panics
    /// When nobody answers there.
    pub fn new(config: postgres::Config) -> Option<Self> {
        let mut client = config
            .connect(postgres::NoTls)
            .unwrap_or_else(|e| panic!("{config:?}: {e}"));
        let version: String = client
            .query_one("SHOW server_version_num", &[])
            .unwrap()
            .get(0);
        let clients = programs::client_for(version.parse::<u32>().unwrap() / 10_000)?;
        Some(Self { config, clients })
    }

    /// The database that the connection string names.
    pub fn database(&self) -> &str {
        self.config.get_dbname().expect("a database is named")
    }

    /// The role's name.
    pub fn user(&self) -> &str {
        self.config.get_user().expect("a user is named")
    }

    /// The role's password, where there is one.
    pub fn password(&self) -> Option<String> {
        let password = self.config.get_password()?;
        Some(String::from_utf8(password.to_owned()).unwrap())
    }

    /// The name or address of the host, or the directory of the server's socket.
    pub fn host(&self) -> String {
        match self.config.get_hosts().first().expect("a host is named") {
            postgres::config::Host::Tcp(name) => name.clone(),
            postgres::config::Host::Unix(directory) => directory.display().to_string(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// The directory of client programs that can dump the server.
    pub fn clients(&self) -> PathBuf {
        self.clients.clone()
    }
}

impl Server for Given {
    fn config(&self, database: &str) -> postgres::Config {
        let mut config = self.config.clone();
        config.dbname(database);
        config
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.clients.join(program));
        without_settings(&mut command)
            .env("PGHOST", self.host())
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", self.user())
            .env("PGPASSWORD", self.password().unwrap_or_default());
        command
    }
}

/// Whatever the caller's environment says about servers must not reach another one.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    command.env("PGPASSFILE", "/dev/null")
}
