//! A made-up Openbravo instance to back up: database, sources, deployed application, attachments, configuration.
//!
//! It has the shape of a real one (names, sizes, what compresses and what does not), in any size, and is the same each
//! time it is made.

pub mod database;
pub mod files;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

/// How large an instance is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Orders in the database; about 17 KB each with all that hangs on them, beside 25 MB of dictionary.
    pub orders: u32,
    /// Files of sources and deployed application together, about 12 KB each; attachments come from the database.
    pub files: u32,
}

impl Size {
    /// A database of about 45 MB and 1,500 files: made in seconds.
    pub const DEMO: Self = Self::of(45, 1_500);
    /// A database of about 1.8 GB and 35,000 files of 0.6 GB with the attachments: what speed is measured on.
    pub const BENCH: Self = Self::of(1_800, 30_000);
    /// A database of about 5 GB: what memory is measured on.
    pub const MEMORY: Self = Self::of(5_000, 30_000);

    /// A database of about so many megabytes, and so many files.
    pub const fn of(megabytes: u32, files: u32) -> Self {
        let ledgers = megabytes.saturating_sub(database::FIXED_MEGABYTES);
        let orders = ledgers * database::ORDERS_PER_MEGABYTE;
        Self {
            orders: if orders < 100 { 100 } else { orders },
            files,
        }
    }
}

/// Where the parts of an instance are.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `source.path`.
    pub sources: PathBuf,
    /// The web application's directory under Tomcat's `webapps`.
    pub deploy: PathBuf,
    /// `attach.path`.
    pub attachments: PathBuf,
    /// The database's name.
    pub database: String,
}

/// The role that the application connects as, and its password.
pub const APPLICATION: &str = "tad";

impl Instance {
    /// The instance that [`Self::create`] makes in a directory.
    pub fn at(directory: &Path, database: &str) -> Self {
        Self {
            sources: directory.join("openbravo"),
            deploy: directory.join("tomcat/webapps/openbravo"),
            attachments: directory.join("attachments"),
            database: database.into(),
        }
    }

    /// Makes an instance: a new database on the server that `server` connects to as superuser, and files in a directory.
    pub fn create(server: &postgres::Config, directory: &Path, database: &str, size: Size) -> Self {
        let instance = Self::at(directory, database);
        std::thread::scope(|scope| {
            scope.spawn(|| database::create(server, database, size.orders));
            files::create(&instance, size.files);
        });
        instance.write_properties(server);
        files::attach(&instance, server);
        instance
    }

    /// A day of business: half a percent more documents and attachments, some master rows changed.
    pub fn day(&self, server: &postgres::Config) {
        database::day(server, &self.database);
        files::attach(self, server);
    }

    fn write_properties(&self, server: &postgres::Config) {
        let host = match server.get_hosts().first() {
            Some(postgres::config::Host::Tcp(host)) => host.clone(),
            _ => "localhost".into(),
        };
        let port = server.get_ports().first().copied().unwrap_or(5432);
        let password = String::from_utf8_lossy(server.get_password().unwrap_or_default());
        let properties = format!(
            "\
# Openbravo.properties of the made-up instance
dateFormat.java=dd-MM-yyyy
dateTimeFormat.java=dd-MM-yyyy HH:mm:ss
context.url=http://localhost:8080/openbravo
context.name=openbravo
attach.path={attachments}
source.path={sources}
deploy.mode=class
bbdd.rdbms=POSTGRE
bbdd.driver=org.postgresql.Driver
bbdd.url=jdbc:postgresql://{host}:{port}
bbdd.sid={database}
bbdd.systemUser={system_user}
bbdd.systemPassword={password}
bbdd.user={APPLICATION}
bbdd.password={APPLICATION}
bbdd.sessionConfig=select update_dateFormat('DD-MM-YYYY')
bbdd.props=
background.policy=default
safe.mode=true
",
            attachments = self.attachments.display(),
            sources = self.sources.display(),
            database = self.database,
            system_user = server.get_user().unwrap_or("postgres"),
        );
        for directory in [self.sources.join("config"), self.deploy.join("WEB-INF")] {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("Openbravo.properties"), &properties).unwrap();
        }
    }
}
