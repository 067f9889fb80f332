//! How a market reads on an exchange's wire, in both directions: venues' wordings, and the book a consumer
//! keeps.
//!
//! An [`Encoder`] writes the messages of [`tickstorm_market`] as a [`Venue`] does, a [`Decoder`] reads them
//! back into plain ticks and lots, and a [`Replica`] rebuilds the books from them and names every [`Fault`]:
//! a missing update, a trade away from the touch, statistics that do not add up. Beside the venues' dialects,
//! [`normalised`] streams say all that the market says, compactly.
//!
//! This crate opens no socket and asks no clock. It neither frames messages nor decides when they are sent,
//! and it knows nothing of the market but its vocabulary.
//!
//! ```
//! use tickstorm_market::event::{Body, BookChange, Message, Side};
//! use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};
//! use tickstorm_venue::{Decoder, Encoder, Numbering, Replica, Venue};
//!
//! let instrument = Instrument {
//!     id: SymbolId(0),
//!     symbol: "BTCUSDT".into(),
//!     base: AssetId(1),
//!     quote: AssetId(0),
//!     tick: 10_000_000, // 0.1 USDT
//!     lot: 1_000,       // 0.00001 BTC
//!     start_price: 670_125,
//! };
//! let listing =
//!     Listing { instruments: [instrument].into(), assets: ["USDT".into(), "BTC".into()].into() };
//! let change = BookChange { update_id: 1, side: Side::Buy, price: 670_124, quantity: 12_000 };
//! let message = Message {
//!     symbol: SymbolId(0),
//!     sequence: 1,
//!     event: 1,
//!     event_ns: 0,
//!     due_ns: 200_000_000,
//!     last: true,
//!     body: Body::Book(change),
//! };
//!
//! let start_unix_ns = 1_795_420_800_000_000_000;
//! let mut wire = Vec::new();
//! let mut encoder = Encoder::new(Venue::Binance, &listing, start_unix_ns);
//! assert!(encoder.encode(&message, &mut Numbering::default(), &mut wire));
//! assert_eq!(
//!     std::str::from_utf8(&wire)?,
//!     r#"{"e":"depthUpdate","E":1795420800200,"s":"BTCUSDT","U":1,"u":1,"b":[["67012.40000000","0.12000000"]],"a":[]}"#
//! );
//!
//! let mut decoder = Decoder::new(Venue::Binance, &listing);
//! let mut replica = Replica::new(Venue::Binance, &listing);
//! decoder.decode_each(&wire, |said| replica.apply(&said.unwrap()).unwrap());
//! assert_eq!(replica.levels(SymbolId(0), Side::Buy).collect::<Vec<_>>(), [(670_124, 12_000)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod access;
mod binance;
mod blotter;
mod bybit;
mod cadence;
pub mod closing;
mod coinbase;
pub mod decoded;
mod decoder;
mod encoder;
mod json;
mod kraken;
mod ladder;
pub mod limits;
mod names;
pub mod normalised;
mod okx;
pub mod options;
pub mod protocol;
pub mod publisher;
mod replica;
pub mod rest;
pub mod route;
mod rules;
pub mod sniff;
#[cfg(test)]
mod testing;
mod text;
mod venue;
mod window;

pub use blotter::{Blotter, OpenOrder};
pub use cadence::Batcher;
pub use decoded::Decoded;
pub use decoder::{DecodeError, Decoder};
pub use encoder::{ClientId, Encoder, Numbering};
pub use options::VenueOptions;
pub use protocol::Protocol;
pub use publisher::Publisher;
pub use replica::{Conduct, Fault, Replica, ReplicaBook, Sequences};
pub use rest::Rest;
pub use route::route;
pub use rules::{Cadence, Rules};
pub use venue::{UnknownVenue, Venue};
