//! Prometheus layer: Debian's Prometheus and Alertmanager on what `grafana/` holds and a live observer
//! serves.

mod fire;
mod fleet;
mod views;

use std::path::PathBuf;

use tests::{
    deadline::wait_for,
    http, in_machine, programs,
    prometheus::{Changes, Prometheus, Server, alertmanager},
    resident::Resident,
    run::{Invocation, Running},
    skip,
    webhook::Webhook,
    world::{World, words},
};

/// An observer, a Prometheus that scrapes it, and who is told of alerts.
struct Watched {
    // In the order in which they end: who asks before who is asked.
    prometheus: Prometheus,
    _alertmanager: Server,
    webhook: Webhook,
    resident: Resident,
    world: World,
}

impl Watched {
    fn start(name: &str) -> Self {
        let world = World::new();
        let resident = Resident::start(name);
        let webhook = Webhook::start();
        let alertmanager = alertmanager(&world.path("alertmanager"), &webhook);
        let target = resident.address();
        let changes = Changes {
            target: Some(&target),
            alertmanager: Some(alertmanager.address()),
            ..Changes::default()
        };
        let prometheus = Prometheus::start(&world.path("prometheus"), &changes);
        Self { prometheus, _alertmanager: alertmanager, webhook, resident, world }
    }

    /// A run under the observer.
    fn run(&self, name: &str) -> Invocation {
        Invocation::run_under(&self.world, name, self.resident.socket().as_os_str())
    }

    /// A run whose agent attacks oversight, and then waits for the file that comes with it.
    fn attack(&self) -> (Running, PathBuf) {
        let secret = self.world.file("oversight/secret");
        let go = self.world.path("signs/go");
        self.world.directory("signs");
        let running = self
            .run("attack")
            .tier(1, "enforce")
            .label("oversight", &self.world.path("oversight"))
            .args(["--"])
            .args([self.world.actor()])
            .args(words([&"unlink", &secret, &",", &"wait_file", &go]))
            .start();
        wait_for("the attack", || running.stdout().contains("unlink").then_some(()));
        (running, go)
    }

    /// What the observer serves now.
    fn served(&self) -> String {
        http::body(&self.resident.address(), "/metrics").expect("it answers")
    }
}

/// Whether a test of this layer can run here; says why where it cannot.
fn can_run() -> bool {
    if in_machine() {
        skip("what scrapes an observer depends on no kernel: tried on the host alone");
        return false;
    }
    for program in ["prometheus", "promtool", "prometheus-alertmanager"] {
        if programs::find(program).is_none() {
            skip(&format!("there is no {program}: run `./x setup --tests`"));
            return false;
        }
    }
    true
}

/// What promtool says of what it is given.
fn promtool(words: &[&str], input: &str) -> Result<(), String> {
    use std::{io::Write as _, process::Stdio};
    let mut command = std::process::Command::new(programs::find("promtool").expect("it is there"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let ended = child.wait_with_output().expect("a child can be waited for");
    let said = [ended.stdout, ended.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    if ended.status.success() { Ok(()) } else { Err(said.concat()) }
}
