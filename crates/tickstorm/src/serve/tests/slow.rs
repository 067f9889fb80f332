//! Clients that stop reading, by each way to treat them.

use tickstorm_venue::{Venue, closing::Leave, publisher::Publishing};

use super::{
    caller::Caller,
    company::every_rhythm,
    hall::{Hall, MS, S, STARTS_NS, market},
};
use crate::serve::{ServeSpec, SlowClient, client::Cause};

/// What may wait for a client, and what its kernel holds beside that.
const QUEUE: usize = 96 << 10;
const KERNEL: usize = 16 << 10;

/// Signs of life of some seconds, which nobody drops.
const PINGS: usize = 4 << 10;

/// Two clients, of which the second stops reading for a while.
fn stalled(venue: Venue, cadence: Publishing, slow_client: SlowClient, stall_ns: u64) -> Hall {
    let serve = ServeSpec { cadence, slow_client, client_queue: QUEUE, ..ServeSpec::default() };
    let mut hall = Hall::open(&market(31), serve, 100 * MS);
    for _ in 0..2 {
        let index = hall.enter(venue, 16 << 20);
        hall.callers[index].subscribe_to_all();
    }
    hall.run(STARTS_NS + 300 * MS);
    hall.callers[1].is_reading = false;
    hall.callers[1].wire.state().capacity = KERNEL;
    hall.run(stall_ns);
    let most = QUEUE + hall.largest_turn + PINGS;
    assert!(hall.most_queued <= most, "{venue}: {} bytes waited, {most} may", hall.most_queued);
    hall
}

#[test]
fn a_client_that_stops_reading_is_cut_off_with_the_venues_words() {
    for (venue, cadence) in every_rhythm() {
        let mut hall = stalled(venue, cadence, SlowClient::Disconnect, 2 * S);
        for _ in 0..100 {
            if hall.is_open(1) {
                hall.run(100 * MS);
            }
        }
        assert!(!hall.is_open(1), "{venue} {cadence:?}: it is still served");
        hall.callers[1].is_reading = true;
        hall.run(200 * MS);
        assert_eq!(hall.floor.keys().count(), 1, "{venue}: it has answered the close frame");
        hall.settle();
        hall.callers[0].check(|symbol| hall.truth(symbol));
        let outcome = hall.close();
        assert_eq!(outcome.callers[0].heard.faults, [""; 0], "{venue} {cadence:?}");
        let (heard, tally) = (&outcome.callers[1].heard, &outcome.of(1).tally);
        let closing = venue.closing(Leave::SlowConsumer);
        let close = heard.close.as_ref().expect("it was told why");
        assert_eq!((close.code, &*close.text), (Some(closing.code), closing.text), "{venue}");
        let end = tally.end.as_ref().expect("it has ended");
        assert_eq!((end.cause, end.code), (Cause::TooSlow, Some(closing.code)), "{venue}");
        assert!(tally.dropped > 0 && tally.lost == 0, "{venue} {cadence:?}: {tally:?}");
        assert!(tally.owed < outcome.of(0).tally.owed, "{venue}: it was owed things when it was gone");
        assert_eq!(heard.faults, [""; 0], "{venue} {cadence:?}: what it got is in order");
    }
}

#[test]
fn a_client_that_is_cut_off_and_never_reads_again_is_given_up() {
    let mut hall = stalled(Venue::Kraken, Publishing::Realtime, SlowClient::Disconnect, 8 * S);
    assert_eq!(hall.floor.keys().count(), 1, "its close frame was never read");
    hall.settle();
    let outcome = hall.close();
    let tally = &outcome.of(1).tally;
    assert_eq!(tally.end.as_ref().map(|end| end.cause), Some(Cause::TooSlow));
    assert!(tally.dropped > 0, "{tally:?}");
}

#[test]
fn a_client_whose_messages_are_folded_has_the_true_book_again() {
    for (venue, cadence) in every_rhythm() {
        let mut hall = stalled(venue, cadence, SlowClient::Conflate, 6 * S);
        assert!(hall.is_open(1), "{venue}");
        hall.callers[1].is_reading = true;
        hall.run(1_000 * MS);
        hall.settle();
        for caller in &hall.callers {
            caller.check(|symbol| hall.truth(symbol));
        }
        let outcome = hall.close();
        for caller in &outcome.callers {
            // Trades have numbers, and those that were dropped are missed.
            let faults = caller.heard.faults.iter().filter(|fault| !fault.contains(": trade "));
            assert_eq!(faults.collect::<Vec<_>>(), [""; 0], "{venue} {cadence:?}");
        }
        let (healthy, slow) = (&outcome.of(0).tally, &outcome.of(1).tally);
        assert_eq!((healthy.dropped, healthy.owed), (0, slow.owed), "{venue} {cadence:?}");
        assert!(slow.folded > healthy.folded, "{venue} {cadence:?}: {slow:?}");
        let trades = [&outcome.callers[0], &outcome.callers[1]].map(|caller| caller.heard.trades);
        assert!(trades[0] > trades[1], "{venue} {cadence:?}: no trade was dropped");
        assert!(slow.dropped > 0, "{venue} {cadence:?}: {slow:?}");
    }
}

#[test]
fn a_client_that_is_always_a_little_too_slow_gets_folded_books_that_are_right() {
    for (venue, cadence) in every_rhythm() {
        let serve = ServeSpec {
            cadence,
            slow_client: SlowClient::Conflate,
            client_queue: 2 << 10,
            ..ServeSpec::default()
        };
        let mut hall = Hall::open(&market(33), serve, 100 * MS);
        let index = hall.enter(venue, 16 << 20);
        hall.callers[index].subscribe(Caller::channels(venue)[0]);
        hall.run(STARTS_NS + 200 * MS);
        let caller = &mut hall.callers[index];
        caller.is_reading = false;
        caller.wire.state().capacity = 2 << 10;
        for sip in 0..300 {
            hall.callers[index].read_at_most(700 + 2 * sip);
            hall.run(10 * MS);
        }
        hall.callers[index].is_reading = true;
        hall.settle();
        hall.callers[index].check(|symbol| hall.truth(symbol));
        let outcome = hall.close();
        assert_eq!(outcome.callers[index].heard.faults, [""; 0], "{venue} {cadence:?}");
        let tally = &outcome.of(index).tally;
        assert!(tally.dropped == 0 && tally.folded > 100, "{venue} {cadence:?}: {tally:?}");
    }
}

#[test]
fn a_client_whose_messages_are_dropped_sees_gaps() {
    for (venue, cadence) in every_rhythm() {
        let mut hall = stalled(venue, cadence, SlowClient::Drop, 6 * S);
        assert!(hall.is_open(1), "{venue}");
        hall.callers[1].is_reading = true;
        hall.run(1_000 * MS);
        hall.settle();
        hall.callers[0].check(|symbol| hall.truth(symbol));
        let outcome = hall.close();
        assert_eq!(outcome.callers[0].heard.faults, [""; 0], "{venue} {cadence:?}");
        assert!(!outcome.callers[1].heard.faults.is_empty(), "{venue} {cadence:?}: it sees no gap");
        let (healthy, slow) = (&outcome.of(0).tally, &outcome.of(1).tally);
        assert_eq!((healthy.dropped, healthy.owed), (0, slow.owed), "{venue} {cadence:?}");
        assert!(slow.dropped > 100 && slow.lost == 0, "{venue} {cadence:?}: {slow:?}");
    }
}

#[test]
fn answers_that_nobody_reads_are_bounded_whatever_the_treatment() {
    for slow_client in [SlowClient::Conflate, SlowClient::Drop] {
        let serve = ServeSpec { slow_client, client_queue: QUEUE, ..ServeSpec::default() };
        let mut hall = Hall::open(&market(32), serve, 0);
        let index = hall.enter(Venue::Coinbase, KERNEL);
        hall.run(STARTS_NS);
        hall.callers[index].is_reading = false;
        for _ in 0..2_000 {
            let book = Caller::channels(Venue::Coinbase)[0];
            hall.callers[index].subscribe(book);
            hall.callers[index].unsubscribe(book);
            if !hall.is_open(index) {
                break;
            }
            hall.run(5 * MS);
        }
        assert!(!hall.is_open(index), "{slow_client}: it may ask without end");
        assert!(hall.most_queued < 20 << 20, "{slow_client}: {} bytes waited", hall.most_queued);
        hall.close();
    }
}
