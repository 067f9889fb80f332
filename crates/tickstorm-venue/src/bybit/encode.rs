//! Bybit's wording, written. The order of the fields is that of the spot endpoint.
//!
//! Times: `ts` and `creationTime` are the message's due time, `cts`, `T`, `execTime` and `updatedTime` its event's.

mod account;
mod state;
mod wording;

use std::sync::Arc;

use tickstorm_market::event::{Body, BookChange, ExecutionKind, Message, Side, Snapshot};
use tickstorm_market::instrument::{Listing, SymbolId};

use super::instruments::write_instruments;
use super::rules::{QUOTE_DEPTH, RULES};
use crate::blotter::OpenOrder;
use crate::decoded::{
    AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, ExecutionReport, Level,
    QuoteUpdate, TickerUpdate, TradePrint, WallClock,
};
use crate::encoder::Numbering;
use crate::text::{NUMBER_ROOM, append};
pub(crate) use state::COUNT_START;
use state::{SIDES, Scratch, State, difference, refill};
use wording::{LEVEL_ROOM, Names, TimeText, figures};

/// Renders messages from a book of each symbol and pieces that were prepared for it.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    listing: Listing,
    clock: WallClock,
    time: TimeText,
    depth: u32,
    names: Arc<Names>,
    /// Made when a symbol is seeded, or first heard of.
    states: Box<[Option<Box<State>>]>,
    scratch: Scratch,
}

impl Encoder {
    /// A depth of zero, which is none of the venue's, stands for the deepest book.
    pub(crate) fn new(listing: &Listing, start_unix_ns: i64, depth: u32) -> Self {
        Self {
            clock: WallClock::new(start_unix_ns),
            time: TimeText::new(),
            depth: if depth == 0 { RULES.whole_depth() } else { depth },
            names: Names::new(listing).into(),
            states: vec![None; listing.instruments.len()].into(),
            scratch: Scratch::default(),
            listing: listing.clone(),
        }
    }

    pub(crate) fn seed(&mut self, snapshot: &Snapshot) {
        let depth = self.depth;
        let state = self.states[snapshot.symbol.0 as usize]
            .get_or_insert_with(|| State::new(depth, snapshot.update_id).into());
        state.window.seed(snapshot);
        state.change_id = snapshot.update_id;
    }

    /// What an order has cost in fees, before any message about it.
    pub(crate) fn seed_order(&mut self, order: &OpenOrder) {
        if let (Body::Execution(execution), true) = (&order.last.body, order.fills > 0) {
            self.state(order.last.symbol).fees.seed(execution.order_id, order.fee_units);
        }
    }

    pub(crate) fn instruments(&mut self, due_ns: u64, _: &mut Numbering, out: &mut Vec<u8>) {
        write_instruments(&self.listing, self.clock.unix_ns(due_ns), out);
    }

    /// The symbol's count of messages goes on: a later snapshot has the number of the last message before it.
    pub(crate) fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        due_ns: u64,
        _: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        self.seed(snapshot);
        let symbol = snapshot.symbol;
        let at_ns = self.clock.unix_ns(due_ns);
        let Some(state) = &self.states[symbol.0 as usize] else { return };
        let count = if self.depth == QUOTE_DEPTH { state.quote_count } else { state.book_count };
        let [mut bids, mut asks] = std::mem::take(&mut self.scratch.before);
        refill(&mut bids, state.window.levels(Side::Buy));
        refill(&mut asks, state.window.levels(Side::Sell));
        self.book(
            &DepthUpdate {
                form: DepthForm::Snapshot,
                continuity: Continuity::Count(count),
                ..self.depth_update(symbol, [at_ns; 2], snapshot.update_id, &bids, &asks)
            },
            count,
            out,
        );
        self.scratch.before = [bids, asks];
    }

    #[inline]
    pub(crate) fn encode(&mut self, message: &Message, numbering: &mut Numbering, out: &mut Vec<u8>) -> bool {
        let (symbol, clock) = (message.symbol, self.clock);
        match &message.body {
            Body::Book(change) => return self.change(message, change, out),
            Body::Trade(trade) => {
                // The trade's place is that of the change it causes, which comes next.
                let sequence = self.state(symbol).change_id.saturating_add(1);
                let print = TradePrint::of(message, trade, clock);
                self.trades([TradePrint { cross_sequence: Some(sequence), ..print }], out);
            }
            // At this depth changes of the book tell the best prices, all of them.
            Body::Quote(_) if self.depth == QUOTE_DEPTH => return false,
            Body::Quote(quote) => {
                let engine_ns = clock.unix_ns(message.event_ns);
                self.quote(&QuoteUpdate::of(message, quote, clock), engine_ns, out);
            }
            Body::Ticker(ticker) => {
                let instrument = self.listing.instrument(symbol);
                let update = TickerUpdate::of(message, ticker, instrument, RULES.share_step, clock);
                self.ticker(&update, out);
            }
            Body::Execution(execution) if execution.kind == ExecutionKind::Trade => {
                let instrument = self.listing.instrument(symbol);
                let report = ExecutionReport::of(message, execution, instrument, clock);
                self.state(symbol).fees.on_fill(&report);
                self.execution(&report, numbering, out);
            }
            Body::Execution(_) => return self.encode_order(message, numbering, out),
            Body::Balance(balance) => {
                let balances = [AssetBalance::of(balance)];
                let update = BalanceUpdate {
                    account: balance.account,
                    event_ns: Some(clock.unix_ns(message.due_ns)),
                    engine_ns: clock.unix_ns(message.event_ns),
                    form: DepthForm::Update,
                    balances: &balances,
                };
                self.wallet(&update, numbering, out);
            }
            // Deposits and withdrawals show in the wallet only, and whether a symbol trades only in the list of
            // instruments.
            Body::Transfer(_) | Body::Status(_) => return false,
        }
        true
    }

    /// The message of the `order` topic for any change of an own order. A fill has one in this topic as well,
    /// after that of [`Encoder::encode`]; without the other order of fills in between, it knows what fees the
    /// order has cost so far.
    pub(crate) fn encode_order(
        &mut self,
        message: &Message,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let Body::Execution(execution) = &message.body else { return false };
        let instrument = self.listing.instrument(message.symbol);
        let report = ExecutionReport::of(message, execution, instrument, self.clock);
        self.order(&report, numbering, out);
        if report.kind == ExecutionKind::Canceled {
            self.state(message.symbol).fees.forget(report.order_id);
        }
        true
    }

    pub(crate) fn encode_batch(
        &mut self,
        messages: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(last) = messages.last() else { return false };
        match last.body {
            Body::Book(_) => self.changes(messages, last, out),
            Body::Trade(_) if messages.len() > 1 => {
                let clock = self.clock;
                let sequence = self.state(last.symbol).change_id.saturating_add(1);
                let event_ns = Some(clock.unix_ns(last.due_ns));
                let prints = messages.iter().filter_map(|message| match &message.body {
                    Body::Trade(trade) => Some(TradePrint {
                        event_ns,
                        cross_sequence: Some(sequence),
                        ..TradePrint::of(message, trade, clock)
                    }),
                    _ => None,
                });
                self.trades(prints, out);
                true
            }
            // What an order has cost is the sum over its fills, all of which count.
            Body::Execution(_) => {
                for message in &messages[..messages.len() - 1] {
                    if let Body::Execution(execution) = &message.body {
                        let instrument = self.listing.instrument(message.symbol);
                        let report = ExecutionReport::of(message, execution, instrument, self.clock);
                        self.state(message.symbol).fees.on_fill(&report);
                    }
                }
                self.encode(last, numbering, out)
            }
            _ => self.encode(last, numbering, out),
        }
    }

    pub(crate) fn encode_decoded(
        &mut self,
        decoded: &Decoded<'_>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match decoded {
            Decoded::Depth(update) => {
                let Continuity::Count(count) = update.continuity else { return false };
                self.book(update, count, out);
            }
            Decoded::Trade(print) => self.trades([*print], out),
            Decoded::Quote(update) => self.quote(update, update.event_ns.unwrap_or_default(), out),
            Decoded::Ticker(update) => self.ticker(update, out),
            // Only the `execution` topic names the trade.
            Decoded::Execution(report) if report.trade_id.is_some() => {
                self.execution(report, numbering, out);
            }
            Decoded::Execution(report) => self.order(report, numbering, out),
            Decoded::Balance(update) => self.wallet(update, numbering, out),
            Decoded::Numbered(_)
            | Decoded::Aggregate(_)
            | Decoded::Transfer(_)
            | Decoded::Status(_)
            | Decoded::Control => return false,
        }
        true
    }

    #[inline]
    fn change(&mut self, message: &Message, change: &BookChange, out: &mut Vec<u8>) -> bool {
        let depth = self.depth;
        let state = self.state(message.symbol);
        state.change_id = change.update_id;
        let shown = state.window.apply(change);
        let Some(level) = shown.level else { return false };
        if depth == QUOTE_DEPTH {
            self.best(message, out);
            return true;
        }
        state.book_count += 1;
        let count = state.book_count;
        let levels = [level, shown.risen.unwrap_or_default()];
        let levels = &levels[..1 + usize::from(shown.risen.is_some())];
        let (bids, asks): (&[Level], &[Level]) = match change.side {
            Side::Buy => (levels, &[]),
            Side::Sell => (&[], levels),
        };
        let update = self.depth_update(message.symbol, self.times(message), change.update_id, bids, asks);
        self.book(&update, count, out);
        true
    }

    /// Tells the difference that the changes make together. A level that has fallen out of sight is not told:
    /// so many better ones are that subscribers cut it off.
    fn changes(&mut self, messages: &[Message], last: &Message, out: &mut Vec<u8>) -> bool {
        let depth = self.depth;
        let mut scratch = std::mem::take(&mut self.scratch);
        let state = self.state(last.symbol);
        for (before, side) in scratch.before.iter_mut().zip(SIDES) {
            refill(before, state.window.levels(side));
        }
        for message in messages {
            if let Body::Book(change) = &message.body {
                state.change_id = change.update_id;
                state.window.apply(change);
            }
        }
        for ((changed, before), side) in scratch.changed.iter_mut().zip(&scratch.before).zip(SIDES) {
            difference(before, &state.window, side, depth as usize, changed);
        }
        let change_id = state.change_id;
        let tells = scratch.changed.iter().any(|levels| !levels.is_empty());
        if tells && depth == QUOTE_DEPTH {
            self.best(last, out);
        } else if tells {
            state.book_count += 1;
            let count = state.book_count;
            let [bids, asks] = &scratch.changed;
            let update = self.depth_update(last.symbol, self.times(last), change_id, bids, asks);
            self.book(&update, count, out);
        }
        self.scratch = scratch;
        tells
    }

    /// The best prices as the encoder's own book has them.
    fn best(&mut self, message: &Message, out: &mut Vec<u8>) {
        let [event_ns, engine_ns] = self.times(message);
        let state = self.state(message.symbol);
        let update = QuoteUpdate {
            symbol: message.symbol,
            event_ns: Some(event_ns),
            update_id: state.change_id,
            bid: state.window.best(Side::Buy).unwrap_or_default(),
            ask: state.window.best(Side::Sell).unwrap_or_default(),
        };
        self.quote(&update, engine_ns, out);
    }

    #[inline]
    fn book(&mut self, update: &DepthUpdate<'_>, count: u64, out: &mut Vec<u8>) {
        let f = figures(&self.listing, &self.names, update.symbol);
        let levels = update.bids.len() + update.asks.len();
        let depth = update.depth.filter(|&depth| depth > 0).unwrap_or(self.depth);
        append(out, 120 + 5 * NUMBER_ROOM + 2 * f.name.len() + levels * LEVEL_ROOM, |w| {
            w.literal(br#"{"topic":"orderbook."#);
            w.number(depth.into());
            w.literal(b".");
            w.bytes(f.name);
            w.literal(br#"","ts":"#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            match update.form {
                DepthForm::Snapshot => w.literal(br#","type":"snapshot","data":{"s":""#),
                DepthForm::Update => w.literal(br#","type":"delta","data":{"s":""#),
            }
            w.bytes(f.name);
            w.literal(br#"","b":["#);
            f.levels(update.bids, w);
            w.literal(br#"],"a":["#);
            f.levels(update.asks, w);
            w.literal(br#"],"u":"#);
            w.number(count);
            if let Some(sequence) = update.cross_sequence {
                w.literal(br#","seq":"#);
                w.number(sequence);
            }
            w.literal(b"}");
            if let Some(engine_ns) = update.engine_ns {
                w.literal(br#","cts":"#);
                self.time.write(engine_ns, w);
            }
            w.literal(b"}");
        });
    }

    fn quote(&mut self, update: &QuoteUpdate, engine_ns: u64, out: &mut Vec<u8>) {
        let state = self.state(update.symbol);
        state.quote_count += 1;
        let count = state.quote_count;
        let (bid, ask) = ([update.bid], [update.ask]);
        let there = |level: &[Level; 1]| usize::from(level[0].quantity > 0);
        let event_ns = update.event_ns.unwrap_or_default();
        let update = DepthUpdate {
            form: DepthForm::Snapshot,
            depth: Some(QUOTE_DEPTH),
            ..self.depth_update(
                update.symbol,
                [event_ns, engine_ns],
                update.update_id,
                &bid[..there(&bid)],
                &ask[..there(&ask)],
            )
        };
        self.book(&update, count, out);
    }

    #[inline]
    fn trades(&mut self, prints: impl IntoIterator<Item = TradePrint>, out: &mut Vec<u8>) {
        let start = out.len();
        for print in prints {
            let f = figures(&self.listing, &self.names, print.symbol);
            let first = out.len() == start;
            append(out, 160 + 6 * NUMBER_ROOM + 2 * f.name.len(), |w| {
                if first {
                    w.literal(br#"{"topic":"publicTrade."#);
                    w.bytes(f.name);
                    w.literal(br#"","type":"snapshot","ts":"#);
                    self.time.write(print.event_ns.unwrap_or(print.engine_ns), w);
                    w.literal(br#","data":["#);
                } else {
                    w.literal(b",");
                }
                w.literal(br#"{"i":""#);
                w.number(print.trade_id);
                w.literal(br#"","T":"#);
                self.time.write(print.engine_ns, w);
                w.literal(br#","p":""#);
                f.price(print.price, w);
                w.literal(br#"","v":""#);
                f.quantity(print.quantity, w);
                match print.taker {
                    Side::Buy => w.literal(br#"","S":"Buy","s":""#),
                    Side::Sell => w.literal(br#"","S":"Sell","s":""#),
                }
                w.bytes(f.name);
                w.literal(br#"","BT":false,"RPI":false"#);
                if let Some(sequence) = print.cross_sequence {
                    w.literal(br#","seq":"#);
                    w.number(sequence);
                }
                w.literal(b"}");
            });
        }
        out.extend_from_slice(b"]}");
    }

    /// The market has no index: its own last price stands for it.
    fn ticker(&mut self, update: &TickerUpdate, out: &mut Vec<u8>) {
        let sequence = self.state(update.symbol).change_id;
        let f = figures(&self.listing, &self.names, update.symbol);
        append(out, 300 + 12 * NUMBER_ROOM + 20 + 2 * f.name.len(), |w| {
            w.literal(br#"{"topic":"tickers."#);
            w.bytes(f.name);
            w.literal(br#"","ts":"#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            w.literal(br#","type":"snapshot","cs":"#);
            w.number(sequence);
            w.literal(br#","data":{"symbol":""#);
            w.bytes(f.name);
            w.literal(br#"","lastPrice":""#);
            f.price(update.last, w);
            w.literal(br#"","highPrice24h":""#);
            f.price(update.high, w);
            w.literal(br#"","lowPrice24h":""#);
            f.price(update.low, w);
            w.literal(br#"","prevPrice24h":""#);
            f.price(update.open.unwrap_or_default(), w);
            w.literal(br#"","volume24h":""#);
            w.wide_trimmed_units(u128::from(update.volume) * u128::from(f.instrument.lot));
            w.literal(br#"","turnover24h":""#);
            w.wide_trimmed_units(update.quote_volume_units.unwrap_or_default());
            w.literal(br#"","price24hPcnt":""#);
            w.signed_trimmed_units(update.change_share.unwrap_or_default());
            w.literal(br#"","usdIndexPrice":""#);
            f.price(update.last, w);
            w.literal(b"\"}}");
        });
    }

    /// A depth update of the encoder's own topic, numbered when it is written.
    #[inline]
    fn depth_update<'a>(
        &self,
        symbol: SymbolId,
        [event_ns, engine_ns]: [u64; 2],
        change_id: u64,
        bids: &'a [Level],
        asks: &'a [Level],
    ) -> DepthUpdate<'a> {
        DepthUpdate {
            symbol,
            form: DepthForm::Update,
            depth: Some(self.depth),
            event_ns: Some(event_ns),
            engine_ns: Some(engine_ns),
            continuity: Continuity::None,
            cross_sequence: Some(change_id),
            checksum: None,
            bids,
            asks,
        }
    }

    fn times(&self, message: &Message) -> [u64; 2] {
        [self.clock.unix_ns(message.due_ns), self.clock.unix_ns(message.event_ns)]
    }

    #[inline]
    fn state(&mut self, symbol: SymbolId) -> &mut State {
        let depth = self.depth;
        self.states[symbol.0 as usize].get_or_insert_with(|| State::new(depth, 0).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{AccountId, Balance, Execution, Quote, Status, Ticker, Trade, Transfer};
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::ladder::Ladder;
    use crate::testing::{START_UNIX_NS, listing, message};

    const SYMBOL: SymbolId = SymbolId(0);

    /// Best bids and asks of 0.1 each side of 67012.45, one lot more at each level.
    fn snapshot(levels: u32) -> Snapshot {
        Snapshot {
            symbol: SYMBOL,
            sequence: 0,
            update_id: 120,
            bids: (0..levels).map(|n| (670_124 - n, 1_000 + u64::from(n))).collect(),
            asks: (0..levels).map(|n| (670_125 + n, 2_000 + u64::from(n))).collect(),
        }
    }

    fn seeded(depth: u32, levels: u32) -> Encoder {
        let mut encoder = Encoder::new(&listing(), START_UNIX_NS, depth);
        encoder.seed(&snapshot(levels));
        encoder
    }

    fn encoded(encoder: &mut Encoder, body: Body) -> Option<String> {
        let mut out = Vec::new();
        let written = encoder.encode(&message(body), &mut Numbering::default(), &mut out);
        assert_eq!(written, !out.is_empty());
        written.then(|| String::from_utf8(out).unwrap())
    }

    fn one(body: Body) -> String {
        encoded(&mut seeded(1000, 1), body).expect("the venue tells it")
    }

    fn change(update_id: u64, side: Side, price: u32, quantity: u64) -> Body {
        Body::Book(BookChange { update_id, side, price, quantity })
    }

    #[test]
    fn a_snapshot_has_the_levels_of_the_depth_best_first_and_starts_the_count() {
        let mut encoder = Encoder::new(&listing(), START_UNIX_NS, 50);
        let mut out = Vec::new();
        encoder.snapshot(&snapshot(2), 104_000_000, &mut Numbering::default(), &mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#"{"topic":"orderbook.50.BTCUSDT","ts":1795420800104,"type":"snapshot","data":{"s":"BTCUSDT","b":[["67012.4","0.01"],["67012.3","0.01001"]],"a":[["67012.5","0.02"],["67012.6","0.02001"]],"u":200000120,"seq":120},"cts":1795420800104}"#
        );
        out.clear();
        encoder.snapshot(&snapshot(60), 0, &mut Numbering::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("[\"").count(), 100);
    }

    #[test]
    fn a_change_is_a_delta_that_counts_on() {
        let mut encoder = seeded(1000, 2);
        assert_eq!(
            encoded(&mut encoder, change(121, Side::Sell, 670_125, 40_770)).unwrap(),
            r#"{"topic":"orderbook.1000.BTCUSDT","ts":1795420800104,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[["67012.5","0.4077"]],"u":200000121,"seq":121},"cts":1795420800103}"#
        );
        let removal = encoded(&mut encoder, change(122, Side::Buy, 670_124, 0)).unwrap();
        assert!(removal.contains(r#""b":[["67012.4","0"]],"a":[],"u":200000122,"seq":122"#), "{removal}");
    }

    #[test]
    fn a_removal_tells_the_level_that_rises_and_an_insertion_not_the_one_that_falls() {
        let mut encoder = seeded(50, 51);
        let risen = encoded(&mut encoder, change(121, Side::Buy, 670_124, 0)).unwrap();
        assert!(risen.contains(r#""b":[["67012.4","0"],["67007.4","0.0105"]]"#), "{risen}");
        let inserted = encoded(&mut encoder, change(122, Side::Buy, 670_124, 5)).unwrap();
        assert!(inserted.contains(r#""b":[["67012.4","0.00005"]],"a":[]"#), "{inserted}");
    }

    #[test]
    fn what_happens_out_of_sight_is_not_told_and_not_counted_but_has_its_place() {
        let mut encoder = seeded(50, 50);
        assert_eq!(encoded(&mut encoder, change(121, Side::Sell, 670_500, 5)), None);
        let next = encoded(&mut encoder, change(122, Side::Sell, 670_125, 5)).unwrap();
        assert!(next.contains(r#""u":200000121,"seq":122"#), "{next}");
    }

    #[test]
    fn a_later_snapshot_goes_on_counting() {
        let mut encoder = seeded(1000, 2);
        encoded(&mut encoder, change(121, Side::Sell, 670_125, 5)).unwrap();
        let mut out = Vec::new();
        let later = Snapshot { update_id: 121, ..snapshot(2) };
        encoder.snapshot(&later, 0, &mut Numbering::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""u":200000121,"seq":121"#), "{text}");
        let next = encoded(&mut encoder, change(122, Side::Sell, 670_125, 6)).unwrap();
        assert!(next.contains(r#""u":200000122,"seq":122"#), "{next}");
    }

    #[test]
    fn a_symbol_that_was_never_seeded_has_an_empty_book() {
        let mut encoder = Encoder::new(&listing(), START_UNIX_NS, 1000);
        let first = encoded(&mut encoder, change(7, Side::Buy, 5, 1)).unwrap();
        assert!(first.contains(r#""b":[["0.5","0.00001"]],"a":[],"u":200000001,"seq":7"#), "{first}");
        let mut out = Vec::new();
        let mut other = Encoder::new(&listing(), START_UNIX_NS, 1000);
        assert!(other.encode_batch(
            &[message(change(7, Side::Buy, 5, 1)); 2],
            &mut Numbering::default(),
            &mut out
        ));
    }

    const TRADE: Trade = Trade { trade_id: 550_112_201, price: 670_125, quantity: 1_100, taker: Side::Buy };

    #[test]
    fn a_trade_has_the_place_of_the_change_that_it_causes() {
        assert_eq!(
            one(Body::Trade(TRADE)),
            r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1795420800104,"data":[{"i":"550112201","T":1795420800103,"p":"67012.5","v":"0.011","S":"Buy","s":"BTCUSDT","BT":false,"RPI":false,"seq":121}]}"#
        );
        let sold = one(Body::Trade(Trade { taker: Side::Sell, ..TRADE }));
        assert!(sold.contains(r#""S":"Sell""#), "{sold}");
    }

    const QUOTE: Quote =
        Quote { update_id: 133, bid: 670_124, bid_quantity: 15_000, ask: 670_125, ask_quantity: 41_870 };

    #[test]
    fn a_quote_is_a_book_of_one_level_with_a_count_of_its_own() {
        let mut encoder = seeded(1000, 1);
        encoded(&mut encoder, change(121, Side::Sell, 670_125, 5)).unwrap();
        assert_eq!(
            encoded(&mut encoder, Body::Quote(QUOTE)).unwrap(),
            r#"{"topic":"orderbook.1.BTCUSDT","ts":1795420800104,"type":"snapshot","data":{"s":"BTCUSDT","b":[["67012.4","0.15"]],"a":[["67012.5","0.4187"]],"u":200000121,"seq":133},"cts":1795420800103}"#
        );
        let empty = one(Body::Quote(Quote { bid: 0, bid_quantity: 0, ..QUOTE }));
        assert!(empty.contains(r#""b":[],"a":[["67012.5","0.4187"]]"#), "{empty}");
    }

    const TICKER: Ticker = Ticker {
        quote: QUOTE,
        last: 670_125,
        last_quantity: 2_000,
        open: 662_000,
        high: 672_301,
        low: 658_800,
        previous_close: 661_999,
        volume: 825_040_110,
        quote_volume: 548_767_276_150_000,
        first_trade_id: 548_012_000,
        last_trade_id: 550_112_203,
        open_ns: 0,
    };

    #[test]
    fn a_ticker_has_no_best_prices_and_a_share_of_four_places() {
        assert_eq!(
            one(Body::Ticker(TICKER)),
            concat!(
                r#"{"topic":"tickers.BTCUSDT","ts":1795420800104,"type":"snapshot","cs":120,"data":{"symbol":"BTCUSDT","#,
                r#""lastPrice":"67012.5","highPrice24h":"67230.1","lowPrice24h":"65880","prevPrice24h":"66200","#,
                r#""volume24h":"8250.4011","turnover24h":"548767276.15","price24hPcnt":"0.0123","usdIndexPrice":"67012.5"}}"#
            )
        );
        let fallen = one(Body::Ticker(Ticker { last: 658_800, ..TICKER }));
        assert!(fallen.contains(r#""price24hPcnt":"-0.0048""#), "{fallen}");
    }

    const ORDER: Execution = Execution {
        account: AccountId(3),
        order_id: 17,
        execution_id: 155_003_311,
        kind: ExecutionKind::Trade,
        side: Side::Sell,
        price: 670_125,
        quantity: 5_000,
        last_quantity: 1_100,
        last_price: 670_125,
        filled_quantity: 1_100,
        fee: 73_713_750,
        fee_asset: AssetId(0),
        trade_id: 550_112_201,
        placed_ns: 7_000_000,
    };

    #[test]
    fn a_fill_is_an_execution_that_names_the_trade() {
        assert_eq!(
            one(Body::Execution(ORDER)),
            concat!(
                r#"{"id":"ts-3-1","topic":"execution","creationTime":1795420800104,"data":[{"category":"spot","#,
                r#""symbol":"BTCUSDT","orderId":"17","orderLinkId":"ts-3-17","side":"Sell","orderType":"Limit","#,
                r#""orderPrice":"67012.5","orderQty":"0.05","leavesQty":"0.039","execId":"550112201","#,
                r#""execPrice":"67012.5","execQty":"0.011","execValue":"737.1375","execFee":"0.7371375","#,
                r#""feeRate":"0.001","feeCurrency":"USDT","execType":"Trade","isMaker":true,"isLeverage":"0","#,
                r#""execTime":"1795420800103","seq":120}]}"#
            )
        );
    }

    #[test]
    fn an_order_placed_has_neither_fills_nor_an_average_price() {
        let placed = Execution {
            kind: ExecutionKind::New,
            last_quantity: 0,
            last_price: 0,
            filled_quantity: 0,
            fee: 0,
            trade_id: 0,
            ..ORDER
        };
        assert_eq!(
            one(Body::Execution(placed)),
            concat!(
                r#"{"id":"ts-3-1","topic":"order","creationTime":1795420800104,"data":[{"category":"spot","orderId":"17","#,
                r#""orderLinkId":"ts-3-17","symbol":"BTCUSDT","side":"Sell","orderType":"Limit","price":"67012.5","qty":"0.05","#,
                r#""timeInForce":"GTC","orderStatus":"New","leavesQty":"0.05","leavesValue":"3350.625","cumExecQty":"0","#,
                r#""cumExecValue":"0","avgPrice":"","cumExecFee":"0","cumFeeDetail":{},"feeCurrency":"","#,
                r#""rejectReason":"EC_NoError","cancelType":"UNKNOWN","isLeverage":"0","createdTime":"1795420800007","#,
                r#""updatedTime":"1795420800103"}]}"#
            )
        );
        let canceled = one(Body::Execution(Execution { kind: ExecutionKind::Canceled, ..placed }));
        assert!(
            canceled.contains(r#""orderStatus":"Cancelled","leavesQty":"0","leavesValue":"0""#),
            "{canceled}"
        );
        assert!(canceled.contains(r#""cancelType":"CancelByUser""#), "{canceled}");
    }

    #[test]
    fn a_fill_has_a_message_in_the_order_topic_too_with_all_fees_so_far() {
        let mut encoder = seeded(1000, 1);
        let mut order = |execution: Execution| {
            let body = Body::Execution(execution);
            if execution.kind == ExecutionKind::Trade {
                encoded(&mut encoder, body).unwrap();
            }
            let mut out = Vec::new();
            assert!(encoder.encode_order(&message(body), &mut Numbering::default(), &mut out));
            String::from_utf8(out).unwrap()
        };
        let first = order(ORDER);
        assert!(
            first.contains(
                r#""orderStatus":"PartiallyFilled","leavesQty":"0.039","leavesValue":"2613.4875","#
            ),
            "{first}"
        );
        assert!(
            first.contains(r#""cumExecQty":"0.011","cumExecValue":"737.1375","avgPrice":"67012.5","#),
            "{first}"
        );
        assert!(first.contains(r#""cumExecFee":"0.7371375","cumFeeDetail":{"USDT":"0.7371375"}"#), "{first}");
        let second = order(Execution { filled_quantity: 2_200, ..ORDER });
        assert!(second.contains(r#""cumExecFee":"1.474275""#), "{second}");
        let other = order(Execution { order_id: 18, filled_quantity: 5_000, ..ORDER });
        assert!(other.contains(r#""orderStatus":"Filled","leavesQty":"0""#), "{other}");
        assert!(other.contains(r#""cumExecFee":"0.7371375""#), "{other}");
        let canceled = order(Execution {
            kind: ExecutionKind::Canceled,
            last_quantity: 0,
            filled_quantity: 2_200,
            fee: 0,
            ..ORDER
        });
        assert!(
            canceled.contains(r#""orderStatus":"PartiallyFilledCanceled","leavesQty":"0""#),
            "{canceled}"
        );
        assert!(
            canceled.contains(r#""cumExecFee":"1.474275","cumFeeDetail":{"USDT":"1.474275"}"#),
            "{canceled}"
        );
    }

    #[test]
    fn a_balance_is_a_wallet_with_one_coin() {
        let balance =
            Balance { account: AccountId(12), asset: AssetId(1), free: 100_000_000, locked: 3_900_000 };
        let text = one(Body::Balance(balance));
        assert!(text.starts_with(r#"{"id":"ts-12-1","topic":"wallet","creationTime":1795420800104,"data":[{"accountType":"UNIFIED","#), "{text}");
        assert!(text.contains(r#""coin":[{"coin":"BTC","equity":"1.039","usdValue":"0","walletBalance":"1.039","locked":"0.039","#), "{text}");
    }

    #[test]
    fn deposits_and_halts_are_not_told() {
        let transfer = Transfer { account: AccountId(0), asset: AssetId(0), amount: 5 };
        for body in [Body::Transfer(transfer), Body::Status(Status { trading: false })] {
            assert_eq!(encoded(&mut seeded(1000, 1), body), None);
        }
    }

    #[test]
    fn messages_are_appended_without_anything_between_them() {
        let (mut one, mut other) = (seeded(1000, 1), seeded(1000, 1));
        let mut joined = Vec::new();
        let mut each = String::new();
        for body in [Body::Trade(TRADE), change(121, Side::Buy, 5, 1), Body::Ticker(TICKER)] {
            assert!(one.encode(&message(body), &mut Numbering::default(), &mut joined));
            each += &encoded(&mut other, body).unwrap();
        }
        assert_eq!(String::from_utf8(joined).unwrap(), each);
    }

    #[test]
    fn names_are_escaped_as_json_demands() {
        let mut out = Vec::new();
        let message = Message { symbol: SymbolId(2), ..message(Body::Trade(TRADE)) };
        seeded(1000, 1).encode(&message, &mut Numbering::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(r#"{"topic":"publicTrade.Ü\"USDT","#), "{text}");
        assert!(text.contains(r#""s":"Ü\"USDT""#), "{text}");
    }

    #[test]
    fn room_is_left_for_the_largest_values() {
        let largest = Execution {
            account: AccountId(u32::MAX),
            order_id: u64::MAX,
            price: u32::MAX,
            quantity: u64::MAX / 1_000,
            filled_quantity: 0,
            trade_id: u64::MAX,
            fee: u64::MAX,
            placed_ns: u64::MAX / 4,
            ..ORDER
        };
        let ticker = Ticker {
            last: u32::MAX,
            high: u32::MAX,
            low: u32::MAX,
            open: 1,
            volume: u64::MAX,
            quote_volume: u128::from(u64::MAX) * u128::from(u32::MAX),
            last_trade_id: u64::MAX - 1,
            ..TICKER
        };
        let balance =
            Balance { account: AccountId(u32::MAX), asset: AssetId(3), free: u64::MAX, locked: u64::MAX };
        let quote = Quote { update_id: u64::MAX, bid: u32::MAX, bid_quantity: u64::MAX, ..QUOTE };
        let trade = Trade { trade_id: u64::MAX, price: u32::MAX, quantity: u64::MAX, taker: Side::Sell };
        for body in [
            Body::Execution(largest),
            Body::Execution(Execution { kind: ExecutionKind::Canceled, ..largest }),
            Body::Ticker(ticker),
            Body::Balance(balance),
            change(u64::MAX, Side::Buy, u32::MAX, u64::MAX),
            Body::Trade(trade),
            Body::Quote(quote),
        ] {
            let text = one(body);
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_encoder_is_small_where_it_was_not_seeded() {
        assert_eq!(size_of::<Option<Box<State>>>(), 8);
        assert!(size_of::<State>() <= 160, "{}", size_of::<State>());
    }

    proptest! {
        /// A subscriber who sets the levels of each batch and cuts his book has the best levels of the market's
        /// afterwards, and is never told what he knows.
        #[test]
        fn a_batch_tells_exactly_the_difference(
            depth in prop_oneof![Just(50u32), Just(1000)],
            levels in 45..60u32,
            batches in proptest::collection::vec(
                proptest::collection::vec((any::<bool>(), 0..70u32, 0..3u64), 1..12), 1..8,
            ),
        ) {
            let mut encoder = seeded(depth, levels);
            let mut kept = [Ladder::<u64>::new(Side::Buy), Ladder::new(Side::Sell)];
            for (ladder, side) in kept.iter_mut().zip(SIDES) {
                let state = encoder.state(SYMBOL);
                for level in state.window.levels(side) {
                    ladder.set(level.price, level.quantity);
                }
            }
            let mut update_id = 120;
            for batch in batches {
                let messages: Vec<Message> = batch
                    .into_iter()
                    .map(|(buy, away, quantity)| {
                        update_id += 1;
                        let (side, price) = if buy { (Side::Buy, 670_124 - away) } else { (Side::Sell, 670_125 + away) };
                        message(change(update_id, side, price, quantity))
                    })
                    .collect();
                let mut out = Vec::new();
                let told = encoder.encode_batch(&messages, &mut Numbering::default(), &mut out);
                prop_assert_eq!(told, !out.is_empty());
                if told {
                    let text: serde_json::Value = serde_json::from_slice(&out).unwrap();
                    for (ladder, name) in kept.iter_mut().zip(["b", "a"]) {
                        for level in text["data"][name].as_array().unwrap() {
                            let value = |index: usize| crate::text::parse_units(level[index].as_str().unwrap()).unwrap();
                            let (price, quantity) = ((value(0) / 10_000_000) as u32, (value(1) / 1_000) as u64);
                            let (had, _) = ladder.set(price, quantity);
                            prop_assert!(had != quantity, "{} told again", price);
                        }
                        ladder.cut(depth as usize);
                    }
                }
                for (ladder, side) in kept.iter().zip(SIDES) {
                    let shown: Vec<Level> = encoder.state(SYMBOL).window.levels(side).collect();
                    prop_assert_eq!(ladder.levels().collect::<Vec<_>>(), shown);
                }
            }
        }
    }
}
