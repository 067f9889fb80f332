//! What a stream is, told from its first bytes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use thiserror::Error;
use tickstorm_venue::Venue;
use tickstorm_venue::normalised::{Format, ReadError};

use super::lines::{Frames, Lines};

/// Why something is no stream that can be checked, or cannot be read on.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The source of the bytes failed.
    #[error("cannot be read after {bytes} bytes")]
    Io {
        /// How far it went.
        bytes: u64,
        /// What went wrong.
        source: io::Error,
    },
    /// There is nothing.
    #[error("is empty, must hold messages")]
    Empty,
    /// It must be unpacked first.
    #[error("is compressed with {with}, unpack it first: {} FILE | tickstorm check -", with.unpacker())]
    Compressed {
        /// How.
        with: Compression,
    },
    /// It begins like none of the formats.
    #[error(
        "begins with {found}, must be JSON messages one a line, WebSocket frames, or a stream that tickstorm generate \
         writes as msgpack, protobuf or csv"
    )]
    Foreign {
        /// The first bytes.
        found: String,
    },
    /// A message is longer than any may be.
    #[error("{unit} {number} is longer than {} MiB", limit >> 20)]
    TooLong {
        /// Line or frame.
        unit: &'static str,
        /// Counted from 1.
        number: u64,
        /// The most, in bytes.
        limit: usize,
    },
    /// Framing that cannot be followed.
    #[error("frame {number}: {problem}")]
    Frame {
        /// Counted from 1.
        number: u64,
        /// What is wrong.
        problem: String,
    },
    /// Nothing in the first messages says whose they are.
    #[error("none of the first {lines} messages is worded as {} do", venues())]
    UnknownVenue {
        /// How many were looked at.
        lines: usize,
    },
    /// Nothing in the first messages says what is traded.
    #[error(
        "none of the first {lines} messages tells {venue}'s instruments, or has a price from which to tell them"
    )]
    NoInstruments {
        /// Whose messages they are.
        venue: Venue,
        /// How many were looked at.
        lines: usize,
    },
    /// A normalised stream that cannot be read on.
    #[error(transparent)]
    Normalised(#[from] ReadError),
}

fn venues() -> String {
    let names: Vec<_> = Venue::ALL.iter().map(|venue| venue.name()).collect();
    names.join(", ")
}

/// A way in which a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstandard,
    /// `.xz`
    Xz,
    /// `.bz2`
    Bzip2,
    /// `.lz4`
    Lz4,
    /// `.zip`
    Zip,
}

impl Compression {
    const ALL: [(Compression, &'static [u8]); 6] = [
        (Compression::Gzip, &[0x1f, 0x8b]),
        (Compression::Zstandard, &[0x28, 0xb5, 0x2f, 0xfd]),
        (Compression::Xz, &[0xfd, b'7', b'z', b'X', b'Z', 0]),
        (Compression::Bzip2, b"BZh"),
        (Compression::Lz4, &[0x04, 0x22, 0x4d, 0x18]),
        (Compression::Zip, b"PK\x03\x04"),
    ];

    fn unpacker(self) -> &'static str {
        match self {
            Compression::Gzip => "zcat",
            Compression::Zstandard => "zstdcat",
            Compression::Xz => "xzcat",
            Compression::Bzip2 => "bzcat",
            Compression::Lz4 => "lz4cat",
            Compression::Zip => "unzip -p",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Gzip => "gzip",
            Compression::Zstandard => "Zstandard",
            Compression::Xz => "xz",
            Compression::Bzip2 => "bzip2",
            Compression::Lz4 => "LZ4",
            Compression::Zip => "zip",
        })
    }
}

/// A stream, ready to be read from its beginning.
pub(super) enum Input<R> {
    Lines(Lines<BufReader<R>>),
    Frames(Frames<BufReader<R>>),
    Normalised(Format, BufReader<R>),
}

impl<R: Read> Input<R> {
    pub(super) fn open(input: R) -> Result<Self, CheckError> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let start = input.fill_buf().map_err(|source| CheckError::Io { bytes: 0, source })?;
        let Some(&first) = start.first() else { return Err(CheckError::Empty) };
        if let Some(&(compression, _)) = Compression::ALL.iter().find(|(_, magic)| start.starts_with(magic)) {
            return Err(CheckError::Compressed { with: compression });
        }
        if let Some(format) = Format::of_stream(start) {
            return Ok(Input::Normalised(format, input));
        }
        // A text or binary message that is one frame, or a message's first.
        if matches!(first, 0x81 | 0x82 | 0x01 | 0x02) {
            return Ok(Input::Frames(Frames::new(input)));
        }
        if looks_like_text(start) {
            return Ok(Input::Lines(Lines::new(input)));
        }
        Err(CheckError::Foreign { found: quoted(start) })
    }
}

/// Whether the first thing but white space and a time could be JSON.
fn looks_like_text(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(byte) => matches!(byte, b'{' | b'[' | b'0'..=b'9'),
        None => false,
    }
}

fn quoted(start: &[u8]) -> String {
    let start = &start[..start.len().min(QUOTED_BYTES)];
    match std::str::from_utf8(start) {
        Ok(text) => format!("{text:?}"),
        Err(_) => start.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}

const QUOTED_BYTES: usize = 16;

const BUFFER_BYTES: usize = 1 << 18;
