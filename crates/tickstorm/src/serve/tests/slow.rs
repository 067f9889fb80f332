//! Clients that stop reading, by each way to treat them.

use tickstorm_venue::{Venue, VenueOptions, closing::Leave, publisher::Publishing};

use super::{
    caller::Caller,
    company::every_rhythm,
    hall::{Hall, MS, S, STARTS_NS, market},
};
use crate::{
    Spec, TickSize,
    serve::{ServeSpec, SlowClient, client::Cause},
};

/// What may wait for a client, and what its kernel holds beside that.
const QUEUE: usize = 96 << 10;
const KERNEL: usize = 16 << 10;

/// Signs of life of some seconds, which nobody drops.
const PINGS: usize = 4 << 10;

/// Two clients, of which the second stops reading for a while.
fn stalled(venue: Venue, cadence: Publishing, slow_client: SlowClient, stall_ns: u64) -> Hall {
    let serve = ServeSpec { cadence, slow_client, ..ServeSpec::default() };
    stalled_at(venue, serve, stall_ns, Caller::subscribe_to_all)
}

/// The same, of an exchange with these settings, for who subscribes so.
fn stalled_at(venue: Venue, serve: ServeSpec, stall_ns: u64, subscribe: impl Fn(&mut Caller)) -> Hall {
    let mut hall = Hall::open(&market(31), ServeSpec { client_queue: QUEUE, ..serve }, 100 * MS);
    for _ in 0..2 {
        let index = hall.enter(venue, 16 << 20);
        subscribe(&mut hall.callers[index]);
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
fn folded_books_are_in_the_words_of_their_streams() {
    let folding = |option: Option<&str>| ServeSpec {
        slow_client: SlowClient::Conflate,
        options: VenueOptions::parse(option).expect("there is such an option"),
        ..ServeSpec::default()
    };
    let released = |venue, option, request: &'static str| {
        let mut hall = stalled_at(venue, folding(option), 20 * S, |caller| caller.say(request.as_bytes()));
        hall.callers[1].is_reading = true;
        hall.settle();
        let outcome = hall.close();
        let tally = &outcome.of(1).tally;
        assert!(tally.folded > outcome.of(0).tally.folded, "{venue}: nothing was folded: {tally:?}");
        assert_eq!(tally.dropped, 0, "{venue}");
        outcome.callers.into_iter().map(|caller| caller.heard.bytes).collect::<Vec<_>>()
    };
    let count = |bytes: &[u8], text: &str| memchr::memmem::find_iter(bytes, text).count();

    // Its two fastest books have the levels of slower ones.
    let subscribe = r#"{"op":"subscribe","args":[{"channel":"books-l2-tbt","instId":"BTC-USDT"},{"channel":"books50-l2-tbt","instId":"BTC-USDT"},{"channel":"books5","instId":"BTC-USDT"}]}"#;
    let heard = released(Venue::Okx, None, subscribe);
    assert_eq!(count(&heard[1], r#""channel":"books","#), 0);
    for channel in ["books-l2-tbt", "books50-l2-tbt", "books5"] {
        let (healthy, slow) = (count(&heard[0], channel), count(&heard[1], channel));
        assert!(10 < slow && slow < healthy, "{channel}: {slow} of {healthy}");
    }

    let subscribe = r#"{"type":"subscribe","channel":"level2","product_ids":["BTC-USDT","ETH-USDT"]}"#;
    let heard = released(Venue::Coinbase, Some("coinbase-client-id=empty"), subscribe);
    assert_eq!(
        count(&heard[1], r#""channel":"l2_data","client_id":"""#),
        count(&heard[1], r#""channel":"l2_data""#)
    );

    // A book that is told whole each time does not even say of which symbol it is.
    let subscribe = r#"{"method":"SUBSCRIBE","params":["btcusdt@depth20@100ms"],"id":1}"#;
    let heard = released(Venue::Binance, None, subscribe);
    let last = |bytes: &[u8]| {
        let start = memchr::memmem::rfind(bytes, br#"{"lastUpdateId""#).expect("there are books");
        let length = memchr::memmem::find(&bytes[start..], b"]]}").expect("it is whole");
        String::from_utf8_lossy(&bytes[start..start + length]).into_owned()
    };
    assert_eq!(last(&heard[1]), last(&heard[0]), "the last one is told");
    assert!(count(&heard[1], "lastUpdateId") < count(&heard[0], "lastUpdateId"));
}

#[test]
fn a_client_that_is_always_a_little_too_slow_gets_folded_books_that_are_right() {
    // Levels that come and go at the edge of what is shown.
    let thin = Spec { tick_size: TickSize::Small, symbols: 1, ..market(18) };
    for (venue, cadence) in every_rhythm() {
        let serve = ServeSpec {
            cadence,
            slow_client: SlowClient::Conflate,
            client_queue: 2 << 10,
            ..ServeSpec::default()
        };
        let mut hall = Hall::open(&thin, serve, 100 * MS);
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
