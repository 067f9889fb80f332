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

use tickstorm::{AckMode, Pacing, Plan, Run, Spec, Target, WebSocketMessageGenerator, Workers};
use tickstorm_load::Rate;
use tickstorm_net::{
    Connection, Events, Poller,
    frame::{self, Opcode},
};

use super::{
    Extent, Row,
    drain::{Drain, Greeting},
    progress, row, thread_cpu,
};

pub(crate) fn rows(extent: Extent) -> Vec<Row> {
    let (rounds, messages) = if extent == Extent::Full { (9, 1_000_000) } else { (1, 20_000) };
    let ready = Ready::new(messages);
    let (mut raw, mut framed, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        progress(&format!("push: round {round} of {rounds}"));
        raw.push(ready.push_raw());
        framed.push(ready.push_framed());
        whole.extend(push_whole(messages));
    }
    let ratio = |of: &[f64]| median(of.iter().zip(&raw).map(|(of, raw)| raw / of));
    let shown = |of: &[f64]| {
        let ns = median(of.iter().copied());
        format!("{ns:.0} ns, {:.1} M msg/s", 1e3 / ns)
    };
    let beside = |of: &[f64]| format!("{}, {:.2} of raw", shown(of), ratio(of));
    vec![
        row("raw: their bytes from memory in writes of 64 KiB, CPU a message", shown(&raw), "the limit"),
        row("ready messages, framed and written in full batches", beside(&framed), ">= 0.8 of raw"),
        row(
            "the whole path, by the worker: schedule, market, rendering, framing, writing, records",
            if whole.is_empty() { "needs /proc".to_owned() } else { beside(&whole) },
            ">= 0.3 of raw",
        ),
    ]
}

/// Messages made beforehand.
struct Ready {
    payloads: Vec<u8>,
    lengths: Vec<usize>,
    /// The same as frames.
    wire: Vec<u8>,
}

impl Ready {
    fn new(messages: usize) -> Self {
        let mut ready = Self { payloads: Vec::new(), lengths: Vec::new(), wire: Vec::new() };
        for (n, message) in WebSocketMessageGenerator::new(1).take(messages).enumerate() {
            ready.payloads.extend_from_slice(&message.bytes);
            ready.lengths.push(message.bytes.len());
            frame::write(&mut ready.wire, Opcode::Text, &message.bytes, Some((n as u32).to_ne_bytes()));
        }
        ready
    }

    /// Nanoseconds of this thread a message, as in all of these.
    fn push_raw(&self) -> f64 {
        let drain = Drain::start(Greeting::None);
        let mut stream = TcpStream::connect(drain.address()).expect("the drain listens");
        let started = thread_cpu();
        for piece in self.wire.chunks(BATCH) {
            stream.write_all(piece).expect("the drain reads");
        }
        let used = thread_cpu() - started;
        drop(stream);
        assert_eq!(drain.finish(), self.wire.len() as u64);
        used.as_nanos() as f64 / self.lengths.len() as f64
    }

    fn push_framed(&self) -> f64 {
        let drain = Drain::start(Greeting::Handshake);
        let Target::WebSocket(endpoint) = drain.target() else { unreachable!("ws:// is a WebSocket") };
        let mut connection = Connection::connect(&endpoint, PATIENCE).expect("the drain listens");
        let poller = Arc::new(Poller::new().expect("there are descriptors"));
        connection.register(&poller, 0).expect("it is a socket");
        let mut events = Events::new();
        let started = thread_cpu();
        let mut flush = |connection: &mut Connection| {
            while connection.flush().expect("the drain reads").blocked {
                poller.wait(PATIENCE, &mut events).expect("waiting works");
            }
        };
        let mut rest = &self.payloads[..];
        for &length in &self.lengths {
            let (payload, tail) = rest.split_at(length);
            rest = tail;
            connection.push_frame(|out| out.extend_from_slice(payload));
            if connection.buffered() >= BATCH {
                flush(&mut connection);
            }
        }
        flush(&mut connection);
        let used = thread_cpu() - started;
        drop(connection);
        assert_eq!(drain.finish(), self.wire.len() as u64);
        used.as_nanos() as f64 / self.lengths.len() as f64
    }
}

/// A run that is due as good as at once, so that the worker is always behind. Between a look when it is well under way
/// and one shortly before its end, what arrived is set against the processor time that the worker used.
fn push_whole(messages: usize) -> Option<f64> {
    let drain = Drain::start(Greeting::Handshake);
    let target = drain.target();
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
    let run = Run::start(plan, &target).expect("the drain listens");
    let worker = find_thread(WORKER);
    let mut looks: Vec<(u64, Duration)> = Vec::new();
    while !run.is_finished() {
        if let Some(cpu) = worker.as_deref().and_then(cpu_of) {
            looks.push((drain.bytes(), cpu));
        }
        thread::sleep(Duration::from_millis(2));
    }
    let finished = run.wait();
    let ledger = &finished.report.ledger;
    assert_eq!(ledger.sent, messages as u64, "{ledger:?}");
    drain.finish();
    let bytes = finished.report.generator.bytes_sent? as f64;
    looks.retain(|&(at, _)| (0.05 * bytes..0.95 * bytes).contains(&(at as f64)));
    let ((first_bytes, first_cpu), (last_bytes, last_cpu)) = (*looks.first()?, *looks.last()?);
    let sent = (last_bytes - first_bytes) as f64 / bytes * messages as f64;
    (sent > 0.0).then(|| (last_cpu - first_cpu).as_nanos() as f64 / sent)
}

/// The youngest thread of ours with this name, once there is one; none where the system does not show threads.
fn find_thread(name: &str) -> Option<PathBuf> {
    for _ in 0..50 {
        let tasks = fs::read_dir("/proc/self/task").ok()?.flatten().map(|task| task.path());
        let named =
            |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let id = |task: &PathBuf| task.file_name()?.to_str()?.parse::<u32>().ok();
        if let Some(task) = tasks.filter(named).max_by_key(id) {
            return Some(task);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

fn cpu_of(task: &Path) -> Option<Duration> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How the engine names its first worker.
const WORKER: &str = "tickstorm-0";

const BATCH: usize = 64 << 10;

const PATIENCE: Duration = Duration::from_secs(60);
