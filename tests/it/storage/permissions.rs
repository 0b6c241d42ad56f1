//! What a policy forbids: it is named, and where the work can go on without it goes on.

use std::fs;

use serde_json::Value;

use super::story::configure_at;
use crate::support::backups::contents;
use crate::support::cluster::skipped;
use crate::support::proxy::Proxy;
use crate::support::s3::S3Server;
use crate::world::{World, errors};

fn world(name: &str) -> Option<(World, Proxy)> {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => {
            skipped(&why);
            return None;
        }
    };
    let world = World::new(name)?;
    let proxy = Proxy::start(server.port());
    configure_at(&world, &proxy.endpoint(), &server.bucket());
    Some((world, proxy))
}

#[test]
fn a_trial_names_the_permission_that_is_missing() {
    let Some((world, proxy)) = world("forbidden") else {
        return;
    };
    for (operation, permission, failing) in [
        ("PUT", "s3:PutObject", vec!["write"]),
        (
            "GET",
            "s3:GetObject",
            vec!["read", "read a range", "create once", "absence"],
        ),
        ("LIST", "s3:ListBucket", vec!["list"]),
        ("DELETE", "s3:DeleteObject", vec!["delete"]),
    ] {
        proxy.deny(Some((operation, "")));
        let output = world.output(&["--json", "storage", "test"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{operation}: {}",
            errors(&output)
        );
        let tried: Value = serde_json::from_slice(&output.stdout).unwrap();
        let failed: Vec<&Value> = tried["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|step| step["result"] == "failure")
            .collect();
        let names: Vec<&str> = failed
            .iter()
            .map(|step| step["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, failing, "{operation}: {tried}");
        for step in failed {
            let remedy = step["remedy"].as_str().unwrap();
            assert!(remedy.contains(permission), "{operation}: {step}");
        }
    }
    proxy.deny(None);
    assert_eq!(world.json(&["storage", "test"])["works"], true);
}

#[test]
fn doctor_names_the_permission_that_is_missing() {
    let Some((world, proxy)) = world("unhealthy") else {
        return;
    };
    let made = world.output(&["init", "--repository", "cloud"]);
    assert!(made.status.success(), "{}", errors(&made));
    let permissions = || {
        let output = world.output(&["--json", "doctor", "--repository", "cloud"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut checks = found["checks"].as_array().unwrap().clone();
        checks.retain(|check| check["name"] == "permissions");
        assert_eq!(checks.len(), 1, "{found}");
        checks.remove(0)
    };
    assert_eq!(permissions()["result"], "ok");
    for (operation, permission) in [("PUT", "s3:PutObject"), ("DELETE", "s3:DeleteObject")] {
        proxy.deny(Some((operation, "")));
        let check = permissions();
        assert_eq!(check["result"], "failure", "{check}");
        let remedy = check["remedy"].as_str().unwrap();
        assert!(remedy.contains(permission), "{check}");
    }
    // Where nothing that is configured writes, reading is enough.
    let path = world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("default_"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let elsewhere =
        "default_repository = \"elsewhere\"\n[repository.elsewhere]\nurl = \"/elsewhere\"\n";
    fs::write(&path, format!("{elsewhere}{text}")).unwrap();
    for (operation, result) in [
        ("PUT", "warning"),
        ("DELETE", "warning"),
        ("LIST", "failure"),
    ] {
        proxy.deny(Some((operation, "trials")));
        let check = permissions();
        assert_eq!(check["result"], result, "{operation}: {check}");
    }
}

/// As the README's policy for whoever must not lose backups to a thief: nothing below these can be deleted.
#[test]
fn deletes_that_are_denied_are_told_and_passed_over() {
    let Some((world, proxy)) = world("undeletable") else {
        return;
    };
    let made = world.output(&["init", "--repository", "cloud"]);
    assert!(made.status.success(), "{}", errors(&made));
    world.json(&["backup"]);
    // A pack of its own, that nothing needs when its backup is gone.
    let passing = world.instance.sources.join("modules/passing");
    fs::write(&passing, contents(7).remove(0).1).unwrap();
    let gone = world.json(&["backup"]);
    fs::remove_file(&passing).unwrap();
    let kept = world.json(&["backup"]);

    proxy.deny(Some(("DELETE", "/backups/")));
    let output = world.output(&["--json", "forget", "--keep-last", "1"]);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let forgotten: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(forgotten["forgotten"], serde_json::json!([]), "{forgotten}");
    let note = forgotten["notes"][0].as_str().unwrap();
    assert!(
        note.contains("stays") && note.contains("AccessDenied"),
        "{note}"
    );
    let listed = world.json(&["list"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 3, "{listed}");

    proxy.deny(Some(("DELETE", "/packs/")));
    let forgotten = world.json(&["forget", "--keep-last", "1"]);
    assert_eq!(forgotten["forgotten"][1], gone["id"], "{forgotten}");
    let pruned = world.json(&["prune", "--grace-hours", "0"]);
    assert_eq!(pruned["freed_packs"], 0, "{pruned}");
    let notes = pruned["notes"].to_string();
    assert!(notes.contains("left where it is"), "{pruned}");
    let sound = world.json(&["verify", "--read-data"]);
    // The pack that stays is of no use to anybody, which is worth a note.
    assert_eq!(sound["sound"], true, "{sound}");
    let listed = world.json(&["list"]);
    assert_eq!(listed["backups"][0]["id"], kept["id"], "{listed}");

    // A day on which it is allowed makes up for it.
    proxy.deny(None);
    let pruned = world.json(&["prune", "--grace-hours", "0"]);
    assert!(pruned["freed_packs"].as_u64() > Some(0), "{pruned}");
}
