//! The end of a capture: puts what was found into the catalog, in path order.

use std::collections::{HashMap, VecDeque};

use crossbeam_channel::Receiver;

use super::merge::Slot;
use super::read::Reader;
use super::{Captured, Note, Outcome};
use crate::chunk::ChunkSink;
use crate::error::Result;
use crate::format::file::{FileEntry, Node};
use crate::progress::Progress;

/// More warnings than these are only counted.
const WARNINGS_LIMIT: usize = 1000;

struct Collector<'a, S: ?Sized, F> {
    reader: Reader<'a, S>,
    progress: &'a dyn Progress,
    write: F,
    captured: Captured,
    unnamed_warnings: u64,
    /// Files that other names may still refer to although they could not be captured, with the name
    /// that was captured in their stead.
    missing: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Takes all slots, until their sender is done or gone.
pub(super) fn collect<S: ChunkSink + ?Sized>(
    slots: Receiver<Slot>,
    reader: Reader<'_, S>,
    progress: &dyn Progress,
    write: impl FnMut(&FileEntry) -> Result<()>,
) -> Result<Captured> {
    let mut collector = Collector {
        reader,
        progress,
        write,
        captured: Captured::default(),
        unnamed_warnings: 0,
        missing: HashMap::new(),
    };
    let mut members = VecDeque::new();
    for slot in slots {
        match slot {
            Slot::Entry(entry) => collector.entry(&entry, false)?,
            Slot::Link(entry) => collector.link(entry)?,
            Slot::Note(note) => collector.note(note),
            // The senders of these are dropped without an answer only when the capture has failed
            // already, whose error is the one to tell.
            Slot::Bundle(outcomes) => match outcomes.recv() {
                Ok(outcomes) => members = VecDeque::from(outcomes?),
                Err(_) => break,
            },
            Slot::Large(outcome) => match outcome.recv() {
                Ok(outcome) => collector.outcome(outcome?)?,
                Err(_) => break,
            },
            Slot::Member => match members.pop_front() {
                Some(outcome) => collector.outcome(outcome)?,
                None => break,
            },
        }
    }
    let mut captured = collector.captured;
    if collector.unnamed_warnings > 0 {
        let more = collector.unnamed_warnings;
        captured
            .warnings
            .push(format!("and {more} more like these"));
    }
    Ok(captured)
}

impl<S: ChunkSink + ?Sized, F: FnMut(&FileEntry) -> Result<()>> Collector<'_, S, F> {
    fn entry(&mut self, entry: &FileEntry, read: bool) -> Result<()> {
        (self.write)(entry)?;
        self.captured.entries += 1;
        if let Node::File(content) = &entry.node {
            let bytes = content.stored_bytes();
            self.captured.files += 1;
            self.captured.bytes += bytes;
            if read {
                self.captured.files_read += 1;
                self.captured.bytes_read += bytes;
            }
            self.progress.advance(bytes);
        }
        Ok(())
    }

    fn outcome(&mut self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Entry { entry, read, note } => {
                self.entry(&entry, read)?;
                if let Some(note) = note {
                    self.note(note);
                }
            }
            Outcome::Missing { path, note } => {
                self.note(note);
                self.missing.insert(path, None);
            }
        }
        Ok(())
    }

    /// Another name of a file. If that could not be captured under its first name, this one gets the
    /// content, and later ones refer to it.
    fn link(&mut self, mut entry: FileEntry) -> Result<()> {
        let Node::Hardlink { target } = &mut entry.node else {
            return self.entry(&entry, false);
        };
        match self.missing.get(&target.0) {
            None => self.entry(&entry, false),
            Some(Some(instead)) => {
                target.0.clone_from(instead);
                self.entry(&entry, false)
            }
            Some(None) => {
                let first = target.0.clone();
                let outcome = self.reader.large(&entry.path.0, None)?;
                if matches!(outcome, Outcome::Entry { .. }) {
                    self.missing.insert(first, Some(entry.path.0));
                }
                self.outcome(outcome)
            }
        }
    }

    fn note(&mut self, note: Note) {
        self.progress.warn(&note.text);
        self.captured.partial |= note.partial;
        if self.captured.warnings.len() < WARNINGS_LIMIT {
            self.captured.warnings.push(note.text);
        } else {
            self.unnamed_warnings += 1;
        }
    }
}
