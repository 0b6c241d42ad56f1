//! Progress on standard error: a bar on a terminal, plain lines without one.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use obbackup::progress::Progress;

use crate::output::{duration, safe, size};

const KNOWN: &str = "{spinner} {msg} [{bar:24}] {percent:>3} %  {binary_bytes} of {binary_total_bytes}  \
                     {binary_bytes_per_sec}  {eta} left";
const UNKNOWN: &str = "{spinner} {msg}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}";
const BAR: &str = "=> ";
/// Between two lines of one stage, where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(120);

/// How much of the progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Warnings alone.
    Warnings,
    /// Warnings alone, each as a line of JSON.
    Json,
    /// All of it.
    All,
}

/// Shows what a command reports, and passes on the request to stop.
pub struct Terminal {
    view: View,
    cancel: Arc<AtomicBool>,
    told: AtomicBool,
}

enum View {
    None,
    Json,
    Bar(Bar),
    Lines(Lines),
}

struct Bar {
    shown: ProgressBar,
    stage: Mutex<Option<(String, Instant)>>,
}

struct Lines {
    out: Mutex<Box<dyn Write + Send>>,
    stage: Mutex<Option<Stage>>,
    done_bytes: AtomicU64,
    begun: Instant,
    /// Milliseconds since `begun`.
    next_line: AtomicU64,
}

#[derive(Clone)]
struct Stage {
    name: String,
    total_bytes: Option<u64>,
    since: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    /// `cancel` is set by whoever asks to stop.
    pub fn new(show: Show, cancel: Arc<AtomicBool>) -> Self {
        let view = match show {
            Show::Warnings => View::None,
            Show::Json => View::Json,
            Show::All if io::stderr().is_terminal() => View::Bar(Bar::new()),
            Show::All => View::Lines(Lines::new(Box::new(io::stderr()))),
        };
        Self {
            view,
            cancel,
            told: AtomicBool::new(false),
        }
    }

    /// The work is done: shows the last stage's outcome.
    pub fn finish(&self) {
        match &self.view {
            View::Bar(bar) => bar.end_stage(),
            View::Lines(lines) => lines.end_stage(),
            View::None | View::Json => {}
        }
        self.clear();
    }

    /// Leaves no bar behind.
    fn clear(&self) {
        if let View::Bar(bar) = &self.view {
            bar.shown.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.view {
            View::Bar(bar) => bar.shown.suspend(|| write_line(&mut io::stderr(), text)),
            View::Lines(lines) => write_line(&mut *lock(&lines.out), text),
            View::None | View::Json => write_line(&mut io::stderr(), text),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Progress for Terminal {
    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        // Two layers may announce the same work.
        let is_known = match &self.view {
            View::Bar(bar) => bar.is_at_start_of(name),
            View::Lines(lines) => lines.is_at_start_of(name),
            View::None | View::Json => true,
        };
        if is_known {
            return;
        }
        match &self.view {
            View::Bar(bar) => bar.stage(name, total_bytes),
            View::Lines(lines) => lines.stage(name, total_bytes),
            View::None | View::Json => {}
        }
    }

    fn advance(&self, bytes: u64) {
        match &self.view {
            View::Bar(bar) => bar.shown.inc(bytes),
            View::Lines(lines) => lines.advance(bytes),
            View::None | View::Json => {}
        }
    }

    fn warn(&self, message: &str) {
        #[derive(serde::Serialize)]
        struct Warning<'a> {
            warning: &'a str,
        }
        if let View::Json = self.view {
            if let Ok(line) = obbackup::command::document::to_json(&Warning { warning: message }) {
                self.say(&line);
            }
            return;
        }
        self.say(&format!("warning: {}", safe(message)));
    }

    fn is_cancelled(&self) -> bool {
        let cancelled = self.cancel.load(Ordering::Relaxed);
        if cancelled && !self.told.swap(true, Ordering::Relaxed) && !matches!(self.view, View::Json)
        {
            self.say("stopping cleanly; once more to stop at once");
        }
        cancelled
    }
}

/// Standard error may be closed; progress is not worth failing for.
fn write_line(out: &mut dyn Write, text: &str) {
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self {
            shown: bar,
            stage: Mutex::new(None),
        }
    }

    fn is_at_start_of(&self, name: &str) -> bool {
        let stage = lock(&self.stage);
        stage.as_ref().is_some_and(|(known, _)| known == name) && self.shown.position() == 0
    }

    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        self.end_stage();
        let template = if total_bytes.is_some_and(|total| total > 0) {
            KNOWN
        } else {
            UNKNOWN
        };
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.progress_chars(BAR).tick_chars("|/-\\ ");
        self.shown.set_style(style);
        self.shown.reset();
        match total_bytes {
            Some(total) => self.shown.set_length(total),
            None => self.shown.unset_length(),
        }
        self.shown.set_message(safe(name));
        self.shown.enable_steady_tick(TICK);
        *lock(&self.stage) = Some((name.to_owned(), Instant::now()));
    }

    fn end_stage(&self) {
        let Some((name, since)) = lock(&self.stage).take() else {
            return;
        };
        if let Some(text) = done_text(&name, self.shown.position(), since.elapsed()) {
            self.shown.suspend(|| write_line(&mut io::stderr(), &text));
        }
    }
}

/// What to say of a stage at its end; nothing where there was next to nothing to do.
fn done_text(name: &str, bytes: u64, took: Duration) -> Option<String> {
    let name = safe(name);
    let time = duration(took.as_secs_f64());
    match bytes {
        0 if took < Duration::from_secs(1) => None,
        0 => Some(format!("{name}: done in {time}")),
        _ => Some(format!("{name}: done, {} in {time}", size(bytes))),
    }
}

impl Lines {
    fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out: Mutex::new(out),
            stage: Mutex::new(None),
            done_bytes: AtomicU64::new(0),
            begun: Instant::now(),
            next_line: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn postpone(&self) {
        let interval = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
        self.next_line
            .store(self.now().saturating_add(interval), Ordering::Relaxed);
    }

    fn is_at_start_of(&self, name: &str) -> bool {
        let stage = lock(&self.stage);
        stage.as_ref().is_some_and(|stage| stage.name == name)
            && self.done_bytes.load(Ordering::Relaxed) == 0
    }

    fn stage(&self, name: &str, total_bytes: Option<u64>) {
        self.end_stage();
        self.done_bytes.store(0, Ordering::Relaxed);
        self.postpone();
        let text = match total_bytes {
            Some(total) if total > 0 => format!("{}: {}", safe(name), size(total)),
            _ => safe(name),
        };
        write_line(&mut *lock(&self.out), &text);
        *lock(&self.stage) = Some(Stage {
            name: name.to_owned(),
            total_bytes,
            since: Instant::now(),
        });
    }

    fn end_stage(&self) {
        let Some(stage) = lock(&self.stage).take() else {
            return;
        };
        let bytes = self.done_bytes.load(Ordering::Relaxed);
        if let Some(text) = done_text(&stage.name, bytes, stage.since.elapsed()) {
            write_line(&mut *lock(&self.out), &text);
        }
    }

    fn advance(&self, bytes: u64) {
        let done = self.done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let due = self.next_line.load(Ordering::Relaxed);
        let now = self.now();
        if now < due {
            return;
        }
        // One of the threads that see the line due writes it.
        let claimed =
            self.next_line
                .compare_exchange(due, u64::MAX, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        let stage = lock(&self.stage).clone();
        if let Some(stage) = stage {
            let text = stage.line(done, stage.since.elapsed());
            write_line(&mut *lock(&self.out), &text);
        }
        self.postpone();
    }
}

impl Stage {
    fn line(&self, done_bytes: u64, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss)]
        let rate = done_bytes as f64 / seconds;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rate_text = format!("{}/s", size(rate as u64));
        let name = safe(&self.name);
        let Some(total) = self.total_bytes.filter(|total| *total > 0) else {
            return format!("{name}: {}, {rate_text}", size(done_bytes));
        };
        let done = done_bytes.min(total);
        let percent = u128::from(done) * 100 / u128::from(total);
        #[allow(clippy::cast_precision_loss)]
        let left = (total - done) as f64 / rate.max(1.0);
        format!(
            "{name}: {percent} %, {} of {}, {rate_text}, {} left",
            size(done),
            size(total),
            duration(left)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Terminal, Shared) {
        let shared = Shared::default();
        let terminal = Terminal {
            view: View::Lines(Lines::new(Box::new(shared.clone()))),
            cancel: Arc::new(AtomicBool::new(false)),
            told: AtomicBool::new(false),
        };
        (terminal, shared)
    }

    fn text(shared: &Shared) -> String {
        String::from_utf8(lock(&shared.0).clone()).unwrap()
    }

    #[test]
    fn a_line_tells_percent_rate_and_time_left() {
        let stage = Stage {
            name: "database".to_owned(),
            total_bytes: Some(4 << 30),
            since: Instant::now(),
        };
        assert_eq!(
            stage.line(1 << 30, Duration::from_secs(10)),
            "database: 25 %, 1.0 GiB of 4.0 GiB, 102.4 MiB/s, 30 s left"
        );
        assert_eq!(
            stage.line(5 << 30, Duration::from_secs(10)),
            "database: 100 %, 4.0 GiB of 4.0 GiB, 512.0 MiB/s, 0.0 s left"
        );
        let stage = Stage {
            total_bytes: None,
            ..stage
        };
        assert_eq!(
            stage.line(1 << 20, Duration::from_secs(1)),
            "database: 1.0 MiB, 1.0 MiB/s"
        );
    }

    #[test]
    fn stages_begin_and_end_with_a_line_and_others_are_rare() {
        let (terminal, shared) = lines();
        terminal.stage("database", Some(2048));
        terminal.stage("database", Some(2048));
        for _ in 0..2048 {
            terminal.advance(1);
        }
        terminal.stage("sources", None);
        terminal.finish();
        let text = text(&shared);
        let shown: Vec<_> = text
            .lines()
            .map(|line| line.split(" in ").next().unwrap())
            .collect();
        assert_eq!(
            shown,
            ["database: 2.0 KiB", "database: done, 2.0 KiB", "sources"]
        );
    }

    #[test]
    fn a_warning_cannot_move_the_cursor() {
        let (terminal, shared) = lines();
        terminal.warn("odd name: \u{1b}[2Jx");
        assert_eq!(text(&shared), "warning: odd name: \\u{1b}[2Jx\n");
    }

    #[test]
    fn a_request_to_stop_is_answered_once() {
        let (terminal, shared) = lines();
        assert!(!terminal.is_cancelled());
        terminal.cancel.store(true, Ordering::Relaxed);
        assert!(terminal.is_cancelled() && terminal.is_cancelled());
        assert_eq!(text(&shared).lines().count(), 1);
    }
}
