//! A command's answer as one JSON document: what `--json` prints, and what Java reads.

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

/// The version of every JSON document; it changes when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// The envelope of every document.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    #[serde(flatten)]
    body: &'a T,
}

/// One line of JSON.
pub fn to_json<T: Serialize>(body: &T) -> Result<String> {
    serde_json::to_string(&Document {
        schema: SCHEMA,
        body,
    })
    .map_err(|error| {
        Error::new(ErrorKind::Failure, "cannot write the result as JSON").source(error)
    })
}
