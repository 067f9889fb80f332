//! The observer against clients in processes of their own, which keep a record of how late they were.
//!
//! An ordinary run meets each kind of client once. `TICKSTORM_PROBE_ROUNDS=20` has each of them met so often with
//! everything that its work may consist of and backlogs of 200 ms to 3 s, and prints what was found:
//!
//! ```text
//! TICKSTORM_PROBE_ROUNDS=20 cargo test -p tickstorm-net --examples --test it observe -- --nocapture
//! ```

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tickstorm_net::frame::{self, Opcode};
use tickstorm_net::observe::{Basis, Finding, Observer, Place, SilenceLimits, Watch};

use crate::PATIENCE;

#[test]
fn rust_clients_are_found_where_they_are_and_as_old_as_they_are() {
    let program = rust_client();
    meet(
        &program,
        &[
            ("reads-slowly", "sleep"),
            ("own-queue", "cpu"),
            ("two-threads", "sleep"),
            ("spins", "sleep"),
            ("noisy", "sleep"),
        ],
    );
}

#[test]
fn python_clients_are_found_where_they_are_and_as_old_as_they_are() {
    let Some(python) = env::var_os(PYTHON) else {
        assert!(env::var("CI").as_deref() != Ok("true"), "{PYTHON} is not set");
        eprintln!("skipped: {PYTHON} is not set");
        return;
    };
    let program = Program {
        name: "python",
        command: vec![PathBuf::from(python), repository().join("testdata/peers/slow_client.py")],
    };
    meet(
        &program,
        &[
            ("reads-slowly", "cpu"),
            ("own-queue", "sleep"),
            ("two-threads", "cpu"),
            ("spins", "sleep"),
            ("noisy", "sleep"),
            ("healthy", "sleep"),
        ],
    );
}

/// Meets each of these clients once, or all there are as often as the environment says.
#[expect(clippy::print_stdout, reason = "a run of many rounds is for who reads its table")]
fn meet(program: &Program, once: &[(&'static str, &'static str)]) {
    // One after the other: each has the machine to itself as far as we can see to it.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds = env::var(ROUNDS).ok().map(|text| text.parse::<u64>().expect("rounds are a number"));
    let mut wrong = Vec::new();
    let mut meet = |case: Case| {
        let outcome = case.run(program);
        if rounds.is_some() {
            println!("{} {case} {outcome}", program.name);
        }
        if let Err(fault) = outcome.check(&case) {
            println!("WRONG {} {case} {outcome}: {fault}", program.name);
            wrong.push(format!("{} {case} {outcome}: {fault}", program.name));
        }
    };
    match rounds {
        None => {
            for &(mode, work) in once {
                meet(Case { mode, work, noise: false, backlog_ms: 400, calm_ms: 1_000 });
            }
        }
        Some(rounds) => {
            for round in 0..rounds {
                let backlog_ms = 200 + 2_800 * round / rounds.max(2).saturating_sub(1);
                for mode in ["reads-slowly", "own-queue", "two-threads"] {
                    for work in ["sleep", "cpu"] {
                        let noise = round % 4 == 3;
                        meet(Case { mode, work, noise, backlog_ms, calm_ms: 2_000 });
                    }
                }
                for mode in ["spins", "noisy", "healthy"] {
                    meet(Case { mode, work: "sleep", noise: false, backlog_ms, calm_ms: 2_000 });
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

struct Program {
    name: &'static str,
    command: Vec<PathBuf>,
}

fn rust_client() -> Program {
    let tests = env::current_exe().unwrap();
    // .../deps/it-0123 lies beside .../examples.
    let built = tests.parent().and_then(Path::parent).unwrap().join("examples");
    let client = built.join("slow_client").with_extension(env::consts::EXE_EXTENSION);
    assert!(client.exists(), "`cargo test --test it` alone builds no examples: add --examples");
    Program { name: "rust", command: vec![client] }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A client and its feed.
#[derive(Debug, Clone, Copy)]
struct Case {
    mode: &'static str,
    work: &'static str,
    noise: bool,
    /// What the client will be behind by, about.
    backlog_ms: u64,
    calm_ms: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noise = if self.noise { "noise" } else { "-" };
        write!(f, "{:12} {:5} {noise:5} {:4}", self.mode, self.work, self.backlog_ms)
    }
}

impl Case {
    fn falls_behind(&self) -> bool {
        matches!(self.mode, "reads-slowly" | "own-queue" | "two-threads")
    }

    fn run(&self, program: &Program) -> Outcome {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = self.start(program, listener.local_addr().unwrap().port());
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let request = socket.read().unwrap().into_text().unwrap();
        assert_eq!(request.replace(' ', ""), r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#);
        let stream = socket.get_ref().try_clone().unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();

        let clock = Clock { origin: Instant::now(), unix: SystemTime::now() };
        let observer = Observer::start(clock.origin).unwrap();
        let watch = observer.watch(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let mut feed = Feed { stream, queue: VecDeque::new(), watch: &watch };
        feed.push(r#"{"result":null,"id":1}"#);
        feed.flush();
        // It has just started, and is busy with that.
        std::thread::sleep(Duration::from_millis(200));
        watch.calm_begins();
        std::thread::sleep(Duration::from_millis(self.calm_ms));
        if watch.gauges().is_restless() {
            // What such a client does by itself is not known so soon.
            std::thread::sleep(Duration::from_millis(4_000 - self.calm_ms.min(4_000)));
        }
        watch.calm_ends();

        let stopped_at_ns = self.feed(&mut feed, &clock);
        let limits = SilenceLimits { longest: Duration::from_secs(30), ..SilenceLimits::default() };
        watch.stopped(stopped_at_ns, limits);
        let finding = feed.flush_until("the finding", || watch.gauges().finding());
        let gauges = watch.gauges();
        let on_linux = cfg!(target_os = "linux");
        assert_eq!(gauges.pid().is_some(), on_linux);
        if on_linux {
            assert!(gauges.resident_bytes() > Some(500_000) && gauges.threads() > Some(0));
        }
        let delivered = feed.queue.is_empty();
        // A client that is still at work has no say any more.
        let _ = socket.close(None);
        drop((feed, socket));
        let mut line = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(client.wait().unwrap().success() && delivered, "{line}");
        Outcome { finding, stopped_at_ns, record: Record::parse(&line, clock.unix_ns(stopped_at_ns)) }
    }

    fn start(&self, program: &Program, port: u16) -> Client {
        let mut command = Command::new(&program.command[0]);
        command.args(&program.command[1..]);
        command.args(["--url", &format!("ws://127.0.0.1:{port}/ws"), "--subscribe", "btcusdt@trade"]);
        command.args(["--mode", self.mode, "--work", self.work, "--service", "2ms"]);
        if self.noise {
            command.arg("--noise");
        }
        Client(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Feeds the client with more than it can do; when the last message was due.
    fn feed(&self, feed: &mut Feed<'_>, clock: &Clock) -> u64 {
        let lasts_ms = if self.falls_behind() { self.backlog_ms.clamp(500, 1_500) } else { 1_000 };
        let served_us = 2_150;
        let count = match self.falls_behind() {
            true => (lasts_ms + self.backlog_ms) * 1_000 / served_us,
            false => 500,
        };
        let start_ns = clock.now_ns();
        let due_ns = |n: u64| start_ns + n * lasts_ms * 1_000_000 / count;
        // Of a size at which what lies in a reader's own buffer is little work.
        let padding = "x".repeat(4_000);
        let mut next = 0;
        while next < count {
            while next < count && due_ns(next) <= clock.now_ns() {
                let stamp_ms = clock.unix_ns(due_ns(next)) / 1_000_000;
                feed.push(&format!(
                    r#"{{"e":"trade","E":{stamp_ms},"s":"BTCUSDT","t":{next},"x":"{padding}"}}"#
                ));
                next += 1;
            }
            feed.flush();
            std::thread::sleep(Duration::from_micros(300));
        }
        due_ns(count - 1)
    }
}

/// The run's clock and the clients'.
struct Clock {
    origin: Instant,
    unix: SystemTime,
}

impl Clock {
    fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn unix_ns(&self, at_ns: u64) -> i64 {
        self.unix.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64 + at_ns as i64
    }
}

/// What a server does for one client.
struct Feed<'a> {
    stream: TcpStream,
    queue: VecDeque<u8>,
    watch: &'a Watch,
}

impl Feed<'_> {
    fn push(&mut self, text: &str) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, Opcode::Text, text.as_bytes(), None);
        self.queue.extend(bytes);
    }

    fn flush(&mut self) {
        while !self.queue.is_empty() {
            match self.stream.write(self.queue.as_slices().0) {
                Ok(count) => drop(self.queue.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.watch.gauges().set_our_queue(self.queue.len() as u64);
    }

    fn flush_until<T>(&mut self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            self.flush();
            if let Some(done) = done() {
                return done;
            }
            assert!(start.elapsed() < PATIENCE, "{what} never came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A client that does not outlive its test.
struct Client(Child);

impl std::ops::Deref for Client {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the client says of itself.
#[derive(Debug)]
struct Record {
    /// When it had finished its last message, after the stop.
    behind_ns: i64,
    /// When it had been handed that message, after the stop.
    read_ns: i64,
}

impl Record {
    fn parse(line: &str, stopped_at_unix_ns: i64) -> Self {
        let number = |name: &str| -> i64 {
            let rest = &line[line.find(name).unwrap_or_else(|| panic!("{line}")) + name.len()..];
            let digits = rest.trim_start_matches(['"', ':', ' ']);
            digits[..digits.find([',', '}']).unwrap()].parse().unwrap_or_else(|_| panic!("{line}"))
        };
        let behind_ns = number("finished_last_at_unix_ns") - stopped_at_unix_ns;
        // The stamps are whole milliseconds.
        assert!((behind_ns - number("lateness_of_last_ns")).abs() <= 1_000_001, "{line}");
        Self { behind_ns, read_ns: number("read_last_at_unix_ns") - stopped_at_unix_ns }
    }
}

struct Outcome {
    finding: Finding,
    stopped_at_ns: u64,
    record: Record,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: u64| ns as f64 / 1e6;
        let since = |at_ns: Option<u64>| at_ns.map_or(-1.0, |at_ns| ms(at_ns - self.stopped_at_ns));
        let Finding { age_ns, basis, place, reason, resolution_ns, .. } = &self.finding;
        write!(
            f,
            "record {:8.1} (read {:.1}) age {:8.1} {basis:?} +-{:.0} {place:?} [ours {:.0} kernel {:.0} read {:.0}] {}",
            self.record.behind_ns as f64 / 1e6,
            self.record.read_ns as f64 / 1e6,
            age_ns.map_or(-1.0, ms),
            ms(*resolution_ns),
            since(self.finding.drained_our_queue_at_ns),
            since(self.finding.drained_kernel_at_ns),
            since(self.finding.read_at_ns),
            reason.unwrap_or_default(),
        )
    }
}

impl Outcome {
    /// Whether the last message waited about as long before the read as after it.
    fn is_a_tie(&self) -> bool {
        (2 * self.record.read_ns - self.record.behind_ns).abs() < self.record.behind_ns / 5
    }

    fn check(&self, case: &Case) -> Result<(), String> {
        let Finding { age_ns, basis, place, resolution_ns, .. } = self.finding;
        let behind_ns = self.record.behind_ns.max(0) as u64;
        if !cfg!(target_os = "linux") {
            return require(basis == Basis::LowerBound && place.is_none(), "nothing can be known here");
        }
        if case.mode == "spins" {
            return require(basis == Basis::Unknown && place.is_none(), "it never rests");
        }
        require(basis == Basis::Exact, "it can be known")?;
        // What a client does by itself may end when its work does, or just after.
        let blur_ns = if case.noise { resolution_ns } else { 0 };
        let allowed_ns = (behind_ns / 20).max(20_000_000).max(resolution_ns) + blur_ns;
        let off = age_ns.unwrap_or(0).abs_diff(behind_ns);
        require(off <= allowed_ns, "the age is wrong")?;
        match case.mode {
            "reads-slowly" => require(place.is_some_and(Place::is_before_read), "it had not read"),
            // A reader that shares a CPU, or an interpreter, with the work may come too late itself.
            _ if case.falls_behind() => {
                let after_read = 2 * self.record.read_ns < self.record.behind_ns;
                let right = place.is_some_and(|place| place.is_before_read() != after_read);
                require(right || self.is_a_tie(), "it waited elsewhere")
            }
            // On a busy machine anybody may be late.
            _ => require(place.is_none() || behind_ns > 20_000_000, "it kept up"),
        }
    }
}

fn require(condition: bool, else_wrong: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(else_wrong.into()) }
}

static ALONE: Mutex<()> = Mutex::new(());
const ROUNDS: &str = "TICKSTORM_PROBE_ROUNDS";
const PYTHON: &str = "TICKSTORM_TEST_PYTHON";
