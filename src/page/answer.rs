//! One request, one answer: the page, its state, or that the application is not there.

use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST,
    LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::Site;
use super::view::{self, View};
use crate::error::Result;

/// Below the context's path: the state of the restore, which the page asks for.
pub(super) const STATE: &str = "/obbackup-restore.json";
/// Below the context's path, on a port of its own: leads to the application once that answers.
pub(super) const OPEN: &str = "/obbackup-open";
/// Says that it is not the application who answers.
const MARK: &str = "x-obbackup";
/// When to come again, where nothing better is known.
const RETRY_SECONDS: u64 = 10;
const RETRY_RANGE: std::ops::RangeInclusive<u64> = 2..=120;

/// Answers; whatever the request is, nothing of it is stored or passed on.
pub(super) fn answer<B>(request: &Request<B>, site: &Site) -> Response<String> {
    let mut response = route(request, site).unwrap_or_else(|_| Response::new(String::new()));
    if request.method() == Method::HEAD {
        response.body_mut().clear();
    }
    let seconds = site.board.status().seconds_left.unwrap_or(RETRY_SECONDS);
    let seconds = seconds.clamp(*RETRY_RANGE.start(), *RETRY_RANGE.end());
    let unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    if unavailable {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(MARK, HeaderValue::from_static("restore"));
    response
}

fn route<B>(request: &Request<B>, site: &Site) -> Result<Response<String>> {
    let path = request.uri().path();
    let below = path.strip_prefix(site.context_path.as_str());
    let is_in_context = below.is_some_and(|below| below.is_empty() || below.starts_with('/'));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known =
        header(request, COOKIE.as_str()).is_some_and(|cookies| site.access.is_known(cookies));
    let log = || known.then(|| site.board.log());
    if reads && below == Some(STATE) {
        let status = site.board.status();
        let state = serde_json::to_string(&View::of(&status, log())).unwrap_or_default();
        let mut response = Response::new(state);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(response);
    }
    if reads && below == Some(OPEN) {
        return Ok(open(request, site));
    }
    let asks_for_page =
        header(request, ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html"));
    if !(reads && is_in_context && asks_for_page) {
        return Ok(unavailable(
            "The application is being restored.\n",
            "text/plain; charset=utf-8",
        ));
    }
    let home = format!("{}/", site.context_path);
    if let Some(token) = token(request.uri().query())
        && let Some(cookie) = site.access.exchange(token, &home)
    {
        // On to the page without the token in its address, which a person may pass on.
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        for (name, value) in [(SET_COOKIE, &cookie), (LOCATION, &home)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        return Ok(response);
    }
    let page = view::page(&site.board.status(), log(), &site.links)?;
    let mut response = unavailable(&page.html, "text/html; charset=utf-8");
    let headers = response.headers_mut();
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    if let Ok(policy) = HeaderValue::from_str(&page.policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// To the application on its own port of the host that this one was asked by.
fn open<B>(request: &Request<B>, site: &Site) -> Response<String> {
    let host = header(request, HOST.as_str())
        .and_then(|host| host.parse::<Authority>().ok())
        .map(|authority| authority.host().to_owned());
    let over = site.board.status().outcome.is_some();
    let (Some(port), Some(host), true) = (site.links.port, host, over) else {
        return unavailable(
            "The application is being restored.\n",
            "text/plain; charset=utf-8",
        );
    };
    let location = format!("http://{host}:{port}{}/", site.context_path);
    let mut response = Response::new(String::new());
    if let Ok(value) = HeaderValue::from_str(&location) {
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

fn unavailable(body: &str, content_type: &'static str) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn header<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn token(query: Option<&str>) -> Option<&str> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
}
