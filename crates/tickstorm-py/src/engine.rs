//! A configured generator, and its runs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread::JoinHandle,
};

use pyo3::{exceptions::PyValueError, prelude::*};
use tickstorm::{HostedCalls, Plan, PlanError, Remote, Run, Setting, Spec, Target, Wordings};
use tickstorm_report::{Report, Style, summary, to_json_pretty};

use crate::{host::Host, message::Dictionary};

/// Settings that were checked, and a target.
#[pyclass(frozen, module = "tickstorm._tickstorm")]
pub(crate) struct Engine {
    spec: Spec,
    /// None where the target is called.
    target: Option<Target>,
}

#[pymethods]
impl Engine {
    /// `settings` are pairs of an argument, for error messages, the name of a setting and its value as text. Without a
    /// `target` the one of each run's host is called.
    #[new]
    fn new(settings: Vec<(String, String, String)>, target: Option<&str>) -> PyResult<Self> {
        let mut spec = Spec::default();
        for (argument, name, text) in &settings {
            set(&mut spec, argument, name, text)?;
        }
        let target = target.map(|text| text.parse::<Target>()).transpose();
        let target = target.map_err(|error| refused("target_system", chain(&error)))?;
        let engine = Self { spec, target };
        // Duration, multiplier and profile come with each run; the rest is checked here.
        engine
            .plan(engine.spec.clone(), None)
            .map_err(|problems| PyValueError::new_err(problems.join("; ")))?;
        Ok(engine)
    }

    /// Starts a run. The loop of the host is woken when its result is there.
    fn start(
        &self,
        py: Python<'_>,
        duration: Option<&str>,
        multiplier: &str,
        profile: &str,
        host: Py<Host>,
    ) -> PyResult<Running> {
        let mut spec = self.spec.clone();
        spec.duration = None;
        if let Some(duration) = duration {
            set(&mut spec, "duration_seconds", "duration", duration)?;
        }
        set(&mut spec, "multiplier", "multiplier", multiplier)?;
        set(&mut spec, "profile", if profile.contains(':') { "stages" } else { "profile" }, profile)?;
        let calls = &host.get().calls;
        let plan = self.plan(spec, Some(calls)).map_err(|it| PyValueError::new_err(it.join("; ")))?;
        plan.check_due().map_err(|errors| PyValueError::new_err(errors.to_string()))?;
        let target = self.target.clone().unwrap_or_else(|| Target::hosted(calls.clone()));
        // Nothing was set before: a host serves one run, and a second one would find its calls used.
        let _ = host.get().set_dictionary(Dictionary::new(py, &plan.market().listing));
        // Connecting blocks, and so does waiting for the end.
        Ok(Running::start("tickstorm-wait", move |remote, result| {
            let _told = TellsHost(Some(host));
            let run = Run::start(plan, &target);
            result.leave(run.map(|run| follow(remote, run)).map_err(|error| chain(&error)));
        })?)
    }

    /// Every setting and its value, as `tickstorm run --print-plan` shows them.
    fn describe(&self) -> PyResult<Vec<(&'static str, String)>> {
        let plan = self.plan(self.spec.clone(), None);
        Ok(plan.map_err(|problems| PyValueError::new_err(problems.join("; ")))?.describe())
    }
}

/// Has the host's loop come when it is dropped, which a panic does too: nobody waits for a result that will never be there.
struct TellsHost(Option<Py<Host>>);

impl Drop for TellsHost {
    fn drop(&mut self) {
        let Some(host) = self.0.take() else { return };
        host.get().is_ready.store(true, Relaxed);
        host.get().waker.wake();
        // Where the interpreter is gone already, so is what the host holds.
        let _ = Python::try_attach(|_| drop(host));
    }
}

impl Engine {
    fn plan(&self, spec: Spec, calls: Option<&HostedCalls>) -> Result<Plan, Vec<String>> {
        let plan = match (&self.target, calls) {
            (Some(target), _) => Plan::new(&spec, target),
            (None, Some(calls)) => Plan::new(&spec, &Target::hosted(calls.clone())),
            (None, None) => Plan::new(&spec, &Target::hosted(HostedCalls::new(Wordings::Market, || ()))),
        };
        plan.map_err(|errors| errors.0.into_iter().map(in_words_of_arguments).collect())
    }
}

/// The target is an argument of another name, and what the program has a flag for is a setting here.
fn in_words_of_arguments(error: PlanError) -> String {
    match error.setting {
        "target" => {
            let setting = "settings={'allow_public_target': True}";
            format!("target_system: {}", error.message.replace("--allow-public-target", setting))
        }
        _ => error.to_string(),
    }
}

/// A run under way, or over.
#[pyclass(frozen, module = "tickstorm._tickstorm")]
pub(crate) struct Running {
    remote: Remote,
    result: Arc<Outcome>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a run came to, as soon as it has: its report, or why there is none.
#[derive(Default)]
pub(crate) struct Outcome(Mutex<Option<Result<Report, String>>>);

impl Outcome {
    pub(crate) fn leave(&self, result: Result<Report, String>) {
        *lock(&self.0) = Some(result);
    }
}

/// Waits for the end of a run that takes orders meanwhile.
pub(crate) fn follow(remote: &Remote, run: Run) -> Report {
    remote.connect(run.control());
    run.wait().report
}

impl Running {
    /// A run that `work` makes in a thread of this name: it connects the run and leaves what it came to.
    pub(crate) fn start(
        thread: &str,
        work: impl FnOnce(&Remote, &Outcome) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (remote, result) = (Remote::default(), Arc::<Outcome>::default());
        let (theirs, left) = (remote.clone(), result.clone());
        let thread = std::thread::Builder::new().name(thread.into()).spawn(move || work(&theirs, &left))?;
        Ok(Self { remote, result, thread: Mutex::new(Some(thread)) })
    }
}

#[pymethods]
impl Running {
    /// Lets nothing more fall due.
    fn stop(&self) {
        self.remote.stop();
    }

    /// Ends it at once.
    fn abort(&self) {
        self.remote.abort();
    }

    /// Waits until its threads are gone.
    fn join(&self, py: Python<'_>) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic was printed, and shows as a result that is not there.
            let _ = py.detach(|| thread.join());
        }
    }

    /// Whether that was waited for.
    fn is_joined(&self) -> bool {
        lock(&self.thread).is_none()
    }

    /// The figures of now.
    fn metrics(&self) -> Metrics {
        let snapshot = self.remote.snapshot();
        Metrics(snapshot.map(|snapshot| tickstorm::Metrics::from(&*snapshot)).unwrap_or_default())
    }

    /// The report as JSON, or else why there is none; nothing before the end.
    fn result(&self) -> Option<(Option<String>, Option<String>)> {
        match lock(&self.result.0).as_ref()? {
            Ok(report) => Some((Some(to_json_pretty(report)), None)),
            Err(problem) => Some((None, Some(problem.clone()))),
        }
    }

    /// The report as a person reads it, without colours.
    fn summary(&self) -> Option<String> {
        let guard = lock(&self.result.0);
        let report = guard.as_ref()?.as_ref().ok()?;
        Some(summary(report, Style::default()))
    }
}

/// The figures of a run that people watch. Latencies are in milliseconds, rates in messages per second; all are zero
/// before anything was measured.
#[pyclass(frozen, module = "tickstorm")]
pub(crate) struct Metrics(tickstorm::Metrics);

/// Declares the getters once, and `to_dict` over the same names.
macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)+) => {
        #[pymethods]
        impl Metrics {
            #[new]
            fn new() -> Self {
                Self(tickstorm::Metrics::default())
            }

            $($(#[$doc])* #[getter] fn $name(&self) -> $type { let read: fn(&tickstorm::Metrics) -> $type = $value; read(&self.0) })+

            /// All figures by name.
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
                let dict = pyo3::types::PyDict::new(py);
                $(dict.set_item(stringify!($name), self.$name())?;)+
                Ok(dict)
            }

            fn __repr__(&self) -> String {
                let mut words = Vec::new();
                $(words.push(format!("{}={:?}", stringify!($name), self.$name()));)+
                format!("Metrics({})", words.join(", "))
            }
        }
    };
}

figures! {
    /// Seconds since the start of the measured phase.
    elapsed: f64 = |it| it.elapsed.as_secs_f64();
    /// Messages due.
    total_messages: u64 = |it| it.total_messages;
    /// Messages processed.
    messages_processed: u64 = |it| it.messages_processed;
    /// Messages failed or dropped.
    messages_failed: u64 = |it| it.messages_failed;
    /// Failed share of the messages due, 0 to 1.
    error_rate: f64 = |it| it.error_rate;
    /// Messages processed in the last whole second.
    throughput: f64 = |it| it.throughput;
    /// Messages processed in the best whole second.
    peak_throughput: f64 = |it| it.peak_throughput;
    /// Messages sent and not yet answered.
    active: u64 = |it| it.active;
    /// Mean latency in milliseconds.
    avg_latency_ms: f64 = |it| it.avg_latency_ms;
    /// Median latency in milliseconds.
    p50_latency_ms: f64 = |it| it.p50_latency_ms;
    /// 90th percentile of latency in milliseconds.
    p90_latency_ms: f64 = |it| it.p90_latency_ms;
    /// 95th percentile of latency in milliseconds.
    p95_latency_ms: f64 = |it| it.p95_latency_ms;
    /// 99th percentile of latency in milliseconds.
    p99_latency_ms: f64 = |it| it.p99_latency_ms;
    /// Resident memory of this process in megabytes.
    memory_usage_mb: f64 = |it| it.memory_usage_mb;
    /// Whether the run has ended.
    is_finished: bool = |it| it.is_finished;
}

/// A profile as it is written in full.
#[pyfunction]
pub(crate) fn parse_profile(text: &str) -> PyResult<(&'static str, String)> {
    let mut spec = Spec::default();
    set(&mut spec, "profile", if text.contains(':') { "stages" } else { "profile" }, text)?;
    Ok((spec.profile.name(), spec.profile.to_string()))
}

/// The settings of a run: name, and what it means.
#[pyfunction]
pub(crate) fn settings() -> Vec<(&'static str, &'static str)> {
    tickstorm::SETTINGS.iter().map(|setting| (setting.name, setting.help)).collect()
}

pub(crate) fn set(spec: &mut Spec, argument: &str, name: &str, text: &str) -> PyResult<()> {
    let Some(setting) = Setting::named(name) else {
        let known: Vec<_> = tickstorm::SETTINGS.iter().map(|it| it.name.replace('-', "_")).collect();
        return Err(PyValueError::new_err(format!(
            "{argument}: no such setting, known are {}",
            known.join(", ")
        )));
    };
    (setting.set)(spec, text).map_err(|problem| refused(argument, problem))
}

pub(crate) fn refused(argument: &str, problem: String) -> PyErr {
    PyValueError::new_err(format!("{argument}: {problem}"))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
