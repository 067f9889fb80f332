//! The books and orders that a consumer rebuilds from a venue's messages, and the checks it can make on the
//! way.

mod accounts;
mod book;
mod fault;
mod position;

pub use book::{Conduct, ReplicaBook};
pub use fault::Fault;

use tickstorm_market::event::{Side, Snapshot};
use tickstorm_market::instrument::{Listing, SymbolId};

use crate::decoded::{Counted, Decoded, Level, Numbered};
use crate::venue::Venue;
use accounts::Accounts;

/// All books of a listing, kept from the messages of one connection or of many.
///
/// In [`Conduct::Realtime`], to begin with, the messages of each symbol must come in the market's order, as the
/// encoder writes them: the checks compare kinds of message with each other.
#[derive(Debug, Clone)]
pub struct Replica {
    listing: Listing,
    books: Box<[ReplicaBook]>,
    accounts: Accounts,
}

impl Replica {
    /// Empty books that have not heard of anything yet: the first messages are taken as they come, and what
    /// needs a complete book is not checked before [`Replica::seed`].
    pub fn new(venue: Venue, listing: &Listing) -> Self {
        Self::with_depth(venue, listing, venue.rules().whole_depth())
    }

    /// The same for a subscription of so many levels a side, one of the venue's [`depths`](crate::Rules::depths),
    /// where the venue's messages do not tell.
    pub fn with_depth(venue: Venue, listing: &Listing, depth: u32) -> Self {
        let books =
            listing.instruments.iter().map(|instrument| ReplicaBook::with_depth(venue, instrument, depth));
        Self { listing: listing.clone(), books: books.collect(), accounts: Accounts::new(venue) }
    }

    /// What to expect of the order of messages from here on.
    pub fn set_conduct(&mut self, conduct: Conduct) {
        self.books.iter_mut().for_each(|book| book.set_conduct(conduct));
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
            Decoded::Execution(report) => {
                let book = self.book_mut(report.symbol)?;
                let result = book.on_execution(report);
                self.accounts.on_execution(report, self.listing.instrument(report.symbol));
                result
            }
            Decoded::Balance(update) => self.accounts.on_balance(update, &self.listing),
            Decoded::Transfer(update) => {
                self.accounts.on_transfer(update);
                Ok(())
            }
            Decoded::Numbered(_) | Decoded::Aggregate(_) | Decoded::Status(_) | Decoded::Control => Ok(()),
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
}

/// The numbers that a connection's messages carry beside their content, where a venue counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sequences {
    last: [Option<u64>; 3],
}

impl Sequences {
    /// Takes in the number of a message: one more than the last of its kind.
    pub fn on_number(&mut self, numbered: Numbered) -> Result<(), Fault> {
        let last = &mut self.last[match numbered.counted {
            Counted::Frames => 0,
            Counted::Orders => 1,
            Counted::Balances => 2,
        }];
        let expected = last.map_or(numbered.number, |last| last.saturating_add(1));
        *last = Some(numbered.number);
        if expected == numbered.number {
            return Ok(());
        }
        Err(Fault::Number { counted: numbered.counted, expected, found: numbered.number })
    }
}

#[cfg(test)]
mod tests {
    use tickstorm_market::event::{AccountId, ExecutionKind};
    use tickstorm_market::instrument::AssetId;

    use super::book::OPEN_ORDERS_MAX;
    use super::*;
    use crate::decoded::{
        AssetBalance, BalanceUpdate, Continuity, DepthForm, DepthUpdate, ExecutionReport, OrderStatus,
        QuoteUpdate, TickerUpdate, TradePrint, TransferUpdate,
    };
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
            form: DepthForm::Update,
            depth: None,
            event_ns: None,
            engine_ns: None,
            continuity: Continuity::Range { first, last },
            cross_sequence: None,
            checksum: None,
            bids,
            asks,
        }))
    }

    fn trade(trade_id: u64, price: u32, quantity: u64, taker: Side) -> TradePrint {
        TradePrint {
            symbol: SYMBOL,
            event_ns: None,
            engine_ns: 0,
            trade_id,
            matches: 1,
            price,
            quantity,
            taker,
            cross_sequence: None,
        }
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
    fn removing_a_level_that_is_not_there_is_normal_among_batches_only() {
        let mut replica = seeded();
        let unknown = Fault::UnknownLevel { symbol: "BTCUSDT".into(), side: Side::Sell, price: 4242 };
        assert_eq!(depth(&mut replica, 11, 11, &[], &[level(4242, 0)]), Err(unknown));
        replica.set_conduct(Conduct::Batched);
        assert_eq!(depth(&mut replica, 12, 13, &[level(42, 0)], &[level(4242, 0)]), Ok(()));
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
    fn an_update_that_changes_nothing_is_a_fault_where_every_change_is_told() {
        let mut replica = seeded();
        let nothing = Err(Fault::NothingNew { symbol: "BTCUSDT".into() });
        assert_eq!(depth(&mut replica, 11, 11, &[level(100, 5)], &[]), nothing);
        assert_eq!(depth(&mut replica, 12, 12, &[], &[]), Ok(()), "a keep-alive");
        replica.set_conduct(Conduct::Batched);
        assert_eq!(depth(&mut replica, 13, 20, &[level(100, 5)], &[]), Ok(()));
    }

    #[test]
    fn numbers_of_a_connection_rise_by_one_for_each_thing_counted() {
        let mut sequences = Sequences::default();
        let mut apply = |counted, number| sequences.on_number(Numbered { counted, number });
        assert_eq!(apply(Counted::Frames, 7), Ok(()));
        assert_eq!(apply(Counted::Orders, 1), Ok(()));
        assert_eq!(apply(Counted::Frames, 8), Ok(()));
        let missing = Fault::Number { counted: Counted::Frames, expected: 9, found: 10 };
        assert_eq!(apply(Counted::Frames, 10), Err(missing));
        assert_eq!(apply(Counted::Frames, 11), Ok(()));
        assert_eq!(apply(Counted::Orders, 2), Ok(()));
    }

    #[test]
    fn a_crossed_book_is_found_once() {
        let mut replica = seeded();
        let crossed = Fault::Crossed { symbol: "BTCUSDT".into(), bid: 101, ask: 101 };
        assert_eq!(depth(&mut replica, 11, 11, &[level(101, 1)], &[]), Err(crossed));
        assert_eq!(depth(&mut replica, 12, 12, &[level(101, 2)], &[]), Ok(()));
    }

    #[test]
    fn best_prices_may_be_told_again_at_bybit_alone_and_only_as_they_were() {
        let listing = listing();
        for (venue, may_repeat) in [(Venue::Bybit, true), (Venue::Binance, false), (Venue::Okx, false)] {
            let mut replica = Replica::new(venue, &listing);
            let mut apply = |update_id, bid| {
                let quote =
                    QuoteUpdate { symbol: SYMBOL, event_ns: None, update_id, bid, ask: level(102, 1) };
                replica.apply(&Decoded::Quote(quote))
            };
            let old = |found| Err(Fault::OldQuote { symbol: "BTCUSDT".into(), last: 7, found });
            assert_eq!(apply(7, level(100, 1)), Ok(()), "{venue}");
            assert_eq!(apply(7, level(100, 1)), if may_repeat { Ok(()) } else { old(7) }, "{venue}");
            assert_eq!(apply(7, level(100, 2)), old(7), "{venue}");
            assert_eq!(apply(6, level(100, 1)), old(6), "{venue}");
            assert_eq!(apply(8, level(100, 1)), Ok(()), "{venue}");
        }
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
            replica.apply(&Decoded::Quote(QuoteUpdate {
                symbol: SYMBOL,
                event_ns: None,
                update_id,
                bid,
                ask,
            }))
        };
        let (bid, ask) = (level(100, 5), level(101, 5));
        assert_eq!(apply(9, level(1, 1), ask), Ok(()), "of an earlier book");
        assert_eq!(apply(10, bid, ask), Ok(()));
        assert_eq!(apply(10, bid, ask).map_err(|fault| fault.kind()), Err("old_quote"));
        assert_eq!(apply(11, level(1, 1), ask), Ok(()), "of a book that is still to come");
        let mut replica = seeded();
        let found = [level(100, 4), ask];
        let update =
            QuoteUpdate { symbol: SYMBOL, event_ns: None, update_id: 10, bid: found[0], ask: found[1] };
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
        event_ns: None,
        last: 101,
        high: 101,
        low: 100,
        volume: 5,
        last_quantity: Some(3),
        best: Some([Level { price: 100, quantity: 5 }, Level { price: 101, quantity: 5 }]),
        open: Some(100),
        change: Some(1),
        change_share: Some(1_000_000),
        weighted_average_units: Some(1_006_000_000),
        quote_volume_units: Some(50_300),
        previous_close: Some(99),
        trade_ids: Some([6, 7]),
        count: Some(2),
        window_ns: None,
    };

    #[test]
    fn a_ticker_must_agree_with_itself_the_last_trade_and_the_book() {
        let apply = |ticker: TickerUpdate| {
            let mut replica = seeded();
            replica.apply(&Decoded::Trade(trade(7, 101, 3, Side::Buy))).unwrap();
            replica.apply(&Decoded::Ticker(ticker))
        };
        assert_eq!(apply(TICKER), Ok(()));
        let rounded = TickerUpdate { weighted_average_units: Some(1_006_000_001), ..TICKER };
        assert_eq!(apply(rounded), Ok(()), "the last place may be rounded either way");
        for (ticker, field, expected, found) in [
            (TickerUpdate { count: Some(3), ..TICKER }, "count", 2, 3),
            (TickerUpdate { change: Some(2), ..TICKER }, "change", 1, 2),
            (TickerUpdate { high: 100, ..TICKER }, "last price", 100, 101),
            (TickerUpdate { low: 101, ..TICKER }, "open", 101, 100),
            (
                TickerUpdate { change_share: Some(1_002_000), ..TICKER },
                "change in 1e-8 of the opening price",
                1_000_000,
                1_002_000,
            ),
            (
                TickerUpdate { quote_volume_units: Some(50_400), ..TICKER },
                "weighted average",
                1_008_000_000,
                1_006_000_000,
            ),
            (TickerUpdate { last_quantity: Some(4), ..TICKER }, "last quantity", 3, 4),
            (TickerUpdate { trade_ids: Some([5, 6]), ..TICKER }, "last trade id", 7, 6),
        ] {
            let fault = Fault::Ticker { symbol: "BTCUSDT".into(), field, expected, found };
            assert_eq!(apply(ticker), Err(fault));
        }
        let best = apply(TickerUpdate { best: Some([level(100, 4), level(101, 5)]), ..TICKER });
        assert_eq!(best.map_err(|fault| fault.kind()), Err("wrong_best"));
        let ahead =
            TickerUpdate { trade_ids: Some([6, 8]), count: Some(3), last_quantity: Some(1), ..TICKER };
        assert_eq!(apply(ahead), Ok(()), "the missing trade is named when the next one comes");
    }

    /// An order to sell ten lots at 101 that has been placed and not filled. A lot at a tick costs 100 units.
    const PLACED: ExecutionReport = ExecutionReport {
        account: AccountId(1),
        symbol: SYMBOL,
        event_ns: None,
        engine_ns: 0,
        kind: ExecutionKind::New,
        status: OrderStatus::New,
        side: Side::Sell,
        order_id: 4,
        execution_id: Some(1),
        price: 101,
        quantity: 10,
        last: Level { price: 0, quantity: 0 },
        filled_quantity: 0,
        last_quote_units: Some(0),
        filled_quote_units: Some(0),
        fee_units: 0,
        fee_asset: None,
        trade_id: None,
        placed_ns: None,
    };

    fn fill(quantity: u64, filled_quantity: u64, status: OrderStatus) -> ExecutionReport {
        ExecutionReport {
            kind: ExecutionKind::Trade,
            status,
            last: level(101, quantity),
            filled_quantity,
            last_quote_units: Some(quantity * 101 * 100),
            filled_quote_units: Some(filled_quantity * 101 * 100),
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
        let wrong = ExecutionReport { last_quote_units: Some(1), ..fill(3, 3, OrderStatus::PartiallyFilled) };
        assert_eq!(apply(wrong), execution_fault("last quote quantity", 30_300, 1));
        let wrong =
            ExecutionReport { filled_quote_units: Some(1), ..fill(1, 4, OrderStatus::PartiallyFilled) };
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
            filled_quote_units: Some(filled_quantity * 101 * 100),
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
            last_quote_units: Some(10_200),
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
        let held = [held(1, -5, Some(-5))];
        let fault = replica.apply(&Decoded::Balance(balance(&held))).unwrap_err();
        assert_eq!(fault.to_string(), "account 3: locked balance of BTC is -5 smallest units");
    }

    fn held(asset: u32, total_units: i64, locked_units: Option<i64>) -> AssetBalance {
        AssetBalance { asset: AssetId(asset), total_units, locked_units, change_units: None }
    }

    fn balance(balances: &[AssetBalance]) -> BalanceUpdate<'_> {
        let (account, form) = (AccountId(3), DepthForm::Update);
        BalanceUpdate { account, event_ns: None, engine_ns: 0, form, balances }
    }

    #[test]
    fn a_balance_follows_from_the_one_before_and_what_was_traded_and_transferred() {
        let mut replica = seeded();
        let wrong = |asset: &str, expected, found| {
            Err(Fault::Balance { account: 3, asset: asset.into(), expected, found })
        };
        let mut apply =
            |asset, units| replica.apply(&Decoded::Balance(balance(&[held(asset, units, Some(0))])));
        assert_eq!(apply(0, 100_000), Ok(()), "taken as it comes");
        assert_eq!(apply(1, 50_000), Ok(()));
        let transfer = TransferUpdate {
            account: AccountId(3),
            event_ns: 0,
            engine_ns: 0,
            asset: AssetId(0),
            amount_units: 500,
        };
        replica.apply(&Decoded::Transfer(transfer)).unwrap();
        // Three lots of 1,000 units sold for 30,300, less a fee of 30.
        let sale = fill(3, 3, OrderStatus::PartiallyFilled);
        let sale = ExecutionReport { account: AccountId(3), fee_units: 30, ..sale };
        replica.apply(&Decoded::Execution(sale)).unwrap();
        let mut apply =
            |asset, units| replica.apply(&Decoded::Balance(balance(&[held(asset, units, Some(0))])));
        assert_eq!(apply(1, 47_000), Ok(()));
        assert_eq!(apply(0, 130_771), wrong("USDT", 130_770, 130_771));
        assert_eq!(apply(0, 130_771), Ok(()), "adopted");
        assert_eq!(apply(0, 130_770), wrong("USDT", 130_771, 130_770));
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
}
