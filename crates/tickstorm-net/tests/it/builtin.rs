//! The built-in target, fed by a real market.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickstorm_market::{Listing, MarketSpec, Message, ShardMarket};
use tickstorm_net::{Builtin, Connection, DECODE_ERROR, Events, Findings, Poller};
use tickstorm_random::Seed;
use tickstorm_venue::{Encoder, Numbering, Venue};

use crate::{PATIENCE, wait_until};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

/// A market and the built-in target that listens to it.
struct Harness {
    market: ShardMarket,
    encoder: Encoder,
    builtin: Builtin,
}

impl Harness {
    fn new(spec: &str) -> Self {
        let listing = Listing::synthetic(5, Seed::new(1));
        let spec_of_market = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), listing.clone()) };
        let market = ShardMarket::new(&spec_of_market, 0).unwrap();
        let builtin =
            Builtin::start(&spec.parse().unwrap(), Venue::Binance, &listing, &market.snapshots()).unwrap();
        Self { market, encoder: Encoder::new(Venue::Binance, &listing, START_UNIX_NS), builtin }
    }

    fn connect(&self) -> Connection {
        Connection::connect(self.builtin.endpoint(), PATIENCE).unwrap()
    }

    /// The next messages of the market on the wire.
    fn messages(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|_| {
                let message: Message = *self.market.next(0);
                let mut wire = Vec::new();
                self.encoder.encode(&message, &mut Numbering::default(), &mut wire);
                wire
            })
            .collect()
    }
}

fn push(connection: &mut Connection, messages: &[Vec<u8>]) {
    for message in messages {
        connection.push_frame(|out| out.extend_from_slice(message));
    }
}

/// Sends what waits and reads `count` answers.
fn answers(connection: &mut Connection, count: usize) -> Vec<String> {
    let mut answers = Vec::with_capacity(count);
    wait_until("an answer", || {
        connection.flush().unwrap();
        connection.read(|answer| answers.push(String::from_utf8(answer.to_vec()).unwrap())).unwrap();
        answers.len() >= count
    });
    answers
}

fn ack(n: usize) -> String {
    format!(r#"{{"ack":{n}}}"#)
}

#[test]
fn every_message_is_acknowledged_in_order_and_found_right() {
    let mut harness = Harness::new("builtin");
    let messages = harness.messages(20_000);
    let mut connection = harness.connect();
    push(&mut connection, &messages);
    let answers = answers(&mut connection, 20_000);
    assert!(answers.iter().enumerate().all(|(n, answer)| *answer == ack(n)));
    connection.close(PATIENCE);
    wait_until("the end of the connection", || harness.builtin.findings().connections == 1);
    let findings = harness.builtin.stop();
    let expected = Findings {
        connections: 1,
        messages: 20_000,
        bytes: messages.iter().map(|message| message.len() as u64).sum(),
        acks: 20_000,
        ..Findings::default()
    };
    assert_eq!(findings, expected);
    assert!(findings.is_clean());
}

#[test]
fn each_connection_counts_from_zero() {
    let mut harness = Harness::new("builtin");
    let mut connections = [harness.connect(), harness.connect()];
    for round in 0..3 {
        for connection in &mut connections {
            let messages = harness.messages(1);
            push(connection, &messages);
            assert_eq!(answers(connection, 1), [ack(round)]);
        }
    }
    drop(connections);
    let mut later = harness.connect();
    push(&mut later, &harness.messages(1));
    assert_eq!(answers(&mut later, 1), [ack(0)]);
    assert!(harness.builtin.stop().is_clean());
}

#[test]
fn each_message_of_a_batch_counts_for_itself() {
    let mut harness = Harness::new("builtin");
    let messages = harness.messages(3);
    let mut connection = harness.connect();
    let batch = [b"[".as_slice(), &messages.join(&b','), b"]"].concat();
    push(&mut connection, &[batch]);
    assert_eq!(answers(&mut connection, 3), [ack(0), ack(1), ack(2)]);
    let findings = harness.builtin.stop();
    assert_eq!((findings.messages, findings.acks), (3, 3));
    assert!(findings.is_clean());
}

#[test]
fn the_share_that_fails_is_the_seeds_and_no_other() {
    let mut harness = Harness::new("builtin:?fail=0.05&seed=7");
    let messages = harness.messages(2000);
    let mut connection = harness.connect();
    push(&mut connection, &messages);
    let answers = answers(&mut connection, 2000);
    let mut stream = Seed::new(7).stream("fail", 0);
    let mut rejected = 0;
    for (n, answer) in answers.iter().enumerate() {
        if stream.unit() < 0.05 {
            rejected += 1;
            assert_eq!(*answer, format!(r#"{{"ack":{n},"error":"rejected"}}"#));
        } else {
            assert_eq!(*answer, ack(n));
        }
    }
    let findings = harness.builtin.stop();
    assert!(rejected > 50);
    assert_eq!((findings.rejected, findings.acks), (rejected, 2000));
    assert!(findings.is_clean(), "a rejected message was received all the same");
}

#[test]
fn service_takes_its_time_and_the_queue_adds_up() {
    let mut harness = Harness::new("builtin:?service=2ms");
    let messages = harness.messages(10);
    let mut connection = harness.connect();
    let start = Instant::now();
    push(&mut connection, &messages);
    let mut answered = 0;
    wait_until("the last answer", || {
        connection.flush().unwrap();
        connection
            .read(|_| {
                answered += 1;
                assert!(start.elapsed() >= answered * Duration::from_millis(2));
            })
            .unwrap();
        answered == 10
    });
    drop(harness.builtin.stop());
}

#[test]
fn a_freeze_holds_back_what_arrives_in_it() {
    let mut harness = Harness::new("builtin:?freeze=100ms/60s");
    let messages = harness.messages(2);
    let mut connection = harness.connect();
    push(&mut connection, &messages[..1]);
    answers(&mut connection, 1);
    // The run started so long ago that a window has just begun. What it holds back leaves at its end.
    let origin = Instant::now() - Duration::from_secs(60);
    harness.builtin.set_origin(origin);
    push(&mut connection, &messages[1..]);
    let answered = answers(&mut connection, 1);
    assert_eq!(answered, [ack(1)]);
    assert!(origin.elapsed() >= Duration::from_millis(60_100));
    drop(harness.builtin.stop());
}

#[test]
fn garbage_is_counted_named_and_answered() {
    let mut harness = Harness::new("builtin");
    let mut messages = harness.messages(2);
    messages.insert(1, b"{\"e\":\"depthUpdate\",".to_vec());
    let mut connection = harness.connect();
    push(&mut connection, &messages);
    assert_eq!(answers(&mut connection, 3), [ack(0), r#"{"ack":1,"error":"malformed"}"#.into(), ack(2)]);
    let findings = harness.builtin.stop();
    assert_eq!((findings.messages, findings.decode_errors, findings.rejected), (3, 1, 0));
    assert_eq!(findings.samples[DECODE_ERROR].len(), 1);
    assert!(findings.faults.is_empty());
    assert!(!findings.is_clean());
}

#[test]
fn a_message_left_out_is_found_as_one_gap() {
    let mut harness = Harness::new("builtin");
    let mut messages = harness.messages(3000);
    let update = messages
        .iter()
        .skip(1000)
        .position(|message| message.starts_with(b"{\"e\":\"depthUpdate\""))
        .expect("most messages are updates");
    messages.remove(1000 + update);
    let mut connection = harness.connect();
    push(&mut connection, &messages);
    answers(&mut connection, 2999);
    let findings = harness.builtin.stop();
    assert_eq!(findings.faults, BTreeMap::from([("update_gap", 1)]), "{:?}", findings.samples);
    assert_eq!(findings.samples["update_gap"].len(), 1);
}

#[test]
fn findings_can_be_read_while_it_runs_and_are_there_before_the_answer() {
    let mut harness = Harness::new("builtin");
    let mut connection = harness.connect();
    for n in 1..50 {
        push(&mut connection, &harness.messages(1));
        answers(&mut connection, 1);
        let findings = harness.builtin.findings();
        assert_eq!((findings.messages, findings.acks), (n, n));
    }
}

#[test]
fn a_broken_connection_is_counted_and_the_others_go_on() {
    use std::io::Write as _;

    let mut harness = Harness::new("builtin");
    let mut whole = harness.connect();
    let endpoint = harness.builtin.endpoint().clone();
    let address = format!("{}:{}", endpoint.host(), endpoint.port());
    let stream = std::net::TcpStream::connect(address).unwrap();
    let (mut other, _) = tungstenite::client(format!("{endpoint}"), stream).unwrap();
    other.get_mut().write_all(&[0xff; 10]).unwrap();
    wait_until("the fault", || harness.builtin.findings().broken_connections == 1);
    push(&mut whole, &harness.messages(1));
    assert_eq!(answers(&mut whole, 1), [ack(0)]);
    let findings = harness.builtin.stop();
    assert_eq!(
        findings.samples["broken_connection"],
        [
            "peer broke the websocket protocol: reserved bits of a frame must be zero without an extension, got \
             0b111"
        ]
    );
}

#[test]
fn an_independent_client_is_served() {
    let mut harness = Harness::new("builtin");
    let endpoint = harness.builtin.endpoint().clone();
    let address = format!("{}:{}", endpoint.host(), endpoint.port());
    let stream = std::net::TcpStream::connect(address).unwrap();
    let (mut client, _) = tungstenite::client(format!("{endpoint}"), stream).unwrap();
    client.send(tungstenite::Message::Ping("?".into())).unwrap();
    for message in harness.messages(100) {
        client.send(tungstenite::Message::text(String::from_utf8(message).unwrap())).unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 101 {
        seen.push(client.read().unwrap());
    }
    seen.retain(|message| *message != tungstenite::Message::Pong("?".into()));
    let expected: Vec<_> = (0..100).map(|n| tungstenite::Message::text(ack(n))).collect();
    assert_eq!(seen, expected);
    client.close(None).unwrap();
    while client.read().is_ok() {}
    assert_eq!(harness.builtin.stop().broken_connections, 0);
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_not_read_either_and_loses_nothing() {
    let harness = Harness::new("builtin");
    let mut connection = harness.connect();
    let poller = Arc::new(Poller::new().unwrap());
    connection.register(&poller, 0).unwrap();
    let mut events = Events::new();
    // A byte that cannot be read is the cheapest way to a long answer. Far more answers than fit 4 MiB and all
    // socket buffers:
    let most = 3_000_000;
    let (mut pushed, mut stalled) = (0, 0);
    while pushed < most && stalled < 20 {
        if !connection.is_blocked() {
            push(&mut connection, &vec![b"?".to_vec(); 10_000]);
            pushed += 10_000;
        }
        connection.flush().unwrap();
        if connection.is_blocked() {
            let before = harness.builtin.findings().messages;
            poller.wait(Duration::from_millis(10), &mut events).unwrap();
            stalled = if harness.builtin.findings().messages == before { stalled + 1 } else { 0 };
        }
    }
    assert_eq!(stalled, 20, "it went on reading though nobody read its answers");
    let mut answered = 0;
    wait_until("the rest", || {
        connection.flush().unwrap();
        connection.read(|_| answered += 1).unwrap();
        answered == pushed
    });
    assert_eq!(harness.builtin.stop().decode_errors, pushed);
}
