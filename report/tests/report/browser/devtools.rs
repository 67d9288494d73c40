//! Chromium without a window, steered over its DevTools pipe: messages of JSON that end with a
//! byte 0, which it reads from descriptor 3 and writes to descriptor 4.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(super) struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: String,
    number: u64,
    complaints: Vec<String>,
    temp: TempDir,
}

impl Browser {
    /// Starts the browser; `None`, and a word on standard output, where there is none.
    pub(super) fn start() -> Option<Self> {
        let Some(program) = find() else {
            println!("skipped: there is no chromium (Debian's package of this name has it)");
            return None;
        };
        let temp = TempDir::new().unwrap();
        let pipe = |name: &str| {
            let path = temp.path().join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let child = Command::new("sh")
            .args(["-c", "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"", "sh"])
            .args([&to, &from])
            .arg(program)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args(["--disable-component-update", "--no-proxy-server"])
            // Root has no sandbox of the browser's; the pages are this test's own.
            .arg("--no-sandbox")
            .arg(format!("--user-data-dir={}", temp.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = OpenOptions::new().write(true).open(to).unwrap();
        let messages = listen(File::open(from).unwrap());
        let session = String::new();
        let mut browser =
            Self { child, commands, messages, session, number: 0, complaints: Vec::new(), temp };
        let page = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Opens a page from a file and waits until it is loaded.
    pub(super) fn open(&mut self, page: &str) {
        let path = self.temp.path().join("page.html");
        fs::write(&path, page).unwrap();
        self.complaints.clear();
        let url = format!("file://{}", path.display());
        let began = self.ask("Page.navigate", &json!({ "url": url }));
        assert_eq!(began.get("errorText"), None, "{began}");
        self.wait_for("document.readyState === 'complete' && location.protocol === 'file:'");
        self.wait_for("performance.getEntriesByType('navigation')[0].loadEventEnd > 0");
    }

    /// The value of an expression in the page.
    pub(super) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.ask("Runtime.evaluate", &parameters);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression in the page is true.
    pub(super) fn wait_for(&mut self, expression: &str) {
        let begin = Instant::now();
        while self.evaluate(expression) != Value::Bool(true) {
            assert!(begin.elapsed() < DEADLINE, "{expression} did not become true");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Errors on the console, and requests beyond the page itself, since it was opened.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        // What happened before this answer was told before it.
        self.evaluate("0");
        self.complaints.clone()
    }

    /// Leaves a picture of the page (from the element of this id on) in the target directory.
    pub(super) fn screenshot(&mut self, name: &str, scheme: &str, from: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", &json!({ "features": features }));
        self.evaluate(&format!(
            "scrollTo(0, document.getElementById({})?.offsetTop ?? 0)",
            json!(from)
        ));
        let size =
            json!({ "width": 1200, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let whole = from.is_empty();
        let picture =
            self.ask("Page.captureScreenshot", &json!({ "captureBeyondViewport": whole }));
        keep(name, picture["data"].as_str().unwrap());
    }

    /// Prints the page into the target directory, and says how many bytes that took.
    pub(super) fn print(&mut self, name: &str) -> usize {
        let printed = self.ask("Page.printToPDF", &json!({ "printBackground": false }));
        keep(name, printed["data"].as_str().unwrap())
    }

    /// Gives a command and waits for its answer.
    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        let begin = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(begin.elapsed());
            let mut message = self
                .messages
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.number {
                assert_eq!(message.get("error"), None, "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => true,
            Some("Network.requestWillBeSent") => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                !url.ends_with("/page.html")
            }
            _ => false,
        };
        if complaint {
            self.complaints.push(message.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = format!("{}\0", json!({ "id": 0, "method": "Browser.close" }));
        let _ = self.commands.write_all(close.as_bytes());
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > Duration::from_secs(5) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|directory| names.map(|name| directory.join(name)))
        .find(|program| program.is_file())
}

fn listen(from: File) -> Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut message = Vec::new();
        while from.read_until(0, &mut message).is_ok_and(|bytes| bytes > 0) {
            message.pop();
            let Ok(value) = serde_json::from_slice(&message) else { break };
            if sender.send(value).is_err() {
                break;
            }
            message.clear();
        }
    });
    receiver
}

/// Leaves a file to be looked at.
fn keep(name: &str, base64: &str) -> usize {
    let bytes = BASE64_STANDARD.decode(base64).unwrap();
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), &bytes).unwrap();
    bytes.len()
}
