//! Two passes over a tree of which things vanish in between.

use std::fs;
use std::path::Path;

use obbackup::progress::Silent;
use obbackup::source::files::{
    CaptureOptions, Exclusions, FilesCapture, Parent, capture, capture_aside,
};

use super::files::scratch;
use crate::support::tree::{Store, noise};

/// Two passes over `root` as a backup makes them, with `between` in their middle.
pub(super) fn two_passes(store: &Store, root: &Path, between: impl FnOnce()) -> FilesCapture {
    let options = CaptureOptions::default();
    let rules = Exclusions::none();
    let (_, mut first) = capture_aside(root, &rules, None, options, store, &Silent).unwrap();
    between();
    let options = CaptureOptions {
        keep_vanished: true,
        ..options
    };
    let parent: Parent<'_> = Box::new(first.entries().unwrap());
    capture(root, &rules, Some(parent), options, store, &Silent).unwrap()
}

#[test]
fn a_second_pass_keeps_what_vanished_since_the_first() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    let at = |name: &str| from.join(name);
    fs::create_dir_all(at("259/gone/deep")).unwrap();
    fs::create_dir_all(at("becomes a file")).unwrap();
    for index in 0..200 {
        fs::write(
            at(&format!("259/{index}.txt")),
            format!("attachment {index}"),
        )
        .unwrap();
    }
    fs::write(at("259/gone/deep/a"), b"a").unwrap();
    fs::write(at("259/large.pdf"), noise(1, 1 << 20)).unwrap();
    fs::write(at("becomes a file/x"), b"x").unwrap();
    fs::write(at("becomes a directory"), b"y").unwrap();
    fs::write(at("changes"), b"before").unwrap();
    // Links whose first or second name goes.
    fs::write(at("l1"), b"first").unwrap();
    fs::hard_link(at("l1"), at("l2")).unwrap();
    fs::write(at("m1"), b"m").unwrap();
    fs::hard_link(at("m1"), at("m2")).unwrap();
    fs::write(at("n1"), b"old n").unwrap();
    fs::hard_link(at("n1"), at("n2")).unwrap();
    fs::write(at("o1"), b"o").unwrap();
    fs::hard_link(at("o1"), at("o2")).unwrap();
    let store = Store::default();
    let captured = two_passes(&store, &from, || {
        fs::remove_file(at("259/7.txt")).unwrap();
        fs::remove_file(at("259/large.pdf")).unwrap();
        fs::remove_dir_all(at("259/gone")).unwrap();
        fs::remove_dir_all(at("becomes a file")).unwrap();
        fs::write(at("becomes a file"), b"now").unwrap();
        fs::remove_file(at("becomes a directory")).unwrap();
        fs::create_dir(at("becomes a directory")).unwrap();
        fs::write(at("becomes a directory/new"), b"new").unwrap();
        fs::write(at("changes"), b"after!").unwrap();
        fs::write(at("259/new.txt"), b"new").unwrap();
        fs::remove_file(at("l1")).unwrap();
        fs::remove_file(at("m2")).unwrap();
        fs::remove_file(at("n1")).unwrap();
        fs::remove_file(at("n2")).unwrap();
        fs::write(at("n1"), b"new n").unwrap();
        fs::hard_link(at("o1"), at("o0")).unwrap();
        fs::remove_file(at("o2")).unwrap();
    });
    assert!(!captured.captured.partial);
    assert_eq!(
        captured.captured.warnings.len(),
        1,
        "{:?}",
        captured.captured.warnings
    );
    assert!(captured.captured.warnings[0].contains("becomes a file/x"));
    store.restore(&captured, &to);
    let text = |name: &str| fs::read_to_string(to.join(name)).unwrap();
    assert_eq!(fs::read_dir(to.join("259")).unwrap().count(), 200 + 3);
    assert_eq!(text("259/7.txt"), "attachment 7");
    assert_eq!(text("259/new.txt"), "new");
    assert!(fs::read(to.join("259/large.pdf")).unwrap() == noise(1, 1 << 20));
    assert_eq!(text("259/gone/deep/a"), "a");
    assert_eq!(text("becomes a file"), "now");
    assert_eq!(text("becomes a directory/new"), "new");
    assert_eq!(text("changes"), "after!");
    for (name, content) in [
        ("l1", "first"),
        ("l2", "first"),
        ("m1", "m"),
        ("m2", "m"),
        ("n1", "new n"),
        ("n2", "old n"),
        ("o0", "o"),
        ("o1", "o"),
        ("o2", "o"),
    ] {
        assert_eq!(text(name), content, "{name}");
    }
}

#[test]
fn a_second_pass_over_what_did_not_change_reads_nothing() {
    let scratch = scratch();
    for index in 0..300 {
        fs::write(
            scratch.path().join(format!("{index}.txt")),
            format!("attachment {index}"),
        )
        .unwrap();
    }
    let store = Store::default();
    let captured = two_passes(&store, scratch.path(), || {});
    assert_eq!(captured.captured.files_read, 0);
    assert_eq!(
        captured.catalog,
        store.capture(scratch.path(), None).catalog
    );
}
