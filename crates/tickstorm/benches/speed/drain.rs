//! A receiver that costs as little as one can.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use tickstorm::Target;
use tickstorm_net::{PlainSink, SinkMode};

/// Takes one connection and lets the kernel throw its bytes away where it can, so that the sender is never the one who
/// waits, and what the kernel does for it is done in its own time.
pub(crate) struct Drain {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<()>>,
}

/// What comes before the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    None,
    /// A WebSocket handshake, answered by a [`PlainSink`] behind the scenes.
    Handshake,
}

impl Drain {
    pub(crate) fn start(greeting: Greeting) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it listens");
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            if greeting == Greeting::Handshake {
                shake_hands(&mut stream)?;
            }
            let mut buffer = vec![0; 1 << 20];
            loop {
                match discard(&mut stream, &mut buffer)? {
                    0 => return Ok(()),
                    taken => count.fetch_add(taken as u64, Ordering::Relaxed),
                };
            }
        });
        Self { address, bytes, thread }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn target(&self) -> Target {
        format!("ws://{}", self.address).parse().expect("it is an address")
    }

    /// Bytes taken so far, after the handshake.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until the sender has closed.
    pub(crate) fn finish(self) -> u64 {
        // A sender may cut the connection: that is an end like any other here.
        let _ = self.thread.join().expect("the drain does not panic");
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Passes the request on to a server that knows how, and its answer back.
fn shake_hands(stream: &mut TcpStream) -> io::Result<()> {
    let sink = PlainSink::start(SinkMode::WebSocket)?;
    let mut server = TcpStream::connect(sink.address())?;
    server.write_all(&head(stream)?)?;
    stream.write_all(&head(&mut server)?)?;
    drop(server);
    sink.stop().map(drop)
}

/// Everything up to the empty line.
fn head(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// Linux discards the bytes of a stream without copying them when told to truncate.
#[cfg(target_os = "linux")]
fn discard(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, length) = rustix::net::recv(stream, buffer, rustix::net::RecvFlags::TRUNC)?;
    Ok(length)
}

#[cfg(not(target_os = "linux"))]
fn discard(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    stream.read(buffer)
}
