//! The DDL, by `pg_dump` under our snapshot.

use std::io::{Read, Write};
use std::path::Path;

use crate::chunk::{ChunkSink, ChunkWriter};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::database::DatabaseEntry;
use crate::postgresql::address::DatabaseAddress;
use crate::postgresql::child::Child;
use crate::postgresql::programs::Program;
use crate::postgresql::watch::Watch;
use crate::progress::Progress;

const SECTIONS: [&str; 2] = ["pre-data", "post-data"];

/// The archive begins with the time: alone in a chunk, it leaves the others as they were.
const HEAD_BYTES: u64 = 64;

/// A `pg_dump` that holds its locks and waits for somebody to read what it writes.
pub(super) struct DdlDump {
    child: Child,
    /// Like `server_version_num`.
    pub client_version: u32,
}

impl DdlDump {
    /// Started as soon as the snapshot is there: the later it takes its locks, the longer somebody
    /// else's exclusive one can get between.
    pub fn start(
        program: &Program,
        address: &DatabaseAddress,
        snapshot: &str,
        encoding: &str,
        lock_timeout_seconds: u32,
        work_directory: &Path,
    ) -> Result<Self> {
        let mut arguments = vec![
            "--format=custom".to_owned(),
            "--compress=0".to_owned(),
            // Large objects are captured by ourselves; under this name every version knows it.
            "-B".to_owned(),
            format!("--snapshot={snapshot}"),
            format!(
                "--lock-wait-timeout={}",
                u64::from(lock_timeout_seconds) * 1000
            ),
        ];
        arguments.extend(SECTIONS.map(|section| format!("--section={section}")));
        // Names can be shown and compared then. SQL_ASCII cannot be converted.
        if encoding != "SQL_ASCII" {
            arguments.push("--encoding=UTF8".to_owned());
        }
        let child = Child::start(program, &arguments, address, "", work_directory)?;
        Ok(Self {
            child,
            client_version: program.version,
        })
    }

    /// Reads the archive to its end.
    pub fn capture<S: ChunkSink + ?Sized>(
        mut self,
        sink: &S,
        watch: &Watch<'_>,
    ) -> Result<DatabaseEntry> {
        let what = "cannot capture the definitions of the database";
        let group = self.child.group();
        if let Some(group) = group {
            watch.group(group);
        }
        let mut output = self
            .child
            .output()
            .ok_or_else(|| Error::new(ErrorKind::Failure, what))?;
        let mut head = Vec::new();
        let mut writer = ChunkWriter::new(sink, sink.chunkers().metadata);
        let copied = (&mut output)
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .and_then(|_| std::io::copy(&mut output, &mut writer))
            .and_then(|_| writer.flush())
            .io_context(|| what.to_owned());
        drop(output);
        let ended = self.child.wait();
        if let Some(group) = group {
            watch.forget_group(group);
        }
        copied?;
        let ended = ended?;
        if !ended.success {
            return Err(ended.error(what));
        }
        report(watch.progress(), ended.warnings());
        let mut chunks = vec![sink.put(&head)?];
        let (rest, bytes) = writer.finish()?;
        chunks.extend(rest);
        Ok(DatabaseEntry::Ddl {
            sections: SECTIONS.map(str::to_owned).to_vec(),
            bytes: head.len() as u64 + bytes,
            chunks,
        })
    }
}

fn report<'w>(progress: &dyn Progress, warnings: impl Iterator<Item = &'w str>) {
    for warning in warnings {
        progress.warn(warning);
    }
}
