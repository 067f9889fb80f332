//! Figures for people: units chosen for the size of the value, three significant digits, thousands separated.
//!
//! Everything that draws figures on a terminal uses these, so that the live view and the summary read alike.

use crate::model::Unit;

/// A time in milliseconds as `450 ns`, `45.1 us`, `1.23 ms`, `2.10 s`.
///
/// ```
/// assert_eq!(tickstorm_report::format::duration_ms(1.2345), "1.23 ms");
/// ```
pub fn duration_ms(value_ms: f64) -> String {
    let (number, unit) = duration_parts(value_ms);
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// The number and the unit of [`duration_ms`], for columns that align both.
pub(crate) fn duration_parts(value_ms: f64) -> (String, &'static str) {
    let value_ns = value_ms * 1e6;
    if !value_ns.is_finite() {
        return ("?".to_owned(), "");
    }
    let size = value_ns.abs();
    // The bounds are where three digits would round up into the next unit: 999.5 us is 1.00 ms.
    if size < 0.5 {
        ("0".to_owned(), "")
    } else if size < 999.5 {
        (format!("{value_ns:.0}"), "ns")
    } else if size < 999.5e3 {
        (three_digits(value_ns / 1e3), "us")
    } else if size < 999.5e6 {
        (three_digits(value_ns / 1e6), "ms")
    } else {
        (three_digits(value_ns / 1e9), "s")
    }
}

/// A length of time that somebody set, exact and without empty digits: `60 s`, `12.5 s`, `5 min`, `1 h 30 min`.
pub fn seconds(value_s: f64) -> String {
    if !value_s.is_finite() {
        return "?".to_owned();
    }
    let whole = value_s.round();
    if !(120.0..1e15).contains(&whole) {
        return format!("{} s", trimmed(format!("{value_s:.3}")));
    }
    let whole = whole as u64;
    let parts = [(whole / 3600, "h"), (whole / 60 % 60, "min"), (whole % 60, "s")];
    let text: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{} {unit}", count(*n))).collect();
    text.join(" ")
}

/// Messages per second as `0.25/s`, `12.5/s`, `1,250/s`.
///
/// ```
/// assert_eq!(tickstorm_report::format::rate(1250.0), "1,250/s");
/// ```
pub fn rate(per_second: f64) -> String {
    format!("{}/s", number(per_second))
}

/// A number with its thousands separated, with decimals only where it is below a hundred: `1,250`, `12.5`, `0.25`.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "?".to_owned(),
        size if size < 99.95 => trimmed(three_digits(value)),
        size if size < 1e15 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", count(size.round() as u64))
        }
        _ => format!("{value:.2e}"),
    }
}

/// A count as `1,234,567`.
///
/// ```
/// assert_eq!(tickstorm_report::format::count(1_234_567), "1,234,567");
/// ```
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size as `512 B`, `41.2 kB`, `1.50 GB`, in powers of a thousand.
///
/// ```
/// assert_eq!(tickstorm_report::format::bytes(41_200_000), "41.2 MB");
/// ```
pub fn bytes(value: u64) -> String {
    if value < 1000 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1e3;
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while scaled >= 999.5 {
        scaled /= 1e3;
        unit = units.next().unwrap_or(unit);
    }
    format!("{} {unit}", three_digits(scaled))
}

/// Millions of bytes, as [`bytes`].
pub fn megabytes(value_mb: f64) -> String {
    bytes((value_mb * 1e6).round() as u64)
}

/// A share of one as `0.12 %`, `97.6 %`. Only nothing reads `0 %` and only all reads `100 %`.
///
/// ```
/// use tickstorm_report::format::percent;
/// assert_eq!(percent(0.0012), "0.12 %");
/// assert_eq!(percent(0.999_999_9), ">99.999 %");
/// ```
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let rest = 100.0 - value;
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value == 0.0 || rest == 0.0 {
        return format!("{value:.0} %");
    }
    if (0.0..0.001).contains(&value) {
        return "<0.001 %".to_owned();
    }
    if (0.0..0.001).contains(&rest) {
        return ">99.999 %".to_owned();
    }
    let nearest_end = value.abs().min(rest.abs());
    let decimals = match nearest_end {
        end if end < 0.0995 => 3,
        end if end < 9.995 => 2,
        _ => 1,
    };
    format!("{} %", trimmed(format!("{value:.decimals$}")))
}

/// A value in its unit.
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => number(value),
        Unit::Ratio => percent(value),
        Unit::Milliseconds => duration_ms(value),
        Unit::Seconds => duration_ms(value * 1e3),
        Unit::PerSecond => rate(value),
        Unit::Megabytes => megabytes(value),
    }
}

/// Three significant digits for sizes below a thousand, all whole digits above.
fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        size if size < 999.5 => format!("{value:.0}"),
        _ => number(value),
    }
}

/// Without zeros at the end of the decimals.
fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_choose_their_unit_and_never_show_a_thousand_of_it() {
        let cases = [
            (0.0, "0"),
            (0.000_001, "1 ns"),
            (0.000_999_4, "999 ns"),
            (0.000_999_6, "1.00 us"),
            (0.045_12, "45.1 us"),
            (0.999_4, "999 us"),
            (0.999_6, "1.00 ms"),
            (1.234_5, "1.23 ms"),
            (99.96, "100 ms"),
            (999.6, "1.00 s"),
            (2_100.0, "2.10 s"),
            (3_600_000.0, "3,600 s"),
            (f64::NAN, "?"),
        ];
        for (value_ms, text) in cases {
            assert_eq!(duration_ms(value_ms), text, "{value_ms} ms");
        }
    }

    #[test]
    fn set_times_read_as_they_are_said() {
        let cases = [
            (0.0, "0 s"),
            (0.1, "0.1 s"),
            (60.0, "60 s"),
            (119.6, "2 min"),
            (300.0, "5 min"),
            (5_400.0, "1 h 30 min"),
            (3_601.0, "1 h 1 s"),
        ];
        for (value_s, text) in cases {
            assert_eq!(seconds(value_s), text, "{value_s} s");
        }
    }

    #[test]
    fn rates_and_numbers_keep_what_matters_at_their_size() {
        let cases = [
            (0.0, "0"),
            (0.25, "0.25"),
            (1.0, "1"),
            (12.5, "12.5"),
            (99.96, "100"),
            (998.4, "998"),
            (1_250.0, "1,250"),
            (5_012_345.4, "5,012,345"),
            (-1_250.0, "-1,250"),
            (f64::INFINITY, "?"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value}");
        }
        assert_eq!(rate(0.25), "0.25/s");
    }

    #[test]
    fn only_nothing_is_0_percent_and_only_all_is_100() {
        let cases = [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.000_000_1, "<0.001 %"),
            (0.999_999_9, ">99.999 %"),
            (0.000_012, "0.001 %"),
            (0.001, "0.1 %"),
            (0.0012, "0.12 %"),
            (0.5, "50 %"),
            (0.976_4, "97.64 %"),
            (0.998_7, "99.87 %"),
            (1.5, "150 %"),
        ];
        for (share, text) in cases {
            assert_eq!(percent(share), text, "{share}");
        }
    }

    #[test]
    fn sizes_are_in_powers_of_a_thousand() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (41_200_000, "41.2 MB"),
            (999_600_000, "1.00 GB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value), text);
        }
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_to_within_half_a_percent(value_ns in 1_u64..100_000_000_000_000) {
            let (number, unit) = duration_parts(value_ns as f64 / 1e6);
            let scale = match unit { "ns" => 1.0, "us" => 1e3, "ms" => 1e6, _ => 1e9 };
            let read_ns = number.replace(',', "").parse::<f64>().unwrap() * scale;
            prop_assert!((read_ns / value_ns as f64 - 1.0).abs() <= 0.005_01, "{value_ns} ns as {number} {unit}");
        }

        #[test]
        fn a_count_reads_back_exactly(value: u64) {
            prop_assert_eq!(count(value).replace(',', "").parse::<u64>().unwrap(), value);
        }

        #[test]
        fn any_float_has_a_text(bits: u64) {
            let value = f64::from_bits(bits);
            for text in [duration_ms(value), seconds(value), number(value), percent(value)] {
                prop_assert!(text == "?" || text.contains(|c: char| c.is_ascii_digit()), "`{text}`");
                // Near the end of the range a change of unit overflows.
                prop_assert!(text != "?" || value.is_nan() || value.abs() > 1e300, "{value} as `{text}`");
            }
        }
    }
}
