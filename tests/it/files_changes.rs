//! Any sequence of changes, each captured after the last, against a naive copy.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use obbackup::format::id::ChunkId;
use proptest::prelude::*;

use super::files::fast_scratch;
use super::files_passes::two_passes;
use crate::support::tree::{Store, assert_same, noise, set_mtime, sparse_file};

/// One change; names are numbers below, so that they meet each other often.
#[derive(Debug, Clone)]
enum Change {
    Write {
        at: usize,
        seed: u64,
        length: usize,
    },
    /// Same length, and the time set back: only the inode's own time tells.
    Rewrite {
        at: usize,
        seed: u64,
    },
    Append {
        at: usize,
    },
    Hole {
        at: usize,
    },
    Remove {
        at: usize,
    },
    Rename {
        at: usize,
        to: usize,
    },
    Link {
        at: usize,
        to: usize,
    },
    Symlink {
        at: usize,
        to: usize,
    },
    Directory {
        at: usize,
    },
    Mode {
        at: usize,
        mode: u32,
    },
    Touch {
        at: usize,
        seconds: i64,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..60usize;
    let length = prop_oneof![0..2000usize, 60_000..70_000usize, 900_000..1_500_000usize];
    prop_oneof![
        6 => (at.clone(), any::<u64>(), length)
            .prop_map(|(at, seed, length)| Change::Write { at, seed, length }),
        2 => (at.clone(), any::<u64>()).prop_map(|(at, seed)| Change::Rewrite { at, seed }),
        1 => at.clone().prop_map(|at| Change::Append { at }),
        1 => at.clone().prop_map(|at| Change::Hole { at }),
        2 => at.clone().prop_map(|at| Change::Remove { at }),
        2 => (at.clone(), at.clone()).prop_map(|(at, to)| Change::Rename { at, to }),
        2 => (at.clone(), at.clone()).prop_map(|(at, to)| Change::Link { at, to }),
        1 => (at.clone(), at.clone()).prop_map(|(at, to)| Change::Symlink { at, to }),
        2 => at.clone().prop_map(|at| Change::Directory { at }),
        1 => (at.clone(), 0..0o1000u32).prop_map(|(at, mode)| Change::Mode { at, mode }),
        1 => (at, -5_000_000_000..5_000_000_000i64)
            .prop_map(|(at, seconds)| Change::Touch { at, seconds }),
    ]
}

/// Paths of three levels, some of which are below others.
fn place(root: &Path, number: usize) -> PathBuf {
    let names = ["a", "a.b", "b", "m"];
    let mut path = root.join(names[number % 4]);
    if number / 4 > 0 {
        path.push(format!("{}", (number / 4) % 5));
    }
    if number >= 20 {
        path.push(names[number / 20]);
    }
    path
}

/// What cannot be done in the present tree is left.
fn apply(root: &Path, change: &Change) {
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_file());
    match change {
        Change::Write { at, seed, length } => {
            let path = place(root, *at);
            if !path.is_symlink() {
                fs::create_dir_all(path.parent().unwrap()).ok();
                fs::write(path, noise(*seed, *length)).ok();
            }
        }
        Change::Rewrite { at, seed } => {
            let path = place(root, *at);
            if is_file(&path) {
                let data = fs::metadata(&path).unwrap();
                fs::write(
                    &path,
                    noise(*seed, usize::try_from(data.len().min(1 << 20)).unwrap()),
                )
                .unwrap();
                let file = fs::File::options().append(true).open(&path).unwrap();
                file.set_modified(data.modified().unwrap()).unwrap();
            }
        }
        Change::Append { at } => {
            let path = place(root, *at);
            if is_file(&path) {
                let mut bytes = fs::read(&path).unwrap();
                bytes.extend_from_slice(b"more");
                fs::write(path, bytes).unwrap();
            }
        }
        Change::Hole { at } => {
            let path = place(root, *at);
            if is_file(&path) {
                sparse_file(
                    &path,
                    1 << 30,
                    &[(1 << 20, b"island"), (1 << 25, b"another")],
                );
            }
        }
        Change::Remove { at } => {
            let path = place(root, *at);
            fs::remove_file(&path)
                .or_else(|_| fs::remove_dir_all(&path))
                .ok();
        }
        Change::Rename { at, to } => {
            fs::rename(place(root, *at), place(root, *to)).ok();
        }
        Change::Link { at, to } => {
            // Several names of one symbolic link come back as several links.
            if is_file(&place(root, *at)) {
                fs::hard_link(place(root, *at), place(root, *to)).ok();
            }
        }
        Change::Symlink { at, to } => {
            symlink(place(root, *to), place(root, *at)).ok();
        }
        Change::Directory { at } => {
            fs::create_dir_all(place(root, *at)).ok();
        }
        Change::Mode { at, mode } => {
            let path = place(root, *at);
            if !path.is_symlink() {
                fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o700)).ok();
            }
        }
        Change::Touch { at, seconds } => {
            let path = place(root, *at);
            if fs::symlink_metadata(&path).is_ok() {
                set_mtime(&path, *seconds, 7);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_state_comes_back(steps in prop::collection::vec(prop::collection::vec(change(), 1..25), 1..5)) {
        let scratch = fast_scratch();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let store = Store::default();
        let mut states = Vec::new();
        for (index, changes) in steps.iter().enumerate() {
            for change in changes {
                apply(&tree, change);
            }
            let captured = store.capture(&tree, states.last().map(|(captured, _)| captured));
            prop_assert_eq!(&captured.captured.warnings, &Vec::<String>::new());
            // As if there had been nothing before.
            let fresh = Store::default();
            prop_assert_eq!(&fresh.capture(&tree, None).catalog, &captured.catalog);
            let copy = scratch.path().join(format!("copy{index}"));
            prop_assert!(Command::new("cp").args(["-a", "--sparse=always"]).args([&tree, &copy]).status().unwrap().success());
            states.push((captured, copy));
        }
        for (index, (captured, copy)) in states.iter().enumerate() {
            let to = scratch.path().join(format!("to{index}"));
            store.restore(captured, &to);
            assert_same(copy, &to);
        }
    }

    #[test]
    fn two_passes_hold_what_either_saw(
        before in prop::collection::vec(change(), 1..40),
        between in prop::collection::vec(change(), 1..40),
    ) {
        let scratch = fast_scratch();
        let (tree, to) = (scratch.path().join("tree"), scratch.path().join("to"));
        fs::create_dir(&tree).unwrap();
        for change in &before {
            apply(&tree, change);
        }
        let earlier = contents(&tree);
        let store = Store::default();
        let captured = two_passes(&store, &tree, || {
            for change in &between {
                apply(&tree, change);
            }
        });
        store.restore(&captured, &to);
        let (later, restored) = (contents(&tree), contents(&to));
        for (path, content) in &later {
            prop_assert_eq!(restored.get(path), Some(content), "{:?} of the second pass", path);
        }
        for (path, content) in &earlier {
            let parent = path.parent().unwrap();
            let has_room = parent == Path::new("") || restored.get(parent) == Some(&Seen::Directory);
            if !later.contains_key(path) && has_room {
                prop_assert_eq!(restored.get(path), Some(content), "{:?} of the first pass", path);
            }
        }
        for path in restored.keys() {
            prop_assert!(later.contains_key(path) || earlier.contains_key(path), "{:?}", path);
        }
    }
}

/// What a path holds.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Directory,
    Symlink(PathBuf),
    /// By its digest: contents are long.
    File(ChunkId),
}

/// Everything below `root`, by relative path.
fn contents(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let seen = if kind.is_dir() {
                waiting.push(path.clone());
                Seen::Directory
            } else if kind.is_symlink() {
                Seen::Symlink(fs::read_link(&path).unwrap())
            } else if kind.len() == 1 << 30 {
                // Mostly a hole: the ends of its data are enough.
                let file = fs::File::open(&path).unwrap();
                let mut data = [0; 16];
                file.read_exact_at(&mut data[..8], 1 << 20).unwrap();
                file.read_exact_at(&mut data[8..], 1 << 25).unwrap();
                Seen::File(ChunkId::of(&data))
            } else {
                Seen::File(ChunkId::of(&fs::read(&path).unwrap()))
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), seen);
        }
    }
    found
}
