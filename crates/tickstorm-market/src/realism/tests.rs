//! The market meets every band, and without one of its mechanisms misses the band of the metric that hangs on it.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use tickstorm_random::{QuantileTable, Seed, Stream, beta_symmetric_table};

use super::*;
use crate::ablation::Ablation;
use crate::event::Body;
use crate::instrument::Listing;
use crate::invariants::Checker;
use crate::market::ShardMarket;
use crate::regime::Regime;
use crate::scenario::FlashCrash;
use crate::spec::MarketSpec;

/// A minute at 20,000 messages a second.
const MESSAGES: usize = 1_200_000;

#[test]
fn an_ordinary_day_meets_every_band() {
    for seed in 1..=3 {
        assert_meets_every_band(seed, Mood::Normal, TickProfile::Large);
    }
}

#[test]
fn a_day_of_news_meets_every_band() {
    for seed in 1..=3 {
        assert_meets_every_band(seed, Mood::Volatile, TickProfile::Large);
    }
}

#[test]
fn an_ordinary_day_of_small_ticks_meets_every_band() {
    for seed in 1..=3 {
        assert_meets_every_band(seed, Mood::Normal, TickProfile::Small);
    }
}

#[test]
fn a_day_of_news_and_small_ticks_meets_every_band() {
    for seed in 1..=3 {
        assert_meets_every_band(seed, Mood::Volatile, TickProfile::Small);
    }
}

fn assert_meets_every_band(seed: u64, mood: Mood, ticks: TickProfile) {
    let table =
        record(&spec(seed, mood, ticks), Burst::of(mood), MESSAGES, Expectation { mood, ticks, zipf: 1.0 });
    assert_eq!(table.rows.len(), 14);
    assert_eq!(table.verdict(), Verdict::Met, "seed {seed}, {mood:?}, {ticks:?}:\n{}", shown(&table));
}

fn spec(seed: u64, mood: Mood, ticks: TickProfile) -> MarketSpec {
    let regime = match mood {
        Mood::Normal => Regime::NORMAL,
        Mood::Volatile => Regime::VOLATILE,
    };
    MarketSpec {
        shards: 1,
        regime: regime.with_ticks(ticks),
        ..MarketSpec::new(Seed::new(seed), Listing::synthetic(100, Seed::new(seed)))
    }
}

fn record(spec: &MarketSpec, burst: Burst, messages: usize, expectation: Expectation) -> RealismTable {
    let mut market = ShardMarket::new(spec, 0).unwrap();
    let mut realism = Realism::new(spec.listing.instruments.len(), &market.snapshots());
    for due_ns in due_times(spec.seed, burst, messages) {
        realism.observe(market.next(due_ns));
    }
    realism.finish(expectation)
}

fn shown(table: &RealismTable) -> String {
    let mut text = String::new();
    for row in &table.rows {
        for figure in &row.figures {
            let (value, verdict) = (figure.value.unwrap_or(f64::NAN), figure.verdict());
            writeln!(text, "{:4}{:40}{value:9.3}  {verdict}, {}", row.id, figure.name, figure.band).unwrap();
        }
    }
    text
}

/// How unevenly the halves of a stretch of time share its messages.
#[derive(Clone, Copy)]
enum Burst {
    None,
    Normal,
    Volatile,
}

impl Burst {
    fn of(mood: Mood) -> Self {
        match mood {
            Mood::Normal => Self::Normal,
            Mood::Volatile => Self::Volatile,
        }
    }

    /// The first half's share.
    fn shares(self) -> &'static QuantileTable<f64> {
        static NONE: LazyLock<QuantileTable<f64>> = LazyLock::new(|| QuantileTable::new(2, |_| 0.5));
        static NORMAL: LazyLock<QuantileTable<f64>> = LazyLock::new(|| beta(2.0));
        static VOLATILE: LazyLock<QuantileTable<f64>> = LazyLock::new(|| beta(1.3));
        match self {
            Self::None => &NONE,
            Self::Normal => &NORMAL,
            Self::Volatile => &VOLATILE,
        }
    }
}

fn beta(a: f64) -> QuantileTable<f64> {
    beta_symmetric_table(a, 256, |share| share)
}

/// Due times at 20,000 messages a second, exactly so in each second; within it they come in bursts, or evenly
/// spread by chance without.
fn due_times(seed: Seed, burst: Burst, messages: usize) -> Vec<u64> {
    let mut stream = seed.stream("test clock", 0);
    let mut due_times = Vec::with_capacity(messages);
    for second in 0..messages as u64 / A_SECOND {
        let from_ns = second * 1_000_000_000;
        spread(A_SECOND, from_ns, 1_000_000_000, burst.shares(), &mut stream, &mut due_times);
    }
    due_times
}

/// Spreads so many messages over a stretch of time, half by half.
fn spread(
    count: u64,
    from_ns: u64,
    length_ns: u64,
    table: &QuantileTable<f64>,
    stream: &mut Stream,
    due_times: &mut Vec<u64>,
) {
    match count {
        0 => {}
        1 => due_times.push(from_ns + (stream.unit() * length_ns as f64) as u64),
        _ if length_ns <= 1_000 => due_times.extend((0..count).map(|_| from_ns)),
        _ => {
            let share = table.draw(stream);
            let first = stream.binomial(count, share);
            let half_ns = length_ns / 2;
            spread(first, from_ns, half_ns, table, stream, due_times);
            spread(count - first, from_ns + half_ns, length_ns - half_ns, table, stream, due_times);
        }
    }
}

const A_SECOND: u64 = 20_000;

#[test]
fn even_arrivals_miss_the_bands_of_bursts_and_self_excitation() {
    let table =
        record(&spec(1, Mood::Normal, TickProfile::Large), Burst::None, MESSAGES, Expectation::default());
    assert_missed(&table, &["M1", "M2"]);
}

#[test]
fn trades_without_parents_miss_the_band_of_sign_memory() {
    assert_missed(&without(Ablation::Parents, 1), &["M10"]);
}

#[test]
fn steady_volatility_misses_the_bands_of_tails_and_clusters() {
    assert_missed(&without(Ablation::Volatility, 1), &["M7", "M9"]);
}

#[test]
fn equal_sizes_miss_the_band_of_sizes() {
    assert_missed(&without(Ablation::Sizes, 1), &["M11"]);
}

#[test]
fn equal_activity_misses_the_band_of_concentration() {
    let even = MarketSpec { zipf: 0.0, ..spec(1, Mood::Normal, TickProfile::Large) };
    assert_missed(&record(&even, Burst::Normal, MESSAGES, Expectation::default()), &["M14"]);
}

#[test]
fn levels_that_do_not_react_miss_the_band_of_memory_in_returns() {
    // The variance ratio falls with every seed, but with some only to the lower end of the band.
    assert_missed(&without(Ablation::QueueReaction, 3), &["M8"]);
}

#[test]
fn order_flow_without_a_reference_misses_the_bands_of_impact_tails_and_imbalance() {
    let table = without(Ablation::Pull, 1);
    assert_missed(&table, &["M12", "M13"]);
    // Prices move so little that there may be no horizon over which they move a tick.
    assert_ne!(table.row("M7").map(Row::verdict), Some(Verdict::Met), "{}", shown(&table));
}

#[test]
fn trades_that_surprise_nobody_miss_the_band_of_impact() {
    assert_missed(&without(Ablation::Surprise, 1), &["M12"]);
}

fn without(mechanism: Ablation, seed: u64) -> RealismTable {
    let spec = MarketSpec { ablation: Some(mechanism), ..spec(seed, Mood::Normal, TickProfile::Large) };
    record(&spec, Burst::Normal, MESSAGES, Expectation::default())
}

fn assert_missed(table: &RealismTable, ids: &[&str]) {
    for id in ids {
        let verdict = table.row(id).map(Row::verdict);
        assert_eq!(verdict, Some(Verdict::Missed), "{id}:\n{}", shown(table));
    }
}

#[test]
fn a_recording_too_short_to_tell_is_never_a_pass() {
    let spec = spec(1, Mood::Normal, TickProfile::Large);
    let short = record(&spec, Burst::Normal, A_SECOND as usize, Expectation::default());
    let empty = Realism::new(0, &[]).finish(Expectation::default());
    for table in [short, empty] {
        assert!(table.rows.iter().all(|row| row.verdict() == Verdict::NotObservable), "{}", shown(&table));
    }
}

#[test]
fn a_flash_crash_is_one_with_and_without_a_halt() {
    for (seed, halt) in [(1, Duration::ZERO), (2, Duration::from_secs(5))] {
        let crash = FlashCrash { halt, ..FlashCrash::default() };
        let mut spec = spec(seed, Mood::Normal, TickProfile::Large);
        let due_times = due_times(spec.seed, Burst::Normal, MESSAGES);
        let run = Duration::from_secs(60);
        spec.regime_path = crash
            .path(run, |at_ns| due_times.partition_point(|&due_ns| due_ns < at_ns) as u64)
            .unwrap()
            .into();
        let mut market = ShardMarket::new(&spec, 0).unwrap();
        let mut checker = Checker::new(&spec.listing, &market.snapshots(), &market.balances());
        let phases = crash.phases(run);
        let mut checks =
            CrashChecks::new(phases, &market.snapshots(), |symbol| crash.depth * spec.path_ticks(symbol));
        let halted = phases.fall_until_ns..phases.fall_until_ns + halt.as_nanos() as u64;
        for due_ns in due_times {
            let message = market.next(due_ns);
            checker.observe(message).unwrap();
            checks.observe(message);
            let trades = matches!(message.body, Body::Trade(_));
            assert!(!trades || !halted.contains(&message.event_ns), "{message:?}");
        }
        let table = checks.finish();
        assert_eq!(table.verdict(), Verdict::Met, "seed {seed}:\n{}", shown(&table));
    }
}

#[test]
fn a_calm_day_is_no_crash() {
    let spec = spec(1, Mood::Normal, TickProfile::Large);
    let mut market = ShardMarket::new(&spec, 0).unwrap();
    let phases = FlashCrash::default().phases(Duration::from_secs(20));
    let mut checks = CrashChecks::new(phases, &market.snapshots(), |_| 500.0);
    for number in 0..400_000 {
        checks.observe(market.next(number * 50_000));
    }
    let table = checks.finish();
    assert_missed(&table, &["C1", "C2", "C3", "C4"]);
    let unseen = CrashChecks::new(phases, &market.snapshots(), |_| 500.0).finish();
    assert_eq!(unseen.row("C3").map(Row::verdict), Some(Verdict::NotObservable));
}

#[test]
fn small_ticks_and_crashes_break_no_invariant() {
    for regime in [Regime::NORMAL, Regime::VOLATILE, Regime::CRASH, Regime::RECOVERY] {
        for ticks in [TickProfile::Large, TickProfile::Small] {
            let spec = MarketSpec { regime: regime.with_ticks(ticks), ..spec(5, Mood::Normal, ticks) };
            let mut market = ShardMarket::new(&spec, 0).unwrap();
            let mut checker = Checker::new(&spec.listing, &market.snapshots(), &market.balances());
            for number in 0..100_000 {
                checker.observe(market.next(number * 50_000)).unwrap();
            }
        }
    }
}

#[test]
fn bands_say_what_they_allow() {
    let shown = |low, high| Band { low, high }.to_string();
    assert_eq!(shown(0.6, 1.5), "0.6 to 1.5");
    assert_eq!(shown(10.0, f64::INFINITY), "at least 10");
    assert_eq!(shown(f64::NEG_INFINITY, 0.7), "at most 0.7");
    assert_eq!(shown(f64::NEG_INFINITY, f64::INFINITY), "any");
    assert!(!Band { low: 0.0, high: 1.0 }.contains(f64::NAN));
}
