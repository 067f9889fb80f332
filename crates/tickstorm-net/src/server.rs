//! The accepting side: a listener on loopback and the connections that came through it, in one poll loop.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frame::Role;
use crate::poller::{Event, Events, Interest, Poller};
use crate::socket;
use crate::ws::{self, Answer};

/// Accepts connections and shakes hands; what is read and written on open connections is its owner's affair.
#[derive(Debug)]
pub(crate) struct Server {
    poller: Arc<Poller>,
    listener: TcpListener,
    greeting: Greeting,
    events: Events,
    told: Vec<Event>,
    /// By key. Keys are not used again: what refers to a connection that is gone finds nothing instead of
    /// another one.
    peers: Vec<Option<Box<Peer>>>,
    opening: usize,
    open: usize,
    /// Why a peer was not accepted, since somebody asked last.
    refusal: Option<io::Error>,
}

/// What comes before the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// The opening handshake of a WebSocket.
    Handshake,
    /// Nothing: a bare stream.
    None,
}

#[expect(clippy::large_enum_variant, reason = "a peer is boxed as a whole")]
#[derive(Debug)]
enum Peer {
    Opening(Opening),
    Open(Connection),
}

/// A peer that has not sent its whole request yet.
#[derive(Debug)]
struct Opening {
    stream: TcpStream,
    received: Vec<u8>,
    deadline: Instant,
}

impl Server {
    pub(crate) fn listen(greeting: Greeting) -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        let listener = socket::listen_on_loopback()?;
        poller.add(&listener, LISTENER, Interest::Read)?;
        Ok(Self {
            poller,
            listener,
            greeting,
            events: Events::new(),
            told: Vec::new(),
            peers: Vec::new(),
            opening: 0,
            open: 0,
            refusal: None,
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// For waking the waiting thread.
    pub(crate) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Waits for at most `timeout` and replaces the content of `ready` by what the open connections are ready
    /// for. A connection that has just opened is told as readable, and may have sent something already.
    pub(crate) fn wait(&mut self, timeout: Duration, ready: &mut Vec<Event>) -> io::Result<()> {
        ready.clear();
        let timeout = if self.opening > 0 { timeout.min(HANDSHAKE_TIMEOUT) } else { timeout };
        self.poller.wait(timeout, &mut self.events)?;
        self.told.clear();
        self.told.extend(self.events.iter());
        for index in 0..self.told.len() {
            let event = self.told[index];
            if event.key == LISTENER {
                self.accept(ready);
            } else if self.go_on_opening(event.key) {
                ready.push(Event { key: event.key, readable: true, writable: false });
            } else if self.connection(event.key).is_some() {
                ready.push(event);
            }
        }
        self.give_up_silent_peers();
        Ok(())
    }

    /// Why a peer that is waiting could not be accepted, told once.
    pub(crate) fn take_refusal(&mut self) -> Option<io::Error> {
        self.refusal.take()
    }

    /// An open connection.
    pub(crate) fn connection(&mut self, key: usize) -> Option<&mut Connection> {
        match self.peers.get_mut(key)?.as_deref_mut()? {
            Peer::Open(connection) => Some(connection),
            Peer::Opening(_) => None,
        }
    }

    /// All open connections.
    pub(crate) fn connections(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.peers.iter_mut().flatten().filter_map(|peer| match &mut **peer {
            Peer::Open(connection) => Some(connection),
            Peer::Opening(_) => None,
        })
    }

    /// Forgets a connection and closes it.
    pub(crate) fn drop_connection(&mut self, key: usize) {
        if let Some(Peer::Open(_)) = self.peers[key].take().as_deref() {
            self.open -= 1;
        }
    }

    fn accept(&mut self, ready: &mut Vec<Event>) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if self.opening + self.open < MAX_CONNECTIONS {
                        // A peer that is gone before it is registered is no loss.
                        let _ = self.admit(stream, ready);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        // Out of file descriptors, most likely. The peer goes on waiting in the backlog, and the
                        // poller goes on telling: without a pause that would be a busy loop.
                        std::thread::sleep(Duration::from_millis(10));
                        self.refusal = Some(error);
                    }
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, ready: &mut Vec<Event>) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let key = self.peers.len();
        self.peers.push(None);
        match self.greeting {
            Greeting::Handshake => {
                self.poller.add(&stream, key, Interest::Read)?;
                let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
                let opening = Opening { stream, received: Vec::new(), deadline };
                self.peers[key] = Some(Box::new(Peer::Opening(opening)));
                self.opening += 1;
            }
            Greeting::None => {
                self.opened(key, stream, &[])?;
                ready.push(Event { key, readable: true, writable: false });
            }
        }
        Ok(())
    }

    /// Goes on with a handshake that is under way; true if the connection is open now.
    fn go_on_opening(&mut self, key: usize) -> bool {
        let Some(Some(Peer::Opening(opening))) = self.peers.get_mut(key).map(Option::as_deref_mut) else {
            return false;
        };
        match opening.go_on() {
            Ok(None) => false,
            Ok(Some(request_len)) => {
                self.take_opening(key).is_some_and(|Opening { stream, received, .. }| {
                    self.opened(key, stream, &received[request_len..]).is_ok()
                })
            }
            Err(_) => {
                self.take_opening(key);
                false
            }
        }
    }

    fn opened(&mut self, key: usize, stream: TcpStream, early: &[u8]) -> io::Result<()> {
        let mut connection = Connection::opened(stream, Role::Server, early)?;
        connection.register(&self.poller, key)?;
        self.peers[key] = Some(Box::new(Peer::Open(connection)));
        self.open += 1;
        Ok(())
    }

    fn take_opening(&mut self, key: usize) -> Option<Opening> {
        match self.peers[key].take().map(|peer| *peer) {
            Some(Peer::Opening(opening)) => {
                self.opening -= 1;
                // It is open and was added, so this cannot fail in a way that matters.
                let _ = self.poller.remove(&opening.stream);
                Some(opening)
            }
            other => {
                self.peers[key] = other.map(Box::new);
                None
            }
        }
    }

    fn give_up_silent_peers(&mut self) {
        if self.opening == 0 {
            return;
        }
        let now = Instant::now();
        for key in 0..self.peers.len() {
            if let Some(Peer::Opening(opening)) = self.peers[key].as_deref()
                && opening.deadline <= now
            {
                self.take_opening(key);
            }
        }
    }
}

impl Opening {
    /// Reads once; the length of the request once it is whole and accepted. An error when there is nothing to
    /// hope for.
    fn go_on(&mut self) -> io::Result<Option<usize>> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
        }
        match ws::answer(&self.received) {
            Answer::Wait => Ok(None),
            Answer::Accept { request_len, response } => {
                // A few hundred bytes into an empty socket buffer: the kernel takes them at once or never.
                self.stream.write_all(&response)?;
                Ok(Some(request_len))
            }
            Answer::Refuse { response } => {
                self.stream.write_all(&response)?;
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for peer in self.peers.iter().flatten() {
            if let Peer::Opening(opening) = &**peer {
                let _ = self.poller.remove(&opening.stream);
            }
        }
        let _ = self.poller.remove(&self.listener);
    }
}

const LISTENER: usize = usize::MAX - 2;

/// Time to send a request: even a slow client needs a round trip.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Twice what the engine opens; beyond, a connection is closed as soon as it is accepted.
const MAX_CONNECTIONS: usize = 8192;
