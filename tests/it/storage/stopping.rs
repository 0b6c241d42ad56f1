//! Work on a bucket that is asked to stop while a request is under way: over within seconds, however slow line and server
//! are, and nothing is left that the next run minds.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::nights::{rewind, wait_for};
use crate::place::Place;
use crate::stopping::{begin, stop};
use crate::support::cluster::skipped;
use crate::support::proxy::{Fault, Proxy};
use crate::support::s3::{ACCESS_KEY, REGION, S3Server, SECRET_KEY};
use crate::world::errors;

/// Two packs and a bit.
const BYTES: usize = 40 << 20;
/// At this rate a pack takes over a minute.
const SLOW: &str = "bandwidth_bytes_per_second = 200000\n";

/// An instance whose repository is a bucket behind a proxy.
struct Bench {
    place: Place,
    proxy: Proxy,
    section: String,
}

impl Bench {
    fn new() -> Option<Self> {
        let server = S3Server::shared().map_err(|why| skipped(&why)).ok()?;
        let proxy = Proxy::start(server.port());
        let place = Place::new();
        let mut noise = vec![0; BYTES];
        getrandom::fill(&mut noise).unwrap();
        std::fs::write(place.path("erp/src/noise"), noise).unwrap();
        let section = format!(
            "[repository.cloud]\nurl = \"s3://{}/openbravo\"\nendpoint = \"{}\"\nregion = \"{REGION}\"\n\
             access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\"\n",
            server.bucket(),
            proxy.endpoint()
        );
        let bench = Self {
            place,
            proxy,
            section,
        };
        bench.configure("");
        bench.place.good(&["init", "--repository", "cloud"]);
        Some(bench)
    }

    /// The configuration is the bucket's section with these lines in it, and nothing else.
    fn configure(&self, more: &str) {
        let path = self.place.path("erp/config/obbackup.toml");
        let known = std::fs::read_to_string(&path).unwrap();
        let id = known.lines().find(|line| line.starts_with("id = "));
        let id = id.map_or_else(String::new, |id| format!("[instance]\n{id}\n"));
        let text = format!("default_repository = \"cloud\"\n{id}{}{more}", self.section);
        std::fs::write(&path, text).unwrap();
    }

    /// Runs the program until it sends a pack, or asks for one, and stops it there.
    fn stopped(&self, words: &[&str], operation: &str) -> Output {
        self.proxy.set(|_| None);
        let child = begin(self.place.command(words));
        wait_for("packs are on their way", || {
            let begun = self.proxy.begun();
            begun
                .iter()
                .any(|it| it.starts_with(operation) && it.contains("/packs/"))
        });
        let (output, _) = stop(child);
        output
    }

    /// Nobody holds anything, and the next backup is a good one.
    fn assert_goes_on(&self) {
        self.proxy.set(|_| None);
        self.configure("");
        self.place.good(&["verify", "--read-data"]);
        assert!(self.place.backups().is_empty());
        self.place.good(&["backup", "--only", "sources"]);
        self.place.good(&["verify", "--read-data"]);
    }
}

fn assert_cancelled(output: &Output) {
    assert_eq!(output.status.code(), Some(130), "{}", errors(output));
    assert!(
        errors(output).contains("stopped on request"),
        "{}",
        errors(output)
    );
}

#[test]
fn an_upload_over_a_narrow_line_is_broken_off() {
    let Some(bench) = Bench::new() else {
        return;
    };
    bench.configure(SLOW);
    let output = bench.stopped(&["backup", "--only", "sources"], "PUT");
    assert_cancelled(&output);
    // The line was free for what clears up.
    let runs = bench.place.json(&["log", "--runs", "--json"]);
    assert_eq!(runs["runs"][0]["outcome"], "cancelled", "{runs}");
    let status = bench.proxy.seen();
    assert!(
        status
            .iter()
            .any(|seen| seen.method == "DELETE" && seen.target.contains("/locks/")),
        "{status:?}"
    );
    bench.assert_goes_on();
}

#[test]
fn an_upload_to_a_server_that_stands_still_is_broken_off() {
    let Some(bench) = Bench::new() else {
        return;
    };
    let silent = Arc::new(AtomicBool::new(false));
    let child = {
        let silent = silent.clone();
        bench.proxy.set(move |_| {
            silent
                .load(Ordering::SeqCst)
                .then_some(Fault::StalledRequest)
        });
        begin(bench.place.command(&["backup", "--only", "sources"]))
    };
    wait_for("it has its lease", || {
        let begun = bench.proxy.begun();
        begun
            .iter()
            .any(|it| it.starts_with("PUT") && it.contains("/locks/"))
    });
    silent.store(true, Ordering::SeqCst);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (output, _) = stop(child);
    assert_cancelled(&output);
    // Its lease stands there, and its process is gone.
    bench.assert_goes_on();
}

#[test]
fn a_scheduled_backup_is_broken_off_too() {
    let Some(bench) = Bench::new() else {
        return;
    };
    let nightly = format!(
        "{SLOW}[schedule.nightly]\ncron = \"0 3 * * *\"\ntime_zone = \"UTC\"\nonly = [\"sources\"]\n"
    );
    bench.configure(&nightly);
    bench.place.good(&["schedule", "run", "--once"]);
    rewind(&bench.place.path("erp"), 1);
    let output = bench.stopped(&["schedule", "run"], "PUT");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    bench.assert_goes_on();
}

#[test]
fn so_is_one_whose_repository_does_not_open() {
    let Some(bench) = Bench::new() else {
        return;
    };
    bench.configure(
        "[schedule.nightly]\ncron = \"0 3 * * *\"\ntime_zone = \"UTC\"\nonly = [\"sources\"]\n",
    );
    bench.place.good(&["schedule", "run", "--once"]);
    rewind(&bench.place.path("erp"), 1);
    bench.proxy.set(|_| Some(Fault::StalledRequest));
    let asked = bench.proxy.begun().len();
    let child = begin(bench.place.command(&["schedule", "run"]));
    wait_for("it asks", || bench.proxy.begun().len() > asked);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (output, _) = stop(child);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    bench.assert_goes_on();
}

#[test]
fn so_is_reading() {
    let Some(bench) = Bench::new() else {
        return;
    };
    bench.place.good(&["backup", "--only", "sources"]);
    bench.configure(SLOW);
    let output = bench.stopped(&["verify", "--read-data"], "GET");
    assert_cancelled(&output);
    let to = bench.place.path("there");
    let to = to.to_str().unwrap();
    let output = bench.stopped(&["restore", "latest", "--to-directory", to], "GET");
    assert_cancelled(&output);
    bench.configure("");
    bench.place.good(&["verify", "--read-data"]);
}
