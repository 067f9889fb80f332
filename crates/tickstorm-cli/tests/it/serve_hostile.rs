//! `tickstorm serve` among clients that are anything but right: each gets the venue's own answer, and a right client
//! beside them notices nothing.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tungstenite::{
    Error, HandshakeError, Message, WebSocket,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::harness::{Folder, Output, Started, command, run};

/// An exchange of some seconds, without clients to wait for.
struct Exchange {
    program: Started,
    address: SocketAddr,
    _folder: Folder,
}

impl Exchange {
    fn open(more: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.path("address");
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--symbols", "5", "--multiplier", "1"];
        arguments.extend(["--base-rate", "1k", "--silence", "1s", "--quiet", "--address-file"]);
        arguments.push(path.to_str().expect("a temporary path is text"));
        arguments.extend(more);
        let program = Started::new(command().args(arguments));
        let address = awaited(&path).trim().parse().expect("it is an address");
        Self { program, address, _folder: folder }
    }

    fn connect(&self, path: &str) -> Client {
        connect(self.address, path)
    }

    /// Bytes of memory that the program holds.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.id())).expect("it is alive");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("there is such a line");
        let kilobytes = line.split_whitespace().nth(1).expect("a number");
        kilobytes.parse::<u64>().expect("a number") << 10
    }

    /// The report, whatever the verdict: the machine may be busy.
    fn finish(self) -> (Output, Value) {
        let output = self.program.finish();
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        assert!([0, 96, 99].contains(&output.code), "{output:?}");
        let report = output.json();
        (output, report)
    }
}

type Client = WebSocket<TcpStream>;

fn awaited(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ if Instant::now() > deadline => panic!("{} was never written", path.display()),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn connect(address: SocketAddr, path: &str) -> Client {
    try_connect(address, path).unwrap_or_else(|status| panic!("{path} is answered with {status}"))
}

/// The status instead, if the exchange does not want to.
fn try_connect(address: SocketAddr, path: &str) -> Result<Client, u16> {
    let stream = TcpStream::connect(address).expect("the door is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    match tungstenite::client(format!("ws://{address}{path}"), stream) {
        Ok((client, _)) => Ok(client),
        Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn say(client: &mut Client, text: &str) {
    // Who was closed on meanwhile finds out by reading.
    drop(client.send(Message::text(text)));
}

/// The first message with one of these texts in it.
#[track_caller]
fn await_text(client: &mut Client, parts: &[&str]) -> String {
    loop {
        match client.read() {
            Ok(Message::Text(text)) if parts.iter().any(|part| text.contains(part)) => {
                return text.to_string();
            }
            Ok(Message::Close(frame)) => panic!("closed with {frame:?} instead of {parts:?}"),
            Ok(_) => {}
            Err(error) => panic!("{error} instead of {parts:?}"),
        }
    }
}

#[track_caller]
fn await_close(client: &mut Client) -> (u16, String) {
    loop {
        match client.read() {
            Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                return (code.into(), reason.to_string());
            }
            Ok(Message::Close(None)) => return (CloseCode::Status.into(), String::new()),
            Ok(_) => {}
            Err(error) => panic!("{error} instead of a close frame"),
        }
    }
}

/// The head and the beginning of the body of what is answered to these bytes.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the door is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    // A server that has seen enough may have closed already.
    drop(stream.write_all(request));
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") || answer.len() < 100 {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Each venue with the path of its public socket.
const SOCKETS: [(&str, &str); 5] = [
    ("binance", "/binance/ws"),
    ("coinbase", "/coinbase"),
    ("kraken", "/kraken/v2"),
    ("okx", "/okx/ws/v5/public"),
    ("bybit", "/bybit/v5/public/spot"),
];

/// What is wrong, by venue, and what of the venue's answer says so.
const WRONG: [(&str, &str, &str); 20] = [
    ("binance", "{not json", r#"{"error":{"code":3,"msg":"Invalid JSON"#),
    ("binance", r#"{"method":"FLY","id":1}"#, r#""code":2"#),
    ("binance", r#"{"method":"SUBSCRIBE","params":["nonesuch@trade"],"id":2}"#, r#""id":2"#),
    ("binance", r#"{"method":"SUBSCRIBE","params":7,"id":3}"#, r#""code":2"#),
    ("coinbase", "{not json", r#"{"type":"error""#),
    ("coinbase", r#"{"type":"fly"}"#, r#"{"type":"error""#),
    (
        "coinbase",
        r#"{"type":"subscribe","product_ids":["NO-SUCH"],"channel":"level2"}"#,
        r#"{"type":"error""#,
    ),
    ("coinbase", r#"{"type":"subscribe","product_ids":7,"channel":"level2"}"#, r#"{"type":"error""#),
    ("kraken", "{not json", r#""error":"Malformed request""#),
    ("kraken", r#"{"method":"fly","req_id":7}"#, r#""success":false"#),
    (
        "kraken",
        r#"{"method":"subscribe","params":{"channel":"book","symbol":["NO/SUCH"]},"req_id":9}"#,
        r#""error":"Currency pair not supported NO/SUCH""#,
    ),
    ("kraken", r#"{"method":"subscribe","params":{"channel":"book","symbol":7}}"#, r#""success":false"#),
    ("okx", "{not json", r#""code":"60012""#),
    ("okx", r#"{"op":"fly","args":[]}"#, r#""code":"60012""#),
    ("okx", r#"{"op":"subscribe","args":[{"channel":"books","instId":"NO-SUCH"}]}"#, r#""code":"60018""#),
    ("okx", r#"{"op":"subscribe","args":7}"#, r#""event":"error""#),
    ("bybit", "{not json", r#""success":false"#),
    ("bybit", r#"{"op":"fly"}"#, r#""success":false"#),
    ("bybit", r#"{"op":"subscribe","args":["orderbook.50.NOSUCH"]}"#, r#""success":false"#),
    ("bybit", r#"{"op":"subscribe","args":7}"#, r#""success":false"#),
];

#[test]
fn who_came_and_was_refused_is_told_of_and_taken_leave_of() {
    let exchange = Exchange::open(&["--clients", "1", "--wait-for", "2s"]);
    let mut client = exchange.connect("/kraken/v2");
    say(&mut client, r#"{"method":"subscribe","params":{"channel":"trade","symbol":["NOPE/USD"]}}"#);
    await_text(&mut client, &[r#""error""#]);
    let goodbye = loop {
        match client.read() {
            Ok(Message::Close(frame)) => break frame.expect("there is a code"),
            Ok(_) => {}
            Err(error) => panic!("{error} instead of a close frame"),
        }
    };
    assert_eq!(goodbye.code, CloseCode::Away);
    // The answer to the close frame is on its way with the next call.
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    let output = exchange.program.finish();
    assert_eq!((output.code, &*output.stdout), (1, ""), "{output:?}");
    for part in ["0 of 1 clients", "1 connected without a subscription", "last refused: ", "NOPE/USD"] {
        assert!(output.stderr.contains(part), "{part:?} is missing: {output:?}");
    }
}

#[test]
fn a_right_client_is_served_well_among_wrong_ones() {
    let exchange = Exchange::open(&["--duration", "9s", "--clients", "2"]);
    let url = exchange.address.to_string();
    let consume = |venue: &str| {
        let arguments = ["consume", "--venue", venue, "--url", &url, "--duration", "7s", "--json", "--quiet"];
        Started::new(command().args(arguments))
    };
    let right = ["binance", "kraken"].map(consume);
    for (venue, path) in SOCKETS {
        let mut client = exchange.connect(path);
        for (_, wrong, answer) in WRONG.iter().filter(|(of, _, _)| *of == venue) {
            say(&mut client, wrong);
            await_text(&mut client, &[answer]);
        }
    }
    break_the_framing(&exchange);
    break_the_handshake(exchange.address);
    let many = many_subscriptions(&exchange);
    let crowd = crowd(&exchange);
    let peak = exchange.resident();
    assert!(peak < MOST_RESIDENT, "{} MiB are held", peak >> 20);
    drop((many, crowd));
    for (venue, right) in ["binance", "kraken"].into_iter().zip(right) {
        let output = right.finish();
        let report = output.json();
        assert_eq!(report["faults"]["total"], 0, "{venue}: {report:#}");
        assert_eq!((output.code, &report["verdict"]), (0, &"CLEAN".into()), "{venue}: {report:#}");
    }
    let (_, report) = exchange.finish();
    let clients = report["served"]["clients"].as_array().expect("there is a list");
    assert!(clients.len() > 500, "{} clients are told of", clients.len());
    for client in clients {
        let count = |name: &str| client[name].as_u64().expect("a count");
        let told = count("delivered") + count("folded") + count("dropped") + count("lost");
        assert_eq!(count("owed"), told, "{client:#}");
    }
    let refused: u64 = clients.iter().filter_map(|client| client["refused"].as_u64()).sum();
    assert!(refused >= WRONG.len() as u64, "{refused} were refused");
}

#[test]
fn who_works_on_in_the_silence_is_answered_and_not_called_behind_for_the_leave() {
    let exchange = Exchange::open(&["--duration", "1s", "--clients", "12"]);
    let mut clients: Vec<Client> = (0..12).map(|_| exchange.connect("/kraken/v2")).collect();
    for client in &mut clients {
        say(client, r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USDT"]}}"#);
    }
    let (address, works, is_over) = (exchange.address, AtomicBool::new(false), AtomicBool::new(false));
    let body = r#"{"venue":"kraken","symbol":"BTC/USDT","bid":["65000","1"]}"#;
    let post = format!(
        "POST /tickstorm/book HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reads = |client: &mut Client| {
        await_text(client, &[r#""type":"update","data":[{"symbol""#]);
        works.store(true, Relaxed);
        await_close(client);
        let left = Instant::now();
        // The answer to the close frame goes out before the next look of the observer's.
        drop(client.read());
        left
    };
    let posts = thread::scope(|scope| {
        // From the first message on the process is at work, so that the silence lasts to its end.
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                if works.load(Relaxed) {
                    std::hint::spin_loop();
                } else {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        });
        let posting = scope.spawn(|| {
            let mut posts = Vec::new();
            while !is_over.load(Relaxed) {
                if works.load(Relaxed) {
                    let asked = Instant::now();
                    posts.push((asked, ask(address, post.as_bytes())));
                }
                thread::sleep(Duration::from_millis(20));
            }
            posts
        });
        let readers: Vec<_> = clients.iter_mut().map(|client| scope.spawn(|| reads(client))).collect();
        let left = readers.into_iter().map(|reader| reader.join().expect("it was closed")).min();
        is_over.store(true, Relaxed);
        let left = left.expect("there are clients");
        let posts = posting.join().expect("it has posted");
        // Of the silence's one second.
        let before = |asked: Instant| left.saturating_duration_since(asked);
        let in_silence = |asked| (200..800).contains(&before(asked).as_millis());
        posts
            .into_iter()
            .filter(|(asked, _)| in_silence(*asked))
            .map(|(_, answer)| answer)
            .collect::<Vec<_>>()
    });
    assert!(posts.len() > 3, "{} posts", posts.len());
    for answer in &posts {
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""correct":"#), "{answer}");
    }
    let (_, report) = exchange.finish();
    for client in report["served"]["clients"].as_array().expect("there is a list") {
        assert_eq!(client["last"]["basis"], "unknown", "{client:#}");
    }
    assert!(report["served"]["books"][0]["posts"].as_u64() > Some(posts.len() as u64), "{report:#}");
}

/// Frames that no client may send, each with the code of RFC 6455 for it.
fn break_the_framing(exchange: &Exchange) {
    let mut oversized = vec![0x81, 0xff];
    oversized.extend((1u64 << 40).to_be_bytes());
    oversized.extend([1, 2, 3, 4]);
    for (name, bytes, code) in [
        ("unmasked", &[0x81, 0x02, b'{', b'}'][..], 1002),
        ("oversized", &oversized, 1009),
        ("reserved bits", &[0xf1, 0x80, 0, 0, 0, 0], 1002),
        ("unknown opcode", &[0x83, 0x80, 0, 0, 0, 0], 1002),
        ("long ping", &[0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0], 1002),
        ("nothing to continue", &[0x80, 0x80, 0, 0, 0, 0], 1002),
    ] {
        for (venue, path) in SOCKETS {
            let mut client = exchange.connect(path);
            client.get_mut().write_all(bytes).expect("the kernel takes it");
            assert_eq!(await_close(&mut client).0, code, "{venue}: {name}");
        }
    }
}

fn break_the_handshake(address: SocketAddr) {
    let upgrade = "Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    for (request, status) in [
        ("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426"),
        (format!("GET /binance/ws HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 13\r\n\r\n"), "400"),
        (
            format!(
                "GET /binance/ws HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
            ),
            "426",
        ),
        (
            format!(
                "GET /no/such/socket HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
            ),
            "404",
        ),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nx: {}\r\n\r\n", "y".repeat(40_000)), "431"),
        (format!("POST /tickstorm/book HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 1 << 30), "413"),
        ("POST /tickstorm/book HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}".to_owned(), "400"),
        ("\0\u{1}\u{2}nonsense\r\n\r\n".to_owned(), "400"),
        ("GET /api/v3/depth?symbol=NONE HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = ask(address, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} "))
                || answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{:.100}: {answer}",
            request
        );
    }
    for (venue, path) in SOCKETS {
        let answer =
            ask(address, format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).to_lowercase();
        assert!(answer.starts_with("http/1.1 426 "), "{venue}: {answer}");
        for line in ["\r\nupgrade: websocket\r\n", "\r\nconnection: upgrade\r\n", "this is a websocket"] {
            assert!(answer.contains(line), "{venue}: {answer}");
        }
    }
    // Half a handshake, and nothing more: they are closed on later.
    for half in [&b"GET /ws HT"[..], b"\x16\x03\x01\x02", b"", b"GET /ws HTTP/1.1\r\nHost: h\r\n"] {
        let mut stream = TcpStream::connect(address).expect("the door is open");
        stream.write_all(half).expect("the kernel takes it");
    }
}

/// Thousands of subscriptions in one request, and a request for each of thousands, on connections that stay.
fn many_subscriptions(exchange: &Exchange) -> Vec<Client> {
    let mut at_once = exchange.connect("/binance/ws");
    let names: Vec<String> = (0..2_000).map(|_| "\"btcusdt@depth\"".to_owned()).collect();
    say(&mut at_once, &format!(r#"{{"method":"SUBSCRIBE","params":[{}],"id":1}}"#, names.join(",")));
    await_text(&mut at_once, &[r#""id":1"#]);
    let mut flood = exchange.connect("/kraken/v2");
    for count in 0..5_000 {
        let method = if count % 2 == 0 { "subscribe" } else { "unsubscribe" };
        let request = format!(
            r#"{{"method":"{method}","params":{{"channel":"book","symbol":["BTC/USDT"]}},"req_id":{count}}}"#
        );
        say(&mut flood, &request);
    }
    await_text(&mut flood, &[r#""req_id":4999"#]);
    vec![at_once, flood]
}

/// Connections that only connect, that never read, that vanish.
fn crowd(exchange: &Exchange) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for number in 0..500 {
        let (_, path) = SOCKETS[number % SOCKETS.len()];
        crowd.push(exchange.connect(path).into_inner());
    }
    for _ in 0..5 {
        let mut deaf = exchange.connect("/okx/ws/v5/public");
        say(&mut deaf, r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}"#);
        let deaf = deaf.into_inner();
        crowd.push(deaf);
        let mut reset = exchange.connect("/bybit/v5/public/spot");
        say(&mut reset, r#"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#);
        await_text(&mut reset, &["snapshot"]);
        // What is unread when a socket is closed makes its end a reset.
        thread::sleep(Duration::from_millis(20));
    }
    crowd
}

#[test]
fn with_the_venues_limits_who_asks_too_much_is_told_so() {
    let exchange = Exchange::open(&["--duration", "4s", "--clients", "0", "--limits", "venue"]);
    let mut binance = exchange.connect("/binance/ws");
    for id in 0..10 {
        say(&mut binance, &format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#));
    }
    assert_eq!(await_close(&mut binance), (1008, "Too many requests".to_owned()));
    let mut bybit = exchange.connect("/bybit/v5/public/spot");
    let names = ["\"orderbook.50.BTCUSDT\""; 11].join(",");
    say(&mut bybit, &format!(r#"{{"op":"subscribe","args":[{names}]}}"#));
    let answer = await_text(&mut bybit, &["\"success\""]);
    assert!(answer.contains("\"success\":false"), "{answer}");
    let mut coinbase = exchange.connect("/coinbase");
    for _ in 0..12 {
        say(&mut coinbase, r#"{"type":"subscribe","channel":"heartbeats"}"#);
    }
    await_text(&mut coinbase, &[r#"{"type":"error""#]);
    let mut okx = exchange.connect("/okx/ws/v5/public");
    let arg = r#"{"channel":"tickers","instId":"BTC-USDT"}"#;
    say(&mut okx, &format!(r#"{{"op":"subscribe","args":[{}]}}"#, [arg; 1_700].join(",")));
    let answer = await_text(&mut okx, &[r#""event":"#]);
    assert!(answer.contains(r#""code":"60013""#), "{answer}");
    for _ in 0..481 {
        say(&mut okx, &format!(r#"{{"op":"unsubscribe","args":[{arg}]}}"#));
    }
    await_text(&mut okx, &[r#""code":"60014""#]);
    say(&mut okx, "ping");
    await_text(&mut okx, &["pong"]);
    exchange.finish();
}

#[test]
fn with_the_venues_limits_who_comes_too_often_stays_outside() {
    let exchange = Exchange::open(&["--duration", "6s", "--clients", "0", "--limits", "venue"]);
    let mut inside = Vec::new();
    // Three a second: however slow the machine is, one of so many is refused.
    let refused = (0..200).find_map(|_| match try_connect(exchange.address, "/okx/ws/v5/public") {
        Ok(client) => {
            inside.push(client);
            None
        }
        Err(status) => Some(status),
    });
    assert_eq!(refused, Some(429));
    assert!(inside.len() >= 3, "{} were let in", inside.len());
    // 150 in ten minutes.
    let mut inside: Vec<Client> = (0..150).map(|_| exchange.connect("/kraken/v2")).collect();
    assert_eq!(try_connect(exchange.address, "/kraken/v2").err(), Some(429));
    // The others of that address may come still, and who is in is served.
    exchange.connect("/bybit/v5/public/spot");
    let first = &mut inside[0];
    say(first, r#"{"method":"ping","req_id":1}"#);
    await_text(first, &[r#""pong""#]);
    let (_, report) = exchange.finish();
    let clients = report["served"]["clients"].as_array().expect("there is a list");
    let of = |venue: &str| clients.iter().filter(|client| client["venue"] == venue).count();
    assert_eq!((of("kraken"), of("bybit")), (150, 1));
}

#[test]
fn doors_that_cannot_be_opened_say_why() {
    let folder = Folder::new();
    let nonsense = folder.file("nonsense.pem", "nonsense");
    let nonsense = nonsense.to_str().expect("a temporary path is text");
    let keys = folder.file("keys.toml", "[[key]]\nvenue = \"okx\"\nkey = \"k\"\nsecret = 31337\n");
    let keys = keys.to_str().expect("a temporary path is text");
    let one = "[[key]]\nvenue = \"okx\"\nkey = \"k\"\nsecret = \"31337\"\n";
    let phraseless = folder
        .file("phraseless.toml", format!("{one}passphrase = \"31337\"\n{}", one.replace("\"k\"", "\"l\"")));
    let phraseless = phraseless.to_str().expect("a temporary path is text");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let free = "127.0.0.1:0";
    for (more, code, expected) in [
        (&["--listen", &taken][..], 1, &[&*taken, "in use", "0 for any free one"][..]),
        (&["--listen", "0.0.0.0:0"], 2, &["--listen: 0.0.0.0:0", "--listen-public"]),
        (&["--listen", "nowhere"], 2, &["--listen", "nowhere", "127.0.0.1:9443"]),
        (
            &["--listen", free, "--tls-cert", nonsense, "--tls-key", nonsense],
            104,
            &["--tls-cert: ", "nonsense.pem", "a certificate"],
        ),
        (&["--listen", free, "--tls", "--tls-name", "no name"], 2, &["--tls-name: ", "no name"]),
        (&["--listen", free, "--tls-cert", nonsense], 2, &["--tls-cert", "--tls-key"]),
        (&["--listen", free, "--tls-key", nonsense], 2, &["--tls-key", "--tls-cert"]),
        (&["--listen", free, "--wait-for", "100ms"], 1, &["0 of 1 clients", "100ms"]),
        (&["--listen", free, "--wait-for", "soon"], 2, &["--wait-for", "soon"]),
        (&["--listen", free, "--clients", "-1"], 2, &["--clients", "-1"]),
        (&["--listen", free, "--client-queue", "1KiB"], 2, &["--client-queue", "64KiB to 16GiB", "1KiB"]),
        (&["--listen", free, "--client-queue", "64MB"], 2, &["--client-queue", "64MB"]),
        (&["--listen", free, "--slow-client", "wait"], 2, &["--slow-client", "wait", "conflate"]),
        (&["--listen", free, "--cadence", "slow"], 2, &["--cadence", "slow", "realtime"]),
        (&["--listen", free, "--limits", "some"], 2, &["--limits", "some", "strict"]),
        (&["--listen", free, "--ping-probes", "maybe"], 2, &["--ping-probes", "maybe"]),
        (&["--listen", free, "--silence", "long"], 2, &["--silence", "long"]),
        (&["--listen", free, "--venue-option", "no-such=1"], 2, &["--venue-option", "no-such"]),
        (&["--listen", free, "--api-key", "okx:31337"], 2, &["--api-key", "number 1", "VENUE:KEY:SECRET"]),
        (
            &["--listen", free, "--api-key", "nyse:key:31337"],
            2,
            &["--api-key: number 1", "first colon", "okx"],
        ),
        (&["--listen", free, "--api-key", "okx:key:se@31337x"], 2, &["--api-key", "account"]),
        (&["--listen", free, "--api-key", "okx:key:31337"], 2, &["--api-key: number 1", "passphrase"]),
        (
            &["--listen", free, "--api-key", "bybit:key:31337", "--api-key", "kraken:key:31337!"],
            2,
            &["--api-key: number 2", "kraken", "key"],
        ),
        (
            &["--listen", free, "--api-key", "bybit:key:31337", "--api-key", "bybit:key:31337@1"],
            2,
            &["--api-key: number 2", "twice"],
        ),
        (
            &["--listen", free, "--api-key", "bybit:key:31337@50"],
            2,
            &["--api-key: number 1", "account 50", "--accounts", "50"],
        ),
        (
            &["--listen", free, "--api-key", "bybit:key:31337", "--api-keys", phraseless],
            104,
            &["--api-keys: ", "phraseless.toml: key 2", "passphrase"],
        ),
        (&["--listen", free, "--api-keys", keys], 104, &["--api-keys", "keys.toml", "line 4"]),
        (&["--listen", free, "--api-keys", "/no/such/file"], 104, &["--api-keys", "/no/such/file"]),
    ] {
        let output = run([&["serve", "--duration", "1s"], more].concat()).exits(code);
        assert_eq!(output.stdout, "", "{more:?}");
        let said =
            output.stderr.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
        assert!(expected.iter().all(|part| said.contains(part)), "{more:?}: {}", output.stderr);
        assert!(!output.stderr.contains("31337"), "a secret is repeated: {}", output.stderr);
    }
}

/// More than any answer takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Far less than what was asked for would take, if it were all kept.
const MOST_RESIDENT: u64 = 400 << 20;
