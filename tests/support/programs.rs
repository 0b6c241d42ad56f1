//! Where the PostgreSQL programs of each version are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The major versions that the tests are meant to run on.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 12..=18;

/// The directory that `setup.sh` keeps everything fetched in.
pub fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        // The script decides, so that the rule is written once.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/setup.sh");
        let output = Command::new(&script)
            .arg("cache")
            .output()
            .expect("setup.sh runs");
        assert!(output.status.success(), "setup.sh cache: {output:?}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

/// The server's own programs (`postgres`, `initdb`) of a major version, if they are at hand.
pub fn server(version: u32) -> Option<PathBuf> {
    directory_with("postgres", "postgresql", version)
}

/// The client programs (`psql`, `pg_dump`, `pg_restore`, …) of exactly this major version, if they are at hand.
pub fn client(version: u32) -> Option<PathBuf> {
    directory_with("pg_dump", "clients", version)
}

fn directory_with(program: &str, shelf: &str, version: u32) -> Option<PathBuf> {
    let fetched = cache().join(format!("{shelf}/{version}/bin"));
    let installed = PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    [fetched, installed]
        .into_iter()
        .find(|directory| directory.join(program).exists())
}

/// The oldest clients at hand for a server of this version: `pg_dump` refuses a server newer than itself.
pub fn client_for(server: u32) -> Option<PathBuf> {
    (server..=*VERSIONS.end()).find_map(client)
}

/// The versions whose server is at hand, with clients that can dump it.
pub fn available_versions() -> Vec<u32> {
    VERSIONS
        .filter(|&version| server(version).is_some() && client_for(version).is_some())
        .collect()
}

/// A command run as a user that the server programs accept: they refuse to run as root.
pub fn as_server_user(program: impl AsRef<OsStr>) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    // The caller's directory may be closed to that user, and the programs complain then.
    command.current_dir("/");
    command
}
