//! The frames of one turn of a server's loop, for all its clients.

use std::ops::Range;
use std::sync::Arc;

use crate::frame::{self, Opcode};

/// A buffer into which every frame of a turn is written once, whoever gets it. Clients refer to it by ranges; frames
/// that follow each other and go to the same client become one range, and one write.
#[derive(Debug, Default)]
pub struct Turn {
    bytes: Vec<u8>,
}

/// A turn that is over: what clients could not take of it may stay in memory for as long as they need.
#[derive(Debug)]
pub struct Sealed(Arc<Vec<u8>>);

impl Turn {
    /// An empty turn.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes so far, headers included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a text message and tells where its frame lies.
    #[inline]
    pub fn text(&mut self, payload: &[u8]) -> Range<usize> {
        self.parts(&[payload])
    }

    /// Adds a text message of several parts, one after the other.
    #[inline]
    pub fn parts(&mut self, parts: &[&[u8]]) -> Range<usize> {
        let start = self.bytes.len();
        let unfinished = frame::begin(&mut self.bytes, None);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        unfinished.finish(&mut self.bytes, Opcode::Text);
        start..self.bytes.len()
    }

    /// Adds a control frame; of the payload at most 125 bytes are kept.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        frame::write(&mut self.bytes, opcode, &payload[..payload.len().min(125)], None);
        start..self.bytes.len()
    }

    /// Adds a close frame: a code, and a text cut to what fits.
    pub fn close(&mut self, code: u16, text: &str) -> Range<usize> {
        self.control(Opcode::Close, &frame::close_payload(code, text))
    }

    /// Ends the turn: its frames can be flushed now, and no more are added.
    pub fn seal(&mut self) -> Sealed {
        Sealed(Arc::new(std::mem::take(&mut self.bytes)))
    }

    /// Begins the next turn, in the memory of the last one unless a client still needs that.
    pub fn reuse(&mut self, sealed: Sealed) {
        if let Some(mut bytes) = Arc::into_inner(sealed.0) {
            bytes.clear();
            // After a turn of snapshots the memory goes back.
            if bytes.capacity() <= KEPT {
                self.bytes = bytes;
            }
        }
    }
}

impl Sealed {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn share(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.0)
    }
}

/// Larger buffers are not kept for the next turn.
const KEPT: usize = 4 << 20;
