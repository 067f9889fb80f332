//! Sockets: WebSocket connections that never block, the framing beneath them, and the built-in target.
//!
//! A [`Connection`] collects messages and hands many of them to the kernel in one write; a [`Poller`] tells when a
//! connection has something to read or takes more, and waits for an instant at the same time. [`Builtin`] is the
//! target that tickstorm brings along: a consumer of the feed that checks what it gets and answers at a known
//! pace. [`PlainSink`] only receives, to measure what the sender alone can do.
//!
//! [`Front`] is the front door of an exchange: it answers HTTP, opens WebSockets, plain or over TLS, and hands each
//! over as a [`Transport`].
//!
//! This crate decides neither what is sent nor when, and counts nothing beyond what its parts see. No asynchronous
//! runtime is in the way of data: who drives a connection or a transport does so from a loop of its own. Only the
//! front door has one, on a thread of its own, for requests and handshakes.
//!
//! Start from [`Connection::connect`]:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tickstorm_market::{Listing, MarketSpec, ShardMarket};
//! use tickstorm_net::{Builtin, Connection, Events, Poller};
//! use tickstorm_random::Seed;
//! use tickstorm_venue::{Encoder, Numbering, Venue};
//!
//! let listing = Listing::synthetic(10, Seed::new(1));
//! let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), listing.clone()) };
//! let mut market = ShardMarket::new(&spec, 0)?;
//! let target =
//!     Builtin::start(&"builtin:?service=1ms".parse()?, Venue::Binance, &listing, &market.snapshots())?;
//!
//! let mut connection = Connection::connect(target.endpoint(), Duration::from_secs(5))?;
//! let poller = Arc::new(Poller::new()?);
//! connection.register(&poller, 0)?;
//!
//! let start_unix_ns = 1_795_420_800_000_000_000;
//! let mut encoder = Encoder::new(Venue::Binance, &listing, start_unix_ns);
//! let mut numbering = Numbering::default();
//! for n in 0..3 {
//!     let message = market.next(n * 1_000_000);
//!     connection.push_frame_if(|out| encoder.encode(message, &mut numbering, out));
//! }
//! assert_eq!(connection.flush()?.frames, 3);
//!
//! let mut events = Events::new();
//! let mut answers = Vec::new();
//! while answers.len() < 3 {
//!     poller.wait(Duration::from_secs(5), &mut events)?;
//!     connection.read(|answer| answers.push(answer.to_vec()))?;
//! }
//! assert_eq!(answers[2], b"{\"ack\":2}");
//!
//! connection.close(Duration::from_secs(1));
//! assert!(target.stop().is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builtin;
mod client;
mod connection;
mod endpoint;
mod exchange;
pub mod frame;
pub mod observe;
mod outgoing;
mod poller;
mod server;
mod sink;
mod socket;
mod tls;
mod transport;
mod ws;

pub use builtin::{
    BROKEN_CONNECTION, Builtin, BuiltinSpec, BuiltinSpecError, DECODE_ERROR, Distribution, Findings,
};
pub use client::{HttpAnswer, HttpClient, HttpError, Trust, TrustError};
pub use connection::{ConnectError, Connection, ConnectionError, Readable};
pub use endpoint::{Endpoint, EndpointError, ResolveError};
pub use exchange::{
    Arrival, Carrier, Delivery, Desk, Front, FrontError, FrontSpec, Heard, HttpVersion, Link, Mark,
    RequestHead, Scratch, Sealed, Silence, TlsChoice, Turn, WebAnswer, WebRequest,
};
pub use frame::{CloseReason, FrameError};
pub use outgoing::Flushed;
pub use poller::{Event, Events, Poller, precise_timers};
pub use sink::{PlainSink, Received, SinkMode};
pub use tls::TlsError;
pub use transport::{Ending, Transport};
pub use ws::HandshakeError;
