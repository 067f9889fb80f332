//! The other side: an exchange, or bare bytes from memory, in a process and on a core of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::thread::{CpuSet, sched_setaffinity};
use tickstorm::{
    Factor, Pacing, Plan, Rate, Spec, Venue,
    serve::{Exchange, Publishing, ServeSpec, SlowClient, TlsChoice},
};

/// What is to be served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub venue: Venue,
    /// Messages of the market, and how many of them are due a second.
    pub messages: u64,
    pub rate: u64,
    pub clients: usize,
    pub pacing: Pacing,
    pub tls: bool,
    /// Whether messages carry the real time.
    pub real_time: bool,
}

impl Served {
    pub(crate) fn plan(&self) -> Plan {
        let spec = Spec {
            venue: self.venue,
            base_rate: Rate::per_second(self.rate).expect("it is a rate"),
            multiplier: Factor::ONE,
            duration: Some(Duration::from_secs_f64(self.messages as f64 / self.rate as f64)),
            pacing: self.pacing,
            timeout: PATIENCE,
            start_unix_ns: if self.real_time { None } else { Spec::default().start_unix_ns },
            ..Spec::default()
        };
        Plan::serving(&spec).expect("the plan is an ordinary one")
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            EXCHANGE.into(),
            self.venue.to_string(),
            self.messages.to_string(),
            self.rate.to_string(),
            self.clients.to_string(),
            self.pacing.to_string(),
            self.tls.to_string(),
            self.real_time.to_string(),
        ]
    }

    fn of(arguments: &[String]) -> Self {
        fn read<T: std::str::FromStr>(text: &str) -> T {
            text.parse().unwrap_or_else(|_| panic!("we wrote {text}"))
        }
        Self {
            venue: read(&arguments[0]),
            messages: read(&arguments[1]),
            rate: read(&arguments[2]),
            clients: read(&arguments[3]),
            pacing: read(&arguments[4]),
            tls: read(&arguments[5]),
            real_time: read(&arguments[6]),
        }
    }
}

/// Does what the process was started for, if it is one of ours.
pub(crate) fn play(arguments: &[String]) -> bool {
    let Some((role, rest)) = arguments.split_first() else { return false };
    match role.as_str() {
        EXCHANGE => exchange(Served::of(rest)),
        RAW => raw(&rest[0], rest[1].parse().expect("a size"), rest[2].parse().expect("a count"), &rest[3]),
        _ => return false,
    }
    true
}

fn exchange(served: Served) {
    own_core(0);
    let doors = ServeSpec {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        clients: served.clients as u32,
        wait_for: Some(WAIT),
        cadence: Publishing::Realtime,
        slow_client: SlowClient::Disconnect,
        client_queue: usize::MAX,
        tls: if served.tls { TlsChoice::Throwaway { names: Vec::new() } } else { TlsChoice::Off },
        // As short as it can be with a calm before the start, in which clients read their acknowledgements.
        silence: Duration::from_millis(1),
        ..ServeSpec::default()
    };
    let exchange = Exchange::open(served.plan(), doors).expect("loopback is there");
    let authority = exchange.authority_pem().unwrap_or_default().replace('\n', "|");
    tell(&[("address", exchange.address().to_string()), ("authority", authority)]);
    let report = exchange.start(|| false).expect("clients came").wait().report;
    let section = report.served.expect("it was served");
    let owed: u64 = section.clients.iter().map(|client| client.owed).sum();
    let delivered = section.delivered;
    tell(&[
        ("market", section.market_messages.to_string()),
        ("owed", owed.to_string()),
        ("events", delivered.events.to_string()),
        ("frames", delivered.frames.to_string()),
        ("bytes", delivered.bytes.to_string()),
        ("a_write", report.generator.messages_per_write.unwrap_or(0.0).to_string()),
        ("cpu", report.generator.cpu_seconds.unwrap_or(0.0).to_string()),
    ]);
}

/// Writes the bytes of a file, over and over, to so many connections in turn, in writes of one size.
fn raw(path: &str, write: usize, connections: usize, total: &str) {
    own_core(0);
    let bytes = fs::read(path).expect("it was written for us");
    let mut left: usize = total.parse().expect("a number of bytes");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    tell(&[("address", listener.local_addr().expect("it listens").to_string())]);
    let mut streams: Vec<_> =
        (0..connections).map(|_| listener.accept().expect("they are to come").0).collect();
    streams.iter().for_each(|stream| stream.set_nodelay(true).expect("it is a socket"));
    let mut from = 0;
    while left > 0 {
        let count = write.min(bytes.len() - from).min(left);
        for stream in &mut streams {
            stream.write_all(&bytes[from..from + count]).expect("they read");
        }
        left -= count;
        from = (from + count) % bytes.len();
    }
}

fn tell(facts: &[(&str, String)]) {
    let line: Vec<String> = facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.join("\t")).and_then(|()| out.flush()).expect("somebody listens");
}

/// A side that is there.
pub(crate) struct Side {
    child: Child,
    lines: BufReader<ChildStdout>,
    pub address: SocketAddr,
    pub authority: String,
}

/// What a side says of itself, by name.
pub(crate) struct Facts(BTreeMap<String, String>);

impl Side {
    pub(crate) fn serve(served: &Served) -> Self {
        Self::start(&served.arguments())
    }

    pub(crate) fn raw(path: &str, write: usize, connections: usize, total: u64) -> Self {
        Self::start(&[RAW.into(), path.into(), write.to_string(), connections.to_string(), total.to_string()])
    }

    fn start(arguments: &[String]) -> Self {
        let program = std::env::current_exe().expect("we are a program");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("we can be started again");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut side = Self { child, lines, address, authority: String::new() };
        let facts = side.hear();
        side.address = facts.get("address");
        side.authority = facts.0.get("authority").cloned().unwrap_or_default().replace('|', "\n");
        side
    }

    /// What it says next.
    pub(crate) fn hear(&mut self) -> Facts {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it talks");
        let facts = line.trim_end().split('\t').filter_map(|fact| fact.split_once('='));
        Facts(facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Memory that it has, MB; none where the system does not show it.
    pub(crate) fn resident_mb(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(kib.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0 / 1e6)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // One that is over already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Facts {
    pub(crate) fn get<T: std::str::FromStr>(&self, name: &str) -> T {
        let value = self.0.get(name).unwrap_or_else(|| panic!("the other side told no {name}: did it fail?"));
        value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }
}

/// Keeps this process, and the threads that it will start, to one core; `false` where that cannot be had.
pub(crate) fn own_core(core: usize) -> bool {
    if std::thread::available_parallelism().map_or(1, usize::from) <= core {
        return false;
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).is_ok()
}

const EXCHANGE: &str = "--exchange";
const RAW: &str = "--raw";

const PATIENCE: Duration = Duration::from_secs(120);

/// Clients that have not subscribed by then will not.
const WAIT: Duration = Duration::from_secs(20);
