//! What happens to the market in a run, and that the load knows nothing of it.

use crate::{harness::run, report::Report};

/// Few symbols, so that each has messages enough to change its mood. Judged leniently: only what was sent matters.
const SHORT: [&str; 12] = [
    "--duration",
    "2s",
    "--base-rate",
    "1k",
    "--symbols",
    "5",
    "--warmup",
    "300ms",
    "--max-pacing-lag",
    "60s",
    "--timeout",
    "60s",
];

#[test]
fn a_flash_crash_brings_trades_and_no_message_more() {
    let report = |extra: &[&str]| Report::of(run(SHORT.iter().chain(extra).chain(&["--quiet"])), 0);
    let calm = report(&[]);
    let crash = report(&["--scenario", "flash-crash", "--crash-depth", "10%", "--crash-retrace", "0.6"]);
    assert_eq!(calm.count("/total_messages"), crash.count("/total_messages"));
    let trades = |report: &Report| report.count("/messages/trade");
    assert!(2 * trades(&crash) > 3 * trades(&calm), "{} after {}", trades(&crash), trades(&calm));
    assert_eq!(crash.at("/plan/regime"), "normal until the crash");
    assert_eq!(crash.losses(), [""; 0], "the target keeps a replica of every book and finds no fault");
}

/// The target decodes every message, and holds each book, trade, order and balance against the others.
#[test]
fn every_venue_tells_a_crash_with_a_halt_without_a_fault() {
    for venue in ["binance", "coinbase", "kraken", "okx", "bybit"] {
        let how = ["--venue", venue, "--scenario", "flash-crash", "--crash-halt", "150ms", "--quiet"];
        let report = Report::of(run(SHORT.iter().chain(&how)), 0);
        // The warm-up's come on top.
        assert!(report.count("/target/builtin/messages") >= report.count("/ledger/sent"), "{venue}");
        assert_eq!(report.count("/target/builtin/decode_errors"), 0, "{venue}");
        assert_eq!(report.at("/target/builtin/faults").as_object().map(|it| it.len()), Some(0), "{venue}");
    }
}

#[test]
fn the_plan_says_what_the_market_goes_through() {
    let shown = |arguments: &[&str]| {
        let output = run(arguments.iter().chain(&["--print-plan"])).exits(0);
        move |name: &str| {
            let line = output.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
            let line = line.unwrap_or_else(|| panic!("no {name} in\n{}", output.stdout));
            line[name.len()..].trim().rsplit_once("  ").expect("an origin").0.trim().to_owned()
        }
    };
    for (arguments, regime) in [
        (&["--profile", "NORMAL"][..], "normal"),
        (&["--profile", "VOLATILE"], "volatile"),
        (&["--profile", "VOLATILE", "--regime", "normal"], "normal"),
        (&["--profile", "SPIKE"], "normal; in bursts crash, then recovery"),
        (&["--profile", "SPIKE", "--regime", "volatile"], "volatile"),
        (&["--profile", "SPIKE", "--scenario", "flash-crash"], "normal until the crash"),
        (&["--scenario", "flash-crash", "--regime", "volatile"], "volatile until the crash"),
    ] {
        assert_eq!(shown(arguments)("regime"), regime, "{arguments:?}");
    }
    let crash =
        shown(&["--scenario", "flash-crash", "--crash-halt", "5s", "--tick-size", "small", "--zipf", "0.7"]);
    let values = ["scenario", "crash-depth", "crash-retrace", "crash-halt", "tick-size", "zipf"].map(crash);
    assert_eq!(values, ["flash-crash", "8%", "75%", "5s", "small", "0.7"]);
    assert_eq!(shown(&[])("crash-depth"), "-");
}
