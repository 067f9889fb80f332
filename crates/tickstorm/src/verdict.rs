//! Whether the system held: PASS, FAIL, or that the run cannot tell.

use std::time::Duration;

use tickstorm_load::{Failure, Histogram, Ledger, Recording};
use tickstorm_report::{
    Basis, Client, Evidence, Outcome, Reason, Served, Threshold, ThresholdOutcome, Unit, Verdict, format,
};

use crate::{Metric, machine::Withheld, spec, worker::AbsenceSummary};

/// What a verdict is based on.
pub(crate) struct Grounds<'a> {
    pub recording: &'a Recording,
    pub error_threshold: f64,
    pub thresholds: &'a [spec::Threshold],
    pub max_pacing_lag: Duration,
    /// Of the dropped messages, those that waited mostly for us.
    pub dropped_by_us: u64,
    pub absences: AbsenceSummary,
    pub involuntary_switches: Option<u64>,
    pub withheld: Withheld,
    pub was_stopped_by_hand: bool,
    pub internal_error: Option<&'a str>,
    /// Whether the target is a thread of this process, which is starved when we are.
    pub target_is_ours: bool,
    /// What was seen of clients, where they came to us.
    pub served: Option<&'a Served>,
    pub warnings: Vec<String>,
}

/// The verdict, and how the run stood to each threshold.
pub(crate) fn judge(grounds: Grounds<'_>) -> (Verdict, Vec<Threshold>) {
    let ledger = grounds.recording.ledger();
    let late = grounds.recording.overdue() + grounds.dropped_by_us;
    let generator_is_late = late as f64 > ledger.due as f64 * MOST_OVERDUE;
    let target_is_starved = generator_is_late && grounds.target_is_ours;
    // What only our own lateness left unsent, and what a target that could not run when it wanted did not answer.
    let timeouts = if target_is_starved { ledger.failed.count(&Failure::Timeout) } else { 0 };
    let excused = grounds.dropped_by_us + timeouts;
    let error_rate = |limit| error_rate_threshold(ledger, excused, limit);
    let mut thresholds = vec![error_rate(grounds.error_threshold)];
    thresholds.extend(grounds.thresholds.iter().map(|limit| match limit.metric {
        Metric::ErrorRate => error_rate(limit.limit),
        Metric::Age => age_threshold(limit, grounds.served),
        _ => latency_threshold(limit, grounds.recording.latency(), grounds.recording.net_latency()),
    }));
    if target_is_starved {
        // Nor are its service times figures of such a target.
        for threshold in thresholds.iter_mut().filter(|threshold| threshold.unit == Unit::Milliseconds) {
            if threshold.outcome == ThresholdOutcome::Crossed {
                threshold.outcome = ThresholdOutcome::Undecided;
            }
        }
    }

    let mut crossed = reasons(&thresholds, ThresholdOutcome::Crossed);
    crossed.extend(cut_off(grounds.served));
    let mut doubts = Vec::new();
    if let Some(problem) = grounds.internal_error {
        doubts.push(plain(format!("tickstorm itself failed: {problem}")));
    }
    if ledger.due == 0 {
        doubts.push(plain(match grounds.served {
            Some(_) => "nothing was owed to anybody: no client had subscribed to what happened".into(),
            None => "nothing was due".to_owned(),
        }));
    }
    if generator_is_late {
        doubts.push(Reason {
            text: format!(
                "the generator itself fell behind: {} of the messages left more than {} late through its own doing (at most {} may)",
                format::percent(late as f64 / ledger.due as f64),
                format::duration_ms(grounds.max_pacing_lag.as_secs_f64() * 1e3),
                format::percent(MOST_OVERDUE),
            ),
            evidence: starvation(&grounds),
        });
    }
    // Where nothing was due, no threshold can be decided, which needs no saying.
    let undecided = reasons(&thresholds, ThresholdOutcome::Undecided).into_iter().filter(|_| ledger.due > 0);
    doubts.extend(undecided.map(|mut reason| {
        let why = if reason.text.starts_with(AGE) {
            ": that much was proved, and no more can be known of some client"
        } else {
            ", but only because of the generator's own lateness or for want of figures"
        };
        reason.text.push_str(why);
        reason
    }));
    if grounds.was_stopped_by_hand {
        doubts.push(plain("the run was stopped by hand before its end".into()));
    }

    let (outcome, reasons) = if !crossed.is_empty() {
        (Outcome::Fail, crossed)
    } else if !doubts.is_empty() {
        (Outcome::Inconclusive, doubts)
    } else {
        (Outcome::Pass, Vec::new())
    };
    let mut warnings = grounds.warnings.clone();
    let pacing_p99_ns = grounds.recording.pacing_lag().percentile_ns(99.0);
    if pacing_p99_ns > 1_000_000
        && pacing_p99_ns as f64 > 0.1 * grounds.recording.latency().percentile_ns(99.0) as f64
    {
        warnings.push(format!(
            "the generator's own lateness is part of the latency: pacing lag p99 is {}; net latency leaves it out",
            format::duration_ms(pacing_p99_ns as f64 / 1e6)
        ));
    }
    let mut advice = Vec::new();
    if outcome == Outcome::Inconclusive && generator_is_late {
        advice.push("lower the rate, or give the generator more processor: fewer busy processes beside it, a larger quota, more --workers with more --connections".into());
        advice.push("`tickstorm ruler` measures the highest rate that this machine offers honestly".into());
    }
    (Verdict { outcome, reasons, warnings, advice }, thresholds)
}

fn plain(text: String) -> Reason {
    Reason { text, evidence: Vec::new() }
}

/// `excused` failures are not the target's.
fn error_rate_threshold(ledger: &Ledger, excused: u64, limit: f64) -> Threshold {
    let judged = ledger.messages_judged();
    let share = |failed: u64| (judged > 0).then(|| failed as f64 / judged as f64);
    let value = share(ledger.messages_failed());
    let net_value = share(ledger.messages_failed().saturating_sub(excused));
    Threshold {
        metric: "error_rate".into(),
        limit_text: format!("<= {}", format::percent(limit)),
        limit,
        value,
        net_value: net_value.filter(|_| excused > 0),
        unit: Unit::Ratio,
        outcome: compare(limit, value, net_value),
    }
}

fn latency_threshold(limit: &spec::Threshold, latency: &Histogram, net: &Histogram) -> Threshold {
    let read = |histogram: &Histogram| {
        (!histogram.is_empty()).then(|| match limit.metric {
            Metric::Percentile(p) => histogram.percentile_ns(p) as f64,
            Metric::Max => histogram.max_ns() as f64,
            Metric::Mean | Metric::ErrorRate | Metric::Age => histogram.mean_ns(),
        })
    };
    let (value, net_value) = (read(latency), read(net));
    let name = match limit.metric {
        Metric::Percentile(p) => format!("p{}_latency_ms", p.to_string().replace('.', "_")),
        Metric::Mean => "avg_latency_ms".into(),
        Metric::Max => "max_latency_ms".into(),
        Metric::ErrorRate => "error_rate".into(),
        Metric::Age => AGE.into(),
    };
    Threshold {
        metric: name,
        limit_text: format!("<= {}", format::duration_ms(limit.limit / 1e6)),
        limit: limit.limit / 1e6,
        value: value.map(|ns| ns / 1e6),
        net_value: net_value.map(|ns| ns / 1e6),
        unit: Unit::Milliseconds,
        outcome: compare(limit.limit, value, net_value),
    }
}

/// How far behind the slowest client was. What is only known to be at least so much cannot hold a limit.
fn age_threshold(limit: &spec::Threshold, served: Option<&Served>) -> Threshold {
    let clients = served.map(|served| &served.clients[..]).unwrap_or_default();
    let others = served.and_then(|served| served.left_out.as_ref()).filter(|others| others.owed > 0);
    let known = |worst_ms: Option<f64>, last_ms: Option<f64>| {
        let last_ms = last_ms.unwrap_or(0.0);
        worst_ms.map_or(last_ms, |worst_ms| worst_ms.max(last_ms))
    };
    let limit_ms = limit.limit / 1e6;
    let told = clients.iter().filter(|client| client.owed > 0);
    let ages = told.clone().map(|client| known(client.worst.age_ms, client.last.age_ms));
    let value =
        ages.chain(others.map(|others| known(others.worst_age_ms, others.last_age_ms))).reduce(f64::max);
    let mut bases = told.map(|client| client.last.basis).chain(others.map(|others| others.last_basis));
    let is_certain = bases.all(|basis| basis == Basis::Exact);
    Threshold {
        metric: AGE.into(),
        limit_text: format!("<= {}", format::duration_ms(limit_ms)),
        limit: limit_ms,
        value,
        net_value: None,
        unit: Unit::Milliseconds,
        outcome: match value {
            Some(age_ms) if age_ms > limit_ms => ThresholdOutcome::Crossed,
            Some(_) if is_certain => ThresholdOutcome::Met,
            _ => ThresholdOutcome::Undecided,
        },
    }
}

/// A client that was too slow for its venue to go on with has not held, whatever the figures of those who stayed.
fn cut_off(served: Option<&Served>) -> Option<Reason> {
    let clients = served.map(|served| &served.clients[..]).unwrap_or_default();
    let is_cut_off = |client: &&Client| client.ended.as_ref().is_some_and(|ended| ended.cause == "too_slow");
    let mut all: Vec<String> =
        clients.iter().filter(is_cut_off).map(|client| client.id.to_string()).collect();
    let others = served.and_then(|served| served.left_out.as_ref()).map_or(0, |others| others.cut_off);
    if others > 0 {
        all.push(format!("and {others} more"));
    }
    match &all[..] {
        [] => None,
        [one] => Some(plain(format!("client {one} was too slow and was cut off"))),
        many => Some(plain(format!("clients {} were too slow and were cut off", many.join(", ")))),
    }
}

const AGE: &str = "age_ms";

fn compare(limit: f64, value: Option<f64>, net_value: Option<f64>) -> ThresholdOutcome {
    match (value, net_value) {
        (Some(value), _) if value <= limit => ThresholdOutcome::Met,
        (Some(_), Some(net)) if net > limit => ThresholdOutcome::Crossed,
        _ => ThresholdOutcome::Undecided,
    }
}

fn reasons(thresholds: &[Threshold], outcome: ThresholdOutcome) -> Vec<Reason> {
    let stood_so = thresholds.iter().filter(|threshold| threshold.outcome == outcome);
    stood_so
        .map(|threshold| {
            let value =
                threshold.value.map_or("unknown".into(), |value| format::value(value, threshold.unit));
            let evidence = |name: &str, value: Option<f64>| {
                value.map(|value| Evidence {
                    name: format!("{} {name}", threshold.metric),
                    value,
                    unit: threshold.unit,
                })
            };
            Reason {
                text: format!(
                    "{} is {value}, the limit is {}",
                    threshold.metric,
                    format::value(threshold.limit, threshold.unit)
                ),
                evidence: [evidence("measured", threshold.value), evidence("net", threshold.net_value)]
                    .into_iter()
                    .flatten()
                    .collect(),
            }
        })
        .collect()
}

/// What shows that, and why, the generator could not keep its schedule.
fn starvation(grounds: &Grounds<'_>) -> Vec<Evidence> {
    let ms = |name: &str, ns: u64| Evidence {
        name: name.into(),
        value: ns as f64 / 1e6,
        unit: Unit::Milliseconds,
    };
    let count =
        |name: &str, value: u64| Evidence { name: name.into(), value: value as f64, unit: Unit::Count };
    let seconds = |name: &str, time: Duration| Evidence {
        name: name.into(),
        value: time.as_secs_f64(),
        unit: Unit::Seconds,
    };
    let lag = grounds.recording.pacing_lag();
    let mut evidence = vec![
        count("messages overdue", grounds.recording.overdue()),
        ms("pacing lag p50", lag.percentile_ns(50.0)),
        ms("pacing lag p99", lag.percentile_ns(99.0)),
        ms("pacing lag max", lag.max_ns()),
    ];
    if grounds.dropped_by_us > 0 {
        evidence.push(count("messages never sent for want of time", grounds.dropped_by_us));
    }
    if grounds.absences.count > 0 {
        evidence.push(count("times a worker was kept from running", grounds.absences.count));
        evidence.push(ms("kept from running in all", grounds.absences.total_ns));
        evidence.push(ms("kept from running, longest", grounds.absences.max_ns));
    }
    if let Some(time) = grounds.withheld.throttled.filter(|time| !time.is_zero()) {
        evidence.push(seconds("throttled by the processor quota", time));
    }
    if let Some(time) = grounds.withheld.stolen.filter(|time| !time.is_zero()) {
        evidence.push(seconds("stolen by the hypervisor", time));
    }
    if let Some(switches) = grounds.involuntary_switches.filter(|&switches| switches > 0) {
        evidence.push(count("involuntary context switches", switches));
    }
    evidence
}

/// Share of messages that may leave later than `--max-pacing-lag` through our own doing.
const MOST_OVERDUE: f64 = 0.01;

#[cfg(test)]
mod tests {
    use tickstorm_load::{Dropped, RecordingSpec, Timing};
    use tickstorm_report::{LeftOut, Traffic};

    use super::*;

    fn grounds(recording: &Recording) -> Grounds<'_> {
        Grounds {
            recording,
            error_threshold: 0.01,
            thresholds: &[],
            max_pacing_lag: Duration::from_millis(50),
            dropped_by_us: 0,
            absences: AbsenceSummary::default(),
            involuntary_switches: None,
            withheld: Withheld::default(),
            was_stopped_by_hand: false,
            served: None,
            internal_error: None,
            target_is_ours: false,
            warnings: Vec::new(),
        }
    }

    /// Messages due 1 ms apart, each with its pacing lag and service time, in ms, and whether it failed.
    fn recording(messages: impl IntoIterator<Item = (u64, u64, bool)>) -> Recording {
        let mut recording = Recording::new(RecordingSpec::default());
        for (i, (pacing_ms, service_ms, fails)) in messages.into_iter().enumerate() {
            let due_ns = i as u64 * 1_000_000;
            let sent_ns = due_ns + pacing_ms * 1_000_000;
            recording.on_due(1);
            let pacing_ns = recording.on_sent(0, sent_ns, sent_ns - due_ns, 0);
            let timing =
                Timing { due_ns, sent_ns, done_ns: sent_ns + service_ms * 1_000_000, ours_ns: pacing_ns };
            if fails {
                recording.on_failed(&Failure::Rejected, &timing, None);
            } else {
                recording.on_processed(&timing);
            }
        }
        recording
    }

    fn outcome(grounds: Grounds<'_>) -> Outcome {
        judge(grounds).0.outcome
    }

    #[test]
    fn a_threshold_is_crossed_when_exceeded_not_when_met() {
        let exactly = recording((0..100).map(|i| (0, 1, i == 0)));
        assert_eq!(outcome(grounds(&exactly)), Outcome::Pass);
        let above = recording((0..100).map(|i| (0, 1, i < 2)));
        assert_eq!(outcome(grounds(&above)), Outcome::Fail);
    }

    #[test]
    fn a_latency_limit_crossed_only_by_our_lateness_is_inconclusive() {
        let limits = ["p50<20ms".parse().unwrap()];
        let ours = recording((0..100).map(|_| (30, 5, false)));
        let theirs = recording((0..100).map(|_| (0, 35, false)));
        assert_eq!(outcome(Grounds { thresholds: &limits, ..grounds(&ours) }), Outcome::Inconclusive);
        assert_eq!(outcome(Grounds { thresholds: &limits, ..grounds(&theirs) }), Outcome::Fail);
    }

    #[test]
    fn more_than_a_hundredth_of_overdue_messages_is_inconclusive_with_evidence() {
        let one = recording((0..100).map(|i| (if i == 0 { 60 } else { 0 }, 1, false)));
        assert_eq!(outcome(grounds(&one)), Outcome::Pass);
        let two = recording((0..100).map(|i| (if i < 2 { 60 } else { 0 }, 1, false)));
        let (verdict, _) = judge(grounds(&two));
        assert_eq!(verdict.outcome, Outcome::Inconclusive);
        assert!(verdict.reasons[0].evidence.iter().any(|e| e.name == "messages overdue" && e.value == 2.0));
        assert!(!verdict.advice.is_empty());
    }

    #[test]
    fn a_certain_failure_stays_one_however_late_we_were() {
        let both = recording((0..100).map(|_| (60, 1, true)));
        assert_eq!(outcome(grounds(&both)), Outcome::Fail);
    }

    #[test]
    fn what_we_left_unsent_does_not_fail_the_target() {
        let mut recording = recording((0..90).map(|_| (0, 1, false)));
        recording.on_due(10);
        recording.on_dropped(Dropped::Unsent, 0, 10);
        assert_eq!(outcome(Grounds { dropped_by_us: 10, ..grounds(&recording) }), Outcome::Inconclusive);
        assert_eq!(outcome(Grounds { dropped_by_us: 0, ..grounds(&recording) }), Outcome::Fail);
    }

    #[test]
    fn timeouts_of_a_target_that_is_starved_with_us_do_not_fail_it() {
        let mut recording = recording((0..100).map(|i| (if i < 5 { 60 } else { 0 }, 1, false)));
        recording.on_due(5);
        for _ in 0..5 {
            let ours_ns = recording.on_sent(0, 0, 0, 0);
            let timing = Timing { due_ns: 0, sent_ns: 0, done_ns: 5_000_000_000, ours_ns };
            recording.on_failed(&Failure::Timeout, &timing, None);
        }
        assert_eq!(outcome(Grounds { target_is_ours: true, ..grounds(&recording) }), Outcome::Inconclusive);
        assert_eq!(outcome(grounds(&recording)), Outcome::Fail, "another's has its own processor");
    }

    #[test]
    fn messages_that_a_target_never_took_cannot_meet_a_latency_limit() {
        let limits = ["p99<50ms".parse().unwrap()];
        let mut recording = recording((0..60).map(|_| (0, 1, false)));
        recording.on_due(40);
        for _ in 0..40 {
            recording.on_given_up(Dropped::Unsent, 0, 2_000_000_000, 0);
        }
        let lenient = Grounds { error_threshold: 0.6, thresholds: &limits, ..grounds(&recording) };
        assert_eq!(outcome(lenient), Outcome::Fail);
    }

    #[test]
    fn what_an_end_at_once_came_to_first_is_not_judged() {
        let mut recording = recording((0..20).map(|_| (0, 1, false)));
        recording.on_due(80);
        recording.on_dropped(Dropped::Aborted, 0, 80);
        let stopped = Grounds { was_stopped_by_hand: true, ..grounds(&recording) };
        assert_eq!(outcome(stopped), Outcome::Inconclusive);
    }

    #[test]
    fn nothing_due_and_a_stop_by_hand_prove_nothing() {
        let nothing = recording([]);
        assert_eq!(outcome(grounds(&nothing)), Outcome::Inconclusive);
        let some = recording([(0, 1, false)]);
        assert_eq!(outcome(Grounds { was_stopped_by_hand: true, ..grounds(&some) }), Outcome::Inconclusive);
    }

    #[test]
    fn clients_that_are_not_told_of_one_by_one_are_judged_too() {
        let some = recording([(0, 1, false)]);
        let limits = ["age<500ms".parse().unwrap()];
        let judged = |left_out: LeftOut| {
            let served = Served {
                address: String::new(),
                cadence: String::new(),
                slow_client: String::new(),
                client_queue_bytes: 0,
                market_messages: 0,
                market_rate: 0.0,
                delivered: Traffic::default(),
                http_requests: 0,
                http_refused: 0,
                snapshot_requests: 0,
                turned_away: 0,
                clients: Vec::new(),
                clients_left_out: 9,
                left_out: Some(left_out),
                books: Vec::new(),
            };
            outcome(Grounds { thresholds: &limits, served: Some(&served), ..grounds(&some) })
        };
        let kept_up = LeftOut {
            owed_something: 9,
            owed: 9,
            cut_off: 0,
            worst_age_ms: Some(10.0),
            last_age_ms: Some(20.0),
            last_basis: Basis::Exact,
        };
        assert_eq!(judged(kept_up.clone()), Outcome::Pass);
        assert_eq!(judged(LeftOut { last_age_ms: Some(600.0), ..kept_up.clone() }), Outcome::Fail);
        assert_eq!(judged(LeftOut { worst_age_ms: Some(600.0), ..kept_up.clone() }), Outcome::Fail);
        assert_eq!(judged(LeftOut { cut_off: 1, ..kept_up.clone() }), Outcome::Fail);
        for last_basis in [Basis::LowerBound, Basis::Unknown] {
            assert_eq!(judged(LeftOut { last_basis, ..kept_up.clone() }), Outcome::Inconclusive);
        }
    }
}
