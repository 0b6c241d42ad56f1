//! The machine dies: an instance backed up to a bucket comes back on another machine that knows only the bucket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::cluster::{Cluster, skipped};
use crate::support::instance::{Instance, Size};
use crate::support::s3::{ACCESS_KEY, REGION, S3Server, SECRET_KEY};
use crate::support::tree::assert_same;
use crate::world::{World, errors, number};

/// What the administrator writes: the bucket and how to reach it.
pub fn configure(world: &World, server: &S3Server, bucket: &str) {
    configure_at(world, &server.endpoint(), bucket);
}

/// The same with another way to the server.
pub fn configure_at(world: &World, endpoint: &str, bucket: &str) {
    let file = world.instance.sources.join("config/obbackup.toml");
    let text = format!(
        "[repository.cloud]\nurl = \"s3://{bucket}/openbravo\"\nendpoint = \"{endpoint}\"\nregion = \"{REGION}\"\n\
         access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\"\n"
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn an_instance_comes_back_from_its_bucket_on_another_machine() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let Some(world) = World::new("alex") else {
        return;
    };
    let bucket = server.bucket();
    configure(&world, server, &bucket);
    let made = world.output(&["init", "--repository", "cloud"]);
    assert!(made.status.success(), "{}", errors(&made));
    let listed = world.json(&["storage", "list"]);
    assert_eq!(
        listed["repositories"].as_array().unwrap().len(),
        1,
        "{listed}"
    );
    assert_eq!(listed["repositories"][0]["default"], true, "{listed}");
    let tried = world.json(&["storage", "test"]);
    assert_eq!(tried["works"], true, "{tried}");
    assert_eq!(tried["steps"].as_array().unwrap().len(), 8, "{tried}");

    let first = world.json(&["backup", "--type", "scheduled"]);
    assert_eq!(first["status"], "good", "{first}");
    world.instance.day(&world.cluster.config("postgres"));
    world
        .cluster
        .psql("alex", "REFRESH MATERIALIZED VIEW sales_of_month_mv");
    let last = world.json(&["backup", "--type", "scheduled"]);
    assert!(number(&last, "stored_bytes") * 4 < number(&first, "stored_bytes"));
    let sound = world.json(&["verify", "--read-data"]);
    assert_eq!(sound["findings"], serde_json::json!([]), "{sound}");
    let rows = world.rows("alex");

    // Kept for the comparison, out of everybody's reach; then nothing is left.
    let kept = tempfile::tempdir().unwrap();
    for (from, to) in [
        (&world.instance.sources, "sources"),
        (&world.instance.attachments, "attachments"),
        (&world.instance.deploy, "deploy"),
    ] {
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(kept.path().join(to))
            .status();
        assert!(copied.unwrap().success());
    }
    world.cluster.psql("postgres", "DROP DATABASE alex");
    drop(world);

    let another = machine();
    configure(&another, server, &bucket);
    let listed = another.json(&["list", "--all-instances"]);
    let backups = listed["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{listed}");
    assert_eq!(backups[0]["id"], last["id"]);
    let id = &last["id"].as_str().unwrap()[..8];
    let place = another.path("restored");
    another.json(&[
        "restore",
        id,
        "--to-database",
        "alex",
        "--to-directory",
        place.to_str().unwrap(),
        "--yes",
    ]);
    assert_eq!(rows, another.rows("alex"));
    assert_same(&kept.path().join("attachments"), &place.join("attachments"));
    assert_same(&kept.path().join("deploy"), &place.join("deploy"));
    assert_same(
        &kept.path().join("sources/config"),
        &place.join("configuration"),
    );
    assert_same(
        &kept.path().join("sources/modules"),
        &place.join("sources/modules"),
    );
}

/// Another machine: a server of its own, and the stack with an empty instance.
fn machine() -> World {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(15).unwrap()));
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::create(
        &cluster.config("postgres"),
        directory.path(),
        "fresh",
        Size::of(5, 50),
    );
    World {
        directory,
        cluster,
        instance,
    }
}
