//! Whether a repository is sound, as one answer.

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::repository::verify::{Severity, Verification, VerifyOptions};
use crate::wording::counted;

/// How many damaged objects a message names.
const NAMED: usize = 10;

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

impl Verified {
    /// The damage as an error, for those whom it concerns; `None` where all is sound.
    pub fn damage(&self) -> Option<Error> {
        if self.sound {
            return None;
        }
        let findings = self.verification.findings.iter();
        let objects: Vec<_> = findings
            .filter(|finding| finding.severity == Severity::Damage)
            .map(|finding| finding.object.as_str())
            .collect();
        let named: Vec<_> = objects.iter().take(NAMED).copied().collect();
        let error = Error::new(
            ErrorKind::Damaged,
            format!(
                "{}: {}",
                counted(objects.len() as u64, "damaged object"),
                named.join(", ")
            ),
        );
        Some(error.hint(
            "`obbackup verify --read-data` names them all; a new backup stores again what is missing.",
        ))
    }
}

/// Checks the repository. Damage is in the answer; an error means that checking was not possible.
pub fn verify(
    repository: &Repository,
    options: &VerifyOptions,
    progress: &dyn Progress,
) -> Result<Verified> {
    let verification =
        repository.until_stopped(progress, || repository.verify(options, progress))?;
    Ok(Verified {
        sound: verification.is_sound(),
        read_data: options.read_data,
        verification,
    })
}
