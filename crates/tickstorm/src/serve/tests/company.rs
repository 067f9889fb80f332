//! Several clients that come, go and come again.

use std::time::Duration;

use tickstorm_venue::{Venue, publisher::Publishing};

use super::{
    caller::Caller,
    hall::{Hall, MS, STARTS_NS, market},
};
use crate::{
    Scenario, Spec,
    serve::{ServeSpec, client::Cause},
};

/// As much as a test's clients may want.
const ROOMY: usize = 16 << 20;

#[test]
fn clients_of_every_venue_that_come_and_go_have_the_true_book() {
    for (venue, cadence) in every_rhythm() {
        let serve = ServeSpec { cadence, ..ServeSpec::default() };
        let mut hall = Hall::open(&market(11), serve, 700 * MS);
        let first = hall.enter(venue, ROOMY);
        hall.callers[first].subscribe_to_all();
        hall.run(STARTS_NS + 300 * MS);
        let second = hall.enter(venue, ROOMY);
        hall.callers[second].subscribe_to_all();
        hall.run(333 * MS);
        let third = hall.enter(venue, ROOMY);
        hall.callers[third].subscribe_to_all();
        hall.run(400 * MS);
        let book = Caller::channels(venue)[0];
        hall.callers[second].unsubscribe(book);
        hall.callers[third].take_leave();
        hall.run(250 * MS);
        hall.callers[second].subscribe(book);
        hall.run(1_000 * MS);
        hall.settle();
        for index in [first, second] {
            hall.callers[index].check(|symbol| hall.truth(symbol));
        }
        let outcome = hall.close();
        for (index, caller) in outcome.callers.iter().enumerate() {
            let heard = &caller.heard;
            assert!(heard.faults.is_empty(), "{venue} {cadence:?} {index}: {:?}", heard.faults);
            assert!(heard.depths > 10 && heard.trades > 10, "{venue} {cadence:?} {index}");
            let tally = &outcome.of(index).tally;
            assert_eq!((tally.dropped, tally.lost), (0, 0), "{venue} {cadence:?} {index}");
            assert!(tally.owed > 100, "{venue} {cadence:?} {index}: {}", tally.owed);
            let cause = tally.end.as_ref().map(|end| end.cause);
            assert_eq!(cause, Some(if index == third { Cause::ClosedByClient } else { Cause::RunEnded }));
        }
        assert_eq!(outcome.of(second).tally.resubscriptions, 3, "{venue}");
    }
}

#[test]
fn the_first_client_of_a_venue_is_told_what_was_before_it_came() {
    let crash = Spec {
        scenario: Scenario::FlashCrash,
        crash_halt: Some(Duration::from_millis(400)),
        duration: Some(Duration::from_secs(5)),
        ..market(11)
    };
    let mut hall = Hall::open(&crash, ServeSpec::default(), 0);
    let heard =
        |hall: &Hall, index: usize| String::from_utf8_lossy(&hall.callers[index].heard.bytes).into_owned();
    let early = hall.enter(Venue::Okx, ROOMY);
    let subscribe = br#"{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"instruments","instType":"SPOT"}]}"#;
    hall.callers[early].say(subscribe);
    hall.run(100 * MS);
    assert!(heard(&hall, early).contains(r#""vol24h":"0""#), "nothing was traded yet");
    while !heard(&hall, early).contains(r#""state":"suspend""#) {
        assert!(hall.now_ns < STARTS_NS + 5_000 * MS, "there is no halt");
        hall.run(20 * MS);
    }
    let late = [Venue::Kraken, Venue::Bybit].map(|venue| hall.enter(venue, ROOMY));
    hall.callers[late[0]].say(br#"{"method":"subscribe","params":{"channel":"instrument"}}"#);
    hall.callers[late[1]].say(br#"{"op":"subscribe","args":["tickers.BTCUSDT"]}"#);
    hall.attend();
    hall.attend();
    let [instruments, ticker] = late.map(|index| heard(&hall, index));
    assert!(instruments.contains(r#""status":"post_only""#), "{instruments}");
    assert!(ticker.contains(r#""volume24h":""#) && !ticker.contains(r#""volume24h":"0""#), "{ticker}");
    hall.close();
}

#[test]
fn what_is_told_at_the_end_is_not_from_the_future() {
    let mut hall = Hall::open(&market(11), ServeSpec::default(), 0);
    let index = hall.enter(Venue::Binance, ROOMY);
    hall.callers[index].say(br#"{"method":"SUBSCRIBE","params":["btcusdt@depth","!miniTicker@arr"],"id":1}"#);
    hall.run(STARTS_NS + 1_300 * MS);
    let now_ms = (hall.plan.start_unix_ns() as u64 + hall.now_ns - STARTS_NS) / MS;
    let outcome = hall.close();
    let text = String::from_utf8_lossy(&outcome.callers[index].heard.bytes).into_owned();
    let times = text.split("\"E\":").skip(1).map(|rest| rest[..13].parse::<u64>().expect("it is a time"));
    let times: Vec<u64> = times.collect();
    assert_eq!(times.iter().max(), Some(&now_ms), "{times:?}");
    assert!(times.contains(&(now_ms - 300)), "of the window before: {times:?}");
}

#[test]
fn what_waits_when_the_measured_phase_begins_is_on_nobodys_books() {
    for (venue, cadence) in every_rhythm() {
        let serve = ServeSpec { cadence, ..ServeSpec::default() };
        let mut hall = Hall::open(&market(12), serve, 600 * MS);
        let index = hall.enter(venue, 4 << 10);
        hall.callers[index].subscribe_to_all();
        hall.run(STARTS_NS + 100 * MS);
        hall.callers[index].is_reading = false;
        hall.run(900 * MS);
        assert!(hall.floor.client(0).expect("it is here").link.queued() > 0, "{venue}");
        hall.callers[index].is_reading = true;
        hall.run(500 * MS);
        hall.settle();
        hall.callers[index].check(|symbol| hall.truth(symbol));
        let outcome = hall.close();
        assert_eq!(outcome.callers[index].heard.faults, [""; 0], "{venue} {cadence:?}");
        let tally = &outcome.of(index).tally;
        assert!(tally.owed > 100 && tally.owed == tally.delivered + tally.folded, "{venue}: {tally:?}");
    }
}

pub(super) fn every_rhythm() -> impl Iterator<Item = (Venue, Publishing)> {
    let both = |venue| [(venue, Publishing::Venue), (venue, Publishing::Realtime)];
    Venue::ALL.into_iter().flat_map(both)
}
