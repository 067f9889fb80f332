//! What a frame costs to write, to read and to send, and how late waits are: `cargo bench -p tickstorm-net --bench
//! framing`. Under the test runner (no `--bench`) everything runs once with tiny inputs.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tickstorm_net::frame::{self, FrameReader, Mask, Opcode, Role};
use tickstorm_net::{Connection, Events, PlainSink, Poller, SinkMode, precise_timers};

const MASK: Mask = [1, 2, 3, 4];

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measured { 20_000 } else { 2 };
    println!("{:44}{:>8}", "write, of it copying the payload", "ns");
    for length in [20, 200, 2000] {
        copy(length, rounds);
        write(length, None, rounds);
        write(length, Some(MASK), rounds);
    }
    println!("{:44}{:>8}", "read", "ns");
    for length in [20, 200, 2000] {
        read(length, Role::Client, rounds);
        read(length, Role::Server, rounds);
    }
    println!("{:44}{:>8}", "send 200 bytes to a plain sink", "ns");
    let messages = if measured { 2_000_000 } else { 1000 };
    raw(messages);
    for batch in [1, 4, 16, 64, 300] {
        send(batch, if batch < 16 { messages / 10 } else { messages });
    }
    println!("{:44}{:>8}{:>8}{:>8}", "lateness of a wait, us", "p50", "p90", "p99");
    let waits = if measured { 5000 } else { 5 };
    lateness("poller 100us", waits, || wait_with_poller(Duration::from_micros(100), waits));
    lateness("poller 1ms", waits / 5, || wait_with_poller(Duration::from_millis(1), waits / 5));
    lateness("thread::sleep 100us", waits, || wait_with_sleep(Duration::from_micros(100), waits));
    precise_timers().expect("the thread may set its own timer slack");
    lateness("thread::sleep 100us, precise", waits, || wait_with_sleep(Duration::from_micros(100), waits));
    poll_cost(rounds);
}

fn report(what: &str, elapsed: Duration, count: usize) {
    println!("{what:44}{:>8.1}", elapsed.as_nanos() as f64 / count as f64);
}

/// As many as fit a full write.
const FRAMES: usize = 300;

fn copy(length: usize, rounds: usize) {
    let payload = vec![b'x'; length];
    let mut out = Vec::with_capacity(FRAMES * (length + 14));
    let start = Instant::now();
    for _ in 0..rounds {
        out.clear();
        for _ in 0..FRAMES {
            out.extend_from_slice(black_box(&payload));
        }
        black_box(&out);
    }
    report(&format!("  {length} bytes, copied only"), start.elapsed(), rounds * FRAMES);
}

fn write(length: usize, mask: Option<Mask>, rounds: usize) {
    let payload = vec![b'x'; length];
    let mut out = Vec::with_capacity(FRAMES * (length + 14));
    let start = Instant::now();
    for _ in 0..rounds {
        out.clear();
        for _ in 0..FRAMES {
            frame::write(&mut out, Opcode::Text, black_box(&payload), mask);
        }
        black_box(&out);
    }
    let masked = if mask.is_some() { "masked" } else { "plain" };
    report(&format!("  {length} bytes, {masked}"), start.elapsed(), rounds * FRAMES);
}

fn read(length: usize, role: Role, rounds: usize) {
    let mask = (role == Role::Server).then_some(MASK);
    let mut wire = Vec::new();
    for _ in 0..FRAMES {
        frame::write(&mut wire, Opcode::Text, &vec![b'x'; length], mask);
    }
    let mut reader = FrameReader::new(role, frame::DEFAULT_MAX_MESSAGE);
    let start = Instant::now();
    for _ in 0..rounds {
        reader.push(&wire);
        while let Some(incoming) = reader.next().expect("the frames are whole") {
            black_box(incoming);
        }
    }
    report(&format!("  {length} bytes, as {role:?}"), start.elapsed(), rounds * FRAMES);
}

/// The limit: prebuilt bytes in large writes.
fn raw(messages: usize) {
    let sink = PlainSink::start(SinkMode::Raw).expect("loopback is there");
    let mut stream = TcpStream::connect(sink.address()).expect("the sink listens");
    let block = vec![b'x'; FRAMES * 208];
    let start = Instant::now();
    for _ in 0..messages / FRAMES {
        stream.write_all(&block).expect("the sink reads");
    }
    report("  bare bytes, 300 a write", start.elapsed(), messages);
    sink.stop().expect("the sink worked");
}

fn send(batch: usize, messages: usize) {
    let sink = PlainSink::start(SinkMode::WebSocket).expect("loopback is there");
    let mut connection =
        Connection::connect(&sink.endpoint(), Duration::from_secs(5)).expect("the sink listens");
    let payload = [b'x'; 200];
    let start = Instant::now();
    for _ in 0..messages / batch {
        for _ in 0..batch {
            connection.push_frame(|out| out.extend_from_slice(black_box(&payload)));
        }
        while connection.flush().expect("the sink reads").blocked {
            std::thread::yield_now();
        }
    }
    report(&format!("  frames, {batch} a write"), start.elapsed(), messages);
    sink.stop().expect("the sink worked");
}

fn lateness(what: &str, waits: usize, measure: impl FnOnce() -> Vec<Duration>) {
    let mut late = measure();
    late.sort_unstable();
    let at = |share: f64| late[((waits - 1) as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    println!("  {what:42}{:>8.1}{:>8.1}{:>8.1}", at(0.5), at(0.9), at(0.99));
}

fn wait_with_poller(timeout: Duration, waits: usize) -> Vec<Duration> {
    let (poller, mut events) = (Poller::new().expect("there are descriptors"), Events::new());
    late(timeout, waits, || poller.wait(timeout, &mut events).expect("waiting works"))
}

fn wait_with_sleep(timeout: Duration, waits: usize) -> Vec<Duration> {
    late(timeout, waits, || std::thread::sleep(timeout))
}

fn late(timeout: Duration, waits: usize, mut wait: impl FnMut()) -> Vec<Duration> {
    (0..waits)
        .map(|_| {
            let start = Instant::now();
            wait();
            start.elapsed().saturating_sub(timeout)
        })
        .collect()
}

fn poll_cost(rounds: usize) {
    let (poller, mut events) = (Poller::new().expect("there are descriptors"), Events::new());
    let start = Instant::now();
    for _ in 0..rounds {
        poller.wait(Duration::ZERO, &mut events).expect("waiting works");
    }
    println!("{:44}{:>8}", "look without waiting", "ns");
    report("  poller", start.elapsed(), rounds);
}
