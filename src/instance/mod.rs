//! One Openbravo instance: what its properties say of its database and its directories.

pub mod database;
pub mod environment;
pub mod history;
pub mod pgpass;
pub mod properties;
pub mod state;
pub mod status;

mod deploy;
mod nesting;
mod version;

use std::path::{Path, PathBuf};

pub use database::{Address, DatabaseSettings, Role, SslMode, decode, encode};
pub use deploy::deployed_sources;
pub use environment::Environment;
pub use nesting::{check_nesting, resolve_existing};
pub use state::OWN_DIRECTORY;
pub use status::{SystemStatus, is_rebuilding};
pub use version::modules_of_sources;

use crate::config::{Configuration, Owner};
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::Digest256;
use crate::format::manifest::{InstanceIdentity, Part};
use pgpass::PasswordFile;
use properties::Properties;

/// The file's name below `config/`, and the end of the names that override it.
const PROPERTIES: &str = "Openbravo.properties";
/// Enough of a digest to tell instances apart.
const DERIVED_ID_DIGITS: usize = 32;

/// One Openbravo installation, as its configuration describes it.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Stays the same as long as the instance is the same.
    pub id: String,
    /// Whether `id` is only derived from host, directory and database, because nobody set one.
    pub is_id_derived: bool,
    /// The word that this machine got when it took the instance over.
    pub holder: Option<String>,
    /// What a person types to confirm a restore.
    pub name: String,
    /// The host's name.
    pub host: String,
    /// The sources, with symbolic links resolved.
    pub source_path: PathBuf,
    /// `config/` in the sources, with symbolic links resolved.
    pub config_path: PathBuf,
    /// `attach.path` as written; it need not exist.
    pub attach_path: Option<PathBuf>,
    /// `reprintable.path` as written, where it is set; it need not exist.
    pub reprintable_path: Option<PathBuf>,
    /// The web application's directory, where there is one.
    pub deploy_path: Option<PathBuf>,
    /// `context.name`: the web application's name and path in Tomcat.
    pub context_name: String,
    /// How to reach the database.
    pub database: DatabaseSettings,
    /// The version of the module *Core* in the sources, where it can be read.
    pub openbravo_version: Option<String>,
    /// Whom the sources belong to; files that are made for the instance get this owner.
    pub owner: Owner,
    /// All properties in force.
    pub properties: Properties,
    /// What is odd about the instance without keeping it from being backed up.
    pub warnings: Vec<String>,
    excluded: Vec<PathBuf>,
}

/// One directory tree of an instance, and what below it is not its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRoot {
    /// Which part of a backup it is.
    pub part: Part,
    /// The directory, absolute, with symbolic links resolved.
    pub root: PathBuf,
    /// The same directory as the instance's configuration writes it.
    pub written: PathBuf,
    /// Absolute paths below `root` that belong to another part, or that the configuration excludes.
    pub excluded: Vec<PathBuf>,
}

impl Instance {
    /// The instance whose `source.path` is `source_path`.
    ///
    /// `NotFound` where there is none; `Usage` where a properties file is malformed, naming the line;
    /// `Denied` where it cannot be read; `Incompatible` where the database is not PostgreSQL.
    pub fn open(
        source_path: &Path,
        environment: &Environment,
        configuration: &Configuration,
    ) -> Result<Self> {
        let source_path = resolve_source(source_path)?;
        let properties = read_properties(&source_path, environment, configuration)?;
        Self::of_properties(source_path, properties, environment, configuration)
    }

    /// The instance that `source_path` is to hold, where nothing or little of it is there yet. Its web application
    /// goes where Tomcat looks for it.
    pub fn arriving(
        source_path: &Path,
        properties: Properties,
        environment: &Environment,
        configuration: &Configuration,
    ) -> Result<Self> {
        let source_path = resolve_existing(source_path);
        let mut instance =
            Self::of_properties(source_path, properties, environment, configuration)?;
        let place = || deploy::place(&instance.context_name, environment);
        instance.deploy_path = match instance.deploy_path.take() {
            Some(path) => Some(path),
            None => configuration.instance.deploy_path.clone().or_else(place),
        };
        // What is not there yet is no reason to worry.
        instance.warnings.clear();
        Ok(instance)
    }

    fn of_properties(
        source_path: PathBuf,
        properties: Properties,
        environment: &Environment,
        configuration: &Configuration,
    ) -> Result<Self> {
        let config_path = resolve_existing(&source_path.join("config"));
        let mut warnings = Vec::new();

        let password_file = environment
            .password_file()
            .map(|path| PasswordFile::read(&path))
            .unwrap_or_default();
        let database =
            DatabaseSettings::read(&properties, &configuration.database, &password_file)?;
        if database.application.password.is_none() {
            warnings.extend(password_file.ignored);
        }
        if properties.get("JNDI.usage") == Some("yes") {
            warnings.push(
                "JNDI.usage is `yes`: the application gets its database from Tomcat, this program from \
                 bbdd.*; make sure that both are the same"
                    .to_owned(),
            );
        }
        let context_name = properties.required("context.name")?.trim().to_owned();
        if context_name.contains('/') || context_name == ".." || context_name == "." {
            return Err(properties.malformed("context.name", "is not the name of a directory"));
        }
        let attach_path = directory(&properties, "attach.path")?;
        let reprintable_path = directory(&properties, "reprintable.path")?;
        if let Some(written) = directory(&properties, "source.path")?
            && resolve_existing(&written) != source_path
        {
            warnings.push(format!(
                "source.path is `{}`, but the instance lies at `{}`",
                written.display(),
                source_path.display()
            ));
        }
        let (deploy_path, notes) =
            deploy::find(&source_path, &context_name, environment, configuration)?;
        warnings.extend(notes);
        for (key, path) in [
            ("attach.path", &attach_path),
            ("reprintable.path", &reprintable_path),
        ] {
            if let Some(path) = path.as_ref().filter(|path| !path.is_dir()) {
                warnings.push(format!("{key}: there is no directory `{}`", path.display()));
            }
        }
        let derived = derive_id(&environment.hostname, &source_path, &database);
        let instance = Self {
            is_id_derived: configuration.instance.id.is_none(),
            id: configuration.instance.id.clone().unwrap_or(derived),
            holder: configuration.instance.holder.clone(),
            name: configuration
                .instance
                .name
                .clone()
                .unwrap_or_else(|| context_name.clone()),
            host: environment.hostname.clone(),
            openbravo_version: version::of_sources(&source_path),
            owner: Owner::of(nearest_existing(&source_path))?,
            excluded: configuration
                .backup
                .exclude
                .iter()
                .map(|path| source_path.join(path))
                .collect(),
            source_path,
            config_path,
            attach_path,
            reprintable_path,
            deploy_path,
            context_name,
            database,
            properties,
            warnings,
        };
        instance.check_roots()?;
        Ok(instance)
    }

    /// The file parts that exist, each with what below it is not its own.
    ///
    /// Attachments inside the sources are a part of their own and stored once; so is `config/`.
    /// Reprintable documents are a part only outside the attachments. What a build regenerates is not
    /// listed: the walk of the sources knows it.
    pub fn roots(&self) -> Vec<FileRoot> {
        let attachments = self.attach_path.as_deref();
        let reprintables = self.reprintable_path.as_deref().filter(|path| {
            attachments.is_none_or(|attachments| {
                !resolve_existing(path).starts_with(resolve_existing(attachments))
            })
        });
        let written = [
            (Part::Sources, Some(self.source_path.as_path())),
            (Part::Deploy, self.deploy_path.as_deref()),
            (Part::Attachments, attachments),
            (Part::Reprintables, reprintables),
            (Part::Configuration, Some(self.config_path.as_path())),
        ];
        let roots: Vec<(Part, PathBuf, &Path)> = written
            .into_iter()
            .filter_map(|(part, path)| Some((part, path?)))
            .filter(|(_, path)| path.is_dir())
            .map(|(part, path)| (part, resolve_existing(path), path))
            .collect();
        roots
            .iter()
            .map(|(part, root, written)| {
                let others = roots
                    .iter()
                    .filter(|(other, path, _)| other != part && path.starts_with(root))
                    .map(|(_, path, _)| path.clone());
                let configured = self
                    .excluded
                    .iter()
                    .filter(|_| *part == Part::Sources)
                    .cloned();
                FileRoot {
                    part: *part,
                    root: root.clone(),
                    written: (*written).to_owned(),
                    excluded: others.chain(configured).collect(),
                }
            })
            .collect()
    }

    /// The root of one part, where it exists.
    pub fn root(&self, part: Part) -> Option<FileRoot> {
        self.roots().into_iter().find(|root| root.part == part)
    }

    /// The same instance with its database under another name and directories in other places: a state
    /// that is kept aside.
    #[must_use]
    pub fn aside(&self, database: Option<&str>, roots: &[(Part, PathBuf)]) -> Self {
        let mut aside = self.clone();
        if let Some(database) = database {
            database.clone_into(&mut aside.database.name);
        }
        for (part, root) in roots {
            let root = root.clone();
            match part {
                Part::Sources => aside.source_path = root,
                Part::Configuration => aside.config_path = root,
                Part::Deploy => aside.deploy_path = Some(root),
                Part::Attachments => aside.attach_path = Some(root),
                Part::Reprintables => aside.reprintable_path = Some(root),
                Part::Database => {}
            }
        }
        aside
    }

    /// What a manifest says of the instance; modules are the database's to tell.
    pub fn identity(&self) -> InstanceIdentity {
        InstanceIdentity {
            id: self.id.clone(),
            name: self.name.clone(),
            host: self.host.clone(),
            source_path: self.source_path.to_string_lossy().into_owned(),
            holder: self.holder.clone(),
            openbravo_version: self.openbravo_version.clone(),
            modules: Vec::new(),
        }
    }

    /// Where what is remembered of the instance lies.
    pub fn state(&self) -> Result<state::StateDirectory> {
        state::StateDirectory::open(&self.source_path, self.owner)
    }

    /// The same, if it is there already.
    pub fn state_if_any(&self) -> Option<state::StateDirectory> {
        state::StateDirectory::existing(&self.source_path, self.owner)
    }

    /// Where the instance's `obbackup.toml` lies.
    pub fn configuration_path(&self) -> PathBuf {
        self.config_path.join(crate::config::FILE_NAME)
    }

    /// Two parts in one directory could not be restored apart.
    fn check_roots(&self) -> Result<()> {
        let roots = self.roots();
        for (index, one) in roots.iter().enumerate() {
            if let Some(other) = roots
                .iter()
                .skip(index + 1)
                .find(|other| other.root == one.root)
            {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!(
                        "`{}` is both {} and {} of the instance",
                        one.root.display(),
                        one.part,
                        other.part
                    ),
                )
                .hint(format!("See {}.", file_list(&self.properties))));
            }
        }
        Ok(())
    }
}

/// The path itself, or the nearest directory above it that is there.
pub fn nearest_existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"))
}

/// The directory that holds an instance, at `start` or above it.
pub fn find(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .find(|directory| directory.join("config").join(PROPERTIES).is_file())
        .map(Path::to_owned)
}

fn resolve_source(source_path: &Path) -> Result<PathBuf> {
    let none = |reason: String| {
        Error::new(ErrorKind::NotFound, reason).hint(
            "--instance takes the source.path of an Openbravo instance: the directory with config/ and \
             build.xml.",
        )
    };
    let shown = source_path.display();
    match std::fs::metadata(source_path.join("config").join(PROPERTIES)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(
                Error::io(format!("cannot read the instance at `{shown}`"), error)
                    .hint("Run this as root, or as the user that Tomcat runs as."),
            );
        }
        Err(_) if !source_path.is_dir() => {
            return Err(none(format!("there is no directory `{shown}`")));
        }
        Err(_) => {
            return Err(none(format!(
                "there is no Openbravo instance at `{shown}`: it has no config/{PROPERTIES}"
            )));
        }
    }
    std::fs::canonicalize(source_path)
        .map_err(|error| Error::io(format!("cannot resolve `{shown}`"), error))
}

/// The base file, and over it the first of these that is there, as `ConfigParameters.overrideProperties`
/// has it (`OBPropertiesProvider` calls the same): the file that the JVM property `properties.path`
/// names, and only without it `<machine.name>.Openbravo.properties` beside the base file, where
/// `machine.name` is a JVM property, else the host's name. Tomcat reads both files in `WEB-INF`, where
/// each build copies `config/` to.
pub fn read_properties(
    source_path: &Path,
    environment: &Environment,
    configuration: &Configuration,
) -> Result<Properties> {
    let help = |error: Error| match error.kind() {
        ErrorKind::Denied => error.hint("Run this as root, or as the user that Tomcat runs as."),
        _ => error,
    };
    let directory = source_path.join("config");
    let mut properties = Properties::read(&directory.join(PROPERTIES)).map_err(help)?;
    let section = &configuration.instance;
    let stronger = section
        .properties_path
        .as_ref()
        .or(environment.properties_path.as_ref());
    let path = if let Some(path) = stronger {
        path.clone()
    } else {
        let machine = section
            .machine_name
            .as_ref()
            .or(environment.machine_name.as_ref())
            .unwrap_or(&environment.hostname);
        if machine.is_empty() || machine.contains('/') {
            return Ok(properties);
        }
        directory.join(format!("{machine}.{PROPERTIES}"))
    };
    match properties.override_with(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(properties),
        other => other.map_err(help).map(|()| properties),
    }
}

/// An absolute directory, if the key has a value at all.
fn directory(properties: &Properties, key: &str) -> Result<Option<PathBuf>> {
    let Some(text) = properties.filled(key) else {
        return Ok(None);
    };
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        return Err(properties
            .malformed(key, "is not an absolute path")
            .hint("Openbravo would take it relative to wherever Tomcat was started."));
    }
    Ok(Some(path))
}

fn derive_id(hostname: &str, source_path: &Path, database: &DatabaseSettings) -> String {
    let text = format!(
        "{hostname}|{}|{}/{}",
        source_path.display(),
        database.address(),
        database.name
    );
    let mut digits = Digest256::of(text.as_bytes()).to_hex();
    digits.truncate(DERIVED_ID_DIGITS);
    digits
}

fn file_list(properties: &Properties) -> String {
    let files: Vec<_> = properties
        .files()
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    files.join(" and ")
}

#[cfg(test)]
mod tests;
