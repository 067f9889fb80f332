//! The same plan and seed are the same bytes, however the work is divided.

use std::{collections::BTreeMap, thread};

use crate::{
    harness::run,
    peer::{Peer, RECORD},
    report::Report,
};

/// A thousand messages and more, some from accounts, that come in bursts.
const PLAN: [&str; 12] = [
    "--profile",
    "VOLATILE",
    "--duration",
    "2",
    "--base-rate",
    "60",
    "--seed",
    "42",
    "--timeout",
    "60s",
    "--max-pacing-lag",
    "60s",
];

/// What arrived on each connection, in order; the connections in no order of theirs.
type Streams = Vec<Vec<String>>;

#[test]
fn bytes_depend_on_neither_workers_nor_the_day() {
    let divisions = [("1", "7"), ("1", "7"), ("2", "7"), ("7", "7"), ("1", "1")];
    let storms = thread::scope(|scope| {
        let storms = divisions.map(|(workers, connections)| scope.spawn(move || storm(workers, connections)));
        storms.map(|storm| storm.join().expect("a storm that failed has said why"))
    });
    let Some([first, again, two, seven, together]) = all(storms) else { return };
    assert!(first.iter().map(Vec::len).sum::<usize>() > 1_000);
    assert!(first.iter().all(|stream| !stream.is_empty()), "each connection has symbols of its own");
    assert_eq!(first, again, "the same run twice");
    assert_eq!(first, two, "two workers");
    assert_eq!(first, seven, "seven workers");
    // On one connection the streams are woven together; each symbol's is what it was.
    assert_eq!(by_symbol(&first), by_symbol(&together));
}

#[test]
fn bytes_of_every_venue_are_the_same_however_many_workers_share_them() {
    for venue in ["coinbase", "kraken", "okx", "bybit"] {
        let storms = thread::scope(|scope| {
            let storms = ["1", "2", "7"].map(|workers| scope.spawn(move || storm_of(venue, workers, "7")));
            storms.map(|storm| storm.join().expect("a storm that failed has said why"))
        });
        let Some([one, two, seven]) = all(storms) else { return };
        assert!(one.iter().map(Vec::len).sum::<usize>() > 1_000, "{venue}");
        assert_eq!(one, two, "{venue}: two workers");
        assert_eq!(one, seven, "{venue}: seven workers");
    }
}

#[test]
fn another_seed_is_another_market() {
    let Some(peer) = Peer::start(&[RECORD]) else { return };
    let url = peer.url();
    let mut recorded = 0;
    let streams = ["1", "2"].map(|seed| {
        let output =
            run(["--target", &url, "--ack", "fifo", "--duration", "1", "--timeout", "60s", "--seed", seed]);
        let count = output.json()["ledger"]["sent"].as_u64().expect("a count") as usize;
        let texts: Vec<String> =
            peer.recorded(recorded + count).into_iter().skip(recorded).map(|(_, text)| text).collect();
        recorded += count;
        texts
    });
    assert_eq!(streams[0].len(), streams[1].len(), "paced");
    assert_ne!(streams[0], streams[1]);
}

fn storm(workers: &str, connections: &str) -> Option<Streams> {
    storm_of("binance", workers, connections)
}

fn storm_of(venue: &str, workers: &str, connections: &str) -> Option<Streams> {
    let peer = Peer::start(&[RECORD])?;
    let url = peer.url();
    let how = [
        "--target",
        &url,
        "--ack",
        "fifo",
        "--venue",
        venue,
        "--workers",
        workers,
        "--connections",
        connections,
    ];
    let report = Report::of(run([&PLAN[..], &how].concat()), 0);
    let recorded = peer.recorded(report.count("/ledger/sent") as usize);
    assert_eq!(recorded.len() as u64, report.count("/ledger/sent"));
    let mut streams: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (connection, message) in recorded {
        streams.entry(connection).or_default().push(message);
    }
    let mut streams: Streams = streams.into_values().collect();
    streams.sort();
    Some(streams)
}

fn all<const N: usize>(storms: [Option<Streams>; N]) -> Option<[Streams; N]> {
    let storms: Option<Vec<Streams>> = storms.into_iter().collect();
    storms.map(|storms| storms.try_into().expect("there are as many"))
}

/// Each symbol's messages in order, and those without a symbol in none.
fn by_symbol(streams: &Streams) -> BTreeMap<String, Vec<&str>> {
    let mut symbols: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for text in streams.iter().flatten() {
        let message: serde_json::Value = serde_json::from_str(text).expect("messages are JSON");
        symbols.entry(message["s"].as_str().unwrap_or_default().to_owned()).or_default().push(text);
    }
    symbols.entry(String::new()).or_default().sort_unstable();
    symbols
}
