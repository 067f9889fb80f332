//! What every report promises, checked on runs against the built-in target.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    harness::{Output, run},
    report::Report,
};

/// Judged leniently: a busy machine should not fail the test.
const LENIENT: [&str; 4] = ["--max-pacing-lag", "30s", "--timeout", "30s"];

fn storm(arguments: &[&str]) -> Output {
    run(LENIENT.iter().chain(arguments).copied())
}

#[test]
fn a_default_run_holds_and_its_report_is_whole() {
    let output = storm(&["--duration", "2", "--report-interval", "1s"]);
    let json = output.json();
    let schema = fs::read_to_string(root("schema/report-1.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let faults: Vec<_> =
        schema.iter_errors(&json).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let keys = json.as_object().unwrap();
    let missing: Vec<_> = TOP_LEVEL.iter().filter(|key| !keys.contains_key(**key)).collect();
    assert!(missing.is_empty(), "{missing:?}");

    let report = Report::of(output, 0);
    assert_eq!(report.outcome(), "PASS");
    assert_eq!(report.count("/total_messages"), 2_000, "100/s x 10 for 2 s");
    assert_eq!(report.count("/messages_processed"), 2_000);
    assert_eq!(report.number("/success_rate"), 1.0);
    assert_eq!(report.number("/error_rate"), 0.0);
    assert_eq!(report.number("/test_duration"), 2.0);
    assert_eq!(report.at("/latency_basis"), "acknowledged");
    assert_eq!(report.count("/target/builtin/messages"), 2_000);
    assert_eq!(report.count("/target/builtin/decode_errors"), 0);
    assert_eq!(report.at("/target/builtin/faults"), &serde_json::json!({}));
    let due: Vec<_> = report.list("/timeline").iter().map(|entry| entry["due"].as_u64().unwrap()).collect();
    assert_eq!(due, [1_000, 1_000]);
    let percentiles = ["/p50_latency_ms", "/p90_latency_ms", "/p95_latency_ms", "/p99_latency_ms"];
    assert!(percentiles.map(|key| report.number(key)).is_sorted());
}

#[test]
fn the_command_in_a_report_repeats_the_run() {
    let first =
        Report::of(storm(&["--stages", "500ms:1x, 500ms:1x..3x", "--seed", "7", "--symbols", "20"]), 0);
    let command = first.at("/plan/command").as_str().unwrap();
    let words = words(command);
    assert_eq!(words[..2], ["tickstorm", "run"]);
    let second = Report::of(run(&words[2..]), 0);
    assert_eq!(second.at("/messages"), first.at("/messages"));
    assert_eq!(second.at("/plan/command"), command);
}

#[test]
fn the_warm_up_enters_no_figure() {
    let report = Report::of(storm(&["--duration", "1", "--warmup", "1s", "--base-rate", "20"]), 0);
    assert_eq!(report.count("/total_messages"), 200);
    assert_eq!(report.count("/latency/count"), 200);
    assert_eq!(report.number("/test_duration"), 1.0);
    // The target saw the warm-up too: a second at the base rate, without the multiplier.
    assert_eq!(report.count("/target/builtin/messages"), 220);
    assert_eq!(report.at("/target/builtin/faults"), &serde_json::json!({}));
}

#[test]
fn an_error_rate_above_its_threshold_fails_the_run_and_one_below_does_not() {
    let rejecting = ["--target", "builtin:?fail=0.02", "--duration", "2"];
    let failed = Report::of(storm(&rejecting), 99);
    assert_eq!(failed.outcome(), "FAIL");
    assert!(failed.reasons().contains("error_rate"), "{}", failed.reasons());
    assert_eq!(failed.losses(), ["rejected"]);
    let held = Report::of(storm(&[&rejecting[..], &["--error-threshold", "0.05"]].concat()), 0);
    assert_eq!(held.outcome(), "PASS");
    assert_eq!(held.lost_as("rejected"), failed.lost_as("rejected"), "the target draws from its own seed");
    let latencies = held.count("/latency/count");
    assert_eq!(latencies, held.count("/messages_processed"), "rejections do not flatter the latency");
    assert_eq!(held.count("/failed_latency/count"), held.lost_as("rejected"));
}

#[test]
fn a_latency_threshold_beyond_what_the_target_can_do_fails_the_run() {
    let slow = ["--target", "builtin:?service=20ms&servers=100", "--duration", "1", "--base-rate", "20"];
    let report = Report::of(storm(&[&slow[..], &["--threshold", "p50<10ms"]].concat()), 99);
    assert!(report.reasons().contains("p50_latency_ms"), "{}", report.reasons());
    Report::of(storm(&[&slow[..], &["--threshold", "p50<10s,max<100s"]].concat()), 0);
}

#[test]
fn at_the_limit_messages_are_dropped_if_one_asks_for_it() {
    let limit = ["--target", "builtin:?service=100ms", "--duration", "1", "--max-concurrent", "5"];
    let report = Report::of(storm(&[&limit[..], &["--at-limit", "drop"]].concat()), 99);
    assert_eq!(report.losses(), ["concurrency_limit"]);
    assert!(report.count("/messages_processed") >= 5);
    // One at a time, a tenth of a second each, five of them at once.
    assert!(report.count("/messages_processed") <= 30, "{}", report.at("/ledger"));
}

#[test]
fn the_guide_to_the_command_line_names_every_setting() {
    let guide = fs::read_to_string(root("docs/cli.md")).unwrap();
    let run = guide.split("\n## ").find(|part| part.starts_with("tickstorm run")).unwrap();
    let rows = run.lines().filter_map(|line| line.strip_prefix("| `--"));
    let documented: BTreeSet<&str> =
        rows.map(|row| row.split([' ', '`']).next().expect("split gives one at least")).collect();
    for setting in tickstorm::SETTINGS {
        assert!(documented.contains(setting.name), "docs/cli.md does not name --{}", setting.name);
    }
    let known: BTreeSet<&str> = tickstorm::SETTINGS.iter().map(|setting| setting.name).collect();
    for name in documented.into_iter().filter(|name| !known.contains(name)) {
        assert!(BESIDE_SETTINGS.contains(&name), "docs/cli.md names --{name}, which is no setting");
    }
}

#[test]
fn the_defaults_in_the_guide_are_the_programs() {
    let guide = fs::read_to_string(root("docs/cli.md")).unwrap();
    for setting in tickstorm::SETTINGS {
        let row = guide.lines().find(|line| line.starts_with(&format!("| `--{}", setting.name))).unwrap();
        let cell = row.split(" | ").nth(1).unwrap().trim();
        // Dates, switches and what depends on other settings are told in words.
        if let Some(named) = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'))
            && let Some(default) = setting.default_text()
            && !named.contains('`')
        {
            let same = [default.clone(), default.trim_end_matches("/s").trim_end_matches('x').to_owned()];
            assert!(same.iter().any(|text| text == named), "--{}: {named}, but {default}", setting.name);
        }
    }
}

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The words of a command line, as a shell would see them.
fn words(command: &str) -> Vec<String> {
    let quoted = std::process::Command::new("sh")
        .args(["-c", &format!("for word in {command}; do printf '%s\\n' \"$word\"; done")])
        .output()
        .expect("there is a shell");
    String::from_utf8(quoted.stdout).expect("words are text").lines().map(str::to_owned).collect()
}

/// Flags that say where results go and what is shown, and the target, which is no text alone.
const BESIDE_SETTINGS: [&str; 7] = ["target", "output", "hlog", "print-plan", "config", "no-tui", "quiet"];

const TOP_LEVEL: [&str; 32] = [
    "schema_version",
    "test_duration",
    "total_messages",
    "messages_processed",
    "messages_failed",
    "success_rate",
    "avg_latency_ms",
    "p50_latency_ms",
    "p90_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "peak_throughput",
    "avg_throughput",
    "error_rate",
    "memory_usage_mb",
    "verdict",
    "thresholds",
    "plan",
    "generator",
    "latency",
    "net_latency",
    "service_time",
    "lag",
    "stall",
    "pacing_lag",
    "messages",
    "ledger",
    "errors",
    "timeline",
    "target",
    "environment",
    "stopped",
];
