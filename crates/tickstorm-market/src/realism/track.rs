//! What is kept of one symbol: its replayed book, and sums and short series of what its messages do.

use std::collections::{BTreeMap, VecDeque};

use super::arrivals::Arrivals;
use crate::event::{Body, Message, Side, Snapshot};

/// Follows one symbol. Bounded: after its first [`MOST_MESSAGES`] messages only arrivals are counted on.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) book: Levels,
    pub(crate) arrivals: Arrivals,
    pub(crate) messages: u64,
    pub(crate) book_changes: u64,
    pub(crate) additions: u64,
    pub(crate) trades: u64,
    /// Messages after which the spread was one tick.
    pub(crate) tight: u64,
    pub(crate) spreads: u64,
    /// Messages that moved the middle of the book.
    pub(crate) moves: u64,
    /// Lots of both sides by distance from the best price, summed over samples of the book.
    pub(crate) shape: [f64; SHAPE],
    pub(crate) shapes: u64,
    /// Twice the middle of the book, every [`STRIDE`] messages.
    pub(crate) middles: Vec<u32>,
    open: Option<MarketOrder>,
    /// Sign and lots of each market order.
    pub(crate) orders: Vec<(i8, u64)>,
    awaited: VecDeque<Awaited>,
    /// Moves after market orders, by the whole part of the logarithm to base two of their lots.
    pub(crate) impacts: [Impact; 64],
    pub(crate) imbalance: Imbalance,
}

/// All trades of one event.
#[derive(Debug, Clone, Copy)]
struct MarketOrder {
    event: u64,
    sign: i8,
    lots: u64,
    middle_before: u32,
}

/// A market order whose later move of the price is still to be seen.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    at_message: u64,
    order: MarketOrder,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Impact {
    pub(crate) orders: u64,
    pub(crate) lots: u64,
    /// Sum of moves in the order's direction, ticks.
    pub(crate) ticks: f64,
}

/// Observations of a lopsided book, and how often the next move of its middle was upwards.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Imbalance {
    pub(crate) bids_heavy: u64,
    pub(crate) bids_heavy_up: u64,
    pub(crate) asks_heavy: u64,
    pub(crate) asks_heavy_up: u64,
    /// Since the last move.
    bids_heavy_open: u64,
    asks_heavy_open: u64,
}

/// Messages between two samples of the middle.
pub(crate) const STRIDE: u64 = 16;

/// Distances at which the book's shape is looked at.
pub(crate) const SHAPE: usize = 64;

/// How many messages of a symbol are looked into; a quarter of a million samples of the middle.
const MOST_MESSAGES: u64 = 1 << 22;

/// Messages between two samples of the book's shape.
const SHAPE_EVERY: u64 = 200;

/// Messages of the symbol after which a market order's impact is read.
const IMPACT_AFTER: u64 = 50;

/// Share of the lots at the touch, less that of the other side, beyond which a book is lopsided.
const LOPSIDED: f64 = 0.6;

impl Track {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        Self {
            book: Levels::new(snapshot),
            arrivals: Arrivals::new(),
            messages: 0,
            book_changes: 0,
            additions: 0,
            trades: 0,
            tight: 0,
            spreads: 0,
            moves: 0,
            shape: [0.0; SHAPE],
            shapes: 0,
            middles: Vec::new(),
            open: None,
            orders: Vec::new(),
            awaited: VecDeque::new(),
            impacts: [Impact::default(); 64],
            imbalance: Imbalance::default(),
        }
    }

    pub(crate) fn observe(&mut self, message: &Message) {
        self.arrivals.on_message(message.due_ns);
        self.follow(message);
    }

    /// The same but for its arrival.
    pub(crate) fn follow(&mut self, message: &Message) {
        if self.messages == MOST_MESSAGES {
            return;
        }
        self.messages += 1;
        let before = self.book.twice_middle();
        if self.open.is_some_and(|order| order.event != message.event) {
            self.close_order();
        }
        match message.body {
            Body::Book(change) => {
                let had = self.book.set(change.side, change.price, change.quantity);
                self.book_changes += 1;
                self.additions += u64::from(change.quantity > had);
            }
            Body::Trade(trade) => {
                self.trades += 1;
                let sign = if trade.taker == Side::Buy { 1 } else { -1 };
                let started = MarketOrder { event: message.event, sign, lots: 0, middle_before: before };
                let order = self.open.get_or_insert(started);
                order.lots = order.lots.saturating_add(trade.quantity);
            }
            _ => {}
        }
        let after = self.book.twice_middle();
        if after != before {
            self.moves += 1;
            self.imbalance.resolve(after > before);
        }
        let (bid_lots, ask_lots) = (self.book.bid.1 as f64, self.book.ask.1 as f64);
        self.imbalance.observe((bid_lots - ask_lots) / (bid_lots + ask_lots));
        self.tight += u64::from(self.book.spread() == 1);
        self.spreads += u64::from(self.book.spread());
        if self.messages % STRIDE == 1 {
            self.middles.push(after);
        }
        if self.messages.is_multiple_of(SHAPE_EVERY) {
            self.book.add_shape(&mut self.shape);
            self.shapes += 1;
        }
        while self.awaited.front().is_some_and(|awaited| awaited.at_message <= self.messages) {
            if let Some(Awaited { order, .. }) = self.awaited.pop_front() {
                let impact = &mut self.impacts[order.lots.max(1).ilog2() as usize];
                impact.orders += 1;
                impact.lots = impact.lots.saturating_add(order.lots);
                impact.ticks +=
                    0.5 * f64::from(order.sign) * (f64::from(after) - f64::from(order.middle_before));
            }
        }
    }

    fn close_order(&mut self) {
        if let Some(order) = self.open.take() {
            self.orders.push((order.sign, order.lots));
            // The event's last message was the one before.
            self.awaited.push_back(Awaited { at_message: self.messages - 1 + IMPACT_AFTER, order });
        }
    }

    /// Moves of the middle in ticks, from one stretch of so many strides to the next.
    pub(crate) fn returns(&self, strides: usize) -> Vec<f64> {
        let points: Vec<f64> = self.middles.iter().step_by(strides).map(|&it| f64::from(it)).collect();
        points.windows(2).map(|pair| 0.5 * (pair[1] - pair[0])).collect()
    }
}

impl Imbalance {
    fn observe(&mut self, imbalance: f64) {
        self.bids_heavy_open += u64::from(imbalance > LOPSIDED);
        self.asks_heavy_open += u64::from(imbalance < -LOPSIDED);
    }

    fn resolve(&mut self, up: bool) {
        self.bids_heavy += self.bids_heavy_open;
        self.asks_heavy += self.asks_heavy_open;
        if up {
            self.bids_heavy_up += self.bids_heavy_open;
            self.asks_heavy_up += self.asks_heavy_open;
        }
        (self.bids_heavy_open, self.asks_heavy_open) = (0, 0);
    }
}

/// A book as any consumer keeps it, and its best prices as of the last moment that it had both sides.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    /// Price and lots.
    pub(crate) bid: (u32, u64),
    pub(crate) ask: (u32, u64),
}

impl Levels {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let mut levels = Self {
            bids: snapshot.bids.iter().copied().collect(),
            asks: snapshot.asks.iter().copied().collect(),
            bid: (0, 0),
            ask: (0, 0),
        };
        levels.find_best();
        levels
    }

    /// Gives a level new lots. Those that it had.
    pub(crate) fn set(&mut self, side: Side, price: u32, lots: u64) -> u64 {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        let had = if lots == 0 { levels.remove(&price) } else { levels.insert(price, lots) };
        self.find_best();
        had.unwrap_or(0)
    }

    fn find_best(&mut self) {
        if let (Some(bid), Some(ask)) = (self.bids.last_key_value(), self.asks.first_key_value()) {
            self.bid = (*bid.0, *bid.1);
            self.ask = (*ask.0, *ask.1);
        }
    }

    pub(crate) fn twice_middle(&self) -> u32 {
        self.bid.0.saturating_add(self.ask.0)
    }

    pub(crate) fn spread(&self) -> u32 {
        self.ask.0.saturating_sub(self.bid.0)
    }

    /// Lots in the best levels of both sides, so many of each.
    pub(crate) fn depth(&self, levels: usize) -> u64 {
        let bids = self.bids.values().rev().take(levels);
        bids.chain(self.asks.values().take(levels)).sum()
    }

    fn add_shape(&self, shape: &mut [f64; SHAPE]) {
        let reach = SHAPE as u32 - 1;
        for (&price, &lots) in self.bids.range(self.bid.0.saturating_sub(reach)..=self.bid.0) {
            shape[(self.bid.0 - price) as usize] += lots as f64;
        }
        for (&price, &lots) in self.asks.range(self.ask.0..=self.ask.0.saturating_add(reach)) {
            shape[(price - self.ask.0) as usize] += lots as f64;
        }
    }
}
