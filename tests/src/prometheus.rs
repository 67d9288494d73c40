//! Prometheus and Alertmanager as `grafana/` configures them, on ports that the kernel gives them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{deadline::wait_for, http, programs, webhook::Webhook};

const PROMETHEUS: &str = include_str!("../../grafana/prometheus.yml");
const ALERTMANAGER: &str = include_str!("../../grafana/alertmanager.yml");
const RULES: &str = include_str!("../../grafana/alerts/belljar.yml");

/// A program that serves HTTP. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts it, and waits until it says where it listens.
    fn start(name: &str, words: &[&OsStr]) -> Self {
        let mut command = programs::command(name).expect("the test has looked for it");
        command.args(words).args(["--web.listen-address=127.0.0.1:0", "--log.format=logfmt"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the actor is built beside the tests");
        let stderr = BufReader::new(child.stderr.take().expect("it is a pipe"));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lock().expect("no holder panics").push_str(&(line + "\n"));
            }
        });
        let address = wait_for("the address of a server", || {
            let said = said.lock().expect("no holder panics").clone();
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "{name}: {ended:?}: {said}");
            let (_, rest) = said.split_once("msg=\"Listening on\" address=")?;
            Some(rest.split_whitespace().next()?.to_owned())
        });
        let server = Self { child, address };
        wait_for("a server to be ready", || {
            http::body(&server.address, "/-/ready").is_ok().then_some(())
        });
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("the kernel's process ids are positive");
        if kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok() && !thread::panicking() {
            wait_for("the end of a server", || self.child.try_wait().ok().flatten());
        }
    }
}

/// What of the shipped configuration is another for a test. Expressions stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Changes<'a> {
    /// What is scraped; nobody where there is none.
    pub target: Option<&'a str>,
    /// Who is told of alerts; nobody where there is none.
    pub alertmanager: Option<&'a str>,
    /// What tells this host from others above them.
    pub host: Option<&'a str>,
    /// More configuration.
    pub more: &'a str,
    /// More words for its command line.
    pub words: &'a [&'a str],
}

/// A Prometheus, with its files in a directory of its own.
#[derive(Debug)]
pub struct Prometheus(Server);

impl Prometheus {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it does not come up, with what it said.
    #[must_use]
    pub fn start(directory: &Path, changes: &Changes<'_>) -> Self {
        let mut text =
            replaced(PROMETHEUS, "127.0.0.1:9093", changes.alertmanager.unwrap_or("127.0.0.1:1"));
        text = match changes.target {
            Some(target) => replaced(&text, "127.0.0.1:9464", target),
            None => replaced(&text, "job_name: belljar", "job_name: other"),
        };
        if let Some(host) = changes.host {
            text = replaced(
                &text,
                "  # external_labels:\n  #   host: NAME\n",
                &format!("  external_labels:\n    host: {host}\n"),
            );
        }
        text.push_str(changes.more);
        fs::create_dir_all(directory.join("alerts")).expect("the world is writable");
        let write = |name: &str, text: &str| {
            fs::write(directory.join(name), text).expect("the world is writable");
        };
        write("prometheus.yml", &text);
        write("alerts/belljar.yml", &hurried(RULES));
        let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        let words = [
            option("config.file", directory.join("prometheus.yml")),
            option("storage.tsdb.path", directory.join("data")),
        ];
        // An alert that fires before it knows Alertmanager is told to nobody until then.
        let words =
            words.iter().map(OsStr::new).chain([OsStr::new("--rules.alert.resend-delay=1s")]);
        let words = words.chain(changes.words.iter().map(OsStr::new));
        Self(Server::start("prometheus", &words.collect::<Vec<_>>()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// The series that an expression gives now: their labels and values.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression.
    ///
    /// # Panics
    ///
    /// When it does not answer as Prometheus does.
    pub fn query(&self, expression: &str) -> Result<Vec<(Labels, f64)>, String> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expression)));
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let found = answer["data"]["result"].as_array().expect("an instant vector").iter();
        let read = found.map(|series| {
            let value = series["value"][1].as_str().expect("a value is text").parse();
            (labels(&series["metric"]), value.expect("a value is a number"))
        });
        Ok(read.collect())
    }

    /// The labels of all series whose metric is one of Belljar's.
    ///
    /// # Panics
    ///
    /// When it does not answer as Prometheus does.
    #[must_use]
    pub fn series(&self) -> Vec<Labels> {
        let all = encoded(r#"{__name__=~"belljar_.+"}"#);
        let answer = self.get(&format!("/api/v1/series?match[]={all}"));
        answer["data"].as_array().expect("a list of series").iter().map(labels).collect()
    }

    /// The alerting rules as it has read them.
    ///
    /// # Panics
    ///
    /// When it does not answer as Prometheus does.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/rules?type=alert");
        let groups = answer["data"]["groups"].as_array().expect("groups of rules").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    fn get(&self, path: &str) -> Value {
        let body = http::body(self.address(), path).unwrap_or_else(|error| error);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }
}

/// Labels of a series, by name.
pub type Labels = BTreeMap<String, String>;

fn labels(metric: &Value) -> Labels {
    let labels = metric.as_object().expect("labels are an object").iter();
    labels.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
}

/// Starts an Alertmanager that tells this webhook.
///
/// # Panics
///
/// When it does not come up, with what it said.
#[must_use]
pub fn alertmanager(directory: &Path, webhook: &Webhook) -> Server {
    let shipped = "    # webhook_configs:\n    #   - url: http://127.0.0.1:9095/\n";
    let own = format!("    webhook_configs:\n      - url: {}\n", webhook.url());
    fs::create_dir_all(directory).expect("the world is writable");
    let config = directory.join("alertmanager.yml");
    fs::write(&config, replaced(ALERTMANAGER, shipped, &own)).expect("the world is writable");
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let words = [option("config.file", &config), option("storage.path", &directory.join("data"))];
    let words = words.iter().map(OsStr::new).chain([OsStr::new("--cluster.listen-address=")]);
    Server::start("prometheus-alertmanager", &words.collect::<Vec<_>>())
}

/// The rules with every expression as it is, evaluated each second and without patience.
fn hurried(rules: &str) -> String {
    let hurry = |line: &str| {
        let key = line.trim_start();
        let indent = &line[..line.len() - key.len()];
        match key.split_once(": ") {
            Some(("for", _)) => format!("{indent}for: 0s\n"),
            Some(("interval", _)) => format!("{indent}interval: 1s\n"),
            _ => format!("{line}\n"),
        }
    };
    rules.lines().map(hurry).collect()
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the shipped configuration has no {from:?}");
    text.replace(from, to)
}

/// A text as a part of a query string.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
