//! The configuration: default < file < environment < argument, and secrets that never print.
//!
//! This module knows defaults and the file. What environment and arguments say comes in as values
//! from whoever runs the library, for it never reads the environment itself.

mod drill;
mod file;
pub mod log;
pub mod notify;
mod repository;
mod restore;
pub mod retention;
pub mod schedule;
mod secret;
pub mod space;
mod tomcat;

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

pub use drill::DrillSection;
pub use file::{ConfigurationFile, Owner, write_private, write_shown};
pub use repository::{
    ObjectLock, RepositorySection, RequestChecksums, S3_SCHEME, ServerSideEncryption,
};
pub use restore::RestoreSection;
pub use secret::Secret;
pub use tomcat::TomcatSection;

/// The file's name below `config/`.
pub const FILE_NAME: &str = "obbackup.toml";

/// Where the configuration of the instance at `source_path` lies.
pub fn default_path(source_path: &Path) -> PathBuf {
    source_path.join("config").join(FILE_NAME)
}

/// What the file says; everything in it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// The repository that is meant where none is named; not needed where there is only one.
    pub default_repository: Option<String>,
    /// About the instance.
    pub instance: InstanceSection,
    /// The repositories by name.
    pub repository: BTreeMap<String, RepositorySection>,
    /// About the database.
    pub database: DatabaseSection,
    /// About taking backups.
    pub backup: BackupSection,
    /// About test restores.
    pub drill: DrillSection,
    /// About restores.
    pub restore: RestoreSection,
    /// About the web application's server.
    pub tomcat: TomcatSection,
    /// About forgetting them.
    pub retention: retention::RetentionSection,
    /// About the room for them.
    pub space: space::SpaceSection,
    /// When backups are taken by themselves, by name.
    pub schedule: BTreeMap<String, schedule::ScheduleSection>,
    /// Who is told of what, by name.
    pub notify: BTreeMap<String, notify::NotifySection>,
    /// What is watched besides.
    pub watch: notify::WatchSection,
    /// About the log.
    pub log: log::LogSection,
}

/// `[instance]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceSection {
    /// Tells this instance from others in a repository; set by `init`.
    pub id: Option<String>,
    /// Tells this machine from others that had the instance before or after; set by `init --take-over`.
    pub holder: Option<String>,
    /// What people call it; else `context.name`.
    pub name: Option<String>,
    /// The web application's directory, where it cannot be found by itself.
    pub deploy_path: Option<PathBuf>,
    /// The JVM property `properties.path` that Tomcat is started with.
    pub properties_path: Option<PathBuf>,
    /// The JVM property `machine.name` that Tomcat is started with.
    pub machine_name: Option<String>,
}

/// `[database]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSection {
    /// Where `pg_dump` and `pg_restore` lie; else they are looked for.
    pub client_directory: Option<PathBuf>,
    /// A role that may read everything, instead of `bbdd.systemUser`.
    pub system_user: Option<String>,
    /// Its password, instead of `bbdd.systemPassword`.
    pub system_password: Option<Secret>,
    /// A direct way to the server where the application goes through a connection pooler: a host
    /// name, an address, or the directory of a Unix socket.
    pub host: Option<String>,
    /// The server's port on that way.
    pub port: Option<NonZeroU16>,
    /// Connections that read or write at the same time.
    pub jobs: Option<NonZeroU16>,
}

/// `[backup]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSection {
    /// Threads that compress at the same time.
    pub jobs: Option<NonZeroU16>,
    /// How far to stand back behind other work for the processor, as `nice` counts: 0 to 19.
    pub nice: Option<u8>,
    /// Bytes of rows and files to read in a second, at most.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Paths below `source.path` that are left out besides what a build regenerates.
    pub exclude: Vec<String>,
}

/// A repository that somebody chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryChoice {
    /// Its name in the configuration, if it has one.
    pub name: Option<String>,
    /// Where it is, and how it is reached.
    pub section: RepositorySection,
}

impl Configuration {
    /// The configuration in `text`; `path` is for messages. An error names the line and, for an
    /// unknown key, the known ones; never the value, which may be a secret.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let configuration: Self =
            toml_edit::de::from_str(text).map_err(|error| explain(&error, text, path))?;
        configuration.check(path)?;
        Ok(configuration)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let wrong = |what: String, hint: String| {
            Err(Error::new(ErrorKind::Usage, format!("`{}`: {what}", path.display())).hint(hint))
        };
        for (name, section) in &self.repository {
            check_name("repository", name).map_err(|error| error.context(path.display()))?;
            if let Some((problem, remedy)) = section.problem() {
                return wrong(format!("[repository.{name}]: {problem}"), remedy.to_owned());
            }
            if let Some(copy) = section
                .copy_to
                .iter()
                .find(|copy| *copy == name || !self.repository.contains_key(copy.as_str()))
            {
                return wrong(
                    format!(
                        "copy_to of [repository.{name}] names `{copy}`, which is no other repository"
                    ),
                    self.known_repositories(),
                );
            }
        }
        self.drill.check(path)?;
        let named = (self.schedule.keys().map(|name| ("schedule", name)))
            .chain(self.notify.keys().map(|name| ("notifier", name)));
        for (what, name) in named {
            check_name(what, name).map_err(|error| error.context(path.display()))?;
        }
        if let Some(name) = &self.default_repository
            && !self.repository.contains_key(name)
        {
            return wrong(
                format!("default_repository is `{name}`, but there is no [repository.{name}]"),
                self.known_repositories(),
            );
        }
        let is_word = |id: &str| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        for (key, word) in [("id", &self.instance.id), ("holder", &self.instance.holder)] {
            if word.as_deref().is_some_and(|word| !is_word(word)) {
                return wrong(
                    format!("the {key} of [instance] is not made of up to 64 letters and digits"),
                    "Remove the line, and `obbackup init` sets a new one.".to_owned(),
                );
            }
        }
        if self.backup.nice.is_some_and(|nice| nice > 19) {
            return wrong(
                "nice of [backup] is above 19".to_owned(),
                "0 is as everybody else, 19 stands back behind all others.".to_owned(),
            );
        }
        self.restore.check(path)?;
        self.tomcat.check(path)?;
        self.retention
            .check()
            .and_then(|()| self.space.check())
            .map_err(|error| error.context(format!("`{}`", path.display())))?;
        for pattern in &self.backup.exclude {
            let relative = Path::new(pattern);
            let inside = relative
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if pattern.is_empty() || !inside {
                return wrong(
                    format!("`{pattern}` in exclude of [backup] is not a path below source.path"),
                    "Write it relative to source.path, without `.` and `..`.".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// The repository that `selector` means: a name from the file, else a path or a URL; without a
    /// selector the default one. A relative path stays as it is.
    pub fn repository(&self, selector: Option<&str>) -> Result<RepositoryChoice> {
        let named = |name: &str| {
            self.repository.get(name).map(|section| RepositoryChoice {
                name: Some(name.to_owned()),
                section: section.clone(),
            })
        };
        if let Some(selector) = selector {
            if let Some(choice) = named(selector) {
                return Ok(choice);
            }
            if selector.contains('/') || selector == "." || selector == ".." {
                return Ok(RepositoryChoice {
                    name: None,
                    section: RepositorySection::at(selector),
                });
            }
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the configuration has no repository `{selector}`"),
            )
            .hint(format!(
                "{} A directory here is written `./{selector}`.",
                self.known_repositories()
            )));
        }
        let mut all = self.repository.keys();
        match (&self.default_repository, all.next(), all.next()) {
            (Some(name), ..) | (None, Some(name), None) => named(name).ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("there is no [repository.{name}]"),
                )
            }),
            (None, Some(_), Some(_)) => Err(Error::new(
                ErrorKind::Usage,
                "the configuration has several repositories and none of them is the default",
            )
            .hint(format!(
                "{} Name one with --repository, or set default_repository.",
                self.known_repositories()
            ))),
            (None, None, _) => Err(Error::new(ErrorKind::NotFound, "no repository is set up")
                .hint("Create one: obbackup init --repository DIR --instance DIR")),
        }
    }

    fn known_repositories(&self) -> String {
        if self.repository.is_empty() {
            return "There is none yet.".to_owned();
        }
        let names: Vec<_> = self.repository.keys().map(String::as_str).collect();
        format!("Known: {}.", names.join(", "))
    }
}

/// A name of a repository must not look like a path or a URL, so that `--repository` can take either; all
/// names are keys of the file, and stand in messages and names of files.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{}` is not a name for a {what}", name.escape_debug()),
        )
        .hint("Up to 64 letters, digits, `-` and `_`."));
    }
    Ok(())
}

/// The parser's error with file and line, but without the line's text.
fn explain(error: &toml_edit::de::Error, text: &str, path: &Path) -> Error {
    let mut place = format!("`{}`", path.display());
    if let Some(before) = error.span().and_then(|span| text.get(..span.start)) {
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        place = format!("{place}, line {line}");
    }
    let message = error.message();
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((key, rest)) = rest.split_once('`')
    {
        let known: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
        return Error::new(
            ErrorKind::Usage,
            format!("{place}: unknown key `{}`", key.escape_debug()),
        )
        .hint(format!("Known keys there: {}.", known.join(", ")));
    }
    let message = message.replace('\n', "; ");
    Error::new(ErrorKind::Usage, format!("{place}: {message}"))
        .hint("The file is TOML: `key = \"value\"` below a [section].")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Configuration> {
        Configuration::parse(text, Path::new("/x/config/obbackup.toml"))
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        assert_eq!(parse("").unwrap(), Configuration::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            default_repository = "main"
            [instance]
            id = "abc123"
            name = "production"
            deploy_path = "/srv/tomcat/webapps/openbravo"
            properties_path = "/etc/openbravo/override.properties"
            machine_name = "node1"
            [repository.main]
            url = "/var/backups/openbravo"
            [repository.cloud]
            url = "s3://bucket/prefix"
            copy_to = ["main"]
            stall_seconds = 30
            give_up_after_seconds = 600
            concurrency = 4
            bandwidth_bytes_per_second = 1000000
            region = "eu-west-1"
            endpoint = "https://s3.example.org"
            path_style = true
            profile = "backup"
            access_key_id = "key"
            secret_access_key = "s3cret"
            session_token = "s3cret token"
            storage_class = "STANDARD_IA"
            sse = "kms"
            kms_key_id = "alias/backup"
            request_checksums = "when_supported"
            object_lock = "governance"
            object_lock_days = 30
            [repository.disk]
            url = "/mnt/disk/openbravo"
            require_mount = true
            [database]
            client_directory = "/usr/lib/postgresql/15/bin"
            system_user = "postgres"
            system_password = "hush"
            host = "/var/run/postgresql"
            port = 5433
            jobs = 4
            [backup]
            jobs = 2
            nice = 10
            bytes_per_second = 20000000
            exclude = ["scratch", "modules/x/big"]
            [restore]
            status_file = "/var/www/openbravo/restore.html"
            page_port = 8089
            keep_old_days = 14
            page = false
            [tomcat]
            base = "/var/lib/tomcat9"
            home = "/usr/share/tomcat9"
            stop = ["/usr/bin/systemctl", "stop", "tomcat9"]
            start = ["/usr/bin/systemctl", "start", "tomcat9"]
            probe_url = "http://127.0.0.1:8080/openbravo/"
            probe_status = 200
            probe_text = "password"
            probe_timeout_seconds = 60
            stop_timeout_seconds = 30
            kill = true
        "#;
        let configuration = parse(text).unwrap();
        let password = configuration.database.system_password.clone().unwrap();
        assert_eq!(password.expose(), "hush");
        assert!(!format!("{configuration:?}").contains("hush"));
        let choice = configuration.repository(None).unwrap();
        assert_eq!(choice.section.url, "/var/backups/openbravo");
        assert_eq!(choice.name.as_deref(), Some("main"));
        let choice = configuration.repository(Some("cloud")).unwrap();
        assert_eq!(choice.section.url, "s3://bucket/prefix");
        assert_eq!(choice.section.region.as_deref(), Some("eu-west-1"));
        assert_eq!(choice.section.sse, Some(ServerSideEncryption::Kms));
        assert!(!format!("{choice:?}").contains("s3cret"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_known_ones() {
        let error = parse("[instance]\nname = \"x\"\nnaem = \"y\"\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(
            error.to_string(),
            "`/x/config/obbackup.toml`, line 3: unknown key `naem`"
        );
        assert_eq!(
            error.hint_text(),
            Some("Known keys there: id, holder, name, deploy_path, properties_path, machine_name.")
        );
        let error = parse("\n[databse]\nport = 1\n").unwrap_err();
        assert!(error.to_string().contains("line 2: unknown key `databse`"));
        let error = parse("[repository.main]\nurl = \"/x\"\npath = \"/y\"\n").unwrap_err();
        let known = error.hint_text().unwrap();
        assert!(
            known.starts_with("Known keys there: url, copy_to, require_mount"),
            "{known}"
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line_but_a_secret_is_not_shown() {
        let error = parse("[database]\nport = \"x\"\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        for value in [
            "471199",
            "true",
            "47.1199",
            "[\"471199\"]",
            "{ a = 471199 }",
        ] {
            let error = parse(&format!("[database]\nsystem_password = {value}\n")).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("line 2") && !text.contains("47"), "{text}");
        }
        let error = parse("[database]\nsystem_password = \"471199\n").unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("line 2") && !text.contains("471199"),
            "{text}"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "default_repository = \"x\"",
            "[repository.a]\nurl = \"relative/path\"",
            "[repository.\"a/b\"]\nurl = \"/x\"",
            "[repository.a]\nurl = \"/x\"\nregion = \"eu-west-1\"",
            "[repository.a]\nurl = \"/x\"\ncopy_to = [\"a\"]",
            "[repository.a]\nurl = \"/x\"\ncopy_to = [\"b\"]",
            "[repository.a]\nurl = \"s3://bucket\"\naccess_key_id = \"x\"",
            "[repository.a]\nurl = \"s3://bucket\"\nrequire_mount = true",
            "[repository.a]\nurl = \"s3://bucket\"\nsse = \"aes\"",
            "[repository.a]\nurl = \"s3://bucket\"\nkms_key_id = \"x\"",
            "[repository.a]\nurl = \"s3://bucket\"\nobject_lock_days = 3",
            "[repository.a]\nurl = \"s3://bucket\"\nconcurrency = 0",
            "[instance]\nid = \"../x\"",
            "[backup]\nexclude = [\"../x\"]",
            "[backup]\nexclude = [\"/etc\"]",
            "[backup]\njobs = 0",
            "[backup]\nnice = 20",
            "[backup]\nbytes_per_second = 0",
            "[database]\nport = 70000",
            "[restore]\nstatus_file = \"restore.html\"",
            "[restore]\nstatus_file = \"/var/www/restore\"",
            "[tomcat]\nstop = [\"/bin/true\"]",
            "[tomcat]\nstop = [\"true\"]\nstart = [\"true\"]",
            "[tomcat]\nstop = [\"/x\"]\nstart = [\"/x\"]\nunit = \"tomcat9\"",
            "[tomcat]\nbase = \"tomcat\"",
            "[tomcat]\nprobe_url = \"https://localhost/\"",
            "[tomcat]\nprobe_timeout_seconds = 0",
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), ErrorKind::Usage, "{text}");
        }
    }

    #[test]
    fn a_selector_is_a_name_or_a_place() {
        let none = Configuration::default();
        assert_eq!(
            none.repository(None).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            none.repository(Some("x")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(none.repository(Some("./x")).unwrap().section.url, "./x");
        let two = parse("[repository.a]\nurl = \"/a\"\n[repository.b]\nurl = \"/b\"").unwrap();
        assert_eq!(two.repository(None).unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(two.repository(Some("b")).unwrap().section.url, "/b");
    }
}
