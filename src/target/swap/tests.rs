//! Swaps of small trees, broken off at every step.

use super::*;
use std::collections::BTreeMap;

/// Every file below a directory, with its content.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for name in children(&next).unwrap() {
            let path = next.join(name);
            if is_directory(&path) {
                open.push(path);
            } else {
                let relative = path.strip_prefix(directory).unwrap().display().to_string();
                found.insert(relative, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn tree(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), content).unwrap();
    }
}

fn fate(path: &Path) -> Fate {
    match path.to_str().unwrap() {
        ".obbackup" | "build" | "data/attachments" => Fate::Keep,
        "data" => Fate::Descend,
        _ => Fate::Replace,
    }
}

fn sample(directory: &Path) -> Areas {
    let root = directory.join("root");
    tree(
        &root,
        &[
            ("build/x.class", "built"),
            ("data/attachments/a", "attached"),
            ("data/notes", "live"),
            ("src/A.java", "live"),
            ("src/Gone.java", "live"),
            ("added", "live"),
            ("shape/was", "live"),
        ],
    );
    let staged = root.join(".obbackup/new");
    tree(
        &staged,
        &[
            ("data/notes", "new"),
            ("src/A.java", "new"),
            ("lost", "new"),
            ("shape", "new"),
        ],
    );
    Areas {
        root: root.clone(),
        staged,
        old: root.join(".obbackup/old"),
    }
}

fn no_copy(_: Leg) -> Result<()> {
    panic!("nothing has to be copied here")
}

fn forward(areas: &Areas, exchange: &Exchange) {
    areas.prepare(exchange).unwrap();
    for entry in &exchange.entries {
        areas
            .exchange(entry, Way::Forward, None, &mut no_copy)
            .unwrap();
    }
    areas.dress(exchange).unwrap();
}

fn backward(areas: &Areas, exchange: &Exchange) {
    for entry in exchange.entries.iter().rev() {
        areas
            .exchange(entry, Way::Back, None, &mut no_copy)
            .unwrap();
    }
    areas.undress(exchange).unwrap();
}

#[test]
fn what_is_staged_takes_the_place_and_the_live_one_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let areas = sample(directory.path());
    let before = files(&areas.root);
    let looks = Looks::of(&areas.root);
    let exchange = areas.survey(&fate).unwrap();
    assert_eq!(files(&areas.root), before);
    forward(&areas, &exchange);
    let after = files(&areas.root);
    for (path, content) in [
        ("build/x.class", "built"),
        ("data/attachments/a", "attached"),
        ("data/notes", "new"),
        ("src/A.java", "new"),
        ("lost", "new"),
        ("shape", "new"),
        (".obbackup/old/data/notes", "live"),
        (".obbackup/old/src/A.java", "live"),
        (".obbackup/old/src/Gone.java", "live"),
        (".obbackup/old/added", "live"),
        (".obbackup/old/shape/was", "live"),
    ] {
        assert_eq!(after.get(path).map(String::as_str), Some(content), "{path}");
    }
    assert_eq!(after.len(), 11);
    // Doing it again changes nothing.
    forward(&areas, &exchange);
    assert_eq!(files(&areas.root), after);
    backward(&areas, &exchange);
    assert_eq!(files(&areas.root), before);
    assert_eq!(Looks::of(&areas.root), looks);
    backward(&areas, &exchange);
    assert_eq!(files(&areas.root), before);
}

/// One raw rename or link after the other, as a crash between any two leaves them.
#[test]
fn from_between_any_two_renames_it_goes_on_and_back() {
    let swapped = {
        let directory = tempfile::tempdir().unwrap();
        let areas = sample(directory.path());
        forward(&areas, &areas.survey(&fate).unwrap());
        files(&areas.root)
    };
    for broken_off in 0..20 {
        for goes_on in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let areas = sample(directory.path());
            let before = files(&areas.root);
            let exchange = areas.survey(&fate).unwrap();
            areas.prepare(&exchange).unwrap();
            let mut steps = 0;
            'broken: for entry in &exchange.entries {
                let places = areas.places(entry.path.as_path());
                let two_files = entry.is_two_files();
                for (from, to) in [(&places.live, &places.old), (&places.staged, &places.live)] {
                    if steps == broken_off {
                        break 'broken;
                    }
                    if exists(from) {
                        if two_files && from == &places.live {
                            fs::hard_link(from, to).unwrap();
                        } else {
                            fs::rename(from, to).unwrap();
                        }
                    }
                    steps += 1;
                }
            }
            if goes_on {
                forward(&areas, &exchange);
                assert_eq!(files(&areas.root), swapped, "{broken_off}");
                backward(&areas, &exchange);
            } else {
                backward(&areas, &exchange);
            }
            assert_eq!(files(&areas.root), before, "{broken_off} {goes_on}");
        }
    }
}

/// The same for copies, which leave both ends behind.
#[test]
fn from_the_middle_of_a_copy_it_goes_on_and_back() {
    for (leg, goes_on) in [
        (Leg::Out, true),
        (Leg::Out, false),
        (Leg::In, true),
        (Leg::In, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let areas = sample(directory.path());
        let before = files(&areas.root);
        let exchange = areas.survey(&fate).unwrap();
        areas.prepare(&exchange).unwrap();
        let entry = exchange
            .entries
            .iter()
            .find(|entry| entry.path.as_bytes() == b"src")
            .unwrap();
        let places = areas.places(entry.path.as_path());
        if leg == Leg::In {
            fs::rename(&places.live, &places.old).unwrap();
        }
        // The copy is complete, and the original half deleted.
        let (from, to) = places.ends(leg);
        relocate::copy(from, to).unwrap();
        fs::remove_file(from.join("A.java")).unwrap();
        if goes_on {
            areas
                .exchange(entry, Way::Forward, Some(leg), &mut no_copy)
                .unwrap();
            assert_eq!(
                fs::read_to_string(places.live.join("A.java")).unwrap(),
                "new"
            );
            assert_eq!(
                fs::read_to_string(places.old.join("Gone.java")).unwrap(),
                "live"
            );
            assert!(!exists(&places.staged));
        }
        areas
            .exchange(entry, Way::Back, (!goes_on).then_some(leg), &mut no_copy)
            .unwrap();
        areas.undress(&exchange).unwrap();
        assert_eq!(files(&areas.root), before, "{leg:?} {goes_on}");
    }
}

#[test]
fn nothing_is_moved_over_what_has_appeared_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let areas = sample(directory.path());
    let exchange = areas.survey(&fate).unwrap();
    areas.prepare(&exchange).unwrap();
    tree(&areas.root, &[("lost", "a stranger's")]);
    let entry = exchange
        .entries
        .iter()
        .find(|entry| entry.path.as_bytes() == b"lost")
        .unwrap();
    let error = areas
        .exchange(entry, Way::Forward, None, &mut no_copy)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert_eq!(
        fs::read_to_string(areas.root.join("lost")).unwrap(),
        "a stranger's"
    );
}

#[test]
fn a_copy_is_the_same_in_everything() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    tree(&from, &[("a/file", "content"), ("b", "x")]);
    fs::hard_link(from.join("b"), from.join("a/second")).unwrap();
    std::os::unix::fs::symlink("b", from.join("link")).unwrap();
    fs::set_permissions(from.join("b"), fs::Permissions::from_mode(0o751)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000, 5);
    File::open(from.join("a"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let to = directory.path().join("to");
    relocate::copy(&from, &to).unwrap();
    assert_eq!(files(&to), files(&from));
    let metadata = |path: &str| to.join(path).symlink_metadata().unwrap();
    assert_eq!(metadata("b").ino(), metadata("a/second").ino());
    assert_eq!(metadata("b").permissions().mode() & 0o7777, 0o751);
    assert_eq!(metadata("a").modified().unwrap(), time);
    assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("b"));
}

#[test]
fn mount_points_are_read_with_their_blanks() {
    assert_eq!(unescape(b"/a\\040b\\134c"), b"/a b\\c");
    assert_eq!(unescape(b"/plain\\"), b"/plain\\");
}
