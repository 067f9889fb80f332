//! What a wire message says, in the market's units and without the venue's wording.

use tickstorm_market::event::{
    AccountId, Balance, Execution, ExecutionKind, Message, Quote, Side, Ticker, Trade,
};
use tickstorm_market::instrument::{AssetId, Instrument, SymbolId};

/// A thing that a wire message says. Prices are whole ticks and quantities whole lots of the symbol; amounts of
/// money are in 1e-8 units; times are Unix nanoseconds, as exact as the venue gives them. A field that some
/// venues do not send is an `Option`.
///
/// The slices live in the [`Decoder`](crate::Decoder) that read them and last until its next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A number that counts the messages of a connection or channel, where a venue has one; comes before what
    /// else the message says.
    Numbered(Numbered),
    /// Levels of a book: all of them, or new quantities.
    Depth(DepthUpdate<'a>),
    /// A public trade.
    Trade(TradePrint),
    /// Trades of one order at one price, summed.
    Aggregate(AggregateTrade),
    /// The best prices.
    Quote(QuoteUpdate),
    /// Rolling 24 h statistics.
    Ticker(TickerUpdate),
    /// A change of an own order.
    Execution(ExecutionReport),
    /// New balances of an account.
    Balance(BalanceUpdate<'a>),
    /// A deposit or withdrawal.
    Transfer(TransferUpdate),
    /// An instrument is traded, or no longer.
    Status(StatusUpdate),
    /// Nothing of the market: an answer, a heartbeat, a greeting. [`Protocol`](crate::Protocol) reads it.
    Control,
}

/// The place of a message among those of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// What is counted.
    pub counted: Counted,
    /// Rises by one.
    pub number: u64,
}

/// What a [`Numbered`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Every message of the connection.
    Frames,
    /// Messages about own orders.
    Orders,
    /// Messages about balances.
    Balances,
}

/// A price and the quantity there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Ticks.
    pub price: u32,
    /// Lots.
    pub quantity: u64,
}

/// Levels of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthUpdate<'a> {
    /// The instrument.
    pub symbol: SymbolId,
    /// Whether these are all levels.
    pub form: DepthForm,
    /// How many levels a side the subscription is about, where the message tells; zero for all.
    pub depth: Option<u32>,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// When the engine made the last of the changes.
    pub engine_ns: Option<u64>,
    /// How the message continues those before it.
    pub continuity: Continuity,
    /// The number of the last change in the order of all the venue's channels.
    pub cross_sequence: Option<u64>,
    /// Of the book after this message.
    pub checksum: Option<u32>,
    /// Bids, in the order of the message.
    pub bids: &'a [Level],
    /// Asks, in the order of the message.
    pub asks: &'a [Level],
}

/// What the levels of a [`DepthUpdate`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DepthForm {
    /// The whole book, or its best part: they replace what was known.
    Snapshot,
    /// New quantities; zero removes a level.
    Update,
}

/// How depth updates are chained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// Not at all.
    None,
    /// By the numbers of the first and last book change folded in, the last never below the first. Of a snapshot
    /// both are the last change that it contains.
    Range {
        /// First change.
        first: u64,
        /// Last change.
        last: u64,
    },
    /// By naming the state that it follows.
    Chain {
        /// That state; none of a snapshot.
        previous: Option<u64>,
        /// The state after it.
        id: u64,
    },
    /// By counting messages.
    Count(u64),
}

/// A public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradePrint {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// When the engine matched it.
    pub engine_ns: u64,
    /// Rises by one for each trade of the symbol; of several matches the last one's.
    pub trade_id: u64,
    /// How many matches of one order at one price it sums up; one at most venues.
    pub matches: u32,
    /// Ticks.
    pub price: u32,
    /// Lots.
    pub quantity: u64,
    /// The side of the order that took.
    pub taker: Side,
    /// The number of the trade in the order of all the venue's channels.
    pub cross_sequence: Option<u64>,
}

/// All trades of one order at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregateTrade {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ns: u64,
    /// When the engine matched them.
    pub engine_ns: u64,
    /// Rises by one for each aggregate of the symbol.
    pub aggregate_id: u64,
    /// First trade summed.
    pub first_trade_id: u64,
    /// Last trade summed.
    pub last_trade_id: u64,
    /// Ticks.
    pub price: u32,
    /// Lots of all of them.
    pub quantity: u64,
    /// The side of the order that took.
    pub taker: Side,
}

/// The best prices and the quantities there. An empty side has price and quantity zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuoteUpdate {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// The book change that this reflects, in the numbers of [`DepthUpdate::change_id`].
    pub update_id: u64,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

/// Rolling 24 h statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickerUpdate {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// Price of the last trade, ticks.
    pub last: u32,
    /// Highest price in the window, ticks.
    pub high: u32,
    /// Lowest price in the window, ticks.
    pub low: u32,
    /// Lots traded in the window.
    pub volume: u64,
    /// Lots of the last trade.
    pub last_quantity: Option<u64>,
    /// Best bid and best ask.
    pub best: Option<[Level; 2]>,
    /// First price in the window, ticks.
    pub open: Option<u32>,
    /// Ticks from `open` to `last`.
    pub change: Option<i64>,
    /// The same by `open`, in 1e-8, rounded to [`Rules::share_step`](crate::Rules).
    pub change_share: Option<i64>,
    /// Quote volume by base volume: 1e-8 quote units for one whole base unit.
    pub weighted_average_units: Option<u64>,
    /// Money traded in the window, 1e-8 quote units.
    pub quote_volume_units: Option<u128>,
    /// Last price before the window, ticks.
    pub previous_close: Option<u32>,
    /// First and last trade in the window.
    pub trade_ids: Option<[u64; 2]>,
    /// Trades in the window.
    pub count: Option<u64>,
    /// Start and end of the window.
    pub window_ns: Option<[u64; 2]>,
}

/// What has become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// On the book, untouched.
    New,
    /// On the book, filled in part.
    PartiallyFilled,
    /// Filled, gone from the book.
    Filled,
    /// Cancelled, gone from the book.
    Canceled,
}

/// A change of an own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionReport {
    /// Whose order; account 0 where the venue does not tell.
    pub account: AccountId,
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// When it happened in the engine.
    pub engine_ns: u64,
    /// What happened.
    pub kind: ExecutionKind,
    /// What the order is now.
    pub status: OrderStatus,
    /// The order's side.
    pub side: Side,
    /// The venue's number of the order.
    pub order_id: u64,
    /// The venue's number of this report.
    pub execution_id: Option<u64>,
    /// The order's limit, ticks.
    pub price: u32,
    /// The order's whole quantity, lots.
    pub quantity: u64,
    /// This fill; zero without one, and where the venue tells only what all fills come to.
    pub last: Level,
    /// Filled so far, lots.
    pub filled_quantity: u64,
    /// Price times quantity of this fill, 1e-8 quote units.
    pub last_quote_units: Option<u64>,
    /// Price times quantity filled so far, 1e-8 quote units.
    pub filled_quote_units: Option<u64>,
    /// Fee of this fill, 1e-8 units of `fee_asset`.
    pub fee_units: u64,
    /// What the fee is paid in; none without a fill that is told by itself.
    pub fee_asset: Option<AssetId>,
    /// The public trade that filled it; none without a fill, or where the venue does not tell.
    pub trade_id: Option<u64>,
    /// When the order was placed.
    pub placed_ns: Option<u64>,
}

/// New balances of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceUpdate<'a> {
    /// Whose; account 0 where the venue does not tell.
    pub account: AccountId,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// When the account last changed.
    pub engine_ns: u64,
    /// Whether these are all the account's balances, from before which nothing is known.
    pub form: DepthForm,
    /// The assets that may have changed.
    pub balances: &'a [AssetBalance],
}

/// An account's holdings of one asset in 1e-8 units. Signed, so that a venue's error can be seen and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetBalance {
    /// Of what.
    pub asset: AssetId,
    /// Free and locked together.
    pub total_units: i64,
    /// Bound in open orders, where the venue tells.
    pub locked_units: Option<i64>,
    /// What was added to the total, fees taken off, where the venue tells.
    pub change_units: Option<i64>,
}

/// Money that came from or went to outside the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferUpdate {
    /// Whose.
    pub account: AccountId,
    /// When the venue built the message.
    pub event_ns: u64,
    /// When it was booked.
    pub engine_ns: u64,
    /// Of what.
    pub asset: AssetId,
    /// 1e-8 units, positive for a deposit.
    pub amount_units: i64,
}

/// Whether an instrument is traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ns: Option<u64>,
    /// Whether orders are matched.
    pub trading: bool,
}

impl DepthUpdate<'_> {
    /// The market's number of the last change, where the venue tells one: what quotes refer to.
    pub fn change_id(&self) -> Option<u64> {
        match self.continuity {
            Continuity::Range { last, .. } => Some(last),
            Continuity::Chain { id, .. } => Some(id),
            Continuity::None | Continuity::Count(_) => self.cross_sequence,
        }
    }
}

/// Turns run time into the wall clock of the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    start_unix_ns: u64,
}

impl WallClock {
    /// A start before 1970 counts as 1970: venues have no negative times.
    pub(crate) fn new(start_unix_ns: i64) -> Self {
        Self { start_unix_ns: u64::try_from(start_unix_ns).unwrap_or(0) }
    }

    #[inline]
    pub(crate) fn unix_ns(self, run_ns: u64) -> u64 {
        self.start_unix_ns.saturating_add(run_ns)
    }
}

impl TradePrint {
    #[inline]
    pub(crate) fn of(message: &Message, trade: &Trade, clock: WallClock) -> Self {
        Self {
            symbol: message.symbol,
            event_ns: Some(clock.unix_ns(message.due_ns)),
            engine_ns: clock.unix_ns(message.event_ns),
            trade_id: trade.trade_id,
            matches: 1,
            price: trade.price,
            quantity: trade.quantity,
            taker: trade.taker,
            cross_sequence: None,
        }
    }
}

impl QuoteUpdate {
    #[inline]
    pub(crate) fn of(message: &Message, quote: &Quote, clock: WallClock) -> Self {
        Self {
            symbol: message.symbol,
            event_ns: Some(clock.unix_ns(message.due_ns)),
            update_id: quote.update_id,
            bid: Level { price: quote.bid, quantity: quote.bid_quantity },
            ask: Level { price: quote.ask, quantity: quote.ask_quantity },
        }
    }
}

impl TickerUpdate {
    /// Statistics without what only some venues tell.
    pub(crate) fn short(symbol: SymbolId, last: u32, high: u32, low: u32, volume: u64) -> Self {
        Self {
            symbol,
            event_ns: None,
            last,
            high,
            low,
            volume,
            last_quantity: None,
            best: None,
            open: None,
            change: None,
            change_share: None,
            weighted_average_units: None,
            quote_volume_units: None,
            previous_close: None,
            trade_ids: None,
            count: None,
            window_ns: None,
        }
    }

    /// The statistics with everything that any venue prints; shares are rounded to `share_step`. Divisions are
    /// exact and rounded half up, away from zero.
    pub(crate) fn of(
        message: &Message,
        ticker: &Ticker,
        instrument: &Instrument,
        share_step: i64,
        clock: WallClock,
    ) -> Self {
        let change = i64::from(ticker.last) - i64::from(ticker.open);
        let event_ns = clock.unix_ns(message.due_ns);
        let quote = &ticker.quote;
        Self {
            symbol: message.symbol,
            event_ns: Some(event_ns),
            last: ticker.last,
            high: ticker.high,
            low: ticker.low,
            volume: ticker.volume,
            last_quantity: Some(ticker.last_quantity),
            best: Some([
                Level { price: quote.bid, quantity: quote.bid_quantity },
                Level { price: quote.ask, quantity: quote.ask_quantity },
            ]),
            open: Some(ticker.open),
            change: Some(change),
            change_share: Some(change_share(change, ticker.open, share_step)),
            weighted_average_units: Some(weighted_average_units(ticker, instrument.tick)),
            quote_volume_units: Some(ticker.quote_volume * u128::from(units_per_tick_lot(instrument))),
            previous_close: Some(ticker.previous_close),
            trade_ids: Some([ticker.first_trade_id, ticker.last_trade_id]),
            count: Some(ticker.last_trade_id.saturating_add(1).saturating_sub(ticker.first_trade_id)),
            window_ns: Some([clock.unix_ns(ticker.open_ns), event_ns]),
        }
    }
}

impl ExecutionReport {
    pub(crate) fn of(
        message: &Message,
        execution: &Execution,
        instrument: &Instrument,
        clock: WallClock,
    ) -> Self {
        let filled_by_trade = execution.kind == ExecutionKind::Trade;
        Self {
            account: execution.account,
            symbol: message.symbol,
            event_ns: Some(clock.unix_ns(message.due_ns)),
            engine_ns: clock.unix_ns(message.event_ns),
            kind: execution.kind,
            status: match execution.kind {
                ExecutionKind::New => OrderStatus::New,
                ExecutionKind::Canceled => OrderStatus::Canceled,
                ExecutionKind::Trade if execution.filled_quantity < execution.quantity => {
                    OrderStatus::PartiallyFilled
                }
                ExecutionKind::Trade => OrderStatus::Filled,
            },
            side: execution.side,
            order_id: execution.order_id,
            execution_id: Some(execution.execution_id),
            price: execution.price,
            quantity: execution.quantity,
            last: Level { price: execution.last_price, quantity: execution.last_quantity },
            filled_quantity: execution.filled_quantity,
            last_quote_units: Some(instrument.notional(execution.last_price, execution.last_quantity)),
            filled_quote_units: Some(instrument.notional(execution.price, execution.filled_quantity)),
            fee_units: execution.fee,
            fee_asset: filled_by_trade.then_some(execution.fee_asset),
            trade_id: filled_by_trade.then_some(execution.trade_id),
            placed_ns: Some(clock.unix_ns(execution.placed_ns)),
        }
    }
}

impl AssetBalance {
    #[inline]
    /// An account's balance without the account.
    pub fn of(balance: &Balance) -> Self {
        let signed = |units| i64::try_from(units).unwrap_or(i64::MAX);
        let locked_units = signed(balance.locked);
        Self {
            asset: balance.asset,
            total_units: signed(balance.free).saturating_add(locked_units),
            locked_units: Some(locked_units),
            change_units: None,
        }
    }

    /// What is not bound in open orders, as far as the venue tells.
    pub fn free_units(&self) -> i64 {
        self.total_units.saturating_sub(self.locked_units.unwrap_or(0))
    }
}

/// 1e-8 quote units of one lot at a price of one tick.
pub(crate) fn units_per_tick_lot(instrument: &Instrument) -> u64 {
    instrument.notional(1, 1)
}

/// `change` by `open` in 1e-8, rounded half up, away from zero, to whole steps; zero if there is no opening price.
pub(crate) fn change_share(change: i64, open: u32, step: i64) -> i64 {
    let open = i64::from(open);
    if open == 0 {
        return 0;
    }
    let whole = change.abs().saturating_mul(SHARE_UNITS / step);
    let magnitude = (2 * whole + open) / (2 * open);
    magnitude * change.signum() * step
}

/// 1e-8 are one.
const SHARE_UNITS: i64 = 100_000_000;

/// Quote volume by base volume. Lies between low and high, since both are whole units; the last price without
/// trades.
fn weighted_average_units(ticker: &Ticker, tick: u64) -> u64 {
    if ticker.volume == 0 {
        return u64::from(ticker.last) * tick;
    }
    let volume = u128::from(ticker.volume);
    // Nearly always the sums fit 64 bits, where a division costs a fifth.
    let exact = || (2 * ticker.quote_volume * u128::from(tick) + volume) / (2 * volume);
    let narrow = || {
        let sum = u64::try_from(ticker.quote_volume).ok()?;
        let (ticks, rest) = (sum / ticker.volume, sum % ticker.volume);
        let rounded =
            rest.checked_mul(2)?.checked_mul(tick)?.checked_add(ticker.volume)? / (2 * ticker.volume);
        ticks.checked_mul(tick)?.checked_add(rounded)
    };
    narrow().unwrap_or_else(|| u64::try_from(exact()).unwrap_or(u64::MAX))
}
