//! The repository format, version 1: bytes to types and back, without any input or output.
//!
//! `docs/format.md` is the specification. Every object in a repository can be checked by itself:
//! packs, indexes and manifests carry the SHA-256 of their bytes in their name, small JSON objects
//! end in a checksum of what stands before it ([`sealed`]).

pub mod bytes;
pub mod catalog;
pub mod database;
pub mod file;
pub mod id;
pub mod index;
pub mod manifest;
pub mod order;
pub mod pack;
pub mod path;
pub mod record;
pub mod sealed;

/// The format version that this crate writes, and the highest that it reads.
pub const VERSION: u32 = 1;

/// gzip as every metadata object is written: no name, no time, so equal content gives equal bytes.
pub(crate) fn gzip(plain: &[u8]) -> crate::error::Result<Vec<u8>> {
    use crate::error::IoContext;
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .io_context(|| "cannot compress metadata".to_owned())
}

/// The inverse of [`gzip`]; `limit_bytes` bounds what a hostile object can unfold to.
pub(crate) fn gunzip(packed: &[u8], limit_bytes: u64) -> crate::error::Result<Vec<u8>> {
    use crate::error::{Error, ErrorKind};
    use std::io::Read;
    let damaged = |reason: String| Error::new(ErrorKind::Damaged, reason);
    let mut plain = Vec::new();
    let read = flate2::read::GzDecoder::new(packed)
        .take(limit_bytes + 1)
        .read_to_end(&mut plain)
        .map_err(|error| damaged(format!("cannot decompress it: {error}")))?;
    if read as u64 > limit_bytes {
        return Err(damaged(format!(
            "it unfolds to more than {limit_bytes} bytes"
        )));
    }
    Ok(plain)
}

/// A gzipped JSON object whose name is the SHA-256 of its bytes.
pub(crate) fn decode_named<T: serde::de::DeserializeOwned>(
    id: &id::Digest256,
    bytes: &[u8],
    limit_bytes: u64,
) -> crate::error::Result<T> {
    use crate::error::{Error, ErrorKind};
    let actual = id::Digest256::of(bytes);
    if actual != *id {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("its bytes have the SHA-256 {actual}, not that of its name"),
        ));
    }
    serde_json::from_slice(&gunzip(bytes, limit_bytes)?).map_err(|error| {
        Error::new(ErrorKind::Damaged, "it is not what it should be").source(error)
    })
}

/// How long ago, in the largest unit that says something: "3 days ago".
pub fn age(now: chrono::DateTime<chrono::Utc>, then: chrono::DateTime<chrono::Utc>) -> String {
    let seconds = (now - then).num_seconds();
    let units = [
        (31_557_600, "year"),
        (2_629_800, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    let Some((length, unit)) = units.into_iter().find(|(length, _)| seconds >= *length) else {
        return if seconds < -60 {
            "in the future".to_owned()
        } else {
            "just now".to_owned()
        };
    };
    let count = seconds / length;
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}
