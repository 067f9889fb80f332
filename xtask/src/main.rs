//! The tasks of the tickstorm workspace. `cargo xtask --help` lists them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to whoever started it")]

mod layers;
mod peers;
mod python;
mod steps;
mod workspace;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::steps::{Outcome, Place, Steps, Tally, run, run_tests, succeeds};
use crate::workspace::Workspace;

const HELP: &str = "\
Tasks of the tickstorm workspace

Usage: cargo xtask <TASK>

Tasks:
  check           everything, cheapest first: rustfmt, layers, clippy, docs, cargo-deny, then the tests
  test            every test, with rustfmt and layers first; installs what they need under target/xtask
  python          builds the Python package and tests it in a fresh environment, which is the last step of `test`
  bench [FILTER]  the benches, or those whose `crate/bench` contains FILTER
  schema          write schema/report-1.schema.json anew from the report's types
  fingerprints    write testdata/fingerprints anew: the frozen hashes of generated streams

A missing optional tool is a skipped step here and a failure where CI=true.
TICKSTORM_TEST_PYTHON, when set, names the Python (with the `websockets` package) that runs the test peers;
otherwise a virtual environment is made for it.
";

enum Task {
    Help,
    Check,
    Test,
    Python,
    Bench { filter: String },
    Schema,
    Fingerprints,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match parse(&arguments) {
        Ok(task) => task,
        Err(wrong) => {
            eprintln!("xtask: {wrong:#}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match perform(&task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Task> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(match words[..] {
        [] | ["--help" | "-h" | "help", ..] => Task::Help,
        ["check"] => Task::Check,
        ["test"] => Task::Test,
        ["python"] => Task::Python,
        ["bench"] => Task::Bench { filter: String::new() },
        ["bench", filter] => Task::Bench { filter: filter.to_owned() },
        ["schema"] => Task::Schema,
        ["fingerprints"] => Task::Fingerprints,
        ["check" | "test" | "python" | "bench" | "schema" | "fingerprints", .., surplus] => {
            bail!("unexpected argument `{surplus}`")
        }
        [unknown, ..] => {
            bail!("unknown task `{unknown}`, expected check, test, python, bench, schema or fingerprints")
        }
    })
}

fn perform(task: &Task) -> Result<()> {
    if let Task::Help = task {
        print!("{HELP}");
        return Ok(());
    }
    let workspace = Workspace::load()?;
    std::env::set_current_dir(&workspace.root)
        .with_context(|| format!("entering {}", workspace.root.display()))?;
    match task {
        Task::Help => Ok(()),
        Task::Check => check(&workspace),
        Task::Test => test(&workspace),
        Task::Python => python(&workspace),
        Task::Bench { filter } => bench(&workspace, filter),
        Task::Schema => run(cargo().args(["run", "--package", "tickstorm-report", "--example", "schema"])),
        Task::Fingerprints => {
            run(cargo().args(["run", "--release", "--package", "tickstorm", "--example", "fingerprints"]))
        }
    }
}

fn check(workspace: &Workspace) -> Result<()> {
    let place = Place::here();
    let mut steps = Steps::default();
    let outcome = first_checks(workspace, place, &mut steps)
        .and_then(|()| steps.run("clippy", || clippy(place)))
        .and_then(|()| steps.run("docs", docs))
        .and_then(|()| steps.run("cargo-deny", || deny(place)))
        .and_then(|()| all_tests(workspace, place, &mut steps));
    steps.conclude(outcome)
}

fn test(workspace: &Workspace) -> Result<()> {
    let place = Place::here();
    let mut steps = Steps::default();
    let outcome =
        first_checks(workspace, place, &mut steps).and_then(|()| all_tests(workspace, place, &mut steps));
    steps.conclude(outcome)
}

fn python(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    let mut tally = Tally::default();
    let outcome = steps.run("python", || python::test(workspace, Place::here(), &mut tally));
    steps.count(tally);
    steps.conclude(outcome)
}

fn first_checks(workspace: &Workspace, place: Place, steps: &mut Steps) -> Result<()> {
    steps.run("rustfmt", || rustfmt(place))?;
    steps.run("layers", || layers::check(workspace).map(|()| Outcome::Done))
}

fn rustfmt(place: Place) -> Result<Outcome> {
    if !succeeds(cargo().args(["fmt", "--version"])) {
        return place.missing("rustfmt is not installed: rustup component add rustfmt");
    }
    run(cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Done)
}

fn clippy(place: Place) -> Result<Outcome> {
    if !succeeds(cargo().args(["clippy", "--version"])) {
        return place.missing("clippy is not installed: rustup component add clippy");
    }
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    Ok(Outcome::Done)
}

/// Libraries only: the program's own pages would be written over those of the library of the same name.
fn docs() -> Result<Outcome> {
    run(cargo().args(["doc", "--workspace", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Done)
}

/// Without the advisories: they need a network and change under an unchanged tree.
fn deny(place: Place) -> Result<Outcome> {
    if !succeeds(cargo().args(["deny", "--version"])) {
        return place.missing("cargo-deny is not installed: cargo install --locked cargo-deny");
    }
    run(cargo().args(["deny", "--offline", "check", "licenses", "bans", "sources"]))?;
    Ok(Outcome::Done)
}

fn all_tests(workspace: &Workspace, place: Place, steps: &mut Steps) -> Result<()> {
    let mut python = None;
    steps.run("test peers", || match peers::python(workspace)? {
        peers::Python::Ready(path) => {
            python = Some(path);
            Ok(Outcome::Done)
        }
        peers::Python::Missing(reason) => place.missing(&reason),
    })?;

    let mut tally = Tally::default();
    // With --all-targets cargo builds the examples as tests only; a test runs them as programs.
    steps.run("examples", || {
        run(cargo().args(["build", "--workspace", "--examples"]))?;
        // A client of the exchange in a workspace of its own, which would take the processors from other tests.
        run(cargo().args(["build", "--locked", "--manifest-path", RUST_CLIENT]))?;
        Ok(Outcome::Done)
    })?;
    let tested = steps
        .run("tests", || {
            let mut command = cargo_test(&["--all-targets"], python.as_deref());
            run_tests(command.env("TICKSTORM_TEST_RUST_CLIENT", "1"), &mut tally)?;
            Ok(Outcome::Done)
        })
        .and_then(|()| {
            steps.run("doc tests", || {
                run_tests(&mut cargo_test(&["--doc"], None), &mut tally)?;
                Ok(Outcome::Done)
            })
        })
        .and_then(|()| steps.run("python", || python::test(workspace, place, &mut tally)));
    steps.count(tally);
    tested?;
    ensure!(tally.passed > 0, "no test ran");
    Ok(())
}

fn cargo_test(arguments: &[&str], python: Option<&Path>) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments);
    match python {
        Some(python) => command.env(peers::PYTHON_VARIABLE, python),
        // The program refuses TICKSTORM_ variables that it does not know, in its doc test too.
        None => command.env_remove(peers::PYTHON_VARIABLE),
    };
    command
}

fn bench(workspace: &Workspace, filter: &str) -> Result<()> {
    let all: Vec<(&str, &str)> = workspace
        .crates
        .iter()
        .flat_map(|krate| krate.benches.iter().map(|bench| (krate.name.as_str(), bench.as_str())))
        .chain([PYTHON_BENCH])
        .collect();
    let chosen: Vec<_> =
        all.iter().filter(|(krate, bench)| format!("{krate}/{bench}").contains(filter)).collect();
    if chosen.is_empty() {
        let known: Vec<String> = all.iter().map(|(krate, bench)| format!("{krate}/{bench}")).collect();
        bail!("no bench matches `{filter}`, known: {}", known.join(", "));
    }
    for &&(krate, bench) in &chosen {
        if (krate, bench) == PYTHON_BENCH {
            python::bench(workspace)?;
            continue;
        }
        run(cargo().args(["bench", "--package", krate, "--bench", bench]))?;
    }
    Ok(())
}

const RUST_CLIENT: &str = "testdata/peers/rust-client/Cargo.toml";

/// The one bench that cargo does not know.
const PYTHON_BENCH: (&str, &str) = ("tickstorm-py", "python");

/// The cargo that runs us, so that a toolchain chosen on the command line reaches every step.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn an_unknown_task_is_named_in_the_error() {
        let error = parsed("tset").err().expect("an error").to_string();
        assert_eq!(error, "unknown task `tset`, expected check, test, python, bench, schema or fingerprints");
    }

    #[test]
    fn a_surplus_argument_is_named_in_the_error() {
        assert_eq!(
            parsed("test --fast").err().expect("an error").to_string(),
            "unexpected argument `--fast`"
        );
        assert_eq!(parsed("bench a b").err().expect("an error").to_string(), "unexpected argument `b`");
    }

    #[test]
    fn a_bench_filter_is_optional() {
        assert!(matches!(parsed("bench"), Ok(Task::Bench { filter }) if filter.is_empty()));
        assert!(matches!(parsed("bench clock"), Ok(Task::Bench { filter }) if filter == "clock"));
    }

    #[test]
    fn the_help_names_every_task() {
        for task in ["check", "test", "python", "bench", "schema", "fingerprints"] {
            assert!(HELP.contains(&format!("\n  {task}")), "{task}");
        }
    }
}
