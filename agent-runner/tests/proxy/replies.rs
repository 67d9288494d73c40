//! Replies that come as they should.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use serde_json::json;
use wiremock::ResponseTemplate;

use crate::{
    client::{ALL, Asking},
    server::{DIALECTS, Dialect, KEY, Server, refused, streamed},
};

#[test]
fn a_streamed_reply_is_passed_on_byte_for_byte_and_on_record_as_a_whole() {
    for dialect in DIALECTS {
        let stream = dialect.stream("Hello there.", &[("id", "shell", "{\"command\":\"ls\"}")]);
        let server = Server::new([streamed(stream.clone())]);
        let base = if dialect == Dialect::OpenAi { "/v1" } else { "" };
        let asking = Asking::new(dialect, &format!("{}{base}", server.url()), ALL);
        let response = asking.ask(&["Hi."]).unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(asking.text(response), stream);

        let raw = server.raw();
        let header = |name: &str| raw[0].headers.get(name).and_then(|it| it.to_str().ok());
        let (path, key) = match dialect {
            Dialect::OpenAi => ("/v1/chat/completions", header("authorization").unwrap()),
            Dialect::Anthropic => ("/v1/messages", header("x-api-key").unwrap()),
        };
        assert_eq!((raw[0].url.path(), key.trim_start_matches("Bearer ")), (path, KEY));
        assert!(!format!("{raw:?}").contains(&asking.token));

        let events = asking.finish();
        let [request, response] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(request["line"], format!("POST {path}"));
        assert_eq!(request["body"]["messages"][0]["content"], "Hi.");
        assert_eq!((&request["call"], &request["tgid"]), (&json!(null), &json!(null)));
        let body = &response["body"];
        let (text, call) = match dialect {
            Dialect::OpenAi => {
                let message = &body["choices"][0]["message"];
                (&message["content"], &message["tool_calls"][0]["function"]["name"])
            }
            Dialect::Anthropic => (&body["content"][0]["text"], &body["content"][1]["name"]),
        };
        assert_eq!((text, call), (&json!("Hello there."), &json!("shell")), "{body}");
        assert_eq!(
            (&response["input_tokens"], &response["output_tokens"], &response["status"]),
            (&json!(11), &json!(5), &json!(200))
        );
        assert_eq!(response["body_bytes"], stream.len());
        assert_eq!(response["broken"], json!(null));
    }
}

#[test]
fn a_conversation_is_on_record_once() {
    let answers = std::iter::repeat_n(streamed(Dialect::Anthropic.stream("Go on.", &[])), 2);
    let server = Server::new(answers);
    let asking = Asking::new(Dialect::Anthropic, &server.url(), ALL);
    for messages in [&["One."][..], &["One.", "Two."]] {
        let response = asking.ask(messages).unwrap();
        asking.text(response);
    }
    let events = asking.finish();
    assert_eq!(events[2]["repeats"], json!({ "request": 1, "messages": 1 }));
    assert_eq!(events[2]["body"]["messages"], json!([{ "role": "user", "content": "Two." }]));
    assert_eq!(server.requests()[1]["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn a_reply_that_is_not_streamed_and_the_list_of_models_are_passed_on() {
    let reply = json!({ "model": "m", "choices": [], "usage": { "prompt_tokens": 3 } });
    let list = json!({ "data": [{ "id": "m" }] });
    let server =
        Server::new([&reply, &list].map(|it| ResponseTemplate::new(200).set_body_json(it)));
    let asking = Asking::new(Dialect::OpenAi, &server.url(), ALL);
    let response = asking.ask(&["Hi."]).unwrap();
    assert_eq!(asking.json(response), reply);
    let response = asking.get("/models");
    assert_eq!(asking.json(response), list);
    let events = asking.finish();
    assert_eq!((&events[1]["body"], &events[1]["input_tokens"]), (&reply, &json!(3)));
    assert_eq!((&events[2]["line"], &events[3]["body"]), (&json!("GET /v1/models"), &list));
}

#[test]
fn an_error_of_the_servers_is_passed_on_with_what_it_asks_for() {
    for dialect in DIALECTS {
        let server = Server::new([refused(429, "Slow down.").insert_header("retry-after", "7")]);
        let asking = Asking::new(dialect, &server.url(), ALL);
        let response = asking.ask(&["Hi."]).unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &"7".parse().unwrap())
        );
        assert_eq!(asking.json(response)["error"]["message"], "Slow down.");
        let events = asking.finish();
        assert_eq!((&events[1]["status"], &events[1]["refusal"]), (&json!(429), &json!(null)));
    }
}

#[test]
fn a_key_that_the_server_repeats_stays_outside() {
    let echo = json!({ "error": { "message": format!("wrong key: {KEY}.") } });
    let answer = ResponseTemplate::new(401).set_body_json(echo).insert_header("x-request-id", KEY);
    let server = Server::new([answer]);
    let asking = Asking::new(Dialect::OpenAi, &server.url(), ALL);
    let response = asking.ask(&["Hi."]).unwrap();
    assert!(response.headers().get("x-request-id").is_none());
    assert_eq!(asking.json(response)["error"]["message"], "wrong key: [key].");
    assert!(!json!(asking.finish()).to_string().contains(KEY));
}

#[test]
fn each_piece_is_passed_on_before_the_next_one_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (go_on, gone_on) = mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 65536]).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut say = |piece: &str| {
            write!(stream, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
        };
        say("data: first\n\n");
        gone_on.recv_timeout(Duration::from_secs(20)).expect("the first piece came through");
        say("data: second\n\n");
        say("");
    });
    let asking = Asking::new(Dialect::OpenAi, &url, ALL);
    let mut response = asking.ask(&["Hi."]).unwrap();
    let first = asking.runtime.block_on(response.chunk()).unwrap().unwrap();
    assert_eq!(&first[..], b"data: first\n\n");
    go_on.send(()).unwrap();
    assert_eq!(asking.text(response), "data: second\n\n");
    server.join().unwrap();
}
