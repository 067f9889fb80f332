//! Whether a recorded stream is what it should be.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
};
use tickstorm::{
    ExportCadence, Plan, Spec, Target, Venue,
    check::{CheckOptions, StreamExpectation, check as check_stream},
};

use crate::engine::{chain, set};

/// Checks a file, or bytes; the findings as JSON. `settings` are of the run that the stream is of, and only judged where
/// there are any.
#[pyfunction]
#[pyo3(signature = (path, data, venue, cadence, settings))]
pub(crate) fn check(
    py: Python<'_>,
    path: Option<PathBuf>,
    data: Option<Vec<u8>>,
    venue: Option<&str>,
    cadence: Option<&str>,
    settings: Vec<(String, String, String)>,
) -> PyResult<String> {
    let refused = |argument: &str, problem: String| PyValueError::new_err(format!("{argument}: {problem}"));
    let venue = venue.map(|name| name.parse::<Venue>().map_err(|error| refused("venue", error.to_string())));
    let cadence = cadence
        .map(|name| name.parse::<ExportCadence>().map_err(|error| refused("cadence", error.to_string())));
    let mut options = CheckOptions {
        venue: venue.transpose()?,
        conduct: cadence.transpose()?.map(ExportCadence::conduct),
        ..CheckOptions::default()
    };
    if !settings.is_empty() {
        let mut spec = Spec::default();
        for (argument, name, text) in &settings {
            set(&mut spec, argument, name, text)?;
        }
        let plan = Plan::new(&spec, &Target::default())
            .map_err(|errors| PyValueError::new_err(errors.to_string()))?;
        options.expectation = Some(StreamExpectation::of_plan(&plan));
    }
    let (name, input): (String, Box<dyn Read + Send>) = match (path, data) {
        (Some(path), _) => (path.display().to_string(), Box::new(open(&path)?)),
        (None, data) => ("the stream".into(), Box::new(std::io::Cursor::new(data.unwrap_or_default()))),
    };
    let report = py.detach(|| check_stream(input, &options));
    let report = report.map_err(|error| PyValueError::new_err(format!("{name} {}", chain(&error))))?;
    Ok(report.to_json().to_string())
}

/// An error is what Python's own `open` raises, with the number and the name in it.
fn open(path: &Path) -> PyResult<File> {
    File::open(path).map_err(|error| {
        let Some(code) = error.raw_os_error() else { return error.into() };
        let text = error.to_string();
        let words = text.split(" (os error").next().unwrap_or_default().to_owned();
        // The last one is a number of Windows', from which Python makes the first.
        match cfg!(windows) {
            true => PyOSError::new_err((0, words, path.as_os_str().to_owned(), code)),
            false => PyOSError::new_err((code, words, path.as_os_str().to_owned())),
        }
    })
}
