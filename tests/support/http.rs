//! HTTP as far as stand-ins and proxies need it: messages, and a server that is a function from request to answer.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use super::receiver;

/// A request as it came.
pub struct Request {
    pub method: String,
    pub target: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// An answer with a body; `headers` end in line ends.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Answers on a port of its own until the test process ends. A `HEAD` gets the head alone.
pub fn serve(handle: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    receiver::serve(move |client| {
        // A client that hangs up is no failure.
        let _ = serve_one(&client, &handle);
    })
}

fn serve_one(client: &TcpStream, handle: &impl Fn(&Request) -> Vec<u8>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut from = BufReader::new(client.try_clone()?);
    let mut to = client.try_clone()?;
    loop {
        let head = text(&read_head(&mut from)?);
        let mut words = head.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(());
        };
        if header(&head, "expect").is_some() {
            to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = read_body(&mut from, &head)?;
        let request = Request {
            method,
            target,
            head,
            body,
        };
        let mut answer = handle(&request);
        if request.method == "HEAD" {
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
            answer.truncate(end.map_or(answer.len(), |end| end + 4));
        }
        to.write_all(&answer)?;
    }
}

pub fn broken(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

/// A head up to its empty line; nothing at the end of the connection.
pub fn read_head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(Vec::new());
        }
    }
    Ok(head)
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub fn text(head: &[u8]) -> String {
    String::from_utf8_lossy(head).into_owned()
}

pub fn read_body(from: &mut impl BufRead, head: &str) -> io::Result<Vec<u8>> {
    if header(head, "transfer-encoding").is_some_and(|it| it.contains("chunked")) {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            body.extend_from_slice(line.as_bytes());
            let size = usize::from_str_radix(line.trim().split(';').next().unwrap_or(""), 16)
                .map_err(|_| broken("no chunk size"))?;
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk);
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = header(head, "content-length").map_or(Ok(0), str::parse::<usize>);
    let mut body = vec![0; length.map_err(|_| broken("no length"))?];
    from.read_exact(&mut body)?;
    Ok(body)
}
