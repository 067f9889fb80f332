//! The market's own messages as compact streams, for systems that stand behind a gateway which has already
//! taken the venues' dialects apart: [MessagePack](Format::MessagePack), [Protobuf](Format::Protobuf) and
//! [CSV](Format::Csv), both ways.
//!
//! Unlike a venue's dialect a normalised stream leaves nothing out: event numbers, sequences and both due times
//! are in it, and the [`Head`] that it begins with names instruments, assets and units. A [`Reader`] gives back
//! exactly what a [`Writer`] was given. `docs/normalised.md` describes the bytes.
//!
//! ```
//! use tickstorm_market::{Listing, MarketSpec, ShardMarket};
//! use tickstorm_random::Seed;
//! use tickstorm_venue::normalised::{Format, Head, Reader, Record, Writer};
//!
//! let listing = Listing::synthetic(3, Seed::new(1));
//! let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), listing.clone()) };
//! let mut market = ShardMarket::new(&spec, 0)?;
//!
//! let head = Head { listing, start_unix_ns: 1_795_420_800_000_000_000, shards: 1 };
//! let writer = Writer::new(Format::MessagePack);
//! let mut stream = Vec::new();
//! writer.head(&head, &mut stream);
//! let message = *market.next(200_000);
//! writer.message(&message, &mut stream);
//!
//! let records: Vec<Record> = Reader::new(Format::MessagePack, stream.as_slice()).collect::<Result<_, _>>()?;
//! assert_eq!(records, [Record::Head(head), Record::Message(message)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use tickstorm_market::event::{Balance, Message, Snapshot};
use tickstorm_market::instrument::Listing;

mod csv;
mod format;
mod messagepack;
mod protobuf;
mod reader;
#[cfg(test)]
mod testing;

pub use format::{Format, UnknownFormat};
pub use reader::{MAX_NAME_BYTES, MAX_RECORD_BYTES, Place, ReadError, Reader};

/// What a stream begins with: all that is needed to understand the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What is traded. Messages name instruments and assets by their positions here.
    pub listing: Listing,
    /// Unix time of the run's start, from which all other times count.
    pub start_unix_ns: i64,
    /// Into how many independent parts the symbols are cut: symbol `i` belongs to shard `i % shards`. Event
    /// numbers rise by one within a shard.
    pub shards: u16,
}

/// One record of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The first record, and no other.
    Head(Head),
    /// A whole book. One of each symbol usually stands before the first message.
    Snapshot(Snapshot),
    /// What an account owns before the first message.
    OpeningBalance(Balance),
    /// What happened.
    Message(Message),
}

/// Writes records, each by appending it to a buffer whole. It keeps nothing from one to the next, so that the
/// records of one stream may be written by several writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    format: Format,
}

impl Writer {
    /// A writer of this format.
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Appends what a stream begins with; in CSV with the line of column names before it. Names longer than
    /// [`MAX_NAME_BYTES`] are written, but not read back.
    pub fn head(&self, head: &Head, out: &mut Vec<u8>) {
        match self.format {
            Format::MessagePack => messagepack::write_head(head, out),
            Format::Protobuf => protobuf::write_head(head, out),
            Format::Csv => csv::write_head(head, out),
        }
    }

    /// Appends a whole book.
    pub fn snapshot(&self, snapshot: &Snapshot, out: &mut Vec<u8>) {
        match self.format {
            Format::MessagePack => messagepack::write_snapshot(snapshot, out),
            Format::Protobuf => protobuf::write_snapshot(snapshot, out),
            Format::Csv => csv::write_snapshot(snapshot, out),
        }
    }

    /// Appends what an account owns before the first message.
    pub fn opening_balance(&self, balance: &Balance, out: &mut Vec<u8>) {
        match self.format {
            Format::MessagePack => messagepack::write_opening_balance(balance, out),
            Format::Protobuf => protobuf::write_opening_balance(balance, out),
            Format::Csv => csv::write_opening_balance(balance, out),
        }
    }

    /// Appends a message. Allocates only when `out` must grow.
    #[inline]
    pub fn message(&self, message: &Message, out: &mut Vec<u8>) {
        match self.format {
            Format::MessagePack => messagepack::write_message(message, out),
            Format::Protobuf => protobuf::write_message(message, out),
            Format::Csv => csv::write_message(message, out),
        }
    }
}

/// Of the layout of all three formats. It changes when a stream can no longer be read as before.
const VERSION: u32 = 1;

/// A record at the start of some bytes.
#[derive(Debug)]
struct Taken {
    record: Record,
    /// How many of the bytes it takes.
    length: usize,
    /// How many lines it takes, in a format that has lines.
    lines: u64,
}

/// Why there is no record at the start of some bytes. It travels in a box, so that a value that was read travels in
/// registers.
#[derive(Debug, PartialEq)]
enum Stop {
    /// The bytes end before it does.
    Incomplete {
        /// It takes no fewer bytes than this; always more than there are.
        at_least: usize,
    },
    /// It says that it is longer than any may be.
    TooLong,
    /// It is none, or says what cannot be.
    Wrong {
        /// Where, counted from the start of the record: in lines for a format that has lines, else in bytes.
        at: usize,
        problem: Problem,
    },
}

impl Stop {
    #[cold]
    fn incomplete(at_least: usize) -> Box<Self> {
        Box::new(Stop::Incomplete { at_least })
    }

    /// The same when at least so many more bytes must follow.
    fn before(mut self: Box<Self>, bytes: usize) -> Box<Self> {
        if let Stop::Incomplete { at_least } = &mut *self {
            *at_least = at_least.saturating_add(bytes);
        }
        self
    }
}

/// A value that is not what it must be.
#[derive(Debug, PartialEq)]
struct Problem {
    field: &'static str,
    found: String,
    expected: String,
}

impl Problem {
    fn new(field: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field, found: found.into(), expected: expected.into() }
    }

    fn at(self, at: usize) -> Box<Stop> {
        Box::new(Stop::Wrong { at, problem: self })
    }
}
