//! What an account has on the books and what of it was filled last.

use std::collections::{BTreeMap, VecDeque};

use tickstorm_market::event::{Body, ExecutionKind, Message};
use tickstorm_market::instrument::{Listing, SymbolId};

use crate::decoded::{ExecutionReport, WallClock};

/// The open orders of one account and its last fills, as the market has told of them: what some venues send who
/// subscribes to own orders.
///
/// Orders that were placed before its first message are not known until they are filled in part.
#[derive(Debug, Clone, Default)]
pub struct Blotter {
    open: BTreeMap<(SymbolId, u64), OpenOrder>,
    /// Oldest first.
    fills: VecDeque<Message>,
}

/// An order that rests in a book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpenOrder {
    /// The last message about it, which has told of it as new or filled in part.
    pub last: Message,
    /// Its fills so far.
    pub fills: u64,
    /// What they have cost in fees, 1e-8 units of what these are paid in.
    pub fee_units: u64,
}

impl Blotter {
    /// Takes in a message about the account, in the market's order. Those that are about no order change nothing.
    pub fn push(&mut self, message: &Message) {
        let Body::Execution(execution) = &message.body else { return };
        let order = (message.symbol, execution.order_id);
        let open = OpenOrder { last: *message, fills: 0, fee_units: 0 };
        match execution.kind {
            ExecutionKind::New => {
                self.open.insert(order, open);
            }
            ExecutionKind::Canceled => {
                self.open.remove(&order);
            }
            ExecutionKind::Trade => {
                if self.fills.len() == Self::MOST_FILLS {
                    self.fills.pop_front();
                }
                self.fills.push_back(*message);
                if execution.filled_quantity >= execution.quantity {
                    self.open.remove(&order);
                    return;
                }
                let open = self.open.entry(order).or_insert(open);
                open.last = *message;
                open.fills += 1;
                open.fee_units = open.fee_units.saturating_add(execution.fee);
            }
        }
    }

    /// The open orders in the order in which they were placed, those of one time by symbol and number.
    pub fn orders(&self) -> Vec<OpenOrder> {
        let mut orders: Vec<OpenOrder> = self.open.values().copied().collect();
        orders.sort_by_key(OpenOrder::placed_ns);
        orders
    }

    /// The last fills, at most [`MOST_FILLS`](Self::MOST_FILLS), oldest first.
    pub fn fills(&self) -> impl Iterator<Item = &Message> {
        self.fills.iter()
    }

    /// So many fills are remembered: as many as Kraken tells new subscribers.
    pub const MOST_FILLS: usize = 50;
}

impl OpenOrder {
    fn placed_ns(&self) -> u64 {
        match &self.last.body {
            Body::Execution(execution) => execution.placed_ns,
            _ => 0,
        }
    }

    /// The order as it stands, which is no event: of its fills there is nothing but the sums, its fees are those of all
    /// of them.
    pub(crate) fn report(&self, listing: &Listing, clock: WallClock) -> Option<ExecutionReport> {
        let Body::Execution(execution) = &self.last.body else { return None };
        let report = ExecutionReport::of(&self.last, execution, listing.instrument(self.last.symbol), clock);
        Some(ExecutionReport { kind: ExecutionKind::New, fee_units: self.fee_units, ..report })
    }
}

#[cfg(test)]
mod tests {
    use tickstorm_market::event::{AccountId, Execution, Side};
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::testing::message;

    /// Lots filled of a hundred, in the order of the messages.
    fn execution(order_id: u64, kind: ExecutionKind, filled_quantity: u64) -> Message {
        let last_quantity = if kind == ExecutionKind::Trade { 10 } else { 0 };
        message(Body::Execution(Execution {
            account: AccountId(1),
            order_id,
            execution_id: order_id,
            kind,
            side: Side::Buy,
            price: 7,
            quantity: 100,
            last_quantity,
            last_price: 7,
            filled_quantity,
            fee: last_quantity,
            fee_asset: AssetId(0),
            trade_id: 1,
            // The later the smaller the number.
            placed_ns: 1_000 - order_id,
        }))
    }

    fn numbers(orders: &[OpenOrder]) -> Vec<(u64, u64, u64)> {
        let number = |order: &OpenOrder| match order.last.body {
            Body::Execution(execution) => (execution.order_id, order.fills, order.fee_units),
            _ => panic!("{order:?}"),
        };
        orders.iter().map(number).collect()
    }

    #[test]
    fn an_order_is_open_from_its_placing_to_its_last_fill_or_its_end() {
        use ExecutionKind::{Canceled, New, Trade};
        let mut blotter = Blotter::default();
        for (order, kind, filled) in [(1, New, 0), (2, New, 0), (3, New, 0), (2, Trade, 10), (2, Trade, 20)] {
            blotter.push(&execution(order, kind, filled));
        }
        assert_eq!(numbers(&blotter.orders()), [(3, 0, 0), (2, 2, 20), (1, 0, 0)]);
        for (order, kind, filled) in [(2, Trade, 100), (1, Canceled, 0), (9, Canceled, 0), (4, Trade, 90)] {
            blotter.push(&execution(order, kind, filled));
        }
        // Of the fourth nothing was known.
        assert_eq!(numbers(&blotter.orders()), [(4, 1, 10), (3, 0, 0)]);
        assert_eq!(blotter.fills().count(), 4);
    }

    #[test]
    fn the_last_fills_are_remembered() {
        let mut blotter = Blotter::default();
        for order in 0..60 {
            blotter.push(&execution(order, ExecutionKind::Trade, 100));
        }
        let fills: Vec<Message> = blotter.fills().copied().collect();
        let last: Vec<Message> = (10..60).map(|order| execution(order, ExecutionKind::Trade, 100)).collect();
        assert_eq!(fills, last);
        assert_eq!(blotter.orders(), []);
    }
}
