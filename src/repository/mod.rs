//! A repository: the place that holds backups, on any storage.
//!
//! # Order
//!
//! Objects are written packs → index → manifest, each durable before the next, and removed in the
//! opposite order. So whatever is there points only to what is there too, whenever a writer dies: a
//! backup exists from the moment its manifest does.

mod ahead;
pub mod backups;
pub mod cache;
pub mod chunk_set;
pub mod chunks;
pub mod condemned;
mod fetch;
pub mod glance;
pub mod identity;
pub mod interruption;
pub mod lock;
pub mod pins;
pub mod prune;
pub mod reader;
pub mod references;
pub mod retention;
pub mod survey;
pub mod tenure;
pub mod verify;
pub mod writer;

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;

use crate::codec::Compression;
use crate::config::{Owner, RepositorySection};
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::{Chunkers, Header};
use crate::format::sealed;
use crate::format::{self, path};
use crate::progress::Progress;
use crate::storage::interruption::until_stopped;
use crate::storage::{self, Storage};

/// Features of the format that this program knows. None are in use yet.
const FEATURES: &[&str] = &[];

/// What stands in the header of every format version; the rest may have another shape in a newer one.
#[derive(serde::Deserialize)]
struct Version {
    format: u32,
    #[serde(default)]
    features: Vec<String>,
}

/// An opened repository; cheap to clone.
#[derive(Clone)]
pub struct Repository {
    storage: Arc<dyn Storage>,
    header: Header,
    /// What a listing showed, where this is the repository as it was then.
    glance: Option<Arc<glance::Glance>>,
}

impl Repository {
    /// Makes a repository of an empty place. `AlreadyExists` where one is, or where anything else lies.
    ///
    /// A place with a repository's objects whose header was lost becomes a repository again. `Incompatible` where the
    /// storage overwrites what is there though it is asked not to.
    pub fn init(storage: Arc<dyn Storage>, compression: Compression) -> Result<Self> {
        let location = storage.location();
        let objects = storage.list("")?;
        if objects.iter().any(|object| object.path == path::HEADER) {
            Self::open(storage)?;
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("`{location}` is a repository already"),
            )
            .hint(
                "Where the configuration names it, use it as it is. Else share it: `obbackup init --share`; or go on with \
                 its backups: `obbackup init --take-over`.",
            ));
        }
        let rooms = [
            path::PACKS,
            path::INDEXES,
            path::BACKUPS,
            path::MARKS,
            path::RUNS,
            path::LOCKS,
            path::CONDEMNED,
            path::TRIALS,
        ];
        let stranger = objects
            .iter()
            .find(|object| !rooms.iter().any(|room| object.path.starts_with(room)));
        if let Some(object) = stranger {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("`{location}` is not empty: it holds `{}`", object.path),
            )
            .hint("Name an empty or a new directory."));
        }
        if storage.is_remote() {
            prove_create_once(&*storage)?;
        }
        let header = Header {
            format: format::VERSION,
            id: format::id::random_id(16)?,
            created_at: Utc::now(),
            features: Vec::new(),
            chunker: Chunkers::default(),
            compression,
        };
        storage.create(path::HEADER, &sealed::seal(&header)?)?;
        Self::open(storage)
    }

    /// Opens the repository that a section of the configuration names, in what [`Self::storage_at`] gives.
    pub fn at(
        section: &RepositorySection,
        owner: Option<Owner>,
        cache: Option<&Path>,
    ) -> Result<Self> {
        Self::open(Self::storage_at(section, owner, cache)?)
    }

    /// The same, where somebody may want to stop.
    pub fn at_until_stopped(
        section: &RepositorySection,
        owner: Option<Owner>,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let storage = Self::storage_at(section, owner, cache)?;
        until_stopped(&*storage.clone(), progress, || Self::open(storage))
    }

    /// The storage of the repository that a section of the configuration names, which is asked nothing yet. What is
    /// made there belongs to `owner`; what never changes is kept below `cache` too, where the repository is far away.
    pub fn storage_at(
        section: &RepositorySection,
        owner: Option<Owner>,
        cache: Option<&Path>,
    ) -> Result<Arc<dyn Storage>> {
        let storage = storage::open(section, owner)?;
        Ok(match cache.filter(|_| storage.is_remote()) {
            Some(root) => {
                let endpoint = section.endpoint.as_deref().unwrap_or_default();
                let name = format!("{} {endpoint}", storage.location());
                Arc::new(cache::Cached::new(storage, root, &name))
            }
            None => storage,
        })
    }

    /// Opens the repository. `NotFound` where there is none, `Damaged` where its header is,
    /// `Incompatible` where it needs a newer program.
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self> {
        let location = storage.location();
        let damaged = |error: Error| {
            error.context(format!("`{}` of `{location}` is damaged", path::HEADER)).hint(format!(
                "The backups are not lost with it: move that file away and run `obbackup init --repository {location}`."
            ))
        };
        let read = fetch::proven(&*storage, || {
            let bytes = storage.read(path::HEADER)?;
            sealed::unseal::<serde::de::IgnoredAny>(&bytes).map(|_| bytes)
        });
        let absent = || {
            let what = if storage.is_there()? {
                format!(
                    "`{location}` is not a repository: it has no `{}`",
                    path::HEADER
                )
            } else {
                format!("there is no directory `{location}`")
            };
            Err(Error::new(ErrorKind::NotFound, what).hint(format!(
                "Check that its device is mounted; for a new repository run `obbackup init --repository {location}`."
            )))
        };
        let bytes = read.or_else(|error| match error.kind() {
            ErrorKind::NotFound => absent(),
            ErrorKind::Damaged => Err(damaged(error)),
            _ => Err(error),
        })?;
        let version: Version = sealed::unseal(&bytes).map_err(damaged)?;
        let unknown: Vec<_> = version
            .features
            .iter()
            .filter(|feature| !FEATURES.contains(&feature.as_str()))
            .map(String::as_str)
            .collect();
        if version.format > format::VERSION || !unknown.is_empty() {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!(
                    "the repository `{location}` has format version {}{}; this program reads version {}",
                    version.format,
                    if unknown.is_empty() {
                        String::new()
                    } else {
                        format!(" with {}", unknown.join(", "))
                    },
                    format::VERSION
                ),
            )
            .hint("Use the obbackup that wrote it, or a newer one."));
        }
        let header = sealed::unseal(&bytes).map_err(damaged)?;
        Ok(Self {
            storage,
            header,
            glance: None,
        })
    }

    /// `Incompatible` where the storage overwrites what is there though it is asked not to; for whoever is about to write
    /// there first from this machine.
    pub fn prove_create_once(&self) -> Result<()> {
        if self.storage.is_remote() {
            prove_create_once(&*self.storage)?;
        }
        Ok(())
    }

    /// Where its objects lie.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// What was fixed when it was made.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

/// Nothing rests on it, as no two objects have the same name by plan. It keeps an accident from becoming a loss, so
/// that a server which only seems to heed it is named before there is a backup.
fn prove_create_once(storage: &dyn Storage) -> Result<()> {
    let path = format!("{}{}", path::TRIALS, format::id::random_id(8)?);
    storage.create(&path, b"obbackup tries whether this is overwritten\n")?;
    let again = storage.create(&path, b"it was\n");
    // Where that is not allowed it stays, and means nothing.
    let _ = storage.delete(&path);
    match again {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(Error::new(
            ErrorKind::Incompatible,
            format!(
                "the server of `{}` overwrites what is there, though it is asked not to (it ignores If-None-Match)",
                storage.location()
            ),
        )
        .hint(ASK_FIRST_HINT)),
    }
}

/// What to do about a server that overwrites.
pub const ASK_FIRST_HINT: &str = "Write `conditional_writes = false` under [repository.NAME] in obbackup.toml: then it is asked before each object \
     whether that is there.";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::local::Local;
    use crate::storage::memory::Memory;

    #[test]
    fn a_repository_of_a_newer_program_is_refused() {
        for (header, named) in [
            (json!({"format": 2, "chunks": "elsewhere"}), "version 2"),
            (json!({"format": 1, "features": ["age"]}), "age"),
        ] {
            let storage = Arc::new(Memory::default());
            storage
                .create(path::HEADER, &sealed::seal(&header).unwrap())
                .unwrap();
            let refused = Repository::open(storage).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::Incompatible, "{refused:?}");
            assert!(refused.message().contains(named), "{refused:?}");
            assert!(refused.hint_text().is_some());
        }
    }

    #[test]
    fn a_place_without_a_repository_is_told_from_one_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        for (place, message) in [
            (directory.path().join("absent"), "there is no directory"),
            (directory.path().to_owned(), "has no `repo.json`"),
        ] {
            let refused = Repository::open(Arc::new(Local::new(place))).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::NotFound);
            assert!(refused.message().contains(message), "{refused:?}");
            assert!(refused.hint_text().unwrap().contains("mounted"));
        }
    }

    #[test]
    fn a_directory_that_holds_something_else_becomes_no_repository() {
        let storage = Arc::new(Memory::default());
        storage.create("letters/to-katherine", b"Dear").unwrap();
        let refused = Repository::init(storage.clone(), Compression::Zstd)
            .err()
            .unwrap();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(refused.message().contains("letters"), "{refused:?}");
        assert_eq!(storage.list("").unwrap().len(), 1);
    }
}
