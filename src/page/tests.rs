//! What the page answers, over its own server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::config::Owner;
use crate::config::RestoreSection;
use crate::error::{Error, ErrorKind};
use crate::job::{About, Job, Outcome, Place, Shown, Stage, Verb};
use crate::progress::{Progress, Recorded, Silent};
use crate::tomcat::Application;
use crate::tomcat::server_xml::{Connector, Protocol};

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
    let job = Job::begin(&place, "1", about, Shown::default()).unwrap();
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
    let connector = |protocol, port| Connector {
        protocol,
        address: None,
        port,
    };
    let connectors = [
        connector(Protocol::Http, 8081),
        connector(Protocol::Ajp, 8010),
    ];
    let file = Path::new("/var/www/ob/restore.html");
    let [apache, _] = &snippets(file, "/openbravo", &connectors)[..] else {
        panic!("another server");
    };
    for line in [
        "ProxyPass /openbravo http://127.0.0.1:8081/openbravo retry=0",
        "ProxyPass /openbravo ajp://127.0.0.1:8010/openbravo retry=0",
    ] {
        assert!(apache.text.contains(line), "{apache:?}");
    }
    let usual = &snippets(file, "/openbravo", &[])[0].text;
    assert!(
        usual.contains(":8080/") && usual.contains(":8009/"),
        "{usual}"
    );
    for snippet in snippets(file, "/openbravo", &connectors) {
        assert!(
            snippet.text.contains("/obbackup-restore/restore.html"),
            "{snippet:?}"
        );
        assert!(snippet.text.contains("/var/www/ob/"), "{snippet:?}");
    }
}

/// A server that is up or down, and nothing else.
#[derive(Default)]
struct Switch(std::sync::atomic::AtomicBool);

impl Application for Switch {
    fn name(&self) -> String {
        "a switch".to_owned()
    }

    fn is_running(&self) -> crate::error::Result<bool> {
        Ok(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn stop(&self, _progress: &dyn Progress) -> crate::error::Result<()> {
        self.0.store(false, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    fn start(&self, _progress: &dyn Progress) -> crate::error::Result<()> {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    fn probe(&self, _progress: &dyn Progress) -> crate::error::Result<()> {
        Ok(())
    }

    fn how_to_start(&self) -> String {
        "flip it".to_owned()
    }
}

/// A server that does not stop.
struct Stubborn;

impl Application for Stubborn {
    fn name(&self) -> String {
        "a stubborn one".to_owned()
    }

    fn is_running(&self) -> crate::error::Result<bool> {
        Ok(true)
    }

    fn stop(&self, progress: &dyn Progress) -> crate::error::Result<()> {
        progress.stage(crate::tomcat::STOPPING, None);
        Err(Error::new(ErrorKind::Failure, "it does not stop"))
    }

    fn start(&self, _progress: &dyn Progress) -> crate::error::Result<()> {
        Ok(())
    }

    fn probe(&self, _progress: &dyn Progress) -> crate::error::Result<()> {
        Ok(())
    }

    fn how_to_start(&self) -> String {
        "wait".to_owned()
    }
}

/// Where everything was put back people read why; where somebody has to act nobody knows whether it was, and after a
/// restore without room the old state is gone.
#[test]
fn why_is_said_where_all_was_put_back_and_nothing_is_promised_where_it_was_not() {
    for (kind, said) in [
        (
            ErrorKind::RolledBack,
            "Put back because the application&#39;s server did not stop.",
        ),
        (
            ErrorKind::ActionNeeded,
            "The restore could not be completed by itself; “obbackup status”",
        ),
    ] {
        let world = world();
        let ports = Ports::of(&[], &RestoreSection::default());
        let own = OwnPort::new("/openbravo", &world.job, 8080).unwrap();
        let site = Arc::new(Site::new("/openbravo", world.job.board()).unwrap());
        let stand_in = StandIn::new(&Stubborn, &world.job, Arc::clone(&site), &ports, &own);
        let watched = world.job.watch(&Silent);
        let error = stand_in.stop(&watched).unwrap_err();
        watched.stage("putting back", None);
        world
            .job
            .finish(Outcome::failed(&error.with_kind(kind)))
            .unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(&[address], site).unwrap();
        let page = get(&server, "/openbravo/", BROWSER);
        assert!(page.contains(&format!("id=\"say\">{said}")), "{page}");
        assert!(!page.contains("Nothing was deleted"), "{page}");
    }
}

fn http(port: u16) -> [Connector; 1] {
    [Connector {
        protocol: Protocol::Http,
        address: Some("127.0.0.1".parse().unwrap()),
        port,
    }]
}

/// Another program has the application's port by the time that it is down.
#[test]
fn where_the_port_is_taken_the_page_is_on_a_free_one_that_is_told() {
    let world = world();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ports = Ports::of(&http(port), &RestoreSection::default());
    assert_eq!(
        ports.found().unwrap(),
        format!("on port {port} while Tomcat is down")
    );
    assert!(matches!(ports.bind_own(), (None, None)));
    let own = OwnPort::new("/openbravo", &world.job, port).unwrap();
    let site = Arc::new(Site::new("/openbravo", world.job.board()).unwrap());
    let application = Switch::default();
    let stand_in = StandIn::new(&application, &world.job, site, &ports, &own);
    let progress = Recorded::default();
    let watched = world.job.watch(&progress);
    for _ in 0..2 {
        stand_in.start(&watched).unwrap();
        assert!(stand_in.is_running().unwrap());
        stand_in.stop(&watched).unwrap();
        assert!(!stand_in.is_running().unwrap() && own.is_open());
    }
    let shown = loop {
        if let Some(shown) = world.job.board().status().page_port {
            break shown;
        }
        std::thread::yield_now();
    };
    assert_ne!(shown, port);
    let warnings = progress.warnings();
    assert!(
        warnings[0].contains(&format!("port {port}")) && warnings[0].contains(&shown.to_string()),
        "{warnings:?}"
    );
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", shown)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: ob.example\r\n{BROWSER}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("/openbravo/").contains("being restored"));
    // It stays when the application is started.
    stand_in.start(&watched).unwrap();
    assert!(ask("/openbravo/").contains("being restored"));
    let log = world.job.board().log().join("\n");
    assert!(
        log.contains(&format!("the page is on port {shown}")),
        "{log}"
    );
}

#[test]
fn a_port_of_its_own_that_is_taken_gives_way_to_a_free_one() {
    let taken = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
    let taken = taken.unwrap();
    let port = taken.local_addr().unwrap().port();
    let section = RestoreSection {
        page_port: port.try_into().ok(),
        ..RestoreSection::default()
    };
    let ports = Ports::of(&http(8080), &section);
    let found = ports.found().unwrap();
    assert!(
        found.contains("8080") && found.contains(&port.to_string()),
        "{found}"
    );
    let (listening, note) = ports.bind_own();
    let free = listening.unwrap().port();
    assert!(free != port && free != 0);
    let note = note.unwrap();
    assert!(
        note.contains(&format!("port {port}")) && note.contains(&format!("on port {free}")),
        "{note}"
    );
    drop(taken);
    // Programs that other tests begin have it too, until they are another program.
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let (listening, note) = ports.bind_own();
        if listening.unwrap().port() == port {
            break assert_eq!(note, None);
        }
        assert!(Instant::now() < patience, "{note:?}");
        std::thread::sleep(Duration::from_millis(10));
    }

    let off = RestoreSection {
        page: Some(false),
        ..RestoreSection::default()
    };
    assert!(Ports::of(&http(8080), &off).found().is_err());
    assert!(Ports::of(&[], &RestoreSection::default()).found().is_err());
}
