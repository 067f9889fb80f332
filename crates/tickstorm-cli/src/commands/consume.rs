//! `tickstorm consume`: a right client, and what it finds.

use std::{fs, io, path::Path, time::Duration};

use tickstorm::{
    Venue,
    consume::{
        Books, ConsumeChannel, ConsumeEnd, ConsumeError, ConsumeExtent, ConsumeInterval, ConsumeSpec,
        ConsumeSymbols, ConsumeVerdict, Consumer, Reconnect, Trust,
    },
};
use tickstorm_load::parse_duration;
use tickstorm_report::{Style, format};

use super::{run::chain, stream::Texts};
use crate::{
    arguments::{ConsumeArguments, ConsumeRendering},
    exit::{Exit, Refusal},
    interrupt::Interrupt,
    live::clock,
    output::Output,
    terminal::{has_color, say, width},
};

mod page;

pub(crate) fn consume(arguments: ConsumeArguments) -> Result<Exit, Refusal> {
    let (spec, extent) = read(&arguments)?;
    let output = arguments.output.as_deref().unwrap_or(Path::new(STANDARD_OUTPUT));
    let output =
        Output::open(output).map_err(|error| Refusal::new(Exit::Failure, format!("--output: {error}")))?;
    let interrupt = Interrupt::listen()?;
    let columns = width(io::stderr());
    let consumer = Consumer::connect(&spec).map_err(refusal)?;
    let report = consumer.run(
        &extent,
        |interval| {
            if !arguments.is_quiet {
                say(&line(interval, columns));
            }
        },
        || interrupt.has_come(),
    );
    let text = match arguments.rendering {
        ConsumeRendering::Json => format!("{:#}\n", report.to_json()),
        ConsumeRendering::Text => {
            let is_shown = matches!(output, Output::Stdout);
            let width = if is_shown { width(io::stdout()) } else { None };
            let color = is_shown && has_color(io::stdout());
            page::text(&report, Style { color, width: width.unwrap_or(COLUMNS) })
        }
    };
    output.write(text.as_bytes()).map_err(|error| Refusal::new(Exit::Failure, error.to_string()))?;
    Ok(match (&report.end, report.verdict()) {
        (ConsumeEnd::Stopped, _) => Exit::Interrupted,
        (_, ConsumeVerdict::Clean) => Exit::Pass,
        (_, ConsumeVerdict::Faulty) => Exit::Fail,
        (_, ConsumeVerdict::Unproved) => Exit::Inconclusive,
    })
}

/// What the flags say. All mistakes in them are reported together.
fn read(arguments: &ConsumeArguments) -> Result<(ConsumeSpec, ConsumeExtent), Refusal> {
    let mut texts = Texts::default();
    let venue = texts.read::<Venue>("--venue", Some(&arguments.venue));
    let symbols = texts.read::<ConsumeSymbols>("--symbols", arguments.symbols.as_deref());
    let channels = arguments.channels.as_deref().map(|list| {
        let channels = list.split(',').map(|name| texts.read::<ConsumeChannel>("--channels", Some(name)));
        channels.flatten().collect()
    });
    let depth = arguments.depth.as_deref().and_then(|text| match text.trim().parse() {
        Ok(depth) => Some(depth),
        Err(_) => {
            texts.complain("--depth", format_args!("expected a whole number from 0, got `{text}`"));
            None
        }
    });
    let mut time = |flag: &str, text: &Option<String>, least: Duration| {
        match parse_duration(text.as_deref()?) {
            Ok(time) if time >= least => return Some(time),
            Ok(_) => {
                let least = format::duration_ms(least.as_secs_f64() * 1e3);
                texts.complain(flag, format_args!("must be at least {least}, got `{}`", text.as_deref()?));
            }
            Err(error) => texts.complain(flag, error),
        }
        None
    };
    let duration = time("--duration", &arguments.duration, Duration::from_millis(1));
    let interval = time("--interval", &arguments.interval, Duration::from_millis(10));
    let max_age = time("--max-age", &arguments.max_age, Duration::from_millis(1));
    texts.finish()?;
    let trust = arguments.ca.as_deref().map(trust).transpose()?;
    let defaults = ConsumeSpec::new(venue.unwrap_or_default(), arguments.url.clone());
    let spec = ConsumeSpec {
        rest: arguments.rest.clone(),
        symbols: symbols.unwrap_or_default(),
        channels: channels.unwrap_or_else(|| defaults.channels.clone()),
        depth,
        books: if arguments.are_books_kept { Books::Kept } else { Books::Ignored },
        reconnect: if arguments.does_reconnect { Reconnect::Always } else { Reconnect::Never },
        max_age,
        trust,
        allow_public: arguments.is_public_allowed,
        ..defaults
    };
    let interval = interval.unwrap_or(ConsumeExtent::default().interval);
    Ok((spec, ConsumeExtent { duration, interval }))
}

fn trust(path: &Path) -> Result<Trust, Refusal> {
    let wrong = |problem: &dyn std::fmt::Display| {
        Refusal::new(Exit::Configuration, format!("--ca: {}: {problem}", path.display()))
    };
    let pem = fs::read(path).map_err(|error| wrong(&format_args!("cannot be read: {error}")))?;
    Trust::of_pem(&pem).map_err(|error| wrong(&error))
}

fn refusal(error: ConsumeError) -> Refusal {
    match error {
        ConsumeError::Mistakes(mistakes) => Refusal {
            exit: Exit::Usage,
            complaints: mistakes.iter().map(|it| format!("--{}: {}", it.setting, it.message)).collect(),
        },
        error => Refusal::new(Exit::Failure, chain(&error)),
    }
}

/// One finished interval. What a narrow terminal has no room for is left out.
fn line(interval: &ConsumeInterval, columns: Option<usize>) -> String {
    let seconds = interval.end_s - interval.start_s;
    let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let age = |ms: f64| if interval.age.count > 0 { format::duration_ms(ms) } else { "-".into() };
    let books = match (interval.is_connected, interval.books_wanted) {
        (false, _) => "not connected".to_owned(),
        (true, 0) => "books -".to_owned(),
        (true, wanted) => format!("books {}/{wanted}", interval.books_whole),
    };
    let parts = [
        format!("{:>5}", clock(interval.end_s)),
        format!("events {:>9}", format::rate(rate(interval.events))),
        format!("frames {:>9}", format::rate(rate(interval.frames))),
        format!("bytes {:>9}/s", format::bytes(rate(interval.bytes) as u64)),
        format!("age max {:>7}", age(interval.age.max_ms)),
        format!("p99 {:>7}", age(interval.age.p99_ms)),
        format!("p50 {:>7}", age(interval.age.p50_ms)),
        books,
        format!("faults {}", format::count(interval.faults)),
    ];
    let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    for dispensable in ["bytes", "frames", "p50", "p99"] {
        let length = parts.iter().map(|part| part.len() + GAP.len()).sum::<usize>() - GAP.len();
        if columns.is_some_and(|columns| length > columns) {
            parts.retain(|part| !part.starts_with(dispensable));
        }
    }
    format!("{}\n", parts.join(GAP))
}

const GAP: &str = "  ";

const STANDARD_OUTPUT: &str = "-";

/// Where standard output is no terminal.
const COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use tickstorm::consume::Ages;

    use super::*;

    fn interval() -> ConsumeInterval {
        ConsumeInterval {
            start_s: 1.0,
            end_s: 2.0,
            events: 120_000,
            frames: 100_000,
            bytes: 21_000_000,
            age: Ages { count: 9, p50_ms: 0.4, p99_ms: 2.0, max_ms: 31.0 },
            faults: 0,
            resyncs: 0,
            books_wanted: 10,
            books_whole: 9,
            is_connected: true,
        }
    }

    #[test]
    fn a_line_says_what_the_interval_was_like() {
        let silent = ConsumeInterval { events: 0, frames: 0, bytes: 0, age: Ages::default(), ..interval() };
        let lost = ConsumeInterval { is_connected: false, faults: 1_234, ..silent };
        let no_books = ConsumeInterval { books_wanted: 0, books_whole: 0, ..interval() };
        let intervals = [interval(), silent, lost, no_books];
        let lines = intervals.iter().map(|interval| line(interval, None)).collect::<String>();
        insta::assert_snapshot!(lines);
        for columns in [80, 100, 120] {
            for interval in &intervals {
                let line = line(interval, Some(columns));
                assert!(line.trim_end().len() <= columns, "{line:?} in {columns} columns");
                assert!(
                    line.contains("events") && line.contains("age max") && line.contains("faults"),
                    "{line:?}"
                );
            }
        }
    }
}
