//! The conformance suite: what the contract says, as checks that every storage and wrapper must pass.

// From whoever includes this: the crate's own tests, and those that need a server.
use super::{ErrorKind, Object, Result, Storage};

/// Runs every check; the storage must be empty.
pub fn holds(storage: &dyn Storage) {
    empty_at_first(storage);
    what_is_created_is_read(storage);
    creates_once(storage);
    one_of_many_creates_wins(storage);
    replaces(storage);
    ranges_are_exact(storage);
    lists_in_order_by_prefix(storage);
    lists_between(storage);
    deletes_what_is_there_and_what_is_not(storage);
    refuses_bad_paths(storage);
    many_at_once(storage);
    takes_every_character(storage);
    lists_more_than_a_page(storage);
    retains(storage);
    assert!(!storage.location().is_empty());
    if let Some(space) = storage.space().unwrap() {
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn empty_at_first(storage: &dyn Storage) {
    assert_eq!(storage.list("").unwrap(), []);
    assert_eq!(kind(storage.read("x")), ErrorKind::NotFound);
    assert_eq!(kind(storage.read_range("x", 0..1)), ErrorKind::NotFound);
}

fn what_is_created_is_read(storage: &dyn Storage) {
    for (path, bytes) in [
        ("created/empty", vec![]),
        ("created/large", vec![7; 3 << 20]),
    ] {
        storage.create(path, &bytes).unwrap();
        assert!(storage.read(path).unwrap() == bytes);
    }
}

fn creates_once(storage: &dyn Storage) {
    storage.create("once", b"first").unwrap();
    assert_eq!(
        kind(storage.create("once", b"second")),
        ErrorKind::AlreadyExists
    );
    assert_eq!(storage.read("once").unwrap(), b"first");
}

fn one_of_many_creates_wins(storage: &dyn Storage) {
    for round in 0..20 {
        let path = format!("race/{round}");
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|number| {
                    let path = &path;
                    scope.spawn(move || {
                        storage
                            .create(path, &[number; 1000])
                            .is_ok()
                            .then_some(number)
                    })
                })
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(storage.read(&path).unwrap(), [winners[0]; 1000]);
    }
}

fn replaces(storage: &dyn Storage) {
    storage.replace("lease", b"one").unwrap();
    storage.replace("lease", b"two").unwrap();
    assert_eq!(storage.read("lease").unwrap(), b"two");
    storage.delete("lease").unwrap();
    storage.create("lease", b"three").unwrap();
    assert_eq!(storage.read("lease").unwrap(), b"three");
}

fn ranges_are_exact(storage: &dyn Storage) {
    storage.create("ranges", b"0123456789").unwrap();
    assert_eq!(storage.read_range("ranges", 2..5).unwrap(), b"234");
    assert_eq!(storage.read_range("ranges", 0..10).unwrap(), b"0123456789");
    assert_eq!(storage.read_range("ranges", 10..10).unwrap(), b"");
    for range in [5..11, 11..12, 0..u64::MAX] {
        assert!(
            storage.read_range("ranges", range.clone()).is_err(),
            "{range:?}"
        );
    }
}

fn lists_in_order_by_prefix(storage: &dyn Storage) {
    for path in ["l/b/2", "l/a", "l/b/1", "l/b.x", "l/c", "lx"] {
        storage.create(path, path.as_bytes()).unwrap();
    }
    let paths = |prefix: &str| -> Vec<String> {
        let objects: Vec<Object> = storage.list(prefix).unwrap();
        assert!(
            objects
                .iter()
                .all(|object| object.bytes == object.path.len() as u64)
        );
        objects.into_iter().map(|object| object.path).collect()
    };
    assert_eq!(paths("l/"), ["l/a", "l/b.x", "l/b/1", "l/b/2", "l/c"]);
    assert_eq!(paths("l/b"), ["l/b.x", "l/b/1", "l/b/2"]);
    assert_eq!(paths("l/b/"), ["l/b/1", "l/b/2"]);
    assert_eq!(paths("lx"), ["lx"]);
    assert_eq!(paths("nothing/"), [""; 0]);
}

fn deletes_what_is_there_and_what_is_not(storage: &dyn Storage) {
    storage.create("deleted", b"x").unwrap();
    storage.delete("deleted").unwrap();
    storage.delete("deleted").unwrap();
    assert_eq!(kind(storage.read("deleted")), ErrorKind::NotFound);
    assert_eq!(storage.list("deleted").unwrap(), []);
    storage.create("deleted", b"again").unwrap();
}

fn refuses_bad_paths(storage: &dyn Storage) {
    for path in ["", "/x", "../x", "a/../b", "a//b", ".x"] {
        assert!(storage.create(path, b"x").is_err(), "{path:?}");
        assert!(storage.replace(path, b"x").is_err(), "{path:?}");
    }
}

fn many_at_once(storage: &dyn Storage) {
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                for round in 0..10 {
                    let path = format!("many/{number}/{round}");
                    storage.create(&path, path.as_bytes()).unwrap();
                    assert_eq!(storage.read(&path).unwrap(), path.as_bytes());
                }
            });
        }
    });
    assert_eq!(storage.list("many/").unwrap().len(), 80);
}

fn takes_every_character(storage: &dyn Storage) {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let paths = [
        format!("characters/{letters}"),
        "characters/0123456789-_.".to_owned(),
        "characters/abcdefghijklmnopqrstuvwxyz.-_/x".to_owned(),
        format!("characters/{}", "long-".repeat(40)),
    ];
    for path in &paths {
        storage.create(path, path.as_bytes()).unwrap();
        assert_eq!(storage.read(path).unwrap(), path.as_bytes());
    }
    let listed: Vec<_> = storage.list("characters/").unwrap();
    let mut expected = paths.to_vec();
    expected.sort();
    let listed: Vec<_> = listed.into_iter().map(|object| object.path).collect();
    assert_eq!(listed, expected);
}

/// Servers list a thousand objects at a time.
fn lists_more_than_a_page(storage: &dyn Storage) {
    const OBJECTS: usize = 1050;
    let path = |number: usize| format!("page/{}/{number:05}", number % 7);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for number in (worker..OBJECTS).step_by(8) {
                    storage.create(&path(number), b"x").unwrap();
                }
            });
        }
    });
    let mut expected: Vec<_> = (0..OBJECTS).map(path).collect();
    expected.sort();
    let listed = storage.list("page/").unwrap();
    let listed: Vec<_> = listed.into_iter().map(|object| object.path).collect();
    assert_eq!(listed, expected);
    // From the second page on, and no further than asked.
    let listed = storage.list_between("page/0/01000", "page/3/").unwrap();
    let listed: Vec<_> = listed.into_iter().map(|object| object.path).collect();
    let within = |path: &String| **path > *"page/0/01000" && **path < *"page/3/";
    expected.retain(within);
    assert_eq!(listed, expected);
}

/// Those on the borders are not among them.
fn lists_between(storage: &dyn Storage) {
    for path in ["m/a/1", "m/a/2", "m/a.x", "m/b/1", "m/c/1"] {
        storage.create(path, path.as_bytes()).unwrap();
    }
    let paths = |after: &str, before: &str| -> Vec<String> {
        let objects = storage.list_between(after, before).unwrap();
        assert!(
            objects
                .iter()
                .all(|object| object.bytes == object.path.len() as u64)
        );
        objects.into_iter().map(|object| object.path).collect()
    };
    assert_eq!(
        paths("m/", "m0"),
        ["m/a.x", "m/a/1", "m/a/2", "m/b/1", "m/c/1"]
    );
    assert_eq!(paths("m/a/1", "m/c/1"), ["m/a/2", "m/b/1"]);
    assert_eq!(paths("m/a/", "m/a0"), ["m/a/1", "m/a/2"]);
    assert_eq!(paths("m/a0", "m/b0"), ["m/b/1"]);
    assert_eq!(paths("m/c0", "m0"), [""; 0]);
    let all = storage.list("").unwrap();
    let until: Vec<_> = all.into_iter().filter(|it| *it.path < *"m/b/").collect();
    assert_eq!(storage.list_between("", "m/b/").unwrap(), until);
}

fn retains(storage: &dyn Storage) {
    storage.create("retained", b"x").unwrap();
    storage.retain("retained").unwrap();
    assert_eq!(storage.read("retained").unwrap(), b"x");
}
