//! How a venue's server leaves: with which code and words it closes a socket, and what keeps one open.

use crate::venue::Venue;

/// Why a server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leave {
    /// The client reads so slowly that what waits for it has outgrown its bound.
    SlowConsumer,
    /// The client has not answered a ping in time.
    NoPong,
    /// Nothing was said for too long.
    Idle,
    /// The server goes down for maintenance, or the connection has reached its age.
    Shutdown,
    /// The client asks too often.
    TooManyRequests,
    /// The client has not logged in, or not subscribed to anything, in time.
    LoginTimeout,
    /// The client's login was refused.
    LoginFailed,
}

impl Leave {
    /// Every reason.
    pub const ALL: [Leave; 7] = [
        Leave::SlowConsumer,
        Leave::NoPong,
        Leave::Idle,
        Leave::Shutdown,
        Leave::TooManyRequests,
        Leave::LoginTimeout,
        Leave::LoginFailed,
    ];
}

/// A WebSocket's last words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Closing {
    /// As 1008.
    pub code: u16,
    /// At most 123 bytes, as a close frame takes them.
    pub text: &'static str,
    /// How we know.
    pub basis: Basis,
}

/// How a fact about a venue is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The venue documents it.
    Documented,
    /// Clients have been seen to meet it.
    Seen,
    /// Not confirmed: what the venue is believed to say, or what the WebSocket standard has for the case.
    Assumed,
}

impl Venue {
    /// With which words the venue's server leaves.
    pub const fn closing(self, leave: Leave) -> Closing {
        use Basis::{Assumed, Documented, Seen};
        let (code, text, basis) = match (self, leave) {
            (Venue::Okx, Leave::SlowConsumer) => (4005, "Buffer is full, cannot write data", Assumed),
            (Venue::Okx, Leave::NoPong | Leave::Idle) => (4004, "No data received in 30s", Documented),
            (Venue::Okx, Leave::TooManyRequests) => (4002, "Invalid Request", Assumed),
            (Venue::Okx, Leave::LoginTimeout | Leave::LoginFailed) => (4001, "Login Failed", Assumed),
            (Venue::Binance, Leave::TooManyRequests) => (1008, "Too many requests", Seen),
            (Venue::Binance, Leave::NoPong) => (1008, "Pong timeout", Seen),
            (Venue::Coinbase, Leave::SlowConsumer) => (1008, "ErrSlowConsume", Seen),
            (_, Leave::SlowConsumer) => (1008, "client too slow", Assumed),
            (_, Leave::NoPong) => (1008, "pong timeout", Assumed),
            (_, Leave::Idle) => (1000, "idle", Assumed),
            (_, Leave::Shutdown) => (1001, "", Assumed),
            (_, Leave::TooManyRequests) => (1008, "too many requests", Assumed),
            (_, Leave::LoginTimeout) => (1008, "authentication timeout", Assumed),
            (_, Leave::LoginFailed) => (1008, "authentication failed", Assumed),
        };
        Closing { code, text, basis }
    }

    /// What keeps a connection open.
    pub const fn keep_alive(self) -> KeepAlive {
        const SECOND: u64 = 1_000_000_000;
        const NOTHING: KeepAlive = KeepAlive {
            server_ping_ns: None,
            pong_within_ns: None,
            idle_close_ns: None,
            private_idle_close_ns: None,
            first_request_within_ns: None,
            life_ns: None,
            heartbeat: Heartbeat::None,
            client_ping: ClientPing::Frame,
        };
        match self {
            Venue::Binance => KeepAlive {
                server_ping_ns: Some(20 * SECOND),
                pong_within_ns: Some(60 * SECOND),
                life_ns: Some(24 * 60 * 60 * SECOND),
                ..NOTHING
            },
            Venue::Coinbase => KeepAlive {
                idle_close_ns: Some(90 * SECOND),
                first_request_within_ns: Some(5 * SECOND),
                heartbeat: Heartbeat::Channel { every_ns: SECOND },
                ..NOTHING
            },
            Venue::Kraken => KeepAlive {
                heartbeat: Heartbeat::WhenSilent { after_ns: SECOND },
                client_ping: ClientPing::Json,
                ..NOTHING
            },
            Venue::Okx => {
                KeepAlive { idle_close_ns: Some(30 * SECOND), client_ping: ClientPing::Text, ..NOTHING }
            }
            Venue::Bybit => KeepAlive {
                private_idle_close_ns: Some(10 * 60 * SECOND),
                client_ping: ClientPing::Json,
                ..NOTHING
            },
        }
    }
}

/// What keeps a connection open, and what ends it, as the venue documents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// How often the server sends a ping frame.
    pub server_ping_ns: Option<u64>,
    /// How long after a ping its pong must have come.
    pub pong_within_ns: Option<u64>,
    /// How long a connection may be silent in both directions; a text ping counts.
    pub idle_close_ns: Option<u64>,
    /// How long a private one may be without a word from the client.
    pub private_idle_close_ns: Option<u64>,
    /// How long after connecting the first request must have come.
    pub first_request_within_ns: Option<u64>,
    /// How old a connection becomes.
    pub life_ns: Option<u64>,
    /// What the server says when it has nothing to say.
    pub heartbeat: Heartbeat,
    /// How clients ask whether the connection is alive, beside ping frames, which every venue answers.
    pub client_ping: ClientPing,
}

/// A server's sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heartbeat {
    /// There is none.
    None,
    /// To every connection with a subscription, when nothing else was sent for so long.
    WhenSilent {
        /// How long.
        after_ns: u64,
    },
    /// To those who have subscribed to it, always.
    Channel {
        /// How often.
        every_ns: u64,
    },
}

/// A client's question whether the connection is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientPing {
    /// A ping frame, and nothing else.
    Frame,
    /// The text `ping`, answered by `pong`.
    Text,
    /// A command.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_fit_a_close_frame() {
        for venue in Venue::ALL {
            for leave in Leave::ALL {
                let Closing { code, text, .. } = venue.closing(leave);
                assert!(text.len() <= 123, "{text}");
                // What a server may send: 1005, 1006 and 1015 only ever stand for its silence.
                assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{venue} {leave:?}: {code}");
            }
        }
        assert_eq!(Venue::Okx.closing(Leave::Idle).code, 4004);
        assert_eq!(Venue::Binance.closing(Leave::TooManyRequests).text, "Too many requests");
    }

    #[test]
    fn whoever_is_pinged_has_time_to_answer() {
        for venue in Venue::ALL {
            let keep = venue.keep_alive();
            assert_eq!(keep.server_ping_ns.is_some(), keep.pong_within_ns.is_some());
            assert!(keep.pong_within_ns >= keep.server_ping_ns);
        }
    }
}
