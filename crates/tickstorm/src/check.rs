//! Whether a recorded stream is what it should be: complete, consistent in itself, and like a market's.
//!
//! [`check`] reads what [`Export`](crate::Export) writes, in any of its formats, or a recording of a real venue's
//! messages, one JSON text a line. It follows every book as a consumer would, names each fault with the line it stands
//! in, and measures the stream as [`tickstorm_market::realism`] describes. Memory is bounded, however long the stream.
//!
//! ```
//! use tickstorm::check::{CheckOptions, check};
//! use tickstorm::{Export, ExportFormat, Plan, Spec, Target};
//!
//! let plan = Plan::new(&Spec::default(), &Target::default())?;
//! let mut export = Export::new(&plan, ExportFormat::Jsonl);
//! let mut stream = Vec::new();
//! export.head(&mut stream);
//! for _ in 0..1_000 {
//!     export.next(&mut stream);
//! }
//!
//! let report = check(stream.as_slice(), &CheckOptions::default())?;
//! assert!(report.faults.is_clean(), "{:?}", report.faults);
//! assert_eq!(report.instruments, 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod expectation;
mod findings;
mod follow;
mod input;
mod lines;
mod normalised;
mod restore;
mod sketch;
mod venue;

use std::io::Read;

use tickstorm_venue::Venue;

pub use expectation::{CrashExpectation, StreamExpectation};
pub use findings::{CheckReport, CheckVerdict, FaultKind, Faults, LocatedFault, StreamKind};
pub use input::{CheckError, Compression};
pub use sketch::Sketch;
pub use tickstorm_market::realism::{Figure, RealismTable, Row, Verdict};
pub use tickstorm_venue::Conduct;

use input::Input;

/// What to look for in a stream.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Whose messages they are; by default found out from the first ones.
    pub venue: Option<Venue>,
    /// How they relate to the market; by default found out from the first ones.
    pub conduct: Option<Conduct>,
    /// What market they should show; none for any.
    pub expectation: Option<StreamExpectation>,
    /// Whether to collect what a page of pictures needs.
    pub pictures: bool,
}

/// Reads a stream to its end. Faults of the stream are in the report; an error means that it is no stream at all, or
/// cannot be read on.
pub fn check(input: impl Read, options: &CheckOptions) -> Result<CheckReport, CheckError> {
    match Input::open(input)? {
        Input::Normalised(format, input) => normalised::check(format, input, options),
        Input::Lines(lines) => venue::check(lines, options),
        Input::Frames(frames) => venue::check(frames, options),
    }
}
