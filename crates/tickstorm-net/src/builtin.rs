//! The built-in target: a real consumer of the feed whose behaviour is known.

mod consumer;
mod service;
mod spec;

pub use spec::{BuiltinSpec, BuiltinSpecError, Distribution};

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tickstorm_market::event::Snapshot;
use tickstorm_market::instrument::Listing;
use tickstorm_venue::{Decoder, Replica, Venue};

use crate::endpoint::Endpoint;
use crate::poller::Poller;
use crate::server::{Greeting, Server};
use consumer::Consumer;
use service::{NO_ORIGIN, Service};

/// A WebSocket server on loopback, in a thread of its own, that does with market data what a trading system does:
/// it decodes every message, keeps the books and verifies the sequences. It answers each message with
/// `{"ack":n}`, n being the message's place on its connection counted from 0; a batch holds several messages. A
/// message that it rejects, as its spec says, is answered `{"ack":n,"error":"rejected"}`, one that it cannot read
/// `{"ack":n,"error":"malformed"}`.
///
/// All connections share one first-come-first-served queue. A message arrives when it is read from its socket, and
/// sockets are read whether or not there are messages in the queue: the queue is the target's, not the network's.
/// Only with a million messages in it, or 4 MiB of answers that a peer does not read, reading stops.
#[derive(Debug)]
pub struct Builtin {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    poller: Arc<Poller>,
    thread: JoinHandle<()>,
}

/// What the built-in target saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Connections opened.
    pub connections: u64,
    /// Connections that ended otherwise than by a close frame.
    pub broken_connections: u64,
    /// Messages received, malformed ones included.
    pub messages: u64,
    /// Payload bytes of all frames.
    pub bytes: u64,
    /// Answers handed to the connections, of every kind.
    pub acks: u64,
    /// Messages answered with `rejected`.
    pub rejected: u64,
    /// Messages that could not be read.
    pub decode_errors: u64,
    /// Messages that could be read and were wrong, by kind of fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// The first five texts of each kind of fault, and of [`DECODE_ERROR`] and [`BROKEN_CONNECTION`].
    pub samples: BTreeMap<&'static str, Vec<String>>,
    /// Why the target stopped by itself, if it did.
    pub failure: Option<String>,
}

/// The kind under which [`Findings::samples`] keeps messages that could not be read.
pub const DECODE_ERROR: &str = "decode_error";

/// The kind under which [`Findings::samples`] keeps how connections broke.
pub const BROKEN_CONNECTION: &str = "broken_connection";

impl Findings {
    /// Whether every message could be read and was right.
    pub fn is_clean(&self) -> bool {
        self.decode_errors == 0 && self.faults.is_empty() && self.failure.is_none()
    }

    fn sample(&mut self, kind: &'static str, text: impl FnOnce() -> String) {
        let samples = self.samples.entry(kind).or_default();
        if samples.len() < MAX_SAMPLES {
            samples.push(text());
        }
    }
}

impl Builtin {
    /// Starts listening on a free port for the messages of `venue` about `listing`; the books begin as `snapshots`
    /// say. A symbol without snapshot begins with its first message.
    pub fn start(
        spec: &BuiltinSpec,
        venue: Venue,
        listing: &Listing,
        snapshots: &[Snapshot],
    ) -> io::Result<Self> {
        let mut replica = Replica::new(venue, listing);
        for snapshot in snapshots {
            replica.seed(snapshot);
        }
        let decoder = Decoder::new(venue, listing);
        let server = Server::listen(Greeting::Handshake)?;
        let endpoint = Endpoint::at(server.address()?);
        let poller = Arc::clone(server.poller());
        let shared = Arc::new(Shared::new());
        let consumer = Consumer::new(server, decoder, replica, Service::new(spec), Arc::clone(&shared));
        let thread =
            std::thread::Builder::new().name("tickstorm-builtin".into()).spawn(move || consumer.run())?;
        Ok(Self { endpoint, shared, poller, thread })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Says when the run started: freeze windows count from there. Without it, and for messages that arrive
    /// before, there are none.
    pub fn set_origin(&self, origin: Instant) {
        let after_ns = origin.saturating_duration_since(self.shared.epoch).as_nanos() as i64;
        let before_ns = self.shared.epoch.saturating_duration_since(origin).as_nanos() as i64;
        let origin_ns = after_ns - before_ns;
        self.shared.origin_ns.store(origin_ns, Ordering::Release);
    }

    /// Why it could not accept a connection the last time that it could not, told once.
    pub fn take_refusal(&self) -> Option<io::Error> {
        self.shared.refusal().take()
    }

    /// What it has seen so far.
    pub fn findings(&self) -> Findings {
        self.shared.findings().clone()
    }

    /// Closes all connections, whatever is in the queue, and tells what it saw.
    pub fn stop(self) -> Findings {
        self.shared.stop.store(true, Ordering::Release);
        // If the poller cannot be told, the thread has failed and is gone.
        let _ = self.poller.notify();
        let panicked = self.thread.join().is_err();
        let mut findings = self.shared.findings().clone();
        if panicked {
            findings.failure = Some("the built-in target panicked".into());
        }
        findings
    }
}

/// Between the target's thread and its owner.
#[derive(Debug)]
struct Shared {
    /// What the thread's clock counts from.
    epoch: Instant,
    /// The start of the run on that clock, or [`NO_ORIGIN`].
    origin_ns: AtomicI64,
    stop: AtomicBool,
    /// Locked by the thread once a read, not once a message.
    findings: Mutex<Findings>,
    /// Why a connection was not accepted.
    refusal: Mutex<Option<io::Error>>,
}

impl Shared {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            origin_ns: AtomicI64::new(NO_ORIGIN),
            stop: AtomicBool::new(false),
            findings: Mutex::default(),
            refusal: Mutex::default(),
        }
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        // Counts stay counts when their writer panicked.
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_SAMPLES: usize = 5;
