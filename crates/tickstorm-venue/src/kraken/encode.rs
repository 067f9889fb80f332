//! Kraken's wording, written. The order of the fields is the venue's own.
//!
//! Times: `timestamp` of books, trades, orders and balances is their event's, of a ticker and of a book's snapshot
//! the message's due time.

mod account;

use std::sync::Arc;

use tickstorm_market::event::{
    AccountId, Body, BookChange, ExecutionKind, Message, Quote, Side, Snapshot, Ticker, Trade,
};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::RULES;
use super::accounts::Accounts;
use super::checksum::TopDigits;
use super::instruments::{PAIR_ROOM, write_pair};
use super::scale::Scale;
use super::time::TimeText;
use crate::decoded::{
    AssetBalance, Counted, Decoded, DepthForm, ExecutionReport, Level, StatusUpdate, TickerUpdate,
    TradePrint, WallClock,
};
use crate::encoder::Numbering;
use crate::text::{NUMBER_ROOM, Writer, append};
use crate::window::{Shown, Window};

/// Renders messages from pieces that were prepared for each symbol.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    listing: Listing,
    clock: WallClock,
    time: TimeText,
    depth: u32,
    pieces: Arc<[Pieces]>,
    /// Names of the assets as JSON strings.
    assets: Arc<[Box<[u8]>]>,
    /// Of the symbols that were heard of.
    books: Box<[Option<Box<Book>>]>,
    accounts: Accounts,
    batch: Batch,
}

/// What is the same in all messages of a symbol.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    /// `"BTC/USD"`
    pub(super) symbol: Box<[u8]>,
    pub(super) scale: Scale,
}

/// What messages of a symbol refer to.
#[derive(Debug, Clone)]
struct Book {
    window: Window,
    digits: TopDigits,
    /// The last ones, and the trades since.
    statistics: Option<Ticker>,
}

/// Room for a batch, used again for the next one.
#[derive(Debug, Clone, Default)]
struct Batch {
    /// Bids and asks as they were shown before.
    before: [Vec<Level>; 2],
    /// What subscribers are told.
    told: [Vec<Level>; 2],
    prints: Vec<TradePrint>,
}

/// A book message but for its levels.
struct BookHead {
    symbol: SymbolId,
    form: DepthForm,
    checksum: u32,
    unix_ns: u64,
}

impl Encoder {
    pub(crate) fn new(listing: &Listing, start_unix_ns: i64, depth: u32) -> Self {
        let pieces = listing.instruments.iter().map(|instrument| Pieces {
            symbol: json_string(&symbol_name(listing, instrument)),
            scale: Scale::of(instrument),
        });
        Self {
            clock: WallClock::new(start_unix_ns),
            time: TimeText::new(),
            depth,
            pieces: pieces.collect(),
            assets: listing.assets.iter().map(|name| json_string(name)).collect(),
            books: listing.instruments.iter().map(|_| None).collect(),
            accounts: Accounts::default(),
            batch: Batch::default(),
            listing: listing.clone(),
        }
    }

    pub(crate) fn seed(&mut self, snapshot: &Snapshot) {
        let scale = &self.pieces[snapshot.symbol.0 as usize].scale;
        let book = book_of(&mut self.books, snapshot.symbol, self.depth);
        book.window.seed(snapshot);
        book.digits.seed(&book.window, scale);
    }

    pub(crate) fn instruments(&mut self, _due_ns: u64, _numbering: &mut Numbering, out: &mut Vec<u8>) {
        self.states(&|_| true, out);
    }

    /// The same with the state of each.
    pub(crate) fn states(&self, trading: &dyn Fn(SymbolId) -> bool, out: &mut Vec<u8>) {
        super::instruments::write_snapshot(&self.listing, &self.pieces, &self.assets, trading, out);
    }

    /// What an account has, before any message about it.
    pub(crate) fn seed_balance(&mut self, account: AccountId, balance: &AssetBalance) {
        self.accounts.seed(account, balance.asset, balance.total_units);
    }

    pub(crate) fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        due_ns: u64,
        _numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        self.seed(snapshot);
        let book = book_of(&mut self.books, snapshot.symbol, self.depth);
        let [bids, asks] = [Side::Buy, Side::Sell].map(|side| book.window.levels(side).collect::<Vec<_>>());
        let head = BookHead {
            symbol: snapshot.symbol,
            form: DepthForm::Snapshot,
            checksum: book.digits.checksum(),
            unix_ns: self.clock.unix_ns(due_ns),
        };
        self.book(&head, &bids, &asks, out);
    }

    #[inline]
    pub(crate) fn encode(&mut self, message: &Message, numbering: &mut Numbering, out: &mut Vec<u8>) -> bool {
        let symbol = message.symbol;
        match &message.body {
            Body::Book(change) => return self.book_change(message, change, out),
            Body::Trade(trade) => {
                book_of(&mut self.books, symbol, self.depth).on_trade(trade);
                self.trades(&[TradePrint::of(message, trade, self.clock)], out);
            }
            Body::Quote(quote) => {
                let start_price = self.listing.instrument(symbol).start_price;
                let book = book_of(&mut self.books, symbol, self.depth);
                let statistics = book.statistics.unwrap_or_else(|| without_trades(start_price));
                self.statistics(message, &Ticker { quote: *quote, ..statistics }, out);
            }
            Body::Ticker(ticker) => {
                book_of(&mut self.books, symbol, self.depth).statistics = Some(*ticker);
                self.statistics(message, ticker, out);
            }
            Body::Execution(execution) => {
                let instrument = self.listing.instrument(symbol);
                let report = ExecutionReport::of(message, execution, instrument, self.clock);
                if report.kind == ExecutionKind::Trade {
                    self.accounts.on_fill(&report, instrument);
                }
                self.execution(&report, numbering, out);
            }
            Body::Balance(balance) => {
                let Some(entry) = self.accounts.on_balance(balance) else { return false };
                let unix_ns = self.clock.unix_ns(message.event_ns);
                self.entries(balance.account.0, unix_ns, &[entry], numbering, out);
            }
            Body::Transfer(transfer) => {
                self.accounts.on_transfer(transfer);
                return false;
            }
            Body::Status(status) => {
                let update = StatusUpdate { symbol, event_ns: None, trading: status.trading };
                self.status(&update, out);
            }
        }
        true
    }

    pub(crate) fn encode_batch(
        &mut self,
        messages: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some((last, others)) = messages.split_last() else { return false };
        match last.body {
            Body::Book(_) => self.book_changes(messages, out),
            Body::Trade(_) => {
                let book = book_of(&mut self.books, last.symbol, self.depth);
                let mut prints = std::mem::take(&mut self.batch.prints);
                prints.clear();
                for message in messages {
                    if let Body::Trade(trade) = &message.body {
                        book.on_trade(trade);
                        prints.push(TradePrint::of(message, trade, self.clock));
                    }
                }
                self.trades(&prints, out);
                self.batch.prints = prints;
                true
            }
            // Those that are not told still move balances.
            Body::Execution(_) | Body::Transfer(_) => {
                for message in others {
                    match &message.body {
                        Body::Execution(execution) if execution.kind == ExecutionKind::Trade => {
                            let instrument = self.listing.instrument(message.symbol);
                            let report = ExecutionReport::of(message, execution, instrument, self.clock);
                            self.accounts.on_fill(&report, instrument);
                        }
                        Body::Transfer(transfer) => self.accounts.on_transfer(transfer),
                        _ => {}
                    }
                }
                self.encode(last, numbering, out)
            }
            Body::Quote(_) | Body::Ticker(_) | Body::Balance(_) | Body::Status(_) => {
                self.encode(last, numbering, out)
            }
        }
    }

    pub(crate) fn encode_decoded(
        &mut self,
        decoded: &Decoded<'_>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match decoded {
            // The message that follows gets this number.
            Decoded::Numbered(numbered) => {
                let before = numbered.number.saturating_sub(1);
                match numbered.counted {
                    Counted::Orders => numbering.orders = before,
                    Counted::Balances => numbering.balances = before,
                    Counted::Frames => numbering.frames = before,
                }
                return false;
            }
            Decoded::Depth(update) => {
                let head = BookHead {
                    symbol: update.symbol,
                    form: update.form,
                    checksum: update.checksum.unwrap_or_default(),
                    unix_ns: update.engine_ns.or(update.event_ns).unwrap_or_default(),
                };
                self.book(&head, update.bids, update.asks, out);
            }
            Decoded::Trade(print) => self.trades(&[*print], out),
            Decoded::Ticker(update) => self.ticker(update, out),
            Decoded::Execution(report) => self.execution(report, numbering, out),
            Decoded::Balance(update) => self.balance(update, numbering, out),
            Decoded::Status(update) => self.status(update, out),
            Decoded::Aggregate(_) | Decoded::Quote(_) | Decoded::Transfer(_) | Decoded::Control => {
                return false;
            }
        }
        true
    }

    /// A change is told with the level that it brings into sight.
    #[inline]
    fn book_change(&mut self, message: &Message, change: &BookChange, out: &mut Vec<u8>) -> bool {
        let scale = &self.pieces[message.symbol.0 as usize].scale;
        let book = book_of(&mut self.books, message.symbol, self.depth);
        let shown = book.apply(change, scale);
        let Some(level) = shown.level else { return false };
        let levels = [level, shown.risen.unwrap_or_default()];
        let levels = &levels[..1 + usize::from(shown.risen.is_some())];
        let (bids, asks): (&[Level], &[Level]) = match change.side {
            Side::Buy => (levels, &[]),
            Side::Sell => (&[], levels),
        };
        let head = BookHead {
            symbol: message.symbol,
            form: DepthForm::Update,
            checksum: book.digits.checksum(),
            unix_ns: self.clock.unix_ns(message.event_ns),
        };
        self.book(&head, bids, asks, out);
        true
    }

    /// Tells what is different after all changes; nothing if that is nothing.
    fn book_changes(&mut self, messages: &[Message], out: &mut Vec<u8>) -> bool {
        let Some(last) = messages.last() else { return false };
        let scale = &self.pieces[last.symbol.0 as usize].scale;
        let book = book_of(&mut self.books, last.symbol, self.depth);
        let mut batch = std::mem::take(&mut self.batch);
        for (side, before) in SIDES.into_iter().zip(&mut batch.before) {
            before.clear();
            before.extend(book.window.levels(side));
        }
        for message in messages {
            if let Body::Book(change) = &message.body {
                book.apply(change, scale);
            }
        }
        for ((side, before), told) in SIDES.into_iter().zip(&batch.before).zip(&mut batch.told) {
            tell_difference(side, before, &book.window, self.depth, told);
        }
        let [bids, asks] = &batch.told;
        let news = !bids.is_empty() || !asks.is_empty();
        if news {
            let head = BookHead {
                symbol: last.symbol,
                form: DepthForm::Update,
                checksum: book.digits.checksum(),
                unix_ns: self.clock.unix_ns(last.event_ns),
            };
            self.book(&head, bids, asks, out);
        }
        self.batch = batch;
        news
    }

    #[inline]
    fn book(&mut self, head: &BookHead, bids: &[Level], asks: &[Level], out: &mut Vec<u8>) {
        let pieces = &self.pieces[head.symbol.0 as usize];
        let room = 160 + NUMBER_ROOM + pieces.symbol.len() + (bids.len() + asks.len()) * LEVEL_ROOM;
        append(out, room, |w| {
            match head.form {
                DepthForm::Update => w.literal(br#"{"channel":"book","type":"update","data":[{"symbol":"#),
                DepthForm::Snapshot => {
                    w.literal(br#"{"channel":"book","type":"snapshot","data":[{"symbol":"#)
                }
            }
            w.bytes(&pieces.symbol);
            w.literal(br#","bids":["#);
            pieces.levels(bids, w);
            w.literal(br#"],"asks":["#);
            pieces.levels(asks, w);
            w.literal(br#"],"checksum":"#);
            w.number(head.checksum.into());
            w.literal(br#","timestamp":""#);
            self.time.write(head.unix_ns, w);
            w.literal(br#""}]}"#);
        });
    }

    /// Trades of one symbol. All takers are limit orders that cross the spread.
    pub(crate) fn trades(&mut self, prints: &[TradePrint], out: &mut Vec<u8>) {
        let Some(first) = prints.first() else { return };
        let pieces = &self.pieces[first.symbol.0 as usize];
        append(out, 60 + prints.len() * (160 + 3 * NUMBER_ROOM + pieces.symbol.len()), |w| {
            w.literal(br#"{"channel":"trade","type":"update","data":["#);
            for (index, print) in prints.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                w.literal(br#"{"symbol":"#);
                w.bytes(&pieces.symbol);
                match print.taker {
                    Side::Buy => w.literal(br#","side":"buy","price":"#),
                    Side::Sell => w.literal(br#","side":"sell","price":"#),
                }
                pieces.price(print.price, w);
                w.literal(br#","qty":"#);
                pieces.quantity(print.quantity, w);
                w.literal(br#","ord_type":"limit","trade_id":"#);
                w.number(print.trade_id);
                w.literal(br#","timestamp":""#);
                self.time.write(print.engine_ns, w);
                w.literal(br#""}"#);
            }
            w.literal(b"]}");
        });
    }

    fn statistics(&mut self, message: &Message, statistics: &Ticker, out: &mut Vec<u8>) {
        let instrument = self.listing.instrument(message.symbol);
        let update = TickerUpdate::of(message, statistics, instrument, RULES.share_step, self.clock);
        self.ticker(&update, out);
    }

    fn ticker(&mut self, update: &TickerUpdate, out: &mut Vec<u8>) {
        let pieces = &self.pieces[update.symbol.0 as usize];
        let scale = &pieces.scale;
        let [bid, ask] = update.best.unwrap_or_default();
        let average = scale.rounded_to_price(update.weighted_average_units.unwrap_or_default());
        append(out, 240 + 11 * NUMBER_ROOM + 20 + pieces.symbol.len(), |w| {
            w.literal(br#"{"channel":"ticker","type":"update","data":[{"symbol":"#);
            w.bytes(&pieces.symbol);
            w.literal(br#","bid":"#);
            pieces.price(bid.price, w);
            w.literal(br#","bid_qty":"#);
            pieces.quantity(bid.quantity, w);
            w.literal(br#","ask":"#);
            pieces.price(ask.price, w);
            w.literal(br#","ask_qty":"#);
            pieces.quantity(ask.quantity, w);
            w.literal(br#","last":"#);
            pieces.price(update.last, w);
            w.literal(br#","volume":"#);
            w.wide_units(u128::from(update.volume) * u128::from(scale.lot()));
            w.literal(br#","vwap":"#);
            w.units_cut(average, scale.price_places());
            w.literal(br#","low":"#);
            pieces.price(update.low, w);
            w.literal(br#","high":"#);
            pieces.price(update.high, w);
            w.literal(br#","change":"#);
            let change = update.change.unwrap_or_default();
            if change < 0 {
                w.literal(b"-");
            }
            w.units_cut(change.unsigned_abs().saturating_mul(scale.tick()), scale.price_places());
            w.literal(br#","change_pct":"#);
            let share = update.change_share.unwrap_or_default();
            if share < 0 {
                w.literal(b"-");
            }
            // Of one in 1e-8, of a hundred on the wire.
            w.units_cut(share.unsigned_abs().saturating_mul(100), PERCENT_PLACES);
            w.literal(br#","timestamp":""#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            w.literal(br#""}]}"#);
        });
    }

    fn status(&mut self, update: &StatusUpdate, out: &mut Vec<u8>) {
        let instrument = self.listing.instrument(update.symbol);
        let pieces = &self.pieces[update.symbol.0 as usize];
        let [base, quote] = [instrument.base, instrument.quote].map(|asset| &*self.assets[asset.0 as usize]);
        append(out, 100 + PAIR_ROOM + pieces.symbol.len() + base.len() + quote.len(), |w| {
            w.literal(br#"{"channel":"instrument","type":"update","data":{"assets":[],"pairs":["#);
            write_pair(pieces, base, quote, update.trading, w);
            w.literal(b"]}}");
        });
    }
}

impl Pieces {
    #[inline(always)]
    pub(super) fn price(&self, ticks: u32, w: &mut Writer<'_>) {
        w.units_cut(self.scale.price(ticks), self.scale.price_places());
    }

    #[inline(always)]
    fn quantity(&self, lots: u64, w: &mut Writer<'_>) {
        w.units(self.scale.quantity(lots));
    }

    #[inline(always)]
    fn levels(&self, levels: &[Level], w: &mut Writer<'_>) {
        for (index, level) in levels.iter().enumerate() {
            if index > 0 {
                w.literal(b",");
            }
            w.literal(br#"{"price":"#);
            self.price(level.price, w);
            w.literal(br#","qty":"#);
            self.quantity(level.quantity, w);
            w.literal(b"}");
        }
    }
}

impl Book {
    fn new(depth: u32) -> Self {
        Self { window: Window::new(depth), digits: TopDigits::new(), statistics: None }
    }

    #[inline]
    fn apply(&mut self, change: &BookChange, scale: &Scale) -> Shown {
        let shown = self.window.apply(change);
        let level = Level { price: change.price, quantity: change.quantity };
        self.digits.apply(change.side, level, &self.window, scale);
        shown
    }

    fn on_trade(&mut self, trade: &Trade) {
        on_trade(&mut self.statistics, trade);
    }
}

/// Takes a trade into the statistics: best prices may be told before those that follow from it.
pub(crate) fn on_trade(statistics: &mut Option<Ticker>, trade: &Trade) {
    let statistics = statistics
        .get_or_insert_with(|| Ticker { first_trade_id: trade.trade_id, ..without_trades(trade.price) });
    statistics.last = trade.price;
    statistics.last_quantity = trade.quantity;
    statistics.high = statistics.high.max(trade.price);
    statistics.low = statistics.low.min(trade.price);
    statistics.volume = statistics.volume.saturating_add(trade.quantity);
    let money = u128::from(trade.price) * u128::from(trade.quantity);
    statistics.quote_volume = statistics.quote_volume.saturating_add(money);
    statistics.last_trade_id = trade.trade_id;
}

/// The venue's name of an instrument.
pub(super) fn symbol_name(listing: &Listing, instrument: &Instrument) -> String {
    crate::Venue::Kraken.symbol(listing, instrument)
}

#[inline]
fn book_of(books: &mut [Option<Box<Book>>], symbol: SymbolId, depth: u32) -> &mut Book {
    books[symbol.0 as usize].get_or_insert_with(|| Box::new(Book::new(depth)))
}

/// Statistics of a symbol that has not traded.
pub(crate) fn without_trades(price: u32) -> Ticker {
    Ticker {
        quote: Quote { update_id: 0, bid: 0, bid_quantity: 0, ask: 0, ask_quantity: 0 },
        last: price,
        last_quantity: 0,
        open: price,
        high: price,
        low: price,
        previous_close: price,
        volume: 0,
        quote_volume: 0,
        first_trade_id: 1,
        last_trade_id: 0,
        open_ns: 0,
    }
}

/// What turns the levels shown before into those of the book, removals first: so a subscriber who cuts his book after
/// every level never drops one that is to stay.
fn tell_difference(side: Side, before: &[Level], book: &Window, depth: u32, told: &mut Vec<Level>) {
    told.clear();
    let better = |one: &Level, other: &Level| match side {
        Side::Buy => one.price > other.price,
        Side::Sell => one.price < other.price,
    };
    let full = book.levels(side).count() == depth as usize;
    let mut after = book.levels(side).peekable();
    for level in before {
        while after.next_if(|there| better(there, level)).is_some() {}
        let gone = match after.peek() {
            Some(there) => there.price != level.price,
            // Behind all that are shown: pushed out of sight if these are as many as can be, which subscribers see
            // for themselves.
            None => !full,
        };
        if gone {
            told.push(Level { price: level.price, quantity: 0 });
        }
    }
    let mut before = before.iter().peekable();
    for level in book.levels(side) {
        while before.next_if(|there| better(there, &level)).is_some() {}
        if before.peek() != Some(&&level) {
            told.push(level);
        }
    }
}

pub(super) fn json_string(name: &str) -> Box<[u8]> {
    serde_json::Value::from(name).to_string().into_bytes().into()
}

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// Decimals of a percentage.
const PERCENT_PLACES: u32 = 2;

/// `,{"price":` price `,"qty":` quantity `}`
const LEVEL_ROOM: usize = 20 + 2 * NUMBER_ROOM;
