//! Who is told of alerts: a server that keeps what it is sent.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::http;

/// A server on loopback that takes Alertmanager's notifications. It ends with the test's process.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When there is no port left.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let taken = connection.and_then(|mut connection| {
                    let (_, body) = http::request(&connection)?;
                    let body: Value = serde_json::from_slice(&body)?;
                    kept.lock().expect("no holder panics").push(body);
                    connection.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    )
                });
                if let Err(error) = taken {
                    eprintln!("webhook: {error}");
                }
            }
        });
        Self { address, told }
    }

    /// Where it is told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The firing alerts of this name that it was told of so far.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while it holds the lock.
    #[must_use]
    pub fn firing(&self, name: &str) -> Vec<Value> {
        let told = self.told.lock().expect("no holder panics");
        let alerts = told.iter().filter_map(|notification| notification["alerts"].as_array());
        let is_meant =
            |alert: &&Value| alert["status"] == "firing" && alert["labels"]["alertname"] == name;
        alerts.flatten().filter(is_meant).cloned().collect()
    }
}
