//! Every S3 server keeps the contract, at any prefix, with and without a bandwidth limit.

use std::num::{NonZeroU32, NonZeroU64};

use obbackup::config::Secret;
use obbackup::error::ErrorKind;
use obbackup::storage;

use super::contract;
use crate::support::cluster::skipped;
use crate::support::s3::{Kind, S3Server};

fn holds(server: &S3Server) {
    let bucket = server.bucket();
    contract::holds(&*storage::open(&server.section(&bucket, ""), None).unwrap());
    for prefix in ["a/b", "with space+plus&amp;%25/ünïcode 'quoted' (x)~"] {
        let section = server.section(&bucket, prefix);
        let storage = storage::open(&section, None).unwrap();
        contract::holds(&*storage);
        assert_eq!(storage.location(), format!("s3://{bucket}/{prefix}"));
    }
    // The neighbours' objects are not listed.
    let whole = storage::open(&server.section(&bucket, ""), None).unwrap();
    let all = whole.list("").unwrap().len();
    let part = storage::open(&server.section(&bucket, "a"), None).unwrap();
    assert!(part.list("").unwrap().len() * 2 < all);
}

#[test]
fn versitygw_keeps_the_contract() {
    match S3Server::shared() {
        Ok(server) => holds(server),
        Err(why) => skipped(&why),
    }
}

#[test]
fn minio_keeps_the_contract() {
    match S3Server::start(Kind::Minio) {
        Ok(server) => holds(&server),
        Err(why) => skipped(&why),
    }
}

/// In a process of its own: other tests' requests would end with the runtime.
#[test]
#[ignore = "run by the_runtime_ends_and_starts_again, in a process of its own"]
fn shutdown() {
    let server = S3Server::start(Kind::Versitygw).unwrap();
    let storage = storage::open(&server.section(&server.bucket(), "x"), None).unwrap();
    storage.create("a", b"a").unwrap();
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .filter(|name| name.starts_with("obbackup-s3"))
            .count()
    };
    assert!(threads() > 0);
    storage::s3::shutdown(std::time::Duration::from_secs(5));
    assert_eq!(threads(), 0);
    assert_eq!(storage.read("a").unwrap(), b"a");
}

#[test]
fn the_runtime_ends_and_starts_again() {
    if let Err(why) = S3Server::shared() {
        return skipped(&why);
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storage::conformance::shutdown", "--ignored"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_bandwidth_limit_is_kept_in_both_directions() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let mut section = server.section(&server.bucket(), "slow");
    section.bandwidth_bytes_per_second = NonZeroU64::new(1 << 20);
    // Far less than the transfer takes: pausing is not stalling.
    section.stall_seconds = NonZeroU32::new(1);
    let storage = storage::open(&section, None).unwrap();
    let bytes: Vec<u8> = (0..2_500_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let began = std::time::Instant::now();
    storage.create("packs/x", &bytes).unwrap();
    let written = began.elapsed();
    assert!(storage.read("packs/x").unwrap() == bytes);
    let read = began.elapsed().saturating_sub(written);
    assert!(written.as_millis() > 1900, "{written:?}");
    assert!(read.as_millis() > 1900, "{read:?}");
}

#[test]
fn wrong_keys_a_wrong_bucket_and_a_wrong_place_are_told_apart() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let bucket = server.bucket();
    let good = server.section(&bucket, "x");
    let refused = |change: &dyn Fn(&mut obbackup::config::RepositorySection)| {
        let mut section = good.clone();
        change(&mut section);
        section.give_up_after_seconds = NonZeroU32::new(2);
        let storage = storage::open(&section, None).unwrap();
        let error = storage.list("").unwrap_err();
        assert!(error.hint_text().is_some(), "{error:?}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        error
    };
    let secret = refused(&|section| section.secret_access_key = Some(Secret::new("hush")));
    assert_eq!(secret.kind(), ErrorKind::Denied);
    assert!(secret.to_string().contains("secret key"), "{secret}");
    let key = refused(&|section| section.access_key_id = Some("nobody".to_owned()));
    assert!(key.to_string().contains("access key"), "{key}");
    let bucket = refused(&|section| section.url = "s3://no-such-bucket/x".to_owned());
    assert!(
        bucket.to_string().contains("no bucket `no-such-bucket`"),
        "{bucket}"
    );
    let region = refused(&|section| section.region = Some("eu-west-3".to_owned()));
    assert!(
        region.hint_text().unwrap().contains("us-east-1"),
        "{region:?}"
    );
    let place = refused(&|section| section.endpoint = Some("http://127.0.0.1:1".to_owned()));
    assert_eq!(place.kind(), ErrorKind::Unreachable);
    assert!(place.to_string().contains("given up after"), "{place}");
    let name = refused(&|section| section.endpoint = Some("http://nowhere.invalid".to_owned()));
    assert_eq!(name.kind(), ErrorKind::Unreachable);
}
