//! A client that does what the venue's documentation says, and keeps books.

use std::collections::BTreeMap;

use tickstorm_market::{Listing, Snapshot, SymbolId, event::Side};
use tickstorm_net::{
    CloseReason,
    frame::{self, FrameReader, Incoming, Opcode, Role},
};
use tickstorm_venue::{
    Conduct, Decoded, Decoder, Protocol, Replica, Sequences, Venue,
    decoded::{Continuity, DepthForm, DepthUpdate, Level},
    protocol::{Channel, Reply, Request, RequestId, Topic},
};

use super::wire::{Fate, Wire};

/// A client at its end of a wire.
pub(super) struct Caller {
    pub key: usize,
    pub venue: Venue,
    pub wire: Wire,
    listing: Listing,
    reader: FrameReader,
    decoder: Decoder,
    protocol: Protocol,
    replica: Replica,
    sequences: Sequences,
    books: BTreeMap<SymbolId, Book>,
    /// Books that are to be fetched by HTTP.
    pub fetches: Vec<SymbolId>,
    next_id: u64,
    /// Whether it reads what comes, and answers pings.
    pub is_reading: bool,
    pub answers_pings: bool,
    pub heard: Heard,
}

/// What came, in the order in which it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub bytes: Vec<u8>,
    pub faults: Vec<String>,
    pub replies: Vec<Reply>,
    /// Payloads of pings, and pongs.
    pub pings: Vec<Vec<u8>>,
    pub pongs: usize,
    pub close: Option<CloseReason>,
    /// Updates of books, and snapshots.
    pub depths: u64,
    pub snapshots: u64,
    pub trades: u64,
    pub quotes: u64,
    pub tickers: u64,
}

/// How far a book is.
enum Book {
    /// Its snapshot is to come over the socket.
    Awaited,
    /// Updates are held until it has come by HTTP.
    Held(Vec<(DepthUpdate<'static>, Vec<Level>, Vec<Level>)>),
    /// It has; updates up to this one are in it.
    Seeded(u64),
    Live,
}

impl Caller {
    pub(super) fn new(key: usize, venue: Venue, listing: &Listing, wire: Wire) -> Self {
        let mut replica = Replica::with_depth(venue, listing, venue.rules().default_depth);
        replica.set_conduct(Conduct::Batched);
        Self {
            key,
            venue,
            wire,
            listing: listing.clone(),
            reader: FrameReader::new(Role::Client, 64 << 20),
            decoder: Decoder::new(venue, listing),
            protocol: Protocol::new(venue, listing),
            replica,
            sequences: Sequences::default(),
            books: BTreeMap::new(),
            fetches: Vec::new(),
            next_id: 1,
            is_reading: true,
            answers_pings: true,
            heard: Heard::default(),
        }
    }

    /// The channels that a client of the venue may want of every symbol.
    pub(super) fn channels(venue: Venue) -> Vec<Channel> {
        let book = Channel::Book { depth: venue.rules().default_depth };
        let mut channels = vec![book, Channel::Trades, Channel::Tickers];
        if venue != Venue::Coinbase {
            channels.push(Channel::Quotes);
        }
        channels
    }

    pub(super) fn subscribe_to_all(&mut self) {
        for channel in Self::channels(self.venue) {
            self.subscribe(channel);
        }
    }

    pub(super) fn subscribe(&mut self, channel: Channel) {
        let topics = self.topics(channel);
        if let Channel::Book { .. } = channel {
            for symbol in topics.iter().filter_map(|topic| topic.symbol) {
                let book = if self.venue == Venue::Binance { Book::Held(Vec::new()) } else { Book::Awaited };
                self.books.insert(symbol, book);
            }
        }
        let id = self.id();
        self.ask(&Request::Subscribe { id, topics, snapshot: None, fills: None, login: None });
    }

    pub(super) fn unsubscribe(&mut self, channel: Channel) {
        let (id, topics) = (self.id(), self.topics(channel));
        if let Channel::Book { .. } = channel {
            topics
                .iter()
                .filter_map(|topic| topic.symbol)
                .for_each(|symbol| drop(self.books.remove(&symbol)));
        }
        self.ask(&Request::Unsubscribe { id, topics });
    }

    pub(super) fn topics(&self, channel: Channel) -> Vec<Topic> {
        let topic = |symbol| Topic { channel, symbol: Some(symbol), name: String::new() };
        self.listing.instruments.iter().map(|listed| topic(listed.id)).collect()
    }

    fn id(&mut self) -> Option<RequestId> {
        self.next_id += 1;
        match self.venue {
            Venue::Coinbase => None,
            Venue::Binance | Venue::Kraken => Some(RequestId(self.next_id.to_string())),
            Venue::Okx | Venue::Bybit => Some(RequestId(format!("\"{}\"", self.next_id))),
        }
    }

    pub(super) fn ask(&mut self, request: &Request) {
        let mut text = Vec::new();
        assert!(self.protocol.write_request(request, &mut text), "{request:?}");
        self.say(&text);
    }

    pub(super) fn say(&mut self, text: &[u8]) {
        self.say_frame(Opcode::Text, text);
    }

    pub(super) fn say_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, opcode, payload, Some([7, 11, 13, 17]));
        self.say_bytes(&bytes);
    }

    pub(super) fn say_bytes(&mut self, bytes: &[u8]) {
        let mut state = self.wire.state();
        if state.fate == Fate::Open {
            state.said.extend(bytes);
        }
    }

    pub(super) fn take_leave(&mut self) {
        self.say_frame(Opcode::Close, &1000u16.to_be_bytes());
    }

    pub(super) fn vanish(&mut self, fate: Fate) {
        self.wire.state().fate = fate;
    }

    /// Reads what its kernel holds, if it reads at all.
    pub(super) fn listen(&mut self) {
        if self.is_reading {
            self.read_at_most(usize::MAX);
        }
    }

    pub(super) fn read_at_most(&mut self, most: usize) {
        let came: Vec<u8> = {
            let mut state = self.wire.state();
            if state.fate == Fate::HalfOpen {
                return;
            }
            let count = most.min(state.took.len());
            state.took.drain(..count).collect()
        };
        self.heard.bytes.extend(&came);
        self.reader.push(&came);
        let mut answers = Vec::new();
        let mut messages = Vec::new();
        loop {
            match self.reader.next().expect("an exchange speaks WebSocket") {
                None => break,
                Some(Incoming::Message(text)) => messages.push(text.to_vec()),
                Some(Incoming::Ping(payload)) => {
                    answers.push((Opcode::Pong, payload.to_vec()));
                    self.heard.pings.push(payload.to_vec());
                }
                Some(Incoming::Pong(_)) => self.heard.pongs += 1,
                Some(Incoming::Close(reason)) => {
                    answers.push((Opcode::Close, reason.code.unwrap_or(1000).to_be_bytes().to_vec()));
                    self.heard.close.get_or_insert(reason);
                    break;
                }
            }
        }
        for text in messages {
            self.on_message(&text);
        }
        for (opcode, payload) in answers {
            if opcode != Opcode::Pong || self.answers_pings {
                self.say_frame(opcode, &payload);
            }
        }
    }

    fn on_message(&mut self, text: &[u8]) {
        let Self { decoder, replica, sequences, books, heard, .. } = self;
        let mut is_control = false;
        decoder.decode_each(text, |said| {
            let said = match said {
                Ok(said) => said,
                Err(error) => {
                    return heard.faults.push(format!("{error}: {}", String::from_utf8_lossy(text)));
                }
            };
            let outcome = match &said {
                Decoded::Control => return is_control = true,
                Decoded::Numbered(numbered) => sequences.on_number(*numbered),
                Decoded::Depth(update) => {
                    match update.form {
                        DepthForm::Snapshot => heard.snapshots += 1,
                        DepthForm::Update => heard.depths += 1,
                    }
                    on_depth(books, replica, update)
                }
                _ => {
                    match &said {
                        Decoded::Trade(_) | Decoded::Aggregate(_) => heard.trades += 1,
                        Decoded::Quote(_) => heard.quotes += 1,
                        Decoded::Ticker(_) => heard.tickers += 1,
                        _ => {}
                    }
                    replica.apply(&said)
                }
            };
            if let Err(fault) = outcome {
                heard.faults.push(fault.to_string());
            }
        });
        if is_control {
            self.on_reply(text);
        }
    }

    fn on_reply(&mut self, text: &[u8]) {
        match self.protocol.read_reply(text) {
            Ok(Some(reply)) => {
                if matches!(reply, Reply::Subscribed { .. }) && self.venue == Venue::Binance {
                    let held = self.books.iter().filter(|(_, book)| matches!(book, Book::Held(_)));
                    self.fetches = held.map(|(&symbol, _)| symbol).collect();
                }
                self.heard.replies.push(reply);
            }
            Ok(None) => {}
            Err(error) => self.heard.faults.push(format!("{error}: {}", String::from_utf8_lossy(text))),
        }
    }

    /// A book has come by HTTP.
    pub(super) fn fetched(&mut self, snapshot: &Snapshot) {
        let Some(book) = self.books.get_mut(&snapshot.symbol) else { return };
        let Book::Held(held) = std::mem::replace(book, Book::Seeded(snapshot.update_id)) else { return };
        self.replica.seed(snapshot);
        for (update, bids, asks) in held {
            let update = DepthUpdate { bids: &bids, asks: &asks, ..update };
            if let Err(fault) = on_depth(&mut self.books, &mut self.replica, &update) {
                self.heard.faults.push(fault.to_string());
            }
        }
    }

    /// The books that it keeps, whose best levels must be the true ones.
    #[track_caller]
    pub(super) fn check(&self, truth: impl Fn(SymbolId) -> Snapshot) {
        for (&symbol, book) in &self.books {
            assert!(
                matches!(book, Book::Live | Book::Seeded(_)),
                "{}: {symbol:?} was never whole; answers {:?}, faults {:?}",
                self.venue,
                self.heard.replies,
                self.heard.faults
            );
            let truth = truth(symbol);
            let depth = match self.venue.rules().default_depth {
                0 => usize::MAX,
                depth => depth as usize,
            };
            for (side, levels) in [(Side::Buy, &truth.bids), (Side::Sell, &truth.asks)] {
                let kept: Vec<_> = self.replica.levels(symbol, side).take(depth).collect();
                let levels: Vec<_> = levels.iter().copied().take(depth).collect();
                assert_eq!(kept, levels, "{} {symbol:?} {side:?}", self.venue);
            }
        }
    }
}

fn on_depth(
    books: &mut BTreeMap<SymbolId, Book>,
    replica: &mut Replica,
    update: &DepthUpdate<'_>,
) -> Result<(), tickstorm_venue::Fault> {
    // What comes after it was unsubscribed from is on its way still.
    let Some(book) = books.get_mut(&update.symbol) else { return Ok(()) };
    let last = match update.continuity {
        Continuity::Range { last, .. } => last,
        _ => u64::MAX,
    };
    match book {
        Book::Awaited if update.form != DepthForm::Snapshot => return Ok(()),
        Book::Awaited => *book = Book::Live,
        Book::Held(held) => {
            let (bids, asks) = (update.bids.to_vec(), update.asks.to_vec());
            held.push((DepthUpdate { bids: &[], asks: &[], ..*update }, bids, asks));
            return Ok(());
        }
        Book::Seeded(seeded) if last <= *seeded => return Ok(()),
        Book::Seeded(_) => *book = Book::Live,
        Book::Live => {}
    }
    replica.apply(&Decoded::Depth(*update))
}
