//! What may be looked at while a run is under way.

use std::{sync::Arc, time::Duration};

use tickstorm_load::Histogram;
use tickstorm_report::{Interval, Place};
use tickstorm_venue::Venue;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the first due instant.
    Starting,
    /// At the base rate, entering no figure.
    WarmUp,
    /// What the report is about.
    Measured,
    /// Everything was due; the backlog is sent and the last replies are awaited.
    Draining,
    /// The report is ready.
    Finished,
}

/// The live figures of a run, a few times a second. All counts are of the measured phase.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Where the run is.
    pub phase: Phase,
    /// Time since the start of the measured phase, at most its duration.
    pub elapsed: Duration,
    /// Length of the measured phase.
    pub duration: Duration,
    /// Messages that the whole run will have due.
    pub planned: u64,
    /// Messages due by now.
    pub due: u64,
    /// Messages that the target took.
    pub sent: u64,
    /// Messages acknowledged.
    pub processed: u64,
    /// Messages sent that failed.
    pub failed: u64,
    /// Messages due that were never sent.
    pub dropped: u64,
    /// Messages failed, and those dropped before the run was ended at once.
    pub messages_failed: u64,
    /// Sent and not yet answered ("active").
    pub in_flight: u64,
    /// Failed share of the messages that can be judged.
    pub error_rate: f64,
    /// What the schedule asks now, msg/s.
    pub offered_rate: f64,
    /// What was sent in the last whole second, msg/s.
    pub achieved_rate: f64,
    /// What was processed in the last whole second, msg/s.
    pub processed_rate: f64,
    /// The best whole second so far: messages processed in it.
    pub peak_throughput: u64,
    /// Latency of the whole run so far.
    pub latency: LatencyFigures,
    /// Latency of the last second or so.
    pub recent_latency: LatencyFigures,
    /// Resident memory of this process now, bytes.
    pub memory_bytes: u64,
    /// Use of CPU by this process over the last second, percent of one core.
    pub cpu_percent: f64,
    /// Connections of the plan (call targets: workers).
    pub connections: u32,
    /// Of these, how many are up.
    pub connections_up: u32,
    /// The last two minutes, a point a whole second, oldest first.
    pub seconds: Vec<SecondPoint>,
    /// The finished entries of the timeline, oldest first.
    pub timeline: Arc<Vec<Interval>>,
    /// The clients of a served run that are connected, in the order in which they came; none of other runs.
    pub clients: Arc<[ClientFigures]>,
}

/// A client of a served run at this moment, as it is seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientFigures {
    /// Its number, from 1, in the order in which they came.
    pub number: u32,
    /// Whose client it is.
    pub venue: Venue,
    /// Age of the oldest message that it certainly has not worked off, ns.
    pub age_ns: u64,
    /// Where most of that waits, if anything does for long.
    pub place: Option<Place>,
}

/// One second of the live view's graphs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondPoint {
    /// Whole seconds since the start of the measured phase.
    pub second: u64,
    /// Messages processed in it.
    pub processed: u64,
    /// P99 of latency of what was answered in it, ns; `None` where nothing was.
    pub p99_ns: Option<u64>,
}

/// The figures of a latency histogram that people watch, ns. All zero where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LatencyFigures {
    /// Values counted.
    pub count: u64,
    /// From the exact sum.
    pub mean_ns: f64,
    /// Median.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl From<&Histogram> for LatencyFigures {
    fn from(histogram: &Histogram) -> Self {
        if histogram.count() == 0 {
            return Self::default();
        }
        Self {
            count: histogram.count(),
            mean_ns: histogram.mean_ns(),
            p50_ns: histogram.percentile_ns(50.0),
            p90_ns: histogram.percentile_ns(90.0),
            p95_ns: histogram.percentile_ns(95.0),
            p99_ns: histogram.percentile_ns(99.0),
            max_ns: histogram.max_ns(),
        }
    }
}
