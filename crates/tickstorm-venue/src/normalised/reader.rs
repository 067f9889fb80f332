//! From a stream of bytes to records, one at a time.

use std::fmt;
use std::io::{self, Read};

use thiserror::Error;
use tickstorm_market::MAX_SHARDS;
use tickstorm_market::event::{Body, Message};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId, UNITS_PER_WHOLE};

use super::{Format, Problem, Record, Stop, Taken, VERSION, csv, messagepack, protobuf};

/// Most bytes of a record: a snapshot of a million levels. A longer one is refused before more of it is kept.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Most bytes of the name of a symbol or an asset.
pub const MAX_NAME_BYTES: usize = 255;

/// Reads a stream's records. It has a buffer of its own, and keeps at most one record and what was read along with
/// it. After an error there are no more records, since where the next one begins is unknown.
///
/// The [`Head`](super::Head) comes first, and what later records say is checked against it: whoever looks up their
/// symbols and assets in its listing finds them.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not taken yet.
    start: usize,
    end: usize,
    place: Place,
    listing: Option<Listing>,
    over: bool,
}

#[derive(Debug)]
enum Decoder {
    MessagePack,
    Protobuf,
    Csv(Box<csv::Rows>),
}

/// Where in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a binary format.
    Byte {
        /// The record's number, from 1.
        record: u64,
        /// Bytes before the place.
        offset: u64,
    },
    /// In a text format.
    Line {
        /// The record's number, from 1.
        record: u64,
        /// The line's number, from 1.
        line: u64,
    },
}

/// Why a stream cannot be read further. Values are quoted up to their first 64 characters.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The source of the bytes failed.
    #[error("{place} cannot be read")]
    Io {
        /// The record that was awaited.
        place: Place,
        /// What went wrong.
        source: io::Error,
    },
    /// The stream ends within a record. All records before it are whole.
    #[error("{place} is cut off: the stream ends after {bytes} bytes of it")]
    Truncated {
        /// The record.
        place: Place,
        /// What there is of it.
        bytes: usize,
    },
    /// A record is longer than any may be.
    #[error("{place} is longer than {MAX_RECORD_BYTES} bytes")]
    TooLong {
        /// The record.
        place: Place,
    },
    /// A value is not what it must be.
    #[error("{place}: {field} is {found}, must be {expected}")]
    Wrong {
        /// The value.
        place: Place,
        /// What it stands for.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
}

impl<R: Read> Reader<R> {
    /// Reads this format from `input`, which needs no buffer.
    pub fn new(format: Format, input: R) -> Self {
        let (decoder, place) = match format {
            Format::MessagePack => (Decoder::MessagePack, Place::Byte { record: 1, offset: 0 }),
            Format::Protobuf => (Decoder::Protobuf, Place::Byte { record: 1, offset: 0 }),
            Format::Csv => (Decoder::Csv(Box::default()), Place::Line { record: 1, line: 1 }),
        };
        Self {
            input,
            decoder,
            buffer: vec![0; FIRST_BUFFER_BYTES],
            start: 0,
            end: 0,
            place,
            listing: None,
            over: false,
        }
    }

    /// Where the next record begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next record, or `None` where the stream ends between two.
    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let at_least = match self.decoder.take(&self.buffer[self.start..self.end]) {
                Ok(taken) => return self.accept(taken).map(Some),
                Err(stop) => match *stop {
                    Stop::Incomplete { at_least } => at_least,
                    stop => return Err(self.error(stop)),
                },
            };
            if at_least > MAX_RECORD_BYTES {
                return Err(ReadError::TooLong { place: self.place });
            }
            while self.end - self.start < at_least {
                if self.fill()? == 0 {
                    let rest = &self.buffer[self.start..self.end];
                    return match self.decoder.is_blank(rest) {
                        true => Ok(None),
                        false => Err(ReadError::Truncated { place: self.place, bytes: rest.len() }),
                    };
                }
            }
        }
    }

    /// Reads what comes next, as much as the buffer has room for.
    fn fill(&mut self) -> Result<usize, ReadError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Doubled only once it is full, so that memory follows what arrived and not what was announced.
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Io { place: self.place, source }),
            }
        }
    }

    #[inline]
    fn accept(&mut self, taken: Taken) -> Result<Record, ReadError> {
        if let Err(problem) = self.check(&taken.record) {
            return Err(self.error(*problem.at(0)));
        }
        self.start += taken.length;
        match &mut self.place {
            Place::Byte { record, offset } => {
                *record += 1;
                *offset += taken.length as u64;
            }
            Place::Line { record, line } => {
                *record += 1;
                *line += taken.lines;
            }
        }
        if let Record::Head(head) = &taken.record {
            self.listing = Some(head.listing.clone());
        }
        Ok(taken.record)
    }

    #[cold]
    fn error(&self, stop: Stop) -> ReadError {
        match stop {
            Stop::Wrong { at, problem: Problem { field, found, expected } } => {
                ReadError::Wrong { place: self.place.plus(at), field, found: shortened(found), expected }
            }
            Stop::TooLong | Stop::Incomplete { .. } => ReadError::TooLong { place: self.place },
        }
    }

    #[inline]
    fn check(&self, record: &Record) -> Result<(), Problem> {
        match (record, &self.listing) {
            (Record::Message(message), Some(listing)) => check_message(message, listing),
            (Record::Snapshot(snapshot), Some(listing)) => check_symbol(snapshot.symbol, listing),
            (Record::OpeningBalance(balance), Some(listing)) => check_asset("asset", balance.asset, listing),
            (Record::Head(head), None) => check_head(head),
            (Record::Head(_), Some(_)) => {
                Err(Problem::new("record", "a second head", "a snapshot, a balance or a message"))
            }
            (_, None) => Err(Problem::new("the first record", "no head", "the head")),
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Record, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.advance().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl<R: Read> std::iter::FusedIterator for Reader<R> {}

impl Decoder {
    #[inline]
    fn take(&mut self, bytes: &[u8]) -> Result<Taken, Box<Stop>> {
        match self {
            Decoder::MessagePack => messagepack::take(bytes),
            Decoder::Protobuf => protobuf::take(bytes),
            Decoder::Csv(rows) => rows.take(bytes),
        }
    }

    /// Whether a stream that ends after these bytes, which are no record, ends between two.
    fn is_blank(&self, rest: &[u8]) -> bool {
        match self {
            Decoder::MessagePack | Decoder::Protobuf => rest.is_empty(),
            Decoder::Csv(_) => rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')),
        }
    }
}

impl Place {
    /// So many bytes or lines further.
    fn plus(self, at: usize) -> Self {
        match self {
            Place::Byte { record, offset } => Place::Byte { record, offset: offset + at as u64 },
            Place::Line { record, line } => Place::Line { record, line: line + at as u64 },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Byte { record, offset } => write!(f, "record {record} at byte {offset}"),
            Place::Line { record, line } => write!(f, "record {record} at line {line}"),
        }
    }
}

fn check_head(head: &super::Head) -> Result<(), Problem> {
    if head.shards == 0 || head.shards > MAX_SHARDS {
        let expected = format!("from 1 to {MAX_SHARDS}");
        return Err(Problem::new("number of shards", head.shards.to_string(), expected));
    }
    let listing = &head.listing;
    for name in listing.assets.iter().chain(listing.instruments.iter().map(|instrument| &instrument.symbol)) {
        if name.len() > MAX_NAME_BYTES {
            let expected = format!("at most {MAX_NAME_BYTES} bytes long");
            return Err(Problem::new("name", format!("{name:?}"), expected));
        }
    }
    listing.instruments.iter().try_for_each(|instrument| check_instrument(instrument, listing))
}

fn check_instrument(instrument: &Instrument, listing: &Listing) -> Result<(), Problem> {
    check_asset("base asset", instrument.base, listing)?;
    check_asset("quote asset", instrument.quote, listing)?;
    let Instrument { tick, lot, symbol, .. } = instrument;
    // What a listing promises, see `Instrument::notional`.
    let exact = tick.checked_mul(*lot).is_some_and(|units| units > 0 && units % UNITS_PER_WHOLE == 0);
    if exact {
        Ok(())
    } else {
        let found = format!("{tick} times {lot} for {symbol:?}");
        let expected = format!("a multiple of {UNITS_PER_WHOLE} below 2^64");
        Err(Problem::new("tick times lot", found, expected))
    }
}

#[inline]
fn check_message(message: &Message, listing: &Listing) -> Result<(), Problem> {
    check_symbol(message.symbol, listing)?;
    match &message.body {
        Body::Execution(execution) => check_asset("fee asset", execution.fee_asset, listing),
        Body::Balance(balance) => check_asset("asset", balance.asset, listing),
        Body::Transfer(transfer) => check_asset("asset", transfer.asset, listing),
        Body::Book(_) | Body::Trade(_) | Body::Quote(_) | Body::Ticker(_) | Body::Status(_) => Ok(()),
    }
}

#[inline]
fn check_symbol(symbol: SymbolId, listing: &Listing) -> Result<(), Problem> {
    below("symbol", symbol.0, listing.instruments.len())
}

#[inline]
fn check_asset(field: &'static str, asset: AssetId, listing: &Listing) -> Result<(), Problem> {
    below(field, asset.0, listing.assets.len())
}

#[inline]
fn below(field: &'static str, index: u32, count: usize) -> Result<(), Problem> {
    if (index as usize) < count {
        Ok(())
    } else {
        Err(Problem::new(field, index.to_string(), format!("below {count}, their number in the head")))
    }
}

/// Any version but ours means that the rest cannot be understood.
pub(super) fn check_version(version: u32) -> Result<(), Problem> {
    if version == VERSION {
        Ok(())
    } else {
        Err(Problem::new("version", version.to_string(), VERSION.to_string()))
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(64) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Holds a thousand messages.
const FIRST_BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{Balance, Snapshot};

    use super::*;
    use crate::normalised::testing::{any_record, end_of, head, one_of_each, write, written};
    use crate::normalised::{Head, Writer};

    /// A source that gives a few bytes at a time.
    struct Trickle<'a> {
        bytes: &'a [u8],
        most: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.most.min(buffer.len());
            self.bytes.read(&mut buffer[..most])
        }
    }

    fn read_all(format: Format, input: impl Read) -> Vec<Record> {
        Reader::new(format, input).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_stream_cut_at_any_byte_gives_its_whole_records_and_says_whether_one_is_cut() {
        let records = one_of_each();
        for format in Format::ALL {
            let mut stream = Vec::new();
            let mut ends = vec![0];
            for record in &records {
                write(Writer::new(format), record, &mut stream);
                ends.push(stream.len());
            }
            for cut in 0..=stream.len() {
                let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
                let (found, error) = end_of(format, &stream[..cut]);
                assert_eq!(found, whole, "{format} cut at {cut}: {error:?}");
                let place = format!("record {} at ", whole + 1);
                let rest = format!(" is cut off: the stream ends after {} bytes of it", cut - ends[whole]);
                match error {
                    Some(error) => assert!(error.starts_with(&place) && error.ends_with(&rest), "{error}"),
                    None => assert_eq!(cut, ends[whole], "{format}"),
                }
            }
        }
    }

    #[test]
    fn a_book_of_many_levels_arrives_in_small_pieces() {
        let levels = (0..50_000).map(|n| (n, u64::from(n) << (n % 40))).collect();
        let snapshot =
            Snapshot { symbol: SymbolId(2), sequence: 1, update_id: 1, bids: vec![], asks: levels };
        let records = [Record::Head(head()), Record::Snapshot(snapshot)];
        for format in Format::ALL {
            let stream = written(format, &records);
            assert_eq!(read_all(format, Trickle { bytes: &stream, most: 1_000 }), records, "{format}");
        }
    }

    #[test]
    fn memory_follows_what_arrives_and_ends_at_the_limit() {
        // A snapshot that announces about as many levels as are just allowed, or a record that long.
        let empty = Snapshot { symbol: SymbolId(0), sequence: 1, update_id: 1, bids: vec![], asks: vec![] };
        let row = String::from_utf8(written(Format::Csv, &[Record::Snapshot(empty)])).unwrap();
        let endless = [
            (Format::MessagePack, vec![0x96, 2, 0, 1, 1, 0xdd, 0, 0x50, 0, 0]),
            (Format::Protobuf, vec![0x80, 0x80, 0x80, 0x08]),
            (Format::Csv, row.replace(",0,0,", ",290000,0,").into_bytes()),
        ];
        for (format, start) in endless {
            let mut stream = written(format, &[Record::Head(head())]);
            stream.extend_from_slice(&start);
            let mut reader = Reader::new(format, stream.as_slice());
            assert!(matches!(reader.next(), Some(Ok(Record::Head(_)))), "{format}");
            let end = reader.next();
            assert!(
                matches!(end, Some(Err(ReadError::Truncated { .. } | ReadError::TooLong { .. }))),
                "{end:?}"
            );
            assert_eq!(reader.buffer.len(), FIRST_BUFFER_BYTES, "{format}");

            let mut reader = Reader::new(format, stream.as_slice().chain(io::repeat(b'\n')));
            assert!(matches!(reader.next(), Some(Ok(Record::Head(_)))), "{format}");
            let end = reader.next();
            assert!(matches!(end, Some(Err(_))), "{format}: {end:?}");
            assert!(reader.buffer.len() <= MAX_RECORD_BYTES, "{format}");
            assert!(reader.next().is_none(), "{format} goes on after an error");
        }
    }

    #[test]
    fn what_a_record_says_is_checked_against_the_head() {
        let mut records = one_of_each();
        let message = Record::Message(Message { symbol: SymbolId(3), ..*message_of(&mut records[4]) });
        let expected = "symbol is 3, must be below 3, their number in the head";
        refused(&[Record::Head(head()), message], expected);
        let Record::OpeningBalance(balance) = &records[3] else { panic!("{:?}", records[3]) };
        let balance = Balance { asset: AssetId(4), ..*balance };
        refused(
            &[Record::Head(head()), Record::OpeningBalance(balance)],
            "asset is 4, must be below 4, their number in the head",
        );
        refused(&records[1..2], "the first record is no head, must be the head");
    }

    #[test]
    fn a_second_head_is_refused() {
        let heads = [Record::Head(head()), Record::Head(head())];
        for format in [Format::MessagePack, Format::Protobuf] {
            let (found, error) = end_of(format, &written(format, &heads));
            let expected = "record is a second head, must be a snapshot, a balance or a message";
            assert_eq!((found, error.unwrap().split_once(": ").unwrap().1), (1, expected));
        }
        // Column names again, as in two files run together.
        let (found, error) = end_of(Format::Csv, &written(Format::Csv, &heads));
        let expected = "record 2 at line 11: record is \"record\", must be ";
        assert!(found == 1 && error.unwrap().starts_with(expected));
    }

    #[test]
    fn a_head_that_a_market_cannot_have_is_refused() {
        let with = |change: fn(&mut Head, &mut Vec<Instrument>)| {
            let mut head = head();
            let mut instruments = head.listing.instruments.to_vec();
            change(&mut head, &mut instruments);
            head.listing.instruments = instruments.into();
            [Record::Head(head)]
        };
        refused(&with(|head, _| head.shards = 0), "number of shards is 0, must be from 1 to 4096");
        refused(
            &with(|_, instruments| instruments[1].base = AssetId(4)),
            "base asset is 4, must be below 4, their number in the head",
        );
        let exact = "must be a multiple of 100000000 below 2^64";
        refused(
            &with(|_, instruments| instruments[0].tick = 0),
            &format!("tick times lot is 0 times 1000 for \"BTCUSDT\", {exact}"),
        );
        refused(
            &with(|_, instruments| instruments[0].lot = 1),
            &format!("tick times lot is 10000000 times 1 for \"BTCUSDT\", {exact}"),
        );
        refused(
            &with(|_, instruments| instruments[0].lot = 1 << 60),
            &format!("tick times lot is 10000000 times 1152921504606846976 for \"BTCUSDT\", {exact}"),
        );
        let name = "x".repeat(63);
        refused(
            &with(|_, instruments| instruments[0].symbol = "x".repeat(256)),
            &format!("name is \"{name}..., must be at most 255 bytes long"),
        );
    }

    /// Every format says this of the last record.
    fn refused(records: &[Record], expected: &str) {
        for format in Format::ALL {
            let mut stream = written(format, records);
            if format == Format::Csv && !matches!(records[0], Record::Head(_)) {
                let names = written(format, &[Record::Head(head())]);
                let line = names.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                stream.splice(..0, names[..line].iter().copied());
            }
            let (found, error) = end_of(format, &stream);
            let error = error.unwrap_or_default();
            assert_eq!(found, records.len() - 1, "{format}: {error}");
            assert_eq!(error.split_once(": ").unwrap_or_default().1, expected, "{format}");
        }
    }

    fn message_of(record: &mut Record) -> &mut Message {
        match record {
            Record::Message(message) => message,
            other => panic!("{other:?} is no message"),
        }
    }

    #[test]
    fn a_failing_source_is_told_from_a_cut_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk on fire"))
            }
        }
        let stream = written(Format::MessagePack, &one_of_each());
        let mut reader = Reader::new(Format::MessagePack, stream[..stream.len() - 1].chain(Broken));
        let error = reader.find_map(Result::err).unwrap();
        assert!(error.to_string().ends_with(" cannot be read"), "{error}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk on fire");
    }

    #[test]
    fn an_empty_stream_has_no_records() {
        for format in Format::ALL {
            assert_eq!(end_of(format, b""), (0, None), "{format}");
        }
    }

    proptest! {
        #[test]
        fn any_records_read_back_as_they_were_however_the_bytes_arrive(
            records in proptest::collection::vec(any_record(), 0..12),
            most in 1..2_000usize,
        ) {
            let mut stream = vec![Record::Head(head())];
            stream.extend(records);
            for format in Format::ALL {
                let bytes = written(format, &stream);
                prop_assert_eq!(&read_all(format, Trickle { bytes: &bytes, most }), &stream, "{}", format);
            }
        }

        #[test]
        fn any_bytes_end_in_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for format in Format::ALL {
                end_of(format, &bytes);
                let stream = [written(format, &[Record::Head(head())]), bytes.clone()].concat();
                end_of(format, &stream);
            }
        }

        #[test]
        fn a_damaged_stream_ends_in_records_or_an_error(
            place in any::<proptest::sample::Index>(),
            damage in proptest::collection::vec(any::<u8>(), 0..6),
            removed in 0..6usize,
        ) {
            for format in Format::ALL {
                let mut stream = written(format, &one_of_each());
                let at = place.index(stream.len());
                let end = (at + removed).min(stream.len());
                stream.splice(at..end, damage.iter().copied());
                end_of(format, &stream);
            }
        }
    }
}
