//! What an instance depends on outside of its own files, as values: the library reads no environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// The surroundings of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// The host's name, as `gethostname` has it: so Java has it too.
    pub hostname: String,
    /// The user's home directory, which may hold a `.pgpass`.
    pub home: Option<PathBuf>,
    /// The password file where it is not that one (`PGPASSFILE`).
    pub password_file: Option<PathBuf>,
    /// Where this Tomcat's files are (`CATALINA_BASE`).
    pub catalina_base: Option<PathBuf>,
    /// Where Tomcat is (`CATALINA_HOME`).
    pub catalina_home: Option<PathBuf>,
    /// The JVM property `properties.path`.
    pub properties_path: Option<PathBuf>,
    /// The JVM property `machine.name`.
    pub machine_name: Option<String>,
    /// Where copies of what never changes in a distant repository are kept; nowhere without a home.
    pub cache_directory: Option<PathBuf>,
    /// Directories to look for a Tomcat in, when the two variables above are not set.
    pub tomcat_directories: Vec<PathBuf>,
}

/// Variables that a Tomcat is given JVM properties by.
const JVM_OPTIONS: &[&str] = &["CATALINA_OPTS", "JAVA_OPTS", "JAVA_TOOL_OPTIONS"];

/// Where packages and handbooks put a Tomcat.
const TOMCAT_DIRECTORIES: &[&str] = &[
    "/var/lib/tomcat",
    "/var/lib/tomcat9",
    "/var/lib/tomcat10",
    "/opt/tomcat",
    "/opt/tomcat9",
    "/usr/local/tomcat",
    "/usr/share/tomcat",
    "/usr/share/tomcat9",
    "/opt/OpenbravoERP/tomcat",
];

impl Environment {
    /// From environment variables, through `variable`; empty ones count as unset.
    pub fn from_variables(
        hostname: impl Into<String>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let path = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let jvm_property = |name: &str| {
            let option = format!("-D{name}=");
            JVM_OPTIONS.iter().find_map(|options| {
                let options = variable(options)?.into_string().ok()?;
                options
                    .split_whitespace()
                    .filter_map(|word| word.strip_prefix(&option))
                    .map(|value| value.trim_matches(['"', '\'']).to_owned())
                    .rfind(|value| !value.is_empty())
            })
        };
        Self {
            hostname: hostname.into(),
            home: path("HOME"),
            password_file: path("PGPASSFILE"),
            catalina_base: path("CATALINA_BASE"),
            catalina_home: path("CATALINA_HOME"),
            properties_path: jvm_property("properties.path").map(PathBuf::from),
            machine_name: jvm_property("machine.name"),
            cache_directory: cache_directory(&variable),
            tomcat_directories: TOMCAT_DIRECTORIES.iter().map(PathBuf::from).collect(),
        }
    }

    /// The password file that PostgreSQL's own clients would read.
    pub(super) fn password_file(&self) -> Option<PathBuf> {
        self.password_file
            .clone()
            .or_else(|| self.home.as_ref().map(|home| home.join(".pgpass")))
    }
}

/// Where programs of this user keep what can be made anew; of a service, which may have no home that it can write, where
/// the service manager says.
fn cache_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = |name| variable(name).map(PathBuf::from);
    let of_service = || {
        let all = variable("CACHE_DIRECTORY")?.into_string().ok()?;
        all.split(':').next().map(PathBuf::from)
    };
    let is_absolute = |path: &PathBuf| path.is_absolute();
    let base = named("XDG_CACHE_HOME")
        .filter(is_absolute)
        .or_else(|| of_service().filter(is_absolute))
        .or_else(|| Some(named("HOME").filter(is_absolute)?.join(".cache")))?;
    Some(base.join("obbackup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jvm_properties_are_found_among_the_options() {
        let environment = Environment::from_variables("host", |name| {
            Some(OsString::from(match name {
                "CATALINA_OPTS" => "-Xmx2g -Dproperties.path=/etc/ob.properties -server",
                "JAVA_OPTS" => "-Dmachine.name=\"node 1\" -Dmachine.name='node2'",
                "CATALINA_BASE" => "",
                "HOME" => "/home/x",
                _ => return None,
            }))
        });
        assert_eq!(
            environment.properties_path,
            Some("/etc/ob.properties".into())
        );
        assert_eq!(environment.machine_name.as_deref(), Some("node2"));
        assert_eq!(environment.catalina_base, None);
        assert_eq!(environment.password_file(), Some("/home/x/.pgpass".into()));
    }

    #[test]
    fn copies_are_kept_where_the_user_or_the_service_manager_says() {
        let cache = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            Environment::from_variables("host", variable).cache_directory
        };
        let home = ("HOME", "/home/x");
        assert_eq!(cache(&[]), None);
        assert_eq!(cache(&[home]), Some("/home/x/.cache/obbackup".into()));
        let service = ("CACHE_DIRECTORY", "/var/cache/tomcat9:/var/cache/other");
        let of_service = Some("/var/cache/tomcat9/obbackup".into());
        assert_eq!(cache(&[home, service]), of_service);
        let named = ("XDG_CACHE_HOME", "/c");
        assert_eq!(cache(&[home, service, named]), Some("/c/obbackup".into()));
        let here = ("XDG_CACHE_HOME", "here");
        assert_eq!(cache(&[here, home]), Some("/home/x/.cache/obbackup".into()));
    }
}
