//! The `polling` crate, for systems without epoll.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use polling::{AsRawSource, AsSource, PollMode};

use super::{EVENTS_PER_WAIT, Event, Interest};

#[derive(Debug)]
pub(super) struct Poller(polling::Poller);

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        polling::Poller::new().map(Self)
    }

    pub(super) fn notify(&self) -> io::Result<()> {
        self.0.notify()
    }

    pub(super) fn wait(&self, timeout: Duration, events: &mut Events) -> io::Result<()> {
        events.0.clear();
        self.0.wait(&mut events.0, (timeout != Duration::MAX).then_some(timeout))?;
        Ok(())
    }

    pub(super) fn add(&self, source: impl AsRawSource, key: usize, interest: Interest) -> io::Result<()> {
        // SAFETY: within this crate every source is removed before it is closed; the type is not public.
        unsafe { self.0.add_with_mode(source, event(key, interest), PollMode::Level) }
    }

    pub(super) fn modify(&self, source: impl AsSource, key: usize, interest: Interest) -> io::Result<()> {
        self.0.modify_with_mode(source, event(key, interest), PollMode::Level)
    }

    pub(super) fn remove(&self, source: impl AsSource) -> io::Result<()> {
        self.0.delete(source)
    }
}

pub(super) struct Events(polling::Events);

impl Events {
    pub(super) fn new() -> Self {
        Self(polling::Events::with_capacity(
            NonZeroUsize::new(EVENTS_PER_WAIT).expect("the constant is above zero"),
        ))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|event| Event {
            key: event.key,
            readable: event.readable,
            writable: event.writable,
        })
    }
}

fn event(key: usize, interest: Interest) -> polling::Event {
    polling::Event::new(key, interest.read(), interest.write())
}
