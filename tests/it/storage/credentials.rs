//! Where credentials come from: the file, the environment, a profile, and the machine's role.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::cluster::skipped;
use crate::support::s3::{ACCESS_KEY, REGION, S3Server, SECRET_KEY};
use crate::world::errors;

/// `storage test` on a machine with nothing but these variables, and these lines in the repository's section.
fn try_storage(server: &S3Server, lines: &str, variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("obbackup.toml");
    let bucket = server.bucket();
    fs::write(
        &file,
        format!(
            "[repository.cloud]\nurl = \"s3://{bucket}/x\"\nendpoint = \"{}\"\nregion = \"{REGION}\"\n\
             give_up_after_seconds = 3\n{lines}",
            server.endpoint()
        ),
    )
    .unwrap();
    Command::new(env!("CARGO_BIN_EXE_obbackup"))
        .env_clear()
        .env("HOME", directory.path())
        .envs(variables.iter().copied())
        .arg("--config")
        .arg(&file)
        .args(["storage", "test"])
        .output()
        .unwrap()
}

#[test]
fn keys_come_from_the_file_the_environment_or_a_profile() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let nowhere = ("AWS_EC2_METADATA_DISABLED", "true");
    let keys = format!("access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\"\n");
    let profile = tempfile::tempdir().unwrap();
    let credentials = profile.path().join("credentials");
    fs::write(
        &credentials,
        format!(
            "[nightly]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        ),
    )
    .unwrap();
    let credentials = credentials.to_str().unwrap();
    for (lines, variables) in [
        (keys.as_str(), vec![nowhere]),
        (
            "",
            vec![
                nowhere,
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ],
        ),
        (
            "profile = \"nightly\"\n",
            vec![nowhere, ("AWS_SHARED_CREDENTIALS_FILE", credentials)],
        ),
    ] {
        let output = try_storage(server, lines, &variables);
        assert!(
            output.status.success(),
            "{lines:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            errors(&output)
        );
    }
    let output = try_storage(server, "", &[nowhere]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no credentials"), "{said}");
    assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
}

/// The metadata service of a machine with a role, as far as it is asked.
struct Metadata {
    port: u16,
    tokens: Arc<AtomicU32>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Metadata {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tokens, asked) = (
            Arc::new(AtomicU32::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let service = Self {
            port,
            tokens: tokens.clone(),
            asked: asked.clone(),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (tokens, asked) = (tokens.clone(), asked.clone());
                std::thread::spawn(move || Self::serve(&client, &tokens, &asked));
            }
        });
        service
    }

    fn serve(client: &TcpStream, tokens: &AtomicU32, asked: &Mutex<Vec<String>>) -> Option<()> {
        let mut from = BufReader::new(client.try_clone().ok()?);
        let mut to = client.try_clone().ok()?;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if from.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            let line = head.lines().next()?.to_owned();
            let with_token = head
                .to_ascii_lowercase()
                .contains("x-aws-ec2-metadata-token: a-token");
            asked.lock().unwrap().push(line.clone());
            let answer = |status: &str, body: &str| {
                format!(
                    "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            };
            let answered = if line.starts_with("PUT /latest/api/token ") {
                tokens.fetch_add(1, Ordering::SeqCst);
                answer("200 OK", "a-token")
            } else if !with_token {
                // The older protocol without a token is off.
                answer("401 Unauthorized", "")
            } else if line.starts_with("GET /latest/meta-data/iam/security-credentials/backup ")
                || line
                    .starts_with("GET /latest/meta-data/iam/security-credentials-extended/backup ")
            {
                let expires = chrono::Utc::now() + chrono::TimeDelta::hours(6);
                answer(
                    "200 OK",
                    &format!(
                        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{ACCESS_KEY}\",\
                         \"SecretAccessKey\":\"{SECRET_KEY}\",\"Token\":\"\",\"AccountId\":\"123456789012\",\
                         \"Expiration\":\"{}\",\"LastUpdated\":\"{}\"}}",
                        expires.format("%Y-%m-%dT%H:%M:%SZ"),
                        chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ")
                    ),
                )
            } else if line.contains("/iam/security-credentials") {
                answer("200 OK", "backup")
            } else {
                answer("404 Not Found", "")
            };
            to.write_all(answered.as_bytes()).ok()?;
        }
    }
}

#[test]
fn a_machine_with_a_role_needs_no_keys() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let metadata = Metadata::start();
    let endpoint = format!("http://127.0.0.1:{}", metadata.port);
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str());
    let output = try_storage(server, "", &[service]);
    let asked = metadata.asked.lock().unwrap().clone();
    assert!(
        output.status.success(),
        "{}{}\n{asked:#?}",
        String::from_utf8_lossy(&output.stdout),
        errors(&output)
    );
    assert!(metadata.tokens.load(Ordering::SeqCst) >= 1, "{asked:?}");

    // A container that is one hop too far away gets no answer.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    drop(silent);
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str());
    let output = try_storage(server, "", &[service]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no credentials"), "{said}");
}
