//! The servers that the other tests stand on: that each version is what it says, and leaves nothing behind.

use crate::support::cluster::{Cluster, Options, SUPERUSER, skipped};
use crate::support::programs;

crate::each_version!(answers, |cluster| {
    let version = cluster.psql(SUPERUSER, "SHOW server_version_num");
    assert_eq!(
        version.parse::<u32>().unwrap() / 10000,
        cluster.version(),
        "{version}"
    );
    let mut client = cluster.connect(SUPERUSER);
    let row = client
        .query_one("SELECT current_user::text, getdatabaseencoding()", &[])
        .unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1)),
        (SUPERUSER, "UTF8")
    );
});

#[test]
fn at_least_one_version_is_at_hand() {
    let versions = programs::available_versions();
    assert!(
        !versions.is_empty(),
        "no PostgreSQL server at all: run `make setup`"
    );
}

#[test]
fn a_wrong_password_is_refused() {
    crate::support::cluster::on_version(15, |cluster| {
        let error = cluster
            .config(SUPERUSER)
            .password("wrong")
            .connect(postgres::NoTls)
            .err()
            .unwrap();
        assert_eq!(
            error.code(),
            Some(&postgres::error::SqlState::INVALID_PASSWORD),
            "{error}"
        );
    });
}

#[test]
fn a_cluster_takes_settings_survives_a_crash_and_leaves_nothing_behind() {
    let options = Options::new(15)
        .setting("wal_level", "minimal")
        .setting("max_wal_senders", "0");
    let mut cluster = match options.start() {
        Ok(cluster) => cluster,
        Err(unavailable) => return skipped(&unavailable),
    };
    assert_eq!(cluster.psql(SUPERUSER, "SHOW wal_level"), "minimal");
    cluster.psql(
        SUPERUSER,
        "CREATE TABLE kept AS SELECT 1 AS n; CHECKPOINT; CREATE DATABASE other",
    );
    cluster.crash();
    cluster.start_again();
    assert_eq!(cluster.psql(SUPERUSER, "SELECT n FROM kept"), "1");
    cluster.stop();
    cluster.start_again();

    let data = cluster.data();
    let pid: u32 = std::fs::read_to_string(data.join("postmaster.pid"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    drop(cluster);
    assert!(!data.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(Cluster::start(11).is_err_and(|unavailable| unavailable.version == 11));
}
