//! The library's front door: a generator that is configured once and run again and again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tickstorm_load::{Arrivals, Factor, LoadProfile, Rate};
use tickstorm_report::{Report, Source};
use tickstorm_venue::Venue;
use tokio::runtime::Handle;

use crate::{AtLimit, Phase, Plan, PlanErrors, Remote, Run, Snapshot, Spec, StartError, Target, Threshold};

/// Runs load tests against one target. Each run starts from fresh figures.
///
/// ```
/// use std::time::Duration;
/// use tickstorm::{LoadGenerator, LoadProfile, Message, Target};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// async fn process_message(message: Message) -> Result<(), std::io::Error> {
///     tokio::time::sleep(Duration::from_millis(1)).await;
///     Ok(())
/// }
///
/// let generator = LoadGenerator::builder()
///     .target(Target::call(process_message))
///     .base_rate(100.0)
///     .report_interval(Duration::from_secs(10))
///     .max_concurrent(1000)
///     .timeout(Duration::from_secs(5))
///     .error_threshold(0.01)
///     .build()?;
/// for multiplier in [1.0, 2.0, 5.0] {
///     generator.run_load_test(Duration::from_millis(100), multiplier, LoadProfile::NORMAL).await?;
///     if generator.metrics().error_rate > 0.01 {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LoadGenerator {
    target: Arc<Target>,
    spec: Arc<Spec>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    /// The run under way, or the last one.
    current: Remote,
    report: Option<Arc<Report>>,
}

impl LoadGenerator {
    /// A generator with the defaults of [`Spec`], against the built-in target unless told otherwise.
    pub fn builder() -> LoadGeneratorBuilder {
        LoadGeneratorBuilder::default()
    }

    /// Runs one load test and returns its report. A call target runs on the tokio runtime that this is awaited on; the
    /// schedule is kept by threads of its own. Dropping the future aborts the run.
    ///
    /// `multiplier` is at least a millionth, with six decimals.
    pub async fn run_load_test(
        &self,
        duration: Duration,
        multiplier: f64,
        profile: LoadProfile,
    ) -> Result<Arc<Report>, RunError> {
        let multiplier =
            Factor::try_from(multiplier).map_err(|error| RunError::Multiplier(error.to_string()))?;
        let mut spec = Spec::clone(&self.spec);
        spec.duration = Some(duration);
        spec.multiplier = multiplier;
        spec.profile = profile;
        let mut plan = Plan::new(&spec, &self.target)?;
        plan.check_due()?;
        for setting in ["duration", "multiplier", "profile"] {
            plan.set_source(setting, Source::Argument);
        }

        let _running = Running::begin(self)?;
        // Connecting blocks, and so may the target until this runtime moves on: both are for a thread of their own.
        let (done, finished) = tokio::sync::oneshot::channel();
        let current = self.state().current.clone();
        let (target, runtime) = (self.target.clone(), Handle::try_current().ok());
        let _abort_on_drop = AbortOnDrop(current.clone());
        let work = move || {
            let _runtime = runtime.as_ref().map(Handle::enter);
            let finished = Run::start(plan, &target).map(|run| {
                current.connect(run.control());
                run.wait()
            });
            // Nobody waits any more when the future was dropped.
            let _ = done.send(finished);
        };
        std::thread::Builder::new().name("tickstorm-wait".into()).spawn(work).map_err(StartError::Thread)?;
        let finished = finished.await.map_err(|_| RunError::Lost)??;
        let report = Arc::new(finished.report);
        self.state().report = Some(report.clone());
        Ok(report)
    }

    /// Whether a run is under way.
    pub fn running(&self) -> bool {
        self.state().is_running
    }

    /// The figures of the run under way, or else of the last one; all zero before the first.
    pub fn metrics(&self) -> Metrics {
        let current = self.state().current.clone();
        current.snapshot().map(|snapshot| Metrics::from(&*snapshot)).unwrap_or_default()
    }

    /// The report of the last run that ended.
    pub fn report(&self) -> Option<Arc<Report>> {
        self.state().report.clone()
    }

    /// Ends the run under way from elsewhere.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { generator: self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two statements, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks the generator as running until it is dropped.
struct Running<'a>(&'a LoadGenerator);

impl<'a> Running<'a> {
    fn begin(generator: &'a LoadGenerator) -> Result<Self, RunError> {
        let mut state = generator.state();
        if state.is_running {
            return Err(RunError::AlreadyRunning);
        }
        state.is_running = true;
        state.current = Remote::default();
        Ok(Self(generator))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state().is_running = false;
    }
}

struct AbortOnDrop(Remote);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        // After the end there is nothing left to abort.
        self.0.abort();
    }
}

/// Ends a generator's run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StopHandle {
    generator: LoadGenerator,
}

impl StopHandle {
    /// Lets nothing more fall due; the run then ends with a report of what was measured. Without a run nothing happens.
    pub fn stop(&self) {
        self.order(Remote::stop);
    }

    /// Ends the run at once; what is in flight counts as aborted.
    pub fn abort(&self) {
        self.order(Remote::abort);
    }

    fn order(&self, order: fn(&Remote)) {
        let state = self.generator.state();
        if state.is_running {
            order(&state.current);
        }
    }
}

/// The figures of a run that people watch. Latencies in milliseconds, rates in messages per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Metrics {
    /// Time since the start of the measured phase.
    pub elapsed: Duration,
    /// Messages due.
    pub total_messages: u64,
    /// Messages processed.
    pub messages_processed: u64,
    /// Messages failed or dropped.
    pub messages_failed: u64,
    /// Failed share of the messages due.
    pub error_rate: f64,
    /// Messages processed in the last whole second.
    pub throughput: f64,
    /// Messages processed in the best whole second.
    pub peak_throughput: f64,
    /// Sent and not yet answered.
    pub active: u64,
    /// Mean latency.
    pub avg_latency_ms: f64,
    /// Median latency.
    pub p50_latency_ms: f64,
    /// 90th percentile of latency.
    pub p90_latency_ms: f64,
    /// 95th percentile of latency.
    pub p95_latency_ms: f64,
    /// 99th percentile of latency.
    pub p99_latency_ms: f64,
    /// Resident memory of this process.
    pub memory_usage_mb: f64,
    /// Whether the run has ended.
    pub is_finished: bool,
}

impl From<&Snapshot> for Metrics {
    fn from(snapshot: &Snapshot) -> Self {
        let ms = |ns: u64| ns as f64 / 1e6;
        Self {
            elapsed: snapshot.elapsed,
            total_messages: snapshot.due,
            messages_processed: snapshot.processed,
            messages_failed: snapshot.messages_failed,
            error_rate: snapshot.error_rate,
            throughput: snapshot.processed_rate,
            peak_throughput: snapshot.peak_throughput as f64,
            active: snapshot.in_flight,
            avg_latency_ms: snapshot.latency.mean_ns / 1e6,
            p50_latency_ms: ms(snapshot.latency.p50_ns),
            p90_latency_ms: ms(snapshot.latency.p90_ns),
            p95_latency_ms: ms(snapshot.latency.p95_ns),
            p99_latency_ms: ms(snapshot.latency.p99_ns),
            memory_usage_mb: snapshot.memory_bytes as f64 / 1e6,
            is_finished: snapshot.phase == Phase::Finished,
        }
    }
}

/// Makes a [`LoadGenerator`].
#[derive(Debug, Clone, Default)]
pub struct LoadGeneratorBuilder {
    target: Target,
    spec: Spec,
    base_rate: Option<f64>,
    problems: Vec<String>,
}

impl LoadGeneratorBuilder {
    /// The system under test. Default the built-in target.
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Messages per second at multiplier 1, above zero, with six decimals. Default 100.
    pub fn base_rate(mut self, per_second: f64) -> Self {
        self.base_rate = Some(per_second);
        self
    }

    /// Length of an entry of the report's timeline, at least 100 ms. Default 10 s.
    pub fn report_interval(mut self, interval: Duration) -> Self {
        if interval < Duration::from_millis(100) {
            self.problems.push(format!("report interval must be at least 100ms, got {interval:?}"));
        }
        self.spec.report_interval = interval;
        self
    }

    /// Messages that may be sent and unanswered at once, above zero. Default 1000.
    pub fn max_concurrent(mut self, messages: u32) -> Self {
        if messages == 0 {
            self.problems.push("max concurrent must be above zero, got 0".into());
        }
        self.spec.max_concurrent = messages;
        self
    }

    /// What happens to a message that is due at that limit. Default it waits.
    pub fn at_limit(mut self, rule: AtLimit) -> Self {
        self.spec.at_limit = rule;
        self
    }

    /// How long after it was sent a message may stay unanswered, above zero. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            self.problems.push("timeout must be above zero, got 0s".into());
        }
        self.spec.timeout = timeout;
        self
    }

    /// Share of failed messages, 0 to 1, above which a run fails. Default 0.01.
    pub fn error_threshold(mut self, share: f64) -> Self {
        if !(0.0..=1.0).contains(&share) {
            self.problems.push(format!("error threshold must be a share from 0 to 1, got {share}"));
        }
        self.spec.error_threshold = share;
        self
    }

    /// A further limit; may be called again.
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.spec.thresholds.push(threshold);
        self
    }

    /// Everything random follows from it. Default 1.
    pub fn seed(mut self, seed: u64) -> Self {
        self.spec.seed = seed;
        self
    }

    /// Instruments in the market, 1 to 10,000. Default 100.
    pub fn symbols(mut self, symbols: u32) -> Self {
        if !(1..=10_000).contains(&symbols) {
            self.problems.push(format!("symbols must be from 1 to 10000, got {symbols}"));
        }
        self.spec.symbols = symbols;
        self
    }

    /// Whose wire format. Default Binance Spot.
    pub fn venue(mut self, venue: Venue) -> Self {
        self.spec.venue = venue;
        self
    }

    /// How messages arrive within the rate. Default paced; bursty for VOLATILE and SPIKE.
    pub fn arrivals(mut self, arrivals: Arrivals) -> Self {
        self.spec.arrivals = Some(arrivals);
        self
    }

    /// A phase at the base rate before each measured one, which enters no figure. Default none.
    pub fn warmup(mut self, warmup: Duration) -> Self {
        self.spec.warmup = warmup;
        self
    }

    /// Up to how many messages that are due together go as one call or array, at least one. Default 1.
    pub fn batch(mut self, messages: u32) -> Self {
        if messages == 0 {
            self.problems.push("batch must be at least one message, got 0".into());
        }
        self.spec.batch = messages;
        self
    }

    /// Changes any setting; for those without a method of their own here.
    pub fn configure(mut self, change: impl FnOnce(&mut Spec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Checks the settings; the error names each wrong one.
    pub fn build(mut self) -> Result<LoadGenerator, BuildError> {
        if let Some(per_second) = self.base_rate {
            match Rate::from_per_second_f64(per_second) {
                Ok(rate) => self.spec.base_rate = rate,
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        if !self.problems.is_empty() {
            return Err(BuildError(self.problems));
        }
        // Duration, multiplier and profile come with each run; the rest is checked here.
        Plan::new(&self.spec, &self.target)
            .map_err(|errors| BuildError(errors.0.iter().map(ToString::to_string).collect()))?;
        Ok(LoadGenerator { target: Arc::new(self.target), spec: Arc::new(self.spec), state: Arc::default() })
    }
}

/// Settings that make no generator, each with its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct BuildError(pub Vec<String>);

/// Why a run gave no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The multiplier is no factor above zero.
    #[error("multiplier: {0}")]
    Multiplier(String),
    /// What was asked for cannot be run.
    #[error(transparent)]
    Plan(#[from] PlanErrors),
    /// The run did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A generator runs one test at a time; clone nothing, build a second one.
    #[error("this generator is running a load test already")]
    AlreadyRunning,
    /// The engine itself panicked.
    #[error("the run ended without a report; its panic was printed")]
    Lost,
}
