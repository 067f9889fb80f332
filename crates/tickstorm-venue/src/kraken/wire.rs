//! Cutting Kraken's JSON into fields, without a copy of anything.

use std::borrow::Cow;

use serde::de::Deserialize;
use serde_json::value::RawValue;

use crate::decoder::DecodeError;
use crate::json::{Value, malformed};
use crate::text::parse_units;

/// A struct of an object's fields that stay text until they are asked for. Absent fields and nulls are none, foreign
/// fields are skipped, of fields with the same name the last counts. (Derived readers would take arrays for
/// objects.)
macro_rules! fields {
    ($visibility:vis $name:ident { $($field:ident $(= $wire:literal)?),+ $(,)? }) => {
        #[derive(Default)]
        $visibility struct $name<'a> {
            $(pub(super) $field: Option<&'a serde_json::value::RawValue>,)+
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    #[inline]
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut fields = $name::default();
                        while let Some($crate::kraken::wire::Name(name)) = map.next_key()? {
                            match &*name {
                                $($crate::kraken::wire::name!($field $($wire)?) => fields.$field = map.next_value()?,)+
                                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                            }
                        }
                        Ok(fields)
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }
    };
}
pub(super) use fields;

/// What a field is called on the wire.
macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $wire:literal) => {
        $wire
    };
}
pub(super) use name;

/// The name of a field, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

fields!(pub(super) Frame { channel, form = "type", data, sequence, method, error });

/// A message that is read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) message: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let message = std::str::from_utf8(bytes)
            .map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })?;
        Ok(Self { message })
    }

    /// The whole message.
    pub(super) fn message<T: Deserialize<'a>>(&self) -> Result<T, DecodeError> {
        serde_json::from_str(self.message).map_err(|error| malformed(self.message, 0, &error))
    }

    /// The value of a field that `event` always has.
    pub(super) fn need(
        &self,
        event: &'static str,
        field: &'static str,
        raw: Option<&'a RawValue>,
    ) -> Result<Value<'a>, DecodeError> {
        self.find(field, raw).ok_or(DecodeError::MissingField { event, field })
    }

    /// The value of a field that may be absent.
    pub(super) fn find(&self, field: &'static str, raw: Option<&'a RawValue>) -> Option<Value<'a>> {
        raw.map(|raw| Value::new(self.message, field, raw))
    }
}

/// A number in 1e-8 units. Of its text, so that no digit is lost.
#[inline]
pub(super) fn units(value: Value<'_>) -> Result<i128, DecodeError> {
    let text = value.raw();
    match short_units(text.as_bytes()) {
        Some(units) => Ok(units.into()),
        None => any_units(text).ok_or_else(|| value.wrong("a number with at most eight decimals")),
    }
}

/// A number as the venue writes it: digits, perhaps a point and up to eight decimals, no sign.
#[inline]
fn short_units(text: &[u8]) -> Option<u64> {
    // Eighteen digits and the zeros behind them stay below 2^63.
    if text.len() > 19 {
        return None;
    }
    let (mut value, mut places) = (0u64, None);
    for &byte in text {
        match (byte, places) {
            (b'0'..=b'9', _) => {
                value = 10 * value + u64::from(byte - b'0');
                places = places.map(|places: usize| places + 1);
            }
            (b'.', None) => places = Some(0),
            _ => return None,
        }
    }
    let missing = 8usize.checked_sub(places.unwrap_or(0))?;
    value.checked_mul(POWERS_OF_TEN[missing])
}

/// The same with a sign, an exponent, or many digits.
#[cold]
fn any_units(text: &str) -> Option<i128> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    if exponent == 0 {
        return parse_units(mantissa);
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Far more than any figure here has, either way.
    if exponent.abs() > 40 || whole.len() + fraction.len() > 40 {
        return None;
    }
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
    let moved = exponent.unsigned_abs() as usize;
    let zeros = "0".repeat(moved);
    let digits = [&zeros, whole, fraction, &zeros].concat();
    let before = zeros.len() + whole.len();
    let point = if exponent > 0 { before + moved } else { before - moved };
    let (whole, fraction) = digits.split_at(point);
    let whole = whole.trim_start_matches('0');
    parse_units(&[sign, if whole.is_empty() { "0" } else { whole }, ".", fraction, "0"].concat())
}

const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i128> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        units(Value::new(text, "qty", raw)).ok()
    }

    #[test]
    fn numbers_are_read_in_every_form_that_json_has() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0.00000000", Some(0)),
            ("67012.5", Some(6_701_250_000_000)),
            ("-67012.5", Some(-6_701_250_000_000)),
            ("1e-8", Some(1)),
            ("1.5E+3", Some(150_000_000_000)),
            ("-12.5e-1", Some(-125_000_000)),
            ("0.000000010", Some(1)),
            ("0.000000001", None),
            ("1e-9", None),
            ("1e999999999999", None),
            ("1e300", None),
            ("123456789012345678", Some(12_345_678_901_234_567_800_000_000)),
            ("true", None),
            ("\"1\"", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn short_and_careful_readers_agree(text in "(0|[1-9][0-9]{0,12})(\\.[0-9]{1,9})?") {
            let short = short_units(text.as_bytes()).map(i128::from);
            prop_assert!(short.is_none() || short == any_units(&text));
        }

        #[test]
        fn any_number_may_be_tried(text in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?") {
            read(&text);
        }
    }
}
