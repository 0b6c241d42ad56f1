//! An instance that comes out of a repository to a machine that has none, or only a fresh one.
//!
//! What describes the machine is this machine's: the connection that is given, or what properties are there already.
//! Everything else is the backup's: its own properties, with directories that lay inside of its sources moved to the
//! new ones.

use std::path::{Path, PathBuf};

use super::contents::{Place, cat};
use super::restore::RestorePlan;
use super::tenant;
use crate::config::{Configuration, Owner, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Manifest, Part};
use crate::instance::properties::{self, Properties};
use crate::instance::{
    Environment, Instance, encode, nearest_existing, read_properties, resolve_existing,
};
use crate::progress::Silent;
use crate::repository::Repository;
use crate::repository::backups::{Backup, Backups, Latest};
use crate::repository::reader::Reader;
use crate::repository::tenure::Tenure;
use crate::tomcat;
use crate::tomcat::systemd::Systemd;

/// The connection for the new database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDatabase {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub name: String,
    /// The application's role, which may create databases.
    pub role: String,
    /// Its password; else the password file is asked.
    pub password: Option<Secret>,
    /// A superuser, for what the application's role may not create.
    pub system: Option<(String, Option<Secret>)>,
}

const PROPERTIES: &str = "Openbravo.properties";

/// What of the database's properties belongs to the machine, and what stands in for it where this one has none.
const CONNECTION: &[&str] = &[
    "bbdd.url",
    "bbdd.sid",
    "bbdd.user",
    "bbdd.password",
    "bbdd.systemUser",
    "bbdd.systemPassword",
    "bbdd.props",
];
/// The pool for reports: a property, and the one whose value it gets where this machine has no pool of its own. What
/// the backup says would lead back to the old machine.
const REPORTS: &[(&str, &str)] = &[
    ("bbdd.readonly.url", "bbdd.url"),
    ("bbdd.readonly.sid", "bbdd.sid"),
    ("bbdd.readonly.user", "bbdd.user"),
    ("bbdd.readonly.password", "bbdd.password"),
];
/// Directories that move with the sources where they lie inside.
const DIRECTORIES: &[&str] = &["attach.path", "reprintable.path"];

/// Whether `backup` was taken of another machine than this instance's.
pub fn is_foreign(instance: &Instance, backup: &Backup) -> bool {
    let origin = &backup.manifest.instance;
    origin.id != instance.id || origin.host != instance.host
}

/// What the instance of `backup` becomes in `source_path`, of which nothing need be there.
///
/// `Usage` where neither `database` nor properties there name the connection.
pub fn arrive(
    source_path: &Path,
    database: Option<&NewDatabase>,
    backup: &Backup,
    repository: &Repository,
    environment: &Environment,
    configuration: &Configuration,
) -> Result<Instance> {
    let file = source_path.join("config").join(PROPERTIES);
    let own = if file.exists() {
        read_properties(&resolve_existing(source_path), environment, configuration)?
    } else {
        Properties::default()
    };
    let origin = origin(&repository.reader()?, &backup.manifest)?;
    let mut properties = compose(&origin, &own, source_path, &backup.manifest);
    if let Some(database) = database {
        set(&mut properties, &file, &connection(database))?;
    }
    if properties.filled("bbdd.url").is_none() {
        return Err(Error::new(
            ErrorKind::Usage,
            "the connection for the new database is not named",
        )
        .hint(
            "Give --connection postgresql://ROLE@HOST:PORT/DATABASE, or PGHOST, PGPORT, PGUSER and PGDATABASE; the \
             password as PGPASSWORD or in ~/.pgpass.",
        ));
    }
    if origin.filled("bbdd.readonly.url").is_some() && own.filled("bbdd.readonly.url").is_none() {
        let reports: Vec<_> = REPORTS
            .iter()
            .filter_map(|(key, of)| Some(((*key).to_owned(), properties.get(of)?.to_owned())))
            .collect();
        set(&mut properties, &file, &reports)?;
    }
    let environment = with_tomcats(environment, configuration);
    let mut instance = Instance::arriving(source_path, properties, &environment, configuration)?;
    // The application reads no password file.
    let application = instance.database.application.password.clone();
    if let (Some(password), None) = (application, instance.properties.filled("bbdd.password")) {
        let found = [("bbdd.password".to_owned(), password.expose().to_owned())];
        set(&mut instance.properties, &file, &found)?;
    }
    Ok(instance)
}

/// The web application belongs into the Tomcat that the configuration names, else one that runs here or that systemd
/// would run, rather than into one that is merely installed.
fn with_tomcats(environment: &Environment, configuration: &Configuration) -> Environment {
    let mut environment = environment.clone();
    let systemd = Systemd::running();
    let first = tomcat::bases(&configuration.tomcat, systemd.as_ref());
    environment.tomcat_directories.splice(0..0, first);
    environment
}

/// The properties in the backup; none where it has no configuration.
fn origin(reader: &Reader, manifest: &Manifest) -> Result<Properties> {
    let mut bytes = Vec::new();
    let place = Place::File(Part::Configuration, PROPERTIES.into());
    match cat(reader, manifest, &place, &mut bytes, &Silent) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Properties::default()),
        other => other?,
    }
    let mut properties = Properties::default();
    properties.load(&bytes, Path::new("the backup's Openbravo.properties"))?;
    Ok(properties)
}

/// The backup's properties, less what describes its machine, and over them this machine's own.
fn compose(
    origin: &Properties,
    own: &Properties,
    source_path: &Path,
    manifest: &Manifest,
) -> Properties {
    let old = Path::new(&manifest.instance.source_path);
    let mut values: Vec<(String, String)> = Vec::new();
    for (key, value) in origin.iter() {
        let value = if CONNECTION.contains(&key) || REPORTS.iter().any(|(name, _)| *name == key) {
            String::new()
        } else if DIRECTORIES.contains(&key) {
            moved(Path::new(value), old, source_path)
                .to_string_lossy()
                .into_owned()
        } else {
            value.to_owned()
        };
        values.push((key.to_owned(), value));
    }
    values.push((
        "source.path".to_owned(),
        source_path.to_string_lossy().into_owned(),
    ));
    values.extend(
        own.iter()
            .filter(|(key, value)| !value.trim().is_empty() || origin.get(key).is_none())
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let mut properties = Properties::default();
    // What was read can be written and read again.
    set(
        &mut properties,
        &source_path.join("config").join(PROPERTIES),
        &values,
    )
    .ok();
    properties
}

fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    path.strip_prefix(from)
        .map_or_else(|_| path.to_owned(), |inside| to.join(inside))
}

fn connection(database: &NewDatabase) -> Vec<(String, String)> {
    // The JDBC driver knows no sockets by their directory.
    let host = match database.host.as_str() {
        socket if socket.is_empty() || socket.starts_with('/') => "localhost".to_owned(),
        address if address.contains(':') => format!("[{address}]"),
        host => host.to_owned(),
    };
    let mut values = vec![
        (
            "bbdd.url",
            format!("jdbc:postgresql://{host}:{}", database.port),
        ),
        ("bbdd.sid", encode(&database.name)),
        ("bbdd.user", database.role.clone()),
    ];
    let password = |password: &Option<Secret>| password.as_ref().map(|it| it.expose().to_owned());
    values.extend(password(&database.password).map(|it| ("bbdd.password", it)));
    if let Some((role, of)) = &database.system {
        values.push(("bbdd.systemUser", role.clone()));
        values.extend(password(of).map(|it| ("bbdd.systemPassword", it)));
    }
    values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn set(properties: &mut Properties, file: &Path, values: &[(String, String)]) -> Result<()> {
    let text = properties::lines(values.iter().map(|(key, value)| (&**key, &**value)));
    properties.load(text.as_bytes(), file)
}

/// Who is to have what belonged to the owner of a part in the backup: whoever has the directory that it goes to, or
/// the nearest above it; `None` where that is root, who is nobody's application. Then names decide.
pub(super) fn owner_at(instance: &Instance, root: &Path) -> Option<Owner> {
    let of = |path: &Path| {
        let owner = Owner::of(path).ok()?;
        (owner.uid != 0).then_some(owner)
    };
    of(nearest_existing(root)).or_else(|| (instance.owner.uid != 0).then_some(instance.owner))
}

/// Whether anything may be written to the repository in the instance's name.
pub(super) fn may_write(repository: &Repository, instance: &Instance) -> Result<bool> {
    Ok(repository.tenure(tenant(instance))? == Tenure::Own)
}

/// Whether there is a state that a restore would replace and a backup could hold.
pub(super) fn has_state(instance: &Instance, plan: &RestorePlan) -> bool {
    let database = plan.database.as_ref();
    database.is_none_or(|database| database.replaces.is_some())
        && instance.root(Part::Sources).is_some()
}

/// What a person should know before a backup takes the place of what is here.
pub(super) fn notes(
    repository: &Repository,
    instance: &Instance,
    backup: &Backup,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if is_foreign(instance, backup) {
        let origin = &backup.manifest.instance;
        notes.push(format!(
            "the backup is of another machine: {} on {} in {}; connection, directories and owners are this machine's",
            origin.name, origin.host, origin.source_path
        ));
    }
    if !may_write(repository, instance)? {
        notes.push(
            "the repository is only read from here, because it is another instance's, or this one was taken over: no \
             backup of the present state is taken; the database and the files that are replaced are kept here"
                .to_owned(),
        );
    }
    Ok(notes)
}

/// The backup that `latest` means for an instance: its own newest good one, and for one that has none yet, in a
/// repository of one other instance, that one's.
pub fn latest(repository: &Repository, instance: Option<&Instance>) -> Result<Latest> {
    let Some(instance) = instance else {
        let found = repository.backups()?;
        check_single(repository, &found)?;
        return repository.latest(None);
    };
    match repository.latest(Some(tenant(instance).instance)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let found = repository.backups()?;
            let has_own = |backup: &Backup| backup.manifest.instance.id == instance.id;
            if found.backups.is_empty() || found.backups.iter().any(has_own) {
                return Err(error);
            }
            check_single(repository, &found)?;
            repository.latest(None)
        }
        other => other,
    }
}

/// Which one is meant must be clear.
fn check_single(repository: &Repository, found: &Backups) -> Result<()> {
    let mut instances: Vec<_> = found
        .backups
        .iter()
        .map(|backup| &backup.manifest.instance)
        .collect();
    instances.sort_by(|one, other| one.id.cmp(&other.id));
    instances.dedup_by(|one, other| one.id == other.id);
    if instances.len() < 2 {
        return Ok(());
    }
    let names: Vec<_> = instances
        .iter()
        .map(|instance| format!("{} on {}", instance.name, instance.host))
        .collect();
    Err(Error::new(
        ErrorKind::Usage,
        format!(
            "`{}` holds backups of several instances: {}",
            repository.storage().location(),
            names.join(", ")
        ),
    )
    .hint("Name the backup by its id: `obbackup list --all-instances` shows them."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(text: &str) -> Properties {
        let mut properties = Properties::default();
        properties.load(text.as_bytes(), Path::new("test")).unwrap();
        properties
    }

    #[test]
    fn a_connection_becomes_properties_and_keeps_odd_names() {
        let values = connection(&NewDatabase {
            host: "::1".to_owned(),
            port: 5433,
            name: "open bravo".to_owned(),
            role: "erp".to_owned(),
            password: Some(Secret::new("p=\\ ä")),
            system: Some(("admin".to_owned(), None)),
        });
        let mut made = Properties::default();
        set(&mut made, Path::new("x"), &values).unwrap();
        assert_eq!(made.get("bbdd.url"), Some("jdbc:postgresql://[::1]:5433"));
        assert_eq!(made.get("bbdd.sid"), Some("open%20bravo"));
        assert_eq!(made.get("bbdd.password"), Some("p=\\ ä"));
        assert_eq!(made.get("bbdd.systemUser"), Some("admin"));
        assert_eq!(made.get("bbdd.systemPassword"), None);
    }

    #[test]
    fn nothing_leads_back_to_the_old_machine() {
        let origin = properties(
            "bbdd.url=jdbc:postgresql://old:5432\nbbdd.systemUser=postgres\nbbdd.readonly.url=jdbc:postgresql://replica\n\
             bbdd.rdbms=POSTGRE\nattach.path=/opt/old/attachments\nreprintable.path=/srv/reprints\n\
             source.path=/opt/old\ncontext.name=openbravo\n",
        );
        let own = properties("bbdd.url=jdbc:postgresql://new\nattach.path=\nextra=1\n");
        let mut manifest = crate::repository::backups::tests::manifest("one", 1_000_000);
        manifest.instance.source_path = "/opt/old".to_owned();
        let made = compose(&origin, &own, Path::new("/srv/new"), &manifest);
        for (key, value) in [
            ("bbdd.url", "jdbc:postgresql://new"),
            ("bbdd.systemUser", ""),
            ("bbdd.readonly.url", ""),
            ("bbdd.rdbms", "POSTGRE"),
            ("attach.path", "/srv/new/attachments"),
            ("reprintable.path", "/srv/reprints"),
            ("source.path", "/srv/new"),
            ("context.name", "openbravo"),
            ("extra", "1"),
        ] {
            assert_eq!(made.get(key), Some(value), "{key}");
        }
    }
}
