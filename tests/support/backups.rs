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
use obbackup::repository::references::{Thing, for_each_piece};

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
    let lock = repository.lock(LeaseMode::Write, "instance", "backup")?;
    let started_at = Utc::now();
    let writer = repository.writer()?;
    let mut lines = Vec::new();
    let mut bytes = 0;
    let files = contents(seed);
    for (name, content) in &files {
        let mut out = ChunkWriter::new(&writer, writer.chunkers().data);
        out.write_all(content)
            .map_err(|error| Error::io("writing", error))?;
        let (chunks, size) = out.finish()?;
        bytes += size;
        let entry = FileEntry {
            path: name.as_str().into(),
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
        };
        catalog::write_entry(&mut lines, &entry)?;
    }
    let mut out = ChunkWriter::new(&writer, writer.chunkers().metadata);
    out.write_all(&lines)
        .map_err(|error| Error::io("writing", error))?;
    let (chunks, catalog_bytes) = out.finish()?;
    let written = writer.finish()?;
    let run = obbackup::format::id::random_id(8)?;
    let manifest = Manifest {
        format: 1,
        tool: "test".to_owned(),
        backup_type: BackupType::Manual,
        status: Status::Good,
        label: Some(format!("number {seed}")),
        pinned: false,
        started_at,
        finished_at: Utc::now(),
        parent: None,
        run: run.clone(),
        instance: InstanceIdentity {
            id: "instance".to_owned(),
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
            files: files.len() as u64,
            bytes,
            excluded: Vec::new(),
            catalog: Catalog {
                entries: files.len() as u64,
                bytes: catalog_bytes,
                chunks,
            },
        }],
        statistics: Statistics {
            files: files.len() as u64,
            files_bytes: bytes,
            new_bytes: written.new_bytes,
            stored_bytes: written.stored_bytes,
            ..Statistics::default()
        },
        warnings: Vec::new(),
        indexes: written.indexes,
    };
    let id = repository.commit(&manifest, &lock)?;
    repository.record(&Run {
        id: run,
        command: "backup".to_owned(),
        instance: "instance".to_owned(),
        backup_type: Some(BackupType::Manual),
        started_at,
        finished_at: Utc::now(),
        backup: Some(id),
        backup_finished_at: Some(manifest.finished_at),
        outcome: "ok".to_owned(),
        message: None,
    })?;
    Ok(id)
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
