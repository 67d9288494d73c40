//! A run that is sent to an OpenTelemetry endpoint. What is in the requests is tested where they are
//! made; here it is that the binary makes them.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use tests::{run::Invocation, world::World};

/// Heads and bodies of what an endpoint was sent.
type Requests = Mutex<Vec<(String, String)>>;

/// An endpoint on loopback. It ends with the test's process.
fn endpoint() -> (SocketAddr, Arc<Requests>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let _ = connection.and_then(|connection| serve(&connection, &kept));
        }
    });
    (address, requests)
}

fn serve(mut connection: &TcpStream, requests: &Requests) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.to_ascii_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length: ").and_then(|length| length.parse().ok())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        requests.lock().expect("no holder panics").push((head, body));
        write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

#[test]
fn a_run_is_sent_when_it_has_ended_and_once_more_on_demand() {
    let world = World::new();
    let (address, requests) = endpoint();
    let url = format!("http://{address}");
    let file = world.file("data/file");
    let run = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .label("data", &world.path("data"))
        .args(["--otlp", &url, "--"])
        .args([world.actor()])
        .args(["unlink".as_ref(), file.as_os_str()])
        .finish();
    run.assert_code(80).assert_stderr("sent 2 spans and 1 log record to");
    let again = Invocation::new(&world, "again", "report").args(["otlp", "--endpoint", &url]);
    let again = again.args([&run.out]).finish();
    assert!(again.assert_code(0).stdout.contains("sent 2 spans and 1 log record to"));
    let requests = requests.lock().expect("no holder panics").clone();
    let [traces, logs, traces_again, logs_again] = &requests[..] else { panic!("{requests:?}") };
    assert!(traces.0.starts_with("POST /v1/traces "), "{}", traces.0);
    assert!(traces.1.contains("execute_tool command"), "{}", traces.1);
    assert!(logs.0.starts_with("POST /v1/logs "), "{}", logs.0);
    assert!(logs.1.contains("belljar.violation"), "{}", logs.1);
    assert_eq!((traces, logs), (traces_again, logs_again));
}

#[test]
fn an_endpoint_that_is_down_changes_no_verdict_and_is_told() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    drop(listener);
    let run = Invocation::run(&world, "run").args(["--otlp", &url, "--"]).args([world.actor()]);
    let run = run.args(["unlink", "missing"]).finish();
    run.assert_code(74).assert_stderr("does not answer").assert_stderr("tries again");
    assert_eq!(run.record().verdict(), "clean");
    let report = Invocation::new(&world, "report", "report").args(["otlp", "--endpoint", &url]);
    report.args([&run.out]).finish().assert_code(69).assert_stderr("does not answer");
    let bad = Invocation::run(&world, "bad").args(["--otlp", "nonsense", "--", "true"]).finish();
    bad.assert_code(64).assert_stderr("no address of an OTLP endpoint");
    assert!(!bad.out.exists());
}
