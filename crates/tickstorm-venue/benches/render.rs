//! What a message costs to write, to read and to apply, in nanoseconds: `cargo bench -p tickstorm-venue`.
//! Under the test runner (no `--bench`) everything runs once with tiny inputs.

#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use serde::{Serialize, Serializer};
use tickstorm_market::{Body, BookChange, Kind, Listing, MarketSpec, Message, ShardMarket, Side};
use tickstorm_random::Seed;
use tickstorm_venue::{Decoder, Encoder, Numbering, Replica, Venue};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

/// 100,000 messages a second.
const GAP_NS: u64 = 10_000;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (messages, rounds) = if measured { (200_000, 100) } else { (2_000, 1) };
    let bench = Bench::new(messages, rounds);
    bench.render();
    bench.read();
}

struct Bench {
    listing: Listing,
    market: ShardMarket,
    messages: Vec<Message>,
    rounds: u32,
}

impl Bench {
    fn new(count: u64, rounds: u32) -> Self {
        let listing = Listing::synthetic(100, Seed::new(1));
        let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), listing.clone()) };
        let mut market = ShardMarket::new(&spec, 0).expect("the spec is valid");
        let messages = (0..count).map(|n| *market.next(n * GAP_NS)).collect();
        let market = ShardMarket::new(&spec, 0).expect("the spec is valid");
        Self { listing, market, messages, rounds }
    }

    fn encoder(&self) -> Encoder {
        Encoder::new(Venue::Binance, &self.listing, START_UNIX_NS)
    }

    fn render(&self) {
        println!("{:32}{:>10}{:>12}", "write", "ns", "bytes");
        for kind in Kind::ALL {
            let ring: Vec<Message> = self
                .messages
                .iter()
                .filter(|message| message.body.kind() == kind)
                .take(RING)
                .copied()
                .collect();
            self.render_ring(kind.name(), &ring);
        }
        let ring = &self.messages[..self.messages.len().min(RING)];
        self.render_ring("the market's mix", ring);
        self.render_with_serde(ring);
    }

    /// A ring small enough to stay in the cache, as a message just made by the market is.
    /// Of what the market did not say there is nothing to measure.
    fn render_ring(&self, name: &str, ring: &[Message]) {
        if ring.is_empty() {
            return;
        }
        let mut encoder = self.encoder();
        let mut out = Vec::with_capacity(1 << 16);
        let mut bytes = 0;
        let ns = self.best_of(ring.len(), || {
            bytes = 0;
            for message in ring {
                // A connection's buffer: emptied by each write.
                if out.len() > 1 << 15 {
                    bytes += out.len();
                    out.clear();
                }
                encoder.encode(black_box(message), &mut Numbering::default(), &mut out);
            }
            bytes += out.len();
            black_box(&mut out).clear();
        });
        println!("{name:32}{ns:>10.1}{:>12.1}", bytes as f64 / ring.len() as f64);
    }

    /// The usual way: a struct with the fields of a depth update, and a serializer.
    fn render_with_serde(&self, ring: &[Message]) {
        let changes: Vec<(&Message, BookChange)> = ring
            .iter()
            .filter_map(|message| match message.body {
                Body::Book(change) => Some((message, change)),
                _ => None,
            })
            .collect();
        let mut out = Vec::with_capacity(1 << 16);
        let ns = self.best_of(changes.len(), || {
            for (message, change) in &changes {
                if out.len() > 1 << 15 {
                    out.clear();
                }
                let update = DepthUpdate::new(black_box(message), change, &self.listing);
                serde_json::to_writer(&mut out, &update).expect("a Vec takes everything");
            }
            black_box(&mut out).clear();
        });
        println!("{:32}{ns:>10.1}", "book, by serde_json");

        let (message, change) = &changes[0];
        let update = DepthUpdate::new(message, change, &self.listing);
        let mut ours = Vec::new();
        self.encoder().encode(message, &mut Numbering::default(), &mut ours);
        assert_eq!(serde_json::to_vec(&update).expect("a Vec takes everything"), ours, "the same message");
    }

    fn read(&self) {
        println!("\n{:32}{:>10}", "read", "ns");
        let ring = &self.messages[..self.messages.len().min(RING)];
        for kind in Kind::ALL {
            let ring: Vec<Message> = self
                .messages
                .iter()
                .filter(|message| message.body.kind() == kind)
                .take(RING)
                .copied()
                .collect();
            self.read_all(kind.name(), &self.wires(&ring));
        }
        let mix = self.wires(ring);
        self.read_all("the market's mix", &mix);
        let foreign: Vec<Vec<u8>> = mix.iter().map(|wire| [wire, &b" "[..]].concat()).collect();
        self.read_all("the mix in a foreign wording", &foreign);

        self.follow();
    }

    /// A consumer's whole work: every round reads and applies the next piece of the market's stream.
    fn follow(&self) {
        let mut encoder = self.encoder();
        let mut decoder = Decoder::new(Venue::Binance, &self.listing);
        let mut replica = Replica::new(Venue::Binance, &self.listing);
        self.market.snapshots().iter().for_each(|snapshot| replica.seed(snapshot));
        let mut bytes = Vec::new();
        let mut lengths = Vec::new();
        let (mut reading, mut applying) = (f64::INFINITY, f64::INFINITY);
        for piece in self.messages.chunks_exact(RING) {
            bytes.clear();
            lengths.clear();
            for message in piece {
                let start = bytes.len();
                encoder.encode(message, &mut Numbering::default(), &mut bytes);
                lengths.push(bytes.len() - start);
            }
            let decoded = once(piece.len(), &bytes, &lengths, |wire| {
                decoder.decode_each(wire, |said| {
                    black_box(said.expect("we wrote it"));
                });
            });
            let both = once(piece.len(), &bytes, &lengths, |wire| {
                decoder.decode_each(wire, |said| {
                    replica.apply(&said.expect("we wrote it")).expect("the market is consistent");
                });
            });
            reading = reading.min(decoded);
            applying = applying.min(both);
        }
        println!("{:32}{reading:>10.1}", "the stream, piece by piece");
        println!("{:32}{applying:>10.1}", "and applying it to a replica");
    }

    fn wires(&self, messages: &[Message]) -> Vec<Vec<u8>> {
        let mut encoder = self.encoder();
        let wire = |message| {
            let mut wire = Vec::new();
            encoder.encode(message, &mut Numbering::default(), &mut wire);
            wire
        };
        messages.iter().map(wire).collect()
    }

    fn read_all(&self, name: &str, wires: &[Vec<u8>]) {
        if wires.is_empty() {
            return;
        }
        let mut decoder = Decoder::new(Venue::Binance, &self.listing);
        let ns = self.best_of(wires.len(), || {
            for wire in wires {
                decoder.decode_each(black_box(wire), |said| {
                    black_box(said.expect("we wrote it"));
                });
            }
        });
        println!("{name:32}{ns:>10.1}");
    }

    /// Nanoseconds for each of `count` things in the fastest of many short rounds, which a busy machine
    /// disturbs least.
    fn best_of(&self, count: usize, mut round: impl FnMut()) -> f64 {
        if count == 0 {
            return 0.0;
        }
        let repeats = if self.rounds == 1 { 1 } else { (RING / count).max(1) };
        (0..self.rounds)
            .map(|_| {
                let start = Instant::now();
                (0..repeats).for_each(|_| round());
                start.elapsed().as_nanos() as f64 / (repeats * count) as f64
            })
            .fold(f64::INFINITY, f64::min)
    }
}

/// Nanoseconds a message for one pass over messages that lie one behind the other.
fn once(count: usize, bytes: &[u8], lengths: &[usize], mut handle: impl FnMut(&[u8])) -> f64 {
    let start = Instant::now();
    let mut rest = bytes;
    for &length in lengths {
        let (wire, tail) = rest.split_at(length);
        handle(wire);
        rest = tail;
    }
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Messages in the cache at once.
const RING: usize = 2_000;

#[derive(Serialize)]
struct DepthUpdate<'a> {
    e: &'static str,
    #[serde(rename = "E")]
    event_ms: u64,
    s: &'a str,
    #[serde(rename = "U")]
    first_update_id: u64,
    u: u64,
    b: Levels,
    a: Levels,
}

impl<'a> DepthUpdate<'a> {
    fn new(message: &Message, change: &BookChange, listing: &'a Listing) -> DepthUpdate<'a> {
        let instrument = listing.instrument(message.symbol);
        let price = Decimal(u64::from(change.price) * instrument.tick);
        let level = Levels(Some([price, Decimal(change.quantity * instrument.lot)]));
        let (b, a) = match change.side {
            Side::Buy => (level, Levels(None)),
            Side::Sell => (Levels(None), level),
        };
        DepthUpdate {
            e: "depthUpdate",
            event_ms: (START_UNIX_NS as u64 + message.due_ns) / 1_000_000,
            s: &instrument.symbol,
            first_update_id: change.update_id,
            u: change.update_id,
            b,
            a,
        }
    }
}

/// One level or none.
#[derive(Clone, Copy)]
struct Levels(Option<[Decimal; 2]>);

impl Serialize for Levels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

/// 1e-8 units.
#[derive(Clone, Copy)]
struct Decimal(u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08}", self.0 / 100_000_000, self.0 % 100_000_000)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
