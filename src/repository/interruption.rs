//! A repository's work that ends early where somebody asks to stop, also while its storage is silent.

use super::Repository;
use super::lock::Lock;
use crate::error::Result;
use crate::format::record::LeaseMode;
use crate::progress::Progress;
use crate::storage::interruption::until_stopped;

impl Repository {
    /// Does `work`, as [`until_stopped`] tells.
    pub fn until_stopped<T>(
        &self,
        progress: &dyn Progress,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        until_stopped(&*self.storage, progress, work)
    }

    /// A lease, which neither taking nor giving back holds up who wants to stop.
    pub fn hold<'a>(
        &'a self,
        mode: LeaseMode,
        instance: &str,
        purpose: &str,
        progress: &'a dyn Progress,
    ) -> Result<Held<'a>> {
        let lock = self.until_stopped(progress, || self.lock(mode, instance, purpose))?;
        Ok(Held {
            lock: Some(lock),
            repository: self,
            progress,
        })
    }
}

/// A lease of [`Repository::hold`], given back when it is dropped.
pub struct Held<'a> {
    lock: Option<Lock>,
    repository: &'a Repository,
    progress: &'a dyn Progress,
}

impl Held<'_> {
    /// As [`Lock::check`].
    pub fn check(&self) -> Result<()> {
        self.lock.as_ref().map_or(Ok(()), Lock::check)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let lock = self.lock.take();
        let _ = self.repository.until_stopped(self.progress, || {
            drop(lock);
            Ok(())
        });
    }
}
