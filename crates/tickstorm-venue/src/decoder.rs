//! From a venue's wire to plain values.

use thiserror::Error;
use tickstorm_market::instrument::Listing;

use crate::decoded::Decoded;
use crate::json::{skip_space, value_end};
use crate::venue::Venue;
use crate::{binance, bybit, coinbase, kraken, okx};

/// Reads a venue's messages, whoever wrote them: fields in any order, spaces, escapes and unknown fields are
/// accepted, but the wording of the venue itself is read several times faster.
#[derive(Debug, Clone)]
pub struct Decoder(Dialect);

#[derive(Debug, Clone)]
enum Dialect {
    Binance(binance::Decoder),
    Coinbase(coinbase::Decoder),
    Kraken(kraken::Decoder),
    Okx(okx::Decoder),
    Bybit(bybit::Decoder),
}

/// Why a message cannot be read. Values from the wire are quoted up to their first 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes are no text.
    #[error("byte {offset} is not UTF-8")]
    NotUtf8 {
        /// The first wrong byte.
        offset: usize,
    },
    /// The text is no JSON object, or ends too early.
    #[error("malformed at byte {offset}: {problem}")]
    Malformed {
        /// Where it was noticed.
        offset: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Arrays and objects are nested too deeply.
    #[error("nested deeper than {allowed} levels at byte {offset}")]
    TooDeep {
        /// The first bracket too many.
        offset: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// The venue has no such event, or none that is understood here.
    #[error("unknown event {event:?}, must be one of: {allowed}")]
    UnknownEvent {
        /// What the message calls itself.
        event: String,
        /// The events that are understood.
        allowed: &'static str,
    },
    /// A field that the event always has is not there.
    #[error("{event} without field {field:?}")]
    MissingField {
        /// The event.
        event: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field holds something else than it should.
    #[error("field {field:?} at byte {offset} is {value}, must be {allowed}")]
    WrongValue {
        /// The field.
        field: &'static str,
        /// Where the value begins.
        offset: usize,
        /// The value as it stands in the message.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The listing has no such instrument.
    #[error("unknown symbol {symbol:?}")]
    UnknownSymbol {
        /// The symbol in the message.
        symbol: String,
    },
    /// The listing has no such asset.
    #[error("unknown asset {asset:?}")]
    UnknownAsset {
        /// The asset in the message.
        asset: String,
    },
    /// A price between two ticks, or beyond the last.
    #[error("price {value} in field {field:?} of {symbol} is not a whole number of ticks of {tick}")]
    OffTick {
        /// The field.
        field: &'static str,
        /// The instrument.
        symbol: String,
        /// The price in the message.
        value: String,
        /// The price step.
        tick: String,
    },
    /// A quantity between two lots, or beyond the last.
    #[error("quantity {value} in field {field:?} of {symbol} is not a whole number of lots of {lot}")]
    OffLot {
        /// The field.
        field: &'static str,
        /// The instrument.
        symbol: String,
        /// The quantity in the message.
        value: String,
        /// The size step.
        lot: String,
    },
}

impl DecodeError {
    /// A name of the kind of error, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            DecodeError::NotUtf8 { .. } => "not_utf8",
            DecodeError::Malformed { .. } => "malformed",
            DecodeError::TooDeep { .. } => "too_deep",
            DecodeError::UnknownEvent { .. } => "unknown_event",
            DecodeError::MissingField { .. } => "missing_field",
            DecodeError::WrongValue { .. } => "wrong_value",
            DecodeError::UnknownSymbol { .. } => "unknown_symbol",
            DecodeError::UnknownAsset { .. } => "unknown_asset",
            DecodeError::OffTick { .. } => "off_tick",
            DecodeError::OffLot { .. } => "off_lot",
        }
    }
}

impl DecodeError {
    /// The same error of a message that begins at `start` of a batch.
    pub(crate) fn moved(mut self, start: usize) -> Self {
        match &mut self {
            DecodeError::NotUtf8 { offset }
            | DecodeError::Malformed { offset, .. }
            | DecodeError::TooDeep { offset, .. }
            | DecodeError::WrongValue { offset, .. } => *offset += start,
            DecodeError::UnknownEvent { .. }
            | DecodeError::MissingField { .. }
            | DecodeError::UnknownSymbol { .. }
            | DecodeError::UnknownAsset { .. }
            | DecodeError::OffTick { .. }
            | DecodeError::OffLot { .. } => {}
        }
        self
    }
}

impl Decoder {
    /// A decoder for the instruments and assets of `listing`.
    pub fn new(venue: Venue, listing: &Listing) -> Self {
        Self(match venue {
            Venue::Binance => Dialect::Binance(binance::Decoder::new(listing)),
            Venue::Coinbase => Dialect::Coinbase(coinbase::Decoder::new(listing)),
            Venue::Kraken => Dialect::Kraken(kraken::Decoder::new(listing)),
            Venue::Okx => Dialect::Okx(okx::Decoder::new(listing)),
            Venue::Bybit => Dialect::Bybit(bybit::Decoder::new(listing)),
        })
    }

    /// Reads a wire message, calling `each` for everything that it says, in order, once at least; or a batch
    /// `[m1,m2,...]` of messages. When a message is wrong, the call gets the error, and the rest of the message is
    /// not read; when the array of a batch itself is broken, the last call gets that error, since where a next
    /// message would begin is unknown. Allocates only for an error or a foreign wording.
    #[inline]
    pub fn decode_each(&mut self, bytes: &[u8], mut each: impl FnMut(Result<Decoded<'_>, DecodeError>)) {
        match &mut self.0 {
            Dialect::Binance(decoder) => decoder.decode_each(bytes, each),
            Dialect::Coinbase(decoder) => each_of_batch(bytes, |it| decoder.decode_each(it, &mut each)),
            Dialect::Kraken(decoder) => each_of_batch(bytes, |it| decoder.decode_each(it, &mut each)),
            Dialect::Okx(decoder) => each_of_batch(bytes, |it| decoder.decode_each(it, &mut each)),
            Dialect::Bybit(decoder) => each_of_batch(bytes, |it| decoder.decode_each(it, &mut each)),
        }
    }

    /// The instruments that a message of the venue lists, as [`Encoder::instruments`](crate::Encoder::instruments)
    /// writes them; none if it is another message. Start prices are not told: they are zero.
    pub fn read_instruments(venue: Venue, bytes: &[u8]) -> Result<Option<Listing>, DecodeError> {
        match venue {
            Venue::Binance => binance::read_instruments(bytes),
            Venue::Coinbase => coinbase::read_instruments(bytes),
            Venue::Kraken => kraken::read_instruments(bytes),
            Venue::Okx => okx::read_instruments(bytes),
            Venue::Bybit => bybit::read_instruments(bytes),
        }
    }
}

/// The messages of a batch one by one, or the one message that it is. Where the array is broken, what is left of
/// it is handed on, so that reading it fails.
fn each_of_batch(bytes: &[u8], mut message: impl FnMut(&[u8])) {
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return message(bytes);
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') && skip_space(bytes, at + 1) == bytes.len() {
        return;
    }
    loop {
        let Ok(end) = value_end(bytes, at) else { return message(&bytes[at..]) };
        message(&bytes[at..end]);
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at = skip_space(bytes, at + 1),
            Some(b']') if skip_space(bytes, at + 1) == bytes.len() => return,
            _ => return message(&bytes[at..]),
        }
    }
}
