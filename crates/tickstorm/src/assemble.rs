//! Turns what a run found into its report.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tickstorm_load::{Dropped, Histogram, Recording};
use tickstorm_market::Kind;
use tickstorm_net::Findings;
use tickstorm_report::{
    Absences, Connection, ErrorKind, Generator, Interval, LatencyBasis, Ledger, PacingMode, Report,
    SchemaVersion, Served, Setting, Source, Stopped, Target,
};

use crate::{
    AckMode, Plan, SETTINGS, machine,
    machine::Withheld,
    pacer::PacedBy,
    plan::SERVE,
    verdict::{Grounds, judge},
    worker::{AbsenceSummary, Summary},
};

/// Everything a run found.
pub(crate) struct Found<'a> {
    pub plan: &'a Plan,
    pub recording: &'a Recording,
    pub summaries: &'a [Summary],
    /// Length of the measured phase as it was.
    pub measured: Duration,
    pub timeline: Vec<Interval>,
    pub stopped: Option<Stopped>,
    pub was_stopped_by_hand: bool,
    pub internal_error: Option<String>,
    pub builtin: Option<Findings>,
    pub served: Option<Served>,
    pub cpu: Option<Duration>,
    pub cpu_percent: Option<f64>,
    pub peak_memory_bytes: u64,
    pub withheld: Withheld,
    pub started: SystemTime,
}

pub(crate) fn assemble(found: Found<'_>) -> Report {
    let Found { plan, recording, summaries, measured, .. } = found;
    let ledger = recording.ledger();
    let absences = summaries.iter().fold(AbsenceSummary::default(), |sum, summary| AbsenceSummary {
        count: sum.count + summary.absences.count,
        total_ns: sum.total_ns + summary.absences.total_ns,
        max_ns: sum.max_ns.max(summary.absences.max_ns),
    });
    let involuntary_switches =
        summaries.iter().map(|summary| summary.involuntary_switches).sum::<Option<u64>>();
    let (verdict, thresholds) = judge(Grounds {
        recording,
        error_threshold: plan.spec.error_threshold,
        thresholds: &plan.spec.thresholds,
        max_pacing_lag: plan.spec.max_pacing_lag,
        dropped_by_us: summaries.iter().map(|summary| summary.dropped_by_us).sum(),
        absences,
        involuntary_switches,
        withheld: found.withheld,
        was_stopped_by_hand: found.was_stopped_by_hand,
        internal_error: found.internal_error.as_deref(),
        target_is_ours: found.builtin.is_some(),
        served: found.served.as_ref(),
        warnings: warnings(&found),
    });

    let seconds = measured.as_secs_f64();
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let latency = recording.latency();
    let ms = |value: fn(&Histogram) -> f64| (!latency.is_empty()).then(|| value(latency) / 1e6);
    let is_judged = ledger.messages_judged() > 0;
    let megabytes = |bytes: u64| (bytes > 0).then_some(bytes as f64 / 1e6);
    let is_call = plan.ack.is_none();
    Report {
        schema_version: SchemaVersion::current(),
        verdict,
        test_duration: seconds,
        total_messages: ledger.total_messages(),
        messages_processed: ledger.processed,
        messages_failed: ledger.messages_failed(),
        success_rate: is_judged.then(|| ledger.success_rate()),
        avg_latency_ms: ms(Histogram::mean_ns),
        p50_latency_ms: ms(|latency| latency.percentile_ns(50.0) as f64),
        p90_latency_ms: ms(|latency| latency.percentile_ns(90.0) as f64),
        p95_latency_ms: ms(|latency| latency.percentile_ns(95.0) as f64),
        p99_latency_ms: ms(|latency| latency.percentile_ns(99.0) as f64),
        peak_throughput: recording.series().peak_processed_in_a_second(measured.as_nanos() as u64) as f64,
        avg_throughput: per_second(recording.processed_in_time()),
        error_rate: is_judged.then(|| ledger.error_rate()),
        memory_usage_mb: megabytes(found.peak_memory_bytes),
        thresholds,
        plan: plan_section(plan),
        generator: Generator {
            offered: per_second(ledger.due),
            achieved: per_second(recording.sent_in_time()),
            messages_per_write: (recording.writes() > 0)
                .then(|| ledger.sent as f64 / recording.writes() as f64),
            bytes_sent: (!is_call).then(|| recording.bytes_sent()),
            pacing_mode: pacing_mode(summaries),
            overdue: recording.overdue(),
            max_pacing_lag_ms: plan.spec.max_pacing_lag.as_secs_f64() * 1e3,
            workers: plan.workers,
            cpu_seconds: found.cpu.map(|cpu| cpu.as_secs_f64()),
            cpu_percent: found.cpu_percent,
            peak_memory_mb: megabytes(found.peak_memory_bytes),
            involuntary_context_switches: involuntary_switches,
            throttled_s: found.withheld.throttled.map(|time| time.as_secs_f64()),
            steal_s: found.withheld.stolen.map(|time| time.as_secs_f64()),
            absences: Absences {
                count: absences.count,
                total_ms: absences.total_ns as f64 / 1e6,
                max_ms: (absences.count > 0).then_some(absences.max_ns as f64 / 1e6),
            },
        },
        latency_basis: match plan.ack {
            None => LatencyBasis::Returned,
            Some(AckMode::None) => LatencyBasis::Kernel,
            Some(AckMode::Id | AckMode::Fifo) => LatencyBasis::Acknowledged,
        },
        latency: latency.into(),
        net_latency: recording.net_latency().into(),
        service_time: recording.service_time().into(),
        lag: recording.lag().into(),
        stall: recording.stall().into(),
        pacing_lag: recording.pacing_lag().into(),
        failed_latency: recording.failed_latency().into(),
        messages: by_kind(recording),
        ledger: Ledger {
            due: ledger.due,
            sent: ledger.sent,
            dropped: dropped(recording),
            processed: ledger.processed,
            failed: ledger.failed.iter().map(|(kind, tally)| (kind.to_owned(), tally.count())).collect(),
            aborted: ledger.aborted,
            late_replies: ledger.late_replies,
            unexpected_replies: ledger.unexpected_replies,
        },
        errors: errors(recording),
        // Those of a served run are its clients'.
        connections: if is_call || found.served.is_some() {
            Vec::new()
        } else {
            connections(plan, summaries)
        },
        timeline: found.timeline,
        target: Target {
            kind: plan.target_kind.to_owned(),
            address: (plan.target_kind == "websocket").then(|| plan.target.clone()),
            pid: None,
            cpu_percent: None,
            peak_memory_mb: None,
            builtin: found.builtin.map(|findings| tickstorm_report::Findings {
                messages: findings.messages,
                decode_errors: findings.decode_errors,
                faults: findings.faults.iter().map(|(&kind, &count)| (kind.to_owned(), count)).collect(),
                samples: findings.samples.into_values().flatten().collect(),
            }),
        },
        served: found.served,
        environment: machine::environment(),
        stopped: found.stopped,
        started_at: humantime::format_rfc3339_millis(found.started).to_string(),
    }
}

fn warnings(found: &Found<'_>) -> Vec<String> {
    let mut warnings = found.plan.warnings.clone();
    let ledger = found.recording.ledger();
    if let Some(findings) = &found.builtin {
        if let Some(failure) = &findings.failure {
            warnings.push(format!("the built-in target stopped by itself: {failure}"));
        }
        let faults: u64 = findings.faults.values().sum();
        // Dropped messages leave gaps, which the target is right to find.
        if findings.decode_errors + faults > 0 && ledger.messages_failed() == 0 {
            warnings.push(format!(
                "the built-in target found {} messages that it could not read and {faults} inconsistencies",
                findings.decode_errors
            ));
        }
    }
    if ledger.unexpected_replies > 0 {
        warnings.push(format!("{} replies answered no message; see the errors", ledger.unexpected_replies));
    }
    warnings
}

fn plan_section(plan: &Plan) -> tickstorm_report::Plan {
    let spec = &plan.spec;
    let start = Duration::from_nanos(spec.start_unix_ns.unwrap_or_default().unsigned_abs());
    let sourced = |name: &str| plan.sources.get(name).copied().unwrap_or(Source::Default);
    let mut resolved: BTreeMap<&str, String> = plan.describe().into_iter().collect();
    let mut settings = Vec::new();
    for name in std::iter::once("target").chain(SETTINGS.iter().map(|setting| setting.name)) {
        let value = resolved.remove(name).unwrap_or_default();
        settings.push(Setting { name: name.to_owned(), value, source: sourced(name) });
    }
    tickstorm_report::Plan {
        command: plan.command(),
        seed: spec.seed,
        duration_s: plan.duration.as_secs_f64(),
        base_rate: spec.base_rate.as_per_second(),
        multiplier: spec.multiplier.as_f64(),
        profile: spec.profile.to_string(),
        arrivals: plan.arrivals.to_string(),
        regime: Some(plan.mood.to_owned()),
        // An exchange serves all venues.
        venue: (plan.target_kind != SERVE).then(|| spec.venue.to_string()),
        symbols: spec.symbols,
        connections: plan.lanes,
        workers: plan.workers,
        max_concurrent: (plan.ack != Some(AckMode::None)).then_some(u64::from(spec.max_concurrent)),
        at_limit: spec.at_limit.to_string(),
        timeout_s: spec.timeout.as_secs_f64(),
        warmup_s: spec.warmup.as_secs_f64(),
        batch: spec.batch,
        ack: plan.ack.map(|ack| ack.to_string()),
        flush: spec.flush.to_string(),
        pacing: spec.pacing.to_string(),
        target: plan.target.clone(),
        start_time: humantime::format_rfc3339_millis(UNIX_EPOCH + start).to_string(),
        average_rate: plan.schedule.average_rate(),
        peak_rate: plan.schedule.peak_rate(),
        planned_total: plan.schedule.total(),
        settings,
    }
}

fn pacing_mode(summaries: &[Summary]) -> PacingMode {
    let all = |paced_by| summaries.iter().all(|summary| summary.paced_by == paced_by);
    if all(PacedBy::Sleep) {
        PacingMode::Sleep
    } else if all(PacedBy::Spin) {
        PacingMode::Spin
    } else {
        PacingMode::Mixed
    }
}

fn by_kind(recording: &Recording) -> BTreeMap<String, u64> {
    Kind::ALL
        .iter()
        .zip(recording.sent_by_kind())
        .map(|(kind, &count)| (kind.name().to_owned(), count))
        .collect()
}

fn dropped(recording: &Recording) -> BTreeMap<String, u64> {
    recording.ledger().dropped.iter().map(|(reason, count)| (reason.kind().to_owned(), count)).collect()
}

fn errors(recording: &Recording) -> Vec<ErrorKind> {
    let ledger = recording.ledger();
    let share = |count: u64| (ledger.due > 0).then(|| count as f64 / ledger.due as f64);
    let entry = |kind: &str, count: u64, samples: Vec<String>| ErrorKind {
        kind: kind.to_owned(),
        count,
        share: share(count),
        samples,
    };
    let mut errors: Vec<_> = ledger
        .failed
        .iter()
        .map(|(kind, tally)| {
            entry(kind, tally.count(), tally.samples().iter().map(|(_, text)| text.to_owned()).collect())
        })
        .collect();
    for (reason, count) in ledger.dropped.iter() {
        if let Some(why) = why_dropped(reason) {
            errors.push(entry(reason.kind(), count, vec![why.to_owned()]));
        }
    }
    if ledger.unexpected_replies > 0 {
        let samples = recording.unexpected_samples().iter().map(|(_, text)| text.to_owned()).collect();
        errors.push(entry("unexpected_reply", ledger.unexpected_replies, samples));
    }
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    errors
}

/// None where it is no error.
fn why_dropped(reason: Dropped) -> Option<&'static str> {
    Some(match reason {
        Dropped::ConcurrencyLimit => {
            "due while max-concurrent messages were unanswered, and --at-limit is drop"
        }
        Dropped::NotConnected => {
            "its connection was down for longer than the timeout, or broke before the message was sent"
        }
        Dropped::SlowClient => "the client had as much waiting as --client-queue allows",
        Dropped::Lost => "waited for a client whose connection ended",
        Dropped::Unsent => "still waiting when the time to send the backlog was over",
        Dropped::Aborted => return None,
    })
}

fn connections(plan: &Plan, summaries: &[Summary]) -> Vec<Connection> {
    let mut connections: Vec<_> = summaries
        .iter()
        .enumerate()
        .flat_map(|(worker, summary)| {
            summary.lanes.iter().enumerate().map(move |(lane, found)| Connection {
                id: lane as u32 * plan.workers + worker as u32,
                sent: found.sent,
                outages: found.outages.clone(),
            })
        })
        .collect();
    connections.sort_by_key(|connection| connection.id);
    connections
}
