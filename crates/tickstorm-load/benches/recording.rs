//! What the bookkeeping costs: `cargo bench -p tickstorm-load --bench recording`. Run without `--bench` (as the
//! tests do) it only takes each path once.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use tickstorm_load::{Failure, Histogram, Recording, RecordingSpec, Timing};
use tickstorm_random::Seed;

fn main() {
    let (messages, repeats) =
        if std::env::args().any(|arg| arg == "--bench") { (1 << 18, 20) } else { (16, 1) };
    let timings = timings(messages);

    let mut histogram = Histogram::new();
    best("histogram record", messages, repeats, || {
        for timing in &timings {
            histogram.record(black_box(timing.done_ns - timing.due_ns));
        }
    });
    let mut recording = Recording::new(RecordingSpec::default());
    best("message sent and processed", messages, repeats, || {
        for timing in &timings {
            recording.on_due(1);
            let lag_ns = timing.sent_ns - timing.due_ns;
            let pacing_ns = recording.on_sent(0, timing.sent_ns, lag_ns, black_box(0));
            recording.on_processed(&Timing { ours_ns: pacing_ns, ..*timing });
        }
    });
    best("message sent and failed", messages, repeats, || {
        for timing in &timings {
            recording.on_due(1);
            let lag_ns = timing.sent_ns - timing.due_ns;
            let pacing_ns = recording.on_sent(0, timing.sent_ns, lag_ns, black_box(0));
            recording.on_failed(&Failure::Rejected, &Timing { ours_ns: pacing_ns, ..*timing }, Some("busy"));
        }
    });

    let mut total = Recording::new(RecordingSpec::default());
    best("merge of a recording", 1, repeats, || total.merge(black_box(&recording)));
    best("seven percentiles", 1, repeats, || {
        for p in [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99] {
            black_box(total.latency().percentile_ns(black_box(p)));
        }
    });
    best("compressed histogram", 1, repeats, || {
        black_box(total.latency().encode_v2_deflate());
    });
    best("clear", 1, 1, || total.clear());
}

/// Messages 1 us apart whose lag is around 50 us and whose service time is spread around 100 us with a tail, so
/// that the buckets touched are as many as in a run.
fn timings(count: usize) -> Vec<Timing> {
    let mut stream = Seed::new(1).stream("bench", 0);
    (0..count as u64)
        .map(|n| {
            let due_ns = n * 1_000;
            let sent_ns = due_ns + u64::from(stream.below(100_000));
            let tail = if stream.below(100) == 0 { 50 } else { 1 };
            let done_ns = sent_ns + 20_000 + tail * u64::from(stream.below(160_000));
            Timing { due_ns, sent_ns, done_ns, ours_ns: 0 }
        })
        .collect()
}

/// Prints the time of one of `units` in the best of the repeats.
fn best(what: &str, units: usize, repeats: usize, mut run: impl FnMut()) {
    let fastest = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!("{what:<28} {:>12.1} ns", fastest.as_nanos() as f64 / units as f64);
}
