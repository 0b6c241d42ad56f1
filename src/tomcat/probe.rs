//! Asking the application over HTTP whether it answers as it should.

use std::time::Duration;

use http::header::LOCATION;
use http::{StatusCode, Uri};
use ureq::Agent;

use crate::error::{Error, ErrorKind, Result};

/// From the context's path over the start page to the login page are three.
const REDIRECTS: usize = 8;
/// A login page is far shorter.
const BODY_BYTES: u64 = 4 << 20;

/// What is asked, and which answer is a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    url: Uri,
    status: Option<u16>,
    text: Option<String>,
}

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The application answers; how, for people.
    Good(String),
    /// It runs and fails; why. A page of it was asked for and ended in an error, which Tomcat lets happen only once an
    /// application has started: before it lets requests wait, finds nothing (404) or is unavailable (503).
    Fails(String),
    /// It does not, or not as it should; why.
    NotYet(String),
}

impl Probe {
    /// `status` and `text`: what a good answer has to have, where the usual is not enough.
    pub fn new(url: &str, status: Option<u16>, text: Option<&str>) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::Usage,
                format!("`{url}` is not a URL that can be asked"),
            )
            .hint("Set probe_url under [tomcat]: http://127.0.0.1:8080/openbravo/")
        };
        let parsed: Uri = url.parse().map_err(|_| wrong())?;
        if parsed.scheme_str() != Some("http") || parsed.host().is_none() {
            return Err(wrong());
        }
        Ok(Self {
            url: parsed,
            status,
            text: text.map(str::to_owned),
        })
    }

    /// What is asked.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// The port that is asked.
    pub fn port(&self) -> u16 {
        self.url.port_u16().unwrap_or(80)
    }

    /// Asks once and follows redirects on the same host, with no answer counted after `limit`.
    ///
    /// The usual good answer is a page, or the demand for a password. 404 is none: that is what Tomcat says
    /// of an application that failed to start.
    pub fn ask(&self, limit: Duration) -> Answer {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The question is to this machine, whatever the user's environment says of proxies.
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(limit))
            .user_agent(concat!("obbackup/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let mut url = self.url.clone();
        for _ in 0..REDIRECTS {
            let mut response = match agent.get(url.clone()).call() {
                Ok(response) => response,
                Err(error) => return Answer::NotYet(format!("{url}: {error}")),
            };
            let status = response.status();
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .filter(|_| status.is_redirection())
                .map(|location| follow(&url, location));
            match next {
                Some(Redirect::Here(next)) if Some(status.as_u16()) != self.status => {
                    url = next;
                    continue;
                }
                Some(Redirect::Elsewhere(to)) if self.status.is_none() && self.text.is_none() => {
                    return Answer::Good(format!("{url}: {status}, on to {to}"));
                }
                _ => {}
            }
            let good = match self.status {
                Some(expected) => status.as_u16() == expected,
                None => status.is_success() || matches!(status.as_u16(), 401 | 403),
            };
            if !good {
                let why = format!("{url} answers {status}");
                return match status {
                    StatusCode::INTERNAL_SERVER_ERROR => Answer::Fails(why),
                    _ => Answer::NotYet(why),
                };
            }
            if let Some(text) = &self.text {
                let body = response.body_mut().with_config().limit(BODY_BYTES);
                match body.read_to_string() {
                    Ok(body) if body.contains(text) => {}
                    Ok(_) => {
                        return Answer::NotYet(format!("{url} answers {status} without `{text}`"));
                    }
                    Err(error) => return Answer::NotYet(format!("{url}: {error}")),
                }
            }
            return Answer::Good(format!("{url} answers {status}"));
        }
        Answer::NotYet(format!("{} leads from one page to the next", self.url))
    }
}

enum Redirect {
    /// Another page of the same server.
    Here(Uri),
    /// Another server, or TLS: the application answers, and sends people there.
    Elsewhere(String),
}

fn follow(from: &Uri, location: &str) -> Redirect {
    let elsewhere = || Redirect::Elsewhere(location.to_owned());
    let authority = from
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default();
    let at = |path: &str| {
        format!("http://{authority}{path}")
            .parse()
            .map_or_else(|_| elsewhere(), Redirect::Here)
    };
    if location.starts_with("//") {
        return elsewhere();
    }
    if location.starts_with('/') {
        return at(location);
    }
    match location.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() => {
            let same = uri.scheme_str() == Some("http") && uri.authority() == from.authority();
            if same {
                Redirect::Here(uri)
            } else {
                elsewhere()
            }
        }
        // Relative to the directory of the page.
        _ => {
            let directory = from.path().rsplit_once('/').map_or("", |it| it.0);
            at(&format!("{directory}/{location}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that gives one answer a path, in this order of questions.
    fn serve(answers: Vec<(&'static str, String)>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for (path, answer) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 2000];
                let length = stream.read(&mut asked).unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                assert!(asked.starts_with(&format!("GET {path} ")), "{asked}");
                let answer = answer.replace("PORT", &port.to_string());
                stream
                    .write_all(format!("HTTP/1.1 {answer}").as_bytes())
                    .unwrap();
            }
        });
        port
    }

    fn page(status: &str, body: &str) -> String {
        format!("{status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn to(location: &str) -> String {
        format!("302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    }

    fn ask(port: u16, status: Option<u16>, text: Option<&str>) -> Answer {
        let url = format!("http://127.0.0.1:{port}/ob/");
        let probe = Probe::new(&url, status, text).unwrap();
        probe.ask(Duration::from_secs(30))
    }

    #[test]
    fn redirects_are_followed_to_the_login_page() {
        let port = serve(vec![
            ("/ob/", to("security/Menu.html")),
            ("/ob/security/Menu.html", to("/ob/security/Login")),
            (
                "/ob/security/Login",
                to("http://127.0.0.1:PORT/ob/login.html"),
            ),
            ("/ob/login.html", page("200 OK", "<form> password")),
        ]);
        assert!(matches!(ask(port, None, Some("password")), Answer::Good(_)));
    }

    #[test]
    fn an_application_that_failed_to_start_does_not_answer() {
        for (status, fails) in [
            ("404 Not Found", false),
            ("500 Oops", true),
            ("503 Not yet", false),
        ] {
            let port = serve(vec![("/ob/", page(status, ""))]);
            let (why, failed) = match ask(port, None, None) {
                Answer::Fails(why) => (why, true),
                Answer::NotYet(why) => (why, false),
                Answer::Good(how) => panic!("{status} is no good answer: {how}"),
            };
            assert!(why.contains(&status[..3]), "{why}");
            assert_eq!(failed, fails, "{status}");
        }
        let port = serve(vec![("/ob/", page("200 OK", "something else"))]);
        assert!(matches!(
            ask(port, None, Some("password")),
            Answer::NotYet(_)
        ));
        let port = serve(vec![("/ob/", page("404 Not Found", ""))]);
        assert!(matches!(ask(port, Some(404), None), Answer::Good(_)));
    }

    #[test]
    fn one_that_sends_people_to_another_server_answers() {
        let port = serve(vec![("/ob/", to("https://erp.example.com/ob/"))]);
        assert!(matches!(ask(port, None, None), Answer::Good(_)));
    }

    #[test]
    fn nobody_there_and_going_in_circles_are_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(ask(port, None, None), Answer::NotYet(_)));
        let port = serve(vec![("/ob/", to("/ob/")); REDIRECTS]);
        assert!(matches!(ask(port, None, None), Answer::NotYet(_)));
    }
}
