//! A stream's portrait: the figures of the pictures in which people recognise a market.
//!
//! [`Portrait`] reads messages and nothing else, so a recording of a real venue sits for it as well as the stream of
//! a [`ShardMarket`](crate::ShardMarket). The [`Picture`] is plain numbers; how they are drawn is for others to say.
//!
//! Time is counted from the first message. Where a stream is long, neighbouring stretches are joined and series are
//! thinned evenly, without chance, so that memory stays bounded and the same stream gives the same picture.
//!
//! ```
//! use tickstorm_market::portrait::Portrait;
//! use tickstorm_market::{Listing, MarketSpec, ShardMarket};
//! use tickstorm_random::Seed;
//!
//! let seed = Seed::new(1);
//! let spec = MarketSpec { shards: 1, ..MarketSpec::new(seed, Listing::synthetic(20, seed)) };
//! let mut market = ShardMarket::new(&spec, 0)?;
//! let mut portrait = Portrait::new(spec.listing.instruments.len(), &market.snapshots());
//! for number in 0..10_000 {
//!     portrait.observe(market.next(number * 50_000));
//! }
//! let picture = portrait.finish();
//! assert_eq!(picture.messages, 10_000);
//! assert_eq!(picture.sittings.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::event::{Message, Side, Snapshot};
use crate::instrument::SymbolId;

mod bins;
mod book;
mod film;
mod sitter;
mod tail;

pub use bins::Bins;
pub use film::{Depth, Moment, TradePoint};
pub use tail::Exceedance;

use bins::{Adaptive, Closeup};
use sitter::Sitter;
use tail::Tail;

/// Takes a stream's portrait, message by message.
///
/// Memory is bounded: a few megabytes for each of the symbols looked at closely, a counter for every other. Costs
/// some 200 ns a message, and allocates.
#[derive(Debug, Clone)]
pub struct Portrait {
    /// Messages of each symbol.
    counts: Vec<u64>,
    /// Those of the lowest ids, in their order.
    sitters: Vec<Sitter>,
    first_ns: Option<u64>,
    last_ns: u64,
    rate: Adaptive,
    closeups: [Closeup; 3],
    gaps: Tail,
}

impl Portrait {
    /// Starts before the first message of a stream of so many symbols, from their books; a symbol without one starts
    /// with an empty book. Those with the lowest ids, five at most, are looked at closely: a listing has its busiest
    /// instruments first. Messages of symbols beyond the number are ignored.
    pub fn new(symbols: usize, books: &[Snapshot]) -> Self {
        let sitter = |index: usize| {
            let symbol = SymbolId(index as u32);
            Sitter::new(symbol, books.iter().find(|book| book.symbol == symbol))
        };
        Self {
            counts: vec![0; symbols],
            sitters: (0..symbols.min(LOOKED_AT)).map(sitter).collect(),
            first_ns: None,
            last_ns: 0,
            rate: Adaptive::new(0, SHORTEST_BIN_NS, RATE_BINS),
            closeups: CLOSEUPS_NS.map(Closeup::new),
            gaps: Tail::new(),
        }
    }

    /// Takes the next message of the stream. Due times should not fall, and the messages of an event should be
    /// consecutive for their symbol.
    pub fn observe(&mut self, message: &Message) {
        let Some(count) = self.counts.get_mut(message.symbol.0 as usize) else { return };
        *count += 1;
        let at_ns = match self.first_ns {
            None => {
                self.first_ns = Some(message.due_ns);
                0
            }
            Some(first_ns) => {
                let at_ns = message.due_ns.saturating_sub(first_ns).max(self.last_ns);
                self.gaps.add(at_ns - self.last_ns);
                at_ns
            }
        };
        self.last_ns = at_ns;
        self.rate.add(at_ns);
        for closeup in &mut self.closeups {
            closeup.add(at_ns);
        }
        if let Some(sitter) = self.sitters.get_mut(message.symbol.0 as usize) {
            sitter.observe(message, at_ns);
        }
    }

    /// The figures of what has come so far.
    pub fn finish(&self) -> Picture {
        let mut busiest: Vec<&Sitter> = self.sitters.iter().filter(|sitter| sitter.messages > 0).collect();
        busiest.sort_by_key(|sitter| std::cmp::Reverse(sitter.messages));
        busiest.truncate(SHOWN);
        let mut activity: Vec<u64> = self.counts.iter().copied().filter(|&count| count > 0).collect();
        activity.sort_unstable_by(|a, b| b.cmp(a));
        Picture {
            messages: activity.iter().sum(),
            length_ns: self.last_ns,
            rate: self.rate.bins().clone(),
            closeups: self
                .closeups
                .iter()
                .filter_map(Closeup::bins)
                .filter(|bins| 2 * bins.counts.len() as u64 * bins.width <= self.last_ns)
                .collect(),
            gaps_ns: self.gaps.exceedance(),
            activity,
            sittings: busiest.into_iter().map(Sitter::sitting).collect(),
        }
    }
}

/// How many symbols are looked at closely: more than are shown, as the first few of a recording need not be its
/// busiest.
const LOOKED_AT: usize = 5;

/// How many of them, the busiest, are shown.
const SHOWN: usize = 3;

/// Width of the first bins of the rate.
const SHORTEST_BIN_NS: u64 = 100_000;

/// Bins of the rate at most; never fewer than half as many once there were so many.
const RATE_BINS: usize = 800;

/// Widths of the close-ups' bins, widest first.
const CLOSEUPS_NS: [u64; 3] = [10_000_000, 1_000_000, 100_000];

/// What a portrait shows. Times are counted from the first message.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// All messages.
    pub messages: u64,
    /// From the first message to the last.
    pub length_ns: u64,
    /// Messages over the whole time.
    pub rate: Bins,
    /// A thousand bins around the fullest one, for several widths of bins; those that are shorter than the whole.
    pub closeups: Vec<Bins>,
    /// Time from one message to the next, of whatever symbol.
    pub gaps_ns: Exceedance,
    /// Messages of each symbol that has any, most first.
    pub activity: Vec<u64>,
    /// The busiest symbols, busiest first.
    pub sittings: Vec<Sitting>,
}

impl Picture {
    /// Below so many market orders a mean of theirs is left out.
    pub const LEAST_ORDERS: u64 = 50;
}

/// What is to be seen of one symbol. Prices in ticks, quantities in lots.
#[derive(Debug, Clone, PartialEq)]
pub struct Sitting {
    /// Which.
    pub symbol: SymbolId,
    /// Its messages.
    pub messages: u64,
    /// Its trades.
    pub trades: u64,
    /// Time from one of its messages to the next.
    pub gaps_ns: Exceedance,
    /// How long each moment is.
    pub moment_ns: u64,
    /// Its prices, from the first moment that there were any.
    pub moments: Vec<Moment>,
    /// Its book over these moments.
    pub depth: Depth,
    /// Its trades, evenly thinned if there were too many.
    pub trade_points: Vec<TradePoint>,
    /// Messages after which the spread was so many ticks.
    pub spreads: Bins,
    /// Moves of the middle.
    pub returns: Returns,
    /// The book on average.
    pub shape: Shape,
    /// Lots of its market orders; a market order is all trades of one event.
    pub order_lots: Exceedance,
    /// Autocorrelation of the signs of market orders, by lag from 1.
    pub sign_autocorrelation: Vec<f64>,
    /// Messages after a market order, and the mean move of the middle in its direction until then, ticks.
    pub response: Vec<(u64, f64)>,
    /// Messages after which orders of different sizes are compared.
    pub impact_after: u64,
    /// Mean moves by size of the order, by powers of two.
    pub impact_by_size: Vec<SizeImpact>,
}

/// Moves of the middle over equal numbers of messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Returns {
    /// How many messages.
    pub over_messages: u64,
    /// One after another, ticks.
    pub ticks: Vec<f64>,
    /// Their standard deviation, ticks.
    pub deviation_ticks: f64,
    /// By lag from 1.
    pub autocorrelation: Vec<f64>,
    /// That of their absolute values, by lag from 1.
    pub absolute_autocorrelation: Vec<f64>,
}

/// Mean lots by distance from the best price of the same side.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Ticks that share a step of distance.
    pub ticks_per_step: u32,
    /// Mean lots per tick of the bids, best first.
    pub bids: Vec<f64>,
    /// Mean lots per tick of the asks, best first.
    pub asks: Vec<f64>,
}

impl Shape {
    /// Of so many books; levels below the best bid are bids. Reaches as far as half of the books do.
    fn of(moments: &[Moment], books: &[Vec<(u32, f32)>]) -> Self {
        let mut reaches: Vec<u32> = moments
            .iter()
            .zip(books)
            .filter_map(|(moment, levels)| levels.iter().map(|&(price, _)| moment.distance(price).1).max())
            .collect();
        reaches.sort_unstable();
        let reach = reaches.get(reaches.len() / 2).map_or(0, |reach| reach.saturating_add(1));
        let ticks_per_step = reach.div_ceil(STEPS).max(1);
        let steps = reach.div_ceil(ticks_per_step) as usize;
        let mut shape = Self { ticks_per_step, bids: vec![0.0; steps], asks: vec![0.0; steps] };
        for (moment, levels) in moments.iter().zip(books) {
            for &(price, lots) in levels {
                let (side, ticks) = moment.distance(price);
                let side = match side {
                    Side::Buy => &mut shape.bids,
                    Side::Sell => &mut shape.asks,
                };
                if let Some(sum) = side.get_mut((ticks / ticks_per_step) as usize) {
                    *sum += f64::from(lots) / (f64::from(ticks_per_step) * moments.len() as f64);
                }
            }
        }
        shape
    }
}

/// Steps of a [`Shape`] at most.
const STEPS: u32 = 64;

/// What market orders of about one size do to the price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeImpact {
    /// How many there were.
    pub orders: u64,
    /// Their mean size.
    pub lots: f64,
    /// The mean move of the middle in their direction, ticks.
    pub ticks: f64,
}

#[cfg(test)]
mod tests;
