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
pub enum Version {
    /// Without `Host`, keep-alive by agreement.
    Http10,
    /// What everybody speaks.
    Http11,
}

/// What stands before the body of a request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
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

impl Head {
    /// Checks method, target and headers as they came, or says what to answer instead.
    ///
    /// Extensions and subprotocols that a client offers are not taken up, as it must be prepared for (RFC 6455,
    /// 4.2.2).
    ///
    /// ```
    /// use tickstorm_net::{Head, Version};
    ///
    /// let headers = vec![("host".to_owned(), "localhost".to_owned())];
    /// let head = Head::read("GET", "/api/v3/time?a=b", Version::Http11, headers).unwrap();
    /// assert_eq!((head.path.as_str(), head.query.as_str()), ("/api/v3/time", "a=b"));
    /// assert_eq!(head.accept, None);
    /// ```
    pub fn read(
        method: &str,
        target: &str,
        version: Version,
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
        if hosts > 1 || (hosts == 0 && version > Version::Http10) {
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
    version: Version,
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
    if method != "GET" || version < Version::Http11 {
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
