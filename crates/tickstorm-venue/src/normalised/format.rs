//! Which serialisation is used.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A serialisation of the market's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One MessagePack array a record, one behind the other.
    MessagePack,
    /// One length-delimited `tickstorm.v1.Record` a record, see `proto/tickstorm.proto`.
    Protobuf,
    /// One row a message under a line of column names.
    Csv,
}

impl Format {
    /// Every format, in the order in which they are offered to the user.
    pub const ALL: [Format; 3] = [Format::MessagePack, Format::Protobuf, Format::Csv];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Format::MessagePack => "msgpack",
            Format::Protobuf => "protobuf",
            Format::Csv => "csv",
        }
    }

    /// The format of a stream that begins like this, if it is one.
    pub fn of_stream(start: &[u8]) -> Option<Format> {
        // What a head begins with: an array of six whose first is its tag; the length of a record and the tag of the
        // head's field; the first two columns.
        let after_length =
            start.iter().take(5).position(|byte| byte & 0x80 == 0).map(|last| &start[last + 1..]);
        match start {
            [0x96, 1, ..] => Some(Format::MessagePack),
            [b'{' | b'[', ..] => None,
            _ if start.starts_with(super::csv::FIRST_COLUMNS) => Some(Format::Csv),
            _ if after_length.is_some_and(|record| record.starts_with(&[0x0a])) && start[0] != b'\n' => {
                Some(Format::Protobuf)
            }
            _ => None,
        }
    }

    /// Whether its bytes are UTF-8 text.
    pub const fn is_text(self) -> bool {
        matches!(self, Format::Csv)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown format {name:?}, must be one of: {}", Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat {
    /// What was given.
    pub name: String,
}

/// Takes the name in any case.
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let name = text.trim().to_lowercase();
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat { name: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_its_beginning() {
        let listing = tickstorm_market::Listing::synthetic(3, tickstorm_random::Seed::new(1));
        let head = super::super::Head { listing, start_unix_ns: 7, shards: 64 };
        for format in Format::ALL {
            let mut stream = Vec::new();
            super::super::Writer::new(format).head(&head, &mut stream);
            assert_eq!(Format::of_stream(&stream), Some(format));
        }
        for text in [&b"{\"e\":\"trade\"}\n"[..], b"[{}]", b"\n{}", b"1795420800 {}", b"", b"\x81\x02{}"] {
            assert_eq!(Format::of_stream(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_format_reads_back_its_own_name_in_any_case() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(format.name().to_uppercase().parse(), Ok(format));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_list() {
        let error = "avro".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "unknown format \"avro\", must be one of: msgpack, protobuf, csv");
    }
}
