//! A bucket as a storage: one request for each operation, as few as there can be.
//!
//! Every object goes up in one PUT. Packs have at most 32 MiB, so a multipart upload would add requests, and
//! leave parts behind when it is interrupted; a PUT is there whole or not at all. The signature covers the
//! content, so a server refuses what was garbled on the way. A GET whose answer is cut off goes on where it
//! stopped, for the same version of the object only.
//!
//! Requests fail here at once; trying again is [`super::retry`]'s.

mod address;
mod client;
mod failure;
mod runtime;
mod transfer;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::{ByteStream, DateTime, SdkBody};
use aws_sdk_s3::types::{
    ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ServerSideEncryption as Sse,
    StorageClass,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use hyper::body::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use runtime::shutdown;

use super::{Object, STALL_SECONDS, Storage, check_path, range_error};
use crate::config::{ObjectLock, RepositorySection, ServerSideEncryption};
use crate::error::{Error, ErrorKind, Result};
use crate::format::id::Digest256;
use address::Address;
use failure::{Doing, Surface};
use runtime::UnderWay;
use transfer::{Outgoing, Pace, SignedContent, Watch};

/// Requests at the same time, where the configuration says nothing.
const CONCURRENCY: u16 = 8;
/// How often one read goes on after it was cut off, as long as each time brings something.
const RESUMES: u32 = 5;
/// Packs, and nothing else, go to the storage class of the configuration: what is small and read by every
/// command would cost more there than it saves.
const PACKS: &str = "packs/";
/// What is protected by `object_lock`; leases must go, and marks and records of runs are small.
const LOCKED_ROOMS: [&str; 3] = [PACKS, "index/", "backups/"];

/// Objects below a prefix of a bucket.
pub struct S3 {
    bucket: Arc<Bucket>,
    under_way: UnderWay,
}

struct Bucket {
    client: Client,
    address: Address,
    surface: Surface,
    settings: RepositorySection,
    permits: Semaphore,
    pace: Option<[Arc<Pace>; 2]>,
    stall: Duration,
    /// Whether the server takes `If-None-Match`; until it says otherwise.
    conditional: AtomicBool,
}

impl S3 {
    /// The bucket that the section's URL names. Asks the server nothing yet.
    pub fn open(section: &RepositorySection) -> Result<Self> {
        let address = Address::parse(&section.url)?;
        let settings = section.clone();
        let (client, region) = runtime::run(async move { client::build(&settings).await })?;
        let stall = section
            .stall_seconds
            .map_or(STALL_SECONDS, std::num::NonZeroU32::get);
        let concurrency = section
            .concurrency
            .map_or(CONCURRENCY, std::num::NonZeroU16::get);
        let bucket = Arc::new(Bucket {
            client,
            surface: Surface {
                bucket: address.bucket.clone(),
                region,
                endpoint: section.endpoint.clone(),
            },
            address,
            settings: section.clone(),
            permits: Semaphore::new(usize::from(concurrency)),
            pace: section.bandwidth_bytes_per_second.map(|bandwidth| {
                // Each direction has its own: a line carries both at once.
                [(); 2].map(|()| Arc::new(Pace::new(bandwidth.get())))
            }),
            stall: Duration::from_secs(u64::from(stall)),
            conditional: AtomicBool::new(section.conditional_writes.unwrap_or(true)),
        });
        Ok(Self {
            bucket,
            under_way: UnderWay::default(),
        })
    }

    fn put(&self, path: &str, bytes: &[u8], once: bool) -> Result<()> {
        check_path(path)?;
        let bucket = self.bucket.clone();
        let (path, bytes) = (path.to_owned(), Bytes::copy_from_slice(bytes));
        self.under_way
            .run(async move { bucket.put(&path, bytes, once).await })?
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        check_path(path)?;
        let (bucket, path) = (self.bucket.clone(), path.to_owned());
        self.under_way
            .run(async move { bucket.get(&path, range).await })?
    }
}

/// An object as far as it has come.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    /// The version that the first answer gave a part of.
    etag: Option<String>,
    /// Bytes of the whole object.
    total: Option<u64>,
}

impl Bucket {
    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.permits.acquire().await.ok()
    }

    /// Waits for an answer that has no long body.
    async fn answer<T, E>(
        &self,
        doing: Doing,
        what: &str,
        watch: &Watch,
        sent: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T>
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match watch.over(sent).await {
            Ok(answer) => {
                answer.map_err(|error| failure::explain(doing, what, &self.surface, error))
            }
            Err(transfer::Stalled) => Err(self.stalled(doing, what)),
        }
    }

    fn stalled(&self, doing: Doing, what: &str) -> Error {
        failure::stalled(doing, what, &self.surface, self.stall.as_secs())
    }

    async fn put(&self, path: &str, bytes: Bytes, once: bool) -> Result<()> {
        let _permit = self.permit().await;
        if once && self.conditional.load(Ordering::Relaxed) {
            match self.put_once(path, bytes.clone(), true).await {
                // A server that does not know the condition: ask first, which is as good where names are unique.
                Err(error) if error.kind() == ErrorKind::Incompatible => {
                    self.conditional.store(false, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        if once && self.head(path).await?.is_some() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("`{path}` is there already"),
            ));
        }
        self.put_once(path, bytes, false).await
    }

    async fn put_once(&self, path: &str, bytes: Bytes, conditional: bool) -> Result<()> {
        let watch = Watch::new(self.stall);
        let pace = self.pace.as_ref().map(|[out, _]| out.clone());
        let sha256 = Digest256::of(&bytes).to_hex();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let body = SdkBody::from_body_1_x(Outgoing::new(bytes, pace, watch.clone()));
        let mut request = self
            .client
            .put_object()
            .bucket(&self.address.bucket)
            .key(self.address.key(path))
            .content_length(length)
            .body(ByteStream::new(body));
        if conditional {
            request = request.if_none_match("*");
        }
        if path.starts_with(PACKS)
            && let Some(class) = &self.settings.storage_class
        {
            request = request.storage_class(StorageClass::from(class.as_str()));
        }
        match self.settings.sse {
            Some(ServerSideEncryption::S3) => {
                request = request.server_side_encryption(Sse::Aes256);
            }
            Some(ServerSideEncryption::Kms) => {
                request = request
                    .server_side_encryption(Sse::AwsKms)
                    .set_ssekms_key_id(self.settings.kms_key_id.clone())
                    .bucket_key_enabled(true);
            }
            None => {}
        }
        if let Some((mode, until)) = self.retention(path) {
            request = request
                .object_lock_mode(mode)
                .object_lock_retain_until_date(until);
        }
        let sent = request
            .customize()
            .interceptor(SignedContent { sha256 })
            .send();
        self.answer(Doing::Writing, path, &watch, Box::pin(sent))
            .await?;
        Ok(())
    }

    /// How long an object that is written now is kept from being deleted.
    fn retention(&self, path: &str) -> Option<(ObjectLockMode, DateTime)> {
        let days = self.settings.object_lock_days?;
        if !LOCKED_ROOMS.iter().any(|room| path.starts_with(room)) {
            return None;
        }
        let until = SystemTime::now() + Duration::from_hours(24 * u64::from(days.get()));
        let mode = match self.settings.object_lock? {
            ObjectLock::Governance => ObjectLockMode::Governance,
            ObjectLock::Compliance => ObjectLockMode::Compliance,
        };
        Some((mode, DateTime::from(until)))
    }

    async fn retain(&self, path: &str) -> Result<()> {
        let Some((mode, until)) = self.retention(path) else {
            return Ok(());
        };
        let _permit = self.permit().await;
        let watch = Watch::new(self.stall);
        let sent = self
            .client
            .put_object_retention()
            .bucket(&self.address.bucket)
            .key(self.address.key(path))
            .retention(
                ObjectLockRetention::builder()
                    .mode(ObjectLockRetentionMode::from(mode.as_str()))
                    .retain_until_date(until)
                    .build(),
            )
            .send();
        self.answer(Doing::Retaining, path, &watch, Box::pin(sent))
            .await?;
        Ok(())
    }

    /// The object's length, if there is one.
    async fn head(&self, path: &str) -> Result<Option<u64>> {
        let watch = Watch::new(self.stall);
        let sent = self
            .client
            .head_object()
            .bucket(&self.address.bucket)
            .key(self.address.key(path))
            .send();
        match self
            .answer(Doing::Reading, path, &watch, Box::pin(sent))
            .await
        {
            Ok(head) => Ok(Some(
                u64::try_from(head.content_length().unwrap_or_default()).unwrap_or_default(),
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let _permit = self.permit().await;
        if let Some(range) = range.as_ref().filter(|range| range.start >= range.end) {
            // A range of nothing cannot be asked for; whether it lies inside still matters.
            return match self.head(path).await? {
                Some(bytes) if range.start == range.end && range.end <= bytes => Ok(Vec::new()),
                Some(bytes) => Err(range_error(path, range, bytes)),
                None => Err(Error::new(
                    ErrorKind::NotFound,
                    format!("no object `{path}`"),
                )),
            };
        }
        let mut incoming = Incoming::default();
        let mut resumes = 0;
        loop {
            let before = incoming.bytes.len();
            let Err(error) = self.get_on(path, range.as_ref(), &mut incoming).await else {
                break;
            };
            let moved = incoming.bytes.len() > before;
            if error.kind() != ErrorKind::Transient || !moved || resumes == RESUMES {
                return Err(error);
            }
            resumes += 1;
        }
        let total = incoming.total.unwrap_or(incoming.bytes.len() as u64);
        let expected = range
            .as_ref()
            .map_or(total, |range| range.end - range.start);
        // Some servers know no ranges, and give the whole.
        if let Ok(expected) = usize::try_from(expected) {
            incoming.bytes.truncate(expected);
        }
        if incoming.bytes.len() as u64 != expected {
            let range = range.unwrap_or(0..total);
            return Err(range_error(path, &range, total));
        }
        Ok(incoming.bytes)
    }

    /// Goes on reading from where `incoming` ends.
    async fn get_on(
        &self,
        path: &str,
        range: Option<&Range<u64>>,
        incoming: &mut Incoming,
    ) -> Result<()> {
        let have = incoming.bytes.len() as u64;
        let start = range.map_or(0, |range| range.start) + have;
        let asked = match range {
            Some(range) if start >= range.end => return Ok(()),
            Some(range) => Some(format!("bytes={start}-{}", range.end - 1)),
            None if have > 0 => Some(format!("bytes={start}-")),
            None => None,
        };
        if range.is_none() && have > 0 && incoming.total == Some(have) {
            return Ok(());
        }
        let watch = Watch::new(self.stall);
        let sent = self
            .client
            .get_object()
            .bucket(&self.address.bucket)
            .key(self.address.key(path))
            .set_range(asked.clone())
            .set_if_match(incoming.etag.clone())
            .send();
        let mut answer = match self
            .answer(Doing::Reading, path, &watch, Box::pin(sent))
            .await
        {
            Ok(answer) => answer,
            // Another version took its place between the parts: begin again.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(failure::cut(Doing::Reading, path, &self.surface, error));
            }
            Err(error) => return Err(error),
        };
        // A server may answer a range that covers the whole object as if the whole object had been asked for.
        let begins = answer.content_range().map_or(Some(0), range_start);
        if asked.is_some() && begins != Some(start) {
            let other = "it is not the range that was asked for";
            return Err(failure::cut(Doing::Reading, path, &self.surface, other));
        }
        if incoming.etag.is_none() {
            incoming.etag = answer.e_tag().map(str::to_owned);
        }
        let length = answer
            .content_length()
            .and_then(|it| u64::try_from(it).ok());
        let total = answer.content_range().and_then(range_total);
        incoming.total = incoming.total.or(total).or(length);
        let expected = length.unwrap_or_default();
        let room = usize::try_from(expected.min(64 << 20)).unwrap_or_default();
        incoming.bytes.reserve(room);
        loop {
            let part = match watch.over(answer.body.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(part))) => part,
                Ok(Some(Err(error))) => {
                    return Err(failure::cut(Doing::Reading, path, &self.surface, error));
                }
                Err(transfer::Stalled) => return Err(self.stalled(Doing::Reading, path)),
            };
            incoming.bytes.extend_from_slice(&part);
            if let Some([_, into]) = &self.pace {
                let wait = into.reserve(part.len());
                tokio::time::sleep(wait).await;
            }
        }
        let came = incoming.bytes.len() as u64 - have;
        if length.is_some_and(|length| came < length) {
            let early = format!("{came} of {expected} bytes came");
            return Err(failure::cut(Doing::Reading, path, &self.surface, early));
        }
        Ok(())
    }

    /// Every object below `prefix` that comes after `after`; up to the first page that reaches `before`, where that
    /// is given.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<Vec<Object>> {
        let mut objects: Vec<Object> = Vec::new();
        let mut in_order = true;
        let mut token: Option<String> = None;
        let what = format!("{}/{prefix}", self.address);
        loop {
            // A place for each page, not for the listing: a long one must not hold others up.
            let _permit = self.permit().await;
            let watch = Watch::new(self.stall);
            let sent = self
                .client
                .list_objects_v2()
                .bucket(&self.address.bucket)
                .prefix(self.address.key(prefix))
                .set_start_after(after.map(|path| self.address.key(path)))
                .set_continuation_token(token.take())
                .send();
            let page = self
                .answer(Doing::Listing, &what, &watch, Box::pin(sent))
                .await?;
            for object in page.contents() {
                // What ends in a slash is a folder that somebody's browser made.
                let path = object.key().and_then(|key| self.address.path(key));
                if let Some(path) = path.filter(|path| !path.is_empty() && !path.ends_with('/')) {
                    in_order &= objects.last().is_none_or(|last| *last.path < *path);
                    objects.push(Object {
                        path: path.to_owned(),
                        bytes: object
                            .size()
                            .and_then(|bytes| u64::try_from(bytes).ok())
                            .unwrap_or_default(),
                    });
                }
            }
            let reached = objects.last().map(|last| last.path.as_str()) >= before;
            if page.is_truncated() != Some(true) || (before.is_some() && reached && in_order) {
                break;
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                let early = "the server says that there is more, and not where";
                return Err(failure::cut(Doing::Listing, &what, &self.surface, early));
            }
        }
        // Not every server keeps the order of bytes.
        objects.sort();
        objects.dedup_by(|left, right| left.path == right.path);
        objects.retain(|object| {
            after.is_none_or(|after| *object.path > *after)
                && before.is_none_or(|before| *object.path < *before)
        });
        Ok(objects)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let _permit = self.permit().await;
        let watch = Watch::new(self.stall);
        let sent = self
            .client
            .delete_object()
            .bucket(&self.address.bucket)
            .key(self.address.key(path))
            .send();
        match self
            .answer(Doing::Deleting, path, &watch, Box::pin(sent))
            .await
        {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// `bytes 2-4/10` begins at 2.
fn range_start(header: &str) -> Option<u64> {
    let (start, _) = header.strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
}

/// `bytes 2-4/10` is part of 10.
fn range_total(header: &str) -> Option<u64> {
    header.rsplit_once('/')?.1.parse().ok()
}

impl Storage for S3 {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.put(path, bytes, true)
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.put(path, bytes, false)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.get(path, None)
    }

    fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.get(path, Some(range))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let (bucket, prefix) = (self.bucket.clone(), prefix.to_owned());
        self.under_way
            .run(async move { bucket.list(&prefix, None, None).await })?
    }

    fn list_between(&self, after: &str, before: &str) -> Result<Vec<Object>> {
        let bucket = self.bucket.clone();
        let (after, before) = (after.to_owned(), before.to_owned());
        self.under_way.run(async move {
            let after = Some(after.as_str()).filter(|after| !after.is_empty());
            bucket.list("", after, Some(&before)).await
        })?
    }

    fn delete(&self, path: &str) -> Result<()> {
        check_path(path)?;
        let (bucket, path) = (self.bucket.clone(), path.to_owned());
        self.under_way
            .run(async move { bucket.delete(&path).await })?
    }

    fn retain(&self, path: &str) -> Result<()> {
        if self.bucket.settings.object_lock.is_none() {
            return Ok(());
        }
        let (bucket, path) = (self.bucket.clone(), path.to_owned());
        self.under_way
            .run(async move { bucket.retain(&path).await })?
    }

    fn interrupt(&self, begun_before: Instant) {
        self.under_way.give_up(begun_before);
    }

    fn location(&self) -> String {
        self.bucket.address.to_string()
    }

    fn is_remote(&self) -> bool {
        true
    }
}
