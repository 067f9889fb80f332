//! Which venue a path belongs to, when one port serves them all.
//!
//! Any prefix may come before a venue's own path, as base addresses in clients' settings have them. The longest
//! native path wins: `/api/v3/brokerage/...` is Coinbase's although `/api/v3/...` is Binance's. A segment that is a
//! venue's name, as in `/okx/ws/v5/public`, says which is meant. Paths that two venues share are told apart by what
//! asks: `/v2` is Kraken's socket, `/v2/currencies` a request to Coinbase. A socket that is asked for by an ordinary request
//! is found all the same, so that the client can be told what it is.

use percent_encoding::percent_decode_str;

use crate::protocol::Endpoint;
use crate::venue::Venue;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose path it is.
    pub venue: Venue,
    /// The venue's own path, without what stands before it: `/api/v3/depth`. As it came, not decoded.
    pub path: String,
    /// What is there.
    pub entry: Entry,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The venue's HTTP interface, which may know the path or not.
    Rest,
    /// A WebSocket.
    Socket(SocketEntry),
}

/// A WebSocket with what its path and query already ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketEntry {
    /// Whether it is for own orders and balances. Kraken has the same path for both, and takes all channels there: its
    /// sockets are private, and so is each request that has a token.
    pub endpoint: Endpoint,
    /// Whether messages are wrapped with the name of their stream, at Binance.
    pub combined: bool,
    /// Names to be subscribed to at once, in the venue's words, decoded, in their order: `btcusdt@trade`.
    pub streams: Vec<String>,
    /// The key of a user's stream, as Binance's older clients have it in their path.
    pub listen_key: Option<String>,
}

/// How a path is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// By an ordinary request.
    Http,
    /// By one that wants to go on as a WebSocket.
    WebSocket,
}

/// Finds the venue of a path. `query` is what follows the question mark, or nothing. None if no venue has such a path.
///
/// Who asks for a socket by an ordinary request should be answered that it wants an upgrade: 426 (RFC 9110, 15.5.22).
pub fn route(path: &str, query: &str, asked: Asked) -> Option<Route> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let named = segments.iter().enumerate().find_map(|(at, segment)| {
        Venue::ALL
            .into_iter()
            .find(|venue| venue.name().eq_ignore_ascii_case(segment))
            .map(|venue| (at, venue))
    });
    let (rest, only) = match named {
        Some((at, venue)) => (&segments[at + 1..], Some(venue)),
        None => (&segments[..], None),
    };
    let socket = socket_at(rest, only);
    let found = match asked {
        Asked::WebSocket => socket,
        Asked::Http => {
            let requests = longest(rest, Asked::Http, only);
            // Of a request the path goes on behind what all of them have in common.
            let is_socket = |(native, _): &Found<'_>| {
                let length = |native: &NativePath| (native.segments.len(), !native.open);
                requests.is_none_or(|(request, _)| length(native) > length(request))
            };
            socket.filter(is_socket).or(requests)
        }
    };
    let (native, own) = match (found, only, asked) {
        (Some(found), ..) => found,
        // What a venue does not know by HTTP, it says so itself.
        (None, Some(venue), Asked::Http) => {
            return Some(Route { venue, path: joined(rest), entry: Entry::Rest });
        }
        _ => return None,
    };
    let entry = match native.entry {
        Native::Rest => Entry::Rest,
        Native::Socket(endpoint) => Entry::Socket(SocketEntry::new(endpoint)),
        Native::Raw => Entry::Socket(raw_streams(&own[1..])),
        Native::Combined => Entry::Socket(combined_streams(query)),
    };
    Some(Route { venue: native.venue, path: joined(own), entry })
}

type Found<'a> = (&'static NativePath, &'a [&'a str]);

/// The socket of a path.
fn socket_at<'a>(segments: &'a [&'a str], only: Option<Venue>) -> Option<Found<'a>> {
    if let Some(found) = longest(segments, Asked::WebSocket, only) {
        return Some(found);
    }
    // A venue's name alone stands for its usual socket. Coinbase's is at the root, and nowhere else: a mistyped path is no
    // path.
    let venue = only.unwrap_or(ROOT.venue);
    let usual = |native: &&NativePath| native.venue == venue && native.asked == Asked::WebSocket;
    let first = NATIVE.iter().find(usual).filter(|_| segments.is_empty())?;
    Some((first, first.segments))
}

/// The native path with the most segments of its own, and what of the path is the venue's. Of equal ones the last in the
/// path, and there one that ends with it.
fn longest<'a>(segments: &'a [&'a str], asked: Asked, only: Option<Venue>) -> Option<Found<'a>> {
    let natives =
        || NATIVE.iter().filter(|native| native.asked == asked && only.is_none_or(|it| it == native.venue));
    let places = (0..segments.len()).flat_map(|at| natives().map(move |native| (at, native)));
    let fits = places.filter(|(at, native)| {
        let own = &segments[*at..];
        own.starts_with(native.segments) && (native.open || own.len() == native.segments.len())
    });
    let best = fits.max_by_key(|(at, native)| (native.segments.len(), *at, !native.open))?;
    Some((best.1, &segments[best.0..]))
}

fn joined(segments: &[&str]) -> String {
    format!("/{}", segments.join("/"))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `/ws/<stream>/<stream>`. Some clients put a number of their own there (`/ws/0`), which asks for nothing, and older
/// ones the key of their user's stream.
fn raw_streams(segments: &[&str]) -> SocketEntry {
    let names: Vec<String> = segments.iter().map(|segment| decoded(segment)).collect();
    let listen_key = match &names[..] {
        [name] if name.len() >= LISTEN_KEY_MIN && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Some(name.clone())
        }
        _ => None,
    };
    let streams = names.into_iter().filter(|name| is_stream(name)).collect();
    SocketEntry { streams, listen_key, ..SocketEntry::new(Endpoint::Public) }
}

/// `/stream?streams=<stream>/<stream>`
fn combined_streams(query: &str) -> SocketEntry {
    let listed = query.split('&').find_map(|pair| pair.strip_prefix("streams=")).unwrap_or_default();
    let streams = decoded(listed).split('/').filter(|name| is_stream(name)).map(str::to_owned).collect();
    SocketEntry { combined: true, streams, ..SocketEntry::new(Endpoint::Public) }
}

fn is_stream(name: &str) -> bool {
    name.contains('@') || name.starts_with('!')
}

impl SocketEntry {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, combined: false, streams: Vec::new(), listen_key: None }
    }
}

/// A path that a venue has.
struct NativePath {
    venue: Venue,
    asked: Asked,
    segments: &'static [&'static str],
    /// Whether more may follow.
    open: bool,
    entry: Native,
}

#[derive(Clone, Copy)]
enum Native {
    Rest,
    Socket(Endpoint),
    /// Binance's messages without a wrapper.
    Raw,
    /// Binance's messages with one.
    Combined,
}

const fn rest(venue: Venue, segments: &'static [&'static str]) -> NativePath {
    NativePath { venue, asked: Asked::Http, segments, open: true, entry: Native::Rest }
}

const fn socket(venue: Venue, segments: &'static [&'static str], endpoint: Endpoint) -> NativePath {
    NativePath { venue, asked: Asked::WebSocket, segments, open: false, entry: Native::Socket(endpoint) }
}

const ROOT: NativePath = socket(Venue::Coinbase, &[], Endpoint::Public);

/// Of each venue, the usual socket comes first.
const NATIVE: &[NativePath] = &[
    NativePath { open: true, entry: Native::Raw, ..socket(Venue::Binance, &["ws"], Endpoint::Public) },
    NativePath { entry: Native::Combined, ..socket(Venue::Binance, &["stream"], Endpoint::Public) },
    socket(Venue::Binance, &["ws-api", "v3"], Endpoint::Private),
    rest(Venue::Binance, &["api", "v3"]),
    rest(Venue::Binance, &["sapi"]),
    rest(Venue::Binance, &["fapi"]),
    rest(Venue::Binance, &["dapi"]),
    ROOT,
    rest(Venue::Coinbase, &["api", "v3", "brokerage"]),
    rest(Venue::Coinbase, &["v2"]),
    socket(Venue::Kraken, &["v2"], Endpoint::Private),
    rest(Venue::Kraken, &["0", "public"]),
    rest(Venue::Kraken, &["0", "private"]),
    socket(Venue::Okx, &["ws", "v5", "public"], Endpoint::Public),
    socket(Venue::Okx, &["ws", "v5", "private"], Endpoint::Private),
    socket(Venue::Okx, &["ws", "v5", "business"], Endpoint::Public),
    rest(Venue::Okx, &["api", "v5"]),
    socket(Venue::Bybit, &["v5", "public", "spot"], Endpoint::Public),
    socket(Venue::Bybit, &["v5", "private"], Endpoint::Private),
    rest(Venue::Bybit, &["v5"]),
];

/// Listen keys have 60 characters and more, and nothing else in a path does.
const LISTEN_KEY_MIN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// Venue, own path, and what is there.
    fn told(path: &str, asked: Asked) -> String {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match route(path, query, asked) {
            None => "none".to_owned(),
            Some(Route { venue, path, entry: Entry::Rest }) => format!("{venue} {path}"),
            Some(Route { venue, path, entry: Entry::Socket(entry) }) => {
                let private = if entry.endpoint == Endpoint::Private { " private" } else { "" };
                let combined = if entry.combined { " combined" } else { "" };
                let key = if entry.listen_key.is_some() { " key" } else { "" };
                format!("{venue} {path}{private}{combined}{key} {}", entry.streams.join(","))
                    .trim_end()
                    .to_owned()
            }
        }
    }

    const SOCKETS: [(&str, &str); 33] = [
        ("/ws", "binance /ws"),
        ("/ws/", "binance /ws"),
        ("/ws/0", "binance /ws/0"),
        ("/ws/btcusdt@trade", "binance /ws/btcusdt@trade btcusdt@trade"),
        ("/ws/btcusdt%40trade", "binance /ws/btcusdt%40trade btcusdt@trade"),
        (
            "/ws/btcusdt@trade/!miniTicker@arr",
            "binance /ws/btcusdt@trade/!miniTicker@arr btcusdt@trade,!miniTicker@arr",
        ),
        ("/foo/bar/ws/btcusdt@trade", "binance /ws/btcusdt@trade btcusdt@trade"),
        ("/stream", "binance /stream combined"),
        (
            "/stream?streams=btcusdt@trade/ethusdt@depth@100ms&timeUnit=MICROSECOND",
            "binance /stream combined btcusdt@trade,ethusdt@depth@100ms",
        ),
        (
            "/stream?streams=btcusdt%40trade%2Fethusdt%40depth",
            "binance /stream combined btcusdt@trade,ethusdt@depth",
        ),
        ("/stream/ws/0", "binance /ws/0"),
        ("/ws-api/v3", "binance /ws-api/v3 private"),
        ("/ws-api/v2", "kraken /v2 private"),
        (
            "/ws/pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1",
            "binance /ws/pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1 key",
        ),
        ("/v2", "kraken /v2 private"),
        ("/proxy/v2", "kraken /v2 private"),
        ("/ws/v2", "kraken /v2 private"),
        ("/ws/v5/public", "okx /ws/v5/public"),
        ("/ws/v5/private", "okx /ws/v5/private private"),
        ("/a/b/ws/v5/business/", "okx /ws/v5/business"),
        ("/v5/public/spot", "bybit /v5/public/spot"),
        ("/v5/private", "bybit /v5/private private"),
        ("/v5/public/linear", "none"),
        ("/", "coinbase /"),
        ("", "coinbase /"),
        ("/nowhere", "none"),
        ("/binance", "binance /ws"),
        ("/Binance/stream", "binance /stream combined"),
        ("/coinbase/", "coinbase /"),
        ("/proxy/kraken", "kraken /v2 private"),
        ("/okx", "okx /ws/v5/public"),
        ("/bybit/ws/v5/public", "none"),
        ("/okx/x/ws/v5/private", "okx /ws/v5/private private"),
    ];

    const REQUESTS: [(&str, &str); 17] = [
        ("/api/v3/depth?symbol=BTCUSDT", "binance /api/v3/depth"),
        ("/proxy/api/v3/depth", "binance /api/v3/depth"),
        ("/sapi/v1/capital/config/getall", "binance /sapi/v1/capital/config/getall"),
        ("/fapi/v1/exchangeInfo", "binance /fapi/v1/exchangeInfo"),
        ("/api/v3/brokerage/market/products", "coinbase /api/v3/brokerage/market/products"),
        ("/binance/api/v3/brokerage/market/products", "binance /api/v3/brokerage/market/products"),
        ("/v2/currencies/crypto", "coinbase /v2/currencies/crypto"),
        ("/v2/exchange-rates", "coinbase /v2/exchange-rates"),
        ("/0/public/AssetPairs", "kraken /0/public/AssetPairs"),
        ("/0/private/GetWebSocketsToken", "kraken /0/private/GetWebSocketsToken"),
        ("/kraken/0/private/BalanceEx/", "kraken /0/private/BalanceEx"),
        ("/api/v5/market/books", "okx /api/v5/market/books"),
        ("/v5/market/instruments-info", "bybit /v5/market/instruments-info"),
        ("/x/v5/user/query-api", "bybit /v5/user/query-api"),
        ("/okx/v5/market/books", "okx /v5/market/books"),
        ("/bybit/v5/market/time", "bybit /v5/market/time"),
        ("/0/AssetPairs", "none"),
    ];

    #[test]
    fn every_path_leads_to_its_venue() {
        for (path, expected) in SOCKETS {
            assert_eq!(told(path, Asked::WebSocket), expected, "{path}");
        }
        for (path, expected) in REQUESTS {
            assert_eq!(told(path, Asked::Http), expected, "{path}");
        }
    }

    #[test]
    fn a_socket_is_found_by_ordinary_requests_too_but_no_request_is_taken_for_one() {
        for (path, expected) in SOCKETS.into_iter().filter(|(_, expected)| *expected != "none") {
            assert_eq!(told(path, Asked::Http), expected, "{path}");
        }
        for path in ["/v5/public/linear", "/bybit/ws/v5/public", "/binance/nowhere"] {
            let found = route(path, "", Asked::Http).expect("the venue says that it does not know it");
            assert_eq!(found.entry, Entry::Rest, "{path}");
        }
        for (path, _) in REQUESTS {
            let path = path.split('?').next().unwrap_or_default();
            let found = route(path, "", Asked::Http);
            assert!(!matches!(found, Some(Route { entry: Entry::Socket(_), .. })), "{path}: {found:?}");
        }
    }

    #[test]
    fn a_prefix_changes_nothing() {
        for (asked, paths) in [(Asked::WebSocket, &SOCKETS[..]), (Asked::Http, &REQUESTS[..])] {
            for (path, expected) in
                paths.iter().filter(|(path, expected)| path.len() > 1 && *expected != "none")
            {
                for prefix in ["/proxy", "/a/b/c", "//x", "/stream", "/v5", "/0"] {
                    assert_eq!(told(&format!("{prefix}{path}"), asked), *expected, "{prefix}{path}");
                }
            }
        }
    }

    #[test]
    fn every_path_of_the_rest_interface_is_found() {
        let listing = crate::testing::listing();
        for venue in Venue::ALL {
            let rest = crate::Rest::new(venue, &listing);
            for call in [crate::rest::Call::Time, crate::rest::Call::Assets, crate::rest::Call::Balances] {
                let Some(path) = rest.path(&call) else { continue };
                let path = path.split('?').next().unwrap();
                assert_eq!(told(path, Asked::Http), format!("{venue} {path}"));
            }
        }
    }
}
