//! What goes to standard output: tables and lines for people, one JSON document for programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Local, Utc};
use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
};
use serde::Serialize;

use obbackup::error::{Error, ErrorKind, Result};
pub use obbackup::wording::{count, counted, duration, size};

/// The version of every JSON document; it changes when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// Nothing but a line below the header.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
const PLAIN_STYLE: TableStyle = TableStyle::new();

/// Columns whose text can be long.
const FOLDED: &[&str] = &[
    "AGE", "LABEL", "INSTANCE", "PATH", "FOUND", "ORIGIN", "TO", "OBJECT", "PROBLEM", "BACKUPS",
    "WHY",
];

/// Where standard output goes, and in which form.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // What the streams can, and what was asked for.
pub struct Output {
    /// One JSON document.
    pub json: bool,
    /// Detail that is left out else.
    pub verbose: bool,
    terminal: bool,
    color: bool,
}

/// The envelope of every document.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    #[serde(flatten)]
    body: &'a T,
}

/// One line of JSON.
pub fn to_json<T: Serialize>(body: &T) -> Result<String> {
    serde_json::to_string(&Document {
        schema: SCHEMA,
        body,
    })
    .map_err(|error| {
        Error::new(ErrorKind::Failure, "cannot write the result as JSON").source(error)
    })
}

/// Whether what goes to this stream may have colors.
pub fn may_color(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Output {
    pub fn new(json: bool, verbose: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            json,
            verbose,
            terminal,
            color: may_color(terminal),
        }
    }

    /// `body` as JSON where that was asked for, else what `text` makes of it.
    pub fn show<T: Serialize>(&self, body: &T, text: impl FnOnce(&Self) -> String) -> Result<()> {
        if self.json {
            return print(&(to_json(body)? + "\n"));
        }
        print(&text(self))
    }

    /// A table; the columns of `right` are aligned to the right. Where a terminal is too narrow, the
    /// columns of [`FOLDED`] are folded.
    pub fn table(&self, header: &[&str], right: &[usize], rows: Vec<Vec<Cell>>) -> String {
        let mut table = Table::new();
        table.load_style(if self.terminal { STYLE } else { PLAIN_STYLE });
        table.set_header(header.iter().map(Cell::new));
        table.add_rows(rows);
        // A pipe has no width; a terminal folds what is too long for it.
        if self.terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if !header.get(index).is_some_and(|name| FOLDED.contains(name)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
            if right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// `name: value` lines, values one below the other.
    pub fn fields(fields: &[(&str, String)]) -> String {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in fields {
            let _ = writeln!(text, "{name:<width$}  {value}");
        }
        text
    }

    /// A word in a color, where colors are shown.
    pub fn colored(&self, text: &str, color: Color) -> Cell {
        let cell = Cell::new(text);
        if self.color { cell.fg(color) } else { cell }
    }
}

/// To standard output, at once. Whoever stops reading has read enough: a closed pipe is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::io("cannot write to standard output", error)),
    }
}

/// A moment in the local time zone.
pub fn local_time(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// The same without seconds, for lists.
pub fn local_minute(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local)
        .format("%Y-%m-%d %H:%M")
        .to_string()
}

/// Text from outside, safe to show: control characters and what turns the direction of writing come
/// escaped.
pub fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            safe("größe\u{1b}[2J\n\u{202e}"),
            "größe\\u{1b}[2J\\n\\u{202e}"
        );
    }

    #[test]
    fn a_table_in_a_pipe_is_plain() {
        let output = Output {
            json: false,
            verbose: false,
            terminal: false,
            color: false,
        };
        let rows = vec![
            vec![Cell::new("a"), Cell::new("1")],
            vec![Cell::new("bcd"), Cell::new("22")],
        ];
        assert_eq!(
            output.table(&["NAME", "SIZE"], &[1], rows),
            "NAME  SIZE\na        1\nbcd     22\n"
        );
    }
}
