//! What a wire message says, in the market's units and without the venue's wording.

use tickstorm_market::event::{AccountId, Execution, ExecutionKind, Message, Side, Ticker};
use tickstorm_market::instrument::{AssetId, Instrument, SymbolId};

/// One wire message, read. Prices are whole ticks and quantities whole lots of the symbol; amounts of money
/// are in 1e-8 units; times are Unix milliseconds.
///
/// The slices live in the [`Decoder`](crate::Decoder) that read them and last until its next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// New quantities of price levels.
    Depth(DepthUpdate<'a>),
    /// A public trade.
    Trade(TradePrint),
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
}

/// A price and the quantity there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Ticks.
    pub price: u32,
    /// Lots.
    pub quantity: u64,
}

/// New quantities of price levels; zero removes a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthUpdate<'a> {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ms: u64,
    /// First book change folded into this message.
    pub first_update_id: u64,
    /// Last book change folded into this message; never below the first.
    pub last_update_id: u64,
    /// Changed bids, in the order of the message.
    pub bids: &'a [Level],
    /// Changed asks, in the order of the message.
    pub asks: &'a [Level],
}

/// A public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradePrint {
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ms: u64,
    /// When the engine matched it.
    pub engine_ms: u64,
    /// Rises by one for each trade of the symbol.
    pub trade_id: u64,
    /// Ticks.
    pub price: u32,
    /// Lots.
    pub quantity: u64,
    /// The side of the order that took.
    pub taker: Side,
}

/// The best prices and the quantities there. An empty side has price and quantity zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuoteUpdate {
    /// The instrument.
    pub symbol: SymbolId,
    /// The book change that this reflects.
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
    pub event_ms: u64,
    /// Ticks from `open` to the last price.
    pub change: i64,
    /// The same as thousandths of a per cent of `open`.
    pub change_millipercent: i64,
    /// Quote volume by base volume: 1e-8 quote units for one whole base unit.
    pub weighted_average_units: u64,
    /// Last price before the window, ticks.
    pub previous_close: u32,
    /// The last trade.
    pub last: Level,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
    /// First price in the window, ticks.
    pub open: u32,
    /// Highest price in the window, ticks.
    pub high: u32,
    /// Lowest price in the window, ticks.
    pub low: u32,
    /// Lots traded in the window.
    pub volume: u64,
    /// Money traded in the window, 1e-8 quote units.
    pub quote_volume_units: u128,
    /// Start of the window.
    pub open_ms: u64,
    /// End of the window.
    pub close_ms: u64,
    /// First trade in the window.
    pub first_trade_id: u64,
    /// Last trade in the window.
    pub last_trade_id: u64,
    /// Trades in the window.
    pub count: u64,
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
    /// Whose order.
    pub account: AccountId,
    /// The instrument.
    pub symbol: SymbolId,
    /// When the venue built the message.
    pub event_ms: u64,
    /// When it happened in the engine.
    pub engine_ms: u64,
    /// What happened.
    pub kind: ExecutionKind,
    /// What the order is now.
    pub status: OrderStatus,
    /// The order's side.
    pub side: Side,
    /// The venue's number of the order.
    pub order_id: u64,
    /// The venue's number of this report.
    pub execution_id: u64,
    /// The order's limit, ticks.
    pub price: u32,
    /// The order's whole quantity, lots.
    pub quantity: u64,
    /// This fill; zero without one.
    pub last: Level,
    /// Filled so far, lots.
    pub filled_quantity: u64,
    /// Price times quantity of this fill, 1e-8 quote units.
    pub last_quote_units: u64,
    /// Price times quantity filled so far, 1e-8 quote units.
    pub filled_quote_units: u64,
    /// Fee of this fill, 1e-8 units of `fee_asset`.
    pub fee_units: u64,
    /// What the fee is paid in; none without a fill.
    pub fee_asset: Option<AssetId>,
    /// The public trade that filled it; none without a fill.
    pub trade_id: Option<u64>,
    /// When the order was placed.
    pub placed_ms: u64,
}

/// New balances of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceUpdate<'a> {
    /// Whose.
    pub account: AccountId,
    /// When the venue built the message.
    pub event_ms: u64,
    /// When the account last changed.
    pub engine_ms: u64,
    /// The assets that may have changed.
    pub balances: &'a [AssetBalance],
}

/// An account's holdings of one asset in 1e-8 units. Signed, so that a venue's error can be seen and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetBalance {
    /// Of what.
    pub asset: AssetId,
    /// Free to use.
    pub free_units: i64,
    /// Bound in open orders.
    pub locked_units: i64,
}

/// Money that came from or went to outside the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferUpdate {
    /// Whose.
    pub account: AccountId,
    /// When the venue built the message.
    pub event_ms: u64,
    /// When it was booked.
    pub engine_ms: u64,
    /// Of what.
    pub asset: AssetId,
    /// 1e-8 units, positive for a deposit.
    pub amount_units: i64,
}

/// Turns run time into the wall-clock milliseconds of the wire.
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
    pub(crate) fn ms(self, run_ns: u64) -> u64 {
        self.start_unix_ns.saturating_add(run_ns) / 1_000_000
    }
}

impl TickerUpdate {
    /// The statistics as a venue prints them. Divisions are exact and rounded half up, away from zero.
    pub(crate) fn of(message: &Message, ticker: &Ticker, instrument: &Instrument, clock: WallClock) -> Self {
        let change = i64::from(ticker.last) - i64::from(ticker.open);
        let event_ms = clock.ms(message.due_ns);
        Self {
            symbol: message.symbol,
            event_ms,
            change,
            change_millipercent: millipercent(change, ticker.open),
            weighted_average_units: weighted_average_units(ticker, instrument.tick),
            previous_close: ticker.previous_close,
            last: Level { price: ticker.last, quantity: ticker.last_quantity },
            bid: Level { price: ticker.quote.bid, quantity: ticker.quote.bid_quantity },
            ask: Level { price: ticker.quote.ask, quantity: ticker.quote.ask_quantity },
            open: ticker.open,
            high: ticker.high,
            low: ticker.low,
            volume: ticker.volume,
            quote_volume_units: ticker.quote_volume * u128::from(units_per_tick_lot(instrument)),
            open_ms: clock.ms(ticker.open_ns),
            close_ms: event_ms,
            first_trade_id: ticker.first_trade_id,
            last_trade_id: ticker.last_trade_id,
            count: (ticker.last_trade_id + 1).saturating_sub(ticker.first_trade_id),
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
            event_ms: clock.ms(message.due_ns),
            engine_ms: clock.ms(message.event_ns),
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
            execution_id: execution.execution_id,
            price: execution.price,
            quantity: execution.quantity,
            last: Level { price: execution.last_price, quantity: execution.last_quantity },
            filled_quantity: execution.filled_quantity,
            last_quote_units: instrument.notional(execution.last_price, execution.last_quantity),
            filled_quote_units: instrument.notional(execution.price, execution.filled_quantity),
            fee_units: execution.fee,
            fee_asset: filled_by_trade.then_some(execution.fee_asset),
            trade_id: filled_by_trade.then_some(execution.trade_id),
            placed_ms: clock.ms(execution.placed_ns),
        }
    }
}

/// 1e-8 quote units of one lot at a price of one tick.
pub(crate) fn units_per_tick_lot(instrument: &Instrument) -> u64 {
    instrument.notional(1, 1)
}

/// `change` as thousandths of a per cent of `open`; zero if there is no opening price.
pub(crate) fn millipercent(change: i64, open: u32) -> i64 {
    let open = i64::from(open);
    if open == 0 {
        return 0;
    }
    let magnitude = (2 * change.abs() * 100_000 + open) / (2 * open);
    magnitude * change.signum()
}

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
