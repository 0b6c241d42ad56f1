//! Restores in place under a real Tomcat that people are using.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::tomcat::{LOGIN, Tomcat as Server, ask, get};
use crate::tomcat::{set_state, world};
use crate::world::{World, errors};

/// What one who reloads the login page all the time saw.
#[derive(Debug, Default)]
struct Seen {
    /// Answers of the application.
    answers: u64,
    /// Answers of the page.
    pages: u64,
    /// From the last good answer before to the first one after.
    longest_gap: Duration,
    /// Titles of the page, each once.
    headlines: Vec<String>,
}

/// Asks as fast as answers come, until told to stop.
fn reload(port: u16, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let answer = get(port, "/openbravo/login.jsp").unwrap_or_default();
        if answer.contains(LOGIN) {
            seen.answers += 1;
            seen.longest_gap = seen.longest_gap.max(last.elapsed());
            last = Instant::now();
        } else if answer.to_lowercase().contains("x-obbackup: restore") {
            seen.pages += 1;
            let headline = answer
                .split("<h1 id=\"headline\">")
                .nth(1)
                .and_then(|rest| rest.split('<').next())
                .unwrap_or_default()
                .to_owned();
            if !seen.headlines.contains(&headline) {
                seen.headlines.push(headline);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    seen
}

pub fn configure(world: &World, text: &str) {
    let path = world.instance.sources.join("config/obbackup.toml");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}\n{text}")).unwrap();
}

pub fn prepared(database: &str) -> Option<(World, Server, String)> {
    let (world, server) = world(database)?;
    world.init();
    configure(
        &world,
        "[tomcat]\nprobe_timeout_seconds = 60\nprobe_text = \"Please log in\"\n",
    );
    server.start();
    let backup = world.json(&["backup"])["id"].as_str().unwrap().to_owned();
    set_state(&world, "second");
    server.wait_for("database: second;");
    server.wait_for("files: second;");
    Some((world, server, backup))
}

#[test]
fn people_see_the_page_and_then_the_restored_application() {
    let Some((world, server, backup)) = prepared("live_restore") else {
        return;
    };
    let stop = AtomicBool::new(false);
    let (output, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| reload(server.port, &stop));
        let output = world.output(&["restore", &backup, "--yes"]);
        stop.store(true, Ordering::Relaxed);
        (output, seen.join().unwrap())
    });
    assert!(
        output.status.success(),
        "{}\n{}",
        errors(&output),
        server.log()
    );
    // The probe answered before the restore ended, so nothing is waited for here.
    let page = get(server.port, "/openbravo/login.jsp").unwrap();
    assert!(
        page.contains("database: first;") && page.contains("files: first;"),
        "{page}"
    );
    assert!(seen.answers > 0 && seen.pages > 0, "{seen:?}");
    assert!(
        seen.headlines
            .iter()
            .any(|line| line.contains("being restored")),
        "{seen:?}"
    );

    let status = &world.json(&["status"]);
    let old = &status["old_states"][0];
    assert!(
        old["expires_at"].as_str() > old["at"].as_str() && old["is_replaced"] == true,
        "{status}"
    );
    let text = String::from_utf8(world.output(&["status"]).stdout).unwrap();
    assert!(
        text.contains("kept until") && text.contains("`obbackup undo` brings it back"),
        "{text}"
    );
    let status = &status["restore"];
    assert_eq!(status["outcome"]["verdict"], "restored");
    assert_eq!(status["percent"], 100);
    let stages: Vec<&str> = status["timings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|timing| timing["stage"].as_str().unwrap())
        .collect();
    assert_eq!(
        stages,
        [
            "planning",
            "safety_backup",
            "staging",
            "stopping",
            "swapping",
            "starting",
            "probing"
        ]
    );
    let shown = world.instance.sources.join(".obbackup/page");
    let page = fs::read_to_string(shown.join("restore.html")).unwrap();
    assert!(page.contains("No restore is running"), "{page}");
    let state: Value =
        serde_json::from_slice(&fs::read(shown.join("restore.json")).unwrap()).unwrap();
    assert_eq!(state["kind"], "restored");
}

#[test]
fn an_application_that_does_not_come_up_is_put_back() {
    let Some((world, server, _)) = prepared("live_put_back") else {
        return;
    };
    // The state that is backed up is one on which the application fails.
    let web_xml = world.instance.deploy.join("WEB-INF/web.xml");
    let good = fs::read(&web_xml).unwrap();
    fs::write(&web_xml, "<web-app").unwrap();
    let broken = world.json(&["backup"])["id"].as_str().unwrap().to_owned();
    fs::write(&web_xml, good).unwrap();
    let text = "[restore]\nstatus_file = \"STATUS\"\n"
        .replace("STATUS", world.path("shown.html").to_str().unwrap());
    configure(&world, &text);
    let path = world.instance.sources.join("config/obbackup.toml");
    let text = fs::read_to_string(&path).unwrap();
    let short = text.replace("probe_timeout_seconds = 60", "probe_timeout_seconds = 10");
    fs::write(&path, short).unwrap();

    let output = world.output(&["restore", &broken, "--yes"]);
    assert_eq!(
        output.status.code(),
        Some(16),
        "{}\n{}",
        errors(&output),
        server.log()
    );
    let page = get(server.port, "/openbravo/login.jsp").unwrap();
    assert!(
        page.contains("database: second;") && page.contains("files: second;"),
        "{page}"
    );
    let status = &world.json(&["status"])["restore"];
    assert_eq!(status["outcome"]["verdict"], "put_back");
    assert_eq!(status["put_back"]["at"], "probing");
    let because = status["put_back"]["because"].as_str().unwrap();
    assert!(because.contains("404"), "{because}\n{}", server.log());
    let text = String::from_utf8(world.output(&["status"]).stdout).unwrap();
    assert!(
        text.contains("everything is as it was before") && text.contains("404"),
        "{text}"
    );
    let followed = world.output(&["status", "--follow"]);
    assert_eq!(followed.status.code(), Some(16));
    assert!(world.path("shown.html").exists() && world.path("shown.json").exists());
}

/// Begins it in a process group of its own, which is then ended as a terminal's end would end it.
fn detached(world: &World, arguments: &[&str]) -> Value {
    let mut command = world.command(&[&["--json"], arguments, &["--yes", "--detach"]].concat());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let group = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Follows it to its good end, and looks at what it leaves in its files.
fn followed(world: &World, launched: &Value, verb: &str) {
    let followed = world.output(&["status", "--follow"]);
    assert_eq!(followed.status.code(), Some(0), "{}", errors(&followed));
    let text = String::from_utf8(followed.stdout).unwrap();
    assert!(text.contains("done; the application answers"), "{text}");
    let job = launched["job"].as_str().unwrap();
    let jobs = world.instance.sources.join(".obbackup/jobs");
    let status: Value =
        serde_json::from_slice(&fs::read(jobs.join(job).join("status.json")).unwrap()).unwrap();
    assert_eq!(status["about"]["verb"], verb);
    assert_eq!(status["outcome"]["exit_code"], 0);
    assert!(
        !fs::read_to_string(jobs.join(job).join("log"))
            .unwrap()
            .contains(launched["token"].as_str().unwrap())
    );
}

#[test]
fn a_detached_restore_and_its_undo_outlive_whoever_began_them() {
    let Some((world, server, backup)) = prepared("live_detached") else {
        return;
    };
    let launched = detached(&world, &["restore", &backup, "--in-place"]);
    let token = launched["token"].as_str().unwrap();
    assert_eq!(launched["status_path"], "/openbravo/");

    let second = world.output(&["restore", &backup, "--yes", "--detach"]);
    assert_eq!(second.status.code(), Some(11), "{}", errors(&second));
    // Whoever has the token sees details once the page is there.
    let begun = Instant::now();
    let cookie = loop {
        let answer = get(server.port, &format!("/openbravo/?token={token}")).unwrap_or_default();
        if let Some(line) = answer.lines().find(|line| line.starts_with("set-cookie: ")) {
            break line.replace("set-cookie: ", "Cookie: ");
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "{answer}");
        std::thread::sleep(Duration::from_millis(5));
    };
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let request =
        format!("GET /openbravo/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n{cookie}\r\n\r\n");
    // It may be gone again by now.
    let page = ask(server.port, &request).unwrap_or_default();
    assert!(
        page.is_empty() || page.contains("Details") || page.contains(LOGIN),
        "{page}"
    );
    followed(&world, &launched, "restore");
    server.wait_for("database: first;");

    // What was deleted for want of room cannot come back; what was kept can.
    world.refused(&["undo", "--yes", "--detach"], 10, &["no restore to undo"]);
    set_state(&world, "third");
    let output = world.output(&["restore", &backup, "--yes", "--no-safety-backup"]);
    assert!(output.status.success(), "{}", errors(&output));
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| reload(server.port, &stop));
        let launched = detached(&world, &["undo"]);
        followed(&world, &launched, "undo");
        server.wait_for("database: third;");
        server.wait_for("files: third;");
        stop.store(true, Ordering::Relaxed);
        seen.join().unwrap()
    });
    assert!(seen.answers > 0 && seen.pages > 0, "{seen:?}");
    assert!(
        seen.headlines
            .iter()
            .any(|line| line.contains("being restored")),
        "{seen:?}"
    );
}

/// How long the client waits for a restore, and how long for a mere stop and start of the same Tomcat.
#[test]
#[ignore = "a benchmark: make bench-downtime"]
fn downtime() {
    let megabytes: u32 =
        std::env::var("OBBACKUP_BENCH_MEGABYTES").map_or(200, |text| text.parse().unwrap());
    let size = crate::support::instance::Size::of(megabytes, 1_500);
    let world = World::sized(&format!("downtime_{megabytes}"), size).unwrap();
    let server = Server::around(&world.instance).unwrap();
    set_state(&world, "first");
    world.init();
    configure(&world, "[tomcat]\nprobe_text = \"Please log in\"\n");
    server.start();
    let backup = world.json(&["backup"]);
    let id = backup["id"].as_str().unwrap().to_owned();
    let measure = |work: &dyn Fn()| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| reload(server.port, &stop));
            std::thread::sleep(Duration::from_secs(1));
            work();
            server.wait_for(LOGIN);
            std::thread::sleep(Duration::from_secs(1));
            stop.store(true, Ordering::Relaxed);
            seen.join().unwrap()
        })
    };
    let alone = || {
        measure(&|| {
            for pid in server.processes() {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            }
            while !server.processes().is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            server.start();
        })
        .longest_gap
    };
    let before = alone();
    set_state(&world, "second");
    let began = Instant::now();
    let seen = measure(&|| {
        let output = world.output(&["restore", &id, "--yes"]);
        assert!(output.status.success(), "{}", errors(&output));
    });
    let took = began.elapsed();
    server.wait_for("database: first;");
    let after = alone();
    let tomcat = (before + after) / 2;
    println!(
        "instance of {megabytes} MB (database {} bytes, {} files): restore {:.1} s, downtime seen by the client {:.2} s \
         (page shown {} times), Tomcat's own stop and start {:.2} s ({:.2} and {:.2}), difference {:.2} s",
        backup["database_bytes"],
        backup["files"],
        took.as_secs_f64(),
        seen.longest_gap.as_secs_f64(),
        seen.pages,
        tomcat.as_secs_f64(),
        before.as_secs_f64(),
        after.as_secs_f64(),
        seen.longest_gap.as_secs_f64() - tomcat.as_secs_f64(),
    );
}
