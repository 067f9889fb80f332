//! What a run says and how it exits, at the built-in target.

use std::{fs, time::Instant};

use serde_json::Value;

use crate::harness::{Folder, Output, Started, command, command_of, finish, run};

/// A second at a rate that any machine keeps up with, judged leniently: a busy one should not fail the test.
const SHORT: [&str; 6] = ["--duration", "1s", "--base-rate", "20", "--max-pacing-lag", "10s"];

#[test]
fn a_run_that_holds_exits_0_with_its_report_on_standard_output() {
    let output = run(SHORT.into_iter().chain(["--report-interval", "500ms"])).exits(0);
    let report = output.json();
    assert_eq!(report["verdict"]["outcome"], "PASS");
    assert_eq!(report["total_messages"], 200);
    assert_eq!(report["messages_processed"], 200);

    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(lines[0].contains("200 messages in 1 s") && lines[0].contains("seed 1"), "{}", output.stderr);
    let progress = lines.iter().filter(|line| line.contains("offered") && line.contains("active")).count();
    assert_eq!(progress, 2, "{}", output.stderr);
    assert!(output.stderr.contains("PASS"), "{}", output.stderr);
}

#[test]
fn a_crossed_threshold_exits_99() {
    let output = run(SHORT.into_iter().chain(["--target", "builtin:?fail=0.5", "--quiet"])).exits(99);
    assert_eq!(output.json()["verdict"]["outcome"], "FAIL");
    assert_eq!(output.stderr, "", "quiet");
}

/// A run with a hundred connections to the built-in target, each of which is two open files, behind a limit on these.
fn run_with_open_files(limit: &str) -> Output {
    let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
    finish(command_of("sh").args(["-c", &script, env!("CARGO_BIN_EXE_tickstorm")]).args(SHORT).args([
        "--connections",
        "100",
        "--quiet",
    ]))
}

#[test]
fn the_soft_limit_of_open_files_is_none() {
    let output = run_with_open_files("-S -n 64").exits(0);
    assert_eq!(output.json()["connections"].as_array().unwrap().len(), 100);
}

#[test]
fn too_few_open_files_are_named_as_the_cause() {
    // Either end may be the one that lacks a file.
    for limit in ["-n 64", "-n 65"] {
        let output = run_with_open_files(limit).exits(1);
        assert!(output.stderr.contains("Too many open files"), "{limit}: {}", output.stderr);
    }
}

#[test]
fn the_report_says_where_each_setting_came_from() {
    let output = finish(command().args(SHORT).arg("--quiet").env("TICKSTORM_SEED", "7"));
    let report = output.json();
    let settings = report["plan"]["settings"].as_array().unwrap();
    let source =
        |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap()["source"].clone();
    assert_eq!(source("base-rate"), "flag");
    assert_eq!(source("seed"), "environment");
    assert_eq!(source("symbols"), "default");
}

#[test]
fn results_go_to_the_files_that_are_named() {
    let folder = Folder::new();
    let (json, hlog) = (folder.path("report.json"), folder.path("latency.hlog"));
    let output = finish(command().args(SHORT).arg("--output").arg(&json).arg("--hlog").arg(&hlog)).exits(0);
    assert_eq!(output.stdout, "");
    assert_eq!(folder.names(), ["latency.hlog", "report.json"]);
    let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(report["total_messages"], 200);
    assert!(fs::read_to_string(hlog).unwrap().starts_with("#[Histogram log format version 1.3]"));
}

#[test]
fn ctrl_c_stops_the_run_and_still_reports() {
    for signal in ["INT", "TERM"] {
        let mut started = Started::new(command().args(["--duration", "60", "--report-interval", "100ms"]));
        started.await_line("offered");
        started.signal(signal);
        let output = started.finish().exits(105);
        let report = output.json();
        assert_eq!(report["stopped"]["reason"], "interrupted");
        assert!(report["total_messages"].as_u64().unwrap() < 60_000);
        assert!(output.stderr.contains("stopping"), "{}", output.stderr);
    }
}

#[test]
fn ctrl_c_twice_does_not_wait_for_replies() {
    let start = Instant::now();
    let target = ["--target", "builtin:?service=50s", "--timeout", "100s"];
    let mut started =
        Started::new(command().args(target).args(["--duration", "60", "--report-interval", "100ms"]));
    started.await_line("offered");
    started.signal("INT");
    started.await_line("stopping: ");
    started.signal("INT");
    let output = started.finish().exits(105);
    assert!(output.json()["ledger"]["aborted"].as_u64().unwrap() > 0);
    assert!(start.elapsed().as_secs() < 45, "it waited for a reply");
}

#[test]
fn a_program_that_is_killed_leaves_the_old_report_whole() {
    let folder = Folder::new();
    let path = folder.file("report.json", "old");
    let mut started = Started::new(
        command().args(["--duration", "60", "--report-interval", "100ms", "--output"]).arg(&path),
    );
    started.await_line("offered");
    started.signal("KILL");
    started.finish();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let left = folder.names();
    assert!(left[0].starts_with(".report.json.tickstorm-") && left[0].ends_with(".tmp"), "{left:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_kept_is_an_error_but_not_lost() {
    let output = run(SHORT.into_iter().chain(["--output", "/dev/full"])).exits(1);
    assert_eq!(output.json()["total_messages"], 200);
    assert!(output.stderr.contains("`/dev/full`"), "{}", output.stderr);
}

#[test]
fn a_reader_that_went_away_does_not_change_the_verdict() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command().args(SHORT).arg("--quiet").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
