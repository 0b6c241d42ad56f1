//! The page in a real browser: followed from a restore to the application, and looked at in each state.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obbackup::config::Configuration;
use obbackup::error::{Error, ErrorKind};
use obbackup::instance::{Environment, Instance};
use obbackup::job::{About, Job, Outcome, Place, Shown, Verb};
use obbackup::page::{Server, Site, drawn, proxy_links};
use obbackup::progress::{Progress, Silent};

use crate::restore_live::{configure, prepared};
use crate::support::browser::Browser;
use crate::support::tomcat::free_port;

/// Keeps each title in the window's name, which goes from page to page: some are there for a moment only.
const TITLES: &str = "new MutationObserver(() => { \
    if (document.title && !window.name.split('|').includes(document.title)) window.name += '|' + document.title; \
}).observe(document, { subtree: true, childList: true, characterData: true })";

#[test]
fn a_browser_is_led_from_the_restore_to_the_application() {
    let browser = match Browser::start() {
        Ok(browser) => browser,
        Err(why) => {
            return println!("SKIPPED a_browser_is_led_from_the_restore_to_the_application: {why}");
        }
    };
    let Some((world, server, backup)) = prepared("page_browser") else {
        return;
    };
    let port = free_port();
    configure(&world, &format!("[restore]\npage_port = {port}\n"));
    let output = world.output(&["restore", &backup, "--yes", "--detach"]);
    assert!(output.status.success(), "{}", crate::world::errors(&output));
    browser.on_each_page(TITLES);
    let begun = Instant::now();
    while browser
        .open(&format!("http://127.0.0.1:{port}/openbravo/"))
        .is_err()
    {
        assert!(begun.elapsed() < Duration::from_mins(1), "nobody answers");
    }
    // From here on nobody touches the browser: the page has to find its way.
    let mut most = 0;
    loop {
        let title = browser.run("return document.title");
        let percent = browser
            .run("const bar = document.querySelector('progress'); return bar ? bar.value : null");
        most = most.max(percent.as_u64().unwrap_or(0));
        if title == "Openbravo" {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(3),
            "{title}\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let titles = browser.run("return window.name");
    let titles: Vec<&str> = titles.as_str().unwrap().split('|').collect();
    for title in ["The application is being restored", "Restored"] {
        assert!(titles.contains(&title), "{titles:?}");
    }
    assert!(most > 30, "{most}");
    let body = browser.run("return document.body.innerText");
    assert!(
        body.as_str().unwrap().contains("database: first;"),
        "{body}"
    );
    let address = browser.run("return location.href");
    assert_eq!(
        address,
        format!("http://127.0.0.1:{}/openbravo/login.jsp", server.port)
    );
}

fn about() -> About {
    About {
        instance: "Openbravo of Example Ltd".to_owned(),
        verb: Verb::Restore,
        backup: Some(obbackup::format::id::Digest256::of(b"x")),
        label: Some("before the price change".to_owned()),
        taken_at: chrono::Utc::now(),
    }
}

/// A restore of an instance with these sources.
fn begun(sources: &Path) -> (Place, Job) {
    std::fs::create_dir(sources.join("config")).unwrap();
    let properties = "context.name=openbravo\nbbdd.rdbms=POSTGRE\nbbdd.url=jdbc:postgresql://localhost:5432\n\
        bbdd.sid=x\nbbdd.user=x\nbbdd.password=x\n";
    std::fs::write(sources.join("config/Openbravo.properties"), properties).unwrap();
    let instance =
        Instance::open(sources, &Environment::default(), &Configuration::default()).unwrap();
    let place = Place::of(&instance);
    let job = Job::begin(&place, "1", about(), Shown::default()).unwrap();
    (place, job)
}

/// The server of such a page ends with the restore, and a page in the background asks too seldom to hear of the end.
#[test]
fn a_page_on_a_port_of_its_own_leads_on_when_its_server_is_gone() {
    let browser = match Browser::start() {
        Ok(browser) => browser,
        Err(why) => {
            return println!(
                "SKIPPED a_page_on_a_port_of_its_own_leads_on_when_its_server_is_gone: {why}"
            );
        }
    };
    let sources = tempfile::tempdir().unwrap();
    let (_place, job) = begun(sources.path());
    let port = free_port();
    let site = Arc::new(Site::on_own_port("/openbravo", job.board(), port).unwrap());
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], site).unwrap();
    browser
        .open(&format!("http://{}/openbravo/", server.addresses()[0]))
        .unwrap();
    let link =
        "const link = document.getElementById('open'); return link.hidden ? null : link.href";
    assert_eq!(browser.run(link), serde_json::Value::Null);
    drop(server);
    let begun = Instant::now();
    while browser.run(link).is_null() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        browser.run(link),
        format!("http://127.0.0.1:{port}/openbravo/")
    );
}

/// Pictures of each state, light and dark, for people to look at.
#[test]
#[ignore = "makes pictures to look at: make screenshots"]
#[allow(clippy::too_many_lines)] // A list of states.
fn pictures() {
    let browser = Browser::start().unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&directory).unwrap();
    let failed = |kind| {
        Outcome::failed(
            &Error::new(kind, "the application did not answer").hint("Look at its log."),
        )
    };
    let states: [(&str, &[&str], bool, Option<Outcome>); 10] = [
        ("planning", &["planning"], false, None),
        ("staging", &["staging", "database"], false, None),
        (
            "details",
            &[
                "safety backup",
                "staging",
                "database",
                "stopping Tomcat",
                "swap",
            ],
            true,
            None,
        ),
        ("swapping", &["stopping Tomcat", "swap"], false, None),
        (
            "starting",
            &["swap", "starting Tomcat", "waiting for the application"],
            false,
            None,
        ),
        (
            "putting-back",
            &["waiting for the application", "trouble", "putting back"],
            false,
            None,
        ),
        (
            "restored",
            &["swap"],
            false,
            Some(Outcome::restored(&about())),
        ),
        (
            "put-back",
            &["waiting for the application", "trouble", "putting back"],
            false,
            Some(failed(ErrorKind::RolledBack)),
        ),
        (
            "action-needed",
            &["swap"],
            false,
            Some(failed(ErrorKind::ActionNeeded)),
        ),
        (
            "nothing-changed",
            &["staging"],
            false,
            Some(failed(ErrorKind::Denied)),
        ),
    ];
    for (name, stages, details, outcome) in states {
        let sources = tempfile::tempdir().unwrap();
        let (place, job) = begun(sources.path());
        let watched = job.watch(&Silent);
        for stage in stages {
            match *stage {
                "trouble" => job.trouble(&Error::new(
                    ErrorKind::Failure,
                    "http://127.0.0.1:8080/openbravo/ answers 500",
                )),
                "database" | "staging" => watched.stage(stage, Some(1 << 30)),
                stage => watched.stage(stage, None),
            }
            if *stage == "database" {
                watched.advance(600 << 20);
            }
        }
        std::thread::sleep(Duration::from_millis(2600));
        let board = job.board();
        if let Some(outcome) = outcome {
            job.finish(outcome).unwrap();
        }
        let site = Arc::new(Site::new("/openbravo", board.clone()).unwrap());
        let server = Server::start(&["127.0.0.1:0".parse().unwrap()], site).unwrap();
        let address = format!("http://{}/openbravo/", server.addresses()[0]);
        if details {
            let token = place.token("1").unwrap();
            browser
                .open(&format!("{address}?token={}", token.expose()))
                .unwrap();
        } else {
            browser.open(&address).unwrap();
        }
        in_each_way(&browser, &directory, name);
        if name == "restored" {
            // What a proxy shows long after.
            let file = sources.path().join("restore.html");
            let links = proxy_links(&file, "/openbravo");
            std::fs::write(&file, drawn(&board.status(), &links).page).unwrap();
            browser.open(&format!("file://{}", file.display())).unwrap();
            in_each_way(&browser, &directory, "idle");
        }
    }
}

/// Light and dark, wide and narrow.
fn in_each_way(browser: &Browser, directory: &Path, name: &str) {
    for (width, (x, y)) in [("", (900, 900)), ("-narrow", (360, 740))] {
        browser.resize(x, y);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            std::thread::sleep(Duration::from_millis(1200));
            browser.picture(&directory.join(format!("{name}-{scheme}{width}.png")));
        }
        // Nobody has to scroll sideways.
        let overflow = browser.run("return document.documentElement.scrollWidth - innerWidth");
        assert!(overflow.as_i64().unwrap() <= 0, "{name}{width}: {overflow}");
    }
}
