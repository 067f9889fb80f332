//! `LoadGenerator`: what it is asked, what it says, how it is stopped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tickstorm::{
    LoadGenerator, LoadGeneratorBuilder, LoadProfile, Message, Plan, RunError, Spec, StopReason, Target,
    Workers,
};
use tickstorm_report::Outcome;

use crate::{call::one_worker, totals::check};

fn quick() -> LoadGeneratorBuilder {
    LoadGenerator::builder().target(Target::call(|_: Message| async {})).base_rate(1000.0)
}

/// Its calls never return.
fn hanging() -> LoadGeneratorBuilder {
    quick().target(Target::call(|_: Message| std::future::pending::<()>()))
}

const SHORT: Duration = Duration::from_millis(100);
/// Longer than any test waits: such a run is ended.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_run_starts_from_fresh_figures() {
    let generator = quick().build().unwrap();
    assert!(!generator.running());
    assert_eq!(generator.metrics(), tickstorm::Metrics::default());
    assert!(generator.report().is_none());
    for multiplier in [1.0, 3.0, 0.5] {
        let total = (100.0 * multiplier) as u64;
        let report = generator.run_load_test(SHORT, multiplier, LoadProfile::NORMAL).await.unwrap();
        check(&report);
        assert_eq!(report.total_messages, total);
        assert!(!generator.running());
        let metrics = generator.metrics();
        assert!(metrics.is_finished);
        assert_eq!((metrics.total_messages, metrics.messages_processed), (total, total));
        assert_eq!((metrics.messages_failed, metrics.active, metrics.error_rate), (0, 0, 0.0));
        assert_eq!(metrics.elapsed, SHORT);
        assert!(Arc::ptr_eq(&generator.report().unwrap(), &report));
    }
}

#[tokio::test]
async fn metrics_are_live_and_a_stop_ends_the_run_with_a_report() {
    let generator = quick().report_interval(Duration::from_millis(100)).build().unwrap();
    let watch = async {
        while generator.metrics().messages_processed < 1000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(generator.running());
        let metrics = generator.metrics();
        assert!(!metrics.is_finished);
        assert!(metrics.total_messages >= metrics.messages_processed);
        assert!(metrics.p50_latency_ms > 0.0 && metrics.p50_latency_ms <= metrics.p99_latency_ms);
        assert!(metrics.memory_usage_mb > 0.0);
        generator.stop_handle().stop();
    };
    let (report, ()) = tokio::join!(generator.run_load_test(LONG, 1.0, LoadProfile::NORMAL), watch);
    let report = report.unwrap();
    check(&report);
    assert_eq!(report.stopped.as_ref().unwrap().reason, StopReason::Requested);
    assert_eq!(report.verdict.outcome, Outcome::Inconclusive);
    assert!(report.total_messages >= 1000 && report.total_messages < 60_000);
    assert_eq!(report.messages_processed, report.total_messages);
    assert!(report.test_duration < 60.0);
    assert!(!generator.running());
    assert_eq!(generator.metrics().total_messages, report.total_messages);
}

#[tokio::test]
async fn a_stop_awaits_the_replies_and_an_abort_does_not() {
    let active = |generator: &LoadGenerator| {
        let generator = generator.clone();
        async move {
            while generator.metrics().active < 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let generator = hanging().timeout(Duration::from_millis(300)).build().unwrap();
    let stop = async {
        active(&generator).await;
        generator.stop_handle().stop();
    };
    let (report, ()) = tokio::join!(generator.run_load_test(LONG, 0.1, LoadProfile::NORMAL), stop);
    let report = report.unwrap();
    check(&report);
    assert_eq!(report.ledger.failed["timeout"], report.ledger.sent);
    assert_eq!(report.ledger.aborted, 0);

    let generator = hanging().build().unwrap();
    let abort = async {
        active(&generator).await;
        generator.stop_handle().abort();
    };
    let (report, ()) = tokio::join!(generator.run_load_test(LONG, 0.1, LoadProfile::NORMAL), abort);
    let report = report.unwrap();
    assert!(report.ledger.aborted >= 10, "{:?}", report.ledger);
    assert_eq!(report.ledger.sent, report.ledger.aborted);
    assert_eq!(report.messages_failed, report.ledger.due - report.ledger.sent);
}

#[tokio::test]
async fn the_timeline_of_a_stopped_run_ends_where_the_run_did() {
    let slow = Target::call(|_: Message| async { tokio::time::sleep(Duration::from_millis(700)).await });
    let generator = quick().target(slow).report_interval(Duration::from_millis(100)).build().unwrap();
    let stop = async {
        while generator.metrics().elapsed < Duration::from_millis(250) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        generator.stop_handle().stop();
    };
    let (report, ()) = tokio::join!(generator.run_load_test(LONG, 1.0, LoadProfile::NORMAL), stop);
    // The replies of the last 700 ms came after the stop; they are in the last entry.
    check(&report.unwrap());
}

#[tokio::test]
async fn a_stop_is_obeyed_also_when_nothing_more_is_due() {
    let calm_after_the_storm = LoadProfile::parse_stages("100ms:1x, 60s:0x").unwrap();
    let length = calm_after_the_storm.stages_duration().unwrap();
    for arrivals in ["paced", "poisson", "bursty"] {
        let generator = quick()
            .arrivals(arrivals.parse().unwrap())
            .report_interval(Duration::from_millis(100))
            .build()
            .unwrap();
        let stop = async {
            while generator.metrics().messages_processed < 100 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            generator.stop_handle().stop();
        };
        let run = generator.run_load_test(length, 1.0, calm_after_the_storm.clone());
        let (report, ()) = tokio::join!(run, stop);
        let report = report.unwrap();
        check(&report);
        assert_eq!(report.messages_processed, 100);
        assert!(report.stopped.is_some(), "{arrivals}");
        assert!(report.test_duration < 30.0, "{arrivals}: {}", report.test_duration);
    }
}

#[tokio::test]
async fn a_stop_while_nothing_runs_does_nothing() {
    let generator = quick().build().unwrap();
    generator.stop_handle().stop();
    generator.stop_handle().abort();
    let report = generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL).await.unwrap();
    assert!(report.stopped.is_none());
    generator.stop_handle().abort();
    assert!(generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL).await.unwrap().stopped.is_none());
}

#[tokio::test]
async fn a_second_run_at_the_same_time_is_refused() {
    let generator = quick().build().unwrap();
    let first = generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL);
    let second = generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL);
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(second, Err(RunError::AlreadyRunning)));
    assert_eq!(first.unwrap().messages_processed, 100);
    assert_eq!(
        generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL).await.unwrap().messages_processed,
        100
    );
}

#[tokio::test]
async fn a_dropped_future_aborts_its_run() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = calls.clone();
    let target = Target::call(move |_: Message| {
        counter.fetch_add(1, Relaxed);
        async {}
    });
    let generator = quick().target(target).build().unwrap();
    {
        let run = generator.run_load_test(LONG, 1.0, LoadProfile::NORMAL);
        let enough = async {
            while calls.load(Relaxed) < 50 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = run => panic!("it runs for a minute"),
            () = enough => {}
        }
    }
    assert!(!generator.running());
    while !generator.metrics().is_finished {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let after = calls.load(Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(calls.load(Relaxed), after, "nobody is called after the end");
    assert!(generator.report().is_none());
    assert_eq!(
        generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL).await.unwrap().messages_processed,
        100
    );
}

#[test]
fn what_makes_no_generator_is_named_together() {
    let error = LoadGenerator::builder()
        .base_rate(0.0)
        .report_interval(Duration::ZERO)
        .max_concurrent(0)
        .timeout(Duration::ZERO)
        .error_threshold(1.5)
        .symbols(0)
        .batch(0)
        .build()
        .unwrap_err();
    let text = error.to_string();
    for (name, value) in [
        ("rate", "0"),
        ("report", "0"),
        ("concurrent", "0"),
        ("timeout", "0"),
        ("threshold", "1.5"),
        ("symbols", "0"),
        ("batch", "0"),
    ] {
        let named = error.0.iter().any(|problem| problem.contains(name) && problem.contains(value));
        assert!(named, "{name} is missing in: {text}");
    }
}

#[test]
fn no_spec_makes_a_plan_panic() {
    let wrong: [fn(&mut Spec); 16] = [
        |spec| spec.batch = 0,
        |spec| spec.connections = 0,
        |spec| spec.connections = 70_000,
        |spec| spec.workers = Workers::Count(0),
        |spec| spec.max_concurrent = 0,
        |spec| spec.symbols = 0,
        |spec| spec.symbols = 10_001,
        |spec| spec.report_interval = Duration::ZERO,
        |spec| spec.report_interval = Duration::MAX,
        |spec| spec.timeout = Duration::ZERO,
        |spec| spec.timeout = Duration::MAX,
        |spec| spec.duration = Some(Duration::ZERO),
        |spec| (spec.duration, spec.warmup) = (Some(Duration::MAX), Duration::from_secs(1)),
        |spec| spec.warmup = Duration::MAX,
        |spec| spec.error_threshold = f64::NAN,
        |spec| spec.ack_pointer = String::new(),
    ];
    for (number, change) in wrong.iter().enumerate() {
        let mut spec = Spec::default();
        change(&mut spec);
        let planned = std::panic::catch_unwind(|| Plan::new(&spec, &"ws://127.0.0.1:9".parse().unwrap()));
        let planned = planned.unwrap_or_else(|_| panic!("the {number}-th wrong spec made the plan panic"));
        let errors = planned.err().unwrap_or_else(|| panic!("the {number}-th wrong spec made a plan"));
        assert!(!errors.0.is_empty());
    }
}

#[tokio::test]
async fn a_run_that_cannot_be_is_refused_and_the_generator_stays_usable() {
    let generator = quick().build().unwrap();
    // By the last of them no message would be due.
    for multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.000_001] {
        let refused = generator.run_load_test(SHORT, multiplier, LoadProfile::NORMAL).await;
        assert!(matches!(refused, Err(RunError::Multiplier(_) | RunError::Plan(_))), "{multiplier}");
    }
    for duration in [Duration::ZERO, Duration::MAX] {
        let refused = generator.run_load_test(duration, 1.0, LoadProfile::NORMAL).await;
        assert!(matches!(refused, Err(RunError::Plan(_))), "{duration:?}");
    }
    assert!(!generator.running());
    assert_eq!(
        generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL).await.unwrap().messages_processed,
        100
    );
}

#[tokio::test]
async fn a_run_that_is_stopped_before_anything_is_due_proves_nothing() {
    let generator = quick().build().unwrap();
    let calm_before_the_storm = LoadProfile::parse_stages("59s:0x, 1s:1x").unwrap();
    let stop = async {
        while !generator.running() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        generator.stop_handle().stop();
    };
    let (report, ()) = tokio::join!(generator.run_load_test(LONG, 1.0, calm_before_the_storm), stop);
    let report = report.unwrap();
    check(&report);
    assert_eq!(report.total_messages, 0);
    assert_eq!(report.verdict.outcome, Outcome::Inconclusive);
    assert_eq!((report.error_rate, report.p99_latency_ms), (None, None));
}

#[tokio::test]
async fn an_error_rate_at_the_threshold_passes_and_above_it_fails() {
    let every = |nth: u64| {
        let calls = Arc::new(AtomicU64::new(0));
        Target::call(move |_: Message| {
            let number = calls.fetch_add(1, Relaxed);
            async move { !number.is_multiple_of(nth) }
        })
    };
    for (nth, outcome) in [(50, Outcome::Pass), (10, Outcome::Fail)] {
        let generator =
            quick().target(every(nth)).error_threshold(0.02).configure(one_worker).build().unwrap();
        let report = generator.run_load_test(SHORT, 1.0, LoadProfile::NORMAL).await.unwrap();
        assert_eq!(report.messages_failed, 100 / nth);
        // A machine that starves the test makes a pass inconclusive; that is the verdict's business.
        let is_right = report.verdict.outcome == outcome
            || outcome == Outcome::Pass && report.verdict.outcome == Outcome::Inconclusive;
        assert!(is_right, "{:?}", report.verdict);
    }
}

#[tokio::test]
async fn the_built_in_target_acknowledges_everything_and_finds_no_fault() {
    for (connections, batch) in [(1, 1), (5, 1), (3, 16)] {
        let generator = LoadGenerator::builder()
            .base_rate(2000.0)
            .batch(batch)
            .configure(|spec| spec.connections = connections)
            .build()
            .unwrap();
        let report =
            generator.run_load_test(Duration::from_millis(300), 2.0, LoadProfile::VOLATILE).await.unwrap();
        check(&report);
        assert_eq!(report.messages_processed, report.plan.planned_total);
        let findings = report.target.builtin.as_ref().unwrap();
        assert_eq!(findings.messages, report.total_messages);
        assert_eq!((findings.decode_errors, findings.faults.len()), (0, 0), "{findings:?}");
        assert_eq!(report.connections.len(), connections as usize);
        assert_eq!(report.connections.iter().map(|one| one.sent).sum::<u64>(), report.total_messages);
    }
}
