//! Imports point down: what `src/lib.rs` lists is in dependency order, and each layer uses those above it in that list.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; within one of them any order will do.
const LAYERS: &[&[&str]] = &[
    &["error", "wording", "progress", "config"],
    &["format", "codec", "chunk", "storage", "tree", "postgresql"],
    &[
        "repository",
        "instance",
        "tomcat",
        "source",
        "target",
        "log",
        "notify",
    ],
    &["job", "page"],
    &["schedule", "command"],
];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The crate's modules that a file names, as `crate::module` in code.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut modules = Vec::new();
    for line in code
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
    {
        for rest in line.split("crate::").skip(1) {
            let word: String = rest
                .chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect();
            modules.push(word);
        }
        if let Some(list) = line.strip_prefix("use crate::{") {
            modules.extend(
                list.split(',')
                    .map(|word| word.trim().trim_end_matches("};").to_owned()),
            );
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut checked: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        if matches!(module, "lib" | "bin") {
            continue;
        }
        let own = layer_of(module).unwrap_or_else(|| panic!("`{module}` has no layer"));
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            let Some(other) = layer_of(&import) else {
                wrong.push(format!(
                    "{} imports `{import}`, which has no layer",
                    relative.display()
                ));
                continue;
            };
            *checked.entry(module.to_owned()).or_default() += 1;
            if other > own {
                wrong.push(format!(
                    "{} imports `{import}` from above",
                    relative.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked.len() >= 5, "hardly an import was seen: {checked:?}");
}

#[test]
fn every_module_of_the_crate_stands_in_order() {
    let text = include_str!("../../src/lib.rs");
    let modules: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let layers: Vec<usize> = modules
        .iter()
        .map(|module| layer_of(module).unwrap_or_else(|| panic!("`{module}` has no layer")))
        .collect();
    assert!(layers.is_sorted(), "{modules:?}");
    assert!(modules.len() >= 10);
}

#[test]
fn every_file_opens_with_a_sentence_and_stays_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} does not say what it is",
            file.display()
        );
        let lines = text.lines().count();
        assert!(lines <= 650, "{} has {lines} lines", file.display());
    }
}

#[test]
fn the_library_neither_prints_nor_reads_the_environment_nor_exits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files
        .iter()
        .filter(|file| !file.starts_with(root.join("bin")))
    {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if line.trim().starts_with("//") {
                continue;
            }
            for word in ["println!", "print!", "env::var", "process::exit", "dbg!"] {
                assert!(
                    !line.contains(word),
                    "{}:{}: {word}",
                    file.display(),
                    number + 1
                );
            }
        }
    }
}
