//! A stand-in for an S3 server: it keeps objects in memory, checks no signature, and ignores what it is told to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use obbackup::config::{RepositorySection, Secret};

use super::http::{Request, answer, serve};

/// Of the key and the session token of a request.
type Accepts = dyn Fn(&str, Option<&str>) -> bool + Send + Sync;

/// What the server does otherwise than a good one.
#[derive(Default)]
pub struct Ways {
    /// It overwrites what is there, though `If-None-Match: *` asks it not to.
    pub overwrites: bool,
    /// It does not know `If-None-Match`, and says so.
    pub refuses_conditions: bool,
    /// Each answer takes so long.
    pub latency: Duration,
    /// Whether a request with this key and session token may be answered.
    pub accepts: Option<Box<Accepts>>,
}

/// A running server.
pub struct Lenient {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    ways: Ways,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    keys: Mutex<Vec<String>>,
}

impl Lenient {
    pub fn start(ways: Ways) -> Self {
        let shared = Arc::new(Shared {
            ways,
            objects: Mutex::default(),
            keys: Mutex::default(),
        });
        let serving = shared.clone();
        let port = serve(move |request| serving.answer(request));
        Self { port, shared }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The access key of each request, in their order.
    pub fn keys(&self) -> Vec<String> {
        self.shared.keys.lock().unwrap().clone()
    }

    /// The section of a repository there.
    pub fn section(&self) -> RepositorySection {
        RepositorySection {
            endpoint: Some(self.endpoint()),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some("any".to_owned()),
            secret_access_key: Some(Secret::new("any")),
            ..RepositorySection::at("s3://bucket/x")
        }
    }
}

fn refused(status: &str, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
    answer(status, "", body.as_bytes())
}

/// The key that a request was signed with: `Credential=KEY/…` in its `Authorization`.
fn signer(request: &Request) -> &str {
    let authorization = request.header("authorization").unwrap_or_default();
    let credential = authorization.split_once("Credential=");
    credential
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default()
}

/// A parameter of the query, as this crate's paths need it.
fn parameter(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.replace("%2F", "/"))
}

impl Shared {
    fn answer(&self, request: &Request) -> Vec<u8> {
        std::thread::sleep(self.ways.latency);
        let key = signer(request);
        self.keys.lock().unwrap().push(key.to_owned());
        let token = request.header("x-amz-security-token");
        if let Some(accepts) = &self.ways.accepts
            && !accepts(key, token)
        {
            return refused("400 Bad Request", "ExpiredToken");
        }
        let path = request.target.split('?').next().unwrap_or_default();
        let path = path.trim_start_matches("/bucket").trim_start_matches('/');
        let mut objects = self.objects.lock().unwrap();
        match request.method.as_str() {
            "PUT" => {
                let once = request.header("if-none-match").is_some();
                if once && self.ways.refuses_conditions {
                    return refused("501 Not Implemented", "NotImplemented");
                }
                if once && !self.ways.overwrites && objects.contains_key(path) {
                    return refused("412 Precondition Failed", "PreconditionFailed");
                }
                objects.insert(path.to_owned(), request.body.clone());
                answer("200 OK", "", b"")
            }
            "DELETE" => {
                objects.remove(path);
                answer("204 No Content", "", b"")
            }
            _ if request.target.contains("list-type=2") => list(&objects, &request.target),
            _ => match objects.get(path) {
                Some(bytes) => part(bytes, request.header("range")),
                None => refused("404 Not Found", "NoSuchKey"),
            },
        }
    }
}

fn part(bytes: &[u8], range: Option<&str>) -> Vec<u8> {
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((start, end)) = range else {
        return answer("200 OK", "", bytes);
    };
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(bytes.len(), |end: usize| end + 1);
    let total = bytes.len();
    if end > total {
        return refused("416 Range Not Satisfiable", "InvalidRange");
    }
    let said = format!("Content-Range: bytes {start}-{}/{total}\r\n", end - 1);
    answer("206 Partial Content", &said, &bytes[start..end])
}

fn list(objects: &BTreeMap<String, Vec<u8>>, target: &str) -> Vec<u8> {
    let prefix = parameter(target, "prefix").unwrap_or_default();
    let after = parameter(target, "start-after").unwrap_or_default();
    let mut body = String::from("<ListBucketResult><IsTruncated>false</IsTruncated>");
    for (key, bytes) in objects {
        if key.starts_with(&prefix) && *key > after {
            let size = bytes.len();
            let _ = write!(
                body,
                "<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"
            );
        }
    }
    body.push_str("</ListBucketResult>");
    answer(
        "200 OK",
        "Content-Type: application/xml\r\n",
        body.as_bytes(),
    )
}
