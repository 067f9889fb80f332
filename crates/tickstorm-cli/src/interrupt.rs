//! Ctrl-C for commands that look up now and then from what they do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};

use crate::exit::{Exit, Refusal};

/// Whether Ctrl-C or a polite kill has come. A second one ends the process at once, in case that it waits for
/// somebody. Stops listening when dropped.
#[derive(Debug)]
pub(crate) struct Interrupt {
    came: Arc<AtomicBool>,
    handlers: Vec<SigId>,
}

impl Interrupt {
    pub(crate) fn listen() -> Result<Self, Refusal> {
        Self::after(false)
    }

    /// Has the first one end the process at once, where there is nothing to look up from and nothing to save.
    pub(crate) fn exit_at_once() -> Result<Self, Refusal> {
        Self::after(true)
    }

    fn after(has_come: bool) -> Result<Self, Refusal> {
        let mut interrupt = Self { came: Arc::new(has_come.into()), handlers: Vec::new() };
        interrupt
            .register()
            .map_err(|error| Refusal::new(Exit::Failure, format!("cannot watch for Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    fn register(&mut self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let code = i32::from(Exit::Interrupted.code());
            // In this order: the first signal finds the flag down.
            self.handlers.push(flag::register_conditional_shutdown(signal, code, Arc::clone(&self.came))?);
            self.handlers.push(flag::register(signal, Arc::clone(&self.came))?);
        }
        Ok(())
    }

    pub(crate) fn has_come(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}
