//! A headless browser, driven by its own driver over HTTP.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tomcat::free_port;

/// A browser with one window and an empty profile.
pub struct Browser {
    driver: Child,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one. An error says what is not at hand.
    pub fn start() -> Result<Self, String> {
        let port = free_port();
        let profile = tempfile::tempdir().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|_| "chromedriver is not at hand: run `make setup`".to_owned())?;
        let base = format!("http://127.0.0.1:{port}");
        let begun = Instant::now();
        while call("GET", &format!("{base}/status"), None).is_err() {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "chromedriver does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut browser = Self {
            driver,
            session: base,
            profile,
        };
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=900,900".to_owned(),
            format!("--user-data-dir={}", browser.profile.path().display()),
        ];
        let asked =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let answer = browser
            .ask("POST", "/session", Some(asked))
            .map_err(|why| format!("no browser for chromedriver: {why}"))?;
        let id = answer["sessionId"].as_str().unwrap();
        browser.session = format!("{}/session/{id}", browser.session);
        Ok(browser)
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        call(method, &format!("{}{path}", self.session), body)
    }

    /// Opens an address; an error where nobody answers there.
    pub fn open(&self, url: &str) -> Result<(), String> {
        self.ask("POST", "/url", Some(json!({"url": url})))
            .map(drop)
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.ask("POST", "/execute/sync", Some(body))
            .unwrap_or(Value::Null)
    }

    /// Light or dark, as the user's system asks for.
    pub fn prefer(&self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let body = json!({"cmd": "Emulation.setEmulatedMedia", "params": media});
        self.ask("POST", "/goog/cdp/execute", Some(body)).unwrap();
    }

    /// A script that runs in each page before the page's own.
    pub fn on_each_page(&self, script: &str) {
        let body =
            json!({"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": script}});
        self.ask("POST", "/goog/cdp/execute", Some(body)).unwrap();
    }

    /// The size of the window that the page sees, such as a telephone's.
    pub fn resize(&self, width: u32, height: u32) {
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let body = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": params});
        self.ask("POST", "/goog/cdp/execute", Some(body)).unwrap();
    }

    /// A picture of the window.
    pub fn picture(&self, file: &Path) {
        let answer = self.ask("GET", "/screenshot", None).unwrap();
        std::fs::write(file, decoded(answer.as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.ask("DELETE", "", None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn call(method: &str, url: &str, body: Option<Value>) -> Result<Value, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_mins(1)))
        .build()
        .new_agent();
    let answer = match method {
        "GET" => agent.get(url).call(),
        "DELETE" => agent.delete(url).call(),
        _ => agent
            .post(url)
            .header("Content-Type", "application/json")
            .send(body.unwrap_or_else(|| json!({})).to_string()),
    };
    let mut answer = answer.map_err(|error| error.to_string())?;
    let text = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        Ok(value["value"].clone())
    } else {
        Err(value["value"]["message"].to_string())
    }
}

/// Base 64, as pictures come.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}
