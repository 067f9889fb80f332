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

/// A host with one thread, which sleeps until it is woken and then begins each call and hands it to `make`.
fn host(
    wordings: Wordings,
    mut make: impl FnMut(&HostedCalls, HostedCall) + Send + 'static,
) -> (HostedCalls, JoinHandle<()>) {
    looking(wordings, move |calls| {
        while let Some(call) = calls.take() {
            calls.begin(call.id);
            make(calls, call);
        }
    })
}

/// A host with one thread, which sleeps until it is woken and then does as it likes with what it may take.
fn looking(
    wordings: Wordings,
    mut look: impl FnMut(&HostedCalls) + Send + 'static,
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
            look(&own);
        }
    });
    (calls, thread)
}

fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
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
                spin(Duration::from_millis(60));
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
fn what_was_taken_and_waits_for_its_beginning_is_neither_served_nor_timed_out() {
    let spec =
        Spec { duration: Some(Duration::from_millis(400)), timeout: Duration::from_millis(100), ..spec() };
    let mut is_first = true;
    let report = run(
        &spec,
        looking(Wordings::Market, move |calls| {
            let taken: Vec<_> = std::iter::from_fn(|| calls.take()).collect();
            if !taken.is_empty() && std::mem::take(&mut is_first) {
                thread::sleep(Duration::from_millis(200));
            }
            for call in taken {
                calls.begin(call.id);
                calls.end(call.id, Ok(()));
            }
        }),
    );
    assert_eq!((report.messages_processed, report.messages_failed), (400, 0), "{:?}", report.ledger);
    let (service, stall) = (report.service_time.max_ms.unwrap(), report.stall.max_ms.unwrap());
    assert!(service < 50.0 && stall > 150.0, "{service} {stall}");
}

#[test]
fn calls_may_begin_in_another_order_than_they_were_taken() {
    let report = run(
        &spec(),
        looking(Wordings::Market, |calls| {
            spin(Duration::from_millis(8));
            let taken: Vec<_> = std::iter::from_fn(|| calls.take()).collect();
            // The last one first, and ended long before the engine may know that it has begun.
            for call in taken.iter().rev() {
                calls.begin(call.id);
                calls.end(call.id, Ok(()));
                spin(Duration::from_millis(1));
            }
        }),
    );
    assert_eq!((report.messages_processed, report.messages_failed), (100, 0), "{:?}", report.ledger);
    let service = report.service_time.max_ms.unwrap();
    assert!(service < 5.0, "{service}");
}

#[test]
fn a_call_that_ends_without_having_begun_is_counted() {
    let report = run(
        &spec(),
        looking(Wordings::Market, |calls| {
            while let Some(call) = calls.take() {
                calls.end(call.id, if call.id.first % 2 == 0 { Ok(()) } else { Err(CallFailure::Rejected) });
            }
        }),
    );
    assert_eq!((report.messages_processed, report.messages_failed), (50, 50));
    assert_eq!(report.service_time.max_ms, Some(0.0));
}

#[test]
fn what_was_taken_and_never_begun_was_never_sent() {
    let spec = Spec { timeout: Duration::from_millis(200), ..spec() };
    let mut kept = Vec::new();
    let report = run(
        &spec,
        looking(Wordings::Market, move |calls| {
            while let Some(call) = calls.take() {
                if call.id.first < 90 {
                    assert!(calls.begin(call.id), "it is waited for");
                    calls.end(call.id, Ok(()));
                } else {
                    kept.push(call.id);
                }
            }
            // Too late: nobody waits for them any more.
            if calls.is_over() {
                for id in kept.drain(..) {
                    assert!(!calls.begin(id), "nobody waits for it");
                    calls.end(id, Ok(()));
                }
            }
        }),
    );
    assert_eq!(report.messages_processed, 90);
    assert_eq!(report.ledger.dropped.get("unsent"), Some(&10), "{:?}", report.ledger);
}

#[test]
fn one_that_is_kept_does_not_hide_those_that_have_begun_after_it() {
    let spec = Spec { timeout: Duration::from_millis(200), ..spec() };
    let report = run(
        &spec,
        looking(Wordings::Market, |calls| {
            while let Some(call) = calls.take() {
                if call.id.first != 50 {
                    calls.begin(call.id);
                    calls.end(call.id, Ok(()));
                }
            }
        }),
    );
    assert_eq!(report.messages_processed, 99, "{:?}", report.ledger);
    assert_eq!(report.ledger.failed.get("timeout"), Some(&1), "{:?}", report.ledger);
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
            spin(Duration::from_millis(5));
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
    assert_eq!(report.messages_failed, 0);
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
