//! Which machine may write for an instance, once it has been taken over.
//!
//! A machine that is made anew from a repository and the old one that somebody revives know the same instance id.
//! Taking over gives one of them a random *holder* word, which stays in its configuration, and says so in the
//! repository: in a mark, and from then on in each of its manifests, so that the word outlives the marked backup.
//! Whoever has another word, or none, reads and does not write.

use chrono::{DateTime, TimeDelta, Utc};

use super::Repository;
use super::backups::Backups;
use super::glance::Rooms;
use super::identity::Worker;
use super::lock::Lock;
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::BackupId;
use crate::format::record::{LeaseMode, Mark, MarkKind, OK, PARTIAL, Run, Takeover};
use crate::format::{path, sealed};

/// An instance as it presents itself to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant<'a> {
    /// The instance's id.
    pub instance: &'a str,
    /// The word that its machine got when it took the instance over.
    pub holder: Option<&'a str>,
}

/// How a repository and an instance stand to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenure {
    /// The instance may write there.
    Own,
    /// Only other instances have backups there, one of them this, and nobody said that they share the place.
    Foreign {
        /// The name and host of the one with the newest backup.
        of: String,
    },
    /// Another machine has taken the instance over.
    TakenOver {
        /// Who, as `user@host`, where a mark tells it.
        by: Option<String>,
        /// When; or when its first known backup was taken.
        at: DateTime<Utc>,
    },
}

/// Who holds an instance since when.
struct Holder {
    word: String,
    at: DateTime<Utc>,
    by: Option<String>,
}

impl Repository {
    /// How `tenant` stands to this repository. Reads the manifests, and the records of runs only where a repository
    /// has none of the tenant's backups.
    pub fn tenure(&self, tenant: Tenant<'_>) -> Result<Tenure> {
        let found = self.backups()?;
        if let Some(holder) = self.holder(&found, tenant.instance)?
            && tenant.holder != Some(&holder.word)
        {
            return Ok(Tenure::TakenOver {
                by: holder.by,
                at: holder.at,
            });
        }
        let is_own =
            |backup: &super::backups::Backup| backup.manifest.instance.id == tenant.instance;
        match found.backups.first() {
            Some(newest)
                if !found.backups.iter().any(is_own)
                    && !self.has_worked_here(tenant.instance)? =>
            {
                let instance = &newest.manifest.instance;
                Ok(Tenure::Foreign {
                    of: format!("{} on {}", instance.name, instance.host),
                })
            }
            _ => Ok(Tenure::Own),
        }
    }

    /// `Denied` unless `tenant` may write here.
    pub fn check_tenure(&self, tenant: Tenant<'_>) -> Result<()> {
        match self.tenure(tenant)? {
            Tenure::Own => Ok(()),
            Tenure::Foreign { of } => Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "the repository `{}` holds the backups of another instance, {of}, and none of this one: it is \
                     only read",
                    self.storage().location()
                ),
            )
            .hint(
                "If this machine goes on in the place of that instance: obbackup init --take-over. If both are to \
                 keep their backups there: obbackup init --share.",
            )),
            Tenure::TakenOver { by, at } => Err(taken_over(by.as_deref(), at)),
        }
    }

    /// Takes a lease for `tenant`, and gives the repository as a glance shows it under that lease. `Denied` where the
    /// tenant may not write here.
    pub fn lock_as(
        &self,
        tenant: Tenant<'_>,
        mode: LeaseMode,
        purpose: &str,
        rooms: Rooms,
    ) -> Result<(Lock, Self)> {
        // Before the lease: in a repository that is only read, not even that is written.
        let before = self.glance_to_write(Rooms::Small)?;
        before.check_tenure(tenant)?;
        let (lock, seen) = before.lock_and_glance(mode, tenant.instance, purpose, rooms)?;
        seen.check_takeovers(tenant)?;
        Ok((lock, seen))
    }

    /// `Denied` where a mark tells that another machine has taken the tenant's instance over. Under the lease that
    /// every take-over needs too: then nobody can have come in between unseen.
    pub fn check_takeovers(&self, tenant: Tenant<'_>) -> Result<()> {
        let holder = self.holder(&Backups::default(), tenant.instance)?;
        match holder {
            Some(holder) if tenant.holder != Some(&holder.word) => {
                Err(taken_over(holder.by.as_deref(), holder.at))
            }
            _ => Ok(()),
        }
    }

    /// Writes down that `holder` has `instance` from now on; `newest` is the backup that the mark is put on. The
    /// caller holds the instance's lease.
    pub fn take_over(&self, instance: &str, newest: BackupId, holder: &str) -> Result<()> {
        let found = self.backups()?;
        let before = self.holder(&found, instance)?.map(|before| before.at);
        // It must be the last word, even where another machine's clock is ahead.
        let at = before.map_or(Utc::now(), |before| {
            Utc::now().max(before + TimeDelta::seconds(1))
        });
        let mark = Mark {
            backup: newest,
            kind: MarkKind::Takeover,
            at,
            by: Worker::this().name(),
            drill: None,
            takeover: Some(Takeover {
                instance: instance.to_owned(),
                holder: holder.to_owned(),
            }),
        };
        self.storage().create(
            &path::mark(&newest, mark.kind.word(), at),
            &sealed::seal(&mark)?,
        )
    }

    /// The last word about who holds `instance`, of marks and of the manifests in `found`.
    fn holder(&self, found: &Backups, instance: &str) -> Result<Option<Holder>> {
        let mut holders = Vec::new();
        for object in self.room(path::MARKS)? {
            let kind = path::parse_mark(&object.path).map(|(_, kind)| kind);
            if kind != Some(MarkKind::Takeover.word()) {
                continue;
            }
            // One that was damaged must not cost every backup from now on: manifests tell the same, and `verify`
            // names the mark.
            let Ok(mark) = sealed::unseal::<Mark>(&self.storage().read(&object.path)?) else {
                continue;
            };
            holders.extend(
                mark.takeover
                    .filter(|taken| taken.instance == instance)
                    .map(|taken| Holder {
                        word: taken.holder,
                        at: mark.at,
                        by: Some(mark.by),
                    }),
            );
        }
        let manifests = found.backups.iter().map(|backup| &backup.manifest);
        holders.extend(manifests.filter_map(|manifest| {
            let holder = manifest.instance.holder.as_ref()?;
            (manifest.instance.id == instance).then(|| Holder {
                word: holder.clone(),
                at: manifest.finished_at,
                by: Some(format!("the machine {}", manifest.instance.host)),
            })
        }));
        Ok(holders.into_iter().max_by_key(|holder| holder.at))
    }

    /// Whether a backup or `init` of the instance ended well here: it made the repository, shares it, or had backups that were
    /// deleted since.
    fn has_worked_here(&self, instance: &str) -> Result<bool> {
        let worked = |run: &Run| {
            run.instance == instance
                && matches!(run.command.as_str(), "backup" | "init")
                && matches!(run.outcome.as_str(), OK | PARTIAL)
        };
        Ok(!self.last_runs(1, worked)?.is_empty())
    }
}

fn taken_over(by: Option<&str>, at: DateTime<Utc>) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!(
            "this instance was taken over by {} ({}): its backups are taken there, and here they are only read",
            by.unwrap_or("another machine"),
            at.format("%Y-%m-%d %H:%M UTC")
        ),
    )
    .hint(
        "If this machine is to have the instance again: obbackup init --take-over. If it is to be one of its own: \
         remove `id` and `holder` under [instance] of obbackup.toml, then run obbackup init --share.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Compression;
    use crate::repository::backups::tests::manifest;
    use crate::storage::memory::Memory;
    use std::sync::Arc;

    fn tenant<'a>(instance: &'a str, holder: Option<&'a str>) -> Tenant<'a> {
        Tenant { instance, holder }
    }

    fn take(
        repository: &Repository,
        instance: &str,
        holder: Option<&str>,
        second: i64,
    ) -> BackupId {
        let mut manifest = manifest(instance, second);
        manifest.instance.host = "erp".to_owned();
        manifest.instance.holder = holder.map(str::to_owned);
        let lock = repository
            .lock(LeaseMode::Write, instance, "backup")
            .unwrap();
        repository.commit(&manifest, &lock).unwrap()
    }

    fn repository() -> Repository {
        Repository::init(Arc::new(Memory::default()), Compression::Zstd).unwrap()
    }

    #[test]
    fn an_empty_repository_is_anybodys_and_one_of_others_nobodys() {
        let repository = repository();
        let (mine, other) = (tenant("mine", None), tenant("other", None));
        assert_eq!(repository.tenure(mine).unwrap(), Tenure::Own);
        take(&repository, "mine", None, 1_000_000);
        assert_eq!(repository.tenure(mine).unwrap(), Tenure::Own);
        let error = repository.check_tenure(other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains("openbravo on erp"), "{error}");
        // A run that was refused is no right; one that ended well is.
        let run = |id: &str| Run::ended(id.to_owned(), "backup", "other", "erp", Utc::now());
        let refused = Run {
            outcome: "denied".to_owned(),
            ..run("1")
        };
        repository.record(&refused).unwrap();
        repository.check_tenure(other).unwrap_err();
        repository.record(&run("2")).unwrap();
        repository.check_tenure(other).unwrap();
    }

    #[test]
    fn whoever_took_over_last_may_write_and_nobody_else() {
        let repository = repository();
        let first = take(&repository, "mine", None, 1_000_000);
        let old = tenant("mine", None);
        let (new, third) = (tenant("mine", Some("new")), tenant("mine", Some("third")));
        repository.take_over("mine", first, "new").unwrap();
        repository.check_tenure(new).unwrap();
        repository.check_takeovers(new).unwrap();
        for error in [
            repository.check_tenure(old).unwrap_err(),
            repository.check_takeovers(old).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(error.hint_text().unwrap().contains("--take-over"));
        }
        // Within the same second, and so on: always the last word.
        repository.take_over("mine", first, "third").unwrap();
        repository.take_over("mine", first, "new").unwrap();
        repository.check_tenure(new).unwrap();
        repository.check_tenure(third).unwrap_err();
        // Where the marks went with their backups, the manifests still tell.
        take(&repository, "mine", Some("new"), 2_000_000);
        for object in repository.storage().list(path::MARKS).unwrap() {
            repository.storage().delete(&object.path).unwrap();
        }
        repository.check_tenure(new).unwrap();
        repository.check_tenure(old).unwrap_err();
        // A clock that is ahead does not keep anybody from taking over.
        let ahead = take(&repository, "mine", Some("new"), 9_000_000_000);
        repository.take_over("mine", ahead, "third").unwrap();
        repository.check_tenure(third).unwrap();
    }
}
