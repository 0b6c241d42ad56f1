//! Who is at work: the host, the user and the process, as leases and marks name them.

use std::fs;

use once_cell::sync::OnceCell;

use rustix::process::{geteuid, getpid};

/// What tells this process from every other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The host's name.
    pub host: String,
    /// The user's name, or number where it has none.
    pub user: String,
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub process_started: u64,
    /// The boot and the process namespace that `pid` belongs to: a number means nothing elsewhere.
    pub boot: String,
}

impl Worker {
    /// This process.
    pub fn this() -> &'static Self {
        static THIS: OnceCell<Worker> = OnceCell::new();
        THIS.get_or_init(Self::find_out)
    }

    fn find_out() -> Self {
        let pid = u32::try_from(getpid().as_raw_nonzero().get()).unwrap_or_default();
        Self {
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            user: user_name(geteuid().as_raw()),
            pid,
            process_started: process_started(pid).unwrap_or_default(),
            boot: boot(),
        }
    }

    /// `user@host`
    pub fn name(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }
}

/// The name of a user in `/etc/passwd`, else its number.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    passwd
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        })
        .unwrap_or(number)
}

/// The boot and the process namespace of this process.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

/// When the process `pid` of this host started; `None` when there is none.
pub(super) fn process_started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    // A zombie holds nothing any more.
    if fields.next()? == "Z" {
        return None;
    }
    // The 22nd field of the line; the rest begins with the third.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_and_a_name() {
        let worker = Worker::this();
        assert_eq!(worker.pid, std::process::id());
        assert!(worker.process_started > 0);
        assert_eq!(process_started(worker.pid), Some(worker.process_started));
        assert!(!worker.name().starts_with('@'));
        assert!(worker.boot.contains("pid:["));
    }
}
