//! Whatever the profile and the arrivals, a run has exactly as many messages as the rate adds up to.

use std::thread;

use crate::{
    harness::{Folder, run},
    report::Report,
};

/// Only counts matter here, so that several runs share a small machine.
const LENIENT: [&str; 4] = ["--max-pacing-lag", "60s", "--timeout", "60s"];

#[test]
fn every_profile_and_every_kind_of_arrival_adds_up_to_the_message() {
    let load = ["--base-rate", "12.34", "--multiplier", "17.5"];
    let mut cases: Vec<Vec<&str>> = Vec::new();
    for profile in
        ["NORMAL", "VOLATILE", "VOLATILE?low=0.1x&high=7x&cell=50ms", "SPIKE", "RAMP_UP", "RAMP_DOWN"]
    {
        cases.push(vec!["--profile", profile, "--duration", "1.7"]);
    }
    for arrivals in
        ["paced", "poisson", "bursty", "bursty:flat", "bursty:calm", "bursty:volatile", "bursty:crash"]
    {
        cases.push(vec!["--profile", "SPIKE?peak=3.3x", "--duration", "1.3s", "--arrivals", arrivals]);
    }
    cases.push(vec!["--stages", "500ms:1x, 333ms:1x..7x, 100ms:0x, 450ms:2.5x"]);
    cases.push(vec![
        "--profile",
        "NORMAL",
        "--duration",
        "1.7",
        "--seed",
        "12345",
        "--arrivals",
        "bursty:a=1.2",
    ]);
    for case in &mut cases {
        case.extend(load);
    }
    // Some at a time: each takes its seconds, and little of the processor.
    for some in cases.chunks(5) {
        thread::scope(|scope| {
            for case in some {
                scope.spawn(|| check(case));
            }
        });
    }
}

#[test]
fn stages_from_a_file_add_up_too() {
    let folder = Folder::new();
    let file = folder.file("storm.csv", "time_s,factor\n0,1\n0.5,1\n0.75,8\n0.75,0.125\n1.5,0.125\n");
    check(&["--stages", &format!("@{}", file.display()), "--base-rate", "33.333", "--multiplier", "10x"]);
}

/// Runs, and compares the total with the area below the path that `tickstorm profile` tells.
fn check(arguments: &[&str]) {
    // What the rate does not depend on is no setting of `profile`.
    let mut of_the_rate: Vec<&str> = Vec::new();
    for pair in arguments.chunks(2) {
        match pair[0] {
            "--arrivals" => {}
            "--profile" => of_the_rate.insert(0, pair[1]),
            _ => of_the_rate.extend(pair),
        }
    }
    let csv = run([&["profile", "--csv"], &of_the_rate[..]].concat()).exits(0).stdout;
    let given = |flag: &str| {
        let at = arguments.iter().position(|argument| *argument == flag).expect("the case gives it");
        scaled(arguments[at + 1].trim_end_matches('x'), 6)
    };
    let expected = total(&csv, given("--base-rate") * given("--multiplier"));

    let report = Report::of(run(LENIENT.iter().chain(arguments)), 0);
    assert_eq!(report.count("/total_messages"), expected, "{arguments:?}");
    assert_eq!(report.count("/messages_processed"), expected, "{arguments:?}");
    assert_eq!(report.count("/plan/planned_total"), expected, "{arguments:?}");
}

/// The area below the factor, straight from row to row, times a rate with twelve decimals, rounded half up: in whole
/// numbers throughout, so that it is exact.
fn total(csv: &str, rate: i128) -> u64 {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (scaled(cells[0], 9), scaled(cells[1], 6))
    };
    let rows: Vec<(i128, i128)> = csv.lines().skip(1).map(row).collect();
    let twice: i128 = rows.windows(2).map(|pair| (pair[0].1 + pair[1].1) * (pair[1].0 - pair[0].0)).sum();
    let (numerator, denominator) = (twice * rate, 2 * 10_i128.pow(9 + 6 + 12));
    u64::try_from((2 * numerator + denominator) / (2 * denominator)).expect("a count")
}

/// A decimal number in units of its last place.
fn scaled(text: &str, places: usize) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= places, "`{text}` has more than {places} decimals");
    format!("{whole}{fraction:0<places$}").parse().unwrap_or_else(|_| panic!("`{text}` is no decimal"))
}

#[test]
fn the_sum_of_this_test_is_exact() {
    assert_eq!(
        total("time_s,factor,rate\n0,1,1\n1,1,1\n", scaled("2.5", 6) * scaled("1", 6)),
        3,
        "a half rounds up"
    );
    assert_eq!(total("time_s,factor,rate\n0,0,0\n2,5,5\n", scaled("10", 6) * scaled("10", 6)), 500);
}
