//! Small backups made through the library alone, for tests of the repository.

use std::io::{Read, Write};
use std::sync::Arc;

use chrono::Utc;
use obbackup::chunk::{ChunkReader, ChunkSink, ChunkWriter};
use obbackup::error::{Error, Result};
use obbackup::format::catalog;
use obbackup::format::file::{Content, FileEntry, Node, Time};
use obbackup::format::id::ChunkId;
use obbackup::format::manifest::{
    BackupId, BackupType, Catalog, FilesPart, InstanceIdentity, Manifest, Part, Statistics, Status,
};
use obbackup::format::record::{LeaseMode, Run};
use obbackup::repository::Repository;
use obbackup::repository::glance::Rooms;
use obbackup::repository::lock::Lock;
use obbackup::repository::references::{Thing, for_each_piece};
use obbackup::repository::writer::Writer;

/// The files of the backup number `seed`: two thirds are shared with the neighbour numbers.
pub fn contents(seed: u64) -> Vec<(String, Vec<u8>)> {
    (seed..seed + 3)
        .map(|number| {
            let noise: Vec<u8> = (0..20_000_u64)
                .flat_map(|index| {
                    *ChunkId::of(&(number * 1_000_000 + index).to_le_bytes()).as_bytes()
                })
                .collect();
            (format!("file-{number:04}"), noise)
        })
        .collect()
}

/// Takes a backup of [`contents`] as the command does: lease, chunks, manifest, record.
pub fn take(repository: &Repository, seed: u64) -> Result<BackupId> {
    let (lock, seen) = begin(repository, "instance")?;
    let taking = Taking::begin(&seen, "instance", &contents(seed))?.finish()?;
    taking.commit(repository, &lock)
}

/// The lease, and the repository as the glance shows it that proved the lease.
pub fn begin(repository: &Repository, instance: &str) -> Result<(Lock, Repository)> {
    let before = repository.glance_to_write(Rooms::Small)?;
    before.lock_and_glance(LeaseMode::Write, instance, "backup", Rooms::WithPacks)
}

/// A file of these chunks.
pub fn file_of(name: &str, size: u64, chunks: Vec<ChunkId>) -> FileEntry {
    FileEntry {
        path: name.into(),
        node: Node::File(Content {
            size,
            chunks,
            ..Content::default()
        }),
        mode: 0o644,
        uid: 0,
        gid: 0,
        user: None,
        group: None,
        mtime: Time(0, 0),
        xattrs: std::collections::BTreeMap::default(),
        seen: None,
    }
}

/// A backup whose chunks are being stored.
pub struct Taking {
    writer: Writer,
    manifest: Manifest,
}

/// A backup whose chunks are stored, and that lacks its manifest.
pub struct Stored {
    manifest: Manifest,
}

impl Taking {
    /// Gives all of `files` to a writer.
    pub fn begin(
        repository: &Repository,
        instance: &str,
        files: &[(String, Vec<u8>)],
    ) -> Result<Self> {
        let writer = repository.writer()?;
        let mut entries = Vec::new();
        for (name, content) in files {
            let mut out = ChunkWriter::new(&writer, writer.chunkers().data);
            out.write_all(content)
                .map_err(|error| Error::io("writing", error))?;
            let (chunks, size) = out.finish()?;
            entries.push(file_of(name, size, chunks));
        }
        Self::of_entries(writer, instance, &entries)
    }

    /// Gives a writer the catalog alone: the chunks of its files are stored already.
    pub fn of_entries(writer: Writer, instance: &str, entries: &[FileEntry]) -> Result<Self> {
        let started_at = Utc::now();
        let mut out = ChunkWriter::new(&writer, writer.chunkers().metadata);
        let mut bytes = 0;
        for entry in entries {
            if let Node::File(content) = &entry.node {
                bytes += content.size;
            }
            catalog::write_entry(&mut out, entry)?;
        }
        let (chunks, catalog_bytes) = out.finish()?;
        let manifest = Manifest {
            format: 1,
            tool: "test".to_owned(),
            backup_type: BackupType::Manual,
            status: Status::Good,
            label: None,
            pinned: false,
            started_at,
            finished_at: Utc::now(),
            parent: None,
            run: obbackup::format::id::random_id(8)?,
            instance: InstanceIdentity {
                id: instance.to_owned(),
                name: "openbravo".to_owned(),
                host: "host".to_owned(),
                source_path: "/opt/openbravo".to_owned(),
                holder: None,
                openbravo_version: None,
                modules: Vec::new(),
            },
            database: None,
            files: vec![FilesPart {
                part: Part::Sources,
                root: "/opt/openbravo".into(),
                files: entries.len() as u64,
                bytes,
                excluded: Vec::new(),
                catalog: Catalog {
                    entries: entries.len() as u64,
                    bytes: catalog_bytes,
                    chunks,
                },
            }],
            statistics: Statistics {
                files: entries.len() as u64,
                files_bytes: bytes,
                ..Statistics::default()
            },
            warnings: Vec::new(),
            indexes: Vec::new(),
        };
        Ok(Self { writer, manifest })
    }

    /// Makes what was given durable.
    pub fn finish(self) -> Result<Stored> {
        let written = self.writer.finish()?;
        let mut manifest = self.manifest;
        manifest.statistics.new_bytes = written.new_bytes;
        manifest.statistics.stored_bytes = written.stored_bytes;
        manifest.indexes = written.indexes;
        Ok(Stored { manifest })
    }
}

impl Stored {
    /// Makes the backup exist, and records its run.
    pub fn commit(mut self, repository: &Repository, lock: &Lock) -> Result<BackupId> {
        self.manifest.finished_at = Utc::now();
        let manifest = &self.manifest;
        let id = repository.commit(manifest, lock)?;
        let (run, instance) = (manifest.run.clone(), &manifest.instance);
        repository.record(&Run {
            backup_type: Some(BackupType::Manual),
            backup: Some(id),
            backup_finished_at: Some(manifest.finished_at),
            ..Run::ended(
                run,
                "backup",
                &instance.id,
                &instance.host,
                manifest.started_at,
            )
        })?;
        Ok(id)
    }
}

/// Every file of the backup as it comes back, or the first error.
pub fn read_back(repository: &Repository, id: &BackupId) -> Result<Vec<(String, Vec<u8>)>> {
    let backup = repository.resolve(&id.to_hex(), None)?;
    let reader = repository.reader()?;
    let mut files = Vec::new();
    let failure = std::cell::RefCell::new(None);
    for_each_piece(
        &backup.manifest,
        &reader,
        &mut |piece| {
            if let Thing::File(_, entry) = piece.thing {
                let mut content = Vec::new();
                match ChunkReader::new(&reader, piece.chunks).read_to_end(&mut content) {
                    Ok(_) => files.push((entry.path.to_string(), content)),
                    Err(error) => {
                        failure
                            .borrow_mut()
                            .get_or_insert(Error::io("reading", error));
                    }
                }
            }
        },
        &mut |_, error| {
            failure.borrow_mut().get_or_insert(error);
        },
    );
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(files),
    }
}

/// A repository in a directory.
pub fn repository(directory: &std::path::Path) -> Result<Repository> {
    Repository::open(Arc::new(obbackup::storage::local::Local::new(directory)))
}
