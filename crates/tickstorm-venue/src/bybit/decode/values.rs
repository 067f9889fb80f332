//! Single values: decimals, times and ids.

use tickstorm_market::instrument::Instrument;

use crate::decoder::DecodeError;
use crate::json::Value;
use crate::text::units_text;

pub(super) fn price(value: Value<'_>, instrument: &Instrument) -> Result<u32, DecodeError> {
    let units = value.units()?;
    whole_ticks(units, instrument).ok_or_else(|| DecodeError::OffTick {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: units_text(units),
        tick: units_text(instrument.tick.into()),
    })
}

pub(super) fn quantity(value: Value<'_>, instrument: &Instrument) -> Result<u64, DecodeError> {
    let units = value.units()?;
    whole_steps(units, instrument.lot).ok_or_else(|| DecodeError::OffLot {
        field: value.name(),
        symbol: instrument.symbol.clone(),
        value: units_text(units),
        lot: units_text(instrument.lot.into()),
    })
}

/// An amount of money that fits 64 bits.
pub(super) fn amount(value: Value<'_>) -> Result<u64, DecodeError> {
    u64::try_from(value.units()?).map_err(|_| value.wrong("an amount below 2^64 of the smallest units"))
}

/// A time in milliseconds as the private topics write it, in quotes.
pub(super) fn text_ms(value: Value<'_>) -> Result<u64, DecodeError> {
    const ALLOWED: &str = "milliseconds in quotes";
    let text = value.string().map_err(|_| value.wrong(ALLOWED))?;
    text.parse().map(from_ms).map_err(|_| value.wrong(ALLOWED))
}

/// The value if it is there and not an empty string.
pub(super) fn told(value: Option<Value<'_>>) -> Option<Value<'_>> {
    value.filter(|value| !matches!(value.string().as_deref(), Ok("")))
}

/// Milliseconds on the wire, beyond the year 2500 as the last instant there is.
#[inline(always)]
pub(super) fn from_ms(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

#[inline(always)]
pub(super) fn whole_ticks(units: impl Into<u128>, instrument: &Instrument) -> Option<u32> {
    u32::try_from(whole_steps(units, instrument.tick)?).ok()
}

#[inline(always)]
pub(super) fn whole_steps(units: impl Into<u128>, step: u64) -> Option<u64> {
    let units = units.into();
    if let Ok(units) = u64::try_from(units) {
        let steps = units.checked_div(step)?;
        return (steps * step == units).then_some(steps);
    }
    let steps = u64::try_from(units.checked_div(step.into())?).ok()?;
    (u128::from(steps) * u128::from(step) == units).then_some(steps)
}

/// A decimal of at most ten digits and eight places, without a sign, in 1e-8 units: what books and trades are
/// made of. `None` of all others.
#[inline]
pub(super) fn whole_units(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let mut value = 0u64;
    let mut places = None;
    for (index, &byte) in bytes.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => value = value.wrapping_mul(10).wrapping_add(digit.into()),
            _ if byte == b'.' && places.is_none() && index > 0 => places = Some(bytes.len() - index - 1),
            _ => return None,
        }
    }
    let digits = bytes.len() - places.map_or(0, |places| places + 1);
    let places = places.map_or(Some(0), |places| (places > 0).then_some(places))?;
    let scale = POWERS_OF_TEN.get(8usize.checked_sub(places)?)?;
    // Eighteen digits stay below 2^63.
    (1..=10).contains(&digits).then(|| value * scale)
}

/// The number that an id is; of any other text a hash, the same wherever it appears.
#[inline]
pub(super) fn id_number(text: &str) -> u64 {
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if decimal => number,
        _ => text.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)),
    }
}

const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// FNV-1a of 64 bits.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::parse_units;

    #[test]
    fn numbers_are_themselves_and_other_ids_are_hashes() {
        assert_eq!(id_number("0"), 0);
        assert_eq!(id_number("18446744073709551615"), u64::MAX);
        // The published value of the hash.
        assert_eq!(id_number("a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(id_number("18446744073709551616"), id_number("18446744073709551617"));
        assert_ne!(id_number("+1"), 1);
    }

    proptest! {
        #[test]
        fn the_quick_way_reads_a_decimal_as_the_careful_way_does(text in "[0-9]{0,11}(\\.[0-9]{0,9})?|[0-9.x-]{0,6}") {
            if let Some(units) = whole_units(&text) {
                prop_assert_eq!(parse_units(&text), Some(units.into()));
            }
        }

        #[test]
        fn decimals_of_usual_length_are_read_the_quick_way(units in 0..1_000_000_000_000_000_000u64) {
            prop_assert_eq!(whole_units(&units_text(units.into())), Some(units));
        }
    }
}
