//! Gathers what the workers record: the live figures while the run lasts, the report at its end.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use tickstorm_load::{HlogInterval, Outstanding, Recording, write_hlog};
use tickstorm_net::Builtin;
use tickstorm_report::{Interval, Report, StopReason, Stopped};

use crate::{
    LatencyFigures, Phase, Plan, SecondPoint, Snapshot,
    assemble::{Found, assemble},
    control::Control,
    machine::{ProcessUsage, Usage, Withheld},
    run::Finds,
    worker::{Dispatch, Summary},
};

/// One thread of its own; the workers never wait for it.
pub(crate) struct Collector {
    plan: Plan,
    control: Control,
    /// When the first phase begins.
    origin: Instant,
    started: SystemTime,
    finds: Finds,

    total: Recording,
    /// What belongs to the timeline's entry under way, and to the second under way.
    interval: Recording,
    second: Recording,
    intervals_done: u64,
    seconds_done: u64,
    /// Until when each worker has told everything.
    told_until_ns: Vec<u64>,
    timeline: Arc<Vec<Interval>>,
    seconds: VecDeque<SecondPoint>,
    hlog: Vec<HlogInterval>,
    recent: LatencyFigures,
    last_second: (u64, u64),

    process: ProcessUsage,
    usage: Usage,
    usage_at: Instant,
    usage_at_start: Usage,
    cpu_percent: f64,
    interval_cpu: (Instant, Usage),
    withheld_at_start: Withheld,
    summaries: Vec<Option<Summary>>,
}

impl Collector {
    pub(crate) fn new(plan: Plan, control: Control, origin: Instant, finds: Finds) -> Self {
        let workers = plan.workers as usize;
        let recording = plan.recording();
        let mut process = ProcessUsage::new();
        let usage = process.read();
        let now = Instant::now();
        let until_start = origin.saturating_duration_since(now) + plan.spec.warmup;
        Self {
            control,
            origin,
            started: SystemTime::now() + until_start,
            finds,
            total: recording.clone(),
            interval: recording.clone(),
            second: recording,
            intervals_done: 0,
            seconds_done: 0,
            told_until_ns: vec![0; workers],
            timeline: Arc::default(),
            seconds: VecDeque::new(),
            hlog: Vec::new(),
            recent: LatencyFigures::default(),
            last_second: (0, 0),
            process,
            usage,
            usage_at: now,
            usage_at_start: usage,
            cpu_percent: 0.0,
            interval_cpu: (now, usage),
            withheld_at_start: Withheld::read(),
            summaries: vec![None; workers],
            plan,
        }
    }

    /// Gathers until all workers are done.
    pub(crate) fn run(
        mut self,
        gathered: &mpsc::Receiver<Dispatch>,
        spares: &[mpsc::Sender<Box<Recording>>],
        threads: Vec<JoinHandle<()>>,
    ) -> Finished {
        loop {
            match gathered.recv_timeout(SHOW_EVERY) {
                Ok(Dispatch::Delta { worker, until_ns, mut recording }) => {
                    self.add(worker, until_ns, &recording);
                    recording.clear();
                    // A worker that is done takes nothing back.
                    let _ = spares[worker].send(recording);
                }
                Ok(Dispatch::Done { worker, summary }) => {
                    self.told_until_ns[worker] = u64::MAX;
                    if summary.panicked {
                        // The report can only say so: the others need not go on.
                        self.control.abort(StopReason::InternalError);
                    }
                    self.summaries[worker] = Some(summary);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            self.close_what_is_over();
            self.look_at_process();
            self.show(None);
        }
        let panics: Vec<String> =
            threads.into_iter().filter_map(|thread| thread.join().err().map(panic_text)).collect();
        self.finish(panics)
    }

    fn add(&mut self, worker: usize, until_ns: u64, recording: &Recording) {
        self.total.merge(recording);
        self.interval.merge(recording);
        self.second.merge(recording);
        self.told_until_ns[worker] = self.told_until_ns[worker].max(until_ns);
        self.close_what_is_over();
    }

    /// Closes the second and the timeline's entry that every worker has told all of. What comes after the last entry's
    /// end, the last replies, belongs to it.
    fn close_what_is_over(&mut self) {
        let told_ns = self.told_until_ns.iter().copied().min().unwrap_or(u64::MAX);
        let duration_ns = self.plan.schedule.duration_ns();
        let told_ns = if told_ns == u64::MAX { return } else { told_ns };
        if told_ns / NS_PER_S > self.seconds_done {
            self.close_second(told_ns / NS_PER_S);
        }
        let interval_ns = self.interval_ns();
        let end_ns = (self.intervals_done + 1) * interval_ns;
        // After a stop the last replies belong to the entry under way, as they do at the end of the plan.
        if told_ns >= end_ns && end_ns < duration_ns && self.control.stop_reason().is_none() {
            self.close_interval(end_ns);
        }
    }

    fn close_second(&mut self, seconds: u64) {
        let second = self.seconds_done;
        self.seconds_done = seconds;
        let count = self.second.ledger();
        self.last_second = (count.sent, count.processed);
        self.recent = LatencyFigures::from(self.second.latency());
        let p99_ns = (self.recent.count > 0).then_some(self.recent.p99_ns);
        self.seconds.push_back(SecondPoint { second, processed: count.processed, p99_ns });
        if self.seconds.len() > SECONDS_SHOWN {
            self.seconds.pop_front();
        }
        self.second.clear();
    }

    fn close_interval(&mut self, end_ns: u64) {
        let interval_ns = self.interval_ns();
        let start_ns = self.intervals_done * interval_ns;
        self.intervals_done += 1;
        let now = Instant::now();
        let usage = self.process.read();
        let (cpu_at, cpu_then) = std::mem::replace(&mut self.interval_cpu, (now, usage));
        let latency = self.interval.latency();
        let ms = |ns: f64| (!latency.is_empty()).then_some(ns / 1e6);
        let ledger = self.interval.ledger();
        let lag = self.interval.pacing_lag();
        Arc::make_mut(&mut self.timeline).push(Interval {
            start_s: start_ns as f64 / 1e9,
            end_s: end_ns as f64 / 1e9,
            due: ledger.due,
            sent: ledger.sent,
            processed: ledger.processed,
            failed: ledger.failed.total(),
            dropped: ledger.dropped.total(),
            in_flight: self.control.gauges().0,
            mean_ms: ms(latency.mean_ns()),
            p50_ms: ms(latency.percentile_ns(50.0) as f64),
            p90_ms: ms(latency.percentile_ns(90.0) as f64),
            p99_ms: ms(latency.percentile_ns(99.0) as f64),
            max_ms: ms(latency.max_ns() as f64),
            pacing_lag_p99_ms: (!lag.is_empty()).then(|| lag.percentile_ns(99.0) as f64 / 1e6),
            cpu_percent: percent(cpu_then.cpu, usage.cpu, now - cpu_at),
            memory_mb: (usage.memory_bytes > 0).then(|| usage.memory_bytes as f64 / 1e6),
        });
        let (start, length) =
            (Duration::from_nanos(start_ns), Duration::from_nanos(end_ns.saturating_sub(start_ns)));
        self.hlog.push(HlogInterval::new(start, length, latency));
        self.interval.clear();
    }

    fn interval_ns(&self) -> u64 {
        self.plan.spec.report_interval.as_nanos() as u64
    }

    fn look_at_process(&mut self) {
        let now = Instant::now();
        let since = now - self.usage_at;
        if since < Duration::from_secs(1) {
            return;
        }
        let usage = self.process.read();
        self.cpu_percent = percent(self.usage.cpu, usage.cpu, since).unwrap_or_default();
        self.usage = usage;
        self.usage_at = now;
    }

    fn show(&self, finished: Option<Duration>) {
        let now = Instant::now();
        let warm_up = self.plan.spec.warmup;
        let since_start = now.saturating_duration_since(self.origin);
        let elapsed = finished.unwrap_or(since_start.saturating_sub(warm_up)).min(self.plan.duration);
        let phase = match finished {
            Some(_) => Phase::Finished,
            None if now < self.origin => Phase::Starting,
            None if since_start < warm_up => Phase::WarmUp,
            None if elapsed < self.plan.duration && self.control.stop_reason().is_none() => Phase::Measured,
            None => Phase::Draining,
        };
        let schedule = &self.plan.schedule;
        let elapsed_ns = elapsed.as_nanos() as u64;
        let ledger = self.total.ledger();
        let is_over = finished.is_some() || self.control.stop_reason().is_some();
        let due = if is_over { ledger.due } else { schedule.due_by(elapsed_ns).max(ledger.due) };
        let (in_flight, lanes_up) = self.control.gauges();
        self.control.show(Snapshot {
            phase,
            elapsed,
            duration: self.plan.duration,
            planned: schedule.total(),
            due,
            sent: ledger.sent,
            processed: ledger.processed,
            failed: ledger.failed.total(),
            dropped: ledger.dropped.total(),
            messages_failed: ledger.messages_failed(),
            in_flight: if finished.is_some() { 0 } else { in_flight },
            error_rate: ledger.error_rate(),
            offered_rate: if phase == Phase::Measured { schedule.rate_at(elapsed_ns) } else { 0.0 },
            achieved_rate: self.last_second.0 as f64,
            processed_rate: self.last_second.1 as f64,
            peak_throughput: self.total.series().peak_processed_in_a_second(schedule.duration_ns()),
            latency: self.total.latency().into(),
            recent_latency: self.recent,
            memory_bytes: self.usage.memory_bytes,
            cpu_percent: self.cpu_percent,
            connections: self.plan.lanes,
            connections_up: lanes_up as u32,
            seconds: self.seconds.iter().copied().collect(),
            timeline: self.timeline.clone(),
            // The last look shows the clients as they were before they were taken leave of.
            clients: match &self.finds.served {
                Some(served) => served.clients(),
                None => Arc::clone(&self.control.snapshot().clients),
            },
        });
    }

    fn finish(mut self, panics: Vec<String>) -> Finished {
        let summaries: Vec<Summary> = self.summaries.iter_mut().filter_map(Option::take).collect();
        let duration_ns = self.plan.schedule.duration_ns();
        let stopped_ns = summaries.iter().filter_map(|summary| summary.stopped_ns).max();
        let finished_ns = summaries.iter().map(|summary| summary.finished_ns).max().unwrap_or(0);
        let measured_ns = stopped_ns.unwrap_or(duration_ns).min(duration_ns);
        self.total.end_measured_phase(measured_ns);
        if finished_ns / NS_PER_S > self.seconds_done || !self.second.is_empty() {
            self.close_second(finished_ns / NS_PER_S + 1);
        }
        // The last entry holds the drain too: what was answered in it.
        let last_end_ns = measured_ns.max(finished_ns).max(self.intervals_done * self.interval_ns());
        if last_end_ns > self.intervals_done * self.interval_ns() || !self.interval.is_empty() {
            self.close_interval(last_end_ns);
        }
        let mut problem = panics.into_iter().next().map(|text| format!("a worker panicked: {text}"));
        if problem.is_none()
            && let Err(imbalance) = self.total.ledger().balances(Outstanding::default())
        {
            problem = Some(format!("the books do not balance: {imbalance}"));
        }
        let now = Instant::now();
        let usage = self.process.read();
        let reason = self.control.stop_reason();
        let stopped = match (&problem, stopped_ns) {
            (Some(problem), _) => Some(Stopped {
                reason: StopReason::InternalError,
                at_s: measured_ns as f64 / 1e9,
                detail: Some(problem.clone()),
            }),
            (None, Some(at_ns)) => Some(Stopped {
                reason: reason.unwrap_or(StopReason::Requested),
                at_s: at_ns as f64 / 1e9,
                detail: None,
            }),
            (None, None) => None,
        };
        let builtin = self.finds.builtin.take().map(Builtin::stop);
        let served = self.finds.served.take().map(|served| served.gather(Duration::from_nanos(measured_ns)));
        let report = assemble(Found {
            plan: &self.plan,
            recording: &self.total,
            summaries: &summaries,
            measured: Duration::from_nanos(measured_ns),
            timeline: Vec::clone(&self.timeline),
            stopped,
            was_stopped_by_hand: stopped_ns.is_some(),
            internal_error: problem,
            builtin,
            served,
            cpu: usage.cpu.zip(self.usage_at_start.cpu).map(|(now, then)| now.saturating_sub(then)),
            cpu_percent: percent(
                self.usage_at_start.cpu,
                usage.cpu,
                now - (self.origin - Duration::from_millis(50)),
            ),
            peak_memory_bytes: usage.peak_bytes,
            withheld: Withheld::read().since(self.withheld_at_start),
            started: self.started,
        });
        self.show(Some(Duration::from_nanos(measured_ns)));
        Finished { report, hlog: self.hlog, started: self.started }
    }
}

/// What a run leaves.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What was found.
    pub report: Report,
    pub(crate) hlog: Vec<HlogInterval>,
    pub(crate) started: SystemTime,
}

impl Finished {
    /// Writes the latency histogram of each interval in HdrHistogram's log format; values are nanoseconds.
    pub fn write_hlog(&self, writer: impl io::Write) -> io::Result<()> {
        write_hlog(writer, self.started, &self.hlog)
    }
}

impl Snapshot {
    /// What there is to see before anything happened.
    pub(crate) fn before(plan: &Plan) -> Self {
        Self {
            phase: Phase::Starting,
            elapsed: Duration::ZERO,
            duration: plan.duration,
            planned: plan.schedule.total(),
            due: 0,
            sent: 0,
            processed: 0,
            failed: 0,
            dropped: 0,
            messages_failed: 0,
            in_flight: 0,
            error_rate: 0.0,
            offered_rate: 0.0,
            achieved_rate: 0.0,
            processed_rate: 0.0,
            peak_throughput: 0,
            latency: LatencyFigures::default(),
            recent_latency: LatencyFigures::default(),
            memory_bytes: 0,
            cpu_percent: 0.0,
            connections: plan.lanes,
            connections_up: plan.lanes,
            seconds: Vec::new(),
            timeline: Arc::default(),
            clients: Arc::default(),
        }
    }
}

/// Processor time between two readings as per cent of one core.
fn percent(then: Option<Duration>, now: Option<Duration>, wall: Duration) -> Option<f64> {
    let used = now?.saturating_sub(then?);
    (!wall.is_zero()).then(|| used.as_secs_f64() / wall.as_secs_f64() * 100.0)
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".into())
}

const SHOW_EVERY: Duration = Duration::from_millis(100);

const NS_PER_S: u64 = 1_000_000_000;

/// Two minutes of the live view's graphs.
const SECONDS_SHOWN: usize = 120;
