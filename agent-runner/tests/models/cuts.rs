//! Replies that are not whole: nothing of them is carried out.

use std::{io::Write as _, net::TcpListener, thread};

use agent_runner::How;
use journal::transcript::Event;

use crate::{
    plain::Bench,
    server::{DIALECTS, Dialect, PLENTY, Server, run, streamed, transcript},
};

/// A reply with a call in it, cut in the middle of an event that comes late.
fn cut(dialect: Dialect) -> String {
    let whole = dialect.stream("I remove it.", &[("a", "shell", r#"{"command":"touch done"}"#)]);
    let end = match dialect {
        Dialect::OpenAi => whole.find("finish_reason\":\"tool_calls").unwrap(),
        Dialect::Anthropic => {
            whole.find("message_delta\",").unwrap_or_else(|| whole.rfind("message_delta").unwrap())
        }
    };
    whole[..end].to_owned()
}

/// The same, but cut between events.
fn short(dialect: Dialect) -> String {
    let cut = cut(dialect);
    cut[..cut.rfind("\n\n").unwrap() + 2].to_owned()
}

fn assert_tried_again(dialect: Dialect, broken: &str) {
    let server = Server::new([streamed(broken), streamed(dialect.stream("Done.", &[]))]);
    let mut bench = Bench::new();
    let end = run(&mut bench, dialect, &server.url(), PLENTY);
    assert_eq!((end.how, end.calls), (How::Finished, 0), "{broken}");
    assert!(bench.logged().is_empty());
    let first = &bench.events()[0];
    let Event::Note { text } = first else { panic!("{first:?}") };
    assert!(text.contains("the reply broke off: "), "{text}");
    // What failed is on record, and the model is asked the same again.
    assert!(
        text.contains(r#"until then it said: I remove it. [shell {"command":"touch done"}"#),
        "{text}"
    );
    let requests = server.requests();
    assert_eq!(requests[0], requests[1]);
}

#[test]
fn a_stream_that_ends_before_its_reply_is_asked_for_again() {
    for dialect in DIALECTS {
        assert_tried_again(dialect, &short(dialect));
    }
}

#[test]
fn half_an_event_is_no_event() {
    for dialect in DIALECTS {
        assert_tried_again(dialect, &cut(dialect));
        assert_tried_again(dialect, &format!("{}\n\n", cut(dialect)));
    }
}

#[test]
fn an_error_in_the_stream_breaks_the_reply_off() {
    for dialect in DIALECTS {
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Too busy."}}"#;
        assert_tried_again(dialect, &format!("{}event: error\ndata: {error}\n\n", short(dialect)));
    }
}

#[test]
fn a_connection_that_is_cut_breaks_the_reply_off() {
    for dialect in DIALECTS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = [(short(dialect), 1000), (dialect.stream("Done.", &[]), 0)];
        let serving = thread::spawn(move || {
            for (body, missing) in bodies {
                let (mut stream, _) = listener.accept().unwrap();
                read_request(&mut stream);
                let length = body.len() + missing;
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
            }
        });
        let mut bench = Bench::new();
        let end = run(&mut bench, dialect, &url, PLENTY);
        serving.join().unwrap();
        assert_eq!((end.how, end.calls), (How::Finished, 0));
        assert!(transcript(&bench)[0].contains("broke off"), "{:?}", transcript(&bench));
    }
}

/// Reads headers and body, so that the connection is not reset for what is unread.
fn read_request(stream: &mut impl std::io::Read) {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).unwrap();
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request);
        let Some((headers, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())?.ok()
        });
        if body.len() >= length.unwrap_or(0) {
            return;
        }
    }
}
