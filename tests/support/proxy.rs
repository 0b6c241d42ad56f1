//! A proxy before an S3 server that lets everything pass, counts it, and goes wrong when it is told to.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{broken, header, read_body, read_head, text};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status and code, and never delivered.
    Refused(u16, &'static str),
    /// Delivered, and then answered with this status and code.
    Belied(u16, &'static str),
    /// The connection ends before anything of the request was read.
    CutAtOnce,
    /// The connection ends after half of the request.
    CutRequest,
    /// Delivered; the connection ends before the answer.
    LostAnswer,
    /// The connection ends within the head of the answer.
    CutHead,
    /// The connection ends after so many bytes of the answer's body.
    CutBody(usize),
    /// The connection ends after half of the answer's body.
    CutHalf,
    /// The connection ends before the last byte of the answer's body.
    CutLast,
    /// Delivered, and never answered.
    StalledAnswer,
    /// The answer stands still after half of its body.
    StalledBody,
    /// Nothing of the request is taken.
    StalledRequest,
    /// Delivered twice; the first answer is passed on.
    TwiceFirst,
    /// Delivered twice; the second answer is passed on.
    TwiceSecond,
    /// One bit of the request's body flips.
    FlippedRequest,
    /// One bit of the answer's body flips.
    FlippedAnswer,
    /// A listing as it was some requests ago; else as it is.
    StaleListing,
    /// An answer that is no XML.
    Garbage,
    /// An answer that ends before it says anything.
    Empty,
    /// The answer comes late, but comes.
    Late,
}

/// The part of a request that plans and counts look at.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Bytes of its body.
    pub bytes: u64,
    /// Bytes of the answer's body.
    pub answered_bytes: u64,
}

impl Seen {
    /// The operation, as S3 charges for it.
    pub fn operation(&self) -> &'static str {
        operation_of(&self.method, &self.target)
    }
}

fn operation_of(method: &str, target: &str) -> &'static str {
    match method {
        "GET" if target.contains("list-type=2") => "LIST",
        "GET" => "GET",
        "PUT" => "PUT",
        "HEAD" => "HEAD",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// An operation, and a word of the targets.
type Denied = (&'static str, &'static str);
type Plan = dyn Fn(u64) -> Option<Fault> + Send + Sync;

struct Shared {
    server: u16,
    plan: Mutex<Box<Plan>>,
    count: AtomicU64,
    hit: AtomicU64,
    latency: Mutex<Duration>,
    denied: Mutex<Option<Denied>>,
    begun: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    listings: Mutex<HashMap<String, Vec<u8>>>,
    stopped: AtomicBool,
}

/// A running proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

/// What a message consists of.
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Proxy {
    /// A proxy before the server at `port`.
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            plan: Mutex::new(Box::new(|_| None)),
            count: AtomicU64::new(0),
            hit: AtomicU64::new(0),
            latency: Mutex::default(),
            denied: Mutex::default(),
            begun: Mutex::default(),
            seen: Mutex::default(),
            listings: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = accepting.clone();
                // A connection that breaks is what this is for.
                std::thread::spawn(move || client.and_then(|client| shared.serve(&client)));
            }
        });
        Self { shared, port }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on the request number `number` (from 0 again) goes as `plan` says.
    pub fn set(&self, plan: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
        self.shared.count.store(0, Ordering::SeqCst);
        self.shared.hit.store(0, Ordering::SeqCst);
        self.shared.begun.lock().unwrap().clear();
        self.shared.seen.lock().unwrap().clear();
    }

    /// Each answer comes so much later.
    pub fn set_latency(&self, latency: Duration) {
        *self.shared.latency.lock().unwrap() = latency;
    }

    /// From now on every request of this operation whose target has this word in it is refused for want of a
    /// permission; none, where it is `None`.
    pub fn deny(&self, denied: Option<(&'static str, &'static str)>) {
        *self.shared.denied.lock().unwrap() = denied;
    }

    /// Requests since the plan was set.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Faults since the plan was set.
    pub fn hits(&self) -> u64 {
        self.shared.hit.load(Ordering::SeqCst)
    }

    /// Method and target of each request since the plan was set, also of those that are still under way.
    pub fn begun(&self) -> Vec<String> {
        self.shared.begun.lock().unwrap().clone()
    }

    /// The requests since the plan was set.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many of each operation since the plan was set.
    pub fn operations(&self) -> BTreeMap<&'static str, u64> {
        let mut operations = BTreeMap::new();
        for seen in self.seen() {
            *operations.entry(seen.operation()).or_default() += 1;
        }
        operations
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Something that an S3 server could say.
fn answer(status: u16, code: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>injected</Message></Error>"
    );
    format!(
        "HTTP/1.1 {status} Injected\r\nContent-Type: application/xml\r\nx-amz-bucket-region: us-east-1\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn flip(body: &mut [u8]) {
    let middle = body.len() / 2;
    if let Some(byte) = body.get_mut(middle) {
        *byte ^= 0x04;
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut from = BufReader::new(client.try_clone()?);
        let mut to = client.try_clone()?;
        let mut server: Option<TcpStream> = None;
        loop {
            let head = read_head(&mut from)?;
            if head.is_empty() {
                return Ok(());
            }
            let number = self.count.fetch_add(1, Ordering::SeqCst);
            let fault = (self.plan.lock().unwrap())(number);
            self.hit
                .fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
            let goes_on = self.pass(head, fault, &mut from, &mut to, &mut server);
            if !matches!(goes_on, Ok(true)) {
                let _ = client.shutdown(Shutdown::Both);
                return goes_on.map(|_| ());
            }
        }
    }

    /// Sends a request on and takes the answer.
    fn forward(&self, request: &Message, server: &mut Option<TcpStream>) -> io::Result<Message> {
        let method = text(&request.head).starts_with("HEAD ");
        let mut attempt = || -> io::Result<Message> {
            let connection = match server.take() {
                Some(connection) => connection,
                None => TcpStream::connect(("127.0.0.1", self.server))?,
            };
            connection.set_nodelay(true)?;
            let mut out = connection.try_clone()?;
            out.write_all(&request.head)?;
            out.write_all(&request.body)?;
            let mut from = BufReader::new(connection.try_clone()?);
            let mut head = read_head(&mut from)?;
            while text(&head).starts_with("HTTP/1.1 100") {
                head = read_head(&mut from)?;
            }
            if head.is_empty() {
                return Err(broken("the server hung up"));
            }
            let said = text(&head);
            let bodiless =
                method || said.starts_with("HTTP/1.1 204") || said.starts_with("HTTP/1.1 304");
            let body = if bodiless {
                Vec::new()
            } else {
                read_body(&mut from, &said)?
            };
            if !header(&said, "connection").is_some_and(|it| it.eq_ignore_ascii_case("close")) {
                *server = Some(connection);
            }
            Ok(Message { head, body })
        };
        // A connection that was kept open may have been closed by the server meanwhile.
        attempt().or_else(|_| attempt())
    }

    /// One request; whether the connection goes on.
    fn pass(
        &self,
        head: Vec<u8>,
        fault: Option<Fault>,
        from: &mut impl BufRead,
        to: &mut TcpStream,
        server: &mut Option<TcpStream>,
    ) -> io::Result<bool> {
        let said = text(&head);
        let mut words = said.split(' ');
        let (method, target) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        let begun = format!("{method} {target}");
        self.begun.lock().unwrap().push(begun);
        match fault {
            Some(Fault::CutAtOnce) => return Ok(false),
            Some(Fault::StalledRequest) => {
                // Until the client gives up.
                let _ = from.read(&mut [0; 1][..0]);
                std::thread::sleep(STALL);
                return Ok(false);
            }
            Some(Fault::CutRequest) => {
                let length = header(&said, "content-length").and_then(|it| it.parse().ok());
                let half: u64 = length.unwrap_or(0_u64) / 2;
                io::copy(&mut from.take(half), &mut io::sink())?;
                return Ok(false);
            }
            _ => {}
        }
        if header(&said, "expect").is_some() {
            to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut request = Message {
            body: read_body(from, &said)?,
            head,
        };
        let bytes = request.body.len() as u64;
        let fault = self.denial(&method, &target).or(fault);
        if let Some(Fault::Refused(status, code)) = fault {
            self.note(method, target, bytes, 0);
            to.write_all(&answer(status, code))?;
            return Ok(true);
        }
        if fault == Some(Fault::FlippedRequest) {
            flip(&mut request.body);
        }
        let mut answered = self.forward(&request, server)?;
        match fault {
            Some(Fault::TwiceFirst) => {
                self.forward(&request, server)?;
            }
            Some(Fault::TwiceSecond) => answered = self.forward(&request, server)?,
            _ => {}
        }
        if target.contains("list-type=2") {
            let mut listings = self.listings.lock().unwrap();
            let whole = [&answered.head[..], &answered.body[..]].concat();
            let before = listings.insert(target.clone(), whole);
            if let (Some(Fault::StaleListing), Some(before)) = (fault, before) {
                self.note(method, target, bytes, before.len() as u64);
                to.write_all(&before)?;
                return Ok(true);
            }
        }
        self.note(method, target, bytes, answered.body.len() as u64);
        let latency = *self.latency.lock().unwrap();
        std::thread::sleep(latency);
        Self::reply(fault, answered, to)
    }

    fn denial(&self, method: &str, target: &str) -> Option<Fault> {
        let (operation, word) = (*self.denied.lock().unwrap())?;
        let denied = operation_of(method, target) == operation && target.contains(word);
        denied.then_some(Fault::Refused(403, "AccessDenied"))
    }

    fn note(&self, method: String, target: String, bytes: u64, answered_bytes: u64) {
        self.seen.lock().unwrap().push(Seen {
            method,
            target,
            bytes,
            answered_bytes,
        });
    }

    fn reply(fault: Option<Fault>, mut answered: Message, to: &mut TcpStream) -> io::Result<bool> {
        let length = answered.body.len();
        let cut = match fault {
            Some(Fault::Belied(status, code)) => {
                to.write_all(&answer(status, code))?;
                return Ok(true);
            }
            Some(Fault::LostAnswer) => return Ok(false),
            Some(Fault::CutHead) => {
                to.write_all(&answered.head[..answered.head.len() / 2])?;
                return Ok(false);
            }
            Some(Fault::CutBody(bytes)) => Some(bytes.min(length)),
            Some(Fault::CutHalf | Fault::StalledBody) => Some(length / 2),
            Some(Fault::CutLast) => Some(length.saturating_sub(1)),
            Some(Fault::StalledAnswer) => {
                std::thread::sleep(STALL);
                return Ok(false);
            }
            Some(Fault::Garbage) => {
                to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<<<>>>&&&")?;
                return Ok(true);
            }
            Some(Fault::Empty) => {
                to.write_all(b"HTTP/1.1 503 Empty\r\nContent-Length: 0\r\n\r\n")?;
                return Ok(true);
            }
            Some(Fault::Late) => {
                std::thread::sleep(Duration::from_millis(200));
                None
            }
            Some(Fault::FlippedAnswer) => {
                flip(&mut answered.body);
                None
            }
            _ => None,
        };
        to.write_all(&answered.head)?;
        to.write_all(&answered.body[..cut.unwrap_or(length)])?;
        if fault == Some(Fault::StalledBody) {
            std::thread::sleep(STALL);
        }
        Ok(cut.is_none())
    }
}

/// Longer than the clients of the tests wait.
const STALL: Duration = Duration::from_secs(30);
