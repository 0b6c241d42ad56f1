//! `[tomcat]`: how the web application's server is stopped, started and asked, where that cannot be found out.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// `[tomcat]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TomcatSection {
    /// Its own files: `CATALINA_BASE`.
    pub base: Option<PathBuf>,
    /// Its programs: `CATALINA_HOME`.
    pub home: Option<PathBuf>,
    /// The systemd unit that runs it.
    pub unit: Option<String>,
    /// What stops it, word by word; returns when that is done or under way.
    pub stop: Vec<String>,
    /// What starts it, word by word; returns when that is done or under way.
    pub start: Vec<String>,
    /// What is asked whether the application answers, instead of `http://127.0.0.1:<port>/<context.name>/`.
    pub probe_url: Option<String>,
    /// The status that a good answer has.
    pub probe_status: Option<u16>,
    /// A text that a good answer has in it.
    pub probe_text: Option<String>,
    /// How long the application may take to answer after its start.
    pub probe_timeout_seconds: Option<NonZeroU32>,
    /// How long it may take to stop.
    pub stop_timeout_seconds: Option<NonZeroU32>,
    /// End it by SIGKILL when it did not stop in that time.
    pub kill: bool,
}

/// Openbravo with many modules takes minutes on a small machine.
const PROBE_TIMEOUT: Duration = Duration::from_mins(10);
/// Longer than Tomcat's own patience with requests under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(90);

impl TomcatSection {
    /// How long the application may take to answer after its start.
    pub fn probe_timeout(&self) -> Duration {
        seconds(self.probe_timeout_seconds, PROBE_TIMEOUT)
    }

    /// How long it may take to stop.
    pub fn stop_timeout(&self) -> Duration {
        seconds(self.stop_timeout_seconds, STOP_TIMEOUT)
    }

    pub(super) fn check(&self, path: &Path) -> Result<()> {
        let wrong = |what: &str, hint: &str| {
            Err(
                Error::new(ErrorKind::Usage, format!("`{}`: {what}", path.display()))
                    .hint(hint.to_owned()),
            )
        };
        let words_ok = |words: &[String]| words.first().is_none_or(|word| word.starts_with('/'));
        if !words_ok(&self.stop) || !words_ok(&self.start) {
            return wrong(
                "the program in stop or start of [tomcat] is not an absolute path",
                "Write it word by word: stop = [\"/usr/bin/sudo\", \"-n\", \"/usr/bin/systemctl\", \"stop\", \"tomcat9\"]",
            );
        }
        if self.stop.is_empty() != self.start.is_empty() {
            return wrong(
                "[tomcat] has one of stop and start only",
                "What is stopped one way has to be started the same way: set both.",
            );
        }
        if !self.start.is_empty() && self.unit.is_some() {
            return wrong(
                "[tomcat] has both unit and commands",
                "Leave out `unit`, or `stop` and `start`.",
            );
        }
        for directory in [&self.base, &self.home].into_iter().flatten() {
            if !directory.is_absolute() {
                return wrong(
                    "base or home of [tomcat] is not an absolute path",
                    "They are Tomcat's CATALINA_BASE and CATALINA_HOME.",
                );
            }
        }
        if let Some(url) = &self.probe_url
            && !url.starts_with("http://")
        {
            return wrong(
                "probe_url of [tomcat] does not start with http://",
                "Ask Tomcat itself, not the proxy before it: http://127.0.0.1:8080/openbravo/",
            );
        }
        Ok(())
    }
}

fn seconds(configured: Option<NonZeroU32>, default: Duration) -> Duration {
    configured.map_or(default, |seconds| {
        Duration::from_secs(u64::from(seconds.get()))
    })
}
