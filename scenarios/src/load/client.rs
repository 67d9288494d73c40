//! One request over one connection that is kept open, and whether its answer is right.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::work::{chain, hexadecimal};

/// Longest wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is read, bytes.
const MAX_ANSWER: usize = 4096;

/// A payload and the digest that answers it.
pub(crate) struct Challenge {
    payload: String,
    digest: String,
}

impl Challenge {
    pub(crate) fn new(seed: u64, number: u64, rounds: u64) -> Self {
        let payload = format!("{seed:016x}{number:016x}");
        let digest = hexadecimal(&chain(payload.as_bytes(), rounds));
        Self { payload, digest }
    }
}

/// Asks and returns whether the answer is right. Leaves the connection in `client` if it can be used
/// again.
pub(super) async fn ask(
    client: &mut Option<TcpStream>,
    address: SocketAddr,
    challenge: &Challenge,
    nonce: u64,
) -> io::Result<bool> {
    let too_late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut stream = match client.take() {
        Some(stream) => stream,
        None => {
            let stream =
                timeout(PATIENCE, TcpStream::connect(address)).await.map_err(too_late)??;
            stream.set_nodelay(true)?;
            stream
        }
    };
    let Challenge { payload, digest } = challenge;
    let body = format!("{nonce} {payload}");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = async {
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream).await
    };
    let answer = timeout(PATIENCE, answer).await.map_err(too_late)??;
    if !answer.close {
        *client = Some(stream);
    }
    Ok(answer.ok && answer.body == format!("{nonce} {digest}\n").into_bytes())
}

/// An answer of the backend's.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    ok: bool,
    close: bool,
    body: Vec<u8>,
}

async fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::with_capacity(512);
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        if bytes.len() > MAX_ANSWER {
            return Err(malformed());
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The answer, if it is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed())?;
    let mut lines = head.split("\r\n");
    let ok = lines.next().is_some_and(|line| line.starts_with("HTTP/1.1 200 "));
    let (mut close, mut length) = (false, None);
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(malformed)?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| malformed())?);
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    let length = length.filter(|length| *length <= MAX_ANSWER).ok_or_else(malformed)?;
    let body = &bytes[end + 4..];
    match body.len().cmp(&length) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(Answer { ok, close, body: body.to_vec() })),
        std::cmp::Ordering::Greater => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not what HTTP/1.1 allows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_parsed_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        assert_eq!(parse(&text[..text.len() - 1]).unwrap(), None);
        let answer = parse(text).unwrap().unwrap();
        assert_eq!(answer, Answer { ok: true, close: true, body: b"ok".to_vec() });
    }

    #[test]
    fn an_answer_without_length_or_with_too_much_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n").is_err());
    }
}
