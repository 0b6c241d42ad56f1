//! An application whose place the page takes while it is down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{OwnPort, Ports, Server, Site};
use crate::error::Result;
use crate::job::Job;
use crate::progress::Progress;
use crate::tomcat::Application;

/// Passes everything on to the application; between its end and its start the page answers on its ports.
pub struct StandIn<'a> {
    application: &'a dyn Application,
    job: &'a Job,
    site: Arc<Site>,
    ports: &'a Ports,
    own: &'a OwnPort,
    server: Mutex<Option<Server>>,
}

impl<'a> StandIn<'a> {
    /// The page of `job` is served on the application's `ports`, or on its `own` where those cannot be had.
    pub fn new(
        application: &'a dyn Application,
        job: &'a Job,
        site: Arc<Site>,
        ports: &'a Ports,
        own: &'a OwnPort,
    ) -> Self {
        Self {
            application,
            job,
            site,
            ports,
            own,
            server: Mutex::new(None),
        }
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Application for StandIn<'_> {
    fn name(&self) -> String {
        self.application.name()
    }

    fn is_running(&self) -> Result<bool> {
        // The page on its port is not the application.
        if self.server().is_some() {
            return Ok(false);
        }
        self.application.is_running()
    }

    fn stop(&self, progress: &dyn Progress) -> Result<()> {
        let mut server = self.server();
        if server.is_some() {
            return Ok(());
        }
        self.application
            .stop(progress)
            .inspect_err(|error| self.job.trouble(error))?;
        let shared = self.ports.shared();
        if !shared.is_empty() {
            match Server::start(shared, Arc::clone(&self.site)) {
                Ok(started) => *server = Some(started),
                Err(error) => self
                    .own
                    .open_instead(self.ports, &error, self.job, progress),
            }
        }
        Ok(())
    }

    fn start(&self, progress: &dyn Progress) -> Result<()> {
        if let Some(server) = self.server().take() {
            server.stop();
        }
        self.application
            .start(progress)
            .inspect_err(|error| self.job.trouble(error))
    }

    fn probe(&self, progress: &dyn Progress) -> Result<()> {
        self.application
            .probe(progress)
            .inspect_err(|error| self.job.trouble(error))
    }

    fn how_to_start(&self) -> String {
        self.application.how_to_start()
    }
}
