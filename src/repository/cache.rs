//! What never changes and every command reads — header, indexes, manifests, marks, records — kept on this machine
//! for a repository that is far away.
//!
//! Indexes and manifests are named by their content, and header, marks and records end in a checksum of themselves:
//! whatever lies in the cache proves itself each time it is read, and what does not is fetched again. So the cache
//! can be deleted, cut short or damaged at any time, and shared by several processes without a lock.
//!
//! The listing always comes from the storage: a backup that is gone there is not shown.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::format::id::Digest256;
use crate::format::record::{Condemnation, Mark, Run};
use crate::format::{path, sealed};
use crate::storage::{Object, Storage};

/// What is kept besides the header.
const ROOMS: [&str; 5] = [
    path::BACKUPS,
    path::CONDEMNED,
    path::INDEXES,
    path::MARKS,
    path::RUNS,
];

/// A storage whose metadata is kept on this machine too.
pub struct Cached {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    /// Whether the header in use is known to be that of the storage.
    header_is_fresh: AtomicBool,
}

impl Cached {
    /// Keeps what `storage` gives below `root`, in a directory of its own for each `name`.
    pub fn new(storage: Arc<dyn Storage>, root: &Path, name: &str) -> Self {
        let digest = Digest256::of(name.as_bytes()).to_hex();
        Self {
            storage,
            directory: root.join(&digest[..16]),
            header_is_fresh: AtomicBool::new(true),
        }
    }

    fn file(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    fn held(&self, path: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.file(path)).ok()?;
        proves_itself(path, &bytes).then_some(bytes)
    }

    /// Keeps a copy. Nothing depends on it, so that nothing is said when it cannot be kept.
    fn hold(&self, path: &str, bytes: &[u8]) {
        if !proves_itself(path, bytes) {
            return;
        }
        let file = self.file(path);
        let Some(directory) = file.parent() else {
            return;
        };
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        let _ = made.and_then(|()| {
            // In one step: another process may be reading.
            let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
            temporary.write_all(bytes)?;
            temporary.persist(&file)?;
            Ok(())
        });
    }

    fn drop_copy(&self, path: &str) {
        let _ = fs::remove_file(self.file(path));
    }

    /// Drops the copies of what the storage does not list any more.
    fn forget_absent(&self, room: &str, listed: &[Object]) {
        let present: HashSet<&str> = listed.iter().map(|object| object.path.as_str()).collect();
        let mut open = vec![room.to_owned()];
        while let Some(below) = open.pop() {
            let Ok(entries) = fs::read_dir(self.directory.join(&below)) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                // A dot begins what another process is just writing.
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                    continue;
                };
                let path = format!("{below}{name}");
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(format!("{path}/"));
                } else if !present.contains(path.as_str()) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// Before anything is changed: the repository must still be the one whose header is in use.
    fn prove_header(&self) -> Result<()> {
        if self.header_is_fresh.load(Ordering::SeqCst) {
            return Ok(());
        }
        let fresh = self.storage.read(path::HEADER);
        let same = match &fresh {
            Ok(bytes) => self.held(path::HEADER).as_ref() == Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error.duplicate()),
        };
        if same {
            self.header_is_fresh.store(true, Ordering::SeqCst);
            return Ok(());
        }
        self.drop_copy(path::HEADER);
        Err(Error::new(
            ErrorKind::Failure,
            format!(
                "`{}` is not the repository that it was: it was removed or made anew",
                self.storage.location()
            ),
        )
        .hint("Run the command again: it looks at what is there now."))
    }
}

/// Whether the bytes are those that the path promises; only such objects are kept.
fn proves_itself(path: &str, bytes: &[u8]) -> bool {
    if path == path::HEADER {
        return sealed::unseal::<serde::de::IgnoredAny>(bytes).is_ok();
    }
    if let Some(id) = path::parse_index(path).or_else(|| Some(path::parse_manifest(path)?.1)) {
        return Digest256::of(bytes) == id;
    }
    own_path(path, bytes).is_some_and(|own| own == path)
}

/// The path that a record gives itself.
fn own_path(path: &str, bytes: &[u8]) -> Option<String> {
    let (room, _) = path.split_once('/')?;
    match &path[..=room.len()] {
        path::MARKS => {
            let mark: Mark = sealed::unseal(bytes).ok()?;
            Some(path::mark(&mark.backup, mark.kind.word(), mark.at))
        }
        path::RUNS => {
            let run: Run = sealed::unseal(bytes).ok()?;
            Some(path::run(run.started_at, &run.id))
        }
        path::CONDEMNED => {
            let list: Condemnation = sealed::unseal(bytes).ok()?;
            Some(path::condemnation(list.at, &list.id))
        }
        _ => None,
    }
}

impl Storage for Cached {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.prove_header()?;
        self.storage.create(path, bytes)?;
        self.hold(path, bytes);
        Ok(())
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.prove_header()?;
        self.drop_copy(path);
        self.storage.replace(path, bytes)?;
        self.hold(path, bytes);
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        if let Some(bytes) = self.held(path) {
            if path == path::HEADER {
                self.header_is_fresh.store(false, Ordering::SeqCst);
            }
            return Ok(bytes);
        }
        let bytes = self.storage.read(path)?;
        self.hold(path, &bytes);
        Ok(bytes)
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.storage.read_range(path, range)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let listed = self.storage.list(prefix)?;
        if ROOMS.contains(&prefix) {
            self.forget_absent(prefix, &listed);
        }
        Ok(listed)
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        let listed = self.storage.list_between(after, before)?;
        let whole = |room: &&str| *after < **room && *path::end(room) <= *before;
        for room in ROOMS.into_iter().filter(whole) {
            self.forget_absent(room, &listed);
        }
        Ok(listed)
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.prove_header()?;
        self.drop_copy(path);
        self.storage.delete(path)
    }

    fn wrapped(&self) -> Option<&dyn Storage> {
        Some(&*self.storage)
    }

    fn confirm(&self) -> Result<()> {
        self.prove_header()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Compression;
    use crate::format::record::LeaseMode;
    use crate::repository::Repository;
    use crate::repository::backups::tests::manifest;
    use crate::storage::faulty::{Fault, Faulty, Operations};
    use crate::storage::memory::Memory;

    fn counted(storage: Arc<dyn Storage>, root: &Path) -> (Repository, Arc<Faulty>) {
        let faulty = Arc::new(Faulty::at(storage, Operations::All, u64::MAX, Fault::Flip));
        let cached = Cached::new(faulty.clone(), root, "name");
        (Repository::open(Arc::new(cached)).unwrap(), faulty)
    }

    #[test]
    fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory::default());
        crate::storage::contract::holds(&Cached::new(memory, directory.path(), "name"));
    }

    #[test]
    fn a_warm_list_of_a_thousand_backups_is_one_request_and_each_new_one_one_more() {
        let directory = tempfile::tempdir().unwrap();
        let memory: Arc<dyn Storage> = Arc::new(Memory::far());
        let far = Repository::init(memory.clone(), Compression::Zstd).unwrap();
        let lock = far.lock(LeaseMode::Write, "one", "backup").unwrap();
        for second in 0..1000 {
            far.commit(&manifest("one", 1_000_000 + second), &lock)
                .unwrap();
        }
        let (repository, requests) = counted(memory.clone(), directory.path());
        assert_eq!(repository.backups().unwrap().backups.len(), 1000);
        assert_eq!(requests.count(), 1 + 1 + 1000);
        let began = std::time::Instant::now();
        let (repository, requests) = counted(memory.clone(), directory.path());
        assert_eq!(repository.backups().unwrap().backups.len(), 1000);
        assert_eq!(requests.count(), 1);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        let new = far.commit(&manifest("one", 2_000_000), &lock).unwrap();
        let (repository, requests) = counted(memory.clone(), directory.path());
        assert_eq!(repository.backups().unwrap().backups[0].id, new);
        assert_eq!(requests.count(), 2);
        // What is gone there is gone here, and its copy too.
        let backup = far.resolve(&new.to_hex(), None).unwrap();
        far.delete_backup(&backup, &lock).unwrap();
        let (repository, _) = counted(memory.clone(), directory.path());
        assert_eq!(repository.backups().unwrap().backups.len(), 1000);
        let copies = directory
            .path()
            .read_dir()
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(
            copies.path().join("backups").read_dir().unwrap().count(),
            1000
        );
    }

    #[test]
    fn damaged_copies_are_fetched_again() {
        let directory = tempfile::tempdir().unwrap();
        let memory: Arc<dyn Storage> = Arc::new(Memory::default());
        let far = Repository::init(memory.clone(), Compression::Zstd).unwrap();
        let lock = far.lock(LeaseMode::Write, "one", "backup").unwrap();
        let id = far.commit(&manifest("one", 1_000_000), &lock).unwrap();
        counted(memory.clone(), directory.path())
            .0
            .backups()
            .unwrap();
        let mut open = vec![directory.path().to_owned()];
        while let Some(place) = open.pop() {
            for entry in place.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    fs::write(path, b"{}").unwrap();
                }
            }
        }
        let (repository, _) = counted(memory, directory.path());
        assert_eq!(repository.backups().unwrap().backups[0].id, id);
        assert_eq!(repository.header(), far.header());
    }

    #[test]
    fn nothing_is_written_into_a_repository_that_was_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let memory: Arc<dyn Storage> = Arc::new(Memory::default());
        Repository::init(memory.clone(), Compression::Zstd).unwrap();
        counted(memory.clone(), directory.path());
        memory.delete(path::HEADER).unwrap();
        let anew = Repository::init(memory.clone(), Compression::Gzip).unwrap();
        let (old, _) = counted(memory.clone(), directory.path());
        let refused = old.lock(LeaseMode::Write, "one", "backup").err().unwrap();
        assert!(refused.to_string().contains("made anew"), "{refused}");
        let (now, _) = counted(memory, directory.path());
        assert_eq!(now.header(), anew.header());
        now.lock(LeaseMode::Write, "one", "backup").unwrap();
    }
}
