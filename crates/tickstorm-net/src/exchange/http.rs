//! Requests and answers, and the rules of the WebSocket handshake; pure, for any source of requests.

use std::fmt;
use std::net::SocketAddr;

use tungstenite::handshake::derive_accept_key;

use crate::ws::has_token;

/// A request as it came.
///
/// Its `Debug` form leaves out query, headers and body, where secrets may stand.
#[derive(Clone, PartialEq, Eq)]
pub struct WebRequest {
    /// As `GET`. A `HEAD` is a `GET` here; its answer loses its body on the way out.
    pub method: String,
    /// What stands before the question mark, not decoded, as `/api/v3/depth`; `*` for the server as a whole.
    pub path: String,
    /// What follows the question mark, not decoded; empty if nothing does.
    pub query: String,
    /// In their order, names in lower case. Bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// What was posted, whole.
    pub body: Vec<u8>,
    /// The client's end of the connection.
    pub peer: SocketAddr,
    /// This end of the connection.
    pub local: SocketAddr,
    /// Whether it came over TLS.
    pub is_tls: bool,
}

impl WebRequest {
    /// The first header of a name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name).next()
    }
}

impl fmt::Debug for WebRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// What is answered. `Date`, `Server`, `Content-Length` and `Connection` are added on the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAnswer {
    /// From 200 to 599.
    pub status: u16,
    /// As `application/json`; empty for none.
    pub content_type: String,
    /// Further headers. `Connection: close` has the connection closed behind the answer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl WebAnswer {
    /// Without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, content_type: String::new(), headers: Vec::new(), body: Vec::new() }
    }

    /// JSON that is ready.
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: "application/json".into(), headers: Vec::new(), body }
    }

    /// A sentence for people.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let mut body: String = text.into();
        body.push('\n');
        Self {
            status,
            content_type: "text/plain; charset=utf-8".into(),
            headers: Vec::new(),
            body: body.into_bytes(),
        }
    }

    /// To whom asks in plain HTTP where a WebSocket is: 426.
    pub fn upgrade_required() -> Self {
        Self::text(426, "this is a websocket").with("Upgrade", "websocket").with("Connection", "Upgrade")
    }

    /// The same with one more header.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The version of HTTP that a request is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpVersion {
    /// Without `Host`, keep-alive by agreement.
    Http10,
    /// What everybody speaks.
    Http11,
}

/// What stands before the body of a request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// See [`WebRequest::method`].
    pub method: String,
    /// See [`WebRequest::path`].
    pub path: String,
    /// See [`WebRequest::query`].
    pub query: String,
    /// See [`WebRequest::headers`].
    pub headers: Vec<(String, String)>,
    /// The request asks to open a WebSocket, and does so rightly: what `Sec-WebSocket-Accept` is to say.
    pub accept: Option<String>,
}

impl RequestHead {
    /// Checks method, target and headers as they came, or says what to answer instead.
    ///
    /// Extensions and subprotocols that a client offers are not taken up, as it must be prepared for (RFC 6455,
    /// 4.2.2).
    ///
    /// ```
    /// use tickstorm_net::{RequestHead, HttpVersion};
    ///
    /// let headers = vec![("host".to_owned(), "localhost".to_owned())];
    /// let head = RequestHead::read("GET", "/api/v3/time?a=b", HttpVersion::Http11, headers).unwrap();
    /// assert_eq!((head.path.as_str(), head.query.as_str()), ("/api/v3/time", "a=b"));
    /// assert_eq!(head.accept, None);
    /// ```
    pub fn read(
        method: &str,
        target: &str,
        version: HttpVersion,
        headers: Vec<(String, String)>,
    ) -> Result<Self, WebAnswer> {
        if method == "CONNECT" {
            return Err(WebAnswer::text(501, "this is no proxy"));
        }
        let (path, query) = split_target(target).ok_or_else(|| {
            WebAnswer::text(400, "expected a target as /path?query").with("Connection", "close")
        })?;
        let (path, query) = (path.to_owned(), query.to_owned());
        let hosts = find(&headers, "host").count();
        if hosts > 1 || (hosts == 0 && version > HttpVersion::Http10) {
            return Err(WebAnswer::text(400, format!("expected one header Host, got {hosts}"))
                .with("Connection", "close"));
        }
        let accept = handshake(method, version, &headers)?;
        let method = if method == "HEAD" { "GET" } else { method }.to_owned();
        Ok(Self { method, path, query, headers, accept })
    }
}

/// Path and query of a target in the forms that a server gets (RFC 9112, 3.2): `/path?query`,
/// `http://host/path?query`, `*`.
fn split_target(target: &str) -> Option<(&str, &str)> {
    if target == "*" {
        return Some((target, ""));
    }
    let target = target.split('#').next().unwrap_or_default();
    let local = if target.starts_with('/') {
        target
    } else {
        let (scheme, rest) = target.split_once("://")?;
        if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    Some((if path.is_empty() { "/" } else { path }, query))
}

/// What to accept with, if a WebSocket is asked for (RFC 6455, 4.2.1).
fn handshake(
    method: &str,
    version: HttpVersion,
    headers: &[(String, String)],
) -> Result<Option<String>, WebAnswer> {
    let says = |name, token| find(headers, name).any(|value| has_token(value.as_bytes(), token));
    let upgrades = says("upgrade", "websocket");
    let mut keys = find(headers, "sec-websocket-key");
    let (key, further) = (keys.next(), keys.next());
    if !upgrades && key.is_none() {
        return Ok(None);
    }
    // A proxy between may have eaten these two: the words help to find it.
    if !upgrades || !says("connection", "upgrade") {
        let answer = WebAnswer::upgrade_required();
        let body = b"expected Upgrade: websocket and Connection: Upgrade\n".to_vec();
        return Err(WebAnswer { body, ..answer });
    }
    if method != "GET" || version < HttpVersion::Http11 {
        return Err(WebAnswer::text(400, "a websocket is opened with GET and HTTP/1.1"));
    }
    let mut versions = find(headers, "sec-websocket-version");
    if (versions.next().map(str::trim), versions.next()) != (Some("13"), None) {
        return Err(WebAnswer::text(426, "expected Sec-WebSocket-Version: 13")
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Version", "13"));
    }
    let key = match (key.map(str::trim), further) {
        (Some(key), None) if is_key(key) => key,
        _ => return Err(WebAnswer::text(400, "expected one Sec-WebSocket-Key of 16 bytes in base 64")),
    };
    // Frames follow the head: a body would be taken for frames, or frames for a body.
    if find(headers, "transfer-encoding").next().is_some()
        || find(headers, "content-length").any(|length| length.trim() != "0")
    {
        return Err(WebAnswer::text(400, "a websocket is opened without a body").with("Connection", "close"));
    }
    Ok(Some(derive_accept_key(key.as_bytes())))
}

/// Sixteen bytes in base 64. The last four bits are padding that not everybody leaves zero, and nobody needs.
fn is_key(text: &str) -> bool {
    text.len() == 24
        && text.ends_with("==")
        && text[..22].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    const NAMES: &str = "(?i)host|upgrade|connection|sec-websocket-(key|version)|content-length";
    const VALUES: &str = "\\PC{0,30}|websocket|upgrade|13|0";

    fn headers(lines: &[&str]) -> Vec<(String, String)> {
        let pair = |line: &&str| line.split_once(": ").map(|(name, value)| (name.into(), value.into()));
        lines.iter().filter_map(pair).collect()
    }

    fn opening() -> Vec<(String, String)> {
        let key = format!("Sec-WebSocket-Key: {KEY}");
        headers(&["Host: a", "Upgrade: WebSocket", "Connection: x", "connection: y, upgrade", &key])
    }

    #[test]
    fn a_target_is_read_in_all_its_forms() {
        let cases = [
            ("/", Some(("/", ""))),
            ("/ws/a@b?c=d?e", Some(("/ws/a@b", "c=d?e"))),
            ("//double", Some(("//double", ""))),
            ("/a?", Some(("/a", ""))),
            ("/a#b?c", Some(("/a", ""))),
            ("http://host:1/a?b", Some(("/a", "b"))),
            ("HTTPS://host", Some(("/", ""))),
            ("wss://host?b", Some(("/", "b"))),
            ("*", Some(("*", ""))),
            ("", None),
            ("a/b", None),
            ("host:443", None),
            ("ftp://host/a", None),
        ];
        for (target, expected) in cases {
            assert_eq!(split_target(target), expected, "{target}");
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let mut headers = opening();
        headers.push(("Sec-WebSocket-Version".into(), "13".into()));
        let head = RequestHead::read("GET", "/chat", HttpVersion::Http11, headers.clone()).unwrap();
        assert_eq!(head.accept.as_deref(), Some(ACCEPT));
        headers.push(("sec-websocket-version".into(), "8".into()));
        let refused = RequestHead::read("GET", "/chat", HttpVersion::Http11, headers).unwrap_err();
        assert_eq!(refused.status, 426);
    }

    #[test]
    fn another_upgrade_is_not_taken_up() {
        let headers = headers(&["Host: a", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"]);
        let head = RequestHead::read("GET", "/", HttpVersion::Http11, headers).unwrap();
        assert_eq!(head.accept, None);
    }

    #[test]
    fn the_head_of_an_answer_is_asked_for_as_the_answer_is() {
        let head = RequestHead::read("HEAD", "/a", HttpVersion::Http10, Vec::new()).unwrap();
        assert_eq!(head.method, "GET");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        assert!(is_key(KEY));
        for wrong in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25j ZQ==",
            "dGhlIHNhbXBsZSBub25jZQA=",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}==",
        ] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_head_is_read_or_answered(
            method in "[A-Z]{0,8}|\\PC*",
            target in "\\PC*|[/?#*:a-z.]{0,20}|https?://[a-z/?#]{0,9}",
            lines in prop::collection::vec((NAMES, VALUES), 0..9),
            is_new: bool,
        ) {
            let version = if is_new { HttpVersion::Http11 } else { HttpVersion::Http10 };
            match RequestHead::read(&method, &target, version, lines.clone()) {
                Ok(head) => {
                    prop_assert!(head.path == "*" || head.path.starts_with('/'));
                    prop_assert!(!head.path.contains('?'));
                    prop_assert_eq!(head.headers, lines);
                }
                Err(answer) => prop_assert!((400..600).contains(&answer.status)),
            }
        }

        #[test]
        fn any_damage_to_a_handshake_is_noticed_or_harmless(line in 0usize..6, value in "\\PC{0,30}") {
            let mut headers = opening();
            headers.push(("Sec-WebSocket-Version".into(), "13".into()));
            headers[line].1 = value;
            match RequestHead::read("GET", "/", HttpVersion::Http11, headers.clone()) {
                Ok(head) => prop_assert_eq!(
                    head.accept,
                    Some(derive_accept_key(headers[4].1.trim().as_bytes()))
                ),
                Err(answer) => prop_assert!(answer.status == 400 || answer.status == 426),
            }
        }
    }
}
