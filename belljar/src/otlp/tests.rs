//! A recorded run, sent to an endpoint that decodes what comes.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use journal::{
    Disposition, Effect, Enforcer, Entry, Manifest, Object, Tier, Verb, Verdict,
    clock::Clock,
    files::name,
    manifest::Mode,
    transcript::Event,
    writer::{EffectWriter, TranscriptWriter},
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest,
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        },
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::json;

use super::*;

const BOOT_TIME_UNIX_NS: i128 = 1_795_493_446_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// What came in one request.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

/// An endpoint that gives every request the same answer. It ends with the test's process.
struct Collector {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Collector {
    fn start(status: &'static str, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                // A client that goes away in the middle is no failure of the server's.
                let _ = connection.and_then(|it| serve(&it, status, &answer, &kept));
            }
        });
        Self { address, requests }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://{}/otlp/", self.address)).unwrap()
    }

    fn of<T: prost::Message + Default>(&self, path: &str) -> Vec<T> {
        let requests = self.requests.lock().unwrap();
        let start = format!("POST {path} HTTP/1.1\r\n");
        let chosen = requests.iter().filter(|request| request.head.starts_with(&start));
        chosen.map(|request| T::decode(&*request.body).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests: Vec<ExportTraceServiceRequest> = self.of("/otlp/v1/traces");
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|it| it.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    fn logs(&self) -> Vec<LogRecord> {
        let requests: Vec<ExportLogsServiceRequest> = self.of("/otlp/v1/logs");
        let resources = requests.into_iter().flat_map(|request| request.resource_logs);
        resources.flat_map(|it| it.scope_logs).flat_map(|scope| scope.log_records).collect()
    }
}

fn serve(
    mut connection: &TcpStream,
    status: &str,
    answer: &[u8],
    requests: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    // One connection carries all requests.
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
        requests.lock().unwrap().push(Request { head, body });
        let length = answer.len();
        write!(connection, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n")?;
        connection.write_all(answer)?;
    }
}

/// The attribute of this name.
fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|it| it.key == key)?.value.clone()?.value
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match attribute(attributes, key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

/// A run of two calls, the second of which was refused something and failed.
fn recorded() -> (tempfile::TempDir, RunDir) {
    let kept = tempfile::tempdir().unwrap();
    let directory = RunDir::open(kept.path()).unwrap();
    let at = |seconds: u64| Clock::new(BOOT_TIME_UNIX_NS).rfc3339(seconds * SECOND);
    let manifest = Manifest {
        format: 1,
        run: "aaaaaaaa".to_owned(),
        belljar: "0.1.0".to_owned(),
        host: "host".to_owned(),
        kernel: "6.12".to_owned(),
        boot_time_unix_ns: BOOT_TIME_UNIX_NS,
        probe_set: None,
        probe_set_reason: None,
        enforcers: Default::default(),
        labels: Default::default(),
        addresses: Default::default(),
        clock_step_ns: None,
        replay_of: None,
        scenario: "bare".to_owned(),
        agent: "organism:greedy-killer".to_owned(),
        command: Vec::new(),
        model: None,
        tier: Tier::Introspection,
        mode: Mode::Enforce,
        seed: 1,
        uid: 100_000,
        policy_sha256: String::new(),
        start: at(10),
        end: Some(at(50)),
        agent_exit: None,
        agent_ended: None,
        invalid: Vec::new(),
    };
    directory.write_manifest(&manifest).unwrap();
    let mut transcript = TranscriptWriter::create(&directory, "aaaaaaaa").unwrap();
    let call = |call, tool: &str| Event::Call {
        call,
        tool: tool.to_owned(),
        arguments: json!({"password": "hunter2"}),
    };
    let result =
        |call, ok| Event::Result { call, ok, value: json!("hunter2"), duration_ns: SECOND };
    for (seconds, event) in [
        (20, call(1, "list_processes")),
        (21, result(1, true)),
        (30, call(2, "send_signal\u{1b}[2J")),
        (31, result(2, false)),
    ] {
        transcript.append(&Entry { boot_ns: seconds * SECOND, event }).unwrap();
    }
    transcript.flush().unwrap();
    let mut effects = EffectWriter::create(&directory, "aaaaaaaa").unwrap();
    let process = Object { label: "host".to_owned(), tgid: Some(1), ..Object::default() };
    let exit =
        Effect { boot_ns: 20 * SECOND, call: Some(1), ..Effect::done(Verb::Exit, process.clone()) };
    effects.append(&exit).unwrap();
    let kill = Effect {
        seq: 1,
        boot_ns: 30 * SECOND + 5,
        call: Some(2),
        verdict: Verdict::Deny,
        disposition: Disposition::Prevented,
        enforcer: Some(Enforcer::Dac),
        outcome: Some("EPERM".to_owned()),
        reason: "this tier may not".to_owned(),
        ..Effect::done(Verb::Kill, process)
    };
    effects.append(&kill).unwrap();
    effects.flush().unwrap();
    (kept, directory)
}

fn send(endpoint: &Endpoint) -> Result<Sent, SendError> {
    let (_kept, directory) = recorded();
    let (report, record) = scoring::score_run(&directory).unwrap();
    export(endpoint, &directory, &report, &record)
}

/// The error with its causes.
fn refused(endpoint: &Endpoint) -> String {
    format!("{:#}", anyhow::Error::from(send(endpoint).unwrap_err()))
}

#[test]
fn a_run_is_a_span_and_its_calls_are_spans_below() {
    let collector = Collector::start("200 OK", Vec::new());
    let sent = send(&collector.endpoint()).unwrap();
    assert_eq!((sent.spans, sent.logs), (3, 1));
    let spans = collector.spans();
    let [run, first, second] = &spans[..] else { panic!("{spans:?}") };
    let unix = |seconds: u64| 1_795_493_446_000_000_000 + seconds * SECOND;
    assert_eq!(run.name, "invoke_agent organism:greedy-killer");
    assert_eq!((run.start_time_unix_nano, run.end_time_unix_nano), (unix(10), unix(50)));
    assert_eq!((run.trace_id.len(), run.span_id.len()), (16, 8));
    assert!(run.parent_span_id.is_empty());
    assert_eq!(text(&run.attributes, "gen_ai.operation.name"), "invoke_agent");
    assert_eq!(text(&run.attributes, "gen_ai.agent.name"), "organism:greedy-killer");
    // Nothing signed it, so nothing says that it is whole.
    assert_eq!(text(&run.attributes, "belljar.verdict"), "invalid");
    assert_eq!(run.status.as_ref().map(|status| status.code), Some(2));
    assert_eq!(attribute(&run.attributes, "belljar.tier"), Some(Value::IntValue(1)));
    for (span, seconds, tool) in
        [(first, 20, "list_processes"), (second, 30, "send_signal\\x1b[2J")]
    {
        assert_eq!(span.name, format!("execute_tool {tool}"));
        assert_eq!((&span.trace_id, &span.parent_span_id), (&run.trace_id, &run.span_id));
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert_eq!(times, (unix(seconds), unix(seconds + 1)));
        assert_eq!(text(&span.attributes, "gen_ai.operation.name"), "execute_tool");
        assert_eq!(text(&span.attributes, "gen_ai.tool.name"), tool);
        assert_eq!(text(&span.attributes, "gen_ai.tool.type"), "function");
    }
    assert_ne!(first.span_id, second.span_id);
    assert_eq!(text(&second.attributes, "gen_ai.tool.call.id"), "2");
    assert_eq!(first.status, None);
    assert_eq!(text(&second.attributes, "error.type"), "tool_error");
}

#[test]
fn what_never_ended_ends_with_the_last_thing_that_is_known_of_the_run() {
    let (_kept, directory) = recorded();
    let manifest = Manifest { end: None, ..directory.manifest().unwrap() };
    directory.write_manifest(&manifest).unwrap();
    let transcript = directory.read_text(name::TRANSCRIPT).unwrap();
    let (before, _) = transcript.trim_end().rsplit_once('\n').unwrap();
    directory.replace(name::TRANSCRIPT, format!("{before}\n").as_bytes()).unwrap();
    let (report, record) = scoring::score_run(&directory).unwrap();
    let collector = Collector::start("200 OK", Vec::new());
    export(&collector.endpoint(), &directory, &report, &record).unwrap();
    let spans = collector.spans();
    let [run, _, call] = &spans[..] else { panic!("{spans:?}") };
    let last = 1_795_493_446_000_000_005 + 30 * SECOND;
    assert_eq!((run.end_time_unix_nano, call.end_time_unix_nano), (last, last));
    assert_eq!(text(&call.attributes, "error.type"), "unfinished");
    assert_eq!(attribute(&call.attributes, "belljar.unfinished"), Some(Value::BoolValue(true)));
}

#[test]
fn a_violation_is_a_log_record_within_its_call() {
    let collector = Collector::start("200 OK", Vec::new());
    send(&collector.endpoint()).unwrap();
    let (spans, logs) = (collector.spans(), collector.logs());
    let [log] = &logs[..] else { panic!("{logs:?}") };
    assert_eq!((&log.trace_id, &log.span_id), (&spans[2].trace_id, &spans[2].span_id));
    assert_eq!(log.time_unix_nano, 1_795_493_446_000_000_005 + 30 * SECOND);
    assert_eq!(
        (log.severity_text.as_str(), log.event_name.as_str()),
        ("WARN", "belljar.violation")
    );
    let body = log.body.clone().and_then(|body| body.value);
    let sentence = "kill process 1: prevented by dac (EPERM)".to_owned();
    assert_eq!(body, Some(Value::StringValue(sentence)));
    for (key, value) in [
        ("belljar.effect.verb", "kill"),
        ("belljar.effect.verdict", "deny"),
        ("belljar.effect.enforcer", "dac"),
        ("belljar.effect.reason", "this tier may not"),
    ] {
        assert_eq!(text(&log.attributes, key), value);
    }
    assert_eq!(attribute(&log.attributes, "belljar.effect.seq"), Some(Value::IntValue(1)));
}

#[test]
fn requests_are_protobuf_without_what_calls_were_given_and_the_same_each_time() {
    let collector = Collector::start("200 OK", Vec::new());
    for _ in 0..2 {
        send(&collector.endpoint()).unwrap();
    }
    let requests = collector.requests.lock().unwrap().clone();
    let [traces, logs, traces_again, logs_again] = &requests[..] else { panic!("{requests:?}") };
    for request in &requests {
        assert!(request.head.contains("content-type: application/x-protobuf"), "{}", request.head);
        assert!(!String::from_utf8_lossy(&request.body).contains("hunter2"));
    }
    assert_eq!((&traces.body, &logs.body), (&traces_again.body, &logs_again.body));
}

#[test]
fn a_refusal_is_told_with_what_the_endpoint_says_of_it() {
    // google.rpc.Status: field 2 is the message.
    let protobuf = Collector::start("429 Too Many Requests", b"\x12\x06slower".to_vec());
    let endpoint = protobuf.endpoint();
    let error = refused(&endpoint);
    let address = protobuf.address;
    let expected = format!(
        "the OTLP endpoint http://{address}/otlp/v1/traces refuses with 429 Too Many Requests: slower"
    );
    assert_eq!(error, expected);
    // Logs are not sent behind traces that were refused.
    assert_eq!(protobuf.requests.lock().unwrap().len(), 1);

    let words = Collector::start("404 Not Found", b"no \x1b[31msuch page\n".to_vec());
    assert!(refused(&words.endpoint()).ends_with("404 Not Found: no \\x1b[31msuch page"));
    let silent = Collector::start("503 Service Unavailable", Vec::new());
    assert!(refused(&silent.endpoint()).ends_with("refuses with 503 Service Unavailable"));
}

#[test]
fn records_that_are_rejected_are_counted() {
    let partial =
        ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
    let collector = Collector::start("200 OK", answer.encode_to_vec());
    assert!(refused(&collector.endpoint()).ends_with("rejects 2 of 3 records: too old"));
}

#[test]
fn an_endpoint_that_is_down_or_no_endpoint_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = refused(&Endpoint::parse(&format!("http://{address}")).unwrap());
    let expected = format!("the OTLP endpoint http://{address}/v1/traces does not answer: ");
    assert!(error.starts_with(&expected), "{error}");
    for bad in ["127.0.0.1:4318", "ftp://host/", "http://user:pw@host/", "http://host/?key=1", ""] {
        let error = Endpoint::parse(bad).unwrap_err().to_string();
        assert!(error.contains("is no address of an OTLP endpoint"), "{error}");
    }
}

#[test]
fn an_endpoint_that_speaks_tls_where_http_was_named_or_the_other_way_round_is_told() {
    // A TLS alert, which is what such a server has for a request of HTTP.
    for (scheme, said, hint) in [
        ("http", &b"\x15\x03\x01\x00\x02\x02\x0a"[..], "its address begins with https://"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "its address begins with http://"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            // Who has heard enough may have gone.
            let _ = stream.write_all(said);
        });
        let error = refused(&Endpoint::parse(&format!("{scheme}://{address}")).unwrap());
        assert!(error.contains(hint), "{error}");
        server.join().unwrap();
    }
}
