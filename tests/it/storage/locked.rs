//! Buckets that keep versions and hold objects for a time: nothing is overwritten, and what was removed is still there.

use std::num::NonZeroU16;

use chrono::{TimeDelta, Utc};
use obbackup::codec::Compression;
use obbackup::config::ObjectLock;
use obbackup::format::record::LeaseMode;
use obbackup::progress::Silent;
use obbackup::repository::Repository;
use obbackup::repository::prune::PruneOptions;
use obbackup::storage;

use crate::support::backups::{contents, read_back, take};
use crate::support::cluster::skipped;
use crate::support::s3::S3Server;

/// Until when an object is held, in seconds since 1970.
fn held_until(server: &S3Server, bucket: &str, key: &str) -> Option<i64> {
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    server.run(move |client| async move {
        let head = client.head_object().bucket(bucket).key(key).send().await;
        let head = head.unwrap();
        head.object_lock_retain_until_date()
            .map(aws_sdk_s3::primitives::DateTime::secs)
    })
}

#[test]
fn a_locked_bucket_holds_packs_and_lets_leases_go() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let bucket = server.locking_bucket();
    let mut section = server.section(&bucket, "x");
    section.object_lock = Some(ObjectLock::Governance);
    section.object_lock_days = NonZeroU16::new(1);
    let storage = storage::open(&section, None).unwrap();
    let repository = Repository::init(storage.clone(), Compression::Zstd).unwrap();
    let kept = take(&repository, 1).unwrap();
    assert_eq!(storage.list("locks/").unwrap(), []);
    let packs = storage.list("packs/").unwrap();
    let pack = format!("x/{}", packs[0].path);
    let first = held_until(server, &bucket, &pack).unwrap();
    assert!(first > Utc::now().timestamp() + 23 * 3600, "{first}");
    assert_eq!(held_until(server, &bucket, "x/repo.json"), None);

    // The next backup relies on the pack, and holds it for as long as its own.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let same = take(&repository, 1).unwrap();
    let renewed = held_until(server, &bucket, &pack).unwrap();
    assert!(renewed > first, "{first} {renewed}");

    // What is removed is hidden by a marker; its version stays until its time is over.
    let gone = take(&repository, 40).unwrap();
    let backup = repository.resolve(&gone.to_hex(), None).unwrap();
    let lock = repository
        .lock(LeaseMode::Exclusive, "instance", "prune")
        .unwrap();
    repository.delete_backup(&backup, &lock).unwrap();
    let options = PruneOptions {
        grace: TimeDelta::zero(),
        repack_above_percent: 100,
        now: Utc::now(),
    };
    let pruned = repository.prune(&lock, &options, &Silent).unwrap();
    drop(lock);
    assert!(
        pruned.freed_packs > 0 || !pruned.notes.is_empty(),
        "{pruned:?}"
    );
    for id in [kept, same] {
        assert!(read_back(&repository, &id).unwrap() == contents(1));
    }
    let versions = {
        let bucket = bucket.clone();
        server.run(move |client| async move {
            let listed = client
                .list_object_versions()
                .bucket(bucket)
                .prefix("x/packs/");
            listed.send().await.unwrap().versions().len()
        })
    };
    let now = storage.list("packs/").unwrap().len();
    assert!(versions > now, "{versions} {now}");
}
