//! The mood of the market, as numbers that can be changed while it trades.

use crate::spec::SpecError;

/// How a market behaves: a plain list of numbers, so that one mood turns into another by interpolating each.
///
/// The named regimes were tuned together against the realism bands. Other values are allowed within the limits of
/// [`Regime::check`], at the user's own risk of an unrealistic stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regime {
    /// Probability that an event is a trade, before volatility and clustering scale it.
    pub trade: f64,
    /// Factor on `trade` during the eight events after a trade.
    pub cluster: f64,
    /// Factor on the quantity that the book rests at.
    pub depth: f64,
    /// Factor on the moves of the reference price.
    pub volatility: f64,
    /// Eagerness to close a spread wider than one tick.
    pub improve: f64,
    /// Probability that an event undoes the last addition or restores the last cancellation.
    pub flicker: f64,
    /// Probability that a trade larger than the best level goes on to the next.
    pub walk: f64,
    /// Eagerness to pull a whole level that the reference price has passed.
    pub pull: f64,
    /// Eagerness to quote anew for each tick that the reference price is ahead.
    pub requote: f64,
    /// Share of additions and cancellations that are spread widely over the book, as where ticks are small, rather
    /// than gathered at the touch.
    pub scatter: f64,
}

/// How wide a tick is for the books of a market. Most crypto pairs that matter are quoted in ticks too small to
/// bind, and most shares in ticks so large that the spread is one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TickProfile {
    /// The spread is one tick nearly always, with long queues there.
    #[default]
    Large,
    /// The spread is several ticks, and levels are thin.
    Small,
}

impl Regime {
    /// An ordinary day.
    pub const NORMAL: Regime = Regime {
        trade: 0.035,
        cluster: 2.0,
        depth: 1.0,
        volatility: 1.0,
        improve: 0.35,
        flicker: 0.08,
        walk: 0.35,
        pull: 0.5,
        requote: 0.1,
        scatter: 0.0,
    };

    /// News: twice the trades, half the depth. `volatility` looks mild because thinner depth and more trades
    /// already raise what is realised; above 1.5 the book lags its reference and prices trend.
    pub const VOLATILE: Regime = Regime {
        trade: 0.06,
        cluster: 2.5,
        depth: 0.45,
        volatility: 1.5,
        improve: 0.28,
        flicker: 0.12,
        walk: 0.45,
        pull: 0.9,
        requote: 0.1,
        scatter: 0.0,
    };

    /// A flash crash while prices fall: hardly any depth, a stream of forced trades that sweep level after level,
    /// and quotes that come and go.
    pub const CRASH: Regime = Regime {
        trade: 0.10,
        cluster: 2.5,
        depth: 0.06,
        volatility: 4.0,
        improve: 0.10,
        flicker: 0.20,
        walk: 0.70,
        pull: 0.8,
        requote: 0.1,
        scatter: 0.0,
    };

    /// After a crash: a quarter of the depth is back, and spreads close.
    pub const RECOVERY: Regime = Regime {
        trade: 0.06,
        cluster: 2.5,
        depth: 0.25,
        volatility: 1.5,
        improve: 0.15,
        flicker: 0.12,
        walk: 0.45,
        pull: 0.9,
        requote: 0.1,
        scatter: 0.0,
    };

    /// The same mood where ticks are of this size. The named regimes are for large ones, and must not be turned to
    /// small ones twice.
    ///
    /// Moods differ less in depth and in the moves of the reference where ticks are small: levels that hold little more
    /// than an order each cannot get much thinner, and a thin book that is moved much harder tells nothing by its
    /// imbalance.
    pub fn with_ticks(self, ticks: TickProfile) -> Regime {
        match ticks {
            TickProfile::Large => self,
            TickProfile::Small => Regime {
                depth: 0.25 * self.depth.sqrt(),
                volatility: 1.3 * self.volatility.sqrt(),
                improve: 0.2 * self.improve,
                // Left at the slope of large ticks, a book that moves over several of them lags its reference and trends.
                requote: 6.0 * self.requote,
                scatter: 1.0,
                ..self
            },
        }
    }

    /// Whether every number is one that the market can work with.
    pub fn check(&self) -> Result<(), SpecError> {
        let limits = [
            ("trade", self.trade, 0.0, 1.0),
            ("cluster", self.cluster, 0.0, 100.0),
            ("depth", self.depth, 0.001, 100.0),
            ("volatility", self.volatility, 0.0, 100.0),
            ("improve", self.improve, 0.0, 1.0),
            ("flicker", self.flicker, 0.0, 1.0),
            ("walk", self.walk, 0.0, 1.0),
            ("pull", self.pull, 0.0, 10.0),
            ("requote", self.requote, 0.0, 10.0),
            ("scatter", self.scatter, 0.0, 1.0),
        ];
        for (number, value, low, high) in limits {
            if !(low..=high).contains(&value) {
                return Err(SpecError::Regime { number, value, low, high });
            }
        }
        Ok(())
    }

    /// Goes one of `steps` equal steps towards `target`; with one step left it arrives exactly.
    pub(crate) fn step_towards(&mut self, target: &Regime, steps: u16) {
        if steps <= 1 {
            *self = *target;
            return;
        }
        let share = 1.0 / f64::from(steps);
        let blend = |from: f64, to: f64| from + (to - from) * share;
        *self = Regime {
            trade: blend(self.trade, target.trade),
            cluster: blend(self.cluster, target.cluster),
            depth: blend(self.depth, target.depth),
            volatility: blend(self.volatility, target.volatility),
            improve: blend(self.improve, target.improve),
            flicker: blend(self.flicker, target.flicker),
            walk: blend(self.walk, target.walk),
            pull: blend(self.pull, target.pull),
            requote: blend(self.requote, target.requote),
            scatter: blend(self.scatter, target.scatter),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_equal_and_the_last_one_arrives_exactly() {
        let mut regime = Regime::NORMAL;
        let mut depths = vec![regime.depth];
        for left in (1..=50).rev() {
            regime.step_towards(&Regime::VOLATILE, left);
            depths.push(regime.depth);
        }
        assert_eq!(regime, Regime::VOLATILE);
        for pair in depths.windows(2) {
            assert!((pair[0] - pair[1] - 0.55 / 50.0).abs() < 1e-12, "{pair:?}");
        }
    }

    #[test]
    fn numbers_the_market_cannot_work_with_are_refused_by_name() {
        for regime in [Regime::NORMAL, Regime::VOLATILE, Regime::CRASH, Regime::RECOVERY] {
            for ticks in [TickProfile::Large, TickProfile::Small] {
                assert_eq!(regime.with_ticks(ticks).check(), Ok(()), "{regime:?} {ticks:?}");
            }
        }
        let broken = Regime { depth: 0.0, ..Regime::NORMAL };
        assert_eq!(
            broken.check().map_err(|error| error.to_string()),
            Err("regime depth must be from 0.001 to 100, got 0".to_owned())
        );
        assert!(Regime { walk: f64::NAN, ..Regime::NORMAL }.check().is_err());
    }
}
