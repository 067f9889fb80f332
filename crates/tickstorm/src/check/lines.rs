//! The messages of a stream, one by one, whatever separates them.

use std::io::{BufRead, Read};

use tickstorm_net::frame::{FrameReader, Incoming, Role};

use super::CheckError;
use crate::ExportFormat;

/// Messages in order.
pub(super) trait Messages {
    /// What separates them.
    const FORMAT: ExportFormat;

    /// The next one, or none at the end.
    fn next(&mut self) -> Result<Option<Received<'_>>, CheckError>;
}

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received<'a> {
    /// Its line or frame, from 1.
    pub(super) number: u64,
    /// When it came, where that was written down.
    pub(super) received_unix_ns: Option<u64>,
    pub(super) bytes: &'a [u8],
}

/// Most bytes of a message. The longest that a venue sends, a whole book or list of instruments, has some five million.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// JSON texts, one a line, each with or without the time of its receipt in front.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0, bytes: 0 }
    }
}

impl<R: BufRead> Messages for Lines<R> {
    const FORMAT: ExportFormat = ExportFormat::Jsonl;

    fn next(&mut self) -> Result<Option<Received<'_>>, CheckError> {
        loop {
            self.line.clear();
            let limit = MAX_MESSAGE_BYTES as u64 + 1;
            let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line);
            let read = read.map_err(|source| CheckError::Io { bytes: self.bytes, source })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.bytes += read as u64;
            if read > MAX_MESSAGE_BYTES {
                return Err(CheckError::TooLong {
                    unit: Self::FORMAT.unit(),
                    number: self.number,
                    limit: MAX_MESSAGE_BYTES,
                });
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        let line = self.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.line).trim_ascii();
        let (received_unix_ns, bytes) = split_time(line);
        Ok(Some(Received { number: self.number, received_unix_ns, bytes }))
    }
}

/// A line's time, if it begins with one, and its message.
fn split_time(line: &[u8]) -> (Option<u64>, &[u8]) {
    if !line.first().is_some_and(u8::is_ascii_digit) {
        return (None, line);
    }
    let Some(end) = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | b',')) else {
        return (None, line);
    };
    match std::str::from_utf8(&line[..end]).ok().and_then(unix_ns) {
        Some(time) => (Some(time), line[end + 1..].trim_ascii_start()),
        None => (None, line),
    }
}

/// A time as RFC 3339 in UTC, or as a Unix time in seconds, milli-, micro- or nanoseconds, which its size tells.
fn unix_ns(text: &str) -> Option<u64> {
    if text.len() >= 20 && text.as_bytes()[4] == b'-' {
        return rfc_3339_ns(text);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole.parse().ok()?;
    let unit_ns: u64 = match whole {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    whole.checked_mul(unit_ns)?.checked_add(fraction_ns(fraction)? / (1_000_000_000 / unit_ns))
}

/// `2026-11-23T08:00:00.104210Z`
fn rfc_3339_ns(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let sane =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !sane || !(1970..2400).contains(&year) {
        return None;
    }
    // Days since 1970 by Howard Hinnant's algorithm: years begin in March, so that leap days come last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = u64::try_from(days).ok()? * 86_400 + hour * 3_600 + minute * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction_ns(fraction)?)
}

/// Digits behind a decimal point, as billionths.
fn fraction_ns(digits: &str) -> Option<u64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(padded.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// WebSocket frames as a server writes them, one behind the other.
pub(super) struct Frames<R> {
    input: R,
    reader: FrameReader,
    message: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        let reader = FrameReader::new(Role::Client, MAX_MESSAGE_BYTES);
        Self { input, reader, message: Vec::new(), number: 0, bytes: 0 }
    }
}

impl<R: Read> Messages for Frames<R> {
    const FORMAT: ExportFormat = ExportFormat::Frames;

    fn next(&mut self) -> Result<Option<Received<'_>>, CheckError> {
        let number = self.number + 1;
        loop {
            match self.reader.next() {
                Ok(Some(Incoming::Message(payload))) => {
                    self.message.clear();
                    self.message.extend_from_slice(payload);
                    break;
                }
                // Nothing is to be read behind it.
                Ok(Some(Incoming::Close(_))) => return Ok(None),
                Ok(Some(Incoming::Ping(_) | Incoming::Pong(_))) => {}
                Ok(None) => {
                    let spare = self.reader.spare();
                    let read = self.input.read(spare);
                    match read.map_err(|source| CheckError::Io { bytes: self.bytes, source })? {
                        0 if self.reader.buffered() > 0 => {
                            let left = self.reader.buffered();
                            let problem = format!("is cut off: the stream ends after {left} bytes of it");
                            return Err(CheckError::Frame { number, problem });
                        }
                        0 => return Ok(None),
                        count => {
                            self.bytes += count as u64;
                            self.reader.filled(count);
                        }
                    }
                }
                Err(error) => return Err(CheckError::Frame { number, problem: error.to_string() }),
            }
        }
        self.number = number;
        Ok(Some(Received { number, received_unix_ns: None, bytes: &self.message }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T08:00:00.104210Z
    const TIME_NS: u64 = 1_795_420_800_104_210_000;

    fn all(text: &str) -> Vec<(u64, Option<u64>, String)> {
        let mut lines = Lines::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = String::from_utf8(line.bytes.to_vec()).unwrap();
            all.push((line.number, line.received_unix_ns, text));
        }
        all
    }

    #[test]
    fn lines_are_counted_and_empty_ones_skipped() {
        let expected = [(1, None, "{}".into()), (3, None, "[1]".into()), (4, None, "{ }".into())];
        assert_eq!(all("\u{feff}{}\r\n  \n[1]\n{ }"), expected);
    }

    #[test]
    fn a_time_in_front_is_told_from_its_form() {
        for time in [
            "2026-11-23T08:00:00.10421Z",
            "1795420800.104210",
            "1795420800104.21",
            "1795420800104210",
            "1795420800104210000",
        ] {
            let line = format!("{time} {{\"a\":1}}");
            assert_eq!(all(&line), [(1, Some(TIME_NS), "{\"a\":1}".into())], "{time}");
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2024-12-31T00:00:00Z", 1_735_603_200),
        ] {
            assert_eq!(rfc_3339_ns(text), Some(seconds * 1_000_000_000), "{text}");
        }
        for wrong in ["2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T24:00:00Z"] {
            assert_eq!(rfc_3339_ns(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_time_stays_with_the_message() {
        assert_eq!(all("12:34 {}"), [(1, None, "12:34 {}".into())]);
        assert_eq!(all("7"), [(1, None, "7".into())]);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_is_kept() {
        let mut lines = Lines::new(std::io::BufReader::new(std::io::repeat(b'x')));
        let error = lines.next().unwrap_err();
        assert_eq!(error.to_string(), "line 1 is longer than 64 MiB");
    }

    #[test]
    fn frames_are_read_as_a_client_reads_them() {
        use tickstorm_net::frame::{self, Opcode};
        let mut bytes = Vec::new();
        frame::write(&mut bytes, Opcode::Text, b"{\"a\":1}", None);
        frame::write(&mut bytes, Opcode::Ping, b"", None);
        frame::write(&mut bytes, Opcode::Text, b"{}", None);
        let mut frames = Frames::new(&bytes[..]);
        assert_eq!(frames.next().unwrap().unwrap().bytes, b"{\"a\":1}");
        let second = frames.next().unwrap().unwrap();
        assert_eq!((second.number, second.bytes), (2, &b"{}"[..]));
        assert_eq!(frames.next().unwrap(), None);

        let mut cut = Frames::new(&bytes[..bytes.len() - 1]);
        cut.next().unwrap();
        let error = cut.next().unwrap_err().to_string();
        assert!(error.starts_with("frame 2: is cut off"), "{error}");
    }
}
