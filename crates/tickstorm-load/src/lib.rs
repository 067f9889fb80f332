//! When each message is due, and what became of it.
//!
//! The first half plans: a [`Rate`], a [`LoadProfile`] and [`Arrivals`] make a [`Schedule`], whose [`Clock`]s hand out
//! the slots of messages, each a due time and a shard. The second half keeps the books of what happened to them and
//! distributions of how long it took.
//!
//! Nothing here sends, waits or reads a clock: time is an argument, in nanoseconds since the start of the run. Nor does
//! this crate know what a message is; a shard is a number, and its k-th slot carries its k-th message, whatever that is.
//!
//! Everything that is planned divides exactly, so that workers may share a run, and everything that is recorded merges
//! again. The same spec and seed give the same slots on every machine, however many share them.
//!
//! Start with [`ScheduleSpec`]:
//!
//! ```
//! use std::time::Duration;
//! use tickstorm_load::{Arrivals, LoadProfile, Rate, Schedule, ScheduleSpec};
//! use tickstorm_random::Seed;
//!
//! let seed = Seed::new(7);
//! let path = LoadProfile::SPIKE.path(Duration::from_secs(20), seed)?;
//! let rate: Rate = "1k/s".parse()?;
//! let schedule = Schedule::new(ScheduleSpec { arrivals: Arrivals::BURSTY, seed, ..ScheduleSpec::new(rate, path) })?;
//! assert_eq!(schedule.total(), 38_000);
//! assert_eq!(schedule.peak_rate(), 10_000.0);
//!
//! // Two workers, each with every other shard of 64.
//! let mut slots = Vec::new();
//! for worker in 0..2 {
//!     let mut clock = schedule.clock(|shard| shard % 2 == worker);
//!     while let Some(_end_ns) = clock.next_cell(&mut slots) {}
//! }
//! assert_eq!(slots.len() as u64, schedule.total());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arrivals;
mod decimal;
mod duration;
mod histogram;
mod hlog;
mod ledger;
mod lindley;
mod path;
mod profile;
mod rate;
mod recording;
mod schedule;
mod series;

pub use arrivals::*;
pub use duration::*;
pub use histogram::*;
pub use hlog::*;
pub use ledger::*;
pub use lindley::*;
pub use path::*;
pub use profile::*;
pub use rate::*;
pub use recording::*;
pub use schedule::*;
pub use series::*;

/// What a path and a schedule draw their randomness from.
pub use tickstorm_random::Seed;
