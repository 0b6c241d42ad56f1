//! How an error is shown: what happened and what to do, or the same as JSON.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use obbackup::command::document::to_json;
use obbackup::error::{Error, ErrorKind};

use crate::output::{may_color, safe};

#[derive(Serialize)]
struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    kind: &'a str,
    exit_code: u8,
    retryable: bool,
    message: String,
    hint: Option<&'a str>,
}

/// Shows `error` on standard error.
pub fn report(error: &Error, json: bool) {
    let text = if json {
        as_json(error)
    } else {
        as_text(error, may_color(io::stderr().is_terminal()))
    };
    // Nobody may be listening; the exit code says it too.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn as_json(error: &Error) -> String {
    let kind = error.kind();
    let document = Document {
        error: Body {
            kind: kind.name(),
            exit_code: kind.exit_code(),
            retryable: kind.is_retryable(),
            message: error.message(),
            hint: error.hint_text(),
        },
    };
    to_json(&document).unwrap_or_default() + "\n"
}

fn as_text(error: &Error, color: bool) -> String {
    let (red, bold, end) = if color {
        ("\x1b[1;31m", "\x1b[1m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    if error.kind() == ErrorKind::Cancelled {
        return format!("{bold}{}{end}\n", indent(&error.message()));
    }
    let mut text = format!("{red}error:{end} {}\n", indent(&error.message()));
    if let Some(hint) = error.hint_text() {
        text = format!("{text}{bold}hint:{end} {}\n", indent(hint));
    }
    text
}

/// Servers answer in several lines.
fn indent(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(safe).collect();
    lines.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_hint_and_no_control_characters() {
        let error = Error::new(ErrorKind::NotFound, "no `\u{7}x`\nDETAIL: y").hint("Do z.");
        assert_eq!(
            as_text(&error, false),
            "error: no `\\u{7}x`\n  DETAIL: y\nhint: Do z.\n"
        );
        assert_eq!(as_text(&Error::cancelled(), false), "stopped on request\n");
    }

    #[test]
    fn json_has_kind_and_code() {
        let error = Error::new(ErrorKind::Locked, "locked");
        assert_eq!(
            as_json(&error),
            "{\"schema\":1,\"error\":{\"kind\":\"LOCKED\",\"exit_code\":11,\"retryable\":true,\
             \"message\":\"locked\",\"hint\":null}}\n"
        );
    }
}
