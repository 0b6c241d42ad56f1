//! Where each kind of object lies in a repository. Paths are relative, `/` between components.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::id::Digest256;

/// The header: what makes a place a repository.
pub const HEADER: &str = "repo.json";
/// Below it the packs.
pub const PACKS: &str = "packs/";
/// Below it the indexes.
pub const INDEXES: &str = "index/";
/// Below it the manifests.
pub const BACKUPS: &str = "backups/";
/// Below it what is learnt of a backup later.
pub const MARKS: &str = "marks/";
/// Below it the outcome of each run.
pub const RUNS: &str = "runs/";
/// Below it the leases.
pub const LOCKS: &str = "locks/";
/// Below it what a trial of the storage leaves behind that may write and not delete; means nothing.
pub const TRIALS: &str = "trials/";
/// Below it the lists of packs that are to be deleted after a time of grace.
pub const CONDEMNED: &str = "condemned/";

/// What comes right behind everything below `room` in the order of paths.
pub fn end(room: &str) -> String {
    // The byte behind the slash.
    format!("{}0", room.trim_end_matches('/'))
}

const TIME: &str = "%Y%m%dT%H%M%SZ";

/// `packs/ab/<id>.tar`
pub fn pack(id: &Digest256) -> String {
    let digits = id.to_hex();
    format!("{PACKS}{}/{digits}.tar", &digits[..2])
}

/// The id in a pack's path, if it is one.
pub fn parse_pack(path: &str) -> Option<Digest256> {
    let id = path
        .strip_prefix(PACKS)?
        .get(3..)?
        .strip_suffix(".tar")?
        .parse()
        .ok()?;
    (pack(&id) == path).then_some(id)
}

/// `index/<id>.json.gz`
pub fn index(id: &Digest256) -> String {
    format!("{INDEXES}{id}.json.gz")
}

/// The id in an index's path, if it is one.
pub fn parse_index(path: &str) -> Option<Digest256> {
    path.strip_prefix(INDEXES)?
        .strip_suffix(".json.gz")?
        .parse()
        .ok()
}

/// `backups/<utc-time>-<id>.json.gz`; the time is when the backup was finished.
pub fn manifest(finished_at: DateTime<Utc>, id: &Digest256) -> String {
    format!("{BACKUPS}{}-{id}.json.gz", finished_at.format(TIME))
}

/// The time (whole seconds) and the id in a manifest's path, if it is one.
pub fn parse_manifest(path: &str) -> Option<(DateTime<Utc>, Digest256)> {
    let name = path.strip_prefix(BACKUPS)?.strip_suffix(".json.gz")?;
    let (time, id) = name.split_once('-')?;
    let time = NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc();
    Some((time, id.parse().ok()?))
}

/// Below it the marks of one backup.
pub fn marks(backup: &Digest256) -> String {
    format!("{MARKS}{backup}/")
}

/// `marks/<backup>/<kind>-<utc-time>.json`
pub fn mark(backup: &Digest256, kind: &str, at: DateTime<Utc>) -> String {
    format!("{MARKS}{backup}/{kind}-{}.json", at.format(TIME))
}

/// `runs/<utc-time>-<run>.json`
pub fn run(started_at: DateTime<Utc>, run: &str) -> String {
    format!("{RUNS}{}-{run}.json", started_at.format(TIME))
}

/// The backup and the kind in a mark's path, if it is one.
pub fn parse_mark(path: &str) -> Option<(Digest256, &str)> {
    let (backup, name) = path.strip_prefix(MARKS)?.split_once('/')?;
    let (kind, _) = name.strip_suffix(".json")?.split_once('-')?;
    Some((backup.parse().ok()?, kind))
}

/// `condemned/<utc-time>-<id>.json`
pub fn condemnation(at: DateTime<Utc>, id: &str) -> String {
    format!("{CONDEMNED}{}-{id}.json", at.format(TIME))
}

/// When the run of a record began (whole seconds), if its path is that of one.
pub fn parse_run(path: &str) -> Option<DateTime<Utc>> {
    let name = path.strip_prefix(RUNS)?.strip_suffix(".json")?;
    let (time, _) = name.split_once('-')?;
    Some(NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc())
}

/// `locks/<id>.json`
pub fn lease(id: &str) -> String {
    format!("{LOCKS}{id}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back() {
        let id = Digest256::of(b"x");
        let at = DateTime::from_timestamp(1_795_489_200, 0).unwrap();
        assert_eq!(parse_pack(&pack(&id)), Some(id));
        assert_eq!(parse_index(&index(&id)), Some(id));
        assert_eq!(parse_manifest(&manifest(at, &id)), Some((at, id)));
        assert_eq!(parse_run(&run(at, "abc")), Some(at));
    }

    #[test]
    fn strangers_are_not_objects() {
        let id = Digest256::of(b"x");
        for path in [
            "packs/zz/x.tar",
            "packs/",
            "packs/ab",
            "index/x.json.gz",
            "backups/x",
        ] {
            assert_eq!(parse_pack(path), None);
            assert_eq!(parse_index(path), None);
            assert_eq!(parse_manifest(path), None);
        }
        let misplaced = format!("packs/zz/{id}.tar");
        assert_eq!(parse_pack(&misplaced), None);
    }
}
