//! Steps in order, each shown as it runs, and one summary at the end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Where we run decides what a missing tool means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nobody watches: what could not be checked has failed.
    Ci,
    /// A developer watches: what could not be checked is said.
    Desk,
}

/// How a step that did not fail ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Skipped { reason: String },
}

/// Counts of tests, as their runners print them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// What has run so far.
#[derive(Default)]
pub(crate) struct Steps {
    lines: Vec<String>,
    skipped: usize,
    tally: Option<Tally>,
}

impl Place {
    pub(crate) fn here() -> Self {
        match std::env::var("CI") {
            Ok(value) if value == "true" || value == "1" => Self::Ci,
            _ => Self::Desk,
        }
    }

    /// The outcome of a step whose tool is not there.
    pub(crate) fn missing(self, reason: &str) -> Result<Outcome> {
        match self {
            Self::Ci => bail!("{reason}"),
            Self::Desk => Ok(Outcome::Skipped { reason: reason.to_owned() }),
        }
    }
}

impl Steps {
    /// Runs one step and remembers how it ended. The error names the step.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<Outcome>) -> Result<()> {
        eprintln!("xtask: {name}");
        let started = Instant::now();
        let outcome = step();
        let took = seconds(started.elapsed());
        let (line, result) = match outcome {
            Ok(Outcome::Done) => (format!("ok       {name:<12} {took:>8}"), Ok(())),
            Ok(Outcome::Skipped { reason }) => {
                eprintln!("xtask: skipped {name}: {reason}");
                self.skipped += 1;
                (format!("skipped  {name:<12} {took:>8}  {reason}"), Ok(()))
            }
            Err(error) => (format!("FAILED   {name:<12} {took:>8}"), Err(error.context(name.to_owned()))),
        };
        self.lines.push(line);
        result
    }

    /// Remembers the tests counted, for the summary.
    pub(crate) fn count(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    /// Prints the summary and hands the result on.
    pub(crate) fn conclude(self, outcome: Result<()>) -> Result<()> {
        eprintln!();
        for line in &self.lines {
            eprintln!("xtask: {line}");
        }
        if let Some(Tally { passed, failed, ignored }) = self.tally {
            println!("tests: {passed} passed, {failed} failed, {ignored} skipped");
        }
        if outcome.is_ok() {
            match self.skipped {
                0 => eprintln!("xtask: passed"),
                skipped => eprintln!("xtask: passed, but {skipped} of {} steps skipped", self.lines.len()),
            }
        }
        outcome
    }
}

impl Tally {
    /// Adds what a line says, if it is the closing line of a test runner.
    pub(crate) fn observe(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            self.observe_pytest(line);
            return;
        };
        let counts = counts.split_once(". ").map_or(counts, |(_, counts)| counts);
        for part in counts.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl Tally {
    /// Pytest closes with `2 failed, 7 passed, 1 skipped in 3.21s`, between equals signs unless it is quiet.
    fn observe_pytest(&mut self, line: &str) {
        let Some((counts, time)) = line.trim_matches(['=', ' ']).rsplit_once(" in ") else { return };
        let is_time = time.split_once('s').is_some_and(|(seconds, rest)| {
            seconds.parse::<f64>().is_ok() && (rest.is_empty() || rest.starts_with(" ("))
        });
        let parts: Option<Vec<(u64, &str)>> = counts
            .split(", ")
            .map(|part| part.split_once(' ').and_then(|(number, what)| Some((number.parse().ok()?, what))))
            .collect();
        let Some(parts) = parts.filter(|_| is_time) else { return };
        for (number, what) in parts {
            match what {
                "passed" | "xfailed" => self.passed += number,
                "failed" | "error" | "errors" | "xpassed" => self.failed += number,
                "skipped" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Runs a command with our own streams, shown before it starts.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("starting `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs a test command, passes its output on as it comes, and counts the tests in it.
pub(crate) fn run_tests(command: &mut Command, tally: &mut Tally) -> Result<()> {
    let line = shown(command);
    eprintln!("$ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting `{line}`"))?;
    let stdout = child.stdout.take().expect("the command's output was piped just above");
    pass_on(BufReader::new(stdout), &mut std::io::stdout(), tally)
        .with_context(|| format!("passing on the output of `{line}`"))?;
    let status = child.wait().with_context(|| format!("waiting for `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

fn pass_on(mut from: impl BufRead, to: &mut impl Write, tally: &mut Tally) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        tally.observe(String::from_utf8_lossy(&line).trim_end());
        to.write_all(&line)?;
        to.flush()?;
    }
}

/// The standard output of a command that runs unshown.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("starting `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of `{line}` is not UTF-8"))
}

/// Whether a silent command ends well; false also when it cannot be started.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The command as one would type it: the program without its folder, arguments quoted where needed.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .map(
            |word| {
                if word.is_empty() || word.contains([' ', '\'']) { format!("{word:?}") } else { word.into() }
            },
        )
        .collect::<Vec<_>>()
        .join(" ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_from_the_closing_lines_of_the_runners() {
        let mut tally = Tally::default();
        let output = "running 3 tests\ntest a ... ok\n\
            test result: ok. 41 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.52s\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        let mut passed_on = Vec::new();
        pass_on(output.as_bytes(), &mut passed_on, &mut tally).unwrap();
        assert_eq!(tally, Tally { passed: 44, failed: 1, ignored: 2 });
        assert_eq!(passed_on, output.as_bytes());
    }

    #[test]
    fn pytest_s_closing_line_is_one_too() {
        let tally = |line: &str| {
            let mut tally = Tally::default();
            tally.observe(line);
            (tally.passed, tally.failed, tally.ignored)
        };
        assert_eq!(tally("1 failed, 153 passed, 2 skipped in 36.36s"), (153, 1, 2));
        assert_eq!(tally("=== 3 passed, 1 warning, 1 error in 106.71s (0:01:46) ==="), (3, 1, 0));
        assert_eq!(tally("no tests ran in 0.01s"), (0, 0, 0));
        for line in ["passed in 3s", "7 passed in all", "3 apples in 2.0s", "1 passed, in 2.0s", "in 2.0s"] {
            assert_eq!(tally(line), (0, 0, 0), "{line}");
        }
    }

    #[test]
    fn a_missing_tool_is_skipped_at_a_desk_and_fails_on_ci() {
        let outcome = Place::Desk.missing("no such tool").unwrap();
        assert_eq!(outcome, Outcome::Skipped { reason: "no such tool".to_owned() });
        assert_eq!(Place::Ci.missing("no such tool").unwrap_err().to_string(), "no such tool");
    }

    #[test]
    fn a_failed_step_is_named_in_the_error() {
        let mut steps = Steps::default();
        let error = steps.run("layers", || bail!("load imports net")).unwrap_err();
        assert_eq!(format!("{error:#}"), "layers: load imports net");
    }

    #[test]
    fn a_command_that_fails_or_cannot_start_is_shown_in_the_error() {
        let error = run(Command::new("/nonexistent/tool").arg("a b")).unwrap_err();
        assert_eq!(error.to_string(), "starting `tool \"a b\"`");
        assert!(!succeeds(&mut Command::new("/nonexistent/tool")));
    }
}
