//! On which ports people find the page: in the application's place, or on one of its own.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Site;
use super::server::{Listening, Server};
use crate::config::RestoreSection;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::progress::Progress;
use crate::tomcat::server_xml::{Connector, Protocol};

/// Below it a port is root's, unless the kernel is told otherwise.
const PRIVILEGED_PORTS: u16 = 1024;

/// What the configuration and the application's server leave to the page.
#[derive(Debug)]
pub struct Ports {
    /// The application's, for plain HTTP, as far as this user may answer there.
    shared: Vec<SocketAddr>,
    /// The configured one.
    own: Option<u16>,
    /// Why there is no shared one although the application has some.
    refused: Option<Error>,
    /// Where a free one is looked for.
    address: IpAddr,
    is_wanted: bool,
}

impl Ports {
    /// With a server that listens like this.
    pub fn of(connectors: &[Connector], section: &RestoreSection) -> Self {
        let is_wanted = section.page.unwrap_or(true);
        let mut shared: Vec<_> = connectors
            .iter()
            .filter(|connector| is_wanted && connector.protocol == Protocol::Http)
            .map(|connector| SocketAddr::new(everywhere(connector.address), connector.port))
            .collect();
        let address = shared.first().map_or(everywhere(None), SocketAddr::ip);
        let mut refused = None;
        shared.retain(|address| {
            let refusal = refusal(*address);
            let may = refusal.is_none();
            refused = refused.take().or(refusal);
            may
        });
        Self {
            refused: refused.filter(|_| shared.is_empty()),
            address,
            shared,
            own: section.page_port.map(u16::from),
            is_wanted,
        }
    }

    /// For people: where the page will be while the application is down; an error where nobody will see one, or
    /// not where it is looked for.
    pub fn found(&self) -> Result<String> {
        let shared: Vec<_> = self
            .shared
            .iter()
            .map(|address| address.port().to_string())
            .collect();
        let shared = format!("on port {} while Tomcat is down", shared.join(", "));
        let proxy = "A proxy can show it from a file: obbackup doctor --proxy-snippets";
        match (&self.refused, self.own) {
            (None, None) if self.shared.is_empty() => Err(Error::new(
                ErrorKind::Usage,
                if self.is_wanted {
                    "Tomcat has no port for plain HTTP to show it on while it is down"
                } else {
                    "it is switched off: `page` under [restore] is false"
                },
            )
            .hint(proxy)),
            (None, None) => Ok(shared),
            (None, Some(own)) if self.shared.is_empty() => {
                Ok(format!("on port {own} all through the restore"))
            }
            (None, Some(own)) => Ok(format!(
                "{shared}, and on port {own} all through the restore"
            )),
            (Some(refused), Some(own)) => Err(refused
                .duplicate()
                .context(format!("on port {own} alone"))
                .hint(proxy)),
            (Some(refused), None) => Err(refused
                .duplicate()
                .context("on a free port that `obbackup status` tells")
                .hint(format!(
                    "Set page_port under [restore] to choose it. {proxy}"
                ))),
        }
    }

    /// Binds the page's own port, where it is to have one: the configured one, or, where that is taken or the
    /// application's cannot be had, any that is free. What a person should know comes with it.
    pub fn bind_own(&self) -> (Option<Listening>, Option<String>) {
        let at = SocketAddr::new(everywhere(None), self.own.unwrap_or_default());
        let trouble = match (self.own, &self.refused) {
            (Some(_), _) => match Listening::at(&[at]) {
                Ok(listening) => return (Some(listening), None),
                Err(error) => error,
            },
            (None, Some(refused)) => refused.duplicate(),
            (None, None) => return (None, None),
        };
        self.bind_free(&trouble)
    }

    /// Where the page takes the application's place.
    pub(super) fn shared(&self) -> &[SocketAddr] {
        &self.shared
    }

    /// Binds a free port, at the application's own address where that is one of this machine.
    fn bind_free(&self, because: &Error) -> (Option<Listening>, Option<String>) {
        let at = |address| Listening::at(&[SocketAddr::new(address, 0)]);
        match at(self.address).or_else(|_| at(everywhere(None))) {
            Ok(listening) => {
                let note = format!("{because}; the page is on port {}", listening.port());
                (Some(listening), Some(note))
            }
            Err(error) => (None, Some(format!("{because}; {error}"))),
        }
    }
}

fn everywhere(address: Option<IpAddr>) -> IpAddr {
    address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// Why this user may not answer there. Tried, because the kernel and a program's capabilities decide.
fn refusal(address: SocketAddr) -> Option<Error> {
    if address.port() >= PRIVILEGED_PORTS || rustix::process::geteuid().is_root() {
        return None;
    }
    // One that somebody has is a port that this user may have.
    Listening::at(&[address])
        .err()
        .filter(|error| error.kind() == ErrorKind::Denied)
}

/// The page on a port of its own, all through the restore from when that was bound.
pub struct OwnPort {
    site: Arc<Site>,
    server: Mutex<Option<Server>>,
}

impl OwnPort {
    /// None yet. The page of `job` there leads to the application, which is on `port` of the same host.
    pub fn new(context_path: &str, job: &Job, port: u16) -> Result<Self> {
        Ok(Self {
            site: Arc::new(Site::on_own_port(context_path, job.board(), port)?),
            server: Mutex::new(None),
        })
    }

    /// Answers there, to the end, and has the job tell so.
    pub fn open(&self, listening: Listening, job: &Job) -> Result<()> {
        let port = listening.port();
        let server = Server::serve(listening, Arc::clone(&self.site))?;
        job.shown_on(port);
        *self.server() = Some(server);
        Ok(())
    }

    /// Whether somebody may look there.
    pub fn is_open(&self) -> bool {
        self.server().is_some()
    }

    /// The same as [`Self::open`] on any free port, where there is none yet: the application's could not be had.
    pub(super) fn open_instead(
        &self,
        ports: &Ports,
        because: &Error,
        job: &Job,
        progress: &dyn Progress,
    ) {
        let (listening, note) = if self.is_open() {
            (None, Some(because.to_string()))
        } else {
            ports.bind_free(because)
        };
        let opened = listening.map_or(Ok(()), |listening| self.open(listening, job));
        // People would see nothing; no reason to keep them waiting longer.
        let trouble = opened.err().map(|error| error.to_string());
        for warning in note.into_iter().chain(trouble) {
            progress.warn(&warning);
        }
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
