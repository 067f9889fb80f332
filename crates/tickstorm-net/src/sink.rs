//! A receiver that does nothing with what it receives.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::poller::Poller;
use crate::server::{Greeting, Server};

/// A server on loopback, in a thread of its own, that reads and forgets: the fastest target there can be, to
/// measure what the generator alone can do. Answers nothing after the handshake unless it reads frames, not even
/// a close frame.
#[derive(Debug)]
pub struct PlainSink {
    address: SocketAddr,
    shared: Arc<Shared>,
    poller: Arc<Poller>,
    thread: JoinHandle<io::Result<Received>>,
}

/// How a [`PlainSink`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkMode {
    /// A bare TCP stream.
    Raw,
    /// Shakes hands, then reads as if it were a bare stream.
    WebSocket,
    /// Shakes hands, then reads frames and notes when each message arrived.
    Timestamps {
        /// What arrival times count from. A message that arrives before counts as arriving at zero.
        origin: Instant,
    },
}

/// What a [`PlainSink`] received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// Connections accepted.
    pub connections: usize,
    /// Bytes read after the handshakes.
    pub bytes: u64,
    /// With [`SinkMode::Timestamps`], when each message arrived, in ns from the origin: for each connection, in
    /// the order of their opening, its first ten million messages.
    pub arrivals_ns: Vec<Vec<u64>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    bytes: AtomicU64,
}

impl PlainSink {
    /// Listens on a free port.
    pub fn start(mode: SinkMode) -> io::Result<Self> {
        let greeting = if mode == SinkMode::Raw { Greeting::None } else { Greeting::Handshake };
        let server = Server::listen(greeting)?;
        let (address, poller) = (server.address()?, Arc::clone(server.poller()));
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tickstorm-sink".into())
            .spawn(move || swallow(server, mode, &for_thread))?;
        Ok(Self { address, shared, poller, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same for a WebSocket client.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.address)
    }

    /// Bytes received so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Closes all connections, with what they have not read yet, and tells what came.
    pub fn stop(self) -> io::Result<Received> {
        self.shared.stop.store(true, Ordering::Release);
        self.poller.notify()?;
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the sink's thread panicked")))
    }
}

fn swallow(mut server: Server, mode: SinkMode, shared: &Shared) -> io::Result<Received> {
    let mut received = Received::default();
    let mut ready = Vec::new();
    let mut buffer = vec![0; READ_SIZE];
    // The place of each connection in `arrivals_ns`, by key.
    let mut places = Vec::new();
    while !shared.stop.load(Ordering::Acquire) {
        server.wait(Duration::MAX, &mut ready)?;
        for event in &ready {
            let Some(connection) = server.connection(event.key) else { continue };
            if places.len() <= event.key {
                places.resize(event.key + 1, None);
            }
            let place = *places[event.key].get_or_insert_with(|| {
                received.connections += 1;
                received.arrivals_ns.push(Vec::new());
                received.connections - 1
            });
            let read = if let SinkMode::Timestamps { origin } = mode {
                let arrivals_ns = &mut received.arrivals_ns[place];
                let mut now_ns = None;
                let read = connection.read(|_| {
                    let now_ns = *now_ns
                        .get_or_insert_with(|| Instant::now().duration_since(origin).as_nanos() as u64);
                    if arrivals_ns.len() < MAX_ARRIVALS {
                        arrivals_ns.push(now_ns);
                    }
                });
                read.map(|readable| readable.bytes).map_err(|_| ())
            } else {
                match connection.read_raw(&mut buffer) {
                    Ok(0) => Err(()),
                    Ok(count) => Ok(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                    Err(_) => Err(()),
                }
            };
            match read {
                Ok(count) => {
                    received.bytes += count as u64;
                    shared.bytes.store(received.bytes, Ordering::Relaxed);
                }
                Err(()) => server.drop_connection(event.key),
            }
        }
    }
    Ok(received)
}

/// Larger than what loopback delivers at once.
const READ_SIZE: usize = 256 << 10;

/// 80 MB of timestamps a connection.
const MAX_ARRIVALS: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;

    use super::*;
    use crate::connection::Connection;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_bare_stream_is_counted_to_the_byte() {
        let sink = PlainSink::start(SinkMode::Raw).unwrap();
        let mut stream = TcpStream::connect(sink.address()).unwrap();
        stream.write_all(&vec![b'x'; 3_000_001]).unwrap();
        wait_until(|| sink.bytes() == 3_000_001);
        assert_eq!(sink.stop().unwrap().connections, 1);
    }

    #[test]
    fn frames_are_discarded_behind_a_handshake() {
        let sink = PlainSink::start(SinkMode::WebSocket).unwrap();
        let mut connection = Connection::connect(&sink.endpoint(), PATIENCE).unwrap();
        connection.push_frame(|out| out.extend_from_slice(&[b'x'; 200]));
        assert_eq!(connection.flush().unwrap().frames, 1);
        wait_until(|| sink.bytes() == 208);
        let received = sink.stop().unwrap();
        assert_eq!((received.connections, received.bytes), (1, 208));
        assert!(received.arrivals_ns[0].is_empty());
    }

    #[test]
    fn each_message_has_its_arrival_time() {
        let origin = Instant::now();
        let sink = PlainSink::start(SinkMode::Timestamps { origin }).unwrap();
        let mut connections: Vec<Connection> =
            (0..3).map(|_| Connection::connect(&sink.endpoint(), PATIENCE).unwrap()).collect();
        for (index, connection) in connections.iter_mut().enumerate() {
            for _ in 0..=index {
                connection.push_frame(|out| out.push(b'x'));
            }
            connection.flush().unwrap();
        }
        for connection in connections {
            connection.close(PATIENCE);
        }
        let arrivals_ns = sink.stop().unwrap().arrivals_ns;
        let counts: Vec<usize> = arrivals_ns.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 2, 3]);
        let end_ns = origin.elapsed().as_nanos() as u64;
        assert!(arrivals_ns.iter().flatten().all(|&at_ns| at_ns > 0 && at_ns < end_ns));
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "it never came");
            std::thread::yield_now();
        }
    }
}
