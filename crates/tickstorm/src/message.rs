//! Messages as called code and the generator hand them out.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tickstorm_market::{Kind, Listing};
use tickstorm_venue::{Encoder, Numbering};

/// One message in a venue's wording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub kind: Kind,
    /// The instrument, as `BTCUSDT`.
    pub symbol: Arc<str>,
    /// Its number among its symbol's messages, from 1, without gaps over all kinds.
    pub sequence: u64,
    /// When it is due, since the start of the run.
    pub due: Duration,
    /// What goes on the wire.
    pub bytes: Bytes,
}

/// Turns market messages into [`Message`]s.
#[derive(Debug)]
pub(crate) struct Wording {
    encoder: Encoder,
    numbering: Numbering,
    symbols: Vec<Arc<str>>,
    buffer: Vec<u8>,
}

impl Wording {
    pub(crate) fn new(encoder: Encoder, listing: &Listing) -> Self {
        let symbols =
            listing.instruments.iter().map(|instrument| instrument.symbol.as_str().into()).collect();
        Self { encoder, numbering: Numbering::default(), symbols, buffer: Vec::with_capacity(1024) }
    }

    /// None if the venue does not tell such a thing.
    pub(crate) fn message(&mut self, message: &tickstorm_market::Message) -> Option<Message> {
        self.buffer.clear();
        self.encoder.encode(message, &mut self.numbering, &mut self.buffer).then(|| Message {
            kind: message.body.kind(),
            symbol: self.symbols[message.symbol.0 as usize].clone(),
            sequence: message.sequence,
            due: Duration::from_nanos(message.due_ns),
            bytes: Bytes::copy_from_slice(&self.buffer),
        })
    }

    /// Appends what goes on the wire. Whether the venue tells such a thing.
    pub(crate) fn write(&mut self, message: &tickstorm_market::Message, out: &mut Vec<u8>) -> bool {
        self.encoder.encode(message, &mut self.numbering, out)
    }

    /// Takes note of a message that nobody gets. Whether the venue would tell it.
    pub(crate) fn pass(&mut self, message: &tickstorm_market::Message) -> bool {
        self.buffer.clear();
        self.encoder.encode(message, &mut Numbering::default(), &mut self.buffer)
    }
}
