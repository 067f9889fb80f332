//! What clients ask over their sockets, and how their venue answers it.

use tickstorm_market::SymbolId;
use tickstorm_venue::{
    Venue,
    protocol::{Endpoint, Refusal, Reply, Request, RequestId, Session},
};

use super::{
    hall::{Hall, MS, STARTS_NS, entrance, market},
    wire::Wire,
};
use crate::serve::{ApiKey, ServeSpec, floor::Entrance};

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

/// A client at the private endpoint, and a key of account 0 that it may use.
fn owner(venue: Venue) -> (Hall, usize) {
    let keys = vec![ApiKey::new(venue, "key".into(), "secret".into(), None, 0)];
    let mut hall = Hall::open(&market(64), ServeSpec { keys, ..ServeSpec::default() }, 0);
    let entrance = Entrance { endpoint: Endpoint::Private, ..entrance(venue) };
    let index = hall.enter_by(entrance, Wire::new(ROOMY), &[]);
    (hall, index)
}

#[test]
fn a_session_of_binance_lasts_from_its_logon_to_its_logout() {
    let (mut hall, index) = owner(Venue::Binance);
    let connected_ms = hall.plan.start_unix_ns() as u64 / MS;
    let ask = |hall: &mut Hall, method: &str, params: &str| {
        let text = format!(r#"{{"id":1,"method":"{method}","params":{{{params}}}}}"#);
        hall.callers[index].say(text.as_bytes());
        let [reply] = <[Reply; 1]>::try_from(answers(hall, index)).expect("there is one answer");
        reply
    };
    let told = |login: Option<&str>, is_subscribed| {
        let login = login.map(|key| (key.to_owned(), connected_ms));
        let session = Session { login, connected_ms, is_subscribed };
        Reply::Session { id: Some(RequestId("1".into())), session }
    };
    assert_eq!(ask(&mut hall, "session.status", ""), told(None, false));
    // Of `apiKey=key&timestamp=1767225600000`.
    let signed = r#""apiKey":"key","timestamp":1767225600000,"signature":"736d11f27b6c7f5972aca4f795327bea5db9aac23b248afcaf9e4ac4789da45c""#;
    assert_eq!(ask(&mut hall, "session.logon", signed), told(Some("key"), false));
    let Reply::Subscribed { .. } = ask(&mut hall, "userDataStream.subscribe", "") else { panic!("refused") };
    assert_eq!(ask(&mut hall, "session.status", ""), told(Some("key"), true));
    assert_eq!(ask(&mut hall, "session.logout", ""), told(None, false));
    assert_eq!(ask(&mut hall, "session.status", ""), told(None, false));
    let Reply::Refused(refused) = ask(&mut hall, "userDataStream.subscribe", "") else { panic!("granted") };
    assert_eq!(refused.refusal, Refusal::NotLoggedIn);
    hall.run(STARTS_NS + 2_000 * MS);
    let outcome = hall.close();
    assert_eq!(outcome.of(index).tally.owed, 0, "it is told of no account any more");
}

#[test]
fn bybit_leaves_whom_it_does_not_know() {
    let (mut hall, index) = owner(Venue::Bybit);
    hall.callers[index].say(br#"{"op":"auth","args":["key",1767225601000,"00"]}"#);
    let [Reply::Refused(refused)] = &answers(&mut hall, index)[..] else { panic!("it is refused") };
    assert_eq!(refused.refusal, Refusal::LoginFailed);
    assert!(!hall.is_open(index));
    let close = hall.close().callers[index].heard.close.clone().expect("there is a close frame");
    assert_eq!(close.code, Some(1008));
}

#[test]
fn binance_takes_names_that_are_nothings_and_stays_silent() {
    let mut hall = Hall::open(&market(65), ServeSpec::default(), 0);
    let streams = vec!["BTCUSDT@trade".to_owned()];
    let by_path = hall.enter_by(Entrance { streams, ..entrance(Venue::Binance) }, Wire::new(ROOMY), &[]);
    let by_word = hall.enter(Venue::Binance, ROOMY);
    hall.callers[by_word].say(br#"{"method":"SUBSCRIBE","params":["BTCUSDT@trade","nope@ticker"],"id":1}"#);
    assert!(matches!(answers(&mut hall, by_word)[..], [Reply::Subscribed { .. }]));
    assert_eq!(hall.floor.subscribed(), 0, "there is nothing that they could be told");
    for (index, count) in [(by_path, 1), (by_word, 2)] {
        hall.callers[index].ask(&Request::List { id: Some(RequestId("2".into())) });
        let [Reply::Subscriptions { all, .. }] = &answers(&mut hall, index)[..] else { panic!("a list") };
        assert_eq!(all.len(), count);
    }
    hall.callers[by_word].say(br#"{"method":"SUBSCRIBE","params":["nope@trade","btcusdt@trade"],"id":3}"#);
    assert_eq!(hall.floor.subscribed(), 0, "nothing was read yet");
    assert!(matches!(answers(&mut hall, by_word)[..], [Reply::Subscribed { .. }]));
    assert_eq!(hall.floor.subscribed(), 1);
    hall.callers[by_word].say(br#"{"method":"UNSUBSCRIBE","params":["nope@ticker"],"id":4}"#);
    hall.run(STARTS_NS + 2_000 * MS);
    let outcome = hall.close();
    assert_eq!(outcome.of(by_path).tally.owed, 0);
    let heard = &outcome.callers[by_word].heard;
    assert!(heard.trades > 5 && heard.tickers == 0, "{heard:?}");
}

#[test]
fn who_takes_leave_says_so_before_where_the_venue_does() {
    let combined = Entrance { is_combined: true, ..entrance(Venue::Binance) };
    let mut hall = Hall::open(&market(66), ServeSpec::default(), 0);
    let by_venue = Venue::ALL.map(|venue| (venue, hall.enter(venue, ROOMY)));
    let wrapped = hall.enter_by(combined, Wire::new(ROOMY), &[]);
    hall.run(STARTS_NS + 500 * MS);
    let outcome = hall.close();
    for (venue, index) in by_venue {
        let heard = &outcome.callers[index].heard;
        let announced = heard.replies.iter().filter(|reply| **reply == Reply::ClosingSoon).count();
        let is_usual = matches!(venue, Venue::Binance | Venue::Kraken | Venue::Okx);
        assert_eq!(announced, usize::from(is_usual), "{venue}: {:?}", heard.replies);
        assert_eq!(heard.close.as_ref().and_then(|close| close.code), Some(1001), "{venue}");
    }
    let text = String::from_utf8_lossy(&outcome.callers[wrapped].heard.bytes).into_owned();
    assert!(text.contains(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#), "{text}");
}

#[test]
fn a_single_symbol_has_statistics_before_its_first_trade() {
    let mut hall = Hall::open(&market(67), ServeSpec::default(), 0);
    let symbol = SymbolId(1);
    let [told, all] = [Some(symbol), None].map(|single| hall.tickers_told(single));
    assert!(all.iter().all(Option::is_none));
    let ticker = told[1].expect("it was asked for");
    let truth = hall.truth(symbol);
    assert_eq!((ticker.last, ticker.volume), (hall.plan.market().listing.instrument(symbol).start_price, 0));
    assert_eq!((ticker.quote.bid, ticker.quote.ask), (truth.bids[0].0, truth.asks[0].0));
    assert_eq!((told[0], told[2]), (None, None));
    hall.enter(Venue::Okx, ROOMY);
    hall.run(STARTS_NS + 2_000 * MS);
    assert_eq!(hall.tickers_told(Some(symbol)), hall.tickers_told(None));
    hall.close();
}
