//! epoll, with a timerfd for the timeout and an eventfd for the notification.

use std::io;
use std::time::Duration;

use polling::{AsRawSource, AsSource};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::{EVENTS_PER_WAIT, Event, Interest};

#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    notifier: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let notifier = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &notifier, epoll::EventData::new_u64(NOTIFIER), epoll::EventFlags::IN)?;
        Ok(Self { epoll, timer, notifier })
    }

    pub(super) fn notify(&self) -> io::Result<()> {
        match rustix::io::write(&self.notifier, &1u64.to_ne_bytes()) {
            // The counter is full: plenty of notifications are waiting.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn wait(&self, timeout: Duration, events: &mut Events) -> io::Result<()> {
        // Setting the timer also takes back what it said before, so it is never read.
        let look_only = timeout.is_zero().then_some(NOT_AT_ALL);
        if look_only.is_none() {
            let value = if timeout == Duration::MAX { NOT_AT_ALL } else { timespec(timeout) };
            let once = Itimerspec { it_interval: NOT_AT_ALL, it_value: value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        }
        events.0.clear();
        let mut look = |timeout: Option<&Timespec>| {
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events.0), timeout)
        };
        match look(look_only.as_ref()) {
            // A signal, or a process that was stopped and goes on: what has come meanwhile is there to be seen.
            Err(rustix::io::Errno::INTR) => look(Some(&NOT_AT_ALL))?,
            found => found?,
        };
        if events.0.iter().any(|event| event.data.u64() == NOTIFIER) {
            // Only this thread reads it, so there is something to read, and what it says is of no interest.
            let _ = rustix::io::read(&self.notifier, &mut [0u8; 8]);
        }
        Ok(())
    }

    pub(super) fn add(&self, source: impl AsRawSource, key: usize, interest: Interest) -> io::Result<()> {
        // SAFETY: the descriptor is only borrowed for this call; the source that it comes from is borrowed or
        // owned by the caller for as long, and epoll forgets a descriptor that is closed.
        let source = unsafe { BorrowedFd::borrow_raw(source.raw()) };
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(key as u64), flags(interest))?)
    }

    pub(super) fn modify(&self, source: impl AsSource, key: usize, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key as u64);
        Ok(epoll::modify(&self.epoll, source.source(), data, flags(interest))?)
    }

    pub(super) fn remove(&self, source: impl AsSource) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source.source())?)
    }
}

pub(super) struct Events(Vec<epoll::Event>);

// SAFETY: the data of an event may be a pointer as far as its type goes; ours are numbers.
unsafe impl Send for Events {}

impl Events {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS_PER_WAIT))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        let ours = |event: &&epoll::Event| !matches!(event.data.u64(), TIMER | NOTIFIER);
        self.0.iter().filter(ours).map(|event| {
            let flags = event.flags;
            let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            Event {
                key: event.data.u64() as usize,
                readable: broken || flags.contains(epoll::EventFlags::IN),
                writable: broken || flags.contains(epoll::EventFlags::OUT),
            }
        })
    }
}

fn flags(interest: Interest) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    flags.set(epoll::EventFlags::IN, interest.read());
    flags.set(epoll::EventFlags::OUT, interest.write());
    flags
}

/// A timeout beyond what the kernel can count is as good as the longest it can.
fn timespec(timeout: Duration) -> Timespec {
    Timespec { tv_sec: timeout.as_secs().min(i32::MAX as u64) as _, tv_nsec: timeout.subsec_nanos() as _ }
}

const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

// Keys of our own descriptors, out of reach of keys that count sockets.
const TIMER: u64 = u64::MAX;
const NOTIFIER: u64 = u64::MAX - 1;
