//! A plan's market messages, in the order in which they are due.

use tickstorm_load::{Clock, Schedule, Slot};
use tickstorm_market::{Balance, MarketSpec, ShardMarket, Snapshot, SymbolId};

/// The markets of all shards, and the clock that calls on them.
pub(crate) struct Feed {
    clock: Clock,
    markets: Vec<Option<Box<ShardMarket>>>,
    symbols: u32,
    slots: Vec<Slot>,
    next_slot: usize,
}

impl Feed {
    /// The market must have been checked.
    pub(crate) fn new(schedule: &Schedule, market: &MarketSpec) -> Self {
        let weights = market.shard_weights();
        let make = |shard: usize| ShardMarket::new(market, shard as u16).expect("the market was checked");
        let markets = (0..weights.len()).map(|shard| (weights[shard] > 0).then(|| Box::new(make(shard))));
        Self {
            clock: schedule.clock(|_| true),
            markets: markets.collect(),
            symbols: market.listing.instruments.len() as u32,
            slots: Vec::new(),
            next_slot: 0,
        }
    }

    /// The next due time and the market that is called on then.
    #[inline]
    pub(crate) fn next_slot(&mut self) -> Option<(u64, &mut ShardMarket)> {
        while self.next_slot == self.slots.len() {
            self.slots.clear();
            self.next_slot = 0;
            self.clock.next_cell(&mut self.slots)?;
        }
        let slot = self.slots[self.next_slot];
        self.next_slot += 1;
        let market =
            self.markets[usize::from(slot.shard())].as_mut().expect("only shards with symbols are due");
        Some((slot.due_ns(), market))
    }

    /// A symbol's book as of the last message.
    pub(crate) fn snapshot(&self, symbol: SymbolId) -> Option<Snapshot> {
        let shard = symbol.0 as usize % self.markets.len().max(1);
        self.markets[shard].as_ref()?.snapshot(symbol)
    }

    /// All books as of the last message, in the order of symbols.
    pub(crate) fn books(&self) -> impl Iterator<Item = Snapshot> {
        (0..self.symbols).map_while(|symbol| self.snapshot(SymbolId(symbol)))
    }

    /// All balances as of the last message.
    pub(crate) fn balances(&self) -> Vec<Balance> {
        self.markets.iter().flatten().flat_map(|market| market.balances()).collect()
    }
}
