//! How fast the consumer reads, venue by venue, over loopback: `cargo bench -p tickstorm --bench consume`. Under the test
//! runner (no `--bench`) everything runs once with tiny inputs.
//!
//! The messages are written beforehand and sent as fast as they are taken; the sender is a thread of the same process. A
//! rate is that of the whole stream, from the first interval with messages to the last.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::cell::Cell;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tickstorm::consume::{Books, ConsumeExtent, ConsumeReport, ConsumeSpec, Consumer};
use tickstorm::{Export, ExportCadence, ExportFormat, Plan, Spec, Target, Venue};
use tickstorm_market::event::{Kind, Snapshot};
use tickstorm_net::frame::{self, FrameReader, Incoming, Opcode, Role};
use tickstorm_venue::protocol::{Circumstances, Endpoint, Reply, Request};
use tickstorm_venue::rest::{Call, Facts, HttpRequest};
use tickstorm_venue::{Numbering, Protocol, Rest};
use tungstenite::handshake::derive_accept_key;

fn main() {
    let messages = if std::env::args().any(|argument| argument == "--bench") { 1_500_000 } else { 2_000 };
    println!("| venue | books | events/s | frames/s | bytes/s |\n|---|---|---|---|---|");
    for venue in Venue::ALL {
        let stream = Stream::write(venue, messages);
        for books in [Books::Kept, Books::Ignored] {
            let (report, seconds) = consume(&stream, books);
            assert!(report.faults.is_clean(), "{venue}: {:?}", report.faults);
            let rate = |count: u64| (count as f64 / seconds) as u64;
            let [events, frames, bytes] = [report.events, report.frames, report.bytes].map(rate);
            println!("| {venue} | {books:?} | {events} | {frames} | {bytes} |");
        }
    }
}

/// Books and trades, as frames.
struct Stream {
    venue: Venue,
    rest: Rest,
    protocol: Protocol,
    books: Vec<Snapshot>,
    /// What comes first where books come over the socket.
    head: Vec<u8>,
    frames: Vec<u8>,
    events: u64,
}

impl Stream {
    fn write(venue: Venue, messages: u64) -> Arc<Self> {
        let spec = Spec { venue, symbols: SYMBOLS, ..Spec::default() };
        let spec = Spec { duration: Some(Duration::from_secs(messages / 1_000 * 2 + 10)), ..spec };
        let plan = Plan::new(&spec, &Target::default()).expect("the plan is an ordinary one");
        let depth = venue.rules().default_depth;
        let mut export = Export::with(&plan, ExportFormat::Frames, ExportCadence::Realtime, depth);
        let listing = &plan.market().listing;
        export.next_of_head(&mut Vec::new());
        let (mut head, mut frames, mut events) = (Vec::new(), Vec::new(), 0);
        export.head(&mut head);
        let books = export.snapshots();
        while events < messages {
            let start = frames.len();
            let message = export.next_message(&mut frames).expect("the plan is long enough");
            match message.body.kind() {
                Kind::Book | Kind::Trade => events += 1,
                // Coinbase counts all frames of a connection: there what is not subscribed to comes all the same.
                _ if venue == Venue::Coinbase => {}
                _ => frames.truncate(start),
            }
        }
        let (rest, protocol) = (Rest::new(venue, listing), Protocol::new(venue, listing));
        Arc::new(Self { venue, rest, protocol, books, head, frames, events })
    }

    /// One connection for everything: HTTP, or a socket once it is opened.
    fn serve(&self, mut stream: TcpStream, fetched: &AtomicU32) -> io::Result<()> {
        loop {
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read(&mut byte)? == 0 {
                    return Ok(());
                }
                request.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&request).into_owned();
            if let Some(key) = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")) {
                let accept = derive_accept_key(key.as_bytes());
                let upgraded = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
                write!(stream, "{upgraded}Sec-WebSocket-Accept: {accept}\r\n\r\n")?;
                return self.stream(stream, fetched);
            }
            let target = head.split(' ').nth(1).unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let call = self.rest.read_request(&HttpRequest { method: "GET", path, query, body: b"" });
            let call = call.map_err(|error| io::Error::other(format!("{error:?}")))?;
            let book = match call {
                Call::Depth { symbol, .. } => Some(&self.books[symbol.0 as usize]),
                _ => None,
            };
            let answer = self.rest.answer(&call, &Facts { now_unix_ns: 0, book, balances: None, token: "" });
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.body.len())?;
            stream.write_all(&answer.body)?;
            fetched.fetch_add(u32::from(book.is_some()), Ordering::Release);
        }
    }

    fn stream(&self, mut stream: TcpStream, fetched: &AtomicU32) -> io::Result<()> {
        let mut reader = FrameReader::new(Role::Server, frame::DEFAULT_MAX_MESSAGE);
        let (mut out, mut topics_left) = (Vec::new(), CHANNELS * SYMBOLS as usize);
        // Coinbase counts from the head on, which was written before the acknowledgements: these go without.
        while topics_left > 0 {
            let count = stream.read(reader.spare())?;
            if count == 0 {
                return Ok(());
            }
            reader.filled(count);
            while let Some(Incoming::Message(request)) = reader.next().map_err(io::Error::other)? {
                let request = self.protocol.read_request(request, Endpoint::Public);
                let Ok(Request::Subscribe { id, topics, .. }) = request else { continue };
                topics_left -= topics.iter().filter(|topic| topic.symbol.is_some()).count();
                let reply = Reply::Subscribed { id, all: topics.clone(), topics, snapshot: None };
                let circumstances =
                    Circumstances { now_unix_ns: 0, connection: 1, endpoint: Endpoint::Public };
                if self.venue != Venue::Coinbase {
                    self.protocol.write_reply(&reply, &circumstances, &mut Numbering::default(), |bytes| {
                        frame::write(&mut out, Opcode::Text, bytes, None);
                    });
                }
            }
            stream.write_all(&out)?;
            out.clear();
        }
        if self.venue == Venue::Binance {
            while fetched.load(Ordering::Acquire) < SYMBOLS {
                std::thread::yield_now();
            }
            // Until the last answer has been read, updates would be held.
            std::thread::sleep(Duration::from_millis(100));
        } else {
            stream.write_all(&self.head)?;
        }
        stream.write_all(&self.frames)?;
        let _ = stream.read(&mut [0; 64]);
        Ok(())
    }
}

/// What was found, and how long the messages took.
fn consume(stream: &Arc<Stream>, books: Books) -> (ConsumeReport, f64) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address: SocketAddr = listener.local_addr().expect("it is bound");
    let fetched = Arc::new(AtomicU32::new(if books == Books::Kept { 0 } else { SYMBOLS }));
    let served = Arc::clone(stream);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (served, fetched) = (Arc::clone(&served), Arc::clone(&fetched));
            std::thread::spawn(move || served.serve(client, &fetched));
        }
    });
    let spec = ConsumeSpec { books, ..ConsumeSpec::new(stream.venue, address.to_string()) };
    let extent =
        ConsumeExtent { duration: Some(Duration::from_secs(60)), interval: Duration::from_millis(10) };
    let (events, first_s, last_s) = (Cell::new(0), Cell::new(f64::MAX), Cell::new(0.0));
    let report = Consumer::connect(&spec).expect("the venue is there").run(
        &extent,
        |interval| {
            // Acknowledgements and the first books are no stream.
            if interval.events > 0 {
                first_s.set(interval.start_s.min(first_s.get()));
                last_s.set(interval.end_s);
            }
            events.set(events.get() + interval.events);
        },
        || events.get() >= stream.events,
    );
    assert!(report.events >= stream.events, "{}: {} of {}", stream.venue, report.events, stream.events);
    (report, last_s.get() - first_s.get())
}

const SYMBOLS: u32 = 10;
/// Those that a consumer subscribes to if it does not say.
const CHANNELS: usize = 2;
