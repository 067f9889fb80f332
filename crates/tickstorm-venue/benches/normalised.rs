//! What a normalised record costs to write and to read in each format, in nanoseconds and bytes:
//! `cargo bench -p tickstorm-venue --bench normalised`. Under the test runner (no `--bench`) everything runs once
//! with tiny inputs.

#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]

use std::hint::black_box;
use std::time::Instant;

use tickstorm_market::{Kind, Listing, MarketSpec, Message, ShardMarket};
use tickstorm_random::Seed;
use tickstorm_venue::normalised::{Format, Head, Reader, Writer};

/// 100,000 messages a second.
const GAP_NS: u64 = 10_000;

/// Messages in the cache at once.
const RING: usize = 2_000;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (messages, rounds) = if measured { (200_000, 100) } else { (2_000, 1) };
    let bench = Bench::new(messages, rounds);
    bench.write();
    bench.read();
}

struct Bench {
    head: Head,
    messages: Vec<Message>,
    rounds: u32,
}

impl Bench {
    fn new(count: u64, rounds: u32) -> Self {
        let listing = Listing::synthetic(100, Seed::new(1));
        let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), listing.clone()) };
        let mut market = ShardMarket::new(&spec, 0).expect("the spec is valid");
        // An hour into the run, where numbers have their usual length.
        let messages = (0..count).map(|n| *market.next(3_600_000_000_000 + n * GAP_NS)).collect();
        let head = Head { listing, start_unix_ns: 1_795_420_800_000_000_000, shards: 1 };
        Self { head, messages, rounds }
    }

    fn write(&self) {
        for format in Format::ALL {
            println!("{:32}{:>10}{:>12}", format!("write {format}"), "ns", "bytes");
            for kind in Kind::ALL {
                let ring: Vec<Message> = self
                    .messages
                    .iter()
                    .filter(|message| message.body.kind() == kind)
                    .take(RING)
                    .copied()
                    .collect();
                self.write_ring(format, kind.name(), &ring);
            }
            self.write_ring(format, "the market's mix", &self.messages[..self.messages.len().min(RING)]);
        }
    }

    /// A ring small enough to stay in the cache, as a message just made by the market is.
    fn write_ring(&self, format: Format, name: &str, ring: &[Message]) {
        let writer = Writer::new(format);
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
                writer.message(black_box(message), &mut out);
            }
            bytes += out.len();
            black_box(&mut out).clear();
        });
        if !ring.is_empty() {
            println!("{name:32}{ns:>10.1}{:>12.1}", bytes as f64 / ring.len() as f64);
        }
    }

    fn read(&self) {
        println!("{:32}{:>10}", "read the market's mix", "ns");
        for format in Format::ALL {
            let writer = Writer::new(format);
            let mut stream = Vec::new();
            writer.head(&self.head, &mut stream);
            let messages = &self.messages[..self.messages.len().min(10 * RING)];
            messages.iter().for_each(|message| writer.message(message, &mut stream));
            let ns = self.best_of(messages.len(), || {
                for record in Reader::new(format, black_box(stream.as_slice())) {
                    black_box(&record.expect("we wrote it"));
                }
            });
            println!("{:32}{ns:>10.1}", format.name());
        }
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
