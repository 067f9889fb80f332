//! `tickstorm check` finds what is wrong with a stream, says where, and exits with its verdict.

use std::{fs, fs::File, path::Path};

use serde_json::Value;

use crate::harness::{Folder, Output, command, finish, run};

/// Faults decide; most streams here are too short to judge the market by.
fn check(path: &Path) -> Output {
    finish(command().args(["check", "--only-faults"]).arg(path))
}

fn generated(folder: &Folder, arguments: &[&str]) -> String {
    let path = folder.path("generated");
    let flags = ["generate", "--symbols", "8", "--count", "5000", "--output"];
    finish(command().args(flags).arg(&path).args(arguments)).exits(0);
    fs::read_to_string(path).expect("the stream was written as text")
}

#[test]
fn what_is_generated_passes_in_every_format() {
    let folder = Folder::new();
    for arguments in [
        &["--format", "jsonl"][..],
        &["--format", "jsonl", "--cadence", "venue"],
        &["--format", "frames"],
        &["--format", "msgpack"],
        &["--format", "protobuf"],
        &["--format", "csv"],
    ] {
        let path = folder.path("stream");
        let flags = ["generate", "--count", "20000", "--symbols", "8", "--output", path.to_str().unwrap()];
        run(flags.iter().chain(arguments)).exits(0);
        let text = check(&path).exits(0).stdout;
        assert!(text.contains(arguments[1]) && text.contains("8 instruments"), "{text}");
        assert!(text.trim_end().ends_with("PASS\n  no fault"), "{text}");
        // The same from a pipe.
        let piped = finish(command().args(["check", "--only-faults", "-"]).stdin(File::open(&path).unwrap()))
            .exits(0);
        assert_eq!(piped.stdout, text);
    }
}

#[test]
fn a_long_stream_meets_every_band_and_a_crash_its_plan() {
    let folder = Folder::new();
    let path = folder.path("stream.msgpack");
    let path = path.to_str().unwrap();
    for settings in [
        &["--seed", "1"][..],
        &["--seed", "2", "--regime", "volatile"],
        &["--seed", "3", "--scenario", "flash-crash"],
    ] {
        let market = ["--symbols", "20", "--count", "1200000"];
        let flags = ["generate", "--format", "msgpack", "--output", path, "-q"];
        run(flags.iter().chain(&market).chain(settings)).exits(0);
        let output = run(["check", path].iter().chain(&market).chain(settings)).exits(0);
        assert!(output.stdout.contains("PASS"), "{}", output.stdout);
    }
}

#[test]
fn a_market_without_bursts_fails_and_says_which_figure() {
    let folder = Folder::new();
    let path = folder.path("paced.jsonl");
    let path = path.to_str().unwrap();
    run(["generate", "--count", "200000", "--symbols", "20", "--arrivals", "paced", "--output", path])
        .exits(0);
    let text = run(["check", path]).exits(99).stdout;
    let end = text.split("FAIL").nth(1).unwrap();
    assert!(end.contains("no fault") && end.contains("M1 burst size"), "{text}");
    run(["check", "--only-faults", path]).exits(0);
}

#[test]
fn faults_are_named_with_their_lines_and_fail() {
    let folder = Folder::new();
    let text = generated(&folder, &[]);
    let lines: Vec<&str> = text.lines().collect();
    let of_book = |line: &str| line.starts_with("{\"e\":\"depthUpdate\"");
    let symbol =
        |line: &str| line.split("\"s\":\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let one = (lines.len() / 2..lines.len()).find(|&index| of_book(lines[index])).unwrap();

    let truncated = [&lines[..one], &[&lines[one][..30]], &lines[one + 1..]].concat();
    let doubled = [&lines[..one], &[lines[one], lines[one]], &lines[one + 1..]].concat();
    let dropped = [&lines[..one], &lines[one + 1..]].concat();
    let next = (one..dropped.len())
        .find(|&index| of_book(dropped[index]) && symbol(dropped[index]) == symbol(lines[one]))
        .unwrap();
    for (name, lines, kind, line) in [
        ("truncated", truncated, "malformed", Some(one + 1)),
        ("doubled", doubled, "old_update", Some(one + 2)),
        ("dropped", dropped, "update_gap", Some(next + 1)),
    ] {
        let path = folder.file(name, lines.join("\n"));
        let text = check(&path).exits(99).stdout;
        assert!(text.contains(kind) && text.contains("FAIL"), "{name}: {text}");
        let report: Value =
            run(["check", "--only-faults", "--json", path.to_str().unwrap()]).exits(99).json();
        assert_eq!(report["verdict"], "FAIL");
        let faults = report["faults"]["first"].as_array().unwrap();
        let named = faults.iter().find(|fault| fault["kind"] == kind).unwrap();
        assert_eq!(named["line"].as_u64(), line.map(|line| line as u64), "{name}: {report:#}");
    }
}

#[test]
fn no_stream_is_refused_by_the_name_of_its_file() {
    let folder = Folder::new();
    for (name, content, expected) in [
        ("empty", &b""[..], "is empty"),
        (
            "packed.gz",
            b"\x1f\x8b\x08\0\0\0",
            "compressed with gzip, unpack it first: zcat FILE | tickstorm check -",
        ),
        ("picture.png", b"\x89PNG\r\n\x1a\n", "begins with 89 50 4e 47"),
        ("text", b"Dear Sir or Madam,\n", "begins with \"Dear"),
        ("foreign.jsonl", b"{\"hello\":\"world\"}\n", "none of the first 1 messages"),
        ("cut.msgpack", b"\x96\x01\x01", "record"),
        ("endless.jsonl", &vec![b'['; (64 << 20) + 2], "line 1 is longer than 64 MiB"),
    ] {
        let path = folder.file(name, content);
        let output = check(&path).exits(104);
        assert_eq!(output.stdout, "");
        let begins = format!("error: {}: ", path.display());
        assert!(
            output.stderr.starts_with(&begins) && output.stderr.contains(expected),
            "{name}: {}",
            output.stderr
        );
    }
}

#[test]
fn what_cannot_be_read_is_a_failure_and_a_wrong_flag_is_wrong_usage() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let output = check(&missing).exits(1);
    assert!(output.stderr.contains(&missing.display().to_string()), "{}", output.stderr);
    check(folder.path("").as_path()).exits(1);
    for arguments in [
        &[][..],
        &["-", "--cadence", "waltz"],
        &["-", "--venue", "nasdaq"],
        &["-", "--count", "0"],
        &["-", "--scenario", "flood"],
        &["-", "--no-such-flag"],
    ] {
        run(["check"].iter().chain(arguments)).exits(2);
    }
}

#[test]
fn a_venue_and_a_cadence_that_are_named_go_before_what_is_told() {
    let folder = Folder::new();
    let path = folder.file("stream", generated(&folder, &[]));
    let path = path.to_str().unwrap();
    let batched: Value = run(["check", "--only-faults", "--json", "--cadence", "venue", path]).json();
    assert_eq!(batched["stream"]["cadence"], "venue");
    let report: Value = run(["check", "--only-faults", "--json", "--venue", "binance", path]).exits(0).json();
    assert_eq!(
        (&report["stream"]["venue"], &report["stream"]["format"]),
        (&"binance".into(), &"jsonl".into())
    );
    assert_eq!(report["stream"]["lines"], 5_009);
}

#[test]
fn a_page_of_pictures_is_written_beside_the_report() {
    let folder = Folder::new();
    let path = folder.file("stream", generated(&folder, &[]));
    let page = folder.path("page.html");
    run(["check", "--only-faults", "--plot", page.to_str().unwrap(), path.to_str().unwrap()]).exits(0);
    assert!(fs::read_to_string(page).unwrap().contains("<svg"));
}

#[test]
fn words_of_a_stream_cannot_move_the_cursor() {
    let folder = Folder::new();
    let text = generated(&folder, &[]);
    let hostile = format!("{text}{{\"e\":\"\\u001b[2Jboo\",\"s\":\"\u{9b}2J\"}}\n");
    let output = check(&folder.file("hostile", hostile)).exits(99);
    assert!(!output.stdout.chars().any(|c| c.is_control() && c != '\n'), "{:?}", output.stdout);
}
