//! The one table of what can go wrong: kind, stable name, exit code, whether trying again can help.

use std::fmt;

use serde::Deserialize;

/// What kind of thing went wrong; decides the exit code, and is what programs match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Anything without a kind of its own.
    Failure,
    /// The request itself makes no sense: arguments, configuration, an ambiguous id.
    Usage,
    /// The work was done, but not all of it.
    Partial,
    /// No such repository, backup, or part of one.
    NotFound,
    /// Somebody else holds the lock.
    Locked,
    /// The encryption key is wrong or missing.
    WrongKey,
    /// No room on a device.
    NoSpace,
    /// A format, server or client version that does not fit.
    Incompatible,
    /// Stored bytes are not what was written.
    Damaged,
    /// A restore failed and everything is as it was before.
    RolledBack,
    /// A restore failed and somebody has to act.
    ActionNeeded,
    /// Stopped on request.
    Cancelled,
    /// What was to be created is there already.
    AlreadyExists,
    /// The operating system or the server refuses.
    Denied,
    /// The database cannot be reached.
    Unreachable,
    /// A storage or server hiccup; the same call may succeed later.
    Transient,
    /// Reading or writing failed for another reason.
    Io,
}

/// One row a kind: kind, stable name, exit code, retryable.
const TABLE: &[(ErrorKind, &str, u8, bool)] = &[
    (ErrorKind::Failure, "FAILURE", 1, false),
    (ErrorKind::Usage, "USAGE", 2, false),
    (ErrorKind::Partial, "PARTIAL", 3, false),
    (ErrorKind::NotFound, "NOT_FOUND", 10, false),
    (ErrorKind::Locked, "LOCKED", 11, true),
    (ErrorKind::WrongKey, "WRONG_KEY", 12, false),
    (ErrorKind::NoSpace, "NO_SPACE", 13, false),
    (ErrorKind::Incompatible, "INCOMPATIBLE", 14, false),
    (ErrorKind::Damaged, "DAMAGED", 15, false),
    (ErrorKind::RolledBack, "ROLLED_BACK", 16, false),
    (ErrorKind::ActionNeeded, "ACTION_NEEDED", 17, false),
    (ErrorKind::Cancelled, "CANCELLED", 130, false),
    (ErrorKind::AlreadyExists, "ALREADY_EXISTS", 1, false),
    (ErrorKind::Denied, "DENIED", 1, false),
    (ErrorKind::Unreachable, "UNREACHABLE", 1, true),
    (ErrorKind::Transient, "TRANSIENT", 1, true),
    (ErrorKind::Io, "IO", 1, false),
];

impl ErrorKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The first kind that a process ends with this code for; `None` for success and for codes that are not ours.
    pub fn of_exit_code(code: u8) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == code).map(|row| row.0)
    }

    fn row(self) -> (&'static str, u8, bool) {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .map_or(("FAILURE", 1, false), |row| (row.1, row.2, row.3))
    }

    /// The stable name that `--json` and the Java side show.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The process exit code.
    pub fn exit_code(self) -> u8 {
        self.row().1
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(self) -> bool {
        self.row().2
    }

    /// The kind that fits an error of the operating system.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::Denied,
            Io::AlreadyExists => Self::AlreadyExists,
            Io::StorageFull | Io::QuotaExceeded => Self::NoSpace,
            // The last three are what a network share says whose server is gone, and may come back.
            Io::Interrupted
            | Io::TimedOut
            | Io::WouldBlock
            | Io::StaleNetworkFileHandle
            | Io::ConnectionAborted
            | Io::NotConnected => Self::Transient,
            _ => Self::Io,
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error that says what happened, to what, and what to do about it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Source>,
}

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// `message` is lower case without a full stop and names the thing: ``cannot read `/a/b` ``.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            source: None,
        }))
    }

    /// An error of the operating system, with the kind that fits it.
    pub fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        // Streams of this crate carry its own errors through `std::io::Error`: unwrap them, so that
        // the first cause keeps its kind and hint.
        match source.downcast::<Error>() {
            Ok(inner) => inner,
            Err(source) => Self::new(ErrorKind::of_io(&source), message).source(source),
        }
    }

    /// The last one that the command told on its standard error by `--json`; warnings may stand before it.
    pub fn reported(said: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            error: Reported,
        }
        #[derive(Deserialize)]
        struct Reported {
            kind: String,
            message: String,
            hint: Option<String>,
        }
        let Document { error } = said
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok())?;
        let kind = ErrorKind::all()
            .find(|kind| kind.name() == error.kind)
            .unwrap_or(ErrorKind::Failure);
        Some(Self(Box::new(Inner {
            kind,
            message: error.message,
            hint: error.hint,
            source: None,
        })))
    }

    /// A request to stop was seen.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped on request")
    }

    /// What the user can do about it: one sentence with a capital, or a command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with another kind; the message, hint and source stay.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What is not there was named by somebody, and is no repository and no backup.
    #[must_use]
    pub fn misnamed(self) -> Self {
        match self.0.kind {
            ErrorKind::NotFound => self.with_kind(ErrorKind::Usage),
            _ => self,
        }
    }

    /// Puts what was being done before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same error for a second thread that ran into it: kind, text and hint.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            message: self.to_string(),
            hint: self.0.hint.clone(),
            source: None,
        }))
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message with its causes, without the hint.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What to do about it, if anything sensible can be said.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut source = std::error::Error::source(self);
        let mut last = self.0.message.clone();
        while let Some(error) = source {
            let text = error.to_string();
            // Many libraries repeat the cause in their own text.
            if !last.contains(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.kind().name())?;
        match &self.0.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Says what was being done when the operating system refused.
pub trait IoContext<T> {
    /// `message` is built only on failure.
    fn io_context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn io_context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::io(message(), source))
    }
}

impl<T> IoContext<T> for std::result::Result<T, rustix::io::Errno> {
    fn io_context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::io(message(), source.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_exactly_one_row_and_a_name_of_its_own() {
        let mut names: Vec<_> = TABLE.iter().map(|row| row.1).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        let mut kinds: Vec<_> = TABLE.iter().map(|row| row.0).collect();
        kinds.dedup();
        assert_eq!(kinds.len(), TABLE.len());
    }

    #[test]
    fn causes_are_shown_once_and_context_stands_first() {
        let error = Error::io(
            "cannot read `/x`",
            std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
        )
        .context("writing the pack");
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert_eq!(
            error.to_string(),
            "writing the pack: cannot read `/x`: No space left on device (os error 28)"
        );
    }

    #[test]
    fn an_error_survives_the_way_through_an_io_stream() {
        let inner = Error::new(ErrorKind::Damaged, "chunk is damaged").hint("Run verify.");
        let outer = Error::io("cannot copy", std::io::Error::from(inner));
        assert_eq!(outer.kind(), ErrorKind::Damaged);
        assert_eq!(outer.hint_text(), Some("Run verify."));
    }

    #[test]
    fn an_error_that_the_command_told_stays_what_it_was() {
        let said = "{\"schema\":1,\"warning\":\"x\"}\n{\"schema\":1,\"error\":{\"kind\":\"LOCKED\",\"exit_code\":11,\
                    \"retryable\":true,\"message\":\"in use\",\"hint\":\"Wait.\"}}\n";
        let error = Error::reported(said).unwrap();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert_eq!(error.to_string(), "in use");
        assert_eq!(error.hint_text(), Some("Wait."));
        assert!(Error::reported("Segmentation fault").is_none());
    }
}
