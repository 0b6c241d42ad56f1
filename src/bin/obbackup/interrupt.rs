//! Ctrl-C: the first asks the work to stop where that is safe, the second ends the program.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};

use obbackup::error::{ErrorKind, IoContext, Result};

/// How long work may take to come to an end after somebody asked for that.
const ENDING: Duration = Duration::from_secs(4);
/// How often is looked whether somebody did.
const LOOK: Duration = Duration::from_millis(100);

/// A flag that SIGINT and SIGTERM set. To be called only for work that looks at it: whatever does not
/// is better ended by the signal itself.
pub fn cancel_flag() -> Result<Arc<AtomicBool>> {
    let mut listening = Listening::begin()?;
    // For the rest of the program's life.
    listening.ids.clear();
    Ok(listening.flag())
}

/// Once `flag` is set the program ends within [`ENDING`], whatever it waits for by then: a storage that does not answer
/// must not keep a machine from being shut down. It leaves what a crash leaves, and the next run copes with that.
pub fn end_in_time(flag: Arc<AtomicBool>) -> Result<()> {
    let ended = move || {
        while !flag.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        thread::sleep(ENDING);
        // Where nobody listens any more the exit code says it too.
        let _ =
            io::stderr().write_all(b"stopped on request, in the middle of what it waited for\n");
        std::process::exit(ErrorKind::Cancelled.exit_code().into());
    };
    let spawned = thread::Builder::new()
        .name("ending".to_owned())
        .spawn(ended);
    spawned.map(drop).io_context(failed)
}

/// The same for a part of the program's life.
pub struct Listening {
    flag: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Listening {
    pub fn begin() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let status = i32::from(ErrorKind::Cancelled.exit_code());
        let mut ids = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the one that ends the program must see the flag of the signal before.
            let ends = flag::register_conditional_shutdown(signal, status, Arc::clone(&flag));
            ids.push(ends.io_context(failed)?);
            ids.push(flag::register(signal, Arc::clone(&flag)).io_context(failed)?);
        }
        Ok(Self { flag, ids })
    }

    /// While somebody is asked something, the first signal ends the program.
    pub fn at_question() -> Result<Self> {
        let listening = Self::begin()?;
        listening.flag.store(true, Ordering::Relaxed);
        Ok(listening)
    }

    /// Set by the first signal.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}

/// Signals that are taken note of, and end nothing.
pub struct Signals(Vec<(Signal, Arc<AtomicBool>, SigId)>);

impl Signals {
    pub fn begin() -> Result<Self> {
        let mut signals = Vec::new();
        for (number, signal) in [
            (SIGINT, Signal::INT),
            (SIGTERM, Signal::TERM),
            (SIGHUP, Signal::HUP),
        ] {
            let seen = Arc::new(AtomicBool::new(false));
            let id = flag::register(number, Arc::clone(&seen)).io_context(failed)?;
            signals.push((signal, seen, id));
        }
        Ok(Self(signals))
    }

    /// Those that came since the last call.
    pub fn take(&self) -> Vec<Signal> {
        let came = self
            .0
            .iter()
            .filter(|(_, seen, _)| seen.swap(false, Ordering::Relaxed));
        came.map(|(signal, ..)| *signal).collect()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, _, id) in &self.0 {
            low_level::unregister(*id);
        }
    }
}

fn failed() -> String {
    "cannot listen to signals".to_owned()
}
