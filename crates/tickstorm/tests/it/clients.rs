//! Real client libraries, given our answers and messages without a network, keep the books that the market has.
//!
//! A library runs in a Python of its own (`testdata/peers/clients`). The messages it reads from a file; what it would ask
//! the venue by HTTP or say on its socket comes to us on its standard output, and is answered by [`Rest`] and
//! [`Protocol`] on its standard input. In the end it says what it holds.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use tickstorm::{Export, ExportCadence, ExportFormat, Plan, Spec, Target, Venue};
use tickstorm_market::event::{Body, Message, Side, Snapshot, Trade};
use tickstorm_market::instrument::{Instrument, Listing};
use tickstorm_venue::protocol::{Circumstances, Endpoint, Reply, Request};
use tickstorm_venue::rest::{Call, Facts, HttpRequest};
use tickstorm_venue::{Numbering, Protocol, Rest};

#[test]
fn ccxt_keeps_binances_books_and_merges_its_snapshots() {
    Feed::new(Venue::Binance).check_ccxt();
}

#[test]
fn ccxt_keeps_binances_books_in_the_venues_cadence() {
    Feed { cadence: ExportCadence::Venue, ..Feed::new(Venue::Binance) }.check_ccxt();
}

#[test]
fn ccxt_misses_a_lost_update_of_binance() {
    Feed { flaw: Some(Flaw::Lost), ..Feed::new(Venue::Binance) }.check_ccxt_objects("ChecksumError");
}

#[test]
fn ccxt_keeps_okxs_books() {
    Feed::new(Venue::Okx).check_ccxt();
}

#[test]
fn ccxt_keeps_okxs_books_of_five_levels() {
    Feed { depth: 5, ..Feed::new(Venue::Okx) }.check_ccxt();
}

#[test]
fn ccxt_misses_a_lost_update_of_okx() {
    Feed { flaw: Some(Flaw::Lost), ..Feed::new(Venue::Okx) }.check_ccxt_objects("InvalidNonce");
}

#[test]
fn ccxt_keeps_bybits_books() {
    Feed::new(Venue::Bybit).check_ccxt();
}

#[test]
fn ccxt_keeps_bybits_books_of_fifty_levels() {
    Feed { depth: 50, ..Feed::new(Venue::Bybit) }.check_ccxt();
}

#[test]
fn ccxt_keeps_coinbases_books() {
    Feed::new(Venue::Coinbase).check_ccxt();
}

#[test]
fn ccxt_keeps_krakens_books() {
    Feed::new(Venue::Kraken).check_ccxt();
}

#[test]
fn ccxt_keeps_krakens_books_of_ten_levels() {
    Feed { depth: 10, ..Feed::new(Venue::Kraken) }.check_ccxt();
}

#[test]
fn krakens_checksums_are_those_of_its_python_sdk() {
    for depth in [10, 1000] {
        let Some((found, recorded)) = (Feed { depth, ..Feed::new(Venue::Kraken) }).kraken_checksums() else {
            return;
        };
        assert_eq!(found, Checksums { valid: recorded.book_updates, invalid: Vec::new() }, "{depth} levels");
    }
}

#[test]
fn krakens_python_sdk_finds_a_changed_digit() {
    let feed = Feed { depth: 10, flaw: Some(Flaw::Digit), ..Feed::new(Venue::Kraken) };
    if let Some((found, recorded)) = feed.kraken_checksums() {
        assert_eq!(found.invalid, [unified(&recorded.listing, &recorded.listing.instruments[0])]);
        assert!((FLAWED - 1..recorded.book_updates).contains(&found.valid), "{}", found.valid);
    }
}

/// What a library is given.
#[derive(Debug, Clone, Copy)]
struct Feed {
    venue: Venue,
    cadence: ExportCadence,
    /// Levels a side, zero for all.
    depth: u32,
    flaw: Option<Flaw>,
}

/// What is wrong with one book update of the busiest symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Lost,
    Digit,
}

/// The messages, and what a client must make of them.
struct Recorded {
    listing: Listing,
    start_unix_ns: u64,
    stream: Vec<u8>,
    /// The books when a part of the messages had passed.
    midway: Vec<Snapshot>,
    closing: Vec<Snapshot>,
    book_updates: u64,
    /// Whether the flaw is in.
    flawed: bool,
    /// By number of the symbol: how many, and the last.
    trades: BTreeMap<u32, (u64, Trade)>,
    /// By number of the symbol: the last price of the last statistics, ticks.
    last: BTreeMap<u32, u32>,
}

/// What ccxt has made of them.
#[derive(Debug, Deserialize)]
struct Held {
    symbols: Vec<String>,
    books: BTreeMap<String, HeldBook>,
    trades: BTreeMap<String, HeldTrades>,
    last: BTreeMap<String, f64>,
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct HeldBook {
    bids: Vec<(f64, f64)>,
    asks: Vec<(f64, f64)>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct HeldTrades {
    count: u64,
    price: f64,
    amount: f64,
    side: String,
}

/// What python-kraken-sdk has made of them.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Checksums {
    valid: u64,
    invalid: Vec<String>,
}

impl Feed {
    /// Whole books, at once.
    fn new(venue: Venue) -> Self {
        let depth = venue.rules().whole_depth();
        Self { venue, cadence: ExportCadence::Realtime, depth, flaw: None }
    }

    /// ccxt must hold what the market does, and find nothing to object to.
    #[track_caller]
    fn check_ccxt(self) {
        let Some((held, recorded)) = self.ccxt() else { return };
        assert_eq!(held.errors, [""; 0], "{self:?}");
        assert_eq!(held.symbols.len(), recorded.listing.instruments.len());
        let mut levels = 0;
        for book in &recorded.closing {
            let instrument = recorded.listing.instrument(book.symbol);
            let symbol = &unified(&recorded.listing, instrument);
            let shown = if self.depth == 0 { usize::MAX } else { self.depth as usize };
            let side = |levels: &[(u32, u64)]| -> Vec<(f64, f64)> {
                levels.iter().take(shown).map(|&(price, lots)| decimals(instrument, price, lots)).collect()
            };
            assert_eq!(held.books[symbol].bids, side(&book.bids), "bids of {symbol}, {self:?}");
            assert_eq!(held.books[symbol].asks, side(&book.asks), "asks of {symbol}, {self:?}");
            levels += held.books[symbol].bids.len();

            let trades = recorded.trades.get(&book.symbol.0).map(|&(count, trade)| {
                let (price, amount) = decimals(instrument, trade.price, trade.quantity);
                // Coinbase tells the maker's side, and ccxt hands it on as if it were the taker's.
                let told = if self.venue == Venue::Coinbase { trade.taker.opposite() } else { trade.taker };
                let side = if told == Side::Buy { "buy" } else { "sell" };
                HeldTrades { count, price, amount, side: side.to_owned() }
            });
            assert_eq!(held.trades.get(symbol), trades.as_ref(), "trades of {symbol}, {self:?}");

            let last = recorded.last.get(&book.symbol.0).map(|&price| decimals(instrument, price, 0).0);
            assert_eq!(held.last.get(symbol).copied(), last, "last price of {symbol}, {self:?}");
        }
        assert!(levels > recorded.closing.len(), "{levels} levels are no books, {self:?}");
    }

    /// ccxt must notice that something is wrong, and nothing else.
    #[track_caller]
    fn check_ccxt_objects(self, error: &str) {
        let Some((held, _)) = self.ccxt() else { return };
        assert!(!held.errors.is_empty(), "{self:?}");
        assert!(held.errors.iter().all(|found| found.starts_with(error)), "{:?}", held.errors);
    }

    #[track_caller]
    fn ccxt(self) -> Option<(Held, Recorded)> {
        let mut arguments = vec![self.venue.name().to_owned()];
        if self.venue == Venue::Binance {
            // The snapshots that come by HTTP are then amid the messages that wait for them.
            arguments.extend(["--books-after".to_owned(), (2 * MIDWAY).to_string()]);
        } else if self.venue != Venue::Coinbase {
            arguments.extend(["--depth".to_owned(), self.depth.to_string()]);
        }
        self.converse("ccxt_books.py", &arguments)
    }

    #[track_caller]
    fn kraken_checksums(self) -> Option<(Checksums, Recorded)> {
        self.converse("kraken_checksums.py", &["--depth".to_owned(), self.depth.to_string()])
    }

    /// Runs a script over the messages. Without a Python to run it the test says so and is skipped, except on CI, where
    /// nobody would see that.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "a test that was skipped must not look like one that ran")]
    fn converse<T: for<'a> Deserialize<'a>>(
        self,
        script: &str,
        arguments: &[String],
    ) -> Option<(T, Recorded)> {
        let Some(python) = env::var_os(PYTHON) else {
            let reason = format!("{PYTHON} names no Python with ccxt, as `cargo xtask test` sets it");
            assert!(env::var("CI").as_deref() != Ok("true"), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        };
        let recorded = self.record();
        let folder = tempfile::tempdir().unwrap();
        let stream = folder.path().join("stream.jsonl");
        fs::write(&stream, &recorded.stream).unwrap();
        let mut library = Library::start(python, script, |command| command.arg(&stream).args(arguments));
        let held = library.answer_until_held(&Counter::new(self.venue, &recorded));
        Some((serde_json::from_value(held).unwrap(), recorded))
    }

    fn record(self) -> Recorded {
        let spec = Spec { venue: self.venue, symbols: SYMBOLS, seed: SEED, ..Spec::default() };
        let plan = Plan::new(&spec, &Target::default()).unwrap();
        let mut export = Export::with(&plan, ExportFormat::Jsonl, self.cadence, self.depth);
        let mut head = Vec::new();
        export.head(&mut head);
        let mut recorded = Recorded {
            listing: plan.market().listing.clone(),
            start_unix_ns: u64::try_from(plan.start_unix_ns()).unwrap(),
            stream: self.venue_sends(&head),
            midway: Vec::new(),
            closing: Vec::new(),
            book_updates: 0,
            flawed: false,
            trades: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        for count in 0..MESSAGES {
            if count == MIDWAY {
                recorded.midway = export.snapshots();
            }
            let start = recorded.stream.len();
            let message = export.next_message(&mut recorded.stream).expect("the run is long enough");
            self.spoil(&message, &mut recorded, start);
            self.expect(&message, &mut recorded);
        }
        export.finish(&mut recorded.stream);
        recorded.closing = export.snapshots();
        recorded
    }

    /// What of a stream's head comes over a socket, and not as the answer to a question.
    fn venue_sends(self, head: &[u8]) -> Vec<u8> {
        let by_http = match self.venue {
            Venue::Binance => usize::MAX,
            Venue::Okx | Venue::Bybit => 1,
            Venue::Coinbase | Venue::Kraken => 0,
        };
        head.split_inclusive(|&byte| byte == b'\n').skip(by_http).flatten().copied().collect()
    }

    fn spoil(self, message: &Message, recorded: &mut Recorded, start: usize) {
        match message.body {
            // ccxt has one book of a symbol, whichever channel it comes from: nobody can have both.
            Body::Quote(_) if self.venue == Venue::Bybit => recorded.stream.truncate(start),
            Body::Book(change) => {
                recorded.book_updates += 1;
                let chosen = recorded.book_updates >= FLAWED
                    && message.symbol.0 == 0
                    && change.quantity > 0
                    && !recorded.flawed;
                match self.flaw {
                    Some(Flaw::Lost) if chosen => recorded.stream.truncate(start),
                    Some(Flaw::Digit) if chosen => change_digit(&mut recorded.stream[start..]),
                    _ => return,
                }
                recorded.flawed |= chosen;
            }
            _ => {}
        }
    }

    fn expect(self, message: &Message, recorded: &mut Recorded) {
        let symbol = message.symbol.0;
        match message.body {
            Body::Trade(trade) => {
                let count = recorded.trades.get(&symbol).map_or(0, |&(count, _)| count);
                recorded.trades.insert(symbol, (count + 1, trade));
            }
            Body::Ticker(ticker) => {
                recorded.last.insert(symbol, ticker.last);
            }
            // Kraken's statistics come with the best prices, too.
            Body::Quote(_) if self.venue == Venue::Kraken => {
                if let Some((_, trade)) = recorded.trades.get(&symbol) {
                    recorded.last.insert(symbol, trade.price);
                }
            }
            _ => {}
        }
    }
}

/// Where a library's questions are answered.
struct Counter<'a> {
    rest: Rest,
    protocol: Protocol,
    books: &'a [Snapshot],
    now_unix_ns: u64,
}

/// A line of a library.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Http { method: String, path: String, query: String, body: String },
    Socket(String),
    Held(Value),
}

impl<'a> Counter<'a> {
    fn new(venue: Venue, recorded: &'a Recorded) -> Self {
        Self {
            rest: Rest::new(venue, &recorded.listing),
            protocol: Protocol::new(venue, &recorded.listing),
            books: &recorded.midway,
            now_unix_ns: recorded.start_unix_ns,
        }
    }

    fn http(&self, request: &HttpRequest<'_>) -> Value {
        let answer = match self.rest.read_request(request) {
            Ok(call) => {
                let book = match call {
                    Call::Depth { symbol, .. } => Some(&self.books[symbol.0 as usize]),
                    _ => None,
                };
                let facts = Facts { now_unix_ns: self.now_unix_ns, book, balances: None, token: "" };
                self.rest.answer(&call, &facts)
            }
            Err(error) => self.rest.refuse(&error, self.now_unix_ns),
        };
        let headers: BTreeMap<_, _> = answer.headers.into_iter().collect();
        json!({
            "status": answer.status,
            "headers": headers,
            "body": String::from_utf8(answer.body).unwrap(),
        })
    }

    /// Every reply is a text.
    fn socket(&self, said: &str) -> Value {
        let circumstances =
            Circumstances { now_unix_ns: self.now_unix_ns, connection: 1, endpoint: Endpoint::Public };
        let reply = match self.protocol.read_request(said.as_bytes(), circumstances.endpoint) {
            Ok(Request::Subscribe { id, topics, .. }) => {
                Reply::Subscribed { id, all: topics.clone(), topics, snapshot: None }
            }
            Ok(request) => panic!("nobody was to ask {request:?}"),
            Err(refused) => Reply::Refused(refused),
        };
        let mut replies = Vec::new();
        self.protocol.write_reply(&reply, &circumstances, &mut Numbering::default(), |bytes| {
            replies.push(Value::String(String::from_utf8(bytes.to_vec()).unwrap()));
        });
        Value::Array(replies)
    }
}

/// A library in its Python.
struct Library(Child);

impl Library {
    #[track_caller]
    fn start(python: OsString, script: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/clients");
        let mut command = Command::new(python);
        arguments(command.arg(folder.join(script)));
        // Its compiled code would lie among our files.
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// What it says in the end. Whatever goes wrong on its side it tells on the standard error that it shares with us.
    #[track_caller]
    fn answer_until_held(&mut self, counter: &Counter<'_>) -> Value {
        let mut answers = self.0.stdin.take().unwrap();
        for line in BufReader::new(self.0.stdout.take().unwrap()).lines() {
            let answer = match serde_json::from_str(&line.unwrap()).unwrap() {
                Line::Http { method, path, query, body } => counter.http(&HttpRequest {
                    method: &method,
                    path: &path,
                    query: &query,
                    body: body.as_bytes(),
                }),
                Line::Socket(said) => counter.socket(&said),
                Line::Held(held) => {
                    assert!(self.0.wait().unwrap().success());
                    return held;
                }
            };
            writeln!(answers, "{answer}").unwrap();
        }
        panic!("the library ended without a word: {}", self.0.wait().unwrap());
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An instrument's name as ccxt and Kraken write it.
fn unified(listing: &Listing, instrument: &Instrument) -> String {
    [listing.asset(instrument.base), listing.asset(instrument.quote)].join("/")
}

/// Price and quantity as the nearest floating point numbers, which is what libraries make of decimals.
fn decimals(instrument: &Instrument, price: u32, lots: u64) -> (f64, f64) {
    let nearest =
        |units: u64| format!("{}.{:08}", units / UNITS_PER_WHOLE, units % UNITS_PER_WHOLE).parse().unwrap();
    (nearest(u64::from(price) * instrument.tick), nearest(lots * instrument.lot))
}

/// Changes the first digit of the first quantity, to one that is not zero.
fn change_digit(message: &mut [u8]) {
    const KEY: &[u8] = b"\"qty\":";
    let at = message.windows(KEY.len()).position(|part| part == KEY).unwrap() + KEY.len();
    message[at] = if message[at] == b'9' { b'1' } else { message[at] + 1 };
}

const PYTHON: &str = "TICKSTORM_TEST_PYTHON";
const SYMBOLS: u32 = 20;
const SEED: u64 = 29;
const MESSAGES: usize = 60_000;
const MIDWAY: usize = 2_000;
/// The book update from which on the next of the busiest symbol has the flaw.
const FLAWED: u64 = 10_000;
const UNITS_PER_WHOLE: u64 = 100_000_000;
