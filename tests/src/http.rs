//! What an endpoint on this host serves.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// The whole answer to a GET, head and body.
///
/// # Panics
///
/// When nobody answers in UTF-8.
#[must_use]
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the endpoint answers");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the endpoint reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the endpoint answers in UTF-8");
    text
}
