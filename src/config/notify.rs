//! `[notify.<name>]`: who is told of what, and how.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;

/// What somebody can be told of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A backup is begun; only pings tell of it.
    Started,
    /// A backup was taken.
    Succeeded,
    /// A backup was taken, but not everything could be read.
    Partial,
    /// A backup failed.
    Failed,
    /// A backup was taken after one that failed or was partial.
    Recovered,
    /// A run did not happen at its time.
    Missed,
    /// The room of a repository comes to its end.
    SpaceLow,
    /// There was no good backup for too long.
    NoGoodBackup,
    /// What is stored is not what was written.
    VerifyFailed,
    /// Somebody tries whether a message arrives.
    Test,
}

impl Event {
    /// The word in the configuration and in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Missed => "missed",
            Self::SpaceLow => "space_low",
            Self::NoGoodBackup => "no_good_backup",
            Self::VerifyFailed => "verify_failed",
            Self::Test => "test",
        }
    }

    /// Those that are sent where a section does not list any: whatever asks for somebody's attention,
    /// and its end.
    pub const USUAL: &[Self] = &[
        Self::Partial,
        Self::Failed,
        Self::Recovered,
        Self::Missed,
        Self::SpaceLow,
        Self::NoGoodBackup,
        Self::VerifyFailed,
    ];
}

/// Whose backups are told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runs {
    /// Those that a schedule started.
    #[default]
    Scheduled,
    /// Also those that somebody or another program started.
    All,
}

/// `[notify.<name>]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum NotifySection {
    /// E-mail by SMTP.
    Mail(MailSection),
    /// A JSON document by POST.
    Webhook(WebhookSection),
    /// A watch that expects a sign of life, as healthchecks has it: `URL/start`, `URL`, `URL/fail`.
    Ping(PingSection),
    /// A program, with the JSON document on its standard input.
    Command(CommandSection),
}

/// `type = "mail"`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSection {
    /// Which events; see [`Event::USUAL`].
    pub events: Option<Vec<Event>>,
    /// Whose backups.
    #[serde(default)]
    pub runs: Runs,
    /// Only of these schedules; of all, when empty.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// The server's name or address.
    pub host: String,
    /// Its port; else 587, 465 or 25, as `security` says.
    pub port: Option<NonZeroU16>,
    /// How the connection is protected.
    #[serde(default)]
    pub security: MailSecurity,
    /// The user to log in as; nobody, where it is left out.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long sending may take.
    pub timeout_seconds: Option<NonZeroU16>,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Plain at first, and TLS before anything is said; refused where the server has none.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: for a server on the same machine.
    Plain,
}

/// `type = "webhook"`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSection {
    /// Which events; see [`Event::USUAL`].
    pub events: Option<Vec<Event>>,
    /// Whose backups.
    #[serde(default)]
    pub runs: Runs,
    /// Only of these schedules; of all, when empty.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// Where to; such addresses often hold a token, so it is kept like a password.
    pub url: Secret,
    /// Key of the signature (HMAC-SHA-256 of the body) in the header `X-Obbackup-Signature`.
    pub secret: Option<Secret>,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long it may take.
    pub timeout_seconds: Option<NonZeroU16>,
}

/// `type = "ping"`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PingSection {
    /// Whose backups.
    #[serde(default)]
    pub runs: Runs,
    /// Only of these schedules; of all, when empty.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// The watch's address, without `/start` and `/fail`.
    pub url: Secret,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long it may take.
    pub timeout_seconds: Option<NonZeroU16>,
}

/// `type = "command"`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSection {
    /// Which events; see [`Event::USUAL`].
    pub events: Option<Vec<Event>>,
    /// Whose backups.
    #[serde(default)]
    pub runs: Runs,
    /// Only of these schedules; of all, when empty.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// The program and its arguments; no shell is involved.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout_seconds: Option<NonZeroU16>,
}

/// `[watch]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchSection {
    /// `no_good_backup` is told after so many days without one; 3 where nothing is said.
    pub good_backup_within_days: Option<NonZeroU16>,
}

/// How long a message may take where nothing is said.
const TIMEOUT_SECONDS: u64 = 30;

impl NotifySection {
    /// Which events it is for. A ping takes what begins and ends a backup, and nothing else.
    pub fn events(&self) -> Vec<Event> {
        let listed = match self {
            Self::Mail(section) => &section.events,
            Self::Webhook(section) => &section.events,
            Self::Command(section) => &section.events,
            Self::Ping(_) => {
                return vec![
                    Event::Started,
                    Event::Succeeded,
                    Event::Partial,
                    Event::Failed,
                    Event::Missed,
                    Event::Test,
                ];
            }
        };
        let mut events = listed.clone().unwrap_or_else(|| Event::USUAL.to_vec());
        events.push(Event::Test);
        events
    }

    /// Whose backups it tells of.
    pub fn runs(&self) -> Runs {
        match self {
            Self::Mail(section) => section.runs,
            Self::Webhook(section) => section.runs,
            Self::Ping(section) => section.runs,
            Self::Command(section) => section.runs,
        }
    }

    /// Of which schedules it tells; of all, when empty.
    pub fn schedules(&self) -> &[String] {
        match self {
            Self::Mail(section) => &section.schedules,
            Self::Webhook(section) => &section.schedules,
            Self::Ping(section) => &section.schedules,
            Self::Command(section) => &section.schedules,
        }
    }

    /// How long a message may take.
    pub fn timeout(&self) -> std::time::Duration {
        let seconds = match self {
            Self::Mail(section) => section.timeout_seconds,
            Self::Webhook(section) => section.timeout_seconds,
            Self::Ping(section) => section.timeout_seconds,
            Self::Command(section) => section.timeout_seconds,
        };
        std::time::Duration::from_secs(
            seconds.map_or(TIMEOUT_SECONDS, |seconds| u64::from(seconds.get())),
        )
    }
}
