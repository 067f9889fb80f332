//! Targets that are code in this process.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tickstorm::{
    AtLimit, LoadGenerator, LoadGeneratorBuilder, LoadProfile, Message, Report, Target, Workers,
};

use crate::totals::check;

/// Keeps what it is called with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Vec<Message>>>);

impl Inbox {
    pub(crate) fn target(&self) -> Target {
        let inbox = self.clone();
        Target::call(move |message: Message| {
            inbox.0.lock().unwrap().push(message);
            async {}
        })
    }

    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// 100 messages in 100 ms.
async fn run(target: Target) -> Arc<Report> {
    run_with(target, |builder| builder).await
}

async fn run_with(
    target: Target,
    change: impl FnOnce(LoadGeneratorBuilder) -> LoadGeneratorBuilder,
) -> Arc<Report> {
    let generator = change(LoadGenerator::builder().target(target).base_rate(1000.0)).build().unwrap();
    let report = generator.run_load_test(Duration::from_millis(100), 1.0, LoadProfile::NORMAL).await.unwrap();
    check(&report);
    report
}

fn failures(report: &Report, kind: &str) -> (u64, Vec<String>) {
    let error = report.errors.iter().find(|error| error.kind == kind);
    let error = error.unwrap_or_else(|| panic!("no {kind} among {:?}", report.errors));
    assert_eq!(report.ledger.failed.get(kind), Some(&error.count));
    (error.count, error.samples.clone())
}

#[tokio::test]
async fn what_returns_has_processed_its_message() {
    let nothing = run(Target::call(|_: Message| async {})).await;
    let a_flag = run(Target::call(|_: Message| async { true })).await;
    let a_value =
        run(Target::call(|message: Message| async move { Ok::<_, Infallible>(message.sequence) })).await;
    for report in [nothing, a_flag, a_value] {
        assert_eq!((report.messages_processed, report.messages_failed), (100, 0));
        assert_eq!(report.success_rate, Some(1.0));
        assert_eq!(report.error_rate, Some(0.0));
    }
}

#[tokio::test]
async fn false_is_a_rejection() {
    let report =
        run(Target::call(|message: Message| async move { message.sequence.is_multiple_of(2) })).await;
    let (count, _) = failures(&report, "rejected");
    assert!(count > 0 && count + report.messages_processed == 100);
    assert_eq!(report.failed_latency.count, count);
}

#[derive(Debug, thiserror::Error)]
#[error("order {0} is unknown")]
struct UnknownOrder(u64);

#[tokio::test]
async fn an_error_is_counted_by_its_type_and_shown_by_its_words() {
    let report =
        run(Target::call(|message: Message| async move { Err::<(), _>(UnknownOrder(message.sequence)) }))
            .await;
    let (count, samples) = failures(&report, "UnknownOrder");
    assert_eq!(count, 100);
    assert_eq!(report.ledger.failed.len(), 1, "{:?}", report.ledger.failed);
    assert!(!samples.is_empty() && samples.len() <= 5, "{samples:?}");
    assert!(samples.iter().all(|text| text.starts_with("order ") && text.ends_with(" is unknown")));
}

#[tokio::test]
async fn a_panic_fails_its_message_and_no_other() {
    let report = run(Target::call(|message: Message| async move {
        assert!(message.due > Duration::from_millis(50), "too early for me");
    }))
    .await;
    let (count, samples) = failures(&report, "panicked");
    assert_eq!(count + report.messages_processed, 100);
    assert!((40..60).contains(&count), "{count}");
    assert_eq!(samples, ["too early for me"]);
}

#[tokio::test]
async fn a_function_that_panics_before_it_returns_a_future_fails_its_message() {
    fn process(message: Message) -> std::future::Ready<()> {
        assert_ne!(message.sequence, 1, "first messages are refused");
        std::future::ready(())
    }
    let report = run(Target::call(process)).await;
    assert!(failures(&report, "panicked").0 > 0);
    assert!(report.messages_processed > 0);
}

#[tokio::test]
async fn what_never_returns_times_out_and_frees_its_slot() {
    let dropped = Arc::new(AtomicU64::new(0));
    struct OnDrop(Arc<AtomicU64>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let count = dropped.clone();
    let target = Target::call(move |_: Message| {
        let guard = OnDrop(count.clone());
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    });
    let report = run_with(target, |builder| {
        builder.max_concurrent(50).timeout(Duration::from_millis(50)).configure(one_worker)
    })
    .await;
    // Half of them waited for a slot of the other half.
    assert_eq!(failures(&report, "timeout").0, 100);
    assert_eq!(report.latency.count, 100);
    assert_eq!(report.ledger.late_replies, 0, "nobody replied");
    assert_eq!(dropped.load(Relaxed), 100, "what timed out is cancelled");
}

#[tokio::test]
async fn a_function_that_blocks_its_runtime_shows_as_latency() {
    let target = Target::call(|_: Message| async { std::thread::sleep(Duration::from_millis(3)) });
    let report = run(target).await;
    // A hundred times 3 ms, one after the other, in a run of 100 ms.
    assert_eq!(report.messages_processed, 100);
    assert!(report.latency.max_ms.unwrap() > 150.0, "{:?}", report.latency);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn calls_run_side_by_side_up_to_the_limit() {
    for limit in [1, 2, 7] {
        let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (now.clone(), most.clone());
        let target = Target::call(move |_: Message| {
            let (now, most) = counters.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
                now.fetch_sub(1, Relaxed);
            }
        });
        // More workers than slots: each worker that is at work needs one.
        let report = run_with(target, |builder| {
            builder.max_concurrent(limit).configure(|spec| spec.workers = Workers::Count(4))
        })
        .await;
        assert_eq!(report.messages_processed, 100, "limit {limit}: {:?}", report.ledger);
        assert!(most.load(Relaxed) <= u64::from(limit), "{} at once, limit {limit}", most.load(Relaxed));
    }
}

#[tokio::test]
async fn a_target_at_its_limit_drops_or_waits_as_told_and_the_verdict_is_on_the_target() {
    let slow = || Target::call(|_: Message| async { tokio::time::sleep(Duration::from_millis(20)).await });
    let waits = run_with(slow(), |builder| builder.max_concurrent(1)).await;
    assert_eq!(waits.messages_processed, 100);
    let drops = run_with(slow(), |builder| builder.max_concurrent(1).at_limit(AtLimit::Drop)).await;
    let dropped = drops.ledger.dropped["concurrency_limit"];
    assert!(dropped > 50, "{dropped}");
    assert_eq!(drops.verdict.outcome, tickstorm_report::Outcome::Fail, "{:?}", drops.verdict);
}

#[tokio::test]
async fn waiting_for_a_slow_target_is_no_lag_of_ours() {
    // A fifth of what it is asked for, one at a time: messages wait through hundreds of replies, and between a reply and
    // the next message a moment passes each time.
    let slow = Target::call(|_: Message| async { std::thread::sleep(Duration::from_micros(200)) });
    let report =
        run_with(slow, |builder| builder.max_concurrent(1).base_rate(20_000.0).configure(one_worker)).await;
    assert_eq!(report.messages_processed, 2000);
    let (lag, ours) = (report.lag.p99_ms.unwrap(), report.pacing_lag.p99_ms.unwrap());
    assert!(lag > 200.0, "{lag}");
    // What a busy machine takes from us now and then is a small part.
    assert!(ours < lag / 3.0, "pacing lag p99 {ours} of {lag}");
}

#[tokio::test]
async fn a_batch_is_one_call_and_each_message_counts_for_itself() {
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = sizes.clone();
    let target = Target::call_batch(move |messages: Vec<Message>| {
        seen.lock().unwrap().push(messages.len());
        let is_last_early = messages.iter().all(|message| message.due < Duration::from_millis(50));
        async move { if is_last_early { Ok(()) } else { Err("late batch") } }
    });
    // Bursts give batches something to hold.
    let report = run_with(target, |builder| builder.batch(8).base_rate(20_000.0)).await;
    let sizes = std::mem::take(&mut *sizes.lock().unwrap());
    assert_eq!(sizes.iter().sum::<usize>(), 2000);
    assert!(sizes.iter().all(|&size| (1..=8).contains(&size)), "{sizes:?}");
    assert!(sizes.iter().any(|&size| size > 1), "no batch had company");
    let (failed, _) = failures(&report, "&str");
    assert_eq!(failed + report.messages_processed, 2000);
    assert!(failed >= 900 && report.messages_processed >= 900, "{failed} failed");
}

#[tokio::test]
async fn a_batch_that_never_returns_times_out_once_for_each_message() {
    let target = Target::call_batch(|_: Vec<Message>| std::future::pending::<()>());
    let report = run_with(target, |builder| builder.batch(8).timeout(Duration::from_millis(30))).await;
    assert_eq!(failures(&report, "timeout").0, 100);
    assert_eq!(report.ledger.late_replies, 0);
}

/// Whatever `batch` is, a function of one message gets every message, or the generator is not built.
#[tokio::test]
async fn a_function_of_one_message_never_loses_the_rest_of_a_batch() {
    let inbox = Inbox::default();
    let built = LoadGenerator::builder().target(inbox.target()).base_rate(20_000.0).batch(8).build();
    match built {
        Err(error) => assert!(error.to_string().contains("batch"), "{error}"),
        Ok(generator) => {
            let report =
                generator.run_load_test(Duration::from_millis(100), 1.0, LoadProfile::NORMAL).await.unwrap();
            assert_eq!(inbox.take().len() as u64, report.messages_processed);
        }
    }
}

/// A `tower` service that is ready every other time it is asked, and keeps count.
#[derive(Clone)]
struct Counter {
    asked: u64,
    called: Arc<AtomicU64>,
}

impl tower_service::Service<Message> for Counter {
    type Response = usize;
    type Error = UnknownOrder;
    type Future = Pin<Box<dyn Future<Output = Result<usize, UnknownOrder>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UnknownOrder>> {
        self.asked += 1;
        if self.asked % 2 == 1 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Message) -> Self::Future {
        assert_eq!(self.asked % 2, 0, "called before it was ready");
        let number = self.called.fetch_add(1, Relaxed);
        Box::pin(async move { if number < 10 { Err(UnknownOrder(number)) } else { Ok(message.bytes.len()) } })
    }
}

#[tokio::test]
async fn a_tower_service_is_called_when_it_is_ready() {
    let called = Arc::new(AtomicU64::new(0));
    let report = run(Target::service(Counter { asked: 0, called: called.clone() })).await;
    assert_eq!(called.load(Relaxed), 100);
    assert_eq!(failures(&report, "UnknownOrder").0, 10);
    assert_eq!(report.messages_processed, 90);
}

#[test]
fn both_kinds_of_runtime_serve_a_called_target() {
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for runtime in [current, multi] {
        let sleeps = Target::call(|_: Message| async { tokio::time::sleep(Duration::from_millis(1)).await });
        assert_eq!(runtime.block_on(run(sleeps)).messages_processed, 100);
    }
}

#[test]
fn a_runtime_that_is_dropped_fails_its_calls_and_hangs_nobody() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let target = Target::call(|_: Message| std::future::pending::<()>());
    let spec = tickstorm::Spec { duration: Some(Duration::from_millis(200)), ..tickstorm::Spec::default() };
    let plan = tickstorm::Plan::new(&spec, &target).unwrap();
    let running = {
        let _inside = runtime.enter();
        tickstorm::Run::start(plan, &target).unwrap()
    };
    while running.snapshot().in_flight == 0 {
        std::thread::yield_now();
    }
    runtime.shutdown_background();
    let report = running.wait().report;
    check(&report);
    assert_eq!(report.messages_processed, 0);
    assert_eq!(failures(&report, "connection_lost").0, report.ledger.sent);
}

#[test]
fn a_called_target_outside_of_a_runtime_is_refused() {
    let target = Target::call(|_: Message| async {});
    let plan = tickstorm::Plan::new(&tickstorm::Spec::default(), &target).unwrap();
    assert!(matches!(tickstorm::Run::start(plan, &target), Err(tickstorm::StartError::NoRuntime)));
}

pub(crate) fn one_worker(spec: &mut tickstorm::Spec) {
    spec.workers = Workers::Count(1);
}
