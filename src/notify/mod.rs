//! Telling people and programs what happened: e-mail, webhooks, pings and commands.
//!
//! A notifier that fails never fails what it tells of: what went wrong comes back as a value. No message holds
//! a secret, for none is in a [`Notice`]; and no error shows the address that a message went to, for
//! those of webhooks and pings hold tokens.

mod command;
mod http;
mod mail;
mod message;

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::config::Configuration;
use crate::config::notify::{Event, NotifySection, Runs};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{BackupType, InstanceIdentity};
use crate::instance::history::RunReport;

pub use message::Message;

/// A backup that begins waits no longer than this until that was told.
const BEGINNING_TIMEOUT: Duration = Duration::from_secs(4);

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What it was, the most important first. Each notifier tells it once, by the first that it is for.
    pub events: Vec<Event>,
    /// When.
    pub at: DateTime<Utc>,
    /// Of which instance.
    pub instance: InstanceIdentity,
    /// The run, if it is about one.
    pub report: Option<RunReport>,
    /// What else there is to say, a sentence each.
    pub notes: Vec<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// When the next run is to come.
    pub next_run: Option<DateTime<Utc>>,
    /// The zone that times are told in.
    pub zone: Tz,
}

impl Notice {
    fn schedule(&self) -> Option<&str> {
        let occasion = self.report.as_ref()?.occasion.as_ref()?;
        Some(&occasion.schedule)
    }

    /// Whether it is about what somebody, or another program, did just now.
    fn is_by_hand(&self) -> bool {
        let by_hand = |report: &RunReport| {
            report
                .backup_type
                .is_some_and(|kind| kind != BackupType::Scheduled)
        };
        self.report.as_ref().is_some_and(by_hand)
    }

    /// The event by which `section` is told, if it is.
    fn event_for(&self, section: &NotifySection) -> Option<Event> {
        let listed = section.events();
        let event = self.events.iter().find(|event| listed.contains(event))?;
        if *event == Event::Test {
            return Some(*event);
        }
        let wants_by_hand = section.runs() == Runs::All;
        let schedules = section.schedules();
        let wants_schedule = schedules.is_empty()
            || self
                .schedule()
                .is_none_or(|name| schedules.iter().any(|known| known == name));
        (wants_schedule && (wants_by_hand || !self.is_by_hand())).then_some(*event)
    }
}

/// Tells everybody whom it concerns, all at the same time. What comes back are the failures, each with the
/// notifier's name.
pub fn tell(configuration: &Configuration, notice: &Notice) -> Vec<Error> {
    let wanted = configuration
        .notify
        .iter()
        .filter_map(|(name, section)| Some((name.as_str(), section, notice.event_for(section)?)));
    std::thread::scope(|scope| {
        let telling: Vec<_> = wanted
            .map(|(name, section, event)| {
                (name, scope.spawn(move || tell_one(section, event, notice)))
            })
            .collect();
        telling
            .into_iter()
            .filter_map(|(name, thread)| {
                let told = thread.join().unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Failure, "its thread ended early"))
                });
                told.err()
                    .map(|error| error.context(format!("the notifier `{name}` failed")))
            })
            .collect()
    })
}

/// Sends a message through the notifier `name`, whatever it is for.
pub fn try_one(configuration: &Configuration, name: &str, notice: &Notice) -> Result<()> {
    let section = configuration.notify.get(name).ok_or_else(|| {
        let known: Vec<&str> = configuration.notify.keys().map(String::as_str).collect();
        Error::new(ErrorKind::NotFound, format!("there is no [notify.{name}]")).hint(
            if known.is_empty() {
                "The configuration has no notifier.".to_owned()
            } else {
                format!("Known: {}.", known.join(", "))
            },
        )
    })?;
    tell_one(section, Event::Test, notice)
        .map_err(|error| error.context(format!("the notifier `{name}` failed")))
}

fn tell_one(section: &NotifySection, event: Event, notice: &Notice) -> Result<()> {
    let message = Message::new(event, notice);
    let mut timeout = section.timeout();
    if event == Event::Started {
        timeout = timeout.min(BEGINNING_TIMEOUT);
    }
    match section {
        NotifySection::Mail(mail) => mail::send(mail, &message, timeout),
        NotifySection::Webhook(webhook) => http::post(webhook, &message, timeout),
        NotifySection::Ping(ping) => http::ping(ping, &notice.events, &message, timeout),
        NotifySection::Command(command) => command::run(command, &message, timeout),
    }
}

/// What went wrong took too long.
fn timed_out(timeout: Duration) -> Error {
    Error::new(
        ErrorKind::Transient,
        format!("no answer within {} seconds", timeout.as_secs()),
    )
    .hint("Check that it is up and can be reached from here; timeout_seconds lets it take longer.")
}

#[cfg(test)]
mod tests {
    use super::message::tests::notice;
    use super::*;
    use std::path::Path;

    #[test]
    fn who_is_told_is_configured() {
        let text = r#"
            [notify.usual]
            type = "command"
            command = ["true"]
            [notify.all]
            type = "command"
            command = ["true"]
            events = ["succeeded", "failed"]
            runs = "all"
            [notify.other]
            type = "command"
            command = ["true"]
            events = ["succeeded", "failed"]
            schedules = ["other"]
            [notify.watch]
            type = "ping"
            url = "https://example.org/token"
        "#;
        let configuration = Configuration::parse(text, Path::new("x")).unwrap();
        let told = |notice: &Notice| -> Vec<(&str, Event)> {
            configuration
                .notify
                .iter()
                .filter_map(|(name, section)| Some((name.as_str(), notice.event_for(section)?)))
                .collect()
        };
        let mut failed = notice(&[Event::Failed]);
        assert_eq!(
            told(&failed),
            [
                ("all", Event::Failed),
                ("usual", Event::Failed),
                ("watch", Event::Failed)
            ]
        );
        let recovered = notice(&[Event::Recovered, Event::Succeeded]);
        assert_eq!(
            told(&recovered),
            [
                ("all", Event::Succeeded),
                ("usual", Event::Recovered),
                ("watch", Event::Succeeded)
            ]
        );
        failed.report.as_mut().unwrap().backup_type = Some(BackupType::Manual);
        assert_eq!(told(&failed), [("all", Event::Failed)]);
        assert_eq!(told(&notice(&[Event::Test])).len(), 4);
        assert_eq!(
            told(&notice(&[Event::Started])),
            [("watch", Event::Started)]
        );
    }
}
