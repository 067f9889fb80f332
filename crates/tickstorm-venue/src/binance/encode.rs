//! Binance's wording, written. The order of the fields is the venue's own.
//!
//! Times: `E` is the message's due time, `T` and `u` of an account its event's.

use std::sync::Arc;

use tickstorm_market::event::{Body, ExecutionKind, Message, Side, Snapshot};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::RULES;
use super::fold::Fold;
use super::instruments::write_exchange_info;
use crate::decoded::{
    AggregateTrade, AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, ExecutionReport, Level,
    OrderStatus, QuoteUpdate, TickerUpdate, TradePrint, TransferUpdate, WallClock,
};
use crate::encoder::Numbering;
use crate::text::{NUMBER_ROOM, Writer, append};

/// Renders messages from pieces that were prepared for each symbol.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    listing: Listing,
    clock: WallClock,
    time: TimeText,
    symbols: Arc<[Pieces]>,
    /// Names of the assets as JSON strings.
    assets: Arc<[Box<[u8]>]>,
    /// Scratch for the levels of one message.
    fold: Fold,
}

/// What is the same in all messages of a symbol, cut where a value comes.
#[derive(Debug, Clone)]
struct Pieces {
    /// `,"s":"BTCUSDT",`: the one piece that differs between symbols.
    symbol: Box<[u8]>,
    /// 1e-8 quote units.
    tick: u64,
    /// 1e-8 base units.
    lot: u64,
}

/// The last time written. Most messages share their millisecond with the one before.
#[derive(Debug, Clone)]
struct TimeText {
    ms: u64,
    digits: [u8; TIME_DIGITS],
}

impl Encoder {
    pub(crate) fn new(listing: &Listing, start_unix_ns: i64, _depth: u32) -> Self {
        let symbols = listing.instruments.iter().map(Pieces::new);
        Self {
            listing: listing.clone(),
            clock: WallClock::new(start_unix_ns),
            time: TimeText { ms: NO_TIME, digits: *b"0000000000000" },
            symbols: symbols.collect(),
            assets: listing.assets.iter().map(|name| json_string(name).into_bytes().into()).collect(),
            fold: Fold::default(),
        }
    }

    /// Nothing that Binance sends refers to more than the change itself.
    pub(crate) fn seed(&mut self, _snapshot: &Snapshot) {}

    pub(crate) fn instruments(&mut self, due_ns: u64, _: &mut Numbering, out: &mut Vec<u8>) {
        let unix_ms = self.clock.unix_ns(due_ns) / NS_PER_MS;
        write_exchange_info(&self.listing, self.listing.instruments.iter(), unix_ms, out);
    }

    /// The reply of the WebSocket API to a request for the book, whose id is the symbol, since the reply itself does
    /// not name it.
    pub(crate) fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        _due_ns: u64,
        _: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        self.fold.restart();
        for (side, levels) in [(Side::Buy, &snapshot.bids), (Side::Sell, &snapshot.asks)] {
            for &(price, quantity) in levels {
                self.fold.set(side, Level { price, quantity });
            }
        }
        let Self { symbols, fold, .. } = self;
        symbols[snapshot.symbol.0 as usize].book(snapshot.update_id, fold.bids(), fold.asks(), out);
    }

    pub(crate) fn encode_batch(
        &mut self,
        messages: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let [first, .., last] = messages else {
            return messages.first().is_some_and(|message| self.encode(message, numbering, out));
        };
        match (first.body, last.body) {
            (Body::Book(first_change), Body::Book(last_change)) => {
                self.fold.restart();
                for message in messages {
                    if let Body::Book(change) = message.body {
                        self.fold.set(change.side, Level { price: change.price, quantity: change.quantity });
                    }
                }
                let ids = [first_change.update_id, last_change.update_id];
                let event_ns = self.clock.unix_ns(last.due_ns);
                let fold = std::mem::take(&mut self.fold);
                self.depth(last.symbol, event_ns, ids, fold.bids(), fold.asks(), out);
                self.fold = fold;
                true
            }
            (Body::Trade(_), _) => self.trades(messages, numbering, out),
            _ => self.encode(last, numbering, out),
        }
    }

    /// Binance sends every trade by itself, so several come as an array of messages.
    fn trades(&mut self, messages: &[Message], numbering: &mut Numbering, out: &mut Vec<u8>) -> bool {
        for (index, message) in messages.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            self.encode(message, numbering, out);
        }
        out.push(b']');
        true
    }

    #[inline]
    pub(crate) fn encode(&mut self, message: &Message, _: &mut Numbering, out: &mut Vec<u8>) -> bool {
        let (symbol, clock) = (message.symbol, self.clock);
        let event_ns = clock.unix_ns(message.due_ns);
        let engine_ns = clock.unix_ns(message.event_ns);
        match &message.body {
            Body::Book(change) => {
                let level = [Level { price: change.price, quantity: change.quantity }];
                let (bids, asks): (&[Level], &[Level]) = match change.side {
                    Side::Buy => (&level, &[]),
                    Side::Sell => (&[], &level),
                };
                self.depth(symbol, event_ns, [change.update_id; 2], bids, asks, out);
            }
            Body::Trade(trade) => self.trade(&TradePrint::of(message, trade, clock), out),
            Body::Quote(quote) => self.quote(&QuoteUpdate::of(message, quote, clock), out),
            Body::Ticker(ticker) => {
                let instrument = self.listing.instrument(symbol);
                let update = TickerUpdate::of(message, ticker, instrument, RULES.share_step, clock);
                self.ticker(&update, out);
            }
            Body::Execution(execution) => {
                let instrument = self.listing.instrument(symbol);
                self.execution(&ExecutionReport::of(message, execution, instrument, clock), out);
            }
            Body::Balance(balance) => {
                let balances = [AssetBalance::of(balance)];
                let update = BalanceUpdate {
                    account: balance.account,
                    event_ns: Some(event_ns),
                    engine_ns,
                    form: DepthForm::Update,
                    balances: &balances,
                };
                self.balance(&update, out);
            }
            Body::Transfer(transfer) => self.transfer(
                &TransferUpdate {
                    account: transfer.account,
                    event_ns,
                    engine_ns,
                    asset: transfer.asset,
                    amount_units: transfer.amount,
                },
                out,
            ),
            // The venue has no message for it.
            Body::Status(_) => return false,
        }
        true
    }

    /// The best levels of a book without the wrapper that would name their stream.
    pub(crate) fn top(
        &self,
        symbol: SymbolId,
        last_update_id: u64,
        [bids, asks]: [&[Level]; 2],
        out: &mut Vec<u8>,
    ) {
        let room = 80 + NUMBER_ROOM + (bids.len() + asks.len()) * LEVEL_ROOM;
        let pieces = &self.symbols[symbol.0 as usize];
        append(out, room, |w| pieces.plain_book(last_update_id, bids, asks, w));
    }

    pub(crate) fn encode_decoded(
        &mut self,
        decoded: &Decoded<'_>,
        _: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match decoded {
            Decoded::Depth(update) => {
                let Continuity::Range { first, last } = update.continuity else { return false };
                let (symbol, bids, asks) = (update.symbol, update.bids, update.asks);
                match (update.form, update.depth) {
                    (DepthForm::Update, _) => {
                        let event_ns = update.event_ns.unwrap_or_default();
                        self.depth(symbol, event_ns, [first, last], bids, asks, out);
                    }
                    (DepthForm::Snapshot, None) => {
                        self.symbols[symbol.0 as usize].book(last, bids, asks, out);
                    }
                    (DepthForm::Snapshot, Some(depth)) => {
                        let name = self.listing.instrument(symbol).symbol.to_lowercase();
                        let stream = json_string(&format!("{name}@depth{depth}@100ms"));
                        self.symbols[symbol.0 as usize].partial_book(&stream, last, bids, asks, out);
                    }
                }
            }
            Decoded::Aggregate(aggregate) => self.aggregate(aggregate, out),
            Decoded::Ticker(update) if update.trade_ids.is_none() => self.short_ticker(update, out),
            Decoded::Trade(print) => self.trade(print, out),
            Decoded::Quote(update) => self.quote(update, out),
            Decoded::Ticker(update) => self.ticker(update, out),
            Decoded::Execution(report) => self.execution(report, out),
            Decoded::Balance(update) => self.balance(update, out),
            Decoded::Transfer(update) => self.transfer(update, out),
            Decoded::Numbered(_) | Decoded::Status(_) | Decoded::Control => {
                return false;
            }
        }
        true
    }

    #[inline]
    fn depth(
        &mut self,
        symbol: SymbolId,
        event_ns: u64,
        [first, last]: [u64; 2],
        bids: &[Level],
        asks: &[Level],
        out: &mut Vec<u8>,
    ) {
        let pieces = &self.symbols[symbol.0 as usize];
        let levels = bids.len() + asks.len();
        let room = 80 + 3 * NUMBER_ROOM + pieces.symbol.len() + levels * LEVEL_ROOM;
        append(out, room, |w| {
            w.literal(br#"{"e":"depthUpdate","E":"#);
            self.time.write(event_ns, w);
            w.bytes(&pieces.symbol);
            w.literal(br#""U":"#);
            w.number(first);
            w.literal(br#","u":"#);
            w.number(last);
            w.literal(br#","b":["#);
            pieces.levels(bids, w);
            w.literal(br#"],"a":["#);
            pieces.levels(asks, w);
            w.literal(b"]}");
        });
    }

    fn trade(&mut self, print: &TradePrint, out: &mut Vec<u8>) {
        let pieces = &self.symbols[print.symbol.0 as usize];
        append(out, 100 + 5 * NUMBER_ROOM + pieces.symbol.len(), |w| {
            w.literal(br#"{"e":"trade","E":"#);
            self.time.write(print.event_ns.unwrap_or(print.engine_ns), w);
            w.bytes(&pieces.symbol);
            w.literal(br#""t":"#);
            w.number(print.trade_id);
            w.literal(br#","p":""#);
            w.units(pieces.price(print.price));
            w.literal(br#"","q":""#);
            w.units(pieces.quantity(print.quantity));
            w.literal(br#"","T":"#);
            self.time.write(print.engine_ns, w);
            taker(print.taker, w);
        });
    }

    fn aggregate(&mut self, aggregate: &AggregateTrade, out: &mut Vec<u8>) {
        let pieces = &self.symbols[aggregate.symbol.0 as usize];
        append(out, 110 + 7 * NUMBER_ROOM + pieces.symbol.len(), |w| {
            w.literal(br#"{"e":"aggTrade","E":"#);
            self.time.write(aggregate.event_ns, w);
            w.bytes(&pieces.symbol);
            w.literal(br#""a":"#);
            w.number(aggregate.aggregate_id);
            w.literal(br#","p":""#);
            w.units(pieces.price(aggregate.price));
            w.literal(br#"","q":""#);
            w.units(pieces.quantity(aggregate.quantity));
            w.literal(br#"","f":"#);
            w.number(aggregate.first_trade_id);
            w.literal(br#","l":"#);
            w.number(aggregate.last_trade_id);
            w.literal(br#","T":"#);
            self.time.write(aggregate.engine_ns, w);
            taker(aggregate.taker, w);
        });
    }

    fn quote(&mut self, update: &QuoteUpdate, out: &mut Vec<u8>) {
        let pieces = &self.symbols[update.symbol.0 as usize];
        append(out, 60 + 5 * NUMBER_ROOM + pieces.symbol.len(), |w| {
            w.literal(br#"{"u":"#);
            w.number(update.update_id);
            w.bytes(&pieces.symbol);
            pieces.best(update.bid, update.ask, w);
            w.literal(b"\"}");
        });
    }

    fn ticker(&mut self, update: &TickerUpdate, out: &mut Vec<u8>) {
        let pieces = &self.symbols[update.symbol.0 as usize];
        let tick = pieces.tick;
        let [bid, ask] = update.best.unwrap_or_default();
        let [first_trade_id, last_trade_id] = update.trade_ids.unwrap_or_default();
        let [open_ns, close_ns] = update.window_ns.unwrap_or_default();
        append(out, 200 + 23 * NUMBER_ROOM + 20 + pieces.symbol.len(), |w| {
            w.literal(br#"{"e":"24hrTicker","E":"#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            w.bytes(&pieces.symbol);
            w.literal(br#""p":""#);
            w.signed_units(update.change.unwrap_or_default().saturating_mul(tick as i64));
            w.literal(br#"","P":""#);
            w.thousandths(update.change_share.unwrap_or_default() / RULES.share_step);
            w.literal(br#"","w":""#);
            w.units(update.weighted_average_units.unwrap_or_default());
            w.literal(br#"","x":""#);
            w.units(pieces.price(update.previous_close.unwrap_or_default()));
            w.literal(br#"","c":""#);
            w.units(pieces.price(update.last));
            w.literal(br#"","Q":""#);
            w.units(pieces.quantity(update.last_quantity.unwrap_or_default()));
            w.literal(br#"","#);
            pieces.best(bid, ask, w);
            pieces.range(update, w);
            w.literal(br#"","O":"#);
            w.number(open_ns / NS_PER_MS);
            w.literal(br#","C":"#);
            self.time.write(close_ns, w);
            w.literal(br#","F":"#);
            w.number(first_trade_id);
            w.literal(br#","L":"#);
            w.number(last_trade_id);
            w.literal(br#","n":"#);
            w.number(update.count.unwrap_or_default());
            w.literal(b"}");
        });
    }

    fn short_ticker(&mut self, update: &TickerUpdate, out: &mut Vec<u8>) {
        let pieces = &self.symbols[update.symbol.0 as usize];
        append(out, 100 + 9 * NUMBER_ROOM + 20 + pieces.symbol.len(), |w| {
            w.literal(br#"{"e":"24hrMiniTicker","E":"#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            w.bytes(&pieces.symbol);
            w.literal(br#""c":""#);
            w.units(pieces.price(update.last));
            pieces.range(update, w);
            w.literal(b"\"}");
        });
    }

    /// Conditional fields are left out, as for any ordinary order. The client's id of an order comes from the
    /// venue's; a cancellation has an id of its own (`c`) and names the order in `C`.
    fn execution(&mut self, report: &ExecutionReport, out: &mut Vec<u8>) {
        let pieces = &self.symbols[report.symbol.0 as usize];
        let fee_asset = report.fee_asset.map(|asset| &*self.assets[asset.0 as usize]);
        let placed_ms = report.placed_ns.unwrap_or(report.engine_ns) / NS_PER_MS;
        let on_book = matches!(report.status, OrderStatus::New | OrderStatus::PartiallyFilled);
        let names = pieces.symbol.len() + fee_asset.map_or(0, <[u8]>::len);
        append(out, 450 + 20 * NUMBER_ROOM + names, |w| {
            w.literal(br#"{"subscriptionId":"#);
            w.number(report.account.0.into());
            w.literal(br#","event":{"e":"executionReport","E":"#);
            self.time.write(report.event_ns.unwrap_or(report.engine_ns), w);
            w.bytes(&pieces.symbol);
            match report.kind {
                ExecutionKind::Canceled => w.literal(br#""c":"cancel-"#),
                ExecutionKind::New | ExecutionKind::Trade => w.literal(br#""c":"ts-"#),
            }
            w.six_digits(report.order_id);
            match report.side {
                Side::Buy => w.literal(br#"","S":"BUY""#),
                Side::Sell => w.literal(br#"","S":"SELL""#),
            }
            w.literal(br#","o":"LIMIT","f":"GTC","q":""#);
            w.units(pieces.quantity(report.quantity));
            w.literal(br#"","p":""#);
            w.units(pieces.price(report.price));
            w.literal(br#"","P":"0.00000000","F":"0.00000000","g":-1,"C":""#);
            if report.kind == ExecutionKind::Canceled {
                w.literal(b"ts-");
                w.six_digits(report.order_id);
            }
            match report.kind {
                ExecutionKind::New => w.literal(br#"","x":"NEW""#),
                ExecutionKind::Trade => w.literal(br#"","x":"TRADE""#),
                ExecutionKind::Canceled => w.literal(br#"","x":"CANCELED""#),
            }
            match report.status {
                OrderStatus::New => w.literal(br#","X":"NEW""#),
                OrderStatus::PartiallyFilled => w.literal(br#","X":"PARTIALLY_FILLED""#),
                OrderStatus::Filled => w.literal(br#","X":"FILLED""#),
                OrderStatus::Canceled => w.literal(br#","X":"CANCELED""#),
            }
            w.literal(br#","r":"NONE","i":"#);
            w.number(report.order_id);
            w.literal(br#","l":""#);
            w.units(pieces.quantity(report.last.quantity));
            w.literal(br#"","z":""#);
            w.units(pieces.quantity(report.filled_quantity));
            w.literal(br#"","L":""#);
            w.units(pieces.price(report.last.price));
            match fee_asset {
                Some(name) => {
                    w.literal(br#"","n":""#);
                    w.units(report.fee_units);
                    w.literal(br#"","N":"#);
                    w.bytes(name);
                }
                None => w.literal(br#"","n":"0","N":null"#),
            }
            w.literal(br#","T":"#);
            self.time.write(report.engine_ns, w);
            match report.trade_id {
                Some(trade_id) => {
                    w.literal(br#","t":"#);
                    w.number(trade_id);
                }
                None => w.literal(br#","t":-1"#),
            }
            w.literal(br#","I":"#);
            w.number(report.execution_id.unwrap_or_default());
            if on_book {
                w.literal(br#","w":true"#);
            } else {
                w.literal(br#","w":false"#);
            }
            // All own orders rest, so that every fill is a maker's.
            match report.kind {
                ExecutionKind::Trade => w.literal(br#","m":true,"M":true,"O":"#),
                ExecutionKind::New | ExecutionKind::Canceled => w.literal(br#","m":false,"M":true,"O":"#),
            }
            w.number(placed_ms);
            w.literal(br#","Z":""#);
            w.units(report.filled_quote_units.unwrap_or_default());
            w.literal(br#"","Y":""#);
            w.units(report.last_quote_units.unwrap_or_default());
            w.literal(br#"","Q":"0.00000000""#);
            if on_book {
                w.literal(br#","W":"#);
                w.number(placed_ms);
            }
            w.literal(br#","V":"EXPIRE_MAKER"}}"#);
        });
    }

    fn balance(&mut self, update: &BalanceUpdate<'_>, out: &mut Vec<u8>) {
        let assets = &self.assets;
        let names: usize = update.balances.iter().map(|balance| assets[balance.asset.0 as usize].len()).sum();
        let room = 120 + 3 * NUMBER_ROOM + names + update.balances.len() * (25 + 2 * NUMBER_ROOM);
        append(out, room, |w| {
            w.literal(br#"{"subscriptionId":"#);
            w.number(update.account.0.into());
            w.literal(br#","event":{"e":"outboundAccountPosition","E":"#);
            self.time.write(update.event_ns.unwrap_or(update.engine_ns), w);
            w.literal(br#","u":"#);
            self.time.write(update.engine_ns, w);
            w.literal(br#","B":["#);
            for (index, balance) in update.balances.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                w.literal(br#"{"a":"#);
                w.bytes(&assets[balance.asset.0 as usize]);
                w.literal(br#","f":""#);
                w.signed_units(balance.free_units());
                w.literal(br#"","l":""#);
                w.signed_units(balance.locked_units.unwrap_or_default());
                w.literal(b"\"}");
            }
            w.literal(b"]}}");
        });
    }

    fn transfer(&mut self, update: &TransferUpdate, out: &mut Vec<u8>) {
        let asset = &self.assets[update.asset.0 as usize];
        append(out, 110 + 4 * NUMBER_ROOM + asset.len(), |w| {
            w.literal(br#"{"subscriptionId":"#);
            w.number(update.account.0.into());
            w.literal(br#","event":{"e":"balanceUpdate","E":"#);
            self.time.write(update.event_ns, w);
            w.literal(br#","a":"#);
            w.bytes(asset);
            w.literal(br#","d":""#);
            w.signed_units(update.amount_units);
            w.literal(br#"","T":"#);
            self.time.write(update.engine_ns, w);
            w.literal(b"}}");
        });
    }
}

/// The end of a trade: whether the buyer was the maker.
#[inline(always)]
fn taker(side: Side, w: &mut Writer<'_>) {
    match side {
        Side::Sell => w.literal(br#","m":true,"M":true}"#),
        Side::Buy => w.literal(br#","m":false,"M":true}"#),
    }
}

impl Pieces {
    fn new(instrument: &Instrument) -> Self {
        Self {
            symbol: [SYMBOL_FIELD, &json_string(&instrument.symbol), ","].concat().into_bytes().into(),
            tick: instrument.tick,
            lot: instrument.lot,
        }
    }

    #[inline(always)]
    fn price(&self, ticks: u32) -> u64 {
        u64::from(ticks).saturating_mul(self.tick)
    }

    #[inline(always)]
    fn quantity(&self, lots: u64) -> u64 {
        lots.saturating_mul(self.lot)
    }

    /// A whole book.
    fn book(&self, last_update_id: u64, bids: &[Level], asks: &[Level], out: &mut Vec<u8>) {
        let room = 300 + NUMBER_ROOM + self.symbol.len() + (bids.len() + asks.len()) * LEVEL_ROOM;
        append(out, room, |w| {
            w.literal(br#"{"id":"#);
            w.bytes(self.name());
            w.literal(br#","status":200,"result":"#);
            self.plain_book(last_update_id, bids, asks, w);
            w.literal(DEPTH_LIMITS);
        });
    }

    /// The best part of a book, in the wrapper that names its stream.
    fn partial_book(
        &self,
        stream: &str,
        last_update_id: u64,
        bids: &[Level],
        asks: &[Level],
        out: &mut Vec<u8>,
    ) {
        let room = 80 + NUMBER_ROOM + stream.len() + (bids.len() + asks.len()) * LEVEL_ROOM;
        append(out, room, |w| {
            w.literal(br#"{"stream":"#);
            w.bytes(stream.as_bytes());
            w.literal(br#","data":"#);
            self.plain_book(last_update_id, bids, asks, w);
            w.literal(b"}");
        });
    }

    /// A book that does not tell its symbol.
    fn plain_book(&self, last_update_id: u64, bids: &[Level], asks: &[Level], w: &mut Writer<'_>) {
        w.literal(br#"{"lastUpdateId":"#);
        w.number(last_update_id);
        w.literal(br#","bids":["#);
        self.levels(bids, w);
        w.literal(br#"],"asks":["#);
        self.levels(asks, w);
        w.literal(b"]}");
    }

    /// The symbol as a JSON string.
    fn name(&self) -> &[u8] {
        &self.symbol[SYMBOL_FIELD.len()..self.symbol.len() - 1]
    }

    #[inline(always)]
    fn levels(&self, levels: &[Level], w: &mut Writer<'_>) {
        for (index, level) in levels.iter().enumerate() {
            if index > 0 {
                w.literal(b",");
            }
            w.literal(b"[\"");
            w.units(self.price(level.price));
            w.literal(br#"",""#);
            w.units(self.quantity(level.quantity));
            w.literal(b"\"]");
        }
    }

    /// The best prices as quote and ticker have them, up to the last closing quote.
    fn best(&self, bid: Level, ask: Level, w: &mut Writer<'_>) {
        w.literal(br#""b":""#);
        w.units(self.price(bid.price));
        w.literal(br#"","B":""#);
        w.units(self.quantity(bid.quantity));
        w.literal(br#"","a":""#);
        w.units(self.price(ask.price));
        w.literal(br#"","A":""#);
        w.units(self.quantity(ask.quantity));
    }
}

impl Pieces {
    /// Prices and volumes as both kinds of statistics have them, from the last closing quote to the next.
    fn range(&self, update: &TickerUpdate, w: &mut Writer<'_>) {
        w.literal(br#"","o":""#);
        w.units(self.price(update.open.unwrap_or_default()));
        w.literal(br#"","h":""#);
        w.units(self.price(update.high));
        w.literal(br#"","l":""#);
        w.units(self.price(update.low));
        w.literal(br#"","v":""#);
        w.wide_units(u128::from(update.volume) * u128::from(self.lot));
        w.literal(br#"","q":""#);
        w.wide_units(update.quote_volume_units.unwrap_or_default());
    }
}

impl TimeText {
    #[inline(always)]
    fn write(&mut self, unix_ns: u64, w: &mut Writer<'_>) {
        let ms = unix_ns / NS_PER_MS;
        if ms == self.ms {
            w.literal(&self.digits);
        } else {
            self.write_new(ms, w);
        }
    }

    #[inline(never)]
    fn write_new(&mut self, ms: u64, w: &mut Writer<'_>) {
        let start = w.at();
        w.number(ms);
        if let Ok(digits) = w.written(start).try_into() {
            *self = Self { ms, digits };
        }
    }
}

/// Before the first message no time is written down: times in nanoseconds end long before this millisecond.
const NO_TIME: u64 = u64::MAX;

/// A book as REST has it.
pub(super) fn write_rest_book(instrument: &Instrument, snapshot: &Snapshot, limit: usize, out: &mut Vec<u8>) {
    let [bids, asks] = [&snapshot.bids, &snapshot.asks].map(|levels| -> Vec<Level> {
        levels.iter().take(limit).map(|&(price, quantity)| Level { price, quantity }).collect()
    });
    let room = 60 + NUMBER_ROOM + (bids.len() + asks.len()) * LEVEL_ROOM;
    append(out, room, |w| Pieces::new(instrument).plain_book(snapshot.update_id, &bids, &asks, w));
}

/// An amount of money in 1e-8 units.
pub(super) fn amount_text(units: i64) -> String {
    let mut out = Vec::new();
    append(&mut out, NUMBER_ROOM + 9, |w| w.signed_units(units));
    String::from_utf8(out).expect("digits are text")
}

pub(super) fn json_string(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

const SYMBOL_FIELD: &str = ",\"s\":";

/// A request for up to 500 levels a side weighs 25.
pub(super) const DEPTH_LIMITS: &[u8; 111] =
    br#","rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":25}]}"#;

/// Digits of a Unix time in milliseconds from 2001 to 2286; other times are written without the memory.
const TIME_DIGITS: usize = 13;

const NS_PER_MS: u64 = 1_000_000;

/// `,["` price `","` quantity `"]`.
const LEVEL_ROOM: usize = 10 + 2 * NUMBER_ROOM;

#[cfg(test)]
mod tests {
    use tickstorm_market::event::{
        AccountId, Balance, BookChange, Execution, Quote, Ticker, Trade, Transfer,
    };
    use tickstorm_market::instrument::{AssetId, SymbolId};

    use super::*;
    use crate::testing::{START_UNIX_NS, listing, message};

    fn encoded(messages: &[Message]) -> String {
        let mut encoder = Encoder::new(&listing(), START_UNIX_NS, 0);
        let mut out = Vec::new();
        for message in messages {
            assert!(encoder.encode(message, &mut Numbering::default(), &mut out));
        }
        String::from_utf8(out).unwrap()
    }

    fn one(body: Body) -> String {
        encoded(&[message(body)])
    }

    const CHANGE: BookChange =
        BookChange { update_id: 400_900_218, side: Side::Sell, price: 670_125, quantity: 37_570 };

    #[test]
    fn a_book_change_is_a_depth_update_of_one_level() {
        assert_eq!(
            one(Body::Book(CHANGE)),
            r#"{"e":"depthUpdate","E":1795420800104,"s":"BTCUSDT","U":400900218,"u":400900218,"b":[],"a":[["67012.50000000","0.37570000"]]}"#
        );
        assert_eq!(
            one(Body::Book(BookChange { side: Side::Buy, quantity: 0, ..CHANGE })),
            r#"{"e":"depthUpdate","E":1795420800104,"s":"BTCUSDT","U":400900218,"u":400900218,"b":[["67012.50000000","0.00000000"]],"a":[]}"#
        );
    }

    #[test]
    fn a_trade_tells_the_side_of_the_maker_and_both_times() {
        let trade = Trade { trade_id: 550_112_201, price: 670_125, quantity: 1_100, taker: Side::Buy };
        assert_eq!(
            one(Body::Trade(trade)),
            r#"{"e":"trade","E":1795420800104,"s":"BTCUSDT","t":550112201,"p":"67012.50000000","q":"0.01100000","T":1795420800103,"m":false,"M":true}"#
        );
        let sold = one(Body::Trade(Trade { taker: Side::Sell, ..trade }));
        assert!(sold.ends_with(r#""m":true,"M":true}"#), "{sold}");
    }

    const QUOTE: Quote = Quote {
        update_id: 400_900_217,
        bid: 670_124,
        bid_quantity: 15_000,
        ask: 670_125,
        ask_quantity: 41_870,
    };

    #[test]
    fn a_quote_is_a_book_ticker_without_a_time() {
        assert_eq!(
            one(Body::Quote(QUOTE)),
            r#"{"u":400900217,"s":"BTCUSDT","b":"67012.40000000","B":"0.15000000","a":"67012.50000000","A":"0.41870000"}"#
        );
    }

    const TICKER: Ticker = Ticker {
        quote: QUOTE,
        last: 670_125,
        last_quantity: 2_000,
        open: 662_000,
        high: 672_301,
        low: 658_800,
        previous_close: 661_999,
        volume: 1_825_040_110,
        quote_volume: 1_213_907_406_895_413,
        first_trade_id: 548_012_000,
        last_trade_id: 550_112_203,
        open_ns: 0,
    };

    #[test]
    fn a_ticker_has_the_figures_that_follow_from_the_others() {
        assert_eq!(
            one(Body::Ticker(TICKER)),
            concat!(
                r#"{"e":"24hrTicker","E":1795420800104,"s":"BTCUSDT","p":"812.50000000","P":"1.227","w":"66514.01250000","#,
                r#""x":"66199.90000000","c":"67012.50000000","Q":"0.02000000","b":"67012.40000000","B":"0.15000000","#,
                r#""a":"67012.50000000","A":"0.41870000","o":"66200.00000000","h":"67230.10000000","l":"65880.00000000","#,
                r#""v":"18250.40110000","q":"1213907406.89541300","O":1795420800000,"C":1795420800104,"#,
                r#""F":548012000,"L":550112203,"n":2100204}"#
            )
        );
    }

    #[test]
    fn a_fall_has_its_sign_and_a_fall_below_the_last_place_has_none() {
        let fallen = one(Body::Ticker(Ticker { last: 661_999, ..TICKER }));
        assert!(fallen.contains(r#""p":"-0.10000000","P":"0.000""#), "{fallen}");
        let fallen = one(Body::Ticker(Ticker { last: 661_990, ..TICKER }));
        assert!(fallen.contains(r#""p":"-1.00000000","P":"-0.002""#), "{fallen}");
    }

    #[test]
    fn volumes_beyond_64_bits_of_smallest_units_are_exact() {
        let body = Body::Ticker(Ticker {
            volume: 50_000_000_000_003,
            quote_volume: 50_000_000_000_003 * 662_000,
            ..TICKER
        });
        let text = encoded(&[Message { symbol: SymbolId(1), ..message(body) }]);
        assert!(text.contains(r#""v":"50000000000003.00000000","q":"331000000000.01986000""#), "{text}");
        assert!(text.contains(r#""w":"0.00662000""#), "{text}");
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
    fn a_fill_is_an_execution_report_of_the_account() {
        assert_eq!(
            one(Body::Execution(ORDER)),
            concat!(
                r#"{"subscriptionId":3,"event":{"e":"executionReport","E":1795420800104,"s":"BTCUSDT","c":"ts-000017","#,
                r#""S":"SELL","o":"LIMIT","f":"GTC","q":"0.05000000","p":"67012.50000000","P":"0.00000000","F":"0.00000000","#,
                r#""g":-1,"C":"","x":"TRADE","X":"PARTIALLY_FILLED","r":"NONE","i":17,"l":"0.01100000","z":"0.01100000","#,
                r#""L":"67012.50000000","n":"0.73713750","N":"USDT","T":1795420800103,"t":550112201,"I":155003311,"#,
                r#""w":true,"m":true,"M":true,"O":1795420800007,"Z":"737.13750000","Y":"737.13750000","Q":"0.00000000","#,
                r#""W":1795420800007,"V":"EXPIRE_MAKER"}}"#
            )
        );
    }

    #[test]
    fn the_last_fill_takes_the_order_off_the_book() {
        let text = one(Body::Execution(Execution { filled_quantity: 5_000, ..ORDER }));
        assert!(text.contains(r#""x":"TRADE","X":"FILLED""#), "{text}");
        assert!(text.contains(r#""w":false,"m":true"#), "{text}");
        assert!(!text.contains(r#""W":"#), "{text}");
        assert!(text.contains(r#""Z":"3350.62500000","Y":"737.13750000""#), "{text}");
    }

    #[test]
    fn without_a_fill_there_is_no_trade_and_no_fee() {
        let placed = Execution {
            kind: ExecutionKind::New,
            last_quantity: 0,
            last_price: 0,
            filled_quantity: 0,
            fee: 0,
            trade_id: 0,
            ..ORDER
        };
        let text = one(Body::Execution(placed));
        assert!(text.contains(r#""c":"ts-000017","S":"SELL""#), "{text}");
        assert!(text.contains(r#""C":"","x":"NEW","X":"NEW","r":"NONE","i":17,"l":"0.00000000","#), "{text}");
        assert!(text.contains(r#""L":"0.00000000","n":"0","N":null,"T":1795420800103,"t":-1,"#), "{text}");
        assert!(text.contains(r#""w":true,"m":false"#), "{text}");
    }

    #[test]
    fn a_cancellation_names_the_order_it_cancels() {
        let canceled = Execution {
            kind: ExecutionKind::Canceled,
            last_quantity: 0,
            last_price: 0,
            fee: 0,
            trade_id: 0,
            ..ORDER
        };
        let text = one(Body::Execution(canceled));
        assert!(text.contains(r#""c":"cancel-000017","S":"SELL""#), "{text}");
        assert!(text.contains(r#""C":"ts-000017","x":"CANCELED","X":"CANCELED""#), "{text}");
        assert!(text.contains(r#""z":"0.01100000","#), "{text}");
        assert!(text.contains(r#""w":false,"m":false"#), "{text}");
    }

    #[test]
    fn a_balance_is_a_position_of_one_asset() {
        let balance =
            Balance { account: AccountId(12), asset: AssetId(1), free: 100_000_000, locked: 3_900_000 };
        assert_eq!(
            one(Body::Balance(balance)),
            r#"{"subscriptionId":12,"event":{"e":"outboundAccountPosition","E":1795420800104,"u":1795420800103,"B":[{"a":"BTC","f":"1.00000000","l":"0.03900000"}]}}"#
        );
    }

    #[test]
    fn a_withdrawal_is_a_negative_balance_update() {
        let transfer = Transfer { account: AccountId(0), asset: AssetId(0), amount: -25_000_000_000 };
        assert_eq!(
            one(Body::Transfer(transfer)),
            r#"{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1795420800104,"a":"USDT","d":"-250.00000000","T":1795420800103}}"#
        );
    }

    #[test]
    fn messages_are_appended_without_anything_between_them() {
        let change = message(Body::Book(CHANGE));
        let later = Message { due_ns: change.due_ns + 1, ..change };
        let text = encoded(&[change, later, change]);
        let (first, second) = (encoded(&[change]), encoded(&[later]));
        assert!(second.contains(r#""E":1795420800105"#), "{second}");
        assert_eq!(text, [first.as_str(), &second, &first].concat());
    }

    #[test]
    fn names_are_escaped_as_json_demands() {
        let text = encoded(&[Message { symbol: SymbolId(2), ..message(Body::Book(CHANGE)) }]);
        assert!(text.contains(r#""s":"Ü\"USDT""#), "{text}");
    }

    #[test]
    fn times_of_any_length_are_written_in_full() {
        for (start_unix_ns, expected) in [
            (i64::MIN, "104"),
            (999_999_999_999_000_000, "1000000000103"),
            (999_999_999_000_000_000, "999999999104"),
            (i64::MAX, "9223372036959"),
        ] {
            let mut encoder = Encoder::new(&listing(), start_unix_ns, 0);
            for _ in 0..2 {
                let mut out = Vec::new();
                encoder.encode(&message(Body::Book(CHANGE)), &mut Numbering::default(), &mut out);
                let text = String::from_utf8(out).unwrap();
                assert!(text.contains(&format!(r#""E":{expected},"#)), "{text}");
            }
        }
    }

    #[test]
    fn room_is_left_for_the_largest_values() {
        let largest = Execution {
            account: AccountId(u32::MAX),
            order_id: u64::MAX,
            execution_id: u64::MAX,
            price: u32::MAX,
            quantity: u64::MAX / 1_000,
            trade_id: u64::MAX,
            fee: u64::MAX,
            placed_ns: u64::MAX / 4,
            ..ORDER
        };
        let ticker = Ticker {
            quote: Quote { update_id: u64::MAX, bid: u32::MAX, bid_quantity: u64::MAX, ..QUOTE },
            last: u32::MAX,
            last_quantity: u64::MAX,
            volume: u64::MAX,
            quote_volume: u128::from(u64::MAX) * u128::from(u32::MAX),
            first_trade_id: 0,
            last_trade_id: u64::MAX - 1,
            ..TICKER
        };
        let balance =
            Balance { account: AccountId(u32::MAX), asset: AssetId(3), free: u64::MAX, locked: u64::MAX };
        let book = BookChange { update_id: u64::MAX, price: u32::MAX, quantity: u64::MAX, side: Side::Buy };
        let trade = Trade { trade_id: u64::MAX, price: u32::MAX, quantity: u64::MAX, taker: Side::Buy };
        let transfer = Transfer { account: AccountId(u32::MAX), asset: AssetId(3), amount: i64::MIN };
        for body in [
            Body::Execution(largest),
            Body::Ticker(ticker),
            Body::Balance(balance),
            Body::Book(book),
            Body::Trade(trade),
            Body::Quote(ticker.quote),
            Body::Transfer(transfer),
        ] {
            let text = one(body);
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }
}
