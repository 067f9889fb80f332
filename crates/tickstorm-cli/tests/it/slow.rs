//! Clients that are slow on purpose, in processes of their own that keep a record of how late they were: what
//! `tickstorm serve` says about each of them through real sockets is held against what it says itself.
//!
//! An ordinary run meets each kind of client once. `TICKSTORM_SLOW_ROUNDS=20` has each of them met so often, with
//! backlogs of 200 ms to 5 s and work that computes as well as work that waits, and prints what was found:
//!
//! ```text
//! cargo build -p tickstorm-net --examples
//! TICKSTORM_SLOW_ROUNDS=20 cargo test -p tickstorm-cli --test it slow::rust -- --nocapture
//! ```

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::{
    harness::{Folder, Started, command},
    peer::{Ci, PYTHON, skip},
    report::Report,
};

#[test]
fn rust_clients_are_found_where_they_are_and_as_old_as_they_are() {
    let _alone = alone();
    meet(&Program::rust());
}

#[test]
fn python_clients_are_found_where_they_are_and_as_old_as_they_are() {
    let _alone = alone();
    let Some(program) = Program::python() else { return };
    meet(&program);
}

/// Meets each of these clients once, or all there are as often as the environment says.
#[expect(clippy::print_stdout, reason = "a run of many rounds is for who reads its table")]
fn meet(program: &Program) {
    let rounds = env::var(ROUNDS).ok().map(|text| text.parse::<u64>().expect("rounds are a number"));
    let groups = match rounds {
        None => ordinary(400),
        Some(rounds) => (0..rounds).flat_map(|round| many(round, rounds)).collect(),
    };
    let mut wrong = Vec::new();
    let mut table: BTreeMap<String, Row> = BTreeMap::new();
    for group in groups {
        for seen in group.meet(program) {
            let fault = seen.check().err();
            if rounds.is_some() {
                println!("{seen}");
            }
            table.entry(seen.case.kind()).or_default().add(&seen, fault.is_some());
            if let Some(fault) = fault {
                println!("WRONG: {fault}: {seen}");
                wrong.push(format!("{fault}: {seen}"));
            }
        }
    }
    if rounds.is_some() {
        table.iter().for_each(|(kind, row)| println!("{} {kind:24} {row}", program.name));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Each place once, and each kind of client.
fn ordinary(backlog_ms: u64) -> Vec<Group> {
    let case = |mode| Case { backlog_ms, ..Case::of(mode) };
    let group =
        |cases: &[Case]| Group { cases: [cases, &[Case::of("healthy")]].concat(), ..Group::default() };
    let kernel = Case { receive_buffer: Some(SMALL), ..case("pauses") };
    let far_behind = Group { multiplier: FAST, ..group(&[kernel]) };
    vec![
        group(&[
            case("reads-slowly"),
            case("buffers"),
            case("own-queue"),
            case("two-threads"),
            Case::of("noisy"),
            kernel,
        ]),
        group(&[case("spins")]),
        far_behind,
    ]
}

/// The same with backlogs of all sizes, and with work that computes: one at a time, as processors are few.
fn many(round: u64, rounds: u64) -> Vec<Group> {
    let backlog_ms = 200 + 4_800 * round / rounds.max(2).saturating_sub(1);
    let mut groups = ordinary(backlog_ms);
    let mode = ["own-queue", "reads-slowly", "two-threads", "buffers"][round as usize % 4];
    let computes = Case { work: "cpu", noise: round % 8 < 4, backlog_ms, ..Case::of(mode) };
    groups.push(Group { cases: vec![computes, Case::of("healthy")], ..Group::default() });
    groups
}

/// A client that is slow in a known way.
#[derive(Debug, Clone, Copy)]
struct Case {
    mode: &'static str,
    work: &'static str,
    noise: bool,
    /// What it will be behind by when the feed stops, about.
    backlog_ms: u64,
    /// Of its kernel's.
    receive_buffer: Option<u64>,
}

impl Case {
    fn of(mode: &'static str) -> Self {
        Self { mode, work: "sleep", noise: false, backlog_ms: 0, receive_buffer: None }
    }

    fn kind(&self) -> String {
        let noise = if self.noise { " noise" } else { "" };
        format!("{} {}{noise}", self.mode, self.work)
    }

    fn arguments(&self, feed_ms: u64) -> Vec<String> {
        let service_us = (feed_ms + self.backlog_ms) * 1_000_000 / (MESSAGES_PER_S * feed_ms);
        // Who sleeps wakes up a little later.
        let service_us = if self.work == "sleep" { service_us.saturating_sub(100) } else { service_us };
        let mut arguments = vec![format!("--mode={}", self.mode), format!("--work={}", self.work)];
        arguments.push(format!("--service={service_us}us"));
        // From the first message on.
        arguments.push(format!("--pause={}ms", feed_ms + self.backlog_ms));
        arguments.extend(self.receive_buffer.map(|bytes| format!("--receive-buffer={bytes}")));
        arguments.extend(self.noise.then(|| "--noise".to_owned()));
        // `--name value` is what both programs understand.
        arguments.iter().flat_map(|one| one.splitn(2, '=').map(str::to_owned)).collect()
    }
}

/// Clients of one server.
#[derive(Debug, Clone)]
struct Group {
    cases: Vec<Case>,
    feed_ms: u64,
    multiplier: u64,
}

impl Default for Group {
    fn default() -> Self {
        Self { cases: Vec::new(), feed_ms: 2_000, multiplier: USUAL }
    }
}

impl Group {
    fn meet(&self, program: &Program) -> Vec<Seen> {
        let count = self.cases.len().to_string();
        let duration = format!("{}ms", self.feed_ms);
        let multiplier = self.multiplier.to_string();
        let silence = format!("{SILENCE_MS}ms");
        let server = Server::start(
            &[
                &["--clients", &count, "--duration", &duration, "--multiplier", &multiplier],
                &["--cadence", "realtime", "--arrivals", "paced", "--silence", &silence][..],
            ]
            .concat(),
        );
        let clients: Vec<(Case, Client)> = self
            .cases
            .iter()
            .map(|&case| (case, Client::start(program, &server, &case.arguments(self.feed_ms))))
            .collect();
        let records: Vec<(Case, u32, Record)> =
            clients.into_iter().map(|(case, client)| (case, client.id(), client.record())).collect();
        let report = server.report(0);
        let seen = |(case, pid, record): (Case, u32, Record)| Seen {
            program: program.name,
            case,
            is_fast: self.multiplier == FAST,
            client: client_of(&report, pid).clone(),
            record,
        };
        records.into_iter().map(seen).collect()
    }
}

/// The server, with the address that it has told.
pub(crate) struct Server {
    pub(crate) started: Started,
    pub(crate) address: String,
    _folder: Folder,
}

impl Server {
    /// Serves a small market to clients that must come within a minute.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.path("address");
        let mut serve = command();
        // Other tests may be busy neighbours.
        serve.args(["serve", "--listen", "127.0.0.1:0", "--wait-for", "60s", "--max-pacing-lag", "30s"]);
        serve.args(["--symbols", "5", "--address-file"]);
        let mut started = Started::new(serve.arg(&path).args(arguments));
        started.await_line("base URLs");
        let address = fs::read_to_string(&path).expect("it was written before").trim().to_owned();
        Self { started, address, _folder: folder }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn report(self, code: i32) -> Report {
        Report::of(self.started.finish(), code)
    }
}

/// What the report says of the client with this process.
#[track_caller]
pub(crate) fn client_of(report: &Report, pid: u32) -> &Value {
    let of_pid = |client: &&Value| client["process"]["pid"] == pid;
    let client = report.list("/served/clients").iter().find(of_pid);
    client.unwrap_or_else(|| panic!("no client of process {pid}: {:#}", report.at("/served")))
}

/// What plays the clients.
pub(crate) struct Program {
    name: &'static str,
    command: Vec<PathBuf>,
}

impl Program {
    #[track_caller]
    pub(crate) fn rust() -> Self {
        let tests = env::current_exe().expect("this is a program");
        // .../deps/it-0123 lies beside .../examples.
        let built = tests.parent().and_then(Path::parent).expect("it lies in a folder").join("examples");
        let client = built.join("slow_client").with_extension(env::consts::EXE_EXTENSION);
        assert!(client.exists(), "{client:?} is missing: cargo build -p tickstorm-net --examples");
        Self { name: "rust", command: vec![client] }
    }

    /// None, and a word about it, where no Python is known.
    #[track_caller]
    pub(crate) fn python() -> Option<Self> {
        let Some(python) = env::var_os(PYTHON) else {
            skip(&format!("{PYTHON} names no Python with the package websockets"), Ci::Fails);
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/slow_client.py");
        Some(Self { name: "python", command: vec![PathBuf::from(python), script] })
    }
}

/// A client that does not outlive its test.
pub(crate) struct Client(Child);

impl Client {
    /// Starts a client of Binance's socket.
    #[track_caller]
    pub(crate) fn start<A: AsRef<str>>(program: &Program, server: &Server, arguments: &[A]) -> Self {
        let mut command = Command::new(&program.command[0]);
        command.args(&program.command[1..]).args(["--url", &format!("ws://{}/ws", server.address)]);
        command.args(["--subscribe", "btcusdt@trade,btcusdt@depth@100ms,ethusdt@depth@100ms"]);
        command.args(arguments.iter().map(AsRef::as_ref));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", program.command)))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it says once the server has closed the connection.
    #[track_caller]
    pub(crate) fn record(mut self) -> Record {
        let stdout = self.0.stdout.take().expect("it was asked for");
        let said = std::io::read_to_string(stdout).expect("it says text");
        let record: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        assert!(self.0.wait().is_ok_and(|status| status.success()), "{said}");
        Record(record)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client says of itself.
#[derive(Debug)]
pub(crate) struct Record(Value);

impl Record {
    fn number(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    /// Messages of the market that it has worked off.
    pub(crate) fn processed(&self) -> u64 {
        self.number("processed") as u64
    }

    /// The last close code that it was told.
    pub(crate) fn close_code(&self) -> &Value {
        &self.0["close_code"]
    }

    /// From when the last message was due to when it was finished.
    fn behind_ms(&self) -> f64 {
        self.number("lateness_of_last_ns") as f64 / 1e6
    }

    /// From when the last message was due to when it was read.
    fn read_ms(&self) -> f64 {
        let worked = self.number("finished_last_at_unix_ns") - self.number("read_last_at_unix_ns");
        self.behind_ms() - worked as f64 / 1e6
    }
}

/// A client, what it says of itself, and what is said of it.
struct Seen {
    program: &'static str,
    case: Case,
    is_fast: bool,
    client: Value,
    record: Record,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, worst) = (&self.client["last"], &self.client["worst"]);
        write!(
            f,
            "{} {:24} record {:7.1} ms (read {:7.1}) says {:9} +-{:6} {} {} | {} | worst {}",
            self.program,
            self.case.kind(),
            self.record.behind_ms(),
            self.record.read_ms(),
            last["age_ms"],
            last["resolution_ms"],
            last["basis"],
            last["place"],
            last["text"],
            worst["text"],
        )
    }
}

impl Seen {
    fn place(&self) -> Option<&str> {
        self.client["last"]["place"].as_str()
    }

    fn off_ms(&self) -> Option<f64> {
        Some((self.client["last"]["age_ms"].as_f64()? - self.record.behind_ms()).abs())
    }

    fn check(&self) -> Result<(), String> {
        let count = |name: &str| self.client[name].as_u64().unwrap_or_else(|| panic!("no {name}"));
        let owed = count("owed");
        require(
            owed == ["delivered", "folded", "dropped", "lost"].map(count).iter().sum::<u64>(),
            "the counts",
        )?;
        require(self.client["ended"].is_null(), "it did not leave")?;
        let last = &self.client["last"];
        if self.record.behind_ms() > SILENCE_MS as f64 {
            // A machine that is too busy for it leaves it at work when the silence is over.
            return require(last["basis"] != "exact", "it was still at work");
        }
        require(self.record.processed() == count("delivered") && owed > 0, "the client counts otherwise")?;
        if self.case.mode == "spins" {
            return require(last["basis"] == "unknown" && self.place().is_none(), "it never rests");
        }
        if self.case.mode == "noisy" && last["basis"] == "unknown" && is_overloaded() {
            // What it does by itself takes all of the processor that it gets.
            return require(self.place().is_none(), "nobody can say where");
        }
        require(last["basis"] == "exact", "it can be known")?;
        let behind_ms = self.record.behind_ms();
        let resolution_ms = last["resolution_ms"].as_f64().unwrap_or(0.0);
        // What a client does by itself may end when its work does, or just after.
        let blur_ms = if self.case.noise { resolution_ms } else { 0.0 };
        let allowed_ms = (behind_ms / 20.0).max(20.0).max(resolution_ms) + blur_ms;
        // Our own lateness is in the record of a client that keeps up, and is none of its age.
        let keeps_up = matches!(self.case.mode, "healthy" | "noisy");
        let is_spared = keeps_up && last["age_ms"].as_f64() < Some(behind_ms);
        require(is_spared || self.off_ms().is_some_and(|off_ms| off_ms <= allowed_ms), "the age is wrong")?;
        require(self.is_place_right(), "it waited elsewhere")
    }

    fn is_place_right(&self) -> bool {
        let behind_ms = self.record.behind_ms();
        let after_read = 2.0 * self.record.read_ms() < behind_ms;
        // About as long before the read as after it.
        let is_a_tie = (2.0 * self.record.read_ms() - behind_ms).abs() < behind_ms / 5.0;
        let is_before_read = |place| matches!(place, "our_queue" | "our_kernel" | "client_kernel");
        match (self.case.mode, self.place()) {
            ("pauses", place) => place == Some(if self.is_fast { "our_queue" } else { "our_kernel" }),
            ("reads-slowly", Some(place)) => is_before_read(place),
            ("buffers", place) => place == Some("client_reader"),
            // A reader that shares a processor, or an interpreter, with the work may come too late itself.
            ("own-queue" | "two-threads", Some("client_process")) => after_read || is_a_tie,
            ("own-queue" | "two-threads", Some(_)) => !after_read || is_a_tie,
            // On a busy machine anybody may be late.
            ("healthy" | "noisy", place) => place.is_none() || behind_ms > 20.0,
            _ => false,
        }
    }
}

fn require(condition: bool, else_wrong: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(else_wrong.into()) }
}

/// All clients of a kind.
#[derive(Default)]
struct Row {
    met: u32,
    wrong: u32,
    unknown: u32,
    misplaced: u32,
    behind_ms: (f64, f64),
    off_ms: f64,
}

impl Row {
    fn add(&mut self, seen: &Seen, is_wrong: bool) {
        let behind_ms = seen.record.behind_ms();
        self.behind_ms = match self.met {
            0 => (behind_ms, behind_ms),
            _ => (self.behind_ms.0.min(behind_ms), self.behind_ms.1.max(behind_ms)),
        };
        self.met += 1;
        self.wrong += u32::from(is_wrong);
        let is_unknown = seen.client["last"]["basis"] != "exact";
        self.unknown += u32::from(is_unknown);
        self.misplaced += u32::from(!is_unknown && !seen.is_place_right());
        self.off_ms = self.off_ms.max(seen.off_ms().unwrap_or(0.0));
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.behind_ms;
        write!(
            f,
            "n {:2}, behind {least:6.0}..{most:6.0} ms, most off {:5.1} ms, wrong place {}, unknown {}, wrong {}",
            self.met, self.off_ms, self.misplaced, self.unknown, self.wrong
        )
    }
}

/// These tests watch how time passes, so they run one after the other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether more than four threads a processor want to run.
fn is_overloaded() -> bool {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse::<f64>().ok());
    load.is_some_and(|load| load > 4.0 * processors as f64)
}

/// More than any backlog here, unless the machine is very busy.
const SILENCE_MS: u64 = 30_000;

const ROUNDS: &str = "TICKSTORM_SLOW_ROUNDS";

/// A receive buffer that leaves nearly everything to the kernel of the server.
const SMALL: u64 = 16 << 10;

const USUAL: u64 = 25;
/// More than both kernels hold, in two seconds.
const FAST: u64 = 500;
/// What the clients are told at the usual rate; what it comes to follows from the seed.
const MESSAGES_PER_S: u64 = 1_462;
