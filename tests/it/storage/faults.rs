//! Everything that a network and an S3 server can do wrong, at the first, a middle, the last and every seventh
//! request of a backup, a restore, a verification and a prune: each ends well or with a clear error, and the
//! repository stays sound.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{TimeDelta, Utc};
use obbackup::codec::Compression;
use obbackup::command::delete::delete;
use obbackup::error::{ErrorKind, Result};
use obbackup::format::manifest::BackupId;
use obbackup::format::record::LeaseMode;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::prune::PruneOptions;
use obbackup::repository::verify::VerifyOptions;
use obbackup::storage;

use crate::support::backups::{contents, read_back, take};
use crate::support::cluster::skipped;
use crate::support::proxy::{Fault, Proxy};
use crate::support::s3::S3Server;

/// What goes wrong, and whether trying again must make up for it when it happens once.
const FAULTS: &[(Fault, bool)] = &[
    (Fault::Refused(500, "InternalError"), true),
    (Fault::Belied(500, "InternalError"), true),
    (Fault::Refused(503, "SlowDown"), true),
    (Fault::Belied(503, "SlowDown"), true),
    (Fault::Refused(503, "ServiceUnavailable"), true),
    (Fault::Refused(429, "TooManyRequests"), true),
    (Fault::Refused(400, "RequestTimeout"), true),
    (Fault::Refused(409, "OperationAborted"), true),
    (Fault::Refused(502, "BadGateway"), true),
    (Fault::Refused(403, "RequestTimeTooSkewed"), true),
    (Fault::Refused(307, "TemporaryRedirect"), true),
    (Fault::Refused(301, "PermanentRedirect"), false),
    (Fault::Refused(403, "AccessDenied"), false),
    (Fault::Refused(400, "ExpiredToken"), false),
    (Fault::Refused(404, "NoSuchBucket"), false),
    (Fault::Refused(507, "InsufficientStorage"), false),
    (Fault::CutAtOnce, true),
    (Fault::CutRequest, true),
    (Fault::LostAnswer, true),
    (Fault::CutHead, true),
    (Fault::CutBody(0), true),
    (Fault::CutBody(1), true),
    (Fault::CutHalf, true),
    (Fault::CutLast, true),
    (Fault::StalledAnswer, true),
    (Fault::StalledBody, true),
    (Fault::StalledRequest, true),
    (Fault::TwiceFirst, true),
    (Fault::TwiceSecond, true),
    (Fault::FlippedRequest, true),
    (Fault::FlippedAnswer, true),
    (Fault::StaleListing, false),
    (Fault::Garbage, true),
    (Fault::Empty, true),
    (Fault::Late, true),
];

/// When it goes wrong.
#[derive(Debug, Clone, Copy)]
enum When {
    First,
    Middle,
    Last,
    EverySeventh,
}

const MOMENTS: [When; 4] = [When::First, When::Middle, When::Last, When::EverySeventh];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Backup,
    Restore,
    Verify,
    Prune,
}

const JOBS: [Job; 4] = [Job::Backup, Job::Restore, Job::Verify, Job::Prune];

/// One repository behind a proxy of its own, and the same without.
struct Bench {
    proxy: Proxy,
    through: Arc<dyn storage::Storage>,
    straight: Repository,
    kept: BackupId,
    gone: Mutex<BackupId>,
}

impl Bench {
    fn new(server: &S3Server, bucket: &str, number: usize) -> Self {
        let proxy = Proxy::start(server.port());
        let mut section = server.section(bucket, &format!("case-{number}"));
        let straight = storage::open(&section, None).unwrap();
        let straight = Repository::init(straight, Compression::Zstd).unwrap();
        let kept = take(&straight, 1).unwrap();
        section.endpoint = Some(proxy.endpoint());
        section.stall_seconds = NonZeroU32::new(1);
        section.give_up_after_seconds = NonZeroU32::new(60);
        Self {
            through: storage::open(&section, None).unwrap(),
            proxy,
            straight,
            gone: Mutex::new(kept),
            kept,
        }
    }

    /// `seed` makes what is added differ each time.
    fn work(&self, job: Job, seed: u64) -> Result<()> {
        let repository = Repository::open(self.through.clone())?;
        match job {
            Job::Backup => {
                take(&repository, seed)?;
            }
            Job::Restore => {
                assert!(read_back(&repository, &self.kept)? == contents(1));
            }
            Job::Verify => {
                let found = repository.verify(&everything(), &Silent)?;
                // What is there is sound, whatever the way to it was like.
                assert!(found.is_sound(), "{:#?}", found.findings);
            }
            Job::Prune => {
                let gone = self.gone.lock().unwrap();
                let backup = repository.resolve(&gone.to_hex(), None)?;
                delete(&repository, &backup, &Silent)?;
                // Condemned so far; now it goes.
                let lock = repository.lock(LeaseMode::Exclusive, "instance", "prune")?;
                let options = PruneOptions {
                    grace: TimeDelta::zero(),
                    repack_above_percent: 50,
                    now: Utc::now(),
                };
                repository.prune(&lock, &options, &Silent)?;
            }
        }
        Ok(())
    }

    /// What the next delete will remove.
    fn prepare(&self, job: Job, seed: u64) {
        if job == Job::Prune {
            *self.gone.lock().unwrap() = take(&self.straight, seed).unwrap();
        }
    }

    fn assert_sound(&self, case: &str) {
        let found = self.straight.verify(&everything(), &Silent).unwrap();
        assert!(found.is_sound(), "{case}: {:#?}", found.findings);
    }

    fn assert_all_can_be_read(&self, case: &str) {
        let kept = read_back(&self.straight, &self.kept).unwrap();
        assert!(kept == contents(1), "{case}");
        for backup in self.straight.backups().unwrap().backups {
            read_back(&self.straight, &backup.id)
                .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        }
    }
}

fn everything() -> VerifyOptions {
    VerifyOptions {
        read_data: true,
        backup: None,
        jobs: 2,
    }
}

/// A fault, and whether trying again must make up for it.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    fault: Fault,
    made_up_for: bool,
    when: When,
}

/// One fault at one moment of one job; whether the job ended well. `requests` is how many it makes without.
fn case(bench: &Bench, job: Job, trouble: Trouble, requests: u64, seed: u64) -> bool {
    let case = format!("{trouble:?} in {job:?}");
    bench.prepare(job, seed);
    bench.proxy.set(move |number| {
        let due = match trouble.when {
            When::First => number == 0,
            When::Middle => number == requests / 2,
            When::Last => number + 1 == requests,
            When::EverySeventh => number % 7 == 6,
        };
        due.then_some(trouble.fault)
    });
    let result = bench.work(job, seed);
    let hits = bench.proxy.hits();
    bench.proxy.set(|_| None);
    bench.assert_sound(&case);
    match result {
        Ok(()) => true,
        Err(error) => {
            assert!(!trouble.made_up_for, "{case} ({hits} hits): {error:?}");
            let clear = error.hint_text().is_some() || error.kind() == ErrorKind::Damaged;
            assert!(clear, "{case}: {error:?}");
            false
        }
    }
}

#[test]
fn every_fault_ends_well_or_clearly_and_the_repository_stays_sound() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let bucket = server.bucket();
    let next = AtomicUsize::new(0);
    let (well, clearly) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all: Vec<_> = JOBS
        .iter()
        .flat_map(|job| FAULTS.iter().map(move |fault| (*job, *fault)))
        .collect();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((job, (fault, made_up_for))) = all.get(number).copied() else {
                break;
            };
            let bench = Bench::new(server, &bucket, number);
            // How many requests the job makes when nothing goes wrong.
            bench.prepare(job, 10);
            bench.proxy.set(|_| None);
            bench.work(job, 10).unwrap();
            let requests = bench.proxy.count();
            for (when, seed) in MOMENTS.into_iter().zip((20..).step_by(10)) {
                let trouble = Trouble {
                    fault,
                    made_up_for,
                    when,
                };
                let ended = case(&bench, job, trouble, requests, seed);
                let counter = if ended { &well } else { &clearly };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            bench.assert_all_can_be_read(&format!("{fault:?} in {job:?}"));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(work);
        }
    });
    let (well, clearly) = (well.into_inner(), clearly.into_inner());
    // Not captured, as what the test says is: the count is to be seen.
    let _ = writeln!(
        std::io::stderr(),
        "{} faults × {} moments × {} jobs: {well} ended well, {clearly} with a clear error",
        FAULTS.len(),
        MOMENTS.len(),
        JOBS.len()
    );
    assert_eq!(well + clearly, all.len() * MOMENTS.len());
    assert!(clearly > 20, "{clearly}");
}
