//! Gathering what a backup holds.
//!
//! The order decides what a backup is worth. Attachments are walked, then the database's snapshot is taken,
//! then attachments are walked again and both passes kept: so each file that a row of the snapshot names
//! is in the backup, whether it was deleted just after the first walk or added just before the snapshot.
//! The database follows at once, so that its snapshot is held as briefly as possible; then everything else.

use std::os::unix::fs::MetadataExt;

use super::attachments::{missing_files, named_files};
use super::backup::BackupOptions;
use super::contents::file_entries;
use super::database::{Connection, check_status};
use super::throttle::Throttled;
use crate::chunk::{ChunkSink as _, ChunkSource as _, ChunkWriter};
use crate::error::Result;
use crate::format::catalog::write_entry;
use crate::format::file::FileEntry;
use crate::format::manifest::{Catalog, DatabasePart, FilesPart, InstanceIdentity, Part};
use crate::instance::{FileRoot, Instance};
use crate::progress::Progress;
use crate::repository::backups::Backup;
use crate::repository::reader::Reader;
use crate::repository::writer::Writer;
use crate::source::database::DatabaseSource;
use crate::source::files::{self, CaptureOptions, Exclusions, FilesCapture, Parent, paths_present};

/// How often a snapshot is taken until one names no attachment that came and went between the passes around it.
const SNAPSHOT_ATTEMPTS: u32 = 3;

/// A backup being gathered.
pub(super) struct Capture<'a> {
    pub(super) instance: &'a Instance,
    pub(super) options: &'a BackupOptions,
    /// Threads that read.
    pub(super) jobs: usize,
    pub(super) progress: &'a dyn Progress,
    pub(super) parent: Option<&'a Backup>,
    pub(super) reader: &'a Reader,
    pub(super) sink: &'a Throttled<'a, Writer>,
    pub(super) files: Vec<FilesPart>,
    pub(super) files_read: u64,
    pub(super) warnings: Vec<String>,
    pub(super) partial: bool,
}

impl Capture<'_> {
    pub(super) fn database_and_attachments(
        &mut self,
        connection: &Connection,
        attachments: Option<&FileRoot>,
        identity: &mut InstanceIdentity,
    ) -> Result<DatabasePart> {
        let progress = self.progress;
        let Some(root) = attachments else {
            progress.stage("snapshot", None);
            let mut source = connection.open()?;
            let warning = self.facts(&mut source, identity)?;
            self.warnings.extend(warning);
            return source.capture(self.sink, progress);
        };
        let before = named_files(&connection.application)?;
        progress.stage("attachments", self.expected_bytes(root.part));
        let parent = self.parent_entries(root.part);
        let options = self.capture_options(false);
        let rules = exclusions(root);
        let (first, mut entries) =
            files::capture_aside(&root.root, &rules, parent, options, self.sink, progress)?;
        // What the first pass could not read, the second did not find readable either, or it says so.
        self.files_read += first.files_read;
        let mut attempt = 1;
        let (mut source, captured) = loop {
            progress.stage("snapshot", None);
            let mut source = connection.open()?;
            let warning = self.facts(&mut source, identity)?;
            progress.stage("attachments, second pass", Some(first.bytes));
            let parent: Parent<'_> = Box::new(entries.entries()?);
            let options = self.capture_options(true);
            let (captured, mut both) = files::capture_aside(
                &root.root,
                &rules,
                Some(parent),
                options,
                self.sink,
                progress,
            )?;
            let present = paths_present(both.entries()?)?;
            let missing = missing_files(&mut source, &present, &before)?;
            entries = both;
            // What came and went between the passes is named by this snapshot, and not by a later one.
            if missing.is_partial() && attempt < SNAPSHOT_ATTEMPTS {
                attempt += 1;
                self.files_read += captured.files_read;
                continue;
            }
            self.partial |= missing.is_partial();
            self.warnings.extend(warning);
            self.warnings.extend(missing.warnings());
            break (source, captured);
        };
        let catalog = self.write_catalog(entries.entries()?)?;
        self.add(root, FilesCapture { captured, catalog });
        source.capture(self.sink, progress)
    }

    /// What the snapshot tells of the instance; a warning about its status.
    fn facts(
        &self,
        source: &mut DatabaseSource,
        identity: &mut InstanceIdentity,
    ) -> Result<Option<String>> {
        let facts = source.openbravo_facts()?;
        let warning = check_status(self.instance, facts.system_status.as_deref())?;
        identity.modules = facts.modules;
        if facts.openbravo_version.is_some() {
            identity.openbravo_version = facts.openbravo_version;
        }
        Ok(warning)
    }

    /// One directory, in one pass.
    pub(super) fn part(&mut self, root: &FileRoot) -> Result<()> {
        let progress = self.progress;
        progress.stage(root.part.word(), self.expected_bytes(root.part));
        let captured = files::capture(
            &root.root,
            &exclusions(root),
            self.parent_entries(root.part),
            self.capture_options(false),
            self.sink,
            progress,
        )?;
        self.add(root, captured);
        Ok(())
    }

    fn add(&mut self, root: &FileRoot, capture: FilesCapture) {
        self.files.push(capture.to_part(root.part, &root.written));
        self.files_read += capture.captured.files_read;
        self.warnings.extend(capture.captured.warnings);
        self.partial |= capture.captured.partial;
    }

    fn write_catalog(&self, entries: impl Iterator<Item = Result<FileEntry>>) -> Result<Catalog> {
        let mut out = ChunkWriter::new(self.sink, self.sink.chunkers().metadata);
        let mut count = 0;
        for entry in entries {
            write_entry(&mut out, &entry?)?;
            count += 1;
        }
        let (chunks, bytes) = out.finish()?;
        Ok(Catalog {
            entries: count,
            bytes,
            chunks,
        })
    }

    /// As many bytes as the parent backup's part had: the best guess at the work ahead.
    fn expected_bytes(&self, part: Part) -> Option<u64> {
        Some(self.parent?.manifest.files_part(part)?.bytes)
    }

    /// What the parent backup knows of a part. Where its catalog is damaged, files are read again.
    fn parent_entries(&self, part: Part) -> Option<Parent<'_>> {
        let files = self.parent?.manifest.files_part(part)?;
        let readable = files
            .catalog
            .chunks
            .iter()
            .all(|id| self.reader.get(id).is_ok());
        readable.then(|| Box::new(file_entries(self.reader, files)) as Parent<'_>)
    }

    fn capture_options(&self, keep_vanished: bool) -> CaptureOptions {
        CaptureOptions {
            keep_vanished,
            // In a second pass the first has read everything just before.
            reread_all: self.options.read_all && !keep_vanished,
            jobs: self.jobs,
        }
    }
}

/// What is left out of a directory: what a build makes, other parts, and what restores keep there.
fn exclusions(root: &FileRoot) -> Exclusions {
    let rules = match root.part {
        Part::Sources => Exclusions::sources(),
        _ => Exclusions::none(),
    };
    let own = root.root.join(super::OWN_DIRECTORY);
    root.excluded
        .iter()
        .chain([&own])
        .filter_map(|path| path.symlink_metadata().ok())
        .fold(rules, |rules, metadata| {
            rules.and_directory((metadata.dev(), metadata.ino()))
        })
}
