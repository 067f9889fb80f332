//! From what streams hold to bytes.

use std::collections::BTreeSet;
use std::ops::Range;

use tickstorm_market::event::{Body, Message, Quote, Side, Ticker};
use tickstorm_market::instrument::{Listing, SymbolId};

use super::feed::{Feed, What};
use super::shelf::{News, Telling};
use super::{Desk, Frame, Holds, RECENT_TRADES, Stream, StreamId, Trades};
use crate::decoded::{
    AggregateTrade, Continuity, Decoded, DepthForm, DepthUpdate, Level, QuoteUpdate, TickerUpdate,
    TradePrint, WallClock,
};
use crate::encoder::{Encoder, LevelsForm, Numbering};
use crate::options::{OkxChecksum, VenueOptions};
use crate::venue::Venue;

/// Renders frames. Keeps no state of the market but what statistics of a year need.
#[derive(Debug, Clone)]
pub(super) struct Press {
    venue: Venue,
    listing: Listing,
    clock: WallClock,
    encoder: Encoder,
    retired_checksums: bool,
    out: Vec<u8>,
    news: News,
}

impl Press {
    pub(super) fn new(venue: Venue, listing: &Listing, start_unix_ns: i64, options: &VenueOptions) -> Self {
        let mut encoder = Encoder::new(venue, listing, start_unix_ns);
        encoder.set_options(options);
        Self {
            venue,
            listing: listing.clone(),
            clock: WallClock::new(start_unix_ns),
            encoder,
            retired_checksums: options.okx_checksum == OkxChecksum::Retired,
            out: Vec::new(),
            news: News::default(),
        }
    }

    pub(super) fn encoder(&self) -> Encoder {
        self.encoder.clone()
    }

    pub(super) fn clock(&self) -> WallClock {
        self.clock
    }

    /// Sends the frame of a stream that does not wait.
    #[inline]
    pub(super) fn frame(
        &mut self,
        id: StreamId,
        stream: &mut Stream,
        desk: &Desk,
        tickers: &[Option<Ticker>],
        message: &Message,
        send: &mut impl FnMut(Frame<'_>),
    ) {
        self.render(stream, desk, tickers, message.event_ns, message.due_ns, Some(message));
        self.hand_over(id, stream, message.due_ns, send);
    }

    /// Sends the frame of a stream whose window ends, if there is anything to tell.
    pub(super) fn frame_at_end(
        &mut self,
        id: StreamId,
        stream: &mut Stream,
        desk: &Desk,
        tickers: &[Option<Ticker>],
        end_ns: u64,
        send: &mut impl FnMut(Frame<'_>),
    ) {
        self.render(stream, desk, tickers, desk.quote_ns, end_ns, None);
        self.hand_over(id, stream, end_ns, send);
    }

    /// Sends the frame of a stream that is about no single symbol.
    pub(super) fn frame_of_all(
        &mut self,
        id: StreamId,
        stream: &mut Stream,
        tickers: &[Option<Ticker>],
        message: Option<&Message>,
        due_ns: u64,
        send: &mut impl FnMut(Frame<'_>),
    ) {
        self.out.clear();
        match (&mut stream.holds, message) {
            (Holds::Symbols(symbols), _) => {
                self.out.push(b'[');
                for symbol in std::mem::take(symbols) {
                    let Some(ticker) = &tickers[symbol.0 as usize] else { continue };
                    if self.out.len() > 1 {
                        self.out.push(b',');
                    }
                    self.ticker(stream.feed.what, symbol, ticker, due_ns, &mut Numbering::default());
                }
                self.out.push(b']');
            }
            (_, Some(message)) => {
                self.encoder.encode(message, &mut Numbering::default(), &mut self.out);
            }
            (_, None) => {}
        }
        self.hand_over(id, stream, due_ns, send);
    }

    /// Sends what says that nothing has changed: the last state that was told, or an update of nothing that continues it.
    pub(super) fn frame_again(
        &mut self,
        id: StreamId,
        stream: &mut Stream,
        desk: &Desk,
        now_ns: u64,
        send: &mut impl FnMut(Frame<'_>),
    ) {
        self.out.clear();
        let Some(symbol) = stream.symbol else { return };
        match &stream.holds {
            Holds::Levels(shelf) => {
                let checksum = desk.book.as_ref().filter(|_| self.retired_checksums).map(|book| {
                    shelf.told(&book.window, stream.feed.depth as usize, &mut self.news);
                    let [bids, asks] =
                        [&self.news.bids, &self.news.asks].map(|levels| levels.iter().copied());
                    crate::okx::checksum(bids, asks, self.listing.instrument(symbol))
                });
                let update = DepthUpdate {
                    continuity: Continuity::Chain { previous: Some(shelf.told_id), id: shelf.told_id },
                    checksum,
                    cross_sequence: Some(shelf.told_id),
                    ..depth_update(self.clock, symbol, stream.feed.depth, now_ns, now_ns, [&[], &[]])
                };
                let form = stream.feed.levels_form(self.venue);
                self.encoder.levels(&update, form, &[], &mut Numbering::default(), &mut self.out);
            }
            Holds::Count(count) => {
                self.quote(symbol, &desk.quote, [desk.quote_ns, now_ns], *count, &mut Numbering::default());
            }
            _ => {}
        }
        if !self.out.is_empty() {
            stream.told_ns = now_ns;
            let (bytes, kind) = (&self.out[..], stream.feed.kind());
            send(Frame { stream: id, bytes, due_ns: now_ns, messages: 0, kind, number: None });
        }
    }

    /// Writes what there is to tell into `out`: nothing if that is nothing.
    fn render(
        &mut self,
        stream: &mut Stream,
        desk: &Desk,
        tickers: &[Option<Ticker>],
        event_ns: u64,
        due_ns: u64,
        message: Option<&Message>,
    ) {
        self.out.clear();
        let Some(symbol) = stream.symbol else { return };
        let numbering = &mut Numbering::default();
        match &mut stream.holds {
            Holds::Levels(_) => self.levels(stream, symbol, desk, due_ns),
            Holds::Top(top) => {
                let depth = stream.feed.depth;
                if desk.book.as_ref().is_some_and(|book| top.refresh(&book.window, depth as usize)) {
                    let update = DepthUpdate {
                        form: DepthForm::Snapshot,
                        continuity: Continuity::Chain { previous: None, id: desk.change_id },
                        ..depth_update(self.clock, symbol, depth, due_ns, due_ns, top.sides())
                    };
                    self.encoder.levels(&update, LevelsForm::Top, &[], numbering, &mut self.out);
                }
            }
            Holds::Trades(trades) => {
                let due_unix_ns = self.clock.unix_ns(due_ns);
                for print in &mut trades.waiting {
                    print.event_ns = Some(due_unix_ns);
                }
                self.encoder.prints(&trades.waiting, numbering, &mut self.out);
                trades.remember();
            }
            Holds::Count(count) => {
                *count += 1;
                let count = *count;
                self.quote(symbol, &desk.quote, [event_ns, due_ns], count, numbering);
            }
            Holds::Nothing | Holds::Symbols(_) => {
                match (stream.feed.what, message.map(|message| &message.body)) {
                    (What::Aggregates, Some(Body::Trade(trade))) => {
                        let engine_ns = self.clock.unix_ns(event_ns);
                        // Of an order the market tells one trade a price, so that each of them is all there is to sum.
                        let aggregate = AggregateTrade {
                            symbol,
                            event_ns: self.clock.unix_ns(due_ns),
                            engine_ns,
                            aggregate_id: trade.trade_id,
                            first_trade_id: trade.trade_id,
                            last_trade_id: trade.trade_id,
                            price: trade.price,
                            quantity: trade.quantity,
                            taker: trade.taker,
                        };
                        self.encoder.encode_decoded(&Decoded::Aggregate(aggregate), numbering, &mut self.out);
                    }
                    (What::BestTickers, _) => {
                        let last = tickers[symbol.0 as usize];
                        let start_price = self.listing.instrument(symbol).start_price;
                        let last = last.unwrap_or_else(|| crate::kraken::without_trades(start_price));
                        let ticker = Ticker { quote: desk.quote, ..last };
                        self.ticker(What::BestTickers, symbol, &ticker, due_ns, numbering);
                    }
                    (What::States, Some(_)) => {
                        if let Some(message) = message {
                            self.encoder.encode(message, numbering, &mut self.out);
                        }
                    }
                    (what, _) => {
                        if let Some(ticker) = &tickers[symbol.0 as usize] {
                            self.ticker(what, symbol, ticker, due_ns, numbering);
                        }
                    }
                }
            }
        }
    }

    #[inline]
    fn levels(&mut self, stream: &mut Stream, symbol: SymbolId, desk: &Desk, due_ns: u64) {
        // Taken apart, since what is told is not moved about for each message.
        let Self { venue, listing, clock, encoder, retired_checksums, out, news } = self;
        let (venue, feed) = (*venue, stream.feed);
        let Holds::Levels(shelf) = &mut stream.holds else { return };
        let telling = match venue {
            Venue::Binance | Venue::Coinbase => Telling::Touched,
            Venue::Okx => Telling::Different,
            Venue::Kraken | Venue::Bybit => Telling::InSight,
        };
        let book = desk.book.as_ref();
        let depth = if feed.depth == 0 { usize::MAX } else { feed.depth as usize };
        if shelf.tell(telling, book.map(|book| &book.window), depth, news) {
            let previous = std::mem::replace(&mut shelf.told_id, desk.change_id);
            shelf.count += 1;
            for time in &mut news.times {
                *time = clock.unix_ns(*time);
            }
            let continuity = match venue {
                Venue::Binance => {
                    Continuity::Range { first: previous.saturating_add(1), last: desk.change_id }
                }
                Venue::Okx => Continuity::Chain { previous: Some(previous), id: desk.change_id },
                Venue::Bybit => Continuity::Count(shelf.count),
                Venue::Kraken | Venue::Coinbase => Continuity::None,
            };
            let checksum = book.and_then(|book| match &book.digits {
                Some(digits) => Some(digits.0.checksum()),
                None if *retired_checksums => {
                    let sides = [Side::Buy, Side::Sell].map(|side| book.window.best_levels(side, depth));
                    let [bids, asks] = sides;
                    Some(crate::okx::checksum(bids, asks, listing.instrument(symbol)))
                }
                None => None,
            });
            // Kraken's wire wants removals before what takes their place.
            if venue == Venue::Kraken {
                news.removals_first();
            }
            let sides = [&news.bids[..], &news.asks[..]];
            let update = DepthUpdate {
                continuity,
                checksum,
                cross_sequence: Some(desk.change_id),
                ..depth_update(*clock, symbol, feed.depth, due_ns, shelf.engine_ns, sides)
            };
            let form = feed.levels_form(venue);
            encoder.levels(&update, form, &news.times, &mut Numbering::default(), out);
        }
    }

    /// Appends an update that was folded of a feed's. `false` if the venue's updates cannot say it.
    pub(super) fn folded(&mut self, feed: Feed, update: &DepthUpdate<'_>, out: &mut Vec<u8>) -> bool {
        let numbering = &mut Numbering::default();
        if self.venue != Venue::Okx {
            return self.encoder.encode_decoded(&Decoded::Depth(*update), numbering, out);
        }
        // Two of its channels have books of one depth.
        let before = out.len();
        self.encoder.levels(update, feed.levels_form(self.venue), &[], numbering, out);
        out.len() > before
    }

    /// Best prices; where the venue counts them, they have this number.
    fn quote(
        &mut self,
        symbol: SymbolId,
        quote: &Quote,
        [event_ns, due_ns]: [u64; 2],
        count: u64,
        numbering: &mut Numbering,
    ) {
        let level = |price, quantity| Level { price, quantity };
        let bid = level(quote.bid, quote.bid_quantity);
        let ask = level(quote.ask, quote.ask_quantity);
        if self.venue == Venue::Bybit {
            let (bids, asks) = ([bid], [ask]);
            let there = |level: Level| usize::from(level.quantity > 0);
            let sides = [&bids[..there(bid)], &asks[..there(ask)]];
            let update = DepthUpdate {
                form: DepthForm::Snapshot,
                continuity: Continuity::Count(count),
                cross_sequence: Some(quote.update_id),
                ..depth_update(self.clock, symbol, BEST, due_ns, event_ns, sides)
            };
            self.encoder.encode_decoded(&Decoded::Depth(update), numbering, &mut self.out);
            return;
        }
        let event_ns = Some(self.clock.unix_ns(due_ns));
        let update = QuoteUpdate { symbol, event_ns, update_id: quote.update_id, bid, ask };
        self.encoder.encode_decoded(&Decoded::Quote(update), numbering, &mut self.out);
    }

    /// Statistics in the wording of the feed.
    fn ticker(
        &mut self,
        what: What,
        symbol: SymbolId,
        ticker: &Ticker,
        due_ns: u64,
        numbering: &mut Numbering,
    ) {
        let message = at(symbol, due_ns, Body::Ticker(*ticker));
        if (self.venue, what) == (Venue::Coinbase, What::Tickers) {
            // The year's extremes are the encoder's.
            self.encoder.encode(&message, numbering, &mut self.out);
            return;
        }
        let instrument = self.listing.instrument(symbol);
        let step = self.venue.rules().share_step;
        let whole = TickerUpdate::of(&message, ticker, instrument, step, self.clock);
        let update = match (self.venue, what) {
            (Venue::Binance, What::ShortTickers) => TickerUpdate { trade_ids: None, ..whole },
            (Venue::Coinbase, _) => TickerUpdate { best: None, ..whole },
            _ => whole,
        };
        self.encoder.encode_decoded(&Decoded::Ticker(update), numbering, &mut self.out);
    }

    fn hand_over(
        &mut self,
        id: StreamId,
        stream: &mut Stream,
        due_ns: u64,
        send: &mut impl FnMut(Frame<'_>),
    ) {
        if self.out.is_empty() {
            return;
        }
        let number = if self.venue == Venue::Coinbase { number_place(&self.out) } else { None };
        debug_assert_eq!(number.is_some(), self.venue == Venue::Coinbase, "each frame of Coinbase has one");
        let messages = std::mem::take(&mut stream.waiting);
        stream.told_ns = due_ns;
        let (bytes, kind) = (&self.out[..], stream.feed.kind());
        send(Frame { stream: id, bytes, due_ns, messages, kind, number });
    }

    /// A book as it was last told, at most `most` levels a side if that is not zero.
    pub(super) fn book(
        &mut self,
        stream: &Stream,
        desk: &Desk,
        most: u32,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let (Some(symbol), Some(book)) = (stream.symbol, &desk.book) else { return };
        let feed = stream.feed;
        let mut news = std::mem::take(&mut self.news);
        let depth = if feed.depth == 0 { usize::MAX } else { feed.depth as usize };
        self.out.clear();
        match &stream.holds {
            Holds::Top(top) => {
                let update = DepthUpdate {
                    form: DepthForm::Snapshot,
                    continuity: Continuity::Chain { previous: None, id: desk.change_id },
                    ..depth_update(self.clock, symbol, feed.depth, now_ns, now_ns, top.sides())
                };
                self.encoder.levels(&update, LevelsForm::Top, &[], numbering, &mut self.out);
            }
            Holds::Levels(shelf) => {
                shelf.told(&book.window, depth, &mut news);
                let most = if most == 0 { usize::MAX } else { most as usize };
                news.bids.truncate(most);
                news.asks.truncate(most);
                let continuity = match self.venue {
                    Venue::Okx => Continuity::Chain { previous: None, id: shelf.told_id },
                    Venue::Bybit => Continuity::Count(shelf.count),
                    Venue::Binance | Venue::Kraken | Venue::Coinbase => Continuity::None,
                };
                let checksum = match &book.digits {
                    Some(digits) => Some(digits.0.checksum()),
                    None if self.retired_checksums => {
                        let sides = [&news.bids, &news.asks].map(|levels| levels.iter().copied());
                        let [bids, asks] = sides;
                        Some(crate::okx::checksum(bids, asks, self.listing.instrument(symbol)))
                    }
                    None => None,
                };
                let update = DepthUpdate {
                    form: DepthForm::Snapshot,
                    continuity,
                    checksum,
                    cross_sequence: Some(shelf.told_id),
                    ..depth_update(self.clock, symbol, feed.depth, now_ns, now_ns, [&news.bids, &news.asks])
                };
                if self.venue != Venue::Binance {
                    let form = feed.levels_form(self.venue);
                    self.encoder.levels(&update, form, &[], numbering, &mut self.out);
                }
            }
            _ => {}
        }
        self.news = news;
        if !self.out.is_empty() {
            send(&self.out);
        }
    }

    /// Best prices where new subscribers get them: they have the number of the last ones told.
    pub(super) fn best(
        &mut self,
        stream: &Stream,
        desk: &Desk,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let (Some(symbol), Holds::Count(count)) = (stream.symbol, &stream.holds) else { return };
        if matches!(self.venue, Venue::Okx | Venue::Bybit) {
            self.out.clear();
            self.quote(symbol, &desk.quote, [desk.quote_ns, now_ns], *count, numbering);
            send(&self.out);
        }
    }

    /// Statistics where new subscribers get them.
    pub(super) fn statistics(
        &mut self,
        stream: &Stream,
        ticker: &Ticker,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let Some(symbol) = stream.symbol else { return };
        if self.venue == Venue::Binance {
            return;
        }
        self.out.clear();
        self.ticker(stream.feed.what, symbol, ticker, now_ns, numbering);
        if matches!(self.venue, Venue::Kraken | Venue::Coinbase) {
            call_snapshot(&mut self.out);
        }
        send(&self.out);
    }

    /// The last trades.
    pub(super) fn recent(
        &mut self,
        trades: &Trades,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let unix_ns = Some(self.clock.unix_ns(now_ns));
        let prints: Vec<TradePrint> =
            trades.recent.iter().map(|print| TradePrint { event_ns: unix_ns, ..*print }).collect();
        self.out.clear();
        self.encoder.prints(&prints, numbering, &mut self.out);
        if !self.out.is_empty() {
            call_snapshot(&mut self.out);
            send(&self.out);
        }
    }

    /// Whether each instrument is traded, where new subscribers are told.
    pub(super) fn states(
        &mut self,
        only: Option<SymbolId>,
        halted: &BTreeSet<SymbolId>,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        self.out.clear();
        let trading = |symbol| !halted.contains(&symbol);
        if self.encoder.states(only, &trading, now_ns, numbering, &mut self.out) {
            send(&self.out);
        }
    }
}

impl Trades {
    /// Those that were waiting are told.
    fn remember(&mut self) {
        self.recent.extend(self.waiting.drain(..));
        let excess = self.recent.len().saturating_sub(RECENT_TRADES);
        self.recent.drain(..excess);
    }
}

impl News {
    /// Both groups stay in their order. The times, which nobody asks for then, are not moved along.
    fn removals_first(&mut self) {
        for levels in [&mut self.bids, &mut self.asks] {
            levels.sort_by_key(|level| level.quantity > 0);
        }
    }
}

fn at(symbol: SymbolId, due_ns: u64, body: Body) -> Message {
    Message { symbol, sequence: 0, event: 0, event_ns: due_ns, due_ns, last: true, body }
}

/// What a stream tells first differs from what it tells later in this word alone.
fn call_snapshot(out: &mut Vec<u8>) {
    let update = br#""type":"update""#;
    if let Some(start) = out.windows(update.len()).position(|bytes| bytes == update) {
        out.splice(start..start + update.len(), *br#""type":"snapshot""#);
    }
}

fn depth_update<'a>(
    clock: WallClock,
    symbol: SymbolId,
    depth: u32,
    due_ns: u64,
    engine_ns: u64,
    [bids, asks]: [&'a [Level]; 2],
) -> DepthUpdate<'a> {
    DepthUpdate {
        symbol,
        form: DepthForm::Update,
        depth: Some(depth),
        event_ns: Some(clock.unix_ns(due_ns)),
        engine_ns: Some(clock.unix_ns(engine_ns)),
        continuity: Continuity::None,
        cross_sequence: None,
        checksum: None,
        bids,
        asks,
    }
}

/// Where a frame of Coinbase has its number: `{"channel":"` name `","client_id":"","timestamp":"` time
/// `","sequence_num":` number, without a client id where that is the wish.
fn number_place(frame: &[u8]) -> Option<Range<usize>> {
    let behind_quote = |text: &'_ [u8], at: usize| {
        let length = text.get(at..)?.iter().position(|&byte| byte == b'"')?;
        Some(at + length + 1)
    };
    let rest = frame.strip_prefix(br#"{"channel":""#)?;
    let rest = &rest[behind_quote(rest, 0)?..];
    let rest = rest.strip_prefix(br#","client_id":"""#).unwrap_or(rest);
    let rest = rest.strip_prefix(br#","timestamp":""#)?;
    let rest = &rest[behind_quote(rest, SHORTEST_TIME)?..];
    let number = rest.strip_prefix(br#","sequence_num":"#)?;
    let start = frame.len() - number.len();
    let length = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(start..start + length)
}

/// Characters of `2026-11-23T08:00:00Z`.
const SHORTEST_TIME: usize = 20;

/// The depth of best prices, where they are a book.
const BEST: u32 = 1;
