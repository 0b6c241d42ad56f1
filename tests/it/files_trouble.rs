//! Trees that change, vanish or cannot be read while they are captured, and restores without rights.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use obbackup::chunk::{ChunkSink, ChunkSource as _};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::bytes::ByteString;
use obbackup::format::file::{FileEntry, Node};
use obbackup::format::id::ChunkId;
use obbackup::format::record::Chunkers;
use obbackup::progress::{Progress, Recorded, Silent};
use obbackup::source::files::{CaptureOptions, Exclusions, FilesCapture, Parent, capture};
use obbackup::target::files::{RestoreOptions, restore};

use crate::support::tree::{Between, Store, assert_same, is_root, noise, without_rights};

fn scratch() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    // Also for a user without rights.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    scratch
}

fn capture_with(root: &Path, sink: &impl ChunkSink, progress: &dyn Progress) -> FilesCapture {
    let options = CaptureOptions::default();
    capture(root, &Exclusions::none(), None, options, sink, progress).unwrap()
}

fn paths(store: &Store, captured: &FilesCapture) -> Vec<String> {
    let entries = store.all(&captured.catalog).into_iter();
    entries.map(|entry| entry.path.to_string()).collect()
}

/// Does something each time that a chunk is put.
struct OnPut<'a, F> {
    store: &'a Store,
    act: F,
}

impl<F: Fn() + Sync> ChunkSink for OnPut<'_, F> {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        (self.act)();
        self.store.put(plain)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.store.has(id)
    }

    fn chunkers(&self) -> Chunkers {
        self.store.chunkers()
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_there() {
    let scratch = scratch();
    let from = scratch.path().join("from");
    fs::create_dir_all(from.join("closed")).unwrap();
    fs::write(from.join("closed/inside"), b"x").unwrap();
    fs::write(from.join("open"), b"x").unwrap();
    fs::write(from.join("secret"), b"x").unwrap();
    fs::write(from.join("secret large"), noise(1, 1 << 20)).unwrap();
    for name in ["secret", "secret large", "closed"] {
        fs::set_permissions(from.join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let store = Store::default();
    let captured = without_rights(|| store.capture(&from, None));
    assert!(captured.captured.partial);
    assert_eq!(paths(&store, &captured), ["", "closed", "open"]);
    let warnings = captured.captured.warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for name in ["closed", "secret", "secret large"] {
        let shown = format!("`{}`", from.join(name).display());
        assert!(
            warnings
                .iter()
                .any(|text| text.contains(&shown) && text.contains("denied"))
        );
    }
    fs::set_permissions(from.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn sockets_and_pipes_are_skipped_by_name() {
    let scratch = scratch();
    let socket = std::os::unix::net::UnixListener::bind(scratch.path().join("socket")).unwrap();
    let pipe = scratch.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::write(scratch.path().join("file"), b"x").unwrap();
    let store = Store::default();
    let captured = store.capture(scratch.path(), None);
    assert!(!captured.captured.partial);
    assert_eq!(paths(&store, &captured), ["", "file"]);
    let warnings = captured.captured.warnings.join("\n");
    assert!(warnings.contains("pipe` is a pipe: skipped"), "{warnings}");
    assert!(
        warnings.contains("socket` is a socket: skipped"),
        "{warnings}"
    );
    drop(socket);
}

#[test]
fn what_vanishes_during_the_walk_is_a_note() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    for name in ["a", "m", "z"] {
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at("d")).unwrap();
    fs::write(at("large"), noise(1, 1 << 20)).unwrap();
    // Call 0 comes before the root is read, so these are on the list by then.
    let progress = Between(
        |call| {
            if call == 1 {
                fs::remove_file(at("m")).unwrap();
                fs::remove_file(at("large")).unwrap();
                fs::remove_dir(at("d")).unwrap();
            }
        },
        AtomicUsize::new(0),
    );
    let store = Store::default();
    let captured = capture_with(scratch.path(), &store, &progress);
    assert!(!captured.captured.partial);
    assert_eq!(paths(&store, &captured), ["", "a", "z"]);
    assert_eq!(captured.captured.warnings.len(), 3);
    for warning in &captured.captured.warnings {
        assert!(warning.contains("vanished"), "{warning}");
    }
}

#[test]
fn what_vanishes_before_it_is_read_is_a_note_and_its_other_names_get_the_content() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("b small"), b"small").unwrap();
    fs::write(at("b large"), noise(1, 1 << 20)).unwrap();
    for name in ["small", "large"] {
        fs::hard_link(at(&format!("b {name}")), at(&format!("c {name}"))).unwrap();
        fs::hard_link(at(&format!("b {name}")), at(&format!("d {name}"))).unwrap();
    }
    fs::write(at("a"), noise(2, 100 << 10)).unwrap();
    // The walk is done in this thread: at its last entry the first names go. Until then nothing is read:
    // the one other thread waits at the first file.
    let walk = std::thread::current().id();
    let (seen, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
    let progress = Between(
        |_| {
            if std::thread::current().id() != walk {
                while !gone.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            } else if seen.fetch_add(1, Ordering::SeqCst) == 7 {
                fs::remove_file(at("b small")).unwrap();
                fs::remove_file(at("b large")).unwrap();
                gone.store(true, Ordering::SeqCst);
            }
        },
        AtomicUsize::new(0),
    );
    let store = Store::default();
    let options = CaptureOptions {
        jobs: 1,
        ..CaptureOptions::default()
    };
    let captured = capture(
        scratch.path(),
        &Exclusions::none(),
        None,
        options,
        &store,
        &progress,
    )
    .unwrap();
    assert_eq!(
        paths(&store, &captured),
        ["", "a", "c large", "c small", "d large", "d small"]
    );
    assert_eq!(captured.captured.warnings.len(), 2);
    assert!(!captured.captured.partial);
    let to = scratch.path().with_extension("to");
    store.restore(&captured, &to);
    for name in ["small", "large"] {
        let (c, d) = (to.join(format!("c {name}")), to.join(format!("d {name}")));
        assert!(fs::read(&c).unwrap() == fs::read(at(&format!("c {name}"))).unwrap());
        assert_eq!(
            fs::metadata(c).unwrap().ino(),
            fs::metadata(d).unwrap().ino()
        );
    }
    fs::remove_dir_all(to).unwrap();
}

#[test]
fn a_directory_that_becomes_a_link_is_not_followed() {
    let scratch = scratch();
    let (from, outside) = (scratch.path().join("from"), scratch.path().join("outside"));
    fs::create_dir_all(from.join("d")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(from.join("d/f"), b"inside").unwrap();
    fs::write(from.join("large"), noise(1, 1 << 20)).unwrap();
    fs::write(outside.join("f"), b"outside secret").unwrap();
    for when in 1..6 {
        let progress = Between(
            |call| {
                if call == when {
                    fs::rename(from.join("d"), from.join("old")).ok();
                    symlink(&outside, from.join("d")).ok();
                }
            },
            AtomicUsize::new(0),
        );
        let store = Store::default();
        capture_with(&from, &store, &progress);
        for chunk in store.chunks.lock().unwrap().values() {
            assert!(
                !chunk.windows(14).any(|bytes| bytes == b"outside secret"),
                "{when}"
            );
        }
        fs::remove_file(from.join("d")).unwrap();
        fs::rename(from.join("old"), from.join("d")).unwrap();
    }
}

#[test]
fn a_file_that_grows_is_kept_as_it_was_when_it_was_opened() {
    let scratch = scratch();
    let log = scratch.path().join("openbravo.log");
    let begun = noise(1, 6 << 20);
    fs::write(&log, &begun).unwrap();
    let store = Store::default();
    let append = || {
        let mut file = fs::File::options().append(true).open(&log).unwrap();
        file.write_all(b"one more line\n").unwrap();
    };
    let sink = OnPut {
        store: &store,
        act: append,
    };
    let captured = capture_with(scratch.path(), &sink, &Silent);
    assert!(!captured.captured.partial);
    assert_eq!(captured.captured.bytes, begun.len() as u64);
    assert_eq!(captured.captured.warnings.len(), 1);
    assert!(captured.captured.warnings[0].contains("openbravo.log` changed while it was read"));
    let second = store.capture(scratch.path(), Some(&captured));
    assert_eq!(second.captured.files_read, 1, "it is read again next time");
}

#[test]
fn a_file_that_changes_once_is_read_again_and_one_that_never_rests_is_named() {
    let scratch = scratch();
    let file = scratch.path().join("data");
    let (old, new) = (noise(1, 3 << 20), noise(2, 3 << 20));
    fs::write(&file, &old).unwrap();
    let store = Store::default();
    let calls = AtomicUsize::new(0);
    let once = || {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            fs::write(&file, &new).unwrap();
        }
    };
    let captured = capture_with(
        scratch.path(),
        &OnPut {
            store: &store,
            act: once,
        },
        &Silent,
    );
    assert_eq!(captured.captured.warnings, Vec::<String>::new());
    let to = scratch.path().with_extension("once");
    store.restore(&captured, &to);
    assert!(fs::read(to.join("data")).unwrap() == new);
    fs::remove_dir_all(to).unwrap();

    let always = || fs::write(&file, &old[..2 << 20]).unwrap();
    let captured = capture_with(
        scratch.path(),
        &OnPut {
            store: &store,
            act: always,
        },
        &Silent,
    );
    assert_eq!(
        captured.captured.warnings.len(),
        1,
        "{:?}",
        captured.captured.warnings
    );
    assert!(captured.captured.warnings[0].contains("data` changed while it was read"));
    let to = scratch.path().with_extension("always");
    store.restore(&captured, &to);
    fs::remove_dir_all(to).unwrap();
}

#[test]
fn a_parent_that_cannot_be_read_costs_time_only() {
    let scratch = scratch();
    for index in 0..50 {
        fs::write(
            scratch.path().join(format!("{index}.txt")),
            format!("text {index}"),
        )
        .unwrap();
    }
    let store = Store::default();
    let first = store.capture(scratch.path(), None);
    let broken = store.all(&first.catalog).into_iter().take(20).map(Ok);
    let broken = broken.chain([Err(Error::new(ErrorKind::Damaged, "chunk is damaged"))]);
    let options = CaptureOptions::default();
    let parent: Option<Parent<'_>> = Some(Box::new(broken));
    let second = capture(
        scratch.path(),
        &Exclusions::none(),
        parent,
        options,
        &store,
        &Silent,
    )
    .unwrap();
    assert_eq!(second.catalog, first.catalog);
    assert!(!second.captured.partial);
    assert!(second.captured.warnings[0].contains("chunk is damaged"));
}

#[test]
fn a_bundle_that_the_repository_lost_is_read_again() {
    let scratch = scratch();
    fs::write(scratch.path().join("a"), b"text").unwrap();
    fs::write(scratch.path().join("large"), noise(1, 3 << 20)).unwrap();
    let store = Store::default();
    let first = store.capture(scratch.path(), None);
    for entry in store.all(&first.catalog) {
        if let Node::File(content) = entry.node {
            let lost = content.bundle.map(|place| place.chunk);
            let lost = lost.or(content.chunks.last().copied()).unwrap();
            store.chunks.lock().unwrap().remove(&lost);
        }
    }
    let second = store.capture(scratch.path(), Some(&first));
    assert_eq!(second.captured.files_read, 2);
    for entry in store.all(&second.catalog) {
        if let Node::File(content) = entry.node {
            for id in content
                .chunks
                .iter()
                .chain(content.bundle.as_ref().map(|place| &place.chunk))
            {
                store.get(id).unwrap();
            }
        }
    }
}

#[test]
fn a_request_to_stop_is_heard() {
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("a"), noise(1, 1 << 20)).unwrap();
    let progress = Recorded::default();
    progress.cancel();
    let store = Store::default();
    let options = CaptureOptions::default();
    let stopped = capture(&from, &Exclusions::none(), None, options, &store, &progress);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    let captured = store.capture(&from, None);
    let catalog = || Ok(store.entries(&captured.catalog));
    let stopped = restore(
        &store,
        catalog,
        &to,
        None,
        RestoreOptions::default(),
        &progress,
    );
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_sink_that_fails_stops_the_capture_with_its_own_error() {
    struct Full;
    impl ChunkSink for Full {
        fn put(&self, _: &[u8]) -> Result<ChunkId> {
            Err(Error::new(
                ErrorKind::NoSpace,
                "no space left on the device",
            ))
        }
        fn has(&self, _: &ChunkId) -> bool {
            false
        }
        fn chunkers(&self) -> Chunkers {
            Chunkers::default()
        }
    }
    let scratch = scratch();
    for index in 0..2000 {
        fs::write(scratch.path().join(format!("{index}")), noise(index, 2000)).unwrap();
    }
    fs::write(scratch.path().join("large"), noise(1, 10 << 20)).unwrap();
    let options = CaptureOptions::default();
    let failed = capture(
        scratch.path(),
        &Exclusions::none(),
        None,
        options,
        &Full,
        &Silent,
    );
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::NoSpace);
}

#[test]
fn a_user_without_rights_restores_what_it_may_and_is_told_the_rest() {
    if !is_root() {
        println!("SKIPPED restore of other owners: only root can make them");
        return;
    }
    let scratch = scratch();
    let from = scratch.path().join("from");
    fs::create_dir(&from).unwrap();
    for name in ["a", "b", "tool"] {
        fs::write(from.join(name), name).unwrap();
    }
    fs::set_permissions(from.join("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::create_dir(from.join("closed")).unwrap();
    fs::write(from.join("closed/inside"), b"in").unwrap();
    fs::set_permissions(from.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    let store = Store::default();
    let captured = store.capture(&from, None);
    let open = scratch.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let (to, quiet) = (open.join("to"), open.join("quiet"));
    let restored = without_rights(|| store.restore(&captured, &to));
    let warnings = restored.warnings.join("\n");
    assert!(
        warnings.contains("6 restored without their owner; the first is"),
        "{warnings}"
    );
    assert!(warnings.contains("1 restored without their set-id bits; the first is `tool`"));
    assert_eq!(fs::read(to.join("closed/inside")).unwrap(), b"in");
    let tool = fs::metadata(to.join("tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.uid()), (0o755, 54_321));
    assert_eq!(
        fs::metadata(to.join("closed")).unwrap().mode() & 0o7777,
        0o500
    );

    // Owners that nobody asked for are nothing to warn of; the bits are.
    let options = RestoreOptions {
        owner: false,
        heir: None,
        ..RestoreOptions::default()
    };
    let restored = without_rights(|| {
        let catalog = || Ok(store.entries(&captured.catalog));
        restore(&store, catalog, &quiet, None, options, &Silent).unwrap()
    });
    assert_eq!(restored.warnings.len(), 1, "{:?}", restored.warnings);
    fs::set_permissions(to.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(quiet.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_owner_is_found_by_name_before_its_number() {
    if !is_root() {
        println!("SKIPPED owners by name: only root can set them");
        return;
    }
    let scratch = scratch();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("a"), b"a").unwrap();
    let store = Store::default();
    let captured = store.capture(&from, None);
    // On the machine it came from, root's name belonged to another number.
    let moved: Vec<FileEntry> = store
        .all(&captured.catalog)
        .into_iter()
        .map(|entry| FileEntry {
            uid: 777,
            gid: 777,
            ..entry
        })
        .collect();
    assert_eq!(moved[1].user.as_deref(), Some("root"));
    let catalog = || Ok(moved.clone().into_iter().map(Ok::<_, Error>));
    restore(
        &store,
        catalog,
        &to,
        None,
        RestoreOptions::default(),
        &Silent,
    )
    .unwrap();
    assert_same(&from, &to);
}

#[test]
fn names_in_warnings_cannot_play_with_the_terminal() {
    let scratch = scratch();
    let name = scratch.path().join("\u{1b}[2J");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &name, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let store = Store::default();
    let captured = store.capture(scratch.path(), None);
    assert!(!captured.captured.warnings[0].contains('\u{1b}'));
    let part = captured.to_part(obbackup::format::manifest::Part::Sources, scratch.path());
    assert_eq!(
        part.root,
        ByteString::from(scratch.path().to_str().unwrap())
    );
}
