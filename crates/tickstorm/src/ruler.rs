//! How far tickstorm may be trusted on this machine, now: it measures itself where the truth is known.
//!
//! Latencies are compared with what a queue of known service times must give ([`TruthRow`]), due times with when messages
//! left and arrived ([`PacingRow`]), and the highest rate that still leaves on time is searched for ([`HighestRate`]).
//! Beside them stands what the machine withheld meanwhile ([`Surroundings`]). [`measure`] does it all.
//!
//! ```no_run
//! use tickstorm::ruler::{RulerSpec, measure};
//!
//! let report = measure(&RulerSpec::quick(), &mut |step| eprintln!("{step}"))?;
//! println!("{}", report.conclusion.sentences.join(" "));
//! # Ok::<(), tickstorm::ruler::RulerError>(())
//! ```

mod conclusion;
mod highest;
mod pacing;
mod surroundings;
mod threads;
mod truth;

use std::{
    io,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use tickstorm_load::{Freeze, Histogram, Rate};
use tickstorm_net::{PlainSink, SinkMode};
use tickstorm_report::{Environment, PacingMode, Summary};

use crate::{Finished, Pacing, Plan, PlanErrors, Run, Spec, StartError, Target, Workers, machine};
use surroundings::Watched;

/// How much is measured, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct RulerSpec {
    /// Rates at which pacing is looked at, each with every way of waiting.
    pub pacing_rates: Vec<Rate>,
    /// Length of each of these runs.
    pub pacing_duration: Duration,
    /// Length of each run against a queue without freezes.
    pub truth_duration: Duration,
    /// Length of the run against a target that freezes.
    pub freeze_duration: Duration,
    /// How the target freezes in it. At least one window should lie in the run; if fewer than a tenth of the messages are
    /// touched by one, the lower percentiles compare what is calm and the higher ones what is not.
    pub freeze: Freeze,
    /// Length of each run of the search for the highest rate, of which there are about fifteen.
    pub search_duration: Duration,
    /// Where the search begins.
    pub search_from: Rate,
    /// Where it ends at the latest.
    pub search_to: Rate,
}

impl Default for RulerSpec {
    /// Under a minute in all.
    fn default() -> Self {
        Self {
            pacing_rates: rates(&[1_000, 10_000, 100_000]),
            pacing_duration: Duration::from_millis(1_000),
            truth_duration: Duration::from_secs(4),
            freeze_duration: Duration::from_secs(5),
            freeze: freeze(200, 4_000),
            search_duration: Duration::from_millis(800),
            search_from: rate(50_000),
            // More than one connection carries on any machine of today.
            search_to: rate(20_000_000),
        }
    }
}

impl RulerSpec {
    /// About ten seconds: enough to see that all is well, too short for the far tail.
    pub fn quick() -> Self {
        Self {
            pacing_rates: rates(&[1_000, 100_000]),
            pacing_duration: Duration::from_millis(300),
            truth_duration: Duration::from_millis(700),
            freeze_duration: Duration::from_millis(1_300),
            freeze: freeze(50, 1_000),
            search_duration: Duration::from_millis(150),
            ..Self::default()
        }
    }

    /// About three minutes, with the freeze of 200 ms every 5 s: for figures that are published.
    pub fn thorough() -> Self {
        Self {
            pacing_duration: Duration::from_secs(4),
            truth_duration: Duration::from_secs(15),
            freeze_duration: Duration::from_secs(21),
            freeze: freeze(200, 5_000),
            search_duration: Duration::from_secs(2),
            ..Self::default()
        }
    }
}

/// Measures all of it, one thing after the other; `progress` is told of each before it starts. Whatever else runs on
/// the machine, or in this process, is part of what is measured.
pub fn measure(spec: &RulerSpec, progress: &mut dyn FnMut(&str)) -> Result<RulerReport, RulerError> {
    let started = SystemTime::now();
    let mut watched = Watched::start();
    let pacing = pacing::rows(spec, &mut watched, progress)?;
    let truth = truth::rows(spec, &mut watched, progress)?;
    let highest_rate = highest::search(spec, &mut watched, progress)?;
    let machine = watched.finish();
    Ok(RulerReport {
        conclusion: conclusion::draw(&truth, &highest_rate, &machine),
        pacing,
        truth,
        highest_rate,
        machine,
        environment: machine::environment(),
        started_at: humantime::format_rfc3339_millis(started).to_string(),
    })
}

/// What the ruler found. A value that cannot be known here is `null`; times are milliseconds, rates messages per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulerReport {
    /// What it comes to.
    pub conclusion: Conclusion,
    /// How punctually messages leave and arrive.
    pub pacing: Vec<PacingRow>,
    /// How measured latencies compare with exact ones.
    pub truth: Vec<TruthRow>,
    /// How much can be offered on time.
    pub highest_rate: HighestRate,
    /// What the machine did to us meanwhile.
    pub machine: Surroundings,
    /// Where it was measured.
    pub environment: Environment,
    /// When, RFC 3339.
    pub started_at: String,
}

impl RulerReport {
    /// As indented JSON, newline at the end.
    pub fn to_json_pretty(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data with string keys is JSON") + "\n"
    }
}

/// In short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// The largest difference between a measured and an exact latency at p50 and p90, over all truth rows.
    pub typical_error_ms: f64,
    /// The same at p99.
    pub tail_error_ms: f64,
    /// From here on a median or p90 is right to a tenth: ten times the typical error.
    pub trustworthy_from_ms: f64,
    /// From here on a p99 is: ten times the larger of both errors.
    pub trustworthy_p99_from_ms: f64,
    /// The highest rate that left on time; null where none did.
    pub trustworthy_rate: Option<f64>,
    /// Two sentences that say so, then one for each thing that endangers figures here.
    pub sentences: Vec<String>,
}

/// Messages in equal gaps to a receiver that only notes when they arrive, over one connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PacingRow {
    /// Offered rate.
    pub rate: f64,
    /// How the worker was told to wait: `sleep`, `spin`, `auto`.
    pub pacing: String,
    /// How it did.
    pub paced_by: PacingMode,
    /// Messages sent.
    pub messages: u64,
    /// Sent less due at the median, of what is not the receiver's doing.
    pub pacing_lag_p50_ms: f64,
    /// The same at p99.
    pub pacing_lag_p99_ms: f64,
    /// Arrived less due at the median: pacing lag, the way through the kernel, and the receiver's wake-up.
    pub lateness_p50_ms: f64,
    /// The same at p99.
    pub lateness_p99_ms: f64,
    /// Processor time of the sending thread, as per cent of one core.
    pub cpu_percent: Option<f64>,
}

/// A run against the built-in target, whose service times follow from its seed as the due times follow from the plan's:
/// with one server, first come first served, and no time spent on the way, every latency can be computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthRow {
    /// The target, as `--target` takes it.
    pub target: String,
    /// `paced` or `poisson`.
    pub arrivals: String,
    /// Offered rate.
    pub rate: f64,
    /// Share of the time for which the server is busy, freezes aside.
    pub load: f64,
    /// Messages due.
    pub messages: u64,
    /// Those that failed or were never sent; they spoil the row.
    pub messages_failed: u64,
    /// By Lindley's recursion.
    pub exact: Latencies,
    /// As reported without our own lateness.
    pub net: Latencies,
    /// As reported: the exact one and the transport's own cost, if the instrument is right.
    pub measured: Latencies,
    /// Explains what is left at high percentiles.
    pub pacing_lag_p99_ms: f64,
}

/// A distribution in six figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p99_9_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl From<&Histogram> for Latencies {
    fn from(histogram: &Histogram) -> Self {
        (&Summary::from(histogram)).into()
    }
}

impl From<&Summary> for Latencies {
    /// Zeros where nothing was measured; the row's counts say so.
    fn from(summary: &Summary) -> Self {
        let figure = |value: Option<f64>| rounded(value.unwrap_or_default());
        Self {
            mean_ms: figure(summary.mean_ms),
            p50_ms: figure(summary.p50_ms),
            p90_ms: figure(summary.p90_ms),
            p99_ms: figure(summary.p99_ms),
            p99_9_ms: figure(summary.p99_9_ms),
            max_ms: figure(summary.max_ms),
        }
    }
}

/// The highest rate that one worker with one connection offers on time to a receiver that reads and forgets, in equal
/// gaps and without acknowledgements. The receiver runs on this machine too and has its share of it.
///
/// A rate counts as offered when pacing lag and stall stayed below 1 ms at p99 and the verdict was not INCONCLUSIVE. It
/// has two attempts, as other programs may spoil one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HighestRate {
    /// The rate; null when even the lowest that was tried was too high.
    pub rate: Option<f64>,
    /// The lowest rate that was too high; null when the search ended before it found one.
    pub too_high: Option<f64>,
    /// What was too much there: `pacing_lag` (the sender), `stall` (the receiver or the kernel between them).
    pub limited_by: Option<String>,
    /// Each rate that was tried, in order.
    pub attempts: Vec<RateAttempt>,
}

/// One run of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateAttempt {
    /// Offered rate.
    pub rate: f64,
    /// Sent per second of the measured phase.
    pub achieved: f64,
    /// Pacing lag at p99.
    pub pacing_lag_p99_ms: f64,
    /// Stall at p99.
    pub stall_p99_ms: f64,
    /// Whether it counts as offered.
    pub is_on_time: bool,
}

/// What else the machine did, and what it would not let us have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Processors that tickstorm may use.
    pub cores: u32,
    /// Processors' worth of time that its control group may use; null for no limit.
    pub quota_cores: Option<f64>,
    /// Time for which that limit stopped us, s, all threads together.
    pub throttled_s: Option<f64>,
    /// Share (0 to 1) of all processors' time that the hypervisor gave to others.
    pub steal: Option<f64>,
    /// Load average of the minute before the ruler began: runnable threads of all programs.
    pub load_average: Option<f64>,
    /// How often the kernel took the processor from a sending thread that had work.
    pub involuntary_context_switches: Option<u64>,
    /// Share (0 to 1) of the looks at the truth rows' runs that found generator and target on the same core.
    pub shared_core: Option<f64>,
    /// How long the ruler took, s.
    pub elapsed_s: f64,
    /// Of it, runs under way, s.
    pub running_s: f64,
}

/// Why the ruler could not measure.
#[derive(Debug, thiserror::Error)]
pub enum RulerError {
    /// The spec asks for what no run can do, such as a duration of zero.
    #[error("the ruler's own run cannot be planned")]
    Plan(#[from] PlanErrors),
    /// The system gave no thread, or no socket.
    #[error("cannot start the ruler's own run")]
    Start(#[from] StartError),
    /// The system gave no socket to receive on.
    #[error("cannot receive on loopback")]
    Sink(#[source] io::Error),
    /// The receiver stopped early.
    #[error("the receiver failed")]
    Received(#[source] io::Error),
}

/// A run at this rate, told to wait like this, by one worker over one connection.
fn spec_at(rate: Rate, duration: Duration, pacing: Pacing) -> Spec {
    Spec {
        base_rate: rate,
        multiplier: tickstorm_load::Factor::ONE,
        duration: Some(duration),
        workers: Workers::Count(1),
        pacing,
        ..Spec::default()
    }
}

/// Runs a plan to its end, with an eye on its threads.
fn run(plan: Plan, target: &Target, watched: &mut Watched) -> Result<(Finished, threads::Seen), RulerError> {
    let started = Instant::now();
    let run = Run::start(plan, target)?;
    let seen = threads::watch(&run);
    let finished = run.wait();
    watched.add(&finished.report, started.elapsed());
    Ok((finished, seen))
}

fn sink(mode: SinkMode) -> Result<(PlainSink, Target), RulerError> {
    let sink = PlainSink::start(mode).map_err(RulerError::Sink)?;
    let target = Target::WebSocket(sink.endpoint());
    Ok((sink, target))
}

fn rates(per_second: &[u64]) -> Vec<Rate> {
    per_second.iter().copied().map(rate).collect()
}

fn rate(per_second: u64) -> Rate {
    Rate::per_second(per_second).expect("the ruler's rates are whole and above zero")
}

fn freeze(length_ms: u64, period_ms: u64) -> Freeze {
    Freeze::new(Duration::from_millis(length_ms), Duration::from_millis(period_ms))
        .expect("the ruler's freezes are shorter than their periods")
}

/// Nanoseconds as milliseconds.
fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Six decimals: a nanosecond of a millisecond, without the noise of binary fractions behind it.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiny_ruler_measures_everything_and_survives_json() {
        let tenth = Duration::from_millis(100);
        let spec = RulerSpec {
            pacing_rates: rates(&[1_000]),
            pacing_duration: tenth,
            truth_duration: tenth,
            freeze_duration: 3 * tenth,
            freeze: freeze(50, 100),
            search_duration: Duration::from_millis(50),
            search_from: rate(1_000),
            search_to: rate(2_000),
        };
        let mut steps = Vec::new();
        let report = measure(&spec, &mut |step| steps.push(step.to_owned())).unwrap();

        let modes: Vec<&str> = report.pacing.iter().map(|row| &*row.pacing).collect();
        assert_eq!(modes, ["sleep", "spin", "auto"]);
        for row in &report.pacing {
            assert_eq!(row.messages, 100);
            assert!(row.lateness_p50_ms > 0.0, "{row:?}");
            assert!(row.lateness_p99_ms >= row.lateness_p50_ms, "{row:?}");
        }
        assert_eq!(report.truth.len(), 5);
        for row in &report.truth {
            assert_eq!(row.messages_failed, 0, "{row:?}");
            assert!(row.messages > 40, "{row:?}");
            // The queue takes its time whatever the machine does.
            assert!(row.measured.max_ms >= row.exact.max_ms * 0.9, "{row:?}");
            assert!(row.measured.p50_ms >= row.net.p50_ms, "{row:?}");
        }
        let frozen = report.truth.last().unwrap();
        assert!(frozen.exact.max_ms > 49.0 && frozen.exact.p50_ms >= 0.5, "{frozen:?}");
        assert!(!report.highest_rate.attempts.is_empty());
        assert!(report.machine.running_s > 0.9 && report.machine.running_s <= report.machine.elapsed_s);
        assert!(report.conclusion.sentences.len() >= 2);
        assert_eq!(steps.len(), 3 + 5 + report.highest_rate.attempts.len(), "{steps:?}");

        let json = report.to_json_pretty();
        assert_eq!(serde_json::from_str::<RulerReport>(&json).unwrap(), report);
    }

    #[test]
    fn a_spec_that_cannot_be_run_is_an_error() {
        let spec = RulerSpec { pacing_duration: Duration::ZERO, ..RulerSpec::quick() };
        let error = measure(&spec, &mut |_| {}).unwrap_err();
        assert!(matches!(error, RulerError::Plan(_)), "{error:?}");
    }
}
