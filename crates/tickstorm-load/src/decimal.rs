//! Exact decimal text: what users write as `0.5` or `2.25` is kept as whole units of the last place, never as a
//! binary fraction.

use std::fmt;

/// Why a text is not a decimal number of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalError {
    NotANumber,
    Negative,
    TooPrecise,
    TooLarge,
}

/// Reads `text` as a number of units of 10^-`places`. Zeros after the last allowed place are harmless.
pub(crate) fn parse_decimal(text: &str, places: usize) -> Result<u128, DecimalError> {
    if let Some(positive) = text.strip_prefix('-') {
        return parse_decimal(positive, places).and(Err(DecimalError::Negative));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalError::NotANumber);
    }
    if whole.is_empty() && !text.starts_with('.') {
        return Err(DecimalError::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(DecimalError::TooPrecise);
    }
    let whole = whole.trim_start_matches('0');
    // Thirty digits are beyond every bound that is checked later, and fit a u128.
    if whole.len() + places > 30 {
        return Err(DecimalError::TooLarge);
    }
    let padding = std::iter::repeat_n(b'0', places - fraction.len());
    let digits = whole.bytes().chain(fraction.bytes()).chain(padding);
    Ok(digits.fold(0, |value, digit| value * 10 + u128::from(digit - b'0')))
}

/// Writes `value` units of 10^-`places` without superfluous zeros.
pub(crate) struct Decimal {
    pub(crate) value: u128,
    pub(crate) places: u32,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u128.pow(self.places);
        write!(f, "{}", self.value / unit)?;
        let fraction = self.value % unit;
        if fraction != 0 {
            let digits = format!("{fraction:0width$}", width = self.places as usize);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        let cases =
            [("0", 0), ("10", 10_000_000), ("0.5", 500_000), (".5", 500_000), ("1.0000010000", 1_000_001)];
        for (text, millionths) in cases {
            assert_eq!(parse_decimal(text, 6), Ok(millionths), "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused_with_the_reason() {
        use DecimalError::*;
        let cases = [
            ("", NotANumber),
            (".", NotANumber),
            ("5.", NotANumber),
            ("1e6", NotANumber),
            ("NaN", NotANumber),
            ("+1", NotANumber),
            ("--1", Negative),
            ("-1", Negative),
            ("0.0000001", TooPrecise),
            ("9999999999999999999999999999", TooLarge),
        ];
        for (text, reason) in cases {
            assert_eq!(parse_decimal(text, 6), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn decimals_are_written_without_superfluous_zeros() {
        for (value, text) in [(0, "0"), (10_000_000, "10"), (500_000, "0.5"), (1_000_001, "1.000001")] {
            assert_eq!(Decimal { value, places: 6 }.to_string(), text);
        }
    }
}
