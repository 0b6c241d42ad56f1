//! Names that are numbers: content addresses and random ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest256([u8; 32]);

/// The content address of a chunk: the SHA-256 of its plain bytes.
pub type ChunkId = Digest256;

impl Digest256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All 64 digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first digits, as people see them.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..SHORT_ID_BYTES])
    }
}

/// A short id has twice as many digits.
const SHORT_ID_BYTES: usize = 4;

impl fmt::Display for Digest256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl FromStr for Digest256 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        // `decode_to_slice` takes upper case too; names have one spelling.
        if text.bytes().any(|byte| byte.is_ascii_uppercase())
            || hex::decode_to_slice(text, &mut bytes).is_err()
        {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("`{text}` is not a SHA-256 in hexadecimal"),
            ));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest256 {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest256> for String {
    fn from(digest: Digest256) -> Self {
        digest.to_hex()
    }
}

/// `bytes` random bytes in hexadecimal: ids of repositories, instances, runs and leases.
pub fn random_id(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| {
        Error::new(
            ErrorKind::Failure,
            format!("the operating system gave no random bytes: {error}"),
        )
    })?;
    Ok(hex::encode(buffer))
}
