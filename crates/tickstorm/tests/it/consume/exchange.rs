//! A venue on a port of loopback: HTTP and sockets, a market at its own pace, and harm on demand.

use std::collections::HashSet;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tickstorm::{Plan, Rate, Spec, Target, Venue};
use tickstorm_load::{Clock, Slot};
use tickstorm_market::ShardMarket;
use tickstorm_market::event::{Body, Kind, Message, Snapshot};
use tickstorm_market::instrument::SymbolId;
use tickstorm_net::frame::{self, FrameReader, Incoming, Opcode, Role};
use tickstorm_venue::protocol::{Channel, Circumstances, Endpoint, Reply, Request};
use tickstorm_venue::rest::{Call, Facts, HttpRequest};
use tickstorm_venue::{Encoder, Numbering, Protocol, Rest};
use tungstenite::handshake::derive_accept_key;

/// What goes wrong, each once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Harm {
    /// This update of the first symbol's book is lost.
    pub(crate) lost_update: Option<u64>,
    /// The connection is cut after so many messages.
    pub(crate) cut_after: Option<u64>,
}

/// The venue under way. Dropping it ends it.
pub(crate) struct Exchange {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    venue: Venue,
    rest: Rest,
    protocol: Protocol,
    market: Mutex<Market>,
    is_over: AtomicBool,
}

/// The market and its wording. A clock that is late catches up.
struct Market {
    shards: Vec<Option<ShardMarket>>,
    clock: Clock,
    slots: Vec<Slot>,
    next_slot: usize,
    encoder: Encoder,
    start: Instant,
    harm: Harm,
    updates: u64,
    messages: u64,
    paths: Vec<String>,
}

impl Exchange {
    /// A venue of so many instruments, with books of so many levels a side and so many market messages a second.
    pub(crate) fn start(venue: Venue, symbols: u32, depth: u32, rate: u32, harm: Harm) -> Self {
        let base_rate = Rate::per_second(u64::from(rate / 10)).unwrap();
        let spec = Spec { venue, symbols, base_rate, ..Spec::default() };
        let plan = Plan::new(&spec, &Target::default()).unwrap();
        let market = plan.market();
        let shards: Vec<Option<ShardMarket>> =
            (0..market.shards).map(|shard| ShardMarket::new(market, shard).ok()).collect();
        let start_unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        let mut encoder = Encoder::with_depth(venue, &market.listing, start_unix_ns, depth);
        shards.iter().flatten().flat_map(ShardMarket::snapshots).for_each(|book| encoder.seed(&book));
        let shared = Arc::new(Shared {
            venue,
            rest: Rest::new(venue, &market.listing),
            protocol: Protocol::new(venue, &market.listing),
            market: Mutex::new(Market {
                shards,
                clock: plan.schedule().clock(|_| true),
                slots: Vec::new(),
                next_slot: 0,
                encoder,
                start: Instant::now(),
                harm,
                updates: 0,
                messages: 0,
                paths: Vec::new(),
            }),
            is_over: AtomicBool::new(false),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that leaves in the midst of a message is none of our errors.
                std::thread::spawn(move || stream.and_then(|stream| serving.serve(stream)));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The paths that were asked for, sockets among them.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.shared.market.lock().unwrap().paths.clone()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// Answers one request after the other, until one opens a socket.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let Some(head) = read_head(&mut stream)? else { return Ok(()) };
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            self.market.lock().unwrap().paths.push(target.clone());
            let key = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
            });
            if let Some(key) = key {
                let accept = derive_accept_key(key.as_bytes());
                write!(
                    stream,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                )?;
                return self.stream(stream);
            }
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let answer = self.answer(path, query);
            write!(stream, "HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n", answer.status, answer.body.len())?;
            stream.write_all(&answer.body)?;
        }
    }

    fn answer(&self, path: &str, query: &str) -> tickstorm_venue::rest::Answer {
        let now_unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        match self.rest.read_request(&HttpRequest { method: "GET", path, query, body: b"" }) {
            Ok(call) => {
                let book = match call {
                    Call::Depth { symbol, .. } => Some(self.market.lock().unwrap().book(symbol)),
                    _ => None,
                };
                let facts = Facts { now_unix_ns, book: book.as_ref(), balances: None, token: "" };
                self.rest.answer(&call, &facts)
            }
            Err(error) => self.rest.refuse(&error, now_unix_ns),
        }
    }

    /// A socket: hears requests, and tells what is subscribed to.
    fn stream(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        let mut reader = FrameReader::new(Role::Server, frame::DEFAULT_MAX_MESSAGE);
        let mut numbering = Numbering::default();
        let mut wanted: HashSet<(Kind, SymbolId)> = HashSet::new();
        let mut out = Vec::new();
        // As Binance does every twenty seconds.
        frame::write(&mut out, Opcode::Ping, b"are you there", None);
        while !self.is_over.load(Ordering::Relaxed) {
            match stream.read(reader.spare()) {
                Ok(0) => return Ok(()),
                Ok(count) => reader.filled(count),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
            let mut market = self.market.lock().unwrap();
            while let Some(incoming) = reader.next().map_err(io::Error::other)? {
                match incoming {
                    Incoming::Message(request) => {
                        self.hear(request, &mut market, &mut numbering, &mut wanted, &mut out);
                    }
                    Incoming::Close(_) => return Ok(()),
                    Incoming::Ping(_) | Incoming::Pong(_) => {}
                }
            }
            let is_cut = market.tell(&wanted, &mut numbering, &mut out);
            drop(market);
            stream.write_all(&out)?;
            out.clear();
            if is_cut {
                return Ok(());
            }
        }
        Ok(())
    }

    fn hear(
        &self,
        request: &[u8],
        market: &mut Market,
        numbering: &mut Numbering,
        wanted: &mut HashSet<(Kind, SymbolId)>,
        out: &mut Vec<u8>,
    ) {
        let now_ns = market.start.elapsed().as_nanos() as u64;
        let mut books = Vec::new();
        let reply = match self.protocol.read_request(request, Endpoint::Public) {
            Ok(Request::Subscribe { id, topics, .. }) => {
                for topic in &topics {
                    let Some(symbol) = topic.symbol else { continue };
                    let kind = match topic.channel {
                        Channel::Book { .. } => {
                            books.push(symbol);
                            Kind::Book
                        }
                        Channel::Trades => Kind::Trade,
                        Channel::Quotes => Kind::Quote,
                        _ => Kind::Ticker,
                    };
                    wanted.insert((kind, symbol));
                }
                Reply::Subscribed { id, all: topics.clone(), topics, snapshot: None }
            }
            Ok(Request::Unsubscribe { id, topics }) => {
                wanted.retain(|(kind, symbol)| {
                    *kind != Kind::Book || topics.iter().all(|topic| topic.symbol != Some(*symbol))
                });
                Reply::Unsubscribed { id, topics, all: Vec::new() }
            }
            Ok(Request::Ping { id }) => Reply::Pong { id },
            Ok(other) => panic!("nobody was to ask {other:?}"),
            Err(refused) => Reply::Refused(refused),
        };
        let circumstances = Circumstances { now_unix_ns: now_ns, connection: 1, endpoint: Endpoint::Public };
        self.protocol.write_reply(&reply, &circumstances, numbering, |bytes| {
            frame::write(out, Opcode::Text, bytes, None);
        });
        if self.venue == Venue::Binance {
            return;
        }
        for symbol in books {
            let book = market.book(symbol);
            let mut bytes = Vec::new();
            market.encoder.snapshot(&book, now_ns, numbering, &mut bytes);
            frame::write(out, Opcode::Text, &bytes, None);
        }
    }
}

impl Market {
    fn book(&self, symbol: SymbolId) -> Snapshot {
        let shard = symbol.0 as usize % self.shards.len();
        self.shards[shard].as_ref().unwrap().snapshot(symbol).unwrap()
    }

    /// Appends what is due by now; `true` if the connection is to be cut behind it.
    fn tell(
        &mut self,
        wanted: &HashSet<(Kind, SymbolId)>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let now_ns = self.start.elapsed().as_nanos() as u64;
        while let Some(message) = self.next(now_ns) {
            let mut bytes = Vec::new();
            if !wanted.contains(&(message.body.kind(), message.symbol)) {
                // The encoder follows the books of all symbols; what nobody hears is counted for nobody.
                self.encoder.encode(&message, &mut Numbering::default(), &mut bytes);
                continue;
            }
            if !self.encoder.encode(&message, numbering, &mut bytes) {
                continue;
            }
            if matches!(message.body, Body::Book(_)) && message.symbol == SymbolId(0) {
                self.updates += 1;
                if self.harm.lost_update == Some(self.updates) {
                    continue;
                }
            }
            frame::write(out, Opcode::Text, &bytes, None);
            self.messages += 1;
            if self.harm.cut_after == Some(self.messages) {
                return true;
            }
        }
        false
    }

    fn next(&mut self, now_ns: u64) -> Option<Message> {
        while self.next_slot == self.slots.len() {
            self.slots.clear();
            self.next_slot = 0;
            self.clock.next_cell(&mut self.slots)?;
        }
        let slot = self.slots[self.next_slot];
        if slot.due_ns() > now_ns {
            return None;
        }
        self.next_slot += 1;
        Some(*self.shards[usize::from(slot.shard())].as_mut().unwrap().next(slot.due_ns()))
    }
}

/// Up to the empty line; none at the end of the stream.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).map(Some).map_err(io::Error::other)
}
