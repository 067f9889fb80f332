//! Streams of the market's own messages.

use std::io::{self, Read};

use tickstorm_venue::normalised::{Format, ReadError, Reader, Record, Writer};

pub(crate) fn run(format: Format, data: &[u8]) {
    let (records, end) = read(format, data);
    let (again, other_end) = read(format, Trickle { rest: data, next: 1 });
    assert_eq!(records, again, "in small pieces it says something else");
    // A record that is announced to be longer than the stream may be refused for what there is of it.
    assert_eq!(
        end.is_some(),
        other_end.is_some(),
        "in small pieces it ends otherwise: {end:?}, {other_end:?}"
    );

    let mut out = Vec::new();
    let writer = Writer::new(format);
    for record in &records {
        match record {
            Record::Head(head) => writer.head(head, &mut out),
            Record::Snapshot(snapshot) => writer.snapshot(snapshot, &mut out),
            Record::OpeningBalance(balance) => writer.opening_balance(balance, &mut out),
            Record::Message(message) => writer.message(message, &mut out),
        }
    }
    let (rewritten, end) = read(format, out.as_slice());
    assert!(end.is_none(), "what was written of it cannot be read: {}", end.expect("it is there"));
    assert_eq!(records, rewritten, "what was written of it says something else");
}

/// All records up to the end, or to an error.
fn read(format: Format, input: impl Read) -> (Vec<Record>, Option<ReadError>) {
    let mut records = Vec::new();
    for record in Reader::new(format, input) {
        match record {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

/// Comes a few bytes at a time.
struct Trickle<'a> {
    rest: &'a [u8],
    next: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.next.min(self.rest.len()).min(out.len());
        let (now, rest) = self.rest.split_at(count);
        out[..count].copy_from_slice(now);
        self.rest = rest;
        self.next = self.next % 7 + 1;
        Ok(count)
    }
}
