//! What a slow client could not be told, folded until there is room for it again.

use std::collections::BTreeMap;

use tickstorm_market::{Kind, Listing, SymbolId};
use tickstorm_venue::{
    Decoded, Decoder, Publisher, Venue,
    decoded::{Continuity, DepthForm, DepthUpdate, Level},
    publisher::StreamId,
};

/// What is held back from one client, by stream.
#[derive(Debug, Default)]
pub(super) struct Folds(BTreeMap<StreamId, Fold>);

/// What is held back of one stream.
#[derive(Debug)]
struct Fold {
    kind: Kind,
    /// When the oldest message in it was due.
    due_ns: u64,
    messages: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Levels(Box<Levels>),
    /// The last wire message, of kinds where that says all.
    Last(Vec<u8>),
    /// Nothing: the stream begins anew, with what a new subscriber is sent.
    Anew,
}

/// Book updates as one.
#[derive(Debug)]
struct Levels {
    symbol: SymbolId,
    event_ns: Option<u64>,
    engine_ns: Option<u64>,
    depth: Option<u32>,
    form: DepthForm,
    first: Continuity,
    last: Continuity,
    cross_sequence: Option<u64>,
    checksum: Option<u32>,
    /// Bids by falling price (kept negated), and asks.
    bids: BTreeMap<std::cmp::Reverse<u32>, u64>,
    asks: BTreeMap<u32, u64>,
}

/// Reads the frames that are folded, for all clients of a venue.
#[derive(Debug)]
pub(super) struct Folder {
    venue: Venue,
    decoder: Decoder,
}

/// What is to be sent when there is room.
#[derive(Debug)]
pub(super) struct Folded {
    pub stream: StreamId,
    pub kind: Kind,
    /// None where the stream begins anew.
    pub bytes: Option<Vec<u8>>,
    pub due_ns: u64,
    pub messages: u32,
}

impl Folder {
    pub(super) fn new(venue: Venue, listing: &Listing) -> Self {
        Self { venue, decoder: Decoder::new(venue, listing) }
    }

    /// Adds a frame to what is held back. `false` if frames of its kind cannot be folded, or too much is held already.
    pub(super) fn hold(
        &mut self,
        folds: &mut Folds,
        (stream, kind): (StreamId, Kind),
        bytes: &[u8],
        (due_ns, messages): (u64, u32),
    ) -> bool {
        let content = match kind {
            Kind::Quote | Kind::Ticker => Content::Last(bytes.to_vec()),
            Kind::Book if self.begins_anew() => Content::Anew,
            Kind::Book => match self.levels(bytes) {
                Some(levels) => Content::Levels(Box::new(levels)),
                // Its books that are told whole each time do not say of which symbol they are.
                None if self.venue == Venue::Binance => Content::Last(bytes.to_vec()),
                None => return false,
            },
            _ => return false,
        };
        match folds.0.get_mut(&stream) {
            None => drop(folds.0.insert(stream, Fold { kind, due_ns, messages, content })),
            Some(fold) => {
                match (&mut fold.content, content) {
                    (Content::Levels(held), Content::Levels(next)) => {
                        if held.bids.len() + held.asks.len() > MOST_LEVELS {
                            return false;
                        }
                        held.take_in(*next);
                    }
                    (held, next) => *held = next,
                }
                fold.due_ns = fold.due_ns.min(due_ns);
                fold.messages = fold.messages.saturating_add(messages);
            }
        }
        true
    }

    /// Where subscribers cut their books by themselves, they do so between two messages: folded, these would leave them
    /// levels that nobody takes away. Bybit counts messages as well, so that a folded one would be a gap.
    fn begins_anew(&self) -> bool {
        matches!(self.venue, Venue::Kraken | Venue::Bybit)
    }

    fn levels(&mut self, bytes: &[u8]) -> Option<Levels> {
        let mut levels = None;
        self.decoder.decode_each(bytes, |said| {
            if let Ok(Decoded::Depth(update)) = said {
                levels = Some(Levels::of(&update));
            }
        });
        levels
    }
}

impl Folds {
    /// Takes out everything that is held back, in the words of its streams.
    pub(super) fn release(&mut self, publisher: &mut Publisher) -> Vec<Folded> {
        let held = std::mem::take(&mut self.0).into_iter();
        held.filter_map(|(stream, fold)| {
            let bytes = match fold.content {
                Content::Last(bytes) => Some(bytes),
                Content::Levels(levels) => Some(levels.written(publisher, stream)?),
                Content::Anew => None,
            };
            let Fold { kind, due_ns, messages, .. } = fold;
            Some(Folded { stream, kind, bytes, due_ns, messages })
        })
        .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is held back belongs to no figure any more.
    pub(super) fn forget_counts(&mut self) {
        self.0.values_mut().for_each(|fold| fold.messages = 0);
    }

    /// When the oldest message that is held back was due.
    pub(super) fn oldest_due_ns(&self) -> Option<u64> {
        self.0.values().map(|fold| fold.due_ns).min()
    }

    /// Whether something of the stream is held back, so that what follows must not overtake it.
    pub(super) fn holds(&self, stream: StreamId) -> bool {
        self.0.contains_key(&stream)
    }

    /// Forgets a stream; how many messages were held back.
    pub(super) fn forget(&mut self, stream: StreamId) -> Option<u32> {
        self.0.remove(&stream).map(|fold| fold.messages)
    }

    /// Forgets everything, with what [`forget`](Folds::forget) would have said of each.
    pub(super) fn forget_all(&mut self) -> impl Iterator<Item = u32> + use<> {
        std::mem::take(&mut self.0).into_values().map(|fold| fold.messages)
    }
}

impl Levels {
    fn of(update: &DepthUpdate<'_>) -> Self {
        Self {
            symbol: update.symbol,
            event_ns: update.event_ns,
            engine_ns: update.engine_ns,
            depth: update.depth,
            form: update.form,
            first: update.continuity,
            last: update.continuity,
            cross_sequence: update.cross_sequence,
            checksum: update.checksum,
            bids: update.bids.iter().map(|level| (std::cmp::Reverse(level.price), level.quantity)).collect(),
            asks: update.asks.iter().map(|level| (level.price, level.quantity)).collect(),
        }
    }

    fn take_in(&mut self, next: Levels) {
        if next.form == DepthForm::Snapshot {
            *self = next;
            return;
        }
        self.event_ns = next.event_ns;
        self.engine_ns = next.engine_ns;
        self.last = next.last;
        self.cross_sequence = next.cross_sequence;
        self.checksum = next.checksum;
        self.bids.extend(next.bids);
        self.asks.extend(next.asks);
    }

    fn written(&self, publisher: &mut Publisher, stream: StreamId) -> Option<Vec<u8>> {
        let level = |(price, &quantity): (u32, &u64)| Level { price, quantity };
        let bids: Vec<Level> = self.bids.iter().map(|(price, quantity)| level((price.0, quantity))).collect();
        let asks: Vec<Level> = self.asks.iter().map(|(&price, quantity)| level((price, quantity))).collect();
        let continuity = match (self.first, self.last) {
            (Continuity::Range { first, .. }, Continuity::Range { last, .. }) => {
                Continuity::Range { first, last }
            }
            (Continuity::Chain { previous, .. }, Continuity::Chain { id, .. }) => {
                Continuity::Chain { previous, id }
            }
            (_, last) => last,
        };
        let update = DepthUpdate {
            symbol: self.symbol,
            form: self.form,
            depth: self.depth,
            event_ns: self.event_ns,
            engine_ns: self.engine_ns,
            continuity,
            cross_sequence: self.cross_sequence,
            checksum: self.checksum,
            bids: &bids,
            asks: &asks,
        };
        let mut bytes = Vec::new();
        publisher.write_folded(stream, &update, &mut bytes).then_some(bytes)
    }
}

/// More touched levels than a client could want to catch up on: what follows is dropped until there is room for them.
const MOST_LEVELS: usize = 100_000;
