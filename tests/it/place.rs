//! An instance without a server, its repository, and the program run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chrono::{TimeDelta, Utc};
use serde_json::Value;

/// Backups of these parts need no database.
pub const PARTS: &str = "sources,configuration";

/// Each day half a day from now, and `minutes` more: whenever a test runs, that moment neither was just now nor comes
/// meanwhile. With other minutes it is another moment, which nobody has run.
pub fn far_from_now(minutes: i64) -> String {
    let moment = Utc::now() + TimeDelta::hours(12) + TimeDelta::minutes(minutes);
    moment.format("%-M %-H * * *").to_string()
}

/// A directory with `erp/` and `repository/`.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir_all(place.path("erp/config")).unwrap();
        std::fs::create_dir_all(place.path("erp/src")).unwrap();
        std::fs::write(place.path("erp/src/A.java"), "class A {}\n").unwrap();
        let text = format!(
            "bbdd.rdbms=POSTGRE\nbbdd.url=jdbc:postgresql://127.0.0.1:1\nbbdd.sid=openbravo\nbbdd.user=tad\n\
             bbdd.password=hush-hush\ncontext.name=openbravo\nsource.path={}\n",
            place.path("erp").display()
        );
        std::fs::write(place.path("erp/config/Openbravo.properties"), text).unwrap();
        let repository = place.path("repository");
        place.good(&["init", "--repository", repository.to_str().unwrap()]);
        place
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Adds to the configuration file.
    pub fn configure(&self, more: &str) {
        let path = self.path("erp/config/obbackup.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}\n{more}")).unwrap();
    }

    /// Sets a schedule that is due once a day.
    pub fn set_nightly(&self, more: &[&str]) {
        let cron = far_from_now(0);
        let set = ["schedule", "set", "nightly", "--cron", &cron];
        self.good(&[&set[..], more].concat());
    }

    /// The program, to be run in the instance.
    pub fn command(&self, words: &[&str]) -> Command {
        command_in(&self.path("erp"), words)
    }

    pub fn run(&self, words: &[&str]) -> Output {
        let output = self.command(words).output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains("hush-hush"), "{words:?} shows a password");
            assert!(!text.contains("panicked"), "{words:?}: {text}");
        }
        output
    }

    /// What it prints when all is well.
    pub fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let document: Value = serde_json::from_str(&self.good(words)).unwrap();
        assert_eq!(document["schema"], 1);
        document
    }

    /// What it says when it fails with this exit code.
    pub fn bad(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
        text
    }

    pub fn backups(&self) -> Vec<Value> {
        self.json(&["list", "--json"])["backups"]
            .as_array()
            .unwrap()
            .clone()
    }
}

pub fn command_in(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obbackup"));
    command
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("TZ", "UTC")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null());
    command
}
