//! Waiting for sockets and for an instant, whichever comes first.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

use std::fmt;
use std::io;
use std::time::Duration;

use polling::{AsRawSource, AsSource};

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use portable as system;

/// Waits for readiness of many sockets with a timeout that is kept to some ten microseconds.
///
/// Readiness is level-triggered: what is still readable or writable is told again by the next wait. One thread
/// waits; any thread may [`notify`](Poller::notify).
///
/// On Linux the timeout is a timer of its own in the epoll set: exact to the nanosecond in the kernel, whatever
/// the thread's timer slack, on kernels too old for `epoll_pwait2` as well. Elsewhere it is as good as the
/// `polling` crate makes it: a millisecond or better.
#[derive(Debug)]
pub struct Poller(system::Poller);

impl Poller {
    /// A poller that watches nothing yet.
    pub fn new() -> io::Result<Self> {
        system::Poller::new().map(Self)
    }

    /// Ends the current wait of the waiting thread, or its next one if it is not waiting.
    pub fn notify(&self) -> io::Result<()> {
        self.0.notify()
    }

    /// Waits until a watched socket is ready, the timeout is over or [`notify`](Poller::notify) is called, and
    /// replaces the content of `events`, which stays empty in the last two cases. `Duration::MAX` is no timeout,
    /// zero only looks. May return early with no events.
    pub fn wait(&self, timeout: Duration, events: &mut Events) -> io::Result<()> {
        self.0.wait(timeout, &mut events.0)
    }

    /// Watches a socket. The caller removes it before closing it: some systems keep the bare handle.
    pub(crate) fn add(&self, source: impl AsRawSource, key: usize, interest: Interest) -> io::Result<()> {
        self.0.add(source, key, interest)
    }

    /// Changes what is watched for.
    pub(crate) fn modify(&self, source: impl AsSource, key: usize, interest: Interest) -> io::Result<()> {
        self.0.modify(source, key, interest)
    }

    /// Stops watching.
    pub(crate) fn remove(&self, source: impl AsSource) -> io::Result<()> {
        self.0.remove(source)
    }
}

/// What a socket is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Nothing,
    Read,
    Write,
    Both,
}

impl Interest {
    pub(crate) const fn read(self) -> bool {
        matches!(self, Interest::Read | Interest::Both)
    }

    pub(crate) const fn write(self) -> bool {
        matches!(self, Interest::Write | Interest::Both)
    }
}

/// What a wait found. Made once and used again for every wait.
pub struct Events(system::Events);

impl Events {
    /// Room for as many events a wait as the next busy sockets need; the rest is told by the next wait.
    #[expect(clippy::new_without_default, reason = "it allocates")]
    pub fn new() -> Self {
        Self(system::Events::new())
    }

    /// The sockets that are ready.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A socket that is ready. A socket in error or hung up is both readable and writable: trying tells what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What the socket was registered as.
    pub key: usize,
    /// A read will not block.
    pub readable: bool,
    /// A write will not block.
    pub writable: bool,
}

/// Makes sleeps and timeouts of the calling thread as exact as the system can, here a timer slack of 1 ns in
/// place of the usual 50 us. A [`Poller`] does not need it; `std::thread::sleep` does. Does nothing on systems
/// without such a setting.
pub fn precise_timers() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    Ok(())
}

/// Events taken from the system at once.
const EVENTS_PER_WAIT: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    /// Every implementation keeps the same promises.
    macro_rules! conforms {
        ($name:ident, $system:ident) => {
            mod $name {
                use super::super::$system::{Events, Poller};
                use super::*;

                #[test]
                fn a_wait_lasts_its_timeout() {
                    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
                    for timeout in [Duration::from_micros(300), Duration::from_millis(3)] {
                        let start = Instant::now();
                        poller.wait(timeout, &mut events).unwrap();
                        assert!(start.elapsed() >= timeout);
                        assert_eq!(events.iter().count(), 0);
                    }
                }

                #[test]
                fn readiness_is_told_until_it_is_taken() {
                    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
                    let (near, mut far) = pair();
                    poller.add(&near, 7, Interest::Read).unwrap();
                    far.write_all(b"x").unwrap();
                    for _ in 0..2 {
                        poller.wait(Duration::from_secs(10), &mut events).unwrap();
                        let told: Vec<Event> = events.iter().collect();
                        assert_eq!(told, [Event { key: 7, readable: true, writable: false }]);
                    }
                    poller.modify(&near, 7, Interest::Both).unwrap();
                    poller.wait(Duration::from_secs(10), &mut events).unwrap();
                    assert!(events.iter().next().unwrap().writable);
                    poller.modify(&near, 7, Interest::Nothing).unwrap();
                    poller.wait(Duration::ZERO, &mut events).unwrap();
                    assert_eq!(events.iter().count(), 0);
                    poller.remove(&near).unwrap();
                }

                #[test]
                fn a_notification_ends_the_current_or_the_next_wait_and_no_other() {
                    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
                    poller.notify().unwrap();
                    poller.wait(Duration::MAX, &mut events).unwrap();
                    assert_eq!(events.iter().count(), 0);
                    let start = Instant::now();
                    poller.wait(Duration::from_millis(2), &mut events).unwrap();
                    assert!(start.elapsed() >= Duration::from_millis(2));
                    std::thread::scope(|scope| {
                        scope.spawn(|| poller.notify().unwrap());
                        poller.wait(Duration::MAX, &mut events).unwrap();
                    });
                }

                #[test]
                fn a_timeout_that_fired_is_forgotten_by_the_next_wait() {
                    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
                    poller.wait(Duration::from_micros(50), &mut events).unwrap();
                    poller.wait(Duration::ZERO, &mut events).unwrap();
                    let start = Instant::now();
                    poller.wait(Duration::from_millis(5), &mut events).unwrap();
                    assert!(start.elapsed() >= Duration::from_millis(5));
                }
            }
        };
    }

    #[cfg(target_os = "linux")]
    conforms!(on_linux, linux);
    conforms!(elsewhere, portable);
}
