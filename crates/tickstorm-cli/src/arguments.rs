//! The command line, built from the table of settings, and what was typed on it.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, builder::NonEmptyStringValueParser, value_parser};
use tickstorm::{SETTINGS, Setting};

use crate::resolve::{DEFAULT_TARGET, Given, Origin, TARGET};

mod consume;
mod serve;
mod streams;

pub(crate) use consume::{ConsumeArguments, ConsumeRendering};
pub(crate) use serve::{ServeArguments, TlsArguments};
pub(crate) use streams::{CheckArguments, CheckRendering, GenerateArguments, Release};

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Invocation {
    Run(RunArguments),
    Generate(Box<GenerateArguments>),
    Check(Box<CheckArguments>),
    Consume(Box<ConsumeArguments>),
    Profile(ProfileArguments),
    Ruler(RulerArguments),
    Serve(Box<ServeArguments>),
}

/// `tickstorm [run]`.
#[derive(Debug)]
pub(crate) struct RunArguments {
    pub(crate) settings: Vec<Given>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) output: Option<PathBuf>,
    pub(crate) hlog: Option<PathBuf>,
    pub(crate) task: Task,
    pub(crate) progress: Progress,
}

/// What to do with the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Storm,
    PrintPlan,
}

/// What to show on standard error while the run is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The live view on a terminal, lines elsewhere.
    Auto,
    Lines,
    /// Neither that nor the summary: only errors.
    Quiet,
}

/// `tickstorm profile`.
#[derive(Debug)]
pub(crate) struct ProfileArguments {
    pub(crate) settings: Vec<Given>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) rendering: Rendering,
}

/// How `tickstorm profile` writes the rate over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rendering {
    Drawing,
    Csv,
}

/// `tickstorm ruler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RulerArguments {
    pub(crate) extent: Extent,
    pub(crate) rendering: RulerRendering,
}

/// How much `tickstorm ruler` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    Quick,
}

/// How `tickstorm ruler` writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RulerRendering {
    Text,
    Json,
}

/// Reads the command line. The error is clap's: a wrong usage, or a help text that was asked for.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    Ok(match matches.subcommand() {
        Some((GENERATE, matches)) => Invocation::Generate(Box::new(streams::generate_arguments(matches))),
        Some((CHECK, matches)) => Invocation::Check(Box::new(streams::check_arguments(matches))),
        Some((CONSUME, matches)) => Invocation::Consume(Box::new(consume::consume_arguments(matches))),
        Some((PROFILE, matches)) => Invocation::Profile(profile_arguments(matches)),
        Some((SERVE, matches)) => Invocation::Serve(Box::new(serve::serve_arguments(matches))),
        Some((RULER, matches)) => Invocation::Ruler(ruler_arguments(matches)),
        Some((_, matches)) => Invocation::Run(run_arguments(matches)),
        None => Invocation::Run(run_arguments(&matches)),
    })
}

/// The whole command line. `tickstorm` alone is `tickstorm run`, so the root takes the same flags.
pub(crate) fn command() -> Command {
    let run = Command::new(RUN).about(ABOUT_RUN).after_help(AFTER_RUN).after_long_help(AFTER_RUN_LONG);
    let generate = Command::new(GENERATE);
    let check = Command::new(CHECK);
    let consume = Command::new(CONSUME);
    let profile = Command::new(PROFILE).about(ABOUT_PROFILE).after_help(AFTER_PROFILE);
    let ruler = Command::new(RULER).about(ABOUT_RULER).after_help(AFTER_RULER);
    let root = Command::new("tickstorm")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .after_help(AFTER_RUN)
        .after_long_help(AFTER_RUN_LONG);
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help_heading(OTHER)
        .help("Print the version");
    root_settings(with_run_flags(root).arg(version))
        .subcommand(root_settings(with_run_flags(run)))
        .subcommand(root_settings(serve::with_serve_flags(Command::new(SERVE))))
        .subcommand(root_settings(streams::with_generate_flags(generate)))
        .subcommand(root_settings(streams::with_check_flags(check)))
        .subcommand(root_settings(consume::with_consume_flags(consume)))
        .subcommand(root_settings(with_profile_flags(profile)))
        .subcommand(root_settings(with_ruler_flags(ruler)))
}

const RUN: &str = "run";
const SERVE: &str = "serve";
const GENERATE: &str = "generate";
const CHECK: &str = "check";
const CONSUME: &str = "consume";
const PROFILE: &str = "profile";
const RULER: &str = "ruler";

/// What every command has alike.
fn root_settings(command: Command) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help_heading(OTHER);
    command
        .max_term_width(100)
        .disable_help_flag(true)
        .arg(help.help("Print the help; --help says more than -h").long_help("Print the help"))
}

fn with_run_flags(command: Command) -> Command {
    let target = Arg::new(TARGET)
        .long(TARGET)
        .value_name("URL")
        .help_heading("Target")
        .help(format!(
            "What to storm: builtin, builtin:?service=1ms, ws://HOST:PORT/PATH [default: {DEFAULT_TARGET}]"
        ))
        .long_help(LONG_TARGET);
    // The first flag of a heading decides the heading's place: the load goes before the target.
    let mut command = command;
    let mut target = Some(target);
    for setting in SETTINGS {
        if setting.group == "Target"
            && let Some(target) = target.take()
        {
            command = command.arg(target);
        }
        command = command.arg(setting_flag(setting));
    }
    command.args(target).args(storm_flags("latency")).arg(config_flag())
}

/// What is written and shown of a run, whose headline is this.
fn storm_flags(headline: &str) -> [Arg; 5] {
    let hlog =
        format!("Write the {headline} histogram of each interval to this file, as an HdrHistogram log");
    [
        path("output", "FILE")
            .help("Write the report to this file, as JSON; - is standard output, the default"),
        path("hlog", "FILE").help(hlog),
        switch("no-tui").help("Show a line each report interval instead of the live view"),
        switch("quiet").short('q').help("Show nothing but errors; the report is written all the same"),
        switch("print-plan").help("Print every setting with where it came from, rates and total, and exit"),
    ]
}

fn with_profile_flags(command: Command) -> Command {
    let name = Arg::new(NAME)
        .value_name("NAME")
        .help("NORMAL, VOLATILE, SPIKE, RAMP_UP or RAMP_DOWN, with parameters as SPIKE?peak=20x [default: NORMAL]")
        .value_parser(NonEmptyStringValueParser::new());
    let flags = SETTINGS.iter().filter(|setting| PROFILE_SETTINGS.contains(&setting.name)).map(setting_flag);
    command
        .arg(name)
        .args(flags)
        .arg(switch("csv").help("Print time_s,factor,rate rows instead: the rate is linear from row to row"))
        .arg(config_flag())
}

fn with_ruler_flags(command: Command) -> Command {
    command
        .arg(switch("json").help("Print everything as JSON instead of a page of text"))
        .arg(switch("quick").help("Fewer and shorter measurements: about ten seconds"))
}

/// What the rate over time depends on.
const PROFILE_SETTINGS: [&str; 5] = ["duration", "multiplier", "stages", "base-rate", "seed"];
const NAME: &str = "NAME";
const OTHER: &str = "Other";

fn setting_flag(setting: &Setting) -> Arg {
    let arg = Arg::new(setting.name).long(setting.name).help_heading(setting.group).help(help(setting));
    match setting.placeholder {
        // `--duration -5` is a wrong duration, not an unknown flag.
        Some(placeholder) => arg
            .value_name(placeholder)
            .allow_negative_numbers(true)
            .action(if setting.name == "threshold" { ArgAction::Append } else { ArgAction::Set }),
        None => arg
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true),
    }
}

fn help(setting: &Setting) -> String {
    match setting.default_text() {
        Some(default) if setting.placeholder.is_some() && !setting.help.contains("[default") => {
            format!("{} [default: {default}]", setting.help)
        }
        _ => setting.help.into(),
    }
}

/// A text that is read with the others, so that what is wrong with them is reported together.
fn text(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(placeholder)
        .allow_negative_numbers(true)
        .value_parser(NonEmptyStringValueParser::new())
}

fn path(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).help_heading(OTHER).value_parser(value_parser!(PathBuf))
}

fn config_flag() -> Arg {
    path("config", "FILE").help("Read settings from this TOML file [env: TICKSTORM_CONFIG]")
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).help_heading(OTHER).action(ArgAction::SetTrue)
}

fn run_arguments(matches: &ArgMatches) -> RunArguments {
    RunArguments {
        settings: settings(matches),
        config: matches.get_one("config").cloned(),
        output: matches.get_one("output").cloned(),
        hlog: matches.get_one("hlog").cloned(),
        task: if matches.get_flag("print-plan") { Task::PrintPlan } else { Task::Storm },
        progress: progress(matches),
    }
}

fn progress(matches: &ArgMatches) -> Progress {
    match (matches.get_flag("quiet"), matches.get_flag("no-tui")) {
        (true, _) => Progress::Quiet,
        (false, true) => Progress::Lines,
        (false, false) => Progress::Auto,
    }
}

fn profile_arguments(matches: &ArgMatches) -> ProfileArguments {
    let mut settings = settings(matches);
    if let Some(text) = matches.get_one::<String>(NAME) {
        settings.push(Given { name: "profile", text: text.clone(), origin: Origin::Flag(NAME.into()) });
    }
    ProfileArguments {
        settings,
        config: matches.get_one("config").cloned(),
        rendering: if matches.get_flag("csv") { Rendering::Csv } else { Rendering::Drawing },
    }
}

fn ruler_arguments(matches: &ArgMatches) -> RulerArguments {
    RulerArguments {
        extent: if matches.get_flag("quick") { Extent::Quick } else { Extent::Full },
        rendering: if matches.get_flag("json") { RulerRendering::Json } else { RulerRendering::Text },
    }
}

/// The settings among the flags. A flag that may be repeated is one list.
fn settings(matches: &ArgMatches) -> Vec<Given> {
    crate::resolve::names()
        .filter_map(|name| {
            let values: Vec<&str> = matches.try_get_many::<String>(name).ok()??.map(String::as_str).collect();
            Some(Given { name, text: values.join(","), origin: Origin::flag(name) })
        })
        .collect()
}

const ABOUT: &str =
    "Storms a trading system with realistic exchange traffic and says with evidence whether it held.

`tickstorm` alone is `tickstorm run`.";
const ABOUT_RUN: &str = "Storms a target and judges it (the default command)";
const ABOUT_PROFILE: &str = "Draws the message rate over time, and its total, without a run";
const ABOUT_RULER: &str =
    "Measures tickstorm itself: how far its figures may be trusted on this machine, now";

const LONG_TARGET: &str = "What to storm.

builtin is a consumer of our own on a loopback WebSocket, which decodes and checks every message. \
Its knobs make it a known quantity: builtin:?service=1ms&dist=exp&servers=1&fail=0.001&freeze=200ms/10s&seed=7.
ws://HOST:PORT/PATH is a server of yours. [default: builtin]";

const AFTER_RUN: &str = "\
Examples:
  tickstorm                                        60 s of 1000 msg/s against the built-in target
  tickstorm --target ws://127.0.0.1:9000 --ack fifo --base-rate 5k --profile SPIKE
  tickstorm --threshold 'p99<50ms' --output report.json --quiet
  tickstorm --config storm.toml --print-plan       what would run, and where each value came from

Exit codes:
  0    PASS                            96   INCONCLUSIVE, the report says why
  1    could not start or finish       99   FAIL, a threshold was crossed
  2    wrong flag or value             104  wrong file or environment variable
  105  interrupted, the report is still written";

const AFTER_RUN_LONG: &str = "\
Examples:
  tickstorm
      60 s of 1000 messages a second (base rate 100 times multiplier 10)
      against the built-in target.
  tickstorm --target ws://127.0.0.1:9000 --ack fifo --base-rate 5k --profile SPIKE
      Bursts of 500,000 messages a second against a server of yours that answers
      each message.
  tickstorm --threshold 'p99<50ms' --threshold 'max<1s' --output report.json --quiet
      For a script: the exit code is the verdict.
  tickstorm --config storm.toml --print-plan
      What would run, and where each value came from.

Settings:
  The flags under Load, Market, Target, Verdict and Generator are settings. They
  can also be given as environment variables, as TICKSTORM_BASE_RATE=5k, or as
  lines of the TOML file of --config, as base-rate = \"5k\". A flag goes before a
  variable, a variable before the file, the file before the default. An empty
  variable counts as not set.

Output:
  The report goes to standard output (or --output) as JSON, everything else to
  standard error. Ctrl-C once stops the run, awaits the last replies and reports;
  twice stops at once and reports. NO_COLOR is honoured.

Exit codes:
  0    PASS: every threshold held
  1    the run could not start or finish: target unreachable, output not
       writable, internal error
  2    a wrong flag, or a wrong value of one
  96   INCONCLUSIVE: the run proves neither, its report says why
  99   FAIL: a threshold was crossed
  104  a wrong configuration file, input file or environment variable
  105  interrupted; the report of what was measured is still written";

const AFTER_PROFILE: &str = "\
Examples:
  tickstorm profile SPIKE
  tickstorm profile VOLATILE --duration 5m --multiplier 100 --seed 7
  tickstorm profile --stages '30s:1x, 60s:1x..8x, 5s:20x'
  tickstorm profile VOLATILE --csv > storm.csv
      A path to edit, which tickstorm --stages @storm.csv then follows.";

const AFTER_RULER: &str = "\
What is measured, in under a minute, on loopback only:
  pacing        how late messages leave and arrive, at several rates and ways of waiting
  truth         latencies beside those that queueing theory gives for the same messages
  highest rate  the most that one connection offers on time
  machine       quota, stolen time and contention meanwhile

Exit code 0 says that it was measured; how good it is, the last sentences say.

Examples:
  tickstorm ruler
  tickstorm ruler --quick --json | jq .conclusion";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn flags_work_with_and_without_the_word_run() {
        for words in [&["tickstorm", "--seed", "7"][..], &["tickstorm", "run", "--seed", "7"]] {
            let run = run(words);
            assert_eq!(texts(&run.settings), [("seed", "7", "--seed")]);
        }
        assert!(run(&["tickstorm"]).settings.is_empty());
    }

    #[test]
    fn every_setting_has_a_flag() {
        for name in crate::resolve::names() {
            let run = run(&["tickstorm", &format!("--{name}=true")]);
            assert_eq!(run.settings.len(), 1, "--{name}");
            assert_eq!(run.settings[0].text, "true", "--{name}");
        }
    }

    #[test]
    fn thresholds_add_up_and_other_flags_are_given_once() {
        let run = run(&["tickstorm", "--threshold", "p99<1s", "--threshold", "max<2s,mean<1ms"]);
        assert_eq!(run.settings[0].text, "p99<1s,max<2s,mean<1ms");
        assert!(parse_words(&["tickstorm", "--seed", "1", "--seed", "2"]).is_err());
    }

    #[test]
    fn a_negative_number_is_a_value_and_a_bare_switch_is_true() {
        assert_eq!(
            texts(&run(&["tickstorm", "--duration", "-5"]).settings),
            [("duration", "-5", "--duration")]
        );
        let switched = run(&["tickstorm", "--allow-public-target", "--seed", "1"]);
        let seen: Vec<_> = switched.settings.iter().map(|given| given.text.as_str()).collect();
        assert_eq!(seen, ["1", "true"]);
    }

    #[test]
    fn the_profile_command_takes_a_name_for_the_profile() {
        let Ok(Invocation::Profile(profile)) = parse_words(&["tickstorm", "profile", "SPIKE", "--csv"])
        else {
            panic!("not the profile command");
        };
        assert_eq!(texts(&profile.settings), [("profile", "SPIKE", "NAME")]);
        assert_eq!(profile.rendering, Rendering::Csv);
    }

    #[test]
    fn the_ruler_measures_in_full_and_writes_text_unless_told_otherwise() {
        for (words, extent, rendering) in [
            (&["tickstorm", "ruler"][..], Extent::Full, RulerRendering::Text),
            (&["tickstorm", "ruler", "--quick", "--json"], Extent::Quick, RulerRendering::Json),
        ] {
            let Ok(Invocation::Ruler(ruler)) = parse_words(words) else { panic!("not the ruler command") };
            assert_eq!(ruler, RulerArguments { extent, rendering });
        }
    }

    #[test]
    fn the_help_texts_read_well() {
        let help = |name: &str, long: bool| {
            let mut command = command().term_width(100);
            command.build();
            let command = match name {
                "" => &mut command,
                name => command.find_subcommand_mut(name).unwrap(),
            };
            let text = if long { command.render_long_help() } else { command.render_help() };
            text.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!("help_short", help("", false));
        insta::assert_snapshot!("help_long", help("", true));
        insta::assert_snapshot!("help_run", help("run", false));
        insta::assert_snapshot!("help_serve", help("serve", true));
        insta::assert_snapshot!("help_generate", help("generate", true));
        insta::assert_snapshot!("help_check", help("check", true));
        insta::assert_snapshot!("help_consume", help("consume", true));
        insta::assert_snapshot!("help_profile", help("profile", true));
        insta::assert_snapshot!("help_ruler", help("ruler", true));
    }

    fn run(words: &[&str]) -> RunArguments {
        match parse_words(words) {
            Ok(Invocation::Run(run)) => run,
            other => panic!("not the run command: {other:?}"),
        }
    }

    fn parse_words(words: &[&str]) -> Result<Invocation, clap::Error> {
        parse(words.iter().map(OsString::from))
    }

    fn texts(given: &[Given]) -> Vec<(&'static str, &str, &str)> {
        given
            .iter()
            .map(|given| {
                let Origin::Flag(flag) = &given.origin else { panic!("{:?} is no flag", given.origin) };
                (given.name, given.text.as_str(), flag.as_str())
            })
            .collect()
    }
}
