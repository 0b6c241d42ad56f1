//! What goes to standard output: tables and lines for people, one JSON document for programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Local, Utc};
use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle,
};
use serde::Serialize;

use obbackup::command::document::to_json;
use obbackup::error::{Error, Result};
pub use obbackup::wording::{count, counted, duration, size};

/// Nothing but a line below the header.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
const PLAIN_STYLE: TableStyle = TableStyle::new();

/// Columns whose text can be long.
const FOLDED: &[&str] = &[
    "AGE", "LABEL", "INSTANCE", "PATH", "FOUND", "ORIGIN", "TO", "OBJECT", "PROBLEM", "BACKUPS",
    "WHY", "SIZES",
];
/// Folded to less than this, a text cannot be read.
const LEAST_WIDTH: usize = 16;
/// Between two columns.
const GAP: u16 = 2;
/// Before what stands below its row.
const INDENT: &str = "    ";

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
    /// columns of [`FOLDED`] are folded, or stand below their rows.
    pub fn table(&self, header: &[&str], right: &[usize], rows: Vec<Vec<Cell>>) -> String {
        // A pipe has no width.
        let width = Table::new().width().filter(|_| self.terminal);
        match width {
            Some(width) if least_width(header, &rows) > usize::from(width) => {
                self.narrow(header, right, rows)
            }
            _ => self.drawn(header, right, rows, width),
        }
    }

    /// Each row with its long texts below.
    fn narrow(&self, header: &[&str], right: &[usize], rows: Vec<Vec<Cell>>) -> String {
        let is_short = |index: &usize| !FOLDED.contains(&header[*index]);
        let short: Vec<usize> = (0..header.len()).filter(is_short).collect();
        let names: Vec<&str> = short.iter().map(|index| header[*index]).collect();
        let to_the_right: Vec<usize> = (0..short.len())
            .filter(|place| right.contains(&short[*place]))
            .collect();
        let mut below = Vec::new();
        let mut beside = Vec::new();
        for row in rows {
            let (kept, long): (Vec<_>, Vec<_>) = row
                .into_iter()
                .enumerate()
                .partition(|(index, _)| is_short(index));
            let long: Vec<String> = long.iter().map(|(_, cell)| cell.content()).collect();
            let long: Vec<&str> = long.iter().flat_map(|text| text.lines()).collect();
            below.push(long.join("; "));
            beside.push(kept.into_iter().map(|(_, cell)| cell).collect());
        }
        let drawn = self.drawn(&names, &to_the_right, beside, None);
        let head = drawn.lines().count() - below.len();
        let mut text = String::new();
        for (number, line) in drawn.lines().enumerate() {
            let _ = writeln!(text, "{line}");
            let long = number.checked_sub(head).and_then(|row| below.get(row));
            if let Some(long) = long.filter(|long| !long.is_empty()) {
                let _ = writeln!(text, "{INDENT}{long}");
            }
        }
        text
    }

    fn drawn(
        &self,
        header: &[&str],
        right: &[usize],
        rows: Vec<Vec<Cell>>,
        width: Option<u16>,
    ) -> String {
        let mut table = Table::new();
        table.load_style(if self.terminal { STYLE } else { PLAIN_STYLE });
        table.set_header(header.iter().map(Cell::new));
        table.add_rows(rows);
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, GAP));
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

/// The characters that a table needs at the least: folded columns as many as make a word or two.
fn least_width(header: &[&str], rows: &[Vec<Cell>]) -> usize {
    let wide = |text: &str| {
        let lines = text.lines().map(|line| line.chars().count());
        lines.max().unwrap_or(0)
    };
    let columns = header.iter().enumerate().map(|(index, name)| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let cells = cells.map(|cell| wide(&cell.content())).max().unwrap_or(0);
        let natural = cells.max(wide(name));
        let least = if FOLDED.contains(name) {
            natural.min(LEAST_WIDTH)
        } else {
            natural
        };
        least + usize::from(GAP)
    });
    columns.sum()
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

    fn output() -> Output {
        Output {
            json: false,
            verbose: false,
            terminal: false,
            color: false,
        }
    }

    #[test]
    fn what_would_be_too_narrow_to_read_stands_below_its_row() {
        let header = ["ID", "LABEL", "SIZE", "WHY"];
        let row = |id, label, size, why| [id, label, size, why].map(Cell::new).to_vec();
        let rows = vec![
            row(
                "48397604",
                "before: a build",
                "9 B",
                "the last good one\nlast 1",
            ),
            row("7f4d25b2", "", "13.4 MiB", ""),
        ];
        // 10, 17, 10, and 18 for the text that can be folded.
        assert_eq!(least_width(&header, &rows), 55);
        assert_eq!(
            output().narrow(&header, &[2], rows),
            "ID            SIZE\n\
             48397604       9 B\n    before: a build; the last good one; last 1\n\
             7f4d25b2  13.4 MiB\n"
        );
    }

    #[test]
    fn a_table_in_a_pipe_is_plain() {
        let output = output();
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
