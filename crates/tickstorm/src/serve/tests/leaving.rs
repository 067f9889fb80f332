//! Clients that go without a word, in every phase: nobody else notices, and what they were owed is counted.

use tickstorm_load::Dropped;
use tickstorm_venue::{Venue, publisher::Publishing};

use super::{
    caller::{Caller, Heard},
    company::every_rhythm,
    hall::{Hall, MS, Outcome, STARTS_NS, entrance, market},
    wire::{Fate, Wire},
};
use crate::serve::{ServeSpec, client::Cause};

/// How a client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Right behind the handshake.
    AtOnce(Fate),
    /// With a piece of a frame behind the handshake.
    InAWord(Fate),
    /// With something else than a frame behind it.
    Babbling,
    /// While more waits for it than its kernel takes, the last of which is a piece of a frame.
    Behind(Fate),
    /// The same, with a close frame.
    BehindWithALeave,
    /// It is there no more, and nobody knows.
    Unseen,
}

const EXITS: [Exit; 9] = [
    Exit::AtOnce(Fate::Ended),
    Exit::AtOnce(Fate::Broken),
    Exit::InAWord(Fate::Ended),
    Exit::InAWord(Fate::Broken),
    Exit::Babbling,
    Exit::Behind(Fate::Ended),
    Exit::Behind(Fate::Broken),
    Exit::BehindWithALeave,
    Exit::Unseen,
];

#[test]
fn nobody_notices_that_another_client_goes() {
    for (venue, cadence) in every_rhythm() {
        let alone = run(venue, cadence, None);
        for exit in EXITS {
            let outcome = run(venue, cadence, Some(exit));
            let (one, other): (&Heard, &Heard) = (&alone.callers[0].heard, &outcome.callers[0].heard);
            assert!(one.faults.is_empty(), "{venue} {cadence:?}: {:?}", one.faults);
            assert!(one.bytes == other.bytes, "{venue} {cadence:?}: {exit:?} is noticed by others");
            check(&outcome, exit, venue, cadence);
        }
    }
}

fn run(venue: Venue, cadence: Publishing, exit: Option<Exit>) -> Outcome {
    let mut hall = Hall::open(&market(21), ServeSpec { cadence, ..ServeSpec::default() }, 0);
    let healthy = hall.enter(venue, 16 << 20);
    hall.callers[healthy].subscribe_to_all();
    hall.run(STARTS_NS + 100 * MS);
    if let Some(exit) = exit {
        leave(&mut hall, venue, exit);
    }
    hall.run(700 * MS - (hall.now_ns - STARTS_NS));
    hall.close()
}

/// A client comes and goes that had subscribed to books.
fn leave(hall: &mut Hall, venue: Venue, exit: Exit) {
    let book = Caller::channels(venue)[0];
    let index = match exit {
        Exit::AtOnce(fate) => {
            let wire = Wire::new(16 << 20);
            wire.state().fate = fate;
            hall.enter_by(entrance(venue), wire, &[])
        }
        Exit::InAWord(_) => hall.enter_by(entrance(venue), Wire::new(16 << 20), &[0x81, 0xfe, 0x01]),
        Exit::Babbling => hall.enter_by(entrance(venue), Wire::new(16 << 20), b"GET / HTTP/1.1\r\n\r\n"),
        Exit::Behind(_) | Exit::BehindWithALeave | Exit::Unseen => hall.enter(venue, 1_000),
    };
    hall.callers[index].subscribe(book);
    hall.run(150 * MS);
    match exit {
        Exit::AtOnce(_) | Exit::Babbling => {}
        Exit::InAWord(fate) => hall.callers[index].vanish(fate),
        Exit::Behind(_) | Exit::BehindWithALeave => {
            hall.callers[index].is_reading = false;
            hall.run(150 * MS);
            assert!(hall.waits(index) > 0, "{venue}: nothing waits");
            match exit {
                Exit::Behind(fate) => hall.callers[index].vanish(fate),
                _ => hall.callers[index].take_leave(),
            }
        }
        Exit::Unseen => hall.callers[index].vanish(Fate::HalfOpen),
    }
    hall.run(50 * MS);
}

#[track_caller]
fn check(outcome: &Outcome, exit: Exit, venue: Venue, cadence: Publishing) {
    let end = outcome.of(1).tally.end.as_ref().expect("it is gone");
    let expected = match exit {
        Exit::AtOnce(_) | Exit::InAWord(_) | Exit::Behind(_) => Cause::Vanished,
        Exit::Babbling => Cause::Offended,
        Exit::BehindWithALeave => Cause::ClosedByClient,
        Exit::Unseen => Cause::RunEnded,
    };
    assert_eq!(end.cause, expected, "{venue} {cadence:?} {exit:?}");
    let tally = &outcome.of(1).tally;
    match exit {
        Exit::AtOnce(_) | Exit::InAWord(_) | Exit::Babbling => {
            assert_eq!((tally.owed, tally.lost), (0, 0), "{venue} {cadence:?} {exit:?}");
        }
        Exit::Unseen => assert!(tally.owed > 0 && tally.lost == 0, "{venue} {cadence:?}: {tally:?}"),
        Exit::Behind(_) | Exit::BehindWithALeave => {
            assert!(tally.lost > 0, "{venue} {cadence:?} {exit:?}: {tally:?}");
            // What its kernel had whole is what it got.
            let heard = &outcome.callers[1].heard;
            assert!(heard.faults.is_empty(), "{venue} {cadence:?} {exit:?}: {:?}", heard.faults);
        }
    }
}

#[test]
fn what_waits_for_a_client_when_the_run_is_ended_at_once_has_not_failed() {
    for is_cut_short in [false, true] {
        let mut hall = Hall::open(&market(23), ServeSpec::default(), 0);
        let index = hall.enter(Venue::Okx, 1_000);
        hall.callers[index].subscribe(Caller::channels(Venue::Okx)[0]);
        hall.run(STARTS_NS + 200 * MS);
        hall.callers[index].is_reading = false;
        hall.run(300 * MS);
        assert!(hall.waits(index) > 0, "nothing waits");
        hall.floor.is_cut_short = is_cut_short;
        let outcome = hall.close();
        let dropped = outcome.recording.ledger().dropped;
        let of = |reason| dropped.count(reason) == dropped.total() && dropped.total() > 0;
        assert!(of(if is_cut_short { Dropped::Aborted } else { Dropped::Unsent }), "{dropped:?}");
    }
}

#[test]
fn what_a_client_got_is_what_its_kernel_took_whole() {
    for (venue, cadence) in every_rhythm() {
        let mut hall = Hall::open(&market(22), ServeSpec { cadence, ..ServeSpec::default() }, 0);
        let index = hall.enter(venue, 16 << 20);
        hall.callers[index].subscribe(Caller::channels(venue)[0]);
        hall.run(STARTS_NS + 200 * MS);
        hall.callers[index].is_reading = false;
        hall.callers[index].wire.state().capacity = 1_111;
        hall.run(300 * MS);
        assert!(hall.waits(index) > 0, "{venue}: nothing waits");
        hall.callers[index].vanish(Fate::Broken);
        hall.run(20 * MS);
        hall.callers[index].is_reading = true;
        let outcome = hall.close();
        let (heard, tally) = (&outcome.callers[index].heard, &outcome.of(index).tally);
        let got = heard.depths - tally.delivered;
        // The books of three symbols that are told at one time are on the books together.
        let most = if cadence == Publishing::Venue { 2 } else { 0 };
        assert!((0..=most).contains(&got), "{venue} {cadence:?}: {got} more than {}", tally.delivered);
        assert!(tally.lost > 0, "{venue} {cadence:?}: {tally:?}");
    }
}

#[test]
fn what_was_said_in_a_turn_that_was_not_flushed_is_lost_with_the_client() {
    let mut hall =
        Hall::open(&market(23), ServeSpec { cadence: Publishing::Realtime, ..ServeSpec::default() }, 0);
    let index = hall.enter(Venue::Binance, 16 << 20);
    hall.callers[index].subscribe_to_all();
    hall.run(STARTS_NS + 50 * MS);
    let said = hall.say_without_a_flush(20);
    assert!(said > 0, "nobody was told anything");
    hall.callers[index].vanish(Fate::Broken);
    let outcome = hall.close();
    assert_eq!(outcome.of(index).tally.lost, said);
}
