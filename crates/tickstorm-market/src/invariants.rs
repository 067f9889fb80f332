//! What must always hold, checked from the messages alone.
//!
//! The [`Checker`] replays books, statistics and accounts as any consumer could, and knows nothing of how the
//! messages are made. It is slower than the market, and keeps every trade of the last 24 hours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thiserror::Error;

use crate::event::{
    AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Message, Quote, Side, Snapshot, Status,
    Ticker, Trade, Transfer,
};
use crate::instrument::{AssetId, Instrument, Listing, SymbolId, UNITS_PER_WHOLE};

/// A message that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("symbol {} message {sequence}: {broken}", symbol.0)]
pub struct Violation {
    /// The message's symbol.
    pub symbol: SymbolId,
    /// The message's number, as it says.
    pub sequence: u64,
    /// What is wrong with it.
    pub broken: Rule,
}

/// The rules, each with what was expected and what was found instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rule {
    /// The symbol had no snapshot at the start.
    #[error("no book of this symbol was given at the start")]
    UnknownSymbol,
    /// Messages of a symbol are numbered without gaps.
    #[error("expected sequence {expected}, found {found}")]
    Sequence {
        /// One more than the last.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// Events are numbered without gaps, and their messages are consecutive.
    #[error("expected event {expected}, found {found}")]
    Event {
        /// The open event, or the next one.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// All messages of an event are of one symbol.
    #[error("event of symbol {} is not over, found a message of another", expected.0)]
    EventSymbol {
        /// The event's symbol.
        expected: SymbolId,
    },
    /// An event's time is the due time of its first message.
    #[error("expected event time {expected} ns, found {found}")]
    EventTime {
        /// ns since the start of the run.
        expected: u64,
        /// ns since the start of the run.
        found: u64,
    },
    /// Due times never fall.
    #[error("expected a due time of at least {expected} ns, found {found}")]
    DueTime {
        /// The last message's due time.
        expected: u64,
        /// This one's.
        found: u64,
    },
    /// A field has another value than the messages so far give it.
    #[error("expected {field} {expected}, found {found}")]
    Field {
        /// Which, as `ticker high`.
        field: &'static str,
        /// What it should be.
        expected: i128,
        /// What it is.
        found: i128,
    },
    /// A level change must change the level.
    #[error("expected a change of level {price}, found the {found} lots it has already")]
    Unchanged {
        /// Ticks.
        price: u32,
        /// Lots.
        found: u64,
    },
    /// The best bid is below the best ask.
    #[error("expected a bid below the ask {expected}, found {found}")]
    Crossed {
        /// The best ask.
        expected: u32,
        /// The best bid.
        found: u32,
    },
    /// A book has both sides when an event is over.
    #[error("expected levels on both sides, found no {found:?} side")]
    OneSided {
        /// The empty side.
        found: Side,
    },
    /// A trade prints at the best price of the side it hits.
    #[error("expected a trade at the touch {expected:?}, found it at {found}")]
    OffTheTouch {
        /// The best price, if that side has one.
        expected: Option<u32>,
        /// The trade's price.
        found: u32,
    },
    /// A trade takes at least a lot and no more than there is.
    #[error("expected a trade of 1 to {expected} lots, found {found}")]
    TradeSize {
        /// Lots at the touch.
        expected: u64,
        /// Lots traded.
        found: u64,
    },
    /// Nothing trades from a status that says so to the next one.
    #[error("expected no trade until a status allows it, found trade {found}")]
    TradeInHalt {
        /// The trade's id.
        found: u64,
    },
    /// A status changes what the last one said (a symbol trades at the start), and is an event of its own.
    #[error("expected a status by itself that says whether it trades: {expected}, found {found}")]
    Status {
        /// What it may say, at the beginning of an event and at its end.
        expected: bool,
        /// What it says.
        found: bool,
    },
    /// Right after a trade its level is reduced by what was traded.
    #[error("expected the level {expected_price} left at {expected} lots by the trade, found {found:?}")]
    TradeNotRemoved {
        /// Ticks.
        expected_price: u32,
        /// Lots left.
        expected: u64,
        /// Price and lots of the next level change; `None` if the next message was none.
        found: Option<(u32, u64)>,
    },
    /// A trade event ends with a ticker, and no other event has one.
    #[error("expected the ticker at the end of a trade event and nowhere else")]
    MisplacedTicker,
    /// A quote follows a change of a best price in an event without a trade.
    #[error("expected a quote only after a best price changed without a trade, found {found}/{ask}")]
    NeedlessQuote {
        /// The bid.
        found: u32,
        /// The ask.
        ask: u32,
    },
    /// An execution refers to an open order of the same account, side and price.
    #[error("found an execution of order {found}, which is not open with this account, side and price")]
    UnknownOrder {
        /// The order's id.
        found: u64,
    },
    /// A new order adds its quantity to its level; a cancelled one takes away its rest, perhaps with orders of others.
    #[error("expected order {order} to change level {price} by {expected} lots or more, found {found}")]
    OrderNotOnBook {
        /// The order's id.
        order: u64,
        /// Ticks.
        price: u32,
        /// Lots.
        expected: i128,
        /// What the last level change of the event did to that level; zero if it was of another.
        found: i128,
    },
    /// A fill is part of a trade of the same event against the order's side and at its price, and all fills of a
    /// trade are no more than the trade.
    #[error(
        "expected a fill of at most {expected} lots of the event's last trade, found {found} of trade {trade}"
    )]
    FillWithoutTrade {
        /// Lots of the last trade that no fill has claimed; zero if the trade does not fit.
        expected: u64,
        /// Lots filled.
        found: u64,
        /// The trade it refers to.
        trade: u64,
    },
    /// Executions and transfers are followed by the balances they change, and balances change for no other reason.
    #[error("expected the balance {expected:?}, found {found:?}")]
    Balance {
        /// What should come; `None` if no balance should.
        expected: Option<Balance>,
        /// What came; `None` if it was no balance.
        found: Option<Balance>,
    },
    /// No account owes anything.
    #[error("account {} has {found} of asset {} free", account.0, asset.0)]
    Negative {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// What would be left free.
        found: i128,
    },
    /// What is locked is the value of the account's open orders.
    #[error("account {}: expected {expected} of asset {} locked in open orders, found {found}", account.0, asset.0)]
    Locked {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// The value of the open orders.
        expected: i128,
        /// What is locked.
        found: i128,
    },
    /// An own order is part of its level.
    #[error("expected at least {expected} lots at {price}, which are own orders', found {found}")]
    OwnAboveLevel {
        /// Ticks.
        price: u32,
        /// Lots of own orders.
        expected: u64,
        /// Lots of the level.
        found: u64,
    },
    /// Nothing comes into being or vanishes but by transfer.
    #[error("expected {expected} of asset {} in all, found {found}", asset.0)]
    Conservation {
        /// Of what.
        asset: AssetId,
        /// What there was at the start and what transfers changed.
        expected: i128,
        /// Sum over all accounts.
        found: i128,
    },
    /// A snapshot equals the replayed book.
    #[error("expected the snapshot to have {expected} lots on the {side:?} side at {price}, found {found}")]
    Snapshot {
        /// Which side.
        side: Side,
        /// Ticks.
        price: u32,
        /// Lots in the replayed book.
        expected: u64,
        /// Lots in the snapshot.
        found: u64,
    },
    /// A snapshot lists its levels best first, none empty or twice.
    #[error("expected levels from the best on, none of them empty, found {found} lots at {price}")]
    SnapshotOrder {
        /// Ticks.
        price: u32,
        /// Lots.
        found: u64,
    },
    /// A stream ends with the end of an event.
    #[error("expected the rest of event {expected}, found the end")]
    Unfinished {
        /// The open event.
        expected: u64,
    },
}

impl Rule {
    /// A name of the kind of violation, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Rule::UnknownSymbol => "unknown_symbol",
            Rule::Sequence { .. } => "sequence",
            Rule::Event { .. } => "event",
            Rule::EventSymbol { .. } => "event_symbol",
            Rule::EventTime { .. } => "event_time",
            Rule::DueTime { .. } => "due_time",
            Rule::Field { .. } => "field",
            Rule::Unchanged { .. } => "unchanged",
            Rule::Crossed { .. } => "crossed",
            Rule::OneSided { .. } => "one_sided",
            Rule::OffTheTouch { .. } => "off_the_touch",
            Rule::TradeSize { .. } => "trade_size",
            Rule::TradeInHalt { .. } => "trade_in_halt",
            Rule::Status { .. } => "status",
            Rule::TradeNotRemoved { .. } => "trade_not_removed",
            Rule::MisplacedTicker => "misplaced_ticker",
            Rule::NeedlessQuote { .. } => "needless_quote",
            Rule::UnknownOrder { .. } => "unknown_order",
            Rule::OrderNotOnBook { .. } => "order_not_on_book",
            Rule::FillWithoutTrade { .. } => "fill_without_trade",
            Rule::Balance { .. } => "balance",
            Rule::Negative { .. } => "negative",
            Rule::Locked { .. } => "locked",
            Rule::OwnAboveLevel { .. } => "own_above_level",
            Rule::Conservation { .. } => "conservation",
            Rule::Snapshot { .. } => "snapshot",
            Rule::SnapshotOrder { .. } => "snapshot_order",
            Rule::Unfinished { .. } => "unfinished",
        }
    }
}

/// Follows the messages of one shard from its first one on.
pub struct Checker {
    listing: Listing,
    books: BTreeMap<SymbolId, Replay>,
    funds: BTreeMap<(AccountId, AssetId), Funds>,
    /// What there is of each asset: at the start, and by transfers since.
    supply: BTreeMap<AssetId, i128>,
    /// The counterparty of all fills, and where the fees go.
    internal: [AccountId; 2],
    event: Option<OpenEvent>,
    last_event: u64,
    last_due_ns: u64,
    /// Where it has come to.
    symbol: SymbolId,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Funds {
    free: i128,
    locked: i128,
}

struct Replay {
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    sequence: u64,
    update_id: u64,
    quoted_update_id: Option<u64>,
    order_id: u64,
    execution_id: u64,
    orders: BTreeMap<u64, OpenOrder>,
    trading: bool,
    day: Day,
}

#[derive(Debug, Clone, Copy)]
struct OpenOrder {
    account: AccountId,
    side: Side,
    price: u32,
    lots: u64,
    filled: u64,
    placed_ns: u64,
}

/// The trades in the 24 h window, and what is known of those before.
struct Day {
    trades: VecDeque<(u64, Trade)>,
    volume: u128,
    quote_volume: u128,
    high: u32,
    low: u32,
    previous_close: u32,
    last_trade_id: u64,
}

struct OpenEvent {
    number: u64,
    symbol: SymbolId,
    ns: u64,
    /// The symbol's message that it begins with.
    first_sequence: u64,
    best_before: (Option<u32>, Option<u32>),
    /// The trade whose level has not changed yet.
    unmatched: Option<Trade>,
    /// The last trade, with its lots that no fill has claimed.
    last_trade: Option<(Trade, u64)>,
    last_change: Option<(Side, u32, i128)>,
    balances_due: VecDeque<Balance>,
    moved: BTreeSet<(AccountId, AssetId)>,
    ticker: bool,
}

impl Checker {
    /// Starts before the first message of a shard, from its books and all its balances, internal accounts
    /// included. Both must be of this listing.
    pub fn new(listing: &Listing, snapshots: &[Snapshot], balances: &[Balance]) -> Self {
        let books = snapshots
            .iter()
            .map(|snapshot| {
                let start_price = listing.instrument(snapshot.symbol).start_price;
                (snapshot.symbol, Replay::new(snapshot, start_price))
            })
            .collect();
        let mut supply = BTreeMap::new();
        let mut funds = BTreeMap::new();
        for balance in balances {
            let own = Funds { free: balance.free.into(), locked: balance.locked.into() };
            *supply.entry(balance.asset).or_insert(0) += own.free + own.locked;
            funds.insert((balance.account, balance.asset), own);
        }
        let internal = [0, 1].map(|parity| {
            let mut accounts = balances.iter().map(|balance| balance.account);
            let found = accounts.find(|account| account.0 >= INTERNAL_ACCOUNTS && account.0 % 2 == parity);
            found.unwrap_or(AccountId(INTERNAL_ACCOUNTS + parity))
        });
        Self {
            listing: listing.clone(),
            books,
            funds,
            supply,
            internal,
            event: None,
            last_event: 0,
            last_due_ns: 0,
            symbol: SymbolId(0),
            sequence: 0,
        }
    }

    /// Takes the next message. After a violation the checker must not be used further.
    pub fn observe(&mut self, message: &Message) -> Result<(), Violation> {
        self.symbol = message.symbol;
        self.sequence = message.sequence;
        self.check(message).map_err(|broken| self.violation(broken))
    }

    /// Compares a snapshot with the replayed book, at any moment.
    pub fn check_snapshot(&self, snapshot: &Snapshot) -> Result<(), Violation> {
        let located = |broken| Violation { symbol: snapshot.symbol, sequence: snapshot.sequence, broken };
        let book = self.books.get(&snapshot.symbol).ok_or(Rule::UnknownSymbol).map_err(located)?;
        book.compare(snapshot).map_err(located)
    }

    /// Ends the replay: the stream must be at the end of an event, and books and balances must be these.
    pub fn finish(self, snapshots: &[Snapshot], balances: &[Balance]) -> Result<(), Violation> {
        if let Some(event) = &self.event {
            return Err(self.violation(Rule::Unfinished { expected: event.number }));
        }
        snapshots.iter().try_for_each(|snapshot| self.check_snapshot(snapshot))?;
        self.check_final_balances(balances).map_err(|broken| self.violation(broken))
    }

    fn violation(&self, broken: Rule) -> Violation {
        Violation { symbol: self.symbol, sequence: self.sequence, broken }
    }

    fn check(&mut self, message: &Message) -> Result<(), Rule> {
        if message.due_ns < self.last_due_ns {
            return Err(Rule::DueTime { expected: self.last_due_ns, found: message.due_ns });
        }
        let book = self.books.get_mut(&message.symbol).ok_or(Rule::UnknownSymbol)?;
        let mut event = match self.event.take() {
            Some(event) => event.goes_on(message)?,
            None => OpenEvent::begin(message, self.last_event, book)?,
        };
        if message.sequence != book.sequence.saturating_add(1) {
            return Err(Rule::Sequence {
                expected: book.sequence.saturating_add(1),
                found: message.sequence,
            });
        }
        book.sequence = message.sequence;
        self.last_due_ns = message.due_ns;
        self.last_event = message.event;
        event.check_order(&message.body)?;
        match &message.body {
            Body::Book(change) => self.on_book(change, &mut event)?,
            Body::Trade(trade) => self.on_trade(trade, &mut event)?,
            Body::Quote(quote) => self.on_quote(quote, &event)?,
            Body::Ticker(ticker) => self.on_ticker(ticker, message.last, &mut event)?,
            Body::Execution(execution) => self.on_execution(execution, &mut event)?,
            Body::Balance(balance) => self.on_balance(balance, &mut event)?,
            Body::Transfer(transfer) => self.on_transfer(transfer, &mut event)?,
            Body::Status(status) => self.on_status(status, message, &event)?,
        }
        if message.last {
            self.end(event)
        } else {
            self.event = Some(event);
            Ok(())
        }
    }

    fn book(&mut self, event: &OpenEvent) -> Result<&mut Replay, Rule> {
        self.books.get_mut(&event.symbol).ok_or(Rule::UnknownSymbol)
    }

    fn on_book(&mut self, change: &BookChange, event: &mut OpenEvent) -> Result<(), Rule> {
        let book = self.book(event)?;
        expect("update id", book.update_id.saturating_add(1), change.update_id)?;
        book.update_id = change.update_id;
        let levels = book.side_mut(change.side);
        let before = levels.get(&change.price).copied().unwrap_or(0);
        if let Some(trade) = event.unmatched.take() {
            let left = before.saturating_sub(trade.quantity);
            let same_level = change.price == trade.price && change.side != trade.taker;
            if !same_level || change.quantity != left {
                let found = Some((change.price, change.quantity));
                return Err(Rule::TradeNotRemoved { expected_price: trade.price, expected: left, found });
            }
        }
        if change.quantity == before {
            return Err(Rule::Unchanged { price: change.price, found: before });
        }
        if change.quantity == 0 {
            levels.remove(&change.price);
        } else {
            levels.insert(change.price, change.quantity);
        }
        event.last_change =
            Some((change.side, change.price, i128::from(change.quantity) - i128::from(before)));
        match book.best() {
            (Some(bid), Some(ask)) if bid >= ask => Err(Rule::Crossed { expected: ask, found: bid }),
            _ => Ok(()),
        }
    }

    fn on_trade(&mut self, trade: &Trade, event: &mut OpenEvent) -> Result<(), Rule> {
        let book = self.book(event)?;
        expect("trade id", book.day.last_trade_id.saturating_add(1), trade.trade_id)?;
        if !book.trading {
            return Err(Rule::TradeInHalt { found: trade.trade_id });
        }
        let touch = match trade.taker {
            Side::Buy => book.asks.first_key_value(),
            Side::Sell => book.bids.last_key_value(),
        };
        let (price, lots) = touch.map_or((None, 0), |(&price, &lots)| (Some(price), lots));
        if price != Some(trade.price) {
            return Err(Rule::OffTheTouch { expected: price, found: trade.price });
        }
        if trade.quantity == 0 || trade.quantity > lots {
            return Err(Rule::TradeSize { expected: lots, found: trade.quantity });
        }
        book.day.on_trade(event.ns, trade);
        event.unmatched = Some(*trade);
        event.last_trade = Some((*trade, trade.quantity));
        Ok(())
    }

    fn on_quote(&mut self, quote: &Quote, event: &OpenEvent) -> Result<(), Rule> {
        let book = self.book(event)?;
        let best = book.best();
        if event.last_trade.is_some() || best == event.best_before {
            return Err(Rule::NeedlessQuote { found: quote.bid, ask: quote.ask });
        }
        book.check_quote(quote)?;
        if let Some(last) = book.quoted_update_id.filter(|&last| quote.update_id <= last) {
            return expect("quote update id", last.saturating_add(1), quote.update_id);
        }
        book.quoted_update_id = Some(quote.update_id);
        Ok(())
    }

    fn on_ticker(&mut self, ticker: &Ticker, last: bool, event: &mut OpenEvent) -> Result<(), Rule> {
        if event.last_trade.is_none() || !last {
            return Err(Rule::MisplacedTicker);
        }
        event.ticker = true;
        let book = self.book(event)?;
        book.check_quote(&ticker.quote)?;
        book.day.check(ticker, event.ns)
    }

    fn on_execution(&mut self, execution: &Execution, event: &mut OpenEvent) -> Result<(), Rule> {
        let instrument = self.listing.instrument(event.symbol).clone();
        let book = self.book(event)?;
        expect("execution id", book.execution_id.saturating_add(1), execution.execution_id)?;
        book.execution_id = execution.execution_id;
        expect("fee asset", instrument.quote.0, execution.fee_asset.0)?;
        match execution.kind {
            ExecutionKind::New => {
                self.on_new(execution, event)?;
                let (asset, amount) = given(&instrument, execution, execution.quantity);
                self.expect_balance(event, execution.account, asset, -amount, amount)
            }
            ExecutionKind::Canceled => {
                let rest = self.on_canceled(execution, event)?;
                let (asset, amount) = given(&instrument, execution, rest);
                self.expect_balance(event, execution.account, asset, amount, -amount)
            }
            ExecutionKind::Trade => {
                self.on_fill(execution, event)?;
                self.settle(&instrument, execution, event)
            }
        }
    }

    fn on_new(&mut self, execution: &Execution, event: &OpenEvent) -> Result<(), Rule> {
        let book = self.book(event)?;
        expect("order id", book.order_id.saturating_add(1), execution.order_id)?;
        book.order_id = execution.order_id;
        expect("placing time", event.ns, execution.placed_ns)?;
        expect("filled quantity", 0, execution.filled_quantity)?;
        check_no_fill(execution)?;
        event.check_order_on_book(execution, i128::from(execution.quantity))?;
        book.orders.insert(execution.order_id, OpenOrder::new(execution));
        Ok(())
    }

    /// The lots that the order had left.
    fn on_canceled(&mut self, execution: &Execution, event: &OpenEvent) -> Result<u64, Rule> {
        let book = self.book(event)?;
        let order = book.open_order(execution)?;
        book.orders.remove(&execution.order_id);
        expect("filled quantity", order.filled, execution.filled_quantity)?;
        check_no_fill(execution)?;
        let rest = order.lots - order.filled;
        event.check_order_on_book(execution, -i128::from(rest))?;
        Ok(rest)
    }

    fn on_fill(&mut self, execution: &Execution, event: &mut OpenEvent) -> Result<(), Rule> {
        let book = self.book(event)?;
        let order = book.open_order(execution)?;
        event.claim(execution)?;
        expect("fill price", execution.price, execution.last_price)?;
        let filled = order.filled.saturating_add(execution.last_quantity).min(order.lots);
        expect("filled quantity", filled, execution.filled_quantity)?;
        expect("last quantity", filled - order.filled, execution.last_quantity)?;
        match book.orders.get_mut(&execution.order_id) {
            Some(open) if filled < order.lots => open.filled = filled,
            _ => drop(book.orders.remove(&execution.order_id)),
        }
        Ok(())
    }

    /// Moves what a fill exchanges, and its fee; the balances of it must come next.
    fn settle(
        &mut self,
        instrument: &Instrument,
        execution: &Execution,
        event: &mut OpenEvent,
    ) -> Result<(), Rule> {
        let (base, quote) = (instrument.base, instrument.quote);
        let goods = goods(instrument, execution.last_quantity);
        let money = money(instrument, execution.price, execution.last_quantity);
        let fee = i128::from(execution.fee);
        let sign = if execution.side == Side::Buy { 1 } else { -1 };
        let [market, fees] = self.internal;
        self.move_internal(market, base, -sign * goods);
        self.move_internal(market, quote, sign * money);
        self.move_internal(fees, quote, fee);
        let account = execution.account;
        match execution.side {
            Side::Buy => {
                self.expect_balance(event, account, base, goods, 0)?;
                self.expect_balance(event, account, quote, -fee, -money)
            }
            Side::Sell => {
                self.expect_balance(event, account, base, 0, -goods)?;
                self.expect_balance(event, account, quote, money - fee, 0)
            }
        }
    }

    fn on_balance(&mut self, balance: &Balance, event: &mut OpenEvent) -> Result<(), Rule> {
        let expected = event.balances_due.pop_front();
        if expected.as_ref() != Some(balance) {
            return Err(Rule::Balance { expected, found: Some(*balance) });
        }
        let now = Funds { free: balance.free.into(), locked: balance.locked.into() };
        let key = (balance.account, balance.asset);
        self.funds.insert(key, now);
        event.moved.insert(key);
        Ok(())
    }

    fn on_transfer(&mut self, transfer: &Transfer, event: &mut OpenEvent) -> Result<(), Rule> {
        *self.supply.entry(transfer.asset).or_insert(0) += i128::from(transfer.amount);
        self.expect_balance(event, transfer.account, transfer.asset, transfer.amount.into(), 0)
    }

    fn on_status(&mut self, status: &Status, message: &Message, event: &OpenEvent) -> Result<(), Rule> {
        let book = self.book(event)?;
        let alone = message.last && message.sequence == event.first_sequence;
        if !alone || status.trading == book.trading {
            return Err(Rule::Status { expected: !book.trading, found: status.trading });
        }
        book.trading = status.trading;
        Ok(())
    }

    /// The next balance must be what the account has now, changed by so much.
    fn expect_balance(
        &mut self,
        event: &mut OpenEvent,
        account: AccountId,
        asset: AssetId,
        free: i128,
        locked: i128,
    ) -> Result<(), Rule> {
        let now = self.funds.get(&(account, asset)).copied().unwrap_or_default();
        let amount = |units: i128| {
            u64::try_from(units).map_err(|_| Rule::Negative {
                account,
                asset,
                found: now.free.saturating_add(free),
            })
        };
        let (free, locked) =
            (amount(now.free.saturating_add(free))?, amount(now.locked.saturating_add(locked))?);
        event.balances_due.push_back(Balance { account, asset, free, locked });
        Ok(())
    }

    /// Changes a balance of MARKET or FEES, which no message announces.
    fn move_internal(&mut self, account: AccountId, asset: AssetId, amount: i128) {
        let funds = self.funds.entry((account, asset)).or_default();
        funds.free = funds.free.saturating_add(amount);
    }

    fn end(&mut self, event: OpenEvent) -> Result<(), Rule> {
        if let Some(trade) = event.unmatched {
            let left = self.book(&event)?.quantity(trade.taker.opposite(), trade.price) - trade.quantity;
            return Err(Rule::TradeNotRemoved { expected_price: trade.price, expected: left, found: None });
        }
        if let Some(&expected) = event.balances_due.front() {
            return Err(Rule::Balance { expected: Some(expected), found: None });
        }
        if event.last_trade.is_some() != event.ticker {
            return Err(Rule::MisplacedTicker);
        }
        self.book(&event)?.check_at_rest()?;
        event.moved.iter().try_for_each(|&(account, asset)| self.check_locked(account, asset))
    }

    fn check_locked(&self, account: AccountId, asset: AssetId) -> Result<(), Rule> {
        let mut value = 0i128;
        for (&symbol, book) in &self.books {
            let instrument = self.listing.instrument(symbol);
            for order in book.orders.values().filter(|order| order.account == account) {
                let rest = order.lots - order.filled;
                match order.side {
                    Side::Buy if instrument.quote == asset => {
                        value = value.saturating_add(money(instrument, order.price, rest));
                    }
                    Side::Sell if instrument.base == asset => {
                        value = value.saturating_add(goods(instrument, rest))
                    }
                    _ => {}
                }
            }
        }
        let found = self.funds.get(&(account, asset)).map_or(0, |funds| funds.locked);
        if found == value { Ok(()) } else { Err(Rule::Locked { account, asset, expected: value, found }) }
    }

    fn check_final_balances(&self, balances: &[Balance]) -> Result<(), Rule> {
        let mut sums: BTreeMap<AssetId, i128> = self.supply.keys().map(|&asset| (asset, 0)).collect();
        for balance in balances {
            *sums.entry(balance.asset).or_insert(0) += i128::from(balance.free) + i128::from(balance.locked);
            let own = self.funds.get(&(balance.account, balance.asset)).copied().unwrap_or_default();
            let (expected, found) = if balance.account.0 >= INTERNAL_ACCOUNTS {
                // What of it is locked is not announced.
                (own.free + own.locked, i128::from(balance.free) + i128::from(balance.locked))
            } else {
                expect("locked balance", own.locked, balance.locked)?;
                (own.free, balance.free.into())
            };
            expect("balance", expected, found)?;
        }
        for (&asset, &found) in &sums {
            let expected = self.supply.get(&asset).copied().unwrap_or(0);
            if expected != found {
                return Err(Rule::Conservation { asset, expected, found });
            }
        }
        Ok(())
    }
}

impl OpenEvent {
    fn begin(message: &Message, last_event: u64, book: &Replay) -> Result<Self, Rule> {
        if message.event != last_event.saturating_add(1) {
            return Err(Rule::Event { expected: last_event.saturating_add(1), found: message.event });
        }
        if message.event_ns != message.due_ns {
            return Err(Rule::EventTime { expected: message.due_ns, found: message.event_ns });
        }
        Ok(Self {
            number: message.event,
            symbol: message.symbol,
            ns: message.event_ns,
            first_sequence: message.sequence,
            best_before: book.best(),
            unmatched: None,
            last_trade: None,
            last_change: None,
            balances_due: VecDeque::new(),
            moved: BTreeSet::new(),
            ticker: false,
        })
    }

    fn goes_on(self, message: &Message) -> Result<Self, Rule> {
        if message.symbol != self.symbol {
            return Err(Rule::EventSymbol { expected: self.symbol });
        }
        if message.event != self.number {
            return Err(Rule::Event { expected: self.number, found: message.event });
        }
        if message.event_ns != self.ns {
            return Err(Rule::EventTime { expected: self.ns, found: message.event_ns });
        }
        Ok(self)
    }

    /// A trade's level and an execution's balances come before anything else.
    fn check_order(&self, body: &Body) -> Result<(), Rule> {
        if let (Some(trade), false) = (self.unmatched, matches!(body, Body::Book(_))) {
            let (expected_price, expected) = (trade.price, trade.quantity);
            return Err(Rule::TradeNotRemoved { expected_price, expected, found: None });
        }
        match (self.balances_due.front(), body) {
            (Some(_), Body::Balance(_)) | (None, _) => Ok(()),
            (Some(&expected), _) => Err(Rule::Balance { expected: Some(expected), found: None }),
        }
    }

    fn check_order_on_book(&self, execution: &Execution, expected: i128) -> Result<(), Rule> {
        let found = match self.last_change {
            Some((side, price, change)) if (side, price) == (execution.side, execution.price) => change,
            _ => 0,
        };
        let enough = if expected > 0 { found >= expected } else { found <= expected };
        if enough {
            return Ok(());
        }
        Err(Rule::OrderNotOnBook { order: execution.order_id, price: execution.price, expected, found })
    }

    /// Takes a fill out of the event's last trade.
    fn claim(&mut self, execution: &Execution) -> Result<(), Rule> {
        let left = match &mut self.last_trade {
            Some((trade, left))
                if trade.trade_id == execution.trade_id
                    && trade.price == execution.price
                    && trade.taker != execution.side =>
            {
                left
            }
            _ => &mut 0,
        };
        let found = execution.last_quantity;
        if found == 0 || found > *left {
            return Err(Rule::FillWithoutTrade { expected: *left, found, trade: execution.trade_id });
        }
        *left -= found;
        Ok(())
    }
}

impl OpenOrder {
    fn new(execution: &Execution) -> Self {
        Self {
            account: execution.account,
            side: execution.side,
            price: execution.price,
            lots: execution.quantity,
            filled: 0,
            placed_ns: execution.placed_ns,
        }
    }
}

impl Replay {
    fn new(snapshot: &Snapshot, start_price: u32) -> Self {
        Self {
            bids: snapshot.bids.iter().copied().collect(),
            asks: snapshot.asks.iter().copied().collect(),
            sequence: snapshot.sequence,
            update_id: snapshot.update_id,
            quoted_update_id: None,
            order_id: 0,
            execution_id: 0,
            orders: BTreeMap::new(),
            trading: true,
            day: Day {
                trades: VecDeque::new(),
                volume: 0,
                quote_volume: 0,
                high: start_price,
                low: start_price,
                previous_close: start_price,
                last_trade_id: 0,
            },
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<u32, u64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn quantity(&self, side: Side, price: u32) -> u64 {
        let levels = match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        };
        levels.get(&price).copied().unwrap_or(0)
    }

    fn best(&self) -> (Option<u32>, Option<u32>) {
        (self.bids.keys().next_back().copied(), self.asks.keys().next().copied())
    }

    fn open_order(&self, execution: &Execution) -> Result<OpenOrder, Rule> {
        let order = self.orders.get(&execution.order_id).filter(|order| {
            (order.account, order.side, order.price) == (execution.account, execution.side, execution.price)
        });
        let order = order.copied().ok_or(Rule::UnknownOrder { found: execution.order_id })?;
        expect("order quantity", order.lots, execution.quantity)?;
        expect("placing time", order.placed_ns, execution.placed_ns)?;
        Ok(order)
    }

    fn check_quote(&self, quote: &Quote) -> Result<(), Rule> {
        let (bid, ask) = self.best();
        let (bid, ask) = (bid.unwrap_or(0), ask.unwrap_or(0));
        expect("update id of the quote", self.update_id, quote.update_id)?;
        expect("bid", bid, quote.bid)?;
        expect("bid quantity", self.quantity(Side::Buy, bid), quote.bid_quantity)?;
        expect("ask", ask, quote.ask)?;
        expect("ask quantity", self.quantity(Side::Sell, ask), quote.ask_quantity)
    }

    /// What holds between events, but not within them.
    fn check_at_rest(&self) -> Result<(), Rule> {
        for (side, levels) in [(Side::Buy, &self.bids), (Side::Sell, &self.asks)] {
            if levels.is_empty() {
                return Err(Rule::OneSided { found: side });
            }
        }
        let mut own: BTreeMap<(bool, u32), u64> = BTreeMap::new();
        for order in self.orders.values() {
            let own = own.entry((order.side == Side::Buy, order.price)).or_insert(0);
            *own = own.saturating_add(order.lots - order.filled);
        }
        for ((buys, price), expected) in own {
            let found = self.quantity(if buys { Side::Buy } else { Side::Sell }, price);
            if found < expected {
                return Err(Rule::OwnAboveLevel { price, expected, found });
            }
        }
        Ok(())
    }

    fn compare(&self, snapshot: &Snapshot) -> Result<(), Rule> {
        expect("snapshot sequence", self.sequence, snapshot.sequence)?;
        expect("snapshot update id", self.update_id, snapshot.update_id)?;
        for (side, levels, listed) in
            [(Side::Buy, &self.bids, &snapshot.bids), (Side::Sell, &self.asks, &snapshot.asks)]
        {
            let rank = |price: u32| if side == Side::Buy { u32::MAX - price } else { price };
            let mut last_rank = None;
            for &(price, lots) in listed {
                if lots == 0 || last_rank.is_some_and(|last| rank(price) <= last) {
                    return Err(Rule::SnapshotOrder { price, found: lots });
                }
                last_rank = Some(rank(price));
            }
            let listed: BTreeMap<u32, u64> = listed.iter().copied().collect();
            for &price in levels.keys().chain(listed.keys()) {
                let lots = |of: &BTreeMap<u32, u64>| of.get(&price).copied().unwrap_or(0);
                let (expected, found) = (lots(levels), lots(&listed));
                if expected != found {
                    return Err(Rule::Snapshot { side, price, expected, found });
                }
            }
        }
        Ok(())
    }
}

impl Day {
    fn on_trade(&mut self, now_ns: u64, trade: &Trade) {
        let mut expired = self.trades.is_empty();
        while let Some((_, old)) = self.trades.front().filter(|(at_ns, _)| *at_ns < window_start(now_ns)) {
            self.volume -= u128::from(old.quantity);
            self.quote_volume -= u128::from(old.price) * u128::from(old.quantity);
            self.previous_close = old.price;
            self.trades.pop_front();
            expired = true;
        }
        self.trades.push_back((now_ns, *trade));
        self.volume += u128::from(trade.quantity);
        self.quote_volume += u128::from(trade.price) * u128::from(trade.quantity);
        self.last_trade_id = trade.trade_id;
        let prices = || self.trades.iter().map(|(_, trade)| trade.price);
        if expired {
            self.high = prices().fold(trade.price, u32::max);
            self.low = prices().fold(trade.price, u32::min);
        } else {
            self.high = self.high.max(trade.price);
            self.low = self.low.min(trade.price);
        }
    }

    fn check(&self, ticker: &Ticker, now_ns: u64) -> Result<(), Rule> {
        let (Some((_, first)), Some((_, last))) = (self.trades.front(), self.trades.back()) else {
            return Err(Rule::MisplacedTicker);
        };
        expect("ticker last", last.price, ticker.last)?;
        expect("ticker last quantity", last.quantity, ticker.last_quantity)?;
        expect("ticker open", first.price, ticker.open)?;
        expect("ticker high", self.high, ticker.high)?;
        expect("ticker low", self.low, ticker.low)?;
        expect("ticker previous close", self.previous_close, ticker.previous_close)?;
        expect("ticker volume", self.volume as i128, ticker.volume)?;
        expect("ticker quote volume", self.quote_volume as i128, ticker.quote_volume as i128)?;
        expect("ticker first trade id", first.trade_id, ticker.first_trade_id)?;
        expect("ticker last trade id", last.trade_id, ticker.last_trade_id)?;
        expect("ticker window start", window_start(now_ns), ticker.open_ns)
    }
}

/// What an order gives for so many lots: money to buy, goods to sell.
fn given(instrument: &Instrument, execution: &Execution, lots: u64) -> (AssetId, i128) {
    match execution.side {
        Side::Buy => (instrument.quote, money(instrument, execution.price, lots)),
        Side::Sell => (instrument.base, goods(instrument, lots)),
    }
}

/// Worked out apart from [`Instrument::notional`], and too wide for any lots to overflow.
fn money(instrument: &Instrument, price: u32, lots: u64) -> i128 {
    let units = i128::from(instrument.tick) * i128::from(instrument.lot) / i128::from(UNITS_PER_WHOLE);
    i128::from(price).saturating_mul(i128::from(lots)).saturating_mul(units)
}

fn goods(instrument: &Instrument, lots: u64) -> i128 {
    i128::from(lots).saturating_mul(instrument.lot.into())
}

fn check_no_fill(execution: &Execution) -> Result<(), Rule> {
    expect("last quantity", 0, execution.last_quantity)?;
    expect("last price", 0, execution.last_price)?;
    expect("fee", 0, execution.fee)?;
    expect("trade id of the execution", 0, execution.trade_id)
}

/// The window is the current quarter hour and the 95 before it.
fn window_start(now_ns: u64) -> u64 {
    const QUARTER_NS: u64 = 900_000_000_000;
    (now_ns / QUARTER_NS * QUARTER_NS).saturating_sub(95 * QUARTER_NS)
}

fn expect(field: &'static str, expected: impl Into<i128>, found: impl Into<i128>) -> Result<(), Rule> {
    let (expected, found) = (expected.into(), found.into());
    if expected == found { Ok(()) } else { Err(Rule::Field { field, expected, found }) }
}

/// Account ids from here on are the venue's own: even ones are counterparties of fills, odd ones take the fees.
const INTERNAL_ACCOUNTS: u32 = 0x8000_0000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_random::Seed;

    use super::*;
    use crate::{MarketSpec, RegimeChange, ShardMarket, Trading};

    /// Its recording has a transfer among its first messages, which are rare.
    const SEED_WITH_TRANSFER: u64 = 14;

    /// A true recording, to be falsified.
    #[derive(Clone)]
    struct Recording {
        listing: Listing,
        books: Vec<Snapshot>,
        balances: Vec<Balance>,
        messages: Vec<Message>,
        last_books: Vec<Snapshot>,
        last_balances: Vec<Balance>,
    }

    impl Recording {
        fn new() -> Self {
            Self::until(30_000)
        }

        /// At least so many messages, and to the end of an event.
        fn until(count: usize) -> Self {
            Self::of(Self::spec(), count)
        }

        fn spec() -> MarketSpec {
            let listing = Listing::synthetic(3, Seed::new(11));
            MarketSpec { shards: 1, accounts: 4, ..MarketSpec::new(Seed::new(SEED_WITH_TRANSFER), listing) }
        }

        fn of(spec: MarketSpec, count: usize) -> Self {
            let mut market = ShardMarket::new(&spec, 0).unwrap();
            let (books, balances) = (market.snapshots(), market.balances());
            let mut messages: Vec<Message> = Vec::new();
            while messages.len() < count || messages.last().is_some_and(|last| !last.last) {
                messages.push(*market.next(1_000 + 10 * messages.len() as u64));
            }
            let (last_books, last_balances) = (market.snapshots(), market.balances());
            Self { listing: spec.listing, books, balances, messages, last_books, last_balances }
        }

        /// With trading halted from its second third to its last.
        fn with_halt() -> Self {
            let mut spec = Self::spec();
            let change = |at_ns, trading| RegimeChange { trading, ..RegimeChange::new(at_ns, spec.regime) };
            spec.regime_path = [change(100_000, Trading::Halted), change(200_000, Trading::Open)].into();
            Self::of(spec, 30_000)
        }

        fn replay(&self) -> Result<(), Violation> {
            let mut checker = Checker::new(&self.listing, &self.books, &self.balances);
            self.messages.iter().try_for_each(|message| checker.observe(message))?;
            checker.finish(&self.last_books, &self.last_balances)
        }

        /// What the checker says once the recording has been falsified.
        fn rule_broken_by(&self, falsify: impl FnOnce(&mut Recording)) -> Rule {
            let mut recording = self.clone();
            falsify(&mut recording);
            recording.replay().expect_err("the falsification must be found").broken
        }

        /// Place of the first message of the second half of which this is true: books are used by then.
        fn find(&self, is_sought: impl Fn(&Message) -> bool) -> usize {
            let half = self.messages.len() / 2;
            half + self.messages[half..].iter().position(is_sought).unwrap()
        }

        /// Place of a message that is a whole event and a level change.
        fn lone_change(&self) -> usize {
            self.find(|message| {
                message.last
                    && matches!(message.body, Body::Book(_))
                    && self.messages[message_place(self, message) - 1].last
            })
        }

        fn execution(&self, kind: ExecutionKind) -> usize {
            self.find(|message| matches!(message.body, Body::Execution(execution) if execution.kind == kind))
        }

        /// Takes a message out and closes the gap in the numbers, so that only the content can betray it.
        fn remove(&mut self, place: usize) {
            let removed = self.messages.remove(place);
            for message in &mut self.messages[place..] {
                if message.symbol == removed.symbol {
                    message.sequence -= 1;
                }
            }
            self.messages[place - 1].last |= removed.last;
        }

        /// Takes out an event of one message, and closes the gap in the numbers of events too.
        fn remove_event(&mut self, place: usize) {
            self.remove(place);
            for message in &mut self.messages[place..] {
                message.event -= 1;
            }
        }
    }

    fn message_place(recording: &Recording, message: &Message) -> usize {
        recording.messages.partition_point(|other| other.due_ns < message.due_ns)
    }

    fn best_bid(books: &[Snapshot]) -> (u32, u64) {
        books[0].bids[0]
    }

    #[test]
    fn a_true_recording_breaks_no_rule() {
        assert_eq!(Recording::new().replay(), Ok(()));
    }

    #[test]
    fn false_numbers_and_times_are_found() {
        let recording = Recording::new();
        let change = recording.lone_change();
        let broken = |edit: fn(&mut Message)| recording.rule_broken_by(|it| edit(&mut it.messages[change]));
        assert_eq!(broken(|message| message.symbol = SymbolId(99)), Rule::UnknownSymbol);
        assert!(matches!(broken(|message| message.sequence += 1), Rule::Sequence { .. }));
        assert!(matches!(broken(|message| message.event += 1), Rule::Event { .. }));
        assert!(matches!(broken(|message| message.event_ns += 1), Rule::EventTime { .. }));
        assert!(matches!(broken(|message| message.due_ns = 5), Rule::DueTime { found: 5, .. }));
        assert!(matches!(
            broken(|message| message.last = false),
            Rule::Event { .. } | Rule::EventSymbol { .. }
        ));
        let within = recording.find(|message| matches!(message.body, Body::Ticker(_)));
        let broken = |edit: fn(&mut Message)| recording.rule_broken_by(|it| edit(&mut it.messages[within]));
        assert!(matches!(broken(|message| message.event += 1), Rule::Event { .. }));
        assert!(matches!(broken(|message| message.event_ns += 1), Rule::EventTime { .. }));
        assert!(matches!(
            broken(|message| message.symbol = SymbolId((message.symbol.0 + 1) % 3)),
            Rule::EventSymbol { .. }
        ));
        let cut = recording.rule_broken_by(|it| it.messages.truncate(within));
        assert!(matches!(cut, Rule::Unfinished { .. }));
    }

    #[test]
    fn false_level_changes_are_found() {
        let recording = Recording::new();
        let broken = |edit: fn(&mut BookChange, &[Snapshot])| {
            recording.rule_broken_by(|it| {
                // The first message of symbol 0, so that the snapshot tells what was there.
                let place = it.messages.iter().position(|message| message.symbol.0 == 0).unwrap();
                let Body::Book(change) = &mut it.messages[place].body else { panic!("it is a level change") };
                edit(change, &it.books);
            })
        };
        let unchanged = broken(|change, books| {
            (change.side, (change.price, change.quantity)) = (Side::Buy, best_bid(books));
        });
        assert!(matches!(unchanged, Rule::Unchanged { .. }));
        let crossed = broken(|change, books| {
            (change.side, change.price, change.quantity) = (Side::Buy, best_bid(books).0 + 5, 5);
        });
        assert!(matches!(crossed, Rule::Crossed { .. }));
        assert!(matches!(broken(|change, _| change.update_id += 1), Rule::Field { field: "update id", .. }));
    }

    #[test]
    fn a_book_with_one_side_is_found() {
        let recording = Recording::new();
        let rule = recording.rule_broken_by(|it| {
            it.books[0].asks.truncate(1);
            let price = it.books[0].asks[0].0;
            let first = &mut it.messages[0];
            (first.symbol, first.sequence, first.last) = (SymbolId(0), 1, true);
            first.body = Body::Book(BookChange { update_id: 1, side: Side::Sell, price, quantity: 0 });
        });
        assert_eq!(rule, Rule::OneSided { found: Side::Sell });
    }

    #[test]
    fn false_trades_are_found() {
        let recording = Recording::new();
        let place = recording.find(|message| matches!(message.body, Body::Trade(_)));
        let broken = |edit: fn(&mut Trade)| {
            recording.rule_broken_by(|it| {
                let Body::Trade(trade) = &mut it.messages[place].body else { panic!("it is a trade") };
                edit(trade);
            })
        };
        assert!(matches!(broken(|trade| trade.price += 1), Rule::OffTheTouch { .. }));
        assert!(matches!(broken(|trade| trade.taker = trade.taker.opposite()), Rule::OffTheTouch { .. }));
        assert!(matches!(broken(|trade| trade.quantity = 0), Rule::TradeSize { .. }));
        assert!(matches!(broken(|trade| trade.quantity = 1_000_000), Rule::TradeSize { .. }));
        assert!(matches!(broken(|trade| trade.trade_id += 1), Rule::Field { field: "trade id", .. }));
        let not_removed = recording.rule_broken_by(|it| {
            let Body::Book(change) = &mut it.messages[place + 1].body else { panic!("its level comes next") };
            change.quantity += 1;
        });
        assert!(matches!(not_removed, Rule::TradeNotRemoved { found: Some(_), .. }));
        let never_removed = recording.rule_broken_by(|it| it.remove(place + 1));
        assert!(matches!(never_removed, Rule::TradeNotRemoved { found: None, .. }));
        let cut_short = recording.rule_broken_by(|it| it.messages[place].last = true);
        assert!(matches!(cut_short, Rule::TradeNotRemoved { found: None, .. }));
    }

    #[test]
    fn false_quotes_and_tickers_are_found() {
        let recording = Recording::new();
        let quote = recording.find(|message| matches!(message.body, Body::Quote(_)));
        let broken = |edit: fn(&mut Quote)| {
            recording.rule_broken_by(|it| {
                let Body::Quote(quote) = &mut it.messages[quote].body else { panic!("it is a quote") };
                edit(quote);
            })
        };
        assert!(matches!(broken(|quote| quote.bid -= 1), Rule::Field { field: "bid", .. }));
        assert!(matches!(broken(|quote| quote.bid_quantity += 1), Rule::Field { field: "bid quantity", .. }));
        assert!(matches!(broken(|quote| quote.ask += 1), Rule::Field { field: "ask", .. }));
        assert!(matches!(broken(|quote| quote.ask_quantity += 1), Rule::Field { field: "ask quantity", .. }));
        assert!(matches!(broken(|quote| quote.update_id -= 1), Rule::Field { .. }));
        let change = recording.lone_change();
        let Body::Quote(any) = recording.messages[quote].body else { panic!("it is a quote") };
        let needless = recording.rule_broken_by(|it| it.messages[change].body = Body::Quote(any));
        assert!(matches!(needless, Rule::NeedlessQuote { .. }));

        let ticker = recording.find(|message| matches!(message.body, Body::Ticker(_)));
        let broken = |edit: fn(&mut Ticker)| {
            recording.rule_broken_by(|it| {
                let Body::Ticker(ticker) = &mut it.messages[ticker].body else { panic!("it is a ticker") };
                edit(ticker);
            })
        };
        let edits: [fn(&mut Ticker); 12] = [
            |ticker| ticker.last += 1,
            |ticker| ticker.last_quantity += 1,
            |ticker| ticker.open += 1,
            |ticker| ticker.high += 1,
            |ticker| ticker.low -= 1,
            |ticker| ticker.previous_close += 1,
            |ticker| ticker.volume += 1,
            |ticker| ticker.quote_volume += 1,
            |ticker| ticker.first_trade_id += 1,
            |ticker| ticker.last_trade_id += 1,
            |ticker| ticker.open_ns += 1,
            |ticker| ticker.quote.bid += 1,
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            assert!(matches!(broken(edit), Rule::Field { .. }), "edit {number}");
        }
        assert_eq!(recording.rule_broken_by(|it| it.remove(ticker)), Rule::MisplacedTicker);
        let Body::Ticker(any) = recording.messages[ticker].body else { panic!("it is a ticker") };
        let misplaced = recording.rule_broken_by(|it| it.messages[change].body = Body::Ticker(any));
        assert_eq!(misplaced, Rule::MisplacedTicker);
    }

    #[test]
    fn false_executions_are_found() {
        let recording = Recording::new();
        let broken = |kind, edit: fn(&mut Execution)| {
            let place = recording.execution(kind);
            recording.rule_broken_by(|it| {
                let Body::Execution(execution) = &mut it.messages[place].body else {
                    panic!("it is an execution")
                };
                edit(execution);
            })
        };
        use ExecutionKind::{Canceled, New, Trade};
        assert!(matches!(broken(New, |it| it.execution_id += 1), Rule::Field { field: "execution id", .. }));
        assert!(matches!(broken(New, |it| it.order_id += 1), Rule::Field { field: "order id", .. }));
        assert!(matches!(broken(New, |it| it.placed_ns += 1), Rule::Field { field: "placing time", .. }));
        assert!(matches!(broken(New, |it| it.fee_asset.0 += 1), Rule::Field { field: "fee asset", .. }));
        assert!(matches!(broken(New, |it| it.fee = 1), Rule::Field { field: "fee", .. }));
        assert!(matches!(broken(New, |it| it.price += 1), Rule::OrderNotOnBook { .. }));
        assert!(matches!(broken(New, |it| it.quantity += 1), Rule::OrderNotOnBook { .. }));
        assert!(matches!(broken(Canceled, |it| it.order_id += 9_999), Rule::UnknownOrder { .. }));
        assert!(matches!(broken(Canceled, |it| it.account.0 += 1), Rule::UnknownOrder { .. }));
        assert!(matches!(
            broken(Canceled, |it| it.quantity += 1),
            Rule::Field { field: "order quantity", .. }
        ));
        assert!(matches!(broken(Canceled, |it| it.filled_quantity += 1), Rule::Field { .. }));
        assert!(matches!(broken(Trade, |it| it.side = it.side.opposite()), Rule::UnknownOrder { .. }));
        assert!(matches!(broken(Trade, |it| it.trade_id += 1), Rule::FillWithoutTrade { .. }));
        assert!(matches!(broken(Trade, |it| it.last_quantity = 99_999), Rule::FillWithoutTrade { .. }));
        assert!(matches!(broken(Trade, |it| it.last_quantity = 0), Rule::FillWithoutTrade { .. }));
        assert!(matches!(broken(Trade, |it| it.last_price += 1), Rule::Field { field: "fill price", .. }));
        assert!(matches!(broken(Trade, |it| it.filled_quantity += 1), Rule::Field { .. }));
        assert!(matches!(
            broken(Trade, |it| it.fee += 1),
            Rule::Balance { expected: Some(_), found: Some(_) }
        ));
    }

    #[test]
    fn a_level_below_its_own_orders_is_found() {
        let recording = Recording::new();
        let place = recording.execution(ExecutionKind::New);
        let Body::Execution(order) = recording.messages[place].body else { panic!("it is an execution") };
        let symbol = recording.messages[place].symbol;
        let rule = recording.rule_broken_by(|it| {
            let changes = &mut it.messages[place..].iter_mut();
            let next =
                changes.find(|message| message.symbol == symbol && matches!(message.body, Body::Book(_)));
            let Some(Message { body: Body::Book(change), .. }) = next else { panic!("it is a level change") };
            (change.side, change.price, change.quantity) = (order.side, order.price, order.quantity - 1);
        });
        assert!(matches!(rule, Rule::OwnAboveLevel { .. }), "{rule}");
    }

    #[test]
    fn false_balances_are_found() {
        let recording = Recording::new();
        let place = recording.find(|message| matches!(message.body, Body::Balance(_)));
        let broken = |edit: fn(&mut Balance)| {
            recording.rule_broken_by(|it| {
                let Body::Balance(balance) = &mut it.messages[place].body else { panic!("it is a balance") };
                edit(balance);
            })
        };
        let other = |rule| matches!(rule, Rule::Balance { expected: Some(_), found: Some(_) });
        assert!(other(broken(|balance| balance.free += 1)));
        assert!(other(broken(|balance| balance.locked += 1)));
        assert!(other(broken(|balance| balance.account.0 += 1)));
        assert!(other(broken(|balance| balance.asset.0 += 1)));
        let missing = recording.rule_broken_by(|it| it.remove(place));
        assert!(matches!(missing, Rule::Balance { expected: Some(_), .. }));
        let Body::Balance(any) = recording.messages[place].body else { panic!("it is a balance") };
        let change = recording.lone_change();
        let needless = recording.rule_broken_by(|it| it.messages[change].body = Body::Balance(any));
        assert!(matches!(needless, Rule::Balance { expected: None, found: Some(_) }));
        let poor = recording.rule_broken_by(|it| it.balances.iter_mut().for_each(|balance| balance.free = 0));
        assert!(matches!(poor, Rule::Negative { .. }));
        let locked = recording.rule_broken_by(|it| {
            for balance in &mut it.balances {
                (balance.free, balance.locked) = (balance.free.saturating_sub(1), 1);
            }
            // Consistent with it, so that only the missing orders betray it.
            for message in &mut it.messages {
                if let Body::Balance(balance) = &mut message.body {
                    (balance.free, balance.locked) = (balance.free - 1, balance.locked + 1);
                }
            }
        });
        assert!(matches!(locked, Rule::Locked { .. }));
    }

    #[test]
    fn false_transfers_are_found() {
        let recording = Recording::new();
        let place = recording.messages.iter().position(|message| matches!(message.body, Body::Transfer(_)));
        let place = place.expect("this seed has a transfer");
        let rule = recording.rule_broken_by(|it| {
            let Body::Transfer(transfer) = &mut it.messages[place].body else { panic!("it is a transfer") };
            transfer.amount += 1;
        });
        assert!(matches!(rule, Rule::Balance { .. }));
    }

    #[test]
    fn a_false_status_and_a_trade_in_a_halt_are_found() {
        let recording = Recording::with_halt();
        assert_eq!(recording.replay(), Ok(()));
        let place = |trading| {
            let status = Body::Status(Status { trading });
            recording.messages.iter().position(|message| message.body == status).expect("it halts")
        };
        let (halt, end) = (place(false), place(true));
        let symbol = recording.messages[halt].symbol;
        let repeated = recording.rule_broken_by(|it| {
            it.messages[halt].body = Body::Status(Status { trading: true });
        });
        assert_eq!(repeated, Rule::Status { expected: false, found: true });
        // Without the status that ends the halt.
        let silent = recording.rule_broken_by(|it| it.remove_event(end));
        assert!(matches!(silent, Rule::TradeInHalt { .. }), "{silent}");
        let shared = recording.rule_broken_by(|it| {
            let next =
                it.messages[halt..].iter().position(|message| message.symbol == symbol && !message.last);
            it.messages[halt + next.expect("it has events of several messages") + 1].body =
                Body::Status(Status { trading: true });
        });
        assert_eq!(shared, Rule::Status { expected: true, found: true });
    }

    #[test]
    fn false_snapshots_and_final_balances_are_found() {
        let recording = Recording::new();
        let broken = |edit: fn(&mut Snapshot)| recording.rule_broken_by(|it| edit(&mut it.last_books[1]));
        assert!(matches!(broken(|book| book.bids[3].1 += 1), Rule::Snapshot { side: Side::Buy, .. }));
        assert!(matches!(broken(|book| book.asks.truncate(5)), Rule::Snapshot { found: 0, .. }));
        assert!(matches!(broken(|book| book.asks.swap(0, 1)), Rule::SnapshotOrder { .. }));
        assert!(matches!(broken(|book| book.asks[2].1 = 0), Rule::SnapshotOrder { found: 0, .. }));
        assert!(matches!(broken(|book| book.sequence += 1), Rule::Field { field: "snapshot sequence", .. }));
        assert!(matches!(
            broken(|book| book.update_id += 1),
            Rule::Field { field: "snapshot update id", .. }
        ));
        let gone = recording.rule_broken_by(|it| it.last_balances = it.last_balances.split_off(1));
        assert!(matches!(gone, Rule::Conservation { .. }));
        let count = recording.last_balances.len();
        for place in 0..count {
            let changed = recording.rule_broken_by(|it| it.last_balances[place].free += 1);
            assert!(matches!(changed, Rule::Field { field: "balance", .. }), "balance {place} of {count}");
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Mutation {
        Drop,
        Double,
        Swap,
        Price,
        Quantity,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_mutation_goes_unnoticed(
            place in 0usize..2_000,
            mutation in prop::sample::select(vec![
                Mutation::Drop, Mutation::Double, Mutation::Swap, Mutation::Price, Mutation::Quantity,
            ]),
        ) {
            // Ends soon after, because a wrong level is forgotten once the next change has set it right.
            let messages = if matches!(mutation, Mutation::Swap) { place + 2 } else { place + 1 };
            let mut recording = Recording::until(messages);
            let messages = &mut recording.messages;
            match mutation {
                Mutation::Drop => drop(messages.remove(place)),
                Mutation::Double => messages.insert(place, messages[place]),
                Mutation::Swap => messages.swap(place, place + 1),
                Mutation::Price => match &mut messages[place].body {
                    Body::Book(change) => change.price += 1,
                    Body::Trade(trade) => trade.price += 1,
                    Body::Quote(quote) => quote.bid -= 1,
                    Body::Ticker(ticker) => ticker.last += 1,
                    Body::Execution(execution) => execution.price += 1,
                    Body::Balance(balance) => balance.free += 1,
                    Body::Transfer(transfer) => transfer.amount += 1,
                    Body::Status(status) => status.trading ^= true,
                },
                Mutation::Quantity => match &mut messages[place].body {
                    Body::Book(change) => change.quantity += 1,
                    Body::Trade(trade) => trade.quantity += 1,
                    Body::Quote(quote) => quote.ask_quantity += 1,
                    Body::Ticker(ticker) => ticker.volume += 1,
                    Body::Execution(execution) => execution.quantity += 1,
                    Body::Balance(balance) => balance.locked += 1,
                    Body::Transfer(transfer) => transfer.amount -= 1,
                    Body::Status(status) => status.trading ^= true,
                },
            }
            prop_assert!(recording.replay().is_err());
        }
    }
}
