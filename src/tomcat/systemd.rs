//! The system's service manager, where it is systemd.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::{Jvm, same_directory};
use crate::error::{Error, ErrorKind, Result};

/// Exists exactly while systemd runs the machine (`sd_booted`).
const BOOTED: &str = "/run/systemd/system";

/// What packages and handbooks call Tomcat's unit.
const UNITS: &[&str] = &[
    "tomcat9.service",
    "tomcat.service",
    "tomcat10.service",
    "openbravo.service",
    "openbravo-tomcat.service",
];

/// systemd's own programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemd {
    systemctl: PathBuf,
}

/// How systemd has a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Whether it runs.
    pub is_active: bool,
    /// Whether it is started with the machine.
    pub is_enabled: bool,
}

/// What `systemctl show` says of a unit.
#[derive(Debug, Default)]
struct Unit {
    is_loaded: bool,
    is_active: bool,
    is_enabled: bool,
    main_pid: u32,
    environment: String,
    programs: String,
}

impl Systemd {
    /// systemd, where it runs this machine.
    pub fn running() -> Option<Self> {
        Path::new(BOOTED)
            .is_dir()
            .then(|| Self::with_program("systemctl"))
    }

    /// With another program in the place of `systemctl`.
    pub fn with_program(systemctl: impl Into<PathBuf>) -> Self {
        Self {
            systemctl: systemctl.into(),
        }
    }

    /// `systemctl` with these words; it never asks for a password.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.systemctl);
        command.arg("--no-ask-password").args(words);
        command
    }

    /// How it has a unit; `None` where there is no such unit.
    pub fn state(&self, name: &str) -> Option<State> {
        let unit = self.show(name).filter(|unit| unit.is_loaded)?;
        Some(State {
            is_active: unit.is_active,
            is_enabled: unit.is_enabled,
        })
    }

    /// The unit that this JVM is the service of.
    pub(super) fn unit_of(&self, jvm: &Jvm) -> Option<String> {
        let name = jvm.unit()?;
        let unit = self.show(&name)?;
        // Somebody may have started Tomcat out of another service, such as cron's.
        let is_its_service = unit.main_pid == 0 || jvm.descends_from(unit.main_pid);
        (unit.is_loaded && is_its_service).then_some(name)
    }

    /// The unit that would run the Tomcat of this directory.
    pub(super) fn unit_for(&self, base: &Path) -> Option<String> {
        UNITS
            .iter()
            .find(|name| self.show(name).is_some_and(|unit| unit.runs(name, base)))
            .map(|name| (*name).to_owned())
    }

    /// The directories of the Tomcats that units are for.
    pub(super) fn bases(&self) -> impl Iterator<Item = PathBuf> {
        UNITS.iter().filter_map(|name| self.show(name)?.base())
    }

    /// An error of kind `NotFound` where there is no such unit.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        if self.show(name).is_some_and(|unit| unit.is_loaded) {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::NotFound, format!("systemd has no unit `{name}`"))
                .hint("See `systemctl list-units --type service`, and set `unit` under [tomcat]."),
        )
    }

    /// Whether this user may stop and start a unit: root may, and whom polkit lets.
    pub(super) fn may_manage(name: &str) -> Result<()> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let process = std::process::id().to_string();
        let allowed = ["stop", "start"].iter().all(|verb| {
            Command::new("pkcheck")
                .args(["--action-id", "org.freedesktop.systemd1.manage-units"])
                .args(["--process", &process])
                .args(["--detail", "unit", name, "--detail", "verb", verb])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        });
        if allowed {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Denied,
            format!("this user may not stop and start `{name}`"),
        )
        .hint(
            "Run this as root, allow it by a polkit rule, or set `stop` and `start` under [tomcat] to commands \
             that sudo lets this user run without a password.",
        ))
    }

    fn show(&self, name: &str) -> Option<Unit> {
        let properties =
            "--property=LoadState,ActiveState,UnitFileState,MainPID,Environment,ExecStart";
        let output = self
            .command(&["show", properties, name])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| Unit::parse(&text))
    }
}

impl Unit {
    fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "LoadState" => unit.is_loaded = value == "loaded",
                // Between the two it is on its way up.
                "ActiveState" => unit.is_active = matches!(value, "active" | "activating"),
                "UnitFileState" => unit.is_enabled = value.starts_with("enabled"),
                "MainPID" => unit.main_pid = value.parse().unwrap_or(0),
                "Environment" => value.clone_into(&mut unit.environment),
                "ExecStart" => value.clone_into(&mut unit.programs),
                _ => {}
            }
        }
        unit
    }

    /// Whether it is Tomcat in this directory: its environment says so, or its program, or, where neither
    /// speaks of a directory, its name.
    fn runs(&self, name: &str, base: &Path) -> bool {
        if !self.is_loaded {
            return false;
        }
        if let Some(directory) = self.named_base() {
            return same_directory(directory, base);
        }
        let below_base = self.program_paths().any(|path| path.starts_with(base));
        below_base || Path::new(name).file_stem() == base.file_name().map(OsStr::new)
    }

    /// The directory of the Tomcat that it runs: what its environment says, else the one around its program.
    fn base(&self) -> Option<PathBuf> {
        let around_program = || {
            self.program_paths()
                .flat_map(Path::ancestors)
                .find(|directory| directory.join("conf/server.xml").is_file())
        };
        let base = self.named_base().or_else(around_program);
        base.filter(|_| self.is_loaded).map(Path::to_owned)
    }

    fn named_base(&self) -> Option<&Path> {
        let value = |variable: &str| {
            self.environment
                .split_whitespace()
                .map(|word| word.trim_matches('"'))
                .find_map(|word| word.strip_prefix(variable)?.strip_prefix('='))
        };
        let named = value("CATALINA_BASE").or_else(|| value("CATALINA_HOME"));
        named.map(Path::new)
    }

    fn program_paths(&self) -> impl Iterator<Item = &Path> {
        let words = self.programs.split([' ', '=', ';']);
        words.filter(|word| word.starts_with('/')).map(Path::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_recognised_by_its_directory() {
        let text = "LoadState=loaded\nMainPID=712\n\
            Environment=CATALINA_HOME=/usr/share/tomcat9 \"CATALINA_BASE=/var/lib/tomcat9\" JAVA_OPTS=-Xmx2g\n\
            ExecStart={ path=/bin/sh ; argv[]=/bin/sh /usr/libexec/tomcat9/tomcat-start.sh ; }\n";
        let unit = Unit::parse(text);
        assert_eq!(unit.main_pid, 712);
        assert!(unit.runs("tomcat9.service", Path::new("/var/lib/tomcat9")));
        assert!(!unit.runs("tomcat9.service", Path::new("/opt/tomcat9")));
    }

    #[test]
    fn a_unit_without_environment_is_recognised_by_its_program_or_name() {
        let unit =
            Unit::parse("LoadState=loaded\nExecStart={ path=/opt/ob/tomcat/bin/catalina.sh ; }\n");
        assert!(unit.runs("openbravo.service", Path::new("/opt/ob/tomcat")));
        assert!(!unit.runs("openbravo.service", Path::new("/srv/tomcat")));
        assert!(unit.runs("tomcat.service", Path::new("/srv/tomcat")));
        let absent = Unit::parse("LoadState=not-found\n");
        assert!(!absent.runs("tomcat.service", Path::new("/srv/tomcat")));
    }
}
