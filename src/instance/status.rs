//! What `AD_SYSTEM_INFO.SYSTEM_STATUS` says of an instance.
//!
//! RB00 to RB50 are Openbravo's list reference (`AD_REF_LIST`), the others stand in its code:
//! `build.xml` (RB31, RB51), `buildStructure.xml` (RB59, RB60), `LoginHandler` (RB70), `SystemService`
//! (RB80). A build writes its step before it does it, and Tomcat's start turns RB50, RB51 and RB60 into
//! RB70 (`SystemStatusListener`). So a status of a step means that the step is running or failed; which
//! of the two, only a living ant can tell.

use std::fs;
use std::path::Path;

/// What a status means for a backup or a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemStatus {
    /// Nothing is going on; also what an absent status means.
    Ready,
    /// Built; Tomcat has to be restarted.
    RestartPending,
    /// A step of a build is running or failed.
    Rebuilding,
    /// The build ended in an error.
    BuildFailed,
    /// Only the System Administrator may log in (a client is being deleted, for one).
    Maintenance,
    /// A code that this program does not know.
    Unknown,
}

/// Java's main class of every way to start ant: `…ant.launch.Launcher`, `…ant.Main`.
const ANT: &str = "org.apache.tools.ant.";

/// The status that makes Tomcat's start end in [`SystemStatus::Ready`].
pub const BUILT: &str = "RB51";

/// One row a code: code, meaning, what Openbravo calls it.
const TABLE: &[(&str, SystemStatus, &str)] = &[
    ("RB00", SystemStatus::Ready, "system was built"),
    ("RB10", SystemStatus::Rebuilding, "database update"),
    ("RB11", SystemStatus::Rebuilding, "database model load"),
    (
        "RB12",
        SystemStatus::Rebuilding,
        "generation of change list",
    ),
    (
        "RB13",
        SystemStatus::Rebuilding,
        "database structure update",
    ),
    ("RB14", SystemStatus::Rebuilding, "database data update"),
    ("RB20", SystemStatus::Rebuilding, "entity generation"),
    (
        "RB30",
        SystemStatus::Rebuilding,
        "reference data and translation loading",
    ),
    ("RB31", SystemStatus::Rebuilding, "reference data loading"),
    ("RB40", SystemStatus::Rebuilding, "source compilation"),
    ("RB41", SystemStatus::Rebuilding, "WAD generation"),
    ("RB42", SystemStatus::Rebuilding, "xsql class generation"),
    ("RB43", SystemStatus::Rebuilding, "Java compilation"),
    ("RB44", SystemStatus::Rebuilding, "WebContent generation"),
    ("RB45", SystemStatus::Rebuilding, "copying of files"),
    (
        "RB50",
        SystemStatus::RestartPending,
        "built, restart pending",
    ),
    (
        "RB51",
        SystemStatus::RestartPending,
        "built, restart pending",
    ),
    ("RB59", SystemStatus::BuildFailed, "build failed"),
    (
        "RB60",
        SystemStatus::RestartPending,
        "built, restart pending",
    ),
    ("RB70", SystemStatus::Ready, "ready"),
    ("RB80", SystemStatus::Maintenance, "maintenance"),
];

impl SystemStatus {
    /// The meaning of what the column holds.
    pub fn of(code: Option<&str>) -> Self {
        match code.map(str::trim) {
            None | Some("") => Self::Ready,
            Some(code) => row(code).map_or(Self::Unknown, |row| row.1),
        }
    }
}

/// What Openbravo calls the code, for messages.
pub fn name(code: &str) -> &'static str {
    row(code.trim()).map_or("unknown", |row| row.2)
}

/// Whether a build is running, or broke off, at this status.
pub fn is_rebuilding(code: Option<&str>) -> bool {
    SystemStatus::of(code) == SystemStatus::Rebuilding
}

/// Whether an `ant` is at work in `source_path` on this host.
pub fn build_is_running(source_path: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let is_ant = arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument.starts_with(ANT.as_bytes()));
        is_ant
            && fs::read_link(process.path().join("cwd"))
                .is_ok_and(|directory| directory.starts_with(source_path))
    })
}

fn row(code: &str) -> Option<&'static (&'static str, SystemStatus, &'static str)> {
    TABLE.iter().find(|row| row.0 == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_that_a_build_writes_are_rebuilding() {
        for code in ["RB11", "RB12", "RB31", "RB43"] {
            assert!(is_rebuilding(Some(code)), "{code}");
        }
        for code in [
            None,
            Some(""),
            Some("RB51"),
            Some("RB70"),
            Some("RB80"),
            Some("XX"),
        ] {
            assert!(!is_rebuilding(code), "{code:?}");
        }
        assert_eq!(SystemStatus::of(Some("RB99")), SystemStatus::Unknown);
        assert_eq!(SystemStatus::of(Some(BUILT)), SystemStatus::RestartPending);
    }

    #[test]
    fn codes_ascend_and_stand_once() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
