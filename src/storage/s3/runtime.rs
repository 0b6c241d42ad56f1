//! The one asynchronous runtime of the crate: started by the first request, and stopped when it is told to.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, ErrorKind, IoContext, Result};

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

/// Runs `future` to its end while this thread waits.
///
/// It runs as a task of its own and not on this thread: a task of a runtime that is shut down just ends,
/// where a thread that blocks on it would panic.
pub(super) fn run<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = bounded(1);
    handle()?.spawn(async move {
        // Nobody listens any more only when the waiting thread is gone.
        let _ = sender.send(future.await);
    });
    receiver.recv().map_err(|_| {
        Error::new(
            ErrorKind::Cancelled,
            "a request to S3 was given up: the program is ending",
        )
    })
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
