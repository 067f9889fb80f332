//! RFC 3339 with as many decimals as matter, as `2026-11-23T08:00:00.25Z`.

use crate::text::{Writer, append};

/// Writes times; remembers the second of the last one, which most messages share with the one before.
#[derive(Debug, Clone)]
pub(super) struct TimeText {
    second: u64,
    text: [u8; SECOND_LENGTH],
}

impl TimeText {
    pub(super) fn new() -> Self {
        Self { second: 0, text: second_text(0) }
    }

    /// To the nanosecond.
    #[inline]
    pub(super) fn write(&mut self, unix_ns: u64, w: &mut Writer<'_>) {
        let (second, ns) = (unix_ns / NS_PER_SECOND, unix_ns % NS_PER_SECOND);
        if second != self.second {
            *self = Self { second, text: second_text(second) };
        }
        w.literal(&self.text);
        match (ns, ns % 10) {
            (0, _) => w.literal(b"Z"),
            (_, 0) => {
                w.literal(b".");
                w.trimmed_places(ns / 10);
                w.literal(b"Z");
            }
            (_, ninth) => {
                w.literal(b".");
                w.eight_digits(ns / 10);
                w.literal(&[b'0' + ninth as u8, b'Z']);
            }
        }
    }

    /// To the microsecond, what is below it cut off.
    #[inline]
    pub(super) fn write_us(&mut self, unix_ns: u64, w: &mut Writer<'_>) {
        self.write(unix_ns - unix_ns % NS_PER_US, w);
    }
}

/// A time by itself, to the nanosecond.
pub(super) fn time_text(unix_ns: u64) -> String {
    let mut out = Vec::new();
    append(&mut out, TIME_ROOM, |w| TimeText::new().write(unix_ns, w));
    String::from_utf8(out).expect("times are ASCII")
}

/// Unix nanoseconds of a time in UTC; places beyond the ninth are cut off. Years before 1970, which stand for
/// no time at all, are zero; those beyond 2554 the last instant there is.
pub(super) fn read_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (second, rest) = bytes.split_first_chunk::<SECOND_LENGTH>()?;
    let number = |from: usize, to: usize| {
        second[from..to]
            .iter()
            .try_fold(0u64, |sum, digit| digit.is_ascii_digit().then(|| 10 * sum + u64::from(digit - b'0')))
    };
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
        .into_iter()
        .all(|(at, separator)| second[at] == separator);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, seconds) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let possible = separated && (1..=12).contains(&month) && hour < 24 && minute < 60 && seconds <= 60;
    if !possible || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let ns = read_fraction(rest)?;
    let Some(days) = days_since_1970(year, month, day) else { return Some(0) };
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + seconds;
    Some(seconds.saturating_mul(NS_PER_SECOND).saturating_add(ns))
}

/// Nanoseconds of `.25Z`.
fn read_fraction(text: &[u8]) -> Option<u64> {
    let places = match text {
        b"Z" => return Some(0),
        [b'.', places @ .., b'Z'] if !places.is_empty() => places,
        _ => return None,
    };
    let mut scale = NS_PER_SECOND;
    places.iter().try_fold(0, |sum, digit| {
        scale /= 10;
        digit.is_ascii_digit().then(|| sum + scale * u64::from(digit - b'0'))
    })
}

fn days_of_month(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years are counted from March, so that the leap day is the last: `(153 m + 2) / 5` days lie before month *m*.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(days - DAYS_BEFORE_1970)
}

fn second_text(second: u64) -> [u8; SECOND_LENGTH] {
    let (days, second) = (second / SECONDS_PER_DAY, second % SECONDS_PER_DAY);
    let (year, month, day) = date_of(days);
    let mut text = *b"0000-00-00T00:00:00";
    let mut put = |at: usize, value: u64| {
        text[at] = b'0' + (value / 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    put(0, year / 100);
    put(2, year % 100);
    put(5, month);
    put(8, day);
    put(11, second / 3600);
    put(14, second / 60 % 60);
    put(17, second % 60);
    text
}

/// The inverse of [`days_since_1970`], over eras of 400 years.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// `2026-11-23T08:00:00`.
const SECOND_LENGTH: usize = 19;

/// Most bytes that a time takes, with the scratch behind its decimals.
pub(super) const TIME_ROOM: usize = SECOND_LENGTH + 11 + 8;

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_US: u64 = 1_000;
const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;

/// From 1 March of the year 0.
const DAYS_BEFORE_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_with_the_decimals_that_matter() {
        for (unix_ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (1_795_420_800_250_113_407, "2026-11-23T08:00:00.250113407Z"),
            (1_795_420_800_120_455_010, "2026-11-23T08:00:00.12045501Z"),
            (1_795_420_800_250_000_000, "2026-11-23T08:00:00.25Z"),
            (1_795_420_800_000_000_001, "2026-11-23T08:00:00.000000001Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(time_text(unix_ns), text);
            assert_eq!(read_time(text), Some(unix_ns), "{text}");
        }
    }

    #[test]
    fn below_the_microsecond_is_cut_off_where_the_venue_has_no_more() {
        let mut out = Vec::new();
        append(&mut out, TIME_ROOM, |w| TimeText::new().write_us(1_795_420_800_103_412_999, w));
        assert_eq!(out, b"2026-11-23T08:00:00.103412Z");
    }

    #[test]
    fn years_before_1970_are_no_time_at_all() {
        assert_eq!(read_time("0001-01-01T00:00:00Z"), Some(0));
        assert_eq!(read_time("9999-12-31T23:59:59Z"), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T08:00:00",
            "2026-11-23 08:00:00Z",
            "2026-13-23T08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2100-02-29T08:00:00Z",
            "2026-11-00T08:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T08:60:00Z",
            "2026-11-23T08:00:00.Z",
            "2026-11-23T08:00:00.x1Z",
            "2026-11-23T08:00:00.1",
            "2026-11-23T08:00:00+01:00",
            "+026-11-23T08:00:00Z",
        ] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_reads_back_as_itself(unix_ns: u64, shift in 0..30u32, zeros in 0..10u32) {
            let scale = 10u64.pow(zeros);
            let unix_ns = (unix_ns >> shift) / scale * scale;
            let text = time_text(unix_ns);
            prop_assert_eq!(read_time(&text), Some(unix_ns));
            prop_assert!(!text.ends_with("0Z") || !text.contains('.'));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[0-9TZ:.é-]{0,32}") {
            read_time(&text);
        }
    }
}
