//! E-mail by SMTP.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};

use super::{Message, timed_out};
use crate::config::notify::{MailSection, MailSecurity};
use crate::error::{Error, ErrorKind, IoContext as _, Result};

/// Sends `message` to all recipients at once.
pub fn send(section: &MailSection, message: &Message, timeout: Duration) -> Result<()> {
    let mut builder = lettre::Message::builder()
        .from(mailbox(&section.from)?)
        // One without counts as suspect.
        .message_id(None)
        .subject(&message.subject);
    if section.to.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "it has no recipient")
            .hint("Name one: to = [\"admin@example.org\"]."));
    }
    for recipient in &section.to {
        builder = builder.to(mailbox(recipient)?);
    }
    let part = SinglePart::builder()
        .header(ContentType::TEXT_PLAIN)
        .body(message.text.clone());
    let mail = builder
        .singlepart(part)
        .map_err(|error| Error::new(ErrorKind::Failure, "cannot write the e-mail").source(error))?;
    transport(section, timeout)?
        .send(&mail)
        .map(|_| ())
        .map_err(|error| explain(section, &error, timeout))
}

fn mailbox(address: &str) -> Result<Mailbox> {
    address.parse().map_err(|_| {
        Error::new(
            ErrorKind::Usage,
            format!("`{}` is no e-mail address", address.escape_debug()),
        )
        .hint("Write it as `admin@example.org` or `Name <admin@example.org>`.")
    })
}

fn transport(section: &MailSection, timeout: Duration) -> Result<SmtpTransport> {
    let (usual_port, tls) = match section.security {
        MailSecurity::Plain => (25, Tls::None),
        MailSecurity::Starttls => (587, Tls::Required(tls_parameters(section)?)),
        MailSecurity::Tls => (465, Tls::Wrapper(tls_parameters(section)?)),
    };
    let port = section.port.map_or(usual_port, std::num::NonZero::get);
    let mut builder = SmtpTransport::builder_dangerous(&section.host)
        .port(port)
        .tls(tls)
        .timeout(Some(timeout));
    match (&section.user, &section.password) {
        (Some(user), Some(password)) => {
            let password = password.expose().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        (None, None) => {}
        _ => {
            return Err(
                Error::new(ErrorKind::Usage, "it has a user or a password, not both")
                    .hint("Set both, or neither for a server that wants no log-in."),
            );
        }
    }
    Ok(builder.build())
}

fn tls_parameters(section: &MailSection) -> Result<TlsParameters> {
    let failed = |error: lettre::transport::smtp::Error| {
        Error::new(ErrorKind::Failure, "cannot set up TLS").source(error)
    };
    let mut builder = TlsParameters::builder(section.host.clone());
    if let Some(path) = &section.ca_file {
        builder = builder.add_root_certificate(certificate(path)?);
    }
    builder.build().map_err(failed)
}

fn certificate(path: &Path) -> Result<Certificate> {
    let pem = fs::read(path).io_context(|| format!("cannot read `{}`", path.display()))?;
    Certificate::from_pem(&pem).map_err(|error| {
        Error::new(
            ErrorKind::Usage,
            format!("`{}` holds no certificate in PEM", path.display()),
        )
        .source(error)
    })
}

/// What the server said is worth showing: it never repeats a password.
fn explain(
    section: &MailSection,
    error: &lettre::transport::smtp::Error,
    timeout: Duration,
) -> Error {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let causes: Vec<_> = causes.collect();
    // A socket whose time is up says that it would block.
    let is_late = |cause: &&(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(
            io,
            Some(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
        )
    };
    if causes.iter().any(is_late) {
        return timed_out(timeout);
    }
    // What the handshake has to say comes wrapped in an error of the stream.
    let is_certificate = |cause: &&(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>();
        let inner = io.and_then(io::Error::get_ref);
        matches!(inner, Some(inner) if inner.is::<rustls::Error>())
    };
    // Authentication required, failed, or too weak: RFC 4954.
    let is_log_in = error
        .status()
        .is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538));
    let hint = if is_log_in {
        "Check user and password of the notifier."
    } else if error.is_tls() || causes.iter().any(is_certificate) {
        "Check security and ca_file of the notifier, and the server's certificate."
    } else {
        "Check host, port and security of the notifier, and that the server can be reached."
    };
    let mut text = error.to_string();
    for cause in causes.iter().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    Error::new(
        ErrorKind::Transient,
        format!("the mail server `{}`: {text}", section.host),
    )
    .hint(hint)
}
