//! The journal of a restore in place: what it is about to do, on the device before it does it.
//!
//! One file a run, in a directory of its own under `.obbackup` of `source.path`, outside of what is swapped.
//! It is made whole, with its header, in one step; then one sealed line a record is added and synced.
//! A line that a crash cut short does not count, and is taken away before the next is added.
//!
//! Records say what is intended, not what was done: which of two names a database has, and which of three
//! places an entry is in, tells that better. So every step can be repeated, and there is no moment
//! between an effect and its record that matters. The one exception is [`Record::Reversed`]: behind it the new
//! state may be removed, and places tell no more.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::staging::Stage;
use crate::config::{Owner, write_private};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::bytes::ByteString;
use crate::format::manifest::{BackupId, Part};
use crate::format::sealed;
use crate::repository::identity::Worker;
use crate::target::swap::{Exchange, Leg};

/// The journal's name in its run's directory.
pub(super) const FILE: &str = "journal";
/// A journal of another version is not touched.
const VERSION: u32 = 1;

/// What a run is about; the first record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The journal's version.
    pub version: u32,
    /// The run's name, which is in the names of everything that it makes.
    pub run: String,
    /// What is brought back.
    pub purpose: Purpose,
    /// When it began.
    pub begun_at: DateTime<Utc>,
    /// Who began it, and in which process: `user@host (process 4711)`.
    pub by: String,
    /// The backup of the state before, where one was taken.
    pub safety_backup: Option<BackupId>,
    /// The databases, unless they are left out.
    pub database: Option<DatabaseNames>,
    /// The directories.
    pub files: Vec<Stage>,
}

impl Header {
    /// For a run that begins now, in this process.
    pub fn new(
        run: &str,
        purpose: Purpose,
        safety_backup: Option<BackupId>,
        database: Option<DatabaseNames>,
        files: Vec<Stage>,
    ) -> Self {
        let worker = Worker::this();
        Self {
            version: VERSION,
            run: run.to_owned(),
            purpose,
            begun_at: Utc::now(),
            by: format!("{} (process {})", worker.name(), worker.pid),
            safety_backup,
            database,
            files,
        }
    }
}

/// What a run brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Purpose {
    /// The state of a backup.
    Restore {
        /// The backup.
        backup: BackupId,
    },
    /// The state before another run.
    Undo {
        /// That run.
        of: String,
    },
}

impl Purpose {
    /// What it is called, for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Restore { .. } => "restore",
            Self::Undo { .. } => "undo",
        }
    }
}

/// The three names that two databases share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseNames {
    /// The instance's.
    pub live: String,
    /// That of the one to come, until it is live.
    pub new: String,
    /// That of the one before, from then on.
    pub old: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first one.
    Begun(Header),
    /// The application is about to be stopped before anything else changes.
    Stopping {
        /// Whether it ran.
        application_ran: bool,
    },
    /// The old state is about to be deleted, for want of room: there is no way back but its backup.
    Deleting,
    /// Everything new is complete and verified. From here on live things change.
    Swapping {
        /// The live database, by the number that a change of name leaves.
        live_database: Option<u32>,
        /// Whether it took connections.
        live_is_open: bool,
        /// The new one.
        new_database: Option<u32>,
        /// Whether the application ran.
        application_ran: bool,
    },
    /// What changes places in each of the directories.
    Surveyed {
        /// As the header's files.
        exchanges: Vec<Exchange>,
    },
    /// An entry is about to be copied, because the kernel cannot rename it.
    Copying {
        /// Of which part.
        part: Part,
        /// The entry.
        path: ByteString,
        /// From where to where.
        leg: Leg,
    },
    /// The application is about to run on the new state.
    Starting,
    /// The new state is the instance's.
    Committed,
    /// The state before is being put back.
    Reversing {
        /// For people.
        because: String,
    },
    /// All of the state before is in its place again. From here on things of the new one may go, whose places tell
    /// no more what was done.
    Reversed,
    /// Nothing is left to do.
    Finished {
        /// What came of it.
        outcome: Outcome,
        /// When.
        at: DateTime<Utc>,
    },
    /// Afterwards: what the state that is kept had beyond the safety backup is in another one.
    Saved {
        /// That backup.
        backup: BackupId,
    },
    /// Afterwards: the state that is kept is being removed.
    Expiring,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The new state is live, the state before is kept.
    Done,
    /// The state before is live again.
    PutBack {
        /// For people.
        because: String,
        /// Whether something of the new state is still there, because it could not be removed.
        kept: bool,
    },
    /// It was broken off before anything live was touched.
    Cleared,
    /// The old state had been deleted for want of room, and the new one is not live.
    Lost {
        /// For people.
        because: String,
    },
}

/// A journal, open for more records.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    file: File,
    records: Vec<Record>,
    /// Where the next record goes: what a crash cut short is behind it.
    end: u64,
}

impl Journal {
    /// Begins a run in `directory`, which is there and belongs to `owner`.
    pub fn begin(directory: &Path, header: Header, owner: Owner) -> Result<Self> {
        let path = directory.join(FILE);
        write_private(&path, &sealed::seal(&Record::Begun(header))?, owner)?;
        Self::open(directory)
    }

    /// The journal in `directory`. `NotFound` where there is none, `Damaged` where not even its header can
    /// be read, `Incompatible` where a newer program wrote it.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let context = || format!("cannot read the journal `{}`", path.display());
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .io_context(context)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).io_context(context)?;
        let (records, end) = parse(&bytes);
        let journal = Self {
            directory: directory.to_owned(),
            file,
            records,
            end,
        };
        let version = journal.header().map_err(|error| {
            error.context(context()).hint(
                "The file was damaged. See docs/restore.md for putting things in order by hand.",
            )
        })?;
        if version.version != VERSION {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!("{}: its version is {}", context(), version.version),
            )
            .hint("Use the obbackup that began this restore, or a newer one."));
        }
        Ok(journal)
    }

    /// Every run's directory under `own`, the oldest first.
    pub fn runs(own: &Path) -> Result<Vec<PathBuf>> {
        let context = || format!("cannot list `{}`", own.display());
        let entries = match fs::read_dir(own) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(context(), error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.io_context(context)?.path();
            if path.join(FILE).symlink_metadata().is_ok() {
                found.push(path);
            }
        }
        // Their names begin with the time.
        found.sort();
        Ok(found)
    }

    /// The run's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the run is about.
    pub fn header(&self) -> Result<&Header> {
        match self.records.first() {
            Some(Record::Begun(header)) => Ok(header),
            _ => Err(Error::new(ErrorKind::Damaged, "it has no header")),
        }
    }

    /// What the run is called, for people.
    pub(super) fn word(&self) -> &'static str {
        self.header()
            .map_or("restore", |header| header.purpose.word())
    }

    /// Every record.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How the run ended, once it did.
    pub fn outcome(&self) -> Option<(&Outcome, DateTime<Utc>)> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Finished { outcome, at } => Some((outcome, *at)),
            _ => None,
        })
    }

    /// What changes places in each of the directories, once that was found out.
    pub fn exchanges(&self) -> &[Exchange] {
        self.records
            .iter()
            .find_map(|record| match record {
                Record::Surveyed { exchanges } => Some(exchanges.as_slice()),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// The last leg on which an entry was copied.
    pub fn copied(&self, of: Part, entry: &ByteString) -> Option<Leg> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Copying { part, path, leg } if *part == of && path == entry => Some(*leg),
            _ => None,
        })
    }

    /// Why the state before is being put back, once it is.
    pub fn reversing(&self) -> Option<&str> {
        self.records.iter().find_map(|record| match record {
            Record::Reversing { because } => Some(because.as_str()),
            _ => None,
        })
    }

    /// Whether a record like this one was written.
    pub fn has(&self, record: &Record) -> bool {
        self.records.contains(record)
    }

    /// Adds a record; it is on the device when this returns.
    pub fn append(&mut self, record: Record) -> Result<()> {
        let line = sealed::seal(&record)?;
        let length = line.len() as u64;
        self.file
            .set_len(self.end)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.end)))
            .and_then(|_| self.file.write_all(&line))
            .and_then(|()| self.file.sync_data())
            .io_context(|| format!("cannot write the journal in `{}`", self.directory.display()))?;
        self.end += length;
        self.records.push(record);
        Ok(())
    }
}

/// The records up to the first line that is not whole, and where that begins.
fn parse(bytes: &[u8]) -> (Vec<Record>, u64) {
    let mut records = Vec::new();
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Ok(record) = sealed::unseal(line) else {
            break;
        };
        records.push(record);
        end += line.len() as u64;
    }
    (records, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let of = "restore-w".to_owned();
        Header::new("restore-x", Purpose::Undo { of }, None, None, Vec::new())
    }

    #[test]
    fn a_line_that_was_cut_short_does_not_count_and_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::of(directory.path()).unwrap();
        let mut journal = Journal::begin(directory.path(), header(), owner).unwrap();
        journal.append(Record::Starting).unwrap();
        journal.append(Record::Committed).unwrap();
        let file = directory.path().join(FILE);
        let whole = fs::read(&file).unwrap();
        let second = journal.records().len();
        let header_bytes = sealed::seal(&journal.records()[0]).unwrap().len();
        for length in header_bytes..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            let mut cut = Journal::open(directory.path()).unwrap();
            assert!(cut.records().len() < second);
            assert!(!cut.has(&Record::Committed));
            let because = "x".to_owned();
            cut.append(Record::Reversing { because }).unwrap();
            let again = Journal::open(directory.path()).unwrap();
            assert_eq!(again.records(), cut.records());
            assert_eq!(again.reversing(), Some("x"));
        }
        for length in 0..header_bytes {
            fs::write(&file, &whole[..length]).unwrap();
            let error = Journal::open(directory.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{length}");
        }
    }

    #[test]
    fn runs_are_found_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::of(directory.path()).unwrap();
        for run in ["restore-2", "restore-1"] {
            fs::create_dir(directory.path().join(run)).unwrap();
            Journal::begin(&directory.path().join(run), header(), owner).unwrap();
        }
        fs::create_dir(directory.path().join("restore-0")).unwrap();
        let runs = Journal::runs(directory.path()).unwrap();
        let names: Vec<_> = runs.iter().map(|run| run.file_name().unwrap()).collect();
        assert_eq!(names, ["restore-1", "restore-2"]);
        assert!(Journal::runs(Path::new("/nowhere")).unwrap().is_empty());
    }
}
