use std::time::Duration;

use tickstorm::{Arrivals, LoadGenerator, LoadProfile, Message, Report, Target};

/// What holds of every report of a run that ended by itself.
pub(crate) fn check(report: &Report) {
    let ledger = &report.ledger;
    let dropped: u64 = ledger.dropped.values().sum();
    let failed: u64 = ledger.failed.values().sum();
    let dropped_as = |reason: &str| ledger.dropped.get(reason).copied().unwrap_or(0);
    assert_eq!(ledger.due, ledger.sent + dropped);
    assert_eq!(ledger.sent, ledger.processed + failed + ledger.aborted);
    assert_eq!(report.total_messages, ledger.due);
    assert_eq!(report.messages_processed, ledger.processed);
    assert_eq!(report.messages_failed, failed + dropped - dropped_as("aborted"));
    assert_eq!(report.messages.values().sum::<u64>(), ledger.sent);

    let sum = |count: fn(&tickstorm_report::Interval) -> u64| report.timeline.iter().map(count).sum::<u64>();
    assert_eq!(sum(|interval| interval.due), ledger.due);
    assert_eq!(sum(|interval| interval.sent), ledger.sent);
    assert_eq!(sum(|interval| interval.processed), ledger.processed);
    assert_eq!(sum(|interval| interval.failed), failed);
    assert_eq!(sum(|interval| interval.dropped), dropped);
    let mut end_s = 0.0;
    for interval in &report.timeline {
        assert_eq!(interval.start_s, end_s, "the timeline has no gap: {:?}", report.timeline);
        assert!(interval.end_s > interval.start_s, "{:?}", report.timeline);
        end_s = interval.end_s;
    }
    // The last entry holds the drain, which the timeout bounds; what fell due in it fell due in the measured phase.
    assert!(end_s >= report.test_duration, "{end_s} of {}", report.test_duration);
    for interval in report.timeline.iter().rev().skip(1) {
        assert!(interval.end_s < report.test_duration, "{:?}", report.timeline);
    }

    for summary in [
        &report.latency,
        &report.net_latency,
        &report.service_time,
        &report.lag,
        &report.stall,
        &report.pacing_lag,
        &report.failed_latency,
    ] {
        let ascending = [
            summary.min_ms,
            summary.p50_ms,
            summary.p90_ms,
            summary.p95_ms,
            summary.p99_ms,
            summary.p99_9_ms,
            summary.p99_99_ms,
            summary.max_ms,
        ];
        assert!(ascending.is_sorted(), "{summary:?}");
        assert_eq!(summary.count == 0, summary.max_ms.is_none());
    }
    let answered = ledger.processed
        + ["timeout", "connection_lost"].iter().filter_map(|kind| ledger.failed.get(*kind)).sum::<u64>();
    assert_eq!(report.latency.count, answered + dropped_as("unsent") + dropped_as("not_connected"));
    assert_eq!(report.service_time.count, answered);
    assert_eq!(report.lag.count, ledger.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_profile_sends_exactly_what_its_schedule_says() {
    let generator = LoadGenerator::builder()
        .target(Target::call(|message: Message| async move { !message.bytes.is_empty() }))
        .report_interval(Duration::from_millis(250))
        .build()
        .unwrap();
    let stages = LoadProfile::parse_stages("300ms:1x, 300ms:1x..8x, 400ms:3x").unwrap();
    let profiles = [
        // 1000 msg/s for a second; half of the ramps' peak of 5; nine tenths at 1 and a tenth at 10.
        (LoadProfile::NORMAL, Some(1000)),
        (LoadProfile::RAMP_UP, Some(2500)),
        (LoadProfile::RAMP_DOWN, Some(2500)),
        (LoadProfile::SPIKE, Some(1900)),
        (LoadProfile::VOLATILE, None),
        (stages, Some(300 + 1350 + 1200)),
    ];
    for (profile, total) in profiles {
        let report = generator.run_load_test(Duration::from_secs(1), 10.0, profile.clone()).await.unwrap();
        check(&report);
        assert_eq!(report.total_messages, report.plan.planned_total, "{profile}");
        assert_eq!(report.messages_processed, report.plan.planned_total, "{profile}");
        assert!(
            total.is_none_or(|total| report.total_messages == total),
            "{profile}: {}",
            report.total_messages
        );
        assert_eq!(report.test_duration, 1.0);
        assert_eq!(report.timeline.len(), 4, "{profile}");
    }
}

#[tokio::test]
async fn every_kind_of_arrival_sends_exactly_what_its_schedule_says() {
    for arrivals in ["paced", "poisson", "bursty", "bursty:crash"] {
        let generator = LoadGenerator::builder()
            .target(Target::call(|_: Message| async {}))
            .arrivals(arrivals.parse::<Arrivals>().unwrap())
            .build()
            .unwrap();
        let report =
            generator.run_load_test(Duration::from_millis(300), 20.0, LoadProfile::NORMAL).await.unwrap();
        check(&report);
        assert_eq!(report.total_messages, 600, "{arrivals}");
        assert_eq!(report.messages_processed, 600, "{arrivals}");
    }
}

#[tokio::test]
async fn a_warm_up_enters_no_figure() {
    let inbox = crate::call::Inbox::default();
    let generator = LoadGenerator::builder()
        .target(inbox.target())
        .base_rate(500.0)
        .warmup(Duration::from_millis(200))
        .build()
        .unwrap();
    let report = generator.run_load_test(Duration::from_millis(200), 2.0, LoadProfile::NORMAL).await.unwrap();
    check(&report);
    assert_eq!(report.total_messages, 200);
    assert_eq!(report.test_duration, 0.2);
    // 100 at the base rate came before.
    assert_eq!(inbox.take().len(), 300);
}
