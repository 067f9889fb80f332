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
