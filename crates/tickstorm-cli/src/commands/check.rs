//! `tickstorm check`: what a recorded stream is, and what is wrong with it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use tickstorm::{
    ExportCadence,
    check::{CheckError, CheckOptions, CheckReport, CheckVerdict, StreamExpectation, check as check_stream},
};
use tickstorm_report::{Style, plot::plot_html};

use super::{
    run::chain,
    stream::{StreamPlan, Texts},
};
use crate::{
    arguments::{CheckArguments, CheckRendering},
    exit::{Exit, Refusal},
    interrupt::Interrupt,
    output::Output,
    resolve::Origin,
    terminal::{has_color, print, width},
};

mod page;

pub(crate) fn check(arguments: CheckArguments) -> Result<Exit, Refusal> {
    let mut texts = Texts::default();
    let count = texts.count(arguments.count.as_deref());
    let cadence = texts.read::<ExportCadence>("--cadence", arguments.cadence.as_deref());
    let stream = texts.plan(arguments.settings, arguments.config.as_deref(), count)?;
    let plot = arguments.plot.map(|path| {
        Output::open(&path).map_err(|error| Refusal::new(Exit::Failure, format!("--plot: {error}")))
    });
    let plot = plot.transpose()?;
    let options = CheckOptions {
        venue: venue(&stream),
        conduct: cadence.map(ExportCadence::conduct),
        expectation: arguments.are_bands_judged.then(|| StreamExpectation::of_plan(&stream.plan)),
        pictures: plot.is_some(),
    };
    let name = match arguments.file == Path::new(STANDARD_INPUT) {
        true => "standard input".to_owned(),
        false => arguments.file.display().to_string(),
    };
    let report = read(&arguments.file, &name, &options)?;

    if let Some((plot, page)) = plot.zip(report.page(&name, &subtitle(&report))) {
        plot.write(plot_html(&page).as_bytes())
            .map_err(|error| Refusal::new(Exit::Failure, error.to_string()))?;
    }
    print(&match arguments.rendering {
        CheckRendering::Text => {
            let width = width(io::stdout()).unwrap_or(COLUMNS);
            page::text(&report, Style { color: has_color(io::stdout()), width })
        }
        CheckRendering::Json => format!("{:#}\n", report.to_json()),
    })?;
    Ok(match report.verdict() {
        CheckVerdict::Pass => Exit::Pass,
        CheckVerdict::Fail => Exit::Fail,
    })
}

/// The venue that was named; without a name it is told from the messages.
fn venue(stream: &StreamPlan) -> Option<tickstorm::Venue> {
    let is_given = *stream.resolved.origins.of("venue") != Origin::Default;
    is_given.then_some(stream.plan.spec().venue)
}

fn read(path: &Path, name: &str, options: &CheckOptions) -> Result<CheckReport, Refusal> {
    let interrupt = Interrupt::listen()?;
    let input: Box<dyn Read> = match path == Path::new(STANDARD_INPUT) {
        true => Box::new(io::stdin().lock()),
        false => Box::new(
            File::open(path)
                .map_err(|error| Refusal::new(Exit::Failure, format!("{name}: cannot be opened: {error}")))?,
        ),
    };
    check_stream(Interruptible { input, interrupt: &interrupt }, options).map_err(|error| {
        let exit = match &error {
            _ if interrupt.has_come() => {
                return Refusal::new(Exit::Interrupted, "interrupted, nothing was judged");
            }
            error if is_io(error) => Exit::Failure,
            _ => Exit::Configuration,
        };
        Refusal::new(exit, format!("{name}: {}", chain(&error)))
    })
}

const STANDARD_INPUT: &str = "-";

/// Whether the bytes could not be had, rather than not be understood.
fn is_io(error: &CheckError) -> bool {
    std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .any(|error| error.is::<io::Error>())
}

/// An input that ends with an error once an interrupt has come.
struct Interruptible<'a> {
    input: Box<dyn Read>,
    interrupt: &'a Interrupt,
}

impl Read for Interruptible<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.interrupt.has_come() {
            true => Err(io::Error::other("interrupted")),
            false => self.input.read(buffer),
        }
    }
}

fn subtitle(report: &CheckReport) -> String {
    let [what, _] = page::description(report);
    format!("tickstorm check: {what}")
}

/// Where standard output is no terminal.
const COLUMNS: usize = 100;
