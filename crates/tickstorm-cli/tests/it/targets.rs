//! Targets of other makes, well behaved and not: both ends must have counted the same, and every misbehaviour has its
//! name in the report.

use std::time::{Duration, Instant};

use crate::{
    harness::{Output, command, finish, run},
    peer::Peer,
    report::Report,
};

/// Two hundred messages in a second, judged leniently: a busy machine should not fail the test.
const SHORT: [(&str, &str); 3] =
    [("TICKSTORM_DURATION", "1s"), ("TICKSTORM_BASE_RATE", "20"), ("TICKSTORM_MAX_PACING_LAG", "30s")];

/// Time that no busy machine needs for a reply, where replies are expected.
const PATIENT: [&str; 2] = ["--timeout", "30s"];

/// Where none are.
const IMPATIENT: [&str; 2] = ["--timeout", "300ms"];

fn storm(peer: &Peer, arguments: &[&[&str]]) -> Output {
    storm_at(&peer.url(), &arguments.concat())
}

fn storm_at(target: &str, arguments: &[&str]) -> Output {
    finish(command().envs(SHORT).args(["--target", target]).args(arguments))
}

#[test]
fn both_ends_count_the_same_when_the_target_echoes() {
    let Some(peer) = Peer::start(&[]) else { return };
    let report = Report::of(storm(&peer, &[&PATIENT, &["--ack", "fifo"]]), 0);
    assert_eq!(report.count("/total_messages"), 200);
    assert_eq!(report.count("/messages_processed"), 200);
    assert_eq!(report.at("/latency_basis"), "acknowledged");
    assert_eq!(peer.received(), 200);
}

#[test]
fn both_ends_count_the_same_without_acknowledgements() {
    let Some(peer) = Peer::start(&["--never-reply"]) else { return };
    // It is the default for a target of one's own.
    let report = Report::of(storm(&peer, &[]), 0);
    assert_eq!(report.count("/messages_processed"), 200);
    assert_eq!(report.at("/latency_basis"), "kernel");
    assert_eq!(report.at("/plan/max_concurrent"), &serde_json::Value::Null);
    peer.await_received(200);
}

#[test]
fn a_target_that_never_replies_fails_by_timeouts() {
    let Some(peer) = Peer::start(&["--never-reply"]) else { return };
    let report = Report::of(storm(&peer, &[&IMPATIENT, &["--ack", "fifo"]]), 99);
    assert_eq!(report.losses(), ["timeout"]);
    assert_eq!(report.lost_as("timeout"), 200);
    assert!(report.number("/latency/min_ms") >= 300.0, "failing cannot hide the tail");
    assert_eq!(peer.received(), 200);
}

#[test]
fn replies_after_the_timeout_are_late_and_do_not_shift_the_matching() {
    let Some(peer) = Peer::start(&["--delay", "1"]) else { return };
    let ends = [&["--ack", "fifo", "--timeout", "700ms", "--duration", "3s"][..]];
    let report = Report::of(storm(&peer, &ends), 99);
    assert_eq!(report.losses(), ["timeout"]);
    assert_eq!(report.lost_as("timeout"), 600);
    assert_eq!(report.count("/ledger/unexpected_replies"), 0);
    let late = report.count("/ledger/late_replies");
    // Those of the last second come when the run is over.
    assert!((1..600).contains(&late), "{late}");
}

#[test]
fn nonsense_answers_nothing_where_replies_have_ids() {
    let Some(peer) = Peer::start(&["--garbage"]) else { return };
    let report = Report::of(storm(&peer, &[&IMPATIENT, &["--ack", "id"]]), 99);
    assert_eq!(report.losses(), ["timeout"]);
    assert_eq!(report.count("/ledger/unexpected_replies"), 200);
    let nonsense = report.list("/errors").iter().find(|error| error["kind"] == "unexpected_reply").unwrap();
    let sample = nonsense["samples"][0].as_str().unwrap();
    assert!(sample.contains("nonsense") && !sample.contains('\0'), "{sample}");
}

#[test]
fn a_reply_beyond_all_measure_ends_the_connection_and_not_the_run() {
    let Some(peer) = Peer::start(&["--huge"]) else { return };
    let few = [&["--base-rate", "1", "--ack", "fifo"][..], &PATIENT];
    let report = Report::of(storm(&peer, &few), 99);
    assert!(report.lost_as("connection_lost") > 0, "{}", report.at("/ledger"));
    let reason = report.at("/connections/0/outages/0/reason").as_str().unwrap();
    assert!(reason.contains("16777216") && reason.contains("67108864"), "{reason}");
    assert!(report.number("/memory_usage_mb") < 64.0, "it was not read into memory");
}

#[test]
fn connections_that_are_closed_are_opened_again() {
    for how in [&["--close-after", "50"][..], &["--close-after", "50", "--abort"]] {
        let Some(peer) = Peer::start(how) else { return };
        let report = Report::of(storm(&peer, &[&PATIENT, &["--ack", "fifo", "--error-threshold", "1"]]), 0);
        let outages = report.list("/connections/0/outages");
        assert!((2..=4).contains(&outages.len()), "{outages:?}");
        let lost: u64 = outages.iter().map(|outage| outage["messages_lost"].as_u64().unwrap()).sum();
        assert_eq!(lost, report.lost_as("connection_lost"), "{how:?}");
        assert_eq!(report.count("/total_messages"), 200);
        assert!(report.count("/messages_processed") <= peer.received());
        assert!(report.count("/ledger/sent") >= peer.received());
    }
}

#[test]
fn a_server_that_hangs_up_at_once_is_not_hammered() {
    let Some(peer) = Peer::start(&["--close-after", "0"]) else { return };
    let report = Report::of(storm(&peer, &[&["--ack", "fifo", "--timeout", "500ms"][..]]), 99);
    assert_eq!(report.count("/messages_processed"), 0);
    let outages = report.list("/connections/0/outages").len();
    assert!(outages <= 20, "{outages} connections in at most two seconds");
}

#[test]
fn a_target_that_cannot_be_reached_is_named_once_and_soon() {
    let start = Instant::now();
    // Where a port was free a moment ago, nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/");
    let output = run(["--target", &url, "--quiet"]).exits(1);
    assert_eq!(output.stdout, "");
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains(&url) && output.stderr.contains("refused"), "{}", output.stderr);
    assert!(start.elapsed() < Duration::from_secs(20), "a minute's run");
}

#[test]
fn a_server_that_refuses_the_handshake_is_quoted() {
    let Some(peer) = Peer::start(&["--refuse"]) else { return };
    let output = storm(&peer, &[&["--quiet"]]).exits(1);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("503"), "{}", output.stderr);
}

#[test]
fn who_does_not_answer_the_handshake_is_given_up() {
    let Some(peer) = Peer::start(&["--byte-sink"]) else { return };
    let output = storm(&peer, &[&["--quiet"]]).exits(1);
    assert!(output.stderr.contains("no answer"), "{}", output.stderr);
}

#[test]
fn a_public_address_is_refused_unless_it_is_allowed() {
    for public in ["ws://8.8.8.8/", "ws://[2606:4700::1111]:443/feed"] {
        let start = Instant::now();
        let output = run(["--target", public]);
        assert!([2, 104].contains(&output.code), "{output:?}");
        assert!(output.stderr.contains("--allow-public-target"), "{}", output.stderr);
        assert_eq!(output.stdout, "");
        assert!(start.elapsed() < Duration::from_secs(20), "nobody was called");
        run(["--target", public, "--allow-public-target", "--print-plan"]).exits(0);
    }
}

#[test]
fn replies_with_the_stamped_id_are_matched() {
    let Some(peer) = Peer::start(&["--ack-field", "id"]) else { return };
    let ids =
        [&PATIENT[..], &["--ack", "id", "--stamp-id", "id", "--ack-pointer", "/id", "--connections", "3"]];
    let report = Report::of(storm(&peer, &ids), 0);
    assert_eq!(report.count("/messages_processed"), 200);
    assert_eq!(report.count("/ledger/unexpected_replies"), 0);
}

#[test]
fn replies_with_an_id_that_the_messages_have_already_are_matched() {
    let Some(peer) = Peer::start(&["--ack-field", "s"]) else { return };
    // All messages have a symbol but those of accounts.
    let ids =
        [&PATIENT[..], &["--ack", "id", "--id-pointer", "/s", "--ack-pointer", "/s", "--accounts", "0"]];
    let report = Report::of(storm(&peer, &ids), 0);
    assert_eq!(report.count("/messages_processed"), 200);
    assert_eq!(report.count("/ledger/unexpected_replies"), 0);
}

#[test]
fn messages_of_an_array_count_each_for_itself() {
    let Some(peer) = Peer::start(&[]) else { return };
    let batch = [&PATIENT[..], &["--batch", "10", "--ack", "fifo", "--base-rate", "500"]];
    let report = Report::of(storm(&peer, &batch), 0);
    assert_eq!(report.count("/messages_processed"), 5_000);
    let frames = peer.received();
    assert!((500..5_000).contains(&frames), "{frames} arrays of at most ten");

    let Some(peer) = Peer::start(&["--ack-field", "id"]) else { return };
    let ids =
        ["--batch", "10", "--ack", "id", "--stamp-id", "id", "--ack-pointer", "/id", "--base-rate", "500"];
    let report = Report::of(storm(&peer, &[&PATIENT, &ids]), 0);
    assert_eq!(report.count("/messages_processed"), 5_000);

    let report = Report::of(storm_at("builtin", &["--batch", "10", "--base-rate", "500"]), 0);
    assert_eq!(report.count("/target/builtin/messages"), 5_000);
    assert_eq!(report.at("/target/builtin/faults"), &serde_json::json!({}));
}

#[test]
fn fifty_connections_share_the_symbols() {
    let Some(peer) = Peer::start(&[]) else { return };
    let report = Report::of(storm(&peer, &[&PATIENT, &["--ack", "fifo", "--connections", "50"]]), 0);
    assert_eq!(report.count("/messages_processed"), 200);
    assert_eq!(report.list("/connections").len(), 50);
    let used = report.list("/connections").iter().filter(|connection| connection["sent"] != 0).count();
    assert!(used >= 25, "{used}");
    assert_eq!(peer.received(), 200);
}

#[test]
fn a_token_in_the_address_stays_out_of_the_report() {
    let Some(peer) = Peer::start(&[]) else { return };
    let url = format!("{}?token=sesame", peer.url());
    let output = storm_at(&url, &[&PATIENT[..], &["--ack", "fifo"]].concat());
    assert!(!output.stdout.contains("sesame") && !output.stderr.contains("sesame"), "{output:#?}");
    assert_eq!(Report::of(output, 0).count("/messages_processed"), 200);
}
