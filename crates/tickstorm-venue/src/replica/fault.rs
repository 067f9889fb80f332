//! What a replica finds wrong.

use thiserror::Error;
use tickstorm_market::event::Side;
use tickstorm_market::instrument::SymbolId;

use crate::decoded::{Counted, Level};

/// A message that contradicts those before it, or itself. Prices are in ticks, quantities in lots.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Depth updates are missing; the book is incomplete from here until it is seeded again.
    #[error("{symbol}: depth update {found} where {expected} was expected")]
    UpdateGap {
        /// The instrument.
        symbol: String,
        /// The id after the last one.
        expected: u64,
        /// The id that the update begins with.
        found: u64,
    },
    /// A depth update that the book already contains, or a snapshot of it: doubled or overtaken. It was
    /// ignored.
    #[error("{symbol}: old depth update {found}, the book is at {last}")]
    OldUpdate {
        /// The instrument.
        symbol: String,
        /// The last id in the book.
        last: u64,
        /// The last id in the update.
        found: u64,
    },
    /// The venue's checksum is not that of the book; the book is incomplete from here until it is seeded again.
    #[error("{symbol}: checksum {found} where {expected} was expected")]
    Checksum {
        /// The instrument.
        symbol: String,
        /// Of the book as it was rebuilt.
        expected: u32,
        /// On the wire.
        found: u32,
    },
    /// A level is removed that the book does not have.
    #[error("{symbol}: removal of {} level {price} ticks, which the book does not have", side_name(*side))]
    UnknownLevel {
        /// The instrument.
        symbol: String,
        /// The side of the level.
        side: Side,
        /// The level.
        price: u32,
    },
    /// A depth update that changes no level: doubled.
    #[error("{symbol}: depth update that changes nothing")]
    NothingNew {
        /// The instrument.
        symbol: String,
    },
    /// Messages of a connection are missing, doubled or out of order.
    #[error("{} number {found} where {expected} was expected", counted_name(*counted))]
    Number {
        /// What is counted.
        counted: Counted,
        /// One more than the last.
        expected: u64,
        /// On the wire.
        found: u64,
    },
    /// A balance that does not follow from the one before and what was traded and transferred since.
    #[error("account {account}: balance of {asset} is {found} smallest units where {expected} was expected")]
    Balance {
        /// Whose.
        account: u32,
        /// Of what.
        asset: String,
        /// The balance before and what has moved since.
        expected: i128,
        /// On the wire.
        found: i128,
    },
    /// Trades are missing.
    #[error("{symbol}: trade {found} where {expected} was expected")]
    TradeGap {
        /// The instrument.
        symbol: String,
        /// The id after the last one.
        expected: u64,
        /// The trade's id.
        found: u64,
    },
    /// A trade for the second time, or overtaken by a later one.
    #[error("{symbol}: old trade {found}, the last was {last}")]
    OldTrade {
        /// The instrument.
        symbol: String,
        /// The last trade's id.
        last: u64,
        /// This trade's id.
        found: u64,
    },
    /// Best prices that are no newer than the last ones.
    #[error("{symbol}: old book ticker {found}, the last was {last}")]
    OldQuote {
        /// The instrument.
        symbol: String,
        /// The last book ticker's update id.
        last: u64,
        /// This one's.
        found: u64,
    },
    /// The best bid is not below the best ask; the book is incomplete from here until it is seeded again.
    #[error("{symbol}: crossed book, bid {bid} and ask {ask} ticks")]
    Crossed {
        /// The instrument.
        symbol: String,
        /// The best bid.
        bid: u32,
        /// The best ask.
        ask: u32,
    },
    /// A trade that is not at the best price, or larger than what rests there.
    #[error(
        "{symbol}: trade {trade_id} of {} at {}, the touch has {} at {}",
        found.quantity, found.price, touch.quantity, touch.price
    )]
    OffTouch {
        /// The instrument.
        symbol: String,
        /// The trade.
        trade_id: u64,
        /// Its price and quantity.
        found: Level,
        /// The level that it should have hit; zero if the side is empty.
        touch: Level,
    },
    /// Best prices that are not the book's.
    #[error(
        "{symbol}: {source_of_best} with bid {} at {} and ask {} at {}, the book has {} at {} and {} at {}",
        found[0].quantity, found[0].price, found[1].quantity, found[1].price,
        expected[0].quantity, expected[0].price, expected[1].quantity, expected[1].price
    )]
    WrongBest {
        /// The instrument.
        symbol: String,
        /// The kind of message.
        source_of_best: &'static str,
        /// Bid and ask of the book.
        expected: [Level; 2],
        /// Bid and ask of the message.
        found: [Level; 2],
    },
    /// Statistics that contradict themselves or the last trade.
    #[error("{symbol}: ticker with {field} {found}, expected {expected}")]
    Ticker {
        /// The instrument.
        symbol: String,
        /// The figure.
        field: &'static str,
        /// What it should be, or the nearest that it may be.
        expected: i128,
        /// What it is.
        found: i128,
    },
    /// A report of an own order that contradicts the one before, the trade, or itself.
    #[error("{symbol}: order {order_id} with {field} {found}, expected {expected}")]
    Execution {
        /// The instrument.
        symbol: String,
        /// The order.
        order_id: u64,
        /// The figure.
        field: &'static str,
        /// What it should be, or the nearest that it may be.
        expected: u128,
        /// What it is.
        found: u128,
    },
    /// An account has less than nothing.
    #[error("account {account}: {field} balance of {asset} is {found} smallest units")]
    NegativeBalance {
        /// The account.
        account: u32,
        /// The asset.
        asset: String,
        /// Which part of the balance: `free` or `locked`.
        field: &'static str,
        /// 1e-8 units.
        found: i64,
    },
    /// A message for a symbol outside the replica's listing.
    #[error("symbol {} is not in the listing", symbol.0)]
    UnknownSymbol {
        /// The symbol.
        symbol: SymbolId,
    },
}

impl Fault {
    /// A name of the kind of fault, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Fault::UpdateGap { .. } => "update_gap",
            Fault::OldUpdate { .. } => "old_update",
            Fault::Checksum { .. } => "checksum",
            Fault::UnknownLevel { .. } => "unknown_level",
            Fault::NothingNew { .. } => "nothing_new",
            Fault::Number { .. } => "number",
            Fault::Balance { .. } => "balance",
            Fault::TradeGap { .. } => "trade_gap",
            Fault::OldTrade { .. } => "old_trade",
            Fault::OldQuote { .. } => "old_quote",
            Fault::Crossed { .. } => "crossed",
            Fault::OffTouch { .. } => "off_touch",
            Fault::WrongBest { .. } => "wrong_best",
            Fault::Ticker { .. } => "ticker",
            Fault::Execution { .. } => "execution",
            Fault::NegativeBalance { .. } => "negative_balance",
            Fault::UnknownSymbol { .. } => "unknown_symbol",
        }
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "bid",
        Side::Sell => "ask",
    }
}

fn counted_name(counted: Counted) -> &'static str {
    match counted {
        Counted::Frames => "frame",
        Counted::Orders => "order message",
        Counted::Balances => "balance message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_the_symbol_what_was_expected_and_what_was_found() {
        let symbol = || String::from("BTCUSDT");
        let level = |price, quantity| Level { price, quantity };
        let touch =
            Fault::OffTouch { symbol: symbol(), trade_id: 7, found: level(102, 3), touch: level(101, 5) };
        assert_eq!(touch.to_string(), "BTCUSDT: trade 7 of 3 at 102, the touch has 5 at 101");
        let best = Fault::WrongBest {
            symbol: symbol(),
            source_of_best: "ticker",
            expected: [level(100, 5), level(101, 6)],
            found: [level(100, 4), level(103, 6)],
        };
        assert_eq!(
            best.to_string(),
            "BTCUSDT: ticker with bid 4 at 100 and ask 6 at 103, the book has 5 at 100 and 6 at 101"
        );
        let gap = Fault::UpdateGap { symbol: symbol(), expected: 11, found: 12 };
        assert_eq!(gap.to_string(), "BTCUSDT: depth update 12 where 11 was expected");
    }
}
