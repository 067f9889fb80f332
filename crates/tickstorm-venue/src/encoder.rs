//! From the market to a venue's wire.

use tickstorm_market::event::Message;
use tickstorm_market::instrument::Listing;

use crate::binance;
use crate::decoded::Decoded;
use crate::venue::Venue;

/// Writes messages as a venue does. What does not change from message to message is prepared when it is
/// built.
#[derive(Debug, Clone)]
pub struct Encoder(Dialect);

#[derive(Debug, Clone)]
enum Dialect {
    Binance(binance::Encoder),
}

impl Encoder {
    /// An encoder for the instruments of `listing`. Wall-clock fields are `start_unix_ns`, the Unix time of
    /// the run's start, plus run time; a start before 1970 counts as 1970.
    pub fn new(venue: Venue, listing: &Listing, start_unix_ns: i64) -> Self {
        match venue {
            Venue::Binance => Self(Dialect::Binance(binance::Encoder::new(listing, start_unix_ns))),
        }
    }

    /// Appends exactly one wire message, without framing. The message must be of the listing's market.
    /// Allocates only when `out` must grow.
    #[inline]
    pub fn encode(&mut self, message: &Message, out: &mut Vec<u8>) {
        match &mut self.0 {
            Dialect::Binance(encoder) => encoder.encode(message, out),
        }
    }

    /// Appends one wire message of any content, such as a depth update that folds many book changes.
    #[inline]
    pub fn encode_decoded(&mut self, decoded: &Decoded<'_>, out: &mut Vec<u8>) {
        match &mut self.0 {
            Dialect::Binance(encoder) => encoder.encode_decoded(decoded, out),
        }
    }
}
