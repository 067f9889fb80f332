//! One WebSocket connection that never blocks.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Trust, TrustError};
use crate::endpoint::{Endpoint, ResolveError};
use crate::frame::{self, CloseReason, FrameError, FrameReader, Incoming, Opcode, Role};
use crate::outgoing::{Flushed, Outgoing};
use crate::poller::{Interest, Poller};
use crate::socket::{self, remaining};
use crate::tls::TlsError;
use crate::transport::Transport;
use crate::ws::{self, HandshakeError};

/// A WebSocket connection over a non-blocking socket, with TLS or without.
///
/// Sending has two halves, so that one system call carries many messages: [`push_frame`](Self::push_frame) adds a
/// message to a buffer, [`flush`](Self::flush) offers the buffer to the kernel and says which messages it took.
/// Reading and flushing happen when the caller says; a [`Poller`] tells when it is worth while.
#[derive(Debug)]
pub struct Connection {
    stream: Transport,
    reader: FrameReader,
    outgoing: Outgoing,
    /// Payload of the last ping that is not answered yet; older ones need no answer (RFC 6455, 5.5.3).
    unanswered_ping: Option<Vec<u8>>,
    pings_answered: u64,
    bytes_read: u64,
    blocked: bool,
    reading: Reading,
    registration: Option<Registration>,
}

/// Whether a connection wants to hear of readable bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    On,
    Paused,
}

#[derive(Debug)]
struct Registration {
    poller: Arc<Poller>,
    key: usize,
    interest: Interest,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readable {
    /// Messages handed over.
    pub messages: usize,
    /// Bytes read.
    pub bytes: usize,
    /// Whether the kernel may hold more.
    pub more: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address.
    #[error("cannot connect to {endpoint}")]
    Resolve {
        /// Where to, without the query.
        endpoint: String,
        /// Why not.
        source: ResolveError,
    },
    /// Nobody can vouch for the server.
    #[error("cannot connect to {endpoint}")]
    Trust {
        /// Where to, without the query.
        endpoint: String,
        /// Why not.
        source: TrustError,
    },
    /// The server was not believed, or does not speak TLS.
    #[error("cannot connect to {endpoint}")]
    Tls {
        /// Where to, without the query.
        endpoint: String,
        /// What was wrong.
        source: Box<TlsError>,
    },
    /// Nobody listens, or the connection broke before it was open.
    #[error("cannot connect to {endpoint}")]
    Socket {
        /// Where to, without the query.
        endpoint: String,
        /// Why not.
        source: io::Error,
    },
    /// Neither open nor refused in time.
    #[error("no answer from {endpoint} within {timeout:?}")]
    TimedOut {
        /// Where to, without the query.
        endpoint: String,
        /// The time it had.
        timeout: Duration,
    },
    /// Somebody listens, who is not the WebSocket server we look for.
    #[error("{endpoint} is no websocket server to talk to")]
    Handshake {
        /// Where to, without the query.
        endpoint: String,
        /// What came back.
        source: HandshakeError,
    },
}

/// How a connection came to its end. It is to be dropped then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The peer closed with a close frame.
    #[error("peer closed the connection: {0}")]
    Closed(CloseReason),
    /// The peer closed without a close frame.
    #[error("peer closed the connection without a close frame")]
    Ended,
    /// The network or the peer's system cut it.
    #[error("connection lost: {0}")]
    Lost(io::ErrorKind),
    /// The peer broke the protocol, or sent a message beyond the limit.
    #[error("peer broke the websocket protocol")]
    Protocol(#[from] FrameError),
}

impl Connection {
    /// Connects and shakes hands, within `timeout` altogether; only resolving a name may take longer. Messages
    /// that the server sent at once are handed over by the first [`read`](Self::read), which no poller calls for.
    /// With TLS, the server must have the word of an authority that this system trusts.
    pub fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Self, ConnectError> {
        let trust = endpoint.is_tls().then(Trust::of_system).transpose();
        let trust = trust.map_err(|source| ConnectError::Trust { endpoint: endpoint.to_string(), source })?;
        Self::connect_over(endpoint, trust.as_ref(), timeout)
    }

    /// The same with TLS for which others vouch, where the endpoint asks for TLS.
    pub fn connect_trusting(
        endpoint: &Endpoint,
        trust: &Trust,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        Self::connect_over(endpoint, Some(trust).filter(|_| endpoint.is_tls()), timeout)
    }

    fn connect_over(
        endpoint: &Endpoint,
        trust: Option<&Trust>,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let name = || endpoint.to_string();
        let addresses =
            endpoint.addresses().map_err(|source| ConnectError::Resolve { endpoint: name(), source })?;
        let deadline = Instant::now() + timeout;
        let failed = |source: io::Error| match source.kind() {
            // A socket with a timeout reports it as either.
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                ConnectError::TimedOut { endpoint: name(), timeout }
            }
            _ => ConnectError::Socket { endpoint: name(), source },
        };
        let stream = socket::connect(&addresses, deadline).map_err(failed)?;
        let mut stream = match trust {
            Some(trust) => {
                trust.connect(stream, &endpoint.host(), deadline).map_err(|error| match error {
                    TlsError::Socket { source, .. } => failed(source),
                    source => ConnectError::Tls { endpoint: name(), source: Box::new(source) },
                })?
            }
            None => Transport::plain(stream).map_err(failed)?,
        };
        let early = ws::open(&mut stream, endpoint, deadline)
            .map_err(failed)?
            .map_err(|source| ConnectError::Handshake { endpoint: name(), source })?;
        Self::over(stream, Role::Client, &early).map_err(failed)
    }

    /// A connection whose handshake is over, with what the peer sent beyond it.
    pub(crate) fn opened(stream: TcpStream, role: Role, early: &[u8]) -> io::Result<Self> {
        Self::over(Transport::plain(stream)?, role, early)
    }

    fn over(stream: Transport, role: Role, early: &[u8]) -> io::Result<Self> {
        stream.socket().set_nonblocking(true)?;
        let mut reader = FrameReader::new(role, frame::DEFAULT_MAX_MESSAGE);
        reader.push(early);
        Ok(Self {
            stream,
            reader,
            outgoing: Outgoing::new(role),
            unanswered_ping: None,
            pings_answered: 0,
            bytes_read: early.len() as u64,
            blocked: false,
            reading: Reading::On,
            registration: None,
        })
    }

    /// Has `poller` tell under `key` when there is something to read and, while the kernel takes no more, when it
    /// takes more again. Ends when the connection is dropped.
    pub fn register(&mut self, poller: &Arc<Poller>, key: usize) -> io::Result<()> {
        self.deregister();
        let interest = self.interest();
        poller.add(self.stream.socket(), key, interest)?;
        self.registration = Some(Registration { poller: Arc::clone(poller), key, interest });
        Ok(())
    }

    /// Adds a text message to what is to be sent; `render` appends its payload to the buffer that it is given and
    /// leaves alone what is in it.
    #[inline]
    pub fn push_frame(&mut self, render: impl FnOnce(&mut Vec<u8>)) {
        self.outgoing.push(Opcode::Text, render);
    }

    /// The same, unless `render` returns `false`: then nothing is added. What `render` returned.
    #[inline]
    pub fn push_frame_if(&mut self, render: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        self.outgoing.push_if(Opcode::Text, render)
    }

    /// Bytes that wait to be sent, headers included.
    #[inline]
    pub fn buffered(&self) -> usize {
        self.outgoing.buffered()
    }

    /// Whether the kernel would not take everything at the last flush.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Offers everything that waits to the kernel, in one write, and counts the messages that it has taken whole
    /// since the last flush. Without anything to send it costs nothing.
    pub fn flush(&mut self) -> io::Result<Flushed> {
        if !self.blocked {
            self.answer_ping();
        }
        let mut flushed = self.outgoing.flush(&mut self.stream)?;
        // TLS takes a part at a time, whatever the kernel would take.
        while flushed.blocked && self.stream.is_tls() && !self.stream.wants_write() {
            let next = self.outgoing.flush(&mut self.stream)?;
            flushed.frames += next.frames;
            flushed.bytes += next.bytes;
            flushed.blocked = next.blocked;
        }
        if self.stream.wants_write() {
            match self.stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => flushed.blocked = true,
                sent => sent?,
            }
        }
        self.set_blocked(flushed.blocked)?;
        Ok(flushed)
    }

    /// Pings of the peer that were answered.
    pub fn pings_answered(&self) -> u64 {
        self.pings_answered
    }

    /// Bytes that came after the handshake, headers and control frames included.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads once from the kernel, at most some 64 KiB, and hands over each whole message; pings are answered
    /// with the next flush, or at once if nothing waits to be sent.
    ///
    /// One system call a read is on purpose: a clock read in the first `on_message` is right for all of them.
    /// Messages that came before an error have been handed over.
    pub fn read(&mut self, mut on_message: impl FnMut(&[u8])) -> Result<Readable, ConnectionError> {
        let mut readable = Readable::default();
        if self.reader.buffered() > 0 {
            self.take_messages(&mut readable, &mut on_message)?;
        }
        let spare = self.reader.spare();
        let room = spare.len();
        match self.stream.read(spare) {
            Ok(0) => return Err(ConnectionError::Ended),
            Ok(count) => {
                self.reader.filled(count);
                readable.bytes = count;
                self.bytes_read += count as u64;
                // What TLS has decrypted, or read ahead, wakes no poller.
                readable.more = count == room || self.stream.is_tls();
                self.take_messages(&mut readable, &mut on_message)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => readable.more = true,
            Err(error) => return Err(ConnectionError::Lost(error.kind())),
        }
        if self.unanswered_ping.is_some() && self.outgoing.buffered() == 0 {
            self.flush().map_err(|error| ConnectionError::Lost(error.kind()))?;
        }
        Ok(readable)
    }

    /// Takes leave: sends what waits and a close frame, and waits at most `patience` for the peer to close too.
    /// Not waiting can cost the peer the last messages, since a socket closed with unread bytes is reset.
    pub fn close(self, patience: Duration) {
        self.close_unless(patience, &|| false);
    }

    /// As [`close`](Self::close), and waits no longer as soon as `is_over`, which is asked some twenty times a second.
    pub fn close_unless(mut self, patience: Duration, is_over: &dyn Fn() -> bool) {
        self.deregister();
        let deadline = Instant::now() + patience;
        self.outgoing.push_control(Opcode::Close, &frame::close_payload(1000, ""));
        // The peer or the network may be gone already; then there is nobody to take leave of.
        let _ = self.outgoing.flush(&mut self.stream);
        let _ = self.await_close(deadline, is_over);
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.socket().local_addr()
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.socket().peer_addr()
    }

    /// Reads bytes as they are and keeps nothing; not to be mixed with [`read`](Self::read).
    pub(crate) fn read_raw(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }

    /// Says goodbye without waiting for anything.
    pub(crate) fn say_close(&mut self, code: u16, text: &str) {
        self.outgoing.push_control(Opcode::Close, &frame::close_payload(code, text));
        let _ = self.outgoing.flush(&mut self.stream);
    }

    pub(crate) fn set_reading(&mut self, reading: Reading) -> io::Result<()> {
        self.reading = reading;
        self.update_interest()
    }

    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }

    fn take_messages(
        &mut self,
        readable: &mut Readable,
        on_message: &mut impl FnMut(&[u8]),
    ) -> Result<(), ConnectionError> {
        loop {
            match self.reader.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Incoming::Message(payload))) => {
                    readable.messages += 1;
                    on_message(payload);
                }
                Ok(Some(Incoming::Ping(payload))) => self.unanswered_ping = Some(payload.to_vec()),
                Ok(Some(Incoming::Pong(_))) => {}
                Ok(Some(Incoming::Close(reason))) => {
                    self.say_close(reason.code.unwrap_or(1000), "");
                    return Err(ConnectionError::Closed(reason));
                }
                Err(error) => {
                    self.say_close(error.close_code(), &error.to_string());
                    return Err(error.into());
                }
            }
        }
    }

    fn answer_ping(&mut self) {
        if let Some(payload) = self.unanswered_ping.take() {
            self.outgoing.push_control(Opcode::Pong, &payload);
            self.pings_answered += 1;
        }
    }

    fn await_close(&mut self, deadline: Instant, is_over: &dyn Fn() -> bool) -> io::Result<()> {
        let slice = || match is_over() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => remaining(deadline).map(|left| Some(left.min(CLOSE_LOOK))),
        };
        self.stream.socket().set_nonblocking(false)?;
        while self.outgoing.buffered() > 0 {
            self.stream.socket().set_write_timeout(slice()?)?;
            self.outgoing.flush(&mut self.stream)?;
        }
        // A peer that knows nothing of close frames sees the end of the stream.
        self.stream.shutdown(Shutdown::Write)?;
        loop {
            while let Ok(Some(incoming)) = self.reader.next() {
                if let Incoming::Close(_) = incoming {
                    return Ok(());
                }
            }
            self.stream.socket().set_read_timeout(slice()?)?;
            match self.stream.read(self.reader.spare()) {
                Ok(0) => return Ok(()),
                Ok(count) => self.reader.filled(count),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn set_blocked(&mut self, blocked: bool) -> io::Result<()> {
        self.blocked = blocked;
        self.update_interest()
    }

    fn interest(&self) -> Interest {
        match (self.reading, self.blocked) {
            (Reading::On, false) => Interest::Read,
            (Reading::On, true) => Interest::Both,
            (Reading::Paused, true) => Interest::Write,
            (Reading::Paused, false) => Interest::Nothing,
        }
    }

    fn update_interest(&mut self) -> io::Result<()> {
        let interest = self.interest();
        if let Some(registration) = &mut self.registration
            && registration.interest != interest
        {
            registration.poller.modify(self.stream.socket(), registration.key, interest)?;
            registration.interest = interest;
        }
        Ok(())
    }

    fn deregister(&mut self) {
        if let Some(registration) = self.registration.take() {
            // It was added and is open; if the system thinks otherwise, there is nothing left to remove.
            let _ = registration.poller.remove(self.stream.socket());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.deregister();
    }
}

/// How often somebody who waits for the other end's close looks whether to go on waiting.
const CLOSE_LOOK: Duration = Duration::from_millis(50);
