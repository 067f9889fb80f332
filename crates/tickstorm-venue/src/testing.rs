//! What the tests of this crate share: a small listing, and messages about it.

use proptest::prelude::*;
use tickstorm_market::event::{
    AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Message, Quote, Side, Ticker, Trade,
    Transfer,
};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

/// 2026-11-23T08:00:00Z, the day of the example messages.
pub(crate) const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

/// The examples' BTCUSDT, a coin far below a cent, and a name that JSON must escape.
pub(crate) fn listing() -> Listing {
    let instrument = |id, symbol: &str, tick, lot| Instrument {
        id: SymbolId(id),
        symbol: symbol.into(),
        base: AssetId(id + 1),
        quote: AssetId(0),
        tick,
        lot,
        start_price: 10_000,
    };
    Listing {
        instruments: [
            instrument(0, "BTCUSDT", 10_000_000, 1_000),
            instrument(1, "PEPEUSDT", 1, 100_000_000),
            instrument(2, "Ü\"USDT", 25_000, 40_000),
        ]
        .into(),
        assets: ["USDT", "BTC", "PEPE", "Ü\""].map(String::from).into(),
    }
}

/// A message of the first symbol, 104 ms into the run, of an event 103 ms into it.
pub(crate) fn message(body: Body) -> Message {
    Message {
        symbol: SymbolId(0),
        sequence: 1,
        event: 1,
        event_ns: 103_000_000,
        due_ns: 104_999_999,
        last: true,
        body,
    }
}

/// Messages of all kinds, not consistent with each other but each within what a market can say.
pub(crate) fn any_message() -> impl Strategy<Value = Message> {
    let time = 0..1_000_000_000_000_000_000u64;
    (0..3u32, time, 0..5_000_000u64, any_body()).prop_map(|(symbol, event_ns, delay_ns, body)| Message {
        symbol: SymbolId(symbol),
        event_ns,
        due_ns: event_ns + delay_ns,
        ..message(body)
    })
}

fn any_body() -> impl Strategy<Value = Body> {
    prop_oneof![
        any_book_change().prop_map(Body::Book),
        any_trade().prop_map(Body::Trade),
        any_quote().prop_map(Body::Quote),
        any_ticker().prop_map(Body::Ticker),
        any_execution().prop_map(Body::Execution),
        any_balance().prop_map(Body::Balance),
        any_transfer().prop_map(Body::Transfer),
    ]
}

fn any_book_change() -> impl Strategy<Value = BookChange> {
    (any_id(), any_side(), any_price(), 0..QUANTITY_MAX)
        .prop_map(|(update_id, side, price, quantity)| BookChange { update_id, side, price, quantity })
}

fn any_trade() -> impl Strategy<Value = Trade> {
    (any_id(), any_price(), 1..QUANTITY_MAX, any_side())
        .prop_map(|(trade_id, price, quantity, taker)| Trade { trade_id, price, quantity, taker })
}

fn any_quote() -> impl Strategy<Value = Quote> {
    (any_id(), any_price(), 0..QUANTITY_MAX, any_price(), 0..QUANTITY_MAX).prop_map(
        |(update_id, bid, bid_quantity, ask, ask_quantity)| Quote {
            update_id,
            bid,
            bid_quantity,
            ask,
            ask_quantity,
        },
    )
}

/// Statistics of up to forty trades.
fn any_ticker() -> impl Strategy<Value = Ticker> {
    let trades = proptest::collection::vec((any_price(), 1..QUANTITY_MAX), 1..40);
    (any_quote(), any_price(), any_id(), trades, 0..1_000_000_000u64).prop_map(
        |(quote, previous_close, first_trade_id, trades, open_ns)| {
            let (last, last_quantity) = trades[trades.len() - 1];
            Ticker {
                quote,
                last,
                last_quantity,
                open: trades[0].0,
                high: trades.iter().map(|trade| trade.0).max().unwrap(),
                low: trades.iter().map(|trade| trade.0).min().unwrap(),
                previous_close,
                volume: trades.iter().map(|trade| trade.1).sum(),
                quote_volume: trades.iter().map(|trade| u128::from(trade.0) * u128::from(trade.1)).sum(),
                first_trade_id,
                last_trade_id: first_trade_id + trades.len() as u64 - 1,
                open_ns,
            }
        },
    )
}

fn any_execution() -> impl Strategy<Value = Execution> {
    let kind =
        prop_oneof![Just(ExecutionKind::New), Just(ExecutionKind::Trade), Just(ExecutionKind::Canceled)];
    let numbers = (any::<u32>(), any_id(), any_id(), any_id(), 0..1_000_000_000u64);
    (kind, any_side(), any_price(), 1..QUANTITY_MAX, numbers, 0..10_000_000_000u64).prop_flat_map(
        |(kind, side, price, quantity, (account, order_id, execution_id, trade_id, placed_ns), fee)| {
            let fill = kind == ExecutionKind::Trade;
            (0..=quantity, 0..4u32).prop_map(move |(filled_quantity, fee_asset)| Execution {
                account: AccountId(account),
                order_id,
                execution_id,
                kind,
                side,
                price,
                quantity,
                last_quantity: if fill { filled_quantity / 2 + 1 } else { 0 },
                last_price: if fill { price } else { 0 },
                filled_quantity,
                fee: if fill { fee } else { 0 },
                fee_asset: AssetId(fee_asset),
                trade_id: if fill { trade_id } else { 0 },
                placed_ns,
            })
        },
    )
}

fn any_balance() -> impl Strategy<Value = Balance> {
    (any::<u32>(), 0..4u32, any_amount(), any_amount()).prop_map(|(account, asset, free, locked)| Balance {
        account: AccountId(account),
        asset: AssetId(asset),
        // Both together are an amount too.
        free: free / 2,
        locked: locked / 2,
    })
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    (any::<u32>(), 0..4u32, any_amount(), any::<bool>()).prop_map(|(account, asset, amount, withdrawal)| {
        Transfer {
            account: AccountId(account),
            asset: AssetId(asset),
            amount: if withdrawal { -(amount as i64) } else { amount as i64 },
        }
    })
}

/// Ids of every length up to 17 digits.
fn any_id() -> impl Strategy<Value = u64> {
    (any::<u64>(), 8..64u32).prop_map(|(word, shift)| word >> shift)
}

/// Amounts of every length up to what fits a signed number.
fn any_amount() -> impl Strategy<Value = u64> {
    (any::<u64>(), 1..64u32).prop_map(|(word, shift)| word >> shift)
}

fn any_price() -> impl Strategy<Value = u32> {
    1..10_000_000u32
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

/// Lots. A whole order stays below 2^63 smallest units of money at the highest price of the test listing.
const QUANTITY_MAX: u64 = 1_000_000_000;
