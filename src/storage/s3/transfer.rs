//! Bytes on their way: paced to a bandwidth, and watched so that a connection that stands still is noticed.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use hyper::body::{Body, Bytes, Frame, SizeHint};

/// What is handed to the connection at once.
const FRAME_BYTES: usize = 64 << 10;

/// How many bytes may pass in which time; shared by all requests in one direction.
pub(super) struct Pace {
    bytes_per_second: u64,
    /// When the line is free again.
    free_at: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Takes the line for `bytes`; how long to wait before it is this caller's turn.
    pub(super) fn reserve(&self, bytes: usize) -> Duration {
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*free_at).max(now);
        *free_at = start + self.time_for(bytes);
        start - now
    }

    /// Gives back what was taken for `bytes` that do not pass after all.
    fn give_back(&self, bytes: usize) {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = free_at
            .checked_sub(self.time_for(bytes))
            .unwrap_or(*free_at);
    }

    fn time_for(&self, bytes: usize) -> Duration {
        let nanoseconds =
            (bytes as u128 * 1_000_000_000).div_ceil(u128::from(self.bytes_per_second));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// When something last happened on a request.
#[derive(Clone)]
pub(super) struct Watch {
    began: Instant,
    milliseconds: Arc<AtomicU64>,
    limit: Duration,
}

/// Nothing happened for too long.
#[derive(Debug)]
pub(super) struct Stalled;

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            milliseconds: Arc::default(),
            limit,
        }
    }

    /// Something happened, or will in `wait`, which is no silence of the server's.
    pub(super) fn stir(&self, wait: Duration) {
        let at = u64::try_from((self.began.elapsed() + wait).as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.fetch_max(at, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.milliseconds.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }

    /// The future's answer, unless nothing stirs for the limit.
    pub(super) async fn over<T>(&self, future: impl Future<Output = T>) -> Result<T, Stalled> {
        self.stir(Duration::ZERO);
        let mut future = pin!(future);
        let mut left = self.limit;
        loop {
            if let Ok(answer) = tokio::time::timeout(left, future.as_mut()).await {
                return Ok(answer);
            }
            let idle = self.idle();
            if idle >= self.limit {
                return Err(Stalled);
            }
            left = self.limit.saturating_sub(idle);
        }
    }
}

/// The body of a request.
pub(super) struct Outgoing {
    rest: Bytes,
    pace: Option<Arc<Pace>>,
    watch: Watch,
    /// The pause before the next frame.
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Outgoing {
    pub(super) fn new(bytes: Bytes, pace: Option<Arc<Pace>>, watch: Watch) -> Self {
        Self {
            rest: bytes,
            pace,
            watch,
            pause: None,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = this.rest.len().min(FRAME_BYTES);
        if this.pause.is_none()
            && let Some(pace) = &this.pace
        {
            let wait = pace.reserve(length);
            this.watch.stir(wait);
            this.pause = Some(Box::pin(tokio::time::sleep(wait)));
        }
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        this.watch.stir(Duration::ZERO);
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let (Some(pace), Some(_)) = (&self.pace, &self.pause) {
            pace.give_back(self.rest.len().min(FRAME_BYTES));
        }
    }
}

/// Signs the content too, though it is sent as a stream: the server refuses what arrives otherwise than it left.
#[derive(Debug)]
pub(super) struct SignedContent {
    /// SHA-256 of the body, in hexadecimal digits.
    pub(super) sha256: String,
}

impl Intercept for SignedContent {
    fn name(&self) -> &'static str {
        "SignedContent"
    }

    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state()
            .store_put(PayloadSigningOverride::Precomputed(self.sha256.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_kept_over_all_requests() {
        let pace = Pace::new(1000);
        let first = pace.reserve(500);
        let second = pace.reserve(500);
        let third = pace.reserve(1);
        assert!(first < Duration::from_millis(10));
        assert!(second > Duration::from_millis(450) && second <= Duration::from_millis(500));
        assert!(third > Duration::from_millis(950) && third <= Duration::from_secs(1));
    }

    #[test]
    fn what_is_broken_off_holds_up_nobody() {
        let pace = Arc::new(Pace::new(1000));
        pace.reserve(1000);
        let watch = Watch::new(Duration::from_secs(1));
        let mut body = Outgoing::new(Bytes::from(vec![0; 1000]), Some(pace.clone()), watch);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(std::future::poll_fn(|context| {
            assert!(Pin::new(&mut body).poll_frame(context).is_pending());
            Poll::Ready(())
        }));
        drop(body);
        let next = pace.reserve(1);
        assert!(next > Duration::from_millis(900) && next <= Duration::from_secs(1));
    }
}
