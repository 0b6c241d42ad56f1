//! What verifying, forgetting and pruning a big repository takes of the machine's memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use obbackup::codec::Codec;
use obbackup::format::id::ChunkId;
use obbackup::format::index::{Index, PackContent};
use obbackup::format::pack::PackBuilder;
use obbackup::format::path;
use obbackup::format::record::LeaseMode;

use crate::place::Place;
use crate::support::backups::{Taking, file_of, repository};

/// At one to four MiB each, a few hundred GB before compression. `OBBACKUP_TEST_CHUNKS` makes it larger.
const CHUNKS: u64 = 200_000;
const CHUNKS_OF_PACK: u64 = 64;
const PACKS_OF_INDEX: usize = 100;
const BACKUPS: u64 = 12;
const LIMIT_BYTES: u64 = 256 << 20;

fn chunk(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

fn write(repository: &Path, path: &str, bytes: &[u8]) {
    let path = repository.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Tiny chunks in as many packs as large ones would fill; not through the storage, which would wait for the disk each time.
fn fill(place: &Path, chunks: u64) {
    let mut packs: Vec<PackContent> = Vec::new();
    let describe = |packs: &mut Vec<PackContent>| {
        let index = Index {
            packs: std::mem::take(packs),
            ..Index::default()
        };
        let (id, bytes) = index.encode().unwrap();
        write(place, &path::index(&id), &bytes);
    };
    for first in (0..chunks).step_by(usize::try_from(CHUNKS_OF_PACK).unwrap()) {
        let mut pack = PackBuilder::default();
        for number in first..(first + CHUNKS_OF_PACK).min(chunks) {
            let plain = chunk(number);
            pack.add(ChunkId::of(&plain), Codec::Plain, &plain, 8)
                .unwrap();
        }
        let (content, bytes) = pack.finish().unwrap();
        write(place, &path::pack(&content.id), &bytes);
        packs.push(content);
        if packs.len() == PACKS_OF_INDEX {
            describe(&mut packs);
        }
    }
    describe(&mut packs);
}

/// Half of the chunks are everybody's, and of the others each backup has a share of its own.
fn back_up(place: &Path, instance: &str, chunks: u64, number: u64) {
    let repository = repository(place).unwrap();
    let lock = repository
        .lock(LeaseMode::Write, instance, "backup")
        .unwrap();
    let share = chunks / 2 / BACKUPS;
    let own = chunks / 2 + number * share..chunks / 2 + (number + 1) * share;
    let ids: Vec<ChunkId> = (0..chunks / 2)
        .chain(own)
        .map(|number| ChunkId::of(&chunk(number)))
        .collect();
    let files: Vec<_> = ids
        .chunks(50)
        .enumerate()
        .map(|(number, ids)| {
            file_of(
                &format!("file-{number:08}"),
                ids.len() as u64 * 8,
                ids.to_vec(),
            )
        })
        .collect();
    let writer = repository.writer().unwrap();
    let stored = Taking::of_entries(writer, instance, &files)
        .unwrap()
        .finish()
        .unwrap();
    stored.commit(&repository, &lock).unwrap();
}

/// Runs it, and says how much memory it had at the most.
fn peak_bytes(mut command: Command, log: &Path) -> u64 {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The kernel keeps the highest; what is read last is it, but for a few milliseconds.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{}", fs::read_to_string(log).unwrap());
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_big_repository_is_forgotten_from_and_pruned_in_little_memory() {
    let chunks = std::env::var("OBBACKUP_TEST_CHUNKS").map_or(CHUNKS, |text| text.parse().unwrap());
    let place = Place::new();
    let stored = place.path("repository");
    place.configure("[retention]\nmax_space_gib = 100\nrepack_above_percent = 100\n");
    let configuration = fs::read_to_string(place.path("erp/config/obbackup.toml")).unwrap();
    let id = configuration
        .lines()
        .find_map(|line| line.strip_prefix("id = "));
    let id = id.unwrap().trim_matches('"').to_owned();
    fill(&stored, chunks);
    for number in 0..BACKUPS {
        back_up(&stored, &id, chunks, number);
    }
    let log = place.path("said");
    let packs = chunks.div_ceil(CHUNKS_OF_PACK);
    for (what, words) in [
        ("verify", &["verify"][..]),
        ("forget", &["forget", "--keep-last", "2"]),
        ("prune, condemning", &["prune", "--grace-hours", "24"]),
        ("prune, deleting", &["prune", "--grace-hours", "0"]),
    ] {
        let peak = peak_bytes(place.command(words), &log);
        println!(
            "{what}: {} MiB, {chunks} chunks in {packs} packs",
            peak >> 20
        );
        assert!(peak > 0 && peak < LIMIT_BYTES, "{what}: {} MiB", peak >> 20);
    }
    // Five sixths of one half are gone, and the index that tells so is several.
    let left = path_count(&stored.join("packs"));
    assert!(left < packs * 2 / 3, "{left} of {packs}");
    let indexes = fs::read_dir(stored.join("index")).unwrap().count();
    assert!((2..=30).contains(&indexes), "{indexes}");
    place.good(&["verify"]);
    assert_eq!(place.backups().len(), 2);
}

fn path_count(directory: &Path) -> u64 {
    let below = fs::read_dir(directory).unwrap().flatten();
    below
        .map(|entry| fs::read_dir(entry.path()).unwrap().count() as u64)
        .sum()
}
