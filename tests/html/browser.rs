//! Headless Chromium, driven through `chromedriver` by the few commands of the `WebDriver` protocol
//! that these tests need. It reads one file and has no business on the network.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1280,900",
    "--lang=en",
];

/// How long the browser may take for one command.
const PATIENCE: Duration = Duration::from_mins(1);

/// One browser with one tab and an empty profile, gone with its processes when dropped.
pub(super) struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    /// Goes when the browser does.
    profile: tempfile::TempDir,
}

/// Keys as `WebDriver` types them.
pub(super) mod key {
    pub(in super::super) const ENTER: &str = "\u{e007}";
    pub(in super::super) const ESCAPE: &str = "\u{e00c}";
    pub(in super::super) const TAB: &str = "\u{e004}";
    pub(in super::super) const RIGHT: &str = "\u{e014}";
    pub(in super::super) const DOWN: &str = "\u{e015}";
}

impl Browser {
    pub(super) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's own browser; it ends with the test"
        )]
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need chromium and chromium-driver; `make setup` installs them");
        let port = port(&mut driver);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Needed to build a client, though everything here is in the clear.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            client,
            runtime,
            profile,
        };
        let profile = format!("--user-data-dir={}", browser.profile.path().display());
        let args: Vec<_> = FLAGS.into_iter().chain([&*profile]).collect();
        let answer = browser.post(
            "",
            &json!({ "capabilities": { "alwaysMatch": {
                "goog:chromeOptions": { "args": args },
                "goog:loggingPrefs": { "browser": "ALL" },
            } } }),
        );
        let id = answer["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Opens a file and waits until its script is done. `filter` follows the `#`.
    pub(super) fn open(&self, file: &Path, filter: &str) {
        // A new fragment alone would not load the page anew.
        self.post("/url", &json!({ "url": "about:blank" }));
        let url = format!("file://{}#{filter}", file.display());
        self.post("/url", &json!({ "url": url }));
        let ready = self.run("return document.documentElement.dataset.ready ?? ''");
        assert_eq!(
            ready,
            "yes",
            "the page's script did not end: {}",
            self.console().join("\n")
        );
    }

    /// What a script returns.
    pub(super) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that matches.
    pub(super) fn text(&self, selector: &str) -> String {
        let text = self.run(&format!(
            "return document.querySelector({selector:?}).innerText"
        ));
        text.as_str().unwrap().to_owned()
    }

    /// The texts of all elements that match, as far as they are shown.
    pub(super) fn texts(&self, selector: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll({selector:?})].filter((e) => e.checkVisibility()).map((e) => e.innerText)"
        );
        serde_json::from_value(self.run(&script)).unwrap()
    }

    /// Waits until an element is there: some come with an event of the page.
    pub(super) fn wait_for(&self, selector: &str) {
        let script = format!("return !!document.querySelector({selector:?})");
        let begin = Instant::now();
        while self.run(&script) != true {
            assert!(begin.elapsed() < PATIENCE, "there is no {selector}");
        }
    }

    pub(super) fn click(&self, selector: &str) {
        let found = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &found);
        let id = found.as_object().unwrap().values().next().unwrap();
        self.post(
            &format!("/element/{}/click", id.as_str().unwrap()),
            &json!({}),
        );
    }

    /// Presses keys, one after the other, wherever the keyboard is.
    pub(super) fn press(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// A command of the browser's own protocol.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body);
    }

    pub(super) fn prefers(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// What the page wrote to the console since the last time, errors and warnings included.
    pub(super) fn console(&self) -> Vec<String> {
        let lines = self.post("/se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().unwrap().iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// The page as PNG, as far as the window shows it.
    pub(super) fn screenshot(&self) -> Vec<u8> {
        bytes(&self.get("/screenshot"))
    }

    /// The page as PDF, as it would be printed.
    pub(super) fn print(&self) -> Vec<u8> {
        bytes(&self.post("/print", &json!({ "background": true })))
    }

    fn get(&self, path: &str) -> Value {
        self.ask(self.client.get(format!("{}{path}", self.session)))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.session));
        self.ask(
            request
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = self
            .runtime
            .block_on(async { request.send().await?.text().await });
        let mut answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
        assert!(answer["value"]["error"].is_null(), "{answer:#}");
        answer["value"].take()
    }
}

fn bytes(base64: &Value) -> Vec<u8> {
    STANDARD.decode(base64.as_str().unwrap()).unwrap()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; then the driver is the last of its processes.
        let request = self.client.delete(&self.session);
        let _ = self.runtime.block_on(async { request.send().await });
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that the driver chose: it says so when it listens.
fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let said = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Nobody reads on: the driver must not stop at a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    said.expect("chromedriver did not say its port")
}
