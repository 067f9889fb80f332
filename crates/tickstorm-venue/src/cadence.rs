//! The rhythm in which a venue sends: what happens within a window becomes one message at its end.

use std::collections::HashSet;

use tickstorm_market::event::{Body, Kind, Message, Side};
use tickstorm_market::instrument::SymbolId;

use crate::encoder::{Encoder, Numbering};
use crate::rules::Cadence;
use crate::venue::Venue;

/// Collects a market's messages by the windows of the venue's [`Cadence`] and hands out wire messages,
/// one for each symbol and kind of which something happened, due at the window's end. Windows are aligned to the
/// start of the run; a message that is due at the end of one belongs to the next. What the venue sends at once
/// passes through in its place, own orders and balances among it.
///
/// Frames come in the order of their due times, those of one time by symbol, then in the order of [`Kind::ALL`], and
/// for a symbol they do not depend on which others share the batcher. So many connections can have one each.
///
/// Memory is bounded by the levels and symbols that change within a window, and by its trades.
#[derive(Debug, Clone)]
pub struct Batcher {
    windows: [Window; KINDS.len()],
    scratch: Scratch,
}

/// What waits for the end of a window.
#[derive(Debug, Clone)]
struct Window {
    /// Zero if nothing waits.
    length_ns: u64,
    /// Of the window in which the messages happened, if there are any.
    end_ns: u64,
    /// In the order in which they happened.
    messages: Vec<Message>,
    /// So many messages are worth looking for those that later ones have overtaken.
    crowded: usize,
}

/// Room that is used again and again.
#[derive(Debug, Clone, Default)]
struct Scratch {
    /// Symbol, kind and position of each message of the windows that end.
    order: Vec<u64>,
    overtaken: Overtaken,
    /// The messages of one symbol and kind.
    batch: Vec<Message>,
    frame: Vec<u8>,
}

/// For finding the messages that later ones say again.
#[derive(Debug, Clone, Default)]
struct Overtaken {
    said: HashSet<(SymbolId, Place)>,
    /// Whether each message is the last of its place, from the last message to the first.
    kept: Vec<bool>,
}

/// What a message replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// A level of the book.
    Level(Side, u32),
    /// All that its kind has said of the symbol.
    Whole,
    /// Nothing, but it was the first.
    First,
}

impl Batcher {
    /// Batches as the venue does.
    pub fn new(venue: Venue) -> Self {
        Self::with(venue.rules().cadence)
    }

    fn with(cadence: Cadence) -> Self {
        let window = |length_ns| Window { length_ns, end_ns: 0, messages: Vec::new(), crowded: CROWDED };
        let lengths = [cadence.book_ns, cadence.trades_ns, cadence.quotes_ns, cadence.tickers_ns];
        Self { windows: lengths.map(window), scratch: Scratch::default() }
    }

    /// Takes in the market's next message; messages come in the order of their due times. Hands `send` the wire messages
    /// that are due by then, each with its due time.
    pub fn push(
        &mut self,
        message: &Message,
        encoder: &mut Encoder,
        numbering: &mut Numbering,
        mut send: impl FnMut(&[u8], u64),
    ) {
        self.close_until(message.due_ns, encoder, numbering, &mut send);
        let kind = KINDS.iter().position(|&kind| kind == message.body.kind());
        match kind.map(|kind| &mut self.windows[kind]).filter(|window| window.length_ns > 0) {
            Some(window) => window.push(message, &mut self.scratch.overtaken),
            None => {
                let frame = &mut self.scratch.frame;
                frame.clear();
                if encoder.encode(message, numbering, frame) {
                    send(frame, message.due_ns);
                }
            }
        }
    }

    /// When the next wire message that waits is due.
    pub fn next_due_ns(&self) -> Option<u64> {
        self.waiting().map(|window| window.end_ns).min()
    }

    /// Hands `send` the wire messages of the windows that end by this time.
    pub fn close_until(
        &mut self,
        now_ns: u64,
        encoder: &mut Encoder,
        numbering: &mut Numbering,
        mut send: impl FnMut(&[u8], u64),
    ) {
        while let Some(end_ns) = self.next_due_ns().filter(|&end_ns| end_ns <= now_ns) {
            self.close(end_ns, encoder, numbering, &mut send);
        }
    }

    /// The same for all windows: nothing more will happen within them.
    pub fn flush(&mut self, encoder: &mut Encoder, numbering: &mut Numbering, send: impl FnMut(&[u8], u64)) {
        self.close_until(u64::MAX, encoder, numbering, send);
    }

    fn waiting(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(|window| !window.messages.is_empty())
    }

    /// Sends what waits for this time.
    fn close(
        &mut self,
        end_ns: u64,
        encoder: &mut Encoder,
        numbering: &mut Numbering,
        send: &mut impl FnMut(&[u8], u64),
    ) {
        let Scratch { order, overtaken, batch, frame } = &mut self.scratch;
        order.clear();
        for (kind, window) in (0u64..).zip(&mut self.windows) {
            if window.end_ns != end_ns {
                continue;
            }
            window.forget_overtaken(overtaken);
            let positions = (0u64..).zip(&window.messages);
            order.extend(positions.map(|(position, message)| {
                u64::from(message.symbol.0) << 32 | kind << POSITION_BITS | position
            }));
        }
        order.sort_unstable();
        for group in order.chunk_by(|one, other| one >> POSITION_BITS == other >> POSITION_BITS) {
            let kind = (group[0] >> POSITION_BITS) as usize % KINDS.len();
            let messages = &self.windows[kind].messages;
            batch.clear();
            batch.extend(group.iter().map(|key| messages[(key & POSITION_MASK) as usize]));
            if let Some(last) = batch.last_mut() {
                last.due_ns = end_ns;
            }
            frame.clear();
            if encoder.encode_batch(batch, numbering, frame) {
                send(frame, end_ns);
            }
        }
        for window in &mut self.windows {
            if window.end_ns == end_ns {
                window.messages.clear();
            }
        }
    }
}

impl Window {
    fn push(&mut self, message: &Message, overtaken: &mut Overtaken) {
        if self.messages.is_empty() {
            let windows_before = message.due_ns / self.length_ns;
            self.end_ns = (windows_before + 1).saturating_mul(self.length_ns);
        }
        if self.messages.len() >= self.crowded {
            self.forget_overtaken(overtaken);
            self.crowded = CROWDED.max(2 * self.messages.len());
        }
        self.messages.push(*message);
    }

    /// Forgets what later messages say again, but keeps the first message of each symbol, with whose number the wire
    /// message may begin. What is left at the end does not depend on whether this was done before.
    fn forget_overtaken(&mut self, overtaken: &mut Overtaken) {
        let Overtaken { said, kept } = overtaken;
        said.clear();
        kept.clear();
        kept.extend(self.messages.iter().rev().map(|message| match replaced(&message.body) {
            Some(place) => said.insert((message.symbol, place)),
            None => true,
        }));
        self.messages.retain(|message| {
            let first = said.insert((message.symbol, Place::First));
            kept.pop().expect("there is one for each message") || first
        });
    }
}

fn replaced(body: &Body) -> Option<Place> {
    match body {
        Body::Book(change) => Some(Place::Level(change.side, change.price)),
        Body::Quote(_) | Body::Ticker(_) => Some(Place::Whole),
        Body::Trade(_) | Body::Execution(_) | Body::Balance(_) | Body::Transfer(_) | Body::Status(_) => None,
    }
}

/// What may wait, in the order of [`Cadence`].
const KINDS: [Kind; 4] = [Kind::Book, Kind::Trade, Kind::Quote, Kind::Ticker];

/// A quarter of a megabyte and more of messages. Few windows have so many.
const CROWDED: usize = 1 << 10;

/// More messages than any memory holds. The kind takes the two bits above.
const POSITION_BITS: u32 = 30;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{AccountId, Balance, BookChange, Quote, Trade};
    use tickstorm_market::instrument::AssetId;

    use super::*;
    use crate::testing::{START_UNIX_NS, any_message, listing, message};

    const MS: u64 = 1_000_000;

    /// Frames with their due times.
    type Frames = Vec<(String, u64)>;

    struct Line {
        batcher: Batcher,
        encoder: Encoder,
        numbering: Numbering,
        frames: Frames,
    }

    impl Line {
        fn new(batcher: Batcher) -> Self {
            let encoder = Encoder::new(Venue::Binance, &listing(), START_UNIX_NS);
            Self { batcher, encoder, numbering: Numbering::default(), frames: Vec::new() }
        }

        fn binance() -> Self {
            Self::new(Batcher::new(Venue::Binance))
        }

        fn push(&mut self, message: &Message) {
            let Self { batcher, encoder, numbering, frames } = self;
            batcher.push(message, encoder, numbering, |frame, due_ns| {
                frames.push((String::from_utf8(frame.to_vec()).unwrap(), due_ns));
            });
        }

        fn flushed(mut self) -> Frames {
            let Self { batcher, encoder, numbering, frames } = &mut self;
            batcher.flush(encoder, numbering, |frame, due_ns| {
                frames.push((String::from_utf8(frame.to_vec()).unwrap(), due_ns));
            });
            assert_eq!(batcher.next_due_ns(), None);
            self.frames
        }

        fn all(mut self, messages: &[Message]) -> Frames {
            messages.iter().for_each(|message| self.push(message));
            self.flushed()
        }
    }

    fn at(symbol: u32, due_ns: u64, body: Body) -> Message {
        Message { symbol: SymbolId(symbol), event_ns: due_ns, due_ns, ..message(body) }
    }

    fn book(update_id: u64, price: u32, quantity: u64) -> Body {
        Body::Book(BookChange { update_id, side: Side::Buy, price, quantity })
    }

    fn trade(trade_id: u64) -> Body {
        Body::Trade(Trade { trade_id, price: 5, quantity: 1, taker: Side::Buy })
    }

    fn quote(update_id: u64) -> Body {
        Body::Quote(Quote { update_id, bid: 1, bid_quantity: 1, ask: 2, ask_quantity: 1 })
    }

    #[test]
    fn changes_of_a_window_are_one_message_at_its_end() {
        let mut line = Line::binance();
        line.push(&at(0, 100 * MS, book(5, 10, 1)));
        assert_eq!(line.batcher.next_due_ns(), Some(200 * MS));
        line.push(&at(0, 150 * MS, book(6, 11, 1)));
        line.push(&at(0, 200 * MS - 1, book(7, 10, 0)));
        assert_eq!(line.frames, [], "the window is open");
        line.push(&at(0, 200 * MS, book(8, 12, 4)));
        let first = r#"{"e":"depthUpdate","E":1795420800200,"s":"BTCUSDT","U":5,"u":7,"b":[["1.10000000","0.00001000"],["1.00000000","0.00000000"]],"a":[]}"#;
        assert_eq!(line.frames, [(first.to_owned(), 200 * MS)]);
        let frames = line.flushed();
        assert_eq!((frames.len(), frames[1].1), (2, 300 * MS));
        assert!(frames[1].0.contains(r#""E":1795420800300,"s":"BTCUSDT","U":8,"u":8,"#), "{frames:?}");
    }

    #[test]
    fn windows_in_which_nothing_happens_send_nothing() {
        let frames = Line::binance().all(&[at(0, 0, book(1, 10, 1)), at(0, 950 * MS, book(2, 10, 2))]);
        let due: Vec<u64> = frames.iter().map(|frame| frame.1).collect();
        assert_eq!(due, [100 * MS, 1_000 * MS]);
        assert_eq!(Line::binance().flushed(), []);
    }

    #[test]
    fn what_is_not_batched_passes_at_once_and_in_its_place() {
        let balance = Balance { account: AccountId(1), asset: AssetId(0), free: 1, locked: 0 };
        let messages = [
            at(0, 10 * MS, trade(1)),
            at(1, 20 * MS, book(1, 10, 1)),
            at(0, 30 * MS, Body::Balance(balance)),
            at(0, 30 * MS, quote(3)),
            at(0, 100 * MS, trade(2)),
        ];
        let frames = Line::binance().all(&messages);
        let due: Vec<u64> = frames.iter().map(|frame| frame.1 / MS).collect();
        assert_eq!(due, [10, 30, 30, 100, 100]);
        assert!(frames[3].0.contains("depthUpdate"), "the window's end comes before what happens then");
        let mut encoder = Encoder::new(Venue::Binance, &listing(), START_UNIX_NS);
        for (message, frame) in
            [(&messages[0], &frames[0]), (&messages[2], &frames[1]), (&messages[4], &frames[4])]
        {
            let mut wire = Vec::new();
            encoder.encode(message, &mut Numbering::default(), &mut wire);
            assert_eq!(frame.0.as_bytes(), wire);
        }
    }

    #[test]
    fn frames_of_one_time_come_by_symbol_and_kind() {
        let cadence = Cadence { book_ns: 50 * MS, trades_ns: 50 * MS, quotes_ns: 100 * MS, tickers_ns: 0 };
        let messages = [
            at(2, MS, trade(1)),
            at(1, 51 * MS, quote(1)),
            at(1, 52 * MS, trade(1)),
            at(0, 53 * MS, quote(1)),
            at(1, 54 * MS, quote(2)),
            at(1, 55 * MS, book(2, 10, 1)),
            at(1, 56 * MS, trade(2)),
        ];
        let frames = Line::new(Batcher::with(cadence)).all(&messages);
        let told: Vec<(u64, &str)> = frames.iter().map(|frame| (frame.1 / MS, &frame.0[..12])).collect();
        assert_eq!(
            told,
            [
                (50, r#"{"e":"trade""#),
                (100, r#"{"u":1,"s":""#),
                (100, r#"{"e":"depthU"#),
                (100, r#"[{"e":"trade"#),
                (100, r#"{"u":2,"s":""#),
            ]
        );
    }

    #[test]
    fn memory_does_not_grow_with_the_changes_of_a_level() {
        let mut line = Line::binance();
        for update_id in 1..100_000 {
            line.push(&at(0, 0, book(update_id, 10 + (update_id % 7) as u32, update_id)));
        }
        assert!(line.batcher.windows[0].messages.len() <= CROWDED);
        let frames = line.flushed();
        assert_eq!(frames.len(), 1);
        assert!(frames[0].0.contains(r#""U":1,"u":99999,"#), "{frames:?}");
        assert_eq!(frames[0].0.matches("],[").count(), 6);
    }

    /// Messages in the order of their due times, close to each other.
    fn any_messages() -> impl Strategy<Value = Vec<Message>> {
        proptest::collection::vec((any_message(), 0..40 * MS, 0..5u32), 0..60).prop_map(|messages| {
            let mut due_ns = 0;
            let next = |(mut message, gap_ns, price): (Message, u64, u32)| {
                due_ns += gap_ns;
                if let Body::Book(change) = &mut message.body {
                    change.price = price;
                }
                Message { due_ns, ..message }
            };
            messages.into_iter().map(next).collect()
        })
    }

    const EVERYTHING: Cadence =
        Cadence { book_ns: 100 * MS, trades_ns: 50 * MS, quotes_ns: 20 * MS, tickers_ns: 1_000 * MS };

    proptest! {
        #[test]
        fn forgetting_early_changes_nothing(messages in any_messages(), crowded in 1..10usize) {
            let mut early = Batcher::with(EVERYTHING);
            early.windows.iter_mut().for_each(|window| window.crowded = crowded);
            let frames = Line::new(early).all(&messages);
            prop_assert_eq!(frames, Line::new(Batcher::with(EVERYTHING)).all(&messages));
        }

        #[test]
        fn frames_come_in_the_order_of_their_due_times(messages in any_messages()) {
            let frames = Line::new(Batcher::with(EVERYTHING)).all(&messages);
            prop_assert!(frames.is_sorted_by_key(|frame| frame.1));
            prop_assert!(frames.iter().all(|frame| !frame.0.is_empty()));
        }

        #[test]
        fn a_symbol_sends_the_same_alone_and_among_others(messages in any_messages()) {
            let together = Line::new(Batcher::with(EVERYTHING)).all(&messages);
            let mut apart: Frames = (0..3).flat_map(|symbol| {
                let own: Vec<Message> =
                    messages.iter().filter(|message| message.symbol == SymbolId(symbol)).copied().collect();
                Line::new(Batcher::with(EVERYTHING)).all(&own)
            }).collect();
            let mut together_sorted = together;
            together_sorted.sort();
            apart.sort();
            prop_assert_eq!(together_sorted, apart);
        }

        #[test]
        fn arbitrary_times_never_panic(times in proptest::collection::vec(any::<u64>(), 0..20)) {
            let messages: Vec<Message> =
                (1..).zip(times).map(|(id, due_ns)| at(0, due_ns, book(id, 1, id))).collect();
            prop_assert!(Line::binance().all(&messages).len() <= messages.len());
        }
    }
}
