//! `[repository.<name>]`: where a repository is, how its storage is reached, and where its backups are copied to.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Secret;

/// What begins the URL of a repository in a bucket.
pub const S3_SCHEME: &str = "s3://";

/// `[repository.<name>]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySection {
    /// An absolute path, or `s3://bucket/prefix`.
    pub url: String,
    /// Repositories that each new backup is copied to, by name.
    #[serde(default)]
    pub copy_to: Vec<String>,
    /// The path must lie on a mounted device, and on the one that it was made on.
    #[serde(default)]
    pub require_mount: bool,
    /// How long a storage may be silent, in seconds, before it counts as stalled.
    pub stall_seconds: Option<NonZeroU32>,
    /// How long a request is tried again, in seconds, before the work is given up.
    pub give_up_after_seconds: Option<NonZeroU32>,
    /// Requests at the same time.
    pub concurrency: Option<NonZeroU16>,
    /// The most that is sent, and the most that is received, in bytes a second.
    pub bandwidth_bytes_per_second: Option<NonZeroU64>,
    /// The bucket's region; else that of the environment, the profile or the machine.
    pub region: Option<String>,
    /// The server, where it is not Amazon's: `https://s3.example.org`.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path and not in the host name; yes where there is an `endpoint`.
    pub path_style: Option<bool>,
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// An access key, instead of environment, profile or the machine's role.
    pub access_key_id: Option<String>,
    /// Its secret.
    pub secret_access_key: Option<Secret>,
    /// The token that goes with temporary keys.
    pub session_token: Option<Secret>,
    /// The storage class of packs, such as `STANDARD_IA`; everything else is small and read often.
    pub storage_class: Option<String>,
    /// Encryption by the server.
    pub sse: Option<ServerSideEncryption>,
    /// The key of that, for `kms`.
    pub kms_key_id: Option<String>,
    /// When requests carry a checksum besides the signature over their content.
    #[serde(default)]
    pub request_checksums: RequestChecksums,
    /// Whether the server heeds `If-None-Match: *`; where it does not it is asked before each object whether that is
    /// there. Yes, if nothing is said.
    pub conditional_writes: Option<bool>,
    /// New packs, indexes and manifests cannot be deleted for `object_lock_days`.
    pub object_lock: Option<ObjectLock>,
    /// For how many days.
    pub object_lock_days: Option<NonZeroU16>,
}

/// How the server encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerSideEncryption {
    /// SSE-S3: with the server's own key.
    S3,
    /// SSE-KMS: with a key of the key management service.
    Kms,
}

/// When requests carry a checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestChecksums {
    /// Only where the operation demands it; servers other than Amazon's often know no more.
    #[default]
    WhenRequired,
    /// Wherever the operation knows one.
    WhenSupported,
}

/// Who may shorten the retention of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectLock {
    /// Whoever has the permission to.
    Governance,
    /// Nobody.
    Compliance,
}

impl RepositorySection {
    /// The repository at `url`, with nothing else said.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Whether it lies in a bucket.
    pub fn is_bucket(&self) -> bool {
        self.url.starts_with(S3_SCHEME)
    }

    /// What is wrong with it, and what to write instead.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        if !self.url.contains("://") && !Path::new(&self.url).is_absolute() {
            return Some((
                "its url is not an absolute path",
                "Write an absolute path, or a URL such as s3://bucket/prefix.",
            ));
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Some((
                "access_key_id and secret_access_key belong together, and one is missing",
                "Write both, or neither: then environment, profile or the machine's role decide.",
            ));
        }
        if self.object_lock.is_some() != self.object_lock_days.is_some() {
            return Some((
                "object_lock and object_lock_days belong together, and one is missing",
                "Write both, such as object_lock = \"governance\" and object_lock_days = 30.",
            ));
        }
        if self.kms_key_id.is_some() && self.sse != Some(ServerSideEncryption::Kms) {
            return Some((
                "kms_key_id without sse = \"kms\" would not be used",
                "Add sse = \"kms\".",
            ));
        }
        if self.require_mount && self.is_bucket() {
            return Some((
                "require_mount is for directories, and this is a bucket",
                "Remove the line.",
            ));
        }
        let only_s3 = self.region.is_some()
            || self.endpoint.is_some()
            || self.access_key_id.is_some()
            || self.profile.is_some()
            || self.sse.is_some()
            || self.storage_class.is_some()
            || self.conditional_writes.is_some()
            || self.object_lock.is_some();
        if only_s3 && !self.is_bucket() {
            return Some((
                "it has keys for S3, but its url is no bucket",
                "Write url = \"s3://bucket/prefix\", or remove those keys.",
            ));
        }
        None
    }
}
