//! From a restore's status to what its page shows: the words, the steps, the HTML.

use std::fmt::Write as _;

use serde::Serialize;

use crate::error::Result;
use crate::format::id::random_id;
use crate::job::{Drawn, Stage, Status, Verdict};

/// The page: one file, nothing else to load.
const TEMPLATE: &str = include_str!("restore.html");
/// Enough that no two pages have the same.
const NONCE_BYTES: usize = 16;

/// What the page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The new state is being made and put in place.
    Restoring,
    /// The application is starting on it.
    Starting,
    /// The old state is being put back.
    PuttingBack,
    /// The new state is in place.
    Restored,
    /// The old state is in place again.
    PutBack,
    /// Somebody has to act.
    ActionNeeded,
    /// It ended before anything was replaced.
    NothingChanged,
    /// No restore runs; another reason keeps the application from answering.
    Idle,
}

/// What a kind of page says.
#[derive(Serialize)]
struct Text {
    class: &'static str,
    headline: &'static str,
    say: &'static str,
    /// Whether there is nothing to follow any more.
    over: bool,
    /// Whether the application can be opened.
    link: bool,
    /// Whether the page asks the application if it answers.
    asks: bool,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Restoring,
        Self::Starting,
        Self::PuttingBack,
        Self::Restored,
        Self::PutBack,
        Self::ActionNeeded,
        Self::NothingChanged,
        Self::Idle,
    ];

    fn of(status: &Status) -> Self {
        match &status.outcome {
            Some(outcome) => match outcome.verdict {
                Verdict::Restored => Self::Restored,
                Verdict::PutBack => Self::PutBack,
                Verdict::ActionNeeded => Self::ActionNeeded,
                Verdict::NothingChanged => Self::NothingChanged,
            },
            None if status.put_back.is_some() => Self::PuttingBack,
            None if status.stage >= Stage::Starting => Self::Starting,
            None => Self::Restoring,
        }
    }

    fn text(self) -> Text {
        let (class, headline, say) = match self {
            Self::Restoring => (
                "",
                "The application is being restored",
                "It returns to an earlier state and will be available again shortly.",
            ),
            Self::Starting => (
                "",
                "The application is starting",
                "The restored state is in place. This page opens the application as soon as it answers.",
            ),
            Self::PuttingBack => (
                "back",
                "The state before is being put back",
                "The restore did not succeed; nothing is lost.",
            ),
            Self::Restored => (
                "good",
                "Restored",
                "The application answers again with the restored state.",
            ),
            Self::PutBack => (
                "back",
                "Put back",
                "The application is as it was before the restore; nothing is lost.",
            ),
            Self::ActionNeeded => (
                "bad",
                "The administrator is needed",
                "The restore could not be completed by itself; “obbackup status” on the server says how everything \
                 is and what to do.",
            ),
            Self::NothingChanged => (
                "back",
                "The restore ended early",
                "Nothing was replaced: the application is as it was.",
            ),
            Self::Idle => (
                "",
                "The application does not answer",
                "No restore is running. This page opens the application as soon as it answers.",
            ),
        };
        let over = !matches!(self, Self::Restoring | Self::Starting | Self::PuttingBack);
        Text {
            class,
            headline,
            say,
            over,
            link: over && !matches!(self, Self::ActionNeeded | Self::Idle),
            asks: over && self != Self::ActionNeeded,
        }
    }
}

/// What everybody may see of a restore: no name, no size, no label.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    kind: Kind,
    percent: u8,
    seconds_left: Option<u64>,
    /// Which of the steps it is at.
    step: usize,
    stage: &'static str,
    because: Option<&'static str>,
    /// Milliseconds since 1970: a later one is newer.
    at: i64,
    /// For whoever showed the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Vec<String>>,
}

impl View {
    /// Of this status; with `log` for whoever may see it.
    pub fn of(status: &Status, log: Option<Vec<String>>) -> Self {
        let stages: Vec<Stage> = Stage::all().collect();
        let kind = Kind::of(status);
        Self {
            kind,
            percent: status.percent,
            seconds_left: status.seconds_left,
            step: stages
                .iter()
                .position(|stage| *stage == status.stage)
                .unwrap_or(stages.len()),
            stage: status.stage.title(),
            because: status
                .put_back
                .as_ref()
                // Nobody knows then whether it could be.
                .filter(|_| kind != Kind::ActionNeeded)
                .map(|put_back| because(put_back.at)),
            at: status.heartbeat_at.timestamp_millis(),
            log,
        }
    }

    fn to_json(&self) -> String {
        // Plain words and numbers always are JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Why, without what only the administrator should see.
fn because(at: Stage) -> &'static str {
    match at {
        Stage::Probing => "the restored application did not answer as it should",
        Stage::Starting => "the application's server did not start on the restored state",
        Stage::Stopping => "the application's server did not stop",
        _ => "a step of the exchange failed",
    }
}

/// Where a page finds what it needs, as paths on its own server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The application.
    pub application: String,
    /// The state as JSON.
    pub state: String,
    /// The application's port, where the page is on another one: `application` then leads there only while the page is
    /// served.
    pub port: Option<u16>,
}

/// A page, and the nonce that its own style and script have.
pub(super) struct Page {
    pub(super) html: String,
    pub(super) policy: String,
}

/// The page of a status; with its details and log for whoever may see them.
pub(super) fn page(status: &Status, log: Option<Vec<String>>, links: &Links) -> Result<Page> {
    let details = log
        .as_ref()
        .map_or_else(String::new, |log| details(status, log));
    render(&View::of(status, log), &details, links)
}

/// What a proxy shows of a status, and what that page asks for. A page that is shown long after the restore
/// must not speak of it.
pub fn drawn(status: &Status, links: &Links) -> Drawn {
    let view = View::of(status, None);
    let state = view.to_json();
    let lasting = if view.kind.text().over && view.kind != Kind::ActionNeeded {
        View {
            kind: Kind::Idle,
            because: None,
            ..view
        }
    } else {
        view
    };
    Drawn {
        // Without a random number there is no page this time; there will be in half a second.
        page: render(&lasting, "", links)
            .map(|page| page.html)
            .unwrap_or_default(),
        state,
    }
}

fn render(view: &View, details: &str, links: &Links) -> Result<Page> {
    let nonce = random_id(NONCE_BYTES)?;
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'"
    );
    let text = view.kind.text();
    let texts: std::collections::BTreeMap<String, Text> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let name = serde_json::to_value(kind).unwrap_or_default();
            (name.as_str().unwrap_or_default().to_owned(), kind.text())
        })
        .collect();
    let texts = serde_json::to_string(&texts).unwrap_or_default();
    let say = match view.because {
        Some(because) => format!("Put back because {because}. {}", text.say),
        None => text.say.to_owned(),
    };
    let mut steps = String::new();
    for (at, stage) in Stage::all().enumerate() {
        let class = match at.cmp(&view.step) {
            std::cmp::Ordering::Less => " class=\"done\"",
            std::cmp::Ordering::Equal => " class=\"now\" aria-current=\"step\"",
            std::cmp::Ordering::Greater => "",
        };
        // Into a string nothing fails.
        let _ = writeln!(steps, "<li{class}>{}</li>", escaped(stage.title()));
    }
    let hidden = |hidden: bool| if hidden { " hidden" } else { "" };
    let left = view.seconds_left.map(time_left).unwrap_or_default();
    let percent = view.percent.to_string();
    // In a script, `</` could end it.
    let in_script = |json: String| json.replace("</", "<\\/");
    let value = |name: &str| -> String {
        match name {
            "csp" => escaped(&policy),
            "nonce" => nonce.clone(),
            "title" | "headline" => escaped(text.headline),
            "class" => text.class.to_owned(),
            "say" => escaped(&say),
            "percent" => percent.clone(),
            "left" => escaped(&left),
            "stage" => escaped(view.stage),
            "state_url" => escaped(&links.state),
            "application_url" => escaped(&links.application),
            "port" => links.port.map_or_else(String::new, |port| port.to_string()),
            "meter_hidden" | "steps_hidden" | "foot_hidden" => hidden(text.over).to_owned(),
            "open_hidden" => hidden(!text.link).to_owned(),
            "steps" => steps.clone(),
            "details" => details.to_owned(),
            "texts" => in_script(texts.clone()),
            "view" => in_script(view.to_json()),
            _ => String::new(),
        }
    };
    Ok(Page {
        html: fill(TEMPLATE, &value),
        policy: format!("{policy}; frame-ancestors 'none'"),
    })
}

/// Puts the values in the places of `{{name}}`, once: what a value holds is not looked at again.
fn fill(template: &str, value: &dyn Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = after;
    }
    filled + rest
}

fn details(status: &Status, log: &[String]) -> String {
    let about = &status.about;
    let label = about
        .label
        .as_ref()
        .map_or_else(String::new, |label| format!(" ({label})"));
    let mut rows = vec![
        ("Instance", about.instance.clone()),
        (
            "Brings back",
            format!(
                "{}{label}, of {}",
                about.state(),
                about.taken_at.format("%Y-%m-%d %H:%M UTC")
            ),
        ),
        (
            "Begun",
            status
                .started_at
                .format("%Y-%m-%d %H:%M:%S UTC")
                .to_string(),
        ),
    ];
    if let Some(put_back) = &status.put_back {
        rows.push(("Put back because", put_back.because.clone()));
    }
    if let Some(outcome) = &status.outcome {
        rows.push(("Outcome", outcome.message.clone()));
        rows.extend(outcome.hint.clone().map(|hint| ("What to do", hint)));
    }
    let mut list = String::new();
    for (name, value) in rows {
        let _ = writeln!(list, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    }
    format!(
        "<details open><summary>Details</summary>\n<dl>\n{list}</dl>\n<pre id=\"log\" tabindex=\"0\" \
         aria-label=\"Log\">{}</pre>\n</details>\n",
        escaped(&log.join("\n"))
    )
}

/// The same words as the page's script.
fn time_left(seconds: u64) -> String {
    match seconds {
        0..10 => "a few seconds left".to_owned(),
        10..90 => format!("about {} seconds left", seconds.div_ceil(10) * 10),
        _ => format!("about {} minutes left", seconds.div_ceil(60)),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
