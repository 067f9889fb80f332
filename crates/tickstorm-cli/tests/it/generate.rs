//! `tickstorm generate` writes streams that are exact, and that come again.

use std::{
    fs,
    io::Read,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    harness::{Folder, Started, command, command_of, finish, run},
    peer::{Ci, skip},
};

const FORMATS: [&str; 5] = ["jsonl", "frames", "msgpack", "protobuf", "csv"];

#[test]
fn a_count_is_exact_and_the_same_seed_gives_the_same_bytes() {
    let folder = Folder::new();
    for format in FORMATS {
        let write = |name: &str, seed: &str| {
            let path = folder.path(name);
            let output = run([
                "generate",
                "--count",
                "3000",
                "--symbols",
                "7",
                "--seed",
                seed,
                "--format",
                format,
                "--output",
                path.to_str().unwrap(),
            ])
            .exits(0);
            assert_eq!(output.stdout, "");
            assert!(output.stderr.starts_with("3,000 messages, "), "{}", output.stderr);
            fs::read(path).unwrap()
        };
        let bytes = write("one", "7");
        assert!(bytes == write("two", "7"), "{format}");
        assert!(bytes != write("three", "8"), "{format}");
        if format == "jsonl" {
            // The instruments and each of the books come before.
            assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 3_000 + 1 + 7);
        }
    }
}

#[test]
fn standard_output_gets_what_a_file_would() {
    let folder = Folder::new();
    let path = folder.path("stream.csv");
    let arguments = ["generate", "--count", "500", "--symbols", "3", "--format", "csv"];
    let piped = run(arguments).exits(0);
    assert_eq!(piped.stderr, "");
    run(arguments.into_iter().chain(["--output", path.to_str().unwrap(), "-q"])).exits(0);
    assert_eq!(piped.stdout.as_bytes(), fs::read(&path).unwrap());
    assert_eq!(folder.names(), ["stream.csv"]);
}

#[test]
fn without_a_count_the_duration_decides() {
    let output = run(["generate", "--duration", "100ms", "--symbols", "3", "--base-rate", "10k"]).exits(0);
    assert_eq!(output.stdout.lines().count(), 1_000 + 1 + 3);
    // A profile has another average than its base rate, and the count is met all the same.
    let output = run(["generate", "--count", "5000", "--symbols", "3", "--profile", "RAMP_UP"]).exits(0);
    assert_eq!(output.stdout.lines().count(), 5_000 + 1 + 3);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = command()
        .args(["generate", "--count", "100000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 1_000];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), &*said), (Some(0), ""));
}

#[test]
fn paced_messages_come_when_they_are_due() {
    let start = Instant::now();
    let output =
        run(["generate", "--paced", "--duration", "1s", "--base-rate", "200", "--symbols", "3"]).exits(0);
    assert_eq!(output.stdout.lines().count(), 200 + 1 + 3);
    assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn an_interrupt_keeps_what_was_written() {
    let folder = Folder::new();
    let path = folder.path("stream.jsonl");
    let mut command = command();
    command.args([
        "generate",
        "--paced",
        "--duration",
        "60s",
        "--base-rate",
        "100",
        "--symbols",
        "3",
        "--output",
    ]);
    let started = Started::new(command.arg(&path));
    // It writes to a temporary file from the moment on in which it listens.
    let has_begun =
        || folder.names().iter().any(|name| fs::metadata(folder.path(name)).is_ok_and(|it| it.len() > 0));
    let start = Instant::now();
    while !has_begun() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    started.signal("INT");
    started.finish().exits(105);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().count() > 3 && text.ends_with('\n'), "{}", text.len());
    run(["check", "--only-faults", path.to_str().unwrap()]).exits(0);
}

#[test]
fn a_picture_alone_writes_nothing_else() {
    let folder = Folder::new();
    let path = folder.path("market.html");
    let output =
        run(["generate", "--count", "20000", "--symbols", "5", "--plot", path.to_str().unwrap()]).exits(0);
    assert_eq!(output.stdout, "");
    let html = fs::read_to_string(&path).unwrap();
    assert!(html.contains("A market of 5 symbols") && html.contains("--count 20000"), "{}", &html[..500]);
}

#[test]
fn mistakes_name_what_is_allowed_and_are_said_together() {
    for (arguments, expected) in [
        (&["--count", "0"][..], &["--count: ", "from 1", "`0`"][..]),
        (&["--count", "many"], &["--count: ", "`many`"]),
        (&["--count", "-5"], &["--count: ", "`-5`"]),
        (&["--format", "avro"], &["--format: ", "\"avro\"", "jsonl, frames, msgpack, protobuf, csv"]),
        (&["--cadence", "waltz"], &["--cadence: ", "realtime, venue"]),
        (&["--depth", "7"], &["--depth: ", "7 levels", "must be one of: 0"]),
        (&["--depth", "all"], &["--depth: ", "`all`"]),
        (&["--format", "csv", "--depth", "0"], &["--depth: ", "csv", "jsonl or frames"]),
        (&["--format", "csv", "--cadence", "venue"], &["--cadence: ", "csv"]),
        (&["--venue", "nasdaq"], &["--venue: ", "nasdaq", "kraken"]),
        (&["--count", "10000", "--duration", "10ms"], &["--count: ", "10000", "at most 200"]),
        (&["--count", "100000000000000", "--base-rate", "1"], &["--count: ", "30 days"]),
        (&["--output", "x", "--plot", "./x"], &["--plot: ", "already"]),
        (&["--target", "builtin"], &["--target"]),
    ] {
        let output = run(["generate"].iter().chain(arguments)).exits(2);
        assert_eq!(output.stdout, "", "{arguments:?}");
        for part in expected {
            assert!(output.stderr.contains(part), "{arguments:?}: {part} is not in {}", output.stderr);
        }
    }
    let all = run(["generate", "--count", "0", "--format", "avro", "--symbols", "0"]).exits(2);
    assert_eq!(all.stderr.matches("error:").count(), 3, "{}", all.stderr);
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    for (flag, path) in
        [("--output", "/no/such/folder/x"), ("--plot", "/no/such/folder/x"), ("--output", "/dev/full")]
    {
        let output = run(["generate", "--count", "10", flag, path]).exits(1);
        assert!(output.stderr.contains(path), "{}", output.stderr);
    }
}

#[test]
fn binary_bytes_are_kept_from_a_terminal() {
    // script gives a terminal where there is none.
    let binary = env!("CARGO_BIN_EXE_tickstorm");
    let line = format!("{binary} generate --count 10 --format msgpack; echo exit $?");
    let Ok(output) = command_of("script").args(["-qec", &line, "/dev/null"]).output() else {
        return skip("there is no program `script`, which gives a terminal", Ci::Fails);
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("--output FILE") && said.contains("exit 2"), "{said}");
}

#[test]
fn settings_of_runs_in_the_environment_do_no_harm() {
    let mut command = command();
    let command = command.args(["generate", "--count", "10", "--symbols", "2"]);
    let output = finish(command.env("TICKSTORM_TIMEOUT", "1s").env("TICKSTORM_SEED", "9")).exits(0);
    assert_eq!(output.stdout, run(["generate", "--count", "10", "--symbols", "2", "--seed", "9"]).stdout);
}
