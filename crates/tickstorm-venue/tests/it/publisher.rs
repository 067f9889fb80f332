//! Subscribers who come and go: whenever they join, what they are greeted with and the frames that follow make the
//! market's own book, and no message is lost in the count.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickstorm_market::instrument::AssetId;
use tickstorm_market::{
    AccountId, Body, Kind, Listing, MarketSpec, Message, Regime, ShardMarket, Side, Snapshot, SymbolId,
};
use tickstorm_random::Seed;
use tickstorm_venue::decoded::AssetBalance;
use tickstorm_venue::protocol::{Channel, Endpoint, Request, Topic};
use tickstorm_venue::publisher::{AccountFeed, AccountState, Frame, Publishing, StreamId, Wish};
use tickstorm_venue::{
    Blotter, Conduct, Decoded, Decoder, Numbering, Protocol, Publisher, Replica, Sequences, Venue,
    VenueOptions,
};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

/// Every kind of public request of each venue, of symbol `S`.
fn requests(venue: Venue) -> &'static [&'static str] {
    match venue {
        Venue::Binance => &[
            r#"{"method":"SUBSCRIBE","params":["S@depth"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@depth@100ms"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@depth5@100ms"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@depth10"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@depth20@100ms"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@trade"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@aggTrade"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@bookTicker"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@ticker"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["S@miniTicker"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["!ticker@arr"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["!miniTicker@arr"],"id":1}"#,
        ],
        Venue::Coinbase => &[
            r#"{"type":"subscribe","channel":"level2","product_ids":["S"]}"#,
            r#"{"type":"subscribe","channel":"market_trades","product_ids":["S"]}"#,
            r#"{"type":"subscribe","channel":"ticker","product_ids":["S"]}"#,
            r#"{"type":"subscribe","channel":"ticker_batch","product_ids":["S"]}"#,
            r#"{"type":"subscribe","channel":"status","product_ids":["S"]}"#,
            r#"{"type":"subscribe","channel":"status"}"#,
        ],
        Venue::Kraken => &[
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["S"]}}"#,
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["S"],"depth":25}}"#,
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["S"],"depth":100}}"#,
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["S"],"depth":500}}"#,
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["S"],"depth":1000}}"#,
            r#"{"method":"subscribe","params":{"channel":"trade","symbol":["S"]}}"#,
            r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["S"]}}"#,
            r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["S"],"event_trigger":"bbo"}}"#,
            r#"{"method":"subscribe","params":{"channel":"instrument"}}"#,
        ],
        Venue::Okx => &[
            r#"{"op":"subscribe","args":[{"channel":"books","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"books-l2-tbt","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"books50-l2-tbt","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"books5","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"trades","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"tickers","instId":"S"}]}"#,
            r#"{"op":"subscribe","args":[{"channel":"instruments","instType":"SPOT"}]}"#,
        ],
        Venue::Bybit => &[
            r#"{"op":"subscribe","args":["orderbook.1.S"]}"#,
            r#"{"op":"subscribe","args":["orderbook.50.S"]}"#,
            r#"{"op":"subscribe","args":["orderbook.200.S"]}"#,
            r#"{"op":"subscribe","args":["orderbook.1000.S"]}"#,
            r#"{"op":"subscribe","args":["publicTrade.S"]}"#,
            r#"{"op":"subscribe","args":["tickers.S"]}"#,
        ],
    }
}

/// The topic that a client asks for with a request.
fn topic(venue: Venue, listing: &Listing, request: &str, symbol: SymbolId) -> Topic {
    let mut name = venue.symbol(listing, listing.instrument(symbol));
    if venue == Venue::Binance {
        name = name.to_lowercase();
    }
    let request = request.replace("S@", &format!("{name}@")).replace("\"S\"", &format!("{name:?}"));
    let request = request.replace(".S\"", &format!(".{name}\""));
    match Protocol::new(venue, listing).read_request(request.as_bytes(), Endpoint::Public) {
        Ok(Request::Subscribe { topics, .. }) => topics[0].clone(),
        other => panic!("{request}: {other:?}"),
    }
}

/// Somebody who has subscribed to one stream on a connection of his own.
struct Subscriber {
    venue: Venue,
    topic: Topic,
    stream: StreamId,
    /// The symbol's depth of book that he keeps, zero for all; none if he keeps none.
    depth: Option<u32>,
    numbering: Numbering,
    decoder: Decoder,
    replica: Replica,
    sequences: Sequences,
    /// Market messages that he was told.
    told: u64,
    last: Vec<u8>,
}

impl Subscriber {
    /// Takes in a wire message, in which there must be no fault.
    fn receive(&mut self, bytes: &[u8]) {
        let mut wrapped = Vec::new();
        let bytes = match self.venue {
            Venue::Binance => {
                wrapped.extend(format!(r#"{{"stream":"{}","data":"#, self.topic.name).bytes());
                wrapped.extend_from_slice(bytes);
                wrapped.push(b'}');
                &wrapped
            }
            _ => bytes,
        };
        self.last = bytes.to_vec();
        let text = || String::from_utf8_lossy(bytes);
        let (replica, sequences, topic) = (&mut self.replica, &mut self.sequences, &self.topic);
        self.decoder.decode_each(bytes, |said| {
            let said = said.unwrap_or_else(|error| panic!("{error}: {}", text()));
            let result = match said {
                Decoded::Numbered(numbered) => sequences.on_number(numbered),
                other => replica.apply(&other),
            };
            assert_eq!(result.err(), None, "{topic:?}: {}", text());
        });
    }

    /// Takes in a frame with the number that the connection gives it.
    fn on_frame(&mut self, frame: &Frame<'_>) {
        self.told += u64::from(frame.messages);
        // Who is told nothing new may be told that.
        assert!(frame.messages > 0 || matches!(self.venue, Venue::Okx | Venue::Bybit));
        assert_eq!(frame.number.is_some(), self.venue == Venue::Coinbase);
        match frame.number.clone() {
            Some(place) => {
                assert_eq!(&frame.bytes[place.clone()], b"0");
                let mut bytes = frame.bytes.to_vec();
                bytes.splice(place, self.numbering.frames.to_string().bytes());
                self.numbering.frames += 1;
                self.receive(&bytes);
            }
            None => self.receive(frame.bytes),
        }
    }

    fn assert_book_equal(&self, snapshot: &Snapshot) {
        let Some(depth) = self.depth else { return };
        let depth = if depth == 0 { usize::MAX } else { depth as usize };
        for (side, levels) in [(Side::Buy, &snapshot.bids), (Side::Sell, &snapshot.asks)] {
            let kept: Vec<_> = self.replica.levels(snapshot.symbol, side).collect();
            assert_eq!(kept, levels[..levels.len().min(depth)], "{:?} {side:?}", self.topic);
        }
        assert!(self.replica.book(snapshot.symbol).is_synchronised());
    }
}

/// A market, its publisher, and those who have subscribed.
struct Hall {
    venue: Venue,
    listing: Listing,
    market: ShardMarket,
    publisher: Publisher,
    subscribers: Vec<Subscriber>,
    /// Market messages told on each open stream since it was opened, by frames.
    framed: BTreeMap<StreamId, u64>,
    /// Of every kind and symbol, since each open stream was opened.
    happened: BTreeMap<StreamId, u64>,
    due_ns: u64,
    frames: Vec<u64>,
}

impl Hall {
    fn new(venue: Venue, publishing: Publishing, options: &VenueOptions, seed: u64, symbols: u32) -> Self {
        let listing = Listing::synthetic(symbols, Seed::new(seed));
        let spec = MarketSpec {
            shards: 1,
            accounts: 2,
            regime: Regime::VOLATILE,
            ..MarketSpec::new(Seed::new(seed), listing.clone())
        };
        Self {
            venue,
            market: ShardMarket::new(&spec, 0).expect("the spec is valid"),
            publisher: Publisher::new(venue, &listing, START_UNIX_NS, publishing, options),
            listing,
            subscribers: Vec::new(),
            framed: BTreeMap::new(),
            happened: BTreeMap::new(),
            due_ns: 0,
            frames: Vec::new(),
        }
    }

    fn join(&mut self, request: &str, symbol: SymbolId) {
        let topic = topic(self.venue, &self.listing, request, symbol);
        let market = &self.market;
        let stream = self.publisher.open(&topic, &mut |symbol| market.snapshot(symbol));
        let stream = stream.unwrap_or_else(|| panic!("{topic:?} is published"));
        self.framed.entry(stream).or_default();
        self.happened.entry(stream).or_default();
        let depth = match topic.channel {
            tickstorm_venue::protocol::Channel::Book { depth } => Some(depth),
            tickstorm_venue::protocol::Channel::TopOfBook { depth } => Some(depth),
            _ => None,
        };
        let mut subscriber = Subscriber {
            venue: self.venue,
            stream,
            depth,
            numbering: Numbering::default(),
            decoder: Decoder::new(self.venue, &self.listing),
            replica: Replica::with_depth(self.venue, &self.listing, depth.unwrap_or_default()),
            sequences: Sequences::default(),
            told: 0,
            last: Vec::new(),
            topic,
        };
        subscriber.replica.set_conduct(Conduct::Batched);
        let mut greetings = Vec::new();
        self.publisher.greet(stream, None, self.due_ns, &mut subscriber.numbering, &mut |bytes| {
            greetings.push(bytes.to_vec());
        });
        greetings.iter().for_each(|greeting| subscriber.receive(greeting));
        if self.venue == Venue::Binance && depth == Some(0) {
            // The book comes by REST, as the market has it.
            assert!(greetings.is_empty());
            subscriber.replica.seed(&self.market.snapshot(symbol).expect("it is the market's"));
        }
        self.subscribers.push(subscriber);
    }

    fn leave(&mut self, index: usize) {
        let left = self.subscribers.swap_remove(index);
        if !self.subscribers.iter().any(|other| other.stream == left.stream) {
            self.publisher.close(left.stream);
            self.publisher.close(left.stream);
            self.framed.remove(&left.stream);
            self.happened.remove(&left.stream);
            assert_eq!(self.publisher.waiting(left.stream), 0);
        }
    }

    fn run(&mut self, count: usize) {
        for _ in 0..count {
            self.due_ns += 170_000;
            let message = *self.market.next(self.due_ns);
            self.push(&message);
        }
    }

    fn push(&mut self, message: &Message) {
        let Self { publisher, subscribers, framed, frames, .. } = self;
        publisher.push(message, &mut |frame| {
            deliver(subscribers, framed, frames, &frame);
        });
        for (stream, happened) in &mut self.happened {
            let told = self.subscribers.iter().any(|subscriber| {
                subscriber.stream == *stream
                    && subscriber.topic.symbol.is_none_or(|symbol| symbol == message.symbol)
            });
            if told && publisher.kind(*stream) == Some(message.body.kind()) {
                *happened += 1;
            }
        }
    }

    fn flush(&mut self) {
        let Self { publisher, subscribers, framed, frames, .. } = self;
        publisher.close_until(u64::MAX, &mut |frame| deliver(subscribers, framed, frames, &frame));
        // Time is past the ends of those windows.
        self.due_ns = self.due_ns.max(self.frames.last().copied().unwrap_or_default());
        // Only who is silent for long is still to be heard of.
        assert!(publisher.next_due_ns().is_none_or(|due_ns| due_ns > self.due_ns));
    }

    /// After the windows have ended, everybody has the market's book and has been told everything.
    fn check(&mut self) {
        self.flush();
        for subscriber in &self.subscribers {
            if let Some(symbol) = subscriber.topic.symbol {
                subscriber.assert_book_equal(&self.market.snapshot(symbol).expect("it is the market's"));
            }
        }
        for (stream, happened) in &self.happened {
            let told = self.framed[stream] + u64::from(self.publisher.waiting(*stream));
            let subscriber =
                self.subscribers.iter().find(|subscriber| subscriber.stream == *stream).expect("it is open");
            // Of a part of a book not every change is seen.
            match subscriber.depth {
                None | Some(0) => assert_eq!(told, *happened, "{:?}", subscriber.topic),
                Some(_) => assert!(told <= *happened, "{:?}", subscriber.topic),
            }
        }
        assert!(self.frames.is_sorted(), "frames come in the order of their due times");
    }
}

fn deliver(
    subscribers: &mut [Subscriber],
    framed: &mut BTreeMap<StreamId, u64>,
    frames: &mut Vec<u64>,
    frame: &Frame<'_>,
) {
    *framed.get_mut(&frame.stream).expect("nothing is rendered for nobody") += u64::from(frame.messages);
    frames.push(frame.due_ns);
    for subscriber in subscribers.iter_mut().filter(|subscriber| subscriber.stream == frame.stream) {
        subscriber.on_frame(frame);
    }
}

#[test]
fn whoever_joins_and_leaves_has_the_market_s_book_and_every_message_is_counted() {
    for venue in Venue::ALL {
        for publishing in [Publishing::Venue, Publishing::Realtime] {
            let mut hall = Hall::new(venue, publishing, &VenueOptions::default(), 7, 3);
            for round in 0..3 {
                for request in requests(venue) {
                    for symbol in [SymbolId(0), SymbolId(1)] {
                        hall.run(37);
                        hall.join(request, symbol);
                    }
                }
                hall.run(3_000);
                hall.check();
                for index in (0..hall.subscribers.len()).rev().step_by(2 + round) {
                    hall.leave(index);
                    hall.run(11);
                }
                hall.run(1_000);
                hall.check();
            }
            while !hall.subscribers.is_empty() {
                hall.leave(0);
            }
            let frames = hall.frames.len();
            assert!(frames > 500, "{venue} {publishing:?}: {frames}");
            hall.run(2_000);
            hall.flush();
            assert_eq!(hall.frames.len(), frames, "nothing is rendered for nobody");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn subscribers_may_come_and_go_at_any_time(
        venue in prop::sample::select(Venue::ALL.to_vec()),
        realtime: bool,
        seed in 0..1_000u64,
        acts in proptest::collection::vec((0..400usize, any::<bool>(), any::<prop::sample::Index>(), 0..2u32), 1..40),
    ) {
        let publishing = if realtime { Publishing::Realtime } else { Publishing::Venue };
        let retired = VenueOptions::parse(["okx-checksum=retired", "kraken-trade-snapshot=on"]).unwrap();
        let mut hall = Hall::new(venue, publishing, &retired, seed, 2);
        for (count, joins, index, symbol) in acts {
            hall.run(count);
            if joins || hall.subscribers.is_empty() {
                let requests = requests(venue);
                hall.join(requests[index.index(requests.len())], SymbolId(symbol));
            } else {
                hall.leave(index.index(hall.subscribers.len()));
            }
        }
        hall.run(300);
        hall.check();
    }
}

#[test]
fn the_same_messages_and_calls_give_the_same_frames() {
    for venue in Venue::ALL {
        let all = || {
            let mut hall = Hall::new(venue, Publishing::Venue, &VenueOptions::default(), 3, 5);
            for symbol in (0..5).map(SymbolId) {
                requests(venue).iter().for_each(|request| hall.join(request, symbol));
            }
            let mut bytes = Vec::new();
            for _ in 0..3_000 {
                hall.due_ns += 500_000;
                let message = *hall.market.next(hall.due_ns);
                hall.publisher.push(&message, &mut |frame| {
                    bytes.push((frame.stream, frame.due_ns, frame.bytes.to_vec(), frame.messages));
                });
            }
            bytes
        };
        let frames = all();
        assert!(frames == all());
        assert!(frames.len() > 100);
    }
}

#[test]
fn each_message_is_a_frame_in_real_time() {
    for venue in Venue::ALL {
        let mut hall = Hall::new(venue, Publishing::Realtime, &VenueOptions::default(), 5, 1);
        requests(venue).iter().for_each(|request| hall.join(request, SymbolId(0)));
        let mut told = 0;
        for _ in 0..3_000 {
            hall.due_ns += 500_000;
            let message = *hall.market.next(hall.due_ns);
            let mut streams = Vec::new();
            hall.publisher.push(&message, &mut |frame| {
                assert_eq!((frame.due_ns, frame.kind), (message.due_ns, message.body.kind()));
                assert_eq!(frame.messages, 1);
                streams.push(frame.stream);
            });
            let count = streams.len();
            streams.sort();
            streams.dedup();
            assert_eq!(streams.len(), count, "{venue}: one frame a stream");
            told += count;
        }
        assert!(told > 2_000, "{venue}: {told}");
        assert!(hall.publisher.next_due_ns().is_none_or(|due_ns| due_ns > hall.due_ns), "nothing waits");
    }
}

#[test]
fn a_depth_update_of_binance_continues_the_snapshot_of_the_rest_interface() {
    for request in [
        r#"{"method":"SUBSCRIBE","params":["S@depth"],"id":1}"#,
        r#"{"method":"SUBSCRIBE","params":["S@depth@100ms"],"id":1}"#,
    ] {
        let mut hall = Hall::new(Venue::Binance, Publishing::Venue, &VenueOptions::default(), 9, 1);
        hall.join(request, SymbolId(0));
        hall.run(5_000);
        // The snapshot is fetched while the stream is running, and buffered updates older than it are dropped.
        let snapshot = hall.market.snapshot(SymbolId(0)).unwrap();
        assert!(snapshot.update_id > 0);
        let subscriber = &mut hall.subscribers[0];
        subscriber.replica = Replica::new(Venue::Binance, &hall.listing);
        subscriber.replica.set_conduct(Conduct::Batched);
        subscriber.replica.seed(&snapshot);
        hall.run(20_000);
        hall.check();
    }
}

#[test]
fn windows_end_at_whole_multiples_of_their_length() {
    let mut hall = Hall::new(Venue::Bybit, Publishing::Venue, &VenueOptions::default(), 2, 1);
    hall.join(r#"{"op":"subscribe","args":["orderbook.50.S"]}"#, SymbolId(0));
    hall.run(5_000);
    hall.flush();
    assert!(hall.frames.len() > 20);
    assert!(hall.frames.iter().all(|due_ns| due_ns % 20_000_000 == 0));
}

#[test]
fn what_is_waiting_is_due_at_the_end_of_its_window() {
    let mut hall = Hall::new(Venue::Binance, Publishing::Venue, &VenueOptions::default(), 2, 1);
    hall.join(r#"{"method":"SUBSCRIBE","params":["S@depth"],"id":1}"#, SymbolId(0));
    assert_eq!(hall.publisher.next_due_ns(), None);
    loop {
        hall.due_ns += 1_000;
        let message = *hall.market.next(hall.due_ns);
        hall.push(&message);
        if matches!(message.body, Body::Book(_)) {
            break;
        }
    }
    assert_eq!(hall.publisher.next_due_ns(), Some(1_000_000_000));
    let stream = hall.subscribers[0].stream;
    assert_eq!(hall.publisher.waiting(stream), 1);
    assert_eq!(hall.publisher.kind(stream), Some(Kind::Book));
    hall.publisher.close_until(999_999_999, &mut |_| panic!("the window is open"));
    let mut frames = 0;
    hall.publisher.close_until(1_000_000_000, &mut |frame| {
        frames += 1;
        assert_eq!((frame.due_ns, frame.messages), (1_000_000_000, 1));
    });
    assert_eq!((frames, hall.publisher.waiting(stream)), (1, 0));
}

/// Frames that are due by then, as text, with the time that each was due and the messages that it tells.
fn reached(hall: &mut Hall, now_ns: u64) -> Vec<(String, u64, u32)> {
    let mut frames = Vec::new();
    hall.publisher.reach(now_ns, &mut |frame| {
        frames.push((
            String::from_utf8(frame.bytes.to_vec()).expect("venues write text"),
            frame.due_ns,
            frame.messages,
        ));
        hall.subscribers.iter_mut().for_each(|subscriber| subscriber.on_frame(&frame));
    });
    frames
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_book_of_okx_in_which_nothing_changes_says_so_every_minute() {
    for (channel, options) in [
        ("books", &[][..]),
        ("books-l2-tbt", &[]),
        ("books50-l2-tbt", &["okx-checksum=retired"]),
        ("books", &["okx-checksum=retired"]),
    ] {
        let options = VenueOptions::parse(options.iter().copied()).unwrap();
        let mut hall = Hall::new(Venue::Okx, Publishing::Venue, &options, 2, 1);
        let request = format!(r#"{{"op":"subscribe","args":[{{"channel":"{channel}","instId":"S"}}]}}"#);
        hall.join(&request, SymbolId(0));
        hall.run(2_000);
        hall.flush();
        let last: serde_json::Value = serde_json::from_slice(&hall.subscribers[0].last).unwrap();
        let last = &last["data"][0];
        let told_ns = *hall.frames.last().unwrap();
        assert_eq!(reached(&mut hall, told_ns + 60 * SECOND - 1), [], "{channel}");
        for minute in 1..4 {
            let now_ns = told_ns + minute * 60 * SECOND;
            assert_eq!(hall.publisher.next_due_ns(), Some(now_ns));
            let [(text, due_ns, 0)] = &reached(&mut hall, now_ns)[..] else {
                panic!("one that tells nothing")
            };
            assert_eq!(*due_ns, now_ns);
            let message: serde_json::Value = serde_json::from_str(text).unwrap();
            let data = &message["data"][0];
            assert_eq!(message["action"], "update");
            assert_eq!(message["arg"]["channel"], channel);
            assert_eq!([&data["seqId"], &data["prevSeqId"]], [&last["seqId"]; 2], "{text}");
            assert_eq!([&data["asks"], &data["bids"]], [&serde_json::json!([]); 2], "{text}");
            assert_eq!(data["checksum"], last["checksum"], "{text}");
            let ms = (START_UNIX_NS as u64 + now_ns) / 1_000_000;
            assert_eq!(data["ts"], ms.to_string(), "{text}");
        }
        hall.due_ns = told_ns + 180 * SECOND;
        hall.run(500);
        hall.check();
    }
}

#[test]
fn best_prices_of_bybit_that_do_not_change_are_told_again_after_three_seconds() {
    for publishing in [Publishing::Venue, Publishing::Realtime] {
        let mut hall = Hall::new(Venue::Bybit, publishing, &VenueOptions::default(), 2, 1);
        hall.join(r#"{"op":"subscribe","args":["orderbook.1.S"]}"#, SymbolId(0));
        hall.join(r#"{"op":"subscribe","args":["orderbook.50.S"]}"#, SymbolId(0));
        hall.run(2_000);
        hall.flush();
        let last = String::from_utf8(hall.subscribers[0].last.clone()).unwrap();
        let timeless = |text: &str| {
            let mut message: serde_json::Value = serde_json::from_str(text).unwrap();
            (message["ts"].take(), message)
        };
        let mut told_ms = timeless(&last).0.as_u64().unwrap();
        let mut count = 0;
        // Looks that come late, and some that come too early.
        let start_ns = hall.due_ns;
        for look_ns in (0..30).map(|look| start_ns + look * 710_000_000) {
            for (text, due_ns, messages) in reached(&mut hall, look_ns) {
                let (ts, message) = timeless(&text);
                assert_eq!(message, timeless(&last).1, "the same with the same `u`");
                assert_eq!((due_ns, messages), (look_ns, 0));
                let ms = ts.as_u64().unwrap();
                assert!((3_000..3_000 + 711).contains(&(ms - told_ms)), "{ms} after {told_ms}");
                told_ms = ms;
                count += 1;
            }
        }
        assert!((5..=6).contains(&count), "{count} in twenty seconds");
        hall.due_ns = start_ns + 30 * SECOND;
        hall.run(500);
        hall.check();
        hall.leave(0);
        hall.flush();
        assert_eq!(hall.publisher.next_due_ns(), None, "a book of fifty levels does not repeat itself");
    }
}

#[test]
fn what_was_not_looked_at_for_long_is_told_again_once() {
    let mut hall = Hall::new(Venue::Bybit, Publishing::Venue, &VenueOptions::default(), 2, 1);
    hall.join(r#"{"op":"subscribe","args":["orderbook.1.S"]}"#, SymbolId(0));
    assert_eq!(reached(&mut hall, 600 * SECOND).len(), 1);
    assert_eq!(hall.publisher.next_due_ns(), Some(603 * SECOND));
    assert_eq!(reached(&mut hall, u64::MAX).len(), 1, "the end of time comes once");
}

#[test]
fn a_halt_is_told_and_later_subscribers_are_greeted_with_it() {
    for (venue, request, halted) in [
        (
            Venue::Kraken,
            r#"{"method":"subscribe","params":{"channel":"instrument"}}"#,
            Some(r#""status":"post_only""#),
        ),
        (Venue::Coinbase, r#"{"type":"subscribe","channel":"status"}"#, Some(r#""status":"offline""#)),
        (
            Venue::Coinbase,
            r#"{"type":"subscribe","channel":"status","product_ids":["S"]}"#,
            Some(r#""status":"offline""#),
        ),
        (Venue::Okx, r#"{"op":"subscribe","args":[{"channel":"instruments","instType":"SPOT"}]}"#, None),
    ] {
        let mut hall = Hall::new(venue, Publishing::Venue, &VenueOptions::default(), 2, 3);
        hall.join(request, SymbolId(1));
        let status = Body::Status(tickstorm_market::Status { trading: false });
        let message = Message { symbol: SymbolId(1), body: status, ..*hall.market.next(5) };
        hall.push(&message);
        assert_eq!(hall.frames, [5], "{venue}");
        hall.join(request, SymbolId(1));
        let greeting = String::from_utf8(hall.subscribers[1].last.clone()).unwrap();
        match halted {
            Some(halted) => assert_eq!(greeting.matches(halted).count(), 1, "{greeting}"),
            None => assert_eq!(greeting, ""),
        }
    }
}

#[test]
fn trades_of_a_frame_of_coinbase_come_newest_first() {
    let mut hall = Hall::new(Venue::Coinbase, Publishing::Venue, &VenueOptions::default(), 2, 1);
    hall.join(r#"{"type":"subscribe","channel":"market_trades","product_ids":["S"]}"#, SymbolId(0));
    let mut several = 0;
    for _ in 0..50 {
        hall.run(200);
        let text = String::from_utf8(hall.subscribers[0].last.clone()).unwrap();
        let ids: Vec<u64> = text
            .split(r#""trade_id":""#)
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(ids.is_sorted_by(|one, other| one > other), "{text}");
        several += usize::from(ids.len() > 1);
    }
    assert!(several > 5);
    hall.join(r#"{"type":"subscribe","channel":"market_trades","product_ids":["S"]}"#, SymbolId(0));
    let greeting = String::from_utf8(hall.subscribers[1].last.clone()).unwrap();
    assert!(
        greeting.contains(r#""type":"snapshot""#) && greeting.matches("trade_id").count() > 5,
        "{greeting}"
    );
}

#[test]
fn an_account_s_connections_are_each_told_everything() {
    let all = [Channel::Orders, Channel::Fills, Channel::Balances];
    for venue in Venue::ALL {
        let mut hall = Hall::new(venue, Publishing::Venue, &VenueOptions::default(), 4, 2);
        let account = AccountId(0);
        let balances = balances(&hall.market, account);
        assert!(!balances.is_empty());
        let blotter = Blotter::default();
        let state = AccountState { balances: &balances, blotter: &blotter };
        // The last connection has subscribed to nothing for a while.
        let mut connections: Vec<_> = (0..3)
            .map(|_| {
                let feed = hall.publisher.account_feed(account, &state);
                let decoder = Decoder::new(venue, &hall.listing);
                let replica = Replica::new(venue, &hall.listing);
                (feed, Numbering::default(), decoder, replica, Sequences::default(), 0)
            })
            .collect();
        for (index, (feed, numbering, decoder, replica, sequences, _)) in connections.iter_mut().enumerate() {
            if index < 2 {
                feed.greet(&[own(Channel::Balances)], Wish::default(), &state, 0, numbering, &mut |bytes| {
                    decoder.decode_each(bytes, |said| match said.unwrap() {
                        Decoded::Numbered(numbered) => sequences.on_number(numbered).unwrap(),
                        said => replica.apply(&said).unwrap(),
                    });
                });
            }
        }
        let mut kinds = BTreeMap::<_, u32>::new();
        for turn in 0..30_000 {
            hall.due_ns += 170_000;
            let message = *hall.market.next(hall.due_ns);
            for (index, (feed, numbering, decoder, replica, sequences, told)) in
                connections.iter_mut().enumerate()
            {
                let channels: &[Channel] = match (index, venue) {
                    (2, _) if turn < 10_000 => &[],
                    (_, Venue::Binance | Venue::Coinbase) => &[Channel::User],
                    _ => &all,
                };
                feed.push(&message, channels, numbering, &mut |bytes, kind| {
                    assert_eq!(kind, message.body.kind());
                    *told += 1;
                    *kinds.entry(kind).or_default() += 1;
                    decoder.decode_each(bytes, |said| {
                        let result = match said.unwrap() {
                            Decoded::Numbered(numbered) => sequences.on_number(numbered),
                            said => replica.apply(&said),
                        };
                        assert_eq!(result.err(), None, "{venue}: {}", String::from_utf8_lossy(bytes));
                    });
                });
            }
        }
        assert!(kinds[&Kind::Execution] > 50, "{venue}: {kinds:?}");
        assert_eq!(kinds.contains_key(&Kind::Balance), venue != Venue::Coinbase);
        let told: Vec<u32> = connections.iter().map(|connection| connection.5).collect();
        assert_eq!(told[0], told[1]);
        assert!(0 < told[2] && told[2] < told[0], "{told:?}");
    }
}

fn balances(market: &ShardMarket, account: AccountId) -> Vec<AssetBalance> {
    let all = market.balances().into_iter().filter(|balance| balance.account == account);
    all.map(|balance| AssetBalance::of(&balance)).collect()
}

/// A topic of an account, about all its instruments.
fn own(channel: Channel) -> Topic {
    Topic { channel, symbol: None, name: String::new() }
}

/// What a new connection is told first.
fn greetings(feed: &mut AccountFeed, topics: &[Topic], wish: Wish, state: &AccountState<'_>) -> Vec<String> {
    let mut told = Vec::new();
    feed.greet(topics, wish, state, 0, &mut Numbering::default(), &mut |bytes| {
        told.push(String::from_utf8(bytes.to_vec()).expect("venues write text"));
    });
    told
}

/// A market after so many messages and to the end of an event, with what account 0 has there.
fn after(venue: Venue, symbols: u32, messages: u32) -> (Hall, Blotter) {
    let mut hall = Hall::new(venue, Publishing::Venue, &VenueOptions::default(), 4, symbols);
    let mut blotter = Blotter::default();
    for count in 0.. {
        hall.due_ns += 170_000;
        let message = *hall.market.next(hall.due_ns);
        if matches!(message.body, Body::Execution(execution) if execution.account == AccountId(0)) {
            blotter.push(&message);
        }
        if count >= messages && message.last {
            break;
        }
    }
    (hall, blotter)
}

/// The open orders of a message: whether they buy, then price, quantity and what is filled of it, all as numbers.
fn open_orders(venue: Venue, text: &str, listing: &Listing) -> Vec<(SymbolId, bool, [f64; 3])> {
    let message: serde_json::Value = serde_json::from_str(text).expect("venues write JSON");
    let (orders, [symbol, side, price, filled]) = match venue {
        Venue::Kraken => (&message["data"], ["symbol", "side", "limit_price", "cum_qty"]),
        _ => {
            let names = ["product_id", "order_side", "limit_price", "cumulative_quantity"];
            (&message["events"][0]["orders"], names)
        }
    };
    let number = |value: &serde_json::Value| match value.as_str() {
        Some(text) => text.parse().expect("a number"),
        None => value.as_f64().expect("a number"),
    };
    let order = |order: &serde_json::Value| {
        let symbol = listing.instruments.iter().find(|it| order[symbol] == venue.symbol(listing, it));
        let whole = match venue {
            Venue::Kraken => number(&order["order_qty"]),
            _ => number(&order["leaves_quantity"]) + number(&order[filled]),
        };
        let buys = order[side].as_str().expect("a word").eq_ignore_ascii_case("buy");
        (symbol.expect("it is listed").id, buys, [number(&order[price]), whole, number(&order[filled])])
    };
    orders.as_array().expect("a list").iter().map(order).collect()
}

/// What is locked is bound in open orders and in nothing else: their snapshot is held against the balances.
#[test]
fn open_orders_that_new_subscribers_are_told_bind_what_is_locked() {
    for venue in [Venue::Kraken, Venue::Coinbase] {
        let (hall, blotter) = after(venue, 3, 30_000);
        let balances = balances(&hall.market, AccountId(0));
        let state = AccountState { balances: &balances, blotter: &blotter };
        let mut feed = hall.publisher.account_feed(AccountId(0), &state);
        let channel = if venue == Venue::Kraken { Channel::Orders } else { Channel::User };
        let told = greetings(&mut feed, &[own(channel)], Wish::default(), &state);
        let [told] = &told[..] else { panic!("{told:?}") };
        assert_eq!(told.matches(r#""type":"snapshot""#).count(), 1, "{told}");
        let orders = open_orders(venue, told, &hall.listing);
        assert!(orders.len() > 2 && orders.iter().any(|(.., [_, _, filled])| *filled > 0.0), "{told}");
        let mut locked: BTreeMap<AssetId, f64> = BTreeMap::new();
        for (symbol, buys, [price, whole, filled]) in orders {
            let instrument = hall.listing.instrument(symbol);
            let (asset, units) = match buys {
                true => (instrument.quote, price * (whole - filled)),
                false => (instrument.base, whole - filled),
            };
            *locked.entry(asset).or_default() += units;
        }
        for balance in &balances {
            let found = locked.get(&balance.asset).copied().unwrap_or_default();
            let expected = balance.locked_units.unwrap() as f64 / 1e8;
            assert!((found - expected).abs() < 1e-6, "{venue} {:?}: {found} of {expected}", balance.asset);
        }
        let mut decoder = Decoder::new(venue, &hall.listing);
        let mut said = Vec::new();
        decoder.decode_each(told.as_bytes(), |item| said.push(format!("{:?}", item.unwrap())));
        assert_eq!(said.len(), 2, "its number, and no news: {said:?}");
    }
}

#[test]
fn a_late_connection_is_told_the_same_as_one_from_the_start() {
    for venue in Venue::ALL {
        let mut hall = Hall::new(venue, Publishing::Venue, &VenueOptions::default(), 4, 2);
        let mut blotter = Blotter::default();
        let start = balances(&hall.market, AccountId(0));
        let state = AccountState { balances: &start, blotter: &blotter };
        let mut early = hall.publisher.account_feed(AccountId(0), &state);
        let mut late: Option<AccountFeed> = None;
        let mut sums_differ = 0;
        let channels = [Channel::Orders, Channel::Fills, Channel::User];
        for turn in 0..40_000 {
            hall.due_ns += 170_000;
            let message = *hall.market.next(hall.due_ns);
            if turn > 20_000 && late.is_none() {
                let now = balances(&hall.market, AccountId(0));
                let state = AccountState { balances: &now, blotter: &blotter };
                late = Some(hall.publisher.account_feed(AccountId(0), &state));
                sums_differ = blotter.orders().iter().filter(|order| order.fills > 0).count();
            }
            let mut told = Vec::new();
            for feed in std::iter::once(&mut early).chain(&mut late) {
                let mut texts = Vec::new();
                feed.push(&message, &channels, &mut Numbering::default(), &mut |bytes, kind| {
                    if kind == Kind::Execution {
                        texts.push(String::from_utf8(bytes.to_vec()).unwrap());
                    }
                });
                told.push(texts);
            }
            if let [early, late] = &told[..] {
                assert_eq!(early, late, "{venue}");
            }
            if message.body.kind() == Kind::Execution
                && matches!(message.body, Body::Execution(execution) if execution.account == AccountId(0))
            {
                blotter.push(&message);
            }
        }
        assert!(sums_differ > 0, "no order was filled in part when the late one came");
    }
}

#[test]
fn coinbase_tells_fifty_orders_a_frame_and_only_those_of_the_products_asked_for() {
    let (hall, blotter) = after(Venue::Coinbase, 80, 250_000);
    let state = AccountState { balances: &[], blotter: &blotter };
    let told = |topics: &[Topic]| {
        let mut feed = hall.publisher.account_feed(AccountId(0), &state);
        let frames = greetings(&mut feed, topics, Wish::default(), &state);
        let numbers: Vec<String> =
            (0..frames.len()).map(|number| format!("\"sequence_num\":{number},")).collect();
        assert!(frames.iter().zip(&numbers).all(|(frame, number)| frame.contains(number)), "{frames:?}");
        let orders = frames.iter().map(|frame| open_orders(Venue::Coinbase, frame, &hall.listing));
        orders.collect::<Vec<_>>()
    };
    let all = told(&[own(Channel::User)]);
    let count = blotter.orders().len();
    assert!(count > 50, "{count}");
    let lengths: Vec<usize> = all.iter().map(Vec::len).collect();
    assert!(lengths[..lengths.len() - 1].iter().all(|&length| length == 50), "{lengths:?}");
    assert_eq!(lengths.iter().sum::<usize>(), count);
    let of = |symbol| Topic { symbol: Some(SymbolId(symbol)), ..own(Channel::User) };
    let some = told(&[of(0), of(2)]).concat();
    let expected = all.concat().into_iter().filter(|(symbol, ..)| [0, 2].contains(&symbol.0));
    assert_eq!(some, expected.collect::<Vec<_>>());
    assert!(!some.is_empty());
    let blotter = Blotter::default();
    let state = AccountState { balances: &[], blotter: &blotter };
    let mut feed = hall.publisher.account_feed(AccountId(0), &state);
    let nothing = greetings(&mut feed, &[own(Channel::User)], Wish::default(), &state);
    let [nothing] = &nothing[..] else { panic!("{nothing:?}") };
    assert!(nothing.contains(r#""type":"snapshot","orders":[]"#), "{nothing}");
}

#[test]
fn kraken_s_clients_choose_between_orders_and_fills() {
    let (hall, blotter) = after(Venue::Kraken, 3, 60_000);
    let balances = balances(&hall.market, AccountId(0));
    let state = AccountState { balances: &balances, blotter: &blotter };
    let open = blotter.orders().len();
    assert!(open > 0 && blotter.fills().count() == Blotter::MOST_FILLS);
    for (snapshot, fills, expected) in [
        (None, None, Some((open, 0))),
        (Some(true), Some(false), Some((open, 0))),
        (Some(true), Some(true), Some((open, 50))),
        (Some(false), Some(true), Some((0, 50))),
        (Some(false), None, None),
    ] {
        let mut feed = hall.publisher.account_feed(AccountId(0), &state);
        let told = greetings(&mut feed, &[own(Channel::Orders)], Wish { snapshot, fills }, &state);
        let counts = told.first().map(|told| {
            let message: serde_json::Value = serde_json::from_str(told).unwrap();
            assert_eq!((&message["type"], &message["sequence"]), (&"snapshot".into(), &1.into()), "{told}");
            let of = |kinds: &[&str]| {
                let entries = message["data"].as_array().unwrap().iter();
                entries.filter(|entry| kinds.iter().any(|kind| entry["exec_type"] == *kind)).count()
            };
            (of(&["new", "status"]), of(&["trade"]))
        });
        assert_eq!(
            (counts, told.len()),
            (expected, usize::from(expected.is_some())),
            "{snapshot:?} {fills:?}"
        );
    }
    let mut feed = hall.publisher.account_feed(AccountId(0), &state);
    let balances = [own(Channel::Balances)];
    let wish = Wish { snapshot: Some(false), fills: None };
    assert_eq!(greetings(&mut feed, &balances, wish, &state).len(), 0);
    assert_eq!(greetings(&mut feed, &balances, Wish::default(), &state).len(), 1);
}

#[test]
fn the_other_venues_tell_new_subscribers_nothing_of_orders() {
    for venue in [Venue::Binance, Venue::Okx, Venue::Bybit] {
        let (hall, blotter) = after(venue, 3, 30_000);
        let state = AccountState { balances: &balances(&hall.market, AccountId(0)), blotter: &blotter };
        let mut feed = hall.publisher.account_feed(AccountId(0), &state);
        for channel in [Channel::Orders, Channel::Fills, Channel::User] {
            assert_eq!(greetings(&mut feed, &[own(channel)], Wish::default(), &state), [""; 0], "{venue}");
        }
        let told = greetings(&mut feed, &[own(Channel::Balances)], Wish::default(), &state).len();
        assert_eq!(told, usize::from(venue == Venue::Okx), "{venue}");
    }
}

#[test]
fn options_change_what_the_wire_says() {
    let told = |venue, options: &[&str], request: &str| {
        let options = VenueOptions::parse(options.iter().copied()).unwrap();
        let mut hall = Hall::new(venue, Publishing::Realtime, &options, 2, 1);
        hall.run(500);
        hall.join(request, SymbolId(0));
        let greeting = String::from_utf8(hall.subscribers[0].last.clone()).unwrap();
        hall.run(200);
        (greeting, String::from_utf8(hall.subscribers[0].last.clone()).unwrap())
    };
    let level2 = r#"{"type":"subscribe","channel":"level2","product_ids":["S"]}"#;
    let (greeting, update) =
        told(Venue::Coinbase, &["coinbase-client-id=empty", "coinbase-snapshot-depth=3"], level2);
    assert!(greeting.contains(r#""client_id":"""#) && update.contains(r#""client_id":"""#), "{update}");
    assert_eq!(greeting.matches("price_level").count(), 6, "{greeting}");
    let (greeting, _) = told(Venue::Coinbase, &[], level2);
    assert!(!greeting.contains("client_id") && greeting.matches("price_level").count() > 6, "{greeting}");
    let books = r#"{"op":"subscribe","args":[{"channel":"books","instId":"S"}]}"#;
    let (greeting, update) = told(Venue::Okx, &["okx-checksum=retired"], books);
    assert!(!greeting.contains(r#""checksum":0,"#) && !update.contains(r#""checksum":0,"#), "{update}");
    let (greeting, update) = told(Venue::Okx, &[], books);
    assert!(greeting.contains(r#""checksum":0,"#) && update.contains(r#""checksum":0,"#), "{update}");
}

#[test]
fn the_fields_of_okx_s_account_events_are_an_option() {
    for (options, there) in [(&[][..], true), (&["okx-event-type=absent"], false)] {
        let options = VenueOptions::parse(options.iter().copied()).unwrap();
        let hall = Hall::new(Venue::Okx, Publishing::Venue, &options, 2, 1);
        let state = AccountState { balances: &[], blotter: &Blotter::default() };
        let mut feed = hall.publisher.account_feed(AccountId(1), &state);
        let told = greetings(&mut feed, &[own(Channel::Balances)], Wish::default(), &state).concat();
        for field in ["eventType", "curPage", "lastPage"] {
            assert_eq!(told.contains(field), there, "{told}");
        }
    }
}

#[test]
fn recent_trades_of_kraken_come_on_demand_or_by_option() {
    let request = r#"{"method":"subscribe","params":{"channel":"trade","symbol":["S"]}}"#;
    for (options, wish, told) in [
        (&[][..], None, false),
        (&[], Some(true), true),
        (&["kraken-trade-snapshot=on"], None, true),
        (&["kraken-trade-snapshot=on"], Some(false), false),
    ] {
        let options = VenueOptions::parse(options.iter().copied()).unwrap();
        let mut hall = Hall::new(Venue::Kraken, Publishing::Venue, &options, 2, 1);
        hall.join(request, SymbolId(0));
        hall.run(2_000);
        let (stream, now_ns) = (hall.subscribers[0].stream, hall.due_ns);
        let mut greeting = String::new();
        hall.publisher.greet(stream, wish, now_ns, &mut Numbering::default(), &mut |bytes| {
            greeting = String::from_utf8(bytes.to_vec()).unwrap();
        });
        assert_eq!(greeting.contains(r#""type":"snapshot""#), told, "{greeting}");
        assert!(greeting.matches("trade_id").count() <= 50);
    }
}

#[test]
fn events_on_a_socket_with_a_listen_key_have_no_wrapper() {
    let mut hall = Hall::new(Venue::Binance, Publishing::Venue, &VenueOptions::default(), 4, 2);
    let state = AccountState { balances: &[], blotter: &Blotter::default() };
    let mut wrapped = hall.publisher.account_feed(AccountId(1), &state);
    let mut bare = wrapped.clone();
    bare.tell_bare_events();
    let mut count = 0;
    for _ in 0..20_000 {
        hall.due_ns += 170_000;
        let message = *hall.market.next(hall.due_ns);
        let mut texts = Vec::new();
        for feed in [&mut wrapped, &mut bare] {
            feed.push(&message, &[Channel::User], &mut Numbering::default(), &mut |bytes, _| {
                texts.push(String::from_utf8(bytes.to_vec()).unwrap());
            });
        }
        if let [wrapped, bare] = &texts[..] {
            assert!(bare.starts_with(r#"{"e":""#), "{bare}");
            assert_eq!(*wrapped, format!(r#"{{"subscriptionId":0,"event":{bare}}}"#));
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn the_last_statistics_of_every_symbol_are_at_hand_without_a_stream() {
    let mut hall = Hall::new(Venue::Okx, Publishing::Venue, &VenueOptions::default(), 4, 2);
    let mut last = [None; 2];
    for _ in 0..5_000 {
        hall.due_ns += 170_000;
        let message = *hall.market.next(hall.due_ns);
        hall.push(&message);
        if let Body::Ticker(ticker) = message.body {
            last[message.symbol.0 as usize] = Some(ticker);
        }
    }
    assert!(last.iter().all(Option::is_some));
    assert_eq!([0, 1].map(|symbol| hall.publisher.ticker(SymbolId(symbol))), last);
    assert_eq!(hall.publisher.ticker(SymbolId(2)), None);
}
