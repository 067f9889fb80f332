//! What a stream is held against.

use tickstorm_market::realism::{CrashPhases, Expectation, Mood};
use tickstorm_market::{FlashCrash, MarketSpec, Regime};

use crate::Plan;

/// The market that a stream should show.
#[derive(Debug, Clone)]
pub struct StreamExpectation {
    /// What bands the figures should lie in. None where they change in the course of the stream, as in a crash: then
    /// the figures are measured and not judged.
    pub bands: Option<Expectation>,
    /// The crash in it.
    pub crash: Option<CrashExpectation>,
}

/// A crash that a stream should show.
#[derive(Debug, Clone)]
pub struct CrashExpectation {
    /// When it happens, ns since the start of the run.
    pub phases: CrashPhases,
    /// By how many ticks each symbol should fall, busiest first.
    pub falls: Vec<f64>,
    /// The start of the run.
    pub start_unix_ns: i64,
}

impl StreamExpectation {
    /// Of the stream that the plan describes.
    pub fn of_plan(plan: &Plan) -> Self {
        let market = plan.market();
        let crash = plan.flash_crash().map(|crash| CrashExpectation {
            phases: crash.phases(plan.duration()),
            falls: falls(market, &crash),
            start_unix_ns: plan.start_unix_ns(),
        });
        let mood = match market.regime {
            regime if regime == Regime::NORMAL.with_ticks(plan.ticks()) => Mood::Normal,
            _ => Mood::Volatile,
        };
        let bands = Expectation { mood, ticks: plan.ticks(), zipf: market.zipf };
        Self { bands: market.regime_path.is_empty().then_some(bands), crash }
    }
}

fn falls(market: &MarketSpec, crash: &FlashCrash) -> Vec<f64> {
    let symbols = market.listing.instruments.iter().map(|instrument| instrument.id);
    symbols.map(|symbol| market.path_ticks(symbol) * crash.depth).collect()
}
