//! What the page answers, over its own server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use crate::config::Owner;
use crate::error::{Error, ErrorKind};
use crate::job::{About, Job, Outcome, Place, Stage, Verb};
use crate::progress::{Progress, Silent};

struct World {
    _directory: tempfile::TempDir,
    job: Job,
    token: String,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let owner = Owner::of(directory.path()).unwrap();
    let place = Place::at(directory.path(), owner);
    let about = About {
        instance: "secret instance".to_owned(),
        backup: Some(crate::format::id::Digest256::of(b"x")),
        label: Some("a <b>label</b> {{nonce}}".to_owned()),
        taken_at: chrono::Utc::now(),
        verb: Verb::Restore,
    };
    let job = Job::begin(&place, "1", about, None).unwrap();
    World {
        token: place.token("1").unwrap().expose().to_owned(),
        _directory: directory,
        job,
    }
}

fn serve(world: &World, context_path: &str) -> Server {
    let site = Site::new(context_path, world.job.board()).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&[address], Arc::new(site)).unwrap()
}

fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(server: &Server, path: &str, headers: &str) -> String {
    ask(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
    )
}

const BROWSER: &str = "Accept: text/html,application/xhtml+xml\r\n";

#[test]
fn people_get_the_page_and_programs_are_told_to_come_again() {
    let world = world();
    let server = serve(&world, "/openbravo");
    for path in ["/openbravo", "/openbravo/", "/openbravo/security/Login?x=y"] {
        let page = get(&server, path, BROWSER);
        assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
        assert!(page.contains("The application is being restored"), "{page}");
        for header in [
            "retry-after: ",
            "cache-control: no-store",
            "x-frame-options: DENY",
            "x-content-type-options: nosniff",
            "x-obbackup: restore",
            "content-security-policy: default-src 'none'; style-src 'nonce-",
            "frame-ancestors 'none'",
        ] {
            assert!(page.contains(header), "{header}: {page}");
        }
        assert!(!page.contains("{{") && !page.contains("secret"), "{page}");
    }
    for (path, headers) in [
        ("/openbravo/data.json", "Accept: */*\r\n"),
        ("/", BROWSER),
        ("/openbravo2/", BROWSER),
        ("/../etc/passwd", BROWSER),
    ] {
        let answer = get(&server, path, headers);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{path}: {answer}");
        assert!(answer.contains("retry-after: "), "{path}: {answer}");
        assert!(
            answer.ends_with("The application is being restored.\n"),
            "{path}"
        );
    }
    let post = "POST /openbravo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b";
    assert!(ask(&server, post).starts_with("HTTP/1.1 503 "));
    let head = ask(
        &server,
        &format!("HEAD /openbravo/ HTTP/1.1\r\nHost: x\r\n{BROWSER}\r\n"),
    );
    assert!(
        head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn at_the_root_everything_is_the_application() {
    let world = world();
    let server = serve(&world, "");
    assert!(get(&server, "/", BROWSER).contains("<!doctype html>"));
    assert!(get(&server, "/obbackup-restore.json", "").contains("\"kind\":\"restoring\""));
}

#[test]
fn details_are_for_whoever_brings_the_token_and_it_works_once() {
    let world = world();
    let server = serve(&world, "/openbravo");
    world.job.watch(&Silent).stage("staging", None);
    let wrong = get(&server, "/openbravo/?token=0123", BROWSER);
    assert!(wrong.contains("503") && !wrong.contains("secret instance"));
    let path = format!("/openbravo/?token={}", world.token);
    let answer = get(&server, &path, BROWSER);
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert!(answer.contains("location: /openbravo/\r\n"), "{answer}");
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(cookie.contains("HttpOnly") && !cookie.contains(&world.token));
    let cookie = format!("{BROWSER}Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let page = get(&server, "/openbravo/", &cookie);
    assert!(page.contains("secret instance"), "{page}");
    assert!(
        page.contains("a &lt;b&gt;label&lt;/b&gt; {{nonce}}"),
        "{page}"
    );
    let state = get(&server, "/openbravo/obbackup-restore.json", &cookie);
    assert!(state.contains("\"log\":["), "{state}");
    assert!(!get(&server, "/openbravo/obbackup-restore.json", "").contains("log"));
    assert!(get(&server, &path, BROWSER).starts_with("HTTP/1.1 503 "));
}

#[test]
fn its_port_is_free_at_once_also_with_clients_in_the_line() {
    let world = world();
    let server = serve(&world, "/openbravo");
    let address = server.addresses()[0];
    // One that waits, one in the middle of its request, one that was answered and does not hang up.
    let _waiting = TcpStream::connect(address).unwrap();
    let mut asking = TcpStream::connect(address).unwrap();
    asking.write_all(b"GET / HT").unwrap();
    let mut answered = TcpStream::connect(address).unwrap();
    answered
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    answered.read_exact(&mut [0; 12]).unwrap();
    server.stop();
    let again = TcpListener::bind(address).unwrap();
    drop(again);
    // And the other way round: behind a server that was there before.
    let second = Server::start(
        &[address],
        Arc::new(Site::new("", world.job.board()).unwrap()),
    );
    second.unwrap().stop();
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let world = world();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Arc::new(Site::new("", world.job.board()).unwrap());
    let error = Server::start(&[address], site).unwrap_err();
    assert!(
        error.to_string().contains(&address.port().to_string()),
        "{error:?}"
    );
}

#[test]
fn what_a_proxy_shows_follows_the_restore_and_is_neutral_afterwards() {
    let world = world();
    let links = proxy_links(Path::new("/var/www/ob/restore.html"), "/openbravo");
    assert_eq!(links.state, "/obbackup-restore/restore.json");
    let mut status = world.job.board().status();
    status.stage = Stage::Swapping;
    let shown = drawn(&status, &links);
    assert!(shown.page.contains("being restored"));
    assert!(shown.state.contains("\"kind\":\"restoring\""));
    status.outcome = Some(Outcome::restored(&status.about));
    let shown = drawn(&status, &links);
    assert!(shown.page.contains("No restore is running"));
    assert!(shown.state.contains("\"kind\":\"restored\""));
    let error = Error::new(ErrorKind::ActionNeeded, "both failed at /secret/path");
    status.outcome = Some(Outcome::failed(&error));
    let shown = drawn(&status, &links);
    assert!(shown.page.contains("administrator is needed"));
    assert!(!shown.page.contains("/secret/path"));
    for snippet in snippets(Path::new("/var/www/ob/restore.html"), "/openbravo") {
        assert!(
            snippet.text.contains("/obbackup-restore/restore.html"),
            "{snippet:?}"
        );
        assert!(snippet.text.contains("/var/www/ob/"), "{snippet:?}");
    }
}
