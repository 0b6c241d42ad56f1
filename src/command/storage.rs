//! The place that a repository lies in: the room it has and takes, and whether everything can be done there.

use std::time::Instant;

use serde::Serialize;

use super::doctor::Health;
use super::space::{Forecast, Level, forecast, level, usable_bytes};
use crate::config::Configuration;
use crate::config::space::SpaceSection;
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::random_id;
use crate::format::path;
use crate::repository::{ASK_FIRST_HINT, Repository};
use crate::storage::Storage;

/// What `storage df` gives, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorageUse {
    /// Where the repository is.
    pub location: String,
    /// Bytes of all objects of the repository.
    pub repository_bytes: u64,
    /// Bytes of packs that nothing needs and that wait for the end of their grace.
    pub condemned_bytes: u64,
    /// Number of backups.
    pub backups: u64,
    /// The device's size, where there is a device.
    pub total_bytes: Option<u64>,
    /// What is used on it.
    pub used_bytes: Option<u64>,
    /// What this user can still write.
    pub free_bytes: Option<u64>,
    /// Files that can still be made.
    pub free_inodes: Option<u64>,
    /// How the room is by the configured marks, where there is a device.
    pub level: Option<Level>,
    /// What the last backups say of the time ahead.
    pub forecast: Option<Forecast>,
}

/// What `storage list` gives: the repositories of the configuration, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repositories {
    /// All of them.
    pub repositories: Vec<ListedRepository>,
}

/// A repository of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedRepository {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Whether it is meant where none is named.
    pub default: bool,
    /// The repositories that its new backups are copied to.
    pub copy_to: Vec<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// The server, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Whether it must lie on a mounted device.
    pub require_mount: bool,
}

/// What the configuration says; nothing is asked of the places.
pub fn repositories(configuration: &Configuration) -> Repositories {
    // Without a default the only one is meant.
    let only = configuration.repository.len() == 1;
    let default = configuration.default_repository.as_ref();
    let listed = configuration.repository.iter();
    Repositories {
        repositories: listed
            .map(|(name, section)| ListedRepository {
                default: default.map_or(only, |default| default == name),
                name: name.clone(),
                url: section.url.clone(),
                copy_to: section.copy_to.clone(),
                region: section.region.clone(),
                endpoint: section.endpoint.clone(),
                require_mount: section.require_mount,
            })
            .collect(),
    }
}

/// Asks the storage.
pub fn storage_use(repository: &Repository, marks: &SpaceSection) -> Result<StorageUse> {
    let storage = repository.storage();
    let objects = storage.list("")?;
    let condemned = repository.condemned()?;
    let space = storage.space()?;
    let backups = repository.backups()?.backups;
    let usable = space.as_ref().map(usable_bytes);
    let forecast = forecast(&backups, usable.unwrap_or(u64::MAX));
    Ok(StorageUse {
        location: storage.location(),
        repository_bytes: objects.iter().map(|object| object.bytes).sum(),
        condemned_bytes: objects
            .iter()
            .filter(|object| {
                path::parse_pack(&object.path).is_some_and(|pack| condemned.contains(&pack))
            })
            .map(|object| object.bytes)
            .sum(),
        backups: objects
            .iter()
            .filter(|object| path::parse_manifest(&object.path).is_some())
            .count() as u64,
        total_bytes: space.map(|space| space.total_bytes),
        used_bytes: space.map(|space| space.used_bytes),
        free_bytes: space.map(|space| space.free_bytes),
        free_inodes: space.and_then(|space| space.free_inodes),
        level: space.map(|space| level(&space, forecast.as_ref(), marks)),
        forecast: forecast.filter(|_| space.is_some()),
    })
}

/// What `storage test` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorageTest {
    /// Where.
    pub location: String,
    /// Whether a repository can live there.
    pub works: bool,
    /// What was tried, in this order.
    pub steps: Vec<Step>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What.
    pub name: &'static str,
    /// How it went.
    pub result: Health,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

const CONTENT: &[u8] = b"obbackup tries whether it can write, read, list and delete here.\n";

/// Tries everything that a repository asks of a storage, with one small object that is removed again.
pub fn test(storage: &dyn Storage) -> Result<StorageTest> {
    let path = format!("{}{}", path::TRIALS, random_id(8)?);
    let mut trial = Trial {
        steps: Vec::new(),
        began: Instant::now(),
    };
    let written = trial.expect(
        "write",
        "an object was written",
        storage.create(&path, CONTENT),
    )?;
    if written {
        let read = storage.read(&path).and_then(|bytes| same(&bytes, CONTENT));
        trial.expect("read", "it came back", read)?;
        let part = storage
            .read_range(&path, 9..14)
            .and_then(|bytes| same(&bytes, &CONTENT[9..14]));
        trial.expect("read a range", "a part of it came back", part)?;
    } else {
        // Whether reading is allowed shows in how an absent object is refused.
        let read = match storage.read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map(|_| ()),
        };
        trial.expect(
            "read",
            "reading is allowed; nothing was there to be read",
            read,
        )?;
    }
    let listed = storage.list(path::TRIALS).and_then(|objects| {
        if !written || objects.iter().any(|object| object.path == path) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Failure,
            "the object that was just written is not listed",
        )
        .hint("Use a storage that lists at once what was written."))
    });
    trial.expect("list", "it is listed", listed)?;
    if written {
        trial.create_once(storage.create(&path, b"another"))?;
        let replaced = storage.replace(&path, CONTENT);
        trial.expect("replace", "it was replaced, as leases are", replaced)?;
    }
    let deleted = storage.delete(&path).map_err(|error| {
        if written {
            error.context(format!("`{path}` stays there"))
        } else {
            error
        }
    });
    if trial.expect("delete", "it was deleted", deleted)? && written {
        let gone = match storage.read(&path) {
            Ok(_) => Err(Error::new(
                ErrorKind::Failure,
                "the object can still be read after it was deleted",
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        trial.expect(
            "absence",
            "an absent object is told from a refused one",
            gone,
        )?;
    }
    let works = trial
        .steps
        .iter()
        .all(|step| step.result != Health::Failure);
    Ok(StorageTest {
        location: storage.location(),
        works,
        steps: trial.steps,
    })
}

fn same(bytes: &[u8], expected: &[u8]) -> Result<()> {
    if bytes == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Damaged,
        "what came back is not what was written",
    ))
}

struct Trial {
    steps: Vec<Step>,
    began: Instant,
}

impl Trial {
    fn add(&mut self, name: &'static str, result: Health, found: String, remedy: Option<String>) {
        self.steps.push(Step {
            name,
            result,
            found,
            remedy,
            milliseconds: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        self.began = Instant::now();
    }

    /// Notes how a step went; whether it went well. `Cancelled` where somebody does not want to wait for it.
    fn expect(&mut self, name: &'static str, good: &str, result: Result<()>) -> Result<bool> {
        let well = result.is_ok();
        match result {
            Ok(()) => self.add(name, Health::Ok, good.to_owned(), None),
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                let remedy = error.hint_text().map(str::to_owned);
                self.add(name, Health::Failure, error.to_string(), remedy);
            }
        }
        Ok(well)
    }

    /// Names are unique and leases look again, so that nothing rests on it.
    fn create_once(&mut self, again: Result<()>) -> Result<()> {
        const NAME: &str = "create once";
        match again {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found = "what is there is not overwritten".to_owned();
                self.add(NAME, Health::Ok, found, None);
            }
            Ok(()) => self.add(
                NAME,
                Health::Warning,
                "the server overwrites what is there, though it was asked not to".to_owned(),
                Some(ASK_FIRST_HINT.to_owned()),
            ),
            Err(error) => {
                self.expect(NAME, "", Err(error))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::faulty::{Fault, Faulty, Operations};
    use crate::storage::memory::Memory;

    #[test]
    fn a_good_storage_passes_every_step_and_keeps_nothing() {
        let memory = Memory::default();
        let tried = test(&memory).unwrap();
        assert!(tried.works, "{tried:#?}");
        assert_eq!(tried.steps.len(), 8);
        assert_eq!(memory.list("").unwrap(), []);
    }

    #[test]
    fn the_step_that_is_refused_is_named() {
        let denied = Fault::Before(ErrorKind::Denied);
        for (operations, at, name) in [
            (Operations::Writes, 0, "write"),
            (Operations::Reads, 0, "read"),
            (Operations::Reads, 1, "read a range"),
            (Operations::Reads, 2, "list"),
            (Operations::Writes, 2, "replace"),
            (Operations::Writes, 3, "delete"),
        ] {
            let memory = Arc::new(Memory::default());
            let tried = test(&Faulty::at(memory, operations, at, denied)).unwrap();
            assert!(!tried.works);
            let failed: Vec<_> = tried
                .steps
                .iter()
                .filter(|step| step.result == Health::Failure)
                .map(|step| step.name)
                .collect();
            assert_eq!(failed, [name]);
        }
    }
}
