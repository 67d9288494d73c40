//! Who is told of alerts: a server that keeps what it is sent.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
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
            // Each on a thread of its own: a client may open a connection before it needs one.
            for connection in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || {
                    // One that goes away without a word tells nothing.
                    let _ = take(&connection, &kept);
                });
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

fn take(mut connection: &TcpStream, told: &Mutex<Vec<Value>>) -> io::Result<()> {
    let (_, body) = http::request(connection)?;
    told.lock().expect("no holder panics").push(serde_json::from_slice(&body)?);
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}
