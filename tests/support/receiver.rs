//! Servers that receive what is told: SMTP and HTTP, plain and with TLS, and one that never answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A certificate for `localhost` that nobody trusts by himself.
pub struct Certificate {
    directory: tempfile::TempDir,
}

impl Certificate {
    /// Nothing where there is no `openssl`.
    pub fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-sha256", "-days", "2", "-nodes",
            ])
            .args([
                "-keyout",
                "key.pem",
                "-out",
                "certificate.pem",
                "-subj",
                "/CN=localhost",
            ])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .current_dir(directory.path())
            .output()
            .ok()?;
        assert!(output.status.success(), "{output:?}");
        Some(Self { directory })
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn configuration(&self) -> Arc<ServerConfig> {
        let key = self.directory.path().join("key.pem");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let configuration = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                certificates(&self.path()),
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap();
        Arc::new(configuration)
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn with_tls(stream: Box<dyn Stream>, configuration: &Arc<ServerConfig>) -> Box<dyn Stream> {
    let connection = ServerConnection::new(Arc::clone(configuration)).unwrap();
    Box::new(StreamOwned::new(connection, stream))
}

/// Takes a connection at a time, each in a thread; ends with the test's process.
pub fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = Arc::new(handle);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || handle(stream));
        }
    });
    port
}

/// A port that takes connections and never says a word.
pub fn silent() -> u16 {
    serve(|mut stream| {
        let mut nothing = Vec::new();
        let _ = stream.read_to_end(&mut nothing);
    })
}

/// A port that refuses connections, and that no test gets by chance.
pub const CLOSED: u16 = 1;

/// How a mail server wants to be spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Plain,
    Starttls,
    Tls,
}

/// One e-mail as it arrived.
#[derive(Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
    pub user: Option<String>,
    pub was_encrypted: bool,
}

/// Takes mail for everybody; with a password only from who knows it.
pub struct MailServer {
    pub port: u16,
    mails: Receiver<Mail>,
}

impl MailServer {
    pub fn start(
        security: Security,
        certificate: Option<&Certificate>,
        password: Option<&'static str>,
    ) -> Self {
        let configuration = certificate.map(Certificate::configuration);
        let (sender, mails) = channel();
        let sender = Mutex::new(sender);
        let port = serve(move |stream| {
            let sender = sender.lock().unwrap().clone();
            let configuration = configuration.clone();
            // A client that gives up in the middle is a part of what is tried.
            let _ = converse(stream, security, configuration.as_ref(), password, &sender);
        });
        Self { port, mails }
    }

    pub fn next(&self) -> Mail {
        self.mails.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    pub fn is_empty(&self) -> bool {
        self.mails.try_recv().is_err()
    }
}

fn converse(
    stream: TcpStream,
    security: Security,
    configuration: Option<&Arc<ServerConfig>>,
    password: Option<&str>,
    sender: &Sender<Mail>,
) -> std::io::Result<()> {
    let mut stream: Box<dyn Stream> = Box::new(stream);
    let mut encrypted = security == Security::Tls;
    if let (true, Some(configuration)) = (encrypted, configuration) {
        stream = with_tls(stream, configuration);
    }
    let mut reader = BufReader::new(stream);
    let mut user = None;
    let (mut from, mut to) = (String::new(), Vec::new());
    reader.get_mut().write_all(b"220 localhost ready\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let upper = line.trim().to_ascii_uppercase();
        let may_send = password.is_none() || user.is_some();
        let answer = if upper.starts_with("EHLO") {
            let mut answer = "250-localhost\r\n".to_owned();
            if security == Security::Starttls && !encrypted {
                answer.push_str("250-STARTTLS\r\n");
            }
            if password.is_some() {
                answer.push_str("250-AUTH PLAIN\r\n");
            }
            answer + "250 8BITMIME\r\n"
        } else if upper == "STARTTLS" {
            reader.get_mut().write_all(b"220 go ahead\r\n")?;
            let stream = with_tls(reader.into_inner(), configuration.unwrap());
            reader = BufReader::new(stream);
            encrypted = true;
            continue;
        } else if let Some(rest) = upper.strip_prefix("AUTH PLAIN ") {
            let words = decode_base64(line.trim().split_at(line.trim().len() - rest.len()).1);
            let mut words = words.split('\0').skip(1);
            let (name, given) = (words.next().unwrap_or_default(), words.next());
            if given == password {
                user = Some(name.to_owned());
                "235 welcome\r\n".to_owned()
            } else {
                "535 5.7.8 authentication failed\r\n".to_owned()
            }
        } else if upper.starts_with("MAIL FROM:") && may_send {
            from = address(&line);
            "250 ok\r\n".to_owned()
        } else if upper.starts_with("RCPT TO:") && may_send {
            to.push(address(&line));
            "250 ok\r\n".to_owned()
        } else if upper == "DATA" && may_send {
            reader.get_mut().write_all(b"354 go ahead\r\n")?;
            let mut text = String::new();
            while !text.ends_with("\r\n.\r\n") {
                if reader.read_line(&mut text)? == 0 {
                    return Ok(());
                }
            }
            text.truncate(text.len() - 3);
            let _ = sender.send(Mail {
                from: from.clone(),
                to: std::mem::take(&mut to),
                text,
                user: user.clone(),
                was_encrypted: encrypted,
            });
            "250 taken\r\n".to_owned()
        } else if upper == "QUIT" {
            reader.get_mut().write_all(b"221 bye\r\n")?;
            return Ok(());
        } else {
            "530 5.7.0 log in first\r\n".to_owned()
        };
        reader.get_mut().write_all(answer.as_bytes())?;
        reader.get_mut().flush()?;
    }
}

fn address(line: &str) -> String {
    let rest = line.split_once('<').unwrap().1;
    rest.split_once('>').unwrap().0.to_owned()
}

fn decode_base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|known| *known == byte).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// One request as it arrived.
#[derive(Debug)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Takes requests, and answers each with the same status.
pub struct HttpServer {
    pub port: u16,
    requests: Receiver<Request>,
}

impl HttpServer {
    pub fn start(certificate: Option<&Certificate>, status: u16) -> Self {
        let configuration = certificate.map(Certificate::configuration);
        let (sender, requests) = channel();
        let sender = Mutex::new(sender);
        let port = serve(move |stream| {
            let sender = sender.lock().unwrap().clone();
            let mut stream: Box<dyn Stream> = Box::new(stream);
            if let Some(configuration) = &configuration {
                stream = with_tls(stream, configuration);
            }
            let _ = answer(stream, status, &sender);
        });
        Self { port, requests }
    }

    pub fn next(&self) -> Request {
        self.requests.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    pub fn is_empty(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

fn answer(stream: Box<dyn Stream>, status: u16, sender: &Sender<Request>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let _ = sender.send(Request {
        path,
        headers,
        body,
    });
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes())?;
    reader.get_mut().flush()
}
