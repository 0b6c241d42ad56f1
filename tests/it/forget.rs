//! Forgetting, pinning and pruning as a person does it, on a whole instance.

use std::fs;

use serde_json::Value;

use crate::world::{World, errors, number};

fn id(taken: &Value) -> String {
    taken["id"].as_str().unwrap().to_owned()
}

/// Ids and whether they stay, the newest first.
fn judged(plan: &Value) -> Vec<(String, bool)> {
    let backups = plan["backups"].as_array().unwrap();
    backups
        .iter()
        .map(|backup| (id(backup), backup["kept"].as_bool().unwrap()))
        .collect()
}

/// The first of `taken` is pinned, and nothing guards the others.
fn assert_room_overrules_rules_and_no_guard(world: &World, taken: &[String]) {
    for (gib, fits, goes) in [("1", true, 0), ("0", false, 4)] {
        let plan = world.json(&["forget", "--dry-run", "--max-space-gib", gib]);
        assert_eq!(plan["goes"], goes, "{plan:#}");
        let judged = judged(&plan);
        let expected = |id| judged.contains(&(String::clone(id), fits));
        assert!(taken[1..].iter().all(expected), "{plan:#}");
        assert!(judged.contains(&(taken[0].clone(), true)), "{plan:#}");
        let why = &plan["backups"][2]["reasons"][0];
        let words = "older than what fits into the limit of space";
        assert_eq!(why == words, !fits, "{plan:#}");
    }
}

#[test]
fn what_no_rule_keeps_goes_and_the_rest_can_be_restored() {
    let Some(world) = World::new("forgetful") else {
        return;
    };
    world.init();
    world.refused(&["forget"], 2, &["no rules", "[retention.scheduled]"]);
    let nothing = ["forget", "--keep-last", "0", "--keep-daily", "0"];
    world.refused(&nothing, 2, &["would keep nothing", "--keep-daily 7"]);
    let mut taken = Vec::new();
    for night in 0..5 {
        fs::write(
            world.instance.attachments.join("large.bin"),
            (0..400_000_u32)
                .flat_map(|index| (index.wrapping_mul(2_654_435_761 + night)).to_le_bytes())
                .collect::<Vec<u8>>(),
        )
        .unwrap();
        taken.push(id(&world.json(&["backup", "--type", "scheduled"])));
    }
    let before = id(&world.json(&["backup", "--type", "automated"]));
    let part = id(&world.json(&["backup", "--type", "scheduled", "--only", "attachments"]));

    world.json(&["pin", &taken[0]]);
    let pinned = world.json(&["pin", &taken[1]]);
    assert_eq!(pinned["pinned"], true);
    // Marks have a time of whole seconds: the later of two is the later second's.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(world.json(&["unpin", &taken[1]])["pinned"], false);
    assert_eq!(world.json(&["show", &taken[0]])["pinned"], true);
    assert_eq!(world.json(&["show", &taken[1]])["pinned"], false);

    let rules = ["--keep-last", "2", "--type", "scheduled"];
    let plan = world.json(&[&["forget", "--dry-run"], &rules[..]].concat());
    let expected: Vec<_> = [
        (&part, true),
        (&before, true),
        (&taken[4], true),
        (&taken[3], true),
        (&taken[2], false),
        (&taken[1], false),
        (&taken[0], true),
    ]
    .into_iter()
    .map(|(id, kept)| (id.clone(), kept))
    .collect();
    assert_eq!(judged(&plan), expected, "{plan:#}");
    assert_eq!(plan["backups"][6]["reasons"][0], "pinned");
    assert_eq!(
        plan["backups"][1]["reasons"][0],
        "the last good one with the database"
    );
    assert_eq!(plan["backups"][4]["reasons"][0], "no rule keeps it");
    let shown = world.output(&[&["forget", "--dry-run"], &rules[..]].concat());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("forget") && shown.contains("no rule keeps it"),
        "{shown}"
    );
    assert_eq!(
        world.json(&["list"])["backups"].as_array().unwrap().len(),
        7
    );

    assert_room_overrules_rules_and_no_guard(&world, &taken);

    // The same rules from the file.
    let configuration = world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(
        &configuration,
        text + "\n[retention.scheduled]\nkeep_last = 2\n",
    )
    .unwrap();
    let used = number(&world.json(&["storage", "df"]), "repository_bytes");
    let forgotten = world.json(&["forget", "--prune"]);
    assert_eq!(
        forgotten["forgotten"].as_array().unwrap().len(),
        2,
        "{forgotten}"
    );
    assert_eq!(forgotten["prune"]["freed_packs"], 0);
    let planned = world.json(&["prune", "--dry-run", "--grace-hours", "0"]);
    let pruned = world.json(&["prune", "--grace-hours", "0"]);
    assert!(number(&pruned, "freed_bytes") > 2_000_000, "{pruned}");
    assert_eq!(planned["freed_packs"], pruned["freed_packs"]);
    let now = number(&world.json(&["storage", "df"]), "repository_bytes");
    assert!(now < used - 2_000_000, "{used} {now}");
    world.json(&["verify", "--read-data"]);
    let there = world.json(&["list"]);
    let there: Vec<_> = there["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(id)
        .collect();
    let expected = [&part, &before, &taken[4], &taken[3], &taken[0]].map(Clone::clone);
    assert_eq!(there, expected);
    let to = world.path("restored");
    world.json(&["restore", &taken[0], "--to-directory", to.to_str().unwrap()]);
    assert!(to.join("attachments/large.bin").exists());
    let output = world.output(&["delete", &taken[0], "--yes"]);
    assert!(output.status.success(), "{}", errors(&output));
}
