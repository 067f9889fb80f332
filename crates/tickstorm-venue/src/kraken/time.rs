//! Times as `2026-11-23T08:00:00.104210Z`: RFC 3339 in UTC with microseconds.

use crate::text::Writer;

/// The last second written. Most messages share it with the one before.
#[derive(Debug, Clone)]
pub(super) struct TimeText {
    second: u64,
    /// As `2026-11-23T08:00:00.`
    text: [u8; 20],
}

impl TimeText {
    pub(super) fn new() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00." }
    }

    /// Twenty-seven bytes, without quotes.
    #[inline(always)]
    pub(super) fn write(&mut self, unix_ns: u64, w: &mut Writer<'_>) {
        let us = unix_ns / 1_000;
        let second = us / US_PER_SECOND;
        if second != self.second {
            *self = Self::of(second);
        }
        w.literal(&self.text);
        w.six_digits(us % US_PER_SECOND);
        w.literal(b"Z");
    }

    #[inline(never)]
    fn of(second: u64) -> Self {
        let (day, of_day) = (second / SECONDS_PER_DAY, second % SECONDS_PER_DAY);
        let [year, month, day] = date(day);
        let mut text = *b"0000-00-00T00:00:00.";
        let parts = [(0, year / 100), (2, year), (5, month), (8, day)];
        let clock = [(11, of_day / 3_600), (14, of_day / 60 % 60), (17, of_day % 60)];
        for (at, value) in parts.into_iter().chain(clock) {
            text[at] = b'0' + (value / 10 % 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        }
        Self { second, text }
    }
}

/// The same as a text of its own.
pub(super) fn time_text(unix_ns: u64) -> String {
    let mut text = [0; 27 + 8];
    let mut w = Writer::new(&mut text);
    TimeText::new().write(unix_ns, &mut w);
    w.written(0).iter().map(|&byte| char::from(byte)).collect()
}

/// Unix nanoseconds; `None` if it is no time in UTC, or one before 1970 or beyond 2500. Up to nine decimals of the
/// second are read.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (clock, rest) = text.as_bytes().split_at_checked(19)?;
    let number = |at: usize, length: usize| {
        clock[at..at + length]
            .iter()
            .try_fold(0u64, |sum, &byte| byte.is_ascii_digit().then(|| 10 * sum + u64::from(byte - b'0')))
    };
    let separators = [clock[4], clock[7], clock[10], clock[13], clock[16]];
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let days = days(year, month, day)?;
    if separators != *b"--T::" || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction_ns = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let value = digits.iter().try_fold(0u64, |sum, &byte| {
                byte.is_ascii_digit().then(|| 10 * sum + u64::from(byte - b'0'))
            })?;
            value * 10u64.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
    Some(seconds * NS_PER_SECOND + fraction_ns)
}

/// As `Mon, 23 Nov 26 08:00:00 +0000`, the form of the HTTP interface.
pub(super) fn rfc1123(unix_ns: u64) -> String {
    let second = unix_ns / NS_PER_SECOND;
    let (days, of_day) = (second / SECONDS_PER_DAY, second % SECONDS_PER_DAY);
    let [year, month, day] = date(days);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[(month - 1) as usize];
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{weekday}, {day:02} {month} {:02} {hour:02}:{minute:02}:{second:02} +0000", year % 100)
}

/// Year, month and day of a day since 1970. Counts from 1 March of the year 0, so that the leap day is a year's
/// last, in eras of 400 years.
fn date(days_since_1970: u64) -> [u64; 3] {
    let days = days_since_1970 + DAYS_TO_1970;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    [400 * era + year_of_era + u64::from(month <= 2), month, day]
}

/// The way back; `None` for a day that the calendar does not have.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..2500).contains(&year) || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let (year_from_march, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = (DAYS_PER_ERA * era + of_era).checked_sub(DAYS_TO_1970)?;
    (date(days) == [year, month, day]).then_some(days)
}

const US_PER_SECOND: u64 = 1_000_000;
const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(time: &mut TimeText, unix_ns: u64) -> String {
        let mut bytes = [0; 40];
        let mut w = Writer::new(&mut bytes);
        time.write(unix_ns, &mut w);
        let length = w.at();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        let mut time = TimeText::new();
        for (second, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_795_420_800, "2026-11-23T08:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (16_725_225_599, "2499-12-31T23:59:59"),
        ] {
            assert_eq!(text(&mut time, second * NS_PER_SECOND + 104_210_999), format!("{expected}.104210Z"));
            assert_eq!(parse(&format!("{expected}Z")), Some(second * NS_PER_SECOND));
        }
        assert_eq!(text(&mut time, u64::MAX), "2554-07-21T23:34:33.709551Z");
    }

    #[test]
    fn the_http_interface_names_weekday_and_month() {
        assert_eq!(rfc1123(0), "Thu, 01 Jan 70 00:00:00 +0000");
        assert_eq!(rfc1123(1_795_420_800_999_999_999), "Mon, 23 Nov 26 08:00:00 +0000");
        assert_eq!(time_text(1_795_420_800_999_999_999), "2026-11-23T08:00:00.999999Z");
    }

    #[test]
    fn what_is_no_time_in_utc_is_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T08:00:00",
            "2026-11-23T08:00:00.Z",
            "2026-11-23T08:00:00.0000000001Z",
            "2026-11-23T08:00:00.1+01:00",
            "2026-11-23 08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2026-13-01T08:00:00Z",
            "2026-00-01T08:00:00Z",
            "2026-01-00T08:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T08:60:00Z",
            "2026-11-23T08:00:60Z",
            "1969-12-31T23:59:59Z",
            "2600-01-01T00:00:00Z",
            "+026-11-23T08:00:00Z",
            "2026-11-23T08:00:0\u{e9}Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_time_reads_back_to_the_microsecond(unix_ns in 0..16_725_225_600_000_000_000u64) {
            let text = text(&mut TimeText::new(), unix_ns);
            prop_assert_eq!(parse(&text), Some(unix_ns / 1_000 * 1_000));
        }

        #[test]
        fn anything_may_be_tried(text in "\\PC{0,40}", digits in "[0-9:TZ.-]{15,32}") {
            parse(&text);
            parse(&digits);
        }
    }
}
