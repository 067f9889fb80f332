//! The messages without a target.

use std::time::Duration;

use tickstorm_load::{Arrivals, Factor, Path, Rate, Schedule, ScheduleSpec};
use tickstorm_market::{Listing, MarketSpec, Snapshot, SymbolId};
use tickstorm_random::Seed;
use tickstorm_venue::{Encoder, Venue};

use crate::{Message, Plan, feed::Feed, message::Wording};

/// An endless, reproducible stream of exchange messages: the same seed gives the same bytes, on every machine.
///
/// ```
/// use tickstorm::{Kind, WebSocketMessageGenerator};
///
/// let mut messages = WebSocketMessageGenerator::new(7);
/// let trade = messages.find(|message| message.kind == Kind::Trade).expect("the stream is endless");
/// assert!(trade.bytes.starts_with(b"{\"e\":\"trade\""));
/// ```
pub struct WebSocketMessageGenerator {
    feed: Feed,
    wording: Wording,
}

impl std::fmt::Debug for WebSocketMessageGenerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketMessageGenerator").finish_non_exhaustive()
    }
}

impl WebSocketMessageGenerator {
    /// Binance messages about 100 symbols, due at 1000 a second on average in realistic bursts.
    pub fn new(seed: u64) -> Self {
        Self::with_symbols(seed, 100)
    }

    /// The same about this many symbols, 1 to 10,000; a number outside is brought inside.
    pub fn with_symbols(seed: u64, symbols: u32) -> Self {
        let seed = Seed::new(seed);
        let listing = Listing::synthetic(symbols.clamp(1, 10_000), seed.child("listing", 0));
        let market = MarketSpec::new(seed.child("market", 0), listing);
        let path = Path::constant(Factor::ONE, ENDLESS).expect("a month is a path");
        let schedule = Schedule::new(ScheduleSpec {
            arrivals: "bursty".parse::<Arrivals>().expect("normal is a preset"),
            seed: seed.child("schedule", 0),
            shard_weights: market.shard_weights(),
            ..ScheduleSpec::new(Rate::per_second(1000).expect("1000/s is a rate"), path)
        });
        Self::over(&schedule.expect("the rate fits"), &market, Venue::Binance, DEFAULT_START_UNIX_NS)
    }

    /// The messages of a plan's measured phase, with their due times; it ends with the plan. Without a warm-up they are
    /// the bytes that a run of the plan sends.
    pub fn of_plan(plan: &Plan) -> Self {
        Self::over(plan.schedule(), plan.market(), plan.spec().venue, plan.start_unix_ns())
    }

    fn over(schedule: &Schedule, market: &MarketSpec, venue: Venue, start_unix_ns: i64) -> Self {
        let feed = Feed::new(schedule, market);
        let mut encoder = Encoder::new(venue, &market.listing, start_unix_ns);
        feed.books().for_each(|book| encoder.seed(&book));
        Self { feed, wording: Wording::new(encoder, &market.listing) }
    }

    /// Appends the bytes of the next message and says when it is due; none at the end. The same stream as the iterator's,
    /// for those who need no more of a message and have a buffer for it.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> Option<Duration> {
        let (due_ns, market) = self.feed.next_slot()?;
        while !self.wording.write(market.next(due_ns), out) {}
        Some(Duration::from_nanos(due_ns))
    }

    /// The messages in the market's own words, all kinds of them. What is taken here is not in the venue's stream, which
    /// should not be gone on with: its later messages would refer to messages that nobody got.
    pub fn market_messages(&mut self) -> impl Iterator<Item = tickstorm_market::Message> + '_ {
        std::iter::from_fn(|| {
            let (due_ns, market) = self.feed.next_slot()?;
            Some(*market.next(due_ns))
        })
    }

    /// All levels of a symbol's book after the messages handed out so far; the index counts from the busiest symbol.
    pub fn snapshot(&self, symbol: u32) -> Option<Snapshot> {
        self.feed.snapshot(SymbolId(symbol))
    }
}

impl Iterator for WebSocketMessageGenerator {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let (due_ns, market) = self.feed.next_slot()?;
        loop {
            if let Some(message) = self.wording.message(market.next(due_ns)) {
                return Some(message);
            }
        }
    }
}

/// The longest run there is.
const ENDLESS: Duration = Duration::from_secs(30 * 86_400);

/// 2026-01-01T00:00:00Z.
pub(crate) const DEFAULT_START_UNIX_NS: i64 = 1_767_225_600_000_000_000;
