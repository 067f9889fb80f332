//! A client that reads and counts, and does no more: the same for an exchange and for bare bytes.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tickstorm_net::frame::{self, Opcode};

/// One connection and what came over it.
pub(crate) struct Reader {
    stream: TcpStream,
    /// Bytes since the handshake.
    pub bytes: u64,
    /// Text frames.
    pub texts: u64,
    pub is_over: bool,
    /// Of a frame's header, what has come.
    head: Vec<u8>,
    /// Payload that is still to come.
    left: usize,
}

/// What the readers of one thread saw together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub texts: u64,
    pub bytes: u64,
    /// From the first read that brought a text frame to the last one.
    pub elapsed: Duration,
}

impl Reader {
    /// A connection without any handshake.
    pub(crate) fn bare(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(address)?,
            bytes: 0,
            texts: 0,
            is_over: false,
            head: Vec::new(),
            left: 0,
        })
    }

    /// A WebSocket.
    pub(crate) fn connect(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut reader = Self::bare(address)?;
        write!(
            reader.stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            reader.stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Ok(reader)
    }

    pub(crate) fn say(&mut self, opcode: Opcode, text: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        frame::write(&mut out, opcode, text, Some([1, 2, 3, 4]));
        self.stream.write_all(&out)
    }

    /// The next bytes, as they are.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }

    /// Reads once; whether text frames were among what came.
    fn read_frames(&mut self, buffer: &mut [u8], captured: Option<&mut Vec<u8>>) -> io::Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        self.bytes += count as u64;
        self.is_over |= count == 0;
        if let Some(captured) = captured.filter(|captured| captured.len() < CAPTURED) {
            captured.extend_from_slice(&buffer[..count]);
        }
        let before = self.texts;
        self.count(&buffer[..count])?;
        Ok(self.texts > before)
    }

    /// Steps from header to header.
    fn count(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return Ok(());
            }
            let is_whole = self.head.is_empty() && bytes.len() >= LONGEST_HEADER;
            if !is_whole {
                // Byte by byte at the end of a buffer, which few frames are.
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
            }
            let header = if is_whole { bytes } else { &self.head[..] };
            let Some((length, header_length)) = lengths(header) else { continue };
            let opcode = header[0] & 0x0f;
            self.left = length;
            // Kraken beats in each second without news, before the first and after the last of them.
            self.texts += u64::from(opcode == Opcode::Text as u8 && length > HEARTBEAT_BYTES);
            if is_whole {
                bytes = &bytes[header_length..];
            }
            self.head.clear();
            if opcode == Opcode::Close as u8 {
                self.say(Opcode::Close, &[])?;
            }
        }
    }
}

/// Of payload and header; none while the server's header is not whole.
fn lengths(header: &[u8]) -> Option<(usize, usize)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
    match header.get(1)? {
        126 => Some((number(header.get(2..4)?), 4)),
        127 => Some((number(header.get(2..10)?), 10)),
        &short => Some((usize::from(short), 2)),
    }
}

/// Reads everything until all connections are over, or until none has brought a text frame for so long.
pub(crate) fn read_all(
    readers: &mut [Reader],
    quiet: Option<Duration>,
    mut captured: Option<&mut Vec<u8>>,
) -> io::Result<Reading> {
    let mut buffer = vec![0; READ_BYTES];
    let before = (sum(readers, |reader| reader.texts), sum(readers, |reader| reader.bytes));
    let mut ready: Vec<usize> = Vec::new();
    let (mut first, mut last, began) = (None, Instant::now(), Instant::now());
    while readers.iter().any(|reader| !reader.is_over) {
        let open: Vec<usize> = (0..readers.len()).filter(|&index| !readers[index].is_over).collect();
        let mut waits: Vec<PollFd<'_>> =
            open.iter().map(|&index| PollFd::new(&readers[index].stream, PollFlags::IN)).collect();
        // Woken in time for the silence to show.
        let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        poll(&mut waits, Some(&patience))?;
        ready.clear();
        ready.extend(
            open.iter().zip(&waits).filter(|(_, wait)| !wait.revents().is_empty()).map(|(&index, _)| index),
        );
        for &index in &ready {
            let captured = captured.as_deref_mut().filter(|_| index == 0);
            if readers[index].read_frames(&mut buffer, captured)? {
                last = Instant::now();
                first.get_or_insert(last);
            }
        }
        let silent = last.max(began).elapsed();
        if quiet.is_some_and(|quiet| silent >= quiet) {
            break;
        }
        assert!(silent < PATIENCE, "nothing came for {PATIENCE:?}");
    }
    Ok(Reading {
        texts: sum(readers, |reader| reader.texts) - before.0,
        bytes: sum(readers, |reader| reader.bytes) - before.1,
        elapsed: last - first.unwrap_or(last),
    })
}

fn sum(readers: &[Reader], of: impl Fn(&Reader) -> u64) -> u64 {
    readers.iter().map(of).sum()
}

/// As many bytes as are kept of what one connection brings.
pub(crate) const CAPTURED: usize = 32 << 20;

const READ_BYTES: usize = 256 << 10;

/// Of `{"channel":"heartbeat"}`. All news is longer.
const HEARTBEAT_BYTES: usize = 23;

const LONGEST_HEADER: usize = 10;

const PATIENCE: Duration = Duration::from_secs(60);
