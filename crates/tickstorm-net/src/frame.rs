//! RFC 6455 framing for both sides of a connection.
//!
//! Writing happens in place: [`begin`] leaves room for a header at the end of a buffer, the caller appends the
//! payload, [`Unfinished::finish`] fills in the header and masks. Reading is incremental: bytes go into a
//! [`FrameReader`] as they come, whole messages come out, borrowed from its buffer.
//!
//! Text is not checked to be UTF-8: whoever parses a payload finds out anyway, and a second pass over every byte
//! would cost as much as all the rest. Lengths longer than they need be are accepted.

use std::fmt;
use std::ops::Range;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation = 0x0,
    /// A message, or the first part of one, of text.
    Text = 0x1,
    /// A message, or the first part of one, of anything.
    Binary = 0x2,
    /// The last frame of its sender.
    Close = 0x8,
    /// Asks for a [`Opcode::Pong`] with the same payload.
    Ping = 0x9,
    /// Answers a [`Opcode::Ping`].
    Pong = 0xa,
}

impl Opcode {
    /// Whether it is about the connection instead of carrying data.
    pub const fn is_control(self) -> bool {
        self as u8 >= 0x8
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }
}

/// The two ends of a connection. A client masks what it sends, a server must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}

/// The four bytes that a client's payload is xored with.
pub type Mask = [u8; 4];

/// Starts an unfragmented frame at the end of `out`. Everything appended from here until
/// [`finish`](Unfinished::finish) is its payload. A client gives a mask, a server none.
#[inline]
pub fn begin(out: &mut Vec<u8>, mask: Option<Mask>) -> Unfinished {
    let frame = Unfinished { start: out.len(), mask };
    out.extend_from_slice(&[0; MAX_HEADER][..frame.reserved()]);
    frame
}

/// A frame whose payload is being written.
#[derive(Debug)]
#[must_use = "without finish the buffer holds a hole in place of a header"]
pub struct Unfinished {
    start: usize,
    mask: Option<Mask>,
}

impl Unfinished {
    /// Writes the header and masks the payload. `out` must be the buffer given to [`begin`], only appended to
    /// since then.
    #[inline]
    pub fn finish(self, out: &mut Vec<u8>, opcode: Opcode) {
        let reserved = self.reserved();
        let payload = self.start + reserved;
        let length = out.len() - payload;
        // Room was left for the header of 126 to 65,535 bytes, as market messages have. Others move.
        let header_len = header_len(length, self.mask.is_some());
        let payload_now = self.start + header_len;
        if header_len < reserved {
            out.copy_within(payload.., payload_now);
            out.truncate(payload_now + length);
        } else if header_len > reserved {
            out.resize(payload_now + length, 0);
            out.copy_within(payload..payload + length, payload_now);
        }
        let frame = &mut out[self.start..];
        frame[0] = FINAL | opcode as u8;
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        if length < 126 {
            frame[1] = masked | length as u8;
        } else if length <= 0xffff {
            frame[1] = masked | 126;
            frame[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        } else {
            frame[1] = masked | 127;
            frame[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        }
        if let Some(mask) = self.mask {
            frame[header_len - 4..header_len].copy_from_slice(&mask);
            apply_mask(mask, &mut frame[header_len..]);
        }
    }

    fn reserved(&self) -> usize {
        if self.mask.is_some() { 8 } else { 4 }
    }
}

/// Appends a frame with a payload that exists already.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<Mask>) {
    let frame = begin(out, mask);
    out.extend_from_slice(payload);
    frame.finish(out, opcode);
}

/// The payload of a close frame: a code, and a text cut to what fits.
pub(crate) fn close_payload(code: u16, text: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(MAX_CONTROL - 2)]);
    payload
}

/// Masks or unmasks, which is the same.
#[inline]
pub fn apply_mask(mask: Mask, payload: &mut [u8]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Wide blocks of a constant length become vector instructions; the rest goes by words and bytes.
    let (blocks, rest) = payload.as_chunks_mut::<32>();
    for block in blocks {
        for chunk in block.as_chunks_mut::<8>().0 {
            *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// Turns a stream of bytes, cut anywhere, into messages.
///
/// Its buffer holds at most one frame that is not whole yet and what the last read brought beyond it, and grows
/// only as bytes arrive, whatever length a header announces.
///
/// ```
/// use tickstorm_net::frame::{self, FrameReader, Incoming, Opcode, Role};
///
/// let mut wire = Vec::new();
/// frame::write(&mut wire, Opcode::Text, b"{\"ack\":0}", None);
///
/// let mut reader = FrameReader::new(Role::Client, frame::DEFAULT_MAX_MESSAGE);
/// reader.push(&wire);
/// assert_eq!(reader.next(), Ok(Some(Incoming::Message(b"{\"ack\":0}"))));
/// assert_eq!(reader.next(), Ok(None));
/// ```
#[derive(Debug)]
pub struct FrameReader {
    role: Role,
    max_message: usize,
    /// Read bytes lie in `start..end`; all of it is initialised so that a read can write anywhere.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    fragments: Fragments,
}

/// The parts of a fragmented message.
#[derive(Debug)]
enum Fragments {
    /// Between messages.
    None,
    /// Some parts came.
    Some(Vec<u8>),
    /// All parts came and the message was handed out.
    Done(Vec<u8>),
}

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message, text or binary.
    Message(&'a [u8]),
    /// A ping with its payload.
    Ping(&'a [u8]),
    /// A pong with its payload.
    Pong(&'a [u8]),
    /// The peer's last frame; what follows is not to be read.
    Close(CloseReason),
}

/// Why a peer closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    /// The RFC's or the peer's own code, if it gave one.
    pub code: Option<u16>,
    /// The peer's words, often empty.
    pub text: String,
}

impl fmt::Display for CloseReason {
    /// `code 1001`, with the words behind it if there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.text.as_str()) {
            (None, _) => f.write_str("no code"),
            (Some(code), "") => write!(f, "code {code}"),
            (Some(code), text) => write!(f, "code {code}, {text:?}"),
        }
    }
}

impl FrameReader {
    /// A reader for the given end, which takes messages of up to `max_message` bytes.
    pub fn new(role: Role, max_message: usize) -> Self {
        Self { role, max_message, buffer: Vec::new(), start: 0, end: 0, fragments: Fragments::None }
    }

    /// Room for the next read, never empty. Take out all messages first, else the buffer grows without need.
    pub fn spare(&mut self) -> &mut [u8] {
        // A read that fills its room shows that larger reads would save system calls.
        let was_filled = self.end == self.buffer.len() && self.end < READ_BUFFER;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if was_filled {
            self.buffer.resize((self.buffer.len() * 4).max(FIRST_BUFFER), 0);
        } else if self.buffer.len() - self.end < MIN_SPARE {
            if self.start >= self.end - self.start && self.start >= MIN_SPARE {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Says that the first `count` bytes of [`spare`](Self::spare) hold data now.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.buffer.len(), "a read fills no more than the room it was given");
    }

    /// Adds bytes by copying them.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = self.spare();
            let count = bytes.len().min(spare.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
    }

    /// The next message or control frame, or nothing before more bytes come. After an error or a close frame the
    /// stream means nothing any more and the connection is to be given up.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Incoming<'_>>, FrameError> {
        if let Fragments::Done(_) = self.fragments {
            self.fragments = Fragments::None;
        }
        let (opcode, payload) = loop {
            let Some(header) = Header::parse(&self.buffer[self.start..self.end])? else { return Ok(None) };
            self.check(&header)?;
            let start = self.start + header.len;
            // The check bounds the length, so this fits.
            let end = start + header.payload as usize;
            if end > self.end {
                return Ok(None);
            }
            if let Some(mask) = header.mask {
                apply_mask(mask, &mut self.buffer[start..end]);
            }
            self.start = end;
            if header.opcode.is_control() || header.fin && header.opcode != Opcode::Continuation {
                break (header.opcode, start..end);
            }
            if self.add_fragment(start..end, header.fin) {
                break (Opcode::Continuation, 0..0);
            }
        };
        let bytes = &self.buffer[payload];
        Ok(Some(match opcode {
            Opcode::Text | Opcode::Binary => Incoming::Message(bytes),
            Opcode::Ping => Incoming::Ping(bytes),
            Opcode::Pong => Incoming::Pong(bytes),
            Opcode::Close => Incoming::Close(close_reason(bytes)?),
            Opcode::Continuation => match &self.fragments {
                Fragments::Done(whole) => Incoming::Message(whole),
                Fragments::None | Fragments::Some(_) => unreachable!("its last fragment was added just now"),
            },
        }))
    }

    /// How many bytes are held.
    pub fn buffered(&self) -> usize {
        let held = match &self.fragments {
            Fragments::None => 0,
            Fragments::Some(bytes) | Fragments::Done(bytes) => bytes.len(),
        };
        self.end - self.start + held
    }

    fn check(&self, header: &Header) -> Result<(), FrameError> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(FrameError::MaskMissing),
            (Role::Client, Some(_)) => return Err(FrameError::MaskUnexpected),
            _ => {}
        }
        if header.opcode.is_control() {
            if !header.fin {
                return Err(FrameError::FragmentedControl);
            }
            if header.payload > MAX_CONTROL as u64 {
                return Err(FrameError::LongControl { size: header.payload });
            }
            return Ok(());
        }
        let held = match &self.fragments {
            Fragments::Some(bytes) => Some(bytes.len() as u64),
            Fragments::None | Fragments::Done(_) => None,
        };
        match (held, header.opcode) {
            (None, Opcode::Continuation) => return Err(FrameError::NothingToContinue),
            (Some(_), Opcode::Text | Opcode::Binary) => return Err(FrameError::Interrupted),
            _ => {}
        }
        let size = header.payload.saturating_add(held.unwrap_or(0));
        if size > self.max_message as u64 {
            return Err(FrameError::TooLarge { size, limit: self.max_message });
        }
        Ok(())
    }

    /// Whether the message is whole now.
    fn add_fragment(&mut self, part: Range<usize>, fin: bool) -> bool {
        let mut whole = match std::mem::replace(&mut self.fragments, Fragments::None) {
            Fragments::Some(bytes) => bytes,
            Fragments::None | Fragments::Done(_) => Vec::new(),
        };
        whole.extend_from_slice(&self.buffer[part]);
        self.fragments = if fin { Fragments::Done(whole) } else { Fragments::Some(whole) };
        fin
    }
}

/// What makes a stream of bytes no WebSocket stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Bits set that only an extension may set, and none was agreed.
    #[error("reserved bits of a frame must be zero without an extension, got {bits:#05b}")]
    ReservedBits {
        /// RSV1 to RSV3.
        bits: u8,
    },
    /// An opcode that the RFC does not know.
    #[error("frame opcode must be one of 0, 1, 2, 8, 9, 10, got {opcode}")]
    UnknownOpcode {
        /// The four bits.
        opcode: u8,
    },
    /// A control frame in parts.
    #[error("a control frame must not be fragmented")]
    FragmentedControl,
    /// A control frame with too much in it.
    #[error("payload of a control frame must be at most 125 bytes, got {size}")]
    LongControl {
        /// What its header announced.
        size: u64,
    },
    /// A client's frame without mask.
    #[error("frames from a client must be masked, got one without mask")]
    MaskMissing,
    /// A server's frame with mask.
    #[error("frames from a server must not be masked, got one with mask")]
    MaskUnexpected,
    /// A message above the limit; its bytes are not waited for.
    #[error("message must be at most {limit} bytes, got {size}")]
    TooLarge {
        /// Announced so far.
        size: u64,
        /// The reader's limit.
        limit: usize,
    },
    /// A continuation without beginning.
    #[error("a continuation frame must follow an unfinished message")]
    NothingToContinue,
    /// A new message inside a fragmented one.
    #[error("an unfinished message must be continued before another begins")]
    Interrupted,
    /// A close frame that breaks the rules.
    #[error("a close frame must be empty or begin with a valid code, got {got}")]
    BadClose {
        /// The code, or what stands in its place.
        got: String,
    },
}

impl FrameError {
    /// The code to close with.
    pub(crate) const fn close_code(&self) -> u16 {
        match self {
            FrameError::TooLarge { .. } => 1009,
            _ => 1002,
        }
    }
}

/// The header of a frame.
#[derive(Debug)]
pub(crate) struct Header {
    fin: bool,
    pub(crate) opcode: Opcode,
    mask: Option<Mask>,
    len: usize,
    payload: u64,
}

impl Header {
    /// The header at the start of `bytes`, if all of it is there.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let reserved = (first >> 4) & 0b111;
        if reserved != 0 {
            return Err(FrameError::ReservedBits { bits: reserved });
        }
        let opcode = first & 0xf;
        let Some(opcode) = Opcode::from_bits(opcode) else {
            return Err(FrameError::UnknownOpcode { opcode });
        };
        let (payload, length_bytes) = match (second & !MASKED, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8),
            (126 | 127, _) => return Ok(None),
            (short, _) => (u64::from(short), 0),
        };
        let mask = if second & MASKED == 0 {
            None
        } else if let Some([a, b, c, d, ..]) = rest.get(length_bytes..) {
            Some([*a, *b, *c, *d])
        } else {
            return Ok(None);
        };
        let len = 2 + length_bytes + if mask.is_some() { 4 } else { 0 };
        Ok(Some(Header { fin: first & FINAL != 0, opcode, mask, len, payload }))
    }

    /// Length of header and payload together.
    pub(crate) fn frame_len(&self) -> usize {
        self.len + self.payload as usize
    }
}

fn header_len(payload: usize, masked: bool) -> usize {
    let length_bytes = match payload {
        0..126 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    2 + length_bytes + if masked { 4 } else { 0 }
}

fn close_reason(payload: &[u8]) -> Result<CloseReason, FrameError> {
    match payload {
        [] => Ok(CloseReason { code: None, text: String::new() }),
        [_] => Err(FrameError::BadClose { got: "one byte".into() }),
        [high, low, text @ ..] => match u16::from_be_bytes([*high, *low]) {
            // 1005, 1006 and 1015 are for APIs and must not be sent; below 3000 the rest is not assigned.
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
                Ok(CloseReason { code: Some(code), text: String::from_utf8_lossy(text).into_owned() })
            }
            code => Err(FrameError::BadClose { got: code.to_string() }),
        },
    }
}

/// The default limit on the size of a message: as venues and libraries have it.
pub const DEFAULT_MAX_MESSAGE: usize = 16 << 20;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const MAX_HEADER: usize = 14;
const MAX_CONTROL: usize = 125;

/// First size of a read buffer, small because there can be thousands of connections that read only answers.
const FIRST_BUFFER: usize = 16 << 10;
/// Its size from the first read on that filled it: some 300 market messages, more than a socket usually holds.
const READ_BUFFER: usize = 64 << 10;
/// A read into less room than this is not worth its system call.
const MIN_SPARE: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: Mask = [0xde, 0xad, 0xbe, 0xef];

    /// A frame built byte by byte from the RFC's picture, as an independent model.
    fn raw(first: u8, mask: Option<Mask>, payload: &[u8]) -> Vec<u8> {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..126 => bytes.push(masked | n as u8),
            n @ 126..65_536 => {
                bytes.push(masked | 126);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(masked | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        bytes.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let key = mask.unwrap_or_default();
        bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
        bytes
    }

    fn server_reader(bytes: &[u8]) -> FrameReader {
        let mut reader = FrameReader::new(Role::Server, DEFAULT_MAX_MESSAGE);
        reader.push(bytes);
        reader
    }

    fn client_error(bytes: &[u8]) -> FrameError {
        let mut reader = FrameReader::new(Role::Client, 1000);
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("no error"),
                Err(error) => return error,
            }
        }
    }

    #[test]
    fn frames_of_every_header_size_are_those_of_the_rfc() {
        for length in [0, 1, 7, 8, 125, 126, 127, 200, 65_535, 65_536, 100_000] {
            let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
            for mask in [None, Some(MASK)] {
                let mut out = b"before".to_vec();
                write(&mut out, Opcode::Text, &payload, mask);
                assert_eq!(out[6..], raw(0x81, mask, &payload), "{length} {mask:?}");
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let mut reader = server_reader(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(reader.next(), Ok(Some(Incoming::Message(b"Hello"))));
        let mut reader = FrameReader::new(Role::Client, 100);
        reader.push(&[0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f, 0x89, 0x00]);
        assert_eq!(reader.next(), Ok(Some(Incoming::Message(b"Hello"))));
        assert_eq!(reader.next(), Ok(Some(Incoming::Ping(b""))));
        assert_eq!(reader.next(), Ok(None));
        assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn what_the_rfc_forbids_is_named() {
        assert_eq!(client_error(&[0xc1, 0]), FrameError::ReservedBits { bits: 0b100 });
        assert_eq!(client_error(&[0x83, 0]), FrameError::UnknownOpcode { opcode: 3 });
        assert_eq!(client_error(&[0x09, 0]), FrameError::FragmentedControl);
        assert_eq!(client_error(&[0x89, 126, 0, 126]), FrameError::LongControl { size: 126 });
        assert_eq!(client_error(&[0x81, 0x80, 0, 0, 0, 0]), FrameError::MaskUnexpected);
        assert_eq!(server_reader(&[0x81, 0]).next(), Err(FrameError::MaskMissing));
        assert_eq!(client_error(&[0x80, 0]), FrameError::NothingToContinue);
        assert_eq!(client_error(&[0x01, 0, 0x81, 0]), FrameError::Interrupted);
        assert_eq!(client_error(&[0x88, 1, 3]), FrameError::BadClose { got: "one byte".into() });
        assert_eq!(client_error(&[0x88, 2, 0x03, 0xed]), FrameError::BadClose { got: "1005".into() });
        assert_eq!(
            client_error(&[0xc1, 0]).to_string(),
            "reserved bits of a frame must be zero without an extension, got 0b100"
        );
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_before_its_bytes_come() {
        let huge = [0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(client_error(&huge), FrameError::TooLarge { size: u64::MAX, limit: 1000 });
        let parts = [raw(0x01, None, &[0; 600]), raw(0x00, None, &[0; 401])].concat();
        assert_eq!(client_error(&parts), FrameError::TooLarge { size: 1001, limit: 1000 });
        let fits = [raw(0x01, None, &[0; 600]), raw(0x80, None, &[0; 400])].concat();
        let mut reader = FrameReader::new(Role::Client, 1000);
        reader.push(&fits);
        assert_eq!(reader.next(), Ok(Some(Incoming::Message(&[0; 1000]))));
    }

    #[test]
    fn an_announced_length_alone_takes_no_memory() {
        let mut reader = FrameReader::new(Role::Client, DEFAULT_MAX_MESSAGE);
        reader.push(&[0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(reader.next(), Ok(None));
        assert!(reader.spare().len() <= FIRST_BUFFER);
    }

    #[test]
    fn a_close_frame_says_why() {
        let mut payload = close_payload(1008, "too fast");
        let mut wire = raw(0x88, None, &payload);
        let mut reader = FrameReader::new(Role::Client, 100);
        reader.push(&wire);
        let reason = CloseReason { code: Some(1008), text: "too fast".into() };
        assert_eq!(reader.next(), Ok(Some(Incoming::Close(reason))));
        payload = close_payload(1000, &"é".repeat(100));
        assert_eq!(payload.len(), 124, "cut between characters");
        wire = raw(0x88, None, &[]);
        let mut reader = FrameReader::new(Role::Client, 100);
        reader.push(&wire);
        assert_eq!(reader.next(), Ok(Some(Incoming::Close(CloseReason { code: None, text: String::new() }))));
    }

    /// What a sender means, each with the lengths of the frames it takes.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Sent {
        Message(Vec<u8>),
        Ping(Vec<u8>),
        Pong(Vec<u8>),
    }

    fn read_all(reader: &mut FrameReader, into: &mut Vec<Sent>) {
        while let Some(incoming) = reader.next().unwrap() {
            into.push(match incoming {
                Incoming::Message(bytes) => Sent::Message(bytes.to_vec()),
                Incoming::Ping(bytes) => Sent::Ping(bytes.to_vec()),
                Incoming::Pong(bytes) => Sent::Pong(bytes.to_vec()),
                Incoming::Close(_) => panic!("nobody closed"),
            });
        }
    }

    /// A message in parts, with a ping after each part but the last.
    fn fragmented(parts: &[Vec<u8>], mask: Option<Mask>, wire: &mut Vec<u8>, expected: &mut Vec<Sent>) {
        for (i, part) in parts.iter().enumerate() {
            let opcode = if i == 0 { 0x2 } else { 0x0 };
            let fin = if i + 1 == parts.len() { 0x80 } else { 0 };
            wire.extend(raw(fin | opcode, mask, part));
            if fin == 0 {
                wire.extend(raw(0x89, mask, b"between"));
                expected.push(Sent::Ping(b"between".to_vec()));
            }
        }
        expected.push(Sent::Message(parts.concat()));
    }

    fn traffic() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let part = prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 0..300),
            1 => (60_000usize..70_000).prop_map(|length| vec![7; length]),
        ];
        prop::collection::vec(prop::collection::vec(part, 1..4), 1..12)
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same_messages(
            messages in traffic(),
            cuts in prop::collection::vec(1usize..5000, 1..20),
            masked: bool,
        ) {
            let mask = masked.then_some(MASK);
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            for parts in &messages {
                fragmented(parts, mask, &mut wire, &mut expected);
                wire.extend(raw(0x8a, mask, b"pong"));
                expected.push(Sent::Pong(b"pong".to_vec()));
            }
            let role = if masked { Role::Server } else { Role::Client };
            let mut reader = FrameReader::new(role, DEFAULT_MAX_MESSAGE);
            let mut got = Vec::new();
            let mut rest = wire.as_slice();
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let count = rest.len().min(*cuts.next().unwrap());
                reader.push(&rest[..count]);
                read_all(&mut reader, &mut got);
                rest = &rest[count..];
            }
            prop_assert_eq!(got, expected);
            prop_assert_eq!(reader.buffered(), 0);
        }

        #[test]
        fn masking_twice_changes_nothing(mask: Mask, payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut masked = payload.clone();
            apply_mask(mask, &mut masked);
            let model: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            prop_assert_eq!(&masked, &model);
            apply_mask(mask, &mut masked);
            prop_assert_eq!(masked, payload);
        }

        #[test]
        fn any_bytes_are_read_without_panic_in_bounded_memory(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..20),
            server: bool,
        ) {
            let role = if server { Role::Server } else { Role::Client };
            let limit = 5000;
            let mut reader = FrameReader::new(role, limit);
            'chunks: for chunk in chunks {
                reader.push(&chunk);
                loop {
                    match reader.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'chunks,
                    }
                }
                prop_assert!(reader.buffered() <= 2 * limit + MAX_HEADER);
                prop_assert!(reader.buffer.len() <= READ_BUFFER);
            }
        }
    }
}
