//! When each message is due, and to which shard it belongs.

mod cascade;
mod clock;
mod integral;
mod paced;
mod shards;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tickstorm_random::Seed;

use self::cascade::Odds;
pub use self::clock::Clock;
use self::integral::Integral;
use self::shards::ShardWheel;
use crate::arrivals::Arrivals;
use crate::path::Path;
use crate::rate::{Factor, Rate};

/// What a [`Schedule`] is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleSpec {
    /// The rate at multiplier 1 and factor 1, the total over all shards.
    pub base_rate: Rate,
    /// What the base rate is multiplied with, above zero; default 1.
    pub multiplier: Factor,
    /// The profile's factor over the run; its end is the end of the schedule.
    pub path: Path,
    /// How messages fall within the rate.
    pub arrivals: Arrivals,
    /// Bursty arrivals keep the count of every window of this length exact, counted from the start of the run; at
    /// least 1 ms, default 1 s. The longer, the further a burst may take from its surroundings. Paced and Poisson
    /// arrivals do not use it.
    pub exact_window: Duration,
    /// What the arrivals and the choice of shards follow from.
    pub seed: Seed,
    /// The share of messages of each shard, in proportion; shards are numbered from 0, at most 4096. A shard of
    /// weight zero gets none.
    pub shard_weights: Vec<u64>,
}

impl ScheduleSpec {
    /// A spec of this rate and path with defaults for the rest: multiplier 1, paced, exact over a second, seed 1,
    /// 64 shards of equal weight.
    pub fn new(base_rate: Rate, path: Path) -> ScheduleSpec {
        ScheduleSpec {
            base_rate,
            multiplier: Factor::ONE,
            path,
            arrivals: Arrivals::Paced,
            exact_window: Duration::from_secs(1),
            seed: Seed::new(1),
            shard_weights: vec![1; 64],
        }
    }
}

/// When every message of a run is due. Cheap to clone: clones share one plan, which never changes.
///
/// With Λ the integral of `base rate x multiplier x factor`, `floor(Λ(t) + 1/2)` messages are due by t: exactly so at
/// any time for paced arrivals (on ramps to within rounding of a nanosecond), at the ends of exact windows for bursty
/// ones, at the end of the run for all. A message's due time depends on the spec alone, never on when anything was
/// sent or on who asks.
#[derive(Debug, Clone)]
pub struct Schedule(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    integral: Integral,
    arrivals: Arrivals,
    /// How bursty arrivals share between halves; none where shares are even.
    odds: Option<Odds>,
    exact_window_ns: u64,
    seed: Seed,
    shard_weights: Vec<u64>,
    /// Draws shards one by one, for paced arrivals.
    wheel: ShardWheel,
    total: u64,
}

impl Schedule {
    /// Checks the spec. Costs a pass over the path and a few milliseconds of tables.
    pub fn new(spec: ScheduleSpec) -> Result<Schedule, ScheduleError> {
        if spec.multiplier.is_zero() {
            return Err(ScheduleError::ZeroMultiplier);
        }
        let shards = spec.shard_weights.len();
        if !(1..=MAX_SHARDS).contains(&shards) {
            return Err(ScheduleError::ShardCount { given: shards });
        }
        if spec.shard_weights.iter().all(|&weight| weight == 0) {
            return Err(ScheduleError::NoWeight);
        }
        let exact_window_ns = u64::try_from(spec.exact_window.as_nanos()).unwrap_or(u64::MAX);
        if exact_window_ns < MIN_EXACT_WINDOW_NS {
            return Err(ScheduleError::ExactWindow { given: spec.exact_window });
        }
        let integral = Integral::new(spec.base_rate, spec.multiplier, spec.path)
            .ok_or(ScheduleError::PeakRate { base_rate: spec.base_rate, multiplier: spec.multiplier })?;
        let total = integral.total();
        if total > MAX_TOTAL {
            return Err(ScheduleError::Total { given: total });
        }
        Ok(Schedule(Arc::new(Inner {
            integral,
            arrivals: spec.arrivals,
            odds: Odds::new(spec.arrivals),
            wheel: ShardWheel::new(&spec.shard_weights),
            exact_window_ns,
            seed: spec.seed,
            shard_weights: spec.shard_weights,
            total,
        })))
    }

    /// The number of messages of the run.
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// The number of messages that the rate asks for by `t_ns`: `floor(Λ(t) + 1/2)`, in exact arithmetic.
    pub fn due_by(&self, t_ns: u64) -> u64 {
        let path = self.path();
        let t_ns = t_ns.min(path.duration_ns());
        self.0.integral.position(t_ns, path.segment_from(t_ns)).count
    }

    /// The rate at a time, in messages per second; at a step the one behind it, beyond the end the last one.
    pub fn rate_at(&self, t_ns: u64) -> f64 {
        self.0.integral.per_second(self.path().factor_at(t_ns))
    }

    /// The mean rate of the run, in messages per second.
    pub fn average_rate(&self) -> f64 {
        self.0.integral.per_second(self.path().average())
    }

    /// The highest rate of the run, in messages per second.
    pub fn peak_rate(&self) -> f64 {
        self.0.integral.per_second(self.path().peak().as_f64())
    }

    /// The length of the run.
    pub fn duration_ns(&self) -> u64 {
        self.path().duration_ns()
    }

    /// The factor over run time that the schedule follows.
    pub fn path(&self) -> &Path {
        self.0.integral.path()
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.0.shard_weights.len()
    }

    /// A clock that hands out the slots of the shards that `owned` accepts. The clocks of any division of the shards
    /// together hand out exactly what one clock of all shards does.
    pub fn clock(&self, owned: impl Fn(u16) -> bool) -> Clock {
        Clock::new(self.clone(), owned)
    }
}

/// A message's due time and shard in one word; slots order by due time, then by shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u64);

impl Slot {
    /// When the message is due, in nanoseconds since the start of the run.
    #[inline]
    pub const fn due_ns(self) -> u64 {
        self.0 >> SHARD_BITS
    }

    /// The shard whose next message it is.
    #[inline]
    pub const fn shard(self) -> u16 {
        (self.0 & (MAX_SHARDS as u64 - 1)) as u16
    }

    /// The slot of this due time, below 2^52 ns, and shard, below 4096.
    #[inline]
    pub const fn new(due_ns: u64, shard: u16) -> Slot {
        Slot(due_ns << SHARD_BITS | shard as u64)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("due_ns", &self.due_ns()).field("shard", &self.shard()).finish()
    }
}

/// Why a spec is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Nothing would ever be due.
    #[error("multiplier must be above zero, got 0x")]
    ZeroMultiplier,
    /// Too fast for a clock of nanoseconds, at the peak of the profile.
    #[error(
        "the rate must stay at most 1G/s, got a base rate of {base_rate}, multiplied by {multiplier} and the profile's peak"
    )]
    PeakRate {
        /// The base rate.
        base_rate: Rate,
        /// The multiplier.
        multiplier: Factor,
    },
    /// More messages than are counted exactly everywhere.
    #[error("a run has at most 2^53 messages, got {given}")]
    Total {
        /// What the spec comes to.
        given: u64,
    },
    /// The window is too short to hold a burst.
    #[error("the exact window must be at least 1ms, got {given:?}")]
    ExactWindow {
        /// What was given.
        given: Duration,
    },
    /// No shards, or more than a slot can name.
    #[error("a schedule has from 1 to 4096 shards, got {given}")]
    ShardCount {
        /// What was given.
        given: usize,
    },
    /// No shard could get a message.
    #[error("at least one shard must have a weight above zero, got zero for all")]
    NoWeight,
}

const SECOND_NS: u64 = 1_000_000_000;
const SHARD_BITS: u32 = 12;
const MAX_SHARDS: usize = 1 << SHARD_BITS;
/// Counts stay exact where a report turns them into floating point.
const MAX_TOTAL: u64 = 1 << 53;
/// About one cell of the clock's grid.
const MIN_EXACT_WINDOW_NS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arrivals::Burst;
    use crate::path::Segment;
    use crate::profile::LoadProfile;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: u64 = 1_000_000;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn path(profile: &str, duration: Duration) -> Path {
        profile.parse::<LoadProfile>().unwrap().path(duration, Seed::new(1)).unwrap()
    }

    fn spec(base_rate: &str, profile: &str, duration: Duration, arrivals: &str) -> ScheduleSpec {
        ScheduleSpec {
            arrivals: arrivals.parse().unwrap(),
            ..ScheduleSpec::new(rate(base_rate), path(profile, duration))
        }
    }

    fn schedule(base_rate: &str, profile: &str, duration: Duration, arrivals: &str) -> Schedule {
        Schedule::new(spec(base_rate, profile, duration, arrivals)).unwrap()
    }

    /// All slots of a clock, which must keep its promises about the ends of cells.
    fn drain(mut clock: Clock) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::new();
        let mut last_end_ns = 0;
        loop {
            let first = slots.len();
            let Some(end_ns) = clock.next_cell(&mut slots) else {
                assert_eq!(slots.len(), first, "nothing comes after the end");
                assert_eq!(clock.next_cell(&mut slots), None);
                return slots;
            };
            let cell = &slots[first..];
            assert!(end_ns > last_end_ns, "cells advance");
            assert!(cell.is_sorted(), "a cell is in order");
            // A cell is at most 976 563 ns.
            let earliest_ns = last_end_ns.max(end_ns.saturating_sub(976_563));
            assert!(
                cell.iter().all(|slot| (earliest_ns..=end_ns).contains(&slot.due_ns())),
                "slots are in their cell"
            );
            last_end_ns = end_ns;
        }
    }

    fn due_times(schedule: &Schedule) -> Vec<u64> {
        drain(schedule.clock(|_| true)).into_iter().map(Slot::due_ns).collect()
    }

    #[test]
    fn totals_are_those_of_the_profile() {
        let cases = [
            ("100", "10x", "NORMAL", 60, 60_000),
            ("200", "100x", "RAMP_UP", 300, 15_000_000),
            ("200", "100x", "RAMP_DOWN", 300, 15_000_000),
            ("100", "10x", "SPIKE", 60, 114_000),
            ("0.5", "1x", "NORMAL", 60, 30),
            ("1/7s", "1x", "NORMAL", 70, 10),
            ("1", "0.333333x", "NORMAL", 3, 1),
        ];
        for (base_rate, multiplier, profile, seconds, total) in cases {
            let spec = spec(base_rate, profile, seconds * SECOND, "paced");
            let schedule =
                Schedule::new(ScheduleSpec { multiplier: multiplier.parse().unwrap(), ..spec }).unwrap();
            assert_eq!(schedule.total(), total, "{base_rate} {multiplier} {profile}");
            assert_eq!(schedule.due_by(schedule.duration_ns()), total);
            assert_eq!(schedule.due_by(u64::MAX), total);
            assert_eq!(schedule.due_by(0), 0);
        }
        let volatile = schedule("1k", "VOLATILE", 60 * SECOND, "paced");
        let permille: u64 = volatile.path().segments().iter().map(|s| s.from.millionths() / 1000).sum();
        // 600 cells of 100 ms at 1000/s: a tenth of a message for each permille.
        assert_eq!(volatile.total(), (permille + 5) / 10);
    }

    #[test]
    fn rates_are_those_of_the_profile() {
        let ramp = schedule("100", "RAMP_UP", 60 * SECOND, "paced");
        assert_eq!(ramp.rate_at(0), 0.0);
        assert_eq!(ramp.rate_at(30_000_000_000), 250.0);
        assert_eq!((ramp.average_rate(), ramp.peak_rate()), (250.0, 500.0));
        assert_eq!(ramp.duration_ns(), 60_000_000_000);
    }

    #[test]
    fn paced_gaps_are_equal_to_the_nanosecond() {
        let even = due_times(&schedule("1000", "NORMAL", 3 * SECOND, "paced"));
        let expected: Vec<u64> = (0..3000).map(|i| 500_000 + i * MS).collect();
        assert_eq!(even, expected);
        let thirds = due_times(&schedule("3", "NORMAL", 10 * SECOND, "paced"));
        let expected: Vec<u64> = (0..30).map(|i| ((2 * i + 1) * 1_000_000_000u64).div_ceil(6)).collect();
        assert_eq!(thirds, expected);
        let dense = due_times(&schedule("1G", "NORMAL", Duration::from_millis(3), "paced"));
        assert!(dense.iter().copied().eq(1..=3 * MS));
    }

    #[test]
    fn a_ramp_from_zero_starts_slowly_and_a_ramp_to_zero_ends_so() {
        let rising = due_times(&schedule("100", "RAMP_UP", 60 * SECOND, "paced"));
        // Λ(t) = 100 · 5 / 60 · t² / 2 reaches 1/2 at t = √0.12 s.
        assert_eq!(rising[0], 346_410_162);
        assert_eq!(rising.len(), 15_000);
        let falling = due_times(&schedule("100", "RAMP_DOWN", 60 * SECOND, "paced"));
        // Each may be rounded up by a nanosecond.
        for (early, late) in rising.iter().zip(falling.iter().rev()) {
            assert!((60_000_000_000 - late).abs_diff(*early) <= 2, "{early} is not mirrored by {late}");
        }
    }

    #[test]
    fn edges_inside_a_cell_are_kept_to_the_nanosecond() {
        let stages = "1001us:1x, 777ns:0x, 3us:1000x, 1300us:0x, 5ms:0x..2x, 3ms:2x";
        let duration = stages.parse::<LoadProfile>().unwrap().stages_duration().unwrap();
        for arrivals in ["paced", "poisson", "bursty", "bursty:crash"] {
            let schedule = schedule("1M", stages, duration, arrivals);
            let due = due_times(&schedule);
            assert_eq!(due.len() as u64, schedule.total(), "{arrivals}");
            let segments = schedule.path().segments();
            for silent in [segments[1], segments[3]] {
                let during =
                    due.iter().filter(|&&t_ns| silent.start_ns < t_ns && t_ns < silent.end_ns).count();
                assert_eq!(during, 0, "{arrivals}: something is due while the rate is zero");
            }
            let burst = segments[2];
            let during = due.iter().filter(|&&t_ns| burst.start_ns <= t_ns && t_ns <= burst.end_ns).count();
            assert!(during > 1000, "{arrivals}: {during} in the burst of 3000");
        }
    }

    #[test]
    fn nothing_is_due_while_the_rate_is_zero_all_along() {
        for arrivals in ["paced", "poisson", "bursty"] {
            let schedule = schedule("1k", "3s:0x", 3 * SECOND, arrivals);
            assert_eq!((schedule.total(), due_times(&schedule).len()), (0, 0));
        }
    }

    #[test]
    fn long_and_sparse_runs_pass_quickly() {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        for arrivals in ["paced", "poisson"] {
            let schedule = schedule("2/h", "NORMAL", days(52), arrivals);
            assert_eq!(due_times(&schedule).len(), 52 * 24 * 2);
        }
        let spec = ScheduleSpec { exact_window: days(1), ..spec("2/h", "NORMAL", days(52), "bursty") };
        assert_eq!(due_times(&Schedule::new(spec).unwrap()).len(), 52 * 24 * 2);
    }

    #[test]
    fn bursts_have_the_closed_form_variance_on_every_scale() {
        // Counts of a whole window do not vary, so the formula counts the halvings from a second down.
        for (arrivals, v) in [("bursty", 0.2), ("bursty:calm", 1.0 / 9.0), ("bursty:volatile", 1.0 / 3.6)] {
            // One shard: below a millisecond each shard has bursts of its own.
            let spec =
                ScheduleSpec { shard_weights: vec![1], ..spec("2000", "NORMAL", 2000 * SECOND, arrivals) };
            let due = due_times(&Schedule::new(spec).unwrap());
            for halvings in [3, 7, 10, 14] {
                let expected = libm::pow(1.0 + v, f64::from(halvings)) - 1.0;
                let excess = dispersion(&due, 1 << halvings, 2000.0);
                assert!(
                    (excess / expected - 1.0).abs() < 0.05,
                    "{arrivals}, {halvings} halvings: {excess} for {expected}"
                );
            }
        }
    }

    #[test]
    fn poisson_and_flat_arrivals_are_no_more_uneven_than_chance() {
        let due = due_times(&schedule("2000", "NORMAL", 1000 * SECOND, "poisson"));
        for parts in [1, 8, 1024, 16384] {
            let index = 1.0 + dispersion(&due, parts, 1000.0) * 2000.0 / parts as f64;
            assert!((index - 1.0).abs() < 0.12, "index of dispersion {index} over 1/{parts} s");
        }
        let due = due_times(&schedule("2000", "NORMAL", 1000 * SECOND, "bursty:flat"));
        // A second's count is exact, so an eighth of it varies as seven eighths of chance.
        let index = 1.0 + dispersion(&due, 8, 1000.0) * 250.0;
        assert!((index - 0.875).abs() < 0.05, "{index}");
        assert!((1.0 + dispersion(&due, 1, 1000.0) * 2000.0).abs() < 1e-9);
    }

    /// The relative variance of the counts of 1/`parts` s beyond that of independent messages.
    fn dispersion(due: &[u64], parts: u64, seconds: f64) -> f64 {
        let mut squares = 0.0;
        let part_of = |t_ns: &u64| u128::from(*t_ns) * u128::from(parts) / 1_000_000_000;
        for part in due.chunk_by(|a, b| part_of(a) == part_of(b)) {
            squares += part.len() as f64 * part.len() as f64;
        }
        let cells = seconds * parts as f64;
        let mean = due.len() as f64 / cells;
        (squares / cells - mean * mean - mean) / (mean * mean)
    }

    #[test]
    fn windows_longer_than_a_second_vary_less_above_it() {
        let spec = spec("500", "NORMAL", 2048 * SECOND, "bursty:crash");
        let schedule = Schedule::new(ScheduleSpec { exact_window: 1024 * SECOND, ..spec }).unwrap();
        let due = due_times(&schedule);
        let windows = due.iter().filter(|&&t_ns| t_ns < 1024 * 1_000_000_000).count();
        assert_eq!(windows, 512_000);
        // Ten halvings at a = 11: 1.04^10 - 1.
        let excess = dispersion(&due, 1, 2048.0);
        assert!((0.25..0.85).contains(&excess), "{excess}");
    }

    #[test]
    fn a_cap_bounds_every_millisecond_and_keeps_the_total() {
        let stages = "300ms:1x, 100ms:6x, 600ms:1x";
        for seed in 0..20 {
            let spec =
                ScheduleSpec { seed: Seed::new(seed), ..spec("40k", stages, SECOND, "bursty:crash&cap=300") };
            let due = due_times(&Schedule::new(spec).unwrap());
            assert_eq!(due.len(), 60_000);
            let cell = |t_ns: &u64| (2 * t_ns + 1) / 1_953_125;
            let fullest = due.chunk_by(|a, b| cell(a) == cell(b)).map(<[u64]>::len).max();
            assert_eq!(fullest, Some(300), "the cap is reached and kept");
        }
    }

    #[test]
    fn a_cap_that_the_rate_exceeds_spreads_evenly() {
        let due = due_times(&schedule("100k", "NORMAL", SECOND, "bursty:cap=50"));
        assert_eq!(due.len(), 100_000);
        let cell = |t_ns: &u64| (2 * t_ns + 1) / 1_953_125;
        for counted in due.chunk_by(|a, b| cell(a) == cell(b)) {
            assert!((97..=98).contains(&counted.len()), "{}", counted.len());
        }
    }

    #[test]
    fn bursts_hit_all_shards_together() {
        let slots = drain(schedule("100k", "NORMAL", 10 * SECOND, "bursty").clock(|_| true));
        let mut counts = vec![[0.0f64; 2]; 10 * 128];
        for slot in slots {
            counts[(slot.due_ns() * 128 / 1_000_000_000) as usize][usize::from(slot.shard() % 2)] += 1.0;
        }
        let mean = |f: &dyn Fn(&[f64; 2]) -> f64| counts.iter().map(f).sum::<f64>() / counts.len() as f64;
        let (even, odd) = (mean(&|c| c[0]), mean(&|c| c[1]));
        let covariance = mean(&|c| (c[0] - even) * (c[1] - odd));
        let spread = mean(&|c| (c[0] - even) * (c[0] - even)) * mean(&|c| (c[1] - odd) * (c[1] - odd));
        assert!(covariance / spread.sqrt() > 0.9, "{}", covariance / spread.sqrt());
    }

    #[test]
    fn dense_cells_keep_their_counts() {
        for arrivals in ["paced", "poisson", "bursty:crash"] {
            let schedule = schedule("100M", "SPIKE", Duration::from_millis(10), arrivals);
            let due = due_times(&schedule);
            assert_eq!((due.len() as u64, schedule.total()), (1_900_000, 1_900_000), "{arrivals}");
        }
    }

    #[test]
    fn a_clone_goes_on_and_a_new_clock_starts_over() {
        for arrivals in ["paced", "poisson", "bursty"] {
            let schedule = schedule("5k", "VOLATILE", SECOND, arrivals);
            let mut clock = schedule.clock(|_| true);
            let mut slots = Vec::new();
            for _ in 0..300 {
                clock.next_cell(&mut slots).unwrap();
            }
            let (mut rest, mut rest_of_clone) = (Vec::new(), Vec::new());
            let mut clone = clock.clone();
            while clock.next_cell(&mut rest).is_some() {}
            while clone.next_cell(&mut rest_of_clone).is_some() {}
            assert_eq!(rest, rest_of_clone);
            slots.extend(rest);
            assert_eq!(slots, drain(schedule.clock(|_| true)));
        }
    }

    #[test]
    fn the_seed_moves_what_is_random_and_nothing_else() {
        for arrivals in ["paced", "poisson", "bursty"] {
            let with_seed = |seed: u64| {
                let spec = ScheduleSpec { seed: Seed::new(seed), ..spec("5k", "NORMAL", SECOND, arrivals) };
                drain(Schedule::new(spec).unwrap().clock(|_| true))
            };
            let (one, other) = (with_seed(1), with_seed(2));
            assert_ne!(one, other, "{arrivals}");
            assert_eq!(one.len(), other.len(), "{arrivals}");
            let times = |slots: &[Slot]| slots.iter().map(|slot| slot.due_ns()).collect::<Vec<_>>();
            assert_eq!(times(&one) == times(&other), arrivals == "paced");
        }
    }

    #[test]
    fn specs_that_make_no_schedule_are_refused() {
        let good = || spec("1k", "NORMAL", SECOND, "paced");
        let error = |spec: ScheduleSpec| Schedule::new(spec).unwrap_err();
        assert_eq!(error(ScheduleSpec { multiplier: Factor::ZERO, ..good() }), ScheduleError::ZeroMultiplier);
        assert_eq!(
            error(ScheduleSpec { shard_weights: vec![], ..good() }),
            ScheduleError::ShardCount { given: 0 }
        );
        assert_eq!(
            error(ScheduleSpec { shard_weights: vec![1; 4097], ..good() }),
            ScheduleError::ShardCount { given: 4097 }
        );
        assert_eq!(error(ScheduleSpec { shard_weights: vec![0; 64], ..good() }), ScheduleError::NoWeight);
        assert_eq!(
            error(ScheduleSpec { exact_window: Duration::from_micros(999), ..good() }),
            ScheduleError::ExactWindow { given: Duration::from_micros(999) }
        );
        let multiplier = Factor::MAX;
        assert_eq!(
            error(ScheduleSpec { multiplier, path: path("RAMP_UP", SECOND), ..good() }),
            ScheduleError::PeakRate { base_rate: rate("1k"), multiplier }
        );
        assert!(Schedule::new(ScheduleSpec { multiplier, ..good() }).is_ok(), "1G/s is just allowed");
        let endless = spec("1G", "NORMAL", 52 * 86_400 * SECOND, "paced");
        assert!(Schedule::new(endless).is_ok(), "52 days of 1G/s are below 2^53");
    }

    #[test]
    fn an_uncapped_burst_is_the_default() {
        assert_eq!("bursty".parse(), Ok(Arrivals::Bursty(Burst::NORMAL)));
        assert_eq!(Burst::NORMAL.cap(), None);
    }

    /// Segments of any kind: silent, constant, rising, falling; lengths in nanoseconds.
    fn any_path(longest_ns: u64) -> impl Strategy<Value = Path> {
        let factor = prop_oneof![Just(0u64), Just(1_000_000), 0u64..10_000_000];
        let stretch = (1..=longest_ns, factor.clone(), factor, any::<bool>());
        prop::collection::vec(stretch, 1..6).prop_map(|stretches| {
            let mut start_ns = 0;
            let segment = |(length_ns, from, to, is_constant): (u64, u64, u64, bool)| {
                let segment = Segment {
                    start_ns,
                    end_ns: start_ns + length_ns,
                    from: Factor::from_millionths(from).unwrap(),
                    to: Factor::from_millionths(if is_constant { from } else { to }).unwrap(),
                };
                start_ns += length_ns;
                segment
            };
            Path::new(stretches.into_iter().map(segment).collect()).unwrap()
        })
    }

    fn any_arrivals() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            Just("paced"),
            Just("poisson"),
            Just("bursty"),
            Just("bursty:flat"),
            Just("bursty:crash"),
            Just("bursty:a=0.5&cap=20"),
        ]
    }

    /// Λ + 1/2 by adding up every nanosecond, as numerator and denominator: the trapezia of a linear factor are exact.
    fn slow_due_by(base_rate: Rate, multiplier: Factor, path: &Path, t_ns: u64) -> u64 {
        let mut twice_area = 0i128;
        let (mut part, mut part_unit) = (0i128, 1i128);
        for segment in path.segments().iter().filter(|segment| segment.start_ns < t_ns) {
            let length = i128::from(segment.end_ns - segment.start_ns);
            let level = |x: i128| {
                i128::from(segment.from.millionths()) * (length - x) + i128::from(segment.to.millionths()) * x
            };
            let seen = i128::from(t_ns.min(segment.end_ns) - segment.start_ns);
            let sum: i128 = (0..seen).map(|x| level(x) + level(x + 1)).sum();
            if seen == length {
                assert_eq!(sum % length, 0);
                twice_area += sum / length;
            } else {
                (part, part_unit) = (sum, length);
            }
        }
        let count = i128::from(base_rate.count()) * i128::from(multiplier.millionths());
        let per = i128::from(base_rate.per_ns()) * 1_000_000 * 1_000_000;
        let messages = count * (twice_area * part_unit + part);
        let unit = 2 * per * part_unit;
        ((messages + per * part_unit) / unit) as u64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn due_by_is_the_sum_over_every_nanosecond(
            path in any_path(400),
            per_second in 1u64..=10_000_000,
            multiplier in 1u64..10_000_000,
            at in prop::collection::vec(0u64..2000, 1..20),
        ) {
            let (base_rate, multiplier) =
                (Rate::per_second(per_second).unwrap(), Factor::from_millionths(multiplier).unwrap());
            let spec = ScheduleSpec { multiplier, ..ScheduleSpec::new(base_rate, path.clone()) };
            let schedule = Schedule::new(spec).unwrap();
            for t_ns in at.into_iter().chain([path.duration_ns()]).map(|t_ns| t_ns.min(path.duration_ns())) {
                prop_assert_eq!(schedule.due_by(t_ns), slow_due_by(base_rate, multiplier, &path, t_ns), "{}", t_ns);
            }
        }

        #[test]
        fn due_by_never_falls_and_nothing_overflows(
            path in any_path(1 << 49),
            count in 1u64..,
            per_ns in 1u64..,
            multiplier in 1u64..=1_000_000_000_000,
            at in prop::collection::vec(0u64..1 << 52, 2..20),
        ) {
            let base_rate = Rate::new(count, Duration::from_nanos(per_ns));
            let spec = base_rate.map(|base_rate| ScheduleSpec {
                multiplier: Factor::from_millionths(multiplier).unwrap(),
                ..ScheduleSpec::new(base_rate, path)
            });
            if let Some(schedule) = spec.ok().and_then(|spec| Schedule::new(spec).ok()) {
                let mut at = at;
                at.sort_unstable();
                let counts: Vec<u64> = at.into_iter().map(|t_ns| schedule.due_by(t_ns)).collect();
                prop_assert!(counts.is_sorted());
                let mut clock = schedule.clock(|_| true);
                let mut slots = Vec::new();
                clock.next_cell(&mut slots);
            }
        }

        #[test]
        fn a_paced_message_is_due_when_the_count_reaches_it(path in any_path(20_000_000), per_second in 1u64..200_000) {
            let spec = ScheduleSpec::new(Rate::per_second(per_second).unwrap(), path);
            let schedule = Schedule::new(spec).unwrap();
            let due = due_times(&schedule);
            prop_assert_eq!(due.len() as u64, schedule.total());
            for (nth, &t_ns) in (1..).zip(&due) {
                let segments = schedule.path().segments();
                let segment = segments[segments.partition_point(|segment| segment.end_ns < t_ns)];
                // On a ramp the due time itself is rounded floating point.
                let slack_ns = if segment.from == segment.to { 0 } else { 1 };
                prop_assert!(schedule.due_by(t_ns + slack_ns) >= nth, "message {} is due too early", nth);
                prop_assert!(schedule.due_by(t_ns.saturating_sub(1 + slack_ns)) < nth, "message {} is due too late", nth);
            }
        }

        #[test]
        fn workers_together_hand_out_the_stream_of_one(
            path in any_path(40_000_000),
            per_second in 1u64..100_000,
            arrivals in any_arrivals(),
            window_ms in 1u64..100,
            weights in prop::collection::vec(0u64..1000, 1..80),
            owners in prop::collection::vec(0u16..4, 80),
            seed: u64,
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let schedule = Schedule::new(ScheduleSpec {
                arrivals: arrivals.parse().unwrap(),
                exact_window: Duration::from_millis(window_ms),
                seed: Seed::new(seed),
                shard_weights: weights.clone(),
                ..ScheduleSpec::new(Rate::per_second(per_second).unwrap(), path)
            }).unwrap();
            let alone = drain(schedule.clock(|_| true));
            prop_assert_eq!(alone.len() as u64, schedule.total());
            prop_assert!(alone.is_sorted());
            prop_assert!(alone.iter().all(|slot| weights[usize::from(slot.shard())] > 0));

            let mut together = Vec::new();
            for owner in 0..4 {
                let owned = drain(schedule.clock(|shard| owners[usize::from(shard)] == owner));
                prop_assert!(owned.iter().all(|slot| owners[usize::from(slot.shard())] == owner));
                together.extend(owned);
            }
            together.sort_unstable();
            prop_assert_eq!(together, alone);
        }

        #[test]
        fn every_exact_window_holds_its_count(
            path in any_path(40_000_000),
            per_second in 1u64..100_000,
            arrivals in any_arrivals().prop_filter("exact by window", |arrivals| arrivals.starts_with("bursty")),
            window_ns in 1_000_000u64..50_000_000,
            seed: u64,
        ) {
            let schedule = Schedule::new(ScheduleSpec {
                arrivals: arrivals.parse().unwrap(),
                exact_window: Duration::from_nanos(window_ns),
                seed: Seed::new(seed),
                ..ScheduleSpec::new(Rate::per_second(per_second).unwrap(), path)
            }).unwrap();
            let due = due_times(&schedule);
            for end_ns in (1..).map(|window| window * window_ns).take_while(|&end_ns| end_ns < schedule.duration_ns()) {
                prop_assert_eq!(due.partition_point(|&t_ns| t_ns < end_ns) as u64, schedule.due_by(end_ns));
            }
            prop_assert!(due.last().is_none_or(|&t_ns| t_ns < schedule.duration_ns()));
        }
    }
}
