//! Threads for targets that are plain callables: they may block, and nothing else then waits.

use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use pyo3::{intern, prelude::*, types::PyDict};
use tickstorm::{HostedCall, HostedCalls};

use super::{Host, Running, answer, failure, invocation, must_rise};

/// Threads of Python's own, as many as are needed and one more, so that a message that is due never waits for a thread to
/// be made.
pub(crate) struct Pool {
    /// Guards nothing but the wait itself.
    door: Mutex<()>,
    opened: Condvar,
    idle: AtomicUsize,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { door: Mutex::default(), opened: Condvar::new(), idle: AtomicUsize::new(0) }
    }

    /// Wakes a thread, if one waits.
    pub(super) fn rouse(&self) {
        // With the door held nobody is between looking and waiting.
        let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.opened.notify_one();
    }

    /// Waits until there is a call to make, or the run is over.
    fn wait(&self, calls: &HostedCalls) {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            calls.come();
            if calls.has_news() {
                return;
            }
            door = self.opened.wait(door).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds a thread.
    pub(super) fn grow(host: &Bound<'_, Host>) -> PyResult<()> {
        let py = host.py();
        host.get().pool.idle.fetch_add(1, Relaxed);
        let options = PyDict::new(py);
        options.set_item("target", host.getattr(intern!(py, "serve"))?)?;
        options.set_item("name", "tickstorm-call")?;
        let thread = py.import("threading")?.getattr("Thread")?.call((), Some(&options))?;
        let started = thread.call_method0("start");
        if started.is_err() {
            host.get().pool.idle.fetch_sub(1, Relaxed);
        }
        started.map(drop)
    }

    /// Makes calls until the run is over, or one has raised what ends the program.
    pub(super) fn serve(slf: &Bound<'_, Host>) -> PyResult<()> {
        let py = slf.py();
        let host = slf.get();
        loop {
            py.detach(|| host.pool.wait(&host.calls));
            if host.calls.is_over() || host.has_risen.load(Relaxed) {
                // Whoever else waits hears of it from us: a wake-up reaches only one.
                host.pool.rouse();
                return Ok(());
            }
            Self::hand_on_what_is_given_up(host);
            let Some(call) = host.calls.take() else { continue };
            if host.pool.idle.fetch_sub(1, Relaxed) <= 1 {
                // Where no more can be made the call is made all the same, and the next one waits for a thread.
                let _ = Self::grow(slf);
            } else if host.calls.has_more() {
                host.pool.rouse();
            }
            Self::make(slf, call);
            host.pool.idle.fetch_add(1, Relaxed);
        }
    }

    fn make(slf: &Bound<'_, Host>, call: HostedCall) {
        let py = slf.py();
        let host = slf.get();
        host.running().insert(call.id.first, Running::default());
        let returned =
            host.argument(py, &call).and_then(|argument| host.call_in_context(py, call.id, argument));
        match returned {
            Ok(value) => match invocation::is_awaitable(&value) {
                true => {
                    host.handed_over().awaitables.push_back((call.id, value.unbind()));
                    host.waker.wake();
                }
                false => host.end_unawaited(call.id, answer(&value)),
            },
            Err(error) => {
                host.end_unawaited(call.id, Err(failure(py, &error)));
                if must_rise(py, &error) {
                    host.rise(error);
                }
            }
        }
    }

    /// Only what is awaited on the loop can be cancelled; what is not yet, or never, is only marked.
    fn hand_on_what_is_given_up(host: &Host) {
        let mut is_any = false;
        while let Some(ordinal) = host.calls.take_given_up() {
            let is_awaited = host.running().get_mut(&ordinal).is_some_and(|running| {
                running.is_given_up = true;
                running.task.is_some()
            });
            if is_awaited {
                host.handed_over().given_up.push_back(ordinal);
                is_any = true;
            }
        }
        if is_any {
            host.waker.wake();
        }
    }
}
