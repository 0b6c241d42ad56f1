//! Targets that hold something, catalogs that lie, and data that is not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use obbackup::error::{Error, ErrorKind};
use obbackup::format::file::{Content, FileEntry, InBundle, Node, Time};
use obbackup::progress::Silent;
use obbackup::target::files::{RestoreOptions, restore};

use super::files::{bundle_of, many_small, scratch};
use crate::support::tree::Store;

#[test]
fn a_target_that_holds_something_is_left_alone() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    many_small(&from, 3);
    fs::create_dir(&to).unwrap();
    fs::write(to.join("precious"), b"1").unwrap();
    let store = Store::default();
    let captured = store.capture(&from, None);
    for target in [to.clone(), to.join("precious")] {
        let catalog = || Ok(store.entries(&captured.catalog));
        let error = restore(
            &store,
            catalog,
            &target,
            None,
            RestoreOptions::default(),
            &Silent,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert!(error.hint_text().is_some());
    }
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    assert_eq!(fs::read(to.join("precious")).unwrap(), b"1");
}

fn entry(path: &str, node: Node) -> FileEntry {
    FileEntry {
        path: path.into(),
        node,
        mode: 0o755,
        uid: 0,
        gid: 0,
        user: None,
        group: None,
        mtime: Time(1, 0),
        xattrs: std::collections::BTreeMap::new(),
        seen: None,
    }
}

#[test]
#[allow(clippy::too_many_lines)] // One list of what can be tried.
fn a_hostile_catalog_reaches_nothing_outside_its_target() {
    let scratch = scratch();
    let store = Store::default();
    let chunk = obbackup::chunk::ChunkSink::put(&store, b"evil").unwrap();
    let file = |path: &str| {
        let chunks = vec![chunk];
        entry(
            path,
            Node::File(Content {
                size: 4,
                chunks,
                ..Content::default()
            }),
        )
    };
    let link = |path: &str, target: &str| {
        entry(
            path,
            Node::Symlink {
                target: target.into(),
            },
        )
    };
    let name = |path: &str, target: &str| {
        entry(
            path,
            Node::Hardlink {
                target: target.into(),
            },
        )
    };
    let directory = |path: &str| entry(path, Node::Directory);
    let in_bundle = |path: &str, offset, size| {
        let bundle = Some(InBundle { chunk, offset });
        entry(
            path,
            Node::File(Content {
                size,
                bundle,
                ..Content::default()
            }),
        )
    };
    let outside = scratch.path().join("outside");
    fs::write(&outside, b"mine").unwrap();
    let up = outside.to_str().unwrap();
    let hostile = vec![
        vec![file("../outside")],
        vec![directory("a"), file("a/../../outside")],
        vec![file(up)],
        vec![
            link("a", scratch.path().to_str().unwrap()),
            file("a/outside"),
        ],
        vec![link("a", up), file("a")],
        vec![directory("a"), link("a", up), file("a/x")],
        vec![name("b", "../outside")],
        vec![name("b", up)],
        vec![link("a", up), name("b", "a")],
        vec![directory("a"), name("b", "a")],
        vec![name("b", "a")],
        vec![directory("a"), directory("a")],
        vec![file("a"), file("a")],
        vec![in_bundle("a", 0, 5)],
        vec![in_bundle("a", u64::MAX, 4)],
        vec![in_bundle("a", 3, u64::MAX >> 1)],
        vec![entry(
            "a",
            Node::File(Content {
                size: 3,
                chunks: vec![chunk],
                ..Content::default()
            }),
        )],
        vec![entry(
            "a",
            Node::File(Content {
                size: 5,
                chunks: vec![chunk],
                ..Content::default()
            }),
        )],
        vec![entry(
            "a",
            Node::File(Content {
                size: 9,
                chunks: vec![chunk],
                extents: Some(vec![(8, 4)]),
                ..Content::default()
            }),
        )],
    ];
    for (index, mut entries) in hostile.into_iter().enumerate() {
        entries.insert(0, directory(""));
        let to = scratch.path().join(format!("to{index}"));
        let catalog = || Ok(entries.clone().into_iter().map(Ok::<_, Error>));
        let error = restore(
            &store,
            catalog,
            &to,
            None,
            RestoreOptions::default(),
            &Silent,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{index}: {error}");
        assert!(error.to_string().contains('`'), "{index}: {error}");
        assert_eq!(fs::read(&outside).unwrap(), b"mine", "{index}");
    }
    // What a catalog cannot even say.
    for line in [
        r#"{"path":"a","kind":"device","mode":438,"uid":0,"gid":0,"mtime":[0,0]}"#,
        r#"{"path":7}"#,
        "{",
    ] {
        let bytes = format!(
            "{}\n{line}\n",
            String::from_utf8(obbackup::format::catalog::to_json(&directory("")).unwrap()).unwrap()
        );
        let to = scratch.path().join("said");
        let catalog = || {
            Ok(obbackup::format::catalog::entries::<_, FileEntry>(
                bytes.as_bytes(),
            ))
        };
        let error = restore(
            &store,
            catalog,
            &to,
            None,
            RestoreOptions::default(),
            &Silent,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{line}");
        fs::remove_dir(&to).unwrap();
    }
    assert_eq!(
        fs::metadata(&outside).unwrap().permissions().mode() & 0o777,
        0o644
    );
}

#[test]
fn damage_is_named_and_stops_the_restore() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    many_small(&from, 20);
    let store = Store::default();
    let captured = store.capture(&from, None);
    let bundle = store
        .all(&captured.catalog)
        .iter()
        .find_map(bundle_of)
        .unwrap();
    store.chunks.lock().unwrap().remove(&bundle.chunk);
    let catalog = || Ok(store.entries(&captured.catalog));
    let error = restore(
        &store,
        catalog,
        &to,
        None,
        RestoreOptions::default(),
        &Silent,
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("C0.java"), "{error}");
}
