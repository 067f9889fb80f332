//! From the market to a venue's wire.

use tickstorm_market::event::{AccountId, Message, Snapshot};
use tickstorm_market::instrument::{Listing, SymbolId};

use crate::blotter::OpenOrder;
use crate::decoded::{AssetBalance, Decoded, DepthForm, DepthUpdate, TradePrint};
use crate::options::{OkxChecksum, Presence, VenueOptions};
use crate::venue::Venue;
use crate::{binance, bybit, coinbase, kraken, okx};

/// Writes messages as a venue does: one connection's worth of every channel, all of them on one wire. What does
/// not change from message to message is prepared when it is built.
///
/// Some venues' messages refer to more than the change they tell: a checksum of the book, a level that comes into
/// sight when another is removed, the last known statistics. For these an encoder keeps a book of each symbol
/// that it was given a snapshot of.
#[derive(Debug, Clone)]
pub struct Encoder(Dialect);

#[derive(Debug, Clone)]
enum Dialect {
    Binance(binance::Encoder),
    Coinbase(coinbase::Encoder),
    Kraken(kraken::Encoder),
    Okx(okx::Encoder),
    Bybit(bybit::Encoder),
}

/// Which of a venue's channels a book's levels are told on, where it has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LevelsForm {
    /// The usual one.
    Plain,
    /// The best levels, all of them in every message.
    Top,
    /// The faster one, at OKX.
    Fast,
}

/// The numbers that a connection's messages carry beside their content. Not part of the encoder, so that many
/// connections can share one. A new connection starts with the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbering {
    /// Messages so far.
    pub frames: u64,
    /// Messages about own orders so far.
    pub orders: u64,
    /// Messages about balances so far.
    pub balances: u64,
}

/// Whether Coinbase's frames have the field `client_id`, which is gone from the wire but which some clients still
/// insist on. It is always empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientId {
    /// As on the wire today.
    #[default]
    Absent,
    /// As on the wire before 2026.
    Empty,
}

macro_rules! each_dialect {
    ($self:expr, $encoder:ident => $call:expr) => {
        match $self {
            Dialect::Binance($encoder) => $call,
            Dialect::Coinbase($encoder) => $call,
            Dialect::Kraken($encoder) => $call,
            Dialect::Okx($encoder) => $call,
            Dialect::Bybit($encoder) => $call,
        }
    };
}

impl Encoder {
    /// An encoder for the instruments of `listing`, of whole books. Wall-clock fields are `start_unix_ns`, the
    /// Unix time of the run's start, plus run time; a start before 1970 counts as 1970.
    pub fn new(venue: Venue, listing: &Listing, start_unix_ns: i64) -> Self {
        Self::with_depth(venue, listing, start_unix_ns, venue.rules().whole_depth())
    }

    /// The same for subscribers of so many levels a side, one of the venue's
    /// [`depths`](crate::Rules::depths).
    pub fn with_depth(venue: Venue, listing: &Listing, start_unix_ns: i64, depth: u32) -> Self {
        Self(match venue {
            Venue::Binance => Dialect::Binance(binance::Encoder::new(listing, start_unix_ns, depth)),
            Venue::Coinbase => Dialect::Coinbase(coinbase::Encoder::new(listing, start_unix_ns, depth)),
            Venue::Kraken => Dialect::Kraken(kraken::Encoder::new(listing, start_unix_ns, depth)),
            Venue::Okx => Dialect::Okx(okx::Encoder::new(listing, start_unix_ns, depth)),
            Venue::Bybit => Dialect::Bybit(bybit::Encoder::new(listing, start_unix_ns, depth)),
        })
    }

    /// Changes the form of frames, at Coinbase; other venues have nothing like it.
    pub fn set_client_id(&mut self, client_id: ClientId) {
        if let Dialect::Coinbase(encoder) = &mut self.0 {
            encoder.set_client_id(client_id);
        }
    }

    /// Books with the checksum that OKX has retired, for clients that still want it. Of other venues nothing
    /// changes.
    pub fn with_retired_checksums(mut self) -> Self {
        if let Dialect::Okx(encoder) = &mut self.0 {
            encoder.write_checksums();
        }
        self
    }

    /// Starts the encoder's book of a symbol, without a message. To be given for every symbol before its first
    /// message.
    pub fn seed(&mut self, snapshot: &Snapshot) {
        each_dialect!(&mut self.0, encoder => encoder.seed(snapshot));
    }

    /// Appends the message with all instruments that a client of the venue gets or asks for first, on its socket
    /// or by REST.
    pub fn instruments(&mut self, due_ns: u64, numbering: &mut Numbering, out: &mut Vec<u8>) {
        each_dialect!(&mut self.0, encoder => encoder.instruments(due_ns, numbering, out));
    }

    /// Appends the message with a symbol's whole book, or the part of it that subscribers see, and starts the
    /// encoder's own book from it.
    pub fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        due_ns: u64,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        each_dialect!(&mut self.0, encoder => encoder.snapshot(snapshot, due_ns, numbering, out));
    }

    /// Appends one wire message, without framing, or nothing and returns `false` where the venue does not tell
    /// its clients: of a level that they do not see, say. The message must be of the listing's market. Allocates
    /// only when `out` must grow.
    #[inline]
    pub fn encode(&mut self, message: &Message, numbering: &mut Numbering, out: &mut Vec<u8>) -> bool {
        each_dialect!(&mut self.0, encoder => encoder.encode(message, numbering, out))
    }

    /// Appends several messages, all of one symbol and one kind, as the one wire message into which the venue
    /// folds them: book changes by level, trades one by one, of all others the last. The wire message has the due
    /// time of the last.
    pub fn encode_batch(
        &mut self,
        messages: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        each_dialect!(&mut self.0, encoder => encoder.encode_batch(messages, numbering, out))
    }

    /// Does what the options say.
    pub(crate) fn set_options(&mut self, options: &VenueOptions) {
        match &mut self.0 {
            Dialect::Coinbase(encoder) => encoder.set_client_id(options.coinbase_client_id),
            Dialect::Okx(encoder) => {
                if options.okx_checksum == OkxChecksum::Retired {
                    encoder.write_checksums();
                }
                if options.okx_event_type == Presence::Absent {
                    encoder.write_plain_accounts();
                }
            }
            Dialect::Binance(_) | Dialect::Kraken(_) | Dialect::Bybit(_) => {}
        }
    }

    /// Appends levels as the channel has them, whatever the encoder's books say. `times` are those of the changes,
    /// of the bids first, for venues that tell the time of each level.
    pub(crate) fn levels(
        &mut self,
        update: &DepthUpdate<'_>,
        form: LevelsForm,
        times: &[u64],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        match &mut self.0 {
            Dialect::Binance(encoder) if form == LevelsForm::Top => {
                let last = update.change_id().unwrap_or_default();
                encoder.top(update.symbol, last, [update.bids, update.asks], out);
            }
            Dialect::Coinbase(encoder) if update.form == DepthForm::Update => {
                encoder.levels_at(update, times, numbering, out);
            }
            Dialect::Okx(encoder) => {
                encoder.name_books(form == LevelsForm::Fast);
                encoder.encode_decoded(&Decoded::Depth(*update), numbering, out);
            }
            _ => {
                self.encode_decoded(&Decoded::Depth(*update), numbering, out);
            }
        }
    }

    /// Appends trades of one symbol, given oldest first, as one message; of venues that have no such message only
    /// the first.
    pub(crate) fn prints(&mut self, prints: &[TradePrint], numbering: &mut Numbering, out: &mut Vec<u8>) {
        let [first, .., last] = prints else {
            if let [only] = prints {
                self.encode_decoded(&Decoded::Trade(*only), numbering, out);
            }
            return;
        };
        match &mut self.0 {
            Dialect::Coinbase(encoder) => {
                let unix_ns = last.event_ns.unwrap_or(last.engine_ns);
                encoder.prints(unix_ns, prints.iter().copied(), numbering, out);
            }
            Dialect::Kraken(encoder) => encoder.trades(prints, out),
            _ => {
                self.encode_decoded(&Decoded::Trade(*first), numbering, out);
            }
        }
    }

    /// Appends the state of all instruments, or of one alone, where the venue sends new subscribers that.
    pub(crate) fn states(
        &mut self,
        only: Option<SymbolId>,
        trading: &dyn Fn(SymbolId) -> bool,
        due_ns: u64,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match &mut self.0 {
            Dialect::Coinbase(encoder) => encoder.states(only, trading, due_ns, numbering, out),
            Dialect::Kraken(encoder) => encoder.states(trading, out),
            Dialect::Binance(_) | Dialect::Okx(_) | Dialect::Bybit(_) => return false,
        }
        true
    }

    /// What an account has, before any message about it.
    pub(crate) fn seed_balances(&mut self, account: AccountId, balances: &[AssetBalance]) {
        if let Dialect::Kraken(encoder) = &mut self.0 {
            balances.iter().for_each(|balance| encoder.seed_balance(account, balance));
        }
    }

    /// What has become of open orders, before any message about them, where the venue tells sums over their fills.
    pub(crate) fn seed_orders(&mut self, orders: &[OpenOrder]) {
        match &mut self.0 {
            Dialect::Coinbase(encoder) => orders.iter().for_each(|order| encoder.seed_order(order)),
            Dialect::Bybit(encoder) => orders.iter().for_each(|order| encoder.seed_order(order)),
            Dialect::Binance(_) | Dialect::Kraken(_) | Dialect::Okx(_) => {}
        }
    }

    /// Appends open orders, and at Kraken last fills, as the venue tells new subscribers. `false` where it tells them
    /// nothing.
    pub(crate) fn open_orders(
        &mut self,
        orders: &[OpenOrder],
        fills: &[Message],
        due_ns: u64,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match &mut self.0 {
            Dialect::Coinbase(encoder) => encoder.open_orders(orders, due_ns, numbering, out),
            Dialect::Kraken(encoder) => encoder.open_orders(orders, fills, numbering, out),
            Dialect::Binance(_) | Dialect::Okx(_) | Dialect::Bybit(_) => return false,
        }
        true
    }

    /// Appends what the venue says of an order beside its fill, at Bybit.
    pub(crate) fn encode_order(
        &mut self,
        message: &Message,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match &mut self.0 {
            Dialect::Bybit(encoder) => encoder.encode_order(message, numbering, out),
            _ => false,
        }
    }

    /// Appends one wire message of any content, whatever the encoder's books say. `false` where the venue has no
    /// such message.
    pub fn encode_decoded(
        &mut self,
        decoded: &Decoded<'_>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        each_dialect!(&mut self.0, encoder => encoder.encode_decoded(decoded, numbering, out))
    }
}
