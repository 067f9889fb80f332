//! Targets that a host of their own calls.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tickstorm::{
    AtLimit, CallFailure, Content, HostedCall, HostedCalls, Plan, Report, Run, Spec, StartError, StopReason,
    Target, Wordings,
};

use crate::totals::check;

/// A host with one thread, which sleeps until it is woken and then hands each call to `make`.
fn host(
    wordings: Wordings,
    mut make: impl FnMut(&HostedCalls, HostedCall) + Send + 'static,
) -> (HostedCalls, JoinHandle<()>) {
    let (wake, woken) = std::sync::mpsc::channel();
    let calls = HostedCalls::new(wordings, move || {
        // A host that has left needs no waking.
        let _ = wake.send(());
    });
    let own = calls.clone();
    let thread = thread::spawn(move || {
        while !own.is_over() {
            // The engine wakes a host that has gone; what it takes to make calls may pass without one.
            let _ = woken.recv_timeout(Duration::from_millis(5));
            own.come();
            while own.take_given_up().is_some() {}
            while let Some(call) = own.take() {
                make(&own, call);
            }
        }
    });
    (calls, thread)
}

/// 100 messages in 100 ms.
fn spec() -> Spec {
    Spec {
        duration: Some(Duration::from_millis(100)),
        base_rate: "1000".parse().unwrap(),
        multiplier: "1".parse().unwrap(),
        ..Spec::default()
    }
}

fn run(spec: &Spec, (calls, thread): (HostedCalls, JoinHandle<()>)) -> Report {
    let target = Target::hosted(calls);
    let run = Run::start(Plan::new(spec, &target).unwrap(), &target).unwrap();
    let report = run.wait().report;
    thread.join().unwrap();
    check(&report);
    report
}

#[test]
fn a_host_fetches_makes_and_ends_every_call() {
    let report = run(
        &spec(),
        host(Wordings::Market, |calls, call| {
            assert!(matches!(&call.content, Content::Market(messages) if messages.len() == 1));
            calls.end(call.id, Ok(()));
        }),
    );
    assert_eq!((report.messages_processed, report.messages_failed), (100, 0));
}

#[test]
fn a_call_carries_the_venues_bytes_where_those_are_wanted() {
    let report = run(
        &spec(),
        host(Wordings::Venue, |calls, call| {
            let Content::Venue(messages) = &call.content else { panic!("{call:?}") };
            assert!(messages[0].bytes.starts_with(b"{\"e\":\""), "{messages:?}");
            calls.end(call.id, Ok(()));
        }),
    );
    assert_eq!(report.messages_processed, 100);
}

#[test]
fn failures_are_counted_by_kind() {
    let report = run(
        &spec(),
        host(Wordings::Market, |calls, call| {
            let error = CallFailure::Error { kind: "KeyError".into(), text: "'price'".into() };
            calls.end(call.id, if call.id.first % 2 == 0 { Err(error) } else { Err(CallFailure::Rejected) });
        }),
    );
    assert_eq!(report.ledger.failed.get("KeyError"), Some(&50));
    assert_eq!(report.ledger.failed.get("rejected"), Some(&50));
}

#[test]
fn what_waits_for_the_host_is_stall_and_not_service() {
    let mut is_first = true;
    let report = run(
        &spec(),
        host(Wordings::Market, move |calls, call| {
            if std::mem::take(&mut is_first) {
                // A host that is kept busy for most of the run.
                let until = Instant::now() + Duration::from_millis(60);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            calls.end(call.id, Ok(()));
        }),
    );
    let (latency, service) = (report.latency.p50_ms.unwrap(), report.service_time.p50_ms.unwrap());
    assert!(latency > 5.0 && service < 1.0, "{latency} {service}");
    let max = report.latency.max_ms.unwrap();
    assert!(max >= 59.0, "{max}");
}

#[test]
fn at_most_so_many_messages_are_under_way() {
    let spec = Spec { max_concurrent: 3, timeout: Duration::from_secs(1), ..spec() };
    let mut most = 0;
    let mut open = Vec::new();
    let seen = Arc::new(std::sync::Mutex::new(0));
    let told = seen.clone();
    let report = run(
        &spec,
        host(Wordings::Market, move |calls, call| {
            most = most.max(calls.under_way());
            *told.lock().unwrap() = most;
            open.push(call.id);
            // Full: the oldest ends, and the next can be taken.
            if open.len() == 3 {
                calls.end(open.remove(0), Ok(()));
            }
        }),
    );
    assert!(*seen.lock().unwrap() <= 3);
    // The two that were never ended timed out.
    assert_eq!(report.ledger.failed.get("timeout"), Some(&2), "{:?}", report.ledger);
    assert_eq!(report.messages_processed, 98);
}

#[test]
fn what_finds_the_limit_reached_is_dropped_if_that_is_the_rule() {
    let spec = Spec { max_concurrent: 1, at_limit: AtLimit::Drop, timeout: Duration::from_secs(1), ..spec() };
    let report = run(
        &spec,
        host(Wordings::Market, |calls, call| {
            let until = Instant::now() + Duration::from_millis(5);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            calls.end(call.id, Ok(()));
        }),
    );
    assert!(report.ledger.dropped_total() > 50, "{:?}", report.ledger);
    assert_eq!(report.messages_processed + report.ledger.dropped_total(), 100);
}

#[test]
fn a_run_that_is_aborted_counts_what_is_under_way_as_aborted() {
    let (calls, thread) = host(Wordings::Market, |_, _| ());
    let target = Target::hosted(calls.clone());
    let spec = Spec { duration: Some(Duration::from_secs(60)), ..spec() };
    let run = Run::start(Plan::new(&spec, &target).unwrap(), &target).unwrap();
    while calls.under_way() < 5 {
        thread::yield_now();
    }
    run.abort(StopReason::Requested);
    let report = run.wait().report;
    thread.join().unwrap();
    check(&report);
    assert!(report.ledger.aborted >= 5, "{:?}", report.ledger);
    assert_eq!(report.messages_failed, report.ledger.dropped_total());
}

#[test]
fn hosted_calls_serve_one_run() {
    let (calls, thread) = host(Wordings::Market, |calls, call| {
        calls.end(call.id, Ok(()));
    });
    let target = Target::hosted(calls);
    let plan = Plan::new(&spec(), &target).unwrap();
    let first = Run::start(plan.clone(), &target).unwrap();
    assert!(matches!(Run::start(plan, &target), Err(StartError::HostUsed)));
    first.wait();
    thread.join().unwrap();
}
