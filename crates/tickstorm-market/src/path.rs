//! How a market changes over the run: its mood, whether it trades, and where its prices are to go.

use std::sync::Arc;

use crate::regime::Regime;

/// A point of [`MarketSpec::regime_path`](crate::MarketSpec::regime_path).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegimeChange {
    /// From when it holds: ns since the start of the run.
    pub at_ns: u64,
    /// What the market turns into, over the next 50 to 200 events of each symbol.
    pub regime: Regime,
    /// Whether the market trades from here on. Takes hold at once: each symbol's next event is a
    /// [`Status`](crate::Status).
    pub trading: Trading,
    /// By what share of their start, on average, prices have been moved when this point is reached: a straight
    /// line in time from the point before, or from zero at the start of the run. -0.35 to 1. How far each symbol
    /// goes along tells [`MarketSpec::path_ticks`](crate::MarketSpec::path_ticks).
    pub price: f64,
    /// How many messages of the whole market are due before this point, about. Between two points that both say
    /// it, prices move no further than the order flow can carry them. `None`: they move as far as they are told
    /// to, and books that cannot follow lag.
    pub messages_before: Option<u64>,
}

/// Whether trades happen. Orders come and go all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trading {
    /// They do.
    Open,
    /// They do not.
    Halted,
}

impl RegimeChange {
    /// A change of mood only.
    pub fn new(at_ns: u64, regime: Regime) -> Self {
        Self { at_ns, regime, trading: Trading::Open, price: 0.0, messages_before: None }
    }
}

/// A path, and how far along it the run has come.
pub(crate) struct Path {
    points: Arc<[RegimeChange]>,
    passed: usize,
    /// When the next point is reached; never, if there is none.
    next_ns: u64,
    moves_prices: bool,
}

impl Path {
    pub(crate) fn new(points: Arc<[RegimeChange]>) -> Self {
        let moves_prices = points.iter().any(|point| point.price != 0.0);
        let mut path = Self { points, passed: 0, next_ns: 0, moves_prices };
        path.next_ns = path.reached_at();
        path
    }

    /// The next point that has been reached, if one has.
    #[inline]
    pub(crate) fn pass(&mut self, now_ns: u64) -> Option<RegimeChange> {
        if now_ns < self.next_ns { None } else { self.pass_next() }
    }

    #[cold]
    fn pass_next(&mut self) -> Option<RegimeChange> {
        let point = *self.points.get(self.passed)?;
        self.passed += 1;
        self.next_ns = self.reached_at();
        Some(point)
    }

    fn reached_at(&self) -> u64 {
        self.points.get(self.passed).map_or(u64::MAX, |next| next.at_ns)
    }

    /// Where prices should be now, as a share of their start; all points reached must have been passed.
    #[inline]
    pub(crate) fn price(&self, now_ns: u64) -> f64 {
        if self.moves_prices { self.price_between_points(now_ns) } else { 0.0 }
    }

    fn price_between_points(&self, now_ns: u64) -> f64 {
        let (from_ns, from) = match self.passed.checked_sub(1).map(|last| self.points[last]) {
            Some(last) => (last.at_ns, last.price),
            None => (0, 0.0),
        };
        let Some(next) = self.points.get(self.passed) else { return from };
        let share = now_ns.saturating_sub(from_ns) as f64 / (next.at_ns - from_ns).max(1) as f64;
        from + (next.price - from) * share.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_go_straight_from_point_to_point_and_stay_at_the_last() {
        let point = |at_ns, price| RegimeChange { price, ..RegimeChange::new(at_ns, Regime::CRASH) };
        let mut path =
            Path::new([point(100, 0.0), point(200, -0.3), point(200, -0.2), point(400, 0.0)].into());
        let mut at = |now_ns| {
            while path.pass(now_ns).is_some() {}
            path.price(now_ns)
        };
        assert_eq!([at(0), at(99), at(100), at(150), at(199)], [0.0, 0.0, 0.0, -0.15, -0.297]);
        assert_eq!([at(200), at(300), at(400), at(u64::MAX)], [-0.2, -0.1, 0.0, 0.0]);
    }
}
