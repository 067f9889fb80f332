//! One symbol that is looked at closely.

use std::collections::VecDeque;

use super::bins::Adaptive;
use super::book::Book;
use super::film::Film;
use super::tail::Tail;
use super::{Picture, Returns, Shape, Sitting, SizeImpact};
use crate::event::{Body, Message, Side, Snapshot};
use crate::instrument::SymbolId;
use crate::realism::statistics::{autocorrelation, moments};

/// Follows one symbol. Bounded, however long it is followed.
#[derive(Debug, Clone)]
pub(super) struct Sitter {
    symbol: SymbolId,
    pub(super) messages: u64,
    trades: u64,
    last_ns: Option<u64>,
    gaps: Tail,
    book: Book,
    film: Film,
    spreads: Adaptive,
    middles: Middles,
    open: Option<Order>,
    signs: Signs,
    sizes: Tail,
    responses: Vec<Response>,
    by_size: [Impact; 64],
}

/// A market order: all trades of one event.
#[derive(Debug, Clone, Copy)]
struct Order {
    event: u64,
    taker: Side,
    lots: u64,
    twice_middle_before: Option<u64>,
}

/// Twice the middle of the book, every so many messages.
#[derive(Debug, Clone)]
struct Middles {
    every: u64,
    twice: Vec<u64>,
}

/// How alike the signs of market orders are, by how many orders lie between them.
#[derive(Debug, Clone)]
struct Signs {
    /// The latest sign is bit 0; set for a buyer.
    history: u128,
    orders: u64,
    buyers: u64,
    /// Pairs of equal signs, by lag from 1.
    equal: [u64; SIGN_LAGS],
}

/// Where the middle is so many messages after a market order.
#[derive(Debug, Clone)]
struct Response {
    messages: u64,
    /// When the order's answer is due, in messages; its sign; the middle before it; its lots.
    awaited: VecDeque<(u64, Side, u64, u64)>,
    impact: Impact,
}

#[derive(Debug, Clone, Copy, Default)]
struct Impact {
    orders: u64,
    lots: u64,
    /// Moves in the order's direction, half ticks.
    half_ticks: i64,
}

/// Messages between two samples of the middle at first.
const STRIDE: u64 = 16;

/// Samples of the middle at most.
const MIDDLES: usize = 1 << 16;

/// Lags up to which signs are compared; as many as the history has bits.
const SIGN_LAGS: usize = 127;

/// Messages after a market order at which the middle is looked at.
const RESPONSES: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// The one of them at which orders of different sizes are compared.
const COMPARED_AFTER: u64 = 50;

/// Bins of the spread's histogram at most.
const SPREADS: usize = 128;

impl Sitter {
    pub(super) fn new(symbol: SymbolId, snapshot: Option<&Snapshot>) -> Self {
        Self {
            symbol,
            messages: 0,
            trades: 0,
            last_ns: None,
            gaps: Tail::new(),
            book: snapshot.map(Book::of).unwrap_or_default(),
            film: Film::new(),
            spreads: Adaptive::new(0, 1, SPREADS),
            middles: Middles { every: STRIDE, twice: Vec::new() },
            open: None,
            signs: Signs { history: 0, orders: 0, buyers: 0, equal: [0; SIGN_LAGS] },
            sizes: Tail::new(),
            responses: RESPONSES.map(Response::new).to_vec(),
            by_size: [Impact::default(); 64],
        }
    }

    pub(super) fn observe(&mut self, message: &Message, at_ns: u64) {
        self.messages += 1;
        if let Some(last_ns) = self.last_ns.replace(at_ns) {
            self.gaps.add(at_ns.saturating_sub(last_ns));
        }
        self.film.advance(at_ns, &self.book);
        if self.open.is_some_and(|order| order.event != message.event) {
            self.close_order();
        }
        match &message.body {
            Body::Book(change) => self.book.set(change.side, change.price, change.quantity),
            Body::Quote(quote) => self.book.on_quote(quote),
            Body::Trade(trade) => {
                self.trades += 1;
                self.film.on_trade(at_ns, trade);
                let started = Order {
                    event: message.event,
                    taker: trade.taker,
                    lots: 0,
                    twice_middle_before: self.book.touch().map(|touch| touch.twice_middle()),
                };
                let order = self.open.get_or_insert(started);
                order.lots = order.lots.saturating_add(trade.quantity);
            }
            _ => {}
        }
        let Some(touch) = self.book.touch() else { return };
        self.film.see(&self.book);
        self.spreads.add(u64::from(touch.spread()));
        self.middles.see(self.messages, touch.twice_middle());
        for response in &mut self.responses {
            response.see(self.messages, touch.twice_middle(), &mut self.by_size);
        }
    }

    fn close_order(&mut self) {
        let Some(order) = self.open.take() else { return };
        self.signs.add(order.taker);
        self.sizes.add(order.lots);
        if let Some(before) = order.twice_middle_before {
            for response in &mut self.responses {
                // The order's last message was the one before.
                let due = self.messages - 1 + response.messages;
                response.awaited.push_back((due, order.taker, before, order.lots));
            }
        }
    }

    pub(super) fn sitting(&self) -> Sitting {
        let film = self.film.develop(&self.book);
        Sitting {
            symbol: self.symbol,
            messages: self.messages,
            trades: self.trades,
            gaps_ns: self.gaps.exceedance(),
            shape: Shape::of(&film.moments, &film.books),
            moment_ns: film.length_ns,
            moments: film.moments,
            depth: film.depth,
            trade_points: film.trades,
            spreads: self.spreads.bins().clone(),
            returns: self.middles.returns(),
            sign_autocorrelation: self.signs.autocorrelation(),
            order_lots: self.sizes.exceedance(),
            response: self
                .responses
                .iter()
                .filter(|response| response.impact.orders >= Picture::LEAST_ORDERS)
                .map(|response| (response.messages, response.impact.mean_ticks()))
                .collect(),
            impact_after: COMPARED_AFTER,
            impact_by_size: self
                .by_size
                .iter()
                .filter(|impact| impact.orders >= Picture::LEAST_ORDERS)
                .map(|impact| SizeImpact {
                    orders: impact.orders,
                    lots: impact.lots as f64 / impact.orders as f64,
                    ticks: impact.mean_ticks(),
                })
                .collect(),
        }
    }
}

impl Middles {
    fn see(&mut self, messages: u64, twice_middle: u64) {
        if messages.is_multiple_of(self.every) {
            if self.twice.len() == MIDDLES {
                let mut index = 0;
                // What is left lies at multiples of the doubled stride, as all that is to come.
                self.twice.retain(|_| {
                    index += 1;
                    index % 2 == 0
                });
                self.every *= 2;
                if !messages.is_multiple_of(self.every) {
                    return;
                }
            }
            self.twice.push(twice_middle);
        }
    }

    /// Over the fewest messages over which the root mean square move is a tick, if that leaves enough of them.
    fn returns(&self) -> Returns {
        let mut doublings = 0;
        let mut ticks = self.moves(0);
        while mean_square(&ticks) < 1.0 {
            let fewer = self.moves(doublings + 1);
            if fewer.len() < LEAST_RETURNS {
                break;
            }
            (doublings, ticks) = (doublings + 1, fewer);
        }
        let sizes: Vec<f64> = ticks.iter().map(|it| it.abs()).collect();
        let all_lags = |of: &[f64]| {
            let of = [of.to_vec()];
            (1..=RETURN_LAGS).map_while(|lag| autocorrelation(&of, lag)).collect()
        };
        Returns {
            over_messages: self.every << doublings,
            deviation_ticks: moments(ticks.iter().copied()).map_or(0.0, |(_, variance)| libm::sqrt(variance)),
            autocorrelation: all_lags(&ticks),
            absolute_autocorrelation: all_lags(&sizes),
            ticks,
        }
    }

    fn moves(&self, doublings: u32) -> Vec<f64> {
        let points: Vec<u64> = self.twice.iter().step_by(1 << doublings).copied().collect();
        points.windows(2).map(|pair| 0.5 * (pair[1] as f64 - pair[0] as f64)).collect()
    }
}

/// Returns that must remain when their horizon is doubled.
const LEAST_RETURNS: usize = 500;

/// Lags up to which returns are compared.
const RETURN_LAGS: usize = 50;

fn mean_square(values: &[f64]) -> f64 {
    values.iter().map(|it| it * it).sum::<f64>() / values.len().max(1) as f64
}

impl Signs {
    fn add(&mut self, taker: Side) {
        let buyer = taker == Side::Buy;
        let alike = if buyer { self.history } else { !self.history };
        let known = self.orders.min(SIGN_LAGS as u64) as usize;
        for (lag, equal) in self.equal[..known].iter_mut().enumerate() {
            *equal += (alike >> lag) as u64 & 1;
        }
        self.history = self.history << 1 | u128::from(buyer);
        self.orders += 1;
        self.buyers += u64::from(buyer);
    }

    /// By lag from 1, as far as there are enough pairs.
    fn autocorrelation(&self) -> Vec<f64> {
        let mean = 2.0 * self.buyers as f64 / self.orders.max(1) as f64 - 1.0;
        let variance = 1.0 - mean * mean;
        if variance <= 0.0 {
            return Vec::new();
        }
        let lags = self.equal.iter().enumerate().map(|(index, &equal)| (index as u64 + 1, equal));
        lags.take_while(|&(lag, _)| self.orders >= lag + Picture::LEAST_ORDERS)
            .map(|(lag, equal)| {
                let product = 2.0 * equal as f64 / (self.orders - lag) as f64 - 1.0;
                (product - mean * mean) / variance
            })
            .collect()
    }
}

impl Response {
    fn new(messages: u64) -> Self {
        Self { messages, awaited: VecDeque::new(), impact: Impact::default() }
    }

    fn see(&mut self, messages: u64, twice_middle: u64, by_size: &mut [Impact; 64]) {
        while let Some((_, taker, before, lots)) =
            self.awaited.pop_front_if(|&mut (due_message, ..)| due_message <= messages)
        {
            let up = twice_middle.cast_signed() - before.cast_signed();
            let along = if taker == Side::Buy { up } else { -up };
            self.impact.add(lots, along);
            if self.messages == COMPARED_AFTER {
                by_size[lots.max(1).ilog2() as usize].add(lots, along);
            }
        }
    }
}

impl Impact {
    fn add(&mut self, lots: u64, half_ticks: i64) {
        self.orders += 1;
        self.lots = self.lots.saturating_add(lots);
        self.half_ticks += half_ticks;
    }

    fn mean_ticks(&self) -> f64 {
        0.5 * self.half_ticks as f64 / self.orders as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_the_middle_stay_evenly_spaced_when_they_are_thinned() {
        let mut middles = Middles { every: STRIDE, twice: Vec::new() };
        for message in 1..=6_000_000 {
            middles.see(message, message);
        }
        assert!((MIDDLES / 2..=MIDDLES).contains(&middles.twice.len()));
        assert_eq!(middles.every, 128);
        assert!(middles.twice.windows(2).all(|pair| pair[1] - pair[0] == middles.every));
    }
}
