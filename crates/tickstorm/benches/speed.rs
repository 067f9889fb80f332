//! How fast tickstorm is and how far its figures may be trusted, as one table: `cargo bench -p tickstorm --bench speed`.
//! Under the test runner (no `--bench`) everything runs once with tiny inputs.
//!
//! `TICKSTORM_SIMULATED=1h` sets how much market time the memory is watched over, 10 minutes by default; `24h` takes about
//! half an hour.
//!
//! Nanoseconds before the socket are those of the best of many short rounds, which other programs disturb least. Those up
//! to the socket are the sending thread's processor time, median of rounds in each of which everything compared ran once;
//! so are the ratios. The receiver discards what comes without copying it: a slower one would do part of the sender's work
//! in the kernel, or not, as it happens to wait.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what a bench is for")]

#[path = "speed/drain.rs"]
mod drain;
#[path = "speed/memory.rs"]
mod memory;
#[path = "speed/messages.rs"]
mod messages;
#[path = "speed/push.rs"]
mod push;
#[path = "speed/trust.rs"]
mod trust;

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Tiny,
    Full,
}

/// A row of the table: what, how much, and what it should be.
type Row = [String; 3];

fn main() {
    let extent =
        if std::env::args().any(|argument| argument == "--bench") { Extent::Full } else { Extent::Tiny };
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut rows = Vec::new();
    // First, while the process has not held more memory than it needs.
    rows.extend(memory::rows(extent));
    rows.extend(messages::rows(extent));
    rows.extend(push::rows(extent));
    let (report, trust) = trust::rows(extent);
    rows.extend(trust);

    let environment = &report.environment;
    println!(
        "Measured on {} with {} cores, {}, on {}, by `cargo bench -p tickstorm --bench speed`.\n",
        environment.cpu.as_deref().unwrap_or("an unknown processor"),
        environment.cores.map_or_else(|| "?".to_owned(), |cores| cores.to_string()),
        environment.os,
        &started[..10],
    );
    println!("| what | measured | aim, or truth |\n|---|---|---|");
    for [what, measured, aim] in rows {
        println!("| {what} | {measured} | {aim} |");
    }
    println!("\n{}", report.conclusion.sentences.join(" "));
}

fn row(what: impl Into<String>, measured: impl Into<String>, aim: impl Into<String>) -> Row {
    [what.into(), measured.into(), aim.into()]
}

/// Processor time that the calling thread has used.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn progress(step: &str) {
    eprintln!("{step}");
}
