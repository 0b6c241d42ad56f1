//! All tests that need the program, a server or files: one binary, so that it links once and shares its servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod attachment_races;
mod clean_machine;
mod command_line;
mod complete;
mod crash;
mod damage;
mod database;
mod drill;
mod files;
mod files_changes;
mod files_hostile;
mod files_passes;
mod files_trouble;
mod forget;
mod full_device;
mod golden;
mod guard;
mod made_up_instance;
mod memory;
mod nasty;
mod neutralize;
mod nights;
mod nights_trouble;
mod notifications;
mod page_browser;
mod place;
mod prune;
mod reader;
mod restore_errors;
mod restore_faults;
mod restore_kills;
mod restore_live;
mod restore_states;
mod servers;
mod service;
mod stopping;
mod storage;
mod sweep;
mod ten_days;
mod tomcat;
mod trouble;
mod whole;
mod world;

/// A file that nobody lists is never compiled, and its tests are silently not run.
#[test]
fn every_file_is_listed() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed: Vec<&str> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(
            module == "main" || listed.contains(&module),
            "tests/it/{name} is not listed in main.rs"
        );
    }
}
