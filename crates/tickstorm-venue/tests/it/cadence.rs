//! The simulated market at a venue's own rhythm: what a consumer rebuilds is the market at the end of each window.

use std::collections::BTreeMap;

use tickstorm_market::{Message, Regime};
use tickstorm_venue::{Batcher, Conduct, Venue};

use crate::wire::Wire;

/// A wire with a batcher in front.
struct Rhythm {
    wire: Wire,
    batcher: Batcher,
    frames: Vec<(Vec<u8>, u64)>,
}

impl Rhythm {
    fn new(venue: Venue, depth: u32, seed: u64, symbols: u32, regime: Regime) -> Self {
        let mut wire = Wire::new(venue, depth, seed, symbols, regime);
        wire.replica.set_conduct(Conduct::Batched);
        Self { wire, batcher: Batcher::new(venue), frames: Vec::new() }
    }

    fn push(&mut self, message: &Message) {
        let Wire { encoder, numbering, .. } = &mut self.wire;
        let frames = &mut self.frames;
        self.batcher.push(message, encoder, numbering, |frame, due_ns| frames.push((frame.to_vec(), due_ns)));
    }

    fn flush(&mut self) {
        let Wire { encoder, numbering, .. } = &mut self.wire;
        let frames = &mut self.frames;
        self.batcher.flush(encoder, numbering, |frame, due_ns| frames.push((frame.to_vec(), due_ns)));
    }

    /// Hands the frames to the consumer, who must not find fault.
    fn deliver(&mut self) {
        for (frame, _) in std::mem::take(&mut self.frames) {
            self.wire.bytes = frame;
            let fault = self.wire.receive();
            assert_eq!(fault, None, "{}", String::from_utf8_lossy(&self.wire.bytes));
        }
    }
}

#[test]
fn after_every_window_the_consumer_has_the_market_s_own_book() {
    for venue in Venue::ALL {
        // A book of one level is told as a quote.
        for &depth in venue.rules().depths.iter().filter(|&&depth| depth != 1) {
            for (regime, seed) in [(Regime::NORMAL, 1), (Regime::VOLATILE, 2)] {
                let mut rhythm = Rhythm::new(venue, depth, seed, 10, regime);
                for _ in 0..8 {
                    // Some seven seconds.
                    for _ in 0..10_000 {
                        let message = rhythm.wire.next();
                        rhythm.push(&message);
                        rhythm.deliver();
                    }
                    rhythm.flush();
                    rhythm.deliver();
                    rhythm.wire.assert_books_equal();
                }
            }
        }
    }
}

#[test]
fn batches_are_far_fewer_than_changes() {
    // Kraken sends everything at once.
    for venue in Venue::ALL.into_iter().filter(|venue| venue.rules().cadence.book_ns > 0) {
        let mut rhythm = Rhythm::new(venue, venue.rules().whole_depth(), 3, 1, Regime::NORMAL);
        for _ in 0..20_000 {
            let mut message = rhythm.wire.next();
            // A busy symbol: a message every 70 us.
            message.due_ns /= 10;
            rhythm.push(&message);
        }
        let at_once = 20_000 - rhythm.frames.len();
        rhythm.flush();
        assert!(at_once > 5_000, "{venue}: {at_once} messages folded");
        let due: Vec<u64> = rhythm.frames.iter().map(|frame| frame.1).collect();
        assert!(due.is_sorted(), "{venue}");
        rhythm.deliver();
        rhythm.wire.assert_books_equal();
    }
}

#[test]
fn a_dropped_batch_is_found_and_named() {
    let mut rhythm = Rhythm::new(Venue::Binance, 0, 4, 1, Regime::NORMAL);
    for _ in 0..5_000 {
        let message = rhythm.wire.next();
        rhythm.push(&message);
    }
    rhythm.flush();
    let mut frames = std::mem::take(&mut rhythm.frames);
    let is_batch = |frame: &(Vec<u8>, u64)| frame.0.starts_with(br#"{"e":"depthUpdate""#);
    let batches: Vec<usize> = (0..frames.len()).filter(|&at| is_batch(&frames[at])).collect();
    frames.remove(batches[batches.len() / 2]);
    let mut faults = BTreeMap::<_, u32>::new();
    for (frame, _) in frames {
        rhythm.wire.bytes = frame;
        if let Some(kind) = rhythm.wire.receive() {
            *faults.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(faults, [("update_gap", 1)].into_iter().collect());
}
