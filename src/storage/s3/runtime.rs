//! The one asynchronous runtime of the crate: started by the first request, and stopped when it is told to.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

use crate::error::{Error, IoContext, Result};

/// Requests wait far more than they compute.
const THREADS: usize = 2;

/// Not a plain once-cell: a library that is unloaded must end its threads, and the next use starts them anew.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

fn handle() -> Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.handle().clone());
    }
    let started = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("obbackup-s3")
        .enable_all()
        .build()
        .io_context(|| "cannot start the threads for S3".to_owned())?;
    let handle = started.handle().clone();
    *runtime = Some(started);
    Ok(handle)
}

/// Begins `future` as a task of its own and not on the thread that waits: a task of a runtime that is shut down just
/// ends, where a thread that blocks on it would panic.
fn begin<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<(Receiver<T>, AbortHandle)> {
    let (sender, receiver) = bounded(1);
    let task = handle()?.spawn(async move {
        // Nobody listens any more only when the waiting thread is gone.
        let _ = sender.send(future.await);
    });
    Ok((receiver, task.abort_handle()))
}

/// Runs `future` to its end while this thread waits.
pub(super) fn run<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (answer, _) = begin(future)?;
    answer.recv().map_err(|_| Error::cancelled())
}

/// The requests to one bucket that are under way.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<Vec<(Instant, AbortHandle)>>);

impl UnderWay {
    /// As [`run`], until it is given up.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let began = Instant::now();
        let (answer, task) = begin(future)?;
        {
            let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain(|(_, task)| !task.is_finished());
            tasks.push((began, task));
        }
        answer.recv().map_err(|_| Error::cancelled())
    }

    /// Breaks off those that were begun before `moment`; their connections are closed.
    pub(super) fn give_up(&self, moment: Instant) {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = tasks.iter().filter(|(began, _)| *began < moment);
        old.for_each(|(_, task)| task.abort());
    }
}

/// Ends what is under way and all threads, waiting for them no longer than `timeout`. The next request starts anew.
pub fn shutdown(timeout: Duration) {
    let runtime = RUNTIME
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(runtime) = runtime {
        runtime.shutdown_timeout(timeout);
    }
}
