//! What a message costs before it reaches a socket.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use tickstorm::{Plan, Spec, Target};
use tickstorm_load::{Arrivals, Rate, Slot};
use tickstorm_market::{Message, ShardMarket};
use tickstorm_net::frame::{self, Opcode};
use tickstorm_random::Seed;
use tickstorm_venue::{Encoder, Numbering, Venue};

use super::{Extent, Row, progress, row};

pub(crate) fn rows(extent: Extent) -> Vec<Row> {
    progress("messages: market, rendering, framing");
    let rounds = if extent == Extent::Full { 100 } else { 1 };
    let mut bench = Bench::new(rounds);
    let market = best(&bench.chunks(), |chunk| bench.markets.run(chunk));
    let render = bench.render();
    let chunks = bench.chunks();
    let whole = best(&chunks, |chunk| bench.markets.render_and_frame(chunk));
    vec![
        row("market alone, a message", format!("{market:.0} ns"), "< 80 ns"),
        row("rendering alone, a message", format!("{render:.0} ns"), "< 80 ns"),
        row("market to framed bytes, a message", format!("{whole:.0} ns"), "< 220 ns"),
    ]
}

/// Messages of a round: short enough that some round is undisturbed.
const ROUND: usize = 20_000;

struct Bench {
    slots: Vec<Slot>,
    rounds: usize,
    markets: Markets,
    ring: Vec<Message>,
}

/// The markets of all shards, and what turns their messages into frames.
struct Markets {
    shards: Vec<ShardMarket>,
    encoder: Encoder,
    out: Vec<u8>,
    masks: tickstorm_random::Stream,
}

impl Bench {
    fn new(rounds: usize) -> Self {
        let spec = Spec {
            base_rate: Rate::per_second(100_000).expect("it is a rate"),
            multiplier: tickstorm_load::Factor::ONE,
            duration: Some(Duration::from_millis((2 * rounds * ROUND).div_ceil(100) as u64)),
            arrivals: Some(Arrivals::BURSTY),
            ..Spec::default()
        };
        let plan = Plan::new(&spec, &Target::default()).expect("the plan is an ordinary one");
        let mut slots = Vec::new();
        let mut clock = plan.schedule().clock(|_| true);
        while clock.next_cell(&mut slots).is_some() {}
        let market = plan.market();
        let new_shards = || -> Vec<ShardMarket> {
            (0..market.shards)
                .map(|shard| ShardMarket::new(market, shard).expect("every shard has symbols"))
                .collect()
        };
        let mut shards = new_shards();
        let ring = slots[..RING].iter().map(|slot| *shards[usize::from(slot.shard())].next(slot.due_ns()));
        let ring = ring.collect();
        let markets = Markets {
            shards: new_shards(),
            encoder: Encoder::new(Venue::Binance, &market.listing, START_UNIX_NS),
            out: Vec::with_capacity(1 << 16),
            masks: Seed::new(1).stream("mask", 0),
        };
        Self { slots, rounds, markets, ring }
    }

    /// The slots of half the rounds; the other half is for the next measurement, as a market does not go back.
    fn chunks(&mut self) -> Vec<Vec<Slot>> {
        self.slots.drain(..self.rounds * ROUND).collect::<Vec<_>>().chunks(ROUND).map(<[_]>::to_vec).collect()
    }

    /// A ring small enough to stay in the cache, as a message just made by the market is.
    fn render(&mut self) -> f64 {
        let Markets { encoder, out, .. } = &mut self.markets;
        let rounds = vec![self.ring.clone(); self.rounds];
        best(&rounds, |ring| {
            for message in ring {
                empty_when_full(out);
                encoder.encode(black_box(message), &mut Numbering::default(), out);
            }
        })
    }
}

impl Markets {
    fn run(&mut self, chunk: &[Slot]) {
        for slot in chunk {
            black_box(self.shards[usize::from(slot.shard())].next(slot.due_ns()));
        }
    }

    fn render_and_frame(&mut self, chunk: &[Slot]) {
        for slot in chunk {
            empty_when_full(&mut self.out);
            let message = self.shards[usize::from(slot.shard())].next(slot.due_ns());
            let mask = (self.masks.word() as u32).to_ne_bytes();
            let frame = frame::begin(&mut self.out, Some(mask));
            self.encoder.encode(message, &mut Numbering::default(), &mut self.out);
            frame.finish(&mut self.out, Opcode::Text);
        }
    }
}

/// A connection's buffer: emptied by each write.
fn empty_when_full(out: &mut Vec<u8>) {
    if out.len() > 1 << 15 {
        black_box(out).clear();
    }
}

/// Nanoseconds an item in the fastest round.
fn best<T>(rounds: &[Vec<T>], mut run: impl FnMut(&[T])) -> f64 {
    rounds
        .iter()
        .map(|round| {
            let started = Instant::now();
            run(round);
            started.elapsed().as_nanos() as f64 / round.len() as f64
        })
        .fold(f64::INFINITY, f64::min)
}

const RING: usize = 2_000;

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;
