//! Finding the Tomcat that an instance is deployed in, and how it can be controlled.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::process::{Jvm, same_directory};
use super::server_xml::{self, ServerXml};
use super::systemd::Systemd;
use super::{Control, Probe, Tomcat, failure_timeout};
use crate::config::{Configuration, TomcatSection};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::{Environment, Instance, deployed_sources, resolve_existing};

/// Variables that describe the old process and not what is to be started.
const NOT_INHERITED: &[&str] = &[
    "_",
    "SHLVL",
    "PWD",
    "OLDPWD",
    "NOTIFY_SOCKET",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MANAGERPID",
];

/// The instance whose `source.path` is `source_path`, as [`Instance::open`] has it. Where neither configuration nor
/// environment tell where its web application is deployed, every Tomcat does that the configuration names, that runs
/// here, or that systemd would run.
pub fn open(
    source_path: &Path,
    environment: &Environment,
    configuration: &Configuration,
    systemd: Option<&Systemd>,
) -> Result<Instance> {
    let instance = Instance::open(source_path, environment, configuration)?;
    if instance.deploy_path.is_some() || configuration.instance.deploy_path.is_some() {
        return Ok(instance);
    }
    let found =
        bases(&configuration.tomcat, systemd).find_map(|base| deployed_in(&base, &instance));
    let Some(found) = found else {
        return Ok(instance);
    };
    let mut configuration = configuration.clone();
    configuration.instance.deploy_path = Some(found);
    Instance::open(source_path, environment, &configuration)
}

/// The directories of the Tomcat that the configuration names, of every one that runs here, then of those that systemd
/// would run; each is looked for when the ones before were not it.
pub fn bases(section: &TomcatSection, systemd: Option<&Systemd>) -> impl Iterator<Item = PathBuf> {
    let running = std::iter::once_with(Jvm::all).flatten().map(|jvm| jvm.base);
    let units = systemd.into_iter().flat_map(Systemd::bases);
    let found = running.chain(units).filter(|base| is_base(base));
    section.base.clone().into_iter().chain(found)
}

/// Where in the Tomcat of this directory `instance` is deployed: below its `webapps`, else where its `server.xml`
/// says.
fn deployed_in(base: &Path, instance: &Instance) -> Option<PathBuf> {
    let declared = ServerXml::read(base, &BTreeMap::new()).map(|server| server.document_bases());
    std::iter::once(base.join("webapps").join(&instance.context_name))
        .chain(declared.unwrap_or_default())
        .find(|path| {
            deployed_sources(path)
                .is_some_and(|sources| resolve_existing(&sources) == instance.source_path)
        })
}

/// The Tomcat that `instance` is deployed in, as far as the configuration and the machine tell; `None` where
/// nothing tells of one.
///
/// Its directory: as configured, else the one that the deployed application lies in, else what the environment
/// says, else that of a Tomcat that runs, or that systemd would run, in which the instance is deployed. Its control: as configured, else the
/// systemd unit of its process or for its directory, else its own script.
pub fn find(
    instance: &Instance,
    environment: &Environment,
    section: &TomcatSection,
    systemd: Option<Systemd>,
) -> Result<Option<Tomcat>> {
    let running = Jvm::all();
    let base = base(instance, environment, section, &running, systemd.as_ref())?;
    let process = base.as_ref().and_then(|base| {
        running
            .into_iter()
            .find(|jvm| same_directory(&jvm.base, base))
    });
    let Some(control) = control(base.as_deref(), process.as_ref(), section, systemd)? else {
        return Ok(None);
    };
    let home = section
        .home
        .clone()
        .or_else(|| process.as_ref().map(|jvm| jvm.home.clone()))
        .or_else(|| home(base.as_deref()?, environment));
    let server = match &base {
        Some(base) => {
            let properties = process
                .as_ref()
                .map(|jvm| jvm.properties.clone())
                .unwrap_or_default();
            Some(ServerXml::read(base, &properties)?)
        }
        None => None,
    };
    let context_path = server.as_ref().map_or_else(
        || server_xml::default_context_path(&instance.context_name),
        |server| server.context_path(instance.deploy_path.as_deref(), &instance.context_name),
    );
    let asked = section.probe_url.clone().or_else(|| {
        let connector = server.as_ref()?.http().next()?;
        Some(format!("http://{}{context_path}/", connector.reached_at()))
    });
    let probe = asked
        .map(|url| Probe::new(&url, section.probe_status, section.probe_text.as_deref()))
        .transpose()?;
    let uid = match (&process, &base) {
        (Some(process), _) => process.uid,
        (None, Some(base)) => owner(base),
        (None, None) => rustix::process::geteuid().as_raw(),
    };
    Ok(Some(Tomcat {
        control,
        uid,
        environment: process
            .as_ref()
            .map(|jvm| inherited(jvm.environment(), base.as_deref(), home.as_deref()))
            .filter(|environment| !environment.is_empty()),
        connectors: server.map(|server| server.connectors).unwrap_or_default(),
        base,
        home,
        context_path,
        probe,
        failure_timeout: failure_timeout(section.probe_timeout()),
        probe_timeout: section.probe_timeout(),
        stop_timeout: section.stop_timeout(),
        kill: section.kill,
    }))
}

fn base(
    instance: &Instance,
    environment: &Environment,
    section: &TomcatSection,
    running: &[Jvm],
    systemd: Option<&Systemd>,
) -> Result<Option<PathBuf>> {
    if let Some(base) = &section.base {
        if is_base(base) {
            return Ok(Some(base.clone()));
        }
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "`{}` is not a Tomcat's directory: it has no conf/server.xml",
                base.display()
            ),
        )
        .hint("Set `base` under [tomcat] in obbackup.toml to its CATALINA_BASE."));
    }
    let around_application = instance
        .deploy_path
        .as_deref()
        .and_then(|deploy| deploy.parent()?.parent())
        .map(Path::to_owned);
    let named = [
        around_application,
        environment.catalina_base.clone(),
        environment.catalina_home.clone(),
    ];
    if let Some(base) = named.into_iter().flatten().find(|base| is_base(base)) {
        return Ok(Some(base));
    }
    let units = systemd.into_iter().flat_map(Systemd::bases);
    Ok(running
        .iter()
        .map(|jvm| jvm.base.clone())
        .chain(units.filter(|base| is_base(base)))
        .find(|base| deployed_in(base, instance).is_some()))
}

fn is_base(directory: &Path) -> bool {
    directory.join("conf/server.xml").is_file()
}

fn control(
    base: Option<&Path>,
    process: Option<&Jvm>,
    section: &TomcatSection,
    systemd: Option<Systemd>,
) -> Result<Option<Control>> {
    if !section.start.is_empty() {
        return Ok(Some(Control::Commands {
            stop: section.stop.clone(),
            start: section.start.clone(),
        }));
    }
    if let Some(unit) = &section.unit {
        let Some(systemd) = systemd else {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`unit` under [tomcat] is `{unit}`, but systemd does not run this machine"),
            )
            .hint("Leave it out, or set `stop` and `start`."));
        };
        systemd.check(unit)?;
        return Ok(Some(Control::Unit(systemd, unit.clone())));
    }
    let Some(base) = base else { return Ok(None) };
    let unit = systemd.and_then(|systemd| {
        let unit = match process {
            // One that somebody started by hand is stopped by hand, although there is a unit for it.
            Some(process) => systemd.unit_of(process),
            None => systemd.unit_for(base),
        };
        unit.map(|unit| Control::Unit(systemd, unit))
    });
    Ok(Some(unit.unwrap_or(Control::Script)))
}

/// Where the programs are of a Tomcat that does not run: with its own files, else as the environment says, else
/// where Debian has them for `/var/lib/tomcat9`.
fn home(base: &Path, environment: &Environment) -> Option<PathBuf> {
    let shared = base
        .file_name()
        .map(|name| Path::new("/usr/share").join(name));
    [
        Some(base.to_owned()),
        environment.catalina_home.clone(),
        shared,
    ]
    .into_iter()
    .flatten()
    .find(|home| home.join("bin/catalina.sh").is_file())
}

/// The user that Tomcat runs as, by what it writes: packages leave the directory itself to root.
fn owner(base: &Path) -> u32 {
    ["work", "logs", "temp", ""]
        .iter()
        .find_map(|name| base.join(name).metadata().ok())
        .map_or_else(
            || rustix::process::geteuid().as_raw(),
            |metadata| metadata.uid(),
        )
}

/// The words before a command that make it run as another user, with all of that user's groups.
pub(super) fn become_user(uid: u32) -> Result<Vec<String>> {
    let user = User::from_uid(Uid::from_raw(uid))
        .ok()
        .flatten()
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                format!("Tomcat's files belong to user {uid}, whom this machine does not know"),
            )
            .hint("Give them to the user that Tomcat is to run as, or set `start` under [tomcat].")
        })?;
    Ok(vec![
        "setpriv".to_owned(),
        format!("--reuid={uid}"),
        format!("--regid={}", user.gid),
        "--init-groups".to_owned(),
    ])
}

/// What of a process's environment is given to its successor. What `setenv.sh` adds to is left to it, else
/// each start would add it once more.
fn inherited(
    environment: Vec<(OsString, OsString)>,
    base: Option<&Path>,
    home: Option<&Path>,
) -> Vec<(OsString, OsString)> {
    let additions: String = [base, home]
        .into_iter()
        .flatten()
        .filter_map(|directory| std::fs::read_to_string(directory.join("bin/setenv.sh")).ok())
        .collect();
    environment
        .into_iter()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            !NOT_INHERITED.contains(&name.as_ref()) && !additions.contains(&format!("{name}="))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing says where the application is but the service that would run its Tomcat.
    #[test]
    fn the_deployed_application_is_found_by_the_unit_of_its_tomcat() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), text).unwrap();
        };
        let properties = format!(
            "context.name=openbravo\nsource.path={}\nbbdd.rdbms=POSTGRE\nbbdd.url=jdbc:postgresql://localhost:5432\n\
             bbdd.sid=x\nbbdd.user=x\nbbdd.password=x\n",
            at("erp").display()
        );
        write("erp/config/Openbravo.properties", &properties);
        let foreign = properties.replace("/erp", "/other");
        for base in ["first", "second"] {
            write(&format!("{base}/conf/server.xml"), "<Server/>");
            let copy = format!("{base}/webapps/openbravo/WEB-INF/Openbravo.properties");
            write(
                &copy,
                if base == "first" {
                    &foreign
                } else {
                    &properties
                },
            );
        }
        let systemctl = format!(
            "#!/bin/sh\ncase \"$*\" in\n*tomcat9.service) echo LoadState=loaded; echo Environment=CATALINA_BASE={0}/first;;\n\
             *openbravo.service) echo LoadState=loaded; \
             echo \"ExecStart={{ path={0}/second/bin/catalina.sh ; argv[]=x ; }}\";;\n\
             *) echo LoadState=not-found;;\nesac\n",
            directory.path().display()
        );
        write("systemctl", &systemctl);
        std::fs::set_permissions(at("systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let systemd = Systemd::with_program(at("systemctl"));
        let deployed = |systemd: Option<&Systemd>, configuration: &str| {
            let configuration = Configuration::parse(configuration, Path::new("/x")).unwrap();
            open(&at("erp"), &Environment::default(), &configuration, systemd)
                .unwrap()
                .deploy_path
        };
        assert_eq!(deployed(None, ""), None);
        let found = at("second/webapps/openbravo");
        assert_eq!(deployed(Some(&systemd), ""), Some(found.clone()));
        let configured = format!("[tomcat]\nbase = \"{}\"\n", at("second").display());
        assert_eq!(deployed(None, &configured), Some(found.clone()));

        // Where its server.xml has it in another place.
        std::fs::rename(&found, at("elsewhere")).unwrap();
        assert_eq!(deployed(Some(&systemd), ""), None);
        let context = format!(
            "<Context docBase=\"{}\" path=\"/\"/>",
            at("elsewhere").display()
        );
        write(
            "second/conf/server.xml",
            &format!("<Server>{context}</Server>"),
        );
        assert_eq!(deployed(Some(&systemd), ""), Some(at("elsewhere")));
    }

    #[test]
    fn the_environment_is_handed_on_without_what_is_added_at_each_start() {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::write(
            bin.join("setenv.sh"),
            "CATALINA_OPTS=\"$CATALINA_OPTS -Xmx2g\"\n",
        )
        .unwrap();
        let had = ["JAVA_HOME", "CATALINA_OPTS", "INVOCATION_ID", "LANG"];
        let had = had.map(|name| (OsString::from(name), OsString::from("x")));
        let given: Vec<_> = inherited(had.to_vec(), Some(directory.path()), None)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(given, ["JAVA_HOME", "LANG"]);
    }

    #[test]
    fn the_user_is_whom_its_work_directory_belongs_to() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().metadata().unwrap().uid();
        assert_eq!(owner(directory.path()), own);
        assert_eq!(owner(Path::new("/nonexistent")), own);
    }
}
