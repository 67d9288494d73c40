//! A scripted server that speaks as much of OpenAI's chat completions as an agent needs.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::http;

/// What a model says when it is asked.
#[derive(Clone, Debug)]
pub enum Scripted {
    /// Words, and calls: tool and arguments.
    Reply(&'static str, Vec<(&'static str, Value)>),
    /// An HTTP error.
    Error(u16, &'static str),
    /// Nothing, for as long as the connection stands.
    Silence,
}

/// A server on loopback that gives each request the next thing of its script. It ends with the
/// test's process.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ModelServer {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When there is no port left.
    #[must_use]
    pub fn start(script: Vec<Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            let over = Scripted::Error(400, "the script is over");
            for (connection, scripted) in
                listener.incoming().zip(script.into_iter().chain(std::iter::repeat(over)))
            {
                // A client that goes away in the middle is no failure of the server's.
                let _ = connection.and_then(|connection| serve(&connection, &scripted, &kept));
            }
        });
        Self { address, requests }
    }

    /// What goes behind `--base-url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Headers, as text, and body of each request so far.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while it holds the lock.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().expect("nobody panics with the lock").clone()
    }
}

fn serve(
    mut connection: &TcpStream,
    scripted: &Scripted,
    requests: &Mutex<Vec<(String, Value)>>,
) -> io::Result<()> {
    let (headers, body) = http::request(connection)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    requests.lock().expect("nobody panics with the lock").push((headers, body));

    let (status, kind, body) = match scripted {
        Scripted::Reply(text, calls) => (200, "text/event-stream", stream(text, calls)),
        Scripted::Error(status, message) => {
            (*status, "application/json", json!({ "error": { "message": message } }).to_string())
        }
        Scripted::Silence => {
            // Until the other side has had enough.
            let _ = connection.read(&mut [0]);
            return Ok(());
        }
    };
    write!(
        connection,
        "HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{body}",
        body.len()
    )
}

/// A whole reply, every call in one piece.
fn stream(text: &str, calls: &[(&str, Value)]) -> String {
    let chunk = |delta: Value, why: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": why });
        format!("data: {}\n\n", json!({ "model": "scripted", "choices": [choice] }))
    };
    let mut events = chunk(json!({ "role": "assistant", "content": text }), None);
    for (index, (tool, arguments)) in calls.iter().enumerate() {
        let function = json!({ "name": tool, "arguments": arguments.to_string() });
        let call = json!({ "index": index, "id": format!("call-{index}"), "function": function });
        events.push_str(&chunk(json!({ "tool_calls": [call] }), None));
    }
    let why = if calls.is_empty() { "stop" } else { "tool_calls" };
    events.push_str(&chunk(json!({}), Some(why)));
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 10 });
    events.push_str(&format!("data: {}\n\n", json!({ "choices": [], "usage": usage })));
    events.push_str("data: [DONE]\n\n");
    events
}
