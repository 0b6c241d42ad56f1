//! A made-up instance on the shared server, and the command run on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::cluster::{Cluster, skipped};
use crate::support::equality;
use crate::support::instance::{Instance, Size};

/// Tables, and what tells their rows apart.
pub type Rows = BTreeMap<String, (i64, String)>;

/// An instance on the shared server, and a repository beside it.
pub struct World {
    pub directory: tempfile::TempDir,
    pub cluster: &'static Cluster,
    pub instance: Instance,
}

impl World {
    pub fn new(database: &str) -> Option<Self> {
        Self::sized(database, Size::of(30, 900))
    }

    pub fn sized(database: &str, size: Size) -> Option<Self> {
        let cluster = Cluster::shared(15).map_err(|why| skipped(&why)).ok()?;
        let directory = tempfile::tempdir().unwrap();
        let server = cluster.config("postgres");
        let instance = Instance::create(&server, directory.path(), database, size);
        Some(Self {
            directory,
            cluster,
            instance,
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_obbackup"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("CATALINA_BASE", self.path("tomcat"))
            .arg("--instance")
            .arg(&self.instance.sources)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the command, which must succeed, and reads its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.output(&[&["--json"], arguments].concat());
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            errors(&output)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn init(&self) {
        let repository = self.path("repository");
        let output = self.output(&["init", "--repository", repository.to_str().unwrap()]);
        assert!(output.status.success(), "{}", errors(&output));
    }

    /// The command must end with this code and say each of these.
    pub fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.output(arguments);
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for word in words {
            assert!(
                text.contains(word),
                "{arguments:?} does not say {word:?}: {text}"
            );
        }
    }

    pub fn rows(&self, database: &str) -> Rows {
        equality::rows(self.cluster, database)
    }

    /// The database's definitions as PostgreSQL's own programs would restore them.
    pub fn assert_same_database(&self, original: &str, restored: &str) {
        let copy = format!("{original}_plain_copy");
        equality::copy(self.cluster, original, &copy);
        let expected = equality::definitions(self.cluster, &copy);
        let actual = equality::definitions(self.cluster, restored);
        let difference = equality::difference(&expected, &actual);
        assert!(difference.is_empty(), "{difference:#?}");
        self.cluster
            .psql("postgres", &format!("DROP DATABASE {copy}"));
    }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn number(value: &Value, key: &str) -> u64 {
    value[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {key} in {value}"))
}
