//! `ls` and `cat`: what is inside a backup.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;

use comfy_table::Cell;
use serde::Serialize;

use obbackup::command::contents::{self, Listed, Place};
use obbackup::error::{IoContext, Result};
use obbackup::progress::Progress;

use crate::Outcome;
use crate::arguments::{Cat, Ls};
use crate::output::{Output, count, local_time, safe, size};
use crate::session::Session;

#[derive(Serialize)]
struct Document<'a> {
    entries: &'a [Listed],
}

pub fn ls(session: &Session, arguments: &Ls) -> Result<Outcome> {
    let place = match &arguments.path {
        Some(path) => Place::parse(path.as_bytes())?,
        None => Place::Root,
    };
    let repository = session.repository()?;
    let backup = session.resolve(&repository, &arguments.id)?;
    let entries = contents::ls(&repository.reader()?, &backup.manifest, &place)?;
    session
        .output
        .show(&Document { entries: &entries }, |output| {
            text(output, &entries)
        })?;
    Ok(Outcome::Good)
}

pub fn cat(session: &Session, arguments: &Cat) -> Result<Outcome> {
    let place = Place::parse(arguments.place.as_bytes())?;
    let repository = session.repository()?;
    let backup = session.resolve(&repository, &arguments.id)?;
    let reader = repository.reader()?;
    let mut out = Stream::new(io::stdout().lock());
    // Progress would run into the data, so only the request to stop is passed on.
    let written = session.work_unseen(|progress| {
        let mut watched = Watched {
            out: &mut out,
            progress,
        };
        contents::cat(&reader, &backup.manifest, &place, &mut watched, progress)?;
        out.flush()
            .io_context(|| "cannot write to standard output".to_owned())
    });
    match written {
        // Whoever stops reading has read enough.
        Err(_) if out.is_closed => Ok(Outcome::Good),
        other => other.map(|()| Outcome::Good),
    }
}

/// Standard output, remembering that its reader went away.
struct Stream<W: Write> {
    out: BufWriter<W>,
    is_closed: bool,
}

impl<W: Write> Stream<W> {
    fn new(out: W) -> Self {
        Self {
            out: BufWriter::with_capacity(1 << 18, out),
            is_closed: false,
        }
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.is_closed |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        result
    }
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.note(result)
    }
}

/// Stops where somebody asked to stop.
struct Watched<'a, W> {
    out: &'a mut W,
    progress: &'a dyn Progress,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress.check()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn text(output: &Output, entries: &[Listed]) -> String {
    let files = entries.iter().any(|entry| entry.mode.is_some());
    let rows = entries
        .iter()
        .map(|entry| {
            let bytes = entry.bytes.map(size).unwrap_or_default();
            let name = match &entry.target {
                Some(target) => format!("{} -> {}", entry.path, target),
                None if entry.kind == "directory" => format!("{}/", entry.path),
                None => entry.path.to_string(),
            };
            let name = Cell::new(safe(&name));
            if !files {
                let rows = entry.rows.map(count).unwrap_or_default();
                return vec![Cell::new(bytes), Cell::new(rows), name];
            }
            let mode = entry
                .mode
                .map(|mode| mode_text(entry.kind, mode))
                .unwrap_or_default();
            let time = entry.mtime.map(local_time).unwrap_or_default();
            vec![
                Cell::new(mode),
                Cell::new(safe(entry.owner.as_deref().unwrap_or_default())),
                Cell::new(bytes),
                Cell::new(time),
                name,
            ]
        })
        .collect();
    if files {
        output.table(&["MODE", "OWNER", "SIZE", "CHANGED", "PATH"], &[2], rows)
    } else {
        output.table(&["SIZE", "ROWS", "PATH"], &[0, 1], rows)
    }
}

/// As `ls -l` shows it.
fn mode_text(kind: &str, mode: u32) -> String {
    let first = match kind {
        "directory" => 'd',
        "symlink" => 'l',
        _ => '-',
    };
    let mut text = String::from(first);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        for (kind, mode, shown) in [
            ("file", 0o644, "-rw-r--r--"),
            ("directory", 0o1777, "drwxrwxrwt"),
            ("file", 0o4755, "-rwsr-xr-x"),
            ("file", 0o2640, "-rw-r-S---"),
        ] {
            assert_eq!(mode_text(kind, mode), shown);
        }
    }
}
