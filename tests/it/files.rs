//! A tree comes back as it was, and costs the second time what has changed.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use obbackup::chunk::ChunkSource as _;
use obbackup::error::ErrorKind;
use obbackup::format::bytes::ByteString;
use obbackup::format::file::{FileEntry, InBundle, Node};
use obbackup::progress::Silent;
use obbackup::source::files::{CaptureOptions, Exclusions, capture, paths_present};
use obbackup::target::files::{CompareOptions, RestoreOptions, cat, compare, restore};

use crate::support::tree::{Store, assert_same, is_root, noise, odd_tree};

const EVERYTHING: CompareOptions = CompareOptions {
    content: true,
    owner: true,
    attributes: true,
};

pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// In memory where that can be: how fast a disk makes files is not always what is asked.
pub(super) fn fast_scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| scratch())
}

/// The bundle of a file.
pub(super) fn bundle_of(entry: &FileEntry) -> Option<InBundle> {
    match &entry.node {
        Node::File(content) => content.bundle,
        _ => None,
    }
}

/// Some hundred small files in some directories, as sources are.
pub(super) fn many_small(root: &Path, count: usize) {
    for index in 0..count {
        let directory = root.join(format!("org/openbravo/m{:03}", index / 50));
        fs::create_dir_all(&directory).unwrap();
        let text = format!("public class C{index} {{}}\n").repeat(1 + index * 37 % 900);
        fs::write(directory.join(format!("C{index}.java")), text).unwrap();
    }
}

#[test]
fn everything_that_a_file_system_holds_comes_back() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs::create_dir(&from).unwrap();
    odd_tree(&from);
    let store = Store::default();
    let begun = Instant::now();
    let captured = store.capture(&from, None);
    assert!(begun.elapsed().as_secs() < 20, "holes are not read");
    assert_eq!(captured.captured.warnings, Vec::<String>::new());
    assert!(!captured.captured.partial);
    assert_eq!(captured.captured.files, captured.captured.files_read);
    let restored = store.restore(&captured, &to);
    assert_eq!(restored.warnings, Vec::<String>::new());
    assert_eq!(restored.files, captured.captured.files);
    assert_eq!(restored.bytes, captured.captured.bytes);
    assert_eq!(restored.hardlinks, 3);
    assert_same(&from, &to);
    let differences = compare(
        &store,
        store.entries(&captured.catalog),
        &to,
        EVERYTHING,
        &Silent,
    );
    assert_eq!(differences.unwrap(), Vec::<String>::new());
}

#[test]
fn an_unchanged_tree_is_not_read_and_has_the_same_catalog() {
    let scratch = scratch();
    odd_tree(scratch.path());
    let store = Store::default();
    let first = store.capture(scratch.path(), None);
    let chunks = store.len();
    // Reading changes the access times, which must not matter.
    assert!(
        Command::new("tar")
            .args(["-cf", "/dev/null", "-C"])
            .arg(scratch.path())
            .arg(".")
            .status()
            .unwrap()
            .success()
    );
    let second = store.capture(scratch.path(), Some(&first));
    assert_eq!(second.captured.files_read, 0);
    assert_eq!(second.captured.bytes_read, 0);
    assert_eq!(
        store.catalog_bytes(&second.catalog),
        store.catalog_bytes(&first.catalog)
    );
    assert_eq!(second.catalog, first.catalog);
    assert_eq!(second.captured.bytes, first.captured.bytes);
    assert_eq!(store.len(), chunks);
    // Read once more on request: the same chunks.
    let options = CaptureOptions {
        reread_all: true,
        ..CaptureOptions::default()
    };
    let parent = Box::new(store.entries(&first.catalog));
    let third = capture(
        scratch.path(),
        &Exclusions::none(),
        Some(parent),
        options,
        &store,
        &Silent,
    )
    .unwrap();
    assert_eq!(third.captured.files_read, first.captured.files);
    assert_eq!(third.catalog, first.catalog);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let scratch = scratch();
    many_small(scratch.path(), 600);
    let store = Store::default();
    let catalogs: HashSet<_> = [1, 2, 7]
        .into_iter()
        .map(|jobs| {
            let options = CaptureOptions {
                jobs,
                ..CaptureOptions::default()
            };
            let captured = capture(
                scratch.path(),
                &Exclusions::none(),
                None,
                options,
                &store,
                &Silent,
            );
            captured.unwrap().catalog.chunks
        })
        .collect();
    assert_eq!(catalogs.len(), 1);
}

#[test]
fn a_small_change_costs_one_bundle() {
    let scratch = scratch();
    many_small(scratch.path(), 2000);
    let store = Store::default();
    let first = store.capture(scratch.path(), None);
    let entries = store.all(&first.catalog);
    let bundles: HashSet<_> = entries
        .iter()
        .filter_map(bundle_of)
        .map(|place| place.chunk)
        .collect();
    assert!(bundles.len() > 20, "{} bundles", bundles.len());
    let largest = bundles
        .iter()
        .map(|id| store.get(id).unwrap().len())
        .max()
        .unwrap();
    assert!(largest < 3 << 20, "{largest}");
    let change = |what: &str, change: &dyn Fn()| {
        let before = store.capture(scratch.path(), Some(&first));
        change();
        let after = store.capture(scratch.path(), Some(&before));
        let bundles = |capture: &obbackup::source::files::FilesCapture| -> HashSet<_> {
            let entries = store.all(&capture.catalog);
            entries
                .iter()
                .filter_map(bundle_of)
                .map(|place| place.chunk)
                .collect()
        };
        let new = bundles(&after).difference(&bundles(&before)).count();
        assert!(new <= 2, "{what}: {new} new bundles");
        assert!(
            after.captured.files_read < 400,
            "{what}: {} read",
            after.captured.files_read
        );
        let fresh = Store::default();
        let whole = fresh.capture(scratch.path(), None);
        assert_eq!(
            whole.catalog, after.catalog,
            "{what}: as if nothing had been there before"
        );
    };
    let at = |name: &str| scratch.path().join("org/openbravo").join(name);
    change("changed", &|| {
        fs::write(at("m010/C520.java"), b"class C {}").unwrap();
    });
    change("added", &|| {
        fs::write(at("m020/Added.java"), b"class Added {}").unwrap();
    });
    change("removed", &|| {
        fs::remove_file(at("m030/C1520.java")).unwrap();
    });
    change("first removed", &|| {
        fs::remove_file(at("m000/C0.java")).unwrap();
    });
    change("renamed", &|| {
        fs::rename(at("m005/C260.java"), at("m005/Z.java")).unwrap();
    });
}

#[test]
fn a_bundle_is_a_tar_that_tar_unpacks() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    many_small(&from, 30);
    let long = format!("{}/{}", "l".repeat(120), "m".repeat(200));
    fs::create_dir(from.join("l".repeat(120))).unwrap();
    fs::write(from.join(&long), b"long").unwrap();
    fs::set_permissions(from.join(&long), fs::Permissions::from_mode(0o640)).unwrap();
    let store = Store::default();
    let captured = store.capture(&from, None);
    fs::create_dir(&to).unwrap();
    let entries = store.all(&captured.catalog);
    let bundles: HashSet<_> = entries
        .iter()
        .filter_map(bundle_of)
        .map(|place| place.chunk)
        .collect();
    for id in bundles {
        let path = scratch.path().join("bundle.tar");
        fs::write(&path, store.get(&id).unwrap()).unwrap();
        let tar = Command::new("tar")
            .arg("-xpf")
            .arg(&path)
            .arg("-C")
            .arg(&to)
            .status();
        assert!(tar.unwrap().success());
    }
    for entry in entries.iter().filter(|entry| bundle_of(entry).is_some()) {
        let name = std::str::from_utf8(entry.path.as_bytes()).unwrap();
        let (there, here) = (from.join(name), to.join(name));
        assert_eq!(fs::read(&there).unwrap(), fs::read(&here).unwrap());
        let (there, here) = (fs::metadata(there).unwrap(), fs::metadata(here).unwrap());
        assert_eq!(there.permissions(), here.permissions());
        assert_eq!((there.mtime(), there.uid()), (here.mtime(), here.uid()));
    }
}

#[test]
fn each_bundle_is_decoded_once() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    many_small(&from, 1000);
    fs::write(from.join("org/openbravo/m005/large"), noise(1, 300 << 10)).unwrap();
    let store = Store::default();
    let captured = store.capture(&from, None);
    let before = store.gets();
    store.restore(&captured, &to);
    let catalog_reads = 2 * captured.catalog.chunks.len();
    assert_eq!(
        store.gets() - before,
        store.len() - captured.catalog.chunks.len() + catalog_reads
    );
}

#[test]
fn a_hundred_thousand_files_come_back() {
    let scratch = fast_scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    for directory in 0..100 {
        let path = from.join(format!("d{directory}"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..1000 {
            fs::write(path.join(format!("f{file}")), format!("{directory} {file}")).unwrap();
        }
    }
    let store = Store::default();
    let begun = Instant::now();
    let captured = store.capture(&from, None);
    let first = begun.elapsed();
    let begun = Instant::now();
    let again = store.capture(&from, Some(&captured));
    let second = begun.elapsed();
    let begun = Instant::now();
    store.restore(&captured, &to);
    println!(
        "100,000 files: captured in {first:.2?}, again in {second:.2?}, restored in {:.2?}",
        begun.elapsed()
    );
    assert_eq!(captured.captured.files, 100_000);
    assert_eq!(again.captured.files_read, 0);
    assert_eq!(again.catalog, captured.catalog);
    assert_same(&from, &to);
}

#[test]
fn one_directory_or_one_file_comes_back_alone() {
    let scratch = scratch();
    let from = scratch.path().join("from");
    fs::create_dir(&from).unwrap();
    odd_tree(&from);
    let store = Store::default();
    let captured = store.capture(&from, None);
    let some = |name: &str, paths: &[&str]| {
        let paths: Vec<ByteString> = paths.iter().map(ByteString::from).collect();
        let to = scratch.path().join(name);
        let catalog = || Ok(store.entries(&captured.catalog));
        let restored = restore(
            &store,
            catalog,
            &to,
            Some(&paths),
            RestoreOptions::default(),
            &Silent,
        );
        (to, restored)
    };
    let (to, restored) = some("one directory", &["plain"]);
    assert_eq!(restored.unwrap().files, 5);
    assert_same(&from.join("plain"), &to.join("plain"));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);

    let (to, restored) = some("one file", &["plain/text"]);
    assert_eq!(restored.unwrap().files, 1);
    assert_eq!(fs::read(to.join("plain/text")).unwrap(), b"Some text.\n");
    assert_eq!(fs::read_dir(to.join("plain")).unwrap().count(), 1);

    // Names of a file that is not selected itself.
    let (to, restored) = some("links", &["links", "zz other name"]);
    let restored = restored.unwrap();
    assert_eq!((restored.files, restored.hardlinks), (2, 1));
    assert_eq!(fs::read(to.join("links/hard")).unwrap(), b"Some text.\n");
    assert_same(&from.join("links"), &to.join("links"));

    let (to, restored) = some("nothing", &["plain/text", "no/such"]);
    let error = restored.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no/such"));
    assert!(!to.exists());
}

#[test]
fn one_file_is_written_to_a_stream() {
    let scratch = scratch();
    odd_tree(scratch.path());
    let store = Store::default();
    let captured = store.capture(scratch.path(), None);
    let cat = |path: &str| {
        let mut out = Vec::new();
        let catalog = || Ok(store.entries(&captured.catalog));
        cat(&store, catalog, &path.into(), &mut out, &Silent).map(|_| out)
    };
    for path in [
        "plain/text",
        "plain/empty",
        "plain/large",
        "links/hard",
        "sparse/small",
        "sparse/end",
    ] {
        assert!(
            cat(path).unwrap() == fs::read(scratch.path().join(path)).unwrap(),
            "{path}"
        );
    }
    assert_eq!(cat("plain").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(cat("links/absolute").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(cat("plain/none").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_paths_of_a_catalog_are_found() {
    let scratch = scratch();
    many_small(scratch.path(), 10);
    let store = Store::default();
    let captured = store.capture(scratch.path(), None);
    let paths = paths_present(store.entries(&captured.catalog)).unwrap();
    assert_eq!(paths.len(), 10);
    assert!(paths.contains(b"org/openbravo/m000/C3.java"));
    assert!(!paths.contains(b"org/openbravo/m000/C30.java"));
}

#[test]
fn what_a_build_makes_is_left_out_and_told() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    for name in [
        "build/classes/A.class",
        "modules/m/build/classes/B.class",
        "src-gen/.keep",
        "src-gen/org/E.java",
        "lib/openbravo.war",
        "WebContent/WEB-INF/lib/x.jar",
        "attachments/1/a.pdf",
        "src/A.java",
    ] {
        let path = from.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let attachments = fs::metadata(from.join("attachments")).unwrap();
    let rules = Exclusions::sources().and_directory((attachments.dev(), attachments.ino()));
    let store = Store::default();
    let captured = capture(
        &from,
        &rules,
        None,
        CaptureOptions::default(),
        &store,
        &Silent,
    )
    .unwrap();
    let excluded: Vec<_> = captured
        .captured
        .excluded
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        excluded,
        [
            "WebContent/WEB-INF/lib",
            "attachments",
            "build",
            "lib/openbravo.war",
            "src-gen/org"
        ]
    );
    store.restore(&captured, &to);
    assert!(to.join("modules/m/build/classes/B.class").exists());
    assert!(to.join("src-gen/.keep").exists());
    assert!(!to.join("build").exists() && !to.join("attachments").exists());
}

#[test]
fn differences_are_found_and_named() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    many_small(&from, 20);
    std::os::unix::fs::symlink("a", from.join("link")).unwrap();
    let store = Store::default();
    let captured = store.capture(&from, None);
    store.restore(&captured, &to);
    let at = |name: &str| to.join("org/openbravo/m000").join(name);
    let now = || {
        let entries = store.entries(&captured.catalog);
        compare(&store, entries, &to, EVERYTHING, &Silent).unwrap()
    };
    assert_eq!(now(), Vec::<String>::new());
    let times = |name: &str| fs::metadata(at(name)).unwrap().modified().unwrap();
    let mtime = times("C1.java");
    let mut bytes = fs::read(at("C1.java")).unwrap();
    bytes[3] ^= 1;
    fs::write(at("C1.java"), bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(at("C1.java"))
        .unwrap()
        .set_modified(mtime)
        .unwrap();
    fs::set_permissions(at("C2.java"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(to.join("link")).unwrap();
    std::os::unix::fs::symlink("b", to.join("link")).unwrap();
    let mode = if is_root() { "0644" } else { "" };
    let found = now();
    assert!(
        found
            .iter()
            .any(|line| line == "`org/openbravo/m000/C1.java` has another content"),
        "{found:?}"
    );
    assert!(found.iter().any(|line| {
        line.starts_with("`org/openbravo/m000/C2.java` has the mode 0600, not")
            && line.contains(mode)
    }));
    assert!(found.iter().any(|line| line == "`link` points elsewhere"));
    fs::remove_file(at("C3.java")).unwrap();
    fs::write(at("New"), b"").unwrap();
    let found = now();
    assert!(
        found
            .iter()
            .any(|line| line == "`org/openbravo/m000/C3.java` is missing"),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line == "`org/openbravo/m000/New` should not be there")
    );
}
