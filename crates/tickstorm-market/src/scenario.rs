//! Courses of events that markets are known for.

use std::time::Duration;

use thiserror::Error;

use crate::path::{RegimeChange, Trading};
use crate::realism::CrashPhases;
use crate::regime::{Regime, TickProfile};

/// A flash crash. For two fifths of the run the market is calm; within the next tenth prices collapse, the second
/// half of the fall twice as fast as the first; then, perhaps after a halt, they recover most of it until seven
/// tenths of the run are over, and the rest is nervous.
///
/// Modelled on 6 May 2010, when the shares of the S&P 500 lost 9 % within minutes with a fifth of their depth left,
/// and on 10 October 2025, when bitcoin lost 14 % with 2 to 10 %. Message rates are the load profile's: five to ten
/// times the ordinary one was seen.
///
/// ```
/// use std::time::Duration;
/// use tickstorm_market::{FlashCrash, Listing, MarketSpec};
/// use tickstorm_random::Seed;
///
/// let run = Duration::from_secs(60);
/// let crash = FlashCrash { halt: Duration::from_secs(5), ..FlashCrash::default() };
/// let mut spec = MarketSpec::new(Seed::new(1), Listing::synthetic(100, Seed::new(1)));
/// // At a constant 20,000 messages a second.
/// spec.regime_path = crash.path(run, |at_ns| at_ns / 50_000)?.into();
/// spec.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlashCrash {
    /// The fall of a symbol of average sensitivity, as a share of its price. 0.001 to 0.3; 0.08 by default. Symbols
    /// fall half to twice as far, those with few messages no further than these can carry their price.
    pub depth: f64,
    /// Share of the fall that is recovered. 0 to 1; 0.75 by default, and 0.6 to 0.9 has been seen.
    pub retrace: f64,
    /// How long trading stops at the lowest point, a tenth of the run at most; not at all by default. Orders come
    /// and go meanwhile. Each symbol says by a [`Status`](crate::Status) that it stopped and that it trades again,
    /// whenever it next has a message to send.
    pub halt: Duration,
    /// How wide a tick is for the books; large by default. The market should start in
    /// [`Regime::NORMAL`] with the same ticks.
    pub ticks: TickProfile,
}

impl Default for FlashCrash {
    fn default() -> Self {
        Self { depth: 0.08, retrace: 0.75, halt: Duration::ZERO, ticks: TickProfile::Large }
    }
}

/// Why a flash crash cannot be staged.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ScenarioError {
    /// See [`FlashCrash::depth`].
    #[error("depth must be from 0.001 to 0.3, got {0}")]
    Depth(f64),
    /// See [`FlashCrash::retrace`].
    #[error("retrace must be from 0 to 1, got {0}")]
    Retrace(f64),
    /// See [`FlashCrash::halt`].
    #[error("halt must be at most {limit:?}, a tenth of the run, got {halt:?}")]
    Halt {
        /// What was asked for.
        halt: Duration,
        /// The most.
        limit: Duration,
    },
}

impl FlashCrash {
    /// What the crash does to a market over a run of this length, for
    /// [`MarketSpec::regime_path`](crate::MarketSpec::regime_path). `messages_before` says how many messages of the
    /// whole market are due before a time of the run, ns.
    pub fn path(
        &self,
        run: Duration,
        messages_before: impl Fn(u64) -> u64,
    ) -> Result<Vec<RegimeChange>, ScenarioError> {
        if !(0.001..=0.3).contains(&self.depth) {
            return Err(ScenarioError::Depth(self.depth));
        }
        if !(0.0..=1.0).contains(&self.retrace) {
            return Err(ScenarioError::Retrace(self.retrace));
        }
        let limit = run / 10;
        if self.halt > limit {
            return Err(ScenarioError::Halt { halt: self.halt, limit });
        }
        let phases = self.phases(run);
        let halt_ns = nanoseconds(self.halt);
        let change = |at_ns, regime: Regime, price: f64| RegimeChange {
            at_ns,
            regime: regime.with_ticks(self.ticks),
            trading: Trading::Open,
            price,
            messages_before: Some(messages_before(at_ns)),
        };
        let halfway_ns = phases.fall_from_ns.midpoint(phases.fall_until_ns);
        let mut path = vec![
            change(phases.fall_from_ns, Regime::CRASH, 0.0),
            // A third of the way in half of the time.
            change(halfway_ns, Regime::CRASH, -self.depth / 3.0),
        ];
        if halt_ns > 0 {
            let bottom = change(phases.fall_until_ns, Regime::CRASH, -self.depth);
            path.push(RegimeChange { trading: Trading::Halted, ..bottom });
        }
        path.push(change(phases.fall_until_ns + halt_ns, Regime::RECOVERY, -self.depth));
        path.push(change(phases.recovered_ns, Regime::VOLATILE, -self.depth * (1.0 - self.retrace)));
        Ok(path)
    }

    /// When what happens, in a run of this length; for [`CrashChecks`](crate::realism::CrashChecks).
    pub fn phases(&self, run: Duration) -> CrashPhases {
        let tenth_ns = nanoseconds(run / 10);
        CrashPhases { fall_from_ns: 4 * tenth_ns, fall_until_ns: 5 * tenth_ns, recovered_ns: 7 * tenth_ns }
    }
}

/// Six hundred years are as good as any longer time.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Duration = Duration::from_secs(60);

    #[test]
    fn a_crash_that_cannot_be_staged_is_refused_with_the_reason() {
        let refused = |crash: FlashCrash| crash.path(RUN, |_| 0).map_err(|error| error.to_string());
        let good = FlashCrash::default();
        assert!(refused(good).is_ok());
        assert_eq!(
            refused(FlashCrash { depth: 0.5, ..good }),
            Err("depth must be from 0.001 to 0.3, got 0.5".to_owned())
        );
        assert_eq!(
            refused(FlashCrash { retrace: f64::NAN, ..good }),
            Err("retrace must be from 0 to 1, got NaN".to_owned())
        );
        assert_eq!(
            refused(FlashCrash { halt: Duration::from_secs(7), ..good }),
            Err("halt must be at most 6s, a tenth of the run, got 7s".to_owned())
        );
    }

    #[test]
    fn the_second_half_of_the_fall_is_twice_as_fast() {
        let crash = FlashCrash { depth: 0.25, retrace: 0.5, ..FlashCrash::default() };
        let path = crash.path(RUN, |at_ns| at_ns).unwrap();
        let points: Vec<(u64, f64)> = path.iter().map(|it| (it.at_ns / 1_000_000_000, it.price)).collect();
        assert_eq!(points, [(24, 0.0), (27, -0.25 / 3.0), (30, -0.25), (42, -0.125)]);
        assert!(path.iter().all(|point| point.trading == Trading::Open));
    }

    #[test]
    fn a_halt_ends_trading_at_the_bottom_for_as_long_as_it_says() {
        let crash = FlashCrash { halt: Duration::from_secs(5), ..FlashCrash::default() };
        let path = crash.path(RUN, |_| 0).unwrap();
        let halted: Vec<u64> = path
            .windows(2)
            .filter(|pair| pair[0].trading == Trading::Halted)
            .map(|pair| pair[1].at_ns - pair[0].at_ns)
            .collect();
        assert_eq!(halted, [5_000_000_000]);
        assert_eq!(path[2].price, -0.08);
        assert_eq!(path[3].price, -0.08);
    }
}
