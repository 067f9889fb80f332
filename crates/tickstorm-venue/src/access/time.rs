//! Times in headers.

/// Unix milliseconds of a time as `2026-11-23T08:00:00.123Z`, or of seconds as `1795420800.123`.
pub(super) fn read(text: &str) -> Option<u64> {
    let Some((date, clock)) = text.strip_suffix('Z').and_then(|text| text.split_once('T')) else {
        return crate::text::parse_short_units(text).map(|units| units / UNITS_PER_MS);
    };
    let [year, month, day] = parts(date, '-')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = parts(clock, ':')?;
    let millis = crate::text::parse_short_units(&format!("0.{fraction}"))? / UNITS_PER_MS;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !in_range || !(1970..10_000).contains(&year) {
        return None;
    }
    // Years begin in March, so that the leap day is their last.
    let years = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * years + years / 4 - years / 100 + years / 400 + day_of_year;
    let days = days.checked_sub(DAYS_TO_1970)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis)
}

fn parts(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// 1e-8 are one second.
const UNITS_PER_MS: u64 = 100_000;

/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-23T08:00:00.123Z", 1_795_420_800_123),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2000-03-01T00:00:00.5Z", 951_868_800_500),
            ("1795420800.123", 1_795_420_800_123),
            ("1795420800", 1_795_420_800_000),
        ] {
            assert_eq!(read(text), Some(ms), "{text}");
        }
        for text in ["", "Z", "2026-13-01T00:00:00Z", "2026-11-23T08:00Z", "2026-11-23 08:00:00Z", "x.5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
