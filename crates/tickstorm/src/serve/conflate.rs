//! What a slow client could not be told, folded until there is room for it again.

use std::collections::BTreeMap;

use tickstorm_market::{Kind, Listing, SymbolId};
use tickstorm_venue::{
    Decoded, Decoder, Encoder, Numbering, Venue,
    decoded::{Continuity, DepthForm, DepthUpdate, Level},
    publisher::StreamId,
};

/// What is held back from one client, by stream.
#[derive(Debug, Default)]
pub(super) struct Folds(BTreeMap<StreamId, Fold>);

/// What is held back of one stream.
#[derive(Debug)]
struct Fold {
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

/// Reads frames and writes folded ones, for all clients of a venue.
#[derive(Debug)]
pub(super) struct Folder {
    venue: Venue,
    decoder: Decoder,
    encoder: Encoder,
}

/// What is to be sent when there is room.
#[derive(Debug)]
pub(super) struct Folded {
    pub stream: StreamId,
    pub bytes: Vec<u8>,
    pub due_ns: u64,
    pub messages: u32,
}

impl Folder {
    pub(super) fn new(venue: Venue, listing: &Listing, start_unix_ns: i64) -> Self {
        Self {
            venue,
            decoder: Decoder::new(venue, listing),
            encoder: Encoder::new(venue, listing, start_unix_ns),
        }
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
            Kind::Book if self.can_fold_books() => match self.levels(bytes) {
                Some(levels) => Content::Levels(Box::new(levels)),
                None => return false,
            },
            _ => return false,
        };
        match folds.0.get_mut(&stream) {
            None => drop(folds.0.insert(stream, Fold { due_ns, messages, content })),
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

    /// Bybit counts messages, so that a folded one would leave a gap.
    fn can_fold_books(&self) -> bool {
        self.venue != Venue::Bybit
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

    /// Takes out everything that is held back.
    pub(super) fn release(&mut self, folds: &mut Folds) -> Vec<Folded> {
        let encoder = &mut self.encoder;
        let held = std::mem::take(&mut folds.0).into_iter();
        held.filter_map(|(stream, fold)| {
            let bytes = match fold.content {
                Content::Last(bytes) => bytes,
                Content::Levels(levels) => levels.written(encoder)?,
            };
            Some(Folded { stream, bytes, due_ns: fold.due_ns, messages: fold.messages })
        })
        .collect()
    }
}

impl Folds {
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

    /// Forgets a stream; how many messages were held back, and since when.
    pub(super) fn forget(&mut self, stream: StreamId) -> Option<(u32, u64)> {
        self.0.remove(&stream).map(|fold| (fold.messages, fold.due_ns))
    }

    /// Forgets everything, with what [`forget`](Folds::forget) would have said of each.
    pub(super) fn forget_all(&mut self) -> impl Iterator<Item = (u32, u64)> + use<> {
        std::mem::take(&mut self.0).into_values().map(|fold| (fold.messages, fold.due_ns))
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

    fn written(&self, encoder: &mut Encoder) -> Option<Vec<u8>> {
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
        encoder
            .encode_decoded(&Decoded::Depth(update), &mut Numbering::default(), &mut bytes)
            .then_some(bytes)
    }
}

/// More touched levels than a client could want to catch up on: it is sent no more of them until it resubscribes.
const MOST_LEVELS: usize = 100_000;
