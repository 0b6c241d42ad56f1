//! What Java asks for, as JSON.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::codec::Compression;
use crate::config::retention::KeepRules;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{BackupType, Part};

/// Reads one request; `Usage` where it is not what `T` describes. The text is not repeated: it may hold a
/// password.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    // An array would be taken for the fields in their order.
    if text.trim_start().starts_with('[') {
        return Err(Error::new(ErrorKind::Usage, "the request is not an object"));
    }
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            ErrorKind::Usage,
            format!(
                "the request is not understood at line {}, column {}: {}",
                error.line(),
                error.column(),
                reason(&error)
            ),
        )
    })
}

/// `known` with what `changes` name; what is null there is as if it had never been said. `Usage` where the outcome is
/// no `T`.
pub fn changed<T: Serialize + DeserializeOwned>(
    known: &T,
    changes: Map<String, Value>,
) -> Result<T> {
    let not_understood = |error: &serde_json::Error| {
        Error::new(
            ErrorKind::Usage,
            format!("the request is not understood: {}", reason(error)),
        )
    };
    let mut whole = serde_json::to_value(known).map_err(|error| not_understood(&error))?;
    if let Some(fields) = whole.as_object_mut() {
        for (name, value) in changes {
            if value.is_null() {
                fields.remove(&name);
            } else {
                fields.insert(name, value);
            }
        }
    }
    serde_json::from_value(whole).map_err(|error| not_understood(&error))
}

/// The parser's words without the value that it did not like.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let known = [
        "unknown field",
        "missing field",
        "unknown variant",
        "duplicate field",
    ];
    if error.is_syntax() || error.is_eof() || known.iter().any(|known| text.starts_with(known)) {
        text.to_owned()
    } else {
        "a value of another kind is expected".to_owned()
    }
}

/// What `open` needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// `source.path`.
    pub instance: PathBuf,
    /// The configuration file, where it is not `config/obbackup.toml` of the instance.
    pub configuration: Option<PathBuf>,
    /// The repository, where it is not the configuration's default.
    pub repository: Option<String>,
    /// The machine and the process, as Java sees them.
    pub environment: Surroundings,
    /// The command, for what has to outlive the JVM.
    pub program: Option<PathBuf>,
    /// Threads, instead of what the configuration says.
    pub jobs: Option<NonZeroU16>,
    /// As `nice` counts, instead of what the configuration says.
    pub nice: Option<u8>,
    /// Bytes to read in a second, instead of what the configuration says.
    pub bytes_per_second: Option<NonZeroU64>,
    /// The call that is to panic once.
    #[cfg(debug_assertions)]
    pub panic_in: Option<String>,
}

/// See [`Open`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// Environment variables.
    pub variables: HashMap<String, String>,
    /// The JVM property `properties.path`.
    pub properties_path: Option<PathBuf>,
    /// The JVM property `machine.name`.
    pub machine_name: Option<String>,
    /// Where short-lived files may lie.
    pub temporary_directory: PathBuf,
}

/// `backup`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    #[serde(rename = "type", default = "manual")]
    pub kind: BackupType,
    pub label: Option<String>,
    #[serde(default)]
    pub pin: bool,
    #[serde(default)]
    pub only: Vec<Part>,
    #[serde(default)]
    pub full_read: bool,
    #[serde(default)]
    pub copy_to: Vec<String>,
    #[serde(default)]
    pub dry_run: bool,
}

fn manual() -> BackupType {
    BackupType::Manual
}

/// `list`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    #[serde(rename = "type")]
    pub backup_type: Option<BackupType>,
    #[serde(default)]
    pub all_instances: bool,
}

/// `show` and `delete`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    pub id: String,
}

/// `pin`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub id: String,
    pub pinned: bool,
}

/// `forget`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Instead of those of the configuration.
    pub rules: Option<KeepRules>,
    pub max_space_gib: Option<u32>,
    #[serde(default)]
    pub types: Vec<BackupType>,
    pub schedule: Option<String>,
    /// Gives back the room afterwards.
    #[serde(default)]
    pub prune: bool,
    #[serde(default)]
    pub dry_run: bool,
}

/// `prune`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    pub grace_hours: Option<u32>,
    #[serde(default)]
    pub dry_run: bool,
}

/// `copy`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    pub id: String,
    pub to: String,
    #[serde(default)]
    pub dry_run: bool,
}

/// `schedule`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "action")]
pub enum Schedule {
    /// All schedules, and whether they are run.
    List {},
    /// The runs ahead.
    Next { name: Option<String>, count: u8 },
    /// Adds one, or changes what is named of it.
    Set {
        name: String,
        schedule: Map<String, Value>,
    },
    /// Takes one out.
    Remove { name: String },
    /// Runs them in this process until the handle is closed.
    Run {},
    /// Runs them here no more.
    Stop {},
}

/// `verify`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    pub id: Option<String>,
    #[serde(default)]
    pub read_data: bool,
}

/// `drill`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    pub id: String,
    /// Restores the files below this one.
    pub directory: Option<PathBuf>,
    #[serde(default)]
    pub dry_run: bool,
}

/// `restore`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // What a user can tick.
pub struct Restore {
    pub id: String,
    #[serde(default)]
    pub only: Vec<Part>,
    #[serde(default)]
    pub paths: Vec<String>,
    pub to_database: Option<String>,
    pub to_directory: Option<PathBuf>,
    #[serde(default)]
    pub neutralize: bool,
    #[serde(default)]
    pub in_place: bool,
    #[serde(default)]
    pub no_safety_backup: bool,
    #[serde(default)]
    pub dry_run: bool,
}

impl Restore {
    /// Whether nothing that is live is touched.
    pub fn is_beside(&self) -> bool {
        self.to_database.is_some() || self.to_directory.is_some()
    }
}

/// `undo`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    #[serde(default)]
    pub no_safety_backup: bool,
    #[serde(default)]
    pub dry_run: bool,
}

/// `job`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The last one, where none is named.
    pub job: Option<String>,
}

/// `runs`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    pub count: u16,
}

/// `test`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// A name from the configuration, an absolute path, or a URL; that of the workplace, where none is named.
    pub repository: Option<String>,
}

/// `init`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    pub repository: String,
    #[serde(default)]
    pub compression: Compression,
}

/// `settings`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Keys such as `backup.nice`, and their new values; without a value, the key is removed.
    #[serde(default)]
    pub set: Vec<Setting>,
}

/// See [`Settings`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub key: String,
    pub value: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schedule::ScheduleSection;

    #[test]
    fn what_is_not_named_of_a_schedule_stays() {
        let known = ScheduleSection {
            cron: "0 3 * * *".to_owned(),
            label: Some("by night".to_owned()),
            retries: Some(5),
            ..ScheduleSection::default()
        };
        let change = |text: &str| changed(&known, serde_json::from_str(text).unwrap());
        let later =
            change("{\"cron\": \"0 4 * * *\", \"label\": null, \"retry_minutes\": 2}").unwrap();
        assert_eq!(later.cron, "0 4 * * *");
        assert_eq!((later.label, later.retries), (None, Some(5)));
        assert_eq!(later.retry_minutes.map(NonZeroU16::get), Some(2));
        assert_eq!(change("{}").unwrap(), known);
        for odd in ["{\"corn\": \"hush\"}", "{\"retries\": \"hush\"}"] {
            let error = change(odd).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said_without_its_values() {
        for (text, expected) in [
            ("{", "EOF while parsing"),
            ("{\"id\": \"hush\", \"x\": 1}", "unknown field `x`"),
            ("{}", "missing field `id`"),
            ("{\"id\": 471199}", "a value of another kind"),
            ("[\"hush\"]", "not an object"),
            ("", "EOF"),
        ] {
            let error = parse::<One>(text).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Usage);
            let message = error.to_string();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(
                !message.contains("hush") && !message.contains("471199"),
                "{message}"
            );
        }
    }
}
