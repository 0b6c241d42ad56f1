//! One look at what lies in a repository, for all who ask in the course of a command.
//!
//! Each room could be listed by whoever needs it; on a distant storage that made a dozen round trips a backup. The
//! rooms of small objects lie side by side in the order of a listing, before the packs, so that one request for each
//! thousand objects tells of all of them at one moment.
//!
//! A [`Repository::glance`] shows the repository as it was then, and nothing that anybody has changed since, so that it
//! is taken anew at each point that something rests on: before the lease, to be refused without writing anything;
//! after the lease was written, to prove it, which is what the parent, the chunks that are there and the take-overs
//! are taken from; and when all chunks are stored, to see what was condemned meanwhile. What is about to be deleted is
//! looked at by itself right before.

use std::sync::{Arc, OnceLock};

use super::backups::Backups;
use super::{Repository, fetch};
use crate::error::Result;
use crate::format::path;
use crate::storage::Object;

/// How far a glance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rooms {
    /// Manifests, lists of the condemned, indexes, leases and marks.
    Small,
    /// These, and the packs.
    WithPacks,
}

impl Rooms {
    const SMALL: [&str; 5] = [
        path::BACKUPS,
        path::CONDEMNED,
        path::INDEXES,
        path::LOCKS,
        path::MARKS,
    ];

    /// What comes behind the last of them.
    fn end(self) -> String {
        match self {
            Self::Small => path::PACKS.to_owned(),
            Self::WithPacks => path::end(path::PACKS),
        }
    }

    fn has(self, room: &str) -> bool {
        Self::SMALL.contains(&room) || (self == Self::WithPacks && room == path::PACKS)
    }
}

/// What one listing showed.
pub(super) struct Glance {
    rooms: Rooms,
    /// In the order of their paths.
    objects: Vec<Object>,
    /// What the manifests say, once they were read.
    pub(super) backups: OnceLock<Arc<Backups>>,
}

impl Glance {
    pub(super) fn room(&self, room: &str) -> &[Object] {
        let start = self.objects.partition_point(|object| *object.path < *room);
        let below = &self.objects[start..];
        let length = below.partition_point(|object| object.path.starts_with(room));
        &below[..length]
    }
}

impl Repository {
    /// The repository as it is now: what is asked of it from here on is answered from one listing of `rooms`, as far as
    /// that tells it. It is read by that, and written as ever.
    pub fn glance(&self, rooms: Rooms) -> Result<Self> {
        let objects = self.storage.list_between("", &rooms.end())?;
        let glance = Glance {
            rooms,
            objects,
            backups: OnceLock::new(),
        };
        if let Some(before) = &self.glance
            && before.room(path::BACKUPS) == glance.room(path::BACKUPS)
            && let Some(backups) = before.backups.get()
        {
            // The same manifests, which never change.
            let _ = glance.backups.set(backups.clone());
        }
        Ok(Self {
            glance: Some(Arc::new(glance)),
            ..self.clone()
        })
    }

    /// The same before anything is written: beside it what is believed of the repository is confirmed.
    pub fn glance_to_write(&self, rooms: Rooms) -> Result<Self> {
        let confirm = || self.storage.confirm();
        let (confirmed, seen) = fetch::both(&*self.storage, confirm, || self.glance(rooms));
        confirmed?;
        seen
    }

    /// The repository as it changes: each question is asked of the storage.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            glance: None,
            ..self.clone()
        }
    }

    /// The objects of a room: as the glance showed them, else as they are now.
    pub(super) fn room(&self, room: &str) -> Result<Vec<Object>> {
        match &self.glance {
            Some(glance) if glance.rooms.has(room) => Ok(glance.room(room).to_vec()),
            _ => self.storage.list(room),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Compression;
    use crate::format::record::LeaseMode;
    use crate::repository::backups::tests::manifest;
    use crate::storage::Storage as _;
    use crate::storage::faulty::{Fault, Faulty, Operations};
    use crate::storage::memory::Memory;

    #[test]
    fn one_request_tells_what_each_room_would() {
        let memory = Arc::new(Memory::default());
        let made = Repository::init(memory.clone(), Compression::Zstd).unwrap();
        let lock = made.lock(LeaseMode::Write, "one", "backup").unwrap();
        for second in [1_000_000, 2_000_000] {
            made.commit(&manifest("one", second), &lock).unwrap();
        }
        for path in [
            "condemned/x",
            "index/x",
            "marks/x/y",
            "packs/ab/x",
            "runs/x",
            "trials/x",
        ] {
            memory.create(path, b"x").unwrap();
        }
        let never = Faulty::at(memory, Operations::All, u64::MAX, Fault::Flip);
        let counted = Arc::new(never);
        let repository = Repository::open(counted.clone()).unwrap();
        for rooms in [Rooms::Small, Rooms::WithPacks] {
            let before = counted.count();
            let seen = repository.glance(rooms).unwrap();
            let told: Vec<_> = Rooms::SMALL
                .iter()
                .chain([&path::PACKS].into_iter().filter(|room| rooms.has(room)))
                .map(|room| (room, seen.room(room).unwrap()))
                .collect();
            assert_eq!(counted.count(), before + 1);
            for (room, objects) in told {
                assert!(!objects.is_empty(), "{room}");
                assert_eq!(objects, repository.room(room).unwrap(), "{room}");
            }
        }
    }

    #[test]
    fn a_glance_shows_what_was_and_the_repository_what_is() {
        let memory = Arc::new(Memory::default());
        let repository = Repository::init(memory, Compression::Zstd).unwrap();
        let lock = repository.lock(LeaseMode::Write, "one", "backup").unwrap();
        repository
            .commit(&manifest("one", 1_000_000), &lock)
            .unwrap();
        let seen = repository.glance(Rooms::Small).unwrap();
        assert_eq!(seen.backups().unwrap().backups.len(), 1);
        repository
            .commit(&manifest("one", 2_000_000), &lock)
            .unwrap();
        assert_eq!(seen.backups().unwrap().backups.len(), 1);
        assert_eq!(seen.afresh().backups().unwrap().backups.len(), 2);
        let again = seen.glance(Rooms::Small).unwrap();
        assert_eq!(again.backups().unwrap().backups.len(), 2);
    }
}
