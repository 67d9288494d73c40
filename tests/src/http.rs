//! What an endpoint on this host serves, and what one that a test serves is sent.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
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

/// The body of the answer to a GET, where that is 200, else the body or what went wrong as an error.
///
/// # Errors
///
/// When nobody answers, or with another status.
pub fn body(address: &str, path: &str) -> Result<String, String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        // HTTP/1.0: the body comes in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = ask().map_err(|error| format!("{address}{path}: {error}"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("an answer without an end of its head")?;
    let status = head.split(' ').nth(1);
    if status == Some("200") { Ok(body.to_owned()) } else { Err(body.to_owned()) }
}

/// Head and body of a request.
///
/// # Errors
///
/// When the other side goes away in the middle.
pub fn request(connection: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

/// The status of the answer to a POST with these headers.
///
/// # Panics
///
/// When nobody answers with one.
#[must_use]
pub fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("the endpoint answers");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    let mut request = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Connection: close\r\n\r\n{body}"));
    stream.write_all(request.as_bytes()).expect("the endpoint reads");
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).expect("the endpoint answers");
    let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status: {status:?}"))
}
