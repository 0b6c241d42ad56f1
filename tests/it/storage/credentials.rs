//! Where credentials come from: the file, the environment, a profile, a token of an identity provider, and the
//! machine's role; and that those which expire are renewed.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};

use crate::support::cluster::skipped;
use crate::support::http::{Request, answer, serve};
use crate::support::lenient::{Lenient, Ways};
use crate::support::s3::{ACCESS_KEY, REGION, S3Server, SECRET_KEY};
use crate::world::errors;

/// `storage test` on a machine with nothing but these variables, and these lines in the repository's section.
fn try_storage(server: &S3Server, lines: &str, variables: &[(&str, &str)]) -> Output {
    try_bucket(&server.endpoint(), &server.bucket(), lines, variables)
}

fn try_bucket(endpoint: &str, bucket: &str, lines: &str, variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("obbackup.toml");
    fs::write(
        &file,
        format!(
            "[repository.cloud]\nurl = \"s3://{bucket}/x\"\nendpoint = \"{endpoint}\"\nregion = \"{REGION}\"\n\
             give_up_after_seconds = 3\n{lines}"
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

/// Keys that are good for a time, and what the services are asked that give them out.
struct Issuer {
    good_for: TimeDelta,
    /// What each request was, in their order.
    asked: Mutex<Vec<String>>,
    /// When each key was given out; the first are [`ACCESS_KEY`] where that is wanted.
    issued: Mutex<Vec<Instant>>,
}

impl Issuer {
    fn new(good_for: TimeDelta) -> Arc<Self> {
        Arc::new(Self {
            good_for,
            asked: Mutex::default(),
            issued: Mutex::default(),
        })
    }

    /// A key of its own, and when it expires.
    fn issue(&self) -> (String, String) {
        let mut issued = self.issued.lock().unwrap();
        issued.push(Instant::now());
        let expires = (Utc::now() + self.good_for).format("%Y-%m-%dT%H:%M:%SZ");
        (format!("KEY{}", issued.len()), expires.to_string())
    }

    /// How long ago a key was given out.
    fn age(&self, key: &str) -> Option<Duration> {
        let number: usize = key.strip_prefix("KEY")?.parse().ok()?;
        Some(self.issued.lock().unwrap().get(number - 1)?.elapsed())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The metadata service of a machine with a role, as far as it is asked; `key` gives the key out.
    fn metadata(
        self: &Arc<Self>,
        key: impl Fn(&Self) -> (String, String) + Send + Sync + 'static,
    ) -> String {
        let issuer = self.clone();
        let port = serve(move |request| issuer.role(request, &key));
        format!("http://127.0.0.1:{port}")
    }

    fn role(&self, request: &Request, key: &impl Fn(&Self) -> (String, String)) -> Vec<u8> {
        let line = format!("{} {}", request.method, request.target);
        self.asked.lock().unwrap().push(line.clone());
        let good = |body: &str| {
            let headers = "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
            answer("200 OK", headers, body.as_bytes())
        };
        if line == "PUT /latest/api/token" {
            return good("a-token");
        }
        // The older protocol without a token is off.
        if request.header("x-aws-ec2-metadata-token") != Some("a-token") {
            return answer("401 Unauthorized", "", b"");
        }
        if line.ends_with("/backup") {
            let (key, expires) = key(self);
            let now = Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
            return good(&format!(
                "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{key}\",\
                 \"SecretAccessKey\":\"{SECRET_KEY}\",\"Token\":\"\",\"AccountId\":\"123456789012\",\
                 \"Expiration\":\"{expires}\",\"LastUpdated\":\"{now}\"}}"
            ));
        }
        if line.contains("/iam/security-credentials") {
            return good("backup");
        }
        answer("404 Not Found", "", b"")
    }

    /// The security token service, as far as it is asked.
    fn tokens(self: &Arc<Self>) -> String {
        let issuer = self.clone();
        let port = serve(move |request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            issuer.asked.lock().unwrap().push(body.clone());
            if !body.contains("WebIdentityToken=a-token-of-the-provider") {
                return answer("400 Bad Request", "", b"");
            }
            let (key, expires) = issuer.issue();
            let body = format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>\
                 <SecretAccessKey>secret</SecretAccessKey><SessionToken>session of {key}</SessionToken>\
                 <Expiration>{expires}</Expiration></Credentials><AssumedRoleUser>\
                 <Arn>arn:aws:sts::123456789012:assumed-role/backup/x</Arn><AssumedRoleId>A:x</AssumedRoleId>\
                 </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            );
            answer("200 OK", "Content-Type: text/xml\r\n", body.as_bytes())
        });
        format!("http://127.0.0.1:{port}")
    }
}

#[test]
fn a_machine_with_a_role_needs_no_keys() {
    let server = match S3Server::shared() {
        Ok(server) => server,
        Err(why) => return skipped(&why),
    };
    let issuer = Issuer::new(TimeDelta::hours(6));
    let endpoint = issuer.metadata(|issuer| (ACCESS_KEY.to_owned(), issuer.issue().1));
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str());
    let output = try_storage(server, "", &[service]);
    let asked = issuer.asked();
    assert!(
        output.status.success(),
        "{}{}\n{asked:#?}",
        String::from_utf8_lossy(&output.stdout),
        errors(&output)
    );
    assert_eq!(asked[0], "PUT /latest/api/token", "{asked:?}");
    // One run asks once.
    assert_eq!(issuer.issued.lock().unwrap().len(), 1, "{asked:?}");

    // A container that is one hop too far away gets no answer.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    drop(silent);
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str());
    let output = try_storage(server, "", &[service]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no credentials"), "{said}");
}

/// Keys of a role are good for hours, and a first backup may take longer.
#[test]
fn keys_that_expire_are_renewed_during_a_run() {
    /// Longer than the keys say, as clocks and machines are not exact.
    const TAKEN_FOR: Duration = Duration::from_secs(5);
    let issuer = Issuer::new(TimeDelta::seconds(2));
    let endpoint = issuer.metadata(Issuer::issue);
    let known = issuer.clone();
    let bucket = Lenient::start(Ways {
        // So that the run lasts for longer than any key is taken.
        latency: Duration::from_millis(900),
        accepts: Some(Box::new(move |key, _| {
            known.age(key).is_some_and(|age| age < TAKEN_FOR)
        })),
        ..Ways::default()
    });
    let began = Instant::now();
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str());
    let output = try_bucket(&bucket.endpoint(), "bucket", "", &[service]);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        errors(&output)
    );
    assert!(began.elapsed() > TAKEN_FOR, "{:?}", began.elapsed());
    let keys: BTreeSet<_> = bucket.keys().into_iter().collect();
    assert!(keys.len() > 1, "{keys:?}");
}

/// As in Kubernetes: a token in a file, which the security token service exchanges for keys.
#[test]
fn a_token_of_an_identity_provider_is_exchanged_for_keys() {
    let issuer = Issuer::new(TimeDelta::hours(1));
    let endpoint = issuer.tokens();
    let bucket = Lenient::start(Ways {
        accepts: Some(Box::new(|key, session| {
            session.is_some_and(|session| session == format!("session of {key}"))
        })),
        ..Ways::default()
    });
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let mut variables = vec![
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", endpoint.as_str()),
    ];
    fs::write(&token, "a-token-of-the-provider").unwrap();
    let output = try_bucket(&bucket.endpoint(), "bucket", "", &variables);
    assert!(
        output.status.success(),
        "{}{}\n{:?}",
        String::from_utf8_lossy(&output.stdout),
        errors(&output),
        issuer.asked()
    );
    let asked = issuer.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(
        asked[0].contains("Action=AssumeRoleWithWebIdentity"),
        "{asked:?}"
    );
    assert!(bucket.keys().iter().all(|key| key == "KEY1"));

    // A token that is refused is told as what it is.
    fs::write(&token, "an old one").unwrap();
    variables.push(("AWS_ROLE_SESSION_NAME", "backup"));
    let output = try_bucket(&bucket.endpoint(), "bucket", "", &variables);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no credentials"), "{said}");
}
