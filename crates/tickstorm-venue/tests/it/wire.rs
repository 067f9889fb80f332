//! A market, a venue's wire, and a consumer at its end.

use std::collections::BTreeMap;

use tickstorm_market::{Kind, Listing, MarketSpec, Message, Regime, ShardMarket, Side};
use tickstorm_random::Seed;
use tickstorm_venue::{Decoder, Encoder, Numbering, Replica, Sequences, Venue};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

/// A market, and a consumer that got its snapshots before the first message.
pub(crate) struct Wire {
    pub(crate) market: ShardMarket,
    pub(crate) encoder: Encoder,
    pub(crate) numbering: Numbering,
    pub(crate) decoder: Decoder,
    pub(crate) replica: Replica,
    pub(crate) sequences: Sequences,
    pub(crate) due_ns: u64,
    pub(crate) bytes: Vec<u8>,
    depth: u32,
}

impl Wire {
    pub(crate) fn binance(seed: u64, symbols: u32, regime: Regime) -> Self {
        Self::new(Venue::Binance, 0, seed, symbols, regime)
    }

    /// The consumer has a subscription of so many levels a side, zero for all, and has read the venue's snapshots.
    pub(crate) fn new(venue: Venue, depth: u32, seed: u64, symbols: u32, regime: Regime) -> Self {
        let listing = Listing::synthetic(symbols, Seed::new(seed));
        let spec = MarketSpec { shards: 1, regime, ..MarketSpec::new(Seed::new(seed), listing.clone()) };
        let market = ShardMarket::new(&spec, 0).expect("the spec is valid");
        let mut wire = Self {
            encoder: Encoder::with_depth(venue, &listing, START_UNIX_NS, depth),
            numbering: Numbering::default(),
            decoder: Decoder::new(venue, &listing),
            replica: Replica::with_depth(venue, &listing, depth),
            sequences: Sequences::default(),
            due_ns: 0,
            bytes: Vec::new(),
            depth,
            market,
        };
        for snapshot in wire.market.snapshots() {
            wire.bytes.clear();
            wire.encoder.snapshot(&snapshot, 0, &mut wire.numbering, &mut wire.bytes);
            assert_eq!(wire.receive(), None, "{snapshot:?}");
        }
        wire
    }

    pub(crate) fn next(&mut self) -> Message {
        self.due_ns += 700_000;
        *self.market.next(self.due_ns)
    }

    /// Sends a message; the kind of fault that the consumer finds.
    pub(crate) fn send(&mut self, message: &Message) -> Option<&'static str> {
        self.bytes.clear();
        if !self.encoder.encode(message, &mut self.numbering, &mut self.bytes) {
            assert!(self.bytes.is_empty());
            return None;
        }
        self.receive()
    }

    /// Hands what is in `bytes` to the consumer; the first kind of fault that he finds.
    pub(crate) fn receive(&mut self) -> Option<&'static str> {
        let mut found = None;
        self.decoder.decode_each(&self.bytes, |said| {
            let said = said.unwrap_or_else(|error| panic!("{error}"));
            let result = match said {
                tickstorm_venue::Decoded::Numbered(numbered) => self.sequences.on_number(numbered),
                other => self.replica.apply(&other),
            };
            found = found.or(result.err().map(|fault| fault.kind()));
        });
        found
    }

    /// Sends so many messages of the market, none of which may be at fault.
    pub(crate) fn run(&mut self, count: usize) {
        for _ in 0..count {
            let message = self.next();
            let fault = self.send(&message);
            assert_eq!(fault, None, "{message:?}: {}", String::from_utf8_lossy(&self.bytes));
        }
    }

    /// The next message of this kind; those before it are sent.
    pub(crate) fn run_until(&mut self, kind: Kind) -> Message {
        loop {
            let message = self.next();
            if message.body.kind() == kind {
                return message;
            }
            assert_eq!(self.send(&message), None, "{message:?}");
        }
    }

    /// Sends so many messages more and counts the kinds of fault.
    pub(crate) fn count_faults(&mut self, count: usize) -> BTreeMap<&'static str, u32> {
        let mut faults = BTreeMap::new();
        for _ in 0..count {
            let message = self.next();
            if let Some(kind) = self.send(&message) {
                *faults.entry(kind).or_default() += 1;
            }
        }
        faults
    }

    /// The consumer's books are the market's, as deep as he sees.
    pub(crate) fn assert_books_equal(&self) {
        let depth = if self.depth == 0 { usize::MAX } else { self.depth as usize };
        for snapshot in self.market.snapshots() {
            let symbol = snapshot.symbol;
            for (side, levels) in [(Side::Buy, &snapshot.bids), (Side::Sell, &snapshot.asks)] {
                let kept: Vec<_> = self.replica.levels(symbol, side).collect();
                assert_eq!(kept, levels[..levels.len().min(depth)], "{symbol:?} {side:?}");
            }
            assert!(self.replica.book(symbol).is_synchronised());
        }
    }
}
