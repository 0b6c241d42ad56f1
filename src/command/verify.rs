//! Whether a repository is sound, as one answer.

use serde::Serialize;

use crate::error::Result;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::verify::{Verification, VerifyOptions};

/// What `verify` found.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Whether no data is lost.
    pub sound: bool,
    /// Whether every byte was read.
    pub read_data: bool,
    /// What was looked at, and what is wrong.
    #[serde(flatten)]
    pub verification: Verification,
}

/// Checks the repository. Damage is in the answer; an error means that checking was not possible.
pub fn verify(
    repository: &Repository,
    options: &VerifyOptions,
    progress: &dyn Progress,
) -> Result<Verified> {
    let verification = repository.verify(options, progress)?;
    Ok(Verified {
        sound: verification.is_sound(),
        read_data: options.read_data,
        verification,
    })
}
