//! As much of HTTP/1.1 as the backend needs: requests with a length, answers with a length,
//! connections that are kept open. No chunks, no pipelining tricks, small bounds.

/// Longest head of a request, bytes.
const MAX_HEAD: usize = 8 * 1024;
/// Longest body of a request, bytes.
const MAX_BODY: usize = 64 * 1024;

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// Whether the client wants the connection closed after the answer.
    pub(super) close: bool,
}

/// A method that the backend knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Other,
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    TooLarge,
    NotSupported,
}

impl Refusal {
    /// The status line's number and phrase.
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::TooLarge => "413 Content Too Large",
            Self::NotSupported => "501 Not Implemented",
        }
    }
}

/// Takes the first whole request off `bytes`; `None` if there is none yet.
pub(super) fn take_request(bytes: &mut Vec<u8>) -> Result<Option<Request>, Refusal> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD { Err(Refusal::TooLarge) } else { Ok(None) };
    };
    if end > MAX_HEAD {
        return Err(Refusal::TooLarge);
    }
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Refusal::Malformed)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path, version) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(path), Some(version), None) => (method, path, version),
        _ => return Err(Refusal::Malformed),
    };
    let mut close = match version {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return Err(Refusal::Malformed),
    };
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let parsed: usize = value.parse().map_err(|_| Refusal::Malformed)?;
            if length.is_some_and(|length| length != parsed) {
                return Err(Refusal::Malformed);
            }
            length = Some(parsed);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::NotSupported);
        } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
            close = true;
        }
    }
    let length = length.unwrap_or(0);
    if length > MAX_BODY {
        return Err(Refusal::TooLarge);
    }
    let start = end + 4;
    if bytes.len() < start + length {
        return Ok(None);
    }
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    let path = path.to_owned();
    let body = bytes[start..start + length].to_vec();
    bytes.drain(..start + length);
    Ok(Some(Request { method, path, body, close }))
}

/// An answer, as bytes.
pub(super) fn answer(status: &str, body: &str, close: bool) -> Vec<u8> {
    let connection = if close { "close" } else { "keep-alive" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once_it_is_whole_and_the_next_stays() {
        let mut bytes = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab".to_vec();
        assert_eq!(take_request(&mut bytes), Ok(None));
        bytes.extend_from_slice(b"cdGET /health HTTP/1.1\r\n\r\n");
        let first = take_request(&mut bytes).unwrap().unwrap();
        assert_eq!(
            (first.method, first.body.as_slice(), first.close),
            (Method::Post, &b"abcd"[..], false)
        );
        let second = take_request(&mut bytes).unwrap().unwrap();
        assert_eq!((second.method, second.path.as_str()), (Method::Get, "/health"));
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        for (text, refusal) in [
            ("GARBAGE\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/3\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Refusal::Malformed),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", Refusal::Malformed),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                Refusal::Malformed,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", Refusal::TooLarge),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::NotSupported),
        ] {
            assert_eq!(take_request(&mut text.as_bytes().to_vec()), Err(refusal), "{text:?}");
        }
        let mut endless = vec![b'a'; MAX_HEAD + 1];
        assert_eq!(take_request(&mut endless), Err(Refusal::TooLarge));
        assert_eq!(take_request(&mut b"\xff\r\n\r\n".to_vec()), Err(Refusal::Malformed));
    }
}
