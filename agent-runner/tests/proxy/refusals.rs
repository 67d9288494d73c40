//! What is not passed on.

use agent_runner::llm::{Budget, Price};
use serde_json::{Value, json};

use crate::{
    client::{ALL, Asking},
    server::{DIALECTS, Dialect, Server, refused, streamed},
};

/// Asks until the budget is used up; gives back how many requests reached the server, the refusal and
/// its status.
fn until_used_up(dialect: Dialect, budget: Budget) -> (usize, u16, Value) {
    let answers = std::iter::repeat_n(streamed(dialect.stream("Go on.", &[])), 9);
    // What fails is none of the replies that were paid for.
    let answers = std::iter::once(refused(500, "Oops.")).chain(answers);
    let server = Server::new(answers);
    let asking = Asking::new(dialect, &server.url(), budget);
    for _ in 0..9 {
        let response = asking.ask(&["Hi."]).unwrap();
        let status = response.status().as_u16();
        if let Some(retry) = response.headers().get("x-should-retry") {
            assert_eq!(retry, "false");
            let body = asking.json(response);
            let events = asking.finish();
            let last = events.last().unwrap();
            assert_eq!(last["refusal"], body["error"]["message"]);
            return (server.raw().len(), status, body["error"].clone());
        }
        asking.text(response);
    }
    panic!("the budget was not used up");
}

#[test]
fn a_budget_that_is_used_up_is_an_error_of_the_dialect() {
    for dialect in DIALECTS {
        let (asked, status, error) = until_used_up(dialect, Budget { turns: 2, ..ALL });
        assert_eq!(asked, 3);
        assert_eq!(error["message"], "the budget is used up: its 2 turns are used up");
        match dialect {
            Dialect::OpenAi => {
                assert_eq!((status, &error["code"]), (429, &json!("insufficient_quota")));
            }
            Dialect::Anthropic => {
                assert_eq!((status, &error["type"]), (402, &json!("billing_error")));
            }
        }
        // Each reply takes 11 and 5.
        let tokens = Budget { tokens: Some(33), ..ALL };
        assert_eq!(until_used_up(dialect, tokens).0, 4);
        let money = (0.000_1, Price { input: 5.0, output: 1.0 });
        assert_eq!(until_used_up(dialect, Budget { money: Some(money), ..ALL }).0, 3);
    }
}

#[test]
fn a_foreign_token_another_path_another_model_and_no_json_are_refused() {
    for dialect in DIALECTS {
        let server = Server::new([]);
        let asking = Asking::new(dialect, &server.url(), ALL);
        let path = match dialect {
            Dialect::OpenAi => "/chat/completions",
            Dialect::Anthropic => "/v1/messages",
        };
        let body = json!({ "model": "m" }).to_string();
        let post = |path, token: &str, body: &str| {
            let response = asking.post(path, token, body.to_owned()).unwrap();
            let status = response.status().as_u16();
            (status, asking.json(response)["error"]["message"].as_str().unwrap().to_owned())
        };
        let token = asking.token.clone();
        assert_eq!(post(path, "another", &body).0, 401);
        assert_eq!(post("/files", &token, &body).0, 404);
        let other = json!({ "model": "dearer" }).to_string();
        let (status, message) = post(path, &token, &other);
        assert_eq!(
            (status, message.as_str()),
            (404, "the model \"dearer\" does not exist: there is \"m\"")
        );
        let (status, message) = post(path, &token, "{\"model\":");
        assert!(status == 400 && message.contains("no JSON"), "{status} {message}");
        let events = asking.finish();
        let refusals = events.iter().filter(|event| event["refusal"].is_string());
        assert_eq!(refusals.count(), 4);
        assert_eq!(events[6]["body"], "{\"model\":");
        assert!(server.raw().is_empty());
    }
}

#[test]
fn another_user_of_the_host_is_not_let_in() {
    let server = Server::new([]);
    let other = nix::unistd::geteuid().as_raw() + 1;
    let asking = Asking::of_user(Dialect::OpenAi, &server.url(), ALL, other);
    assert!(asking.ask(&["Hi."]).is_err());
    assert_eq!(asking.finish(), Vec::<Value>::new());
}

#[test]
fn connections_beyond_the_places_wait_and_are_served_when_others_have_gone() {
    let server = Server::new([streamed(Dialect::OpenAi.stream("Here.", &[]))]);
    let asking = Asking::new(Dialect::OpenAi, &server.url(), ALL);
    let address = asking.base.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    // The listener's queue takes as many again.
    let mut idle: Vec<_> =
        (0..200).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    idle.drain(..150);
    let response = asking.ask(&["Hi."]).unwrap();
    assert!(asking.text(response).contains("[DONE]"));
}
