//! A server that ends with the test process, however that ends, and takes its directory with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which comes when the test process is gone, and then ends the server.
const SCRIPT: &str = r#"
home=$1; shift
"$@" >"$home/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill "$server" 2>/dev/null
wait "$server"
rm -rf "$home"
"#;

/// A server under guard.
#[derive(Debug)]
pub struct Warden {
    child: Child,
    home: PathBuf,
}

impl Warden {
    /// Starts `command` with its arguments; its output goes to `log` in `home`.
    pub fn start(home: &Path, command: &[&OsStr]) -> Self {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "warden"])
            .arg(home)
            .args(command)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        Self {
            child,
            home: home.to_owned(),
        }
    }

    /// What the server said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
