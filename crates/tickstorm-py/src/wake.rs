//! Waking an event loop from a thread that never attaches to the interpreter.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

/// Wakes one loop. Many wake-ups before it comes are one.
pub(crate) enum Waker {
    /// A descriptor that the loop watches.
    #[cfg(unix)]
    Descriptor(Descriptor),
    /// For loops that watch no descriptors: a thread that calls `call_soon_threadsafe`, since that needs the interpreter.
    Thread(Arc<Signal>),
}

#[cfg(unix)]
pub(crate) struct Descriptor {
    read: rustix::fd::OwnedFd,
    /// None where one descriptor has both ends.
    write: Option<rustix::fd::OwnedFd>,
}

#[cfg(unix)]
impl Descriptor {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new() -> std::io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { read: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?, write: None })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new() -> std::io::Result<Self> {
        let (read, write) = rustix::pipe::pipe()?;
        for end in [&read, &write] {
            rustix::io::ioctl_fionbio(end, true)?;
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(Self { read, write: Some(write) })
    }

    pub(crate) fn number(&self) -> i32 {
        use std::os::fd::AsRawFd as _;
        self.read.as_raw_fd()
    }
}

#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    is_set: bool,
    is_over: bool,
}

impl Waker {
    /// Safe from any thread, and quick.
    pub(crate) fn wake(&self) {
        match self {
            #[cfg(unix)]
            Waker::Descriptor(descriptor) => {
                // A descriptor that takes no more is readable already, which is all that is asked of it.
                let end = descriptor.write.as_ref().unwrap_or(&descriptor.read);
                let _ = rustix::io::write(end, &1_u64.to_ne_bytes());
            }
            Waker::Thread(signal) => {
                signal.state().is_set = true;
                signal.changed.notify_one();
            }
        }
    }

    /// The loop has come: the next wake-up is a new one.
    pub(crate) fn clear(&self) {
        #[cfg(unix)]
        if let Waker::Descriptor(descriptor) = self {
            let mut read = [0; 64];
            // Nothing to read means that nobody woke us, which is no mistake.
            let _ = rustix::io::read(&descriptor.read, &mut read);
        }
    }

    /// Ends the thread, if there is one.
    pub(crate) fn end(&self) {
        match self {
            #[cfg(unix)]
            Waker::Descriptor(_) => {}
            Waker::Thread(signal) => {
                signal.state().is_over = true;
                signal.changed.notify_one();
            }
        }
    }
}

impl Signal {
    /// Calls `loop.call_soon_threadsafe(callback)` for each wake-up, until the end.
    pub(crate) fn serve(self: Arc<Self>, call_soon: Py<PyAny>, callback: Py<PyAny>) {
        loop {
            let mut state = self.state();
            while !state.is_set && !state.is_over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let is_over = state.is_over;
            state.is_set = false;
            drop(state);
            if is_over {
                // The objects are dropped where the interpreter is; without one there is nothing to drop.
                let _ = Python::try_attach(|_| drop((call_soon, callback)));
                return;
            }
            // A loop that is closed has no use for it.
            let called = Python::try_attach(|py| call_soon.call1(py, (&callback,)).is_ok());
            if called != Some(true) {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
