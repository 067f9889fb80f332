//! Coinbase's wording, written. The order of the fields is the venue's own.
//!
//! Times: `timestamp` of a frame is the message's due time, `event_time` of a level and `time` of a trade its
//! event's.

use std::collections::HashMap;
use std::sync::Arc;

use tickstorm_market::event::{Body, ExecutionKind, Message, Side, Snapshot};
use tickstorm_market::instrument::{Listing, SymbolId};

use super::RULES;
use super::pieces::{Fills, ORDER_ROOM, Pieces};
use super::time::{TIME_ROOM, TimeText};
use crate::blotter::OpenOrder;
use crate::decoded::{
    Decoded, DepthForm, DepthUpdate, ExecutionReport, Level, OrderStatus, StatusUpdate, TickerUpdate,
    TradePrint, WallClock,
};
use crate::encoder::{ClientId, Numbering};
use crate::text::{NUMBER_ROOM, Writer, append};

/// Renders messages from pieces that were prepared for each symbol.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    listing: Listing,
    clock: WallClock,
    envelope: Envelope,
    symbols: Arc<[Pieces]>,
    /// By symbol.
    extremes: Box<[Extremes]>,
    /// Own orders that are filled in part. Only ever looked up, so that the order of the map does not matter.
    filled: HashMap<(SymbolId, u64), Fills>,
    /// Room to fold book changes in.
    changes: Vec<Change>,
    /// Room for the orders of a frame.
    reports: Vec<(ExecutionReport, Fills)>,
}

/// What every frame begins with.
#[derive(Debug, Clone)]
struct Envelope {
    client_id: ClientId,
    time: TimeText,
}

/// Lowest and highest price ever told of a symbol, ticks.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    low: u32,
    high: u32,
}

/// A new quantity of a level; without a time, a part of a snapshot.
#[derive(Debug, Clone, Copy)]
struct Change {
    side: Side,
    level: Level,
    engine_ns: Option<u64>,
    /// Its place among those that are folded.
    index: usize,
}

impl Encoder {
    pub(crate) fn new(listing: &Listing, start_unix_ns: i64, _depth: u32) -> Self {
        let symbols: Arc<[Pieces]> = listing.instruments.iter().map(|it| Pieces::new(listing, it)).collect();
        Self {
            listing: listing.clone(),
            clock: WallClock::new(start_unix_ns),
            envelope: Envelope { client_id: ClientId::Absent, time: TimeText::new() },
            extremes: vec![Extremes { low: u32::MAX, high: 0 }; symbols.len()].into(),
            symbols,
            filled: HashMap::new(),
            changes: Vec::new(),
            reports: Vec::new(),
        }
    }

    pub(crate) fn set_client_id(&mut self, client_id: ClientId) {
        self.envelope.client_id = client_id;
    }

    /// Subscribers get the whole book and every change of it, so that none has to be kept here.
    pub(crate) fn seed(&mut self, _snapshot: &Snapshot) {}

    /// The status channel's snapshot.
    pub(crate) fn instruments(&mut self, due_ns: u64, numbering: &mut Numbering, out: &mut Vec<u8>) {
        self.states(None, &|_| true, due_ns, numbering, out);
    }

    /// The same with the state of each product, or of one alone.
    pub(crate) fn states(
        &mut self,
        only: Option<SymbolId>,
        trading: &dyn Fn(SymbolId) -> bool,
        due_ns: u64,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let unix_ns = self.clock.unix_ns(due_ns);
        let listed = || {
            let all = (0..).map(SymbolId).zip(self.symbols.iter());
            all.filter(|(symbol, _)| only.is_none_or(|only| only == *symbol))
        };
        let room = ENVELOPE_ROOM + 50 + listed().map(|(_, pieces)| pieces.listed_room()).sum::<usize>();
        append(out, room, |w| {
            self.envelope.open(b"status", unix_ns, numbering, w);
            w.literal(br#"{"type":"snapshot","products":["#);
            for (index, (symbol, pieces)) in listed().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                pieces.list(trading(symbol), w);
            }
            w.literal(b"]}]}");
        });
    }

    /// New quantities with the time of each, of the bids first.
    pub(crate) fn levels_at(
        &mut self,
        update: &DepthUpdate<'_>,
        times: &[u64],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let unix_ns = update.event_ns.unwrap_or_default();
        let bids = update.bids.iter().map(|&level| (Side::Buy, level));
        let asks = update.asks.iter().map(|&level| (Side::Sell, level));
        let change =
            |((side, level), &engine_ns)| Change { side, level, engine_ns: Some(engine_ns), index: 0 };
        let changes = bids.chain(asks).zip(times).map(change);
        self.depth(update.symbol, unix_ns, DepthForm::Update, times.len(), changes, numbering, out);
    }

    /// Open orders as new subscribers are told them, in one frame.
    pub(crate) fn open_orders(
        &mut self,
        orders: &[OpenOrder],
        due_ns: u64,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let mut reports = std::mem::take(&mut self.reports);
        reports.clear();
        for order in orders {
            let fills = Fills { count: order.fills, fee_units: order.fee_units };
            reports.extend(order.report(&self.listing, self.clock).map(|report| (report, fills)));
        }
        self.orders(self.clock.unix_ns(due_ns), DepthForm::Snapshot, &reports, numbering, out);
        self.reports = reports;
    }

    /// What the fills of an order have come to, before any message about it.
    pub(crate) fn seed_order(&mut self, order: &OpenOrder) {
        if let (Body::Execution(execution), true) = (&order.last.body, order.fills > 0) {
            let fills = Fills { count: order.fills, fee_units: order.fee_units };
            self.filled.insert((order.last.symbol, execution.order_id), fills);
        }
    }

    /// Several trades of one symbol, given oldest first, as one frame.
    pub(crate) fn prints(
        &mut self,
        unix_ns: u64,
        prints: impl DoubleEndedIterator<Item = TradePrint> + Clone,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        self.trades(unix_ns, prints.rev(), numbering, out);
    }

    pub(crate) fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        due_ns: u64,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let unix_ns = self.clock.unix_ns(due_ns);
        let change = |side, &(price, quantity): &(u32, u64)| Change {
            side,
            level: Level { price, quantity },
            engine_ns: None,
            index: 0,
        };
        let bids = snapshot.bids.iter().map(|level| change(Side::Buy, level));
        let asks = snapshot.asks.iter().map(|level| change(Side::Sell, level));
        let count = snapshot.bids.len() + snapshot.asks.len();
        self.depth(snapshot.symbol, unix_ns, DepthForm::Snapshot, count, bids.chain(asks), numbering, out);
    }

    #[inline]
    pub(crate) fn encode(&mut self, message: &Message, numbering: &mut Numbering, out: &mut Vec<u8>) -> bool {
        let (symbol, clock) = (message.symbol, self.clock);
        let unix_ns = clock.unix_ns(message.due_ns);
        match &message.body {
            Body::Book(change) => {
                let level = Level { price: change.price, quantity: change.quantity };
                let engine_ns = Some(clock.unix_ns(message.event_ns));
                let change = Change { side: change.side, level, engine_ns, index: 0 };
                self.depth(symbol, unix_ns, DepthForm::Update, 1, [change].into_iter(), numbering, out);
            }
            Body::Trade(trade) => {
                let print = TradePrint::of(message, trade, clock);
                self.trades(unix_ns, [print].into_iter(), numbering, out);
            }
            Body::Ticker(ticker) => {
                let instrument = self.listing.instrument(symbol);
                let update = TickerUpdate::of(message, ticker, instrument, RULES.share_step, clock);
                let extremes = &mut self.extremes[symbol.0 as usize];
                extremes.low = extremes.low.min(ticker.low);
                extremes.high = extremes.high.max(ticker.high);
                let extremes = *extremes;
                self.ticker(&update, extremes, numbering, out);
            }
            Body::Execution(execution) => {
                let instrument = self.listing.instrument(symbol);
                let report = ExecutionReport::of(message, execution, instrument, clock);
                let fills = self.fills_after(&report);
                self.orders(unix_ns, DepthForm::Update, &[(report, fills)], numbering, out);
            }
            Body::Status(status) => {
                let trading = status.trading;
                self.status(&StatusUpdate { symbol, event_ns: Some(unix_ns), trading }, numbering, out);
            }
            // Best prices are a part of the ticker; there is no channel for balances of spot accounts.
            Body::Quote(_) | Body::Balance(_) | Body::Transfer(_) => return false,
        }
        true
    }

    /// Orders are told one by one too, as the venue does when several change at once.
    pub(crate) fn encode_batch(
        &mut self,
        messages: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let (Some(last), clock) = (messages.last(), self.clock) else { return false };
        let unix_ns = clock.unix_ns(last.due_ns);
        match &last.body {
            Body::Book(_) => {
                let mut changes = std::mem::take(&mut self.changes);
                fold(messages, clock, &mut changes);
                let count = changes.len();
                let levels = changes.iter().copied();
                self.depth(last.symbol, unix_ns, DepthForm::Update, count, levels, numbering, out);
                self.changes = changes;
            }
            Body::Trade(_) => {
                let prints = messages.iter().filter_map(|message| match &message.body {
                    Body::Trade(trade) => Some(TradePrint::of(message, trade, clock)),
                    _ => None,
                });
                self.prints(unix_ns, prints, numbering, out);
            }
            Body::Execution(_) => {
                let mut reports = std::mem::take(&mut self.reports);
                reports.clear();
                for message in messages {
                    let Body::Execution(execution) = &message.body else { continue };
                    let instrument = self.listing.instrument(message.symbol);
                    let report = ExecutionReport::of(message, execution, instrument, clock);
                    reports.push((report, self.fills_after(&report)));
                }
                self.orders(unix_ns, DepthForm::Update, &reports, numbering, out);
                self.reports = reports;
            }
            _ => return self.encode(last, numbering, out),
        }
        true
    }

    pub(crate) fn encode_decoded(
        &mut self,
        decoded: &Decoded<'_>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match decoded {
            Decoded::Depth(update) => self.depth_as_told(update, numbering, out),
            Decoded::Trade(print) => {
                let unix_ns = print.event_ns.unwrap_or(print.engine_ns);
                self.trades(unix_ns, [*print].into_iter(), numbering, out);
            }
            Decoded::Ticker(update) => {
                let extremes = Extremes { low: update.low, high: update.high };
                self.ticker(update, extremes, numbering, out);
            }
            Decoded::Execution(report) => {
                let count = match report.filled_quantity {
                    0 => 0,
                    filled if filled == report.last.quantity => 1,
                    // Some that are not told apart.
                    _ => 2,
                };
                let fills = Fills { count, fee_units: report.fee_units };
                let unix_ns = report.event_ns.unwrap_or(report.engine_ns);
                self.orders(unix_ns, DepthForm::Update, &[(*report, fills)], numbering, out);
            }
            Decoded::Status(update) => self.status(update, numbering, out),
            Decoded::Numbered(_)
            | Decoded::Aggregate(_)
            | Decoded::Quote(_)
            | Decoded::Balance(_)
            | Decoded::Transfer(_)
            | Decoded::Control => return false,
        }
        true
    }

    fn depth_as_told(&mut self, update: &DepthUpdate<'_>, numbering: &mut Numbering, out: &mut Vec<u8>) {
        let unix_ns = update.event_ns.unwrap_or_default();
        let engine_ns = match update.form {
            DepthForm::Snapshot => None,
            DepthForm::Update => Some(update.engine_ns.unwrap_or(unix_ns)),
        };
        let change = |side, &level| Change { side, level, engine_ns, index: 0 };
        let bids = update.bids.iter().map(|level| change(Side::Buy, level));
        let asks = update.asks.iter().map(|level| change(Side::Sell, level));
        let count = update.bids.len() + update.asks.len();
        self.depth(update.symbol, unix_ns, update.form, count, bids.chain(asks), numbering, out);
    }

    /// `count` is how many changes there are.
    #[expect(clippy::too_many_arguments, reason = "two are the way out, and no two of the others alike")]
    #[inline]
    fn depth(
        &mut self,
        symbol: SymbolId,
        unix_ns: u64,
        form: DepthForm,
        count: usize,
        changes: impl Iterator<Item = Change>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let pieces = &self.symbols[symbol.0 as usize];
        append(out, ENVELOPE_ROOM + 60 + pieces.product.len() + count * CHANGE_ROOM, |w| {
            self.envelope.open(b"l2_data", unix_ns, numbering, w);
            match form {
                DepthForm::Snapshot => w.literal(br#"{"type":"snapshot","product_id":"#),
                DepthForm::Update => w.literal(br#"{"type":"update","product_id":"#),
            }
            w.bytes(&pieces.product);
            w.literal(br#","updates":["#);
            let mut changes = changes.peekable();
            while let Some(change) = changes.next() {
                match change.side {
                    Side::Buy => w.literal(br#"{"side":"bid","event_time":""#),
                    Side::Sell => w.literal(br#"{"side":"offer","event_time":""#),
                }
                match change.engine_ns {
                    Some(engine_ns) => self.envelope.time.write_us(engine_ns, w),
                    None => w.literal(b"1970-01-01T00:00:00Z"),
                }
                w.literal(br#"","price_level":""#);
                w.trimmed_units(pieces.price(change.level.price));
                w.literal(br#"","new_quantity":""#);
                w.trimmed_units(pieces.quantity(change.level.quantity));
                w.literal(b"\"}");
                if changes.peek().is_some() {
                    w.literal(b",");
                }
            }
            w.literal(b"]}]}");
        });
    }

    /// In the venue's order: newest first.
    #[inline]
    fn trades(
        &mut self,
        unix_ns: u64,
        prints: impl Iterator<Item = TradePrint> + Clone,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let symbols = &self.symbols;
        let entry = |print: TradePrint| TRADE_ROOM + symbols[print.symbol.0 as usize].product.len();
        let room = ENVELOPE_ROOM + 60 + prints.clone().map(entry).sum::<usize>();
        append(out, room, |w| {
            self.envelope.open(b"market_trades", unix_ns, numbering, w);
            w.literal(br#"{"type":"update","trades":["#);
            let mut prints = prints.peekable();
            while let Some(print) = prints.next() {
                let pieces = &symbols[print.symbol.0 as usize];
                w.literal(br#"{"trade_id":""#);
                w.number(print.trade_id);
                w.literal(br#"","product_id":"#);
                w.bytes(&pieces.product);
                w.literal(br#","price":""#);
                w.trimmed_units(pieces.price(print.price));
                w.literal(br#"","size":""#);
                w.trimmed_units(pieces.quantity(print.quantity));
                // The side of the maker.
                match print.taker {
                    Side::Sell => w.literal(br#"","side":"BUY","time":""#),
                    Side::Buy => w.literal(br#"","side":"SELL","time":""#),
                }
                self.envelope.time.write_us(print.engine_ns, w);
                w.literal(b"\"}");
                if prints.peek().is_some() {
                    w.literal(b",");
                }
            }
            w.literal(b"]}]}");
        });
    }

    /// Statistics without the best prices are what the venue calls a batch. The market is no older than the run,
    /// so that a year's extremes are those of all that was ever told.
    fn ticker(
        &mut self,
        update: &TickerUpdate,
        year: Extremes,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let pieces = &self.symbols[update.symbol.0 as usize];
        let unix_ns = update.event_ns.unwrap_or_default();
        append(out, ENVELOPE_ROOM + 400 + 12 * NUMBER_ROOM + pieces.product.len(), |w| {
            match update.best {
                Some(_) => self.envelope.open(b"ticker", unix_ns, numbering, w),
                None => self.envelope.open(b"ticker_batch", unix_ns, numbering, w),
            }
            w.literal(br#"{"type":"update","tickers":[{"type":"ticker","product_id":"#);
            w.bytes(&pieces.product);
            w.literal(br#","price":""#);
            w.trimmed_units(pieces.price(update.last));
            w.literal(br#"","volume_24_h":""#);
            w.wide_units(u128::from(update.volume) * u128::from(pieces.lot));
            w.literal(br#"","low_24_h":""#);
            w.trimmed_units(pieces.price(update.low));
            w.literal(br#"","high_24_h":""#);
            w.trimmed_units(pieces.price(update.high));
            w.literal(br#"","low_52_w":""#);
            w.trimmed_units(pieces.price(year.low));
            w.literal(br#"","high_52_w":""#);
            w.trimmed_units(pieces.price(year.high));
            w.literal(br#"","price_percent_chg_24_h":""#);
            w.signed_trimmed_units(update.change_share.unwrap_or_default().saturating_mul(100));
            if let Some([bid, ask]) = update.best {
                w.literal(br#"","best_bid":""#);
                w.trimmed_units(pieces.price(bid.price));
                w.literal(br#"","best_bid_quantity":""#);
                w.trimmed_units(pieces.quantity(bid.quantity));
                w.literal(br#"","best_ask":""#);
                w.trimmed_units(pieces.price(ask.price));
                w.literal(br#"","best_ask_quantity":""#);
                w.trimmed_units(pieces.quantity(ask.quantity));
            }
            w.literal(b"\"}]}]}");
        });
    }

    fn status(&mut self, update: &StatusUpdate, numbering: &mut Numbering, out: &mut Vec<u8>) {
        let pieces = &self.symbols[update.symbol.0 as usize];
        append(out, ENVELOPE_ROOM + pieces.listed_room(), |w| {
            self.envelope.open(b"status", update.event_ns.unwrap_or_default(), numbering, w);
            w.literal(br#"{"type":"update","products":["#);
            pieces.list(update.trading, w);
            w.literal(b"]}]}");
        });
    }

    fn orders(
        &mut self,
        unix_ns: u64,
        form: DepthForm,
        reports: &[(ExecutionReport, Fills)],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let symbols = &self.symbols;
        let order = |(report, _): &(ExecutionReport, Fills)| symbols[report.symbol.0 as usize].product.len();
        let room = ENVELOPE_ROOM + 150 + reports.iter().map(|it| ORDER_ROOM + order(it)).sum::<usize>();
        append(out, room, |w| {
            self.envelope.open(b"user", unix_ns, numbering, w);
            match form {
                DepthForm::Snapshot => w.literal(br#"{"type":"snapshot","orders":["#),
                DepthForm::Update => w.literal(br#"{"type":"update","orders":["#),
            }
            for (index, (report, fills)) in reports.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                let pieces = &symbols[report.symbol.0 as usize];
                pieces.order(report, *fills, &mut self.envelope.time, w);
            }
            w.literal(
                br#"],"positions":{"perpetual_futures_positions":[],"expiring_futures_positions":[]}}]}"#,
            );
        });
    }

    /// What the fills of an order come to with this report. Of an order that was already filled in part when
    /// the encoder first heard of it, the fills before count as one, and their fees are not known.
    fn fills_after(&mut self, report: &ExecutionReport) -> Fills {
        let key = (report.symbol, report.order_id);
        let before = self.filled.remove(&key).unwrap_or_else(|| Fills {
            count: u64::from(report.filled_quantity > report.last.quantity),
            fee_units: 0,
        });
        match report.kind {
            ExecutionKind::New => Fills::default(),
            ExecutionKind::Canceled => before,
            ExecutionKind::Trade => {
                let after = Fills {
                    count: before.count + 1,
                    fee_units: before.fee_units.saturating_add(report.fee_units),
                };
                if report.status == OrderStatus::PartiallyFilled {
                    self.filled.insert(key, after);
                }
                after
            }
        }
    }
}

/// The last quantity of each level, sides and prices in order.
fn fold(messages: &[Message], clock: WallClock, changes: &mut Vec<Change>) {
    changes.clear();
    changes.extend(messages.iter().enumerate().filter_map(|(index, message)| {
        let Body::Book(change) = message.body else { return None };
        let level = Level { price: change.price, quantity: change.quantity };
        Some(Change { side: change.side, level, engine_ns: Some(clock.unix_ns(message.event_ns)), index })
    }));
    let place = |change: &Change| (change.side == Side::Sell, change.level.price);
    // Of the same level the last change comes first, and is the one that stays.
    changes.sort_unstable_by_key(|change| (place(change), std::cmp::Reverse(change.index)));
    changes.dedup_by_key(|change| place(change));
}

impl Envelope {
    /// Up to the open bracket of the events; counts the frame.
    #[inline(always)]
    fn open<const N: usize>(
        &mut self,
        channel: &[u8; N],
        unix_ns: u64,
        numbering: &mut Numbering,
        w: &mut Writer<'_>,
    ) {
        w.literal(br#"{"channel":""#);
        w.literal(channel);
        match self.client_id {
            ClientId::Absent => w.literal(br#"","timestamp":""#),
            ClientId::Empty => w.literal(br#"","client_id":"","timestamp":""#),
        }
        self.time.write(unix_ns, w);
        w.literal(br#"","sequence_num":"#);
        w.number(numbering.frames);
        w.literal(br#","events":["#);
        numbering.frames += 1;
    }
}

/// `{"channel":"market_trades","client_id":"","timestamp":"` time `","sequence_num":` number `,"events":[`.
const ENVELOPE_ROOM: usize = 100 + TIME_ROOM + NUMBER_ROOM;

/// `{"side":"offer","event_time":"` time `","price_level":"` number `","new_quantity":"` number `"},`.
const CHANGE_ROOM: usize = 75 + TIME_ROOM + 2 * NUMBER_ROOM;

/// `{"trade_id":"` id `","product_id":` name `,"price":"` number `","size":"` number `","side":"SELL","time":"`
/// time `"},`.
const TRADE_ROOM: usize = 90 + TIME_ROOM + 3 * NUMBER_ROOM;
