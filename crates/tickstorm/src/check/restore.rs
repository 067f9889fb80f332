//! From what a venue's messages say back to the market's own, as far as they tell.

use tickstorm_market::{
    AssetId, Balance, Body, BookChange, Execution, ExecutionKind, Message, Quote, Side, Status, SymbolId,
    Ticker, Trade, Transfer,
};
use tickstorm_venue::Decoded;
use tickstorm_venue::decoded::{ExecutionReport, Level, TickerUpdate, TradePrint};

/// Gives messages the numbers that venues leave out.
pub(super) struct Restorer {
    symbols: Vec<Numbers>,
    event: u64,
    /// The time of the last message: none is earlier.
    last_ns: u64,
    /// Which instrument the last message was about.
    last_symbol: SymbolId,
}

#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    sequence: u64,
    /// Book changes, where the venue does not number them.
    changes: u64,
    /// The trades of one order, as far as can be told: its event, side and time.
    order: Option<(u64, Side, u64)>,
}

impl Restorer {
    pub(super) fn new(symbols: usize) -> Self {
        let symbols = vec![Numbers::default(); symbols];
        Self { symbols, event: 0, last_ns: 0, last_symbol: SymbolId(0) }
    }

    /// Hands on what `said` amounts to. `received_ns` is the time of receipt, if it is known; all times are Unix ns.
    #[inline]
    pub(super) fn restore(
        &mut self,
        said: &Decoded<'_>,
        received_ns: Option<u64>,
        mut message: impl FnMut(&Message),
    ) {
        let mut tell = |symbol: SymbolId, told_ns: Option<u64>, body: Body| {
            if let Some(restored) = self.message(symbol, received_ns.or(told_ns), body) {
                message(&restored);
            }
        };
        match said {
            Decoded::Depth(update) => {
                let told_ns = update.event_ns.or(update.engine_ns);
                for (side, levels) in [(Side::Buy, update.bids), (Side::Sell, update.asks)] {
                    for level in levels {
                        let change =
                            BookChange { update_id: 0, side, price: level.price, quantity: level.quantity };
                        tell(update.symbol, told_ns, Body::Book(change));
                    }
                }
            }
            Decoded::Trade(print) => tell(print.symbol, Some(time_of(print)), Body::Trade(trade(print))),
            Decoded::Quote(update) => tell(
                update.symbol,
                update.event_ns,
                Body::Quote(quote(update.update_id, [update.bid, update.ask])),
            ),
            Decoded::Ticker(update) => tell(update.symbol, update.event_ns, Body::Ticker(ticker(update))),
            Decoded::Execution(report) => {
                let told_ns = report.event_ns.unwrap_or(report.engine_ns);
                tell(report.symbol, Some(told_ns), Body::Execution(execution(report)));
            }
            Decoded::Balance(update) => {
                for balance in update.balances {
                    let units = |units: i64| u64::try_from(units).unwrap_or(0);
                    let body = Body::Balance(Balance {
                        account: update.account,
                        asset: balance.asset,
                        free: units(balance.free_units()),
                        locked: units(balance.locked_units.unwrap_or(0)),
                    });
                    tell(NO_SYMBOL, update.event_ns.or(Some(update.engine_ns)), body);
                }
            }
            Decoded::Transfer(update) => {
                let body = Body::Transfer(Transfer {
                    account: update.account,
                    asset: update.asset,
                    amount: update.amount_units,
                });
                tell(NO_SYMBOL, Some(update.event_ns), body);
            }
            Decoded::Status(update) => {
                tell(update.symbol, update.event_ns, Body::Status(Status { trading: update.trading }));
            }
            // The trades themselves are what the market knows.
            Decoded::Numbered(_) | Decoded::Aggregate(_) | Decoded::Control => {}
        }
    }

    fn message(&mut self, symbol: SymbolId, told_ns: Option<u64>, body: Body) -> Option<Message> {
        let symbol = if symbol == NO_SYMBOL { self.last_symbol } else { symbol };
        let due_ns = told_ns.unwrap_or(self.last_ns).max(self.last_ns);
        (self.last_ns, self.last_symbol) = (due_ns, symbol);
        let numbers = self.symbols.get_mut(symbol.0 as usize)?;
        numbers.sequence += 1;
        let mut body = body;
        let event = match &mut body {
            Body::Trade(trade) => {
                let order = (trade.taker, due_ns);
                match numbers.order.filter(|&(_, taker, at_ns)| (taker, at_ns) == order) {
                    Some((event, ..)) => event,
                    None => {
                        self.event += 1;
                        numbers.order = Some((self.event, order.0, order.1));
                        self.event
                    }
                }
            }
            // What an order does to the book, and to those whose orders it meets, comes between its trades.
            Body::Book(change) => {
                numbers.changes += 1;
                change.update_id = numbers.changes;
                match numbers.order {
                    Some((event, taker, _)) if change.side != taker => event,
                    _ => {
                        self.event += 1;
                        self.event
                    }
                }
            }
            Body::Execution(_) | Body::Balance(_) => self.event,
            // An order's trades end with the statistics after them.
            Body::Quote(_) | Body::Ticker(_) | Body::Transfer(_) | Body::Status(_) => {
                numbers.order = None;
                self.event
            }
        };
        let sequence = numbers.sequence;
        Some(Message { symbol, sequence, event, event_ns: due_ns, due_ns, last: false, body })
    }
}

/// Of messages about accounts: they belong to what went before.
const NO_SYMBOL: SymbolId = SymbolId(u32::MAX);

/// Trades of one order have one time in the engine.
fn time_of(print: &TradePrint) -> u64 {
    print.event_ns.unwrap_or(print.engine_ns)
}

fn trade(print: &TradePrint) -> Trade {
    Trade { trade_id: print.trade_id, price: print.price, quantity: print.quantity, taker: print.taker }
}

fn quote(update_id: u64, [bid, ask]: [Level; 2]) -> Quote {
    Quote {
        update_id,
        bid: bid.price,
        bid_quantity: bid.quantity,
        ask: ask.price,
        ask_quantity: ask.quantity,
    }
}

/// What a venue leaves out is zero.
fn ticker(update: &TickerUpdate) -> Ticker {
    let [first_trade_id, last_trade_id] = update.trade_ids.unwrap_or_default();
    Ticker {
        quote: quote(0, update.best.unwrap_or_default()),
        last: update.last,
        last_quantity: update.last_quantity.unwrap_or_default(),
        open: update.open.unwrap_or_default(),
        high: update.high,
        low: update.low,
        previous_close: update.previous_close.unwrap_or_default(),
        volume: update.volume,
        quote_volume: update.quote_volume_units.unwrap_or_default(),
        first_trade_id,
        last_trade_id,
        open_ns: update.window_ns.unwrap_or_default()[0],
    }
}

fn execution(report: &ExecutionReport) -> Execution {
    Execution {
        account: report.account,
        order_id: report.order_id,
        execution_id: report.execution_id.unwrap_or_default(),
        kind: report.kind,
        side: report.side,
        price: report.price,
        quantity: report.quantity,
        last_quantity: report.last.quantity,
        last_price: report.last.price,
        filled_quantity: report.filled_quantity,
        fee: report.fee_units,
        fee_asset: report.fee_asset.unwrap_or(AssetId(0)),
        trade_id: if report.kind == ExecutionKind::Trade { report.trade_id.unwrap_or_default() } else { 0 },
        placed_ns: report.placed_ns.unwrap_or_default(),
    }
}
