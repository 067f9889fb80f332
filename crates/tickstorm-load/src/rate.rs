//! Rates and factors, exact: what a user writes is kept as a ratio of whole numbers, so that counts derived from it
//! are exact too.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::decimal::{Decimal, DecimalError, parse_decimal};
use crate::duration::{DurationError, format_duration, parse_duration, unit_ns};

/// A number of messages per duration, above zero and at most 10^9 per second.
///
/// Reads `100`, `5k`, `2M`, `0.5`, `2.5k/s`, `30/m`, `100/100ms`; without a duration it is per second. A configured
/// rate is the total, however many workers and connections share it.
///
/// ```
/// use tickstorm_load::Rate;
///
/// let rate: Rate = "2.5k/s".parse()?;
/// assert_eq!(rate, Rate::per_second(2500)?);
/// assert_eq!(rate.to_string(), "2500/s");
/// # Ok::<(), tickstorm_load::RateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u64,
    per_ns: u64,
}

impl Rate {
    /// `count` messages every `per`.
    pub fn new(count: u64, per: Duration) -> Result<Rate, RateError> {
        Self::from_ratio(count.into(), per.as_nanos())
    }

    /// `count` messages a second.
    pub fn per_second(count: u64) -> Result<Rate, RateError> {
        Self::from_ratio(count.into(), NS_PER_SECOND)
    }

    /// The rate nearest to `per_second` that has at most six decimals.
    pub fn from_per_second_f64(per_second: f64) -> Result<Rate, RateError> {
        let given = || format!("{per_second}/s");
        if !per_second.is_finite() {
            return Err(RateError::Malformed { given: given() });
        }
        if per_second <= 0.0 {
            return Err(RateError::NotAboveZero { given: given() });
        }
        if per_second > MAX_PER_SECOND as f64 {
            return Err(RateError::TooHigh { given: given() });
        }
        let millionths = libm::round(per_second * 1e6) as u128;
        if millionths == 0 {
            return Err(RateError::TooPrecise { given: given() });
        }
        Self::from_ratio(millionths, NS_PER_SECOND * MILLION)
    }

    /// The rate in messages per second, for display and for sizing.
    pub fn as_per_second(self) -> f64 {
        self.count as f64 * NS_PER_SECOND as f64 / self.per_ns as f64
    }

    /// The count of the reduced ratio; see [`Rate::per_ns`].
    pub fn count(self) -> u64 {
        self.count
    }

    /// The duration of the reduced ratio: `5k/s` is 1 per 200 000 ns.
    pub fn per_ns(self) -> u64 {
        self.per_ns
    }

    /// This rate times `factor`, exactly, or an error where the product is no rate.
    pub fn scaled(self, factor: Factor) -> Result<Rate, RateError> {
        let count = u128::from(self.count) * u128::from(factor.millionths());
        Self::from_ratio(count, u128::from(self.per_ns) * MILLION)
    }

    fn from_ratio(count: u128, per_ns: u128) -> Result<Rate, RateError> {
        let given = || RatioText { count, per_ns }.to_string();
        if count == 0 {
            return Err(RateError::NotAboveZero { given: given() });
        }
        // At most one message a nanosecond is the same as at most 10^9 a second.
        if count > per_ns {
            return Err(RateError::TooHigh { given: given() });
        }
        let divisor = gcd(count, per_ns);
        match (u64::try_from(count / divisor), u64::try_from(per_ns / divisor)) {
            (Ok(count), Ok(per_ns)) => Ok(Rate { count, per_ns }),
            _ => Err(RateError::TooPrecise { given: given() }),
        }
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |count: u64, per_ns: u64| u128::from(count) * u128::from(per_ns);
        cross(self.count, other.per_ns).cmp(&cross(other.count, self.per_ns))
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let text = text.trim();
        let given = || text.to_owned();
        let (number, per) = text.split_once('/').unwrap_or((text, "s"));
        let (number, per) = (number.trim(), per.trim());
        let (digits, scale) = match number.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&number[..at], 1_000),
            Some((at, 'M')) => (&number[..at], 1_000_000),
            Some((at, 'G')) => (&number[..at], 1_000_000_000),
            _ => (number, 1),
        };
        let millionths = parse_decimal(digits, 6).map_err(|reason| match reason {
            DecimalError::NotANumber => RateError::Malformed { given: given() },
            DecimalError::Negative => RateError::NotAboveZero { given: given() },
            DecimalError::TooPrecise => RateError::TooPrecise { given: given() },
            DecimalError::TooLarge => RateError::TooHigh { given: given() },
        })?;
        let per_ns = match unit_ns(per) {
            Some(unit_ns) => unit_ns,
            None => {
                let bare_number = per.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let per = if bare_number { Err(None) } else { parse_duration(per).map_err(Some) };
                per.map_err(|source| RateError::Per { given: given(), source })?.as_nanos() as u64
            }
        };
        let Some(count) = millionths.checked_mul(scale) else {
            return Err(RateError::TooHigh { given: given() });
        };
        // The error speaks of what the user wrote, not of the ratio that it came to.
        Self::from_ratio(count, u128::from(per_ns) * MILLION).map_err(|error| match error {
            RateError::NotAboveZero { .. } => RateError::NotAboveZero { given: given() },
            RateError::TooHigh { .. } => RateError::TooHigh { given: given() },
            RateError::TooPrecise { .. } => RateError::TooPrecise { given: given() },
            other => other,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RatioText { count: self.count.into(), per_ns: self.per_ns.into() }.fmt(f)
    }
}

/// Why something is not a [`Rate`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RateError {
    /// The text or number is not a rate at all.
    #[error(
        "a rate is a number, perhaps with k, M or G and a duration, such as 100, 5k, 2k/s or 30/m, got {given:?}"
    )]
    Malformed {
        /// What was given.
        given: String,
    },
    /// Zero or negative.
    #[error("rate must be above zero, got {given}")]
    NotAboveZero {
        /// What was given.
        given: String,
    },
    /// Above one message a nanosecond.
    #[error("rate must be at most 1G/s, got {given}")]
    TooHigh {
        /// What was given.
        given: String,
    },
    /// More decimals than are kept.
    #[error("rate must have at most six decimals, got {given}")]
    TooPrecise {
        /// What was given.
        given: String,
    },
    /// The part behind the slash is not a duration.
    #[error("behind the slash of a rate stands a duration such as s, m or 100ms, got {given:?}")]
    Per {
        /// What was given.
        given: String,
        /// What is wrong with the duration; none where it lacks its unit.
        source: Option<DurationError>,
    },
}

/// A number of at most six decimals from 0 to 1 000 000 by which a rate is multiplied. Reads `10`, `10x`, `0.5x`.
///
/// Zero is a factor (a ramp starts there) but no multiplier; [`Factor::is_zero`] tells.
///
/// ```
/// use tickstorm_load::Factor;
///
/// assert_eq!("0.5x".parse::<Factor>()?.millionths(), 500_000);
/// assert_eq!(Factor::try_from(2.5)?.to_string(), "2.5x");
/// # Ok::<(), tickstorm_load::FactorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Factor(u64);

impl Factor {
    /// Nothing at all.
    pub const ZERO: Factor = Factor(0);
    /// No change.
    pub const ONE: Factor = Factor(1_000_000);
    /// The largest factor, 1 000 000.
    pub const MAX: Factor = Factor(1_000_000_000_000);

    /// The factor of that many millionths, or none above [`Factor::MAX`].
    pub const fn from_millionths(millionths: u64) -> Option<Factor> {
        if millionths <= Self::MAX.0 { Some(Factor(millionths)) } else { None }
    }

    /// The factor in millionths, exactly.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The factor as a number, for display and for sizing.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Whether this is zero, which a multiplier must not be.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<f64> for Factor {
    type Error = FactorError;

    /// The nearest factor of at most six decimals.
    fn try_from(value: f64) -> Result<Self, FactorError> {
        let given = || value.to_string();
        if !value.is_finite() {
            return Err(FactorError::Malformed { given: given() });
        }
        if value < 0.0 {
            return Err(FactorError::Negative { given: given() });
        }
        if value > Factor::MAX.as_f64() {
            return Err(FactorError::TooLarge { given: given() });
        }
        let millionths = libm::round(value * 1e6) as u64;
        if millionths == 0 && value > 0.0 {
            return Err(FactorError::TooPrecise { given: given() });
        }
        Ok(Factor(millionths))
    }
}

impl FromStr for Factor {
    type Err = FactorError;

    fn from_str(text: &str) -> Result<Self, FactorError> {
        let text = text.trim();
        let given = || text.to_owned();
        let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
        let millionths = parse_decimal(number.trim_end(), 6).map_err(|reason| match reason {
            DecimalError::NotANumber => FactorError::Malformed { given: given() },
            DecimalError::Negative => FactorError::Negative { given: given() },
            DecimalError::TooPrecise => FactorError::TooPrecise { given: given() },
            DecimalError::TooLarge => FactorError::TooLarge { given: given() },
        })?;
        let factor = u64::try_from(millionths).ok().and_then(Factor::from_millionths);
        factor.ok_or_else(|| FactorError::TooLarge { given: given() })
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", Decimal { value: self.0.into(), places: 6 })
    }
}

/// Why something is not a [`Factor`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FactorError {
    /// The text or number is not a factor at all.
    #[error("a factor is a number such as 10, 10x or 0.5x, got {given:?}")]
    Malformed {
        /// What was given.
        given: String,
    },
    /// Below zero.
    #[error("factor must not be negative, got {given}")]
    Negative {
        /// What was given.
        given: String,
    },
    /// Above a million.
    #[error("factor must be at most 1000000x, got {given}")]
    TooLarge {
        /// What was given.
        given: String,
    },
    /// More decimals than are kept.
    #[error("factor must have at most six decimals, got {given}")]
    TooPrecise {
        /// What was given.
        given: String,
    },
}

pub(crate) fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A ratio as text: per second, minute or hour where that is a number of at most six decimals, else as it stands.
struct RatioText {
    count: u128,
    per_ns: u128,
}

impl fmt::Display for RatioText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, unit_ns) in [("s", NS_PER_SECOND), ("m", 60 * NS_PER_SECOND), ("h", 3600 * NS_PER_SECOND)]
        {
            let Some(scaled) = self.count.checked_mul(unit_ns * MILLION) else { break };
            if self.per_ns == 0 || scaled % self.per_ns != 0 {
                continue;
            }
            let millionths = scaled / self.per_ns;
            let (value, suffix) = match millionths {
                0 => (0, ""),
                m if m % (MILLION * MILLION) == 0 => (m / MILLION, "M"),
                m if m % (MILLION * 1000) == 0 => (m / 1000, "k"),
                m => (m, ""),
            };
            return write!(f, "{}{suffix}/{unit}", Decimal { value, places: 6 });
        }
        match u64::try_from(self.per_ns) {
            Ok(per_ns) => write!(f, "{}/{}", self.count, format_duration(Duration::from_nanos(per_ns))),
            Err(_) => write!(f, "{}/{}ns", self.count, self.per_ns),
        }
    }
}

const NS_PER_SECOND: u128 = 1_000_000_000;
const MILLION: u128 = 1_000_000;
/// One message a nanosecond, the finest step of the clock.
const MAX_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_read_exactly() {
        let cases = [
            ("100", 100, 1_000_000_000),
            ("5k", 5_000, 1_000_000_000),
            ("2M", 2_000_000, 1_000_000_000),
            ("1G/s", 1, 1),
            ("2k/s", 2_000, 1_000_000_000),
            ("0.5", 1, 2_000_000_000),
            ("2.5k/s", 2_500, 1_000_000_000),
            ("30/m", 1, 2_000_000_000),
            ("100/100ms", 1_000, 1_000_000_000),
            ("1/3s", 1, 3_000_000_000),
            (" 7 / h ", 7, 3_600_000_000_000),
        ];
        for (text, count, per_ns) in cases {
            assert_eq!(rate(text), Rate::new(count, Duration::from_nanos(per_ns)).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_written_rate_reads_back() {
        let cases = [
            ("100", "100/s"),
            ("5000", "5k/s"),
            ("2500", "2500/s"),
            ("2M", "2M/s"),
            ("0.5", "0.5/s"),
            ("30/m", "0.5/s"),
            ("20/m", "20/m"),
            ("1/3s", "20/m"),
            ("1/7s", "1/7s"),
            ("1G", "1000M/s"),
        ];
        for (given, written) in cases {
            assert_eq!(rate(given).to_string(), written);
            assert_eq!(rate(written), rate(given));
        }
    }

    #[test]
    fn a_wrong_rate_is_named_together_with_what_is_allowed() {
        let cases = [
            ("0", "rate must be above zero, got 0"),
            ("0/s", "rate must be above zero, got 0/s"),
            ("-5", "rate must be above zero, got -5"),
            ("2G", "rate must be at most 1G/s, got 2G"),
            ("5/0s", "rate must be at most 1G/s, got 5/0s"),
            (
                "99999999999999999999999999999999",
                "rate must be at most 1G/s, got 99999999999999999999999999999999",
            ),
            ("0.0000001", "rate must have at most six decimals, got 0.0000001"),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Rate>().unwrap_err().to_string(), message);
        }
        for text in ["", "k", "fast", "NaN", "inf", "1e3", "2m"] {
            assert_eq!(
                text.parse::<Rate>(),
                Err(RateError::Malformed { given: text.to_owned() }),
                "{text:?}"
            );
        }
        for text in ["5/", "5/5", "5/parsec"] {
            assert!(matches!(text.parse::<Rate>(), Err(RateError::Per { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_rate_from_a_float_keeps_six_decimals() {
        assert_eq!(Rate::from_per_second_f64(0.1), Ok(rate("0.1")));
        assert_eq!(Rate::from_per_second_f64(1000.0 / 3.0), Ok(rate("333.333333")));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(Rate::from_per_second_f64(value), Err(RateError::Malformed { .. })));
        }
        for value in [0.0, -0.0, -1.0] {
            assert!(matches!(Rate::from_per_second_f64(value), Err(RateError::NotAboveZero { .. })));
        }
        assert!(matches!(Rate::from_per_second_f64(1e300), Err(RateError::TooHigh { .. })));
        assert!(matches!(Rate::from_per_second_f64(1e-9), Err(RateError::TooPrecise { .. })));
    }

    #[test]
    fn scaling_is_exact_and_stays_a_rate() {
        let factor = |text: &str| text.parse::<Factor>().unwrap();
        assert_eq!(rate("100").scaled(factor("10x")), Ok(rate("1k")));
        assert_eq!(rate("100").scaled(factor("0.005")), Ok(rate("0.5")));
        assert!(matches!(rate("100").scaled(Factor::ZERO), Err(RateError::NotAboveZero { .. })));
        assert!(matches!(rate("1M").scaled(factor("1001")), Err(RateError::TooHigh { .. })));
    }

    #[test]
    fn factors_are_read_and_written_exactly() {
        for (text, millionths, written) in [
            ("10", 10_000_000, "10x"),
            ("0.5X", 500_000, "0.5x"),
            ("0", 0, "0x"),
            (" 1.25 x", 1_250_000, "1.25x"),
        ] {
            let factor: Factor = text.parse().unwrap();
            assert_eq!(factor.millionths(), millionths);
            assert_eq!(factor.to_string(), written);
        }
    }

    #[test]
    fn a_wrong_factor_is_named_together_with_what_is_allowed() {
        let cases = [
            ("-1x", "factor must not be negative, got -1x"),
            ("1000001", "factor must be at most 1000000x, got 1000001"),
            ("0.0000001", "factor must have at most six decimals, got 0.0000001"),
            ("fast", "a factor is a number such as 10, 10x or 0.5x, got \"fast\""),
            ("x", "a factor is a number such as 10, 10x or 0.5x, got \"x\""),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Factor>().unwrap_err().to_string(), message);
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(Factor::try_from(value), Err(FactorError::Malformed { .. })));
        }
        assert!(matches!(Factor::try_from(-0.5), Err(FactorError::Negative { .. })));
        assert!(matches!(Factor::try_from(1e7), Err(FactorError::TooLarge { .. })));
        assert!(matches!(Factor::try_from(1e-8), Err(FactorError::TooPrecise { .. })));
        assert_eq!(Factor::try_from(0.1), Ok("0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn every_rate_reads_back_from_its_text(count in 1u64..1 << 40, per_ns in 1u64..1 << 50) {
            prop_assume!(count <= per_ns);
            let rate = Rate::new(count, Duration::from_nanos(per_ns)).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn reading_arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Rate>();
            let _ = text.parse::<Factor>();
            let _ = parse_duration(&text);
        }
    }
}
