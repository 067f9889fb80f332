//! What a topic is made of, and in which rhythm.

use std::cmp::Reverse;

use tickstorm_market::event::Kind;
use tickstorm_market::instrument::{Listing, SymbolId};

use super::Publishing;
use crate::encoder::LevelsForm;
use crate::protocol::{Channel, Topic};
use crate::venue::Venue;

/// What subscribers of a stream are told. Two topics with the same feed and symbol are one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Feed {
    pub(super) what: What,
    /// Levels a side of a book, zero for all.
    pub(super) depth: u32,
    /// The venue's window, zero where it sends at once.
    pub(super) window_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum What {
    /// A book, as snapshot and updates.
    Levels,
    /// The best levels, all of them each time.
    Top,
    Trades,
    Aggregates,
    Quotes,
    /// Statistics after trades.
    Tickers,
    /// Statistics in short.
    ShortTickers,
    /// Statistics when best prices change, at Kraken.
    BestTickers,
    /// Whether instruments are traded.
    States,
}

impl Feed {
    /// The feed of a topic and the symbol that it is about; none where the venue does not publish such a thing, or
    /// not for everybody.
    pub(super) fn of(venue: Venue, topic: &Topic, listing: &Listing) -> Option<(Self, Option<SymbolId>)> {
        let known = |symbol: SymbolId| (symbol.0 as usize) < listing.instruments.len();
        if !topic.symbol.is_none_or(known) {
            return None;
        }
        let feed = Self::of_channel(venue, topic)?;
        let of_all = match feed.what {
            What::States => true,
            // Its streams of all instruments have names of their own; others without an instrument are nothing's.
            What::Tickers | What::ShortTickers => {
                venue == Venue::Binance && (topic.name.is_empty() || topic.name.starts_with('!'))
            }
            _ => false,
        };
        // Kraken's list of instruments is always all of it.
        let symbol = topic.symbol.filter(|_| feed.what != What::States || venue != Venue::Kraken);
        (of_all || symbol.is_some()).then_some((feed, symbol))
    }

    fn of_channel(venue: Venue, topic: &Topic) -> Option<Self> {
        let feed = |what, depth, ms: u64| Some(Self { what, depth, window_ns: ms * NS_PER_MS });
        // The names that leave it out are those of the slower streams. A topic without a name is written with the
        // name of the faster one.
        let binance_ms = if topic.name.is_empty() || topic.name.ends_with("@100ms") { 100 } else { 1_000 };
        match (venue, topic.channel) {
            (Venue::Binance, Channel::Book { .. }) => feed(What::Levels, 0, binance_ms),
            (Venue::Binance, Channel::TopOfBook { depth }) => feed(What::Top, depth, binance_ms),
            (Venue::Binance, Channel::Trades) => feed(What::Trades, 0, 0),
            (Venue::Binance, Channel::AggregateTrades) => feed(What::Aggregates, 0, 0),
            (Venue::Binance, Channel::Quotes) => feed(What::Quotes, 0, 0),
            (Venue::Binance, Channel::Tickers) => feed(What::Tickers, 0, 1_000),
            (Venue::Binance, Channel::ShortTickers) => feed(What::ShortTickers, 0, 1_000),

            (Venue::Coinbase, Channel::Book { .. }) => feed(What::Levels, 0, 50),
            (Venue::Coinbase, Channel::Trades) => feed(What::Trades, 0, 250),
            (Venue::Coinbase, Channel::Tickers) => feed(What::Tickers, 0, 0),
            (Venue::Coinbase, Channel::ShortTickers) => feed(What::ShortTickers, 0, 5_000),

            (Venue::Kraken, Channel::Book { depth }) if venue.rules().depths.contains(&depth) => {
                feed(What::Levels, depth, 0)
            }
            (Venue::Kraken, Channel::Trades) => feed(What::Trades, 0, 0),
            (Venue::Kraken, Channel::Tickers) => feed(What::Tickers, 0, 0),
            (Venue::Kraken, Channel::Quotes) => feed(What::BestTickers, 0, 0),

            (Venue::Okx, Channel::Book { depth: 400 }) if topic.name.contains("\"books-l2-tbt\"") => {
                feed(What::Levels, 400, FAST_MS)
            }
            (Venue::Okx, Channel::Book { depth: 0 | 400 }) => feed(What::Levels, 400, 100),
            (Venue::Okx, Channel::Book { depth: 50 }) => feed(What::Levels, 50, FAST_MS),
            (Venue::Okx, Channel::TopOfBook { depth: 5 }) => feed(What::Top, 5, 100),
            (Venue::Okx, Channel::Quotes | Channel::TopOfBook { depth: 1 }) => feed(What::Quotes, 0, FAST_MS),
            (Venue::Okx, Channel::Trades) => feed(What::Trades, 0, 0),
            (Venue::Okx, Channel::Tickers) => feed(What::Tickers, 0, 100),

            (Venue::Bybit, Channel::Book { depth: 50 }) => feed(What::Levels, 50, 20),
            (Venue::Bybit, Channel::Book { depth: 200 }) => feed(What::Levels, 200, 100),
            (Venue::Bybit, Channel::Book { depth: 0 | 1_000 }) => feed(What::Levels, 1_000, 200),
            (Venue::Bybit, Channel::Quotes | Channel::TopOfBook { depth: 1 }) => feed(What::Quotes, 0, 10),
            (Venue::Bybit, Channel::Trades) => feed(What::Trades, 0, 0),
            (Venue::Bybit, Channel::Tickers) => feed(What::Tickers, 0, 50),

            (Venue::Coinbase | Venue::Kraken | Venue::Okx, Channel::Instruments) => feed(What::States, 0, 0),
            _ => None,
        }
    }

    /// The window that messages wait for; zero for none.
    pub(super) fn window_ns(&self, publishing: Publishing) -> u64 {
        match publishing {
            Publishing::Venue => self.window_ns,
            Publishing::Realtime => 0,
        }
    }

    /// How long a stream may be silent before it says again what it has said; zero for ever. OKX's "Order book channel"
    /// and Bybit's "Orderbook" tell of it.
    pub(super) fn repeat_ns(&self, venue: Venue) -> u64 {
        match (venue, self.what) {
            (Venue::Okx, What::Levels) => 60_000 * NS_PER_MS,
            (Venue::Bybit, What::Quotes) => 3_000 * NS_PER_MS,
            _ => 0,
        }
    }

    /// The kind of market message that it is about.
    pub(super) fn kind(&self) -> Kind {
        match self.what {
            What::Levels | What::Top => Kind::Book,
            What::Trades | What::Aggregates => Kind::Trade,
            What::Quotes | What::BestTickers => Kind::Quote,
            What::Tickers | What::ShortTickers => Kind::Ticker,
            What::States => Kind::Status,
        }
    }

    /// Whether the market's book must be known.
    pub(super) fn needs_book(&self, venue: Venue) -> bool {
        match self.what {
            What::Top => true,
            // Binance's clients fetch the book elsewhere, and are told of every change.
            What::Levels => venue != Venue::Binance,
            _ => false,
        }
    }

    pub(super) fn levels_form(&self, venue: Venue) -> LevelsForm {
        match self.what {
            What::Top => LevelsForm::Top,
            _ if venue == Venue::Okx && self.depth == 400 && self.window_ns == FAST_MS * NS_PER_MS => {
                LevelsForm::Fast
            }
            _ => LevelsForm::Plain,
        }
    }

    /// The place of a symbol's streams among each other. OKX documents the order of those that are due together:
    /// best prices, then the faster books, the deeper ones first.
    pub(super) fn place(&self, venue: Venue) -> impl Ord + use<> {
        let first = venue == Venue::Okx && self.what == What::Quotes;
        let kind = if first { None } else { Some(self.kind()) };
        let top = self.what == What::Top;
        (kind, top, self.window_ns, Reverse(self.depth), self.what)
    }
}

const NS_PER_MS: u64 = 1_000_000;

/// What OKX calls tick by tick, and its best prices.
const FAST_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Endpoint, Protocol, Request};
    use crate::testing::listing;

    fn feeds(venue: Venue, request: &str) -> Vec<(Feed, Option<SymbolId>)> {
        let request = Protocol::new(venue, &listing()).read_request(request.as_bytes(), Endpoint::Public);
        let Ok(Request::Subscribe { topics, .. }) = request else { panic!("{request:?}") };
        topics.iter().map(|topic| Feed::of(venue, topic, &listing()).expect("it is published")).collect()
    }

    #[test]
    fn streams_of_binance_have_the_speed_of_their_name() {
        let feed = |what, depth, ms: u64| Feed { what, depth, window_ns: ms * NS_PER_MS };
        let symbol = Some(SymbolId(0));
        let request = r#"{"method":"SUBSCRIBE","params":["btcusdt@depth","btcusdt@depth@100ms","btcusdt@depth@1000ms","btcusdt@depth5","btcusdt@depth20@100ms","!miniTicker@arr"],"id":1}"#;
        assert_eq!(
            feeds(Venue::Binance, request),
            [
                (feed(What::Levels, 0, 1_000), symbol),
                (feed(What::Levels, 0, 100), symbol),
                (feed(What::Levels, 0, 1_000), symbol),
                (feed(What::Top, 5, 1_000), symbol),
                (feed(What::Top, 20, 100), symbol),
                (feed(What::ShortTickers, 0, 1_000), None),
            ]
        );
    }

    #[test]
    fn books_of_okx_that_are_due_together_come_in_the_documented_order() {
        let channels = ["bbo-tbt", "books-l2-tbt", "books50-l2-tbt", "books", "books5"];
        let args =
            channels.map(|channel| format!(r#"{{"channel":"{channel}","instId":"BTC-USDT"}}"#)).join(",");
        let feeds = feeds(Venue::Okx, &format!(r#"{{"op":"subscribe","args":[{args}]}}"#));
        assert!(feeds.is_sorted_by_key(|(feed, _)| feed.place(Venue::Okx)), "{feeds:?}");
    }

    #[test]
    fn what_belongs_to_an_account_or_an_unknown_instrument_is_not_published() {
        let topic = |channel, symbol| Topic { channel, symbol, name: String::new() };
        for venue in Venue::ALL {
            for channel in
                [Channel::Orders, Channel::Fills, Channel::Balances, Channel::User, Channel::Heartbeats]
            {
                assert_eq!(Feed::of(venue, &topic(channel, None), &listing()), None);
            }
            assert_eq!(Feed::of(venue, &topic(Channel::Trades, Some(SymbolId(3))), &listing()), None);
            assert_eq!(Feed::of(venue, &topic(Channel::Trades, None), &listing()), None);
            let of_nothing = Topic { name: "nope@ticker".into(), ..topic(Channel::Tickers, None) };
            assert_eq!(Feed::of(venue, &of_nothing, &listing()), None);
        }
    }
}
