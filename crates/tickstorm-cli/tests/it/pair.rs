//! `tickstorm serve` and `tickstorm consume` against each other: both ends must have seen the same.

use std::fs;

use serde_json::Value;

use crate::harness::{Folder, Output, Started, command};

/// A client, in what it differs from the others.
struct Consumer {
    venue: &'static str,
    /// What comes before the server's address, and behind it.
    address: [&'static str; 2],
    channels: &'static str,
    more: Vec<String>,
}

impl Consumer {
    /// All channels of a venue, at its own path.
    fn of(venue: &'static str) -> Self {
        let channels = if venue == "coinbase" { "book,trades,ticker" } else { "book,trades,ticker,quotes" };
        Self { venue, address: ["", ""], channels, more: Vec::new() }
    }

    fn start(&self, address: &str) -> Started {
        let [before, behind] = self.address;
        let url = format!("{before}{address}{behind}");
        let words = ["consume", "--venue", self.venue, "--url", &url, "--channels", self.channels];
        let report = ["--symbols", "all", "--duration", "100s", "--json"];
        Started::new(command().args(words).args(report).args(&self.more))
    }
}

/// Has a server tell these clients a market, until it closes, and gives what both sides report.
fn meet(folder: &Folder, serving: &[&str], consumers: &[Consumer]) -> (Value, Vec<Value>) {
    let file = folder.path("address.txt");
    let clients = consumers.len().to_string();
    let doors = ["serve", "--listen", "127.0.0.1:0", "--clients", &clients, "--wait-for", "60s"];
    let load = ["--base-rate", "100", "--multiplier", "100", "--profile", "SPIKE", "--symbols", "10"];
    // How late a busy machine is must not decide.
    let verdict = ["--max-pacing-lag", "60s", "--silence", "2s"];
    let mut serve = command();
    serve.args(doors).args(load).args(verdict).args(serving).arg("--address-file").arg(&file);
    let mut server = Started::new(&mut serve);
    server.await_line("base URLs");
    let address = fs::read_to_string(&file).expect("the server wrote its address");
    let started: Vec<Started> = consumers.iter().map(|it| it.start(address.trim())).collect();
    let consumed: Vec<Output> = started.into_iter().map(|it| it.finish().exits(0)).collect();
    (server.finish().exits(0).json(), consumed.iter().map(Output::json).collect())
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a count, got {value}"))
}

/// Messages and frames of a kind that a client was sent.
fn placed(client: &Value, kind: &str) -> [u64; 2] {
    let kinds = client["kinds"].as_array().expect("a list of kinds");
    let found = kinds.iter().find(|it| it["kind"] == kind);
    found.map_or([0, 0], |it| [count(&it["messages"]), count(&it["frames"])])
}

/// Everything that both sides count is the same.
fn expect_agreement(served: &Value, consumed: &[Value], consumers: &[Consumer], is_realtime: bool) {
    assert_eq!(served["verdict"]["outcome"], "PASS", "{}", served["verdict"]);
    let clients = served["served"]["clients"].as_array().expect("a list of clients");
    assert_eq!(clients.len(), consumers.len(), "nobody had to connect again");
    for (report, consumer) in consumed.iter().zip(consumers) {
        let venue = consumer.venue;
        let client = clients.iter().find(|it| it["venue"] == venue).expect("every venue has its client");
        assert_eq!(report["verdict"], "CLEAN", "{venue}: {}", report["faults"]);
        assert_eq!(report["end"]["kind"], "closed", "{venue}");
        assert_eq!(report["connections"]["closed"], 1, "{venue}");
        assert_eq!(report["books"]["whole"], 10, "{venue}");
        assert_eq!(report["books"]["resyncs"], 0, "{venue}");

        for failed in ["dropped", "lost", "refused", "resubscriptions"] {
            assert_eq!(client[failed], 0, "{venue} {failed}");
        }
        let [owed, delivered, folded] = ["owed", "delivered", "folded"].map(|it| count(&client[it]));
        assert_eq!(owed, delivered + folded, "{venue}");
        let traffic = &client["traffic"];
        assert_eq!(report["market_frames"], traffic["frames"], "{venue}");
        assert_eq!(report["market_frames"], delivered, "{venue}");
        assert_eq!(report["wire_bytes"], traffic["bytes"], "{venue}");
        if is_realtime {
            assert_eq!(report["events"], delivered, "{venue}: a frame tells one thing");
        }

        let counts = &report["counts"];
        let [trades, trade_frames] = placed(client, "trade");
        let [books, tickers, quotes] = ["book", "ticker", "quote"].map(|kind| placed(client, kind)[1]);
        assert_eq!(counts["trades"], trades, "{venue}: prints");
        assert_eq!(counts["book_updates"], books, "{venue}");
        // Kraken tells best prices in statistics.
        let [tickers, quotes] = if venue == "kraken" { [tickers + quotes, 0] } else { [tickers, quotes] };
        assert_eq!(counts["tickers"], tickers, "{venue}");
        assert_eq!(counts["quotes"], quotes, "{venue}");
        assert_eq!(delivered, trade_frames + books + tickers + quotes, "{venue}");
        assert!(trades > 100 && books > 100, "{venue}: {trades} trades, {books} updates");
    }
    let sum = |key: &str| consumed.iter().map(|report| count(&report[key])).sum::<u64>();
    let all = &served["served"]["delivered"];
    assert_eq!(count(&all["frames"]), sum("market_frames"));
    assert_eq!(count(&all["bytes"]), sum("wire_bytes"));
    assert_eq!(served["messages_failed"], 0);
    let trades: u64 = consumed.iter().map(|report| count(&report["counts"]["trades"])).sum();
    assert_eq!(count(&served["messages"]["trade"]), trades);
}

const VENUES: [&str; 5] = ["binance", "coinbase", "kraken", "okx", "bybit"];

#[test]
fn both_ends_count_the_same_in_the_rhythm_of_the_venues() {
    let consumers = VENUES.map(Consumer::of);
    let (served, consumed) = meet(&Folder::new(), &["--duration", "3", "--cadence", "venue"], &consumers);
    expect_agreement(&served, &consumed, &consumers, false);
}

#[test]
fn both_ends_count_the_same_where_each_message_is_a_frame() {
    let consumers = VENUES.map(Consumer::of);
    let (served, consumed) = meet(&Folder::new(), &["--duration", "3", "--cadence", "realtime"], &consumers);
    expect_agreement(&served, &consumed, &consumers, true);
}

/// Clients may stand behind any path, and over TLS trust an authority that was made for the run.
#[test]
fn both_ends_count_the_same_over_tls_and_with_prefixes() {
    let folder = Folder::new();
    let authority = folder.path("ca.pem");
    let authority = authority.to_str().expect("a temporary path is text");
    let over_tls = |venue, behind| Consumer {
        address: ["wss://", behind],
        more: vec!["--ca".to_owned(), authority.to_owned()],
        ..Consumer::of(venue)
    };
    let plain = |venue, behind| Consumer { address: ["ws://", behind], ..Consumer::of(venue) };
    let consumers = [
        over_tls("kraken", "/kraken/v2"),
        over_tls("binance", "/foo/bar/ws"),
        over_tls("coinbase", ""),
        plain("okx", "/okx"),
        plain("bybit", "/any/prefix"),
    ];
    let serving = ["--duration", "2", "--tls", "--tls-authority", authority];
    let (served, consumed) = meet(&folder, &serving, &consumers);
    expect_agreement(&served, &consumed, &consumers, false);
    let clients = served["served"]["clients"].as_array().expect("a list of clients");
    for (venue, is_encrypted) in [("kraken", true), ("binance", true), ("coinbase", true), ("okx", false)] {
        let client = clients.iter().find(|it| it["venue"] == venue).expect("it has come");
        assert_eq!(client["tls"], is_encrypted, "{venue}");
    }
}
