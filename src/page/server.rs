//! The small HTTP server under the page: bound and freed in a moment, so that Tomcat never waits for a port.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, oneshot};

use super::Site;
use super::answer::answer;
use crate::error::{Error, IoContext, Result};

/// A client that takes longer for its request is not served.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// As many clients at the same time; others wait.
const CLIENTS: usize = 200;
/// How long to wait after trouble in taking a client, such as no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// Sockets that are bound, where nobody is answered yet.
#[derive(Debug)]
pub struct Listening {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Listening {
    /// At all of the addresses, or at none. `Denied` where this user may not, `Io` where one of them is taken.
    ///
    /// The sockets may be bound while connections of the port's last user linger, and so may those of its next.
    pub fn at(addresses: &[SocketAddr]) -> Result<Self> {
        let mut listening = Self {
            listeners: Vec::new(),
            addresses: Vec::new(),
        };
        for address in addresses {
            let listener = bind(*address)?;
            let failed = || format!("cannot answer on port {}", address.port());
            listener.set_nonblocking(true).io_context(failed)?;
            let bound = listener.local_addr().io_context(failed)?;
            listening.addresses.push(bound);
            listening.listeners.push(listener);
        }
        Ok(listening)
    }

    /// The port of the first; 0 where there is none.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }
}

/// Serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `site` at all of the addresses, or at none.
    pub fn start(addresses: &[SocketAddr], site: Arc<Site>) -> Result<Self> {
        Self::serve(Listening::at(addresses)?, site)
    }

    /// Serves `site` where was bound before.
    pub fn serve(listening: Listening, site: Arc<Site>) -> Result<Self> {
        let failed = || "cannot serve the page".to_owned();
        let Listening {
            listeners,
            addresses,
        } = listening;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .io_context(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("page".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    for listener in listeners {
                        tokio::spawn(accept(listener, Arc::clone(&site)));
                    }
                    // Told to stop, or forgotten: both are the end.
                    let _ = stopped.await;
                });
                // With the runtime go its tasks, and with them every socket.
                drop(runtime);
            })
            .io_context(failed)?;
        Ok(Self {
            addresses,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it answers.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it; its ports are free when this returns.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has let go of its sockets as well.
            let _ = thread.join();
        }
    }
}

/// Binds; where the machine has no IPv6, at all of its IPv4 addresses instead of at all.
fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).or_else(|error| {
        if address.is_ipv6() && address.ip().is_unspecified() {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        } else {
            Err(error)
        }
    });
    bound.map_err(|error| {
        Error::io(format!("cannot answer on port {}", address.port()), error)
            .hint("Another program has it, or it is below 1024 and this user is not root.")
    })
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let response: Response<String> = answer(&request, &site);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    // A client that goes away or sends nonsense is no concern of the restore.
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(REQUEST_TIMEOUT)
                        // The next request may be for Tomcat.
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
