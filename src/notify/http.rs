//! Webhooks and pings, by HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::{Message, timed_out};
use crate::config::Secret;
use crate::config::notify::{Event, PingSection, WebhookSection};
use crate::error::{Error, ErrorKind, IoContext as _, Result};

/// Where the signature stands.
const SIGNATURE: &str = "X-Obbackup-Signature";
/// A watch takes no longer text.
const PING_LIMIT_BYTES: usize = 10_000;

/// Posts the JSON document, signed where there is a secret.
pub fn post(section: &WebhookSection, message: &Message, timeout: Duration) -> Result<()> {
    let body = message.json()?;
    let signature = section
        .secret
        .as_ref()
        .map(|key| sign(key, &body))
        .transpose()?;
    let agent = agent(section.ca_file.as_deref(), timeout)?;
    let mut request = agent
        .post(section.url.expose())
        .header("Content-Type", "application/json");
    if let Some(signature) = signature {
        request = request.header(SIGNATURE, signature);
    }
    request
        .send(&body[..])
        .map(|_| ())
        .map_err(|error| explain(error, timeout))
}

/// A sign of life: that a backup begins, was taken, or failed.
pub fn ping(
    section: &PingSection,
    events: &[Event],
    message: &Message,
    timeout: Duration,
) -> Result<()> {
    let has = |event| events.contains(&event);
    let end = if has(Event::Started) {
        "/start"
    } else if has(Event::Succeeded) || has(Event::Test) {
        ""
    } else {
        "/fail"
    };
    let url = format!("{}{end}", section.url.expose().trim_end_matches('/'));
    let text = message.text.as_bytes();
    agent(section.ca_file.as_deref(), timeout)?
        .post(&url)
        .header("Content-Type", "text/plain; charset=utf-8")
        .send(&text[..text.len().min(PING_LIMIT_BYTES)])
        .map(|_| ())
        .map_err(|error| explain(error, timeout))
}

/// `sha256=` and the HMAC of the body in hexadecimal.
fn sign(key: &Secret, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .map_err(|error| Error::new(ErrorKind::Usage, "its secret is no key").source(error))?;
    mac.update(body);
    Ok(format!(
        "sha256={}",
        hex::encode(mac.finalize().into_bytes())
    ))
}

fn agent(ca_file: Option<&Path>, timeout: Duration) -> Result<ureq::Agent> {
    let roots = match ca_file {
        Some(path) => RootCerts::new_with_certs(&certificates(path)?),
        None => RootCerts::PlatformVerifier,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots)
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(timeout))
        .user_agent(concat!("obbackup/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(path).io_context(|| format!("cannot read `{}`", path.display()))?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{}` holds no certificate in PEM", path.display()),
        ));
    }
    Ok(certificates)
}

/// Without the address, which may hold a token.
fn explain(error: ureq::Error, timeout: Duration) -> Error {
    let reached = "Check that its url is right and can be reached from here.";
    let failure = |text: String, hint: &str| Error::new(ErrorKind::Transient, text).hint(hint);
    match error {
        ureq::Error::Timeout(_) => timed_out(timeout),
        ureq::Error::StatusCode(code) => failure(
            format!("the answer was HTTP status {code}"),
            "Check its url, and the secret that the other side expects.",
        ),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            timed_out(timeout)
        }
        ureq::Error::Io(error) => failure(format!("cannot reach it: {error}"), reached),
        ureq::Error::HostNotFound => failure("its host has no address".to_owned(), reached),
        ureq::Error::Tls(reason) => failure(
            format!("no TLS with it: {reason}"),
            "Check its certificate, and ca_file of the notifier.",
        ),
        ureq::Error::Rustls(error) => failure(
            format!("no TLS with it: {error}"),
            "Check its certificate, and ca_file of the notifier.",
        ),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Error::new(ErrorKind::Usage, "its url is not one")
                .hint("Write it as https://host/path.")
        }
        _ => failure("the request failed".to_owned(), reached),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // Its second test case.
        assert_eq!(
            sign(&Secret::new("Jefe"), b"what do ya want for nothing?").unwrap(),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
