//! Where the bytes of a stream are within its TLS records.
//!
//! Kernels count bytes of records, messages are found by bytes of the stream; and a record can be read only as a whole.

use std::collections::VecDeque;

/// What went into records, write by write.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Ends of the writes that somebody may still ask about, the first of which is where the asking begins.
    writes: VecDeque<End>,
    /// So far, of the handshake and of other than data too.
    ciphertext: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct End {
    plain: u64,
    ciphertext: u64,
}

impl Records {
    /// The session has made this much of something.
    pub(super) fn made(&mut self, ciphertext: usize) {
        self.ciphertext += ciphertext as u64;
    }

    /// That was what this much of the stream is in.
    pub(super) fn holds(&mut self, plain: usize) {
        let before = self.writes.back().copied().unwrap_or_default();
        self.writes.push_back(End { plain: before.plain + plain as u64, ciphertext: self.ciphertext });
        if self.writes.len() > MOST_WRITES {
            // Every second one, the last among them.
            let mut is_kept = self.writes.len().is_multiple_of(2);
            self.writes.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
    }

    /// How many bytes at the end of the stream are in records of which the last `ciphertext` bytes have a part.
    pub(super) fn plain_in_last(&self, ciphertext: u64) -> u64 {
        let place = self.ciphertext.saturating_sub(ciphertext);
        let whole = self.writes.partition_point(|end| end.ciphertext <= place);
        let (Some(last), Some(next)) = (self.writes.back(), self.writes.get(whole)) else { return 0 };
        let start = whole.checked_sub(1).map_or(End::default(), |index| self.writes[index]);
        // All records of a write are full but the last.
        let plain = next.plain - start.plain;
        let records = plain.div_ceil(RECORD).max(1);
        let around = (next.ciphertext - start.ciphertext).saturating_sub(plain) / records;
        let full = (place.saturating_sub(start.ciphertext) / (RECORD + around)).min(records - 1);
        last.plain - start.plain - full * RECORD
    }

    /// Nobody will ask about more than so many bytes at the end of the stream.
    pub(super) fn forget_all_but_last(&mut self, plain: u64) {
        let Some(last) = self.writes.back() else { return };
        let place = last.plain.saturating_sub(plain);
        while self.writes.get(1).is_some_and(|end| end.plain <= place) {
            self.writes.pop_front();
        }
    }
}

/// The most of a stream that is in one record (RFC 8446, section 5.1).
const RECORD: u64 = 16 << 10;

/// Half a megabyte a connection of which nobody says that he has asked.
const MOST_WRITES: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    const AROUND: usize = 22;

    fn write(records: &mut Records, plain: usize) {
        let count = plain.div_ceil(RECORD as usize);
        records.made(plain + count * AROUND);
        records.holds(plain);
    }

    #[test]
    fn what_was_read_to_the_end_of_a_record_is_read() {
        let mut records = Records::default();
        records.made(1_000);
        for plain in [100, 14, 200] {
            write(&mut records, plain);
        }
        assert_eq!(records.plain_in_last(0), 0);
        assert_eq!(records.plain_in_last(222), 200, "the last record is there and unread");
        assert_eq!(records.plain_in_last(1), 200, "of which a byte is missing cannot be read");
        assert_eq!(records.plain_in_last(223), 214);
        assert_eq!(records.plain_in_last(222 + 36), 214);
        assert_eq!(records.plain_in_last(222 + 36 + 122), 314);
        assert_eq!(records.plain_in_last(1_000_000), 314, "the handshake holds nothing");
    }

    #[test]
    fn a_write_of_several_records_is_read_record_by_record() {
        let mut records = Records::default();
        write(&mut records, 10);
        write(&mut records, 2 * RECORD as usize + 5);
        assert_eq!(records.plain_in_last(27), 5);
        assert_eq!(records.plain_in_last(28), 5 + RECORD);
        assert_eq!(records.plain_in_last(27 + RECORD + 22), 5 + RECORD);
        assert_eq!(records.plain_in_last(27 + RECORD + 23), 5 + 2 * RECORD);
    }

    #[test]
    fn what_is_not_data_holds_nothing_of_the_stream() {
        let mut records = Records::default();
        write(&mut records, 100);
        // A new key, say.
        records.made(27);
        assert_eq!(records.plain_in_last(27), 0);
        assert_eq!(records.plain_in_last(28), 100);
        write(&mut records, 50);
        assert_eq!(records.plain_in_last(72), 50);
    }

    #[test]
    fn forgetting_changes_nothing_that_is_asked_later() {
        let (mut whole, mut cut) = (Records::default(), Records::default());
        for n in 1..200 {
            for records in [&mut whole, &mut cut] {
                write(records, n * 7 % 50 + 1);
            }
            let unread = whole.plain_in_last(300);
            cut.forget_all_but_last(unread);
            for ciphertext in 0..=300 {
                assert_eq!(
                    cut.plain_in_last(ciphertext),
                    whole.plain_in_last(ciphertext),
                    "{n} {ciphertext}"
                );
            }
        }
        assert!(cut.writes.len() < 20);
    }

    #[test]
    fn what_nobody_asks_about_takes_bounded_room() {
        let mut records = Records::default();
        for _ in 0..10 * MOST_WRITES {
            write(&mut records, 10);
        }
        assert!(records.writes.len() <= MOST_WRITES);
        assert_eq!(records.plain_in_last(0), 0);
        assert_eq!(records.plain_in_last(32), 10);
    }
}
