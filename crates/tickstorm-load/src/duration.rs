//! Durations as users write them.

use std::time::Duration;

use thiserror::Error;

use crate::decimal::parse_decimal;

/// Reads `60` (seconds), `30s`, `1.5s`, `200ms`, `100us`, `5m`, `2h`, `1d`. Exact to the nanosecond.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(tickstorm_load::parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
/// assert!(tickstorm_load::parse_duration("-3s").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let fail = || DurationError { text: text.to_owned() };
    let trimmed = text.trim();
    let end_of_number = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end_of_number);
    let unit_ns = match unit.trim_start() {
        "" => unit_ns("s"),
        unit => unit_ns(unit),
    };
    let unit_ns = unit_ns.ok_or_else(fail)?;
    let billionths =
        parse_decimal(number, 9).map_err(|_| fail())?.checked_mul(unit_ns.into()).ok_or_else(fail)?;
    if billionths % 1_000_000_000 != 0 || billionths / 1_000_000_000 > u128::from(MAX_NS) {
        return Err(fail());
    }
    Ok(Duration::from_nanos((billionths / 1_000_000_000) as u64))
}

/// Writes a duration so that [`parse_duration`] reads it back: the largest unit that leaves a whole number.
pub fn format_duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    if ns == 0 {
        return "0s".to_owned();
    }
    let (unit, unit_ns) = UNITS
        .iter()
        .find(|(_, unit_ns)| ns.is_multiple_of(u128::from(*unit_ns)))
        .expect("every duration is a whole number of nanoseconds");
    format!("{}{unit}", ns / u128::from(*unit_ns))
}

/// A duration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "cannot read duration `{text}`: expected a number of seconds or a number with ns, us, ms, s, m, h or d, as in 60, \
     30s, 1.5s, 200ms, 5m, up to 30d"
)]
pub struct DurationError {
    /// What was given.
    pub text: String,
}

/// The nanoseconds of the unit with this name.
pub(crate) fn unit_ns(name: &str) -> Option<u64> {
    let name = match name {
        "sec" => "s",
        "min" => "m",
        "µs" => "us",
        name => name,
    };
    UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, unit_ns)| *unit_ns)
}

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Nothing that tickstorm does lasts longer.
const MAX_NS: u64 = 30 * 86_400_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        let cases = [
            ("60", 60_000_000_000),
            ("0.25", 250_000_000),
            ("30s", 30_000_000_000),
            ("1.5s", 1_500_000_000),
            ("100ms", 100_000_000),
            ("100us", 100_000),
            ("100µs", 100_000),
            ("5m", 300_000_000_000),
            (" 2 min ", 120_000_000_000),
            ("2d", 172_800_000_000_000),
            ("7ns", 7),
            ("62.5ms", 62_500_000),
            ("30d", MAX_NS),
        ];
        for (text, ns) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_and_named() {
        for text in
            ["", "s", "1x", "1h30", "-5s", "1e3s", "0.5ns", "1 2", "30.5d", "NaN", "99999999999999999999999d"]
        {
            assert_eq!(parse_duration(text), Err(DurationError { text: text.to_owned() }), "{text:?}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for (ns, text) in
            [(0, "0s"), (90_000_000_000, "90s"), (7_200_000_000_000, "2h"), (1_500_000, "1500us")]
        {
            let duration = Duration::from_nanos(ns);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text), Ok(duration));
        }
    }
}
