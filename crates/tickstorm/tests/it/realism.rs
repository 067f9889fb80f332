//! What a run sends looks like a market, as planned: all shards merged, at the due times of the real schedule.

use std::time::Duration;

use tickstorm::{LoadProfile, Plan, Rate, Scenario, Spec, Target, TickSize};
use tickstorm_load::Slot;
use tickstorm_market::realism::{CrashChecks, Expectation, Mood, Realism, RealismTable, Verdict};
use tickstorm_market::{Body, Checker, Message, ShardMarket, Snapshot, TickProfile};

const SEEDS: [u64; 3] = [1, 2, 3];

/// A minute at 20,000 messages a second in bursts, 1.2 million of them.
fn minute(seed: u64) -> Spec {
    Spec { arrivals: Some("bursty".parse().unwrap()), ..at(20_000, 60, seed) }
}

fn at(per_second: u64, seconds: u64, seed: u64) -> Spec {
    Spec {
        seed,
        base_rate: Rate::per_second(per_second / 10).unwrap(),
        duration: Some(Duration::from_secs(seconds)),
        ..Spec::default()
    }
}

#[test]
fn an_ordinary_day_meets_every_band_whatever_the_size_of_ticks() {
    for seed in SEEDS {
        assert_meets_every_band(&minute(seed), Mood::Normal);
        assert_meets_every_band(&Spec { tick_size: TickSize::Small, ..minute(seed) }, Mood::Normal);
    }
}

#[test]
fn a_day_of_news_meets_every_band_whatever_the_size_of_ticks() {
    for seed in SEEDS {
        let news = Spec { profile: LoadProfile::VOLATILE, ..at(20_000, 60, seed) };
        assert_meets_every_band(&news, Mood::Volatile);
        assert_meets_every_band(&Spec { tick_size: TickSize::Small, ..news }, Mood::Volatile);
    }
}

#[test]
fn the_market_looks_the_same_at_any_rate() {
    for seed in SEEDS {
        for (per_second, seconds) in [(2_000, 600), (400_000, 3)] {
            let spec = Spec { arrivals: Some("bursty".parse().unwrap()), ..at(per_second, seconds, seed) };
            let table = measured(&spec, Mood::Normal);
            // How a symbol's messages follow each other depends on how many there are.
            for row in table.rows.iter().filter(|row| !["M2", "M3"].contains(&row.id)) {
                assert_eq!(row.verdict(), Verdict::Met, "seed {seed} at {per_second}/s: {row:?}");
            }
        }
    }
}

fn assert_meets_every_band(spec: &Spec, mood: Mood) {
    let table = measured(spec, mood);
    let missed: Vec<_> = table.rows.iter().filter(|row| row.verdict() != Verdict::Met).collect();
    assert!(missed.is_empty(), "seed {}, {mood:?}, {} ticks: {missed:?}", spec.seed, spec.tick_size);
    assert_eq!(table.rows.len(), 14);
}

fn measured(spec: &Spec, mood: Mood) -> RealismTable {
    let mut run = PlannedRun::new(spec);
    let mut realism = Realism::new(spec.symbols as usize, &run.books());
    run.play(|_, message| realism.observe(message));
    let ticks = match spec.tick_size {
        TickSize::Large => TickProfile::Large,
        TickSize::Small => TickProfile::Small,
    };
    realism.finish(Expectation { mood, ticks, zipf: spec.zipf })
}

#[test]
fn a_flash_crash_is_one_under_any_load() {
    let halt = Duration::from_secs(5);
    for (seed, profile, tick_size) in [
        (1, "NORMAL", TickSize::Large),
        (2, "SPIKE?peak=5x", TickSize::Large),
        (3, "VOLATILE", TickSize::Large),
        (4, "NORMAL", TickSize::Small),
    ] {
        let spec = Spec {
            tick_size,
            profile: profile.parse().unwrap(),
            scenario: Scenario::FlashCrash,
            crash_halt: Some(halt),
            ..minute(seed)
        };
        let mut run = PlannedRun::new(&spec);
        let crash = run.plan.flash_crash().unwrap();
        let phases = crash.phases(run.plan.duration());
        let market = run.plan.market().clone();
        let set_fall = |symbol| crash.depth * market.path_ticks(symbol);
        let mut checks = CrashChecks::new(phases, &run.books(), set_fall);
        let mut checkers: Vec<Checker> = run
            .markets
            .iter()
            .map(|shard| Checker::new(&market.listing, &shard.snapshots(), &shard.balances()))
            .collect();
        let halted = phases.fall_until_ns..phases.fall_until_ns + halt.as_nanos() as u64;
        run.play(|shard, message| {
            checkers[shard].observe(message).unwrap();
            checks.observe(message);
            let trades = matches!(message.body, Body::Trade(_));
            assert!(!trades || !halted.contains(&message.event_ns), "{message:?}");
        });
        let table = checks.finish();
        assert_eq!(table.verdict(), Verdict::Met, "{profile}, {tick_size} ticks: {table:?}");
    }
}

#[test]
fn a_burst_of_spike_is_a_panic() {
    let spec = Spec { profile: LoadProfile::SPIKE, ..at(2_000, 20, 1) };
    // Messages and trades in the seconds before the first burst, in it, and long after it.
    let mut seen = [(0u32, 0u32); 3];
    PlannedRun::new(&spec).play(|_, message| {
        let phase = match message.due_ns / 1_000_000_000 {
            ..5 => 0,
            5 => 1,
            10..15 => 2,
            _ => return,
        };
        seen[phase].0 += 1;
        seen[phase].1 += u32::from(matches!(message.body, Body::Trade(_)));
    });
    let [before, burst, after] = seen.map(|(messages, trades)| f64::from(trades) / f64::from(messages));
    assert!(burst > 2.0 * before && burst > 2.0 * after, "{before} {burst} {after}");
}

#[test]
fn instruments_of_different_workers_burst_together() {
    let plan = Plan::new(&Spec { connections: 2, ..minute(1) }, &Target::default()).unwrap();
    // Each with a clock of its own, as two workers have; one instrument of each, and all of them.
    let counts = [0, 1].map(|worker: u16| {
        let mut clock = plan.schedule().clock(|shard| shard % 2 == worker);
        let mut slots: Vec<Slot> = Vec::new();
        while clock.next_cell(&mut slots).is_some() {}
        let of_busiest: Vec<u64> =
            slots.iter().filter(|slot| slot.shard() == worker).map(|slot| slot.due_ns()).collect();
        [of_busiest, slots.iter().map(|slot| slot.due_ns()).collect()]
    });
    for (window_ns, of_instruments, of_workers) in [(10_000_000, 0.2, 0.7), (100_000_000, 0.5, 0.9)] {
        for (kind, least) in [(0, of_instruments), (1, of_workers)] {
            let [one, other] = [0, 1].map(|worker| windows(&counts[worker][kind], window_ns));
            let together = correlation(&one, &other);
            assert!(together > least, "{together} in windows of {window_ns} ns");
        }
    }
}

/// How many of these times lie in each window of a minute.
fn windows(times_ns: &[u64], window_ns: u64) -> Vec<f64> {
    let mut counts = vec![0.0; (60_000_000_000 / window_ns) as usize];
    for time_ns in times_ns {
        counts[(time_ns / window_ns) as usize] += 1.0;
    }
    counts
}

fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let covariance = |one: &[f64], other: &[f64]| {
        let (mean_one, mean_other) = (mean(one), mean(other));
        one.iter().zip(other).map(|(x, y)| (x - mean_one) * (y - mean_other)).sum::<f64>()
    };
    covariance(one, other) / (covariance(one, one) * covariance(other, other)).sqrt()
}

/// A plan's markets, to be played without a target.
struct PlannedRun {
    plan: Plan,
    markets: Vec<ShardMarket>,
}

impl PlannedRun {
    fn new(spec: &Spec) -> Self {
        let plan = Plan::new(spec, &Target::default()).unwrap();
        let market = |shard| ShardMarket::new(plan.market(), shard).unwrap();
        let markets = (0..plan.market().shards).map(market).collect();
        Self { plan, markets }
    }

    fn books(&self) -> Vec<Snapshot> {
        self.markets.iter().flat_map(ShardMarket::snapshots).collect()
    }

    /// Hands over every message of the run with its shard, in order of due times.
    fn play(&mut self, mut each: impl FnMut(usize, &Message)) {
        let mut clock = self.plan.schedule().clock(|_| true);
        let mut slots: Vec<Slot> = Vec::new();
        while clock.next_cell(&mut slots).is_some() {
            for slot in slots.drain(..) {
                let shard = usize::from(slot.shard());
                each(shard, self.markets[shard].next(slot.due_ns()));
            }
        }
    }
}
