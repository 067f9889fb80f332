//! The result of a run as plain data. The doc comments here become the descriptions in the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::served::Served;

/// What a run of tickstorm found.
///
/// Every key is always present; a value that is not known is `null`, never a made-up zero. A message is *due*, then
/// *sent*, then answered or failed. *Lag* is sent less due, *service time* is answered less sent, *latency* is answered
/// less due. Milliseconds and seconds are decimal numbers, 1 MB is 1,000,000 bytes, a rate is messages per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Report of a tickstorm run")]
pub struct Report {
    /// Version of this format. Within one major version, keys are added but never removed or given a new meaning.
    pub schema_version: SchemaVersion,
    /// Whether the system under test held, and why.
    pub verdict: Verdict,
    /// Length of the measured phase, s. Warm-up is not part of it, nor of any other figure.
    pub test_duration: f64,
    /// Messages that fell due until the run ended or was stopped.
    pub total_messages: u64,
    /// Messages that were sent and answered well.
    pub messages_processed: u64,
    /// Messages that failed after they were sent, and those that were due but dropped unsent, unless the run was ended
    /// at once while they waited.
    pub messages_failed: u64,
    /// Processed messages as a share (0 to 1) of all that were due, aborted ones left out. Null when there were none.
    pub success_rate: Option<f64>,
    /// Mean latency, ms. This and the percentiles below include messages that timed out or were lost with their
    /// connection, at the age at which they were given up. Null when nothing was measured.
    pub avg_latency_ms: Option<f64>,
    /// Median latency, ms.
    pub p50_latency_ms: Option<f64>,
    /// Latency within which 90 % of the messages were answered, ms.
    pub p90_latency_ms: Option<f64>,
    /// Latency within which 95 % of the messages were answered, ms.
    pub p95_latency_ms: Option<f64>,
    /// Latency within which 99 % of the messages were answered, ms.
    pub p99_latency_ms: Option<f64>,
    /// Messages processed in the best whole second of the measured phase, msg/s.
    pub peak_throughput: f64,
    /// Messages processed inside the measured phase, divided by its length, msg/s.
    pub avg_throughput: f64,
    /// Failed messages as a share (0 to 1) of all that were due, aborted ones left out. Null when there were none.
    pub error_rate: Option<f64>,
    /// Peak memory of tickstorm itself (resident set), MB.
    pub memory_usage_mb: Option<f64>,
    /// The limits that were set, each with what was measured.
    pub thresholds: Vec<Threshold>,
    /// What was run: the resolved settings.
    pub plan: Plan,
    /// How well the load generator did its own part.
    pub generator: Generator,
    /// What ends a latency: which event counts as the answer to a message.
    pub latency_basis: LatencyBasis,
    /// Answered less due, of processed, timed-out and lost messages, and the age of those given up unsent. The headline.
    pub latency: Summary,
    /// The latency without tickstorm's own lateness: the pacing lag, and absences that a reply may have lain through. The
    /// truth lies between the two.
    pub net_latency: Summary,
    /// Answered less sent.
    pub service_time: Summary,
    /// Sent less due. The sum of stall and pacing lag.
    pub lag: Summary,
    /// The target's part of the lag: the connection was unwritable, down, or at its concurrency limit.
    pub stall: Summary,
    /// tickstorm's own part of the lag.
    pub pacing_lag: Summary,
    /// Latency of messages that were answered with a failure; kept apart, so that fast rejections cannot flatter the
    /// percentiles above.
    pub failed_latency: Summary,
    /// Messages sent, by kind: `book`, `trade`, ...; of a served run those owed.
    pub messages: BTreeMap<String, u64>,
    /// Where every message went; the sums are exact.
    pub ledger: Ledger,
    /// What went wrong, by kind, most frequent first.
    pub errors: Vec<ErrorKind>,
    /// What each connection did.
    pub connections: Vec<Connection>,
    /// The run in intervals, in order of time.
    pub timeline: Vec<Interval>,
    /// The system under test.
    pub target: Target,
    /// The clients, where tickstorm was the exchange that they connect to; null in any other run.
    #[serde(default)]
    pub served: Option<Served>,
    /// Where tickstorm ran.
    pub environment: Environment,
    /// Why the run ended before its plan did; null when it ran to its end.
    pub stopped: Option<Stopped>,
    /// Wall-clock time at which the measured phase started, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
}

/// Version of the report format, `1.x`. A report of another major version is refused when read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^1\.[0-9]+$"))]
pub struct SchemaVersion(String);

impl SchemaVersion {
    /// The version that this crate writes.
    pub fn current() -> Self {
        Self("1.1".to_owned())
    }

    /// As written in the report: `1.1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A report of a version that this crate cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema_version must be 1.x, got `{found}`")]
pub struct UnknownVersion {
    /// What the report says of itself.
    pub found: String,
}

impl TryFrom<String> for SchemaVersion {
    type Error = UnknownVersion;

    fn try_from(text: String) -> Result<Self, UnknownVersion> {
        let minor = text.strip_prefix("1.").unwrap_or_default();
        if !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text))
        } else {
            Err(UnknownVersion { found: text })
        }
    }
}

impl From<SchemaVersion> for String {
    fn from(version: SchemaVersion) -> Self {
        version.0
    }
}

/// The judgement, its grounds, and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The judgement.
    pub outcome: Outcome,
    /// Its grounds, weightiest first. May be empty for a PASS.
    pub reasons: Vec<Reason>,
    /// What the judgement survives but the reader should know.
    pub warnings: Vec<String>,
    /// What to do next.
    pub advice: Vec<String>,
}

/// The three values of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Every threshold held.
    Pass,
    /// A threshold was crossed, tickstorm's own lateness set aside.
    Fail,
    /// The run cannot tell.
    Inconclusive,
}

impl Outcome {
    /// As written in the report: `PASS`.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "PASS",
            Outcome::Fail => "FAIL",
            Outcome::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// One ground of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A sentence for people, without a final stop.
    pub text: String,
    /// The figures that support it.
    pub evidence: Vec<Evidence>,
}

/// A figure that supports a reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was measured, in words: `pacing lag p99`.
    pub name: String,
    /// How much it was.
    pub value: f64,
    /// What the value counts.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Things.
    #[serde(rename = "count")]
    Count,
    /// A share, 0 to 1.
    #[serde(rename = "ratio")]
    Ratio,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Messages per second.
    #[serde(rename = "msg/s")]
    PerSecond,
    /// Millions of bytes.
    #[serde(rename = "MB")]
    Megabytes,
}

/// A limit and how the run stood to it. A threshold is crossed when it is exceeded; to meet it exactly is to hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// What is limited, as a key of the report: `error_rate`, `p99_latency_ms`.
    pub metric: String,
    /// The limit in words, with its comparison and unit: `<= 1 %`.
    pub limit_text: String,
    /// The limit.
    pub limit: f64,
    /// What was measured; null when nothing was.
    pub value: Option<f64>,
    /// The same without tickstorm's own lateness, where that makes a difference.
    pub net_value: Option<f64>,
    /// What the limit and the values count.
    pub unit: Unit,
    /// How they compare.
    pub outcome: ThresholdOutcome,
}

/// How a value stands to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdOutcome {
    /// Within the limit.
    Met,
    /// Beyond the limit, by the net value too.
    Crossed,
    /// Beyond the limit only because of tickstorm's own lateness, or nothing was measured.
    Undecided,
}

/// What was run. Words are those that the command line takes; rates are totals over all workers and connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The command that repeats this run: same seed, same messages, same due times. Where the target is called, no
    /// command calls it; this one puts the same load on the built-in target. Holds no secret.
    pub command: String,
    /// The seed that all randomness came from.
    pub seed: u64,
    /// Planned length of the measured phase, s.
    pub duration_s: f64,
    /// Messages per second at factor 1.
    pub base_rate: f64,
    /// Factor on the base rate over the whole run.
    pub multiplier: f64,
    /// Shape of the rate over the run: `NORMAL`, `SPIKE`, stages, a file.
    pub profile: String,
    /// How messages are spread within the shape: `paced`, `poisson`, `bursty`.
    pub arrivals: String,
    /// The market's regime; null when the messages are not the simulated market's.
    pub regime: Option<String>,
    /// Whose dialect the messages are in; null when they are not a venue's.
    pub venue: Option<String>,
    /// Instruments traded.
    pub symbols: u32,
    /// Connections, or callers at once.
    pub connections: u32,
    /// Threads that drive them.
    pub workers: u32,
    /// Most messages sent and not yet answered, over all connections; null when no limit applies.
    pub max_concurrent: Option<u64>,
    /// What happens to a message that is due at that limit: `wait`, `drop`.
    pub at_limit: String,
    /// How long after it was sent a message may be answered, s.
    pub timeout_s: f64,
    /// Length of the warm-up before the measured phase, s.
    pub warmup_s: f64,
    /// Most messages handed over together.
    pub batch: u32,
    /// How answers are matched to messages: `fifo`, `id`, `none`; null when the target is called.
    pub ack: Option<String>,
    /// When buffered messages are written: `each`, a time, a size.
    pub flush: String,
    /// How a worker waits for the next due time: `auto`, `sleep`, `spin`.
    pub pacing: String,
    /// The system under test, as the command line names it. Holds no secret.
    pub target: String,
    /// The wall-clock time that the messages themselves start at, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub start_time: String,
    /// Planned messages per second over the measured phase.
    pub average_rate: f64,
    /// Highest planned messages per second.
    pub peak_rate: f64,
    /// Messages planned for the measured phase.
    pub planned_total: u64,
    /// Every setting with where it came from.
    pub settings: Vec<Setting>,
}

/// A resolved setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its name, as the flag without dashes in front: `base-rate`.
    pub name: String,
    /// Its value, as the flag takes it; secrets are blanked.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
}

/// Where a setting came from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An argument in a program that uses the library.
    Argument,
    /// The command line.
    Flag,
    /// A `TICKSTORM_*` variable.
    Environment,
    /// The configuration file.
    File,
    /// Nobody said otherwise.
    Default,
}

/// The load generator's own part: whether it kept its schedule, and what that cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// What the schedule asked for over the measured phase, msg/s.
    pub offered: f64,
    /// What was sent within the measured phase, msg/s.
    pub achieved: f64,
    /// Messages handed to the kernel by one write, on average; null when nothing was written.
    pub messages_per_write: Option<f64>,
    /// Bytes written, framing included; null when the target is called.
    pub bytes_sent: Option<u64>,
    /// How the workers waited for due times.
    pub pacing_mode: PacingMode,
    /// Messages whose pacing lag was above the limit `--max-pacing-lag`.
    pub overdue: u64,
    /// That limit, ms.
    pub max_pacing_lag_ms: f64,
    /// Threads that drove the connections.
    pub workers: u32,
    /// Processor time used, s.
    pub cpu_seconds: Option<f64>,
    /// Processor time used, as per cent of one core.
    pub cpu_percent: Option<f64>,
    /// Peak memory (resident set), MB.
    pub peak_memory_mb: Option<f64>,
    /// How often the kernel took a processor from a worker that still had work.
    pub involuntary_context_switches: Option<u64>,
    /// Time that the container's processor quota kept tickstorm waiting, s.
    pub throttled_s: Option<f64>,
    /// Time that the hypervisor withheld from this machine's processors, s, all processors together.
    pub steal_s: Option<f64>,
    /// Times when a worker woke much later than it had asked to.
    pub absences: Absences,
}

/// How the workers waited for due times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PacingMode {
    /// They slept.
    Sleep,
    /// They slept until just before and then spun.
    Spin,
    /// They spun at first, then contention for the processors made some of them sleep.
    Mixed,
}

/// Times when a worker was not there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Absences {
    /// How often.
    pub count: u64,
    /// How long in all, ms.
    pub total_ms: f64,
    /// The longest, ms; null when there was none.
    pub max_ms: Option<f64>,
}

/// What counts as the answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LatencyBasis {
    /// The target's acknowledgement.
    Acknowledged,
    /// The kernel took the bytes; nothing is known of the target.
    Kernel,
    /// The called function returned.
    Returned,
}

/// A distribution of times. The mean is exact, the percentiles are good to three significant digits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Values recorded. All figures below are null when there are none.
    pub count: u64,
    /// Mean, ms.
    pub mean_ms: Option<f64>,
    /// Smallest, ms.
    pub min_ms: Option<f64>,
    /// Median, ms.
    pub p50_ms: Option<f64>,
    /// 75th percentile, ms.
    pub p75_ms: Option<f64>,
    /// 90th percentile, ms.
    pub p90_ms: Option<f64>,
    /// 95th percentile, ms.
    pub p95_ms: Option<f64>,
    /// 99th percentile, ms.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile, ms.
    pub p99_9_ms: Option<f64>,
    /// 99.99th percentile, ms.
    pub p99_99_ms: Option<f64>,
    /// Largest, ms.
    pub max_ms: Option<f64>,
    /// Values beyond the histogram's range of one hour. They are in the count, the mean and the largest; a percentile
    /// that falls among them is given as the largest.
    pub beyond_range: u64,
}

impl From<&tickstorm_load::Histogram> for Summary {
    fn from(histogram: &tickstorm_load::Histogram) -> Self {
        let figure = |ns: f64| (!histogram.is_empty()).then_some(ns / 1e6);
        let percentile = |percent| figure(histogram.percentile_ns(percent) as f64);
        Self {
            count: histogram.count(),
            mean_ms: figure(histogram.mean_ns()),
            min_ms: figure(histogram.min_ns() as f64),
            p50_ms: percentile(50.0),
            p75_ms: percentile(75.0),
            p90_ms: percentile(90.0),
            p95_ms: percentile(95.0),
            p99_ms: percentile(99.0),
            p99_9_ms: percentile(99.9),
            p99_99_ms: percentile(99.99),
            max_ms: figure(histogram.max_ns() as f64),
            beyond_range: histogram.beyond(),
        }
    }
}

/// Where every message went: `due = sent + dropped` and `sent = processed + failed + aborted`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Messages whose due time came.
    pub due: u64,
    /// Messages that the socket or the called function took.
    pub sent: u64,
    /// Messages given up before they were sent, by kind: `concurrency_limit`, `not_connected`, `unsent`, `aborted`; of
    /// those owed to clients `slow_client`, `lost`, `unsent`.
    pub dropped: BTreeMap<String, u64>,
    /// Messages answered well.
    pub processed: u64,
    /// Messages sent in vain, by kind: `timeout`, `connection_lost`, `rejected`, ...
    pub failed: BTreeMap<String, u64>,
    /// Messages in flight when the run was ended at once; neither processed nor failed.
    pub aborted: u64,
    /// Answers that came after the timeout. Their messages are among the failed.
    pub late_replies: u64,
    /// Answers to nothing that was asked.
    pub unexpected_replies: u64,
}

impl Ledger {
    /// Messages given up before they were sent, all kinds together.
    pub fn dropped_total(&self) -> u64 {
        total(self.dropped.values().copied())
    }

    /// Messages sent in vain, all kinds together.
    pub fn failed_total(&self) -> u64 {
        total(self.failed.values().copied())
    }
}

/// The sum, or the largest number where a report that was read claims more.
pub(crate) fn total(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// A kind of trouble: a failure, a drop, or an answer that nobody asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorKind {
    /// Its name; for failures and drops the key in the ledger.
    pub kind: String,
    /// How often it happened.
    pub count: u64,
    /// The count as a share (0 to 1) of all messages due; null when none was.
    pub share: Option<f64>,
    /// The first few texts that came with it.
    pub samples: Vec<String>,
}

/// A connection to the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// Its number, from 0.
    pub id: u32,
    /// Messages sent over it.
    pub sent: u64,
    /// When it was down, in order of time.
    pub outages: Vec<Outage>,
}

/// A time when a connection was down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// When it went down: s since the start of the measured phase.
    pub started_s: f64,
    /// How long it was down, s; null when it never came back.
    pub length_s: Option<f64>,
    /// Why it went down.
    pub reason: String,
    /// Messages that were in flight on it and failed as `connection_lost`.
    pub messages_lost: u64,
}

/// A part of the run. Counts are of the interval, and over all intervals they add up to the ledger's; percentiles are
/// of the messages whose outcome became known in it. The last one ends with the last answer, after the measured phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Start: s since the start of the measured phase.
    pub start_s: f64,
    /// End: s since the start of the measured phase.
    pub end_s: f64,
    /// Messages that fell due.
    pub due: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages answered well.
    pub processed: u64,
    /// Messages found to have failed.
    pub failed: u64,
    /// Messages given up unsent.
    pub dropped: u64,
    /// Messages sent and not yet answered at the end.
    pub in_flight: u64,
    /// Mean latency, ms.
    pub mean_ms: Option<f64>,
    /// Median latency, ms.
    pub p50_ms: Option<f64>,
    /// 90th percentile of the latency, ms.
    pub p90_ms: Option<f64>,
    /// 99th percentile of the latency, ms.
    pub p99_ms: Option<f64>,
    /// Largest latency, ms.
    pub max_ms: Option<f64>,
    /// 99th percentile of tickstorm's own lateness, ms.
    pub pacing_lag_p99_ms: Option<f64>,
    /// tickstorm's processor time, as per cent of one core.
    pub cpu_percent: Option<f64>,
    /// tickstorm's memory (resident set) at the end, MB.
    pub memory_mb: Option<f64>,
}

/// The system under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// How it was reached: `builtin`, `websocket`, `tcp`, `call`, `serve`, ...
    pub kind: String,
    /// Where; null when it was called.
    pub address: Option<String>,
    /// Its process, when that is known.
    pub pid: Option<u32>,
    /// Processor time that it used, as per cent of one core.
    pub cpu_percent: Option<f64>,
    /// Its peak memory (resident set), MB.
    pub peak_memory_mb: Option<f64>,
    /// What the built-in target found in the messages; null for any other target.
    pub builtin: Option<Findings>,
}

/// What the built-in target found when it decoded the messages, kept the books and checked the sequences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// Messages that reached it.
    pub messages: u64,
    /// Those that it could not decode.
    pub decode_errors: u64,
    /// Inconsistencies in what it could decode, by kind.
    pub faults: BTreeMap<String, u64>,
    /// The first few of all of these in words.
    pub samples: Vec<String>,
}

/// Where tickstorm ran. Names no host and no user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// tickstorm's version.
    pub version: String,
    /// Operating system.
    pub os: String,
    /// Its kernel's version.
    pub kernel: Option<String>,
    /// The processor's model.
    pub cpu: Option<String>,
    /// The machine's processors.
    pub cores: Option<u32>,
    /// Those that tickstorm was allowed to use.
    pub available_parallelism: Option<u32>,
}

/// An end before the plan's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    /// Why.
    pub reason: StopReason,
    /// When: s since the start of the measured phase.
    pub at_s: f64,
    /// What else is known, in words.
    pub detail: Option<String>,
}

/// Why a run ended before its plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A signal, as Ctrl-C.
    Interrupted,
    /// The program that uses the library asked for it.
    Requested,
    /// No connection to the target was left, and none could be made.
    LostTarget,
    /// tickstorm itself failed.
    InternalError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_of_nothing_has_no_figures() {
        assert_eq!(Summary::from(&tickstorm_load::Histogram::new()), Summary::default());
    }

    #[test]
    fn a_histogram_is_summarised_in_milliseconds() {
        let mut histogram = tickstorm_load::Histogram::new();
        for value_ms in 0..=10_000 {
            histogram.record(value_ms * 1_000_000);
        }
        let summary = Summary::from(&histogram);
        assert_eq!((summary.count, summary.beyond_range), (10_001, 0));
        assert_eq!(
            (summary.mean_ms, summary.min_ms, summary.max_ms),
            (Some(5_000.0), Some(0.0), Some(10_000.0)),
        );
        let percentiles = [
            (summary.p50_ms, 5_000.0),
            (summary.p75_ms, 7_500.0),
            (summary.p90_ms, 9_000.0),
            (summary.p95_ms, 9_500.0),
            (summary.p99_ms, 9_900.0),
            (summary.p99_9_ms, 9_990.0),
            (summary.p99_99_ms, 9_999.0),
        ];
        for (measured, exact) in percentiles {
            let measured: f64 = measured.unwrap();
            assert!((measured / exact - 1.0).abs() < 0.001_1, "{measured} for {exact}");
        }
    }

    #[test]
    fn values_beyond_an_hour_are_counted_apart_and_still_are_the_largest() {
        let mut histogram = tickstorm_load::Histogram::new();
        histogram.record(1_000_000);
        histogram.record(2 * tickstorm_load::Histogram::TOP_NS);
        let summary = Summary::from(&histogram);
        assert_eq!((summary.count, summary.beyond_range), (2, 1));
        assert_eq!((summary.p99_ms, summary.max_ms), (Some(7_200_000.0), Some(7_200_000.0)));
    }

    #[test]
    fn later_minor_versions_are_read_and_other_majors_are_not() {
        assert_eq!(SchemaVersion::try_from("1.7".to_owned()).unwrap().as_str(), "1.7");
        for text in ["2.0", "1", "1.", "1.x", "11.0", ""] {
            assert_eq!(
                SchemaVersion::try_from(text.to_owned()),
                Err(UnknownVersion { found: text.to_owned() })
            );
        }
    }
}
