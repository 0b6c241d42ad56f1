//! The backups of a repository: their manifests, the marks on them and the records of runs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Repository;
use super::identity::Worker;
use super::lock::Lock;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{BackupId, Manifest, Status};
use crate::format::record::{DrillCertificate, Mark, MarkKind, Run};
use crate::format::{path, sealed};
use crate::storage::Object;

/// The fewest digits of an id that are taken for one.
const ID_DIGITS: usize = 4;

/// One backup, as its manifest tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// What it is made of.
    pub manifest: Manifest,
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
}

/// What lies under `backups/`.
#[derive(Debug, Clone, Default)]
pub struct Backups {
    /// The readable ones, the newest first.
    pub backups: Vec<Backup>,
    /// Objects that should be manifests and cannot be read, with the reason.
    pub damaged: Vec<(String, String)>,
}

/// The newest backup that can be restored.
#[derive(Debug, Clone)]
pub struct Latest {
    /// The backup.
    pub backup: Backup,
    /// Objects that would be manifests of newer ones and cannot be read, with the reason.
    pub passed_over: Vec<(String, String)>,
}

impl Repository {
    /// Every backup. A damaged manifest does not hide the others.
    pub fn backups(&self) -> Result<Backups> {
        let Some(glance) = &self.glance else {
            return self.read_backups();
        };
        if let Some(known) = glance.backups.get() {
            return Ok(Backups::clone(known));
        }
        let found = self.read_backups()?;
        let _ = glance.backups.set(Arc::new(found.clone()));
        Ok(found)
    }

    fn read_backups(&self) -> Result<Backups> {
        let mut found = Backups::default();
        let listed = self.room(path::BACKUPS)?;
        let read = self.each(&listed, |object| self.read_manifest(&object.path));
        for (object, read) in listed.into_iter().zip(read) {
            match read {
                Ok(backup) => found.backups.push(backup),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Incompatible) =>
                {
                    found.damaged.push((object.path, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        // By the manifests' times: those in the names are whole seconds. Equal ones by id, so that the
        // order is the same each time.
        found
            .backups
            .sort_by_key(|backup| (Reverse(backup.manifest.finished_at), backup.id));
        Ok(found)
    }

    fn read_manifest(&self, path: &str) -> Result<Backup> {
        let Some((time, id)) = path::parse_manifest(path) else {
            return Err(Error::new(
                ErrorKind::Damaged,
                "it has not the name of a manifest",
            ));
        };
        let (manifest, manifest_bytes) = self.read_proven(path, |bytes| {
            Ok((Manifest::decode(&id, bytes)?, bytes.len() as u64))
        })?;
        if manifest.finished_at.timestamp() != time.timestamp() {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the time in its name is not its own",
            ));
        }
        Ok(Backup {
            id,
            manifest,
            manifest_bytes,
        })
    }

    /// The backup that `text` names: the first digits of an id (at least four), or `latest`, as
    /// [`Repository::latest`] finds it.
    pub fn resolve(&self, text: &str, instance: Option<&str>) -> Result<Backup> {
        if text == "latest" {
            return Ok(self.latest(instance)?.backup);
        }
        let known = Utc::now();
        let digits = text.len() >= ID_DIGITS
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !digits {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{text}` is not the id of a backup"),
            )
            .hint("Give at least four digits of an id that `obbackup list` shows, or `latest`."));
        }
        let mut matches: Vec<(String, DateTime<Utc>, BackupId)> = Vec::new();
        for object in self.storage().list(path::BACKUPS)? {
            if let Some((time, id)) = path::parse_manifest(&object.path)
                && id.to_hex().starts_with(text)
            {
                matches.push((object.path, time, id));
            }
        }
        match matches.as_slice() {
            [] => Err(Error::new(
                ErrorKind::NotFound,
                format!("no backup `{text}` in `{}`", self.storage().location()),
            )
            .hint("`obbackup list --all-instances` shows those that are there.")),
            [(path, ..)] => self.read_manifest(path).map_err(|error| {
                error.context(format!("backup `{text}` cannot be used: `{path}`"))
            }),
            several => {
                let names: Vec<_> = several
                    .iter()
                    .map(|(_, time, id)| {
                        format!(
                            "{} ({})",
                            &id.to_hex()[..16],
                            crate::format::age(known, *time)
                        )
                    })
                    .collect();
                Err(Error::new(
                    ErrorKind::Usage,
                    format!(
                        "`{text}` names {} backups: {}",
                        several.len(),
                        names.join(", ")
                    ),
                )
                .hint("Give more digits of the id."))
            }
        }
    }

    /// The newest complete one of `instance`, or of any where that is `None`. `NotFound` where there is none.
    pub fn latest(&self, instance: Option<&str>) -> Result<Latest> {
        let found = self.backups()?;
        let good: Vec<Backup> = found
            .backups
            .into_iter()
            .filter(|backup| {
                backup.manifest.status == Status::Good
                    && instance.is_none_or(|id| backup.manifest.instance.id == id)
            })
            .collect();
        // One that was limited to some files must not stand in for the whole instance.
        let with_database = good
            .iter()
            .position(|backup| backup.manifest.database.is_some());
        let latest = good.into_iter().nth(with_database.unwrap_or(0));
        let Some(backup) = latest else {
            let error = Error::new(
                ErrorKind::NotFound,
                format!(
                    "no complete backup{} in `{}`",
                    if instance.is_some() {
                        " of this instance"
                    } else {
                        ""
                    },
                    self.storage().location()
                ),
            );
            return Err(match found.damaged.first() {
                Some((path, reason)) => error.hint(format!("`{path}` is damaged: {reason}.")),
                None => error.hint("`obbackup list --all-instances` shows what is there."),
            });
        };
        let finished = backup.manifest.finished_at.timestamp();
        let is_newer = |object: &str| {
            // A name tells the second.
            path::parse_manifest(object).is_none_or(|(time, _)| time.timestamp() >= finished)
        };
        let mut passed_over = found.damaged;
        passed_over.retain(|(object, _)| is_newer(object));
        Ok(Latest {
            backup,
            passed_over,
        })
    }

    /// Makes a backup exist: the single write after which it is there. Everything that it refers to must
    /// be durable already.
    pub fn commit(&self, manifest: &Manifest, lock: &Lock) -> Result<BackupId> {
        let (id, bytes) = manifest.encode()?;
        // The last moment at which somebody else could have taken the lock and removed what we refer to.
        lock.check()?;
        let path = path::manifest(manifest.finished_at, &id);
        lock.kept_where_unsure(self.storage().create(&path, &bytes))?;
        // A machine that slept between the two steps may have come too late: then the backup is taken back. Anything else
        // that keeps the lease from being read is no reason to.
        if let Err(error) = lock.check()
            && error.kind() == ErrorKind::Locked
        {
            self.mark(id, MarkKind::Deleted)?;
            self.storage().delete(&path)?;
            return Err(error);
        }
        Ok(id)
    }

    /// Makes a backup of another repository exist here, byte for byte, with the record of the run that made it.
    /// Everything that it refers to must be durable already.
    pub fn adopt(&self, from: &Self, backup: &Backup, lock: &Lock) -> Result<()> {
        let manifest = &backup.manifest;
        let path = path::manifest(manifest.finished_at, &backup.id);
        let bytes = from.read_proven(&path, |bytes| {
            Manifest::decode(&backup.id, bytes).map(|_| bytes.to_vec())
        })?;
        let run = path::run(manifest.started_at, &manifest.run);
        match from.storage().read(&run) {
            Ok(record) => match self.storage().create(&run, &record) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => result?,
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        lock.check()?;
        lock.kept_where_unsure(self.storage().create(&path, &bytes))
    }

    /// Takes a backup out of existence. Its mark is written first: a manifest that is gone without one
    /// was lost, not deleted.
    pub fn delete_backup(&self, backup: &Backup, lock: &Lock) -> Result<()> {
        self.mark(backup.id, MarkKind::Deleted)?;
        lock.check()?;
        self.storage()
            .delete(&path::manifest(backup.manifest.finished_at, &backup.id))
    }

    /// Writes down what was learnt of a backup.
    pub fn mark(&self, backup: BackupId, kind: MarkKind) -> Result<()> {
        self.put_mark(&Mark {
            backup,
            kind,
            at: Utc::now(),
            by: Worker::this().name(),
            drill: None,
            takeover: None,
        })
    }

    /// Writes down what a test restore of a backup found.
    pub fn mark_drill(&self, backup: BackupId, certificate: DrillCertificate) -> Result<Mark> {
        let mark = Mark {
            backup,
            kind: MarkKind::Drill,
            at: Utc::now(),
            by: Worker::this().name(),
            drill: Some(certificate),
            takeover: None,
        };
        self.put_mark(&mark)?;
        Ok(mark)
    }

    fn put_mark(&self, mark: &Mark) -> Result<()> {
        let bytes = sealed::seal(mark)?;
        match self
            .storage()
            .create(&path::mark(&mark.backup, mark.kind.word(), mark.at), &bytes)
        {
            // Said twice within a second.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// The marks of one backup. Those that cannot be read are left out: `verify` names them.
    pub fn marks_of(&self, backup: &BackupId) -> Result<Vec<Mark>> {
        let mut marks = Vec::new();
        for object in self.storage().list(&path::marks(backup))? {
            marks.extend(sealed::unseal::<Mark>(&self.storage().read(&object.path)?).ok());
        }
        Ok(marks)
    }

    /// The marks of every backup. Those that cannot be read are left out: `verify` names them.
    pub fn marks(&self) -> Result<HashMap<BackupId, Vec<Mark>>> {
        let mut marks: HashMap<BackupId, Vec<Mark>> = HashMap::new();
        let listed = self.room(path::MARKS)?;
        let read = self.each(&listed, |object| {
            let bytes = self.storage().read(&object.path)?;
            Ok(sealed::unseal::<Mark>(&bytes).ok())
        });
        for mark in read {
            if let Some(mark) = mark? {
                marks.entry(mark.backup).or_default().push(mark);
            }
        }
        Ok(marks)
    }

    /// Writes down how a run ended.
    pub fn record(&self, run: &Run) -> Result<()> {
        self.storage()
            .create(&path::run(run.started_at, &run.id), &sealed::seal(run)?)
    }

    /// The records of the runs that began at `since` or later, the newest first. Those that cannot be read
    /// are left out: `verify` names them.
    pub fn runs(&self, since: DateTime<Utc>) -> Result<Vec<Run>> {
        // Their names begin with the time, in whole seconds.
        let first = path::run(since, "");
        let mut listed = self
            .storage()
            .list_between(&first, &path::end(path::RUNS))?;
        listed.retain(|object| path::parse_run(&object.path).is_some_and(|began| began >= since));
        let read = self.each(&listed, |object| {
            Ok(sealed::unseal::<Run>(&self.storage().read(&object.path)?).ok())
        });
        let mut runs: Vec<Run> = Vec::new();
        for run in read {
            runs.extend(run?);
        }
        runs.sort_by_key(|run| Reverse(run.started_at));
        Ok(runs)
    }

    /// The last `count` runs that `wanted` holds for, the newest first. No older record is read than that takes.
    pub fn last_runs(&self, count: usize, wanted: impl Fn(&Run) -> bool) -> Result<Vec<Run>> {
        let objects = self.storage().list(path::RUNS)?;
        let began = |object: Object| Some((path::parse_run(&object.path)?, object.path));
        let mut named: Vec<_> = objects.into_iter().filter_map(began).collect();
        named.sort_by(|one, other| other.cmp(one));
        let mut runs = Vec::new();
        for (_, path) in named {
            if runs.len() >= count {
                break;
            }
            let run: Option<Run> = sealed::unseal(&self.storage().read(&path)?).ok();
            runs.extend(run.filter(&wanted));
        }
        Ok(runs)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::codec::Compression;
    use crate::format::manifest::{BackupType, InstanceIdentity, Statistics};
    use crate::format::record::LeaseMode;
    use crate::storage::Storage as _;
    use crate::storage::memory::Memory;

    pub(crate) fn manifest(instance: &str, second: i64) -> Manifest {
        Manifest {
            format: 1,
            tool: "0".to_owned(),
            backup_type: BackupType::Manual,
            status: Status::Good,
            label: None,
            pinned: false,
            started_at: DateTime::from_timestamp(second, 0).unwrap(),
            finished_at: DateTime::from_timestamp(second + 1, 500).unwrap(),
            parent: None,
            run: "run".to_owned(),
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
            files: Vec::new(),
            statistics: Statistics::default(),
            warnings: Vec::new(),
            indexes: Vec::new(),
        }
    }

    #[test]
    fn backups_are_listed_newest_first_and_found_by_their_first_digits() {
        let repository = Repository::init(Arc::new(Memory::default()), Compression::Zstd).unwrap();
        let lock = repository.lock(LeaseMode::Write, "one", "backup").unwrap();
        let old = repository
            .commit(&manifest("one", 1_000_000), &lock)
            .unwrap();
        let new = repository
            .commit(&manifest("two", 2_000_000), &lock)
            .unwrap();
        let listed = repository.backups().unwrap();
        assert_eq!(
            listed
                .backups
                .iter()
                .map(|backup| backup.id)
                .collect::<Vec<_>>(),
            [new, old]
        );
        assert_eq!(repository.resolve("latest", None).unwrap().id, new);
        assert_eq!(repository.resolve("latest", Some("one")).unwrap().id, old);
        assert_eq!(
            repository.resolve(&old.to_hex()[..8], None).unwrap().id,
            old
        );
        for (text, kind) in [
            ("latest", ErrorKind::NotFound),
            ("ffff0000", ErrorKind::NotFound),
            ("abc", ErrorKind::Usage),
            ("../x", ErrorKind::Usage),
        ] {
            assert_eq!(
                repository.resolve(text, Some("three")).unwrap_err().kind(),
                kind,
                "{text}"
            );
        }
        let backup = repository.resolve("latest", Some("two")).unwrap();
        repository.delete_backup(&backup, &lock).unwrap();
        assert_eq!(repository.backups().unwrap().backups.len(), 1);
        assert_eq!(repository.marks().unwrap()[&new][0].kind, MarkKind::Deleted);
    }

    #[test]
    fn a_newer_backup_that_cannot_be_read_is_named_beside_the_latest() {
        let storage = Arc::new(Memory::default());
        let repository = Repository::init(storage.clone(), Compression::Zstd).unwrap();
        let lock = repository.lock(LeaseMode::Write, "i", "backup").unwrap();
        let old = repository
            .commit(&manifest("one", 1_000_000), &lock)
            .unwrap();
        let manifest_at = |seconds| {
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            path::manifest(time, &BackupId::from_bytes([7; 32]))
        };
        storage.create(&manifest_at(1), b"{").unwrap();
        let latest = repository.latest(None).unwrap();
        assert_eq!((latest.backup.id, latest.passed_over), (old, vec![]));
        storage.create(&manifest_at(2_000_000), b"{").unwrap();
        let latest = repository.latest(Some("one")).unwrap();
        assert_eq!(latest.backup.id, old);
        let named: Vec<_> = latest.passed_over.iter().map(|(path, _)| path).collect();
        assert_eq!(named, [&manifest_at(2_000_000)]);
    }

    #[test]
    fn digits_that_begin_two_ids_name_none() {
        let storage = Arc::new(Memory::default());
        let repository = Repository::init(storage.clone(), Compression::Zstd).unwrap();
        for (second, last) in [(1, 0), (2, 1)] {
            let mut id = [0xab; 32];
            id[31] = last;
            let time = DateTime::from_timestamp(second, 0).unwrap();
            let path = path::manifest(time, &BackupId::from_bytes(id));
            storage.create(&path, b"unread").unwrap();
        }
        let refused = repository.resolve("abab", None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage);
        assert!(refused.message().contains("2 backups"), "{refused}");
        assert!(refused.hint_text().unwrap().contains("more digits"));
    }
}
