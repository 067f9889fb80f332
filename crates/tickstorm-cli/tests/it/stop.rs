//! Stopping a run by hand: once to have the replies that are on their way, twice to have the report now.

use std::{
    net::TcpListener,
    sync::mpsc,
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
fn what_waits_for_a_slow_target_when_the_run_is_ended_at_once_has_not_failed() {
    let Some(peer) = Peer::start(&["--never-reply"]) else { return };
    let mut started = storm(&peer, &["--ack", "fifo", "--timeout", "10m", "--max-concurrent", "10"]);
    started.await_line("offered");
    started.signal("INT");
    started.await_line("stopping: ");
    started.signal("INT");
    let report = Report::of(started.finish(), 105);
    assert_eq!(report.count("/ledger/aborted"), 10);
    assert!(report.lost_as("aborted") > 0, "{}", report.at("/ledger"));
    assert_eq!(report.count("/messages_failed"), 0);
    assert_eq!(report.at("/error_rate"), &serde_json::Value::Null, "nothing can be judged");
    assert_eq!(report.outcome(), "INCONCLUSIVE", "{}", report.reasons());
}

#[test]
fn two_signals_end_the_wait_for_a_target_that_takes_no_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    // It takes the messages and reads none, nor the close frame behind them.
    let (over, is_over) = mpsc::channel::<()>();
    let target = thread::spawn(move || {
        let socket = tungstenite::accept(listener.accept().expect("a client comes").0).expect("a handshake");
        let _ = is_over.recv();
        drop(socket);
    });
    let start = Instant::now();
    let mut started =
        Started::new(
            command()
                .args(["--target", &url, "--ack", "none", "--base-rate", "10", "--multiplier", "1"])
                .args(["--duration", "1s", "--timeout", "10m", "--report-interval", "500ms"]),
        );
    started.await_line("offered");
    thread::sleep(Duration::from_secs(2));
    started.signal("INT");
    started.await_line("stopping: ");
    started.signal("INT");
    // The run itself was over.
    let report = Report::of(started.finish(), 0);
    drop(over);
    target.join().expect("the target does not panic");
    assert_eq!(report.count("/messages_processed"), 10);
    assert!(start.elapsed() < Duration::from_secs(45), "it waited for the target to take its leave");
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
