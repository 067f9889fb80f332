//! What clients ask over their sockets, and how their venue answers it.

use tickstorm_venue::{
    Venue,
    protocol::{Refusal, Reply, RequestId},
};

use super::hall::{Hall, MS, STARTS_NS, market};
use crate::serve::ServeSpec;

/// As much as a test's clients may want.
const ROOMY: usize = 16 << 20;

/// What has been answered to a client since this was asked last.
fn answers(hall: &mut Hall, index: usize) -> Vec<Reply> {
    (0..4).for_each(|_| hall.attend());
    std::mem::take(&mut hall.callers[index].heard.replies)
}

#[test]
fn bybit_refuses_a_request_with_a_topic_that_is_held_as_a_whole() {
    let mut hall = Hall::open(&market(61), ServeSpec::default(), 0);
    let index = hall.enter(Venue::Bybit, ROOMY);
    hall.callers[index].say(br#"{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT"]}"#);
    assert!(matches!(answers(&mut hall, index)[..], [Reply::Subscribed { .. }]));
    hall.callers[index]
        .say(br#"{"req_id":"2","op":"subscribe","args":["publicTrade.ETHUSDT","publicTrade.BTCUSDT"]}"#);
    let [Reply::Refused(refused)] = &answers(&mut hall, index)[..] else { panic!("it is refused") };
    assert_eq!(refused.refusal, Refusal::AlreadySubscribed);
    assert_eq!(refused.topic.as_deref(), Some("publicTrade.BTCUSDT"));
    assert_eq!(refused.id, Some(RequestId("\"2\"".to_owned())));
    hall.run(STARTS_NS + 500 * MS);
    let text = String::from_utf8_lossy(&hall.callers[index].heard.bytes).into_owned();
    assert!(text.contains(r#""topic":"publicTrade.BTCUSDT""#), "what it had before goes on");
    assert!(!text.contains(r#""topic":"publicTrade.ETHUSDT""#), "the rest of the request is lost");
    hall.callers[index].say(br#"{"req_id":"3","op":"subscribe","args":["publicTrade.ETHUSDT"]}"#);
    assert!(matches!(answers(&mut hall, index)[..], [Reply::Subscribed { .. }]));
    hall.run(500 * MS);
    let text = String::from_utf8_lossy(&hall.callers[index].heard.bytes).into_owned();
    assert!(text.contains(r#""topic":"publicTrade.ETHUSDT""#));
    assert_eq!(hall.close().of(index).tally.refused, 1);
}

#[test]
fn kraken_says_of_the_snapshot_what_it_does() {
    let mut hall = Hall::open(&market(62), ServeSpec::default(), 0);
    let passerby = hall.enter(Venue::Binance, ROOMY);
    hall.callers[passerby].say(br#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#);
    hall.run(STARTS_NS + 2_000 * MS);
    for (params, snapshot) in [
        (r#""channel":"trade","symbol":["BTC/USDT"],"snapshot":true"#, true),
        (r#""channel":"trade","symbol":["BTC/USDT"]"#, false),
        (r#""channel":"book","symbol":["BTC/USDT"],"snapshot":false"#, false),
        (r#""channel":"book","symbol":["BTC/USDT"]"#, true),
    ] {
        let index = hall.enter(Venue::Kraken, ROOMY);
        hall.callers[index].say(format!(r#"{{"method":"subscribe","params":{{{params}}}}}"#).as_bytes());
        let answers = answers(&mut hall, index);
        let [Reply::Greeting, Reply::Subscribed { snapshot: said, .. }] = &answers[..] else {
            panic!("{answers:?}")
        };
        let text = String::from_utf8_lossy(&hall.callers[index].heard.bytes).into_owned();
        let comes = text.contains(r#""type":"snapshot""#);
        assert_eq!((*said, comes), (Some(snapshot), snapshot), "{params}");
    }
    hall.close();
}

#[test]
fn the_last_trades_are_told_whoever_listened_before() {
    let mut hall = Hall::open(&market(63), ServeSpec::default(), 0);
    let passerby = hall.enter(Venue::Binance, ROOMY);
    hall.callers[passerby].say(br#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#);
    let subscribe = br#"{"type":"subscribe","channel":"market_trades","product_ids":["BTC-USDT"]}"#;
    hall.run(STARTS_NS + 2_000 * MS);
    // The second comes when the first is there, the third when nobody is.
    for index in [1, 2, 3] {
        assert_eq!(hall.enter(Venue::Coinbase, ROOMY), index);
        hall.callers[index].say(subscribe);
        (0..4).for_each(|_| hall.attend());
        let text = String::from_utf8_lossy(&hall.callers[index].heard.bytes).into_owned();
        let snapshot = text.split(r#""type":"snapshot""#).nth(1).expect("it begins with a snapshot");
        let told = snapshot.matches(r#""trade_id""#).count();
        assert!((6..=50).contains(&told), "client {index}: {told}");
        hall.run(600 * MS);
        if index == 2 {
            hall.callers[1].take_leave();
            hall.callers[2].take_leave();
            hall.run(300 * MS);
        }
    }
    let outcome = hall.close();
    for index in [1, 2, 3] {
        assert_eq!(outcome.callers[index].heard.faults, [""; 0], "no trade is missing, none comes twice");
    }
}
