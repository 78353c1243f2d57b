//! A browser that does what it is told (W3C WebDriver, through `chromedriver`), and tells what it saw.
//!
//! Of the protocol a dozen commands are needed: the kit's client sends them.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{client::Client, until};

/// Where Debian puts it.
const BROWSER: &str = "/usr/bin/chromium";
const DRIVER: &str = "chromedriver";

/// One browser at a time: each of them wants a whole machine.
static TURN: Mutex<()> = Mutex::new(());

/// Keys that have no letter, as WebDriver names them.
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const CONTROL: &str = "\u{e009}";
    pub(crate) const DOWN: &str = "\u{e015}";
    pub(crate) const LEFT: &str = "\u{e012}";
}

/// A browser with one window; ended when dropped.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts one; `None`, with a word, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let has_driver = Command::new(DRIVER).arg("--version").output().is_ok();
        if !has_driver || !Path::new(BROWSER).exists() {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            assert!(
                env::var("TEST_REQUIRE_BROWSER").as_deref() != Ok("1"),
                "{test} must run, but {BROWSER} or {DRIVER} is missing"
            );
            // Heard also when the test passes.
            std::io::stderr().write_all(format!("LEFT OUT: {test}: no Chromium\n").as_bytes()).unwrap();
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = TempDir::new().unwrap();
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            lines.find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok());
        // Whatever else it says must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("the driver names its port")));
        let mut browser = Self { driver, address, session: String::new(), _profile: profile, _turn: turn };
        let data_dir = format!("--user-data-dir={}", browser._profile.path().join("profile").display());
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"binary": BROWSER, "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--window-size=1400,1000", data_dir,
            ]},
        }}});
        let started = browser.ask("POST", "/session", &wanted);
        browser.session = started["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {started}")).to_owned();
        Some(browser)
    }

    pub(crate) fn open(&self, url: &str) {
        self.command("url", &json!({"url": url}));
    }

    /// What this script returns, in the page that is open.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of the element of that id.
    pub(crate) fn text(&self, id: &str) -> String {
        let text = self.script(&format!("return document.getElementById('{id}').textContent"));
        text.as_str().unwrap().to_owned()
    }

    /// Waits for a script to return true.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, script: &str) {
        until(what, || self.script(script) == json!(true));
    }

    /// Presses and lets go of one key after another, as often as it is in the text.
    pub(crate) fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        self.strike(strokes.collect());
    }

    /// Presses a key while another is held.
    pub(crate) fn press_with(&self, held: &str, key: &str) {
        let stroke = |kind: &str, key: &str| json!({"type": kind, "value": key});
        let (down, up) = ("keyDown", "keyUp");
        self.strike(vec![stroke(down, held), stroke(down, key), stroke(up, key), stroke(up, held)]);
    }

    fn strike(&self, strokes: Vec<Value>) {
        self.command("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: Value) {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    /// Shows the page as on a screen of that size, in light or dark.
    pub(crate) fn screen(&self, width: u32, height: u32, scheme: &str) {
        let is_phone = width < 500;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media);
    }

    /// Whether the page asked for nothing but what is at `origin`, and found nothing wrong with itself.
    #[track_caller]
    pub(crate) fn assert_quiet(&self, origin: &str) {
        let complaints = self.log("browser");
        assert!(complaints.is_empty(), "{complaints:#?}");
        let mut requests = 0;
        for entry in self.log("performance") {
            let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let sent = &entry["message"]["params"];
            // What the browser shows before it is told what to open is its own matter.
            let is_of_the_page = sent["documentURL"].as_str().is_some_and(|page| !page.starts_with("chrome://"));
            if entry["message"]["method"] != "Network.requestWillBeSent" || !is_of_the_page {
                continue;
            }
            let url = sent["request"]["url"].as_str().unwrap();
            let is_own = url.strip_prefix(origin).is_some_and(|path| path.starts_with('/'));
            assert!(is_own || url.starts_with("data:"), "{url} was asked for");
            requests += 1;
        }
        assert!(requests >= 3, "the page and its two streams are in the log");
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.command("se/log", &json!({"type": kind})).as_array().unwrap().clone()
    }

    /// Keeps a picture of the window, or of all of the page, where `TEST_SCREENSHOTS` says so.
    pub(crate) fn picture(&self, name: &str) {
        let Ok(dir) = env::var("TEST_SCREENSHOTS") else { return };
        let taken = self.ask("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        let picture = STANDARD.decode(taken.as_str().unwrap()).unwrap();
        fs::write(Path::new(&dir).join(format!("{name}.png")), picture).unwrap();
    }

    fn command(&self, command: &str, parameters: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{command}", self.session), parameters)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (answer, status) = self.try_ask(method, path, body).unwrap();
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(Value, u16)> {
        let mut client = Client::try_connect(self.address)?;
        let body = if method == "POST" { body.to_string() } else { String::new() };
        // It answers to those who know it by its own name only.
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.address, body.len());
        client.send(head + &body)?;
        let answer = client.answer()?;
        Ok((answer.json()["value"].take(), answer.status))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; what cannot be told is ended below.
        if !self.session.is_empty() {
            let _ = self.try_ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
