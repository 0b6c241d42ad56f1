//! Having the schedules run by the machine: a systemd service, or a line of a crontab where there is no systemd.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use serde::Serialize;

use crate::config::{Configuration, Owner};
use crate::error::{Error, ErrorKind, IoContext as _, Result};
use crate::instance::Instance;
use crate::instance::state::{self, OWN_DIRECTORY};
use crate::tomcat::systemd::Systemd;

/// Where administrators' units lie.
const UNITS: &str = "/etc/systemd/system";
const UNIT_MODE: u32 = 0o644;
/// How far the service stands back behind other work.
const NICE: u8 = 10;

/// What would be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Service {
    /// A unit that is written and enabled.
    Systemd(Unit),
    /// A line that somebody adds to a crontab.
    Crontab {
        /// The user whose crontab it belongs into.
        user: String,
        /// The line.
        line: String,
    },
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// How the program is to be started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The configuration file, where it is not the instance's own.
    pub configuration: Option<PathBuf>,
    /// Variables that it is to have.
    pub variables: Vec<(String, String)>,
}

/// The service for `instance`.
pub fn plan(
    instance: &Instance,
    configuration: &Configuration,
    program: &Program,
    systemd: bool,
) -> Result<Service> {
    let user = user_of(instance.owner)?;
    if systemd {
        return Ok(Service::Systemd(unit(
            instance,
            configuration,
            program,
            &user,
        )?));
    }
    // Each five minutes what is due is run; a runner that is still at work makes the next one end at once. `%`
    // ends a command of a crontab.
    let variables = program.variables.iter();
    let variables = variables.map(|(name, value)| format!("{name}={} ", shell_word(value)));
    let words: Vec<_> = words(instance, program, "--once")?;
    let words: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
    let command = variables.collect::<String>() + &words.join(" ");
    Ok(Service::Crontab {
        user,
        line: format!("*/5 * * * * {command} --quiet").replace('%', "\\%"),
    })
}

/// The name of the owner of an instance.
pub(super) fn user_of(owner: Owner) -> Result<String> {
    let user = User::from_uid(Uid::from_raw(owner.uid));
    let name = user.ok().flatten().map(|user| user.name);
    name.ok_or_else(|| {
        Error::new(
            ErrorKind::Failure,
            format!(
                "the owner of the instance, user {}, has no name here",
                owner.uid
            ),
        )
        .hint("Give source.path to a user of this machine.")
    })
}

/// The command, as words.
fn words(instance: &Instance, program: &Program, more: &str) -> Result<Vec<String>> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                format!("the path is not UTF-8: `{}`", path.to_string_lossy()),
            )
        })
    };
    let mut words = vec![
        text(&program.path)?,
        "schedule".to_owned(),
        "run".to_owned(),
    ];
    words.extend(["--instance".to_owned(), text(&instance.source_path)?]);
    if let Some(path) = &program.configuration {
        words.extend(["--config".to_owned(), text(path)?]);
    }
    words.extend((!more.is_empty()).then(|| more.to_owned()));
    Ok(words)
}

/// Where restores keep what they replaced, which the schedules' runs take away when it is old.
fn own_directories(instance: &Instance) -> Vec<PathBuf> {
    let others = [&instance.attach_path, &instance.reprintable_path];
    let others = others.into_iter().flatten();
    let elsewhere = others.filter(|path| !path.starts_with(&instance.source_path));
    std::iter::once(&instance.source_path)
        .chain(elsewhere)
        .filter(|path| path.is_dir())
        .map(|path| path.join(OWN_DIRECTORY))
        .collect()
}

/// A unit that may do what a backup needs and no more.
///
/// The whole of /proc stays visible to it: whether the holder of a lease on this host is alive is read there, and a
/// holder that cannot be seen would count as dead.
fn unit(
    instance: &Instance,
    configuration: &Configuration,
    program: &Program,
    user: &str,
) -> Result<Unit> {
    let command: Vec<_> = words(instance, program, "")?;
    let command: Vec<_> = command
        .iter()
        .map(|word| unit_word(word).replace('$', "$$"))
        .collect();
    let path = |path: &Path| unit_word(&path.to_string_lossy());
    // One that is not there yet, or any more, must not keep the service from starting.
    let optional = |place: &Path| unit_word(&format!("-{}", place.display()));
    let own = own_directories(instance);
    let mut writable: Vec<_> = own.iter().map(|own| optional(own)).collect();
    let mut mounts = vec![path(&instance.source_path)];
    let repositories = configuration.repository.values();
    for section in repositories.filter(|section| !section.url.contains("://")) {
        let place = Path::new(&section.url);
        writable.push(optional(place));
        mounts.push(path(place));
    }
    if let Some(directory) = &configuration.log.directory {
        writable.push(optional(directory));
    }
    // Root reads what belongs to Tomcat's user only by these.
    let (capabilities, refused) = if instance.owner.uid == 0 {
        (
            "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER",
            "@resources",
        )
    } else {
        ("", "@privileged @resources")
    };
    let mut variables = String::new();
    for (name, value) in &program.variables {
        let _ = writeln!(
            variables,
            "Environment={}",
            unit_word(&format!("{name}={value}"))
        );
    }
    let name = unit_name(&instance.name);
    let cache = name.trim_end_matches(".service");
    // Beyond this the filter of system calls lets no process lower its priority by itself.
    let nice = configuration.backup.nice.unwrap_or(0).max(NICE);
    let text = format!(
        "\
# Written by `obbackup schedule install`, which writes it anew when it is run again.
[Unit]
Description=Scheduled backups of {description}
Wants=network-online.target
After=network-online.target postgresql.service
RequiresMountsFor={mounts}

[Service]
Type=exec
User={user}
ExecStart={command}
{variables}Environment=XDG_CACHE_HOME=%C/{cache}
CacheDirectory={cache}
CacheDirectoryMode=0700
Restart=on-failure
RestartSec=60
SuccessExitStatus=130
TimeoutStopSec=20
Nice={nice}
IOSchedulingClass=best-effort
IOSchedulingPriority=7
UMask=0077
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~{refused}
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
",
        description = description(&instance.name),
        mounts = mounts.join(" "),
        command = command.join(" "),
        writable = writable.join(" "),
    );
    Ok(Unit {
        path: Path::new(UNITS).join(&name),
        name,
        text,
    })
}

/// Writes the unit, and has systemd start it now and with the machine.
pub fn install(instance: &Instance, unit: &Unit, systemd: &Systemd) -> Result<()> {
    // The service may write there, but not make them.
    for directory in own_directories(instance) {
        state::make_directory(&directory, instance.owner, state::PASSABLE)?;
    }
    let failed = || format!("cannot write `{}`", unit.path.display());
    let directory = unit.path.parent().unwrap_or(Path::new("/"));
    let temporary = tempfile::Builder::new()
        .prefix(".obbackup-")
        .permissions(std::fs::Permissions::from_mode(UNIT_MODE))
        .tempfile_in(directory)
        .io_context(failed)
        .map_err(|error| error.hint("Run this as root; --dry-run shows what it would do."))?;
    std::fs::write(temporary.path(), &unit.text).io_context(failed)?;
    temporary.as_file().sync_all().io_context(failed)?;
    temporary
        .persist(&unit.path)
        .map_err(|error| Error::io(failed(), error.error))?;
    systemctl(systemd, &["daemon-reload"])?;
    systemctl(systemd, &["enable", &unit.name])?;
    // One that runs already goes on with what stands in the file now.
    systemctl(systemd, &["restart", &unit.name])
}

fn systemctl(systemd: &Systemd, arguments: &[&str]) -> Result<()> {
    let line = format!("systemctl {}", arguments.join(" "));
    let output = systemd
        .command(arguments)
        .output()
        .io_context(|| format!("cannot run `{line}`"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(
        ErrorKind::Failure,
        format!("`{line}` failed: {}", said.trim()),
    )
    .hint("The unit is written; see `journalctl --unit` with its name."))
}

/// One instance, one unit.
pub(super) fn unit_name(instance: &str) -> String {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let name: String = instance
        .chars()
        .map(|character| if fits(character) { character } else { '-' })
        .collect();
    format!("obbackup-{name}.service")
}

fn description(name: &str) -> String {
    name.replace(char::is_control, " ").replace('%', "%%")
}

/// A word of a unit file. `%` begins what systemd fills in.
fn unit_word(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-+=:,@".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('%', "%%");
    format!("\"{escaped}\"")
}

/// A word of a shell's command.
fn shell_word(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-+=:,@".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(unit_word("/opt/openbravo"), "/opt/openbravo");
        assert_eq!(
            unit_word("/opt/open bravo 100%"),
            "\"/opt/open bravo 100%%\""
        );
        assert_eq!(unit_word("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(shell_word("/opt/it's"), "'/opt/it'\\''s'");
        assert_eq!(unit_name("open bravo/ñ"), "obbackup-open-bravo--.service");
    }
}
