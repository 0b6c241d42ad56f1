//! Two machines that back up into one bucket, and one that prunes it, one of them killed in each round.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use obbackup::codec::Compression;
use obbackup::config::{RepositorySection, Secret};
use obbackup::error::{ErrorKind, Result};
use obbackup::format::record::LeaseMode;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::prune::PruneOptions;
use obbackup::repository::verify::VerifyOptions;
use obbackup::storage;

use crate::support::backups::{Taking, begin, contents, read_back};
use crate::support::cluster::skipped;
use crate::support::s3::{ACCESS_KEY, REGION, S3Server, SECRET_KEY};

/// Tells a machine where the bucket is and what to do, again and again.
const ORDERS: &str = "OBBACKUP_TEST_MACHINE";
/// What prunes keeps so many backups.
const KEPT: usize = 6;
/// After so many rounds everybody pauses and every backup is restored, as nobody may prune what is being read.
const ROUNDS_PER_CHECK: u64 = 10;

fn section(endpoint: &str, bucket: &str) -> RepositorySection {
    RepositorySection {
        endpoint: Some(endpoint.to_owned()),
        region: Some(REGION.to_owned()),
        access_key_id: Some(ACCESS_KEY.to_owned()),
        secret_access_key: Some(Secret::new(SECRET_KEY)),
        ..RepositorySection::at(format!("s3://{bucket}/shared"))
    }
}

/// Numbers that differ from process to process and from call to call.
fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

fn back_up(repository: &Repository, instance: &str) -> Result<()> {
    let (lock, seen) = begin(repository, instance)?;
    // Few different contents: what one machine deletes the other may be about to rely on.
    let taking = Taking::begin(&seen, instance, &contents(random(8)))?.finish()?;
    taking.commit(repository, &lock)?;
    Ok(())
}

fn prune(repository: &Repository) -> Result<()> {
    let lock = repository.lock(LeaseMode::Exclusive, "any", "prune")?;
    for backup in repository.backups()?.backups.iter().skip(KEPT) {
        repository.delete_backup(backup, &lock)?;
    }
    let options = PruneOptions {
        grace: TimeDelta::seconds(1),
        repack_above_percent: 60,
        now: Utc::now(),
    };
    repository.prune(&lock, &options, &Silent)?;
    Ok(())
}

/// Not a test of its own: what the machines run.
#[test]
#[ignore = "run by the two tests below, in processes of their own"]
fn machine() {
    let orders = std::env::var(ORDERS).unwrap();
    let words: Vec<&str> = orders.split(' ').collect();
    let [endpoint, bucket, role] = words[..] else {
        panic!("{orders}");
    };
    let repository =
        Repository::open(storage::open(&section(endpoint, bucket), None).unwrap()).unwrap();
    loop {
        let done = match role {
            "prune" => prune(&repository),
            instance => back_up(&repository, instance),
        };
        match done {
            Ok(()) => writeln!(std::io::stdout(), "done {role}").unwrap(),
            Err(error) if error.kind() == ErrorKind::Locked => {}
            Err(error) => panic!("{role}: {error:?}"),
        }
        std::thread::sleep(Duration::from_millis(random(60)));
    }
}

/// A machine, and what it has done.
struct Machine {
    role: &'static str,
    child: Child,
    log: std::path::PathBuf,
}

impl Machine {
    fn start(
        role: &'static str,
        orders: &str,
        log: &std::path::Path,
        done: &Arc<AtomicU64>,
    ) -> Self {
        let errors = std::fs::File::create(log).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "storage::machines::machine",
                "--ignored",
                "--nocapture",
            ])
            .env(ORDERS, format!("{orders} {role}"))
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let done = done.clone();
        std::thread::spawn(move || {
            for line in output.lines().map_while(std::result::Result::ok) {
                done.fetch_add(u64::from(line.contains("done")), Ordering::SeqCst);
            }
        });
        Self {
            role,
            child,
            log: log.to_owned(),
        }
    }

    /// It may only end by being killed.
    fn kill(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("{} ended by itself: {status}\n{log}", self.role);
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_all_restore(repository: &Repository) -> usize {
    let options = VerifyOptions {
        read_data: true,
        backup: None,
        jobs: 2,
    };
    let found = repository.verify(&options, &Silent).unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
    let backups = repository.backups().unwrap();
    assert!(backups.damaged.is_empty(), "{:?}", backups.damaged);
    for backup in &backups.backups {
        read_back(repository, &backup.id).unwrap();
    }
    backups.backups.len()
}

#[test]
fn two_machines_and_a_pruning_one_lose_nothing() {
    lose_nothing(50);
}

/// The same for as long as it takes to meet what is rare.
#[test]
#[ignore = "some minutes: cargo test --test it -- --ignored --exact storage::machines::for_two_hundred_rounds"]
fn for_two_hundred_rounds() {
    lose_nothing(200);
}

fn lose_nothing(rounds: u64) {
    const ROLES: [&str; 3] = ["one", "two", "prune"];
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let bucket = server.bucket();
    let storage = storage::open(&section(&server.endpoint(), &bucket), None).unwrap();
    let repository = Repository::init(storage, Compression::Zstd).unwrap();
    let orders = format!("{} {bucket}", server.endpoint());
    let logs = tempfile::tempdir().unwrap();
    let done: [Arc<AtomicU64>; 3] = std::array::from_fn(|_| Arc::default());
    let start = |number: usize| {
        let log = logs.path().join(ROLES[number]);
        Machine::start(ROLES[number], &orders, &log, &done[number])
    };
    let mut machines: Vec<Machine> = (0..3).map(start).collect();
    let count = |number: usize| done[number].load(Ordering::SeqCst);
    let (mut round, mut checks) = (0, 0);
    let began = Instant::now();
    // Each of them must have done something worth being killed for.
    while round < rounds || (0..3).any(|number| count(number) < rounds / 20) {
        assert!(began.elapsed() < Duration::from_mins(20), "{done:?}");
        std::thread::sleep(Duration::from_millis(150 + random(450)));
        let number = usize::try_from(random(3)).unwrap();
        machines[number].kill();
        round += 1;
        if round % ROUNDS_PER_CHECK == 0 {
            for machine in &mut machines {
                let _ = machine.child.kill();
                let _ = machine.child.wait();
            }
            assert_all_restore(&repository);
            checks += 1;
            machines = (0..3).map(start).collect();
        } else {
            machines[number] = start(number);
        }
    }
    drop(machines);
    let left = assert_all_restore(&repository);
    let _ = writeln!(
        std::io::stderr(),
        "{round} rounds, each with a kill: {} + {} backups and {} prunes, {checks} checks, {left} backups left",
        count(0),
        count(1),
        count(2)
    );
    // Killed or not: a next night is not held up.
    back_up(&repository, "one").unwrap();
}
