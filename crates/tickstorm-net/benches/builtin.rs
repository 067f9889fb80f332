//! How fast the built-in target is, and how exact: `cargo bench -p tickstorm-net --bench builtin`. Under the test runner
//! (no `--bench`) everything runs once with tiny inputs.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tickstorm_market::{Listing, MarketSpec, ShardMarket};
use tickstorm_net::{Builtin, Connection, Events, Poller};
use tickstorm_random::Seed;
use tickstorm_venue::{Encoder, Numbering, Venue};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    throughput(if measured { 2_000_000 } else { 1000 });
    println!("{:32}{:>8}{:>8}{:>8}", "answer after its due time, us", "p50", "p90", "p99");
    for spec in
        ["builtin", "builtin:?service=100us", "builtin:?service=1ms", "builtin:?service=1ms&servers=4"]
    {
        exactness(spec, if measured { 2000 } else { 5 });
    }
}

/// A market, what listens to it and a connection between them.
struct Feed {
    market: ShardMarket,
    encoder: Encoder,
    builtin: Builtin,
    connection: Connection,
    poller: Arc<Poller>,
    events: Events,
}

impl Feed {
    fn new(spec: &str) -> Self {
        let listing = Listing::synthetic(100, Seed::new(1));
        let spec_of_market = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), listing.clone()) };
        let market = ShardMarket::new(&spec_of_market, 0).expect("the spec is valid");
        let spec = spec.parse().expect("the spec is valid");
        let builtin =
            Builtin::start(&spec, Venue::Binance, &listing, &market.snapshots()).expect("loopback is there");
        let mut connection =
            Connection::connect(builtin.endpoint(), Duration::from_secs(5)).expect("it listens");
        let poller = Arc::new(Poller::new().expect("there are descriptors"));
        connection.register(&poller, 0).expect("it is a socket");
        let encoder = Encoder::new(Venue::Binance, &listing, START_UNIX_NS);
        Self { market, encoder, builtin, connection, poller, events: Events::new() }
    }

    fn push(&mut self) {
        let message = self.market.next(0);
        let numbering = &mut Numbering::default();
        self.connection.push_frame_if(|out| self.encoder.encode(message, numbering, out));
    }
}

fn throughput(messages: usize) {
    let mut feed = Feed::new("builtin");
    let (mut pushed, mut answered) = (0, 0);
    let cpu = cpu_of_thread("tickstorm-builti");
    let start = Instant::now();
    while answered < messages {
        while pushed < messages && feed.connection.buffered() < 64 << 10 {
            feed.push();
            pushed += 1;
        }
        feed.connection.flush().expect("it reads");
        if feed.connection.read(|_| answered += 1).expect("it answers").messages == 0 {
            feed.poller.wait(Duration::from_millis(100), &mut feed.events).expect("waiting works");
        }
    }
    let elapsed = start.elapsed();
    let cpu = cpu_of_thread("tickstorm-builti").saturating_sub(cpu);
    let findings = feed.builtin.stop();
    assert!(findings.is_clean(), "{findings:?}");
    println!(
        "{messages} messages and answers, full speed: {:.0} a second, {:.0} ns CPU each of the target's thread",
        messages as f64 / elapsed.as_secs_f64(),
        cpu.as_nanos() as f64 / messages as f64,
    );
}

/// Messages one at a time, the next only after the answer, so that an answer is due one service time after the
/// message was sent.
fn exactness(text: &str, messages: usize) {
    let mut feed = Feed::new(text);
    let service = text.parse::<tickstorm_net::BuiltinSpec>().expect("the spec is valid").service;
    let mut late: Vec<Duration> = (0..messages)
        .map(|_| {
            feed.push();
            let start = Instant::now();
            feed.connection.flush().expect("it reads");
            while feed.connection.read(|_| {}).expect("it answers").messages == 0 {
                feed.poller.wait(Duration::MAX, &mut feed.events).expect("waiting works");
            }
            start.elapsed().saturating_sub(service)
        })
        .collect();
    feed.builtin.stop();
    late.sort_unstable();
    let at = |share: f64| late[((messages - 1) as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    println!("  {text:30}{:>8.1}{:>8.1}{:>8.1}", at(0.5), at(0.9), at(0.99));
}

/// CPU time of our thread whose name begins so (the system cuts it to 15 characters); zero where it cannot be
/// known.
fn cpu_of_thread(name: &str) -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let ns: u64 = tasks
        .flatten()
        .filter(|task| read(task.path().join("comm")).starts_with(&name[..name.len().min(15)]))
        .filter_map(|task| read(task.path().join("schedstat")).split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(ns)
}
