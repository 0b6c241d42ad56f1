//! How much of the machine a backup may take, so that the users of the application do not notice it.

use std::num::NonZeroU64;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{getpriority_process, setpriority_process};

use crate::chunk::ChunkSink;
use crate::config::BackupSection;
use crate::error::{Error, Result};
use crate::format::id::ChunkId;
use crate::format::record::Chunkers;
use crate::progress::Progress;

/// A wait is cut into pieces of this length, so that a request to stop is heard.
const PATIENCE: Duration = Duration::from_millis(100);

/// The limits; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttle {
    /// How far to stand back behind other work for the processor, as `nice` counts: 0 to 19.
    pub nice: u8,
    /// Bytes of rows and files to read in a second.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl Throttle {
    /// What the configuration sets.
    pub fn configured(section: &BackupSection) -> Self {
        Self {
            nice: section.nice.unwrap_or_default(),
            bytes_per_second: section.bytes_per_second,
        }
    }

    /// Does `work` with lowered priority: on a thread of its own, because only root could raise the
    /// caller's again. Threads and programs that the work starts inherit it.
    pub fn stand_back<T: Send>(
        self,
        progress: &dyn Progress,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        if self.nice == 0 {
            return work();
        }
        std::thread::scope(|scope| {
            let working = std::thread::Builder::new()
                .name("obbackup-work".to_owned())
                .spawn_scoped(scope, || {
                    if let Err(error) = self.lower() {
                        progress.warn(&format!("the priority could not be lowered: {error}"));
                    }
                    work()
                })
                .map_err(|error| Error::io("cannot start a thread", error))?;
            working.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    fn lower(self) -> Result<(), rustix::io::Errno> {
        let nice = i32::from(self.nice);
        // On Linux both calls without a process mean the calling thread.
        if getpriority_process(None)? < nice {
            setpriority_process(None, nice)?;
        }
        Ok(())
    }
}

/// A sink that takes no more bytes in a second than it is allowed to.
///
/// Everything that a backup reads passes here exactly once, before it is hashed. What is stored is less
/// than that, so the limit holds for writing too.
pub struct Throttled<'a, S> {
    sink: &'a S,
    bytes_per_second: Option<NonZeroU64>,
    /// When what was let through so far is paid for.
    paid_at: Mutex<Instant>,
    progress: &'a dyn Progress,
}

impl<'a, S: ChunkSink> Throttled<'a, S> {
    /// Lets through to `sink` what `throttle` allows.
    pub fn new(sink: &'a S, throttle: Throttle, progress: &'a dyn Progress) -> Self {
        Self {
            sink,
            bytes_per_second: throttle.bytes_per_second,
            paid_at: Mutex::new(Instant::now()),
            progress,
        }
    }

    fn pay(&self, bytes: usize) -> Result<()> {
        let Some(rate) = self.bytes_per_second else {
            return Ok(());
        };
        #[allow(clippy::cast_precision_loss)] // A chunk and a rate are far below 2^52.
        let price = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let due = {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            // Time in which nothing was read is not saved up.
            let due = (*paid_at).max(Instant::now());
            *paid_at = due + price;
            due
        };
        loop {
            let rest = due.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            self.progress.check()?;
            std::thread::sleep(rest.min(PATIENCE));
        }
    }
}

impl<S: ChunkSink> ChunkSink for Throttled<'_, S> {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        self.pay(plain.len())?;
        self.sink.put(plain)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.sink.has(id)
    }

    fn chunkers(&self) -> Chunkers {
        self.sink.chunkers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::progress::{Recorded, Silent};

    struct Counted(Mutex<usize>);

    impl ChunkSink for Counted {
        fn put(&self, plain: &[u8]) -> Result<ChunkId> {
            *self.0.lock().unwrap() += plain.len();
            Ok(ChunkId::of(plain))
        }

        fn has(&self, _id: &ChunkId) -> bool {
            false
        }

        fn chunkers(&self) -> Chunkers {
            Chunkers::default()
        }
    }

    fn limited(bytes_per_second: u64) -> Throttle {
        Throttle {
            bytes_per_second: NonZeroU64::new(bytes_per_second),
            ..Throttle::default()
        }
    }

    #[test]
    fn threads_together_keep_to_the_rate() {
        let sink = Counted(Mutex::new(0));
        let throttled = Throttled::new(&sink, limited(100_000), &Silent);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        throttled.put(&[0; 2_000]).unwrap();
                    }
                });
            }
        });
        // 40,000 bytes, of which the last 2,000 need not be waited for: no machine is too fast for that.
        assert!(begun.elapsed() >= Duration::from_millis(380));
        assert_eq!(*sink.0.lock().unwrap(), 40_000);
    }

    #[test]
    fn a_request_to_stop_ends_the_wait() {
        let sink = Counted(Mutex::new(0));
        let progress = Recorded::default();
        let throttled = Throttled::new(&sink, limited(1), &progress);
        throttled.put(&[0; 3_600]).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| throttled.put(&[1]));
            progress.cancel();
            let error = waiting.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
        });
    }

    #[test]
    fn the_priority_is_lowered_for_the_work_alone() {
        let priority = || getpriority_process(None).unwrap();
        let before = priority();
        let throttle = Throttle {
            nice: 19,
            ..Throttle::default()
        };
        let work = || Ok((priority(), std::thread::spawn(priority).join().unwrap()));
        assert_eq!(throttle.stand_back(&Silent, work).unwrap(), (19, 19));
        assert_eq!(priority(), before);
    }
}
