//! A stream in a venue's own wording.

use std::collections::VecDeque;

use tickstorm_market::{Listing, Snapshot, SymbolId};
use tickstorm_venue::decoded::{Continuity, DepthForm, DepthUpdate, Level};
use tickstorm_venue::{Conduct, Decoded, Decoder, Replica, Sequences, Venue, sniff};

use super::findings::{CheckReport, Faults, StreamKind};
use super::follow::{Follower, Part};
use super::lines::{Messages, Received};
use super::restore::Restorer;
use super::{CheckError, CheckOptions};
use crate::ExportFormat;

/// Follows the stream to its end.
pub(super) fn check<M: Messages>(mut messages: M, options: &CheckOptions) -> Result<CheckReport, CheckError> {
    let (opening, head) = Opening::read(&mut messages, options)?;
    let mut stream = Stream::new(opening, options);
    let mut lines = 0;
    for message in &head {
        stream.take(message.number, message.received_unix_ns, &message.bytes);
        lines = message.number;
    }
    drop(head);
    while let Some(message) = messages.next()? {
        stream.take(message.number, message.received_unix_ns, message.bytes);
        lines = message.number;
    }
    Ok(stream.finish(M::FORMAT, lines))
}

/// A message of the beginning, kept until it is known how to read it.
struct Kept {
    number: u64,
    received_unix_ns: Option<u64>,
    bytes: Box<[u8]>,
}

/// What the beginning of a stream tells of the rest.
struct Opening {
    venue: Venue,
    conduct: Conduct,
    listing: Listing,
    /// The books that the first messages give, in the order of symbols.
    books: Vec<Snapshot>,
    /// Levels a side that they are limited to.
    depth: u32,
    notes: Vec<String>,
}

impl Opening {
    /// Reads as much as it takes to know the venue, the instruments and the books.
    fn read(
        messages: &mut impl Messages,
        options: &CheckOptions,
    ) -> Result<(Self, VecDeque<Kept>), CheckError> {
        let mut head = VecDeque::new();
        let mut bytes = 0;
        while head.len() < HEAD_MESSAGES && bytes < HEAD_BYTES {
            let Some(Received { number, received_unix_ns, bytes: message }) = messages.next()? else { break };
            bytes += message.len();
            head.push_back(Kept { number, received_unix_ns, bytes: message.into() });
        }
        if head.is_empty() {
            return Err(CheckError::Empty);
        }
        let lines = head.len();
        let texts = || head.iter().map(|kept| &*kept.bytes);
        let venue = options.venue.or_else(|| sniff::venue(texts()));
        let venue = venue.ok_or(CheckError::UnknownVenue { lines })?;
        let mut notes = Vec::new();
        let told = texts().find_map(|text| Decoder::read_instruments(venue, text).ok().flatten());
        let listing = match told {
            Some(listing) => listing,
            None => {
                let listing = sniff::listing(venue, texts());
                notes.push(format!(
                    "no message lists the instruments: their price and size steps were told from the first {lines} \
                     messages"
                ));
                listing.ok_or(CheckError::NoInstruments { venue, lines })?
            }
        };
        let (books, conduct) = books_and_conduct(venue, &listing, texts());
        let conduct = options.conduct.unwrap_or(conduct);
        let depth = depth(venue, &books);
        Ok((Self { venue, conduct, listing, books, depth, notes }, head))
    }
}

/// Enough for the books of ten thousand instruments and some traffic.
const HEAD_MESSAGES: usize = 20_000;

/// The same in bytes.
const HEAD_BYTES: usize = 256 << 20;

/// The books that come before a symbol's first change, and whether every change is a message of its own.
fn books_and_conduct<'a>(
    venue: Venue,
    listing: &Listing,
    texts: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Snapshot>, Conduct) {
    let empty = |symbol| Snapshot { symbol, sequence: 0, update_id: 0, bids: Vec::new(), asks: Vec::new() };
    let symbols = 0..listing.instruments.len() as u32;
    let mut books: Vec<Snapshot> = symbols.map(|symbol| empty(SymbolId(symbol))).collect();
    let mut begun = vec![false; books.len()];
    let (mut updates, mut folded) = (0u64, 0u64);
    let mut decoder = Decoder::new(venue, listing);
    for text in texts {
        decoder.decode_each(text, |said| {
            let Ok(Decoded::Depth(update)) = said else { return };
            let symbol = update.symbol.0 as usize;
            match update.form {
                DepthForm::Snapshot if !begun[symbol] => books[symbol] = snapshot(&update),
                DepthForm::Snapshot => {}
                DepthForm::Update => {
                    begun[symbol] = true;
                    updates += 1;
                    folded += u64::from(is_folded(&update));
                }
            }
        });
    }
    let conduct = if 20 * folded > updates { Conduct::Batched } else { Conduct::Realtime };
    (books, conduct)
}

/// The venue's smallest depth that shows as many levels as the books have; not every venue's messages name it.
fn depth(venue: Venue, books: &[Snapshot]) -> u32 {
    let rules = venue.rules();
    let levels = books.iter().map(|book| book.bids.len().max(book.asks.len())).max().unwrap_or(0);
    let enough = rules.depths.iter().copied().find(|&depth| depth as usize >= levels.max(1));
    enough.unwrap_or_else(|| rules.whole_depth())
}

fn snapshot(update: &DepthUpdate<'_>) -> Snapshot {
    let pairs = |levels: &[Level]| levels.iter().map(|level| (level.price, level.quantity)).collect();
    Snapshot {
        symbol: update.symbol,
        sequence: 0,
        update_id: update.change_id().unwrap_or(0),
        bids: pairs(update.bids),
        asks: pairs(update.asks),
    }
}

/// Whether an update tells of more than one change. A change may bring a second level into sight, or push one out.
fn is_folded(update: &DepthUpdate<'_>) -> bool {
    match update.continuity {
        Continuity::Range { first, last } => last > first,
        _ => update.bids.len() + update.asks.len() > 2,
    }
}

/// A stream that is being followed.
struct Stream {
    opening: Opening,
    decoder: Decoder,
    replica: Replica,
    sequences: Sequences,
    restorer: Restorer,
    follower: Follower,
    faults: Faults,
    resolution: Resolution,
    /// Levels a side that the stream's books are limited to.
    depth: Option<u32>,
}

impl Stream {
    fn new(opening: Opening, options: &CheckOptions) -> Self {
        let (venue, listing) = (opening.venue, &opening.listing);
        let mut replica = Replica::with_depth(venue, listing, opening.depth);
        replica.set_conduct(opening.conduct);
        Self {
            decoder: Decoder::new(venue, listing),
            replica,
            sequences: Sequences::default(),
            restorer: Restorer::new(listing.instruments.len()),
            follower: Follower::new(listing, &opening.books, 0, options),
            faults: Faults::default(),
            resolution: Resolution::default(),
            depth: Some(opening.depth).filter(|&depth| depth > 0),
            opening,
        }
    }

    #[inline]
    fn take(&mut self, number: u64, received_ns: Option<u64>, bytes: &[u8]) {
        let Self { decoder, replica, sequences, restorer, follower, faults, resolution, depth, .. } = self;
        let mut part = Part::First;
        decoder.decode_each(bytes, |said| {
            let said = match said {
                Ok(said) => said,
                Err(error) => return faults.add(number, error.kind(), || error.to_string()),
            };
            let checked = match &said {
                Decoded::Numbered(numbered) => sequences.on_number(*numbered),
                Decoded::Control => {
                    follower.count("control");
                    Ok(())
                }
                said => replica.apply(said),
            };
            if let Err(fault) = checked {
                faults.add(number, fault.kind(), || fault.to_string());
            }
            if let Decoded::Depth(update) = &said
                && update.form == DepthForm::Snapshot
            {
                *depth = update.depth.filter(|&depth| depth > 0).or(*depth);
                return follower.count("snapshot");
            }
            restorer.restore(&said, received_ns, |message| {
                resolution.on_time(message.due_ns);
                follower.observe(message, part);
                part = Part::More;
            });
        });
    }

    fn finish(self, format: ExportFormat, lines: u64) -> CheckReport {
        let Opening { venue, conduct, listing, mut notes, .. } = self.opening;
        let mut withheld: Vec<(&[&'static str], String)> = Vec::new();
        if conduct == Conduct::Batched {
            // Between the changes of one batch a book is what it never was, and the busiest symbols fold the most.
            let hidden = &["M1", "M2", "M3", "M4", "M5", "M5s", "M8", "M12", "M13", "M14"];
            withheld.push((hidden, "the venue folds changes into batches".to_owned()));
            if !self.resolution.finer_than_ms {
                // Without the statistics after each order, its time alone tells it from the next.
                let reason = "times on the wire are too coarse to tell orders apart";
                withheld.push((&["M10", "M11"], reason.to_owned()));
            }
        } else if self.resolution.is_coarse() {
            withheld
                .push((&["M3"], "times on the wire are too coarse for the gaps between messages".to_owned()));
        }
        if let Some(depth) = self.depth.filter(|&depth| depth < LEAST_DEPTH) {
            let reason = format!("books of {depth} levels a side do not show the whole");
            withheld.push((&["M4", "M5", "M5s", "M6", "M7", "M8", "M9", "M12", "M13"], reason));
        }
        let hidden: Vec<_> = withheld.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
        let measured = self.follower.finish(&hidden);
        notes.extend(withheld.iter().map(|(ids, reason)| {
            let ids: Vec<_> = ids.iter().copied().filter(|id| measured.realism.row(id).is_some()).collect();
            format!("{} cannot be told: {reason}", ids.join(", "))
        }));
        CheckReport {
            stream: StreamKind::Venue(venue, conduct),
            format,
            lines,
            messages: measured.messages,
            instruments: listing.instruments.len(),
            span_s: measured.span_s,
            faults: self.faults,
            realism: measured.realism,
            bands_judged: measured.bands_judged,
            crash: measured.crash,
            notes,
            picture: measured.picture,
            listing,
        }
    }
}

/// Levels a side that show a book's shape and every addition and reduction of it.
const LEAST_DEPTH: u32 = 200;

/// How finely a stream's times are told, beside the gaps between its messages.
#[derive(Debug, Clone, Copy, Default)]
struct Resolution {
    /// Of the times' remainders by a millisecond, which of the finer digits were used.
    finer_than_ms: bool,
    messages: u64,
    first_ns: Option<u64>,
    last_ns: u64,
}

impl Resolution {
    #[inline]
    fn on_time(&mut self, unix_ns: u64) {
        self.finer_than_ms |= !unix_ns.is_multiple_of(1_000_000);
        self.messages += 1;
        self.first_ns.get_or_insert(unix_ns);
        self.last_ns = unix_ns;
    }

    /// Whether a symbol's gaps, some ten times those of the whole stream, come near to a millisecond.
    fn is_coarse(&self) -> bool {
        let span_ns = self.last_ns.saturating_sub(self.first_ns.unwrap_or(self.last_ns));
        !self.finer_than_ms && span_ns / self.messages.max(1) < 10_000_000
    }
}
