//! What a venue expects of its clients, as its documentation has it.

use tickstorm_venue::Venue;

/// The manners of a client.
#[derive(Debug)]
pub(super) struct Etiquette {
    /// Where the public socket is.
    pub(super) socket_path: &'static str,
    /// Topics in one request.
    pub(super) topics_per_request: usize,
    /// Topics of one connection; none where the venue states no limit.
    pub(super) topics_max: Option<usize>,
    /// Time from one request to the next.
    pub(super) request_gap_ns: u64,
    /// How often a client says on its own that it is there; none where the venue asks with pings.
    pub(super) ping_every_ns: Option<u64>,
    /// Silence after which a connection is dead: longer than anything that the venue is silent for.
    pub(super) silence_ns: u64,
    /// Where the first state of a book comes from.
    pub(super) snapshots: Snapshots,
    /// Whether a client subscribes to signs of life, so that its connection is not closed for being idle.
    pub(super) heartbeats: bool,
    /// How a client numbers its requests.
    pub(super) ids: Ids,
}

/// Where the first state of a book comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshots {
    /// Over the socket, first after the subscription.
    Socket,
    /// By HTTP, to be put in its place among the updates.
    Http,
}

/// How requests are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    None,
    Numbers,
    Texts,
}

pub(super) const fn of(venue: Venue) -> &'static Etiquette {
    match venue {
        Venue::Binance => &BINANCE,
        Venue::Coinbase => &COINBASE,
        Venue::Kraken => &KRAKEN,
        Venue::Okx => &OKX,
        Venue::Bybit => &BYBIT,
    }
}

/// Five messages a second, pongs included: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.
/// Pings come every 20 s.
const BINANCE: Etiquette = Etiquette {
    socket_path: "/ws",
    topics_per_request: 200,
    topics_max: Some(1024),
    request_gap_ns: 250 * MS,
    ping_every_ns: None,
    silence_ns: 60 * S,
    snapshots: Snapshots::Http,
    heartbeats: false,
    ids: Ids::Numbers,
};

/// Eight messages a second, the first within five seconds; a heartbeat every second.
const COINBASE: Etiquette = Etiquette {
    socket_path: "/",
    topics_per_request: 100,
    topics_max: None,
    request_gap_ns: 150 * MS,
    ping_every_ns: None,
    silence_ns: 20 * S,
    snapshots: Snapshots::Socket,
    heartbeats: true,
    ids: Ids::None,
};

/// A heartbeat every second in which nothing else comes. The limit on requests is not a fixed one.
const KRAKEN: Etiquette = Etiquette {
    socket_path: "/v2",
    topics_per_request: 100,
    topics_max: None,
    request_gap_ns: 200 * MS,
    ping_every_ns: Some(30 * S),
    silence_ns: 40 * S,
    snapshots: Snapshots::Socket,
    heartbeats: false,
    ids: Ids::Numbers,
};

/// Three requests a second and 480 an hour, 64 kB of arguments; closed after 30 s without a word.
const OKX: Etiquette = Etiquette {
    socket_path: "/ws/v5/public",
    topics_per_request: 200,
    topics_max: None,
    request_gap_ns: 350 * MS,
    ping_every_ns: Some(20 * S),
    silence_ns: 45 * S,
    snapshots: Snapshots::Socket,
    heartbeats: false,
    ids: Ids::Texts,
};

/// Ten topics a request; a ping every 20 s.
const BYBIT: Etiquette = Etiquette {
    socket_path: "/v5/public/spot",
    topics_per_request: 10,
    topics_max: None,
    request_gap_ns: 50 * MS,
    ping_every_ns: Some(20 * S),
    silence_ns: 45 * S,
    snapshots: Snapshots::Socket,
    heartbeats: false,
    ids: Ids::Texts,
};

pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1_000 * MS;
