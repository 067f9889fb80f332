//! What becomes of clients that `tickstorm serve` has trouble with, and what the verdict says of it: each policy for slow
//! ones, limits on their age, those that come and go, a run that is interrupted, and books that clients post.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

use crate::{
    harness::run,
    report::Report,
    slow::{Client, Program, Server, alone, client_of},
};

/// Far more than the kernels hold, within a second.
const TORRENT: [&str; 8] =
    ["--multiplier", "500", "--cadence", "realtime", "--client-queue", "256KiB", "--duration", "3"];

/// A client that reads nothing for two seconds, a healthy one beside it, and the report.
fn torrent(policy: &str) -> (Report, Value, crate::slow::Record) {
    let program = Program::rust();
    let server = Server::start(&[&TORRENT[..], &["--clients", "2", "--slow-client", policy]].concat());
    let slow = ["--mode", "pauses", "--pause", "2s", "--receive-buffer", "16384"];
    let slow = Client::start(&program, &server, &slow);
    let healthy = Client::start(&program, &server, &["--mode", "healthy"]);
    let pids = [slow.id(), healthy.id()];
    let (record, healthy) = (slow.record(), healthy.record());
    let report = server.report(99);
    let beside = client_of(&report, pids[1]);
    assert_eq!(beside["delivered"], beside["owed"], "{beside:#}");
    assert_eq!(healthy.processed(), beside["delivered"].as_u64().expect("a count"));
    assert!(beside["ended"].is_null() && beside["last"]["place"].is_null(), "{beside:#}");
    let client = client_of(&report, pids[0]).clone();
    assert_adds_up(&client);
    (report, client, record)
}

#[track_caller]
fn assert_adds_up(client: &Value) {
    let count = |name: &str| client[name].as_u64().expect("a count");
    let ends = ["delivered", "folded", "dropped", "lost"].map(count);
    assert_eq!(count("owed"), ends.iter().sum::<u64>(), "{client:#}");
}

#[test]
fn a_client_that_is_too_slow_is_cut_off_with_the_venues_code_and_the_run_fails() {
    let _alone = alone();
    let (report, client, record) = torrent("disconnect");
    assert_eq!((&client["ended"]["cause"], &client["ended"]["code"]), (&json!("too_slow"), &json!(1008)));
    assert_eq!(record.close_code(), 1008);
    assert_eq!(record.processed(), client["delivered"].as_u64().expect("a count"));
    assert!(client["dropped"].as_u64() > Some(0), "{client:#}");
    assert_eq!(report.outcome(), "FAIL");
    let expected = format!("client {} was too slow and was cut off", client["id"]);
    assert!(report.reasons().contains(&expected), "{}", report.reasons());
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let _alone = alone();
    let (report, client, record) = torrent("drop");
    assert!(client["ended"].is_null(), "{client:#}");
    let dropped = client["dropped"].as_u64().expect("a count");
    assert!(dropped > 0 && client["folded"] == 0, "{client:#}");
    assert_eq!(report.lost_as("slow_client"), dropped);
    assert_eq!(record.processed(), client["delivered"].as_u64().expect("a count"));
}

#[test]
fn what_finds_no_room_is_folded_and_the_book_is_right_all_the_same() {
    let _alone = alone();
    let server = Server::start(
        &[&TORRENT[..], &["--clients", "2", "--slow-client", "conflate", "--error-threshold", "1"]].concat(),
    );
    let [late, punctual] = [Some(Duration::from_secs(2)), None].map(|pause| {
        let address = server.address.clone();
        thread::spawn(move || keep_book(&address, pause))
    });
    let [late, punctual] = [late, punctual].map(|one| one.join().expect("a client that failed has said why"));
    let report = server.report(0);
    assert!(late.updates < punctual.updates, "{} of {}", late.updates, punctual.updates);
    assert_eq!(late.last, punctual.last);
    assert!(!late.bids.is_empty() && !late.asks.is_empty());
    assert_eq!((late.bids, late.asks), (punctual.bids, punctual.asks));
    let folded: Vec<&Value> =
        report.list("/served/clients").iter().filter(|client| client["folded"].as_u64() > Some(0)).collect();
    assert_eq!(folded.len(), 1, "{:#}", report.at("/served/clients"));
    assert_adds_up(folded[0]);
    assert_eq!(folded[0]["delivered"], late.updates);
}

/// One of Binance's books, as its clients keep them.
struct Book {
    bids: BTreeMap<String, String>,
    asks: BTreeMap<String, String>,
    last: u64,
    updates: u64,
}

impl Book {
    fn take_in(&mut self, message: &Value, bids: &str, asks: &str) {
        for (side, levels) in [(&mut self.bids, &message[bids]), (&mut self.asks, &message[asks])] {
            for level in levels.as_array().expect("levels") {
                let [price, quantity] =
                    [0, 1].map(|index| level[index].as_str().expect("a decimal").to_owned());
                if quantity.chars().all(|digit| matches!(digit, '0' | '.')) {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
            }
        }
    }
}

/// Keeps a book until the server closes the connection, and reads nothing for a while in between. A gap fails.
fn keep_book(address: &str, mut pause: Option<Duration>) -> Book {
    let mut socket = subscribed(address, &["btcusdt@depth@100ms"]);
    let snapshot = ask(address, "GET /api/v3/depth?symbol=BTCUSDT&limit=5000", "");
    let last = snapshot["lastUpdateId"].as_u64().expect("a number");
    let mut book = Book { bids: BTreeMap::new(), asks: BTreeMap::new(), last, updates: 0 };
    book.take_in(&snapshot, "bids", "asks");
    while let Some(message) = next(&mut socket) {
        if message["e"] != "depthUpdate" {
            continue;
        }
        let [first, last] = ["U", "u"].map(|name| message[name].as_u64().expect("a number"));
        book.updates += 1;
        if last <= book.last {
            continue;
        }
        assert!(first <= book.last + 1, "a gap: {first} follows {}", book.last);
        book.take_in(&message, "b", "a");
        book.last = last;
        pause.take().into_iter().for_each(thread::sleep);
    }
    book
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

fn subscribed(address: &str, streams: &[&str]) -> Socket {
    let (mut socket, _) = tungstenite::connect(format!("ws://{address}/ws")).expect("it accepts clients");
    say(&mut socket, "SUBSCRIBE", streams);
    socket
}

fn say(socket: &mut Socket, method: &str, streams: &[&str]) {
    let request = json!({"method": method, "params": streams, "id": 1});
    socket.send(Message::text(request.to_string())).expect("it hears clients");
}

/// The next message; `None` once the server has taken leave.
fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("it speaks JSON")),
            Ok(Message::Close(_)) => {
                let _ = socket.flush();
                return None;
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// The next message with this member.
#[track_caller]
fn next_with(socket: &mut Socket, member: &str) -> Value {
    loop {
        let message = next(socket).expect("it goes on");
        if message.get(member).is_some() {
            return message;
        }
    }
}

/// Asks by HTTP, and reads the answer.
#[track_caller]
fn ask(address: &str, line: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(address).expect("it accepts clients");
    let head =
        format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).expect("it hears clients");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {head}\n{body}"))
}

/// One client beside a healthy one, and a limit on ages: the exit code, the report and how the run stood to the limit.
#[track_caller]
fn limited(mode: &[&str], code: i32) -> (Report, Value) {
    let program = Program::rust();
    let server = Server::start(
        &[
            &["--clients", "2", "--duration", "2", "--multiplier", "25", "--cadence", "realtime"][..],
            &["--arrivals", "paced", "--threshold", "age<500ms"],
        ]
        .concat(),
    );
    let clients = [mode, &["--mode", "healthy"]].map(|mode| Client::start(&program, &server, mode));
    clients.into_iter().for_each(|client| drop(client.record()));
    let report = server.report(code);
    let of_age = |threshold: &&Value| threshold["metric"] == "age_ms";
    let threshold = report.list("/thresholds").iter().find(of_age).expect("it was asked for").clone();
    (report, threshold)
}

#[test]
fn an_age_holds_a_limit_only_if_it_is_known() {
    let _alone = alone();
    let (report, threshold) = limited(&["--mode", "healthy"], 0);
    assert_eq!((report.outcome(), &threshold["outcome"]), ("PASS", &json!("met")));
    assert!(threshold["value"].as_f64() < Some(500.0), "{threshold}");

    let (report, threshold) = limited(&["--mode", "own-queue", "--service", "1ms"], 99);
    assert_eq!((report.outcome(), &threshold["outcome"]), ("FAIL", &json!("crossed")));
    assert!(threshold["value"].as_f64() > Some(500.0), "{threshold}");
    assert!(report.reasons().contains("age_ms is "), "{}", report.reasons());

    let (report, threshold) = limited(&["--mode", "spins"], 96);
    assert_eq!((report.outcome(), &threshold["outcome"]), ("INCONCLUSIVE", &json!("undecided")));
    assert!(report.reasons().contains("that much was proved"), "{}", report.reasons());

    let refused = run(["run", "--threshold", "age<500ms"]).exits(2);
    assert!(refused.stderr.contains("`age` is for `tickstorm serve`"), "{}", refused.stderr);
}

#[test]
fn where_nothing_was_owed_nothing_is_proved() {
    let _alone = alone();
    let server = Server::start(&["--clients", "0", "--duration", "300ms"]);
    let report = server.report(96);
    assert!(report.reasons().contains("nothing was owed"), "{}", report.reasons());
    assert_eq!(report.list("/served/clients").len(), 0);
}

#[test]
fn an_interrupted_exchange_tells_what_it_has_measured() {
    let _alone = alone();
    let mut server = Server::start(&["--clients", "1"]);
    server.started.await_line("waiting for clients, 0 of 1");
    server.started.signal("INT");
    let output = server.started.finish().exits(105);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("nothing was measured"), "{}", output.stderr);

    for signals in [1, 2] {
        let program = Program::rust();
        let mut server = Server::start(&[
            "--clients",
            "1",
            "--duration",
            "60",
            "--report-interval",
            "100ms",
            "--silence",
            "20s",
        ]);
        let slow = ["--mode", "own-queue", "--service", "5ms"];
        let client = Client::start(&program, &server, &slow);
        server.started.await_line("owed ");
        server.started.signal("INT");
        if signals == 2 {
            server.started.await_line("stopping");
            server.started.signal("INT");
        }
        let report = server.report(105);
        assert_eq!(report.at("/stopped/reason"), "interrupted");
        assert_eq!(report.outcome(), "INCONCLUSIVE");
        assert_adds_up(client_of(&report, client.id()));
        drop(client);
    }
}

#[test]
fn clients_that_go_and_come_again_are_counted() {
    let _alone = alone();
    let server =
        Server::start(&["--clients", "1", "--duration", "2", "--multiplier", "25", "--cadence", "realtime"]);
    let streams = ["btcusdt@trade", "ethusdt@trade"];
    let mut first = subscribed(&server.address, &streams);
    next_with(&mut first, "E");
    for method in ["UNSUBSCRIBE", "SUBSCRIBE"] {
        say(&mut first, method, &streams);
        next_with(&mut first, "result");
    }
    next_with(&mut first, "E");
    first.close(None).expect("it can be taken leave of");
    while next(&mut first).is_some() {}
    let mut second = subscribed(&server.address, &streams);
    while next(&mut second).is_some() {}
    let report = server.report(0);
    let [first, second] = report.list("/served/clients") else { panic!("{:#}", report.at("/served")) };
    assert_eq!(
        (&first["ended"]["cause"], &first["ended"]["code"]),
        (&json!("closed_by_client"), &Value::Null)
    );
    assert_eq!((&first["resubscriptions"], &first["subscriptions"]), (&json!(2), &json!(2)));
    assert_eq!((&second["resubscriptions"], &second["ended"]), (&json!(0), &Value::Null));
    assert!(second["connected_s"].as_f64() > Some(0.0));
    for client in [first, second] {
        assert_adds_up(client);
        assert!(client["delivered"].as_u64() > Some(0), "{client:#}");
    }
    assert_eq!(report.outcome(), "PASS");
}

#[test]
fn books_that_are_posted_are_held_against_the_true_ones() {
    let _alone = alone();
    let server =
        Server::start(&["--clients", "1", "--duration", "3", "--multiplier", "25", "--cadence", "realtime"]);
    let mut socket = subscribed(&server.address, &["btcusdt@bookTicker"]);
    let post = |quote: &Value, more: Value| {
        let mut book = json!({
            "venue": "binance", "symbol": "BTCUSDT", "client": "mine", "sequence": quote["u"],
            "bid": [quote["b"], quote["B"]], "ask": [quote["a"], quote["A"]],
        });
        book.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ask(&server.address, "POST /tickstorm/book", &book.to_string())
    };
    let nothing = json!({});
    // What comes before the first post is not remembered; whether some of it is on its way then is chance.
    let mut old = next_with(&mut socket, "u");
    let mut grade = post(&old, nothing.clone());
    let mut unknown = 0;
    while grade["correct"].is_null() && unknown < 200 {
        unknown += 1;
        old = next_after(&mut socket, &old);
        grade = post(&old, nothing.clone());
    }
    assert_eq!(grade["correct"], true, "{unknown} {grade}");
    let mut last = old.clone();
    for _ in 0..20 {
        last = next_after(&mut socket, &last);
    }
    let stale = post(&old, nothing);
    assert_eq!(stale["correct"], true, "{stale}");
    assert!(stale["stale_ms"].as_f64() > grade["stale_ms"].as_f64(), "{stale} {grade}");
    let wrong = post(&last, json!({"bid": [last["a"], last["A"]]}));
    assert_eq!(wrong["correct"], false, "{wrong}");
    assert!(wrong["true_bid"]["ticks"].as_u64() > Some(0), "{wrong}");
    let too_early = post(&last, json!({"sequence": 1}));
    assert_eq!(too_early["correct"], Value::Null, "{too_early}");
    while next(&mut socket).is_some() {}

    let report = server.report(0);
    let [book] = report.list("/served/books") else { panic!("{:#}", report.at("/served/books")) };
    assert_eq!(book["client"], "mine");
    let counts = ["posts", "correct", "wrong", "unknown"].map(|name| book[name].as_u64().expect("a count"));
    assert_eq!(counts, [unknown + 4, 2, 1, unknown + 1]);
    assert_eq!(book["staleness"]["count"], 2);
}

/// The next quote with other prices.
fn next_after(socket: &mut Socket, last: &Value) -> Value {
    loop {
        let quote = next_with(socket, "u");
        if quote["u"] != last["u"] {
            return quote;
        }
    }
}
