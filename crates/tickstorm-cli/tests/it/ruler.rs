//! What `tickstorm ruler` prints.

use crate::harness::{Started, command, run};

#[test]
fn one_signal_ends_the_ruler() {
    for signal in ["INT", "TERM"] {
        let mut started = Started::new(command().arg("ruler"));
        started.await_line("pacing: ");
        started.signal(signal);
        assert_eq!(started.finish().exits(105).stdout, "");
    }
}

#[test]
fn the_ruler_measures_and_prints_json() {
    let output = run(["ruler", "--quick", "--json"]).exits(0);
    let report = output.json();
    assert_eq!(report["truth"].as_array().unwrap().len(), 5);
    for row in report["truth"].as_array().unwrap() {
        assert_eq!(row["messages_failed"], 0, "{row}");
        let p50 = |which: &str| row[which]["p50_ms"].as_f64().unwrap();
        assert!(p50("measured") >= p50("net") && p50("exact") > 0.0, "{row}");
    }
    assert!(
        report["pacing"].as_array().unwrap().iter().all(|row| row["lateness_p50_ms"].as_f64() > Some(0.0))
    );
    assert!(report["conclusion"]["trustworthy_from_ms"].as_f64() > Some(0.0));
    assert!(report["conclusion"]["sentences"][0].as_str().unwrap().starts_with("Here, today, "));
    // What it is at goes to standard error, so that the JSON stays whole.
    assert!(output.stderr.contains("pacing: 1k/s, sleep\n"), "{}", output.stderr);
    assert!(output.stderr.contains("highest rate: "), "{}", output.stderr);
}
