//! The lock: leases that are renewed while their holder lives and lapse by themselves when it does not.
//!
//! A lease is taken in three steps: look for a conflict, write one's own, look again. Two that write at
//! the same time both see the other at the second look; then the younger withdraws at once, and the older
//! waits for that, and withdraws too if it does not happen. So at worst both give up, never both go on.
//! Everything rests on the second look; the first spares others the sight of a lease that is withdrawn again, and
//! may be some moments old.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::Repository;
use super::glance::Rooms;
use super::identity::{self, Worker};
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::{Lease, LeaseMode};
use crate::format::{id, path, sealed};
use crate::storage::{Object, Storage};

/// How long a lease is good without being renewed.
const LEASE: Duration = Duration::from_mins(10);
/// How often it is renewed: a storage may be gone for several of these.
const HEARTBEAT: Duration = Duration::from_mins(1);
/// A lease that was seen to stand is not looked at again for so long.
const SIGHT: Duration = Duration::from_secs(5);
/// How long the older of two waits for the younger to withdraw.
const WITHDRAWAL: Duration = Duration::from_secs(3);

/// How often giving a lease back is tried.
const DELETE_TRIES: u32 = 3;

/// A lease that is held; given back when dropped.
pub struct Lock {
    storage: Arc<dyn Storage>,
    lease: Lease,
    sight: Mutex<Option<Sight>>,
    lost: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    heartbeat: Option<JoinHandle<()>>,
    /// Whether the lease is left to lapse.
    lapses: AtomicBool,
}

/// When the own lease was seen to stand, and how long it was good then.
#[derive(Clone, Copy)]
struct Sight {
    at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Sight {
    /// Whether it need not be looked at again. Others clear a lease away when it has lapsed, by clocks that may differ
    /// by some minutes; one that stood moments ago, with half of its time to go, stands. By the time of day, which
    /// goes on while a machine sleeps.
    fn holds(&self, now: DateTime<Utc>) -> bool {
        self.at <= now && now < self.at + SIGHT && now + LEASE / 2 < self.expires_at
    }
}

impl Repository {
    /// Takes a lease. `Locked` where another one excludes it; the message names who holds that.
    pub fn lock(&self, mode: LeaseMode, instance: &str, purpose: &str) -> Result<Lock> {
        let look = || Ok((self.storage.list(path::LOCKS)?, ()));
        Ok(self.lock_by(mode, instance, purpose, look)?.0)
    }

    /// The same, with the glance that proved the lease.
    pub fn lock_and_glance(
        &self,
        mode: LeaseMode,
        instance: &str,
        purpose: &str,
        rooms: Rooms,
    ) -> Result<(Lock, Self)> {
        self.lock_by(mode, instance, purpose, || {
            let seen = self.glance(rooms)?;
            Ok((seen.room(path::LOCKS)?, seen))
        })
    }

    /// `look` lists the leases, and gives whatever came with them.
    fn lock_by<T>(
        &self,
        mode: LeaseMode,
        instance: &str,
        purpose: &str,
        look: impl Fn() -> Result<(Vec<Object>, T)>,
    ) -> Result<(Lock, T)> {
        let now = Utc::now();
        let worker = Worker::this();
        let lease = Lease {
            id: id::random_id(16)?,
            mode,
            instance: instance.to_owned(),
            purpose: purpose.to_owned(),
            host: worker.host.clone(),
            user: worker.user.clone(),
            pid: worker.pid,
            process_started: worker.process_started,
            boot: worker.boot.clone(),
            acquired_at: now,
            expires_at: now + LEASE,
        };
        let before = self.room(path::LOCKS)?;
        if let Some(holder) = self.conflicts(before, &lease, worker)?.first() {
            return Err(self.locked(holder));
        }
        // Held before it is written: a create that fails may have had its effect, and dropping the lock
        // clears it away, whatever happens from here on.
        let lock = Lock::hold(self.storage.clone(), lease)?;
        self.storage
            .create(&path::lease(&lock.lease.id), &sealed::seal(&lock.lease)?)?;
        lock.see(now, lock.lease.expires_at);
        let seen = Instant::now();
        loop {
            let (listed, came_with) = look()?;
            let conflicts = self.conflicts(listed, &lock.lease, worker)?;
            let Some(holder) = conflicts.first() else {
                return Ok((lock, came_with));
            };
            let older = (holder.acquired_at, &holder.id) < (lock.lease.acquired_at, &lock.lease.id);
            if older || seen.elapsed() > WITHDRAWAL {
                return Err(self.locked(holder));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The leases that are held now; lapsed ones and those of dead processes are not among them.
    pub fn leases(&self) -> Result<Vec<Lease>> {
        let worker = Worker::this();
        let listed = self.storage.list(path::LOCKS)?;
        Ok(self
            .read_leases(listed, None)?
            .into_iter()
            .filter(|lease| is_live(lease, worker, Utc::now()))
            .collect())
    }

    /// All leases but `mine`, which need not be asked for.
    fn read_leases(&self, mut listed: Vec<Object>, mine: Option<&str>) -> Result<Vec<Lease>> {
        let mine = mine.map(path::lease);
        listed.retain(|object| Some(&object.path) != mine.as_ref());
        let mut leases = Vec::new();
        let read = self.each(&listed, |object| {
            self.read_proven(&object.path, sealed::unseal::<Lease>)
        });
        for read in read {
            match read {
                Ok(lease) => leases.push(lease),
                // A lease that cannot be read says nothing of its holder. It was written whole, so it was damaged
                // since; its holder, if alive, renews it within a minute.
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(leases)
    }

    /// The live leases that exclude `mine`, oldest first. What a dead process left is cleared away.
    fn conflicts(&self, listed: Vec<Object>, mine: &Lease, worker: &Worker) -> Result<Vec<Lease>> {
        let mut conflicts = Vec::new();
        for lease in self.read_leases(listed, Some(&mine.id))? {
            if !is_live(&lease, worker, Utc::now()) {
                self.storage.delete(&path::lease(&lease.id))?;
            } else if excludes(mine, &lease) {
                conflicts.push(lease);
            }
        }
        conflicts.sort_by(|left, right| {
            (left.acquired_at, &left.id).cmp(&(right.acquired_at, &right.id))
        });
        Ok(conflicts)
    }

    fn locked(&self, holder: &Lease) -> Error {
        Error::new(
            ErrorKind::Locked,
            format!(
                "the repository `{}` is in use: {} by {}@{} (process {}) since {}",
                self.storage.location(),
                holder.purpose,
                holder.user,
                holder.host,
                holder.pid,
                holder.acquired_at.format("%Y-%m-%d %H:%M:%S UTC"),
            ),
        )
        .hint(
            "Wait for it to end. If its process has died, the lock lapses by itself within ten minutes.",
        )
    }
}

fn excludes(mine: &Lease, other: &Lease) -> bool {
    match (mine.mode, other.mode) {
        (LeaseMode::Write, LeaseMode::Write) => mine.instance == other.instance,
        _ => true,
    }
}

/// Whether the holder may still be at work.
fn is_live(lease: &Lease, worker: &Worker, now: DateTime<Utc>) -> bool {
    // On this host and boot the process table tells of a death at once. A living process may have failed to
    // give its lease back, so that the time decides there too.
    let here = lease.host == worker.host && lease.boot == worker.boot;
    let dead = here && identity::process_started(lease.pid) != Some(lease.process_started);
    !dead && now < lease.expires_at
}

impl Lock {
    fn hold(storage: Arc<dyn Storage>, lease: Lease) -> Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let lost = Arc::new(AtomicBool::new(false));
        let heartbeat = {
            let (storage, mut lease, lost) = (storage.clone(), lease.clone(), lost.clone());
            std::thread::Builder::new()
                .name("obbackup-lease".to_owned())
                .spawn(move || {
                    while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                        // Whoever found the lease lapsed has cleared it away, and holds the lock now; writing it
                        // again would make two holders.
                        let now = Utc::now();
                        let cleared = storage.read(&path::lease(&lease.id)).err();
                        if now >= lease.expires_at
                            || cleared.is_some_and(|error| error.kind() == ErrorKind::NotFound)
                        {
                            lost.store(true, Ordering::SeqCst);
                            return;
                        }
                        let renewed = Lease {
                            expires_at: now + LEASE,
                            ..lease.clone()
                        };
                        let written = sealed::seal(&renewed)
                            .and_then(|bytes| storage.replace(&path::lease(&lease.id), &bytes));
                        // A renewal that failed is tried again at the next beat.
                        if written.is_ok() {
                            lease = renewed;
                        }
                    }
                })
                .map_err(|error| Error::io("cannot start a thread", error))?
        };
        Ok(Self {
            storage,
            lease,
            sight: Mutex::default(),
            lost,
            stop: Some(stop),
            heartbeat: Some(heartbeat),
            lapses: AtomicBool::new(false),
        })
    }

    /// An error once the lease lapsed or was cleared away: somebody else may hold the lock.
    ///
    /// Asks the storage, unless it did so some seconds ago: to be called before what must not happen beside another
    /// holder. What stands there says until when the lease was last renewed; the heartbeat may not have run yet on a
    /// machine that has just woken.
    pub fn check(&self) -> Result<()> {
        let now = Utc::now();
        let lapsed = self.lost.load(Ordering::SeqCst) || (!self.is_in_sight(now) && self.look()?);
        if lapsed {
            return Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "the lock on `{}` lapsed: this machine slept, or the storage could not be written for {} minutes",
                    self.storage.location(),
                    LEASE.as_secs() / 60
                ),
            )
            .hint("Check the storage and the connection to it, then try again."));
        }
        Ok(())
    }

    /// Whether the lease has lapsed, as the storage says now.
    fn look(&self) -> Result<bool> {
        let at = Utc::now();
        match self.storage.read(&path::lease(&self.lease.id)) {
            Ok(bytes) => {
                let Ok(lease) = sealed::unseal::<Lease>(&bytes) else {
                    return Ok(false);
                };
                self.see(at, lease.expires_at);
                Ok(Utc::now() >= lease.expires_at)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn is_in_sight(&self, now: DateTime<Utc>) -> bool {
        let sight = self.sight.lock().unwrap_or_else(PoisonError::into_inner);
        sight.is_some_and(|sight| sight.holds(now))
    }

    fn see(&self, at: DateTime<Utc>, expires_at: DateTime<Utc>) {
        let sight = Sight { at, expires_at };
        *self.sight.lock().unwrap_or_else(PoisonError::into_inner) = Some(sight);
    }

    /// What the making of a backup's manifest said. One that was given up may still come to be there: until the lease has
    /// lapsed nobody may take away what the backup refers to.
    pub(super) fn kept_where_unsure(&self, made: Result<()>) -> Result<()> {
        if made
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Cancelled)
        {
            self.lapses.store(true, Ordering::SeqCst);
        }
        made
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The heartbeat first: it must not write the lease again after it was deleted.
        self.stop.take();
        if let Some(heartbeat) = self.heartbeat.take() {
            let _ = heartbeat.join();
        }
        if self.lapses.load(Ordering::SeqCst) {
            return;
        }
        // Nobody is left to tell of a failure; then the lease lapses by itself.
        for _ in 0..DELETE_TRIES {
            match self.storage.delete(&path::lease(&self.lease.id)) {
                Err(error) if error.kind() != ErrorKind::Cancelled => {}
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Compression;
    use crate::storage::memory::Memory;

    fn repository() -> Repository {
        Repository::init(Arc::new(Memory::default()), Compression::Zstd).unwrap()
    }

    #[test]
    fn a_lease_is_left_to_lapse_only_where_a_manifest_may_still_appear() {
        for (kind, left) in [(ErrorKind::Cancelled, 1), (ErrorKind::Io, 0)] {
            let repository = repository();
            let lock = repository.lock(LeaseMode::Write, "one", "backup").unwrap();
            let made = lock.kept_where_unsure(Err(Error::new(kind, "cannot write")));
            assert_eq!(made.unwrap_err().kind(), kind);
            drop(lock);
            assert_eq!(repository.storage().list("locks/").unwrap().len(), left);
        }
    }

    fn foreign(repository: &Repository, change: impl Fn(&mut Lease)) {
        let lock = repository.lock(LeaseMode::Write, "one", "backup").unwrap();
        let mut lease = lock.lease.clone();
        lease.id = "ffff".to_owned();
        change(&mut lease);
        drop(lock);
        repository
            .storage
            .create(&path::lease("ffff"), &sealed::seal(&lease).unwrap())
            .unwrap();
    }

    #[test]
    fn one_writer_an_instance_and_nobody_beside_an_exclusive_one() {
        let repository = repository();
        let first = repository.lock(LeaseMode::Write, "one", "backup").unwrap();
        let second = repository
            .lock(LeaseMode::Write, "one", "backup")
            .err()
            .unwrap();
        assert_eq!(second.kind(), ErrorKind::Locked);
        assert!(
            second
                .to_string()
                .contains(&format!("process {}", std::process::id()))
        );
        let other = repository.lock(LeaseMode::Write, "two", "backup").unwrap();
        assert!(
            repository
                .lock(LeaseMode::Exclusive, "three", "delete")
                .is_err()
        );
        assert_eq!(repository.leases().unwrap().len(), 2);
        drop((first, other));
        let exclusive = repository
            .lock(LeaseMode::Exclusive, "three", "delete")
            .unwrap();
        assert!(repository.lock(LeaseMode::Write, "one", "backup").is_err());
        exclusive.check().unwrap();
        drop(exclusive);
        assert_eq!(repository.storage.list(path::LOCKS).unwrap(), []);
    }

    #[test]
    fn of_many_at_once_never_two_go_on() {
        let repository = repository();
        for _ in 0..20 {
            let inside = std::sync::atomic::AtomicU32::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        if let Ok(lock) = repository.lock(LeaseMode::Write, "one", "backup") {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            std::thread::sleep(Duration::from_millis(5));
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(lock);
                        }
                    });
                }
            });
        }
        assert_eq!(repository.storage.list(path::LOCKS).unwrap(), []);
    }

    #[test]
    fn a_holder_whose_lease_was_cleared_away_is_told() {
        let repository = repository();
        let lock = repository.lock(LeaseMode::Write, "one", "backup").unwrap();
        lock.check().unwrap();
        repository
            .storage
            .delete(&path::lease(&lock.lease.id))
            .unwrap();
        // What was seen some seconds ago is looked at again.
        let moments_ago = Utc::now() - SIGHT;
        lock.see(moments_ago, moments_ago + LEASE);
        assert_eq!(lock.check().unwrap_err().kind(), ErrorKind::Locked);
    }

    #[test]
    fn what_was_seen_holds_for_moments_and_not_near_its_end_nor_after_a_sleep() {
        let now = Utc::now();
        let sight = |ago: u64, left: u64| Sight {
            at: now - Duration::from_secs(ago),
            expires_at: now + Duration::from_secs(left),
        };
        assert!(sight(0, 590).holds(now));
        assert!(sight(4, 400).holds(now));
        assert!(!sight(5, 400).holds(now));
        assert!(!sight(1, 299).holds(now));
        // A clock that was set back.
        assert!(!sight(0, 590).holds(now - Duration::from_secs(1)));
    }

    #[test]
    fn the_lease_of_a_dead_process_is_cleared_away() {
        let repository = repository();
        foreign(&repository, |lease| lease.process_started += 1);
        repository.lock(LeaseMode::Write, "one", "backup").unwrap();
    }

    #[test]
    fn on_another_host_the_lease_holds_until_it_lapses() {
        let repository = repository();
        foreign(&repository, |lease| lease.host = "elsewhere".to_owned());
        assert!(repository.lock(LeaseMode::Write, "one", "backup").is_err());
        repository.storage.delete(&path::lease("ffff")).unwrap();
        foreign(&repository, |lease| {
            lease.host = "elsewhere".to_owned();
            lease.expires_at = Utc::now() - Duration::from_secs(1);
        });
        repository.lock(LeaseMode::Write, "one", "backup").unwrap();
    }
}
