//! JSON in a foreign wording: an object cut into its fields, which are then asked for by name.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decoder::DecodeError;
use crate::text::parse_units;

/// The fields of an object. Every value stays text until it is asked for.
pub(crate) struct Object<'a> {
    /// The message that the offsets of errors refer to.
    message: &'a str,
    /// What the message is, for errors.
    event: &'static str,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    message: &'a str,
    field: &'static str,
    raw: &'a RawValue,
}

impl<'a> Object<'a> {
    /// Cuts a whole message, which is checked to be text and not too deep.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let message = std::str::from_utf8(bytes)
            .map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })?;
        check_depth(bytes)?;
        let Fields(fields) = serde_json::from_str(message).map_err(|error| malformed(message, 0, &error))?;
        Ok(Self { message, event: "message", fields })
    }

    /// The same, called by the name of its event.
    pub(crate) fn called(&mut self, event: &'static str) -> &Self {
        self.event = event;
        self
    }

    /// The value of a field that may be absent. Of fields with the same name the last counts, as with most
    /// readers.
    pub(crate) fn find(&self, field: &'static str) -> Option<Value<'a>> {
        let (_, raw) = self.fields.iter().rev().find(|(name, _)| name == field)?;
        Some(Value { message: self.message, field, raw })
    }

    /// All fields by their names. In errors they go by the name of the object.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        let value = |raw| Value { message: self.message, field: self.event, raw };
        self.fields.iter().map(move |(name, raw)| (&**name, value(*raw)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn field(&self, field: &'static str) -> Result<Value<'a>, DecodeError> {
        self.find(field).ok_or(DecodeError::MissingField { event: self.event, field })
    }
}

impl<'a> Value<'a> {
    /// A value that was cut out of `message` already.
    pub(crate) fn new(message: &'a str, field: &'static str, raw: &'a RawValue) -> Self {
        Self { message, field, raw }
    }

    /// An object whose fields are known beforehand.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Result<T, DecodeError> {
        if !self.raw.get().starts_with('{') {
            return Err(self.wrong("an object"));
        }
        serde_json::from_str(self.raw.get()).map_err(|error| malformed(self.message, self.offset(), &error))
    }

    /// Calls `each` for every element of an array, without allocating, until it returns an error.
    pub(crate) fn each(
        self,
        mut each: impl FnMut(Value<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.elements(|raw: &'a RawValue| each(Value { raw, ..self }))
    }

    pub(crate) fn object(self) -> Result<Object<'a>, DecodeError> {
        if !self.is_object() {
            return Err(self.wrong("an object"));
        }
        let Fields(fields) = serde_json::from_str(self.raw.get())
            .map_err(|error| malformed(self.message, self.offset(), &error))?;
        Ok(Object { message: self.message, event: self.field, fields })
    }

    pub(crate) fn array(self) -> Result<impl Iterator<Item = Value<'a>>, DecodeError> {
        if !self.is_array() {
            return Err(self.wrong("an array"));
        }
        let elements: Vec<&'a RawValue> = serde_json::from_str(self.raw.get())
            .map_err(|error| malformed(self.message, self.offset(), &error))?;
        Ok(elements.into_iter().map(move |raw| Value { raw, ..self }))
    }

    pub(crate) fn string(self) -> Result<Cow<'a, str>, DecodeError> {
        let raw = self.raw.get();
        let quoted = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = quoted.ok_or_else(|| self.wrong("a string"))?;
        if !text.contains('\\') {
            return Ok(Cow::Borrowed(text));
        }
        serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|error| malformed(self.message, self.offset(), &error))
    }

    pub(crate) fn number(self) -> Result<u64, DecodeError> {
        self.raw.get().parse().map_err(|_| self.wrong("a whole number, not negative"))
    }

    pub(crate) fn boolean(self) -> Result<bool, DecodeError> {
        self.raw.get().parse().map_err(|_| self.wrong("true or false"))
    }

    /// A decimal string in 1e-8 units.
    pub(crate) fn signed_units(self) -> Result<i128, DecodeError> {
        const ALLOWED: &str = "a decimal in quotes, with at most eight places";
        let text = self.string().map_err(|_| self.wrong(ALLOWED))?;
        parse_units(&text).ok_or_else(|| self.wrong(ALLOWED))
    }

    /// A decimal string that is not negative, in 1e-8 units.
    pub(crate) fn units(self) -> Result<u128, DecodeError> {
        const ALLOWED: &str = "a decimal in quotes, not negative, with at most eight places";
        let units = self.signed_units().map_err(|_| self.wrong(ALLOWED))?;
        u128::try_from(units).map_err(|_| self.wrong(ALLOWED))
    }

    pub(crate) fn wrong(self, allowed: &'static str) -> DecodeError {
        DecodeError::WrongValue {
            field: self.field,
            offset: self.offset(),
            value: quoted(self.raw.get()),
            allowed,
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        self.raw.get().starts_with('{')
    }

    pub(crate) fn is_array(&self) -> bool {
        self.raw.get().starts_with('[')
    }

    /// Where the value stands in the message.
    pub(crate) fn range(self) -> Range<usize> {
        self.offset()..self.offset() + self.raw.get().len()
    }

    pub(crate) fn name(self) -> &'static str {
        self.field
    }

    /// The value as it stands in the message.
    pub(crate) fn raw(self) -> &'a str {
        self.raw.get()
    }

    /// The content of a string without escapes.
    #[inline]
    pub(crate) fn plain(self) -> Option<&'a str> {
        let text = self.raw.get().strip_prefix('"')?.strip_suffix('"')?;
        (!text.contains('\\')).then_some(text)
    }

    /// The content of a string for an error's text.
    pub(crate) fn shown(self) -> String {
        quoted(self.raw.get().trim_matches('"'))
    }

    /// Where the value begins in the message: a raw value is a part of its text.
    fn offset(self) -> usize {
        self.raw.get().as_ptr() as usize - self.message.as_ptr() as usize
    }
}

/// Readers of messages whose fields have a struct, which keeps their values as raw text.
impl<'a> Value<'a> {
    /// The elements of an array, one after the other and without a list of them. Ends at the first error.
    pub(crate) fn elements<T: Deserialize<'a>>(
        self,
        mut each: impl FnMut(T) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.raw.get().starts_with('[') {
            return Err(self.wrong("an array"));
        }
        let mut refused = None;
        let mut deserializer = serde_json::Deserializer::from_str(self.raw.get());
        let elements = Elements {
            each: |element| each(element).map_err(|error| refused = Some(error)),
            element: PhantomData,
        };
        let result = deserializer.deserialize_seq(elements);
        match (refused, result) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(malformed(self.message, self.offset(), &error)),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// A whole message as a struct.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(&'a str, T), DecodeError> {
    let message =
        std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })?;
    let value = serde_json::from_str(message).map_err(|error| malformed(message, 0, &error))?;
    Ok((message, value))
}

/// A piece of the message for an error's text, cut where it could grow without bound.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The end of the JSON value that starts at `start`, without looking at more than strings and brackets.
pub(crate) fn value_end(bytes: &[u8], start: usize) -> Result<usize, DecodeError> {
    let mut depth = 0;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return Ok(if depth == 1 { at + 1 } else { at }),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    Err(unfinished(bytes))
}

/// The first byte from `at` on that is no white space.
pub(crate) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + bytes[at..].iter().take_while(space).count()
}

pub(crate) fn unfinished(bytes: &[u8]) -> DecodeError {
    DecodeError::Malformed { offset: bytes.len(), problem: "the array does not end".to_owned() }
}

/// The closing quote of the string that opens at `start`, or the last byte.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn check_depth(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' if depth == DEPTH_MAX => {
                return Err(DecodeError::TooDeep { offset: at, allowed: DEPTH_MAX });
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// `part_offset` is where the text that serde read begins in `message`. serde counts lines and columns from
/// one.
pub(crate) fn malformed(message: &str, part_offset: usize, error: &serde_json::Error) -> DecodeError {
    let part = &message[part_offset..];
    let line_start: usize =
        part.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let offset = (part_offset + line_start + error.column().saturating_sub(1)).min(message.len());
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text);
    DecodeError::Malformed { offset, problem: quoted(problem) }
}

/// Hands on what an array holds.
struct Elements<T, F> {
    each: F,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), ()>> Visitor<'de> for Elements<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            (self.each)(element).map_err(|()| A::Error::custom("refused"))?;
        }
        Ok(())
    }
}

/// The names and values of an object in their order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(FIELDS_USUAL);
                while let Some((Name(name), raw)) = map.next_entry()? {
                    fields.push((name, raw));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A field's name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The deepest message of any venue has five levels; the rest is room for unknown fields.
const DEPTH_MAX: usize = 32;

/// Characters of a wrong value that an error quotes.
const QUOTED_MAX: usize = 64;

/// The longest event has 34 fields.
const FIELDS_USUAL: usize = 36;
