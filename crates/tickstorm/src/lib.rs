//! tickstorm storms a trading system with realistic exchange traffic, at 1x, 10x, 100x and far beyond normal volume,
//! and says with evidence whether the system held.
//!
//! Start from [`LoadGenerator`]: it runs load tests against a [`Target`], which is a server, or code in this process.
//! [`WebSocketMessageGenerator`] hands out the same messages without a target. Below them, [`Spec`] is what a user
//! writes, [`Plan`] what it means, and [`Run`] the thing under way.
//!
//! ```
//! use std::time::Duration;
//! use tickstorm::{LoadGenerator, LoadProfile, Message, Outcome, Target};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let generator = LoadGenerator::builder()
//!     .target(Target::call(|message: Message| async move { !message.bytes.is_empty() }))
//!     .base_rate(100.0)
//!     .build()?;
//! let report = generator.run_load_test(Duration::from_millis(200), 10.0, LoadProfile::NORMAL).await?;
//! assert_eq!(report.total_messages, 200);
//! # Ok(())
//! # }
//! ```
//!
//! The crate knows nothing of terminals, of files but those that settings name, or of machines other than its own.

/// The README's examples are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod assemble;
mod call;
pub mod check;
mod collector;
pub mod consume;
mod control;
mod export;
mod feed;
mod generator;
mod hosted;
mod machine;
mod message;
mod mood;
mod outlet;
mod pacer;
mod plan;
pub mod portrait;
mod push;
mod refused;
mod reply;
pub mod ruler;
mod run;
pub mod serve;
mod settings;
mod snapshot;
mod spec;
mod stall;
mod stream;
mod target;
mod verdict;
mod worker;

pub use collector::Finished;
pub use control::{Control, Remote};
pub use export::{Export, ExportCadence, ExportFormat, UnknownExportCadence, UnknownExportFormat};
pub use generator::{BuildError, LoadGenerator, LoadGeneratorBuilder, Metrics, RunError, StopHandle};
pub use hosted::{CallId, Content, HostedCall, HostedCalls, Wordings};
pub use message::Message;
pub use plan::{Plan, PlanError, PlanErrors};
pub use run::{Run, StartError};
pub use settings::{SETTINGS, Setting};
pub use snapshot::{ClientFigures, LatencyFigures, Phase, SecondPoint, Snapshot};
pub use spec::{
    AckMode, AtLimit, Flush, Metric, Pacing, RegimeChoice, Scenario, Spec, Threshold, TickSize, Workers,
};
pub use stream::WebSocketMessageGenerator;
pub use target::{CallFailure, Callee, Outcome, Target, TargetError};
pub use tickstorm_load::{Arrivals, Factor, LoadProfile, Rate};
pub use tickstorm_market::{FlashCrash, Kind};
pub use tickstorm_report::{Report, StopReason};
pub use tickstorm_venue::{UnknownVenue, Venue};
