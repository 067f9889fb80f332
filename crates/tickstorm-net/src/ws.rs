//! The opening handshake of a WebSocket connection, both sides, without extensions or subprotocols.

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::client::ClientStream;
use crate::endpoint::Endpoint;
use crate::socket::remaining;

/// Why a server that was reached is not one to talk to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It answered in HTTP, but not with `101`.
    #[error("expected status 101 switching protocols, got {status}")]
    Refused {
        /// Status code and reason.
        status: String,
    },
    /// It answered something that is not HTTP.
    #[error("expected an http response, got {first_bytes}")]
    NotHttp {
        /// The first bytes, escaped.
        first_bytes: String,
    },
    /// It agreed, but a header is missing or says something else.
    #[error("expected header {name}: {expected}, got {}", got.as_deref().unwrap_or("none"))]
    Header {
        /// The header.
        name: &'static str,
        /// What it should say.
        expected: String,
        /// What it says.
        got: Option<String>,
    },
    /// It chose an extension or subprotocol that was not offered.
    #[error("server chose {name} {value:?}, which was not offered")]
    NotOffered {
        /// The header.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// Its response does not end.
    #[error("response of the handshake must be at most {MAX_HANDSHAKE} bytes")]
    TooLong,
    /// It closed the connection.
    #[error("server closed the connection during the handshake after {first_bytes}")]
    Closed {
        /// What came before, escaped.
        first_bytes: String,
    },
}

/// Opens a connection as a client and returns what the server sent beyond its response.
pub(crate) fn open(
    stream: &mut ClientStream,
    endpoint: &Endpoint,
    deadline: Instant,
) -> io::Result<Result<Vec<u8>, HandshakeError>> {
    let key = generate_key();
    stream.socket().set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(&request(endpoint, &key))?;
    let mut received = Vec::new();
    loop {
        match check_response(&received, &key) {
            Ok(None) => {}
            Ok(Some(length)) => return Ok(Ok(received.split_off(length))),
            Err(error) => return Ok(Err(error)),
        }
        let mut chunk = [0; 4096];
        stream.socket().set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(Err(HandshakeError::Closed { first_bytes: excerpt(&received) })),
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn request(endpoint: &Endpoint, key: &str) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        endpoint.resource(),
        endpoint.authority(),
    )
    .into_bytes()
}

/// The length of a response that agrees; nothing if it is not whole yet.
fn check_response(bytes: &[u8], key: &str) -> Result<Option<usize>, HandshakeError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HANDSHAKE => return Err(HandshakeError::TooLong),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(HandshakeError::NotHttp { first_bytes: excerpt(bytes) }),
    };
    let code = response.code.unwrap_or_default();
    if code != 101 {
        let reason = excerpt(response.reason.unwrap_or_default().as_bytes());
        return Err(HandshakeError::Refused { status: format!("{code} {reason}").trim_end().to_owned() });
    }
    expect_header(response.headers, "Upgrade", "websocket", |value| has_token(value, "websocket"))?;
    expect_header(response.headers, "Connection", "Upgrade", |value| has_token(value, "upgrade"))?;
    let accept = derive_accept_key(key.as_bytes());
    expect_header(response.headers, "Sec-WebSocket-Accept", &accept, |value| value == accept.as_bytes())?;
    for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
        if let Some(value) = header(response.headers, name).filter(|value| !value.is_empty()) {
            return Err(HandshakeError::NotOffered { name, value: excerpt(value) });
        }
    }
    Ok(Some(length))
}

fn expect_header(
    headers: &[httparse::Header<'_>],
    name: &'static str,
    expected: &str,
    fits: impl Fn(&[u8]) -> bool,
) -> Result<(), HandshakeError> {
    let got = header(headers, name);
    if got.is_some_and(fits) {
        return Ok(());
    }
    Err(HandshakeError::Header { name, expected: expected.to_owned(), got: got.map(excerpt) })
}

/// What a server says to the bytes of a client so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The request is not whole yet.
    Wait,
    /// The first `request_len` bytes are a request to upgrade.
    Accept { request_len: usize, response: Vec<u8> },
    /// No request to upgrade; the connection is to be closed after the response.
    Refuse { response: Vec<u8> },
}

pub(crate) fn answer(bytes: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let request_len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HANDSHAKE => {
            return refuse("431 Request Header Fields Too Large", "");
        }
        Ok(httparse::Status::Partial) => return Answer::Wait,
        Err(_) => return refuse("400 Bad Request", ""),
    };
    let says = |name, token| header(request.headers, name).is_some_and(|value| has_token(value, token));
    if request.method != Some("GET") || !says("Upgrade", "websocket") || !says("Connection", "upgrade") {
        return refuse("426 Upgrade Required", "Upgrade: websocket\r\n");
    }
    if header(request.headers, "Sec-WebSocket-Version") != Some(b"13") {
        return refuse("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n");
    }
    // The key must be 16 bytes in base 64; only its length matters to anybody.
    match header(request.headers, "Sec-WebSocket-Key") {
        Some(key) if key.len() == 24 => {
            let accept = derive_accept_key(key);
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            Answer::Accept { request_len, response: response.into_bytes() }
        }
        _ => refuse("400 Bad Request", ""),
    }
}

fn refuse(status: &str, headers: &str) -> Answer {
    let response = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n");
    Answer::Refuse { response: response.into_bytes() }
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Whether a comma-separated list holds a word.
pub(crate) fn has_token(value: &[u8], token: &str) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The beginning of what came, fit to print.
fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".into();
    }
    let end = if bytes.len() > MAX_EXCERPT { "..." } else { "" };
    format!("{}{end}", bytes[..bytes.len().min(MAX_EXCERPT)].escape_ascii())
}

/// More than any server or client of a handshake sends, cookies included.
const MAX_HANDSHAKE: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
const MAX_EXCERPT: usize = 80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn response(accept: &str, more: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted_at_any_cut() {
        let mut bytes = response(ACCEPT, "");
        let length = bytes.len();
        for cut in 0..length {
            assert_eq!(check_response(&bytes[..cut], KEY), Ok(None), "cut at {cut}");
        }
        bytes.extend_from_slice(b"\x81\x02{}");
        assert_eq!(check_response(&bytes, KEY), Ok(Some(length)));
    }

    #[test]
    fn a_response_that_does_not_agree_is_named() {
        let refused = check_response(b"HTTP/1.1 403 Forbidden\r\n\r\n", KEY).unwrap_err();
        assert_eq!(refused.to_string(), "expected status 101 switching protocols, got 403 Forbidden");
        let other = check_response(b"SSH-2.0-OpenSSH_9.9\r\n", KEY).unwrap_err();
        assert_eq!(other.to_string(), "expected an http response, got SSH-2.0-OpenSSH_9.9\\r\\n");
        let wrong = check_response(&response("nonsense", ""), KEY).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            format!("expected header Sec-WebSocket-Accept: {ACCEPT}, got nonsense")
        );
        let bare = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let missing = check_response(bare, KEY).unwrap_err();
        assert_eq!(missing.to_string(), "expected header Upgrade: websocket, got none");
        let more = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let extension = check_response(&response(ACCEPT, more), KEY).unwrap_err();
        assert!(matches!(extension, HandshakeError::NotOffered { .. }));
        let endless = [b"HTTP/1.1 101 OK\r\nX: ".as_slice(), &[b'x'; MAX_HANDSHAKE]].concat();
        assert_eq!(check_response(&endless, KEY), Err(HandshakeError::TooLong));
    }

    #[test]
    fn our_own_request_is_answered_to_our_own_satisfaction() {
        let endpoint = "ws://[::1]:81/a?b=c".parse().unwrap();
        let mut bytes = request(&endpoint, KEY);
        assert!(bytes.starts_with(b"GET /a?b=c HTTP/1.1\r\nHost: [::1]:81\r\n"));
        let length = bytes.len();
        for cut in 0..length {
            assert_eq!(answer(&bytes[..cut]), Answer::Wait);
        }
        bytes.extend_from_slice(b"\x81");
        let Answer::Accept { request_len, response } = answer(&bytes) else { panic!("refused") };
        assert_eq!(request_len, length);
        assert_eq!(check_response(&response, KEY), Ok(Some(response.len())));
    }

    #[test]
    fn a_request_that_is_none_is_refused_with_its_reason() {
        let cases = [
            ("nonsense \r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "426"),
            (
                "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
                "400",
            ),
        ];
        for (request, status) in cases {
            let Answer::Refuse { response } = answer(request.as_bytes()) else {
                panic!("accepted {request}")
            };
            assert!(response.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{request}");
        }
        let endless = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; MAX_HANDSHAKE]].concat();
        assert!(matches!(answer(&endless), Answer::Refuse { .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = answer(&bytes);
            let _ = check_response(&bytes, KEY);
        }

        #[test]
        fn any_damage_to_a_handshake_gets_an_answer(at: prop::sample::Index, to: u8) {
            let mut bytes = request(&"ws://localhost/".parse().unwrap(), KEY);
            *at.get_mut(&mut bytes) = to;
            let _ = answer(&bytes);
            let mut bytes = response(ACCEPT, "");
            *at.get_mut(&mut bytes) = to;
            let _ = check_response(&bytes, KEY);
        }
    }
}
