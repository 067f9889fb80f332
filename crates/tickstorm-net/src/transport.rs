//! A stream of bytes to a peer, plain or encrypted, that never blocks.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

mod records;

use crate::exchange::{Carrier, Place};
use records::Records;

/// A connected, non-blocking TCP stream, with or without TLS. Packets are not held back (`TCP_NODELAY`).
///
/// Reads and writes are those of a non-blocking socket: [`WouldBlock`](io::ErrorKind::WouldBlock) says to come
/// back when the socket is ready. With TLS there are two differences to know of:
///
/// * Bytes that a write took may not be the kernel's yet: what it did not take of their ciphertext is kept, see
///   [`pending_ciphertext`](Self::pending_ciphertext), and goes first with the next write or flush. As long as
///   any is kept, nothing more is taken, so that never more than the records of
///   [`MAX_TAKEN`](Self::MAX_TAKEN) bytes wait here.
/// * A readable socket may bring no bytes, and bytes may wait behind a socket that is not readable: read until
///   `WouldBlock` before waiting for the socket, once right after the stream was handed over as well.
///
/// Dropping it closes the socket, and with TLS cuts the peer off in mid-stream: [`shutdown`](Self::shutdown) takes
/// leave.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    ending: Option<Ending>,
    is_write_closed: bool,
    /// Counts as a connection of the front that it came through, as long as it lives.
    place: Option<Place>,
}

/// How the peer ended its side of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// On purpose: all that it sent has been read.
    Closed,
    /// The TCP stream ended where TLS would have gone on. Many peers close in this way; an attacker could too.
    Truncated,
}

#[derive(Debug)]
struct Tls {
    session: rustls::Connection,
    outgoing: Ciphertext,
    records: Records,
    incoming: Option<ReadAhead>,
}

/// Records from the kernel that the session has not taken. It takes 4 KiB at a time, which is a system call each for
/// who reads straight from the socket.
#[derive(Debug)]
struct ReadAhead {
    bytes: Box<[u8]>,
    head: usize,
    end: usize,
}

/// Records on their way to the kernel.
#[derive(Debug, Default)]
struct Ciphertext {
    bytes: Vec<u8>,
    /// The first byte that the kernel has not taken.
    head: usize,
}

impl Transport {
    /// The most bytes that one write takes with TLS: four records, so that the system call is shared by many frames,
    /// and a peer that reads nothing holds little more than this beside the kernel's buffer.
    pub const MAX_TAKEN: usize = 64 << 10;

    /// A bare TCP stream.
    pub fn plain(stream: TcpStream) -> io::Result<Self> {
        Self::new(stream, None)
    }

    /// A TCP stream whose TLS handshake is over.
    pub(crate) fn tls(stream: TcpStream, mut session: rustls::Connection) -> io::Result<Self> {
        // The bound is kept here, where it counts what the kernel did not take.
        session.set_buffer_limit(None);
        // A client gets the feed; a server gets a few requests from each of many clients.
        let incoming = match session {
            rustls::Connection::Client(_) => Some(ReadAhead::new()),
            rustls::Connection::Server(_) => None,
        };
        Self::new(
            stream,
            Some(Box::new(Tls {
                session,
                outgoing: Ciphertext::default(),
                records: Records::default(),
                incoming,
            })),
        )
    }

    fn new(stream: TcpStream, tls: Option<Box<Tls>>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, tls, ending: None, is_write_closed: false, place: None })
    }

    pub(crate) fn hold(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Whether the stream is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The socket, for waiting on it and for asking the system about it; bytes go through the transport.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Bytes of TLS records that a write or the protocol left here because the kernel did not take them; none
    /// without TLS.
    #[inline]
    pub fn pending_ciphertext(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.outgoing.len())
    }

    /// Whether a [`flush`](Write::flush) has something to do as soon as the socket takes more.
    #[inline]
    pub fn wants_write(&self) -> bool {
        self.pending_ciphertext() > 0
    }

    /// How the peer ended its side; nothing as long as a read may bring more.
    #[inline]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Ends this side, or both. Ending the side that writes tells the peer in TLS as well, after what is pending:
    /// `WouldBlock` asks to call again when the socket takes more. Ending both sides does not wait for that.
    pub fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            if let Some(tls) = &mut self.tls {
                if !self.is_write_closed {
                    tls.session.send_close_notify();
                }
                self.is_write_closed = true;
                tls.collect()?;
                match tls.outgoing.write_to(&mut self.stream) {
                    Ok(()) => {}
                    Err(_) if how == Shutdown::Both => {}
                    Err(error) => return Err(error),
                }
            }
            self.is_write_closed = true;
        }
        match self.stream.shutdown(how) {
            // The peer was faster: the stream has the end that was asked for.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        }
    }

    fn write_tls(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.write_vectored(slices) };
        if self.is_write_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        tls.outgoing.write_to(&mut self.stream)?;
        let taken = tls.encrypt(slices)?;
        match tls.outgoing.write_to(&mut self.stream) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.tls {
            None => self.stream.read(into).map(|count| (count, Ending::Closed)),
            Some(tls) => tls.read(&mut self.stream, into),
        };
        let (count, ending) = read?;
        if count == 0 {
            self.ending = Some(ending);
        }
        Ok(count)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match into.iter_mut().find(|slice| !slice.is_empty()) {
            Some(slice) => self.read(slice),
            None => Ok(0),
        }
    }
}

impl Write for Transport {
    /// With TLS takes at most [`MAX_TAKEN`](Self::MAX_TAKEN) bytes a call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.write(bytes),
            Some(_) => self.write_tls(&[IoSlice::new(bytes)]),
        }
    }

    /// With TLS the slices share records, and one write to the kernel.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_tls(slices)
    }

    /// Offers the pending ciphertext to the kernel; `WouldBlock` if some of it is left.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.outgoing.write_to(&mut self.stream),
        }
    }
}

impl Carrier for Transport {
    fn in_last(&self, sent: u64) -> u64 {
        match &self.tls {
            None => sent,
            Some(tls) => tls.records.plain_in_last(tls.outgoing.len() as u64 + sent),
        }
    }

    fn forget_all_but_last(&mut self, bytes: u64) {
        if let Some(tls) = &mut self.tls {
            tls.records.forget_all_but_last(bytes);
        }
    }
}

impl Tls {
    /// Takes the first bytes of `slices`, up to the bound, and keeps their records.
    fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        let taken = if total <= Transport::MAX_TAKEN {
            self.session.writer().write_vectored(slices)?
        } else {
            let mut room = Transport::MAX_TAKEN;
            let mut first = Vec::with_capacity(slices.len());
            for slice in slices.iter().filter(|slice| !slice.is_empty()) {
                let part = &slice[..slice.len().min(room)];
                first.push(IoSlice::new(part));
                room -= part.len();
                if room == 0 {
                    break;
                }
            }
            self.session.writer().write_vectored(&first)?
        };
        self.collect()?;
        self.records.holds(taken);
        Ok(taken)
    }

    /// Takes over what the session wants to send.
    fn collect(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            let count = self.session.write_tls(&mut self.outgoing.bytes)?;
            self.records.made(count);
        }
        Ok(())
    }

    fn read(&mut self, stream: &mut TcpStream, into: &mut [u8]) -> io::Result<(usize, Ending)> {
        loop {
            match self.session.reader().read(into) {
                Ok(count) => return Ok((count, Ending::Closed)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok((0, Ending::Truncated));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match &mut self.incoming {
                None => self.session.read_tls(stream)?,
                Some(ahead) => {
                    ahead.fill(stream)?;
                    self.session.read_tls(ahead)?
                }
            };
            let processed = self.session.process_new_packets();
            // The protocol may have an answer: an alert, or a new key. It is sent as far as the kernel takes it.
            if self.session.wants_write() {
                self.collect()?;
                match self.outgoing.write_to(stream) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock && processed.is_ok() => {
                        return Err(error);
                    }
                    _ => {}
                }
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl ReadAhead {
    fn new() -> Self {
        Self { bytes: vec![0; READ_AHEAD].into(), head: 0, end: 0 }
    }

    /// Reads from the kernel, if nothing is left from the last time; nothing to read then is the end of the stream.
    fn fill(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if self.head == self.end {
            self.end = stream.read(&mut self.bytes)?;
            self.head = 0;
        }
        Ok(())
    }
}

impl Read for ReadAhead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (&self.bytes[self.head..self.end]).read(into)?;
        self.head += count;
        Ok(count)
    }
}

impl Ciphertext {
    fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// `WouldBlock` if some is left.
    fn write_to(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.len() > 0 {
            match stream.write(&self.bytes[self.head..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.head += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.head = 0;
        Ok(())
    }
}

#[cfg(unix)]
mod unix {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    use super::Transport;

    impl AsFd for Transport {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.stream.as_fd()
        }
    }

    impl AsRawFd for Transport {
        fn as_raw_fd(&self) -> RawFd {
            self.stream.as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod windows {
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    use super::Transport;

    impl AsSocket for Transport {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.stream.as_socket()
        }
    }

    impl AsRawSocket for Transport {
        fn as_raw_socket(&self) -> RawSocket {
            self.stream.as_raw_socket()
        }
    }
}

/// As much as a connection in plain text reads at a time.
const READ_AHEAD: usize = 64 << 10;
