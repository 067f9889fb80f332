//! `tickstorm consume` from outside, with servers that answer in the venues' words as their documentation has them,
//! written here anew: what both ends hold is the market's.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use tickstorm::{Export, ExportCadence, ExportFormat, Plan, Spec, Target, Venue};
use tungstenite::{Message, WebSocket};

use crate::harness::{Folder, Started, command, run};

/// What a server says, whoever asks.
struct Script {
    venue: Venue,
    /// The answer to who asks for the instruments.
    instruments: String,
    /// Binance's books by symbol, one after the other, the last of them from then on.
    books: Vec<Vec<(String, String)>>,
    asked: AtomicU32,
    /// Sent when everything is subscribed to.
    stream: Vec<String>,
    /// Trades and updates of books among them.
    events: u64,
}

/// Which message of the stream does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// An update of a book in its midst.
    Update,
    Everything,
}

impl Script {
    fn write(venue: Venue, lost: Lost) -> Arc<Self> {
        let spec = Spec { venue, symbols: SYMBOLS, accounts: 0, ..Spec::default() };
        let plan = Plan::new(&spec, &Target::default()).expect("the plan is an ordinary one");
        let depth = venue.rules().default_depth;
        let mut export = Export::with(&plan, ExportFormat::Jsonl, ExportCadence::Realtime, depth);
        let mut bytes = Vec::new();
        export.head(&mut bytes);
        let head = lines(&bytes);
        let listed: Value = serde_json::from_str(&head[0]).expect("the venue's words are JSON");
        let mut stream = if venue == Venue::Kraken { head[1..].to_vec() } else { Vec::new() };
        let mut books = Vec::new();
        let mut updates = 0;
        for count in 0..MESSAGES {
            if venue == Venue::Binance && count == MESSAGES / 4 {
                books.push(binance_books(&export, &listed));
            }
            bytes.clear();
            export.next(&mut bytes);
            let line = lines(&bytes).remove(0);
            let is_update =
                line.contains("\"depthUpdate\"") || line.contains("\"channel\":\"book\",\"type\":\"update\"");
            updates += u64::from(is_update);
            if lost == Lost::Nothing || lost == Lost::Update && !(is_update && updates == UPDATE_LOST) {
                stream.push(line);
            }
        }
        if lost == Lost::Everything {
            stream.clear();
        }
        if venue == Venue::Binance {
            books.push(binance_books(&export, &listed));
        }
        let is_event = |line: &&String| !line.contains("24hr") && !line.contains("\"ticker\"");
        Arc::new(Self {
            venue,
            instruments: match venue {
                Venue::Kraken => kraken_pairs(&listed),
                _ => head[0].clone(),
            },
            books,
            asked: AtomicU32::new(0),
            events: stream.iter().filter(is_event).count() as u64,
            stream,
        })
    }

    /// Serves on a port of its own until the test's process ends.
    fn serve(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let script = Arc::clone(self);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let script = Arc::clone(&script);
                // A client that goes away is what a test may be about.
                thread::spawn(move || script.meet(client).ok());
            }
        });
        address
    }

    fn meet(&self, mut client: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
        let mut first = [0; 64];
        let count = client.peek(&mut first)?;
        let line = String::from_utf8_lossy(&first[..count]).into_owned();
        if ["GET /ws ", "GET /v2 "].iter().any(|socket| line.starts_with(socket)) {
            return self.converse(tungstenite::accept(client)?);
        }
        let (mut head, mut byte) = (String::new(), [0]);
        loop {
            while !head.ends_with("\r\n\r\n") {
                client.read_exact(&mut byte)?;
                head.push(byte[0].into());
            }
            let body = self.answer(head.split(' ').nth(1).unwrap_or_default());
            write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
            head.clear();
        }
    }

    fn answer(&self, target: &str) -> String {
        let Some(query) = target.strip_prefix("/api/v3/depth?") else { return self.instruments.clone() };
        // Each symbol is asked for once, until one of them has lost something.
        let round = self.asked.fetch_add(1, Ordering::Relaxed) / SYMBOLS;
        let books = &self.books[(round as usize).min(self.books.len() - 1)];
        let asked = books.iter().find(|(symbol, _)| query.contains(&format!("symbol={symbol}&")));
        asked.expect("only listed symbols are asked for").1.clone()
    }

    fn converse(&self, mut socket: WebSocket<TcpStream>) -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..CHANNELS {
            let request: Value = serde_json::from_str(socket.read()?.to_text()?)?;
            match self.venue {
                Venue::Kraken => {
                    for symbol in request["params"]["symbol"].as_array().ok_or("no symbols")? {
                        let channel = &request["params"]["channel"];
                        let result = match channel.as_str() {
                            Some("book") => {
                                json!({"channel":channel,"depth":10,"snapshot":true,"symbol":symbol})
                            }
                            _ => json!({"channel":channel,"snapshot":false,"symbol":symbol}),
                        };
                        let answer = json!({
                            "method": "subscribe", "req_id": request["req_id"], "result": result, "success": true,
                            "time_in": "2026-11-23T08:00:00.110001Z", "time_out": "2026-11-23T08:00:00.110044Z",
                        });
                        socket.send(Message::text(answer.to_string()))?;
                    }
                }
                _ => socket.send(Message::text(json!({"result": null, "id": request["id"]}).to_string()))?,
            }
        }
        for line in &self.stream {
            socket.write(Message::text(line.as_str()))?;
        }
        socket.flush()?;
        // Until the client takes leave.
        while socket.read().is_ok() {}
        Ok(())
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).expect("the venue's words are text");
    text.lines().map(str::to_owned).collect()
}

/// Every book as Binance answers it, by symbol.
fn binance_books(export: &Export, listed: &Value) -> Vec<(String, String)> {
    let units =
        |text: &Value| text.as_str().expect("a decimal").replace('.', "").parse().expect("eight places");
    let books = export.snapshots();
    let symbols = listed["symbols"].as_array().expect("a list of symbols");
    let answers = symbols.iter().zip(&books).map(|(symbol, book)| {
        let filter = |kind: &str, key: &str| -> u64 {
            let filters = symbol["filters"].as_array().expect("a list of filters");
            let filter = filters.iter().find(|filter| filter["filterType"] == kind);
            units(&filter.expect("every symbol has it")[key])
        };
        let (tick, lot) = (filter("PRICE_FILTER", "tickSize"), filter("LOT_SIZE", "stepSize"));
        let decimal = |units: u64| format!("{}.{:08}", units / UNITS_PER_WHOLE, units % UNITS_PER_WHOLE);
        let side = |levels: &[(u32, u64)]| -> Vec<[String; 2]> {
            let level = |&(price, lots): &(u32, u64)| [decimal(u64::from(price) * tick), decimal(lots * lot)];
            levels.iter().map(level).collect()
        };
        let answer =
            json!({"lastUpdateId": book.update_id, "bids": side(&book.bids), "asks": side(&book.asks)});
        (symbol["symbol"].as_str().expect("a name").to_owned(), answer.to_string())
    });
    answers.collect()
}

/// Kraken's REST names its steps in other words than its socket.
fn kraken_pairs(listed: &Value) -> String {
    let pairs = listed["data"]["pairs"].as_array().expect("a list of pairs");
    let result: serde_json::Map<String, Value> = pairs
        .iter()
        .map(|pair| {
            let increment = pair["qty_increment"].as_f64().expect("a number");
            let name = pair["symbol"].as_str().expect("a name");
            let described = json!({
                "altname": name.replace('/', ""), "wsname": name, "base": pair["base"], "quote": pair["quote"],
                "pair_decimals": pair["price_precision"], "lot_decimals": 8,
                "lot_multiplier": (increment * UNITS_PER_WHOLE as f64).round() as u64,
                "tick_size": pair["price_increment"].to_string(), "status": "online",
            });
            (name.to_owned(), described)
        })
        .collect();
    json!({"error": [], "result": result}).to_string()
}

const SYMBOLS: u32 = 3;
/// Those that are subscribed to if nothing is said.
const CHANNELS: usize = 2;
const MESSAGES: usize = 4_000;
const UPDATE_LOST: u64 = 2_000;
const UNITS_PER_WHOLE: u64 = 100_000_000;

/// The words of a session of a second and a half with a server.
fn words<'a>(venue: &'a str, url: &'a str) -> Vec<&'a str> {
    vec!["consume", "--venue", venue, "--url", url, "--duration", "1500ms"]
}

#[test]
fn a_whole_stream_is_clean_and_both_ends_count_the_same() {
    for venue in [Venue::Binance, Venue::Kraken] {
        let script = Script::write(venue, Lost::Nothing);
        let url = script.serve().to_string();
        let output = run([&words(venue.name(), &url)[..], &["--json"]].concat()).exits(0);
        let report = output.json();
        assert_eq!(report["verdict"], "CLEAN");
        assert_eq!(report["books"], json!({"wanted": SYMBOLS, "whole": SYMBOLS, "resyncs": 0}));
        assert_eq!(report["faults"]["total"], 0);
        let counts = &report["counts"];
        let sum = ["trades", "book_updates", "book_snapshots", "quotes", "tickers"]
            .map(|kind| counts[kind].as_u64().expect("a count"))
            .iter()
            .sum::<u64>();
        assert_eq!(report["events"], sum);
        let control = if venue == Venue::Kraken { u64::from(SYMBOLS) * 2 } else { 2 };
        assert_eq!(report["frames"], script.stream.len() as u64 + control, "{venue}");
        assert!(sum - counts["tickers"].as_u64().expect("a count") <= script.events);
        assert!(output.stderr.lines().all(|line| line.contains("events") && line.contains("faults 0")));
        assert!(output.stderr.contains("books 3/3"), "{}", output.stderr);
    }
}

#[test]
fn a_lost_update_fails_and_is_told_on_the_page() {
    let folder = Folder::new();
    for (venue, kind, book) in
        [(Venue::Binance, "update_gap", " whole"), (Venue::Kraken, "checksum", "not whole")]
    {
        let url = Script::write(venue, Lost::Update).serve().to_string();
        let page = folder.path("page.txt");
        let path = page.to_str().expect("a temporary path is text");
        let output = run([&words(venue.name(), &url)[..], &["--quiet", "--output", path]].concat()).exits(99);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
        let page = std::fs::read_to_string(page).expect("the report was written");
        assert!(page.contains(&format!("Faults: 1 {kind}\n")), "{page}");
        // Kraken's server here does not hear that its book is asked for again.
        assert!(page.contains(book), "{page}");
        assert!(page.contains("\nFAULTY: 1 fault"), "{page}");
    }
}

#[test]
fn messages_that_are_too_old_fail() {
    // The market's own time is that of its plan, long ago.
    let url = Script::write(Venue::Binance, Lost::Nothing).serve().to_string();
    let output = run([&words("binance", &url)[..], &["--max-age", "1s", "--json", "-q"]].concat()).exits(99);
    let age = &output.json()["age"];
    assert_eq!(age["limit_ms"], 1000.0);
    assert_eq!(age["beyond_limit"], age["messages"]);
}

#[test]
fn a_server_that_tells_nothing_proves_nothing() {
    let url = Script::write(Venue::Kraken, Lost::Everything).serve().to_string();
    let output = run(words("kraken", &url)).exits(96);
    assert!(output.stdout.contains("UNPROVED: nothing came; 3 books not whole"), "{}", output.stdout);
}

#[test]
fn an_interrupted_session_is_reported() {
    let url = Script::write(Venue::Kraken, Lost::Nothing).serve().to_string();
    let mut started = Started::new(command().args(["consume", "--venue", "kraken", "--url", &url, "--json"]));
    started.await_line("books 3/3");
    started.signal("INT");
    let output = started.finish().exits(105);
    assert_eq!(output.json()["end"]["kind"], "stopped");
}

#[test]
fn nobody_there_or_something_else_is_a_failure() {
    let free =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).expect("a free port");
    let output = run(words("okx", &free.to_string())).exits(1);
    assert!(
        output.stderr.contains(&format!("cannot ask http://{free}/api/v5/public/instruments")),
        "{output:?}"
    );
    // Kraken's server does not speak like OKX.
    let url = Script::write(Venue::Kraken, Lost::Nothing).serve().to_string();
    let output = run(words("okx", &url)).exits(1);
    assert!(output.stderr.contains("cannot read the instruments"), "{output:?}");
}

#[test]
fn a_wrong_flag_is_named_with_what_is_allowed() {
    let folder = Folder::new();
    let nonsense = folder.file("ca.pem", "nonsense");
    let nonsense = nonsense.to_str().expect("a temporary path is text");
    let at = "127.0.0.1:1";
    for (more, code, expected) in [
        (&["--venue", "nasdaq", "--url", at][..], 2, &["--venue", "nasdaq", "kraken"][..]),
        (&["--venue", "kraken"], 2, &["--url"]),
        (&["--venue", "kraken", "--url", "http://h"], 2, &["--url", "ws:// or wss://", "http"]),
        (&["--venue", "kraken", "--url", "wss://8.8.8.8"], 2, &["--url", "--allow-public-target"]),
        (&["--venue", "kraken", "--url", at, "--depth", "11"], 2, &["--depth", "11", "10, 25, 100"]),
        (&["--venue", "okx", "--url", at, "--depth", "1"], 2, &["--depth", "5, 50, 400"]),
        (&["--venue", "kraken", "--url", at, "--depth", "deep"], 2, &["--depth", "`deep`"]),
        (
            &["--venue", "kraken", "--url", at, "--channels", "book,news"],
            2,
            &["--channels", "news", "ticker"],
        ),
        (
            &["--venue", "coinbase", "--url", at, "--channels", "quotes"],
            2,
            &["--channels", "quotes", "trades"],
        ),
        (&["--venue", "kraken", "--url", at, "--symbols", "TOP:x"], 2, &["--symbols", "TOP:x"]),
        (&["--venue", "kraken", "--url", at, "--duration", "soon"], 2, &["--duration", "soon"]),
        (&["--venue", "kraken", "--url", at, "--interval", "1ms"], 2, &["--interval", "at least"]),
        (&["--venue", "kraken", "--url", at, "--rest", "ws://h"], 2, &["--rest", "http:// or https://"]),
        (&["--venue", "kraken", "--url", at, "--ca", "/no/such/file"], 104, &["--ca", "/no/such/file"]),
        (&["--venue", "kraken", "--url", at, "--ca", nonsense], 104, &["--ca", "expected certificates"]),
    ] {
        let output = run([&["consume"], more].concat()).exits(code);
        assert_eq!(output.stdout, "", "{more:?}");
        for words in expected {
            assert!(output.stderr.contains(words), "{more:?}: {}", output.stderr);
        }
    }
    // An unknown instrument is known only when the venue was asked.
    let url = Script::write(Venue::Kraken, Lost::Nothing).serve().to_string();
    let output = run([&words("kraken", &url)[..], &["--symbols", "BTCUSDT"]].concat()).exits(2);
    assert!(
        output.stderr.contains("--symbols: kraken lists no \"BTCUSDT\" among its 3 instruments, as BTC/USDT")
    );
}
