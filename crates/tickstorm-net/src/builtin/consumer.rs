//! The thread of the built-in target: read, check, queue, answer.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tickstorm_venue::{Decoded, Decoder, Replica, Sequences};

use super::service::{Outcome, Service};
use super::{BROKEN_CONNECTION, DECODE_ERROR, Findings, Shared};
use crate::connection::{ConnectionError, Reading};
use crate::server::Server;

#[derive(Debug)]
pub(super) struct Consumer {
    server: Server,
    books: Books,
    service: Service,
    shared: Arc<Shared>,
    /// Messages received, by connection.
    ordinals: Vec<u64>,
    /// The venue's numbers of the last messages, by connection.
    sequences: Vec<Sequences>,
    /// Connections with answers to flush.
    answered: Vec<usize>,
    /// Connections that are not read for now.
    paused: Vec<usize>,
}

/// What the consumer knows of the market.
#[derive(Debug)]
struct Books {
    decoder: Decoder,
    replica: Replica,
}

impl Consumer {
    pub(super) fn new(
        server: Server,
        decoder: Decoder,
        replica: Replica,
        service: Service,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            server,
            books: Books { decoder, replica },
            service,
            shared,
            ordinals: Vec::new(),
            sequences: Vec::new(),
            answered: Vec::new(),
            paused: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        while !self.shared.stop.load(Ordering::Acquire) {
            let timeout = self.until_next_answer();
            if let Err(error) = self.server.wait(timeout, &mut ready) {
                self.shared.findings().failure = Some(format!("cannot wait for sockets: {error}"));
                return;
            }
            if let Some(error) = self.server.take_refusal() {
                *self.shared.refusal() = Some(error);
            }
            self.send_due();
            for event in &ready {
                if event.writable {
                    self.flush(event.key);
                }
                if event.readable {
                    self.read(event.key);
                    // Between reads, so that a due answer does not wait for all that came in.
                    self.send_due();
                }
            }
            self.resume();
        }
        for connection in self.server.connections() {
            connection.say_close(GOING_AWAY, "");
        }
    }

    fn until_next_answer(&self) -> Duration {
        self.service.next_due_ns().map_or(Duration::MAX, |due_ns| {
            Duration::from_nanos(due_ns.saturating_sub(clock_ns(self.shared.epoch)))
        })
    }

    fn read(&mut self, key: usize) {
        let Some(connection) = self.server.connection(key) else { return };
        let full = self.service.queued() >= MAX_QUEUED || connection.buffered() >= MAX_UNREAD_ANSWERS;
        // One that is paused and still told as readable is broken, which only a read can tell.
        if full && connection.reading() == Reading::On && connection.set_reading(Reading::Paused).is_ok() {
            self.paused.push(key);
            return;
        }
        if self.ordinals.len() <= key {
            self.ordinals.resize(key + 1, NOT_SEEN);
            self.sequences.resize(key + 1, Sequences::default());
        }
        let sequences = &mut self.sequences[key];
        let ordinal = &mut self.ordinals[key];
        let mut findings = self.shared.findings();
        if *ordinal == NOT_SEEN {
            *ordinal = 0;
            findings.connections += 1;
        }
        let mut arrival_ns = None;
        let (books, service, shared) = (&mut self.books, &mut self.service, &self.shared);
        let read = connection.read(|payload| {
            let arrival_ns = *arrival_ns.get_or_insert_with(|| {
                service.set_origin(shared.origin_ns.load(Ordering::Acquire));
                clock_ns(shared.epoch)
            });
            findings.bytes += payload.len() as u64;
            books.take(payload, sequences, &mut findings, |outcome| {
                service.take(arrival_ns, key, *ordinal, outcome);
                *ordinal += 1;
            });
        });
        if let Err(error) = read {
            if !matches!(error, ConnectionError::Closed(_)) {
                findings.broken_connections += 1;
                findings.sample(BROKEN_CONNECTION, || with_causes(&error));
            }
            drop(findings);
            self.server.drop_connection(key);
        }
    }

    /// Hands every answer that is due to its connection, then each such connection to the kernel.
    fn send_due(&mut self) {
        let now_ns = clock_ns(self.shared.epoch);
        let (mut acks, mut rejected) = (0, 0);
        while let Some(answer) = self.service.pop_due(now_ns) {
            // Its connection may be gone.
            let Some(connection) = self.server.connection(answer.connection) else { continue };
            connection.push_frame(|out| {
                let error = match answer.outcome {
                    Outcome::Processed => "",
                    Outcome::Rejected => r#","error":"rejected""#,
                    Outcome::Malformed => r#","error":"malformed""#,
                };
                write!(out, r#"{{"ack":{}{error}}}"#, answer.ordinal).expect("a Vec takes everything");
            });
            acks += 1;
            rejected += u64::from(answer.outcome == Outcome::Rejected);
            if self.answered.last() != Some(&answer.connection) {
                self.answered.push(answer.connection);
            }
        }
        if acks == 0 {
            return;
        }
        // Counted before they are sent: who has an answer finds it in the findings.
        let mut findings = self.shared.findings();
        findings.acks += acks;
        findings.rejected += rejected;
        drop(findings);
        let mut answered = std::mem::take(&mut self.answered);
        answered.sort_unstable();
        answered.dedup();
        for key in answered.drain(..) {
            // A blocked connection is flushed when it takes more again.
            if self.server.connection(key).is_some_and(|connection| !connection.is_blocked()) {
                self.flush(key);
            }
        }
        self.answered = answered;
    }

    fn flush(&mut self, key: usize) {
        let Some(connection) = self.server.connection(key) else { return };
        if let Err(error) = connection.flush() {
            let mut findings = self.shared.findings();
            findings.broken_connections += 1;
            let error = ConnectionError::Lost(error.kind());
            findings.sample(BROKEN_CONNECTION, || error.to_string());
            drop(findings);
            self.server.drop_connection(key);
        }
    }

    /// Reads again where there is room again, with some distance to the limits.
    fn resume(&mut self) {
        if self.paused.is_empty() || self.service.queued() > MAX_QUEUED / 4 * 3 {
            return;
        }
        let server = &mut self.server;
        self.paused.retain(|&key| match server.connection(key) {
            None => false,
            Some(connection) if connection.buffered() > MAX_UNREAD_ANSWERS / 4 * 3 => true,
            Some(connection) => connection.set_reading(Reading::On).is_err(),
        });
    }
}

impl Books {
    /// Looks at every message of a frame.
    fn take(
        &mut self,
        payload: &[u8],
        sequences: &mut Sequences,
        findings: &mut Findings,
        mut on_message: impl FnMut(Outcome),
    ) {
        self.decoder.decode_each(payload, |decoded| {
            let numbered = matches!(decoded, Ok(Decoded::Numbered(_)));
            findings.messages += u64::from(!numbered);
            let outcome = match decoded {
                Ok(said) => {
                    let checked = match said {
                        Decoded::Numbered(number) => sequences.on_number(number),
                        said => self.replica.apply(&said),
                    };
                    if let Err(fault) = checked {
                        *findings.faults.entry(fault.kind()).or_default() += 1;
                        findings.sample(fault.kind(), || fault.to_string());
                    }
                    Outcome::Processed
                }
                Err(error) => {
                    findings.decode_errors += 1;
                    findings.sample(DECODE_ERROR, || error.to_string());
                    Outcome::Malformed
                }
            };
            // The number of a message is no message of its own.
            if !numbered {
                on_message(outcome);
            }
        });
    }
}

fn clock_ns(epoch: Instant) -> u64 {
    epoch.elapsed().as_nanos() as u64
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a String takes everything");
        cause = error.source();
    }
    text
}

/// The close code for a server that is being shut down.
const GOING_AWAY: u16 = 1001;

/// Answers that may wait: 50 MB of them.
const MAX_QUEUED: usize = 1_000_000;

/// Answers that may wait for a peer to read them, in bytes.
const MAX_UNREAD_ANSWERS: usize = 4 << 20;

/// The ordinal of a connection that has not been looked at.
const NOT_SEEN: u64 = u64::MAX;
