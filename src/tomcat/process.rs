//! Tomcat's process, and who listens on a port, as `/proc` tells.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::error::{Error, IoContext, Result};

/// Java's main class of every way to start Tomcat.
const BOOTSTRAP: &[u8] = b"org.apache.catalina.startup.Bootstrap";

/// A JVM that runs Tomcat. Process numbers are used again; with the time of its start one is unmistakable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jvm {
    /// The process.
    pub pid: u32,
    /// Ticks since the machine's start.
    started_ticks: u64,
    /// Its user.
    pub uid: u32,
    /// `catalina.base`.
    pub base: PathBuf,
    /// `catalina.home`.
    pub home: PathBuf,
    /// All `-D` properties of its command line.
    pub properties: BTreeMap<String, String>,
}

impl Jvm {
    /// Every Tomcat on this machine that this user may see.
    pub fn all() -> Vec<Self> {
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .flatten()
            .filter_map(|entry| Self::of(entry.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    fn of(pid: u32) -> Option<Self> {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let command_line = fs::read(directory.join("cmdline")).ok()?;
        let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
        let main = words.iter().position(|word| *word == BOOTSTRAP)?;
        // `catalina.sh stop` runs the same class in a JVM of its own.
        if words
            .iter()
            .skip(main)
            .any(|word| matches!(*word, b"stop" | b"configtest"))
        {
            return None;
        }
        let properties: BTreeMap<String, String> = words
            .iter()
            .take(main)
            .filter_map(|word| std::str::from_utf8(word.strip_prefix(b"-D")?).ok())
            .map(|word| word.split_once('=').unwrap_or((word, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let home = properties
            .get("catalina.home")
            .or_else(|| properties.get("catalina.base"))?;
        let base = properties.get("catalina.base").unwrap_or(home);
        Some(Self {
            pid,
            started_ticks: started_ticks(pid)?,
            uid: fs::metadata(&directory).ok()?.uid(),
            base: base.into(),
            home: home.into(),
            properties,
        })
    }

    /// Whether it still runs; one that ended and that nobody has waited for counts as ended.
    pub fn is_running(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }

    /// How long ago it started, to the second.
    pub fn age(&self) -> Option<Duration> {
        let now = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
        let seconds = self.started_ticks.checked_div(clock_ticks_per_second())?;
        now.checked_sub(Duration::from_secs(seconds))
    }

    /// Sends a signal; an error of kind `Denied` where this user may not.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        match self.rustix_pid().map(|pid| kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => {
                Err(error).io_context(|| format!("cannot signal Tomcat (process {})", self.pid))
            }
        }
    }

    /// Whether this user may send it signals.
    pub fn may_signal(&self) -> bool {
        self.rustix_pid()
            .is_some_and(|pid| test_kill_process(pid).is_ok())
    }

    /// The environment that it was started with; none where this user may not see it.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let text = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        text.split(|byte| *byte == 0)
            .filter_map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=')?;
                let (name, value) = pair.split_at_checked(at)?;
                let value = value.get(1..)?;
                Some((
                    OsString::from_vec(name.to_vec()),
                    OsString::from_vec(value.to_vec()),
                ))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect()
    }

    /// The systemd service that it runs in, such as `tomcat9.service`.
    pub fn unit(&self) -> Option<String> {
        service_of(&fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).ok()?)
    }

    /// Whether it is this process, or was started by it or by one that it started.
    pub fn descends_from(&self, ancestor: u32) -> bool {
        let mut pid = self.pid;
        while pid > 1 {
            if pid == ancestor {
                return true;
            }
            let Some(parent) = stat(pid).map(|stat| stat.parent) else {
                return false;
            };
            pid = parent;
        }
        false
    }

    fn rustix_pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// The service of the system's manager that this process runs in, and that would take it along when it stops.
pub fn own_unit() -> Option<String> {
    service_of(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The last service in a control group's path. What runs below `user.slice` is a session of somebody's, which
/// no service of the system stops.
fn service_of(cgroup: &str) -> Option<String> {
    let path = cgroup
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .or_else(|| {
            cgroup
                .lines()
                .find_map(|line| line.split_once(":name=systemd:").map(|it| it.1))
        })?;
    if !path.starts_with("/system.slice/") {
        return None;
    }
    path.split('/')
        .rfind(|part| {
            Path::new(part)
                .extension()
                .is_some_and(|end| end == "service")
        })
        .map(str::to_owned)
}

/// When a process started; `None` where it is gone, or a zombie.
fn started_ticks(pid: u32) -> Option<u64> {
    stat(pid).map(|stat| stat.started_ticks)
}

struct Stat {
    parent: u32,
    started_ticks: u64,
}

/// `None` where the process is gone, or a zombie.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let after = text.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(text.get(after..)?).ok()?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the whole line; the parent was the fourth.
    let started_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        parent,
        started_ticks,
    })
}

/// Whether anybody on this machine listens on the port, at whichever address.
pub fn is_listening(port: u16) -> Result<bool> {
    let mut seen = false;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => {
                seen = true;
                if text.lines().skip(1).any(|line| listens(line, port)) {
                    return Ok(true);
                }
            }
            // A kernel without IPv6 has no second table.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(format!("cannot read `{table}`"), error)),
        }
    }
    if seen {
        return Ok(false);
    }
    Err(Error::new(
        crate::error::ErrorKind::Failure,
        "cannot see who listens on this machine: /proc/net is not there",
    ))
}

/// One line of the table: number, local address and port in hexadecimal, remote one, state, … ; 0A is LISTEN.
fn listens(line: &str, port: u16) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let local = fields
        .next()
        .and_then(|local| local.rsplit_once(':'))
        .and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    local == Some(port) && fields.nth(1) == Some("0A")
}

/// Whether two paths are one directory.
pub(super) fn same_directory(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one.as_os_str().as_bytes() == other.as_os_str().as_bytes() || resolved(one) == resolved(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_while_somebody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listening(port).unwrap());
        // A connection that is left behind is nobody listening.
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (served, _) = listener.accept().unwrap();
        drop(listener);
        // Programs that other tests begin have it too, until they are another program.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while is_listening(port).unwrap() {
            assert!(std::time::Instant::now() < patience);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        drop((client, served));
    }

    #[test]
    fn the_service_is_read_from_the_control_group() {
        for (text, expected) in [
            (
                "0::/system.slice/tomcat9.service\n",
                Some("tomcat9.service"),
            ),
            (
                "12:cpu:/x\n1:name=systemd:/system.slice/tomcat.service\n",
                Some("tomcat.service"),
            ),
            (
                "0::/system.slice/system-tomcat.slice/tomcat@ob.service/jvm\n",
                Some("tomcat@ob.service"),
            ),
            (
                "0::/user.slice/user-0.slice/user@0.service/app.slice/x.service\n",
                None,
            ),
            ("0::/\n", None),
        ] {
            assert_eq!(service_of(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let begun = std::time::Instant::now();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let started = started_ticks(child.id()).unwrap();
        let jvm = Jvm {
            pid: child.id(),
            started_ticks: started,
            uid: 0,
            base: "/".into(),
            home: "/".into(),
            properties: BTreeMap::new(),
        };
        assert!(jvm.is_running() && jvm.may_signal());
        let age = jvm.age().unwrap();
        assert!(age <= begun.elapsed() + Duration::from_secs(2), "{age:?}");
        let earlier = Jvm {
            started_ticks: started - 1,
            ..jvm.clone()
        };
        assert!(!earlier.is_running());
        jvm.signal(Signal::TERM).unwrap();
        // Nobody has waited for it yet, so it becomes a zombie, which runs no more.
        while jvm.is_running() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.wait().unwrap();
    }
}
