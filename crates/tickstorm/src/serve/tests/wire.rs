//! A connection without sockets: two directions of bytes and a kernel that holds so many.

use std::{
    cell::{RefCell, RefMut},
    collections::VecDeque,
    io::{self, Read, Write},
    rc::Rc,
};

use tickstorm_net::Carrier;

/// Both ends of a connection; clones are of the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire(Rc<RefCell<State>>);

/// What both ends know.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What the kernel holds for the client.
    pub took: Vec<u8>,
    /// How much of that it holds at most.
    pub capacity: usize,
    /// What the client has said and the exchange has not read.
    pub said: VecDeque<u8>,
    pub fate: Fate,
    /// Of the exchange, in all.
    pub written: u64,
}

/// What has become of the client's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fate {
    #[default]
    Open,
    /// It was closed without a close frame.
    Ended,
    /// It was reset.
    Broken,
    /// It is gone and nobody knows: what is written vanishes, and nothing comes.
    HalfOpen,
}

impl Wire {
    pub(super) fn new(capacity: usize) -> Self {
        let wire = Self::default();
        wire.state().capacity = capacity;
        wire
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Whether a poller would tell of something to read.
    pub(super) fn is_readable(&self) -> bool {
        let state = self.state();
        !state.said.is_empty() || matches!(state.fate, Fate::Ended | Fate::Broken)
    }

    /// Whether a poller would tell of room to write.
    pub(super) fn is_writable(&self) -> bool {
        let state = self.state();
        state.fate != Fate::Open || state.took.len() < state.capacity
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let count = match state.fate {
            Fate::Broken => return Err(io::ErrorKind::BrokenPipe.into()),
            Fate::HalfOpen => bytes.len(),
            Fate::Open | Fate::Ended => {
                let count = bytes.len().min(state.capacity.saturating_sub(state.took.len()));
                state.took.extend_from_slice(&bytes[..count]);
                count
            }
        };
        state.written += count as u64;
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier for Wire {}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        match state.fate {
            Fate::Broken => Err(io::ErrorKind::ConnectionReset.into()),
            _ if !state.said.is_empty() => state.said.read(into),
            Fate::Ended => Ok(0),
            Fate::Open | Fate::HalfOpen => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
