//! A target that is killed and comes back: the run goes on, and the report tells what it cost.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Started, command},
    peer::Peer,
    report::Report,
};

struct Outage {
    /// When the server is killed, from the start of the run.
    after: Duration,
    /// How long it is away.
    away: Duration,
    /// Length of the run, s.
    duration_s: u64,
    timeout_s: u64,
}

const RATE: u64 = 300;

#[test]
fn a_target_that_is_killed_and_comes_back_costs_what_it_was_away() {
    storm(&Outage {
        after: Duration::from_secs(1),
        away: Duration::from_secs(2),
        duration_s: 6,
        timeout_s: 1,
    });
}

#[test]
fn fifteen_seconds_without_a_target_do_not_end_a_run_of_a_minute() {
    storm(&Outage {
        after: Duration::from_secs(20),
        away: Duration::from_secs(15),
        duration_s: 60,
        timeout_s: 5,
    });
}

fn storm(outage: &Outage) {
    // It answers late, so that there is something in flight whenever it is killed.
    let Some(mut peer) = Peer::start(&["--delay", "0.1"]) else { return };
    let mut started = Started::new(
        command()
            .args(["--target", &peer.url(), "--ack", "fifo", "--report-interval", "1s"])
            .args([
                "--duration",
                &outage.duration_s.to_string(),
                "--timeout",
                &format!("{}s", outage.timeout_s),
            ])
            .args(["--base-rate", &RATE.to_string(), "--multiplier", "1", "--max-pacing-lag", "30s"]),
    );
    started.await_line("connecting");
    thread::sleep(outage.after);
    peer.kill();
    let killed = Instant::now();
    let before = peer.received();
    thread::sleep(outage.away);
    peer.restart();
    // Starting the server takes a moment too.
    let away_s = killed.elapsed().as_secs_f64();
    let report = Report::of(started.finish(), 99);

    assert_eq!(report.outcome(), "FAIL");
    assert!(report.reasons().contains("error_rate"), "{}", report.reasons());
    assert_eq!(report.losses(), ["connection_lost", "not_connected"]);
    assert_eq!(
        report.count("/total_messages"),
        RATE * outage.duration_s,
        "lateness never moves the schedule"
    );
    assert_eq!(report.number("/test_duration"), outage.duration_s as f64);

    let outages = report.list("/connections/0/outages");
    assert_eq!(outages.len(), 1, "{outages:?}");
    let started_s = report.number("/connections/0/outages/0/started_s");
    let length_s = report.number("/connections/0/outages/0/length_s");
    let after_s = outage.after.as_secs_f64();
    assert!((after_s - 0.5..after_s + 1.5).contains(&started_s), "{outages:?}");
    // The pauses between attempts to connect grow to half a second.
    assert!((away_s - 0.5..away_s + 1.0).contains(&length_s), "{outages:?}, away for {away_s} s");
    assert_eq!(report.count("/connections/0/outages/0/messages_lost"), report.lost_as("connection_lost"));

    // Messages wait for the connection as long as the timeout, and are given up then.
    let given_up_s = length_s - outage.timeout_s as f64;
    let given_up = report.lost_as("not_connected") as f64 / RATE as f64;
    assert!((given_up - given_up_s).abs() < 0.5, "{given_up} s worth of messages, expected {given_up_s}");
    let waited_ms = report.number("/stall/max_ms");
    assert!(waited_ms > 500.0 * outage.timeout_s as f64, "{waited_ms}");

    // Afterwards all is as before.
    assert!(peer.received() > before + RATE / 2, "{} and {before}", peer.received());
    let last = report.list("/timeline").last().expect("a run has an interval");
    assert!(last["processed"].as_u64().expect("a count") > RATE / 2, "{last}");
    assert_eq!(last["dropped"], 0);
    let (processed, sent) = (report.count("/messages_processed"), report.count("/ledger/sent"));
    assert!((processed..=sent).contains(&peer.received()), "{processed}, {}, {sent}", peer.received());
}
