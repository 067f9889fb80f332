//! The bytes beneath a connection, as they are or through TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::Trust;

/// A stream that a connection reads and writes. Blocks if the socket does.
#[derive(Debug)]
pub(crate) enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// A client's end of TLS. What was written and not yet taken by the kernel is kept, at most one write of it.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: ClientConnection,
    blocking: bool,
}

impl ClientStream {
    /// The client's end of TLS with a server that must prove to be `host`. The handshake is part of the first read or
    /// write.
    pub(crate) fn tls(socket: TcpStream, host: &str, trust: &Trust) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(trust.config()), name).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(TlsStream { socket, tls, blocking: true })))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.socket,
        }
    }

    pub(crate) fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.blocking = !nonblocking;
        }
        self.socket().set_nonblocking(nonblocking)
    }

    /// Whether the kernel has not taken yet what was written.
    #[inline]
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.tls.wants_write(),
        }
    }

    /// Says that nothing more will be written, so that the peer can tell an end from a cut.
    pub(crate) fn end(&mut self) {
        if let Self::Tls(stream) = self {
            stream.tls.send_close_notify();
            // The peer or the network may be gone already.
            let _ = stream.send();
        }
    }
}

impl TlsStream {
    /// Offers the kernel everything that is written; it may take a part.
    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// What is left of the handshake.
    fn shake_hands(&mut self) -> io::Result<()> {
        while self.tls.is_handshaking() {
            self.send()?;
            if !self.receive()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads once from the kernel; `false` at the end of the stream.
    fn receive(&mut self) -> io::Result<bool> {
        if self.tls.read_tls(&mut self.socket)? == 0 {
            return Ok(false);
        }
        if let Err(error) = self.tls.process_new_packets() {
            // The peer is to hear why.
            let _ = self.send();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(true)
    }
}

impl Read for TlsStream {
    /// Fills `into` as far as the kernel can at once: what is decrypted already wakes no poller, and a read of TLS is
    /// small.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.shake_hands()?;
        let mut filled = 0;
        loop {
            match self.tls.reader().read(&mut into[filled..]) {
                Ok(0) if filled < into.len() => return Ok(filled),
                Ok(count) => filled += count,
                // The peer cut the stream without saying so: what came before is good.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(filled),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if filled == into.len() || filled > 0 && self.blocking {
                return Ok(filled);
            }
            match self.receive() {
                Ok(true) => {}
                Ok(false) if filled > 0 => return Ok(filled),
                Ok(false) => return Ok(0),
                Err(error) if filled > 0 && error.kind() != io::ErrorKind::InvalidData => return Ok(filled),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for TlsStream {
    /// Takes more only when the kernel has taken all that came before.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shake_hands()?;
        self.send()?;
        let taken = self.tls.writer().write(bytes)?;
        match self.send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Read for ClientStream {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for ClientStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
