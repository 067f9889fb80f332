//! How fast an exchange serves its clients, beside bare bytes over the same number of connections, as one table:
//! `cargo bench -p tickstorm --bench serve`. Under the test runner (no `--bench`) everything runs once with tiny inputs.
//!
//! Exchange and clients are processes with a core each, where there are two. A client reads 256 KiB at a time and steps
//! from frame to frame; what it counted must be what the exchange says it delivered, frame for frame and byte for byte.
//! The raw bytes are those that a client was sent, from memory, in writes of the exchange's average size, to the same
//! clients. A rate is that of the clients, from the first frame of the market to the last; medians of rounds in each of which
//! exchange and raw bytes ran once.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what a bench is for")]

#[path = "serve/parts.rs"]
mod parts;
#[path = "serve/reader.rs"]
mod reader;
#[path = "serve/side.rs"]
mod side;

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tickstorm::{Pacing, Venue};
use tickstorm_market::Listing;
use tickstorm_net::{
    Connection, Endpoint, Trust,
    frame::{self, FrameReader, Incoming, Opcode, Role},
};
use tickstorm_venue::{
    Decoded, Decoder, Protocol,
    decoded::DepthForm,
    protocol::{Channel, Request, RequestId, Topic},
};

use reader::{CAPTURED, Reader, Reading, read_all};
use side::{Facts, Served, Side, own_core};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Tiny,
    Full,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let descriptors = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, ..descriptors });
    if side::play(&arguments) {
        return;
    }
    let extent =
        if arguments.iter().any(|argument| argument == "--bench") { Extent::Full } else { Extent::Tiny };
    let is_apart = own_core(1);
    eprintln!("{}", load());
    // Words choose rows, as other benches have it: those in whose name one of them stands.
    let words: Vec<String> = arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(&**word));
    if !is_apart {
        println!("Exchange and clients share the cores as the system likes: they could not be kept apart.\n");
    }
    println!("| what | measured | aim |\n|---|---|---|");
    // A run takes some seconds, however little it measures.
    let venues = if extent == Extent::Full { &Venue::ALL[..] } else { &[Venue::Binance] };
    for &venue in venues.iter().filter(|venue| is_wanted(&format!("{venue} one"))) {
        one_client(venue, extent);
    }
    if is_wanted("many") {
        many_clients(extent);
    }
    let pacings = if extent == Extent::Full { &[Pacing::Sleep, Pacing::Spin][..] } else { &[Pacing::Sleep] };
    for &pacing in pacings.iter().filter(|_| is_wanted("age")) {
        age(pacing, extent);
    }
    for tls in [false, true].into_iter().filter(|_| is_wanted("idle")) {
        idle(tls, extent);
    }
    for venue in Venue::ALL.into_iter().filter(|venue| is_wanted(&format!("{venue} parts"))) {
        parts::rows(venue, extent);
    }
    eprintln!("{}", load());
}

fn row(what: &str, measured: &str, aim: &str) {
    println!("| {what} | {measured} | {aim} |");
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load average {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn one_client(venue: Venue, extent: Extent) {
    let (rounds, messages) = if extent == Extent::Full { (5, 2_000_000) } else { (1, 20_000) };
    let compared = Compared::of(rounds, storm(venue, messages, 1));
    let aim = if venue == Venue::Binance { ">= 1 M events/s" } else { "" };
    row(&format!("{venue}: books and trades of 100 symbols to 1 client"), &compared.to_string(), aim);
}

fn many_clients(extent: Extent) {
    let (rounds, messages, clients) = if extent == Extent::Full { (5, 500_000, 50) } else { (1, 2_000, 5) };
    let compared = Compared::of(rounds, storm(Venue::Binance, messages, clients));
    let what = format!("binance: the same to {clients} clients, deliveries of all together");
    row(&what, &compared.to_string(), ">= 0.6 of raw");
}

/// More than can be delivered. Not all at once, so that the schedule is drawn while it is.
fn storm(venue: Venue, messages: u64, clients: usize) -> Served {
    let rate = if clients == 1 { 10_000_000 } else { 1_000_000 };
    Served { venue, messages, rate, clients, pacing: Pacing::Sleep, tls: false, real_time: false }
}

/// Rounds of an exchange and of raw bytes.
struct Compared {
    events: Vec<f64>,
    frames: Vec<f64>,
    bytes: Vec<f64>,
    market: Vec<f64>,
    ratios: Vec<f64>,
    raw_bytes: Vec<f64>,
    write: f64,
}

impl Compared {
    fn of(rounds: usize, served: Served) -> Self {
        let mut of = Self {
            events: Vec::new(),
            frames: Vec::new(),
            bytes: Vec::new(),
            market: Vec::new(),
            ratios: Vec::new(),
            raw_bytes: Vec::new(),
            write: 0.0,
        };
        for round in 1..=rounds {
            eprintln!("{} to {}: round {round} of {rounds}", served.venue, served.clients);
            let (reading, facts, captured) = serve(&served);
            let seconds = reading.elapsed.as_secs_f64();
            let events: f64 = facts.get("events");
            let write = reading.bytes as f64 / (events / facts.get::<f64>("a_write"));
            let raw = raw(&captured, write as usize, served.clients, reading.bytes);
            let raw_bytes = raw.bytes as f64 / raw.elapsed.as_secs_f64();
            let bytes = reading.bytes as f64 / seconds;
            of.events.push(events / seconds);
            of.frames.push(reading.texts as f64 / seconds);
            of.bytes.push(bytes);
            of.market.push(facts.get::<f64>("market") / seconds);
            of.ratios.push(bytes / raw_bytes);
            of.raw_bytes.push(raw_bytes);
            of.write = write;
        }
        of
    }
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} M events/s, {:.2} M frames/s, {:.0} MB/s of a market of {:.2} M/s; {:.2} of raw, {:.0} MB/s, \
             in writes of {:.0} KiB",
            median(&self.events) / 1e6,
            median(&self.frames) / 1e6,
            median(&self.bytes) / 1e6,
            median(&self.market) / 1e6,
            median(&self.ratios),
            median(&self.raw_bytes) / 1e6,
            self.write / 1024.0,
        )
    }
}

/// Both ends of an exchange's run, and the beginning of what a client was sent.
fn serve(served: &Served) -> (Reading, Facts, Vec<u8>) {
    let mut exchange = Side::serve(served);
    let mut readers = subscribers(served, exchange.address);
    // Acknowledgements and first books are no messages of the market.
    let greetings = read_all(&mut readers, Some(CALM), None).expect("the exchange is there");
    let mut captured = Vec::with_capacity(CAPTURED);
    let reading = read_all(&mut readers, None, Some(&mut captured)).expect("the exchange is there");
    let facts = exchange.hear();
    assert_eq!(facts.get::<u64>("owed"), facts.get::<u64>("events"), "nothing is dropped, lost or folded");
    // The last text to each is the announcement of the end, where the venue has one.
    let announces = matches!(served.venue, Venue::Binance | Venue::Kraken | Venue::Okx);
    let announcements = if announces { readers.len() as u64 } else { 0 };
    assert_eq!(facts.get::<u64>("frames") + announcements, reading.texts, "every frame has arrived");
    assert_eq!(facts.get::<u64>("bytes"), reading.bytes + greetings.bytes, "every byte has arrived");
    (reading, facts, captured)
}

fn subscribers(served: &Served, address: SocketAddr) -> Vec<Reader> {
    let plan = served.plan();
    let listing = &plan.market().listing;
    (0..served.clients)
        .map(|_| {
            let mut reader = Reader::connect(address, path(served.venue)).expect("the exchange is there");
            for request in requests(served.venue, listing) {
                reader.say(Opcode::Text, &request).expect("the exchange reads");
            }
            reader
        })
        .collect()
}

fn raw(captured: &[u8], write: usize, clients: usize, bytes: u64) -> Reading {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    file.write_all(whole_frames(captured)).expect("there is room for a file");
    let path = file.path().to_str().expect("a temporary file has an ordinary name");
    let side = Side::raw(path, write.max(1), clients, bytes / clients as u64);
    let mut readers: Vec<Reader> =
        (0..clients).map(|_| Reader::bare(side.address).expect("it listens")).collect();
    let reading = read_all(&mut readers, None, None).expect("it writes");
    assert_eq!(reading.bytes, bytes / clients as u64 * clients as u64, "every byte has arrived");
    reading
}

/// Without what is cut off at the end.
fn whole_frames(bytes: &[u8]) -> &[u8] {
    let mut reader = FrameReader::new(Role::Client, frame::DEFAULT_MAX_MESSAGE);
    reader.push(bytes);
    while let Ok(Some(_)) = reader.next() {}
    &bytes[..bytes.len() - reader.buffered()]
}

fn path(venue: Venue) -> &'static str {
    match venue {
        Venue::Binance => "/ws",
        Venue::Coinbase => "/coinbase",
        Venue::Kraken => "/v2",
        Venue::Okx => "/ws/v5/public",
        Venue::Bybit => "/v5/public/spot",
    }
}

/// Subscriptions to books and trades, ten symbols at a time, which every venue takes.
fn requests(venue: Venue, listing: &Listing) -> Vec<Vec<u8>> {
    let protocol = Protocol::new(venue, listing);
    let depth = venue.rules().default_depth;
    let mut requests = Vec::new();
    for channel in [Channel::Book { depth }, Channel::Trades] {
        for symbols in listing.instruments.chunks(10) {
            let topic = |symbol: &tickstorm_market::instrument::Instrument| Topic {
                channel,
                symbol: Some(symbol.id),
                name: String::new(),
            };
            // As JSON: a number here, text there.
            let number = requests.len() + 1;
            let id = match venue {
                Venue::Binance | Venue::Coinbase | Venue::Kraken => number.to_string(),
                Venue::Okx | Venue::Bybit => format!("\"{number}\""),
            };
            let id = Some(RequestId(id));
            let topics = symbols.iter().map(topic).collect();
            let mut text = Vec::new();
            let request = Request::Subscribe { id, topics, snapshot: None, fills: None, login: None };
            assert!(protocol.write_request(&request, &mut text), "{venue} has books and trades");
            requests.push(text);
        }
    }
    requests
}

/// When a client's read returns with a message, less when that was due, by the same clock. Coinbase's messages say to the
/// nanosecond when they were due.
fn age(pacing: Pacing, extent: Extent) {
    let (rounds, messages) = if extent == Extent::Full { (5, 50_000) } else { (1, 1_000) };
    let served = Served {
        venue: Venue::Coinbase,
        messages,
        rate: 10_000,
        clients: 1,
        pacing,
        tls: false,
        real_time: true,
    };
    let plan = served.plan();
    let mut rounds_ns = Vec::new();
    for round in 1..=rounds {
        eprintln!("age, {pacing}: round {round} of {rounds}");
        let mut exchange = Side::serve(&served);
        let mut reader = subscribers(&served, exchange.address).pop().expect("there is one");
        let mut frames = FrameReader::new(Role::Client, frame::DEFAULT_MAX_MESSAGE);
        let mut decoder = Decoder::new(served.venue, &plan.market().listing);
        let mut ages_ns: Vec<i64> = Vec::new();
        let mut is_over = false;
        while !is_over {
            let count = reader.read(frames.spare()).unwrap_or(0);
            let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is late").as_nanos() as i64;
            frames.filled(count);
            is_over = count == 0;
            while let Some(incoming) = frames.next().expect("it is a WebSocket stream") {
                match incoming {
                    Incoming::Message(text) => {
                        let mut due_ns = None;
                        decoder.decode_each(text, |said| match said.expect("it is the venue's") {
                            Decoded::Depth(update) if update.form == DepthForm::Update => {
                                due_ns = update.event_ns
                            }
                            Decoded::Trade(print) => due_ns = print.event_ns,
                            _ => {}
                        });
                        ages_ns.extend(due_ns.map(|due_ns| now_ns - due_ns as i64));
                    }
                    Incoming::Ping(payload) => reader.say(Opcode::Pong, payload).expect("it reads"),
                    Incoming::Close(_) => reader.say(Opcode::Close, &[]).expect("it reads"),
                    Incoming::Pong(_) => {}
                }
            }
        }
        let facts = exchange.hear();
        assert_eq!(facts.get::<usize>("frames"), ages_ns.len(), "every frame has arrived");
        assert!(ages_ns.iter().all(|&age_ns| age_ns > 0), "nothing is read before it is due");
        ages_ns.sort_unstable();
        rounds_ns.push(ages_ns);
    }
    let us = |share: f64| {
        let of = |ages: &Vec<i64>| ages[((ages.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        median(&rounds_ns.iter().map(of).collect::<Vec<_>>())
    };
    row(
        &format!("coinbase: age of a message when it is read, market of 10,000/s, 1 client, {pacing}"),
        &format!("{:.0} us (p50), {:.0} us (p99), {:.0} us (p99.9)", us(0.5), us(0.99), us(0.999)),
        if pacing == Pacing::Sleep { "p50 < 200 us" } else { "" },
    );
}

/// What connections cost on which nothing is asked for yet.
fn idle(tls: bool, extent: Extent) {
    let count = if extent == Extent::Full { 1_000 } else { 20 };
    eprintln!("idle connections{}", if tls { " with TLS" } else { "" });
    let served = Served { tls, clients: 1, ..storm(Venue::Binance, 1_000, 1) };
    let exchange = Side::serve(&served);
    let before = exchange.resident_mb();
    let scheme = if tls { "wss" } else { "ws" };
    let endpoint: Endpoint = format!("{scheme}://{}/ws", exchange.address).parse().expect("it is an address");
    let trust = tls.then(|| Trust::of_pem(exchange.authority.as_bytes()).expect("it is an authority"));
    let connections: Vec<Connection> = (0..count)
        .map(|_| match &trust {
            Some(trust) => Connection::connect_trusting(&endpoint, trust, PATIENCE),
            None => Connection::connect(&endpoint, PATIENCE),
        })
        .collect::<Result<_, _>>()
        .expect("the exchange is there");
    // The last of them is let in.
    std::thread::sleep(Duration::from_millis(500));
    let after = exchange.resident_mb();
    let measured = before.zip(after).map_or_else(
        || "needs /proc".to_owned(),
        |(before, after)| {
            let each_kb = (after - before) * 1e3 / f64::from(count);
            format!("{:.1} MB, {each_kb:.1} kB each; {before:.1} MB before", after - before)
        },
    );
    drop(connections);
    let what = format!("memory of {count} idle connections{}", if tls { " with TLS" } else { "" });
    row(&what, &measured, if tls { "" } else { "< 100 MB" });
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Within the calm before the start, and longer than any acknowledgement takes.
const CALM: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(10);
