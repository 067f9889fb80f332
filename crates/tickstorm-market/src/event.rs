//! What the market says: messages, each a part of an event.

use crate::instrument::{AssetId, SymbolId};

/// The two sides of a book, and of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Bids; an order to buy.
    Buy,
    /// Asks; an order to sell.
    Sell,
}

impl Side {
    /// The side that an order of this side trades against.
    #[inline]
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

/// An account of the simulated venue. The internal accounts have ids of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// One message of the market, before any venue's wording.
///
/// An *event* is one action of the matching engine; it yields one or more messages, consecutive for their symbol:
/// trade, then the level it hit, then the executions and balances it caused, level after level, then the ticker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message {
    /// The instrument that acted.
    pub symbol: SymbolId,
    /// Number of this message among its symbol's, from 1, without gaps over all kinds.
    pub sequence: u64,
    /// Number of the event, rising by one within a shard.
    pub event: u64,
    /// Due time of the event's first message: ns since the start of the run.
    pub event_ns: u64,
    /// Due time of this message: ns since the start of the run.
    pub due_ns: u64,
    /// Whether it is the last of its event.
    pub last: bool,
    /// What happened.
    pub body: Body,
}

/// The kinds of message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Body {
    /// A price level has a new quantity.
    Book(BookChange),
    /// A trade at one price level.
    Trade(Trade),
    /// The best prices after a change of them.
    Quote(Quote),
    /// Rolling 24 h statistics, after a trade event.
    Ticker(Ticker),
    /// A change of an own order: new, filled, cancelled.
    Execution(Execution),
    /// An account's new balance of one asset.
    Balance(Balance),
    /// A deposit (positive) or withdrawal (negative).
    Transfer(Transfer),
    /// The symbol stopped trading or trades again; an event of its own, before whatever else the symbol does.
    Status(Status),
}

/// The kinds of message without their content, for counting and filtering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// See [`Body::Book`].
    Book,
    /// See [`Body::Trade`].
    Trade,
    /// See [`Body::Quote`].
    Quote,
    /// See [`Body::Ticker`].
    Ticker,
    /// See [`Body::Execution`].
    Execution,
    /// See [`Body::Balance`].
    Balance,
    /// See [`Body::Transfer`].
    Transfer,
    /// See [`Body::Status`].
    Status,
}

impl Kind {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Kind; 8] = [
        Kind::Book,
        Kind::Trade,
        Kind::Quote,
        Kind::Ticker,
        Kind::Execution,
        Kind::Balance,
        Kind::Transfer,
        Kind::Status,
    ];

    /// The name used in reports and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Book => "book",
            Kind::Trade => "trade",
            Kind::Quote => "quote",
            Kind::Ticker => "ticker",
            Kind::Execution => "execution",
            Kind::Balance => "balance",
            Kind::Transfer => "transfer",
            Kind::Status => "status",
        }
    }
}

impl Body {
    /// The kind of this body.
    #[inline]
    pub const fn kind(&self) -> Kind {
        match self {
            Body::Book(_) => Kind::Book,
            Body::Trade(_) => Kind::Trade,
            Body::Quote(_) => Kind::Quote,
            Body::Ticker(_) => Kind::Ticker,
            Body::Execution(_) => Kind::Execution,
            Body::Balance(_) => Kind::Balance,
            Body::Transfer(_) => Kind::Transfer,
            Body::Status(_) => Kind::Status,
        }
    }
}

/// A price level's new quantity; zero removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookChange {
    /// Rises by one for each level change of the symbol.
    pub update_id: u64,
    /// The side of the level.
    pub side: Side,
    /// Ticks.
    pub price: u32,
    /// Lots now resting at the price.
    pub quantity: u64,
}

/// A trade at one price level of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Rises by one for each trade of the symbol.
    pub trade_id: u64,
    /// Ticks.
    pub price: u32,
    /// Lots.
    pub quantity: u64,
    /// The side of the order that took: `Buy` hit the asks.
    pub taker: Side,
}

/// Best prices and the quantities there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The book change that this reflects.
    pub update_id: u64,
    /// Ticks.
    pub bid: u32,
    /// Lots.
    pub bid_quantity: u64,
    /// Ticks.
    pub ask: u32,
    /// Lots.
    pub ask_quantity: u64,
}

/// Statistics of the last 24 h, or of the run so far where that is shorter. Prices in ticks, quantities in lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticker {
    /// The best prices at this moment.
    pub quote: Quote,
    /// Price of the last trade.
    pub last: u32,
    /// Quantity of the last trade.
    pub last_quantity: u64,
    /// Price of the first trade in the window.
    pub open: u32,
    /// Highest trade in the window.
    pub high: u32,
    /// Lowest trade in the window.
    pub low: u32,
    /// Price of the last trade before the window, or the start price.
    pub previous_close: u32,
    /// Lots traded.
    pub volume: u64,
    /// Sum of price x quantity, in ticks x lots.
    pub quote_volume: u128,
    /// Id of the first trade in the window.
    pub first_trade_id: u64,
    /// Id of the last trade.
    pub last_trade_id: u64,
    /// Start of the window: ns since the start of the run (zero before 24 h have passed).
    pub open_ns: u64,
}

/// What an [`Execution`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExecutionKind {
    /// The order rests on the book.
    New,
    /// A trade filled part or all of it.
    Trade,
    /// The rest was cancelled.
    Canceled,
}

/// A change of an order of one of the simulated accounts. All own orders are limit orders that rest (makers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// Whose order.
    pub account: AccountId,
    /// Rises by one for each order of the symbol.
    pub order_id: u64,
    /// Rises by one for each execution message of the symbol.
    pub execution_id: u64,
    /// What happened.
    pub kind: ExecutionKind,
    /// The order's side.
    pub side: Side,
    /// The order's limit, ticks.
    pub price: u32,
    /// The order's whole quantity, lots.
    pub quantity: u64,
    /// Quantity of this fill, lots; zero unless `kind` is `Trade`.
    pub last_quantity: u64,
    /// Price of this fill, ticks; zero unless `kind` is `Trade`. A resting order fills at its own price.
    pub last_price: u32,
    /// Filled so far, lots.
    pub filled_quantity: u64,
    /// Fee of this fill, 1e-8 units of `fee_asset`.
    pub fee: u64,
    /// What the fee is paid in; the quote asset.
    pub fee_asset: AssetId,
    /// The public trade that filled it; zero unless `kind` is `Trade`.
    pub trade_id: u64,
    /// When the order was placed: ns since the start of the run.
    pub placed_ns: u64,
}

/// An account's balance of one asset after a change, in 1e-8 units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// Free to use.
    pub free: u64,
    /// Bound in open orders.
    pub locked: u64,
}

/// Money that came from or went to outside the simulated venue, in 1e-8 units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// Positive for a deposit.
    pub amount: i64,
}

/// Whether a symbol trades, when that has changed. Books go on changing while it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether orders are matched.
    pub trading: bool,
}

/// All levels of a book at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The instrument.
    pub symbol: SymbolId,
    /// The symbol's last message before the snapshot.
    pub sequence: u64,
    /// The last level change before the snapshot.
    pub update_id: u64,
    /// Price in ticks and quantity in lots, best first.
    pub bids: Vec<(u32, u64)>,
    /// Price in ticks and quantity in lots, best first.
    pub asks: Vec<(u32, u64)>,
}
