//! How many messages a second of one thread's processor time puts on a loopback connection, beside bare bytes.

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tickstorm::{AckMode, Pacing, Plan, Run, Spec, Target, WebSocketMessageGenerator, Workers};
use tickstorm_load::Rate;
use tickstorm_net::{Connection, Events, PlainSink, Poller, SinkMode};

use super::{Extent, Row, progress, row};

pub(crate) fn rows(extent: Extent) -> Vec<Row> {
    let (rounds, messages) = if extent == Extent::Full { (7, 3_000_000) } else { (1, 50_000) };
    let payloads: Vec<Vec<u8>> =
        WebSocketMessageGenerator::new(1).take(RING).map(|message| message.bytes.to_vec()).collect();
    let mut raw = Vec::new();
    let mut framed = Vec::new();
    let mut whole = Vec::new();
    for round in 1..=rounds {
        progress(&format!("push: round {round} of {rounds}"));
        let bytes = push_ready(&payloads, messages);
        framed.push(bytes.per_cpu_second);
        raw.push(push_raw(bytes.length, messages));
        whole.extend(push_whole(messages));
    }
    let ratio = |of: &[f64]| {
        let mut ratios: Vec<f64> = of.iter().zip(&raw).map(|(of, raw)| of / raw).collect();
        median(&mut ratios)
    };
    let (framed_ratio, whole_ratio) = (ratio(&framed), ratio(&whole));
    let millions = |mut of: Vec<f64>| format!("{:.2} M msg/s of CPU", median(&mut of) / 1e6);
    vec![
        row("the same bytes, raw, in 64 KiB writes", millions(raw.clone()), "the limit"),
        row(
            "ready messages, framed and written in full batches",
            format!("{}, {framed_ratio:.2} of raw", millions(framed)),
            ">= 0.8 of raw",
        ),
        match whole.is_empty() {
            true => row("the whole path, by the worker", "no /proc here", ">= 0.3 of raw"),
            false => row(
                "the whole path, by the worker: schedule, market, rendering, framing, writing, records",
                format!("{}, {whole_ratio:.2} of raw", millions(whole)),
                ">= 0.3 of raw",
            ),
        },
    ]
}

struct Pushed {
    per_cpu_second: f64,
    /// Bytes on the wire.
    length: usize,
}

fn push_ready(payloads: &[Vec<u8>], messages: usize) -> Pushed {
    let sink = PlainSink::start(SinkMode::WebSocket).expect("loopback is there");
    let mut connection = Connection::connect(&sink.endpoint(), PATIENCE).expect("the sink listens");
    let poller = Arc::new(Poller::new().expect("there are descriptors"));
    connection.register(&poller, 0).expect("it is a socket");
    let mut events = Events::new();
    let mut length = 0;
    let started = thread_cpu();
    let mut flush = |connection: &mut Connection| loop {
        let flushed = connection.flush().expect("the sink reads");
        length += flushed.bytes;
        if !flushed.blocked {
            break;
        }
        poller.wait(PATIENCE, &mut events).expect("waiting works");
    };
    for payload in payloads.iter().cycle().take(messages) {
        connection.push_frame(|out| out.extend_from_slice(payload));
        if connection.buffered() >= BATCH {
            flush(&mut connection);
        }
    }
    flush(&mut connection);
    let used = thread_cpu() - started;
    drop(connection);
    sink.stop().expect("the sink worked");
    Pushed { per_cpu_second: messages as f64 / used.as_secs_f64(), length }
}

/// As many bytes as `messages` took, from a block that stays in the cache.
fn push_raw(length: usize, messages: usize) -> f64 {
    let sink = PlainSink::start(SinkMode::Raw).expect("loopback is there");
    let mut stream = TcpStream::connect(sink.address()).expect("the sink listens");
    let block = vec![b'x'; BATCH];
    let started = thread_cpu();
    for _ in 0..length / BATCH {
        stream.write_all(&block).expect("the sink reads");
    }
    stream.write_all(&block[..length % BATCH]).expect("the sink reads");
    let used = thread_cpu() - started;
    drop(stream);
    sink.stop().expect("the sink worked");
    messages as f64 / used.as_secs_f64()
}

/// A run that is due as good as at once, so that the worker is always behind. Between a look when it is well under way
/// and one shortly before its end, what arrived is set against the processor time that the worker used.
fn push_whole(messages: usize) -> Option<f64> {
    let sink = PlainSink::start(SinkMode::WebSocket).expect("loopback is there");
    let target = Target::WebSocket(sink.endpoint());
    let spec = Spec {
        base_rate: Rate::per_second(messages as u64 * 100).expect("it is a rate"),
        multiplier: tickstorm_load::Factor::ONE,
        duration: Some(Duration::from_millis(10)),
        timeout: PATIENCE,
        ack: Some(AckMode::None),
        workers: Workers::Count(1),
        pacing: Pacing::Sleep,
        ..Spec::default()
    };
    let plan = Plan::new(&spec, &target).expect("the plan can be carried out");
    let run = Run::start(plan, &target).expect("the sink listens");
    let mut looks: Vec<(u64, Duration)> = Vec::new();
    let worker = loop {
        match find_thread("tickstorm-0") {
            Some(worker) => break Some(worker),
            None if run.is_finished() || !PathBuf::from("/proc/self/task").exists() => break None,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    while !run.is_finished() {
        if let Some(cpu) = worker.as_ref().and_then(|task| cpu_of(task)) {
            looks.push((sink.bytes(), cpu));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let finished = run.wait();
    let ledger = &finished.report.ledger;
    assert_eq!(ledger.sent, messages as u64, "{ledger:?}");
    sink.stop().expect("the sink worked");
    let bytes = finished.report.generator.bytes_sent? as f64;
    looks.retain(|&(at, _)| (0.1 * bytes..0.9 * bytes).contains(&(at as f64)));
    let ((first_bytes, first_cpu), (last_bytes, last_cpu)) = (*looks.first()?, *looks.last()?);
    let used = (last_cpu - first_cpu).as_secs_f64();
    let sent = (last_bytes - first_bytes) as f64 / bytes * messages as f64;
    (used > 0.0).then(|| sent / used)
}

/// The youngest thread of ours with this name.
fn find_thread(name: &str) -> Option<PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").ok()?.flatten().map(|task| task.path());
    tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)).max()
}

fn cpu_of(task: &Path) -> Option<Duration> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const BATCH: usize = 64 << 10;

const RING: usize = 2_000;

const PATIENCE: Duration = Duration::from_secs(60);
