//! The books and orders that a consumer rebuilds from a venue's messages, and the checks it can make on the
//! way.

mod fault;

pub use fault::Fault;

use tickstorm_market::event::{ExecutionKind, Side, Snapshot};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId, UNITS_PER_WHOLE};

use crate::binance;
use crate::decoded::{
    AssetBalance, Decoded, DepthUpdate, ExecutionReport, Level, OrderStatus, QuoteUpdate, TickerUpdate,
    TradePrint, millipercent,
};
use crate::venue::Venue;

/// All books of a listing, kept from the messages of one connection or of many.
///
/// The messages of each symbol must come in the market's order, as the encoder writes them: the checks
/// compare kinds of message with each other, which a venue that folds some kinds and not others would not
/// survive.
#[derive(Debug, Clone)]
pub struct Replica {
    listing: Listing,
    books: Box<[ReplicaBook]>,
}

impl Replica {
    /// Empty books that have not heard of anything yet: the first messages are taken as they come, and what
    /// needs a complete book is not checked before [`Replica::seed`].
    pub fn new(venue: Venue, listing: &Listing) -> Self {
        let books = listing.instruments.iter().map(|instrument| ReplicaBook::new(venue, instrument));
        Self { listing: listing.clone(), books: books.collect() }
    }

    /// Replaces a book by a snapshot, from which on it is complete. Snapshots of foreign symbols are ignored.
    pub fn seed(&mut self, snapshot: &Snapshot) {
        if let Some(book) = self.books.get_mut(snapshot.symbol.0 as usize) {
            book.seed(snapshot);
        }
    }

    /// Takes in one message. Of several faults in one message the first is returned. The replica stays
    /// usable: it adopts what it was told, so that one error of the venue is one fault as far as can be
    /// known. (A trade or a ticker between a lost depth update and the next one may show the loss before the
    /// gap names it.)
    #[inline]
    pub fn apply(&mut self, message: &Decoded<'_>) -> Result<(), Fault> {
        match message {
            Decoded::Depth(update) => self.book_mut(update.symbol)?.on_depth(update),
            Decoded::Trade(print) => self.book_mut(print.symbol)?.on_trade(print),
            Decoded::Quote(update) => self.book_mut(update.symbol)?.on_quote(update),
            Decoded::Ticker(update) => self.book_mut(update.symbol)?.on_ticker(update),
            Decoded::Execution(report) => self.book_mut(report.symbol)?.on_execution(report),
            Decoded::Balance(update) => {
                update.balances.iter().try_for_each(|balance| self.check_balance(balance, update.account.0))
            }
            Decoded::Transfer(_) => Ok(()),
        }
    }

    /// The book of a symbol of the listing.
    pub fn book(&self, symbol: SymbolId) -> &ReplicaBook {
        &self.books[symbol.0 as usize]
    }

    /// The levels of one side of a symbol's book as price in ticks and quantity in lots, best first: the form
    /// in which a [`Snapshot`] has them.
    pub fn levels(&self, symbol: SymbolId, side: Side) -> impl Iterator<Item = (u32, u64)> {
        self.book(symbol).levels(side).map(|level| (level.price, level.quantity))
    }

    /// The best bid and ask of a symbol, where there are any.
    pub fn best(&self, symbol: SymbolId) -> (Option<Level>, Option<Level>) {
        let book = self.book(symbol);
        (book.best(Side::Buy), book.best(Side::Sell))
    }

    #[inline]
    fn book_mut(&mut self, symbol: SymbolId) -> Result<&mut ReplicaBook, Fault> {
        self.books.get_mut(symbol.0 as usize).ok_or(Fault::UnknownSymbol { symbol })
    }

    fn check_balance(&self, balance: &AssetBalance, account: u32) -> Result<(), Fault> {
        let negative = |field, units| {
            let asset = self.listing.assets.get(balance.asset.0 as usize).cloned().unwrap_or_default();
            Fault::NegativeBalance { account, asset, field, found: units }
        };
        if balance.free_units < 0 {
            return Err(negative("free", balance.free_units));
        }
        if balance.locked_units < 0 {
            return Err(negative("locked", balance.locked_units));
        }
        Ok(())
    }
}

/// One symbol's book, its last trade and quote, and the own orders on it.
#[derive(Debug, Clone)]
pub struct ReplicaBook {
    venue: Venue,
    instrument: Instrument,
    bids: Ladder,
    asks: Ladder,
    position: Position,
    /// Whether the book is complete: seeded, and no update missed since.
    synchronised: bool,
    last_trade: Option<TradePrint>,
    last_quote_id: u64,
    /// By order id, rising.
    orders: Vec<OpenOrder>,
}

/// How far a book has followed its updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// Nothing heard yet.
    Unknown,
    /// At a snapshot with this update id.
    Snapshot(u64),
    /// At an update whose last id this is.
    Update(u64),
}

/// Why an update does not continue a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Updates between the book and this one are missing.
    Gap { expected: u64 },
    /// The book is past this update.
    Old { last: u64 },
}

#[derive(Debug, Clone, Copy)]
struct OpenOrder {
    id: u64,
    filled_quantity: u64,
    filled_quote_units: u64,
}

impl ReplicaBook {
    /// An empty book that has not heard of anything yet.
    pub fn new(venue: Venue, instrument: &Instrument) -> Self {
        Self {
            venue,
            instrument: instrument.clone(),
            bids: Ladder::default(),
            asks: Ladder::default(),
            position: Position::Unknown,
            synchronised: false,
            last_trade: None,
            last_quote_id: 0,
            orders: Vec::new(),
        }
    }

    /// Replaces the levels by those of a snapshot, from which on the book is complete.
    pub fn seed(&mut self, snapshot: &Snapshot) {
        self.bids.fill(&snapshot.bids, bid_rank);
        self.asks.fill(&snapshot.asks, ask_rank);
        self.position = Position::Snapshot(snapshot.update_id);
        self.synchronised = true;
    }

    /// Whether the book is complete: seeded, and no update missed since.
    pub fn is_synchronised(&self) -> bool {
        self.synchronised
    }

    /// The last book change that the book contains.
    pub fn update_id(&self) -> Option<u64> {
        match self.position {
            Position::Unknown => None,
            Position::Snapshot(id) | Position::Update(id) => Some(id),
        }
    }

    /// The levels of one side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        let ladder = self.ladder(side);
        ladder.rungs.iter().rev().map(move |rung| rung.level(side))
    }

    /// The best level of one side.
    #[inline]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.ladder(side).rungs.last().map(|rung| rung.level(side))
    }

    /// Takes in a depth update by the venue's rule of continuity. An old one is ignored; after a gap the
    /// update is adopted, but the book is no longer complete.
    #[inline]
    pub fn on_depth(&mut self, update: &DepthUpdate<'_>) -> Result<(), Fault> {
        let fit = match self.venue {
            Venue::Binance => binance::admit(self.position, update),
        };
        if let Err(Misfit::Old { last }) = fit {
            return Err(Fault::OldUpdate { symbol: self.name(), last, found: update.last_update_id });
        }
        for level in update.bids {
            self.bids.set(bid_rank(level.price), level.quantity);
        }
        for level in update.asks {
            self.asks.set(ask_rank(level.price), level.quantity);
        }
        self.position = Position::Update(update.last_update_id);
        if let Err(Misfit::Gap { expected }) = fit {
            self.synchronised = false;
            return Err(Fault::UpdateGap { symbol: self.name(), expected, found: update.first_update_id });
        }
        self.check_crossed()
    }

    /// Takes in a trade: numbered without gaps, at the best price of the side that it took from, and no
    /// larger than what rests there.
    pub fn on_trade(&mut self, print: &TradePrint) -> Result<(), Fault> {
        let last = self.last_trade.map(|trade| trade.trade_id);
        if let Some(last) = last.filter(|&last| print.trade_id <= last) {
            return Err(Fault::OldTrade { symbol: self.name(), last, found: print.trade_id });
        }
        self.last_trade = Some(*print);
        if let Some(expected) = last.map(|last| last + 1).filter(|&expected| expected != print.trade_id) {
            return Err(Fault::TradeGap { symbol: self.name(), expected, found: print.trade_id });
        }
        self.check_touch(print)
    }

    /// Takes in best prices: newer than the last ones, and the book's own if they reflect its last change.
    pub fn on_quote(&mut self, update: &QuoteUpdate) -> Result<(), Fault> {
        if update.update_id <= self.last_quote_id {
            return Err(Fault::OldQuote {
                symbol: self.name(),
                last: self.last_quote_id,
                found: update.update_id,
            });
        }
        self.last_quote_id = update.update_id;
        if self.update_id() == Some(update.update_id) {
            self.check_best("book ticker", update.bid, update.ask)?;
        }
        Ok(())
    }

    /// Takes in statistics: consistent in themselves, with the last trade, and with the book.
    pub fn on_ticker(&mut self, update: &TickerUpdate) -> Result<(), Fault> {
        self.check_statistics(update)?;
        if let Some(trade) = self.last_trade {
            // A later trade is one that was missed, which the next trade's number will tell.
            if update.last_trade_id == trade.trade_id {
                self.expect_ticker("last price", trade.price.into(), update.last.price.into())?;
                self.expect_ticker("last quantity", trade.quantity.into(), update.last.quantity.into())?;
            } else if update.last_trade_id < trade.trade_id {
                self.expect_ticker("last trade id", trade.trade_id.into(), update.last_trade_id.into())?;
            }
        }
        self.check_best("ticker", update.bid, update.ask)
    }

    /// Takes in a change of an own order: fills add up, refer to the public trade, and end with the order's
    /// quantity.
    pub fn on_execution(&mut self, report: &ExecutionReport) -> Result<(), Fault> {
        let index = self.orders.binary_search_by_key(&report.order_id, |order| order.id);
        let known = index.ok().map(|index| self.orders[index]);
        self.remember_order(report, index);
        self.check_fill(report)?;
        self.check_total(report, known)
    }

    fn remember_order(&mut self, report: &ExecutionReport, index: Result<usize, usize>) {
        let order = OpenOrder {
            id: report.order_id,
            filled_quantity: report.filled_quantity,
            filled_quote_units: report.filled_quote_units,
        };
        let open = matches!(report.status, OrderStatus::New | OrderStatus::PartiallyFilled);
        match (index, open) {
            (Ok(index), true) => self.orders[index] = order,
            (Ok(index), false) => {
                self.orders.remove(index);
            }
            (Err(index), true) => {
                self.orders.insert(index, order);
                if self.orders.len() > OPEN_ORDERS_MAX {
                    self.orders.remove(0);
                }
            }
            (Err(_), false) => {}
        }
    }

    /// What the report says of this fill alone.
    fn check_fill(&self, report: &ExecutionReport) -> Result<(), Fault> {
        let expect = |field, expected, found| self.expect_execution(report, field, expected, found);
        if report.kind != ExecutionKind::Trade {
            return expect("last quantity", 0, report.last.quantity.into());
        }
        let notional = u128::from(report.last.price) * u128::from(report.last.quantity);
        let last_quote_units = notional * u128::from(self.instrument.notional(1, 1));
        expect("last quote quantity", last_quote_units, report.last_quote_units.into())?;
        match self.last_trade.filter(|trade| Some(trade.trade_id) == report.trade_id) {
            Some(trade) => {
                expect("last price", trade.price.into(), report.last.price.into())?;
                let at_most = report.last.quantity.min(trade.quantity);
                expect("last quantity", at_most.into(), report.last.quantity.into())
            }
            None => Ok(()),
        }
    }

    /// What the report says of the order as a whole; `known` is what it said before.
    fn check_total(&self, report: &ExecutionReport, known: Option<OpenOrder>) -> Result<(), Fault> {
        let expect = |field, expected, found| self.expect_execution(report, field, expected, found);
        let before = match report.kind {
            ExecutionKind::New => Some((0, 0)),
            _ => known.map(|order| (order.filled_quantity, order.filled_quote_units)),
        };
        if let Some((quantity, quote_units)) = before {
            let filled_quantity = u128::from(quantity) + u128::from(report.last.quantity);
            expect("cumulative quantity", filled_quantity, report.filled_quantity.into())?;
            let filled_quote_units = u128::from(quote_units) + u128::from(report.last_quote_units);
            expect("cumulative quote quantity", filled_quote_units, report.filled_quote_units.into())?;
        }
        match report.status {
            OrderStatus::Filled => {
                expect("cumulative quantity", report.quantity.into(), report.filled_quantity.into())
            }
            _ => {
                let at_most = report.filled_quantity.min(report.quantity.saturating_sub(1));
                expect("cumulative quantity", at_most.into(), report.filled_quantity.into())
            }
        }
    }

    /// Bids must stay below asks. A crossed book has lost something, so that it counts as incomplete.
    #[inline]
    fn check_crossed(&mut self) -> Result<(), Fault> {
        match (self.best(Side::Buy), self.best(Side::Sell)) {
            (Some(bid), Some(ask)) if bid.price >= ask.price && self.synchronised => {
                self.synchronised = false;
                Err(Fault::Crossed { symbol: self.name(), bid: bid.price, ask: ask.price })
            }
            _ => Ok(()),
        }
    }

    fn check_touch(&self, print: &TradePrint) -> Result<(), Fault> {
        let maker = match print.taker {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let touch = self.best(maker);
        match touch {
            _ if !self.synchronised => Ok(()),
            Some(level) if level.price == print.price && level.quantity >= print.quantity => Ok(()),
            _ => Err(Fault::OffTouch {
                symbol: self.name(),
                trade_id: print.trade_id,
                found: Level { price: print.price, quantity: print.quantity },
                touch: touch.unwrap_or_default(),
            }),
        }
    }

    fn check_best(&self, source: &'static str, bid: Level, ask: Level) -> Result<(), Fault> {
        let best = [Side::Buy, Side::Sell].map(|side| self.best(side).unwrap_or_default());
        if self.synchronised && best != [bid, ask] {
            return Err(Fault::WrongBest {
                symbol: self.name(),
                source_of_best: source,
                expected: best,
                found: [bid, ask],
            });
        }
        Ok(())
    }

    /// The ticker's figures among themselves. The two quotients may be rounded either way.
    fn check_statistics(&self, update: &TickerUpdate) -> Result<(), Fault> {
        let expect = |field, expected, found| self.expect_ticker(field, expected, found);
        let count = i128::from(update.last_trade_id) - i128::from(update.first_trade_id) + 1;
        expect("count", count, update.count.into())?;
        expect("change", i128::from(update.last.price) - i128::from(update.open), update.change.into())?;
        for (field, price) in [("open", update.open), ("last price", update.last.price)] {
            expect(field, price.clamp(update.low, update.high.max(update.low)).into(), price.into())?;
        }
        let percent = i128::from(millipercent(update.change, update.open));
        let found = i128::from(update.change_millipercent);
        expect("thousandths of a per cent", near(percent, found), found)?;
        if update.volume > 0 {
            let average = self.average_units(update);
            let found = i128::from(update.weighted_average_units);
            expect("weighted average", near(average, found), found)?;
        }
        Ok(())
    }

    /// Quote volume by base volume, rounded down.
    fn average_units(&self, update: &TickerUpdate) -> i128 {
        let volume_units = u128::from(update.volume) * u128::from(self.instrument.lot);
        let average = update.quote_volume_units.saturating_mul(UNITS_PER_WHOLE.into()) / volume_units;
        i128::try_from(average).unwrap_or(i128::MAX)
    }

    fn expect_ticker(&self, field: &'static str, expected: i128, found: i128) -> Result<(), Fault> {
        if expected == found {
            return Ok(());
        }
        Err(Fault::Ticker { symbol: self.name(), field, expected, found })
    }

    fn expect_execution(
        &self,
        report: &ExecutionReport,
        field: &'static str,
        expected: u128,
        found: u128,
    ) -> Result<(), Fault> {
        if expected == found {
            return Ok(());
        }
        Err(Fault::Execution { symbol: self.name(), order_id: report.order_id, field, expected, found })
    }

    fn name(&self) -> String {
        self.instrument.symbol.clone()
    }

    #[inline]
    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

/// `found` itself if it is within one of `exact`, else `exact`.
fn near(exact: i128, found: i128) -> i128 {
    if found.abs_diff(exact) <= 1 { found } else { exact }
}

/// One side of a book in rising order of rank, so that the best level is last and what changes most moves
/// least.
#[derive(Debug, Clone, Default)]
struct Ladder {
    rungs: Vec<Rung>,
}

#[derive(Debug, Clone, Copy)]
struct Rung {
    /// The better the price, the higher.
    rank: u32,
    quantity: u64,
}

const fn bid_rank(price: u32) -> u32 {
    price
}

const fn ask_rank(price: u32) -> u32 {
    !price
}

impl Rung {
    #[inline]
    fn level(self, side: Side) -> Level {
        let price = match side {
            Side::Buy => self.rank,
            Side::Sell => !self.rank,
        };
        Level { price, quantity: self.quantity }
    }
}

impl Ladder {
    /// Replaces everything by these levels, best first.
    fn fill(&mut self, levels: &[(u32, u64)], rank: impl Fn(u32) -> u32) {
        self.rungs.clear();
        for &(price, quantity) in levels.iter().rev() {
            self.set(rank(price), quantity);
        }
    }

    /// Sets the quantity at a rank; zero removes it, and removing what is not there is normal.
    #[inline]
    fn set(&mut self, rank: u32, quantity: u64) {
        let index = self.first_at_or_above(rank);
        let there = self.rungs.get(index).is_some_and(|rung| rung.rank == rank);
        match (there, quantity) {
            (true, 0) => {
                self.rungs.remove(index);
            }
            (true, _) => self.rungs[index].quantity = quantity,
            (false, 0) => {}
            (false, _) => self.rungs.insert(index, Rung { rank, quantity }),
        }
    }

    #[inline]
    fn first_at_or_above(&self, rank: u32) -> usize {
        self.rungs.partition_point(|rung| rung.rank < rank)
    }
}

/// Own orders remembered for each symbol; simulated accounts have at most sixteen. The oldest are forgotten
/// first, which only means that the next report of such an order is taken as it comes.
const OPEN_ORDERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tickstorm_market::event::AccountId;
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::testing::listing;

    const SYMBOL: SymbolId = SymbolId(0);

    fn level(price: u32, quantity: u64) -> Level {
        Level { price, quantity }
    }

    /// A book at update 10: bids 100 and 98, asks 101 and 105, five lots each.
    fn seeded() -> Replica {
        let mut replica = Replica::new(Venue::Binance, &listing());
        replica.seed(&Snapshot {
            symbol: SYMBOL,
            sequence: 0,
            update_id: 10,
            bids: vec![(100, 5), (98, 5)],
            asks: vec![(101, 5), (105, 5)],
        });
        replica
    }

    /// Applies a depth update of the ids `first` to `last`.
    fn depth(
        replica: &mut Replica,
        first: u64,
        last: u64,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), Fault> {
        replica.apply(&Decoded::Depth(DepthUpdate {
            symbol: SYMBOL,
            event_ms: 0,
            first_update_id: first,
            last_update_id: last,
            bids,
            asks,
        }))
    }

    fn trade(trade_id: u64, price: u32, quantity: u64, taker: Side) -> TradePrint {
        TradePrint { symbol: SYMBOL, event_ms: 0, engine_ms: 0, trade_id, price, quantity, taker }
    }

    fn gap(expected: u64, found: u64) -> Result<(), Fault> {
        Err(Fault::UpdateGap { symbol: "BTCUSDT".into(), expected, found })
    }

    fn old(last: u64, found: u64) -> Result<(), Fault> {
        Err(Fault::OldUpdate { symbol: "BTCUSDT".into(), last, found })
    }

    #[test]
    fn updates_change_insert_and_remove_levels() {
        let mut replica = seeded();
        assert_eq!(depth(&mut replica, 11, 11, &[level(100, 7)], &[]), Ok(()));
        assert_eq!(depth(&mut replica, 12, 14, &[level(99, 1)], &[level(101, 0), level(103, 2)]), Ok(()));
        assert_eq!(replica.levels(SYMBOL, Side::Buy).collect::<Vec<_>>(), [(100, 7), (99, 1), (98, 5)]);
        assert_eq!(replica.levels(SYMBOL, Side::Sell).collect::<Vec<_>>(), [(103, 2), (105, 5)]);
        assert_eq!(replica.best(SYMBOL), (Some(level(100, 7)), Some(level(103, 2))));
        assert_eq!(replica.book(SYMBOL).update_id(), Some(14));
    }

    #[test]
    fn removing_a_level_that_is_not_there_is_normal() {
        let mut replica = seeded();
        assert_eq!(depth(&mut replica, 11, 11, &[level(42, 0)], &[level(4242, 0)]), Ok(()));
        assert_eq!(replica.levels(SYMBOL, Side::Buy).count(), 2);
    }

    #[test]
    fn a_dropped_update_is_one_gap_and_leaves_the_book_incomplete() {
        let mut replica = seeded();
        assert_eq!(depth(&mut replica, 12, 12, &[], &[level(101, 9)]), gap(11, 12));
        assert!(!replica.book(SYMBOL).is_synchronised());
        assert_eq!(replica.best(SYMBOL).1, Some(level(101, 9)), "adopted all the same");
        assert_eq!(
            depth(&mut replica, 13, 13, &[level(101, 1)], &[]),
            Ok(()),
            "crossed, but that is no news"
        );
    }

    #[test]
    fn a_doubled_update_is_old_and_changes_nothing() {
        let mut replica = seeded();
        assert_eq!(depth(&mut replica, 11, 12, &[level(100, 7)], &[]), Ok(()));
        assert_eq!(depth(&mut replica, 11, 12, &[level(100, 1)], &[]), old(12, 12));
        assert_eq!(replica.best(SYMBOL).0, Some(level(100, 7)));
        assert!(replica.book(SYMBOL).is_synchronised());
    }

    #[test]
    fn swapped_updates_are_a_gap_and_an_old_one() {
        let mut replica = seeded();
        assert_eq!(depth(&mut replica, 12, 12, &[], &[]), gap(11, 12));
        assert_eq!(depth(&mut replica, 11, 11, &[], &[]), old(12, 11));
        assert_eq!(depth(&mut replica, 13, 13, &[], &[]), Ok(()));
    }

    #[test]
    fn only_the_first_update_after_a_snapshot_may_overlap_it() {
        let mut replica = seeded();
        assert_eq!(depth(&mut replica, 8, 12, &[], &[]), Ok(()));
        assert_eq!(depth(&mut replica, 12, 14, &[], &[]), gap(13, 12));
    }

    #[test]
    fn a_snapshot_makes_an_incomplete_book_complete_again() {
        let mut replica = seeded();
        assert!(depth(&mut replica, 20, 20, &[level(500, 1)], &[]).is_err());
        let bids = vec![(90, 1)];
        replica.seed(&Snapshot { symbol: SYMBOL, sequence: 0, update_id: 30, bids, asks: vec![] });
        assert!(replica.book(SYMBOL).is_synchronised());
        assert_eq!(replica.best(SYMBOL), (Some(level(90, 1)), None));
        assert_eq!(depth(&mut replica, 31, 31, &[], &[]), Ok(()));
    }

    #[test]
    fn a_book_without_a_snapshot_takes_the_first_update_as_it_comes() {
        let mut replica = Replica::new(Venue::Binance, &listing());
        assert_eq!(replica.book(SYMBOL).update_id(), None);
        assert_eq!(depth(&mut replica, 77, 77, &[level(100, 1)], &[level(100, 1)]), Ok(()));
        assert!(!replica.book(SYMBOL).is_synchronised());
        assert_eq!(depth(&mut replica, 79, 79, &[], &[]), gap(78, 79));
    }

    #[test]
    fn a_crossed_book_is_found_once() {
        let mut replica = seeded();
        let crossed = Fault::Crossed { symbol: "BTCUSDT".into(), bid: 101, ask: 101 };
        assert_eq!(depth(&mut replica, 11, 11, &[level(101, 1)], &[]), Err(crossed));
        assert_eq!(depth(&mut replica, 12, 12, &[level(101, 2)], &[]), Ok(()));
    }

    #[test]
    fn trades_must_rise_by_one() {
        let mut replica = seeded();
        let mut apply = |id| replica.apply(&Decoded::Trade(trade(id, 101, 1, Side::Buy)));
        let symbol = || String::from("BTCUSDT");
        assert_eq!(apply(5), Ok(()));
        assert_eq!(apply(6), Ok(()));
        assert_eq!(apply(6), Err(Fault::OldTrade { symbol: symbol(), last: 6, found: 6 }));
        assert_eq!(apply(8), Err(Fault::TradeGap { symbol: symbol(), expected: 7, found: 8 }));
        assert_eq!(apply(9), Ok(()));
    }

    #[test]
    fn trades_must_be_at_the_touch_and_within_its_quantity() {
        let mut replica = seeded();
        for (id, price, quantity, taker, touch) in
            [(1, 102, 1, Side::Buy, level(101, 5)), (2, 100, 6, Side::Sell, level(100, 5))]
        {
            let found = replica.apply(&Decoded::Trade(trade(id, price, quantity, taker)));
            let found_level = level(price, quantity);
            let fault = Fault::OffTouch { symbol: "BTCUSDT".into(), trade_id: id, found: found_level, touch };
            assert_eq!(found, Err(fault));
        }
        assert_eq!(replica.apply(&Decoded::Trade(trade(3, 100, 5, Side::Sell))), Ok(()));
    }

    #[test]
    fn best_prices_are_compared_when_they_reflect_the_same_change() {
        let mut replica = seeded();
        let mut apply = |update_id, bid, ask| {
            replica.apply(&Decoded::Quote(QuoteUpdate { symbol: SYMBOL, update_id, bid, ask }))
        };
        let (bid, ask) = (level(100, 5), level(101, 5));
        assert_eq!(apply(9, level(1, 1), ask), Ok(()), "of an earlier book");
        assert_eq!(apply(10, bid, ask), Ok(()));
        assert_eq!(apply(10, bid, ask).map_err(|fault| fault.kind()), Err("old_quote"));
        assert_eq!(apply(11, level(1, 1), ask), Ok(()), "of a book that is still to come");
        let mut replica = seeded();
        let found = [level(100, 4), ask];
        let update = QuoteUpdate { symbol: SYMBOL, update_id: 10, bid: found[0], ask: found[1] };
        let fault = Fault::WrongBest {
            symbol: "BTCUSDT".into(),
            source_of_best: "book ticker",
            expected: [bid, ask],
            found,
        };
        assert_eq!(replica.apply(&Decoded::Quote(update)), Err(fault));
    }

    /// Consistent with the seeded book after trade 7 at 101 for 3 lots. Prices in ticks of 0.1: five lots of
    /// 0.00001 at an average of 10.06.
    const TICKER: TickerUpdate = TickerUpdate {
        symbol: SYMBOL,
        event_ms: 0,
        change: 1,
        change_millipercent: 1_000,
        weighted_average_units: 1_006_000_000,
        previous_close: 99,
        last: Level { price: 101, quantity: 3 },
        bid: Level { price: 100, quantity: 5 },
        ask: Level { price: 101, quantity: 5 },
        open: 100,
        high: 101,
        low: 100,
        volume: 5,
        quote_volume_units: 50_300,
        open_ms: 0,
        close_ms: 0,
        first_trade_id: 6,
        last_trade_id: 7,
        count: 2,
    };

    #[test]
    fn a_ticker_must_agree_with_itself_the_last_trade_and_the_book() {
        let apply = |ticker: TickerUpdate| {
            let mut replica = seeded();
            replica.apply(&Decoded::Trade(trade(7, 101, 3, Side::Buy))).unwrap();
            replica.apply(&Decoded::Ticker(ticker))
        };
        assert_eq!(apply(TICKER), Ok(()));
        let rounded = TickerUpdate { weighted_average_units: 1_006_000_001, ..TICKER };
        assert_eq!(apply(rounded), Ok(()), "the last place may be rounded either way");
        for (ticker, field, expected, found) in [
            (TickerUpdate { count: 3, ..TICKER }, "count", 2, 3),
            (TickerUpdate { change: 2, ..TICKER }, "change", 1, 2),
            (TickerUpdate { high: 100, ..TICKER }, "last price", 100, 101),
            (TickerUpdate { low: 101, ..TICKER }, "open", 101, 100),
            (
                TickerUpdate { change_millipercent: 1_002, ..TICKER },
                "thousandths of a per cent",
                1_000,
                1_002,
            ),
            (
                TickerUpdate { quote_volume_units: 50_400, ..TICKER },
                "weighted average",
                1_008_000_000,
                1_006_000_000,
            ),
            (TickerUpdate { last: level(101, 4), ..TICKER }, "last quantity", 3, 4),
            (TickerUpdate { first_trade_id: 5, last_trade_id: 6, ..TICKER }, "last trade id", 7, 6),
        ] {
            let fault = Fault::Ticker { symbol: "BTCUSDT".into(), field, expected, found };
            assert_eq!(apply(ticker), Err(fault));
        }
        let best = apply(TickerUpdate { bid: level(100, 4), ..TICKER });
        assert_eq!(best.map_err(|fault| fault.kind()), Err("wrong_best"));
        let ahead = TickerUpdate { last_trade_id: 8, count: 3, last: level(101, 1), ..TICKER };
        assert_eq!(apply(ahead), Ok(()), "the missing trade is named when the next one comes");
    }

    /// An order to sell ten lots at 101 that has been placed and not filled. A lot at a tick costs 100 units.
    const PLACED: ExecutionReport = ExecutionReport {
        account: AccountId(1),
        symbol: SYMBOL,
        event_ms: 0,
        engine_ms: 0,
        kind: ExecutionKind::New,
        status: OrderStatus::New,
        side: Side::Sell,
        order_id: 4,
        execution_id: 1,
        price: 101,
        quantity: 10,
        last: Level { price: 0, quantity: 0 },
        filled_quantity: 0,
        last_quote_units: 0,
        filled_quote_units: 0,
        fee_units: 0,
        fee_asset: None,
        trade_id: None,
        placed_ms: 0,
    };

    fn fill(quantity: u64, filled_quantity: u64, status: OrderStatus) -> ExecutionReport {
        ExecutionReport {
            kind: ExecutionKind::Trade,
            status,
            last: level(101, quantity),
            filled_quantity,
            last_quote_units: quantity * 101 * 100,
            filled_quote_units: filled_quantity * 101 * 100,
            fee_asset: Some(AssetId(0)),
            trade_id: Some(7),
            ..PLACED
        }
    }

    fn execution_fault(field: &'static str, expected: u128, found: u128) -> Result<(), Fault> {
        Err(Fault::Execution { symbol: "BTCUSDT".into(), order_id: 4, field, expected, found })
    }

    #[test]
    fn fills_of_an_order_must_add_up() {
        let mut replica = seeded();
        let mut apply = |report| replica.apply(&Decoded::Execution(report));
        assert_eq!(apply(PLACED), Ok(()));
        assert_eq!(apply(fill(3, 3, OrderStatus::PartiallyFilled)), Ok(()));
        assert_eq!(
            apply(fill(3, 7, OrderStatus::PartiallyFilled)),
            execution_fault("cumulative quantity", 6, 7)
        );
        assert_eq!(apply(fill(3, 10, OrderStatus::Filled)), Ok(()), "from what it was last told");
        let again = ExecutionReport { filled_quantity: 1, ..PLACED };
        assert_eq!(apply(again), execution_fault("cumulative quantity", 0, 1));
    }

    #[test]
    fn money_of_fills_must_add_up_too() {
        let mut replica = seeded();
        let mut apply = |report| replica.apply(&Decoded::Execution(report));
        assert_eq!(apply(PLACED), Ok(()));
        let wrong = ExecutionReport { last_quote_units: 1, ..fill(3, 3, OrderStatus::PartiallyFilled) };
        assert_eq!(apply(wrong), execution_fault("last quote quantity", 30_300, 1));
        let wrong = ExecutionReport { filled_quote_units: 1, ..fill(1, 4, OrderStatus::PartiallyFilled) };
        assert_eq!(apply(wrong), execution_fault("cumulative quote quantity", 40_400, 1));
    }

    #[test]
    fn an_order_is_filled_exactly_when_its_status_says_so() {
        let mut replica = seeded();
        let mut apply = |report| replica.apply(&Decoded::Execution(report));
        assert_eq!(apply(fill(3, 3, OrderStatus::Filled)), execution_fault("cumulative quantity", 10, 3));
        assert_eq!(
            apply(fill(1, 10, OrderStatus::PartiallyFilled)),
            execution_fault("cumulative quantity", 9, 10)
        );
    }

    #[test]
    fn a_cancelled_order_keeps_what_was_filled() {
        let mut replica = seeded();
        let mut apply = |report| replica.apply(&Decoded::Execution(report));
        let canceled = |filled_quantity| ExecutionReport {
            kind: ExecutionKind::Canceled,
            status: OrderStatus::Canceled,
            filled_quantity,
            filled_quote_units: filled_quantity * 101 * 100,
            ..PLACED
        };
        assert_eq!(apply(fill(3, 3, OrderStatus::PartiallyFilled)), Ok(()));
        assert_eq!(apply(canceled(2)), execution_fault("cumulative quantity", 3, 2));
        assert_eq!(apply(canceled(2)), Ok(()), "forgotten, so that nothing is known against it");
    }

    #[test]
    fn a_fill_must_match_the_public_trade() {
        let mut replica = seeded();
        replica.apply(&Decoded::Trade(trade(7, 101, 3, Side::Buy))).unwrap();
        let mut apply = |report| replica.apply(&Decoded::Execution(report));
        assert_eq!(apply(fill(4, 4, OrderStatus::PartiallyFilled)), execution_fault("last quantity", 3, 4));
        let price = ExecutionReport {
            last: level(102, 1),
            last_quote_units: 10_200,
            ..fill(1, 5, OrderStatus::PartiallyFilled)
        };
        assert_eq!(apply(price), execution_fault("last price", 101, 102));
    }

    #[test]
    fn orders_without_end_are_not_remembered_without_end() {
        let mut replica = seeded();
        for order_id in 0..3000 {
            let report = ExecutionReport { order_id, ..PLACED };
            assert_eq!(replica.apply(&Decoded::Execution(report)), Ok(()));
        }
        assert_eq!(replica.book(SYMBOL).orders.len(), OPEN_ORDERS_MAX);
    }

    #[test]
    fn balances_below_zero_are_named() {
        let mut replica = seeded();
        let balances = [AssetBalance { asset: AssetId(1), free_units: 0, locked_units: -5 }];
        let update = crate::decoded::BalanceUpdate {
            account: AccountId(3),
            event_ms: 0,
            engine_ms: 0,
            balances: &balances,
        };
        let fault = replica.apply(&Decoded::Balance(update)).unwrap_err();
        assert_eq!(fault.to_string(), "account 3: locked balance of BTC is -5 smallest units");
    }

    #[test]
    fn a_symbol_outside_the_listing_is_refused() {
        let mut replica = seeded();
        let print = TradePrint { symbol: SymbolId(9), ..trade(1, 1, 1, Side::Buy) };
        assert_eq!(replica.apply(&Decoded::Trade(print)), Err(Fault::UnknownSymbol { symbol: SymbolId(9) }));
        replica.seed(&Snapshot {
            symbol: SymbolId(9),
            sequence: 0,
            update_id: 0,
            bids: vec![],
            asks: vec![],
        });
    }

    proptest! {
        #[test]
        fn a_ladder_is_a_sorted_map(changes in proptest::collection::vec((0..40u32, 0..4u64), 0..200)) {
            let (mut bids, mut asks) = (Ladder::default(), Ladder::default());
            let mut model = BTreeMap::new();
            for (price, quantity) in changes {
                bids.set(bid_rank(price), quantity);
                asks.set(ask_rank(price), quantity);
                if quantity == 0 { model.remove(&price) } else { model.insert(price, quantity) };
                let levels = |ladder: &Ladder, side| -> Vec<(u32, u64)> {
                    ladder.rungs.iter().rev().map(|rung| rung.level(side)).map(|l| (l.price, l.quantity)).collect()
                };
                let rising: Vec<(u32, u64)> = model.clone().into_iter().collect();
                prop_assert_eq!(levels(&asks, Side::Sell), rising.clone());
                prop_assert_eq!(levels(&bids, Side::Buy), rising.into_iter().rev().collect::<Vec<_>>());
            }
        }
    }
}
