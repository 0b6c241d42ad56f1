//! What is told, as it arrives: e-mail, webhooks, pings and commands, and what each says when it fails.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::nights::rewind;
use crate::place::{PARTS, Place, far_from_now};
use crate::support::receiver::{
    CLOSED, Certificate, HttpServer, Mail, MailServer, Security, silent,
};

fn mail(name: &str, port: u16, more: &str) -> String {
    format!(
        "[notify.{name}]\ntype = \"mail\"\nhost = \"localhost\"\nport = {port}\n\
         from = \"obbackup <erp@example.org>\"\nto = [\"admin@example.org\", \"Zoë <zoe@example.org>\"]\n{more}\n"
    )
}

/// The certificate, or a word on why the test is not done.
fn certificate(test: &str) -> Option<Certificate> {
    let certificate = Certificate::new();
    if certificate.is_none() {
        eprintln!("SKIPPED {test}: no openssl to make a certificate with");
    }
    certificate
}

#[test]
fn e_mail_arrives_plain_and_encrypted() {
    let Some(certificate) = certificate("notifications::e_mail_arrives_plain_and_encrypted") else {
        return;
    };
    let place = Place::new();
    let ca_file = format!("ca_file = \"{}\"", certificate.path().display());
    for (name, security) in [
        ("plain", Security::Plain),
        ("starttls", Security::Starttls),
        ("tls", Security::Tls),
    ] {
        let password = (security != Security::Plain).then_some("mail-hush-hush");
        let server = MailServer::start(security, Some(&certificate), password);
        let log_in = "user = \"erp\"\npassword = \"mail-hush-hush\"";
        let more = match security {
            Security::Plain => "security = \"plain\"".to_owned(),
            // STARTTLS is what is done when nothing is said.
            Security::Starttls => format!("{log_in}\n{ca_file}"),
            Security::Tls => format!("security = \"tls\"\n{log_in}\n{ca_file}"),
        };
        place.configure(&mail(name, server.port, &more));
        assert_eq!(
            place.good(&["notify", "test", name]),
            format!("Sent: {name}\n")
        );
        let mail = server.next();
        assert_eq!(mail.from, "erp@example.org");
        assert_eq!(mail.to, ["admin@example.org", "zoe@example.org"]);
        assert_eq!(mail.was_encrypted, security != Security::Plain);
        assert_eq!(mail.user.is_some(), password.is_some());
        for line in [
            "Subject: [obbackup] openbravo on ",
            "Content-Type: text/plain",
            "Message-ID: <",
            "Somebody tried whether this message arrives. It did.",
        ] {
            assert!(mail.text.contains(line), "{}", mail.text);
        }
        assert!(!mail.text.contains("hush"), "{}", mail.text);
    }
}

/// The text of an e-mail, as its reader sees it.
fn read(mail: &Mail) -> String {
    let (head, body) = mail.text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("quoted-printable"), "{head}");
    let body = body.replace("=\r\n", "").replace("=20", " ");
    let body = body.replace("=3D", "=").replace("\r\n", "\n");
    let head = head.replace("\r\n ", " ");
    let subject = head.lines().find(|line| line.starts_with("Subject: "));
    format!("{}\n{body}", subject.unwrap())
}

#[test]
fn what_happened_in_a_night_stands_in_its_e_mail() {
    let place = Place::new();
    let server = MailServer::start(Security::Plain, None, None);
    let more = "security = \"plain\"\nevents = [\"failed\", \"recovered\"]";
    place.configure(&mail("admins", server.port, more));
    // Everything needs a server, and there is none.
    place.set_nightly(&["--retries", "0", "--label", "nightly"]);
    let night = || {
        place.good(&["schedule", "run", "--once"]);
        rewind(&place.path("erp"), 1);
        place.good(&["schedule", "run", "--once"]);
        read(&server.next())
    };
    let expect = |text: &str, lines: &[&str]| {
        for line in lines {
            assert!(text.contains(line), "no {line:?} in {text}");
        }
        assert!(!text.contains("hush"), "{text}");
    };
    let failed = night();
    expect(
        &failed,
        &[
            ": scheduled backup failed\n",
            "did not begin at its time",
            "\nWhat happened  cannot connect to database `openbravo`",
            "\nWhat to do     Start PostgreSQL",
            "\nSchedule       nightly, due ",
            "\nTook           ",
            "\nRepository     /",
            "\nNext run       ",
            "\nLog            obbackup log ",
        ],
    );
    let cron = far_from_now(1);
    place.good(&[
        "schedule", "set", "nightly", "--cron", &cron, "--only", PARTS,
    ]);
    let recovered = night();
    let id = place.backups()[0]["id"].as_str().unwrap()[..8].to_owned();
    expect(
        &recovered,
        &[
            ": scheduled backup works again\n",
            &format!("\nBackup      {id}\n"),
            "\nFiles       ",
            "\nNew         ",
            ", stored as ",
            "\nNext run    ",
        ],
    );
}

#[test]
fn a_mail_server_that_fails_is_told_of_with_a_remedy() {
    let Some(certificate) =
        certificate("notifications::a_mail_server_that_fails_is_told_of_with_a_remedy")
    else {
        return;
    };
    let place = Place::new();
    let strict = MailServer::start(Security::Starttls, Some(&certificate), Some("right"));
    let without = MailServer::start(Security::Plain, None, None);
    let ca_file = format!("ca_file = \"{}\"", certificate.path().display());
    let wrong = format!("user = \"erp\"\npassword = \"mail-hush-hush\"\n{ca_file}");
    let sections = [
        mail("refused", CLOSED, ""),
        mail("password", strict.port, &wrong),
        mail("hangs", silent(), "timeout_seconds = 1"),
        mail("unknown", strict.port, ""),
        mail("without", without.port, &ca_file),
    ];
    place.configure(&sections.concat());
    for (name, happened, remedy) in [
        ("refused", "onnection refused", "host, port and security"),
        ("password", "authentication failed", "user and password"),
        ("hangs", "no answer within 1 seconds", "timeout_seconds"),
        ("unknown", "ertificate", "ca_file"),
        ("without", "STARTTLS", "security"),
    ] {
        let said = place.bad(&["notify", "test", name], 1);
        assert!(
            said.contains(&format!("the notifier `{name}` failed")) && said.contains(happened),
            "{name}: {said}"
        );
        assert!(
            said.contains("hint:") && said.contains(remedy),
            "{name}: {said}"
        );
        assert!(!said.contains("mail-hush-hush"), "{said}");
    }
    assert!(strict.is_empty() && without.is_empty());
}

#[test]
fn a_backup_is_told_of_and_a_notifier_that_fails_does_not_fail_it() {
    let place = Place::new();
    let server = HttpServer::start(None, 200);
    let watch = HttpServer::start(None, 200);
    place.configure(&format!(
        "[notify.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}/in?token=url-hush-hush\"\n\
         secret = \"key-hush-hush\"\nevents = [\"succeeded\", \"failed\", \"recovered\"]\nruns = \"all\"\n\
         [notify.watch]\ntype = \"ping\"\nurl = \"http://127.0.0.1:{}/id-hush-hush/\"\nruns = \"all\"\n\
         [notify.usual]\ntype = \"ping\"\nurl = \"http://127.0.0.1:{1}/never\"\n\
         [notify.broken]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}/in?token=url-hush-hush\"\n\
         events = [\"succeeded\"]\nruns = \"all\"\n",
        server.port,
        watch.port,
        CLOSED,
    ));
    let output = place.run(&["backup", "--only", PARTS]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("warning: the notifier `broken` failed: cannot reach it"),
        "{said}"
    );
    assert!(said.contains("Check that its url is right"), "{said}");

    let request = server.next();
    assert_eq!(request.path, "/in?token=url-hush-hush");
    assert_eq!(request.header("content-type"), Some("application/json"));
    let document: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["event"], "succeeded");
    assert_eq!(document["run"]["type"], "manual");
    assert_eq!(document["run"]["backup"], place.backups()[0]["id"]);
    assert!(!document.to_string().contains("hush"), "{document}");
    // As whoever receives it would check it.
    let expected = format!("sha256={}", hmac("key-hush-hush", &request.body));
    assert_eq!(
        request.header("x-obbackup-signature"),
        Some(expected.as_str())
    );
    let paths = [watch.next().path, watch.next().path];
    assert_eq!(paths, ["/id-hush-hush/start", "/id-hush-hush"]);

    // One that fails, and one that works again.
    place.bad(&["backup"], 1);
    let failed: Value = serde_json::from_slice(&server.next().body).unwrap();
    assert_eq!(failed["event"], "failed");
    assert_eq!(failed["run"]["outcome"], "unreachable");
    assert!(
        failed["text"].as_str().unwrap().contains("What to do"),
        "{failed}"
    );
    assert_eq!(
        [watch.next().path, watch.next().path][1],
        "/id-hush-hush/fail"
    );
    place.run(&["backup", "--only", PARTS]);
    let recovered: Value = serde_json::from_slice(&server.next().body).unwrap();
    assert_eq!(recovered["event"], "recovered");
    assert!(server.is_empty());
    // The failure of the notifier stands in the log.
    assert!(
        place
            .good(&["log"])
            .contains("the notifier `broken` failed")
    );
}

fn hmac(key: &str, body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let pad = |byte: u8| -> Vec<u8> {
        let mut block = key.as_bytes().to_vec();
        block.resize(64, 0);
        block.into_iter().map(|known| known ^ byte).collect()
    };
    let inner = Sha256::digest([pad(0x36).as_slice(), body].concat());
    hex::encode(Sha256::digest([pad(0x5c), inner.to_vec()].concat()))
}

#[test]
fn webhooks_are_encrypted_and_their_failures_are_told_without_the_address() {
    let Some(certificate) = certificate(
        "notifications::webhooks_are_encrypted_and_their_failures_are_told_without_the_address",
    ) else {
        return;
    };
    let place = Place::new();
    let server = HttpServer::start(Some(&certificate), 200);
    let unwilling = HttpServer::start(None, 403);
    let hook = |name: &str, url: &str, more: &str| {
        format!("[notify.{name}]\ntype = \"webhook\"\nurl = \"{url}/url-hush-hush\"\n{more}\n")
    };
    let secure = format!("https://localhost:{}", server.port);
    let ca_file = format!("ca_file = \"{}\"", certificate.path().display());
    let sections = [
        hook("good", &secure, &ca_file),
        hook("unknown", &secure, ""),
        hook(
            "unwilling",
            &format!("http://127.0.0.1:{}", unwilling.port),
            "",
        ),
        hook("refused", &format!("http://127.0.0.1:{CLOSED}"), ""),
        hook(
            "hangs",
            &format!("http://127.0.0.1:{}", silent()),
            "timeout_seconds = 2",
        ),
        hook("nonsense", "not a url", ""),
    ];
    place.configure(&sections.concat());
    place.good(&["notify", "test", "good"]);
    assert_eq!(server.next().path, "/url-hush-hush");
    for (name, code, happened) in [
        ("unknown", 1, "no TLS with it"),
        ("unwilling", 1, "HTTP status 403"),
        ("refused", 1, "cannot reach it"),
        ("hangs", 1, "no answer within 2 seconds"),
        ("nonsense", 2, "its url is not one"),
        ("absent", 10, "there is no [notify.absent]"),
    ] {
        let said = place.bad(&["notify", "test", name], code);
        assert!(said.contains(happened), "{name}: {said}");
        assert!(!said.contains("url-hush-hush"), "{said}");
    }
}

#[test]
fn a_command_gets_the_document_and_is_ended_when_it_hangs() {
    let place = Place::new();
    let script = place.path("tell");
    let got = place.path("got.json");
    std::fs::write(&script, "#!/bin/sh\ncat > \"$1\"\necho said\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.configure(&format!(
        "[notify.good]\ntype = \"command\"\ncommand = [\"{}\", \"{}\"]\n\
         [notify.bad]\ntype = \"command\"\ncommand = [\"false\"]\n\
         [notify.absent]\ntype = \"command\"\ncommand = [\"/nonexistent\"]\n\
         [notify.hangs]\ntype = \"command\"\ncommand = [\"sh\", \"-c\", \"sleep 1000; true\"]\ntimeout_seconds = 1\n",
        script.display(),
        got.display()
    ));
    assert_eq!(place.good(&["notify", "test", "good"]), "Sent: good\n");
    let document: Value = serde_json::from_slice(&std::fs::read(&got).unwrap()).unwrap();
    assert_eq!(document["event"], "test");
    for (name, code, happened) in [
        ("bad", 1, "`false` ended with exit status: 1"),
        ("absent", 2, "cannot run `/nonexistent`"),
        ("hangs", 1, "no answer within 1 seconds"),
    ] {
        let said = place.bad(&["notify", "test", name], code);
        assert!(
            said.contains(happened) && said.contains("hint:"),
            "{name}: {said}"
        );
    }
    // All of them at once: each failure is told.
    let output = place.run(&["notify", "test"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        ["bad", "absent", "hangs"]
            .iter()
            .all(|name| said.contains(&format!("`{name}` failed"))),
        "{said}"
    );
}
