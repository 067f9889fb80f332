//! The flags of the commands that write streams of messages and check them.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use tickstorm::{SETTINGS, Setting};

use super::{config_flag, path, setting_flag, settings, switch, text};
use crate::resolve::{Given, STREAM_DEFAULTS, VOLATILE_ARRIVALS, is_of_streams};

/// `tickstorm generate`.
#[derive(Debug)]
pub(crate) struct GenerateArguments {
    pub(crate) settings: Vec<Given>,
    pub(crate) config: Option<PathBuf>,
    /// As it was typed, like all texts here: what is wrong with them is reported together with the settings.
    pub(crate) count: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) cadence: Option<String>,
    pub(crate) depth: Option<String>,
    pub(crate) release: Release,
    pub(crate) output: Option<PathBuf>,
    pub(crate) plot: Option<PathBuf>,
    pub(crate) is_quiet: bool,
}

/// When messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// As fast as they can be made.
    AtOnce,
    /// Each when it is due.
    Paced,
}

/// `tickstorm check`.
#[derive(Debug)]
pub(crate) struct CheckArguments {
    pub(crate) file: PathBuf,
    pub(crate) settings: Vec<Given>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) count: Option<String>,
    pub(crate) cadence: Option<String>,
    pub(crate) are_bands_judged: bool,
    pub(crate) rendering: CheckRendering,
    pub(crate) plot: Option<PathBuf>,
}

/// How `tickstorm check` writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckRendering {
    Text,
    Json,
}

pub(super) fn with_generate_flags(command: Command) -> Command {
    let stream = [
        text("count", "N").help(
            "Market messages to write; without --duration the plan is made as long as they take, up to 30 days",
        ),
        text("format", "NAME").help(
            "jsonl (the venue's messages, one a line), frames (the same as WebSocket frames), or the market's own \
             messages as msgpack, protobuf or csv [default: jsonl]",
        ),
        text("cadence", "RHYTHM").help(
            "realtime (each message as it happens) or venue (batches in the venue's own rhythm) [default: realtime]",
        ),
        text("depth", "N").help(
            "Levels a side that books show, one of the venue's own depths; 0 is all of them [default: all, or the most]",
        ),
        switch("paced").help("Write each message when it is due instead of as fast as possible"),
        path("output", "FILE").help(
            "Write the stream to this file, which appears when it is whole; - is standard output, the default",
        ),
        path("plot", "FILE").help(
            "Write a page of pictures of the market to this HTML file; without --output nothing else is written",
        ),
    ];
    command
        .about("Writes the messages of a plan to a file or a pipe, without a target")
        .args(stream.map(|flag| flag.help_heading(STREAM)))
        .args(market_settings().map(setting_of_stream))
        .arg(switch("quiet").short('q').help("Say nothing but errors"))
        .arg(config_flag())
        .after_help(AFTER_GENERATE)
}

pub(super) fn with_check_flags(command: Command) -> Command {
    let file =
        Arg::new(FILE).value_name(FILE).required(true).value_parser(value_parser!(PathBuf)).help(
            "The stream: what generate writes, or a recording of a venue's messages; - is standard input",
        );
    let check = [
        switch("only-faults").help("Measure the market's figures, but do not judge them"),
        switch("json").help("Print everything as JSON instead of a page of text"),
        path("plot", "FILE").help("Write a page of pictures of the market to this HTML file"),
        text("cadence", "RHYTHM")
            .help("How the stream was made: realtime or venue, instead of what its first messages show"),
        text("count", "N").help("The --count that the stream was generated with"),
    ];
    command
        .about("Checks a recorded stream: whether it is complete, consistent, and like a market's")
        .arg(file)
        .args(check.map(|flag| flag.help_heading("Check")))
        .args(market_settings().map(setting_of_stream).map(|flag| match flag.get_id().as_str() {
            "venue" => flag.help("Whose messages they are, instead of what the first ones show"),
            _ => flag,
        }))
        .arg(config_flag())
        .after_help(AFTER_CHECK)
}

fn market_settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| is_of_streams(setting))
}

/// The flag of a setting, with the default that it has here.
fn setting_of_stream(setting: &Setting) -> Arg {
    let flag = setting_flag(setting);
    if setting.name == "duration" {
        return flag
            .help("Length of the plan: 60, 30s, 5m [default: what the count takes, or the stages, or 60s]");
    }
    let Some((_, default)) = STREAM_DEFAULTS.iter().find(|(name, _)| *name == setting.name) else {
        return flag;
    };
    let meaning = setting.help.split(" [default").next().unwrap_or_default();
    match setting.name {
        "arrivals" => {
            flag.help(format!("{meaning} [default: {default}; {VOLATILE_ARRIVALS} in a volatile market]"))
        }
        _ => flag.help(format!("{meaning} [default: {default}]")),
    }
}

pub(super) fn generate_arguments(matches: &ArgMatches) -> GenerateArguments {
    GenerateArguments {
        settings: settings(matches),
        config: matches.get_one("config").cloned(),
        count: matches.get_one("count").cloned(),
        format: matches.get_one("format").cloned(),
        cadence: matches.get_one("cadence").cloned(),
        depth: matches.get_one("depth").cloned(),
        release: if matches.get_flag("paced") { Release::Paced } else { Release::AtOnce },
        output: matches.get_one("output").cloned(),
        plot: matches.get_one("plot").cloned(),
        is_quiet: matches.get_flag("quiet"),
    }
}

pub(super) fn check_arguments(matches: &ArgMatches) -> CheckArguments {
    CheckArguments {
        file: matches.get_one(FILE).cloned().unwrap_or_default(),
        settings: settings(matches),
        config: matches.get_one("config").cloned(),
        count: matches.get_one("count").cloned(),
        cadence: matches.get_one("cadence").cloned(),
        are_bands_judged: !matches.get_flag("only-faults"),
        rendering: if matches.get_flag("json") { CheckRendering::Json } else { CheckRendering::Text },
        plot: matches.get_one("plot").cloned(),
    }
}

const FILE: &str = "FILE";
const STREAM: &str = "Stream";

const AFTER_GENERATE: &str = "\
Without --count or --duration the plan lasts 60 seconds. The same settings give the same bytes.
The settings under Load and Market may also come from the environment and from --config, as in a run.

Examples:
  tickstorm generate --count 1000000 --output ticks.jsonl
  tickstorm generate --cadence venue --duration 10s | head
  tickstorm generate --format msgpack --scenario flash-crash --count 1200000 --output crash.msgpack
  tickstorm generate --base-rate 100 --paced | your-consumer
  tickstorm generate --regime volatile --plot market.html

Exit codes:
  0    written, or the reader of the pipe has seen enough
  1    could not be written
  2    wrong flag or value
  104  wrong configuration file or environment variable
  105  interrupted, what was written is kept";

const AFTER_CHECK: &str = "\
The format, the venue and the cadence are told from the first messages. The settings under Load and
Market say what market the stream should show: give those that it was generated with.

Examples:
  tickstorm check ticks.jsonl
  tickstorm generate --count 1000000 | tickstorm check -
  tickstorm check --scenario flash-crash --count 1200000 crash.msgpack
  tickstorm check --only-faults --plot recording.html recording.jsonl
  zcat recording.jsonl.gz | tickstorm check --only-faults --json - | jq .faults

Exit codes:
  0    PASS: no fault, and every figure that can be told lies in its band
  1    could not be read, or the page could not be written
  2    wrong flag or value
  99   FAIL: a fault, or a figure outside its band
  104  no stream that can be checked; wrong configuration file or environment variable
  105  interrupted, nothing was judged";

#[cfg(test)]
mod tests {
    use super::super::{Invocation, parse};
    use super::*;

    #[test]
    fn a_stream_is_written_at_once_and_judged_unless_told_otherwise() {
        let words = |words: &[&str]| parse(words.iter().map(Into::into)).unwrap();
        let Invocation::Generate(generate) = words(&["tickstorm", "generate", "--count", "-5"]) else {
            panic!()
        };
        assert_eq!((generate.release, generate.count.as_deref()), (Release::AtOnce, Some("-5")));
        let Invocation::Check(check) = words(&["tickstorm", "check", "-", "--seed", "7"]) else { panic!() };
        assert!(check.are_bands_judged && check.rendering == CheckRendering::Text);
        assert_eq!((check.settings[0].name, check.file), ("seed", PathBuf::from("-")));
    }

    #[test]
    fn every_default_of_streams_is_a_setting_that_they_depend_on() {
        for (name, _) in STREAM_DEFAULTS {
            assert!(market_settings().any(|setting| setting.name == name), "{name}");
        }
    }
}
