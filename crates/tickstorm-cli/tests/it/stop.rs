//! Stopping a run by hand: once to have the replies that are on their way, twice to have the report now.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Folder, Started, command},
    peer::Peer,
    report::Report,
};

/// A minute's run that says something ten times a second.
fn storm(peer: &Peer, arguments: &[&str]) -> Started {
    let mut command = command();
    command.args([
        "--target",
        &peer.url(),
        "--duration",
        "60",
        "--report-interval",
        "100ms",
        "--max-pacing-lag",
        "30s",
    ]);
    Started::new(command.args(arguments))
}

#[test]
fn one_signal_waits_for_the_replies_that_are_on_their_way() {
    for signal in ["INT", "TERM"] {
        let Some(peer) = Peer::start(&["--delay", "0.3"]) else { return };
        let mut started = storm(&peer, &["--ack", "fifo", "--timeout", "30s"]);
        started.await_line("offered");
        started.signal(signal);
        let report = Report::of(started.finish(), 105);
        assert_eq!(report.at("/stopped/reason"), "interrupted");
        assert!(report.number("/test_duration") < 30.0);
        assert!((1..30_000).contains(&report.count("/total_messages")));
        assert_eq!(report.count("/messages_processed"), report.count("/total_messages"), "{signal}");
        assert_eq!(report.outcome(), "INCONCLUSIVE");
    }
}

#[test]
fn one_signal_waits_no_longer_than_the_timeout() {
    let Some(peer) = Peer::start(&["--never-reply"]) else { return };
    let mut started = storm(&peer, &["--ack", "fifo", "--timeout", "1s"]);
    started.await_line("offered");
    started.signal("INT");
    let report = Report::of(started.finish(), 105);
    assert_eq!(report.count("/messages_processed"), 0);
    assert_eq!(report.lost_as("timeout") + report.lost_as("unsent"), report.count("/total_messages"));
    assert_eq!(report.outcome(), "FAIL", "that is certain, stopped or not");
}

#[test]
fn two_signals_end_the_run_at_once() {
    for signal in ["INT", "TERM"] {
        let Some(peer) = Peer::start(&["--never-reply"]) else { return };
        let start = Instant::now();
        let mut started = storm(&peer, &["--ack", "fifo", "--timeout", "10m", "--max-concurrent", "100000"]);
        started.await_line("offered");
        started.signal(signal);
        started.await_line("stopping: ");
        started.signal(signal);
        let report = Report::of(started.finish(), 105);
        assert!(report.count("/ledger/aborted") > 0, "{}", report.at("/ledger"));
        assert!(report.losses().is_empty(), "{:?}", report.losses());
        assert!(start.elapsed() < Duration::from_secs(45), "it waited for replies");
    }
}

#[test]
fn one_signal_ends_the_wait_for_a_connection() {
    let Some(peer) = Peer::start(&["--byte-sink"]) else { return };
    let mut started = storm(&peer, &[]);
    started.await_line("connecting");
    started.signal("INT");
    let output = started.finish().exits(105);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("nothing was measured"), "{}", output.stderr);
}

#[test]
fn a_stop_while_the_target_is_away_ends_in_a_report() {
    let Some(mut peer) = Peer::start(&[]) else { return };
    let mut started = storm(&peer, &["--ack", "fifo", "--timeout", "500ms"]);
    started.await_line("offered");
    peer.kill();
    // Long enough for messages to have waited in vain.
    thread::sleep(Duration::from_secs(1));
    started.signal("INT");
    let report = Report::of(started.finish(), 105);
    assert_eq!(
        report.at("/connections/0/outages/0/length_s"),
        &serde_json::Value::Null,
        "it never came back"
    );
    assert!(report.lost_as("not_connected") + report.lost_as("unsent") > 0, "{}", report.at("/ledger"));
}

#[test]
fn a_program_that_is_killed_leaves_no_report_that_is_not_whole() {
    let folder = Folder::new();
    let path = folder.path("report.json");
    let mut started = Started::new(
        command().args(["--duration", "60", "--report-interval", "100ms", "--output"]).arg(&path),
    );
    started.await_line("offered");
    started.signal("KILL");
    started.finish();
    assert!(!path.exists());
}
