//! The web application's server: found, stopped, started and asked whether it answers.

use crate::error::Result;
use crate::progress::Progress;

/// What runs the web application, as a restore needs it; a value, so that tests can put another in its place.
pub trait Application: Send + Sync {
    /// For people: what is controlled, and how.
    fn name(&self) -> String;

    /// Whether it runs now: its process is there, or its port is taken by it.
    fn is_running(&self) -> Result<bool>;

    /// Stops it, and returns when its process is gone and its port free.
    fn stop(&self, progress: &dyn Progress) -> Result<()>;

    /// Starts it, without waiting until it answers.
    fn start(&self, progress: &dyn Progress) -> Result<()>;

    /// Asks it over HTTP until it answers as it should, or the time for that is over.
    fn probe(&self, progress: &dyn Progress) -> Result<()>;
}
