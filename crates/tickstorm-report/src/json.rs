//! The report as JSON, and back.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::model::Report;

/// The report as indented JSON, keys in the order of [`Report`], with a newline at the end.
///
/// Numbers carry up to six decimals, those below one up to twelve: every time keeps its nanosecond, and a success rate
/// of one failure in a billion does not read 1. A float that is not finite, which no report should hold, becomes `null`.
pub fn to_json_pretty(report: &Report) -> String {
    let mut json = Vec::with_capacity(TYPICAL_BYTES);
    report
        .serialize(&mut Serializer::with_formatter(&mut json, Rounded(PrettyFormatter::new())))
        .expect("plain data with string keys always serialises into memory");
    json.push(b'\n');
    String::from_utf8(json).expect("serde_json writes UTF-8")
}

/// Why a text is not a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a report: {problem}")]
pub struct NotAReport {
    /// What is wrong, and at which line and column.
    pub problem: String,
}

/// Reads a report of this major version. Keys that are not known are passed over.
pub fn from_json(text: &str) -> Result<Report, NotAReport> {
    serde_json::from_str(text).map_err(|error| NotAReport { problem: error.to_string() })
}

/// The JSON Schema (draft 2020-12) of what [`to_json_pretty`] writes. `cargo xtask schema` commits it to
/// `schema/report-1.schema.json`.
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Report>()
        .to_value()
}

/// Hands everything to serde_json's own layout but floats, which it rounds first.
struct Rounded(PrettyFormatter<'static>);

impl Formatter for Rounded {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        self.0.write_f64(writer, rounded(value))
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 1.0 { 1e12 } else { 1e6 };
    let scaled = value * scale;
    // From 2^52 on there is no fraction left to round, and the division below would only add noise.
    if scaled.abs() < 4_503_599_627_370_496.0 { scaled.round() / scale } else { value }
}

/// A minute's report with a few connections; a longer one grows the buffer.
const TYPICAL_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_removes_noise_but_neither_nanoseconds_nor_rare_failures() {
        assert_eq!(rounded(0.1 + 0.2), 0.3);
        assert_eq!(rounded(1_234.567_891_4), 1_234.567_891);
        assert_eq!(rounded(-12.345_678_901), -12.345_679);
        assert_eq!(rounded(0.999_999_999_9), 0.999_999_999_9);
        assert_eq!(rounded(1e300), 1e300);
        assert!(rounded(f64::NAN).is_nan());
    }

    #[test]
    fn a_text_that_is_not_a_report_is_refused_with_the_place() {
        let problem = from_json("{\"schema_version\": \"2.0\"}").unwrap_err().problem;
        assert!(problem.starts_with("schema_version must be 1.x, got `2.0` at line 1"), "{problem}");
    }
}
