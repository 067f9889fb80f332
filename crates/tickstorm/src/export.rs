//! A plan's messages as a stream of bytes, without a target.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tickstorm_market::{Message, Snapshot, SymbolId};
use tickstorm_net::frame::{self, Opcode};
use tickstorm_venue::normalised::{Format, Head, Writer};
use tickstorm_venue::{Batcher, Conduct, Encoder, Numbering};

use crate::Plan;
use crate::feed::Feed;

/// The form of a stream of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExportFormat {
    /// The venue's JSON messages, one a line.
    #[default]
    Jsonl,
    /// The venue's JSON messages as WebSocket frames, as a server writes them.
    Frames,
    /// The market's own messages as MessagePack.
    MessagePack,
    /// The market's own messages as Protobuf.
    Protobuf,
    /// The market's own messages as CSV.
    Csv,
}

impl ExportFormat {
    /// Every format, in the order in which they are offered to the user.
    pub const ALL: [ExportFormat; 5] = [
        ExportFormat::Jsonl,
        ExportFormat::Frames,
        ExportFormat::MessagePack,
        ExportFormat::Protobuf,
        ExportFormat::Csv,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            ExportFormat::Jsonl => "jsonl",
            ExportFormat::Frames => "frames",
            ExportFormat::MessagePack => "msgpack",
            ExportFormat::Protobuf => "protobuf",
            ExportFormat::Csv => "csv",
        }
    }

    const fn normalised(self) -> Option<Format> {
        match self {
            ExportFormat::Jsonl | ExportFormat::Frames => None,
            ExportFormat::MessagePack => Some(Format::MessagePack),
            ExportFormat::Protobuf => Some(Format::Protobuf),
            ExportFormat::Csv => Some(Format::Csv),
        }
    }

    /// What is counted in it: lines, frames or records.
    pub const fn unit(self) -> &'static str {
        match self {
            ExportFormat::Jsonl | ExportFormat::Csv => "line",
            ExportFormat::Frames => "frame",
            ExportFormat::MessagePack | ExportFormat::Protobuf => "record",
        }
    }

    /// Whether its messages are a venue's, with a cadence and a depth of books, and not the market's own.
    pub const fn is_of_venue(self) -> bool {
        self.normalised().is_none()
    }

    /// Whether its bytes can be shown on a terminal.
    pub const fn is_text(self) -> bool {
        matches!(self, ExportFormat::Jsonl | ExportFormat::Csv)
    }
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::MessagePack => ExportFormat::MessagePack,
            Format::Protobuf => ExportFormat::Protobuf,
            Format::Csv => ExportFormat::Csv,
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown format {name:?}, must be one of: {}", ExportFormat::ALL.map(ExportFormat::name).join(", "))]
pub struct UnknownExportFormat {
    /// What was given.
    pub name: String,
}

/// Takes the name in any case.
impl FromStr for ExportFormat {
    type Err = UnknownExportFormat;

    fn from_str(text: &str) -> Result<Self, UnknownExportFormat> {
        let name = text.trim().to_lowercase();
        let found = ExportFormat::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownExportFormat { name: text.to_owned() })
    }
}

/// How market messages become wire messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExportCadence {
    /// Each that the venue tells becomes one, at once.
    #[default]
    Realtime,
    /// They are folded into batches, each kind in the venue's own rhythm.
    Venue,
}

impl ExportCadence {
    /// Both, in the order in which they are offered to the user.
    pub const ALL: [ExportCadence; 2] = [ExportCadence::Realtime, ExportCadence::Venue];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            ExportCadence::Realtime => "realtime",
            ExportCadence::Venue => "venue",
        }
    }

    /// What a consumer of it may expect.
    pub const fn conduct(self) -> Conduct {
        match self {
            ExportCadence::Realtime => Conduct::Realtime,
            ExportCadence::Venue => Conduct::Batched,
        }
    }
}

/// A name that is no cadence's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown cadence {name:?}, must be one of: {}", ExportCadence::ALL.map(ExportCadence::name).join(", "))]
pub struct UnknownExportCadence {
    /// What was given.
    pub name: String,
}

/// Takes the name in any case.
impl FromStr for ExportCadence {
    type Err = UnknownExportCadence;

    fn from_str(text: &str) -> Result<Self, UnknownExportCadence> {
        let name = text.trim().to_lowercase();
        let found = ExportCadence::ALL.into_iter().find(|cadence| cadence.name() == name);
        found.ok_or_else(|| UnknownExportCadence { name: text.to_owned() })
    }
}

/// Writes a plan's messages: what a venue's client would receive if it were subscribed to everything, or the market's
/// own messages. The same plan gives the same bytes.
///
/// ```
/// use tickstorm::{Export, ExportFormat, Plan, Spec, Target};
///
/// let plan = Plan::new(&Spec::default(), &Target::default())?;
/// let mut export = Export::new(&plan, ExportFormat::Jsonl);
/// let mut stream = Vec::new();
/// export.head(&mut stream);
/// while stream.len() < 1_000_000 && export.next(&mut stream).is_some() {}
/// assert!(stream.starts_with(b"{"));
/// # Ok::<(), tickstorm::PlanErrors>(())
/// ```
pub struct Export {
    feed: Feed,
    wording: Wording,
    /// Messages of the head so far.
    head_place: u32,
}

#[expect(clippy::large_enum_variant, reason = "a stream has one")]
enum Wording {
    Venue { encoder: Box<Encoder>, numbering: Numbering, envelope: Envelope, batcher: Option<Batcher> },
    Normalised { writer: Writer, head: Box<Head> },
}

/// What stands around a wire message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Envelope {
    Line,
    Frame,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").finish_non_exhaustive()
    }
}

impl Export {
    /// Each message as it happens, books as deep as the venue shows them.
    pub fn new(plan: &Plan, format: ExportFormat) -> Self {
        Self::with(plan, format, ExportCadence::Realtime, plan.spec().venue.rules().whole_depth())
    }

    /// The same in this cadence and with books of so many levels a side, one of the venue's
    /// [`depths`](tickstorm_venue::Rules::depths); normalised formats know neither.
    pub fn with(plan: &Plan, format: ExportFormat, cadence: ExportCadence, depth: u32) -> Self {
        let (venue, market, start_unix_ns) = (plan.spec().venue, plan.market(), plan.start_unix_ns());
        let wording = match format.normalised() {
            Some(format) => Wording::Normalised {
                writer: Writer::new(format),
                head: Box::new(Head {
                    listing: market.listing.clone(),
                    start_unix_ns,
                    shards: market.shards,
                }),
            },
            None => Wording::Venue {
                encoder: Box::new(Encoder::with_depth(venue, &market.listing, start_unix_ns, depth)),
                numbering: Numbering::default(),
                envelope: if format == ExportFormat::Jsonl { Envelope::Line } else { Envelope::Frame },
                batcher: (cadence == ExportCadence::Venue).then(|| Batcher::new(venue)),
            },
        };
        Self { feed: Feed::new(plan.schedule(), market), wording, head_place: 0 }
    }

    /// Appends what a client must know before the first message: the instruments, then every book; in normalised
    /// formats also what accounts own. To be called first.
    pub fn head(&mut self, out: &mut Vec<u8>) {
        while self.next_of_head(out) {}
    }

    /// Appends the next message of the head and returns `true`, or `false` once there is no more: the books of ten
    /// thousand instruments need not be held at once.
    pub fn next_of_head(&mut self, out: &mut Vec<u8>) -> bool {
        let place = self.head_place;
        self.head_place = place.saturating_add(1);
        let book = place.checked_sub(1).and_then(|symbol| self.feed.snapshot(SymbolId(symbol)));
        match (&mut self.wording, book) {
            (Wording::Venue { encoder, numbering, envelope, .. }, book) if place == 0 || book.is_some() => {
                envelope.put(out, |out| {
                    match &book {
                        Some(book) => encoder.snapshot(book, 0, numbering, out),
                        None => encoder.instruments(0, numbering, out),
                    }
                    true
                })
            }
            (Wording::Venue { .. }, _) => false,
            (Wording::Normalised { writer, .. }, Some(book)) => {
                writer.snapshot(&book, out);
                true
            }
            (Wording::Normalised { writer, head }, None) if place == 0 => {
                writer.head(head, out);
                true
            }
            (Wording::Normalised { writer, head }, None) => {
                let is_first = place as usize == head.listing.instruments.len() + 1;
                if is_first {
                    self.feed.balances().iter().for_each(|balance| writer.opening_balance(balance, out));
                }
                is_first
            }
        }
    }

    /// Appends the plan's next message and tells when it is due, ns since the start; none at the end. In the venue's
    /// cadence it may be that nothing is appended, or several messages that were due before.
    #[inline]
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        self.advance(out, |message| message.due_ns)
    }

    /// The same with the message itself.
    #[inline]
    pub fn next_message(&mut self, out: &mut Vec<u8>) -> Option<Message> {
        self.advance(out, |message| *message)
    }

    #[inline]
    fn advance<T>(&mut self, out: &mut Vec<u8>, look: impl FnOnce(&Message) -> T) -> Option<T> {
        let (due_ns, market) = self.feed.next_slot()?;
        match &mut self.wording {
            Wording::Normalised { writer, .. } => {
                let message = market.next(due_ns);
                writer.message(message, out);
                Some(look(message))
            }
            Wording::Venue { encoder, numbering, envelope, batcher: None } => loop {
                // A slot carries the next message that the venue tells.
                let message = market.next(due_ns);
                if envelope.put(out, |out| encoder.encode(message, numbering, out)) {
                    return Some(look(message));
                }
            },
            Wording::Venue { encoder, numbering, envelope, batcher: Some(batcher) } => {
                let message = market.next(due_ns);
                batcher.push(message, encoder, numbering, |bytes, _| envelope.wrap(out, bytes));
                Some(look(message))
            }
        }
    }

    /// Appends what waits for the end of a batch. To be called last.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Wording::Venue { encoder, numbering, envelope, batcher: Some(batcher) } = &mut self.wording {
            batcher.flush(encoder, numbering, |bytes, _| envelope.wrap(out, bytes));
        }
    }

    /// All books as of the last message, in the order of symbols.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.feed.books().collect()
    }
}

impl Envelope {
    /// Appends what `write` appends, in this envelope; nothing if it returns `false`.
    #[inline]
    fn put(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        match self {
            Envelope::Line => {
                let told = write(out);
                if told {
                    out.push(b'\n');
                }
                told
            }
            Envelope::Frame => {
                let start = out.len();
                let frame = frame::begin(out, None);
                let told = write(out);
                if told {
                    frame.finish(out, Opcode::Text);
                } else {
                    out.truncate(start);
                }
                told
            }
        }
    }

    fn wrap(self, out: &mut Vec<u8>, message: &[u8]) {
        self.put(out, |out| {
            out.extend_from_slice(message);
            true
        });
    }
}
