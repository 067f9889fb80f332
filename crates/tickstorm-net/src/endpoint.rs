//! Where a target listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

/// The address of a WebSocket server, read from `ws://host:port/path?query` or `wss://...`; or of an HTTP server, with
/// [`Endpoint::of_http`].
///
/// Its text forms, `Debug` too, leave out the query, where access tokens may stand.
///
/// ```
/// use tickstorm_net::Endpoint;
///
/// let endpoint: Endpoint = "ws://[::1]:8080/feed?token=secret".parse()?;
/// assert_eq!(endpoint.port(), 8080);
/// assert_eq!(endpoint.to_string(), "ws://[::1]:8080/feed?...");
/// # Ok::<(), tickstorm_net::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    scheme: Scheme,
    host: Host,
    port: u16,
    /// Path and query as they go into the request line.
    resource: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scheme {
    Ws,
    Wss,
    Http,
    Https,
}

impl Scheme {
    const SOCKETS: [Scheme; 2] = [Scheme::Ws, Scheme::Wss];
    const HTTP: [Scheme; 2] = [Scheme::Http, Scheme::Https];

    const fn name(self) -> &'static str {
        match self {
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    const fn is_tls(self) -> bool {
        matches!(self, Scheme::Wss | Scheme::Https)
    }

    const fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }

    fn list(schemes: &[Scheme]) -> String {
        let names: Vec<String> = schemes.iter().map(|scheme| format!("{}://", scheme.name())).collect();
        names.join(" or ")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Endpoint {
    /// The root of the server at an address.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            scheme: Scheme::Ws,
            host: Host::Address(address.ip()),
            port: address.port(),
            resource: "/".into(),
        }
    }

    /// Reads the address of an HTTP server, as `https://host:port/path`.
    pub fn of_http(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, &Scheme::HTTP)
    }

    /// The HTTP server at the same host and port, with the same care for secrecy.
    pub fn http(&self) -> Self {
        let scheme = if self.is_tls() { Scheme::Https } else { Scheme::Http };
        Self { scheme, ..self.clone() }
    }

    /// The same server with another path and query, which begins with a slash.
    pub fn with_resource(&self, resource: &str) -> Result<Self, EndpointError> {
        Ok(Self { resource: checked_resource(resource)?, ..self.clone() })
    }

    /// Whether it is reached through TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme.is_tls()
    }

    /// The host without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// The port; where none was given 80, with TLS 443.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, secrets included.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The addresses behind it. Asks the system's resolver for a name, which may take seconds.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, ResolveError> {
        let name = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            Host::Name(name) => name,
        };
        let found: Vec<SocketAddr> = (name.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|source| ResolveError::Failed { host: name.clone(), source })?
            .collect();
        if found.is_empty() {
            return Err(ResolveError::NoAddress { host: name.clone() });
        }
        Ok(found)
    }

    /// Whether any of its addresses is beyond this machine and private networks, so that a storm needs the
    /// user's word. Resolves a name.
    pub fn is_public(&self) -> Result<bool, ResolveError> {
        Ok(self.addresses()?.iter().any(|address| is_public(address.ip())))
    }

    /// What goes into the `Host` header.
    pub(crate) fn authority(&self) -> String {
        let host = match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host(),
        };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.resource.split('?').next().unwrap_or_default();
        let query = if path.len() < self.resource.len() { "?..." } else { "" };
        write!(f, "{}://{}{path}{query}", self.scheme.name(), self.authority())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, &Scheme::SOCKETS)
    }
}

impl Endpoint {
    fn parse(text: &str, schemes: &[Scheme]) -> Result<Self, EndpointError> {
        let text = text.trim();
        let allowed = || Scheme::list(schemes);
        let (name, rest) = text.split_once("://").ok_or_else(|| EndpointError::NoScheme {
            text: without_query(text).to_owned(),
            allowed: allowed(),
        })?;
        let scheme = schemes.iter().copied().find(|scheme| scheme.name().eq_ignore_ascii_case(name));
        let unknown = || EndpointError::Scheme { scheme: name.to_owned(), allowed: allowed() };
        let scheme = scheme.ok_or_else(unknown)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at(end);
        if authority.contains('@') {
            return Err(EndpointError::Credentials);
        }
        let resource = checked_resource(resource)?;
        let (host, port) = split_authority(authority)?;
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.default_port()), resource })
    }

    /// The address as a client of HTTP writes it, query included.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.name(), self.authority(), self.resource)
    }
}

fn checked_resource(resource: &str) -> Result<String, EndpointError> {
    if resource.contains('#') {
        return Err(EndpointError::Fragment);
    }
    if let Some(bad) = resource.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(EndpointError::Resource { bad });
    }
    Ok(if resource.starts_with('/') { resource.to_owned() } else { format!("/{resource}") })
}

/// A text that is not an endpoint, or not one that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No `scheme://` at the beginning.
    #[error("an address must begin with {allowed}, got {text}")]
    NoScheme {
        /// What was given, without a query.
        text: String,
        /// The schemes that can be used.
        allowed: String,
    },
    /// A scheme that cannot be used.
    #[error("scheme of an address must be {allowed}, got {scheme}://")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
        /// The schemes that can be used.
        allowed: String,
    },
    /// A user or password in the address. They are left out of the text on purpose.
    #[error("a target must not contain a user name or password")]
    Credentials,
    /// Fragments are for browsers.
    #[error("a target must not contain a fragment, got `#`")]
    Fragment,
    /// A character that cannot stand in a request line.
    #[error("path and query of a target must be printable ascii without blanks, got {bad:?}")]
    Resource {
        /// The first such character.
        bad: char,
    },
    /// An unusable host.
    #[error("host of a target must be a name, an IPv4 address or an IPv6 address in brackets, got {host:?}")]
    Host {
        /// What was given.
        host: String,
    },
    /// An unusable port.
    #[error("port of a target must be 1 to 65535, got {port:?}")]
    Port {
        /// What was given.
        port: String,
    },
}

/// A host without address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The system's resolver gave up.
    #[error("cannot resolve host {host}")]
    Failed {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The name exists but has no address.
    #[error("host {host} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
}

fn split_authority(authority: &str) -> Result<(Host, Option<u16>), EndpointError> {
    let bad_host = |host: &str| EndpointError::Host { host: host.to_owned() };
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or_else(|| bad_host(authority))?;
        let address: Ipv6Addr = inside.parse().map_err(|_| bad_host(inside))?;
        let port = match after.strip_prefix(':') {
            None if after.is_empty() => None,
            None => return Err(bad_host(authority)),
            port => port,
        };
        (Host::Address(address.into()), port)
    } else {
        let (host, port) = match authority.split_once(':') {
            None => (authority, None),
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) => return Err(bad_host(authority)),
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match host.parse::<IpAddr>() {
            Ok(address) => (Host::Address(address), port),
            Err(_) if !host.is_empty() && host.chars().all(named) => (Host::Name(host.to_lowercase()), port),
            Err(_) => return Err(bad_host(host)),
        }
    };
    let port = match port {
        None => None,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(EndpointError::Port { port: text.to_owned() }),
        },
    };
    Ok((host, port))
}

/// Loopback, unspecified, link-local, private (RFC 1918, unique local) and shared (RFC 6598) addresses are not
/// public; all else is.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_loopback() || v4.is_unspecified() || v4.is_private() || v4.is_link_local() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

fn without_query(text: &str) -> &str {
    text.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        text.parse()
    }

    #[test]
    fn an_endpoint_is_read_with_its_defaults() {
        let cases = [
            ("ws://localhost", "localhost", 80, "/", "ws://localhost/"),
            ("WS://Example.COM:9443/a/b", "example.com", 9443, "/a/b", "ws://example.com:9443/a/b"),
            ("ws://127.0.0.1:1?x=1", "127.0.0.1", 1, "/?x=1", "ws://127.0.0.1:1/?..."),
            ("ws://[fe80::1]:80/p?k=v&l=w", "fe80::1", 80, "/p?k=v&l=w", "ws://[fe80::1]/p?..."),
            (" ws://a_b-c.d:65535/ ", "a_b-c.d", 65535, "/", "ws://a_b-c.d:65535/"),
            ("wss://localhost/ws", "localhost", 443, "/ws", "wss://localhost/ws"),
            ("wss://localhost:80", "localhost", 80, "/", "wss://localhost:80/"),
        ];
        for (text, host, port, resource, shown) in cases {
            let endpoint = parse(text).unwrap();
            assert_eq!(
                (endpoint.host().as_str(), endpoint.port(), endpoint.resource()),
                (host, port, resource)
            );
            assert_eq!(endpoint.to_string(), shown);
        }
    }

    #[test]
    fn other_schemes_are_named_and_the_allowed_ones_listed() {
        for scheme in ["tcp", "https", "http", "kafka"] {
            let error = parse(&format!("{scheme}://localhost:1")).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("scheme of an address must be ws:// or wss://, got {scheme}://")
            );
        }
        let error = Endpoint::of_http("ws://localhost").unwrap_err();
        assert_eq!(error.to_string(), "scheme of an address must be http:// or https://, got ws://");
        assert!(matches!(parse("localhost:80"), Err(EndpointError::NoScheme { .. })));
    }

    #[test]
    fn the_http_server_beside_a_socket_has_its_host_port_and_secrecy() {
        for (socket, http) in [
            ("ws://127.0.0.1:9/feed?a=b", "http://127.0.0.1:9/api/v3/time?x=1"),
            ("wss://example.com/feed", "https://example.com/api/v3/time?x=1"),
        ] {
            let endpoint = parse(socket).unwrap().http().with_resource("/api/v3/time?x=1").unwrap();
            assert_eq!(endpoint, Endpoint::of_http(http).unwrap());
            assert_eq!(endpoint.url(), http);
        }
        let bad = parse("ws://a").unwrap().with_resource("/a b").unwrap_err();
        assert_eq!(bad, EndpointError::Resource { bad: ' ' });
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(parse("ws://"), Err(EndpointError::Host { .. })));
        assert!(matches!(parse("ws://:80"), Err(EndpointError::Host { .. })));
        assert!(matches!(parse("ws://a b"), Err(EndpointError::Host { .. })));
        assert!(matches!(parse("ws://::1:80"), Err(EndpointError::Host { .. })));
        assert!(matches!(parse("ws://[::1"), Err(EndpointError::Host { .. })));
        assert!(matches!(parse("ws://[::1]80"), Err(EndpointError::Host { .. })));
        assert!(matches!(parse("ws://a:0"), Err(EndpointError::Port { .. })));
        assert!(matches!(parse("ws://a:65536"), Err(EndpointError::Port { .. })));
        assert!(matches!(parse("ws://a/\r\nHost: b"), Err(EndpointError::Resource { bad: '\r' })));
        assert!(matches!(parse("ws://a/#b"), Err(EndpointError::Fragment)));
    }

    #[test]
    fn secrets_do_not_reach_a_text() {
        let error = parse("ws://user:hunter2@host").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        let error = parse("host?key=hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        let endpoint = parse("ws://host/?key=hunter2").unwrap();
        assert!(!format!("{endpoint} {endpoint:?}").contains("hunter2"));
    }

    #[test]
    fn only_addresses_beyond_private_networks_are_public() {
        let cases = [
            ("127.9.9.9", false),
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("172.32.0.1", true),
            ("192.168.7.7", false),
            ("169.254.1.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("0.0.0.0", false),
            ("8.8.8.8", true),
            ("[::1]", false),
            ("[::]", false),
            ("[fd00::1]", false),
            ("[fe80::1]", false),
            ("[::ffff:10.0.0.1]", false),
            ("[::ffff:8.8.8.8]", true),
            ("[2001:4860:4860::8888]", true),
            ("localhost", false),
        ];
        for (host, public) in cases {
            assert_eq!(parse(&format!("ws://{host}:1")).unwrap().is_public().unwrap(), public, "{host}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_endpoint_or_an_error(text in "(ws://)?.{0,40}") {
            if let Ok(endpoint) = parse(&text) {
                prop_assert!(!endpoint.resource().contains(char::is_whitespace));
            }
        }
    }
}
