//! A headless Chromium in a root of its own, led by chromedriver (W3C WebDriver).

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Host, base, free_port};

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// It asks nobody for anything but what it is led to.
const WORDS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--window-size=1000,800",
    "--user-data-dir=/tmp/browser",
];

/// The key of an element's name (WebDriver, 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
pub(super) struct Browser {
    /// It ends with this.
    host: Host,
    port: u16,
    session: String,
}

impl Browser {
    pub(super) fn new() -> Browser {
        let host = Host::furnished(&base("browser"), None, |_| {});
        let port = free_port();
        host.start_daemon(&format!("chromedriver --port={port} --log-level=WARNING"));
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < PATIENCE, "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut browser = Browser {
            host,
            port,
            session: String::new(),
        };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": WORDS, "binary": "/usr/bin/chromium"}
        }}});
        let made = browser.ask("POST", "/session", &wanted);
        let session = made["sessionId"].as_str().unwrap();
        println!(
            "| {} {}",
            made["capabilities"]["browserName"], made["capabilities"]["browserVersion"]
        );
        browser.session = format!("/session/{session}");
        browser
    }

    pub(super) fn go(&self, url: &str) {
        self.tell("/url", &json!({"url": url}));
    }

    /// Shows a page that no server has: a file.
    pub(super) fn open(&self, page: &str) {
        fs::write(self.host.path("/var/page.html"), page).unwrap();
        self.go("file:///var/page.html");
    }

    pub(super) fn reload(&self) {
        self.tell("/refresh", &json!({}));
    }

    /// What the address bar says.
    pub(super) fn url(&self) -> String {
        let url = self.ask("GET", &format!("{}/url", self.session), &Value::Null);
        url.as_str().unwrap().to_owned()
    }

    /// The text of an element that a visitor sees.
    pub(super) fn text(&self, css: &str) -> String {
        let text = self.evaluate(&format!("return document.querySelector('{css}').innerText"));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until a visitor sees all of this: a click is answered before the page that it leads to
    /// is there.
    #[track_caller]
    pub(super) fn wait_for(&self, words: &[&str]) -> String {
        let begin = Instant::now();
        loop {
            let text = self.text("body");
            if words.iter().all(|word| text.contains(word)) {
                return text;
            }
            assert!(begin.elapsed() < PATIENCE, "{words:?} never came: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a script's text gives, run in the page.
    pub(super) fn evaluate(&self, script: &str) -> Value {
        let what = json!({"script": script, "args": []});
        self.ask("POST", &format!("{}/execute/sync", self.session), &what)
    }

    /// Shows the page as a screen of `width` by 800 points would, dark or light.
    pub(super) fn look_like(&self, width: u32, scheme: &str) {
        let tell = |what: Value| self.tell("/goog/cdp/execute", &what);
        tell(
            json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {
                "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600
            }}),
        );
        tell(json!({"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]
        }}));
    }

    pub(super) fn type_into(&self, css: &str, text: &str) {
        self.tell(
            &format!("/element/{}/value", self.find(css)),
            &json!({"text": text}),
        );
    }

    pub(super) fn click(&self, css: &str) {
        self.tell(&format!("/element/{}/click", self.find(css)), &json!({}));
    }

    pub(super) fn forget_cookies(&self) {
        self.ask("DELETE", &format!("{}/cookie", self.session), &Value::Null);
    }

    fn find(&self, css: &str) -> String {
        let asked = json!({"using": "css selector", "value": css});
        let path = format!("{}/element", self.session);
        let found = self.ask("POST", &path, &asked);
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn tell(&self, path: &str, what: &Value) {
        self.ask("POST", &format!("{}{path}", self.session), what);
    }

    /// Asks the driver; returns its `value`, which must be no error.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, what: &Value) -> Value {
        let body = if what.is_null() {
            String::new()
        } else {
            what.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let text = read(&mut stream);
        let mut answer: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }
}

/// The body of an answer, which says its length.
fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut block = [0; 4_096];
    loop {
        let got = match stream.read(&mut block) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            got => got.unwrap(),
        };
        bytes.extend(&block[..got]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((header, body)) = text.split_once("\r\n\r\n") {
            let length = header.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then_some(value)
            });
            let length: usize = length.unwrap().trim().parse().unwrap();
            if body.len() >= length {
                return body.to_owned();
            }
        }
        assert!(got > 0, "it ended early: {text}");
    }
}
