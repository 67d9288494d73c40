//! Answers that are not whole.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use serde_json::json;
use wiremock::ResponseTemplate;

use crate::{
    client::{ALL, Asking},
    server::{DIALECTS, Dialect, Server, streamed},
};

/// A server that begins an answer of a stream, and what it does then.
fn beginning(then: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 65536]).unwrap();
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n";
        write!(stream, "{head}data: half\n\n").unwrap();
        then(stream);
    });
    url
}

#[test]
fn a_stream_without_its_end_is_on_record_as_it_came() {
    for dialect in DIALECTS {
        let whole = dialect.stream("Hello.", &[]);
        let half: String = whole.split_inclusive("\n\n").take(3).collect();
        let server = Server::new([streamed(half.clone())]);
        let asking = Asking::new(dialect, &server.url(), ALL);
        let response = asking.ask(&["Hi."]).unwrap();
        assert_eq!(asking.text(response), half);
        let events = asking.finish();
        assert_eq!(events[1]["broken"], "the stream ended before the reply did");
        assert_eq!(events[1]["body"], json!(half));
    }
}

#[test]
fn a_connection_that_breaks_off_breaks_off_for_the_agent_too() {
    let url = beginning(drop);
    let asking = Asking::new(Dialect::OpenAi, &url, ALL);
    let mut response = asking.ask(&["Hi."]).unwrap();
    let first = asking.runtime.block_on(response.chunk()).unwrap();
    assert_eq!(first.as_deref(), Some(&b"data: half\n\n"[..]));
    assert!(asking.runtime.block_on(response.chunk()).is_err());
    let events = asking.finish();
    assert_eq!((&events[1]["status"], &events[1]["body"]), (&json!(200), &json!("data: half\n\n")));
    assert!(events[1]["broken"].is_string(), "{events:?}");
}

#[test]
fn half_a_json_is_passed_on_and_on_record_as_it_came() {
    let half = "{\"choices\": [{\"mess";
    let server = Server::new([ResponseTemplate::new(200).set_body_raw(half, "application/json")]);
    let asking = Asking::new(Dialect::OpenAi, &server.url(), ALL);
    let response = asking.ask(&["Hi."]).unwrap();
    assert_eq!(asking.text(response), half);
    let events = asking.finish();
    assert_eq!(events[1]["body"], half);
    assert!(events[1]["broken"].as_str().unwrap().contains("no JSON"), "{events:?}");
}

#[test]
fn a_server_that_is_not_there_is_an_error_of_the_dialect() {
    for dialect in DIALECTS {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let asking = Asking::new(dialect, &format!("http://{closed}"), ALL);
        let response = asking.ask(&["Hi."]).unwrap();
        assert_eq!(response.status(), 502);
        let body = asking.json(response);
        assert_eq!(body["error"]["message"], "the model's server cannot be reached");
        assert!(asking.finish()[1]["refusal"].as_str().unwrap().contains("refused"));
    }
}

#[test]
fn the_end_of_the_run_ends_answers_that_are_under_way_and_keeps_them() {
    let url = beginning(|mut stream| drop(stream.read(&mut [0])));
    let asking = Asking::new(Dialect::OpenAi, &url, ALL);
    let mut response = asking.ask(&["Hi."]).unwrap();
    asking.runtime.block_on(response.chunk()).unwrap();
    let events = asking.finish();
    assert_eq!(
        (&events[1]["broken"], &events[1]["body"]),
        (&json!("the agent ended first"), &json!("data: half\n\n"))
    );
}
