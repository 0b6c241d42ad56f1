//! The thread that writes a job's status, its log and the files that a proxy shows.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::Utc;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::estimate::Estimate;
use super::place::{JobDirectory, StatusFiles};
use super::stage::{PUTTING_BACK, Stage, Timing};
use super::status::{Outcome, PutBack, Status};
use super::{Draw, Shared};
use crate::config::write_shown;
use crate::error::Result;

/// People see a bar move at this pace.
const INTERVAL: Duration = Duration::from_millis(500);
/// The status that survives the machine is written less often: it is waited for until it is on the disk.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// As many lines of the log as a page shows.
const SHOWN_LINES: usize = 200;
/// More warnings than anybody reads.
const KEPT_WARNINGS: usize = 100;

/// What the restore tells the thread.
#[derive(Debug)]
pub(super) enum Event {
    Stage {
        name: String,
        total_bytes: Option<u64>,
        done_bytes: u64,
    },
    Warning(String),
    /// The page has a port of its own.
    PagePort(u16),
    /// The new state is no good: why.
    Trouble(String),
    End(Outcome),
}

pub(super) struct Scribe {
    directory: JobDirectory,
    shared: Arc<Shared>,
    estimate: Estimate,
    log: File,
    shown: Option<(StatusFiles, Arc<Draw>)>,
    heartbeat: Instant,
}

impl Scribe {
    /// Writes the first status, so that a job that began is seen.
    pub(super) fn new(
        directory: JobDirectory,
        shared: Arc<Shared>,
        earlier: Vec<Timing>,
        shown: Option<(StatusFiles, Arc<Draw>)>,
    ) -> Result<Self> {
        if let Some((files, _)) = &shown {
            files.prepare(files.owner)?;
        }
        let mut scribe = Self {
            log: directory.open_log()?,
            directory,
            shared,
            estimate: Estimate::new(earlier, Instant::now()),
            shown,
            heartbeat: Instant::now(),
        };
        scribe.write(true)?;
        Ok(scribe)
    }

    /// Until the end is told. Trouble on the way is not worth a restore: the next write may work again. What
    /// counts is the last one, whose error is returned.
    pub(super) fn run(mut self, events: &Receiver<Event>) -> Result<()> {
        loop {
            match events.recv_timeout(INTERVAL) {
                Ok(Event::Stage {
                    name,
                    total_bytes,
                    done_bytes,
                }) => {
                    self.stage(&name, total_bytes, done_bytes);
                    let _ = self.write(false);
                }
                Ok(Event::Warning(text)) => {
                    let mut status = self.shared.status();
                    if status.warnings.len() < KEPT_WARNINGS {
                        status.warnings.push(text.clone());
                    }
                    drop(status);
                    self.note(&format!("warning: {text}"));
                }
                Ok(Event::PagePort(port)) => {
                    self.note(&format!("the page is on port {port}"));
                    self.shared.status().page_port = Some(port);
                    let _ = self.write(true);
                }
                Ok(Event::Trouble(why)) => {
                    self.note(&why);
                    let mut status = self.shared.status();
                    let at = status.stage;
                    // What goes wrong on the way back is not why that was taken.
                    status.put_back.get_or_insert(PutBack { at, because: why });
                }
                Ok(Event::End(outcome)) => return self.end(outcome),
                Err(RecvTimeoutError::Timeout) => {
                    let due = self.heartbeat.elapsed() >= HEARTBEAT;
                    let _ = self.write(due);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn stage(&mut self, name: &str, total_bytes: Option<u64>, done_bytes: u64) {
        let mut status = self.shared.status();
        if name == PUTTING_BACK && status.put_back.is_none() {
            status.put_back = Some(PutBack {
                at: Stage::Swapping,
                because: "a step of the exchange failed".to_owned(),
            });
        }
        match Stage::of(name) {
            Some(stage) if stage == status.stage => {}
            Some(stage) => {
                if let (Stage::Staging, Some(bytes)) = (stage, total_bytes) {
                    self.estimate.expect_bytes(bytes);
                }
                // Only a restore that is put back goes through a stage again.
                let timing = self.estimate.stage(stage, done_bytes, Instant::now());
                status.timings.push(timing);
                status.stage = stage;
                status.activity = None;
            }
            None => {
                self.estimate.activity(total_bytes, done_bytes);
                status.activity = Some(name.to_owned());
            }
        }
        drop(status);
        self.note(name);
    }

    fn end(mut self, outcome: Outcome) -> Result<()> {
        let done_bytes = self.shared.done_bytes.load(Ordering::Relaxed);
        let timing = self.estimate.stage(Stage::Done, done_bytes, Instant::now());
        self.note(&outcome.message);
        let mut status = self.shared.status();
        status.timings.push(timing);
        status.stage = Stage::Done;
        status.activity = None;
        status.finished_at = Some(Utc::now());
        status.outcome = Some(outcome);
        drop(status);
        self.write(true)
    }

    /// A line in the log, as far as that can be written.
    fn note(&mut self, text: &str) {
        let line = format!("{} {text}", Utc::now().format("%Y-%m-%dT%H:%M:%SZ"));
        let _ = writeln!(self.log, "{line}");
        let mut log = self.shared.log();
        if log.len() >= SHOWN_LINES {
            log.remove(0);
        }
        log.push(line);
    }

    /// Measures, and writes what others see; with `durable` also the status that survives the machine.
    fn write(&mut self, durable: bool) -> Result<()> {
        let done_bytes = self.shared.done_bytes.load(Ordering::Relaxed);
        let measured = self.estimate.measure(done_bytes, Instant::now());
        let status = {
            let mut status = self.shared.status();
            status.percent = measured.percent;
            status.done_bytes = measured.done_bytes;
            status.total_bytes = measured.total_bytes;
            status.bytes_per_second = measured.bytes_per_second;
            status.seconds_left = measured.seconds_left;
            status.heartbeat_at = Utc::now();
            status.clone()
        };
        if durable {
            self.heartbeat = Instant::now();
            self.directory.write_status(&status)?;
        }
        self.show(&status)
    }

    fn show(&self, status: &Status) -> Result<()> {
        let Some((files, draw)) = &self.shown else {
            return Ok(());
        };
        let drawn = draw(status);
        write_shown(&files.page, drawn.page.as_bytes(), files.owner)?;
        write_shown(&files.state, drawn.state.as_bytes(), files.owner)
    }
}
