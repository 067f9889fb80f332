//! Both ends over loopback. No fixed ports, no sleeps: every wait is for something that must come.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod builtin;
mod client;
mod connection;
mod front;
mod handshake;
mod lobby;
mod observe;
mod transport;

use std::time::{Duration, Instant};

/// How long anything that must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} never came");
        std::thread::yield_now();
    }
}
