//! The result of a run as plain data, and how it is shown.
//!
//! [`Report`] is everything that a run found out, from the verdict down to each interval, with no type of the engine in
//! it: what is written today can be read tomorrow. [`to_json_pretty`] and [`from_json`] write and read it, [`schema`]
//! describes it to other programs, [`summary`] shows it to people, and [`mod@format`] has the figures alone, for whoever
//! draws more of them.
//!
//! Nothing here measures, judges or prints: the engine fills the report, and the program decides where it goes. A
//! figure that nobody knows is `None` and `null`, never zero.
//!
//! ```
//! use tickstorm_report::{Outcome, Style, from_json, summary, to_json_pretty};
//!
//! let json = include_str!("../tests/reports/pass.json");
//! let report = from_json(json)?;
//!
//! assert_eq!(report.verdict.outcome, Outcome::Pass);
//! assert_eq!(report.p99_latency_ms, Some(0.302079));
//! assert!(summary(&report, Style::default()).starts_with("PASS"));
//! assert_eq!(to_json_pretty(&report), json);
//! # Ok::<(), tickstorm_report::NotAReport>(())
//! ```
//!
//! To add a figure: a field in `model.rs` with its unit in name and doc comment, `#[serde(default)]` on it so that
//! older reports can still be read, the minor version of [`SchemaVersion::current`] raised, and `cargo xtask schema`.
//! To add a rendering: a file beside `terminal.rs` with one function from `&Report` to text.

pub mod format;
mod json;
mod model;
pub mod plot;
mod served;
mod terminal;

pub use json::*;
pub use model::*;
pub use served::*;
pub use terminal::*;
